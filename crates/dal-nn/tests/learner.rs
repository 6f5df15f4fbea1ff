//! The learner and its surrogate through the interfaces of `dal-core`.

use dal_core::{
    DropoutSpec, FitJob, Labelled, LearnError, Learner, LossHeadSpec, Needs, ParameterSubset, SeedPath, Stop,
    StopLevel, Surrogate, SurrogateError,
};
use dal_nn::{
    AdamSpec, BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, CpuLearner, CpuSurrogate,
    DecayReading, FastTrainer, Head, InputScaling, Layout, MemberState, MemberTrainer, NetworkSpec, OnCollapse,
    Plateau, PlateauSpec, TrainJob, TrainLog, TrainingSpec, has_collapsed,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use rand::RngExt;

fn points(n: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = SeedPath::root(seed).rng();
    Array2::from_shape_fn((n, columns), |_| rng.random_range(-1.0..1.0))
}

/// Smooth labels of any width.
fn labels(x: &Array2<f64>, n_outputs: usize) -> Array2<f64> {
    Array2::from_shape_fn((x.nrows(), n_outputs), |(i, j)| {
        x.row(i).iter().enumerate().map(|(k, v)| (2.0 * v + (j + k) as f64).sin()).sum::<f64>()
    })
}

fn labelled(n: usize, n_inputs: usize, n_outputs: usize) -> Labelled {
    let x = points(n, n_inputs, 11);
    let y = labels(&x, n_outputs);
    Labelled::new(x, y).unwrap()
}

fn everything() -> Needs {
    Needs {
        mean: true,
        uncertainty: true,
        committee: true,
        input_gradient: true,
        tangent: true,
        features: true,
        dropout: Some(DropoutSpec::default()),
        loss_head: Some(LossHeadSpec::default()),
    }
}

fn bn() -> Option<BatchNormSpec> {
    Some(BatchNormSpec::default())
}

fn small_training(n_members: usize, epochs: usize) -> TrainingSpec {
    TrainingSpec { n_members, epochs, learning_rate: 5e-3, weight_decay: 1e-4, ..TrainingSpec::default() }
}

fn conv_head() -> Head {
    let layer =
        |kind, n_in, n_out, kernel, stride, padding| ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
    Head::Convolution(ConvHeadSpec {
        length: 5,
        layers: vec![
            layer(ConvKind::Transposed, 1, 3, 4, 2, 1),
            layer(ConvKind::Transposed, 3, 2, 3, 1, 1),
            layer(ConvKind::Plain, 2, 1, 1, 1, 0),
        ]
        .into(),
    })
}

fn learner(network: NetworkSpec, training: TrainingSpec) -> CpuLearner {
    CpuLearner::new(network, training).unwrap()
}

#[test]
fn results_do_not_depend_on_threads_or_on_the_jobs_beside() {
    let network = NetworkSpec::new(2, 2, vec![9, 7], bn(), Head::Linear).unwrap();
    let data = labelled(33, 2, 2);
    let needs = everything();
    let fit = |threads: usize| {
        let learner = learner(network.clone(), small_training(5, 20)).with_threads(threads);
        learner.fit(&data, &needs, &SeedPath::root(3)).unwrap()
    };
    let one = fit(1);
    assert_eq!(one, fit(2));
    assert_eq!(one, fit(7));
    let other = labelled(20, 2, 2);
    let jobs = [
        FitJob { labelled: &other, needs: &needs, seeds: SeedPath::root(4) },
        FitJob { labelled: &data, needs: &needs, seeds: SeedPath::root(3) },
    ];
    let both = learner(network, small_training(5, 20)).with_threads(2).fit_all(&jobs, &Stop::new());
    let x = points(50, 2, 1);
    assert_eq!(both[1].as_ref().unwrap().mean(x.view()).unwrap(), one.mean(x.view()).unwrap());
    assert_ne!(both[0].as_ref().unwrap().mean(x.view()).unwrap(), one.mean(x.view()).unwrap());
}

#[test]
fn only_what_was_asked_for_is_granted() {
    let network = NetworkSpec::new(1, 1, vec![4], bn(), Head::Linear).unwrap();
    let learner = learner(network, small_training(2, 2));
    let fit = |needs: &Needs| learner.fit(&labelled(9, 1, 1), needs, &SeedPath::root(0)).unwrap();
    let nothing = fit(&Needs::default());
    assert!(nothing.committee().is_none() && nothing.input_gradient().is_none() && nothing.tangent().is_none());
    assert!(nothing.dropout().is_none() && nothing.loss_head().is_none() && nothing.uncertainty().is_none());
    assert!(nothing.features().is_none());
    let sure = fit(&Needs { uncertainty: true, ..Needs::default() });
    assert!(sure.uncertainty().is_some() && sure.committee().is_none());
    let all = fit(&everything());
    assert!(all.committee().is_some() && all.input_gradient().is_some() && all.tangent().is_some());
    assert!(all.dropout().is_some() && all.loss_head().is_some() && all.uncertainty().is_some());
    assert!(all.features().is_some());
    // A dropout network does not touch the evaluated model; a loss head does, and starts from the same weights.
    let dropped = fit(&Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() });
    assert_eq!(dropped.members(), nothing.members());
    assert_ne!(all.members(), nothing.members());
}

