//! Forward and backward of many members over a full batch in training mode, one batched product per layer.
//!
//! Activations are `(members, features, points)`: BatchNorm's sums then run along rows, and what differs from feature
//! to feature is one number per row. With `z = W h` (the bias is subtracted again, so it is left out), `c = z − mean`
//! and `s = γ / √(variance + eps)`, a layer gives `relu(s c + β)`; and from the derivative `δ` at its output before the
//! ReLU, `dβ = Σ δ`, `dγ = Σ δ c / √(variance + eps)` and `dz = s (δ − dβ/n − c Σ δ c / (n (variance + eps)))`.
//!
//! Elsewhere than on the processor what counts is how often activations pass through memory (docs/gpu.md has the
//! counts): there `z` is not centred, but its mean is made part of what is added to a row.

use tch::{Kind, TchError, Tensor};

use super::blocks::{LinearView, Views};
use super::device::{Done, Memory};
use super::masks::{Counter, Masks, Pairs};
use crate::conv::Conv;
use crate::params::Layout;
use crate::training::{DropoutTraining, LossHeadTraining};
use dal_core::model::{ConvKind, NetworkSpec};

type Result<T> = std::result::Result<T, TchError>;

/// What all members of a batch share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub network: &'a NetworkSpec,
    pub layout: &'a Layout,
    pub n: usize,
    pub n_members: usize,
    pub memory: Memory,
    pub bf16: bool,
    /// Operators as on other devices even on the processor.
    pub by_tensors: bool,
}

/// Matrix products of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Products {
    bf16: bool,
}

impl Products {
    pub fn new(bf16: bool) -> Self {
        Self { bf16 }
    }

    /// `out = a b` for every member.
    pub fn into(self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
        if self.bf16 {
            let product = a.f_to_kind(Kind::BFloat16)?.f_bmm(&b.f_to_kind(Kind::BFloat16)?)?;
            out.shallow_clone().f_copy_(&product)?;
        } else {
            a.f_bmm_out(out, b).done()?;
        }
        Ok(())
    }

    /// `out = a b + bias` for every member.
    pub fn affine(self, map: &LinearView, input: &Tensor, out: &Tensor) -> Result<()> {
        if self.bf16 {
            self.into(&map.weight, input, out)?;
            out.shallow_clone().f_add_(&map.bias).done()?;
        } else {
            map.bias.f_baddbmm_out(out, &map.weight, input).done()?;
        }
        Ok(())
    }

    /// `out += a b` for every member.
    pub fn add(self, a: &Tensor, b: &Tensor, out: &Tensor) -> Result<()> {
        if self.bf16 {
            let product = a.f_to_kind(Kind::BFloat16)?.f_bmm(&b.f_to_kind(Kind::BFloat16)?)?;
            out.shallow_clone().f_add_(&product.f_to_kind(Kind::Float)?).done()?;
        } else {
            out.shallow_clone().f_baddbmm_(a, b).done()?;
        }
        Ok(())
    }
}

/// Last two axes exchanged.
pub(super) fn t(tensor: &Tensor) -> Result<Tensor> {
    tensor.f_transpose(1, 2)
}

/// `out = offset + scale values` with one offset and one scale for every row, on the processor: libtorch's loops use
/// vectors there with one operand that stands still, not with two, and two passes take less than half the time of one.
fn rows_affine(offset: &Tensor, scale: &Tensor, values: &Tensor, out: &Tensor) -> Result<()> {
    values.f_mul_out(out, scale).done()?;
    out.shallow_clone().f_add_(offset).done()
}

/// `into[..] = Σ over points` of every row.
fn sum_rows(values: &Tensor, into: &Tensor) -> Result<()> {
    values.f_sum_intlist_out(into, [2i64].as_slice(), true, Kind::Float).done()
}

/// What the forward pass keeps of a hidden layer.
struct Hidden {
    /// The layer's output after ReLU and dropout.
    out: Tensor,
    norm: Option<Norm>,
}

