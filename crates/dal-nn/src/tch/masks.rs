//! Dropout masks and pairings of many networks: written by the processor where tensors live there, else computed on the
//! device from the same addresses.

use std::ops::Range;

use dal_core::Philox;
use tch::{Kind, TchError, Tensor};

use super::device::{Memory, host_slice};
use crate::masks::{UNITS_PER_BLOCK, half_words, permute, threshold};

/// Philox4x32's constants, as in [`dal_core::Philox`].
const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const LOW: i64 = 0xFFFF_FFFF;

/// The first number of a mask's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    /// Training: the epoch, of all networks.
    Epoch(usize),
    /// Prediction: pass `i` for the `i`-th of them.
    Pass,
}

impl Counter {
    fn of(self, network: usize) -> u32 {
        match self {
            Self::Epoch(epoch) => epoch as u32,
            Self::Pass => network as u32,
        }
    }
}

/// Dropout masks of several networks at once.
pub(super) struct Masks {
    memory: Memory,
    rate: f64,
    keys: Vec<[u32; 2]>,
    /// On a device: the two words of every round's key, each `(networks, 1, 1)`. They are there before the first epoch,
    /// so that no epoch waits for a transfer.
    round_keys: Option<Vec<[Tensor; 2]>>,
}

impl Masks {
    /// Masks under the networks' `keys`.
    pub fn new(memory: Memory, rate: f64, keys: Vec<[u32; 2]>) -> Result<Self, TchError> {
        let masks = Self { memory, rate, keys, round_keys: None };
        if memory.is_host() { Ok(masks) } else { masks.by_tensors() }
    }

    /// Computes the masks by tensor operations, wherever the tensors live.
    pub fn by_tensors(mut self) -> Result<Self, TchError> {
        let key = |round: u32, which: usize| {
            let of = |key: &[u32; 2]| i64::from(key[which].wrapping_add(WEYL[which].wrapping_mul(round)));
            let values: Vec<i64> = self.keys.iter().map(of).collect();
            self.memory.upload(&values, &[values.len() as i64, 1, 1])
        };
        let rounds: Result<Vec<_>, TchError> = (0..10).map(|round| Ok([key(round, 0)?, key(round, 1)?])).collect();
        self.round_keys = Some(rounds?);
        Ok(self)
    }

    /// Factors `(networks, width, n)` of hidden layer `layer` for rows `first_row..first_row + n`: 0 where a unit is
    /// dropped, else `1 / (1 − rate)`.
    pub fn layer(
        &self,
        counter: Counter,
        layer: usize,
        width: usize,
        first_row: usize,
        n: usize,
    ) -> Result<Tensor, TchError> {
        if let Some(round_keys) = &self.round_keys {
            return self.layer_on_device(round_keys, counter, layer, width, first_row, n);
        }
        let mut mask = self.memory.zeros(&[self.keys.len() as i64, width as i64, n as i64])?;
        if let Some(values) = host_slice(&mut mask) {
            self.fill(counter, layer, width, first_row, n, values);
        }
        Ok(mask)
    }

    /// The same in memory of the processor.
    fn fill(&self, counter: Counter, layer: usize, width: usize, first_row: usize, n: usize, values: &mut [f32]) {
        let limit = threshold(self.rate);
        let scale = (1.0 / (1.0 - self.rate)) as f32;
        if n == 0 || width == 0 {
            return;
        }
        for (m, (&key, values)) in self.keys.iter().zip(values.chunks_exact_mut(width * n)).enumerate() {
            let masks = Philox::new(key);
            for (block, units) in values.chunks_mut(UNITS_PER_BLOCK * n).enumerate() {
                for i in 0..n {
                    let row = (first_row + i) as u32;
                    let halves = half_words(&masks, counter.of(m), layer as u32, row, block as u32);
                    for (unit, half) in units.chunks_exact_mut(n).zip(halves) {
                        unit[i] = if half >= limit { scale } else { 0.0 };
                    }
                }
            }
        }
    }

    fn layer_on_device(
        &self,
        round_keys: &[[Tensor; 2]],
        counter: Counter,
        layer: usize,
        width: usize,
        first_row: usize,
        n: usize,
    ) -> Result<Tensor, TchError> {
        let (m, n_blocks) = (self.keys.len() as i64, width.div_ceil(UNITS_PER_BLOCK) as i64);
        let counted = |n: i64, shape: [i64; 3]| Tensor::f_arange(n, (Kind::Int64, self.memory.0))?.f_view(shape);
        let all = [m, n_blocks, n as i64];
        // Counter [epoch, layer, row, block], one block of four words for eight units of a point.
        let zeros = Tensor::f_zeros(all, (Kind::Int64, self.memory.0))?;
        let mut c = [
            match counter {
                Counter::Epoch(epoch) => zeros.f_add_scalar(i64::from(epoch as u32))?,
                Counter::Pass => zeros.f_add(&counted(m, [m, 1, 1])?)?,
            },
            zeros.f_add_scalar(layer as i64)?,
            zeros.f_add(&counted(n as i64, [1, 1, n as i64])?.f_add_scalar(first_row as i64)?)?,
            zeros.f_add(&counted(n_blocks, [1, n_blocks, 1])?)?,
        ];
        for key in round_keys {
            // Products of two 32-bit numbers wrap into the sign: the upper word is masked after the arithmetic shift.
            let (p0, p1) = (c[0].f_mul_scalar(MULTIPLIERS[0])?, c[2].f_mul_scalar(MULTIPLIERS[1])?);
            let high = |p: &Tensor| p.f_bitwise_right_shift_tensor_scalar(32)?.f_bitwise_and(LOW);
            c = [
                high(&p1)?.f_bitwise_xor_tensor(&c[1])?.f_bitwise_xor_tensor(&key[0])?,
                p1.f_bitwise_and(LOW)?,
                high(&p0)?.f_bitwise_xor_tensor(&c[3])?.f_bitwise_xor_tensor(&key[1])?,
                p0.f_bitwise_and(LOW)?,
            ];
        }
        let mut halves = Vec::with_capacity(UNITS_PER_BLOCK);
        for word in &c {
            halves.push(word.f_bitwise_and(0xFFFF)?);
            halves.push(word.f_bitwise_right_shift_tensor_scalar(16)?);
        }
        let halves = Tensor::f_stack(&halves, 2)?.f_view((m, n_blocks * UNITS_PER_BLOCK as i64, n as i64))?;
        let kept = halves.f_narrow(1, 0, width as i64)?.f_ge(i64::from(threshold(self.rate)))?;
        kept.f_to_kind(Kind::Float)?.f_mul_scalar(f64::from((1.0 / (1.0 - self.rate)) as f32))
    }
}

