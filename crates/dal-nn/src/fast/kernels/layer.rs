//! The kernels of one layer: products with their fused prologues and epilogues, BatchNorm's scalars, loss and Adam.
//!
//! **Panels.** A matrix of `n` features × `n_points` is stored in panels of `2 · LANES` points; a panel holds its features
//! one after another, each with the panel's points side by side. What remains beyond the full panels is one more panel
//! of two vectors, or of one where one suffices, its last lanes being padding. Products then read and write memory
//! in order, no point is wasted but the last vector's padding, and features need no padding at all.
//!
//! **What is stored.** Of a hidden layer only its centred pre-activations `z` are kept; `relu(gain · z + shift)` is
//! formed again where it is read. Padding lanes hold finite numbers of no meaning in `z`, and zeros in gradients.

use super::access::{In, Out};
use super::simd::Simd;

/// Most inputs of a product that are walked in one go, so that a panel's slice of them stays in the first-level cache.
pub(super) const DEPTH: usize = 256;

/// A layer's activations as the next layer reads them.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Panels of pre-activations, or of inputs.
    pub(crate) z: In<'a>,
    /// Per feature gain and shift of `relu(gain · z + shift)`; absent where `z` is read as it is.
    pub(crate) gain: In<'a>,
    pub(crate) shift: In<'a>,
    /// Panels of factors applied after the ReLU (dropout), or absent.
    pub(crate) keep: In<'a>,
}

/// `output = weight · source + start`, with the sums BatchNorm needs.
pub(crate) struct Forward<'a> {
    pub(crate) n_points: usize,
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    pub(crate) source: Source<'a>,
    /// `[n_out, n_in]` row-major.
    pub(crate) weight: In<'a>,
    /// `[n_out]`.
    pub(crate) start: In<'a>,
    /// Panels of `n_out` features.
    pub(crate) output: Out<'a>,
    /// `[2, n_out, LANES]`: per lane Σ z, then Σ z²; absent where not wanted.
    pub(crate) sums: Out<'a>,
    /// See [`scratch`].
    pub(crate) scratch: Out<'a>,
}

/// Gradients of one layer from the gradient of its output.
pub(crate) struct Backward<'a> {
    pub(crate) n_points: usize,
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    /// Panels of `n_out`: the gradient of BatchNorm's output (or of the layer's own where there is none). Destroyed.
    pub(crate) delta: Out<'a>,
    /// Panels of `n_out`: the layer's pre-activations; read where `slope` is there.
    pub(crate) z: In<'a>,
    /// `[n_out]` each: the gradient of `z` is `slope · (delta − (curve · z + offset))`; absent where it is `delta`.
    pub(crate) slope: In<'a>,
    pub(crate) curve: In<'a>,
    pub(crate) offset: In<'a>,
    /// What the layer read.
    pub(crate) source: Source<'a>,
    pub(crate) weight: In<'a>,
    /// `[n_out, n_in]`: the weight's gradient.
    pub(crate) gradient: Out<'a>,
    /// Panels of `n_in` added to the gradient of the layer's input, or absent.
    pub(crate) extra: In<'a>,
    /// Panels of `n_in`: the gradient of the source before its ReLU (or, not `through`, of what the layer read); absent
    /// where nobody wants it.
    pub(crate) delta_below: Out<'a>,
    /// Whether `delta_below` goes on through the source's dropout and ReLU.
    pub(crate) through: bool,
    /// `[2, n_in, LANES]`: per lane Σ delta_below, then Σ delta_below · z of the source; absent where it does not go
    /// through a ReLU.
    pub(crate) sums: Out<'a>,
    /// See [`scratch`].
    pub(crate) scratch: Out<'a>,
}

/// One panel: offset of its vectors in units of points, vectors per feature, and valid lanes of the last vector.
#[derive(Clone, Copy)]
struct Panel {
    first: usize,
    vectors: usize,
    last_lanes: usize,
}

#[inline(always)]
fn n_panels<S: Simd>(n_points: usize) -> usize {
    n_points.div_ceil(2 * S::LANES)
}

#[inline(always)]
fn panel<S: Simd>(n_points: usize, index: usize) -> Panel {
    let first = index * 2 * S::LANES;
    let left = n_points - first;
    if left >= 2 * S::LANES {
        Panel { first, vectors: 2, last_lanes: S::LANES }
    } else if left > S::LANES {
        Panel { first, vectors: 2, last_lanes: left - S::LANES }
    } else {
        Panel { first, vectors: 1, last_lanes: left }
    }
}

/// Calls `$f::<S, R, …>` with R = `$rows`, a number from 1 to 10.
macro_rules! with_rows {
    ($rows:expr, $f:ident::<$S:ident, _, $($g:tt),+>($($arg:expr),* $(,)?)) => {
        match $rows {
            10 => $f::<$S, 10, $($g),+>($($arg),*),
            9 => $f::<$S, 9, $($g),+>($($arg),*),
            8 => $f::<$S, 8, $($g),+>($($arg),*),
            7 => $f::<$S, 7, $($g),+>($($arg),*),
            6 => $f::<$S, 6, $($g),+>($($arg),*),
            5 => $f::<$S, 5, $($g),+>($($arg),*),
            4 => $f::<$S, 4, $($g),+>($($arg),*),
            3 => $f::<$S, 3, $($g),+>($($arg),*),
            2 => $f::<$S, 2, $($g),+>($($arg),*),
            _ => $f::<$S, 1, $($g),+>($($arg),*),
        }
    };
}