/// BatchNorm's statistics of a layer, in the tensors of all layers; by tensors mean and variance are its own.
struct Norm {
    /// `c`, by tensors `z`: `(members, width, points)` and `(members · width, points)`.
    values: Tensor,
    rows: Tensor,
    /// Batch mean of `W h`, flat and `(members, width, 1)`.
    flat_mean: Tensor,
    mean: Tensor,
    /// Biased batch variance, likewise.
    variance: Tensor,
    /// `1/√(variance + eps)`.
    inverse: Tensor,
    /// `γ / √(variance + eps)`.
    scale: Tensor,
    /// `Σ δ c`, flat and `(members, width, 1)`.
    flat_dot: Tensor,
    dot: Tensor,
    /// Rows' norms, `(members, width, 1)`.
    length: Tensor,
}

/// The loss heads' tensors.
struct Head {
    training: LossHeadTraining,
    pairs: Pairs,
    features: Vec<Tensor>,
}

/// Tensors of a batch's passes, kept between epochs.
pub(super) struct Pass<'a> {
    shape: Shape<'a>,
    products: Products,
    x: Tensor,
    x_transposed: Tensor,
    y: Tensor,
    hidden: Vec<Hidden>,
    /// `1` for every point.
    ones: Tensor,
    /// All layers' batch means (of `W h`) and biased variances.
    means: Tensor,
    variances: Tensor,
    convolutions: Vec<Conv>,
    /// Output of the last Linear, then of each convolution; after `backward` their gradients.
    tail: Vec<Tensor>,
    /// By width, `(signal, scratch)`: derivatives at a layer's output, and products of rows.
    scratch: Vec<(Tensor, Tensor)>,
    dropout: Option<(Masks, f64)>,
    head: Option<Head>,
    /// Mean squared error of every point, f64; only where there are loss heads.
    point_loss: Option<Tensor>,
}

impl<'a> Pass<'a> {
    /// `x` and `y` are the members' inputs and labels, `(members, columns, points)`; epochs before `end` will be run.
    pub fn new(
        shape: Shape<'a>,
        x: Tensor,
        y: Tensor,
        dropout: Option<&[DropoutTraining]>,
        loss_heads: Option<&[LossHeadTraining]>,
        end: usize,
    ) -> Result<Self> {
        let (m, n, memory) = (shape.n_members as i64, shape.n as i64, shape.memory);
        let n_statistics = m * shape.layout.n_statistics() as i64;
        let flat = |_: ()| memory.zeros(&[n_statistics]);
        let (means, variances, inverses, scales) = (flat(())?, flat(())?, flat(())?, flat(())?);
        let (dots, lengths) = (flat(())?, flat(())?);
        let mut hidden = Vec::new();
        let mut scratch = Vec::new();
        let mut at = 0;
        for block in shape.layout.hidden() {
            let width = block.linear.n_out as i64;
            let norm = if block.batch_norm.is_some() {
                let part = |all: &Tensor| all.f_narrow(0, at, m * width);
                let column = |all: &Tensor| part(all)?.f_view((m, width, 1));
                let values = memory.zeros(&[m, width, n])?;
                let norm = Norm {
                    rows: values.f_view((m * width, n))?,
                    values,
                    flat_mean: part(&means)?,
                    mean: column(&means)?,
                    variance: column(&variances)?,
                    inverse: column(&inverses)?,
                    scale: column(&scales)?,
                    flat_dot: part(&dots)?,
                    dot: column(&dots)?,
                    length: column(&lengths)?,
                };
                at += m * width;
                Some(norm)
            } else {
                None
            };
            hidden.push(Hidden { out: memory.zeros(&[m, width, n])?, norm });
            // Layers of equal width share the signals, of which one layer's and the one's before are needed at a time.
            scratch.push(match shape.layout.hidden().iter().position(|other| other.linear.n_out as i64 == width) {
                Some(same) if same < scratch.len() => {
                    let (signal, products): &(Tensor, Tensor) = &scratch[same];
                    (signal.shallow_clone(), products.shallow_clone())
                }
                _ => (memory.zeros(&[m, width, n])?, memory.zeros(&[m, width, n])?),
            });
        }
        let convolutions = shape.network.conv_head().map_or_else(Vec::new, Conv::of);
        let mut tail = vec![memory.zeros(&[m, shape.layout.last().n_out as i64, n])?];
        for conv in &convolutions {
            tail.push(memory.zeros(&[m, conv.n_output() as i64, n])?);
        }
        let head = match (loss_heads, shape.layout.loss_head()) {
            (Some(trainings), Some(range)) if !trainings.is_empty() => {
                let features: Result<Vec<_>> =
                    range.features.iter().map(|(_, linear)| memory.zeros(&[m, linear.n_out as i64, n])).collect();
                let keys = trainings.iter().map(|training| training.key).collect();
                let pairs = Pairs::new(memory, keys, shape.n, end);
                Some(Head { training: trainings[0], pairs, features: features? })
            }
            _ => None,
        };
        let dropout = match dropout.and_then(|all| all.first().map(|first| (all, first.rate))) {
            None => None,
            Some((all, rate)) => {
                let keys = all.iter().map(|one| one.key).collect();
                Some((Masks::new(memory, rate, keys)?, 1.0 / (1.0 - rate)))
            }
        };
        Ok(Self {
            products: Products::new(shape.bf16),
            x_transposed: t(&x)?,
            x,
            y,
            hidden,
            ones: memory.ones(&[n])?,
            means,
            variances,
            convolutions,
            tail,
            scratch,
            dropout,
            head,
            point_loss: None,
            shape,
        })
    }

