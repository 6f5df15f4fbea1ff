//! Sign-flip permutation tests: of one mean, and of the largest of many with flips shared by dependent cells (max-T).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{EvalError, check_finite};
use crate::wilcoxon::Alternative;

/// Up to this many seeds every sign pattern is listed; beyond, [`N_RANDOM_FLIPS`] random ones are drawn.
pub const LARGEST_ENUMERATED: usize = 16;

/// Random sign patterns where there are too many to list.
pub const N_RANDOM_FLIPS: usize = 1 << 16;

/// Sums that differ by less than this share of Σ|d| count as equal, so that rounding cannot split a tie.
const TIE: f64 = 1e-10;

/// The sign-flip permutation test that the mean difference is zero: p is the share of sign patterns whose mean is at
/// least as extreme as the observed one.
///
/// All 2ⁿ patterns up to n = 16; beyond, 65 536 random ones from `seed`, with the observed one counted:
/// p = (1 + hits) / (1 + 65 536). Two-sided: |mean| at least the observed |mean|. Assumes differences symmetric about
/// zero under the null, nothing else.
///
/// Worked example: (1, 2, 3) has the sum 6; of the eight patterns only one reaches 6, so p = 1/8 against `Greater`, 2/8
/// two-sided.
///
/// ```
/// # use dal_eval::{Alternative, sign_flip_test};
/// assert_eq!(sign_flip_test(&[1.0, 2.0, 3.0], Alternative::Greater, 0)?, 0.125);
/// assert_eq!(sign_flip_test(&[1.0, 2.0, 3.0], Alternative::TwoSided, 0)?, 0.25);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no differences, [`EvalError::NonFinite`].
pub fn sign_flip_test(differences: &[f64], alternative: Alternative, seed: u64) -> Result<f64, EvalError> {
    if differences.is_empty() {
        return Err(EvalError::TooFew { what: "differences of a sign-flip test", needed: 1, got: 0 });
    }
    check_finite("difference", differences.iter().copied())?;
    let observed: f64 = differences.iter().sum();
    let tolerance = TIE * differences.iter().map(|d| d.abs()).sum::<f64>();
    let extreme = |sum: f64| match alternative {
        Alternative::Less => sum <= observed + tolerance,
        Alternative::Greater => sum >= observed - tolerance,
        Alternative::TwoSided => sum.abs() >= observed.abs() - tolerance,
    };
    let mut hits = 0_usize;
    let n_patterns = for_each_flip(&[differences], seed, |sums| hits += usize::from(extreme(sums[0])));
    Ok(share(hits, n_patterns, differences.len()))
}

/// hits / patterns where all were listed, (1 + hits) / (1 + patterns) where they were drawn.
fn share(hits: usize, n_patterns: usize, n: usize) -> f64 {
    if n <= LARGEST_ENUMERATED { hits as f64 / n_patterns as f64 } else { (1 + hits) as f64 / (1 + n_patterns) as f64 }
}

/// Calls `f` with the sums of some rows of equal length under joint sign patterns, and says how many patterns there
/// were: all of them up to [`LARGEST_ENUMERATED`] values per row, else random ones.
fn for_each_flip(rows: &[&[f64]], seed: u64, mut f: impl FnMut(&[f64])) -> usize {
    let n = rows.first().map_or(0, |row| row.len());
    let mut signs = vec![1.0; n];
    let mut sums: Vec<f64> = rows.iter().map(|row| row.iter().sum()).collect();
    if n <= LARGEST_ENUMERATED {
        f(&sums);
        // Gray code: from one pattern to the next a single sign changes, so each sum changes by one term. Rounding adds
        // up to some 1e-12 of the terms over 2¹⁶ patterns, below what counts as a tie.
        for pattern in 1..1_usize << n {
            let changed = pattern.trailing_zeros() as usize;
            signs[changed] = -signs[changed];
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum += 2.0 * signs[changed] * row[changed];
            }
            f(&sums);
        }
        return 1 << n;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..N_RANDOM_FLIPS {
        for chunk in signs.chunks_mut(64) {
            let bits = rng.next_u64();
            for (i, sign) in chunk.iter_mut().enumerate() {
                *sign = if bits >> i & 1 == 1 { -1.0 } else { 1.0 };
            }
        }
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = row.iter().zip(&signs).map(|(v, s)| v * s).sum();
        }
        f(&sums);
    }
    N_RANDOM_FLIPS
}

