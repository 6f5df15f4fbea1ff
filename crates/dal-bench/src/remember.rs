//! The answers of a user's oracle: opened beside the problem file, and taken over from stores of older versions.

use std::path::Path;
use std::sync::Arc;

use dal_oracles::{Asking, Problem};
use dal_store::{AnswerKey, Answers, KeyInput, ProblemSpec, Remembering, Store, StoreError, old_answers};
use ndarray::aview1;

/// A problem's oracle behind the answers kept of it, in this folder or beside the problem file; `None` where answers cost
/// nothing (built-in problems, tables).
///
/// # Errors
/// A folder or a file that cannot be read.
pub fn remembering(problem: &Problem, folder: Option<&Path>) -> Result<Option<Remembering>, StoreError> {
    let Some(asking) = problem.asking() else { return Ok(None) };
    let inputs = asking.inputs().map(|(name, levels)| KeyInput { name: name.to_owned(), levels: levels.to_vec() });
    let key = AnswerKey {
        program: asking.program.clone(),
        exchange: asking.exchange.clone(),
        inputs: inputs.collect(),
        outputs: asking.outputs.clone(),
        version: asking.version.clone(),
    };
    let answers = Answers::open(folder.unwrap_or(&asking.folder), key)?;
    let lines = asking.clone();
    Ok(Some(Remembering::new(Arc::clone(problem.oracle()), move |x| lines.line(x), answers)))
}

/// Takes over what an older version kept in a store, where the problem file is still the one that it was asked with:
/// such a store has points of the unit box, which mean something else where a bound has changed.
pub(crate) fn take_old(
    store: &Store,
    spec: &ProblemSpec,
    asking: &Asking,
    answers: &Answers,
) -> Result<(), StoreError> {
    let old = ProblemSpec { digest: Some(asking.old_digest.clone()), ..spec.clone() };
    for (x, answer) in old_answers(store, &old)?.answers {
        let Ok(line) = asking.line(aview1(&x)) else { continue };
        if answers.get(&line).is_none() {
            answers.put(&line, answer.as_deref())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
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
            let (id, variant) = (problem.id().to_owned(), problem.variant_id());
            let digest = problem.digest().map(str::to_owned);
            let spec = ProblemSpec { id, variant, settings: BTreeMap::new(), digest };
            let memory = remembering(&problem, Some(&dir.path().join(folder))).unwrap().unwrap();
            take_old(&store, &spec, problem.asking().unwrap(), memory.answers()).unwrap();
            memory.answers().rows()
        };
        let taken = take("first");
        let asked = fs::read_to_string(dir.path().join("asked.csv")).unwrap();
        assert!(taken.len() > 35 && taken.iter().all(|(line, _)| asked.lines().any(|asked| asked == line)));
        let is_failed = |line: &str| line.split(',').next().unwrap().parse::<f64>().unwrap() > 0.7;
        assert!(taken.iter().all(|(line, answer)| answer.is_err() == is_failed(line)));
        fs::write(&file, fs::read_to_string(&file).unwrap().replace("high = 1.0", "high = 2.0")).unwrap();
        assert!(take("second").is_empty());
    }
}
