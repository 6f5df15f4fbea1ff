//! Axes of the campaign's pictures: numbers, logarithms, whole numbers and levels on the unit line.

use std::collections::BTreeSet;

use crate::campaign::data::{Input, InputKind, Output};
use crate::plot::{LogScale, linear_ticks};
use crate::text::{digits, minus, typeset as number};

/// Letters of a level's name under a tick, and beside one, at most.
const SHORT: (usize, usize) = (10, 12);
/// Letters of a level's name that say anything.
const LEAST: usize = 3;
/// Letters that fit along the horizontal axis, and lines of them along the upright one.
const ROOM: (usize, usize) = (36, 16);
/// The share of their size by which numbers differ that count as different: less is a model's rounding.
const ALIKE: f64 = 1e-5;
/// Whole numbers up to which each has a tick.
const FEW: i64 = 8;

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

    /// Of an input.
    pub(crate) fn of_input(input: &Input) -> Self {
        match &input.kind {
            Some(InputKind::Number { low, high, log: true }) => Self::Log(LogScale::exactly(*low, *high)),
            Some(InputKind::Number { low, high, .. }) => Self::between(*low, *high),
            Some(InputKind::Whole { low, high, log: true }) if high - low >= FEW => {
                Self::Log(LogScale::exactly(*low as f64 - 0.5, *high as f64 + 0.5))
            }
            Some(InputKind::Whole { low, high, .. }) => {
                let (from, to) = (*low as f64 - 0.5, *high as f64 + 0.5);
                match high - low < FEW {
                    true => {
                        let ticks = (*low..=*high).map(|v| (v as f64, minus(&v.to_string()))).collect();
                        Self::Linear { low: from, high: to, ticks }
                    }
                    false => Self::between(from, to),
                }
            }
            Some(InputKind::Levels { names }) => Self::Levels(names.clone()),
            None => Self::between(0.0, 1.0),
        }
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

/// "load in N".
pub(crate) fn titled(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} in {unit}") }
}

/// The title of an input's axis.
pub(crate) fn input_title(input: &Input) -> String {
    titled(&input.name, &input.unit)
}

/// The title of an output's axis.
pub(crate) fn output_title(output: &Output) -> String {
    titled(&output.name, &output.unit)
}

/// A position along an input as a reader knows it.
pub(crate) fn value_in_words(input: &Input, position: f64) -> String {
    match &input.kind {
        Some(InputKind::Levels { names }) => names.get(position.round() as usize).cloned().unwrap_or_default(),
        Some(InputKind::Whole { .. }) => minus(&format!("{position:.0}")),
        _ => with_unit(&number(position), &input.unit),
    }
}

/// "3.2 mm".
pub(crate) fn with_unit(number: &str, unit: &str) -> String {
    if unit.is_empty() { number.to_owned() } else { format!("{number}\u{a0}{unit}") }
}

/// A bin along an input as a reader knows it: "0.4 to 0.6 m", "steel", "3".
pub(crate) fn bin_in_words(input: &Input, low: f64, high: f64) -> String {
    match &input.kind {
        Some(InputKind::Levels { names }) => names.get((low + 0.5).round() as usize).cloned().unwrap_or_default(),
        Some(InputKind::Whole { .. }) => {
            let (first, last) = ((low + 0.5).floor().max(low.ceil()), (high - 0.5).ceil().min(high.floor()));
            let words = if last <= first { format!("{first:.0}") } else { format!("{first:.0} to {last:.0}") };
            minus(&words)
        }
        _ => with_unit(&format!("{} to {}", number(low), number(high)), &input.unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(kind: InputKind) -> Input {
        Input { name: "a".into(), unit: "m".into(), kind: Some(kind) }
    }

    #[test]
    fn positions_lie_on_the_unit_line() {
        let log = Scale::of_input(&input(InputKind::Number { low: 1.0, high: 100.0, log: true }));
        assert!((log.at(10.0) - 0.5).abs() < 1e-12 && log.at(1.0) == 0.0);
        let levels = input(InputKind::Levels { names: vec!["steel".into(), "a very long name".into()] });
        let scale = Scale::of_input(&levels);
        assert_eq!(scale.ticks(), [(0.25, "steel".into()), (0.75, "a very lo…".into())]);
        assert_eq!(scale.ticks_upwards()[1].1, "a very long…");
        // Many names are shorter, and not at every level.
        let many = input(InputKind::Levels { names: (0..30).map(|k| format!("level {k}")).collect() });
        let scale = Scale::of_input(&many);
        assert_eq!((scale.ticks().len(), scale.ticks()[1].1.as_str()), (8, "… 4"));
        assert!(scale.ticks_upwards().len() <= 16);
        let few = Scale::of_input(&input(InputKind::Whole { low: 1, high: 4, log: false }));
        assert_eq!((few.at(1.0), few.ticks().len()), (0.125, 4));
        assert!(Scale::of_values([], false).is_none() && Scale::of_values([-1.0], true).is_none());
        let one = Scale::of_values([3.0], false).unwrap();
        assert!((one.at(3.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn ticks_tell_neighbours_apart() {
        assert_eq!(labels(&[3.5, 3.500_25, 3.5005]), ["3.5", "3.50025", "3.5005"]);
        assert_eq!(labels(&[-1.0, 0.0, 1.0]), ["−1", "0", "1"]);
        // What differs by rounding alone is one value.
        let alike = Scale::of_values([3.5, 3.5 + 1e-9], false).unwrap();
        let ticks: Vec<String> = alike.ticks().into_iter().map(|(_, label)| label).collect();
        assert!(ticks.windows(2).all(|two| two[0] != two[1]) && (alike.at(3.5) - 0.5).abs() < 1e-6, "{ticks:?}");
    }

    #[test]
    fn bins_have_words() {
        let number = input(InputKind::Number { low: 0.0, high: 1.0, log: false });
        assert_eq!(bin_in_words(&number, 0.25, 0.5), "0.25 to 0.5\u{a0}m");
        let whole = input(InputKind::Whole { low: 1, high: 4, log: false });
        assert_eq!(bin_in_words(&whole, 1.5, 2.5), "2");
        let many = input(InputKind::Whole { low: 1, high: 1000, log: true });
        assert_eq!(bin_in_words(&many, 0.5, 3.2), "1 to 3");
        assert_eq!(bin_in_words(&many, 3.2, 11.0), "4 to 11");
        let levels = input(InputKind::Levels { names: vec!["oak".into(), "steel".into()] });
        assert_eq!(bin_in_words(&levels, 0.5, 1.5), "steel");
    }
}
