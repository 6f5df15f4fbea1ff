//! A text in its reading before it is known whether the first line is a header, and what that line may be.

use std::collections::HashSet;

use csv::StringRecord;

use super::choose::choose;
use super::lines::{Line, split};
use super::{Body, Expect, Table, check_names, list, parquet, shortened, wanted};
use crate::dialect::Dialect;
use crate::error::{At, FileError, Note};
use crate::names::{is_index, is_unnamed, places};
use crate::number::{Cell, Decimal, NumberFault, cell, is_thousands, number, short};
use crate::source::{Content, Source};

/// What the first line of a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A line of names.
    Names,
    /// A line of names that are numbers, all or some; taken only if something beside it speaks for it.
    Numbers,
    /// A row of data.
    Row,
}

/// A text in the reading that was chosen for it, or numbers of a file without names.
#[derive(Debug)]
pub(super) struct Raw {
    file: String,
    body: RawBody,
    dialect: Dialect,
    notes: Vec<Note>,
    /// Whether the first column is an index; known where the first line is a header.
    index: bool,
    n_columns: usize,
    /// Whether a blank stands behind a comma.
    spaced: bool,
    /// Another reading that is possible as long as no other file speaks against it, and the text to read in it.
    doubt: Option<(Dialect, String)>,
}

#[derive(Debug)]
enum RawBody {
    Text(Vec<Line>),
    Done(Table),
}

impl Raw {
    pub(super) fn read(source: Source, expect: &Expect<'_>) -> Result<Self, FileError> {
        let file = source.file().to_owned();
        match source.content()? {
            Content::Text(text) => Self::of_text(file, &text, expect),
            Content::Npy(bytes) => {
                let values = crate::npy::matrix(&file, &bytes)?;
                Ok(Self::done(Table::of_numbers(file, values)?))
            }
            Content::Parquet(bytes) => Ok(Self::done(parquet::table(file, bytes)?)),
        }
    }

    fn done(table: Table) -> Self {
        let (file, n_columns) = (table.file.clone(), table.n_columns);
        let body = RawBody::Done(table);
        let (dialect, notes) = (Dialect::default(), Vec::new());
        Self { file, body, dialect, notes, index: false, n_columns, spaced: false, doubt: None }
    }

    fn of_text(file: String, text: &str, expect: &Expect<'_>) -> Result<Self, FileError> {
        let (dialect, doubt) = choose(&file, text, expect)?;
        let mut raw = Self::in_dialect(file, text, dialect, expect)?;
        raw.doubt = doubt.map(|other| (other, text.to_owned()));
        Ok(raw)
    }

    /// The same text in the reading that was in doubt.
    pub(super) fn doubted(self, expect: &Expect<'_>) -> Result<Self, FileError> {
        match self.doubt {
            Some((dialect, text)) => Self::in_dialect(self.file, &text, dialect, expect),
            None => Ok(self),
        }
    }

