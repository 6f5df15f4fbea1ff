//! Matrix products behind one safe door: simple loops as the reference, the `gemm` crate where speed matters.

use crate::real::Real;

/// A matrix inside a slice: entry `(i, j)` is `data[i · row_stride + j · column_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    n_rows: usize,
    n_columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// Unless `data` has `n_rows · n_columns` entries (an engine's own invariant, not a user's input).
    pub fn new(data: &'a [T], n_rows: usize, n_columns: usize) -> Self {
        assert_eq!(data.len(), n_rows * n_columns, "matrix of {n_rows} × {n_columns}");
        Self { data, n_rows, n_columns, row_stride: n_columns, column_stride: 1 }
    }

    /// Its transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            n_rows: self.n_columns,
            n_columns: self.n_rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a, T: Real> Matrix<'a, T> {
    /// `n` columns from column `first` on.
    fn columns(self, first: usize, n: usize) -> Self {
        debug_assert!(first + n <= self.n_columns && n > 0 && self.n_rows > 0);
        Self { data: &self.data[first * self.column_stride..], n_columns: n, ..self }
    }

    /// A row-major copy in `space` with zeros behind the last row and column.
    fn copied(self, space: &'a mut Vec<T>, n_rows: usize, n_columns: usize) -> Self {
        space.resize(n_rows * n_columns, T::ZERO);
        for (i, row) in space.chunks_exact_mut(n_columns).take(self.n_rows).enumerate() {
            for (j, out) in row.iter_mut().take(self.n_columns).enumerate() {
                *out = self.data[i * self.row_stride + j * self.column_stride];
            }
        }
        Self::new(space, n_rows, n_columns)
    }
}

/// How products are computed.
pub trait Products: Send + Sync + 'static {
    /// `c = a b`, or `c += a b` where `accumulate`; `c` row-major without gaps.
    ///
    /// # Panics
    /// Where shapes do not fit (an engine's own invariant, not a user's input).
    fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], accumulate: bool);
}

fn check<T>(a: &Matrix<'_, T>, b: &Matrix<'_, T>, c: &[T]) {
    assert_eq!(a.n_columns, b.n_rows, "inner sizes of a product");
    assert_eq!(c.len(), a.n_rows * b.n_columns, "size of a product");
}

/// Three loops: the reference.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loops;

impl Products for Loops {
    fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], accumulate: bool) {
        check(&a, &b, c);
        if !accumulate {
            c.fill(T::ZERO);
        }
        for i in 0..a.n_rows {
            let row = &mut c[i * b.n_columns..][..b.n_columns];
            for k in 0..a.n_columns {
                let left = a.data[i * a.row_stride + k * a.column_stride];
                for (j, out) in row.iter_mut().enumerate() {
                    *out += left * b.data[k * b.row_stride + j * b.column_stride];
                }
            }
        }
    }
}

/// Terms of a sum that are added up in one go by [`Gemm`].
///
/// The `gemm` crate cuts sums by the sizes of the processor's caches, but none of at most 512 terms; longer ones are
/// cut here.
pub const DEPTH: usize = 512;

/// The `gemm` crate on the calling thread, in an order of its sums that neither the processor's caches nor the width of
/// its vectors decide.
///
/// An entry is cut into blocks of [`DEPTH`] terms. Those of a block are added in order, from 0, by multiply-adds (fused
/// where the processor has them); the blocks' sums are added in order, to `c` where `accumulate`.
///
/// The crate has kernels of their own, with other orders, for products of one row or column, of at most two terms and
/// of at most `SMALL` entries whose sums run along contiguous memory. They are kept from it: a row, a column or terms
/// of zeros are added, or the smaller operand is copied so that its memory runs the other way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemm;

/// The most entries of a product that the crate computes as scalar products.
const SMALL: usize = 256;

impl Products for Gemm {
    fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], accumulate: bool) {
        check(&a, &b, c);
        if c.is_empty() {
            return;
        }
        if a.n_columns == 0 {
            if !accumulate {
                c.fill(T::ZERO);
            }
            return;
        }
        for first in (0..a.n_columns).step_by(DEPTH) {
            let depth = DEPTH.min(a.n_columns - first);
            block(a.columns(first, depth), b.t().columns(first, depth).t(), c, accumulate || first > 0);
        }
    }
}

