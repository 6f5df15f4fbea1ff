//! How a search is run and watched; none of it changes results.

use crate::journal::TrialResult;
use crate::space::Candidate;

/// How a search is run; none of it changes results.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Worker threads; each makes one call of the engine at a time.
    pub jobs: usize,
}

/// Watches a search; called from worker threads, so it must be quick.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// What happens in a search.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The journal was read.
    Resumed {
        /// Trainings that it holds.
        trainings: usize,
        /// Bytes of it that were torn or damaged; what they said is done again.
        dropped_bytes: u64,
    },
    /// Points are being labelled.
    Labelling,
    /// A stage begins.
    Stage {
        /// What it is, in words.
        name: String,
        /// Networks in it.
        networks: usize,
        /// Trainings in it.
        trainings: usize,
    },
    /// An ensemble was trained and judged, and that is on disk.
    Trained {
        /// Which network.
        candidate: &'a Candidate,
        /// How it did.
        result: &'a TrialResult,
        /// Work that this start has done.
        done: f64,
        /// Work expected to be left.
        left: f64,
    },
}
