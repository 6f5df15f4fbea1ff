//! What can be wrong with a user's file: where, what was found, and what to do about it; and what was assumed of one
//! that is read.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::dialect::Dialect;
use crate::number::{NumberFault, excerpt};

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// 1-based line of a text file, as an editor counts.
    Line(u64),
    /// 0-based row of a file without lines.
    Row(usize),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// A file that cannot be read as what it should be.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refuses it.
    #[error("{file}: cannot be read: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is of another kind.
    #[error("{file}: {what}; {remedy}")]
    Kind {
        /// The file.
        file: String,
        /// What it is.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Its text is in another encoding than UTF-8.
    #[error("{file}, line {line}: `{shown}` is written in {encoding}, not in UTF-8; {remedy}")]
    Encoding {
        /// The file.
        file: String,
        /// 1-based line of the first letter that is no UTF-8.
        line: u64,
        /// What the encoding seems to be.
        encoding: &'static str,
        /// The text around that letter, read in that encoding.
        shown: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It is cut short or damaged.
    #[error("{file}: is cut short or damaged: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// What shows it.
        what: String,
    },
    /// Unpacked it is larger than is read.
    #[error("{file}: holds more than {limit} bytes when unpacked; unpack it and give less of it")]
    TooLarge {
        /// The file.
        file: String,
        /// How many bytes are read.
        limit: u64,
    },
    /// It holds no row of data.
    #[error("{file}: holds {what}; give a header and one line per point")]
    NoRows {
        /// The file.
        file: String,
        /// What it holds.
        what: &'static str,
    },
    /// It can be read in two ways.
    #[error("{file}, line {line}: can be read in two ways: {first}, or {second}; {remedy}")]
    Ambiguous {
        /// The file.
        file: String,
        /// 1-based line.
        line: u64,
        /// One reading.
        first: String,
        /// The other.
        second: String,
        /// What to do.
        remedy: String,
    },
    /// A line of another width than the first.
    #[error("{file}, line {line}: {found} cells where the first line has {expected}{}", .dialect.remark())]
    Ragged {
        /// The file.
        file: String,
        /// 1-based line.
        line: u64,
        /// Its cells.
        found: usize,
        /// The first line's.
        expected: usize,
        /// How the file was read.
        dialect: Dialect,
    },
    /// A quote that is opened and never closed.
    #[error("{file}, line {line}: a quotation mark opens a cell here that nothing closes; close it or take it out")]
    OpenQuote {
        /// The file.
        file: String,
        /// 1-based line of the row.
        line: u64,
    },
    /// An empty line within a column of numbers.
    #[error(
        "{file}, line {line}: is empty; with one column that may be a missing value: take the line out, or the row \
         out of all files"
    )]
    EmptyLine {
        /// The file.
        file: String,
        /// 1-based line.
        line: u64,
    },
    /// A first line that is neither a header nor a row.
    #[error("{file}, {at}, column {column}: {}{fault}, and the line is no header: {why}", quote(.cell))]
    FirstLine {
        /// The file.
        file: String,
        /// Where.
        at: At,
        /// 1-based column.
        column: usize,
        /// The cell that is no number.
        cell: String,
        /// What is wrong with it.
        fault: NumberFault,
        /// Why the line is no header.
        why: String,
    },
    /// A file without a header where one is needed.
    #[error("{file}, {at}: {why}; {remedy}")]
    NoHeader {
        /// The file.
        file: String,
        /// Where its first row stands.
        at: At,
        /// What stands there instead.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// A header without the columns that are needed.
    #[error("{file}, {at}: no column `{}`; it has {found}{}; {wanted}", .missing.join("`, `"), .dialect.remark())]
    Missing {
        /// The file.
        file: String,
        /// Where the header stands.
        at: At,
        /// The names that are missing.
        missing: Vec<String>,
        /// The header, shortened.
        found: String,
        /// What would do.
        wanted: String,
        /// How the file was read.
        dialect: Dialect,
    },
    /// One name for two columns.
    #[error("{file}, {at}: two columns are called `{name}`; rename one or take it out")]
    TwoColumns {
        /// The file.
        file: String,
        /// Where the header stands.
        at: At,
        /// The name.
        name: String,
    },
    /// A column without a name that holds no running number.
    #[error(
        "{file}, {at}: column {column} has no name, and only a running number 0, 1, … in the first column is left out \
         without one; name it, or take it out (pandas: index=False)"
    )]
    Unnamed {
        /// The file.
        file: String,
        /// Where the header stands.
        at: At,
        /// The column's 1-based number.
        column: usize,
    },
    /// A cell that does not say what it should.
    #[error("{file}, {at}, column {column}: {}{problem}", quote(.cell))]
    Cell {
        /// The file.
        file: String,
        /// Where.
        at: At,
        /// The column's name, or its 1-based number.
        column: String,
        /// The cell.
        cell: String,
        /// What is wrong.
        problem: String,
    },
    /// Two rows of the same inputs that say different things.
    #[error(
        "{file}, {at}, column {column}: {} differs from {} of {other_at}, whose inputs are the same; {remedy}",
        values[0],
        values[1]
    )]
    Contradiction {
        /// The file.
        file: String,
        /// Where the later row stands.
        at: At,
        /// The column in which they differ.
        column: String,
        /// What the later row says there, and the earlier one.
        values: Box<[String; 2]>,
        /// Where the earlier row stands.
        other_at: At,
        /// What to do.
        remedy: String,
    },
    /// Files of one command that do not fit each other.
    #[error("{first} has {first_has}, {second} has {second_has}; {due}")]
    Disagree {
        /// One file.
        first: String,
        /// What it has.
        first_has: String,
        /// The other.
        second: String,
        /// What that has.
        second_has: String,
        /// What should be.
        due: &'static str,
    },
    /// An array of another shape.
    #[error("{file}: has the shape ({}) where {due} is needed{remedy}", joined(.found))]
    Shape {
        /// The file.
        file: String,
        /// Its shape.
        found: Vec<usize>,
        /// What is needed.
        due: String,
        /// What to do, behind its own punctuation.
        remedy: String,
    },
}

