//! What watches the trials of a group, one file an idea: evaluation, stopwatch, records, and what went wrong.

mod evaluation;
mod judged;
mod records;
mod stopwatch;
mod trouble;

use dal_store::StoreError;
use thiserror::Error;

pub(crate) use self::evaluation::{Evaluation, granting_committee};
pub(crate) use self::judged::Yardstick;
pub(crate) use self::records::{Recording, Records};
pub(crate) use self::stopwatch::{Stopwatch, Timings};
pub(crate) use self::trouble::{Breaker, Doing};

/// Why an observer halted its campaign.
#[derive(Debug, Error)]
pub(crate) enum Halt {
    /// The disk refused something else of this group before; the checkpoint stands.
    #[error("stopped")]
    Stopped,
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model cannot be judged.
    #[error("{0}")]
    Evaluation(String),
}
