//! Trains ensembles on the CPU: turns a fit job into tasks, one network each, and runs them on one or more threads.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dal_core::{
    DropoutSpec, FitJob, Labelled, LearnError, Learner, LossHeadSpec, Surrogate, TrainingCost, WidthFactor,
};
use ndarray::ArrayView2;

use crate::evaluate::Member;
use crate::fast::FastTrainer;
use crate::params::{Layout, LossHeadShape};
use crate::platform;
use crate::scaling::{Affine, Scaling, ScalingSpec, scaled};
use crate::spec::{NetworkSpec, SpecError, TrainingSpec};
use crate::surrogate::{CpuSurrogate, DropoutNetwork, Ensemble, Provenance};
use crate::training::{DropoutTraining, LossHeadTraining, MemberState, MemberTrainer, TrainError, TrainJob, TrainLog};

/// A clock: seconds since some fixed moment. Libraries read none by themselves.
pub type Clock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Trains ensembles of independent members on the CPU, in f32, from scratch.
///
/// The result is a function of the description, the data and the job's seeds alone: the number of threads changes
/// nothing, bit for bit. Member `m` starts from the stream `purpose("weights").index(m)`; a dropout network from
/// `purpose("dropout").purpose("weights")`, with masks from `purpose("dropout").purpose("masks")`; the pairings of loss
/// heads come from `purpose("pairs").index(m)`.
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
    network: NetworkSpec,
    training: TrainingSpec,
    scaling: ScalingSpec,
    n_threads: usize,
    clock: Option<Clock>,
}

impl fmt::Debug for CpuLearner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuLearner")
            .field("network", &self.network)
            .field("training", &self.training)
            .field("scaling", &self.scaling)
            .field("n_threads", &self.n_threads)
            .field("clock", &self.clock.is_some())
            .finish()
    }
}

/// One network to train.
struct Task<'a> {
    prepared: &'a Prepared,
    network: &'a NetworkSpec,
    layout: &'a Layout,
    job: usize,
    kind: Kind,
    weights: dal_core::SeedPath,
    dropout: Option<DropoutTraining>,
    loss_head: Option<LossHeadTraining>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Member(usize),
    Dropout,
}

/// A job's data as the engine sees them, and the networks it asks for.
struct Prepared {
    x: Vec<f32>,
    y: Vec<f32>,
    n: usize,
    scaling: Scaling,
    layout: Layout,
    loss_head: Option<LossHeadShape>,
    dropout: Option<(DropoutSpec, NetworkSpec, Layout)>,
}

/// What a task leaves.
struct Trained {
    member: Member,
    seconds: Option<f64>,
}

/// A job's members, and its dropout network if it has one.
type Outcome = Result<(Vec<Trained>, Option<Trained>), LearnError>;

impl CpuLearner {
    /// A learner of these networks, on one thread, without scaling.
    ///
    /// # Errors
    /// [`SpecError`] where a number of `training` is out of range.
    pub fn new(network: NetworkSpec, training: TrainingSpec) -> Result<Self, SpecError> {
        training.validate()?;
        Ok(Self { network, training, scaling: ScalingSpec::default(), n_threads: 1, clock: None })
    }

    /// Trains up to `n_threads` networks at the same time (at least one).
    #[must_use]
    pub fn with_threads(mut self, n_threads: usize) -> Self {
        self.n_threads = n_threads.max(1);
        self
    }

    /// Scales inputs and outputs by the training set.
    #[must_use]
    pub fn with_scaling(mut self, scaling: ScalingSpec) -> Self {
        self.scaling = scaling;
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
        &self.network
    }

    /// How members are trained.
    pub fn training(&self) -> &TrainingSpec {
        &self.training
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
        let mut fitted = self.fit_surrogates(&[FitJob { labelled, needs, seeds: *seeds }]);
        fitted.pop().unwrap_or_else(|| Err(LearnError::Other { message: "no job was trained".into() }))
    }

