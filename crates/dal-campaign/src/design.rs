//! Space-filling designs in physical values, with constraints: the points of `dal design`, and of a campaign's
//! beginning.

use std::collections::HashMap;

use dal_acq::designs::{latin_hypercube, maximin_latin_hypercube, sobol};
use dal_core::SeedPath;
use ndarray::{Array2, ArrayView1, Axis};

use crate::constraints::Constraint;
use crate::error::CampaignError;
use crate::subject::{SAME, Subject, is_same};
use crate::words::Cell;

/// The most points of a Latin hypercube that are spread out; the cost grows with their square.
const SPREAD: usize = 500;
/// Quantiles that are drawn at one time, at least.
const BLOCK: usize = 256;
/// After so many draws, constraints must have left one point in so many.
const RARE: (usize, usize) = (20_000, 1000);

/// How points are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// A Latin hypercube whose smallest distance between points is made large.
    #[default]
    Lhs,
    /// Scrambled Sobol points.
    Sobol,
    /// Independent uniform points.
    Uniform,
}

/// `n` different points of a problem that meet the constraints, spread by a method; fewer where there are not so many.
///
/// Under constraints points are drawn until enough of them meet these: Sobol and uniform points go on with their
/// sequence, a Latin hypercube is made larger, so that what is left has one point at most in each of its strata, and
/// not in all.
///
/// # Errors
/// Constraints that fewer than one point in a thousand meets; more than 256 inputs with Sobol points.
pub fn design(
    subject: &Subject,
    constraints: &[Constraint],
    n: usize,
    method: Method,
    seed: u64,
) -> Result<Vec<Vec<Cell>>, CampaignError> {
    let seeds = SeedPath::root(seed).purpose("design");
    let inputs = subject.space().dimensions().len();
    match method {
        Method::Sobol | Method::Uniform => {
            let mut drawing = Filter::new(subject, constraints);
            let mut points = Vec::new();
            let size = n.max(BLOCK);
            for block in 0.. {
                let quantiles = match method {
                    Method::Sobol => sobol(size, inputs, block * size, &seeds.purpose("sobol"))
                        .map_err(|error| CampaignError::request(error.to_string()))?,
                    _ => uniform(size, inputs, &seeds.purpose("uniform").index(block as u64)),
                };
                let before = drawing.admitted;
                let found = points.len();
                for quantile in quantiles.outer_iter() {
                    if points.len() < n
                        && let Some((cells, _)) = drawing.take(quantile)?
                    {
                        points.push(cells);
                    }
                }
                if points.len() == n || (points.len() == found && drawing.admitted > before) {
                    break;
                }
                drawing.check()?;
            }
            Ok(points)
        }
        Method::Lhs => {
            // How many strata it takes is known best from points that cost nothing.
            let mut trial = Filter::new(subject, constraints);
            while !constraints.is_empty() && trial.admitted < 200 {
                for quantile in uniform(2048, inputs, &seeds.purpose("trial").index(trial.drawn as u64)).outer_iter() {
                    trial.take(quantile)?;
                }
                trial.check()?;
            }
            let share = if trial.drawn == 0 { 1.0 } else { trial.admitted as f64 / trial.drawn as f64 };
            let (mut size, mut attempt) = ((n as f64 / share).ceil() as usize, 0);
            loop {
                let seeds = seeds.purpose("lhs").index(attempt);
                let quantiles = if size <= SPREAD {
                    maximin_latin_hypercube(size, inputs, &seeds)
                } else {
                    latin_hypercube(size, Array2::zeros((0, inputs)).view(), &seeds)
                };
                let mut drawing = Filter::new(subject, constraints);
                let mut points = Vec::new();
                for quantile in quantiles.outer_iter() {
                    points.extend(drawing.take(quantile)?.map(|(cells, _)| cells));
                }
                // Of a space of few points more strata bring nothing new.
                if points.len() >= n || drawing.admitted == size {
                    points.truncate(n);
                    return Ok(points);
                }
                size += size / 10 + 1;
                attempt += 1;
                if attempt > 40 {
                    return Ok(points);
                }
            }
        }
    }
}

/// Turns quantiles into points, and leaves out those that are known or do not meet the constraints.
pub(crate) struct Filter<'a> {
    subject: &'a Subject,
    constraints: &'a [Constraint],
    seen: Known,
    /// Points that were looked at.
    pub(crate) drawn: usize,
    /// Those of them that meet the constraints, known or not.
    pub(crate) admitted: usize,
}

