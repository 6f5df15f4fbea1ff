//! The problem that a command names: a built-in one or a user's problem file.

use std::path::Path;

use anyhow::{Result, bail};
use dal_files::Inputs;
use dal_oracles::Problem;

use crate::data::{refused, say_notes, settings};

/// A built-in problem, or the one that a problem file describes.
pub fn find_problem(name: &str, given: &[String]) -> Result<Problem> {
    let card = dal_oracles::catalogue().find(|card| card.id == name);
    let settings = settings(given, card.map_or(&[], |card| card.settings))?;
    if name.ends_with(".toml") || name.contains(std::path::MAIN_SEPARATOR) {
        if let Some(key) = settings.keys().next() {
            bail!("setting {key} of the problem: a problem file has none; edit {name} instead");
        }
        let problem = dal_oracles::user::load(Path::new(name))?;
        say_notes(problem.notes());
        return Ok(problem);
    }
    dal_oracles::find(name, &settings).map_err(refused)
}

/// The inputs of a problem, for the reader of points.
pub struct Columns {
    names: Vec<String>,
    levels: Vec<Vec<String>>,
}

impl Columns {
    /// Of a problem.
    pub fn of(problem: &Problem) -> Self {
        let inputs = problem.inputs().iter();
        let (names, levels) = inputs.map(|input| (input.name.clone(), input.levels.clone())).unzip();
        Self { names, levels }
    }

    /// The inputs' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The inputs with their ranges.
    pub fn inputs<'a>(&'a self, problem: &'a Problem) -> Inputs<'a> {
        Inputs { names: &self.names, levels: &self.levels, space: problem.space() }
    }
}
