//! `cargo xtask fixtures`: remakes or checks every fixture, each with the script and pinned packages of its folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use crate::environment::{environment, runs};
use crate::process::{root, run};

/// What to do with the fixtures.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fixtures --check               check what needs no raw data
  cargo xtask fixtures --check --data DIR    refit the forests from the UCI tables in DIR too, and compare (ADM: DIR/adm)
  cargo xtask fixtures --data DIR            write them anew")]
pub struct Args {
    /// Compare with what is committed instead of writing.
    #[arg(long)]
    pub check: bool,
    /// Folder of the raw tables, which this repository does not hold; without it, what needs them is left out and
    /// named.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// A script under `fixtures/` (or elsewhere in the repository) and how it is called.
struct Fixture {
    /// Folder, which also holds `requirements.txt`.
    folder: &'static str,
    script: &'static str,
    /// Arguments before the data folder.
    args: &'static [&'static str],
    data: Data,
}

/// Whether a script takes the folder of raw tables.
#[derive(PartialEq)]
enum Data {
    Unused,
    /// It does more with it, and says what it left out without.
    Optional,
    Required,
}

const FIXTURES: &[Fixture] = &[
    Fixture { folder: "fixtures/golden", script: "golden.py", args: &[], data: Data::Unused },
    Fixture { folder: "fixtures/forest", script: "forest.py", args: &["fit"], data: Data::Required },
    Fixture { folder: "fixtures/forest", script: "exported.py", args: &[], data: Data::Unused },
    // Fitting and training take minutes and packages of their own, so they are called by hand: see the folder's README.
    Fixture { folder: "fixtures/adm", script: "adm.py", args: &["--keep"], data: Data::Optional },
    Fixture { folder: "fixtures/onnx", script: "onnx_models.py", args: &[], data: Data::Unused },
    Fixture { folder: "fixtures/bmdal", script: "bmdal.py", args: &[], data: Data::Unused },
    Fixture { folder: "fixtures/select", script: "select_reference.py", args: &[], data: Data::Unused },
];

/// Scripts that run at the same time: each computes on one core.
const AT_ONCE: usize = 2;

/// Remakes or checks all of them.
pub fn run_scripts(args: &Args) -> Result<()> {
    let is_left_out = |fixture: &&Fixture| fixture.data == Data::Required && args.data.is_none();
    let (left_out, due): (Vec<&Fixture>, Vec<&Fixture>) = FIXTURES.iter().partition(is_left_out);
    // Scripts of one folder share an environment, which is made once.
    let folders: Vec<&[&Fixture]> = due.chunk_by(|a, b| a.folder == b.folder).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
            for fixture in *folder {
                run_script(fixture, args)?;
                eprintln!("{}: {} done", fixture.folder, fixture.script);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|worker| worker.join().expect("a script's thread does not panic"));
        // All come to their end first, so that no script is left running.
        ends.collect::<Vec<Result<()>>>().into_iter().collect::<Result<()>>()
    })?;
    for fixture in left_out {
        eprintln!(
            "{}: left out; it is fitted to raw tables that this repository does not hold (give --data DIR)",
            fixture.folder
        );
    }
    Ok(())
}

/// Remakes or checks one.
fn run_script(fixture: &Fixture, args: &Args) -> Result<()> {
    let folder = root().join(fixture.folder);
    let python = python_with(&folder)?;
    let mut command = Command::new(python);
    command.arg(folder.join(fixture.script)).args(fixture.args);
    if let (true, Some(data)) = (fixture.data != Data::Unused, &args.data) {
        command.arg(std::path::absolute(data)?);
    }
    if args.check {
        command.arg("--check");
    }
    run(command.current_dir(&folder)).with_context(|| {
        format!("{}: the fixture and what its script makes differ, or the script failed", fixture.folder)
    })
}

/// A Python with the packages that a folder's `requirements.txt` pins, in an environment under the target directory.
pub fn python_with(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().context("a folder")?.to_string_lossy();
    let Some(base) = ["python3.11", "python3"].map(Path::new).into_iter().find(|program| runs(program)) else {
        bail!("this task needs Python 3 (scikit-learn 1.2.2 wants 3.8 to 3.11); none was found")
    };
    environment(base, &name, &[folder.join("requirements.txt")])
}
