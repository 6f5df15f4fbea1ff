//! Products of parameter gradients over the members of an ensemble, without ever storing a gradient.
//!
//! In evaluation mode, layer `l` turns its input `h` into `z = W h + b` and, with BatchNorm, `a = γ x̂ + β`. With `δ` a
//! scalar's derivative at `a` (after the ReLU's mask) and `dz` at `z`, its gradient is `dW = dz hᵀ`, `db = dz`,
//! `dγ = δ ⊙ x̂`, `dβ = δ`. So the product of two such gradients, of a scalar at an anchor and of one at a candidate,
//! is
//!
//! `Σ_l (dz · dz′)(1 + h · h′) + δ · δ′ + (δ ⊙ x̂) · (δ′ ⊙ x̂′)`:
//!
//! three matrix products per layer over all pairs. Where outputs outnumber the anchors the sum is cheaper forwards: the
//! candidate's gradient is a direction, and all outputs' derivatives along it come from one pass at the anchor,
//! `ż = W ḣ + dz′ (1 + h · h′)`, `ȧ = scale ⊙ ż + (δ′ ⊙ x̂′) ⊙ x̂ + δ′`. Arithmetic is in f64: anchors and candidates
//! are few.

use dal_core::{OnChunk, ParameterSubset, Surrogate, SurrogateError, Tangent};
use ndarray::{Array3, ArrayView1, ArrayView2, s};

use crate::conv::BoundConv;
use crate::evaluate::{Evaluator, Trace, repeated};
use crate::products::{Gemm, Matrix, Products};
use crate::real::Real;
use crate::scaling::scaled;
use crate::surrogate::{CpuSurrogate, check_inputs};

/// Products held at once (8 bytes each).
const CHUNK_VALUES: usize = 1 << 22;
/// Values of anchor signals or explicit gradients held at once (8 bytes each).
const BLOCK_VALUES: usize = 1 << 22;
/// Candidates taken at once, at most.
const CHUNK_ROWS: usize = 1024;

/// A scalar per point, differentiated: `h` of every layer, and the signals at every layer.
pub(crate) struct Signals<T> {
    /// Points, or points times outputs.
    pub n: usize,
    /// Per hidden layer, `dz` `(n, width)`.
    pub dz: Vec<Vec<T>>,
    /// Per hidden layer with BatchNorm, `[δ, δ ⊙ x̂]` `(n, 2 width)`; empty without.
    pub normal: Vec<Vec<T>>,
    /// At the last Linear's output, `(n, linear outputs)`.
    pub last: Vec<T>,
    /// Explicit gradients of the convolutions' parameters, `(n, n_conv)`.
    pub conv: Vec<T>,
}

impl CpuSurrogate {
    /// Points as the network sees them, in f64.
    pub(crate) fn double_rows(&self, x: &ArrayView2<'_, f64>) -> Vec<f64> {
        let affine = self.scaling.as_ref();
        x.outer_iter()
            .flat_map(|row| row.iter().enumerate().map(|(j, &v)| scaled(affine, j, v)).collect::<Vec<_>>())
            .collect()
    }
}

