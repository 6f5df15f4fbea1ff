//! Methods against each other: mean ranks with Wilcoxon–Holm cliques, and a win / tie / loss matrix.

use crate::error::EvalError;
use crate::holm::holm;
use crate::power::seeds_to_reach;
use crate::rank::average_ranks;
use crate::wilcoxon::{Alternative, wilcoxon_signed_rank};

/// Mean ranks of methods over blocks, with the groups that cannot be told apart.
#[derive(Debug, Clone, PartialEq)]
pub struct RankTable {
    /// Mean rank of each method, in the order given; rank 1 is the lowest value.
    pub mean_ranks: Vec<f64>,
    /// Blocks in which every method has a value.
    pub n_blocks: usize,
    /// Blocks left out because some method has none.
    pub n_excluded: usize,
    /// Holm-adjusted two-sided Wilcoxon p of each pair over the blocks, symmetric; 1 on the diagonal.
    pub p_adjusted: Vec<Vec<f64>>,
    /// Maximal groups of two or more methods, neighbours in mean rank, no two of which differ at the level; ordered by
    /// rank.
    pub cliques: Vec<Vec<usize>>,
    /// Whether the blocks suffice for any pair to differ: otherwise all methods form one clique whatever they did.
    pub decidable: bool,
}

/// Ranks methods over (problem, seed) blocks at one pool ratio.
///
/// `blocks[b][m]` is a value of method m, lower being better, on a scale whose differences compare across blocks: ln of
/// the area under the curve. Blocks in which a method has no value are left out and counted. All pairs are compared by
/// Wilcoxon's signed-rank test over the blocks and adjusted by Holm over the pairs; problems are taken as fixed, so the
/// groups speak of these problems.
///
/// Worked example: blocks (1, 2, 3), (1, 3, 2): mean ranks 1, 2.5, 2.5; two blocks can show nothing, so one clique of
/// three.
///
/// ```
/// # use dal_eval::rank_methods;
/// let table = rank_methods(&[vec![Some(1.0), Some(2.0), Some(3.0)], vec![Some(1.0), Some(3.0), Some(2.0)]], 0.05)?;
/// assert_eq!(table.mean_ranks, [1.0, 2.5, 2.5]);
/// assert_eq!(table.cliques, [vec![0, 1, 2]]);
/// assert!(!table.decidable);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source of the cliques: A. Benavoli, G. Corani, F. Mangili, "Should we really use post-hoc tests based on
/// mean-ranks?", JMLR 17 (2016), which replaces the rank-based Nemenyi test by pairwise signed-rank tests.
///
/// # Errors
/// [`EvalError::ShapeMismatch`] where blocks differ in length, [`EvalError::TooFew`] where no block is complete or
/// there are fewer than two methods, [`EvalError::NonFinite`].
pub fn rank_methods(blocks: &[Vec<Option<f64>>], level: f64) -> Result<RankTable, EvalError> {
    let n_methods = blocks.first().map_or(0, Vec::len);
    if let Some(odd) = blocks.iter().find(|b| b.len() != n_methods) {
        return Err(EvalError::ShapeMismatch {
            what: "methods of a block",
            left: vec![n_methods],
            right: vec![odd.len()],
        });
    }
    if n_methods < 2 {
        return Err(EvalError::TooFew { what: "methods to rank", needed: 2, got: n_methods });
    }
    let complete: Vec<Vec<f64>> = blocks.iter().filter_map(|b| b.iter().copied().collect()).collect();
    if complete.is_empty() {
        return Err(EvalError::TooFew { what: "blocks in which every method has a value", needed: 1, got: 0 });
    }
    let mut mean_ranks = vec![0.0; n_methods];
    for block in &complete {
        for (mean, rank) in mean_ranks.iter_mut().zip(average_ranks(block)?) {
            *mean += rank;
        }
    }
    mean_ranks.iter_mut().for_each(|mean| *mean /= complete.len() as f64);
    let pairs: Vec<(usize, usize)> = (0..n_methods).flat_map(|i| (i + 1..n_methods).map(move |k| (i, k))).collect();
    let raw = pairs
        .iter()
        .map(|&(i, k)| {
            let d: Vec<f64> = complete.iter().map(|b| b[i] - b[k]).collect();
            wilcoxon_signed_rank(&d, Alternative::TwoSided).map(|test| test.p)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut p_adjusted = vec![vec![1.0; n_methods]; n_methods];
    for (&(i, k), p) in pairs.iter().zip(holm(&raw)?) {
        p_adjusted[i][k] = p;
        p_adjusted[k][i] = p;
    }
    // The first step of Holm needs 2 · 2⁻ⁿ · pairs ≤ level.
    let decidable = seeds_to_reach(level / (2.0 * pairs.len() as f64), 1).is_some_and(|n| complete.len() >= n);
    Ok(RankTable {
        cliques: cliques(&mean_ranks, &p_adjusted, level),
        mean_ranks,
        n_blocks: complete.len(),
        n_excluded: blocks.len() - complete.len(),
        p_adjusted,
        decidable,
    })
}

/// Maximal runs of methods in rank order all of whose pairs have p above the level.
fn cliques(mean_ranks: &[f64], p: &[Vec<f64>], level: f64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..mean_ranks.len()).collect();
    order.sort_by(|&a, &b| mean_ranks[a].total_cmp(&mean_ranks[b]));
    let mut found = Vec::new();
    let mut covered_to = 0;
    for start in 0..order.len() {
        let mut end = start + 1;
        while end < order.len() && order[start..end].iter().all(|&i| p[i][order[end]] > level) {
            end += 1;
        }
        if end - start >= 2 && end > covered_to {
            found.push(order[start..end].to_vec());
        }
        covered_to = covered_to.max(end);
    }
    found
}

/// How often one method's cell value lies below, level with, or above another's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cells in which the row's method is lower (better) by more than the margin.
    pub wins: usize,
    /// Cells in which they lie within the margin.
    pub ties: usize,
    /// Cells in which the row's method is higher by more than the margin.
    pub losses: usize,
    /// Cells in which one of the two has no value.
    pub missing: usize,
}

