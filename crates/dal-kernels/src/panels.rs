//! How matrices lie in memory, and what every kernel needs to walk them.
//!
//! **Panels.** A matrix of `n` features × `n_points` is stored in panels of `2 · LANES` points; a panel holds its
//! features one after another, each with the panel's points side by side. What remains beyond the full panels is one
//! more panel of two vectors, or of one where one suffices, its last lanes being padding. Products then read and write
//! memory in order, no point is wasted but the last vector's padding, and features need no padding at all.
//!
//! **What is stored.** Of a hidden layer only its centred pre-activations `z` are kept; `relu(gain · z + shift)` is
//! formed again where it is read. Padding lanes hold finite numbers of no meaning in `z`, and zeros in gradients.

use super::access::{In, Out};
use super::simd::Simd;

/// A layer's activations as the next layer reads them.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Panels of pre-activations, or of inputs.
    pub z: In<'a>,
    /// Per feature gain and shift of `relu(gain · z + shift)`; absent where `z` is read as it is.
    pub gain: In<'a>,
    /// See `gain`.
    pub shift: In<'a>,
    /// Panels of factors applied after the ReLU (dropout), or absent.
    pub keep: In<'a>,
}

/// One panel: offset of its vectors in units of points, vectors per feature, and valid lanes of the last vector.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub(super) first: usize,
    pub(super) vectors: usize,
    pub(super) last_lanes: usize,
}

#[inline(always)]
pub(super) fn n_panels<S: Simd>(n_points: usize) -> usize {
    n_points.div_ceil(2 * S::LANES)
}

#[inline(always)]
pub(super) fn panel<S: Simd>(n_points: usize, index: usize) -> Panel {
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

/// Elements of a cache line.
pub const LINE: usize = 16;

/// Ones in the first `n` lanes, zeros behind.
#[inline(always)]
pub(super) unsafe fn first_ones<S: Simd>(n: usize) -> S::V {
    unsafe { S::load_first([1.0f32; 16].as_ptr(), n) }
}

/// Sets `n` f32 to zero.
#[inline(always)]
pub(super) unsafe fn clear(p: Out<'_>, n: usize) {
    if !p.is_absent() {
        unsafe { p.add(0).write_bytes(0, n) }
    }
}
