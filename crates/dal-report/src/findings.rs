//! From runs to findings: curves, cells, verdicts, ranks and times, per setting. All numbers of the page come from here.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    Cell, CellFinding, CurveSpan, EvalError, LabelsToReach, MethodPanel, Missing, Outcome, PoolRatioTransfer,
    ProblemPanel, RankTable, Robustness, Tally, VerdictRules, area_under_curve, holm_over_methods, labels_to_reach,
    paired_ratios, pool_ratio_transfer, quantile, rank_methods, robustness, win_tie_loss,
};

use crate::data::{
    BASELINE, Entry, Model, Protocol, ReportData, RunStatus, RunSummary, Seconds, Setting, method_styles,
};

/// The pool ratio that stands for a fixed list of candidates.
pub const FIXED_LIST: usize = 0;

/// Findings of a whole report.
#[derive(Debug, Clone)]
pub struct Findings {
    /// One part per setting, never mixed.
    pub parts: Vec<Part>,
    /// The rules behind every verdict.
    pub rules: VerdictRules,
    /// Which entries count towards nAUC.
    pub span: CurveSpan,
}

/// Findings of the runs that share a setting, every problem under one protocol.
#[derive(Debug, Clone)]
pub struct Part {
    /// What the runs share.
    pub setting: Setting,
    /// Names of the sweeps that the runs belong to, as far as known.
    pub sweeps: Vec<String>,
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
    /// Its id, numbered where it was learned with several models.
    pub id: String,
    /// Its id in the store.
    pub variant: String,
    /// Network and training of its runs.
    pub model: Model,
    /// How much was labelled when.
    pub protocol: Protocol,
    /// In what its runs depart from the published protocol, network or training.
    pub departures: Vec<String>,
    /// Seeds that any run of it has, ascending.
    pub seeds: Vec<u64>,
    /// Labels behind each entry.
    pub n_labelled: Vec<usize>,
    /// Random's curves.
    pub random: Curves,
    /// Random's errors at the end, where every seed is finished.
    pub random_final: Option<FinalErrors>,
    /// Random's time.
    pub random_time: Option<Time>,
    /// What training cost over all its finished runs.
    pub training: Option<TrainingTime>,
}

/// Errors of the last entry, geometric means over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinalErrors {
    /// Test MSE.
    pub mse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// 95 % absolute error.
    pub p95_abs: f64,
    /// Largest absolute error.
    pub max_abs: f64,
}

/// Which error a curve is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Test MSE, which every verdict is about.
    Mse,
    /// Mean absolute error.
    Mae,
    /// 95 % absolute error.
    P95Abs,
    /// Largest absolute error.
    MaxAbs,
}

impl ErrorKind {
    /// All of them, MSE first.
    pub const ALL: [Self; 4] = [Self::Mse, Self::Mae, Self::P95Abs, Self::MaxAbs];

    /// The metric's id in [`dal_eval::METRICS`].
    pub fn id(self) -> &'static str {
        match self {
            Self::Mse => "mse",
            Self::Mae => "mae",
            Self::P95Abs => "p95-abs",
            Self::MaxAbs => "max-abs",
        }
    }

    /// Its name on an axis.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mse => "test MSE",
            Self::Mae => "mean absolute error",
            Self::P95Abs => "95 % absolute error",
            Self::MaxAbs => "largest absolute error",
        }
    }

    fn of(self, entry: &Entry) -> f64 {
        match self {
            Self::Mse => entry.mse,
            Self::Mae => entry.mae,
            Self::P95Abs => entry.p95_abs,
            Self::MaxAbs => entry.max_abs,
        }
    }
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
    /// The other errors, likewise; none where they were not recorded or are zero.
    pub others: Vec<(ErrorKind, Band)>,
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
    /// Transfer of γ between the problems that were planned at every pool ratio (by index), where each of their cells has a
    /// value and there are at least two problems and two pool ratios.
    pub transfer: Option<(Vec<usize>, PoolRatioTransfer)>,
}

impl Method {
    /// Problems of the part, by index, on which it was planned at no pool ratio.
    pub fn not_run_on(&self) -> impl Iterator<Item = usize> {
        self.cells.iter().enumerate().filter(|(_, row)| row.iter().all(Option::is_none)).map(|(p, _)| p)
    }
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
    /// Errors of the last entry, where every seed is finished.
    pub final_errors: Option<FinalErrors>,
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
    /// Median seconds of training networks for the strategy alone, over runs and steps.
    pub auxiliary_per_entry: f64,
    /// Median seconds of a whole run.
    pub run: f64,
    /// Finished runs that kept their times.
    pub n_runs: usize,
}