/// `acc[r][c] += Σ_k w(r, k) · b[k][c]`, where `w(r, k)` is `w[r · step + k]` (`ALONG`) or `w[k · step + r]`.
#[inline(always)]
unsafe fn multiply<S: Simd, const R: usize, const C: usize, const ALONG: bool>(
    depth: usize,
    w: *const f32,
    step: usize,
    b: *const f32,
    acc: &mut [[S::V; C]; R],
) {
    unsafe {
        let mut b = b;
        let mut w = w;
        let mut left = depth;
        // Addresses are computed once for several steps: integer work takes turns with the multiply-adds on their ports.
        if R >= S::ROWS {
            while left >= UNROLLED {
                for k in 0..UNROLLED {
                    let w = w.add(if ALONG { k } else { k * step });
                    multiply_step::<S, R, C, ALONG>(w, step, b.add(k * C * S::LANES), acc);
                }
                b = b.add(UNROLLED * C * S::LANES);
                w = w.add(if ALONG { UNROLLED } else { UNROLLED * step });
                left -= UNROLLED;
            }
        }
        for _ in 0..left {
            multiply_step::<S, R, C, ALONG>(w, step, b, acc);
            b = b.add(C * S::LANES);
            w = w.add(if ALONG { 1 } else { step });
        }
    }
}

/// Steps of a product between two computations of addresses.
const UNROLLED: usize = 4;

#[inline(always)]
unsafe fn multiply_step<S: Simd, const R: usize, const C: usize, const ALONG: bool>(
    w: *const f32,
    step: usize,
    b: *const f32,
    acc: &mut [[S::V; C]; R],
) {
    unsafe {
        let mut x = [S::zero(); C];
        for c in 0..C {
            x[c] = S::load(b.add(c * S::LANES));
        }
        for r in 0..R {
            let a = S::splat(*w.add(if ALONG { r * step } else { r }));
            for c in 0..C {
                acc[r][c] = S::fma(a, x[c], acc[r][c]);
            }
        }
    }
}

/// Features `from .. from + n` of a panel as the layer above reads them: in place where they are stored so, else formed
/// in `scratch`.
#[inline(always)]
unsafe fn lift<S: Simd, const C: usize>(
    source: &Source<'_>,
    n_in: usize,
    p: Panel,
    from: usize,
    n: usize,
    scratch: *mut f32,
) -> *const f32 {
    unsafe {
        let row = C * S::LANES;
        let base = p.first * n_in + from * row;
        let z = source.z.add(base);
        if source.gain.is_absent() {
            return z;
        }
        for i in 0..n {
            let gain = S::splat(*source.gain.add(from + i));
            let shift = S::splat(*source.shift.add(from + i));
            for c in 0..C {
                let at = i * row + c * S::LANES;
                S::store(scratch.add(at), S::relu(S::fma(S::load(z.add(at)), gain, shift)));
            }
        }
        if !source.keep.is_absent() {
            let keep = source.keep.add(base);
            for at in (0..n * row).step_by(S::LANES) {
                S::store(scratch.add(at), S::mul(S::load(scratch.add(at)), S::load(keep.add(at))));
            }
        }
        scratch
    }
}

/// Outputs that [`pack`] takes through all row blocks together.
const PACKED: usize = 16;

/// Elements of a cache line.
pub(crate) const LINE: usize = 16;

/// Ones in the first `n` lanes, zeros behind.
#[inline(always)]
unsafe fn first_ones<S: Simd>(n: usize) -> S::V {
    unsafe { S::load_first([1.0f32; 16].as_ptr(), n) }
}

/// Depth of the slices in which `n` inputs are walked: equal ones, none above [`DEPTH`].
#[inline(always)]
fn slice_depth(n: usize) -> usize {
    n.div_ceil(n.div_ceil(DEPTH)).max(1)
}

/// Sets `n` f32 to zero.
#[inline(always)]
unsafe fn clear(p: Out<'_>, n: usize) {
    if !p.is_absent() {
        unsafe { p.add(0).write_bytes(0, n) }
    }
}

#[inline(always)]
pub(super) unsafe fn forward<S: Simd>(f: &Forward<'_>) {
    unsafe {
        clear(f.sums, 2 * f.n_out * S::LANES);
        let depth = slice_depth(f.n_in);
        let count = n_panels::<S>(f.n_points);
        for group in (0..count).step_by(GROUPED) {
            for from in (0..f.n_in).step_by(depth) {
                let n = depth.min(f.n_in - from);
                for index in group..count.min(group + GROUPED) {
                    let p = panel::<S>(f.n_points, index);
                    if p.vectors == 2 {
                        forward_panel::<S, 2>(f, p, from, n);
                    } else {
                        forward_panel::<S, 1>(f, p, from, n);
                    }
                }
            }
        }
    }
}

/// Panels that are taken through all slices of inputs together, so that their partial sums stay in the second-level cache.
const GROUPED: usize = 4;

