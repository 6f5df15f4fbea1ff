//! Verdicts: what each cell says, and whether a method is robust.

use crate::error::EvalError;
use crate::holm::holm;
use crate::interval::{Interval, OverallEffect, mean_and_variance, overall_effect, t_interval, worst_mean_interval};
use crate::outcome::{Cell, Missing, log_ratios};
use crate::power::{seeds_to_find, seeds_to_reach};
use crate::sign_flip::{max_t, sign_flip_test};
use crate::wilcoxon::{Alternative, wilcoxon_signed_rank};

/// nAUC of one method on one problem: a cell for every pool ratio.
#[derive(Debug, Clone, PartialEq)]
pub struct ProblemPanel {
    /// The problem's id.
    pub problem: String,
    /// Pool ratio γ and its cell, all over the same seeds.
    pub cells: Vec<(usize, Cell)>,
}

/// nAUC of one method over all planned problems and pool ratios.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodPanel {
    /// The problems.
    pub problems: Vec<ProblemPanel>,
}

/// How verdicts are reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerdictRules {
    /// The chance of a false verdict, both directions together; each direction gets half. Default 0.05.
    pub level: f64,
    /// The largest change that counts as none: 0.02 means a ratio from 1/1.02 to 1.02. Default 0.02.
    pub margin: f64,
    /// Seed of the random sign flips that are drawn beyond 16 paired seeds. Default 0.
    pub flip_seed: u64,
}

impl Default for VerdictRules {
    fn default() -> Self {
        Self { level: 0.05, margin: 0.02, flip_seed: 0 }
    }
}

/// What one (problem, γ) cell says about a method against Random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CellVerdict {
    /// Better than Random: max-T over all cells, one-sided at half the level.
    Better,
    /// Worse than Random: likewise.
    Worse,
    /// Neither, and the 90 % interval lies inside the margin.
    Equal,
    /// Enough seeds for a verdict to be possible, but the evidence does not carry one.
    Undecided,
    /// So few seeds that no outcome whatever could have been significant.
    Undecidable,
    /// A planned run is missing, failed or unfinished.
    NoVerdict,
}

/// One cell with its evidence. Ratios are nAUC values: below 1 is better than Random.
#[derive(Debug, Clone, PartialEq)]
pub struct CellFinding {
    /// The problem's id.
    pub problem: String,
    /// The pool ratio γ.
    pub pool_ratio: usize,
    /// Geometric mean of the per-seed ratios; `None` unless every seed has one.
    pub value: Option<f64>,
    /// Seeds that have a ratio.
    pub n_seeds: usize,
    /// Seeds that have none, and why.
    pub missing: Vec<(u64, Missing)>,
    /// 90 % t interval of the ratio, for the verdict "equal"; `None` below two seeds.
    pub interval_90: Option<Interval>,
    /// 95 % t interval of the ratio, of this cell by itself.
    pub interval_95: Option<Interval>,
    /// Wilcoxon signed-rank, one-sided against "better than Random", of this cell by itself.
    pub p_better: Option<f64>,
    /// Wilcoxon signed-rank, two-sided, of this cell by itself.
    pub p_wilcoxon: Option<f64>,
    /// Sign-flip permutation test, two-sided, of this cell by itself.
    pub p_sign_flip: Option<f64>,
    /// "Better", adjusted over all cells by max-T.
    pub p_better_adjusted: Option<f64>,
    /// "Worse", adjusted over all cells by max-T.
    pub p_worse_adjusted: Option<f64>,
    /// The verdict.
    pub verdict: CellVerdict,
    /// For a cell that is not decided: about how many seeds would find a difference as large as the observed one, at half
    /// the level divided by the number of cells. `None` where decided, without a spread, or beyond any reasonable number.
    pub seeds_to_find: Option<usize>,
}

/// Why a robustness verdict was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hesitation {
    /// No outcome could have decided: fewer seeds than the tests need.
    TooFewSeeds {
        /// The smallest number of seeds in any cell.
        got: usize,
        /// The smallest number at which "robust" becomes possible.
        needed_for_robust: usize,
        /// The smallest number at which "not robust" becomes possible.
        needed_for_not_robust: usize,
    },
    /// Cells without a value stand in the way.
    MissingCells {
        /// How many.
        n: usize,
    },
    /// Every cell has its seeds, yet neither claim is carried by them.
    Evidence {
        /// Cells whose one-sided test does not reject.
        n_not_rejected: usize,
    },
}

