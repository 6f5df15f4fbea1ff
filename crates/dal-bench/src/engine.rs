//! Who trains: an engine makes learners, and says how many trials it likes to train together.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dal_core::Learner;
use dal_nn::{CpuLearner, NetworkSpec, TrainingSpec};

/// Makes learners of one kind.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Id, as sweep files name it.
    fn id(&self) -> &str;
    /// A learner of these networks, for the thread that asks.
    ///
    /// # Errors
    /// A description that the engine cannot train; the reason for a person.
    fn learner(&self, network: &NetworkSpec, training: &TrainingSpec) -> Result<Box<dyn Learner>, String>;
    /// How many trials of one problem are handed to one call of `run_trials`; engines that train in lock step want many.
    fn trials_together(&self) -> usize {
        1
    }
}

/// The CPU engine: each trial on one thread by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuEngine;

impl Engine for CpuEngine {
    fn id(&self) -> &str {
        "cpu"
    }

    fn learner(&self, network: &NetworkSpec, training: &TrainingSpec) -> Result<Box<dyn Learner>, String> {
        let start = Instant::now();
        let clock = Arc::new(move || start.elapsed().as_secs_f64());
        let learner = CpuLearner::new(network.clone(), training.clone()).map_err(|error| error.to_string())?;
        Ok(Box::new(learner.with_clock(clock)))
    }
}