    /// The regression loss of every member in epoch `epoch`, f64 `(members,)`; keeps what `backward` and the statistics
    /// need.
    pub fn forward(&mut self, params: &Views, epoch: usize) -> Result<Tensor> {
        let n = self.shape.n;
        let eps = self.shape.network.batch_norm().map_or(0.0, |bn| bn.eps);
        for l in 0..self.hidden.len() {
            let (before, from) = self.hidden.split_at_mut(l);
            let input = before.last().map_or(&self.x, |hidden| &hidden.out);
            let here = &mut from[0];
            let map = &params.hidden[l];
            match (&mut here.norm, &map.norm) {
                (Some(norm), Some(parameters)) => {
                    self.products.into(&map.linear.weight, input, &norm.values)?;
                    let inverse_of = |variance: &Tensor| variance.f_add_scalar(eps)?.f_rsqrt_out(&norm.inverse).done();
                    if self.shape.by_tensors {
                        (norm.variance, norm.mean) = norm.values.f_var_mean_correction([2i64].as_slice(), 0, true)?;
                        inverse_of(&norm.variance)?;
                        parameters.gamma.f_mul_out(&norm.scale, &norm.inverse).done()?;
                        let offset = parameters.beta.f_sub(&norm.mean.f_mul(&norm.scale)?)?;
                        offset.f_addcmul_out(&here.out, &norm.scale, &norm.values).done()?;
                    } else {
                        norm.rows.f_mv_out(&norm.flat_mean, &self.ones).done()?;
                        norm.flat_mean.f_mul_scalar_(1.0 / n as f64).done()?;
                        norm.values.f_sub_(&norm.mean).done()?;
                        norm.values.f_norm_out(&norm.length, 2.0, 2, true).done()?;
                        norm.length.f_mul_out(&norm.variance, &norm.length).done()?;
                        norm.variance.f_mul_scalar_(1.0 / n as f64).done()?;
                        inverse_of(&norm.variance)?;
                        parameters.gamma.f_mul_out(&norm.scale, &norm.inverse).done()?;
                        rows_affine(&parameters.beta, &norm.scale, &norm.values, &here.out)?;
                    }
                }
                _ => self.products.affine(&map.linear, input, &here.out)?,
            }
            here.out.f_clamp_min_(0).done()?;
            if let Some((masks, _)) = &self.dropout {
                let width = self.shape.layout.hidden()[l].linear.n_out;
                here.out.f_mul_(&masks.layer(Counter::Epoch(epoch), l, width, 0, n)?).done()?;
            }
        }
        let input = self.hidden.last().map_or(&self.x, |hidden| &hidden.out);
        self.products.affine(&params.last, input, &self.tail[0])?;
        for (c, conv) in self.convolutions.iter().enumerate() {
            let (before, after) = self.tail.split_at_mut(c + 1);
            conv_forward(self.products, conv, &params.conv[c], &before[c], &mut after[0])?;
        }
        let end = self.tail.len() - 1;
        self.tail[end].f_sub_(&self.y).done()?;
        // Squares in f32, which overflow where the CPU engine's do; sums in f64.
        let squares = self.tail[end].f_square()?;
        let n_outputs = self.shape.network.n_outputs() as f64;
        if self.head.is_none() {
            return squares
                .f_sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Double)?
                .f_div_scalar_(n as f64 * n_outputs);
        }
        let point_loss = squares.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?.f_div_scalar_(n_outputs)?;
        let loss = point_loss.f_mean_dim([1i64].as_slice(), false, Kind::Double)?;
        self.point_loss = Some(point_loss);
        Ok(loss)
    }

    /// Moves the running statistics by the batch statistics of the last forward pass; `momentum` 1 replaces them.
    pub fn move_statistics(
        &self,
        params: &Views,
        mean: &mut Tensor,
        variance: &mut Tensor,
        momentum: f64,
    ) -> Result<()> {
        let all = |together: &Tensor, of: &dyn Fn(&Norm) -> &Tensor| {
            if !self.shape.by_tensors || self.shape.layout.n_statistics() == 0 {
                return Ok(together.shallow_clone());
            }
            let parts = self.hidden.iter().filter_map(|hidden| hidden.norm.as_ref().map(of));
            let parts: Result<Vec<_>> = parts.map(|part| part.f_view([-1])).collect();
            Tensor::f_cat(&parts?, 0)
        };
        let mut batch = all(&self.means, &|norm| &norm.mean)?.f_add(&params.norm_biases)?;
        mean.f_mul_scalar_(1.0 - momentum)?.f_add_(&batch.f_mul_scalar_(momentum)?).done()?;
        if self.shape.n > 1 {
            let n = self.shape.n as f64;
            let batch = all(&self.variances, &|norm| &norm.variance)?.f_mul_scalar(momentum * n / (n - 1.0))?;
            variance
                .f_mul_scalar_(1.0 - momentum)?
                .f_add_(&batch)?
                .f_threshold_(<f32 as crate::Real>::FLUSH as f64, 0.0)
                .done()?;
        }
        Ok(())
    }

    /// The gradient at the parameters of the last forward pass, which it consumes. Of `gradient` it leaves alone the
    /// biases that feed BatchNorm: their gradient is zero, and they were so from the start.
    pub fn backward(&mut self, params: &Views, gradient: &mut Views, epoch: usize) -> Result<()> {
        let (m, n) = (self.shape.n_members as i64, self.shape.n);
        let head_signal = self.score_gradient(params, gradient, epoch)?;
        let end = self.tail.len() - 1;
        self.tail[end].f_mul_scalar_(2.0 / (n as f64 * self.shape.network.n_outputs() as f64)).done()?;
        for (c, conv) in self.convolutions.iter().enumerate().rev() {
            let (before, after) = self.tail.split_at_mut(c + 1);
            conv_backward(self.products, conv, &params.conv[c], &gradient.conv[c], &mut before[c], &after[0])?;
        }
        sum_rows(&self.tail[0], &gradient.last.bias)?;
        let n_hidden = self.hidden.len();
        let input = self.hidden.last().map_or(&self.x, |hidden| &hidden.out);
        self.products.into(&self.tail[0], &t(input)?, &gradient.last.weight)?;
        if n_hidden == 0 {
            return Ok(());
        }
        self.products.into(&t(&params.last.weight)?, &self.tail[0], &self.scratch[n_hidden - 1].0)?;
        for l in (0..n_hidden).rev() {
            let width = self.shape.layout.hidden()[l].linear.n_out as i64;
            self.add_head_gradient(&head_signal, params, gradient, epoch, l)?;
            let (signal, scratch) = (&self.scratch[l].0, &mut self.scratch[l].1.shallow_clone());
            let here = &mut self.hidden[l];
            let mut signal = signal.shallow_clone();
            here.out.f_threshold_backward_grad_input(&signal, &signal, 0).done()?;
            if let Some((_, kept)) = &self.dropout {
                signal.f_mul_scalar_(*kept).done()?;
            }
            let map = &mut gradient.hidden[l];
            match (&mut here.norm, &mut map.norm) {
                (Some(norm), Some(into)) => {
                    signal.f_view((m * width, n as i64))?.f_mv_out(&into.flat_beta, &self.ones).done()?;
                    signal.f_mul_out(scratch, &norm.values).done()?;
                    scratch.f_view((m * width, n as i64))?.f_mv_out(&norm.flat_dot, &self.ones).done()?;
                    if self.shape.by_tensors {
                        // Σ δ c = Σ δ z − mean Σ δ
                        norm.dot.f_sub_(&norm.mean.f_mul(&into.beta)?).done()?;
                    }
                    norm.dot.f_mul_out(&into.gamma, &norm.inverse).done()?;
                    // dz = scale δ − scale dβ / n − c · scale · inverse · dγ / n
                    let per_point = -1.0 / n as f64;
                    let offset = norm.scale.f_mul(&into.beta)?.f_mul_scalar_(per_point)?;
                    let slope = into.gamma.f_mul(&norm.scale)?.f_mul_(&norm.inverse)?.f_mul_scalar_(per_point)?;
                    if self.shape.by_tensors {
                        let offset = offset.f_sub(&slope.f_mul(&norm.mean)?)?;
                        offset.f_addcmul_out(scratch, &norm.scale, &signal).done()?;
                    } else {
                        rows_affine(&offset, &norm.scale, &signal, scratch)?;
                    }
                    scratch.f_addcmul_(&norm.values, &slope).done()?;
                    std::mem::swap(&mut signal, scratch);
                }
                _ => sum_rows(&signal, &map.linear.bias)?,
            }
            let input_transposed = if l == 0 { self.x_transposed.shallow_clone() } else { t(&self.hidden[l - 1].out)? };
            self.products.into(&signal, &input_transposed, &gradient.hidden[l].linear.weight)?;
            if l > 0 {
                // With equal widths the signal's own tensor may be read still: the result goes to the other one.
                let (a, b) = &self.scratch[l - 1];
                let to = if a.data_ptr() == signal.data_ptr() { b.shallow_clone() } else { a.shallow_clone() };
                self.products.into(&t(&params.hidden[l].linear.weight)?, &signal, &to)?;
                if to.data_ptr() == b.data_ptr() {
                    self.scratch[l - 1] = (b.shallow_clone(), a.shallow_clone());
                }
            }
        }
        Ok(())
    }

    /// The loss heads' scores and the gradient of `weight · R` with respect to them, `(members, 1, points)`, with the
    /// gradient of the score's own map.
    fn score_gradient(&mut self, params: &Views, gradient: &mut Views, epoch: usize) -> Result<Option<Tensor>> {
        let (Some(head), Some(range), Some(score), Some(into)) =
            (&mut self.head, self.shape.layout.loss_head(), &params.score, &mut gradient.score)
        else {
            return Ok(None);
        };
        let (m, n, memory) = (self.shape.n_members as i64, self.shape.n, self.shape.memory);
        let width = head.training.shape.width as i64;
        let mut scores = score.bias.f_expand([m, 1, n as i64], false)?.f_contiguous()?;
        for (f, (layer, _)) in range.features.iter().enumerate() {
            let features = &mut head.features[f];
            self.products.affine(&params.features[f], &self.hidden[*layer].out, features)?;
            features.f_clamp_min_(0).done()?;
            self.products.add(&score.weight.f_narrow(2, f as i64 * width, width)?, features, &scores)?;
        }
        let n_pairs = n / 2;
        let mut delta = memory.zeros(&[m, n as i64])?;
        if let Some(losses) = self.point_loss.as_ref().filter(|_| n_pairs > 0) {
            let (i, j) = head.pairs.of(epoch)?;
            scores = scores.f_view((m, n as i64))?;
            let gap = |of: &Tensor| of.f_gather(1, &i, false)?.f_sub(&of.f_gather(1, &j, false)?);
            let larger = gap(losses)?.f_gt(0.0)?;
            // ℓ_i − ℓ_j > 0 exactly where ℓ_i > ℓ_j: f64 has gradual underflow.
            let sign = larger.f_to_kind(Kind::Float)?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
            let step = head.training.weight / n_pairs as f64;
            let inactive =
                sign.f_mul(&gap(&scores)?)?.f_rsub_scalar(head.training.margin)?.f_gt(0.0)?.f_logical_not()?;
            let mut slope = sign.f_mul_scalar(step)?;
            slope.f_masked_fill_(&inactive, 0.0).done()?;
            delta.f_scatter_(1, &i, &slope.f_neg()?).done()?;
            delta.f_scatter_(1, &j, &slope).done()?;
        }
        let delta = delta.f_view((m, 1, n as i64))?;
        sum_rows(&delta, &into.bias)?;
        let parts: Result<Vec<_>> = head.features.iter().map(|features| delta.f_bmm(&t(features)?)).collect();
        into.weight.f_copy_(&Tensor::f_cat(&parts?, 2)?)?;
        Ok(Some(delta))
    }

    /// At hidden layer `l`: the loss head's own gradient and, in the joint phase, what it adds to the layer's signal.
    fn add_head_gradient(
        &mut self,
        delta: &Option<Tensor>,
        params: &Views,
        gradient: &mut Views,
        epoch: usize,
        l: usize,
    ) -> Result<()> {
        let (Some(delta), Some(head), Some(range), Some(score)) =
            (delta, &self.head, self.shape.layout.loss_head(), &params.score)
        else {
            return Ok(());
        };
        let Some(f) = range.features.iter().position(|(layer, _)| *layer == l) else { return Ok(()) };
        let width = head.training.shape.width as i64;
        let weight = score.weight.f_narrow(2, f as i64 * width, width)?;
        let signal = t(&weight)?.f_mul(delta)?;
        head.features[f].f_threshold_backward_grad_input(&signal, &signal, 0).done()?;
        sum_rows(&signal, &gradient.features[f].bias)?;
        self.products.into(&signal, &t(&self.hidden[l].out)?, &gradient.features[f].weight)?;
        if epoch < head.training.joint_epochs {
            self.products.add(&t(&params.features[f].weight)?, &signal, &self.scratch[l].0)?;
        }
        Ok(())
    }
}

