//! All methods judged together: over the problems that Random learns, at the planned looks, with what the seeds can
//! decide.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    CellFinding, CellOutcomes, CellVerdict, DetectableEffects, EvalError, Hesitation, Judgement, Look, Looks,
    MOST_PLANNED_SEEDS, MethodCells, Robustness, SeedOutcome, Standing, SweepPlan, Verdict, VerdictRules,
    detectable_effects, judge, pooled_spread,
};

/// How the methods of a part were judged together.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Methods judged.
    pub n_methods: usize,
    /// Of them those in the family of the verdicts: at a look those that were given seeds for it.
    pub n_of_look: usize,
    /// The fewest planned seeds of any cell in that family.
    pub fewest_seeds: usize,
    /// Problems that verdicts and rankings rest on.
    pub n_problems: usize,
    /// Cells in the max-T family.
    pub n_tested: usize,
    /// Complete cells outside it, because their seeds are too few for any outcome to be significant.
    pub n_too_few: usize,
    /// The largest Monte-Carlo standard error of an adjusted p.
    pub monte_carlo_error: f64,
    /// Where the sweep stands between its planned looks; `None` where none were planned.
    pub standing: Option<Standing>,
    /// Methods that were given no seeds for the last look passed, by the look that their verdicts are of.
    pub earlier: Vec<(Look, Vec<String>)>,
    /// Whether the sweeps behind the runs plan different looks; then there are no verdicts.
    pub plans_differ: bool,
    /// Of sweeps without looks: how many seeds these runs were planned with, where several plans of them differ.
    pub replanned: Vec<usize>,
    /// The level of the verdicts: that of the look they are of, or of the next one.
    pub level: f64,
    /// What the seeds at hand can decide; `None` where no cell has two seeds.
    pub deciding: Option<Deciding>,
}

/// What a number of seeds can decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Deciding {
    /// Paired seeds of every cell.
    pub seeds: usize,
    /// Problem by problem, the spread over seeds of a cell's ln ratio, pooled over the problem's cells.
    pub spreads: Vec<(String, f64)>,
    /// The effects that are found with the power, in units of the spread of the problem that a cell is of: ratios are
    /// exp(∓ effect · spread).
    pub effects: DetectableEffects,
}

impl Deciding {
    /// The chance to find the effects.
    pub const POWER: f64 = 0.8;
}

/// One method's cells with their outcomes, by index of problem and pool ratio.
pub(super) type Outcomes = Vec<Vec<Option<Vec<SeedOutcome>>>>;

/// What is judged.
pub(super) struct Bench<'a> {
    pub(super) methods: &'a [(String, Outcomes)],
    /// Name of each problem, and whether it takes part in rankings.
    pub(super) problems: &'a [(String, bool)],
    pub(super) pool_ratios: &'a [usize],
    pub(super) rules: &'a VerdictRules,
    pub(super) standing: Option<Standing>,
    /// Whether the sweeps behind the runs plan different looks.
    pub(super) plans_differ: bool,
    /// Numbers of seeds of several plans of the same runs.
    pub(super) replanned: &'a [usize],
    /// The planned looks that were passed, the last one last.
    pub(super) looks: &'a [Look],
    /// Of each problem its seeds, ascending.
    pub(super) seeds: &'a [Vec<u64>],
}

/// Findings of every cell, and of every method over the cells that count.
pub(super) struct Found {
    pub(super) robustness: Vec<Option<Robustness>>,
    /// By method, problem and pool ratio.
    pub(super) cells: Vec<Vec<Vec<Option<CellFinding>>>>,
    pub(super) judged: Option<Judged>,
}

