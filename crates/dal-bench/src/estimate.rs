//! How long a plan will take: a model of cost, calibrated by timing a few epochs of each network on this machine.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use dal_core::{DropoutSpec, MlpEnsemble, ModelSpec, Rate, Shape, calibrate};
use dal_store::{PoolSpec, Status, Store};

use crate::error::BenchError;
use crate::labels_due::{PlannedLabels, labels_due};
use crate::machine::processor_clock;
use crate::plan::{Plan, Trial};
use crate::problem::PlannedProblem;
use crate::progress::DamagedRun;
use crate::survey::Survey;

/// Trials timed together, at most.
const TRIALS_TIMED: usize = 16;
/// Labelled points timed, at most.
const MOST_TIMED: usize = 20_000;
/// Numbers that a network that is timed learns, about and at most: a fit holds some [`TIMES_HELD`] times as many.
const MOST_PARAMETERS: f64 = 8e5;
/// Numbers that a fit holds, for each that is learned.
const TIMES_HELD: f64 = 10.0;
/// The same of the second, still narrower form of a network that has more.
const FEWER_PARAMETERS: f64 = 2e5;

/// Expected seconds of training and evaluation, from timings of a few epochs and answers of each network, taken with
/// one member on random data of the smallest and the largest labelled set; on an engine that trains in lock step, with
/// the ensembles of some trials. On the engine `cpu` they are seconds of a processor, which hardly depend on what else
/// the machine does.
///
/// A kind of model that knows neither members nor epochs is timed as a whole. Seconds per member and epoch are taken to
/// be linear in the number of labelled points; a dropout network costs as many times the ensemble as it has weights and
/// epochs, loss heads a fifth more. Sampling itself is left out.
#[derive(Clone, Debug)]
pub struct CostModel {
    rates: Vec<Option<Rate>>,
}

impl CostModel {
    /// Calibrates the networks of the problems that are still to be worked on, each once for a plan.
    ///
    /// # Errors
    /// An engine that refuses a network.
    pub fn measure(plan: &Plan, is_needed: &dyn Fn(usize) -> bool) -> Result<Self, BenchError> {
        let rate = |(i, problem): (usize, &PlannedProblem)| match plan.rates[i].get() {
            _ if !is_needed(i) => Ok(None),
            Some(rate) => Ok(Some(*rate)),
            None => measure_rate(plan, problem).map(|rate| Some(*plan.rates[i].get_or_init(|| rate))),
        };
        let rates = plan.problems().iter().enumerate().map(rate).collect::<Result<_, _>>()?;
        Ok(Self { rates })
    }

    /// Expected seconds of one entry of a trial, on one thread; 0 for a problem that was not calibrated.
    pub fn entry_seconds(&self, plan: &Plan, trial: &Trial, entry: usize) -> f64 {
        let Some(rate) = self.rates[trial.problem()] else { return 0.0 };
        let model = plan.problems()[trial.problem()].model();
        let protocol = &trial.spec().protocol;
        let needs = trial.strategy().needs();
        let dropout = needs.dropout.as_ref().map_or(0.0, |dropout| of_dropout(dropout, model));
        let extra = 1.0 + dropout + 0.2 * f64::from(needs.loss_head.is_some());
        let n_labelled = (protocol.initial + protocol.queries * entry) as f64;
        let members = model.as_mlp().map_or(1, |mlp| mlp.n_members()) as f64;
        let fit = model.n_passes() as f64 * rate.seconds(n_labelled) * extra;
        let pool = match protocol.pool {
            PoolSpec::Uniform { ratio } => ratio * protocol.queries,
            PoolSpec::Candidates { n } => n,
        };
        fit + members * rate.evaluation * (protocol.test_points + pool) as f64
    }

    /// Expected seconds of a trial from this entry on, on one thread.
    pub fn trial_seconds(&self, plan: &Plan, trial: &Trial, from_entry: usize) -> f64 {
        (from_entry..trial.spec().n_entries()).map(|entry| self.entry_seconds(plan, trial, entry)).sum()
    }
}

/// The training of a dropout network over that of the ensemble: weights times epochs.
fn of_dropout(dropout: &DropoutSpec, model: &ModelSpec) -> f64 {
    let Some(mlp) = model.as_mlp() else { return 1.0 };
    let factor = dropout.width_factor.over_one_of(mlp.n_members());
    let epochs = dropout.epochs.map_or(1.0, |epochs| epochs as f64 / mlp.training.epochs as f64);
    factor * factor / mlp.n_members() as f64 * epochs
}

