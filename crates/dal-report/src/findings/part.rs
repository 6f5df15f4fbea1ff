//! One part of the findings: its problems, methods and cells, and how the methods stand against each other.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    CurveSpan, EvalError, Learnability, Look, Looks, PoolRatioTransfer, RankTable, SeedOutcome, Standing, Tally,
    VerdictRules, area_share, area_under_curve, holm_over_methods, paired_ratios, pool_ratio_transfer,
    predecessor_target, rank_methods, win_tie_loss,
};

use super::cell::{Baseline, CellRuns, Unjudged, cell_without_tests};
use super::curves::{curves, final_errors};
use super::judged::{Bench, Outcomes, standing};
use super::labels::failed_labels;
use super::learning::{Learning, now};
use super::runs::{BySeed, area, finished, of_seeds, time, training_time, values_of};
use super::version;
use super::{CellDetail, Counts, Curves, Method, Part, Problem};
use crate::data::{
    BASELINE, FIXED_LIST, Model, ReportData, RunStatus, RunSummary, Setting, Sweep, method_styles,
    stands_for_every_ratio,
};

/// What every part is computed with.
pub(super) struct Context<'a> {
    pub(super) data: &'a ReportData,
    /// Problems whose errors are pooled ones.
    pub(super) pooled: &'a BTreeSet<(&'a str, &'a str)>,
    pub(super) rules: &'a VerdictRules,
    pub(super) span: CurveSpan,
}

/// Where a part stands between planned looks.
struct Planned {
    looks: Option<Looks>,
    standing: Option<Standing>,
    /// Whether the sweeps behind the runs plan different looks.
    differ: bool,
    /// Numbers of seeds of several plans of the same runs.
    replanned: Vec<usize>,
}

impl Planned {
    fn of(
        problems: &BTreeMap<&str, ProblemRuns<'_>>,
        runs: &[&RunSummary],
        context: &Context<'_>,
    ) -> Result<Self, EvalError> {
        let (looks, differ) = looks(runs, context)?;
        let over: Vec<(usize, usize)> = problems.values().map(|of| (of.n_over, of.seeds.len())).collect();
        let standing = looks.as_ref().map(|looks| standing(looks, &over));
        let sweeps = sweeps_behind(runs, context);
        let replanned: BTreeSet<usize> = sweeps.iter().flat_map(|sweep| sweep.replanned.iter().copied()).collect();
        Ok(Self { looks, standing, differ, replanned: replanned.into_iter().collect() })
    }

    /// The looks that were passed, the last one last.
    fn passed(&self) -> Vec<Look> {
        let last = self.standing.and_then(|standing| standing.verdicts());
        let looks = self.looks.iter().flat_map(|looks| looks.looks()).copied();
        looks.filter(|look| last.is_some_and(|last| look.seeds <= last.seeds)).collect()
    }

    /// Whether verdicts rest on this one of a problem's seeds (ascending): on all of them, or on the first ones, as
    /// many as a look has.
    fn counts(&self, seeds: &[u64], seed: u64) -> bool {
        let look = self.standing.and_then(|standing| standing.verdicts());
        look.is_none_or(|look| seeds.iter().take(look.seeds).any(|of_look| *of_look == seed))
    }

    /// Of the seeds planned for a cell (or for Random) those that its figures are of. In a sweep with looks estimates
    /// need not wait for the last seed: while runs of the problem are open, its first seeds that are over in every run
    /// count, for all methods alike. Else one that is missing leaves the cell without a value.
    fn at_hand(&self, of: &ProblemRuns<'_>, planned: Vec<u64>) -> Vec<u64> {
        if self.looks.is_none() || of.n_over == 0 {
            return planned;
        }
        let over = &of.seeds[..of.n_over];
        planned.into_iter().filter(|seed| over.contains(seed)).collect()
    }

    /// Whether tests may be made: not before a look's seeds are over, and not where plans contradict each other.
    fn is_due(&self) -> bool {
        !self.differ && self.standing.is_none_or(|standing| standing.verdicts().is_some())
    }
}

/// The runs of one problem.
#[derive(Default)]
struct ProblemRuns<'a> {
    runs: Vec<&'a RunSummary>,
    /// Seeds of any run, ascending.
    seeds: Vec<u64>,
    /// How many of the first seeds are over in every run.
    n_over: usize,
    /// Seeds by sweep.
    by_sweep: BTreeMap<&'a str, BTreeSet<u64>>,
}

