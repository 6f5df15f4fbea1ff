//! NEON.

use super::Simd;
use std::arch::aarch64::*;

/// 4 lanes; needs NEON.
#[derive(Clone, Copy)]
pub(in super::super) struct Neon;

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const ROWS: usize = 10;
    const GRAD_TILE: (usize, usize) = (4, 5);
    const NAME: &'static str = "neon";
    sums_as_vectors!();

    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn load_quad(p: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: float32x4_t) -> float32x4_t {
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn relu(a: float32x4_t) -> float32x4_t {
        // fmax returns NaN when either operand is NaN.
        unsafe { vmaxq_f32(vdupq_n_f32(0.0), a) }
    }
    #[inline(always)]
    unsafe fn where_positive(y: float32x4_t, v: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(y), vreinterpretq_u32_f32(v))) }
    }
    #[inline(always)]
    unsafe fn flush(v: float32x4_t, least: float32x4_t) -> float32x4_t {
        unsafe {
            let below = vcltq_f32(vabsq_f32(v), least);
            vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), below))
        }
    }
    #[inline(always)]
    unsafe fn sum(v: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(v) }
    }
    #[inline(always)]
    unsafe fn sums(p: *const f32) -> float32x4_t {
        unsafe {
            let ab = vpaddq_f32(vld1q_f32(p), vld1q_f32(p.add(4)));
            let cd = vpaddq_f32(vld1q_f32(p.add(8)), vld1q_f32(p.add(12)));
            vpaddq_f32(ab, cd)
        }
    }
    #[inline(always)]
    unsafe fn quad_sums(p: *const f32) -> float32x4_t {
        unsafe { Self::sums(p) }
    }
    #[inline(always)]
    unsafe fn interleave(rows: &[float32x4_t; 4], to: *mut f32) {
        unsafe { vst1q_f32(to, rows[0]) }
    }
    #[inline(always)]
    unsafe fn transpose(rows: &[float32x4_t; 16], to: *mut f32, step: usize) {
        unsafe {
            let (ab0, ab1) = (vtrn1q_f32(rows[0], rows[1]), vtrn2q_f32(rows[0], rows[1]));
            let (cd0, cd1) = (vtrn1q_f32(rows[2], rows[3]), vtrn2q_f32(rows[2], rows[3]));
            let low = |x, y| vcombine_f32(vget_low_f32(x), vget_low_f32(y));
            let high = |x, y| vcombine_f32(vget_high_f32(x), vget_high_f32(y));
            vst1q_f32(to, low(ab0, cd0));
            vst1q_f32(to.add(step), low(ab1, cd1));
            vst1q_f32(to.add(2 * step), high(ab0, cd0));
            vst1q_f32(to.add(3 * step), high(ab1, cd1));
        }
    }
}