impl<T: Real> Evaluator<'_, T> {
    /// Signals of the scalars whose derivatives with respect to the prediction are `signal`, of a traced pass.
    pub(crate) fn signals(&self, trace: &mut Trace<T>, signal: &[T]) -> Signals<T> {
        let n = trace.n;
        let n_hidden = self.layout.hidden().len();
        let mut signals = Signals {
            n,
            dz: vec![Vec::new(); n_hidden],
            normal: vec![Vec::new(); n_hidden],
            last: Vec::new(),
            conv: vec![T::ZERO; n * self.n_conv()],
        };
        // The closures below need parts of the trace that the pass itself only reads.
        let normal = std::mem::take(&mut trace.normal);
        let tail = std::mem::take(&mut trace.tail);
        let n_conv = self.n_conv();
        let first = self.layout.conv().first().map_or(0, |range| range.weight.start);
        let conv_gradients = &mut signals.conv;
        let on_tail = |c: usize, after: &[T]| {
            let (conv, range) = (&self.convolutions[c], &self.layout.conv()[c]);
            let points = tail[c].chunks_exact(conv.n_input()).zip(after.chunks_exact(conv.n_output()));
            for ((input, output), gradient) in points.zip(conv_gradients.chunks_exact_mut(n_conv)) {
                let (low, high) = gradient.split_at_mut(range.bias.start - first);
                conv.weight_gradient(
                    input,
                    output,
                    &mut low[range.weight.start - first..],
                    &mut high[..range.bias.len()],
                );
            }
        };
        let last = &mut signals.last;
        let (dz_of, normal_of) = (&mut signals.dz, &mut signals.normal);
        let on_hidden = |l: usize, delta: &[T], dz: &[T]| {
            dz_of[l] = dz.to_vec();
            if self.layout.hidden()[l].batch_norm.is_some() {
                let width = self.layout.hidden()[l].linear.n_out;
                for (delta, normal) in delta.chunks_exact(width).zip(normal[l].chunks_exact(width)) {
                    normal_of[l].extend_from_slice(delta);
                    normal_of[l].extend(delta.iter().zip(normal).map(|(&d, &x)| d * x));
                }
            }
        };
        self.backward(trace, signal, on_tail, |signal| last.extend_from_slice(signal), on_hidden, None);
        trace.normal = normal;
        trace.tail = tail;
        signals
    }

    /// Parameters of the convolutions.
    pub(crate) fn n_conv(&self) -> usize {
        let ranges = self.layout.conv();
        ranges.first().zip(ranges.last()).map_or(0, |(first, last)| last.bias.end - first.weight.start)
    }

    /// The input of Linear `l` (the last one counts as layer `n_hidden`).
    pub(crate) fn input_of<'t>(&self, l: usize, x: &'t [T], trace: &'t Trace<T>) -> &'t [T] {
        if l == 0 { x } else { &trace.hidden[l - 1] }
    }

    pub(crate) fn n_in(&self, l: usize) -> usize {
        self.layout.hidden().get(l).map_or(self.layout.last().n_in, |block| block.linear.n_in)
    }
}

impl Evaluator<'_, f64> {
    /// `1 + h · h′` for every candidate (rows) and anchor (columns) at the input of Linear `l`.
    fn input_products(&self, l: usize, candidates: (&[f64], &Trace<f64>), anchors: (&[f64], &Trace<f64>)) -> Vec<f64> {
        let (n, n_anchors) = (candidates.1.n, anchors.1.n);
        let n_in = self.n_in(l);
        let mut out = vec![1.0; n * n_anchors];
        let left = Matrix::new(self.input_of(l, candidates.0, candidates.1), n, n_in);
        Gemm::product(left, Matrix::new(self.input_of(l, anchors.0, anchors.1), n_anchors, n_in).t(), &mut out, true);
        out
    }
}

/// Where a member's products go: `(candidates, anchors, outputs)`, added to.
struct Sums<'a> {
    values: &'a mut [f64],
    n_anchors: usize,
    n_outputs: usize,
}

impl Sums<'_> {
    /// Adds `factor(candidate, anchor) · product(candidate, column)`, columns running over the outputs `outputs` of the
    /// anchors `anchors`, the output varying fastest.
    fn add(
        &mut self,
        products: &[f64],
        anchors: std::ops::Range<usize>,
        outputs: std::ops::Range<usize>,
        factor: impl Fn(usize, usize) -> f64,
    ) {
        let n_columns = anchors.len() * outputs.len();
        for (c, row) in products.chunks_exact(n_columns).enumerate() {
            for (a, row) in anchors.clone().zip(row.chunks_exact(outputs.len())) {
                let factor = factor(c, a);
                let at = (c * self.n_anchors + a) * self.n_outputs;
                for (sum, value) in self.values[at..][outputs.clone()].iter_mut().zip(row) {
                    *sum += factor * value;
                }
            }
        }
    }
}

