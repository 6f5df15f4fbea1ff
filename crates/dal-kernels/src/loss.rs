//! Mean squared error and its gradient.

use super::access::{In, Out};
use super::panels::{first_ones, n_panels, panel};
use super::simd::Simd;

/// Squared error and its gradient.
pub struct Loss<'a> {
    /// Points.
    pub n_points: usize,
    /// Outputs.
    pub n: usize,
    /// Panels of `n` features: the network's outputs.
    pub output: In<'a>,
    /// The labels, laid out as `output`.
    pub target: In<'a>,
    /// Panels of `n`: `2 (output − target) / (n_points · n)`.
    pub delta: Out<'a>,
}

/// Mean squared error over points and features.
#[inline(always)]
pub(super) unsafe fn loss<S: Simd>(l: &Loss<'_>) -> f64 {
    unsafe {
        let count = (l.n_points * l.n) as f64;
        let scale = S::splat((2.0 / count) as f32);
        let panels = n_panels::<S>(l.n_points);
        let mut total = 0.0;
        for o in 0..l.n {
            let mut square = S::zero_sum();
            for index in 0..panels {
                let p = panel::<S>(l.n_points, index);
                for v in 0..p.vectors {
                    let at = p.first * l.n + (o * p.vectors + v) * S::LANES;
                    let mut error = S::sub(S::load(l.output.add(at)), S::load(l.target.add(at)));
                    if v + 1 == p.vectors {
                        error = S::mul(error, first_ones::<S>(p.last_lanes));
                    }
                    S::store(l.delta.add(at), S::mul(error, scale));
                    square = S::gather_product(square, error, error);
                }
            }
            total += f64::from(S::sum(square));
        }
        total / count
    }
}
