//! The drivers that greedy rules share: coverings, and sums of rescaled terms with a distance among them.

use dal_core::{Proposal, Step, StrategyError};
use dal_geom::{Covering, NearestCentre, PointSet, Space};
use ndarray::{Array1, ArrayView2};

use crate::rule::{check_scores, geometry};

/// Largest work, in coordinate differences (pool points × centres × coordinates), for which a covering also works out
/// the score of every pool point, which only the record of a run wants: about half a second.
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

/// What a greedy driver picked.
pub(crate) struct Picks {
    /// Pool rows in the order in which they were picked.
    pub picked: Vec<usize>,
    /// The score of each at the moment it was picked.
    pub picked_scores: Vec<f64>,
    /// The score of every pool point before the first pick, where it was worked out.
    pub scores: Option<Array1<f64>>,
}

impl From<Picks> for Proposal {
    fn from(picks: Picks) -> Self {
        let Picks { picked, picked_scores, scores } = picks;
        Self { scores, picked_scores: Some(picked_scores.into()), ..Self::picked(picked) }
    }
}

/// Greedy covering by the root of the product of the squared distances over the spaces.
pub(crate) fn cover(step: &Step<'_>, spaces: Vec<Space>, n: usize) -> Result<Picks, StrategyError> {
    step.check_stop()?;
    let work: usize = spaces.iter().map(Space::work).fold(0, usize::saturating_add);
    let (mut covering, scores) = if work <= SCORED_WORK {
        let nearest = NearestCentre::new(spaces).map_err(geometry)?;
        let scores: Array1<f64> = nearest.separations().iter().map(|s| s.sqrt()).collect();
        check_scores(&scores)?;
        (Covering::resume(nearest).map_err(geometry)?, Some(scores))
    } else {
        (Covering::new(spaces).map_err(geometry)?, None)
    };
    let mut picks = Picks { picked: Vec::with_capacity(n), picked_scores: Vec::with_capacity(n), scores };
    for pick in std::iter::from_fn(|| covering.pick()).take(n) {
        step.check_stop()?;
        if !pick.separation.is_finite() {
            return Err(StrategyError::NonFiniteScore { row: pick.index, value: pick.separation });
        }
        picks.picked.push(pick.index);
        picks.picked_scores.push(pick.separation.sqrt());
    }
    Ok(picks)
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

/// Values looked at together, so that a search for extremes vectorises.
const LANES: usize = 16;

impl Range {
    /// Of `values`, NaN passed over: no comparison with NaN holds.
    fn of(values: &[f64], tolerance: f64) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for l in 0..LANES {
                low[l] = if chunk[l] < low[l] { chunk[l] } else { low[l] };
                high[l] = if chunk[l] > high[l] { chunk[l] } else { high[l] };
            }
        }
        Self {
            low: low.into_iter().chain(rest.iter().copied()).fold(f64::INFINITY, f64::min),
            high: high.into_iter().chain(rest.iter().copied()).fold(f64::NEG_INFINITY, f64::max),
            tolerance,
        }
    }

    fn is_constant(&self) -> bool {
        self.high - self.low <= self.tolerance
    }

    fn apply(&self, value: f64) -> f64 {
        if self.is_constant() { 0.0 } else { (value - self.low) / (self.high - self.low) }
    }
}

/// `values` mapped onto [0, 1], a constant onto 0, and whether they are constant: their spread is at or below
/// `tolerance`.
pub(crate) fn minmax(values: &[f64], tolerance: f64) -> (Vec<f64>, bool) {
    let range = Range::of(values, tolerance);
    (values.iter().map(|&v| range.apply(v)).collect(), range.is_constant())
}

/// A spread of distances up to this is rounding: 8 √d ε max |x| over coordinates x of the pool and the labelled points.
/// Stretched to [0, 1] it would decide picks as if it were a difference.
fn rounding_of_distances(step: &Step<'_>) -> f64 {
    let (pool, labelled) = (step.pool(), step.labelled().x());
    let largest = pool.iter().chain(labelled.iter()).fold(0.0_f64, |largest, x| largest.max(x.abs()));
    8.0 * (pool.ncols() as f64).sqrt() * f64::EPSILON * largest
}

/// The greatest of `values`, NaN passed over.
fn greatest(values: &[f64]) -> f64 {
    let mut high = [f64::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for l in 0..LANES {
            high[l] = if chunk[l] > high[l] { chunk[l] } else { high[l] };
        }
    }
    high.into_iter().chain(rest.iter().copied()).fold(f64::NEG_INFINITY, f64::max)
}

/// A term that is rescaled at every pick: NaN where a point was picked, so that arrays stay dense and no search finds
/// it.
struct Term {
    name: &'static str,
    values: Vec<f64>,
    range: Range,
}

impl Term {
    fn new(name: &'static str, values: Vec<f64>, tolerance: f64) -> Self {
        let range = Range::of(&values, tolerance);
        Self { name, values, range }
    }
}

/// Roots of the separations in `gaps`, worked out again only where those have changed since `known`.
fn update_gaps(gaps: &mut [f64], known: &mut [f64], separations: &[f64]) {
    for ((gaps, known), new) in gaps.chunks_mut(LANES).zip(known.chunks_mut(LANES)).zip(separations.chunks(LANES)) {
        if known != new {
            known.copy_from_slice(new);
            for (gap, separation) in gaps.iter_mut().zip(new) {
                *gap = separation.sqrt();
            }
        }
    }
}