    fn in_dialect(file: String, text: &str, dialect: Dialect, expect: &Expect<'_>) -> Result<Self, FileError> {
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
        let (body, spaced) = (RawBody::Text(lines), text.contains(", "));
        Ok(Self { file, body, dialect, notes, index, n_columns, spaced, doubt: None })
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The cells of the first line that count.
    pub(super) fn first(&self) -> Vec<String> {
        match &self.body {
            RawBody::Text(lines) => {
                let from = usize::from(self.index);
                (from..self.n_columns).map(|column| lines[0].cells[column].to_owned()).collect()
            }
            RawBody::Done(table) => table.header().map_or_else(Vec::new, <[String]>::to_vec),
        }
    }

    /// How many rows of data it has under a reading of its first line.
    pub(super) fn n_rows(&self, head: Head) -> usize {
        match &self.body {
            RawBody::Text(lines) => lines.len() - usize::from(head != Head::Row),
            RawBody::Done(table) => table.n_rows(),
        }
    }

    /// How many columns it has under a reading of its first line.
    pub(super) fn n_columns(&self, head: Head) -> usize {
        self.n_columns - usize::from(self.index && head != Head::Row)
    }

    /// Whether numbers with decimal points, or a header, speak for commas between cells.
    pub(super) fn shows_points(&self) -> bool {
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

    /// The numbers of cells of this file; NaN for what is none.
    pub(super) fn values(&self, cells: &[String]) -> Vec<f64> {
        cells.iter().map(|text| number(text, self.dialect.decimal).unwrap_or(f64::NAN)).collect()
    }

    /// The numbers below the first line; NaN for what is none.
    pub(super) fn below(&self) -> Vec<Vec<f64>> {
        let RawBody::Text(lines) = &self.body else { return Vec::new() };
        let value = |line: &Line, column: usize| number(&line.cells[column], self.dialect.decimal).unwrap_or(f64::NAN);
        lines[1..].iter().map(|line| (0..self.n_columns).map(|column| value(line, column)).collect()).collect()
    }

    /// Whether commas, without a blank behind, stand between whole numbers alone, so that every other one may be one
    /// before decimals. Pairs are told by [`doubt`](Self::doubt).
    pub(super) fn only_whole_cells(&self) -> bool {
        let RawBody::Text(lines) = &self.body else { return false };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        self.dialect == Dialect::default()
            && self.n_columns > 2
            && !self.index
            && !self.spaced
            && lines.iter().all(|line| {
                line.cells.iter().enumerate().all(|(column, text)| match column {
                    0 => digits(text.trim_start_matches(['-', '+'])),
                    _ => digits(text),
                })
            })
    }

    /// The line of the file that the first cells stand in.
    fn first_line(&self) -> u64 {
        match self.at_first() {
            At::Line(line) => line,
            At::Row(_) => 1,
        }
    }

    /// Another file writes decimals behind commas.
    pub(super) fn doubtful_beside(&self, other: &str) -> FileError {
        FileError::Ambiguous {
            file: self.file.clone(),
            line: self.first_line(),
            first: format!("with {}", self.dialect),
            second: format!("with decimal commas, as {other} has them"),
            remedy: "begin with a line of names, or write decimals behind a point".into(),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.body, RawBody::Text(_))
    }

    pub(super) fn doubt(&self) -> Option<Dialect> {
        self.doubt.as_ref().map(|(dialect, _)| *dialect)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn doubtful(&self, other: Dialect) -> FileError {
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
    pub(super) fn heads(&self, expect: &Expect<'_>) -> Result<Vec<Head>, FileError> {
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
                // One running number is an index; a second column without a name would be an input.
                let from = usize::from(self.index);
                let named = |text: &&String| is_name(text, decimal) && !is_unnamed(text);
                let header = self.index
                    || (cells.iter().all(|text| is_unnamed(text) || named(&text)) && cells.iter().any(|c| named(&c)));
                if let Some(at) = cells.iter().position(|text| is_unnamed(text)).filter(|_| header) {
                    let (file, line) = (self.file.clone(), At::Line(lines[0].at));
                    return Err(FileError::Unnamed { file, at: line, column: from + at + 1 });
                }
                if self.index {
                    return Ok(vec![Head::Names]);
                }
                if numeric {
                    return Ok(vec![Head::Row, Head::Numbers]);
                }
                // A lone cell that begins like a number may be a spoilt one, and so may all of a line be.
                let lone = cells.len() == 1 && cells[0].starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
                if cells.iter().all(|text| is_name(text, decimal)) && !lone && !begin_like_numbers(&cells) {
                    return Ok(vec![Head::Names]);
                }
                Ok(vec![Head::Numbers])
            }
        }
    }

    /// The first cell that is no number, as an error.
    pub(super) fn spoilt(&self, cells: &[String], why: &str) -> FileError {
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
    pub(super) fn ambiguous_head(&self) -> FileError {
        self.ambiguous_head_with("begin with a line of names that are no numbers")
    }

    fn ambiguous_head_with(&self, remedy: &str) -> FileError {
        FileError::Ambiguous {
            file: self.file.clone(),
            line: self.first_line(),
            first: format!(
                "{} as a header of numbers, which pandas writes for columns without names",
                shortened(&self.first())
            ),
            second: "as the first row".into(),
            remedy: remedy.to_owned(),
        }
    }

    /// The table, with its first line as this.
    pub(super) fn table(self, head: Head, expect: &Expect<'_>) -> Result<(Table, Vec<Note>), FileError> {
        let first = self.first();
        let Self { file, body, dialect, mut notes, index, n_columns, .. } = self;
        let mut lines = match body {
            RawBody::Done(mut table) => {
                // Numbers without names are columns of the unit box where their number is right.
                if let Expect::Named { bare: Some(bare), .. } = expect
                    && table.header.is_none()
                    && bare.names.len() == table.n_columns
                {
                    notes.push(Note::NoHeader { file, names: Some(list(bare.names)) });
                    (table.header, table.bare) = (Some((At::Row(0), bare.names.to_vec())), true);
                }
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
        let counts = |(row, line): (usize, &Line)| line.cells[from] == *row.to_string();
        if matches!(expect, Expect::Free)
            && n_columns - from > 1
            && lines.len() > 2
            && lines.iter().enumerate().all(counts)
        {
            notes.push(Note::RunningColumn { file: file.clone() });
        }
        let rows = lines.into_iter().map(|line| (At::Line(line.at), line.cells)).collect();
        let (bare, n_columns) = (head == Head::Row && header.is_some(), n_columns - from);
        let table = Table { file, dialect, header, bare, from, n_columns, body: Body::Text(rows) };
        check_names(&table, expect)?;
        Ok((table, notes))
    }
}

/// Whether a cell of a first line is a name: text, and no word for a value that is missing.
fn is_name(text: &str, decimal: Decimal) -> bool {
    matches!(cell(text, decimal), Cell::Text)
}

/// Whether a lone name may be a number with a slip of the keyboard: `O.5`, `l2`.
pub(super) fn may_be_spoilt(name: &str) -> bool {
    let meant: String = name
        .chars()
        .map(|c| match c {
            'O' | 'o' => '0',
            'l' | 'I' => '1',
            c => c,
        })
        .collect();
    !name.chars().any(char::is_alphabetic)
        || [Decimal::Point, Decimal::Comma].iter().any(|decimal| number(&meant, *decimal).is_ok())
}

/// Whether every cell begins with a digit, behind a sign or a point.
pub(super) fn begin_like_numbers(cells: &[String]) -> bool {
    cells.iter().all(|text| text.trim_start_matches(['+', '-', '.', ',']).starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether these are 0, 1, … in order.
pub(super) fn counts_up(cells: &[String]) -> bool {
    cells.iter().enumerate().all(|(at, text)| *text == at.to_string())
}

/// Whether the first column is a running number from 0 under no name, or under the one that pandas gives it.
pub(super) fn has_index(lines: &[Line], n_columns: usize) -> bool {
    n_columns > 1
        && lines.len() > 1
        && is_index(&lines[0].cells[0])
        && lines[1..].iter().enumerate().all(|(row, line)| line.cells[0] == *row.to_string())
}

/// numpy.savetxt puts a `#` before the header.
pub(super) fn drop_comment_sign(first: &mut Line) {
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
    let header: Vec<String> = lines[0].cells.iter().map(str::to_owned).collect();
    let all = |names: &mut dyn Iterator<Item = &String>| -> HashSet<usize> {
        names.flat_map(|name| places(&header, name)).collect()
    };
    let (used, words) = match expect {
        Expect::Named { sets, words, .. } => (all(&mut sets.iter().flatten()), all(&mut words.iter())),
        Expect::Free => (HashSet::new(), HashSet::new()),
    };
    // Of columns that nothing asks for, none says how numbers are written.
    let counts = |column: usize| (used.is_empty() || used.contains(&column)) && !words.contains(&column);
    let mut example = None;
    for line in lines {
        for (_, text) in line.cells.iter().enumerate().filter(|(column, text)| text.contains(',') && counts(*column)) {
            match (is_thousands(text), number(text, Decimal::Comma)) {
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