/// One member at the anchors and at a chunk of candidates, with the candidates' loss differentiated.
struct Pair<'a> {
    evaluator: &'a Evaluator<'a, f64>,
    anchors_x: &'a [f64],
    anchors: Trace<f64>,
    candidates_x: &'a [f64],
    candidates: Trace<f64>,
    loss: Signals<f64>,
    n_outputs: usize,
}

impl Pair<'_> {
    /// Signals at `outputs` of the anchors `range`, one row per anchor and output, the output varying fastest.
    fn anchor_signals(
        &self,
        range: std::ops::Range<usize>,
        outputs: std::ops::Range<usize>,
    ) -> (Vec<f64>, Trace<f64>, Signals<f64>) {
        let n_inputs = self.anchors_x.len() / self.anchors.n;
        let n_outputs = self.n_outputs;
        let mut signal = vec![0.0; range.len() * outputs.len() * n_outputs];
        for (row, signal) in signal.chunks_exact_mut(n_outputs).enumerate() {
            let output = outputs.start + row % outputs.len();
            signal[output] = 1.0;
        }
        let x = repeated(self.anchors_x, n_inputs, range.clone(), outputs.len());
        // The anchors were evaluated once; their outputs differ in what is sent back only.
        let mut trace = self.anchors.repeated(range, outputs.len());
        let signals = self.evaluator.signals(&mut trace, &signal);
        (x, trace, signals)
    }

    /// Products by layer-wise inner products of inputs and signals.
    fn backwards(&self, sums: &mut Sums<'_>) {
        let evaluator = self.evaluator;
        let layout = evaluator.layout;
        let n_hidden = layout.hidden().len();
        let (n, n_outputs) = (self.candidates.n, self.n_outputs);
        let inputs: Vec<_> = (0..=n_hidden)
            .map(|l| {
                let candidates = (self.candidates_x, &self.candidates);
                evaluator.input_products(l, candidates, (self.anchors_x, &self.anchors))
            })
            .collect();
        let n_anchors = self.anchors.n;
        let per_row: usize = layout.hidden().iter().map(|block| 5 * block.linear.n_out).sum::<usize>()
            + layout.last().n_out
            + n_outputs
            + n;
        let outputs_at_once = (BLOCK_VALUES / per_row).clamp(1, n_outputs);
        let anchors_at_once = (BLOCK_VALUES / (per_row * outputs_at_once)).clamp(1, n_anchors);
        for anchors in blocks(n_anchors, anchors_at_once) {
            for outputs in blocks(n_outputs, outputs_at_once) {
                let (_, _, signals) = self.anchor_signals(anchors.clone(), outputs.clone());
                let mut products = vec![0.0; n * signals.n];
                let mut pairs = |left: &[f64], right: &[f64], width: usize, input: Option<&Vec<f64>>| {
                    let right = Matrix::new(right, signals.n, width).t();
                    Gemm::product(Matrix::new(left, n, width), right, &mut products, false);
                    let factor = |c: usize, a: usize| input.map_or(1.0, |input| input[c * n_anchors + a]);
                    sums.add(&products, anchors.clone(), outputs.clone(), factor);
                };
                for l in 0..n_hidden {
                    let width = layout.hidden()[l].linear.n_out;
                    pairs(&self.loss.dz[l], &signals.dz[l], width, Some(&inputs[l]));
                    if !self.loss.normal[l].is_empty() {
                        pairs(&self.loss.normal[l], &signals.normal[l], 2 * width, None);
                    }
                }
                pairs(&self.loss.last, &signals.last, layout.last().n_out, Some(&inputs[n_hidden]));
                if evaluator.n_conv() > 0 {
                    pairs(&self.loss.conv, &signals.conv, evaluator.n_conv(), None);
                }
            }
        }
    }

    /// The same products by one forward derivative per candidate and anchor, which gives all outputs at once.
    fn forwards(&self, sums: &mut Sums<'_>) {
        let evaluator = self.evaluator;
        let layout = evaluator.layout;
        let n_hidden = layout.hidden().len();
        let n_anchors = self.anchors.n;
        let candidates = (self.candidates_x, &self.candidates);
        let inputs: Vec<_> =
            (0..=n_hidden).map(|l| evaluator.input_products(l, candidates, (self.anchors_x, &self.anchors))).collect();
        let (mut here, mut next) = (Vec::new(), Vec::new());
        for c in 0..self.candidates.n {
            // The derivative at each anchor along the candidate's loss gradient, layer by layer; zero at the input.
            for (l, block) in layout.hidden().iter().enumerate() {
                let width = block.linear.n_out;
                next.clear();
                next.resize(n_anchors * width, 0.0);
                if l > 0 {
                    evaluator.product(&block.linear, &here, n_anchors, &mut next);
                }
                let dz = &self.loss.dz[l][c * width..][..width];
                for (a, row) in next.chunks_exact_mut(width).enumerate() {
                    let input = inputs[l][c * n_anchors + a];
                    row.iter_mut().zip(dz).for_each(|(v, d)| *v += input * d);
                    if block.batch_norm.is_some() {
                        let scale = &evaluator.scale[block.statistics.clone()];
                        let (delta, slope) = self.loss.normal[l][2 * c * width..][..2 * width].split_at(width);
                        let normal = &self.anchors.normal[l][a * width..][..width];
                        for j in 0..width {
                            row[j] = scale[j] * row[j] + slope[j] * normal[j] + delta[j];
                        }
                    }
                    let out = &self.anchors.hidden[l][a * width..][..width];
                    row.iter_mut().zip(out).for_each(|(v, &h)| *v = if h > 0.0 { *v } else { 0.0 });
                }
                std::mem::swap(&mut here, &mut next);
            }
            let last = layout.last();
            next.clear();
            next.resize(n_anchors * last.n_out, 0.0);
            if n_hidden > 0 {
                evaluator.product(last, &here, n_anchors, &mut next);
            }
            let signal = &self.loss.last[c * last.n_out..][..last.n_out];
            for (a, row) in next.chunks_exact_mut(last.n_out).enumerate() {
                let input = inputs[n_hidden][c * n_anchors + a];
                row.iter_mut().zip(signal).for_each(|(v, d)| *v += input * d);
            }
            std::mem::swap(&mut here, &mut next);
            let n_conv = evaluator.n_conv();
            let first = layout.conv().first().map_or(0, |range| range.weight.start);
            let direction = &self.loss.conv[c * n_conv..][..n_conv];
            for (i, (conv, range)) in evaluator.convolutions.iter().zip(layout.conv()).enumerate() {
                next.clear();
                next.resize(n_anchors * conv.n_output(), 0.0);
                BoundConv { conv, weight: &evaluator.params[range.weight.clone()], bias: &[] }
                    .forward(&here, &mut next);
                let along = |range: &std::ops::Range<usize>| &direction[range.start - first..range.end - first];
                let mut moved = vec![0.0; conv.n_output()];
                let before = self.anchors.tail[i].chunks_exact(conv.n_input());
                for (input, row) in before.zip(next.chunks_exact_mut(conv.n_output())) {
                    conv.forward(along(&range.weight), along(&range.bias), input, &mut moved);
                    row.iter_mut().zip(&moved).for_each(|(v, m)| *v += m);
                }
                std::mem::swap(&mut here, &mut next);
            }
            let n_outputs = self.n_outputs;
            let at = c * n_anchors * n_outputs;
            for (a, row) in here.chunks_exact(n_outputs).enumerate() {
                let sums = &mut sums.values[at + a * n_outputs..][..n_outputs];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
    }

    /// The products over some parameters only, from explicit gradients; `subset` is ascending.
    fn explicit(&self, subset: &[usize], sums: &mut Sums<'_>) {
        let n_outputs = self.n_outputs;
        let width = subset.len();
        let rows_at_once = (BLOCK_VALUES / width.max(1)).max(1);
        let outputs_at_once = rows_at_once.min(n_outputs);
        let anchors_at_once = (rows_at_once / outputs_at_once).clamp(1, self.anchors.n);
        for anchors in blocks(self.anchors.n, anchors_at_once) {
            for outputs in blocks(n_outputs, outputs_at_once) {
                let (x, trace, signals) = self.anchor_signals(anchors.clone(), outputs.clone());
                let right = gather(self.evaluator, subset, &x, &trace, &signals, 0..signals.n);
                for candidates in blocks(self.candidates.n, rows_at_once) {
                    let left = gather(
                        self.evaluator,
                        subset,
                        self.candidates_x,
                        &self.candidates,
                        &self.loss,
                        candidates.clone(),
                    );
                    let mut products = vec![0.0; candidates.len() * signals.n];
                    let left = Matrix::new(&left, candidates.len(), width);
                    Gemm::product(left, Matrix::new(&right, signals.n, width).t(), &mut products, false);
                    let stride = self.anchors.n * n_outputs;
                    let mut part = Sums { values: &mut sums.values[candidates.start * stride..], ..*sums };
                    part.add(&products, anchors.clone(), outputs.clone(), |_, _| 1.0);
                }
            }
        }
    }
}

/// Consecutive ranges of at most `size` covering `0..n`.
fn blocks(n: usize, size: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..n).step_by(size.max(1)).map(move |start| start..(start + size).min(n))
}

