//! What models and members learned: runs and members that did not, networks of strategies, uncertainty, errors by
//! output.

use std::collections::BTreeSet;

use dal_eval::{MemberCounts, has_learned, median};
use dal_store::{MemberRecord, OutputErrorRecord};

use super::by_entry::{EntryMeasure, auxiliary_over_variance, by_entry};
use crate::data::{Entry, RunStatus, RunSummary};

/// What the models of one method on one problem at one pool ratio learned, members and all.
#[derive(Debug, Clone, Default)]
pub struct Learning {
    /// Runs with any entry.
    pub runs: usize,
    /// Their names: a method without a pool has the same runs at every pool ratio.
    pub names: BTreeSet<String>,
    /// Runs of which it is known whether the model of the last recorded entry has learned.
    pub known: usize,
    /// Of these, runs whose model has not: its test error is not below the variance of the test labels.
    pub not_learned: Vec<u64>,
    /// Members of the evaluated models, over all seeds and entries.
    pub members: MemberCounts,
    /// Entries with members that collapsed, ended in a spike or were trained anew, by seed and entry.
    pub places: Vec<Place>,
    /// The network trained for the strategy alone.
    pub auxiliary: Option<AuxiliaryFinding>,
    /// What the uncertainty was worth.
    pub uncertainty: Option<UncertaintyFinding>,
    /// What is measured at every entry, medians over the runs that have it.
    pub by_entry: Vec<(EntryMeasure, Vec<Option<f64>>)>,
    /// Errors output by output at the last entry, medians over finished runs.
    pub outputs: Vec<OutputErrorRecord>,
    /// Of problems with many outputs: their quantiles over outputs, likewise.
    pub output_quantiles: Vec<OutputErrorRecord>,
}

/// Members that did not learn, or not at once, at one entry of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The seed.
    pub seed: u64,
    /// The entry.
    pub entry: usize,
    /// Its members.
    pub members: MemberCounts,
}

/// Errors of the network trained for the strategy alone, medians over seeds and entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AuxiliaryFinding {
    /// Its test error over the variance of the test labels, where that is known.
    pub over_variance: Option<f64>,
    /// Its median test error over the median one of the evaluated models.
    pub over_model: f64,
    /// How the trainings of it ended.
    pub members: MemberCounts,
    /// Rank correlation of the scores that it gives with the evaluated models' true errors.
    pub score_correlation: Option<f64>,
}

impl AuxiliaryFinding {
    /// Above half the variance, what it says is hardly about the problem.
    pub const MOST_OVER_VARIANCE: f64 = 0.5;
    /// Four times the ensemble's error, it is about another function than the ensemble's.
    pub const MOST_OVER_MODEL: f64 = 4.0;

    /// Scores that correlate with the errors by less than this point backwards; above it, it may be noise.
    pub const LEAST_CORRELATION: f64 = -0.1;

    /// Whether its scores are high where the errors are low.
    pub fn points_backwards(&self) -> bool {
        self.score_correlation.is_some_and(|rho| rho < Self::LEAST_CORRELATION)
    }

    /// Whether choices that rest on it need a caution.
    pub fn is_doubtful(&self) -> bool {
        self.over_variance.is_some_and(|v| v > Self::MOST_OVER_VARIANCE) || self.over_model > Self::MOST_OVER_MODEL
    }
}

/// What the uncertainty of the models was worth, medians over runs; each pair over all entries and of the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UncertaintyFinding {
    /// Negative log likelihood, nats.
    pub nll: (Option<f64>, Option<f64>),
    /// Continuous ranked probability score, in standard deviations of the outputs.
    pub crps: (Option<f64>, Option<f64>),
    /// Share inside the 90 % interval.
    pub coverage_90: (Option<f64>, Option<f64>),
    /// Rank correlation of disagreement with error.
    pub rank_correlation: (Option<f64>, Option<f64>),
    /// Entries without a likelihood, as all members agree somewhere: they are in no median of it.
    pub without_likelihood: usize,
}