impl TermSum<'_> {
    /// Picks `n` points, at least one.
    pub(crate) fn pick(&self, step: &Step<'_>, n: usize) -> Result<Picks, StrategyError> {
        let mut nearest = NearestCentre::new(vec![input_space(step)?]).map_err(geometry)?;
        check_scores(nearest.separations())?;
        let mut known = nearest.separations().to_vec();
        let distances = known.iter().map(|separation| separation.sqrt()).collect();
        let moving = self.moving.iter().map(|term| Term::new(term.name, term.values.to_vec(), term.tolerance));
        let distance = Term::new("distance", distances, rounding_of_distances(step));
        let mut terms: Vec<Term> = std::iter::once(distance).chain(moving).collect();
        let fixed_bound = self.fixed.iter().fold(0.0f64, |bound, value| bound.max(value.abs()));
        let mut sums = vec![0.0; known.len()];
        let scores = Some((0..known.len()).map(|i| self.score(&terms, i)).collect());
        let mut picks = Picks { picked: Vec::with_capacity(n), picked_scores: Vec::with_capacity(n), scores };
        loop {
            step.check_stop()?;
            self.note_constants(step, &terms, known.len() - picks.picked.len());
            let (index, score) = self.best(&terms, fixed_bound, &mut sums);
            picks.picked.push(index);
            picks.picked_scores.push(score);
            if picks.picked.len() == n {
                break;
            }
            nearest.adopt(index);
            update_gaps(&mut terms[0].values, &mut known, nearest.separations());
            for term in &mut terms {
                for &picked in &picks.picked {
                    term.values[picked] = f64::NAN;
                }
                term.range = Range::of(&term.values, term.range.tolerance);
            }
        }
        Ok(picks)
    }

    fn note_constants(&self, step: &Step<'_>, terms: &[Term], n_remaining: usize) {
        if self.rescale == Rescale::Raw || n_remaining == 1 {
            return;
        }
        for term in terms.iter().filter(|term| term.range.is_constant()) {
            step.note(format!("the {} term is constant over the remaining pool and counts 0", term.name));
        }
    }

    /// The score of point `i`, unless it was picked.
    fn score(&self, terms: &[Term], i: usize) -> f64 {
        let value = |term: &Term| match self.rescale {
            Rescale::Minmax => term.range.apply(term.values[i]),
            Rescale::Raw => term.values[i],
        };
        terms.iter().map(value).fold(self.fixed[i], |sum, value| sum + value) / self.divisor
    }

    /// The first highest score among the remaining points, and its point.
    ///
    /// A rescaled term is `(v − low) / (high − low)`; all points are compared by `a v + b` instead, without the
    /// division, and those that rounding may have put below the best are looked at again. `sums` is scratch.
    fn best(&self, terms: &[Term], fixed_bound: f64, sums: &mut [f64]) -> (usize, f64) {
        // No partial sum is larger in size.
        let mut bound = fixed_bound;
        for (t, Term { values, range, .. }) in terms.iter().enumerate() {
            let (a, b) = match self.rescale {
                Rescale::Raw => (1.0, 0.0),
                // Zero times the values, so that picked points stay NaN.
                Rescale::Minmax if range.is_constant() => (0.0, 0.0),
                Rescale::Minmax => {
                    let a = 1.0 / (range.high - range.low);
                    (a, -range.low * a)
                }
            };
            bound += range.low.abs().max(range.high.abs()) * a + b.abs();
            if t == 0 {
                for ((sum, fixed), value) in sums.iter_mut().zip(self.fixed).zip(values) {
                    *sum = fixed + (value * a + b);
                }
            } else {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value * a + b;
                }
            }
        }
        let best = greatest(sums);
        // A few roundings a term; infinite where a range is too narrow to be inverted, and all points are looked at.
        let slack = 32.0 * f64::EPSILON * terms.len() as f64 * bound;
        let threshold = if slack.is_finite() && best.is_finite() { best - slack } else { f64::NEG_INFINITY };
        let mut found: Option<(usize, f64)> = None;
        for (c, chunk) in sums.chunks(LANES).enumerate() {
            // "Not below": a sum that became NaN at a remaining point is looked at too.
            let below = chunk.iter().fold(true, |below, &sum| below & (sum < threshold));
            if below {
                continue;
            }
            for i in (c * LANES..).take(chunk.len()) {
                // Only picked points have no distance.
                if sums[i] < threshold || terms[0].values[i].is_nan() {
                    continue;
                }
                let score = self.score(terms, i);
                if found.is_none_or(|(_, best)| score > best) {
                    found = Some((i, score));
                }
            }
        }
        found.unwrap_or((0, f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minmax_maps_constants_to_zero() {
        assert_eq!(minmax(&[3.0, 3.0], 0.0), (vec![0.0, 0.0], true));
        assert_eq!(minmax(&[1.0, 5.0, 3.0], 0.0), (vec![0.0, 1.0, 0.5], false));
        assert_eq!(minmax(&[2.0], 0.0), (vec![0.0], true));
        assert_eq!(minmax(&[1.0, 1.0 + 1e-15], 1e-14), (vec![0.0, 0.0], true));
    }
}
