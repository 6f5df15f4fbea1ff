//! Every dependency of the workspace has its line in docs/dependencies.md.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{Findings, Project};

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    let manifest: toml::Table = project.read(Path::new("Cargo.toml"))?.parse()?;
    let declared = manifest.get("workspace").and_then(|w| w.get("dependencies")).and_then(|d| d.as_table());
    let text = project.read(Path::new("docs/dependencies.md"))?;
    // The first cell of a row names one package or several.
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let justified: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    for name in declared.context("Cargo.toml has no [workspace.dependencies]")?.keys() {
        if !name.starts_with("dal-") && !justified.contains(name.as_str()) {
            found.offences.push(format!("docs/dependencies.md: has no line for `{name}`"));
        }
    }
    Ok(found)
}