/// What training the evaluated models of a problem cost: medians over the finished runs of all methods that kept their times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingTime {
    /// Seconds of training the first model.
    pub first: f64,
    /// Seconds of training the last one.
    pub last: f64,
    /// Seconds of training all models of a run.
    pub run: f64,
    /// Finished runs that kept their times.
    pub n_runs: usize,
    /// Seconds of everything in all of these runs together.
    pub total: f64,
}

/// Computes the findings; `span` says which entries count towards nAUC.
///
/// Runs that agree in their [`Setting`] make one part as long as every problem has one [`Protocol`]: problems may differ in their
/// protocols, since every number is relative to Random's on the same problem, but runs of one problem under two protocols
/// are in two parts.
///
/// # Errors
/// [`EvalError`] for rules outside their range or values that no run can have; anything that is wrong with single runs becomes
/// a [`Missing`] of their cell instead.
pub fn findings(data: &ReportData, rules: VerdictRules, span: CurveSpan) -> Result<Findings, EvalError> {
    let mut groups: BTreeMap<(&Setting, &Protocol), Vec<&RunSummary>> = BTreeMap::new();
    for run in &data.runs {
        groups.entry((&run.setting, &run.protocol)).or_default().push(run);
    }
    let mut merged: Vec<(&Setting, BTreeSet<&str>, Vec<&RunSummary>)> = Vec::new();
    for ((setting, _), runs) in groups {
        let problems: BTreeSet<&str> = runs.iter().map(|run| run.problem.as_str()).collect();
        match merged.iter_mut().find(|(own, there, _)| *own == setting && there.is_disjoint(&problems)) {
            Some((_, there, all)) => {
                there.extend(problems);
                all.extend(runs);
            }
            None => merged.push((setting, problems, runs)),
        }
    }
    // The part that most can be learned from comes first, timings last.
    merged.sort_by_key(|(setting, problems, runs)| (setting.timing, std::cmp::Reverse((problems.len(), runs.len()))));
    let context = Context { data, rules: &rules, span };
    let parts =
        merged.into_iter().map(|(setting, _, runs)| part(setting, &runs, &context)).collect::<Result<_, _>>()?;
    Ok(Findings { parts, rules, span })
}

/// What every part is computed with.
struct Context<'a> {
    data: &'a ReportData,
    rules: &'a VerdictRules,
    span: CurveSpan,
}

/// Runs of one cell by seed.
type BySeed<'a> = BTreeMap<u64, &'a RunSummary>;

/// Pool ratio under which a run is shown.
fn ratio_of(run: &RunSummary) -> usize {
    run.pool_ratio.unwrap_or(FIXED_LIST)
}

/// Names of the problems of runs: the id, numbered where one id was trained with several models.
fn problem_names<'a>(runs: &[&'a RunSummary]) -> BTreeMap<(&'a str, &'a Model), String> {
    let mut models: BTreeMap<&str, BTreeSet<&Model>> = BTreeMap::new();
    for run in runs {
        models.entry(&run.problem).or_default().insert(&run.model);
    }
    let mut names = BTreeMap::new();
    for (problem, models) in models {
        for (i, model) in models.iter().enumerate() {
            let name = if models.len() == 1 { problem.to_owned() } else { format!("{problem} (model {})", i + 1) };
            names.insert((problem, *model), name);
        }
    }
    names
}