impl Bench<'_> {
    /// Cells of the methods on ranked problems (or on the others) at the first seeds of each problem, with the methods'
    /// indices; cells and methods without any are left out.
    fn panel(&self, ranked: bool, n_seeds: usize) -> (Vec<usize>, Vec<MethodCells>) {
        let of_method = |(m, (id, outcomes)): (usize, &(String, Outcomes))| {
            let mut cells = Vec::new();
            for (((problem, is_ranked), seeds), row) in self.problems.iter().zip(self.seeds).zip(outcomes) {
                let first = &seeds[..n_seeds.min(seeds.len())];
                for (pool_ratio, outcomes) in self.pool_ratios.iter().zip(row) {
                    let Some(outcomes) = outcomes.as_ref().filter(|_| *is_ranked == ranked) else { continue };
                    let chosen = outcomes.iter().filter(|o| first.contains(&o.seed));
                    let outcomes: Vec<SeedOutcome> = chosen.cloned().collect();
                    if !outcomes.is_empty() {
                        cells.push(CellOutcomes { problem: problem.clone(), pool_ratio: *pool_ratio, outcomes });
                    }
                }
            }
            (!cells.is_empty()).then(|| (m, MethodCells { method: id.clone(), cells }))
        };
        self.methods.iter().enumerate().filter_map(of_method).unzip()
    }

    pub(super) fn judge(&self) -> Result<Found, EvalError> {
        let (ids, panel) = self.panel(true, usize::MAX);
        let mut judgement = if panel.is_empty() { None } else { Some(judge(&panel, self.rules)?) };
        let mut family = Family::of(&ids, &panel, None);
        if let Some(judgement) = &mut judgement {
            match self.standing {
                _ if self.plans_differ => {
                    judgement.methods.iter_mut().for_each(|method| without_verdict(method, Hesitation::PlansDiffer));
                }
                None => {}
                Some(standing) => match standing.verdicts() {
                    None => judgement.methods.iter_mut().for_each(|method| without_verdict(method, Hesitation::NoLook)),
                    Some(_) => family = self.at_looks(judgement, &ids)?,
                },
            }
        }
        let mut cells: BTreeMap<(usize, String, usize), CellFinding> = BTreeMap::new();
        let mut keep = |ids: &[usize], methods: &[Robustness]| {
            for (m, method) in ids.iter().zip(methods) {
                for cell in &method.cells {
                    cells.insert((*m, cell.problem.clone(), cell.pool_ratio), cell.clone());
                }
            }
        };
        let (others, unranked) = self.panel(false, usize::MAX);
        if !unranked.is_empty() {
            let mut estimates = judge(&unranked, self.rules)?;
            estimates.methods.iter_mut().for_each(|method| without_verdict(method, Hesitation::NoLook));
            keep(&others, &estimates.methods);
        }
        let mut robustness: Vec<Option<Robustness>> = vec![None; self.methods.len()];
        let mut judged = None;
        if let Some(judgement) = judgement {
            keep(&ids, &judgement.methods);
            let planned = self.standing.map(|standing| standing.look().level);
            let level = family.look.map(|look| look.level).or(planned).unwrap_or(self.rules.level);
            // Of the methods that the look is of, at its seeds.
            let most = family.look.map_or(usize::MAX, |look| look.seeds);
            let level_of_look = VerdictRules { level, ..*self.rules };
            let of_family = ids.iter().zip(&panel).filter(|(m, _)| family.ids.contains(m));
            let of_family: Vec<MethodCells> = of_family.map(|(_, cells)| cells.clone()).collect();
            judged = Some(Judged {
                n_methods: ids.len(),
                n_of_look: family.ids.len(),
                fewest_seeds: family.fewest_seeds,
                n_problems: panel.iter().flat_map(|m| &m.cells).map(|c| &c.problem).collect::<BTreeSet<_>>().len(),
                n_tested: judgement.n_tested,
                n_too_few: judgement.n_too_few,
                monte_carlo_error: judgement.monte_carlo_error,
                standing: self.standing,
                earlier: family.earlier,
                plans_differ: self.plans_differ,
                replanned: self.replanned.to_vec(),
                level,
                deciding: deciding(&of_family, most, &level_of_look)?,
            });
            for (m, method) in ids.into_iter().zip(judgement.methods) {
                robustness[m] = Some(method);
            }
        }
        let of_method = |m: usize| {
            let of_problem = |(problem, _): &(String, bool)| {
                self.pool_ratios.iter().map(|g| cells.get(&(m, problem.clone(), *g)).cloned()).collect()
            };
            self.problems.iter().map(of_problem).collect()
        };
        let cells = (0..self.methods.len()).map(of_method).collect();
        Ok(Found { robustness, cells, judged })
    }

    /// The place of the last passed look at which a method has seeds that the look before does not have: what was not
    /// given more seeds for a later look keeps the verdicts of the one that it was planned for.
    fn last_look(&self, method: usize) -> usize {
        let (_, outcomes) = &self.methods[method];
        let is_new = |at: usize| {
            let (from, to) = (self.looks[at - 1].seeds, self.looks[at].seeds);
            // A problem that is left out of rankings is judged at no look.
            let ranked = self.problems.iter().zip(self.seeds).zip(outcomes).filter(|((problem, _), _)| problem.1);
            ranked.into_iter().any(|((_, seeds), row)| {
                let new = &seeds[from.min(seeds.len())..to.min(seeds.len())];
                row.iter().flatten().flatten().any(|outcome| new.contains(&outcome.seed))
            })
        };
        (1..self.looks.len()).rev().find(|at| is_new(*at)).unwrap_or(0)
    }

    /// Verdicts of the looks, on their own seeds and at their own level; values and intervals stay those of all seeds.
    /// The family of the last one.
    fn at_looks(&self, judgement: &mut Judgement, ids: &[usize]) -> Result<Family, EvalError> {
        let last: Vec<usize> = ids.iter().map(|m| self.last_look(*m)).collect();
        let mut family = Family::default();
        // Random alone may have seeds for the last look passed.
        let latest = last.iter().copied().max().unwrap_or(0);
        for (at, look) in self.looks.iter().enumerate().take(latest + 1) {
            let due: Vec<usize> = (0..ids.len()).filter(|i| last[*i] == at).collect();
            let is_last = at == latest;
            if due.is_empty() {
                continue;
            }
            if at + 1 < self.looks.len() {
                family.earlier.push((*look, due.iter().map(|i| self.methods[ids[*i]].0.clone()).collect()));
            }
            // A look tests those that were given seeds for it.
            let (then, panel) = self.panel(true, look.seeds);
            let of_look = then.into_iter().zip(panel).filter(|(m, _)| self.last_look(*m) >= at);
            let (then, panel): (Vec<usize>, Vec<MethodCells>) = of_look.unzip();
            let rules = VerdictRules { level: look.level, ..*self.rules };
            let decided = if panel.is_empty() { None } else { Some(judge(&panel, &rules)?) };
            if let Some(of_look) = decided.as_ref().filter(|_| is_last) {
                // The family of the verdicts, not that of all seeds.
                (judgement.n_tested, judgement.n_too_few) = (of_look.n_tested, of_look.n_too_few);
                judgement.monte_carlo_error = of_look.monte_carlo_error;
            }
            if is_last {
                family = Family { earlier: family.earlier, ..Family::of(&then, &panel, Some(*look)) };
            }
            let decided = decided.map_or_else(Vec::new, |of_look| of_look.methods);
            for i in due {
                let method = &mut judgement.methods[i];
                match then.iter().position(|t| *t == ids[i]).and_then(|at| decided.get(at)) {
                    Some(of_look) => take_verdicts(method, of_look),
                    None => without_verdict(method, Hesitation::NoLook),
                }
            }
        }
        Ok(family)
    }
}

