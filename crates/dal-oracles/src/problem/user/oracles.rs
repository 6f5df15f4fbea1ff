//! What a problem file says of its oracle, where that takes more than a line: a program's settings, a network.

use std::path::Path;
use std::time::Duration;

use dal_files::names::places;
use sha2::{Digest, Sha256};

use super::command::{CommandSettings, Exchange};
use super::error::ProblemFileError;
use super::file::{CommandSpec, NetworkFile};
use super::inputs::Inputs;
use super::physical::{Predict, Units};
use super::reader::Reader;
use crate::forest::Forest;
use crate::network::Network;

impl Reader<'_> {
    /// Inputs, outputs and evaluation of the network that is named.
    pub(super) fn network(
        &self,
        spec: &NetworkFile,
        digests: &mut [&mut Sha256],
    ) -> Result<(usize, usize, Predict), ProblemFileError> {
        match (&spec.folder, &spec.file) {
            (Some(folder), None) => {
                let folder = self.folder().join(folder);
                for digest in digests {
                    self.digest_folder(&folder, digest)?;
                }
                let network = Network::load(&folder).map_err(|e| self.key("oracle.network.folder", e.to_string()))?;
                Ok((network.n_inputs(), network.n_outputs(), Box::new(move |x| network.evaluate(x))))
            }
            (None, Some(file)) => {
                let bytes = self.read(&self.folder().join(file))?;
                digests.iter_mut().for_each(|digest| digest.update(&bytes));
                self.onnx(&bytes)
            }
            _ => {
                Err(self.key("oracle.network", "give either a folder (network.toml and safetensors) or a file (.onnx)"))
            }
        }
    }

    /// Where each input of a forest with names stands among what the problem offers; none where it stands there
    /// already, or has no name.
    pub(super) fn forest_order(
        &self,
        forest: &Forest,
        inputs: &Inputs,
        units: Units,
    ) -> Result<Option<Vec<usize>>, ProblemFileError> {
        let Some(names) = forest.names() else { return Ok(None) };
        let unit: Vec<String> = (0..inputs.space().n_columns()).map(|i| format!("x{i}")).collect();
        // On the unit box an input without levels is one column, so its name will do.
        let offered: Vec<&[String]> = match units {
            Units::Physical => vec![inputs.names()],
            Units::UnitBox if inputs.space().dimensions().iter().all(|dimension| dimension.n_columns() == 1) => {
                vec![&unit, inputs.names()]
            }
            Units::UnitBox => vec![&unit],
        };
        let find = |header: &&[String]| -> Option<Vec<usize>> {
            let place = |name: &String| match places(header, name)[..] {
                [place] => Some(place),
                _ => None,
            };
            names.iter().map(place).collect::<Option<Vec<_>>>().filter(|found| {
                let distinct: std::collections::HashSet<&usize> = found.iter().collect();
                distinct.len() == found.len()
            })
        };
        match offered.iter().find_map(find) {
            Some(order) if order.iter().enumerate().all(|(at, place)| at == *place) => Ok(None),
            Some(order) => Ok(Some(order)),
            None => {
                let header = offered[offered.len() - 1];
                let missing = names.iter().find(|name| places(header, name).len() != 1).unwrap_or(&names[0]);
                let problem = format!(
                    "the forest was fitted on columns called {}, and the problem has no one input `{missing}`; name the \
                     inputs as those columns, in any order, or fit the forest on an array without names",
                    names.iter().take(12).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                );
                Err(self.key("oracle.forest", problem))
            }
        }
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, bytes: &[u8]) -> Result<(usize, usize, Predict), ProblemFileError> {
        let network =
            crate::onnx::OnnxNetwork::from_bytes(bytes).map_err(|e| self.key("oracle.network.file", e.to_string()))?;
        Ok((network.n_inputs(), network.n_outputs(), Box::new(move |x| network.evaluate(x))))
    }

    #[cfg(not(feature = "onnx"))]
    fn onnx(&self, _: &[u8]) -> Result<(usize, usize, Predict), ProblemFileError> {
        let problem = "this build does not evaluate ONNX: build with the feature `onnx` \
                       (cargo build --release -p dal-cli --features onnx)";
        Err(self.key("oracle.network.file", problem))
    }

    pub(super) fn command(&self, spec: CommandSpec) -> Result<CommandSettings, ProblemFileError> {
        let at = |key: &str| format!("oracle.command.{key}");
        let folder = self.folder();
        let directory = if spec.directory == Path::new("") { folder.clone() } else { folder.join(&spec.directory) };
        let Some(program) = spec.program.first().filter(|program| !program.is_empty()) else {
            return Err(self.key(at("program"), "name the program, then its arguments: [\"python3\", \"simulate.py\"]"));
        };
        if !directory.is_dir() {
            return Err(self.key(at("directory"), format!("{} is not a folder", directory.display())));
        }
        if Path::new(program).components().count() > 1 && !directory.join(program).is_file() {
            let problem = format!("there is no file {}", directory.join(program).display());
            return Err(self.key(at("program"), problem));
        }
        let names_file = |name: &str| spec.program.iter().any(|argument| argument.contains(name));
        if spec.exchange == Exchange::Files && !(names_file("{input}") && names_file("{output}")) {
            let problem = "with exchange = \"files\" the arguments must contain {input} and {output}";
            return Err(self.key(at("program"), problem));
        }
        let Ok(time_limit) = Duration::try_from_secs_f64(spec.time_limit) else {
            return Err(self.key(at("time_limit"), format!("{} is not a number of seconds", spec.time_limit)));
        };
        if time_limit.is_zero() {
            return Err(self.key(at("time_limit"), "a call needs more than 0 seconds"));
        }
        for (key, value) in [("parallel", Some(spec.parallel)), ("rows_per_call", spec.rows_per_call)] {
            if value == Some(0) {
                return Err(self.key(at(key), "must be at least 1"));
            }
        }
        Ok(CommandSettings {
            program: spec.program,
            directory,
            exchange: spec.exchange,
            header: spec.header,
            rows_per_call: spec.rows_per_call,
            parallel: spec.parallel,
            time_limit,
            retries: spec.retries,
            stderr_file: spec.stderr_file.map(|file| folder.join(file)),
        })
    }
}
