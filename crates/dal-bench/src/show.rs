//! What a run saw and chose at one step, rebuilt from its store, so that it can be recomputed by other programs.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use dal_core::{Batch, Campaign, LabelFailure, LabelFailureKind, Pending, Queries, Stop, Surrogate, TrialSeeds, every};
use dal_store::{EntryRecord, Run, RunSpec};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, concatenate, s};

use crate::error::BenchError;
use crate::plan::{Plan, Trial};
use crate::platform::platform;
use crate::problem::PlannedProblem;
use crate::remember::remembering;
use crate::watch::granting_committee;

/// Rows of a committee's answer that are taken over together.
const CHUNK_ROWS: usize = 1024;

/// One step of a run.
#[derive(Debug)]
pub struct Shown {
    /// Points labelled before the first model, shape (n, n_columns), on the unit box.
    pub initial: Array2<f64>,
    /// Points that the step's model was trained on, those whose label failed left out.
    pub labelled_x: Array2<f64>,
    /// Their labels, shape (n, n_outputs).
    pub labelled_y: Array2<f64>,
    /// What could be chosen, shape (n_pool, n_columns).
    pub pool: Array2<f64>,
    /// Rows of the pool that are chosen, in the order of the picks; `None` for a rule that makes points of its own.
    pub chosen: Option<Vec<usize>>,
    /// The points that the run asked for, as recorded.
    pub queries: Array2<f64>,
    /// Their labels; NaN where one failed.
    pub labels: Array2<f64>,
    /// The test points.
    pub test_x: Array2<f64>,
    /// Their labels; `None` where a program would have to be asked for one of them.
    pub test_y: Option<Array2<f64>>,
    /// Every member's prediction at the pool, shape (n_members, n_pool, n_outputs), in the units that the model was
    /// trained in; `None` for a model without members.
    pub members: Option<Array3<f64>>,
    /// The same at the test points. For a problem whose outputs are not transformed, as all built-in ones, their mean
    /// over members is what the entry's errors are of.
    pub test_members: Option<Array3<f64>>,
    /// The strategy's score of every pool point, where it has one.
    pub scores: Option<Array1<f64>>,
    /// Whether the step, done again here, chooses what is recorded.
    pub agrees: bool,
    /// The numeric platform of here, on which the model was trained again.
    pub platform: String,
}

impl Plan {
    /// The trial of a specification.
    pub fn trial_of(&self, spec: &RunSpec) -> Option<&Trial> {
        self.trials().iter().find(|trial| trial.spec() == spec)
    }

    /// Does a step of a run again: its model is trained once more and chooses once more. No program is asked; labels
    /// are those of the store, or of the built-in problem. Test labels of a program are those kept in the folder
    /// `answers`, or beside the problem file.
    ///
    /// # Errors
    /// A run that is not of this plan, has not chosen at this step, or was damaged; a model that cannot be trained.
    pub fn show(&self, run: &Run, step: usize, answers: Option<&Path>, stop: &Stop) -> Result<Shown, BenchError> {
        let refused = |reason: String| BenchError::Show { run: run.id().to_owned(), reason };
        let trial = self
            .trial_of(run.spec())
            .ok_or_else(|| refused("no trial of this sweep has its specification".to_owned()))?;
        let problem = &self.problems()[trial.problem()];
        let records = run.records()?;
        let n_steps = records.iter().take_while(|record| record.choice.is_some()).count();
        if step >= n_steps {
            let chose = if n_steps == 0 { "none".to_owned() } else { format!("0 to {}", n_steps - 1) };
            return Err(refused(format!("nothing was chosen at step {step}; steps that chose: {chose}")));
        }
        let batches = batches(problem, trial, run, &records, step + 1).map_err(refused)?;
        let mut campaign = resumed(problem, trial, &batches[..=step]).map_err(refused)?;
        let engine = problem.engine();
        let refused_engine = |reason: String| BenchError::Engine { engine: engine.id().to_owned(), reason };
        let learner = engine
            .learner(problem.model(), problem.problem().shape())
            .map_err(|error| refused_engine(error.to_string()))?;
        let learner = problem.problem().scaling().learner(granting_committee(learner, problem.model()));
        let platform = platform(&*learner);
        let labelled =
            campaign.labelled().cloned().ok_or_else(|| refused("no label stands before this step".to_owned()))?;
        let surrogate = match campaign.pending() {
            Pending::Fit(job) => {
                let mut fits = learner.fit_all(&[job], stop);
                let fit = fits.pop().ok_or_else(|| refused_engine("it gave no answer".to_owned()))?;
                fit.map_err(|error| refused(format!("training again: {error}")))?
            }
            _ => return Err(refused("it does not wait for a model at this step".to_owned())),
        };
        let decision = campaign
            .absorb(&*surrogate)
            .map_err(|error| refused(format!("choosing again: {error}")))?
            .ok_or_else(|| refused("the campaign ends before this step".to_owned()))?;
        let recorded = &batches[step + 1];
        let (test_x, test_y) = test_set(problem, trial, answers)?;
        let chosen = match decision.proposal.queries {
            Queries::Picked(rows) => Some(rows),
            _ => None,
        };
        Ok(Shown {
            initial: batches[0].x.clone(),
            labelled_x: labelled.x().to_owned(),
            labelled_y: labelled.y().to_owned(),
            members: members(&*surrogate, decision.pool.view()).map_err(refused)?,
            test_members: members(&*surrogate, test_x.view()).map_err(refused)?,
            agrees: decision.queries == recorded.x,
            pool: decision.pool,
            chosen,
            queries: recorded.x.clone(),
            labels: known_labels(recorded, problem.problem().shape().n_outputs),
            test_x,
            test_y,
            scores: decision.proposal.scores,
            platform,
        })
    }
}

