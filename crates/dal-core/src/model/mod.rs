//! A model to be trained, as plain data: what kind it is, its network, its training, its members.
//!
//! Cards of problems, presets, problem files, overrides in sweep files and candidates of a search are a [`ModelSpec`]
//! or an [`MlpOverlay`] on one. Numbers of inputs and outputs are the problem's and come in last, by
//! [`MlpEnsemble::network`].

mod overlay;
mod spec;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use overlay::MlpOverlay;
pub use spec::{
    AdamSpec, BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, DecayReading, Head,
    NetworkSpec, OnCollapse, PlateauSpec, SpecError, TrainingSpec,
};

use crate::Settings;

/// Columns of a problem's points and numbers in its answers, as a model meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Columns of the inputs.
    pub n_inputs: usize,
    /// Numbers in an answer.
    pub n_outputs: usize,
}

/// A model of some kind. In files it is a table with `kind`; without that key it is an [`MlpEnsemble`].
#[derive(Clone, Debug, PartialEq)]
pub enum ModelSpec {
    /// `mlp-ensemble`: independently trained fully connected networks.
    MlpEnsemble(MlpEnsemble),
    /// A kind that an engine of its own reads.
    Other {
        /// Its name.
        kind: String,
        /// Everything else that is said of it.
        settings: Settings,
    },
}

/// The kind of [`MlpEnsemble`].
pub const MLP_ENSEMBLE: &str = "mlp-ensemble";

/// An ensemble of fully connected networks, as far as it does not depend on the problem's numbers of inputs and
/// outputs.
///
/// Can be written down as a constant: hidden widths and convolutions may be borrowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpEnsemble {
    /// Width of each hidden layer; none makes the network linear.
    pub hidden: Cow<'static, [usize]>,
    /// BatchNorm between each hidden Linear and its ReLU, if any.
    pub batch_norm: Option<BatchNormSpec>,
    /// What follows the last hidden layer.
    pub head: Head,
    /// Members and how each is trained.
    pub training: TrainingSpec,
}

impl MlpEnsemble {
    /// The network that `foil` is published with.
    pub const DEFAULT: Self = Self {
        hidden: Cow::Borrowed(&[200; 4]),
        batch_norm: Some(BatchNormSpec::RUNNING),
        head: Head::Linear,
        training: TrainingSpec { weight_decay: 1e-4, ..TrainingSpec::DEFAULT },
    };

    /// What a user's problem gets that says nothing of its network: chosen on tables that are not among the benchmark's
    /// (`docs/results/tables.md`). Its members stand in for no published number, so one that did not learn is trained
    /// anew.
    pub const OF_USERS: Self = Self {
        hidden: Cow::Borrowed(&[200; 3]),
        batch_norm: None,
        head: Head::Linear,
        training: TrainingSpec {
            learning_rate: 3e-3,
            weight_decay: 1e-3,
            on_collapse: OnCollapse::Restart,
            ..TrainingSpec::DEFAULT
        },
    };

    /// An ensemble of the published training (ten members, 500 epochs) with a Linear head.
    ///
    /// ```
    /// use dal_core::model::{BatchNormSpec, MlpEnsemble};
    /// const SEVEN: MlpEnsemble = MlpEnsemble::of(&[20; 9], Some(BatchNormSpec::RUNNING), 1e-3, 0.0).with_members(7);
    /// assert_eq!(SEVEN.to_string(), "9 × 20, running BatchNorm, learning rate 1e-3, weight decay 0");
    /// ```
    pub const fn of(
        hidden: &'static [usize],
        batch_norm: Option<BatchNormSpec>,
        learning_rate: f64,
        weight_decay: f64,
    ) -> Self {
        let training = TrainingSpec { learning_rate, weight_decay, ..TrainingSpec::DEFAULT };
        Self { hidden: Cow::Borrowed(hidden), batch_norm, head: Head::Linear, training }
    }

    /// With so many members.
    #[must_use]
    pub const fn with_members(mut self, n_members: usize) -> Self {
        self.training.n_members = n_members;
        self
    }

    /// With its decay as it acted where the losses of so many members were averaged into one.
    #[must_use]
    pub const fn with_averaged_loss(mut self, members: usize) -> Self {
        self.training.decay_reading = DecayReading::AveragedLoss { members };
        self
    }

    /// The network of one member.
    ///
    /// # Errors
    /// [`SpecError`] for zero sizes, numbers out of range, or a head that does not end in the problem's outputs.
    pub fn network(&self, shape: Shape) -> Result<NetworkSpec, SpecError> {
        let hidden = self.hidden.to_vec();
        NetworkSpec::new(shape.n_inputs, shape.n_outputs, hidden, self.batch_norm, self.head.clone())
    }

    /// Number of members.
    pub fn n_members(&self) -> usize {
        self.training.n_members
    }
}

impl Default for MlpEnsemble {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl ModelSpec {
    /// The kind's name.
    pub fn kind(&self) -> &str {
        match self {
            Self::MlpEnsemble(_) => MLP_ENSEMBLE,
            Self::Other { kind, .. } => kind,
        }
    }

    /// Networks times epochs of one training: what its duration is proportional to. 1 for a kind that is trained as a
    /// whole.
    pub fn n_passes(&self) -> usize {
        self.as_mlp().map_or(1, |mlp| mlp.training.n_members.saturating_mul(mlp.training.epochs))
    }

