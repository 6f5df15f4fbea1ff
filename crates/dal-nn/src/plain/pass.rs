//! Forward and backward over a full batch in training mode, in buffers that live as long as a training.

use dal_core::Philox;

use crate::conv::{BoundConv, Conv};
use crate::masks::{drop_units, permute};
use crate::params::LinearRange;
use crate::products::{Matrix, Products};
use crate::real::Real;
use crate::training::{LossHeadTraining, TrainJob};

/// What the forward pass keeps of a hidden layer.
struct Hidden<T> {
    /// With BatchNorm the normalised values `x̂`, `(n, width)`; empty without.
    normal: Vec<T>,
    /// The layer's output after ReLU and dropout, `(n, width)`.
    out: Vec<T>,
    /// Batch mean, biased batch variance, and `1/√(variance + eps)`, each `(width,)`; empty without BatchNorm.
    mean: Vec<T>,
    variance: Vec<T>,
    inverse: Vec<T>,
}

/// What the loss head keeps.
struct HeadBuffers<T> {
    /// ReLU features, `(n, layers · width)`.
    features: Vec<T>,
    /// One fed layer's features or their gradient, `(n, width)`.
    one: Vec<T>,
    /// Scores, later the gradient of the ranking loss with respect to them, `(n,)`.
    scores: Vec<T>,
    permutation: Vec<u32>,
}

/// Buffers of one member's passes.
pub(super) struct Pass<T> {
    hidden: Vec<Hidden<T>>,
    convolutions: Vec<Conv>,
    /// Output of the last Linear, then of each convolution; the last one is the prediction, and after `backward` each
    /// holds its gradient.
    tail: Vec<Vec<T>>,
    /// Squared error per point, mean over outputs.
    point_loss: Vec<f64>,
    /// Gradients with respect to a hidden layer's output and to the one before, `(n, width)`.
    signal: Vec<T>,
    previous: Vec<T>,
    head: Option<HeadBuffers<T>>,
}

impl<T: Real> Pass<T> {
    pub fn new(job: &TrainJob<'_, T>) -> Self {
        let n = job.n;
        let hidden = job
            .layout
            .hidden()
            .iter()
            .map(|block| {
                let width = block.linear.n_out;
                let normed = if block.batch_norm.is_some() { width } else { 0 };
                Hidden {
                    normal: vec![T::ZERO; n * normed],
                    out: vec![T::ZERO; n * width],
                    mean: vec![T::ZERO; normed],
                    variance: vec![T::ZERO; normed],
                    inverse: vec![T::ZERO; normed],
                }
            })
            .collect();
        let convolutions = job.network.conv_head().map_or_else(Vec::new, Conv::of);
        let mut tail = vec![vec![T::ZERO; n * job.layout.last().n_out]];
        tail.extend(convolutions.iter().map(|conv| vec![T::ZERO; n * conv.n_output()]));
        let widest = job.network.hidden().iter().copied().max().unwrap_or(0);
        let head = job.layout.loss_head().zip(job.loss_head).map(|(range, training)| HeadBuffers {
            features: vec![T::ZERO; n * range.score.n_in],
            one: vec![T::ZERO; n * training.shape.width],
            scores: vec![T::ZERO; n],
            permutation: vec![0; n],
        });
        Self {
            hidden,
            convolutions,
            tail,
            point_loss: vec![0.0; n],
            signal: vec![T::ZERO; n * widest],
            previous: vec![T::ZERO; n * widest],
            head,
        }
    }

