//! What a sweep tells its watcher, and how it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use dal_core::LabelFailure;
use dal_store::{EntryRecord, FailedLabel, Failure, Status};

use crate::learning::Learning;
use crate::plan::Trial;
use crate::remember::Taken;

/// Watches a sweep; called from worker threads, so it must be quick.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// What happens in a sweep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A point of the test set of a user's problem was answered, now or at an earlier start.
    TestPoint {
        /// The problem's variant.
        problem: &'a str,
        /// Points answered, failures included.
        answered: usize,
        /// Points of the test set.
        of: usize,
    },
    /// Points of a test set have no label and are left out.
    TestPointsFailed {
        /// The problem's variant.
        problem: &'a str,
        /// Their places among the points drawn, and why.
        failures: &'a [(usize, LabelFailure)],
        /// Points drawn.
        of: usize,
    },
    /// The store is of an older version, which kept the answers of a user's problem in it.
    OldAnswers {
        /// The problem.
        problem: &'a str,
        /// What was taken over.
        taken: &'a Taken,
    },
    /// Of the labels that earlier starts paid for, some cannot be read any more and are asked for again.
    LabelsDamaged {
        /// The problem's id.
        problem: &'a str,
        /// Bytes that were cut short or spoilt.
        dropped_bytes: u64,
    },
    /// The store was looked through; work begins.
    Planned {
        /// Runs of the sweep.
        planned: usize,
        /// Of these over already.
        skipped: usize,
        /// Of these with a checkpoint that is taken up.
        resumed: usize,
        /// Of these that go on from a finished run of fewer steps.
        extended: usize,
        /// Expected duration of what is left.
        remaining: Option<Duration>,
    },
    /// A worker took up a run.
    RunStarted {
        /// 0-based worker.
        worker: usize,
        /// The run.
        trial: &'a Trial,
        /// Entries that its checkpoint holds.
        entries_done: usize,
        /// Bytes at the end of its checkpoint that were torn or damaged and are done again.
        dropped_bytes: u64,
    },
    /// A model was trained, evaluated and used for a choice, and that is on disk.
    EntryFinished {
        /// 0-based worker.
        worker: usize,
        /// The run.
        trial: &'a Trial,
        /// What was recorded.
        record: &'a EntryRecord,
        /// The sweep as a whole.
        overall: Overall,
    },
    /// Labels of a batch failed, before the model of an entry that was just recorded.
    LabelsFailed {
        /// The run.
        trial: &'a Trial,
        /// 0-based entry.
        entry: usize,
        /// The failed ones.
        failed: &'a [FailedLabel],
        /// Points that were asked for.
        of: usize,
        /// Whether it is the first time in this run.
        is_first: bool,
    },
    /// A finished run with failed labels was looked at again and stands as it is.
    RunStands {
        /// The run.
        trial: &'a Trial,
        /// Why; `None` where the labels failed again.
        why: Option<&'a str>,
    },
    /// A program answers nothing any more, not even what it answered before; what needs it is left at its checkpoint.
    ProgramDown {
        /// The problem's variant.
        problem: &'a str,
        /// What was seen.
        message: &'a str,
    },
    /// A run is over, or was left at its checkpoint because of a stop.
    RunEnded {
        /// 0-based worker.
        worker: usize,
        /// The run.
        trial: &'a Trial,
        /// How it stands.
        status: &'a Status,
        /// The sweep as a whole.
        overall: Overall,
    },
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overall {
    /// Share of this start's expected work that is done, in [0, 1].
    pub fraction: f64,
    /// Expected time left; `None` until there is something to go by.
    pub remaining: Option<Duration>,
    /// Runs that are over, those skipped included.
    pub runs_over: usize,
    /// Runs of the sweep.
    pub runs_planned: usize,
}

/// How a start of a sweep ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Runs of the sweep.
    pub planned: usize,
    /// Runs that were done before this start.
    pub skipped: usize,
    /// Runs that failed before this start and were not tried again.
    pub skipped_failed: usize,
    /// Runs that this start finished.
    pub finished: usize,
    /// Runs that failed in this start.
    pub failed: Vec<FailedRun>,
    /// What did not learn among the models that this start trained.
    pub learning: Learning,
    /// Runs that lie in the store damaged: they are neither taken as done nor run again until they are set aside.
    pub damaged: Vec<DamagedRun>,
    /// Runs that were left at their checkpoints, or not begun, because the program that answers their queries is down.
    pub waiting: Vec<WaitingRun>,
    /// Runs that other processes are at work on.
    pub elsewhere: Vec<ElsewhereRun>,
    /// Failed labels of all the runs that were looked at, those done before included.
    pub failed_labels: FailedLabels,
    /// Whether a stop was asked for; what is missing stands at its checkpoints.
    pub stopped: bool,
    /// Duration of this start.
    pub elapsed: Duration,
}

impl Summary {
    /// Runs that are neither done nor failed nor damaged.
    pub fn left(&self) -> usize {
        self.planned - self.skipped - self.skipped_failed - self.finished - self.failed.len() - self.damaged.len()
    }
}

/// A run in the store that is not what it was when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRun {
    /// Name of its directory.
    pub directory: String,
    /// What is wrong, where, and what to do.
    pub reason: String,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedRun {
    /// Name of its directory.
    pub directory: String,
    /// Why.
    pub failure: Failure,
}

/// A run that another process is at work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElsewhereRun {
    /// Its name.
    pub directory: String,
    /// Which process, in words.
    pub by: String,
}

/// A run that waits for its program.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingRun {
    /// Name of its directory.
    pub directory: String,
    /// What was seen of the program.
    pub message: String,
}

/// Labels that failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailedLabels {
    /// How many.
    pub labels: usize,
    /// Runs that they are missing in.
    pub runs: usize,
    /// How many of each kind, by its id.
    pub kinds: BTreeMap<String, usize>,
    /// The message of the last one.
    pub message: String,
}

impl FailedLabels {
    /// Takes note of those of one run's entry.
    pub(crate) fn add(&mut self, failed: &[FailedLabel]) {
        self.labels += failed.len();
        for label in failed {
            *self.kinds.entry(label.kind.clone()).or_default() += 1;
            self.message.clone_from(&label.message);
        }
    }
}
