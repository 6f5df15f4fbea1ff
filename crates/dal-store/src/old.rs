//! Answers where older versions kept them: in a store's `labels/` and runs.
//! Nothing is changed.

use std::collections::HashMap;

use dal_core::{LabelFailure, LabelFailureKind};
use ndarray::Axis;

use crate::answers::Answer;
use crate::canonical::canonical_json;
use crate::error::StoreError;
use crate::journal::{decode_failure, floats, read_frames, take};
use crate::record::Status;
use crate::run::Run;
use crate::spec::{ProblemSpec, short_hash};
use crate::store::Store;

/// The folder of a store in which older versions kept one file of answers per problem: a journal as of a run, bound to
/// the problem instead, with frames of the kinds below. Each frame stands for itself.
const LABELS: &str = "labels";
/// An answer: number of columns, the point, its outputs.
const ANSWER: u8 = 6;
/// A failure: number of columns, the point, kind and message.
const FAILURE: u8 = 7;

/// What an older store knows of one problem's oracle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OldAnswers {
    /// Points of the unit box with their answers, successes before failures where there are both.
    pub answers: Vec<(Vec<f64>, Answer)>,
    /// Bytes of the store's file of labels that said nothing.
    pub dropped_bytes: u64,
    /// Runs that could not be read, with the reason.
    pub unreadable: Vec<String>,
}

/// Whether a store has the folder in which older versions kept answers; today's version makes none.
pub fn has_old_labels(store: &Store) -> bool {
    store.root().join(LABELS).is_dir()
}

/// The problems that the runs of a store are of, each once, in the order of the runs' names. Runs that cannot be read
/// are passed over.
///
/// # Errors
/// A store that cannot be listed.
pub fn problems_of(store: &Store) -> Result<Vec<ProblemSpec>, StoreError> {
    let mut problems: Vec<ProblemSpec> = Vec::new();
    for run in store.runs()?.flatten() {
        if !problems.contains(&run.spec().problem) {
            problems.push((*run.spec().problem).clone());
        }
    }
    Ok(problems)
}

/// Everything that a store says of a problem as an older version described it: its labels, and the answers, failures
/// included, of its runs, be they over or not.
///
/// Points are of the unit box, so they mean what they meant only if the problem's bounds and scales are what they were:
/// [`ProblemSpec::digest`] was the hash of the problem file's bytes.
///
/// # Errors
/// A store that cannot be listed, a file of labels that cannot be read.
pub fn old_answers(store: &Store, problem: &ProblemSpec) -> Result<OldAnswers, StoreError> {
    let mut found = OldAnswers::default();
    let mut all: Vec<(Vec<f64>, Answer)> = Vec::new();
    let (name, key) = labels_file(problem);
    let mut keep = |kind, payload: &[u8]| decode(kind, payload).map(|answer| all.push(answer)).is_some();
    let path = store.root().join(LABELS).join(name);
    // An absent file is an empty one, and one of another key holds nothing for this problem.
    found.dropped_bytes = read_frames(&path, &key, &mut keep)?.unwrap_or(0);
    for run in store.runs()? {
        match run.and_then(|run| if *run.spec().problem == *problem { of_run(&run) } else { Ok(Vec::new()) }) {
            Ok(answers) => all.extend(answers),
            Err(error) => found.unreadable.push(error.to_string()),
        }
    }
    let mut places: HashMap<Vec<u64>, usize> = HashMap::new();
    for (x, answer) in all {
        let place = *places.entry(x.iter().map(|v| v.to_bits()).collect()).or_insert(found.answers.len());
        match found.answers.get_mut(place) {
            None => found.answers.push((x, answer)),
            Some((_, known)) if known.is_err() => *known = answer,
            Some(_) => {}
        }
    }
    Ok(found)
}