impl<'a> ProblemRuns<'a> {
    fn settle(&mut self) {
        self.seeds = self.runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>().into_iter().collect();
        let open: BTreeSet<u64> = self.runs.iter().filter(|run| is_open(run)).map(|run| run.seed).collect();
        self.n_over = self.seeds.iter().take_while(|seed| !open.contains(seed)).count();
        for run in &self.runs {
            self.by_sweep.entry(run.sweep.as_str()).or_default().insert(run.seed);
        }
    }

    /// The seeds that were planned for these runs: all those of the sweeps that they belong to. A later sweep that gave
    /// other methods more seeds leaves none of theirs missing.
    fn planned(&self, runs: &BySeed<'_>) -> Vec<u64> {
        let sweeps: BTreeSet<&str> = runs.values().map(|run| run.sweep.as_str()).collect();
        let seeds = sweeps.into_iter().filter_map(|sweep| self.by_sweep.get(sweep)).flatten();
        seeds.copied().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Whether a run is still to come, or to be made again.
fn is_open(run: &RunSummary) -> bool {
    !matches!(run.status, RunStatus::Done | RunStatus::Failed { .. })
}

/// Pool ratio under which a run is shown.
fn ratio_of(run: &RunSummary) -> usize {
    run.pool_ratio.unwrap_or(FIXED_LIST)
}

/// Names of the problems of runs: the id, numbered where one id stands for several versions of a user's problem, or was
/// trained with several models.
fn problem_names<'a>(runs: &[&'a RunSummary]) -> BTreeMap<(&'a str, &'a Model), String> {
    let mut by_id: BTreeMap<&str, BTreeMap<&str, BTreeSet<&Model>>> = BTreeMap::new();
    for run in runs {
        by_id.entry(&run.problem).or_default().entry(&run.model.problem_digest).or_default().insert(&run.model);
    }
    let mut names = BTreeMap::new();
    for (problem, versions) in by_id {
        for (v, models) in versions.values().enumerate() {
            for (m, model) in models.iter().enumerate() {
                let name = match (versions.len(), models.len()) {
                    (1, 1) => problem.to_owned(),
                    (_, 1) => format!("{problem} (version {})", v + 1),
                    (1, _) => format!("{problem} (model {})", m + 1),
                    _ => format!("{problem} (version {}, model {})", v + 1, m + 1),
                };
                names.insert((problem, *model), name);
            }
        }
    }
    names
}

/// The runs of a rule that the pool does not matter to, at whatever ratio they were made.
fn runs_of_design<'c, 'a>(
    cells: &'c BTreeMap<(String, String, usize), BySeed<'a>>,
    problem: &str,
    method: &str,
) -> Option<&'c BySeed<'a>> {
    cells.iter().find(|((of, id, _), _)| of == problem && id == method).map(|(_, runs)| runs)
}

/// Whether rules that the pool does not matter to stand at this ratio on this problem: where some other method was
/// planned; anywhere if none was at any ratio.
fn is_planned(cells: &BTreeMap<(String, String, usize), BySeed<'_>>, problem: &str, ratio: usize) -> bool {
    let mut of_pool = cells.keys().filter(|(of, id, _)| of == problem && !stands_for_every_ratio(id)).peekable();
    of_pool.peek().is_none() || of_pool.any(|(_, _, planned)| *planned == ratio)
}

