//! A user's own problem in the user's words: how large the error is now, and which labels failed.

use super::{Statement, state};
use crate::findings::{Part, Problem};
use crate::text::{count, list, number, ratio_name};

/// What a user calls the problem, with its version where there are several; `None` for a built-in one.
pub(crate) fn own_title(problem: &Problem) -> Option<String> {
    let own = problem.own.as_ref()?;
    let version = problem.id.strip_prefix(&problem.variant).unwrap_or_default();
    Some(if own.title.is_empty() { problem.id.clone() } else { format!("{}{version}", own.title) })
}

/// Where each own problem stands.
pub(super) fn now(part: &Part) -> Vec<Statement> {
    part.problems.iter().filter_map(of_problem).collect()
}

fn of_problem(problem: &Problem) -> Option<Statement> {
    let title = own_title(problem)?;
    let Some(now) = &problem.now else {
        return Some(state("Where you stand", format!("{title}: no model was trained yet.")));
    };
    let method = match now.pool_ratio {
        0 => now.method.clone(),
        ratio => format!("{} at {}", now.method, ratio_name(ratio)),
    };
    let (labels, runs) = (number(now.n_labelled), count(now.runs, "run"));
    let from = match now.method.as_str() {
        "" => format!("with the {labels} initial labels (median over {runs})"),
        _ => format!("with {labels} labels chosen by {method}, the lowest so far (median over {runs})"),
    };
    let error = |j: usize, e: &dal_store::OutputErrorRecord| {
        let (name, unit) = problem.output_name(j);
        let with_unit = |v: f64| if unit.is_empty() { number(v) } else { format!("{} {unit}", number(v)) };
        let r2 = e.r2.map(|r2| format!(", R² {r2:.2}")).unwrap_or_default();
        let within = with_unit(e.p95_abs);
        (with_unit(e.rmse), format!("RMSE of {name}{r2}; 95 % of the test points are within {within}"))
    };
    // Judged by what best constants score, however the errors are measured.
    let learned = match now.over_variance {
        Some(share) if share >= 1.0 => " The models have not learned it: a constant predicts as well.",
        _ => "",
    };
    let inputs = problem.own.as_ref().map_or(0, |own| own.inputs.len());
    let about = if inputs > 0 { format!("{title} ({})", count(inputs, "input")) } else { title };
    Some(match now.outputs.as_slice() {
        [] => {
            let relative = now
                .over_variance
                .map(|share| format!("{} standard deviations of the outputs", number(share.max(0.0).sqrt())));
            let absolute = format!("RMSE {}", number(now.error.max(0.0).sqrt()));
            let error = relative.unwrap_or(absolute);
            state("Where you stand", format!("{about}: the error of your models is now {error}, {from}.{learned}"))
        }
        [one] => {
            let (size, rest) = error(0, one);
            state("Where you stand", format!("{about}: your error is now {size} ({rest}), {from}.{learned}"))
        }
        several => {
            let items = several.iter().enumerate().map(|(j, e)| {
                let (size, rest) = error(j, e);
                format!("{size} ({rest})")
            });
            Statement {
                items: items.collect(),
                ..state("Where you stand", format!("{about}: your errors are now, {from}:{learned}"))
            }
        }
    })
}

/// Labels that failed: how many of what kind, and how many test points have none.
pub(super) fn failed_labels(part: &Part) -> Option<Statement> {
    let text: Vec<String> = of_queries(part).into_iter().chain(of_tests(part)).chain(of_other_tests(part)).collect();
    (!text.is_empty()).then(|| state("Failed labels", text.join(" ")))
}

/// Problems of so few points that models are judged on those they have learned, too.
pub(super) fn judged_on_learned(part: &Part) -> Option<Statement> {
    let of = |problem: &Problem| {
        let protocol = &problem.protocol;
        let labels = protocol.steps.saturating_mul(protocol.queries).saturating_add(protocol.initial);
        let (n, share) = problem.own.as_ref()?.judged_on_learned(labels)?;
        Some(format!("{}: {n} points, of which a run labels up to {:.0} %", problem.id, 100.0 * share))
    };
    let items: Vec<String> = part.problems.iter().filter_map(of).collect();
    (!items.is_empty()).then(|| Statement {
        items,
        ..state(
            "Judged on learned points",
            "Test points are drawn from all points of a problem's space. Where these are few, test points are learned, too, \
             and errors are partly those of learned points:",
        )
    })
}

fn of_queries(part: &Part) -> Option<String> {
    if part.failed_labels.is_empty() {
        return None;
    }
    let n: usize = part.failed_labels.iter().map(|f| f.n).sum();
    let mut kinds: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut on: Vec<String> = Vec::new();
    for failed in &part.failed_labels {
        *kinds.entry(&failed.kind).or_default() += failed.n;
        if !on.contains(&failed.problem) {
            on.push(failed.problem.clone());
        }
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    let text = format!(
        "{} on {} gave no answer ({}). Models are trained on the labels that exist, and every number of labels here is of those.",
        count(n, "query"),
        list(&on),
        list(&kinds)
    );
    Some(text.replace("querys", "queries"))
}

/// Runs whose test sets differ: a program answered a test point for some of them that it failed for others.
fn of_other_tests(part: &Part) -> Option<String> {
    let differ: Vec<String> = part.problems.iter().filter(|p| p.tests_differ).map(|p| p.id.clone()).collect();
    (!differ.is_empty()).then(|| {
        format!(
            "Not all runs on {} were judged on the same test labels, so that their errors are not paired and there are no \
             verdicts: a store of its own takes one test set for all.",
            list(&differ)
        )
    })
}

fn of_tests(part: &Part) -> Option<String> {
    let of = |problem: &Problem| match problem.unlabelled_tests() {
        0 => None,
        n => Some(format!("{n} of {} of {}", problem.protocol.test_points, problem.id)),
    };
    let left_out: Vec<String> = part.problems.iter().filter_map(of).collect();
    (!left_out.is_empty()).then(|| {
        let all = list(&left_out);
        format!("Test points without a label are left out of the test set, and no error is measured there: {all}.")
    })
}
