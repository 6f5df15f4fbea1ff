//! Features of points from gradients by the parameters, exact or sketched, without storing a gradient of a large
//! network.
//!
//! With input `h` (a values) and signal `δ` (b values) of a linear layer, the gradient by its weight and bias is `δ ⊗
//! h̃`, where `h̃ = (weight / √a · h, bias)`. For Gaussian `P` (a + 1, p) and `Q` (b, p) of entries N(0, 1/p), its
//! sketch is
//!
//! `s = √p (h̃ P) ⊙ (δ Q)`, with `E[s · s′] = (h̃ · h̃′)(δ · δ′)`,
//!
//! and the sum of the layers' independent sketches is one of the whole gradient. Each output direction has its own `Q`
//! and shares `P`; BatchNorm's γ and β, and the convolutions, whose gradients are short, are multiplied by one Gaussian
//! matrix.
//!
//! Source: D. Holzmüller et al., A framework and benchmark for deep batch active learning for regression, JMLR 24
//! (2023).

use dal_core::{FeatureKind, FeatureSpec, Features, Parametrisation, SeedPath, Surrogate, SurrogateError};
use ndarray::{Array2, ArrayView2, Axis, s};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use crate::evaluate::{Evaluator, Member, Trace};
use crate::params::Layout;
use crate::products::{Gemm, Matrix, Products};
use crate::real::Real;
use crate::scaling::scaled;
use crate::surrogate::{CpuSurrogate, Ensemble, check_inputs};
use crate::tangent::Signals;

/// Points taken at once. A product packs the sketch's matrix anew for every chunk, which cost an eighth of the time
/// with 128 points; no entry's sum depends on it.
const CHUNK_ROWS: usize = 512;
/// Features held at most (8 bytes each).
const MOST_HELD: usize = 1 << 28;

fn check_size(columns: usize, n_points: usize) -> Result<(), SurrogateError> {
    if columns.saturating_mul(n_points) <= MOST_HELD {
        return Ok(());
    }
    let most = MOST_HELD / n_points.max(1);
    Err(SurrogateError::Other {
        message: format!(
            "{columns} features at each of {n_points} points are more than can be held: ask for fewer columns, at most \
             {most}, or give fewer points"
        ),
    })
}

/// What stands before each of a member's parameters, by [`Layout`].
fn factors(layout: &Layout, parametrisation: Parametrisation) -> Vec<f64> {
    let Parametrisation { weight, bias } = parametrisation;
    let mut all = vec![0.0; layout.n_network_parameters()];
    let linears = layout.hidden().iter().map(|block| &block.linear).chain([layout.last()]);
    for linear in linears {
        all[linear.weight.clone()].fill(weight / (linear.n_in as f64).sqrt());
        all[linear.bias.clone()].fill(bias);
    }
    for norm in layout.hidden().iter().filter_map(|block| block.batch_norm.as_ref()) {
        all[norm.gamma.clone()].fill(weight);
        all[norm.beta.clone()].fill(bias);
    }
    for (conv, &fan_in) in layout.conv().iter().zip(layout.conv_fan_in()) {
        all[conv.weight.clone()].fill(weight / (fan_in as f64).sqrt());
        all[conv.bias.clone()].fill(bias);
    }
    all
}

/// A matrix (rows, p) of independent N(0, 1) times a factor a row.
fn gaussian<T: Real>(rows: usize, p: usize, factor: impl Fn(usize) -> f64, rng: &mut impl Rng) -> Vec<T> {
    let mut all = Vec::with_capacity(rows * p);
    for row in 0..rows {
        let factor = factor(row);
        all.extend((0..p).map(|_| {
            let draw: f64 = StandardNormal.sample(rng);
            T::from_f64(factor * draw)
        }));
    }
    all
}

/// The sketch of one linear layer: `P` without its last row, that row, and a `Q` for each direction, `√p` in these.
struct LinearSketch<T> {
    input: Vec<T>,
    constant: Vec<T>,
    signals: Vec<Vec<T>>,
}

