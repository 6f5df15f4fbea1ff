//! Numbers at the edge: values a rounding beyond a bound, whole numbers and levels written as floats, bounds that
//! cannot be.

use dal_core::{Dimension, Scale, Value};
use thiserror::Error;

use crate::names::canonical;
use crate::number::{Decimal, NumberFault, excerpt, number, short};
use crate::write::unguarded;

/// The largest whole number below which 64-bit floats hold every one.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// The most that `low` and `high` of a whole number may lie apart: places on the unit box beyond are not exact.
const WHOLE_RANGE: i64 = 1 << 52;

/// Roundings that carry a value beyond a bound.
const ULPS: i128 = 4;

/// A share of the range that is taken for rounding.
const SHARE: f64 = 1e-12;

/// A value within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// How far it was moved onto a bound, or onto a whole number, as a share of the range; none where it stands as it
    /// was.
    pub moved: Option<f64>,
}

/// The value, moved onto a bound where it lies beyond it by at most 4 units in the last place or 1e-12 of the range (on
/// a log scale: of the range of logarithms); none where it lies farther out. Values within the bounds are not touched.
pub fn onto_range(value: f64, low: f64, high: f64, scale: Scale) -> Option<Placed<f64>> {
    if value >= low && value <= high {
        return Some(Placed { value, moved: None });
    }
    let bound = if value < low { low } else { high };
    let share = match scale {
        Scale::Linear => (value - bound).abs() / (high - low),
        Scale::Log => (value / bound).ln().abs() / (high / low).ln(),
    };
    let near = value.is_finite() && (ulps(value, bound) <= ULPS || share <= SHARE);
    near.then(|| Placed { value: bound, moved: Some(if share.is_finite() { share } else { 0.0 }) })
}

/// How many 64-bit floats lie between two.
fn ulps(a: f64, b: f64) -> i128 {
    let place = |v: f64| {
        let bits = i128::from(v.to_bits() & (u64::MAX >> 1));
        if v.is_sign_negative() { -bits } else { bits }
    };
    (place(a) - place(b)).abs()
}

/// Why bounds cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum BoundsFault {
    /// An infinity or NaN.
    #[error("{key} is {value}; bounds must be finite")]
    NotFinite {
        /// `low` or `high`.
        key: &'static str,
        /// The bound.
        value: f64,
    },
    /// In the wrong order.
    #[error("low must be below high, but they are {} and {}", short(*.low), short(*.high))]
    Reversed {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Farther apart than the largest number.
    #[error(
        "the bounds {} and {} are too far apart: their difference is beyond the largest number, 1.8e308",
        short(*.low), short(*.high)
    )]
    Difference {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A log scale across zero.
    #[error("a log scale needs low above 0, but it is {}", short(*.low))]
    LogOfZero {
        /// Lower bound.
        low: f64,
    },
    /// A log scale whose bounds' ratio overflows.
    #[error(
        "the bounds {} and {} are too far apart for a log scale: their ratio is beyond the largest number, 1.8e308",
        short(*.low), short(*.high)
    )]
    Ratio {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A bound of a whole number that is none.
    #[error("a whole number needs whole bounds, but {key} is {}", short(*.value))]
    NotWhole {
        /// `low` or `high`.
        key: &'static str,
        /// The bound.
        value: f64,
    },
    /// A whole number that 64-bit floats cannot tell from its neighbours.
    #[error(
        "{key} is {} as a 64-bit float: from 2^53 = 9007199254740992 on whole numbers cannot be told from their \
         neighbours; shift or scale the input", short(*.value)
    )]
    BeyondWhole {
        /// `low` or `high`.
        key: &'static str,
        /// The bound.
        value: f64,
    },
    /// Whole bounds too far apart.
    #[error(
        "{low} and {high} are more than 2^52 apart, so that whole numbers between them have no place of their own; scale \
         the input, or drop integer"
    )]
    WholeRange {
        /// Lower bound.
        low: i64,
        /// Upper bound.
        high: i64,
    },
    /// The same or neighbouring numbers that a point of the unit box cannot tell apart.
    #[error("the bounds {} and {} are so close that no number lies between them", short(*.low), short(*.high))]
    NoRoom {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
}

