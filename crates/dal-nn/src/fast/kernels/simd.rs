//! The vector operations that the kernels are written in, once per instruction set.
//!
//! A kernel is generic over [`Simd`] and inlined into an entry function that enables the instruction set; nothing here
//! may be called from anywhere else.

/// One instruction set's vector of f32 and the few operations that the kernels need.
///
/// # Safety
/// Every function needs the instruction set of the implementing type on the running processor; loads and stores need as
/// many valid elements behind the pointer as their sentence says. No alignment is required.
pub(super) trait Simd: Copy + 'static {
    /// A vector of `LANES` f32.
    type V: Copy;
    /// A vector of lane sums, of `SUM_LANES` f32: lane j of it sums the points j, j + `SUM_LANES`, … in order.
    type Sum: Copy;
    /// Elements of one vector.
    const LANES: usize;
    /// Lanes of sums over the points. Paths in which it is equal, as is the order in which lanes are added up, compute
    /// equal bits, however wide their vectors are.
    const SUM_LANES: usize;
    /// Groups of four lanes in one vector.
    const QUADS: usize = Self::LANES / 4;
    /// Rows of a register tile of the layer products, which is two vectors wide.
    const ROWS: usize;
    /// Rows and vectors of a register tile of the narrow weight gradient.
    const GRAD_TILE: (usize, usize);
    /// Name of the path, part of the recorded platform: paths of one name compute the same bits.
    const NAME: &'static str;

    /// All lanes 0.
    unsafe fn zero() -> Self::V;
    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads `LANES` elements.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Writes `LANES` elements.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Asks for the cache line at `p`, which need not be valid.
    #[inline(always)]
    unsafe fn prefetch(_p: *const f32) {}
    /// Reads `n` elements, `n` ≤ `LANES`; the other lanes are 0.
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self::V {
        let mut buffer = [0.0f32; 16];
        unsafe {
            std::ptr::copy_nonoverlapping(p, buffer.as_mut_ptr(), n);
            Self::load(buffer.as_ptr())
        }
    }
    /// Writes the first `n` ≤ `LANES` lanes.
    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: Self::V, n: usize) {
        let mut buffer = [0.0f32; 16];
        unsafe {
            Self::store(buffer.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(buffer.as_ptr(), p, n);
        }
    }
    /// Reads four elements and repeats them over the vector.
    unsafe fn load_quad(p: *const f32) -> Self::V;
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a − b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`, correctly rounded.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// Square root, correctly rounded.
    unsafe fn sqrt(a: Self::V) -> Self::V;
    /// `a · b + c`, rounded once where the instruction set can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// max(0, a); NaN stays NaN.
    unsafe fn relu(a: Self::V) -> Self::V;
    /// `v` in the lanes where `y > 0`, else 0.
    unsafe fn where_positive(y: Self::V, v: Self::V) -> Self::V;
    /// `v` in the lanes where |v| is not below `least`, else 0.
    unsafe fn flush(v: Self::V, least: Self::V) -> Self::V;
    /// All sums 0.
    unsafe fn zero_sum() -> Self::Sum;
    /// Reads `SUM_LANES` elements.
    unsafe fn load_sum(p: *const f32) -> Self::Sum;
    /// Writes `SUM_LANES` elements.
    unsafe fn store_sum(p: *mut f32, s: Self::Sum);
    /// `a + b`.
    unsafe fn add_sum(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    /// `a · b + c`, rounded as [`Simd::fma`] does.
    unsafe fn fma_sum(a: Self::Sum, b: Self::Sum, c: Self::Sum) -> Self::Sum;
    /// Adds a vector of points to the lane sums.
    unsafe fn gather(s: Self::Sum, v: Self::V) -> Self::Sum;
    /// Adds `a · b` to the lane sums, rounded as [`Simd::fma`] does.
    unsafe fn gather_product(s: Self::Sum, a: Self::V, b: Self::V) -> Self::Sum;
    /// Sum over the lanes.
    unsafe fn sum(s: Self::Sum) -> f32;
    /// Sums of the `LANES` vectors of lane sums that lie one after another at `p`: lane j of the result is the sum of
    /// vector j.
    unsafe fn sums(p: *const f32) -> Self::V;
    /// Sums quads: of four vectors one after another at `p`, lane `v · QUADS + q` of the result is the sum of quad q of
    /// vector v.
    unsafe fn quad_sums(p: *const f32) -> Self::V;
    /// Regroups `QUADS` rows of one vector each (the first of `rows`): result q, stored at `to + q · LANES`,
    /// holds quad q of every row, row after row.
    unsafe fn interleave(rows: &[Self::V; 4], to: *mut f32);
    /// Transposes the `LANES` × `LANES` block of `rows` (the first `LANES` used); result row r goes to `to + r · step`.
    unsafe fn transpose(rows: &[Self::V; 16], to: *mut f32, step: usize);
}

/// Lane sums of a path that takes them in vectors as wide as all others.
macro_rules! sums_as_vectors {
    () => {
        type Sum = Self::V;
        const SUM_LANES: usize = Self::LANES;

        #[inline(always)]
        unsafe fn zero_sum() -> Self::V {
            unsafe { Self::zero() }
        }
        #[inline(always)]
        unsafe fn load_sum(p: *const f32) -> Self::V {
            unsafe { Self::load(p) }
        }
        #[inline(always)]
        unsafe fn store_sum(p: *mut f32, s: Self::V) {
            unsafe { Self::store(p, s) }
        }
        #[inline(always)]
        unsafe fn add_sum(a: Self::V, b: Self::V) -> Self::V {
            unsafe { Self::add(a, b) }
        }
        #[inline(always)]
        unsafe fn fma_sum(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { Self::fma(a, b, c) }
        }
        #[inline(always)]
        unsafe fn gather(s: Self::V, v: Self::V) -> Self::V {
            unsafe { Self::add(s, v) }
        }
        #[inline(always)]
        unsafe fn gather_product(s: Self::V, a: Self::V, b: Self::V) -> Self::V {
            unsafe { Self::fma(a, b, s) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
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
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
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
}

/// 4 lanes of ordinary f32 arithmetic: runs everywhere, and is what the other paths are compared with.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Portable {
    #[inline(always)]
    fn zip(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
        [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
    }
}

impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    const ROWS: usize = 5;
    const GRAD_TILE: (usize, usize) = (2, 5);
    const NAME: &'static str = "portable";
    sums_as_vectors!();

    #[inline(always)]
    unsafe fn zero() -> [f32; 4] {
        [0.0; 4]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_quad(p: *const f32) -> [f32; 4] {
        unsafe { Self::load(p) }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::zip(a, b, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::zip(a, b, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::zip(a, b, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn div(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        Self::zip(a, b, |x, y| x / y)
    }
    #[inline(always)]
    unsafe fn sqrt(a: [f32; 4]) -> [f32; 4] {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        // Two roundings: without the instruction, a fused multiply-add is a slow library call.
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    unsafe fn relu(a: [f32; 4]) -> [f32; 4] {
        a.map(|x| if x < 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn where_positive(y: [f32; 4], v: [f32; 4]) -> [f32; 4] {
        Self::zip(y, v, |y, v| if y > 0.0 { v } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn flush(v: [f32; 4], least: [f32; 4]) -> [f32; 4] {
        Self::zip(v, least, |v, least| if v.abs() < least { 0.0 } else { v })
    }
    #[inline(always)]
    unsafe fn sum(v: [f32; 4]) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }
    #[inline(always)]
    unsafe fn sums(p: *const f32) -> [f32; 4] {
        unsafe {
            [
                Self::sum(Self::load(p)),
                Self::sum(Self::load(p.add(4))),
                Self::sum(Self::load(p.add(8))),
                Self::sum(Self::load(p.add(12))),
            ]
        }
    }
    #[inline(always)]
    unsafe fn quad_sums(p: *const f32) -> [f32; 4] {
        unsafe { Self::sums(p) }
    }
    #[inline(always)]
    unsafe fn interleave(rows: &[[f32; 4]; 4], to: *mut f32) {
        unsafe { Self::store(to, rows[0]) }
    }
    #[inline(always)]
    unsafe fn transpose(rows: &[[f32; 4]; 16], to: *mut f32, step: usize) {
        unsafe {
            for j in 0..4 {
                Self::store(to.add(j * step), [rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
            }
        }
    }
}
