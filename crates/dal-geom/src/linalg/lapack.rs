//! Cholesky factors by LAPACK through `ndarray-linalg`: feature `lapack`, which links the system's OpenBLAS.

use ndarray::{Array2, ArrayView2, ShapeBuilder};
use ndarray_linalg::{CholeskyInto, Diag, SolveTriangularInto, UPLO};

/// A lower triangle, zero above the diagonal, in LAPACK's own order of columns.
#[derive(Clone, Debug)]
pub(super) struct Lower(Array2<f64>);

impl Lower {
    /// Of a square matrix of finite numbers; `None` where it is not positive definite.
    pub fn of(a: ArrayView2<'_, f64>) -> Option<Self> {
        let matrix = Array2::from_shape_fn(a.dim().f(), |at| a[at]);
        if matrix.is_empty() {
            return Some(Self(matrix));
        }
        Some(Self(matrix.cholesky_into(UPLO::Lower).ok()?))
    }

    pub fn size(&self) -> usize {
        self.0.nrows()
    }

    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.0[[i, j]]
    }

    /// `L⁻¹ x` for each row x of `rows` (n, size), in standard layout.
    pub fn solve_rows(&self, rows: &mut Array2<f64>) {
        if rows.is_empty() {
            return;
        }
        // Rows in memory are the columns of the transpose.
        let transposed = std::mem::take(rows).reversed_axes();
        // LAPACK refuses a zero on the diagonal only, which a factor of a positive definite matrix does not have.
        if let Ok(solved) = self.0.solve_triangular_into(UPLO::Lower, Diag::NonUnit, transposed) {
            *rows = solved.reversed_axes();
        }
    }
}
