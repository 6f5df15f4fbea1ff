//! What a cell says: a number, a number that is not finite, a word for "no value", or text.

use std::borrow::Cow;

use thiserror::Error;

/// The sign between a number's whole and its fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Decimal {
    /// `1.5`
    #[default]
    Point,
    /// `1,5`
    Comma,
}

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// A finite number.
    Number(f64),
    /// NaN or an infinity, in any of the ways that programs print them: `nan`, `-nan(ind)`, `1.#INF`; also digits of a
    /// number beyond the largest one.
    NotFinite(f64),
    /// Nothing, or a word for "no value": `None`, `NA`, `null`, `#N/A`, `********`.
    NoValue,
    /// Anything else.
    Text,
}

/// Why a cell is no finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NumberFault {
    /// Nothing, or blanks.
    #[error("the cell is empty where a number belongs")]
    Empty,
    /// A word for "no value".
    #[error("stands for no value; give a number, or take the row out")]
    NoValue,
    /// NaN or an infinity.
    #[error("is no finite number")]
    NotFinite,
    /// Digits of a number beyond the largest one.
    #[error("is beyond the largest number, 1.8e308")]
    TooLarge,
    /// Hexadecimal.
    #[error("is hexadecimal; write it with decimal digits")]
    Hexadecimal,
    /// Underscores between digits.
    #[error("has underscores between its digits; take them out")]
    Underscores,
    /// A comma among the digits of a file with decimal points.
    #[error("has a comma; write a point before decimals and nothing between thousands")]
    Comma,
    /// A point among the digits of a file with decimal commas.
    #[error("has a point, but the file's decimals stand behind a comma; write all numbers alike")]
    Point,
    /// A typographic minus sign.
    #[error("has a typographic minus sign (U+2212); write -")]
    Minus,
    /// Text.
    #[error("is not a number")]
    Text,
}

/// Words for "no value", in lower case.
const NO_VALUE: &[&str] = &[
    "none",
    "na",
    "n/a",
    "n.a.",
    "n.d.",
    "null",
    "nil",
    "<na>",
    "nat",
    "missing",
    "nothing",
    "undefined",
    "-",
    "--",
    "---",
    "?",
    ".",
];

/// What a cell says.
pub fn cell(text: &str, decimal: Decimal) -> Cell {
    match number(text, decimal) {
        Ok(value) => Cell::Number(value),
        Err(NumberFault::NotFinite) => Cell::NotFinite(not_finite(text.trim()).unwrap_or(f64::NAN)),
        Err(NumberFault::TooLarge) => {
            Cell::NotFinite(if text.trim().starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        Err(NumberFault::Empty | NumberFault::NoValue) => Cell::NoValue,
        Err(_) => Cell::Text,
    }
}

/// The finite number that a cell holds. Exponents may be Fortran's: `1.5D+03`, `1.5d3`, `1.5Q+03` and `0.25-101`, which
/// Fortran writes where an exponent has three digits.
///
/// # Errors
/// Why it is none.
pub fn number(text: &str, decimal: Decimal) -> Result<f64, NumberFault> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NumberFault::Empty);
    }
    if not_finite(text).is_some() {
        return Err(NumberFault::NotFinite);
    }
    if is_no_value(text) {
        return Err(NumberFault::NoValue);
    }
    if !text
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b',' | b'e' | b'E' | b'd' | b'D' | b'q' | b'Q'))
    {
        return Err(why_text(text));
    }
    let text = match (decimal, text.contains(','), text.contains('.')) {
        (Decimal::Point, false, _) | (Decimal::Comma, false, false) => Cow::Borrowed(text),
        (Decimal::Point, true, _) if looks_numeric(text) => return Err(NumberFault::Comma),
        (Decimal::Comma, _, true) if looks_numeric(text) => return Err(NumberFault::Point),
        (Decimal::Comma, true, false) => {
            let (whole, fraction) = text.split_once(',').expect("it has a comma");
            // `1,` is the end of a cell and a separator in most files that hold it.
            if !whole.ends_with(|c: char| c.is_ascii_digit()) || !fraction.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(NumberFault::Text);
            }
            Cow::Owned(text.replacen(',', ".", 1))
        }
        _ => return Err(NumberFault::Text),
    };
    let value = match text.parse::<f64>() {
        Ok(value) => value,
        Err(_) => fortran(&text).and_then(|text| text.parse().ok()).ok_or(NumberFault::Text)?,
    };
    if value.is_finite() { Ok(value) } else { Err(NumberFault::TooLarge) }
}

