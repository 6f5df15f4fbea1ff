//! How a search is run and watched; none of it changes results.

use crate::chosen::{CampaignResult, Method};
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
        /// Campaigns that it holds.
        campaigns: usize,
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
    /// A campaign came to its end, and that is on disk.
    Campaign {
        /// Which network.
        candidate: &'a Candidate,
        /// Who chose its training sets.
        method: Method,
        /// How it ended.
        result: &'a CampaignResult,
        /// Work that this start has done.
        done: f64,
        /// Work left of this network's campaigns.
        left: f64,
    },
}