/// What a member's gradients are multiplied by.
struct Sketch<T> {
    linears: Vec<LinearSketch<T>>,
    /// Per hidden layer and direction, for `[δ, δ ⊙ x̂]`; empty without BatchNorm.
    normals: Vec<Vec<Vec<T>>>,
    /// Per direction, for the convolutions' gradients.
    convs: Vec<Vec<T>>,
}

impl<T: Real> Sketch<T> {
    fn draw(
        layout: &Layout,
        parametrisation: Parametrisation,
        p: usize,
        n_directions: usize,
        seeds: &SeedPath,
    ) -> Self {
        let rng = &mut seeds.rng();
        let factors = factors(layout, parametrisation);
        let root = 1.0 / (p as f64).sqrt();
        let linears = layout.hidden().iter().map(|block| &block.linear).chain([layout.last()]);
        let linears = linears
            .map(|linear| LinearSketch {
                input: gaussian(linear.n_in, p, |_| root * factors[linear.weight.start], rng),
                constant: gaussian(1, p, |_| root * factors[linear.bias.start], rng),
                signals: (0..n_directions).map(|_| gaussian(linear.n_out, p, |_| 1.0, rng)).collect(),
            })
            .collect();
        let normals = layout
            .hidden()
            .iter()
            .map(|block| {
                let Some(norm) = &block.batch_norm else { return Vec::new() };
                let width = norm.beta.len();
                let of = |row: usize| {
                    root * factors[if row < width { norm.beta.start + row } else { norm.gamma.start + row - width }]
                };
                (0..n_directions).map(|_| gaussian(2 * width, p, of, rng)).collect()
            })
            .collect();
        let first = layout.last().bias.end;
        let n_conv = layout.n_network_parameters() - first;
        let convs = (0..n_directions).map(|_| gaussian(n_conv, p, |row| root * factors[first + row], rng)).collect();
        Self { linears, normals, convs }
    }
}

/// One direction per scalar that is differentiated: coefficients of the outputs.
fn directions(n_outputs: usize, n_directions: usize, seeds: &SeedPath) -> Vec<Vec<f64>> {
    if n_outputs <= n_directions {
        let unit = |r: usize| (0..n_outputs).map(|j| if j == r { 1.0 } else { 0.0 }).collect();
        return (0..n_outputs).map(unit).collect();
    }
    let (mut rng, size) = (seeds.rng(), 1.0 / (n_directions as f64).sqrt());
    let mut sign = || if rng.random::<bool>() { size } else { -size };
    (0..n_directions).map(|_| (0..n_outputs).map(|_| sign()).collect()).collect()
}

/// A member and what its features are made by.
struct Made<'a, T: Real> {
    evaluator: &'a Evaluator<'a, T>,
    directions: &'a [Vec<f64>],
}