/// Standardised sums, which lie in [−√n, √n], that differ by less than this count as equal.
const Z_TIE: f64 = 1e-9;

/// One cell's adjusted p-values from [`max_t`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxTCell {
    /// The observed t statistic, mean / (sd / √n); infinite where all differences are equal and not zero, 0 where all
    /// are 0.
    pub t: f64,
    /// Adjusted p against "the mean is above zero in this cell".
    pub p_greater: f64,
    /// Adjusted p against "the mean is below zero in this cell".
    pub p_less: f64,
    /// Monte-Carlo standard error of `p_greater`: 0 where every sign pattern was listed.
    pub error_greater: f64,
    /// Monte-Carlo standard error of `p_less`, likewise.
    pub error_less: f64,
}

/// The step-down max-T procedure over the cells of several independent blocks: strong control of the chance of any
/// false finding among all cells, in each direction by itself.
///
/// `blocks[b][c]` holds the differences of cell c of block b, one per seed: a block is a problem, its cells the pool
/// ratios (and the methods, where they are judged together). Signs are flipped jointly over the cells of a block,
/// because they share Random's runs and the seeds' initial sets, and independently between blocks. Cells are taken by
/// falling t statistic. With M_b the largest statistic, under flips, of those cells of block b that have not been taken
/// yet, the next cell, with statistic t, gets p = 1 − Π_b (1 − P(M_b ≥ t)), or the p before it if that is larger. Since
/// blocks are independent this is the exact distribution over all joint flips, not a simulation, up to 16 seeds per
/// block; beyond, each P(M_b ≥ t) is estimated from 65 536 random flips drawn from `seed`, and the cell says its
/// Monte-Carlo error. The first cell's p is that of the single-step procedure. Cells of different numbers of seeds are
/// put on one scale, see [`max_t_by_seed`].
///
/// Worked example: one block, one cell (1, 1, 1): t = ∞, reached by one of 8 patterns: p_greater = 1/8. With a second
/// block, cell (1, −1, 1), that reaches ∞ in 1 of 8 patterns too: p = 1 − (7/8)² = 0.2344 for the first; for the
/// second, alone by then, t = 0.5 is reached by 4 of 8: p = 0.5.
///
/// ```
/// # use dal_eval::max_t;
/// let alone = max_t(&[vec![vec![1.0; 3]]], 0)?;
/// assert_eq!(alone[0][0].p_greater, 0.125);
/// let beside = max_t(&[vec![vec![1.0; 3]], vec![vec![1.0, -1.0, 1.0]]], 0)?;
/// assert!((beside[0][0].p_greater - (1.0 - 0.875_f64.powi(2))).abs() < 1e-15);
/// assert_eq!(beside[1][0].p_greater, 0.5);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source: P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", Wiley (1993).
///
/// # Errors
/// [`EvalError::TooFew`] for no blocks, a block without cells, or fewer than two seeds; [`EvalError::ShapeMismatch`]
/// where cells of a block differ in their number of seeds; [`EvalError::NonFinite`].
pub fn max_t(blocks: &[Vec<Vec<f64>>], seed: u64) -> Result<Vec<Vec<MaxTCell>>, EvalError> {
    let by_seed: Vec<Vec<Vec<Option<f64>>>> = blocks
        .iter()
        .map(|cells| cells.iter().map(|cell| cell.iter().copied().map(Some).collect()).collect())
        .collect();
    max_t_by_seed(&by_seed, seed)
}

