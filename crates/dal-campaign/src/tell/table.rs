//! Answers as files have them: tables of answers, and what a program printed of points that stand in another file.

use dal_core::{Dimension, LabelFailureKind};
use dal_files::edge::value;
use dal_files::names::places;
use dal_files::number::{Cell as Found, Decimal, NumberFault, cell as look, number};
use dal_files::printed::half_widths;
use dal_files::write::{Out, record};
use dal_files::{Dialect, Expect, FileError, Moves, Source, Table, cells, read};
use dal_oracles::user::{Printed, printed};

use super::near::{Near, agrees, slack};
use super::{Heard, Otherwise, Row, not_those_of};
use crate::dakota::as_csv;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::origin::{FAILURE, failure};
use crate::state::Point;
use crate::subject::cell;
use crate::words::{Answer, Cell, Failure};

/// Columns that an export of a campaign's points has beside those of the problem; with all of them it is one.
const EXPORTED: [&str; 4] = ["id", "state", "round", "probability"];

/// Where a table says which point a row is.
struct Naming {
    id: Option<usize>,
    /// The column of each input that has one.
    inputs: Vec<Option<usize>>,
    /// Of each input by how much its cells may lie beside what they were rounded from; empty where that is not known.
    halves: Vec<Vec<f64>>,
}

impl Naming {
    /// The columns of a table.
    ///
    /// # Errors
    /// Two columns of one name.
    fn of(folder: &Folder, table: &Table) -> Result<Self, FileError> {
        let names = folder.subject().names();
        let inputs = names.iter().map(|name| column(table, name)).collect::<Result<Vec<_>, _>>()?;
        let decimal = table.dialect().decimal;
        let texts = |column: usize| -> Vec<String> {
            (0..table.n_rows()).map(|row| table.cell(row, column).into_owned()).collect()
        };
        let widths = |column: usize| half_widths(texts(column).iter().map(String::as_str), decimal);
        let halves = inputs.iter().map(|place| place.map(widths).unwrap_or_default()).collect();
        Ok(Self { id: column(table, "id")?, inputs, halves })
    }

    fn half(&self, input: usize, row: usize) -> f64 {
        self.halves.get(input).and_then(|halves| halves.get(row)).copied().unwrap_or(0.0)
    }
}

/// How near, as shares of the ranges, a row of this campaign's own export lies to its point, however it was rounded.
const CLOSE: f64 = 0.05;

/// How near, as shares of the ranges, new points may be meant for others.
const RATHER_CLOSE: f64 = 1e-3;

fn is_within(a: &[f64], b: &[f64], most: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= most)
}

