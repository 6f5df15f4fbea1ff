//! Values that may be missing, their pairing by seed, and the cell they form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::{EvalError, check_finite};

/// Why a run yields no value. A missing value is shown as such and never filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// No such run in the store.
    #[error("no such run")]
    Absent,
    /// The run failed.
    #[error("failed: {reason}")]
    Failed {
        /// The run's own account.
        reason: String,
    },
    /// The run is there and cannot be read.
    #[error("damaged: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// The run is unfinished.
    #[error("unfinished: {got} of {needed} entries")]
    Partial {
        /// Entries recorded.
        got: usize,
        /// Entries of a finished run.
        needed: usize,
    },
    /// The run is there, the quantity is not defined for it.
    #[error("undefined: {reason}")]
    Undefined {
        /// Why.
        reason: String,
    },
    /// The run of Random that it is compared with has no value.
    #[error("Random's run: {reason}")]
    NoBaseline {
        /// What is wrong with Random's run.
        reason: String,
    },
}

impl From<EvalError> for Missing {
    fn from(error: EvalError) -> Self {
        Self::Undefined { reason: error.to_string() }
    }
}

/// A value, or why there is none.
pub type Outcome = Result<f64, Missing>;

/// The outcome of one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedOutcome {
    /// The seed, which pairs runs of different methods.
    pub seed: u64,
    /// Its value, or why there is none.
    pub outcome: Outcome,
}

/// Divides a method's values by Random's of the same seed, for every seed of `seeds` (those that the sweep planned, so
/// that runs which never started count as missing). No unit.
///
/// A method that has no value for a seed gives that reason; otherwise a missing or non-positive value of Random gives
/// [`Missing::NoBaseline`].
///
/// ```
/// # use dal_eval::{Missing, paired_ratios};
/// # use std::collections::BTreeMap;
/// let method = BTreeMap::from([(0, Ok(3.0)), (1, Err(Missing::Failed { reason: "diverged".into() }))]);
/// let random = BTreeMap::from([(0, Ok(6.0)), (1, Ok(6.0))]);
/// let ratios = paired_ratios(&[0, 1, 2], &method, &random);
/// assert_eq!(ratios[0].outcome, Ok(0.5));
/// assert!(matches!(ratios[1].outcome, Err(Missing::Failed { .. })));
/// assert_eq!(ratios[2].outcome, Err(Missing::Absent));
/// ```
pub fn paired_ratios(
    seeds: &[u64],
    method: &BTreeMap<u64, Outcome>,
    random: &BTreeMap<u64, Outcome>,
) -> Vec<SeedOutcome> {
    let look_up =
        |values: &BTreeMap<u64, Outcome>, seed: u64| values.get(&seed).cloned().unwrap_or(Err(Missing::Absent));
    let ratio = |seed: u64| -> Outcome {
        let of_method = look_up(method, seed)?;
        let of_random = look_up(random, seed).map_err(|missing| Missing::NoBaseline { reason: missing.to_string() })?;
        let ratio = of_method / of_random;
        if of_method > 0.0 && of_random > 0.0 && ratio == 0.0 {
            let reason = format!("{of_method:e} over {of_random:e} is too small for a number");
            Err(Missing::Undefined { reason })
        } else if of_random > 0.0 && ratio.is_finite() {
            Ok(ratio)
        } else {
            Err(Missing::NoBaseline { reason: format!("value {of_random} cannot be divided by") })
        }
    };
    seeds.iter().map(|&seed| SeedOutcome { seed, outcome: ratio(seed) }).collect()
}

