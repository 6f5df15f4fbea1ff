//! The page of what was measured, from the tables of the parts that are done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dal_eval::median;

use crate::{Outcome, keep, share};

/// A table's rows by the names of their columns.
type Rows = Vec<BTreeMap<String, String>>;

pub fn write(dir: &Path) -> Outcome<()> {
    let mut text = String::from(
        "# How often the intervals of estimated errors hold\n\nMeasured by `cargo xtask coverage`; the page is made of the \
         tables beside it.\n\n",
    );
    text += &frozen(&rows(dir, "frozen-")?);
    text += &stopping(&rows(dir, "stopping-")?);
    text += &campaigns(&rows(&dir.join("campaigns"), "")?);
    let lines = text.lines().map(|line| if line.starts_with('|') { format!("{line}\n") } else { wrapped(line) });
    keep(&dir.join("coverage.md"), lines.collect::<String>().as_bytes())
}

/// A paragraph in lines of 120 characters.
fn wrapped(paragraph: &str) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in paragraph.split_inclusive(' ') {
        if width > 0 && width + word.trim_end().chars().count() > 120 {
            text.truncate(text.trim_end().len());
            text.push('\n');
            width = 0;
        }
        text.push_str(word);
        width += word.chars().count();
    }
    text + "\n"
}

fn rows(dir: &Path, begin: &str) -> Outcome<Rows> {
    let mut paths: Vec<PathBuf> = match fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => Vec::new(),
    };
    paths.retain(|path| {
        let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        name.starts_with(begin) && name.ends_with(".csv")
    });
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        for line in lines {
            let cells = line.split(',').map(str::to_owned);
            all.push(header.iter().map(|name| (*name).to_owned()).zip(cells).collect());
        }
    }
    Ok(all)
}

fn number(row: &BTreeMap<String, String>, key: &str) -> Option<f64> {
    row.get(key)?.parse().ok()
}

fn mean(rows: &[&BTreeMap<String, String>], key: &str) -> f64 {
    let values: Vec<f64> = rows.iter().filter_map(|row| number(row, key)).filter(|v| v.is_finite()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn by<'a>(rows: &'a Rows, keys: &[&str]) -> BTreeMap<Vec<String>, Vec<&'a BTreeMap<String, String>>> {
    let mut groups: BTreeMap<Vec<String>, Vec<_>> = BTreeMap::new();
    for row in rows {
        let key = keys.iter().map(|key| row.get(*key).cloned().unwrap_or_default()).collect();
        groups.entry(key).or_default().push(row);
    }
    groups
}

fn frozen(rows: &Rows) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "## Frozen models\n\nUp to three models each of 80, 280 and 880 uniform labels (five members of 2 × 32), rounds redrawn by \
         the networks' variance, or its power that the default rule has (see `definitions`), from 4 096 fresh candidates: the share of rounds whose upper limit (nominal 95 %) and whose 90 % \
         interval hold, that of five rounds together, the ratio of the median width to that of as many uniform labels, and \
         the models whose mean estimate is within two standard errors of the truth, and of the mean over the pool that candidates \
         are taken from. A round without an interval is one that does not hold. Bars: upper limit 90 %; interval 82 % at \
         20 draws; five together 85 %; width ratio at most 1 (median over models; in brackets the largest).\n\n\
         | problem | draws | upper limit | interval | five | uniform: upper | uniform: interval | width ratio | within 2 se: truth, pool |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let ratio = |row: &&BTreeMap<String, String>| Some(number(row, "half_width")? / number(row, "uniform_half_width")?);
    for (key, group) in by(rows, &["problem", "draws"]) {
        let percent = |name: &str| format!("{:.1} %", 100.0 * mean(&group, name));
        let ratios: Vec<f64> = group.iter().filter_map(ratio).filter(|v| v.is_finite()).collect();
        let within = |key| group.iter().filter(|row| number(row, key).is_some_and(|off: f64| off.abs() <= 2.0)).count();
        text += &format!(
            "| `{}` | {} | {} | {} | {} | {} | {} | {:.2} ({:.2}) | {}, {} of {} |\n",
            key[0],
            key[1],
            percent("upper_holds"),
            percent("interval_holds"),
            percent("five_hold"),
            percent("uniform_upper_holds"),
            percent("uniform_interval_holds"),
            median(&ratios).unwrap_or(f64::NAN),
            ratios.iter().copied().fold(f64::NAN, f64::max),
            within("off_by_se"),
            within("off_pool_by_se"),
            group.len()
        );
    }
    let rough = rows.iter().filter(|row| {
        let (se, half, truth) = (number(row, "truth_se"), number(row, "half_width"), number(row, "truth"));
        // The half-width is one of the root.
        se.zip(half).zip(truth).is_some_and(|((se, half), truth)| se / (2.0 * truth.sqrt()) > 0.1 * half)
    });
    text += &format!(
        "\nOf {} models and sizes of a round {} have a truth whose standard error is more than a tenth of the half-width. The \
         files `rounds-*.npy` hold every round: draws × rounds × (estimate, lower, upper by score, the same uniform) as 1 000 ln(value / truth), −32 768 for none.\n\n",
        rows.len(),
        rough.count()
    );
    text
}

