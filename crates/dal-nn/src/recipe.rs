//! What every engine does around its training: a fit job becomes tasks, one network each, and trained networks a
//! surrogate.

use dal_core::{
    DropoutSpec, FitJob, LearnError, LossHeadSpec, SeedPath, Stop, TrainingCost, TrainingEnd, TrainingReport,
};
use dal_eval::MemberTraining;
use ndarray::ArrayView2;

use crate::evaluate::Member;
use crate::params::{Layout, LossHeadShape};
use crate::scaling::{Affine, InputScaling, scaled};
use crate::surrogate::{CpuSurrogate, DropoutNetwork, Ensemble, Provenance};
use crate::training::{DropoutTraining, LossHeadTraining, MemberState, TrainError, TrainJob, TrainLog};
use dal_core::model::{DecayReading, NetworkSpec, OnCollapse, SpecError, TrainingSpec};

/// Networks, their training and the scaling of their inputs: what a learner knows before it sees data.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub network: NetworkSpec,
    pub training: TrainingSpec,
    pub scaling: InputScaling,
}

/// One network to train.
pub(crate) struct Task<'a> {
    pub prepared: &'a Prepared,
    pub network: &'a NetworkSpec,
    pub layout: &'a Layout,
    pub training: &'a TrainingSpec,
    pub job: usize,
    pub kind: Kind,
    pub weights: SeedPath,
    pub dropout: Option<DropoutTraining>,
    pub loss_head: Option<LossHeadTraining>,
}

impl Task<'_> {
    /// Where the network begins in training number `attempt`, of which the first is 0.
    pub(crate) fn start(&self, attempt: usize) -> MemberState<f32> {
        let stream = match attempt {
            0 => self.weights,
            again => self.weights.purpose("restart").index(again as u64),
        };
        MemberState::new(self.layout, self.layout.initial(&mut stream.rng()), self.training)
    }

    pub(crate) fn job<'b>(&'b self, stop: &'b Stop) -> TrainJob<'b, f32> {
        TrainJob {
            network: self.network,
            layout: self.layout,
            training: self.training,
            x: &self.prepared.x,
            y: &self.prepared.y,
            n: self.prepared.n,
            dropout: self.dropout,
            loss_head: self.loss_head,
            stop: Some(stop),
        }
    }

    /// Whether the next task is a member of the same ensemble that is trained under the same schedule.
    pub(crate) fn is_coupled(&self, next: &Self) -> bool {
        let member = |task: &Self| matches!(task.kind, Kind::Member(_));
        let coupled = self.training.decay_reading == DecayReading::CoupledLoss;
        coupled && self.job == next.job && member(self) && member(next)
    }

    /// How training number `attempt` ended; `None` after no epoch.
    pub(crate) fn end(&self, log: &TrainLog, attempt: usize) -> Option<TrainingEnd> {
        let final_loss = *log.losses.last()?;
        let best_loss = log.losses.iter().copied().fold(final_loss, f64::min);
        Some(TrainingEnd { final_loss, best_loss, label_variance: self.prepared.label_variance, restarts: attempt })
    }

    /// Whether a training that ended so is followed by another one.
    pub(crate) fn trains_anew(&self, end: Option<&TrainingEnd>) -> bool {
        let wanted = matches!(self.kind, Kind::Member(_)) && self.training.on_collapse == OnCollapse::Restart;
        end.is_some_and(|end| wanted && end.restarts < OnCollapse::MOST_RESTARTS && has_collapsed(end))
    }

    /// Whether training number `attempt`, which failed so, is followed by another one: what diverged ends as if its
    /// loss were no number, also where that was a parameter and the loss before it was one.
    pub(crate) fn trains_anew_after(&self, error: &TrainError, attempt: usize) -> bool {
        let log = TrainLog { losses: vec![f64::NAN] };
        matches!(error, TrainError::Diverged { .. }) && self.trains_anew(self.end(&log, attempt).as_ref())
    }
}

/// Whether a member predicts little more than the mean of its labels, by the rule of reports: its final loss is above
/// half their variance, or no number.
pub fn has_collapsed(end: &TrainingEnd) -> bool {
    as_reported(end).collapsed()
}

/// Whether a member's training ends in a spike, by the rule of reports: its final loss is above ten times its own best,
/// or no number.
pub fn is_unsettled(end: &TrainingEnd) -> bool {
    as_reported(end).unsettled()
}

fn as_reported(end: &TrainingEnd) -> MemberTraining {
    let TrainingEnd { final_loss, best_loss, label_variance, .. } = *end;
    MemberTraining { final_loss, best_loss, label_variance }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Member(usize),
    Dropout,
}

/// A job's data as the engine sees them, and the networks it asks for.
pub(crate) struct Prepared {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    pub n: usize,
    /// Of `y`, mean over outputs.
    pub label_variance: f64,
    pub scaling: Option<Affine>,
    pub layout: Layout,
    pub loss_head: Option<LossHeadShape>,
    pub dropout: Option<PreparedDropout>,
}