/// One block of [`Gemm`]'s sums.
fn block<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], accumulate: bool) {
    let (m, k, n) = (a.n_rows, a.n_columns, b.n_columns);
    if m < 2 || n < 2 {
        // Beside a row or column of zeros.
        let (rows, columns) = (m.max(2), n.max(2));
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let wide_a = if m < 2 { a.copied(&mut left, rows, k) } else { a };
        let wide_b = if n < 2 { b.copied(&mut right, k, columns) } else { b };
        let mut wide_c = vec![T::ZERO; rows * columns];
        block(wide_a, wide_b, &mut wide_c, false);
        for (i, row) in c.chunks_exact_mut(n).enumerate() {
            for (out, &sum) in row.iter_mut().zip(&wide_c[i * columns..]) {
                *out = if accumulate { *out + sum } else { sum };
            }
        }
        return;
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    if k < 3 {
        // A sum that zeros are added to stays what it is.
        return tiled(a.copied(&mut left, m, 3), b.copied(&mut right, 3, n), c, accumulate);
    }
    if a.column_stride == 1 && b.row_stride == 1 && m * n <= SMALL {
        return match m < n {
            true => tiled(a.t().copied(&mut left, k, m).t(), b, c, accumulate),
            false => tiled(a, b.copied(&mut right, k, n), c, accumulate),
        };
    }
    tiled(a, b, c, accumulate);
}

/// What the crate's tiled kernels compute: at least two rows and columns, three to [`DEPTH`] terms, and not both
/// operands with their sums along contiguous memory where the product is [`SMALL`].
fn tiled<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>, c: &mut [T], accumulate: bool) {
    // SAFETY: `Matrix` only describes entries inside its slice (checked in `new`, kept by its methods), `check` has
    // compared the three shapes, and `c` is exclusive, so it overlaps neither operand. `Real` is sealed to f32 and f64.
    unsafe {
        gemm::gemm(
            a.n_rows,
            b.n_columns,
            a.n_columns,
            c.as_mut_ptr(),
            1,
            b.n_columns as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A product term by term, as [`Gemm`] says it is.
    fn by_the_formula<T: Real>(
        a: Matrix<'_, T>,
        b: Matrix<'_, T>,
        c: &mut [T],
        accumulate: bool,
        fused: fn(T, T, T) -> T,
    ) {
        for i in 0..a.n_rows {
            for j in 0..b.n_columns {
                let mut total = accumulate.then(|| c[i * b.n_columns + j]);
                for first in (0..a.n_columns).step_by(DEPTH) {
                    let mut sum = T::ZERO;
                    for k in first..a.n_columns.min(first + DEPTH) {
                        let left = a.data[i * a.row_stride + k * a.column_stride];
                        let right = b.data[k * b.row_stride + j * b.column_stride];
                        sum = if crate::platform::is_fused() { fused(left, right, sum) } else { left * right + sum };
                    }
                    total = Some(total.map_or(sum, |total| total + sum));
                }
                c[i * b.n_columns + j] = total.unwrap_or(T::ZERO);
            }
        }
    }

    /// Numbers whose sums round differently in every order.
    fn rough(n: usize, seed: u32) -> Vec<f64> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / f64::from(u32::MAX) - 0.5
        };
        (0..n).map(|_| next() * (8.0 * next()).exp2()).collect()
    }

    fn compare_bits(shape: (usize, usize, usize), transposed: (bool, bool), accumulate: bool, seed: u32) {
        let (m, k, n) = shape;
        let (a, b, c) = (rough(m * k, seed), rough(k * n, seed + 1), rough(m * n, seed + 2));
        fn one<T: Real>(
            (m, k, n): (usize, usize, usize),
            (ta, tb): (bool, bool),
            accumulate: bool,
            (a, b, c): (&[T], &[T], &[T]),
            fused: fn(T, T, T) -> T,
        ) -> (Vec<T>, Vec<T>) {
            let a = if ta { Matrix::new(a, k, m).t() } else { Matrix::new(a, m, k) };
            let b = if tb { Matrix::new(b, n, k).t() } else { Matrix::new(b, k, n) };
            let (mut fast, mut due) = (c.to_vec(), c.to_vec());
            Gemm::product(a, b, &mut fast, accumulate);
            by_the_formula(a, b, &mut due, accumulate, fused);
            (fast, due)
        }
        let (fast, due) = one(shape, transposed, accumulate, (&a, &b, &c), f64::mul_add);
        assert!(fast.iter().zip(&due).all(|(f, d)| f.to_bits() == d.to_bits()), "f64, {shape:?}, {transposed:?}");
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let (a, b, c) = (single(&a), single(&b), single(&c));
        let (fast, due) = one(shape, transposed, accumulate, (&a, &b, &c), f32::mul_add);
        assert!(fast.iter().zip(&due).all(|(f, d)| f.to_bits() == d.to_bits()), "f32, {shape:?}, {transposed:?}");
    }

    /// What the networks of the benchmark need, and sizes around the crate's tiles and blocks: single rows and columns,
    /// few terms, more rows and columns than a block has, more terms than its smallest block. Equal bits to a formula
    /// that knows no caches and no vector width are equal bits on every processor with the same rounding.
    #[test]
    fn products_are_the_formula_bit_for_bit() {
        for shape in [
            (1, 1, 1),
            (1, 700, 20),
            (256, 500, 1),
            (7, 1, 9),
            (7, 2, 9),
            (16, 40, 16),
            (64, 513, 64),
            (65, 512, 65),
            (256, 20, 20),
            (100, 520, 97),
            (300, 1500, 33),
            (33, 1030, 300),
        ] {
            for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
                compare_bits(shape, (ta, tb), ta, 7);
            }
        }
    }

    /// What the crate lets be set of its blocking changes no bit.
    #[test]
    fn packing_changes_no_bit() {
        let before = (gemm::get_rhs_packing_threshold(), gemm::get_lhs_packing_threshold_single_thread());
        for threshold in [0, 1, 256] {
            gemm::set_rhs_packing_threshold(threshold);
            gemm::set_lhs_packing_threshold_single_thread(threshold);
            for shape in [(150, 530, 70), (16, 40, 16)] {
                compare_bits(shape, (false, true), false, 3);
                compare_bits(shape, (true, false), true, 3);
            }
        }
        gemm::set_rhs_packing_threshold(before.0);
        gemm::set_lhs_packing_threshold_single_thread(before.1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_product_is_the_formula_bit_for_bit(
            m in 1usize..90, k in 1usize..60, deep: bool, n in 1usize..90, ta: bool, tb: bool, accumulate: bool, seed in 0u32..1000
        ) {
            let (m, k, n) = if deep { (m.min(12), k + 490, n.min(12)) } else { (m, k, n) };
            compare_bits((m, k, n), (ta, tb), accumulate, seed);
        }

        #[test]
        fn gemm_equals_the_loops(
            m in 0usize..20, k in 0usize..20, n in 0usize..20, ta: bool, tb: bool, accumulate: bool, seed in 0u32..1000
        ) {
            let value = |i: usize| f64::from((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) % 17) - 8.0;
            let a: Vec<f64> = (0..m * k).map(value).collect();
            let b: Vec<f64> = (0..k * n).map(|i| value(i + 1000)).collect();
            let a = if ta { Matrix::new(&a, k, m).t() } else { Matrix::new(&a, m, k) };
            let b = if tb { Matrix::new(&b, n, k).t() } else { Matrix::new(&b, k, n) };
            let mut fast: Vec<f64> = (0..m * n).map(|i| value(i + 5000)).collect();
            let mut slow = fast.clone();
            // Small integers: both are exact.
            Gemm::product(a, b, &mut fast, accumulate);
            Loops::product(a, b, &mut slow, accumulate);
            prop_assert_eq!(fast, slow);
        }
    }
}
