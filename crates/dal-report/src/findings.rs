//! From runs to findings: curves, cells, verdicts, ranks and times, per setting. All numbers of the page come from here.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    Cell, CellFinding, CurveSpan, EvalError, LabelsToReach, MethodPanel, Missing, Outcome, PoolRatioTransfer,
    ProblemPanel, RankTable, Robustness, Tally, VerdictRules, area_under_curve, holm_over_methods, labels_to_reach,
    paired_ratios, pool_ratio_transfer, quantile, rank_methods, robustness, win_tie_loss,
};

use crate::data::{BASELINE, ReportData, RunStatus, RunSummary, Setting, method_styles};

/// The pool ratio that stands for a fixed list of candidates.
pub const FIXED_LIST: usize = 0;

/// Findings of a whole report.
#[derive(Debug, Clone)]
pub struct Findings {
    /// One part per setting, never mixed.
    pub parts: Vec<Part>,
    /// The rules behind every verdict.
    pub rules: VerdictRules,
}

/// Findings of the runs that share a setting.
#[derive(Debug, Clone)]
pub struct Part {
    /// What the runs share.
    pub setting: Setting,
    /// Problems, by id.
    pub problems: Vec<Problem>,
    /// Methods other than Random, in the order of their styles.
    pub methods: Vec<Method>,
    /// Style number of Random.
    pub random_style: usize,
    /// Pool ratios γ, ascending; 0 stands for a fixed list.
    pub pool_ratios: Vec<usize>,
    /// Mean ranks at each pool ratio, Random first and then the methods; `None` where no (problem, seed) block is complete.
    pub ranks: Vec<Option<RankTable>>,
    /// Win / tie / loss of Random and the methods against each other over all cells.
    pub tallies: Vec<Vec<Tally>>,
    /// Counts of runs.
    pub counts: Counts,
    /// Runs that have no complete result.
    pub incomplete: Vec<RunSummary>,
}

/// How many runs there are, by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Finished.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Unfinished.
    pub partial: usize,
    /// Planned, not started.
    pub absent: usize,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> usize {
        self.done + self.failed + self.partial + self.absent
    }
}

/// One problem of a part.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Its id.
    pub id: String,
    /// Network and training of its runs, in one line.
    pub model: String,
    /// Seeds that any run of it has, ascending.
    pub seeds: Vec<u64>,
    /// Labels behind each entry.
    pub n_labelled: Vec<usize>,
    /// Random's curves.
    pub random: Curves,
    /// Random's time.
    pub random_time: Option<Time>,
}

/// The learning curves of one method on one problem at one pool ratio.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// Test MSE by seed, as far as recorded.
    pub per_seed: Vec<(u64, Vec<f64>)>,
    /// Seeds without a finished run, and why.
    pub missing: Vec<(u64, Missing)>,
    /// Geometric mean over seeds and the band of one standard deviation of ln MSE; only where every seed is finished.
    pub mean: Option<Band>,
}

/// A mean curve with its spread.
#[derive(Debug, Clone)]
pub struct Band {
    /// Geometric mean of each entry.
    pub mean: Vec<f64>,
    /// Mean divided and multiplied by exp of the standard deviation of ln MSE; `None` with a single seed.
    pub spread: Option<(Vec<f64>, Vec<f64>)>,
}

/// One method of a part.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its id.
    pub id: String,
    /// Number for colour, dash and marker.
    pub style: usize,
    /// Verdict and nAUC cells; `None` where the method was planned on no cell.
    pub robustness: Option<Robustness>,
    /// What each (problem, γ) holds, by index of problem and pool ratio; `None` where it was not planned.
    pub cells: Vec<Vec<Option<CellDetail>>>,
    /// Transfer of γ between problems, where every cell of at least two problems and two pool ratios has a value.
    pub transfer: Option<PoolRatioTransfer>,
}

/// One (problem, γ, method).
#[derive(Debug, Clone)]
pub struct CellDetail {
    /// nAUC with tests and verdict.
    pub n_auc: CellFinding,
    /// Two-sided Wilcoxon p of nAUC after Holm over the methods of this (problem, γ).
    pub p_holm: Option<f64>,
    /// nDiv; `None` where batches of one point have no diversity.
    pub n_div: Option<Cell>,
    /// Labels needed to reach Random's final error, by seed; only where every seed has it.
    pub labels: Option<Vec<LabelsToReach>>,
    /// Median over seeds and steps of the rank correlation of score and error, where recorded.
    pub correlation: Option<f64>,
    /// The curves.
    pub curves: Curves,
    /// Times of finished runs.
    pub time: Option<Time>,
    /// Distinct remarks of the strategy.
    pub notes: Vec<String>,
}

