//! Gradients of a layer: of its weights and of what it read, narrow layers from cache and wide ones product by product.

use super::access::{In, Out};
use super::panels::{LINE, Panel, Source, clear, first_ones, n_panels, panel};
use super::product::{DEPTH, GROUPED, multiply, slice_depth, with_rows};
use super::simd::Simd;

/// Gradients of one layer from the gradient of its output.
pub struct Backward<'a> {
    /// Points.
    pub n_points: usize,
    /// Features that the layer reads.
    pub n_in: usize,
    /// Features of the layer.
    pub n_out: usize,
    /// Panels of `n_out`: the gradient of BatchNorm's output (or of the layer's own where there is none). Destroyed.
    pub delta: Out<'a>,
    /// Panels of `n_out`: the layer's pre-activations; read where `slope` is there.
    pub z: In<'a>,
    /// `[n_out]` each: the gradient of `z` is `slope · (delta − (curve · z + offset))`; absent where it is `delta`.
    pub slope: In<'a>,
    /// See `slope`.
    pub curve: In<'a>,
    /// See `slope`.
    pub offset: In<'a>,
    /// What the layer read.
    pub source: Source<'a>,
    /// `[n_out, n_in]` row-major.
    pub weight: In<'a>,
    /// `[n_out, n_in]`: the weight's gradient.
    pub gradient: Out<'a>,
    /// Panels of `n_in` added to the gradient of the layer's input, or absent.
    pub extra: In<'a>,
    /// Panels of `n_in`: the gradient of the source before its ReLU (or, not `through`, of what the layer read); absent
    /// where it is not needed.
    pub delta_below: Out<'a>,
    /// Whether `delta_below` goes on through the source's dropout and ReLU.
    pub through: bool,
    /// `[2, n_in, SUM_LANES]`: per lane Σ delta_below, then Σ delta_below · z of the source; absent where it does
    /// not go through a ReLU.
    pub sums: Out<'a>,
    /// [`Kernels::scratch`](crate::Kernels::scratch) long.
    pub scratch: Out<'a>,
}

/// Outputs that [`pack`] takes through all row blocks together.
const PACKED: usize = 16;

/// Whether a layer's backward pass goes group by group of panels, everything in cache, with the weight's gradient
/// summed along the points; else product by product.
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

/// Length of [`Forward::scratch`](super::Forward::scratch) and [`Backward::scratch`].
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
            clear(b.sums, 2 * b.n_in * S::SUM_LANES);
        }
        if is_narrow(b.n_in, b.n_out) {
            backward_narrow::<S>(b);
        } else {
            backward_wide::<S>(b);
        }
    }
}

/// The gradient of `z` in features `from .. from + n` of one panel, from that of BatchNorm's output; padding lanes
/// become 0. `to` may be where it is read from.
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

/// The gradient of the layer's input for one panel, through the source's ReLU, from outputs `from .. from + n`.
/// `packed` is what [`pack`] made of these outputs' weights, or null.
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
            let sum = b.sums.add(i * S::SUM_LANES);
            let product = b.sums.add((b.n_in + i) * S::SUM_LANES);
            for r in 0..R {
                let gain = S::splat(*b.source.gain.add(i + r));
                let shift = S::splat(*b.source.shift.add(i + r));
                let mut s = S::load_sum(sum.add(r * S::SUM_LANES));
                let mut q = S::load_sum(product.add(r * S::SUM_LANES));
                for c in 0..C {
                    let at = r * row + c * S::LANES;
                    let z = S::load(z.add(at));
                    let d = S::where_positive(S::fma(z, gain, shift), acc[r][c]);
                    S::store(below.add(at), d);
                    s = S::gather(s, d);
                    q = S::gather_product(q, d, z);
                }
                S::store_sum(sum.add(r * S::SUM_LANES), s);
                S::store_sum(product.add(r * S::SUM_LANES), q);
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

/// Adds up the quads of `vectors` vectors at `sums` into `n` consecutive numbers at `to`. Reads up to three vectors
/// more.
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
        // The weight's gradient: slices of points, in each the activations of two vectors of inputs turned so that
        // inputs lie along the lanes.
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
