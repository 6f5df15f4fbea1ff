//! A user's table: which reading of it is meant, whether it has a header, and its cells with their places.

use std::borrow::Cow;

use csv::StringRecord;
use ndarray::Array2;

use crate::dialect::{Dialect, Line, Separator, sample, split};
use crate::error::{At, FileError, Note};
use crate::names::{canonical, is_index, places};
use crate::number::{Cell, Decimal, NumberFault, cell, excerpt, number, short};
use crate::source::{Content, Source};
use crate::together::{Member, read_together};

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
        Ok(Self { file, dialect: Dialect::default(), header: None, from: 0, n_columns, body: Body::Numbers(values) })
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
        Ok(Self { file, dialect: Dialect::default(), header, from: 0, n_columns, body: Body::Text(rows) })
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

/// What the first line of a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A line of names.
    Names,
    /// A line of names that are numbers, all or some; taken only if something beside it speaks for it.
    Numbers,
    /// A row of data.
    Row,
}

/// A text in the reading that was chosen for it, or numbers of a file without names.
#[derive(Debug)]
pub(crate) struct Raw {
    file: String,
    body: RawBody,
    dialect: Dialect,
    notes: Vec<Note>,
    /// Whether the first column is an index; known where the first line is a header.
    index: bool,
    n_columns: usize,
    /// Another reading that is possible as long as no other file speaks against it.
    doubt: Option<Dialect>,
}

#[derive(Debug)]
enum RawBody {
    Text(Vec<Line>),
    Done(Table),
}

impl Raw {
    pub(crate) fn read(source: Source, expect: &Expect<'_>) -> Result<Self, FileError> {
        let file = source.file().to_owned();
        match source.content()? {
            Content::Text(text) => Self::of_text(file, &text, expect),
            Content::Npy(bytes) => {
                let values = crate::npy::matrix(&file, &bytes)?;
                Ok(Self::done(Table::of_numbers(file, values)?))
            }
            Content::Parquet(bytes) => Ok(Self::done(crate::parquet::table(file, bytes)?)),
        }
    }

    fn done(table: Table) -> Self {
        let (file, n_columns) = (table.file.clone(), table.n_columns);
        let body = RawBody::Done(table);
        Self { file, body, dialect: Dialect::default(), notes: Vec::new(), index: false, n_columns, doubt: None }
    }