/// Times of the finished runs of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time {
    /// Median seconds of choosing one batch, over runs and steps.
    pub sampling_per_step: f64,
    /// Median seconds of training one evaluated model, over runs and entries.
    pub training_per_entry: f64,
    /// Median seconds of a whole run.
    pub run: f64,
    /// Finished runs that kept their times.
    pub n_runs: usize,
}

/// Computes the findings.
///
/// # Errors
/// [`EvalError`] for rules outside their range or values that no run can have; anything that is wrong with single runs becomes
/// a [`Missing`] of their cell instead.
pub fn findings(data: &ReportData, rules: VerdictRules) -> Result<Findings, EvalError> {
    let mut by_setting: BTreeMap<&Setting, Vec<&RunSummary>> = BTreeMap::new();
    for run in &data.runs {
        by_setting.entry(&run.setting).or_default().push(run);
    }
    let parts = by_setting.into_iter().map(|(setting, runs)| part(setting, &runs, &rules)).collect::<Result<_, _>>()?;
    Ok(Findings { parts, rules })
}

/// Runs of one cell by seed.
type BySeed<'a> = BTreeMap<u64, &'a RunSummary>;

/// Pool ratio under which a run is shown.
fn ratio_of(run: &RunSummary) -> usize {
    run.pool_ratio.unwrap_or(FIXED_LIST)
}

/// Names of the problems of runs: the id, numbered where one id was trained with several models.
fn problem_names(runs: &[&RunSummary]) -> BTreeMap<(String, String), String> {
    let mut models: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in runs {
        models.entry(&run.problem).or_default().insert(&run.model);
    }
    let mut names = BTreeMap::new();
    for (problem, models) in models {
        for (i, model) in models.iter().enumerate() {
            let name = if models.len() == 1 { problem.to_owned() } else { format!("{problem} (model {})", i + 1) };
            names.insert((problem.to_owned(), (*model).to_owned()), name);
        }
    }
    names
}

