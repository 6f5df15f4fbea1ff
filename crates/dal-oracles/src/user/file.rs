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
    #[serde(default)]
    pub(super) title: Option<String>,
    pub(super) inputs: Vec<InputSpec>,
    pub(super) outputs: Vec<OutputSpec>,
    /// Left out where a laboratory answers.
    #[serde(default)]
    pub(super) oracle: Option<OracleSpec>,
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

/// Who answers: the one table below `[oracle]`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "OracleTables")]
pub(super) enum OracleSpec {
    Table(TableSpec),
    Command(CommandSpec),
    Forest(ForestSpec),
    Network(NetworkFile),
}

/// What may stand below `[oracle]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OracleTables {
    table: Option<TableSpec>,
    command: Option<CommandSpec>,
    forest: Option<ForestSpec>,
    network: Option<NetworkFile>,
}

impl TryFrom<OracleTables> for OracleSpec {
    type Error = String;

    fn try_from(tables: OracleTables) -> Result<Self, String> {
        let OracleTables { table, command, forest, network } = tables;
        let mut all = [table.map(Self::Table), command.map(Self::Command), forest.map(Self::Forest)]
            .into_iter()
            .chain([network.map(Self::Network)])
            .flatten();
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one),
            _ => Err("oracle: there must be exactly one of [oracle.table], [oracle.command], [oracle.forest], \
                      [oracle.network]; leave [oracle] out where a laboratory answers"
                .into()),
        }
    }
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
    #[serde(default = "one")]
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