fn stopping(rows: &Rows) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let fired = |row: &BTreeMap<String, String>, key: &str| row.get(key).is_some_and(|cell| !cell.is_empty());
    let of = |rows: &[&BTreeMap<String, String>], key: &str| 100.0 * share(rows.iter().map(|row| fired(row, key)));
    let mut text = format!(
        "## Stopping\n\n{} replays of up to 20 rounds of 20 draws from frozen models: how often the rule ends a campaign whose \
         error stays 10 % above the target (bar: at most 10 %), and, at half the target, within five rounds (bar: at least \
         50 %).\n\n| problem | replays | fired above the target | fired at half of it |\n|---|---|---|---|\n",
        rows.len()
    );
    for (key, group) in by(rows, &["problem"]) {
        let (above, half) = (of(&group, "fired_above_target"), of(&group, "fired_at_half"));
        text += &format!("| `{}` | {} | {above:.1} % | {half:.1} % |\n", key[0], group.len());
    }
    let all: Vec<_> = rows.iter().collect();
    text += &format!(
        "| all | {} | {:.1} % | {:.1} % |\n\n",
        rows.len(),
        of(&all, "fired_above_target"),
        of(&all, "fired_at_half")
    );
    text
}

fn campaigns(rows: &Rows) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let groups = by(rows, &["problem", "campaign"]);
    let holds = |row: &&BTreeMap<String, String>, truth: &str, low: &str, high: &str| {
        let (truth, low, high) = (number(row, truth)?, number(row, low)?, number(row, high)?);
        Some((truth <= high, (low..=high).contains(&truth)))
    };
    let mut text = format!(
        "## Whole campaigns\n\n{} campaigns of ten rounds of 20, failures in every other one and every eighth answer a round \
         late, the ladder on in two of 25 a problem: means over campaigns with standard errors by campaign, of the rounds that \
         have an interval (ten answered draws). Calibrated intervals of the model that learned everything, on 5 000 fresh points \
         (bar: 80 to 97 %; in brackets the lowest and the highest of a campaign).\n\n\
         | problem | campaigns | rounds without interval | upper limit | interval | last five together | calibrated |\n|---|---|---|---|---|---|---|\n",
        groups.len()
    );
    let mut shown: BTreeMap<String, Vec<[Option<f64>; 4]>> = BTreeMap::new();
    let mut without: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (key, group) in &groups {
        let found: Vec<(bool, bool)> =
            group.iter().filter_map(|row| holds(row, "true_rmse", "lower", "upper")).collect();
        let last: Vec<(bool, bool)> =
            group.iter().filter_map(|row| holds(row, "pooled_truth", "pooled_lower", "pooled_upper")).collect();
        let of = |hits: Vec<bool>| (!hits.is_empty()).then(|| share(hits.iter().copied()));
        let shares = [
            of(found.iter().map(|hit| hit.0).collect()),
            of(found.iter().map(|hit| hit.1).collect()),
            of(last.iter().map(|hit| hit.1).collect()),
            group.iter().find_map(|row| number(row, "calibrated_share")),
        ];
        for name in [&key[0], "all"] {
            shown.entry(name.into()).or_default().push(shares);
            let [bare, all] = without.entry(name.into()).or_default();
            *bare += group.len() - found.len();
            *all += group.len();
        }
    }
    for (problem, campaigns) in shown {
        let cell = |k: usize| {
            let values: Vec<f64> = campaigns.iter().filter_map(|shares| shares[k]).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            if values.len() < 2 {
                return values.first().map_or(String::new(), |v| format!("{:.1} %", 100.0 * v));
            }
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
            format!("{:.1} ± {:.1} %", 100.0 * mean, 100.0 * (variance / n).sqrt())
        };
        let ends = campaigns.iter().filter_map(|shares| shares[3]).fold(None, |ends: Option<(f64, f64)>, v| {
            Some(ends.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
        });
        let ends = ends.map_or(String::new(), |(low, high)| format!(" ({:.0} to {:.0})", 100.0 * low, 100.0 * high));
        let [bare, all] = without[&problem];
        text += &format!(
            "| {problem} | {} | {bare} of {all} | {} | {} | {} | {}{ends} |\n",
            campaigns.len(),
            cell(0),
            cell(1),
            cell(2),
            cell(3)
        );
    }
    text + "\n"
}
