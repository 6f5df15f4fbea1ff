//! The engine on libtorch beside the CPU engine: the same starts, the same answers of the same model, the same errors.
#![cfg(feature = "tch")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dal_core::{
    Capability, DropoutSpec, FeatureKind, FeatureSpec, FitJob, Labelled, LearnError, Learner, LossHeadSpec, Needs,
    ParameterSubset, Parametrisation, SeedPath, Stop, StopLevel, Surrogate, SurrogateError, TrainingEnd,
    TrainingReport,
};
use dal_nn::{
    BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, CpuLearner, CpuSurrogate, Head,
    InputScaling, Layout, MemberState, NetworkSpec, OnCollapse, TchDevice, TchLearner, TchOptions, TchSetupError,
    TchSurrogate, TchTrainError, TchTrainer, TrainError, TrainJob, TrainingSpec,
};
use ndarray::{Array1, Array2, Array3, ArrayBase, Axis, Data, Dimension};
use rand::RngExt;

fn points(n: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = SeedPath::root(seed).rng();
    Array2::from_shape_fn((n, columns), |_| rng.random_range(-1.0..1.0))
}

fn labels(x: &Array2<f64>, n_outputs: usize) -> Array2<f64> {
    Array2::from_shape_fn((x.nrows(), n_outputs), |(i, j)| {
        x.row(i).iter().enumerate().map(|(k, v)| (2.0 * v + (j + k) as f64).sin()).sum::<f64>()
    })
}

fn labelled(n: usize, n_inputs: usize, n_outputs: usize, seed: u64) -> Labelled {
    let x = points(n, n_inputs, seed);
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

fn training(n_members: usize, epochs: usize) -> TrainingSpec {
    TrainingSpec { n_members, epochs, learning_rate: 5e-3, weight_decay: 1e-4, ..TrainingSpec::default() }
}

fn linear(n_inputs: usize, n_outputs: usize, hidden: &[usize], norm: Option<BatchNormSpec>) -> NetworkSpec {
    NetworkSpec::new(n_inputs, n_outputs, hidden.to_vec(), norm, Head::Linear).unwrap()
}

fn convolutions() -> NetworkSpec {
    let layer =
        |kind, n_in, n_out, kernel, stride, padding| ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
    let head = ConvHeadSpec {
        length: 5,
        layers: vec![
            layer(ConvKind::Transposed, 1, 3, 4, 2, 1),
            layer(ConvKind::Transposed, 3, 2, 3, 1, 1),
            layer(ConvKind::Plain, 2, 2, 3, 1, 1),
            layer(ConvKind::Plain, 2, 1, 1, 1, 0),
        ]
        .into(),
    };
    NetworkSpec::new(2, 10, vec![6, 5], bn(), Head::Convolution(head)).unwrap()
}

fn cpu(network: &NetworkSpec, training: &TrainingSpec) -> CpuLearner {
    CpuLearner::new(network.clone(), training.clone()).unwrap()
}

fn tch(network: &NetworkSpec, training: &TrainingSpec) -> TchLearner {
    TchLearner::new(network.clone(), training.clone(), TchOptions::default()).unwrap()
}

#[track_caller]
fn close<D: Dimension, A: Data<Elem = f64>, B: Data<Elem = f64>>(
    what: &str,
    found: &ArrayBase<A, D>,
    expected: &ArrayBase<B, D>,
    tolerance: f64,
) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let scale = expected.iter().fold(1e-12f64, |scale, v| scale.max(v.abs()));
    let gap = found.iter().zip(expected).fold(0.0f64, |gap, (a, b)| gap.max((a - b).abs()));
    assert!(gap <= tolerance * scale, "{what}: {gap} of {scale}");
}

/// The members' numbers of two surrogates, relatively.
#[track_caller]
fn close_members(a: &CpuSurrogate, b: &CpuSurrogate, tolerance: f32) {
    assert_eq!(a.members().len(), b.members().len());
    for (a, b) in a.members().iter().zip(b.members()) {
        for (a, b) in [(&a.params, &b.params), (&a.running_mean, &b.running_mean), (&a.running_var, &b.running_var)] {
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} beside {b}");
            }
        }
    }
}