#[inline(always)]
unsafe fn forward_panel<S: Simd, const C: usize>(f: &Forward<'_>, p: Panel, from: usize, n: usize) {
    unsafe {
        let b = lift::<S, C>(&f.source, f.n_in, p, from, n, f.scratch.add(0));
        let mut o = 0;
        while o < f.n_out {
            let rows = S::ROWS.min(f.n_out - o);
            with_rows!(rows, forward_rows::<S, _, C>(f, p, from, n, b, o));
            o += rows;
        }
    }
}

#[inline(always)]
unsafe fn forward_rows<S: Simd, const R: usize, const C: usize>(
    f: &Forward<'_>,
    p: Panel,
    from: usize,
    n: usize,
    b: *const f32,
    o: usize,
) {
    unsafe {
        let row = C * S::LANES;
        let z = f.output.add(p.first * f.n_out + o * row);
        let mut acc = [[S::zero(); C]; R];
        for r in 0..R {
            for c in 0..C {
                acc[r][c] =
                    if from == 0 { S::splat(*f.start.add(o + r)) } else { S::load(z.add(r * row + c * S::LANES)) };
            }
        }
        multiply::<S, R, C, true>(n, f.weight.add(o * f.n_in + from), f.n_in, b, &mut acc);
        for r in 0..R {
            for c in 0..C {
                S::store(z.add(r * row + c * S::LANES), acc[r][c]);
            }
        }
        if from + n < f.n_in || f.sums.is_absent() {
            return;
        }
        if p.last_lanes < S::LANES {
            let valid = first_ones::<S>(p.last_lanes);
            for r in 0..R {
                acc[r][C - 1] = S::mul(acc[r][C - 1], valid);
            }
        }
        let sum = f.sums.add(o * S::LANES);
        let square = f.sums.add((f.n_out + o) * S::LANES);
        for r in 0..R {
            let mut s = S::load(sum.add(r * S::LANES));
            let mut q = S::load(square.add(r * S::LANES));
            for c in 0..C {
                s = S::add(s, acc[r][c]);
                q = S::fma(acc[r][c], acc[r][c], q);
            }
            S::store(sum.add(r * S::LANES), s);
            S::store(square.add(r * S::LANES), q);
        }
    }
}

/// Whether a layer's backward pass goes group by group of panels, everything in cache, with the weight's gradient summed
/// along the points; else product by product.
#[inline(always)]
fn is_narrow(n_in: usize, n_out: usize) -> bool {
    n_out <= FEW || (n_in <= NARROW && n_out <= NARROW)
}

/// Outputs too few to fill the rows of a register tile.
const FEW: usize = 4;

/// Widest layer whose weight gradient is summed along the points.
const NARROW: usize = 64;

/// Panels whose gradients and activations are held at once by the narrow backward pass.
#[inline(always)]
fn group_panels(lanes: usize, n_in: usize, n_out: usize) -> usize {
    (GROUP_BYTES / ((n_in + n_out) * 2 * lanes * 4)).max(2)
}

/// Aim for the narrow backward pass's buffers of one group.
const GROUP_BYTES: usize = 32 * 1024;

/// Length of [`Forward::scratch`] and [`Backward::scratch`].
pub(super) fn scratch<S: Simd>(n_in: usize, n_out: usize) -> usize {
    let group = group_panels(S::LANES, n_in, n_out) * 2 * S::LANES;
    let columns = n_in.div_ceil(S::QUADS);
    let narrow = group * (n_out + columns * S::QUADS) + (n_out * columns + 4) * S::LANES;
    let lifted = DEPTH * 2 * S::LANES;
    let packed = n_out * n_in + 2 * S::LANES;
    if is_narrow(n_in, n_out) { narrow.max(lifted) } else { lifted + packed }
}

#[inline(always)]
pub(super) unsafe fn backward<S: Simd>(b: &Backward<'_>) {
    unsafe {
        if !b.delta_below.is_absent() {
            clear(b.sums, 2 * b.n_in * S::LANES);
        }
        if is_narrow(b.n_in, b.n_out) {
            backward_narrow::<S>(b);
        } else {
            backward_wide::<S>(b);
        }
    }
}

/// The gradient of `z` in features `from .. from + n` of one panel, from that of BatchNorm's output; padding lanes become 0.
/// `to` may be where it is read from.
#[inline(always)]
unsafe fn settle<S: Simd, const C: usize>(b: &Backward<'_>, p: Panel, from: usize, n: usize, to: *mut f32) {
    unsafe {
        let row = C * S::LANES;
        let base = p.first * b.n_out + from * row;
        let delta = b.delta.add(base);
        if b.slope.is_absent() {
            if delta != to {
                for at in (0..n * row).step_by(S::LANES) {
                    S::store(to.add(at), S::load(delta.add(at)));
                }
            }
            return;
        }
        let z = b.z.add(base);
        for o in 0..n {
            let slope = S::splat(*b.slope.add(from + o));
            let curve = S::splat(*b.curve.add(from + o));
            let offset = S::splat(*b.offset.add(from + o));
            for c in 0..C {
                let at = o * row + c * S::LANES;
                // The difference first: where the points agree it vanishes, and the slope is large.
                let rest = S::sub(S::load(delta.add(at)), S::fma(S::load(z.add(at)), curve, offset));
                S::store(to.add(at), S::mul(rest, slope));
            }
        }
        if p.last_lanes < S::LANES {
            let valid = first_ones::<S>(p.last_lanes);
            for o in 0..n {
                let last = to.add(o * row + (C - 1) * S::LANES);
                S::store(last, S::mul(S::load(last), valid));
            }
        }
    }
}

