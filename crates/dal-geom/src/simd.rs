//! Squared-distance kernels, compiled once per vector width and chosen at run time.
//!
//! The bodies are plain safe loops over blocks of [`LANES`] points. Only the dispatch needs `unsafe`: a function
//! compiled for a wider instruction set may be called only after the processor was asked for it. No kernel uses fused
//! multiply-add and every sum runs over the coordinates in order, so all widths give the same bits.
//!
//! `rough` compiles its own kernel by the same macro, with an order of sums of its own.

/// Points per block. Sixteen doubles are two AVX-512 or four AVX2 registers.
pub(crate) const LANES: usize = 16;

/// One coordinate of the points of a block.
pub(crate) type Lane = [f64; LANES];

/// Centres whose distances to one block are held in the first-level cache at a time.
const TILE: usize = 16;

/// Compiles `$body` for each vector width and calls the widest that the processor has. Every pair of dimensions gets
/// functions of its own: inlined into one large function, the loops were vectorised across the wrong index.
macro_rules! multiversion {
    ($(#[$doc:meta])* fn $name:ident<$(const $n:ident),*>($($arg:ident: $ty:ty),*) = $body:ident) => {
        $(#[$doc])*
        fn $name<$(const $n: usize),*>($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512<$(const $n: usize),*>($($arg: $ty),*) {
                    $body::<$($n),*>($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2<$(const $n: usize),*>($($arg: $ty),*) {
                    $body::<$($n),*>($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor reports AVX-512F, the only feature the callee adds.
                    return unsafe { avx512::<$($n),*>($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor reports AVX2, the only feature the callee adds.
                    return unsafe { avx2::<$($n),*>($($arg),*) };
                }
            }
            $body::<$($n),*>($($arg),*);
        }
    };
}

pub(crate) use multiversion;

/// Calls `$f::<D>` for the small dimensions, where unrolling pays, and `$f::<0>` (any dimension) for the others.
macro_rules! with_dimension {
    ($d:expr, $f:ident, $args:tt) => {
        match $d {
            1 => with_dimension!(@ $f, 1, $args),
            2 => with_dimension!(@ $f, 2, $args),
            3 => with_dimension!(@ $f, 3, $args),
            4 => with_dimension!(@ $f, 4, $args),
            5 => with_dimension!(@ $f, 5, $args),
            6 => with_dimension!(@ $f, 6, $args),
            7 => with_dimension!(@ $f, 7, $args),
            8 => with_dimension!(@ $f, 8, $args),
            _ => with_dimension!(@ $f, 0, $args),
        }
    };
    (@ $f:ident, $d:literal, ($($arg:expr),*)) => { $f::<$d>($($arg),*) };
}

#[inline(always)]
pub(crate) fn block_fixed<const D: usize>(block: &[Lane; D], point: &[f64; D]) -> Lane {
    let mut sum = [0.0; LANES];
    for j in 0..D {
        for l in 0..LANES {
            let t = block[j][l] - point[j];
            sum[l] += t * t;
        }
    }
    sum
}

#[inline(always)]
fn block_dynamic(block: &[Lane], point: &[f64]) -> Lane {
    let mut sum = [0.0; LANES];
    for (x, &c) in block.iter().zip(point) {
        for l in 0..LANES {
            let t = x[l] - c;
            sum[l] += t * t;
        }
    }
    sum
}

/// The least of `value` and the lanes.
#[inline(always)]
pub(crate) fn lower_one(value: f64, lanes: &Lane) -> f64 {
    lanes.iter().fold(value, |least, &candidate| if candidate < least { candidate } else { least })
}

/// Distances of one block to a tile of centres.
#[inline(always)]
fn tile<const D: usize>(block: &[Lane], centres: &[f64], out: &mut [Lane]) {
    if D == 0 {
        return tile_dynamic(block, centres, out);
    }
    let Some(block) = block.first_chunk::<D>() else { return };
    for (point, out) in centres.as_chunks::<D>().0.iter().zip(out) {
        *out = block_fixed(block, point);
    }
}

/// [`tile`] for many coordinates: four centres share each load of the block.
#[inline(always)]
fn tile_dynamic(block: &[Lane], centres: &[f64], out: &mut [Lane]) {
    let d = block.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let split = fours.len() * 4 * d;
    for (points, out) in centres[..split].chunks_exact(4 * d).zip(fours) {
        let (a, others) = points.split_at(d);
        let (b, others) = others.split_at(d);
        let (c, e) = others.split_at(d);
        let mut sums = [[0.0; LANES]; 4];
        for j in 0..d {
            let x = &block[j];
            for (sum, y) in sums.iter_mut().zip([a[j], b[j], c[j], e[j]]) {
                for l in 0..LANES {
                    let t = x[l] - y;
                    sum[l] += t * t;
                }
            }
        }
        *out = sums;
    }
    for (point, out) in centres[split..].chunks_exact(d).zip(rest) {
        *out = block_dynamic(block, point);
    }
}

#[inline(always)]
fn lower(least: &mut Lane, candidate: &Lane) {
    for l in 0..LANES {
        least[l] = if candidate[l] < least[l] { candidate[l] } else { least[l] };
    }
}

/// One factor of a product of squared distances, as the kernels see it.
#[derive(Clone, Copy)]
pub(crate) struct Factor<'a> {
    /// Blocks of the many points: `d` lanes for each block.
    pub blocks: &'a [Lane],
    /// Coordinates of the few points, one after another.
    pub points: &'a [f64],
    /// Number of coordinates.
    pub d: usize,
}

#[inline(always)]
fn min_single_body<const D: usize>(factor: Factor<'_>, least: &mut [Lane]) {
    if D == 0 {
        return min_tiled_body::<0, 0>(&[factor], least);
    }
    for (block, least) in factor.blocks.as_chunks::<D>().0.iter().zip(least) {
        let mut best = *least;
        for point in factor.points.as_chunks::<D>().0 {
            lower(&mut best, &block_fixed(block, point));
        }
        *least = best;
    }
}

multiversion! { fn min_single<const D>(factor: Factor<'_>, least: &mut [Lane]) = min_single_body }

/// Two factors of few coordinates, in registers throughout.
#[inline(always)]
fn min_pair_body<const D: usize, const E: usize>(factors: &[Factor<'_>; 2], least: &mut [Lane]) {
    let [first, second] = factors;
    let blocks = first.blocks.as_chunks::<D>().0.iter().zip(second.blocks.as_chunks::<E>().0);
    for ((x, y), least) in blocks.zip(least) {
        let mut best = *least;
        for (a, b) in first.points.as_chunks::<D>().0.iter().zip(second.points.as_chunks::<E>().0) {
            let (mut product, term) = (block_fixed(x, a), block_fixed(y, b));
            for l in 0..LANES {
                product[l] *= term[l];
            }
            lower(&mut best, &product);
        }
        *least = best;
    }
}

multiversion! { fn min_pair<const D, const E>(factors: &[Factor<'_>; 2], least: &mut [Lane]) = min_pair_body }

/// Any number of factors; `D` and `E` are the dimensions of the first and of the others, 0 for any.
#[inline(always)]
fn min_tiled_body<const D: usize, const E: usize>(factors: &[Factor<'_>], least: &mut [Lane]) {
    let Some((first, others)) = factors.split_first() else { return };
    let n_points = first.points.len() / first.d;
    let mut product = [[0.0; LANES]; TILE];
    let mut term = [[0.0; LANES]; TILE];
    for (b, least) in least.iter_mut().enumerate() {
        let mut start = 0;
        while start < n_points {
            let size = TILE.min(n_points - start);
            let block = &first.blocks[b * first.d..(b + 1) * first.d];
            tile::<D>(block, &first.points[start * first.d..(start + size) * first.d], &mut product[..size]);
            for f in others {
                let block = &f.blocks[b * f.d..(b + 1) * f.d];
                tile::<E>(block, &f.points[start * f.d..(start + size) * f.d], &mut term[..size]);
                for (p, t) in product[..size].iter_mut().zip(&term) {
                    for l in 0..LANES {
                        p[l] *= t[l];
                    }
                }
            }
            for p in &product[..size] {
                lower(least, p);
            }
            start += size;
        }
    }
}

multiversion! { fn min_tiled<const D, const E>(factors: &[Factor<'_>], least: &mut [Lane]) = min_tiled_body }

/// Inputs of up to eight coordinates beside outputs of one, two or more.
fn min_pair_first<const D: usize>(factors: &[Factor<'_>; 2], least: &mut [Lane]) {
    match (D, factors[1].d) {
        (1..=8, 1) => min_pair::<D, 1>(factors, least),
        (1..=8, 2) => min_pair::<D, 2>(factors, least),
        _ => min_tiled::<D, 0>(factors, least),
    }
}

/// Lowers `least[b][l]` to the minimum over the few points of the product over the factors of squared distances.
pub(crate) fn min_products(factors: &[Factor<'_>], least: &mut [Lane]) {
    match factors {
        [factor] => with_dimension!(factor.d, min_single, (*factor, least)),
        [first, second] => with_dimension!(first.d, min_pair_first, (&[*first, *second], least)),
        _ => min_tiled::<0, 0>(factors, least),
    }
}

#[inline(always)]
fn row_body<const D: usize>(factor: Factor<'_>, out: &mut [Lane]) {
    if D == 0 {
        for (block, out) in factor.blocks.chunks_exact(factor.d).zip(out) {
            *out = block_dynamic(block, factor.points);
        }
        return;
    }
    let Some(point) = factor.points.first_chunk::<D>() else { return };
    for (block, out) in factor.blocks.as_chunks::<D>().0.iter().zip(out) {
        *out = block_fixed(block, point);
    }
}

multiversion! { fn row_of<const D>(factor: Factor<'_>, out: &mut [Lane]) = row_body }

/// Squared distances of one point to every point of the blocks, `out.len()` blocks of them.
pub(crate) fn row(factor: Factor<'_>, out: &mut [Lane]) {
    with_dimension!(factor.d, row_of, (factor, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_gives_the_same_bits() {
        for d in 1..=11 {
            let blocks: Vec<Lane> =
                (0..3 * d).map(|k| std::array::from_fn(|l| ((k * LANES + l) as f64 * 0.7312).sin())).collect();
            let points: Vec<f64> = (0..21 * d).map(|k| (k as f64 * 1.37).cos()).collect();
            let factor = Factor { blocks: &blocks, points: &points, d };
            for factors in [vec![factor], vec![factor, factor]] {
                let mut wide = vec![[f64::INFINITY; LANES]; 3];
                let mut plain = wide.clone();
                min_products(&factors, &mut wide);
                min_tiled_body::<0, 0>(&factors, &mut plain);
                assert_eq!(wide, plain);
                for b in 0..3 {
                    for l in 0..LANES {
                        let naive = (0..21)
                            .map(|c| {
                                let s: f64 = (0..d).fold(0.0, |s, j| {
                                    let t = blocks[b * d + j][l] - points[c * d + j];
                                    s + t * t
                                });
                                if factors.len() == 1 { s } else { s * s }
                            })
                            .fold(f64::INFINITY, f64::min);
                        assert_eq!(wide[b][l], naive, "d = {d}");
                    }
                }
            }
            let mut out = vec![[0.0; LANES]; 3];
            row(Factor { points: &points[..d], ..factor }, &mut out);
            for b in 0..3 {
                assert_eq!(out[b], block_dynamic(&blocks[b * d..(b + 1) * d], &points[..d]));
            }
        }
    }
}
