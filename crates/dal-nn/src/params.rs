//! Where each parameter of a network lies in its flat vector, and PyTorch's default initial values.
//!
//! A member is one flat vector. In order, for each hidden layer: weight `[width, fan_in]` row-major (as PyTorch's
//! `Linear`), bias `[width]`, then with BatchNorm γ `[width]` and β `[width]`; the last Linear's weight and bias; for
//! each convolution of the head weight (`[out, in, kernel]`, transposed `[in, out, kernel]`) and bias; and, where a
//! loss head is trained along, for each feature layer weight `[width, fan_in]` and bias, then the score's weight
//! `[1, layers · width]` and bias `[1]`. BatchNorm's running means and variances are not parameters: they lie in two
//! vectors of their own, layer after layer ([`Layout::statistics`]).

use std::ops::Range;

use rand::Rng;
use rand_distr::{Distribution, Uniform};

use crate::real::Real;
use dal_core::model::NetworkSpec;

/// Position of an affine map: `weight` `[n_out, n_in]` row-major, and `bias` `[n_out]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearRange {
    /// Inputs.
    pub n_in: usize,
    /// Outputs.
    pub n_out: usize,
    /// The weight's range in the parameter vector.
    pub weight: Range<usize>,
    /// The bias's range in the parameter vector.
    pub bias: Range<usize>,
}

/// Position of BatchNorm's scale and shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchNormRange {
    /// γ.
    pub gamma: Range<usize>,
    /// β.
    pub beta: Range<usize>,
}

/// Position of one hidden block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenRange {
    /// The affine map.
    pub linear: LinearRange,
    /// BatchNorm's parameters, if the network has it.
    pub batch_norm: Option<BatchNormRange>,
    /// The layer's range in the vectors of running means and of running variances; empty without BatchNorm.
    pub statistics: Range<usize>,
}

/// Position of one convolution: weights as [`ConvKind`](crate::ConvKind) states, and bias `[n_out]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvRange {
    /// The weight's range.
    pub weight: Range<usize>,
    /// The bias's range.
    pub bias: Range<usize>,
}

/// Position of the auxiliary head that predicts a point's loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossHeadRange {
    /// For each hidden layer it reads, the layer's index and the affine map from that layer's activations.
    pub features: Vec<(usize, LinearRange)>,
    /// The affine map from the concatenated features (after ReLU) to the score.
    pub score: LinearRange,
}

/// Width and reach of an auxiliary loss head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossHeadShape {
    /// How many of the last hidden layers it reads (all of them where the network has fewer).
    pub n_layers: usize,
    /// Features per layer it reads.
    pub width: usize,
}

/// Where every parameter of a network lies in its flat vector.
///
/// ```
/// use dal_nn::{BatchNormSpec, Head, Layout, NetworkSpec};
///
/// let spec = NetworkSpec::new(2, 1, vec![3], Some(BatchNormSpec::default()), Head::Linear)?;
/// let layout = Layout::new(&spec, None);
/// // 2·3 weights, 3 biases, 3 γ, 3 β, then 3 weights and 1 bias.
/// assert_eq!(layout.n_parameters(), 19);
/// assert_eq!(layout.last().weight, 15..18);
/// # Ok::<(), dal_nn::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    hidden: Vec<HiddenRange>,
    last: LinearRange,
    conv: Vec<ConvRange>,
    /// `(layer, fan_in)` of each convolution, for initialisation.
    conv_fan_in: Vec<usize>,
    loss_head: Option<LossHeadRange>,
    n_parameters: usize,
    n_statistics: usize,
}

/// Hands out consecutive ranges.
struct Cursor(usize);

impl Cursor {
    fn take(&mut self, n: usize) -> Range<usize> {
        let start = self.0;
        self.0 += n;
        start..self.0
    }

    fn linear(&mut self, n_in: usize, n_out: usize) -> LinearRange {
        LinearRange { n_in, n_out, weight: self.take(n_in * n_out), bias: self.take(n_out) }
    }
}

