//! `dal undo`: takes back what was said last.

use std::path::PathBuf;

use anyhow::Result;

use super::write;
use crate::Done;
use crate::output::outln;

/// A folder in.
#[derive(clap::Args)]
#[command(
    after_help = "What was drawn, handed out, told or withdrawn last does not count any more; the log keeps it and
that it was taken back. Call it again to take back what was said before that. Ids are never given
twice.

Examples:
  dal undo beam                for example after a table was told by mistake"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let what = write(&args.folder)?.undo()?;
    outln!("taken back: {what}");
    Ok(Done::Fully)
}
