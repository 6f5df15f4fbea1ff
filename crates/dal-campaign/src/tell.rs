//! Telling: answers from a table, by number or by values, in any order, in parts; all rows of a file count, or none.

use std::collections::HashMap;

use dal_core::Value;
use dal_files::edge::value;
use dal_files::number::{Cell as Found, cell as look};
use dal_files::{Expect, Moves, Note, Source, Table, read};

use crate::dakota::as_csv;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::subject::{cell, is_same};
use crate::words::{Answer, Answered, Beside, Cell, Failure, Told, What, is_untried};

/// What is done with an answer that differs from an earlier one to the same point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// The file is refused.
    #[default]
    Refuse,
    /// The earlier one was wrong and does not count any more.
    Correct,
    /// Both stand: the measurement was repeated. Equal values count where one table has them more often than they are
    /// known; a table that was told before may be told again as a whole.
    Replicate,
}

/// What became of the rows of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Answers that are new.
    pub answers: usize,
    /// Failures for the point's sake that are new.
    pub failed: usize,
    /// Failures for the machine's sake.
    pub lost: usize,
    /// Of these rows, those of points that were never asked for.
    pub adopted: usize,
    /// Rows that were known already.
    pub repeated: usize,
    /// Rows without outputs: not measured yet.
    pub empty: usize,
    /// What was assumed of the file.
    pub notes: Vec<Note>,
}

/// One answer to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where it stands, for messages.
    pub place: String,
    /// The point's number.
    pub id: Option<u64>,
    /// Its physical values.
    pub x: Option<Vec<Cell>>,
    /// The answer.
    pub answer: Answer,
}

impl Folder {
    /// Takes the answers of a table with the columns of the outputs and either `id` or those of the inputs, or both;
    /// other columns are ignored. Dakota's annotated tables are read, too. An output may be `error: …` or `failed` (the
    /// point has no answer and is never asked again), `nan`, or `lost: …` (the machine's fault: the point is asked
    /// again); a row without outputs is not measured yet.
    ///
    /// # Errors
    /// A table that cannot be read; bad rows, every one named. Nothing is taken then.
    pub fn tell(&mut self, source: Source, otherwise: Otherwise) -> Result<Heard, CampaignError> {
        let file = source.file().to_owned();
        let (rows, mut heard) = self.rows(source)?;
        let (notes, empty) = (std::mem::take(&mut heard.notes), heard.empty);
        let heard = self.tell_rows(&file, &rows, otherwise)?;
        Ok(Heard { notes, empty, ..heard })
    }