pub(super) fn part(setting: &Setting, runs: &[&RunSummary], context: &Context<'_>) -> Result<Part, EvalError> {
    let Context { rules, span, .. } = *context;
    let names = problem_names(runs);
    let name_of = |run: &RunSummary| names[&(run.problem.as_str(), &run.model)].clone();
    let styles = method_styles(runs.iter().map(|run| run.strategy.as_str()));
    let mut cells: BTreeMap<(String, String, usize), BySeed<'_>> = BTreeMap::new();
    let mut by_problem: BTreeMap<&str, ProblemRuns<'_>> = BTreeMap::new();
    let mut random: BTreeMap<&str, BySeed<'_>> = BTreeMap::new();
    for run in runs {
        let problem = names[&(run.problem.as_str(), &run.model)].as_str();
        by_problem.entry(problem).or_default().runs.push(run);
        // Random chooses from the first candidates whatever γ is, so one run stands for every pool ratio, as that of a
        // design.
        let by_seed = if run.strategy == BASELINE {
            random.entry(problem).or_default()
        } else {
            cells.entry((problem.to_owned(), run.strategy.clone(), ratio_of(run))).or_default()
        };
        // Random and designs may have been run at several ratios: of a seed the run that is further.
        let there = by_seed.entry(run.seed).or_insert(run);
        if run.further() > there.further() {
            *there = run;
        }
    }
    by_problem.values_mut().for_each(ProblemRuns::settle);
    let planned = Planned::of(&by_problem, runs, context)?;
    let none = BySeed::new();
    let problems: Vec<Problem> = by_problem
        .iter()
        .map(|(id, runs)| problem(id, runs, random.get(id).unwrap_or(&none), &planned, context))
        .collect();
    let baselines: Vec<Baseline> =
        problems.iter().map(|p| Baseline::of(p, random.get(p.id.as_str()).unwrap_or(&none), span)).collect();
    let targets: Vec<Option<f64>> = problems.iter().map(|p| target(p, &by_problem[p.id.as_str()].runs)).collect();
    let of_pool = cells.keys().filter(|(_, id, _)| !stands_for_every_ratio(id)).map(|(_, _, ratio)| *ratio);
    let mut pool_ratios: Vec<usize> = of_pool.collect::<BTreeSet<_>>().into_iter().collect();
    if pool_ratios.is_empty() {
        pool_ratios = cells.keys().map(|(_, _, ratio)| *ratio).collect::<BTreeSet<_>>().into_iter().collect();
    }
    let mut ids: Vec<&String> = cells.keys().map(|(_, id, _)| id).collect::<BTreeSet<_>>().into_iter().collect();
    ids.sort_by_key(|id| styles[*id]);

    let mut outcomes: Vec<(String, Outcomes)> = Vec::new();
    let mut details: Vec<Vec<Vec<Option<Unjudged>>>> = Vec::new();
    for id in ids {
        let mut of_method = (id.clone(), Vec::new());
        let mut rows = Vec::new();
        for ((problem, baseline), target) in problems.iter().zip(&baselines).zip(&targets) {
            let of_cell = |ratio: &usize| -> Option<(Vec<SeedOutcome>, Unjudged)> {
                let by_seed = match cells.get(&(problem.id.clone(), id.clone(), *ratio)) {
                    None if stands_for_every_ratio(id) && is_planned(&cells, &problem.id, *ratio) => {
                        runs_of_design(&cells, &problem.id, id)?
                    }
                    found => found?,
                };
                let of = &by_problem[problem.id.as_str()];
                let all = of.planned(by_seed);
                let runs = CellRuns { n_planned: all.len(), seeds: planned.at_hand(of, all), by_seed };
                let values = values_of(&runs.seeds, by_seed, problem.protocol.steps + 1, |run| area(run, span));
                let ratios = paired_ratios(&runs.seeds, &values, &baseline.area);
                let cell = cell_without_tests(problem, baseline, &runs, &ratios, *target);
                Some((ratios, cell))
            };
            let found = pool_ratios.iter().map(|ratio| of_cell(ratio).unzip());
            let (ratios, row): (Vec<Option<Vec<SeedOutcome>>>, Vec<Option<Unjudged>>) = found.unzip();
            of_method.1.push(ratios);
            rows.push(row);
        }
        outcomes.push(of_method);
        details.push(rows);
    }
    let standing = planned.standing;
    let bench = Bench {
        methods: &outcomes,
        problems: &problems.iter().map(|p| (p.id.clone(), p.is_ranked())).collect::<Vec<_>>(),
        pool_ratios: &pool_ratios,
        rules,
        standing,
        plans_differ: planned.differ,
        replanned: &planned.replanned,
        looks: &planned.passed(),
        seeds: &problems.iter().map(|p| p.seeds.clone()).collect::<Vec<_>>(),
    };
    let found = bench.judge()?;
    let ranked: Vec<usize> = (0..problems.len()).filter(|p| problems[*p].is_ranked()).collect();
    let judged_cells = details.into_iter().zip(found.cells);
    let mut methods: Vec<Method> = outcomes
        .iter()
        .zip(judged_cells)
        .zip(found.robustness)
        .map(|(((id, _), (rows, of_cells)), robustness)| {
            let with_tests = |(row, of_row): (Vec<Option<Unjudged>>, Vec<Option<dal_eval::CellFinding>>)| {
                row.into_iter().zip(of_row).map(|(cell, found)| Some(cell?(found?))).collect()
            };
            let cells: Vec<Vec<Option<CellDetail>>> = rows.into_iter().zip(of_cells).map(with_tests).collect();
            // Where the pool does not matter no ratio can be chosen.
            let transfer = if stands_for_every_ratio(id) { None } else { transfer(&cells, &ranked, &pool_ratios) };
            Method { style: styles[id], transfer, id: id.clone(), cells, robustness }
        })
        .collect();
    adjust_over_methods(&mut methods, problems.len(), pool_ratios.len())?;

    let mut counts = Counts::default();
    for run in runs {
        match run.status {
            RunStatus::Done => counts.done += 1,
            RunStatus::Failed { .. } => counts.failed += 1,
            RunStatus::Damaged { .. } => counts.damaged += 1,
            RunStatus::Partial => counts.partial += 1,
            RunStatus::Absent => counts.absent += 1,
        }
    }
    let level = standing.map_or(rules.level, |standing| standing.look().level);
    Ok(Part {
        setting: setting.clone(),
        sweeps: runs
            .iter()
            .map(|run| run.sweep.clone())
            .filter(|name| !name.is_empty())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        ranks: (0..pool_ratios.len())
            .map(|g| ranks(&problems, &baselines, &methods, g, &planned, (span, level)))
            .map(|table| table.map(|table| if planned.is_due() { table } else { untested(table) }))
            .collect(),
        tallies: tallies(&methods, &ranked, pool_ratios.len(), rules.margin)?,
        judged: found.judged,
        failed_labels: failed_labels(runs, name_of, |run| {
            let own = own_problem(run, context).map(|own| own.inputs.iter().map(|i| i.name.clone()).collect());
            own.unwrap_or_default()
        }),
        random_style: styles[BASELINE],
        incomplete: runs.iter().filter(|run| run.status != RunStatus::Done).map(|run| (*run).clone()).collect(),
        problems,
        methods,
        pool_ratios,
        counts,
    })
}