impl BoundsFault {
    /// The key of an input that is to blame: `low`, `high`, `scale` or `integer`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NotFinite { key, .. } | Self::BeyondWhole { key, .. } => key,
            Self::Reversed { .. } | Self::Difference { .. } | Self::NoRoom { .. } => "low",
            Self::LogOfZero { .. } | Self::Ratio { .. } => "scale",
            Self::NotWhole { .. } | Self::WholeRange { .. } => "integer",
        }
    }
}

/// The input that bounds describe: a number, a whole number, or one value that is never varied where both are the same.
///
/// # Errors
/// The real reason why they describe none.
pub fn bounds(low: f64, high: f64, scale: Scale, integer: bool) -> Result<Dimension, BoundsFault> {
    for (key, value) in [("low", low), ("high", high)] {
        if !value.is_finite() {
            return Err(BoundsFault::NotFinite { key, value });
        }
        if integer && value.fract() != 0.0 {
            return Err(BoundsFault::NotWhole { key, value });
        }
        if integer && value.abs() >= WHOLE {
            return Err(BoundsFault::BeyondWhole { key, value });
        }
    }
    if low > high {
        return Err(BoundsFault::Reversed { low, high });
    }
    if low == high {
        return Ok(Dimension::Fixed { value: low });
    }
    if scale == Scale::Log && low <= 0.0 {
        return Err(BoundsFault::LogOfZero { low });
    }
    if !(high - low).is_finite() {
        return Err(BoundsFault::Difference { low, high });
    }
    if scale == Scale::Log && !(high / low).is_finite() {
        return Err(BoundsFault::Ratio { low, high });
    }
    if scale == Scale::Log && (high / low).ln() <= 0.0 {
        return Err(BoundsFault::NoRoom { low, high });
    }
    if !integer {
        return Ok(Dimension::Continuous { low, high, scale });
    }
    let (low, high) = (low as i64, high as i64);
    if high - low > WHOLE_RANGE {
        return Err(BoundsFault::WholeRange { low, high });
    }
    Ok(Dimension::Integer { low, high, scale })
}

/// Why a cell is no value of an input.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ValueFault {
    /// No number where one is due.
    #[error("{fault}")]
    Number {
        /// Why it is none.
        fault: NumberFault,
    },
    /// Outside the bounds.
    #[error("lies outside [{low}, {high}]")]
    Outside {
        /// Lower bound.
        low: String,
        /// Upper bound.
        high: String,
    },
    /// No whole number.
    #[error("is no whole number; this input takes those from {low} to {high}")]
    NotWhole {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
    },
    /// Another value of an input that is never varied.
    #[error("is another value than {value}, at which this input is fixed")]
    Fixed {
        /// The value.
        value: String,
    },
    /// A whole number that 64-bit floats cannot tell from its neighbours.
    #[error("lies beyond 2^53 = 9007199254740992, where whole numbers cannot be told from their neighbours")]
    BeyondWhole,
    /// None of the levels.
    #[error("is none of the levels {levels}")]
    NoLevel {
        /// The levels, shortened.
        levels: String,
    },
    /// More than one of the levels.
    #[error("may be the level `{first}` or `{second}`; write one of them exactly")]
    TwoLevels {
        /// One level.
        first: String,
        /// The other.
        second: String,
    },
}

impl ValueFault {
    /// Whether the cell says something, but nothing that the input takes: a fault of this row alone. Otherwise the file
    /// is damaged.
    pub fn is_of_row(&self) -> bool {
        !matches!(self, Self::Number { fault } if *fault != NumberFault::NotFinite)
    }
}

/// The value of an input that a cell states.
///
/// # Errors
/// Why it states none.
pub fn value(
    dimension: &Dimension,
    levels: &[String],
    text: &str,
    decimal: Decimal,
) -> Result<Placed<Value>, ValueFault> {
    match *dimension {
        Dimension::Categorical { .. } => {
            level(levels, text, decimal).map(|at| Placed { value: Value::Level(at), moved: None })
        }
        Dimension::Continuous { low, high, scale } => {
            let v = number(text, decimal).map_err(|fault| ValueFault::Number { fault })?;
            let placed = onto_range(v, low, high, scale);
            let placed = placed.ok_or_else(|| ValueFault::Outside { low: short(low), high: short(high) })?;
            Ok(Placed { value: Value::Number(placed.value), moved: placed.moved })
        }
        Dimension::Fixed { value: only } => {
            let v = number(text, decimal).map_err(|fault| ValueFault::Number { fault })?;
            if v == only {
                return Ok(Placed { value: Value::Number(v), moved: None });
            }
            let near = v.is_finite() && (ulps(v, only) <= ULPS || (v - only).abs() <= SHARE * only.abs());
            let moved = Some((v - only).abs());
            near.then_some(Placed { value: Value::Number(only), moved })
                .ok_or_else(|| ValueFault::Fixed { value: short(only) })
        }
        Dimension::Integer { low, high, .. } => {
            let v = number(text, decimal).map_err(|fault| ValueFault::Number { fault })?;
            let placed = whole(v, high - low).ok_or(ValueFault::NotWhole { low, high })?;
            if placed.value.abs() >= WHOLE {
                return Err(ValueFault::BeyondWhole);
            }
            let whole = placed.value as i64;
            if whole < low || whole > high {
                return Err(ValueFault::Outside { low: low.to_string(), high: high.to_string() });
            }
            Ok(Placed { value: Value::Integer(whole), moved: placed.moved })
        }
    }
}

