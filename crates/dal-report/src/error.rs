//! Why a report could not be written.

use std::io;
use std::path::PathBuf;

use dal_eval::EvalError;
use dal_store::StoreError;
use thiserror::Error;

/// Why a report could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file or directory.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A table of an export.
    #[error("{}{}: {reason}", path.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Export {
        /// The file.
        path: PathBuf,
        /// 1-based line, where lines count.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// A run that two sets of tables have with different results.
    #[error("{run}: its results in {} and in {} differ: {reason}", sources[0], sources[1])]
    Differs {
        /// Its name.
        run: String,
        /// Where the two came from.
        sources: [String; 2],
        /// In what they differ.
        reason: String,
    },
    /// A format that this build does not write.
    #[error("{reason}")]
    Format {
        /// Which, and what to do.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A statistic.
    #[error(transparent)]
    Eval(#[from] EvalError),
}