    /// The regression loss of epoch `epoch` at `params`; keeps what `backward` and the statistics need.
    pub fn forward<P: Products>(&mut self, job: &TrainJob<'_, T>, params: &[T], epoch: usize) -> f64 {
        let n = job.n;
        for (l, block) in job.layout.hidden().iter().enumerate() {
            let (before, from) = self.hidden.split_at_mut(l);
            let input = before.last().map_or(job.x, |hidden| &hidden.out);
            let here = &mut from[0];
            let width = block.linear.n_out;
            affine::<T, P>(&block.linear, params, input, n, &mut here.out);
            if let (Some(bn), Some(spec)) = (&block.batch_norm, job.network.batch_norm()) {
                column_moments(&here.out, n, &mut here.mean, &mut here.variance);
                let eps = T::from_f64(spec.eps);
                for (inverse, &variance) in here.inverse.iter_mut().zip(&here.variance) {
                    *inverse = T::ONE / (variance + eps).sqrt();
                }
                let (gamma, beta) = (&params[bn.gamma.clone()], &params[bn.beta.clone()]);
                let rows = here.out.chunks_exact_mut(width).zip(here.normal.chunks_exact_mut(width));
                for (out, normal) in rows {
                    for j in 0..width {
                        normal[j] = (out[j] - here.mean[j]) * here.inverse[j];
                        out[j] = (gamma[j] * normal[j] + beta[j]).relu();
                    }
                }
            } else {
                here.out.iter_mut().for_each(|v| *v = v.relu());
            }
            if let Some(dropout) = job.dropout {
                let masks = Philox::new(dropout.key);
                drop_units(&masks, dropout.rate, epoch as u32, l, 0, width, &mut here.out);
            }
        }
        let input = self.hidden.last().map_or(job.x, |hidden| &hidden.out);
        affine::<T, P>(job.layout.last(), params, input, n, &mut self.tail[0]);
        for (c, (conv, range)) in self.convolutions.iter().zip(job.layout.conv()).enumerate() {
            let (before, after) = self.tail.split_at_mut(c + 1);
            BoundConv::new(conv, range, params).forward(&before[c], &mut after[0]);
        }
        self.loss(job)
    }

    /// Fills `point_loss`, returns their mean.
    fn loss(&mut self, job: &TrainJob<'_, T>) -> f64 {
        let n_outputs = job.network.n_outputs();
        let prediction = &self.tail[self.tail.len() - 1];
        let rows = prediction.chunks_exact(n_outputs).zip(job.y.chunks_exact(n_outputs));
        let mut total = 0.0;
        for ((prediction, label), loss) in rows.zip(&mut self.point_loss) {
            let sum: f64 = prediction.iter().zip(label).map(|(&p, &y)| (p - y).to_f64().powi(2)).sum();
            *loss = sum / n_outputs as f64;
            total += *loss;
        }
        total / job.n as f64
    }

    /// Moves the running statistics by the batch statistics of the last forward pass.
    pub fn move_statistics(&self, job: &TrainJob<'_, T>, running_mean: &mut [T], running_var: &mut [T]) {
        let Some(spec) = job.network.batch_norm() else { return };
        let momentum = T::from_f64(spec.momentum);
        let keep = T::ONE - momentum;
        self.each_statistic(job, |at, mean, variance| {
            running_mean[at] = keep * running_mean[at] + momentum * mean;
            if let Some(variance) = variance {
                running_var[at] = (keep * running_var[at] + momentum * variance).flushed();
            }
        });
    }

    /// Replaces the running statistics by the batch statistics of the last forward pass.
    pub fn copy_statistics(&self, job: &TrainJob<'_, T>, running_mean: &mut [T], running_var: &mut [T]) {
        self.each_statistic(job, |at, mean, variance| {
            running_mean[at] = mean;
            if let Some(variance) = variance {
                running_var[at] = variance;
            }
        });
    }

    /// Calls `on(index, batch mean, unbiased batch variance)`; a single point has no variance.
    fn each_statistic(&self, job: &TrainJob<'_, T>, mut on: impl FnMut(usize, T, Option<T>)) {
        let unbiased = (job.n > 1).then(|| T::from_f64(job.n as f64 / (job.n as f64 - 1.0)));
        for (block, here) in job.layout.hidden().iter().zip(&self.hidden) {
            for (j, at) in block.statistics.clone().enumerate() {
                on(at, here.mean[j], unbiased.map(|factor| here.variance[j] * factor));
            }
        }
    }

