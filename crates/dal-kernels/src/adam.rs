//! The update of the parameters: one Adam step.

use super::access::{In, Out};
use super::simd::Simd;

/// One Adam step.
pub(crate) struct Adam<'a> {
    pub(crate) n: usize,
    pub(crate) params: Out<'a>,
    pub(crate) first: Out<'a>,
    pub(crate) second: Out<'a>,
    pub(crate) gradient: In<'a>,
    pub(crate) beta1: f32,
    pub(crate) one_minus_beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) one_minus_beta2: f32,
    pub(crate) step_size: f32,
    pub(crate) root_scale: f32,
    pub(crate) eps: f32,
    pub(crate) weight_decay: f32,
    /// Magnitudes below it become 0.
    pub(crate) least: f32,
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
