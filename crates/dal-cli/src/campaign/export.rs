//! `dal export`: a campaign's points as a table, or its model as a file.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dal_core::Stop;

use super::{learn_all, read, trainer};
use crate::Done;

/// A folder in, a file out.
#[derive(clap::Args)]
#[command(
    after_help = "csv: every point with its id, inputs, outputs, state, round and the probability of its draw, where
that is known; `dal tell` takes such a table, in another campaign, too.
dakota: those that have answers, as `%eval_id interface x1 … y1 …`.
safetensors: the networks of the model, with all that a reader needs to go from physical inputs to
physical outputs; with --learn-all of a last model that learns the held-out points, too.

Examples:
  dal export beam --to csv > beam.csv
  dal export beam --to safetensors --out beam.safetensors
  dal export beam --to safetensors --learn-all --out beam.safetensors"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// What is wanted.
    #[arg(long, value_enum)]
    to: To,
    /// Learn the points that are held out, too (the model alone).
    #[arg(long)]
    learn_all: bool,
    /// Write to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Threads that train [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// The points.
    Csv,
    /// The points with answers, in Dakota's annotated tabular form.
    Dakota,
    /// The model.
    Safetensors,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let mut folder = read(&args.folder)?;
    if args.learn_all {
        if args.to != To::Safetensors {
            bail!("--learn-all is of a model: with --to safetensors");
        }
        learn_all(&mut folder)?;
    }
    let bytes = match args.to {
        To::Csv => folder.export_csv().into_bytes(),
        To::Dakota => folder.export_dakota()?.into_bytes(),
        To::Safetensors => {
            if args.out.is_none() && std::io::stdout().is_terminal() {
                bail!("a model is no text for a terminal; name a file with --out");
            }
            dal_campaign::model::model_file(&folder, trainer(args.threads)?, &Stop::new())?
        }
    };
    match &args.out {
        Some(path) => std::fs::write(path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?,
        None => std::io::stdout().write_all(&bytes)?,
    }
    Ok(Done::Fully)
}
