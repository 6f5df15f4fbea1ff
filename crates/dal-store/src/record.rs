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
    /// Whether the test error lies below the variance of the test labels, the error of the best constant. Of a user's
    /// problem by the pooled figure ([`PooledErrors::mse`] below 1), of a built-in one by the MSE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<bool>,
    /// Errors output by output and pooled; a user can judge them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_errors: Option<OutputErrorsRecord>,
    /// How the training of each member of the evaluated model ended, in the members' order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberRecord>,
    /// The network that was trained for the strategy alone, where there is one: beside
    /// [`auxiliary_mse`](Self::auxiliary_mse).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary: Option<AuxiliaryRecord>,
    /// What the model's uncertainty was worth on the test set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<UncertaintyRecord>,
}

impl EntryRecord {
    /// A record of these errors without a choice.
    pub fn new(entry: usize, n_labelled: usize, errors: EntryErrors) -> Self {
        let log_rmse = (errors.mse > 0.0).then(|| 0.5 * errors.mse.ln());
        Self {
            entry,
            n_labelled,
            errors,
            log_rmse,
            auxiliary_mse: None,
            failed_labels: Vec::new(),
            choice: None,
            learned: None,
            output_errors: None,
            members: Vec::new(),
            auxiliary: None,
            uncertainty: None,
        }
    }

    /// Every number of it, each of which must be finite, by name.
    pub(crate) fn numbers(&self) -> Vec<(&'static str, f64)> {
        let e = self.errors;
        let mut all = vec![("mse", e.mse), ("mae", e.mae), ("p95_abs", e.p95_abs), ("max_abs", e.max_abs)];
        let mut optional = |what: &'static str, value: Option<f64>| all.extend(value.map(|value| (what, value)));
        optional("log_rmse", self.log_rmse);
        optional("auxiliary_mse", self.auxiliary_mse);
        optional("diversity", self.choice.as_ref().and_then(|c| c.diversity));
        for &probability in self.choice.iter().flat_map(|c| &c.probabilities) {
            optional("probability", Some(probability));
        }
        optional("score_error_correlation", self.choice.as_ref().and_then(|c| c.score_error_correlation));
        for member in self.members.iter().chain(self.auxiliary.iter().flat_map(|a| &a.members)) {
            optional("final_over_variance", member.final_over_variance);
            optional("final_over_best", member.final_over_best);
        }
        optional("over_variance", self.auxiliary.as_ref().and_then(|a| a.over_variance));
        if let Some(u) = &self.uncertainty {
            optional("nll", u.nll);
            optional("crps", Some(u.crps));
            optional("coverage_90", Some(u.coverage_90));
            optional("rank_correlation", u.rank_correlation);
        }
        if let Some(errors) = &self.output_errors {
            for one in errors.outputs.iter().chain(&errors.quantiles) {
                optional("rmse", Some(one.rmse));
                optional("r2", one.r2);
                optional("mae of an output", Some(one.mae));
                optional("p95_abs of an output", Some(one.p95_abs));
                optional("max_abs of an output", Some(one.max_abs));
            }
            if let Some(pooled) = &errors.pooled {
                optional("pooled mse", Some(pooled.mse));
                optional("pooled mae", Some(pooled.mae));
                optional("pooled p95_abs", Some(pooled.p95_abs));
                optional("pooled max_abs", Some(pooled.max_abs));
            }
        }
        all
    }
}

/// Up to so many outputs each has its own errors in a record, and its own spread in [`TestLabels`]; of more there are
/// quantiles over outputs.
pub const MOST_SINGLE_OUTPUTS: usize = 20;

/// Over more outputs than [`MOST_SINGLE_OUTPUTS`] these quantiles are kept of each measure.
pub const OUTPUT_QUANTILES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Errors of one model on the test set, output by output in the user's units, and pooled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputErrorsRecord {
    /// One per output, where they are at most [`MOST_SINGLE_OUTPUTS`]; else none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputErrorRecord>,
    /// Of more outputs: the [`OUTPUT_QUANTILES`] over outputs, of each measure by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<OutputErrorRecord>,
    /// All outputs together; absent where every output is constant over the test labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled: Option<PooledErrors>,
}

