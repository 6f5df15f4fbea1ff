//! Sums over the points: of lane sums that another kernel left, and of the features of a panel matrix.

use super::access::{In, Out};
use super::panels::{n_panels, panel};
use super::simd::Simd;

/// Adds up lane sums: element i of `to` is the sum of vector i of `sums`. `LANES · SUM_LANES` more may be read behind
/// them.
#[inline(always)]
pub(super) unsafe fn reduce<S: Simd>(sums: In<'_>, n: usize, to: Out<'_>) {
    unsafe {
        for o in (0..n).step_by(S::LANES) {
            S::store_first(to.add(o), S::sums(sums.add(o * S::SUM_LANES)), S::LANES.min(n - o));
        }
    }
}

/// Sum over the points of each of `n` features, whose padding must be 0.
#[inline(always)]
pub(super) unsafe fn row_sums<S: Simd>(n_points: usize, n: usize, values: In<'_>, to: Out<'_>) {
    unsafe {
        for o in 0..n {
            let mut sum = S::zero_sum();
            for index in 0..n_panels::<S>(n_points) {
                let p = panel::<S>(n_points, index);
                for v in 0..p.vectors {
                    sum = S::gather(sum, S::load(values.add(p.first * n + (o * p.vectors + v) * S::LANES)));
                }
            }
            *to.add(o) = S::sum(sum);
        }
    }
}
