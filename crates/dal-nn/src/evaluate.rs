//! One member in evaluation mode: predictions, and signals propagated back from its outputs.

use std::borrow::Cow;

use dal_core::Philox;

use crate::conv::{BoundConv, Conv};
use crate::masks::drop_units;
use crate::params::Layout;
use crate::products::{Gemm, Matrix, Products};
use crate::real::Real;
use crate::training::MemberState;
use dal_core::model::NetworkSpec;

/// A trained network's numbers: parameters by [`Layout`], and BatchNorm's statistics at inference.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Parameters.
    pub params: Vec<f32>,
    /// BatchNorm's means.
    pub running_mean: Vec<f32>,
    /// BatchNorm's variances.
    pub running_var: Vec<f32>,
}

impl Member {
    /// What training left.
    pub(crate) fn of(state: MemberState<f32>) -> Self {
        let MemberState { params, running_mean, running_var, .. } = state;
        Self { params, running_mean, running_var }
    }
}

/// Dropout at prediction time: masks of one pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassMasks {
    pub masks: Philox,
    pub rate: f64,
    pub pass: u32,
    /// Row number of the first point of the chunk.
    pub first_row: usize,
}

/// A network in evaluation mode. With `a = γ x̂ + β` and `x̂ = (z − mean) / √(variance + eps)`, BatchNorm is the affine
/// map `a = scale · (z without bias) + shift`.
pub(crate) struct Evaluator<'a, T: Real> {
    pub layout: &'a Layout,
    pub params: Cow<'a, [T]>,
    pub convolutions: Vec<Conv>,
    n_outputs: usize,
    /// By index of the statistics; empty without BatchNorm.
    pub scale: Vec<T>,
    pub shift: Vec<T>,
    /// Likewise: `1/√(variance + eps)`, and the bias less the mean.
    pub inverse: Vec<T>,
    pub centre: Vec<T>,
}

/// Buffers of a forward pass over a chunk of points, kept between chunks.
#[derive(Default)]
pub(crate) struct Trace<T> {
    pub n: usize,
    /// Each hidden layer's output, `(n, width)`.
    pub hidden: Vec<Vec<T>>,
    /// Each BatchNorm's `x̂`, `(n, width)`, where asked for.
    pub normal: Vec<Vec<T>>,
    /// Output of the last Linear, then of each convolution.
    pub tail: Vec<Vec<T>>,
    /// Scratch of the backward pass.
    signal: Vec<T>,
    previous: Vec<T>,
}

/// Rows `range` of a matrix of `width` columns, each `times` times in turn.
pub(crate) fn repeated<T: Copy>(values: &[T], width: usize, range: std::ops::Range<usize>, times: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(range.len() * times * width);
    for row in range {
        for _ in 0..times {
            out.extend_from_slice(&values[row * width..][..width]);
        }
    }
    out
}

impl<T: Copy> Trace<T> {
    /// What a forward pass over the points `range`, each `times` times in turn, would have left.
    pub fn repeated(&self, range: std::ops::Range<usize>, times: usize) -> Self
    where
        T: Default,
    {
        let all = |layers: &[Vec<T>]| -> Vec<Vec<T>> {
            let of = |values: &Vec<T>| repeated(values, values.len() / self.n.max(1), range.clone(), times);
            layers.iter().map(of).collect()
        };
        Self {
            n: range.len() * times,
            hidden: all(&self.hidden),
            normal: all(&self.normal),
            tail: all(&self.tail),
            ..Self::default()
        }
    }
}

impl<T> Trace<T> {
    /// The prediction of the last forward pass, `(n, n_outputs)`.
    pub fn prediction(&self) -> &[T] {
        self.tail.last().map_or(&[], |out| out)
    }
}

impl<'a> Evaluator<'a, f32> {
    /// A member as it was trained, in single precision.
    pub fn single(network: &NetworkSpec, layout: &'a Layout, member: &'a Member) -> Self {
        Self::new(network, layout, Cow::Borrowed(&member.params), &member.running_mean, &member.running_var)
    }
}