/// The sweep that a run belongs to.
fn sweep_of<'a>(run: &RunSummary, context: &Context<'a>) -> Option<&'a Sweep> {
    context.data.sweeps.iter().find(|sweep| sweep.name == run.sweep)
}

/// The sweeps that runs belong to.
fn sweeps_behind<'a>(runs: &[&RunSummary], context: &Context<'a>) -> Vec<&'a Sweep> {
    let names: BTreeSet<&str> = runs.iter().map(|run| run.sweep.as_str()).collect();
    context.data.sweeps.iter().filter(|sweep| names.contains(sweep.name.as_str())).collect()
}

fn own_problem<'a>(run: &RunSummary, context: &Context<'a>) -> Option<&'a dal_store::OwnProblem> {
    sweep_of(run, context)?.own_problems.get(&run.problem)
}

/// The planned looks that the runs share: those of their sweeps; and whether these plan different ones, which leaves
/// nothing planned.
fn looks(runs: &[&RunSummary], context: &Context<'_>) -> Result<(Option<Looks>, bool), EvalError> {
    if runs.iter().any(|run| context.data.planned_twice.contains(&run.name)) {
        return Ok((None, true));
    }
    let mut planned = sweeps_behind(runs, context).into_iter().map(|sweep| &sweep.looks);
    let Some(first) = planned.next() else { return Ok((None, false)) };
    if planned.any(|other| other != first) {
        return Ok((None, true));
    }
    let looks = first.iter().map(|l| Look { seeds: l.seeds, level: l.level }).collect::<Vec<_>>();
    Ok(((!looks.is_empty()).then(|| Looks::new(looks)).transpose()?, false))
}

