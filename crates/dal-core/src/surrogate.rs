//! A trained regression model, the small capabilities that strategies ask it for, and the learner that trains it.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Labelled, SeedPath, Stop};

/// A trained regression model; inputs live in the unit box.
///
/// Object-safe, and `Send`, so that bindings can hold one behind a mutex. A capability that the model lacks, or that
/// was not asked for before training, is `None`.
pub trait Surrogate: Send {
    /// Columns of the inputs.
    fn n_inputs(&self) -> usize;
    /// Columns of the predictions.
    fn n_outputs(&self) -> usize;
    /// The prediction (of an ensemble, the mean over members) at `x` (n, n_inputs): shape (n, n_outputs).
    ///
    /// # Errors
    /// A wrong width, inputs or predictions that are not finite.
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError>;
    /// How sure the model is of its predictions. A committee is one answer, so that a model that has one need not say
    /// more.
    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        self.committee().map(|committee| committee as &dyn Uncertainty)
    }
    /// Several models of the same data.
    fn committee(&self) -> Option<&dyn Committee> {
        None
    }
    /// The gradient of the committee's disagreement with respect to the input.
    fn input_gradient(&self) -> Option<&dyn InputGradient> {
        None
    }
    /// A network whose units are dropped at random at prediction time.
    fn dropout(&self) -> Option<&dyn Dropout> {
        None
    }
    /// Heads that predict the loss.
    fn loss_head(&self) -> Option<&dyn LossHead> {
        None
    }
    /// Products of parameter gradients.
    fn tangent(&self) -> Option<&dyn Tangent> {
        None
    }
    /// Features whose inner products are a kernel of the model.
    fn features(&self) -> Option<&dyn Features> {
        None
    }
    /// What strategies see in the place of this model, where it was trained in other units than it answers in.
    fn model_units(&self) -> Option<ModelUnits<'_>> {
        None
    }
    /// How the trainings of its networks ended, where the engine tells; observing it changes nothing.
    fn training_report(&self) -> Option<&TrainingReport> {
        None
    }
    /// What training cost, where the engine measured it. Never part of a result.
    fn training_cost(&self) -> TrainingCost {
        TrainingCost::default()
    }
}

/// A trained model as a strategy sees it.
#[derive(Clone, Copy)]
pub struct ModelUnits<'a> {
    /// The labels that it was trained on, in the units of its answers.
    pub labelled: &'a Labelled,
    /// Its answers, with every capability.
    pub surrogate: &'a dyn Surrogate,
}

/// How the trainings of a model's networks ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingReport {
    /// Members, in order.
    pub members: Vec<TrainingEnd>,
    /// The dropout network, if one was trained.
    pub dropout: Option<TrainingEnd>,
}

/// How the training of one network ended: what `dal_eval::MemberTraining` judges.
///
/// Losses are regression losses in training mode before an epoch's update: mean squared errors over points and outputs,
/// of labels as they were trained on (scaled where the learner scales).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingEnd {
    /// Loss of the last epoch.
    pub final_loss: f64,
    /// The smallest loss of any epoch.
    pub best_loss: f64,
    /// Variance of the labels, mean over outputs: the loss of the best constant.
    pub label_variance: f64,
    /// How often it was trained anew because it had collapsed.
    pub restarts: usize,
}

impl TrainingEnd {
    /// Final loss over the variance of the labels; `None` where the labels are all equal.
    pub fn final_over_variance(&self) -> Option<f64> {
        (self.label_variance > 0.0).then(|| self.final_loss / self.label_variance)
    }

    /// Final loss over the best, 1 at best; `None` where the best was 0 and the end is not.
    pub fn final_over_best(&self) -> Option<f64> {
        if self.final_loss == self.best_loss {
            return Some(1.0);
        }
        (self.best_loss > 0.0).then(|| self.final_loss / self.best_loss)
    }
}

/// Seconds spent in training, as the engine measured them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingCost {
    /// The evaluated model.
    pub model_seconds: Option<f64>,
    /// Networks trained for a strategy only (dropout network, loss heads beyond the model's own cost).
    pub auxiliary_seconds: Option<f64>,
}

/// Mean and variance of a prediction: over a committee's members, over stochastic passes, or of a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Shape (n, n_outputs).
    pub mean: Array2<f64>,
    /// Over members or passes, divided by their number (not by one less); shape (n, n_outputs).
    pub variance: Array2<f64>,
}

/// Receives answers in chunks of consecutive rows, in order: the first row, and an array whose meaning the caller says.
pub type OnChunk<'a> = dyn FnMut(usize, ArrayView3<'_, f64>) + 'a;

/// How sure the evaluated model is of its predictions: an ensemble, a forest, a Gaussian process.
pub trait Uncertainty {
    /// Mean and variance of the prediction at `x` (n, n_inputs); of a committee, over its members.
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError>;
}