fn quote(cell: &str) -> String {
    if cell.trim().is_empty() { String::new() } else { format!("`{}` ", excerpt(cell)) }
}

pub(crate) fn joined(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// What was assumed of a file that was read; for the caller to print.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Cells are not separated by commas, or decimals do not stand behind points.
    Dialect {
        /// The file.
        file: String,
        /// How it was read.
        dialect: Dialect,
    },
    /// A column of running numbers was left out.
    IndexLeftOut {
        /// The file.
        file: String,
        /// The column's name.
        column: String,
    },
    /// A first column of running numbers has a name, or there are no names: it was taken for an input.
    RunningColumn {
        /// The file.
        file: String,
    },
    /// The first line holds numbers and was taken for a header.
    HeaderOfNumbers {
        /// The file.
        file: String,
        /// The line.
        header: String,
    },
    /// The first line was taken for a row.
    NoHeader {
        /// The file.
        file: String,
        /// What its columns were taken for, if names are known.
        names: Option<String>,
    },
    /// Lines without content at the end were passed over.
    EmptyLinesAtEnd {
        /// The file.
        file: String,
        /// How many.
        n: usize,
    },
    /// A last column without name and content was passed over.
    EmptyColumn {
        /// The file.
        file: String,
    },
    /// A word that often stands for no value is a level of a column of words.
    NoneIsLevel {
        /// The file.
        file: String,
        /// The column's name.
        column: String,
        /// The word.
        word: String,
    },
    /// A column most of whose cells are numbers is taken for one of words.
    MostlyNumbers {
        /// The file.
        file: String,
        /// The column's name.
        column: String,
        /// Its first cell that is no number, with its place.
        word: String,
    },
    /// Columns that stand behind one that is called as outputs are, and are taken for inputs.
    BehindOutput {
        /// The file.
        file: String,
        /// The output.
        output: String,
        /// Those behind it.
        columns: Vec<String>,
    },
    /// Columns that belong to nothing.
    Ignored {
        /// The file.
        file: String,
        /// Their names.
        columns: Vec<String>,
    },
    /// Rows that say why they have no outputs.
    Failed {
        /// The file.
        file: String,
        /// How many.
        n: usize,
    },
    /// Rows with the inputs of an earlier one.
    Repeated {
        /// The file.
        file: String,
        /// How many.
        n: usize,
        /// What became of them: `left out`.
        what: String,
    },
    /// Values beyond a bound, or beside a row of a table, by no more than rounding were moved onto it.
    Moved {
        /// The file.
        file: String,
        /// How many.
        n: usize,
        /// Of these, those that were moved onto a row of a table.
        n_onto_rows: usize,
        /// The largest move, as a share of the range.
        furthest: f64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialect { file, dialect } => write!(f, "{file}: read with {dialect}"),
            Self::IndexLeftOut { file, column } if column.is_empty() => {
                write!(f, "{file}: its first column, a running number without a name, was left out")
            }
            Self::IndexLeftOut { file, column } => {
                write!(f, "{file}: its first column, the running number `{column}`, was left out")
            }
            Self::RunningColumn { file } => write!(
                f,
                "{file}: its first column is a running number 0, 1, … and is taken like the others; if it is an index, \
                 take it out"
            ),
            Self::HeaderOfNumbers { file, header } => {
                write!(f, "{file}: its first line, {}, was taken for a header", excerpt(header))
            }
            Self::NoHeader { file, names: Some(names) } => {
                write!(f, "{file}: has no header; its columns are taken as {}", excerpt(names))
            }
            Self::NoHeader { file, names: None } => write!(f, "{file}: has no header; its first line is row 0"),
            Self::EmptyLinesAtEnd { file, n } => {
                write!(f, "{file}: {n} lines without content at its end were passed over")
            }
            Self::EmptyColumn { file } => {
                write!(f, "{file}: its last column, without name and content, was passed over")
            }
            Self::NoneIsLevel { file, column, word } => write!(
                f,
                "{file}: `{word}` is taken for a level of `{column}`; where it says that a value is missing, leave the \
                 cell empty"
            ),
            Self::MostlyNumbers { file, column, word } => write!(
                f,
                "{file}: `{column}` is taken for names of levels for the sake of words among its numbers (the first: \
                 {word}); where they say that a value is missing, leave the cells empty"
            ),
            Self::BehindOutput { file, output, columns } => write!(
                f,
                "{file}: {} {} behind the output `{output}` and {} taken for {}; name the outputs if that is wrong",
                columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", "),
                if columns.len() == 1 { "stands" } else { "stand" },
                if columns.len() == 1 { "is" } else { "are" },
                if columns.len() == 1 { "an input" } else { "inputs" },
            ),
            Self::Ignored { file, columns } => write!(f, "{file}: ignored columns: {}", columns.join(", ")),
            Self::Failed { file, n } => {
                let rows = if *n == 1 { "row" } else { "rows" };
                write!(f, "{file}: {n} {rows} without outputs, whose column `failure` says why, left out")
            }
            Self::Repeated { file, n, what } => {
                let (rows, have) = if *n == 1 { ("row", "has") } else { ("rows", "have") };
                write!(f, "{file}: {n} {rows} that {have} the inputs of an earlier one {what}")
            }
            Self::Moved { file, n, n_onto_rows, furthest } => write!(
                f,
                "{file}: {n} value{} {} by no more than rounding (at most {} of the range) moved onto it",
                if *n == 1 { "" } else { "s" },
                match n_onto_rows {
                    0 => "beyond a bound",
                    rows if rows == n => "beside a row of the table",
                    _ => "beyond a bound or beside a row of the table",
                },
                format_args!("{furthest:.0e}")
            ),
        }
    }
}

