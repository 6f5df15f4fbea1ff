//! The threads that train and judge what is due, and write each result to the journal.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use dal_core::{FitJob, LearnError, Needs, OutputScaling, Stop, Surrogate};
use dal_work::{Outcome, WorkError, panic_message, work_through};

use super::Search;
use super::campaigns::Campaigns;
use super::tasks::Task;
use crate::error::TuneError;
use crate::journal::{Entry, Journal, TrialKey, TrialResult, lock};
use crate::progress::{Event, Progress, RunOptions};

/// Work of this start.
pub(super) struct Work {
    pub(super) done: f64,
    pub(super) left: f64,
}

impl Work {
    /// Counts what was done; what is done and left after it.
    pub(super) fn did(&mut self, work: f64) -> (f64, f64) {
        self.done += work;
        self.left = (self.left - work).max(0.0);
        (self.done, self.left)
    }
}

pub(super) struct Shared<'a> {
    pub(super) search: &'a Search,
    pub(super) journal: &'a Journal,
    pub(super) options: RunOptions,
    pub(super) progress: &'a dyn Progress,
    pub(super) stop: &'a Stop,
    pub(super) trials: Mutex<BTreeMap<TrialKey, TrialResult>>,
    pub(super) campaigns: Campaigns,
}

impl Shared<'_> {
    /// Trains what the journal does not hold, the most work first; whether it came to the end.
    pub(super) fn train(&self, tasks: Vec<Task<'_>>, work: &mut Work) -> Result<bool, TuneError> {
        let mut open: Vec<Task<'_>> = {
            let trials = lock(&self.trials);
            let (known, open): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| trials.contains_key(&task.key));
            work.left -= known.iter().map(|task| task.work).sum::<f64>();
            open
        };
        // Stable, so that equal work keeps its order.
        open.sort_by(|a, b| b.work.total_cmp(&a.work));
        let groups = self.search.groups(&open);
        let shared_work = Mutex::new(work);
        worked_through(&groups, self.options.jobs, self.stop, |group| self.together(group, &shared_work))?;
        let trials = lock(&self.trials);
        Ok(open.iter().all(|task| trials.contains_key(&task.key)))
    }

    /// Trains tasks of one candidate in one call. Where that panics, each by itself, so that one falls alone.
    fn together(&self, group: &[&Task<'_>], work: &Mutex<&mut Work>) -> Result<(), TuneError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.search.train(group, self.stop)));
        let results = match outcome {
            Ok(results) => results?,
            Err(payload) if group.len() == 1 => {
                vec![Ok(TrialResult::Failed(format!("a panic: {}", panic_message(&*payload))))]
            }
            Err(_) => return group.iter().try_for_each(|task| self.together(&[*task], work)),
        };
        // What is trained is kept, also where the training of another was stopped.
        let mut first_error = Ok(());
        for (task, result) in group.iter().zip(results) {
            let kept = result.and_then(|result| self.keep(task, result, work));
            first_error = first_error.and(kept);
        }
        first_error
    }

    fn keep(&self, task: &Task<'_>, result: TrialResult, work: &Mutex<&mut Work>) -> Result<(), TuneError> {
        self.journal.append(&Entry::Trial { key: task.key, result: result.clone() })?;
        lock(&self.trials).insert(task.key, result.clone());
        let (done, left) = lock(work).did(task.work);
        let candidate = &self.search.candidates[task.key.candidate];
        self.progress.event(&Event::Trained { candidate, result: &result, done, left });
        Ok(())
    }
}

/// Works through a list whose tasks keep their own results.
pub(super) fn worked_through<T: Sync>(
    tasks: &[dal_work::Task<T>],
    jobs: usize,
    stop: &Stop,
    run: impl Fn(&T) -> Result<(), TuneError> + Sync,
) -> Result<(), TuneError> {
    let worked = work_through(
        tasks,
        jobs,
        stop,
        |_, work| run(work),
        |_, outcome| match outcome {
            // A panic of a training is that training's result and does not get here.
            Outcome::Panicked(message) => Err(TuneError::Panicked { message: message.clone() }),
            _ => Ok(()),
        },
    );
    match worked.into_result() {
        Ok(_) => Ok(()),
        Err(WorkError::Fatal(error)) => Err(error),
        Err(WorkError::Watcher { message, .. }) => Err(TuneError::Panicked { message }),
        Err(WorkError::Thread { source, .. }) => Err(TuneError::Threads { source }),
    }
}

impl Search {
    /// Splits tasks of one rung, or of the proof, into calls of the engine: of one candidate (seeds, folds and numbers
    /// of points side by side), and no more than the engine likes.
    fn groups<'t, 'a>(&self, tasks: &'t [Task<'a>]) -> Vec<dal_work::Task<Vec<&'t Task<'a>>>> {
        let mut groups: Vec<dal_work::Task<Vec<&Task<'_>>>> = Vec::new();
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        for task in tasks {
            let candidate = task.key.candidate;
            let model = self.candidates[candidate].trained(task.epochs, task.members);
            let most = self.engine.trials_together(&model, self.shape).max(1);
            match last.get(&candidate) {
                Some(&group) if groups[group].work.len() < most => {
                    groups[group].work.push(task);
                    groups[group].cost += task.work;
                }
                _ => {
                    last.insert(candidate, groups.len());
                    groups.push(dal_work::Task { cost: task.work, work: vec![task] });
                }
            }
        }
        groups
    }

    /// Trains and judges ensembles of one candidate, one for each task.
    fn train(&self, group: &[&Task<'_>], stop: &Stop) -> Result<Vec<Result<TrialResult, TuneError>>, TuneError> {
        let Some(first) = group.first() else { return Ok(Vec::new()) };
        let model = self.candidates[first.key.candidate].trained(first.epochs, first.members);
        let learner = self.problem.scaling().learner(self.engine.learner(&model, self.shape)?);
        let labelled =
            group.iter().map(|task| task.train.labelled(task.key.points)).collect::<Result<Vec<_>, TuneError>>()?;
        let needs = Needs::default();
        let jobs: Vec<FitJob<'_>> = labelled
            .iter()
            .zip(group)
            .map(|(labelled, task)| FitJob { labelled, needs: &needs, seeds: task.seeds })
            .collect();
        let fits = learner.fit_all(&jobs, stop);
        Ok(group.iter().zip(fits).map(|(task, fit)| judged(task, fit, self.problem.scaling())).collect())
    }
}

/// The error of a trained ensemble on the points that it is judged on.
fn judged(
    task: &Task<'_>,
    fit: Result<Box<dyn Surrogate>, LearnError>,
    scaling: &OutputScaling,
) -> Result<TrialResult, TuneError> {
    let model = match fit {
        Ok(model) => model,
        Err(LearnError::Stopped) => return Err(TuneError::Stopped),
        Err(error @ LearnError::Diverged { .. }) => return Ok(TrialResult::Failed(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let mean = match model.mean(task.judged_on.x.view()) {
        Ok(mean) => mean,
        Err(error) => return Ok(TrialResult::Failed(error.to_string())),
    };
    let mse = scaling.mse(mean.view(), task.judged_on.y.view());
    Ok(match mse.is_finite() {
        true => TrialResult::Mse(mse),
        false => TrialResult::Failed("a prediction is no finite number".into()),
    })
}