fn measure_rate(plan: &Plan, problem: &PlannedProblem) -> Result<Rate, BenchError> {
    let sizes = plan
        .trials()
        .iter()
        .filter(|trial| std::ptr::eq(&plan.problems()[trial.problem()], problem))
        .map(|trial| &trial.spec().protocol)
        .map(|protocol| (protocol.initial, protocol.initial + protocol.queries * protocol.steps));
    let (small, large) = sizes.fold((usize::MAX, 2), |(a, b), (c, d)| (a.min(c), b.max(d)));
    let n_trials = plan.trials().iter().filter(|t| std::ptr::eq(&plan.problems()[t.problem()], problem)).count();
    let together = problem.trials_together().min(n_trials).min(TRIALS_TIMED);
    // An engine that computes elsewhere, or on several threads, is not measured by the processor time of this one.
    let clock = if problem.engine().id() == "cpu" { &processor_clock() } else { &plan.clock };
    // Seconds are linear in the points, and looking must not ask for the memory that running needs.
    let sizes = [small, large].map(|n| n.min(MOST_TIMED));
    let rate = |model: &ModelSpec| {
        calibrate(problem.engine(), model, problem.problem().shape(), sizes, together, clock)
            .map_err(|error| BenchError::Engine { engine: problem.engine().id().to_owned(), reason: error.to_string() })
    };
    let narrowed = |most| narrowed(problem.model(), problem.problem().shape(), most);
    let Some((wide, whole)) = narrowed(MOST_PARAMETERS) else { return rate(problem.model()) };
    let timed = rate(&wide)?;
    let Some((narrow, fewer)) = narrowed(FEWER_PARAMETERS).map(|(model, times)| (model, whole / times)) else {
        return Ok(timed);
    };
    let less = rate(&narrow)?;
    let of = |timed, less| extrapolated(timed, less, fewer, whole);
    Ok(Rate {
        fixed: of(timed.fixed, less.fixed),
        per_point: of(timed.per_point, less.per_point),
        evaluation: of(timed.evaluation, less.evaluation),
    })
}

/// Seconds of a network from those of a narrower one, which has `1 / whole` of its numbers, and of one with `fewer`
/// times these: linear in the numbers, so that what does not grow with them (a convolution over outputs) counts once.
fn extrapolated(timed: f64, less: f64, fewer: f64, whole: f64) -> f64 {
    let slope = ((timed - less) / (1.0 - fewer)).clamp(0.0, timed);
    timed + slope * (whole - 1.0)
}

/// Numbers that one network with these hidden layers learns.
fn parameters(hidden: &[usize], shape: Shape) -> f64 {
    let ends = [shape.n_inputs, shape.n_outputs];
    let widths = ends[..1].iter().chain(hidden).chain(&ends[1..]);
    let widths: Vec<f64> = widths.map(|&width| width as f64).collect();
    widths.windows(2).map(|pair| (pair[0] + 1.0) * pair[1]).sum()
}

/// MiB that fits of an ensemble hold, or of the dropout network that stands beside it, which has `times` the weights of
/// a member: ten times the weights of the network that is trained, in single precision, and the members that are. 0
/// for one that is timed as it is.
fn unseen_fit_mib(model: &ModelSpec, shape: Shape, times: f64) -> u64 {
    let ModelSpec::MlpEnsemble(mlp) = model else { return 0 };
    let of_one = parameters(&mlp.hidden, shape);
    if of_one <= MOST_PARAMETERS {
        return 0;
    }
    let numbers = of_one * (TIMES_HELD * times.max(1.0) + mlp.n_members() as f64);
    (numbers * 4.0 / f64::from(1 << 20)).ceil() as u64
}

/// An ensemble that learns more numbers than `most`, with hidden layers that are all narrower by one factor, so that
/// looking does not ask for the memory that running needs; and how many times the numbers of this one the ensemble's
/// networks have.
fn narrowed(model: &ModelSpec, shape: Shape, most: f64) -> Option<(ModelSpec, f64)> {
    let ModelSpec::MlpEnsemble(mlp) = model else { return None };
    let all = parameters(&mlp.hidden, shape);
    if all <= MOST_PARAMETERS {
        return None;
    }
    let factor = (most / all).sqrt();
    let hidden: Vec<usize> = mlp.hidden.iter().map(|&width| ((width as f64 * factor) as usize).max(1)).collect();
    let times = all / parameters(&hidden, shape);
    Some((ModelSpec::MlpEnsemble(MlpEnsemble { hidden: hidden.into(), ..mlp.clone() }), times))
}

