//! `cargo xtask bench-peers`: the same work against what a user would pick instead, side by side: its time, and of
//! whole campaigns the error.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::process::{cargo, root, run, target_dir};
use crate::{libtorch, wheel};

/// What is compared with whom.
#[derive(clap::Args)]
#[command(
    after_help = "Sets up one Python environment per peer with pinned packages (7 GB), times everything in turns, checks that the
answers agree, and writes tables to docs/results. Let the machine do nothing else meanwhile. Campaigns are whole ones of
200 labels, five seeds: their errors are what is compared, and an interrupted call goes on where it was.

--check times nothing: each peer does the least that shows whether it works, and has a line that says so or why not. It
goes on past one that fails and then ends with exit code 1.

Examples:
  cargo xtask bench-peers                           everything: two hours, and several for campaigns
  cargo xtask bench-peers selection
  cargo xtask bench-peers --check                   no timing: do all of them still build and agree?
  cargo xtask bench-peers training --lock-step
  cargo xtask bench-peers training --out table -- --networks sine,hydro --threads 1
  cargo xtask bench-peers campaign -- --tools 'dal campaign' egobox --seeds 5 --jobs 2
  cargo xtask bench-peers python -- --points 480 --rounds 3"
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Query methods against scikit-activeml, bmdal-reg and NumPy.
    Selection,
    /// Training of ensembles against PyTorch and JAX.
    Training,
    /// Campaigns of 200 labels against egobox, scikit-activeml and BayBE.
    Campaign,
    /// The Python package against scikit-learn, scikit-activeml and the engine that it wraps.
    Python,
}

impl Subject {
    /// The script, and our binaries: the flag that the script takes each by, its package, its name.
    fn parts(self) -> (&'static str, &'static [[&'static str; 3]]) {
        match self {
            Self::Selection => ("benches/peers/select/run.py", &[["--rust", "dal-benches", "select_timing"]]),
            Self::Training => ("benches/peers/train/run.py", &[["--rust", "dal-benches", "train_timing"]]),
            Self::Campaign => ("benches/peers/campaign/run.py", &[["--dal", "dal-cli", "dal"]]),
            Self::Python => (
                "benches/peers/python/run.py",
                &[["--train", "dal-benches", "train_timing"], ["--select", "dal-benches", "select_timing"]],
            ),
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
    let subjects = args.subject.map_or_else(|| Subject::value_variants().to_vec(), |subject| vec![subject]);
    let mut failed = Vec::new();
    for subject in subjects {
        match run_subject(args, subject) {
            // The others are looked at all the same.
            Err(error) if args.check => {
                eprintln!("error: {error:#}");
                failed.push(format!("{subject:?}").to_lowercase());
            }
            other => other?,
        }
    }
    if !failed.is_empty() {
        bail!("not all peers work; see the lines above of: {}", failed.join(", "));
    }
    Ok(())
}

fn run_subject(args: &Args, subject: Subject) -> Result<()> {
    let (script, binaries) = subject.parts();
    let mut python = Command::new("python3");
    python.arg(root().join(script)).arg("--out").arg(std::path::absolute(&args.out)?);
    python.arg("--environments").arg(target_dir().join("python"));
    for [flag, package, binary] in binaries {
        python.arg(flag).arg(built(args, package, binary, &[])?);
    }
    if args.lock_step && subject == Subject::Training {
        libtorch::run_task(&[])?;
        python.arg("--lock-step").arg(built(args, "dal-benches", LOCK_STEP, &["--features", "tch"])?);
    }
    match subject {
        Subject::Campaign => {
            python.arg("--runs").arg(target_dir().join("peers-campaign"));
        }
        Subject::Python => {
            let built = if args.check { wheel::for_development()? } else { wheel::for_release()? };
            python.arg("--wheel").arg(built);
        }
        Subject::Selection | Subject::Training => {}
    }
    if args.check {
        python.arg("--check");
    }
    run(python.args(&args.rest).current_dir(root()))
}

/// One of our binaries: what is timed is built for release, what is only looked at for development.
fn built(args: &Args, package: &str, binary: &str, words: &[&str]) -> Result<PathBuf> {
    let (profile, folder): (&[&str], _) = if args.check { (&[], "debug") } else { (&["--release"], "release") };
    let build = ["build", "--locked", "--quiet", "--package", package, "--bin", binary];
    run(cargo(&build).args(profile).args(words))?;
    Ok(target_dir().join(folder).join(binary))
}
