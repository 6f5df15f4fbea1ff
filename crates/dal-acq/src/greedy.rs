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

/// Values looked at together, so that a search for extremes vectorises.
const LANES: usize = 16;

impl Range {
    /// Of the values where `mask` is 0; it is NaN at the others, and no comparison with NaN holds.
    fn of(values: &[f64], mask: &[f64], tolerance: f64) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        let mut cover = |l: usize, value: f64| {
            low[l] = if value < low[l] { value } else { low[l] };
            high[l] = if value > high[l] { value } else { high[l] };
        };
        let ((values, rest), (mask, mask_rest)) = (values.as_chunks::<LANES>(), mask.as_chunks::<LANES>());
        for (values, mask) in values.iter().zip(mask) {
            for l in 0..LANES {
                cover(l, values[l] + mask[l]);
            }
        }
        for (l, (value, mask)) in rest.iter().zip(mask_rest).enumerate() {
            cover(l, value + mask);
        }
        Self {
            low: low.into_iter().fold(f64::INFINITY, f64::min),
            high: high.into_iter().fold(f64::NEG_INFINITY, f64::max),
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

/// `values` mapped onto [0, 1], a constant onto 0, and whether they are constant.
pub(crate) fn minmax(values: &[f64]) -> (Vec<f64>, bool) {
    let range = Range::of(values, &vec![0.0; values.len()], 0.0);
    (values.iter().map(|&v| range.apply(v)).collect(), range.is_constant())
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

/// Roots of the separations, worked out again only where those have changed.
struct Gaps {
    separations: Vec<f64>,
    gaps: Vec<f64>,
}

impl Gaps {
    fn of(separations: &[f64]) -> Self {
        Self { separations: separations.to_vec(), gaps: separations.iter().map(|s| s.sqrt()).collect() }
    }

    fn update(&mut self, separations: &[f64]) {
        let old = self.separations.chunks_mut(LANES).zip(self.gaps.chunks_mut(LANES));
        for ((old, gaps), new) in old.zip(separations.chunks(LANES)) {
            if old != new {
                old.copy_from_slice(new);
                for (gap, separation) in gaps.iter_mut().zip(new) {
                    *gap = separation.sqrt();
                }
            }
        }
    }
}

/// What is looked at for one pick.
struct Look<'a> {
    /// Values and range of each term that is rescaled at every pick, the distance first.
    terms: Vec<(&'a [f64], Range)>,
    /// 0 at the remaining points, NaN at the picked ones: no comparison with NaN holds, so arrays stay dense.
    mask: &'a [f64],
    n_remaining: usize,
    /// No fixed term is larger in size.
    fixed_bound: f64,
}

impl TermSum<'_> {
    /// Picks `n` points, at least one.
    pub(crate) fn pick(&self, step: &Step<'_>, n: usize) -> Result<Selection, StrategyError> {
        let mut nearest = NearestCentre::new(vec![input_space(step)?]).map_err(geometry)?;
        check_scores(nearest.separations())?;
        let n_pool = step.pool().nrows();
        let mut gaps = Gaps::of(nearest.separations());
        let fixed_bound = self.fixed.iter().fold(0.0f64, |bound, value| bound.max(value.abs()));
        let mut mask = vec![0.0; n_pool];
        let mut scores = vec![0.0; n_pool];
        let mut selection = Selection::default();
        let mut picked_scores = Vec::with_capacity(n);
        loop {
            let distance = (&gaps.gaps[..], Range::of(&gaps.gaps, &mask, 0.0));
            let moving = self.moving.iter().map(|term| (term.values, Range::of(term.values, &mask, term.tolerance)));
            let look = Look {
                terms: std::iter::once(distance).chain(moving).collect(),
                mask: &mask,
                n_remaining: n_pool - selection.picked.len(),
                fixed_bound,
            };
            self.note_constants(step, &look);
            if selection.picked.is_empty() {
                for (i, score) in scores.iter_mut().enumerate() {
                    *score = self.score(&look, i);
                }
                selection.scores = Some(Array1::from_vec(scores.clone()));
            }
            let (index, score) = self.best(&look, &mut scores);
            mask[index] = f64::NAN;
            selection.picked.push(index);
            picked_scores.push(score);
            if selection.picked.len() == n {
                break;
            }
            nearest.adopt(index);
            gaps.update(nearest.separations());
        }
        selection.picked_scores = Some(picked_scores);
        Ok(selection)
    }

    fn note_constants(&self, step: &Step<'_>, look: &Look<'_>) {
        if self.rescale == Rescale::Raw || look.n_remaining == 1 {
            return;
        }
        let names = std::iter::once("distance").chain(self.moving.iter().map(|term| term.name));
        for (name, (_, range)) in names.zip(&look.terms) {
            if range.is_constant() {
                step.note(format!("the {name} term is constant over the remaining pool and counts 0"));
            }
        }
    }

    /// The score of point `i`.
    fn score(&self, look: &Look<'_>, i: usize) -> f64 {
        let term = |&(values, range): &(&[f64], Range)| match self.rescale {
            Rescale::Minmax => range.apply(values[i]),
            Rescale::Raw => values[i],
        };
        look.terms.iter().map(term).fold(self.fixed[i], |sum, term| sum + term) / self.divisor
    }

    /// The first highest score among the remaining points, and its point.
    ///
    /// A rescaled term is `(v − low) / (high − low)`; all points are compared by `a v + b` instead, without the division,
    /// and those that rounding may have put below the best are looked at again.
    fn best(&self, look: &Look<'_>, scratch: &mut [f64]) -> (usize, f64) {
        // No partial sum is larger in size.
        let mut bound = look.fixed_bound;
        scratch.copy_from_slice(self.fixed);
        for &(values, range) in &look.terms {
            let (a, b) = match self.rescale {
                Rescale::Raw => (1.0, 0.0),
                Rescale::Minmax if range.is_constant() => continue,
                Rescale::Minmax => {
                    let a = 1.0 / (range.high - range.low);
                    (a, -range.low * a)
                }
            };
            bound += range.low.abs().max(range.high.abs()) * a + b.abs();
            for (sum, &value) in scratch.iter_mut().zip(values) {
                *sum += value * a + b;
            }
        }
        for (sum, &mask) in scratch.iter_mut().zip(look.mask) {
            *sum += mask;
        }
        let best = greatest(scratch);
        // A few roundings a term; infinite where a range is too narrow to be inverted, and all points are looked at.
        let slack = 32.0 * f64::EPSILON * look.terms.len() as f64 * bound;
        let threshold = if slack.is_finite() && best.is_finite() { best - slack } else { f64::NEG_INFINITY };
        let mut found = (None, f64::NEG_INFINITY);
        for (i, &approximate) in scratch.iter().enumerate() {
            // Not below: a sum that overflowed to NaN at a remaining point is looked at too.
            if approximate < threshold || look.mask[i].is_nan() {
                continue;
            }
            let score = self.score(look, i);
            if found.0.is_none() || score > found.1 {
                found = (Some(i), score);
            }
        }
        (found.0.unwrap_or(0), found.1)
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