    fn fit_surrogates(&self, jobs: &[FitJob<'_>]) -> Vec<Result<CpuSurrogate, LearnError>> {
        let prepared: Vec<_> = jobs.iter().map(|job| self.prepare(job)).collect();
        let mut tasks = Vec::new();
        for (j, (job, prepared)) in jobs.iter().zip(&prepared).enumerate() {
            if let Ok(prepared) = prepared {
                self.add_tasks(j, job, prepared, &mut tasks);
            }
        }
        let mut results = self.run(&tasks).into_iter();
        let mut outcomes: Vec<Outcome> = jobs.iter().map(|_| Ok((Vec::new(), None))).collect();
        for task in &tasks {
            // Tasks of a job that has failed already may be missing; the first failure is the one reported.
            let Some(result) = results.next().flatten() else { continue };
            if let Ok((members, dropout)) = &mut outcomes[task.job] {
                match (result, task.kind) {
                    (Ok(trained), Kind::Member(_)) => members.push(trained),
                    (Ok(trained), Kind::Dropout) => *dropout = Some(trained),
                    (Err(error), kind) => outcomes[task.job] = Err(diverged(error, kind)),
                }
            }
        }
        drop(tasks);
        let parts = prepared.into_iter().zip(outcomes).zip(jobs);
        parts
            .map(|((prepared, outcome), job)| {
                let prepared = prepared?;
                let (members, dropout) = outcome?;
                Ok(self.assemble(job, prepared, members, dropout))
            })
            .collect()
    }

    fn prepare(&self, job: &FitJob<'_>) -> Result<Prepared, LearnError> {
        let (network, labelled) = (&self.network, job.labelled);
        if (network.n_inputs(), network.n_outputs()) != (labelled.n_inputs(), labelled.n_outputs()) {
            return Err(LearnError::ShapeMismatch {
                network_inputs: network.n_inputs(),
                network_outputs: network.n_outputs(),
                data_inputs: labelled.n_inputs(),
                data_outputs: labelled.n_outputs(),
            });
        }
        let scaling = Scaling::fit(self.scaling, labelled);
        let x = single("input", labelled.x(), scaling.inputs.as_ref())?;
        let y = single("label", labelled.y(), scaling.outputs.as_ref())?;
        let loss_head = job.needs.loss_head.as_ref().map(|spec| check_loss_head(network, spec));
        let loss_head = loss_head.transpose().map_err(|message| LearnError::Unsupported { message })?;
        let dropout = job.needs.dropout.map(|spec| self.dropout_network(spec)).transpose()?;
        let layout = Layout::new(network, loss_head);
        Ok(Prepared { x, y, n: labelled.len(), scaling, layout, loss_head, dropout })
    }

    fn dropout_network(&self, spec: DropoutSpec) -> Result<(DropoutSpec, NetworkSpec, Layout), LearnError> {
        let unsupported = |message: String| LearnError::Unsupported { message };
        check_dropout(&self.network, &spec).map_err(unsupported)?;
        let n_members = self.training.n_members as f64;
        let factor = match spec.width_factor {
            WidthFactor::SqrtMembers => n_members.sqrt(),
            WidthFactor::Members => n_members,
            WidthFactor::Factor(factor) => factor,
        };
        let network = self.network.scaled_without_batch_norm(factor).map_err(|error| unsupported(error.to_string()))?;
        let layout = Layout::new(&network, None);
        Ok((spec, network, layout))
    }

    fn add_tasks<'a>(&'a self, j: usize, job: &FitJob<'_>, prepared: &'a Prepared, tasks: &mut Vec<Task<'a>>) {
        for m in 0..self.training.n_members {
            let loss_head = job.needs.loss_head.zip(prepared.loss_head).map(|(spec, shape)| LossHeadTraining {
                shape,
                joint_epochs: spec.joint_epochs,
                weight: spec.weight,
                margin: spec.margin,
                key: job.seeds.purpose("pairs").index(m as u64).philox().key(),
            });
            tasks.push(Task {
                prepared,
                network: &self.network,
                layout: &prepared.layout,
                job: j,
                kind: Kind::Member(m),
                weights: job.seeds.purpose("weights").index(m as u64),
                dropout: None,
                loss_head,
            });
        }
        if let Some((spec, network, layout)) = &prepared.dropout {
            let seeds = job.seeds.purpose("dropout");
            let key = seeds.purpose("masks").philox().key();
            tasks.push(Task {
                prepared,
                network,
                layout,
                job: j,
                kind: Kind::Dropout,
                weights: seeds.purpose("weights"),
                dropout: Some(DropoutTraining { rate: spec.rate, key }),
                loss_head: None,
            });
        }
    }

