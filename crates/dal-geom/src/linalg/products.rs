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

/// Columns of [`gram`] that are worked out together with all before them.
const COLUMNS: usize = 64;

/// `xᵀ x`, shape (p, p), of rows x (n, p); O(n p²). Entries above the diagonal are those below it.
pub fn gram(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, p) = rows.dim();
    let rows = rows.as_standard_layout();
    let mut out = Array2::zeros((p, p));
    if let (Some(x), Some(c)) = (rows.as_slice(), out.as_slice_mut()) {
        let x = MatRef::from_row_major_slice(x, n, p);
        let mut c = MatMut::from_row_major_slice_mut(c, p, p);
        for first in (0..n).step_by(DEPTH) {
            let x = x.subrows(first, DEPTH.min(n - first));
            for left in (0..p).step_by(COLUMNS) {
                let width = COLUMNS.min(p - left);
                let (own, before) = (x.subcols(left, width), x.subcols(0, left + width));
                let c = c.as_mut().submatrix_mut(left, 0, width, left + width);
                matmul(c, Accum::Add, own.transpose(), before, 1.0, Par::Seq);
            }
        }
    }
    for i in 0..p {
        for j in 0..i {
            out[[j, i]] = out[[i, j]];
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

    fn every_entry(x: &Array2<f64>) -> Array2<f64> {
        let (n, p) = x.dim();
        let mut out = Array2::zeros((p, p));
        let x = MatRef::from_row_major_slice(x.as_slice().unwrap(), n, p);
        let mut c = MatMut::from_row_major_slice_mut(out.as_slice_mut().unwrap(), p, p);
        for first in (0..n).step_by(DEPTH) {
            let x = x.subrows(first, DEPTH.min(n - first));
            matmul(c.as_mut(), Accum::Add, x.transpose(), x, 1.0, Par::Seq);
        }
        out
    }

    #[test]
    fn half_of_a_gram_matrix_is_all_of_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (n, p) in [(1100, 512), (700, 130), (40, 64), (3, 200)] {
            let x = Array2::from_shape_fn((n, p), |_| rng.random_range(-1.0..1.0));
            let (half, whole) = (gram(x.view()), every_entry(&x));
            assert!(half.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= 1e-12 * n as f64), "{n} × {p}");
            // Bit for bit where it was seen; `faer` does not promise it of every processor.
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") && !std::arch::is_x86_feature_detected!("avx512f") {
                assert!(half.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()), "{n} × {p}");
            }
        }
    }

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
