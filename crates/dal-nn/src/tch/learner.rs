//! Trains the ensembles of many jobs in lock step: what has equal shapes becomes one batch.

use std::fmt;

use dal_core::{FitJob, Labelled, LearnError, Learner, Needs, SeedPath, Stop, Surrogate};

use super::device::{TchOptions, TchSetupError, tch_platform};
use super::surrogate::TchSurrogate;
use super::trainer::{TchTrainError, TchTrainer};
use crate::evaluate::Member;
use crate::recipe::{Failure, Recipe, Task, Trained};
use crate::scaling::InputScaling;
use crate::surrogate::CpuSurrogate;
use crate::training::MemberState;
use dal_core::Clock;
use dal_core::model::{NetworkSpec, TrainingSpec};

/// Trains ensembles with libtorch, in f32, from scratch, from the same initial weights, masks and pairings as
/// [`CpuLearner`](crate::CpuLearner).
///
/// All members of all jobs of one call that have equal networks, needs and numbers of points train in lock step, in
/// batches that suit the device. Beside whom a member trains may change its rounding, and a chaotic training amplifies
/// that; results are equal bit for bit only for equal groups on equal platforms.
///
/// ```
/// use dal_core::{Labelled, Needs, SeedPath, Surrogate};
/// use dal_nn::{BatchNormSpec, Head, NetworkSpec, TchLearner, TchOptions, TrainingSpec};
/// use ndarray::Array2;
///
/// // y = x² at 40 points of [-1, 1], three small networks, 200 epochs, on the CPU.
/// let x = Array2::from_shape_fn((40, 1), |(i, _)| i as f64 / 19.5 - 1.0);
/// let labelled = Labelled::new(x.clone(), x.mapv(|v| v * v)).unwrap();
/// let network = NetworkSpec::new(1, 1, vec![16, 16], Some(BatchNormSpec::default()), Head::Linear)?;
/// let training = TrainingSpec { n_members: 3, epochs: 200, learning_rate: 1e-2, ..TrainingSpec::default() };
/// let learner = TchLearner::new(network, training, TchOptions::default())?;
/// let needs = Needs { committee: true, ..Needs::default() };
/// let model = learner.fit(&labelled, &needs, &SeedPath::root(1)).unwrap();
/// let error = (&model.mean(x.view()).unwrap() - &labelled.y()).mapv(|e| e * e).mean().unwrap();
/// assert!(error < 0.01, "{error}");
///
/// // What it learnt is saved in the format of the CPU engine, which reads it without libtorch.
/// let bytes = model.to_cpu().to_bytes().unwrap();
/// assert_eq!(dal_nn::CpuSurrogate::from_bytes(&bytes).unwrap().members(), model.to_cpu().members());
/// # Ok::<(), dal_nn::TchSetupError>(())
/// ```
#[derive(Clone)]
pub struct TchLearner {
    recipe: Recipe,
    trainer: TchTrainer,
    clock: Option<Clock>,
}

impl fmt::Debug for TchLearner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TchLearner")
            .field("recipe", &self.recipe)
            .field("trainer", &self.trainer)
            .field("clock", &self.clock.is_some())
            .finish()
    }
}

impl TchLearner {
    /// A learner of these networks, without scaling.
    ///
    /// # Errors
    /// [`TchSetupError`]: a number of `training` out of range, a device that is not there or lacks an option.
    pub fn new(network: NetworkSpec, training: TrainingSpec, options: TchOptions) -> Result<Self, TchSetupError> {
        Ok(Self { recipe: Recipe::new(network, training)?, trainer: TchTrainer::new(options)?, clock: None })
    }

    /// Scales inputs and outputs by the training set.
    #[must_use]
    pub fn with_input_scaling(mut self, scaling: InputScaling) -> Self {
        self.recipe.scaling = scaling;
        self
    }

    /// Measures training with this clock; a batch's seconds are divided evenly among its members. Without one no cost
    /// is reported.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The network of each member.
    pub fn network(&self) -> &NetworkSpec {
        &self.recipe.network
    }

