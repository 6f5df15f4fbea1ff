//! The findings in words: what was compared, which methods are safe, where they lose, how sure that is, how long it
//! took. The page opens with these sentences and the terminal ends with them.

mod beside;
mod certainty;
mod found;
mod learned;
mod own;
mod times;

use std::collections::BTreeSet;

use dal_eval::{CellFinding, CellVerdict, CurveSpan, Hesitation, Interval, Verdict};

pub(crate) use self::own::own_title;
use crate::findings::{Findings, Method, Part, Problem};
use crate::table::glued;
use crate::text::{count, list, number, ratio, ratio_name};

/// One finding in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The question, in a few words.
    pub topic: &'static str,
    /// The answer.
    pub text: String,
    /// What the answer lists, if it does.
    pub items: Vec<String>,
}

fn state(topic: &'static str, text: impl Into<String>) -> Statement {
    Statement { topic, text: text.into(), items: Vec::new() }
}

/// The overall nAUC of a method, where every cell has a value.
pub(crate) fn overall(method: &Method) -> Option<f64> {
    let effect = method.robustness.as_ref()?.overall?;
    effect.over_problems.or(effect.problems_fixed).map(|i| i.mean.exp()).or_else(|| {
        // One problem with one seed: no interval, but still a value.
        let values: Vec<f64> = method.robustness.as_ref()?.cells.iter().filter_map(|c| c.value).collect();
        dal_eval::geometric_mean(&values).ok()
    })
}