#[test]
fn both_engines_start_from_the_same_numbers_and_stay_close_at_first() {
    for network in [linear(3, 2, &[20, 17], bn()), linear(3, 2, &[20, 17], None)] {
        let data = labelled(50, 3, 2, 11);
        let fit = |epochs| {
            let seeds = SeedPath::root(3);
            let theirs = tch(&network, &training(4, epochs)).fit(&data, &everything(), &seeds).unwrap();
            let ours = cpu(&network, &training(4, epochs)).fit(&data, &everything(), &seeds).unwrap();
            (theirs, ours)
        };
        let (theirs, ours) = fit(0);
        assert_eq!(theirs.to_cpu().members(), ours.members());
        let (theirs, ours) = fit(3);
        // Three Adam steps of 5e-3: where a gradient vanishes its sign is rounding.
        close_members(theirs.to_cpu(), &ours, 2e-2);
        let x = points(40, 3, 5);
        close("mean", &theirs.mean(x.view()).unwrap(), &ours.mean(x.view()).unwrap(), 2e-2);
        let seeds = SeedPath::root(8);
        let dropped = |model: &dyn Surrogate| model.dropout().unwrap().moments(x.view(), &seeds).unwrap();
        close("dropout", &dropped(&theirs).mean, &dropped(&ours).mean, 2e-2);
    }
}

#[test]
fn a_model_answers_alike_on_both_engines() {
    let standardised = InputScaling::Standardise;
    let cases = [
        (linear(2, 1, &[20, 20, 20], bn()), InputScaling::None),
        (linear(3, 4, &[12, 9], bn()), standardised),
        (linear(2, 2, &[], None), InputScaling::None),
        (linear(5, 1, &[33], None), standardised),
        (convolutions(), standardised),
    ];
    for (network, scaling) in cases {
        let needs = if network.hidden().is_empty() {
            Needs { dropout: None, loss_head: None, ..everything() }
        } else {
            everything()
        };
        let data = labelled(60, network.n_inputs(), network.n_outputs(), 4);
        let learner = cpu(&network, &training(4, 60)).with_input_scaling(scaling);
        let ours = learner.fit(&data, &needs, &SeedPath::root(1)).unwrap();
        // Little memory: many chunks.
        let options = TchOptions { memory: Some(100_000), ..TchOptions::default() };
        let theirs = TchSurrogate::new(ours.clone(), &options).unwrap();
        assert_eq!(theirs.to_cpu(), &ours);
        let x = points(701, network.n_inputs(), 5);
        close("mean", &theirs.mean(x.view()).unwrap(), &ours.mean(x.view()).unwrap(), 1e-5);

        let both = |model: &dyn Surrogate| model.committee().unwrap().moments(x.view()).unwrap();
        let (found, expected) = (both(&theirs), both(&ours));
        close("mean over members", &found.mean, &expected.mean, 1e-5);
        close("variance over members", &found.variance, &expected.variance, 1e-4);
        let members = |model: &dyn Surrogate| {
            let committee = model.committee().unwrap();
            let mut all = Array3::zeros((committee.n_members(), x.nrows(), network.n_outputs()));
            let mut sizes = Vec::new();
            let mut on_chunk = |first: usize, chunk: ndarray::ArrayView3<'_, f64>| {
                sizes.push(chunk.len_of(Axis(1)));
                all.slice_mut(ndarray::s![.., first..first + chunk.len_of(Axis(1)), ..]).assign(&chunk);
            };
            committee.members(x.view(), 300, &mut on_chunk).unwrap();
            (all, sizes)
        };
        let (found, expected) = (members(&theirs), members(&ours));
        assert_eq!(found.1, expected.1);
        close("members", &found.0, &expected.0, 1e-5);

        let slopes = |model: &dyn Surrogate| model.input_gradient().unwrap().disagreement(x.view()).unwrap();
        let (found, expected) = (slopes(&theirs), slopes(&ours));
        close("disagreement", &found.0, &expected.0, 1e-4);
        close("its gradient", &found.1, &expected.1, 1e-3);

        let anchors = points(3, network.n_inputs(), 6);
        let target = Array1::from_elem(network.n_outputs(), 0.3);
        for subset in [None, Some(ParameterSubset { n_parameters: 7, seeds: SeedPath::root(2) })] {
            let products = |model: &dyn Surrogate| {
                let mut all = Vec::new();
                let mut on_chunk = |_: usize, chunk: ndarray::ArrayView3<'_, f64>| all.extend(chunk.iter().copied());
                let candidates = x.slice(ndarray::s![..50, ..]);
                let tangent = model.tangent().unwrap();
                tangent
                    .loss_gradient_products(anchors.view(), candidates, target.view(), subset.as_ref(), &mut on_chunk)
                    .unwrap();
                Array1::from(all)
            };
            close("tangent", &products(&theirs), &products(&ours), 1e-9);
        }

        let spec = FeatureSpec {
            kind: FeatureKind::Gradient,
            columns: Some(24),
            directions: 2,
            parametrisation: Parametrisation::default(),
            seeds: SeedPath::root(6),
        };
        let features = |model: &dyn Surrogate| model.features().unwrap().features_at(x.view(), &spec).unwrap();
        close("features", &features(&theirs), &features(&ours), 1e-4);

        let (Some(found), Some(expected)) = (theirs.dropout(), ours.dropout()) else { continue };
        assert_eq!(found.n_passes(), expected.n_passes());
        close("dropout off", &found.mean(x.view()).unwrap(), &expected.mean(x.view()).unwrap(), 1e-5);
        let seeds = SeedPath::root(9);
        let (found, expected) = (found.moments(x.view(), &seeds).unwrap(), expected.moments(x.view(), &seeds).unwrap());
        close("mean over passes", &found.mean, &expected.mean, 1e-5);
        close("variance over passes", &found.variance, &expected.variance, 1e-4);
        let scores = |model: &dyn Surrogate| model.loss_head().unwrap().predicted_loss(x.view()).unwrap();
        close("loss head", &scores(&theirs), &scores(&ours), 1e-5);
    }
}

