//! What a network is and how it is trained, as validated, serialisable values shared by every engine.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Why a description of a network or of its training was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// A count that must be at least one is zero.
    #[error("{what} must be at least 1, found 0")]
    Zero {
        /// The count's name, as in `n_members` or `hidden[2]`.
        what: String,
    },
    /// A real number lies outside its range.
    #[error("{what} = {found} is outside {allowed}")]
    OutOfRange {
        /// The number's name.
        what: &'static str,
        /// The value found.
        found: f64,
        /// The permitted range, in words.
        allowed: &'static str,
    },
    /// The convolution head does not end in the number of outputs the network promises.
    #[error("the convolution head yields {found} values, the network has {expected} outputs")]
    HeadLength {
        /// Channels times length after the last convolution.
        found: usize,
        /// The network's outputs.
        expected: usize,
    },
    /// A convolution's channels do not continue those of the layer before it.
    #[error("convolution {layer} takes {found} channels, the layer before it gives {expected}")]
    HeadChannels {
        /// Index of the convolution, from 0.
        layer: usize,
        /// Its input channels.
        found: usize,
        /// The channels it is given.
        expected: usize,
    },
    /// A convolution has nothing to give: its kernel is longer than its padded input, or its padding eats all of it.
    #[error("convolution {layer} (kernel {kernel}, padding {padding}) yields no value from length {length}")]
    HeadCollapse {
        /// Index of the convolution, from 0.
        layer: usize,
        /// Length of its input.
        length: usize,
        /// Kernel size.
        kernel: usize,
        /// Padding.
        padding: usize,
    },
    /// Members under one schedule cannot be trained anew one by one.
    #[error(
        "`decay_reading = \"coupled-loss\"` trains all members under one schedule; use `on_collapse = \"keep\"` with it"
    )]
    CoupledRestart,
    /// The network is larger than any that is trained.
    #[error("the network has {found} weights, more than the {limit} that are taken")]
    TooLarge {
        /// Its weights.
        found: u128,
        /// The most.
        limit: u128,
    },
}

impl SpecError {
    /// The field that is to blame, as in `hidden` or `learning_rate`, where it is one number's fault.
    pub fn field(&self) -> Option<&str> {
        let path = match self {
            Self::Zero { what } => what.as_str(),
            Self::OutOfRange { what, .. } => what,
            Self::CoupledRestart => "decay_reading",
            _ => return None,
        };
        path.split(['.', '[']).next()
    }
}

/// Which statistics BatchNorm uses at inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormStatistics {
    /// The running averages gathered in training: `r ← (1 − momentum) r + momentum s`, `s` the batch mean or the
    /// unbiased batch variance.
    Running,
    /// The statistics of the training set under the final parameters, from one pass at the end of training (each
    /// layer's input being what training mode gives it). The unbiased variance is kept.
    Recomputed,
}

/// Batch normalisation between a hidden layer's affine map and its ReLU.
///
/// Training normalises with the mean and the *biased* variance of the batch, and gathers the *unbiased* variance. A
/// batch of one point has no spread: its variance is taken as 0 for the normalisation, and the running variance is left
/// untouched (PyTorch refuses such a batch).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNormSpec {
    /// Weight of the newest batch in the running averages, in `(0, 1]`; 0.1 as in PyTorch.
    pub momentum: f64,
    /// Added to the variance before the square root, positive; 1e-5 as in PyTorch.
    pub eps: f64,
    /// Statistics used at inference.
    pub statistics: BatchNormStatistics,
}

impl BatchNormSpec {
    /// PyTorch's constants; running averages at inference.
    pub const RUNNING: Self = Self { momentum: 0.1, eps: 1e-5, statistics: BatchNormStatistics::Running };
    /// PyTorch's constants; statistics of the training set at inference.
    pub const RECOMPUTED: Self = Self { statistics: BatchNormStatistics::Recomputed, ..Self::RUNNING };
}

