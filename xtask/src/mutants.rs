//! `cargo xtask mutants`: spoils the protocol in ways that no reader would notice, and looks whether the tests do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{root, run, target_dir};
use crate::sources::copy_sources;

/// The crates that the development profile optimises: tests of the others run as fast unoptimised.
const OPTIMISED: [&str; 8] = ["acq", "core", "eval", "files", "geom", "kernels", "nn", "oracles"];

/// Which mutants.
#[derive(clap::Args)]
#[command(
    after_help = "Each file of fixtures/mutants is a patch whose first line names the crate whose tests must fail, and which
of them: `# dal-core --test protocol outputs`. Patches are applied one by one to a copy of the sources in target/mutants. What
still passes its tests is a survivor, and the task fails.

  cargo xtask mutants
  cargo xtask mutants pools-not-nested"
)]
pub struct Args {
    /// Names of patches, without the extension; all of them if none is named.
    pub names: Vec<String>,
}

/// A patch, and the tests that must not pass with it.
struct Mutant {
    name: String,
    path: PathBuf,
    /// `--test NAME …`.
    tests: Vec<String>,
}

/// Applies each mutant to a copy and runs its tests.
pub fn run_mutants(args: &Args) -> Result<()> {
    let mut mutants = read(&root().join("fixtures/mutants"))?;
    if let Some(unknown) = args.names.iter().find(|name| mutants.iter().all(|m| m.name != **name)) {
        bail!("there is no fixtures/mutants/{unknown}.patch");
    }
    mutants.retain(|mutant| args.names.is_empty() || args.names.contains(&mutant.name));
    let tree = target_dir().join("mutants/tree");
    copy_sources(&tree)?;
    let mut commands: Vec<&[String]> = mutants.iter().map(|mutant| &mutant.tests[..]).collect();
    commands.sort();
    commands.dedup();
    for tests in commands {
        eprintln!("without mutants: {}", tests.join(" "));
        run(test(&tree, tests).arg("--quiet")).context("the tests fail before anything is spoilt")?;
    }
    let mut survivors = Vec::new();
    for mutant in &mutants {
        let start = Instant::now();
        apply(&tree, mutant, &[])?;
        let killed = is_killed(&tree, mutant);
        apply(&tree, mutant, &["--reverse"])?;
        let killed = killed?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{} {:.0} s  {}", if killed { "killed  " } else { "SURVIVED" }, seconds, mutant.name);
        if !killed {
            survivors.push(mutant.name.as_str());
        }
    }
    if !survivors.is_empty() {
        bail!("{} of {} mutants survived: {}", survivors.len(), mutants.len(), survivors.join(", "));
    }
    eprintln!("{} mutants, all killed", mutants.len());
    Ok(())
}

/// Every patch of a folder, by name.
fn read(folder: &Path) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let first = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let words: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
        let tests = match &words[..] {
            [package, flag, target, ..] if flag == "--test" => {
                check_target(package, target).with_context(|| path.display().to_string())?;
                words[1..].to_vec()
            }
            _ => bail!("{}: its first line is not `# CRATE --test NAME…`", path.display()),
        };
        mutants.push(Mutant { name, path, tests });
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    if mutants.is_empty() {
        bail!("{} holds no patches", folder.display());
    }
    Ok(mutants)
}

/// The tests are selected by their target's name alone, so no other crate may have one of that name.
fn check_target(package: &str, target: &str) -> Result<()> {
    let file = format!("tests/{target}.rs");
    let mut with = Vec::new();
    for entry in fs::read_dir(root().join("crates"))? {
        let folder = entry?;
        if folder.path().join(&file).is_file() {
            with.push(folder.file_name().to_string_lossy().into_owned());
        }
    }
    if with != [package] {
        bail!("`--test {target}` of `{package}`: crates with a {file}: {}", with.join(", "));
    }
    Ok(())
}

fn apply(tree: &Path, mutant: &Mutant, more: &[&str]) -> Result<()> {
    // The copy lies inside this repository, which git would take for the place of the paths.
    let mut git = Command::new("git");
    git.args(["apply", "--unidiff-zero"]).args(more).arg(&mutant.path).current_dir(tree);
    let applied = run(git.env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree)));
    applied.with_context(|| format!("{}: it fits the sources no more; make it anew", mutant.path.display()))
}

/// A test command in the copy, built for a short time to compile rather than to run. All crates are selected, so that
/// their dependencies are those that `cargo test --workspace` has built: naming one compiles them with other features.
fn test(tree: &Path, tests: &[String]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--locked", "--config", "profile.dev.debug=false"]);
    cargo.args(OPTIMISED.iter().map(|name| format!("--config=profile.dev.package.dal-{name}.opt-level=1")));
    cargo.arg("--target-dir").arg(target_dir()).args(tests).current_dir(tree);
    cargo.env("CARGO_INCREMENTAL", "1");
    cargo
}

/// Whether its tests fail; that they do not compile is no answer.
fn is_killed(tree: &Path, mutant: &Mutant) -> Result<bool> {
    // What follows a double dash is for the tests.
    let of_cargo = mutant.tests.iter().take_while(|word| *word != "--").cloned().collect::<Vec<_>>();
    run(test(tree, &of_cargo).args(["--no-run", "--quiet"]))
        .with_context(|| format!("{} does not compile", mutant.name))?;
    let output = test(tree, &mutant.tests).output().with_context(|| mutant.name.clone())?;
    Ok(!output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The task runs rarely: that a patch fits the sources no more is to be seen before.
    #[test]
    fn every_patch_fits_the_sources() {
        for mutant in read(&root().join("fixtures/mutants")).unwrap() {
            apply(&root(), &mutant, &["--check"]).unwrap();
        }
    }
}
