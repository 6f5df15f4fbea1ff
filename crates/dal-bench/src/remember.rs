//! The answers of a user's oracle: opened beside the problem file, and taken over from stores of older versions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dal_oracles::Problem;
use dal_oracles::user::command::CallDesk;
use dal_oracles::user::driver::EVALUATIONS;
use dal_store::{
    AnswerDamageKind, AnswerKey, Answers, Calls, KeyInput, ProblemSpec, Remembering, Standing, Store, StoreError,
    has_old_labels, old_answers, problems_of,
};
use ndarray::aview1;

/// The folder of a problem's answers: this one, or the one beside the problem file. `None` where answers cost nothing
/// (built-in problems, tables).
pub fn answers_folder(problem: &Problem, folder: Option<&Path>) -> Option<PathBuf> {
    problem.asking().map(|asking| folder.unwrap_or(&asking.folder).to_owned())
}

/// The key that a problem's answers are kept under; `None` where answers cost nothing. Points are kept under
/// [`Asking::line`](dal_oracles::Asking::line).
pub fn answer_key(problem: &Problem) -> Option<AnswerKey> {
    let asking = problem.asking()?;
    let inputs = asking.inputs().map(|(name, levels)| KeyInput { name: name.to_owned(), levels: levels.to_vec() });
    Some(AnswerKey {
        program: asking.program.clone(),
        exchange: asking.exchange.clone(),
        inputs: inputs.collect(),
        outputs: asking.outputs.clone(),
        version: asking.version.clone(),
    })
}

/// The answers kept of a problem, a laboratory's included, in this folder or beside the problem file; `None` where
/// answers cost nothing.
///
/// # Errors
/// A folder or a file that cannot be read.
pub fn kept_answers(problem: &Problem, folder: Option<&Path>) -> Result<Option<Arc<Answers>>, StoreError> {
    let key_and_folder = answer_key(problem).zip(answers_folder(problem, folder));
    key_and_folder.map(|(key, folder)| Answers::open(folder, key).map(Arc::new)).transpose()
}

/// A problem's oracle behind the answers kept of it, in this folder or beside the problem file; `None` where answers
/// cost nothing, or where there is no oracle because a laboratory answers.
///
/// A program's calls are noted in the folder while they run, and points whose answer another process keeps meanwhile
/// are not asked.
///
/// # Errors
/// A folder or a file that cannot be read.
pub fn remembering(problem: &Problem, folder: Option<&Path>) -> Result<Option<Remembering>, StoreError> {
    let Some(answers) = kept_answers(problem, folder)? else { return Ok(None) };
    let (Some(asking), Some(folder)) = (problem.asking(), answers_folder(problem, folder)) else { return Ok(None) };
    let place = folder.join(EVALUATIONS);
    let desk =
        Desk { answers: Arc::clone(&answers), calls: Calls::of(folder), problem: problem.id().to_owned(), place };
    let Some(oracle) = asking.oracle(Some(Arc::new(desk))) else { return Ok(None) };
    let lines = asking.clone();
    Ok(Some(Remembering::new(oracle, move |x| lines.line(x), answers, problem.scaling().clone())))
}

/// A folder of answers as the calls of a program see it.
#[derive(Debug)]
struct Desk {
    answers: Arc<Answers>,
    calls: Calls,
    problem: String,
    /// Of a driver's directories.
    place: PathBuf,
}

impl CallDesk for Desk {
    fn place(&self) -> Option<PathBuf> {
        Some(self.place.clone())
    }

    fn arrived(&self, lines: &[&str]) -> Vec<Option<Vec<f64>>> {
        if self.answers.refresh().is_err() {
            // A folder that cannot be read now says nothing new.
            return Vec::new();
        }
        lines.iter().map(|line| self.answers.get(line)?.ok()).collect()
    }

    fn begun(&self, group: u32, points: usize) -> Result<Box<dyn Send>, String> {
        let points = if points == 1 { "1 point".to_owned() } else { format!("{points} points") };
        let note = self.calls.note(group, format!("{points} of `{}`", self.problem));
        note.map(|note| Box::new(note) as Box<dyn Send>).map_err(|error| error.to_string())
    }
}

