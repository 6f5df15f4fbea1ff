//! Trains ensembles on the CPU: turns a fit job into tasks, one network each, and runs them on one or more threads.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dal_core::{Clock, FitJob, Labelled, LearnError, Learner, Stop, Surrogate};

use crate::evaluate::Member;
use crate::fast::FastTrainer;
use crate::platform;
use crate::recipe::{Failure, Recipe, Task, Trained};
use crate::scaling::InputScaling;
use crate::surrogate::CpuSurrogate;
use crate::training::{MemberState, MemberTrainer, Plateau, TrainJob, TrainLog};
use dal_core::model::{NetworkSpec, SpecError, TrainingSpec};

/// Trains ensembles of independent members on the CPU, in f32, from scratch.
///
/// The result is a function of the description, the data and the job's seeds alone: the number of threads changes
/// nothing, bit for bit. Member `m` starts from the stream `purpose("weights").index(m)`, and where it is trained anew
/// the `k`-th time ([`OnCollapse`](dal_core::model::OnCollapse)) from `purpose("restart").index(k)` below it; a dropout
/// network from `purpose("dropout").purpose("weights")`, with masks from `purpose("dropout").purpose("masks")`; the
/// pairings of loss heads come from `purpose("pairs").index(m)`.
///
/// ```
/// use dal_core::{Labelled, Needs, SeedPath, Surrogate};
/// use dal_nn::{BatchNormSpec, CpuLearner, Head, NetworkSpec, TrainingSpec};
/// use ndarray::Array2;
///
/// // y = x² at 40 points of [-1, 1], three small networks, 200 epochs.
/// let x = Array2::from_shape_fn((40, 1), |(i, _)| i as f64 / 19.5 - 1.0);
/// let labelled = Labelled::new(x.clone(), x.mapv(|v| v * v)).unwrap();
/// let network = NetworkSpec::new(1, 1, vec![16, 16], Some(BatchNormSpec::default()), Head::Linear)?;
/// let training = TrainingSpec { n_members: 3, epochs: 200, learning_rate: 1e-2, ..TrainingSpec::default() };
/// let learner = CpuLearner::new(network, training)?;
/// let needs = Needs { committee: true, ..Needs::default() };
/// let model = learner.fit(&labelled, &needs, &SeedPath::root(1)).unwrap();
/// let error = (&model.mean(x.view()).unwrap() - &labelled.y()).mapv(|e| e * e).mean().unwrap();
/// assert!(error < 0.01, "{error}");
/// assert!(model.committee().is_some() && model.tangent().is_none());
/// # Ok::<(), dal_nn::SpecError>(())
/// ```
#[derive(Clone)]
pub struct CpuLearner {
    recipe: Recipe,
    n_threads: usize,
    clock: Option<Clock>,
    kernels: FastTrainer,
}

impl fmt::Debug for CpuLearner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuLearner")
            .field("recipe", &self.recipe)
            .field("n_threads", &self.n_threads)
            .field("kernels", &self.kernels)
            .field("clock", &self.clock.is_some())
            .finish()
    }
}

impl CpuLearner {
    /// A learner of these networks, on one thread, without scaling.
    ///
    /// # Errors
    /// [`SpecError`] where a number of `training` is out of range.
    pub fn new(network: NetworkSpec, training: TrainingSpec) -> Result<Self, SpecError> {
        Ok(Self { recipe: Recipe::new(network, training)?, n_threads: 1, clock: None, kernels: FastTrainer::default() })
    }

    /// Trains up to `n_threads` networks at the same time (at least one).
    #[must_use]
    pub fn with_threads(mut self, n_threads: usize) -> Self {
        self.n_threads = n_threads.max(1);
        self
    }

    /// Trains with the kernels of this instruction set instead of the fastest that the processor has: to get the
    /// results of another machine.
    #[must_use]
    pub fn with_kernels(mut self, kernels: FastTrainer) -> Self {
        self.kernels = kernels;
        self
    }

    /// Scales inputs and outputs by the training set.
    #[must_use]
    pub fn with_input_scaling(mut self, scaling: InputScaling) -> Self {
        self.recipe.scaling = scaling;
        self
    }

    /// Measures training with this clock, summed over networks (so over threads); without one no cost is reported.
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

    /// Trains one surrogate.
    ///
    /// # Errors
    /// [`LearnError`]: shapes that differ, values that f32 cannot hold, needs that the network cannot meet, divergence.
    pub fn fit(
        &self,
        labelled: &Labelled,
        needs: &dal_core::Needs,
        seeds: &dal_core::SeedPath,
    ) -> Result<CpuSurrogate, LearnError> {
        self.fit_until(labelled, needs, seeds, &Stop::new())
    }

    /// Trains one surrogate unless a stop comes before its end, such as Ctrl-C of the Python package.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`LearnError::Stopped`].
    pub fn fit_until(
        &self,
        labelled: &Labelled,
        needs: &dal_core::Needs,
        seeds: &dal_core::SeedPath,
        stop: &Stop,
    ) -> Result<CpuSurrogate, LearnError> {
        let mut fitted = self.fit_surrogates(&[FitJob { labelled, needs, seeds: *seeds }], stop);
        fitted.pop().unwrap_or_else(|| Err(LearnError::Other { message: "no job was trained".into() }))
    }

