//! What effects a number of seeds can decide: for planning, before a run is made.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::error::EvalError;
use crate::interval::mean_and_variance;
use crate::power::seeds_to_reach;
use crate::wilcoxon::{Alternative, wilcoxon_signed_rank};

/// Simulated experiments behind a figure.
const EXPERIMENTS: usize = 4_000;

/// Simulated sweeps without any effect, from which the bar of max-T is taken: of few cells more of them.
const NULL_SWEEPS: usize = 24;
const NULL_CELLS: usize = 1_600;

/// Up to this many seeds all sign patterns of such a sweep are listed; beyond, as many as these have are drawn.
const MOST_LISTED: usize = 10;

/// More seeds than this are not simulated: the Walsh averages of one cell grow with their square.
pub const MOST_PLANNED_SEEDS: usize = 100;

/// A sweep as far as its statistics go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepPlan {
    /// Paired seeds of every cell.
    pub n_seeds: usize,
    /// Standard deviation over seeds of a cell's ln ratio, from stored results ([`pooled_spread`]).
    pub sd: f64,
    /// Methods beside Random.
    pub n_methods: usize,
    /// Problems.
    pub n_problems: usize,
    /// Pool ratios of each.
    pub n_pool_ratios: usize,
    /// Chance of a false verdict, both directions together.
    pub level: f64,
    /// The chance to find the effect: 0.8 by custom.
    pub power: f64,
    /// Seed of the simulated noise.
    pub seed: u64,
}

/// The smallest effects that a plan decides with its power, as ln ratios above 0; `None` where no effect however large
/// can be decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectableEffects {
    /// A method this much better than Random in every one of its cells is called robust: exp(−x) is its nAUC.
    pub robust: Option<f64>,
    /// A single cell this much worse than Random is found (and its method called not robust): exp(x) is its nAUC.
    pub worse: Option<f64>,
}