/// What a start of a sweep would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Runs of the sweep.
    pub planned: usize,
    /// Runs that are done.
    pub done: usize,
    /// Runs that failed before.
    pub failed: usize,
    /// Runs with a checkpoint.
    pub partial: usize,
    /// Directories of runs that lie in the store under the name of one that is still to do, but are of another
    /// specification, platform or revision; they stay where they are.
    pub elsewhere: Vec<String>,
    /// Runs that lie in the store damaged: they are neither taken as done nor run again until they are set aside.
    pub damaged: Vec<DamagedRun>,
    /// Runs still to do that go on from a finished run of fewer steps.
    pub extended: usize,
    /// Entries (trainings) still to do; where failed labels are asked for again, all behind the first of them.
    pub entries: usize,
    /// Of each user's problem with open runs whose answers cost something, how many are still to be asked for.
    pub labels: Vec<PlannedLabels>,
    /// Directories of finished runs that are what their seals say, for [`RunOptions::whole`](crate::RunOptions::whole).
    pub whole: BTreeSet<String>,
    /// Of each trial with entries to do, by its place in the plan: how many, and the expected seconds on one thread.
    pub open: Vec<(usize, usize, f64)>,
    /// Expected seconds of all workers together, without asking for labels.
    pub cpu_seconds: f64,
    /// Expected duration with the workers asked for.
    pub duration: Duration,
}

impl Estimate {
    /// Runs still to do that neither are done nor failed before.
    pub fn to_do(&self) -> usize {
        self.planned - self.done - self.failed - self.damaged.len()
    }
}

impl Plan {
    /// Memory in MiB that fits of this plan's largest networks take beyond what timing them here took: these are timed
    /// narrower than they are.
    pub fn unseen_fit_mib(&self) -> u64 {
        let of = |trial: &Trial| {
            let problem = &self.problems()[trial.problem()];
            let needs = trial.strategy().needs();
            let members = problem.model().as_mlp().map_or(1, |mlp| mlp.n_members());
            let factor = needs.dropout.as_ref().map_or(1.0, |dropout| dropout.width_factor.over_one_of(members));
            unseen_fit_mib(problem.model(), problem.problem().shape(), factor * factor)
        };
        self.trials().iter().map(of).max().unwrap_or(0)
    }

    /// Counts what is to be done on a store (`None`: everything) and says roughly how long it will take with so many
    /// workers.
    ///
    /// # Errors
    /// A store that cannot be read; an engine that refuses a network.
    pub fn estimate(&self, jobs: usize, store: Option<&Store>) -> Result<Estimate, BenchError> {
        self.estimate_with(jobs, store, None, false)
    }

    /// As [`estimate`](Self::estimate), with the folder in which answers are kept, if it is not the usual one, and
    /// whether failed runs are run again and failed labels asked for again
    /// ([`RunOptions::retry_failed`](crate::RunOptions::retry_failed)).
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate); answers that cannot be read.
    pub fn estimate_with(
        &self,
        jobs: usize,
        store: Option<&Store>,
        answers: Option<&Path>,
        retry_failed: bool,
    ) -> Result<Estimate, BenchError> {
        let jobs = if self.is_timing() { 1 } else { jobs.max(1) };
        let survey = Survey::of(self, store, &BTreeSet::new())?;
        let open: Vec<(usize, usize)> =
            (0..self.trials().len()).filter_map(|i| Some((i, survey.first_open_entry(i, retry_failed)?))).collect();
        let is_needed = |problem| open.iter().any(|&(i, _)| self.trials()[i].problem() == problem);
        let model = CostModel::measure(self, &is_needed)?;
        let mut costs: Vec<f64> =
            open.iter().map(|&(i, from)| model.trial_seconds(self, &self.trials()[i], from)).collect();
        let count = |wanted: fn(&Status) -> bool| survey.states.iter().flatten().filter(|s| wanted(s)).count();
        let to_do = open.iter().zip(&costs);
        let to_do: Vec<(usize, usize, f64)> = to_do
            .map(|(&(i, from), cost)| (i, self.trials()[i].spec().n_entries().saturating_sub(from), *cost))
            .collect();
        Ok(Estimate {
            planned: self.trials().len(),
            done: count(|status| matches!(status, Status::Done)),
            failed: count(|status| matches!(status, Status::Failed(_))),
            partial: count(|status| matches!(status, Status::Partial { .. })),
            elsewhere: survey.elsewhere.clone(),
            extended: survey.n_extended(),
            damaged: survey.damaged.values().cloned().collect(),
            entries: to_do.iter().map(|(_, entries, _)| entries).sum(),
            open: to_do,
            labels: labels_due(self, &survey, &open, jobs, retry_failed, answers)?,
            whole: survey.whole,
            cpu_seconds: costs.iter().sum(),
            duration: makespan(&mut costs, jobs),
        })
    }
}

