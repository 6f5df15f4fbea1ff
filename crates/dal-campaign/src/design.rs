//! Space-filling designs in physical values, with constraints: the points of `dal design`, and of a campaign's
//! beginning.

use std::collections::HashMap;

use dal_acq::designs::{latin_hypercube, maximin_latin_hypercube, sobol};
use dal_core::{Dimension, SeedPath, Space, Value};
use ndarray::{Array2, ArrayView1, Axis};
use rand::seq::SliceRandom;

use crate::constraints::Constraint;
use crate::error::CampaignError;
use crate::subject::{SAME, Subject, distance, is_same};
use crate::words::Cell;

/// The most points of a Latin hypercube that are spread out; the cost grows with their square.
const SPREAD: usize = 500;
/// Quantiles that are drawn at one time, at least.
const BLOCK: usize = 256;
/// After so many draws, constraints must have left one point in so many.
const RARE: (usize, usize) = (20_000, 1000);

/// The most points of a space that are all looked at, whatever the size of the design.
const LISTED: u64 = 1 << 20;
/// The most pairs of a design's points and those left over that are compared to find the farthest.
const COMPARED: u64 = 50_000_000;

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
/// not in all. Where whole numbers and levels make one point of several, the points that are missing are taken from
/// those of the space that are left: beside a Latin hypercube each the farthest from all before it, in quantiles, else
/// at random.
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
    let (mut drawing, mut points) = match method {
        Method::Lhs => hypercube(subject, constraints, n, &seeds)?,
        Method::Sobol | Method::Uniform => sequence(subject, constraints, n, method, &seeds)?,
    };
    if points.len() < n {
        add_rest(&mut drawing, &mut points, n, method, &seeds.purpose("rest"))?;
    }
    Ok(points.into_iter().map(|(cells, _)| cells).collect())
}

/// Points of a sequence, in its order, until there are enough or hardly others are found.
fn sequence<'a>(
    subject: &'a Subject,
    constraints: &'a [Constraint],
    n: usize,
    method: Method,
    seeds: &SeedPath,
) -> Result<(Filter<'a>, Vec<Place>), CampaignError> {
    let inputs = subject.space().dimensions().len();
    let mut drawing = Filter::new(subject, constraints);
    let (mut points, mut since) = (Vec::new(), 0);
    let size = n.max(BLOCK);
    let patience = patience(subject, n);
    for block in 0.. {
        let quantiles = match method {
            Method::Sobol => sobol(size, inputs, block * size, &seeds.purpose("sobol"))
                .map_err(|error| CampaignError::request(error.to_string()))?,
            _ => uniform(size, inputs, &seeds.purpose("uniform").index(block as u64)),
        };
        for quantile in quantiles.outer_iter() {
            since += 1;
            if let Some(place) = drawing.take(quantile)? {
                points.push(place);
                since = 0;
            }
            if points.len() == n {
                return Ok((drawing, points));
            }
            // Whether constraints are met too rarely is known after so many draws.
            if since >= patience && (constraints.is_empty() || drawing.drawn >= RARE.0) {
                drawing.check()?;
                return Ok((drawing, points));
            }
        }
        drawing.check()?;
    }
    unreachable!("blocks have no end")
}

/// The points of a Latin hypercube; under constraints of one that has enough of them, if it can be.
fn hypercube<'a>(
    subject: &'a Subject,
    constraints: &'a [Constraint],
    n: usize,
    seeds: &SeedPath,
) -> Result<(Filter<'a>, Vec<Place>), CampaignError> {
    let inputs = subject.space().dimensions().len();
    // How many strata it takes is known best from points that cost nothing.
    let mut trial = Filter::new(subject, constraints);
    while !constraints.is_empty() && trial.admitted < 200 {
        for quantile in uniform(2048, inputs, &seeds.purpose("trial").index(trial.drawn as u64)).outer_iter() {
            trial.take(quantile)?;
        }
        trial.check()?;
    }
    let share = if trial.drawn == 0 { 1.0 } else { trial.admitted as f64 / trial.drawn as f64 };
    // Of more points than there are, no number of strata is enough.
    let possible = match n_listed(subject.space(), n) {
        Some(all) if share * (all as f64) < 2.0 * n as f64 => n_admitted(subject, constraints, all)?,
        _ => n,
    };
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
            points.extend(drawing.take(quantile)?);
        }
        attempt += 1;
        // Where none was left out for a constraint, more strata bring nothing new.
        if points.len() >= n || possible < n || drawing.admitted == size || attempt > 40 {
            points.truncate(n);
            return Ok((drawing, points));
        }
        size += size / 10 + 1;
    }
}

/// How many points a space has, where they can all be looked at for a design of `n`. Of a space of more every other
/// draw is a new point.
fn n_listed(space: &Space, n: usize) -> Option<u64> {
    space.n_points().filter(|&all| all <= LISTED.max(8 * n as u64))
}