fn part(setting: &Setting, runs: &[&RunSummary], rules: &VerdictRules) -> Result<Part, EvalError> {
    let names = problem_names(runs);
    let styles = method_styles(runs.iter().map(|run| run.strategy.as_str()));
    let mut cells: BTreeMap<(String, String, usize), BySeed<'_>> = BTreeMap::new();
    let mut seeds: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let models: BTreeMap<String, String> =
        names.iter().map(|((_, model), name)| (name.clone(), model.clone())).collect();
    let mut random: BTreeMap<String, BySeed<'_>> = BTreeMap::new();
    for run in runs {
        let problem = names[&(run.problem.clone(), run.model.clone())].clone();
        seeds.entry(problem.clone()).or_default().insert(run.seed);
        // Random chooses from the first candidates whatever γ is, so one run stands for every pool ratio.
        let by_seed = if run.strategy == BASELINE {
            random.entry(problem).or_default()
        } else {
            cells.entry((problem, run.strategy.clone(), ratio_of(run))).or_default()
        };
        by_seed.insert(run.seed, run);
    }
    let n_entries = setting.steps + 1;
    let problems: Vec<Problem> = seeds
        .into_iter()
        .map(|(id, seeds)| {
            let seeds: Vec<u64> = seeds.into_iter().collect();
            let of_random = random.remove(&id).unwrap_or_default();
            Problem {
                model: models.get(&id).cloned().unwrap_or_default(),
                random: curves(&seeds, &of_random, n_entries),
                random_time: time(&of_random),
                n_labelled: (0..n_entries).map(|t| setting.initial + t * setting.queries).collect(),
                id,
                seeds,
            }
        })
        .collect();
    let baselines: Vec<Baseline> = problems.iter().map(|p| Baseline::of(p, runs, &names, setting.steps)).collect();
    let pool_ratios: Vec<usize> =
        cells.keys().map(|(_, _, ratio)| *ratio).collect::<BTreeSet<_>>().into_iter().collect();
    let mut ids: Vec<&String> = cells.keys().map(|(_, id, _)| id).collect::<BTreeSet<_>>().into_iter().collect();
    ids.sort_by_key(|id| styles[*id]);

    let mut methods = Vec::new();
    for id in ids {
        let mut panels = Vec::new();
        let mut details = Vec::new();
        for (problem, baseline) in problems.iter().zip(&baselines) {
            let mut panel = ProblemPanel { problem: problem.id.clone(), cells: Vec::new() };
            let mut row = Vec::new();
            for &ratio in &pool_ratios {
                let Some(by_seed) = cells.get(&(problem.id.clone(), id.clone(), ratio)) else {
                    row.push(None);
                    continue;
                };
                let values = values_of(&problem.seeds, by_seed, n_entries, |run| area(run, setting.steps));
                let cell = Cell::of(&paired_ratios(&problem.seeds, &values, &baseline.area))?;
                panel.cells.push((ratio, cell));
                row.push(Some(cell_without_tests(problem, baseline, by_seed, n_entries)?));
            }
            if !panel.cells.is_empty() {
                panels.push(panel);
            }
            details.push(row);
        }
        let panel = MethodPanel { problems: panels };
        let judged = if panel.problems.is_empty() { None } else { Some(robustness(&panel, rules)?) };
        let mut found = judged.iter().flat_map(|r| r.cells.iter());
        let cells: Vec<Vec<Option<CellDetail>>> = details
            .into_iter()
            .map(|row: Vec<Option<Unjudged>>| {
                row.into_iter().map(|cell| cell.and_then(|cell| found.next().map(|f| cell.judged(f.clone())))).collect()
            })
            .collect();
        methods.push(Method {
            style: styles[id],
            transfer: transfer(&cells),
            id: id.clone(),
            cells,
            robustness: judged,
        });
    }
    adjust_over_methods(&mut methods, problems.len(), pool_ratios.len())?;

    let mut counts = Counts::default();
    for run in runs {
        match run.status {
            RunStatus::Done => counts.done += 1,
            RunStatus::Failed { .. } => counts.failed += 1,
            RunStatus::Partial => counts.partial += 1,
            RunStatus::Absent => counts.absent += 1,
        }
    }
    Ok(Part {
        setting: setting.clone(),
        ranks: (0..pool_ratios.len())
            .map(|g| ranks(&problems, &baselines, &methods, g, setting.steps, rules.level))
            .collect(),
        tallies: tallies(&methods, problems.len(), pool_ratios.len(), rules.margin)?,
        random_style: styles[BASELINE],
        incomplete: runs.iter().filter(|run| run.status != RunStatus::Done).map(|run| (*run).clone()).collect(),
        problems,
        methods,
        pool_ratios,
        counts,
    })
}

/// Random's values of a problem, by seed.
struct Baseline {
    area: BTreeMap<u64, Outcome>,
    diversity: BTreeMap<u64, Outcome>,
}

impl Baseline {
    fn of(problem: &Problem, runs: &[&RunSummary], names: &BTreeMap<(String, String), String>, steps: usize) -> Self {
        let by_seed: BySeed<'_> = runs
            .iter()
            .filter(|run| run.strategy == BASELINE && names[&(run.problem.clone(), run.model.clone())] == problem.id)
            .map(|run| (run.seed, *run))
            .collect();
        Self {
            area: values_of(&problem.seeds, &by_seed, steps + 1, |run| area(run, steps)),
            diversity: values_of(&problem.seeds, &by_seed, steps + 1, diversity),
        }
    }
}

/// Applies `value` to the finished runs; what is not finished becomes a [`Missing`].
fn values_of(
    seeds: &[u64],
    by_seed: &BySeed<'_>,
    n_entries: usize,
    value: impl Fn(&RunSummary) -> Outcome,
) -> BTreeMap<u64, Outcome> {
    seeds.iter().map(|&seed| (seed, finished(by_seed.get(&seed).copied(), n_entries).and_then(&value))).collect()
}

/// The run, if it is finished.
fn finished(run: Option<&RunSummary>, n_entries: usize) -> Result<&RunSummary, Missing> {
    let run = run.ok_or(Missing::Absent)?;
    match &run.status {
        RunStatus::Done if run.entries.len() == n_entries => Ok(run),
        RunStatus::Done | RunStatus::Partial => Err(Missing::Partial { got: run.entries.len(), needed: n_entries }),
        RunStatus::Failed { reason } => Err(Missing::Failed { reason: reason.clone() }),
        RunStatus::Absent => Err(Missing::Absent),
    }
}

