//! What is said in a campaign, one word a line of its log: everything else is rebuilt from these.

use std::collections::HashSet;
use std::fmt;

use dal_core::{LabelFailure, LabelFailureKind, Settings};
use serde::{Deserialize, Serialize};

pub use crate::ladder::{Choice, Errors};

/// The rule of the design at the beginning.
pub const INITIAL: &str = "initial";

/// The rule of a round whose points are never learned.
pub const AUDIT: &str = "audit";

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Its 0-based place: a gap means that a line is lost.
    pub n: u64,
    /// When it was said, in seconds since 1970. Only leases and reports look at it.
    pub at: f64,
    /// What was said.
    pub what: What,
}

/// What can be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The campaign began; the first word.
    Begun(Begun),
    /// Points were drawn, in order.
    Round(Box<Round>),
    /// Points were handed out to be labelled elsewhere.
    Leased(Leased),
    /// A process of this campaign began to label points.
    Started(Started),
    /// A process left points without an answer; they are open again.
    Released {
        /// The points.
        ids: Vec<u64>,
    },
    /// Answers came.
    Told(Told),
    /// Points are not wanted any more.
    Withdrawn(Withdrawn),
    /// A network was chosen.
    Chosen(Box<Choice>),
    /// A rule ended a run.
    Ended(Ended),
    /// An earlier word does not count any more.
    Undone {
        /// Its place.
        word: u64,
    },
}

impl What {
    /// In a few words, for a person.
    pub fn in_words(&self) -> String {
        match self {
            Self::Begun(_) => "the beginning".into(),
            Self::Round(round) => format!("round {} of {} points", round.round, round.all().count()),
            Self::Leased(leased) => format!("{} points handed out", leased.ids.len()),
            Self::Started(started) => format!("{} points started", started.ids.len()),
            Self::Released { ids } => format!("{} points left", ids.len()),
            Self::Told(told) => format!("{} answers told ({})", told.rows.len(), told.source),
            Self::Withdrawn(withdrawn) => format!("{} points withdrawn", withdrawn.ids.len()),
            Self::Chosen(choice) if choice.searched => {
                format!("a search for a network at {} labels", choice.n_labelled)
            }
            Self::Chosen(choice) => format!("a network chosen at {} labels", choice.n_labelled),
            Self::Ended(ended) => format!("a run ended: {}", ended.why),
            Self::Undone { word } => format!("word {word} taken back"),
        }
    }

    /// Whether `undo` can take it back: what a person or a program said, not what the campaign noted by itself.
    pub fn can_be_undone(&self) -> bool {
        match self {
            Self::Round(_) | Self::Leased(_) | Self::Told(_) | Self::Withdrawn(_) => true,
            Self::Chosen(choice) => choice.searched,
            _ => false,
        }
    }
}

/// How a campaign began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// Version of the log's form.
    pub version: u32,
    /// The problem's name.
    pub problem: String,
    /// Names of the inputs, in order.
    pub inputs: Vec<String>,
    /// Names of the outputs, in order.
    pub outputs: Vec<String>,
}

/// A physical value: a number, or the name of a level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number.
    Number(f64),
    /// A level.
    Level(String),
}

impl fmt::Display for Cell {
    /// Numbers in the shortest form that reads back the same, whole ones without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => write!(f, "{v:.0}"),
            Self::Number(v) => write!(f, "{v:?}"),
            Self::Level(level) => f.write_str(level),
        }
    }
}

/// Points that were drawn from one model and one set of candidates, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its 0-based number.
    pub round: usize,
    /// The rule that drew: `initial` for the design at the beginning, `audit` for points that are never learned,
    /// otherwise a strategy.
    pub rule: String,
    /// The strategy's settings.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// Labels that were known.
    pub n_labelled: usize,
    /// What tells the model apart: the name of its file. None for a design.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its errors in cross-validation, where they were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// The candidates that were drawn from.
    pub candidates: Candidates,
    /// Inputs that were held fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<(String, Cell)>,
    /// Points that had no answer yet; the rule kept away from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight: Vec<u64>,
    /// The points, in the order in which they were drawn.
    pub points: Vec<Drawn>,
    /// Points drawn uniformly from the domain beside them, which no model learns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<Drawn>,
    /// The rule's remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Round {
    /// Whether a rule chose its points: it is neither of the design nor an audit.
    pub(crate) fn is_chosen(&self) -> bool {
        ![INITIAL, AUDIT].contains(&self.rule.as_str())
    }

    /// All points of the round, those that are held out behind the others.
    pub fn all(&self) -> impl Iterator<Item = &Drawn> + Clone {
        self.points.iter().chain(&self.held_out)
    }
}

