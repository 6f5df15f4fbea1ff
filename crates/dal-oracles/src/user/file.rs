//! The form of a problem file: what its author wrote, before anything is made of it.

use std::path::PathBuf;

use dal_core::Scale;
use serde::Deserialize;

use super::command::Exchange;
use super::physical::Units;
use super::table::Duplicates;
use crate::problem::Learning;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProblemFile {
    pub(super) name: String,
    pub(super) inputs: Vec<InputSpec>,
    pub(super) outputs: Vec<OutputSpec>,
    pub(super) oracle: OracleSpec,
    #[serde(default)]
    pub(super) network: NetworkSpec,
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
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OracleSpec {
    pub(super) table: Option<TableSpec>,
    pub(super) command: Option<CommandSpec>,
    pub(super) forest: Option<ForestSpec>,
    pub(super) network: Option<ModelSpec>,
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
pub(super) struct ModelSpec {
    pub(super) folder: Option<PathBuf>,
    pub(super) file: Option<PathBuf>,
    #[serde(default)]
    pub(super) units: Units,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NetworkSpec {
    pub(super) hidden: Vec<usize>,
    pub(super) batch_norm: bool,
    pub(super) batch_norm_statistics: BatchNormStatistics,
    pub(super) learning_rate: f64,
    pub(super) weight_decay: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BatchNormStatistics {
    Running,
    Recomputed,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        let Learning { hidden, batch_norm, learning_rate, weight_decay, .. } = Learning::default();
        Self { hidden, batch_norm, batch_norm_statistics: BatchNormStatistics::Running, learning_rate, weight_decay }
    }
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}