fn part(setting: &Setting, runs: &[&RunSummary], context: &Context<'_>) -> Result<Part, EvalError> {
    let Context { data, rules, span } = *context;
    let names = problem_names(runs);
    let styles = method_styles(runs.iter().map(|run| run.strategy.as_str()));
    let mut cells: BTreeMap<(String, String, usize), BySeed<'_>> = BTreeMap::new();
    let mut by_problem: BTreeMap<&str, Vec<&RunSummary>> = BTreeMap::new();
    let mut random: BTreeMap<&str, BySeed<'_>> = BTreeMap::new();
    for run in runs {
        let problem = names[&(run.problem.as_str(), &run.model)].as_str();
        by_problem.entry(problem).or_default().push(run);
        // Random chooses from the first candidates whatever γ is, so one run stands for every pool ratio.
        let by_seed = if run.strategy == BASELINE {
            random.entry(problem).or_default()
        } else {
            cells.entry((problem.to_owned(), run.strategy.clone(), ratio_of(run))).or_default()
        };
        by_seed.insert(run.seed, run);
    }
    let departures = |run: &RunSummary| {
        let by_name = data.sweeps.iter().find(|sweep| sweep.name == run.sweep);
        by_name.and_then(|sweep| sweep.departures.get(&run.problem)).cloned().unwrap_or_default()
    };
    let problems: Vec<Problem> = by_problem
        .iter()
        .map(|(id, runs)| {
            let seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>().into_iter().collect();
            let of_random = random.remove(id).unwrap_or_default();
            let protocol = runs[0].protocol.clone();
            let n_entries = protocol.steps + 1;
            let curves = curves(&seeds, &of_random, n_entries);
            Problem {
                id: (*id).to_owned(),
                variant: runs[0].problem.clone(),
                model: runs[0].model.clone(),
                departures: departures(runs[0]),
                random_final: final_errors(&curves, &of_random),
                random: curves,
                random_time: time(&of_random),
                training: training_time(runs),
                n_labelled: (0..n_entries).map(|t| protocol.initial + t * protocol.queries).collect(),
                protocol,
                seeds,
            }
        })
        .collect();
    let baselines: Vec<Baseline> = problems.iter().map(|p| Baseline::of(p, &by_problem[p.id.as_str()], span)).collect();
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
                let n_entries = problem.protocol.steps + 1;
                let values = values_of(&problem.seeds, by_seed, n_entries, |run| area(run, span));
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
        sweeps: runs
            .iter()
            .map(|run| run.sweep.clone())
            .filter(|name| !name.is_empty())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        ranks: (0..pool_ratios.len()).map(|g| ranks(&problems, &baselines, &methods, g, span, rules.level)).collect(),
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
    fn of(problem: &Problem, runs: &[&RunSummary], span: CurveSpan) -> Self {
        let by_seed: BySeed<'_> =
            runs.iter().filter(|run| run.strategy == BASELINE).map(|run| (run.seed, *run)).collect();
        let n_entries = problem.protocol.steps + 1;
        Self {
            area: values_of(&problem.seeds, &by_seed, n_entries, |run| area(run, span)),
            diversity: values_of(&problem.seeds, &by_seed, n_entries, diversity),
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

fn area(run: &RunSummary, span: CurveSpan) -> Outcome {
    let curve: Vec<f64> = run.entries.iter().map(|e| e.mse).collect();
    let area = area_under_curve(&curve, span, run.protocol.steps)?;
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
    let mut done: Vec<&RunSummary> = Vec::new();
    for &seed in seeds {
        if let Some(run) = by_seed.get(&seed) {
            all.per_seed.push((seed, run.entries.iter().map(|e| e.mse).collect()));
        }
        match finished(by_seed.get(&seed).copied(), n_entries) {
            Ok(run) => done.push(run),
            Err(why) => all.missing.push((seed, why)),
        }
    }
    if all.missing.is_empty() && !done.is_empty() {
        let band_of = |kind: ErrorKind| {
            let logs: Vec<Vec<f64>> =
                done.iter().map(|run| run.entries.iter().map(|e| kind.of(e).ln()).collect()).collect();
            logs.iter().flatten().all(|v| v.is_finite()).then(|| band(&logs))
        };
        all.mean = band_of(ErrorKind::Mse);
        all.others = ErrorKind::ALL[1..].iter().filter_map(|kind| Some((*kind, band_of(*kind)?))).collect();
    }
    all
}

impl Curves {
    /// The mean curve of an error.
    pub fn band(&self, kind: ErrorKind) -> Option<&Band> {
        match kind {
            ErrorKind::Mse => self.mean.as_ref(),
            _ => self.others.iter().find(|(own, _)| *own == kind).map(|(_, band)| band),
        }
    }
}

/// The last values of the mean curves; errors that are zero in some run have no geometric mean and are averaged as 0.
fn final_errors(curves: &Curves, by_seed: &BySeed<'_>) -> Option<FinalErrors> {
    if !curves.missing.is_empty() || curves.per_seed.is_empty() {
        return None;
    }
    let mean = |kind: ErrorKind| {
        let values: Option<Vec<f64>> = by_seed.values().map(|run| run.entries.last().map(|e| kind.of(e))).collect();
        let values = values.filter(|v| !v.is_empty())?;
        Some((values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp())
    };
    Some(FinalErrors {
        mse: mean(ErrorKind::Mse)?,
        mae: mean(ErrorKind::Mae)?,
        p95_abs: mean(ErrorKind::P95Abs)?,
        max_abs: mean(ErrorKind::MaxAbs)?,
    })
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
        // Of the other errors only means are kept; they are drawn as measured.
        Self { per_seed, missing: self.missing.clone(), mean, others: self.others.clone() }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5).ok()
}

/// Seconds of each entry of a finished run that kept them all.
fn seconds_of(run: &RunSummary) -> Option<Vec<Seconds>> {
    if run.status != RunStatus::Done {
        return None;
    }
    run.entries.iter().map(|e| e.seconds).collect()
}

fn training_time(runs: &[&RunSummary]) -> Option<TrainingTime> {
    let all: Vec<Vec<Seconds>> = runs.iter().filter_map(|run| seconds_of(run)).filter(|s| !s.is_empty()).collect();
    let over = |of: &dyn Fn(&[Seconds]) -> f64| median(&all.iter().map(|s| of(s)).collect::<Vec<f64>>());
    Some(TrainingTime {
        first: over(&|s| s[0].training)?,
        last: over(&|s| s[s.len() - 1].training)?,
        run: over(&|s| s.iter().map(|s| s.training).sum())?,
        n_runs: all.len(),
        total: all.iter().flatten().map(|s| s.total).sum(),
    })
}

fn time(by_seed: &BySeed<'_>) -> Option<Time> {
    let (mut sampling, mut training, mut auxiliary, mut total) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in by_seed.values() {
        let Some(seconds) = seconds_of(run) else { continue };
        // The last entry chooses nothing.
        let choosing = &seconds[..seconds.len().saturating_sub(1)];
        sampling.extend(choosing.iter().map(|s| s.sampling));
        auxiliary.extend(choosing.iter().map(|s| s.auxiliary_training));
        training.extend(seconds.iter().map(|s| s.training));
        total.push(seconds.iter().map(|s| s.total).sum());
    }
    Some(Time {
        sampling_per_step: median(&sampling)?,
        training_per_entry: median(&training)?,
        auxiliary_per_entry: median(&auxiliary)?,
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
    final_errors: Option<FinalErrors>,
    time: Option<Time>,
    notes: Vec<String>,
}

impl Unjudged {
    fn judged(self, n_auc: CellFinding) -> CellDetail {
        let Self { n_div, labels, correlation, curves, final_errors, time, notes } = self;
        CellDetail { n_auc, p_holm: None, n_div, labels, correlation, curves, final_errors, time, notes }
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
        final_errors: final_errors(&curves, by_seed),
        curves,
        time: time(by_seed),
        notes: notes.into_iter().collect(),
    })
}

/// Transfer over the problems that were planned at every pool ratio, if each of their cells has a value.
fn transfer(cells: &[Vec<Option<CellDetail>>]) -> Option<(Vec<usize>, PoolRatioTransfer)> {
    let planned: Vec<usize> = (0..cells.len()).filter(|p| cells[*p].iter().all(Option::is_some)).collect();
    let values: Option<Vec<Vec<f64>>> =
        planned.iter().map(|p| cells[*p].iter().map(|cell| cell.as_ref()?.n_auc.value).collect()).collect();
    let found = pool_ratio_transfer(&values?).ok()?;
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

/// Ranks Random and the methods over (problem, seed) blocks by ln area. Problems on which nothing is planned at this pool ratio
/// have no blocks; a method that is not planned where others are leaves blocks incomplete.
fn ranks(
    problems: &[Problem],
    baselines: &[Baseline],
    methods: &[Method],
    ratio: usize,
    span: CurveSpan,
    level: f64,
) -> Option<RankTable> {
    let mut blocks = Vec::new();
    for (p, (problem, baseline)) in problems.iter().zip(baselines).enumerate() {
        if methods.iter().all(|m| m.cells[p][ratio].is_none()) {
            continue;
        }
        for &seed in &problem.seeds {
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