/// Test points and labels. A program is not asked: where its kept answers lack a point, there are no labels.
fn test_set(
    problem: &PlannedProblem,
    trial: &Trial,
    answers: Option<&Path>,
) -> Result<(Array2<f64>, Option<Array2<f64>>), BenchError> {
    if !problem.costly_labels() {
        let test = problem.test_set()?;
        return Ok((test.x.clone(), Some(test.y.clone())));
    }
    let of = problem.problem();
    // Test points are the same for every seed.
    let x = of.space().sample(trial.spec().protocol.test_points, &TrialSeeds::new(&of.variant_id(), 0).test());
    let (Some(asking), Some(memory)) = (of.asking(), remembering(of, answers)?) else { return Ok((x, None)) };
    let known = |point: ArrayView1<'_, f64>| memory.answers().first(&asking.line(point).ok()?);
    let Some(labels) = x.outer_iter().map(known).collect::<Option<Vec<Answer>>>() else { return Ok((x, None)) };
    let in_domain = |label: &Answer| label.as_ref().is_ok_and(|label| of.scaling().check(label).is_ok());
    let kept: Vec<usize> = (0..labels.len()).filter(|&row| in_domain(&labels[row])).collect();
    let y = Array2::from_shape_fn((kept.len(), of.shape().n_outputs), |(i, k)| match &labels[kept[i]] {
        Ok(label) => label.get(k).copied().unwrap_or(f64::NAN),
        Err(_) => f64::NAN,
    });
    Ok((x.select(Axis(0), &kept), Some(y)))
}

fn resumed(problem: &PlannedProblem, trial: &Trial, batches: &[Batch]) -> Result<Campaign, String> {
    Campaign::resume(
        problem.problem().space().clone(),
        std::sync::Arc::clone(trial.strategy()),
        problem.protocol(&trial.spec().protocol),
        trial.seeds(),
        batches,
    )
    .map_err(|error| error.to_string())
}

/// The initial batch and those that were asked for at the first `n_steps` steps, with their answers.
fn batches(
    problem: &PlannedProblem,
    trial: &Trial,
    run: &Run,
    records: &[EntryRecord],
    n_steps: usize,
) -> Result<Vec<Batch>, String> {
    let fresh = resumed(problem, trial, &[])?;
    let Pending::Label(initial) = fresh.pending() else { return Err("it has no initial points".into()) };
    let queries = run.queries().map_err(|error| error.to_string())?;
    let mut rows = Rows::of(problem);
    let mut all = vec![(initial.to_owned(), fresh.pending_candidate_rows().map(<[usize]>::to_vec))];
    if let Some(used) = fresh.pending_candidate_rows() {
        rows.take(used);
    }
    let mut first = 0;
    for record in &records[..n_steps] {
        let n = record.choice.as_ref().map_or(0, |choice| choice.n_queries);
        if first + n > queries.nrows() {
            return Err(format!("its records speak of {} queries, its file has {}", first + n, queries.nrows()));
        }
        let x = queries.slice(s![first..first + n, ..]).to_owned();
        let of_x = rows.find(x.view())?;
        all.push((x, of_x));
        first += n;
    }
    let points: Vec<ArrayView2<'_, f64>> = all.iter().map(|(x, _)| x.view()).collect();
    let points = concatenate(Axis(0), &points).map_err(|error| error.to_string())?;
    let mut answers = answers(problem, run, points.view())?.into_iter();
    let mut batches = Vec::with_capacity(all.len());
    for (b, (x, candidate_rows)) in all.into_iter().enumerate() {
        let mut of_batch: Vec<_> = answers.by_ref().take(x.nrows()).collect();
        // The store keeps of a failed label that there is none; why, the next record says.
        for failed in records.get(b).iter().flat_map(|record| &record.failed_labels) {
            if let Some(answer @ Err(_)) = of_batch.get_mut(failed.row) {
                *answer = Err(LabelFailure::new(LabelFailureKind::Missing, failed.message.clone()));
            }
        }
        batches.push(Batch { x, candidate_rows, answers: of_batch });
    }
    Ok(batches)
}