/// Name of the file that kept one problem's answers, and the key that it is bound to.
fn labels_file(problem: &ProblemSpec) -> (String, String) {
    let key = canonical_json(problem).expect("specifications are plain data with string keys");
    let name: String = problem.id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    (format!("{name}-{}.journal", short_hash(key.as_bytes())), key)
}

/// Point and answer of a frame; `None` if it says something else.
fn decode(kind: u8, payload: &[u8]) -> Option<(Vec<f64>, Answer)> {
    let mut rest = payload;
    let n_columns = take(&mut rest)?;
    let (x, rest) = rest.split_at_checked(n_columns.checked_mul(8)?)?;
    let answer = match kind {
        ANSWER => Ok(floats(rest)?),
        FAILURE => Err(decode_failure(rest)?),
        _ => return None,
    };
    Some((floats(x)?, answer))
}

/// The answers of one run.
fn of_run(run: &Run) -> Result<Vec<(Vec<f64>, Answer)>, StoreError> {
    if !matches!(run.status(), Status::Done) {
        let batches = run.checkpoint()?.batches;
        let rows = batches.iter().flat_map(|batch| batch.x.outer_iter().zip(&batch.answers));
        return Ok(rows.filter_map(|(x, answer)| Some((x.to_vec(), answer.clone()?))).collect());
    }
    let Some(labels) = run.labels()? else { return Ok(Vec::new()) };
    let records = run.records()?;
    let n_columns = run.queries()?.ncols();
    let n_queries: usize = records.iter().filter_map(|record| record.choice.as_ref()).map(|c| c.n_queries).sum();
    // Batch 0 is the initial set, batch t + 1 what entry t chose.
    let mut first = 0;
    let mut failures: HashMap<usize, LabelFailure> = HashMap::new();
    let mut size = labels.nrows().saturating_sub(n_queries);
    for record in &records {
        for failed in &record.failed_labels {
            if let Some(kind) = LabelFailureKind::of_id(&failed.kind) {
                failures.insert(first + failed.row, LabelFailure::new(kind, failed.message.clone()));
            }
        }
        first += size;
        size = record.choice.as_ref().map_or(0, |choice| choice.n_queries);
    }
    let mut answers = Vec::new();
    for (row, values) in labels.axis_iter(Axis(0)).enumerate() {
        let (x, y) = values.split_at(Axis(0), n_columns.min(values.len()));
        if let Some(failure) = failures.remove(&row) {
            answers.push((x.to_vec(), Err(failure)));
        } else if !y.is_empty() && y.iter().all(|v| v.is_finite()) {
            answers.push((x.to_vec(), Ok(y.to_vec())));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{Dimension, Scale, Space, Value};
    use std::collections::BTreeSet;
    use std::fs;

    /// The folder of the old store, written out.
    fn old() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in dal_fixtures::OLD_STORE {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    /// The line that the program gets for a point of the fixture's problem: a speed of [0, 1] and two materials.
    fn line(x: &[f64]) -> String {
        let speed = Dimension::Continuous { low: 0.0, high: 1.0, scale: Scale::Linear };
        let space = Space::new(vec![speed, Dimension::Categorical { n_levels: 2 }]).unwrap();
        match space.to_physical(ndarray::aview1(x)).unwrap()[..] {
            [Value::Number(speed), Value::Level(0)] => format!("{speed},steel"),
            [Value::Number(speed), Value::Level(1)] => format!("{speed},\"soft, light\""),
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_old_store_gives_every_answer_back() {
        let dir = old();
        let store = Store::open(dir.path().join("store")).unwrap();
        let problems = problems_of(&store).unwrap();
        assert_eq!(problems.len(), 1);
        let file = fs::read(dir.path().join("simulator.toml")).unwrap();
        assert_eq!(problems[0].digest.as_deref(), Some(crate::spec::hash(&file).as_str()));
        let before: Vec<_> =
            dal_fixtures::OLD_STORE.iter().map(|(name, _)| fs::read(dir.path().join(name)).unwrap()).collect();
        let found = old_answers(&store, &problems[0]).unwrap();
        assert_eq!((found.dropped_bytes, &found.unreadable), (0, &Vec::new()));
        // All that the program was asked for, but what was under way when it ended its caller, and what was asked by
        // `dal label`.
        let asked = fs::read_to_string(dir.path().join("asked.csv")).unwrap();
        let asked: BTreeSet<&str> = asked.lines().collect();
        let known: BTreeSet<String> = found.answers.iter().map(|(x, _)| line(x)).collect();
        assert_eq!(known.len(), found.answers.len());
        let missing: Vec<_> = asked.iter().filter(|line| !known.contains(**line)).collect();
        assert!(known.iter().all(|line| asked.contains(line.as_str())), "{known:?}");
        assert!(missing.len() <= 4 + 10, "{missing:?}");
        for (x, answer) in &found.answers {
            let speed = 0.5 * (x[0] + 1.0);
            match answer {
                Ok(y) => {
                    let material = if x[1] > x[2] { 5.0 } else { 13.0 };
                    assert!(speed <= 0.7 && (y[0] - (3.0 * speed).sin() - material).abs() < 1e-12, "{x:?} {y:?}");
                }
                Err(failure) => assert!(speed > 0.7 && failure.kind == LabelFailureKind::NonFinite, "{x:?} {failure}"),
            }
        }
        let after: Vec<_> =
            dal_fixtures::OLD_STORE.iter().map(|(name, _)| fs::read(dir.path().join(name)).unwrap()).collect();
        assert!(before == after, "nothing is changed");
        let other = ProblemSpec { digest: None, ..problems[0].clone() };
        assert_eq!(old_answers(&store, &other).unwrap(), OldAnswers::default());
    }

    #[test]
    fn a_spoilt_byte_costs_the_answer_that_it_hits() {
        let dir = old();
        let store = Store::open(dir.path().join("store")).unwrap();
        let problem = problems_of(&store).unwrap().remove(0);
        fs::remove_dir_all(dir.path().join("store/runs")).unwrap();
        fs::create_dir_all(dir.path().join("store/runs")).unwrap();
        let path = dir.path().join("store").join(LABELS).join(labels_file(&problem).0);
        let (whole, all) = (fs::read(&path).unwrap(), old_answers(&store, &problem).unwrap().answers);
        for at in (crate::journal::HEADER..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let found = old_answers(&store, &problem).unwrap();
            assert!(found.dropped_bytes > 0 && found.answers.len() + 1 >= all.len(), "{at}");
            assert!(found.answers.iter().all(|answer| all.contains(answer)), "{at}");
        }
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(old_answers(&store, &problem).unwrap().dropped_bytes > 0);
    }

    #[test]
    fn runs_alone_give_their_answers_back_with_their_failures() {
        let dir = old();
        let store = Store::open(dir.path().join("store")).unwrap();
        let problem = problems_of(&store).unwrap().remove(0);
        let whole = old_answers(&store, &problem).unwrap().answers;
        fs::remove_dir_all(dir.path().join("store/labels")).unwrap();
        let runs = old_answers(&store, &problem).unwrap().answers;
        assert!(runs.iter().all(|(x, answer)| whole.iter().any(|(other, known)| other == x && known == answer)));
        let (failed, all) = (runs.iter().filter(|(_, answer)| answer.is_err()).count(), runs.len());
        assert!(failed >= 3 && all >= 25 && all < whole.len(), "{failed} of {all} of {}", whole.len());
        let spoilt = dir.path().join("store/runs/simulator-gsx-g2-s0-88026f79f2ec2918/labels.npy");
        fs::write(&spoilt, b"no array").unwrap();
        let found = old_answers(&store, &problem).unwrap();
        assert!(found.unreadable[0].contains("labels.npy"), "{:?}", found.unreadable);
        assert!(!found.answers.is_empty());
    }
}
