//! `dal export`: a campaign's points as a table, or its model as a file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dal_campaign::CampaignError;
use dal_core::Stop;

use super::{learn_all, read, trainer};
use crate::Done;
use crate::output::{say, write_whole};

/// A folder in, a file out.
#[derive(clap::Args)]
#[command(
    after_help = "csv: every point with its id, inputs, outputs, state, round and the probability of its draw, where
that is known; `dal tell` takes such a table, in another campaign, too (by its values). Once the
problem file has other columns than the campaign began with, it is written under the old ones.
dakota: those that have answers, as `%eval_id interface x1 … y1 …`.
safetensors: the networks of the model, with all that a reader needs to go from physical inputs to
physical outputs; with --learn-all of a last model that learns the held-out points, too (the one
without them is trained first where it is not there, as its error is an upper guess).
onnx: the same model as one graph for ONNX Runtime and the like. Its input x has a row for each
point and a column for each input in the problem file's order, 64-bit floats in the inputs' own
units; an input with levels is the 0-based number of its level. Its outputs mean and spread are
what `dal predict` calls NAME and NAME_sd; rows that it would refuse give NaN. Metadata name the
columns with units, bounds and levels, the labels, and the error with its interval.

Examples:
  dal export beam --to csv > beam.csv
  dal export beam --to safetensors --out beam.safetensors
  dal export beam --to safetensors --learn-all --out beam.safetensors
  dal export beam --to onnx --out beam.onnx"
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
    /// The model's networks.
    Safetensors,
    /// The model as a graph of physical values.
    Onnx,
}

impl To {
    fn is_model(self) -> bool {
        matches!(self, Self::Safetensors | Self::Onnx)
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.to.is_model() && args.out.is_none() && std::io::stdout().is_terminal() {
        bail!("a model is no text for a terminal; name a file with --out");
    }
    if args.learn_all && !args.to.is_model() {
        bail!("--learn-all is of a model: with --to safetensors or --to onnx");
    }
    if args.to == To::Csv
        && let Some(table) = begun(&args.folder)?
    {
        say!(
            "note: the problem file has other columns by now; the points are written under those that the campaign began \
             with"
        );
        return deliver(args, table.as_bytes());
    }
    let (folder, before) = match args.learn_all {
        true => learn_all(&args.folder, args.to == To::Onnx, trainer(args.threads)?)?,
        false => (read(&args.folder)?, None),
    };
    let bytes = match args.to {
        To::Csv => folder.export_csv().into_bytes(),
        To::Dakota => folder.export_dakota()?.into_bytes(),
        To::Safetensors => dal_campaign::model::model_file(&folder, trainer(args.threads)?, &Stop::new())?,
        To::Onnx => dal_campaign::onnx::onnx_file(&folder, before.as_ref(), trainer(args.threads)?, &Stop::new())?,
    };
    deliver(args, &bytes)
}

/// The points of a campaign that cannot be opened because its problem file has other columns now: what they are told
/// to another one by. None where it can be opened, or cannot for another reason.
fn begun(folder: &Path) -> Result<Option<String>> {
    match read(folder).map_err(|error| error.downcast::<CampaignError>()) {
        Err(Ok(CampaignError::Columns { .. })) => Ok(Some(dal_campaign::export::export_begun(folder)?)),
        _ => Ok(None),
    }
}

fn deliver(args: &Args, bytes: &[u8]) -> Result<Done> {
    match &args.out {
        Some(path) => write_whole(path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?,
        None => std::io::stdout().write_all(bytes)?,
    }
    Ok(Done::Fully)
}
