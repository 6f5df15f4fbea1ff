//! From runs to findings: curves, cells, verdicts, ranks and times, per setting. All numbers of the page come from
//! here.

mod by_entry;
mod cell;
mod curves;
mod judged;
mod labels;
mod learning;
mod part;
mod runs;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    Cell, CellFinding, CurveSpan, EvalError, LabelsToReach, Learnability, MetricFinding, Missing, PoolRatioTransfer,
    RankTable, Robustness, SignSplit, Tally, VerdictRules,
};
use dal_store::OwnProblem;

pub use self::by_entry::EntryMeasure;
pub use self::judged::{Deciding, Judged};
pub use self::labels::FailedLabels;
pub(crate) use self::learning::count;
pub use self::learning::{AuxiliaryFinding, Learning, NowErrors, Place, UncertaintyFinding};
use self::part::{Context, part};
use crate::data::{Entry, Model, Protocol, ReportData, RunSummary, Setting};

/// Findings of a whole report.
#[derive(Debug, Clone)]
pub struct Findings {
    /// One part per setting, never mixed.
    pub parts: Vec<Part>,
    /// The rules behind every verdict.
    pub rules: VerdictRules,
    /// Which entries count towards nAUC.
    pub span: CurveSpan,
    /// Those of other tables, said beside these in a few words.
    pub evidence: Vec<Findings>,
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
    /// Mean ranks at each pool ratio, Random first and then the methods; `None` where no (problem, seed) block is
    /// complete.
    pub ranks: Vec<Option<RankTable>>,
    /// Win / tie / loss of Random and the methods against each other over all cells.
    pub tallies: Vec<Vec<Tally>>,
    /// How the methods were judged together; `None` where there is nothing to judge.
    pub judged: Option<Judged>,
    /// Labels that failed, by problem, method and kind.
    pub failed_labels: Vec<FailedLabels>,
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
    /// Damaged.
    pub damaged: usize,
    /// Unfinished.
    pub partial: usize,
    /// Planned, not started.
    pub absent: usize,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> usize {
        self.done + self.failed + self.damaged + self.partial + self.absent
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
    /// Labels behind each entry: the median of those that exist, over all runs; planned ones where no run has come so
    /// far.
    pub n_labelled: Vec<usize>,
    /// A user's problem, in the user's words; `None` for a built-in one.
    pub own: Option<OwnProblem>,
    /// Whether errors are pooled ones, every output in standard deviations of its test labels; else MSE in units of the
    /// output.
    pub pooled: bool,
    /// Variance of the test labels (mean over outputs; 1 for pooled errors), where known.
    pub variance: Option<f64>,
    /// Test points that have a label, of those that the protocol asks for; the fewest of its runs, where known.
    pub test_labels: Option<usize>,
    /// Whether its runs were judged on different test labels, so that they are not paired.
    pub tests_differ: bool,
    /// Whether Random learns it, and so whether it takes part in rankings; `None` where that is not known.
    pub learnability: Option<Learnability>,
    /// The share of Random's area that entry 0 makes, and that entries 0 to 2 make: means over seeds.
    pub area_shares: Option<(f64, f64)>,
    /// The errors of the best models so far, in the user's units.
    pub now: Option<NowErrors>,
    /// Random's curves.
    pub random: Curves,
    /// What Random's models and members learned.
    pub random_learning: Learning,
    /// Random's errors at the end, where every seed is finished.
    pub random_final: Option<FinalErrors>,
    /// Random's time.
    pub random_time: Option<Time>,
    /// What training cost over all its finished runs.
    pub training: Option<TrainingTime>,
}

impl Problem {
    /// Test points without a label, which are left out of the test set.
    pub fn unlabelled_tests(&self) -> usize {
        self.test_labels.map_or(0, |n| self.protocol.test_points.saturating_sub(n))
    }

    /// Whether it takes part in rankings: not if Random itself does not learn it, nor where its runs were judged on
    /// different test labels, whose errors are of different things.
    pub fn is_ranked(&self) -> bool {
        !self.tests_differ && self.learnability.is_none_or(|l| l.in_rankings)
    }

    /// Where its network and training come from: of a user's problem what a built-in one has `published` stands in its
    /// file.
    pub(crate) fn preset(&self) -> &str {
        match self.protocol.preset.as_str() {
            "published" if self.own.is_some() => "problem file",
            preset => preset,
        }
    }

    /// Name and unit of an output, as the user calls them; the unit is empty for none.
    pub(crate) fn output_name(&self, output: usize) -> (String, String) {
        match self.own.as_ref().and_then(|own| own.outputs.get(output)) {
            Some(c) => (c.name.clone(), if c.unit == "1" { String::new() } else { c.unit.clone() }),
            None => (format!("output {}", output + 1), String::new()),
        }
    }

