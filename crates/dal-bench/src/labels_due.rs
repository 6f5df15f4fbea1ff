//! How many answers of users' programs a plan still needs, and how long one takes.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Instant;

use dal_core::{LabelFailure, Stop, every};
use dal_store::{Answers, Status};
use ndarray::ArrayView2;

use crate::error::BenchError;
use crate::plan::Plan;
use crate::problem::PlannedProblem;
use crate::remember::remembering;
use crate::survey::Survey;

/// Answers of one problem that are still to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLabels {
    /// The problem's variant.
    pub problem: String,
    /// Points: exact for a start from nothing whose queries all differ, else at most so many. Failed ones that are
    /// tried again come on top.
    pub points: usize,
    /// Calls one after another that these take at least, of one point each: as many run at the same time as the problem
    /// file allows, and as the runs at a time have points to ask.
    pub rounds: usize,
}

/// Per problem with open runs whose answers cost something; `open` has trials and their first open entries, of which so
/// many run at a time. With `retry_failed` what the program refused is asked again, and failed labels of runs that are
/// over.
pub(crate) fn labels_due(
    plan: &Plan,
    survey: &Survey,
    open: &[(usize, usize)],
    jobs: usize,
    retry_failed: bool,
    folder: Option<&Path>,
) -> Result<Vec<PlannedLabels>, BenchError> {
    let mut due = Vec::new();
    for (p, problem) in plan.problems().iter().enumerate().filter(|(_, problem)| problem.costly_labels()) {
        let trials: Vec<(usize, usize)> =
            open.iter().filter(|(i, _)| plan.trials()[*i].problem() == p).copied().collect();
        if trials.is_empty() {
            continue;
        }
        let memory = remembering(problem.problem(), folder)?;
        let answers = memory.as_ref().map(|memory| &**memory.answers());
        let parallel = problem.problem().asking().map_or(1, |asking| asking.parallel());
        let at_a_time = |points: usize| parallel.min(jobs.min(trials.len()).saturating_mul(points)).max(1);
        let mut lines = HashSet::new();
        let known = |_: &LabelFailure| true;
        add_due(problem, problem.test_points().view(), answers, &known, &mut lines)?;
        // All of them are asked for at once, before any run begins.
        let mut rounds = lines.len().div_ceil(parallel.max(1));
        let stands = |failure: &LabelFailure| failure.kind.is_of_the_point() && !retry_failed;
        let mut seeds = BTreeSet::new();
        let (mut queries, mut asked_together) = (0, (usize::MAX, usize::MAX));
        let of_tests = lines.len();
        for &(i, from) in &trials {
            let trial = &plan.trials()[i];
            let protocol = &trial.spec().protocol;
            asked_together.0 = asked_together.0.min(protocol.initial);
            asked_together.1 = asked_together.1.min(protocol.queries);
            let begins = match &survey.states[i] {
                None | Some(Status::Partial { entries: 0 }) => true,
                Some(Status::Failed(failure)) => failure.entry == 0,
                _ => false,
            };
            if let Some(Status::Done) = survey.states[i] {
                // Asked again from the first on; the run is made anew behind the first that is answered.
                queries += survey
                    .failed_labels
                    .get(&i)
                    .map_or(0, |failed| failed.iter().filter(|(entry, _)| *entry == from).count());
                queries += protocol.queries * protocol.steps.saturating_sub(from);
            } else if !survey.shorter.contains_key(&i) && begins {
                if seeds.insert(trial.spec().seed) {
                    let x = problem.problem().space().sample(protocol.initial, &trial.seeds().initial());
                    add_due(problem, x.view(), answers, &stands, &mut lines)?;
                }
                queries += protocol.queries * protocol.steps;
            } else {
                // The batch that was chosen last may be unanswered; of a run that is gone on from it is not.
                let chosen = usize::from(!survey.shorter.contains_key(&i));
                queries += protocol.queries * (protocol.steps + chosen).saturating_sub(from);
            }
        }
        rounds += (lines.len() - of_tests).div_ceil(at_a_time(asked_together.0));
        rounds += queries.div_ceil(at_a_time(asked_together.1));
        due.push(PlannedLabels { problem: problem.problem().variant_id(), points: lines.len() + queries, rounds });
    }
    Ok(due)
}

/// Adds the lines of points that are asked for: nothing is kept of them, or a failure that does not stand.
fn add_due(
    problem: &PlannedProblem,
    x: ArrayView2<'_, f64>,
    answers: Option<&Answers>,
    stands: &dyn Fn(&LabelFailure) -> bool,
    lines: &mut HashSet<String>,
) -> Result<(), BenchError> {
    let Some(asking) = problem.problem().asking() else { return Ok(()) };
    for point in x.outer_iter() {
        let variant = || problem.problem().variant_id();
        let line = asking
            .line(point)
            .map_err(|error| BenchError::TestSet { problem: variant(), reason: error.to_string() })?;
        let known = answers.and_then(|answers| answers.get(&line));
        if !known.is_some_and(|answer| answer.as_ref().err().is_none_or(stands)) {
            lines.insert(line);
        }
    }
    Ok(())
}

impl Plan {
    /// Asks each user's program about one point of its test set that has no answer yet, and says how many seconds that
    /// took by the wall clock. The answer is kept, so that nothing is paid for twice. A program whose test set is
    /// answered is not asked.
    ///
    /// # Errors
    /// Answers that cannot be read or kept, a program that cannot be started or gives no answer.
    pub fn time_a_call(&self, folder: Option<&Path>, stop: &Stop) -> Result<Vec<(String, f64)>, BenchError> {
        let mut times = Vec::new();
        for problem in self.problems().iter().filter(|problem| problem.costly_labels()) {
            let variant = problem.problem().variant_id();
            let failed = |reason: String| BenchError::TestSet { problem: variant.clone(), reason };
            let (Some(memory), Some(asking)) = (remembering(problem.problem(), folder)?, problem.problem().asking())
            else {
                continue;
            };
            let test = problem.test_points();
            let is_open =
                |row: &usize| asking.line(test.row(*row)).is_ok_and(|line| memory.answers().get(&line).is_none());
            let Some(row) = (0..test.nrows()).find(is_open) else { continue };
            let mut failure = None;
            let start = Instant::now();
            let x = test.slice(ndarray::s![row..=row, ..]);
            let mut keep = every(|_, answer| failure = answer.err());
            memory.test_label(x, stop, &mut keep).map_err(|error| failed(error.to_string()))?;
            drop(keep);
            match failure {
                None => times.push((variant, start.elapsed().as_secs_f64())),
                Some(failure) => return Err(failed(format!("point {row} of it: {failure}"))),
            }
        }
        Ok(times)
    }
}
