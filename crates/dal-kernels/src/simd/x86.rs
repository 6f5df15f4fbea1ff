//! AVX-512 and AVX2, and the arithmetic of the second in vectors of the first.

use super::Simd;
use std::arch::x86_64::*;

/// 16 lanes; needs AVX-512 F and DQ.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512;

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    const ROWS: usize = 10;
    const GRAD_TILE: (usize, usize) = (4, 5);
    const NAME: &'static str = "avx512";
    sums_as_vectors!();

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(first_lanes(n), p) }
    }
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: __m512, n: usize) {
        unsafe { _mm512_mask_storeu_ps(p, first_lanes(n), v) }
    }
    #[inline(always)]
    unsafe fn load_quad(p: *const f32) -> __m512 {
        unsafe { _mm512_broadcast_f32x4(_mm_loadu_ps(p)) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m512) -> __m512 {
        // maxps returns its second operand when either is NaN.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
    }
    #[inline(always)]
    unsafe fn where_positive(y: __m512, v: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(y, _mm512_setzero_ps()), v) }
    }
    #[inline(always)]
    unsafe fn flush(v: __m512, least: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(v), least), v) }
    }
    #[inline(always)]
    unsafe fn sum(v: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[inline(always)]
    unsafe fn sums(p: *const f32) -> __m512 {
        unsafe {
            // In each quad: sums over the quad's lanes of four vectors; then the four quads are added.
            let q0 = quads_of_four(p);
            let q1 = quads_of_four(p.add(64));
            let q2 = quads_of_four(p.add(128));
            let q3 = quads_of_four(p.add(192));
            let a = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(q0, q1), _mm512_shuffle_f32x4::<0xdd>(q0, q1));
            let b = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(q2, q3), _mm512_shuffle_f32x4::<0xdd>(q2, q3));
            _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
        }
    }
    #[inline(always)]
    unsafe fn quad_sums(p: *const f32) -> __m512 {
        unsafe {
            let q = quads_of_four(p);
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_permutexvar_ps(order, q)
        }
    }
    #[inline(always)]
    unsafe fn interleave(rows: &[__m512; 4], to: *mut f32) {
        unsafe {
            let [a, b, c, d] = *rows;
            let ab0 = _mm512_shuffle_f32x4::<0x44>(a, b); // a0 a1 b0 b1
            let ab1 = _mm512_shuffle_f32x4::<0xee>(a, b); // a2 a3 b2 b3
            let cd0 = _mm512_shuffle_f32x4::<0x44>(c, d);
            let cd1 = _mm512_shuffle_f32x4::<0xee>(c, d);
            Self::store(to, _mm512_shuffle_f32x4::<0x88>(ab0, cd0)); // a0 b0 c0 d0
            Self::store(to.add(16), _mm512_shuffle_f32x4::<0xdd>(ab0, cd0));
            Self::store(to.add(32), _mm512_shuffle_f32x4::<0x88>(ab1, cd1));
            Self::store(to.add(48), _mm512_shuffle_f32x4::<0xdd>(ab1, cd1));
        }
    }
    #[inline(always)]
    unsafe fn transpose(rows: &[__m512; 16], to: *mut f32, step: usize) {
        unsafe {
            let mut t = *rows;
            for g in 0..4 {
                let [a, b, c, d] = [rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]];
                let ab0 = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let ab1 = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let cd0 = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                let cd1 = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                // t[4 g + j]: in quad q, column 4 q + j of rows 4 g .. 4 g + 4.
                t[4 * g] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab0, cd0));
                t[4 * g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab0, cd0));
                t[4 * g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab1, cd1));
                t[4 * g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab1, cd1));
            }
            for j in 0..4 {
                let [a, b, c, d] = [t[j], t[4 + j], t[8 + j], t[12 + j]];
                let ab0 = _mm512_shuffle_f32x4::<0x44>(a, b);
                let ab1 = _mm512_shuffle_f32x4::<0xee>(a, b);
                let cd0 = _mm512_shuffle_f32x4::<0x44>(c, d);
                let cd1 = _mm512_shuffle_f32x4::<0xee>(c, d);
                Self::store(to.add(j * step), _mm512_shuffle_f32x4::<0x88>(ab0, cd0));
                Self::store(to.add((4 + j) * step), _mm512_shuffle_f32x4::<0xdd>(ab0, cd0));
                Self::store(to.add((8 + j) * step), _mm512_shuffle_f32x4::<0x88>(ab1, cd1));
                Self::store(to.add((12 + j) * step), _mm512_shuffle_f32x4::<0xdd>(ab1, cd1));
            }
        }
    }
}

