//! Watches a group of trials: evaluates each model, times everything, and hands records and answers to the store.

use std::sync::Arc;
use std::time::Instant;

use dal_core::{
    Campaign, Clock, Fitted, LabelFailure, Observer, ObserverError, Oracle, Pending, Proposed, Queries, RunError, Stop,
    Surrogate, every,
};
use dal_eval::{ErrorSummary, batch_diversity, rank_correlation};
use dal_store::{Choice, EntryErrors, EntryRecord, EntryTiming, FailedLabel, RunWriter, StoreError};
use ndarray::{Array2, ArrayView2, s};
use thiserror::Error;

use crate::problem::TestSet;

/// Pool points that the correlation of score and error is taken over, at most: a prefix of the pool, which is in random order.
const RANKED_POINTS: usize = 400;

/// Why an observer halted its campaign.
#[derive(Debug, Error)]
pub(crate) enum Halt {
    /// The disk refused something else of this group before; the checkpoint stands.
    #[error("stopped")]
    Stopped,
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model cannot be judged.
    #[error("{0}")]
    Evaluation(String),
}

/// One trial being recorded.
pub(crate) struct Recording {
    pub(crate) writer: RunWriter,
    /// The batch whose labels are coming in.
    batch: usize,
    record: Option<EntryRecord>,
    timing: EntryTiming,
    proposing: Instant,
}

impl Recording {
    /// Notes the campaign's initial points, unless a checkpoint has them.
    pub(crate) fn new(mut writer: RunWriter, campaign: &Campaign) -> Result<Self, StoreError> {
        let batch = writer.checkpoint().complete_batches().len();
        if batch == 0
            && let Pending::Label(x) = campaign.pending()
        {
            writer.batch(0, x, campaign.pending_candidate_rows())?;
        }
        Ok(Self { writer, batch, record: None, timing: EntryTiming::default(), proposing: Instant::now() })
    }

    fn failed_labels(&self, entry: usize) -> Vec<FailedLabel> {
        let answers = self.writer.checkpoint().batches.get(entry).map_or(&[][..], |batch| &batch.answers);
        let failed = answers.iter().enumerate().filter_map(|(row, answer)| match answer {
            Some(Err(failure)) => Some(FailedLabel {
                row,
                kind: failure.kind.id().to_owned(),
                message: failure.message.clone(),
                at: Vec::new(),
            }),
            _ => None,
        });
        failed.collect()
    }

    /// Writes the entry down, with the points that come next.
    fn close_entry(
        &mut self,
        choice: Option<Choice>,
        next: Option<(ArrayView2<'_, f64>, Option<&[usize]>)>,
    ) -> Result<EntryRecord, Halt> {
        let Some(mut record) = self.record.take() else {
            return Err(Halt::Evaluation("an entry ended that had not begun".into()));
        };
        record.choice = choice;
        let timing = EntryTiming { entry: record.entry, ..std::mem::take(&mut self.timing) };
        self.writer.entry(record.clone(), Some(timing))?;
        if let Some((x, candidate_rows)) = next {
            self.batch = record.entry + 1;
            self.writer.batch(self.batch, x, candidate_rows)?;
        }
        Ok(record)
    }
}

/// Called after each entry: the campaign's place in the group, and what was recorded.
pub(crate) type OnEntry<'a> = dyn FnMut(usize, &EntryRecord) + 'a;

/// Records the trials of a group.
pub(crate) struct Recorder<'a> {
    pub(crate) recordings: Vec<Recording>,
    pub(crate) test: &'a TestSet,
    /// The oracle, where asking it about pool points that nobody chose costs next to nothing.
    pub(crate) cheap_oracle: Option<&'a dyn Oracle>,
    pub(crate) on_entry: &'a mut OnEntry<'a>,
    pub(crate) last: Instant,
    /// What a model's answers to the strategy are timed by.
    pub(crate) clock: Clock,
    pub(crate) training_share: f64,
    /// The campaign whose model is being evaluated and used: who is to blame for a panic.
    pub(crate) at: Option<usize>,
    /// The disk refused; nothing more is trained.
    pub(crate) broken: bool,
}

impl Recorder<'_> {
    fn evaluate(&mut self, i: usize, fitted: &Fitted<'_>) -> Result<(), Halt> {
        let failed = |error: &dyn std::fmt::Display| Halt::Evaluation(format!("evaluating on the test set: {error}"));
        let predicted = fitted.surrogate.mean(self.test.x.view()).map_err(|e| failed(&e))?;
        let errors = summary(predicted.view(), self.test.y.view()).map_err(|e| failed(&e))?;
        let recording = &mut self.recordings[i];
        let mut record = EntryRecord::new(fitted.entry, fitted.labelled.len(), errors);
        record.failed_labels = recording.failed_labels(fitted.entry);
        if let Some(dropout) = fitted.surrogate.dropout() {
            let predicted = dropout.mean(self.test.x.view()).map_err(|e| failed(&e))?;
            record.auxiliary_mse = Some(summary(predicted.view(), self.test.y.view()).map_err(|e| failed(&e))?.mse);
        }
        recording.record = Some(record);
        Ok(())
    }

    fn choice(&mut self, proposed: &Proposed<'_>) -> Result<Choice, Halt> {
        let decision = proposed.decision;
        let (score_error_correlation, n_ranked) = match (&decision.proposal.scores, self.cheap_oracle) {
            (Some(scores), Some(oracle)) => {
                let n = decision.pool.nrows().min(RANKED_POINTS);
                let x = decision.pool.slice(s![..n, ..]);
                let errors = absolute_errors(x, oracle, proposed.surrogate)?;
                let scores: Vec<f64> = scores.iter().take(n).copied().collect();
                // Constant scores or errors have no ranks to compare: then there is no value.
                errors.and_then(|errors| Some((rank_correlation(&scores, &errors).ok()?, n))).unzip()
            }
            _ => (None, None),
        };
        Ok(Choice {
            n_pool: decision.pool.nrows(),
            n_queries: decision.queries.nrows(),
            diversity: batch_diversity(decision.queries.view()).ok(),
            score_error_correlation,
            n_ranked: n_ranked.unwrap_or(0),
            notes: decision.notes.clone(),
        })
    }

    /// Seconds since the last event of this group.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        seconds
    }
}