/// The geometric mean, exp((1 / n) Σ ln r_i), of positive ratios. No unit.
///
/// Worked example: the geometric mean of 0.5 and 2 is 1, where the arithmetic mean would say 1.25: halving and doubling
/// the error cancel.
///
/// ```
/// # use dal_eval::geometric_mean;
/// assert!((geometric_mean(&[0.5, 2.0])? - 1.0).abs() < 1e-15);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no values, [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a ratio that is not
/// positive.
pub fn geometric_mean(ratios: &[f64]) -> Result<f64, EvalError> {
    let logs = log_ratios(ratios)?;
    if logs.is_empty() {
        return Err(EvalError::TooFew { what: "ratios of a geometric mean", needed: 1, got: 0 });
    }
    Ok((logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// The natural logarithms of positive ratios.
///
/// # Errors
/// [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a ratio that is not positive.
pub(crate) fn log_ratios(ratios: &[f64]) -> Result<Vec<f64>, EvalError> {
    check_finite("ratio", ratios.iter().copied())?;
    if let Some(index) = ratios.iter().position(|&r| r <= 0.0) {
        return Err(EvalError::OutOfRange { what: "ratio", index, value: ratios[index], must: "positive" });
    }
    Ok(ratios.iter().map(|r| r.ln()).collect())
}

/// The value of one (problem, γ, method) cell over its seeds.
///
/// A cell has a value only where every planned seed has one: a mean over the seeds that survived would favour a method
/// whose bad runs fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Every seed has its ratio.
    Complete {
        /// Geometric mean of the per-seed ratios.
        value: f64,
        /// The ratios, in the order of the seeds.
        ratios: Vec<f64>,
    },
    /// At least one seed has none: no value, no verdict.
    Incomplete {
        /// Number of seeds that have a ratio.
        n_present: usize,
        /// The seeds that have none, and why.
        missing: Vec<(u64, Missing)>,
    },
}

impl Cell {
    /// Collects the outcomes of all planned seeds.
    ///
    /// ```
    /// # use dal_eval::{Cell, Missing, SeedOutcome};
    /// let fine = |seed, ratio| SeedOutcome { seed, outcome: Ok(ratio) };
    /// let cell = Cell::of(&[fine(0, 0.5), fine(1, 2.0)])?;
    /// assert!((cell.value().unwrap() - 1.0).abs() < 1e-15);
    /// let absent = SeedOutcome { seed: 1, outcome: Err(Missing::Absent) };
    /// assert_eq!(Cell::of(&[fine(0, 0.5), absent])?.value(), None);
    /// # Ok::<(), dal_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`geometric_mean`], for no seeds at all or a ratio that is not positive and finite.
    pub fn of(outcomes: &[SeedOutcome]) -> Result<Self, EvalError> {
        let mut ratios = Vec::new();
        let mut missing = Vec::new();
        for one in outcomes {
            match &one.outcome {
                Ok(ratio) => ratios.push(*ratio),
                Err(why) => missing.push((one.seed, why.clone())),
            }
        }
        if !missing.is_empty() {
            return Ok(Self::Incomplete { n_present: ratios.len(), missing });
        }
        Ok(Self::Complete { value: geometric_mean(&ratios)?, ratios })
    }

    /// The cell's value, if every seed has one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Complete { value, .. } => Some(*value),
            Self::Incomplete { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_seed_takes_the_value_away() {
        let outcomes = [
            SeedOutcome { seed: 3, outcome: Ok(0.5) },
            SeedOutcome { seed: 4, outcome: Err(Missing::Partial { got: 7, needed: 51 }) },
        ];
        let cell = Cell::of(&outcomes).unwrap();
        assert_eq!(cell.value(), None);
        assert_eq!(
            cell,
            Cell::Incomplete { n_present: 1, missing: vec![(4, Missing::Partial { got: 7, needed: 51 })] }
        );
    }

    #[test]
    fn randoms_absence_is_named() {
        let method = BTreeMap::from([(0, Ok(1.0)), (1, Ok(1.0))]);
        let random = BTreeMap::from([(1, Ok(0.0))]);
        let ratios = paired_ratios(&[0, 1], &method, &random);
        for one in &ratios {
            assert!(matches!(one.outcome, Err(Missing::NoBaseline { .. })), "{one:?}");
        }
    }

    #[test]
    fn values_are_divided_by_randoms_of_the_same_seed() {
        let method = BTreeMap::from([(0, Ok(3.0)), (1, Ok(5.0)), (2, Ok(1.0)), (3, Ok(f64::MAX)), (4, Ok(1.0))]);
        let random = BTreeMap::from([(0, Ok(4.0)), (1, Ok(2.0)), (2, Ok(-1.0)), (3, Ok(0.1)), (4, Ok(0.5))]);
        let ratios = paired_ratios(&[0, 1, 2, 3, 4, 5], &method, &random);
        let values: Vec<Option<f64>> = ratios.iter().map(|one| one.outcome.as_ref().ok().copied()).collect();
        assert_eq!(values, [Some(0.75), Some(2.5), None, None, Some(2.0), None]);
        assert_eq!(ratios[5].outcome, Err(Missing::Absent));
        assert_eq!(Cell::of(&ratios[..2]).unwrap().value(), Some(geometric_mean(&[0.75, 2.5]).unwrap()));
    }

    #[test]
    fn ratios_must_be_positive_and_finite() {
        assert!(matches!(geometric_mean(&[1.0, 0.0]), Err(EvalError::OutOfRange { index: 1, .. })));
        assert!(matches!(geometric_mean(&[f64::NAN]), Err(EvalError::NonFinite { .. })));
        assert!(matches!(geometric_mean(&[]), Err(EvalError::TooFew { .. })));
        assert!(matches!(Cell::of(&[]), Err(EvalError::TooFew { .. })));
    }
}
