//! What follows or hangs beside the hidden layers in training: convolutions, the loss head, dropout masks.

use dal_core::Philox;

use super::buffer::Buffer;
use crate::conv::Conv;
use crate::masks::{UNITS_PER_BLOCK, half_words, permute, threshold};
use crate::params::LossHeadRange;
use crate::training::{DropoutTraining, LossHeadTraining, TrainJob};
use dal_core::model::ConvKind;
use dal_kernels::{Backward, Forward, In, Kernels, Out, RowTap, Source, Taps};

/// Fills `keep`, panels of `width` features, with the factors of hidden layer `layer` in epoch `epoch`: 0 where a unit
/// is dropped, else 1 / (1 − rate).
pub(super) fn fill_masks(
    kernels: &Kernels,
    n_points: usize,
    dropout: &DropoutTraining,
    epoch: usize,
    layer: usize,
    width: usize,
    keep: &mut [f32],
) {
    let masks = Philox::new(dropout.key);
    let limit = threshold(dropout.rate);
    let scale = (1.0 / (1.0 - dropout.rate)) as f32;
    for (first, row) in kernels.panels(n_points) {
        let panel = &mut keep[first * width..][..row * width];
        for point in 0..row.min(n_points - first) {
            for block in 0..width.div_ceil(UNITS_PER_BLOCK) {
                let halves = half_words(&masks, epoch as u32, layer as u32, (first + point) as u32, block as u32);
                let units = block * UNITS_PER_BLOCK..width.min((block + 1) * UNITS_PER_BLOCK);
                for (unit, half) in units.zip(halves) {
                    panel[unit * row + point] = if half >= limit { scale } else { 0.0 };
                }
            }
        }
    }
}

/// One convolution behind the last Linear: its taps both ways and its output, later that output's gradient.
pub(super) struct Convolution {
    conv: Conv,
    forward: Vec<RowTap>,
    backward: Vec<RowTap>,
    pub(super) output: Buffer,
}

impl Convolution {
    pub(super) fn all(job: &TrainJob<'_, f32>, padded: usize) -> Vec<Self> {
        let convolutions = job.network.conv_head().map_or_else(Vec::new, Conv::of);
        convolutions
            .into_iter()
            .map(|conv| {
                let mut forward = Vec::new();
                conv.for_each_weight(|weight, i, o, taps| {
                    let (before, after) = (i * conv.n_before, o * conv.n_after);
                    let count = taps.short.len();
                    let (short, long, stride) = (taps.short.start, taps.long, conv.spec.stride);
                    forward.push(match conv.spec.kind {
                        ConvKind::Plain => RowTap {
                            weight,
                            from: before + long,
                            from_step: stride,
                            to: after + short,
                            to_step: 1,
                            count,
                        },
                        ConvKind::Transposed => RowTap {
                            weight,
                            from: before + short,
                            from_step: 1,
                            to: after + long,
                            to_step: stride,
                            count,
                        },
                    });
                });
                let backward = forward
                    .iter()
                    .map(|tap| RowTap {
                        from: tap.to,
                        from_step: tap.to_step,
                        to: tap.from,
                        to_step: tap.from_step,
                        ..*tap
                    })
                    .collect();
                Self { conv, forward, backward, output: Buffer::zeros(conv.n_output() * padded) }
            })
            .collect()
    }

    fn taps<'a>(&self, n_points: usize, taps: &'a [RowTap], backward: bool) -> Taps<'a> {
        let (n_from, n_to) = (self.conv.n_input(), self.conv.n_output());
        let (n_from, n_to) = if backward { (n_to, n_from) } else { (n_from, n_to) };
        Taps { n_points, n_from, n_to, taps }
    }

    /// `output` from the panels of `input`.
    pub(super) fn forward(&mut self, kernels: &Kernels, n_points: usize, weight: &[f32], bias: &[f32], input: &[f32]) {
        for (first, row) in kernels.panels(n_points) {
            let panel = &mut self.output[first * self.conv.n_output()..][..row * self.conv.n_output()];
            for (channel, &bias) in panel.chunks_exact_mut(self.conv.n_after * row).zip(bias) {
                channel.fill(bias);
            }
        }
        let taps = self.taps(n_points, &self.forward, false);
        kernels.spread(&taps, In::from(weight), In::from(input), Out::from(&mut self.output[..]));
    }

    /// From the gradient in `output`: those of weight and bias, and of `input`, which it overwrites.
    pub(super) fn backward(
        &self,
        kernels: &Kernels,
        n_points: usize,
        weight: &[f32],
        (d_weight, d_bias): (&mut [f32], &mut [f32]),
        input: &mut [f32],
        rows: &mut [f32],
    ) {
        d_weight.fill(0.0);
        let taps = self.taps(n_points, &self.forward, false);
        kernels.correlate(&taps, In::from(&*input), In::from(&self.output[..]), Out::from(d_weight));
        let n = self.conv.n_output();
        kernels.row_sums(n_points, n, In::from(&self.output[..]), Out::from(&mut rows[..n]));
        for (bias, channel) in d_bias.iter_mut().zip(rows[..n].chunks_exact(self.conv.n_after)) {
            *bias = channel.iter().sum();
        }
        input.fill(0.0);
        let taps = self.taps(n_points, &self.backward, true);
        kernels.spread(&taps, In::from(weight), In::from(&self.output[..]), Out::from(input));
    }
}