/// Fewest and most seeds planned for any cell; of problems where Random alone was run.
pub(crate) fn seed_range(part: &Part) -> (usize, usize) {
    let of_cells = part.methods.iter().flat_map(|m| m.cells.iter().flatten().flatten()).map(|cell| cell.n_planned);
    let mut counts: Vec<usize> = of_cells.collect();
    if counts.is_empty() {
        counts = part.problems.iter().map(|p| p.seeds.len()).collect();
    }
    (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
}

/// How many seeds there are, in words.
fn seeds_planned(part: &Part) -> String {
    match seed_range(part) {
        (fewest, most) if fewest == most => count(most, "seed"),
        (fewest, most) => format!("{fewest} to {most} seeds"),
    }
}

fn cell_name(cell: &CellFinding) -> String {
    format!("{} at {}", cell.problem, ratio_name(cell.pool_ratio))
}

/// Why a verdict is open, in words.
pub(crate) fn hesitation(why: &Hesitation) -> String {
    match why {
        Hesitation::TooFewSeeds { got, needed_for_robust, needed_for_not_robust } if got >= needed_for_not_robust => {
            format!("{} are too few for \"robust\", which takes {needed_for_robust}", count(*got, "seed"))
        }
        Hesitation::TooFewSeeds { got, needed_for_robust, needed_for_not_robust } => format!(
            "{} cannot decide: \"robust\" needs at least {needed_for_robust}, \"not robust\" at least {needed_for_not_robust}",
            count(*got, "seed")
        ),
        Hesitation::NoLook => "the first planned look is still to come".into(),
        Hesitation::MissingCells { n } => format!("{} without a value", count(*n, "cell")),
        Hesitation::PlansDiffer => "the sweeps behind its runs plan different looks".into(),
        Hesitation::Evidence { n_not_rejected: 0 } => {
            "every cell's one-sided test rejects by itself, but not after Holm over the methods".into()
        }
        Hesitation::Evidence { n_not_rejected } => {
            format!("the one-sided test does not reject in {}", count(*n_not_rejected, "cell"))
        }
    }
}

/// The statements of one part.
pub fn statements(part: &Part, findings: &Findings) -> Vec<Statement> {
    if part.setting.timing {
        return times::timing_statements(part);
    }
    let mut said = own::now(part);
    said.push(state("Which method to use", recommendation(part, findings)));
    said.extend(verdicts(part));
    said.push(state("How sure", certainty::certainty(part, findings)));
    said.extend(certainty::deciding(part));
    if findings.parts.first().is_some_and(|first| std::ptr::eq(first, part)) {
        said.extend(findings.evidence.iter().flat_map(found::found));
    }
    said.extend(losses(part, findings));
    said.extend(learned::left_out(part));
    said.extend(learned::not_learned(part));
    said.extend(learned::auxiliary(part));
    said.extend(beside::disagreements(part));
    said.extend(beside::changeable(part));
    said.extend(own::failed_labels(part));
    said.extend(own::judged_on_learned(part));
    said.push(state("On what evidence", evidence(part)));
    said.extend(times::times(part));
    said.extend(averages(part));
    said.extend(gaps(part));
    if findings.span == CurveSpan::FromFirstStep {
        said.push(state(
            "Variant",
            "nAUC is over entries 1..T here: the initial model, equal for all methods, does not count.",
        ));
    }
    said.extend(cautions(part));
    said
}

fn methods_with(part: &Part, wanted: impl Fn(&Verdict) -> bool) -> Vec<&Method> {
    part.methods.iter().filter(|m| m.robustness.as_ref().is_some_and(|r| wanted(&r.verdict))).collect()
}

/// Names of methods; one that was not run on every problem, or not at every pool ratio, says so.
fn names(part: &Part, methods: &[&Method]) -> String {
    let name = |m: &&Method| {
        let left_out: Vec<String> = m.not_run_on().map(|p| part.problems[p].id.clone()).collect();
        match left_out.is_empty() {
            true if is_everywhere(part, m) => m.id.clone(),
            true => format!("{} (not run at every pool ratio)", m.id),
            false => format!("{} (not run on {})", m.id, list(&left_out)),
        }
    };
    list(&methods.iter().map(name).collect::<Vec<_>>())
}

/// Methods with an overall value, lowest first.
fn ranked(part: &Part) -> Vec<(&Method, f64)> {
    let mut all: Vec<(&Method, f64)> = part.methods.iter().filter_map(|m| Some((m, overall(m)?))).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all
}

/// Whether a method was planned wherever others were: averages over other cells cannot be held against each other.
fn is_everywhere(part: &Part, method: &Method) -> bool {
    let ranked = (0..part.problems.len()).filter(|p| part.problems[*p].is_ranked());
    let mut cells = ranked.flat_map(|p| (0..part.pool_ratios.len()).map(move |g| (p, g)));
    cells.all(|(p, g)| method.cells[p][g].is_some() || part.methods.iter().all(|other| other.cells[p][g].is_none()))
}

/// How far below or above random sampling: "15 % less".
fn change(value: f64) -> String {
    let percent = 100.0 * (value - 1.0);
    if percent.abs() < 0.05 {
        return "the same".into();
    }
    format!("{} % {}", number((percent.abs() * 10.0).round() / 10.0), if percent < 0.0 { "less" } else { "more" })
}

fn recommendation(part: &Part, findings: &Findings) -> String {
    if part.methods.is_empty() {
        return "Random sampling was run alone, so there is nothing to choose from.".into();
    }
    if part.judged.is_none() {
        let why = match part.problems.iter().any(|p| p.tests_differ) {
            false => "Random sampling itself does not learn what was run",
            true => "Runs were judged on different test labels, or random sampling itself does not learn what was run",
        };
        return format!("{why}, so that no method can be judged by it.");
    }
    let (ranked, elsewhere): (Vec<_>, Vec<_>) = ranked(part).into_iter().partition(|(m, _)| is_everywhere(part, m));
    let robust: Vec<&(&Method, f64)> =
        ranked.iter().filter(|(m, _)| m.robustness.as_ref().is_some_and(|r| r.verdict == Verdict::Robust)).collect();
    let shown = methods_with(part, |v| *v == Verdict::Robust);
    let (shown_everywhere, shown_elsewhere): (Vec<_>, Vec<_>) = shown.into_iter().partition(|m| is_everywhere(part, m));
    // Of problems that are left out nothing is shown.
    let every_cell =
        if part.problems.iter().all(|p| p.is_ranked()) { "every cell" } else { "every cell that is judged" };
    if let Some((best, value)) = robust.first() {
        let others = if robust.len() == 1 {
            format!("the only method shown to beat random sampling in {every_cell}")
        } else {
            format!(
                "the lowest average error of the {} methods shown to beat random sampling in {every_cell}",
                robust.len()
            )
        };
        let interval = interval_words(part, best, findings.rules.level);
        return format!(
            "{}: {others}. Its area under the error curve is {} than random sampling's (nAUC {}{interval}).",
            best.id,
            change(*value),
            ratio(*value)
        );
    }
    if !shown_everywhere.is_empty() {
        return format!(
            "{}: shown to beat random sampling in {every_cell}. There is no average yet: {}.",
            names(part, &shown_everywhere),
            why_no_value(part)
        );
    }
    let few = certainty::too_few(part, findings);
    let begin = if !certainty::has_verdicts(part) {
        "There are no verdicts yet."
    } else if !shown_elsewhere.is_empty() {
        "No method that was run everywhere was shown to beat random sampling everywhere, so none is a safe choice."
    } else if few {
        "No method can be called safe yet."
    } else {
        "No method was shown to beat random sampling everywhere, so none is a safe choice."
    };
    let Some((best, value)) = ranked.first() else {
        if !elsewhere.is_empty() {
            let elsewhere: Vec<&Method> = elsewhere.iter().map(|(m, _)| *m).collect();
            return format!("{begin} No method was run on every problem: {}.", names(part, &elsewhere));
        }
        return format!("{begin} No method has a value in every cell: {}.", why_no_value(part));
    };
    let next: Vec<String> = ranked[1..].iter().take(2).map(|(m, v)| format!("{} ({})", m.id, ratio(*v))).collect();
    let next = if next.is_empty() { String::new() } else { format!(", followed by {}", list(&next)) };
    if *value >= 1.0 {
        return format!(
            "{begin} On average no method is below random sampling; {} comes closest (nAUC {}).",
            best.id,
            ratio(*value)
        );
    }
    format!(
        "{begin} On average {} {} best, with {} area under the error curve than random sampling (nAUC {}{}){next}.",
        best.id,
        if few || !certainty::has_verdicts(part) { "looks" } else { "is" },
        change(*value),
        ratio(*value),
        interval_words(part, best, findings.rules.level)
    )
}

/// The interval of the average of a method that was picked from all for its figures.
fn interval_words(part: &Part, method: &Method, level: f64) -> String {
    let of = |overall: dal_eval::OverallEffect| {
        let for_others = overall.over_problems.map(|i| (i, " for other problems of the kind"));
        for_others.or(overall.problems_fixed.map(|i| (i, "")))
    };
    let words = |(interval, kind): (Interval, &str), level: f64, why: String| {
        let i = interval.exp();
        let percent = number((1000.0 * level).round() / 10.0);
        format!(", {percent} % interval{kind} {} to {}{why}", ratio(i.lower), ratio(i.upper))
    };
    let n = part.judged.as_ref().map_or(1, |judged| judged.n_methods.max(1));
    let why = if n == 1 { String::new() } else { format!(", wide enough for the best of {n}") };
    let picked = method.robustness.as_ref().and_then(|r| r.picked);
    picked.and_then(of).map(|found| words(found, 1.0 - level / n as f64, why)).unwrap_or_default()
}

fn verdicts(part: &Part) -> Vec<Statement> {
    let robust = methods_with(part, |v| *v == Verdict::Robust);
    let not_robust = methods_with(part, |v| *v == Verdict::NotRobust);
    if part.methods.is_empty() || !certainty::has_verdicts(part) {
        return Vec::new();
    }
    let (everywhere, elsewhere): (Vec<&Method>, Vec<&Method>) =
        robust.into_iter().partition(|method| is_everywhere(part, method));
    let mut safe = Vec::new();
    if !everywhere.is_empty() || elsewhere.is_empty() {
        let left_out: Vec<String> = part.problems.iter().filter(|p| !p.is_ranked()).map(|p| p.id.clone()).collect();
        let of = match left_out.is_empty() {
            true => "of this sweep".to_owned(),
            false => format!("that is judged, {} left out", list(&left_out)),
        };
        safe.push(match everywhere.is_empty() {
            true => "None was shown to beat random sampling on every problem and pool ratio.".to_owned(),
            false => format!(
                "Shown to beat random sampling on every problem and pool ratio {of}: {}.",
                names(part, &everywhere)
            ),
        });
    }
    if !elsewhere.is_empty() {
        safe.push(format!("Shown to do so in every cell that they were run in: {}.", names(part, &elsewhere)));
    }
    let mut said = vec![state("Which methods are safe", safe.join(" "))];
    if !not_robust.is_empty() {
        let text = format!("Shown to be worse than random sampling somewhere: {}.", names(part, &not_robust));
        said.push(state("Which are not", text));
    }
    said
}

fn averages(part: &Part) -> Option<Statement> {
    let ranked = ranked(part);
    if ranked.is_empty() {
        return None;
    }
    let shown: Vec<String> = ranked.iter().map(|(m, v)| format!("{} {}", names(part, &[m]), ratio(*v))).collect();
    let left_out: Vec<&Method> = part.methods.iter().filter(|m| overall(m).is_none()).collect();
    let left_out = if left_out.is_empty() {
        String::new()
    } else {
        format!(
            " Without an average, since a run of theirs or of random sampling is missing: {}.",
            names(part, &left_out)
        )
    };
    Some(state(
        "Averages",
        format!(
            "Area under the error curve relative to random sampling (nAUC; below 1 is better) over all problems and pool ratios: \
             {}.{left_out}",
            list(&shown)
        ),
    ))
}

/// Cells are counted among those that have a value: of the others nothing is known.
fn losses(part: &Part, findings: &Findings) -> Option<Statement> {
    let margin = number(100.0 * findings.rules.margin);
    let mut never = Vec::new();
    let mut items = Vec::new();
    for m in &part.methods {
        let Some(cells) = m.robustness.as_ref().map(|r| &r.cells) else { continue };
        let mut above: Vec<&CellFinding> =
            cells.iter().filter(|c| c.value.is_some_and(|v| v > 1.0 + findings.rules.margin)).collect();
        above.sort_by(|a, b| b.value.unwrap_or(0.0).total_cmp(&a.value.unwrap_or(0.0)));
        let worse: Vec<String> = cells.iter().filter(|c| c.verdict == CellVerdict::Worse).map(cell_name).collect();
        if above.is_empty() && worse.is_empty() {
            never.extend(cells.iter().all(|c| c.value.is_some()).then(|| m.id.clone()));
            continue;
        }
        let most =
            above.first().map(|c| format!(", most on {} ({})", cell_name(c), c.value.map(ratio).unwrap_or_default()));
        let shown =
            if worse.is_empty() { String::new() } else { format!("; shown to be worse on {}", shortened(&worse)) };
        let n_valued = cells.iter().filter(|c| c.value.is_some()).count();
        let of = if n_valued == cells.len() {
            count(n_valued, "cell")
        } else {
            format!("{} with a value ({} planned)", count(n_valued, "cell"), cells.len())
        };
        items.push(format!("{}: {} of {of}{}{shown}", m.id, above.len(), most.unwrap_or_default()));
    }
    if items.is_empty() && never.is_empty() {
        return None;
    }
    let text = if items.is_empty() {
        let whole = |m: &Method| m.robustness.as_ref().is_none_or(|r| r.cells.iter().all(|c| c.value.is_some()));
        let place = if part.methods.iter().all(whole) { "anywhere" } else { "in any cell that has a value" };
        format!("No method is more than {margin} % above random sampling {place}.")
    } else {
        let never = if never.is_empty() { String::new() } else { format!(" (nowhere: {})", list(&never)) };
        format!("Cells with an error area more than {margin} % above random sampling's, tested or not{never}:")
    };
    Some(Statement { items, ..state("Where each loses", text) })
}

/// Why cells have no value.
fn why_no_value(part: &Part) -> &'static str {
    let has_random = part.problems.iter().any(|problem| problem.random_learning.runs > 0);
    if part.counts.done > 0 && !has_random {
        "there is no run of random sampling, which methods are held against"
    } else if part.counts.done < part.counts.total() {
        "runs are missing or failed"
    } else if part.problems.iter().all(|problem| problem.protocol.steps == 0) {
        "one model is no curve"
    } else {
        "runs ended before their last step, because nothing was left to be asked for"
    }
}

