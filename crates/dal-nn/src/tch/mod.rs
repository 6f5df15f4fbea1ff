//! The engine on libtorch: many members of many jobs as batched tensors, on the CPU or on CUDA devices.
//!
//! `blocks` says how the members' parameters lie in one tensor, `pass` is forward and backward, `adam` the optimiser
//! and its schedule, `batch` the epochs, `trainer` the parts and threads, `evaluate` trained members, `learner` and
//! `surrogate` the interfaces of `dal-core`, `tangent` products of parameter gradients. All arithmetic is libtorch's
//! but for the optimiser's step on the CPU, which has a fused kernel, and products of parameter gradients there.

mod adam;
mod batch;
mod blocks;
mod device;
mod engine;
mod evaluate;
mod learner;
mod masks;
mod pass;
mod surrogate;
mod tangent;
#[cfg(test)]
mod tests;
mod trainer;

#[cfg(test)]
pub(crate) use tests::{conformance_engines, conformance_predictions};

pub use device::{TchDevice, TchOptions, TchSetupError, load_cuda_backend, tch_platform};
pub use engine::TchEngine;
pub use learner::TchLearner;
pub use surrogate::TchSurrogate;
pub use trainer::{TchTrainError, TchTrainer};