/// What a plan can decide.
///
/// *Robust*: with normal noise the one-sided Wilcoxon test of a cell rejects as soon as at most w of the Walsh averages
/// (d_i + d_j)/2, i ≤ j, lie above zero, w the largest rank sum with p ≤ level / 2 / `n_methods` (Holm's first step). A
/// shift by −x moves them all by −x, so an experiment with noise e is decided from x = the (w + 1)-th largest Walsh
/// average of e on, and a method from the largest such x of its cells on. The answer is the `power` quantile of that
/// over 4 000 simulated methods, cells taken as independent (noise that cells share makes it smaller).
///
/// *Worse*: one cell passes max-T ([`max_t`](crate::max_t)) among all cells of all methods. The cell's score is z = Σ d
/// / √Σ d², at most √n; its adjusted p is 1 − Π (1 − share) over the problems, share being that of the sign patterns in
/// which any cell of the problem reaches z, its own pattern included. From simulated sweeps without any effect (24, of
/// few cells more) comes the bar z* at which p = level / 2. An experiment of mean ē and standard deviation s (of n, not
/// n − 1) is decided from x = z* s / √(n − z*²) − ē on; again the `power` quantile. With six or seven seeds there are
/// so few patterns that other cells' noise nearly fills them, and only large effects are found.
///
/// Both are simulations of the tests themselves, from a stream named by `seed`, with a Monte-Carlo error of some 2 % of
/// the figure; the noise is taken as normal and `sd` as known, and max-T's cells as independent, though Random's noise
/// is in all of a problem.
///
/// ```
/// # use dal_eval::{SweepPlan, detectable_effects};
/// let plan = SweepPlan {
///     n_seeds: 10, sd: 0.04, n_methods: 11, n_problems: 3, n_pool_ratios: 2, level: 0.05, power: 0.8, seed: 0,
/// };
/// let effects = detectable_effects(&plan)?;
/// // 10 % better in all six cells is decided, 3 % is not; one cell worse by 15 % is found.
/// assert!(effects.robust.unwrap() < -(0.9_f64.ln()) && effects.robust.unwrap() > 0.03);
/// assert!(effects.worse.unwrap() < 1.15_f64.ln());
/// // Eight seeds can never call one of eleven methods robust.
/// assert_eq!(detectable_effects(&SweepPlan { n_seeds: 8, ..plan })?.robust, None);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for a plan without seeds, methods, problems or pool ratios, [`EvalError::OutOfRange`] for more
/// than [`MOST_PLANNED_SEEDS`] seeds, a negative or infinite sd, and a level or power outside (0, 1).
pub fn detectable_effects(plan: &SweepPlan) -> Result<DetectableEffects, EvalError> {
    let counts = [
        ("seeds of a plan", plan.n_seeds),
        ("methods of a plan", plan.n_methods),
        ("problems of a plan", plan.n_problems),
        ("pool ratios of a plan", plan.n_pool_ratios),
    ];
    for (what, got) in counts {
        if got == 0 {
            return Err(EvalError::TooFew { what, needed: 1, got });
        }
    }
    let in_unit = |v: f64| v > 0.0 && v < 1.0;
    for (what, value, fine, must) in [
        ("seeds of a plan", plan.n_seeds as f64, plan.n_seeds <= MOST_PLANNED_SEEDS, "at most 100"),
        ("standard deviation of a plan", plan.sd, plan.sd >= 0.0 && plan.sd.is_finite(), "finite and not negative"),
        ("level of a plan", plan.level, in_unit(plan.level), "strictly between 0 and 1"),
        ("power of a plan", plan.power, in_unit(plan.power), "strictly between 0 and 1"),
    ] {
        if !fine {
            return Err(EvalError::OutOfRange { what, index: 0, value, must });
        }
    }
    let half_level = plan.level / 2.0;
    let cells_of_method = plan.n_problems * plan.n_pool_ratios;
    let mut noise = Noise::new(plan.seed);
    let robust = largest_rank_sum(plan.n_seeds, half_level / plan.n_methods as f64)?
        .map(|w| quantile_of(EXPERIMENTS, plan.power, || decided_robust(&mut noise, plan.n_seeds, cells_of_method, w)));
    let reachable = seeds_to_reach(half_level, 1).is_some_and(|n| plan.n_seeds >= n);
    let worse = reachable.then(|| {
        let sweeps = (NULL_CELLS / (cells_of_method * plan.n_methods)).max(NULL_SWEEPS);
        let bars: Vec<f64> = (0..sweeps).map(|_| bar_of_max_t(&mut noise, plan, half_level)).collect();
        let mut experiments = bars.iter().cycle();
        quantile_of(EXPERIMENTS, plan.power, || {
            decided_worse(&mut noise, plan.n_seeds, *experiments.next().unwrap_or(&f64::INFINITY))
        })
    });
    // Where other cells fill the patterns in too many sweeps no effect is enough.
    let worse = worse.filter(|x| x.is_finite());
    // Noise of sd 1 was drawn: effects scale with it. With many seeds and little power the smallest could fall below 0.
    let scaled = |x: f64| (x * plan.sd).max(0.0);
    Ok(DetectableEffects { robust: robust.map(scaled), worse: worse.map(scaled) })
}

/// The spread to plan with: the root of the mean variance over cells of their ln ratios, each over its own seeds. Cells
/// of fewer than two seeds have none and are passed over.
///
/// Worked example: cells (0, 2) and (1, 1): variances 2 and 0, so 1.
///
/// ```
/// # use dal_eval::pooled_spread;
/// assert_eq!(pooled_spread([&[0.0, 2.0][..], &[1.0, 1.0]])?, 1.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] where no cell has two seeds, [`EvalError::NonFinite`].
pub fn pooled_spread<'a>(cells: impl IntoIterator<Item = &'a [f64]>) -> Result<f64, EvalError> {
    let variances = cells.into_iter().filter(|cell| cell.len() >= 2).map(|cell| Ok(mean_and_variance(cell)?.1));
    let variances = variances.collect::<Result<Vec<f64>, EvalError>>()?;
    if variances.is_empty() {
        return Err(EvalError::TooFew { what: "cells of at least two seeds", needed: 1, got: 0 });
    }
    Ok((variances.iter().sum::<f64>() / variances.len() as f64).sqrt())
}

