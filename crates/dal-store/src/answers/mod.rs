//! Answers that were paid for, kept in a folder that any number of processes share: no command asks a point twice.
//!
//! ```text
//! NAME.answers/
//!   KEY/                                  one folder per key, named by its hash
//!     key.json                            the key, for a reader
//!     HOST-BOOT-PID-START-N.answers       what one process learned; appended by it alone, read by all
//!   calls/                              what is being asked now (see [`Calls`](crate::Calls))
//! ```
//!
//! Every line of a file is checksummed, so that a spoilt byte costs the line that it hits. No process cuts or
//! rewrites the file of another: an unfinished last line may be on its way. Copying files from one folder into
//! another merges them ([`merge_answers`]).

mod csv;
mod file;
mod key;
mod merge;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dal_core::{LabelFailure, LabelFailureKind};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::process::{ProcessName, Standing};

pub use key::{AnswerKey, KeyInput, answer_keys};
pub use merge::{Merged, merge_answers};

use file::{Own, Source};

/// An answer, or why there is none.
pub type Answer = Result<Vec<f64>, LabelFailure>;

/// How the files of answers end.
const EXTENSION: &str = "answers";

/// The answers of one key in a folder, as far as this process has read them, and the file that this process adds to.
///
/// A point is the line that the program gets, without its line feed. Of several answers to a point the earliest
/// success counts, by the clock of the process that wrote it; where there is none, the latest failure. What counts
/// therefore depends on the files alone, not on the order in which they are read. Can be used by many threads.
///
/// ```
/// use dal_store::{AnswerKey, Answers, KeyInput};
/// let dir = tempfile::tempdir()?;
/// let key = AnswerKey {
///     program: vec!["./simulator".into()],
///     exchange: "stdin".into(),
///     inputs: vec![KeyInput { name: "speed".into(), levels: vec![] }],
///     outputs: vec!["drag".into()],
///     version: None,
/// };
/// let (ours, theirs) = (Answers::open(dir.path(), key.clone())?, Answers::open(dir.path(), key)?);
/// ours.put("0.25", Ok(&[3.5]))?;
/// assert_eq!((theirs.get("0.25"), theirs.refresh()?, theirs.get("0.25")), (None, 1, Some(Ok(vec![3.5]))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Answers {
    folder: PathBuf,
    key: AnswerKey,
    digest: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The file of this handle; none before its first answer.
    own: Option<Own>,
    /// By name, the files of others as far as they were read.
    sources: BTreeMap<Arc<str>, Source>,
    known: HashMap<String, Vec<Known>>,
    /// The latest time of an answer of this handle's.
    latest: u64,
}

/// One answer to a point, with its place in the order of all answers.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    rank: Rank,
    answer: Answer,
}

/// The order of answers: time in milliseconds since 1970, file, place in the file.
type Rank = (u64, Arc<str>, u64);

/// A line of a file, behind the first.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// When it came, in milliseconds since 1970.
    at: u64,
    point: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<LineFailure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LineFailure {
    kind: String,
    words: String,
}

/// A point with answers that contradict each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Contradiction {
    /// The point.
    pub point: String,
    /// The answer that counts, and the name of the file that it stands in.
    pub counts: (Vec<f64>, String),
    /// The others, in the order in which they came.
    pub others: Vec<(Vec<f64>, String)>,
}

/// A file of answers that could not be read from end to end.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerDamage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: AnswerDamageKind,
}

/// What is wrong with a file of answers; every other line of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerDamageKind {
    /// Bytes that belong to no line.
    Spoilt {
        /// How many.
        bytes: u64,
    },
    /// A last line that its process did not finish. An unfinished line of a process that lives is no damage.
    Torn {
        /// Bytes of it.
        bytes: u64,
        /// Whether the process that wrote it is known to have ended, or cannot be looked at.
        writer: Standing,
    },
    /// The file belongs to another key: it was copied into the wrong folder.
    OtherKey,
    /// Whole lines that this version does not understand.
    Unknown {
        /// How many.
        lines: u64,
    },
}

impl Answers {
    /// Reads the answers of this key in a folder. Nothing is written before the first answer, so that the folder need
    /// not exist.
    ///
    /// # Errors
    /// A folder or a file that cannot be read.
    pub fn open(root: impl AsRef<Path>, key: AnswerKey) -> Result<Self, StoreError> {
        let folder = root.as_ref().join(key.id());
        let answers = Self { folder, digest: key.digest(), key, state: Mutex::default() };
        answers.refresh()?;
        Ok(answers)
    }