/// The entries `subset` of the gradients of rows `rows`, `(rows, subset)`.
fn gather(
    evaluator: &Evaluator<'_, f64>,
    subset: &[usize],
    x: &[f64],
    trace: &Trace<f64>,
    signals: &Signals<f64>,
    rows: std::ops::Range<usize>,
) -> Vec<f64> {
    let layout = evaluator.layout;
    let mut out = vec![0.0; rows.len() * subset.len()];
    // A parameter's place: which of its layer's vectors make up its derivative.
    let linears: Vec<_> = layout.hidden().iter().map(|block| &block.linear).chain([layout.last()]).collect();
    let n_conv = evaluator.n_conv();
    let conv_start = layout.last().bias.end;
    for (s, &parameter) in subset.iter().enumerate() {
        let mut put = |value: &dyn Fn(usize) -> f64| {
            for (i, row) in rows.clone().enumerate() {
                out[i * subset.len() + s] = value(row);
            }
        };
        if parameter >= conv_start {
            put(&|row| signals.conv[row * n_conv + parameter - conv_start]);
            continue;
        }
        for (l, linear) in linears.iter().enumerate() {
            let dz = signals.dz.get(l).unwrap_or(&signals.last);
            let n_out = linear.n_out;
            if linear.weight.contains(&parameter) {
                let (o, i) =
                    ((parameter - linear.weight.start) / linear.n_in, (parameter - linear.weight.start) % linear.n_in);
                let input = evaluator.input_of(l, x, trace);
                put(&|row| dz[row * n_out + o] * input[row * linear.n_in + i]);
            } else if linear.bias.contains(&parameter) {
                put(&|row| dz[row * n_out + parameter - linear.bias.start]);
            } else if let Some(bn) = layout.hidden().get(l).and_then(|block| block.batch_norm.as_ref()) {
                let normal = &signals.normal[l];
                if bn.gamma.contains(&parameter) {
                    put(&|row| normal[row * 2 * n_out + n_out + parameter - bn.gamma.start]);
                } else if bn.beta.contains(&parameter) {
                    put(&|row| normal[row * 2 * n_out + parameter - bn.beta.start]);
                }
            }
        }
    }
    out
}