/// Errors of one output over the test set, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputErrorRecord {
    /// Root mean squared error.
    pub rmse: f64,
    /// 1 − MSE / variance of the test labels; absent for an output that is constant there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
    /// Mean absolute error.
    pub mae: f64,
    /// 95 % quantile of the absolute error.
    pub p95_abs: f64,
    /// Largest absolute error.
    pub max_abs: f64,
}

/// Errors over all outputs, each divided by its standard deviation over the test labels (in transformed units, where
/// the problem transforms it). No unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PooledErrors {
    /// Mean over outputs of MSE / variance: 1 is what the best constant scores.
    pub mse: f64,
    /// Mean over outputs of MAE / standard deviation.
    pub mae: f64,
    /// 95 % quantile of the scaled absolute error over points and outputs.
    pub p95_abs: f64,
    /// The largest scaled absolute error.
    pub max_abs: f64,
    /// Outputs left out, because they are constant over the test labels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_left_out: usize,
}

/// How the training of one network ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Training loss at the last epoch over the variance of the labels it was trained on (the loss of the best
    /// constant); absent where those are all equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_over_variance: Option<f64>,
    /// Training loss at the last epoch over the smallest of any epoch, 1 at best; absent where the smallest was 0 and
    /// the last is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_over_best: Option<f64>,
    /// How often it was trained anew because it had collapsed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: usize,
}

/// A network trained for the strategy alone: of `bald`, the dropout network. The rank correlation of its scores with
/// the true error is [`Choice::score_error_correlation`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuxiliaryRecord {
    /// Its test MSE over the variance of the test labels (mean over outputs; of a user's problem the pooled figure); 1
    /// is what the best constant scores. Absent for labels that are all equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_variance: Option<f64>,
    /// How its training ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberRecord>,
}

/// The normal distribution with the ensemble's mean and variance, held against the test labels; outputs in standard
/// deviations of the test labels, those that are constant there left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UncertaintyRecord {
    /// Mean negative log likelihood in nats; absent where a variance is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
    /// Mean continuous ranked probability score.
    pub crps: f64,
    /// Share of values inside the 90 % interval.
    pub coverage_90: f64,
    /// Spearman's correlation over test points of disagreement (mean variance) and absolute error (mean over outputs);
    /// absent where one of the two is constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank_correlation: Option<f64>,
    /// Values whose variance counts as zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_degenerate: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What is constant over all runs, seeds and steps of a problem: the spread of the test labels that every error is held
/// against. It stands in the footer of every run of it, not in its sweep's record: the labels of a user's problem are
/// known only once its program has been asked, and a run must say by itself what its figures are relative to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestLabels {
    /// Test points with a label.
    pub n: usize,
    /// Variance of the outputs, mean over outputs: the MSE of the best constant. Units: output².
    pub variance: f64,
    /// Standard deviation of each output (dividing by the number of labels), of at most [`MOST_SINGLE_OUTPUTS`]
    /// outputs; else none. Of a transformed output in transformed units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sd: Vec<f64>,
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
    /// Of each query, in order, the probability of its pick given the earlier ones, where the strategy draws.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<f64>,
    /// The strategy's remarks.
    pub notes: Vec<String>,
}

/// A label that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedLabel {
    /// 0-based row of its batch.
    pub row: usize,
    /// Id of the kind, such as `crashed`: [`dal_core::LabelFailureKind`] has them all.
    pub kind: String,
    /// The oracle's own words.
    pub message: String,
    /// The inputs it was asked for, each in its physical unit, as text; none in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
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
    /// What its errors are held against; absent in older stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<TestLabels>,
    /// SHA-256 of the footer without this, hexadecimal; absent in older stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// Length and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSeal {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}