impl<T: Real> Made<'_, T> {
    /// A chunk's points at every direction: calls `on(direction, trace, signals)`.
    fn each_direction(&self, x: &[T], n: usize, mut on: impl FnMut(usize, &Trace<T>, &Signals<T>)) {
        let mut trace = Trace::default();
        self.evaluator.forward(x, n, None, true, &mut trace);
        for (r, direction) in self.directions.iter().enumerate() {
            let direction: Vec<T> = direction.iter().map(|&v| T::from_f64(v)).collect();
            let signal = direction.repeat(n);
            let signals = self.evaluator.signals(&mut trace, &signal);
            on(r, &trace, &signals);
        }
    }

    /// Adds a chunk's sketches to `sums` (n, p).
    fn sketched(&self, sketch: &Sketch<T>, x: &[T], n: usize, p: usize, sums: &mut [T], scratch: &mut Scratch<T>) {
        let layout = self.evaluator.layout;
        let n_hidden = layout.hidden().len();
        scratch.signal.resize(n * p, T::ZERO);
        scratch.inputs.resize_with(n_hidden + 1, Vec::new);
        self.each_direction(x, n, |r, trace, signals| {
            for (l, linear) in sketch.linears.iter().enumerate() {
                let input = &mut scratch.inputs[l];
                if r == 0 {
                    let n_in = self.evaluator.n_in(l);
                    input.resize(n * p, T::ZERO);
                    let h = Matrix::new(self.evaluator.input_of(l, x, trace), n, n_in);
                    Gemm::product(h, Matrix::new(&linear.input, n_in, p), input, false);
                    for row in input.chunks_exact_mut(p) {
                        row.iter_mut().zip(&linear.constant).for_each(|(v, &c)| *v += c);
                    }
                }
                let delta = signals.dz.get(l).unwrap_or(&signals.last);
                let n_out = delta.len() / n;
                let q = Matrix::new(&linear.signals[r], n_out, p);
                Gemm::product(Matrix::new(delta, n, n_out), q, &mut scratch.signal, false);
                for ((sum, &a), &b) in sums.iter_mut().zip(&*input).zip(&scratch.signal) {
                    *sum += a * b;
                }
            }
            for (normal, of_layer) in signals.normal.iter().zip(&sketch.normals) {
                let Some(matrix) = of_layer.get(r) else { continue };
                let width = normal.len() / n;
                Gemm::product(Matrix::new(normal, n, width), Matrix::new(matrix, width, p), sums, true);
            }
            let n_conv = signals.conv.len() / n;
            if n_conv > 0 {
                let matrix = Matrix::new(&sketch.convs[r], n_conv, p);
                Gemm::product(Matrix::new(&signals.conv, n, n_conv), matrix, sums, true);
            }
        });
    }

    /// Writes a chunk's gradients by every parameter, times `factors`, into `rows` from column `first` on.
    fn exact(&self, factors: &[f64], x: &[T], n: usize, first: usize, rows: &mut ndarray::ArrayViewMut2<'_, f64>) {
        let layout = self.evaluator.layout;
        let n_parameters = factors.len();
        let linears: Vec<_> = layout.hidden().iter().map(|block| &block.linear).chain([layout.last()]).collect();
        self.each_direction(x, n, |r, trace, signals| {
            let first = first + r * n_parameters;
            for i in 0..n {
                let mut put = |parameter: usize, value: T| {
                    rows[[i, first + parameter]] = factors[parameter] * value.to_f64();
                };
                for (l, linear) in linears.iter().enumerate() {
                    let delta = &signals.dz.get(l).unwrap_or(&signals.last)[i * linear.n_out..][..linear.n_out];
                    let input = &self.evaluator.input_of(l, x, trace)[i * linear.n_in..][..linear.n_in];
                    for (o, &d) in delta.iter().enumerate() {
                        put(linear.bias.start + o, d);
                        for (k, &h) in input.iter().enumerate() {
                            put(linear.weight.start + o * linear.n_in + k, d * h);
                        }
                    }
                    let Some(norm) = layout.hidden().get(l).and_then(|block| block.batch_norm.as_ref()) else {
                        continue;
                    };
                    let width = norm.beta.len();
                    let (delta, slope) = signals.normal[l][2 * i * width..][..2 * width].split_at(width);
                    for j in 0..width {
                        put(norm.beta.start + j, delta[j]);
                        put(norm.gamma.start + j, slope[j]);
                    }
                }
                let n_conv = self.evaluator.n_conv();
                for (c, &g) in signals.conv[i * n_conv..][..n_conv].iter().enumerate() {
                    put(layout.last().bias.end + c, g);
                }
            }
        });
    }
}

/// Buffers kept between chunks.
#[derive(Default)]
struct Scratch<T> {
    inputs: Vec<Vec<T>>,
    signal: Vec<T>,
}

/// How members become evaluators of one precision.
type MakeEvaluator<'a, T> = dyn Fn(&'a Member) -> Evaluator<'a, T> + 'a;

