//! Numbers aligned to cache lines, so that no vector straddles two of them.

use std::ops::{Deref, DerefMut};

use dal_kernels::prefer_large;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// A vector of f32, zero at first, that starts on a cache line and never moves.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let mut memory = vec![0.0; len + LINE / size_of::<f32>()];
        prefer_large(&mut memory);
        let start = memory.as_ptr().align_offset(LINE).min(LINE / size_of::<f32>());
        Self { memory, start, len }
    }

    /// A copy of `values`.
    pub(super) fn copy_of(values: &[f32]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
