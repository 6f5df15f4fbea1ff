//! What can be wrong with a store, each with the place and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A store, or a file in it, cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused, the full disk included.
    #[error("{}: cannot {action}: {source}{}", path.display(), io_remedy(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such directory.
    #[error("{}: there is no store here; `dal bench run SWEEP.toml --store DIR` makes one", path.display())]
    Absent {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error("{}: not a store of runs (it has no store.json, but is not empty); a store begins in an empty or new directory", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// A file stands where a directory is due.
    #[error("{}: is a file; a store is a folder, which `dal bench run SWEEP.toml --store DIR` makes", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// The store was written by a version that this one does not know.
    #[error(
        "{}: this store has layout version {found}, this program reads version {expected}; \
         use the program that wrote it, or another directory",
        path.display()
    )]
    OtherFormat {
        /// Its `store.json`.
        path: PathBuf,
        /// Version found.
        found: u64,
        /// Version that can be read.
        expected: u64,
    },
    /// A file does not hold what it should.
    #[error("{}{}: {reason}; {remedy}", path.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// 1-based line, where lines count.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Another process has a file that one at a time may have.
    #[error(
        "{}: another process has this file and cannot share it (of a store, a program of an older version that writes \
         to it); wait until it ends, or give another directory",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Another process has taken a run over; what this one made of it is not needed.
    #[error("{}: another process has taken this run over", path.display())]
    TakenOver {
        /// Where the run is or will be.
        path: PathBuf,
    },
    /// A value that JSON cannot hold was about to be recorded.
    #[error("{}: {what} is {value}, which a record cannot hold", path.display())]
    NonFinite {
        /// The run's directory.
        path: PathBuf,
        /// Which value.
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// An answer that no folder of answers can hold was about to be kept.
    #[error("{}: the answer to {point:?} cannot be kept: {reason}", folder.display())]
    BadAnswer {
        /// The folder.
        folder: PathBuf,
        /// The point.
        point: String,
        /// What is wrong.
        reason: String,
    },
    /// Programs that were to be ended still run.
    #[error("the process group {group} ({what}) still runs: {reason}")]
    StillRuns {
        /// The group.
        group: u32,
        /// What it was asked for.
        what: String,
        /// Why it could not be ended.
        reason: String,
    },
    /// Records were handed over in the wrong order.
    #[error("{}: {reason}", path.display())]
    OutOfOrder {
        /// The run's directory.
        path: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
}

/// What is wrong with a text that is no JSON, without the place, which messages have of their own.
pub(crate) fn json_words(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or_default().to_owned()
}

fn io_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room and start again: finished runs and checkpoints are kept"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; check the permissions or give another directory"
        }
        _ => "",
    }
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }

    /// A damaged file inside a run's directory, which can be set aside and repeated by itself.
    pub(crate) fn damaged_run(path: impl Into<PathBuf>, line: Option<usize>, reason: impl Into<String>) -> Self {
        let path = path.into();
        let store = path.ancestors().nth(3).unwrap_or(Path::new("STORE")).display();
        let remedy = format!(
            "`dal bench verify {store} --quarantine` sets this run aside, and the next start of its sweep repeats it alone"
        );
        Self::Damaged { path, line, reason: reason.into(), remedy }
    }

    /// The same of a file that no result rests on: it alone is set aside, and nothing is repeated.
    pub(crate) fn beside_results(self) -> Self {
        match self {
            Self::Damaged { path, line, reason, .. } => {
                let store = path.ancestors().nth(3).unwrap_or(Path::new("STORE")).display();
                let remedy = format!(
                    "the run's results stand, and reports go without this file; `dal bench verify {store} --quarantine` sets \
                     it aside"
                );
                Self::Damaged { path, line, reason, remedy }
            }
            other => other,
        }
    }
}