/// An ensemble whose features are taken in the precision `T`.
struct Source<'a, T: Real> {
    ensemble: &'a Ensemble,
    evaluator: &'a MakeEvaluator<'a, T>,
    /// Points as the network sees them, row-major.
    x: Vec<T>,
}

impl<T: Real> Source<'_, T> {
    /// Chunks of points: first row, their number, their values.
    fn chunks(&self) -> impl Iterator<Item = (usize, usize, &[T])> {
        let n_inputs = self.ensemble.network.n_inputs();
        self.x.chunks(CHUNK_ROWS * n_inputs).enumerate().map(move |(c, x)| (c * CHUNK_ROWS, x.len() / n_inputs, x))
    }

    fn n_points(&self) -> usize {
        self.x.len() / self.ensemble.network.n_inputs()
    }

    fn features(&self, spec: &FeatureSpec) -> Result<Array2<f64>, SurrogateError> {
        let refusal = |message: String| Err(SurrogateError::Other { message });
        if spec.columns == Some(0) || spec.directions == 0 {
            return refusal("features need at least one column and one output direction".into());
        }
        let layout = &self.ensemble.layout;
        let scalars = self.ensemble.network.n_outputs().min(spec.directions);
        let per_member = match spec.kind {
            FeatureKind::Gradient => scalars * layout.n_network_parameters(),
            FeatureKind::LastLayer => layout.last().n_in + 1,
        };
        let all = per_member * self.ensemble.members.len();
        check_size(spec.columns.map_or(all, |p| p.min(all)), self.n_points())?;
        match spec.columns {
            // What is no longer than a sketch of it needs none.
            Some(p) if p < all => Ok(match spec.kind {
                FeatureKind::Gradient => self.sketched_gradients(spec, p),
                FeatureKind::LastLayer => self.sketched_last_layers(spec, p),
            }),
            _ => Ok(match spec.kind {
                FeatureKind::Gradient => self.exact_gradients(spec, per_member, all),
                FeatureKind::LastLayer => self.exact_last_layers(spec, per_member, all),
            }),
        }
    }

    fn directions(&self, spec: &FeatureSpec, member: usize) -> Vec<Vec<f64>> {
        let seeds = spec.seeds.purpose("directions").index(member as u64);
        directions(self.ensemble.network.n_outputs(), spec.directions, &seeds)
    }

    fn sketched_gradients(&self, spec: &FeatureSpec, p: usize) -> Array2<f64> {
        let mut out = Array2::zeros((self.n_points(), p));
        let mut scratch = Scratch::default();
        let mut sums = Vec::new();
        for (m, member) in self.ensemble.members.iter().enumerate() {
            let directions = self.directions(spec, m);
            let seeds = spec.seeds.purpose("sketch").index(m as u64);
            let sketch = Sketch::draw(&self.ensemble.layout, spec.parametrisation, p, directions.len(), &seeds);
            let evaluator = (self.evaluator)(member);
            let made = Made { evaluator: &evaluator, directions: &directions };
            for (first, n, x) in self.chunks() {
                sums.clear();
                sums.resize(n * p, T::ZERO);
                made.sketched(&sketch, x, n, p, &mut sums, &mut scratch);
                add(&mut out, first, p, &sums);
            }
        }
        out
    }

    fn exact_gradients(&self, spec: &FeatureSpec, per_member: usize, all: usize) -> Array2<f64> {
        let mut out = Array2::zeros((self.n_points(), all));
        let factors = factors(&self.ensemble.layout, spec.parametrisation);
        for (m, member) in self.ensemble.members.iter().enumerate() {
            let directions = self.directions(spec, m);
            let evaluator = (self.evaluator)(member);
            let made = Made { evaluator: &evaluator, directions: &directions };
            for (first, n, x) in self.chunks() {
                made.exact(&factors, x, n, m * per_member, &mut out.slice_mut(s![first..first + n, ..]));
            }
        }
        out
    }

    /// The inputs of the last linear layer of every member and chunk.
    fn each_last_input(&self, mut on: impl FnMut(usize, usize, usize, &[T])) {
        let mut trace = Trace::default();
        for (m, member) in self.ensemble.members.iter().enumerate() {
            let evaluator = (self.evaluator)(member);
            for (first, n, x) in self.chunks() {
                evaluator.forward(x, n, None, false, &mut trace);
                on(m, first, n, evaluator.input_of(self.ensemble.layout.hidden().len(), x, &trace));
            }
        }
    }

    fn exact_last_layers(&self, spec: &FeatureSpec, per_member: usize, all: usize) -> Array2<f64> {
        let n_in = self.ensemble.layout.last().n_in;
        let factor = spec.parametrisation.weight / (n_in as f64).sqrt();
        let mut out = Array2::zeros((self.n_points(), all));
        self.each_last_input(|m, first, n, h| {
            for i in 0..n {
                for k in 0..n_in {
                    out[[first + i, m * per_member + k]] = factor * h[i * n_in + k].to_f64();
                }
                out[[first + i, m * per_member + n_in]] = spec.parametrisation.bias;
            }
        });
        out
    }

    fn sketched_last_layers(&self, spec: &FeatureSpec, p: usize) -> Array2<f64> {
        let n_in = self.ensemble.layout.last().n_in;
        let root = 1.0 / (p as f64).sqrt();
        let factor = root * spec.parametrisation.weight / (n_in as f64).sqrt();
        let mut out = Array2::zeros((self.n_points(), p));
        let mut sums = Vec::new();
        let mut drawn: Option<(usize, Vec<T>, Vec<T>)> = None;
        self.each_last_input(|m, first, n, h| {
            let (_, matrix, constant) = match drawn.take().filter(|(of, ..)| *of == m) {
                Some(same) => drawn.insert(same),
                None => {
                    let rng = &mut spec.seeds.purpose("sketch").index(m as u64).rng();
                    let matrix = gaussian(n_in, p, |_| factor, rng);
                    let constant = gaussian(1, p, |_| root * spec.parametrisation.bias, rng);
                    drawn.insert((m, matrix, constant))
                }
            };
            sums.clear();
            (0..n).for_each(|_| sums.extend_from_slice(constant));
            Gemm::product(Matrix::new(h, n, n_in), Matrix::new(matrix, n_in, p), &mut sums, true);
            add(&mut out, first, p, &sums);
        });
        out
    }
}

