//! Trained members on a device, in evaluation mode: all of them at a chunk of points at once.

use tch::{TchError, Tensor};

use super::blocks::{LinearView, Order, Packing, Views};
use super::device::{Done, Memory};
use super::masks::{Counter, Masks};
use super::pass::{Products, add_at_taps, at_taps, conv_forward, t};
use crate::conv::Conv;
use crate::evaluate::Evaluator;
use crate::surrogate::Ensemble;
use dal_core::model::ConvKind;

type Result<T> = std::result::Result<T, TchError>;

/// Dropout at prediction time: the passes of one network become models of their own.
pub(super) struct PassMasks<'a> {
    pub masks: &'a Masks,
    pub n_passes: usize,
    /// Row number of the first point of the chunk.
    pub first_row: usize,
}

/// Members of one description on a device.
///
/// With BatchNorm a hidden layer gives `relu(scale · W h + shift)`, both per member and feature.
pub(super) struct DeviceEnsemble {
    pub n_members: usize,
    memory: Memory,
    views: Views,
    /// Per hidden layer with BatchNorm, `(members, width, 1)`.
    normed: Vec<Option<(Tensor, Tensor)>>,
    widths: Vec<usize>,
    /// Layers that a loss head reads.
    head_layers: Vec<usize>,
    convolutions: Vec<Conv>,
}

/// What a forward pass leaves, each `(models, features, points)`.
pub(super) struct DeviceTrace {
    /// Each hidden layer's output where asked for, else the last one's alone.
    pub hidden: Vec<Tensor>,
    pub prediction: Tensor,
}

impl DeviceEnsemble {
    /// Brings an ensemble to a device.
    pub fn new(memory: Memory, ensemble: &Ensemble) -> Result<Self> {
        let (network, layout, members) = (&ensemble.network, &ensemble.layout, &ensemble.members);
        let m = members.len();
        let packing = Packing::new(layout, m, Order::ByTensor);
        let params = memory.upload(&packing.pack(|m| &members[m].params), &[packing.len() as i64])?;
        let evaluators: Vec<_> = members.iter().map(|member| Evaluator::single(network, layout, member)).collect();
        let mut normed = Vec::new();
        for block in layout.hidden() {
            let width = block.statistics.len();
            normed.push(if width == 0 {
                None
            } else {
                let column = |of: &dyn Fn(&Evaluator<'_, f32>) -> Vec<f32>| {
                    let values: Vec<f32> = evaluators.iter().flat_map(of).collect();
                    memory.upload(&values, &[m as i64, width as i64, 1])
                };
                let scale = column(&|evaluator| evaluator.scale[block.statistics.clone()].to_vec())?;
                Some((scale, column(&|evaluator| evaluator.shift[block.statistics.clone()].to_vec())?))
            });
        }
        Ok(Self {
            n_members: m,
            memory,
            views: packing.views(network, layout, &params)?,
            normed,
            widths: layout.hidden().iter().map(|block| block.linear.n_out).collect(),
            head_layers: layout.loss_head().map_or_else(Vec::new, |head| head.features.iter().map(|f| f.0).collect()),
            convolutions: network.conv_head().map_or_else(Vec::new, Conv::of),
        })
    }

    /// Bytes that a pass needs for each point, about, with all hidden layers kept or not.
    pub fn bytes_per_point(&self, n_models: usize, keep_hidden: bool) -> usize {
        let widest = self.widths.iter().copied().max().unwrap_or(0);
        let hidden: usize = if keep_hidden { self.widths.iter().sum() } else { 0 };
        let conv: usize =
            self.convolutions.iter().map(|conv| (1 + conv.spec.kernel) * conv.n_output().max(conv.n_input())).sum();
        4 * n_models * (hidden + 3 * widest + conv + 8)
    }

    /// `map` for every model: the members, or one member in several passes.
    fn affine(map: &LinearView, input: &Tensor) -> Result<Tensor> {
        let (models, n) = (input.size()[0], input.size()[2]);
        let (_, n_out, n_in) = map.weight.size3()?;
        let weight = map.weight.f_expand([models, n_out, n_in], false)?;
        map.bias.f_expand([models, n_out, n], false)?.f_baddbmm(&weight, input, 1.0, 1.0)
    }

