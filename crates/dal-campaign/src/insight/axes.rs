//! Inputs and outputs as axes of pictures: positions along them, bins, and the columns of the unit box behind them.

use std::ops::Range;

use dal_core::{Dimension, OutputTransform, Scale};
use ndarray::ArrayView1;
use serde::Serialize;

use crate::error::CampaignError;
use crate::subject::Subject;
use crate::words::Cell;

/// Bins of a number.
const BINS: usize = 8;
/// Values of a whole number up to which each is a bin, and a position of a curve, of its own.
const FEW_VALUES: i64 = 12;

/// What the values of an input are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum AxisKind {
    /// A number between bounds.
    Number {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Whether it is spread evenly in its logarithm.
        log: bool,
    },
    /// A whole number between bounds, both included.
    Whole {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Whether it is spread evenly in its logarithm.
        log: bool,
    },
    /// One of several levels; its position is the level's 0-based number.
    Levels {
        /// Their names.
        names: Vec<String>,
    },
    /// A number that never varies.
    Held {
        /// The number.
        value: f64,
    },
}

/// An input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// Its values.
    #[serde(flatten)]
    pub kind: AxisKind,
    #[serde(skip)]
    pub(crate) columns: Range<usize>,
}

/// An output, or the mean of all of them where they are many and of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// Whether it is learned as its logarithm.
    pub log: bool,
    /// Its place among the outputs; none for the mean of all.
    pub output: Option<usize>,
    #[serde(skip)]
    pub(crate) transforms: Vec<OutputTransform>,
}

/// The unit of a column, empty where it has none.
fn unit(text: &str) -> String {
    if text == "1" { String::new() } else { text.to_owned() }
}

/// The inputs of a problem, in order.
pub(crate) fn axes(subject: &Subject) -> Vec<Axis> {
    let mut first = 0;
    let inputs = subject.problem().inputs().iter().zip(subject.space().dimensions());
    inputs
        .map(|(column, dimension)| {
            let columns = first..first + dimension.n_columns();
            first = columns.end;
            let kind = match *dimension {
                Dimension::Continuous { low, high, scale } => AxisKind::Number { low, high, log: scale == Scale::Log },
                Dimension::Integer { low, high, scale } => AxisKind::Whole { low, high, log: scale == Scale::Log },
                Dimension::Categorical { .. } => AxisKind::Levels { names: column.levels.clone() },
                Dimension::Fixed { value } => AxisKind::Held { value },
            };
            Axis { name: column.name.clone(), unit: unit(&column.unit), kind, columns }
        })
        .collect()
}

/// The outputs that are shown: all where they are at most `most`, otherwise three that are evenly spaced, after the
/// mean of all where these have one unit and one transform.
pub(crate) fn shown(subject: &Subject, most: usize) -> Vec<Shown> {
    let columns = subject.problem().outputs();
    let scaling = subject.scaling().outputs();
    let transform = |j: usize| scaling.get(j).map_or(OutputTransform::None, |units| units.transform);
    let one = |j: usize| Shown {
        name: columns[j].name.clone(),
        unit: unit(&columns[j].unit),
        log: transform(j) == OutputTransform::Log,
        output: Some(j),
        transforms: vec![transform(j)],
    };
    let n = columns.len();
    if n <= most {
        return (0..n).map(one).collect();
    }
    let alike = (1..n).all(|j| columns[j].unit == columns[0].unit && transform(j) == transform(0));
    let mean = alike.then(|| Shown {
        name: format!("mean of all {n} outputs"),
        output: None,
        transforms: (0..n).map(transform).collect(),
        ..one(0)
    });
    mean.into_iter().chain([n / 6, n / 2, 5 * n / 6].map(one)).collect()
}

impl Shown {
    /// Its value in the scale that it is learned in, of all outputs of a point.
    pub(crate) fn learned(&self, outputs: ArrayView1<'_, f64>) -> f64 {
        match self.output {
            Some(j) => self.transforms[0].forward(outputs[j]),
            None => {
                let sum: f64 = outputs.iter().zip(&self.transforms).map(|(y, transform)| transform.forward(*y)).sum();
                sum / self.transforms.len() as f64
            }
        }
    }

    /// Whether its answers are all equal, by what is known of each output.
    pub fn is_constant(&self, constant: &[bool]) -> bool {
        match self.output {
            Some(j) => constant.get(j).copied().unwrap_or(false),
            None => !constant.is_empty() && constant.iter().all(|is| *is),
        }
    }

    /// Such a value back in the output's unit.
    pub(crate) fn back(&self, learned: f64) -> f64 {
        self.transforms[0].backward(learned)
    }
}

