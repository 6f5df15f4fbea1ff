//! Products of parameter gradients on a device, in f64, by layer-wise inner products: see [`crate::tangent`] for the
//! formulas. Points are the last axis of every tensor, so rows there are columns here.

use ndarray::{Array3, ArrayView1, s};
use tch::{Kind, TchError, Tensor};

use super::blocks::{LinearView, Order, Packing, Views};
use super::device::{Done, Memory, download};
use super::evaluate::conv_signal;
use super::pass::{Products, at_taps, conv_forward, t};
use crate::conv::Conv;
use crate::evaluate::Evaluator;
use crate::surrogate::Ensemble;
use dal_core::model::ConvKind;

type Result<T> = std::result::Result<T, TchError>;

/// BatchNorm in evaluation mode, each `(members, width, 1)`: `x̂ = (W h + centre) inverse`, `a = γ x̂ + β`.
struct Norm {
    inverse: Tensor,
    centre: Tensor,
    gamma: Tensor,
    beta: Tensor,
    scale: Tensor,
}

/// Members in f64.
pub(super) struct DeviceTangent {
    memory: Memory,
    n_members: i64,
    views: Views,
    norms: Vec<Option<Norm>>,
    convolutions: Vec<Conv>,
    n_outputs: usize,
    /// Values that one column of signals takes, of all members.
    values_per_column: usize,
}

/// What a forward pass keeps, each `(members, features, columns)`.
struct Trace {
    input: Tensor,
    hidden: Vec<Tensor>,
    normal: Vec<Option<Tensor>>,
    tail: Vec<Tensor>,
}

impl Trace {
    /// The input of Linear `l` (the last one counts as layer `n_hidden`).
    fn input_of(&self, l: usize) -> &Tensor {
        if l == 0 { &self.input } else { &self.hidden[l - 1] }
    }

    /// Every column `times` times.
    fn repeated(&self, times: i64) -> Result<Self> {
        let repeat = |tensor: &Tensor| -> Result<Tensor> {
            let (m, width, n) = tensor.size3()?;
            tensor.f_unsqueeze(3)?.f_expand([m, width, n, times], false)?.f_reshape([m, width, n * times])
        };
        let all = |tensors: &[Tensor]| tensors.iter().map(repeat).collect::<Result<Vec<_>>>();
        let normal: Result<Vec<_>> = self.normal.iter().map(|normal| normal.as_ref().map(repeat).transpose()).collect();
        Ok(Self { input: repeat(&self.input)?, hidden: all(&self.hidden)?, normal: normal?, tail: all(&self.tail)? })
    }
}

/// A scalar per column, differentiated.
struct Signals {
    /// Per hidden layer and, at the end, the last Linear: the derivative at its output.
    dz: Vec<Tensor>,
    /// Per hidden layer with BatchNorm, `[δ, δ ⊙ x̂]`.
    normal: Vec<Option<Tensor>>,
    /// Explicit gradients of each convolution's parameters.
    conv: Vec<Tensor>,
}

impl DeviceTangent {
    /// Brings an ensemble to a device in f64.
    pub fn new(memory: Memory, ensemble: &Ensemble) -> Result<Self> {
        let (network, layout, members) = (&ensemble.network, &ensemble.layout, &ensemble.members);
        let m = members.len();
        let packing = Packing::new(layout, m, Order::ByTensor);
        let params: Vec<f64> = packing.pack(|m| &members[m].params).into_iter().map(f64::from).collect();
        let views = packing.views(network, layout, &memory.upload(&params, &[params.len() as i64])?)?;
        let evaluators: Vec<_> = members.iter().map(|member| Evaluator::double(network, layout, member)).collect();
        let mut norms = Vec::new();
        for (block, layer) in layout.hidden().iter().zip(&views.hidden) {
            norms.push(match &layer.norm {
                None => None,
                Some(parameters) => {
                    let column = |of: &dyn Fn(&Evaluator<'_, f64>) -> Vec<f64>| {
                        let values: Vec<f64> = evaluators.iter().flat_map(of).collect();
                        memory.upload(&values, &[m as i64, block.statistics.len() as i64, 1])
                    };
                    let part = block.statistics.clone();
                    Some(Norm {
                        inverse: column(&|evaluator| evaluator.inverse[part.clone()].to_vec())?,
                        centre: column(&|evaluator| evaluator.centre[part.clone()].to_vec())?,
                        scale: column(&|evaluator| evaluator.scale[part.clone()].to_vec())?,
                        gamma: parameters.gamma.shallow_clone(),
                        beta: parameters.beta.shallow_clone(),
                    })
                }
            });
        }
        let widths: usize = layout.hidden().iter().map(|block| 6 * block.linear.n_out).sum();
        let convolutions = network.conv_head().map_or_else(Vec::new, Conv::of);
        let conv: usize =
            convolutions.iter().map(|conv| (2 + conv.spec.kernel) * conv.n_output().max(conv.n_input())).sum();
        Ok(Self {
            memory,
            n_members: m as i64,
            views,
            norms,
            convolutions,
            n_outputs: network.n_outputs(),
            values_per_column: m * (widths + conv + 2 * layout.last().n_out + 2 * network.n_outputs()),
        })
    }

