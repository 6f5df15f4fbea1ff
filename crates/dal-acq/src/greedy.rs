//! The drivers that greedy rules share: coverings, and sums of rescaled terms with a distance among them.

use dal_core::{Step, StrategyError};
use dal_geom::{Covering, NearestCentre, PointSet, Space};
use ndarray::{Array1, ArrayView2};

use crate::Selection;
use crate::rule::{check_scores, geometry};

/// Largest work, in coordinate differences (pool points × centres × coordinates), for which a covering also works out the
/// score of every pool point, which only the record of a run wants: about half a second.
const SCORED_WORK: usize = 8_000_000_000;

/// Pool and labelled points in one space.
pub(crate) fn space(pool: ArrayView2<'_, f64>, labelled: ArrayView2<'_, f64>) -> Result<Space, StrategyError> {
    let pool = PointSet::new("pool", pool).map_err(geometry)?;
    let labelled = PointSet::new("labelled set", labelled).map_err(geometry)?;
    Space::new(pool, labelled).map_err(geometry)
}

/// The space of the inputs.
pub(crate) fn input_space(step: &Step<'_>) -> Result<Space, StrategyError> {
    space(step.pool(), step.labelled().x())
}

/// The space of the outputs: predictions at the pool, answers of the labelled set.
pub(crate) fn output_space(step: &Step<'_>) -> Result<Space, StrategyError> {
    let mean = step.mean()?;
    check_predictions(mean.view())?;
    space(mean.view(), step.labelled().y())
}

/// Predictions that decide a pick must be finite; the first that is not counts as its row's score.
fn check_predictions(mean: ArrayView2<'_, f64>) -> Result<(), StrategyError> {
    match mean.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, _), &value)) => Err(StrategyError::NonFiniteScore { row, value }),
        None => Ok(()),
    }
}

/// Greedy covering by the root of the product of the squared distances over the spaces.
pub(crate) fn cover(spaces: Vec<Space>, n: usize) -> Result<Selection, StrategyError> {
    let work: usize = spaces.iter().map(Space::work).fold(0, usize::saturating_add);
    let (mut covering, scores) = if work <= SCORED_WORK {
        let nearest = NearestCentre::new(spaces).map_err(geometry)?;
        let scores: Array1<f64> = nearest.separations().iter().map(|s| s.sqrt()).collect();
        check_scores(&scores)?;
        (Covering::resume(nearest).map_err(geometry)?, Some(scores))
    } else {
        (Covering::new(spaces).map_err(geometry)?, None)
    };
    let mut selection = Selection { scores, ..Selection::default() };
    let mut picked_scores = Vec::with_capacity(n);
    for pick in std::iter::from_fn(|| covering.pick()).take(n) {
        if !pick.separation.is_finite() {
            return Err(StrategyError::NonFiniteScore { row: pick.index, value: pick.separation });
        }
        selection.picked.push(pick.index);
        picked_scores.push(pick.separation.sqrt());
    }
    selection.picked_scores = Some(picked_scores);
    Ok(selection)
}

/// How the terms of a sum are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rescale {
    /// To [0, 1] over the remaining pool at every pick.
    Minmax,
    /// Not at all.
    Raw,
}

/// A term whose values are known before the first pick and are rescaled over the remaining pool at every pick.
pub(crate) struct Moving<'a> {
    /// What a note calls it.
    pub name: &'static str,
    /// A value per pool point, finite.
    pub values: &'a [f64],
    /// A spread at or below this is rounding, and the term constant.
    pub tolerance: f64,
}

/// Greedy picks by `(fixed + distance + moving…) / divisor`, where the distance is the one to the nearest labelled or
/// picked point.
pub(crate) struct TermSum<'a> {
    /// Rescaled once, before the first pick; a value per pool point.
    pub fixed: &'a [f64],
    /// Further terms.
    pub moving: &'a [Moving<'a>],
    /// The number of terms, as a rule.
    pub divisor: f64,
    /// How the distance and the further terms are rescaled.
    pub rescale: Rescale,
}

/// An affine map onto [0, 1]; a constant maps to 0.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
    tolerance: f64,
}

