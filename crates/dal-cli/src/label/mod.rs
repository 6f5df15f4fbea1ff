//! `dal label`: evaluates a problem's oracle at the points of a CSV file.

mod earlier;
mod export;
mod lines;
mod rounded;
mod sink;

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use dal_core::{LabelFailure, LabelFailureKind, OracleError, Stop};
use dal_files::Source;
use dal_files::write::guarded;
use dal_oracles::Problem;
use dal_store::Answers;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Axis;

use self::earlier::{adopt, check_replaceable};
use self::export::{Export, check_regular};
use self::lines::{head, output_names};
use self::sink::{Sink, Stdout};
use crate::Done;
use crate::answers::AnswerArgs;
use crate::bench::interrupts;
use crate::data::say_notes;
use crate::output::{say, write_whole};
use crate::problem::{Columns, find_problem};

/// Failures and contradictions that are shown.
const SHOWN: usize = 3;

/// Points in, labels out.
#[derive(clap::Args)]
#[command(
    after_help = "The input is a table with a header: CSV of any dialect, gzip, NumPy. Under x0,x1,… it holds points
of the unit box [-1, 1]; under the problem's own input names (see `dal problems NAME`) it holds
physical values, levels of categories by name. Columns may stand in any order; others are ignored,
and named.

Labels go to standard output under the names of a user's outputs (y0,y1,… of a built-in problem),
one line per row and in the same order, or, with --as-they-come, each at once behind the number of
its row. A row without a label is a line of empty cells; it is named on standard error with the
reason, and the exit code is 1. That includes rows outside the problem's bounds. With --out they
go to a file, behind the 0-based input row and the point as the input has it, and before a column
`failure` that says why a row has no label; it is renewed every few seconds while labels arrive.

Every answer of a program of your own is kept the moment it is there, in the folder of answers
(--answers), which all commands share, and never asked for again: an interrupted call (Ctrl-C) can
be repeated. The file of --out is an export: the next call replaces it, also where a spreadsheet
has saved it since. A file that holds something else, or labels that are not kept, is refused;
--adopt takes such labels over.

Examples:
  dal label sine --input x.csv > y.csv
  dal label stack --set spectrum=absorptance-256 --input x.csv
  dal label my-simulator.toml --input points.csv --out labels.csv
  dal label my-simulator.toml --kept --out everything.csv      every answer that is kept
  dal label my-simulator.toml --adopt old-labels.csv     or a store of an older version, or answers"
)]
pub struct Args {
    /// A problem's id, or the path of a problem.toml.
    problem: String,
    /// The points; `-` reads standard input.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["kept", "adopt"], conflicts_with = "kept")]
    input: Option<PathBuf>,
    /// Write the labels to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Instead of asking, print every answer that is kept of your own program or model, under the names of inputs and
    /// outputs.
    #[arg(long)]
    kept: bool,
    /// First take over answers: of a file that --out wrote, of a store or of a search's journal.jsonl of dal 0.1.0, or
    /// of another folder of answers.
    #[arg(long, value_name = "PATH")]
    adopt: Option<PathBuf>,
    /// On standard output: print each label at once, behind the number of its row.
    #[arg(long, conflicts_with = "out")]
    as_they_come: bool,
    /// Ask again for rows that your program refused; rows that failed in another way are asked for again anyhow.
    #[arg(long)]
    retry_failed: bool,
    #[command(flatten)]
    answers: AnswerArgs,
    /// A setting of the problem.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let (problem, kept) = args.answers.open_to(find_problem(&args.problem, &args.settings)?, args.retry_failed)?;
    let kept = kept.as_deref();
    let columns = Columns::of(&problem);
    let points = match &args.input {
        Some(input) => {
            let (mut points, mut notes) = dal_files::points(Source::open(input)?, &columns.inputs(&problem))?;
            problem.onto_rows(&mut points, &mut notes);
            say_notes(notes);
            Some(points)
        }
        None => None,
    };
    if let Some(path) = &args.adopt {
        adopt(path, &problem, kept, points.as_ref())?;
    }
    if args.kept {
        args.answers.name_leftovers([&problem])?;
        return print_kept(args, &problem, kept);
    }
    let Some(points) = points else { return Ok(Done::Fully) };
    let oracle = problem.oracle()?;
    let (x, outside) = (&points.x, &points.outside);
    let n_outputs = oracle.n_outputs();
    let names = output_names(&problem);

