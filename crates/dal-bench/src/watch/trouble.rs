//! What went wrong: a disk that refuses, and the campaign that was at work when something panicked.

use dal_core::{Fitted, LabelFailure, Observer, ObserverError, RunError};

use dal_store::StoreError;

use super::Halt;

/// Keeps a group from training once the disk refused something of one of its campaigns.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    is_broken: bool,
}

impl Observer for Breaker {
    fn starting(&mut self, _: usize) -> Result<(), ObserverError> {
        if self.is_broken { Err(Halt::Stopped.into()) } else { Ok(()) }
    }

    fn failed(&mut self, _: usize, error: &RunError) {
        if let RunError::Observer(error) = error {
            self.is_broken |= {
                let is_refused = |error: &StoreError| !matches!(error, StoreError::TakenOver { .. });
                matches!(error.downcast_ref(), Some(Halt::Store(error)) if is_refused(error))
            };
        }
    }
}

/// The campaign whose model is being evaluated and used: a panic is its failure. `None` during training and labelling,
/// which a group shares.
#[derive(Debug, Default)]
pub(crate) struct Doing {
    pub(crate) at: Option<usize>,
}

impl Observer for Doing {
    fn fitting(&mut self, _: &[usize]) {
        self.at = None;
    }

    fn fitted(&mut self, i: usize, _: &Fitted<'_>) -> Result<(), ObserverError> {
        self.at = Some(i);
        Ok(())
    }

    fn asking(&mut self, _: usize) {
        self.at = None;
    }

    fn labelled(&mut self, _: usize, _: usize, _: Result<&[f64], &LabelFailure>) -> Result<(), ObserverError> {
        self.at = None;
        Ok(())
    }
}
