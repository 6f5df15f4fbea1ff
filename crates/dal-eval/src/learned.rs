//! What did not learn: single models, whole problems, and members of an ensemble.

use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::errors::median;

fn check_error(what: &'static str, value: f64) -> Result<(), EvalError> {
    match value {
        v if !v.is_finite() => Err(EvalError::NonFinite { what, index: 0, value }),
        v if v < 0.0 => Err(EvalError::OutOfRange { what, index: 0, value, must: "non-negative" }),
        _ => Ok(()),
    }
}

/// Whether a model has learned: its test MSE lies below the variance of the outputs, which is the MSE of the best
/// constant. Both in the same unit (pooled figures: against 1). A run that has not learned stays in every average and
/// is counted.
///
/// ```
/// # use dal_eval::has_learned;
/// assert!(has_learned(0.3, 1.0)?);
/// assert!(!has_learned(784.0, 47.6)?);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a negative number.
pub fn has_learned(mse: f64, variance: f64) -> Result<bool, EvalError> {
    check_error("test error", mse)?;
    check_error("variance of the outputs", variance)?;
    Ok(mse < variance)
}

/// The share of the outputs' variance above which Random's final error says that a problem is not learned.
pub const LEARNABLE_SHARE: f64 = 0.5;

/// Whether Random learns a problem, on which depends whether the problem takes part in rankings: the whole of it or
/// nothing of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learnability {
    /// Median over Random's runs of the last entry's test MSE.
    pub median_error: f64,
    /// The same over the outputs' variance; infinite for outputs without any.
    pub share: f64,
    /// Whether the problem takes part: the share is at most one half.
    pub in_rankings: bool,
}

impl Learnability {
    /// Judges a problem (with one network and training) by the test MSE of the last entry of each of Random's runs.
    ///
    /// Worked example: 0.2, 0.9, 0.4, 0.8 with variance 1: median 0.6 above one half, so the problem is left out and
    /// named.
    ///
    /// ```
    /// # use dal_eval::Learnability;
    /// let found = Learnability::of(&[0.2, 0.9, 0.4, 0.8], 1.0)?;
    /// assert!((found.share - 0.6).abs() < 1e-15 && !found.in_rankings);
    /// # Ok::<(), dal_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::TooFew`] for no runs, [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a negative number.
    pub fn of(final_errors: &[f64], variance: f64) -> Result<Self, EvalError> {
        for error in final_errors {
            check_error("final test error", *error)?;
        }
        check_error("variance of the outputs", variance)?;
        let median_error = median(final_errors)?;
        let share = if variance > 0.0 {
            median_error / variance
        } else if median_error > 0.0 {
            f64::INFINITY
        } else {
            // A constant that is predicted exactly.
            0.0
        };
        Ok(Self { median_error, share, in_rankings: share <= LEARNABLE_SHARE })
    }
}

/// A member whose final training loss is above this share of its labels' variance has collapsed.
pub const COLLAPSED_SHARE: f64 = 0.5;

/// A member whose final training loss is above this many times its own best is unsettled.
pub const UNSETTLED_FACTOR: f64 = 10.0;

/// How the training of one member ended.
///
/// All three in the unit of the training loss (mean squared error over points and outputs, as trained on); the variance
/// is that of the labels it was trained on, mean over outputs, which is the loss of the best constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemberTraining {
    /// Training loss at the last epoch.
    pub final_loss: f64,
    /// The smallest training loss of any epoch.
    pub best_loss: f64,
    /// Variance of the training labels.
    pub label_variance: f64,
}

impl MemberTraining {
    /// Final loss over the variance of the labels; `None` where the labels are all equal, which leaves nothing to
    /// explain.
    pub fn over_variance(&self) -> Option<f64> {
        (self.label_variance > 0.0).then(|| self.final_loss / self.label_variance)
    }

    /// Final loss over the best: 1 where training ends at its best, infinite where the best was 0 and the end is not.
    pub fn over_best(&self) -> f64 {
        if self.final_loss == self.best_loss { 1.0 } else { self.final_loss / self.best_loss }
    }

