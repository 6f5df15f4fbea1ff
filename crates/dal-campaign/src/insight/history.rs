//! What the log shows by itself: points with their places, predictions made before learning, errors over the labels.

use ndarray::ArrayView1;
use serde::Serialize;

use super::axes::{Axis, AxisKind, Shown};
use crate::draw::predictions;
use crate::error::CampaignError;
use crate::estimate::{Estimated, in_deviations, mean_answer};
use crate::feasible::larger_share;
use crate::folder::Folder;
use crate::model::Model;
use crate::state::{Part, Point, Status};
use crate::words::Predicted;

/// Standard errors by which failed and answered points must differ in an input.
const ERRORS: f64 = 2.5;
/// Points of either kind without which there is nothing to tell apart.
const FEWEST: usize = 3;

/// A point in a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacedPoint {
    /// Its number.
    pub id: u64,
    /// Its position along each input.
    pub at: Vec<f64>,
    /// Its state, as tables have it.
    pub status: &'static str,
    /// Why it failed, as records name it.
    pub failure: Option<String>,
}

/// How failed points differ from answered ones in an input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Failing {
    /// In a share of all pairs of a failed and an answered point the failed one has the larger value (ties count half).
    Larger {
        /// The share.
        share: f64,
    },
    /// The share of each level's resolved points that failed, with how many they are.
    Levels {
        /// Of each level.
        shares: Vec<(String, f64, usize)>,
    },
}

/// An answered point with what a model that has not learned it says there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foretold {
    /// Its number.
    pub id: u64,
    /// Its round.
    pub round: usize,
    /// Whether it stands for the whole domain: held out, or of an audit.
    pub uniform: bool,
    /// Whether it is of an audit, whose points no model learns; the others were predicted when they were drawn.
    pub audit: bool,
    /// Of each shown output what was predicted, in its unit.
    pub predicted: Vec<f64>,
    /// Of each shown output the members' standard deviation; none of the mean of all.
    pub sd: Vec<Option<f64>>,
    /// Of each shown output what was measured, the mean where it was repeated.
    pub measured: Vec<f64>,
}

/// The errors that one round tells of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrendEntry {
    /// The round.
    pub round: usize,
    /// Labels of the model that drew it.
    pub n_labelled: usize,
    /// Of each shown output the root mean squared error in cross-validation, in its unit.
    pub validated: Option<Vec<Option<f64>>>,
    /// The root of the mean over outputs of the share of the variance that is not explained in cross-validation.
    pub validated_overall: Option<f64>,
    /// Of each shown output the root mean squared error of the predictions of this round's own points.
    pub foretold: Option<Vec<f64>>,
    /// The same over all outputs, in standard deviations.
    pub foretold_overall: Option<f64>,
    /// Of each shown output the error over the whole domain by the round's draws, with its interval.
    pub drawn: Option<Vec<Option<Interval>>>,
    /// The same over all outputs, in standard deviations.
    pub drawn_overall: Option<Interval>,
}

/// An error with the ends of its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The error.
    pub value: f64,
    /// Its ends, where there are any.
    pub ends: Option<(f64, f64)>,
}

impl From<&Estimated> for Interval {
    fn from(of: &Estimated) -> Self {
        Self { value: of.rmse, ends: of.interval }
    }
}

/// A point of a round with the reasons for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AskedPoint {
    /// Its number.
    pub id: u64,
    /// Its round.
    pub round: usize,
    /// The round's rule.
    pub rule: String,
    /// What it is for: `learned`, `held out`, `audit`.
    pub part: &'static str,
    /// Its physical values.
    pub x: Vec<String>,
    /// Its state.
    pub status: &'static str,
    /// The members' disagreement there, in model units.
    pub disagreement: Option<f64>,
    /// The distance on the unit box to the nearest known point.
    pub distance: Option<f64>,
    /// The probability of the draw.
    pub probability: Option<f64>,
    /// How many candidates it was chosen among.
    pub candidates: usize,
}

pub(crate) fn points(folder: &Folder, axes: &[Axis]) -> Vec<PlacedPoint> {
    let placed = |point: &Point| {
        let at: Option<Vec<f64>> = axes.iter().zip(&point.x).map(|(axis, cell)| axis.position(cell)).collect();
        let failure = match point.status() {
            Status::Failed => point.failure.as_ref(),
            Status::Lost => point.loss.as_ref(),
            _ => None,
        };
        Some(PlacedPoint {
            id: point.id,
            at: at?,
            status: point.status().id(),
            failure: failure.map(|failure| failure.kind.clone()),
        })
    };
    folder.state().points().filter(|point| point.status() != Status::Withdrawn).filter_map(placed).collect()
}

