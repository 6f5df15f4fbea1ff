//! What follows from all that was said: the points with their states, the rounds, the network in use.

use std::collections::BTreeMap;

use dal_core::{Labelled, LabelledError, OutputScaling};
use dal_store::{ProcessName, Standing};
use ndarray::Array2;

use crate::ladder::Choice;
use crate::subject::{Subject, is_same};
use crate::words::{AUDIT, Answer, Beside, Cell, Ended, Failure, Leased, Round, Told, What, Word, is_untried, undone};

/// The state of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It has no answer yet.
    Asked,
    /// A process of this campaign labels it.
    Running,
    /// It has an answer.
    Done,
    /// It has none, for its own sake: it is never asked again.
    Failed,
    /// It has none, for the machine's or the program's sake: it is asked again.
    Lost,
    /// It is not wanted any more.
    Withdrawn,
}

impl Status {
    /// All of them, in the order in which tables list them.
    pub const ALL: [Self; 6] = [Self::Asked, Self::Running, Self::Done, Self::Failed, Self::Lost, Self::Withdrawn];

    /// As files and tables have it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What a point is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Models learn it.
    Learned,
    /// It is held out of learning and judges models; with `--learn-all` a last model learns it.
    HeldOut,
    /// It judges models and is never learned.
    Audit,
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its number.
    pub id: u64,
    /// Its physical values.
    pub x: Vec<Cell>,
    /// On the unit box; none where the problem file's bounds do not admit it any more.
    pub unit: Option<Vec<f64>>,
    /// Round and place in it, held-out points behind the others; none for a point that was never asked for.
    pub drawn: Option<(usize, usize)>,
    /// What it is for.
    pub part: Part,
    /// When it was drawn or told, in seconds since 1970.
    pub since: f64,
    /// To whom it was handed out last.
    pub lease: Option<Leased>,
    /// The process that labels it.
    pub started: Option<ProcessName>,
    /// Its answers: several where it was replicated.
    pub answers: Vec<Vec<f64>>,
    /// Why it has none.
    pub failure: Option<Failure>,
    /// Failures for the machine's sake so far, without those of calls that ended before its turn.
    pub losses: usize,
    /// The last of them.
    pub loss: Option<Failure>,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
}

impl Point {
    /// Whether it has an answer that a model can learn: one that every output's transform takes.
    pub(crate) fn is_learnable(&self, scaling: &OutputScaling) -> bool {
        self.answers.iter().any(|answer| scaling.check(answer).is_ok())
    }

    /// Its state.
    pub fn status(&self) -> Status {
        if !self.answers.is_empty() {
            Status::Done
        } else if self.failure.is_some() {
            Status::Failed
        } else if self.withdrawn {
            Status::Withdrawn
        } else if self.started.as_ref().is_some_and(|process| process.standing() != Standing::Gone) {
            Status::Running
        } else if self.loss.is_some() {
            Status::Lost
        } else {
            Status::Asked
        }
    }

    /// Whether an answer may still come: it was asked for, and has neither one nor been given up.
    pub fn is_pending(&self) -> bool {
        matches!(self.status(), Status::Asked | Status::Running | Status::Lost)
    }

    /// Whether it waits to be handed out: it has no answer, no process is at it, and no lease of it runs.
    pub fn is_open(&self, now: f64) -> bool {
        matches!(self.status(), Status::Asked | Status::Lost) && self.is_free(now)
    }

    /// As [`is_open`](Self::is_open), for the one process that may write the log now: what another one began is not
    /// labelled any more, on whichever machine that was, or else it would still hold the log.
    pub(crate) fn waits_for(&self, writer: &ProcessName, now: f64) -> bool {
        let left = || self.started.as_ref().is_some_and(|by| by != writer);
        match self.status() {
            Status::Asked | Status::Lost => self.is_free(now),
            Status::Running => left() && self.is_free(now),
            Status::Done | Status::Failed | Status::Withdrawn => false,
        }
    }

