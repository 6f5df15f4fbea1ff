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
}

/// Per problem with open runs whose answers cost something; `open` has trials and their first open entries.
pub(crate) fn labels_due(
    plan: &Plan,
    survey: &Survey,
    open: &[(usize, usize)],
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
        let mut lines = HashSet::new();
        add_due(problem, problem.test_points().view(), answers, true, &mut lines)?;
        let mut seeds = BTreeSet::new();
        let mut queries = 0;
        for (i, from) in trials {
            let trial = &plan.trials()[i];
            let protocol = &trial.spec().protocol;
            let begins = matches!(survey.states[i], None | Some(Status::Partial { entries: 0 }));
            if !survey.shorter.contains_key(&i) && begins {
                if seeds.insert(trial.spec().seed) {
                    let x = problem.problem().space().sample(protocol.initial, &trial.seeds().initial());
                    add_due(problem, x.view(), answers, false, &mut lines)?;
                }
                queries += protocol.queries * protocol.steps;
            } else {
                // The batch that was chosen last may be unanswered; of a run that is gone on from it is not.
                let chosen = usize::from(!survey.shorter.contains_key(&i));
                queries += protocol.queries * (protocol.steps + chosen).saturating_sub(from);
            }
        }
        due.push(PlannedLabels { problem: problem.problem().variant_id(), points: lines.len() + queries });
    }
    Ok(due)
}

/// Adds the lines of points that are asked for: no answer is kept of them, nor that the program has none; of the
/// test set all failures count as answers.
fn add_due(
    problem: &PlannedProblem,
    x: ArrayView2<'_, f64>,
    answers: Option<&Answers>,
    failures_count: bool,
    lines: &mut HashSet<String>,
) -> Result<(), BenchError> {
    let Some(asking) = problem.problem().asking() else { return Ok(()) };
    for point in x.outer_iter() {
        let variant = || problem.problem().variant_id();
        let line = asking
            .line(point)
            .map_err(|error| BenchError::TestSet { problem: variant(), reason: error.to_string() })?;
        let known = answers.and_then(|answers| answers.get(&line));
        let counts = |failure: &LabelFailure| failures_count || failure.kind.is_of_the_point();
        if !known.is_some_and(|answer| answer.as_ref().err().is_none_or(counts)) {
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