/// One hidden layer that the loss head reads.
struct Feature {
    /// Panels of pre-activations of the features, then of their gradient.
    z: Buffer,
    delta: Buffer,
    /// This layer's share of the scores.
    share: Buffer,
    /// Panels of the hidden layer: what the ranking loss adds to the gradient of its activations.
    extra: Buffer,
}

/// The loss head's buffers.
pub(super) struct LossHead {
    features: Vec<Feature>,
    /// Ones and zeros: gain and shift of a plain ReLU.
    gain: Buffer,
    shift: Buffer,
    /// Panels of one feature: the gradient of `weight · R` with respect to the scores.
    delta: Buffer,
    scores: Vec<f32>,
    point_loss: Vec<f64>,
    permutation: Vec<u32>,
    sums: Buffer,
    scratch: Buffer,
    joint: bool,
}

impl LossHead {
    pub(super) fn new(kernels: &Kernels, job: &TrainJob<'_, f32>, range: &LossHeadRange) -> Self {
        let padded = kernels.padded(job.n);
        let width = range.features.first().map_or(0, |(_, linear)| linear.n_out);
        let features = range
            .features
            .iter()
            .map(|(_, linear)| Feature {
                z: Buffer::zeros(width * padded),
                delta: Buffer::zeros(width * padded),
                share: Buffer::zeros(padded),
                extra: Buffer::zeros(linear.n_in * padded),
            })
            .collect();
        let widest = range.features.iter().map(|(_, linear)| linear.n_in).max().unwrap_or(0);
        let scratch = range.features.iter().map(|(_, linear)| kernels.scratch(linear.n_in, width)).max().unwrap_or(0);
        let mut gain = Buffer::zeros(width);
        gain.fill(1.0);
        Self {
            features,
            gain,
            shift: Buffer::zeros(width),
            delta: Buffer::zeros(padded),
            scores: vec![0.0; job.n],
            point_loss: vec![0.0; job.n],
            permutation: vec![0; job.n],
            sums: Buffer::zeros(kernels.sums(width.max(widest))),
            scratch: Buffer::zeros(scratch.max(kernels.scratch(width, 1))),
            joint: false,
        }
    }