    /// Whether it lies in the present bounds, and no lease of it runs.
    fn is_free(&self, now: f64) -> bool {
        let leased = self.lease.as_ref().is_some_and(|lease| lease.until.is_none_or(|until| now < until));
        self.unit.is_some() && !leased
    }
}

/// Everything that follows from the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    points: BTreeMap<u64, Point>,
    rounds: Vec<Round>,
    choice: Option<Choice>,
    ended: Option<Ended>,
    next_id: u64,
}

impl State {
    /// From the words of a log, those that were taken back left out.
    pub fn of(words: &[Word], subject: &Subject) -> Self {
        let undone = undone(words);
        let mut state = Self { next_id: 1, ..Self::default() };
        let mut ended_at = 0;
        for word in words {
            // Numbers are never given twice: a file may still name a point whose round was taken back.
            state.reserve(&word.what);
            match &word.what {
                What::Ended(_) => ended_at = word.n,
                // What the rule saw does not hold any more.
                What::Undone { word } if *word < ended_at => state.ended = None,
                _ => {}
            }
            if !undone.contains(&word.n) {
                state.hear(word, subject);
            }
        }
        state
    }

    fn reserve(&mut self, what: &What) {
        let largest = match what {
            What::Round(round) => round.all().map(|point| point.id).max(),
            What::Told(told) => told.rows.iter().map(|row| row.id).max(),
            _ => None,
        };
        self.next_id = self.next_id.max(largest.map_or(0, |id| id.saturating_add(1)));
    }

    /// Takes one more word, which is none that takes another back.
    pub(crate) fn hear(&mut self, word: &Word, subject: &Subject) {
        self.reserve(&word.what);
        match &word.what {
            What::Begun(_) | What::Undone { .. } => {}
            What::Chosen(choice) => self.choice = Some((**choice).clone()),
            What::Ended(ended) => self.ended = Some(ended.clone()),
            What::Round(round) => {
                if round.rule != AUDIT {
                    self.ended = None;
                }
                for (place, drawn) in round.all().enumerate() {
                    let mut point = new_point(drawn.id, &drawn.x, Some((round.round, place)), word.at, subject);
                    point.part = match place < round.points.len() {
                        true => Part::Learned,
                        false if round.rule == AUDIT => Part::Audit,
                        false => Part::HeldOut,
                    };
                    self.points.insert(drawn.id, point);
                }
                self.rounds.push((**round).clone());
            }
            What::Leased(leased) => {
                for id in &leased.ids {
                    if let Some(point) = self.points.get_mut(id) {
                        point.lease = Some(leased.clone());
                        // A process that began it is not at it any more, or it would not have been handed out.
                        point.started = None;
                        point.since = word.at;
                    }
                }
            }
            What::Started(started) => {
                for id in &started.ids {
                    if let Some(point) = self.points.get_mut(id) {
                        point.started = Some(started.by.clone());
                        point.since = word.at;
                    }
                }
            }
            What::Released { ids } => {
                for id in ids {
                    if let Some(point) = self.points.get_mut(id) {
                        point.started = None;
                    }
                }
            }
            What::Told(told) => self.hear_told(told, word.at, subject),
            What::Withdrawn(withdrawn) => {
                for id in &withdrawn.ids {
                    if let Some(point) = self.points.get_mut(id) {
                        point.withdrawn = true;
                    }
                }
            }
        }
    }

    fn hear_told(&mut self, told: &Told, at: f64, subject: &Subject) {
        for row in &told.rows {
            if let Some(x) = &row.x {
                self.points.entry(row.id).or_insert_with(|| new_point(row.id, x, None, at, subject));
            }
            let Some(point) = self.points.get_mut(&row.id) else { continue };
            if row.beside == Beside::Correct {
                // A rule that saw the wrong answer looks again.
                self.ended = None;
                point.answers.clear();
                point.failure = None;
            }
            point.started = None;
            point.since = at;
            match &row.answer {
                Answer::Values(values) => {
                    point.answers.push(values.clone());
                    (point.failure, point.withdrawn) = (None, false);
                }
                Answer::Failed(failure) => point.failure = Some(failure.clone()),
                Answer::Lost(failure) => {
                    point.losses += usize::from(!is_untried(&failure.kind));
                    point.loss = Some(failure.clone());
                    point.lease = None;
                }
            }
        }
    }