impl Layout {
    /// The layout of `network`, with the parameters of a loss head appended where one is trained along.
    pub fn new(network: &NetworkSpec, loss_head: Option<LossHeadShape>) -> Self {
        let mut at = Cursor(0);
        let mut stats = Cursor(0);
        let mut fan_in = network.n_inputs();
        let mut hidden = Vec::with_capacity(network.hidden().len());
        for &width in network.hidden() {
            let linear = at.linear(fan_in, width);
            let (batch_norm, statistics) = if network.batch_norm().is_some() {
                (Some(BatchNormRange { gamma: at.take(width), beta: at.take(width) }), stats.take(width))
            } else {
                (None, stats.take(0))
            };
            hidden.push(HiddenRange { linear, batch_norm, statistics });
            fan_in = width;
        }
        let last = at.linear(fan_in, network.linear_outputs());
        let convolutions = network.conv_head().map_or(&[][..], |head| &head.layers);
        let conv = convolutions
            .iter()
            .map(|layer| ConvRange { weight: at.take(layer.n_weights()), bias: at.take(layer.n_out) })
            .collect();
        let conv_fan_in = convolutions.iter().map(|layer| layer.fan_in()).collect();
        let loss_head = loss_head.map(|shape| {
            let first = hidden.len().saturating_sub(shape.n_layers);
            let features: Vec<_> = (first..hidden.len())
                .map(|layer| (layer, at.linear(hidden[layer].linear.n_out, shape.width)))
                .collect();
            let score = at.linear(features.len() * shape.width, 1);
            LossHeadRange { features, score }
        });
        Self { hidden, last, conv, conv_fan_in, loss_head, n_parameters: at.0, n_statistics: stats.0 }
    }

    /// The hidden blocks, first to last.
    pub fn hidden(&self) -> &[HiddenRange] {
        &self.hidden
    }

    /// The last Linear.
    pub fn last(&self) -> &LinearRange {
        &self.last
    }

    /// The head's convolutions, in order; empty for a linear head.
    pub fn conv(&self) -> &[ConvRange] {
        &self.conv
    }

    /// The fan-in of each convolution, as its initialisation counts it.
    pub(crate) fn conv_fan_in(&self) -> &[usize] {
        &self.conv_fan_in
    }

    /// The auxiliary loss head, if one is trained along.
    pub fn loss_head(&self) -> Option<&LossHeadRange> {
        self.loss_head.as_ref()
    }

    /// Length of the parameter vector.
    pub fn n_parameters(&self) -> usize {
        self.n_parameters
    }

    /// Parameters of the regression network alone: everything before the loss head.
    pub fn n_network_parameters(&self) -> usize {
        let last = self.conv.last().map_or(&self.last.bias, |conv| &conv.bias);
        last.end
    }

    /// Length of the vector of running means, and of that of running variances.
    pub fn n_statistics(&self) -> usize {
        self.n_statistics
    }

    /// PyTorch's default initial parameters: weights and biases uniform in ±1/√fan_in, γ = 1, β = 0. One stream is read
    /// in the order of the vector, γ and β drawing nothing, so a loss head leaves the network's own values as they are.
    pub fn initial<T: Real>(&self, stream: &mut impl Rng) -> Vec<T> {
        let mut params = vec![T::ZERO; self.n_parameters];
        let mut uniform = |range: &Range<usize>, fan_in: usize| {
            let bound = 1.0 / (fan_in as f64).sqrt();
            // The bound is positive and finite, so the range is valid.
            let Ok(range_of_values) = Uniform::new(-bound, bound) else { return };
            for value in &mut params[range.clone()] {
                *value = T::from_f64(range_of_values.sample(stream));
            }
        };
        let mut linear = |layer: &LinearRange| {
            uniform(&layer.weight, layer.n_in.max(1));
            uniform(&layer.bias, layer.n_in.max(1));
        };
        for block in &self.hidden {
            linear(&block.linear);
        }
        linear(&self.last);
        for (conv, &fan_in) in self.conv.iter().zip(&self.conv_fan_in) {
            uniform(&conv.weight, fan_in);
            uniform(&conv.bias, fan_in);
        }
        if let Some(head) = &self.loss_head {
            let mut linear = |layer: &LinearRange| {
                uniform(&layer.weight, layer.n_in.max(1));
                uniform(&layer.bias, layer.n_in.max(1));
            };
            for (_, layer) in &head.features {
                linear(layer);
            }
            linear(&head.score);
        }
        for bn in self.hidden.iter().filter_map(|block| block.batch_norm.as_ref()) {
            params[bn.gamma.clone()].fill(T::ONE);
        }
        params
    }
}
