//! Telling: answers from a table, by number or by values, in any order, in parts; all rows of a file count, or none.

mod near;
mod table;

use std::collections::HashMap;

use dal_core::Value;
use dal_files::Note;
use dal_files::edge::value;

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::state::{Point, Status};
use crate::subject::{cell, is_same};
use crate::words::{Answer, Answered, Beside, Cell, Failure, Told, What, is_untried, undone};

pub(crate) use table::failed;

/// Outputs farther from zero than this are refused: sums of their squares, of which scales and errors are made, would
/// be beyond the largest number.
pub(crate) const LARGEST: f64 = 1e150;

/// What is done with an answer that differs from an earlier one to the same point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// The file is refused.
    #[default]
    Refuse,
    /// The earlier one was wrong and does not count any more. Where a table says anything new of a point, its rows
    /// take the place of all that was known of it.
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
    /// Failures for the machine's sake that are new: their points are asked for again.
    pub lost: usize,
    /// The same of points that were withdrawn, which are not.
    pub unwanted: usize,
    /// Earlier answers that do not count any more.
    pub replaced: usize,
    /// Of these rows, those of points that were never asked for.
    pub adopted: usize,
    /// Rows that were known already.
    pub repeated: usize,
    /// Rows without outputs: not measured yet.
    pub empty: usize,
    /// Rows of points that were asked for, whose values the file has rounded.
    pub rounded: usize,
    /// What was assumed of the file.
    pub notes: Vec<Note>,
    /// What was assumed of its points, in words.
    pub remarks: Vec<String>,
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

/// The point that a row speaks of; with its values where it was never asked for.
type Spoken = (u64, Option<Vec<Cell>>);