/// A problem of a part with its runs and those of Random.
fn problem(
    id: &str,
    of: &ProblemRuns<'_>,
    of_random: &BySeed<'_>,
    planned: &Planned,
    context: &Context<'_>,
) -> Problem {
    let ProblemRuns { runs, seeds, .. } = of;
    let first = runs[0];
    let protocol = first.protocol.clone();
    let n_entries = protocol.steps + 1;
    let at_hand = match of_random.is_empty() {
        true => seeds.clone(),
        false => planned.at_hand(of, of.planned(of_random)),
    };
    let curves = curves(&at_hand, of_random, n_entries);
    let pooled = context.pooled.contains(&version(first));
    let variance = if pooled {
        Some(1.0)
    } else {
        runs.iter().find_map(|run| run.test_labels.as_ref()).map(|labels| labels.variance)
    };
    // Verdicts of a look rest on its seeds: later ones do not change which problems count.
    let done = of_random.iter().filter(|(seed, _)| planned.counts(seeds, **seed));
    let done = done.filter_map(|(_, run)| finished(Some(run), n_entries).ok());
    let last: Vec<f64> = done.filter_map(|run| run.entries.last()).map(|entry| entry.mse).collect();
    Problem {
        id: id.to_owned(),
        variant: first.problem.clone(),
        model: first.model.clone(),
        departures: sweep_of(first, context)
            .and_then(|s| s.departures.get(&first.problem))
            .cloned()
            .unwrap_or_default(),
        own: if first.own { Some(own_problem(first, context).cloned().unwrap_or_default()) } else { None },
        pooled,
        variance,
        test_labels: runs.iter().filter_map(|run| Some(run.test_labels.as_ref()?.n)).min(),
        tests_differ: tests_differ(runs),
        learnability: variance.and_then(|variance| Learnability::of(&last, variance).ok()),
        area_shares: area_shares(&curves, protocol.steps),
        now: now(runs, variance),
        random_final: final_errors(&curves, &of_seeds(of_random, &at_hand)),
        random_learning: Learning::of(of_random.values().copied(), variance),
        random: curves,
        random_time: time(of_random),
        training: training_time(runs),
        n_labelled: (0..n_entries).map(|t| labels_behind(t, runs, &protocol)).collect(),
        protocol,
        seeds: seeds.clone(),
    }
}

/// Whether runs were judged on different test labels; tables with few digits are no difference.
fn tests_differ(runs: &[&RunSummary]) -> bool {
    let mut labels = runs.iter().filter_map(|run| run.test_labels.as_ref());
    let Some(first) = labels.next() else { return false };
    labels.any(|other| first.n != other.n || (first.variance - other.variance).abs() > 1e-4 * first.variance.abs())
}

/// Labels behind an entry: of those that runs have, the middle one (the upper of two); what was planned where no run
/// has come so far.
fn labels_behind(entry: usize, runs: &[&RunSummary], protocol: &crate::data::Protocol) -> usize {
    let mut there: Vec<usize> = runs.iter().filter_map(|run| run.entries.get(entry)).map(|e| e.n_labelled).collect();
    there.sort_unstable();
    // Of two in the middle the upper one: a curve stands at labels that a run has.
    there.get(there.len() / 2).copied().unwrap_or(protocol.initial + entry * protocol.queries)
}

/// What entry 0 and the first three make of Random's area, mean over its finished seeds.
fn area_shares(random: &Curves, n_steps: usize) -> Option<(f64, f64)> {
    let done = random.per_seed.iter().filter(|(seed, _)| random.missing.iter().all(|(missing, _)| missing != seed));
    let shares: Option<Vec<(f64, f64)>> = done
        .map(|(_, curve)| Some((area_share(curve, 1, n_steps).ok()?, area_share(curve, 3, n_steps).ok()?)))
        .collect();
    let shares = shares.filter(|shares| !shares.is_empty())?;
    let n = shares.len() as f64;
    Some((shares.iter().map(|s| s.0).sum::<f64>() / n, shares.iter().map(|s| s.1).sum::<f64>() / n))
}

/// The error that the predecessor's count of labels asks for: over all finished runs of the problem.
fn target(problem: &Problem, runs: &[&RunSummary]) -> Option<f64> {
    let curves: Vec<Vec<f64>> = runs
        .iter()
        .filter_map(|run| finished(Some(run), problem.protocol.steps + 1).ok())
        .map(|run| run.entries.iter().map(|entry| entry.mse).collect())
        .collect();
    predecessor_target(curves.iter().map(Vec::as_slice)).ok()
}