    /// What the ranking loss adds to the gradient of hidden layer `l`'s activations, in the joint phase.
    pub(super) fn extra<'a>(&'a self, range: &LossHeadRange, l: usize) -> In<'a> {
        let feature = range.features.iter().position(|(layer, _)| *layer == l).filter(|_| self.joint);
        feature.map_or(In::absent(), |f| In::from(&self.features[f].extra[..]))
    }

    /// Squared error of every point, from panels of outputs and labels.
    fn point_losses(&mut self, kernels: &Kernels, n_outputs: usize, output: &[f32], target: &[f32]) {
        let n = self.point_loss.len();
        self.point_loss.fill(0.0);
        for (first, row) in kernels.panels(n) {
            let losses = &mut self.point_loss[first..n.min(first + row)];
            let panel = first * n_outputs..(first + row) * n_outputs;
            for (output, target) in output[panel.clone()].chunks_exact(row).zip(target[panel].chunks_exact(row)) {
                for ((loss, &f), &y) in losses.iter_mut().zip(output).zip(target) {
                    *loss += f64::from(f - y).powi(2);
                }
            }
        }
    }

    /// Scores, the ranking loss's gradient, and all gradients of the head's own parameters; in the joint phase also
    /// what the hidden layers get. `sources` gives the activations of a hidden layer.
    pub(super) fn pass<'a>(
        &mut self,
        kernels: &Kernels,
        job: &TrainJob<'_, f32>,
        (range, training): (&LossHeadRange, &LossHeadTraining),
        epoch: usize,
        params: &[f32],
        gradient: &mut [f32],
        (output, target): (&[f32], &[f32]),
        sources: impl Fn(usize) -> Source<'a>,
    ) {
        let (n, width) = (job.n, training.shape.width);
        self.joint = epoch < training.joint_epochs;
        self.point_losses(kernels, job.network.n_outputs(), output, target);
        let zero = [0.0];
        let score_weight = &params[range.score.weight.clone()];
        for (f, (layer, linear)) in range.features.iter().enumerate() {
            let feature = &mut self.features[f];
            kernels.forward(&Forward {
                n_points: n,
                n_in: linear.n_in,
                n_out: width,
                source: sources(*layer),
                weight: In::from(&params[linear.weight.clone()]),
                start: In::from(&params[linear.bias.clone()]),
                output: Out::from(&mut feature.z[..]),
                sums: Out::absent(),
                scratch: Out::from(&mut self.scratch[..]),
            });
            kernels.forward(&Forward {
                n_points: n,
                n_in: width,
                n_out: 1,
                source: relu(&feature.z, &self.gain, &self.shift),
                weight: In::from(&score_weight[f * width..][..width]),
                start: if f == 0 { In::from(&params[range.score.bias.clone()]) } else { In::from(&zero[..]) },
                output: Out::from(&mut feature.share[..]),
                sums: Out::absent(),
                scratch: Out::from(&mut self.scratch[..]),
            });
        }
        for (i, score) in self.scores.iter_mut().enumerate() {
            *score = self.features.iter().map(|feature| feature.share[i]).sum();
        }
        self.rank(training, epoch);
        gradient[range.score.bias.clone()].fill(self.delta[..n].iter().sum());
        for (f, (layer, linear)) in range.features.iter().enumerate() {
            let feature = &mut self.features[f];
            let score = range.score.weight.start + f * width;
            kernels.backward(&Backward {
                n_points: n,
                n_in: width,
                n_out: 1,
                delta: Out::from(&mut self.delta[..]),
                z: In::absent(),
                slope: In::absent(),
                curve: In::absent(),
                offset: In::absent(),
                source: relu(&feature.z, &self.gain, &self.shift),
                weight: In::from(&score_weight[f * width..][..width]),
                gradient: Out::from(&mut gradient[score..score + width]),
                extra: In::absent(),
                delta_below: Out::from(&mut feature.delta[..]),
                through: true,
                sums: Out::from(&mut self.sums[..]),
                scratch: Out::from(&mut self.scratch[..]),
            });
            kernels.reduce(In::from(&self.sums[..]), width, Out::from(&mut gradient[linear.bias.clone()]));
            kernels.backward(&Backward {
                n_points: n,
                n_in: linear.n_in,
                n_out: width,
                delta: Out::from(&mut feature.delta[..]),
                z: In::absent(),
                slope: In::absent(),
                curve: In::absent(),
                offset: In::absent(),
                source: sources(*layer),
                weight: In::from(&params[linear.weight.clone()]),
                gradient: Out::from(&mut gradient[linear.weight.clone()]),
                extra: In::absent(),
                delta_below: if self.joint { Out::from(&mut feature.extra[..]) } else { Out::absent() },
                through: false,
                sums: Out::absent(),
                scratch: Out::from(&mut self.scratch[..]),
            });
        }
    }

    /// The gradient of `weight · R` with respect to the scores.
    fn rank(&mut self, training: &LossHeadTraining, epoch: usize) {
        let n = self.scores.len();
        permute(&Philox::new(training.key), epoch as u32, &mut self.permutation);
        let step = (training.weight / (n / 2).max(1) as f64) as f32;
        let margin = training.margin as f32;
        self.delta.fill(0.0);
        for pair in self.permutation.chunks_exact(2) {
            let (i, j) = (pair[0] as usize, pair[1] as usize);
            let sign = if self.point_loss[i] > self.point_loss[j] { 1.0 } else { -1.0 };
            if margin - sign * (self.scores[i] - self.scores[j]) > 0.0 {
                (self.delta[i], self.delta[j]) = (-sign * step, sign * step);
            }
        }
    }
}

/// Panels read through a plain ReLU.
fn relu<'a>(z: &'a Buffer, gain: &'a Buffer, shift: &'a Buffer) -> Source<'a> {
    Source { z: In::from(&z[..]), gain: In::from(&gain[..]), shift: In::from(&shift[..]), keep: In::absent() }
}
