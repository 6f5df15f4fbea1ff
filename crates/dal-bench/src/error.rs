//! What can be wrong with a sweep file, and what stops a sweep.

use std::io;
use std::path::PathBuf;

use dal_store::StoreError;
use thiserror::Error;

/// A sweep file cannot be used.
#[derive(Debug, Error)]
pub enum SweepError {
    /// The file cannot be read.
    #[error("{}: cannot read the sweep file: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML, lacks a key, or has one that does not exist.
    #[error("{}:{line}: {message}{}", path.display(), hint_text(hint))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A key has a value that makes no sense.
    #[error("{}:{line}: {key}: {reason}{}", path.display(), hint_text(hint))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: usize,
        /// The key, as in `problem[1].settings.order`.
        key: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// What was asked for instead of the file's choice makes no sense.
    #[error("--{option}: {reason}{}", hint_text(hint))]
    Instead {
        /// `engine`, `device` or `precision`.
        option: &'static str,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
}

fn hint_text(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// A sweep stopped before its end; finished runs and checkpoints stand.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stop was asked for before the test set was labelled; what was answered is kept.
    #[error("stopped")]
    Stopped,
    /// The machine starts no thread.
    #[error("this machine starts no thread for the work: {source}; end other programs, or raise its limits")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
    /// A problem's test set cannot be labelled.
    #[error("problem `{problem}`: its test set cannot be labelled: {reason}")]
    TestSet {
        /// The problem's variant.
        problem: String,
        /// What happened.
        reason: String,
    },
    /// A checkpoint does not fit the run that it lies in.
    #[error("{}: the checkpoint does not fit this run: {reason}; delete the directory: only this run is repeated", path.display())]
    Checkpoint {
        /// The run's directory.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The engine refused a network that it had accepted while resolving, or cannot go on: its device was lost.
    #[error("engine `{engine}`: {reason}")]
    Engine {
        /// The engine.
        engine: String,
        /// What happened.
        reason: String,
    },
}

/// `did you mean …?` for the known word closest to `found`, where one is close.
pub(crate) fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (word, distance) =
        known.into_iter().map(|word| (word, edit_distance(found, word))).min_by_key(|&(_, distance)| distance)?;
    let limit = found.chars().count().max(word.chars().count()).div_ceil(3);
    (distance <= limit).then_some(word)
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other (optimal alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let substitution = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = substitution.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_suggested_and_far_ones_are_not() {
        let known = ["sine", "robo", "hydro", "qbc-diversity"];
        assert_eq!(suggestion("sien", known), Some("sine"));
        assert_eq!(suggestion("hydra", known), Some("hydro"));
        assert_eq!(suggestion("qbc_diversity", known), Some("qbc-diversity"));
        assert_eq!(suggestion("bessel", known), None);
        assert_eq!(suggestion("x", []), None);
        assert_eq!(edit_distance("", "ab"), 2);
    }
}