    /// The ensemble, if it is one.
    pub fn as_mlp(&self) -> Option<&MlpEnsemble> {
        match self {
            Self::MlpEnsemble(mlp) => Some(mlp),
            Self::Other { .. } => None,
        }
    }
}

impl From<MlpEnsemble> for ModelSpec {
    fn from(mlp: MlpEnsemble) -> Self {
        Self::MlpEnsemble(mlp)
    }
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self::MlpEnsemble(MlpEnsemble::DEFAULT)
    }
}

impl Serialize for ModelSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = match self {
            Self::MlpEnsemble(mlp) => match serde_json::to_value(mlp).map_err(serde::ser::Error::custom)? {
                Value::Object(object) => object,
                _ => Map::new(),
            },
            Self::Other { settings, .. } => settings.to_object(),
        };
        object.insert("kind".into(), self.kind().into());
        object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ModelSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut object = Map::deserialize(deserializer)?;
        match object.remove("kind") {
            None => {}
            Some(Value::String(kind)) if kind == MLP_ENSEMBLE => {}
            Some(Value::String(kind)) => {
                return Ok(Self::Other { kind, settings: object.into_iter().collect() });
            }
            Some(other) => return Err(D::Error::custom(format!("`kind = {other}` is no name of a model kind"))),
        }
        serde_json::from_value(Value::Object(object)).map(Self::MlpEnsemble).map_err(D::Error::custom)
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MlpEnsemble(mlp) => mlp.fmt(f),
            Self::Other { kind, settings } => {
                f.write_str(kind)?;
                settings.as_texts().iter().try_for_each(|(key, value)| write!(f, ", {key} {value}"))
            }
        }
    }
}

impl fmt::Display for MlpEnsemble {
    /// `9 × 20, running BatchNorm, learning rate 1e-3, weight decay 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TrainingSpec { learning_rate, weight_decay, .. } = self.training;
        write!(f, "{}, {}", widths(&self.hidden), norm(self.batch_norm.as_ref()))?;
        if let Head::Convolution(head) = &self.head {
            write!(f, ", then Linear to {} and {} convolutions", head.length, head.layers.len())?;
        }
        write!(f, ", learning rate {}, weight decay {}", power(learning_rate), power(weight_decay))?;
        match self.training.decay_reading {
            DecayReading::PerMember => Ok(()),
            reading => write!(f, " {}", reading.in_words()),
        }
    }
}

/// `running BatchNorm`, `recomputed BatchNorm` or `no BatchNorm`.
pub fn norm(batch_norm: Option<&BatchNormSpec>) -> &'static str {
    match batch_norm.map(|norm| norm.statistics) {
        None => "no BatchNorm",
        Some(BatchNormStatistics::Running) => "running BatchNorm",
        Some(BatchNormStatistics::Recomputed) => "recomputed BatchNorm",
    }
}

/// `9 × 20`, or the widths one by one where they differ.
pub fn widths(hidden: &[usize]) -> String {
    match hidden {
        [] => "linear".into(),
        [first, ..] if hidden.iter().all(|width| width == first) => format!("{} × {first}", hidden.len()),
        _ => hidden.iter().map(usize::to_string).collect::<Vec<_>>().join("-"),
    }
}

/// `1e-4`, and zero as `0`.
pub fn power(v: f64) -> String {
    if v == 0.0 { "0".into() } else { format!("{v:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_survives_json_and_another_kind_keeps_its_words() {
        let mlp = ModelSpec::default();
        let text = serde_json::to_string(&mlp).unwrap();
        assert!(text.contains(r#""kind":"mlp-ensemble""#) && !text.contains("on_collapse"), "{text}");
        assert_eq!(serde_json::from_str::<ModelSpec>(&text).unwrap(), mlp);
        let other: ModelSpec = serde_json::from_str(r#"{"kind": "nearest", "k": 3}"#).unwrap();
        assert_eq!((other.kind(), other.to_string().as_str()), ("nearest", "nearest, k 3"));
        assert_eq!(serde_json::from_str::<ModelSpec>(&serde_json::to_string(&other).unwrap()).unwrap(), other);
        assert!(serde_json::from_str::<ModelSpec>(r#"{"hiden": [3]}"#).unwrap_err().to_string().contains("hiden"));
    }

    #[test]
    fn models_say_what_they_are() {
        assert_eq!(
            MlpEnsemble { hidden: Cow::Borrowed(&[20; 9]), ..MlpEnsemble::DEFAULT }.to_string(),
            "9 × 20, running BatchNorm, learning rate 1e-3, weight decay 1e-4"
        );
        let averaged = MlpEnsemble::DEFAULT.with_averaged_loss(10);
        assert!(averaged.to_string().ends_with("weight decay 1e-4 on the averaged loss of 10 members"));
        let text = serde_json::to_string(&averaged).unwrap();
        assert!(text.contains(r#""decay_reading":{"averaged-loss":{"members":10}}"#), "{text}");
        assert_eq!(serde_json::from_str::<MlpEnsemble>(&text).unwrap(), averaged);
        assert!(MlpEnsemble::DEFAULT.with_averaged_loss(0).training.validate().is_err());
        assert_eq!(widths(&[3, 4]), "3-4");
        assert_eq!(power(0.0), "0");
    }
}