    fn rows(&self, source: Source) -> Result<(Vec<Row>, Heard), CampaignError> {
        let subject = self.subject();
        let (names, outputs) = (subject.names(), subject.outputs());
        // The tables of `dal label --out` number the outputs.
        let numbered: Vec<String> = (0..outputs.len()).map(|k| format!("y{k}")).collect();
        let sets = [
            [&["id".to_owned()][..], outputs].concat(),
            [names, outputs].concat(),
            [names, &["row".to_owned()][..], &numbered[..]].concat(),
        ];
        let words: Vec<String> = names
            .iter()
            .zip(subject.levels())
            .filter(|(_, levels)| !levels.is_empty())
            .map(|(name, _)| name.clone())
            .chain(outputs.iter().cloned())
            .chain(["id".to_owned()])
            .collect();
        let (table, notes) = read(as_csv(source), &Expect::Named { sets: &sets, words: &words, bare: None })?;
        let id = table.find(&["id"]).ok().map(|places| places[0]);
        let inputs = table.find(names).ok();
        let as_labelled = || table.find(&sets[2]).and_then(|_| table.find(&numbered));
        let places = table.find(outputs).or_else(|error| as_labelled().map_err(|_| error))?;
        let mut heard = Heard { notes, ..Heard::default() };
        let (mut rows, mut bad) = (Vec::new(), Vec::new());
        let mut moves = Moves::default();
        for row in 0..table.n_rows() {
            let blank = |column: usize| table.cell(row, column).trim().is_empty();
            if places.iter().all(|&column| blank(column)) {
                heard.empty += 1;
                continue;
            }
            match self.row(&table, row, id.filter(|&id| !blank(id)), inputs.as_deref(), &places, &mut moves) {
                Ok(row) => rows.push(row),
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

    pub(crate) fn row(
        &self,
        table: &Table,
        row: usize,
        id: Option<usize>,
        inputs: Option<&[usize]>,
        outputs: &[usize],
        moves: &mut Moves,
    ) -> Result<Row, String> {
        let decimal = table.dialect().decimal;
        let at = |column: usize| format!("column {}: `{}`", table.column_name(column), table.cell(row, column));
        let id = id
            .map(|column| match look(&table.cell(row, column), decimal) {
                Found::Number(v) if v.fract() == 0.0 && (1.0..9e15).contains(&v) => Ok(v as u64),
                _ => Err(format!("{} is no number of a point", at(column))),
            })
            .transpose()?;
        let blank = |columns: &&[usize]| columns.iter().all(|&column| table.cell(row, column).trim().is_empty());
        let x = match inputs.filter(|columns| !blank(columns)) {
            Some(columns) => {
                let subject = self.subject();
                let inputs = columns.iter().zip(subject.space().dimensions()).zip(subject.levels());
                let values = inputs.map(|((&column, dimension), levels)| {
                    let placed = value(dimension, levels, &table.cell(row, column), decimal)
                        .map_err(|fault| format!("{} {fault}", at(column)))?;
                    placed.moved.into_iter().for_each(|by| moves.onto_bound(by));
                    Ok(cell(&placed.value, levels))
                });
                Some(values.collect::<Result<Vec<Cell>, String>>()?)
            }
            None => None,
        };
        if id.is_none() && x.is_none() {
            return Err("it names no point: neither by its id nor by its values".into());
        }
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
        let answer = match failure {
            Some(failure) => failure,
            None => match values.iter().position(|v| v.is_nan()) {
                Some(k) => {
                    return Err(format!(
                        "{} is no number; write `failed` or `error: …` for a point that has no answer, or leave all its outputs empty",
                        at(outputs[k])
                    ));
                }
                None => Answer::Values(values),
            },
        };
        Ok(Row { place: table.at(row).to_string(), id, x, answer })
    }

    /// Takes these answers, all or none. `source` says in the log where they came from.
    ///
    /// # Errors
    /// Bad rows, every one named.
    pub fn tell_rows(&mut self, source: &str, rows: &[Row], otherwise: Otherwise) -> Result<Heard, CampaignError> {
        let mut heard = Heard::default();
        let mut bad = Vec::new();
        let mut told = Vec::new();
        // What is known of points that earlier rows of this file speak of.
        let mut known: HashMap<u64, Known> = HashMap::new();
        let mut adopted: Vec<(u64, Vec<f64>)> = Vec::new();
        let mut next_id = self.state().next_id();
        for row in rows {
            match self.hear_row(row, otherwise, &mut known, &mut adopted, &mut next_id) {
                Ok(None) => heard.repeated += 1,
                Ok(Some(answered)) => {
                    heard.adopted += usize::from(answered.x.is_some());
                    match answered.answer {
                        Answer::Values(_) => heard.answers += 1,
                        Answer::Failed(_) => heard.failed += 1,
                        Answer::Lost(_) => heard.lost += 1,
                    }
                    told.push(answered);
                }
                Err(problem) => bad.push(format!("  {}: {problem}", row.place)),
            }
        }
        if !bad.is_empty() {
            return Err(CampaignError::Rows { file: source.into(), rows: bad });
        }
        if !told.is_empty() {
            self.say(What::Told(Told { source: source.into(), rows: told }))?;
        }
        Ok(heard)
    }

    fn hear_row(
        &self,
        row: &Row,
        otherwise: Otherwise,
        known: &mut HashMap<u64, Known>,
        adopted: &mut Vec<(u64, Vec<f64>)>,
        next_id: &mut u64,
    ) -> Result<Option<Answered>, String> {
        let subject = self.subject();
        let unit = match &row.x {
            Some(x) => Some(subject.unit(x).ok_or("its values lie outside the problem's ranges or levels")?),
            None => None,
        };
        if let Answer::Values(values) = &row.answer {
            if values.len() != subject.outputs().len() {
                return Err(format!("{} outputs where there are {}", values.len(), subject.outputs().len()));
            }
            if let Some(v) = values.iter().find(|v| !v.is_finite()) {
                return Err(format!("an output is {v}"));
            }
        }
        let id = match (row.id, &unit) {
            (Some(id), unit) => {
                let point = self
                    .state()
                    .point(id)
                    .ok_or_else(|| format!("there is no point {id} in this campaign (or its round was taken back)"))?;
                if let (Some(unit), Some(own)) = (unit, &point.unit)
                    && !is_same(unit, own)
                {
                    let own: Vec<String> = point.x.iter().map(Cell::to_string).collect();
                    return Err(format!("its values are not those of point {id}, which are {}", own.join(", ")));
                }
                Some(id)
            }
            (None, Some(unit)) => {
                let here = adopted.iter().find(|(_, other)| is_same(other, unit)).map(|(id, _)| *id);
                self.state().at(unit).map(|point| point.id).or(here)
            }
            (None, None) => return Err("it names no point".into()),
        };
        let (id, x) = match (id, &row.x, unit) {
            (Some(id), ..) => (id, None),
            (None, Some(x), Some(unit)) => {
                let id = *next_id;
                *next_id += 1;
                adopted.push((id, unit));
                (id, Some(x.clone()))
            }
            _ => return Err("it names no point".into()),
        };
        let earlier = known.entry(id).or_insert_with(|| match self.state().point(id) {
            Some(point) => Known {
                answers: point.answers.clone(),
                repeatable: point.answers.clone(),
                failure: point.failure.clone(),
                losses: point.losses,
            },
            None => Known::default(),
        });
        let answer = match &row.answer {
            // As in a run: what the machine lost so many times is the point's own failure.
            Answer::Lost(failure)
                if !is_untried(&failure.kind)
                    && earlier.failure.is_none()
                    && earlier.losses + 1 >= self.settings().attempts =>
            {
                Answer::Failed(failure.clone())
            }
            answer => answer.clone(),
        };
        let Some(beside) = earlier.beside(&answer, otherwise, subject.outputs())? else { return Ok(None) };
        earlier.take(&answer, beside);
        Ok(Some(Answered { id, x, answer, beside }))
    }
}

/// What is known of a point.
#[derive(Default)]
struct Known {
    answers: Vec<Vec<f64>>,
    /// Of the answers before this table those that no row of it has said again: a table that grows is told anew as a
    /// whole, but a value that it has more often than it was known is another measurement.
    repeatable: Vec<Vec<f64>>,
    /// Failures for the machine's sake.
    losses: usize,
    failure: Option<Failure>,
}

impl Known {
    /// What an answer is beside the known ones; none where it says nothing new.
    fn beside(&mut self, answer: &Answer, otherwise: Otherwise, outputs: &[String]) -> Result<Option<Beside>, String> {
        if let (Answer::Values(values), Otherwise::Replicate) = (answer, otherwise)
            && let Some(place) = self.repeatable.iter().position(|known| known == values)
        {
            self.repeatable.remove(place);
            return Ok(None);
        }
        let contradicted = match (answer, self.answers.last(), &self.failure) {
            (Answer::Values(values), ..) if self.answers.contains(values) && otherwise != Otherwise::Replicate => {
                return Ok(None);
            }
            (Answer::Failed(_), None, Some(_)) => return Ok(None),
            (_, None, None) => return Ok(Some(Beside::First)),
            (_, Some(values), _) => {
                let shown: Vec<String> =
                    outputs.iter().zip(values).map(|(name, v)| format!("{name} = {v:?}")).collect();
                shown.join(", ")
            }
            (_, None, Some(failure)) => format!("that it failed ({failure})"),
        };
        match otherwise {
            Otherwise::Correct => Ok(Some(Beside::Correct)),
            Otherwise::Replicate if matches!(answer, Answer::Values(_)) && !self.answers.is_empty() => {
                Ok(Some(Beside::Replicate))
            }
            _ => Err(format!(
                "it contradicts the earlier answer, {contradicted}; --correct puts it in that one's place, --replicate keeps both"
            )),
        }
    }

    fn take(&mut self, answer: &Answer, beside: Beside) {
        if beside == Beside::Correct {
            *self = Self::default();
        }
        match answer {
            Answer::Values(values) => {
                self.answers.push(values.clone());
                self.failure = None;
            }
            Answer::Failed(failure) => self.failure = Some(failure.clone()),
            Answer::Lost(failure) => self.losses += usize::from(!is_untried(&failure.kind)),
        }
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

/// A table of answers beside the table of its points, line by line: what a program prints that is given points and says
/// nothing of them.
///
/// # Errors
/// Files that are no text, or have different numbers of lines.
pub fn beside(points: Source, answers: Source) -> Result<Source, CampaignError> {
    let names = [points.file().to_owned(), answers.file().to_owned()];
    let (points, answers) = (points.text()?, answers.text()?);
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect()
    };
    let (points, answers) = (lines(&points), lines(&answers));
    if points.len() != answers.len() {
        return Err(CampaignError::request(format!(
            "{} has {} lines and {} has {}, headers included; each point needs one line of answers",
            names[0],
            points.len(),
            names[1],
            answers.len()
        )));
    }
    let both: String = points.iter().zip(&answers).map(|(point, answer)| format!("{point},{answer}\n")).collect();
    Ok(Source::from_bytes(names[1].clone(), both))
}

/// The cell of a value that a user wrote, for `--fix NAME=VALUE`.
///
/// # Errors
/// Why it is no value of that input, in words.
pub fn parse_value(folder: &Folder, name: &str, text: &str) -> Result<Cell, CampaignError> {
    let subject = folder.subject();
    let Some(index) = subject.names().iter().position(|known| known == name) else {
        let known = subject.names().join(", ");
        return Err(CampaignError::request(format!("there is no input `{name}`; there are: {known}")));
    };
    let levels = &subject.levels()[index];
    let placed = value(&subject.space().dimensions()[index], levels, text, dal_files::number::Decimal::Point)
        .map_err(|fault| CampaignError::request(format!("{name} = {text}: {fault}")))?;
    let value: Value = placed.value;
    Ok(cell(&value, levels))
}
