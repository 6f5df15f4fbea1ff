//! Measures how long each campaign of a group takes, piece by piece.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use dal_core::{Clock, Fitted, LabelFailure, Observer, ObserverError, Proposed};
use dal_store::EntryTiming;

/// Seconds of the entry that each campaign of a group is at; the stopwatch fills them, the records take them.
#[derive(Debug)]
pub(crate) struct Timings(RefCell<Vec<EntryTiming>>);

impl Timings {
    /// Of so many campaigns.
    pub(crate) fn of(n: usize) -> Self {
        Self(RefCell::new(vec![EntryTiming::default(); n]))
    }

    fn add(&self, campaign: usize, to: impl FnOnce(&mut EntryTiming)) {
        if let Some(timing) = self.0.borrow_mut().get_mut(campaign) {
            to(timing);
        }
    }

    /// What was measured of an entry that is over.
    pub(crate) fn take(&self, campaign: usize, entry: usize) -> EntryTiming {
        let timing = self.0.borrow_mut().get_mut(campaign).map(std::mem::take).unwrap_or_default();
        EntryTiming { entry, ..timing }
    }
}

/// Stands before all observers whose work on a model is to be measured as its evaluation, and before the records.
pub(crate) struct Stopwatch<'a> {
    timings: &'a Timings,
    /// What a model's answers to the strategy are timed by.
    clock: Clock,
    last: Instant,
    training_share: f64,
}

impl<'a> Stopwatch<'a> {
    pub(crate) fn new(timings: &'a Timings) -> Self {
        let began = Instant::now();
        let clock: Clock = Arc::new(move || began.elapsed().as_secs_f64());
        Self { timings, clock, last: began, training_share: 0.0 }
    }

    /// Seconds since the last event of this group.
    fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        seconds
    }
}

impl Observer for Stopwatch<'_> {
    fn fitting(&mut self, _: &[usize]) {
        self.lap();
    }

    fn fit_ended(&mut self, group: &[usize]) {
        self.training_share = self.lap() / group.len() as f64;
        for &i in group {
            self.timings.add(i, |timing| timing.trained_together = group.len());
        }
    }

    fn clock(&self) -> Option<Clock> {
        Some(Arc::clone(&self.clock))
    }

    fn fitted(&mut self, i: usize, fitted: &Fitted<'_>) -> Result<(), ObserverError> {
        let cost = fitted.surrogate.training_cost();
        let auxiliary = cost.auxiliary_seconds.unwrap_or(0.0);
        let model = cost.model_seconds.unwrap_or((self.training_share - auxiliary).max(0.0));
        self.timings.add(i, |timing| (timing.auxiliary_training, timing.training) = (auxiliary, model));
        self.lap();
        Ok(())
    }

    fn proposing(&mut self, i: usize) {
        let seconds = self.lap();
        self.timings.add(i, |timing| timing.evaluation = seconds);
    }

    fn proposed(&mut self, i: usize, proposed: &Proposed<'_>) -> Result<(), ObserverError> {
        let seconds = self.lap();
        self.timings.add(i, |timing| {
            timing.sampling = seconds;
            timing.sampling_model = proposed.decision.model_seconds.unwrap_or(0.0);
        });
        Ok(())
    }

    fn asking(&mut self, _: usize) {
        self.lap();
    }

    fn labelled(&mut self, i: usize, _: usize, _: Result<&[f64], &LabelFailure>) -> Result<(), ObserverError> {
        let seconds = self.lap();
        self.timings.add(i, |timing| timing.labelling += seconds);
        Ok(())
    }
}
