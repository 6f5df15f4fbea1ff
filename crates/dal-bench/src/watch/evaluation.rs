//! What a model is worth on the test set, and what a choice was worth: the numbers of a record.

use dal_core::{
    FitJob, Fitted, LearnError, Learner, ModelSpec, Moments, Needs, Oracle, Proposed, Stop, Surrogate, SurrogateError,
    every,
};
use dal_eval::{ErrorSummary, NormalScores, batch_diversity, rank_correlation};
use dal_store::{AuxiliaryRecord, Choice, EntryErrors, EntryRecord, UncertaintyRecord};
use ndarray::{Array2, ArrayView2, Axis, s};

use super::Halt;
use super::judged::{Yardstick, errors_record, member_record};

/// Pool points that the correlation of score and error is taken over, at most: a prefix of the pool, which is in random
/// order.
const RANKED_POINTS: usize = 400;
/// Rows of a committee's answer that are looked at together.
const CHUNK_ROWS: usize = 1024;

/// Judges the models and choices of a problem.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) yardstick: Yardstick<'a>,
    /// The oracle, where asking it about pool points that were not chosen costs next to nothing.
    pub(crate) cheap_oracle: Option<&'a dyn Oracle>,
}

fn on_test_set(error: &dyn std::fmt::Display) -> Halt {
    Halt::Evaluation(format!("evaluating on the test set: {error}"))
}

impl Evaluation<'_> {
    /// The record of a model, without the choice that is to come and the labels that failed before it.
    pub(super) fn entry(&self, fitted: &Fitted<'_>) -> Result<EntryRecord, Halt> {
        let (test, surrogate) = (self.yardstick.test, fitted.surrogate);
        let predicted = surrogate.mean(test.x.view()).map_err(|e| on_test_set(&e))?;
        let errors = summary(predicted.view(), test.y.view()).map_err(|e| on_test_set(&e))?;
        let judged = self.yardstick.judge(predicted.view()).map_err(|e| on_test_set(&e))?;
        let report = surrogate.training_report();
        let mut record = EntryRecord::new(fitted.entry, fitted.labelled.len(), errors);
        record.learned = judged.learned;
        record.output_errors = Some(errors_record(&judged.errors));
        record.members = report.map(|r| r.members.iter().map(member_record).collect()).unwrap_or_default();
        record.uncertainty = self.uncertainty(surrogate)?;
        if let Some(dropout) = surrogate.dropout() {
            let predicted = dropout.mean(test.x.view()).map_err(|e| on_test_set(&e))?;
            record.auxiliary_mse = Some(summary(predicted.view(), test.y.view()).map_err(|e| on_test_set(&e))?.mse);
            record.auxiliary = Some(AuxiliaryRecord {
                over_variance: self.yardstick.judge(predicted.view()).map_err(|e| on_test_set(&e))?.over_variance,
                members: report.and_then(|r| r.dropout.as_ref()).map(member_record).into_iter().collect(),
            });
        }
        Ok(record)
    }

    /// The ensemble's normal distribution against the test labels, each output in its deviations; `None` for a model
    /// that is never unsure, and where all outputs are constant.
    fn uncertainty(&self, surrogate: &dyn Surrogate) -> Result<Option<UncertaintyRecord>, Halt> {
        let Some(Moments { mean, variance }) = self.spread(surrogate).map_err(|e| on_test_set(&e))? else {
            return Ok(None);
        };
        let (labels, scales) = self.yardstick.pooling();
        let sd: Vec<f64> = scales.sd.iter().copied().filter(|sd| *sd > 0.0).collect();
        if sd.is_empty() {
            return Ok(None);
        }
        let of = |values: ArrayView2<'_, f64>| self.yardstick.varying(values);
        let scores = NormalScores::of(of(mean.view()).view(), of(variance.view()).view(), of(labels).view(), &sd);
        let NormalScores { nll, crps, coverage_90, rank_correlation, n_degenerate } =
            scores.map_err(|e| on_test_set(&e))?;
        Ok(Some(UncertaintyRecord { nll, crps, coverage_90, rank_correlation, n_degenerate }))
    }

    /// Mean and variance at the test points in the units that outputs are pooled in. Under a transform these are taken
    /// over the members' transformed predictions, so that a model without members has none.
    fn spread(&self, surrogate: &dyn Surrogate) -> Result<Option<Moments>, SurrogateError> {
        let x = self.yardstick.test.x.view();
        let committee = surrogate.committee();
        if committee.is_some_and(|committee| committee.n_members() < 2) {
            return Ok(None);
        }
        if !self.yardstick.is_transformed() {
            let Some(uncertainty) = surrogate.uncertainty() else { return Ok(None) };
            return Ok(Some(uncertainty.moments(x)?));
        }
        let Some(committee) = committee else { return Ok(None) };
        let shape = (x.nrows(), surrogate.n_outputs());
        let (mut mean, mut variance) = (Array2::zeros(shape), Array2::zeros(shape));
        committee.members(x, CHUNK_ROWS, &mut |first, members| {
            let n = members.len_of(Axis(0)) as f64;
            let members: Vec<Array2<f64>> =
                members.outer_iter().map(|member| self.yardstick.to_pooling(member)).collect();
            let zeros = || Array2::<f64>::zeros((members[0].nrows(), members[0].ncols()));
            let centre = members.iter().fold(zeros(), |sum, member| sum + member) / n;
            let squares = members.iter().fold(zeros(), |sum, member| sum + (member - &centre).mapv(|d| d * d)) / n;
            let rows = s![first..first + centre.nrows(), ..];
            mean.slice_mut(rows).assign(&centre);
            variance.slice_mut(rows).assign(&squares);
        })?;
        Ok(Some(Moments { mean, variance }))
    }

    /// The record of a choice.
    pub(super) fn choice(&self, proposed: &Proposed<'_>) -> Result<Choice, Halt> {
        let decision = proposed.decision;
        let (score_error_correlation, n_ranked) = match (&decision.proposal.scores, self.cheap_oracle) {
            (Some(scores), Some(oracle)) => {
                let n = decision.pool.nrows().min(RANKED_POINTS);
                let x = decision.pool.slice(s![..n, ..]);
                let errors = absolute_errors(x, oracle, proposed.surrogate)?;
                let scores: Vec<f64> = scores.iter().take(n).copied().collect();
                // Constant scores or errors have no ranks to compare: then there is no value.
                errors.and_then(|errors| Some((rank_correlation(&scores, &errors).ok()?, n))).unzip()
            }
            _ => (None, None),
        };
        Ok(Choice {
            n_pool: decision.pool.nrows(),
            n_queries: decision.queries.nrows(),
            diversity: batch_diversity(decision.queries.view()).ok(),
            score_error_correlation,
            n_ranked: n_ranked.unwrap_or(0),
            probabilities: decision.proposal.probabilities.iter().flatten().copied().collect(),
            notes: decision.notes.clone(),
        })
    }
}

