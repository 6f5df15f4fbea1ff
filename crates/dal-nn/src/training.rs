//! The seam between engines: what training one member takes, changes and returns, and the scalar rules all share.

use std::ops::Range;

use crate::params::{Layout, LossHeadShape};
use crate::real::Real;
use dal_core::Stop;
use dal_core::model::{NetworkSpec, PlateauSpec, TrainingSpec};

/// Why a training could not go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The loss, or at the end a parameter or statistic, stopped being finite.
    #[error("training of member {member} diverged in epoch {epoch} (counted from 0): the loss is {loss}")]
    Diverged {
        /// The member (0 until the learner fills it in).
        member: usize,
        /// The epoch, from 0.
        epoch: usize,
        /// The loss of that epoch; finite where it was a parameter or statistic that was not.
        loss: f64,
    },
    /// [`TrainJob::stop`] asked for an end; the state is that after the last whole epoch.
    #[error("training was stopped before epoch {epoch} (counted from 0)")]
    Stopped {
        /// The epoch that was not begun.
        epoch: usize,
    },
}

/// Dropout while training: unit `u` of hidden layer `l` (after its ReLU) is kept for point `i` in epoch `e` with
/// probability `1 − rate` and then divided by it. Whether it is kept is a function of (key, e, l, i, u): half-word
/// `u mod 8` (low half first) of the Philox4x32-10 block at counter `[e, l, i, u / 8]`, compared with
/// `round(65536 rate)`: kept if not below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DropoutTraining {
    /// Probability that a unit is dropped, in `[0, 1)`.
    pub rate: f64,
    /// Key of the Philox generator.
    pub key: [u32; 2],
}

/// An auxiliary head trained along to rank points by their loss.
///
/// Hidden layer `l` of the last `shape.n_layers` gives `relu(A_l h_l + a_l)`, concatenated into the score `l̂`. With
/// `ℓ_i` the squared error of point `i` in training mode (mean over outputs, a constant for differentiation) and an
/// epoch's permutation `π` (Fisher–Yates on Philox under `key`), the pairs are `(π_0, π_1), (π_2, π_3), …`, an odd last
/// one dropped, and `R = mean max(0, margin − s (l̂_i − l̂_j))`, `s = 1` if `ℓ_i > ℓ_j`, else −1 (0 without a pair).
/// The gradient is that of `loss + weight · R`; from epoch `joint_epochs` (counted from 0) on, `R` no longer reaches
/// the hidden layers. The plateau watches the regression loss alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossHeadTraining {
    /// Layers read and features per layer.
    pub shape: LossHeadShape,
    /// Epochs in which `R` also moves the network.
    pub joint_epochs: usize,
    /// Weight of `R`.
    pub weight: f64,
    /// Margin of the ranking loss.
    pub margin: f64,
    /// Key of the permutations' Philox generator.
    pub key: [u32; 2],
}

/// Everything that training one member reads.
///
/// Loss: `mean_{i,j} (f_j(x_i) − y_ij)²` over points and outputs.
#[derive(Debug, Clone, Copy)]
pub struct TrainJob<'a, T> {
    /// The network.
    pub network: &'a NetworkSpec,
    /// Its layout, the loss head's parameters included where [`TrainJob::loss_head`] is set.
    pub layout: &'a Layout,
    /// How it is trained (`n_members` is not read here).
    pub training: &'a TrainingSpec,
    /// Inputs, row-major `(n, n_inputs)`, finite.
    pub x: &'a [T],
    /// Labels, row-major `(n, n_outputs)`, finite.
    pub y: &'a [T],
    /// Number of points, at least 1.
    pub n: usize,
    /// Dropout after every hidden layer, if any.
    pub dropout: Option<DropoutTraining>,
    /// The auxiliary loss head, if any.
    pub loss_head: Option<LossHeadTraining>,
    /// Looked at before each epoch, if given: training ends there on [`StopLevel::Now`](dal_core::StopLevel::Now).
    pub stop: Option<&'a Stop>,
}

impl<T> TrainJob<'_, T> {
    /// An error where this epoch must not begin any more.
    pub(crate) fn check_stop(&self, epoch: usize) -> Result<(), TrainError> {
        match self.stop {
            Some(stop) if stop.is_now() => Err(TrainError::Stopped { epoch }),
            _ => Ok(()),
        }
    }
}

/// A member and its optimiser between two epochs: copying it and training on gives the same bits as never stopping.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberState<T> {
    /// Parameters, laid out by [`Layout`].
    pub params: Vec<T>,
    /// BatchNorm's running means, [`Layout::n_statistics`] of them; 0 at first.
    pub running_mean: Vec<T>,
    /// BatchNorm's running variances; 1 at first.
    pub running_var: Vec<T>,
    /// Adam's first moments.
    pub first_moment: Vec<T>,
    /// Adam's second moments.
    pub second_moment: Vec<T>,
    /// Adam steps taken.
    pub steps: u64,
    /// The learning rate of the next epoch.
    pub learning_rate: f64,
    /// The schedule's memory.
    pub plateau: Plateau,
}

impl<T: Real> MemberState<T> {
    /// A member about to be trained from `params`.
    pub fn new(layout: &Layout, params: Vec<T>, training: &TrainingSpec) -> Self {
        let n = params.len();
        Self {
            params,
            running_mean: vec![T::ZERO; layout.n_statistics()],
            running_var: vec![T::ONE; layout.n_statistics()],
            first_moment: vec![T::ZERO; n],
            second_moment: vec![T::ZERO; n],
            steps: 0,
            learning_rate: training.learning_rate,
            plateau: Plateau::default(),
        }
    }
}