fn evidence(part: &Part) -> String {
    let seeds = seeds_planned(part);
    let problems: Vec<String> = part.problems.iter().map(|p| p.id.clone()).collect();
    let ids: Vec<String> = part.methods.iter().map(|m| m.id.clone()).collect();
    format!(
        "{} {} ({}) against random sampling on {} ({}){}, with {seeds} each. {}",
        runs_there(part),
        count(part.methods.len(), "query method"),
        list(&ids),
        count(problems.len(), "problem"),
        list(&problems),
        pool_ratios(part),
        labels(part)
    )
}

/// How many runs there are; where some are missing, of how many, and the problems that have none.
fn runs_there(part: &Part) -> String {
    let (done, total) = (part.counts.done, part.counts.total());
    if done == total {
        return format!("{}:", count(total, "run"));
    }
    let empty: Vec<String> = (0..part.problems.len())
        .filter(|p| done > 0 && has_no_run(part, *p))
        .map(|p| part.problems[p].id.clone())
        .collect();
    let none = if empty.is_empty() { String::new() } else { format!(", none of {}", list(&empty)) };
    format!("{done} of {} {} finished{none}. Planned are", count(total, "run"), if done == 1 { "is" } else { "are" })
}

/// Whether no run of a problem is finished.
fn has_no_run(part: &Part, problem: usize) -> bool {
    let of_methods = part.methods.iter().flat_map(|m| m.cells[problem].iter().flatten()).map(|cell| &cell.curves);
    let is_missing = |curves: &crate::findings::Curves| {
        curves.per_seed.iter().all(|(seed, _)| curves.missing.iter().any(|(missing, _)| missing == seed))
    };
    std::iter::once(&part.problems[problem].random).chain(of_methods).all(is_missing)
}