#[test]
fn a_widened_dropout_network_follows_the_ensemble_size() {
    let network = NetworkSpec::new(1, 1, vec![20, 3], bn(), Head::Linear).unwrap();
    let scaled = network.widened(10f64.sqrt(), false).unwrap();
    assert_eq!(scaled.hidden(), [63, 9]);
    assert!(scaled.batch_norm().is_none());
    assert_eq!(network.widened(2.0, true).unwrap().batch_norm(), network.batch_norm());
}

#[test]
fn moments_agree_with_members_in_any_chunks() {
    let network = NetworkSpec::new(3, 2, vec![8, 8], bn(), Head::Linear).unwrap();
    let model =
        learner(network, small_training(4, 30)).fit(&labelled(40, 3, 2), &everything(), &SeedPath::root(0)).unwrap();
    let x = points(701, 3, 5);
    let committee = model.committee().unwrap();
    let moments = committee.moments(x.view()).unwrap();
    let mut members = Array3::<f64>::zeros((4, 701, 2));
    committee
        .members(x.view(), 100, &mut |first, chunk| {
            let n = chunk.len_of(Axis(1));
            assert!(n == 100 || first + n == 701);
            members.slice_mut(ndarray::s![.., first..first + n, ..]).assign(&chunk);
        })
        .unwrap();
    let mean = members.mean_axis(Axis(0)).unwrap();
    let variance = members.var_axis(Axis(0), 0.0);
    // Chunks change the rounding of matrix products in f32, nothing else.
    assert!((&moments.mean - &mean).iter().all(|e| e.abs() < 1e-5));
    assert!((&moments.variance - &variance).iter().all(|e| e.abs() < 1e-5));
    assert_eq!(model.mean(x.view()).unwrap(), moments.mean);
}

#[test]
fn dropout_passes_are_random_per_pass_and_reproducible() {
    let network = NetworkSpec::new(2, 1, vec![16, 16], bn(), Head::Linear).unwrap();
    let model =
        learner(network, small_training(4, 50)).fit(&labelled(60, 2, 1), &everything(), &SeedPath::root(0)).unwrap();
    let dropout = model.dropout().unwrap();
    assert_eq!(dropout.n_passes(), 25);
    let x = points(300, 2, 5);
    let moments = dropout.moments(x.view(), &SeedPath::root(1)).unwrap();
    assert_eq!(moments, dropout.moments(x.view(), &SeedPath::root(1)).unwrap());
    assert_ne!(moments, dropout.moments(x.view(), &SeedPath::root(2)).unwrap());
    assert!(moments.variance.iter().all(|&v| v > 0.0));
    // Masks are independent per point: equal points get different passes.
    let same = Array2::from_elem((2, 2), 0.3);
    let twice = dropout.moments(same.view(), &SeedPath::root(1)).unwrap();
    assert_ne!(twice.mean[[0, 0]], twice.mean[[1, 0]]);
    let still = dropout.mean(same.view()).unwrap();
    assert_eq!(still[[0, 0]], still[[1, 0]]);
}

#[test]
fn loss_heads_learn_to_rank_losses() {
    // Labels are noise on the right half and smooth on the left: losses of training points differ by side.
    let x = points(200, 1, 3);
    let mut rng = SeedPath::root(8).rng();
    let y = x.mapv(|v| if v > 0.0 { rng.random_range(-3.0..3.0) } else { 0.5 * v });
    let data = Labelled::new(x, y).unwrap();
    let network = NetworkSpec::new(1, 1, vec![16, 16, 16], bn(), Head::Linear).unwrap();
    let training = TrainingSpec { n_members: 3, epochs: 200, learning_rate: 1e-3, ..TrainingSpec::default() };
    let needs = Needs { loss_head: Some(LossHeadSpec::default()), ..Needs::default() };
    let model = learner(network, training).fit(&data, &needs, &SeedPath::root(0)).unwrap();
    let score = |v: f64| model.loss_head().unwrap().predicted_loss(Array2::from_elem((1, 1), v).view()).unwrap()[0];
    assert!(score(0.5) > score(-0.5) + 0.5, "{} {}", score(0.5), score(-0.5));
}