#[test]
fn only_what_was_asked_for_is_granted() {
    let network = linear(1, 1, &[4], bn());
    let granted = |model: &dyn Surrogate| {
        Capability::ALL.iter().map(|capability| (capability.is_offered)(model)).collect::<Vec<_>>()
    };
    let data = labelled(9, 1, 1, 0);
    for needs in [
        Needs::default(),
        everything(),
        Needs { uncertainty: true, ..Needs::default() },
        Needs { committee: true, ..Needs::default() },
        Needs { input_gradient: true, ..Needs::default() },
        Needs { tangent: true, ..Needs::default() },
        Needs { features: true, ..Needs::default() },
        Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() },
        Needs { loss_head: Some(LossHeadSpec::default()), ..Needs::default() },
    ] {
        let ours = cpu(&network, &training(2, 2)).fit(&data, &needs, &SeedPath::root(0)).unwrap();
        let theirs = tch(&network, &training(2, 2)).fit(&data, &needs, &SeedPath::root(0)).unwrap();
        assert_eq!(granted(&theirs), granted(&ours));
    }
}

#[test]
fn errors_are_those_of_the_cpu_engine() {
    let network = linear(2, 1, &[4], bn());
    let fit = |network: &NetworkSpec, data: &Labelled, needs: &Needs, training: &TrainingSpec| {
        let seeds = SeedPath::root(0);
        let ours = cpu(network, training).fit(data, needs, &seeds).err();
        let theirs = tch(network, training).fit(data, needs, &seeds).err();
        (theirs, ours)
    };
    let (found, expected) = fit(&network, &labelled(5, 3, 1, 0), &everything(), &training(1, 1));
    assert!(matches!(found, Some(LearnError::ShapeMismatch { .. })) && found == expected);
    let x = points(4, 2, 0);
    let mut y = labels(&x, 1);
    y[[2, 0]] = 1e300;
    let (found, expected) = fit(&network, &Labelled::new(x.clone(), y).unwrap(), &everything(), &training(1, 1));
    assert!(matches!(found, Some(LearnError::Unrepresentable { row: 2, .. })) && found == expected);
    // Divergence: squares of such labels overflow in the first epoch, on either engine.
    let mut y = labels(&x, 1);
    y[[2, 0]] = 1e30;
    let wild = TrainingSpec { learning_rate: 1e30, ..training(2, 50) };
    let (found, expected) = fit(&network, &Labelled::new(x.clone(), y).unwrap(), &everything(), &wild);
    assert!(matches!(found, Some(LearnError::Diverged { .. })), "{found:?}");
    assert_eq!(found, expected);
    // Needs that the network cannot meet.
    let flat = linear(2, 1, &[], None);
    let data = labelled(5, 2, 1, 0);
    for needs in [
        Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() },
        Needs { loss_head: Some(LossHeadSpec::default()), ..Needs::default() },
    ] {
        let (found, expected) = fit(&flat, &data, &needs, &training(1, 1));
        assert!(matches!(found, Some(LearnError::Unsupported { .. })) && found == expected);
    }
    assert!(matches!(
        TchLearner::new(network.clone(), TrainingSpec { n_members: 0, ..training(1, 1) }, TchOptions::default()),
        Err(TchSetupError::Spec(_))
    ));

    let model = tch(&network, &training(2, 5)).fit(&data, &everything(), &SeedPath::root(0)).unwrap();
    assert!(matches!(model.mean(points(1, 3, 0).view()), Err(SurrogateError::WrongWidth { expected: 2, found: 3 })));
    let mut bad = points(3, 2, 0);
    bad[[1, 1]] = f64::NAN;
    assert!(matches!(model.mean(bad.view()), Err(SurrogateError::NonFiniteInput { row: 1, column: 1, .. })));
    bad[[1, 1]] = 1e300;
    assert!(matches!(model.mean(bad.view()), Err(SurrogateError::NonFinitePrediction { row: 1, output: 0, .. })));
    let members = model.committee().unwrap();
    assert!(matches!(
        members.members(bad.view(), 2, &mut |_, _| ()),
        Err(SurrogateError::NonFinitePrediction { row: 1, output: 0, .. })
    ));
    assert_eq!(model.mean(Array2::zeros((0, 2)).view()).unwrap().dim(), (0, 1));
    let (scores, slopes) = model.input_gradient().unwrap().disagreement(Array2::zeros((0, 2)).view()).unwrap();
    assert_eq!((scores.len(), slopes.dim()), (0, (0, 2)));
}

