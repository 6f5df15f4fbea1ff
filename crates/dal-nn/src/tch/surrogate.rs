//! A trained ensemble on its device.

use dal_core::{Committee, Dropout, InputGradient, LossHead, Surrogate, SurrogateError, Tangent, TrainingCost};
use ndarray::{Array2, ArrayView2};

use super::device::{TchOptions, TchSetupError};
use crate::surrogate::CpuSurrogate;

/// An ensemble trained by [`TchLearner`](super::TchLearner).
#[derive(Debug)]
pub struct TchSurrogate {
    host: CpuSurrogate,
}

impl TchSurrogate {
    /// Brings an ensemble to a device.
    ///
    /// # Errors
    /// [`TchSetupError`] where the device is not there.
    pub fn new(host: CpuSurrogate, options: TchOptions) -> Result<Self, TchSetupError> {
        options.open()?;
        Ok(Self { host })
    }

    /// The same ensemble for the CPU engine, which can also save it.
    pub fn to_cpu(&self) -> &CpuSurrogate {
        &self.host
    }
}

impl Surrogate for TchSurrogate {
    fn n_inputs(&self) -> usize {
        self.host.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.host.n_outputs()
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.host.mean(x)
    }

    fn committee(&self) -> Option<&dyn Committee> {
        self.host.committee()
    }

    fn input_gradient(&self) -> Option<&dyn InputGradient> {
        self.host.input_gradient()
    }

    fn dropout(&self) -> Option<&dyn Dropout> {
        self.host.dropout()
    }

    fn loss_head(&self) -> Option<&dyn LossHead> {
        self.host.loss_head()
    }

    fn tangent(&self) -> Option<&dyn Tangent> {
        self.host.tangent()
    }

    fn training_cost(&self) -> TrainingCost {
        self.host.training_cost()
    }
}
