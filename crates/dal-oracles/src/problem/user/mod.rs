//! Problems that users bring: one `problem.toml` names inputs, outputs and the oracle; `docs/problems.md` explains it.

mod answers;
mod asking;
mod columns;
pub mod command;
mod domain;
pub mod driver;
mod error;
mod file;
mod inputs;
mod oracles;
mod physical;
mod reader;
pub mod table;

use std::path::Path;
use std::sync::Arc;

use dal_core::{MlpEnsemble, MlpOverlay, Oracle, OutputScaling, OutputTransform, OutputUnits, Settings};
use dal_files::Source;
use ndarray::{Array2, Axis};
use sha2::{Digest, Sha256};

use self::asking::{Identity, Who, hex};
use self::command::{CommandOracle, Exchange};
use self::domain::in_domain;
use self::file::{OracleSpec, OutputSpec, ProblemFile};
use self::inputs::Inputs;
use self::physical::InPhysicalUnits;
use self::reader::Reader;
use self::table::{Rows, TableOracle};
use crate::forest::Forest;
use crate::problem::{AnsweredBy, Column, Problem};

pub use self::answers::{Printed, printed};
pub use self::asking::Asking;
pub use self::error::ProblemFileError;

/// Reads a problem file and everything it names; a program is not called, only looked for.
///
/// Paths in the file are relative to the file's folder. [`Problem::digest`] says which changes make another problem of
/// it.
///
/// # Errors
/// A file that cannot be read, an unknown key, a value that makes no sense, a table, forest or network that does not
/// fit; each names the file, the key or the line, and a remedy.
pub fn load(path: impl AsRef<Path>) -> Result<Problem, ProblemFileError> {
    let reader = Reader { path: path.as_ref() };
    reader.open(reader.read(reader.path)?)
}

/// Reads the text of a problem file that would stand at a path, which need not be there.
///
/// # Errors
/// As [`load`].
pub fn load_text(path: impl AsRef<Path>, text: &str) -> Result<Problem, ProblemFileError> {
    Reader { path: path.as_ref() }.open(text.as_bytes().to_vec())
}

/// What is found out of a problem's oracle.
struct Found {
    answered_by: AnsweredBy,
    /// None where a laboratory answers.
    oracle: Option<Arc<dyn Oracle>>,
    /// Of a table.
    candidates: Option<Array2<f64>>,
    table: Option<Arc<TableOracle>>,
    asking: Asking,
    old_digest: Sha256,
    /// Of a table, forest or network alone.
    files: Sha256,
    /// What was assumed of a table.
    notes: Vec<String>,
}

