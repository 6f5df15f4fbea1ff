//! What a problem file says of its oracle, where that takes more than a line: a program's settings, a network.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dal_files::names::places;
use sha2::{Digest, Sha256};

use super::asking::hex;
use super::command::{CommandSettings, Exchange};
use super::driver::{Beside, DriverSettings, EVALUATIONS, Template};
use super::error::ProblemFileError;
use super::file::{CommandSpec, DriverSpec, NetworkFile};
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
            (Some(_), None) if spec.output.is_some() => {
                Err(self.key("oracle.network.output", "is of a file (.onnx); a folder's network has one output"))
            }
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
                if let Some(output) = &spec.output {
                    digests.iter_mut().for_each(|digest| digest.update(output.as_bytes()));
                }
                self.onnx(&bytes, spec.output.as_deref())
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
    fn onnx(&self, bytes: &[u8], output: Option<&str>) -> Result<(usize, usize, Predict), ProblemFileError> {
        use crate::onnx::{OnnxError, OnnxNetwork};
        let network = OnnxNetwork::output_of(bytes, output).map_err(|error| {
            let key = if matches!(error, OnnxError::NoOutput { .. }) { "output" } else { "file" };
            self.key(format!("oracle.network.{key}"), error.to_string())
        })?;
        Ok((network.n_inputs(), network.n_outputs(), Box::new(move |x| network.evaluate(x))))
    }

    #[cfg(not(feature = "onnx"))]
    fn onnx(&self, _: &[u8], _: Option<&str>) -> Result<(usize, usize, Predict), ProblemFileError> {
        let problem = "this build does not evaluate ONNX: build with the feature `onnx` \
                       (cargo build --release -p dal-cli --features onnx)";
        Err(self.key("oracle.network.file", problem))
    }

    /// How long a call may take.
    fn time_limit(&self, key: String, seconds: f64) -> Result<Duration, ProblemFileError> {
        match Duration::try_from_secs_f64(seconds) {
            Ok(limit) if limit.is_zero() => Err(self.key(key, "a call needs more than 0 seconds")),
            Ok(limit) => Ok(limit),
            Err(_) => Err(self.key(key, format!("{seconds} is not a number of seconds"))),
        }
    }

    /// A driver's settings, and the form of exchange that its answers are kept under.
    pub(super) fn driver(
        &self,
        spec: DriverSpec,
        inputs: &Inputs,
        answers: &Path,
    ) -> Result<(CommandSettings, String), ProblemFileError> {
        let at = |key: &str| format!("oracle.driver.{key}");
        let fault = |path: &Path, message: String| ProblemFileError::Read { path: path.to_owned(), message };
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| fault(path, error.to_string()));
        let folder = absolute(&self.folder())?;
        let Some(program) = spec.program.first().filter(|program| !program.is_empty()) else {
            return Err(self.key(at("program"), "name the driver, then its arguments: [\"./driver.sh\"]"));
        };
        if Path::new(program).components().count() > 1 && !folder.join(program).is_file() {
            return Err(self.key(at("program"), format!("there is no file {}", folder.join(program).display())));
        }
        if spec.parallel == 0 {
            return Err(self.key(at("parallel"), "must be at least 1"));
        }
        for (k, name) in inputs.names().iter().enumerate() {
            if name.contains(|c: char| c.is_whitespace() || "{}=\"".contains(c)) {
                let problem = format!("`{name}`: a parameters file has no place for blanks, braces, = and \"");
                return Err(self.key(format!("inputs[{k}].name"), problem));
            }
        }
        if let Some(level) = inputs.levels().iter().flatten().find(|l| l.contains(|c: char| c.is_control() || c == '"'))
        {
            return Err(
                self.key("inputs.levels", format!("`{level}`: a parameters file has no place for line breaks and \""))
            );
        }
        // Everything that is put into a directory has a name there and no path, so that nothing leaves it.
        let mut taken: Vec<(String, String)> = Vec::new();
        let mut take = |key: &str, name: &str| match taken.iter().find(|(known, _)| known == name) {
            Some((_, other)) => Err(self.key(at(key), format!("`{name}` is in the directory already, by {other}"))),
            None if !is_plain(name) => Err(self.key(at(key), format!("`{name}` is no plain name of a file"))),
            None => {
                taken.push((name.to_owned(), key.to_owned()));
                Ok(())
            }
        };
        take("parameters_file", &spec.parameters_file)?;
        take("results_file", &spec.results_file)?;
        let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut templates, mut digest) = (Vec::new(), Sha256::new());
        for path in &spec.template {
            let name = last(path);
            let name = name.strip_suffix(".template").unwrap_or(&name);
            take("template", name)?;
            let bytes = self.read(&folder.join(path))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| self.key(at("template"), format!("{} is no text in UTF-8", path.display())))?;
            let template = Template::parse(name, &text, inputs.names())
                .map_err(|problem| self.key(at("template"), format!("{}: {problem}", path.display())))?;
            if !template.has_inputs() {
                let problem = format!("{} has no {{name}} of an input to fill in; put it into `copy`", path.display());
                return Err(self.key(at("template"), problem));
            }
            for part in [name.as_bytes(), text.as_bytes()] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
            templates.push(template);
        }
        let mut beside = |key: &str, paths: &[PathBuf]| -> Result<Vec<Beside>, ProblemFileError> {
            let paths = paths.iter().map(|path| {
                let (from, name) = (folder.join(path), last(path));
                take(key, &name)?;
                if !from.exists() {
                    return Err(self.key(at(key), format!("there is no {}", from.display())));
                }
                Ok(Beside { from, name })
            });
            paths.collect()
        };
        let (link, copy) = (beside("link", &spec.link)?, beside("copy", &spec.copy)?);
        if let Some(missing) = spec.program[1..].iter().find(|argument| {
            let is_there = taken.iter().any(|(name, _)| Some(name.as_str()) == argument.split('/').next());
            !is_there && Path::new(argument).is_relative() && folder.join(argument).is_file()
        }) {
            let problem = format!(
                "`{missing}` lies beside the problem file, but the driver runs in a directory of its own; name it in `link`"
            );
            return Err(self.key(at("program"), problem));
        }
        let place = match &spec.directories {
            Some(place) => folder.join(place),
            None => absolute(answers)?.join(EVALUATIONS),
        };
        if let Some(around) = copy.iter().find(|beside| beside.from.is_dir() && place.starts_with(&beside.from)) {
            let problem = format!(
                "{} holds the directories themselves; set `directories` to a folder elsewhere",
                around.from.display()
            );
            return Err(self.key(at("copy"), problem));
        }
        let exchange = match templates.is_empty() {
            true => "driver".to_owned(),
            false => format!("driver {}", &hex(digest)[..16]),
        };
        let time_limit = self.time_limit(at("time_limit"), spec.time_limit)?;
        let settings = CommandSettings {
            program: spec.program,
            directory: folder.clone(),
            exchange: Exchange::Stdin,
            driver: Some(DriverSettings {
                format: spec.format,
                parameters_file: spec.parameters_file,
                results_file: spec.results_file,
                templates: Arc::new(templates),
                link,
                copy,
                keep: spec.keep,
                place,
                is_placed: spec.directories.is_some(),
            }),
            header: true,
            rows_per_call: Some(1),
            parallel: spec.parallel,
            time_limit,
            retries: spec.retries,
            stderr_file: spec.stderr_file.map(|file| folder.join(file)),
        };
        Ok((settings, exchange))
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
        let time_limit = self.time_limit(at("time_limit"), spec.time_limit)?;
        for (key, value) in [("parallel", Some(spec.parallel)), ("rows_per_call", spec.rows_per_call)] {
            if value == Some(0) {
                return Err(self.key(at(key), "must be at least 1"));
            }
        }
        Ok(CommandSettings {
            program: spec.program,
            directory,
            exchange: spec.exchange,
            driver: None,
            header: spec.header,
            rows_per_call: spec.rows_per_call,
            parallel: spec.parallel,
            time_limit,
            retries: spec.retries,
            stderr_file: spec.stderr_file.map(|file| folder.join(file)),
        })
    }
}

/// Whether a name is that of a file in a folder, and no path.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(only)), None) if only == name)
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}
