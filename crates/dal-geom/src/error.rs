//! The errors of this crate.

use thiserror::Error;

/// Why a geometric computation was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GeomError {
    /// A coordinate is NaN or infinite.
    #[error("{what}: row {row}, column {column} is {value}; every coordinate must be finite")]
    NonFinite {
        /// Which point set.
        what: &'static str,
        /// Row of the first offending coordinate, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// Its value.
        value: f64,
    },
    /// Two point sets that must share a dimension do not.
    #[error("{what}: points have {found} coordinates, expected {expected}")]
    Dimension {
        /// Which point set.
        what: &'static str,
        /// Coordinates wanted.
        expected: usize,
        /// Coordinates found.
        found: usize,
    },
    /// Two point sets that must have the same number of points do not.
    #[error("{what}: {found} points, expected {expected}")]
    Count {
        /// Which point set.
        what: &'static str,
        /// Points wanted.
        expected: usize,
        /// Points found.
        found: usize,
    },
    /// A point set is empty where at least one point is needed.
    #[error("{what} is empty; at least one point is needed")]
    Empty {
        /// Which point set.
        what: &'static str,
    },
    /// A count lies outside what the points allow.
    #[error("{what} is {found}; it must lie between {least} and {most}")]
    OutOfRange {
        /// The parameter.
        what: &'static str,
        /// Its value.
        found: usize,
        /// Smallest value allowed.
        least: usize,
        /// Largest value allowed.
        most: usize,
    },
    /// The condensed dissimilarity matrix of a clustering would not fit its budget.
    #[error(
        "clustering {n_points} points needs a matrix of {needed_bytes} bytes, more than the budget of {budget_bytes}; \
         at most {largest} points fit: give a smaller pool, or raise the budget"
    )]
    MatrixTooLarge {
        /// Points asked for.
        n_points: usize,
        /// Bytes that their matrix takes.
        needed_bytes: u128,
        /// Bytes allowed.
        budget_bytes: usize,
        /// The largest number of points whose matrix fits.
        largest: usize,
    },
    /// A matrix that has to be positive definite is not.
    #[error("{what} ({size} × {size}) is not positive definite, so it has no Cholesky factor")]
    NotPositiveDefinite {
        /// Which matrix.
        what: &'static str,
        /// Its rows.
        size: usize,
    },
    /// The kd-tree library refused the points.
    #[error("the kd-tree could not be built: {reason}")]
    Tree {
        /// What it said.
        reason: String,
    },
}
