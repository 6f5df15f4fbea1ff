//! Axes: numbers, logarithms and levels on the unit line.

use std::collections::BTreeSet;

use crate::plot::{LogScale, linear_ticks};
use crate::text::{digits, minus};

/// Letters of a level's name under a tick, and beside one, at most.
const SHORT: (usize, usize) = (10, 12);
/// Letters of a level's name that say anything.
const LEAST: usize = 3;
/// Letters that fit along the horizontal axis, and lines of them along the upright one.
const ROOM: (usize, usize) = (36, 16);
/// The share of their size by which numbers differ that count as different: less is a model's rounding.
const ALIKE: f64 = 1e-5;

/// The ratio of the largest to the smallest value below which a logarithmic axis is widened.
const NARROW: f64 = 1.5;

/// Maps positions to [0, 1].
#[derive(Clone, Debug)]
pub(crate) enum Scale {
    /// Evenly.
    Linear { low: f64, high: f64, ticks: Vec<(f64, String)> },
    /// Levels by name, evenly.
    Levels(Vec<String>),
    /// Evenly in the logarithm.
    Log(LogScale),
}

impl Scale {
    /// Of numbers, with a margin; none where there are none, or where a logarithm has no positive ones.
    pub(crate) fn of_values(values: impl IntoIterator<Item = f64>, log: bool) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        if log {
            let positive = || values.iter().copied().filter(|v| *v > 0.0);
            let (low, high) = (positive().reduce(f64::min)?, positive().reduce(f64::max)?);
            // Values that lie close together have ticks around them, too.
            return match high / low < NARROW {
                true => Some(Self::Log(LogScale::exactly(low / 1.25, high * 1.25))),
                false => LogScale::of(values).map(Self::Log),
            };
        }
        let low = values.iter().copied().reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        let margin = match high - low {
            width if width > ALIKE * high.abs().max(low.abs()) => 0.05 * width,
            _ => (0.05 * high.abs()).max(0.5),
        };
        Some(Self::between(low - margin, high + margin))
    }

    /// Between two numbers, exactly.
    pub(crate) fn between(low: f64, high: f64) -> Self {
        let ticks = linear_ticks(low, high);
        let labels = labels(&ticks);
        Self::Linear { low, high, ticks: ticks.into_iter().zip(labels).collect() }
    }

    /// Where a position lies.
    pub(crate) fn at(&self, value: f64) -> f64 {
        match self {
            Self::Linear { low, high, .. } => (value - low) / (high - low),
            Self::Levels(names) => (value + 0.5) / names.len().max(1) as f64,
            Self::Log(scale) => scale.at(value),
        }
    }

    /// The same for an axis that goes upwards, where there is less room.
    pub(crate) fn ticks_upwards(&self) -> Vec<(f64, String)> {
        match self {
            Self::Levels(names) => self.levels(names, SHORT.1, names.len().div_ceil(ROOM.1).max(1)),
            _ => self.ticks(),
        }
    }

    /// Every so many levels with their names in so many letters.
    fn levels(&self, names: &[String], letters: usize, every: usize) -> Vec<(f64, String)> {
        let short = short(names, letters);
        let places = short.into_iter().enumerate().step_by(every);
        places.map(|(level, name)| (self.at(level as f64), name)).collect()
    }

    /// Ticks as (place, label).
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { ticks, .. } => ticks.iter().map(|(v, label)| (self.at(*v), label.clone())).collect(),
            Self::Levels(names) => {
                // Many levels have shorter names, then names at some of them alone.
                let n = names.len().max(1);
                let letters = (ROOM.0 / n).saturating_sub(1).clamp(LEAST, SHORT.0);
                let every = (n * (letters + 1)).div_ceil(ROOM.0).max(1);
                self.levels(names, letters, every)
            }
            Self::Log(scale) => scale.ticks().into_iter().map(|(at, label)| (at, minus(&label))).collect(),
        }
    }
}

/// Labels of evenly spaced numbers, with as many digits as tell how far apart they are.
fn labels(values: &[f64]) -> Vec<String> {
    let step = values.windows(2).map(|two| two[1] - two[0]).fold(f64::INFINITY, f64::min);
    let of = |n: usize| -> Vec<String> { values.iter().map(|v| digits(*v, n)).collect() };
    let tells = |labels: &[String]| {
        let read = labels.iter().zip(values).map(|(label, v)| (label.parse::<f64>().unwrap_or(*v) - v).abs());
        read.fold(0.0, f64::max) <= 0.01 * step
    };
    let found = (3..=12).map(of).find(|labels| tells(labels)).unwrap_or_else(|| of(12));
    found.into_iter().map(|label| minus(&label)).collect()
}

/// Names of so many letters at most: their beginnings, or their ends where beginnings are alike.
fn short(names: &[String], most: usize) -> Vec<String> {
    let is_long = |name: &String| name.chars().count() > most;
    let of = |cut: fn(&str, usize) -> String| -> Vec<String> {
        names.iter().map(|name| if is_long(name) { cut(name, most - 1) } else { name.clone() }).collect()
    };
    let fronts = of(|name, kept| name.chars().take(kept).chain(['…']).collect());
    let differ: BTreeSet<&String> = fronts.iter().collect();
    if differ.len() == names.len() {
        return fronts;
    }
    of(|name, kept| {
        let skipped = name.chars().count() - kept;
        ['…'].into_iter().chain(name.chars().skip(skipped)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_tell_neighbours_apart() {
        assert_eq!(labels(&[3.5, 3.500_25, 3.5005]), ["3.5", "3.50025", "3.5005"]);
        assert_eq!(labels(&[-1.0, 0.0, 1.0]), ["−1", "0", "1"]);
        // What differs by rounding alone is one value.
        let alike = Scale::of_values([3.5, 3.5 + 1e-9], false).unwrap();
        let ticks: Vec<String> = alike.ticks().into_iter().map(|(_, label)| label).collect();
        assert!(ticks.windows(2).all(|two| two[0] != two[1]) && (alike.at(3.5) - 0.5).abs() < 1e-6, "{ticks:?}");
    }
}