fn area(run: &RunSummary, steps: usize) -> Outcome {
    let curve: Vec<f64> = run.entries.iter().map(|e| e.mse).collect();
    let area = area_under_curve(&curve, CurveSpan::FromInitial, steps)?;
    // A zero area has no ratio; said here, where the run is known.
    if area > 0.0 { Ok(area) } else { Err(Missing::Undefined { reason: "the area under the curve is zero".into() }) }
}

fn diversity(run: &RunSummary) -> Outcome {
    let of_steps: Option<Vec<f64>> = run.entries[..run.entries.len() - 1].iter().map(|e| e.diversity).collect();
    match of_steps {
        Some(values) if !values.is_empty() && values.iter().any(|&v| v > 0.0) => {
            Ok(values.iter().sum::<f64>() / values.len() as f64)
        }
        Some(_) => Err(Missing::Undefined { reason: "every batch is a single point repeated".into() }),
        None => Err(Missing::Undefined { reason: "a batch of fewer than two points has no diversity".into() }),
    }
}

fn curves(seeds: &[u64], by_seed: &BySeed<'_>, n_entries: usize) -> Curves {
    let mut all = Curves::default();
    let mut done: Vec<Vec<f64>> = Vec::new();
    for &seed in seeds {
        if let Some(run) = by_seed.get(&seed) {
            all.per_seed.push((seed, run.entries.iter().map(|e| e.mse).collect()));
        }
        match finished(by_seed.get(&seed).copied(), n_entries) {
            Ok(run) => done.push(run.entries.iter().map(|e| e.mse.ln()).collect()),
            Err(why) => all.missing.push((seed, why)),
        }
    }
    if !all.missing.is_empty() || done.is_empty() || done.iter().flatten().any(|v| !v.is_finite()) {
        return all;
    }
    all.mean = Some(band(&done));
    all
}