/// Bytes of kept answers that say nothing. A line that its process has not finished yet is none of them.
pub fn damaged_bytes(answers: &Answers) -> u64 {
    let bytes = answers.damage().into_iter().map(|damage| match damage.kind {
        AnswerDamageKind::Spoilt { bytes } | AnswerDamageKind::Torn { bytes, writer: Standing::Gone } => bytes,
        _ => 0,
    });
    bytes.sum()
}

/// What was found of a problem in a store of an older version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Points whose answers were not known.
    pub new: usize,
    /// Points whose answers were known already.
    pub known: usize,
    /// Bytes of the store's file of labels that say nothing.
    pub dropped_bytes: u64,
    /// Whether the store also holds the problem as another text of its file described it. Those points of the unit box
    /// may mean something else than today, so they are left.
    pub other_text: bool,
    /// Runs that could not be read, with the reason.
    pub unreadable: Vec<String>,
}

/// Takes over what an older version kept in a store, where the problem file is still the one that it was asked with:
/// such a store has points of the unit box, which mean something else where a bound has changed. A store of today's
/// version holds nothing to be taken.
///
/// # Errors
/// A store that cannot be read; a disk that refuses.
pub fn take_old(store: &Store, problem: &Problem, answers: &Answers) -> Result<Taken, StoreError> {
    let mut taken = Taken::default();
    let Some(asking) = problem.asking().filter(|_| has_old_labels(store)) else { return Ok(taken) };
    let spec = |digest: &str| ProblemSpec {
        id: problem.id().to_owned(),
        variant: problem.variant_id(),
        settings: problem.settings().as_texts(),
        digest: Some(digest.to_owned()),
    };
    let (old, today) = (spec(&asking.old_digest), problem.digest());
    taken.other_text = problems_of(store)?
        .iter()
        .any(|other| other.id == old.id && other.digest != old.digest && other.digest.as_deref() != today);
    let found = old_answers(store, &old)?;
    (taken.dropped_bytes, taken.unreadable) = (found.dropped_bytes, found.unreadable);
    for (x, answer) in found.answers {
        let Ok(line) = asking.line(aview1(&x)) else { continue };
        match answers.get(&line) {
            Some(_) => taken.known += 1,
            None => {
                answers.put(&line, answer.as_deref())?;
                taken.new += 1;
            }
        }
    }
    answers.sync()?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_old_store_is_taken_in_unless_the_file_changed() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in dal_fixtures::OLD_STORE {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let store = Store::open(dir.path().join("store")).unwrap();
        let file = dir.path().join("simulator.toml");
        let take = |folder: &str| {
            let problem = dal_oracles::user::load(&file).unwrap();
            let memory = remembering(&problem, Some(&dir.path().join(folder))).unwrap().unwrap();
            let taken = take_old(&store, &problem, memory.answers()).unwrap();
            assert_eq!(taken.new, memory.answers().len());
            let again = take_old(&store, &problem, memory.answers()).unwrap();
            assert_eq!((again.new, again.known), (0, taken.new));
            assert!(taken.unreadable.is_empty() && taken.dropped_bytes == 0);
            (memory.answers().rows(), taken.other_text)
        };
        let (taken, other_text) = take("first");
        assert!(!other_text);
        let asked = fs::read_to_string(dir.path().join("asked.csv")).unwrap();
        assert!(taken.len() > 35 && taken.iter().all(|(line, _)| asked.lines().any(|asked| asked == line)));
        let is_failed = |line: &str| line.split(',').next().unwrap().parse::<f64>().unwrap() > 0.7;
        assert!(taken.iter().all(|(line, answer)| answer.is_err() == is_failed(line)));
        fs::write(&file, fs::read_to_string(&file).unwrap().replace("high = 1.0", "high = 2.0")).unwrap();
        assert_eq!(take("second"), (Vec::new(), true));
    }
}
