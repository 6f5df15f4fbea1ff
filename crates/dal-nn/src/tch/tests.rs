//! The engine's parts in the conformance suite, and what only a batch can get wrong.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use dal_core::{Labelled, Needs, SeedPath, Surrogate, Tangent};
use ndarray::{Array1, Array2};
use rand::RngExt;

use super::batch;
use super::device::{Memory, TchDevice, TchOptions, download, load_cuda_backend};
use super::evaluate::DeviceEnsemble;
use super::surrogate::TchSurrogate;
use super::trainer::{TchTrainError, TchTrainer, member};
use crate::surrogate::Ensemble;
use crate::training::{MemberState, MemberTrainer, TrainError, TrainJob, TrainLog};
use crate::{CpuLearner, InputScaling};
use dal_core::model::{BatchNormSpec, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, NetworkSpec, TrainingSpec};

/// One member as a batch of its own.
struct Alone(TchTrainer);

/// One member in the middle of a batch of three, the others with data, weights and keys of their own.
struct Beside(TchTrainer);

/// The engine on the first CUDA device, or why it is not to be had.
fn on_cuda() -> &'static Result<TchTrainer, String> {
    static TRAINER: OnceLock<Result<TchTrainer, String>> = OnceLock::new();
    TRAINER.get_or_init(|| {
        // A libtorch with CUDA at build time has loaded it by itself.
        let loaded = load_cuda_backend(Path::new("libtorch_cuda.so"));
        let options = TchOptions { device: TchDevice::Cuda(0), ..TchOptions::default() };
        TchTrainer::new(options).map_err(|error| match loaded {
            Ok(()) => error.to_string(),
            Err(library) => format!("{error} ({library})"),
        })
    })
}

/// The engine's entries in the conformance suite: on the processor, and on the first CUDA device where there is one.
pub(crate) fn conformance_engines() -> Vec<(String, Box<dyn MemberTrainer<f32>>)> {
    let trainer = TchTrainer::new(TchOptions::default()).unwrap();
    let mut engines: Vec<(String, Box<dyn MemberTrainer<f32>>)> = vec![
        ("tch".into(), Box::new(Alone(trainer.clone()))),
        ("tch by tensors".into(), Box::new(Alone(trainer.clone().by_tensors()))),
        ("tch beside others".into(), Box::new(Beside(trainer))),
    ];
    if let Ok(trainer) = on_cuda() {
        engines.push(("tch on cuda:0".into(), Box::new(Alone(trainer.clone()))));
        engines.push(("tch on cuda:0 beside others".into(), Box::new(Beside(trainer.clone()))));
    }
    engines
}

/// The suite covers a device only where one is found. Who wants to know that it was (the bundle's `check`, docs/gpu.md)
/// runs this.
#[test]
#[ignore = "needs a CUDA device"]
fn conformance_covers_a_cuda_device() {
    if let Err(reason) = on_cuda() {
        panic!("{reason}");
    }
    assert_eq!(conformance_engines().iter().filter(|(name, _)| name.contains("cuda:0")).count(), 2);
}

/// The first member's predictions of the points `x` (n, n_inputs), row by row, made beside a second one; by device.
pub(crate) fn conformance_predictions(ensemble: &Ensemble, x: &[f32], n: usize) -> Vec<(&'static str, Vec<f32>)> {
    let mut options = vec![("tch", TchOptions::default())];
    options.extend(on_cuda().as_ref().ok().map(|trainer| ("tch on cuda:0", trainer.options().clone())));
    let on = |(name, options): (_, TchOptions)| (name, predictions_on(Memory(options.device.device()), ensemble, x, n));
    options.into_iter().map(on).collect()
}

fn predictions_on(memory: Memory, ensemble: &Ensemble, x: &[f32], n: usize) -> Vec<f32> {
    let mut ensemble = ensemble.clone();
    let mut other = ensemble.members[0].clone();
    other.params.iter_mut().for_each(|v| *v *= 1.25);
    ensemble.members.push(other);
    let (d, k) = (ensemble.network.n_inputs(), ensemble.network.n_outputs());
    let columns: Vec<f32> = (0..n * d).map(|at| x[at % n * d + at / n]).collect();
    let x = memory.upload(&columns, &[1, d as i64, n as i64]).unwrap();
    let trace = DeviceEnsemble::new(memory, &ensemble).unwrap().forward(&x, None, false).unwrap();
    let found = download::<f32>(&trace.prediction).unwrap();
    (0..n * k).map(|at| found[at % k * n + at / k]).collect()
}

fn own(result: Result<TrainLog, TchTrainError>, log: &mut TrainLog) -> Result<(), TrainError> {
    match result {
        Ok(own) => log.losses.extend(own.losses),
        Err(TchTrainError::Train(error)) => return Err(error),
        Err(error) => panic!("{error}"),
    }
    Ok(())
}

