//! What can be wrong with a problem file and with what it names.

use std::path::PathBuf;

use thiserror::Error;

/// A problem file, or something it names, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProblemFileError {
    /// A file cannot be read.
    #[error("{}: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        message: String,
    },
    /// The file is not TOML of the right form; the message names line, column and key.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what could stand there.
        message: String,
    },
    /// A key has a value that makes no sense.
    #[error("{}: {key}: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key, as in `inputs[2].low`.
        key: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The file is no text in UTF-8.
    #[error("{message}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What it is, where that shows, and what to do; it begins with the file.
        message: String,
    },
    /// A table cannot be used.
    #[error("{message}")]
    Table {
        /// The table's file.
        path: PathBuf,
        /// What is wrong in it, where, and what to do; it begins with the file.
        message: String,
    },
}