#[test]
fn the_disagreement_gradient_passes_finite_differences() {
    for scaling in [InputScaling::None, InputScaling::Standardise] {
        let network = NetworkSpec::new(3, 2, vec![12, 10], bn(), Head::Linear).unwrap();
        let learner = learner(network, small_training(4, 40)).with_input_scaling(scaling);
        let model = learner.fit(&labelled(50, 3, 2), &everything(), &SeedPath::root(2)).unwrap();
        let disagreement = model.input_gradient().unwrap();
        let x = points(20, 3, 9);
        let (score, gradient) = disagreement.disagreement(x.view()).unwrap();
        let moments = model.committee().unwrap().moments(x.view()).unwrap();
        let mean = moments.variance.mean_axis(Axis(1)).unwrap();
        assert!((&score - &mean).iter().all(|e| e.abs() < 1e-7));
        let scale = gradient.iter().map(|g| g.abs()).fold(0.0, f64::max);
        let mut agreeing = 0;
        for k in 0..3 {
            let h = 1e-3;
            let shifted = |sign: f64| {
                let mut x = x.clone();
                x.column_mut(k).mapv_inplace(|v| v + sign * h);
                disagreement.disagreement(x.view()).unwrap().0
            };
            let slope = (shifted(1.0) - shifted(-1.0)) / (2.0 * h);
            agreeing += (0..20).filter(|&i| (slope[i] - gradient[[i, k]]).abs() < 2e-2 * scale).count();
        }
        // Predictions are f32 and have kinks: a step may cross one here and there.
        assert!(agreeing >= 54, "{agreeing} of 60");
    }
}

/// ∇f_mj at a point by central differences over every parameter, in f64, in evaluation mode, from the definition.
fn gradients_by_differences(model: &CpuSurrogate, member: usize, x: &[f64]) -> Array2<f64> {
    let network = model.network();
    let layout = model.layout();
    let m = &model.members()[member];
    let mut params: Vec<f64> = m.params.iter().map(|&p| f64::from(p)).collect();
    let n_params = layout.n_network_parameters();
    let evaluate = |params: &[f64]| -> Vec<f64> {
        let scaling = model.scaling();
        let mut h: Vec<f64> =
            x.iter().enumerate().map(|(j, v)| scaling.map_or(*v, |a| (v - a.offset[j]) / a.factor[j])).collect();
        let linear = |range: &dal_nn::LinearRange, h: &[f64]| -> Vec<f64> {
            (0..range.n_out)
                .map(|o| {
                    let w = &params[range.weight.start + o * range.n_in..][..range.n_in];
                    params[range.bias.start + o] + w.iter().zip(h).map(|(w, h)| w * h).sum::<f64>()
                })
                .collect()
        };
        for block in layout.hidden() {
            let mut z = linear(&block.linear, &h);
            if let (Some(bn), Some(spec)) = (&block.batch_norm, network.batch_norm()) {
                for (j, at) in block.statistics.clone().enumerate() {
                    let normal =
                        (z[j] - f64::from(m.running_mean[at])) / (f64::from(m.running_var[at]) + spec.eps).sqrt();
                    z[j] = params[bn.gamma.start + j] * normal + params[bn.beta.start + j];
                }
            }
            h = z.into_iter().map(|v| v.max(0.0)).collect();
        }
        let mut out = linear(layout.last(), &h);
        if let Some(head) = network.conv_head() {
            for (layer, range) in head.layers.iter().zip(layout.conv()) {
                let n_before = out.len() / layer.n_in;
                let n_after = layer.output_length(n_before).unwrap();
                let mut after = vec![0.0; layer.n_out * n_after];
                for o in 0..layer.n_out {
                    after[o * n_after..][..n_after].fill(params[range.bias.start + o]);
                }
                for (i, o, k) in (0..layer.n_in)
                    .flat_map(|i| (0..layer.n_out).flat_map(move |o| (0..layer.kernel).map(move |k| (i, o, k))))
                {
                    let w = match layer.kind {
                        ConvKind::Plain => params[range.weight.start + (o * layer.n_in + i) * layer.kernel + k],
                        ConvKind::Transposed => params[range.weight.start + (i * layer.n_out + o) * layer.kernel + k],
                    };
                    let (n_short, n_long) = match layer.kind {
                        ConvKind::Plain => (n_after, n_before),
                        ConvKind::Transposed => (n_before, n_after),
                    };
                    for t in 0..n_short {
                        let long = (t * layer.stride + k) as isize - layer.padding as isize;
                        if !(0..n_long as isize).contains(&long) {
                            continue;
                        }
                        match layer.kind {
                            ConvKind::Plain => after[o * n_after + t] += w * out[i * n_before + long as usize],
                            ConvKind::Transposed => after[o * n_after + long as usize] += w * out[i * n_before + t],
                        }
                    }
                }
                out = after;
            }
        }
        out
    };
    let mut gradient = Array2::zeros((network.n_outputs() + 1, n_params));
    for p in 0..n_params {
        let kept = params[p];
        params[p] = kept + 1e-6;
        let up = evaluate(&params);
        params[p] = kept - 1e-6;
        let down = evaluate(&params);
        params[p] = kept;
        for j in 0..up.len() {
            gradient[[j, p]] = (up[j] - down[j]) / 2e-6;
        }
    }
    gradient
}