/// Several models of the same data.
pub trait Committee: Uncertainty {
    /// How many.
    fn n_members(&self) -> usize;
    /// Every member's prediction, in chunks of consecutive rows: `on_chunk(first_row, predictions)` with predictions of
    /// shape (n_members, chunk, n_outputs). Chunks hold at most `chunk_rows` rows and come in order.
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError>;
}

/// The disagreement and its gradient, for points of a strategy's own choosing.
pub trait InputGradient {
    /// At `x` (n, n_inputs): the variance of [`Uncertainty`] averaged over outputs, shape (n,), and its gradient with
    /// respect to the input, shape (n, n_inputs).
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn disagreement(&self, x: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>), SurrogateError>;
}

/// A network with dropout, trained beside the evaluated model.
pub trait Dropout {
    /// Passes that [`moments`](Self::moments) averages over.
    fn n_passes(&self) -> usize;
    /// Mean and variance over passes at `x` (n, n_inputs); masks are independent per point and pass and come from
    /// `seeds`.
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, SurrogateError>;
    /// The prediction without dropping anything, shape (n, n_outputs): what the network's own test error is taken from.
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError>;
}

/// Heads that were trained to rank losses.
pub trait LossHead {
    /// The predicted loss (arbitrary units, mean over members) at `x` (n, n_inputs): shape (n,).
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn predicted_loss(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>, SurrogateError>;
}

/// A uniform random subset of the trainable parameters, one per member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterSubset {
    /// How many parameters are kept (all of them, where there are fewer).
    pub n_parameters: usize,
    /// The stream they are drawn from; the member's number comes below it.
    pub seeds: SeedPath,
}

/// Products of gradients with respect to every trainable parameter, normalisation statistics held constant.
pub trait Tangent {
    /// The mean over members of ∇f_mj(a) · ∇ℓ_m(c) for anchors a (n_anchors, n_inputs) and candidates c (n, n_inputs),
    /// where ℓ_m(c) = mean_j (f_mj(c) − target_j)² and `target` has shape (n_outputs,).
    ///
    /// `on_chunk(first_candidate, products)` receives chunks in order, shape (chunk, n_anchors, n_outputs).
    ///
    /// # Errors
    /// As [`Surrogate::mean`].
    fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError>;
}

/// What the factors before a network's parameters are when gradients are taken.
///
/// A linear layer counts as `z = weight / √fan_in · W h + bias · b` (a convolution likewise, its fan-in that of its
/// initialisation), BatchNorm's γ as a weight of fan-in 1 and its β as a bias. A gradient by W is then that of
/// PyTorch's parameters times `weight / √fan_in`, and one by b times `bias`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parametrisation {
    /// Before weights.
    pub weight: f64,
    /// Before biases.
    pub bias: f64,
}

impl Default for Parametrisation {
    fn default() -> Self {
        Self { weight: 1.0, bias: 0.1 }
    }
}

/// Of which parameters features are the gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureKind {
    /// Of every parameter of the network.
    #[default]
    Gradient,
    /// Of the last linear layer: its input and a constant.
    LastLayer,
}

/// Which features are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureSpec {
    /// Of which parameters.
    pub kind: FeatureKind,
    /// Columns of a random sketch of them; all of them, exactly, where `None`, which only small networks allow.
    pub columns: Option<usize>,
    /// Of a network with more outputs, this many random combinations `Σ_j ±f_j / √directions` stand for them all; no
    /// sign is drawn where there are no more outputs than this. At least 1; of no effect on the last layer, where every
    /// output has the same gradient.
    pub directions: usize,
    /// The factors before the parameters.
    pub parametrisation: Parametrisation,
    /// The stream of signs and sketch.
    pub seeds: SeedPath,
}

/// Features of points whose inner products are a kernel: `Σ_m Σ_j ∇f_mj(x) · ∇f_mj(x′)` over members m and outputs j.
pub trait Features {
    /// Features at `x` (n, n_inputs): shape (n, columns).
    ///
    /// Outputs count in the units that the network was trained in; BatchNorm is that of inference. With a sketch, and
    /// with fewer directions than outputs, inner products are unbiased estimates, from the same draws for every row:
    /// points that are to be compared belong in one call. Every member has a sketch of its own, added up, which is a
    /// sketch of the members' features side by side.
    ///
    /// # Errors
    /// As [`Surrogate::mean`]; exact features too many to hold; a column or direction count of 0.
    fn features_at(&self, x: ArrayView2<'_, f64>, spec: &FeatureSpec) -> Result<Array2<f64>, SurrogateError>;
}

/// What a strategy will ask the surrogate for, stated before anything is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Predictions.
    pub mean: bool,
    /// [`Uncertainty`].
    pub uncertainty: bool,
    /// [`Committee`].
    pub committee: bool,
    /// [`InputGradient`].
    pub input_gradient: bool,
    /// [`Tangent`].
    pub tangent: bool,
    /// [`Features`]. Left out of what is written where it is not wanted, as before there were any.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub features: bool,
    /// [`Dropout`], with its settings.
    pub dropout: Option<DropoutSpec>,
    /// [`LossHead`], with its settings.
    pub loss_head: Option<LossHeadSpec>,
}