    /// The gradient at the parameters of the last forward pass, which it consumes.
    pub fn backward<P: Products>(&mut self, job: &TrainJob<'_, T>, params: &[T], epoch: usize, gradient: &mut [T]) {
        let n = job.n;
        gradient.fill(T::ZERO);
        if let (Some(training), Some(_)) = (&job.loss_head, &self.head) {
            self.score_gradient::<P>(job, training, params, epoch);
        }
        let scale = T::from_f64(2.0 / (n as f64 * job.network.n_outputs() as f64));
        let end = self.tail.len() - 1;
        for (value, &label) in self.tail[end].iter_mut().zip(job.y) {
            *value = scale * (*value - label);
        }
        for (c, (conv, range)) in self.convolutions.iter().zip(job.layout.conv()).enumerate().rev() {
            let (before, after) = self.tail.split_at_mut(c + 1);
            let (weight, bias) = two(gradient, &range.weight, &range.bias);
            let points = before[c].chunks_exact(conv.n_input()).zip(after[0].chunks_exact(conv.n_output()));
            for (input, output) in points {
                conv.weight_gradient(input, output, weight, bias);
            }
            BoundConv::new(conv, range, params).backward(&after[0], &mut before[c]);
        }
        let input = self.hidden.last().map_or(job.x, |hidden| &hidden.out);
        affine_gradient::<T, P>(job.layout.last(), input, &self.tail[0], n, gradient);
        if self.hidden.is_empty() {
            return;
        }
        let last = job.layout.last();
        let weight = Matrix::new(&params[last.weight.clone()], last.n_out, last.n_in);
        P::product(Matrix::new(&self.tail[0], n, last.n_out), weight, &mut self.signal[..n * last.n_in], false);

        for (l, block) in job.layout.hidden().iter().enumerate().rev() {
            let width = block.linear.n_out;
            self.add_head_gradient::<P>(job, params, epoch, l, gradient);
            let here = &self.hidden[l];
            let signal = &mut self.signal[..n * width];
            let kept = T::from_f64(job.dropout.map_or(1.0, |dropout| 1.0 / (1.0 - dropout.rate)));
            for (s, &out) in signal.iter_mut().zip(&here.out) {
                // The output is positive exactly where the ReLU passed and dropout kept.
                *s = if out > T::ZERO { *s * kept } else { T::ZERO };
            }
            if let Some(bn) = &block.batch_norm {
                let (gamma, beta) = two(gradient, &bn.gamma, &bn.beta);
                for (signal, normal) in signal.chunks_exact(width).zip(here.normal.chunks_exact(width)) {
                    for j in 0..width {
                        gamma[j] += signal[j] * normal[j];
                        beta[j] += signal[j];
                    }
                }
                let per_point = T::from_f64(1.0 / n as f64);
                let factors = &params[bn.gamma.clone()];
                for (signal, normal) in signal.chunks_exact_mut(width).zip(here.normal.chunks_exact(width)) {
                    for j in 0..width {
                        let centred = signal[j] - (beta[j] + normal[j] * gamma[j]) * per_point;
                        signal[j] = factors[j] * here.inverse[j] * centred;
                    }
                }
            }
            let input = if l == 0 { job.x } else { &self.hidden[l - 1].out };
            affine_gradient::<T, P>(&block.linear, input, signal, n, gradient);
            if block.batch_norm.is_some() {
                // BatchNorm subtracts the bias again, so its gradient is zero; a sum of roundings in its place would be
                // scaled up by Adam, and the running means would lag behind the drift.
                gradient[block.linear.bias.clone()].fill(T::ZERO);
            }
            if l > 0 {
                let n_in = block.linear.n_in;
                let weight = Matrix::new(&params[block.linear.weight.clone()], width, n_in);
                P::product(Matrix::new(signal, n, width), weight, &mut self.previous[..n * n_in], false);
                std::mem::swap(&mut self.signal, &mut self.previous);
            }
        }
    }

    /// Computes the loss head's scores and replaces them by the gradient of `weight · R` with respect to them.
    fn score_gradient<P: Products>(
        &mut self,
        job: &TrainJob<'_, T>,
        training: &LossHeadTraining,
        params: &[T],
        epoch: usize,
    ) {
        let (Some(range), Some(head)) = (job.layout.loss_head(), &mut self.head) else { return };
        let (n, width, n_features) = (job.n, training.shape.width, range.score.n_in);
        for (f, (layer, linear)) in range.features.iter().enumerate() {
            affine::<T, P>(linear, params, &self.hidden[*layer].out, n, &mut head.one);
            for (row, one) in head.features.chunks_exact_mut(n_features).zip(head.one.chunks_exact(width)) {
                for (feature, &v) in row[f * width..].iter_mut().zip(one) {
                    *feature = v.relu();
                }
            }
        }
        affine::<T, P>(&range.score, params, &head.features, n, &mut head.scores);
        permute(&Philox::new(training.key), epoch as u32, &mut head.permutation);
        let n_pairs = n / 2;
        let step = T::from_f64(training.weight / n_pairs.max(1) as f64);
        let margin = T::from_f64(training.margin);
        for pair in head.permutation.chunks_exact(2) {
            let (i, j) = (pair[0] as usize, pair[1] as usize);
            let sign = if self.point_loss[i] > self.point_loss[j] { T::ONE } else { -T::ONE };
            let active = margin - sign * (head.scores[i] - head.scores[j]) > T::ZERO;
            let slope = if active { sign * step } else { T::ZERO };
            (head.scores[i], head.scores[j]) = (-slope, slope);
        }
        if n % 2 == 1 {
            head.scores[head.permutation[n - 1] as usize] = T::ZERO;
        }
    }