/// The weights of outputs `from .. from + n` in the order in which [`descend`] reads them: for each of its row blocks,
/// output by output, the block's inputs. Goes by [`PACKED`] outputs, so that both sides are read and written in runs.
#[inline(always)]
unsafe fn pack<S: Simd>(b: &Backward<'_>, from: usize, n: usize, to: *mut f32) {
    unsafe {
        for first in (from..from + n).step_by(PACKED) {
            let end = (first + PACKED).min(from + n);
            let mut i = 0;
            while i < b.n_in {
                let rows = S::ROWS.min(b.n_in - i);
                let mut to = to.add(i * n + (first - from) * rows);
                for o in first..end {
                    let weight = b.weight.add(o * b.n_in + i);
                    // Whole vectors where the matrix has them and the surplus falls on the block's later outputs, which
                    // overwrite it: behind the block lies what is already packed.
                    let mut r = 0;
                    while r < rows {
                        let left = b.n_in * (b.n_out - o) - i - r;
                        let v =
                            if left >= S::LANES { S::load(weight.add(r)) } else { S::load_first(weight.add(r), left) };
                        if (from + n - o) * rows >= r + S::LANES {
                            S::store(to.add(r), v);
                        } else {
                            S::store_first(to.add(r), v, S::LANES.min(rows - r));
                        }
                        r += S::LANES;
                    }
                    to = to.add(rows);
                }
                i += rows;
            }
        }
    }
}

/// The gradient of the layer's input for one panel, through the source's ReLU, from outputs `from .. from + n`. `packed` is
/// what [`pack`] made of these outputs' weights, or null.
#[inline(always)]
unsafe fn descend<S: Simd, const C: usize>(
    b: &Backward<'_>,
    p: Panel,
    from: usize,
    n: usize,
    settled: *const f32,
    packed: *const f32,
) {
    unsafe {
        if b.delta_below.is_absent() {
            return;
        }
        let mut i = 0;
        while i < b.n_in {
            let rows = S::ROWS.min(b.n_in - i);
            with_rows!(rows, descend_rows::<S, _, C>(b, p, from, n, settled, packed, i));
            i += rows;
        }
    }
}

#[inline(always)]
unsafe fn descend_rows<S: Simd, const R: usize, const C: usize>(
    b: &Backward<'_>,
    p: Panel,
    from: usize,
    n: usize,
    settled: *const f32,
    packed: *const f32,
    i: usize,
) {
    unsafe {
        let row = C * S::LANES;
        let base = p.first * b.n_in + i * row;
        let below = b.delta_below.add(base);
        let mut acc = [[S::zero(); C]; R];
        let start = if from > 0 { b.delta_below.as_in() } else { b.extra };
        if !start.is_absent() {
            for r in 0..R {
                for c in 0..C {
                    acc[r][c] = S::load(start.add(base + r * row + c * S::LANES));
                }
            }
        }
        if packed.is_null() {
            multiply::<S, R, C, false>(n, b.weight.add(from * b.n_in + i), b.n_in, settled, &mut acc);
        } else {
            multiply::<S, R, C, false>(n, packed.add(i * n), R, settled, &mut acc);
        }
        let last = from + n == b.n_out;
        if last && b.through && !b.source.gain.is_absent() {
            let z = b.source.z.add(base);
            if !b.source.keep.is_absent() {
                let keep = b.source.keep.add(base);
                for r in 0..R {
                    for c in 0..C {
                        acc[r][c] = S::mul(acc[r][c], S::load(keep.add(r * row + c * S::LANES)));
                    }
                }
            }
            let sum = b.sums.add(i * S::LANES);
            let product = b.sums.add((b.n_in + i) * S::LANES);
            for r in 0..R {
                let gain = S::splat(*b.source.gain.add(i + r));
                let shift = S::splat(*b.source.shift.add(i + r));
                let mut s = S::load(sum.add(r * S::LANES));
                let mut q = S::load(product.add(r * S::LANES));
                for c in 0..C {
                    let at = r * row + c * S::LANES;
                    let z = S::load(z.add(at));
                    let d = S::where_positive(S::fma(z, gain, shift), acc[r][c]);
                    S::store(below.add(at), d);
                    s = S::add(s, d);
                    q = S::fma(d, z, q);
                }
                S::store(sum.add(r * S::LANES), s);
                S::store(product.add(r * S::LANES), q);
            }
        } else {
            for r in 0..R {
                for c in 0..C {
                    S::store(below.add(r * row + c * S::LANES), acc[r][c]);
                }
            }
        }
    }
}