/// The win / tie / loss matrix over (problem, γ) cells: `result[i][k]` counts the cells of method i against method k.
///
/// `cells[c][m]` is the nAUC of method m in cell c; two values tie where their ratio lies within 1/(1 + margin) ..= 1 +
/// margin. A description of the cells' values, without a test.
///
/// Worked example: cells (0.8, 1.0) and (1.0, 1.01) at margin 0.02: the first method has 1 win, 1 tie, 0 losses.
///
/// ```
/// # use dal_eval::{Tally, win_tie_loss};
/// let matrix = win_tie_loss(&[vec![Some(0.8), Some(1.0)], vec![Some(1.0), Some(1.01)]], 0.02)?;
/// assert_eq!(matrix[0][1], Tally { wins: 1, ties: 1, losses: 0, missing: 0 });
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ShapeMismatch`] where cells differ in length, [`EvalError::OutOfRange`] for a value that is not
/// positive and finite.
pub fn win_tie_loss(cells: &[Vec<Option<f64>>], margin: f64) -> Result<Vec<Vec<Tally>>, EvalError> {
    let n_methods = cells.first().map_or(0, Vec::len);
    let mut matrix = vec![vec![Tally::default(); n_methods]; n_methods];
    for cell in cells {
        if cell.len() != n_methods {
            return Err(EvalError::ShapeMismatch {
                what: "methods of a cell",
                left: vec![n_methods],
                right: vec![cell.len()],
            });
        }
        for (index, value) in cell.iter().enumerate() {
            if let Some(value) = *value
                && !(value > 0.0 && value.is_finite())
            {
                return Err(EvalError::OutOfRange { what: "cell value", index, value, must: "positive and finite" });
            }
        }
        for i in 0..n_methods {
            for k in 0..n_methods {
                let tally = &mut matrix[i][k];
                match (cell[i], cell[k]) {
                    (Some(a), Some(b)) if a * (1.0 + margin) < b => tally.wins += 1,
                    (Some(a), Some(b)) if b * (1.0 + margin) < a => tally.losses += 1,
                    (Some(_), Some(_)) => tally.ties += 1,
                    _ => tally.missing += 1,
                }
            }
        }
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_orders_have_no_cliques_and_twins_form_one() {
        // Method 0 beats 1 and 2 in every block, 1 and 2 alternate.
        let blocks: Vec<Vec<Option<f64>>> = (0..20)
            .map(|b| {
                let wiggle = if b % 2 == 0 { 0.1 } else { -0.1 } * (1.0 + 0.01 * f64::from(b));
                vec![Some(0.0), Some(1.0 + wiggle), Some(1.0 - wiggle)]
            })
            .collect();
        let table = rank_methods(&blocks, 0.05).unwrap();
        assert_eq!(table.mean_ranks, [1.0, 2.5, 2.5]);
        assert!(table.decidable);
        assert_eq!(table.cliques, [vec![1, 2]]);
        assert!(table.p_adjusted[0][1] < 1e-4 && table.p_adjusted[1][2] > 0.5);
    }

    #[test]
    fn overlapping_cliques_are_both_shown() {
        let p = vec![vec![1.0, 0.5, 0.01], vec![0.5, 1.0, 0.5], vec![0.01, 0.5, 1.0]];
        assert_eq!(cliques(&[1.0, 2.0, 3.0], &p, 0.05), [vec![0, 1], vec![1, 2]]);
        // At the level exactly two differ.
        for p in [0.01, 0.05] {
            assert!(cliques(&[1.0, 2.0], &[vec![1.0, p], vec![p, 1.0]], 0.05).is_empty());
        }
        // A clique is shown once, not each of its ends as well.
        assert_eq!(cliques(&[2.0, 1.0, 3.0], &vec![vec![1.0; 3]; 3], 0.05), [vec![1, 0, 2]]);
    }

    #[test]
    fn three_pairs_want_seven_blocks_and_ten_want_nine() {
        // 2 · 2⁻⁷ · 3 = 0.047, 2 · 2⁻⁹ · 10 = 0.039; blocks have the same order, so that all pairs have p = 2 · 2⁻ⁿ.
        for (n_methods, n, decidable) in [(3, 6, false), (3, 7, true), (5, 8, false), (5, 9, true)] {
            let block = |b: usize| (0..n_methods).map(|m| Some((m * (b + 1)) as f64)).collect();
            let table = rank_methods(&(0..n).map(block).collect::<Vec<_>>(), 0.05).unwrap();
            assert_eq!(table.decidable, decidable, "{n}");
            let due = ((n_methods * (n_methods - 1)) as f64 * 0.5_f64.powi(n as i32)).min(1.0);
            for (i, k) in [(0, 1), (0, 2), (1, 2), (2, 1)] {
                assert!((table.p_adjusted[i][k] - due).abs() < 1e-12, "{n} {i} {k}");
            }
        }
    }

    #[test]
    fn ties_are_within_the_margin_in_either_direction() {
        let pair = |a: f64, b: f64| vec![Some(a), Some(b)];
        let cells = [pair(0.5, 1.0), pair(0.6, 1.0), pair(3.0, 1.0), pair(1.0, 1.25), pair(1.25, 1.0), pair(1.0, 1.1)];
        let matrix = win_tie_loss(&cells, 0.25).unwrap();
        assert_eq!(matrix[0][1], Tally { wins: 2, ties: 3, losses: 1, missing: 0 });
        assert_eq!(matrix[1][0], Tally { wins: 1, ties: 3, losses: 2, missing: 0 });
        assert_eq!(matrix[0][0], Tally { ties: 6, ..Tally::default() });
    }

    #[test]
    fn incomplete_blocks_are_counted_not_filled() {
        let table = rank_methods(&[vec![Some(1.0), Some(2.0)], vec![Some(9.0), None]], 0.05).unwrap();
        assert_eq!((table.n_blocks, table.n_excluded), (1, 1));
        assert_eq!(table.mean_ranks, [1.0, 2.0]);
        assert!(matches!(rank_methods(&[vec![Some(1.0), None]], 0.05), Err(EvalError::TooFew { .. })));
        let matrix = win_tie_loss(&[vec![Some(1.0), None]], 0.02).unwrap();
        assert_eq!(matrix[0][1], Tally { missing: 1, ..Tally::default() });
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(rank_methods(&[], 0.05), Err(EvalError::TooFew { .. })));
        assert!(matches!(
            rank_methods(&[vec![Some(1.0), Some(1.0)], vec![Some(1.0)]], 0.05),
            Err(EvalError::ShapeMismatch { .. })
        ));
        assert!(matches!(win_tie_loss(&[vec![Some(0.0)]], 0.02), Err(EvalError::OutOfRange { .. })));
    }
}
