//! Writes CSV: numbers that read back the same, and text that no spreadsheet takes for a formula.

use std::borrow::Cow;

use crate::number::{Decimal, number};

/// A cell to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Out<'a> {
    /// A number, in the shortest form that reads back the same.
    Number(f64),
    /// A whole number.
    Whole(i64),
    /// Text. What a spreadsheet would take for a formula gets an apostrophe in front.
    Text(&'a str),
    /// Text for a program, as it is.
    Exact(&'a str),
    /// No value.
    Empty,
}

/// A number as short as it can be while reading back as the same number.
pub fn shortest(value: f64) -> String {
    format!("{value:?}")
}

/// Text that no spreadsheet runs as a formula: where it begins one and is no number, an apostrophe stands in front.
/// [`unguarded`] takes it away again, from this text and no other.
pub fn guarded(text: &str) -> Cow<'_, str> {
    let begins = text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']);
    if begins && number(text, Decimal::Point).is_err() { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// What [`guarded`] was given.
pub fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(inner) if guarded(inner).len() > inner.len() => inner,
        _ => text,
    }
}

/// One line of CSV with commas, quoted where it must be, with its line break.
pub fn record<'a>(cells: impl IntoIterator<Item = Out<'a>>) -> String {
    let text: Vec<Cow<'a, str>> = cells
        .into_iter()
        .map(|cell| match cell {
            Out::Number(value) => Cow::Owned(shortest(value)),
            Out::Whole(value) => Cow::Owned(value.to_string()),
            Out::Text(text) => guarded(text),
            Out::Exact(text) => Cow::Borrowed(text),
            Out::Empty => Cow::Borrowed(""),
        })
        .collect();
    // One empty cell alone would be a blank line, which readers of CSV skip.
    let lone = text.len() == 1;
    let quoted = text.iter().map(|cell| {
        let ends_blank = cell.starts_with(char::is_whitespace) || cell.ends_with(char::is_whitespace);
        if (lone && cell.is_empty()) || ends_blank || cell.contains(['"', ',', ';', '\t', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_string()
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_text_begins_a_formula() {
        let line = record([Out::Text("=cmd|' /C calc'!A0"), Out::Text("-1.5"), Out::Number(-2.0), Out::Text("@x, y")]);
        assert_eq!(line, "'=cmd|' /C calc'!A0,-1.5,-2.0,\"'@x, y\"\n");
        assert_eq!(record([Out::Empty]), "\"\"\n");
        assert_eq!(record([Out::Empty, Out::Whole(7)]), ",7\n");
        assert_eq!(record([Out::Exact("=a")]), "=a\n");
    }

    proptest! {
        #[test]
        fn guards_come_off_again(text in "['=+@\t-]{0,3}[a-z0-9]{0,3}") {
            let guarded = guarded(&text);
            prop_assert_eq!(unguarded(&guarded), text.as_str());
            let formula = guarded.starts_with(['=', '+', '-', '@', '\t']);
            prop_assert!(!formula || number(&guarded, Decimal::Point).is_ok());
        }

        #[test]
        fn a_line_reads_back(cells in prop::collection::vec("\\PC{0,6}|[-=\",;\n a]{0,5}", 1..5)) {
            let line = record(cells.iter().map(|cell| Out::Text(cell)));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let back = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(back.iter().map(unguarded).collect::<Vec<_>>(), cells);
        }
    }
}