    /// The points, by number.
    pub fn points(&self) -> impl ExactSizeIterator<Item = &Point> {
        self.points.values()
    }

    /// The point of a number.
    pub fn point(&self, id: u64) -> Option<&Point> {
        self.points.get(&id)
    }

    /// The rounds, in order.
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// The network that was chosen last.
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// Takes the choice of network of another moment.
    pub(crate) fn take_choice(&mut self, other: &Self) {
        self.choice.clone_from(&other.choice);
    }

    /// The rule that ended the last run; none once another round was drawn, or an answer that it saw was corrected or
    /// taken back.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// The number that the next new point gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// The point that these coordinates of the unit box are, but for rounding.
    pub fn at(&self, unit: &[f64]) -> Option<&Point> {
        self.points().find(|point| point.unit.as_ref().is_some_and(|known| is_same(known, unit)))
    }

    /// Points that were asked for and have no answer yet.
    pub fn pending(&self) -> impl Iterator<Item = &Point> {
        self.points().filter(|point| point.is_pending())
    }

    /// How many points were asked for in all, those that were withdrawn and those of audits left out.
    pub fn n_asked(&self) -> usize {
        let counts = |point: &&Point| point.drawn.is_some() && point.part != Part::Audit;
        self.points().filter(counts).filter(|point| point.status() != Status::Withdrawn).count()
    }

    /// What a model learns: the points whose answers can be used, by number, several rows where a point was replicated,
    /// and of each row its point. Points that are held out are not among them.
    ///
    /// # Errors
    /// Answers of different lengths.
    pub fn labelled(&self, subject: &Subject) -> Result<Option<(Labelled, Vec<u64>)>, LabelledError> {
        self.labelled_of(subject, &|part| part == Part::Learned)
    }

    /// As [`labelled`](Self::labelled), of points that are for this.
    pub(crate) fn labelled_of(
        &self,
        subject: &Subject,
        of: &dyn Fn(Part) -> bool,
    ) -> Result<Option<(Labelled, Vec<u64>)>, LabelledError> {
        let (mut x, mut y, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for point in self.points().filter(|point| of(point.part)) {
            let Some(unit) = &point.unit else { continue };
            for values in point.answers.iter().filter(|values| subject.scaling().check(values).is_ok()) {
                x.extend_from_slice(unit);
                y.extend_from_slice(values);
                ids.push(point.id);
            }
        }
        if ids.is_empty() {
            return Ok(None);
        }
        let shape = subject.shape();
        let (Ok(x), Ok(y)) = (
            Array2::from_shape_vec((ids.len(), shape.n_inputs), x),
            Array2::from_shape_vec((ids.len(), shape.n_outputs), y),
        ) else {
            return Err(LabelledError::WidthDiffers { what: "outputs", expected: shape.n_outputs, found: 0 });
        };
        Ok(Some((Labelled::new(x, y)?, ids)))
    }

    /// How likely the draw of a point was beside a uniform one: its probability times the number of candidates; 1 where
    /// the rule did not draw, or it was never asked for.
    pub(crate) fn relative_probability(&self, id: u64) -> f64 {
        let drawn = self.points.get(&id).and_then(|point| point.drawn);
        let round = drawn.and_then(|(round, place)| Some((self.rounds.iter().find(|r| r.round == round)?, place)));
        round
            .and_then(|(round, place)| {
                let left = round.candidates.n.saturating_sub(place).max(1);
                Some(round.points.get(place)?.probability? * left as f64)
            })
            .unwrap_or(1.0)
    }
}

fn new_point(id: u64, x: &[Cell], drawn: Option<(usize, usize)>, since: f64, subject: &Subject) -> Point {
    Point {
        id,
        x: x.to_vec(),
        unit: subject.unit(x),
        drawn,
        part: Part::Learned,
        since,
        lease: None,
        started: None,
        answers: Vec::new(),
        failure: None,
        losses: 0,
        loss: None,
        withdrawn: false,
    }
}
