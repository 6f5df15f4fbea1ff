//! What can be wrong with a search before it starts, and what stops it.

use std::io;
use std::path::PathBuf;

use dal_core::model::SpecError;
use dal_core::{LearnError, OracleError, SettingError};
use dal_oracles::NoOracle;
use thiserror::Error;

/// A search cannot be made, or cannot go on; everything trained so far is kept.
#[derive(Debug, Error)]
pub enum TuneError {
    /// A setting has a value that makes no sense.
    #[error("{key} cannot be {found}; it takes {allowed}")]
    BadSetting {
        /// The setting.
        key: &'static str,
        /// The value found.
        found: String,
        /// What it takes.
        allowed: String,
    },
    /// The problem's table is too short to be divided.
    #[error(
        "problem `{problem}`: its table has {rows} rows, of which {test} are kept for the test; tuning needs at least \
         {needed} of the others"
    )]
    TooFewRows {
        /// The problem.
        problem: String,
        /// Rows of the table.
        rows: usize,
        /// Rows kept for the test.
        test: usize,
        /// Rows needed beside those.
        needed: usize,
    },
    /// The budget does not hold the finals.
    #[error(
        "a budget of {found} is too small: the finals of two networks on {seeds} seeds need {needed}; raise --budget, or lower \
         --seeds, --epochs, --members or --points"
    )]
    BudgetTooSmall {
        /// The budget.
        found: f64,
        /// Seeds of the finals.
        seeds: usize,
        /// The least that works.
        needed: f64,
    },
    /// A stop was asked for.
    #[error("stopped")]
    Stopped,
    /// The machine starts no thread.
    #[error("this machine starts no thread for the work: {source}; end other programs, or raise its limits")]
    Threads {
        /// What the system said.
        source: io::Error,
    },
    /// A worker panicked outside of any training.
    #[error("a worker panicked: {message}; what was trained is kept; please report it")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// A candidate's network cannot exist.
    #[error("a network of the space cannot be built: {0}")]
    Network(#[from] SpecError),
    /// The engine refuses a candidate.
    #[error("a network of the space cannot be trained: {0}")]
    Engine(#[from] SettingError),
    /// A laboratory answers for the problem.
    #[error(transparent)]
    NoOracle(#[from] NoOracle),
    /// The oracle refused a whole batch.
    #[error("problem `{problem}`: {source}")]
    Oracle {
        /// The problem.
        problem: String,
        /// Why.
        source: OracleError,
    },
    /// Too many points have no label.
    #[error("problem `{problem}`: {failed} of {asked} points have no label; the first says: {reason}")]
    Unlabelled {
        /// The problem.
        problem: String,
        /// Points without a label.
        failed: usize,
        /// Points asked for.
        asked: usize,
        /// The first failure.
        reason: String,
    },
    /// Training failed for a reason that has nothing to do with the candidate.
    #[error("training: {0}")]
    Training(#[from] LearnError),
    /// No candidate of a stage could be trained.
    #[error("none of the {candidates} networks of this stage could be trained; the first says: {reason}")]
    AllFailed {
        /// How many were tried.
        candidates: usize,
        /// The first failure.
        reason: String,
    },
    /// No finalist learns on the training sets that methods choose with it.
    #[error(
        "none of the {finalists} networks of the finals is admitted: on training sets that query methods choose, {reason}; at most \
         one member in 500 may collapse and one in 50 end unsettled. Search other --depths, --batch-norm or --learning-rates, \
         or choose without them (--campaign-seeds 0)"
    )]
    NoneAdmitted {
        /// How many finalists there were.
        finalists: usize,
        /// How the best of them ended.
        reason: String,
    },
    /// A file.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory holds another search.
    #[error(
        "{}: this journal is of another search ({reason}); give another directory with --out, or delete this one",
        path.display()
    )]
    OtherSearch {
        /// The journal.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Another process writes to the journal.
    #[error("{}: another process is at this search; wait until it ends, or give another directory", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
}

impl TuneError {
    pub(crate) fn bad(key: &'static str, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::BadSetting { key, found: found.into(), allowed: allowed.into() }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }
}
