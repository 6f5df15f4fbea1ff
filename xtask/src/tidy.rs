//! House rules that no lint knows: file headers, crate directions, justified dependencies, links, no machine paths.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{capture, root};

/// Crates that touch no files, clocks, threads or processes, and never name tch.
const PURE: &[&str] = &["dal-core", "dal-geom", "dal-acq", "dal-eval"];

/// What pure crates do not say.
const IMPURE: &[&str] =
    &["std::fs", "std::time::", "std::thread", "std::process", "std::net", "std::env", "tch::", "Instant::now"];

/// Which workspace crates each one may depend on (development dependencies are free).
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("dal-core", &[]),
    ("dal-geom", &[]),
    ("dal-fixtures", &[]),
    ("dal-oracles", &["dal-core", "dal-fixtures"]),
    ("dal-nn", &["dal-core"]),
    ("dal-acq", &["dal-core", "dal-geom"]),
    ("dal-eval", &[]),
    ("dal-store", &["dal-core"]),
    ("dal-bench", &["dal-core", "dal-acq", "dal-nn", "dal-oracles", "dal-eval", "dal-store"]),
    ("dal-report", &["dal-eval", "dal-store"]),
    ("dal-tune", &["dal-core", "dal-nn", "dal-oracles", "dal-store"]),
    ("xtask", &[]),
];

/// Words that would leave a trace of one machine in the project. Split so that this file does not offend itself.
const MACHINE_WORDS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("farm", "-bench")];

/// Checks everything and reports every offence.
pub fn run() -> Result<()> {
    let files = tracked()?;
    let mut offences = Vec::new();
    headers(&files, &mut offences)?;
    purity(&files, &mut offences)?;
    directions(&mut offences)?;
    dependencies(&mut offences)?;
    machine_words(&files, &mut offences)?;
    links(&files, &mut offences)?;
    if offences.is_empty() {
        eprintln!("{} files are tidy", files.len());
        return Ok(());
    }
    for offence in &offences {
        eprintln!("{offence}");
    }
    bail!("{} offences against the house rules", offences.len())
}

/// Tracked files and untracked ones that git does not ignore, relative to the root.
fn tracked() -> Result<Vec<PathBuf>> {
    let list = capture(
        std::process::Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root()),
    )?;
    let mut files: Vec<PathBuf> = list.split('\0').filter(|s| !s.is_empty()).map(PathBuf::from).collect();
    files.retain(|f| root().join(f).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    let bytes = fs::read(root().join(file)).with_context(|| file.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn with_extension<'a>(files: &'a [PathBuf], extension: &'a str) -> impl Iterator<Item = &'a PathBuf> {
    files.iter().filter(move |f| f.extension().is_some_and(|e| e == extension))
}

/// Every Rust file opens with a `//!` line.
fn headers(files: &[PathBuf], offences: &mut Vec<String>) -> Result<()> {
    for file in with_extension(files, "rs") {
        if !read(file)?.starts_with("//!") {
            offences
                .push(format!("{}:1: does not open with a `//!` line that says what the file is for", file.display()));
        }
    }
    Ok(())
}

/// Pure crates stay pure, tests and docs aside.
fn purity(files: &[PathBuf], offences: &mut Vec<String>) -> Result<()> {
    for file in with_extension(files, "rs") {
        if !PURE.iter().any(|name| file.starts_with(format!("crates/{name}/src"))) {
            continue;
        }
        for (i, line) in read(file)?.lines().enumerate() {
            if line.trim_start().starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.split("//").next().unwrap_or(line);
            for word in IMPURE.iter().filter(|w| code.contains(**w)) {
                offences.push(format!("{}:{}: names `{word}` in a crate that must not", file.display(), i + 1));
            }
        }
    }
    Ok(())
}

/// Dependencies point down only.
fn directions(offences: &mut Vec<String>) -> Result<()> {
    for (name, allowed) in DIRECTIONS {
        let folder = match *name {
            "dal-fixtures" => "fixtures".to_owned(),
            "xtask" => "xtask".to_owned(),
            _ => format!("crates/{name}"),
        };
        let manifest: toml::Table = read(Path::new(&folder).join("Cargo.toml").as_path())?.parse()?;
        for dependency in table_keys(&manifest, "dependencies").iter().filter(|d| d.starts_with("dal-")) {
            if !allowed.contains(&dependency.as_str()) {
                offences.push(format!("{folder}/Cargo.toml: {name} may not depend on {dependency}"));
            }
        }
    }
    Ok(())
}

/// Every dependency of the workspace has its line in docs/dependencies.md, and every line there is a real one.
fn dependencies(offences: &mut Vec<String>) -> Result<()> {
    let manifest: toml::Table = read(Path::new("Cargo.toml"))?.parse()?;
    let workspace = manifest.get("workspace").and_then(|w| w.as_table()).context("[workspace]")?;
    let text = read(Path::new("docs/dependencies.md"))?;
    // The first cell of a row names one package or several.
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let justified: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    for name in table_keys(workspace, "dependencies").iter().filter(|d| !d.starts_with("dal-")) {
        if !justified.contains(name.as_str()) {
            offences.push(format!("docs/dependencies.md: has no line for `{name}`"));
        }
    }
    Ok(())
}

fn table_keys(table: &toml::Table, key: &str) -> BTreeSet<String> {
    table.get(key).and_then(|t| t.as_table()).map(|t| t.keys().cloned().collect()).unwrap_or_default()
}

/// No trace of the machine that something was written on.
fn machine_words(files: &[PathBuf], offences: &mut Vec<String>) -> Result<()> {
    const TEXT: &[&str] = &["rs", "md", "toml", "py", "txt", "yml", "json", "html", "sh", "csv"];
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| TEXT.contains(&e.to_string_lossy().as_ref()))) {
        for (i, line) in read(file)?.lines().enumerate() {
            for word in MACHINE_WORDS.iter().filter(|w| line.contains(**w)) {
                offences.push(format!(
                    "{}:{}: names `{word}`, which exists on one machine only",
                    file.display(),
                    i + 1
                ));
            }
        }
    }
    Ok(())
}

/// Relative links in Markdown lead somewhere.
fn links(files: &[PathBuf], offences: &mut Vec<String>) -> Result<()> {
    for file in with_extension(files, "md") {
        let folder = root().join(file.parent().unwrap_or(Path::new("")));
        let mut in_code = false;
        for (i, line) in read(file)?.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or(target);
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                if !folder.join(target).exists() {
                    offences.push(format!("{}:{}: links to {target}, which does not exist", file.display(), i + 1));
                }
            }
        }
    }
    Ok(())
}
