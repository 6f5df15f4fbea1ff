//! Telling: answers from a table, by number or by values, in any order, in parts; all rows of a file count, or none.

mod near;
mod table;

use std::collections::HashMap;

use dal_core::Value;
use dal_files::Note;
use dal_files::edge::value;

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::subject::{cell, is_same};
use crate::words::{Answer, Answered, Beside, Cell, Failure, Told, What, is_untried};

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

impl Folder {
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
