//! What a round of draws says about the error of the model that drew it, over the whole domain.
//!
//! A batch that was chosen for its uncertainty is harder than the domain. Where its points were *drawn*, each with a
//! known probability, the weights of `dal_eval::lure_weights` undo that. The estimate is of one fixed model, "the model
//! of 280 labels", from the predictions that were logged when the points were drawn: what was trained or chosen since
//! cannot touch it, and the model trained since has none yet.
//!
//! A plain t interval of so few and so skewed losses misses the truth above its upper end far too often (it covers 67
//! to 89 % instead of 90 at twenty draws); these are bootstrap-t intervals of the logarithm.

use dal_core::OutputTransform;
use dal_eval::{FEWEST_DRAWS, answered_loss, log_bootstrap_interval, lure_weights, weighted_loss};

use crate::draw::INITIAL;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::state::Status;
use crate::words::{Cell, Round};

/// Rounds that the shown figure pools: "the mean error of the last five models".
pub const POOLED_ROUNDS: usize = 5;

/// Share of a round that may be without an answer, or withdrawn, before its estimate is called incomplete.
pub const MOST_UNRESOLVED: f64 = 0.05;

/// Level of the intervals.
pub const LEVEL: f64 = 0.9;

/// Answers that the spread of an output is taken from at least, before all answers are taken.
const FEWEST_SPREAD: usize = 10;

/// An error with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimated {
    /// The root of the estimated mean squared error.
    pub rmse: f64,
    /// Ends of the two-sided interval at [`LEVEL`]; the upper one is a one-sided limit at (1 + [`LEVEL`]) / 2. None
    /// below ten answered draws, or where all losses are equal.
    pub interval: Option<(f64, f64)>,
}

/// What one round says about the model that drew it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundEstimate {
    /// The round.
    pub round: usize,
    /// Labels of the model that is judged.
    pub n_labelled: usize,
    /// Draws of the round.
    pub drawn: usize,
    /// Draws with an answer.
    pub answered: usize,
    /// Draws that failed for the point's sake.
    pub failed: usize,
    /// Draws that were withdrawn or have no answer yet.
    pub open: usize,
    /// Estimated share of the domain that has an answer.
    pub answered_share: f64,
    /// Inputs that were held fixed: the figures speak of that slice alone.
    pub fixed: Vec<(String, Cell)>,
    /// Of each output its root mean squared error over the answered part of the domain, in its unit.
    pub outputs: Vec<Estimated>,
    /// The root of the mean over outputs of the squared error in the output's standard deviations (of transformed
    /// values where the problem transforms it): 1 is what the best constant scores.
    pub relative: Option<Estimated>,
}

impl RoundEstimate {
    /// Whether more than [`MOST_UNRESOLVED`] of the round is open: then no rule may stop on it.
    pub fn is_incomplete(&self) -> bool {
        self.open as f64 > MOST_UNRESOLVED * self.drawn as f64
    }
}

/// The estimates of a campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimates {
    /// Of every round that was drawn with known probabilities and has an answer, in order.
    pub rounds: Vec<RoundEstimate>,
    /// The mean relative error of the last [`POOLED_ROUNDS`] complete rounds' models, and how many they are.
    pub pooled: Option<(Estimated, usize)>,
}

/// Weights and losses of one round.
struct Losses {
    /// LURE weights of all draws, in order.
    weights: Vec<f64>,
    /// Squared errors of each output in its unit; none where there is no answer.
    squared: Vec<Option<Vec<f64>>>,
    /// Mean over outputs of the squared error in standard deviations.
    relative: Vec<Option<f64>>,
    /// Candidates, where they are themselves a sample of the domain.
    n_pool: Option<usize>,
}