fn pool_ratios(part: &Part) -> String {
    let ratios: Vec<String> = part.pool_ratios.iter().filter(|r| **r > 0).map(|r| r.to_string()).collect();
    if ratios.is_empty() {
        String::new()
    } else {
        format!(" at pool {} γ = {}", if ratios.len() == 1 { "ratio" } else { "ratios" }, list(&ratios))
    }
}

/// How many labels runs start with and add, with the problems that differ.
fn labels(part: &Part) -> String {
    let mut groups: Vec<((usize, usize, usize), Vec<String>)> = Vec::new();
    for problem in &part.problems {
        let key = (problem.protocol.initial, problem.protocol.queries, problem.protocol.steps);
        match groups.iter_mut().find(|(own, _)| *own == key) {
            Some((_, ids)) => ids.push(problem.id.clone()),
            None => groups.push((key, vec![problem.id.clone()])),
        }
    }
    // The most common protocol first.
    groups.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
    let Some((((initial, queries, steps), _), rest)) = groups.split_first() else { return String::new() };
    let rest: Vec<String> = rest
        .iter()
        .map(|((i, q, s), ids)| {
            let differing = if (i, q) == (initial, queries) { count(*s, "step") } else { format!("{i} + {s} × {q}") };
            format!("on {} {differing}", list(ids))
        })
        .collect();
    let rest = if rest.is_empty() { String::new() } else { format!(" ({})", rest.join("; ")) };
    // Where labels failed there are fewer.
    let asks = if part.failed_labels.is_empty() { ("starts from", "adds") } else { ("asks for", "for") };
    let noisy: Vec<String> = part.problems.iter().filter_map(noise).collect();
    let noise = if noisy.is_empty() { String::new() } else { format!(" Labels that are learned {}.", list(&noisy)) };
    format!(
        "A run {} {initial} labels and {} {queries} in each of {}{rest}.{noise}",
        asks.0,
        asks.1,
        count(*steps, "step")
    )
}

