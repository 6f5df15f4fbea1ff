//! What other tables found, in a few words, to be read beside a report's own findings.

use dal_eval::{Standing, Verdict};

use super::{Statement, methods_with, names, pool_ratios, ranked, seed_range, state};
use crate::findings::{Findings, Method, Part};
use crate::text::{count, list, number, ratio, ratio_name};

/// One statement for each part that compares methods.
pub(super) fn found(of: &Findings) -> Vec<Statement> {
    let parts = of.parts.iter().filter(|part| !part.setting.timing && !part.methods.is_empty());
    parts.map(|part| Statement { items: cells(part), ..state("What the evidence found", words(part)) }).collect()
}

/// What was compared, and the verdicts.
fn words(part: &Part) -> String {
    let problems: Vec<String> = part.problems.iter().map(|p| p.id.clone()).collect();
    let most = part.problems.iter().filter_map(|p| p.n_labelled.last()).max().copied().unwrap_or(0);
    let (fewest, seeds) = seed_range(part);
    let seeds = if fewest == seeds { count(seeds, "seed") } else { format!("{fewest} to {seeds} seeds") };
    let sweeps = if part.sweeps.is_empty() { String::new() } else { format!(" ({})", list(&part.sweeps)) };
    format!("On {}{}, {seeds}, up to {most} labels{sweeps}: {}", list(&problems), pool_ratios(part), verdicts(part))
}

fn verdicts(part: &Part) -> String {
    let Some(judged) = &part.judged else { return "nothing was judged.".into() };
    if let Some(Standing::Before { next }) = judged.standing {
        return format!("no verdicts yet, these are planned at {}.", count(next.seeds, "seed"));
    }
    let safe = methods_with(part, |v| *v == Verdict::Robust);
    let worse = methods_with(part, |v| *v == Verdict::NotRobust);
    let open = methods_with(part, |v| matches!(v, Verdict::Undecided(_)));
    let mut said = Vec::new();
    if safe.is_empty() {
        said.push("no method is shown to beat random sampling in every cell".to_owned());
    } else {
        said.push(format!("shown to beat random sampling in every cell: {}", names(part, &safe)));
    }
    let best = ranked(part).into_iter().find(|(m, _)| safe.iter().any(|safe| safe.id == m.id));
    if let Some((best, value)) = best.filter(|_| safe.len() > 1) {
        said.push(format!("of these {} has the lowest average (nAUC {})", best.id, ratio(value)));
    }
    if !worse.is_empty() {
        said.push(format!("shown to be worse somewhere: {}", names(part, &worse)));
    }
    if !open.is_empty() {
        said.push(format!("neither: {}", names(part, &open)));
    }
    let missing = part.counts.total() - part.counts.done;
    if missing > 0 {
        said.push(format!("{} of {} are missing", missing, count(part.counts.total(), "run")));
    }
    said.join("; ") + "."
}

/// The lowest and the highest nAUC of each problem and pool ratio, with their intervals.
fn cells(part: &Part) -> Vec<String> {
    let mut items = Vec::new();
    for (p, problem) in part.problems.iter().enumerate() {
        for (g, pool_ratio) in part.pool_ratios.iter().enumerate() {
            let value = |m: &Method| m.cells[p][g].as_ref()?.n_auc.value;
            let mut of: Vec<(&Method, f64)> = part.methods.iter().filter_map(|m| Some((m, value(m)?))).collect();
            of.sort_by(|a, b| a.1.total_cmp(&b.1));
            let said = |(m, value): &(&Method, f64)| {
                let interval = m.cells[p][g].as_ref().and_then(|cell| cell.n_auc.interval_95);
                let interval = interval.map(|i| format!(" ({} to {})", ratio(i.lower), ratio(i.upper)));
                format!("{} {}{}", m.id, ratio(*value), interval.unwrap_or_default())
            };
            let place = match pool_ratio {
                0 => problem.id.clone(),
                _ => format!("{} at {}", problem.id, ratio_name(*pool_ratio)),
            };
            items.push(match of.as_slice() {
                [] => format!("{place}: no whole runs yet"),
                [one] => format!("{place}: nAUC of {}", said(one)),
                [first, .., last] => {
                    let n_below = of.iter().filter(|(_, value)| *value < 1.0).count();
                    format!(
                        "{place}: nAUC from {} to {}; {} of {} below 1",
                        said(first),
                        said(last),
                        number(n_below as f64),
                        of.len()
                    )
                }
            });
        }
    }
    items
}
