//! Dropout masks and pairings of many networks: written by the processor where tensors live there, else computed on the
//! device from the same addresses.

use dal_core::Philox;
use tch::{Kind, TchError, Tensor};

use super::device::{Memory, host_slice};
use crate::masks::{UNITS_PER_BLOCK, half_words, permute, threshold};

/// Philox4x32's constants, as in [`dal_core::Philox`].
const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const LOW: i64 = 0xFFFF_FFFF;

/// Whose masks, for which epoch (or pass) and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaskKey {
    pub key: [u32; 2],
    pub epoch: u32,
}

/// Dropout masks of several networks at once.
pub(super) struct Masks {
    memory: Memory,
    rate: f64,
    on_device: bool,
}

impl Masks {
    pub fn new(memory: Memory, rate: f64) -> Self {
        Self { memory, rate, on_device: !memory.is_host() }
    }

    /// Computes the masks by tensor operations, wherever the tensors live.
    #[cfg(test)]
    pub fn by_tensors(mut self) -> Self {
        self.on_device = true;
        self
    }

    /// Factors `(networks, width, n)` of hidden layer `layer` for rows `first_row..first_row + n`: 0 where a unit is
    /// dropped, else `1 / (1 − rate)`.
    pub fn layer(
        &self,
        networks: &[MaskKey],
        layer: usize,
        width: usize,
        first_row: usize,
        n: usize,
    ) -> Result<Tensor, TchError> {
        if self.on_device {
            return self.layer_on_device(networks, layer, width, first_row, n);
        }
        let mut mask = self.memory.zeros(&[networks.len() as i64, width as i64, n as i64])?;
        if let Some(values) = host_slice(&mut mask) {
            self.fill(networks, layer, width, first_row, n, values);
        }
        Ok(mask)
    }

    /// The same in memory of the processor.
    fn fill(&self, networks: &[MaskKey], layer: usize, width: usize, first_row: usize, n: usize, values: &mut [f32]) {
        let limit = threshold(self.rate);
        let scale = (1.0 / (1.0 - self.rate)) as f32;
        if n == 0 || width == 0 {
            return;
        }
        for (network, values) in networks.iter().zip(values.chunks_exact_mut(width * n)) {
            let masks = Philox::new(network.key);
            for (block, units) in values.chunks_mut(UNITS_PER_BLOCK * n).enumerate() {
                for i in 0..n {
                    let row = (first_row + i) as u32;
                    let halves = half_words(&masks, network.epoch, layer as u32, row, block as u32);
                    for (unit, half) in units.chunks_exact_mut(n).zip(halves) {
                        unit[i] = if half >= limit { scale } else { 0.0 };
                    }
                }
            }
        }
    }

    fn layer_on_device(
        &self,
        networks: &[MaskKey],
        layer: usize,
        width: usize,
        first_row: usize,
        n: usize,
    ) -> Result<Tensor, TchError> {
        let (m, n_blocks) = (networks.len() as i64, width.div_ceil(UNITS_PER_BLOCK) as i64);
        let words = |of: &dyn Fn(&MaskKey) -> u32| -> Result<Tensor, TchError> {
            let values: Vec<i64> = networks.iter().map(|network| i64::from(of(network))).collect();
            self.memory.upload(&values, &[m, 1, 1])
        };
        let counted = |n: i64, shape: [i64; 3]| Tensor::f_arange(n, (Kind::Int64, self.memory.0))?.f_view(shape);
        let all = [m, n_blocks, n as i64];
        // Counter [epoch, layer, row, block], one block of four words for eight units of a point.
        let zeros = Tensor::f_zeros(all, (Kind::Int64, self.memory.0))?;
        let mut c = [
            zeros.f_add(&words(&|network| network.epoch)?)?,
            zeros.f_add_scalar(layer as i64)?,
            zeros.f_add(&counted(n as i64, [1, 1, n as i64])?.f_add_scalar(first_row as i64)?)?,
            zeros.f_add(&counted(n_blocks, [1, n_blocks, 1])?)?,
        ];
        for round in 0..10u32 {
            let key = |which: usize| {
                words(&|network: &MaskKey| network.key[which].wrapping_add(WEYL[which].wrapping_mul(round)))
            };
            // Products of two 32-bit numbers wrap into the sign: the upper word is masked after the arithmetic shift.
            let (p0, p1) = (c[0].f_mul_scalar(MULTIPLIERS[0])?, c[2].f_mul_scalar(MULTIPLIERS[1])?);
            let high = |p: &Tensor| p.f_bitwise_right_shift_tensor_scalar(32)?.f_bitwise_and(LOW);
            c = [
                high(&p1)?.f_bitwise_xor_tensor(&c[1])?.f_bitwise_xor_tensor(&key(0)?)?,
                p1.f_bitwise_and(LOW)?,
                high(&p0)?.f_bitwise_xor_tensor(&c[3])?.f_bitwise_xor_tensor(&key(1)?)?,
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

/// The pairs of an epoch, `(networks, n / 2)` each: places 0, 2, … and 1, 3, … of every network's permutation.
pub(super) fn pairs(memory: Memory, keys: &[[u32; 2]], epoch: usize, n: usize) -> Result<(Tensor, Tensor), TchError> {
    let n_pairs = n / 2;
    let (mut first, mut second) = (Vec::with_capacity(keys.len() * n_pairs), Vec::with_capacity(keys.len() * n_pairs));
    let mut permutation = vec![0; n];
    for &key in keys {
        permute(&Philox::new(key), epoch as u32, &mut permutation);
        for pair in permutation.chunks_exact(2) {
            first.push(i64::from(pair[0]));
            second.push(i64::from(pair[1]));
        }
    }
    let shape = [keys.len() as i64, n_pairs as i64];
    Ok((memory.upload(&first, &shape)?, memory.upload(&second, &shape)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::keep;
    use crate::tch::device::download;
    use tch::Device;

    #[test]
    fn the_device_finds_the_masks_of_the_processor() {
        let networks = [
            MaskKey { key: [1, 2], epoch: 0 },
            MaskKey { key: [u32::MAX, 0xDEAD_BEEF], epoch: 4_000_000_000 },
            MaskKey { key: [77, 3], epoch: 499 },
        ];
        let memory = Memory(Device::Cpu);
        for (width, n, first_row, rate) in [(20, 13, 0, 0.5), (63, 5, 4_000_000, 0.25), (1, 1, 3, 0.9), (8, 40, 7, 0.5)]
        {
            let by_processor = Masks::new(memory, rate).layer(&networks, 3, width, first_row, n).unwrap();
            let by_tensors = Masks::new(memory, rate).by_tensors().layer(&networks, 3, width, first_row, n).unwrap();
            let values = download::<f32>(&by_processor).unwrap();
            assert_eq!(values, download::<f32>(&by_tensors).unwrap());
            for (m, network) in networks.iter().enumerate() {
                for (unit, i) in (0..width).flat_map(|unit| (0..n).map(move |i| (unit, i))) {
                    let kept = keep(&Philox::new(network.key), rate, network.epoch, 3, (first_row + i) as u32, unit);
                    assert_eq!(values[(m * width + unit) * n + i] > 0.0, kept);
                }
            }
        }
    }
}