    fn affine(map: &LinearView, input: &Tensor) -> Result<Tensor> {
        map.weight.f_bmm(input)?.f_add(&map.bias)
    }

    fn forward(&self, x: &Tensor) -> Result<Trace> {
        let (_, n_inputs, n) = x.size3()?;
        let input = x.f_expand([self.n_members, n_inputs, n], false)?;
        let mut trace = Trace { input, hidden: Vec::new(), normal: Vec::new(), tail: Vec::new() };
        for (l, layer) in self.views.hidden.iter().enumerate() {
            let (normal, mut out) = match &self.norms[l] {
                None => (None, Self::affine(&layer.linear, trace.input_of(l))?),
                Some(norm) => {
                    let z = layer.linear.weight.f_bmm(trace.input_of(l))?;
                    let normal = z.f_add(&norm.centre)?.f_mul(&norm.inverse)?;
                    let out = norm.beta.f_addcmul(&normal, &norm.gamma)?;
                    (Some(normal), out)
                }
            };
            out.f_clamp_min_(0.0).done()?;
            trace.hidden.push(out);
            trace.normal.push(normal);
        }
        trace.tail.push(Self::affine(&self.views.last, trace.input_of(self.views.hidden.len()))?);
        for (c, (conv, map)) in self.convolutions.iter().zip(&self.views.conv).enumerate() {
            let mut after =
                Tensor::f_zeros([self.n_members, conv.n_output() as i64, n], (Kind::Double, self.memory.0))?;
            conv_forward(Products::new(false), conv, map, &trace.tail[c], &mut after)?;
            trace.tail.push(after);
        }
        Ok(trace)
    }

    /// Signals of the scalars whose derivatives with respect to the prediction are `signal`.
    fn signals(&self, trace: &Trace, signal: &Tensor) -> Result<Signals> {
        let mut here = signal.shallow_clone();
        let mut conv_gradients = Vec::new();
        for (c, (conv, map)) in self.convolutions.iter().zip(&self.views.conv).enumerate().rev() {
            conv_gradients.push(conv_gradient(conv, &trace.tail[c], &here)?);
            here = conv_signal(conv, map, &here)?;
        }
        let n_hidden = self.views.hidden.len();
        let mut dz = vec![here.shallow_clone()];
        let mut normals = Vec::new();
        let mut above = &self.views.last.weight;
        for l in (0..n_hidden).rev() {
            let delta = trace.hidden[l].f_threshold_backward(&t(above)?.f_bmm(&here)?, 0.0)?;
            (here, normals) = match (&self.norms[l], &trace.normal[l]) {
                (Some(norm), Some(normal)) => {
                    let with_normal = Tensor::f_cat(&[delta.shallow_clone(), delta.f_mul(normal)?], 1)?;
                    normals.push(Some(with_normal));
                    (delta.f_mul(&norm.scale)?, normals)
                }
                _ => {
                    normals.push(None);
                    (delta, normals)
                }
            };
            dz.push(here.shallow_clone());
            above = &self.views.hidden[l].linear.weight;
        }
        dz.reverse();
        normals.reverse();
        Ok(Signals { dz, normal: normals, conv: conv_gradients })
    }

