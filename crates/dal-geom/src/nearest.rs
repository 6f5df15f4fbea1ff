//! Squared distances to the nearest of many centres: single precision finds the contenders, double precision decides.
//!
//! `|x − c|² = |x|² + (|c|² − 2 x·c)`, and only the bracket depends on the centre: one fused multiply-add for each
//! coordinate in single precision, where the differences in double precision take six times as many instructions.
//! Centres come in tiles; a tile whose least bracket lies within the rounding error of the least of all may hold the
//! nearest centre, and only such tiles, mostly one, are measured in double precision. So the result has the bits of the
//! plain rule.

use crate::PointSet;
use crate::simd::{LANES, Lane, block_fixed, lower_one};

/// Centres of a tile: a block of the centres' point set, so that the second look needs no other layout.
const TILE: usize = LANES;

/// Centres whose brackets are in registers at the same time.
const GROUP: usize = 8;

/// Below this many centres the plain scan is as fast.
pub(crate) const LEAST_CENTRES: usize = 64;

type Lane32 = [f32; LANES];

/// Centres prepared for the first look.
struct Prepared<'a> {
    /// Group by group: |c|² of its centres, then −2 c₁ of each, and so on, shifted and scaled. A tile that is not full
    /// ends with centres at infinity.
    groups: Vec<[f32; GROUP]>,
    /// The same centres as they are, for the second look.
    blocks: &'a [Lane],
    shift: Vec<f64>,
    scale: f64,
    /// Brackets at most so far above the least may belong to the nearest centre.
    slack: f32,
}

