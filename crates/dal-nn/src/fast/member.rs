//! One member in training: its buffers, and an epoch as a sequence of kernel calls.

use std::ops::Range;

use super::buffer::Buffer;
use super::head::{Convolution, LossHead, fill_masks};
use crate::params::HiddenRange;
use crate::real::Real;
use crate::training::{AdamScalars, MemberState, TrainJob};
use dal_kernels::{Adam, Backward, Denormalise, Forward, In, Kernels, LINE, Loss, Normalise, Out, Source};

/// Parameters from which on a network's moments do not stay in the second-level cache between epochs. Tests have
/// networks on either side.
const LARGE: usize = if cfg!(test) { 1 << 10 } else { 1 << 18 };

/// What is kept of a hidden layer: its pre-activations and BatchNorm's numbers per feature.
struct Hidden {
    /// Panels of pre-activations, less `centre`.
    z: Buffer,
    /// The bias less the centre (the bias itself without BatchNorm).
    start: Buffer,
    /// What the pre-activations are centred by: the running mean, freed of its initial zero.
    centre: Buffer,
    mean: Buffer,
    variance: Buffer,
    inverse: Buffer,
    gain: Buffer,
    shift: Buffer,
    curve: Buffer,
    offset: Buffer,
    /// Dropout's factors of the epoch; empty without dropout.
    keep: Buffer,
}

/// The buffers of one training; they are made once and reused in every epoch.
pub(super) struct Member<'j> {
    kernels: &'static Kernels,
    job: &'j TrainJob<'j, f32>,
    pub(super) params: Buffer,
    first: Buffer,
    second: Buffer,
    pub(super) gradient: Buffer,
    inputs: Buffer,
    targets: Buffer,
    /// Output of the last Linear, later its gradient.
    output: Buffer,
    convolutions: Vec<Convolution>,
    loss_head: Option<LossHead>,
    hidden: Vec<Hidden>,
    /// Gradients of the layer at hand and of the one below it.
    delta: Buffer,
    delta_below: Buffer,
    sums: Buffer,
    scratch: Buffer,
    /// Sums over points of the widest convolution's rows.
    rows: Buffer,
}

/// What the layer above hidden layer `l − 1` reads: that layer, or the inputs.
fn source<'a>(hidden: &'a [Hidden], inputs: &'a Buffer, l: usize) -> Source<'a> {
    match l.checked_sub(1) {
        Some(below) => {
            let layer = &hidden[below];
            Source {
                z: In::from(&layer.z[..]),
                gain: In::from(&layer.gain[..]),
                shift: In::from(&layer.shift[..]),
                keep: if layer.keep.is_empty() { In::absent() } else { In::from(&layer.keep[..]) },
            }
        }
        None => Source { z: In::from(&inputs[..]), gain: In::absent(), shift: In::absent(), keep: In::absent() },
    }
}

impl<'j> Member<'j> {
    /// Buffers for `job`, holding `state`.
    pub(super) fn new(kernels: &'static Kernels, job: &'j TrainJob<'j, f32>, state: &MemberState<f32>) -> Self {
        let n = job.n;
        let padded = kernels.padded(n);
        let last = job.layout.last();
        let hidden: Vec<_> = job
            .layout
            .hidden()
            .iter()
            .map(|layer| {
                let width = layer.linear.n_out;
                let normalised = if layer.batch_norm.is_some() { width } else { 0 };
                let mut gain = Buffer::zeros(width);
                gain.fill(1.0);
                Hidden {
                    z: Buffer::zeros(width * padded),
                    start: Buffer::zeros(width),
                    centre: Buffer::zeros(normalised),
                    mean: Buffer::zeros(normalised),
                    variance: Buffer::zeros(normalised),
                    inverse: Buffer::zeros(normalised),
                    gain,
                    shift: Buffer::zeros(width),
                    curve: Buffer::zeros(normalised),
                    offset: Buffer::zeros(normalised),
                    keep: Buffer::zeros(if job.dropout.is_some() { width * padded } else { 0 }),
                }
            })
            .collect();
        let linears = || job.layout.hidden().iter().map(|layer| &layer.linear).chain([last]);
        let convolutions = Convolution::all(job, padded);
        let widest = linears().map(|linear| linear.n_out).max().unwrap_or(0);
        let rows = convolutions.iter().map(|conv| conv.output.len() / padded).max().unwrap_or(0);
        let outputs = widest.max(convolutions.last().map_or(0, |conv| conv.output.len() / padded));
        let scratch = linears().map(|linear| kernels.scratch(linear.n_in, linear.n_out)).max().unwrap_or(0);
        let panels = |rows: &[f32], features: usize| {
            let mut buffer = Buffer::zeros(features * padded);
            for (point, row) in rows.chunks_exact(features).enumerate() {
                for (feature, &value) in row.iter().enumerate() {
                    buffer[kernels.position(n, features, feature, point)] = value;
                }
            }
            buffer
        };
        Self {
            kernels,
            job,
            params: Buffer::copy_of(&state.params),
            first: Buffer::copy_of(&state.first_moment),
            second: Buffer::copy_of(&state.second_moment),
            gradient: Buffer::zeros(state.params.len()),
            inputs: panels(job.x, job.network.n_inputs()),
            targets: panels(job.y, job.network.n_outputs()),
            output: Buffer::zeros(last.n_out * padded),
            convolutions,
            loss_head: job
                .layout
                .loss_head()
                .filter(|_| job.loss_head.is_some())
                .map(|range| LossHead::new(kernels, job, range)),
            hidden,
            delta: Buffer::zeros(outputs * padded),
            delta_below: Buffer::zeros(outputs * padded),
            sums: Buffer::zeros(kernels.sums(widest)),
            scratch: Buffer::zeros(scratch),
            rows: Buffer::zeros(rows),
        }
    }