/// Adds rows (n, p) to the rows of `out` from `first` on.
fn add<T: Real>(out: &mut Array2<f64>, first: usize, p: usize, rows: &[T]) {
    for (mut out, row) in out.axis_iter_mut(Axis(0)).skip(first).zip(rows.chunks_exact(p)) {
        out.iter_mut().zip(row).for_each(|(out, v)| *out += v.to_f64());
    }
}

impl CpuSurrogate {
    /// Features in the arithmetic of `T`.
    fn features_in<'a, T: Real>(
        &'a self,
        x: &ArrayView2<'_, f64>,
        spec: &FeatureSpec,
        evaluator: &'a MakeEvaluator<'a, T>,
    ) -> Result<Array2<f64>, SurrogateError> {
        check_inputs(x, self.n_inputs())?;
        let affine = self.scaling.as_ref();
        let mut rows = Vec::with_capacity(x.len());
        for row in x.outer_iter() {
            rows.extend(row.iter().enumerate().map(|(j, &v)| T::from_f64(scaled(affine, j, v))));
        }
        let features = Source { ensemble: &self.ensemble, evaluator, x: rows }.features(spec)?;
        match features.indexed_iter().find(|(_, value)| !value.is_finite()) {
            Some(((row, column), &value)) => Err(SurrogateError::NonFiniteFeature { row, column, value }),
            None => Ok(features),
        }
    }
}