/// Transfer over the ranked problems that were planned at every pool ratio, if each of their cells has a value.
fn transfer(
    cells: &[Vec<Option<CellDetail>>],
    ranked: &[usize],
    pool_ratios: &[usize],
) -> Option<(Vec<usize>, PoolRatioTransfer)> {
    // The list of a problem that brings one is no ratio that could be chosen elsewhere.
    let real: Vec<usize> = (0..pool_ratios.len()).filter(|g| pool_ratios[*g] != FIXED_LIST).collect();
    let planned: Vec<usize> = ranked.iter().copied().filter(|p| real.iter().all(|g| cells[*p][*g].is_some())).collect();
    let values: Option<Vec<Vec<f64>>> =
        planned.iter().map(|p| real.iter().map(|g| cells[*p][*g].as_ref()?.n_auc.value).collect()).collect();
    let mut found = pool_ratio_transfer(&values?).ok()?;
    found.chosen.iter_mut().for_each(|g| *g = real[*g]);
    Some((planned, found))
}

/// Holm over the methods of each (problem, γ).
fn adjust_over_methods(methods: &mut [Method], n_problems: usize, n_ratios: usize) -> Result<(), EvalError> {
    for p in 0..n_problems {
        for g in 0..n_ratios {
            let planned: Vec<usize> = (0..methods.len()).filter(|&m| methods[m].cells[p][g].is_some()).collect();
            let raw: Vec<Option<f64>> = planned
                .iter()
                .map(|&m| methods[m].cells[p][g].as_ref().and_then(|cell| cell.n_auc.p_wilcoxon))
                .collect();
            for (&m, adjusted) in planned.iter().zip(holm_over_methods(&raw)?) {
                if let Some(cell) = &mut methods[m].cells[p][g] {
                    cell.p_holm = adjusted;
                }
            }
        }
    }
    Ok(())
}

/// Mean ranks without the test of who cannot be told apart.
fn untested(table: RankTable) -> RankTable {
    RankTable { cliques: Vec::new(), decidable: false, ..table }
}

/// Ranks Random and the methods over (problem, seed) blocks by ln area, those of a look on its own seeds. Problems on
/// which nothing is planned at this pool ratio have no blocks; a method that is not planned where others are leaves
/// blocks incomplete.
fn ranks(
    problems: &[Problem],
    baselines: &[Baseline],
    methods: &[Method],
    ratio: usize,
    planned: &Planned,
    (span, level): (CurveSpan, f64),
) -> Option<RankTable> {
    let mut blocks = Vec::new();
    for (p, (problem, baseline)) in problems.iter().zip(baselines).enumerate() {
        if !problem.is_ranked() || methods.iter().all(|m| m.cells[p][ratio].is_none()) {
            continue;
        }
        for &seed in problem.seeds.iter().filter(|seed| planned.counts(&problem.seeds, **seed)) {
            let of_random = baseline.area.get(&seed).and_then(|v| v.as_ref().ok()).map(|v| v.ln());
            let of_methods = methods.iter().map(|m| {
                let curves = &m.cells[p][ratio].as_ref()?.curves;
                let (_, curve) = curves.per_seed.iter().find(|(s, _)| *s == seed)?;
                if curves.missing.iter().any(|(s, _)| *s == seed) {
                    return None;
                }
                area_under_curve(curve, span, problem.protocol.steps).ok().filter(|a| *a > 0.0).map(f64::ln)
            });
            blocks.push(std::iter::once(of_random).chain(of_methods).collect());
        }
    }
    rank_methods(&blocks, level).ok()
}

fn tallies(methods: &[Method], ranked: &[usize], n_ratios: usize, margin: f64) -> Result<Vec<Vec<Tally>>, EvalError> {
    let mut cells = Vec::new();
    for &p in ranked {
        for g in 0..n_ratios {
            let of_methods = methods.iter().map(|m| m.cells[p][g].as_ref().and_then(|c| c.n_auc.value));
            // Random's nAUC is 1 by definition, wherever it can be computed for some method.
            cells.push(std::iter::once(Some(1.0)).chain(of_methods).collect());
        }
    }
    win_tie_loss(&cells, margin)
}
