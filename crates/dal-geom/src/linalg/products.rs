//! Matrix products of rows, by `faer` on the calling thread.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
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
        product(MatMut::from_row_major_slice_mut(c, n, m), a, b.transpose());
    }
    out
}

/// `c = a b`.
fn product(mut c: MatMut<'_, f64>, a: MatRef<'_, f64>, b: MatRef<'_, f64>) {
    let p = a.ncols();
    for first in (0..p).step_by(DEPTH) {
        let depth = DEPTH.min(p - first);
        let accum = if first == 0 { Accum::Replace } else { Accum::Add };
        matmul(c.as_mut(), accum, a.subcols(first, depth), b.subrows(first, depth), 1.0, Par::Seq);
    }
}

/// Rows of [`gram`] that are handed over at once, and columns of it whose triangle is worked out apart from what is
/// below.
const GRAM: [usize; 2] = [192, 240];

/// `xᵀ x`, shape (p, p), of rows x (n, p); O(n p²). Entries above the diagonal are those below it.
pub fn gram(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, p) = rows.dim();
    let rows = rows.as_standard_layout();
    let mut out = Array2::zeros((p, p));
    if let (Some(x), Some(c)) = (rows.as_slice(), out.as_slice_mut()) {
        let x = MatRef::from_row_major_slice(x, n, p);
        // Columns in memory: its lower triangle is the upper one of `out`.
        let mut c = MatMut::from_column_major_slice_mut(c, p, p);
        for first in (0..n).step_by(GRAM[0]) {
            let x = x.subrows(first, GRAM[0].min(n - first));
            for left in (0..p).step_by(GRAM[1]) {
                let width = GRAM[1].min(p - left);
                let (own, end) = (x.subcols(left, width), left + width);
                let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
                let triangle = c.as_mut().submatrix_mut(left, left, width, width);
                triangular::matmul(triangle, lower, Accum::Add, own.transpose(), whole, own, whole, 1.0, Par::Seq);
                let below = c.as_mut().submatrix_mut(end, left, p - end, width);
                matmul(below, Accum::Add, x.subcols(end, p - end).transpose(), own, 1.0, Par::Seq);
            }
        }
    }
    for i in 0..p {
        for j in 0..i {
            out[[i, j]] = out[[j, i]];
        }
    }
    out
}

/// Rows and columns of a product with a triangle that are worked out at once: the fastest of 42 pairs at 512 columns.
const BLOCK: [usize; 2] = [256, 48];

/// Replaces each row x of `rows` (n, p), in standard layout, by `x u` of a triangle u (p, p) that is zero below the
/// diagonal; O(n p²).
pub(super) fn through_upper(rows: &mut Array2<f64>, upper: &Array2<f64>) {
    let p = rows.ncols();
    let mut held = vec![0.0; BLOCK[0] * BLOCK[1]];
    let u = upper.as_standard_layout();
    let (Some(u), Some(all)) = (u.as_slice(), rows.as_slice_mut()) else { return };
    let u = MatRef::from_row_major_slice(u, p, p);
    for block in all.chunks_mut(BLOCK[0] * p.max(1)) {
        let n = block.len() / p;
        // From the right: what is overwritten is not read any more.
        for left in (0..p).step_by(BLOCK[1]).rev() {
            let (width, depth) = (BLOCK[1].min(p - left), BLOCK[1].min(p - left) + left);
            let held = &mut held[..n * width];
            let x = MatRef::from_row_major_slice(block, n, p).subcols(0, depth);
            let y = MatMut::from_row_major_slice_mut(held, n, width);
            product(y, x, u.submatrix(0, left, depth, width));
            for (row, held) in block.chunks_mut(p).zip(held.chunks(width)) {
                row[left..left + width].copy_from_slice(held);
            }
        }
    }
}

/// `x · (matrix x)` of every row x of `rows` (n, p), for a symmetric matrix (p, p) whose lower triangle is read; O(n
/// p²).
///
/// # Panics
/// Where the matrix is not as wide as the rows (a caller's own invariant, not a user's input).
pub fn quadratic_forms(rows: ArrayView2<'_, f64>, matrix: ArrayView2<'_, f64>) -> Vec<f64> {
    let (n, p) = rows.dim();
    assert_eq!(matrix.dim(), (p, p), "the matrix of a quadratic form");
    // Half of it: what stands on both sides of the diagonal counts twice.
    let half = Array2::from_shape_fn((p, p), |(i, j)| match i.cmp(&j) {
        std::cmp::Ordering::Greater => 2.0 * matrix[[i, j]],
        std::cmp::Ordering::Equal => matrix[[i, j]],
        std::cmp::Ordering::Less => 0.0,
    });
    let mut out = vec![0.0; n];
    let mut held = vec![0.0; BLOCK[0] * BLOCK[1]];
    let (rows, half) = (rows.as_standard_layout(), half.as_standard_layout());
    let (Some(all), Some(half)) = (rows.as_slice(), half.as_slice()) else { return out };
    let half = MatRef::from_row_major_slice(half, p, p);
    for (out, block) in out.chunks_mut(BLOCK[0]).zip(all.chunks(BLOCK[0] * p.max(1))) {
        let n = out.len();
        for left in (0..p).step_by(BLOCK[1]) {
            let width = BLOCK[1].min(p - left);
            let held = &mut held[..n * width];
            let x = MatRef::from_row_major_slice(block, n, p).subcols(left, p - left);
            let y = MatMut::from_row_major_slice_mut(held, n, width);
            product(y, x, half.submatrix(left, left, p - left, width));
            for ((out, row), held) in out.iter_mut().zip(block.chunks(p)).zip(held.chunks(width)) {
                *out += ndarray::aview1(&row[left..left + width]).dot(&ndarray::aview1(held));
            }
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

    #[test]
    fn half_of_a_symmetric_matrix_is_all_of_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (n, p) in [(1100, 512), (700, 130), (40, 64), (3, 200), (0, 5), (4, 0), (257, 49), (9, 1100)] {
            let x = Array2::from_shape_fn((n, p), |_| rng.random_range(-1.0..1.0));
            let (half, whole) = (gram(x.view()), x.t().dot(&x));
            assert!(half.iter().zip(&whole).all(|(a, b)| (a - b).abs() <= 1e-12 * n as f64), "{n} × {p}");
            let root = Array2::from_shape_fn((p, p), |_| rng.random_range(-1.0..1.0));
            let matrix = &root + &root.t();
            let due: Vec<f64> = x.outer_iter().map(|x| x.dot(&matrix.dot(&x))).collect();
            let mut lower = matrix.clone();
            lower.indexed_iter_mut().filter(|((i, j), _)| i < j).for_each(|(_, value)| *value = f64::NAN);
            let found = quadratic_forms(x.view(), lower.view());
            assert_eq!(found.len(), n);
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-13 * (p * p) as f64;
            assert!(found.iter().zip(&due).all(close), "{n} × {p}");
            let mut moved = x.clone();
            let upper = Array2::from_shape_fn((p, p), |(i, j)| if i <= j { matrix[[i, j]] } else { 0.0 });
            through_upper(&mut moved, &upper);
            assert!(moved.iter().zip(&x.dot(&upper)).all(|(a, b)| (a - b).abs() <= 1e-13 * p as f64), "{n} × {p}");
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