    /// Whether it predicts hardly better than a constant: the loss ends above one half of the variance. A loss that is
    /// not finite counts as collapsed.
    pub fn collapsed(&self) -> bool {
        !self.final_loss.is_finite() || self.over_variance().is_some_and(|share| share > COLLAPSED_SHARE)
    }

    /// Whether it ends in a spike: the loss ends above ten times its own best. A loss that is not finite counts as one.
    pub fn unsettled(&self) -> bool {
        !self.final_loss.is_finite() || self.over_best() > UNSETTLED_FACTOR
    }
}

/// Counts of members that did not learn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberCounts {
    /// Members trained.
    pub trained: usize,
    /// Of these, collapsed ones.
    pub collapsed: usize,
    /// Of these, unsettled ones; a member can be both.
    pub unsettled: usize,
    /// How often members were trained anew because they had collapsed; one that learned then is neither of the two.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl MemberCounts {
    /// Counts members.
    ///
    /// ```
    /// # use dal_eval::{MemberCounts, MemberTraining};
    /// let fine = MemberTraining { final_loss: 0.01, best_loss: 0.01, label_variance: 1.0 };
    /// let dead = MemberTraining { final_loss: 0.98, best_loss: 0.9, label_variance: 1.0 };
    /// let spike = MemberTraining { final_loss: 2e-5, best_loss: 1.9e-6, label_variance: 1.0 };
    /// let counts = MemberCounts::of([fine, dead, spike]);
    /// assert_eq!((counts.trained, counts.collapsed, counts.unsettled), (3, 1, 1));
    /// assert!(!counts.within(2, 4));
    /// ```
    pub fn of(members: impl IntoIterator<Item = MemberTraining>) -> Self {
        let mut counts = Self::default();
        for member in members {
            counts.trained += 1;
            counts.collapsed += usize::from(member.collapsed());
            counts.unsettled += usize::from(member.unsettled());
        }
        counts
    }

    /// Counts members of which only ratios were kept: final loss over the variance of the labels (`None` where these
    /// are all equal, which is no collapse) and over the best loss (`None` where that was 0 and the end is not, which
    /// is unsettled), with how often each was trained anew.
    ///
    /// ```
    /// # use dal_eval::MemberCounts;
    /// let counts = MemberCounts::of_ratios([(Some(0.01), Some(1.0), 0), (Some(0.98), Some(1.1), 5), (None, None, 0)]);
    /// assert_eq!((counts.trained, counts.collapsed, counts.unsettled, counts.restarts), (3, 1, 1, 5));
    /// ```
    pub fn of_ratios(members: impl IntoIterator<Item = (Option<f64>, Option<f64>, usize)>) -> Self {
        let mut counts = Self::default();
        for (over_variance, over_best, restarts) in members {
            counts.restarts += restarts;
            counts.trained += 1;
            counts.collapsed += usize::from(over_variance.is_some_and(|share| share > COLLAPSED_SHARE));
            counts.unsettled += usize::from(over_best.is_none_or(|factor| factor > UNSETTLED_FACTOR));
        }
        counts
    }

    /// Both counts added up.
    pub fn plus(self, other: Self) -> Self {
        Self {
            trained: self.trained + other.trained,
            collapsed: self.collapsed + other.collapsed,
            unsettled: self.unsettled + other.unsettled,
            restarts: self.restarts + other.restarts,
        }
    }

    /// Whether no member has collapsed, is unsettled, or was trained anew.
    pub fn are_fine(&self) -> bool {
        self.collapsed + self.unsettled + self.restarts == 0
    }

    /// Whether at most one member in `per_collapsed` has collapsed and at most one in `per_unsettled` is unsettled. The
    /// bar of `dal tune` is one in 500 and one in 50.
    pub fn within(&self, per_collapsed: usize, per_unsettled: usize) -> bool {
        self.collapsed.saturating_mul(per_collapsed) <= self.trained
            && self.unsettled.saturating_mul(per_unsettled) <= self.trained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(final_loss: f64, best_loss: f64, label_variance: f64) -> MemberTraining {
        MemberTraining { final_loss, best_loss, label_variance }
    }

    #[test]
    fn a_constant_has_not_learned() {
        assert_eq!((has_learned(0.9, 1.0), has_learned(1.0, 1.0)), (Ok(true), Ok(false)));
        assert_eq!(has_learned(0.0, 0.0), Ok(false));
        assert!(matches!(has_learned(f64::NAN, 1.0), Err(EvalError::NonFinite { .. })));
        assert!(matches!(has_learned(1.0, -1.0), Err(EvalError::OutOfRange { .. })));
    }

    #[test]
    fn a_problem_is_left_out_by_the_median_of_its_runs() {
        // One dead run of three leaves the problem in; two take it out.
        assert!(Learnability::of(&[0.1, 0.1, 1.0], 1.0).unwrap().in_rankings);
        assert!(!Learnability::of(&[0.1, 1.0, 1.0], 1.0).unwrap().in_rankings);
        // Exactly one half is not above it.
        assert!(Learnability::of(&[0.25, 0.75], 1.0).unwrap().in_rankings);
        assert_eq!(Learnability::of(&[0.75], 2.0).unwrap().share, 0.375);
        assert_eq!(Learnability::of(&[0.1], 0.0).unwrap().share, f64::INFINITY);
        assert!(Learnability::of(&[0.0], 0.0).unwrap().in_rankings);
        assert!(matches!(Learnability::of(&[], 1.0), Err(EvalError::TooFew { .. })));
        assert!(matches!(Learnability::of(&[f64::INFINITY], 1.0), Err(EvalError::NonFinite { .. })));
    }

    #[test]
    fn thresholds_are_exclusive() {
        assert!(!member(0.5, 0.5, 1.0).collapsed() && member(0.500_001, 0.5, 1.0).collapsed());
        assert!(!member(10.0, 1.0, 1e6).unsettled() && member(10.001, 1.0, 1e6).unsettled());
        assert_eq!(member(3.0, 1.0, 4.0).over_variance(), Some(0.75));
        // Of members of which only ratios were kept, too.
        let members = [(0.5, 10.0), (0.51, 1.0), (0.52, 2.0), (0.1, 10.1), (0.2, 11.0), (0.3, 12.0)];
        let kept = MemberCounts::of_ratios(members.map(|(share, factor)| (Some(share), Some(factor), 0)));
        assert_eq!(kept, MemberCounts { trained: 6, collapsed: 2, unsettled: 3, restarts: 0 });
        let whole = members.map(|(share, factor)| member(share, share / factor, 1.0));
        assert_eq!(MemberCounts::of(whole), kept);
    }

    #[test]
    fn degenerate_trainings_are_defined() {
        // Equal labels leave nothing to explain: never collapsed.
        assert_eq!(member(3.0, 1.0, 0.0).over_variance(), None);
        assert!(!member(3.0, 1.0, 0.0).collapsed());
        // A best loss of zero that was kept is settled, one that was left is not.
        assert!(!member(0.0, 0.0, 1.0).unsettled());
        assert!(member(1e-9, 0.0, 1.0).unsettled());
        assert!(member(f64::NAN, 0.1, 1.0).collapsed() && member(f64::NAN, 0.1, 1.0).unsettled());
        assert!(member(f64::INFINITY, 0.1, 0.0).collapsed());
    }

    #[test]
    fn bars_are_at_most() {
        let counts = |trained, collapsed, unsettled| MemberCounts { trained, collapsed, unsettled, restarts: 1 };
        assert!(counts(500, 1, 10).within(500, 50));
        assert!(!counts(499, 1, 0).within(500, 50));
        assert!(!counts(500, 0, 11).within(500, 50));
        assert!(counts(0, 0, 0).within(500, 50));
        assert_eq!(counts(5, 3, 2).plus(counts(7, 1, 4)), MemberCounts { restarts: 2, ..counts(12, 4, 6) });
        // What was mended by another training is not fine, and is told.
        assert!(!counts(5, 0, 0).are_fine() && MemberCounts { trained: 5, ..MemberCounts::default() }.are_fine());
    }
}
