//! Physical, integer and categorical inputs on the unit box `[-1, 1]^d`, and uniform sampling from it.

use std::fmt;

use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::SeedPath;

/// How a continuous input is spread over its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Evenly in the value.
    #[default]
    Linear,
    /// Evenly in the value's logarithm; both bounds are positive.
    Log,
}

/// One input as its user knows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Dimension {
    /// A number between two bounds: one column, −1 at `low`, +1 at `high`.
    Continuous {
        /// Lower bound.
        low: f64,
        /// Upper bound, above `low`.
        high: f64,
        /// Spread.
        scale: Scale,
    },
    /// A whole number from `low` to `high`, both included: one column, value v at −1 + 2 (v − low) / (high − low), on a
    /// log scale at −1 + 2 ln(v / low) / ln(high / low).
    Integer {
        /// Smallest value.
        low: i64,
        /// Largest value, above `low`.
        high: i64,
        /// Spread.
        scale: Scale,
    },
    /// One of several levels: one column per level, +1 for the level that holds and −1 elsewhere.
    Categorical {
        /// How many levels, at least two.
        n_levels: usize,
    },
    /// A number that is never varied: no column.
    Fixed {
        /// The number.
        value: f64,
    },
}

impl Dimension {
    /// Columns that this input takes in the unit box.
    pub fn n_columns(&self) -> usize {
        match self {
            Self::Categorical { n_levels } => *n_levels,
            Self::Fixed { .. } => 0,
            Self::Continuous { .. } | Self::Integer { .. } => 1,
        }
    }

    /// How many values it has; none where these are any numbers.
    pub fn n_values(&self) -> Option<u64> {
        match self {
            Self::Continuous { .. } => None,
            Self::Integer { low, high, .. } => high.abs_diff(*low).checked_add(1),
            Self::Categorical { n_levels } => Some(*n_levels as u64),
            Self::Fixed { .. } => Some(1),
        }
    }

    fn check(&self, index: usize) -> Result<(), SpaceError> {
        let reason = match *self {
            Self::Continuous { low, high, .. } if !(low.is_finite() && high.is_finite() && low < high) => {
                format!("bounds must be finite with low < high, but are {low} and {high}")
            }
            Self::Continuous { low, high, .. } if !(high - low).is_finite() => {
                format!("the bounds {low:e} and {high:e} are too far apart: their difference is no finite number")
            }
            Self::Continuous { low, scale: Scale::Log, .. } if low <= 0.0 => {
                format!("a log scale needs positive bounds, but low is {low}")
            }
            Self::Integer { low, scale: Scale::Log, .. } if low <= 0 => {
                format!("a log scale needs positive bounds, but low is {low}")
            }
            Self::Fixed { value } if !value.is_finite() => format!("a fixed input must be finite, but is {value}"),
            Self::Integer { low, high, .. } if low >= high || high.checked_sub(low).is_none_or(|d| d > 1 << 52) => {
                format!("an integer input needs low < high (at most 2^52 apart), but has {low} and {high}")
            }
            Self::Categorical { n_levels } if n_levels < 2 => {
                format!("a categorical input needs at least two levels, but has {n_levels}")
            }
            _ => return Ok(()),
        };
        Err(SpaceError::BadDimension { index, reason })
    }
}

/// A physical value of one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Of a continuous input.
    Number(f64),
    /// Of an integer input.
    Integer(i64),
    /// Of a categorical input: the 0-based level.
    Level(usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(v) => write!(f, "{v}"),
            Self::Integer(v) => write!(f, "{v}"),
            Self::Level(v) => write!(f, "{v}"),
        }
    }
}

