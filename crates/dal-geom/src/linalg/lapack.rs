//! Cholesky factors by LAPACK through `ndarray-linalg`: feature `lapack`, which links the system's OpenBLAS.

use ndarray::{Array2, ArrayView2, ShapeBuilder};
use ndarray_linalg::{CholeskyInto, Diag, SolveTriangularInplace, UPLO};

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

    /// `L⁻¹ x` for each row x of `rows` (n, size), in standard layout; false where LAPACK refuses, the rows as
    /// they were then.
    #[must_use]
    pub fn solve_rows(&self, rows: &mut Array2<f64>) -> bool {
        if rows.is_empty() {
            return true;
        }
        // Rows in memory are the columns of the transpose.
        let mut transposed = std::mem::take(rows).reversed_axes();
        let is_solved = self.0.solve_triangular_inplace(UPLO::Lower, Diag::NonUnit, &mut transposed).is_ok();
        *rows = transposed.reversed_axes();
        is_solved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_where_the_factor_is_singular() {
        let factor = Lower(Array2::from_shape_fn((2, 2).f(), |(i, j)| f64::from(u8::from(i == 0 && j == 0))));
        let rows = ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let mut solved = rows.clone();
        assert!(!factor.solve_rows(&mut solved));
        assert_eq!(solved, rows);
    }
}
