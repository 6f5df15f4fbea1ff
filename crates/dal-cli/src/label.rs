//! `dal label`: evaluates a problem's oracle at the points of a CSV file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dal_core::{Dimension, LabelFailure, LabelFailureKind, Value};
use dal_oracles::Problem;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, Axis};

use crate::Done;
use crate::data::{TextTable, read_text, settings};
use crate::output::{number, say};

/// Points in, labels out.
#[derive(clap::Args)]
#[command(
    after_help = "The input is a CSV file with a header. Under x0,x1,… it holds points of the unit box [-1, 1]; under the
problem's own input names (see `dal problems NAME`) it holds physical values, levels of categories by name. Columns may
stand in any order; others are ignored, and named.

Labels go to standard output as y0,y1,…, one line per row and in the same order. A row without a label is a line of
empty cells; it is named on standard error with the reason, and the exit code is 1. That includes rows outside the
problem's bounds. With --out they go to a file, each as soon as it is known, behind the 0-based input row and the point as the
input has it; rows that the file holds already are not asked for again, so that an interrupted call (Ctrl-C) can be repeated.
One call at a time writes a file. A file of other points is refused, and one whose labels a built-in problem does not confirm; what
labels a user's program would give is not compared.

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
    /// A setting of the problem.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// A built-in problem, or the one that a problem file describes.
pub fn find_problem(name: &str, given: &[String]) -> Result<Problem> {
    let settings = settings(given)?;
    if name.ends_with(".toml") || name.contains(std::path::MAIN_SEPARATOR) {
        if let Some(key) = settings.keys().next() {
            bail!("--set {key}: a problem file has no settings; edit {name} instead");
        }
        return Ok(dal_oracles::user::load(Path::new(name))?);
    }
    Ok(dal_oracles::find(name, &settings)?)
}

/// The points of an input table.
struct Points {
    /// On the unit box, shape (rows, columns); the rows in `outside` hold 0.
    x: Array2<f64>,
    /// Rows that are no points of the problem's domain, in order.
    outside: Vec<(usize, LabelFailure)>,
    /// The columns that name a point, and where the table has them.
    names: Vec<String>,
    places: Vec<usize>,
}

/// Points from a table in unit or physical columns, found by their names, in any order and beside others.
fn points(problem: &Problem, table: &TextTable, shown: &str) -> Result<Points> {
    let unit: Vec<String> = (0..problem.space().n_columns()).map(|i| format!("x{i}")).collect();
    let physical: Vec<String> = problem.inputs().iter().map(|column| column.name.clone()).collect();
    let (on_box, places) = match &table.header {
        None if table.rows[0].1.len() == unit.len() => (true, (0..unit.len()).collect()),
        None => {
            let found = table.rows[0].1.len();
            bail!("{shown}: it has no header and {found} columns; {}", wanted(problem, &unit, &physical))
        }
        Some(header) => find_columns(problem, header, &unit, &physical, shown)?,
    };
    if table.header.is_none() {
        say!("{shown}: has no header; its columns are taken as {} on the unit box [-1, 1]", unit.join(","));
    }
    if let Some(header) = &table.header {
        let ignored = (0..header.len()).filter(|column| !places.contains(column));
        let ignored: Vec<&str> = ignored.map(|column| header[column].as_str()).collect();
        if !ignored.is_empty() {
            say!("{shown}: ignored, no inputs of `{}`: {}", problem.id(), ignored.join(", "));
        }
    }
    let x = Array2::zeros((table.rows.len(), unit.len()));
    let mut points = Points { x, outside: Vec::new(), names: if on_box { unit } else { physical }, places };
    for (row, (line, cells)) in table.rows.iter().enumerate() {
        // Beyond what a problem accepts a row fails by itself; what is not even a number is a mistake in the file.
        let mut outside = None;
        let mut values = Vec::with_capacity(points.places.len());
        for (index, &place) in points.places.iter().enumerate() {
            let at = || format!("line {line}, column {}", table.name(place));
            let value = if on_box {
                let v = parse_number(&cells[place]).with_context(|| format!("{shown}, {}", at()))?;
                if (-1.0..=1.0).contains(&v) { Ok(Value::Number(v)) } else { Err(format!("{v} is outside [-1, 1]")) }
            } else {
                physical_value(problem, index, &cells[place]).with_context(|| format!("{shown}, {}", at()))?
            };
            match value {
                Ok(value) => values.push(value),
                Err(reason) => outside = outside.or_else(|| Some(format!("{}: {reason}", at()))),
            }
        }
        let mut to = points.x.row_mut(row);
        match outside {
            Some(reason) => points.outside.push((row, LabelFailure::new(LabelFailureKind::Refused, reason))),
            None if on_box => to.iter_mut().zip(&values).for_each(|(to, value)| {
                if let Value::Number(v) = value {
                    *to = *v;
                }
            }),
            None => {
                let point = problem.space().to_unit(&values).with_context(|| format!("{shown}, line {line}"))?;
                to.iter_mut().zip(point).for_each(|(to, v)| *to = v);
            }
        }
    }
    Ok(points)
}

