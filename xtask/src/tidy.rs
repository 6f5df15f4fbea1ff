//! `cargo xtask tidy`: hands over to the package `xtask-tidy`, which alone is built with a parser of Rust.

use std::ffi::OsString;

use anyhow::Result;

use crate::process::{cargo, run};

/// Arguments of `xtask-tidy`, its `--help` included.
#[derive(clap::Args)]
pub struct Args {
    /// Handed on (see `cargo xtask tidy --help`).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub rest: Vec<OsString>,
}

/// Builds the package and runs it.
pub fn run_task(args: &[OsString]) -> Result<()> {
    run(cargo(&["run", "--quiet", "--locked", "--package", "xtask-tidy", "--"]).args(args))
}