/// A space or a point that makes no sense.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpaceError {
    /// No inputs, or all of them fixed.
    #[error("a space needs at least one input that varies")]
    Empty,
    /// An input's bounds or levels are wrong.
    #[error("input {index}: {reason}")]
    BadDimension {
        /// 0-based input.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// A point has the wrong number of values.
    #[error("the space has {expected} {what}, the point {found}")]
    WrongLength {
        /// `columns` or `inputs`.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("column {column} of point {row} is {value}, not a finite number")]
    NonFinite {
        /// 0-based row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// A point of the unit box that stands for no values of the inputs.
    #[error("input {index} of point {row} is {found}, but must be {due}")]
    NotAdmitted {
        /// 0-based row.
        row: usize,
        /// 0-based input.
        index: usize,
        /// Its columns.
        found: String,
        /// What is allowed.
        due: String,
    },
    /// A physical value outside its input's range, or of the wrong kind.
    #[error("input {index}: {value} is not within {range}")]
    OutOfRange {
        /// 0-based input.
        index: usize,
        /// The value.
        value: String,
        /// What is allowed.
        range: String,
    },
}

/// Rounding that a coordinate of an integer or level may carry and still count as that value.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// The inputs of a problem, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    dimensions: Vec<Dimension>,
    n_columns: usize,
}

impl Space {
    /// A space of these inputs.
    ///
    /// # Errors
    /// No inputs that vary, bounds in the wrong order, a log scale across zero, fewer than two values or levels.
    pub fn new(dimensions: Vec<Dimension>) -> Result<Self, SpaceError> {
        for (index, dimension) in dimensions.iter().enumerate() {
            dimension.check(index)?;
        }
        let n_columns = dimensions.iter().map(Dimension::n_columns).sum();
        if n_columns == 0 {
            return Err(SpaceError::Empty);
        }
        Ok(Self { dimensions, n_columns })
    }

    /// `n_inputs` continuous inputs in `[-1, 1]`.
    ///
    /// # Panics
    /// With zero inputs.
    pub fn continuous_unit(n_inputs: usize) -> Self {
        let dimension = Dimension::Continuous { low: -1.0, high: 1.0, scale: Scale::Linear };
        Self::new(vec![dimension; n_inputs]).expect("a space needs at least one input")
    }

    /// The inputs.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// Columns of a point in the unit box.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// How many points it has, all of whose inputs are whole numbers, levels or fixed; none where one is any number, or
    /// where there are more than fit 64 bits.
    pub fn n_points(&self) -> Option<u64> {
        self.dimensions.iter().try_fold(1_u64, |n, dimension| n.checked_mul(dimension.n_values()?))
    }

    /// `n` points drawn uniformly (integers and levels with equal weight; integers v on a log scale with ln((v + 1) /
    /// v)), shape (n, n_columns).
    ///
    /// Rows are drawn one after another, one number per input that varies, so that fewer points are a prefix of more.
    pub fn sample(&self, n: usize, seeds: &SeedPath) -> Array2<f64> {
        let mut rng = seeds.rng();
        let mut quantiles = Array2::zeros((n, self.dimensions.len()));
        for mut row in quantiles.outer_iter_mut() {
            for (u, _) in row.iter_mut().zip(&self.dimensions).filter(|(_, dimension)| dimension.n_columns() > 0) {
                *u = (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
            }
        }
        self.at_quantiles(quantiles.view())
    }

    /// The points at these quantiles, one column of `quantiles` (n, inputs) per input, each in
    /// `[0, 1)`: a number lies at −1 + 2u, an integer and a level take equal shares of `[0, 1)` in their order. What
    /// [`sample`](Self::sample) does with uniform numbers, and what a space-filling design does with its own; shape (n,
    /// n_columns).
    ///
    /// # Panics
    /// With another number of columns than inputs.
    pub fn at_quantiles(&self, quantiles: ArrayView2<'_, f64>) -> Array2<f64> {
        assert_eq!(quantiles.ncols(), self.dimensions.len(), "one quantile per input");
        let mut points = Array2::zeros((quantiles.nrows(), self.n_columns));
        for (mut row, quantiles) in points.outer_iter_mut().zip(quantiles.outer_iter()) {
            let mut column = 0;
            for (dimension, &u) in self.dimensions.iter().zip(quantiles) {
                match *dimension {
                    Dimension::Continuous { .. } => row[column] = 2.0 * u - 1.0,
                    Dimension::Integer { low, high, scale: Scale::Log } => {
                        let end = (high as f64 + 1.0) / low as f64;
                        let value = (low as f64 * libm::exp(u * libm::log(end))).floor() as i64;
                        row[column] = whole_to_unit(value.clamp(low, high), low, high, Scale::Log);
                    }
                    Dimension::Integer { low, high, scale: Scale::Linear } => {
                        let steps = (high - low) as f64;
                        let k = (u * (steps + 1.0)).floor().min(steps);
                        row[column] = 2.0 * (k / steps) - 1.0;
                    }
                    Dimension::Categorical { n_levels } => {
                        let level = ((u * n_levels as f64) as usize).min(n_levels - 1);
                        for k in 0..n_levels {
                            row[column + k] = if k == level { 1.0 } else { -1.0 };
                        }
                    }
                    Dimension::Fixed { .. } => {}
                }
                column += dimension.n_columns();
            }
        }
        points
    }

    /// The quantiles of points of the box (n, n_columns), shape (n, inputs): (x + 1) / 2 of a number, the middle of its
    /// share for an integer, a level and a fixed input. [`at_quantiles`](Self::at_quantiles) leads back.
    ///
    /// # Errors
    /// As [`project`](Self::project), which decides what integer or level a point stands for.
    pub fn quantiles(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SpaceError> {
        let x = self.project(x)?;
        let mut quantiles = Array2::zeros((x.nrows(), self.dimensions.len()));
        for (mut quantiles, row) in quantiles.outer_iter_mut().zip(x.outer_iter()) {
            let mut column = 0;
            for (quantile, dimension) in quantiles.iter_mut().zip(&self.dimensions) {
                *quantile = match *dimension {
                    Dimension::Continuous { .. } => (row[column] + 1.0) / 2.0,
                    Dimension::Integer { low, high, scale: Scale::Log } => {
                        let value = whole_from_unit(row[column], low, high) as f64;
                        let place = |v: f64| libm::log(v / low as f64) / libm::log((high as f64 + 1.0) / low as f64);
                        (place(value) + place(value + 1.0)) / 2.0
                    }
                    Dimension::Integer { low, high, scale: Scale::Linear } => {
                        let steps = (high - low) as f64;
                        (((row[column] + 1.0) / 2.0 * steps).round() + 0.5) / (steps + 1.0)
                    }
                    // Its one value is the whole range.
                    Dimension::Fixed { .. } => 0.5,
                    Dimension::Categorical { n_levels } => {
                        (highest(row, column, n_levels) as f64 + 0.5) / n_levels as f64
                    }
                };
                column += dimension.n_columns();
            }
        }
        Ok(quantiles)
    }

    /// The nearest points, in Euclidean distance, that the space admits, one for each of `x` (n, n_columns): bounded
    /// columns are clamped, integers go to the nearest one, levels to the highest of their columns (+1, the others −1).
    /// A tie goes to the higher integer and to the first level, as in [`to_physical`](Self::to_physical).
    ///
    /// ```
    /// use dal_core::{Dimension, Scale, Space};
    /// use ndarray::array;
    /// let blades = Dimension::Integer { low: 0, high: 2, scale: Scale::Linear };
    /// let space = Space::new(vec![blades, Dimension::Categorical { n_levels: 2 }])?;
    /// assert_eq!(space.project(array![[0.4, -0.2, 0.1]].view())?, array![[0.0, -1.0, 1.0]]);
    /// # Ok::<(), dal_core::SpaceError>(())
    /// ```
    ///
    /// # Errors
    /// A wrong number of columns, coordinates that are not finite.
    pub fn project(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SpaceError> {
        self.check_numbers(x)?;
        let mut nearest = x.to_owned();
        for mut row in nearest.outer_iter_mut() {
            let mut column = 0;
            for dimension in &self.dimensions {
                match *dimension {
                    Dimension::Continuous { .. } => row[column] = row[column].clamp(-1.0, 1.0),
                    Dimension::Integer { low, high, scale: Scale::Linear } => {
                        row[column] = nearest_integer(row[column], low, high);
                    }
                    Dimension::Integer { low, high, scale: Scale::Log } => {
                        let value = whole_from_unit(row[column], low, high);
                        row[column] = whole_to_unit(value, low, high, Scale::Log);
                    }
                    Dimension::Fixed { .. } => {}
                    Dimension::Categorical { n_levels } => {
                        let highest = highest(row.view(), column, n_levels);
                        for k in 0..n_levels {
                            row[column + k] = if k == highest { 1.0 } else { -1.0 };
                        }
                    }
                }
                column += dimension.n_columns();
            }
        }
        Ok(nearest)
    }

    /// An error for the first of the points `x` (n, n_columns) that the space does not admit; integers and levels may
    /// carry rounding.
    ///
    /// # Errors
    /// A wrong number of columns, coordinates that are not finite, [`SpaceError::NotAdmitted`].
    pub fn check(&self, x: ArrayView2<'_, f64>) -> Result<(), SpaceError> {
        let nearest = self.project(x)?;
        for (row, (point, nearest)) in x.outer_iter().zip(nearest.outer_iter()).enumerate() {
            let mut column = 0;
            for (index, dimension) in self.dimensions.iter().enumerate() {
                let columns = column..column + dimension.n_columns();
                let (allowed, due) = match *dimension {
                    Dimension::Continuous { .. } => (0.0, "between -1 and 1".to_owned()),
                    Dimension::Fixed { .. } => continue,
                    Dimension::Integer { low, high, .. } => (
                        ROUNDING,
                        format!("one of the {} values from -1 to 1 that stand for {low}..{high}", high - low + 1),
                    ),
                    Dimension::Categorical { n_levels } => {
                        (ROUNDING, format!("1 in one of its {n_levels} columns and -1 in the others"))
                    }
                };
                if columns.clone().any(|k| (point[k] - nearest[k]).abs() > allowed) {
                    let found: Vec<String> = columns.map(|k| point[k].to_string()).collect();
                    return Err(SpaceError::NotAdmitted { row, index, found: found.join(", "), due });
                }
                column += dimension.n_columns();
            }
        }
        Ok(())
    }

    fn check_numbers(&self, x: ArrayView2<'_, f64>) -> Result<(), SpaceError> {
        if x.ncols() != self.n_columns {
            return Err(SpaceError::WrongLength { what: "columns", expected: self.n_columns, found: x.ncols() });
        }
        match x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            Some(((row, column), &value)) => Err(SpaceError::NonFinite { row, column, value }),
            None => Ok(()),
        }
    }

    /// The physical values of a point of the unit box; integers and levels by the nearest one (the highest column).
    ///
    /// Of the numbers whose [`to_unit`](Self::to_unit) is the same point, one of few digits is preferred: 5 comes back
    /// as 5, not as 4.999999999999999.
    ///
    /// # Errors
    /// A wrong number of columns.
    pub fn to_physical(&self, point: ArrayView1<'_, f64>) -> Result<Vec<Value>, SpaceError> {
        if point.len() != self.n_columns {
            return Err(SpaceError::WrongLength { what: "columns", expected: self.n_columns, found: point.len() });
        }
        let mut column = 0;
        let values = self.dimensions.iter().map(|dimension| {
            // Of a fixed input behind all others there is no column.
            let u = (point.get(column).copied().unwrap_or_default() + 1.0) / 2.0;
            let value = match *dimension {
                Dimension::Continuous { low, high, scale: Scale::Linear } => {
                    Value::Number(of_few_digits(low + u * (high - low), (low, high, Scale::Linear), point[column]))
                }
                Dimension::Continuous { low, high, scale: Scale::Log } => {
                    let value = libm::exp(libm::log(low) + u * libm::log(high / low));
                    Value::Number(of_few_digits(value, (low, high, Scale::Log), point[column]))
                }
                Dimension::Fixed { value } => Value::Number(value),
                Dimension::Integer { low, high, scale: Scale::Log } => {
                    Value::Integer(whole_from_unit(point[column], low, high))
                }
                Dimension::Integer { low, high, scale: Scale::Linear } => {
                    Value::Integer((low + (u * (high - low) as f64).round() as i64).clamp(low, high))
                }
                Dimension::Categorical { n_levels } => Value::Level(highest(point, column, n_levels)),
            };
            column += dimension.n_columns();
            value
        });
        Ok(values.collect())
    }

    /// The point of the unit box of these physical values.
    ///
    /// # Errors
    /// A wrong number of values, a value outside its range or of the wrong kind.
    pub fn to_unit(&self, values: &[Value]) -> Result<Vec<f64>, SpaceError> {
        if values.len() != self.dimensions.len() {
            return Err(SpaceError::WrongLength {
                what: "inputs",
                expected: self.dimensions.len(),
                found: values.len(),
            });
        }
        let mut point = Vec::with_capacity(self.n_columns);
        for (index, (dimension, value)) in self.dimensions.iter().zip(values).enumerate() {
            let out_of_range = |range: String| SpaceError::OutOfRange { index, value: value.to_string(), range };
            match (dimension, *value) {
                (&Dimension::Continuous { low, high, scale }, Value::Number(v)) if v >= low && v <= high => {
                    point.push(unit_of(v, low, high, scale));
                }
                (&Dimension::Integer { low, high, scale }, Value::Integer(v)) if v >= low && v <= high => {
                    point.push(whole_to_unit(v, low, high, scale));
                }
                (&Dimension::Fixed { value }, Value::Number(v)) if v == value => {}
                (&Dimension::Categorical { n_levels }, Value::Level(v)) if v < n_levels => {
                    point.extend((0..n_levels).map(|k| if k == v { 1.0 } else { -1.0 }));
                }
                (Dimension::Continuous { low, high, .. }, _) => return Err(out_of_range(format!("[{low}, {high}]"))),
                (Dimension::Integer { low, high, .. }, _) => {
                    return Err(out_of_range(format!("the whole numbers {low}..{high}")));
                }
                (Dimension::Fixed { value }, _) => return Err(out_of_range(format!("{value} alone"))),
                (Dimension::Categorical { n_levels }, _) => {
                    return Err(out_of_range(format!("the levels 0..{}", n_levels - 1)));
                }
            }
        }
        Ok(point)
    }
}

/// The level whose column is the highest, the first of equal ones.
fn highest(point: ArrayView1<'_, f64>, column: usize, n_levels: usize) -> usize {
    (1..n_levels).fold(0, |best, k| if point[column + k] > point[column + best] { k } else { best })
}

/// The coordinate of the integer nearest to a coordinate.
fn nearest_integer(u: f64, low: i64, high: i64) -> f64 {
    let steps = (high - low) as f64;
    let near = ((u.clamp(-1.0, 1.0) + 1.0) / 2.0 * steps).round();
    // In a range of very many integers rounding can miss by one, and a coordinate that is an integer's own must stay.
    let candidates = [near, near - 1.0, near + 1.0].into_iter().filter(|k| (0.0..=steps).contains(k));
    let coordinates = candidates.map(|k| 2.0 * (k / steps) - 1.0);
    coordinates.min_by(|a, b| (a - u).abs().total_cmp(&(b - u).abs())).unwrap_or(-1.0)
}

/// Where a whole number lies on [-1, 1]: evenly in its value or in its logarithm.
fn whole_to_unit(value: i64, low: i64, high: i64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => 2.0 * ((value - low) as f64 / (high - low) as f64) - 1.0,
        Scale::Log => {
            let share = libm::log(value as f64 / low as f64) / libm::log(high as f64 / low as f64);
            (2.0 * share - 1.0).clamp(-1.0, 1.0)
        }
    }
}

/// The whole number on a log scale whose place on [-1, 1] is nearest; of two equally near ones the smaller.
fn whole_from_unit(unit: f64, low: i64, high: i64) -> i64 {
    let share = ((unit + 1.0) / 2.0).clamp(0.0, 1.0);
    let guess = libm::exp(libm::log(low as f64) + share * libm::log(high as f64 / low as f64));
    let guess = (guess.round() as i64).clamp(low, high);
    let distance = |value: i64| (whole_to_unit(value, low, high, Scale::Log) - unit).abs();
    // Rounding in the value is not rounding in the logarithm; the nearest is a neighbour at most.
    let candidates = [guess - 1, guess, guess + 1].map(|value| value.clamp(low, high));
    candidates
        .into_iter()
        .fold(candidates[0], |best, value| if distance(value) < distance(best) { value } else { best })
}

fn unit_of(v: f64, low: f64, high: f64, scale: Scale) -> f64 {
    let u = match scale {
        Scale::Linear => (v - low) / (high - low),
        Scale::Log => libm::log(v / low) / libm::log(high / low),
    };
    (2.0 * u - 1.0).clamp(-1.0, 1.0)
}

/// `value`, or the number of fewer digits beside it that is the same point of the unit box.
fn of_few_digits(value: f64, (low, high, scale): (f64, f64, Scale), point: f64) -> f64 {
    let value = value.clamp(low, high);
    // Rounding there and back moves a number by some units of its sixteenth digit, on a log scale of its fifteenth; one
    // near zero in a wide range by as much of the range.
    let decimals = (13.0 - libm::log10(high - low).floor()).clamp(0.0, 300.0) as usize;
    let rounded = (0..3).map(|attempt| match attempt {
        0 => format!("{value:.decimals$}"),
        1 => format!("{value:.12e}"),
        _ => format!("{value:.14e}"),
    });
    let same = |v: &f64| (low..=high).contains(v) && unit_of(*v, low, high, scale) == point;
    rounded.filter_map(|text| text.parse().ok()).find(same).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;
    use proptest::prelude::*;

    fn dimension_holds(dimension: &Dimension, value: f64) -> bool {
        matches!(dimension, Dimension::Continuous { low, high, .. } if (low..=high).contains(&&value))
    }

    fn mixed() -> Space {
        Space::new(vec![
            Dimension::Continuous { low: 2.0, high: 5.0, scale: Scale::Linear },
            Dimension::Continuous { low: 1e-3, high: 1e3, scale: Scale::Log },
            Dimension::Integer { low: 0, high: 9, scale: Scale::Linear },
            Dimension::Categorical { n_levels: 3 },
        ])
        .unwrap()
    }

    #[test]
    fn fewer_points_are_a_prefix_of_more() {
        let seeds = SeedPath::root(3);
        let (few, many) = (mixed().sample(5, &seeds), mixed().sample(50, &seeds));
        assert_eq!(few, many.slice(s![..5, ..]));
        assert!(many.iter().all(|v| (-1.0..=1.0).contains(v)));
    }

    #[test]
    fn integers_land_on_their_grid_with_equal_weight() {
        let points = mixed().sample(10_000, &SeedPath::root(4));
        let mut counts = [0usize; 10];
        for &v in points.column(2) {
            let k = ((v + 1.0) * 4.5).round();
            assert_eq!(v, 2.0 * (k / 9.0) - 1.0);
            counts[k as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (850..1150).contains(&c)), "{counts:?}");
    }

    #[test]
    fn bad_dimensions_are_refused() {
        for bad in [
            Dimension::Continuous { low: 1.0, high: 1.0, scale: Scale::Linear },
            Dimension::Continuous { low: f64::NAN, high: 1.0, scale: Scale::Linear },
            Dimension::Continuous { low: 0.0, high: 1.0, scale: Scale::Log },
            Dimension::Integer { low: 3, high: 3, scale: Scale::Linear },
            Dimension::Integer { low: i64::MIN, high: i64::MAX, scale: Scale::Linear },
            Dimension::Integer { low: 0, high: 3, scale: Scale::Log },
            Dimension::Fixed { value: f64::NAN },
            Dimension::Categorical { n_levels: 1 },
        ] {
            assert!(matches!(Space::new(vec![bad]), Err(SpaceError::BadDimension { index: 0, .. })));
        }
        assert_eq!(Space::new(vec![]), Err(SpaceError::Empty));
        assert_eq!(Space::new(vec![Dimension::Fixed { value: 1.0 }]), Err(SpaceError::Empty));
    }

    #[test]
    fn points_that_stand_for_nothing_are_named() {
        let space = mixed();
        let good = space.sample(3, &SeedPath::root(5));
        assert_eq!(space.check(good.view()), Ok(()));
        let with = |column: usize, value: f64| {
            let mut x = good.clone();
            x[[1, column]] = value;
            space.check(x.view()).unwrap_err()
        };
        assert!(matches!(with(0, 1.1), SpaceError::NotAdmitted { row: 1, index: 0, .. }));
        assert!(matches!(with(2, 0.0), SpaceError::NotAdmitted { row: 1, index: 2, .. }));
        assert!(matches!(with(4, 0.5), SpaceError::NotAdmitted { row: 1, index: 3, .. }));
        assert!(matches!(with(1, f64::NAN), SpaceError::NonFinite { row: 1, column: 1, .. }));
        let message = with(4, 0.5).to_string();
        assert!(message.ends_with("but must be 1 in one of its 3 columns and -1 in the others"), "{message}");
        let narrow = good.slice(s![.., ..5]);
        assert!(matches!(space.project(narrow), Err(SpaceError::WrongLength { expected: 6, found: 5, .. })));
    }

    #[test]
    fn a_fixed_input_is_a_value_without_a_column() {
        let fixed = Dimension::Fixed { value: 7.5 };
        let number = Dimension::Continuous { low: 0.0, high: 4.0, scale: Scale::Linear };
        let space = Space::new(vec![fixed.clone(), number.clone(), fixed]).unwrap();
        assert_eq!(space.n_columns(), 1);
        let x = space.sample(20, &SeedPath::root(6));
        assert_eq!(x, Space::new(vec![number]).unwrap().sample(20, &SeedPath::root(6)), "nothing is drawn for it");
        assert_eq!((space.check(x.view()), &space.project(x.view()).unwrap()), (Ok(()), &x));
        let values = space.to_physical(x.row(0)).unwrap();
        assert_eq!((values[0], values[2]), (Value::Number(7.5), Value::Number(7.5)));
        assert_eq!(space.to_unit(&[values[0], Value::Number(4.0), values[2]]).unwrap(), [1.0]);
        let error = space.to_unit(&[Value::Number(7.0), values[1], values[2]]).unwrap_err().to_string();
        assert!(error.contains("input 0") && error.contains("7.5 alone"), "{error}");
    }

    #[test]
    fn whole_numbers_on_a_log_scale_are_drawn_by_their_logarithm() {
        let space = Space::new(vec![Dimension::Integer { low: 1, high: 3, scale: Scale::Log }]).unwrap();
        let mut counts = [0_usize; 3];
        for point in space.sample(20_000, &SeedPath::root(7)).outer_iter() {
            let Value::Integer(v) = space.to_physical(point).unwrap()[0] else { panic!("it is whole") };
            counts[(v - 1) as usize] += 1;
        }
        // ln((v + 1) / v) / ln 4: 1/2, .2925, .2075.
        assert!((9_700..10_300).contains(&counts[0]) && (5_600..6_100).contains(&counts[1]), "{counts:?}");
    }

    proptest! {
        #[test]
        fn whole_numbers_find_back_from_a_log_scale(low in 1_i64..2000, more in 1_i64..2000, at in 0.0..=1.0_f64) {
            let high = low + more;
            let unit_of = |v: i64| whole_to_unit(v, low, high, Scale::Log);
            let v = low + (at * more as f64) as i64;
            prop_assert_eq!(whole_from_unit(unit_of(v), low, high), v);
            // The naive nearest of all.
            let unit = 2.0 * at - 1.0;
            let distance = |v: i64| (unit_of(v) - unit).abs();
            let nearest = (low..=high).fold(low, |best, v| if distance(v) < distance(best) { v } else { best });
            prop_assert_eq!(distance(whole_from_unit(unit, low, high)), distance(nearest));
            let space = Space::new(vec![Dimension::Integer { low, high, scale: Scale::Log }]).unwrap();
            let x = Array2::from_shape_vec((1, 1), space.to_unit(&[Value::Integer(v)]).unwrap()).unwrap();
            prop_assert_eq!((space.check(x.view()), &space.project(x.view()).unwrap()), (Ok(()), &x));
        }

        #[test]
        fn numbers_of_few_digits_come_back(
            low in -1000i64..1000, span in 1i64..100_000, part in 0.0..1.0f64, decimals in 0u32..5, is_log: bool,
        ) {
            let unit = 10f64.powi(-(decimals as i32));
            let low = if is_log { low.abs() + 1 } else { low };
            let scale = if is_log { Scale::Log } else { Scale::Linear };
            let dimension = Dimension::Continuous { low: low as f64 * unit, high: (low + span) as f64 * unit, scale };
            let space = Space::new(vec![dimension.clone()]).unwrap();
            // The number as a person writes it.
            let value = (low as f64 + (part * span as f64).floor()) * unit;
            let value: f64 = format!("{value:.*}", decimals as usize).parse().unwrap();
            prop_assume!(dimension_holds(&dimension, value));
            let point = space.to_unit(&[Value::Number(value)]).unwrap();
            prop_assert_eq!(space.to_physical(ndarray::aview1(&point)).unwrap(), [Value::Number(value)]);
        }

        #[test]
        fn projections_are_admissible_nearest_and_stay(
            seed in any::<u64>(), values in proptest::collection::vec(-3.0..3.0f64, 6),
        ) {
            let space = mixed();
            let x = Array2::from_shape_vec((1, 6), values).unwrap();
            let projected = space.project(x.view()).unwrap();
            prop_assert_eq!(space.check(projected.view()), Ok(()));
            prop_assert_eq!(&space.project(projected.view()).unwrap(), &projected);
            prop_assert_eq!(space.check(x.view()).is_ok(), x == projected);
            prop_assert_eq!(
                space.to_physical(projected.row(0)).unwrap()[2..].to_vec(),
                space.to_physical(x.row(0)).unwrap()[2..].to_vec()
            );
            // Nearest: no other is nearer, of all integers and levels with the continuous columns clamped by hand, and
            // of a thousand random points.
            let distance = |row: ArrayView1<'_, f64>| (&row - &x.row(0)).mapv(|v| v * v).sum();
            let found: f64 = distance(projected.row(0));
            for k in 0..10 {
                for level in 0..3 {
                    let mut other = vec![x[[0, 0]].clamp(-1.0, 1.0), x[[0, 1]].clamp(-1.0, 1.0)];
                    other.push(2.0 * (f64::from(k) / 9.0) - 1.0);
                    other.extend((0..3).map(|l| if l == level { 1.0 } else { -1.0 }));
                    prop_assert!(found <= distance(ndarray::aview1(&other)) + 1e-12);
                }
            }
            for row in space.sample(1000, &SeedPath::root(seed)).outer_iter() {
                prop_assert!(found <= distance(row) + 1e-12);
            }
        }

        #[test]
        fn integers_of_any_range_stay_where_they_are(low in -(1i64 << 51)..0, span in 1i64..1 << 51, part in 0.0..=1.0f64) {
            let space = Space::new(vec![Dimension::Integer { low, high: low + span, scale: Scale::Linear }]).unwrap();
            let value = Value::Integer(low + (part * span as f64) as i64);
            let x = Array2::from_shape_vec((1, 1), space.to_unit(&[value]).unwrap()).unwrap();
            prop_assert_eq!(space.project(x.view()).unwrap(), x.clone());
            prop_assert_eq!(space.check(x.view()), Ok(()));
        }

        #[test]
        fn physical_and_unit_are_inverse(seed in any::<u64>()) {
            let space = mixed();
            for row in space.sample(8, &SeedPath::root(seed)).outer_iter() {
                let values = space.to_physical(row).unwrap();
                let back = space.to_unit(&values).unwrap();
                for (a, b) in row.iter().zip(&back) {
                    prop_assert!((a - b).abs() < 1e-12, "{row} {back:?}");
                }
            }
        }
    }
}