/// The noise of a problem's labels, in words.
fn noise(problem: &Problem) -> Option<String> {
    let percent = problem.protocol.label_noise_percent;
    (percent > 0).then(|| format!("of {} have noise of {percent} % of each output's standard deviation", problem.id))
}

fn gaps(part: &Part) -> Option<Statement> {
    let c = &part.counts;
    if c.done == c.total() {
        return None;
    }
    let waiting: Vec<&String> = part.incomplete.iter().filter_map(|run| run.waiting.as_ref()).collect();
    let waits = match waiting.first() {
        Some(why) => format!(" Of the unfinished ones {} for a program: {why}.", waits(waiting.len())),
        None => String::new(),
    };
    let damaged = match c.damaged {
        0 => String::new(),
        1 => "1 is damaged, ".to_owned(),
        n => format!("{n} are damaged, "),
    };
    let then = match part.judged.as_ref().and_then(|judged| judged.standing) {
        None => "A cell with such a run has no value and no verdict.",
        Some(_) => {
            "Figures are of the first seeds of each problem that are over in every run; a cell with a failed run among them has no \
             value."
        }
    };
    Some(state(
        "What is missing",
        format!(
            "Of {}, {} finished, {} failed, {damaged}{} unfinished and {} never started.{waits} {then}",
            count(c.total(), "run"),
            c.done,
            c.failed,
            c.partial,
            c.absent
        ),
    ))
}