impl Axis {
    /// Whether it varies at all.
    pub fn varies(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The position of a physical value; none of a level that there is not.
    pub fn position(&self, cell: &Cell) -> Option<f64> {
        match (cell, &self.kind) {
            (Cell::Number(v), _) => Some(*v),
            (Cell::Level(name), AxisKind::Levels { names }) => {
                names.iter().position(|known| known == name).map(|level| level as f64)
            }
            (Cell::Level(_), _) => None,
        }
    }

    /// Whether it takes every position between two others.
    pub fn is_number(&self) -> bool {
        matches!(self.kind, AxisKind::Number { .. })
    }

    /// Positions at which a curve along this input is taken: `n` of a number, every one of few values.
    pub(crate) fn grid(&self, n: usize) -> Vec<f64> {
        let share = |k: usize| k as f64 / (n - 1) as f64;
        let between = |low: f64, high: f64, log: bool, t: f64| match log {
            _ if t == 0.0 => low,
            _ if t == 1.0 => high,
            true => (low.ln() + t * (high.ln() - low.ln())).exp().clamp(low, high),
            false => (low + t * (high - low)).clamp(low, high),
        };
        match &self.kind {
            AxisKind::Number { low, high, log } => (0..n).map(|k| between(*low, *high, *log, share(k))).collect(),
            AxisKind::Whole { low, high, .. } if high - low < FEW_VALUES => (*low..=*high).map(|v| v as f64).collect(),
            AxisKind::Whole { low, high, log } => {
                let mut values: Vec<f64> =
                    (0..n).map(|k| between(*low as f64, *high as f64, *log, share(k)).round()).collect();
                values.dedup();
                values
            }
            AxisKind::Levels { names } => (0..names.len()).map(|level| level as f64).collect(),
            AxisKind::Held { value } => vec![*value],
        }
    }

    /// The columns of the unit box that a position stands for, with their values.
    pub(crate) fn unit_columns(&self, subject: &Subject, position: f64) -> Result<Vec<(usize, f64)>, CampaignError> {
        let index = subject.names().iter().position(|name| *name == self.name).unwrap_or(0);
        let cell = match &self.kind {
            AxisKind::Levels { names } => Cell::Level(names.get(position as usize).cloned().unwrap_or_default()),
            _ => Cell::Number(position),
        };
        subject.columns_at(index, cell)?.ok_or_else(|| {
            CampaignError::request(format!("{} = {position} lies outside the input's range or levels", self.name))
        })
    }

    /// Ends of the bins along this input, one more than there are bins.
    pub(crate) fn edges(&self) -> Vec<f64> {
        match &self.kind {
            AxisKind::Number { .. } => self.grid(BINS + 1),
            AxisKind::Whole { low, high, .. } if high - low < FEW_VALUES => {
                (*low..=high + 1).map(|v| v as f64 - 0.5).collect()
            }
            AxisKind::Whole { low, high, log } => {
                let ends = Self {
                    kind: AxisKind::Number { low: *low as f64 - 0.5, high: *high as f64 + 0.5, log: *log },
                    ..self.clone()
                };
                ends.grid(BINS + 1)
            }
            AxisKind::Levels { names } => (0..=names.len()).map(|level| level as f64 - 0.5).collect(),
            AxisKind::Held { value } => vec![value - 0.5, value + 0.5],
        }
    }
}

/// The bin that a position lies in; those beyond the ends belong to the outermost bins.
pub(crate) fn bin(edges: &[f64], position: f64) -> usize {
    edges[1..edges.len() - 1].partition_point(|edge| *edge <= position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(kind: AxisKind) -> Axis {
        Axis { name: "a".into(), unit: String::new(), kind, columns: 0..1 }
    }

    #[test]
    fn grids_and_bins_follow_the_kind() {
        let log = axis(AxisKind::Number { low: 0.1, high: 1000.0, log: true });
        assert!((log.grid(5)[1] - 1.0).abs() < 1e-12 && log.grid(5)[4] == 1000.0);
        assert_eq!(log.edges().len(), 9);
        let few = axis(AxisKind::Whole { low: 1, high: 4, log: false });
        assert_eq!(few.grid(21), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(few.edges(), [0.5, 1.5, 2.5, 3.5, 4.5]);
        let many = axis(AxisKind::Whole { low: 1, high: 1000, log: true });
        let grid = many.grid(21);
        assert!(grid.windows(2).all(|w| w[0] < w[1]) && grid[0] == 1.0 && grid[grid.len() - 1] == 1000.0);
        assert_eq!((many.edges()[0], many.edges()[8]), (0.5, 1000.5));
        let levels = axis(AxisKind::Levels { names: vec!["x".into(), "y".into()] });
        assert_eq!((levels.grid(9), levels.edges()), (vec![0.0, 1.0], vec![-0.5, 0.5, 1.5]));
        assert_eq!(levels.position(&Cell::Level("y".into())), Some(1.0));
        assert_eq!(levels.position(&Cell::Level("z".into())), None);
        let bins: Vec<usize> = [0.0, 1.0, 1.5, 4.0, 9.0].iter().map(|v| bin(&few.edges(), *v)).collect();
        assert_eq!(bins, [0, 0, 1, 3, 3]);
    }
}
