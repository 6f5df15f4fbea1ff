//! Which reading of a text is meant: the one that alone makes its header and its first rows sensible.

use super::Expect;
use super::lines::{Line, sample};
use super::raw::{drop_comment_sign, has_index};
use crate::dialect::{Dialect, Separator};
use crate::error::FileError;
use crate::names::places;
use crate::number::{Cell, Decimal, NumberFault, cell, is_thousands, number};

/// Rows that a guess at the reading looks at.
const LOOKED_AT: usize = 100;

/// One reading of a text's first rows, and how it fares.
struct Look {
    dialect: Dialect,
    /// Cells of the first line.
    width: usize,
    /// How many of the best set's names stand in the first line.
    n_found: usize,
    /// Whether the reading holds: names in full, rows of one width, numbers where they belong.
    holds: bool,
    /// The share of cells that are numbers where numbers belong.
    good: f64,
    /// The columns that count.
    columns: Vec<usize>,
    /// All rows are of one width.
    even: bool,
    /// What it says, to tell readings apart that say the same.
    says: Vec<Vec<String>>,
}

/// The reading that alone makes the header match known names and the first rows numbers; beside it one that is possible
/// too where only other files can tell. Where none holds, the one that comes closest, so that its first fault is
/// reported.
pub(super) fn choose(file: &str, text: &str, expect: &Expect<'_>) -> Result<(Dialect, Option<Dialect>), FileError> {
    let given = text.lines().next().filter(|first| first.len() == 5 && first.starts_with("sep="));
    let given = given.and_then(|first| match &first[4..] {
        "," => Some(Separator::Comma),
        ";" => Some(Separator::Semicolon),
        "\t" => Some(Separator::Tab),
        _ => None,
    });
    let dialects = Dialect::ALL.into_iter().filter(|dialect| given.is_none_or(|given| dialect.separator == given));
    let mut looks: Vec<Look> = dialects.map(|dialect| look(text, dialect, expect)).collect();
    let doubt = doubtful_pairs(&looks, text, expect);
    let mut holding: Vec<&Look> = Vec::new();
    // Of pairs without a header, one number with a decimal comma is only doubt about the usual reading.
    let pairs = matches!(expect, Expect::Free) && looks.first().is_some_and(|look| look.holds);
    for look in
        looks.iter().filter(|look| look.holds && !(pairs && look.width == 1 && look.dialect.decimal == Decimal::Comma))
    {
        match holding.iter_mut().find(|other| other.says == look.says) {
            Some(other) if shows_commas(text, other, look) => *other = look,
            Some(_) => {}
            None => holding.push(look),
        }
    }
    match holding[..] {
        [look] => Ok((look.dialect, doubt)),
        [one, other, ..] => Err(FileError::Ambiguous {
            file: file.to_owned(),
            line: 1,
            first: format!("with {}", one.dialect),
            second: format!("with {}", other.dialect),
            remedy: "separate cells with commas and write decimals behind a point".into(),
        }),
        [] => {
            let rank = |look: &Look| (look.n_found, look.good, look.even);
            // The last of equals is taken, so the usual reading comes last.
            looks.reverse();
            let best = looks.iter().max_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("shares are numbers"));
            Ok((best.map_or(Dialect::default(), |look| look.dialect), None))
        }
    }
}