#[test]
fn one_point_and_constant_columns_train() {
    for statistics in [BatchNormStatistics::Running, BatchNormStatistics::Recomputed] {
        let network = linear(2, 1, &[8; 4], Some(BatchNormSpec { statistics, ..BatchNormSpec::default() }));
        let one = Labelled::new(Array2::from_elem((1, 2), 0.5), Array2::from_elem((1, 1), 3.0)).unwrap();
        let mut x = points(10, 2, 0);
        x.column_mut(1).fill(0.25);
        let constant = Labelled::new(x.clone(), labels(&x, 1)).unwrap();
        for data in [one, constant] {
            let model = tch(&network, &training(2, 100)).fit(&data, &everything(), &SeedPath::root(0)).unwrap();
            let far = model.mean(points(20, 2, 0).view()).unwrap();
            assert!(far.iter().all(|v| v.abs() < 100.0), "{far}");
        }
    }
}

/// Jobs of one call: two sizes of training sets, needs with and without auxiliary networks, and one that diverges.
#[test]
fn jobs_in_lock_step_are_what_they_are_alone_and_fail_alone() {
    let network = linear(2, 1, &[10, 10], bn());
    let sets: Vec<_> = [(40, 1), (40, 2), (24, 3), (40, 4)].iter().map(|&(n, seed)| labelled(n, 2, 1, seed)).collect();
    let mut y = sets[3].y().to_owned();
    y[[7, 0]] = 1e25;
    let wild = Labelled::new(sets[3].x().to_owned(), y).unwrap();
    let (plain, all) = (Needs { committee: true, ..Needs::default() }, everything());
    let few = TrainingSpec { learning_rate: 1e-3, ..training(5, 4) };
    let job = |labelled, needs, seed| FitJob { labelled, needs, seeds: SeedPath::root(seed) };
    let jobs = [
        job(&sets[0], &plain, 1),
        job(&sets[1], &all, 2),
        job(&wild, &plain, 3),
        job(&sets[2], &plain, 4),
        job(&sets[3], &all, 5),
        job(&sets[1], &plain, 6),
    ];
    let x = points(30, 2, 77);
    for options in [
        TchOptions::default(),
        TchOptions { threads: 3, ..TchOptions::default() },
        TchOptions { memory: Some(1), ..TchOptions::default() },
    ] {
        let learner = TchLearner::new(network.clone(), few.clone(), options.clone()).unwrap();
        for (index, (together, job)) in learner.fit_all(&jobs, &Stop::new()).into_iter().zip(&jobs).enumerate() {
            let alone = cpu(&network, &few).fit(job.labelled, job.needs, &job.seeds);
            match (together, alone) {
                (Ok(together), Ok(alone)) => {
                    assert_ne!(index, 2);
                    close("mean", &together.mean(x.view()).unwrap(), &alone.mean(x.view()).unwrap(), 1e-2);
                }
                (together, alone) => {
                    assert_eq!(index, 2);
                    assert_eq!(together.err(), alone.err());
                }
            }
        }
    }
}

