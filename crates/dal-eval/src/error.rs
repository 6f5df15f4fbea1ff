//! What can be wrong with numbers handed to an evaluation.

use thiserror::Error;

/// Why a metric or a statistic could not be computed. Each variant carries what was needed and what was there.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EvalError {
    /// Two arrays that must agree in shape do not.
    #[error("{what}: shape {left:?} against {right:?}")]
    ShapeMismatch {
        /// Which pair of arrays.
        what: &'static str,
        /// Shape of the first.
        left: Vec<usize>,
        /// Shape of the second.
        right: Vec<usize>,
    },
    /// Fewer values than the definition needs.
    #[error("{what}: {needed} needed, {got} given")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// The smallest number that the definition allows.
        needed: usize,
        /// The number given.
        got: usize,
    },
    /// A NaN or an infinity where a finite number is needed.
    #[error("{what}: value {value} at index {index} is not finite")]
    NonFinite {
        /// Which input.
        what: &'static str,
        /// Index in iteration order.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// A value outside the range of the definition, such as a negative error or a ratio of zero.
    #[error("{what}: value {value} at index {index} must be {must}")]
    OutOfRange {
        /// Which input.
        what: &'static str,
        /// Index in iteration order.
        index: usize,
        /// The value found.
        value: f64,
        /// The condition, as "be …".
        must: &'static str,
    },
    /// The quantity does not exist for this input, such as a correlation with a constant.
    #[error("{what} is undefined: {why}")]
    Undefined {
        /// The quantity.
        what: &'static str,
        /// The reason.
        why: &'static str,
    },
}

/// Checks that every value is finite.
pub(crate) fn check_finite(what: &'static str, values: impl IntoIterator<Item = f64>) -> Result<(), EvalError> {
    for (index, value) in values.into_iter().enumerate() {
        if !value.is_finite() {
            return Err(EvalError::NonFinite { what, index, value });
        }
    }
    Ok(())
}
