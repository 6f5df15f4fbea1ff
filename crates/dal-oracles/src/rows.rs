//! Turns a function of one row into an oracle.

use std::fmt;

use dal_core::{LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::ArrayView2;

/// A function of one point.
pub(crate) trait Formula: fmt::Debug + Send + Sync {
    /// Columns of the inputs.
    fn n_inputs(&self) -> usize;
    /// Numbers in an answer.
    fn n_outputs(&self) -> usize;
    /// Writes the answer for the unit-box point `x`, both slices of the right length.
    fn evaluate(&self, x: &[f64], y: &mut [f64]);
}

/// The oracle that evaluates a formula row by row.
#[derive(Debug)]
pub(crate) struct Rows<F>(pub F);

impl<F: Formula> Oracle for Rows<F> {
    fn n_inputs(&self) -> usize {
        self.0.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.0.n_outputs()
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        let (mut point, mut y) = (vec![0.0; self.n_inputs()], vec![0.0; self.n_outputs()]);
        for (i, row) in x.outer_iter().enumerate() {
            point.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            self.0.evaluate(&point, &mut y);
            if on_row(i, finite(&y)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The answer, or a failure that names the first output which is not a finite number.
pub(crate) fn finite(y: &[f64]) -> Result<&[f64], LabelFailure> {
    match y.iter().position(|v| !v.is_finite()) {
        None => Ok(y),
        Some(k) => Err(LabelFailure::new(LabelFailureKind::NonFinite, format!("output y{k} is {}", y[k]))),
    }
}
