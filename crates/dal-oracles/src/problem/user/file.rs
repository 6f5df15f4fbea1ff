//! The form of a problem file: what its author wrote, before anything is made of it.

use std::path::PathBuf;

use dal_core::{MlpOverlay, OutputTransform, Scale};
use dal_files::number::short;
use serde::{Deserialize, Deserializer};

use super::command::Exchange;
use super::driver::{Format, Keep};
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
    #[serde(default, deserialize_with = "levels")]
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
    Driver(DriverSpec),
    Forest(ForestSpec),
    Network(NetworkFile),
}

/// What may stand below `[oracle]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OracleTables {
    table: Option<TableSpec>,
    command: Option<CommandSpec>,
    driver: Option<DriverSpec>,
    forest: Option<ForestSpec>,
    network: Option<NetworkFile>,
}

impl TryFrom<OracleTables> for OracleSpec {
    type Error = String;

    fn try_from(tables: OracleTables) -> Result<Self, String> {
        let OracleTables { table, command, driver, forest, network } = tables;
        let mut all = [table.map(Self::Table), command.map(Self::Command), forest.map(Self::Forest)]
            .into_iter()
            .chain([driver.map(Self::Driver), network.map(Self::Network)])
            .flatten();
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one),
            _ => Err("oracle: there must be exactly one of [oracle.table], [oracle.command], [oracle.driver], [oracle.forest], \
                      [oracle.network]; leave [oracle] out where a laboratory answers"
                .into()),
        }
    }
}

impl OracleSpec {
    /// Who answers, for a person.
    pub(super) fn in_words(&self) -> String {
        let units = |units: Units| match units {
            Units::Physical => "in physical units",
            Units::UnitBox => "on the unit box",
        };
        match self {
            Self::Table(table) => format!("the table {}", table.file.display()),
            Self::Command(command) => {
                let rows = command.rows_per_call.map_or_else(String::new, |n| {
                    format!(", {n} point{} a call at most", if n == 1 { "" } else { "s" })
                });
                let calls = match command.parallel {
                    0 | 1 => String::new(),
                    n => format!(", {n} calls at a time"),
                };
                format!(
                    "the program {}{rows}{calls}, {} s a call at most",
                    command.program.join(" "),
                    command.time_limit
                )
            }
            Self::Driver(driver) => {
                let calls =
                    if driver.parallel > 1 { format!(", {} at a time", driver.parallel) } else { String::new() };
                format!(
                    "the driver {} in a directory for each point{calls}, {} s each at most",
                    driver.program.join(" "),
                    driver.time_limit
                )
            }
            Self::Forest(forest) => format!("the forest {} {}", forest.file.display(), units(forest.units)),
            Self::Network(network) => {
                let path = network.folder.as_ref().or(network.file.as_ref());
                let path = path.map_or_else(String::new, |path| path.display().to_string());
                format!("the network {path} {}", units(network.units))
            }
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
pub(super) struct DriverSpec {
    pub(super) program: Vec<String>,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) format: Format,
    #[serde(default = "parameters_file")]
    pub(super) parameters_file: String,
    #[serde(default = "results_file")]
    pub(super) results_file: String,
    #[serde(default)]
    pub(super) template: Vec<PathBuf>,
    #[serde(default)]
    pub(super) link: Vec<PathBuf>,
    #[serde(default)]
    pub(super) copy: Vec<PathBuf>,
    #[serde(default)]
    pub(super) keep: Keep,
    pub(super) directories: Option<PathBuf>,
    #[serde(default = "one")]
    pub(super) parallel: usize,
    pub(super) time_limit: f64,
    #[serde(default = "one")]
    pub(super) retries: usize,
    pub(super) stderr_file: Option<PathBuf>,
}

fn parameters_file() -> String {
    "params.in".into()
}

fn results_file() -> String {
    "results.out".into()
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
    /// Of a file with several outputs the one that is wanted.
    pub(super) output: Option<String>,
    #[serde(default)]
    pub(super) units: Units,
}

/// Names of levels; those that are numbers may be written as such.
fn levels<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Level {
        Whole(i64),
        Number(f64),
        Truth(bool),
        Name(String),
    }
    let levels = Vec::<Level>::deserialize(from)?;
    let name = |level| match level {
        Level::Whole(v) => v.to_string(),
        Level::Number(v) => short(v),
        Level::Truth(v) => v.to_string(),
        Level::Name(name) => name,
    };
    Ok(Some(levels.into_iter().map(name).collect()))
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}
