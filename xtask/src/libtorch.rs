//! `cargo xtask libtorch`: hands over to the package `xtask-libtorch`, which alone is built with an HTTPS client.

use std::ffi::OsString;

use anyhow::Result;

use crate::process::{cargo, run};

/// Arguments of `xtask-libtorch`, its `--help` included.
#[derive(clap::Args)]
pub struct Args {
    /// Handed on (see `cargo xtask libtorch --help`).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub rest: Vec<OsString>,
}

/// Builds the package and runs it.
pub fn run_task(args: &[OsString]) -> Result<()> {
    run(cargo(&["run", "--quiet", "--locked", "--package", "xtask-libtorch", "--"]).args(args))
}