/// Products by explicit gradients.
fn explicit_products(
    model: &CpuSurrogate,
    anchors: &Array2<f64>,
    candidates: &Array2<f64>,
    target: &Array1<f64>,
) -> Array3<f64> {
    let n_outputs = model.n_outputs();
    let n_members = model.members().len();
    let mut out = Array3::zeros((candidates.nrows(), anchors.nrows(), n_outputs));
    let mut predictions = Array3::<f64>::zeros((n_members, candidates.nrows(), n_outputs));
    model
        .committee()
        .unwrap()
        .members(candidates.view(), candidates.nrows(), &mut |_, chunk| predictions.assign(&chunk))
        .unwrap();
    for m in 0..n_members {
        let at_anchors: Vec<_> =
            anchors.outer_iter().map(|x| gradients_by_differences(model, m, x.as_slice().unwrap())).collect();
        for (c, x) in candidates.outer_iter().enumerate() {
            let at_candidate = gradients_by_differences(model, m, x.as_slice().unwrap());
            let mut loss = Array1::<f64>::zeros(at_candidate.ncols());
            for j in 0..n_outputs {
                let slope = 2.0 * (predictions[[m, c, j]] - target[j]) / n_outputs as f64;
                loss.scaled_add(slope, &at_candidate.row(j));
            }
            for (a, gradient) in at_anchors.iter().enumerate() {
                for j in 0..n_outputs {
                    out[[c, a, j]] += gradient.row(j).dot(&loss) / n_members as f64;
                }
            }
        }
    }
    out
}

fn tangent_products(
    model: &CpuSurrogate,
    anchors: &Array2<f64>,
    candidates: &Array2<f64>,
    target: &Array1<f64>,
    subset: Option<&ParameterSubset>,
) -> Array3<f64> {
    let mut products = Array3::zeros((candidates.nrows(), anchors.nrows(), model.n_outputs()));
    model
        .tangent()
        .unwrap()
        .loss_gradient_products(anchors.view(), candidates.view(), target.view(), subset, &mut |first, chunk| {
            products.slice_mut(ndarray::s![first..first + chunk.len_of(Axis(0)), .., ..]).assign(&chunk);
        })
        .unwrap();
    products
}

#[test]
fn tangent_products_equal_those_of_explicit_gradients() {
    let linear =
        |n_outputs, hidden: Vec<usize>, norm| NetworkSpec::new(2, n_outputs, hidden, norm, Head::Linear).unwrap();
    let cases = [
        (linear(1, vec![6, 5], bn()), 4, InputScaling::None),
        (linear(2, vec![6, 5, 4], bn()), 4, InputScaling::Standardise),
        (linear(2, vec![5], None), 3, InputScaling::None),
        (linear(2, vec![], None), 3, InputScaling::None),
        // More outputs than anchors: forward derivatives.
        (linear(4, vec![6, 5], bn()), 3, InputScaling::Standardise),
        (linear(4, vec![], None), 3, InputScaling::None),
        (NetworkSpec::new(2, 10, vec![5, 4], bn(), conv_head()).unwrap(), 12, InputScaling::None),
        (NetworkSpec::new(2, 10, vec![5, 4], bn(), conv_head()).unwrap(), 3, InputScaling::None),
    ];
    for (network, n_anchors, rule) in cases {
        let n_outputs = network.n_outputs();
        let name = format!("{network:?}");
        let needs = Needs { committee: true, tangent: true, ..Needs::default() };
        let model = learner(network, small_training(2, 25))
            .with_input_scaling(rule)
            .fit(&labelled(30, 2, n_outputs), &needs, &SeedPath::root(1))
            .unwrap();
        let (anchors, candidates) = (points(n_anchors, 2, 21), points(5, 2, 22));
        let target = Array1::from_shape_fn(n_outputs, |j| 0.1 * j as f64);
        let expected = explicit_products(&model, &anchors, &candidates, &target);
        let found = tangent_products(&model, &anchors, &candidates, &target, None);
        let scale = expected.iter().map(|v| v.abs()).fold(0.0, f64::max);
        let gap = (&found - &expected).iter().map(|v| v.abs()).fold(0.0, f64::max);
        assert!(gap < 1e-5 * scale, "{name}: {gap} of {scale}");
        // Every parameter but one, over all places of the one: the explicit path covers each parameter.
        let n = model.layout().n_network_parameters();
        let subset = ParameterSubset { n_parameters: n, seeds: SeedPath::root(5) };
        assert_eq!(tangent_products(&model, &anchors, &candidates, &target, Some(&subset)), found);
        let subsets: Vec<_> = (0..40)
            .map(|s| {
                let subset = ParameterSubset { n_parameters: n / 2, seeds: SeedPath::root(s) };
                tangent_products(&model, &anchors, &candidates, &target, Some(&subset))
            })
            .collect();
        let mean = subsets.iter().fold(Array3::<f64>::zeros(found.raw_dim()), |sum, part| sum + part) / 40.0;
        // Half of the parameters give half of the products on average.
        let gap = (&mean - &(&found * 0.5)).mapv(|v| v * v).mean().unwrap().sqrt();
        let size = found.mapv(|v| v * v).mean().unwrap().sqrt();
        assert!(gap < 0.15 * size, "{name}: {gap} of {size}");
    }
}