impl Reader<'_> {
    fn open(&self, bytes: Vec<u8>) -> Result<Problem, ProblemFileError> {
        let mut old_digest = Sha256::new();
        old_digest.update(&bytes);
        let syntax = |message: String| ProblemFileError::Syntax { path: self.path.to_owned(), message };
        let source = Source::from_bytes(self.path.display().to_string(), bytes);
        let text = source
            .plain_text()
            .map_err(|error| ProblemFileError::Text { path: self.path.to_owned(), message: error.to_string() })?;
        let file: ProblemFile = toml::from_str(&text).map_err(|e| syntax(e.to_string().trim_end().to_owned()))?;
        if file.name.is_empty() || !file.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(self.key("name", format!("`{}` is no name: use letters, digits, - and _", file.name)));
        }
        self.check_names(&file)?;
        let outputs: Vec<String> = file.outputs.iter().map(|output| output.name.clone()).collect();
        let table = self.table(&file, &outputs)?;
        let inputs = self.inputs(&file.inputs, table.as_ref())?;
        let scaling = self.scaling(&file.outputs)?;
        let mut identity = Identity::default();
        identity.add_inputs(&inputs);
        let mut found = Found {
            answered_by: AnsweredBy::Laboratory,
            oracle: None,
            candidates: None,
            table: None,
            asking: Asking::new(self.path, outputs, inputs.clone()),
            old_digest,
            files: Sha256::new(),
            notes: Vec::new(),
        };
        let oracle_in_words = file.oracle.as_ref().map(OracleSpec::in_words);
        if let Some(spec) = file.oracle {
            self.oracle(spec, table.as_ref(), &inputs, &mut identity, &mut found)?;
        }
        let Found { answered_by, oracle, candidates, table: rows, mut asking, old_digest, files, notes } = found;
        if let Some(oracle) = oracle.as_ref().filter(|oracle| oracle.n_outputs() != file.outputs.len()) {
            let problem = format!("{} outputs are named, the oracle has {}", file.outputs.len(), oracle.n_outputs());
            return Err(self.key("outputs", problem));
        }
        asking.old_digest = hex(old_digest);
        identity.add_asking(&asking);
        identity.add(hex(files));
        let column = |name: &str, unit: &Option<String>, levels: &[String]| Column {
            name: name.to_owned(),
            unit: unit.clone().unwrap_or_else(|| "1".into()),
            levels: levels.to_vec(),
        };
        Ok(Problem {
            id: file.name.clone(),
            title: file.title,
            settings: Settings::default(),
            card: None,
            space: inputs.space().clone(),
            answered_by,
            oracle: oracle.map(|oracle| in_domain(oracle, &scaling)),
            scaling,
            inputs: file
                .inputs
                .iter()
                .map(|input| column(&input.name, &input.unit, input.levels.as_deref().unwrap_or_default()))
                .collect(),
            outputs: file.outputs.iter().map(|output| column(&output.name, &output.unit, &[])).collect(),
            asking: candidates.is_none().then(|| Arc::new(asking)),
            candidates,
            table: rows,
            notes,
            oracle_in_words,
            model: self.model(&file.network)?,
            digest: Some(identity.finish()),
        })
    }

    /// Reads what answers, and what of it tells problems apart.
    fn oracle(
        &self,
        spec: OracleSpec,
        table: Option<&Rows>,
        inputs: &Inputs,
        identity: &mut Identity,
        found: &mut Found,
    ) -> Result<(), ProblemFileError> {
        let Found { answered_by, oracle, candidates, table: looked_up, asking, old_digest, files, notes } = found;
        let model: Arc<dyn Oracle> = match spec {
            OracleSpec::Table(spec) => {
                let bytes = self.read(&self.folder().join(&spec.file))?;
                old_digest.update(&bytes);
                files.update(&bytes);
                identity.add(format!("table {:?}", spec.duplicates));
                let rows = table.ok_or_else(|| self.key("oracle.table", "is not read"))?;
                let (table, points, said) = TableOracle::new(rows, inputs, spec.duplicates)?;
                notes.extend(said.iter().map(ToString::to_string));
                notes.extend(rows.constants(inputs));
                (*answered_by, *candidates) = (AnsweredBy::Table, Some(points));
                let table = Arc::new(table);
                *looked_up = Some(Arc::clone(&table));
                *oracle = Some(table);
                return Ok(());
            }
            OracleSpec::Command(spec) => {
                asking.version = spec.version.clone();
                let settings = self.command(spec)?;
                asking.program = settings.program.clone();
                asking.exchange = match settings.exchange {
                    Exchange::Stdin => "stdin",
                    Exchange::Files => "files",
                }
                .to_owned();
                let program = CommandOracle::new(settings, inputs.clone(), asking.outputs.clone());
                asking.who = Who::Program(Box::new(program.clone()));
                *answered_by = AnsweredBy::Program;
                *oracle = Some(Arc::new(program));
                return Ok(());
            }
            OracleSpec::Driver(spec) => {
                asking.version = spec.version.clone();
                let (settings, exchange) = self.driver(spec, inputs, &asking.folder)?;
                (asking.program, asking.exchange) = (settings.program.clone(), exchange);
                let program = CommandOracle::new(settings, inputs.clone(), asking.outputs.clone());
                asking.who = Who::Program(Box::new(program.clone()));
                *answered_by = AnsweredBy::Program;
                *oracle = Some(Arc::new(program));
                return Ok(());
            }
            OracleSpec::Forest(spec) => {
                let bytes = self.read(&self.folder().join(&spec.file))?;
                old_digest.update(&bytes);
                files.update(&bytes);
                *answered_by = AnsweredBy::Forest;
                asking.version = Some(format!("{:?} {}", spec.units, hex(files.clone())));
                let forest = Forest::from_bytes(&bytes).map_err(|e| self.key("oracle.forest.file", e.to_string()))?;
                let (n_inputs, n_outputs) = (forest.n_inputs(), forest.n_outputs());
                let order = self.forest_order(&forest, inputs, spec.units)?;
                let model = InPhysicalUnits::new(
                    inputs.clone(),
                    spec.units,
                    n_inputs,
                    n_outputs,
                    Box::new(move |x| {
                        Ok(match &order {
                            Some(order) => forest.predict(x.select(Axis(1), order).view()),
                            None => forest.predict(x),
                        })
                    }),
                );
                Arc::new(model.map_err(|problem| self.key("oracle.forest", problem))?)
            }
            OracleSpec::Network(spec) => {
                let (n_inputs, n_outputs, predict) = self.network(&spec, &mut [old_digest, files])?;
                *answered_by = AnsweredBy::Network;
                asking.version = Some(format!("{:?} {}", spec.units, hex(files.clone())));
                let model = InPhysicalUnits::new(inputs.clone(), spec.units, n_inputs, n_outputs, predict);
                Arc::new(model.map_err(|problem| self.key("oracle.network", problem))?)
            }
        };
        asking.exchange = "model".into();
        asking.who = Who::Model(Arc::clone(&model));
        *oracle = Some(model);
        Ok(())
    }

    /// The table that is named, if one is.
    fn table(&self, file: &ProblemFile, outputs: &[String]) -> Result<Option<Rows>, ProblemFileError> {
        let Some(OracleSpec::Table(table)) = &file.oracle else { return Ok(None) };
        let inputs: Vec<String> = file.inputs.iter().map(|input| input.name.clone()).collect();
        let worded = file.inputs.iter().filter(|input| input.levels.is_some());
        let words: Vec<String> = worded.map(|input| input.name.clone()).collect();
        Rows::read(&self.folder().join(&table.file), &inputs, &words, outputs).map(Some)
    }

    /// How outputs are learned: standardised, unless the file says otherwise.
    fn scaling(&self, outputs: &[OutputSpec]) -> Result<OutputScaling, ProblemFileError> {
        let units = outputs.iter().enumerate().map(|(k, output)| match output.transform {
            OutputTransform::Asinh(c) if !(c > 0.0 && c.is_finite()) => Err(self.key(
                format!("outputs[{k}].transform (`{}`)", output.name),
                format!("asinh = {c}: give the positive value below which the output is taken linearly"),
            )),
            transform => Ok(OutputUnits { transform, standardise: output.standardise }),
        });
        units.collect::<Result<_, _>>().map(OutputScaling::new)
    }

    /// What the file says of the model, over what a user's problem gets that says nothing.
    fn model(&self, overlay: &MlpOverlay) -> Result<MlpEnsemble, ProblemFileError> {
        if overlay.hidden.as_ref().is_some_and(|hidden| hidden.is_empty() || hidden.contains(&0)) {
            return Err(self.key("network.hidden", "give the width of each hidden layer, as in [200, 200, 200]"));
        }
        let model = overlay.over(&MlpEnsemble::OF_USERS);
        model.training.validate().map_err(|error| {
            let key = match error.field() {
                Some("n_members") => "network.members",
                Some("weight_decay") => "network.weight_decay",
                Some("learning_rate") => "network.learning_rate",
                Some("decay_reading") => "network.decay_reading",
                _ => "network",
            };
            self.key(key, error.to_string())
        })?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::all_labels;
    use dal_core::{Dimension, LabelFailureKind, Scale, SeedPath};
    use dal_core::{Stop, every};
    use ndarray::array;
    use std::fs;
    use std::path::PathBuf;

    const INPUTS: &str = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 10\n[[outputs]]\nname = \"y\"\n";

    /// A folder with these files; the first is the problem file.
    fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let problem = folder.path().join(files[0].0);
        (folder, problem)
    }

    fn open(text: &str) -> Result<Problem, ProblemFileError> {
        let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("t.csv", b"a,y\n1,2\n3,4\n5,6\n")]);
        load(path)
    }

    /// Each TOML block of the page, tables that only show a part completed by the first.
    #[test]
    fn the_documented_files_are_read() {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems.md")).unwrap();
        let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert_eq!(blocks.len(), 6);
        let whole: ProblemFile = toml::from_str(blocks[0]).unwrap();
        // The block of the page says the defaults.
        let default = MlpEnsemble::OF_USERS;
        let emptied = MlpEnsemble { hidden: vec![1].into(), ..MlpEnsemble::DEFAULT };
        assert_eq!(whole.network.over(&emptied), default);
        let silent = blocks[0].split("[network]").next().unwrap();
        assert!(toml::from_str::<ProblemFile>(silent).unwrap().network == MlpOverlay::default());
        assert_eq!(open(&format!("{INPUTS}[oracle.table]\nfile = \"t.csv\"\n")).unwrap().model(), &default);
        assert!(whole.network.members.is_some() && whole.network.epochs.is_some());
        assert_eq!(
            (whole.inputs.len(), whole.outputs.len(), matches!(whole.oracle, Some(OracleSpec::Command(_)))),
            (3, 2, true)
        );
        for block in &blocks[1..] {
            toml::from_str::<ProblemFile>(&format!("{INPUTS}{block}")).unwrap();
        }
    }

    #[test]
    fn errors_name_file_key_and_remedy() {
        let table = "[oracle.table]\nfile = \"t.csv\"\n";
        for (text, expected) in [
            (format!("{INPUTS}{table}colour = 1\n"), vec!["p.toml", "unknown field `colour`", "duplicates", "line 10"]),
            (
                format!("{INPUTS}[oracle]\n"),
                vec!["line 8", "oracle: there must be exactly one of", "leave [oracle] out"],
            ),
            (format!("{INPUTS}{table}[oracle.forest]\nfile = \"f\"\n"), vec!["oracle: there must be exactly one of"]),
            (format!("{INPUTS}[oracle.table]\nfile = \"u.csv\"\n"), vec!["u.csv"]),
            (
                format!("{INPUTS}[oracle.forest]\nfile = \"t.csv\"\n"),
                vec!["oracle.forest.file", "DALFRST", "forest.py"],
            ),
            (INPUTS.replace("low = 0", "low = 20") + table, vec!["inputs[0].low (`a`)", "low must be below high"]),
            (INPUTS.replace("low = 0", "low = 2") + table, vec!["t.csv, line 2, column a", "`1` lies outside [2, 10]"]),
            (INPUTS.replace("low = 0", "low = 0\nscale = \"log\"") + table, vec!["inputs[0].scale", "low above 0"]),
            (INPUTS.replace("low = 0", "low = 0.5\ninteger = true") + table, vec!["inputs[0].integer", "0.5"]),
            (INPUTS.replace("low = 0", "levels = [\"u\", \"v\"]") + table, vec!["inputs[0].levels", "no low, high"]),
            (
                INPUTS.replace("low = 0\nhigh = 10", "levels = [\"u\", \"u\"]") + table,
                vec!["inputs[0].levels", "different"],
            ),
            (INPUTS.replace("\"a\"", "\"y\"") + table, vec!["two columns are called `y`"]),
            (INPUTS.replace("\"a\"", "\"row\"") + table, vec!["inputs[0].name", "choose another"]),
            (INPUTS.replace("\"a\"", "\"1\"") + table, vec!["inputs[0].name", "looks like a number"]),
            (INPUTS.replace("\"a\"", "\"x2\"") + table, vec!["inputs[0].name", "unit box", "choose another"]),
            (
                INPUTS.replace("\"a\"", "\"b\"") + table,
                vec!["t.csv, line 1", "no column `b`; it has a, y", "begin with"],
            ),
            (INPUTS.replace("\"p\"", "\"p q\"") + table, vec!["name", "use letters"]),
            (
                INPUTS.replace("low = 0\n", "") + "[oracle.command]\nprogram = [\"x\"]\ntime_limit = 1\n",
                vec!["inputs[0].low (`a`)", "missing"],
            ),
            (
                format!("{INPUTS}[oracle.command]\nprogram = []\ntime_limit = 1\n"),
                vec!["oracle.command.program", "python3"],
            ),
            (
                format!("{INPUTS}[oracle.command]\nprogram = [\"./no\"]\ntime_limit = 1\n"),
                vec!["oracle.command.program", "no file"],
            ),
            (
                format!("{INPUTS}[oracle.command]\nprogram = [\"x\"]\ntime_limit = -1\n"),
                vec!["oracle.command.time_limit"],
            ),
            (format!("{INPUTS}[oracle.command]\nprogram = [\"x\"]\n"), vec!["missing field `time_limit`"]),
            (
                format!("{INPUTS}[oracle.command]\nprogram = [\"x\"]\ntime_limit = 1\nparallel = 0\n"),
                vec!["parallel", "at least 1"],
            ),
            (
                format!("{INPUTS}[oracle.command]\nprogram = [\"x\"]\ntime_limit = 1\nexchange = \"files\"\n"),
                vec!["{input} and {output}"],
            ),
            (format!("{INPUTS}transform = \"sqrt\"\n{table}"), vec!["`sqrt`", "log", "asinh"]),
            (format!("{INPUTS}transform = {{ asinh = 0 }}\n{table}"), vec!["outputs[0].transform (`y`)", "positive"]),
            (format!("{INPUTS}{table}[network]\nhidden = []\n"), vec!["network.hidden"]),
            (format!("{INPUTS}{table}[network]\nmembers = 0\n"), vec!["network.members", "at least 1"]),
            (format!("{INPUTS}{table}[network]\nweight_decay = -1.0\n"), vec!["network.weight_decay", "[0, ∞)"]),
            (format!("{INPUTS}{table}[network]\nlearning_rate = 0.0\n"), vec!["network.learning_rate", "(0, ∞)"]),
            (format!("{INPUTS}{table}[network]\nhiden = [3]\n"), vec!["unknown field `hiden`", "hidden"]),
            (format!("{INPUTS}[oracle.network]\n"), vec!["oracle.network", "either a folder", "or a file"]),
            (
                format!("{INPUTS}[oracle.network]\nfolder = \".\"\nfile = \"t.csv\"\n"),
                vec!["oracle.network", "either a folder", "or a file"],
            ),
            (format!("{INPUTS}[oracle.network]\nfile = \"t.csv\"\n"), vec!["oracle.network.file", "ONNX"]),
            ("name = ".to_owned(), vec!["p.toml", "line 1"]),
        ] {
            let error = open(&text).unwrap_err().to_string();
            for words in expected {
                assert!(error.contains(words), "{words:?} is not in {error:?}");
            }
        }
        assert!(matches!(load("no/such.toml"), Err(ProblemFileError::Read { .. })));
    }

    #[test]
    fn without_an_oracle_a_laboratory_answers() {
        let problem = open(&format!("title = \"A rig\"\n{INPUTS}")).unwrap();
        assert_eq!((problem.title(), problem.answered_by()), (Some("A rig"), AnsweredBy::Laboratory));
        let error = problem.oracle().unwrap_err().to_string();
        assert!(error.contains("`p` has no oracle") && error.contains("dal select"), "{error}");
        let shape = problem.shape();
        assert_eq!((shape.n_inputs, shape.n_outputs, problem.candidates().is_none()), (1, 1, true));
        let asking = problem.asking().unwrap();
        assert_eq!((asking.exchange.as_str(), asking.line(array![0.0].view()).unwrap().as_str()), ("laboratory", "5"));
        assert!(asking.oracle(None).is_none() && asking.folder.ends_with("p.answers"));
        // A program that comes later answers for itself: measured labels are not its answers.
        let program = open(&format!("{INPUTS}[oracle.command]\nprogram = [\"cat\"]\ntime_limit = 1\n")).unwrap();
        assert_eq!((program.answered_by(), program.title()), (AnsweredBy::Program, None));
        assert_ne!(program.digest(), problem.digest());
        assert!(program.oracle().is_ok() && program.asking().unwrap().oracle(None).is_some());
    }

    #[test]
    fn a_table_is_its_own_pool() {
        let problem = open(&format!("{INPUTS}[oracle.table]\nfile = \"t.csv\"\n")).unwrap();
        let candidates = problem.candidates().unwrap();
        assert_eq!(candidates.nrows(), 3);
        assert_eq!(all_labels(problem.oracle().unwrap().as_ref(), candidates.view()), array![[2.0], [4.0], [6.0]]);
        let mut failure = None;
        let mut keep = every(|_, answer| failure = answer.err());
        problem.oracle().unwrap().label(array![[0.123]].view(), &Stop::new(), &mut keep).unwrap();
        drop(keep);
        assert_eq!(failure.unwrap().kind, LabelFailureKind::Refused);
        assert_eq!((problem.id(), problem.inputs()[0].name.as_str(), problem.card()), ("p", "a", None));
    }

    #[test]
    fn outputs_are_standardised_unless_the_file_says_otherwise() {
        let open = |keys: &str, csv: &str| {
            let text = format!("{INPUTS}{keys}[oracle.table]\nfile = \"t.csv\"\n");
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("t.csv", csv.as_bytes())]);
            load(path).unwrap()
        };
        let csv = "a,y\n1,2\n3,0\n5,6\n";
        let words =
            |problem: &Problem| problem.scaling().outputs().iter().map(OutputUnits::in_words).collect::<Vec<_>>();
        assert_eq!(words(&open("", csv)), ["standardised"]);
        assert!(open("standardise = false\n", csv).scaling().is_none());
        assert_eq!(words(&open("transform = { asinh = 1e-3 }\n", csv)), ["asinh from 0.001, standardised"]);
        let log = open("transform = \"log\"\n", csv);
        assert_eq!(words(&log), ["log, standardised"]);
        let mut answers = Vec::new();
        let mut keep = every(|_, answer| answers.push(answer.map(<[f64]>::to_vec)));
        log.oracle().unwrap().label(log.candidates().unwrap().view(), &Stop::new(), &mut keep).unwrap();
        drop(keep);
        assert_eq!((&answers[0], &answers[2]), (&Ok(vec![2.0]), &Ok(vec![6.0])));
        assert_eq!(answers[1].as_ref().unwrap_err().kind, LabelFailureKind::OutOfDomain);
    }

    #[test]
    fn bounds_left_out_are_the_tables() {
        let text = INPUTS.replace("low = 0\nhigh = 10\n", "") + "[oracle.table]\nfile = \"t.csv\"\n";
        let problem = open(&text).unwrap();
        assert_eq!(
            problem.space().dimensions()[0],
            Dimension::Continuous { low: 1.0, high: 5.0, scale: Scale::Linear }
        );
        assert_eq!(problem.candidates().unwrap(), &array![[-1.0], [0.0], [1.0]]);
    }

    #[test]
    fn rows_of_equal_inputs_are_refused_averaged_or_dropped() {
        let run = |duplicates: &str, csv: &str| {
            let text = format!("{INPUTS}[oracle.table]\nfile = \"t.csv\"\n{duplicates}");
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("t.csv", csv.as_bytes())]);
            load(path).map(|p| all_labels(p.oracle().unwrap().as_ref(), p.candidates().unwrap().view()))
        };
        let csv = "y,a,z\n1,0,x\n2,5,x\n4,-0,x\n";
        let error = run("", csv).unwrap_err().to_string();
        assert!(error.contains("line 4, column y: 4 differs from 1 of line 2, whose inputs are the same"), "{error}");
        assert!(error.contains("duplicates = "), "{error}");
        assert_eq!(run("duplicates = \"first\"\n", csv).unwrap(), array![[1.0], [2.0]]);
        assert_eq!(run("duplicates = \"mean\"\n", csv).unwrap(), array![[2.5], [2.0]]);
        assert_eq!(run("", "a,y\n1,2\n1,2\n").unwrap(), array![[2.0]]);
        // What became of them is said.
        for (duplicates, what) in [("first", "left out"), ("mean", "averaged with it")] {
            let text = format!("{INPUTS}[oracle.table]\nfile = \"t.csv\"\nduplicates = \"{duplicates}\"\n");
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("t.csv", csv.as_bytes())]);
            let notes = load(path).unwrap().notes().join("; ");
            assert!(notes.contains("1 row that has the inputs of an earlier one") && notes.contains(what), "{notes}");
        }
        for bad in ["a,y\n", "a,y\n1,\n", "a,y\n1,nan\n", "a,y\n1\n", "a,y\n1,2,3\n", "a,a,y\n1,1,2\n", ""] {
            assert!(matches!(run("", bad), Err(ProblemFileError::Table { .. })), "{bad:?}");
        }
    }

    /// On a range that wide 1e-12 of it reaches the neighbours.
    #[test]
    fn a_point_beside_rows_that_differ_is_none_of_them() {
        let ask = |keys: &str, csv: &str, at: f64| {
            let text = INPUTS.replace("low = 0\nhigh = 10\n", &format!("low = 0\nhigh = 1e15\n{keys}"))
                + "[oracle.table]\nfile = \"t.csv\"\n";
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("t.csv", csv.as_bytes())]);
            let problem = load(path).unwrap();
            let value = match problem.space().dimensions()[0] {
                Dimension::Integer { .. } => dal_core::Value::Integer(at as i64),
                _ => dal_core::Value::Number(at),
            };
            let x = Array2::from_shape_vec((1, 1), problem.space().to_unit(&[value]).unwrap()).unwrap();
            let mut found = None;
            let mut keep = every(|_, answer| found = Some(answer.map(<[f64]>::to_vec)));
            problem.oracle().unwrap().label(x.view(), &Stop::new(), &mut keep).unwrap();
            drop(keep);
            found.unwrap()
        };
        let csv = "a,y\n1,2\n400,4\n1e15,7\n";
        assert_eq!((ask("", csv, 1.0), ask("", csv, 400.0)), (Ok(vec![2.0]), Ok(vec![4.0])));
        let failure = ask("", csv, 200.0).unwrap_err();
        assert_eq!(failure.kind, LabelFailureKind::Refused);
        assert!(failure.message.contains("differ: 2 of line 2 and 4 of line 3; give the inputs"), "{failure}");
        assert_eq!(ask("", &csv.replace("400,4", "400,2"), 200.0), Ok(vec![2.0]));
        // Whole numbers are never rounded to each other.
        let failure = ask("integer = true\n", csv, 2.0).unwrap_err();
        assert!(failure.message.contains("has no row at a = 2"), "{failure}");
    }

    #[test]
    fn a_forest_is_asked_in_physical_units_or_on_the_box() {
        let input = |i: usize| format!("[[inputs]]\nname = \"x{i}\"\nlow = -10\nhigh = 10\n");
        let inputs: String = (0..6).map(input).collect();
        let make = |units: &str| {
            let text = format!(
                "name = \"f\"\n{inputs}[[outputs]]\nname = \"y\"\n[oracle.forest]\nfile = \"h.forest\"\nunits = \"{units}\"\n"
            );
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("h.forest", dal_fixtures::HYDRO_FOREST)]);
            load(path).unwrap()
        };
        let hydro = crate::testing::problem("hydro", &[]);
        let x = hydro.space().sample(50, &SeedPath::root(1));
        let expected = all_labels(hydro.oracle().unwrap().as_ref(), x.view());
        assert_eq!(all_labels(make("unit-box").oracle().unwrap().as_ref(), x.view()), expected);
        for units in ["unit-box", "physical"] {
            let problem = make(units);
            crate::contract::check_oracle(problem.oracle().unwrap().as_ref(), problem.space(), &SeedPath::root(2))
                .unwrap();
        }
        let shrunk = x.mapv(|v| v / 10.0);
        let y = all_labels(make("physical").oracle().unwrap().as_ref(), shrunk.view());
        // A threshold may lie within a rounding of v / 10 · 10, so a few points may go the other way.
        let same = y.iter().zip(&expected).filter(|(a, b)| a == b).count();
        assert!(same >= 48, "{same} of 50");
    }

    #[test]
    fn a_forest_with_names_is_given_its_columns_by_name() {
        let make = |names: &[&str], units: &str| {
            let input = |name: &&str| format!("[[inputs]]\nname = \"{name}\"\nlow = -10\nhigh = 10\n");
            let text = format!(
                "name = \"f\"\n{}[[outputs]]\nname = \"y\"\n[oracle.forest]\nfile = \"n.forest\"\nunits = \"{units}\"\n",
                names.iter().map(input).collect::<String>()
            );
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("n.forest", dal_fixtures::NAMED_FOREST)]);
            load(path)
        };
        let (x, expected) = crate::testing::golden(dal_fixtures::golden::NAMED, 3);
        // The same points on the box of a forest in physical values; a threshold may lie within a rounding.
        let same = |problem: &Problem, order: &[usize]| {
            let y = all_labels(&**problem.oracle().unwrap(), (x.select(Axis(1), order) / 10.0).view());
            y.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() < 1e-9).count()
        };
        assert!(same(&make(&["speed", "T [°C]", "load"], "physical").unwrap(), &[0, 1, 2]) >= 39);
        assert!(same(&make(&["load", "speed", "T [°C]"], "physical").unwrap(), &[2, 0, 1]) >= 39);
        let error = make(&["load", "speed", "T"], "physical").unwrap_err().to_string();
        assert!(error.contains("oracle.forest") && error.contains("no one input `T [°C]`"), "{error}");
        // On the box the columns are called alike, or x0, x1, …, which these are not.
        let shrunk = x.mapv(|v| v / 10.0);
        let plain = Forest::from_bytes(dal_fixtures::NAMED_FOREST).unwrap().predict(shrunk.view());
        let on_box = make(&["load", "speed", "T [°C]"], "unit-box").unwrap();
        assert_eq!(all_labels(&**on_box.oracle().unwrap(), shrunk.select(Axis(1), &[2, 0, 1]).view()), plain);
        assert!(make(&["a", "b", "c"], "unit-box").is_err());
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn an_onnx_network_is_asked_in_physical_units_or_on_the_box() {
        let inputs: String = (0..3).map(|i| format!("[[inputs]]\nname = \"x{i}\"\nlow = -10\nhigh = 10\n")).collect();
        let make = |units: &str, more: &str| {
            let text = format!(
                "name = \"n\"\n{inputs}[[outputs]]\nname = \"u\"\n{more}[oracle.network]\nfile = \"m.onnx\"\nunits = \"{units}\"\n"
            );
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("m.onnx", dal_fixtures::onnx::MLP)]);
            load(path)
        };
        let second = "[[outputs]]\nname = \"v\"\n";
        let (x, expected) = crate::testing::golden(dal_fixtures::onnx::MLP_GOLDEN, 3);
        let close = |y: ndarray::Array2<f64>| (y - &expected).iter().all(|d| d.abs() < 1e-5);
        assert!(close(all_labels(make("unit-box", second).unwrap().oracle().unwrap().as_ref(), x.view())));
        let shrunk = x.mapv(|v| v / 10.0);
        assert!(close(all_labels(make("physical", second).unwrap().oracle().unwrap().as_ref(), shrunk.view())));
        let error = make("physical", "").unwrap_err().to_string();
        assert!(error.contains("1 outputs are named, the oracle has 2"), "{error}");
    }

    #[test]
    fn the_digest_follows_the_file_and_what_it_names() {
        let table = format!("{INPUTS}[oracle.table]\nfile = \"t.csv\"\n");
        let digest = |text: &str, csv: &[u8]| {
            let (_folder, path) = folder(&[("p.toml", text.as_bytes()), ("t.csv", csv)]);
            load(path).unwrap().digest().unwrap().to_owned()
        };
        let first = digest(&table, b"a,y\n1,2\n");
        assert_eq!(first, digest(&table, b"a,y\n1,2\n"));
        assert_ne!(first, digest(&table, b"a,y\n1,3\n"));
        assert_eq!(first, digest(&format!("{table}# a note\n[network]\nhidden = [3]\n"), b"a,y\n1,2\n"));
        assert_eq!(first, digest(&table.replace("low", "unit = \"m\"\nlow"), b"a,y\n1,2\n"));
        // Points of the unit box, which runs hold, mean something else then.
        assert_ne!(first, digest(&table.replace("high = 10", "high = 11"), b"a,y\n1,2\n"));
        assert_eq!(first.len(), 64);
    }

    #[test]
    fn answers_depend_on_the_program_and_the_columns_alone() {
        let text = format!("{INPUTS}[oracle.command]\nprogram = [\"x\", \"1\"]\ntime_limit = 1\n");
        let look = |text: &str| {
            let problem = open(text).unwrap();
            let asking = problem.asking().unwrap();
            let inputs: Vec<_> = asking.inputs().map(|(name, levels)| (name.to_owned(), levels.to_vec())).collect();
            let parts = (asking.program.clone(), asking.exchange.clone(), inputs, asking.outputs.clone());
            ((parts, asking.version.clone()), problem.digest().unwrap().to_owned())
        };
        let first = look(&text);
        let (parts, version) = &first.0;
        assert_eq!(
            (parts.0.join(" "), parts.1.as_str(), parts.3.join(" "), version),
            ("x 1".into(), "stdin", "y".into(), &None)
        );
        let more = "retries = 3\nparallel = 2\n# a note\n[network]\nhidden = [3]\n";
        assert_eq!(look(&format!("{text}{more}")), first);
        let wider = look(&text.replace("high = 10", "high = 20"));
        assert!(wider.0 == first.0 && wider.1 != first.1);
        for other in [
            text.replace("\"1\"", "\"2\""),
            text.replace("\"a\"", "\"b\""),
            text.replace("\"y\"", "\"z\""),
            text.replace("low = 0\nhigh = 10", "levels = [\"u\", \"v\"]"),
            format!("{text}version = \"2\"\n"),
        ] {
            let other = look(&other);
            assert!(other.0 != first.0 && other.1 != first.1, "{other:?}");
        }
        // The line is that of the physical values, whatever the bounds are.
        let at = |text: &str, x: f64| open(text).unwrap().asking().unwrap().line(array![x].view()).unwrap();
        assert_eq!((at(&text, 0.0), at(&text.replace("high = 10", "high = 20"), -0.5)), ("5".into(), "5".into()));
        assert!(open(&format!("{INPUTS}[oracle.table]\nfile = \"t.csv\"\n")).unwrap().asking().is_none());
    }
}
