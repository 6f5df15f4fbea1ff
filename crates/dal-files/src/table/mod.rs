//! A user's table: which reading of it is meant, whether it has a header, and its cells with their places.

mod choose;
mod lines;
mod parquet;
mod raw;
mod standing;
mod together;

use std::borrow::Cow;

use csv::StringRecord;
use ndarray::Array2;

use crate::dialect::Dialect;
use crate::error::{At, FileError, Note};
use crate::names::{canonical, places};
use crate::number::{excerpt, number};
use crate::source::Source;
pub use lines::cells;
pub use together::{Member, read_together};

/// What is known of a table before it is read.
#[derive(Clone, Copy, Debug)]
pub enum Expect<'a> {
    /// Columns by name.
    Named {
        /// Sets of names; one of them must be there in full. Other columns may stand beside them.
        sets: &'a [Vec<String>],
        /// Those whose cells may be words; all others hold numbers.
        words: &'a [String],
        /// What a table without a header is taken for, if for anything.
        bare: Option<Bare<'a>>,
    },
    /// Numbers in columns of any name, or of none.
    Free,
}

/// Columns of a table without a header.
#[derive(Clone, Copy, Debug)]
pub struct Bare<'a> {
    /// Their names in order.
    pub names: &'a [String],
    /// The bounds of every value in the first row: a line beyond them is rather a header of numbers.
    pub within: (f64, f64),
}

/// A table with its column names, as it is written.
#[derive(Clone, Debug)]
pub struct Table {
    file: String,
    dialect: Dialect,
    header: Option<(At, Vec<String>)>,
    /// Whether the file has no names, and those of [`Bare`] were put there.
    bare: bool,
    /// The first column that counts: 1 where an index was left out.
    from: usize,
    n_columns: usize,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Text(Vec<(At, StringRecord)>),
    Numbers(Array2<f64>),
}

impl Table {
    /// The file's name for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// How the text was read.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The names of the columns; none where the first line is a row.
    pub fn header(&self) -> Option<&[String]> {
        self.header.as_ref().map(|(_, names)| names.as_slice())
    }

    /// Whether the names are those that a table without a header is taken for ([`Bare`]).
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// How many rows of data it has, at least one.
    pub fn n_rows(&self) -> usize {
        match &self.body {
            Body::Text(rows) => rows.len(),
            Body::Numbers(values) => values.nrows(),
        }
    }

    /// How many columns it has.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Where a row stands.
    pub fn at(&self, row: usize) -> At {
        match &self.body {
            Body::Text(rows) => rows[row].0,
            Body::Numbers(_) => At::Row(row),
        }
    }