#[test]
fn bad_input_is_named_and_never_a_panic() {
    let network = NetworkSpec::new(2, 1, vec![4], bn(), Head::Linear).unwrap();
    let fit = |data: &Labelled, training: TrainingSpec| {
        learner(network.clone(), training).fit(data, &everything(), &SeedPath::root(0))
    };
    assert!(matches!(
        fit(&labelled(5, 3, 1), small_training(1, 1)),
        Err(LearnError::ShapeMismatch { data_inputs: 3, .. })
    ));
    let x = points(4, 2, 0);
    let mut y = labels(&x, 1);
    y[[2, 0]] = 1e300;
    let huge = Labelled::new(x.clone(), y).unwrap();
    assert!(matches!(
        fit(&huge, small_training(1, 1)),
        Err(LearnError::Unrepresentable { what: "label", row: 2, column: 0, .. })
    ));
    // Representable, but its square is not: the loss is infinite in the first epoch.
    let mut y = labels(&x, 1);
    y[[2, 0]] = 1e30;
    let wild = TrainingSpec { learning_rate: 1e30, ..small_training(2, 50) };
    let diverged = fit(&Labelled::new(x.clone(), y).unwrap(), wild);
    assert!(matches!(diverged, Err(LearnError::Diverged { member: 0, epoch: 1.., .. })), "{diverged:?}");

    let model = fit(&labelled(9, 2, 1), small_training(2, 5)).unwrap();
    assert!(matches!(model.mean(points(1, 3, 0).view()), Err(SurrogateError::WrongWidth { expected: 2, found: 3 })));
    let mut bad = points(3, 2, 0);
    bad[[1, 1]] = f64::NAN;
    assert!(matches!(model.mean(bad.view()), Err(SurrogateError::NonFiniteInput { row: 1, column: 1, .. })));
    bad[[1, 1]] = 1e300;
    assert!(matches!(model.mean(bad.view()), Err(SurrogateError::NonFinitePrediction { row: 1, .. })));
    assert_eq!(model.mean(Array2::zeros((0, 2)).view()).unwrap().dim(), (0, 1));
    let (scores, slopes) = model.input_gradient().unwrap().disagreement(Array2::zeros((0, 2)).view()).unwrap();
    assert_eq!((scores.len(), slopes.dim()), (0, (0, 2)));
}

#[test]
fn needs_that_the_network_cannot_meet_are_refused() {
    let network = NetworkSpec::new(1, 1, vec![], None, Head::Linear).unwrap();
    let data = labelled(5, 1, 1);
    for needs in [
        Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() },
        Needs { loss_head: Some(LossHeadSpec::default()), ..Needs::default() },
    ] {
        let result = learner(network.clone(), small_training(1, 1)).fit(&data, &needs, &SeedPath::root(0));
        assert!(matches!(result, Err(LearnError::Unsupported { .. })));
    }
    let network = NetworkSpec::new(1, 1, vec![3], None, Head::Linear).unwrap();
    let needs = Needs { dropout: Some(DropoutSpec { rate: 1.0, ..DropoutSpec::default() }), ..Needs::default() };
    let result = learner(network, small_training(1, 1)).fit(&data, &needs, &SeedPath::root(0));
    assert!(matches!(result, Err(LearnError::Unsupported { .. })));
}

#[test]
fn one_point_and_constant_columns_give_finite_predictions() {
    for statistics in [BatchNormStatistics::Running, BatchNormStatistics::Recomputed] {
        let norm = Some(BatchNormSpec { statistics, ..BatchNormSpec::default() });
        let network = NetworkSpec::new(2, 1, vec![8; 6], norm, Head::Linear).unwrap();
        let learner = learner(network, small_training(2, 100));
        let needs = Needs { committee: true, ..Needs::default() };
        let fit = |data: Labelled| learner.fit(&data, &needs, &SeedPath::root(0)).unwrap();
        let one = fit(Labelled::new(Array2::from_elem((1, 2), 0.5), Array2::from_elem((1, 1), 3.0)).unwrap());
        let far = one.mean(points(20, 2, 0).view()).unwrap();
        assert!(far.iter().all(|v| v.abs() < 100.0), "{far}");
        let mut x = points(10, 2, 0);
        x.column_mut(1).fill(0.25);
        let constant = fit(Labelled::new(x.clone(), labels(&x, 1)).unwrap());
        assert!(constant.mean(x.view()).unwrap().iter().all(|v| v.is_finite()));
    }
}

#[test]
fn a_clock_measures_the_model_and_the_auxiliary_network() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    let ticks = AtomicU32::new(0);
    let network = NetworkSpec::new(1, 1, vec![3], None, Head::Linear).unwrap();
    let learner = learner(network, small_training(3, 1));
    let data = labelled(5, 1, 1);
    let silent = learner.fit(&data, &everything(), &SeedPath::root(0)).unwrap();
    assert_eq!(silent.training_cost().model_seconds, None);
    let timed = learner.with_clock(Arc::new(move || f64::from(ticks.fetch_add(1, Ordering::Relaxed))));
    let cost = timed.fit(&data, &everything(), &SeedPath::root(0)).unwrap().training_cost();
    assert_eq!((cost.model_seconds, cost.auxiliary_seconds), (Some(3.0), Some(1.0)));
}