impl Default for BatchNormSpec {
    fn default() -> Self {
        Self::RUNNING
    }
}

/// The kind of a one-dimensional convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConvKind {
    /// Cross-correlation (`Conv1d`): `out[o, t] = b[o] + Σ_{i,k} w[o, i, k] in[i, t·stride + k − padding]`, weights
    /// `[out, in, kernel]`, length `(L + 2 padding − kernel) / stride + 1`.
    Plain,
    /// Transposed convolution (`ConvTranspose1d`): `in[i, t]` adds `w[i, o, k] in[i, t]` to
    /// `out[o, t·stride + k − padding]`, weights `[in, out, kernel]`, length `(L − 1) stride − 2 padding + kernel`.
    Transposed,
}

/// One convolution of a [`ConvHeadSpec`]. No activation follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvLayerSpec {
    /// Plain or transposed.
    pub kind: ConvKind,
    /// Channels in.
    pub n_in: usize,
    /// Channels out.
    pub n_out: usize,
    /// Kernel size.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Zero padding (for a transposed convolution: values cut from both ends).
    pub padding: usize,
}

impl ConvLayerSpec {
    /// Number of weights, biases not counted.
    pub fn n_weights(&self) -> usize {
        self.n_in * self.n_out * self.kernel
    }

    /// Output length for an input of `length` values per channel; `None` where nothing would be left.
    pub fn output_length(&self, length: usize) -> Option<usize> {
        match self.kind {
            ConvKind::Plain => {
                let padded = self.padding.checked_mul(2)?.checked_add(length)?;
                Some(padded.checked_sub(self.kernel)? / self.stride + 1)
            }
            ConvKind::Transposed => {
                let full = length.checked_sub(1)?.checked_mul(self.stride)?.checked_add(self.kernel)?;
                full.checked_sub(self.padding.checked_mul(2)?).filter(|&left| left > 0)
            }
        }
    }

    /// The fan-in PyTorch's default initialisation uses: the second axis of the weight times the kernel size (for a
    /// transposed convolution these are the *output* channels).
    pub fn fan_in(&self) -> usize {
        match self.kind {
            ConvKind::Plain => self.n_in * self.kernel,
            ConvKind::Transposed => self.n_out * self.kernel,
        }
    }
}

/// A stack of one-dimensional convolutions behind the last Linear, which yields one channel of `length` values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvHeadSpec {
    /// Width of the last Linear layer: the length of the single channel entering the first convolution.
    pub length: usize,
    /// The convolutions in order, without activations between them.
    pub layers: Cow<'static, [ConvLayerSpec]>,
}

impl ConvHeadSpec {
    /// The head of the ADM benchmark: 1000 values → ConvTranspose1d(1→4, k 4, stride 2, padding 1) → 2000 values →
    /// ConvTranspose1d(4→4, k 3, padding 1) twice → Conv1d(4→1, k 1).
    pub const fn adm() -> Self {
        use ConvKind::{Plain, Transposed};
        const fn layer(
            kind: ConvKind,
            n_in: usize,
            n_out: usize,
            kernel: usize,
            stride: usize,
            padding: usize,
        ) -> ConvLayerSpec {
            ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding }
        }
        const LAYERS: &[ConvLayerSpec] = &[
            layer(Transposed, 1, 4, 4, 2, 1),
            layer(Transposed, 4, 4, 3, 1, 1),
            layer(Transposed, 4, 4, 3, 1, 1),
            layer(Plain, 4, 1, 1, 1, 0),
        ];
        Self { length: 1000, layers: Cow::Borrowed(LAYERS) }
    }

    /// Lengths per channel: entry 0 is the input's, entry `i + 1` that after convolution `i`.
    ///
    /// # Errors
    /// [`SpecError`] where a size is zero, channels do not chain, or a convolution yields nothing.
    pub fn lengths(&self) -> Result<Vec<usize>, SpecError> {
        nonzero("head.length", self.length)?;
        nonzero("head.layers", self.layers.len())?;
        let mut lengths = vec![self.length];
        let mut channels = 1;
        for (i, layer) in self.layers.iter().enumerate() {
            nonzero(format!("head.layers[{i}].n_in"), layer.n_in)?;
            nonzero(format!("head.layers[{i}].n_out"), layer.n_out)?;
            nonzero(format!("head.layers[{i}].kernel"), layer.kernel)?;
            nonzero(format!("head.layers[{i}].stride"), layer.stride)?;
            if layer.n_in != channels {
                return Err(SpecError::HeadChannels { layer: i, found: layer.n_in, expected: channels });
            }
            let length = lengths[i];
            let next = layer.output_length(length).ok_or(SpecError::HeadCollapse {
                layer: i,
                length,
                kernel: layer.kernel,
                padding: layer.padding,
            })?;
            channels = layer.n_out;
            lengths.push(next);
        }
        Ok(lengths)
    }
}