impl<'a> Evaluator<'a, f64> {
    /// The same network with its arithmetic in double precision.
    pub fn double(network: &NetworkSpec, layout: &'a Layout, member: &Member) -> Self {
        let params = member.params.iter().map(|&p| f64::from(p)).collect();
        Self::new(network, layout, Cow::Owned(params), &member.running_mean, &member.running_var)
    }
}

impl<'a, T: Real> Evaluator<'a, T> {
    fn new(
        network: &NetworkSpec,
        layout: &'a Layout,
        params: Cow<'a, [T]>,
        running_mean: &[f32],
        running_var: &[f32],
    ) -> Self {
        let n = layout.n_statistics();
        let (mut scale, mut shift) = (vec![T::ZERO; n], vec![T::ZERO; n]);
        let (mut inverse, mut centre) = (vec![T::ZERO; n], vec![T::ZERO; n]);
        let eps = network.batch_norm().map_or(0.0, |bn| bn.eps);
        for block in layout.hidden() {
            let Some(bn) = &block.batch_norm else { continue };
            for (j, at) in block.statistics.clone().enumerate() {
                let unit = 1.0 / (f64::from(running_var[at]) + eps).sqrt();
                let bias = params[block.linear.bias.start + j].to_f64();
                let (gamma, beta) = (params[bn.gamma.start + j].to_f64(), params[bn.beta.start + j].to_f64());
                let offset = bias - f64::from(running_mean[at]);
                inverse[at] = T::from_f64(unit);
                centre[at] = T::from_f64(offset);
                scale[at] = T::from_f64(gamma * unit);
                shift[at] = T::from_f64(beta + offset * gamma * unit);
            }
        }
        let convolutions = network.conv_head().map_or_else(Vec::new, Conv::of);
        Self { layout, params, convolutions, n_outputs: network.n_outputs(), scale, shift, inverse, centre }
    }