#[test]
fn a_training_ends_within_an_epoch_of_a_stop_and_can_be_made_anew() {
    let network = NetworkSpec::new(1, 1, vec![4], None, Head::Linear).unwrap();
    let data = labelled(9, 1, 1);
    let needs = Needs::default();
    let job = || FitJob { labelled: &data, needs: &needs, seeds: SeedPath::root(1) };
    // So many epochs take months: only the stop ends them.
    let endless = TrainingSpec { n_members: 2, epochs: 1 << 31, ..TrainingSpec::default() };
    for n_threads in [1, 2] {
        let learner = learner(network.clone(), endless.clone()).with_threads(n_threads);
        let stop = Stop::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                stop.raise(StopLevel::Drain);
                std::thread::sleep(std::time::Duration::from_millis(20));
                stop.raise(StopLevel::Now);
            });
            let fits = learner.fit_all(&[job(), job()], &stop);
            assert!(fits.iter().all(|fit| matches!(fit, Err(LearnError::Stopped))));
        });
    }
    let short = learner(network, small_training(2, 5));
    assert!(matches!(short.fit_all(&[job()], &stopped(StopLevel::Now))[0], Err(LearnError::Stopped)));
    let seeds = SeedPath::root(1);
    assert!(matches!(short.fit_until(&data, &needs, &seeds, &stopped(StopLevel::Now)), Err(LearnError::Stopped)));
    // A drain lets a training come to its end, and the learner goes on afterwards as if nothing had been.
    let x = points(5, 1, 2);
    let mean = |stop: &Stop| short.fit_all(&[job()], stop).remove(0).unwrap().mean(x.view()).unwrap();
    assert_eq!(mean(&stopped(StopLevel::Drain)), mean(&Stop::new()));
}

fn stopped(level: StopLevel) -> Stop {
    let stop = Stop::new();
    stop.raise(level);
    stop
}

/// A deep and narrow network without BatchNorm, of which many members predict a constant for ever.
fn fragile() -> NetworkSpec {
    NetworkSpec::new(2, 1, vec![4; 9], None, Head::Linear).unwrap()
}

#[test]
fn trainings_report_how_they_ended() {
    let data = labelled(30, 2, 2);
    let network = NetworkSpec::new(2, 2, vec![12, 12], bn(), Head::Linear).unwrap();
    let model = learner(network.clone(), small_training(3, 150)).fit(&data, &everything(), &SeedPath::root(1)).unwrap();
    let report = model.training_report().unwrap();
    assert_eq!(report.members.len(), 3);
    let y = data.y();
    let centre = y.mean_axis(Axis(0)).unwrap();
    let variance = (&y - &centre).mapv(|v| v * v).mean().unwrap();
    for end in report.members.iter().chain(&report.dropout) {
        assert!((end.label_variance - variance).abs() < 1e-6 * variance && end.restarts == 0);
        assert!(end.best_loss > 0.0 && end.final_over_best().unwrap() >= 1.0);
    }
    assert!(report.members.iter().all(|end| !has_collapsed(end)) && report.dropout.is_some());
    // Kept with the model, in the units that it was trained in, and absent after no epoch.
    assert_eq!(CpuSurrogate::from_bytes(&model.to_bytes().unwrap()).unwrap().training_report(), Some(report));
    let scaled = learner(network.clone(), small_training(1, 2))
        .with_input_scaling(InputScaling::Standardise)
        .fit(&data, &Needs::default(), &SeedPath::root(1))
        .unwrap();
    let end = scaled.training_report().unwrap().members[0];
    assert!(
        (end.label_variance - variance).abs() < 1e-6 * variance && scaled.training_report().unwrap().dropout.is_none()
    );
    let untrained = learner(network, small_training(1, 0)).fit(&data, &Needs::default(), &SeedPath::root(1)).unwrap();
    assert_eq!(untrained.training_report(), None);
}

#[test]
fn collapsed_members_are_trained_anew_and_the_others_left_alone() {
    let data = labelled(40, 2, 1);
    let needs = Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() };
    let fit = |on_collapse, epochs, threads| {
        let training = TrainingSpec { on_collapse, ..small_training(8, epochs) };
        learner(fragile(), training).with_threads(threads).fit(&data, &needs, &SeedPath::root(2)).unwrap()
    };
    let kept = fit(OnCollapse::Keep, 400, 1);
    let anew = fit(OnCollapse::Restart, 400, 1);
    let ends = |model: &CpuSurrogate| model.training_report().unwrap().members.clone();
    let dead: Vec<bool> = ends(&kept).iter().map(has_collapsed).collect();
    assert!(dead.contains(&true) && dead.contains(&false), "{:?}", ends(&kept));
    for (m, (before, after)) in ends(&kept).iter().zip(ends(&anew)).enumerate() {
        assert_eq!(before.restarts, 0);
        assert_eq!(after.restarts > 0, dead[m]);
        assert_eq!(kept.members()[m] == anew.members()[m], !dead[m]);
        assert!(!has_collapsed(&after) || after.restarts == OnCollapse::MOST_RESTARTS);
    }
    // A dropout network is one network with one training.
    assert_eq!(anew.training_report().unwrap().dropout, kept.training_report().unwrap().dropout);
    assert_eq!(anew, fit(OnCollapse::Restart, 400, 3));
    // In one epoch nothing is learned, however often.
    assert!(ends(&fit(OnCollapse::Restart, 1, 1)).iter().all(|end| end.restarts == OnCollapse::MOST_RESTARTS));
}

