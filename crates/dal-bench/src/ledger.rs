//! How far a start of a sweep is, by expected work.

use std::time::{Duration, Instant};

use crate::progress::Overall;

/// Expected work and what is behind.
pub(crate) struct Ledger {
    pub(crate) started: Instant,
    pub(crate) total: f64,
    pub(crate) done: f64,
    pub(crate) jobs: usize,
    pub(crate) runs_over: usize,
    pub(crate) runs_planned: usize,
}

impl Ledger {
    pub(crate) fn overall(&self) -> Overall {
        let left = (self.total - self.done).max(0.0);
        let fraction = if self.total > 0.0 { (self.done / self.total).min(1.0) } else { 1.0 };
        // Early on the model is all there is; later what this start achieved says more.
        let seconds = if fraction > 0.02 {
            self.started.elapsed().as_secs_f64() * left / self.done
        } else {
            left / self.jobs as f64
        };
        Overall {
            fraction,
            remaining: Duration::try_from_secs_f64(seconds).ok(),
            runs_over: self.runs_over,
            runs_planned: self.runs_planned,
        }
    }
}