/// The largest W⁺ over n seeds without ties whose one-sided p is at most `level`; `None` where not even 0 is.
fn largest_rank_sum(n: usize, level: f64) -> Result<Option<usize>, EvalError> {
    // The ranks that make W⁺ = w, as differences ±1..±n: take the largest that still fit.
    let p_of = |w: usize| -> Result<f64, EvalError> {
        let mut left = w;
        let mut differences: Vec<f64> = Vec::with_capacity(n);
        for rank in (1..=n).rev() {
            let positive = rank <= left;
            left -= if positive { rank } else { 0 };
            differences.push(if positive { rank as f64 } else { -(rank as f64) });
        }
        Ok(wilcoxon_signed_rank(&differences, Alternative::Less)?.p)
    };
    let (mut low, mut high) = (0, n * (n + 1) / 2);
    if p_of(0)? > level {
        return Ok(None);
    }
    // p(low) ≤ level < p(high) = 1 throughout.
    while high - low > 1 {
        let middle = low.midpoint(high);
        if p_of(middle)? <= level { low = middle } else { high = middle }
    }
    Ok(Some(low))
}

/// The effect from which on one simulated method is robust.
fn decided_robust(noise: &mut Noise, n_seeds: usize, n_cells: usize, w: usize) -> f64 {
    let mut walsh = Vec::with_capacity(n_seeds * (n_seeds + 1) / 2);
    let mut needed = f64::NEG_INFINITY;
    for _ in 0..n_cells {
        let e: Vec<f64> = (0..n_seeds).map(|_| noise.draw()).collect();
        walsh.clear();
        for i in 0..n_seeds {
            walsh.extend((i..n_seeds).map(|j| 0.5 * (e[i] + e[j])));
        }
        // p(w) ≤ level < 1: w is below the sum of all ranks, of which there are as many as Walsh averages.
        let (_, found, _) = walsh.select_nth_unstable_by(w, |a, b| b.total_cmp(a));
        needed = needed.max(*found);
    }
    needed
}

/// The score that one more cell has to reach in a simulated sweep without any effect, for its p among all cells to be
/// at most `half_level`; √n where none is enough.
fn bar_of_max_t(noise: &mut Noise, plan: &SweepPlan, half_level: f64) -> f64 {
    let n = plan.n_seeds;
    let (cells, patterns) = (plan.n_methods * plan.n_pool_ratios, 1_usize << n.min(MOST_LISTED));
    // By problem the largest score of its cells under each sign pattern, ascending. One of the first problem's stands
    // for the cell that is looked for, which under other patterns than its own is hardly better than they.
    let largest: Vec<Vec<f64>> = (0..plan.n_problems)
        .map(|_| {
            let scores: Vec<Vec<f64>> = (0..cells)
                .map(|_| {
                    let e: Vec<f64> = (0..n).map(|_| noise.draw()).collect();
                    let norm = e.iter().map(|v| v * v).sum::<f64>().sqrt();
                    e.iter().map(|v| v / norm).collect()
                })
                .collect();
            let mut largest: Vec<f64> = (0..patterns)
                .map(|pattern| {
                    let signs: Vec<f64> = if n <= MOST_LISTED {
                        (0..n).map(|s| if pattern >> s & 1 == 1 { -1.0 } else { 1.0 }).collect()
                    } else {
                        (0..n).map(|_| noise.sign()).collect()
                    };
                    let score = |cell: &Vec<f64>| cell.iter().zip(&signs).map(|(v, s)| v * s).sum::<f64>();
                    scores.iter().map(score).fold(f64::NEG_INFINITY, f64::max)
                })
                .collect();
            largest.sort_unstable_by(f64::total_cmp);
            largest
        })
        .collect();
    // Its own pattern reaches its score, whatever the others do.
    let own = 0.5_f64.powi(n as i32);
    let p = |bar: f64| {
        let share = |scores: &Vec<f64>| (patterns - scores.partition_point(|s| *s < bar)) as f64 / patterns as f64;
        let least = |problem: usize| if problem == 0 { own } else { 0.0 };
        let none = |(problem, scores): (usize, &Vec<f64>)| 1.0 - share(scores).max(least(problem));
        1.0 - largest.iter().enumerate().map(none).product::<f64>()
    };
    let (mut low, mut high) = (0.0, (n as f64).sqrt());
    // p falls as the bar rises; at √n, which no finite effect reaches, only the cell's own pattern is left.
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if p(middle) <= half_level { high = middle } else { low = middle }
    }
    high
}