/// What a training left to look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainLog {
    /// The regression loss of each epoch, before its update.
    pub losses: Vec<f64>,
}

/// An engine's core: trains one member, on the calling thread, from a given state.
///
/// Two implementations exist: plain loops over `f32` or `f64`, and the fast `f32` one that is tested against them. An
/// epoch `e` computes the loss in training mode, moves the running statistics, differentiates, takes one Adam step at
/// the current rate (L2 decay added to the gradient, [`AdamScalars`]), flushes what [`Real::flushed`] says, then shows
/// the loss to the plateau rule.
pub trait MemberTrainer<T: Real>: Send + Sync {
    /// Runs the epochs of `epochs` (absolute numbers: masks, permutations and the loss head's phase depend on them).
    ///
    /// Where `epochs` ends at `training.epochs` and the network asks for recomputed BatchNorm statistics, they replace
    /// the running ones at the end. Losses are appended to `log`. No allocation per epoch.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] in the first epoch whose loss is not finite, or, with the last epoch's number, when a
    /// parameter or statistic is not finite at the end; [`TrainError::Stopped`] before the epoch that a stop forbids.
    fn train(
        &self,
        job: &TrainJob<'_, T>,
        state: &mut MemberState<T>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError>;

    /// The loss at `state`, and the gradient that epoch `epoch` would hand to Adam, before the L2 term is added. Biases
    /// that feed BatchNorm get exactly zero, which is their gradient.
    fn gradient(&self, job: &TrainJob<'_, T>, state: &MemberState<T>, epoch: usize, gradient: &mut [T]) -> f64;
}

/// The memory of [`PlateauSpec`]'s rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    /// The best loss seen.
    pub best: f64,
    /// Epochs since it improved enough.
    pub stalled: usize,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { best: f64::INFINITY, stalled: 0 }
    }
}

impl Plateau {
    /// Shows the rule one epoch's loss and returns the rate of the next epoch.
    pub fn next_rate(&mut self, spec: &PlateauSpec, loss: f64, rate: f64) -> f64 {
        if loss < self.best * (1.0 - spec.threshold) {
            self.best = loss;
            self.stalled = 0;
        } else {
            self.stalled += 1;
        }
        if self.stalled > spec.patience {
            self.stalled = 0;
            let lower = rate * spec.factor;
            if rate - lower > 1e-8 {
                return lower;
            }
        }
        rate
    }
}

/// The scalars of one Adam step, computed in f64 and rounded once.
///
/// With `g` the gradient plus `weight_decay · θ`: `m ← β1 m + (1 − β1) g`, `v ← β2 v + (1 − β2) g²`,
/// `θ ← θ − step_size · m / (√v · root_scale + eps)`, where `step_size = rate / (1 − β1^t)` and
/// `root_scale = 1 / √(1 − β2^t)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamScalars<T> {
    /// β1.
    pub beta1: T,
    /// 1 − β1.
    pub one_minus_beta1: T,
    /// β2.
    pub beta2: T,
    /// 1 − β2.
    pub one_minus_beta2: T,
    /// Rate over the first moment's bias correction.
    pub step_size: T,
    /// Inverse root of the second moment's bias correction.
    pub root_scale: T,
    /// ε.
    pub eps: T,
    /// L2 decay.
    pub weight_decay: T,
}

impl<T: Real> AdamScalars<T> {
    /// The scalars of step `step` (from 1) at `rate`; decay and eps as [`DecayReading`](dal_core::model::DecayReading)
    /// says.
    pub fn new(training: &TrainingSpec, rate: f64, step: u64) -> Self {
        let (t, spec) = (step as f64, &training.adam);
        let factor = training.decay_factor();
        Self {
            beta1: T::from_f64(spec.beta1),
            one_minus_beta1: T::from_f64(1.0 - spec.beta1),
            beta2: T::from_f64(spec.beta2),
            one_minus_beta2: T::from_f64(1.0 - spec.beta2),
            step_size: T::from_f64(rate / (1.0 - libm::pow(spec.beta1, t))),
            root_scale: T::from_f64(1.0 / (1.0 - libm::pow(spec.beta2, t)).sqrt()),
            eps: T::from_f64(spec.eps * factor),
            weight_decay: T::from_f64(training.weight_decay * factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plateau_rule_counts_as_published() {
        let spec = PlateauSpec::default();
        let mut plateau = Plateau::default();
        let mut rate = plateau.next_rate(&spec, 1.0, 1e-3);
        // Improvements of less than one part in ten thousand do not count: ten are forgiven, the eleventh costs.
        for k in 1..=10 {
            rate = plateau.next_rate(&spec, 1.0 - 5e-6 * k as f64, rate);
            assert_eq!(rate, 1e-3);
        }
        rate = plateau.next_rate(&spec, 0.99995, rate);
        assert_eq!(rate, 1e-3 * 0.8);
        assert_eq!(plateau.stalled, 0);
        assert_eq!(plateau.best, 1.0);
        // A change of at most 1e-8 is skipped.
        let mut plateau = Plateau { best: 1.0, stalled: 10 };
        assert_eq!(plateau.next_rate(&spec, 1.0, 4e-8), 4e-8);
        assert_eq!(plateau.stalled, 0);
    }
}
