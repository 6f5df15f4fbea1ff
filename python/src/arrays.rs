//! Arrays that Python lends: copied once while its lock is held, since borrowed buffers may change under us.

use ndarray::{Array2, Array3};
use numpy::{PyArray1, PyArray2, PyArray3, PyReadonlyArray2, PyReadonlyArray3, ToPyArray};
use pyo3::prelude::*;

/// A copy of a lent matrix.
pub(crate) fn matrix(lent: &PyReadonlyArray2<'_, f64>) -> Array2<f64> {
    lent.as_array().as_standard_layout().into_owned()
}

/// A copy of a lent block.
pub(crate) fn block(lent: &PyReadonlyArray3<'_, f64>) -> Array3<f64> {
    lent.as_array().as_standard_layout().into_owned()
}

/// Moves a matrix out.
pub(crate) fn out<'py>(py: Python<'py>, array: Array2<f64>) -> Bound<'py, PyArray2<f64>> {
    PyArray2::from_owned_array(py, array)
}

/// Moves a block out.
pub(crate) fn out_block<'py>(py: Python<'py>, array: Array3<f64>) -> Bound<'py, PyArray3<f64>> {
    PyArray3::from_owned_array(py, array)
}

/// Moves row numbers out.
pub(crate) fn rows<'py>(py: Python<'py>, rows: &[usize]) -> Bound<'py, PyArray1<i64>> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    rows.to_pyarray(py)
}