/// How many of so many listed points meet the constraints.
fn n_admitted(subject: &Subject, constraints: &[Constraint], all: u64) -> Result<usize, CampaignError> {
    let mut listing = Filter::new(subject, constraints);
    for at in 0..all {
        let unit = subject.space().to_unit(&values_at(subject.space(), at))?;
        listing.take_unit(ArrayView1::from(&unit))?;
    }
    Ok(listing.admitted)
}

/// Draws without a new point after which no other is waited for. Of a space that can be listed this does not depend on
/// `n`, so that more points of a sequence begin with the same ones.
fn patience(subject: &Subject, n: usize) -> usize {
    2 * n_listed(subject.space(), n).map_or(n, |all| all as usize).max(BLOCK)
}

/// Adds points of the space that a design lacks, as long as there are others.
fn add_rest(
    drawing: &mut Filter<'_>,
    points: &mut Vec<Place>,
    n: usize,
    method: Method,
    seeds: &SeedPath,
) -> Result<(), CampaignError> {
    let subject = drawing.subject;
    let space = subject.space();
    let inputs = space.dimensions().len();
    let Some(all) = n_listed(space, n) else {
        let (mut since, patience) = (0, patience(subject, n));
        for block in 0.. {
            for quantile in uniform(BLOCK, inputs, &seeds.index(block)).outer_iter() {
                if points.len() == n || since >= patience {
                    return Ok(());
                }
                since += 1;
                if let Some(place) = drawing.take(quantile)? {
                    points.push(place);
                    since = 0;
                }
            }
        }
        return Ok(());
    };
    let mut order: Vec<u64> = (0..all).collect();
    order.shuffle(&mut seeds.rng());
    let spread = method == Method::Lhs && (n as u64).saturating_mul(all) <= COMPARED;
    let mut left = Vec::new();
    for at in order {
        if points.len() == n {
            return Ok(());
        }
        let unit = space.to_unit(&values_at(space, at))?;
        if let Some(place) = drawing.take_unit(ArrayView1::from(&unit))? {
            if spread { left.push(place) } else { points.push(place) }
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let quantiles = |places: &[Place]| space.quantiles(subject.array(places.iter().map(|(_, unit)| &unit[..])).view());
    let (begun, candidates) = (quantiles(points)?, quantiles(&left)?);
    let mut nearest = vec![f64::INFINITY; left.len()];
    let closer = |nearest: &mut [f64], point: ArrayView1<'_, f64>| {
        for (nearest, candidate) in nearest.iter_mut().zip(candidates.outer_iter()) {
            *nearest = nearest.min(distance(candidate.iter(), point.iter()));
        }
    };
    begun.outer_iter().for_each(|point| closer(&mut nearest, point));
    while points.len() < n {
        // Of equally far ones the first in the shuffled order; a point that is taken is at no distance.
        let far = |best: usize, at: usize| if nearest[at] > nearest[best] { at } else { best };
        let farthest = (0..left.len()).fold(0, far);
        if nearest[farthest] <= 0.0 {
            return Ok(());
        }
        points.push(left[farthest].clone());
        closer(&mut nearest, candidates.row(farthest));
    }
    Ok(())
}

/// The values of the point at a place of all points of a space of whole numbers and levels.
fn values_at(space: &Space, mut at: u64) -> Vec<Value> {
    let value = |dimension: &Dimension| {
        let n = dimension.n_values().expect("whole numbers and levels");
        let digit = at % n;
        at /= n;
        match dimension {
            Dimension::Integer { low, .. } => Value::Integer(low + digit as i64),
            Dimension::Fixed { value } => Value::Number(*value),
            _ => Value::Level(digit as usize),
        }
    };
    space.dimensions().iter().map(value).collect()
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
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By a weighted sum of the coordinates, of which the same points have nearly the same.
    by_sum: HashMap<i64, Vec<Box<[f64]>>>,
}

impl Known {
    /// Adds a point; whether it is new.
    pub fn insert(&mut self, unit: &[f64]) -> bool {
        let is_new = !self.holds(unit);
        if is_new {
            self.by_sum.entry(Self::bin(unit)).or_default().push(unit.into());
        }
        is_new
    }

    /// Whether the point is known.
    pub fn holds(&self, unit: &[f64]) -> bool {
        let bin = Self::bin(unit);
        let near = |at: i64| self.by_sum.get(&at).is_some_and(|found| found.iter().any(|known| is_same(known, unit)));
        (bin - 1..=bin + 1).any(near)
    }

    /// The sums of two same points are no further apart than the width of a bin.
    fn bin(unit: &[f64]) -> i64 {
        let width = SAME * unit.len().max(1000) as f64;
        let golden = 0.618_033_988_749_894_9;
        let weight = |k: usize| 0.5 + 0.5 * (k as f64 * golden).fract();
        let sum: f64 = unit.iter().enumerate().map(|(k, v)| weight(k) * v).sum();
        (sum / width).floor() as i64
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
