//! The form of a problem file: what its author wrote, before anything is made of it.

use std::path::PathBuf;

use dal_core::{MlpOverlay, OutputTransform, Scale};
use serde::Deserialize;

use super::command::Exchange;
use super::physical::Units;
use super::table::Duplicates;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProblemFile {
    pub(super) name: String,
    pub(super) inputs: Vec<InputSpec>,
    pub(super) outputs: Vec<OutputSpec>,
    pub(super) oracle: OracleSpec,
    #[serde(default)]
    pub(super) network: MlpOverlay,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSpec {
    pub(super) name: String,
    #[serde(default)]
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) low: Option<f64>,
    #[serde(default)]
    pub(super) high: Option<f64>,
    #[serde(default)]
    pub(super) scale: Option<Scale>,
    #[serde(default)]
    pub(super) integer: bool,
    #[serde(default)]
    pub(super) levels: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputSpec {
    pub(super) name: String,
    #[serde(default)]
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) transform: OutputTransform,
    #[serde(default = "yes")]
    pub(super) standardise: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OracleSpec {
    pub(super) table: Option<TableSpec>,
    pub(super) command: Option<CommandSpec>,
    pub(super) forest: Option<ForestSpec>,
    pub(super) network: Option<NetworkFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSpec {
    pub(super) file: PathBuf,
    #[serde(default)]
    pub(super) duplicates: Duplicates,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandSpec {
    pub(super) program: Vec<String>,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) directory: PathBuf,
    #[serde(default)]
    pub(super) exchange: Exchange,
    #[serde(default = "yes")]
    pub(super) header: bool,
    pub(super) rows_per_call: Option<usize>,
    #[serde(default = "one")]
    pub(super) parallel: usize,
    pub(super) time_limit: f64,
    #[serde(default)]
    pub(super) retries: usize,
    pub(super) stderr_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForestSpec {
    pub(super) file: PathBuf,
    #[serde(default)]
    pub(super) units: Units,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    pub(super) folder: Option<PathBuf>,
    pub(super) file: Option<PathBuf>,
    #[serde(default)]
    pub(super) units: Units,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}
