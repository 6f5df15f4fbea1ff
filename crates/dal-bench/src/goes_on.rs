//! Goes on from finished runs: a longer run starts where a shorter one ended, and failed labels are asked for again.

use std::collections::HashMap;

use dal_core::{Campaign, LabelFailure, LabelFailureKind, Oracle, OracleError, Pending, Stop, every, point_key};
use dal_store::{Checkpoint, CheckpointBatch, EntryRecord, Run, Status, Store};
use ndarray::{Array2, ArrayView2, Axis, s};

use crate::plan::Trial;
use crate::problem::PlannedProblem;

/// The engine whose bytes are the same in any company, so that a run may go on from another.
const REPEATABLE: &str = "cpu";

/// The longest finished run that a trial can go on from: one that differs from it in its number of steps alone, and
/// whose pool did not run empty. `names` are those of the store's runs, sorted. A run that cannot be read is none.
pub(crate) fn shorter(store: &Store, names: &[String], trial: &Trial) -> Option<Run> {
    let own = trial.spec();
    if own.engine != REPEATABLE {
        return None;
    }
    let prefix = format!("{}-", own.label());
    let first = names.partition_point(|name| *name < prefix);
    let same_label = names[first..].iter().take_while(|name| name.starts_with(&prefix));
    let can_be_used = |run: &Run| {
        let steps = run.spec().protocol.steps;
        let mut key = run.key().clone();
        key.spec.protocol.steps = own.protocol.steps;
        key == *trial.key()
            && steps < own.protocol.steps
            && *run.status() == Status::Done
            && run.n_entries() == Some(steps + 1)
    };
    same_label.filter_map(|name| store.run(name).ok()).filter(can_be_used).max_by_key(|run| run.spec().protocol.steps)
}

/// The checkpoint that a longer run starts from: everything of a shorter one but its last model, which did not choose
/// and is trained once more. `None` where the run does not hold enough: its labels are asked for anew only of a
/// built-in problem.
pub(crate) fn from_shorter(run: &Run, trial: &Trial, problem: &PlannedProblem) -> Option<Checkpoint> {
    let mut checkpoint = whole(run, trial, problem)?;
    checkpoint.records.pop();
    let n = checkpoint.records.len();
    checkpoint.timings.retain(|timing| timing.entry < n);
    Some(checkpoint)
}

/// What the checkpoint of a finished run was before its end, all its entries included.
pub(crate) fn whole(run: &Run, trial: &Trial, problem: &PlannedProblem) -> Option<Checkpoint> {
    let (records, queries, labels) = (run.records().ok()?, run.queries().ok()?, run.labels().ok()?);
    let campaign = Campaign::new(
        problem.problem().space().clone(),
        std::sync::Arc::clone(trial.strategy()),
        problem.protocol(&trial.spec().protocol),
        trial.seeds(),
    )
    .ok()?;
    let Pending::Label(x) = campaign.pending() else { return None };
    let mut points = vec![(x.to_owned(), campaign.pending_candidate_rows().map(<[usize]>::to_vec))];
    // The candidates of a table are distinct points.
    let rows: Option<HashMap<Box<[u64]>, usize>> = problem
        .split
        .as_ref()
        .map(|split| split.candidates.outer_iter().enumerate().map(|(row, point)| (point_key(point), row)).collect());
    let mut at = 0;
    for choice in records.iter().map_while(|record| record.choice.as_ref()) {
        let end = at + choice.n_queries;
        if end > queries.nrows() {
            return None;
        }
        let x = queries.slice(s![at..end, ..]).to_owned();
        let candidate_rows = match &rows {
            Some(rows) => {
                Some(x.outer_iter().map(|point| rows.get(&point_key(point)).copied()).collect::<Option<_>>()?)
            }
            None => None,
        };
        points.push((x, candidate_rows));
        at = end;
    }
    if at != queries.nrows() || points.len() != records.len() {
        return None;
    }
    let mut first = 0;
    let mut batches = Vec::with_capacity(points.len());
    for ((x, candidate_rows), record) in points.into_iter().zip(&records) {
        let answers = match &labels {
            Some(labels) if first + x.nrows() <= labels.nrows() => {
                kept_answers(x.view(), labels.slice(s![first..first + x.nrows(), ..]), record)?
            }
            None if problem.problem().card().is_some() => asked(problem.oracle(), x.view())?,
            _ => return None,
        };
        first += x.nrows();
        batches.push(CheckpointBatch { x, candidate_rows, answers });
    }
    let timings = run.timings().unwrap_or_default();
    Some(Checkpoint { batches, records, timings, ..Checkpoint::default() })
}

type Answers = Vec<Option<Result<Vec<f64>, LabelFailure>>>;

/// The answers of a batch from the rows of `labels.npy` that are about it; of failed ones its record says why.
fn kept_answers(x: ArrayView2<'_, f64>, labels: ArrayView2<'_, f64>, record: &EntryRecord) -> Option<Answers> {
    let n_columns = x.ncols();
    let answer = |row: usize| {
        let kept = labels.row(row);
        if kept.len() <= n_columns || point_key(kept.slice(s![..n_columns])) != point_key(x.row(row)) {
            return None;
        }
        let values = kept.slice(s![n_columns..]).to_vec();
        if values.iter().all(|value| value.is_finite()) {
            return Some(Some(Ok(values)));
        }
        let failed = record.failed_labels.iter().find(|failed| failed.row == row)?;
        Some(Some(Err(LabelFailure::new(LabelFailureKind::of_id(&failed.kind)?, &failed.message))))
    };
    (0..x.nrows()).map(answer).collect()
}

/// The answers of a built-in problem, which are the same at any time.
fn asked(oracle: &dyn Oracle, x: ArrayView2<'_, f64>) -> Option<Answers> {
    let mut answers: Answers = vec![None; x.nrows()];
    let mut keep = every(|row, answer| answers[row] = Some(answer.map(<[f64]>::to_vec)));
    oracle.label(x, &Stop::new(), &mut keep).ok()?;
    drop(keep);
    Some(answers)
}

/// Asks again for the failed labels of a run, batch by batch, until one of a batch is answered: then what the run is to
/// go on from, which is everything before that batch's model. `None` where all of them fail again.
pub(crate) fn asked_again(
    checkpoint: &Checkpoint,
    oracle: &dyn Oracle,
    stop: &Stop,
) -> Result<Option<Checkpoint>, OracleError> {
    for (at, batch) in checkpoint.batches.iter().enumerate() {
        let is_failed = |row: &usize| matches!(batch.answers[*row], Some(Err(_)));
        let failed: Vec<usize> = (0..batch.x.nrows()).filter(is_failed).collect();
        if failed.is_empty() {
            continue;
        }
        let mut answers = batch.answers.clone();
        let mut some_answer = false;
        let x: Array2<f64> = batch.x.select(Axis(0), &failed);
        let mut keep = every(|k, answer| {
            some_answer |= answer.is_ok();
            answers[failed[k]] = Some(answer.map(<[f64]>::to_vec));
        });
        oracle.label(x.view(), stop, &mut keep)?;
        drop(keep);
        if some_answer {
            let mut batches = checkpoint.batches[..=at].to_vec();
            batches[at].answers = answers;
            let timings = checkpoint.timings.iter().filter(|timing| timing.entry < at).copied().collect();
            let records = checkpoint.records[..at].to_vec();
            return Ok(Some(Checkpoint { batches, records, timings, ..Checkpoint::default() }));
        }
    }
    Ok(None)
}
