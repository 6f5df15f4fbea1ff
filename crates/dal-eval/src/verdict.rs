//! Verdicts: what each cell says, and whether a method is robust.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::EvalError;
use crate::holm::holm;
use crate::interval::{
    Interval, OverallEffect, mean_and_variance, overall_effect, t_interval_with_quantile, t_quantile,
    worst_mean_interval,
};
use crate::outcome::{Missing, SeedOutcome, log_ratios};
use crate::power::{seeds_for_robust, seeds_to_find, seeds_to_reach};
use crate::sign_flip::{MaxTCell, max_t_by_seed, sign_flip_test};
use crate::wilcoxon::{Alternative, wilcoxon_signed_rank};

/// nAUC of one method in one cell, seed by seed.
#[derive(Debug, Clone, PartialEq)]
pub struct CellOutcomes {
    /// The problem's id.
    pub problem: String,
    /// The pool ratio γ.
    pub pool_ratio: usize,
    /// Ratio to Random of every planned seed, or why there is none. Cells may differ in their planned seeds.
    pub outcomes: Vec<SeedOutcome>,
}

/// nAUC of one method in every cell that was planned for it.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodCells {
    /// The method's id.
    pub method: String,
    /// Its cells.
    pub cells: Vec<CellOutcomes>,
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
    /// Better than Random: max-T over all cells of all methods judged together, one-sided at half the level.
    Better,
    /// Worse than Random: likewise.
    Worse,
    /// Neither, and the equivalence interval lies inside the margin.
    Equal,
    /// Enough seeds for a verdict to be possible, but the evidence does not carry one.
    Undecided,
    /// So few seeds that no outcome whatever could have been significant.
    Undecidable,
    /// A planned run is missing, failed or unfinished; or none is due, as before the first planned look.
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
    /// t interval of the ratio at 1 − 2 · level (90 % of 5 %, 95 % of a planned look's 2.5 %), for the verdict "equal":
    /// two one-sided tests at the level; `None` below two seeds.
    pub interval_equivalence: Option<Interval>,
    /// t interval of the ratio at 1 − level (95 % of 5 %), of this cell by itself.
    pub interval_95: Option<Interval>,
    /// Wilcoxon signed-rank, one-sided against "better than Random", of this cell by itself.
    pub p_better: Option<f64>,
    /// Wilcoxon signed-rank, two-sided, of this cell by itself.
    pub p_wilcoxon: Option<f64>,
    /// Sign-flip permutation test, two-sided, of this cell by itself.
    pub p_sign_flip: Option<f64>,
    /// "Better", adjusted over all cells of the family by max-T; `None` for a cell without a value or with so few seeds
    /// that it could never be decided.
    pub p_better_adjusted: Option<f64>,
    /// "Worse", adjusted over all cells of the family by max-T; likewise.
    pub p_worse_adjusted: Option<f64>,
    /// The verdict.
    pub verdict: CellVerdict,
    /// For a cell that is not decided: about how many seeds would find a difference as large as the observed one, at
    /// half the level divided by the number of cells. `None` where decided, without a spread, or beyond any reasonable
    /// number.
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
        /// The number at which a cell whose seeds all agree is found worse even where every problem has such a cell.
        needed_for_not_robust: usize,
    },
    /// Cells without a value stand in the way.
    MissingCells {
        /// How many.
        n: usize,
    },
    /// The sweep has not come to its first planned look; until then there are estimates and intervals alone. Never said
    /// by [`judge`], which knows of no plan.
    NoLook,
    /// The sweeps behind the runs plan different looks, so that no verdict has a level. Never said by [`judge`] either.
    PlansDiffer,
    /// Every cell has its seeds, yet neither claim is carried by them.
    Evidence {
        /// Cells whose one-sided test does not reject; 0 where each does, but not after Holm over the methods.
        n_not_rejected: usize,
    },
}

/// Whether a method is better than Random on every problem and pool ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every one-sided test rejects (intersection–union), after Holm over the methods judged together.
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
    /// The p-value of "robust" (intersection–union): the largest one-sided Wilcoxon p over all cells; `None` while a
    /// cell has no value.
    pub p_robust: Option<f64>,
    /// The same after Holm over the methods judged together; a method without a p counts in the family as one.
    pub p_robust_holm: Option<f64>,
    /// Index in `cells` of the largest value, and the simultaneous interval of the worst cell's ratio (level 1 −
    /// `level`); the interval is `None` where some cell has fewer than two seeds, both while a cell has no value.
    pub worst: Option<(usize, Option<Interval>)>,
    /// Overall effect on the log scale; `None` while a cell has no value.
    pub overall: Option<OverallEffect>,
    /// The same with intervals at 1 − `level` / (methods judged together): they hold of whichever method is picked for
    /// its figures, since all methods' hold together (Bonferroni).
    pub picked: Option<OverallEffect>,
    /// All cells, problem by problem.
    pub cells: Vec<CellFinding>,
}

/// All methods judged together.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// One finding per method, in the order given.
    pub methods: Vec<Robustness>,
    /// Cells in the max-T family.
    pub n_tested: usize,
    /// Cells outside it, because their seeds are too few for any outcome to be significant.
    pub n_too_few: usize,
    /// The largest Monte-Carlo standard error of an adjusted p; 0 where every sign pattern was listed (up to 16 seeds).
    pub monte_carlo_error: f64,
    /// The method to recommend.
    pub recommended: Option<Recommendation>,
}

/// The method with the lowest overall effect, with intervals that allow for its having been picked as the best of
/// several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    /// Its index among the methods given.
    pub method: usize,
    /// How many methods it was picked from.
    pub n_compared: usize,
    /// Level of its intervals, 1 − `level` / `n_compared`: all methods' intervals hold together (Bonferroni), so the
    /// picked one's does.
    pub level: f64,
    /// Overall effect on the log scale at that level.
    pub overall: OverallEffect,
}