/// Groups of panels: the gradient of `z`, the activations regrouped in quads, both products, all from cache.
#[inline(always)]
unsafe fn backward_narrow<S: Simd>(b: &Backward<'_>) {
    unsafe {
        let group = group_panels(S::LANES, b.n_in, b.n_out);
        let columns = b.n_in.div_ceil(S::QUADS);
        let settled = b.scratch.add(0);
        let quads = settled.add(group * 2 * S::LANES * b.n_out);
        let sums = quads.add(group * 2 * S::LANES * columns * S::QUADS);
        let count = n_panels::<S>(b.n_points);
        let mut index = 0;
        while index < count {
            let here = group.min(count - index);
            let mut points = 0;
            for g in 0..here {
                let p = panel::<S>(b.n_points, index + g);
                points = g * 2 * S::LANES + p.vectors * S::LANES;
                let settled = settled.add(g * 2 * S::LANES * b.n_out);
                let quads = quads.add(g * 2 * S::LANES * columns * S::QUADS);
                if p.vectors == 2 {
                    settle::<S, 2>(b, p, 0, b.n_out, settled);
                    regroup::<S, 2>(b, p, quads);
                    descend::<S, 2>(b, p, 0, b.n_out, settled, std::ptr::null());
                } else {
                    settle::<S, 1>(b, p, 0, b.n_out, settled);
                    regroup::<S, 1>(b, p, quads);
                    descend::<S, 1>(b, p, 0, b.n_out, settled, std::ptr::null());
                }
            }
            let full = points / (2 * S::LANES);
            let half = points % (2 * S::LANES) != 0;
            gather::<S>(b, full, half, settled, quads, sums, columns, index == 0);
            index += here;
        }
        // Lane sums to gradients; rows follow one another without a gap where the inputs fill whole columns.
        let gradient = b.gradient.add(0);
        if b.n_in.is_multiple_of(S::QUADS) {
            add_up::<S>(sums, b.n_out * columns, gradient, b.n_out * b.n_in);
        } else {
            for o in 0..b.n_out {
                add_up::<S>(sums.add(o * columns * S::LANES), columns, gradient.add(o * b.n_in), b.n_in);
            }
        }
    }
}

/// Adds up the quads of `vectors` vectors at `sums` into `n` consecutive numbers at `to`. Reads up to three vectors more.
#[inline(always)]
unsafe fn add_up<S: Simd>(sums: *const f32, vectors: usize, to: *mut f32, n: usize) {
    unsafe {
        let mut v = 0;
        while v < vectors {
            let at = v * S::QUADS;
            S::store_first(to.add(at), S::quad_sums(sums.add(v * S::LANES)), (n - at).min(S::LANES));
            v += 4;
        }
    }
}

/// The activations below for one panel, `QUADS` features and four points to a vector: column j of the panel, step t, at
/// `to + (j · steps + t) · LANES`.
#[inline(always)]
unsafe fn regroup<S: Simd, const C: usize>(b: &Backward<'_>, p: Panel, to: *mut f32) {
    unsafe {
        let row = C * S::LANES;
        let base = p.first * b.n_in;
        let z = b.source.z.add(base);
        let mut i = 0;
        let mut to = to;
        while i < b.n_in {
            for c in 0..C {
                let mut rows = [S::zero(); 4];
                for q in 0..S::QUADS {
                    // Columns beyond the last input repeat it; their sums are not read.
                    let feature = (i + q).min(b.n_in - 1);
                    let at = feature * row + c * S::LANES;
                    let mut x = S::load(z.add(at));
                    if !b.source.gain.is_absent() {
                        let gain = S::splat(*b.source.gain.add(feature));
                        let shift = S::splat(*b.source.shift.add(feature));
                        x = S::relu(S::fma(x, gain, shift));
                        if !b.source.keep.is_absent() {
                            x = S::mul(x, S::load(b.source.keep.add(base + at)));
                        }
                    }
                    rows[q] = x;
                }
                S::interleave(&rows, to);
                to = to.add(S::QUADS * S::LANES);
            }
            i += S::QUADS;
        }
    }
}

/// Adds a group's share of the weight gradient to the lane sums.
#[inline(always)]
unsafe fn gather<S: Simd>(
    b: &Backward<'_>,
    full: usize,
    half: bool,
    settled: *const f32,
    quads: *const f32,
    sums: *mut f32,
    columns: usize,
    fresh: bool,
) {
    unsafe {
        let (rows, wide) = S::GRAD_TILE;
        let tiles = columns.div_ceil(wide);
        let mut done = 0;
        for t in 0..tiles {
            let n = (columns - done).div_ceil(tiles - t);
            let mut o = 0;
            while o < b.n_out {
                let r = rows.min(b.n_out - o);
                let tile = Tile { full, half, settled, quads, sums, columns, fresh, o, j: done };
                macro_rules! with {
                    ($($r:literal $c:literal),*) => {
                        match (r, n) {
                            $(($r, $c) => gather_tile::<S, $r, $c>(b, &tile),)*
                            _ => unreachable!("a tile has at most four rows and five columns"),
                        }
                    };
                }
                with!(4 5, 4 4, 4 3, 4 2, 4 1, 3 5, 3 4, 3 3, 3 2, 3 1, 2 5, 2 4, 2 3, 2 2, 2 1, 1 5, 1 4, 1 3, 1 2, 1 1);
                o += r;
            }
            done += n;
        }
    }
}