/// A number with Fortran's exponent as one with an `E`.
fn fortran(text: &str) -> Option<String> {
    if text.contains(['e', 'E']) {
        return None;
    }
    if let Some(at) = text.find(['d', 'D', 'q', 'Q']) {
        return Some(format!("{}E{}", &text[..at], &text[at + 1..]));
    }
    let at = text.rfind(['+', '-']).filter(|&at| at > 0)?;
    let (mantissa, exponent) = text.split_at(at);
    let whole = mantissa.contains('.') && mantissa.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    (whole && exponent.len() == 4).then(|| format!("{mantissa}E{exponent}"))
}

/// Whether a comma in a number may stand before decimals as well as between thousands: `1,500`.
pub fn is_thousands(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.split_once(',').is_some_and(|(whole, rest)| {
        (1..=3).contains(&whole.len())
            && !whole.starts_with('0')
            && rest.len() == 3
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b',')
    })
}

fn looks_numeric(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == ',')
        && text.bytes().any(|b| b.is_ascii_digit())
}

fn why_text(text: &str) -> NumberFault {
    let plain = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    let bare = text.trim_start_matches(['+', '-']);
    if bare.len() > 2 && (bare.starts_with("0x") || bare.starts_with("0X")) {
        NumberFault::Hexadecimal
    } else if text.contains('_') && bare.starts_with(|c: char| c.is_ascii_digit()) && plain(&text.replace('_', "")) {
        NumberFault::Underscores
    } else if text.contains('\u{2212}') && plain(&text.replace('\u{2212}', "-")) {
        NumberFault::Minus
    } else {
        NumberFault::Text
    }
}

