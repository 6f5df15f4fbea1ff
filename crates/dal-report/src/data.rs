//! What a report is made from: plain values, whatever store they came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dal_store::{
    AuxiliaryRecord, FailedLabel, MemberRecord, OutputErrorsRecord, OwnProblem, PlannedLook, TestLabels,
    UncertaintyRecord,
};

/// Everything that a report needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportData {
    /// Where the runs came from, for the heading: the store's path as the user gave it.
    pub source: String,
    /// Every run that was planned or found.
    pub runs: Vec<RunSummary>,
    /// The sweeps behind the runs.
    pub sweeps: Vec<Sweep>,
    /// Circumstances, each with what was made under it.
    pub provenance: Vec<(Circumstances, Made)>,
    /// Directories of the store that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Names of runs that several sweeps of a store ask for, with different looks; tables do not say.
    pub planned_twice: BTreeSet<String>,
}

/// Runs that were made under the same circumstances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// How many.
    pub runs: usize,
    /// The most memory that a process making them held, in MiB, all its jobs together; 0 where unknown.
    pub peak_memory_mib: u64,
}

/// A sweep whose runs are in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sweep {
    /// Its name.
    pub name: String,
    /// One line for a reader; may be empty.
    pub title: String,
    /// The sweep file's text.
    pub text: String,
    /// By problem, in what its runs depart from the published protocol, network or training, in words.
    pub departures: BTreeMap<String, Vec<String>>,
    /// When verdicts are made, where that was fixed before the first run.
    pub looks: Vec<PlannedLook>,
    /// Without looks: how many seeds its runs were planned with, where several plans of them differ and verdicts could
    /// be made at each; else empty.
    pub replanned: Vec<usize>,
    /// Users' problems, by variant, in their own words.
    pub own_problems: BTreeMap<String, OwnProblem>,
}

/// What must agree before runs are compared: a report shows each setting apart and never mixes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting {
    /// The engine that trained.
    pub engine: String,
    /// The numeric platform.
    pub platform: String,
    /// The results revision of the program.
    pub results_revision: u32,
    /// Whether the runs are there for their timings, taken one at a time.
    pub timing: bool,
}

/// What must agree between the runs of one problem. Problems of a part may differ here; one problem under two protocols
/// is two parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol {
    /// Where network and training come from: `published` or `tuned`.
    pub preset: String,
    /// Labels before the first step.
    pub initial: usize,
    /// Labels per step.
    pub queries: usize,
    /// Steps.
    pub steps: usize,
    /// Points of the test set.
    pub test_points: usize,
    /// Noise on the labels that are learned, in hundredths of each output's standard deviation.
    pub label_noise_percent: usize,
}

/// What was learned in a run, with which network and training.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model {
    /// Hash of a user's problem file and of the data that it names; empty for a built-in problem, and in tables of
    /// older versions. Runs of one name that differ here are of different problems.
    pub problem_digest: String,
    /// The network in a few words: `4 × 50`.
    pub network: String,
    /// The training in a few words: `3 members, 150 epochs`.
    pub training: String,
    /// Network and training in full, with the outputs' transformation; runs of a problem that differ here are kept
    /// apart.
    pub identity: String,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// What it may be compared with.
    pub setting: Setting,
    /// How much was labelled when.
    pub protocol: Protocol,
    /// The problem, with its settings where they are not the default.
    pub problem: String,
    /// The strategy, likewise.
    pub strategy: String,
    /// The pool ratio γ; `None` where the pool is a fixed list.
    pub pool_ratio: Option<usize>,
    /// The seed that pairs runs.
    pub seed: u64,
    /// Network and training.
    pub model: Model,
    /// Whether the problem is a user's own, not of the catalogue.
    pub own: bool,
    /// What its errors are held against, where known.
    pub test_labels: Option<TestLabels>,
    /// How it stands.
    pub status: RunStatus,
    /// Why it waits at its checkpoint, where its program was down.
    pub waiting: Option<String>,
    /// What was recorded, entry 0 first.
    pub entries: Vec<Entry>,
    /// Name of its directory in the store, or of the planned run.
    pub name: String,
    /// The sweep that made or planned it; empty where unknown.
    pub sweep: String,
    /// Under which circumstances it was made, one of [`ReportData::provenance`]; none where that is not known.
    pub circumstances: Option<Arc<Circumstances>>,
}