/// Whether a method is better than Random on every problem and pool ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every one-sided test rejects (intersection–union).
    Robust,
    /// At least one cell is worse than Random (max-T over all cells).
    NotRobust,
    /// Neither was shown.
    Undecided(Hesitation),
}

/// A method's robustness, with every cell behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Robustness {
    /// The verdict.
    pub verdict: Verdict,
    /// The p-value of "robust": the largest one-sided Wilcoxon p over all cells; `None` while a cell has no value.
    pub p_robust: Option<f64>,
    /// Index in `cells` of the largest value, and the simultaneous interval of the worst cell's ratio (level 1 − `level`);
    /// the interval is `None` where some cell has fewer than two seeds, both while a cell has no value.
    pub worst: Option<(usize, Option<Interval>)>,
    /// Overall effect on the log scale; `None` while a cell has no value.
    pub overall: Option<OverallEffect>,
    /// All cells, problem by problem.
    pub cells: Vec<CellFinding>,
}

/// Judges one method.
///
/// *Robust* when the one-sided Wilcoxon test of every cell rejects at half the level: no adjustment is needed, because a
/// false claim requires a false rejection in the one cell where the method is not better (intersection–union). *Not robust*
/// when max-T, with signs flipped jointly over the pool ratios of a problem, finds some cell worse at half the level. Else
/// *undecided*, with the reason. Half the level on each side makes the chance of a false verdict of either kind at most the
/// level, and means that five paired seeds (smallest one-sided p 1/32) never decide.
///
/// Single cells are *better* or *worse* by the same max-T family, so that all of them hold together; *equal* only where the
/// 90 % interval lies within the margin and there are seeds enough for a cell's own test to be possible. A cell with a
/// missing run has no verdict, and a method with such a cell cannot be robust, though its other cells can still show that it
/// is not.
///
/// ```
/// # use dal_eval::{Cell, MethodPanel, ProblemPanel, Verdict, VerdictRules, robustness};
/// // Ten seeds, about 10 % better in the only cell.
/// let ratios: Vec<f64> = (0..10).map(|s| 0.9 + 0.001 * f64::from(s)).collect();
/// let cell = Cell::Complete { value: 0.9045, ratios };
/// let panel = MethodPanel { problems: vec![ProblemPanel { problem: "sine".into(), cells: vec![(2, cell)] }] };
/// assert_eq!(robustness(&panel, &VerdictRules::default())?.verdict, Verdict::Robust);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for a panel without cells, [`EvalError::ShapeMismatch`] where the complete cells of a problem differ
/// in their number of seeds, [`EvalError::OutOfRange`] for a ratio that is not positive or rules outside their range.
pub fn robustness(panel: &MethodPanel, rules: &VerdictRules) -> Result<Robustness, EvalError> {
    let in_unit = |v: f64| v > 0.0 && v < 1.0;
    for (what, value) in [("level of a verdict", rules.level), ("margin of equality", rules.margin)] {
        if !in_unit(value) {
            return Err(EvalError::OutOfRange { what, index: 0, value, must: "strictly between 0 and 1" });
        }
    }
    let half_level = rules.level / 2.0;
    let mut cells = Vec::new();
    // Differences of every cell that has a value, by problem, with the cell's index.
    let mut blocks: Vec<Vec<(usize, Vec<f64>)>> = Vec::new();
    for problem in &panel.problems {
        let mut block = Vec::new();
        for (pool_ratio, cell) in &problem.cells {
            let (finding, logs) = judge_alone(&problem.problem, *pool_ratio, cell, half_level, rules.flip_seed)?;
            if let Some(logs) = logs {
                block.push((cells.len(), logs));
            }
            cells.push(finding);
        }
        blocks.push(block);
    }
    if cells.is_empty() {
        return Err(EvalError::TooFew { what: "cells of a method", needed: 1, got: 0 });
    }
    let all: Vec<&(usize, Vec<f64>)> = blocks.iter().flatten().collect();
    let fewest = all.iter().map(|(_, logs)| logs.len()).min().unwrap_or(0);

    // Joint family: blocks with at least two seeds; a single seed has no spread to judge it by.
    let testable: Vec<&Vec<(usize, Vec<f64>)>> =
        blocks.iter().filter(|b| b.first().is_some_and(|(_, logs)| logs.len() >= 2)).collect();
    if !testable.is_empty() {
        let differences: Vec<Vec<Vec<f64>>> =
            testable.iter().map(|b| b.iter().map(|(_, logs)| logs.clone()).collect()).collect();
        let joint = max_t(&differences, rules.flip_seed)?;
        for (block, found) in testable.iter().zip(joint) {
            for ((index, _), adjusted) in block.iter().zip(found) {
                cells[*index].p_better_adjusted = Some(adjusted.p_less);
                cells[*index].p_worse_adjusted = Some(adjusted.p_greater);
            }
        }
    }
    let needed_jointly = seeds_to_reach(half_level, testable.len().max(1)).unwrap_or(usize::MAX);
    let needed_alone = seeds_to_reach(half_level, 1).unwrap_or(usize::MAX);
    for (index, logs) in &all {
        let (mean, sd) = match mean_and_variance(logs) {
            Ok((mean, variance)) => (mean, variance.sqrt()),
            Err(_) => (0.0, 0.0),
        };
        let cell = &mut cells[*index];
        let at_most = |p: Option<f64>| p.is_some_and(|p| p <= half_level);
        let inside = |i: Interval| i.lower >= 1.0 / (1.0 + rules.margin) && i.upper <= 1.0 + rules.margin;
        cell.verdict = if at_most(cell.p_worse_adjusted) {
            CellVerdict::Worse
        } else if at_most(cell.p_better_adjusted) {
            CellVerdict::Better
        } else if logs.len() >= needed_alone && cell.interval_90.is_some_and(inside) {
            CellVerdict::Equal
        } else if logs.len() < needed_jointly {
            CellVerdict::Undecidable
        } else {
            CellVerdict::Undecided
        };
        if matches!(cell.verdict, CellVerdict::Undecided | CellVerdict::Undecidable) && sd > 0.0 {
            // Bonferroni stands in for max-T here: the figure is for planning. A cell that missed its verdict needs more
            // seeds than it had, whatever the approximation says.
            let suggested = seeds_to_find(mean, sd, half_level / all.len() as f64)?;
            cell.seeds_to_find = suggested.map(|n| n.max(needed_jointly).max(logs.len() + 1));
        }
    }

    let n_missing = cells.len() - all.len();
    let p_robust = (n_missing == 0).then(|| cells.iter().filter_map(|c| c.p_better).fold(0.0, f64::max));
    let verdict = if cells.iter().any(|c| c.verdict == CellVerdict::Worse) {
        Verdict::NotRobust
    } else if p_robust.is_some_and(|p| p <= half_level) {
        Verdict::Robust
    } else if all.is_empty() {
        Verdict::Undecided(Hesitation::MissingCells { n: n_missing })
    } else if fewest < needed_alone {
        Verdict::Undecided(Hesitation::TooFewSeeds {
            got: fewest,
            needed_for_robust: needed_alone,
            needed_for_not_robust: seeds_to_reach(half_level, panel.problems.len()).unwrap_or(usize::MAX),
        })
    } else if n_missing > 0 {
        Verdict::Undecided(Hesitation::MissingCells { n: n_missing })
    } else {
        let n_not_rejected = cells.iter().filter(|c| c.p_better.is_none_or(|p| p > half_level)).count();
        Verdict::Undecided(Hesitation::Evidence { n_not_rejected })
    };

    let (mut worst, mut overall) = (None, None);
    if n_missing == 0 {
        let by_value =
            |i: &usize, k: &usize| f64::total_cmp(&cells[*i].value.unwrap_or(0.0), &cells[*k].value.unwrap_or(0.0));
        let index = (0..cells.len()).max_by(by_value).unwrap_or(0);
        let interval = if fewest >= 2 {
            Some(worst_mean_interval(all.iter().map(|(_, logs)| logs.as_slice()), 1.0 - rules.level)?.exp())
        } else {
            None
        };
        worst = Some((index, interval));
        let per_problem: Vec<Vec<f64>> = blocks.iter().filter(|b| !b.is_empty()).map(|b| mean_over_cells(b)).collect();
        overall = Some(overall_effect(&per_problem, 1.0 - rules.level)?);
    }
    Ok(Robustness { verdict, p_robust, worst, overall, cells })
}