    let mut sink = match &args.out {
        Some(path) => {
            // Of an output that is called as a column of the unit box.
            if let Some(name) = names.iter().find(|name| points.names.contains(name)) {
                bail!("--out: the table would have two columns `{name}`; give the points under the inputs' names");
            }
            let head = head(&points, &problem);
            check_regular(path)?;
            check_replaceable(path, &problem, kept, head.trim_end(), Some(&points))?;
            Sink::File(Export::start(path, head, &points, n_outputs)?)
        }
        None => Sink::Stdout(Stdout::start(&names, args.as_they_come)?),
    };
    let mut n_failed = 0;
    for (row, reason) in outside {
        let failure = LabelFailure::new(LabelFailureKind::Refused, reason.clone());
        say!("row {row}: {failure}");
        sink.write(*row, Err(&failure))?;
        n_failed += 1;
    }
    let is_outside = |row: &usize| outside.binary_search_by_key(row, |(row, _)| *row).is_ok();
    let rows: Vec<usize> = (0..x.nrows()).filter(|row| !is_outside(row)).collect();
    if let (Some(kept), Some(asking)) = (kept, problem.asking()) {
        let is_known = |row: &&usize| {
            asking.line(x.row(**row)).is_ok_and(|line| kept.get(&line).is_some_and(|answer| answer.is_ok()))
        };
        let n_known = rows.iter().filter(is_known).count();
        if n_known > 0 {
            say!("{n_known} of {} rows are answered already", x.nrows());
        }
    }
    // A built-in problem answers at once and has nothing that Ctrl-C could not end.
    let stop = if problem.card().is_none() { interrupts("the calls in progress")? } else { Stop::new() };
    if !args.answers.settle([&problem], &stop)? {
        return Ok(Done::Interrupted);
    }
    let bar = ProgressBar::new(rows.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} labels, {eta} left").expect("a valid template"));

    let mut answered = vec![false; rows.len()];
    let batch = x.select(Axis(0), &rows);
    let mut unwritten = None;
    let mut on_row = |k: usize, answer: Result<&[f64], LabelFailure>| {
        let is_in_doubt = matches!(&answer, Err(failure) if failure.kind == LabelFailureKind::InDoubt);
        if k >= rows.len() || (std::mem::replace(&mut answered[k], true) && !is_in_doubt) {
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
    let outcome = if rows.is_empty() { Ok(()) } else { oracle.label(batch.view(), &stop, &mut on_row) };
    bar.finish_and_clear();
    if let Some(error) = unwritten {
        return Err(error);
    }
    if outcome.is_err() {
        sink.finish()?;
    }
    if matches!(outcome, Err(OracleError::Stopped)) {
        let n = answered.iter().filter(|done| **done).count();
        say!("stopped: {n} of {} rows were answered, and their answers are kept; the same command goes on", rows.len());
        return Ok(Done::Interrupted);
    }
    if let Err(OracleError::Down { message }) = &outcome {
        let n = answered.iter().filter(|done| **done).count();
        say!("{n} of {} rows were answered; {message}", rows.len());
        return Ok(Done::Partly);
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
    say!("{n_failed} of {} rows have no label", x.nrows());
    Ok(Done::Partly)
}

/// Every answer that is kept, in the order in which they came.
fn print_kept(args: &Args, problem: &Problem, kept: Option<&Answers>) -> Result<Done> {
    let Some(kept) = kept else {
        bail!("--kept: no answers of `{}` are kept, because they cost nothing", args.problem);
    };
    let text = |cell: &str| guarded(cell).into_owned();
    match &args.out {
        Some(path) => {
            let mut table = Vec::new();
            kept.write_csv(&mut table, false, &text)?;
            let head = table.iter().position(|&b| b == b'\n').map_or(&table[..], |end| &table[..end]);
            check_regular(path)?;
            check_replaceable(path, problem, Some(kept), &String::from_utf8_lossy(head), None)?;
            write_whole(path, &table).with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            kept.write_csv(&mut out, false, &text)?;
            out.flush()?;
        }
    }
    let failures = kept.failures();
    say!("{} points, {} of them without an answer", kept.len(), failures.len());
    for (point, failure) in failures.iter().take(SHOWN) {
        say!("  {point}: {failure}");
    }
    for contradiction in kept.contradictions().iter().take(SHOWN) {
        let others: Vec<&Vec<f64>> = contradiction.others.iter().map(|(values, _)| values).collect();
        say!("  {}: {:?} counts, but {others:?} came later", contradiction.point, contradiction.counts.0);
    }
    Ok(Done::Fully)
}
