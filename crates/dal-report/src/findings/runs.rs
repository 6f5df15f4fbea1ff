//! Numbers of single runs: area under the curve, diversity, times.

use std::collections::BTreeMap;

use dal_eval::{CurveSpan, Missing, Outcome, area_under_curve, median};

use super::{Time, TrainingTime};
use crate::data::{RunStatus, RunSummary, Seconds};

/// Runs of one cell by seed.
pub(super) type BySeed<'a> = BTreeMap<u64, &'a RunSummary>;

/// Those of the runs that are of these seeds.
pub(super) fn of_seeds<'a>(runs: &BySeed<'a>, seeds: &[u64]) -> BySeed<'a> {
    runs.iter().filter(|(seed, _)| seeds.contains(seed)).map(|(seed, run)| (*seed, *run)).collect()
}

/// Applies `value` to the finished runs; what is not finished becomes a [`Missing`].
pub(super) fn values_of(
    seeds: &[u64],
    by_seed: &BySeed<'_>,
    n_entries: usize,
    value: impl Fn(&RunSummary) -> Outcome,
) -> BTreeMap<u64, Outcome> {
    seeds.iter().map(|&seed| (seed, finished(by_seed.get(&seed).copied(), n_entries).and_then(&value))).collect()
}

/// The run, if it is finished.
pub(super) fn finished(run: Option<&RunSummary>, n_entries: usize) -> Result<&RunSummary, Missing> {
    let run = run.ok_or(Missing::Absent)?;
    match &run.status {
        RunStatus::Done if run.entries.len() == n_entries => Ok(run),
        RunStatus::Done | RunStatus::Partial => Err(Missing::Partial { got: run.entries.len(), needed: n_entries }),
        RunStatus::Failed { reason } => Err(Missing::Failed { reason: reason.clone() }),
        RunStatus::Damaged { reason } => Err(Missing::Damaged { reason: reason.clone() }),
        RunStatus::Absent => Err(Missing::Absent),
    }
}

pub(super) fn area(run: &RunSummary, span: CurveSpan) -> Outcome {
    let curve: Vec<f64> = run.entries.iter().map(|e| e.mse).collect();
    let area = area_under_curve(&curve, span, run.protocol.steps)?;
    // A zero area has no ratio; said here, where the run is known.
    if area > 0.0 { Ok(area) } else { Err(Missing::Undefined { reason: "the area under the curve is zero".into() }) }
}

pub(super) fn diversity(run: &RunSummary) -> Outcome {
    let of_steps: Option<Vec<f64>> = run.entries[..run.entries.len() - 1].iter().map(|e| e.diversity).collect();
    match of_steps {
        Some(values) if !values.is_empty() && values.iter().any(|&v| v > 0.0) => {
            Ok(values.iter().sum::<f64>() / values.len() as f64)
        }
        Some(_) => Err(Missing::Undefined { reason: "every batch is a single point repeated".into() }),
        None => Err(Missing::Undefined { reason: "a batch of fewer than two points has no diversity".into() }),
    }
}

/// Seconds of each entry of a finished run that kept them all.
fn seconds_of(run: &RunSummary) -> Option<Vec<Seconds>> {
    if run.status != RunStatus::Done {
        return None;
    }
    run.entries.iter().map(|e| e.seconds).collect()
}

pub(super) fn training_time(runs: &[&RunSummary]) -> Option<TrainingTime> {
    let all: Vec<Vec<Seconds>> = runs.iter().filter_map(|run| seconds_of(run)).filter(|s| !s.is_empty()).collect();
    let over = |of: &dyn Fn(&[Seconds]) -> f64| median(&all.iter().map(|s| of(s)).collect::<Vec<f64>>()).ok();
    Some(TrainingTime {
        first: over(&|s| s[0].training)?,
        last: over(&|s| s[s.len() - 1].training)?,
        run: over(&|s| s.iter().map(|s| s.training).sum())?,
        n_runs: all.len(),
        total: all.iter().flatten().map(|s| s.total).sum(),
    })
}

pub(super) fn time(by_seed: &BySeed<'_>) -> Option<Time> {
    let (mut sampling, mut training, mut auxiliary, mut total) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in by_seed.values() {
        let Some(seconds) = seconds_of(run) else { continue };
        // The last entry chooses nothing.
        let choosing = &seconds[..seconds.len().saturating_sub(1)];
        sampling.extend(choosing.iter().map(|s| s.sampling));
        auxiliary.extend(choosing.iter().map(|s| s.auxiliary_training));
        training.extend(seconds.iter().map(|s| s.training));
        total.push(seconds.iter().map(|s| s.total).sum());
    }
    Some(Time {
        sampling_per_step: median(&sampling).ok()?,
        training_per_entry: median(&training).ok()?,
        auxiliary_per_entry: median(&auxiliary).ok()?,
        run: median(&total).ok()?,
        n_runs: total.len(),
    })
}
