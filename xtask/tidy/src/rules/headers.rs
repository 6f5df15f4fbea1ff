//! Every Rust file opens with a `//!` line.

use anyhow::Result;

use crate::{Findings, Project};

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    for file in project.with_extension("rs") {
        if !project.read(file)?.starts_with("//!") {
            let place = file.display();
            found.offences.push(format!("{place}:1: does not open with a `//!` line that says what the file is for"));
        }
    }
    Ok(found)
}