fn look(text: &str, dialect: Dialect, expect: &Expect<'_>) -> Look {
    let mut lines = sample(text, dialect.separator, LOOKED_AT);
    lines.retain(|line| !line.blank);
    while lines.len() > 1 && lines.last().is_some_and(Line::is_empty) {
        lines.pop();
    }
    let mut look =
        Look { dialect, width: 0, n_found: 0, holds: false, good: 0.0, columns: vec![], even: false, says: Vec::new() };
    let Some(first) = lines.first_mut() else { return look };
    drop_comment_sign(first);
    let first: Vec<String> = lines[0].cells.iter().map(str::to_owned).collect();
    let width = first.len();
    look.width = width;
    look.even = lines.iter().all(|line| line.cells.len() == width);
    let numeric = first.iter().all(|text| matches!(cell(text, dialect.decimal), Cell::Number(_)));
    let index = look.even && has_index(&lines, width);
    let complete;
    let mut row_first = numeric;
    let mut columns: Vec<usize> = (0..width).collect();
    let mut worded: Vec<usize> = Vec::new();
    match expect {
        Expect::Named { sets, words, bare } => {
            let found =
                |set: &Vec<String>| -> Vec<usize> { set.iter().flat_map(|name| places(&first, name)).collect() };
            let best = sets.iter().max_by_key(|set| found(set).len());
            look.n_found = best.map_or(0, |set| found(set).len());
            let whole = sets.iter().any(|set| found(set).len() >= set.len());
            let is_row = numeric && bare.is_some_and(|bare| bare.names.len() == width);
            complete = whole || (look.n_found == 0 && is_row);
            if let Some(set) = best.filter(|_| look.n_found > 0) {
                columns = found(set);
                row_first = false;
            }
            worded = words.iter().flat_map(|name| places(&first, name)).collect();
            if look.n_found == 0 {
                // A row with a spoilt first cell keeps its reading, and the cell is the error.
                row_first = bare.is_some_and(|bare| bare.names.len() == width) && width > 1;
            }
        }
        Expect::Free => {
            if index {
                columns.remove(0);
                row_first = false;
            }
            // One column whose name holds another separator is rather several.
            complete = numeric || width > 1 || !first[0].contains([',', ';', '\t']);
        }
    }
    if !complete && look.n_found == 0 && matches!(expect, Expect::Free) {
        return look;
    }
    let data = &lines[usize::from(!row_first)..];
    let (mut n_cells, mut n_good) = (0_usize, 0_usize);
    for line in data {
        let mut says = Vec::with_capacity(columns.len());
        for &column in &columns {
            let text = line.cells.get(column).unwrap_or_default();
            if worded.contains(&column) {
                says.push(text.to_owned());
                continue;
            }
            n_cells += 1;
            match number(text, dialect.decimal) {
                Ok(value) => {
                    n_good += 1;
                    says.push(value.to_string());
                }
                // What stands for no value is written alike in every reading.
                Err(NumberFault::Empty | NumberFault::NoValue | NumberFault::NotFinite) => {
                    n_good += 1;
                    says.push(text.to_owned());
                }
                Err(_) => says.push(text.to_owned()),
            }
        }
        look.says.push(says);
    }
    // A last column without any content is passed over.
    let trailing = matches!(expect, Expect::Free)
        && width > 1
        && lines.len() > 1
        && look.even
        && lines.iter().all(|line| line.cells[width - 1].is_empty());
    if trailing {
        (n_cells, n_good) = (n_cells - data.len(), n_good - data.len());
    }
    look.columns = columns;
    look.good = if n_cells == 0 { f64::from(u8::from(look.n_found > 0)) } else { n_good as f64 / n_cells as f64 };
    look.holds = complete && look.even && n_good == n_cells && !(n_cells == 0 && look.n_found == 0);
    look
}

/// Whether of two readings that differ in the decimal mark alone, and say the same of the rows looked at, decimal
/// commas are meant: where words may stand, and below whole numbers, only the rest of the text tells.
fn shows_commas(text: &str, point: &Look, comma: &Look) -> bool {
    let [one, other] = [point, comma].map(|look| look.dialect);
    if one.separator != other.separator || (one.decimal, other.decimal) != (Decimal::Point, Decimal::Comma) {
        return false;
    }
    let lines = sample(text, one.separator, text.len());
    let shows = |decimal: Decimal| {
        let marked = |line: &Line| {
            comma.columns.iter().any(|&column| line.cells.get(column).is_some_and(|cell| is_marked(cell, decimal)))
        };
        lines.iter().skip(1).any(marked)
    };
    shows(Decimal::Comma) && !shows(Decimal::Point)
}

/// Whether a cell is a number that shows how decimals are written, and has no comma that may stand between thousands.
fn is_marked(text: &str, decimal: Decimal) -> bool {
    let mark = if decimal == Decimal::Comma { ',' } else { '.' };
    text.contains(mark) && !(decimal == Decimal::Comma && is_thousands(text)) && number(text, decimal).is_ok()
}

/// The digits before the letter of an exponent, and what stands behind it.
fn split_exponent(text: &str) -> (&str, Option<&str>) {
    match text.split_once(['e', 'E', 'd', 'D', 'q', 'Q']) {
        Some((digits, exponent)) => (digits, Some(exponent)),
        None => (text, None),
    }
}

/// Two whole numbers a line without a header may be one number with a decimal comma.
fn doubtful_pairs(looks: &[Look], text: &str, expect: &Expect<'_>) -> Option<Dialect> {
    if !matches!(expect, Expect::Free)
        || !looks.first().is_some_and(|look| look.holds && look.dialect == Dialect::default())
    {
        return None;
    }
    let lines = sample(text, Separator::Comma, LOOKED_AT);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let pair = |line: &&Line| {
        let (decimals, exponent) = split_exponent(line.cells.get(1).unwrap_or_default());
        line.cells.len() == 2
            && digits(line.cells[0].trim_start_matches(['-', '+']))
            && digits(decimals)
            && exponent.is_none_or(|exponent| digits(exponent.trim_start_matches(['-', '+'])))
    };
    let all = lines.iter().filter(|line| !line.blank).all(|line| pair(&line));
    // With a blank behind it the comma separates.
    let tight = !text.contains(", ");
    (all && tight).then_some(Dialect { separator: Separator::Semicolon, decimal: Decimal::Comma })
}
