//! One suite for every engine, against the plain loops: predictions, gradients, one epoch's update and running
//! statistics, at several stages of a training, over random shapes. The fast engine takes part with every instruction
//! set the machine has (those of one name must give the same bits), the one on libtorch (feature `tch`) alone and
//! beside other members of a batch.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::conv::{BoundConv, Conv};
use crate::evaluate::{Evaluator, Member, Trace};
use crate::fast::FastTrainer;
use crate::params::LinearRange;
use crate::real::Real;
use crate::surrogate::Ensemble;
use crate::training::{DropoutTraining, LossHeadTraining, MemberState, MemberTrainer, TrainJob, TrainLog};
use crate::{Layout, LossHeadShape, PlainTrainer};
use dal_core::model::{
    BatchNormSpec, ConvHeadSpec, ConvKind, ConvLayerSpec, DecayReading, Head, NetworkSpec, TrainingSpec,
};

/// Every engine by name.
fn engines() -> Vec<(String, Box<dyn MemberTrainer<f32>>)> {
    let paths = FastTrainer::every().into_iter();
    let fast = paths.map(|trainer| (trainer.path().to_owned(), Box::new(trainer) as Box<_>));
    #[cfg(feature = "tch")]
    let fast = fast.chain(crate::tch::conformance_engines());
    fast.collect()
}

/// A problem to train on, in f64; every number is representable in f32.
struct Case {
    network: NetworkSpec,
    layout: Layout,
    training: TrainingSpec,
    n: usize,
    x: Vec<f64>,
    y: Vec<f64>,
    dropout: Option<DropoutTraining>,
    loss_head: Option<LossHeadTraining>,
    /// The epoch at which gradients and updates are compared.
    epoch: usize,
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

impl Case {
    fn new(network: NetworkSpec, n: usize, constant_column: bool, seed: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let (d, k) = (network.n_inputs(), network.n_outputs());
        let mut x: Vec<f64> = (0..n * d).map(|_| f64::from((2.0 * stream.random::<f64>() - 1.0) as f32)).collect();
        if constant_column {
            x.iter_mut().step_by(d).for_each(|v| *v = 0.75);
        }
        let y = (0..n * k)
            .map(|i| {
                let row = &x[i / k * d..][..d];
                let phase: f64 = row.iter().enumerate().map(|(j, v)| v * (j + 2) as f64).sum();
                f64::from((phase + (i % k) as f64).sin() as f32)
            })
            .collect();
        let layout = Layout::new(&network, None);
        let training = TrainingSpec { weight_decay: 1e-4, epochs: 1_000_000, ..TrainingSpec::default() };
        Self { network, layout, training, n, x, y, dropout: None, loss_head: None, epoch: 0 }
    }

    fn with_dropout(mut self) -> Self {
        self.dropout = Some(DropoutTraining { rate: 0.5, key: [3, 4] });
        self
    }

    fn with_loss_head(mut self, epoch: usize) -> Self {
        let shape = LossHeadShape { n_layers: 3, width: 10 };
        self.loss_head = Some(LossHeadTraining { shape, joint_epochs: 3, weight: 0.5, margin: 1.0, key: [5, 6] });
        self.layout = Layout::new(&self.network, Some(shape));
        self.epoch = epoch;
        self
    }

    fn job<'a, T>(&'a self, x: &'a [T], y: &'a [T]) -> TrainJob<'a, T> {
        TrainJob {
            network: &self.network,
            layout: &self.layout,
            training: &self.training,
            x,
            y,
            n: self.n,
            dropout: self.dropout,
            loss_head: self.loss_head,
            stop: None,
        }
    }

    fn initial(&self, seed: u64) -> MemberState<f32> {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let mut params = self.layout.initial::<f32>(&mut stream);
        // β off zero: where a layer's input is constant, the ReLU would sit on its kink and follow rounding alone.
        for range in self.layout.hidden().iter().filter_map(|hidden| hidden.batch_norm.as_ref()) {
            for beta in &mut params[range.beta.clone()] {
                *beta = 0.2 * (stream.random::<f32>() - 0.5);
            }
        }
        MemberState::new(&self.layout, params, &self.training)
    }
}