    /// Evaluates `x` (n, n_inputs), row-major. `keep_normal` also stores `x̂`.
    pub fn forward(&self, x: &[T], n: usize, masks: Option<&PassMasks>, keep_normal: bool, trace: &mut Trace<T>) {
        trace.n = n;
        trace.hidden.resize_with(self.layout.hidden().len(), Vec::new);
        trace.normal.resize_with(self.layout.hidden().len(), Vec::new);
        trace.tail.resize_with(1 + self.convolutions.len(), Vec::new);
        for (l, block) in self.layout.hidden().iter().enumerate() {
            let (before, from) = trace.hidden.split_at_mut(l);
            let (input, out) = (before.last().map_or(x, |out| out), &mut from[0]);
            let width = block.linear.n_out;
            out.resize(n * width, T::ZERO);
            self.product(&block.linear, input, n, out);
            if block.batch_norm.is_none() {
                let bias = &self.params[block.linear.bias.clone()];
                for row in out.chunks_exact_mut(width) {
                    row.iter_mut().zip(bias).for_each(|(v, &b)| *v = (*v + b).relu());
                }
            } else if keep_normal {
                self.normalise(l, out, &mut trace.normal[l]);
            } else {
                let (scale, shift) = (&self.scale[block.statistics.clone()], &self.shift[block.statistics.clone()]);
                for row in out.chunks_exact_mut(width) {
                    for ((v, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
                        *v = (*v * scale + shift).relu();
                    }
                }
            }
            if let Some(masks) = masks {
                drop_units(&masks.masks, masks.rate, masks.pass, l, masks.first_row, width, out);
            }
        }
        let (last, input) = (self.layout.last(), trace.hidden.last().map_or(x, |out| out));
        let out = &mut trace.tail[0];
        out.resize(n * last.n_out, T::ZERO);
        self.product(last, input, n, out);
        let bias = &self.params[last.bias.clone()];
        for row in out.chunks_exact_mut(last.n_out) {
            row.iter_mut().zip(bias).for_each(|(v, &b)| *v += b);
        }
        for (c, (conv, range)) in self.convolutions.iter().zip(self.layout.conv()).enumerate() {
            let (before, after) = trace.tail.split_at_mut(c + 1);
            after[0].resize(n * conv.n_output(), T::ZERO);
            BoundConv::new(conv, range, &self.params).forward(&before[c], &mut after[0]);
        }
    }

    /// `out = input Wᵀ`.
    pub fn product(&self, linear: &crate::params::LinearRange, input: &[T], n: usize, out: &mut [T]) {
        let weight = Matrix::new(&self.params[linear.weight.clone()], linear.n_out, linear.n_in);
        Gemm::product(Matrix::new(input, n, linear.n_in), weight.t(), out, false);
    }

    fn normalise(&self, l: usize, out: &mut [T], normal: &mut Vec<T>) {
        let block = &self.layout.hidden()[l];
        let Some(bn) = &block.batch_norm else { return };
        let (gamma, beta) = (&self.params[bn.gamma.clone()], &self.params[bn.beta.clone()]);
        let (inverse, centre) = (&self.inverse[block.statistics.clone()], &self.centre[block.statistics.clone()]);
        let width = gamma.len();
        normal.resize(out.len(), T::ZERO);
        for (out, normal) in out.chunks_exact_mut(width).zip(normal.chunks_exact_mut(width)) {
            for j in 0..width {
                normal[j] = (out[j] + centre[j]) * inverse[j];
                out[j] = (gamma[j] * normal[j] + beta[j]).relu();
            }
        }
    }

    /// Propagates `signal` (n, n_outputs), derivatives of some scalar per point with respect to its prediction, back
    /// through a traced pass (without dropout).
    ///
    /// `on_tail(c, signal)` sees the signal at the output of convolution `c`, last first; `on_last(signal)` that at the
    /// output of the last Linear; `on_hidden(l, δ, dz)` that at hidden layer `l` before its ReLU: `δ` at BatchNorm's
    /// output, `dz` at its input, each `(n, width)`, last layer first. The result is the signal at the inputs.
    pub fn backward(
        &self,
        trace: &mut Trace<T>,
        signal: &[T],
        mut on_tail: impl FnMut(usize, &[T]),
        mut on_last: impl FnMut(&[T]),
        mut on_hidden: impl FnMut(usize, &[T], &[T]),
        input_signal: Option<&mut Vec<T>>,
    ) {
        let n = trace.n;
        debug_assert_eq!(signal.len(), n * self.n_outputs);
        let (mut here, mut next) = (std::mem::take(&mut trace.signal), std::mem::take(&mut trace.previous));
        here.clear();
        here.extend_from_slice(signal);
        for (c, (conv, range)) in self.convolutions.iter().zip(self.layout.conv()).enumerate().rev() {
            on_tail(c, &here);
            next.resize(n * conv.n_input(), T::ZERO);
            BoundConv::new(conv, range, &self.params).backward(&here, &mut next);
            std::mem::swap(&mut here, &mut next);
        }
        on_last(&here);
        let n_hidden = self.layout.hidden().len();
        let linears = self.layout.hidden().iter().map(|block| &block.linear).chain([self.layout.last()]);
        let linears: Vec<_> = linears.collect();
        for l in (0..=n_hidden).rev() {
            // `here` is the signal at the output of Linear `l`; go to its input, the output of hidden layer l − 1.
            let linear = linears[l];
            if l == 0 && input_signal.is_none() {
                break;
            }
            next.resize(n * linear.n_in, T::ZERO);
            let weight = Matrix::new(&self.params[linear.weight.clone()], linear.n_out, linear.n_in);
            Gemm::product(Matrix::new(&here, n, linear.n_out), weight, &mut next, false);
            if l == 0 {
                std::mem::swap(&mut here, &mut next);
                break;
            }
            let block = &self.layout.hidden()[l - 1];
            for (s, &out) in next.iter_mut().zip(&trace.hidden[l - 1]) {
                *s = if out > T::ZERO { *s } else { T::ZERO };
            }
            here.clear();
            here.extend_from_slice(&next);
            if block.batch_norm.is_some() {
                let scale = &self.scale[block.statistics.clone()];
                for row in here.chunks_exact_mut(scale.len()) {
                    row.iter_mut().zip(scale).for_each(|(s, &scale)| *s *= scale);
                }
            }
            on_hidden(l - 1, &next, &here);
        }
        if let Some(input_signal) = input_signal {
            input_signal.clear();
            input_signal.extend_from_slice(&here);
        }
        (trace.signal, trace.previous) = (here, next);
    }

    /// The loss head's scores of a traced pass, `(n,)`; zeros where there is no such head.
    pub fn scores(&self, trace: &Trace<T>) -> Vec<T> {
        let n = trace.n;
        let Some(head) = self.layout.loss_head() else { return vec![T::ZERO; n] };
        let n_features = head.score.n_in;
        let mut features = vec![T::ZERO; n * n_features];
        let mut at = 0;
        for (layer, linear) in &head.features {
            let mut one = vec![T::ZERO; n * linear.n_out];
            self.product(linear, &trace.hidden[*layer], n, &mut one);
            let bias = &self.params[linear.bias.clone()];
            for (row, one) in features.chunks_exact_mut(n_features).zip(one.chunks_exact(linear.n_out)) {
                for ((feature, &v), &b) in row[at..].iter_mut().zip(one).zip(bias) {
                    *feature = (v + b).relu();
                }
            }
            at += linear.n_out;
        }
        let mut scores = vec![T::ZERO; n];
        self.product(&head.score, &features, n, &mut scores);
        let bias = self.params[head.score.bias.start];
        scores.iter_mut().for_each(|s| *s += bias);
        scores
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use dal_core::model::{BatchNormSpec, ConvHeadSpec, Head};

    #[test]
    fn a_repeated_trace_is_what_a_pass_over_repeated_points_leaves() {
        let head = Head::Convolution(ConvHeadSpec { length: 6, ..ConvHeadSpec::adm() });
        let network = NetworkSpec::new(3, 12, vec![70, 33], Some(BatchNormSpec::default()), head).unwrap();
        let layout = Layout::new(&network, None);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let member = Member {
            params: layout.initial(&mut rng),
            running_mean: (0..layout.n_statistics()).map(|_| rng.random_range(-0.2..0.2)).collect(),
            running_var: (0..layout.n_statistics()).map(|_| rng.random_range(0.5..2.0)).collect(),
        };
        let evaluator = Evaluator::double(&network, &layout, &member);
        let n = 41;
        let x: Vec<f64> = (0..n * 3).map(|_| rng.random_range(-1.0..1.0)).collect();
        let (mut once, mut again) = (Trace::default(), Trace::default());
        evaluator.forward(&x, n, None, true, &mut once);
        let repeats = repeated(&x, 3, 4..37, 3);
        evaluator.forward(&repeats, 33 * 3, None, true, &mut again);
        let found = once.repeated(4..37, 3);
        assert_eq!(found.n, 99);
        // Not bit by bit: a product of other height ends in other blocks.
        let close = |found: &[Vec<f64>], again: &[Vec<f64>]| {
            assert_eq!(found.len(), again.len());
            for (found, again) in found.iter().zip(again) {
                assert_eq!(found.len(), again.len());
                for (f, a) in found.iter().zip(again) {
                    assert!((f - a).abs() <= 1e-12 * (1.0 + a.abs()), "{f} and {a}");
                }
            }
        };
        close(&found.hidden, &again.hidden);
        close(&found.normal, &again.normal);
        close(&found.tail, &again.tail);
    }
}