type Answer = Result<Vec<f64>, LabelFailure>;

/// The answers to points, which are the first that the run asked for: as the store kept them, of a built-in problem
/// anew.
fn answers(problem: &PlannedProblem, run: &Run, points: ArrayView2<'_, f64>) -> Result<Vec<Answer>, String> {
    let missing = || LabelFailure::new(LabelFailureKind::Missing, "no label was kept");
    if let Some(kept) = run.labels().map_err(|error| error.to_string())? {
        let (n, n_columns) = points.dim();
        if kept.nrows() < n || kept.ncols() < n_columns || kept.slice(s![..n, ..n_columns]) != points {
            return Err("its kept labels are of other points than its queries".into());
        }
        let answer = |row: ArrayView1<'_, f64>| {
            let label = row.slice(s![n_columns..]);
            if !label.is_empty() && label.iter().all(|v| v.is_finite()) { Ok(label.to_vec()) } else { Err(missing()) }
        };
        return Ok(kept.outer_iter().take(n).map(answer).collect());
    }
    if problem.problem().card().is_none() {
        return Err("it did not keep its labels".into());
    }
    let mut answers: Vec<Answer> = vec![Err(missing()); points.nrows()];
    let mut keep = every(|row, answer| {
        if let Some(place) = answers.get_mut(row) {
            *place = answer.map(<[f64]>::to_vec);
        }
    });
    let asked = problem.oracle().label(points, &Stop::new(), &mut keep);
    drop(keep);
    asked.map_err(|error| error.to_string())?;
    Ok(answers)
}

/// Rows of a list of candidates by their points.
struct Rows(Option<HashMap<Vec<u64>, VecDeque<usize>>>);

impl Rows {
    fn of(problem: &PlannedProblem) -> Self {
        Self(problem.split.as_ref().map(|split| {
            let mut rows: HashMap<Vec<u64>, VecDeque<usize>> = HashMap::new();
            for (row, point) in split.candidates.outer_iter().enumerate() {
                rows.entry(bits(point)).or_default().push_back(row);
            }
            rows
        }))
    }

    fn take(&mut self, used: &[usize]) {
        for rows in self.0.iter_mut().flat_map(HashMap::values_mut) {
            rows.retain(|row| !used.contains(row));
        }
    }

    fn find(&mut self, x: ArrayView2<'_, f64>) -> Result<Option<Vec<usize>>, String> {
        let Some(known) = &mut self.0 else { return Ok(None) };
        let row = |point| known.get_mut(&bits(point)).and_then(VecDeque::pop_front);
        let found: Option<Vec<usize>> = x.outer_iter().map(row).collect();
        found.map(Some).ok_or_else(|| "a query is no candidate of its problem: the table is another".to_owned())
    }
}

fn bits(x: ArrayView1<'_, f64>) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}

fn known_labels(batch: &Batch, n_outputs: usize) -> Array2<f64> {
    let mut labels = Array2::from_elem((batch.x.nrows(), n_outputs), f64::NAN);
    for (mut row, answer) in labels.outer_iter_mut().zip(&batch.answers) {
        row.iter_mut().zip(answer.iter().flatten()).for_each(|(place, value)| *place = *value);
    }
    labels
}

/// Every member's prediction at points, as strategies see it.
fn members(surrogate: &dyn Surrogate, points: ArrayView2<'_, f64>) -> Result<Option<Array3<f64>>, String> {
    let face = surrogate.model_units().map_or(surrogate, |units| units.surrogate);
    let Some(committee) = face.committee() else { return Ok(None) };
    let mut all = Array3::zeros((committee.n_members(), points.nrows(), face.n_outputs()));
    let taken = committee.members(points, CHUNK_ROWS, &mut |first, chunk| {
        all.slice_mut(s![.., first..first + chunk.len_of(Axis(1)), ..]).assign(&chunk);
    });
    taken.map_err(|error| error.to_string())?;
    Ok(Some(all))
}