fn wide_state(state: &MemberState<f32>) -> MemberState<f64> {
    MemberState {
        params: widen(&state.params),
        running_mean: widen(&state.running_mean),
        running_var: widen(&state.running_var),
        first_moment: widen(&state.first_moment),
        second_moment: widen(&state.second_moment),
        steps: state.steps,
        learning_rate: state.learning_rate,
        plateau: state.plateau,
    }
}

fn distance(a: &[f32], exact: &[f64]) -> f64 {
    a.iter().zip(exact).map(|(&a, &b)| (f64::from(a) - b).powi(2)).sum::<f64>().sqrt()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Whether the engine's error against f64 is at most four times that of the plain loops in f32. `slack` is what
/// rounding alone may do where the plain loops happen to be exact.
fn close(what: &str, fast: &[f32], plain: &[f32], exact: &[f64], slack: f64) -> Result<(), String> {
    let (fast, plain) = (distance(fast, exact), distance(plain, exact));
    if fast <= 4.0 * plain + slack * norm(exact).max(1e-3) {
        return Ok(());
    }
    Err(format!("{what}: error {fast:e} beside {plain:e}, norm {:e}", norm(exact)))
}

/// Compares every engine with the plain loops at `state`: loss, gradient, and what one epoch makes of the state.
fn compare_once(case: &Case, state: &MemberState<f32>) -> Result<(), String> {
    let (x32, y32) = (narrow(&case.x), narrow(&case.y));
    let (job32, job64) = (case.job(&x32, &y32), case.job(&case.x, &case.y));
    let n = case.layout.n_parameters();
    // A point alone has no variance: its gradient vanishes before BatchNorm, which blows up what rounding leaves of it
    // by 1 / √ε, some 300 times.
    let slack = if case.n == 1 && case.network.batch_norm().is_some() { 4e-5 } else { 2e-6 };
    let plain = PlainTrainer::loops();
    let epoch = case.epoch..case.epoch + 1;
    let exact_state = wide_state(state);

    let mut exact = vec![0.0f64; n];
    let exact_loss = plain.gradient(&job64, &exact_state, case.epoch, &mut exact);
    let mut plain32 = vec![0.0f32; n];
    plain.gradient(&job32, state, case.epoch, &mut plain32);
    let mut exact_after = exact_state.clone();
    plain.train(&job64, &mut exact_after, epoch.clone(), &mut TrainLog::default()).unwrap();
    let mut plain_after = state.clone();
    plain.train(&job32, &mut plain_after, epoch.clone(), &mut TrainLog::default()).unwrap();

    let mut seen: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (path, trainer) in engines() {
        let mut fast = vec![f32::NAN; n];
        let loss = trainer.gradient(&job32, state, case.epoch, &mut fast);
        assert!((loss - exact_loss).abs() <= 1e-4 * (1e-3 + exact_loss), "{path}: loss {loss} beside {exact_loss}");
        close(&format!("{path}: gradient"), &fast, &plain32, &exact, slack)?;
        if case.network.batch_norm().is_some() {
            for range in case.layout.hidden() {
                assert!(fast[range.linear.bias.clone()].iter().all(|&g| g == 0.0), "{path}: a bias feeding BatchNorm");
            }
        }
        let mut after = state.clone();
        trainer.train(&job32, &mut after, epoch.clone(), &mut TrainLog::default()).unwrap();
        let numbers = [&fast, &after.params, &after.second_moment, &after.running_mean, &after.running_var];
        let mut bits: Vec<u32> = numbers.into_iter().flatten().map(|value| value.to_bits()).collect();
        bits.extend([loss.to_bits() as u32, (loss.to_bits() >> 32) as u32]);
        if let Some(other) = seen.insert(path.clone(), bits.clone()) {
            assert!(other == bits, "{path}: kernels of one name compute different bits");
        }
        let free = sensible(&exact);
        let pick = |values: &[f32]| free.iter().map(|&i| values[i]).collect::<Vec<_>>();
        let pick64 = |values: &[f64]| free.iter().map(|&i| values[i]).collect::<Vec<_>>();
        for (what, fast, plain, exact) in [
            ("parameters", &after.params, &plain_after.params, &exact_after.params),
            ("first moments", &after.first_moment, &plain_after.first_moment, &exact_after.first_moment),
            ("second moments", &after.second_moment, &plain_after.second_moment, &exact_after.second_moment),
        ] {
            close(&format!("{path}: {what}"), &pick(fast), &pick(plain), &pick64(exact), slack)?;
        }
        let statistics = [
            ("means", &after.running_mean, &plain_after.running_mean, &exact_after.running_mean),
            ("variances", &after.running_var, &plain_after.running_var, &exact_after.running_var),
        ];
        for (what, fast, plain, exact) in statistics {
            close(&format!("{path}: running {what}"), fast, plain, exact, 1e-6)?;
        }
        assert_eq!(after.steps, plain_after.steps);
        for (&fast, &exact) in after.params.iter().zip(&exact_after.params) {
            // Adam never moves further than about the rate, whatever rounding made of a vanishing gradient.
            assert!((f64::from(fast) - exact).abs() <= 12.0 * case.training.learning_rate, "{fast} beside {exact}");
        }
    }
    Ok(())
}

/// `W h + b` of every row of `h`, by the definition.
fn plain_linear<T: Real>(params: &[T], linear: &LinearRange, h: &[T]) -> Vec<T> {
    let (weight, bias) = (&params[linear.weight.clone()], &params[linear.bias.clone()]);
    let row = |h: &[T], o: usize| {
        let products = weight[o * linear.n_in..][..linear.n_in].iter().zip(h).map(|(&w, &v)| w * v);
        products.sum::<T>() + bias[o]
    };
    h.chunks_exact(linear.n_in).flat_map(|h| (0..linear.n_out).map(move |o| row(h, o))).collect()
}

/// Predictions in evaluation mode, by the definition.
fn plain_predictions<T: Real>(case: &Case, state: &MemberState<T>, x: &[T]) -> Vec<T> {
    let (layout, params) = (&case.layout, &state.params);
    let eps = T::from_f64(case.network.batch_norm().map_or(0.0, |bn| bn.eps));
    let mut h = x.to_vec();
    for block in layout.hidden() {
        h = plain_linear(params, &block.linear, &h);
        let width = block.linear.n_out;
        for (i, z) in h.iter_mut().enumerate() {
            if let Some(bn) = &block.batch_norm {
                let (j, at) = (i % width, block.statistics.start + i % width);
                let normal = (*z - state.running_mean[at]) / (state.running_var[at] + eps).sqrt();
                *z = params[bn.gamma.start + j] * normal + params[bn.beta.start + j];
            }
            *z = z.relu();
        }
    }
    h = plain_linear(params, layout.last(), &h);
    for (conv, range) in case.network.conv_head().map_or_else(Vec::new, Conv::of).iter().zip(layout.conv()) {
        let mut after = vec![T::ZERO; case.n * conv.n_output()];
        BoundConv::new(conv, range, params).forward(&h, &mut after);
        h = after;
    }
    h
}

/// Every engine's predictions in evaluation mode.
fn predictions(case: &Case, state: &MemberState<f32>, x: &[f32]) -> Vec<(&'static str, Vec<f32>)> {
    let member = Member {
        params: state.params.clone(),
        running_mean: state.running_mean.clone(),
        running_var: state.running_var.clone(),
    };
    let shape = case.loss_head.map(|head| head.shape);
    let ensemble = Ensemble::new(case.network.clone(), shape, vec![member]);
    let mut trace = Trace::default();
    Evaluator::single(&ensemble.network, &ensemble.layout, &ensemble.members[0])
        .forward(x, case.n, None, false, &mut trace);
    let ours = vec![("cpu", trace.prediction().to_vec())];
    #[cfg(feature = "tch")]
    let ours = [ours, crate::tch::conformance_predictions(&ensemble, x, case.n)].concat();
    ours
}

/// Compares every engine's predictions with the definition's in f32 and f64.
fn compare_predictions(case: &Case, state: &MemberState<f32>) -> Result<(), String> {
    let x = narrow(&case.x);
    let exact = plain_predictions(case, &wide_state(state), &case.x);
    let plain = plain_predictions(case, state, &x);
    for (engine, found) in predictions(case, state, &x) {
        assert_eq!(found.len(), exact.len(), "{engine}");
        close(&format!("{engine}: predictions"), &found, &plain, &exact, 1e-6)?;
    }
    Ok(())
}

/// As [`compare_once`] and [`compare_predictions`], forgiving bad luck: where a pre-activation lies within rounding of
/// ReLU's kink, the side it falls on is chance. A wrong kernel is wrong everywhere, so nearby states are tried too.
#[track_caller]
fn compare(case: &Case, state: &MemberState<f32>) {
    let mut stream = ChaCha8Rng::seed_from_u64(11);
    let mut state = state.clone();
    let mut complaints = Vec::new();
    for _ in 0..4 {
        match compare_once(case, &state).and_then(|()| compare_predictions(case, &state)) {
            Ok(()) => return,
            Err(complaint) => complaints.push(complaint),
        }
        state.params.iter_mut().for_each(|value| *value *= 1.0 + 1e-2 * (stream.random::<f32>() - 0.5));
    }
    panic!("{}", complaints.join("\n"));
}

/// Indices of the parameters whose gradient is not all rounding. Adam divides by the gradient's own size, so that noise
/// in a vanishing one (weights behind a constant column, biases that feed BatchNorm) becomes a full step of either
/// sign.
fn sensible(gradient: &[f64]) -> Vec<usize> {
    let least = 1e-2 * norm(gradient) / (gradient.len() as f64).sqrt();
    (0..gradient.len()).filter(|&i| gradient[i].abs() > least).collect()
}

/// Trains with the plain loops for `epochs`, comparing at the start, in the middle and at the end.
fn compare_along(case: &Case, epochs: usize) {
    let (x, y) = (narrow(&case.x), narrow(&case.y));
    let job = case.job(&x, &y);
    let mut state = case.initial(7);
    compare(case, &state);
    for stage in 0..2 {
        let first = stage * epochs / 2;
        PlainTrainer::gemm().train(&job, &mut state, first..first + epochs / 2, &mut TrainLog::default()).unwrap();
        compare(case, &state);
    }
}

fn batch_norm() -> Option<BatchNormSpec> {
    Some(BatchNormSpec::default())
}

#[test]
fn the_sine_network_matches_the_plain_loops_early_midway_and_late() {
    let network = NetworkSpec::new(1, 1, vec![20; 9], batch_norm(), Head::Linear).unwrap();
    compare_along(&Case::new(network, 120, false, 1), 300);
}

#[test]
fn six_layers_of_fifty_match_the_plain_loops_early_midway_and_late() {
    let network = NetworkSpec::new(6, 1, vec![50; 6], batch_norm(), Head::Linear).unwrap();
    compare_along(&Case::new(network, 160, false, 2), 100);
}

#[test]
fn wide_layers_match_the_plain_loops() {
    // Deeper than one slice of inputs (in the second network, of outputs on the way down too), and widths that do not
    // fill a register tile.
    for hidden in [vec![300, 67], vec![67, 300]] {
        let network = NetworkSpec::new(5, 3, hidden, batch_norm(), Head::Linear).unwrap();
        compare_along(&Case::new(network, 300, false, 3), 4);
    }
}

#[test]
fn one_point_has_no_variance_and_stays_finite() {
    let network = NetworkSpec::new(2, 1, vec![5, 5], batch_norm(), Head::Linear).unwrap();
    compare_along(&Case::new(network, 1, false, 4), 10);
}

/// Sizes around the vector widths and register tiles. Small enough for a memory checker, which this is also for: it
/// sees a kernel that reads or writes beside its buffers whatever comes of it.
#[test]
fn sizes_around_the_vector_widths_match_the_plain_loops() {
    for (n_in, hidden, n_out, n) in [
        (1, vec![1], 1, 2),
        (3, vec![7, 8, 9], 2, 15),
        (8, vec![15, 16, 17], 8, 16),
        (9, vec![31, 33], 9, 17),
        (16, vec![63, 65], 1, 31),
        (17, vec![64, 3], 17, 33),
        (2, vec![80], 5, 7),
        (1, vec![], 3, 9),
    ] {
        for normed in [false, true] {
            let norm = normed.then(batch_norm).flatten();
            let network = NetworkSpec::new(n_in, n_out, hidden.clone(), norm, Head::Linear).unwrap();
            compare_along(&Case::new(network, n, false, 9), 2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_matches_the_plain_loops(
        n_in in 1usize..18,
        n_out in 1usize..12,
        hidden in prop::collection::vec(1usize..80, 0..4),
        n in 1usize..180,
        with_batch_norm: bool,
        constant_column: bool,
        epochs in 0usize..4,
        seed: u64,
    ) {
        let network =
            NetworkSpec::new(n_in, n_out, hidden, with_batch_norm.then(BatchNormSpec::default), Head::Linear).unwrap();
        compare_along(&Case::new(network, n, constant_column, seed), 2 * epochs);
    }
}

#[test]
fn a_decay_on_the_averaged_loss_matches_the_plain_loops() {
    let network = NetworkSpec::new(3, 1, vec![21, 35], batch_norm(), Head::Linear).unwrap();
    let mut case = Case::new(network, 75, false, 10);
    // Large enough that leaving out the factor would be seen.
    case.training.weight_decay = 1e-2;
    case.training.decay_reading = DecayReading::AveragedLoss { members: 10 };
    compare_along(&case, 20);
}

#[test]
fn dropout_matches_the_plain_loops() {
    let network = NetworkSpec::new(3, 2, vec![21, 35, 70], None, Head::Linear).unwrap();
    compare_along(&Case::new(network, 75, false, 6).with_dropout(), 10);
    let normed = NetworkSpec::new(3, 1, vec![21, 35], batch_norm(), Head::Linear).unwrap();
    compare_along(&Case::new(normed, 75, false, 6).with_dropout(), 10);
}

#[test]
fn the_loss_head_matches_the_plain_loops_in_both_phases() {
    for (hidden, epoch) in [(vec![20; 5], 0), (vec![20; 5], 3), (vec![70, 30], 1), (vec![12], 2)] {
        let network = NetworkSpec::new(2, 2, hidden, batch_norm(), Head::Linear).unwrap();
        compare_along(&Case::new(network, 61, false, 7).with_loss_head(epoch), 10);
    }
}

#[test]
fn convolutions_match_the_plain_loops() {
    let layer =
        |kind, n_in, n_out, kernel, stride, padding| ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
    let adm = vec![
        layer(ConvKind::Transposed, 1, 4, 4, 2, 1),
        layer(ConvKind::Transposed, 4, 4, 3, 1, 1),
        layer(ConvKind::Plain, 4, 1, 1, 1, 0),
    ];
    let strided = vec![layer(ConvKind::Plain, 1, 3, 3, 2, 2), layer(ConvKind::Transposed, 3, 1, 2, 3, 0)];
    for (length, layers, n) in [(30, adm.clone(), 50), (17, strided, 33), (30, adm, 7)] {
        let head = ConvHeadSpec { length, layers: layers.into() };
        let outputs = *head.lengths().unwrap().last().unwrap();
        let network = NetworkSpec::new(4, outputs, vec![25, 25], batch_norm(), Head::Convolution(head)).unwrap();
        compare_along(&Case::new(network, n, false, 8), 10);
    }
}

#[test]
fn stopping_and_going_on_gives_the_same_bits() {
    let network = NetworkSpec::new(2, 1, vec![20, 70], batch_norm(), Head::Linear).unwrap();
    let case = Case::new(network, 50, false, 5);
    let (x, y) = (narrow(&case.x), narrow(&case.y));
    let job = case.job(&x, &y);
    for (_, trainer) in engines() {
        let (mut whole, mut parts) = (case.initial(1), case.initial(1));
        let (mut log, mut log_parts) = (TrainLog::default(), TrainLog::default());
        trainer.train(&job, &mut whole, 0..20, &mut log).unwrap();
        trainer.train(&job, &mut parts, 0..7, &mut log_parts).unwrap();
        trainer.train(&job, &mut parts, 7..20, &mut log_parts).unwrap();
        assert_eq!(whole, parts);
        assert_eq!(log, log_parts);
        assert!(log.losses[19] < log.losses[0]);
    }
}