    /// Evaluates `x (1, n_inputs, n)` with every member or, with `masks`, in every pass of the only member.
    pub fn forward(&self, x: &Tensor, masks: Option<&PassMasks<'_>>, keep_hidden: bool) -> Result<DeviceTrace> {
        let (_, n_inputs, n) = x.size3()?;
        let models = masks.map_or(self.n_members, |masks| masks.n_passes) as i64;
        let mut here = x.f_expand([models, n_inputs, n], false)?;
        let mut hidden = Vec::new();
        for (l, layer) in self.views.hidden.iter().enumerate() {
            let mut out = match &self.normed[l] {
                None => Self::affine(&layer.linear, &here)?,
                Some((scale, shift)) => shift.f_addcmul(&layer.linear.weight.f_bmm(&here)?, scale)?,
            };
            out.f_clamp_min_(0.0).done()?;
            if let Some(masks) = masks {
                let mask = masks.masks.layer(Counter::Pass, l, self.widths[l], masks.first_row, n as usize)?;
                out.f_mul_(&mask).done()?;
            }
            if keep_hidden {
                hidden.push(out.shallow_clone());
            }
            here = out;
        }
        let mut prediction = Self::affine(&self.views.last, &here)?;
        for (conv, map) in self.convolutions.iter().zip(&self.views.conv) {
            let mut after = self.memory.zeros(&[models, conv.n_output() as i64, n])?;
            if models as usize == self.n_members {
                conv_forward(Products::new(false), conv, map, &prediction, &mut after)?;
            } else {
                let spread = |tensor: &Tensor| -> Result<Tensor> {
                    let (_, a, b) = tensor.size3()?;
                    tensor.f_expand([models, a, b], false)
                };
                let map = LinearView { weight: spread(&map.weight)?, bias: spread(&map.bias)? };
                conv_forward(Products::new(false), conv, &map, &prediction, &mut after)?;
            }
            prediction = after;
        }
        Ok(DeviceTrace { hidden, prediction })
    }

    /// From derivatives `signal (members, n_outputs, n)` of some scalar per point with respect to its prediction, of a
    /// traced pass that kept its hidden layers, those with respect to the inputs, `(members, n_inputs, n)`.
    pub fn backward(&self, trace: &DeviceTrace, signal: &Tensor) -> Result<Tensor> {
        let mut here = signal.shallow_clone();
        for (conv, map) in self.convolutions.iter().zip(&self.views.conv).rev() {
            here = conv_signal(conv, map, &here)?;
        }
        here = t(&self.views.last.weight)?.f_bmm(&here)?;
        for (l, layer) in self.views.hidden.iter().enumerate().rev() {
            here = trace.hidden[l].f_threshold_backward(&here, 0.0)?;
            if let Some((scale, _)) = &self.normed[l] {
                here.f_mul_(scale).done()?;
            }
            here = t(&layer.linear.weight)?.f_bmm(&here)?;
        }
        Ok(here)
    }

    /// The loss heads' scores of a traced pass that kept its hidden layers, `(members, n)`; `None` where there are
    /// none.
    pub fn scores(&self, trace: &DeviceTrace) -> Result<Option<Tensor>> {
        let Some(score) = &self.views.score else { return Ok(None) };
        let mut parts = Vec::new();
        for (map, &layer) in self.views.features.iter().zip(&self.head_layers) {
            parts.push(Self::affine(map, &trace.hidden[layer])?.f_clamp_min(0.0)?);
        }
        Ok(Some(Self::affine(score, &Tensor::f_cat(&parts, 1)?)?.f_squeeze_dim(1)?))
    }
}

/// The derivative with respect to a convolution's input from that with respect to its output.
pub(super) fn conv_signal(conv: &Conv, map: &LinearView, after: &Tensor) -> Result<Tensor> {
    let (m, _, n) = after.size3()?;
    let (n_in, n_out, kernel) = (conv.spec.n_in as i64, conv.spec.n_out as i64, conv.spec.kernel as i64);
    let (n_before, n_after) = (conv.n_before as i64, conv.n_after as i64);
    match conv.spec.kind {
        ConvKind::Plain => {
            let before = Tensor::f_zeros([m, n_in, n_before, n], (after.kind(), after.device()))?;
            let taps = t(&map.weight)?.f_bmm(&after.f_reshape([m, n_out, n_after * n])?)?;
            add_at_taps(conv, &taps.f_view((m, n_in * kernel, n_after, n))?, &before)?;
            before.f_view((m, n_in * n_before, n))
        }
        ConvKind::Transposed => {
            let taps = at_taps(conv, &after.f_reshape([m, n_out, n_after, n])?, conv.n_before)?;
            map.weight.f_bmm(&taps.f_view((m, n_out * kernel, n_before * n))?)?.f_view((m, n_in * n_before, n))
        }
    }
}
