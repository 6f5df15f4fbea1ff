//! The reference engine: one member, layer by layer over the whole batch, in plain loops over `f32` or `f64`.
//!
//! With [`Loops`] it is what every faster engine is tested against; with [`Gemm`] for the matrix products it is what
//! the bench of training has beside the fast one.

mod pass;

use std::marker::PhantomData;
use std::ops::Range;

use crate::products::{Gemm, Loops, Products};
use crate::real::Real;
use crate::training::{AdamScalars, MemberState, MemberTrainer, TrainError, TrainJob, TrainLog};
use dal_core::model::BatchNormStatistics;
use pass::Pass;

/// Trains one member by layer-wise loops, with matrix products computed by `P`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainTrainer<P>(PhantomData<P>);

impl PlainTrainer<Loops> {
    /// The reference: simple loops throughout.
    pub fn loops() -> Self {
        Self(PhantomData)
    }
}

impl PlainTrainer<Gemm> {
    /// The same with products from the `gemm` crate.
    pub fn gemm() -> Self {
        Self(PhantomData)
    }
}

impl<T: Real, P: Products> MemberTrainer<T> for PlainTrainer<P> {
    fn train(
        &self,
        job: &TrainJob<'_, T>,
        state: &mut MemberState<T>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError> {
        let last = epochs.end == job.training.epochs;
        log.losses.reserve(epochs.len());
        let mut pass = Pass::new(job);
        let mut gradient = vec![T::ZERO; state.params.len()];
        for epoch in epochs.clone() {
            job.check_stop(epoch)?;
            let loss = pass.forward::<P>(job, &state.params, epoch);
            log.losses.push(loss);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { member: 0, epoch, loss });
            }
            pass.move_statistics(job, &mut state.running_mean, &mut state.running_var);
            pass.backward::<P>(job, &state.params, epoch, &mut gradient);
            adam_step(job, state, &gradient);
            if let Some(plateau) = &job.training.plateau {
                state.learning_rate = state.plateau.next_rate(plateau, loss, state.learning_rate);
            }
        }
        if last && job.network.batch_norm().is_some_and(|bn| bn.statistics == BatchNormStatistics::Recomputed) {
            pass.forward::<P>(job, &state.params, epochs.end);
            pass.copy_statistics(job, &mut state.running_mean, &mut state.running_var);
        }
        let finite = |values: &[T]| values.iter().all(|v| v.is_finite());
        if finite(&state.params) && finite(&state.running_mean) && finite(&state.running_var) {
            Ok(())
        } else {
            let loss = log.losses.last().copied().unwrap_or(f64::NAN);
            Err(TrainError::Diverged { member: 0, epoch: epochs.end.saturating_sub(1), loss })
        }
    }

    fn gradient(&self, job: &TrainJob<'_, T>, state: &MemberState<T>, epoch: usize, gradient: &mut [T]) -> f64 {
        let mut pass = Pass::new(job);
        let loss = pass.forward::<P>(job, &state.params, epoch);
        pass.backward::<P>(job, &state.params, epoch, gradient);
        loss
    }
}

/// One Adam step with L2 decay; afterwards parameters and moments of negligible magnitude are zero.
fn adam_step<T: Real>(job: &TrainJob<'_, T>, state: &mut MemberState<T>, gradient: &[T]) {
    state.steps += 1;
    let s = AdamScalars::<T>::new(job.training, state.learning_rate, state.steps);
    let moments = state.first_moment.iter_mut().zip(&mut state.second_moment);
    for ((parameter, (m, v)), &g) in state.params.iter_mut().zip(moments).zip(gradient) {
        let g = g + s.weight_decay * *parameter;
        *m = (s.beta1 * *m + s.one_minus_beta1 * g).flushed();
        *v = (s.beta2 * *v + s.one_minus_beta2 * (g * g)).flushed();
        *parameter = (*parameter - s.step_size * *m / (v.sqrt() * s.root_scale + s.eps)).flushed();
    }
}