/// Values of a long sequence at a convolution's taps: `(members, channels, long, points)` to
/// `(members, channels · kernel, short, points)`, zero where a tap reaches outside.
pub(super) fn at_taps(conv: &Conv, long: &Tensor, n_short: usize) -> Result<Tensor> {
    let (m, channels, _, n) = long.size4()?;
    let kernel = conv.spec.kernel;
    let out = Tensor::f_zeros([m, channels, kernel as i64, n_short as i64, n], (long.kind(), long.device()))?;
    each_tap(conv, |k, short, positions| {
        out.f_select(2, k)?.f_narrow(2, short.0, short.1)?.f_copy_(&positions.of(long)?)
    })?;
    out.f_view((m, channels * kernel as i64, n_short as i64, n))
}

/// The transpose of [`at_taps`]: adds `(members, channels · kernel, short, points)` to where its taps lie in `long`.
pub(super) fn add_at_taps(conv: &Conv, taps: &Tensor, long: &Tensor) -> Result<()> {
    let (m, channels, _, n) = long.size4()?;
    let n_short = taps.size4()?.2;
    let taps = taps.f_view([m, channels, conv.spec.kernel as i64, n_short, n])?;
    each_tap(conv, |k, short, positions| {
        positions.of(long)?.f_add_(&taps.f_select(2, k)?.f_narrow(2, short.0, short.1)?).done()?;
        Ok(())
    })
}