    /// Runs every task; `None` where it was not started because an earlier one of its job had failed.
    fn run(&self, tasks: &[Task<'_>]) -> Vec<Option<Result<Trained, TrainError>>> {
        let n_jobs = tasks.iter().map(|task| task.job + 1).max().unwrap_or(0);
        let failed: Vec<AtomicUsize> = (0..n_jobs).map(|_| AtomicUsize::new(usize::MAX)).collect();
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<_>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
        let worker = || {
            while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < tasks.len()) {
                // Only what comes after a failure is left out, so that the first one is found on any number of threads.
                if i > failed[tasks[i].job].load(Ordering::Relaxed) {
                    continue;
                }
                let result = self.train(&tasks[i]);
                if result.is_err() {
                    failed[tasks[i].job].fetch_min(i, Ordering::Relaxed);
                }
                *results[i].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
            }
        };
        let n_threads = self.n_threads.min(tasks.len());
        if n_threads <= 1 {
            worker();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..n_threads {
                    scope.spawn(worker);
                }
            });
        }
        results.into_iter().map(|slot| slot.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)).collect()
    }

    fn train(&self, task: &Task<'_>) -> Result<Trained, TrainError> {
        let start = self.clock.as_ref().map(|clock| clock());
        let params = task.layout.initial(&mut task.weights.rng());
        let mut state = MemberState::new(task.layout, params, &self.training);
        let job = TrainJob {
            network: task.network,
            layout: task.layout,
            training: &self.training,
            x: &task.prepared.x,
            y: &task.prepared.y,
            n: task.prepared.n,
            dropout: task.dropout,
            loss_head: task.loss_head,
        };
        FastTrainer::default().train(&job, &mut state, 0..self.training.epochs, &mut TrainLog::default())?;
        let member = Member { params: state.params, running_mean: state.running_mean, running_var: state.running_var };
        let seconds = self.clock.as_ref().zip(start).map(|(clock, start)| clock() - start);
        Ok(Trained { member, seconds })
    }

    fn assemble(
        &self,
        job: &FitJob<'_>,
        prepared: Prepared,
        members: Vec<Trained>,
        dropout: Option<Trained>,
    ) -> CpuSurrogate {
        let cost = TrainingCost {
            model_seconds: members.iter().map(|trained| trained.seconds).sum(),
            auxiliary_seconds: dropout.as_ref().and_then(|trained| trained.seconds),
        };
        let members = members.into_iter().map(|trained| trained.member).collect();
        let dropout = dropout.zip(prepared.dropout).map(|(trained, (spec, network, _))| DropoutNetwork {
            spec,
            ensemble: Ensemble::new(network, None, vec![trained.member]),
            scaling: prepared.scaling.clone(),
        });
        CpuSurrogate {
            ensemble: Ensemble::new(self.network.clone(), prepared.loss_head, members),
            dropout,
            loss_head: job.needs.loss_head,
            scaling: prepared.scaling,
            needs: job.needs.clone(),
            provenance: Provenance {
                trained_by: concat!("dal-nn ", env!("CARGO_PKG_VERSION")).into(),
                platform: self.platform(),
                training: self.training.clone(),
                n_points: prepared.n,
                notes: std::collections::BTreeMap::new(),
            },
            cost,
        }
    }
}

impl Learner for CpuLearner {
    fn platform(&self) -> String {
        format!("{}+{}", FastTrainer::default().platform(), platform::products())
    }

    fn fit_all(&self, jobs: &[FitJob<'_>]) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let fitted = self.fit_surrogates(jobs).into_iter();
        fitted.map(|result| result.map(|surrogate| Box::new(surrogate) as Box<dyn Surrogate>)).collect()
    }
}

/// The most units a loss head may read a layer with, and the most layers: beyond it a corrupted number is likelier.
const MAX_LOSS_HEAD: usize = 1 << 16;

/// A loss head's shape, or what is wrong with it.
pub(crate) fn check_loss_head(network: &NetworkSpec, spec: &LossHeadSpec) -> Result<LossHeadShape, String> {
    if network.hidden().is_empty() {
        return Err("a loss head reads hidden layers, and the network has none".into());
    }
    let allowed = 1..=MAX_LOSS_HEAD;
    if !allowed.contains(&spec.n_layers) || !allowed.contains(&spec.width) {
        return Err(format!(
            "a loss head needs 1 to {MAX_LOSS_HEAD} layers and units, not {} and {}",
            spec.n_layers, spec.width
        ));
    }
    if !(spec.weight >= 0.0 && spec.weight.is_finite() && spec.margin.is_finite()) {
        return Err(format!(
            "a loss head's weight ({}) must be finite and not negative, its margin ({}) finite",
            spec.weight, spec.margin
        ));
    }
    Ok(LossHeadShape { n_layers: spec.n_layers, width: spec.width })
}

/// What is wrong with dropout of this network, if anything.
pub(crate) fn check_dropout(network: &NetworkSpec, spec: &DropoutSpec) -> Result<(), String> {
    if network.hidden().is_empty() {
        return Err("dropout acts on hidden layers, and the network has none".into());
    }
    if !(spec.rate > 0.0 && spec.rate < 1.0) || spec.n_passes < 2 {
        return Err(format!(
            "dropout needs a rate in (0, 1) and at least 2 passes, not {} and {}",
            spec.rate, spec.n_passes
        ));
    }
    Ok(())
}

/// Values as the engine sees them, refused where f32 cannot hold them.
fn single(what: &'static str, values: ArrayView2<'_, f64>, affine: Option<&Affine>) -> Result<Vec<f32>, LearnError> {
    let mut single = Vec::with_capacity(values.len());
    for ((row, column), &value) in values.indexed_iter() {
        let rounded = scaled(affine, column, value) as f32;
        if !rounded.is_finite() {
            return Err(LearnError::Unrepresentable { what, row, column, value });
        }
        single.push(rounded);
    }
    Ok(single)
}

fn diverged(error: TrainError, kind: Kind) -> LearnError {
    let TrainError::Diverged { epoch, loss, .. } = error;
    let (member, what) = match (kind, loss.is_finite()) {
        (Kind::Member(member), false) => (member, "loss"),
        (Kind::Member(member), true) => (member, "parameters"),
        (Kind::Dropout, false) => (0, "loss of the dropout network"),
        (Kind::Dropout, true) => (0, "parameters of the dropout network"),
    };
    LearnError::Diverged { what, member, epoch: epoch + 1 }
}
