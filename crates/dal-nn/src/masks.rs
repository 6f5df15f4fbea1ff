//! Dropout masks and pairings, addressed by position instead of drawn in sequence, so that any engine finds the same.

use dal_core::Philox;

use crate::real::Real;

/// Units that share one Philox block.
pub const UNITS_PER_BLOCK: usize = 8;

/// `rate` as the engines compare it: half-words below this are dropped.
pub fn threshold(rate: f64) -> u32 {
    (rate * 65536.0).round() as u32
}

/// The eight half-words that decide over units `8·block .. 8·block + 8` of a row: unit `u` uses entry `u mod 8`.
#[inline]
pub fn half_words(masks: &Philox, epoch: u32, layer: u32, row: u32, block: u32) -> [u32; UNITS_PER_BLOCK] {
    let words = masks.block([epoch, layer, row, block]);
    let mut halves = [0; UNITS_PER_BLOCK];
    for (pair, word) in halves.chunks_exact_mut(2).zip(words) {
        pair[0] = word & 0xFFFF;
        pair[1] = word >> 16;
    }
    halves
}

/// Whether one unit is kept; the engines go block by block.
pub fn keep(masks: &Philox, rate: f64, epoch: u32, layer: u32, row: u32, unit: usize) -> bool {
    half_words(masks, epoch, layer, row, (unit / UNITS_PER_BLOCK) as u32)[unit % UNITS_PER_BLOCK] >= threshold(rate)
}

/// Applies inverted dropout to `rows` of a layer's output, `width` units each, the first of them being row `first_row`:
/// what is kept is divided by `1 − rate`.
pub(crate) fn drop_units<T: Real>(
    masks: &Philox,
    rate: f64,
    epoch: u32,
    layer: usize,
    first_row: usize,
    width: usize,
    rows: &mut [T],
) {
    let limit = threshold(rate);
    let scale = T::from_f64(1.0 / (1.0 - rate));
    for (i, row) in rows.chunks_exact_mut(width).enumerate() {
        for (b, units) in row.chunks_mut(UNITS_PER_BLOCK).enumerate() {
            let halves = half_words(masks, epoch, layer as u32, (first_row + i) as u32, b as u32);
            for (unit, half) in units.iter_mut().zip(halves) {
                *unit = if half >= limit { *unit * scale } else { T::ZERO };
            }
        }
    }
}

/// The permutation of `0..n` of an epoch: Fisher–Yates from the last place down, place `i` exchanged with
/// `⌊(i + 1) w / 2³²⌋`, `w` being word 0 at counter `[epoch, i, 0, 0]`.
pub fn permute(pairs: &Philox, epoch: u32, permutation: &mut [u32]) {
    for (i, place) in permutation.iter_mut().enumerate() {
        *place = i as u32;
    }
    for i in (1..permutation.len()).rev() {
        let word = pairs.block([epoch, i as u32, 0, 0])[0];
        permutation.swap(i, (((i as u64 + 1) * u64::from(word)) >> 32) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_kept_at_rate_one_half() {
        let masks = Philox::new([1, 2]);
        let kept = (0..400u32)
            .flat_map(|row| (0..25).map(move |unit| (row, unit)))
            .filter(|&(row, unit)| keep(&masks, 0.5, 3, 1, row, unit))
            .count();
        // 10 000 fair coins: five standard deviations are 250.
        assert!(kept.abs_diff(5000) < 250, "{kept}");
        assert!((0..64).all(|unit| keep(&masks, 0.0, 0, 0, 0, unit)));
    }

    #[test]
    fn permutations_permute_and_differ_between_epochs() {
        let pairs = Philox::new([7, 7]);
        let mut first = vec![0; 101];
        let mut second = first.clone();
        permute(&pairs, 0, &mut first);
        permute(&pairs, 1, &mut second);
        assert_ne!(first, second);
        first.sort_unstable();
        assert!(first.iter().enumerate().all(|(i, &p)| i as u32 == p));
        permute(&pairs, 0, &mut []);
    }
}
