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

/// The `gemm` crate on the calling thread.
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
        // SAFETY: `Matrix` only describes entries inside its slice (checked in `new`, kept by `t`), `check` has compared
        // the three shapes, and `c` is exclusive, so it overlaps neither operand. `Real` is sealed to f32 and f64.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

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