/// [`max_t`] for cells that do not all have the same seeds: `blocks[b][c][s]` is the difference of cell c of block b at
/// the block's s-th seed, `None` where the cell lacks that seed.
///
/// A seed has one sign for all cells of its block that hold it. Statistics of different numbers of seeds n are compared
/// as normal scores, sign(t) √(df ln(1 + t²/df)) (8 df + 1) / (8 df + 3) with df = n − 1 (Wallace's approximation of
/// the normal quantile of the same tail), so that a few seeds with their heavier tails do not set the bar for many; any
/// increasing scale keeps the level, this one shares it out evenly. Where all cells have equally many seeds it changes
/// nothing. A cell of so few seeds that it can never reach the level should be left out by the caller, on its number of
/// seeds alone: its patterns of equal signs beat every threshold.
///
/// Source of the scale: D. L. Wallace, "Bounds on normal approximations to Student's and the chi-square distributions",
/// Annals of Mathematical Statistics 30 (1959).
///
/// ```
/// # use dal_eval::max_t_by_seed;
/// // One cell alone over its three seeds: the fourth seed, which only the other cell holds, adds nothing.
/// let alone = max_t_by_seed(&[vec![vec![Some(1.0), None, Some(1.0), Some(1.0)]]], 0)?;
/// assert_eq!(alone[0][0].p_greater, 0.125);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`max_t`]; a cell needs at least two seeds of its own.
pub fn max_t_by_seed(blocks: &[Vec<Vec<Option<f64>>>], seed: u64) -> Result<Vec<Vec<MaxTCell>>, EvalError> {
    if blocks.is_empty() {
        return Err(EvalError::TooFew { what: "blocks of max-T", needed: 1, got: 0 });
    }
    let blocks = blocks.iter().map(|cells| Block::of(cells)).collect::<Result<Vec<_>, _>>()?;
    let greater = step_down(&blocks, seed);
    let negated: Vec<Block> = blocks.iter().map(Block::negated).collect();
    let less = step_down(&negated, seed);
    Ok(blocks
        .iter()
        .zip(greater.into_iter().zip(less))
        .map(|(block, (greater, less))| {
            let both = greater.into_iter().zip(less);
            block
                .rows
                .iter()
                .zip(both)
                .map(|(row, ((p_greater, error_greater), (p_less, error_less)))| MaxTCell {
                    t: t_of_z(row.z, row.n),
                    p_greater,
                    p_less,
                    error_greater,
                    error_less,
                })
                .collect()
        })
        .collect())
}

/// One cell, standardised.
struct Row {
    /// [`standardised`] differences by the block's seeds; 0 where the cell has none, which adds nothing to any sum.
    values: Vec<f64>,
    /// Seeds of the cell.
    n: usize,
    /// Their sum.
    z: f64,
    /// `z` on the common scale.
    score: f64,
}

/// The cells of one block, standardised.
struct Block {
    n_seeds: usize,
    rows: Vec<Row>,
}

impl Block {
    fn of(cells: &[Vec<Option<f64>>]) -> Result<Self, EvalError> {
        let n_seeds = cells.first().map_or(0, Vec::len);
        if cells.is_empty() {
            return Err(EvalError::TooFew { what: "cells of a block", needed: 1, got: 0 });
        }
        let mut rows = Vec::with_capacity(cells.len());
        for cell in cells {
            if cell.len() != n_seeds {
                return Err(EvalError::ShapeMismatch {
                    what: "seeds of the cells of a block",
                    left: vec![n_seeds],
                    right: vec![cell.len()],
                });
            }
            let own: Vec<f64> = cell.iter().flatten().copied().collect();
            let n = own.len();
            if n < 2 {
                return Err(EvalError::TooFew { what: "seeds of a cell", needed: 2, got: n });
            }
            check_finite("difference", own.iter().copied())?;
            let mut standardised = standardised(&own).into_iter();
            // Every `Some` takes the next value, so the iterator ends with the cell.
            let values: Vec<f64> = cell.iter().map(|d| d.and_then(|_| standardised.next()).unwrap_or(0.0)).collect();
            let z = values.iter().sum();
            rows.push(Row { values, n, z, score: score_of_z(z, n) });
        }
        Ok(Self { n_seeds, rows })
    }

