//! How exactly the numbers of a column are written: a spreadsheet saves what it shows, not what it was given.

use crate::number::{Decimal, number};

/// What one cell shows of its number.
struct Shown {
    /// Digits behind the mark, less the exponent: 2 of `1.25`, -1 of `1.2E+02`.
    decimals: i32,
    /// Digits from the first that is not zero on.
    significant: i32,
    magnitude: f64,
    /// Whether it has neither a decimal mark nor an exponent.
    whole: bool,
}

/// By how much each number of a column may lie beside the one that it was rounded from: half a unit of its last digit,
/// of the column's finest one where trailing zeros were left out. In a column without decimals and exponents numbers
/// are exact, 0, as is what is no number.
///
/// Whether the finest digit is a number of decimals or of significant digits is not known; the coarser of both counts,
/// but never more than the cell's own.
pub fn half_widths<'a>(cells: impl IntoIterator<Item = &'a str>, decimal: Decimal) -> Vec<f64> {
    let shown: Vec<Option<Shown>> = cells.into_iter().map(|cell| shown(cell, decimal)).collect();
    let finest = |of: fn(&Shown) -> i32| shown.iter().flatten().map(of).max().unwrap_or(0);
    let (decimals, significant) = (finest(|shown| shown.decimals), finest(|shown| shown.significant));
    let whole = shown.iter().flatten().all(|shown| shown.whole);
    let half = |shown: &Option<Shown>| match shown {
        Some(shown) if !whole => {
            let own = 0.5 * 10_f64.powi(-shown.decimals);
            let column = (0.5 * 10_f64.powi(-decimals)).max(shown.magnitude * 0.5 * 10_f64.powi(1 - significant));
            own.min(column)
        }
        _ => 0.0,
    };
    shown.iter().map(half).collect()
}

fn shown(cell: &str, decimal: Decimal) -> Option<Shown> {
    let magnitude = number(cell, decimal).ok()?.abs();
    let text = cell.trim().trim_start_matches(['+', '-']);
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
    let (mantissa, exponent) = text.split_at(digits);
    let exponent = exponent.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse::<i32>().unwrap_or(0);
    let behind = mantissa.find(['.', ',']).map_or(0, |mark| mantissa.len() - mark - 1);
    let significant = mantissa.trim_start_matches(['0', '.', ',']).bytes().filter(u8::is_ascii_digit).count();
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX / 2);
    let whole = mantissa.len() == text.len() && !mantissa.contains(['.', ',']);
    Some(Shown { decimals: count(behind).saturating_sub(exponent), significant: count(significant), magnitude, whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_finest_digit_of_a_column_counts() {
        let near = |cells: &[&str], due: &[f64]| {
            let found = half_widths(cells.iter().copied(), Decimal::Point);
            let same = found.iter().zip(due).all(|(a, b)| (a - b).abs() <= 1e-12 * b);
            assert!(same && found.len() == due.len(), "{cells:?}: {found:?}");
        };
        near(&["0.25", "1.50", "-3.00"], &[0.005, 0.005, 0.005]);
        near(&["1", "250", ""], &[0.0, 0.0, 0.0]);
        near(&["1.25E+02", "3.00E-05"], &[0.5, 5e-8]);
        // Cells as a spreadsheet shows them when told nothing: as many digits as there is room for.
        near(&["0.123456789", "0.5", "12345.6789", "none"], &[5e-10, 2.5e-9, 5e-5, 0.0]);
        assert_eq!(half_widths(["1,5", "2,25"], Decimal::Comma), [0.0075, 0.005]);
    }

    proptest! {
        #[test]
        fn a_rounded_number_is_within_its_half_width(values in prop::collection::vec(-1e6..1e6_f64, 1..9), n in 1..9_usize) {
            for cells in [
                values.iter().map(|v| format!("{v:.n$}")).collect::<Vec<_>>(),
                values.iter().map(|v| format!("{v:.n$e}")).collect::<Vec<_>>(),
            ] {
                let halves = half_widths(cells.iter().map(String::as_str), Decimal::Point);
                for ((value, cell), half) in values.iter().zip(&cells).zip(halves) {
                    let read = number(cell, Decimal::Point).unwrap();
                    // Both numbers and their difference are rounded to double precision.
                    let slack = 2.0 * f64::EPSILON * value.abs();
                    prop_assert!((read - value).abs() <= half * (1.0 + 1e-9) + slack, "{value} {cell} {half}");
                }
            }
        }
    }
}