#[test]
fn members_whose_loss_is_no_number_are_trained_anew_and_the_last_error_stands() {
    let data = labelled(40, 2, 1);
    // Beyond single precision in a step or two, but where every unit is dead and the last bias alone moves.
    let wild = TrainingSpec { learning_rate: 1e12, weight_decay: 0.0, ..small_training(1, 3) };
    let fit = |on_collapse, seed| {
        let training = TrainingSpec { on_collapse, ..wild.clone() };
        learner(fragile(), training).fit(&data, &Needs::default(), &SeedPath::root(seed))
    };
    let (mut saved, mut lost) = (0, 0);
    for seed in 0..40 {
        let kept = fit(OnCollapse::Keep, seed);
        match fit(OnCollapse::Restart, seed) {
            // So long a step teaches nothing: every training was followed by another one.
            Ok(model) => {
                let end = model.training_report().unwrap().members[0];
                assert_eq!(end.restarts, OnCollapse::MOST_RESTARTS);
                saved += usize::from(matches!(kept, Err(LearnError::Diverged { .. })));
            }
            Err(error) => {
                assert!(matches!(error, LearnError::Diverged { member: 0, .. }), "{error}");
                lost += 1;
            }
        }
    }
    assert!(saved > 0 && lost > 0, "{saved} {lost}");
}

/// The ensemble's decay acts times the members of the averaged loss; a dropout network, which has a loss of its own,
/// keeps it.
#[test]
fn a_reading_of_the_decay_concerns_the_ensemble_alone() {
    let data = labelled(25, 1, 1);
    let needs = Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() };
    let network = NetworkSpec::new(1, 1, vec![8, 8], bn(), Head::Linear).unwrap();
    let fit =
        |training: TrainingSpec| learner(network.clone(), training).fit(&data, &needs, &SeedPath::root(5)).unwrap();
    let base = small_training(2, 30);
    let averaged = fit(TrainingSpec { decay_reading: DecayReading::AveragedLoss { members: 10 }, ..base.clone() });
    let adam = AdamSpec { eps: 10.0 * base.adam.eps, ..base.adam };
    let spelt_out = fit(TrainingSpec { weight_decay: 10.0 * base.weight_decay, adam, ..base.clone() });
    let printed = fit(base);
    assert_eq!(averaged.members(), spelt_out.members());
    assert_ne!(averaged.members(), printed.members());
    let x = points(9, 1, 3);
    let dropped = |model: &CpuSurrogate| model.dropout().unwrap().mean(x.view()).unwrap();
    assert_eq!(dropped(&averaged), dropped(&printed));
    assert_ne!(dropped(&averaged), dropped(&spelt_out));
}

/// The coupled loss epoch by epoch: every member's update at one rate, and the rule shown the mean of the losses.
#[test]
fn members_of_a_coupled_loss_share_a_schedule() {
    let data = labelled(25, 1, 2);
    let network = NetworkSpec::new(1, 2, vec![8, 8], bn(), Head::Linear).unwrap();
    // Hard to please, so that the schedule acts often.
    let plateau = Some(PlateauSpec { patience: 2, threshold: 0.2, ..PlateauSpec::DEFAULT });
    let coupled = TrainingSpec {
        decay_reading: DecayReading::CoupledLoss,
        learning_rate: 3e-2,
        weight_decay: 1e-3,
        plateau,
        ..small_training(3, 90)
    };
    let seeds = SeedPath::root(5);
    let fit = |training: &TrainingSpec, threads| {
        learner(network.clone(), training.clone()).with_threads(threads).fit(&data, &Needs::default(), &seeds).unwrap()
    };
    let model = fit(&coupled, 1);
    assert_eq!(fit(&coupled, 3), model);

    let single = |values: ArrayView2<'_, f64>| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let (x, y) = (single(data.x()), single(data.y()));
    let layout = Layout::new(&network, None);
    // A training that leaves the rate alone; the decay counts three members.
    let adam = AdamSpec { eps: 3.0 * coupled.adam.eps, ..coupled.adam };
    let alone = TrainingSpec {
        plateau: None,
        weight_decay: 3e-3,
        adam,
        decay_reading: DecayReading::PerMember,
        ..coupled.clone()
    };
    let job = TrainJob {
        network: &network,
        layout: &layout,
        training: &alone,
        x: &x,
        y: &y,
        n: data.len(),
        dropout: None,
        loss_head: None,
        stop: None,
    };
    let start = |m| MemberState::new(&layout, layout.initial(&mut seeds.purpose("weights").index(m).rng()), &alone);
    let mut states: Vec<MemberState<f32>> = (0..3).map(start).collect();
    let (mut rule, mut rates) = (Plateau::default(), Vec::new());
    for epoch in 0..90 {
        let mut losses = 0.0;
        for state in &mut states {
            let mut log = TrainLog::default();
            FastTrainer::default().train(&job, state, epoch..epoch + 1, &mut log).unwrap();
            losses += log.losses[0];
        }
        let rate = rule.next_rate(&coupled.plateau.unwrap(), losses / 3.0, states[0].learning_rate);
        states.iter_mut().for_each(|state| state.learning_rate = rate);
        rates.push(rate);
    }
    assert!(rates[89] < rates[0], "the schedule has to act for this to mean something");
    for (member, state) in model.members().iter().zip(&states) {
        assert_eq!(member.params, state.params);
        assert_eq!(member.running_var, state.running_var);
    }
    let own = fit(&TrainingSpec { decay_reading: DecayReading::AveragedLoss { members: 3 }, ..coupled.clone() }, 1);
    assert_ne!(own.members(), model.members());
    let restart = TrainingSpec { on_collapse: OnCollapse::Restart, ..coupled };
    assert!(restart.validate().unwrap_err().to_string().contains("keep"));
}

