//! `cargo xtask ci`: the checks of continuous integration, stage by stage, with their times.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process::{cargo, run};
use crate::{fixtures, package, page, tidy, valgrind};

/// What is checked.
#[derive(clap::Args)]
pub struct Args {
    /// Also what needs more than the toolchain, or long: fixtures (Python), the report page in a browser (Chromium, Node),
    /// the unsafe kernels under valgrind, features that are off by default. A missing prerequisite is installed, and is a
    /// failure where that is refused.
    #[arg(long)]
    full: bool,
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
    ("tidy", tidy::run),
    ("tests", || run(&mut cargo(&["test", "--workspace", "--locked", "--quiet"]))),
    ("packaging", package::run_packing),
];

const FULL_STAGES: &[Stage] = &[
    ("fixtures", || fixtures::run_scripts(&fixtures::Args { check: true, data: None })),
    ("page", || page::run_browser(&page::Args { page: None })),
    ("valgrind", valgrind::run_memcheck),
    // Off by default for the time it takes to compile.
    ("features", || {
        run(&mut cargo(&["test", "-p", "dal-oracles", "--features", "onnx,parquet", "--locked", "--quiet"]))
    }),
];

/// Runs the stages, stopping at the first failure.
pub fn run_stages(args: &Args) -> Result<()> {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let stages = STAGES.iter().chain(FULL_STAGES.iter().filter(|_| args.full));
    for (name, stage) in stages {
        eprintln!("── {name}");
        let start = Instant::now();
        stage().with_context(|| format!("stage `{name}`"))?;
        times.push((name, start.elapsed()));
    }
    eprintln!("── all stages passed");
    for (name, time) in times {
        eprintln!("{name:>12}  {:.1} s", time.as_secs_f64());
    }
    Ok(())
}