impl MemberTrainer<f32> for Alone {
    fn train(
        &self,
        job: &TrainJob<'_, f32>,
        state: &mut MemberState<f32>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError> {
        let mut states = [state.clone()];
        let mut results = self.0.train_together(&[*job], &mut states, epochs);
        [*state] = states;
        own(results.remove(0), log)
    }

    fn gradient(&self, job: &TrainJob<'_, f32>, state: &MemberState<f32>, epoch: usize, gradient: &mut [f32]) -> f64 {
        let states = [state.clone()];
        batch::gradient(self.0.spec(job), &[member(job)], &states, epoch, &mut [gradient]).unwrap()[0]
    }
}

impl Beside {
    /// Calls `on` with a batch whose second member is the given one.
    fn with<R>(
        job: &TrainJob<'_, f32>,
        state: &MemberState<f32>,
        on: impl FnOnce(&[TrainJob<'_, f32>], &mut [MemberState<f32>]) -> R,
    ) -> R {
        let (x, y): (Vec<f32>, Vec<f32>) =
            (job.x.iter().map(|v| 0.5 * v).collect(), job.y.iter().map(|v| 1.0 - v).collect());
        let mut other = TrainJob { x: &x, y: &y, ..*job };
        if let Some(dropout) = &mut other.dropout {
            dropout.key = [99, 98];
        }
        if let Some(head) = &mut other.loss_head {
            head.key = [97, 96];
        }
        let mut moved = state.clone();
        moved.params.iter_mut().for_each(|v| *v *= 1.25);
        moved.learning_rate *= 3.0;
        on(&[other, *job, other], &mut [moved.clone(), state.clone(), moved])
    }
}

impl MemberTrainer<f32> for Beside {
    fn train(
        &self,
        job: &TrainJob<'_, f32>,
        state: &mut MemberState<f32>,
        epochs: Range<usize>,
        log: &mut TrainLog,
    ) -> Result<(), TrainError> {
        let (result, after) = Self::with(job, state, |jobs, states| {
            let result = self.0.train_together(jobs, states, epochs).remove(1);
            (result, states[1].clone())
        });
        *state = after;
        own(result, log)
    }

    fn gradient(&self, job: &TrainJob<'_, f32>, state: &MemberState<f32>, epoch: usize, gradient: &mut [f32]) -> f64 {
        Self::with(job, state, |jobs, states| {
            let members: Vec<_> = jobs.iter().map(member).collect();
            let (mut first, mut last) = (vec![0.0; gradient.len()], vec![0.0; gradient.len()]);
            let into = &mut [&mut first[..], gradient, &mut last[..]];
            batch::gradient(self.0.spec(job), &members, states, epoch, into).unwrap()[1]
        })
    }
}

/// The tangent by tensor operations, which other devices than the processor use, against the CPU engine's.
#[test]
fn the_tangent_by_tensors_equals_the_tangent_of_the_cpu_engine() {
    let norm = Some(BatchNormSpec::default());
    let layer =
        |kind, n_in, n_out, kernel, stride, padding| ConvLayerSpec { kind, n_in, n_out, kernel, stride, padding };
    let head = Head::Convolution(ConvHeadSpec {
        length: 5,
        layers: vec![
            layer(ConvKind::Transposed, 1, 3, 4, 2, 1),
            layer(ConvKind::Plain, 3, 2, 3, 1, 1),
            layer(ConvKind::Plain, 2, 1, 1, 1, 0),
        ]
        .into(),
    });
    for (n_outputs, hidden, norm, head) in [
        (1, vec![6, 5], norm, Head::Linear),
        (3, vec![6, 5, 4], norm, Head::Linear),
        (2, vec![5], None, Head::Linear),
        (2, vec![], None, Head::Linear),
        (10, vec![5, 4], norm, head),
    ] {
        let network = NetworkSpec::new(2, n_outputs, hidden, norm, head).unwrap();
        let training = TrainingSpec { n_members: 3, epochs: 25, ..TrainingSpec::default() };
        let mut rng = SeedPath::root(1).rng();
        let mut points =
            |n: usize, columns: usize| Array2::from_shape_fn((n, columns), |_| rng.random_range(-1.0..1.0));
        let data = Labelled::new(points(30, 2), points(30, n_outputs)).unwrap();
        let standardised = InputScaling::Standardise;
        let learner = CpuLearner::new(network, training).unwrap().with_input_scaling(standardised);
        let needs = Needs { tangent: true, ..Needs::default() };
        let ours = learner.fit(&data, &needs, &SeedPath::root(1)).unwrap();
        let (anchors, candidates) = (points(4, 2), points(301, 2));
        let target = Array1::from_shape_fn(n_outputs, |j| 0.1 * j as f64);
        let mut expected = Vec::new();
        ours.loss_gradient_products(anchors.view(), candidates.view(), target.view(), None, &mut |_, chunk| {
            expected.extend(chunk.iter().copied());
        })
        .unwrap();
        // Little memory: outputs one by one; much: all at once.
        for memory in [1, 1 << 28] {
            let options = TchOptions { memory: Some(memory), ..TchOptions::default() };
            let theirs = TchSurrogate::new(ours.clone(), &options).unwrap();
            assert!(theirs.tangent().is_some());
            let mut found = Vec::new();
            theirs
                .products_on_device(anchors.view(), candidates.view(), target.view(), &mut |_, chunk| {
                    found.extend(chunk.iter().copied());
                })
                .unwrap();
            let scale = expected.iter().fold(0.0f64, |scale, v| scale.max(v.abs()));
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-12 * scale, "{found} beside {expected}");
            }
        }
    }
}