/// One thing that a strategy may ask a model for. Every word about it, every check of a declaration and every battery
/// comes from this table.
#[derive(Clone, Copy)]
pub struct Capability {
    /// In words, as messages and cards use it.
    pub name: &'static str,
    /// Whether these needs declare it.
    pub is_declared: fn(&Needs) -> bool,
    /// Declares it in the second needs as the first do, settings included.
    pub declare_as: fn(&Needs, &mut Needs),
    /// Whether a model offers it.
    pub is_offered: fn(&dyn Surrogate) -> bool,
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Capability").field(&self.name).finish()
    }
}

/// Whether a field of [`Needs`] declares something.
trait Declares {
    fn declares(&self) -> bool;
}

impl Declares for bool {
    fn declares(&self) -> bool {
        *self
    }
}

impl<T> Declares for Option<T> {
    fn declares(&self) -> bool {
        self.is_some()
    }
}

/// One line a capability: its constant, the field of [`Needs`] that declares it, its words, and whether a model offers
/// it.
macro_rules! capabilities {
    ($($constant:ident: $need:ident, $name:literal, $offered:expr;)*) => {
        impl Capability {
            $(
                #[doc = concat!("In words: ", $name, ".")]
                pub const $constant: Self = Self {
                    name: $name,
                    is_declared: |needs| needs.$need.declares(),
                    declare_as: |from, to| to.$need = from.$need,
                    is_offered: $offered,
                };
            )*
            /// Every capability, in the order in which cards list them.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];
        }
    };
}

capabilities! {
    MEAN: mean, "predictions", |_| true;
    UNCERTAINTY: uncertainty, "predictive uncertainty", |model| model.uncertainty().is_some();
    COMMITTEE: committee, "a committee", |model| model.committee().is_some();
    INPUT_GRADIENT: input_gradient, "input gradients", |model| model.input_gradient().is_some();
    TANGENT: tangent, "parameter gradients", |model| model.tangent().is_some();
    FEATURES: features, "gradient features", |model| model.features().is_some();
    DROPOUT: dropout, "a dropout network", |model| model.dropout().is_some();
    LOSS_HEAD: loss_head, "loss-prediction heads", |model| model.loss_head().is_some();
}

impl Needs {
    /// What is declared, in the order of [`Capability::ALL`].
    pub fn capabilities(&self) -> impl Iterator<Item = &'static Capability> {
        Capability::ALL.iter().filter(|capability| (capability.is_declared)(self))
    }

    /// What is declared, in words.
    pub fn in_words(&self) -> Vec<&'static str> {
        self.capabilities().map(|capability| capability.name).collect()
    }
}

/// A dropout network: the evaluated model's widths times a factor (rounded down), no BatchNorm unless it is asked for,
/// inverted dropout after every hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DropoutSpec {
    /// Probability that a unit is dropped, in (0, 1).
    pub rate: f64,
    /// Stochastic passes at prediction time, at least 2.
    pub n_passes: usize,
    /// How much wider than one member the network is.
    pub width_factor: WidthFactor,
    /// Epochs of its training; the evaluated model's where there are none given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Adam's rate in its training; the evaluated model's where there is none given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Whether it keeps the evaluated model's BatchNorm, if that has one; passes normalise with the kept statistics.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub batch_norm: bool,
}

impl Default for DropoutSpec {
    fn default() -> Self {
        Self {
            rate: 0.5,
            n_passes: 25,
            width_factor: WidthFactor::SqrtMembers,
            epochs: None,
            learning_rate: None,
            batch_norm: false,
        }
    }
}

/// How much wider than one of M members an auxiliary network is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WidthFactor {
    /// √M: about as many weights as the ensemble.
    SqrtMembers,
    /// M: as many neurons as the ensemble.
    Members,
    /// This factor.
    Factor(f64),
}

impl WidthFactor {
    /// The factor, beside one of so many members.
    pub fn over_one_of(self, n_members: usize) -> f64 {
        match self {
            Self::SqrtMembers => (n_members as f64).sqrt(),
            Self::Members => n_members as f64,
            Self::Factor(factor) => factor,
        }
    }
}