    /// How members are trained.
    pub fn training(&self) -> &TrainingSpec {
        &self.recipe.training
    }

    /// How the engine runs.
    pub fn options(&self) -> &TchOptions {
        self.trainer.options()
    }

    /// Trains one surrogate.
    ///
    /// # Errors
    /// [`LearnError`]: shapes that differ, values that f32 cannot hold, needs that the network cannot meet, divergence,
    /// a device that failed.
    pub fn fit(&self, labelled: &Labelled, needs: &Needs, seeds: &SeedPath) -> Result<TchSurrogate, LearnError> {
        let mut fitted = self.fit_surrogates(&[FitJob { labelled, needs, seeds: *seeds }], &Stop::new());
        fitted.pop().unwrap_or_else(|| Err(LearnError::Other { message: "no job was trained".into() }))
    }

    fn fit_surrogates(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<TchSurrogate, LearnError>> {
        let fitted = self.recipe.fit_with(jobs, &self.platform(), |tasks| self.run(tasks, stop));
        let on_device = |surrogate: CpuSurrogate| {
            TchSurrogate::new(surrogate, self.options())
                .map_err(|error| LearnError::Other { message: error.to_string() })
        };
        fitted.into_iter().map(|result| result.and_then(on_device)).collect()
    }

    /// Trains every task, those of equal shapes together.
    fn run(&self, tasks: &[Task<'_>], stop: &Stop) -> Vec<Option<Result<Trained, Failure>>> {
        let mut results: Vec<_> = tasks.iter().map(|_| None).collect();
        let mut spent = vec![None; tasks.len()];
        for group in groups(tasks) {
            // Those that have to be trained anew train together again.
            let (mut open, mut attempt) = (group, 0);
            while let Some(&first) = open.first() {
                let jobs: Vec<_> = open.iter().map(|&i| tasks[i].job(stop)).collect();
                let mut states: Vec<_> = open.iter().map(|&i| tasks[i].start(attempt)).collect();
                let epochs = 0..tasks[first].training.epochs;
                let trained = self.trainer.run(&jobs, &mut states, epochs, self.clock.as_ref());
                let mut again = Vec::new();
                for ((&i, (result, seconds)), state) in open.iter().zip(trained).zip(states) {
                    spent[i] = seconds.map(|seconds| seconds + spent[i].unwrap_or(0.0));
                    let MemberState { params, running_mean, running_var, .. } = state;
                    results[i] = Some(match result {
                        Ok(log) => {
                            let end = tasks[i].end(&log, attempt);
                            if tasks[i].trains_anew(end.as_ref()) {
                                again.push(i);
                            }
                            Ok(Trained { member: Member { params, running_mean, running_var }, end, seconds: spent[i] })
                        }
                        Err(TchTrainError::Train(error)) => {
                            if tasks[i].trains_anew_after(&error, attempt) {
                                again.push(i);
                            }
                            Err(Failure::Train(error))
                        }
                        Err(error) => Err(Failure::Engine(error.to_string())),
                    });
                }
                (open, attempt) = (again, attempt + 1);
            }
        }
        results
    }
}

/// Tasks that can be one batch, by index, in order of their first.
fn groups(tasks: &[Task<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, task) in tasks.iter().enumerate() {
        let alike = |other: &Task<'_>| {
            let head = |task: &Task<'_>| task.loss_head.map(|head| crate::LossHeadTraining { key: [0; 2], ..head });
            task.prepared.n == other.prepared.n
                && task.dropout.map(|dropout| dropout.rate) == other.dropout.map(|dropout| dropout.rate)
                && head(task) == head(other)
                && task.training == other.training
                && task.network == other.network
                && task.layout == other.layout
        };
        match groups.iter_mut().find(|group| alike(&tasks[group[0]])) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

impl Learner for TchLearner {
    fn platform(&self) -> String {
        tch_platform(self.options())
    }

    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let fitted = self.fit_surrogates(jobs, stop).into_iter();
        fitted.map(|result| result.map(|surrogate| Box::new(surrogate) as Box<dyn Surrogate>)).collect()
    }
}
