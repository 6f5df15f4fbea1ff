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
        /// `engine`, `device`, `precision` or `platform`.
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
    /// A program is down while its problem's test set is labelled; what was answered is kept.
    #[error("problem `{problem}`: {message}")]
    Down {
        /// The problem's variant.
        problem: String,
        /// What was seen.
        message: String,
    },
    /// The machine starts no thread.
    #[error("this machine starts no thread for the work: {source}; end other programs, or raise its limits")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
    /// A worker panicked outside of any trial.
    #[error("a worker panicked: {message}; what it was doing stands at its checkpoint; please report it")]
    Panicked {
        /// What the panic said.
        message: String,
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
    /// A list of work cannot be used.
    #[error("{}: {reason}", path.display())]
    WorkList {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A step of a run cannot be shown.
    #[error("run {run}: {reason}")]
    Show {
        /// Its id.
        run: String,
        /// Why.
        reason: String,
    },
}