/// The mask of the first `n` of 16 lanes.
#[inline(always)]
fn first_lanes(n: usize) -> __mmask16 {
    if n >= 16 { 0xffff } else { (1 << n) - 1 }
}

/// Of four vectors at `p`: lane j of quad q is the sum of quad q of vector j.
#[inline(always)]
unsafe fn quads_of_four(p: *const f32) -> __m512 {
    unsafe {
        let (a, b) = (_mm512_loadu_ps(p), _mm512_loadu_ps(p.add(16)));
        let (c, d) = (_mm512_loadu_ps(p.add(32)), _mm512_loadu_ps(p.add(48)));
        let ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
        let cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)))
    }
}

/// 8 lanes; needs AVX2 and FMA.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2;

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const ROWS: usize = 5;
    const GRAD_TILE: (usize, usize) = (2, 5);
    const NAME: &'static str = "avx2";
    sums_as_vectors!();

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_quad(p: *const f32) -> __m256 {
        unsafe { _mm256_broadcast_ps(&*p.cast()) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: __m256) -> __m256 {
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn relu(a: __m256) -> __m256 {
        // maxps returns its second operand when either is NaN.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), a) }
    }
    #[inline(always)]
    unsafe fn where_positive(y: __m256, v: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(y, _mm256_setzero_ps()), v) }
    }
    #[inline(always)]
    unsafe fn flush(v: __m256, least: __m256) -> __m256 {
        unsafe {
            let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), v);
            _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(magnitude, least), v)
        }
    }
    #[inline(always)]
    unsafe fn sum(v: __m256) -> f32 {
        unsafe {
            let s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let s = _mm_add_ps(s, _mm_movehl_ps(s, s));
            _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps::<1>(s, s)))
        }
    }
    #[inline(always)]
    unsafe fn sums(p: *const f32) -> __m256 {
        unsafe {
            let q0 = halves_of_four(p);
            let q1 = halves_of_four(p.add(32));
            _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(q0, q1), _mm256_permute2f128_ps::<0x31>(q0, q1))
        }
    }
    #[inline(always)]
    unsafe fn quad_sums(p: *const f32) -> __m256 {
        unsafe {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            _mm256_permutevar8x32_ps(halves_of_four(p), order)
        }
    }
    #[inline(always)]
    unsafe fn interleave(rows: &[__m256; 4], to: *mut f32) {
        unsafe {
            Self::store(to, _mm256_permute2f128_ps::<0x20>(rows[0], rows[1]));
            Self::store(to.add(8), _mm256_permute2f128_ps::<0x31>(rows[0], rows[1]));
        }
    }
    #[inline(always)]
    unsafe fn transpose(rows: &[__m256; 16], to: *mut f32, step: usize) {
        unsafe {
            let mut t = [Self::zero(); 8];
            for g in 0..2 {
                let [a, b, c, d] = [rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]];
                let (ab0, ab1) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd0, cd1) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                t[4 * g] = _mm256_shuffle_ps::<0x44>(ab0, cd0);
                t[4 * g + 1] = _mm256_shuffle_ps::<0xee>(ab0, cd0);
                t[4 * g + 2] = _mm256_shuffle_ps::<0x44>(ab1, cd1);
                t[4 * g + 3] = _mm256_shuffle_ps::<0xee>(ab1, cd1);
            }
            for j in 0..4 {
                Self::store(to.add(j * step), _mm256_permute2f128_ps::<0x20>(t[j], t[4 + j]));
                Self::store(to.add((4 + j) * step), _mm256_permute2f128_ps::<0x31>(t[j], t[4 + j]));
            }
        }
    }
}

/// The arithmetic of [`Avx2`] in vectors of AVX-512, 16 lanes: sums over the points in eight lanes, added up in the
/// same order. Half again as fast where a processor multiplies 16 lanes at once.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2Wide;

