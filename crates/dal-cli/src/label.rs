//! `dal label`: evaluates a problem's oracle at the points of a CSV file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dal_core::{LabelFailure, Value};
use dal_oracles::Problem;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, Axis};

use crate::Done;
use crate::data::{NumberTable, read_with_levels, settings};
use crate::output::number;

/// Points in, labels out.
#[derive(clap::Args)]
#[command(
    after_help = "The input is a CSV file with a header. Under x0,x1,… it holds points of the unit box [-1, 1]; under the
problem's own input names (see `dal problems NAME`) it holds physical values, levels of categories by name.

Labels go to standard output as y0,y1,…, one line per row and in the same order. A row without a label is a line of
empty cells; it is named on standard error, and the exit code is 1. With --out they go to a file, each as soon as it is
known, behind a column that holds the 0-based input row; rows that the file holds already are not asked for again.

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

/// Points of the unit box from a table in unit or physical columns.
pub fn unit_points(problem: &Problem, table: &NumberTable, shown: &str) -> Result<Array2<f64>> {
    let unit: Vec<String> = (0..problem.space().n_columns()).map(|i| format!("x{i}")).collect();
    let physical: Vec<String> = problem.inputs().iter().map(|column| column.name.clone()).collect();
    match &table.header {
        Some(names) if *names == unit => Ok(table.values.clone()),
        None if table.values.ncols() == unit.len() => Ok(table.values.clone()),
        Some(names) if *names == physical => {
            let mut points = Array2::zeros((table.values.nrows(), unit.len()));
            for (i, row) in table.values.outer_iter().enumerate() {
                let values: Vec<Value> = row
                    .iter()
                    .zip(problem.space().dimensions())
                    .map(|(&v, dimension)| match dimension {
                        dal_core::Dimension::Continuous { .. } => Value::Number(v),
                        dal_core::Dimension::Integer { .. } if v.fract() == 0.0 => Value::Integer(v as i64),
                        dal_core::Dimension::Categorical { .. } if v >= 0.0 && v.fract() == 0.0 => {
                            Value::Level(v as usize)
                        }
                        _ => Value::Number(v),
                    })
                    .collect();
                let point = problem.space().to_unit(&values).with_context(|| format!("{shown}, data row {i}"))?;
                points.row_mut(i).assign(&ndarray::ArrayView1::from(&point));
            }
            Ok(points)
        }
        found => {
            let found = match found {
                Some(names) => format!("its header is {}", names.join(",")),
                None => format!("it has no header and {} columns", table.values.ncols()),
            };
            let mut wanted = vec![format!("{} (unit box)", unit.join(","))];
            if physical != unit {
                wanted.push(format!("{} (physical values)", physical.join(",")));
            }
            bail!("{shown}: {found}; problem `{}` takes {}", problem.id(), wanted.join(" or "))
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let problem = find_problem(&args.problem, &args.settings)?;
    let levels = |name: &str| match problem.inputs().iter().find(|column| column.name == name) {
        Some(column) => column.levels.as_slice(),
        None => &[],
    };
    let table = read_with_levels(&args.input, &levels)?;
    let shown = args.input.display().to_string();
    let x = unit_points(&problem, &table, &shown)?;
    dal_core::check_unit_box(x.view(), problem.space().n_columns())
        .with_context(|| format!("{shown} (rows from 0)"))?;
    let n_outputs = problem.oracle().n_outputs();

    let mut sink = match &args.out {
        Some(path) => Sink::File(Journal::open(path, x.nrows(), n_outputs)?),
        None => Sink::Stdout(InOrder::start(n_outputs)?),
    };
    let rows: Vec<usize> = match &sink {
        Sink::File(journal) => (0..x.nrows()).filter(|i| !journal.known[*i]).collect(),
        Sink::Stdout(_) => (0..x.nrows()).collect(),
    };
    if rows.len() < x.nrows() {
        eprintln!("{} of {} rows are labelled already", x.nrows() - rows.len(), x.nrows());
    }
    if rows.is_empty() {
        return Ok(Done::Fully);
    }
    let bar = ProgressBar::new(rows.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} labels, {eta} left").expect("a valid template"));

    let mut failures: Vec<(usize, LabelFailure)> = Vec::new();
    let mut answered = vec![false; rows.len()];
    let mut broken: Option<anyhow::Error> = None;
    let batch = x.select(Axis(0), &rows);
    let outcome = problem.oracle().label(batch.view(), &mut |k, answer| {
        if broken.is_some() || k >= rows.len() || std::mem::replace(&mut answered[k], true) {
            return;
        }
        bar.inc(1);
        let written = match answer {
            Ok(label) => sink.write(rows[k], Some(label)),
            Err(failure) => {
                bar.suspend(|| eprintln!("row {}: {failure}", rows[k]));
                failures.push((rows[k], failure));
                sink.write(rows[k], None)
            }
        };
        broken = written.err();
    });
    bar.finish_and_clear();
    if let Some(error) = broken {
        return Err(error);
    }
    outcome.with_context(|| format!("problem `{}`", problem.id()))?;
    for (k, _) in answered.iter().enumerate().filter(|(_, done)| !**done) {
        eprintln!("row {}: missing: the oracle gave no answer for this row", rows[k]);
        sink.write(rows[k], None)?;
        failures.push((rows[k], LabelFailure::new(dal_core::LabelFailureKind::Missing, "no answer")));
    }
    sink.finish()?;
    if failures.is_empty() {
        return Ok(Done::Fully);
    }
    eprintln!("{} of {} rows have no label", failures.len(), rows.len());
    Ok(Done::Partly)
}

enum Sink {
    Stdout(InOrder),
    File(Journal),
}

impl Sink {
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
    n_outputs: usize,
    next: usize,
    waiting: BTreeMap<usize, String>,
}

impl InOrder {
    fn start(n_outputs: usize) -> Result<Self> {
        let mut out = BufWriter::new(io::stdout().lock());
        writeln!(out, "{}", header(n_outputs))?;
        Ok(Self { out, n_outputs, next: 0, waiting: BTreeMap::new() })
    }

    fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        self.waiting.insert(row, cells(label, self.n_outputs));
        while let Some(line) = self.waiting.remove(&self.next) {
            writeln!(self.out, "{line}")?;
            self.next += 1;
        }
        Ok(())
    }
}

/// A file of labels in the order in which they came, written through at once.
struct Journal {
    file: File,
    shown: String,
    n_outputs: usize,
    known: Vec<bool>,
}

impl Journal {
    fn open(path: &Path, n_rows: usize, n_outputs: usize) -> Result<Self> {
        let shown = path.display().to_string();
        let mut known = vec![false; n_rows];
        let head = format!("row,{}", header(n_outputs));
        let mut whole = 0;
        match std::fs::read_to_string(path) {
            Ok(text) => {
                // A line without its end was being written when the program was stopped: it is written anew.
                whole = text.rfind('\n').map_or(0, |end| end + 1);
                let mut lines = text[..whole].lines();
                match lines.next() {
                    Some(first) if first == head => {}
                    None => {}
                    Some(first) => {
                        bail!("{shown}: begins with {first:?}, not with {head:?}; name another file with --out")
                    }
                }
                for (i, line) in lines.enumerate() {
                    let row = line.split(',').next().and_then(|cell| cell.parse::<usize>().ok());
                    match row {
                        Some(row) if row < n_rows && line.split(',').count() == n_outputs + 1 => known[row] = true,
                        _ => bail!(
                            "{shown}, line {}: {line:?} belongs to no row of the input; name another file with --out",
                            i + 2
                        ),
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{shown}: cannot be read")),
        }
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            file.set_len(whole as u64)?;
            if whole == 0 {
                writeln!(file, "{head}")?;
            }
            Ok(file)
        };
        let file = open().with_context(|| format!("{shown}: cannot be written"))?;
        Ok(Self { file, shown, n_outputs, known })
    }

    fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        // A failed row is left out, so that the next call asks for it again.
        if label.is_some() {
            let line = format!("{row},{}\n", cells(label, self.n_outputs));
            self.file.write_all(line.as_bytes()).with_context(|| format!("{}: cannot be written", self.shown))?;
        }
        Ok(())
    }
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