pub(crate) fn failing(folder: &Folder, axes: &[Axis]) -> Vec<Option<Failing>> {
    let of =
        |status: Status| -> Vec<&Point> { folder.state().points().filter(|point| point.status() == status).collect() };
    let (failed, answered) = (of(Status::Failed), of(Status::Done));
    let of_input = |(i, axis): (usize, &Axis)| {
        if !axis.varies() || failed.len() < FEWEST || answered.len() < FEWEST {
            return None;
        }
        let positions = |points: &[&Point]| -> Vec<f64> {
            points.iter().filter_map(|point| axis.position(point.x.get(i)?)).collect()
        };
        let (bad, good) = (positions(&failed), positions(&answered));
        match &axis.kind {
            AxisKind::Levels { names } => levels(names, &bad, &good),
            _ => larger(&bad, &good),
        }
    };
    axes.iter().enumerate().map(of_input).collect()
}

/// Levels with the shares of failed points, where the shares differ: the largest and the smallest by two and a half
/// standard errors of their difference.
fn levels(names: &[String], bad: &[f64], good: &[f64]) -> Option<Failing> {
    let count = |of: &[f64], level: usize| of.iter().filter(|v| **v == level as f64).count();
    let shares: Vec<(String, f64, usize)> = names
        .iter()
        .enumerate()
        .map(|(level, name)| (name.clone(), count(bad, level), count(bad, level) + count(good, level)))
        .filter(|(_, _, n)| *n > 0)
        .map(|(name, failed, n)| (name, failed as f64 / n as f64, n))
        .collect();
    let most = shares.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let least = shares.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let all = bad.len() as f64 / (bad.len() + good.len()) as f64;
    let error = (all * (1.0 - all) * (1.0 / most.2 as f64 + 1.0 / least.2 as f64)).sqrt();
    (most.1 - least.1 > ERRORS * error).then_some(Failing::Levels { shares })
}

/// The share of pairs in which the failed point has the larger value, where it differs from one half by two and a half
/// times the standard error that it has by chance.
fn larger(bad: &[f64], good: &[f64]) -> Option<Failing> {
    let (share, chance) = larger_share(bad, good);
    ((share - 0.5).abs() > ERRORS * chance).then_some(Failing::Larger { share })
}

/// An answered point as a model predicted it, in the shown outputs; none without an answer that a model can learn.
fn compared(folder: &Folder, shown: &[Shown], point: &Point, round: usize, predicted: &Predicted) -> Option<Foretold> {
    let answer = mean_answer(&folder.usable(point))?;
    let value = |of: &[f64]| -> Vec<f64> {
        shown.iter().map(|shown| shown.back(shown.learned(ArrayView1::from(of)))).collect()
    };
    Some(Foretold {
        id: point.id,
        round,
        uniform: point.part != Part::Learned,
        audit: point.part == Part::Audit,
        predicted: value(&predicted.mean),
        sd: shown.iter().map(|shown| predicted.sd.get(shown.output?).copied()).collect(),
        measured: value(&answer),
    })
}

pub(crate) fn foretold(folder: &Folder, shown: &[Shown]) -> Vec<Foretold> {
    let state = folder.state();
    let mut found = Vec::new();
    for round in state.rounds() {
        found.extend(round.all().filter_map(|drawn| {
            compared(folder, shown, state.point(drawn.id)?, round.round, drawn.predicted.as_ref()?)
                .filter(|of| !of.audit)
        }));
    }
    found
}

/// The answered points of audits as a model predicts them. Nothing predicted them when they were drawn, but no model
/// learns them, so that each may say what it thinks of them at any time.
pub(crate) fn audited(folder: &Folder, model: &Model, shown: &[Shown]) -> Result<Vec<Foretold>, CampaignError> {
    let is_judge = |point: &&Point| point.part == Part::Audit && !point.answers.is_empty();
    let judges = folder.state().points().filter(is_judge);
    let placed: Vec<(&Point, usize, &[f64])> =
        judges.filter_map(|point| Some((point, point.drawn?.0, point.unit.as_deref()?))).collect();
    if placed.is_empty() {
        return Ok(Vec::new());
    }
    let x = folder.subject().array(placed.iter().map(|(_, _, unit)| *unit));
    let predicted = predictions(&*model.surrogate, &x)?;
    let of = |((point, round, _), predicted): (&(&Point, usize, &[f64]), &Predicted)| {
        compared(folder, shown, point, *round, predicted)
    };
    Ok(placed.iter().zip(&predicted).filter_map(of).collect())
}