/// Bytes of pairings that are brought to a device at once.
const PAIR_BYTES: usize = 32 << 20;
/// Epochs whose pairings are brought at once, at most.
const PAIR_EPOCHS: usize = 256;

/// The pairs of the loss heads, found by the processor and brought to the device for many epochs at a time.
pub(super) struct Pairs {
    memory: Memory,
    keys: Vec<[u32; 2]>,
    n: usize,
    /// Epochs that are there, and those that will be asked for.
    here: Range<usize>,
    end: usize,
    /// Places 0, 2, … and 1, 3, … of every network's permutation, `(epochs, networks, n / 2)`.
    first: Tensor,
    second: Tensor,
}

impl Pairs {
    /// Pairs of `n` points under the networks' `keys` for epochs before `end`.
    pub fn new(memory: Memory, keys: Vec<[u32; 2]>, n: usize, end: usize) -> Self {
        Self { memory, keys, n, here: 0..0, end, first: Tensor::new(), second: Tensor::new() }
    }

    /// The pairs of an epoch, `(networks, n / 2)` each.
    pub fn of(&mut self, epoch: usize) -> Result<(Tensor, Tensor), TchError> {
        if !self.here.contains(&epoch) {
            let fitting = PAIR_BYTES / (8 * self.n * self.keys.len()).max(1);
            let count = fitting.min(PAIR_EPOCHS).min(self.end.saturating_sub(epoch)).max(1);
            self.bring(epoch..epoch + count)?;
        }
        let at = (epoch - self.here.start) as i64;
        Ok((self.first.f_select(0, at)?, self.second.f_select(0, at)?))
    }

    fn bring(&mut self, epochs: Range<usize>) -> Result<(), TchError> {
        let n_pairs = self.n / 2;
        let count = epochs.len() * self.keys.len() * n_pairs;
        let (mut first, mut second) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut permutation = vec![0; self.n];
        for epoch in epochs.clone() {
            for &key in &self.keys {
                permute(&Philox::new(key), epoch as u32, &mut permutation);
                for pair in permutation.chunks_exact(2) {
                    first.push(i64::from(pair[0]));
                    second.push(i64::from(pair[1]));
                }
            }
        }
        let shape = [epochs.len() as i64, self.keys.len() as i64, n_pairs as i64];
        self.first = self.memory.upload(&first, &shape)?;
        self.second = self.memory.upload(&second, &shape)?;
        self.here = epochs;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::keep;
    use crate::tch::device::download;
    use tch::Device;

    #[test]
    fn the_device_finds_the_masks_of_the_processor() {
        let keys = vec![[1, 2], [u32::MAX, 0xDEAD_BEEF], [77, 3]];
        let memory = Memory(Device::Cpu);
        for (width, n, first_row, rate, counter) in [
            (20, 13, 0, 0.5, Counter::Epoch(0)),
            (63, 5, 4_000_000, 0.25, Counter::Epoch(4_000_000_000)),
            (1, 1, 3, 0.9, Counter::Pass),
            (8, 40, 7, 0.5, Counter::Pass),
        ] {
            let masks = Masks::new(memory, rate, keys.clone()).unwrap();
            let values = download::<f32>(&masks.layer(counter, 3, width, first_row, n).unwrap()).unwrap();
            let by_tensors = masks.by_tensors().unwrap().layer(counter, 3, width, first_row, n).unwrap();
            assert_eq!(values, download::<f32>(&by_tensors).unwrap());
            for (m, &key) in keys.iter().enumerate() {
                for (unit, i) in (0..width).flat_map(|unit| (0..n).map(move |i| (unit, i))) {
                    let kept = keep(&Philox::new(key), rate, counter.of(m), 3, (first_row + i) as u32, unit);
                    assert_eq!(values[(m * width + unit) * n + i] > 0.0, kept);
                }
            }
        }
    }

    #[test]
    fn pairs_are_those_of_the_permutation_in_any_epoch() {
        let keys = vec![[5, 6], [7, 8]];
        for n in [1, 2, 9] {
            let mut pairs = Pairs::new(Memory(Device::Cpu), keys.clone(), n, 700);
            for epoch in [0, 1, 255, 256, 699, 3, 900] {
                let (first, second) = pairs.of(epoch).unwrap();
                let (first, second) = (download::<i64>(&first).unwrap(), download::<i64>(&second).unwrap());
                let mut permutation = vec![0; n];
                for (m, &key) in keys.iter().enumerate() {
                    permute(&Philox::new(key), epoch as u32, &mut permutation);
                    for (k, pair) in permutation.chunks_exact(2).enumerate() {
                        let at = m * (n / 2) + k;
                        assert_eq!([first[at], second[at]], [i64::from(pair[0]), i64::from(pair[1])]);
                    }
                }
            }
        }
    }
}