/// What follows the last hidden layer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// One Linear layer to the outputs.
    #[default]
    Linear,
    /// One Linear layer to [`ConvHeadSpec::length`] values, then convolutions.
    Convolution(ConvHeadSpec),
}

/// A fully connected regression network: hidden blocks Linear → (BatchNorm →) ReLU, then a [`Head`].
///
/// ```
/// use dal_core::model::{BatchNormSpec, Head, NetworkSpec};
///
/// let sine = NetworkSpec::new(1, 1, vec![20; 9], Some(BatchNormSpec::default()), Head::Linear)?;
/// assert_eq!(sine.hidden().len(), 9);
/// assert!(NetworkSpec::new(1, 1, vec![20, 0], None, Head::Linear).is_err());
/// # Ok::<(), dal_core::model::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawNetworkSpec")]
pub struct NetworkSpec {
    n_inputs: usize,
    n_outputs: usize,
    hidden: Vec<usize>,
    batch_norm: Option<BatchNormSpec>,
    head: Head,
}

/// [`NetworkSpec`] as written in a file, before validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNetworkSpec {
    n_inputs: usize,
    n_outputs: usize,
    hidden: Vec<usize>,
    batch_norm: Option<BatchNormSpec>,
    #[serde(default)]
    head: Head,
}

impl TryFrom<RawNetworkSpec> for NetworkSpec {
    type Error = SpecError;
    fn try_from(raw: RawNetworkSpec) -> Result<Self, SpecError> {
        Self::new(raw.n_inputs, raw.n_outputs, raw.hidden, raw.batch_norm, raw.head)
    }
}

/// The largest number of parameters a description may ask for; beyond it a corrupted file is likelier than a wish.
const MAX_PARAMETERS: u128 = 1 << 30;

impl NetworkSpec {
    /// A network from `n_inputs` features through `hidden` widths (none makes it linear) to `n_outputs`.
    ///
    /// # Errors
    /// [`SpecError`] for zero sizes, BatchNorm settings out of range, or a head that does not end in `n_outputs`.
    pub fn new(
        n_inputs: usize,
        n_outputs: usize,
        hidden: Vec<usize>,
        batch_norm: Option<BatchNormSpec>,
        head: Head,
    ) -> Result<Self, SpecError> {
        nonzero("n_inputs", n_inputs)?;
        nonzero("n_outputs", n_outputs)?;
        for (i, &width) in hidden.iter().enumerate() {
            nonzero(format!("hidden[{i}]"), width)?;
        }
        if let Some(bn) = &batch_norm {
            within("batch_norm.momentum", bn.momentum, bn.momentum > 0.0 && bn.momentum <= 1.0, "(0, 1]")?;
            within("batch_norm.eps", bn.eps, bn.eps > 0.0 && bn.eps.is_finite(), "(0, ∞)")?;
        }
        let mut last = n_outputs;
        if let Head::Convolution(conv) = &head {
            let lengths = conv.lengths()?;
            let channels = conv.layers[conv.layers.len() - 1].n_out;
            let found = channels.saturating_mul(lengths[lengths.len() - 1]);
            if found != n_outputs {
                return Err(SpecError::HeadLength { found, expected: n_outputs });
            }
            last = conv.length;
        }
        let mut count = 0u128;
        let mut fan_in = n_inputs as u128;
        for width in hidden.iter().copied().chain([last]) {
            count = count.saturating_add(fan_in.saturating_mul(width as u128));
            fan_in = width as u128;
        }
        if let Head::Convolution(conv) = &head {
            for layer in conv.layers.iter() {
                let weights = (layer.n_in as u128).saturating_mul(layer.n_out as u128);
                count = count.saturating_add(weights.saturating_mul(layer.kernel as u128));
            }
        }
        if count > MAX_PARAMETERS {
            return Err(SpecError::TooLarge { found: count, limit: MAX_PARAMETERS });
        }
        Ok(Self { n_inputs, n_outputs, hidden, batch_norm, head })
    }