    /// Writes parameters and moments back.
    pub(super) fn store(&self, state: &mut MemberState<f32>) {
        state.params.copy_from_slice(&self.params);
        state.first_moment.copy_from_slice(&self.first);
        state.second_moment.copy_from_slice(&self.second);
    }

    /// The loss of epoch `epoch` in training mode; the outputs' gradient, and all that [`Member::backward`] needs, is
    /// left in the buffers. `state` gives the running means and the number of steps only.
    pub(super) fn forward(&mut self, state: &MemberState<f32>, epoch: usize) -> f64 {
        let job = self.job;
        let n_points = job.n;
        for (l, range) in job.layout.hidden().iter().enumerate() {
            self.set_start(l, range, state);
            let (below, rest) = self.hidden.split_at_mut(l);
            let layer = &mut rest[0];
            let normalised = range.batch_norm.is_some();
            self.kernels.forward(&Forward {
                n_points,
                n_in: range.linear.n_in,
                n_out: range.linear.n_out,
                source: source(below, &self.inputs, l),
                weight: In::from(&self.params[range.linear.weight.clone()]),
                start: In::from(&layer.start[..]),
                output: Out::from(&mut layer.z[..]),
                sums: if normalised { Out::from(&mut self.sums[..]) } else { Out::absent() },
                scratch: Out::from(&mut self.scratch[..]),
            });
            if let (Some(bn), Some(spec)) = (&range.batch_norm, job.network.batch_norm()) {
                self.kernels.normalise(&Normalise {
                    n_points,
                    n: range.linear.n_out,
                    sums: In::from(&self.sums[..]),
                    z: Out::from(&mut layer.z[..]),
                    gamma: In::from(&self.params[bn.gamma.clone()]),
                    beta: In::from(&self.params[bn.beta.clone()]),
                    eps: spec.eps as f32,
                    centre: Out::from(&mut layer.centre[..]),
                    mean: Out::from(&mut layer.mean[..]),
                    variance: Out::from(&mut layer.variance[..]),
                    inverse: Out::from(&mut layer.inverse[..]),
                    gain: Out::from(&mut layer.gain[..]),
                    shift: Out::from(&mut layer.shift[..]),
                });
            }
            if let Some(dropout) = &job.dropout {
                fill_masks(self.kernels, n_points, dropout, epoch, l, range.linear.n_out, &mut layer.keep);
            }
        }
        let last = job.layout.last();
        self.kernels.forward(&Forward {
            n_points,
            n_in: last.n_in,
            n_out: last.n_out,
            source: source(&self.hidden, &self.inputs, self.hidden.len()),
            weight: In::from(&self.params[last.weight.clone()]),
            start: In::from(&self.params[last.bias.clone()]),
            output: Out::from(&mut self.output[..]),
            sums: Out::absent(),
            scratch: Out::from(&mut self.scratch[..]),
        });
        for (c, range) in job.layout.conv().iter().enumerate() {
            let (before, rest) = self.convolutions.split_at_mut(c);
            let input = before.last().map_or(&self.output, |conv| &conv.output);
            let (weight, bias) = (&self.params[range.weight.clone()], &self.params[range.bias.clone()]);
            rest[0].forward(self.kernels, n_points, weight, bias, input);
        }
        let output = self.convolutions.last().map_or(&self.output, |conv| &conv.output);
        let loss = self.kernels.loss(&Loss {
            n_points,
            n: job.network.n_outputs(),
            output: In::from(&output[..]),
            target: In::from(&self.targets[..]),
            delta: Out::from(&mut self.delta[..]),
        });
        if let (Some(head), Some(range), Some(training)) = (&mut self.loss_head, job.layout.loss_head(), &job.loss_head)
        {
            let (hidden, inputs) = (&self.hidden, &self.inputs);
            head.pass(
                self.kernels,
                job,
                (range, training),
                epoch,
                &self.params,
                &mut self.gradient,
                (output, &self.targets),
                |l| source(hidden, inputs, l + 1),
            );
        }
        loss
    }