fn waits(n: usize) -> String {
    if n == 1 { "one waits".into() } else { format!("{n} wait") }
}

fn cautions(part: &Part) -> Vec<Statement> {
    let mut said = Vec::new();
    let departures = departures(part);
    if !departures.is_empty() {
        let text = "These runs are smaller than, or otherwise unlike, the published ones:";
        said.push(Statement { items: departures, ..state("Not as published", text) });
    }
    let untuned: Vec<String> = built_in(part).filter(|p| p.protocol.preset != "tuned").map(|p| p.id.clone()).collect();
    if !untuned.is_empty() {
        let whole =
            if untuned.len() == part.problems.len() { String::new() } else { format!(" on {}", list(&untuned)) };
        said.push(state(
            "Caution",
            format!(
                "Rankings are provisional{whole}: network and optimiser are not tuned per problem, as the paper's were before \
                 methods were compared. Where a search was made, preset = \"tuned\" in a sweep file takes what it found."
            ),
        ));
    }
    said
}

/// The problems of the catalogue: of a user's own nothing was published.
fn built_in(part: &Part) -> impl Iterator<Item = &crate::findings::Problem> {
    part.problems.iter().filter(|problem| problem.own.is_none())
}

/// What departs from the published form, problems with the same departures together, those of most problems first.
fn departures(part: &Part) -> Vec<String> {
    let n = part.problems.len();
    let mut by_text: Vec<(&str, Vec<usize>)> = Vec::new();
    for (p, problem) in part.problems.iter().enumerate().filter(|(_, problem)| problem.own.is_none()) {
        for text in &problem.departures {
            match by_text.iter_mut().find(|(own, _)| *own == text) {
                Some((_, on)) => on.push(p),
                None => by_text.push((text, vec![p])),
            }
        }
    }
    let mut by_problems: Vec<(Vec<usize>, Vec<&str>)> = Vec::new();
    for (text, on) in by_text {
        match by_problems.iter_mut().find(|(own, _)| *own == on) {
            Some((_, texts)) => texts.push(text),
            None => by_problems.push((on, vec![text])),
        }
    }
    by_problems.sort_by_key(|(on, _)| std::cmp::Reverse(on.len()));
    let names = |on: &[usize]| list(&on.iter().map(|p| part.problems[*p].id.clone()).collect::<Vec<_>>());
    by_problems
        .iter()
        .map(|(on, texts)| {
            let others: Vec<usize> = (0..n).filter(|p| !on.contains(p)).collect();
            let place = if others.is_empty() {
                "everywhere".to_owned()
            } else if others.len() <= 2 && on.len() > 2 {
                format!("everywhere but on {}", names(&others))
            } else {
                format!("on {}", names(on))
            };
            format!("{place}: {}", texts.join(", "))
        })
        .collect()
}