/// Whether the columns are those of the unit box, and where each stands.
fn find_columns(
    problem: &Problem,
    header: &[String],
    unit: &[String],
    physical: &[String],
    shown: &str,
) -> Result<(bool, Vec<usize>)> {
    for name in unit.iter().chain(physical) {
        if header.iter().filter(|other| *other == name).count() > 1 {
            bail!("{shown}: two columns are called {name}");
        }
    }
    let place = |name: &String| header.iter().position(|other| other == name);
    let all = |names: &[String]| names.iter().map(place).collect::<Option<Vec<usize>>>();
    match (all(unit), all(physical)) {
        (Some(places), None) => Ok((true, places)),
        (None, Some(places)) => Ok((false, places)),
        (Some(_), Some(places)) if unit == physical => Ok((false, places)),
        (Some(_), Some(_)) => bail!(
            "{shown}: its columns name each point twice, as {} on the unit box and as {} in physical values; leave one out",
            unit.join(","),
            physical.join(",")
        ),
        (None, None) => {
            let there = |names: &[String]| names.iter().filter(|name| header.contains(name)).count();
            let closer = if there(physical) > 0 { physical } else { unit };
            let missing: Vec<&str> = closer.iter().filter(|name| !header.contains(name)).map(String::as_str).collect();
            bail!(
                "{shown}: its header is {}, without {}; {}",
                header.join(","),
                missing.join(", "),
                wanted(problem, unit, physical)
            )
        }
    }
}

fn wanted(problem: &Problem, unit: &[String], physical: &[String]) -> String {
    let mut wanted = vec![format!("{} (unit box)", unit.join(","))];
    if physical != unit {
        wanted.push(format!("{} (physical values)", physical.join(",")));
    }
    format!("problem `{}` takes {}", problem.id(), wanted.join(" or "))
}

fn parse_number(cell: &str) -> Result<f64> {
    match cell.parse() {
        Ok(value) => Ok(value),
        Err(_) => bail!("{cell:?} is not a number"),
    }
}

