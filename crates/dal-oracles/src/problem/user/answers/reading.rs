//! How the lines of a program's answer can be read: what separates cells, where columns stand, what a line says.

use dal_core::{Dimension, LabelFailure, LabelFailureKind};
use dal_files::edge::level;
use dal_files::names::places;
use dal_files::number::{Cell, Decimal, NumberFault, cell, is_thousands, number, short};
use dal_files::{Dialect, Separator};

use super::{Answer, ROW, Shape, excerpt};

/// One way to read the lines of an answer.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) dialect: Dialect,
    /// Cells of a line.
    n: usize,
    /// Column of each output.
    outputs: Vec<usize>,
    /// The column that says which point is answered.
    pub(super) row: Option<usize>,
    /// Inputs that stand beside the outputs, each with its column.
    echoed: Vec<(usize, usize)>,
}

/// Every way to read lines below this header; none where it does not name the outputs.
pub(super) fn below(header: &str, shape: &Shape<'_>) -> Vec<Reading> {
    let mut readings = Vec::new();
    for dialect in Dialect::ALL {
        let names = dal_files::cells(header, dialect.separator);
        // A name that stands there twice says nothing.
        let find = |name: &String| match places(&names, name)[..] {
            [place] => Some(place),
            _ => None,
        };
        let Some(outputs) = shape.outputs.iter().map(find).collect::<Option<Vec<_>>>() else { continue };
        let echoed = shape.inputs.names.iter().enumerate();
        let echoed = echoed.filter_map(|(input, name)| Some((input, find(name)?))).collect();
        readings.push(Reading { dialect, n: names.len(), outputs, row: find(&ROW.to_owned()), echoed });
    }
    readings
}

/// Every way to read lines without a header: the outputs in order.
pub(super) fn bare(shape: &Shape<'_>) -> Vec<Reading> {
    let n = shape.outputs.len();
    let read = |dialect| Reading { dialect, n, outputs: (0..n).collect(), row: None, echoed: Vec::new() };
    Dialect::ALL.into_iter().map(read).collect()
}

/// What a line is worth in one reading.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The point that it answers, where a column says so.
    pub(super) row: Option<usize>,
    /// Whether it has as many cells as it should.
    pub(super) whole: bool,
    /// What it says; nothing where it is no answer.
    pub(super) answer: Option<Answer>,
    /// Numbers that may be decimals or thousands, if nothing else in the line tells.
    pub(super) thousands: Option<String>,
    /// Whether a number shows that decimals stand behind commas.
    pub(super) shows_comma: bool,
    /// Whether the answer is what the line as a whole states, in other cells than it should have.
    pub(super) stated: bool,
    /// Whether every output is empty.
    pub(super) empty: bool,
}

impl Line {
    /// Whether two readings of a line come to the same.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let label = |line: &Self| line.answer.clone().and_then(Result::ok);
        self.row == other.row && label(self) == label(other)
    }
}

impl Reading {
    /// Cells of a line.
    pub(super) fn n_cells(&self) -> usize {
        self.n
    }

    /// What a line says; `next` is the point that is meant where no column says which.
    pub(super) fn read(&self, line: &str, next: usize, shape: &Shape<'_>) -> Line {
        let cells = dal_files::cells(line, self.dialect.separator);
        let whole = cells.len() == self.n;
        let whole_number = |text: &String| {
            let value = number(text, self.dialect.decimal).ok();
            // A count beyond any batch would not be told from its neighbours.
            value.filter(|v| v.fract() == 0.0 && (0.0..1e15).contains(v)).map(|v| v as usize)
        };
        let row = self.row.and_then(|at| cells.get(at)).and_then(whole_number);
        let stated = || self.stated(line, &cells, shape);
        let empty = whole && self.outputs.iter().all(|&column| cells[column].trim().is_empty());
        let mut read = Line { row, whole, answer: None, thousands: None, shows_comma: false, stated: false, empty };
        if !whole {
            read.answer = stated().map(Err);
            read.stated = read.answer.is_some();
            read.whole = read.stated;
            return read;
        }
        if self.dialect.decimal == Decimal::Comma {
            for text in self.outputs.iter().map(|&column| &cells[column]).filter(|text| text.contains(',')) {
                match is_thousands(text) {
                    true => read.thousands = Some(text.clone()),
                    false => read.shows_comma |= number(text, Decimal::Comma).is_ok(),
                }
            }
        }
        read.answer = self.values(&cells, shape).map(|answer| {
            let row = if self.row.is_some() { row } else { Some(next) };
            let contradiction = row.and_then(|row| self.contradiction(&cells, row, shape));
            contradiction.map_or(answer, Err)
        });
        if read.answer.is_none() {
            read.answer = stated().map(Err);
            read.stated = read.answer.is_some();
        }
        read
    }