/// The first few places and how many more there are.
fn shortened(places: &[String]) -> String {
    const SHOWN: usize = 3;
    if places.len() <= SHOWN + 1 {
        return list(places);
    }
    format!("{} and {} more cells", places[..SHOWN].join(", "), places.len() - SHOWN)
}

/// What tells a part from the others, in words: its sweeps, problems and labels, and engine, platform or revision where
/// those differ between parts.
pub(crate) fn part_title(part: &Part, all: &[Part]) -> String {
    let mut words = Vec::new();
    if !part.sweeps.is_empty() {
        words.push(format!("sweep {}", list(&part.sweeps)));
    }
    words.push(match part.problems.as_slice() {
        [one] => own_title(one).unwrap_or_else(|| one.id.clone()),
        many => count(many.len(), "problem"),
    });
    let s = &part.setting;
    let differs = |of: fn(&Part) -> String| all.iter().any(|other| of(other) != of(part));
    let presets = |p: &Part| {
        let all: BTreeSet<&str> = p.problems.iter().map(|p| p.preset()).collect();
        format!("{} networks", list(&all.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    };
    if differs(presets) {
        words.push(presets(part));
    }
    if differs(|p| p.setting.engine.clone()) {
        words.push(format!("engine {}", s.engine));
    }
    if differs(|p| p.setting.platform.clone()) {
        words.push(format!("platform {}", s.platform));
    }
    if differs(|p| p.setting.results_revision.to_string()) {
        words.push(format!("results revision {}", s.results_revision));
    }
    let most = part.problems.iter().map(|p| p.n_labelled.last().copied().unwrap_or(0)).max().unwrap_or(0);
    words.push(format!("up to {most} labels"));
    if s.timing {
        words.push("timings".into());
    }
    words.join(", ")
}

/// The same findings for a terminal, wrapped to a width.
pub fn terminal_summary(findings: &Findings, width: usize) -> String {
    let mut out = String::new();
    for (i, part) in findings.parts.iter().enumerate() {
        if findings.parts.len() > 1 {
            let place = format!("Part {} of {}", i + 1, findings.parts.len());
            if i > 0 {
                out.push('\n');
            }
            out += &wrapped(&format!("== {place}: {} ==", part_title(part, &findings.parts)), width.max(40));
        }
        for said in statements(part, findings) {
            out += &wrapped(&format!("{}: {}", said.topic, said.text), width.max(40));
            for item in &said.items {
                out += &wrapped(&format!("  - {item}"), width.max(40));
            }
        }
    }
    out
}

/// Lines of at most so many letters, the second and later ones indented; γ = 2 and 5 % are not torn apart.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let text = glued(text);
    let (indent, start, rest) = match text.strip_prefix("  - ") {
        Some(rest) => ("    ", "  - ", rest),
        None => ("  ", "", text.as_str()),
    };
    let mut out = String::new();
    let mut line = start.to_owned();
    let mut begun = false;
    for word in rest.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > width {
            out += &line;
            out.push('\n');
            line = indent.to_owned();
        } else if begun {
            line.push(' ');
        }
        line += word;
        begun = true;
    }
    out += &line;
    out.push('\n');
    out.replace('\u{a0}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_the_width_and_hold_together() {
        let text = "Topic: robo at γ = 2 and 5 % of all the cells there are";
        for width in 12..60 {
            let lines = wrapped(text, width);
            assert!(lines.lines().all(|l| l.chars().count() <= width), "{lines}");
            assert!(lines.contains("γ = 2") && lines.contains("5 %"), "{lines}");
            assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
        }
        assert_eq!(wrapped("  - an item of a list", 12), "  - an item\n    of a\n    list\n");
    }
}