    /// What the product of hidden layer `l` starts from: with BatchNorm the bias less an estimate of the batch mean, so
    /// that the sum of squares keeps its digits. The bias cancels in all but the running mean.
    fn set_start(&mut self, l: usize, range: &HiddenRange, state: &MemberState<f32>) {
        let layer = &mut self.hidden[l];
        let bias = &self.params[range.linear.bias.clone()];
        match self.job.network.batch_norm() {
            Some(spec) if range.batch_norm.is_some() => {
                let weight = 1.0 - libm::pow(1.0 - spec.momentum, state.steps as f64);
                let scale = if weight > 0.0 { (1.0 / weight) as f32 } else { 0.0 };
                let running = &state.running_mean[range.statistics.clone()];
                for (((start, centre), &bias), &running) in
                    layer.start.iter_mut().zip(layer.centre.iter_mut()).zip(bias).zip(running)
                {
                    *centre = running * scale;
                    *start = bias - *centre;
                }
            }
            _ => layer.start.copy_from_slice(bias),
        }
    }

    /// Moves the running statistics towards those of the last [`Member::forward`] by `momentum`; a single point has no
    /// variance to move by.
    pub(super) fn move_statistics(&self, state: &mut MemberState<f32>, momentum: f64) {
        let (keep, take) = ((1.0 - momentum) as f32, momentum as f32);
        let n = self.job.n;
        for (range, layer) in self.job.layout.hidden().iter().zip(&self.hidden) {
            let running = &mut state.running_mean[range.statistics.clone()];
            for ((running, &mean), &centre) in running.iter_mut().zip(&layer.mean[..]).zip(&layer.centre[..]) {
                *running = *running * keep + (mean + centre) * take;
            }
            if n > 1 {
                let unbiased = (n as f64 / (n - 1) as f64) as f32;
                let running = &mut state.running_var[range.statistics.clone()];
                for (running, &variance) in running.iter_mut().zip(&layer.variance[..]) {
                    *running = (*running * keep + variance * unbiased * take).flushed();
                }
            }
        }
    }