#[test]
fn a_dropout_network_may_have_epochs_and_a_rate_of_its_own() {
    let data = labelled(25, 1, 1);
    let network = NetworkSpec::new(1, 1, vec![8, 8], bn(), Head::Linear).unwrap();
    let fit = |training: TrainingSpec, spec: DropoutSpec| {
        let needs = Needs { dropout: Some(spec), ..Needs::default() };
        learner(network.clone(), training).fit(&data, &needs, &SeedPath::root(5))
    };
    let base = small_training(2, 30);
    let own = DropoutSpec { epochs: Some(50), learning_rate: Some(0.02), ..DropoutSpec::default() };
    let apart = fit(base.clone(), own).unwrap();
    let plain = fit(base.clone(), DropoutSpec::default()).unwrap();
    let both = TrainingSpec { epochs: 50, learning_rate: 0.02, ..base.clone() };
    let both = fit(both, DropoutSpec::default()).unwrap();
    let x = points(9, 1, 3);
    let dropped = |model: &CpuSurrogate| model.dropout().unwrap().mean(x.view()).unwrap();
    assert_eq!(apart.members(), plain.members(), "the evaluated model knows nothing of it");
    assert_eq!(dropped(&apart), dropped(&both));
    assert_ne!(dropped(&apart), dropped(&plain));
    let normed = fit(base.clone(), DropoutSpec { batch_norm: true, ..DropoutSpec::default() }).unwrap();
    assert_ne!(dropped(&normed), dropped(&plain));
    assert_eq!(dropped(&CpuSurrogate::from_bytes(&normed.to_bytes().unwrap()).unwrap()), dropped(&normed));
    let refused = fit(base, DropoutSpec { learning_rate: Some(-1.0), ..DropoutSpec::default() });
    assert!(matches!(refused, Err(LearnError::Unsupported { message }) if message.contains("learning_rate")));
}

#[test]
fn the_joint_phase_is_a_share_of_the_epochs() {
    let data = labelled(25, 1, 1);
    let network = NetworkSpec::new(1, 1, vec![8, 8], bn(), Head::Linear).unwrap();
    let fit = |epochs: usize, joint_share: f64| {
        let needs =
            Needs { loss_head: Some(LossHeadSpec { joint_share, ..LossHeadSpec::default() }), ..Needs::default() };
        learner(network.clone(), small_training(1, epochs)).fit(&data, &needs, &SeedPath::root(5))
    };
    // 0.6 and 0.61 of twenty epochs are twelve; thirteen are others.
    let members = |share: f64| fit(20, share).unwrap().members().to_vec();
    assert_eq!(members(0.6), members(0.61));
    assert_ne!(members(0.6), members(0.65));
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(fit(20, share), Err(LearnError::Unsupported { message }) if message.contains("joint share")));
    }
}

/// Every set of kernels that the processor has can be asked for, and says so in its platform.
#[test]
fn kernels_can_be_forced() {
    let data = labelled(25, 1, 1);
    let network = NetworkSpec::new(1, 1, vec![8, 8], bn(), Head::Linear).unwrap();
    for path in FastTrainer::paths() {
        let forced = learner(network.clone(), small_training(1, 5)).with_kernels(FastTrainer::with_path(path).unwrap());
        let model = forced.fit(&data, &Needs::default(), &SeedPath::root(5)).unwrap();
        assert!(
            forced.platform().starts_with(&format!("cpu/{path}/")) && model.provenance().platform == forced.platform()
        );
    }
}
