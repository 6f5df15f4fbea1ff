//! What can go wrong with a campaign, each with the place and what to do.

use std::path::PathBuf;

use dal_core::{LearnError, OracleError, SettingError, SpaceError, StrategyError, SurrogateError};
use dal_files::FileError;
use dal_oracles::ProblemFileError;
use dal_store::StoreError;
use thiserror::Error;

/// A campaign cannot do what it was asked to; nothing that was said before is lost.
#[derive(Debug, Error)]
pub enum CampaignError {
    /// There is no campaign in the folder.
    #[error("{}: there is no campaign here; `dal new {} --problem problem.toml` begins one", path.display(), path.display())]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{}: a campaign has begun here already; give another folder", path.display())]
    Present {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes.
    #[error("{}: another process is at work on this campaign (a `dal run`, say); wait until it ends, or stop it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The log lacks a line, or says something that this version does not understand.
    #[error("{}: {problem}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A file of the campaign's own cannot be read or written.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The problem file's columns are not those that the campaign began with.
    #[error("{}: the campaign began with {what} {began}, the problem file has {found}; a campaign keeps its columns: change the file back, or begin another campaign and tell it this one's data (`dal export --to csv`, `dal tell`)", path.display())]
    Columns {
        /// The problem file.
        path: PathBuf,
        /// `inputs` or `outputs`.
        what: &'static str,
        /// The names at the beginning.
        began: String,
        /// The names now.
        found: String,
    },
    /// Rows of a file of answers that cannot be taken; none was.
    #[error("{file}: nothing was taken, because of {}:\n{}", rows_in_words(rows.len()), rows.join("\n"))]
    Rows {
        /// The file.
        file: String,
        /// One line per bad row, with its place.
        rows: Vec<String>,
    },
    /// A request that makes no sense, with what would.
    #[error("{message}")]
    Request {
        /// What was wrong and what to do.
        message: String,
    },
    /// Points have no answers at all, so that nothing can be learned.
    #[error("none of the {asked} points asked for has an answer; the first failure: {first}")]
    NothingLabelled {
        /// Points that were asked for.
        asked: usize,
        /// The first failure.
        first: String,
    },
    /// A program fails again and again: going on would spoil the points that are left.
    #[error(
        "the last {n} calls failed for the program's or the machine's sake, the last one with: {last}; mend the program and \
         call again: nothing was recorded of these calls, and their points are asked again"
    )]
    Down {
        /// Calls in a row.
        n: usize,
        /// The last failure.
        last: String,
    },
    /// The answers of a call cannot be matched with its points; nothing of it was kept.
    #[error(
        "the program's answers to {n} points cannot be matched with them, so that none of these is kept: {last}; mend \
         the program, give the problem file another `version`, so that what it said before does not count, and call again"
    )]
    InDoubt {
        /// Points of the call.
        n: usize,
        /// What was wrong, in words.
        last: String,
    },
    /// A file of the networks is wanted of a model that is none of ours.
    #[error(
        "the model is of the caller's own learner, not an ensemble of networks, and only those are exported; write it with \
         that learner's own means, or train with `Trainer::Networks`"
    )]
    NoNetwork,
    /// A stop was asked for in the middle of a training or a choice; what was said stands.
    #[error("stopped")]
    Stopped,
    /// The problem file.
    #[error(transparent)]
    Problem(#[from] ProblemFileError),
    /// A user's table.
    #[error(transparent)]
    Table(#[from] FileError),
    /// The log or the answers on disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A point.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A strategy, its settings, or the network's.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The strategy cannot choose.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    /// The choice is refused.
    #[error(transparent)]
    Choice(dal_core::CampaignError),
    /// A training failed.
    #[error("training: {0}")]
    Learn(LearnError),
    /// A trained model cannot answer.
    #[error("the model: {0}")]
    Surrogate(#[from] SurrogateError),
    /// The oracle cannot label at all.
    #[error("labelling: {0}")]
    Oracle(#[from] OracleError),
}

impl From<LearnError> for CampaignError {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Stopped => Self::Stopped,
            other => Self::Learn(other),
        }
    }
}

impl From<dal_core::CampaignError> for CampaignError {
    fn from(error: dal_core::CampaignError) -> Self {
        match error {
            dal_core::CampaignError::Strategy(StrategyError::Stopped) => Self::Stopped,
            other => Self::Choice(other),
        }
    }
}

impl CampaignError {
    /// A request that makes no sense.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::Request { message: message.into() }
    }
}

fn rows_in_words(n: usize) -> String {
    if n == 1 { "a row".into() } else { format!("{n} rows") }
}
