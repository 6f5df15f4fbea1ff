//! `dal withdraw`: points that are not wanted any more.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::write;
use crate::Done;
use crate::output::outln;

/// Ids in.
#[derive(clap::Args)]
#[command(after_help = "Points that have an answer cannot be withdrawn. An answer that comes after all is taken.

Examples:
  dal withdraw beam 12 13 14
  dal withdraw 12              in a campaign's folder")]
pub struct Args {
    /// The campaign's folder (default: this one), and the points' ids.
    #[arg(required = true, value_names = ["FOLDER", "ID"], num_args = 1..)]
    words: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let (folder, ids) = match args.words[0].parse::<u64>() {
        Ok(_) => (PathBuf::from("."), &args.words[..]),
        Err(_) => (PathBuf::from(&args.words[0]), &args.words[1..]),
    };
    let mut numbers = Vec::with_capacity(ids.len());
    for id in ids {
        match id.parse::<u64>() {
            Ok(number) => numbers.push(number),
            Err(_) => bail!("`{id}` is no id of a point: give whole numbers, as `dal status` shows them"),
        }
    }
    let n = write(&folder)?.withdraw(&numbers)?;
    outln!("{n} point{} withdrawn", if n == 1 { "" } else { "s" });
    Ok(Done::Fully)
}
