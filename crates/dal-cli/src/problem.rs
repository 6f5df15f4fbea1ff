//! The problem that a command names: a built-in one or a user's problem file.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use dal_oracles::Problem;

use crate::data::{refused, settings};

/// A built-in problem, or the one that a problem file describes.
pub fn find_problem(name: &str, given: &[String]) -> Result<Problem> {
    let card = dal_oracles::catalogue().find(|card| card.id == name);
    let settings = settings(given, card.map_or(&[], |card| card.settings))?;
    if name.ends_with(".toml") || name.contains(std::path::MAIN_SEPARATOR) {
        if let Some(key) = settings.keys().next() {
            bail!("--set {key}: a problem file has no settings; edit {name} instead");
        }
        return Ok(dal_oracles::user::load(Path::new(name))?);
    }
    dal_oracles::find(name, &settings).map_err(refused)
}

/// The problem, asked through the answers kept in this folder or beside the problem file, where answers cost something.
pub fn remembered(problem: Problem, folder: Option<&Path>) -> Result<Problem> {
    Ok(match dal_bench::remembering(&problem, folder)? {
        Some(memory) => problem.with_oracle(Arc::new(memory)),
        None => problem,
    })
}
