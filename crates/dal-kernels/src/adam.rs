//! The update of the parameters: one Adam step.

use super::access::{In, Out};
use super::simd::Simd;

/// One Adam step.
pub struct Adam<'a> {
    /// Parameters.
    pub n: usize,
    /// The parameters, moved in place.
    pub params: Out<'a>,
    /// Adam's first moments.
    pub first: Out<'a>,
    /// Adam's second moments.
    pub second: Out<'a>,
    /// The gradient of the loss, without the decay.
    pub gradient: In<'a>,
    /// Decay of the first moments.
    pub beta1: f32,
    /// 1 − β₁, rounded once.
    pub one_minus_beta1: f32,
    /// Decay of the second moments.
    pub beta2: f32,
    /// 1 − β₂, rounded once.
    pub one_minus_beta2: f32,
    /// rate / (1 − β₁ᵗ).
    pub step_size: f32,
    /// 1 / √(1 − β₂ᵗ).
    pub root_scale: f32,
    /// Added to the root.
    pub eps: f32,
    /// Added to the gradient, times the parameter.
    pub weight_decay: f32,
    /// Magnitudes below it become 0.
    pub least: f32,
}

#[inline(always)]
pub(super) unsafe fn adam<S: Simd>(a: &Adam<'_>) {
    unsafe {
        let whole = a.n / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            let (p, m, v) = adam_vector::<S>(
                a,
                S::load(a.params.add(at)),
                S::load(a.first.add(at)),
                S::load(a.second.add(at)),
                S::load(a.gradient.add(at)),
            );
            S::store(a.params.add(at), p);
            S::store(a.first.add(at), m);
            S::store(a.second.add(at), v);
        }
        let left = a.n - whole;
        if left > 0 {
            let (p, m, v) = adam_vector::<S>(
                a,
                S::load_first(a.params.add(whole), left),
                S::load_first(a.first.add(whole), left),
                S::load_first(a.second.add(whole), left),
                S::load_first(a.gradient.add(whole), left),
            );
            S::store_first(a.params.add(whole), p, left);
            S::store_first(a.first.add(whole), m, left);
            S::store_first(a.second.add(whole), v, left);
        }
    }
}

#[inline(always)]
unsafe fn adam_vector<S: Simd>(a: &Adam<'_>, p: S::V, m: S::V, v: S::V, g: S::V) -> (S::V, S::V, S::V) {
    unsafe {
        let least = S::splat(a.least);
        let g = S::fma(p, S::splat(a.weight_decay), g);
        let m = S::fma(m, S::splat(a.beta1), S::mul(g, S::splat(a.one_minus_beta1)));
        let v = S::fma(v, S::splat(a.beta2), S::mul(S::mul(g, g), S::splat(a.one_minus_beta2)));
        let (m, v) = (S::flush(m, least), S::flush(v, least));
        let under = S::fma(S::sqrt(v), S::splat(a.root_scale), S::splat(a.eps));
        let p = S::sub(p, S::div(S::mul(m, S::splat(a.step_size)), under));
        (S::flush(p, least), m, v)
    }
}