/// Calls a function of the number of coordinates; `None` where there are more than its loops are unrolled for.
macro_rules! for_dimension {
    ($d:expr, $f:ident $args:tt) => {
        for_dimension!(@ $d, $f, $args, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $d:expr, $f:ident, $args:tt, $($n:literal)*) => {
        match $d {
            $($n => Some(for_dimension!(@@ $f, $n, $args)),)*
            _ => None,
        }
    };
    (@@ $f:ident, $n:literal, ($($arg:expr),*)) => { $f::<$n>($($arg),*) };
}

/// Least squared distance of every pool point to a centre, in blocks; `None` for more than sixteen coordinates, and
/// where single precision cannot tell the points apart (coordinates that span nothing, or too much to be squared).
pub(crate) fn least(pool: &PointSet, centres: &PointSet) -> Option<Vec<Lane>> {
    let prepared = Prepared::new(pool, centres)?;
    let mut least = vec![[f64::INFINITY; LANES]; pool.n_blocks()];
    let blocks = pool.lanes(0, pool.n_blocks());
    for_dimension!(pool.dim(), search(&prepared, blocks, &mut least))?;
    Some(least)
}

impl<'a> Prepared<'a> {
    fn new(pool: &PointSet, centres: &'a PointSet) -> Option<Self> {
        let d = pool.dim();
        let (mut low, mut high) = (vec![f64::INFINITY; d], vec![f64::NEG_INFINITY; d]);
        for set in [pool, centres] {
            set.bounds(&mut low, &mut high);
        }
        let half = low.iter().zip(&high).map(|(a, b)| 0.5 * (b - a)).fold(0.0, f64::max);
        if !(1e-100..1e100).contains(&half) {
            return None;
        }
        // A power of two scales without rounding.
        let scale = (-half.log2().ceil()).exp2();
        let shift: Vec<f64> = low.iter().zip(&high).map(|(a, b)| a + 0.5 * (b - a)).collect();

        let n_tiles = centres.n_blocks();
        let mut groups = vec![[0.0f32; GROUP]; n_tiles * TILE / GROUP * (d + 1)];
        let mut point = Vec::with_capacity(d);
        for i in 0..n_tiles * TILE {
            let group = &mut groups[i / GROUP * (d + 1)..][..d + 1];
            if i >= centres.len() {
                group[0][i % GROUP] = f32::INFINITY;
                continue;
            }
            point.clear();
            centres.gather(i, &mut point);
            let mut norm = 0.0;
            for ((value, shift), slot) in point.iter().zip(&shift).zip(&mut group[1..]) {
                let scaled = (value - shift) * scale;
                norm += scaled * scaled;
                slot[i % GROUP] = (-2.0 * scaled) as f32;
            }
            group[0][i % GROUP] = norm as f32;
        }
        // Coordinates are at most 1 in size. Rounding of the inputs is below 5 d ε in the bracket, that of the d sums,
        // none above 3 d, below 3 d² ε with ε = 2⁻²⁴; twice that bound separates two brackets, and it is doubled once
        // more for the rounding of shift, scale and the double precision it stands for.
        let n = d as f32;
        let slack = 4.0 * (5.0 * n + 3.0 * n * n) * 2.0f32.powi(-24);
        Some(Self { groups, blocks: centres.lanes(0, n_tiles), shift, scale, slack })
    }
}

#[inline(always)]
fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The least bracket of each tile for one block of pool points.
#[inline(always)]
fn first_look<const D: usize, const FUSED: bool>(block: &[Lane32; D], groups: &[[f32; GROUP]], tiles: &mut [Lane32]) {
    for (groups, tile) in groups.chunks_exact(TILE / GROUP * (D + 1)).zip(tiles) {
        let mut least = [f32::INFINITY; LANES];
        for group in groups.chunks_exact(D + 1) {
            let mut brackets = group[0].map(|norm| [norm; LANES]);
            for (x, centres) in block.iter().zip(&group[1..]) {
                for (bracket, &c) in brackets.iter_mut().zip(centres) {
                    for l in 0..LANES {
                        bracket[l] = fma::<FUSED>(c, x[l], bracket[l]);
                    }
                }
            }
            for bracket in &brackets {
                for l in 0..LANES {
                    least[l] = if bracket[l] < least[l] { bracket[l] } else { least[l] };
                }
            }
        }
        *tile = least;
    }
}

#[inline(always)]
fn search_body<const D: usize, const FUSED: bool>(prepared: &Prepared<'_>, blocks: &[Lane], least: &mut [Lane]) {
    let (blocks, centres) = (blocks.as_chunks::<D>().0, prepared.blocks.as_chunks::<D>().0);
    let mut tiles = vec![[0.0f32; LANES]; centres.len()];
    for (block, least) in blocks.iter().zip(least) {
        let mut scaled = [[0.0f32; LANES]; D];
        for ((x, out), shift) in block.iter().zip(&mut scaled).zip(&prepared.shift) {
            for l in 0..LANES {
                out[l] = ((x[l] - shift) * prepared.scale) as f32;
            }
        }
        first_look::<D, FUSED>(&scaled, &prepared.groups, &mut tiles);
        let mut threshold = [f32::INFINITY; LANES];
        for tile in &tiles {
            for l in 0..LANES {
                threshold[l] = if tile[l] < threshold[l] { tile[l] } else { threshold[l] };
            }
        }
        for t in &mut threshold {
            *t += prepared.slack;
        }
        for (tile, centres) in tiles.iter().zip(centres) {
            let mut contenders = [false; LANES];
            let mut any = false;
            for l in 0..LANES {
                contenders[l] = tile[l] <= threshold[l];
                any |= contenders[l];
            }
            if !any {
                continue;
            }
            for l in 0..LANES {
                if contenders[l] {
                    let point = block.map(|x| x[l]);
                    least[l] = lower_one(least[l], &block_fixed(centres, &point));
                }
            }
        }
    }
}

/// [`search_body`] for the widest vectors that the processor has.
fn search<const D: usize>(prepared: &Prepared<'_>, blocks: &[Lane], least: &mut [Lane]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,fma")]
        fn avx512<const D: usize>(prepared: &Prepared<'_>, blocks: &[Lane], least: &mut [Lane]) {
            search_body::<D, true>(prepared, blocks, least);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<const D: usize>(prepared: &Prepared<'_>, blocks: &[Lane], least: &mut [Lane]) {
            search_body::<D, true>(prepared, blocks, least);
        }
        let fused = std::arch::is_x86_feature_detected!("fma");
        if fused && std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor reports both features that the callee adds.
            return unsafe { avx512::<D>(prepared, blocks, least) };
        }
        if fused && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor reports both features that the callee adds.
            return unsafe { avx2::<D>(prepared, blocks, least) };
        }
    }
    search_body::<D, false>(prepared, blocks, least);
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::squared_distance;

    fn naive(pool: &Array2<f64>, centres: &Array2<f64>) -> Vec<f64> {
        let rows: Vec<Vec<f64>> = centres.outer_iter().map(|c| c.to_vec()).collect();
        pool.outer_iter()
            .map(|x| rows.iter().map(|c| squared_distance(&x.to_vec(), c)).fold(f64::INFINITY, f64::min))
            .collect()
    }

    fn search_portable<const D: usize>(prepared: &Prepared<'_>, blocks: &[Lane], least: &mut [Lane]) {
        search_body::<D, false>(prepared, blocks, least);
    }

    fn check(pool: &Array2<f64>, centres: &Array2<f64>) {
        let (p, c) = (PointSet::new("p", pool.view()).unwrap(), PointSet::new("c", centres.view()).unwrap());
        let found = least(&p, &c).expect("points that differ");
        assert_eq!(found.as_flattened()[..pool.nrows()], naive(pool, centres));
        let prepared = Prepared::new(&p, &c).unwrap();
        let mut portable = vec![[f64::INFINITY; LANES]; p.n_blocks()];
        for_dimension!(p.dim(), search_portable(&prepared, p.lanes(0, p.n_blocks()), &mut portable)).unwrap();
        assert_eq!(portable.as_flattened()[..pool.nrows()], naive(pool, centres));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Far from the origin, on lattices with ties, with offsets that single precision alone could not resolve.
        #[test]
        fn bits_are_those_of_the_plain_rule(
            n in 1..50usize, c in 1..150usize, d in 1..17usize, levels in prop_oneof![Just(1i64), Just(4), Just(1 << 40)],
            offset in prop_oneof![Just(0.0), Just(1e6), Just(-3e12)], size in prop_oneof![Just(1.0), Just(1e-9), Just(1e9)],
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let mut draw = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let level = (state >> 20) as i64 % (levels + 1);
                offset + size * level as f64 / levels as f64
            };
            let pool = Array2::from_shape_simple_fn((n, d), &mut draw);
            let centres = Array2::from_shape_simple_fn((c, d), &mut draw);
            let same = pool.iter().chain(&centres).all(|v| *v == pool[[0, 0]]);
            if same {
                let (p, c) = (PointSet::new("p", pool.view()).unwrap(), PointSet::new("c", centres.view()).unwrap());
                prop_assert!(least(&p, &c).is_none());
            } else {
                check(&pool, &centres);
            }
        }
    }

    #[test]
    fn coordinates_of_very_different_spread_are_told_apart() {
        let pool = Array2::from_shape_fn((40, 3), |(i, j)| ((i * 7 + j) as f64).sin() * [1e8, 1.0, 1e-8][j]);
        let centres = Array2::from_shape_fn((130, 3), |(i, j)| ((i * 5 + j) as f64).cos() * [1e8, 1.0, 1e-8][j]);
        check(&pool, &centres);
        // All within the rounding error of single precision: every tile is a contender.
        let pool = Array2::from_shape_fn((20, 2), |(i, j)| if i == 0 { 1e9 } else { (i + j) as f64 * 1e-3 });
        let centres = Array2::from_shape_fn((100, 2), |(i, j)| (i + 2 * j) as f64 * 1e-4);
        check(&pool, &centres);
    }

    #[test]
    fn what_cannot_be_scaled_is_left_to_the_plain_rule() {
        let same = PointSet::new("x", Array2::from_elem((5, 2), 3.0).view()).unwrap();
        assert!(least(&same, &same).is_none());
        let wide = PointSet::new("x", Array2::from_shape_fn((5, 17), |(i, j)| (i + j) as f64).view()).unwrap();
        assert!(least(&wide, &wide).is_none());
        let huge = PointSet::new("x", ndarray::array![[1e300], [-1e300]].view()).unwrap();
        assert!(least(&huge, &huge).is_none());
    }
}