/// Positions of a long sequence: first, and every so many up to an end.
struct Positions {
    first: i64,
    end: i64,
    stride: i64,
}

impl Positions {
    fn of(&self, long: &Tensor) -> Result<Tensor> {
        long.f_slice(2, self.first, self.end, self.stride)
    }
}

/// Calls `on(kernel index, (first, count) of the short sequence, positions of the long one)` for taps that act at all.
fn each_tap(conv: &Conv, mut on: impl FnMut(i64, (i64, i64), Positions) -> Result<()>) -> Result<()> {
    for k in 0..conv.spec.kernel {
        let taps = conv.taps(k);
        let count = taps.short.len() as i64;
        if count == 0 {
            continue;
        }
        let (first, stride) = (taps.long as i64, conv.spec.stride as i64);
        let positions = Positions { first, end: first + (count - 1) * stride + 1, stride };
        on(k as i64, (taps.short.start as i64, count), positions)?;
    }
    Ok(())
}

/// `after` of every member from `before`.
pub(super) fn conv_forward(
    products: Products,
    conv: &Conv,
    map: &LinearView,
    before: &Tensor,
    after: &mut Tensor,
) -> Result<()> {
    let (m, _, n) = before.size3()?;
    let (n_in, n_out) = (conv.spec.n_in as i64, conv.spec.n_out as i64);
    let (n_before, n_after) = (conv.n_before as i64, conv.n_after as i64);
    match conv.spec.kind {
        ConvKind::Plain => {
            let taps = at_taps(conv, &before.f_view((m, n_in, n_before, n))?, conv.n_after)?;
            let taps = taps.f_view((m, n_in * conv.spec.kernel as i64, n_after * n))?;
            products.affine(map, &taps, &after.f_view((m, n_out, n_after * n))?)?;
        }
        ConvKind::Transposed => {
            let rows = n_out * conv.spec.kernel as i64;
            let taps = Tensor::f_empty([m, rows, n_before * n], (before.kind(), before.device()))?;
            products.into(&t(&map.weight)?, &before.f_view((m, n_in, n_before * n))?, &taps)?;
            let mut long = after.f_view((m, n_out, n_after, n))?;
            long.f_copy_(&map.bias.f_unsqueeze(3)?.f_expand([m, n_out, n_after, n], false)?)?;
            add_at_taps(conv, &taps.f_view((m, rows, n_before, n))?, &long)?;
        }
    }
    Ok(())
}

