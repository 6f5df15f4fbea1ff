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

#[cfg(target_arch = "aarch64")]
pub(super) mod arm;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

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
