//! Who trains: an engine makes learners, and says how many trials it likes to train together.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dal_core::Learner;
use dal_nn::{CpuLearner, NetworkSpec, TrainingSpec};

/// An engine with where and how it trains, as sweep files name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineChoice<'a> {
    /// `cpu` or `tch`.
    pub id: &'a str,
    /// `cpu` or `cuda:N`; `None`: the processor.
    pub device: Option<&'a str>,
    /// Of the matrix products in training: `f32`, `tf32` or `bf16`; `None`: f32.
    pub precision: Option<&'a str>,
}

/// Makes learners of one kind.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Id, as sweep files name it.
    fn id(&self) -> &str;
    /// Where it trains, as sweep files name it; kept with a run's provenance.
    fn device(&self) -> String {
        "cpu".into()
    }
    /// A learner of these networks, for the thread that asks.
    ///
    /// # Errors
    /// A description that the engine cannot train; the reason for a person.
    fn learner(&self, network: &NetworkSpec, training: &TrainingSpec) -> Result<Box<dyn Learner>, String>;
    /// How many trials of a problem with such networks are driven by one call of `run_trials`, at most; engines that train in
    /// lock step want many. Everything that a step trains is in memory at once.
    fn trials_together(&self, _network: &NetworkSpec, _training: &TrainingSpec) -> usize {
        1
    }
    /// Worker threads where the user does not say, on a machine of so many processors.
    fn default_jobs(&self, n_cpus: usize) -> usize {
        n_cpus
    }
    /// Whether the engine can go on, asked after a trial failed: a device that was lost fails every later training, so the
    /// sweep ends there instead of recording failures to its end.
    ///
    /// # Errors
    /// Why it cannot; the reason for a person.
    fn check(&self) -> Result<(), String> {
        Ok(())
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
