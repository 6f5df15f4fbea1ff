//! The reference engine in f64: its gradients against central differences, one piece of the network at a time.

use dal_nn::products::Products;
use dal_nn::{
    AdamSpec, BatchNormSpec, ConvHeadSpec, ConvKind, ConvLayerSpec, DecayReading, DropoutTraining, Head, Layout,
    LossHeadShape, LossHeadTraining, MemberState, MemberTrainer, NetworkSpec, PlainTrainer, Real, TrainJob, TrainLog,
    TrainingSpec,
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A network, its data and a random state, gamma and beta moved off their initial values.
struct Case {
    network: NetworkSpec,
    layout: Layout,
    training: TrainingSpec,
    x: Vec<f64>,
    y: Vec<f64>,
    n: usize,
    dropout: Option<DropoutTraining>,
    loss_head: Option<LossHeadTraining>,
    state: MemberState<f64>,
}

impl Case {
    fn new(
        network: NetworkSpec,
        n: usize,
        dropout: Option<DropoutTraining>,
        loss_head: Option<LossHeadTraining>,
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let layout = Layout::new(&network, loss_head.map(|head| head.shape));
        let training = TrainingSpec::default();
        let mut uniform = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
        let (x, y) = (uniform(n * network.n_inputs()), uniform(n * network.n_outputs()));
        let shake = uniform(layout.n_parameters());
        let mut params = layout.initial::<f64>(&mut rng);
        params.iter_mut().zip(shake).for_each(|(p, s)| *p += 0.1 * s);
        let state = MemberState::new(&layout, params, &training);
        Self { network, layout, training, x, y, n, dropout, loss_head, state }
    }

    fn job(&self) -> TrainJob<'_, f64> {
        TrainJob {
            network: &self.network,
            layout: &self.layout,
            training: &self.training,
            x: &self.x,
            y: &self.y,
            n: self.n,
            dropout: self.dropout,
            loss_head: self.loss_head,
            stop: None,
        }
    }

    fn gradient(&self, epoch: usize) -> (f64, Vec<f64>) {
        let mut gradient = vec![0.0; self.layout.n_parameters()];
        let loss = PlainTrainer::loops().gradient(&self.job(), &self.state, epoch, &mut gradient);
        (loss, gradient)
    }

    /// Largest gap between the gradient and central differences of the loss, relative to the gradient's norm.
    fn gap(&mut self, epoch: usize) -> f64 {
        let (_, gradient) = self.gradient(epoch);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let mut gaps: Vec<f64> = Vec::new();
        for i in 0..self.layout.n_network_parameters() {
            let kept = self.state.params[i];
            let mut at = |step: f64| {
                self.state.params[i] = kept + step;
                let loss = self.gradient(epoch).0;
                self.state.params[i] = kept;
                loss
            };
            // A ReLU's kink may lie within one step of the point: a wrong gradient is wrong at every step.
            let gap = |h: f64| ((at(h) - at(-h)) / (2.0 * h) - gradient[i]).abs() / norm;
            gaps.push([1e-6, 1e-7, 1e-8].map(gap).into_iter().fold(f64::INFINITY, f64::min));
        }
        gaps.into_iter().fold(0.0, f64::max)
    }
}

fn bn() -> Option<BatchNormSpec> {
    Some(BatchNormSpec::default())
}

