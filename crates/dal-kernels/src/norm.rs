//! BatchNorm's scalars, forward and backward.

use super::access::{In, Out};
use super::panels::{first_ones, n_panels, panel};
use super::simd::Simd;

/// BatchNorm in training mode, from the sums of a [`Forward`](super::Forward): its statistics, and the gain and shift
/// the next layer applies. `z` is the pre-activation less `centre`.
pub struct Normalise<'a> {
    /// Points.
    pub n_points: usize,
    /// Features.
    pub n: usize,
    /// As left by [`Forward`](super::Forward); `LANES · SUM_LANES` more may be read behind them.
    pub sums: In<'a>,
    /// The layer's panels; features whose mean is large against their spread are centred again in place.
    pub z: Out<'a>,
    /// `[n]`: γ.
    pub gamma: In<'a>,
    /// `[n]`: β.
    pub beta: In<'a>,
    /// Added to the variance.
    pub eps: f32,
    /// `[n]`: what was subtracted.
    pub centre: Out<'a>,
    /// `[n]`: the mean of `z`.
    pub mean: Out<'a>,
    /// `[n]`: the biased variance.
    pub variance: Out<'a>,
    /// `[n]`: 1 / √(variance + eps).
    pub inverse: Out<'a>,
    /// `[n]`: γ · inverse.
    pub gain: Out<'a>,
    /// `[n]`: β − mean · gain.
    pub shift: Out<'a>,
}

#[inline(always)]
pub(super) unsafe fn normalise<S: Simd>(b: &Normalise<'_>) {
    unsafe {
        let scale = S::splat(1.0 / b.n_points as f32);
        for o in (0..b.n).step_by(S::LANES) {
            let lanes = S::LANES.min(b.n - o);
            let mean = S::mul(S::sums(b.sums.add(o * S::SUM_LANES)), scale);
            let square = S::mul(S::sums(b.sums.add((b.n + o) * S::SUM_LANES)), scale);
            let variance = S::relu(S::sub(square, S::mul(mean, mean)));
            S::store_first(b.mean.add(o), mean, lanes);
            S::store_first(b.variance.add(o), variance, lanes);
        }
        for o in 0..b.n {
            let mean = *b.mean.add(o);
            // One pass over the squares loses digits where the mean dwarfs the spread: such features are centred again.
            if mean * mean > 4.0 * *b.variance.add(o) {
                recentre::<S>(b, o);
            }
        }
        for o in (0..b.n).step_by(S::LANES) {
            let lanes = S::LANES.min(b.n - o);
            let mean = S::load_first(b.mean.add(o), lanes);
            let variance = S::load_first(b.variance.add(o), lanes);
            let inverse = S::div(S::splat(1.0), S::sqrt(S::add(variance, S::splat(b.eps))));
            let gain = S::mul(S::load_first(b.gamma.add(o), lanes), inverse);
            let shift = S::sub(S::load_first(b.beta.add(o), lanes), S::mul(mean, gain));
            S::store_first(b.inverse.add(o), inverse, lanes);
            S::store_first(b.gain.add(o), gain, lanes);
            S::store_first(b.shift.add(o), shift, lanes);
        }
    }
}

/// Moves feature `o` by its first point, then if need be by what is left of its mean, and takes its statistics again.
/// Points that all agree become exactly 0, with mean and variance exactly 0.
#[inline(always)]
unsafe fn recentre<S: Simd>(b: &Normalise<'_>, o: usize) {
    unsafe {
        let row = panel::<S>(b.n_points, 0).vectors * S::LANES;
        let mut moved = *b.z.add(o * row);
        for _ in 0..2 {
            let (mean, variance) = shift_feature::<S>(b, o, moved);
            *b.centre.add(o) += moved;
            *b.mean.add(o) = mean;
            *b.variance.add(o) = variance;
            if mean * mean <= 4.0 * variance {
                return;
            }
            moved = mean;
        }
    }
}

/// Subtracts `by` from feature `o` of `z`; its mean and biased variance.
#[inline(always)]
unsafe fn shift_feature<S: Simd>(b: &Normalise<'_>, o: usize, by: f32) -> (f32, f32) {
    unsafe {
        let mut sum = S::zero_sum();
        let mut square = S::zero_sum();
        for index in 0..n_panels::<S>(b.n_points) {
            let p = panel::<S>(b.n_points, index);
            for v in 0..p.vectors {
                let at = b.z.add(p.first * b.n + (o * p.vectors + v) * S::LANES);
                let mut z = S::sub(S::load(at), S::splat(by));
                S::store(at, z);
                if v + 1 == p.vectors {
                    z = S::mul(z, first_ones::<S>(p.last_lanes));
                }
                sum = S::gather(sum, z);
                square = S::gather_product(square, z, z);
            }
        }
        let n = b.n_points as f32;
        let mean = S::sum(sum) / n;
        (mean, (S::sum(square) / n - mean * mean).max(0.0))
    }
}

/// BatchNorm's backward scalars from the sums of the [`Backward`](super::Backward) of the layer above.
pub struct Denormalise<'a> {
    /// Points.
    pub n_points: usize,
    /// Features.
    pub n: usize,
    /// As left by [`Backward`](super::Backward); `LANES · SUM_LANES` more may be read behind them.
    pub sums: In<'a>,
    /// `[n]`: the mean of `z`.
    pub mean: In<'a>,
    /// `[n]`: 1 / √(variance + eps).
    pub inverse: In<'a>,
    /// `[2, n]`: gradients of γ, then of β.
    pub gradient: Out<'a>,
    /// `[n]`, see [`Backward`](super::Backward).
    pub curve: Out<'a>,
    /// `[n]`, see [`Backward`](super::Backward).
    pub offset: Out<'a>,
}

#[inline(always)]
pub(super) unsafe fn denormalise<S: Simd>(b: &Denormalise<'_>) {
    unsafe {
        let scale = S::splat(1.0 / b.n_points as f32);
        for o in (0..b.n).step_by(S::LANES) {
            let lanes = S::LANES.min(b.n - o);
            let d_beta = S::sums(b.sums.add(o * S::SUM_LANES));
            let product = S::sums(b.sums.add((b.n + o) * S::SUM_LANES));
            let mean = S::load_first(b.mean.add(o), lanes);
            let inverse = S::load_first(b.inverse.add(o), lanes);
            let d_gamma = S::mul(inverse, S::sub(product, S::mul(mean, d_beta)));
            // ∂z = gain (δ − ∂β / n − x̂ ∂γ / n) with x̂ = (z − mean) · inverse.
            let curve = S::mul(scale, S::mul(inverse, d_gamma));
            let offset = S::sub(S::mul(scale, d_beta), S::mul(curve, mean));
            S::store_first(b.gradient.add(o), d_gamma, lanes);
            S::store_first(b.gradient.add(b.n + o), d_beta, lanes);
            S::store_first(b.curve.add(o), curve, lanes);
            S::store_first(b.offset.add(o), offset, lanes);
        }
    }
}