    fn negated(&self) -> Self {
        let negate =
            |row: &Row| Row { values: row.values.iter().map(|v| -v).collect(), n: row.n, z: -row.z, score: -row.score };
        Self { n_seeds: self.n_seeds, rows: self.rows.iter().map(negate).collect() }
    }
}

/// Adjusted p of every cell against "above zero", with its Monte-Carlo standard error.
fn step_down(blocks: &[Block], seed: u64) -> Vec<Vec<(f64, f64)>> {
    let mut order: Vec<(usize, usize)> =
        blocks.iter().enumerate().flat_map(|(b, block)| (0..block.rows.len()).map(move |c| (b, c))).collect();
    // Stable, so that ties keep the order of the cells; they share their p anyway.
    order.sort_by(|&(b, c), &(d, e)| blocks[d].rows[e].score.total_cmp(&blocks[b].rows[c].score));
    let thresholds: Vec<f64> = order.iter().map(|&(b, c)| blocks[b].rows[c].score).collect();
    let mut none_reaches = vec![1.0; order.len()];
    // Σ s / (1 − s) / N over the blocks whose share s was drawn: the squared relative error of the product of 1 − s.
    let mut relative_variance = vec![0.0; order.len()];
    for (b, block) in blocks.iter().enumerate() {
        let shares = reach(b, block, &order, &thresholds, seed);
        for ((product, variance), share) in none_reaches.iter_mut().zip(&mut relative_variance).zip(shares) {
            *product *= 1.0 - share;
            if block.n_seeds > LARGEST_ENUMERATED && share < 1.0 {
                *variance += share / (1.0 - share) / N_RANDOM_FLIPS as f64;
            }
        }
    }
    let mut p: Vec<Vec<(f64, f64)>> = blocks.iter().map(|block| vec![(0.0, 0.0); block.rows.len()]).collect();
    let mut running = (0.0_f64, 0.0);
    for (&(b, c), (none, variance)) in order.iter().zip(none_reaches.iter().zip(relative_variance)) {
        if 1.0 - none > running.0 {
            running = (1.0 - none, none * f64::sqrt(variance));
        }
        p[b][c] = running;
    }
    p
}

