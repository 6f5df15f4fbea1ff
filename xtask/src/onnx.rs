//! `cargo xtask onnx`: campaigns of every kind of input and output, exported as ONNX, held against `dal predict` by
//! ONNX Runtime.

use std::process::Command;

use anyhow::{Context, Result};

use crate::fixtures::python_with;
use crate::process::{build_dal, root, run, target_dir};

/// Builds `dal` and the library's example, and lets the script make campaigns and compare.
pub fn run_onnx() -> Result<()> {
    build_dal(&[])?;
    let (built, folder, script) =
        (target_dir().join("debug"), target_dir().join("onnx"), root().join("fixtures/onnx-export"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let convolutions = folder.join("convolutions");
    run(Command::new(built.join("examples/onnx")).arg(&convolutions))?;
    let mut check = Command::new(python_with(&script)?);
    check.arg(script.join("check_export.py")).arg(built.join("dal")).arg(folder.join("campaigns")).arg(&convolutions);
    run(&mut check)
}