impl Folder {
    /// The card of the rule that chooses.
    ///
    /// # Errors
    /// A rule that there is not.
    pub fn card(&self) -> Result<&'static dal_acq::Card, CampaignError> {
        Ok(dal_acq::card(&self.settings().strategy)?)
    }

    /// What the rounds say about the models that drew them. Nothing is trained for it.
    pub fn estimates(&self) -> Estimates {
        let spread = self.spread();
        let mut found: Vec<(RoundEstimate, Losses)> = Vec::new();
        for round in self.state().rounds() {
            let Some(losses) = self.losses(round, &spread) else { continue };
            let answered = losses.squared.iter().flatten().count();
            if answered == 0 {
                continue;
            }
            let has_failed = |id| self.state().point(id).is_some_and(|point| point.status() == Status::Failed);
            let failed = round.points.iter().filter(|drawn| has_failed(drawn.id)).count();
            let column = |j: usize| -> Vec<Option<f64>> {
                losses.squared.iter().map(|squared| squared.as_ref().map(|values| values[j])).collect()
            };
            let n_outputs = self.subject().outputs().len();
            let outputs: Option<Vec<Estimated>> =
                (0..n_outputs).map(|j| estimated(&losses.weights, &column(j), losses.n_pool, round.round)).collect();
            let Some(outputs) = outputs else { continue };
            let Ok(share) = answered_loss(&losses.weights, &column(0)) else { continue };
            let relative = estimated(&losses.weights, &losses.relative, losses.n_pool, round.round);
            let estimate = RoundEstimate {
                round: round.round,
                n_labelled: round.n_labelled,
                drawn: round.points.len(),
                answered,
                failed,
                open: round.points.len() - answered - failed,
                answered_share: share.answered,
                fixed: round.fixed.clone(),
                outputs,
                relative,
            };
            found.push((estimate, losses));
        }
        let pooled = pooled(&found);
        Estimates { rounds: found.into_iter().map(|(estimate, _)| estimate).collect(), pooled }
    }

    /// Weights and losses of a round; none where it was not drawn with known probabilities from candidates that stand
    /// for the domain, or no model predicted.
    fn losses(&self, round: &Round, spread: &[(OutputTransform, Option<f64>)]) -> Option<Losses> {
        if round.candidates.thinned.as_ref().is_some_and(|thinned| thinned.n > 0) {
            return None;
        }
        let q: Option<Vec<f64>> = round.points.iter().map(|point| point.probability).collect();
        let weights = lure_weights(&q?, round.candidates.n).ok()?;
        let (mut squared, mut relative) = (Vec::new(), Vec::new());
        for drawn in &round.points {
            let predicted = drawn.predicted.as_ref()?;
            let answer = self.state().point(drawn.id).and_then(|point| mean_answer(&point.answers));
            squared.push(
                answer.as_ref().map(|answer| {
                    predicted.mean.iter().zip(answer).map(|(f, y)| (f - y) * (f - y)).collect::<Vec<f64>>()
                }),
            );
            relative.push(answer.and_then(|answer| {
                let terms: Vec<f64> = spread
                    .iter()
                    .zip(predicted.mean.iter().zip(&answer))
                    .filter_map(|((transform, sd), (f, y))| {
                        let gap = transform.forward(*f) - transform.forward(*y);
                        sd.map(|sd| gap * gap / (sd * sd))
                    })
                    .collect();
                (!terms.is_empty()).then(|| terms.iter().sum::<f64>() / terms.len() as f64)
            }));
        }
        // A list is the domain itself; drawn candidates are a sample of it.
        let n_pool = (!round.candidates.stream.is_empty()).then_some(round.candidates.n);
        Some(Losses { weights, squared, relative, n_pool })
    }

    /// Of each output its transform, and its standard deviation over the answers of points that fill the space (all
    /// answers, where these are few); none where they are all equal.
    fn spread(&self) -> Vec<(OutputTransform, Option<f64>)> {
        let fills = |rule: &str| [INITIAL, "random", "sobol", "lhs"].contains(&rule);
        let filling: Vec<u64> = (self.state().rounds().iter().filter(|round| fills(&round.rule)))
            .flat_map(|round| round.points.iter().map(|point| point.id))
            .collect();
        let of = |ids: &dyn Fn(u64) -> bool| -> Vec<Vec<f64>> {
            let points = self.state().points().filter(|point| ids(point.id));
            points.filter_map(|point| mean_answer(&point.answers)).collect()
        };
        let mut answers = of(&|id| filling.contains(&id));
        if answers.len() < FEWEST_SPREAD {
            answers = of(&|_| true);
        }
        let scaling = self.subject().scaling();
        let transform = |j: usize| scaling.outputs().get(j).map_or(OutputTransform::None, |units| units.transform);
        (0..self.subject().outputs().len())
            .map(|j| {
                let values: Vec<f64> =
                    answers.iter().map(|answer| transform(j).forward(answer[j])).filter(|z| z.is_finite()).collect();
                let n = values.len() as f64;
                let mean = values.iter().sum::<f64>() / n;
                let sd = (values.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n).sqrt();
                (transform(j), (sd > 0.0 && sd.is_finite()).then_some(sd))
            })
            .collect()
    }
}