/// Geometric mean and spread of complete curves, given as logarithms.
fn band(logs: &[Vec<f64>]) -> Band {
    let n = logs.len() as f64;
    let n_entries = logs.first().map_or(0, Vec::len);
    let means: Vec<f64> = (0..n_entries).map(|t| logs.iter().map(|c| c[t]).sum::<f64>() / n).collect();
    let spread = (logs.len() > 1).then(|| {
        let sd = |t: usize| (logs.iter().map(|c| (c[t] - means[t]).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let bound = |sign: f64| (0..n_entries).map(|t| (means[t] + sign * sd(t)).exp()).collect();
        (bound(-1.0), bound(1.0))
    });
    Band { mean: means.iter().map(|m| m.exp()).collect(), spread }
}

impl Curves {
    /// These curves after an exponential moving average, s_0 = c_0, s_t = w c_t + (1 − w) s_{t−1}: for drawing only.
    pub fn smoothed(&self, weight: f64) -> Self {
        let smooth = |curve: &[f64]| {
            let mut last = None;
            curve
                .iter()
                .map(|&c| {
                    let value = last.map_or(c, |s| weight * c + (1.0 - weight) * s);
                    last = Some(value);
                    value
                })
                .collect::<Vec<f64>>()
        };
        let per_seed: Vec<(u64, Vec<f64>)> = self.per_seed.iter().map(|(seed, c)| (*seed, smooth(c))).collect();
        let mean = self.mean.as_ref().map(|_| {
            let logs: Vec<Vec<f64>> = per_seed.iter().map(|(_, c)| c.iter().map(|v| v.ln()).collect()).collect();
            band(&logs)
        });
        Self { per_seed, missing: self.missing.clone(), mean }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5).ok()
}

fn time(by_seed: &BySeed<'_>) -> Option<Time> {
    let (mut sampling, mut training, mut total) = (Vec::new(), Vec::new(), Vec::new());
    for run in by_seed.values().filter(|run| run.status == RunStatus::Done) {
        let Some(seconds) = run.entries.iter().map(|e| e.seconds).collect::<Option<Vec<_>>>() else { continue };
        // The last entry chooses nothing.
        sampling.extend(seconds[..seconds.len().saturating_sub(1)].iter().map(|s| s.sampling));
        training.extend(seconds.iter().map(|s| s.training));
        total.push(seconds.iter().map(|s| s.total).sum());
    }
    Some(Time {
        sampling_per_step: median(&sampling)?,
        training_per_entry: median(&training)?,
        run: median(&total)?,
        n_runs: total.len(),
    })
}

/// A cell before its tests are known.
struct Unjudged {
    n_div: Option<Cell>,
    labels: Option<Vec<LabelsToReach>>,
    correlation: Option<f64>,
    curves: Curves,
    time: Option<Time>,
    notes: Vec<String>,
}

impl Unjudged {
    fn judged(self, n_auc: CellFinding) -> CellDetail {
        let Self { n_div, labels, correlation, curves, time, notes } = self;
        CellDetail { n_auc, p_holm: None, n_div, labels, correlation, curves, time, notes }
    }
}

fn cell_without_tests(
    problem: &Problem,
    baseline: &Baseline,
    by_seed: &BySeed<'_>,
    n_entries: usize,
) -> Result<Unjudged, EvalError> {
    let of_method = values_of(&problem.seeds, by_seed, n_entries, diversity);
    let ratios = paired_ratios(&problem.seeds, &of_method, &baseline.diversity);
    // A method whose batches collapse to one point has nDiv 0, which a geometric mean cannot hold.
    let n_div = Cell::of(&ratios).ok();
    let curves = curves(&problem.seeds, by_seed, n_entries);
    let labels = if curves.missing.is_empty() && problem.random.missing.is_empty() {
        let pairs = curves.per_seed.iter().zip(&problem.random.per_seed);
        pairs.map(|((_, m), (_, r))| labels_to_reach(m, r, &problem.n_labelled).ok()).collect()
    } else {
        None
    };
    let mut correlations = Vec::new();
    let mut notes = BTreeSet::new();
    for run in by_seed.values() {
        correlations.extend(run.entries.iter().filter_map(|e| e.correlation));
        notes.extend(run.entries.iter().flat_map(|e| e.notes.iter().cloned()));
    }
    Ok(Unjudged {
        n_div,
        labels,
        correlation: median(&correlations),
        curves,
        time: time(by_seed),
        notes: notes.into_iter().collect(),
    })
}

/// nAUC values by problem and pool ratio, if every one is there.
fn transfer(cells: &[Vec<Option<CellDetail>>]) -> Option<PoolRatioTransfer> {
    let values: Option<Vec<Vec<f64>>> =
        cells.iter().map(|row| row.iter().map(|cell| cell.as_ref()?.n_auc.value).collect()).collect();
    pool_ratio_transfer(&values?).ok()
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

/// Ranks Random and the methods over (problem, seed) blocks by ln area; methods that are not planned at this pool ratio on
/// some problem leave its blocks incomplete.
fn ranks(
    problems: &[Problem],
    baselines: &[Baseline],
    methods: &[Method],
    ratio: usize,
    steps: usize,
    level: f64,
) -> Option<RankTable> {
    let mut blocks = Vec::new();
    for (p, (problem, baseline)) in problems.iter().zip(baselines).enumerate() {
        for &seed in &problem.seeds {
            let of_random = baseline.area.get(&seed).and_then(|v| v.as_ref().ok()).map(|v| v.ln());
            let of_methods = methods.iter().map(|m| {
                let curves = &m.cells[p][ratio].as_ref()?.curves;
                let (_, curve) = curves.per_seed.iter().find(|(s, _)| *s == seed)?;
                if curves.missing.iter().any(|(s, _)| *s == seed) {
                    return None;
                }
                area_under_curve(curve, CurveSpan::FromInitial, steps).ok().filter(|a| *a > 0.0).map(f64::ln)
            });
            blocks.push(std::iter::once(of_random).chain(of_methods).collect());
        }
    }
    rank_methods(&blocks, level).ok()
}

fn tallies(methods: &[Method], n_problems: usize, n_ratios: usize, margin: f64) -> Result<Vec<Vec<Tally>>, EvalError> {
    let mut cells = Vec::new();
    for p in 0..n_problems {
        for g in 0..n_ratios {
            let of_methods = methods.iter().map(|m| m.cells[p][g].as_ref().and_then(|c| c.n_auc.value));
            // Random's nAUC is 1 by definition, wherever it can be computed for somebody.
            cells.push(std::iter::once(Some(1.0)).chain(of_methods).collect());
        }
    }
    win_tie_loss(&cells, margin)
}
