//! A list of work: a sweep as it was read, and its open runs cut into tasks, in a file that other machines read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::catalogue::Catalogue;
use crate::cut::CutTask;
use crate::error::{BenchError, SweepError};
use crate::plan::Plan;
use crate::sweep::Sweep;

const FORMAT: u32 = 1;

/// What was handed to a batch system. Nothing of it stands in a command line: those hold the file's path and the number
/// of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkList {
    format: u32,
    /// The sweep file: problem files are looked for beside it.
    pub sweep: PathBuf,
    /// Its text as it was submitted: later edits change nothing.
    pub text: String,
    /// The store.
    pub store: PathBuf,
    /// Where answers are kept, if not beside problem files.
    pub answers: Option<PathBuf>,
    /// The engine, if not the file's choice.
    pub engine: Option<String>,
    /// The device, if not the file's choice.
    pub device: Option<String>,
    /// The precision, if not the file's choice.
    pub precision: Option<String>,
    /// The instructions that every machine uses.
    pub platform: Option<String>,
    /// Whether failed runs are run again.
    pub retry_failed: bool,
    /// With `retry_failed`: by name, which making of a run is run again ([`Cut::retried`](crate::Cut::retried)); one
    /// that has failed anew since is left. Lists of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<BTreeMap<String, String>>,
    /// Expected seconds and runs of each task.
    pub tasks: Vec<(f64, Vec<String>)>,
}

impl WorkList {
    /// A list of a sweep's tasks.
    pub fn new(sweep: &Sweep, store: PathBuf, tasks: Vec<CutTask>) -> Self {
        Self {
            format: FORMAT,
            sweep: sweep.path.clone(),
            text: sweep.text.clone(),
            store,
            answers: None,
            engine: None,
            device: None,
            precision: None,
            platform: None,
            retry_failed: false,
            retried: None,
            tasks: tasks.into_iter().map(|task| (task.seconds, task.runs)).collect(),
        }
    }

    /// Reads a list.
    ///
    /// # Errors
    /// A file that cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let refused = |reason: String| BenchError::WorkList { path: path.to_owned(), reason };
        let text = fs::read_to_string(path).map_err(|error| refused(format!("cannot read it: {error}")))?;
        let list: Self =
            serde_json::from_str(&text).map_err(|error| refused(format!("it is no list of work: {error}")))?;
        match list.format {
            FORMAT => Ok(list),
            other => Err(refused(format!("it has layout version {other}, this program reads version {FORMAT}"))),
        }
    }

    /// The list as a file holds it.
    ///
    /// # Errors
    /// A path that is no UTF-8 text.
    pub fn to_json(&self) -> Result<String, BenchError> {
        let refused = |error: serde_json::Error| BenchError::WorkList {
            path: self.store.clone(),
            reason: format!("{error}; give the sweep, the store and the answers paths of plain text"),
        };
        serde_json::to_string(self).map(|text| text + "\n").map_err(refused)
    }

    /// The sweep, resolved as it was submitted.
    ///
    /// # Errors
    /// What the sweep says that this machine cannot do: the machine's fault, as it was resolved elsewhere.
    pub fn plan(&self, catalogue: &dyn Catalogue) -> Result<Plan, SweepError> {
        let (engine, device) = (self.engine.as_deref(), self.device.as_deref());
        let (precision, platform) = (self.precision.as_deref(), self.platform.as_deref());
        let sweep = Sweep::parse(&self.text, &self.sweep)?;
        sweep.with_chosen(engine, device, precision, platform).resolve_with(catalogue)
    }
}