/// Judges all methods together.
///
/// *Single cells* are *better* or *worse* by one step-down max-T over all cells of all methods ([`max_t_by_seed`]),
/// one-sided at half the level, signs flipped jointly over methods and pool ratios within a (problem, seed): the chance
/// of any false "worse" (or any false "better") on the whole page is at most half the level, as far as differences are
/// symmetric. They are *equal* only where the interval at 1 − 2 · level (90 % of 5 %) lies within the margin and
/// there are seeds enough for a cell's own test to be possible: two one-sided tests, of each cell by itself.
///
/// A method is *robust* when the one-sided Wilcoxon test of every one of its cells rejects: a false claim requires a
/// false rejection in the one cell where the method is not better (intersection–union), so its p is the largest of its
/// cells', and Holm adjusts that over the methods. It is *not robust* when some cell of it is worse. Else *undecided*,
/// with the reason. Half the level on each side makes the chance of a false verdict of either kind at most the level,
/// and means that five paired seeds (smallest one-sided p 1/32) never decide; with eleven methods "robust" takes nine
/// (11 / 2⁹ = 0.0215).
///
/// Cells may differ in their planned seeds. A cell that lacks a planned seed has no verdict, and its method cannot be
/// robust, though the other cells can still show that it is not; it stays in the max-T family, where a seed without a
/// value counts as no difference, and its method in Holm's, so that a failed run does not make the evidence of others
/// look stronger. Cells of so few planned seeds that no outcome could be significant stay outside the family: which
/// they are is known before any result.
///
/// ```
/// # use dal_eval::{CellOutcomes, MethodCells, SeedOutcome, Verdict, VerdictRules, judge};
/// let cells = |ratio: f64| {
///     let outcomes = (0..10).map(|s| SeedOutcome { seed: s, outcome: Ok(ratio + 0.001 * s as f64) }).collect();
///     vec![CellOutcomes { problem: "sine".into(), pool_ratio: 2, outcomes }]
/// };
/// let methods = [
///     MethodCells { method: "gsx".into(), cells: cells(0.9) },
///     MethodCells { method: "qbc".into(), cells: cells(1.2) },
/// ];
/// let judged = judge(&methods, &VerdictRules::default())?;
/// assert_eq!(judged.methods[0].verdict, Verdict::Robust);
/// assert_eq!(judged.methods[1].verdict, Verdict::NotRobust);
/// assert_eq!(judged.recommended.unwrap().method, 0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no methods, a method without cells, or a cell without planned seeds;
/// [`EvalError::OutOfRange`] for a ratio that is not positive, a seed or a cell given twice, or rules outside their
/// range.
pub fn judge(methods: &[MethodCells], rules: &VerdictRules) -> Result<Judgement, EvalError> {
    let in_unit = |v: f64| v > 0.0 && v < 1.0;
    for (what, value) in [("level of a verdict", rules.level), ("margin of equality", rules.margin)] {
        if !in_unit(value) {
            return Err(EvalError::OutOfRange { what, index: 0, value, must: "strictly between 0 and 1" });
        }
    }
    if methods.is_empty() {
        return Err(EvalError::TooFew { what: "methods to judge", needed: 1, got: 0 });
    }
    let half_level = rules.level / 2.0;
    let needed_alone = seeds_to_reach(half_level, 1).unwrap_or(usize::MAX);
    let mut quantiles = Quantiles::default();
    let mut judged: Vec<Vec<JudgedCell>> = Vec::new();
    for method in methods {
        if method.cells.is_empty() {
            return Err(EvalError::TooFew { what: "cells of a method", needed: 1, got: 0 });
        }
        let mut there = BTreeSet::new();
        let mut own = Vec::new();
        for (index, cell) in method.cells.iter().enumerate() {
            if !there.insert((&cell.problem, cell.pool_ratio)) {
                let value = cell.pool_ratio as f64;
                return Err(EvalError::OutOfRange {
                    what: "pool ratio of a method's cell",
                    index,
                    value,
                    must: "given once",
                });
            }
            own.push(judge_alone(cell, rules, &mut quantiles)?);
        }
        judged.push(own);
    }
    let family = test_together(methods, &judged, needed_alone, rules.flip_seed)?;
    let n_cells: usize = judged.iter().map(Vec::len).sum();
    let settings = Settings {
        rules,
        needed_alone,
        // A problem of which no cell can be tested takes no part.
        needed_jointly: seeds_to_reach(half_level, family.n_blocks.max(1)).unwrap_or(usize::MAX),
        n_cells,
    };
    for (method, own) in judged.iter_mut().enumerate() {
        for (index, cell) in own.iter_mut().enumerate() {
            cell.settle(family.tested.get(&(method, index)), &settings)?;
        }
    }

    let alone: Vec<Option<f64>> = judged.iter().map(|own| p_robust(own)).collect();
    let together = holm_over_methods(&alone)?;
    let mut found = Vec::new();
    for (own, (p_robust, p_robust_holm)) in judged.into_iter().zip(alone.into_iter().zip(together)) {
        found.push(conclude(own, p_robust, p_robust_holm, methods.len(), half_level, rules.level)?);
    }
    let recommended = recommend(methods, &found, rules.level);
    Ok(Judgement {
        methods: found.into_iter().map(|own| own.finding).collect(),
        n_tested: family.tested.len(),
        n_too_few: family.n_too_few,
        monte_carlo_error: family.tested.values().map(|p| p.error_greater.max(p.error_less)).fold(0.0, f64::max),
        recommended,
    })
}

/// What every cell is settled by.
struct Settings<'a> {
    rules: &'a VerdictRules,
    needed_alone: usize,
    needed_jointly: usize,
    n_cells: usize,
}

