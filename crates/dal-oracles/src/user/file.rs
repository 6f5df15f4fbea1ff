//! The form of a problem file: what its author wrote, before anything is made of it.

use std::path::PathBuf;

use dal_core::{MlpOverlay, OutputTransform, Scale};
use dal_files::number::short;
use serde::{Deserialize, Deserializer};

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OracleSpec {
    pub(super) table: Option<TableSpec>,
    pub(super) command: Option<CommandSpec>,
    pub(super) forest: Option<ForestSpec>,
    pub(super) network: Option<NetworkFile>,
}

impl OracleSpec {
    /// Who answers, for a person.
    pub(super) fn in_words(&self) -> String {
        let units = |units: Units| match units {
            Units::Physical => "in physical units",
            Units::UnitBox => "on the unit box",
        };
        let table = self.table.as_ref().map(|table| format!("the table {}", table.file.display()));
        let command = self.command.as_ref().map(|command| {
            let rows = command
                .rows_per_call
                .map_or_else(String::new, |n| format!(", {n} point{} a call at most", if n == 1 { "" } else { "s" }));
            let calls =
                if command.parallel > 1 { format!(", {} calls at a time", command.parallel) } else { String::new() };
            format!("the program {}{rows}{calls}, {} s a call at most", command.program.join(" "), command.time_limit)
        });
        let forest =
            self.forest.as_ref().map(|forest| format!("the forest {} {}", forest.file.display(), units(forest.units)));
        let network = self.network.as_ref().map(|network| {
            let path = network.folder.as_ref().or(network.file.as_ref());
            let path = path.map_or_else(String::new, |path| path.display().to_string());
            format!("the network {path} {}", units(network.units))
        });
        table.or(command).or(forest).or(network).unwrap_or_default()
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