/// From the gradient in `after`: those of weight and bias, and of `before`, which it overwrites.
fn conv_backward(
    products: Products,
    conv: &Conv,
    map: &LinearView,
    into: &LinearView,
    before: &mut Tensor,
    after: &Tensor,
) -> Result<()> {
    let (m, _, n) = before.size3()?;
    let (n_in, n_out, kernel) = (conv.spec.n_in as i64, conv.spec.n_out as i64, conv.spec.kernel as i64);
    let (n_before, n_after) = (conv.n_before as i64, conv.n_after as i64);
    sum_rows(&after.f_view((m, n_out, n_after * n))?, &into.bias)?;
    match conv.spec.kind {
        ConvKind::Plain => {
            let gradient = after.f_view((m, n_out, n_after * n))?;
            let taps = at_taps(conv, &before.f_view((m, n_in, n_before, n))?, conv.n_after)?;
            let taps = taps.f_view((m, n_in * kernel, n_after * n))?;
            products.into(&gradient, &t(&taps)?, &into.weight)?;
            products.into(&t(&map.weight)?, &gradient, &taps)?;
            before.f_zero_().done()?;
            add_at_taps(conv, &taps.f_view((m, n_in * kernel, n_after, n))?, &before.f_view((m, n_in, n_before, n))?)?;
        }
        ConvKind::Transposed => {
            let taps = at_taps(conv, &after.f_view((m, n_out, n_after, n))?, conv.n_before)?;
            let taps = taps.f_view((m, n_out * kernel, n_before * n))?;
            let input = before.f_view((m, n_in, n_before * n))?;
            products.into(&input, &t(&taps)?, &into.weight)?;
            products.into(&map.weight, &taps, &input)?;
        }
    }
    Ok(())
}

/// Bytes that a batch needs for each member, about: activations, signals, data, parameters and moments.
pub(super) fn bytes_per_member(network: &NetworkSpec, layout: &Layout, n: usize) -> usize {
    let hidden: usize = layout.hidden().iter().map(|block| 2 * block.linear.n_out).sum();
    let widest = layout.hidden().iter().map(|block| block.linear.n_out).max().unwrap_or(0);
    let convolutions = network.conv_head().map_or_else(Vec::new, Conv::of);
    let conv: usize =
        convolutions.iter().map(|conv| (1 + conv.spec.kernel) * conv.n_output().max(conv.n_input())).sum();
    let per_point = hidden + 2 * widest + conv + 4 * network.n_outputs() + network.n_inputs();
    4 * (n * per_point + 4 * layout.n_parameters())
}