/// For every step, the share of flips in which a cell of this block that has not been taken yet reaches the step's
/// score.
fn reach(b: usize, block: &Block, order: &[(usize, usize)], thresholds: &[f64], seed: u64) -> Vec<f64> {
    // This block's cells, the last taken first: the first k of them are left when all but k are taken.
    let last_first: Vec<&Row> = order.iter().rev().filter(|(own, _)| *own == b).map(|&(_, c)| &block.rows[c]).collect();
    let values: Vec<&[f64]> = last_first.iter().map(|row| row.values.as_slice()).collect();
    // Cells of equally many seeds share a scale of z, so that sums are compared without a logarithm each.
    let mut sizes: Vec<usize> = last_first.iter().map(|row| row.n).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let size_of: Vec<usize> = last_first.iter().map(|row| sizes.partition_point(|&n| n < row.n)).collect();
    // Thresholds fall from step to step, so while the same cells are left, a flip that reaches one reaches all later
    // ones: it is enough to count where it begins to.
    let z: Vec<Vec<f64>> =
        sizes.iter().map(|&n| thresholds.iter().map(|&score| z_of_score(score, n) - Z_TIE).collect()).collect();
    let mut begins = vec![0_usize; order.len()];
    // (cells left, first step, end) of each stretch.
    let mut stretches = Vec::new();
    let (mut left, mut start) = (block.rows.len(), 0);
    for (step, (own, _)) in order.iter().enumerate() {
        if *own == b {
            stretches.push((left, start, step + 1));
            (left, start) = (left - 1, step + 1);
        }
    }
    let mut largest = vec![vec![f64::NEG_INFINITY; block.rows.len() + 1]; sizes.len()];
    let n_patterns = for_each_flip(&values, seed.wrapping_add(b as u64), |sums| {
        for (size, largest) in largest.iter_mut().enumerate() {
            for (k, &sum) in sums.iter().enumerate() {
                largest[k + 1] = if size_of[k] == size { largest[k].max(sum) } else { largest[k] };
            }
        }
        for &(left, start, end) in &stretches {
            let first = z.iter().zip(&largest).map(|(z, l)| start + z[start..end].partition_point(|&z| z > l[left]));
            let first = first.min().unwrap_or(end);
            if first < end {
                begins[first] += 1;
            }
        }
    });
    // After the last stretch no cell of this block is left to reach anything.
    let mut shares = vec![0.0; order.len()];
    for &(_, start, end) in &stretches {
        let mut hits = 0;
        for step in start..end {
            hits += begins[step];
            shares[step] = share(hits, n_patterns, block.n_seeds);
        }
    }
    shares
}

/// d / √Σ d², so that the sum of a flip lies in [−√n, √n]; zeros where all differences are 0. Flips leave Σ d² alone,
/// so that sum orders flips as the t statistic does, and stays finite.
fn standardised(d: &[f64]) -> Vec<f64> {
    // Scaling first keeps tiny differences from underflowing when squared.
    let scale = d.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if scale == 0.0 {
        return vec![0.0; d.len()];
    }
    let norm = d.iter().map(|v| (v / scale) * (v / scale)).sum::<f64>().sqrt();
    d.iter().map(|v| v / scale / norm).collect()
}

/// t = z √(n − 1) / √(n − z²).
fn t_of_z(z: f64, n: usize) -> f64 {
    let n = n as f64;
    let rest = n - z * z;
    if rest <= TIE * n { z.signum() * f64::INFINITY } else { z * ((n - 1.0) / rest).sqrt() }
}

/// The common scale of cells with different numbers of seeds: with 1 + t²/df = n / (n − z²), Wallace's normal score.
fn score_of_z(z: f64, n: usize) -> f64 {
    let (n, df) = (n as f64, (n - 1) as f64);
    let rest = n - z * z;
    if rest <= TIE * n {
        return z.signum() * f64::INFINITY;
    }
    z.signum() * (df * (n / rest).ln()).sqrt() * (8.0 * df + 1.0) / (8.0 * df + 3.0)
}