/// A cell on its way to a verdict.
struct JudgedCell {
    finding: CellFinding,
    /// ln ratios of the seeds that have one.
    logs: BTreeMap<u64, f64>,
}

impl JudgedCell {
    fn values(&self) -> Vec<f64> {
        self.logs.values().copied().collect()
    }

    /// The verdict, once the family has been tested.
    fn settle(&mut self, tested: Option<&MaxTCell>, settings: &Settings<'_>) -> Result<(), EvalError> {
        let Settings { rules, needed_alone, needed_jointly, n_cells } = *settings;
        if self.finding.value.is_none() {
            return Ok(());
        }
        let half_level = rules.level / 2.0;
        let logs = self.values();
        let cell = &mut self.finding;
        cell.p_better_adjusted = tested.map(|p| p.p_less);
        cell.p_worse_adjusted = tested.map(|p| p.p_greater);
        let at_most = |p: Option<f64>| p.is_some_and(|p| p <= half_level);
        let inside = |i: Interval| i.lower >= 1.0 / (1.0 + rules.margin) && i.upper <= 1.0 + rules.margin;
        cell.verdict = if at_most(cell.p_worse_adjusted) {
            CellVerdict::Worse
        } else if at_most(cell.p_better_adjusted) {
            CellVerdict::Better
        } else if logs.len() < needed_alone {
            CellVerdict::Undecidable
        } else if cell.interval_equivalence.is_some_and(inside) {
            CellVerdict::Equal
        } else {
            CellVerdict::Undecided
        };
        if matches!(cell.verdict, CellVerdict::Undecided | CellVerdict::Undecidable)
            && let Ok((mean, variance)) = mean_and_variance(&logs)
            && variance > 0.0
        {
            // Bonferroni stands in for max-T here: the figure is for planning. A cell that missed its verdict needs
            // more seeds than it had, whatever the approximation says.
            let suggested = seeds_to_find(mean, variance.sqrt(), half_level / n_cells as f64)?;
            cell.seeds_to_find = suggested.map(|n| n.max(needed_jointly).max(logs.len() + 1));
        }
        Ok(())
    }
}

/// The family of all cells, tested.
struct Family {
    /// Adjusted p of the cells in it, by index of method and cell.
    tested: BTreeMap<(usize, usize), MaxTCell>,
    n_too_few: usize,
    n_blocks: usize,
}

fn test_together(
    methods: &[MethodCells],
    judged: &[Vec<JudgedCell>],
    needed_alone: usize,
    flip_seed: u64,
) -> Result<Family, EvalError> {
    // Blocks in the order in which problems appear, so that drawn flips do not depend on names.
    let mut problems: Vec<&str> = Vec::new();
    let mut members: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut n_too_few = 0;
    for (m, (method, own)) in methods.iter().zip(judged).enumerate() {
        for (c, (cell, found)) in method.cells.iter().zip(own).enumerate() {
            if cell.outcomes.len() < needed_alone {
                n_too_few += usize::from(found.finding.value.is_some());
                continue;
            }
            let block = problems.iter().position(|p| *p == cell.problem).unwrap_or_else(|| {
                problems.push(&cell.problem);
                members.push(Vec::new());
                members.len() - 1
            });
            members[block].push((m, c));
        }
    }
    let mut tested = BTreeMap::new();
    if !members.is_empty() {
        let blocks: Vec<Vec<Vec<Option<f64>>>> = members
            .iter()
            .map(|block| {
                let planned = |&(m, c): &(usize, usize)| methods[m].cells[c].outcomes.iter().map(|o| o.seed);
                let seeds: BTreeSet<u64> = block.iter().flat_map(planned).collect();
                // A planned seed without a value counts as no difference: the few that are left, on a scale of their
                // own, would beat every threshold when their signs agree, and with it the evidence of all others.
                let row = |&(m, c): &(usize, usize)| {
                    let own: BTreeSet<u64> = planned(&(m, c)).collect();
                    let value = |s: &u64| judged[m][c].logs.get(s).copied().or_else(|| own.contains(s).then_some(0.0));
                    seeds.iter().map(value).collect()
                };
                block.iter().map(row).collect()
            })
            .collect();
        for (block, found) in members.iter().zip(max_t_by_seed(&blocks, flip_seed)?) {
            tested.extend(block.iter().copied().zip(found));
        }
    }
    Ok(Family { tested, n_too_few, n_blocks: members.len() })
}

/// The intersection–union p of a method whose cells all have a value.
fn p_robust(cells: &[JudgedCell]) -> Option<f64> {
    let complete = cells.iter().all(|c| c.finding.value.is_some());
    complete.then(|| cells.iter().filter_map(|c| c.finding.p_better).fold(0.0, f64::max))
}

/// The finding of one method.
struct Concluded {
    finding: Robustness,
    /// The values behind its overall effect: per problem, one per seed.
    per_problem: Option<Vec<Vec<f64>>>,
}