/// A whole number, `3.0` and 4 units in the last place beside it included.
fn whole(v: f64, range: i64) -> Option<Placed<f64>> {
    let nearest = v.round();
    if nearest == v {
        return Some(Placed { value: nearest, moved: None });
    }
    (ulps(v, nearest) <= ULPS).then(|| Placed { value: nearest, moved: Some((v - nearest).abs() / range as f64) })
}

/// The level that a cell names: written the same, composed letters or not; else the one that is the same number, as
/// `2.0` is `2`.
///
/// # Errors
/// None of the levels; two that are the same number.
pub fn level(levels: &[String], text: &str, decimal: Decimal) -> Result<usize, ValueFault> {
    let equal = |text: &str| {
        let wanted = canonical(text);
        levels.iter().position(|level| canonical(level) == wanted)
    };
    if let Some(at) = equal(text).or_else(|| equal(unguarded(text.trim()))) {
        return Ok(at);
    }
    if let Ok(v) = number(text, decimal) {
        let same = |level: &String| number(level, Decimal::Point) == Ok(v);
        let found: Vec<usize> = (0..levels.len()).filter(|&at| same(&levels[at])).collect();
        match found[..] {
            [at] => return Ok(at),
            [one, other, ..] => {
                return Err(ValueFault::TwoLevels { first: levels[one].clone(), second: levels[other].clone() });
            }
            [] => {}
        }
    }
    let shown: Vec<String> = levels.iter().take(20).map(|level| excerpt(level)).collect();
    let more = if levels.len() > 20 { format!(", … ({} in all)", levels.len()) } else { String::new() };
    Err(ValueFault::NoLevel { levels: shown.join(", ") + &more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINEAR: Scale = Scale::Linear;

    #[test]
    fn a_rounding_beyond_a_bound_is_on_it() {
        let moved =
            |v, low, high| onto_range(v, low, high, LINEAR).map(|placed| (placed.value, placed.moved.is_some()));
        assert_eq!(moved(0.321_210_000_000_000_2, -3.07596, 0.32121), Some((0.32121, true)));
        assert_eq!(moved(-3.075_960_000_000_000_2, -3.07596, 0.32121), Some((-3.07596, true)));
        assert_eq!(moved(1.0 + f64::EPSILON, -1.0, 1.0), Some((1.0, true)));
        assert_eq!(moved(-1e-13, 0.0, 1.0), Some((0.0, true)), "a share of the range");
        assert_eq!(moved(1.0 + 1e-11, -1.0, 1.0), None);
        assert_eq!(moved(f64::NAN, -1.0, 1.0), None);
        assert_eq!(moved(f64::INFINITY, -1.0, f64::MAX), None);
        assert_eq!(onto_range(0.0, 1e-6, 1e6, Scale::Log), None, "far away on a log scale");
        assert_eq!(onto_range(-1e-6, 1e-6, 1e6, Scale::Log), None);
        assert_eq!(onto_range(1e-6 * (1.0 - 1e-12), 1e-6, 1e6, Scale::Log).unwrap().value, 1e-6);
    }

    #[test]
    fn bounds_are_refused_with_the_real_reason() {
        let reason = |low, high, scale, integer| bounds(low, high, scale, integer).unwrap_err().to_string();
        assert!(reason(0.0, f64::INFINITY, LINEAR, false).contains("high is inf; bounds must be finite"));
        assert!(reason(f64::NAN, 1.0, LINEAR, true).contains("low is NaN"));
        assert!(reason(2.0, 1.0, LINEAR, false).contains("low must be below high"));
        assert!(reason(-1e308, 1e308, LINEAR, false).contains("-1e308 and 1e308 are too far apart: their difference"));
        assert!(reason(1e-300, 1e300, Scale::Log, false).contains("their ratio"));
        assert!(reason(0.0, 1.0, Scale::Log, true).contains("low above 0"));
        assert!(reason(0.5, 2.0, LINEAR, true).contains("low is 0.5"));
        assert!(reason(0.0, 1e16, LINEAR, true).contains("high is 1e16 as a 64-bit float: from 2^53"));
        assert!(reason(-9e15, 9e15, LINEAR, true).contains("2^52"));
        assert!(reason(0.0, 9_007_199_254_740_992.0, LINEAR, true).contains("2^53"));
        let of = |low, high, scale, integer| bounds(low, high, scale, integer).unwrap();
        assert_eq!(of(7.0, 7.0, LINEAR, false), Dimension::Fixed { value: 7.0 });
        assert_eq!(of(1.0, 1000.0, Scale::Log, true), Dimension::Integer { low: 1, high: 1000, scale: Scale::Log });
        assert_eq!(of(0.0, 2.0, LINEAR, false), Dimension::Continuous { low: 0.0, high: 2.0, scale: LINEAR });
        assert_eq!(bounds(f64::NAN, 1.0, LINEAR, true).unwrap_err().key(), "low");
    }

    #[test]
    fn levels_may_be_numbers_and_whole_numbers_floats() {
        let levels = ["1", "2", "10", "None", "Stro\u{308}mung"].map(str::to_owned);
        let of = |text: &str| level(&levels, text, Decimal::Point);
        assert_eq!(
            (of("2.0"), of("10"), of(" 1e1 "), of("None"), of("Str\u{f6}mung")),
            (Ok(1), Ok(2), Ok(2), Ok(3), Ok(4))
        );
        assert!(of("3").unwrap_err().to_string().contains("is none of the levels 1, 2, 10"));
        assert_eq!(level(&levels, "2,0", Decimal::Comma), Ok(1));
        let twice = ["1".to_owned(), "1.0".into()];
        assert_eq!(level(&twice, "1.0", Decimal::Point), Ok(1));
        assert!(matches!(level(&twice, "1.00", Decimal::Point), Err(ValueFault::TwoLevels { .. })));

        let blades = Dimension::Integer { low: 2, high: 6, scale: Scale::Linear };
        let of = |text: &str| value(&blades, &[], text, Decimal::Point);
        assert_eq!(of("3.0"), Ok(Placed { value: Value::Integer(3), moved: None }));
        assert_eq!(of("3.0000000000000004").unwrap().value, Value::Integer(3));
        assert!(matches!(of("2.5"), Err(ValueFault::NotWhole { .. })));
        assert_eq!(of("7").unwrap_err().to_string(), "lies outside [2, 6]");
        assert_eq!(of("9007199254740994"), Err(ValueFault::BeyondWhole));
        assert!(!of("NA").unwrap_err().is_of_row() && of("nan").unwrap_err().is_of_row());
        let fixed = Dimension::Fixed { value: 0.3 };
        let of = |text: &str| value(&fixed, &[], text, Decimal::Point);
        assert_eq!(of("0.30000000000000004").unwrap().value, Value::Number(0.3));
        assert_eq!(of("0.31").unwrap_err().to_string(), "is another value than 0.3, at which this input is fixed");
        let speed = Dimension::Continuous { low: 0.0, high: 1e300, scale: LINEAR };
        let error = value(&speed, &[], "-1e299", Decimal::Point).unwrap_err();
        assert_eq!(error.to_string(), "lies outside [0, 1e300]");
    }

    proptest! {
        #[test]
        fn what_lies_within_is_not_touched_and_what_lies_out_is_moved_little(
            low in -1e3..1e3_f64, width in 1e-6..1e6_f64, at in -0.5..1.5_f64,
        ) {
            let high = low + width;
            let v = low + at * width;
            match onto_range(v, low, high, LINEAR) {
                Some(placed) if (low..=high).contains(&v) => prop_assert_eq!(placed, Placed { value: v, moved: None }),
                Some(placed) => prop_assert!((placed.value - v).abs() <= 1e-12 * width + 1e-15 * v.abs() * 8.0),
                None => prop_assert!(v < low || v > high),
            }
        }
    }
}
