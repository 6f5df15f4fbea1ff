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
/// The `gemm` crate cuts sums by the sizes of the processor's caches, but none of at most 512 terms; longer ones are cut here.
pub const DEPTH: usize = 512;

/// The `gemm` crate on the calling thread, in an order of its sums that no processor's caches decide.
///
/// An entry is cut into blocks of [`DEPTH`] terms. Those of a block are added in order, from 0, by multiply-adds (fused
/// where the processor has them); the blocks' sums are added in order, to `c` where `accumulate`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemm;

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
            let (left, right) = (&a.data[first * a.column_stride..], &b.data[first * b.row_stride..]);
            // SAFETY: `Matrix` only describes entries inside its slice (checked in `new`, kept by `t`), `check` has compared
            // the three shapes, and `c` is exclusive, so it overlaps neither operand. `Real` is sealed to f32 and f64.
            unsafe {
                gemm::gemm(
                    a.n_rows,
                    b.n_columns,
                    DEPTH.min(a.n_columns - first),
                    c.as_mut_ptr(),
                    1,
                    b.n_columns as isize,
                    accumulate || first > 0,
                    left.as_ptr(),
                    a.column_stride as isize,
                    a.row_stride as isize,
                    right.as_ptr(),
                    b.column_stride as isize,
                    b.row_stride as isize,
                    T::ONE,
                    T::ONE,
                    // A real number is its own conjugate. Asked for it, the crate leaves out its kernels for small and for narrow
                    // products, whose sums depend on the width of the vectors.
                    true,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
        }
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

    /// What the networks of the benchmark need, and sizes around the crate's tiles and blocks: single rows and columns, few terms,
    /// more rows and columns than a block has, more terms than its smallest block. Equal bits to a formula that knows no
    /// caches and no vector width are equal bits on every processor with the same rounding.
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
