//! Hands what happens to each campaign of a group to the store: points, answers, and a record per entry.

use dal_core::{Campaign, Fitted, LabelFailure, Observer, ObserverError, Pending, Proposed, Queries};
use dal_oracles::Problem;
use dal_store::{Choice, EntryRecord, FailedLabel, RunWriter, StoreError};
use ndarray::ArrayView2;

use super::{Evaluation, Halt, Timings};

/// One trial being recorded.
pub(crate) struct Recording {
    pub(crate) writer: RunWriter,
    /// The batch whose labels are coming in.
    batch: usize,
    record: Option<EntryRecord>,
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
        Ok(Self { writer, batch, record: None })
    }

    fn failed_labels(&self, entry: usize, problem: &Problem) -> Vec<FailedLabel> {
        let Some(batch) = self.writer.checkpoint().batches.get(entry) else { return Vec::new() };
        let failed = batch.answers.iter().zip(batch.x.outer_iter()).enumerate();
        failed
            .filter_map(|(row, (answer, point))| match answer {
                Some(Err(failure)) => Some(FailedLabel {
                    row,
                    kind: failure.kind.id().to_owned(),
                    message: failure.message.clone(),
                    at: problem.in_words(point).unwrap_or_default(),
                }),
                _ => None,
            })
            .collect()
    }
}

/// Called after each entry: the campaign's place in the group, and what was recorded.
pub(crate) type OnEntry<'a> = dyn FnMut(usize, &EntryRecord) + 'a;

/// Records the trials of a group.
pub(crate) struct Records<'a> {
    pub(crate) recordings: Vec<Recording>,
    pub(crate) problem: &'a Problem,
    pub(crate) evaluation: Evaluation<'a>,
    pub(crate) timings: &'a Timings,
    pub(crate) on_entry: &'a mut OnEntry<'a>,
}

impl Records<'_> {
    /// Writes the entry down, with the points that come next.
    fn close_entry(
        &mut self,
        i: usize,
        choice: Option<Choice>,
        next: Option<(ArrayView2<'_, f64>, Option<&[usize]>)>,
    ) -> Result<(), Halt> {
        let recording = &mut self.recordings[i];
        let Some(mut record) = recording.record.take() else {
            return Err(Halt::Evaluation("an entry ended that had not begun".into()));
        };
        record.choice = choice;
        recording.writer.entry(record.clone(), Some(self.timings.take(i, record.entry)))?;
        if let Some((x, candidate_rows)) = next {
            recording.batch = record.entry + 1;
            recording.writer.batch(recording.batch, x, candidate_rows)?;
        }
        (self.on_entry)(i, &record);
        Ok(())
    }
}

impl Observer for Records<'_> {
    fn fitted(&mut self, i: usize, fitted: &Fitted<'_>) -> Result<(), ObserverError> {
        let mut record = self.evaluation.entry(fitted)?;
        record.failed_labels = self.recordings[i].failed_labels(fitted.entry, self.problem);
        self.recordings[i].record = Some(record);
        Ok(())
    }

    fn proposed(&mut self, i: usize, proposed: &Proposed<'_>) -> Result<(), ObserverError> {
        let choice = self.evaluation.choice(proposed)?;
        let decision = proposed.decision;
        debug_assert!(matches!(decision.proposal.queries, Queries::Picked(_)) || decision.candidate_rows.is_none());
        let next = (decision.queries.view(), decision.candidate_rows.as_deref());
        Ok(self.close_entry(i, Some(choice), Some(next))?)
    }

    fn labelled(&mut self, i: usize, row: usize, answer: Result<&[f64], &LabelFailure>) -> Result<(), ObserverError> {
        let recording = &mut self.recordings[i];
        recording.writer.answer(recording.batch, row, answer).map_err(Halt::Store)?;
        Ok(())
    }

    fn finished(&mut self, i: usize) -> Result<(), ObserverError> {
        Ok(self.close_entry(i, None, None)?)
    }
}