    /// The gradient of the loss of the last [`Member::forward`]. That of a bias which feeds BatchNorm is exactly 0.
    ///
    /// With `step` it also takes the Adam step: of a large network layer by layer, as soon as nothing needs a layer's
    /// parameters any more and while its gradient is in cache, which gives the same numbers as all parameters at the
    /// end.
    pub(super) fn backward(&mut self, step: Option<&AdamScalars<f32>>) {
        let job = self.job;
        let n_points = job.n;
        let ranges = job.layout.hidden();
        self.backward_convolutions();
        let last = job.layout.last();
        let bias = Out::from(&mut self.gradient[last.bias.clone()]);
        self.kernels.row_sums(n_points, last.n_out, In::from(&self.delta[..]), bias);
        let mut open = self.params.len();
        for l in (0..=ranges.len()).rev() {
            let linear = if l == ranges.len() { job.layout.last() } else { &ranges[l].linear };
            let linear_start = linear.weight.start;
            let layer = self.hidden.get(l).filter(|_| ranges[l].batch_norm.is_some());
            let part =
                |buffer: fn(&Hidden) -> &Buffer| layer.map_or(In::absent(), |layer| In::from(&buffer(layer)[..]));
            self.kernels.backward(&Backward {
                n_points,
                n_in: linear.n_in,
                n_out: linear.n_out,
                delta: Out::from(&mut self.delta[..]),
                z: part(|layer| &layer.z),
                slope: part(|layer| &layer.gain),
                curve: part(|layer| &layer.curve),
                offset: part(|layer| &layer.offset),
                source: source(&self.hidden, &self.inputs, l),
                weight: In::from(&self.params[linear.weight.clone()]),
                gradient: Out::from(&mut self.gradient[linear.weight.clone()]),
                extra: match (&self.loss_head, job.layout.loss_head(), l.checked_sub(1)) {
                    (Some(head), Some(range), Some(below)) => head.extra(range, below),
                    _ => In::absent(),
                },
                through: true,
                delta_below: if l > 0 { Out::from(&mut self.delta_below[..]) } else { Out::absent() },
                sums: if l > 0 { Out::from(&mut self.sums[..]) } else { Out::absent() },
                scratch: Out::from(&mut self.scratch[..]),
            });
            if let Some(range) = l.checked_sub(1).map(|below| &ranges[below]) {
                self.finish_sums(l - 1, range);
            }
            std::mem::swap(&mut self.delta, &mut self.delta_below);
            // Behind the last layer lie convolutions and loss head, whose gradients are there already. What lies before
            // the first whole vector of a layer's weights waits for the layer below.
            let from = if l == 0 { 0 } else { linear_start.next_multiple_of(LINE).min(open) };
            if let Some(scalars) = step.filter(|_| l == 0 || self.params.len() >= LARGE) {
                self.step(from..open, scalars);
                open = from;
            }
        }
    }

    /// Through the convolutions, if any, from the gradient of the outputs to that of the last Linear's, in `delta`.
    fn backward_convolutions(&mut self) {
        let job = self.job;
        let Some(end) = self.convolutions.len().checked_sub(1) else { return };
        std::mem::swap(&mut self.convolutions[end].output, &mut self.delta);
        for (c, range) in job.layout.conv().iter().enumerate().rev() {
            let (before, rest) = self.convolutions.split_at_mut(c);
            let input = before.last_mut().map_or(&mut self.output, |conv| &mut conv.output);
            let weight = &self.params[range.weight.clone()];
            let (low, high) = self.gradient.split_at_mut(range.bias.start);
            let gradients = (&mut low[range.weight.clone()], &mut high[..range.bias.len()]);
            rest[0].backward(self.kernels, job.n, weight, gradients, input, &mut self.rows);
        }
        std::mem::swap(&mut self.convolutions[end].output, &mut self.delta);
        self.delta[..self.output.len()].copy_from_slice(&self.output);
    }

    /// From the sums over hidden layer `l`'s gradient: those of γ and β and BatchNorm's backward scalars, or of the
    /// bias.
    fn finish_sums(&mut self, l: usize, range: &HiddenRange) {
        let layer = &mut self.hidden[l];
        match &range.batch_norm {
            Some(bn) => self.kernels.denormalise(&Denormalise {
                n_points: self.job.n,
                n: range.linear.n_out,
                sums: In::from(&self.sums[..]),
                mean: In::from(&layer.mean[..]),
                inverse: In::from(&layer.inverse[..]),
                gradient: Out::from(&mut self.gradient[bn.gamma.start..bn.beta.end]),
                curve: Out::from(&mut layer.curve[..]),
                offset: Out::from(&mut layer.offset[..]),
            }),
            None => self.kernels.reduce(
                In::from(&self.sums[..]),
                range.linear.n_out,
                Out::from(&mut self.gradient[range.linear.bias.clone()]),
            ),
        }
    }

    /// One Adam step of these parameters.
    fn step(&mut self, range: Range<usize>, scalars: &AdamScalars<f32>) {
        self.kernels.adam(&Adam {
            n: range.len(),
            params: Out::from(&mut self.params[range.clone()]),
            first: Out::from(&mut self.first[range.clone()]),
            second: Out::from(&mut self.second[range.clone()]),
            gradient: In::from(&self.gradient[range]),
            beta1: scalars.beta1,
            one_minus_beta1: scalars.one_minus_beta1,
            beta2: scalars.beta2,
            one_minus_beta2: scalars.one_minus_beta2,
            step_size: scalars.step_size,
            root_scale: scalars.root_scale,
            eps: scalars.eps,
            weight_decay: scalars.weight_decay,
            least: f32::FLUSH,
        });
    }
}