fn summary(predicted: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> Result<EntryErrors, dal_eval::EvalError> {
    let errors = ErrorSummary::of(predicted, truth)?;
    Ok(EntryErrors { mse: errors.mse, mae: errors.mae, p95_abs: errors.p95_abs, max_abs: errors.max_abs })
}

/// The absolute error at each point, mean over outputs; `None` where the oracle gave no label for one.
fn absolute_errors(
    x: ArrayView2<'_, f64>,
    oracle: &dyn Oracle,
    surrogate: &dyn Surrogate,
) -> Result<Option<Vec<f64>>, Halt> {
    let failed = |error: &dyn std::fmt::Display| Halt::Evaluation(format!("evaluating on the pool: {error}"));
    let predicted = surrogate.mean(x).map_err(|e| failed(&e))?;
    let mut truth = Array2::from_elem(predicted.raw_dim(), f64::NAN);
    let mut keep = every(|row, answer| {
        if let Ok(label) = answer
            && label.len() == truth.ncols()
        {
            truth.row_mut(row).assign(&ndarray::aview1(label));
        }
    });
    oracle.label(x, &Stop::new(), &mut keep).map_err(|e| failed(&e))?;
    drop(keep);
    let errors = (&predicted - &truth).mapv(f64::abs).mean_axis(Axis(1));
    Ok(errors.map(|errors| errors.to_vec()).filter(|errors| errors.iter().all(|e| e.is_finite())))
}

/// Evaluation asks an ensemble for its members, whatever the strategy asks for. That costs an ensemble nothing; of
/// models of other kinds what they offer is taken.
pub(crate) fn granting_committee(learner: Box<dyn Learner>, model: &ModelSpec) -> Box<dyn Learner> {
    if model.as_mlp().is_some() { Box::new(Granting(learner)) } else { learner }
}

struct Granting(Box<dyn Learner>);

impl Learner for Granting {
    fn platform(&self) -> String {
        self.0.platform()
    }

    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let needs: Vec<Needs> =
            jobs.iter().map(|job| Needs { uncertainty: true, committee: true, ..job.needs.clone() }).collect();
        let jobs: Vec<FitJob<'_>> =
            jobs.iter().zip(&needs).map(|(job, needs)| FitJob { needs, ..job.clone() }).collect();
        self.0.fit_all(&jobs, stop)
    }
}