    /// Products at `anchors` and `candidates`, each `(1, n_inputs, n)`, averaged over members:
    /// `(n, n_anchors, n_outputs)`. About `values` numbers are held at once.
    pub fn products(
        &self,
        (anchors, candidates): (&Tensor, &Tensor),
        target: ArrayView1<'_, f64>,
        values: usize,
    ) -> Result<Array3<f64>> {
        let (at_anchors, at_candidates) = (self.forward(anchors)?, self.forward(candidates)?);
        let (n_anchors, n) = (anchors.size()[2], candidates.size()[2]);
        let n_outputs = self.n_outputs;
        let column = |of: &dyn Fn(usize) -> f64| {
            self.memory.upload(&(0..n_outputs).map(of).collect::<Vec<_>>(), &[1, n_outputs as i64, 1])
        };
        // ∂ℓ/∂(network output j) = 2 (f − target) / n_outputs.
        let slope = 2.0 / n_outputs as f64;
        let prediction = &at_candidates.tail[at_candidates.tail.len() - 1];
        let signal = column(&|j| -slope * target[j])?.f_addcmul(prediction, &column(&|_| slope)?)?;
        let loss = self.signals(&at_candidates, &signal)?;
        let inputs: Result<Vec<_>> = (0..=self.views.hidden.len())
            .map(|l| t(at_candidates.input_of(l))?.f_bmm(at_anchors.input_of(l))?.f_add_scalar(1.0)?.f_unsqueeze(3))
            .collect();
        let inputs = inputs?;
        let mut out = Array3::zeros((n as usize, n_anchors as usize, n_outputs));
        let per_output = n_anchors as usize * (self.values_per_column + 2 * (self.n_members * n) as usize);
        let outputs_at_once = (values / per_output.max(1)).clamp(1, n_outputs);
        for first in (0..n_outputs).step_by(outputs_at_once) {
            let some = outputs_at_once.min(n_outputs - first);
            let times = some as i64;
            // One column per anchor and output, the output varying fastest.
            let mut unit = vec![0.0; n_outputs * some];
            for k in 0..some {
                unit[(first + k) * some + k] = 1.0;
            }
            let unit = self.memory.upload(&unit, &[1, n_outputs as i64, 1, times])?;
            let shape = [self.n_members, n_outputs as i64, n_anchors, times];
            let signal =
                unit.f_expand(shape, false)?.f_reshape([self.n_members, n_outputs as i64, n_anchors * times])?;
            let signals = self.signals(&at_anchors.repeated(times)?, &signal)?;
            let mut sums = Tensor::f_zeros([n, n_anchors, times], (Kind::Double, self.memory.0))?;
            let mut add = |left: &Tensor, right: &Tensor, factor: Option<&Tensor>| -> Result<()> {
                let mut products = t(left)?.f_bmm(right)?.f_view((self.n_members, n, n_anchors, times))?;
                if let Some(factor) = factor {
                    products.f_mul_(factor).done()?;
                }
                sums.f_add_(&products.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?).done()
            };
            for (l, input) in inputs.iter().enumerate() {
                add(&loss.dz[l], &signals.dz[l], Some(input))?;
            }
            for (left, right) in loss.normal.iter().zip(&signals.normal) {
                if let (Some(left), Some(right)) = (left, right) {
                    add(left, right, None)?;
                }
            }
            for (left, right) in loss.conv.iter().zip(&signals.conv) {
                add(left, right, None)?;
            }
            let sums = download::<f64>(&sums.f_mul_scalar(1.0 / self.n_members as f64)?)?;
            let to = out.slice_mut(s![.., .., first..first + some]);
            to.into_iter().zip(sums).for_each(|(to, value)| *to = value);
        }
        Ok(out)
    }
}

/// The gradient of a convolution's weights and biases, one column per point, from the derivative at its output.
fn conv_gradient(conv: &Conv, before: &Tensor, after: &Tensor) -> Result<Tensor> {
    let (m, _, n) = after.size3()?;
    let (n_in, n_out) = (conv.spec.n_in as i64, conv.spec.n_out as i64);
    let before = before.f_reshape([m, n_in, conv.n_before as i64, n])?;
    let after = after.f_reshape([m, n_out, conv.n_after as i64, n])?;
    // (members, rows, length, points) to (members, points, rows, length).
    let by_point = |tensor: &Tensor| tensor.f_permute([0i64, 3, 1, 2]);
    let (left, right) = match conv.spec.kind {
        ConvKind::Plain => (by_point(&after)?, by_point(&at_taps(conv, &before, conv.n_after)?)?),
        ConvKind::Transposed => (by_point(&before)?, by_point(&at_taps(conv, &after, conv.n_before)?)?),
    };
    let weight = left.f_matmul(&right.f_transpose(2, 3)?)?.f_reshape([m, n, -1])?.f_transpose(1, 2)?;
    let bias = after.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Double)?;
    Tensor::f_cat(&[weight, bias], 1)
}
