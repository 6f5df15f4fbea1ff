//! How much estimates scatter, and how wide intervals are where they hold equally often, from a table of rounds.

use std::collections::BTreeMap;
use std::io::BufRead;

use dal_eval::median;

use crate::{Outcome, share};

/// Logarithms of estimate, lower and upper end over the truth.
type Ends = [f64; 3];

/// The rounds of one model: by score, and as many uniform labels.
#[derive(Default)]
struct Model {
    by_score: Vec<Ends>,
    uniform: Vec<Ends>,
}

/// Of each problem and size of a round, over its models: the median ratio, score to uniform, of the estimates' standard
/// deviations, of median widths, and of median widths where both intervals hold in 90 % of rounds.
///
/// For the last, ends are moved towards or away from the estimate, in logarithms, by one factor for all models. Widths
/// are those of the root mean square, like the others here.
pub fn write(table: impl BufRead) -> Outcome<()> {
    let mut groups: BTreeMap<(String, usize), BTreeMap<(usize, usize), Model>> = BTreeMap::new();
    let mut lines = table.lines();
    let header = lines.next().ok_or("no table")??;
    let names: Vec<&str> = header.split(',').collect();
    let place = |name: &str| names.iter().position(|n| *n == name).ok_or_else(|| format!("no column `{name}`"));
    let keys = [place("labels")?, place("seed")?, place("draws")?];
    let ends = [place("estimate")?, place("lower")?, place("upper")?];
    let uniform = [place("uniform_estimate")?, place("uniform_lower")?, place("uniform_upper")?];
    let problem = place("problem")?;
    for line in lines {
        let line = line?;
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |k: usize| cells.get(k).copied().ok_or_else(|| format!("a line is too short: {line}"));
        let [labels, seed, draws] = keys.map(|k| -> Outcome<usize> { Ok(cell(k)?.parse()?) });
        let of = |places: [usize; 3]| -> Outcome<Ends> {
            let mut ends = [f64::NAN; 3];
            for (end, k) in ends.iter_mut().zip(places) {
                *end = cell(k)?.parse::<f64>().map_err(|error| format!("{error}: {line}"))? / 100.0;
            }
            Ok(ends)
        };
        let group = groups.entry((cell(problem)?.to_owned(), draws?)).or_default();
        let model = group.entry((labels?, seed?)).or_default();
        model.by_score.push(of(ends)?);
        model.uniform.push(of(uniform)?);
    }
    println!("| problem | draws | scatter | width | width where both hold in 90 % |\n|---|---|---|---|---|");
    for ((problem, draws), models) in &groups {
        let by_score: Vec<&[Ends]> = models.values().map(|m| m.by_score.as_slice()).collect();
        let uniform: Vec<&[Ends]> = models.values().map(|m| m.uniform.as_slice()).collect();
        let ratio = |of: &dyn Fn(&[Ends]) -> f64, over: &dyn Fn(&[Ends]) -> f64| {
            let ratios: Vec<f64> = by_score.iter().zip(&uniform).map(|(a, b)| of(a) / over(b)).collect();
            median(&ratios).unwrap_or(f64::NAN)
        };
        let (a, b) = (factor(&by_score), factor(&uniform));
        println!(
            "| `{problem}` | {draws} | {:.2} | {:.2} | {:.2} |",
            ratio(&scatter, &scatter),
            ratio(&|m| width(m, 1.0), &|m| width(m, 1.0)),
            ratio(&|m| width(m, a), &|m| width(m, b)),
        );
    }
    Ok(())
}

/// Standard deviation of the estimates over the truth.
fn scatter(rounds: &[Ends]) -> f64 {
    let n = rounds.len() as f64;
    let mean = rounds.iter().map(|ends| ends[0].exp()).sum::<f64>() / n;
    (rounds.iter().map(|ends| (ends[0].exp() - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Ends moved by a factor, as seen from the estimate.
fn moved([estimate, lower, upper]: Ends, factor: f64) -> (f64, f64) {
    (estimate + factor * (lower - estimate), estimate + factor * (upper - estimate))
}

/// Median width of the root, over its truth.
fn width(rounds: &[Ends], factor: f64) -> f64 {
    let widths = rounds.iter().map(|&ends| {
        let (lower, upper) = moved(ends, factor);
        (upper / 2.0).exp() - (lower / 2.0).exp()
    });
    median(&widths.collect::<Vec<f64>>()).unwrap_or(f64::NAN)
}

/// The smallest factor with which intervals hold in 90 % of all rounds.
fn factor(models: &[&[Ends]]) -> f64 {
    let holds = |factor: f64| {
        let rounds = models.iter().flat_map(|rounds| rounds.iter());
        let hits = rounds.map(|&ends| {
            let (lower, upper) = moved(ends, factor);
            lower <= 0.0 && 0.0 <= upper
        });
        share(hits)
    };
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if holds(middle) < 0.9 { low = middle } else { high = middle }
    }
    high
}
