//! `dal label`: evaluates a problem's oracle at the points of a CSV file.

mod journal;
mod lines;
mod sink;

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result};
use dal_core::{LabelFailure, LabelFailureKind, OracleError, Stop};
use dal_files::Source;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Axis;

use self::journal::{Journal, Outputs};
use self::sink::{Sink, Stdout};
use crate::Done;
use crate::bench::interrupts;
use crate::data::say_notes;
use crate::output::say;
use crate::problem::{Columns, find_problem, remembered};

/// Points in, labels out.
#[derive(clap::Args)]
#[command(
    after_help = "The input is a table with a header: CSV of any dialect, gzip, NumPy. Under x0,x1,… it holds points of the unit
box [-1, 1]; under the problem's own input names (see `dal problems NAME`) it holds physical values, levels of
categories by name. Columns may stand in any order; others are ignored, and named.

Labels go to standard output under the names of a user's outputs (y0,y1,… of a built-in problem), one line per row and in
the same order, or, with --as-they-come, each at once behind the number of its row. A row without a label is a line of
empty cells; it is named on standard error with the reason, and the exit code is 1. That includes rows outside the
problem's bounds. With --out they go to a file, each as soon as it is known, behind the 0-based input row and the point as
the input has it, failures with their reason in the last column; at the end the file is brought into the order of the
input, unless --as-they-come. Rows that the file holds a label of are not asked for again, so that an interrupted call
(Ctrl-C) can be repeated; rows that failed are. A spreadsheet may save the file in between. One call at a time writes a
file. A file of other points is refused, and one whose labels a built-in problem does not confirm; what labels a user's
program would give is not compared.

Examples:
  dal label sine --input x.csv > y.csv
  dal label stack --set spectrum=absorptance-256 --input x.csv
  dal label my-simulator.toml --input points.csv --out labels.csv"
)]
pub struct Args {
    /// A problem's id, or the path of a problem.toml.
    problem: String,
    /// The points; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Append labels to this file as they arrive, and skip the rows that it holds.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the answers of your own program or model are kept [default: NAME.answers beside the problem file NAME.toml].
    #[arg(long, value_name = "DIR")]
    answers: Option<PathBuf>,
    /// Leave the lines in the order in which they come.
    #[arg(long)]
    as_they_come: bool,
    /// A setting of the problem.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let problem = remembered(find_problem(&args.problem, &args.settings)?, args.answers.as_deref())?;
    let columns = Columns::of(&problem);
    let (points, notes) = dal_files::points(Source::open(&args.input)?, &columns.inputs(&problem))?;
    say_notes(notes);
    let (x, outside) = (&points.x, &points.outside);
    let numbered: Vec<String> = (0..problem.oracle().n_outputs()).map(|k| format!("y{k}")).collect();
    let own = || problem.outputs().iter().map(|output| output.name.clone()).collect();
    let outputs = Outputs { names: if problem.card().is_none() { own() } else { numbered.clone() }, numbered };

    let mut sink = match &args.out {
        Some(path) => Sink::File(Journal::open(path, &points, &outputs, args.as_they_come)?),
        None => Sink::Stdout(Stdout::start(&outputs.names, args.as_they_come)?),
    };
    let open: Vec<usize> = match &sink {
        Sink::File(journal) => {
            journal.check(&problem)?;
            (0..x.nrows()).filter(|i| !journal.known[*i]).collect()
        }
        Sink::Stdout(_) => (0..x.nrows()).collect(),
    };
    if open.len() < x.nrows() {
        say!("{} of {} rows are labelled already", x.nrows() - open.len(), x.nrows());
    }
    let mut n_failed = 0;
    for (row, reason) in outside.iter().filter(|(row, _)| open.binary_search(row).is_ok()) {
        let failure = LabelFailure::new(LabelFailureKind::Refused, reason.clone());
        say!("row {row}: {failure}");
        sink.write(*row, Err(&failure))?;
        n_failed += 1;
    }
    let is_outside = |row: &usize| outside.binary_search_by_key(row, |(row, _)| *row).is_ok();
    let rows: Vec<usize> = open.iter().copied().filter(|row| !is_outside(row)).collect();
    // A built-in problem answers at once and has nothing that Ctrl-C could not end.
    let stop = if problem.card().is_none() { interrupts("the calls in progress")? } else { Stop::new() };
    let bar = ProgressBar::new(rows.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} labels, {eta} left").expect("a valid template"));

    let mut answered = vec![false; rows.len()];
    let batch = x.select(Axis(0), &rows);
    let mut unwritten = None;
    let mut on_row = |k: usize, answer: Result<&[f64], LabelFailure>| {
        if k >= rows.len() || std::mem::replace(&mut answered[k], true) {
            return ControlFlow::Continue(());
        }
        bar.inc(1);
        let written = match answer {
            Ok(label) => sink.write(rows[k], Ok(label)),
            Err(failure) => {
                bar.suspend(|| say!("row {}: {failure}", rows[k]));
                n_failed += 1;
                sink.write(rows[k], Err(&failure))
            }
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                // Labels that cannot be taken must not be paid for.
                unwritten = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let outcome = if rows.is_empty() { Ok(()) } else { problem.oracle().label(batch.view(), &stop, &mut on_row) };
    bar.finish_and_clear();
    if let Some(error) = unwritten {
        return Err(error);
    }
    if matches!(outcome, Err(OracleError::Stopped)) {
        sink.finish()?;
        let n = answered.iter().filter(|done| **done).count();
        match &args.out {
            Some(path) => say!(
                "stopped: {n} of {} rows were answered; the same command goes on in {}",
                rows.len(),
                path.display()
            ),
            None => say!("stopped: {n} of {} rows were answered; with --out they would have been kept", rows.len()),
        }
        return Ok(Done::Interrupted);
    }
    outcome.with_context(|| format!("problem `{}`", problem.id()))?;
    for (k, _) in answered.iter().enumerate().filter(|(_, done)| !**done) {
        let failure = LabelFailure::new(LabelFailureKind::Missing, "the oracle gave no answer for this row");
        say!("row {}: {failure}", rows[k]);
        sink.write(rows[k], Err(&failure))?;
        n_failed += 1;
    }
    sink.finish()?;
    if n_failed == 0 {
        return Ok(Done::Fully);
    }
    say!("{n_failed} of {} rows have no label", open.len());
    Ok(Done::Partly)
}