/// The errors of the best models so far.
#[derive(Debug, Clone)]
pub struct NowErrors {
    /// The method that chose their labels; empty where no run has got beyond the initial ones.
    pub method: String,
    /// Its pool ratio; 0 for a fixed list and for Random.
    pub pool_ratio: usize,
    /// Labels behind them: the median over runs.
    pub n_labelled: f64,
    /// Runs that this rests on.
    pub runs: usize,
    /// Errors of each output, medians over runs; none where they were not recorded or are too many.
    pub outputs: Vec<OutputErrorRecord>,
    /// The error that rankings rest on, median over runs.
    pub error: f64,
    /// That over the variance of the test labels, where known.
    pub over_variance: Option<f64>,
}

pub(super) fn middle(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    median(&values.into_iter().collect::<Vec<f64>>()).ok()
}

pub(crate) fn count(members: &[MemberRecord]) -> MemberCounts {
    MemberCounts::of_ratios(members.iter().map(|m| (m.final_over_variance, m.final_over_best, m.restarts)))
}

/// Whether the model of an entry has learned, as recorded, or by the variance of the test labels.
fn learned(entry: &Entry, variance: Option<f64>) -> Option<bool> {
    entry.learned.or_else(|| has_learned(entry.mse, variance?).ok())
}

impl Learning {
    /// Of the runs of a cell, as far as recorded; nothing is left out for its result.
    pub(super) fn of<'a>(runs: impl IntoIterator<Item = &'a RunSummary>, variance: Option<f64>) -> Self {
        let runs: Vec<&RunSummary> = runs.into_iter().filter(|run| !run.entries.is_empty()).collect();
        let names = runs.iter().map(|run| run.name.clone()).collect();
        let mut all = Self { runs: runs.len(), names, ..Self::default() };
        for run in &runs {
            if let Some(learned) = run.entries.last().and_then(|entry| learned(entry, variance)) {
                all.known += 1;
                all.not_learned.extend((!learned).then_some(run.seed));
            }
            for (entry, found) in run.entries.iter().enumerate() {
                let members = count(&found.members);
                all.members = all.members.plus(members);
                if !members.are_fine() {
                    all.places.push(Place { seed: run.seed, entry, members });
                }
            }
        }
        all.auxiliary = auxiliary(&runs, variance);
        all.uncertainty = uncertainty(&runs);
        all.by_entry = by_entry(&runs, variance);
        let done: Vec<&Entry> =
            runs.iter().filter(|r| r.status == RunStatus::Done).filter_map(|r| r.entries.last()).collect();
        (all.outputs, all.output_quantiles) = medians_by_output(&done);
        all
    }
}

fn auxiliary(runs: &[&RunSummary], variance: Option<f64>) -> Option<AuxiliaryFinding> {
    let entries = || runs.iter().flat_map(|run| &run.entries).filter(|entry| entry.auxiliary_mse.is_some());
    let shares = middle(entries().filter_map(|entry| auxiliary_over_variance(entry, variance)));
    // Errors of a user's problem are pooled ones, beside which only the share of the variance is in the same unit.
    let model = middle(entries().map(|entry| entry.mse))?;
    let own = match (shares, variance) {
        (Some(share), Some(variance)) => share * variance,
        _ => middle(entries().filter_map(|entry| entry.auxiliary_mse))?,
    };
    let members = entries().filter_map(|entry| entry.auxiliary.as_ref()).map(|a| count(&a.members));
    Some(AuxiliaryFinding {
        over_variance: shares,
        over_model: if own == model { 1.0 } else { own / model },
        members: members.fold(MemberCounts::default(), MemberCounts::plus),
        score_correlation: middle(entries().filter_map(|entry| entry.correlation)),
    })
}

