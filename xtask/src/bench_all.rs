//! `cargo xtask bench-all`: builds `dal`, runs a tier's sweep, writes the report, prints where it is.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::libtorch;
use crate::process::{Failed, cargo, root, run, target_dir};

/// Tiers of the benchmark: sweep files under `benches/sweeps/`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench-all                          the quick tier, all cores
  cargo xtask bench-all --plan                   what it would run and for how long, nothing else
  cargo xtask bench-all --tier smoke             everything once, in about a minute
  cargo xtask bench-all --tier paper --jobs 16   the published protocol; some 45 000 core-hours
  cargo xtask bench-all --tier desk --engine tch --device cuda:0   on a GPU; brings libtorch first (docs/gpu.md)

A second call goes on where the first one stopped: finished runs are kept, interrupted ones resumed.")]
pub struct Args {
    /// How much to run: smoke, quick, desk, paper or timing.
    #[arg(long, default_value = "quick")]
    tier: String,
    /// Trials that run at the same time, one thread each [default: one per core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Who trains: cpu, or tch, which is built with libtorch and brings it on first use [default: the tier's, cpu].
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Where the engine tch trains: cpu, cuda:N [default: cpu].
    #[arg(long, value_name = "DEVICE", requires = "engine")]
    device: Option<String>,
    /// Matrix products of its training: f32, tf32 (CUDA), bf16 [default: f32].
    #[arg(long, value_name = "NAME", requires = "engine")]
    precision: Option<String>,
    /// Where runs are kept [default: runs/TIER, with -tch for that engine].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Print the number of runs and the estimate, and stop.
    #[arg(long)]
    plan: bool,
}

/// What the project's own runs found, said beside a tier's findings.
const EVIDENCE: [&str; 2] = ["docs/results/evidence/a", "docs/results/evidence/b"];

/// Builds, runs, reports.
pub fn run_tier(args: &Args) -> Result<()> {
    let sweep = root().join("benches/sweeps").join(format!("{}.toml", args.tier));
    if !sweep.is_file() {
        bail!("there is no tier `{}`; there are: {}", args.tier, tiers()?.join(", "));
    }
    let with_tch = args.engine.as_deref() == Some("tch");
    if with_tch {
        libtorch::run_task(&[])?;
    }
    eprintln!("building dal (release)");
    let features: &[&str] = if with_tch { &["--features", "tch"] } else { &[] };
    run(cargo(&["build", "--release", "--locked", "--quiet", "--package", "dal-cli"]).args(features))?;
    let dal = target_dir().join("release").join(format!("dal{}", std::env::consts::EXE_SUFFIX));
    let store = match &args.store {
        Some(dir) => std::path::absolute(dir)?,
        None => root().join("runs").join(format!("{}{}", args.tier, if with_tch { "-tch" } else { "" })),
    };
    let mut bench = Command::new(&dal);
    bench.args(["bench", "run"]).arg(&sweep).arg("--store").arg(&store);
    if let Some(jobs) = args.jobs {
        bench.arg("--jobs").arg(jobs.to_string());
    }
    for (flag, value) in [("--engine", &args.engine), ("--device", &args.device), ("--precision", &args.precision)] {
        if let Some(value) = value {
            bench.args([flag, value]);
        }
    }
    if args.plan {
        bench.arg("--plan");
    }
    // Some runs failed: the page is there to show which and why.
    let partly = match run(&mut bench) {
        Ok(()) => None,
        Err(error) if error.downcast_ref::<Failed>().is_some_and(|failed| failed.code == Some(1)) => Some(error),
        Err(error) => return Err(error),
    };
    if args.plan {
        return Ok(());
    }
    let mut report = Command::new(&dal);
    report.arg("report").arg(&store).arg("--out").arg(store.join("report"));
    for tables in EVIDENCE {
        let evidence = root().join(tables);
        if evidence.join("schema.json").is_file() {
            report.arg("--evidence").arg(evidence);
        } else {
            eprintln!("note: {tables} is not there: what the evidence found is not said");
        }
    }
    run(&mut report)?;
    partly.map_or(Ok(()), Err)
}

fn tiers() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("benches/sweeps")).context("benches/sweeps")? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            names.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