impl Features for CpuSurrogate {
    fn features_at(&self, x: ArrayView2<'_, f64>, spec: &FeatureSpec) -> Result<Array2<f64>, SurrogateError> {
        let Ensemble { network, layout, .. } = &self.ensemble;
        self.features_in(&x, spec, &|member| Evaluator::single(network, layout, member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CpuLearner, InputScaling};

    use dal_core::model::{BatchNormSpec, ConvHeadSpec, Head, NetworkSpec, TrainingSpec};
    use dal_core::{Labelled, Needs};

    fn trained(network: NetworkSpec) -> CpuSurrogate {
        let (n_inputs, n_outputs) = (network.n_inputs(), network.n_outputs());
        let x = Array2::from_shape_fn((11, n_inputs), |(i, j)| ((i * (j + 3) * 5) % 17) as f64 / 8.5 - 1.0);
        let y = Array2::from_shape_fn((11, n_outputs), |(i, j)| (x.row(i).sum() * (j + 1) as f64).sin() * 4.0);
        let training = TrainingSpec { n_members: 2, epochs: 4, learning_rate: 0.02, ..TrainingSpec::default() };
        let needs = Needs { features: true, ..Needs::default() };
        let learner = CpuLearner::new(network, training).unwrap().with_input_scaling(InputScaling::Standardise);
        learner.fit(&Labelled::new(x, y).unwrap(), &needs, &SeedPath::root(3)).unwrap()
    }

    fn networks() -> Vec<NetworkSpec> {
        let head = Head::Convolution(ConvHeadSpec { length: 6, ..ConvHeadSpec::adm() });
        let norm = || Some(BatchNormSpec::default());
        vec![
            NetworkSpec::new(2, 1, vec![5, 4], None, Head::Linear).unwrap(),
            NetworkSpec::new(3, 2, vec![6, 5], norm(), Head::Linear).unwrap(),
            NetworkSpec::new(2, 12, vec![4], norm(), head).unwrap(),
            NetworkSpec::new(2, 2, vec![], None, Head::Linear).unwrap(),
        ]
    }

    fn points(n: usize, d: usize) -> Array2<f64> {
        Array2::from_shape_fn((n, d), |(i, j)| ((i * 31 + j * 57) % 101) as f64 / 50.0 - 1.0)
    }

    fn spec(kind: FeatureKind, columns: Option<usize>, directions: usize, seed: u64) -> FeatureSpec {
        let parametrisation = Parametrisation { weight: 1.3, bias: 0.2 };
        FeatureSpec { kind, columns, directions, parametrisation, seeds: SeedPath::root(seed) }
    }

    fn double(model: &CpuSurrogate, x: &Array2<f64>, spec: &FeatureSpec) -> Array2<f64> {
        let Ensemble { network, layout, .. } = &model.ensemble;
        model.features_in(&x.view(), spec, &|member| Evaluator::double(network, layout, member)).unwrap()
    }

    /// Against central differences of every output by every parameter, in f64: PyTorch's gradient times the factors.
    #[test]
    fn exact_features_are_scaled_gradients_by_every_parameter() {
        for network in networks() {
            let (model, n_outputs) = (trained(network.clone()), network.n_outputs());
            let layout = model.layout();
            let x = points(3, network.n_inputs());
            let found = double(&model, &x, &spec(FeatureKind::Gradient, None, n_outputs, 0));
            let n_parameters = layout.n_network_parameters();
            assert_eq!(found.dim(), (3, 2 * n_outputs * n_parameters));
            let rows = model.double_rows(&x.view());
            for (m, member) in model.members().iter().enumerate() {
                let at = |parameter: usize, step: f64| {
                    let mut evaluator = Evaluator::double(&network, layout, member);
                    evaluator.params.to_mut()[parameter] += step;
                    let mut trace = Trace::default();
                    evaluator.with_norm_of(&network, member).forward(&rows, 3, None, true, &mut trace);
                    trace.prediction().to_vec()
                };
                for parameter in 0..n_parameters {
                    let (up, down) = (at(parameter, 1e-6), at(parameter, -1e-6));
                    let factor = factors_by_hand(layout, parameter);
                    for i in 0..3 {
                        for j in 0..n_outputs {
                            let due = factor * (up[i * n_outputs + j] - down[i * n_outputs + j]) / 2e-6;
                            let value = found[[i, (m * n_outputs + j) * n_parameters + parameter]];
                            assert!((value - due).abs() < 1e-6 * (1.0 + due.abs()), "{parameter}: {value} {due}");
                        }
                    }
                }
            }
        }
    }

    impl Evaluator<'_, f64> {
        /// BatchNorm's centre anew, from a bias that was moved; γ and β are read from the parameters where `x̂` is
        /// kept.
        fn with_norm_of(mut self, network: &NetworkSpec, member: &Member) -> Self {
            let eps = network.batch_norm().map_or(0.0, |norm| norm.eps);
            for block in self.layout.hidden().iter().filter(|block| block.batch_norm.is_some()) {
                for (j, at) in block.statistics.clone().enumerate() {
                    self.inverse[at] = 1.0 / (f64::from(member.running_var[at]) + eps).sqrt();
                    self.centre[at] = self.params[block.linear.bias.start + j] - f64::from(member.running_mean[at]);
                }
            }
            self
        }
    }

    fn factors_by_hand(layout: &Layout, parameter: usize) -> f64 {
        for linear in layout.hidden().iter().map(|block| &block.linear).chain([layout.last()]) {
            if linear.weight.contains(&parameter) {
                return 1.3 / (linear.n_in as f64).sqrt();
            }
        }
        if layout.hidden().iter().filter_map(|b| b.batch_norm.as_ref()).any(|norm| norm.gamma.contains(&parameter)) {
            return 1.3;
        }
        match layout.conv().iter().position(|conv| conv.weight.contains(&parameter)) {
            Some(c) => 1.3 / (layout.conv_fan_in()[c] as f64).sqrt(),
            None => 0.2,
        }
    }

    fn gram(features: &Array2<f64>) -> Array2<f64> {
        features.dot(&features.t())
    }

    /// The mean of sketched inner products over seeds is the exact one, within five standard errors of what was seen;
    /// with fewer directions than outputs too.
    #[test]
    fn sketches_estimate_inner_products_without_bias() {
        for (network, directions) in networks().into_iter().zip([1, 2, 3, 1]) {
            let model = trained(network.clone());
            let x = points(4, network.n_inputs());
            let n_outputs = network.n_outputs();
            for kind in [FeatureKind::Gradient, FeatureKind::LastLayer] {
                let exact = gram(&double(&model, &x, &spec(kind, None, n_outputs, 0)));
                let columns = if kind == FeatureKind::Gradient { 8 } else { 4 };
                let (mut sum, mut squares, n) = (Array2::<f64>::zeros((4, 4)), Array2::<f64>::zeros((4, 4)), 400);
                for seed in 0..n {
                    let found = gram(&double(&model, &x, &spec(kind, Some(columns), directions, seed)));
                    sum += &found;
                    squares += &(&found * &found);
                }
                let mean = &sum / n as f64;
                for ((at, &mean), &squares) in mean.indexed_iter().zip(&squares) {
                    let error = ((squares / n as f64 - mean * mean) / n as f64).sqrt();
                    assert!((mean - exact[at]).abs() < 5.0 * error, "{kind:?} {at:?}: {mean} {} {error}", exact[at]);
                }
            }
        }
    }

    /// Without BatchNorm and for one scalar a layer's gradient is a product a ⊗ δ, of which a column of the sketch is
    /// (P · a)(Q · δ): with S the sum of its squared norms n over members and layers, a squared norm from p columns has
    /// the variance (2 S² + 6 Σ n²) / p, since E[(P · a)⁴ (Q · δ)⁴] = 9 n².
    #[test]
    fn the_variance_of_a_sketch_is_that_of_products_of_gaussians() {
        let model = trained(networks().remove(0));
        let layout = model.layout();
        let x = points(2, 2);
        let exact = double(&model, &x, &spec(FeatureKind::Gradient, None, 1, 0));
        let linears: Vec<_> = layout.hidden().iter().map(|block| &block.linear).chain([layout.last()]).collect();
        let blocks: Vec<f64> = (0..2)
            .flat_map(|member| linears.iter().map(move |linear| (member * layout.n_network_parameters(), linear)))
            .map(|(first, linear)| {
                let of = |range: &std::ops::Range<usize>| {
                    range.clone().map(|at| exact[[1, first + at]].powi(2)).sum::<f64>()
                };
                of(&linear.weight) + of(&linear.bias)
            })
            .collect();
        let (sum, squares) = (blocks.iter().sum::<f64>(), blocks.iter().map(|n| n * n).sum::<f64>());
        for columns in [8, 32] {
            let of = |seed| gram(&double(&model, &x, &spec(FeatureKind::Gradient, Some(columns), 1, seed)))[[1, 1]];
            let n = 3000;
            let found = (0..n).map(|seed| (of(seed) - sum).powi(2)).sum::<f64>() / n as f64;
            let due = (2.0 * sum * sum + 6.0 * squares) / columns as f64;
            // Of 3 000 draws with heavy tails: a fifth is three standard errors.
            assert!((found / due - 1.0).abs() < 0.2, "{columns}: {found} {due}");
        }
    }

    #[test]
    fn the_parametrisation_is_the_published_one() {
        assert_eq!(Parametrisation::default(), Parametrisation { weight: 1.0, bias: 0.1 });
    }

    #[test]
    fn single_precision_and_chunks_change_next_to_nothing() {
        for network in networks() {
            let model = trained(network.clone());
            let x = points(CHUNK_ROWS + 9, network.n_inputs());
            for (kind, columns) in [
                (FeatureKind::Gradient, None),
                (FeatureKind::Gradient, Some(20)),
                (FeatureKind::LastLayer, None),
                (FeatureKind::LastLayer, Some(3)),
            ] {
                let spec = spec(kind, columns, 2, 5);
                let (single, twin) = (model.features_at(x.view(), &spec).unwrap(), double(&model, &x, &spec));
                let size = gram(&twin).diag().mean().unwrap().sqrt();
                assert!(single.iter().zip(&twin).all(|(a, b)| (a - b).abs() < 1e-4 * size), "{kind:?} {columns:?}");
                // A row is the same wherever it stands.
                let tail = x.slice(s![CHUNK_ROWS - 3.., ..]);
                assert_eq!(model.features_at(tail, &spec).unwrap(), single.slice(s![CHUNK_ROWS - 3.., ..]));
            }
        }
    }

    #[test]
    fn what_cannot_be_held_or_makes_no_sense_is_refused() {
        let model = trained(networks().remove(0));
        let refused =
            |spec: &FeatureSpec, n: usize| model.features_at(points(n, 2).view(), spec).unwrap_err().to_string();
        let good = spec(FeatureKind::Gradient, None, 1, 0);
        assert!(refused(&FeatureSpec { columns: Some(0), ..good }, 1).contains("at least one column"));
        assert!(refused(&FeatureSpec { directions: 0, ..good }, 1).contains("direction"));
        // An exact feature and one of a sketch take the same room.
        let most = MOST_HELD / 88;
        assert!(check_size(88, most).is_ok());
        assert!(check_size(88, most + 1).unwrap_err().to_string().contains("ask for fewer columns, at most 87"));
        let message = refused(&FeatureSpec { columns: Some(80), ..good }, MOST_HELD / 80 + 1);
        assert!(message.contains("ask for fewer columns"), "{message}");
        let wide = points(1, 3);
        assert!(matches!(
            model.features_at(wide.view(), &good),
            Err(SurrogateError::WrongWidth { expected: 2, found: 3 })
        ));
    }
}
