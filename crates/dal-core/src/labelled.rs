//! The labelled set: points of the unit box with their answers, the initial ones first.

use ndarray::{Array2, ArrayView2, Axis, s};
use thiserror::Error;

/// Labelled points in the order in which they were labelled.
///
/// Guarantees: `x` (n, n_inputs) and `y` (n, n_outputs) have the same number of rows, at least one, and every value is
/// finite; the first [`n_initial`](Self::n_initial) rows are the initial set L0.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    x: Array2<f64>,
    y: Array2<f64>,
    n_initial: usize,
}

/// Points and answers that do not make a labelled set.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LabelledError {
    /// Points and answers differ in number.
    #[error("{n_points} points, but {n_labels} labels")]
    RowsDiffer {
        /// Rows of the points.
        n_points: usize,
        /// Rows of the labels.
        n_labels: usize,
    },
    /// Nothing is labelled, or there are no inputs or outputs.
    #[error(
        "a labelled set needs at least one row, input and output, but has {rows} rows, {inputs} inputs, {outputs} outputs"
    )]
    Empty {
        /// Rows.
        rows: usize,
        /// Input columns.
        inputs: usize,
        /// Output columns.
        outputs: usize,
    },
    /// A value is NaN or infinite.
    #[error("{what}{column} of row {row} is {value}; labelled sets hold finite numbers only")]
    NonFinite {
        /// `x` or `y`.
        what: &'static str,
        /// 0-based row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// The added rows have another width.
    #[error("the set has {expected} {what}, the added rows have {found}")]
    WidthDiffers {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// Columns of the set.
        expected: usize,
        /// Columns of the added rows.
        found: usize,
    },
    /// More initial rows than rows.
    #[error("{n_initial} initial rows of {rows}")]
    InitialOutOfRange {
        /// Initial rows stated.
        n_initial: usize,
        /// Rows there are.
        rows: usize,
    },
}

impl Labelled {
    /// A labelled set of which all rows are initial.
    ///
    /// # Errors
    /// Shapes that do not match, no rows, values that are not finite.
    pub fn new(x: Array2<f64>, y: Array2<f64>) -> Result<Self, LabelledError> {
        let n_initial = x.nrows();
        Self::with_initial(x, y, n_initial)
    }

    /// A labelled set whose first `n_initial` rows are the initial ones.
    ///
    /// # Errors
    /// As [`new`](Self::new), and `n_initial` of zero or beyond the rows.
    pub fn with_initial(x: Array2<f64>, y: Array2<f64>, n_initial: usize) -> Result<Self, LabelledError> {
        if x.nrows() != y.nrows() {
            return Err(LabelledError::RowsDiffer { n_points: x.nrows(), n_labels: y.nrows() });
        }
        if x.is_empty() || y.is_empty() {
            return Err(LabelledError::Empty { rows: x.nrows(), inputs: x.ncols(), outputs: y.ncols() });
        }
        if n_initial == 0 || n_initial > x.nrows() {
            return Err(LabelledError::InitialOutOfRange { n_initial, rows: x.nrows() });
        }
        check_finite("x", x.view())?;
        check_finite("y", y.view())?;
        Ok(Self { x: x.as_standard_layout().into_owned(), y: y.as_standard_layout().into_owned(), n_initial })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// Widths or row counts that differ, values that are not finite; the set is then unchanged.
    pub fn extend(&mut self, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<(), LabelledError> {
        if x.nrows() != y.nrows() {
            return Err(LabelledError::RowsDiffer { n_points: x.nrows(), n_labels: y.nrows() });
        }
        for (what, expected, found) in [("inputs", self.x.ncols(), x.ncols()), ("outputs", self.y.ncols(), y.ncols())] {
            if expected != found {
                return Err(LabelledError::WidthDiffers { what, expected, found });
            }
        }
        check_finite("x", x)?;
        check_finite("y", y)?;
        self.x.append(Axis(0), x).expect("widths were compared");
        self.y.append(Axis(0), y).expect("widths were compared");
        Ok(())
    }

    /// The points, shape (n, n_inputs), row-major.
    pub fn x(&self) -> ArrayView2<'_, f64> {
        self.x.view()
    }

    /// The answers, shape (n, n_outputs), row-major.
    pub fn y(&self) -> ArrayView2<'_, f64> {
        self.y.view()
    }

    /// The initial points L0, shape (n_initial, n_inputs).
    pub fn initial_x(&self) -> ArrayView2<'_, f64> {
        self.x.slice(s![..self.n_initial, ..])
    }

    /// How many rows are initial.
    pub fn n_initial(&self) -> usize {
        self.n_initial
    }

    /// How many points are labelled; never zero.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Input columns.
    pub fn n_inputs(&self) -> usize {
        self.x.ncols()
    }

    /// Output columns.
    pub fn n_outputs(&self) -> usize {
        self.y.ncols()
    }
}

fn check_finite(what: &'static str, values: ArrayView2<'_, f64>) -> Result<(), LabelledError> {
    match values.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), &value)) => Err(LabelledError::NonFinite { what, row, column, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut set = Labelled::new(array![[0.0], [1.0]], array![[1.0], [2.0]]).unwrap();
        let before = set.clone();
        assert!(matches!(
            set.extend(array![[0.5]].view(), array![[f64::NAN]].view()),
            Err(LabelledError::NonFinite { what: "y", row: 0, column: 0, .. })
        ));
        assert!(matches!(
            set.extend(array![[0.5, 0.5]].view(), array![[1.0]].view()),
            Err(LabelledError::WidthDiffers { .. })
        ));
        assert_eq!(set, before);
        set.extend(array![[0.5]].view(), array![[1.5]].view()).unwrap();
        assert_eq!((set.len(), set.n_initial(), set.initial_x().nrows()), (3, 2, 2));
        assert!(Labelled::new(Array2::zeros((0, 1)), Array2::zeros((0, 1))).is_err());
        assert!(Labelled::with_initial(array![[0.0]], array![[0.0]], 2).is_err());
    }
}
