//! Labels that failed: how many, of what kind, where in the input space.

use std::collections::{BTreeMap, BTreeSet};

use dal_store::FailedLabel;

use crate::data::RunSummary;
use crate::text::{list, number};

/// Failed labels of one kind that one method met on one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLabels {
    /// The problem.
    pub problem: String,
    /// The method that asked for them.
    pub method: String,
    /// Id of the kind: `crashed`, `timed-out`, …
    pub kind: String,
    /// How many.
    pub n: usize,
    /// Labels that the method asked for on the problem, in all runs, failed ones included.
    pub asked: usize,
    /// Runs that met one.
    pub runs: usize,
    /// The place in the input space: for each input the span of its values, or its levels; empty where not recorded.
    pub place: Vec<String>,
    /// The program's last words, of the last one.
    pub message: String,
}

/// Groups the failed labels of a part; `names` are the inputs of a problem, where known.
pub(super) fn failed_labels(
    runs: &[&RunSummary],
    name: impl Fn(&RunSummary) -> String,
    inputs: impl Fn(&RunSummary) -> Vec<String>,
) -> Vec<FailedLabels> {
    /// Runs with failures of one problem, method and kind, and those failures.
    type Group<'a> = (Vec<&'a RunSummary>, Vec<&'a FailedLabel>);
    let mut groups: BTreeMap<(String, &str, &str), Group<'_>> = BTreeMap::new();
    let mut asked: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for run in runs {
        let failed: usize = run.entries.iter().map(|entry| entry.failed_labels.len()).sum();
        *asked.entry((name(run), &run.strategy)).or_default() +=
            failed + run.entries.last().map_or(0, |entry| entry.n_labelled);
        for failed in run.entries.iter().flat_map(|entry| &entry.failed_labels) {
            let (of_runs, labels) = groups.entry((name(run), &run.strategy, &failed.kind)).or_default();
            if of_runs.last().is_none_or(|last| !std::ptr::eq(*last, *run)) {
                of_runs.push(run);
            }
            labels.push(failed);
        }
    }
    let group = |((problem, method, kind), (of_runs, labels)): ((String, &str, &str), (Vec<&RunSummary>, Vec<_>))| {
        let labels: Vec<&FailedLabel> = labels;
        let asked = asked.get(&(problem.clone(), method)).copied().unwrap_or_default();
        FailedLabels {
            problem,
            method: method.to_owned(),
            kind: kind.to_owned(),
            n: labels.len(),
            asked,
            runs: of_runs.len(),
            place: of_runs.first().map(|run| place(&labels, &inputs(run))).unwrap_or_default(),
            message: labels.last().map(|label| label.message.clone()).unwrap_or_default(),
        }
    };
    groups.into_iter().map(group).collect()
}

/// For each input where the failed points lie: `x from 0.1 to 0.4`, `material steel or brass`.
fn place(labels: &[&FailedLabel], names: &[String]) -> Vec<String> {
    const MOST_LEVELS: usize = 4;
    let n = labels.iter().map(|label| label.at.len()).min().unwrap_or(0);
    let of_input = |i: usize| {
        let name = names.get(i).cloned().unwrap_or_else(|| format!("input {}", i + 1));
        let texts: BTreeSet<&str> = labels.iter().map(|label| label.at[i].as_str()).collect();
        let values: Option<Vec<f64>> = texts.iter().map(|text| text.parse().ok()).collect();
        match values {
            Some(values) => {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if low == high {
                    format!("{name} = {}", number(low))
                } else {
                    format!("{name} from {} to {}", number(low), number(high))
                }
            }
            None => {
                let mut shown: Vec<String> = texts.iter().take(MOST_LEVELS).map(|text| (*text).to_owned()).collect();
                if texts.len() > MOST_LEVELS {
                    shown.push(format!("{} more", texts.len() - MOST_LEVELS));
                }
                format!("{name} {}", list(&shown))
            }
        }
    };
    (0..n).map(of_input).collect()
}