    /// The folder of this key's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the answers depend on.
    pub fn key(&self) -> &AnswerKey {
        &self.key
    }

    /// What is known of a point.
    pub fn get(&self, point: &str) -> Option<Answer> {
        counting(self.lock().known.get(trimmed(point))?).map(|known| known.answer.clone())
    }

    /// What was said of a point first, be it that there is no answer: later answers do not change it.
    pub fn first(&self, point: &str) -> Option<Answer> {
        let state = self.lock();
        let known = state.known.get(trimmed(point))?;
        // What was put in doubt was never said of this point.
        known.iter().find(|known| is_in_doubt(&known.answer)).or(known.first()).map(|known| known.answer.clone())
    }

    /// A point that has an answer: of all such points the first by its text.
    pub fn some_answered(&self) -> Option<String> {
        let state = self.lock();
        let answered =
            state.known.iter().filter(|(_, known)| counting(known).is_some_and(|known| known.answer.is_ok()));
        answered.map(|(point, _)| point).min().cloned()
    }

    /// Keeps what was answered. A killed process loses nothing that this has returned for; a power failure costs at
    /// most what came within the last 200 ms.
    ///
    /// An answer that is known already is not written again; one that contradicts a known one is, and is listed by
    /// [`contradictions`](Self::contradictions).
    ///
    /// # Errors
    /// An answer with a number of values that is not the key's, or with one that is not finite; a disk that refuses.
    pub fn put(&self, point: &str, answer: Result<&[f64], &LabelFailure>) -> Result<(), StoreError> {
        let point = trimmed(point);
        let refused = |reason| StoreError::BadAnswer { folder: self.folder.clone(), point: point.to_owned(), reason };
        if let Ok(values) = answer {
            if values.len() != self.key.outputs.len() {
                return Err(refused(format!("{} values for {} outputs", values.len(), self.key.outputs.len())));
            }
            if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                return Err(refused(format!("{value} is no finite number")));
            }
        }
        if point.contains(['\n', '\r']) && !point.contains('"') {
            return Err(refused("a point is one line".into()));
        }
        let answer: Answer = answer.map(<[f64]>::to_vec).map_err(Clone::clone);
        let mut state = self.lock();
        if state.known.get(point).is_some_and(|known| known.iter().any(|known| same(&known.answer, &answer))) {
            return Ok(());
        }
        // Within a file time does not go back, whatever the clock does.
        let at = now().max(state.latest);
        state.latest = at;
        let line = Line {
            at,
            point: point.to_owned(),
            values: answer.as_ref().ok().cloned(),
            failure: answer
                .as_ref()
                .err()
                .map(|failure| LineFailure { kind: failure.kind.id().to_owned(), words: failure.message.clone() }),
        };
        let text = serde_json::to_string(&line).expect("answers are plain data");
        let own = match &mut state.own {
            Some(own) => own,
            none => none.insert(Own::create(&self.folder, &self.key)?),
        };
        let place = own.append(&self.digest, &text)?;
        let rank = (at, Arc::clone(own.name()), place);
        add(&mut state.known, point.to_owned(), Known { rank, answer });
        Ok(())
    }

    /// Reads what other processes have added since, and says how many points are new.
    ///
    /// # Errors
    /// A folder or a file that cannot be read.
    pub fn refresh(&self) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let State { own, sources, known, .. } = &mut *state;
        let before = known.len();
        for name in self.file_names()? {
            if own.as_ref().is_some_and(|own| **own.name() == *name) {
                continue;
            }
            let name: Arc<str> = name.into();
            let source = sources.entry(Arc::clone(&name)).or_default();
            source.read_on(&self.folder.join(&*name), &self.digest, &mut |place, text| {
                let Some((at, point, answer)) = parse(text, self.key.outputs.len()) else { return false };
                add(known, point, Known { rank: (at, Arc::clone(&name), place), answer });
                true
            })?;
        }
        Ok(known.len() - before)
    }

    /// The number of points that something is known of.
    pub fn len(&self) -> usize {
        self.lock().known.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.lock().known.is_empty()
    }

    /// Every point with what counts of it, in the order in which the answers came.
    pub fn rows(&self) -> Vec<(String, Answer)> {
        let state = self.lock();
        let mut rows: Vec<(&String, &Known)> =
            state.known.iter().filter_map(|(point, known)| Some((point, counting(known)?))).collect();
        rows.sort_by(|a, b| a.1.rank.cmp(&b.1.rank));
        rows.into_iter().map(|(point, known)| (point.clone(), known.answer.clone())).collect()
    }

    /// The points without a success, with their latest failure, in the order in which they came.
    pub fn failures(&self) -> Vec<(String, LabelFailure)> {
        self.rows().into_iter().filter_map(|(point, answer)| Some((point, answer.err()?))).collect()
    }

    /// The points whose successes differ, by point.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let state = self.lock();
        let mut found = Vec::new();
        for (point, known) in &state.known {
            let mut values =
                known.iter().filter_map(|known| Some((known.answer.as_ref().ok()?.clone(), known.rank.1.to_string())));
            let (counts, others) = (values.next(), values.collect::<Vec<_>>());
            if let Some(counts) = counts.filter(|_| !others.is_empty()) {
                found.push(Contradiction { point: point.clone(), counts, others });
            }
        }
        found.sort_by(|a, b| a.point.cmp(&b.point));
        found
    }

    /// What could not be read, as of the last [`refresh`](Self::refresh), by file.
    pub fn damage(&self) -> Vec<AnswerDamage> {
        let state = self.lock();
        let mut found = Vec::new();
        for (name, source) in &state.sources {
            let path = self.folder.join(&**name);
            found.extend(source.damage().into_iter().map(|kind| AnswerDamage { path: path.clone(), kind }));
        }
        found
    }

    /// Forces to disk what was put.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.lock().own.as_mut().map_or(Ok(()), Own::sync)
    }

    /// Names of the files of answers, sorted; none where there is no folder.
    fn file_names(&self) -> Result<Vec<String>, StoreError> {
        let failed = |source| StoreError::Io { path: self.folder.clone(), action: "list", source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if is_answer_file(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_answer_file(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|extension| extension == EXTENSION)
}

/// Points come with or without their line feed.
fn trimmed(point: &str) -> &str {
    let point = point.strip_suffix('\n').unwrap_or(point);
    point.strip_suffix('\r').unwrap_or(point)
}

/// Whether two answers say the same.
fn same(a: &Answer, b: &Answer) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits())),
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