#[test]
fn a_stop_ends_a_training_within_an_epoch_and_training_anew_gives_the_same_model() {
    let network = linear(2, 1, &[6, 5], bn());
    let data = labelled(30, 2, 1, 1);
    let (plain, all) = (Needs::default(), everything());
    let job = |needs| FitJob { labelled: &data, needs, seeds: SeedPath::root(1) };
    let jobs = [job(&plain), job(&all)];
    // So many epochs take many minutes: only the stop ends them. (Losses of all epochs are kept on the device: no more
    // of them.)
    let long = training(3, 1 << 22);
    for options in [
        TchOptions::default(),
        TchOptions { threads: 2, ..TchOptions::default() },
        TchOptions { memory: Some(1), ..TchOptions::default() },
    ] {
        let learner =
            |training: &TrainingSpec| TchLearner::new(network.clone(), training.clone(), options.clone()).unwrap();
        let means = |stop: &Stop| -> Vec<_> {
            let fits = learner(&training(3, 40)).fit_all(&jobs, stop).into_iter();
            fits.map(|model| model.unwrap().mean(points(9, 2, 3).view()).unwrap()).collect()
        };
        let undisturbed = means(&Stop::new());
        let long = learner(&long);
        let stop = Stop::new();
        let fits = std::thread::scope(|scope| {
            scope.spawn(|| {
                // A drain lets a training go on.
                std::thread::sleep(Duration::from_millis(20));
                stop.raise(StopLevel::Drain);
                std::thread::sleep(Duration::from_millis(100));
                stop.raise(StopLevel::Now);
            });
            long.fit_all(&jobs, &stop)
        });
        // Neither a model nor a failure of a member, of the data or of the device.
        assert!(fits.iter().all(|fit| matches!(fit, Err(LearnError::Stopped))));
        assert!(stop.is_now(), "it ended by the stop");
        // The process and its learners go on as if nothing had been; after a drain a training comes to its end.
        assert_eq!(means(&Stop::new()), undisturbed);
        let draining = Stop::new();
        draining.raise(StopLevel::Drain);
        assert_eq!(means(&draining), undisturbed);
    }
}

