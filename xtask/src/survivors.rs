//! `cargo xtask survivors`: changes one operator or result after the other, everywhere in a crate, and lists what its
//! tests do not notice.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{QUICKLY_BUILT, capture, cargo, root, run, target_dir};
use crate::sources::copy_sources;

/// The version whose mutants `docs/fidelity.md` counts: another one makes others.
const CARGO_MUTANTS: &str = "27.1.0";
/// Seconds after which tests count as hanging: unit tests take a second or two.
const PATIENCE: (&str, &str) = ("30", "300");

/// Which crate, and what of it.
#[derive(clap::Args)]
#[command(
    after_help = "cargo-mutants makes the changes, in a copy of the sources in target/mutants; the first time it is
built there. Unit tests are tried first; what they miss is tried again with all tests of the crate
and its examples. What still survives is listed, with exit code 1; docs/survivors.md says of what
may survive why. The unchanged tests have to pass first. Results lie in
target/mutants/CRATE, and the same command goes on where it was stopped; after a change of the
sources delete that folder first, or changes are left out that were killed in other lines. Thousands
take hours: `nice -n 19` and shards are for that.

  cargo xtask survivors dal-eval
  cargo xtask survivors dal-nn --file 'crates/dal-nn/src/recipe*' --shard 0/4"
)]
pub struct Args {
    /// The crate.
    #[arg(value_name = "CRATE")]
    package: String,
    /// Only files that match, as in 'crates/dal-nn/src/recipe*'.
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// Only one of so many parts, as in 0/4.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
}

/// What the tests of one pass did not kill.
#[derive(Debug, PartialEq, Eq)]
struct Pass {
    timed_out: Vec<String>,
    missed: Vec<String>,
}

/// Tries the mutants of a crate.
pub fn run_survivors(args: &Args) -> Result<()> {
    if !root().join("crates").join(&args.package).is_dir() {
        bail!("there is no crate `{}`", args.package);
    }
    let folder = target_dir().join("mutants");
    let tree = folder.join("tree");
    copy_sources(&tree)?;
    let tools = folder.join("tools");
    let version = ["install", "cargo-mutants", "--version", CARGO_MUTANTS, "--locked", "--quiet", "--root"];
    run(cargo(&version).arg(&tools)).context("cargo-mutants could not be built")?;
    build(&tree, &args.package)?;
    let out = folder.join(&args.package);
    // Unit tests first: the others take ten times as long, to build and to run, and few mutants come so far.
    let of_units = pass(args, &tools, &tree, &out, &["--lib"], PATIENCE.0)?;
    eprintln!("unit tests miss {} and hang in {}", of_units.missed.len(), of_units.timed_out.len());
    let of_all = pass(args, &tools, &tree, &out, &[], PATIENCE.1)?;
    let listed = capture(mutants_of(args, &tools, &tree).arg("--list"))?;
    println!(
        "{} mutants: {} survive, {} hang, the others are killed or do not compile",
        listed.lines().count(),
        of_all.missed.len(),
        of_all.timed_out.len(),
    );
    for (word, names) in [("hangs   ", &of_all.timed_out), ("survives", &of_all.missed)] {
        names.iter().for_each(|name| println!("{word}  {name}"));
    }
    if !of_all.missed.is_empty() {
        bail!("{} mutants of {} survive", of_all.missed.len(), args.package);
    }
    Ok(())
}

/// Builds the tests as they are. A pass that was killed while it compiled can leave what later ones cannot link, with
/// which every mutant would count as one that does not compile: that is deleted, and built again.
fn build(tree: &Path, package: &str) -> Result<()> {
    let tests = || {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--package", package, "--locked", "--no-run", "--quiet"]).args(QUICKLY_BUILT);
        run(in_copy(&mut cargo, tree).current_dir(tree))
    };
    if tests().is_err() {
        eprintln!("the tests do not build; once more, without what an earlier run has left");
        let left = tree.with_file_name("target").join("debug/incremental");
        let prefix = package.replace('-', "_");
        // Where there is none, the next attempt says what is wrong.
        for entry in fs::read_dir(left).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        tests().context("the tests do not build before anything is changed")?;
    }
    Ok(())
}

/// A command that builds in the copy's own folder, where one change after the other is compiled.
fn in_copy<'a>(command: &'a mut Command, tree: &Path) -> &'a mut Command {
    command.env("CARGO_TARGET_DIR", tree.with_file_name("target")).env("CARGO_INCREMENTAL", "1")
}

/// cargo-mutants on what is asked for.
fn mutants_of(args: &Args, tools: &Path, tree: &Path) -> Command {
    let mut command = Command::new(tools.join("bin/cargo-mutants"));
    command.args(["mutants", "--package", &args.package]).current_dir(tree);
    command.args(args.file.iter().flat_map(|glob| ["--file", glob]));
    command.args(args.shard.iter().flat_map(|shard| ["--shard", shard]));
    command
}

/// Tries what earlier passes have not killed by these tests, with so many seconds for each.
fn pass(args: &Args, tools: &Path, tree: &Path, out: &Path, tests: &[&str], seconds: &str) -> Result<Pass> {
    let mut command = mutants_of(args, tools, tree);
    // It runs the unchanged tests first: with tests that fail anyway every mutant would count as killed.
    command.args(["--in-place", "--no-shuffle", "--iterate", "--baseline", "run", "--timeout", seconds]);
    command.arg("--output").arg(out);
    command.args(["--locked"].iter().chain(&QUICKLY_BUILT).chain(tests).map(|word| format!("--cargo-arg={word}")));
    let status = in_copy(&mut command, tree).status().context("cargo-mutants")?;
    // Survivors (2) and tests that hang (3) are results; everything else is none.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo-mutants ended with {status}; its last words lie in {}", out.join("mutants.out/log").display());
    }
    read(&out.join("mutants.out"))
}

/// What a pass wrote.
fn read(folder: &Path) -> Result<Pass> {
    let lines = |name: &str| -> Result<Vec<String>> {
        let path = folder.join(name);
        if !path.is_file() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    Ok(Pass { timed_out: lines("timeout.txt")?, missed: lines("missed.txt")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_from_lists() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("missed.txt"), "c\nd\n").unwrap();
        let found = read(dir.path()).unwrap();
        assert_eq!(found, Pass { missed: vec!["c".into(), "d".into()], timed_out: Vec::new() });
    }
}