/// Adds an answer to what is known of its point: different answers in their order, equal ones once, where they came
/// first.
fn add(all: &mut HashMap<String, Vec<Known>>, point: String, new: Known) {
    let known = all.entry(point).or_default();
    match known.iter_mut().find(|known| same(&known.answer, &new.answer)) {
        Some(equal) if equal.rank <= new.rank => return,
        Some(equal) => equal.rank = new.rank,
        None => known.push(new),
    }
    known.sort_by(|a, b| a.rank.cmp(&b.rank));
}

/// Of the answers in their order the one that counts: nothing before one that puts it in doubt.
fn counting(known: &[Known]) -> Option<&Known> {
    let doubted = known.iter().rposition(|known| is_in_doubt(&known.answer));
    let known = &known[doubted.unwrap_or(0)..];
    known.iter().find(|known| known.answer.is_ok()).or(known.last())
}

fn is_in_doubt(answer: &Answer) -> bool {
    matches!(answer, Err(failure) if failure.kind == LabelFailureKind::InDoubt)
}

/// Time, point and answer of a line; `None` if it says something else.
fn parse(text: &str, n_outputs: usize) -> Option<(u64, String, Answer)> {
    let line: Line = serde_json::from_str(text).ok()?;
    let answer = match (line.values, line.failure) {
        (Some(values), None) if values.len() == n_outputs => Ok(values),
        (None, Some(failure)) => {
            let kind = LabelFailureKind::of_id(&failure.kind)?;
            Err(LabelFailure::new(kind, failure.words))
        }
        _ => return None,
    };
    Some((line.at, line.point, answer))
}

/// Milliseconds since 1970. It says when an answer came, so that of two the earlier counts; no result depends on it
/// otherwise.
fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "when an answer came is kept with it")]
    let now = std::time::SystemTime::now();
    since_1970(now)
}

/// Milliseconds; 0 for a clock that was never set.
fn since_1970(now: std::time::SystemTime) -> u64 {
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// First line of a file: whose it is and what its lines are about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    /// Version of the layout.
    answers: u64,
    /// Hash of the key.
    key: String,
    writer: ProcessName,
}

#[cfg(test)]
mod tests;
