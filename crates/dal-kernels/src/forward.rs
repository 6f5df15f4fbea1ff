//! The product of a layer, with its inputs' BatchNorm, ReLU and dropout before it and BatchNorm's sums after it.

use super::access::{In, Out};
use super::panels::{Panel, Source, clear, first_ones, n_panels, panel};
use super::product::{GROUPED, multiply, slice_depth, with_rows};
use super::simd::Simd;

/// `output = weight · source + start`, with the sums BatchNorm needs.
pub struct Forward<'a> {
    /// Points.
    pub n_points: usize,
    /// Features that the layer reads.
    pub n_in: usize,
    /// Features of the layer.
    pub n_out: usize,
    /// What the layer reads.
    pub source: Source<'a>,
    /// `[n_out, n_in]` row-major.
    pub weight: In<'a>,
    /// `[n_out]`.
    pub start: In<'a>,
    /// Panels of `n_out` features.
    pub output: Out<'a>,
    /// `[2, n_out, SUM_LANES]`: per lane Σ z, then Σ z²; absent where not wanted.
    pub sums: Out<'a>,
    /// [`Kernels::scratch`](crate::Kernels::scratch) long.
    pub scratch: Out<'a>,
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

#[inline(always)]
pub(super) unsafe fn forward<S: Simd>(f: &Forward<'_>) {
    unsafe {
        clear(f.sums, 2 * f.n_out * S::SUM_LANES);
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
        let sum = f.sums.add(o * S::SUM_LANES);
        let square = f.sums.add((f.n_out + o) * S::SUM_LANES);
        for r in 0..R {
            let mut s = S::load_sum(sum.add(r * S::SUM_LANES));
            let mut q = S::load_sum(square.add(r * S::SUM_LANES));
            for c in 0..C {
                s = S::gather(s, acc[r][c]);
                q = S::gather_product(q, acc[r][c], acc[r][c]);
            }
            S::store_sum(sum.add(r * S::SUM_LANES), s);
            S::store_sum(square.add(r * S::SUM_LANES), q);
        }
    }
}
