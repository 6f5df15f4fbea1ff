//! `cargo xtask bench-peers`: the same work against what a user would pick instead, side by side: its time, and of
//! whole campaigns the error.

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
answers agree, and writes tables to docs/results. Let the machine do nothing else meanwhile. Campaigns are whole ones of
200 labels, five seeds: their errors are what is compared, and an interrupted call goes on where it was.

Examples:
  cargo xtask bench-peers                           everything: an hour, and several for campaigns
  cargo xtask bench-peers selection
  cargo xtask bench-peers --check                   no timing: do all of them still build and agree?
  cargo xtask bench-peers training --lock-step
  cargo xtask bench-peers training --out table -- --networks sine,hydro --threads 1
  cargo xtask bench-peers campaign -- --tools 'dal campaign' egobox --seeds 5 --jobs 2"
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
    /// Campaigns of 200 labels against egobox, scikit-activeml and BayBE.
    Campaign,
}

impl Subject {
    /// The package of our binary, the binary, the script, and the script's flag for the binary.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Selection => ("dal-benches", "select_timing", "benches/peers/select/run.py", "--rust"),
            Self::Training => ("dal-benches", "train_timing", "benches/peers/train/run.py", "--rust"),
            Self::Campaign => ("dal-cli", "dal", "benches/peers/campaign/run.py", "--dal"),
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
        None => vec![Subject::Selection, Subject::Training, Subject::Campaign],
    };
    for subject in subjects {
        let (package, binary, script, flag) = subject.parts();
        run(&mut cargo(&["build", "--release", "--locked", "--quiet", "--package", package, "--bin", binary]))?;
        let ours = target_dir().join("release").join(binary);
        let mut python = Command::new("python3");
        if args.lock_step && subject == Subject::Training {
            libtorch::run_task(&[])?;
            let build = ["build", "--release", "--locked", "--quiet", "--package", "dal-benches", "--features", "tch"];
            run(cargo(&build).args(["--bin", LOCK_STEP]))?;
        }
        python.arg(root().join(script)).arg(flag).arg(ours).arg("--out").arg(std::path::absolute(&args.out)?);
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
