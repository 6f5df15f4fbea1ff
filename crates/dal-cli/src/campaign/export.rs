//! `dal export`: a campaign's points as a table, or its model as a file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

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
    let mut folder = read(&args.folder)?;
    if args.learn_all {
        if !args.to.is_model() {
            bail!("--learn-all is of a model: with --to safetensors or --to onnx");
        }
        learn_all(&mut folder)?;
    }
    if args.to.is_model() && args.out.is_none() && std::io::stdout().is_terminal() {
        bail!("a model is no text for a terminal; name a file with --out");
    }
    let bytes = match args.to {
        To::Csv => folder.export_csv().into_bytes(),
        To::Dakota => folder.export_dakota()?.into_bytes(),
        To::Safetensors => dal_campaign::model::model_file(&folder, trainer(args.threads)?, &Stop::new())?,
        To::Onnx => dal_campaign::onnx::onnx_file(&folder, trainer(args.threads)?, &Stop::new())?,
    };
    match &args.out {
        Some(path) => whole(path, &bytes).with_context(|| format!("{}: cannot be written", path.display()))?,
        None => std::io::stdout().write_all(&bytes)?,
    }
    Ok(Done::Fully)
}

/// Writes a file whole or not at all; what is no plain file (a pipe, `/dev/stdout`) is written to as it is.
fn whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return std::fs::write(path, bytes);
    }
    // Where the name is a link, the file that it leads to is written, beside which there is room to rename.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, &path)).inspect_err(|_| {
        // It may not be there.
        let _ = std::fs::remove_file(&temporary);
    })
}
