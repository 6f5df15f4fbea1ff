//! What other tables found, in a few words, to be read beside a report's own findings.

use std::collections::BTreeSet;

use dal_eval::{Standing, Verdict};

use super::{Statement, is_everywhere, methods_with, names, pool_ratios, ranked, seeds_planned, state};
use crate::findings::{Findings, Method, Part};
use crate::text::{count, list, ratio, ratio_name};

/// One statement for each part that compares methods.
pub(super) fn found(of: &Findings) -> Vec<Statement> {
    let parts = of.parts.iter().filter(|part| !part.setting.timing && !part.methods.is_empty());
    parts.map(|part| Statement { items: cells(part), ..state("What the evidence found", words(part)) }).collect()
}

/// What was compared, and the verdicts.
fn words(part: &Part) -> String {
    let of = |ranked: bool| -> Vec<String> {
        part.problems.iter().filter(|p| p.is_ranked() == ranked).map(|p| p.id.clone()).collect()
    };
    let (ranked, left_out) = (of(true), of(false));
    let problems = if ranked.is_empty() { list(&left_out) } else { list(&ranked) };
    let most = part.problems.iter().filter_map(|p| p.n_labelled.last()).max().copied().unwrap_or(0);
    let sweeps = if part.sweeps.is_empty() { String::new() } else { format!(" ({})", list(&part.sweeps)) };
    let left_out = if ranked.is_empty() || left_out.is_empty() {
        String::new()
    } else {
        let why = |differ: bool, words: &str| {
            let of = part.problems.iter().filter(|p| !p.is_ranked() && p.tests_differ == differ);
            let names: Vec<String> = of.map(|p| p.id.clone()).collect();
            if names.is_empty() { String::new() } else { words.replace("{}", &list(&names)) }
        };
        why(false, " Random does not learn {}, which is left out.")
            + &why(true, " Runs on {} were judged on different test labels, so that it is left out.")
    };
    let missing = part.counts.total() - part.counts.done;
    let missing = if missing == 0 {
        String::new()
    } else {
        format!(" Of {} {missing} are not there (yet).", count(part.counts.total(), "run"))
    };
    format!(
        "On {problems}{}{}, {}, up to {most} labels{sweeps}: {}{left_out}{missing}",
        networks(part),
        pool_ratios(part),
        seeds(part),
        verdicts(part)
    )
}

/// Where the networks came from, as verdicts may hang on it.
fn networks(part: &Part) -> String {
    let presets: BTreeSet<&str> = part.problems.iter().map(|p| p.preset()).collect();
    let presets: Vec<&str> = presets.into_iter().collect();
    let network = if part.problems.len() == 1 { "network" } else { "networks" };
    format!(" ({} {network})", presets.join(" and "))
}

/// The seeds that verdicts rest on: a look's where one was passed, else those that are planned.
fn seeds(part: &Part) -> String {
    match part.judged.as_ref().and_then(|judged| judged.standing) {
        Some(Standing::At { look } | Standing::Between { passed: look, .. } | Standing::Beyond { last: look, .. }) => {
            count(look.seeds, "seed")
        }
        _ => seeds_planned(part),
    }
}

fn verdicts(part: &Part) -> String {
    let Some(judged) = &part.judged else { return "nothing was judged.".into() };
    if judged.plans_differ {
        return "no verdicts, as the sweeps behind its runs plan different looks; figures are estimates.".into();
    }
    if let Some(Standing::Before { next }) = judged.standing {
        return format!("no verdicts before {} of every problem are whole.", count(next.seeds, "seed"));
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
    let best =
        ranked(part).into_iter().find(|(m, _)| is_everywhere(part, m) && safe.iter().any(|safe| safe.id == m.id));
    if let Some((best, value)) = best.filter(|_| safe.len() > 1) {
        said.push(format!("of these {} has the lowest average (nAUC {})", best.id, ratio(value)));
    }
    if !worse.is_empty() {
        said.push(format!("shown to be worse somewhere: {}", names(part, &worse)));
    }
    if !open.is_empty() {
        said.push(format!("neither: {}", names(part, &open)));
    }
    said.join("; ") + "."
}

/// The lowest and the highest nAUC of each problem and pool ratio that was planned, with their intervals, over the
/// methods whose runs are whole there.
fn cells(part: &Part) -> Vec<String> {
    let mut items = Vec::new();
    for (p, problem) in part.problems.iter().enumerate() {
        for (g, pool_ratio) in part.pool_ratios.iter().enumerate() {
            let planned = part.methods.iter().filter(|m| m.cells[p][g].is_some()).count();
            if planned == 0 {
                continue;
            }
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
            let whole = if of.len() < planned { format!(", {} of {planned} methods", of.len()) } else { String::new() };
            items.push(match of.as_slice() {
                [] => format!("{place}: runs of every method are missing"),
                [one] => format!("{place}{whole}: nAUC of {}", said(one)),
                [first, .., last] => format!("{place}{whole}: nAUC from {} to {}", said(first), said(last)),
            });
        }
    }
    items
}