    /// Number of features.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Widths of the hidden layers, first to last.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// BatchNorm of the hidden layers, if any.
    pub fn batch_norm(&self) -> Option<&BatchNormSpec> {
        self.batch_norm.as_ref()
    }

    /// What follows the last hidden layer.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The convolutions behind the last Linear, if any.
    pub fn conv_head(&self) -> Option<&ConvHeadSpec> {
        match &self.head {
            Head::Linear => None,
            Head::Convolution(conv) => Some(conv),
        }
    }

    /// Outputs of the last Linear layer: `n_outputs`, or the convolution head's length.
    pub fn linear_outputs(&self) -> usize {
        self.conv_head().map_or(self.n_outputs, |conv| conv.length)
    }

    /// The network of dropout sampling: hidden widths multiplied by `factor` and rounded down, at least 1; BatchNorm
    /// only where it is kept.
    ///
    /// # Errors
    /// [`SpecError::OutOfRange`] unless `factor` is positive and finite.
    pub fn widened(&self, factor: f64, keeps_batch_norm: bool) -> Result<Self, SpecError> {
        within("the width factor", factor, factor > 0.0 && factor.is_finite(), "(0, ∞)")?;
        let hidden = self.hidden.iter().map(|&w| ((w as f64 * factor).floor() as usize).max(1)).collect();
        let batch_norm = self.batch_norm.filter(|_| keeps_batch_norm);
        Self::new(self.n_inputs, self.n_outputs, hidden, batch_norm, self.head.clone())
    }
}

/// Adam's constants; defaults as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamSpec {
    /// Decay of the first moment, in `[0, 1)`.
    pub beta1: f64,
    /// Decay of the second moment, in `[0, 1)`.
    pub beta2: f64,
    /// Added to the root of the corrected second moment, positive.
    pub eps: f64,
}

impl AdamSpec {
    /// PyTorch's constants.
    pub const DEFAULT: Self = Self { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
}

impl Default for AdamSpec {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Decay of the learning rate when the training loss stops falling, per epoch and member.
///
/// The rule sees the loss computed before the epoch's update: `loss < best (1 − threshold)` makes it the best and
/// clears the counter, anything else adds one; a counter above `patience` multiplies the rate by `factor` from the next
/// epoch on (unless that changes it by no more than 1e-8) and clears the counter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlateauSpec {
    /// Multiplier of the rate, in `(0, 1]`.
    pub factor: f64,
    /// Epochs without improvement that are forgiven.
    pub patience: usize,
    /// Relative improvement that counts, in `[0, 1)`.
    pub threshold: f64,
}

impl PlateauSpec {
    /// The published rule.
    pub const DEFAULT: Self = Self { factor: 0.8, patience: 10, threshold: 1e-4 };
}

impl Default for PlateauSpec {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How the number printed as weight decay acts on independent members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayReading {
    /// As printed, in every member's own gradient.
    #[default]
    PerMember,
    /// As it acted where the losses of `members` members were averaged into one under one Adam: a member's data
    /// gradient is divided by their number, the decay is not, and Adam is scale-free, so members trained by themselves
    /// take the decay (and Adam's eps) times `members`.
    AveragedLoss {
        /// Members of the ensemble that the number was printed for.
        members: usize,
    },
    /// The averaged loss itself, of the ensemble's own members: decay and eps act as in
    /// [`AveragedLoss`](Self::AveragedLoss), and the plateau rule is shown the mean of the members' losses, so that all
    /// have one learning rate.
    CoupledLoss,
}

impl DecayReading {
    /// Whether the decay acts as printed.
    pub fn is_per_member(&self) -> bool {
        *self == Self::PerMember
    }