/// A uniform subset of `0..n`, ascending; `None` where all are wanted.
fn draw_subset(subset: Option<&ParameterSubset>, n: usize, member: usize) -> Option<Vec<usize>> {
    let subset = subset.filter(|subset| subset.n_parameters < n)?;
    let mut rng = subset.seeds.index(member as u64).rng();
    let mut chosen = rand::seq::index::sample(&mut rng, n, subset.n_parameters).into_vec();
    chosen.sort_unstable();
    Some(chosen)
}

impl Tangent for CpuSurrogate {
    fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        let (n_inputs, n_outputs) = (self.n_inputs(), self.n_outputs());
        check_inputs(&anchors, n_inputs)?;
        check_inputs(&candidates, n_inputs)?;
        if target.len() != n_outputs {
            return Err(SurrogateError::Other {
                message: format!("the target has {} values, the model {n_outputs} outputs", target.len()),
            });
        }
        let ensemble = &self.ensemble;
        let layout = &ensemble.layout;
        let subsets: Vec<_> = (0..ensemble.members.len())
            .map(|member| draw_subset(subset, layout.n_network_parameters(), member))
            .collect();
        let anchors_x = self.double_rows(&anchors);
        let n_anchors = anchors.nrows();
        let chunk_rows = (CHUNK_VALUES / (n_anchors.max(1) * n_outputs)).clamp(1, CHUNK_ROWS);
        for (c, chunk) in candidates.axis_chunks_iter(ndarray::Axis(0), chunk_rows).enumerate() {
            let n = chunk.nrows();
            let candidates_x = self.double_rows(&chunk);
            let mut products = Array3::zeros((n, n_anchors, n_outputs));
            if n_anchors > 0 {
                for (member, subset) in ensemble.members.iter().zip(&subsets) {
                    let evaluator = Evaluator::double(&ensemble.network, layout, member);
                    let (mut at_anchors, mut at_candidates) = (Trace::default(), Trace::default());
                    evaluator.forward(&anchors_x, n_anchors, None, true, &mut at_anchors);
                    evaluator.forward(&candidates_x, n, None, true, &mut at_candidates);
                    let signal: Vec<f64> = at_candidates
                        .prediction()
                        .chunks_exact(n_outputs)
                        // ∂ℓ/∂f_j, where ℓ = mean_j (f_j − target_j)².
                        .flat_map(|f| {
                            f.iter().zip(target).map(|(f, y)| 2.0 * (f - y) / n_outputs as f64).collect::<Vec<_>>()
                        })
                        .collect();
                    let loss = evaluator.signals(&mut at_candidates, &signal);
                    let pair = Pair {
                        evaluator: &evaluator,
                        anchors_x: &anchors_x,
                        anchors: at_anchors,
                        candidates_x: &candidates_x,
                        candidates: at_candidates,
                        loss,
                        n_outputs,
                    };
                    // A fresh array in standard layout is one slice.
                    let values = products.as_slice_mut().unwrap_or(&mut []);
                    let mut sums = Sums { values, n_anchors, n_outputs };
                    match subset {
                        Some(subset) => pair.explicit(subset, &mut sums),
                        None if n_outputs > n_anchors => pair.forwards(&mut sums),
                        None => pair.backwards(&mut sums),
                    }
                }
            }
            products /= ensemble.members.len() as f64;
            if let Some(((row, _, output), &value)) = products.indexed_iter().find(|(_, v)| !f64::is_finite(**v)) {
                return Err(SurrogateError::NonFinitePrediction { row: c * chunk_rows + row, output, value });
            }
            on_chunk(c * chunk_rows, products.slice(s![.., .., ..]));
        }
        Ok(())
    }
}