struct Tile {
    full: usize,
    half: bool,
    settled: *const f32,
    quads: *const f32,
    sums: *mut f32,
    columns: usize,
    fresh: bool,
    o: usize,
    j: usize,
}

#[inline(always)]
unsafe fn gather_tile<S: Simd, const R: usize, const C: usize>(b: &Backward<'_>, t: &Tile) {
    unsafe {
        let sums = t.sums.add((t.o * t.columns + t.j) * S::LANES);
        let mut acc = [[S::zero(); C]; R];
        if !t.fresh {
            for r in 0..R {
                for c in 0..C {
                    acc[r][c] = S::load(sums.add((r * t.columns + c) * S::LANES));
                }
            }
        }
        let row = 2 * S::LANES;
        let mut d = t.settled.add(t.o * row);
        let mut a = t.quads.add(t.j * 2 * S::QUADS * S::LANES);
        for _ in 0..t.full {
            gather_steps::<S, R, C, 2>(d, a, &mut acc);
            d = d.add(row * b.n_out);
            a = a.add(2 * S::QUADS * S::LANES * t.columns);
        }
        if t.half {
            let d = t.settled.add(t.full * row * b.n_out + t.o * S::LANES);
            let a = t.quads.add((t.full * 2 * t.columns + t.j) * S::QUADS * S::LANES);
            gather_steps::<S, R, C, 1>(d, a, &mut acc);
        }
        for r in 0..R {
            for c in 0..C {
                S::store(sums.add((r * t.columns + c) * S::LANES), acc[r][c]);
            }
        }
    }
}

#[inline(always)]
unsafe fn gather_steps<S: Simd, const R: usize, const C: usize, const W: usize>(
    d: *const f32,
    a: *const f32,
    acc: &mut [[S::V; C]; R],
) {
    unsafe {
        for s in 0..W * S::QUADS {
            let mut x = [S::zero(); C];
            for c in 0..C {
                x[c] = S::load(a.add((c * W * S::QUADS + s) * S::LANES));
            }
            for r in 0..R {
                let q = S::load_quad(d.add(r * W * S::LANES + 4 * s));
                for c in 0..C {
                    acc[r][c] = S::fma(q, x[c], acc[r][c]);
                }
            }
        }
    }
}

/// One product down, each panel's gradient of `z` formed on the way, then one for the weight's gradient.
#[inline(always)]
unsafe fn backward_wide<S: Simd>(b: &Backward<'_>) {
    unsafe {
        let count = n_panels::<S>(b.n_points);
        let depth = slice_depth(b.n_out);
        let packed = b.scratch.add(DEPTH * 2 * S::LANES);
        if !b.delta_below.is_absent() {
            for from in (0..b.n_out).step_by(depth) {
                pack::<S>(b, from, depth.min(b.n_out - from), packed.add(from * b.n_in));
            }
        }
        for group in (0..count).step_by(GROUPED) {
            for from in (0..b.n_out).step_by(depth) {
                let n = depth.min(b.n_out - from);
                let packed = packed.add(from * b.n_in);
                for index in group..count.min(group + GROUPED) {
                    let p = panel::<S>(b.n_points, index);
                    let settled = b.delta.add(p.first * b.n_out + from * p.vectors * S::LANES);
                    if p.vectors == 2 {
                        settle::<S, 2>(b, p, from, n, settled);
                        descend::<S, 2>(b, p, from, n, settled, packed);
                    } else {
                        settle::<S, 1>(b, p, from, n, settled);
                        descend::<S, 1>(b, p, from, n, settled, packed);
                    }
                }
            }
        }
        // The weight's gradient: slices of points, in each the activations of two vectors of inputs turned so that inputs
        // lie along the lanes.
        let slice = DEPTH / (2 * S::LANES);
        let mut index = 0;
        while index < count {
            let here = slice.min(count - index);
            let mut i = 0;
            while i < b.n_in {
                if b.n_in - i > S::LANES {
                    weigh::<S, 2>(b, index, here, i);
                } else {
                    weigh::<S, 1>(b, index, here, i);
                }
                i += 2 * S::LANES;
            }
            index += here;
        }
    }
}

/// Share of `panels` panels from `index` on in the gradient of the weights of inputs `i .. i + C · LANES`.
#[inline(always)]
unsafe fn weigh<S: Simd, const C: usize>(b: &Backward<'_>, index: usize, panels: usize, i: usize) {
    unsafe {
        let row = C * S::LANES;
        let turned = b.scratch.add(0);
        for g in 0..panels {
            let p = panel::<S>(b.n_points, index + g);
            let base = p.first * b.n_in;
            for v in 0..p.vectors {
                for c in 0..C {
                    let mut rows = [S::zero(); 16];
                    for l in 0..S::LANES {
                        let feature = (i + c * S::LANES + l).min(b.n_in - 1);
                        let at = base + (feature * p.vectors + v) * S::LANES;
                        let mut x = S::load(b.source.z.add(at));
                        if !b.source.gain.is_absent() {
                            let gain = S::splat(*b.source.gain.add(feature));
                            let shift = S::splat(*b.source.shift.add(feature));
                            x = S::relu(S::fma(x, gain, shift));
                            if !b.source.keep.is_absent() {
                                x = S::mul(x, S::load(b.source.keep.add(at)));
                            }
                        }
                        rows[l] = x;
                    }
                    let to = turned.add((g * 2 + v) * S::LANES * row + c * S::LANES);
                    S::transpose(&rows, to, row);
                }
            }
        }
        let mut o = 0;
        while o < b.n_out {
            let rows = S::ROWS.min(b.n_out - o);
            with_rows!(rows, weigh_rows::<S, _, C>(b, index, panels, i, o, turned));
            o += rows;
        }
    }
}