    /// In words, behind a decay: `in each member's own loss`, `on the averaged loss of 10 members`.
    pub fn in_words(&self) -> String {
        match self {
            Self::PerMember => "in each member's own loss".to_owned(),
            Self::AveragedLoss { members } => format!("on the averaged loss of {members} members"),
            Self::CoupledLoss => "on the members' averaged loss, under one schedule".to_owned(),
        }
    }
}

/// What is done with a member that ends without having learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCollapse {
    /// It stays in the ensemble, as in the published form; records say so.
    #[default]
    Keep,
    /// It is trained anew from the next stream, [`MOST_RESTARTS`](Self::MOST_RESTARTS) times at most; the last training
    /// stays.
    Restart,
}

impl OnCollapse {
    /// How often a member is trained anew.
    pub const MOST_RESTARTS: usize = 5;
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How an ensemble is trained: full-batch Adam on the mean squared error, every member by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSpec {
    /// Independent members of the ensemble; they differ only in their initial weights.
    pub n_members: usize,
    /// Full-batch epochs, from scratch.
    pub epochs: usize,
    /// Initial learning rate.
    pub learning_rate: f64,
    /// L2 decay: `weight_decay · θ` is added to the gradient of every parameter, as Adam's option in PyTorch does.
    pub weight_decay: f64,
    /// Adam's constants.
    pub adam: AdamSpec,
    /// Learning-rate schedule; `None` keeps the rate.
    pub plateau: Option<PlateauSpec>,
    /// How `weight_decay` acts; absent at its default.
    #[serde(skip_serializing_if = "is_default")]
    pub decay_reading: DecayReading,
    /// What is done with members that do not learn; absent at its default.
    #[serde(skip_serializing_if = "is_default")]
    pub on_collapse: OnCollapse,
}

impl TrainingSpec {
    /// Ten members, 500 epochs, rate 1e-3, no decay of weights, decay of the rate at plateaus.
    pub const DEFAULT: Self = Self {
        n_members: 10,
        epochs: 500,
        learning_rate: 1e-3,
        weight_decay: 0.0,
        adam: AdamSpec::DEFAULT,
        plateau: Some(PlateauSpec::DEFAULT),
        decay_reading: DecayReading::PerMember,
        on_collapse: OnCollapse::Keep,
    };
}

impl Default for TrainingSpec {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TrainingSpec {
    /// What weight decay and Adam's eps are multiplied by where every member is updated by itself.
    pub fn decay_factor(&self) -> f64 {
        match self.decay_reading {
            DecayReading::PerMember => 1.0,
            DecayReading::AveragedLoss { members } => members as f64,
            DecayReading::CoupledLoss => self.n_members as f64,
        }
    }

