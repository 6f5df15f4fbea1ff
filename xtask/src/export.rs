//! `cargo xtask export`: exports a small store and reads the tables back with pandas, polars and DuckDB.

use std::process::Command;

use anyhow::{Context, Result};

use crate::fixtures::python_with;
use crate::process::{UNOPTIMISED, built_dal, cargo, root, run, target_dir};

/// Exports in every format, and checks what other programs make of them.
pub fn run_export() -> Result<()> {
    let dal = built_dal(None)?;
    let folder = target_dir().join("export");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let store = folder.join("store");
    let sweep = root().join("benches/sweeps/smoke.toml");
    run(Command::new(&dal).args(["bench", "run"]).arg(sweep).arg("--store").arg(&store))?;
    run(Command::new(&dal).args(["bench", "verify"]).arg(&store))?;
    // Reading a store and writing tables needs no optimisation, which the dependencies would be compiled anew with.
    run(cargo(&["build", "--locked", "--quiet", "--package", "dal-cli", "--features", "parquet"]).args(UNOPTIMISED))?;
    let script = root().join("fixtures/export");
    let mut read_back = Command::new(python_with(&script)?);
    read_back.arg(script.join("read_back.py"));
    for format in ["csv", "csv.gz", "parquet"] {
        let tables = folder.join(format);
        let export = ["bench", "export", "--format", format];
        run(Command::new(&dal).args(export).arg(&store).arg("--out").arg(&tables).stdout(std::process::Stdio::null()))?;
        read_back.arg(tables);
    }
    run(&mut read_back)
}
