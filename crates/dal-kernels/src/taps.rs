//! Convolutions along the features, as sparse linear maps between panel matrices.

use super::access::{In, Out};
use super::panels::{n_panels, panel};
use super::simd::Simd;

/// A row of one panel matrix meeting rows of another through one weight: `count` of them, at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct RowTap {
    /// Place of the weight.
    pub weight: usize,
    /// First row read.
    pub from: usize,
    /// Rows from one read to the next.
    pub from_step: usize,
    /// First row of the target.
    pub to: usize,
    /// Rows from one target to the next.
    pub to_step: usize,
    /// How often it is applied.
    pub count: usize,
}

/// A sparse linear map between panel matrices, its entries shared: convolutions along the features.
pub struct Taps<'a> {
    /// Points.
    pub n_points: usize,
    /// Rows of the source.
    pub n_from: usize,
    /// Rows of the target.
    pub n_to: usize,
    /// The taps.
    pub taps: &'a [RowTap],
}

/// `to[to row] += weight · from[from row]` over all taps.
#[inline(always)]
pub(super) unsafe fn spread<S: Simd>(t: &Taps<'_>, weight: In<'_>, from: In<'_>, to: Out<'_>) {
    unsafe {
        for index in 0..n_panels::<S>(t.n_points) {
            let p = panel::<S>(t.n_points, index);
            let row = p.vectors * S::LANES;
            for tap in t.taps {
                let w = S::splat(*weight.add(tap.weight));
                let mut x = from.add(p.first * t.n_from + tap.from * row);
                let mut y = to.add(p.first * t.n_to + tap.to * row);
                for _ in 0..tap.count {
                    for at in (0..row).step_by(S::LANES) {
                        S::store(y.add(at), S::fma(w, S::load(x.add(at)), S::load(y.add(at))));
                    }
                    x = x.wrapping_add(tap.from_step * row);
                    y = y.wrapping_add(tap.to_step * row);
                }
            }
        }
    }
}

/// `gradient[weight] += Σ from[from row] · to[to row]` over all taps and points; padding of one of the two must be 0.
#[inline(always)]
pub(super) unsafe fn correlate<S: Simd>(t: &Taps<'_>, from: In<'_>, to: In<'_>, gradient: Out<'_>) {
    unsafe {
        for index in 0..n_panels::<S>(t.n_points) {
            let p = panel::<S>(t.n_points, index);
            let row = p.vectors * S::LANES;
            // Two vectors of lane sums at a time, whatever the panel's width: the order of sums is theirs.
            for first in (0..row).step_by(2 * S::SUM_LANES) {
                let vectors = (row - first).min(2 * S::SUM_LANES) / S::SUM_LANES;
                for tap in t.taps {
                    let mut x = from.add(p.first * t.n_from + tap.from * row + first);
                    let mut y = to.add(p.first * t.n_to + tap.to * row + first);
                    let mut sums = [S::zero_sum(); 2];
                    for _ in 0..tap.count {
                        for v in 0..vectors {
                            let at = v * S::SUM_LANES;
                            sums[v] = S::fma_sum(S::load_sum(x.add(at)), S::load_sum(y.add(at)), sums[v]);
                        }
                        x = x.wrapping_add(tap.from_step * row);
                        y = y.wrapping_add(tap.to_step * row);
                    }
                    *gradient.add(tap.weight) += S::sum(S::add_sum(sums[0], sums[1]));
                }
            }
        }
    }
}
