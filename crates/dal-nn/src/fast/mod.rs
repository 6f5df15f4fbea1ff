//! The fast engine: one member at a time on the calling thread, all of it in cache, in hand-written vector kernels.
//!
//! Activations lie feature by feature with the points along the vector lanes, so narrow layers waste nothing;
//! BatchNorm's sums are gathered where a product leaves its registers, its application and its backward pass where the
//! next product reads. `dal_kernels` holds all of that and its `unsafe` code; `member` the order of an epoch.

mod buffer;
mod head;
mod member;

use std::ops::Range;

use self::member::Member;
use crate::real::Real;
use crate::training::{AdamScalars, MemberState, MemberTrainer, TrainError, TrainJob, TrainLog};
use dal_core::model::BatchNormStatistics;
use dal_kernels::Kernels;

/// Trains members in `f32` with the vector kernels of one instruction set.
///
/// Gradients differ from the plain loops' by rounding alone; biases that feed BatchNorm, whose gradient is exactly
/// zero, get exactly zero.
#[derive(Clone, Copy)]
pub struct FastTrainer {
    kernels: &'static Kernels,
}

impl std::fmt::Debug for FastTrainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FastTrainer").field("path", &self.path()).finish()
    }
}

impl Default for FastTrainer {
    /// The fastest instruction set of the running processor.
    fn default() -> Self {
        Self { kernels: dal_kernels::available()[0] }
    }
}

impl FastTrainer {
    /// The paths that the running processor has, the fastest first: of `avx512`, `avx2`, `neon`, `portable`.
    pub fn paths() -> Vec<&'static str> {
        let mut names: Vec<&'static str> = dal_kernels::available().iter().map(|kernels| kernels.name()).collect();
        names.dedup();
        names
    }

    /// One trainer for each set of kernels that the running processor has, also where two compute the same bits.
    #[cfg(test)]
    pub(crate) fn every() -> Vec<Self> {
        dal_kernels::available().into_iter().map(|kernels| Self { kernels }).collect()
    }

    /// The trainer of path `name`, if the running processor has it: of kernels that compute the same bits the fastest.
    pub fn with_path(name: &str) -> Option<Self> {
        dal_kernels::available().into_iter().find(|kernels| kernels.name() == name).map(|kernels| Self { kernels })
    }

    /// The instruction set in use.
    pub fn path(&self) -> &'static str {
        self.kernels.name()
    }

    /// The part of the numeric platform that results depend on: instruction set and order of sums. Two machines with
    /// the same text compute the same bits.
    pub fn platform(&self) -> String {
        format!("cpu/{}/{}", self.path(), dal_kernels::BLOCKING)
    }

    /// Does multiply-adds from registers alone and returns how many flops that were: timed by a caller, the most that
    /// any kernel of this path can reach.
    pub fn peak_work(&self, rounds: usize) -> f64 {
        2.0 * self.kernels.peak(rounds)
    }
}

impl MemberTrainer<f32> for FastTrainer {
    fn train(
        &self,
        job: &TrainJob<'_, f32>,
        state: &mut MemberState<f32>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError> {
        let last = epochs.end == job.training.epochs;
        log.losses.reserve(epochs.len());
        let mut member = Member::new(self.kernels, job, state);
        for epoch in epochs.clone() {
            if let Err(stopped) = job.check_stop(epoch) {
                member.store(state);
                return Err(stopped);
            }
            let loss = member.forward(state, epoch);
            log.losses.push(loss);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { member: 0, epoch, loss });
            }
            if let Some(spec) = job.network.batch_norm() {
                member.move_statistics(state, spec.momentum);
            }
            state.steps += 1;
            let rate = state.learning_rate;
            let scalars = AdamScalars::new(job.training, rate, state.steps);
            member.backward(Some(&scalars));
            if let Some(plateau) = &job.training.plateau {
                state.learning_rate = state.plateau.next_rate(plateau, loss, rate);
            }
        }
        member.store(state);
        let recomputed = |spec: &crate::BatchNormSpec| spec.statistics == BatchNormStatistics::Recomputed;
        if last && job.network.batch_norm().is_some_and(recomputed) {
            member.forward(state, epochs.end);
            member.move_statistics(state, 1.0);
        }
        let finite = [&state.params, &state.running_mean, &state.running_var]
            .iter()
            .all(|values| values.iter().all(|value| Real::is_finite(*value)));
        if !finite {
            let loss = log.losses.last().copied().unwrap_or(f64::NAN);
            return Err(TrainError::Diverged { member: 0, epoch: epochs.end.saturating_sub(1), loss });
        }
        Ok(())
    }

    fn gradient(&self, job: &TrainJob<'_, f32>, state: &MemberState<f32>, epoch: usize, gradient: &mut [f32]) -> f64 {
        let mut member = Member::new(self.kernels, job, state);
        let loss = member.forward(state, epoch);
        member.backward(None);
        gradient.copy_from_slice(&member.gradient);
        loss
    }
}
