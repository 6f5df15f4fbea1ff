//! What a sweep means: every trial with every default filled in, checked before anything is trained.

use std::sync::{Arc, OnceLock};

use dal_core::{Strategy, TrialSeeds};
use dal_store::{RunKey, RunSpec, SweepRecord};

use crate::engine::Engine;
use crate::problem::PlannedProblem;
use crate::rate::Rate;

/// A sweep, resolved.
#[derive(Debug)]
pub struct Plan {
    pub(crate) record: SweepRecord,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) problems: Vec<PlannedProblem>,
    pub(crate) trials: Vec<Trial>,
    /// What each problem's networks were measured to cost, once they were.
    pub(crate) rates: Vec<OnceLock<Rate>>,
}

/// One run of a plan.
#[derive(Clone, Debug)]
pub struct Trial {
    pub(crate) key: RunKey,
    pub(crate) problem: usize,
    pub(crate) strategy: Arc<dyn Strategy>,
}

impl Trial {
    /// Its key in the store.
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// Its specification.
    pub fn spec(&self) -> &RunSpec {
        &self.key.spec
    }

    /// Index of its problem in [`Plan::problems`].
    pub fn problem(&self) -> usize {
        self.problem
    }

    /// Its strategy.
    pub fn strategy(&self) -> &Arc<dyn Strategy> {
        &self.strategy
    }

    /// Its random streams.
    pub fn seeds(&self) -> TrialSeeds {
        TrialSeeds::new(&self.spec().problem.variant, self.spec().seed)
    }
}

impl Plan {
    /// The sweep's name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Whether the sweep is there for its timings and therefore runs alone, one trial at a time.
    pub fn is_timing(&self) -> bool {
        self.record.timing
    }

    /// What the store keeps of the sweep.
    pub fn record(&self) -> &SweepRecord {
        &self.record
    }

    /// Who trains.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The problems.
    pub fn problems(&self) -> &[PlannedProblem] {
        &self.problems
    }

    /// The trials, by problem, seed, strategy and pool ratio.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }
}