#[inline(always)]
unsafe fn weigh_rows<S: Simd, const R: usize, const C: usize>(
    b: &Backward<'_>,
    index: usize,
    panels: usize,
    i: usize,
    o: usize,
    turned: *const f32,
) {
    unsafe {
        let mut acc = [[S::zero(); C]; R];
        let last = (b.n_in - i - (C - 1) * S::LANES).min(S::LANES);
        let gradient = b.gradient.add(o * b.n_in + i);
        if index > 0 {
            for r in 0..R {
                for c in 0..C {
                    let lanes = if c + 1 == C { last } else { S::LANES };
                    acc[r][c] = S::load_first(gradient.add(r * b.n_in + c * S::LANES), lanes);
                }
            }
        }
        // The next tile's sums come from beyond the second-level cache where layers are wide.
        for r in 0..R {
            for at in (0..=C * S::LANES).step_by(LINE) {
                S::prefetch(gradient.wrapping_add((R + r) * b.n_in + at));
            }
        }
        let mut turned = turned;
        for g in 0..panels {
            let p = panel::<S>(b.n_points, index + g);
            let row = p.vectors * S::LANES;
            let delta = b.delta.add(p.first * b.n_out + o * row).cast_const();
            // What follows lies a panel away, too far for the processor to foresee.
            let next = if g + 1 < panels {
                delta.wrapping_add(2 * S::LANES * b.n_out)
            } else {
                delta.wrapping_sub(g * 2 * S::LANES * b.n_out).wrapping_add(R * row)
            };
            for at in (0..R * row).step_by(LINE) {
                S::prefetch(next.wrapping_add(at));
            }
            if p.vectors == 2 {
                multiply::<S, R, C, true>(2 * S::LANES, delta, 2 * S::LANES, turned, &mut acc);
            } else {
                multiply::<S, R, C, true>(S::LANES, delta, S::LANES, turned, &mut acc);
            }
            turned = turned.add(row * C * S::LANES);
        }
        for r in 0..R {
            for c in 0..C {
                let lanes = if c + 1 == C { last } else { S::LANES };
                S::store_first(gradient.add(r * b.n_in + c * S::LANES), acc[r][c], lanes);
            }
        }
    }
}

/// BatchNorm in training mode, from the sums of a [`Forward`]: its statistics, and the gain and shift the next layer
/// applies. `z` is the pre-activation less `centre`.
pub(crate) struct Normalise<'a> {
    pub(crate) n_points: usize,
    pub(crate) n: usize,
    /// As left by [`Forward`]; `LANES²` more may be read behind them.
    pub(crate) sums: In<'a>,
    /// The layer's panels; features whose mean is large against their spread are centred again in place.
    pub(crate) z: Out<'a>,
    pub(crate) gamma: In<'a>,
    pub(crate) beta: In<'a>,
    pub(crate) eps: f32,
    /// `[n]` each: what was subtracted; the mean of `z`; the biased variance; 1 / √(variance + eps); gain and shift.
    pub(crate) centre: Out<'a>,
    pub(crate) mean: Out<'a>,
    pub(crate) variance: Out<'a>,
    pub(crate) inverse: Out<'a>,
    pub(crate) gain: Out<'a>,
    pub(crate) shift: Out<'a>,
}

#[inline(always)]
pub(super) unsafe fn normalise<S: Simd>(b: &Normalise<'_>) {
    unsafe {
        let scale = S::splat(1.0 / b.n_points as f32);
        for o in (0..b.n).step_by(S::LANES) {
            let lanes = S::LANES.min(b.n - o);
            let mean = S::mul(S::sums(b.sums.add(o * S::LANES)), scale);
            let square = S::mul(S::sums(b.sums.add((b.n + o) * S::LANES)), scale);
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
        let mut sum = S::zero();
        let mut square = S::zero();
        for index in 0..n_panels::<S>(b.n_points) {
            let p = panel::<S>(b.n_points, index);
            for v in 0..p.vectors {
                let at = b.z.add(p.first * b.n + (o * p.vectors + v) * S::LANES);
                let mut z = S::sub(S::load(at), S::splat(by));
                S::store(at, z);
                if v + 1 == p.vectors {
                    z = S::mul(z, first_ones::<S>(p.last_lanes));
                }
                sum = S::add(sum, z);
                square = S::fma(z, z, square);
            }
        }
        let n = b.n_points as f32;
        let mean = S::sum(sum) / n;
        (mean, (S::sum(square) / n - mean * mean).max(0.0))
    }
}

/// BatchNorm's backward scalars from the sums of the [`Backward`] of the layer above.
pub(crate) struct Denormalise<'a> {
    pub(crate) n_points: usize,
    pub(crate) n: usize,
    /// As left by [`Backward`]; `LANES²` more may be read behind them.
    pub(crate) sums: In<'a>,
    pub(crate) mean: In<'a>,
    pub(crate) inverse: In<'a>,
    /// `[2, n]`: gradients of γ, then of β.
    pub(crate) gradient: Out<'a>,
    /// `[n]` each, see [`Backward`].
    pub(crate) curve: Out<'a>,
    pub(crate) offset: Out<'a>,
}

