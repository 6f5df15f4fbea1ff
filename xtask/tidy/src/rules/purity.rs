//! Pure crates name no files, clocks, threads or processes, tests and docs aside.

use anyhow::Result;

use crate::{Findings, Project};

/// Crates that touch no files, clocks, threads or processes, and never name tch.
const PURE: &[&str] = &["dal-core", "dal-geom", "dal-acq", "dal-eval"];

/// What pure crates do not say.
const IMPURE: &[&str] =
    &["std::fs", "std::time::", "std::thread", "std::process", "std::net", "std::env", "tch::", "Instant::now"];

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    for file in project.with_extension("rs") {
        if !PURE.iter().any(|name| file.starts_with(format!("crates/{name}/src"))) {
            continue;
        }
        for (i, line) in project.read(file)?.lines().enumerate() {
            if line.trim_start().starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.split("//").next().unwrap_or(line);
            for word in IMPURE.iter().filter(|w| code.contains(**w)) {
                let place = file.display();
                found.offences.push(format!("{place}:{}: names `{word}` in a crate that must not", i + 1));
            }
        }
    }
    Ok(found)
}