/// Functions that are those of [`Avx512`].
macro_rules! as_avx512 {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($arg: $type),*) $(-> $result)? {
            unsafe { Avx512::$name($($arg),*) }
        })*
    };
}

/// Functions that are those of [`Avx2`].
macro_rules! as_avx2 {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? = $theirs:ident;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($arg: $type),*) $(-> $result)? {
            unsafe { Avx2::$theirs($($arg),*) }
        })*
    };
}

impl Simd for Avx2Wide {
    type V = __m512;
    type Sum = __m256;
    const LANES: usize = 16;
    const SUM_LANES: usize = 8;
    const ROWS: usize = 10;
    const GRAD_TILE: (usize, usize) = (4, 5);
    const NAME: &'static str = Avx2::NAME;

    as_avx512! {
        zero() -> __m512;
        splat(x: f32) -> __m512;
        load(p: *const f32) -> __m512;
        store(p: *mut f32, v: __m512);
        prefetch(p: *const f32);
        load_first(p: *const f32, n: usize) -> __m512;
        store_first(p: *mut f32, v: __m512, n: usize);
        load_quad(p: *const f32) -> __m512;
        add(a: __m512, b: __m512) -> __m512;
        sub(a: __m512, b: __m512) -> __m512;
        mul(a: __m512, b: __m512) -> __m512;
        div(a: __m512, b: __m512) -> __m512;
        sqrt(a: __m512) -> __m512;
        fma(a: __m512, b: __m512, c: __m512) -> __m512;
        relu(a: __m512) -> __m512;
        where_positive(y: __m512, v: __m512) -> __m512;
        flush(v: __m512, least: __m512) -> __m512;
        interleave(rows: &[__m512; 4], to: *mut f32);
        transpose(rows: &[__m512; 16], to: *mut f32, step: usize);
    }
    as_avx2! {
        zero_sum() -> __m256 = zero;
        load_sum(p: *const f32) -> __m256 = load;
        store_sum(p: *mut f32, s: __m256) = store;
        add_sum(a: __m256, b: __m256) -> __m256 = add;
        fma_sum(a: __m256, b: __m256, c: __m256) -> __m256 = fma;
        sum(s: __m256) -> f32 = sum;
    }
    #[inline(always)]
    unsafe fn gather(s: __m256, v: __m512) -> __m256 {
        unsafe { _mm256_add_ps(_mm256_add_ps(s, low(v)), high(v)) }
    }
    #[inline(always)]
    unsafe fn gather_product(s: __m256, a: __m512, b: __m512) -> __m256 {
        unsafe { _mm256_fmadd_ps(high(a), high(b), _mm256_fmadd_ps(low(a), low(b), s)) }
    }
    #[inline(always)]
    unsafe fn sums(p: *const f32) -> __m512 {
        unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(Avx2::sums(p)), Avx2::sums(p.add(64))) }
    }
    #[inline(always)]
    unsafe fn quad_sums(p: *const f32) -> __m512 {
        unsafe {
            let ab = neighbours(_mm512_loadu_ps(p), _mm512_loadu_ps(p.add(16)));
            let cd = neighbours(_mm512_loadu_ps(p.add(32)), _mm512_loadu_ps(p.add(48)));
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_permutexvar_ps(order, neighbours(ab, cd))
        }
    }
}

/// Lanes 0 to 7.
#[inline(always)]
unsafe fn low(v: __m512) -> __m256 {
    unsafe { _mm512_castps512_ps256(v) }
}

/// Lanes 8 to 15.
#[inline(always)]
unsafe fn high(v: __m512) -> __m256 {
    unsafe { _mm512_extractf32x8_ps::<1>(v) }
}

/// In each quad: `a₀ + a₁, a₂ + a₃, b₀ + b₁, b₂ + b₃`, what `_mm256_hadd_ps` does in AVX2.
#[inline(always)]
unsafe fn neighbours(a: __m512, b: __m512) -> __m512 {
    unsafe { _mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b)) }
}

/// Of four vectors at `p`: lane j of half h is the sum of half h of vector j.
#[inline(always)]
unsafe fn halves_of_four(p: *const f32) -> __m256 {
    unsafe {
        let (a, b) = (_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8)));
        let (c, d) = (_mm256_loadu_ps(p.add(16)), _mm256_loadu_ps(p.add(24)));
        _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d))
    }
}