/// What verdicts are made over.
#[derive(Default)]
struct Family {
    /// Its methods, by index.
    ids: Vec<usize>,
    fewest_seeds: usize,
    /// The look that it is of, where one was passed.
    look: Option<Look>,
    /// Methods whose verdicts are of an earlier look, by that look.
    earlier: Vec<(Look, Vec<String>)>,
}

impl Family {
    fn of(ids: &[usize], panel: &[MethodCells], look: Option<Look>) -> Self {
        let seeds = panel.iter().flat_map(|method| &method.cells).map(|cell| cell.outcomes.len());
        Self { ids: ids.to_vec(), fewest_seeds: seeds.min().unwrap_or(0), look, earlier: Vec::new() }
    }
}

/// The verdicts of a look, which may not know every cell: a method with one that it does not know is not robust by it.
fn take_verdicts(method: &mut Robustness, of_look: &Robustness) {
    method.verdict = of_look.verdict;
    (method.p_robust, method.p_robust_holm) = (of_look.p_robust, of_look.p_robust_holm);
    let mut n_unknown = 0;
    for cell in &mut method.cells {
        let same = |c: &&CellFinding| c.problem == cell.problem && c.pool_ratio == cell.pool_ratio;
        match of_look.cells.iter().find(same) {
            Some(c) => {
                (cell.verdict, cell.seeds_to_find) = (c.verdict, c.seeds_to_find);
                (cell.p_better_adjusted, cell.p_worse_adjusted) = (c.p_better_adjusted, c.p_worse_adjusted);
                // A cell's own tests likewise: made anew with every seed that comes in they have no level.
                (cell.p_better, cell.p_wilcoxon, cell.p_sign_flip) = (c.p_better, c.p_wilcoxon, c.p_sign_flip);
            }
            None => {
                n_unknown += 1;
                no_verdict(cell);
            }
        }
    }
    if n_unknown > 0 {
        (method.p_robust, method.p_robust_holm) = (None, None);
        if method.verdict != Verdict::NotRobust {
            method.verdict = Verdict::Undecided(Hesitation::MissingCells { n: n_unknown });
        }
    }
}