/// Per seed, the mean over the cells of a problem.
fn mean_over_cells(block: &[(usize, Vec<f64>)]) -> Vec<f64> {
    let n_seeds = block.first().map_or(0, |(_, logs)| logs.len());
    (0..n_seeds).map(|s| block.iter().map(|(_, logs)| logs[s]).sum::<f64>() / block.len() as f64).collect()
}

/// What a cell says by itself, and its log ratios if it has a value.
fn judge_alone(
    problem: &str,
    pool_ratio: usize,
    cell: &Cell,
    half_level: f64,
    flip_seed: u64,
) -> Result<(CellFinding, Option<Vec<f64>>), EvalError> {
    let mut finding = CellFinding {
        problem: problem.to_owned(),
        pool_ratio,
        value: cell.value(),
        n_seeds: 0,
        missing: Vec::new(),
        interval_90: None,
        interval_95: None,
        p_better: None,
        p_wilcoxon: None,
        p_sign_flip: None,
        p_better_adjusted: None,
        p_worse_adjusted: None,
        verdict: CellVerdict::NoVerdict,
        seeds_to_find: None,
    };
    let ratios = match cell {
        Cell::Incomplete { n_present, missing } => {
            finding.n_seeds = *n_present;
            finding.missing = missing.clone();
            return Ok((finding, None));
        }
        Cell::Complete { ratios, .. } => ratios,
    };
    let logs = log_ratios(ratios)?;
    finding.n_seeds = logs.len();
    finding.p_better = Some(wilcoxon_signed_rank(&logs, Alternative::Less)?.p);
    finding.p_wilcoxon = Some(wilcoxon_signed_rank(&logs, Alternative::TwoSided)?.p);
    finding.p_sign_flip = Some(sign_flip_test(&logs, Alternative::TwoSided, flip_seed)?);
    if logs.len() >= 2 {
        // "Equal" is two one-sided tests at the level of one direction doubled, that is a 1 − 2 · 5 % interval by default.
        finding.interval_90 = Some(t_interval(&logs, 1.0 - 4.0 * half_level)?.exp());
        finding.interval_95 = Some(t_interval(&logs, 1.0 - 2.0 * half_level)?.exp());
    }
    Ok((finding, Some(logs)))
}