/// A trained part tells the epoch before which it ended.
#[test]
fn a_stop_is_seen_before_the_epoch_that_it_forbids() {
    let network = linear(2, 1, &[6], bn());
    let training = training(1, 10);
    let layout = Layout::new(&network, None);
    let data = labelled(12, 2, 1, 1);
    let values = |of: ndarray::ArrayView2<'_, f64>| of.iter().map(|&v| v as f32).collect::<Vec<_>>();
    let (x, y) = (values(data.x()), values(data.y()));
    let stop = Stop::new();
    let job = TrainJob {
        network: &network,
        layout: &layout,
        training: &training,
        x: &x,
        y: &y,
        n: 12,
        dropout: None,
        loss_head: None,
        stop: Some(&stop),
    };
    let trainer = TchTrainer::new(TchOptions::default()).unwrap();
    let mut rng = SeedPath::root(4).rng();
    let mut states = [MemberState::new(&layout, layout.initial::<f32>(&mut rng), &training)];
    assert!(trainer.train_together(&[job], &mut states, 0..3)[0].is_ok());
    let before = states.clone();
    stop.raise(StopLevel::Now);
    let stopped = trainer.train_together(&[job], &mut states, 3..10);
    assert_eq!(stopped, [Err(TchTrainError::Train(TrainError::Stopped { epoch: 3 }))]);
    assert_eq!(states, before);
}

/// Reports are those of the CPU engine up to rounding; a member that collapsed is trained anew on this engine as on
/// that one, and the others stay what they are.
#[test]
fn trainings_are_reported_and_collapsed_members_trained_anew() {
    let data = labelled(40, 2, 1, 11);
    let all = everything();
    let reports = |epochs| {
        let network = linear(2, 1, &[12, 12], bn());
        let theirs = tch(&network, &training(3, epochs)).fit(&data, &all, &SeedPath::root(1)).unwrap();
        let ours = cpu(&network, &training(3, epochs)).fit(&data, &all, &SeedPath::root(1)).unwrap();
        (theirs.training_report().cloned(), ours.training_report().cloned())
    };
    assert_eq!(reports(0), (None, None));
    let (theirs, ours) = reports(3);
    let ends = |report: TrainingReport| -> Vec<_> { report.members.into_iter().chain(report.dropout).collect() };
    let (theirs, ours) = (ends(theirs.unwrap()), ends(ours.unwrap()));
    assert_eq!((theirs.len(), ours.len()), (4, 4));
    for (found, expected) in theirs.iter().zip(&ours) {
        assert_eq!((found.label_variance, found.restarts), (expected.label_variance, expected.restarts));
        for (found, expected) in [(found.final_loss, expected.final_loss), (found.best_loss, expected.best_loss)] {
            assert!((found / expected - 1.0).abs() < 1e-2, "{found} beside {expected}");
        }
    }

    // Deep and narrow, without BatchNorm: many members predict a constant for ever.
    let network = linear(2, 1, &[4; 9], None);
    let needs = Needs { dropout: Some(DropoutSpec::default()), ..Needs::default() };
    let fit = |on_collapse, epochs| {
        let learner = tch(&network, &TrainingSpec { on_collapse, ..training(8, epochs) });
        learner.fit(&data, &needs, &SeedPath::root(2)).unwrap()
    };
    let ends = |model: &TchSurrogate| model.training_report().unwrap().members.clone();
    let collapsed = |end: &TrainingEnd| end.final_over_variance().is_some_and(|share| share > 0.5);
    let (kept, anew) = (fit(OnCollapse::Keep, 400), fit(OnCollapse::Restart, 400));
    let dead: Vec<bool> = ends(&kept).iter().map(collapsed).collect();
    assert!(dead.contains(&true) && dead.contains(&false), "{:?}", ends(&kept));
    for (m, (before, after)) in ends(&kept).iter().zip(ends(&anew)).enumerate() {
        assert_eq!(before.restarts, 0);
        assert_eq!(after.restarts > 0, dead[m]);
        assert_eq!(kept.to_cpu().members()[m] == anew.to_cpu().members()[m], !dead[m]);
        assert!(!collapsed(&after) || after.restarts == OnCollapse::MOST_RESTARTS);
    }
    assert_eq!(anew.training_report().unwrap().dropout, kept.training_report().unwrap().dropout);
    // In one epoch nothing is learned, however often.
    assert!(ends(&fit(OnCollapse::Restart, 1)).iter().all(|end| end.restarts == OnCollapse::MOST_RESTARTS));
}