/// A dropout network that is to be trained.
pub(crate) struct PreparedDropout {
    pub spec: DropoutSpec,
    pub network: NetworkSpec,
    pub training: TrainingSpec,
    pub layout: Layout,
}

/// What a task leaves.
pub(crate) struct Trained {
    pub member: Member,
    pub end: Option<TrainingEnd>,
    pub seconds: Option<f64>,
}

/// A job's members, and its dropout network if it has one.
type Outcome = Result<(Vec<Trained>, Option<Trained>), LearnError>;

impl Recipe {
    /// # Errors
    /// [`SpecError`] where a number of `training` is out of range.
    pub(crate) fn new(network: NetworkSpec, training: TrainingSpec) -> Result<Self, SpecError> {
        training.validate()?;
        Ok(Self { network, training, scaling: InputScaling::None })
    }

    /// The data as the engines see them.
    ///
    /// # Errors
    /// [`LearnError`]: shapes that differ, values that f32 cannot hold, needs that the network cannot meet.
    pub(crate) fn prepare(&self, job: &FitJob<'_>) -> Result<Prepared, LearnError> {
        let (network, labelled) = (&self.network, job.labelled);
        if (network.n_inputs(), network.n_outputs()) != (labelled.n_inputs(), labelled.n_outputs()) {
            return Err(LearnError::ShapeMismatch {
                network_inputs: network.n_inputs(),
                network_outputs: network.n_outputs(),
                data_inputs: labelled.n_inputs(),
                data_outputs: labelled.n_outputs(),
            });
        }
        let scaling = Affine::fit(self.scaling, labelled.x());
        let x = single("input", labelled.x(), scaling.as_ref())?;
        let y = single("label", labelled.y(), None)?;
        let loss_head = job.needs.loss_head.as_ref().map(|spec| check_loss_head(network, spec));
        let loss_head = loss_head.transpose().map_err(|message| LearnError::Unsupported { message })?;
        let dropout = job.needs.dropout.map(|spec| self.dropout_network(spec)).transpose()?;
        let layout = Layout::new(network, loss_head);
        let label_variance = variance(&y, network.n_outputs());
        Ok(Prepared { x, y, n: labelled.len(), label_variance, scaling, layout, loss_head, dropout })
    }

    fn dropout_network(&self, spec: DropoutSpec) -> Result<PreparedDropout, LearnError> {
        let unsupported = |message: String| LearnError::Unsupported { message };
        check_dropout(&self.network, &spec).map_err(unsupported)?;
        let factor = spec.width_factor.over_one_of(self.training.n_members);
        let network = self.network.widened(factor, spec.batch_norm).map_err(|error| unsupported(error.to_string()))?;
        // One network with one loss, whatever the reading of the decay beside it.
        let mut training = self.training.alone();
        training.epochs = spec.epochs.unwrap_or(training.epochs);
        training.learning_rate = spec.learning_rate.unwrap_or(training.learning_rate);
        training.validate().map_err(|error| unsupported(format!("dropout network: {error}")))?;
        let layout = Layout::new(&network, None);
        Ok(PreparedDropout { spec, network, training, layout })
    }

