//! `cargo xtask fixtures`: remakes or checks every fixture, each with the script and pinned packages of its folder.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Remakes or checks all of them.
pub fn run_scripts(args: &Args) -> Result<()> {
    let mut left_out = Vec::new();
    for fixture in FIXTURES {
        if fixture.data == Data::Required && args.data.is_none() {
            left_out.push(fixture.folder);
            continue;
        }
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
        eprintln!("{}", fixture.folder);
        run(command.current_dir(&folder)).with_context(|| {
            format!("{}: the fixture and what its script makes differ, or the script failed", fixture.folder)
        })?;
    }
    for folder in left_out {
        eprintln!(
            "{folder}: left out; it is fitted to raw tables that this repository does not hold (give --data DIR)"
        );
    }
    Ok(())
}

/// A Python with the packages that a folder's `requirements.txt` pins, in an environment under the target directory.
pub fn python_with(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().context("a folder")?.to_string_lossy();
    let Some(base) = ["python3.11", "python3"].map(Path::new).into_iter().find(|program| runs(program)) else {
        bail!("this task needs Python 3 (scikit-learn 1.2.2 wants 3.8 to 3.11); none was found")
    };
    environment(base, &name, &[folder.join("requirements.txt")])
}