fn small_conv_head() -> Head {
    let layer =
        |kind, n_in, n_out, kernel, stride, padding| ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
    Head::Convolution(ConvHeadSpec {
        length: 5,
        layers: vec![
            layer(ConvKind::Transposed, 1, 3, 4, 2, 1),
            layer(ConvKind::Transposed, 3, 2, 3, 1, 1),
            layer(ConvKind::Plain, 2, 1, 3, 2, 1),
        ]
        .into(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn gradients_pass_finite_differences(
        n_inputs in 1usize..4, n_outputs in 1usize..4, hidden in prop::collection::vec(1usize..6, 0..4),
        normed: bool, dropped: bool, n in 2usize..12, seed in 0u64..1000,
    ) {
        let network = NetworkSpec::new(n_inputs, n_outputs, hidden, normed.then(bn).flatten(), Head::Linear).unwrap();
        let dropout = dropped.then_some(DropoutTraining { rate: 0.5, key: [3, 4] });
        let mut case = Case::new(network, n, dropout, None, seed);
        let gap = case.gap(7);
        prop_assert!(gap < 1e-6, "relative gap {}", gap);
    }
}

#[test]
fn the_convolution_head_passes_finite_differences() {
    let network = NetworkSpec::new(2, 5, vec![4, 3], bn(), small_conv_head()).unwrap();
    let gap = Case::new(network, 6, None, None, 1).gap(0);
    assert!(gap < 1e-6, "relative gap {gap}");
}

/// Gradient of a case in `T`, with the engine's products by `P`.
fn gradient_in<T: Real, P: Products>(case: &Case, trainer: &PlainTrainer<P>) -> Vec<f64> {
    let cast = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
    let (x, y) = (cast(&case.x), cast(&case.y));
    let state = MemberState::new(&case.layout, cast(&case.state.params), &case.training);
    let job = TrainJob {
        network: &case.network,
        layout: &case.layout,
        training: &case.training,
        x: &x,
        y: &y,
        n: case.n,
        dropout: case.dropout,
        loss_head: case.loss_head,
        stop: None,
    };
    let mut gradient = vec![T::ZERO; case.layout.n_parameters()];
    trainer.gradient(&job, &state, 3, &mut gradient);
    gradient.into_iter().map(Real::to_f64).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The general path of the learner: the same numbers in f64, and in f32 no noisier than plain loops.
    #[test]
    fn gemm_products_change_rounding_only(
        hidden in prop::collection::vec(1usize..40, 1..4), n in 1usize..70, normed: bool, kind in 0usize..4, seed in 0u64..1000,
    ) {
        let (n_outputs, head) = if kind == 1 { (5, small_conv_head()) } else { (2, Head::Linear) };
        let network = NetworkSpec::new(3, n_outputs, hidden, normed.then(bn).flatten(), head).unwrap();
        let shape = LossHeadShape { n_layers: 3, width: 10 };
        let loss_head = LossHeadTraining { shape, joint_epochs: 300, weight: 0.1, margin: 1.0, key: [2, 3] };
        let dropout = DropoutTraining { rate: 0.5, key: [5, 6] };
        let case = Case::new(network, n, (kind == 2).then_some(dropout), (kind == 3).then_some(loss_head), seed);
        let (loops, gemm) = (PlainTrainer::loops(), PlainTrainer::gemm());
        let exact = gradient_in::<f64, _>(&case, &loops);
        let norm = distance(&exact, &vec![0.0; exact.len()]);
        prop_assert!(distance(&gradient_in::<f64, _>(&case, &gemm), &exact) <= 1e-9 * norm);
        let plain = distance(&gradient_in::<f32, _>(&case, &loops), &exact);
        let fast = distance(&gradient_in::<f32, _>(&case, &gemm), &exact);
        // The floor covers cases in which the loops happen to round luckily; BatchNorm over few points divides by small
        // differences, so that luck reaches further there.
        let floor = if normed { 1e-5 } else { 1e-6 };
        prop_assert!(fast <= 4.0 * plain.max(floor * norm), "{} against {} of {}", fast, plain, norm);
    }
}

/// Hidden layers and output in training mode, written out from their definitions, as rows of points.
struct Written {
    hidden: Vec<Vec<Vec<f64>>>,
    output: Vec<Vec<f64>>,
}

impl Written {
    fn of(case: &Case) -> Self {
        let p = &case.state.params;
        let mut rows: Vec<Vec<f64>> = case.x.chunks(case.network.n_inputs()).map(<[f64]>::to_vec).collect();
        let mut hidden = Vec::new();
        for block in case.layout.hidden() {
            rows = rows.iter().map(|row| linear(p, &block.linear, row)).collect();
            if let (Some(spec), Some(bn)) = (case.network.batch_norm(), &block.batch_norm) {
                let n = rows.len() as f64;
                for j in 0..block.linear.n_out {
                    let mean = rows.iter().map(|row| row[j]).sum::<f64>() / n;
                    let variance = rows.iter().map(|row| (row[j] - mean).powi(2)).sum::<f64>() / n;
                    let (gamma, beta) = (p[bn.gamma.start + j], p[bn.beta.start + j]);
                    rows.iter_mut()
                        .for_each(|row| row[j] = gamma * (row[j] - mean) / (variance + spec.eps).sqrt() + beta);
                }
            }
            rows.iter_mut().flatten().for_each(|v| *v = v.max(0.0));
            hidden.push(rows.clone());
        }
        let mut output: Vec<Vec<f64>> = rows.iter().map(|row| linear(p, case.layout.last(), row)).collect();
        if let Head::Convolution(head) = case.network.head() {
            output.iter_mut().for_each(|row| *row = convolved(head, case, row));
        }
        Self { hidden, output }
    }
}

fn linear(p: &[f64], map: &dal_nn::LinearRange, h: &[f64]) -> Vec<f64> {
    let weight = &p[map.weight.clone()];
    (0..map.n_out)
        .map(|o| p[map.bias.start + o] + h.iter().zip(&weight[o * map.n_in..]).map(|(a, b)| a * b).sum::<f64>())
        .collect()
}

/// A head's convolutions of one row, output by output, in PyTorch's order of weights.
fn convolved(head: &ConvHeadSpec, case: &Case, row: &[f64]) -> Vec<f64> {
    let p = &case.state.params;
    let mut signal = row.to_vec();
    for (layer, range) in head.layers.iter().zip(case.layout.conv()) {
        let (before, k) = (signal.len() / layer.n_in, layer.kernel);
        let after = layer.output_length(before).unwrap();
        let mut next = vec![0.0; layer.n_out * after];
        for o in 0..layer.n_out {
            next[o * after..][..after].fill(p[range.bias.start + o]);
            for c in 0..layer.n_in {
                for j in 0..k {
                    let plain = layer.kind == ConvKind::Plain;
                    let at = if plain { (o * layer.n_in + c) * k + j } else { (c * layer.n_out + o) * k + j };
                    let w = p[range.weight.start + at];
                    for t in 0..if plain { after } else { before } {
                        // Where the strided side of the relation lies.
                        let Some(far) = (t * layer.stride + j).checked_sub(layer.padding) else { continue };
                        match plain {
                            true if far < before => next[o * after + t] += w * signal[c * before + far],
                            false if far < after => next[o * after + far] += w * signal[c * before + t],
                            _ => {}
                        }
                    }
                }
            }
        }
        signal = next;
    }
    signal
}

/// The ranking loss by itself, from its definition; `loss_of` is constant in it.
fn ranking_loss(case: &Case, epoch: usize, loss_of: &[f64]) -> f64 {
    let head = case.loss_head.unwrap();
    let range = case.layout.loss_head().unwrap();
    let p = &case.state.params;
    let layers = Written::of(case).hidden;
    let score = |i: usize| {
        let maps = range.features.iter().flat_map(|(layer, map)| linear(p, map, &layers[*layer][i]));
        linear(p, &range.score, &maps.map(|v| v.max(0.0)).collect::<Vec<f64>>())[0]
    };
    let mut order = vec![0u32; case.n];
    dal_nn::masks::permute(&dal_core::Philox::new(head.key), epoch as u32, &mut order);
    let pairs: Vec<_> = order.chunks_exact(2).map(|p| (p[0] as usize, p[1] as usize)).collect();
    let sum: f64 = pairs
        .iter()
        .map(|&(i, j)| {
            let sign = if loss_of[i] > loss_of[j] { 1.0 } else { -1.0 };
            (head.margin - sign * (score(i) - score(j))).max(0.0)
        })
        .sum();
    sum / pairs.len() as f64
}

fn point_losses(case: &Case) -> Vec<f64> {
    let j = case.network.n_outputs();
    let rows = Written::of(case).output.into_iter().zip(case.y.chunks(j));
    rows.map(|(f, y)| f.iter().zip(y).map(|(f, y)| (f - y).powi(2)).sum::<f64>() / j as f64).collect()
}

/// Every combination of the loss head with BatchNorm and a convolution head, in both phases, at every parameter.
#[test]
fn the_loss_head_differentiates_loss_plus_ranking_while_joint_and_detaches_after() {
    let shape = LossHeadShape { n_layers: 3, width: 4 };
    let head = LossHeadTraining { shape, joint_epochs: 5, weight: 0.3, margin: 1.0, key: [9, 1] };
    for (hidden, n, normed, convolution) in [
        (vec![5, 4, 3, 6], 9, false, false),
        (vec![4, 5], 8, false, false),
        (vec![5, 4, 3, 6], 9, true, false),
        (vec![4, 5], 8, true, false),
        (vec![3], 5, true, false),
        (vec![5, 4, 3], 7, true, true),
        (vec![4, 4], 6, false, true),
    ] {
        let (n_outputs, output) = if convolution { (5, small_conv_head()) } else { (2, Head::Linear) };
        let network = NetworkSpec::new(2, n_outputs, hidden, normed.then(bn).flatten(), output).unwrap();
        let mut case = Case::new(network.clone(), n, None, Some(head), 5);
        let mut plain = Case::new(network, n, None, None, 5);
        let n_network = case.layout.n_network_parameters();
        plain.state.params.copy_from_slice(&case.state.params[..n_network]);
        plain.x.clone_from(&case.x);
        plain.y.clone_from(&case.y);
        // Errors are constants of the ranking loss: they are taken before anything moves.
        let losses = point_losses(&case);
        for epoch in [4, 5] {
            let (loss, gradient) = case.gradient(epoch);
            assert!((loss - losses.iter().sum::<f64>() / n as f64).abs() < 1e-12);
            let regression = plain.gradient(epoch).1;
            for i in 0..gradient.len() {
                let kept = case.state.params[i];
                let mut at = |step: f64| {
                    case.state.params[i] = kept + step;
                    let value = ranking_loss(&case, epoch, &losses);
                    case.state.params[i] = kept;
                    value
                };
                // A kink of a ReLU or of the margin may lie within one step of the point.
                let gap = [1e-5, 1e-6, 1e-7].map(|h| {
                    let ranking = 0.3 * (at(h) - at(-h)) / (2.0 * h);
                    let expected = match i < n_network {
                        true if epoch < head.joint_epochs => regression[i] + ranking,
                        true => regression[i],
                        false => ranking,
                    };
                    (gradient[i] - expected).abs()
                });
                let gap = gap.into_iter().fold(f64::INFINITY, f64::min);
                assert!(gap < 1e-6, "BatchNorm {normed}, convolution {convolution}, epoch {epoch}, {i}: {gap:e}");
            }
        }
    }
}

#[test]
fn convolution_heads_behind_dropout_or_without_batch_norm_pass_finite_differences() {
    for (normed, dropped, seed) in [(false, false, 2), (false, true, 3), (true, true, 4)] {
        let network = NetworkSpec::new(2, 5, vec![6, 5], normed.then(bn).flatten(), small_conv_head()).unwrap();
        let dropout = dropped.then_some(DropoutTraining { rate: 0.3, key: [7, 8] });
        let gap = Case::new(network, 7, dropout, None, seed).gap(2);
        assert!(gap < 1e-6, "BatchNorm {normed}, dropout {dropped}: relative gap {gap:e}");
    }
}

#[test]
fn biases_that_feed_batch_norm_have_no_gradient() {
    let network = NetworkSpec::new(3, 1, vec![6, 5], bn(), Head::Linear).unwrap();
    let case = Case::new(network, 20, None, None, 3);
    let (_, gradient) = case.gradient(0);
    for block in case.layout.hidden() {
        assert!(gradient[block.linear.bias.clone()].iter().all(|&g| g == 0.0));
    }
}

/// One Adam of all members on the average of their losses, written out, ends where independent members end whose decay
/// and eps are multiplied by the number of members.
#[test]
fn an_averaged_loss_is_members_by_themselves_with_decay_and_eps_times_their_number() {
    let (n_members, epochs, rate) = (10, 60, 3e-3);
    let network = NetworkSpec::new(2, 1, vec![7, 6], bn(), Head::Linear).unwrap();
    let printed = TrainingSpec {
        n_members,
        epochs,
        learning_rate: rate,
        weight_decay: 1e-2,
        plateau: None,
        ..TrainingSpec::DEFAULT
    };
    let reading = DecayReading::AveragedLoss { members: n_members };
    // An eps that matters: it is of the size of the gradients' roots.
    let printed = TrainingSpec { adam: AdamSpec { eps: 1e-3, ..AdamSpec::DEFAULT }, ..printed };
    let cases: Vec<Case> = (0..n_members as u64)
        .map(|seed| {
            let mut case = Case::new(network.clone(), 20, None, None, 5);
            let other = Case::new(network.clone(), 20, None, None, 100 + seed).state;
            case.state = MemberState { learning_rate: rate, ..other };
            case.training = TrainingSpec { decay_reading: reading, ..printed.clone() };
            case
        })
        .collect();
    let n = cases[0].state.params.len();

    // The ensemble as one model: all parameters in one vector, one loss, one Adam.
    let mut theta: Vec<f64> = cases.iter().flat_map(|case| case.state.params.clone()).collect();
    let (mut first, mut second) = (vec![0.0; theta.len()], vec![0.0; theta.len()]);
    for step in 1..=epochs {
        let mut gradient = vec![0.0; theta.len()];
        for (m, case) in cases.iter().enumerate() {
            let state = MemberState { params: theta[m * n..][..n].to_vec(), ..case.state.clone() };
            let mut own = vec![0.0; n];
            PlainTrainer::loops().gradient(&case.job(), &state, step - 1, &mut own);
            gradient[m * n..][..n].iter_mut().zip(own).for_each(|(g, own)| *g = own / n_members as f64);
        }
        let AdamSpec { beta1, beta2, eps } = printed.adam;
        for i in 0..theta.len() {
            let g = gradient[i] + printed.weight_decay * theta[i];
            first[i] = beta1 * first[i] + (1.0 - beta1) * g;
            second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
            let (m, v) = (first[i] / (1.0 - beta1.powi(step as i32)), second[i] / (1.0 - beta2.powi(step as i32)));
            theta[i] -= rate * m / (v.sqrt() + eps);
        }
    }

    let gap = |case: &Case, reading: DecayReading, m: usize| {
        let training = TrainingSpec { decay_reading: reading, ..case.training.clone() };
        let job = TrainJob { training: &training, ..case.job() };
        let mut state = case.state.clone();
        PlainTrainer::loops().train(&job, &mut state, 0..epochs, &mut TrainLog::default()).unwrap();
        let gaps = state.params.iter().zip(&theta[m * n..]).map(|(p, t)| (p - t).abs());
        gaps.fold(0.0, f64::max)
    };
    for (m, case) in cases.iter().enumerate() {
        assert!(gap(case, reading, m) < 1e-9, "member {m}: {}", gap(case, reading, m));
        // The other reading ends elsewhere.
        assert!(gap(case, DecayReading::PerMember, m) > 1e-3);
    }
}
