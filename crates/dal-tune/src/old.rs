//! Labels where version 0.1.0 kept them: in the journal of a search.

use std::collections::BTreeMap;
use std::path::Path;

use dal_core::{SeedPath, TrialSeeds};
use dal_oracles::Problem;
use ndarray::Array2;
use serde::Deserialize;

use crate::data::tune_stream;
use crate::error::TuneError;
use crate::journal::sound_lines;

/// What the first line of a journal says of the search's problem.
#[derive(Deserialize)]
struct Header {
    problem: String,
    digest: Option<String>,
}

/// A line of an old journal; those of trainings are another.
#[derive(Deserialize)]
enum Line {
    #[serde(rename = "label")]
    Label { set: String, row: usize, y: Vec<f64> },
}

/// A point of the unit box with its label.
pub type LabelledPoint = (Vec<f64>, Vec<f64>);

/// The labels of a user's problem that the journal of a search of version 0.1.0 holds: points of the unit box, and
/// answers. Later versions keep none there.
///
/// Such points mean what they meant only if the problem file is still the one, byte for byte, that the search was made
/// with.
///
/// # Errors
/// A file that cannot be read, is no such journal, or is of another text of the problem file.
pub fn old_labels(path: &Path, problem: &Problem) -> Result<Vec<LabelledPoint>, TuneError> {
    let other = |reason: &str| TuneError::OtherSearch { path: path.to_owned(), reason: reason.into() };
    let bytes = std::fs::read(path).map_err(TuneError::io(path, "read"))?;
    let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let header: Header = serde_json::from_slice(first).map_err(|_| other("it is no journal of a search"))?;
    let variant = problem.variant_id();
    if header.problem != variant {
        return Err(other(&format!("it is of the problem `{}`", header.problem)));
    }
    let Some(asking) = problem.asking().filter(|asking| header.digest.as_ref() == Some(&asking.old_digest)) else {
        return Err(other("it was made with another text of the problem file, or by a later version"));
    };
    let stream = |set: &str| -> Option<SeedPath> {
        Some(match (set, set.strip_prefix("proof-")) {
            ("train" | "validation", _) => tune_stream(problem).purpose(set),
            ("test", _) => TrialSeeds::new(&variant, 0).test(),
            (_, Some(seed)) => TrialSeeds::new(&variant, seed.parse().ok()?).initial(),
            _ => return None,
        })
    };
    let mut sets: BTreeMap<String, BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    for json in sound_lines(&bytes[first.len()..]) {
        if let Ok(Line::Label { set, row, y }) = serde_json::from_slice(json)
            && y.len() == asking.outputs.len()
            && row < MOST_ROWS
        {
            sets.entry(set).or_default().insert(row, y);
        }
    }
    let mut labels = Vec::new();
    for (set, rows) in sets {
        let (Some(seeds), Some((last, _))) = (stream(&set), rows.last_key_value()) else { continue };
        // Fewer points are a prefix of more.
        let x: Array2<f64> = problem.space().sample(last + 1, &seeds);
        labels.extend(rows.into_iter().map(|(row, y)| (x.row(row).to_vec(), y)));
    }
    Ok(labels)
}

/// No search labels more points of a set.
const MOST_ROWS: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn a_journal_of_labels_gives_points_and_answers() {
        let dir = tempfile::tempdir().unwrap();
        let text = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[outputs]]\nname = \"y\"\n\
                    [oracle.command]\nprogram = [\"cat\"]\ntime_limit = 1\n";
        let file = dir.path().join("p.toml");
        std::fs::write(&file, text).unwrap();
        let problem = dal_oracles::user::load(&file).unwrap();
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        let lines = [
            r#"{"label":{"set":"train","row":2,"y":[7.0]}}"#,
            r#"{"label":{"set":"test","row":0,"y":[8.0]}}"#,
            r#"{"label":{"set":"proof-3","row":1,"y":[9.0]}}"#,
            r#"{"label":{"set":"validation","row":0,"y":[1.0,2.0]}}"#,
            r#"{"trial":{"key":{"rung":0,"candidate":0,"points":1,"fold":0,"seed":0},"result":{"mse":1.0}}}"#,
        ];
        let sum = |line: &str| Sha256::digest(line)[..4].iter().map(|b| format!("{b:02x}")).collect::<String>();
        let journal = |digest: &str| {
            let lines: String = lines.iter().map(|line| format!("{} {line}\n", sum(line))).collect();
            format!("{{\"digest\":\"{digest}\",\"format\":1,\"problem\":\"p\"}}\n{lines}00000000 {}\ntorn", lines.len())
        };
        let path = dir.path().join("journal.jsonl");
        std::fs::write(&path, journal(&digest)).unwrap();
        let mut found = old_labels(&path, &problem).unwrap();
        found.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        let point = |n: usize, seeds: SeedPath| problem.space().sample(n, &seeds).row(n - 1).to_vec();
        let expected = [
            (point(3, tune_stream(&problem).purpose("train")), vec![7.0]),
            (point(1, TrialSeeds::new("p", 0).test()), vec![8.0]),
            (point(2, TrialSeeds::new("p", 3).initial()), vec![9.0]),
        ];
        assert_eq!(found, expected);
        for (text, says) in [
            (journal("00"), "another text"),
            (journal(&digest).replace("\"problem\":\"p\"", "\"problem\":\"q\""), "`q`"),
            ("notes".to_owned(), "no journal"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = old_labels(&path, &problem).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
