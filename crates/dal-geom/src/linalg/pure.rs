//! Cholesky factors by `faer`: pure Rust, on the calling thread.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatMut, Par, Side};
use ndarray::{Array2, ArrayView2};

/// A lower triangle, zero above the diagonal.
#[derive(Clone, Debug)]
pub(super) struct Lower(Mat<f64>);

impl Lower {
    /// Of a square matrix of finite numbers; `None` where it is not positive definite.
    pub fn of(a: ArrayView2<'_, f64>) -> Option<Self> {
        let (p, _) = a.dim();
        let matrix = Mat::from_fn(p, p, |i, j| a[[i, j]]);
        Some(Self(matrix.llt(Side::Lower).ok()?.L().to_owned()))
    }

    pub fn size(&self) -> usize {
        self.0.nrows()
    }

    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.0[(i, j)]
    }

    /// `L⁻¹ x` for each row x of `rows` (n, size), in standard layout; false where they are in another, and left.
    #[must_use]
    pub fn solve_rows(&self, rows: &mut Array2<f64>) -> bool {
        let (n, p) = rows.dim();
        let Some(values) = rows.as_slice_mut() else { return false };
        // Rows in memory are the columns of the transpose.
        let transposed = MatMut::from_column_major_slice_mut(values, p, n);
        solve_lower_triangular_in_place(self.0.as_ref(), transposed, Par::Seq);
        true
    }
}