/// The candidates of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidates {
    /// How many there were.
    pub n: usize,
    /// The stream that they were drawn from, as a path of purposes and numbers; empty for a table.
    pub stream: String,
    /// How many points were drawn for them, those that the constraints refused included.
    pub drawn: usize,
    /// Where failed points taught where others fail: what was left out for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinned: Option<Thinned>,
    /// Where failed points taught where others fail and the rule draws: how well, as in [`Thinned::auc`]. Scores were
    /// multiplied by the probability of an answer, and no candidate was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighted: Option<f64>,
    /// What tells the domain apart that they stand for ([`Folder::domain`](crate::Folder::domain)); empty in older logs,
    /// which did not say it and count as of the present one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// Candidates that were left out at random because points near them failed; each stayed with its probability of an
/// answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thinned {
    /// How many were left out.
    pub n: usize,
    /// How well the model of failures tells points apart that it has not seen: 0.5 is chance, 1 is perfect.
    pub auc: f64,
}

/// One point of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Its number in the campaign.
    pub id: u64,
    /// Its physical values, in the order of the inputs.
    pub x: Vec<Cell>,
    /// Its 0-based place among the candidates.
    pub candidate: usize,
    /// The rule's score at the moment it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The committee's disagreement there: the root of its variance in model units, averaged over outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<f64>,
    /// The distance on the unit box to the nearest point that was known, pending or drawn before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
    /// The probability of the draw given the earlier ones, where the rule draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// What the model predicted there, in the outputs' own units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,
}

/// A prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// The mean of each output.
    pub mean: Vec<f64>,
    /// The members' standard deviation of each output.
    pub sd: Vec<f64>,
}

/// Points that were handed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leased {
    /// The points.
    pub ids: Vec<u64>,
    /// To whom; a word of the asker's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Until when, in seconds since 1970; they are asked for again afterwards. None: without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

/// Points that a process began to label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The points.
    pub ids: Vec<u64>,
    /// The process.
    pub by: dal_store::ProcessName,
}

/// Answers that came together: all of them count, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Where they came from: a file's name, `oracle`.
    pub source: String,
    /// The answers.
    pub rows: Vec<Answered>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The point.
    pub id: u64,
    /// Its physical values, where it was never asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<Vec<Cell>>,
    /// The answer.
    pub answer: Answer,
    /// What becomes of an earlier answer to the point.
    #[serde(default, skip_serializing_if = "Beside::is_first")]
    pub beside: Beside,
}

/// What becomes of earlier answers to a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beside {
    /// There is none.
    #[default]
    First,
    /// It was wrong and does not count any more.
    Correct,
    /// It stands beside this one.
    Replicate,
}

impl Beside {
    fn is_first(&self) -> bool {
        *self == Self::First
    }
}

/// An answer to a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The outputs, in order, in their own units.
    Values(Vec<f64>),
    /// There is none, for the point's sake: it is never asked again.
    Failed(Failure),
    /// There is none, for the sake of the machine or the program: the same point is asked again.
    Lost(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Its kind, as records name it.
    pub kind: String,
    /// In the oracle's own words.
    pub words: String,
}

impl From<&LabelFailure> for Failure {
    fn from(failure: &LabelFailure) -> Self {
        Self { kind: failure.kind.id().into(), words: failure.message.clone() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.words.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}: {}", self.kind, self.words) }
    }
}

/// Whether a failure may be the machine's or the program's: the same point may well be answered at another try.
pub(crate) fn may_be_the_machines(kind: LabelFailureKind) -> bool {
    !kind.is_of_the_point()
}

/// Whether a failure says nothing of its point, which is then as if it had not been asked: its call ended before its
/// turn.
pub(crate) fn is_untried(kind: &str) -> bool {
    kind == LabelFailureKind::NotTried.id()
}

/// How a rule ended a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The rule with its settings, as a run is told it.
    pub rule: String,
    /// What it saw.
    pub why: String,
    /// The domain that it speaks of, as [`Candidates::domain`] has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

/// Points that are not wanted any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The points.
    pub ids: Vec<u64>,
}

/// The places of words that were taken back.
pub fn undone(words: &[Word]) -> HashSet<u64> {
    let of = |word: &Word| match word.what {
        What::Undone { word } => Some(word),
        _ => None,
    };
    words.iter().filter_map(of).collect()
}
