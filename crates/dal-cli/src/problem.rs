//! The problem that a command names: a built-in one or a user's problem file.

use std::path::Path;

use anyhow::{Result, bail};
use dal_oracles::Problem;

use crate::data::settings;

/// A built-in problem, or the one that a problem file describes.
pub fn find_problem(name: &str, given: &[String]) -> Result<Problem> {
    let settings = settings(given)?;
    if name.ends_with(".toml") || name.contains(std::path::MAIN_SEPARATOR) {
        if let Some(key) = settings.keys().next() {
            bail!("--set {key}: a problem file has no settings; edit {name} instead");
        }
        return Ok(dal_oracles::user::load(Path::new(name))?);
    }
    Ok(dal_oracles::find(name, &settings)?)
}