/// A point as its cells and on the unit box.
pub(crate) type Place = (Vec<Cell>, Vec<f64>);

impl<'a> Filter<'a> {
    pub(crate) fn new(subject: &'a Subject, constraints: &'a [Constraint]) -> Self {
        Self { subject, constraints, seen: Known::default(), drawn: 0, admitted: 0 }
    }

    /// A point that is not wanted again.
    pub(crate) fn know(&mut self, unit: &[f64]) {
        self.seen.insert(unit);
    }

    /// The point at a quantile of each input: its values, and its place on the unit box.
    pub(crate) fn take(&mut self, quantile: ArrayView1<'_, f64>) -> Result<Option<Place>, CampaignError> {
        let unit = self.subject.space().at_quantiles(quantile.insert_axis(Axis(0)));
        self.take_unit(unit.row(0))
    }

    /// The point at a place of the unit box.
    pub(crate) fn take_unit(&mut self, unit: ArrayView1<'_, f64>) -> Result<Option<Place>, CampaignError> {
        self.drawn += 1;
        // What people and programs get is the values: a point is kept as they lead back to it.
        let cells = self.subject.cells(unit)?;
        let Some(unit) = self.subject.unit(&cells) else { return Ok(None) };
        if !self.constraints.iter().all(|constraint| constraint.holds(&cells)) {
            return Ok(None);
        }
        self.admitted += 1;
        Ok(self.seen.insert(&unit).then_some((cells, unit)))
    }

    /// An error where the constraints leave next to nothing.
    pub(crate) fn check(&self) -> Result<(), CampaignError> {
        if self.drawn < RARE.0 || self.admitted * RARE.1 >= self.drawn {
            return Ok(());
        }
        let texts: Vec<&str> = self.constraints.iter().map(Constraint::text).collect();
        Err(CampaignError::request(format!(
            "only {} of {} points meet the constraints ({}); they must leave at least one in {}: narrow the inputs' ranges to \
             where they hold, or loosen them",
            self.admitted,
            self.drawn,
            texts.join("; "),
            RARE.1
        )))
    }
}

/// Points of the unit box that are found again where they are the same but for rounding: a value on a logarithmic scale
/// does not lead back to quite the place that it came from.
#[derive(Default)]
struct Known {
    /// By a weighted sum of the coordinates, of which the same points have nearly the same.
    by_sum: HashMap<i64, Vec<Box<[f64]>>>,
}

impl Known {
    /// Whether the point is new.
    fn insert(&mut self, unit: &[f64]) -> bool {
        // The sums of two same points are no further apart than the width of a bin.
        let width = SAME * unit.len().max(1000) as f64;
        let golden = 0.618_033_988_749_894_9;
        let weight = |k: usize| 0.5 + 0.5 * (k as f64 * golden).fract();
        let sum: f64 = unit.iter().enumerate().map(|(k, v)| weight(k) * v).sum();
        let bin = (sum / width).floor() as i64;
        let near = |at: i64| self.by_sum.get(&at).is_some_and(|found| found.iter().any(|known| is_same(known, unit)));
        let is_new = !(bin - 1..=bin + 1).any(near);
        if is_new {
            self.by_sum.entry(bin).or_default().push(unit.into());
        }
        is_new
    }
}

fn uniform(n: usize, inputs: usize, seeds: &SeedPath) -> Array2<f64> {
    use rand::RngExt;
    let mut rng = seeds.rng();
    Array2::from_shape_simple_fn((n, inputs), || rng.random::<f64>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a look at every point: a grid whose points are moved by less, or by more, than what is the same.
        #[test]
        fn known_points_are_those_that_are_the_same(
            points in prop::collection::vec((prop::collection::vec(-3i8..=3, 3), -2i8..=2), 1..60),
        ) {
            let (mut known, mut all) = (Known::default(), Vec::<Vec<f64>>::new());
            for (coordinates, moved) in points {
                let shift = f64::from(moved) * 0.4 * SAME;
                let unit: Vec<f64> = coordinates.iter().map(|&c| f64::from(c) / 3.0 + shift).collect();
                let is_new = !all.iter().any(|other| is_same(other, &unit));
                prop_assert_eq!(known.insert(&unit), is_new);
                if is_new {
                    all.push(unit);
                }
            }
        }
    }
}