/// The physical value of an input, or why the problem does not accept it.
///
/// # Errors
/// Text where a number is due.
fn physical_value(problem: &Problem, index: usize, cell: &str) -> Result<Result<Value, String>> {
    Ok(match problem.space().dimensions()[index] {
        Dimension::Continuous { low, high, .. } => match parse_number(cell)? {
            v if v >= low && v <= high => Ok(Value::Number(v)),
            v => Err(format!("{v} is outside [{low}, {high}]")),
        },
        // `3.0` is how tools write a whole number in a column of floats.
        Dimension::Integer { low, high } => match parse_number(cell)? {
            v if v.fract() == 0.0 && v >= low as f64 && v <= high as f64 => Ok(Value::Integer(v as i64)),
            v => Err(format!("{v} is not a whole number from {low} to {high}")),
        },
        Dimension::Categorical { .. } => {
            let levels = &problem.inputs()[index].levels;
            match levels.iter().position(|level| level == cell) {
                Some(level) => Ok(Value::Level(level)),
                None => Err(format!("{cell:?} is none of {}", levels.join(", "))),
            }
        }
    })
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let problem = find_problem(&args.problem, &args.settings)?;
    let shown = args.input.display().to_string();
    let table = read_text(&args.input)?;
    let points = points(&problem, &table, &shown)?;
    let Points { x, outside, .. } = &points;
    let n_outputs = problem.oracle().n_outputs();

    let mut sink = match &args.out {
        Some(path) => Sink::File(Journal::open(path, &table, &points, n_outputs)?),
        None => Sink::Stdout(InOrder::start(n_outputs)?),
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
    for (row, failure) in outside.iter().filter(|(row, _)| open.binary_search(row).is_ok()) {
        say!("row {row}: {failure}");
        sink.write(*row, None)?;
        n_failed += 1;
    }
    let is_outside = |row: &usize| outside.binary_search_by_key(row, |(row, _)| *row).is_ok();
    let rows: Vec<usize> = open.iter().copied().filter(|row| !is_outside(row)).collect();
    if problem.card().is_none() {
        // What a program of the user's is at would go on without anybody to tell.
        let end = || {
            dal_oracles::user::command::end_all_calls();
            std::process::exit(130);
        };
        ctrlc::set_handler(end).context("cannot listen for interrupts")?;
    }
    let bar = ProgressBar::new(rows.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} labels, {eta} left").expect("a valid template"));

    let mut answered = vec![false; rows.len()];
    let batch = x.select(Axis(0), &rows);
    let mut on_row = |k: usize, answer: Result<&[f64], LabelFailure>| {
        if k >= rows.len() || std::mem::replace(&mut answered[k], true) {
            return;
        }
        bar.inc(1);
        let written = match answer {
            Ok(label) => sink.write(rows[k], Some(label)),
            Err(failure) => {
                bar.suspend(|| say!("row {}: {failure}", rows[k]));
                n_failed += 1;
                sink.write(rows[k], None)
            }
        };
        if let Err(error) = written {
            // Labels that nobody can take must not be paid for.
            bar.finish_and_clear();
            dal_oracles::user::command::end_all_calls();
            std::process::exit(i32::from(crate::complain(&error)));
        }
    };
    let outcome = if rows.is_empty() { Ok(()) } else { problem.oracle().label(batch.view(), &mut on_row) };
    bar.finish_and_clear();
    outcome.with_context(|| format!("problem `{}`", problem.id()))?;
    for (k, _) in answered.iter().enumerate().filter(|(_, done)| !**done) {
        say!("row {}: missing: the oracle gave no answer for this row", rows[k]);
        sink.write(rows[k], None)?;
        n_failed += 1;
    }
    sink.finish()?;
    if n_failed == 0 {
        return Ok(Done::Fully);
    }
    say!("{n_failed} of {} rows have no label", open.len());
    Ok(Done::Partly)
}

/// Labels of an earlier call that are compared with the problem's.
const COMPARED: usize = 32;

/// Labels that come slower than this are printed one by one.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

enum Sink<'a> {
    Stdout(InOrder),
    File(Journal<'a>),
}

impl Sink<'_> {
    fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        match self {
            Self::Stdout(sink) => sink.write(row, label),
            Self::File(sink) => sink.write(row, label),
        }
    }

    fn finish(&mut self) -> Result<()> {
        match self {
            Self::Stdout(sink) => Ok(sink.out.flush()?),
            Self::File(_) => Ok(()),
        }
    }
}

/// Standard output in input order: a line is printed as soon as all before it are.
struct InOrder {
    out: BufWriter<io::StdoutLock<'static>>,
    /// When a line was last forced out: lines that come slowly must not wait for others to fill the buffer.
    flushed: Instant,
    n_outputs: usize,
    next: usize,
    waiting: BTreeMap<usize, String>,
}

impl InOrder {
    fn start(n_outputs: usize) -> Result<Self> {
        let mut out = BufWriter::new(io::stdout().lock());
        writeln!(out, "{}", header(n_outputs))?;
        Ok(Self { out, flushed: Instant::now(), n_outputs, next: 0, waiting: BTreeMap::new() })
    }

    fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        self.waiting.insert(row, cells(label, self.n_outputs));
        while let Some(line) = self.waiting.remove(&self.next) {
            writeln!(self.out, "{line}")?;
            self.next += 1;
        }
        if self.flushed.elapsed() > FLUSH_EVERY {
            self.out.flush()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }
}

/// A file of points with their labels in the order in which they came, written through at once.
struct Journal<'a> {
    file: File,
    shown: String,
    n_outputs: usize,
    table: &'a TextTable,
    points: &'a Points,
    known: Vec<bool>,
    /// The first rows that the file holds, and their labels.
    earlier: Vec<(usize, Vec<f64>)>,
}