    /// A cell's text.
    pub fn cell(&self, row: usize, column: usize) -> Cow<'_, str> {
        match &self.body {
            Body::Text(rows) => Cow::Borrowed(&rows[row].1[self.from + column]),
            Body::Numbers(values) => Cow::Owned(format!("{:?}", values[[row, column]])),
        }
    }

    /// A column's name, or its 1-based number.
    pub fn column_name(&self, column: usize) -> String {
        match self.header().and_then(|names| names.get(column)).filter(|name| !name.is_empty()) {
            Some(name) => name.clone(),
            None => (self.from + column + 1).to_string(),
        }
    }

    /// A finite number.
    ///
    /// # Errors
    /// A cell that holds none, with its place.
    pub fn number(&self, row: usize, column: usize) -> Result<f64, FileError> {
        match &self.body {
            Body::Numbers(values) if values[[row, column]].is_finite() => Ok(values[[row, column]]),
            _ => {
                let cell = self.cell(row, column);
                number(&cell, self.dialect.decimal).map_err(|fault| self.cell_error(row, column, fault.to_string()))
            }
        }
    }

    /// Finite numbers in every cell, shape (rows, columns).
    ///
    /// # Errors
    /// The first cell that holds none, with its place.
    pub fn numbers(&self) -> Result<Array2<f64>, FileError> {
        let mut values = Array2::zeros((self.n_rows(), self.n_columns));
        for ((row, column), value) in values.indexed_iter_mut() {
            *value = self.number(row, column)?;
        }
        Ok(values)
    }

    /// An error at a cell.
    pub fn cell_error(&self, row: usize, column: usize, problem: impl Into<String>) -> FileError {
        FileError::Cell {
            file: self.file.clone(),
            at: self.at(row),
            column: self.column_name(column),
            cell: self.cell(row, column).into_owned(),
            problem: problem.into(),
        }
    }

    /// The error that a row says something else in a column than an earlier row of the same inputs.
    pub fn contradiction(&self, earlier: usize, later: usize, column: usize, remedy: &str) -> FileError {
        FileError::Contradiction {
            file: self.file.clone(),
            at: self.at(later),
            column: self.column_name(column),
            values: [later, earlier].map(|row| excerpt(&self.cell(row, column))).into(),
            other_at: self.at(earlier),
            remedy: remedy.to_owned(),
        }
    }

    /// Where columns of these names stand.
    ///
    /// # Errors
    /// No header, a name that is missing or stands there twice.
    pub fn find<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<usize>, FileError> {
        let Some((at, header)) = &self.header else {
            return Err(FileError::NoHeader {
                file: self.file.clone(),
                at: self.at(0),
                why: format!("the first line is no header but a row, {}", self.first_line()),
                remedy: format!("begin with a line of names: {}", list(names)),
            });
        };
        let mut found = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for name in names {
            match places(header, name.as_ref())[..] {
                [place] => found.push(place),
                [] => missing.push(name.as_ref().to_owned()),
                _ => {
                    let name = name.as_ref().to_owned();
                    return Err(FileError::TwoColumns { file: self.file.clone(), at: *at, name });
                }
            }
        }
        if missing.is_empty() {
            Ok(found)
        } else {
            Err(self.missing(*at, header, missing, format!("name the columns {}", list(names))))
        }
    }

    fn missing(&self, at: At, header: &[String], missing: Vec<String>, wanted: String) -> FileError {
        let found = shortened(header);
        FileError::Missing { file: self.file.clone(), at, missing, found, wanted, dialect: self.dialect }
    }

    fn first_line(&self) -> String {
        shortened(&(0..self.n_columns).map(|column| self.cell(0, column).into_owned()).collect::<Vec<_>>())
    }

    /// A note of the columns other than these; none where all of them are wanted.
    pub fn ignored(&self, wanted: &[usize]) -> Option<Note> {
        let others = (0..self.n_columns).filter(|column| !wanted.contains(column));
        let columns: Vec<String> = others.map(|column| self.column_name(column)).collect();
        (!columns.is_empty()).then(|| Note::Ignored { file: self.file.clone(), columns })
    }

    /// Rows of numbers without names.
    pub(crate) fn of_numbers(file: String, values: Array2<f64>) -> Result<Self, FileError> {
        if values.nrows() == 0 || values.ncols() == 0 {
            return Err(FileError::NoRows { file, what: "no numbers" });
        }
        let n_columns = values.ncols();
        let (dialect, body) = (Dialect::default(), Body::Numbers(values));
        Ok(Self { file, dialect, header: None, bare: false, from: 0, n_columns, body })
    }

    /// Rows of text under names, of a file without lines.
    #[cfg(feature = "parquet")]
    pub(crate) fn of_rows(file: String, header: Vec<String>, rows: Vec<StringRecord>) -> Result<Self, FileError> {
        if rows.is_empty() {
            return Err(FileError::NoRows { file, what: "no rows" });
        }
        let rows = rows.into_iter().enumerate().map(|(row, cells)| (At::Row(row), cells)).collect();
        let n_columns = header.len();
        let header = Some((At::Row(0), header));
        let (dialect, body) = (Dialect::default(), Body::Text(rows));
        Ok(Self { file, dialect, header, bare: false, from: 0, n_columns, body })
    }
}

pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",")
}

/// A header for a message, not longer than helps.
pub(crate) fn shortened(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(12).map(|name| excerpt(name)).collect();
    let more = if names.len() > 12 { format!(", … ({} in all)", names.len()) } else { String::new() };
    shown.join(", ") + &more
}

/// Reads one table.
///
/// # Errors
/// A file of another kind; a text that can be read in no way, or in two; lines of other widths; a first line that is
/// neither a header nor a row; names that are missing. Cells of data are looked at where their numbers are asked for.
pub fn read(source: Source, expect: &Expect<'_>) -> Result<(Table, Vec<Note>), FileError> {
    let member = Member { source, expect: *expect, columns_like: None, rows_like: None };
    let (mut tables, notes) = read_together(vec![member])?;
    Ok((tables.pop().expect("one table for one file"), notes))
}

/// A set of known names is there in full, and no name twice.
fn check_names(table: &Table, expect: &Expect<'_>) -> Result<(), FileError> {
    match expect {
        Expect::Free => {
            let Some((at, header)) = &table.header else { return Ok(()) };
            let mut seen = std::collections::HashSet::new();
            match header.iter().find(|name| !seen.insert(canonical(name))) {
                None => Ok(()),
                Some(name) => Err(FileError::TwoColumns { file: table.file.clone(), at: *at, name: name.clone() }),
            }
        }
        Expect::Named { sets, .. } => {
            let mut closest: Option<FileError> = None;
            let mut best = 0;
            for set in *sets {
                match table.find(set) {
                    Ok(_) => return Ok(()),
                    Err(error @ FileError::TwoColumns { .. }) => return Err(error),
                    Err(error) => {
                        let header = table.header().unwrap_or_default();
                        let there = set.iter().filter(|name| !places(header, name).is_empty()).count();
                        if closest.is_none() || there > best {
                            (best, closest) = (there, Some(error));
                        }
                    }
                }
            }
            match closest {
                Some(FileError::Missing { file, at, missing, found, dialect, .. }) => {
                    Err(FileError::Missing { file, at, missing, found, dialect, wanted: wanted(sets) })
                }
                Some(error) => Err(error),
                None => Ok(()),
            }
        }
    }
}

pub(crate) fn wanted(sets: &[Vec<String>]) -> String {
    let mut ways: Vec<String> = Vec::new();
    for set in sets {
        let way = shortened(set).replace(", ", ",");
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    format!("begin with a line of names: {}", ways.join(" or "))
}