fn summary(predicted: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> Result<EntryErrors, dal_eval::EvalError> {
    let errors = ErrorSummary::of(predicted, truth)?;
    Ok(EntryErrors { mse: errors.mse, mae: errors.mae, p95_abs: errors.p95_abs, max_abs: errors.max_abs })
}

/// The absolute error at each point, mean over outputs; `None` where the oracle gave no label for one.
fn absolute_errors(
    x: ArrayView2<'_, f64>,
    oracle: &dyn Oracle,
    surrogate: &dyn Surrogate,
) -> Result<Option<Vec<f64>>, Halt> {
    let failed = |error: &dyn std::fmt::Display| Halt::Evaluation(format!("evaluating on the pool: {error}"));
    let predicted = surrogate.mean(x).map_err(|e| failed(&e))?;
    let mut truth = Array2::from_elem(predicted.raw_dim(), f64::NAN);
    let mut keep = every(|row, answer| {
        if let Ok(label) = answer
            && label.len() == truth.ncols()
        {
            truth.row_mut(row).assign(&ndarray::aview1(label));
        }
    });
    oracle.label(x, &Stop::new(), &mut keep).map_err(|e| failed(&e))?;
    drop(keep);
    let errors = (&predicted - &truth).mapv(f64::abs).mean_axis(ndarray::Axis(1));
    Ok(errors.map(|errors| errors.to_vec()).filter(|errors| errors.iter().all(|e| e.is_finite())))
}

impl Observer for Recorder<'_> {
    fn starting(&mut self, _: usize) -> Result<(), ObserverError> {
        if self.broken {
            return Err(Halt::Stopped.into());
        }
        Ok(())
    }

    fn fitting(&mut self, _: &[usize]) {
        self.at = None;
        self.lap();
    }

    fn fit_ended(&mut self, group: &[usize]) {
        self.training_share = self.lap() / group.len() as f64;
        for &i in group {
            self.recordings[i].timing.trained_together = group.len();
        }
    }

    fn clock(&self) -> Option<Clock> {
        Some(Arc::clone(&self.clock))
    }

    fn fitted(&mut self, i: usize, fitted: &Fitted<'_>) -> Result<(), ObserverError> {
        self.at = Some(i);
        let cost = fitted.surrogate.training_cost();
        let timing = &mut self.recordings[i].timing;
        timing.auxiliary_training = cost.auxiliary_seconds.unwrap_or(0.0);
        timing.training = cost.model_seconds.unwrap_or((self.training_share - timing.auxiliary_training).max(0.0));
        self.lap();
        self.evaluate(i, fitted)?;
        self.recordings[i].timing.evaluation = self.lap();
        Ok(())
    }

    fn proposing(&mut self, i: usize) {
        self.recordings[i].proposing = Instant::now();
    }

    fn proposed(&mut self, i: usize, proposed: &Proposed<'_>) -> Result<(), ObserverError> {
        let recording = &mut self.recordings[i];
        recording.timing.sampling = recording.proposing.elapsed().as_secs_f64();
        recording.timing.sampling_model = proposed.decision.model_seconds.unwrap_or(0.0);
        let choice = self.choice(proposed)?;
        let decision = proposed.decision;
        let next = (decision.queries.view(), decision.candidate_rows.as_deref());
        debug_assert!(matches!(decision.proposal.queries, Queries::Picked(_)) || decision.candidate_rows.is_none());
        let record = self.recordings[i].close_entry(Some(choice), Some(next))?;
        (self.on_entry)(i, &record);
        self.lap();
        self.at = None;
        Ok(())
    }

    fn labelled(&mut self, i: usize, row: usize, answer: Result<&[f64], &LabelFailure>) -> Result<(), ObserverError> {
        let seconds = self.lap();
        let recording = &mut self.recordings[i];
        recording.timing.labelling += seconds;
        recording.writer.answer(recording.batch, row, answer).map_err(Halt::Store)?;
        Ok(())
    }

    fn finished(&mut self, i: usize) -> Result<(), ObserverError> {
        let record = self.recordings[i].close_entry(None, None)?;
        (self.on_entry)(i, &record);
        self.at = None;
        Ok(())
    }

    fn failed(&mut self, _: usize, error: &RunError) {
        self.at = None;
        if let RunError::Observer(error) = error {
            self.broken |= matches!(error.downcast_ref(), Some(Halt::Store(_)));
        }
    }
}