    /// At hidden layer `l`: the loss head's own gradient and, in the joint phase, what it adds to the layer's signal.
    fn add_head_gradient<P: Products>(
        &mut self,
        job: &TrainJob<'_, T>,
        params: &[T],
        epoch: usize,
        l: usize,
        gradient: &mut [T],
    ) {
        let (Some(training), Some(range), Some(head)) = (&job.loss_head, job.layout.loss_head(), &mut self.head) else {
            return;
        };
        let Some(f) = range.features.iter().position(|(layer, _)| *layer == l) else { return };
        let (n, width, n_features) = (job.n, training.shape.width, range.score.n_in);
        if f + 1 == range.features.len() {
            affine_gradient::<T, P>(&range.score, &head.features, &head.scores, n, gradient);
        }
        let score_weight = &params[range.score.weight.clone()][f * width..][..width];
        let rows = head.features.chunks_exact(n_features).zip(head.one.chunks_exact_mut(width)).zip(&head.scores);
        for ((features, one), &score) in rows {
            for ((o, &feature), &w) in one.iter_mut().zip(&features[f * width..]).zip(score_weight) {
                *o = if feature > T::ZERO { score * w } else { T::ZERO };
            }
        }
        let linear = &range.features[f].1;
        affine_gradient::<T, P>(linear, &self.hidden[l].out, &head.one, n, gradient);
        if epoch < training.joint_epochs {
            let weight = Matrix::new(&params[linear.weight.clone()], width, linear.n_in);
            P::product(Matrix::new(&head.one, n, width), weight, &mut self.signal[..n * linear.n_in], true);
        }
    }
}

/// `out = input Wᵀ + b`.
fn affine<T: Real, P: Products>(linear: &LinearRange, params: &[T], input: &[T], n: usize, out: &mut [T]) {
    let bias = &params[linear.bias.clone()];
    for row in out.chunks_exact_mut(linear.n_out) {
        row.copy_from_slice(bias);
    }
    let weight = Matrix::new(&params[linear.weight.clone()], linear.n_out, linear.n_in);
    P::product(Matrix::new(input, n, linear.n_in), weight.t(), out, true);
}

/// Writes the gradients of weight (`signalᵀ input`) and bias (column sums of `signal`).
fn affine_gradient<T: Real, P: Products>(
    linear: &LinearRange,
    input: &[T],
    signal: &[T],
    n: usize,
    gradient: &mut [T],
) {
    let signal_matrix = Matrix::new(signal, n, linear.n_out);
    let weight = &mut gradient[linear.weight.clone()];
    P::product(signal_matrix.t(), Matrix::new(input, n, linear.n_in), weight, false);
    let bias = &mut gradient[linear.bias.clone()];
    for row in signal.chunks_exact(linear.n_out) {
        for (b, &s) in bias.iter_mut().zip(row) {
            *b += s;
        }
    }
}

/// Mean and biased variance of each column, in two passes.
fn column_moments<T: Real>(values: &[T], n: usize, mean: &mut [T], variance: &mut [T]) {
    let width = mean.len();
    let per_point = T::from_f64(1.0 / n as f64);
    mean.fill(T::ZERO);
    for row in values.chunks_exact(width) {
        for (m, &v) in mean.iter_mut().zip(row) {
            *m += v;
        }
    }
    mean.iter_mut().for_each(|m| *m *= per_point);
    variance.fill(T::ZERO);
    for row in values.chunks_exact(width) {
        for ((s, &m), &v) in variance.iter_mut().zip(&*mean).zip(row) {
            *s += (v - m) * (v - m);
        }
    }
    variance.iter_mut().for_each(|s| *s *= per_point);
}

/// Two disjoint ranges of one slice, `first` before `second`.
fn two<'a, T>(
    values: &'a mut [T],
    first: &std::ops::Range<usize>,
    second: &std::ops::Range<usize>,
) -> (&'a mut [T], &'a mut [T]) {
    let (low, high) = values.split_at_mut(second.start);
    (&mut low[first.clone()], &mut high[..second.len()])
}
