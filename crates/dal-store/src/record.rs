//! What is kept of a run: one record and one timing per entry, how it ended, and where it was made.

use serde::{Deserialize, Serialize};

/// Errors of one model on the test set, over all points and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryErrors {
    /// Mean squared error. Units: output².
    pub mse: f64,
    /// Mean absolute error. Units: output.
    pub mae: f64,
    /// 95 % quantile of the absolute error. Units: output.
    pub p95_abs: f64,
    /// Largest absolute error. Units: output.
    pub max_abs: f64,
}

/// One entry: the model after so many labels, and what was chosen with it. A line of `records.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRecord {
    /// 0 for the model of the initial set, then one more per step.
    pub entry: usize,
    /// Points that the model was trained on.
    pub n_labelled: usize,
    /// Errors of the prediction (of an ensemble: of the mean over members).
    #[serde(flatten)]
    pub errors: EntryErrors,
    /// ln √MSE; absent for an exact fit.
    pub log_rmse: Option<f64>,
    /// Test MSE of the auxiliary network (of `bald`: the dropout network), where there is one.
    pub auxiliary_mse: Option<f64>,
    /// Labels that failed in the batch before this model (of entry 0: in the initial set).
    pub failed_labels: Vec<FailedLabel>,
    /// What was chosen with this model; absent at the last entry.
    pub choice: Option<Choice>,
}

impl EntryRecord {
    /// A record of these errors without a choice.
    pub fn new(entry: usize, n_labelled: usize, errors: EntryErrors) -> Self {
        let log_rmse = (errors.mse > 0.0).then(|| 0.5 * errors.mse.ln());
        Self { entry, n_labelled, errors, log_rmse, auxiliary_mse: None, failed_labels: Vec::new(), choice: None }
    }
}

/// A choice of queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Points that could be chosen.
    pub n_pool: usize,
    /// Points chosen: that many rows of `queries.npy`.
    pub n_queries: usize,
    /// Mean distance of a query to its nearest fellow; absent below two queries.
    pub diversity: Option<f64>,
    /// Spearman's correlation of the strategy's scores with the true absolute error (mean over outputs) over the
    /// first [`n_ranked`](Self::n_ranked) points of the pool; absent where the strategy has no score, or it is not
    /// cheap or not defined.
    pub score_error_correlation: Option<f64>,
    /// Pool points that the correlation is taken over.
    pub n_ranked: usize,
    /// The strategy's remarks.
    pub notes: Vec<String>,
}

/// A label that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedLabel {
    /// 0-based row of its batch.
    pub row: usize,
    /// Id of the kind: `crashed`, `timed-out`, `non-finite`, `malformed`, `missing`, `refused`.
    pub kind: String,
    /// The oracle's own words.
    pub message: String,
}

/// Seconds of one entry, a line of `timing.jsonl`. Outside a run's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryTiming {
    /// The entry.
    pub entry: usize,
    /// Labelling the batch before this model.
    pub labelling: f64,
    /// Training the evaluated model.
    pub training: f64,
    /// Training networks for the strategy only, where the engine tells them apart.
    pub auxiliary_training: f64,
    /// Runs whose models were trained together; their training time is shared out evenly.
    pub trained_together: usize,
    /// Evaluating on the test set.
    pub evaluation: f64,
    /// Choosing: from the pool's drawing to the picks, what the model answered included.
    pub sampling: f64,
    /// The model's share of [`sampling`](Self::sampling).
    pub sampling_model: f64,
}

impl EntryTiming {
    /// Choosing beyond what the model answered.
    pub fn sampling_beyond_model(&self) -> f64 {
        (self.sampling - self.sampling_model).max(0.0)
    }

    /// Everything.
    pub fn total(&self) -> f64 {
        self.labelling + self.training + self.auxiliary_training + self.evaluation + self.sampling
    }
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Every entry is recorded.
    Done,
    /// It came to an end before its time; the entries until then are recorded.
    Failed(Failure),
    /// It was interrupted or is running; this many entries are recorded.
    Partial {
        /// Entries recorded.
        entries: usize,
    },
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// The entry at which it happened.
    pub entry: usize,
    /// For a person.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Training diverged.
    Diverged,
    /// Training failed otherwise.
    Training,
    /// The strategy could not choose, or chose what may not be asked.
    Strategy,
    /// The oracle gave no label at all.
    Labelling,
    /// The model could not be evaluated.
    Evaluation,
    /// The program panicked: a defect of this project.
    Panic,
}

impl FailureKind {
    /// The id used in files.
    pub fn id(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::Training => "training",
            Self::Strategy => "strategy",
            Self::Labelling => "labelling",
            Self::Evaluation => "evaluation",
            Self::Panic => "panic",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at entry {}: {}", self.kind.id(), self.entry, self.message)
    }
}

/// Where and how a run was made; outside its identity. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Version of `dal`.
    pub dal_version: String,
    /// Version of the compiler, where known.
    pub compiler: String,
    /// When the program that finished the run was started, as an ISO 8601 date and time.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// Name of the sweep.
    pub sweep: String,
    /// Worker threads at the time.
    pub jobs: usize,
    /// How often the run was taken up again from its checkpoint.
    pub resumed: usize,
    /// The most memory that the process had held when the run ended, in MiB, all its `jobs` together; 0 where unknown.
    pub peak_memory_mib: u64,
    /// Where the engine trained: `cpu`, `cuda:0`.
    pub device: String,
    /// Runs that were driven together with it, itself included. On an engine that trains in lock step the company may
    /// change rounding; `timing.jsonl` has it for every entry.
    pub group: usize,
    /// The machine.
    pub machine: Machine,
}

/// A machine, as far as it matters to timings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical processors that the program may use.
    pub n_cpus: usize,
    /// Memory in MiB; 0 where unknown.
    pub memory_mib: u64,
    /// Operating system.
    pub os: String,
    /// Architecture.
    pub arch: String,
    /// Models of the graphics processors that the system's driver names.
    pub gpus: Vec<String>,
}

/// The content of `footer.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Footer {
    /// Present when the run failed.
    pub failure: Option<Failure>,
    /// Entries recorded.
    pub entries: usize,
    /// The deterministic files.
    pub files: std::collections::BTreeMap<String, FileSeal>,
}

/// Length and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSeal {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}