    /// The same for a network whose loss is its own, whatever the ensemble beside it: its decay acts as printed.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { decay_reading: DecayReading::PerMember, ..self.clone() }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`SpecError`] naming the first number out of range. Zero epochs are allowed: the initial networks.
    pub fn validate(&self) -> Result<(), SpecError> {
        nonzero("n_members", self.n_members)?;
        let rate = self.learning_rate;
        within("learning_rate", rate, rate > 0.0 && rate.is_finite(), "(0, ∞)")?;
        let decay = self.weight_decay;
        within("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "[0, ∞)")?;
        let AdamSpec { beta1, beta2, eps } = self.adam;
        within("adam.beta1", beta1, (0.0..1.0).contains(&beta1), "[0, 1)")?;
        within("adam.beta2", beta2, (0.0..1.0).contains(&beta2), "[0, 1)")?;
        within("adam.eps", eps, eps > 0.0 && eps.is_finite(), "(0, ∞)")?;
        if let DecayReading::AveragedLoss { members } = self.decay_reading {
            nonzero("decay_reading.averaged-loss.members", members)?;
        }
        if self.decay_reading == DecayReading::CoupledLoss && self.on_collapse == OnCollapse::Restart {
            return Err(SpecError::CoupledRestart);
        }
        if let Some(plateau) = &self.plateau {
            within("plateau.factor", plateau.factor, plateau.factor > 0.0 && plateau.factor <= 1.0, "(0, 1]")?;
            within("plateau.threshold", plateau.threshold, (0.0..1.0).contains(&plateau.threshold), "[0, 1)")?;
        }
        Ok(())
    }
}

pub(super) fn nonzero(what: impl Into<String>, found: usize) -> Result<(), SpecError> {
    if found == 0 { Err(SpecError::Zero { what: what.into() }) } else { Ok(()) }
}

fn within(what: &'static str, found: f64, ok: bool, allowed: &'static str) -> Result<(), SpecError> {
    if ok { Ok(()) } else { Err(SpecError::OutOfRange { what, found, allowed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adm_head_turns_1000_values_into_2000() {
        assert_eq!(ConvHeadSpec::adm().lengths(), Ok(vec![1000, 2000, 2000, 2000, 2000]));
        assert!(NetworkSpec::new(14, 2000, vec![8; 4], None, Head::Convolution(ConvHeadSpec::adm())).is_ok());
        assert_eq!(
            NetworkSpec::new(14, 1999, vec![8], None, Head::Convolution(ConvHeadSpec::adm())),
            Err(SpecError::HeadLength { found: 2000, expected: 1999 })
        );
    }

    #[test]
    fn zero_widths_and_absurd_sizes_are_refused() {
        assert!(matches!(NetworkSpec::new(0, 1, vec![], None, Head::Linear), Err(SpecError::Zero { .. })));
        let error = NetworkSpec::new(1, 1, vec![3, 0], None, Head::Linear).unwrap_err();
        assert_eq!(
            (error.field(), error.to_string().as_str()),
            (Some("hidden"), "hidden[1] must be at least 1, found 0")
        );
        let large = NetworkSpec::new(1, 1, vec![usize::MAX; 2], None, Head::Linear).unwrap_err();
        assert!(matches!(large, SpecError::TooLarge { .. }) && large.to_string().contains("1073741824"), "{large}");
        let bn = BatchNormSpec { eps: 0.0, ..BatchNormSpec::default() };
        assert!(matches!(NetworkSpec::new(1, 1, vec![2], Some(bn), Head::Linear), Err(SpecError::OutOfRange { .. })));
        let nan = TrainingSpec { learning_rate: f64::NAN, ..TrainingSpec::default() };
        assert!(matches!(nan.validate(), Err(SpecError::OutOfRange { .. })));
    }

    #[test]
    fn descriptions_survive_json_and_unknown_keys_are_errors() {
        let spec = NetworkSpec::new(
            14,
            2000,
            vec![15; 4],
            Some(BatchNormSpec::default()),
            Head::Convolution(ConvHeadSpec::adm()),
        )
        .unwrap();
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<NetworkSpec>(&text).unwrap(), spec);
        assert!(serde_json::from_str::<NetworkSpec>(r#"{"n_inputs":1,"n_outputs":1,"hidden":[0]}"#).is_err());
        assert!(serde_json::from_str::<NetworkSpec>(r#"{"n_inputs":1,"n_outputs":1,"hidden":[1],"x":1}"#).is_err());
        assert!(serde_json::from_str::<TrainingSpec>(r#"{"epoch":1}"#).is_err());
    }
}
