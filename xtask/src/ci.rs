//! `cargo xtask ci`: the checks of continuous integration, stage by stage, with their times.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{UNOPTIMISED, build_dal, built_dal, capture, cargo, install_packages};
use crate::process::{root, run, target_dir, test_programs};
use crate::{
    export, faults, fixtures, fuzz, libtorch, mutants, onnx, package, page, python, slurm, tidy, valgrind, wheel,
};

/// What is checked.
#[derive(clap::Args)]
pub struct Args {
    /// Also what needs more than the toolchain, or long: fixtures (Python), sweeps under faults and on Slurm (Debian's
    /// packages, root), the report page in a browser (Chromium, Node), the unsafe kernels under valgrind, features that
    /// are off by default, the engine tch (libtorch). A missing prerequisite is installed, and is a failure where that
    /// is refused.
    #[arg(long)]
    full: bool,
    /// Leave out this stage.
    #[arg(long, value_name = "STAGE")]
    without: Vec<String>,
    /// Only what concerns this engine: tch.
    #[arg(long, conflicts_with = "full")]
    engine: Option<Engine>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// The engine on libtorch, which is a feature.
    Tch,
}

type Stage = (&'static str, fn() -> Result<()>);

const STAGES: &[Stage] = &[
    ("format", || run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("lints", || {
        run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]))
    }),
    ("docs", || {
        let args = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
        run(cargo(&args).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("tidy", || tidy::run_task(&[])),
    ("default build", no_libtorch),
    ("tests", || run(&mut cargo(&["test", "--workspace", "--locked", "--quiet"]))),
    ("query classes", || python::run_writing(&python::Args { check: true, cards: None })),
    ("packaging", package::run_packing),
];

const FULL_STAGES: &[Stage] = &[
    ("fixtures", || fixtures::run_scripts(&fixtures::Args { check: true, data: None })),
    ("recompute", recompute),
    ("onnx", onnx::run_onnx),
    ("export", export::run_export),
    ("fuzz", fuzz::run_minute),
    ("faults", faults::run_minutes),
    ("slurm", slurm::run_with_defaults),
    ("page", || page::run_browser(&page::Args { page: None })),
    ("valgrind", valgrind::run_memcheck),
    ("tutorial", || {
        run(&mut cargo(&["test", "--workspace", "--test", "tutorial", "--locked", "--quiet", "--", "--ignored"]))
    }),
    // Off by default for the time it takes to compile.
    ("features", features),
    ("python", wheel::run_checks),
    ("lapack", lapack),
    ("room", || drop_test_programs(&target_dir().join("debug/deps"))),
    ("mutants", || mutants::run_mutants(&mutants::Args { names: Vec::new() })),
];

const TCH_STAGES: &[Stage] = &[
    ("libtorch", || libtorch::run_task(&[])),
    ("tch lints", || {
        // The program that times lock-step training is nowhere built but here.
        let lints = ["clippy", "--all-targets", "--features", "dal-benches/tch"];
        run(cargo(&lints).args(WITH_TCH).args(without_tch()).args(["--", "-D", "warnings"]))
    }),
    ("tch docs", tch_docs),
    ("tch tests", tch_tests),
    ("tch sweep", tch_sweep),
];

/// All crates are selected, so that nothing is compiled again but what the feature changes.
const WITH_TCH: &[&str] = &["--locked", "--quiet", "--workspace", "--features", "dal-nn/tch,dal-bench/tch,dal-cli/tch"];

/// Leaves out the crates that do not have the feature: what is said of them is that of a default build. Leaving crates
/// out, unlike naming some, keeps the features of all dependencies.
fn without_tch() -> impl Iterator<Item = String> {
    let without =
        ["acq", "campaign", "core", "eval", "files", "geom", "kernels", "oracles", "report", "store", "tune", "work"];
    without.into_iter().map(|name| format!("--exclude=dal-{name}"))
}

fn tch_docs() -> Result<()> {
    run(cargo(&["doc", "--no-deps"]).args(WITH_TCH).args(without_tch()).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Deletes the programs of tests that have passed: together they take as much as libtorch, which comes next, and a
/// machine for continuous integration has little disk. Cargo links again what it finds missing.
fn drop_test_programs(deps: &Path) -> Result<()> {
    for entry in fs::read_dir(deps).with_context(|| deps.display().to_string())? {
        let path = entry?.path();
        // Libraries, metadata and lists of dependencies have other endings; a program has none but on Windows.
        if path.is_file() && path.extension().is_none_or(|ending| ending == "exe") {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// A default build knows nothing of libtorch.
fn no_libtorch() -> Result<()> {
    let tree = capture(&mut cargo(&["tree", "--workspace", "--locked", "--prefix", "none", "--format", "{p}"]))?;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    match names.into_iter().find(|name| ["tch", "torch-sys"].contains(name)) {
        Some(name) => bail!("`{name}` is among the dependencies of a default build"),
        None => Ok(()),
    }
}

/// Tests of formats that are off by default, told by their names.
fn features() -> Result<()> {
    let what = ["--lib", "-p", "dal-files", "-p", "dal-oracles", "--features", "dal-oracles/onnx,dal-oracles/parquet"];
    let programs = test_programs(&[what.as_slice(), &UNOPTIMISED].concat())?;
    for word in ["onnx", "parquet"] {
        let mut n_tests = 0;
        for tests in &programs {
            let listed = capture(Command::new(&tests.path).args(["--list", word]))?;
            n_tests += listed.lines().filter(|line| line.ends_with(": test")).count();
            run(Command::new(&tests.path).args(["--quiet", word]).current_dir(&tests.package))?;
        }
        if n_tests == 0 {
            bail!("no test has `{word}` in its name");
        }
    }
    Ok(())
}

/// Factorisations by the system's OpenBLAS equal those of the default.
fn lapack() -> Result<()> {
    if capture(Command::new("pkg-config").args(["--modversion", "openblas"])).is_err() {
        install_packages(&["pkg-config", "libopenblas-dev"])?;
    }
    let test = ["test", "-p", "dal-geom", "--lib", "--features", "lapack", "--locked", "--quiet", "linalg"];
    run(cargo(&test).args(UNOPTIMISED))
}

/// A small store whose picks and figures a script that shares no code with us computes again from its files.
fn recompute() -> Result<()> {
    let (dal, folder) = (built_dal(None)?, root().join("fixtures/recompute"));
    let python = fixtures::python_with(&folder)?;
    let store = target_dir().join("recompute");
    if store.exists() {
        std::fs::remove_dir_all(&store).with_context(|| store.display().to_string())?;
    }
    let report = store.join("report");
    run(Command::new(&dal).args(["bench", "run"]).arg(folder.join("sweep.toml")).arg("--store").arg(&store))?;
    run(Command::new(&dal).arg("report").arg(&store).arg("--out").arg(&report))?;
    let mut script = Command::new(python);
    script.arg(folder.join("recompute.py")).arg(&store).arg(report.join("tables/cells.csv"));
    for entry in std::fs::read_dir(store.join("runs"))? {
        let of_run = entry?;
        if of_run.file_name().to_string_lossy().contains("-random-") {
            continue;
        }
        for step in ["0", "2"] {
            let out = store.join("shown").join(of_run.file_name()).join(step);
            let mut show = Command::new(&dal);
            run(show.args(["bench", "show"]).arg(of_run.path()).args(["--step", step, "--out"]).arg(&out))?;
            script.arg(out);
        }
    }
    run(&mut script)
}

/// Everything of the engine's own crate, whose conformance suite covers both engines; of the others what uses the
/// feature.
fn tch_tests() -> Result<()> {
    // Not the tests of crates that only stand on the engine: they have passed.
    let left = ["dal-campaign", "dal-report", "dal-store", "dal-tune", "dal-work"];
    let left = left.iter().flat_map(|name| ["--exclude", name]);
    let targets = ["tch", "learner", "no_allocation", "plain_gradients", "pytorch"];
    let targets = targets.iter().flat_map(|name| ["--test", name]);
    let args: Vec<&str> = WITH_TCH[2..].iter().copied().chain(left).chain(["--lib"]).chain(targets).collect();
    for tests in test_programs(&args)? {
        let name = tests.package.file_name().unwrap_or_default();
        if ["dal-nn", "dal-bench", "dal-cli"].iter().any(|package| name == *package) {
            run(Command::new(&tests.path).arg("--quiet").current_dir(&tests.package))?;
        }
    }
    Ok(())
}

/// Every problem and method once, through the command line, and a report of it.
fn tch_sweep() -> Result<()> {
    build_dal(&WITH_TCH[3..])?;
    let dal = target_dir().join("debug/dal");
    let store = target_dir().join("tch-smoke");
    if store.exists() {
        fs::remove_dir_all(&store).with_context(|| store.display().to_string())?;
    }
    let sweep = root().join("benches/sweeps/smoke.toml");
    run(Command::new(&dal).args(["bench", "run"]).arg(sweep).arg("--store").arg(&store).args(["--engine", "tch"]))?;
    run(Command::new(&dal).arg("report").arg(&store).arg("--out").arg(store.join("report")))
}

/// Runs the stages, stopping at the first failure.
pub fn run_stages(args: &Args) -> Result<()> {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let stages: Vec<&Stage> = match args.engine {
        Some(Engine::Tch) => TCH_STAGES.iter().collect(),
        None if args.full => STAGES.iter().chain(FULL_STAGES).chain(TCH_STAGES).collect(),
        None => STAGES.iter().collect(),
    };
    if let Some(name) = args.without.iter().find(|name| stages.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = stages.iter().map(|(known, _)| *known).collect();
        bail!("--without {name}: there is no such stage; there are: {}", known.join(", "));
    }
    for (name, stage) in stages.into_iter().filter(|(name, _)| args.without.iter().all(|left| left != name)) {
        eprintln!("── {name}");
        let start = Instant::now();
        stage().with_context(|| format!("stage `{name}`"))?;
        let time = start.elapsed();
        // Where a later stage fails the table below is not reached.
        eprintln!("   {name}: {:.1} s", time.as_secs_f64());
        times.push((name, time));
    }
    eprintln!("── all stages passed");
    for (name, time) in times {
        eprintln!("{name:>14}  {:.1} s", time.as_secs_f64());
    }
    Ok(())
}