/// The effect from which on one simulated cell reaches a score; infinite where none does.
fn decided_worse(noise: &mut Noise, n_seeds: usize, bar: f64) -> f64 {
    let e: Vec<f64> = (0..n_seeds).map(|_| noise.draw()).collect();
    let n = n_seeds as f64;
    let mean = e.iter().sum::<f64>() / n;
    let sd = (e.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let rest = n - bar * bar;
    if rest <= 1e-9 * n { f64::INFINITY } else { bar * sd / rest.sqrt() - mean }
}

/// The q-quantile of n draws, taken as the smallest draw that at least that share does not exceed.
fn quantile_of(n: usize, q: f64, mut draw: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..n).map(|_| draw()).collect();
    let position = ((q * n as f64).ceil() as usize).clamp(1, n) - 1;
    *values.select_nth_unstable_by(position, f64::total_cmp).1
}

/// Standard normal numbers from a stream named by a seed.
struct Noise {
    rng: ChaCha8Rng,
    normal: Normal,
}

impl Noise {
    fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), normal: Normal::standard() }
    }

    fn sign(&mut self) -> f64 {
        if self.rng.next_u64() >> 63 == 1 { -1.0 } else { 1.0 }
    }

    fn draw(&mut self) -> f64 {
        let uniform = ((self.rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        self.normal.inverse_cdf(uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: SweepPlan = SweepPlan {
        n_seeds: 10,
        sd: 1.0,
        n_methods: 11,
        n_problems: 3,
        n_pool_ratios: 2,
        level: 0.05,
        power: 0.8,
        seed: 1,
    };

    #[test]
    fn critical_rank_sums_are_the_tables() {
        // Critical values of Wilcoxon's table, one-sided 0.025: n = 6: 0, 8: 3, 10: 8, 20: 52.
        for (n, due) in [(5, None), (6, Some(0)), (8, Some(3)), (10, Some(8)), (20, Some(52))] {
            assert_eq!(largest_rank_sum(n, 0.025).unwrap(), due, "{n}");
        }
        assert_eq!(largest_rank_sum(10, 0.025 / 11.0).unwrap(), Some(1));
        // At the level exactly, and at one that nearly every sum passes: 15 of the 16 of four ranks.
        assert_eq!(largest_rank_sum(5, 1.0 / 32.0).unwrap(), Some(0));
        assert_eq!(largest_rank_sum(4, 0.95).unwrap(), Some(9));
    }

    #[test]
    fn quantiles_are_draws() {
        let mut draws = [3.0, 1.0, 5.0, 2.0, 4.0].into_iter();
        assert_eq!(quantile_of(5, 0.8, || draws.next().unwrap()), 4.0);
    }

    #[test]
    fn spreads_are_pooled_over_cells_that_have_one() {
        assert_eq!(pooled_spread([&[0.0, 2.0][..], &[1.0, 1.0], &[7.0]]).unwrap(), 1.0);
    }

    /// The figure against the test itself: shifted by the answer, max-T finds one cell in four of five experiments, in
    /// small families as in large ones, with few seeds as with many.
    #[test]
    fn single_cells_are_found_as_it_says() {
        let families = [(6, 11, 3, 2), (8, 11, 3, 2), (10, 11, 3, 2), (12, 11, 3, 2)];
        let small = [(10, 1, 1, 1), (10, 2, 1, 1), (10, 1, 3, 1), (12, 2, 1, 2), (7, 1, 1, 1)];
        for (n_seeds, n_methods, n_problems, n_pool_ratios) in families.into_iter().chain(small) {
            let plan = SweepPlan { n_seeds, n_methods, n_problems, n_pool_ratios, ..PLAN };
            let x = detectable_effects(&plan).unwrap().worse.unwrap();
            let mut noise = Noise::new(98);
            let n = 300;
            let found = (0..n).filter(|_| {
                let mut cell = |shift: f64| (0..n_seeds).map(|_| noise.draw() + shift).collect::<Vec<f64>>();
                let mut block = || (0..n_methods * n_pool_ratios).map(|_| cell(0.0)).collect::<Vec<_>>();
                let mut blocks: Vec<_> = (0..n_problems).map(|_| block()).collect();
                blocks[0][0] = cell(x);
                crate::max_t(&blocks, 5).unwrap()[0][0].p_greater <= 0.025
            });
            let found = found.count() as f64 / f64::from(n);
            // Four standard errors of a share of 0.8 over 300 experiments.
            assert!((found - 0.8).abs() < 4.0 * (0.16_f64 / 300.0).sqrt(), "{plan:?}: {found}");
        }
    }

    /// The figure against the test itself: shifted by the answer, four of five experiments reject.
    #[test]
    fn wilcoxon_finds_what_it_says() {
        let x = detectable_effects(&PLAN).unwrap().robust.unwrap();
        let mut noise = Noise::new(99);
        let n = 1_000;
        let robust = (0..n)
            .filter(|_| {
                (0..6).all(|_| {
                    let d: Vec<f64> = (0..10).map(|_| noise.draw() - x).collect();
                    wilcoxon_signed_rank(&d, Alternative::Less).unwrap().p <= 0.025 / 11.0
                })
            })
            .count() as f64
            / f64::from(n);
        // Three standard errors of a share of 0.8 over 1 000 experiments, and of the quantile over 4 000.
        assert!((robust - 0.8).abs() < 3.0 * (0.16_f64 / 1_000.0 + 0.16 / 4_000.0).sqrt(), "{robust}");
    }

    #[test]
    fn more_seeds_decide_smaller_effects_and_more_methods_larger_ones() {
        let of = |plan: SweepPlan| {
            let found = detectable_effects(&plan).unwrap();
            (found.robust.unwrap(), found.worse.unwrap())
        };
        let (robust, worse) = of(PLAN);
        let more = of(SweepPlan { n_seeds: 20, ..PLAN });
        assert!(more.0 < robust && more.1 < worse);
        let fewer = of(SweepPlan { n_methods: 1, ..PLAN });
        assert!(fewer.0 < robust && fewer.1 < worse);
        let halved = of(SweepPlan { sd: 0.5, ..PLAN });
        assert!((halved.0 / robust - 0.5).abs() < 1e-12 && (halved.1 / worse - 0.5).abs() < 1e-12);
        assert_eq!(of(PLAN), of(PLAN));
        let none = detectable_effects(&SweepPlan { n_seeds: 5, ..PLAN }).unwrap();
        assert_eq!((none.robust, none.worse), (None, None));
    }

    #[test]
    fn bad_plans_are_typed() {
        let of = |plan: SweepPlan| detectable_effects(&plan);
        assert!(matches!(of(SweepPlan { n_seeds: 0, ..PLAN }), Err(EvalError::TooFew { .. })));
        assert!(matches!(of(SweepPlan { n_methods: 0, ..PLAN }), Err(EvalError::TooFew { .. })));
        assert!(matches!(of(SweepPlan { n_seeds: 101, ..PLAN }), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(of(SweepPlan { sd: -1.0, ..PLAN }), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(of(SweepPlan { power: 1.0, ..PLAN }), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(of(SweepPlan { level: 0.0, ..PLAN }), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(pooled_spread([&[1.0][..]]), Err(EvalError::TooFew { .. })));
    }
}
