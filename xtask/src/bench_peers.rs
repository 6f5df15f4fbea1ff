//! `cargo xtask bench-peers`: the same work timed against what a user would pick instead, side by side in one run.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::libtorch;
use crate::process::{cargo, root, run, target_dir};

/// What is compared with whom.
#[derive(clap::Args)]
#[command(
    after_help = "Sets up one Python environment per peer with pinned packages (several GB), times everything in turns, checks that the
answers agree, and writes tables to docs/results. Let the machine do nothing else meanwhile.

Examples:
  cargo xtask bench-peers                           everything, about an hour
  cargo xtask bench-peers selection
  cargo xtask bench-peers --check                   no timing: do all of them still build and agree?
  cargo xtask bench-peers training --lock-step
  cargo xtask bench-peers training --out table -- --networks sine,hydro --threads 1"
)]
pub struct Args {
    /// Only this.
    subject: Option<Subject>,
    /// Training: the engine on libtorch takes part, twelve trials in lock step (`cargo xtask libtorch` brings
    /// libtorch).
    #[arg(long)]
    lock_step: bool,
    /// Only see that every environment builds, and trains and chooses as ours does; nothing is timed or written.
    #[arg(long)]
    check: bool,
    /// Where tables are written, one per kind of processor.
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    out: PathBuf,
    /// Handed on to the script (see its --help).
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Query methods against scikit-activeml, bmdal-reg and NumPy.
    Selection,
    /// Training of ensembles against PyTorch and JAX.
    Training,
}

impl Subject {
    /// Our binary, and the script that times it against the peers.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Selection => ("select_timing", "benches/peers/select/run.py"),
            Self::Training => ("train_timing", "benches/peers/train/run.py"),
        }
    }
}

/// The program that trains in lock step.
const LOCK_STEP: &str = "lockstep_timing";

/// Builds ours, runs the scripts.
pub fn run_peers(args: &Args) -> Result<()> {
    if args.subject.is_none() && !args.rest.is_empty() {
        bail!("name a subject to hand arguments on to its script");
    }
    let subjects = match args.subject {
        Some(subject) => vec![subject],
        None => vec![Subject::Selection, Subject::Training],
    };
    for subject in subjects {
        let (binary, script) = subject.parts();
        run(&mut cargo(&["build", "--release", "--locked", "--quiet", "--package", "dal-benches", "--bin", binary]))?;
        let ours = target_dir().join("release").join(binary);
        let mut python = Command::new("python3");
        if args.lock_step && subject == Subject::Training {
            libtorch::run_task(&[])?;
            let build = ["build", "--release", "--locked", "--quiet", "--package", "dal-benches", "--features", "tch"];
            run(cargo(&build).args(["--bin", LOCK_STEP]))?;
        }
        python.arg(root().join(script)).arg("--rust").arg(ours).arg("--out").arg(std::path::absolute(&args.out)?);
        if args.lock_step && subject == Subject::Training {
            python.arg("--lock-step").arg(target_dir().join("release").join(LOCK_STEP));
        }
        if args.check {
            python.arg("--check");
        }
        run(python.args(&args.rest).current_dir(root()))?;
    }
    Ok(())
}
