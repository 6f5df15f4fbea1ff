//! No trace of the machine that something was written on.

use anyhow::Result;

use crate::{Findings, Project};

/// Words that would leave a trace of one machine in the project. Split so that this file does not offend itself.
const MACHINE_WORDS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("farm", "-bench")];

/// Endings of the files that are looked at.
const TEXT: &[&str] = &["rs", "md", "toml", "py", "txt", "yml", "json", "html", "sh", "csv"];

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    for file in TEXT.iter().flat_map(|extension| project.with_extension(extension)) {
        for (i, line) in project.read(file)?.lines().enumerate() {
            for word in MACHINE_WORDS.iter().filter(|w| line.contains(**w)) {
                let place = file.display();
                found.offences.push(format!("{place}:{}: names `{word}`, which exists on one machine only", i + 1));
            }
        }
    }
    Ok(found)
}