pub(crate) fn trend(folder: &Folder, shown: &[Shown]) -> Vec<TrendEntry> {
    let estimates = folder.estimates_of(&|j| shown.iter().any(|shown| shown.output == Some(j)));
    let spread = folder.spread();
    let state = folder.state();
    let rounds = state.rounds().iter().filter(|round| round.is_chosen());
    rounds
        .map(|round| {
            let judged = estimates.rounds.iter().find(|estimate| estimate.round == round.round);
            let answer = |id: u64| mean_answer(&folder.usable(state.point(id)?));
            let answered: Vec<_> =
                round.points.iter().filter_map(|drawn| Some((drawn.predicted.as_ref()?, answer(drawn.id)?))).collect();
            let n = answered.len() as f64;
            let root = |values: Vec<f64>| (values.iter().sum::<f64>() / values.len() as f64).sqrt();
            let of_shown = |shown: &Shown| {
                let value = |of: &[f64]| shown.back(shown.learned(ArrayView1::from(of)));
                root(answered.iter().map(|(f, y)| (value(&f.mean) - value(y)).powi(2)).collect())
            };
            let overall: Vec<f64> = answered.iter().filter_map(|(f, y)| in_deviations(&spread, &f.mean, y)).collect();
            let errors = round.errors.as_ref();
            TrendEntry {
                round: round.round,
                n_labelled: round.n_labelled,
                validated: errors
                    .map(|errors| shown.iter().map(|shown| errors.rmse.get(shown.output?).copied()).collect()),
                validated_overall: errors.and_then(|errors| unexplained(&errors.r2)),
                foretold: (n > 0.0).then(|| shown.iter().map(of_shown).collect()),
                foretold_overall: (!overall.is_empty()).then(|| root(overall)),
                drawn: judged.map(|estimate| {
                    shown.iter().map(|shown| Some(Interval::from(estimate.outputs.get(shown.output?)?))).collect()
                }),
                drawn_overall: judged.and_then(|estimate| estimate.relative.as_ref()).map(Interval::from),
            }
        })
        .collect()
}

/// The root of the mean over outputs of 1 − R²; none where none is known.
pub fn unexplained(r2: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = r2.iter().flatten().map(|r2| 1.0 - r2).collect();
    (!known.is_empty()).then(|| (known.iter().sum::<f64>() / known.len() as f64).max(0.0).sqrt())
}

pub(crate) fn asked(folder: &Folder) -> Vec<AskedPoint> {
    let state = folder.state();
    let mut found = Vec::new();
    for round in state.rounds() {
        for drawn in round.all() {
            let Some(point) = state.point(drawn.id) else { continue };
            found.push(AskedPoint {
                id: drawn.id,
                round: round.round,
                rule: round.rule.clone(),
                part: match point.part {
                    Part::Learned => "learned",
                    Part::HeldOut => "held out",
                    Part::Audit => "audit",
                },
                x: drawn.x.iter().map(ToString::to_string).collect(),
                status: point.status().id(),
                disagreement: drawn.disagreement,
                distance: drawn.distance,
                probability: drawn.probability,
                candidates: round.candidates.n,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_points_differ_where_they_do() {
        let good: Vec<f64> = (0..20).map(f64::from).collect();
        let bad: Vec<f64> = (15..25).map(f64::from).collect();
        let Some(Failing::Larger { share }) = larger(&bad, &good) else { panic!("they differ") };
        let wins = bad
            .iter()
            .map(|b| good.iter().map(|g| f64::from(u8::from(b > g)) + f64::from(u8::from(b == g)) / 2.0).sum::<f64>());
        assert!((share - wins.sum::<f64>() / 200.0).abs() < 1e-12 && share > 0.9);
        assert_eq!(larger(&good[5..15], &good), None);
        let names = ["oak".to_owned(), "steel".to_owned(), "brass".to_owned()];
        let Some(Failing::Levels { shares }) = levels(&names, &[0.0; 8], &[[0.0; 2], [1.0; 2], [1.0; 2]].concat())
        else {
            panic!("they differ")
        };
        assert_eq!(shares, [("oak".into(), 0.8, 10), ("steel".into(), 0.0, 4)]);
        assert_eq!(levels(&names, &[0.0, 1.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn what_is_not_explained_is_a_mean_over_outputs() {
        assert_eq!(unexplained(&[Some(1.0), None, Some(0.5)]), Some(0.5));
        assert_eq!(unexplained(&[None]), None);
    }
}
