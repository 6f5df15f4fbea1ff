//! Predictions at points of a table, with a mark where they lie outside what was seen, and how likely a point is to
//! have an answer.

use dal_core::Stop;
use dal_files::{Note, Source, points};
use ndarray::{Array2, ArrayView2, Axis};

use crate::calibration::{Calibration, interval};
use crate::draw::predictions;
use crate::error::CampaignError;
use crate::feasible::Feasibility;
use crate::folder::Folder;
use crate::model::{Model, Trainer};
use crate::subject::distance;
use crate::words::{Cell, Predicted};

/// Rows that are predicted at one time.
const CHUNK: usize = 4096;

/// Predictions, one for each row of a table.
pub struct Predictions {
    /// The rows in order; a row that is no point of the problem is the reason why.
    pub rows: Vec<Result<Prediction, String>>,
    /// The model.
    pub model: Model,
    /// How disagreement became intervals; none below forty answered draws.
    pub calibration: Option<Calibration>,
    /// How often the likelier of an answered and a failed point is the answered one, in cross-validation; none while
    /// that is no better than chance, and nothing is said of answers then.
    pub auc: Option<f64>,
    /// What was assumed of the table.
    pub notes: Vec<Note>,
}

/// The prediction at one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The point's physical values.
    pub x: Vec<Cell>,
    /// Mean and members' standard deviation of each output, in its own units.
    pub predicted: Predicted,
    /// Of each output an interval at [`LEVEL`](crate::estimate::LEVEL); empty before there is a calibration.
    pub intervals: Vec<Option<(f64, f64)>>,
    /// Whether the point lies outside what was seen: beyond the smallest or largest value of an input among the
    /// labelled points, or farther from all of them than any of them is from its nearest neighbour.
    pub outside: bool,
    /// The probability that the point has an answer, by the answered and failed points nearest to it; none where these
    /// do not tell failures apart better than chance.
    pub answers: Option<f64>,
}

impl Folder {
    /// Predicts at the points of a table, which has the inputs' columns, or `x0`, `x1`, … of the unit box.
    ///
    /// # Errors
    /// A table that cannot be read, no labels to learn from, a training that fails.
    pub fn predict(&self, source: Source, trainer: Trainer<'_>, stop: &Stop) -> Result<Predictions, CampaignError> {
        let (table, notes) = points(source, &self.subject().inputs())?;
        let model = self.model(trainer, stop)?;
        let seen = Seen::of(self)?;
        let calibration = self.calibration();
        let factors = calibration.as_ref().map_or(&[][..], |calibration| &calibration.factors);
        let feasibility = Feasibility::of(self.state(), self.subject().scaling());
        let transforms = self.transforms();
        let n = table.x.nrows();
        let mut rows: Vec<Result<Prediction, String>> = Vec::with_capacity(n);
        let mut outside = table.outside.iter().peekable();
        for first in (0..n).step_by(CHUNK) {
            let chunk: Vec<usize> = (first..(first + CHUNK).min(n)).collect();
            let mut x = table.x.select(Axis(0), &chunk);
            // Rows that are no points hold zeros, which need not be admitted.
            x.assign(&self.subject().space().project(x.view())?);
            let predicted = predictions(&*model.surrogate, &x)?;
            for ((row, point), predicted) in chunk.into_iter().zip(x.outer_iter()).zip(predicted) {
                if let Some((_, reason)) = outside.next_if(|(bad, _)| *bad == row) {
                    rows.push(Err(reason.clone()));
                    continue;
                }
                let x = self.subject().cells(point)?;
                let moments = predicted.mean.iter().zip(&predicted.sd);
                let intervals = factors.iter().zip(&transforms).zip(moments);
                let intervals = intervals
                    .map(|((factor, transform), (mean, sd))| interval(*transform, (*factor)?, *mean, *sd))
                    .collect();
                let outside = seen.is_outside(point.iter().copied());
                let answers = feasibility.as_ref().map(|model| model.answers(&point.to_vec()));
                rows.push(Ok(Prediction { x, predicted, intervals, outside, answers }));
            }
        }
        Ok(Predictions { rows, model, calibration, auc: feasibility.map(|model| model.auc), notes })
    }
}

/// The labelled points, and how far they reach.
struct Seen {
    x: Array2<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    /// The largest distance of a labelled point to its nearest neighbour.
    reach: f64,
}

impl Seen {
    fn of(folder: &Folder) -> Result<Self, CampaignError> {
        let labelled = folder.snapshot().labelled()?;
        let x = labelled.map_or_else(
            || Array2::zeros((0, folder.subject().shape().n_inputs)),
            |(labelled, _)| labelled.x().to_owned(),
        );
        let fold =
            |f: fn(f64, f64) -> f64, start| x.columns().into_iter().map(|c| c.iter().copied().fold(start, f)).collect();
        let (low, high) = (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY));
        let reach = reach(x.view());
        Ok(Self { x, low, high, reach })
    }

    fn is_outside(&self, point: impl Iterator<Item = f64> + Clone) -> bool {
        let bounds = self.low.iter().zip(&self.high);
        if point.clone().zip(bounds).any(|(v, (low, high))| v < *low || v > *high) {
            return true;
        }
        let point: Vec<f64> = point.collect();
        !self.x.outer_iter().any(|known| distance(known.iter(), &point) <= self.reach)
    }
}

/// The largest distance of a point to its nearest other one that is not the same; infinite for fewer than two.
fn reach(x: ArrayView2<'_, f64>) -> f64 {
    let nearest = |i: usize| {
        let others = x.outer_iter().enumerate().filter(|(j, _)| *j != i);
        let distances = others.map(|(_, other)| distance(x.row(i).iter(), other.iter())).filter(|d| *d > 0.0);
        distances.min_by(f64::total_cmp)
    };
    (0..x.nrows()).filter_map(nearest).max_by(f64::total_cmp).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn outside_is_beyond_an_inputs_values_or_far_from_every_point() {
        let x = array![[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.0, 0.5], [1.0, 1.0]];
        let reach = reach(x.view());
        assert!((reach - 1.25_f64.sqrt()).abs() < 1e-12, "{reach}");
        let seen = Seen { x, low: vec![0.0; 2], high: vec![1.0; 2], reach: 0.5 };
        let outside = |a: f64, b: f64| seen.is_outside([a, b].into_iter());
        assert!(outside(-0.1, 0.0) && outside(0.0, 1.1) && outside(0.8, 0.45));
        assert!(!outside(0.1, 0.1) && !outside(1.0, 0.6));
        assert_eq!(super::reach(array![[0.0], [0.0]].view()), f64::INFINITY);
    }
}
