//! The one door to linear algebra beyond products: the factorisation that batch methods on features need.
//!
//! Behind it is `faer` on the calling thread. Products are `ndarray`'s own: their sums run in an order that no cache
//! size decides.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatMut, Par, Side};
use ndarray::{Array2, ArrayView2};

use crate::GeomError;

/// A lower triangle `L` with `L Lᵀ = A`, of a symmetric positive definite matrix `A`.
///
/// ```
/// use dal_geom::Cholesky;
/// use ndarray::array;
///
/// let factor = Cholesky::new("the example", array![[4.0, 2.0], [2.0, 5.0]].view())?;
/// assert_eq!(factor.lower(), array![[2.0, 0.0], [1.0, 2.0]]);
/// let mut rows = array![[2.0, 5.0]];
/// factor.whiten(&mut rows)?;
/// assert_eq!(rows, array![[1.0, 2.0]]);
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cholesky {
    lower: Mat<f64>,
}

impl Cholesky {
    /// Factorises `a` (p, p), of which the lower triangle is read; O(p³ / 3). `what` names it in messages.
    ///
    /// # Errors
    /// [`GeomError::Dimension`] where it is not square, [`GeomError::NonFinite`], [`GeomError::NotPositiveDefinite`].
    pub fn new(what: &'static str, a: ArrayView2<'_, f64>) -> Result<Self, GeomError> {
        let (p, columns) = a.dim();
        if columns != p {
            return Err(GeomError::Dimension { what, expected: p, found: columns });
        }
        crate::check_finite(what, a)?;
        let matrix = Mat::from_fn(p, p, |i, j| a[[i, j]]);
        let factor = matrix.llt(Side::Lower).map_err(|_| GeomError::NotPositiveDefinite { what, size: p })?;
        Ok(Self { lower: factor.L().to_owned() })
    }

    /// `L`, shape (p, p), zero above the diagonal.
    pub fn lower(&self) -> Array2<f64> {
        let p = self.lower.nrows();
        Array2::from_shape_fn((p, p), |(i, j)| if i < j { 0.0 } else { self.lower[(i, j)] })
    }

    /// Replaces each row x of `rows` (n, p) by `L⁻¹ x`; O(n p²). Rows with the covariance `A` then have the covariance
    /// I.
    ///
    /// # Errors
    /// [`GeomError::Dimension`] where the rows are not p wide.
    pub fn whiten(&self, rows: &mut Array2<f64>) -> Result<(), GeomError> {
        let (n, p) = rows.dim();
        if p != self.lower.nrows() {
            return Err(GeomError::Dimension { what: "rows to whiten", expected: self.lower.nrows(), found: p });
        }
        if rows.as_slice_mut().is_none() {
            *rows = rows.as_standard_layout().into_owned();
        }
        if let Some(values) = rows.as_slice_mut() {
            // Rows in memory are the columns of the transpose.
            let transposed = MatMut::from_column_major_slice_mut(values, p, n);
            solve_lower_triangular_in_place(self.lower.as_ref(), transposed, Par::Seq);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Cholesky–Banachiewicz, row by row.
    fn by_rows(a: &Array2<f64>) -> Array2<f64> {
        let p = a.nrows();
        let mut lower = Array2::<f64>::zeros((p, p));
        for i in 0..p {
            for j in 0..=i {
                let sum: f64 = (0..j).map(|k| lower[[i, k]] * lower[[j, k]]).sum();
                lower[[i, j]] = if i == j { (a[[i, i]] - sum).sqrt() } else { (a[[i, j]] - sum) / lower[[j, j]] };
            }
        }
        lower
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_factor_and_what_it_whitens_are_those_of_plain_loops(p in 1_usize..90, n in 0_usize..40, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = |rows: usize| Array2::from_shape_fn((rows, p), |_| rng.random_range(-1.0..1.0));
            let (root, rows) = (draw(p + 3), draw(n));
            let a = root.t().dot(&root) + Array2::<f64>::eye(p) * 0.1;
            let factor = Cholesky::new("a", a.view()).unwrap();
            let lower = by_rows(&a);
            prop_assert!((&factor.lower() - &lower).iter().all(|d| d.abs() < 1e-10));
            let mut white = rows.clone();
            factor.whiten(&mut white).unwrap();
            for (white, row) in white.outer_iter().zip(rows.outer_iter()) {
                let back = lower.dot(&white);
                prop_assert!((&back - &row).iter().all(|d| d.abs() < 1e-9), "{back} {row}");
            }
            // Columns in memory are whitened all the same.
            let mut columns = rows.t().as_standard_layout().into_owned().reversed_axes();
            factor.whiten(&mut columns).unwrap();
            prop_assert_eq!(columns, white_of(&factor, rows));
        }
    }

    fn white_of(factor: &Cholesky, mut rows: Array2<f64>) -> Array2<f64> {
        factor.whiten(&mut rows).unwrap();
        rows
    }

    #[test]
    fn what_has_no_factor_is_refused() {
        let refused = |a: Array2<f64>| Cholesky::new("a", a.view()).unwrap_err();
        let indefinite = Array2::from_diag(&ndarray::array![1.0, -1.0]);
        assert_eq!(refused(indefinite), GeomError::NotPositiveDefinite { what: "a", size: 2 });
        assert!(matches!(refused(Array2::zeros((2, 3))), GeomError::Dimension { expected: 2, found: 3, .. }));
        assert!(matches!(refused(ndarray::array![[f64::NAN]]), GeomError::NonFinite { row: 0, column: 0, .. }));
        let factor = Cholesky::new("a", ndarray::array![[1.0]].view()).unwrap();
        assert!(matches!(factor.whiten(&mut Array2::zeros((1, 2))), Err(GeomError::Dimension { .. })));
    }
}