    fn fit_surrogates(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<CpuSurrogate, LearnError>> {
        self.recipe.fit_with(jobs, &self.platform(), |tasks| self.run(tasks, stop))
    }

    /// Runs every task; `None` where it was not started because an earlier one of its job had failed.
    fn run(&self, tasks: &[Task<'_>], stop: &Stop) -> Vec<Option<Result<Trained, Failure>>> {
        let n_jobs = tasks.iter().map(|task| task.job + 1).max().unwrap_or(0);
        let failed: Vec<AtomicUsize> = (0..n_jobs).map(|_| AtomicUsize::new(usize::MAX)).collect();
        let next = AtomicUsize::new(0);
        let units: Vec<&[Task<'_>]> = tasks.chunk_by(Task::is_coupled).collect();
        let results: Vec<Mutex<Option<_>>> = units.iter().map(|_| Mutex::new(None)).collect();
        let worker = || {
            while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < units.len()) {
                // Only what comes after a failure is left out, so that the first one is found on any number of threads.
                let job = units[i][0].job;
                if i > failed[job].load(Ordering::Relaxed) {
                    continue;
                }
                let result = match units[i] {
                    [task] => self.train(task, stop).map(|trained| vec![trained]).map_err(|failure| (0, failure)),
                    members => self.train_coupled(members, stop),
                };
                if result.is_err() {
                    failed[job].fetch_min(i, Ordering::Relaxed);
                }
                *results[i].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
            }
        };
        let n_threads = self.n_threads.min(units.len());
        if n_threads <= 1 {
            worker();
        } else {
            std::thread::scope(|scope| {
                // This thread works too, so that a machine that is short of threads trains with those it has.
                for _ in 1..n_threads {
                    if std::thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                        break;
                    }
                }
                worker();
            });
        }
        let slots = results.into_iter().zip(&units);
        slots
            .flat_map(|(slot, unit)| match slot.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
                Some(Ok(trained)) => trained.into_iter().map(|trained| Some(Ok(trained))).collect(),
                Some(Err((at, failure))) => (0..unit.len()).map(|i| (i == at).then(|| Err(failure.clone()))).collect(),
                None => unit.iter().map(|_| None).collect::<Vec<_>>(),
            })
            .collect()
    }

    /// Trains the members of a job under one schedule, which sees the mean of their losses.
    ///
    /// The rule lowers the rate after more than `patience` epochs without progress, so no earlier than at the end of a
    /// stretch of `patience + 1 − stalled` epochs: each member trains that far at one rate before the others do.
    fn train_coupled(&self, tasks: &[Task<'_>], stop: &Stop) -> Result<Vec<Trained>, (usize, Failure)> {
        let start = self.clock.as_ref().map(|clock| clock());
        let mut alone = self.recipe.training.clone();
        let rule = alone.plateau.take();
        let (mut plateau, mut epoch) = (Plateau::default(), 0);
        let mut members: Vec<(MemberState<f32>, TrainLog)> =
            tasks.iter().map(|task| (task.start(0), TrainLog::default())).collect();
        while epoch < alone.epochs {
            let stretch = rule.as_ref().map_or(alone.epochs, |rule| rule.patience + 1 - plateau.stalled);
            let end = alone.epochs.min(epoch + stretch);
            for (i, (task, (state, log))) in tasks.iter().zip(&mut members).enumerate() {
                let job = TrainJob { training: &alone, ..task.job(stop) };
                self.kernels.train(&job, state, epoch..end, log).map_err(|error| (i, error.into()))?;
            }
            if let Some(rule) = &rule {
                let mut rate = members[0].0.learning_rate;
                for e in epoch..end {
                    let losses = members.iter().map(|(_, log)| log.losses[e]);
                    rate = plateau.next_rate(rule, losses.sum::<f64>() / members.len() as f64, rate);
                }
                members.iter_mut().for_each(|(state, _)| state.learning_rate = rate);
            }
            epoch = end;
        }
        let seconds = self.clock.as_ref().zip(start).map(|(clock, start)| (clock() - start) / tasks.len() as f64);
        let trained = tasks.iter().zip(members).map(|(task, (state, log))| {
            let end = task.end(&log, 0);
            Trained { member: Member::of(state), end, seconds }
        });
        Ok(trained.collect())
    }

    fn train(&self, task: &Task<'_>, stop: &Stop) -> Result<Trained, Failure> {
        let start = self.clock.as_ref().map(|clock| clock());
        let job = task.job(stop);
        let mut attempt = 0;
        let (state, end) = loop {
            let (mut state, mut log) = (task.start(attempt), TrainLog::default());
            let trained = self.kernels.train(&job, &mut state, 0..task.training.epochs, &mut log);
            let end = task.end(&log, attempt);
            let again = match &trained {
                Ok(()) => task.trains_anew(end.as_ref()),
                Err(error) => task.trains_anew_after(error, attempt),
            };
            if !again {
                trained?;
                break (state, end);
            }
            attempt += 1;
        };
        let seconds = self.clock.as_ref().zip(start).map(|(clock, start)| clock() - start);
        Ok(Trained { member: Member::of(state), end, seconds })
    }
}

impl Learner for CpuLearner {
    fn platform(&self) -> String {
        format!("{}+{}", self.kernels.platform(), platform::products())
    }

    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let fitted = self.fit_surrogates(jobs, stop).into_iter();
        fitted.map(|result| result.map(|surrogate| Box::new(surrogate) as Box<dyn Surrogate>)).collect()
    }
}
