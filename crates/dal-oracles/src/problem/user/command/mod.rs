//! An oracle that is a program: it gets points as CSV in physical units and prints their outputs as CSV.

mod batches;
mod call;
mod ending;
mod evaluation;
mod files;
mod group;
mod health;
mod running;
mod slots;
#[cfg(all(test, unix))]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::health::Health;
use self::slots::Slots;
use super::driver::DriverSettings;
use super::inputs::Inputs;

/// How points reach the program and answers come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// Points on stdin, answers on stdout.
    #[default]
    Stdin,
    /// Points in a file, answers in another: the arguments `{input}` and `{output}` stand for their paths.
    Files,
}

/// How a program is called.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// The program and its arguments; no shell is involved.
    pub program: Vec<String>,
    /// The folder it runs in.
    pub directory: PathBuf,
    /// How points and answers travel, unless it is a driver.
    pub exchange: Exchange,
    /// Of a driver: how each point gets a directory of its own.
    pub driver: Option<DriverSettings>,
    /// Whether the answer begins with a header.
    pub header: bool,
    /// The most points in one call; all of them, spread over the parallel calls, if none.
    pub rows_per_call: Option<usize>,
    /// The most calls at one time: of all that ask this oracle and its clones together, unless they count the attempts.
    pub parallel: usize,
    /// How long one call may take.
    pub time_limit: Duration,
    /// How often a row without a label is tried again, each time in a call of its own.
    pub retries: usize,
    /// A file to which everything is appended that the program writes to stderr.
    pub stderr_file: Option<PathBuf>,
}

/// What a program's calls are told to while they run, such as the folder that its answers are kept in.
pub trait CallDesk: fmt::Debug + Send + Sync {
    /// Where a driver's directories are to be, unless the problem file or a campaign says it.
    fn place(&self) -> Option<PathBuf> {
        None
    }

    /// For each of these points (lines of CSV, as the program gets them) the answer that has come since the batch
    /// began, from another process say. Such points are then not asked.
    fn arrived(&self, lines: &[&str]) -> Vec<Option<Vec<f64>>>;

    /// A call of so many points has begun, in this process group. What comes back is dropped when the group has ended.
    ///
    /// # Errors
    /// Why calls cannot be told: the call is ended, and the batch with it.
    fn begun(&self, group: u32, points: usize) -> Result<Box<dyn Send>, String>;
}

/// The oracle that calls a program.
#[derive(Clone, Debug)]
pub struct CommandOracle {
    settings: CommandSettings,
    inputs: Inputs,
    outputs: Vec<String>,
    desk: Option<Arc<dyn CallDesk>>,
    /// How often a known point is asked again before the program counts as down.
    known_retries: usize,
    /// Whether the caller counts the attempts at each point: it sees that the program is down by many that fail.
    attempts_are_counted: bool,
    /// Of the program, which clones share.
    health: Arc<Mutex<Health>>,
    /// The calls that run, which clones share, too.
    slots: Arc<Slots>,
}

impl CommandOracle {
    pub(super) fn new(settings: CommandSettings, inputs: Inputs, outputs: Vec<String>) -> Self {
        let known_retries = settings.retries;
        Self {
            settings,
            inputs,
            outputs,
            desk: None,
            known_retries,
            attempts_are_counted: false,
            health: Arc::default(),
            slots: Arc::default(),
        }
    }

    /// The most calls at one time that the settings allow.
    pub(super) fn parallel(&self) -> usize {
        self.settings.parallel.max(1)
    }

    /// The same over all that ask at once; a caller who counts the attempts shares out the calls itself, by its own
    /// setting.
    fn most_calls(&self) -> usize {
        if self.attempts_are_counted { usize::MAX } else { self.parallel() }
    }

    /// Whether its answer begins with a header.
    pub(super) fn has_header(&self) -> bool {
        self.settings.header
    }

    /// The same program; a row without a label is not tried again, because the caller does that.
    pub(super) fn tried_once(mut self) -> Self {
        self.settings.retries = 0;
        self.attempts_are_counted = true;
        self
    }

    /// The same program, whose calls are told to this desk; a driver's directories are where it says.
    pub(super) fn with_desk(self, desk: Option<Arc<dyn CallDesk>>) -> Self {
        let place = desk.as_ref().and_then(|desk| desk.place());
        let moved = match place {
            Some(place) => self.placed(place, false),
            None => self,
        };
        Self { desk, ..moved }
    }

    /// The same program; a driver's directories are in this folder, unless it was said already where they are to be.
    pub(super) fn placed(mut self, place: PathBuf, for_good: bool) -> Self {
        if let Some(driver) = self.settings.driver.as_mut().filter(|driver| !driver.is_placed) {
            (driver.place, driver.is_placed) = (place, for_good);
        }
        self
    }
}
