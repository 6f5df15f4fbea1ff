//! Who answers for a user's problem: what answers depend on beside the point, and how a point is written when it is
//! kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dal_core::{Dimension, Oracle, Scale, SpaceError};
use ndarray::ArrayView1;
use sha2::{Digest, Sha256};

use super::command::{CallDesk, CommandOracle};
use super::inputs::Inputs;

/// Who answers for a user's problem, as far as answers depend on it: a program, a model in a file, or a laboratory.
///
/// Bounds, scales, units, limits, retries, the network and the program's contents are not in it, so that they may
/// change without making answers worthless.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The program and its arguments, as the problem file has them; empty for a model and a laboratory.
    pub program: Vec<String>,
    /// How points and answers travel: `stdin`, `files`, `driver` with a hash of the files that are filled in; `model`
    /// for a forest or a network, `laboratory` for that.
    pub exchange: String,
    /// Names of the outputs, in order.
    pub outputs: Vec<String>,
    /// The version that the problem file gives the program, if any; of a model the hash of its files and its units.
    pub version: Option<String>,
    /// Where answers are kept unless told otherwise: `NAME.answers` beside the problem file `NAME.toml`.
    pub folder: PathBuf,
    /// What older versions called [`Problem::digest`](crate::Problem::digest): the hash of the problem file's bytes and
    /// of the model's. Points of the unit box in a store of theirs mean what they meant if it is equal.
    pub old_digest: String,
    inputs: Inputs,
    pub(super) who: Who,
}

/// What can be asked.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Program(Box<CommandOracle>),
    Model(Arc<dyn Oracle>),
    /// People, who are not asked by this program.
    Laboratory,
}

impl Asking {
    /// Of a problem file at this path; a laboratory's until something else is said.
    pub(super) fn new(path: &Path, outputs: Vec<String>, inputs: Inputs) -> Self {
        Self {
            program: Vec::new(),
            exchange: "laboratory".into(),
            outputs,
            version: None,
            folder: path.with_extension("answers"),
            old_digest: String::new(),
            inputs,
            who: Who::Laboratory,
        }
    }

    /// The inputs, in order: names, and the levels of each; none for a number.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.inputs.names().iter().map(String::as_str).zip(self.inputs.levels().iter().map(Vec::as_slice))
    }

    /// The line of CSV in physical units that a program gets for a point of the unit box, without its line feed. It is
    /// what an answer is kept under.
    ///
    /// # Errors
    /// A point that is none of the unit box.
    pub fn line(&self, x: ArrayView1<'_, f64>) -> Result<String, SpaceError> {
        let mut line = self.inputs.csv_line(x)?;
        line.truncate(line.trim_end_matches('\n').len());
        Ok(line)
    }

    /// Whether what answers prints a header: of a program what the problem file says, true of others.
    pub fn has_header(&self) -> bool {
        match &self.who {
            Who::Program(program) => program.has_header(),
            Who::Model(_) | Who::Laboratory => true,
        }
    }

    /// How many points can be asked about at one time: of a program what the problem file allows, one of others.
    pub fn parallel(&self) -> usize {
        match &self.who {
            Who::Program(program) => program.parallel(),
            Who::Model(_) | Who::Laboratory => 1,
        }
    }

    /// The same; a driver's directories are in this folder, unless the problem file names another.
    #[must_use]
    pub fn working_in(mut self, folder: &Path) -> Self {
        if let Who::Program(program) = self.who {
            self.who = Who::Program(Box::new(program.placed(folder.to_owned(), true)));
        }
        self
    }

    /// The same; a program is not called again for a point without a label, because the caller sees to that.
    #[must_use]
    pub fn tried_once(mut self) -> Self {
        if let Who::Program(program) = self.who {
            self.who = Who::Program(Box::new(program.tried_once()));
        }
        self
    }

    /// The program or model as it answers, before the problem's transforms are looked at; a program's calls are told to
    /// the desk, where there is one. `None` for a laboratory.
    pub fn oracle(&self, desk: Option<Arc<dyn CallDesk>>) -> Option<Arc<dyn Oracle>> {
        match &self.who {
            Who::Program(program) => Some(Arc::new(CommandOracle::clone(program).with_desk(desk))),
            Who::Model(model) => Some(Arc::clone(model)),
            Who::Laboratory => None,
        }
    }
}

/// The hash that tells users' problems apart: every part counts with its length.
#[derive(Default)]
pub(super) struct Identity(Sha256);

impl Identity {
    pub(super) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn add_all<'a>(&mut self, parts: impl ExactSizeIterator<Item = &'a String>) {
        self.add((parts.len() as u64).to_le_bytes());
        parts.for_each(|part| self.add(part));
    }

    /// Everything of the inputs that points of the unit box depend on.
    pub(super) fn add_inputs(&mut self, inputs: &Inputs) {
        self.add_all(inputs.names().iter());
        for (dimension, levels) in inputs.space().dimensions().iter().zip(inputs.levels()) {
            match dimension {
                Dimension::Continuous { low, high, scale } => {
                    self.add(format!("{scale:?}"));
                    self.add(low.to_le_bytes());
                    self.add(high.to_le_bytes());
                }
                Dimension::Integer { low, high, scale } => {
                    self.add(if *scale == Scale::Log { "Integer Log" } else { "Integer" });
                    self.add(low.to_le_bytes());
                    self.add(high.to_le_bytes());
                }
                Dimension::Fixed { value } => {
                    self.add("Fixed");
                    self.add(value.to_le_bytes());
                }
                Dimension::Categorical { .. } => {
                    self.add("Levels");
                    self.add_all(levels.iter());
                }
            }
        }
    }

    pub(super) fn add_asking(&mut self, asking: &Asking) {
        self.add_all(asking.program.iter());
        self.add(&asking.exchange);
        self.add_all(asking.outputs.iter());
        self.add_all(asking.version.iter().collect::<Vec<_>>().into_iter());
    }

    /// 64 hexadecimal digits.
    pub(super) fn finish(self) -> String {
        hex(self.0)
    }
}

/// 64 hexadecimal digits.
pub(super) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
