//! Counts failed labels of runs, each once.

use std::collections::BTreeSet;

use dal_store::FailedLabel;

use crate::progress::FailedLabels;

/// Failed labels, each entry of a run once: a group that is run again after a panic reads its checkpoints again.
#[derive(Default)]
pub(crate) struct Tally {
    entries: BTreeSet<(usize, usize)>,
    pub(crate) labels: FailedLabels,
}

impl Tally {
    /// Takes note of the failed labels before an entry; whether they are the first of their run.
    pub(crate) fn add(&mut self, trial: usize, entry: usize, failed: &[FailedLabel]) -> bool {
        let is_known = self.entries.range((trial, 0)..=(trial, usize::MAX)).next().is_some();
        if failed.is_empty() || !self.entries.insert((trial, entry)) {
            return false;
        }
        self.labels.add(failed);
        self.labels.runs += usize::from(!is_known);
        !is_known
    }

    /// Takes note of those of a run that is over.
    pub(crate) fn add_all(&mut self, trial: usize, failed: &[(usize, FailedLabel)]) {
        for of_entry in failed.chunk_by(|a, b| a.0 == b.0) {
            let labels: Vec<FailedLabel> = of_entry.iter().map(|(_, label)| label.clone()).collect();
            self.add(trial, of_entry[0].0, &labels);
        }
    }
}