/// How many values of a file were moved by no more than rounding, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moves {
    /// How many.
    pub n: usize,
    /// Of these, those that were moved onto a row of a table.
    pub n_onto_rows: usize,
    /// The largest move, as a share of the range.
    pub furthest: f64,
}

impl Moves {
    /// Counts a value that was moved onto a bound, or onto a whole number, by this share of the range.
    pub fn onto_bound(&mut self, by: f64) {
        (self.n, self.furthest) = (self.n + 1, self.furthest.max(by));
    }

    /// Counts a value that was moved onto that of a table's row.
    pub fn onto_row(&mut self, by: f64) {
        self.onto_bound(by);
        self.n_onto_rows += 1;
    }

    /// Says it among what is said of a file: in one note with what was moved there before.
    pub fn say(self, file: &str, notes: &mut Vec<Note>) {
        if self.n == 0 {
            return;
        }
        for note in &mut *notes {
            if let Note::Moved { file: other, n, n_onto_rows, furthest } = note
                && *other == file
            {
                (*n, *n_onto_rows) = (*n + self.n, *n_onto_rows + self.n_onto_rows);
                *furthest = furthest.max(self.furthest);
                return;
            }
        }
        let Self { n, n_onto_rows, furthest } = self;
        notes.push(Note::Moved { file: file.to_owned(), n, n_onto_rows, furthest });
    }
}