impl Folder {
    /// Takes these answers, all or none. `source` says in the log where they came from.
    ///
    /// # Errors
    /// Bad rows, every one named.
    pub fn tell_rows(&mut self, source: &str, rows: &[Row], otherwise: Otherwise) -> Result<Heard, CampaignError> {
        let mut heard = Heard::default();
        let mut bad = Vec::new();
        let mut told = Vec::new();
        let mut adopted: Vec<(u64, Vec<f64>)> = Vec::new();
        let mut next_id = self.state().next_id();
        let points: Vec<Result<Spoken, String>> =
            rows.iter().map(|row| self.point_of(row, &mut adopted, &mut next_id)).collect();
        // What the table says of each point, all its rows together.
        let mut said: HashMap<u64, Vec<&Answer>> = HashMap::new();
        for (row, point) in rows.iter().zip(&points) {
            if let Ok((id, _)) = point {
                said.entry(*id).or_default().push(&row.answer);
            }
        }
        let is_known = |(id, answers): (&u64, &Vec<&Answer>)| {
            self.state().point(*id).is_some_and(|point| answers.iter().any(|answer| says(point, answer)))
        };
        let grown = said.iter().any(is_known);
        let mut known: HashMap<u64, Known> = HashMap::new();
        for (row, point) in rows.iter().zip(points) {
            let outcome = point.and_then(|(id, x)| {
                let earlier = known.entry(id).or_insert_with(|| self.known(id, &said[&id], grown, otherwise));
                let was_there = matches!(&row.answer, Answer::Values(values) if earlier.before.contains(values));
                let attempts = self.settings().attempts;
                let heard = earlier.hear(&row.answer, otherwise, attempts, self.subject().outputs())?;
                Ok(heard.map(|(answer, beside)| (Answered { id, x, answer, beside }, was_there)))
            });
            match outcome {
                Ok(None) => heard.repeated += 1,
                Ok(Some((answered, was_there))) => {
                    heard.adopted += usize::from(answered.x.is_some());
                    let is_withdrawn =
                        || self.state().point(answered.id).is_some_and(|point| point.status() == Status::Withdrawn);
                    match answered.answer {
                        // It stands where it stood, in place of others that do not.
                        Answer::Values(_)
                            if was_there && answered.beside != Beside::First && otherwise == Otherwise::Correct =>
                        {
                            heard.repeated += 1;
                        }
                        Answer::Values(_) => heard.answers += 1,
                        Answer::Failed(_) => heard.failed += 1,
                        Answer::Lost(_) if is_withdrawn() => heard.unwanted += 1,
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
        heard.replaced = known.values().map(|known| known.n_replaced).sum();
        if !told.is_empty() {
            self.say(What::Told(Told { source: source.into(), rows: told }))?;
        }
        Ok(heard)
    }

    fn point_of(&self, row: &Row, adopted: &mut Vec<(u64, Vec<f64>)>, next_id: &mut u64) -> Result<Spoken, String> {
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
            if let Some((name, v)) = subject.outputs().iter().zip(values).find(|(_, v)| v.abs() > LARGEST) {
                return Err(format!(
                    "{name} = {v:?} is too large to be learned: squares of numbers beyond {LARGEST:e} have no place among \
                     64-bit floats; give it in another unit, or write `failed` if it means that there is no answer"
                ));
            }
        }
        let id = match (row.id, &unit) {
            (Some(id), unit) => {
                let point = self
                    .state()
                    .point(id)
                    .ok_or_else(|| format!("there is no point {id} in this campaign (its round was taken back, or the table is another campaign's: take \
                         its column id out then)"))?;
                if let (Some(unit), Some(own)) = (unit, &point.unit)
                    && !is_same(unit, own)
                {
                    return Err(not_those_of(point));
                }
                Some(id)
            }
            (None, Some(unit)) => {
                let here = adopted.iter().find(|(_, other)| is_same(other, unit)).map(|(id, _)| *id);
                self.state().at(unit).map(|point| point.id).or(here)
            }
            (None, None) => return Err("it names no point".into()),
        };
        match (id, &row.x, unit) {
            (Some(id), ..) => Ok((id, None)),
            (None, Some(x), Some(unit)) => {
                let id = *next_id;
                *next_id += 1;
                adopted.push((id, unit));
                Ok((id, Some(x.clone())))
            }
            _ => Err("it names no point".into()),
        }
    }

    /// What is known of a point before a table that says this of it.
    fn known(&self, id: u64, said: &[&Answer], grown: bool, otherwise: Otherwise) -> Known {
        let Some(point) = self.state().point(id) else { return Known::default() };
        // A loss in the same words is the same one where the table says again what was told before, or where the point
        // was not handed out since.
        let handed_out = point.lease.is_some() || point.started.is_some();
        let losses = match said.iter().any(|answer| matches!(answer, Answer::Lost(_))) && (grown || !handed_out) {
            true => self.losses_of(id),
            false => Vec::new(),
        };
        let is_new = |answer: &&&Answer| match answer {
            Answer::Lost(failure) => !losses.contains(failure),
            answer => !says(point, answer),
        };
        let is_over = !point.answers.is_empty() || point.failure.is_some();
        let replaces = otherwise == Otherwise::Correct && is_over && said.iter().any(|answer| is_new(&answer));
        let stays = |known: &&Vec<f64>| said.iter().any(|answer| matches!(answer, Answer::Values(v) if v == *known));
        Known {
            answers: point.answers.clone(),
            before: point.answers.clone(),
            repeatable: point.answers.clone(),
            losses: point.losses,
            known_losses: losses,
            failure: point.failure.clone(),
            replaces,
            n_replaced: match replaces {
                true => point.answers.iter().filter(|known| !stays(known)).count(),
                false => 0,
            },
        }
    }

    /// What was told of a point as lost, the last time as failed where that was once too often.
    fn losses_of(&self, id: u64) -> Vec<Failure> {
        let undone = undone(self.words());
        let rows = self.words().iter().filter(|word| !undone.contains(&word.n)).filter_map(|word| match &word.what {
            What::Told(told) => Some(&told.rows),
            _ => None,
        });
        rows.flatten()
            .filter(|row| row.id == id)
            .filter_map(|row| match &row.answer {
                Answer::Lost(failure) | Answer::Failed(failure) => Some(failure.clone()),
                Answer::Values(_) => None,
            })
            .collect()
    }
}

/// Whether an answer of a point is what is known of it.
fn says(point: &Point, answer: &Answer) -> bool {
    match answer {
        Answer::Values(values) => point.answers.contains(values),
        Answer::Failed(_) => point.failure.is_some(),
        Answer::Lost(_) => false,
    }
}

/// That values beside a point's number are not its own, and what to do.
fn not_those_of(point: &Point) -> String {
    let own: Vec<String> = point.x.iter().map(Cell::to_string).collect();
    format!(
        "its values are not those of point {}, which are {}; take the inputs' columns out if they are only rounded, the \
         column id if other values were set or it counts something else",
        point.id,
        own.join(", ")
    )
}

/// What is known of a point.
#[derive(Default)]
struct Known {
    answers: Vec<Vec<f64>>,
    /// The answers before this table.
    before: Vec<Vec<f64>>,
    /// Of these those that no row of it has said again: a table that grows is told anew as a whole, but a value that it
    /// has more often than it was known is another measurement.
    repeatable: Vec<Vec<f64>>,
    /// Failures for the machine's sake.
    losses: usize,
    /// Of these those that no row of the table has said again, where it may.
    known_losses: Vec<Failure>,
    failure: Option<Failure>,
    /// Whether the table's next row takes the place of all that is known.
    replaces: bool,
    /// Answers that do not count any more.
    n_replaced: usize,
}

impl Known {
    /// Takes one row: what is told, and what it is beside the known answers; none where it says nothing new.
    fn hear(
        &mut self,
        answer: &Answer,
        otherwise: Otherwise,
        attempts: usize,
        outputs: &[String],
    ) -> Result<Option<(Answer, Beside)>, String> {
        if let Answer::Lost(failure) = answer
            && let Some(place) = self.known_losses.iter().position(|known| known == failure)
        {
            self.known_losses.remove(place);
            return Ok(None);
        }
        let answer = match answer {
            // As in a run: what the machine lost so many times is the point's own failure.
            Answer::Lost(failure)
                if !is_untried(&failure.kind) && self.failure.is_none() && self.losses + 1 >= attempts =>
            {
                Answer::Failed(failure.clone())
            }
            answer => answer.clone(),
        };
        let Some(beside) = self.beside(&answer, otherwise, outputs)? else { return Ok(None) };
        self.take(&answer, beside);
        Ok(Some((answer, beside)))
    }

    /// What an answer is beside the known ones; none where it says nothing new.
    fn beside(&mut self, answer: &Answer, otherwise: Otherwise, outputs: &[String]) -> Result<Option<Beside>, String> {
        if std::mem::take(&mut self.replaces) {
            return Ok(Some(Beside::Correct));
        }
        if let (Answer::Values(values), Otherwise::Replicate) = (answer, otherwise)
            && let Some(place) = self.repeatable.iter().position(|known| known == values)
        {
            self.repeatable.remove(place);
            return Ok(None);
        }
        let replicates = matches!(answer, Answer::Values(_)) && !self.answers.is_empty();
        let earlier = match (answer, self.answers.last(), &self.failure) {
            (Answer::Values(values), ..)
                if match otherwise {
                    Otherwise::Replicate => false,
                    Otherwise::Correct if self.before.is_empty() => self.answers.contains(values),
                    Otherwise::Correct => self.before.contains(values) && self.answers == self.before,
                    Otherwise::Refuse => self.answers.contains(values),
                } =>
            {
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
            // Rows of one table that are told together are measurements of one point.
            Otherwise::Correct | Otherwise::Replicate if replicates => Ok(Some(Beside::Replicate)),
            Otherwise::Correct => Err(format!(
                "it contradicts another row of this table, {earlier}: a point cannot have an answer and none"
            )),
            Otherwise::Replicate => Err(format!(
                "it contradicts the earlier answer, {earlier}: a point cannot have an answer and none; --correct puts it in \
                 that one's place"
            )),
            Otherwise::Refuse => {
                let both = if replicates { ", --replicate keeps both" } else { "" };
                Err(format!(
                    "it contradicts the earlier answer, {earlier}; --correct puts it in that one's place{both}"
                ))
            }
        }
    }

    fn take(&mut self, answer: &Answer, beside: Beside) {
        if beside == Beside::Correct {
            self.answers.clear();
            (self.failure, self.losses) = (None, 0);
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