/// The inverse of [`score_of_z`].
fn z_of_score(score: f64, n: usize) -> f64 {
    let (n, df) = (n as f64, (n - 1) as f64);
    let plain = score * (8.0 * df + 3.0) / (8.0 * df + 1.0);
    score.signum() * (n * -(-plain * plain / df).exp_m1()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_examples() {
        assert_eq!(sign_flip_test(&[1.0, 2.0, 3.0], Alternative::Greater, 0), Ok(0.125));
        assert_eq!(sign_flip_test(&[1.0, 2.0, 3.0], Alternative::Less, 0), Ok(1.0));
        // In any unit.
        assert_eq!(sign_flip_test(&[1e-12, 2e-12, 3e-12], Alternative::TwoSided, 0), Ok(0.25));
        assert_eq!(sign_flip_test(&[0.0, 0.0], Alternative::TwoSided, 0), Ok(1.0));
        let alone = max_t(&[vec![vec![1.0; 3]]], 0).unwrap();
        assert_eq!((alone[0][0].t, alone[0][0].p_greater, alone[0][0].p_less), (f64::INFINITY, 0.125, 1.0));
    }

    #[test]
    fn random_flips_are_close_to_exact_ones_and_repeatable() {
        let d: Vec<f64> = (0..17).map(|i| (f64::from(i) * 0.7).sin() + 0.3).collect();
        let drawn = sign_flip_test(&d, Alternative::Greater, 7).unwrap();
        assert_eq!(drawn, sign_flip_test(&d, Alternative::Greater, 7).unwrap());
        // These signs and no others: a page shows the same p wherever it is made.
        assert_eq!((drawn * 65_537.0).round(), 2_644.0);
        let mut hits = 0;
        for pattern in 0..1_u32 << 17 {
            let sum: f64 = d.iter().enumerate().map(|(i, v)| if pattern >> i & 1 == 1 { -v } else { *v }).sum();
            hits += u32::from(sum >= d.iter().sum::<f64>() - 1e-9);
        }
        let exact = f64::from(hits) / f64::from(1_u32 << 17);
        // Five standard errors of a share estimated from 65 536 draws.
        assert!((drawn - exact).abs() < 5.0 * (exact * (1.0 - exact) / 65_536.0).sqrt() + 2e-5, "{drawn} {exact}");
    }

    #[test]
    fn a_p_of_drawn_flips_counts_the_observed_pattern() {
        // One of 2¹⁷ patterns is as extreme; these draws have none of it, or one.
        let found = [0, 1, 2, 3].map(|seed| sign_flip_test(&[1.0; 17], Alternative::Greater, seed).unwrap() * 65_537.0);
        assert!(
            found.iter().all(|patterns| (patterns - patterns.round()).abs() < 1e-9 && *patterns > 0.5),
            "{found:?}"
        );
        assert!(found.iter().any(|patterns| patterns.round() == 1.0), "{found:?}");
    }

    #[test]
    fn equal_methods_are_never_found() {
        for n_seeds in [4, 17] {
            for cell in max_t(&[vec![vec![0.0; n_seeds], vec![0.0; n_seeds]]], 0).unwrap().concat() {
                assert_eq!((cell.t, cell.p_greater, cell.p_less), (0.0, 1.0, 1.0));
                assert_eq!((cell.error_greater, cell.error_less), (0.0, 0.0));
            }
        }
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(sign_flip_test(&[], Alternative::Less, 0), Err(EvalError::TooFew { .. })));
        assert!(matches!(max_t(&[], 0), Err(EvalError::TooFew { .. })));
        assert!(matches!(max_t(&[vec![]], 0), Err(EvalError::TooFew { .. })));
        assert!(matches!(max_t(&[vec![vec![1.0]]], 0), Err(EvalError::TooFew { needed: 2, .. })));
        assert!(matches!(max_t(&[vec![vec![1.0; 2], vec![1.0; 3]]], 0), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(max_t(&[vec![vec![1.0, f64::NAN]]], 0), Err(EvalError::NonFinite { .. })));
    }

    /// The textbook t statistic.
    fn plain_t(d: &[f64]) -> f64 {
        let n = d.len() as f64;
        let mean = d.iter().sum::<f64>() / n;
        let variance = d.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        mean / (variance / n).sqrt()
    }

    /// Wallace's normal score of a t statistic from n seeds.
    fn normal_score(t: f64, n: usize) -> f64 {
        let df = n as f64 - 1.0;
        t.signum() * (df * (t * t / df).ln_1p()).sqrt() * (8.0 * df + 1.0) / (8.0 * df + 3.0)
    }

    #[test]
    fn scores_are_close_to_normal_quantiles_and_invert() {
        use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
        for n in [6, 10, 16] {
            for z in [-2.0, -0.3, 0.7, 1.5, 2.3] {
                let t = t_of_z(z, n);
                let score = score_of_z(z, n);
                assert!((score - normal_score(t, n)).abs() < 1e-9, "{score}");
                assert!((z_of_score(score, n) - z).abs() < 1e-12);
                let exact = Normal::standard().inverse_cdf(StudentsT::new(0.0, 1.0, (n - 1) as f64).unwrap().cdf(t));
                assert!((score - exact).abs() < 0.02 * (1.0 + exact.abs()), "{n} {z}: {score} {exact}");
            }
            assert_eq!(z_of_score(f64::INFINITY, n), (n as f64).sqrt());
            assert_eq!(score_of_z(-(n as f64).sqrt(), n), f64::NEG_INFINITY);
        }
        assert_eq!((score_of_z(0.0, 5), z_of_score(0.0, 5)), (0.0, 0.0));
    }

    #[test]
    fn drawn_flips_say_their_error() {
        // Nineteen seeds: an exact count over 2¹⁹ patterns lies within five of the errors that are said.
        let d: Vec<f64> = (0..19).map(|i| (f64::from(i) * 0.7).sin() + 0.35).collect();
        let cell = max_t(&[vec![d.clone()]], 3).unwrap()[0][0];
        let mut hits = 0;
        let observed = plain_t(&d);
        let total: f64 = d.iter().map(|v| v * v).sum();
        for pattern in 0..1_u32 << 19 {
            let sum: f64 = d.iter().enumerate().map(|(i, v)| if pattern >> i & 1 == 1 { -v } else { *v }).sum();
            // t from the sum, since flips leave the sum of squares alone.
            let t = sum / 19.0 / ((total - sum * sum / 19.0) / 18.0 / 19.0).sqrt();
            hits += u32::from(t >= observed - 1e-9);
        }
        let exact = f64::from(hits) / f64::from(1_u32 << 19);
        assert!(cell.error_greater > 0.0 && cell.error_greater < 2e-3);
        assert!((cell.p_greater - exact).abs() < 5.0 * cell.error_greater, "{cell:?} {exact}");
        let error_of = |p: f64| (p * (1.0 - p) / N_RANDOM_FLIPS as f64).sqrt();
        assert!((cell.error_greater - error_of(cell.p_greater)).abs() < 1e-12, "{cell:?}");
        // Of two such blocks none reaches it with (1 − p)², whose relative errors add up in squares.
        let of_two = max_t(&[vec![d.clone()], vec![d.clone()]], 3).unwrap()[0][0];
        let due = 2_f64.sqrt() * (1.0 - exact) * error_of(exact);
        assert!((of_two.error_greater / due - 1.0).abs() < 0.1, "{of_two:?} {due}");
        let listed = max_t(&[vec![d[..16].to_vec()]], 3).unwrap()[0][0];
        assert_eq!((listed.error_greater, listed.error_less), (0.0, 0.0));
    }

    #[test]
    fn an_unknown_seed_of_another_cell_changes_nothing() {
        let own = vec![0.3, -0.1, 0.4, 0.2, 0.5];
        let alone = max_t(&[vec![own.clone()]], 0).unwrap()[0][0];
        let mut padded: Vec<Option<f64>> = own.into_iter().map(Some).collect();
        padded.insert(2, None);
        padded.push(None);
        assert_eq!(max_t_by_seed(&[vec![padded]], 0).unwrap()[0][0], alone);
        assert!(matches!(max_t_by_seed(&[vec![vec![Some(1.0), None]]], 0), Err(EvalError::TooFew { got: 1, .. })));
    }

    proptest! {
        /// Cells with seeds of their own equal stepping down through every sign pattern of the block's seeds.
        #[test]
        fn uneven_cells_equal_joint_enumeration(
            a in prop::collection::vec(-1.0..1.0_f64, 6),
            b in prop::collection::vec(-1.0..1.0_f64, 4),
            c in prop::collection::vec(-1.0..1.0_f64, 5),
        ) {
            // Seeds 0..6, 2..6 and 0, 1, 3, 4, 5 of one block.
            let held: [&[usize]; 3] = [&[0, 1, 2, 3, 4, 5], &[2, 3, 4, 5], &[0, 1, 3, 4, 5]];
            let values = [a, b, c];
            let block: Vec<Vec<Option<f64>>> = (0..3)
                .map(|k| (0..6).map(|s| held[k].iter().position(|&h| h == s).map(|i| values[k][i])).collect())
                .collect();
            let cells = &max_t_by_seed(&[block], 0).unwrap()[0];
            let score = |k: usize, pattern: u32| {
                let flipped: Vec<f64> = values[k].iter().zip(held[k])
                    .map(|(v, s)| if pattern >> s & 1 == 1 { -v } else { *v }).collect();
                normal_score(plain_t(&flipped), flipped.len())
            };
            for direction in [1.0, -1.0] {
                let mut left = vec![0, 1, 2];
                left.sort_by(|&i, &k| (direction * score(k, 0)).total_cmp(&(direction * score(i, 0))));
                let mut running = 0.0_f64;
                while !left.is_empty() {
                    let next = left[0];
                    let reached = direction * score(next, 0);
                    let hits = (0..64).filter(|&pattern| {
                        left.iter().any(|&i| direction * score(i, pattern) >= reached - 1e-7 * (1.0 + reached.abs()))
                    }).count();
                    running = running.max(hits as f64 / 64.0);
                    let p = if direction > 0.0 { cells[next].p_greater } else { cells[next].p_less };
                    prop_assert!((p - running).abs() < 1e-12, "{p} {running}");
                    left.remove(0);
                }
            }
        }

        /// The product over blocks equals stepping down through every joint sign pattern of two blocks of different
        /// size, with textbook t statistics.
        #[test]
        fn max_t_equals_joint_enumeration(
            a in prop::collection::vec(-1.0..1.0_f64, 8),
            b in prop::collection::vec(-1.0..1.0_f64, 3),
        ) {
            let blocks = vec![vec![a[..4].to_vec(), a[4..].to_vec()], vec![b]];
            let cells = max_t(&blocks, 0).unwrap().concat();
            let t: Vec<f64> = blocks.iter().flatten().map(|d| plain_t(d)).collect();
            let observed: Vec<f64> = (0..3).map(|i| normal_score(t[i], if i == 2 { 3 } else { 4 })).collect();
            for direction in [1.0, -1.0] {
                let mut left = vec![0, 1, 2];
                left.sort_by(|&i, &k| (direction * observed[k]).total_cmp(&(direction * observed[i])));
                let mut running = 0.0_f64;
                while let Some(&next) = left.first() {
                    let mut hits = 0;
                    for pattern in 0..1_u32 << 7 {
                        let flip = |d: &[f64], from: usize| -> f64 {
                            plain_t(&d.iter().enumerate()
                                .map(|(i, v)| if pattern >> (from + i) & 1 == 1 { -v } else { *v }).collect::<Vec<_>>())
                        };
                        let flipped = [flip(&blocks[0][0], 0), flip(&blocks[0][1], 0), flip(&blocks[1][0], 4)];
                        let flipped = [0, 1, 2].map(|i| normal_score(flipped[i], if i == 2 { 3 } else { 4 }));
                        let largest = left.iter().map(|&i| direction * flipped[i]).fold(f64::NEG_INFINITY, f64::max);
                        let t = direction * observed[next];
                        hits += u32::from(largest >= t - 1e-7 * (1.0 + t.abs()));
                    }
                    running = running.max(f64::from(hits) / 128.0);
                    let p = if direction > 0.0 { cells[next].p_greater } else { cells[next].p_less };
                    prop_assert!((p - running).abs() < 1e-12, "{p} {running}");
                    left.remove(0);
                }
            }
            for (cell, t) in cells.iter().zip(t) {
                prop_assert!((cell.t - t).abs() < 1e-9 * (1.0 + t.abs()));
            }
        }
    }
}