impl Range {
    fn empty(tolerance: f64) -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY, tolerance }
    }

    fn cover(&mut self, value: f64) {
        self.low = if value < self.low { value } else { self.low };
        self.high = if value > self.high { value } else { self.high };
    }

    fn is_constant(&self) -> bool {
        self.high - self.low <= self.tolerance
    }

    fn apply(&self, value: f64) -> f64 {
        if self.is_constant() { 0.0 } else { (value - self.low) / (self.high - self.low) }
    }
}

/// `values` mapped onto [0, 1], a constant onto 0, and whether they are constant.
pub(crate) fn minmax(values: &[f64]) -> (Vec<f64>, bool) {
    let mut range = Range::empty(0.0);
    for &value in values {
        range.cover(value);
    }
    (values.iter().map(|&v| range.apply(v)).collect(), range.is_constant())
}

impl TermSum<'_> {
    /// Picks `n` points, at least one.
    pub(crate) fn pick(&self, step: &Step<'_>, n: usize) -> Result<Selection, StrategyError> {
        let mut nearest = NearestCentre::new(vec![input_space(step)?]).map_err(geometry)?;
        check_scores(nearest.separations())?;
        let n_pool = step.pool().nrows();
        let mut remaining: Vec<usize> = (0..n_pool).collect();
        let mut scores = vec![0.0; n_pool];
        let mut selection = Selection::default();
        let mut picked_scores = Vec::with_capacity(n);
        loop {
            let at = self.best(step, nearest.separations(), &remaining, &mut scores);
            if selection.picked.is_empty() {
                selection.scores = Some(Array1::from_vec(scores.clone()));
            }
            // Ascending order is what sends ties to the lowest index, so the gap closes up.
            let index = remaining.remove(at);
            selection.picked.push(index);
            picked_scores.push(scores[index]);
            if selection.picked.len() == n {
                break;
            }
            nearest.adopt(index);
        }
        selection.picked_scores = Some(picked_scores);
        Ok(selection)
    }

    /// Place in `remaining` of the first highest score; fills `scores` at the remaining points.
    fn best(&self, step: &Step<'_>, separations: &[f64], remaining: &[usize], scores: &mut [f64]) -> usize {
        let mut squared = Range::empty(0.0);
        let mut ranges: Vec<Range> = self.moving.iter().map(|term| Range::empty(term.tolerance)).collect();
        for &i in remaining {
            squared.cover(separations[i]);
        }
        for (range, term) in ranges.iter_mut().zip(self.moving) {
            for &i in remaining {
                range.cover(term.values[i]);
            }
        }
        // Roots keep the order, so those of the extremes are the extremes of the roots.
        let distance = Range { low: squared.low.sqrt(), high: squared.high.sqrt(), tolerance: 0.0 };
        if self.rescale == Rescale::Minmax && remaining.len() > 1 {
            if distance.is_constant() {
                step.note("the distance term is constant over the remaining pool and counts 0");
            }
            for (range, term) in ranges.iter().zip(self.moving) {
                if range.is_constant() {
                    step.note(format!("the {} term is constant over the remaining pool and counts 0", term.name));
                }
            }
        }
        let (mut best, mut at) = (f64::NEG_INFINITY, 0);
        for (place, &i) in remaining.iter().enumerate() {
            let gap = separations[i].sqrt();
            let mut sum = self.fixed[i];
            match self.rescale {
                Rescale::Minmax => {
                    sum += distance.apply(gap);
                    for (range, term) in ranges.iter().zip(self.moving) {
                        sum += range.apply(term.values[i]);
                    }
                }
                Rescale::Raw => {
                    sum += gap;
                    for term in self.moving {
                        sum += term.values[i];
                    }
                }
            }
            let score = sum / self.divisor;
            scores[i] = score;
            if score > best {
                (best, at) = (score, place);
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minmax_maps_constants_to_zero() {
        assert_eq!(minmax(&[3.0, 3.0]), (vec![0.0, 0.0], true));
        assert_eq!(minmax(&[1.0, 5.0, 3.0]), (vec![0.0, 1.0, 0.5], false));
        assert_eq!(minmax(&[2.0]), (vec![0.0], true));
    }
}