/// As on the CPU engine: steps so long that nothing is learned lead beyond single precision, or kill every unit.
#[test]
fn members_whose_loss_is_no_number_are_trained_anew_and_the_last_error_stands() {
    let data = labelled(40, 2, 1, 1);
    let network = linear(2, 1, &[4; 9], None);
    let wild = TrainingSpec { learning_rate: 1e12, weight_decay: 0.0, ..training(1, 3) };
    let fit = |on_collapse, seed| {
        let learner = tch(&network, &TrainingSpec { on_collapse, ..wild.clone() });
        learner.fit(&data, &Needs::default(), &SeedPath::root(seed))
    };
    let (mut saved, mut lost) = (0, 0);
    for seed in 0..40 {
        match fit(OnCollapse::Restart, seed) {
            Ok(model) => {
                assert_eq!(model.training_report().unwrap().members[0].restarts, OnCollapse::MOST_RESTARTS);
                let kept = fit(OnCollapse::Keep, seed);
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

#[test]
fn a_clock_measures_the_model_and_the_auxiliary_network() {
    let ticks = AtomicU32::new(0);
    let network = linear(1, 1, &[3], None);
    let data = labelled(5, 1, 1, 0);
    let learner = tch(&network, &training(3, 1));
    let silent = learner.fit(&data, &everything(), &SeedPath::root(0)).unwrap();
    assert_eq!(silent.training_cost().model_seconds, None);
    let timed = learner.with_clock(Arc::new(move || f64::from(ticks.fetch_add(1, Ordering::Relaxed))));
    let cost = timed.fit(&data, &everything(), &SeedPath::root(0)).unwrap().training_cost();
    // One batch of three members, one of the dropout network, a tick each.
    assert!((cost.model_seconds.unwrap() - 1.0).abs() < 1e-12 && cost.auxiliary_seconds == Some(1.0), "{cost:?}");
}

#[test]
fn devices_and_options_that_are_not_there_are_named() {
    let network = linear(1, 1, &[3], None);
    let open = |options: TchOptions| TchLearner::new(network.clone(), training(1, 1), options).err();
    let absent = open(TchOptions { device: TchDevice::Cuda(4096), ..TchOptions::default() });
    assert!(matches!(absent, Some(TchSetupError::NoDevice { device: TchDevice::Cuda(4096), .. })), "{absent:?}");
    let tf32 = open(TchOptions { tf32: true, ..TchOptions::default() });
    assert!(matches!(tf32, Some(TchSetupError::Unsupported { option: "tf32", .. })), "{tf32:?}");
    assert_eq!("cuda:3".parse(), Ok(TchDevice::Cuda(3)));
    assert_eq!(TchDevice::Cuda(3).to_string(), "cuda:3");
    assert_eq!("cpu".parse(), Ok(TchDevice::Cpu));
    assert!(matches!("gpu".parse::<TchDevice>(), Err(TchSetupError::DeviceName { .. })));
    let nowhere = dal_nn::load_cuda_backend(std::path::Path::new("no/such/libtorch_cuda.so"));
    assert!(matches!(nowhere, Err(TchSetupError::Library { .. })), "{nowhere:?}");
}

#[test]
fn bfloat16_trains_or_is_refused() {
    let network = linear(2, 1, &[20, 20], bn());
    let options = TchOptions { bf16: true, ..TchOptions::default() };
    let data = labelled(60, 2, 1, 0);
    match TchLearner::new(network.clone(), training(3, 150), options) {
        Err(error) => assert!(matches!(error, TchSetupError::Unsupported { option: "bf16", .. }), "{error}"),
        Ok(learner) => {
            assert!(learner.platform().contains("bf16"));
            let rough = learner.fit(&data, &everything(), &SeedPath::root(0)).unwrap();
            let exact = tch(&network, &training(3, 150)).fit(&data, &everything(), &SeedPath::root(0)).unwrap();
            assert_ne!(rough.to_cpu().members(), exact.to_cpu().members());
            let x = points(100, 2, 1);
            let error = (&rough.mean(x.view()).unwrap() - &labels(&x, 1)).mapv(|e| e * e).mean().unwrap();
            assert!(error < 0.1, "{error}");
        }
    }
}