    /// The failure that a line states as a whole, however many cells it has: it begins as an error, or holds nothing
    /// but words for no value. Of a line that says which point it answers, what stands behind the point's number.
    fn stated(&self, line: &str, cells: &[String], shape: &Shape<'_>) -> Option<LabelFailure> {
        let cells = match self.row {
            None => cells,
            Some(0) => cells.get(1..)?,
            Some(_) => return None,
        };
        let first = cells.iter().find(|text| !text.is_empty())?.to_ascii_lowercase();
        if is_failure(&first, shape) {
            let words = cells.join(", ");
            let words = if self.row.is_none() { line.trim() } else { words.as_str() };
            return Some(refused(words, shape));
        }
        let mut words = cells.iter().flat_map(|cell| cell.split([' ', '\t', ',', ';'])).filter(|word| !word.is_empty());
        // A dash or a point alone is rather drawn between other lines.
        let is_word = |word: &str| match cell(word, self.dialect.decimal) {
            Cell::NotFinite(_) => true,
            Cell::NoValue => word.contains(|c: char| c == '*' || c.is_alphanumeric()),
            _ => false,
        };
        words.all(is_word).then(|| {
            LabelFailure::new(LabelFailureKind::NonFinite, format!("the program answered `{}`", excerpt(line.trim())))
        })
    }

    /// The values, or the failure that the line states; nothing where it is no answer at all.
    fn values(&self, cells: &[String], shape: &Shape<'_>) -> Option<Answer> {
        let mut values = Vec::with_capacity(self.outputs.len());
        let mut failure = None;
        for (name, &column) in shape.outputs.iter().zip(&self.outputs) {
            let text = cells[column].trim();
            let lower = text.to_ascii_lowercase();
            let fault = match cell(text, self.dialect.decimal) {
                Cell::Number(value) => {
                    values.push(value);
                    continue;
                }
                Cell::NotFinite(value) => {
                    let too_large = number(text, self.dialect.decimal) == Err(NumberFault::TooLarge);
                    let is = match too_large {
                        true => format!("is `{}`, which {}", excerpt(text), NumberFault::TooLarge),
                        false => format!("is {value}"),
                    };
                    (LabelFailureKind::NonFinite, format!("output `{name}` {is}"))
                }
                Cell::NoValue if text.is_empty() => (LabelFailureKind::Malformed, format!("output `{name}` is empty")),
                Cell::NoValue => (LabelFailureKind::NonFinite, format!("output `{name}` is `{}`", excerpt(text))),
                Cell::Text if is_failure(&lower, shape) => {
                    let refused = refused(text, shape);
                    (refused.kind, refused.message)
                }
                Cell::Text => return None,
            };
            failure.get_or_insert(fault);
        }
        Some(match failure {
            None => Ok(values),
            Some((kind, message)) => Err(LabelFailure::new(kind, message)),
        })
    }

    /// The first input beside the outputs that is another one than the program was asked about. What cannot be
    /// compared, such as a level's number in place of its name, is passed over.
    fn contradiction(&self, cells: &[String], row: usize, shape: &Shape<'_>) -> Option<LabelFailure> {
        if self.echoed.is_empty() {
            return None;
        }
        let asked = dal_files::cells(shape.asked.get(row)?, Separator::Comma);
        let inputs = shape.inputs;
        self.echoed.iter().find_map(|&(input, column)| {
            let (asked, echo) = (asked.get(input)?, &cells[column]);
            let levels = &inputs.levels[input];
            let differs = if levels.is_empty() {
                let (a, b) = (number(asked, Decimal::Point).ok()?, number(echo, self.dialect.decimal).ok()?);
                let range = match inputs.space.dimensions()[input] {
                    Dimension::Continuous { low, high, .. } => high - low,
                    _ => 0.0,
                };
                (a - b).abs() > (1e-6 * a.abs().max(b.abs())).max(1e-12 * range)
            } else {
                let said = level(levels, echo, self.dialect.decimal);
                let is_text = matches!(cell(echo, self.dialect.decimal), Cell::Text);
                said.map_or(is_text, |said| level(levels, asked, Decimal::Point) != Ok(said))
            };
            let shown = |text: &str| number(text, Decimal::Point).map_or_else(|_| excerpt(text), short);
            differs.then(|| {
                let message = format!(
                    "the line names another point: `{}` is `{}` where {} was asked; answer points in their order, or \
                     with a column `row`, and print inputs with at least 7 digits or not at all",
                    inputs.names[input],
                    excerpt(echo),
                    shown(asked)
                );
                LabelFailure::new(LabelFailureKind::Malformed, message)
            })
        })
    }
}

/// Whether a cell, in small letters, says that there is no answer.
fn is_failure(cell: &str, shape: &Shape<'_>) -> bool {
    cell.starts_with("error") || cell.starts_with("fail") || (shape.told && cell.starts_with("lost"))
}

/// The failure that these words of an answer state.
fn refused(words: &str, shape: &Shape<'_>) -> LabelFailure {
    let words = excerpt(words);
    let message = if shape.told { words } else { format!("the program answered `{words}`") };
    LabelFailure::new(LabelFailureKind::Refused, message)
}