/// Holm over methods for one (problem, γ): p-values of the methods that have one, adjusted in a family that counts the
/// methods without one too, so that a failed run never makes the others' evidence look stronger.
///
/// Worked example: (0.01, none, 0.03) is the family (0.01, 1, 0.03): (0.03, none, 0.06).
///
/// ```
/// # use dal_eval::holm_over_methods;
/// let adjusted = holm_over_methods(&[Some(0.01), None, Some(0.03)])?;
/// assert_eq!(adjusted, [Some(0.03), None, Some(0.06)]);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`holm`].
pub fn holm_over_methods(p_values: &[Option<f64>]) -> Result<Vec<Option<f64>>, EvalError> {
    let family: Vec<f64> = p_values.iter().map(|p| p.unwrap_or(1.0)).collect();
    let adjusted = holm(&family)?;
    Ok(p_values.iter().zip(adjusted).map(|(p, a)| p.map(|_| a)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A panel of 8 problems and 6 pool ratios whose log ratios are `mean(problem, γ index)` plus symmetric noise.
    fn panel(n_seeds: usize, noise: f64, mean: impl Fn(usize, usize) -> f64) -> MethodPanel {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let problems = (0..8)
            .map(|p| {
                let cells = (0..6)
                    .map(|g| {
                        let ratios: Vec<f64> =
                            (0..n_seeds).map(|_| (mean(p, g) + noise * (2.0 * uniform() - 1.0)).exp()).collect();
                        (2 << g, Cell::Complete { value: crate::geometric_mean(&ratios).unwrap(), ratios })
                    })
                    .collect();
                ProblemPanel { problem: format!("p{p}"), cells }
            })
            .collect();
        MethodPanel { problems }
    }

    fn judge(panel: &MethodPanel) -> Robustness {
        robustness(panel, &VerdictRules::default()).unwrap()
    }

    #[test]
    fn planted_effects_are_found_with_seeds_enough() {
        let better = judge(&panel(10, 0.02, |_, _| 0.9_f64.ln()));
        assert_eq!(better.verdict, Verdict::Robust);
        assert!(better.cells.iter().all(|c| c.verdict == CellVerdict::Better));
        let overall = better.overall.unwrap().over_problems.unwrap().exp();
        assert!(overall.contains(0.9), "{overall:?}");

        let once_worse = judge(&panel(10, 0.02, |p, g| if (p, g) == (3, 2) { 1.2_f64.ln() } else { 0.9_f64.ln() }));
        assert_eq!(once_worse.verdict, Verdict::NotRobust);
        for cell in &once_worse.cells {
            let planted = cell.problem == "p3" && cell.pool_ratio == 8;
            assert_eq!(cell.verdict, if planted { CellVerdict::Worse } else { CellVerdict::Better }, "{cell:?}");
        }
        let (index, interval) = once_worse.worst.unwrap();
        assert_eq!((once_worse.cells[index].problem.as_str(), once_worse.cells[index].pool_ratio), ("p3", 8));
        assert!(interval.unwrap().contains(1.2));

        let equal = judge(&panel(10, 0.005, |_, _| 0.0));
        assert!(matches!(equal.verdict, Verdict::Undecided(Hesitation::Evidence { .. })), "{:?}", equal.verdict);
        assert!(equal.cells.iter().all(|c| c.verdict == CellVerdict::Equal));
    }

    #[test]
    fn five_seeds_never_decide() {
        for mean in [0.9_f64.ln(), 1.5_f64.ln(), 0.0] {
            let found = judge(&panel(5, 0.001, |_, _| mean));
            assert_eq!(
                found.verdict,
                Verdict::Undecided(Hesitation::TooFewSeeds { got: 5, needed_for_robust: 6, needed_for_not_robust: 9 })
            );
            assert!(found.cells.iter().all(|c| c.verdict == CellVerdict::Undecidable));
        }
    }

    #[test]
    fn one_seed_is_no_error() {
        let found = judge(&panel(1, 0.001, |_, _| -0.1));
        assert!(matches!(found.verdict, Verdict::Undecided(Hesitation::TooFewSeeds { got: 1, .. })));
        assert!(found.cells.iter().all(|c| c.value.is_some() && c.interval_95.is_none()));
    }

    #[test]
    fn a_failed_run_yields_no_verdict_for_its_cell_and_no_robust_method() {
        let mut better = panel(10, 0.02, |_, _| 0.9_f64.ln());
        let failed = Missing::Failed { reason: "diverged".into() };
        better.problems[2].cells[1].1 = Cell::Incomplete { n_present: 9, missing: vec![(4, failed.clone())] };
        let found = judge(&better);
        assert_eq!(found.verdict, Verdict::Undecided(Hesitation::MissingCells { n: 1 }));
        assert_eq!((found.p_robust, found.worst, found.overall), (None, None, None));
        let cell = found.cells.iter().find(|c| c.verdict == CellVerdict::NoVerdict).unwrap();
        assert_eq!((cell.problem.as_str(), cell.pool_ratio, cell.value, cell.n_seeds), ("p2", 4, None, 9));
        assert_eq!(cell.missing, [(4, failed)]);
        assert_eq!(found.cells.iter().filter(|c| c.verdict == CellVerdict::Better).count(), 47);

        for (_, cell) in better.problems.iter_mut().flat_map(|p| &mut p.cells) {
            *cell = Cell::Incomplete { n_present: 0, missing: vec![(0, Missing::Absent)] };
        }
        assert_eq!(judge(&better).verdict, Verdict::Undecided(Hesitation::MissingCells { n: 48 }));

        let mut worse = panel(10, 0.02, |_, g| if g == 5 { 0.3 } else { 0.0 });
        worse.problems[2].cells[1].1 = Cell::Incomplete { n_present: 9, missing: vec![(4, Missing::Absent)] };
        assert_eq!(judge(&worse).verdict, Verdict::NotRobust);
    }

    #[test]
    fn noise_leaves_it_undecided_and_says_how_many_seeds() {
        let found = judge(&panel(10, 0.6, |_, _| -0.05));
        assert!(
            matches!(found.verdict, Verdict::Undecided(Hesitation::Evidence { n_not_rejected }) if n_not_rejected > 0)
        );
        let needed: Vec<usize> = found.cells.iter().filter_map(|c| c.seeds_to_find).collect();
        assert!(!needed.is_empty() && needed.iter().all(|&n| n > 10), "{needed:?}");
    }

    #[test]
    fn bad_input_is_typed() {
        let rules = VerdictRules::default();
        assert!(matches!(robustness(&MethodPanel { problems: vec![] }, &rules), Err(EvalError::TooFew { .. })));
        let fine = panel(3, 0.1, |_, _| 0.0);
        let wide = VerdictRules { level: 1.0, ..rules };
        assert!(matches!(robustness(&fine, &wide), Err(EvalError::OutOfRange { .. })));
        let mut uneven = fine;
        uneven.problems[0].cells[0].1 = Cell::Complete { value: 1.0, ratios: vec![1.0; 4] };
        assert!(matches!(robustness(&uneven, &rules), Err(EvalError::ShapeMismatch { .. })));
    }
}