fn uncertainty(runs: &[&RunSummary]) -> Option<UncertaintyFinding> {
    type Of = fn(&dal_store::UncertaintyRecord) -> Option<f64>;
    runs.iter().flat_map(|run| &run.entries).find(|entry| entry.uncertainty.is_some())?;
    let pair = |of: Of| {
        let all = runs.iter().flat_map(|run| &run.entries).filter_map(|e| of(e.uncertainty.as_ref()?));
        let last = runs.iter().filter_map(|run| of(run.entries.last()?.uncertainty.as_ref()?));
        (middle(all), middle(last))
    };
    Some(UncertaintyFinding {
        nll: pair(|u| u.nll),
        crps: pair(|u| Some(u.crps)),
        coverage_90: pair(|u| Some(u.coverage_90)),
        rank_correlation: pair(|u| u.rank_correlation),
        without_likelihood: runs
            .iter()
            .flat_map(|run| &run.entries)
            .filter(|entry| entry.uncertainty.as_ref().is_some_and(|u| u.nll.is_none()))
            .count(),
    })
}

/// Medians over entries of different runs of the errors of each output, and of the quantiles over outputs.
fn medians_by_output(entries: &[&Entry]) -> (Vec<OutputErrorRecord>, Vec<OutputErrorRecord>) {
    let recorded: Vec<_> = entries.iter().filter_map(|entry| entry.output_errors.as_ref()).collect();
    if recorded.len() != entries.len() {
        return (Vec::new(), Vec::new());
    }
    let outputs: Vec<&[OutputErrorRecord]> = recorded.iter().map(|r| r.outputs.as_slice()).collect();
    let quantiles: Vec<&[OutputErrorRecord]> = recorded.iter().map(|r| r.quantiles.as_slice()).collect();
    (medians(&outputs), medians(&quantiles))
}

fn medians(of_runs: &[&[OutputErrorRecord]]) -> Vec<OutputErrorRecord> {
    let n = of_runs.first().map_or(0, |first| first.len());
    if of_runs.iter().any(|of_run| of_run.len() != n) {
        return Vec::new();
    }
    let one = |j: usize| {
        let over = |of: fn(&OutputErrorRecord) -> f64| middle(of_runs.iter().map(|of_run| of(&of_run[j])));
        Some(OutputErrorRecord {
            rmse: over(|e| e.rmse)?,
            r2: middle(of_runs.iter().filter_map(|of_run| of_run[j].r2)),
            mae: over(|e| e.mae)?,
            p95_abs: over(|e| e.p95_abs)?,
            max_abs: over(|e| e.max_abs)?,
        })
    };
    (0..n).filter_map(one).collect()
}

/// The cell whose models, at the most labels that any run has come to, have the smallest median error.
pub(super) fn now(runs: &[&RunSummary], variance: Option<f64>) -> Option<NowErrors> {
    let furthest = runs.iter().map(|run| run.entries.len()).max().filter(|n| *n > 0)?;
    let mut cells: std::collections::BTreeMap<(&str, usize), Vec<&Entry>> = std::collections::BTreeMap::new();
    for run in runs {
        if let Some(entry) = run.entries.get(furthest - 1) {
            let any = crate::data::stands_for_every_ratio(&run.strategy);
            let pool_ratio = if any { 0 } else { run.pool_ratio.unwrap_or(0) };
            cells.entry((&run.strategy, pool_ratio)).or_default().push(entry);
        }
    }
    let of_cell = |((method, pool_ratio), entries): ((&str, usize), Vec<&Entry>)| {
        let error = middle(entries.iter().map(|entry| entry.mse))?;
        Some(NowErrors {
            method: if furthest == 1 { String::new() } else { method.to_owned() },
            pool_ratio,
            n_labelled: middle(entries.iter().map(|entry| entry.n_labelled as f64))?,
            runs: entries.len(),
            outputs: medians_by_output(&entries).0,
            error,
            over_variance: variance.filter(|v| *v > 0.0).map(|v| error / v),
        })
    };
    cells.into_iter().filter_map(of_cell).min_by(|a, b| a.error.total_cmp(&b.error))
}