    /// The name of an error of it.
    pub(crate) fn error_name(&self, kind: ErrorKind) -> String {
        if self.pooled { format!("{}, outputs scaled", kind.name()) } else { kind.name().to_owned() }
    }
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
    /// Labels behind each entry, of the same seeds: those that exist.
    pub labels: Vec<Vec<usize>>,
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
    /// Transfer of γ between the problems that were planned at every pool ratio (by index), where each of their cells
    /// has a value and there are at least two problems and two pool ratios.
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
    /// Seeds planned for it; its figures are of all of them, or at a look of those that are over.
    pub n_planned: usize,
    /// Standard deviation over seeds of its ln ratios; `None` below two seeds and where one has none.
    pub spread: Option<f64>,
    /// Two-sided Wilcoxon p of nAUC after Holm over the methods of this (problem, γ).
    pub p_holm: Option<f64>,
    /// nDiv; `None` where batches of one point have no diversity.
    pub n_div: Option<Cell>,
    /// Labels needed to reach Random's final error, by seed; only where every seed has it.
    pub labels: Option<Vec<LabelsToReach>>,
    /// The same curves read in other ways, each over all seeds; those that are not defined are left out.
    pub beside: Vec<MetricFinding>,
    /// Labels needed over those of Random as the predecessor counted and drew them: quartiles over all pairs of runs
    /// ([`all_pairs_quartiles`](dal_eval::all_pairs_quartiles)).
    pub all_pairs: Option<[f64; 3]>,
    /// Where these lie on both sides of Random.
    pub split: Option<SignSplit>,
    /// What its models and members learned.
    pub learning: Learning,
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

/// What training the evaluated models of a problem cost: medians over the finished runs of all methods that kept their
/// times.
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

/// How far seeds differ: for planning how many are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedSpread {
    /// The root of the mean variance over cells of their ln ratios to Random.
    pub sd: f64,
    /// Complete cells of at least two seeds behind it.
    pub n_cells: usize,
    /// The same of each problem by itself, by its name.
    pub by_problem: Vec<(String, f64)>,
}

impl Findings {
    /// The spread between seeds over the cells of these problems; timings apart. `None` where no cell has one.
    pub fn seed_spread(&self, is_wanted: impl Fn(&str) -> bool) -> Option<SeedSpread> {
        let root_mean_square = |sds: &[f64]| (sds.iter().map(|sd| sd * sd).sum::<f64>() / sds.len() as f64).sqrt();
        let mut of_problems: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for part in self.parts.iter().filter(|part| !part.setting.timing) {
            for (p, problem) in part.problems.iter().enumerate().filter(|(_, problem)| is_wanted(&problem.variant)) {
                let of_methods = part.methods.iter().flat_map(|method| method.cells[p].iter().flatten());
                of_problems.entry(&problem.id).or_default().extend(of_methods.filter_map(|cell| cell.spread));
            }
        }
        of_problems.retain(|_, spreads| !spreads.is_empty());
        let all: Vec<f64> = of_problems.values().flatten().copied().collect();
        (!all.is_empty()).then(|| SeedSpread {
            sd: root_mean_square(&all),
            n_cells: all.len(),
            by_problem: of_problems.into_iter().map(|(id, sds)| (id.to_owned(), root_mean_square(&sds))).collect(),
        })
    }
}

/// Computes the findings; `span` says which entries count towards nAUC.
///
/// Runs that agree in their [`Setting`] make one part as long as every problem has one [`Protocol`]: problems may
/// differ in their protocols, since every number is relative to Random's on the same problem, but runs of one problem
/// under two protocols are in two parts.
///
/// # Errors
/// [`EvalError`] for rules outside their range or values that no run can have; anything that is wrong with single runs
/// becomes a [`Missing`] of their cell instead.
pub fn findings(data: &ReportData, rules: VerdictRules, span: CurveSpan) -> Result<Findings, EvalError> {
    let judged = with_judged_errors(data);
    let mut groups: BTreeMap<(&Setting, &Protocol), Vec<&RunSummary>> = BTreeMap::new();
    for run in judged.iter().map(|(run, _)| run.as_ref()) {
        groups.entry((&run.setting, &run.protocol)).or_default().push(run);
    }
    let pooled: BTreeSet<(&str, &str)> =
        judged.iter().filter(|(_, pooled)| *pooled).map(|(run, _)| version(run)).collect();
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
    let context = Context { data, pooled: &pooled, rules: &rules, span };
    let parts =
        merged.into_iter().map(|(setting, _, runs)| part(setting, &runs, &context)).collect::<Result<_, _>>()?;
    Ok(Findings { parts, rules, span, evidence: Vec::new() })
}

/// What tells a problem from others: its name, and of a user's the version.
fn version(run: &RunSummary) -> (&str, &str) {
    (&run.problem, &run.model.problem_digest)
}

/// The runs with the errors that rankings rest on: of a user's problem the pooled ones, if every entry of every run of
/// it has them, and whether that is so; of a built-in one, and of records that hold no more, the published MSE.
fn with_judged_errors(data: &ReportData) -> Vec<(Cow<'_, RunSummary>, bool)> {
    fn pooled_of(entry: &Entry) -> Option<dal_store::PooledErrors> {
        entry.output_errors.as_ref()?.pooled
    }
    let mut complete: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for run in &data.runs {
        let all = run.entries.iter().all(|e| pooled_of(e).is_some());
        *complete.entry(version(run)).or_insert(run.own) &= run.own && all;
    }
    let judged = data.runs.iter().map(|run| {
        if !complete[&version(run)] {
            return (Cow::Borrowed(run), false);
        }
        let mut run = run.clone();
        for entry in &mut run.entries {
            if let Some(pooled) = pooled_of(entry) {
                (entry.mse, entry.mae) = (pooled.mse, pooled.mae);
                (entry.p95_abs, entry.max_abs) = (pooled.p95_abs, pooled.max_abs);
            }
        }
        (Cow::Owned(run), true)
    });
    judged.collect()
}