impl RunSummary {
    /// How far it has come, for comparison with another form of it.
    pub(crate) fn further(&self) -> (usize, usize) {
        let rank = match self.status {
            RunStatus::Absent => 0,
            RunStatus::Partial | RunStatus::Damaged { .. } => 1,
            RunStatus::Failed { .. } => 2,
            RunStatus::Done => 3,
        };
        (rank, self.entries.len())
    }
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    /// Every entry is recorded.
    Done,
    /// It failed.
    Failed {
        /// The run's own account.
        reason: String,
    },
    /// It is in the store, and what it came to cannot be read.
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// It was interrupted or is running.
    Partial,
    /// Planned, but there is no such run in the store.
    Absent,
}

/// One entry of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// Labels behind the model.
    pub n_labelled: usize,
    /// Test MSE.
    pub mse: f64,
    /// Mean absolute test error.
    pub mae: f64,
    /// 95 % quantile of the absolute test error.
    pub p95_abs: f64,
    /// Largest absolute test error.
    pub max_abs: f64,
    /// Diversity of the batch chosen with it.
    pub diversity: Option<f64>,
    /// Rank correlation of the strategy's score with the true error.
    pub correlation: Option<f64>,
    /// Labels that failed before it.
    pub failed_labels: Vec<FailedLabel>,
    /// Whether the test error lies below the variance of the test labels, where that was recorded.
    pub learned: Option<bool>,
    /// Errors output by output and pooled, where recorded.
    pub output_errors: Option<OutputErrorsRecord>,
    /// How the training of each member ended, where recorded.
    pub members: Vec<MemberRecord>,
    /// Test MSE of the network trained for the strategy alone, where there is one.
    pub auxiliary_mse: Option<f64>,
    /// What else is recorded of that network.
    pub auxiliary: Option<AuxiliaryRecord>,
    /// What the uncertainty was worth, where recorded.
    pub uncertainty: Option<UncertaintyRecord>,
    /// Remarks of the strategy.
    pub notes: Vec<String>,
    /// Seconds, where they were kept.
    pub seconds: Option<Seconds>,
}

/// Seconds spent on one entry.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Seconds {
    /// Training the evaluated model.
    pub training: f64,
    /// Training networks for the strategy alone.
    pub auxiliary_training: f64,
    /// Choosing, with what the model answered.
    pub sampling: f64,
    /// Everything.
    pub total: f64,
}

/// Where and how runs were made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Circumstances {
    /// Version of `dal`.
    pub dal_version: String,
    /// Compiler.
    pub compiler: String,
    /// Processor.
    pub cpu: String,
    /// Logical processors.
    pub n_cpus: usize,
    /// Memory in MiB, 0 where unknown.
    pub memory_mib: u64,
    /// Operating system and architecture.
    pub os: String,
    /// Worker threads.
    pub jobs: usize,
    /// The command line.
    pub command: Vec<String>,
    /// Name of the sweep.
    pub sweep: String,
}

/// The pool ratio that stands for a fixed list of candidates.
pub const FIXED_LIST: usize = 0;

/// The id of the baseline, which every method is divided by.
pub const BASELINE: &str = "random";

/// Ids of the rules that do not depend on the size of the pool, settings aside: one run stands for every pool ratio.
pub const ANY_POOL: [&str; 3] = [BASELINE, "sobol", "lhs"];

/// Whether one run of a method (its id with settings, as in `random?stream=1`) stands for every pool ratio.
pub fn stands_for_every_ratio(method: &str) -> bool {
    ANY_POOL.contains(&method.split('?').next().unwrap_or(method))
}

/// Methods in the order in which colours are given out, so that a method looks the same in every report; unknown ones
/// come after these, by name.
const KNOWN_ORDER: [&str; 28] = [
    "random",
    "gsx",
    "gsxy",
    "qbc",
    "qbc-diversity",
    "gsy",
    "qbc-diversity-density",
    "bald",
    "emoc",
    "learning-loss",
    "dacs",
    "cluster-variance",
    "sobol",
    "lhs",
    "power-qbc",
    "power-qbc-diversity",
    "power-bald",
    "power-emoc",
    "power-learning-loss",
    "lcmd-tp",
    "maxdist-tp",
    "kmeanspp-tp",
    "maxdet-p",
    "bait-f-p",
    "lcmd-members",
    "maxdet-members",
    "bait-members",
    "bmdal",
];

/// Sorts method ids for display and numbers them for colours, dashes and markers.
pub(crate) fn method_styles<'a>(ids: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut unknown: Vec<&str> = ids.into_iter().filter(|id| !KNOWN_ORDER.contains(id)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    KNOWN_ORDER.into_iter().chain(unknown).enumerate().map(|(style, id)| (id.to_owned(), style)).collect()
}