/// Duration of independent tasks on so many workers, the longest first.
fn makespan(costs: &mut [f64], jobs: usize) -> Duration {
    costs.sort_by(|a, b| b.total_cmp(a));
    // More workers than tasks shorten nothing.
    let mut workers = vec![0.0_f64; jobs.clamp(1, costs.len().max(1))];
    for cost in costs {
        if let Some(idlest) = workers.iter_mut().min_by(|a, b| a.total_cmp(b)) {
            *idlest += *cost;
        }
    }
    Duration::try_from_secs_f64(workers.into_iter().fold(0.0, f64::max)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::WidthFactor;

    #[test]
    fn a_dropout_network_costs_its_weights_and_epochs() {
        let model = ModelSpec::MlpEnsemble(MlpEnsemble::DEFAULT);
        let (members, epochs) = (MlpEnsemble::DEFAULT.n_members() as f64, MlpEnsemble::DEFAULT.training.epochs);
        let of = |width_factor, epochs| of_dropout(&DropoutSpec { width_factor, epochs, ..Default::default() }, &model);
        assert!((of(WidthFactor::SqrtMembers, None) - 1.0).abs() < 1e-12);
        assert_eq!(of(WidthFactor::Members, None), members);
        assert_eq!(of(WidthFactor::Factor(1.0), Some(4 * epochs)), 4.0 / members);
    }

    #[test]
    fn a_network_too_large_to_look_at_is_timed_narrower() {
        let shape = Shape { n_inputs: 2, n_outputs: 1 };
        let of =
            |hidden: Vec<usize>| ModelSpec::MlpEnsemble(MlpEnsemble { hidden: hidden.into(), ..MlpEnsemble::DEFAULT });
        assert_eq!(narrowed(&of(vec![500; 4]), shape, MOST_PARAMETERS), None);
        assert_eq!(unseen_fit_mib(&of(vec![500; 4]), shape, 1.0), 0);
        // 400 million numbers, ten times for the one that is trained and once for each of ten members.
        let held = |times| unseen_fit_mib(&of(vec![20_000, 20_000]), shape, times);
        assert_eq!((held(1.0), held(10.0)), (30_526, 167_889));
        let widths = |most| {
            let (model, times) = narrowed(&of(vec![20_000, 20_000]), shape, most).unwrap();
            let ModelSpec::MlpEnsemble(mlp) = model else { panic!("another kind") };
            (mlp.hidden[0], mlp.hidden[1], times)
        };
        let (a, b, times) = widths(MOST_PARAMETERS);
        assert!(a == b && (880..895).contains(&a) && (490.0..520.0).contains(&times), "{a}, {b}, {times}");
        let (a, b, times) = widths(FEWER_PARAMETERS);
        assert!(a == b && (440..450).contains(&a) && (1950.0..2090.0).contains(&times), "{a}, {b}, {times}");
    }

    #[test]
    fn what_does_not_grow_with_a_network_counts_once() {
        // 3 s of a head and 2 s a million numbers, timed at one million and at a quarter of it.
        assert!((extrapolated(5.0, 3.5, 0.25, 10.0) - 23.0).abs() < 1e-9);
        // Timings that jitter never make a large network cheaper, nor more than in proportion.
        assert_eq!(extrapolated(5.0, 5.5, 0.25, 10.0), 5.0);
        assert_eq!(extrapolated(5.0, 0.0, 0.25, 10.0), 50.0);
    }

    #[test]
    fn the_longest_go_first() {
        assert_eq!(makespan(&mut [1.0, 1.0, 2.0], 2), Duration::from_secs(2));
        assert_eq!(makespan(&mut [1.0, 1.0, 2.0], 1), Duration::from_secs(4));
        assert_eq!(makespan(&mut [], 0), Duration::ZERO);
        assert_eq!(makespan(&mut [1.0, 3.0], usize::MAX), Duration::from_secs(3));
    }
}