    /// Appends a job's tasks: its members in order, then its dropout network.
    pub(crate) fn add_tasks<'a>(
        &'a self,
        j: usize,
        job: &FitJob<'_>,
        prepared: &'a Prepared,
        tasks: &mut Vec<Task<'a>>,
    ) {
        for m in 0..self.training.n_members {
            let loss_head = job.needs.loss_head.zip(prepared.loss_head).map(|(spec, shape)| LossHeadTraining {
                shape,
                joint_epochs: (spec.joint_share * self.training.epochs as f64).round() as usize,
                weight: spec.weight,
                margin: spec.margin,
                key: job.seeds.purpose("pairs").index(m as u64).philox().key(),
            });
            tasks.push(Task {
                prepared,
                network: &self.network,
                layout: &prepared.layout,
                training: &self.training,
                job: j,
                kind: Kind::Member(m),
                weights: job.seeds.purpose("weights").index(m as u64),
                dropout: None,
                loss_head,
            });
        }
        if let Some(PreparedDropout { spec, network, training, layout }) = &prepared.dropout {
            let seeds = job.seeds.purpose("dropout");
            let key = seeds.purpose("masks").philox().key();
            tasks.push(Task {
                prepared,
                network,
                layout,
                training,
                job: j,
                kind: Kind::Dropout,
                weights: seeds.purpose("weights"),
                dropout: Some(DropoutTraining { rate: spec.rate, key }),
                loss_head: None,
            });
        }
    }

    /// Trains jobs with `run`, which answers each task in order: `None` where it was not started because an earlier one
    /// of its job had failed.
    pub(crate) fn fit_with(
        &self,
        jobs: &[FitJob<'_>],
        platform: &str,
        run: impl FnOnce(&[Task<'_>]) -> Vec<Option<Result<Trained, Failure>>>,
    ) -> Vec<Result<CpuSurrogate, LearnError>> {
        let prepared: Vec<_> = jobs.iter().map(|job| self.prepare(job)).collect();
        let mut tasks = Vec::new();
        for (j, (job, prepared)) in jobs.iter().zip(&prepared).enumerate() {
            if let Ok(prepared) = prepared {
                self.add_tasks(j, job, prepared, &mut tasks);
            }
        }
        let mut results = run(&tasks).into_iter();
        let mut outcomes: Vec<Outcome> = jobs.iter().map(|_| Ok((Vec::new(), None))).collect();
        for task in &tasks {
            // Tasks of a job that has failed already may be missing; the first failure is the one reported.
            let Some(result) = results.next().flatten() else { continue };
            if let Ok((members, dropout)) = &mut outcomes[task.job] {
                match (result, task.kind) {
                    (Ok(trained), Kind::Member(_)) => members.push(trained),
                    (Ok(trained), Kind::Dropout) => *dropout = Some(trained),
                    (Err(failure), kind) => outcomes[task.job] = Err(failure.named(kind)),
                }
            }
        }
        drop(tasks);
        let parts = prepared.into_iter().zip(outcomes).zip(jobs);
        parts
            .map(|((prepared, outcome), job)| {
                let prepared = prepared?;
                let (members, dropout) = outcome?;
                Ok(self.assemble(job, prepared, members, dropout, platform.to_owned()))
            })
            .collect()
    }

    /// A surrogate of a job's trained networks.
    pub(crate) fn assemble(
        &self,
        job: &FitJob<'_>,
        prepared: Prepared,
        members: Vec<Trained>,
        dropout: Option<Trained>,
        platform: String,
    ) -> CpuSurrogate {
        let cost = TrainingCost {
            model_seconds: members.iter().map(|trained| trained.seconds).sum(),
            auxiliary_seconds: dropout.as_ref().and_then(|trained| trained.seconds),
        };
        let ends: Option<Vec<TrainingEnd>> = members.iter().map(|trained| trained.end).collect();
        let of_dropout = dropout.as_ref().and_then(|trained| trained.end);
        let report = ends.map(|members| TrainingReport { members, dropout: of_dropout });
        let members = members.into_iter().map(|trained| trained.member).collect();
        let dropout = dropout.zip(prepared.dropout).map(|(trained, prepared_dropout)| DropoutNetwork {
            spec: prepared_dropout.spec,
            ensemble: Ensemble::new(prepared_dropout.network, None, vec![trained.member]),
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
                platform,
                training: self.training.clone(),
                n_points: prepared.n,
                notes: std::collections::BTreeMap::new(),
            },
            report,
            cost,
        }
    }
}

/// Why a task gave no network.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The training itself.
    Train(TrainError),
    /// The machinery around it, such as a device.
    #[cfg_attr(not(feature = "tch"), allow(dead_code))]
    Engine(String),
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Self::Train(error)
    }
}

impl Failure {
    fn named(self, kind: Kind) -> LearnError {
        match self {
            Self::Train(TrainError::Stopped { .. }) => LearnError::Stopped,
            Self::Train(TrainError::Diverged { epoch, loss, .. }) => diverged(epoch, loss, kind),
            Self::Engine(message) => LearnError::Other { message },
        }
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
    if !(0.0..=1.0).contains(&spec.joint_share) {
        return Err(format!("a loss head's joint share of the epochs must be in [0, 1], not {}", spec.joint_share));
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

/// Variance of each of the columns of `rows`, averaged.
fn variance(rows: &[f32], n_columns: usize) -> f64 {
    let n = (rows.len() / n_columns).max(1) as f64;
    let column = |j: usize| rows.iter().skip(j).step_by(n_columns).map(|&v| f64::from(v));
    let of = |j: usize| {
        let centre = column(j).sum::<f64>() / n;
        column(j).map(|v| (v - centre) * (v - centre)).sum::<f64>() / n
    };
    (0..n_columns).map(of).sum::<f64>() / n_columns as f64
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

fn diverged(epoch: usize, loss: f64, kind: Kind) -> LearnError {
    let (member, what) = match (kind, loss.is_finite()) {
        (Kind::Member(member), false) => (member, "loss"),
        (Kind::Member(member), true) => (member, "parameters"),
        (Kind::Dropout, false) => (0, "loss of the dropout network"),
        (Kind::Dropout, true) => (0, "parameters of the dropout network"),
    };
    LearnError::Diverged { what, member, epoch: epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::WidthFactor;
    use dal_core::model::Head;

    #[test]
    fn the_dropout_network_is_wider_by_the_root_of_the_members() {
        let network = NetworkSpec::new(1, 1, vec![20, 3], None, Head::Linear).unwrap();
        let training = TrainingSpec { n_members: 10, ..TrainingSpec::default() };
        let recipe = Recipe::new(network, training).unwrap();
        for (width_factor, widths) in [
            (WidthFactor::SqrtMembers, [63, 9]),
            (WidthFactor::Members, [200, 30]),
            (WidthFactor::Factor(2.0), [40, 6]),
        ] {
            let prepared = recipe.dropout_network(DropoutSpec { width_factor, ..DropoutSpec::default() }).unwrap();
            assert_eq!(prepared.network.hidden(), widths, "{width_factor:?}");
        }
    }
}
