//! The one door to linear algebra: the factorisation and the products that batch methods on features need.
//!
//! Behind it is `faer` on the calling thread; with the feature `lapack` factorisations are the system's OpenBLAS's.

#[cfg(feature = "lapack")]
mod lapack;
mod products;
#[cfg(any(not(feature = "lapack"), test))]
mod pure;

use ndarray::{Array2, ArrayView2};

use crate::GeomError;

pub use products::{gram, quadratic_forms, row_products};

#[cfg(feature = "lapack")]
use lapack::Lower;
#[cfg(not(feature = "lapack"))]
use pure::Lower;

/// Whose factorisations these are. Results agree to rounding, not to the bit.
pub const LINEAR_ALGEBRA: &str = if cfg!(feature = "lapack") { "lapack" } else { "faer" };

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
    lower: Lower,
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
        let lower = Lower::of(a).ok_or(GeomError::NotPositiveDefinite { what, size: p })?;
        Ok(Self { lower })
    }

    /// `L`, shape (p, p), zero above the diagonal.
    pub fn lower(&self) -> Array2<f64> {
        let p = self.lower.size();
        Array2::from_shape_fn((p, p), |(i, j)| if i < j { 0.0 } else { self.lower.get(i, j) })
    }

    /// Replaces each row x of `rows` (n, p) by `L⁻¹ x`; O(n p²). Rows with the covariance `A` then have the covariance
    /// I. Where rows are more than twice the columns, `L⁻¹` is worked out once and multiplies them.
    ///
    /// # Errors
    /// [`GeomError::Dimension`] where the rows are not p wide; [`GeomError::NotPositiveDefinite`] where the solver
    /// refuses the factor, and the rows are as they were.
    pub fn whiten(&self, rows: &mut Array2<f64>) -> Result<(), GeomError> {
        let (size, found) = (self.lower.size(), rows.ncols());
        if found != size {
            return Err(GeomError::Dimension { what: "rows to whiten", expected: size, found });
        }
        if !rows.is_standard_layout() {
            *rows = rows.as_standard_layout().into_owned();
        }
        let refused = GeomError::NotPositiveDefinite { what: "the factor that whitens rows", size };
        if rows.nrows() <= 2 * size {
            return if self.lower.solve_rows(rows) { Ok(()) } else { Err(refused) };
        }
        // The rows of the identity become those of the inverse's transpose.
        let mut inverse = Array2::eye(size);
        if !self.lower.solve_rows(&mut inverse) {
            return Err(refused);
        }
        products::through_upper(rows, &inverse);
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
        fn the_factor_and_what_it_whitens_are_those_of_plain_loops(p in 1_usize..90, n in 0_usize..300, seed: u64) {
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

    #[cfg(feature = "lapack")]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn lapack_and_faer_agree_to_1e_8(p in 1_usize..300, n in 0_usize..40, size in -3_i32..4, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = |rows: usize| Array2::from_shape_fn((rows, p), |_| rng.random_range(-1.0..1.0));
            // As batch methods have it: more columns than rows, and a ridge that makes it positive definite.
            let (root, rows) = (draw(p / 2 + 1), draw(n));
            let a = (root.t().dot(&root) + Array2::<f64>::eye(p) * 1e-2) * 10_f64.powi(size);
            let (ours, theirs) = (pure::Lower::of(a.view()).unwrap(), lapack::Lower::of(a.view()).unwrap());
            let unit = 10_f64.powi(size).sqrt();
            prop_assert_eq!((ours.size(), theirs.size()), (p, p));
            for i in 0..p {
                for j in 0..=i {
                    let gap = (ours.get(i, j) - theirs.get(i, j)).abs();
                    prop_assert!(gap < 1e-8 * unit, "({i}, {j}): {gap}");
                }
            }
            let (mut by_ours, mut by_theirs) = (rows.clone(), rows);
            prop_assert!(ours.solve_rows(&mut by_ours) && theirs.solve_rows(&mut by_theirs));
            prop_assert_eq!(by_theirs.dim(), (n, p));
            let gap = (&by_ours - &by_theirs).iter().fold(0.0_f64, |most, d| most.max(d.abs())) * unit;
            prop_assert!(gap < 1e-8, "{gap}");
            prop_assert!(by_theirs.is_standard_layout());
        }
    }

    #[cfg(feature = "lapack")]
    #[test]
    fn both_refuse_the_same_matrices() {
        for (a, has) in [
            (ndarray::array![[1.0, 2.0], [2.0, 1.0]], false),
            (ndarray::array![[0.0]], false),
            (Array2::zeros((0, 0)), true),
        ] {
            assert_eq!(pure::Lower::of(a.view()).is_some(), has, "{a}");
            assert_eq!(lapack::Lower::of(a.view()).is_some(), has, "{a}");
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