#[inline(always)]
pub(super) unsafe fn denormalise<S: Simd>(b: &Denormalise<'_>) {
    unsafe {
        let scale = S::splat(1.0 / b.n_points as f32);
        for o in (0..b.n).step_by(S::LANES) {
            let lanes = S::LANES.min(b.n - o);
            let d_beta = S::sums(b.sums.add(o * S::LANES));
            let product = S::sums(b.sums.add((b.n + o) * S::LANES));
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

/// Adds up lane sums: element i of `to` is the sum of vector i of `sums`. `LANES²` more may be read behind them.
#[inline(always)]
pub(super) unsafe fn reduce<S: Simd>(sums: In<'_>, n: usize, to: Out<'_>) {
    unsafe {
        for o in (0..n).step_by(S::LANES) {
            S::store_first(to.add(o), S::sums(sums.add(o * S::LANES)), S::LANES.min(n - o));
        }
    }
}

/// Squared error and its gradient.
pub(crate) struct Loss<'a> {
    pub(crate) n_points: usize,
    pub(crate) n: usize,
    /// Panels of `n` features: the network's outputs and the labels.
    pub(crate) output: In<'a>,
    pub(crate) target: In<'a>,
    /// Panels of `n`: `2 (output − target) / (n_points · n)`.
    pub(crate) delta: Out<'a>,
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
            let mut square = S::zero();
            for index in 0..panels {
                let p = panel::<S>(l.n_points, index);
                for v in 0..p.vectors {
                    let at = p.first * l.n + (o * p.vectors + v) * S::LANES;
                    let mut error = S::sub(S::load(l.output.add(at)), S::load(l.target.add(at)));
                    if v + 1 == p.vectors {
                        error = S::mul(error, first_ones::<S>(p.last_lanes));
                    }
                    S::store(l.delta.add(at), S::mul(error, scale));
                    square = S::fma(error, error, square);
                }
            }
            total += f64::from(S::sum(square));
        }
        total / count
    }
}

/// A row of one panel matrix meeting rows of another through one weight: `count` of them, at equal distances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowTap {
    pub(crate) weight: usize,
    pub(crate) from: usize,
    pub(crate) from_step: usize,
    pub(crate) to: usize,
    pub(crate) to_step: usize,
    pub(crate) count: usize,
}

/// A sparse linear map between panel matrices, its entries shared: convolutions along the features.
pub(crate) struct Taps<'a> {
    pub(crate) n_points: usize,
    pub(crate) n_from: usize,
    pub(crate) n_to: usize,
    pub(crate) taps: &'a [RowTap],
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
            for tap in t.taps {
                let mut x = from.add(p.first * t.n_from + tap.from * row);
                let mut y = to.add(p.first * t.n_to + tap.to * row);
                let mut sums = [S::zero(); 2];
                for _ in 0..tap.count {
                    for v in 0..p.vectors {
                        let at = v * S::LANES;
                        sums[v] = S::fma(S::load(x.add(at)), S::load(y.add(at)), sums[v]);
                    }
                    x = x.wrapping_add(tap.from_step * row);
                    y = y.wrapping_add(tap.to_step * row);
                }
                *gradient.add(tap.weight) += S::sum(S::add(sums[0], sums[1]));
            }
        }
    }
}

/// Sum over the points of each of `n` features, whose padding must be 0.
#[inline(always)]
pub(super) unsafe fn row_sums<S: Simd>(n_points: usize, n: usize, values: In<'_>, to: Out<'_>) {
    unsafe {
        for o in 0..n {
            let mut sum = S::zero();
            for index in 0..n_panels::<S>(n_points) {
                let p = panel::<S>(n_points, index);
                for v in 0..p.vectors {
                    sum = S::add(sum, S::load(values.add(p.first * n + (o * p.vectors + v) * S::LANES)));
                }
            }
            *to.add(o) = S::sum(sum);
        }
    }
}

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

/// Multiply-adds from registers alone, `rounds` times; the number done.
#[inline(always)]
pub(super) unsafe fn peak<S: Simd>(rounds: usize) -> f64 {
    unsafe {
        let mut acc = [[S::zero(); 2]; 5];
        let x = S::splat(std::hint::black_box(0.5));
        for _ in 0..rounds {
            for row in &mut acc {
                for sum in row {
                    *sum = S::fma(x, *sum, x);
                }
            }
        }
        let mut total = 0.0;
        for sum in acc.iter().flatten() {
            total += S::sum(*sum);
        }
        std::hint::black_box(total);
        (rounds * 10 * S::LANES) as f64
    }
}