fn conclude(
    cells: Vec<JudgedCell>,
    p_robust: Option<f64>,
    p_robust_holm: Option<f64>,
    n_methods: usize,
    half_level: f64,
    level: f64,
) -> Result<Concluded, EvalError> {
    let complete: Vec<&JudgedCell> = cells.iter().filter(|c| c.finding.value.is_some()).collect();
    let fewest = complete.iter().map(|c| c.logs.len()).min().unwrap_or(0);
    let n_missing = cells.len() - complete.len();
    let problems: BTreeSet<&str> = cells.iter().map(|c| c.finding.problem.as_str()).collect();
    let needed_for_robust = seeds_for_robust(half_level, n_methods).unwrap_or(usize::MAX);
    let verdict = if cells.iter().any(|c| c.finding.verdict == CellVerdict::Worse) {
        Verdict::NotRobust
    } else if p_robust_holm.is_some_and(|p| p <= half_level) {
        Verdict::Robust
    } else if complete.is_empty() {
        Verdict::Undecided(Hesitation::MissingCells { n: n_missing })
    } else if fewest < needed_for_robust {
        Verdict::Undecided(Hesitation::TooFewSeeds {
            got: fewest,
            needed_for_robust,
            needed_for_not_robust: seeds_to_reach(half_level, problems.len()).unwrap_or(usize::MAX),
        })
    } else if n_missing > 0 {
        Verdict::Undecided(Hesitation::MissingCells { n: n_missing })
    } else {
        // Cells that would not carry "robust" even for the method that Holm treats most kindly.
        let n_not_rejected = cells.iter().filter(|c| c.finding.p_better.is_none_or(|p| p > half_level)).count();
        Verdict::Undecided(Hesitation::Evidence { n_not_rejected })
    };

    let (mut worst, mut overall, mut picked, mut per_problem) = (None, None, None, None);
    if n_missing == 0 {
        let value = |i: usize| cells[i].finding.value.unwrap_or(0.0);
        let index = (0..cells.len()).max_by(|&i, &k| value(i).total_cmp(&value(k))).unwrap_or(0);
        let interval = if fewest >= 2 {
            let values: Vec<Vec<f64>> = cells.iter().map(JudgedCell::values).collect();
            Some(worst_mean_interval(values.iter().map(Vec::as_slice), 1.0 - level)?.exp())
        } else {
            None
        };
        worst = Some((index, interval));
        per_problem = means_over_cells(&cells);
        let at = |level: f64| per_problem.as_ref().map(|values| overall_effect(values, 1.0 - level)).transpose();
        overall = at(level)?;
        picked = at(level / n_methods as f64)?;
    }
    let cells = cells.into_iter().map(|c| c.finding).collect();
    Ok(Concluded {
        finding: Robustness { verdict, p_robust, p_robust_holm, worst, overall, picked, cells },
        per_problem,
    })
}

/// Per problem and seed, the mean over the problem's cells, over the seeds that all of them have; `None` where a
/// problem has no such seed.
fn means_over_cells(cells: &[JudgedCell]) -> Option<Vec<Vec<f64>>> {
    let mut problems: Vec<(&str, Vec<&JudgedCell>)> = Vec::new();
    for cell in cells {
        match problems.iter_mut().find(|(id, _)| *id == cell.finding.problem) {
            Some((_, own)) => own.push(cell),
            None => problems.push((&cell.finding.problem, vec![cell])),
        }
    }
    let of_problem = |own: &[&JudgedCell]| {
        let shared = own[0].logs.keys().filter(|seed| own.iter().all(|c| c.logs.contains_key(seed)));
        let means: Vec<f64> = shared.map(|s| own.iter().map(|c| c.logs[s]).sum::<f64>() / own.len() as f64).collect();
        (!means.is_empty()).then_some(means)
    };
    problems.iter().map(|(_, own)| of_problem(own)).collect()
}

/// The method with the lowest overall effect among those with a value in every cell that any method was planned on.
fn recommend(methods: &[MethodCells], found: &[Concluded], level: f64) -> Option<Recommendation> {
    let planned = |m: &MethodCells| -> BTreeSet<(String, usize)> {
        m.cells.iter().map(|c| (c.problem.clone(), c.pool_ratio)).collect()
    };
    let all: BTreeSet<(String, usize)> = methods.iter().flat_map(planned).collect();
    let mean = |values: &[Vec<f64>]| {
        values.iter().map(|v| v.iter().sum::<f64>() / v.len() as f64).sum::<f64>() / values.len() as f64
    };
    let candidates = found.iter().enumerate().filter(|(m, _)| planned(&methods[*m]) == all);
    let best = candidates
        .filter_map(|(m, own)| Some((m, own.per_problem.as_ref()?)))
        .min_by(|(_, a), (_, b)| mean(a).total_cmp(&mean(b)));
    let (method, _) = best?;
    // Methods that failed could have been picked had they not: they count too.
    let n_compared = methods.len();
    let level = 1.0 - level / n_compared as f64;
    Some(Recommendation { method, n_compared, level, overall: found[method].finding.picked? })
}

/// Quantiles of Student's t by degrees of freedom: cells mostly share their number of seeds, and a quantile costs far
/// more than a mean.
#[derive(Default)]
struct Quantiles {
    known: Vec<(f64, usize, f64)>,
}

impl Quantiles {
    /// The two-sided quantile of an interval at `level` over n values.
    fn of(&mut self, level: f64, n: usize) -> Result<f64, EvalError> {
        if let Some((_, _, quantile)) = self.known.iter().find(|(l, k, _)| *l == level && *k == n) {
            return Ok(*quantile);
        }
        let quantile = t_quantile(0.5 + 0.5 * level, (n - 1) as f64)?;
        self.known.push((level, n, quantile));
        Ok(quantile)
    }
}

