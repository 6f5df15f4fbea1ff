//! `cargo xtask wheel`: builds the Python package; `--check` installs it in fresh environments and tests it there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::environment::{environment, runs};
use crate::process::{root, run, search_path, target_dir};
use crate::python;

/// What is built, and whether it is tested.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask wheel           a manylinux2014 wheel for release, in target/python/wheels
  cargo xtask wheel --check   a development build, tested on the oldest and the newest Python that are found")]
pub struct Args {
    /// A development build: pytest on two Pythons, stubs, notebooks.
    #[arg(long)]
    check: bool,
}

/// Pythons that the stable interface of the wheel is for, the oldest first.
const PYTHONS: &[&str] = &["python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "python3.15"];

/// Builds, and tests where that is asked for.
pub fn run_building(args: &Args) -> Result<()> {
    if args.check {
        return run_checks();
    }
    eprintln!("{}", for_release()?.display());
    Ok(())
}

/// The wheel that users get.
pub fn for_release() -> Result<PathBuf> {
    build(&["--release", "--zig", "--compatibility", "manylinux2014"])
}

/// A wheel for this machine alone, to be tested.
pub fn for_development() -> Result<PathBuf> {
    build(&[])
}

/// One development build and everything that is held against it.
pub fn run_checks() -> Result<()> {
    python::run_writing(&python::Args { check: true, cards: None })?;
    lints()?;
    let wheel = for_development()?;
    let found = pythons();
    let (Some(oldest), Some(newest)) = (found.first(), found.last()) else {
        bail!("the Python package needs {} or a newer Python; none was found", PYTHONS[0]);
    };
    let both = [(oldest, "oldest"), (newest, "newest")];
    // Where there is one Python alone, it is the newest.
    for (base, name) in both.into_iter().skip(usize::from(found.len() == 1)) {
        eprintln!("{}: pytest", base.display());
        let lists: &[&str] = match name {
            "newest" => &["requirements-test.txt", "requirements-check.txt"],
            _ => &["requirements-test.txt"],
        };
        let lists: Vec<PathBuf> = lists.iter().map(|list| folder().join(list)).collect();
        let python = environment(base, name, &lists)?;
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"];
        run(Command::new(&python).args(install).arg(&wheel))?;
        // Outside the package's folder, so that the installed wheel is what is tested.
        let mut test = Command::new(&python);
        test.args(["-m", "pytest", "-q", "-c"]).arg(folder().join("pyproject.toml")).arg(folder().join("tests"));
        run(test.current_dir(target_dir()))?;
        if name == "newest" {
            eprintln!("stubs and notebooks");
            let settings = folder().join("pyproject.toml");
            let stubs = ["-m", "mypy.stubtest", "dal_regression", "--ignore-missing-stub", "--mypy-config-file"];
            let mut stubtest = Command::new(&python);
            stubtest.args(stubs).arg(&settings).arg("--allowlist").arg(folder().join("stubtest-allowed.txt"));
            run(stubtest.current_dir(target_dir()))?;
            let mut mypy = Command::new(&python);
            mypy.args(["-m", "mypy", "--package", "dal_regression", "--config-file"]).arg(&settings);
            run(mypy.current_dir(target_dir()))?;
            let script = folder().join("notebooks/execute.py");
            run(Command::new(&python).arg(script).current_dir(target_dir()))?;
        }
    }
    Ok(())
}

/// Format and lints of the extension, which no command of the workspace at the root sees. Both workspaces build in one
/// folder, where outside crates are shared.
fn lints() -> Result<()> {
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(args).current_dir(folder()).env("CARGO_TARGET_DIR", target_dir());
        command
    };
    run(&mut cargo(&["fmt", "--check"]))?;
    run(&mut cargo(&["clippy", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]))
}

fn folder() -> PathBuf {
    root().join("python")
}

/// Builds the wheel with these words for maturin.
fn build(words: &[&str]) -> Result<PathBuf> {
    let found = pythons();
    let base = found.last().with_context(|| format!("building the wheel needs {} or a newer one", PYTHONS[0]))?;
    let python = environment(base, "build", &[folder().join("requirements-build.txt")])?;
    let wheels = target_dir().join("python/wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).with_context(|| wheels.display().to_string())?;
    }
    let mut maturin = Command::new(&python);
    maturin.args(["-m", "maturin", "build", "--locked", "--out"]).arg(&wheels).args(words).current_dir(folder());
    maturin.env("CARGO_TARGET_DIR", target_dir());
    // It looks for zig beside the first `python3` of the path.
    let beside = python.parent().map(Path::to_path_buf);
    let places = search_path().map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    maturin.env("PATH", std::env::join_paths(beside.into_iter().chain(places))?);
    run(&mut maturin)?;
    let made = fs::read_dir(&wheels).with_context(|| wheels.display().to_string())?;
    let mut made = made.filter_map(|entry| Some(entry.ok()?.path()));
    made.find(|path| path.extension().is_some_and(|ending| ending == "whl")).context("maturin made no wheel")
}

/// Pythons that run, the oldest first: those on the path, what pyenv keeps beside them, and what
/// `python/newest-python.sh` brought.
fn pythons() -> Vec<PathBuf> {
    let kept = kept_by_pyenv();
    let brought = target_dir().join("python/newest/usr/bin");
    let find = |name: &&str| {
        let version = format!("{}.", name.trim_start_matches("python"));
        let beside = kept.iter().filter(|(known, _)| known.starts_with(&version)).map(|(_, program)| program.clone());
        std::iter::once(PathBuf::from(name)).chain(beside).chain([brought.join(name)]).find(|program| runs(program))
    };
    PYTHONS.iter().filter_map(find).collect()
}

/// Versions and programs; none without pyenv.
fn kept_by_pyenv() -> Vec<(String, PathBuf)> {
    let ask = |words: &[&str]| {
        let output = Command::new("pyenv").args(words).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let versions = ask(&["versions", "--bare"]).unwrap_or_default();
    let program = |version: &str| Some(Path::new(ask(&["prefix", version])?.trim()).join("bin/python"));
    versions.lines().filter_map(|version| Some((version.to_owned(), program(version)?))).collect()
}