/// Estimates and intervals without verdicts.
fn without_verdict(method: &mut Robustness, why: Hesitation) {
    method.verdict = Verdict::Undecided(why);
    (method.p_robust, method.p_robust_holm) = (None, None);
    method.cells.iter_mut().for_each(no_verdict);
}

fn no_verdict(cell: &mut CellFinding) {
    cell.verdict = CellVerdict::NoVerdict;
    (cell.p_better_adjusted, cell.p_worse_adjusted, cell.seeds_to_find) = (None, None, None);
    // Tests of single cells as well: looked at before their time they are what planned looks are there to prevent.
    (cell.p_better, cell.p_wilcoxon, cell.p_sign_flip) = (None, None, None);
}

/// What the fewest seeds of any complete cell, or as many as a look has, can decide, given the spread that cells have.
fn deciding(panel: &[MethodCells], most: usize, rules: &VerdictRules) -> Result<Option<Deciding>, EvalError> {
    let logs = |cell: &CellOutcomes| -> Option<Vec<f64>> {
        cell.outcomes.iter().map(|o| o.outcome.as_ref().ok().map(|r| r.ln())).collect()
    };
    let cells = panel.iter().flat_map(|m| &m.cells);
    let complete: Vec<(&str, Vec<f64>)> = cells.filter_map(|c| Some((c.problem.as_str(), logs(c)?))).collect();
    let seeds = complete.iter().map(|(_, logs)| logs.len()).min().unwrap_or(0).min(most);
    if !(2..=MOST_PLANNED_SEEDS).contains(&seeds) {
        return Ok(None);
    }
    let mut problems: Vec<&str> = Vec::new();
    for cell in panel.iter().flat_map(|m| &m.cells) {
        if !problems.contains(&cell.problem.as_str()) {
            problems.push(&cell.problem);
        }
    }
    let mut spreads = Vec::new();
    for problem in &problems {
        let of_problem = complete.iter().filter(|(of, _)| of == problem).map(|(_, logs)| logs.as_slice());
        // A problem may have no complete cell yet.
        if let Ok(sd) = pooled_spread(of_problem) {
            spreads.push((problem.to_string(), sd));
        }
    }
    let ratios: BTreeSet<usize> = panel.iter().flat_map(|m| &m.cells).map(|c| c.pool_ratio).collect();
    let plan = SweepPlan {
        n_seeds: seeds,
        sd: 1.0,
        n_methods: panel.len(),
        n_problems: problems.len(),
        n_pool_ratios: ratios.len(),
        level: rules.level,
        power: Deciding::POWER,
        seed: rules.flip_seed,
    };
    Ok(Some(Deciding { seeds, spreads, effects: detectable_effects(&plan)? }))
}

/// Where a sweep with planned looks stands: at so many of its first seeds as are over in every run, finished or failed.
/// Of each problem how many are, and how many it has: one that is wholly over waits for no further seed.
pub(super) fn standing(looks: &Looks, over: &[(usize, usize)]) -> Standing {
    let open = over.iter().filter(|(n_over, n)| n_over < n).map(|(n_over, _)| *n_over).min();
    looks.standing(open.unwrap_or_else(|| over.iter().map(|(_, n)| *n).max().unwrap_or(0)))
}
