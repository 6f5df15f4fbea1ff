//! Products in registers: the tile that the forward and the backward kernels share, and the sizes of their blocks.

use super::simd::Simd;

/// Most inputs of a product that are walked in one go, so that a panel's slice of them stays in the first-level cache.
pub(super) const DEPTH: usize = 256;

/// Calls `$f::<S, R, …>` with R = `$rows`, a number from 1 to 10.
macro_rules! with_rows {
    ($rows:expr, $f:ident::<$S:ident, _, $($g:tt),+>($($arg:expr),* $(,)?)) => {
        match $rows {
            10 => $f::<$S, 10, $($g),+>($($arg),*),
            9 => $f::<$S, 9, $($g),+>($($arg),*),
            8 => $f::<$S, 8, $($g),+>($($arg),*),
            7 => $f::<$S, 7, $($g),+>($($arg),*),
            6 => $f::<$S, 6, $($g),+>($($arg),*),
            5 => $f::<$S, 5, $($g),+>($($arg),*),
            4 => $f::<$S, 4, $($g),+>($($arg),*),
            3 => $f::<$S, 3, $($g),+>($($arg),*),
            2 => $f::<$S, 2, $($g),+>($($arg),*),
            _ => $f::<$S, 1, $($g),+>($($arg),*),
        }
    };
}
pub(super) use with_rows;

/// `acc[r][c] += Σ_k w(r, k) · b[k][c]`, where `w(r, k)` is `w[r · step + k]` (`ALONG`) or `w[k · step + r]`.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, const R: usize, const C: usize, const ALONG: bool>(
    depth: usize,
    w: *const f32,
    step: usize,
    b: *const f32,
    acc: &mut [[S::V; C]; R],
) {
    unsafe {
        let mut b = b;
        let mut w = w;
        let mut left = depth;
        // Addresses are computed once for several steps: integer work takes turns with the multiply-adds on their
        // ports.
        if R >= S::ROWS {
            while left >= UNROLLED {
                for k in 0..UNROLLED {
                    let w = w.add(if ALONG { k } else { k * step });
                    multiply_step::<S, R, C, ALONG>(w, step, b.add(k * C * S::LANES), acc);
                }
                b = b.add(UNROLLED * C * S::LANES);
                w = w.add(if ALONG { UNROLLED } else { UNROLLED * step });
                left -= UNROLLED;
            }
        }
        for _ in 0..left {
            multiply_step::<S, R, C, ALONG>(w, step, b, acc);
            b = b.add(C * S::LANES);
            w = w.add(if ALONG { 1 } else { step });
        }
    }
}

/// Steps of a product between two computations of addresses.
const UNROLLED: usize = 4;

#[inline(always)]
unsafe fn multiply_step<S: Simd, const R: usize, const C: usize, const ALONG: bool>(
    w: *const f32,
    step: usize,
    b: *const f32,
    acc: &mut [[S::V; C]; R],
) {
    unsafe {
        let mut x = [S::zero(); C];
        for c in 0..C {
            x[c] = S::load(b.add(c * S::LANES));
        }
        for r in 0..R {
            let a = S::splat(*w.add(if ALONG { r * step } else { r }));
            for c in 0..C {
                acc[r][c] = S::fma(a, x[c], acc[r][c]);
            }
        }
    }
}

/// Depth of the slices in which `n` inputs are walked: equal ones, none above [`DEPTH`].
#[inline(always)]
pub(super) fn slice_depth(n: usize) -> usize {
    n.div_ceil(n.div_ceil(DEPTH)).max(1)
}

/// Panels that are taken through all slices of inputs together, so that their partial sums stay in the second-level
/// cache.
pub(super) const GROUPED: usize = 4;