/// Loss-prediction heads: each of the last `n_layers` hidden layers through a linear layer to `width` units and ReLU,
/// concatenated, then linear to one number; one head per member.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossHeadSpec {
    /// Hidden layers that feed the head, counted from the last (all of them, where there are fewer).
    pub n_layers: usize,
    /// Units per fed layer.
    pub width: usize,
    /// Weight of the ranking loss beside the regression loss.
    pub weight: f64,
    /// Margin of the ranking loss.
    pub margin: f64,
    /// Share of the epochs, in [0, 1], during which the ranking loss reaches the network; afterwards its features are
    /// detached.
    pub joint_share: f64,
}

impl Default for LossHeadSpec {
    fn default() -> Self {
        Self { n_layers: 3, width: 10, weight: 0.001, margin: 1.0, joint_share: 0.6 }
    }
}

/// One model to train.
#[derive(Clone, Debug)]
pub struct FitJob<'a> {
    /// The training data.
    pub labelled: &'a Labelled,
    /// What will be asked of the model.
    pub needs: &'a Needs,
    /// The stream of this training: engines draw from `purpose("weights").index(member)` and siblings of it.
    pub seeds: SeedPath,
}

/// Trains surrogates of one network description.
pub trait Learner: Send {
    /// The numeric platform (engine, kernel path, order of sums): results are byte-identical only on equal ones.
    fn platform(&self) -> String;
    /// Trains every job, together or one after another as the engine sees fit; one answer per job, in order.
    ///
    /// Looks at `stop` once an epoch: on [`Now`](crate::StopLevel::Now) what is being trained ends with
    /// [`LearnError::Stopped`]. A drain lets it end by itself.
    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>>;
}

/// A surrogate cannot answer.
#[derive(Debug, Error)]
pub enum SurrogateError {
    /// The inputs have the wrong number of columns.
    #[error("the model takes {expected} inputs, but the points have {found}")]
    WrongWidth {
        /// Columns the model takes.
        expected: usize,
        /// Columns of the points.
        found: usize,
    },
    /// An input is NaN or infinite.
    #[error("input x{column} of row {row} is {value}, not a finite number")]
    NonFiniteInput {
        /// 0-based row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// A prediction is NaN or infinite.
    #[error("the prediction for row {row}, output {output} is {value}, not a finite number")]
    NonFinitePrediction {
        /// 0-based row.
        row: usize,
        /// 0-based output.
        output: usize,
        /// The offending value.
        value: f64,
    },
    /// A feature is NaN or infinite.
    #[error("feature {column} of row {row} is {value}, not a finite number")]
    NonFiniteFeature {
        /// 0-based row.
        row: usize,
        /// 0-based column of the features.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// A model that knows its predictions at a fixed list of points was asked about another.
    #[error("predictions are known for {known} pool points only; row {row} is not one of them")]
    UnknownPoint {
        /// Points it knows.
        known: usize,
        /// 0-based row that it does not know.
        row: usize,
    },
    /// Anything else, such as a device that was lost.
    #[error("{message}")]
    Other {
        /// What happened.
        message: String,
    },
}

/// What may help a training that is not finite from this epoch on: in the first no step has been taken yet.
fn remedy(epoch: usize) -> &'static str {
    match epoch {
        0 | 1 => {
            "labels or inputs are too large for the network's numbers: standardise the outputs, or give a larger unit"
        }
        _ => "a smaller learning rate may help",
    }
}

/// Training failed; the run is recorded as failed, never filled in.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LearnError {
    /// The loss or a parameter stopped being finite.
    #[error("training diverged: {what} of member {member} is not finite at epoch {epoch}; {}", remedy(*epoch))]
    Diverged {
        /// `loss` or `parameters`.
        what: &'static str,
        /// 0-based member.
        member: usize,
        /// 1-based epoch.
        epoch: usize,
    },
    /// The data do not fit the network.
    #[error(
        "the network has {network_inputs} inputs and {network_outputs} outputs, the data {data_inputs} and {data_outputs}"
    )]
    ShapeMismatch {
        /// Inputs of the network.
        network_inputs: usize,
        /// Outputs of the network.
        network_outputs: usize,
        /// Inputs of the data.
        data_inputs: usize,
        /// Outputs of the data.
        data_outputs: usize,
    },
    /// A value too large for the engine's precision.
    #[error("{what} at row {row}, column {column} is {value}, which single precision cannot hold")]
    Unrepresentable {
        /// `input` or `label`.
        what: &'static str,
        /// 0-based row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// A stop was asked for while this model was trained. It is no failure: training it anew gives the same model.
    #[error("training was stopped before its end")]
    Stopped,
    /// The needs cannot be met by this engine or network.
    #[error("{message}")]
    Unsupported {
        /// What and why.
        message: String,
    },
    /// Anything else, such as a device that was lost.
    #[error("{message}")]
    Other {
        /// What happened.
        message: String,
    },
}