/// What a cell says by itself.
fn judge_alone(cell: &CellOutcomes, rules: &VerdictRules, quantiles: &mut Quantiles) -> Result<JudgedCell, EvalError> {
    if cell.outcomes.is_empty() {
        return Err(EvalError::TooFew { what: "planned seeds of a cell", needed: 1, got: 0 });
    }
    let half_level = rules.level / 2.0;
    let mut logs = BTreeMap::new();
    let mut missing = Vec::new();
    let mut seeds = BTreeSet::new();
    for (index, one) in cell.outcomes.iter().enumerate() {
        if !seeds.insert(one.seed) {
            let value = one.seed as f64;
            return Err(EvalError::OutOfRange { what: "seed of a cell", index, value, must: "given once" });
        }
        match &one.outcome {
            Ok(ratio) => logs.extend(log_ratios(&[*ratio])?.into_iter().map(|log| (one.seed, log))),
            Err(why) => missing.push((one.seed, why.clone())),
        }
    }
    let mut finding = CellFinding {
        problem: cell.problem.clone(),
        pool_ratio: cell.pool_ratio,
        value: None,
        n_seeds: logs.len(),
        missing,
        interval_equivalence: None,
        interval_95: None,
        p_better: None,
        p_wilcoxon: None,
        p_sign_flip: None,
        p_better_adjusted: None,
        p_worse_adjusted: None,
        verdict: CellVerdict::NoVerdict,
        seeds_to_find: None,
    };
    if finding.missing.is_empty() {
        let values: Vec<f64> = logs.values().copied().collect();
        finding.value = Some((values.iter().sum::<f64>() / values.len() as f64).exp());
        finding.p_better = Some(wilcoxon_signed_rank(&values, Alternative::Less)?.p);
        finding.p_wilcoxon = Some(wilcoxon_signed_rank(&values, Alternative::TwoSided)?.p);
        finding.p_sign_flip = Some(sign_flip_test(&values, Alternative::TwoSided, rules.flip_seed)?);
        if values.len() >= 2 {
            let mut interval = |level: f64| -> Result<Interval, EvalError> {
                Ok(t_interval_with_quantile(&values, quantiles.of(level, values.len())?)?.exp())
            };
            // Two one-sided tests at the level each, that is a 1 − 2 · 5 % interval by default.
            finding.interval_equivalence = Some(interval(1.0 - 4.0 * half_level)?);
            finding.interval_95 = Some(interval(1.0 - 2.0 * half_level)?);
        }
    }
    Ok(JudgedCell { finding, logs })
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

    /// 8 problems and 6 pool ratios whose log ratios are `mean(problem, γ index)` plus symmetric noise.
    fn panel(n_seeds: usize, noise: f64, mean: impl Fn(usize, usize) -> f64) -> Vec<CellOutcomes> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut cells = Vec::new();
        for p in 0..8 {
            for g in 0..6 {
                let ratios: Vec<f64> =
                    (0..n_seeds).map(|_| (mean(p, g) + noise * (2.0 * uniform() - 1.0)).exp()).collect();
                cells.push(of(&format!("p{p}"), 2 << g, outcomes(&ratios)));
            }
        }
        cells
    }

    fn judge_panel(cells: &[CellOutcomes]) -> Robustness {
        let method = MethodCells { method: "m".into(), cells: cells.to_vec() };
        judge(&[method], &VerdictRules::default()).unwrap().methods.remove(0)
    }

    #[test]
    fn planted_effects_are_found_with_seeds_enough() {
        let better = judge_panel(&panel(10, 0.02, |_, _| 0.9_f64.ln()));
        assert_eq!(better.verdict, Verdict::Robust);
        assert!(better.cells.iter().all(|c| c.verdict == CellVerdict::Better));
        let overall = better.overall.unwrap().over_problems.unwrap().exp();
        assert!(overall.contains(0.9), "{overall:?}");

        let once_worse =
            judge_panel(&panel(10, 0.02, |p, g| if (p, g) == (3, 2) { 1.2_f64.ln() } else { 0.9_f64.ln() }));
        assert_eq!(once_worse.verdict, Verdict::NotRobust);
        for cell in &once_worse.cells {
            let planted = cell.problem == "p3" && cell.pool_ratio == 8;
            assert_eq!(cell.verdict, if planted { CellVerdict::Worse } else { CellVerdict::Better }, "{cell:?}");
        }
        let (index, interval) = once_worse.worst.unwrap();
        assert_eq!((once_worse.cells[index].problem.as_str(), once_worse.cells[index].pool_ratio), ("p3", 8));
        assert!(interval.unwrap().contains(1.2));

        let equal = judge_panel(&panel(10, 0.005, |_, _| 0.0));
        assert!(matches!(equal.verdict, Verdict::Undecided(Hesitation::Evidence { .. })), "{:?}", equal.verdict);
        assert!(equal.cells.iter().all(|c| c.verdict == CellVerdict::Equal));
    }

    #[test]
    fn equal_is_said_by_two_one_sided_tests_at_the_level() {
        let cells_of = |a: f64| -> Vec<CellOutcomes> {
            let ratios: Vec<f64> = (0..10).map(|i| if i % 2 == 0 { a.exp() } else { (-a).exp() }).collect();
            let cells = (0..8).flat_map(|p| (0..6).map(move |g| (p, g)));
            cells.map(|(p, g)| of(&format!("p{p}"), 2 << g, outcomes(&ratios))).collect()
        };
        let panel_of = |a: f64| judge_panel(&cells_of(a));
        // The 90 % interval ends at 1.75 %, inside the margin of 2 %, the 95 % one at 2.16 %.
        let close = panel_of(0.02865);
        assert!(close.cells.iter().all(|c| c.verdict == CellVerdict::Equal), "{:?}", close.cells[0]);
        let cell = &close.cells[0];
        let (inner, outer) = (cell.interval_equivalence.unwrap(), cell.interval_95.unwrap());
        assert!(inner.upper < 1.02 && outer.upper > 1.02, "{inner:?} {outer:?}");
        // The 90 % interval ends at 2.1 %.
        assert!(panel_of(0.0345).cells.iter().all(|c| c.verdict != CellVerdict::Equal));
        // At the 2.5 % of a planned look it is the 95 % interval that has to lie inside.
        let look = VerdictRules { level: 0.025, ..VerdictRules::default() };
        let at_look = |a: f64| {
            let method = MethodCells { method: "m".into(), cells: cells_of(a) };
            judge(&[method], &look).unwrap().methods.remove(0).cells
        };
        assert!(at_look(0.02865).iter().all(|c| c.verdict == CellVerdict::Undecided));
        assert!(at_look(0.0262).iter().all(|c| c.verdict == CellVerdict::Equal));
    }

    #[test]
    fn five_seeds_never_decide() {
        for mean in [0.9_f64.ln(), 1.5_f64.ln(), 0.0] {
            let found = judge_panel(&panel(5, 0.001, |_, _| mean));
            assert_eq!(
                found.verdict,
                Verdict::Undecided(Hesitation::TooFewSeeds { got: 5, needed_for_robust: 6, needed_for_not_robust: 9 })
            );
            assert!(found.cells.iter().all(|c| c.verdict == CellVerdict::Undecidable));
        }
    }

    #[test]
    fn one_seed_is_no_error() {
        let found = judge_panel(&panel(1, 0.001, |_, _| -0.1));
        assert!(matches!(found.verdict, Verdict::Undecided(Hesitation::TooFewSeeds { got: 1, .. })));
        assert!(found.cells.iter().all(|c| c.value.is_some() && c.interval_95.is_none()));
    }

    #[test]
    fn a_failed_run_yields_no_verdict_for_its_cell_and_no_robust_method() {
        let mut better = panel(10, 0.02, |_, _| 0.9_f64.ln());
        let failed = Missing::Failed { reason: "diverged".into() };
        better[2 * 6 + 1].outcomes[4].outcome = Err(failed.clone());
        let found = judge_panel(&better);
        assert_eq!(found.verdict, Verdict::Undecided(Hesitation::MissingCells { n: 1 }));
        assert_eq!((found.p_robust, found.worst, found.overall), (None, None, None));
        let cell = found.cells.iter().find(|c| c.verdict == CellVerdict::NoVerdict).unwrap();
        assert_eq!((cell.problem.as_str(), cell.pool_ratio, cell.value, cell.n_seeds), ("p2", 4, None, 9));
        assert_eq!(cell.missing, [(4, failed)]);
        assert_eq!(found.cells.iter().filter(|c| c.verdict == CellVerdict::Better).count(), 47);

        for outcome in better.iter_mut().flat_map(|cell| &mut cell.outcomes) {
            outcome.outcome = Err(Missing::Absent);
        }
        assert_eq!(judge_panel(&better).verdict, Verdict::Undecided(Hesitation::MissingCells { n: 48 }));

        let mut worse = panel(10, 0.02, |_, g| if g == 5 { 0.3 } else { 0.0 });
        worse[2 * 6 + 1].outcomes[4].outcome = Err(Missing::Absent);
        assert_eq!(judge_panel(&worse).verdict, Verdict::NotRobust);
    }

    #[test]
    fn noise_leaves_it_undecided_and_says_how_many_seeds() {
        let found = judge_panel(&panel(10, 0.6, |_, _| -0.05));
        assert!(
            matches!(found.verdict, Verdict::Undecided(Hesitation::Evidence { n_not_rejected }) if n_not_rejected > 0)
        );
        let needed: Vec<usize> = found.cells.iter().filter_map(|c| c.seeds_to_find).collect();
        assert!(!needed.is_empty() && needed.iter().all(|&n| n > 10), "{needed:?}");
        // For planning, each of the 48 cells gets its share of half the level.
        for (cell, planned) in found.cells.iter().zip(panel(10, 0.6, |_, _| -0.05)) {
            let logs: Vec<f64> = planned.outcomes.iter().map(|o| o.outcome.as_ref().unwrap().ln()).collect();
            let (mean, variance) = mean_and_variance(&logs).unwrap();
            let suggested = seeds_to_find(mean, variance.sqrt(), 0.025 / 48.0).unwrap().map(|n| n.max(11));
            assert_eq!(cell.seeds_to_find, suggested, "{cell:?}");
        }
    }

    /// One method with these cells of one problem: log ratios in tenths.
    fn of_tenths(cells: &[&[f64]], level: f64) -> Judgement {
        let cells = cells.iter().zip(1..).map(|(logs, g)| {
            let ratios: Vec<f64> = logs.iter().map(|log| (0.1 * log).exp()).collect();
            of("p", 2 * g, outcomes(&ratios))
        });
        let method = MethodCells { method: "m".into(), cells: cells.collect() };
        judge(&[method], &VerdictRules { level, ..VerdictRules::default() }).unwrap()
    }

    #[test]
    fn a_cell_is_decided_at_half_the_level_from_six_seeds_on() {
        // Two of 64 patterns reach the sum: 0.03125, above half of 5 %.
        for sign in [1.0, -1.0] {
            let logs = [1.0, 1.0, 1.0, 1.0, 1.0, -0.1].map(|log| sign * log);
            let found = of_tenths(&[&logs], 0.05);
            let cell = &found.methods[0].cells[0];
            assert_eq!(cell.p_better_adjusted.unwrap().min(cell.p_worse_adjusted.unwrap()), 2.0 / 64.0);
            assert_eq!((cell.verdict, found.n_tested, found.n_too_few), (CellVerdict::Undecided, 1, 0));
            assert_eq!(found.methods[0].verdict, Verdict::Undecided(Hesitation::Evidence { n_not_rejected: 1 }));
            // Six had been enough by the formula.
            assert_eq!(cell.seeds_to_find, Some(7));
            assert_ne!(of_tenths(&[&logs], 0.0626).methods[0].cells[0].verdict, CellVerdict::Undecided);
        }
        // Without a spread there is nothing to plan by.
        let found = of_tenths(&[&[1.0; 4]], 0.05);
        let cell = &found.methods[0].cells[0];
        assert_eq!((cell.verdict, cell.seeds_to_find), (CellVerdict::Undecidable, None));
    }

    #[test]
    fn equal_takes_both_ends() {
        for sign in [1.0, -1.0] {
            let logs = [0.3, 0.0, 0.3, 0.0, 0.3, -0.05].map(|log| sign * log);
            let cell = &of_tenths(&[&logs], 0.05).methods[0].cells[0];
            let interval = cell.interval_equivalence.unwrap();
            let inside = (interval.lower >= 1.0 / 1.02, interval.upper <= 1.02);
            assert_eq!(inside, if sign > 0.0 { (true, false) } else { (false, true) }, "{interval:?}");
            assert_eq!(cell.verdict, CellVerdict::Undecided);
        }
    }

    #[test]
    fn cells_of_one_problem_share_their_flips() {
        let same: &[f64] = &[1.0, 2.0, 3.0, 1.5, 2.5, 0.5];
        let found = of_tenths(&[same, same, same], 0.05);
        assert!(found.methods[0].cells.iter().all(|c| c.p_worse_adjusted == Some(1.0 / 64.0)));
    }

    #[test]
    fn what_stands_in_the_way_of_robust_is_counted() {
        // Half the level is 1/32, which five seeds that agree just reach.
        let agree: &[f64] = &[-1.0, -2.0, -3.0, -1.5, -2.5];
        let found = of_tenths(&[agree, &[1.0, -1.0, 0.5, -0.7, 0.1]], 1.0 / 16.0);
        assert_eq!(found.methods[0].cells[0].p_better, Some(1.0 / 32.0));
        assert_eq!(found.methods[0].verdict, Verdict::Undecided(Hesitation::Evidence { n_not_rejected: 1 }));
    }

    fn outcomes(ratios: &[f64]) -> Vec<SeedOutcome> {
        (0..).zip(ratios).map(|(seed, r)| SeedOutcome { seed, outcome: Ok(*r) }).collect()
    }

    fn of(problem: &str, pool_ratio: usize, outcomes: Vec<SeedOutcome>) -> CellOutcomes {
        CellOutcomes { problem: problem.into(), pool_ratio, outcomes }
    }

    fn wiggled(centre: f64, n: usize) -> Vec<f64> {
        (0..n).map(|s| centre + 0.004 * (s as f64 * 1.7).sin()).collect()
    }

    #[test]
    fn robust_takes_nine_seeds_with_eleven_methods() {
        let rules = VerdictRules::default();
        for (n_seeds, due) in [(8, false), (9, true)] {
            // Each method has its own small wiggle; one is better than Random, the others are equal to it.
            let methods: Vec<MethodCells> = (0..11)
                .map(|m| MethodCells {
                    method: format!("m{m}"),
                    cells: vec![of(
                        "p",
                        2,
                        outcomes(&wiggled(if m == 0 { 0.9 } else { 1.0 + 1e-4 * m as f64 }, n_seeds)),
                    )],
                })
                .collect();
            let found = judge(&methods, &rules).unwrap();
            assert_eq!(found.methods[0].verdict == Verdict::Robust, due, "{n_seeds}");
            assert_eq!(found.methods[0].p_robust, Some(0.5_f64.powi(n_seeds as i32)));
            assert_eq!(found.methods[0].p_robust_holm, Some(11.0 * 0.5_f64.powi(n_seeds as i32)));
            if !due {
                let Verdict::Undecided(Hesitation::TooFewSeeds { got, needed_for_robust, .. }) =
                    found.methods[0].verdict
                else {
                    panic!("{:?}", found.methods[0].verdict);
                };
                assert_eq!((got, needed_for_robust), (8, 9));
            }
            let recommended = found.recommended.unwrap();
            assert_eq!((recommended.method, recommended.n_compared), (0, 11));
            assert!((recommended.level - (1.0 - 0.05 / 11.0)).abs() < 1e-15);
            let fixed = recommended.overall.problems_fixed.unwrap();
            let plain = found.methods[0].overall.unwrap().problems_fixed.unwrap();
            assert!(fixed.lower < plain.lower && fixed.upper > plain.upper && fixed.mean == plain.mean);
        }
    }

    #[test]
    fn cells_of_their_own_seeds_are_judged_and_hopeless_ones_stay_outside() {
        let rules = VerdictRules::default();
        let fine = MethodCells {
            method: "a".into(),
            cells: vec![of("p", 2, outcomes(&wiggled(0.9, 10))), of("p", 4, outcomes(&wiggled(0.9, 7)))],
        };
        let alone = judge(std::slice::from_ref(&fine), &rules).unwrap();
        assert_eq!(alone.methods[0].verdict, Verdict::Robust);
        assert_eq!((alone.n_tested, alone.n_too_few, alone.monte_carlo_error), (2, 0, 0.0));
        // The overall effect rests on the seeds that both cells have.
        let of_both: Vec<f64> = (0..7).map(|s| wiggled(0.9, 10)[s].ln()).collect();
        let mean = of_both.iter().sum::<f64>() / 7.0;
        assert!((alone.methods[0].overall.unwrap().problems_fixed.unwrap().mean - mean).abs() < 1e-12);

        // Each cell has the value and the intervals of its own seeds.
        for (cell, n) in alone.methods[0].cells.iter().zip([10, 7]) {
            let logs: Vec<f64> = wiggled(0.9, n).iter().map(|ratio| ratio.ln()).collect();
            for (found, level) in [(cell.interval_equivalence, 0.9), (cell.interval_95, 0.95)] {
                let due = crate::t_interval(&logs, level).unwrap().exp();
                let found = found.unwrap();
                assert!((found.lower - due.lower).abs() < 1e-12 && (found.upper - due.upper).abs() < 1e-12);
                assert!((cell.value.unwrap() - due.mean).abs() < 1e-12);
            }
        }

        // Three seeds that all agree would beat every threshold in one of eight patterns.
        let hopeless = MethodCells { method: "b".into(), cells: vec![of("p", 2, outcomes(&[1.5, 1.5, 1.5]))] };
        let both = judge(&[fine, hopeless], &rules).unwrap();
        assert_eq!((both.n_tested, both.n_too_few), (2, 1));
        for (cell, before) in both.methods[0].cells.iter().zip(&alone.methods[0].cells) {
            assert_eq!(cell.p_better_adjusted, before.p_better_adjusted);
        }
        assert_eq!(both.methods[1].cells[0].verdict, CellVerdict::Undecidable);
        assert_eq!(both.methods[1].cells[0].p_worse_adjusted, None);
        // It was not planned where the other was, so the two are not compared.
        assert_eq!(both.recommended.unwrap().method, 0);
    }

    #[test]
    fn the_lowest_mean_over_problems_is_recommended() {
        // Log ratios at every seed of a problem of ten seeds, and at those of one of seven.
        let of_means = |means: [f64; 2]| {
            let cell = |problem: &str, mean: f64, n: usize| of(problem, 2, outcomes(&vec![mean.exp(); n]));
            MethodCells { method: "m".into(), cells: vec![cell("p", means[0], 10), cell("q", means[1], 7)] }
        };
        for (worse, better) in [([1.2, 1.2], [0.9, 0.9]), ([0.0, 1.1], [1.0, 0.0])] {
            let judged = judge(&[of_means(worse), of_means(better)], &VerdictRules::default()).unwrap();
            assert_eq!(judged.recommended.unwrap().method, 1, "{worse:?} {better:?}");
        }
    }

    #[test]
    fn a_failed_run_strengthens_no_other_evidence() {
        let rules = VerdictRules::default();
        let noise =
            |m: usize| -> Vec<f64> { (0..10).map(|s| (0.06 * ((7 * s + 3 * m + s * s) as f64).sin()).exp()).collect() };
        let methods = |failed: usize| -> Vec<MethodCells> {
            (0..6)
                .map(|m| {
                    let mut own =
                        outcomes(&noise(m).iter().map(|r| if m == 0 { 0.96 * r } else { *r }).collect::<Vec<_>>());
                    if m == 5 {
                        for outcome in own.iter_mut().skip(1).take(failed) {
                            outcome.outcome = Err(Missing::Failed { reason: "diverged".into() });
                        }
                    }
                    MethodCells { method: format!("m{m}"), cells: vec![of("p", 2, own)] }
                })
                .collect()
        };
        let whole = judge(&methods(0), &rules).unwrap();
        let without: Vec<MethodCells> = methods(0).into_iter().take(5).collect();
        let smaller = judge(&without, &rules).unwrap();
        let p = |j: &Judgement| j.methods[0].cells[0].p_better_adjusted.unwrap();
        // Also where so many failed that the seeds left could never decide: what failed is a result, too.
        for failed in [1, 5, 8, 9] {
            let broken = judge(&methods(failed), &rules).unwrap();
            assert_eq!((whole.n_tested, broken.n_tested), (6, 6));
            assert_eq!(whole.methods[0].p_robust_holm, broken.methods[0].p_robust_holm);
            assert_eq!(broken.methods[5].cells[0].verdict, CellVerdict::NoVerdict);
            assert_eq!(broken.methods[5].verdict, Verdict::Undecided(Hesitation::MissingCells { n: 1 }));
            assert!(p(&broken) >= p(&smaller), "{failed}: {} {}", p(&broken), p(&smaller));
        }
        // Nor does it silence them: five seeds that agree, of ten, take nothing from a clear verdict elsewhere.
        let mut clear = methods(5);
        clear[0].cells[0].outcomes.iter_mut().for_each(|o| o.outcome = Ok(0.8 * o.outcome.clone().unwrap()));
        clear[5].cells[0].outcomes.iter_mut().filter(|o| o.outcome.is_ok()).for_each(|o| o.outcome = Ok(0.5));
        let found = judge(&clear, &rules).unwrap();
        assert_eq!(found.methods[0].cells[0].verdict, CellVerdict::Better, "{:?}", found.methods[0].cells[0]);
    }

    #[test]
    fn one_method_alone_needs_no_holm() {
        let found = judge_panel(&panel(10, 0.02, |_, _| 0.9_f64.ln()));
        assert_eq!(found.p_robust, found.p_robust_holm);
        assert_eq!(found.p_robust, found.cells.iter().filter_map(|c| c.p_better).reduce(f64::max));
    }

    #[test]
    fn bad_families_are_typed() {
        let rules = VerdictRules::default();
        let cell = of("p", 2, outcomes(&[0.9, 0.8]));
        let judge_cells = |cells: Vec<CellOutcomes>| judge(&[MethodCells { method: "m".into(), cells }], &rules);
        assert!(matches!(judge(&[], &rules), Err(EvalError::TooFew { .. })));
        assert!(matches!(judge_cells(vec![]), Err(EvalError::TooFew { .. })));
        assert!(matches!(judge_cells(vec![of("p", 2, vec![])]), Err(EvalError::TooFew { .. })));
        assert!(matches!(judge_cells(vec![cell.clone(), cell.clone()]), Err(EvalError::OutOfRange { index: 1, .. })));
        let mut twice = cell;
        twice.outcomes[1].seed = 0;
        assert!(matches!(judge_cells(vec![twice]), Err(EvalError::OutOfRange { index: 1, .. })));
        assert!(matches!(judge_cells(vec![of("p", 2, outcomes(&[-1.0]))]), Err(EvalError::OutOfRange { .. })));
        let fine = [MethodCells { method: "m".into(), cells: panel(3, 0.1, |_, _| 0.0) }];
        for bad in [0.0, 1.0] {
            let found = judge(&fine, &VerdictRules { level: bad, ..rules });
            assert!(matches!(found, Err(EvalError::OutOfRange { what: "level of a verdict", .. })));
            let found = judge(&fine, &VerdictRules { margin: bad, ..rules });
            assert!(matches!(found, Err(EvalError::OutOfRange { what: "margin of equality", .. })));
        }
    }
}
