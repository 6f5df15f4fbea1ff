//! Matrix products of rows, by `faer` on the calling thread.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2};

/// Terms of a sum that are handed over at once: longer sums are cut here, not where a processor's caches end.
const DEPTH: usize = 512;

/// `a bᵀ`, shape (n, m), of rows a (n, p) and b (m, p): the dot products of all pairs of rows; O(n m p).
///
/// # Panics
/// Where a and b are not equally wide (a caller's own invariant, not a user's input).
pub fn row_products(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let ((n, p), (m, width)) = (a.dim(), b.dim());
    assert_eq!(p, width, "rows of a product");
    let (a, b) = (a.as_standard_layout(), b.as_standard_layout());
    let mut out = Array2::zeros((n, m));
    if let (Some(a), Some(b), Some(c)) = (a.as_slice(), b.as_slice(), out.as_slice_mut()) {
        let (a, b) = (MatRef::from_row_major_slice(a, n, p), MatRef::from_row_major_slice(b, m, p));
        let mut c = MatMut::from_row_major_slice_mut(c, n, m);
        for first in (0..p).step_by(DEPTH) {
            let depth = DEPTH.min(p - first);
            let (a, b) = (a.subcols(first, depth), b.subcols(first, depth));
            matmul(c.as_mut(), Accum::Add, a, b.transpose(), 1.0, Par::Seq);
        }
    }
    out
}

/// `xᵀ x`, shape (p, p), of rows x (n, p); O(n p²).
pub fn gram(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, p) = rows.dim();
    let rows = rows.as_standard_layout();
    let mut out = Array2::zeros((p, p));
    if let (Some(x), Some(c)) = (rows.as_slice(), out.as_slice_mut()) {
        let x = MatRef::from_row_major_slice(x, n, p);
        let mut c = MatMut::from_row_major_slice_mut(c, p, p);
        for first in (0..n).step_by(DEPTH) {
            let x = x.subrows(first, DEPTH.min(n - first));
            matmul(c.as_mut(), Accum::Add, x.transpose(), x, 1.0, Par::Seq);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn products_are_sums_of_terms(n in 0_usize..40, m in 0_usize..20, p in 0_usize..1100, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = |rows: usize, columns| Array2::from_shape_fn((rows, columns), |_| rng.random_range(-1.0..1.0));
            let (a, b) = (draw(n, p), draw(m, p));
            let found = row_products(a.view(), b.view());
            prop_assert_eq!(found.dim(), (n, m));
            for ((i, j), value) in found.indexed_iter() {
                let due: f64 = (0..p).map(|k| a[[i, k]] * b[[j, k]]).sum();
                prop_assert!((value - due).abs() < 1e-11);
            }
            // Columns in memory, and more rows than are handed over at once.
            let tall = a.t();
            let found = gram(tall);
            prop_assert_eq!(found.dim(), (n, n));
            for ((i, j), value) in found.indexed_iter() {
                let due: f64 = (0..p).map(|k| tall[[k, i]] * tall[[k, j]]).sum();
                prop_assert!((value - due).abs() < 1e-11);
            }
        }
    }
}