/// Whether a cell is empty, or a word that programs and spreadsheets write for "no value".
pub fn is_no_value(text: &str) -> bool {
    let text = text.trim();
    let spreadsheet = || {
        text.starts_with('#') && ["#N/A", "#NUM!", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NULL!"].contains(&text)
    };
    text.is_empty()
        || text.bytes().all(|b| b == b'*')
        || spreadsheet()
        || (text.len() <= 9 && NO_VALUE.contains(&text.to_ascii_lowercase().as_str()))
}

/// NaN or the infinity that a word states.
fn not_finite(text: &str) -> Option<f64> {
    if text.len() > 24 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let (sign, word) = match lower.strip_prefix('-') {
        Some(word) => (-1.0, word),
        None => (1.0, lower.strip_prefix('+').unwrap_or(&lower)),
    };
    let nan = matches!(word, "nan" | "nanq" | "nans" | "qnan" | "snan")
        || (word.starts_with("nan(") && word.ends_with(')'))
        || ["1.#ind", "1.#qnan", "1.#snan", "1.#nan"].iter().any(|start| word.starts_with(start));
    if nan {
        Some(f64::NAN)
    } else if matches!(word, "inf" | "infinity") || word.starts_with("1.#inf") {
        Some(sign * f64::INFINITY)
    } else {
        None
    }
}

/// A number for a message: as short as it can be while reading back the same, huge and tiny ones with an exponent.
pub fn short(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A cell short enough for a message, with nothing that could disturb a terminal.
pub fn excerpt(text: &str) -> String {
    excerpt_of(text, 60)
}

/// The first so many characters of a text, with nothing that could disturb a terminal.
pub fn excerpt_of(text: &str, longest: usize) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut short: String = text.chars().take(longest).map(visible).collect();
    if text.chars().nth(longest).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_programs_write_them() {
        for (text, value) in [
            ("1.5", 1.5),
            (" +2 ", 2.0),
            ("1.5D+03", 1500.0),
            ("-2.000000d-01", -0.2),
            ("1.25-101", 1.25e-101),
            ("2.5Q-01", 0.25),
            ("-1.25+101", -1.25e101),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e-400", 0.0),
        ] {
            assert_eq!(number(text, Decimal::Point), Ok(value), "{text}");
        }
        for (text, value) in [("1,5", 1.5), ("-0,25e3", -250.0), ("1,5D+03", 1500.0), ("7", 7.0)] {
            assert_eq!(number(text, Decimal::Comma), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_says_why() {
        use NumberFault::*;
        for (text, fault) in [
            ("", Empty),
            ("None", NoValue),
            ("1e400", TooLarge),
            ("0x1F", Hexadecimal),
            ("1_000", Underscores),
            ("1,5", Comma),
            ("\u{2212}1.5", Minus),
            ("3.1 mm", Text),
            ("O.5", Text),
            ("1.5D", Text),
            ("2024-01-02", Text),
            ("1.5-2", Text),
            ("e", Text),
            ("d5", Text),
            (",", Text),
            ("infinite", Text),
        ] {
            assert_eq!(number(text, Decimal::Point), Err(fault), "{text}");
        }
        for (text, fault) in [("1.5", Point), ("1.234,5", Point), ("1,", Text), (",5", Text), ("1,2,3", Text)] {
            assert_eq!(number(text, Decimal::Comma), Err(fault), "{text}");
        }
    }

    #[test]
    fn words_for_no_value_and_for_numbers_that_are_not_finite() {
        for text in
            ["None", "NA", "n/a", "N/A", "null", "********", "*", "", "  ", "#N/A", "#REF!", "-", "<NA>", "Undefined"]
        {
            assert_eq!(cell(text, Decimal::Point), Cell::NoValue, "{text}");
        }
        for text in ["nan", "-NaN", "-nan(ind)", "nan(0x8)", "1.#IND", "-1.#IND00", "1.#QNAN"] {
            assert!(matches!(cell(text, Decimal::Point), Cell::NotFinite(v) if v.is_nan()), "{text}");
        }
        for (text, value) in [
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("-1.#INF", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
            ("-1.5D+999", f64::NEG_INFINITY),
            ("0.18+309", f64::INFINITY),
        ] {
            assert_eq!(cell(text, Decimal::Point), Cell::NotFinite(value), "{text}");
        }
        for text in ["steel", "#3", "error: no mesh", "nano", "information"] {
            assert_eq!(cell(text, Decimal::Point), Cell::Text, "{text}");
        }
    }

    #[test]
    fn huge_numbers_are_short_in_messages() {
        assert_eq!(short(1e300), "1e300");
        assert_eq!(short(7.0), "7");
        assert_eq!(short(0.321_210_000_000_000_2), "0.3212100000000002");
        assert_eq!(excerpt(&"9".repeat(400)).chars().count(), 61);
        assert_eq!(excerpt("a\x1b[31m"), "a\u{fffd}[31m");
    }

    proptest! {
        #[test]
        fn every_number_reads_back_in_both_marks_and_with_fortrans_exponent(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            for text in [format!("{value:?}"), format!("{value:e}"), format!("{value:E}").replace('E', "D")] {
                prop_assert_eq!(number(&text, Decimal::Point), Ok(value));
                prop_assert_eq!(number(&text.replace('.', ","), Decimal::Comma), Ok(value));
            }
        }

        #[test]
        fn any_text_is_something(text in "\\PC{0,12}|[-+0-9.,eEdDxX_#*naif()]{0,12}") {
            let n = number(&text, Decimal::Point);
            prop_assert!(n.is_err() || n.is_ok_and(f64::is_finite));
            let _ = cell(&text, Decimal::Comma);
        }
    }
}