    fn of_text(file: String, text: &str, expect: &Expect<'_>) -> Result<Self, FileError> {
        let (dialect, doubt) = choose(&file, text, expect)?;
        let mut lines = split(&file, text, dialect.separator)?;
        let mut notes = Vec::new();
        if let Some(first) = lines.first_mut() {
            drop_comment_sign(first);
        }
        let Some(first) = lines.first() else {
            return Err(FileError::NoRows { file, what: "nothing" });
        };
        let width = first.cells.len();
        // A row of one column that is empty in quotes is a missing value; anything else without content at the end is
        // none.
        let is_end = |line: &Line| line.blank || (width > 1 && line.is_empty());
        let kept = lines.iter().rposition(|line| !is_end(line)).map_or(0, |last| last + 1).max(1);
        let n_empty = lines[kept..].iter().filter(|line| !line.blank).count();
        lines.truncate(kept);
        if n_empty > 0 {
            notes.push(Note::EmptyLinesAtEnd { file: file.clone(), n: n_empty });
        }
        if width == 1
            && let Some(line) = lines.iter().find_map(|line| line.behind_gap)
        {
            return Err(FileError::EmptyLine { file, line });
        }
        lines.retain(|line| !line.blank);
        if let Some(line) = lines.iter().find(|line| line.cells.len() != width) {
            let (found, line) = (line.cells.len(), line.at);
            return Err(FileError::Ragged { file, line, found, expected: width, dialect });
        }
        let mut n_columns = width;
        if width > 1 && lines.len() > 1 && lines.iter().all(|line| line.cells[width - 1].is_empty()) {
            n_columns -= 1;
            notes.push(Note::EmptyColumn { file: file.clone() });
        }
        if dialect != Dialect::default() {
            notes.push(Note::Dialect { file: file.clone(), dialect });
        }
        let index = has_index(&lines, n_columns);
        if dialect.decimal == Decimal::Comma {
            check_thousands(&file, &lines, expect)?;
        }
        Ok(Self { file, body: RawBody::Text(lines), dialect, notes, index, n_columns, doubt })
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The cells of the first line that count.
    pub(crate) fn first(&self) -> Vec<String> {
        match &self.body {
            RawBody::Text(lines) => {
                let from = usize::from(self.index);
                (from..self.n_columns).map(|column| lines[0].cells[column].to_owned()).collect()
            }
            RawBody::Done(table) => table.header().map_or_else(Vec::new, <[String]>::to_vec),
        }
    }

    /// How many rows of data it has under a reading of its first line.
    pub(crate) fn n_rows(&self, head: Head) -> usize {
        match &self.body {
            RawBody::Text(lines) => lines.len() - usize::from(head != Head::Row),
            RawBody::Done(table) => table.n_rows(),
        }
    }

    /// How many columns it has under a reading of its first line.
    pub(crate) fn n_columns(&self, head: Head) -> usize {
        self.n_columns - usize::from(self.index && head != Head::Row)
    }

    /// Whether numbers with decimal points, or a header, speak for commas between cells.
    pub(crate) fn shows_points(&self) -> bool {
        match &self.body {
            RawBody::Text(lines) => {
                self.dialect.decimal == Decimal::Point
                    && lines.iter().any(|line| {
                        line.cells.iter().any(|text| text.contains('.') && number(text, Decimal::Point).is_ok())
                    })
            }
            RawBody::Done(_) => false,
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.body, RawBody::Text(_))
    }

    pub(crate) fn doubt(&self) -> Option<Dialect> {
        self.doubt
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn doubtful(&self, other: Dialect) -> FileError {
        let RawBody::Text(lines) = &self.body else { unreachable!("only texts are in doubt") };
        FileError::Ambiguous {
            file: self.file.clone(),
            line: lines[0].at,
            first: format!("with {}", self.dialect),
            second: format!("with {other}"),
            remedy: "begin with a line of names, or write decimals behind a point".into(),
        }
    }

    /// What the first line may be; at least one.
    pub(crate) fn heads(&self, expect: &Expect<'_>) -> Result<Vec<Head>, FileError> {
        let lines = match &self.body {
            RawBody::Text(lines) => lines,
            RawBody::Done(table) => return Ok(vec![if table.header.is_some() { Head::Names } else { Head::Row }]),
        };
        let cells = self.first();
        let decimal = self.dialect.decimal;
        let numeric = cells.iter().all(|text| matches!(cell(text, decimal), Cell::Number(_)));
        match expect {
            Expect::Named { sets, bare, .. } => {
                if sets.iter().flatten().any(|name| !places(&cells, name).is_empty()) {
                    return Ok(vec![Head::Names]);
                }
                if !numeric || self.index {
                    // Words where a row is due: a damaged row if most of it are numbers, a header of other names if
                    // not.
                    let n_numbers = cells.iter().filter(|text| matches!(cell(text, decimal), Cell::Number(_))).count();
                    let could_be_row = bare.is_some_and(|bare| bare.names.len() == self.n_columns);
                    let no_names = cells.iter().any(|text| !is_name(text, decimal));
                    if could_be_row && (n_numbers > 0 || no_names) && !self.index {
                        return Err(self.spoilt(&cells, "it names no input, and its other cells are numbers"));
                    }
                    return Ok(vec![Head::Names]);
                }
                let wanted = wanted(sets);
                let refuse = |why: String| FileError::NoHeader {
                    file: self.file.clone(),
                    at: At::Line(lines[0].at),
                    why,
                    remedy: wanted.clone(),
                };
                let Some(bare) = bare else {
                    return Err(refuse(format!(
                        "the first line holds numbers, {}, where names belong",
                        shortened(&cells)
                    )));
                };
                if bare.names.len() != self.n_columns {
                    let n = self.n_columns;
                    return Err(refuse(format!("it has no header and {n} column{}", if n == 1 { "" } else { "s" })));
                }
                if counts_up(&cells) {
                    return Err(self.ambiguous_head_with(&wanted));
                }
                let beyond = cells.iter().filter_map(|text| number(text, decimal).ok()).find(|v| {
                    let slack = 1e-9 * (bare.within.1 - bare.within.0);
                    *v < bare.within.0 - slack || *v > bare.within.1 + slack
                });
                if let Some(v) = beyond {
                    return Err(refuse(format!(
                        "the first line holds no known name, and is no row of {} either: {} is outside [{}, {}]",
                        list(bare.names),
                        short(v),
                        short(bare.within.0),
                        short(bare.within.1)
                    )));
                }
                Ok(vec![Head::Row])
            }
            Expect::Free => {
                if self.index {
                    return Ok(vec![Head::Names]);
                }
                if numeric {
                    return Ok(vec![Head::Row, Head::Numbers]);
                }
                // A lone cell that begins like a number may be a spoilt one.
                let lone = cells.len() == 1 && cells[0].starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
                if cells.iter().all(|text| is_name(text, decimal)) && !lone {
                    return Ok(vec![Head::Names]);
                }
                if cells.iter().skip(1).all(|text| is_name(text, decimal)) && is_index(&cells[0]) && cells.len() > 1 {
                    return Err(FileError::Unnamed { file: self.file.clone(), at: At::Line(lines[0].at) });
                }
                Ok(vec![Head::Numbers])
            }
        }
    }

    /// The first cell that is no number, as an error.
    pub(crate) fn spoilt(&self, cells: &[String], why: &str) -> FileError {
        let from = usize::from(self.index);
        let fault = |text: &String| number(text, self.dialect.decimal).err();
        let found = cells.iter().enumerate().find_map(|(at, text)| Some((at, text, fault(text)?)));
        let (at, cell, fault) =
            found.map_or((0, String::new(), NumberFault::Text), |(at, cell, fault)| (at, cell.clone(), fault));
        FileError::FirstLine {
            file: self.file.clone(),
            at: self.at_first(),
            column: from + at + 1,
            cell,
            fault,
            why: why.into(),
        }
    }

    fn at_first(&self) -> At {
        match &self.body {
            RawBody::Text(lines) => At::Line(lines[0].at),
            RawBody::Done(_) => At::Row(0),
        }
    }

    /// The first line may be a header or a row.
    pub(crate) fn ambiguous_head(&self) -> FileError {
        self.ambiguous_head_with("begin with a line of names that are no numbers")
    }

    fn ambiguous_head_with(&self, remedy: &str) -> FileError {
        let line = match self.at_first() {
            At::Line(line) => line,
            At::Row(_) => 1,
        };
        FileError::Ambiguous {
            file: self.file.clone(),
            line,
            first: format!(
                "{} as a header of numbers, which pandas writes for columns without names",
                shortened(&self.first())
            ),
            second: "as the first row".into(),
            remedy: remedy.to_owned(),
        }
    }

    /// The table, with its first line as this.
    pub(crate) fn table(self, head: Head, expect: &Expect<'_>) -> Result<(Table, Vec<Note>), FileError> {
        let first = self.first();
        let Self { file, body, dialect, mut notes, index, n_columns, .. } = self;
        let mut lines = match body {
            RawBody::Done(table) => {
                check_names(&table, expect)?;
                return Ok((table, notes));
            }
            RawBody::Text(lines) => lines,
        };
        let at = At::Line(lines[0].at);
        let from = usize::from(index && head != Head::Row);
        let header = match head {
            Head::Row => {
                let names = match expect {
                    Expect::Named { bare: Some(bare), .. } => Some(list(bare.names)),
                    _ => None,
                };
                notes.push(Note::NoHeader { file: file.clone(), names });
                match expect {
                    Expect::Named { bare: Some(bare), .. } => Some((at, bare.names.to_vec())),
                    _ => None,
                }
            }
            Head::Names | Head::Numbers => {
                if index {
                    notes.push(Note::IndexLeftOut { file: file.clone(), column: lines[0].cells[0].to_owned() });
                }
                if first.iter().any(|text| !is_name(text, dialect.decimal)) && matches!(expect, Expect::Free) {
                    notes.push(Note::HeaderOfNumbers { file: file.clone(), header: list(&first) });
                }
                lines.remove(0);
                Some((at, first))
            }
        };
        if lines.is_empty() {
            return Err(FileError::NoRows { file, what: "a header and no rows" });
        }
        let rows = lines.into_iter().map(|line| (At::Line(line.at), line.cells)).collect();
        let table = Table { file, dialect, header, from, n_columns: n_columns - from, body: Body::Text(rows) };
        check_names(&table, expect)?;
        Ok((table, notes))
    }
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

fn wanted(sets: &[Vec<String>]) -> String {
    let mut ways: Vec<String> = Vec::new();
    for set in sets {
        let way = shortened(set).replace(", ", ",");
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    format!("begin with a line of names: {}", ways.join(" or "))
}

/// Whether a cell of a first line is a name: text, and no word for a value that is missing.
fn is_name(text: &str, decimal: Decimal) -> bool {
    matches!(cell(text, decimal), Cell::Text)
}

/// Whether these are 0, 1, … in order.
pub(crate) fn counts_up(cells: &[String]) -> bool {
    cells.iter().enumerate().all(|(at, text)| *text == at.to_string())
}

/// Whether the first column is a running number from 0 under no name, or under the one that pandas gives it.
fn has_index(lines: &[Line], n_columns: usize) -> bool {
    n_columns > 1
        && lines.len() > 1
        && is_index(&lines[0].cells[0])
        && lines[1..].iter().enumerate().all(|(row, line)| line.cells[0] == *row.to_string())
}

/// numpy.savetxt puts a `#` before the header.
fn drop_comment_sign(first: &mut Line) {
    let mut cells: Vec<String> = first.cells.iter().map(str::to_owned).collect();
    if cells.len() > 1 && cells[0] == "#" {
        cells.remove(0);
    } else if let Some(name) = cells.first().and_then(|cell| cell.strip_prefix("# ")) {
        cells[0] = name.trim().to_owned();
    } else {
        return;
    }
    first.cells = StringRecord::from(cells);
}

/// Refuses `1,500` where nothing tells a decimal comma from one between thousands.
fn check_thousands(file: &str, lines: &[Line], expect: &Expect<'_>) -> Result<(), FileError> {
    let words = match expect {
        Expect::Named { words, .. } => *words,
        Expect::Free => &[],
    };
    let header: Vec<String> = lines[0].cells.iter().map(str::to_owned).collect();
    let skip: Vec<usize> = words.iter().flat_map(|name| places(&header, name)).collect();
    let mut example = None;
    for line in lines {
        for (_, text) in
            line.cells.iter().enumerate().filter(|(column, text)| text.contains(',') && !skip.contains(column))
        {
            let digits = text.trim_start_matches(['+', '-']);
            let thousands = digits.split_once(',').is_some_and(|(whole, rest)| {
                (1..=3).contains(&whole.len())
                    && !whole.starts_with('0')
                    && rest.len() == 3
                    && digits.bytes().all(|b| b.is_ascii_digit() || b == b',')
            });
            match (thousands, number(text, Decimal::Comma)) {
                (false, Ok(_)) => return Ok(()),
                (true, _) => example = example.or(Some((line.at, text))),
                _ => {}
            }
        }
    }
    match example {
        None => Ok(()),
        Some((line, text)) => Err(FileError::Ambiguous {
            file: file.to_owned(),
            line,
            first: format!("`{text}` as {}", text.replace(',', ".")),
            second: format!("as {}", text.replace(',', "")),
            remedy: "write decimals behind a point and nothing between thousands".into(),
        }),
    }
}

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
    /// All rows are of one width.
    even: bool,
    /// What it says, to tell readings apart that say the same.
    says: Vec<Vec<String>>,
}

/// The reading that alone makes the header match known names and the first rows numbers; beside it one that is possible
/// too where only other files can tell. Where none holds, the one that comes closest, so that its first fault is
/// reported.
fn choose(file: &str, text: &str, expect: &Expect<'_>) -> Result<(Dialect, Option<Dialect>), FileError> {
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
        if !holding.iter().any(|other| other.says == look.says) {
            holding.push(look);
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
    let mut look = Look { dialect, width: 0, n_found: 0, holds: false, good: 0.0, even: false, says: Vec::new() };
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
        n_cells -= data.len();
    }
    look.good = if n_cells == 0 { f64::from(u8::from(look.n_found > 0)) } else { n_good as f64 / n_cells as f64 };
    look.holds = complete && look.even && n_good == n_cells && !(n_cells == 0 && look.n_found == 0);
    look
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
        line.cells.len() == 2 && digits(line.cells[0].trim_start_matches(['-', '+'])) && digits(&line.cells[1])
    };
    let all = lines.iter().filter(|line| !line.blank).all(|line| pair(&line));
    // With a blank behind it the comma separates.
    let tight = !text.contains(", ");
    (all && tight).then_some(Dialect { separator: Separator::Semicolon, decimal: Decimal::Comma })
}
