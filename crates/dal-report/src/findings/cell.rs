//! One cell, and what it is compared with: Random's values of the same problem.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    Cell, CellFinding, CurveMetric, CurvePair, CurveSpan, MetricFinding, Outcome, SeedOutcome, all_pairs_quartiles,
    labels_needed, labels_to_reach, median, paired_ratios, pooled_spread, sign_split,
};

use super::curves::{curves, final_errors};
use super::runs::{BySeed, area, diversity, of_seeds, time, values_of};
use super::{CellDetail, Curves, Learning, Problem};

/// Random's values of a problem, by seed.
pub(super) struct Baseline {
    pub(super) area: BTreeMap<u64, Outcome>,
    pub(super) diversity: BTreeMap<u64, Outcome>,
}

impl Baseline {
    pub(super) fn of(problem: &Problem, by_seed: &BySeed<'_>, span: CurveSpan) -> Self {
        let n_entries = problem.protocol.steps + 1;
        Self {
            area: values_of(&problem.seeds, by_seed, n_entries, |run| area(run, span)),
            diversity: values_of(&problem.seeds, by_seed, n_entries, diversity),
        }
    }
}

/// The runs of a cell.
pub(super) struct CellRuns<'c, 'a> {
    /// The seeds that its figures are of, ascending.
    pub(super) seeds: Vec<u64>,
    /// How many were planned for it.
    pub(super) n_planned: usize,
    /// All of its runs.
    pub(super) by_seed: &'c BySeed<'a>,
}

/// Level of the intervals of metrics beside nAUC, each of its cell by itself.
const BESIDE_LEVEL: f64 = 0.95;

/// A cell before its tests are known: what makes it of them.
pub(super) type Unjudged = Box<dyn FnOnce(CellFinding) -> CellDetail>;

pub(super) fn cell_without_tests(
    problem: &Problem,
    baseline: &Baseline,
    runs: &CellRuns<'_, '_>,
    n_auc: &[SeedOutcome],
    target: Option<f64>,
) -> Unjudged {
    let CellRuns { seeds, n_planned, by_seed } = runs;
    let n_planned = *n_planned;
    let n_entries = problem.protocol.steps + 1;
    let of_method = values_of(seeds, by_seed, n_entries, diversity);
    let ratios = paired_ratios(seeds, &of_method, &baseline.diversity);
    // A method whose batches collapse to one point has nDiv 0, which a geometric mean cannot hold.
    let n_div = Cell::of(&ratios).ok();
    let curves = curves(seeds, by_seed, n_entries);
    // Random may have been run with more seeds.
    let random = problem.random.of_seeds(seeds);
    let complete = curves.missing.is_empty() && random.missing.is_empty();
    let labels = if complete {
        let pairs = curves.per_seed.iter().zip(&curves.labels).zip(&random.per_seed);
        pairs.map(|(((_, m), labels), (_, r))| labels_to_reach(m, r, labels).ok()).collect()
    } else {
        None
    };
    let beside = if complete { beside(&curves, &random, target) } else { Vec::new() };
    let mut correlations = Vec::new();
    let mut notes = BTreeSet::new();
    for run in by_seed.values() {
        correlations.extend(run.entries.iter().filter_map(|e| e.correlation));
        notes.extend(run.entries.iter().flat_map(|e| e.notes.iter().cloned()));
    }
    let (spread, split) = (spread(n_auc), sign_split(&beside));
    let all_pairs = target.filter(|_| complete).and_then(|target| all_pairs(&curves, &random, target));
    let learning = Learning::of(by_seed.values().copied(), problem.variance);
    let (correlation, final_errors) = (median(&correlations).ok(), final_errors(&curves, &of_seeds(by_seed, seeds)));
    let (time, notes) = (time(by_seed), notes.into_iter().collect());
    Box::new(move |n_auc| CellDetail {
        n_auc,
        n_planned,
        spread,
        p_holm: None,
        n_div,
        labels,
        beside,
        all_pairs,
        split,
        learning,
        correlation,
        curves,
        final_errors,
        time,
        notes,
    })
}

/// Standard deviation over seeds of the ln ratios of a complete cell.
fn spread(outcomes: &[SeedOutcome]) -> Option<f64> {
    let logs: Option<Vec<f64>> = outcomes.iter().map(|o| o.outcome.as_ref().ok().map(|ratio| ratio.ln())).collect();
    pooled_spread([logs?.as_slice()]).ok()
}

/// The predecessor's ratio of labels needed, over all pairs of a run of the method and one of Random.
fn all_pairs(method: &Curves, random: &Curves, target: f64) -> Option<[f64; 3]> {
    let needed = |curves: &Curves| -> Option<Vec<f64>> {
        let runs = curves.per_seed.iter().zip(&curves.labels);
        runs.map(|((_, curve), labels)| labels_needed(curve, labels, target).ok()).collect()
    };
    all_pairs_quartiles(&needed(method)?, &needed(random)?).ok()
}

/// Every metric of complete curves that is defined for all seeds.
fn beside(method: &Curves, random: &Curves, target: Option<f64>) -> Vec<MetricFinding> {
    let pairs: Vec<CurvePair<'_>> = method
        .per_seed
        .iter()
        .zip(&method.labels)
        .zip(random.per_seed.iter().zip(&random.labels))
        .map(|(((_, m), labels), ((_, r), of_random))| CurvePair {
            method: m,
            random: r,
            n_labelled: labels,
            // Where labels failed, entries of both stand for different numbers of them, which a count cannot hold.
            target: target.filter(|_| labels == of_random),
        })
        .collect();
    CurveMetric::ALL.iter().filter_map(|metric| MetricFinding::of(*metric, &pairs, BESIDE_LEVEL).ok()).collect()
}