/// The column of a name; none where there is none.
fn column(table: &Table, name: &str) -> Result<Option<usize>, FileError> {
    match table.find(&[name]) {
        Ok(places) => Ok(places.first().copied()),
        Err(error @ FileError::TwoColumns { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The point that a row is about: its number, its values, or both.
type Named = (Option<u64>, Option<Vec<Cell>>);

impl Folder {
    /// Takes the answers of a table with the columns of the outputs and either `id` or those of the inputs, or both
    /// (inputs that are fixed may be left out); other columns are ignored. Dakota's annotated tables are read, too, and
    /// those of `dal label --out`, whose column `failure` says why a row has no outputs. An output may be `error: …` or
    /// `failed` (the point has no answer and is never asked again), `nan`, or `lost: …` (the machine's fault: the point
    /// is asked again); a row without outputs is not measured yet.
    ///
    /// Values that are those of no point are those of the one point near them that waits for an answer, where they
    /// agree within 1e-6 of their size or in the six digits that are shown. An export of another campaign is taken by
    /// its values.
    ///
    /// # Errors
    /// A table that cannot be read; bad rows, every one named. Nothing is taken then.
    pub fn tell(&mut self, source: Source, otherwise: Otherwise) -> Result<Heard, CampaignError> {
        let file = source.file().to_owned();
        let (rows, heard) = self.rows(source, otherwise)?;
        self.tell_read(&file, &rows, heard, otherwise)
    }

    /// Takes what a program printed of the points of a table, read as the problem's own program is: answers in the
    /// points' order, or in any with the 0-based number of the point in a column `row`, in every dialect, beside what
    /// other columns it likes. Inputs among them must be those of the point. Of points whose line is empty, or for
    /// which no line has the number, nothing is said.
    ///
    /// # Errors
    /// Files that cannot be read; answers that cannot be matched with points; bad rows, every one named. Nothing is
    /// taken then.
    pub fn tell_beside(
        &mut self,
        points: Source,
        answers: Source,
        otherwise: Otherwise,
    ) -> Result<Heard, CampaignError> {
        let file = answers.file().to_owned();
        let (rows, heard) = self.rows_beside(points, answers, otherwise)?;
        self.tell_read(&file, &rows, heard, otherwise)
    }

    fn tell_read(
        &mut self,
        file: &str,
        rows: &[Row],
        read: Heard,
        otherwise: Otherwise,
    ) -> Result<Heard, CampaignError> {
        let close = self.close_to_open(rows);
        let heard = self.tell_rows(file, rows, otherwise)?;
        let mut remarks = read.remarks;
        remarks.extend(close);
        let scaling = self.subject().scaling();
        let reason = |row: &Row| match &row.answer {
            Answer::Values(values) => scaling.check(values).err().map(|reason| (row.place.clone(), reason.to_string())),
            _ => None,
        };
        let mut unusable = rows.iter().filter_map(reason);
        if let Some((place, reason)) = unusable.next() {
            let more = match unusable.count() {
                0 => String::new(),
                n => format!(" ({n} more such rows)"),
            };
            remarks
                .push(format!("{place}: {reason}{more}: kept as told, and counted as failed, as no model learns it"));
        }
        Ok(Heard { notes: read.notes, remarks, empty: read.empty, rounded: read.rounded, ..heard })
    }

    /// What is to be said of rows that are taken as new points and lie close to points that wait for an answer: their
    /// values may be rounded to too few digits.
    fn close_to_open(&self, rows: &[Row]) -> Option<String> {
        let open: Vec<&Point> = self.state().pending().collect();
        let close = |row: &Row| {
            let unit = self.subject().unit(row.x.as_ref().filter(|_| row.id.is_none())?)?;
            // Levels and whole numbers are not rounded to each other.
            let dimensions = self.subject().space().dimensions();
            let is_rounded = |point: &Point| {
                let both = row.x.iter().flatten().zip(&point.x).zip(dimensions);
                both.into_iter().all(|((told, own), of)| matches!(of, Dimension::Continuous { .. }) || told == own)
            };
            let is_close = |point: &&&Point| {
                let close = |own: &Vec<f64>| is_within(&unit, own, 2.0 * RATHER_CLOSE);
                point.unit.as_ref().is_some_and(close) && is_rounded(point)
            };
            let found = open.iter().find(is_close).filter(|_| self.state().at(&unit).is_none())?;
            Some((row.place.clone(), found.id))
        };
        let mut close = rows.iter().filter_map(close);
        let (place, id) = close.next()?;
        let more = match close.count() {
            0 => String::new(),
            n => format!(" ({n} more such rows)"),
        };
        Some(format!(
            "{place}: taken as a new point, though point {id}, which waits for an answer, is less than {} % of every range \
             away{more}: if that is meant, take this back (`dal undo`) and tell it with its id, or with six digits at least",
            100.0 * RATHER_CLOSE
        ))
    }

    /// The sets of columns one of which names a point: its number, or its values, fixed ones among them or not.
    fn naming_sets(&self) -> Vec<Vec<String>> {
        let subject = self.subject();
        let inputs = subject.names().iter().zip(subject.space().dimensions());
        let varied: Vec<String> = inputs
            .filter(|(_, dimension)| !matches!(dimension, Dimension::Fixed { .. }))
            .map(|(name, _)| name.clone())
            .collect();
        let mut sets = vec![vec!["id".to_owned()], subject.names().to_vec()];
        if !varied.is_empty() && varied.len() < subject.names().len() {
            sets.push(varied);
        }
        sets
    }

    /// The columns whose cells may be words.
    fn words_of(&self, others: &[String]) -> Vec<String> {
        let subject = self.subject();
        let inputs = subject.names().iter().zip(subject.levels()).filter(|(_, levels)| !levels.is_empty());
        inputs.map(|(name, _)| name).chain(subject.outputs()).chain(others).cloned().collect()
    }

    fn rows(&self, source: Source, otherwise: Otherwise) -> Result<(Vec<Row>, Heard), CampaignError> {
        let outputs = self.subject().outputs();
        // The tables of `dal label --out` numbered the outputs once.
        let numbered: Vec<String> = (0..outputs.len()).map(|k| format!("y{k}")).collect();
        let old: Vec<String> = std::iter::once("row".to_owned()).chain(numbered.iter().cloned()).collect();
        let naming = self.naming_sets();
        let mut sets: Vec<Vec<String>> = naming.iter().map(|set| [set, outputs].concat()).collect();
        sets.extend(naming[1..].iter().map(|set| [set, &old[..]].concat()));
        let words = self.words_of(&["id".to_owned()]);
        let (table, notes) = read(as_csv(source), &Expect::Named { sets: &sets, words: &words, bare: None })?;
        let as_labelled = || table.find(&old).and_then(|_| table.find(&numbered));
        let places = table.find(outputs).or_else(|error| as_labelled().map_err(|_| error))?;
        let mut naming = Naming::of(self, &table)?;
        let failures = column(&table, &self.failure_column())?;
        let mut heard = Heard { notes, ..Heard::default() };
        if let Some(row) = self.row_of_another(&table, &naming) {
            naming.id = None;
            heard.remarks.push(format!(
                "{}: an export of another campaign, whose ids are not those of this one (the first that is not: {}); its \
                 points are known by their values",
                table.file(),
                table.at(row)
            ));
        }
        let (mut rows, mut bad) = (Vec::new(), Vec::new());
        let mut moves = Moves::default();
        for row in 0..table.n_rows() {
            let is_empty = places.iter().all(|&column| table.cell(row, column).trim().is_empty());
            let said = failures.filter(|_| is_empty).and_then(|column| stated(&table.cell(row, column)));
            if is_empty && said.is_none() {
                heard.empty += 1;
                continue;
            }
            let told = self.named(&table, row, &naming, &mut moves).and_then(|(id, x)| {
                let answer = said.map_or_else(|| answer(&table, row, &places), Ok)?;
                Ok(Row { place: table.at(row).to_string(), id, x, answer })
            });
            match told {
                Ok(told) => rows.push(self.meant(told, &naming, row, otherwise, &mut heard)),
                Err(problem) => bad.push(format!("  {}: {problem}", table.at(row))),
            }
        }
        moves.say(table.file(), &mut heard.notes);
        if bad.is_empty() {
            Ok((rows, heard))
        } else {
            Err(CampaignError::Rows { file: table.file().into(), rows: bad })
        }
    }

    fn rows_beside(
        &self,
        points: Source,
        answers: Source,
        otherwise: Otherwise,
    ) -> Result<(Vec<Row>, Heard), CampaignError> {
        let subject = self.subject();
        let file = answers.file().to_owned();
        // A table of `dal label --out` names its points itself, and says elsewhere than a program why some failed.
        let first = first_line(&answers)?;
        let sets = self.naming_sets();
        if has_names(&first, &["row".to_owned(), self.failure_column()])
            && sets[1..].iter().any(|set| has_names(&first, set))
        {
            return self.rows(answers, otherwise);
        }
        let words = self.words_of(&["id".to_owned()]);
        let (table, notes) = read(as_csv(points), &Expect::Named { sets: &sets, words: &words, bare: None })?;
        let naming = Naming::of(self, &table)?;
        let mut heard = Heard { notes, ..Heard::default() };
        let (mut named, mut bad) = (Vec::new(), Vec::new());
        let mut moves = Moves::default();
        for row in 0..table.n_rows() {
            match self.named(&table, row, &naming, &mut moves) {
                Ok(found) => named.push(found),
                Err(problem) => bad.push(format!("  {}: {problem}", table.at(row))),
            }
        }
        moves.say(table.file(), &mut heard.notes);
        if !bad.is_empty() {
            return Err(CampaignError::Rows { file: table.file().into(), rows: bad });
        }
        let text = as_csv(answers).text()?;
        if naming.id.is_some() && has_names(&first, &["id".to_owned()]) {
            return Err(CampaignError::request(format!(
                "{file} has a column `id` of its own, so that its lines need no other file to say whose they are: tell it \
                 without --points"
            )));
        }
        let line = |(id, x): &Named| {
            let known = id.and_then(|id| self.state().point(id)).map(|point| &point.x);
            let cells: Vec<String> = x.as_ref().or(known).into_iter().flatten().map(Cell::to_string).collect();
            record(cells.iter().map(|cell| Out::Exact(cell)))
        };
        let lines: Vec<String> = named.iter().map(line).collect();
        let header = subject.problem().asking().is_none_or(|asking| asking.has_header());
        let (inputs, outputs) = (subject.inputs(), subject.outputs());
        let answers = printed(&Printed { inputs, outputs, header, points: &lines, text: &text })
            .map_err(|problem| CampaignError::request(format!("{file}, beside {}: {problem}", table.file())))?;
        let mut rows = Vec::new();
        for (row, ((id, x), said)) in named.into_iter().zip(answers).enumerate() {
            let place = format!("the point of {}, {}", table.file(), table.at(row));
            let answer = match said {
                None => {
                    heard.empty += 1;
                    continue;
                }
                Some(Ok(values)) => Answer::Values(values),
                Some(Err(said)) if said.kind == LabelFailureKind::Refused => failed(&said.message)
                    .unwrap_or_else(|| Answer::Failed(Failure { kind: "refused".into(), words: said.message.clone() })),
                Some(Err(said)) if said.kind == LabelFailureKind::NonFinite => Answer::Failed(Failure::from(&said)),
                Some(Err(said)) => {
                    bad.push(format!(
                        "  {place}: {}; write `failed` or `error: …` for a point that has no answer, or leave all its \
                         outputs empty",
                        said.message
                    ));
                    continue;
                }
            };
            rows.push(self.meant(Row { place, id, x, answer }, &naming, row, otherwise, &mut heard));
        }
        if bad.is_empty() { Ok((rows, heard)) } else { Err(CampaignError::Rows { file, rows: bad }) }
    }

    /// The column in which `dal label --out` says why a row has no label: with strokes behind it where the problem has
    /// one of that name.
    fn failure_column(&self) -> String {
        let mut name = FAILURE.to_owned();
        while self.subject().names().contains(&name) || self.subject().outputs().contains(&name) {
            name.push('_');
        }
        name
    }

    /// The first row whose number is not that of its point here, of a table that is an export of another campaign: most
    /// of its rows are not even close to the points that have their numbers here, if there are such. An export of this
    /// one in which values were mistyped, or rounded by a spreadsheet, is not taken for it.
    fn row_of_another(&self, table: &Table, naming: &Naming) -> Option<usize> {
        let is_export = EXPORTED.iter().all(|name| column(table, name).is_ok_and(|place| place.is_some()));
        let inputs = naming.inputs.iter().zip(self.subject().space().dimensions());
        let has_values = inputs.into_iter().all(|(place, of)| place.is_some() || matches!(of, Dimension::Fixed { .. }));
        let values = Naming { id: None, inputs: naming.inputs.clone(), halves: naming.halves.clone() };
        let decimal = table.dialect().decimal;
        let id = |row: usize| match look(&table.cell(row, naming.id?), decimal) {
            Found::Number(v) if v.fract() == 0.0 && (1.0..9e15).contains(&v) => Some(v as u64),
            _ => None,
        };
        // Whether a row is close to the point of its number; none where it says nothing about that.
        let is_close = |row: usize| {
            let (_, x) = self.named(table, row, &values, &mut Moves::default()).ok()?;
            let (told, point) = (self.subject().unit(&x?)?, self.state().point(id(row)?));
            let known = point.map(|point| point.unit.as_ref());
            Some(known.is_some_and(|known| known.is_none_or(|known| is_within(&told, known, CLOSE))))
        };
        if !is_export || !has_values {
            return None;
        }
        let said: Vec<(usize, bool)> = (0..table.n_rows()).filter_map(|row| Some((row, is_close(row)?))).collect();
        let of_known = |(row, _): &&(usize, bool)| id(*row).is_some_and(|id| self.state().point(id).is_some());
        let known: Vec<bool> = said.iter().filter(of_known).map(|(_, is_close)| *is_close).collect();
        let n_close = known.iter().filter(|is_close| **is_close).count();
        let is_own = !known.is_empty() && 2 * n_close >= known.len();
        said.iter().find(|(_, is_close)| !is_own && !is_close).map(|(row, _)| *row)
    }

    /// The row, of the point that its values mean where they were rounded.
    fn meant(&self, row: Row, naming: &Naming, at: usize, otherwise: Otherwise, heard: &mut Heard) -> Row {
        let (None, Some(x)) = (row.id, &row.x) else { return row };
        let halves: Vec<f64> = (0..x.len()).map(|input| naming.half(input, at)).collect();
        match self.near(x, &halves, &row.answer, otherwise) {
            Near::None => row,
            Near::Meant(id) => {
                heard.rounded += 1;
                Row { id: Some(id), x: None, ..row }
            }
            Near::Beside(ids) => {
                let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
                heard.remarks.push(format!(
                    "{}: taken as a new point, though it differs by no more than rounding from {} {}; give the id, or all \
                     digits, if one of these is meant",
                    row.place,
                    if ids.len() == 1 { "point" } else { "points" },
                    ids.join(", ")
                ));
                row
            }
        }
    }

    /// One row of a table whose points are named by these columns: of a number, of all inputs in order, or of both.
    pub(crate) fn row(
        &self,
        table: &Table,
        row: usize,
        id: Option<usize>,
        inputs: Option<&[usize]>,
        outputs: &[usize],
        moves: &mut Moves,
    ) -> Result<Row, String> {
        let n = self.subject().names().len();
        let inputs = (0..n).map(|at| inputs.and_then(|places| places.get(at)).copied()).collect();
        let (id, x) = self.named(table, row, &Naming { id, inputs, halves: Vec::new() }, moves)?;
        Ok(Row { place: table.at(row).to_string(), id, x, answer: answer(table, row, outputs)? })
    }

    /// The point that a row names. Values beside a number have to be those of its point, and are not given back then.
    fn named(&self, table: &Table, row: usize, naming: &Naming, moves: &mut Moves) -> Result<Named, String> {
        let subject = self.subject();
        let decimal = table.dialect().decimal;
        let at = |column: usize| format!("column {}: `{}`", table.column_name(column), table.cell(row, column));
        let blank = |column: usize| table.cell(row, column).trim().is_empty();
        let id = naming.id.filter(|&column| !blank(column));
        let id = id
            .map(|column| match look(&table.cell(row, column), decimal) {
                Found::Number(v) if v.fract() == 0.0 && (1.0..9e15).contains(&v) => Ok(v as u64),
                _ => Err(format!("{} is no number of a point", at(column))),
            })
            .transpose()?;
        let given: Vec<Option<usize>> = match naming.inputs.iter().flatten().all(|&column| blank(column)) {
            true => vec![None; naming.inputs.len()],
            // Beside a number it is enough to compare what is there.
            false => naming.inputs.iter().map(|place| place.filter(|&column| id.is_none() || !blank(column))).collect(),
        };
        let mut x: Vec<Option<Cell>> = Vec::with_capacity(given.len());
        for (input, place) in given.iter().enumerate() {
            let (dimension, levels) = (&subject.space().dimensions()[input], &subject.levels()[input]);
            let Some(column) = *place else {
                x.push(match *dimension {
                    Dimension::Fixed { value } => Some(Cell::Number(value)),
                    _ => None,
                });
                continue;
            };
            let text = table.cell(row, column);
            let placed = value(dimension, levels, &text, decimal).map(|placed| {
                placed.moved.into_iter().for_each(|by| moves.onto_bound(by));
                cell(&placed.value, levels)
            });
            let placed = placed.or_else(|fault| {
                let (bound, by) = bound_near(dimension, &text, decimal, naming.half(input, row)).ok_or(fault)?;
                moves.onto_bound(by);
                Ok(Cell::Number(bound))
            });
            x.push(Some(placed.map_err(|fault: dal_files::edge::ValueFault| format!("{} {fault}", at(column)))?));
        }
        if let Some(id) = id {
            let Some(point) = self.state().point(id) else {
                return Ok((Some(id), None));
            };
            let differs = x.iter().enumerate().any(|(input, told)| {
                let (Some(told), Some(known), true) = (told, point.x.get(input), given[input].is_some()) else {
                    return false;
                };
                !agrees(told, known, &subject.space().dimensions()[input], naming.half(input, row))
            });
            if differs {
                return Err(not_those_of(point));
            }
            return Ok((Some(id), None));
        }
        if given.iter().all(Option::is_none) {
            return Err("it names no point: neither by its id nor by its values".into());
        }
        let missing: Vec<&str> =
            subject.names().iter().zip(&x).filter(|(_, x)| x.is_none()).map(|(name, _)| name.as_str()).collect();
        if !missing.is_empty() {
            let names = missing.join(", ");
            return Err(format!("it names no point: it has no id, and the table no column of {names}"));
        }
        Ok((None, Some(x.into_iter().flatten().collect())))
    }
}

/// The bound that a value lies beyond by no more than rounding, and by what share of the range.
fn bound_near(dimension: &Dimension, text: &str, decimal: Decimal, half: f64) -> Option<(f64, f64)> {
    let &Dimension::Continuous { low, high, scale } = dimension else { return None };
    let v = number(text, decimal).ok()?;
    let near = |bound: &f64| (v - bound).abs() <= slack(v, *bound, (low, high, scale), half);
    let bound = [low, high].into_iter().find(near)?;
    Some((bound, (v - bound).abs() / (high - low)))
}

/// The first line of a text that holds something.
fn first_line(source: &Source) -> Result<String, FileError> {
    let text = as_csv(source.clone()).text()?;
    Ok(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned())
}

/// Whether a line, however its cells are apart, holds all these names.
fn has_names(line: &str, names: &[String]) -> bool {
    Dialect::ALL.iter().any(|dialect| {
        let header = cells(line, dialect.separator);
        names.iter().all(|name| !places(&header, name).is_empty())
    })
}

/// What the column of failures says.
fn stated(text: &str) -> Option<Answer> {
    failure(text).or_else(|| failed(text))
}

/// The answer that a row states.
fn answer(table: &Table, row: usize, outputs: &[usize]) -> Result<Answer, String> {
    let decimal = table.dialect().decimal;
    let at = |column: usize| format!("column {}: `{}`", table.column_name(column), table.cell(row, column));
    let mut values = Vec::with_capacity(outputs.len());
    let mut failure = None;
    for &column in outputs {
        let text = table.cell(row, column);
        match look(&text, decimal) {
            Found::Number(v) => values.push(v),
            Found::NotFinite(v) => {
                let words = format!("{} is {v}", table.column_name(column));
                failure.get_or_insert(Answer::Failed(Failure { kind: "non-finite".into(), words }));
            }
            Found::Text if failed(&text).is_some() => {
                // The program's own words say more than a NaN beside them.
                if !matches!(&failure, Some(Answer::Failed(known)) if known.kind == "refused") {
                    failure = failed(&text);
                }
            }
            Found::NoValue | Found::Text => {
                // Beside a failure the other cells are often empty.
                values.push(f64::NAN);
            }
        }
    }
    match failure {
        Some(failure) => Ok(failure),
        None => match values.iter().position(|v| v.is_nan()) {
            Some(k) => {
                let text = table.cell(row, outputs[k]);
                let why = match number(&text, decimal) {
                    Err(fault @ (NumberFault::Comma | NumberFault::Point)) => fault.to_string(),
                    _ => "is no number".into(),
                };
                Err(format!(
                    "{} {why}; write `failed` or `error: …` for a point that has no answer, or leave all its outputs empty",
                    at(outputs[k])
                ))
            }
            None => Ok(Answer::Values(values)),
        },
    }
}

/// The failure that a cell states: `error: …`, `failed`, `fail …` for the point's sake, `lost: …` for the machine's.
pub(crate) fn failed(text: &str) -> Option<Answer> {
    let text = text.trim();
    let lower = text.to_lowercase();
    let words =
        |begin: &str| text.get(begin.len()..).unwrap_or_default().trim_start_matches([':', ' ']).trim().to_owned();
    let begins =
        |begin: &str| lower.strip_prefix(begin).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    for begin in ["error", "failed", "failure", "fail"] {
        if begins(begin) {
            return Some(Answer::Failed(Failure { kind: "refused".into(), words: words(begin) }));
        }
    }
    begins("lost").then(|| Answer::Lost(Failure { kind: "lost".into(), words: words("lost") }))
}