/// The mean of a point's answers.
fn mean_answer(answers: &[Vec<f64>]) -> Option<Vec<f64>> {
    let first = answers.first()?;
    let n = answers.len() as f64;
    Some((0..first.len()).map(|j| answers.iter().map(|values| values[j]).sum::<f64>() / n).collect())
}

/// The root of the weighted mean loss, and its interval; over the answered part where some draws have no answer.
fn estimated(weights: &[f64], losses: &[Option<f64>], n_pool: Option<usize>, round: usize) -> Option<Estimated> {
    let (weights, losses) = answered(weights, losses);
    with_interval(&weights, &losses, n_pool, round)
}

/// Weights and losses of the answered draws. Where there are others the weights are made to have the mean 1, so that
/// the weighted mean is Σ v S L / Σ v S; where there are none it is (1 / M) Σ v L.
fn answered(weights: &[f64], losses: &[Option<f64>]) -> (Vec<f64>, Vec<f64>) {
    let n = weights.len();
    let (weights, losses): (Vec<f64>, Vec<f64>) =
        weights.iter().zip(losses).filter_map(|(v, loss)| loss.map(|loss| (*v, loss))).unzip();
    let mean = if losses.len() == n { 1.0 } else { weights.iter().sum::<f64>() / weights.len() as f64 };
    (weights.into_iter().map(|v| v / mean).collect(), losses)
}

fn with_interval(weights: &[f64], losses: &[f64], n_pool: Option<usize>, round: usize) -> Option<Estimated> {
    let loss = weighted_loss(weights, losses).ok()?;
    let enough = losses.len() >= FEWEST_DRAWS;
    // The stream of the resamples is the round's number: the same figures at every call.
    let interval = enough.then(|| log_bootstrap_interval(weights, losses, n_pool, LEVEL, round as u64).ok()).flatten();
    let root = |v: f64| v.max(0.0).sqrt();
    let interval = interval.map(|interval| (root(interval.lower), root(interval.upper)));
    Some(Estimated { rmse: root(loss), interval })
}

/// The mean relative error of the last complete rounds' models.
fn pooled(found: &[(RoundEstimate, Losses)]) -> Option<(Estimated, usize)> {
    let last = found.iter().rev().filter(|(estimate, _)| !estimate.is_incomplete());
    let mut rounds: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    let (mut newest, mut n_pool) = (0, Some(usize::MAX));
    for (estimate, losses) in last.filter(|(estimate, _)| estimate.relative.is_some()).take(POOLED_ROUNDS) {
        rounds.push(answered(&losses.weights, &losses.relative));
        newest = newest.max(estimate.round);
        n_pool = n_pool.zip(losses.n_pool).map(|(a, b)| a.min(b));
    }
    let n = rounds.len();
    let total: usize = rounds.iter().map(|(_, losses)| losses.len()).sum();
    let (mut weights, mut all) = (Vec::new(), Vec::new());
    for (v, losses) in &rounds {
        // Every model counts alike, whatever the size of its round: the mean over all terms is the mean of the rounds'
        // means.
        let factor = total as f64 / (n * losses.len()) as f64;
        weights.extend(v.iter().map(|v| v * factor));
        all.extend_from_slice(losses);
    }
    Some((with_interval(&weights, &all, n_pool, newest)?, n))
}