impl<'a> Journal<'a> {
    fn open(path: &Path, table: &'a TextTable, points: &'a Points, n_outputs: usize) -> Result<Self> {
        let shown = path.display().to_string();
        let names = points.names.iter().map(String::as_str);
        let head = [line_of("row", names)?, header(n_outputs)].join(",");
        if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            bail!("{shown}: is no regular file, so labels cannot be found again in it; name another with --out");
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("{shown}: cannot be written"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{shown}: another process is writing it; wait until it ends"),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("{shown}: cannot be locked")),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("{shown}: cannot be read"))?;
        // A line without its end was being written when the program was stopped: it is written anew.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let first = text.lines().next().unwrap_or_default();
        if first != head && (whole > 0 || !head.starts_with(first)) {
            bail!("{shown}: begins with {first:?}, not with {head:?}; name another file with --out");
        }
        let mut known = vec![false; table.rows.len()];
        let mut earlier = Vec::new();
        for (at, line) in (1..).zip(text[..whole].lines()).skip(1) {
            let row = line.split(',').next().and_then(|cell| cell.parse::<usize>().ok());
            let row = row.filter(|row| *row < known.len());
            let begins = row.map(|row| point_line(table, points, row)).transpose()?;
            let labels = begins.as_ref().and_then(|begins| line.strip_prefix(begins)?.strip_prefix(','));
            let (Some(row), Some(labels)) = (row, labels) else {
                bail!(
                    "{shown}, line {at}: {line:?} belongs to no row of the input{}; name another file with --out",
                    begins.map_or(String::new(), |begins| format!(", whose row begins with {begins:?}"))
                )
            };
            let values: Option<Vec<f64>> =
                labels.split(',').map(|cell| cell.parse().ok().filter(|value: &f64| value.is_finite())).collect();
            let Some(values) = values.filter(|values| values.len() == n_outputs) else {
                bail!(
                    "{shown}, line {at}: {labels:?} is no label of row {row}, which has {n_outputs} finite numbers; take the line out, \
                     and the row is asked for again, or name another file with --out"
                )
            };
            if std::mem::replace(&mut known[row], true) {
                bail!("{shown}, line {at}: a second label of row {row}; take out the wrong one");
            }
            if earlier.len() < COMPARED {
                earlier.push((row, values));
            }
        }
        let mut begin = || -> io::Result<()> {
            file.set_len(whole as u64)?;
            if whole == 0 {
                writeln!(file, "{head}")?;
            }
            Ok(())
        };
        begin().with_context(|| format!("{shown}: cannot be written"))?;
        Ok(Self { file, shown, n_outputs, table, points, known, earlier })
    }

    /// Compares labels that the file holds with what a built-in problem says of their rows today; a user's program is not
    /// called for it.
    fn check(&self, problem: &Problem) -> Result<()> {
        if self.earlier.is_empty() || problem.card().is_none() {
            return Ok(());
        }
        let rows: Vec<usize> = self.earlier.iter().map(|(row, _)| *row).collect();
        let mut today = vec![None; rows.len()];
        let batch = self.points.x.select(Axis(0), &rows);
        problem.oracle().label(batch.view(), &mut |k, answer| today[k] = answer.ok().map(<[f64]>::to_vec))?;
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
        for ((row, earlier), today) in self.earlier.iter().zip(today) {
            if !today.as_ref().is_some_and(|today| today.iter().zip(earlier).all(|(&a, &b)| close(a, b))) {
                bail!(
                    "{}: its label of row {row} is {}, but `{}` says {}: the file is another problem's, or was made with \
                     other settings; name another with --out",
                    self.shown,
                    cells(Some(earlier), self.n_outputs),
                    problem.variant_id(),
                    today.map_or("that it has none".into(), |today| cells(Some(&today), self.n_outputs))
                );
            }
        }
        Ok(())
    }

    fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        // A failed row is left out, so that the next call asks for it again.
        if label.is_some() {
            let point = point_line(self.table, self.points, row)?;
            let line = format!("{point},{}\n", cells(label, self.n_outputs));
            self.file.write_all(line.as_bytes()).with_context(|| format!("{}: cannot be written", self.shown))?;
        }
        Ok(())
    }
}

/// What a row's line begins with: its number and its point, as the input has it.
fn point_line(table: &TextTable, points: &Points, row: usize) -> Result<String> {
    let cells = &table.rows[row].1;
    line_of(&row.to_string(), points.places.iter().map(|&place| cells[place].as_str()))
}

/// A first cell and others as CSV, without the end of the line.
fn line_of<'a>(first: &'a str, others: impl Iterator<Item = &'a str>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(std::iter::once(first).chain(others))?;
    Ok(String::from_utf8(writer.into_inner()?)?.trim_end_matches('\n').to_owned())
}

fn header(n_outputs: usize) -> String {
    (0..n_outputs).map(|j| format!("y{j}")).collect::<Vec<_>>().join(",")
}

fn cells(label: Option<&[f64]>, n_outputs: usize) -> String {
    match label {
        Some(values) => values.iter().map(|&v| number(v)).collect::<Vec<_>>().join(","),
        // One empty cell alone would be a blank line, which readers of CSV skip.
        None if n_outputs == 1 => "\"\"".into(),
        None => ",".repeat(n_outputs - 1),
    }
}
