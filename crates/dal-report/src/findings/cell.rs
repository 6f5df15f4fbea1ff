//! One cell, and what it is compared with: Random's values of the same problem.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{Cell, CellFinding, CurveSpan, EvalError, LabelsToReach, Outcome, labels_to_reach, paired_ratios};

use super::curves::{curves, final_errors};
use super::runs::{BySeed, area, diversity, median, time, values_of};
use super::{CellDetail, Curves, FinalErrors, Problem, Time};
use crate::data::{BASELINE, RunSummary};

/// Random's values of a problem, by seed.
pub(super) struct Baseline {
    pub(super) area: BTreeMap<u64, Outcome>,
    pub(super) diversity: BTreeMap<u64, Outcome>,
}

impl Baseline {
    pub(super) fn of(problem: &Problem, runs: &[&RunSummary], span: CurveSpan) -> Self {
        let by_seed: BySeed<'_> =
            runs.iter().filter(|run| run.strategy == BASELINE).map(|run| (run.seed, *run)).collect();
        let n_entries = problem.protocol.steps + 1;
        Self {
            area: values_of(&problem.seeds, &by_seed, n_entries, |run| area(run, span)),
            diversity: values_of(&problem.seeds, &by_seed, n_entries, diversity),
        }
    }
}

/// A cell before its tests are known.
pub(super) struct Unjudged {
    n_div: Option<Cell>,
    labels: Option<Vec<LabelsToReach>>,
    correlation: Option<f64>,
    curves: Curves,
    final_errors: Option<FinalErrors>,
    time: Option<Time>,
    notes: Vec<String>,
}

impl Unjudged {
    pub(super) fn judged(self, n_auc: CellFinding) -> CellDetail {
        let Self { n_div, labels, correlation, curves, final_errors, time, notes } = self;
        CellDetail { n_auc, p_holm: None, n_div, labels, correlation, curves, final_errors, time, notes }
    }
}

pub(super) fn cell_without_tests(
    problem: &Problem,
    baseline: &Baseline,
    by_seed: &BySeed<'_>,
    n_entries: usize,
) -> Result<Unjudged, EvalError> {
    let of_method = values_of(&problem.seeds, by_seed, n_entries, diversity);
    let ratios = paired_ratios(&problem.seeds, &of_method, &baseline.diversity);
    // A method whose batches collapse to one point has nDiv 0, which a geometric mean cannot hold.
    let n_div = Cell::of(&ratios).ok();
    let curves = curves(&problem.seeds, by_seed, n_entries);
    let labels = if curves.missing.is_empty() && problem.random.missing.is_empty() {
        let pairs = curves.per_seed.iter().zip(&problem.random.per_seed);
        pairs.map(|((_, m), (_, r))| labels_to_reach(m, r, &problem.n_labelled).ok()).collect()
    } else {
        None
    };
    let mut correlations = Vec::new();
    let mut notes = BTreeSet::new();
    for run in by_seed.values() {
        correlations.extend(run.entries.iter().filter_map(|e| e.correlation));
        notes.extend(run.entries.iter().flat_map(|e| e.notes.iter().cloned()));
    }
    Ok(Unjudged {
        n_div,
        labels,
        correlation: median(&correlations),
        final_errors: final_errors(&curves, by_seed),
        curves,
        time: time(by_seed),
        notes: notes.into_iter().collect(),
    })
}
