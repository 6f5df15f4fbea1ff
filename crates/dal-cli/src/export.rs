//! `dal bench export`: a store as tables.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dal_core::{Dimension, Value};
use dal_oracles::{Column, Problem};
use dal_report::{
    ColumnCard, ColumnKind, EXPORTED, ExportFormat, ExportOptions, PhysicalProblem, PhysicalValue, ReportData,
    read_export, write_export,
};
use dal_store::{ProblemSpec, Store};
use ndarray::aview1;

use crate::Done;
use crate::output::{outln, say};
use crate::problem::find_problem;
use crate::verify::MANIFEST;

/// `dal bench export`.
#[derive(clap::Args)]
#[command(
    after_help = "Writes all files or none. schema.json beside the tables lists every file with its rows, columns
and units. `dal report TABLES --out REPORT` makes the report from the tables alone.

Examples:
  dal bench export runs/quick --out tables
  dal bench export runs/mine --out tables --problem simulator.toml   inputs in your units
  dal bench export runs/quick --out tables --format csv.gz --digits 6 --tables runs,entries,members
  dal bench export runs/today --out tables --with tables    adds today's runs to the tables of other days"
)]
pub struct Args {
    /// The store.
    store: PathBuf,
    /// Where the tables go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How they are written; parquet in builds with that feature.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Significant digits of real numbers, 5 to 17 [default: all that they have].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(5..=17))]
    digits: Option<u8>,
    /// Only these tables: sweeps, circumstances, runs, entries, members, outputs, failures, damaged, queries, labels.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    tables: Vec<String>,
    /// A problem file of your own that runs of the store are of, so that its points are written in physical values; may
    /// be given several times.
    #[arg(long, value_name = "FILE")]
    problem: Vec<PathBuf>,
    /// Tables exported before, as of another machine: they and the store's are written as one, without points (tables
    /// queries and labels); may be --out itself.
    #[arg(long, value_name = "TABLES")]
    with: Vec<PathBuf>,
}

/// Tables that need a store.
const OF_POINTS: [&str; 2] = ["queries", "labels"];

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    /// Comma-separated values.
    #[default]
    Csv,
    /// The same, gzip.
    #[value(name = "csv.gz")]
    CsvGz,
    /// Parquet.
    Parquet,
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::CsvGz => Self::CsvGz,
            Format::Parquet => Self::Parquet,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let known: BTreeSet<&str> = EXPORTED.iter().map(|card| card.name).collect();
    if let Some(unknown) = args.tables.iter().find(|name| !known.contains(name.as_str())) {
        let known: Vec<&str> = EXPORTED.iter().map(|card| card.name).collect();
        bail!("--tables {unknown}: there is no such table; there are {}", known.join(", "));
    }
    if let Some(name) = args.tables.iter().find(|name| !args.with.is_empty() && OF_POINTS.contains(&name.as_str())) {
        bail!(
            "--tables {name}: tables that are taken --with others have no points; export the store by itself for them"
        );
    }
    // Named as they were given, not after the store that they once came from.
    let named = |tables: &PathBuf| Ok(ReportData { source: tables.display().to_string(), ..read_export(tables)? });
    let with = args.with.iter().map(named).collect::<Result<_>>()?;
    let store = Store::open(&args.store)?;
    let mut own = HashMap::new();
    for path in &args.problem {
        let problem = user_problem(path)?;
        own.insert(problem.digest().unwrap_or_default().to_owned(), problem);
    }
    let physical = |spec: &ProblemSpec| {
        let problem = match &spec.digest {
            Some(digest) => own.get(digest).cloned(),
            None => built_in(spec),
        };
        problem.map(in_physical_values)
    };
    let options = ExportOptions {
        format: args.format.into(),
        digits: args.digits.map(usize::from),
        tables: args.tables.iter().cloned().collect(),
        physical: Some(&physical),
        with,
    };
    if args.out.join(MANIFEST).exists() {
        bail!("--out {}: is a store; give the tables a folder of their own", args.out.display());
    }
    let export = write_export(&store, &args.out, &options)?;
    for table in &export.tables {
        outln!("{} ({} rows)", args.out.join(&table.file).display(), table.rows);
    }
    for problem in &export.on_box {
        say!(
            "{problem}: its points are on the unit box; name its problem file, as it was when the runs were made, with --problem"
        );
    }
    for (name, why) in &export.unreadable {
        say!("left out: {name}: {why}");
    }
    Ok(if export.unreadable.is_empty() { Done::Fully } else { Done::Partly })
}

fn user_problem(path: &Path) -> Result<Problem> {
    dal_oracles::user::load(path).with_context(|| format!("--problem {}", path.display()))
}

/// The built-in problem of a specification; none if this version does not know it.
fn built_in(spec: &ProblemSpec) -> Option<Problem> {
    let pairs: Vec<String> = spec.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    find_problem(&spec.id, &pairs).ok()
}

fn in_physical_values(problem: Problem) -> PhysicalProblem {
    let column = |column: &Column, kind, about: &str| ColumnCard {
        name: column.name.clone(),
        kind,
        unit: if column.unit == "1" { String::new() } else { column.unit.clone() },
        about: about.into(),
    };
    let kinds = problem.space().dimensions().iter().map(|dimension| match dimension {
        Dimension::Continuous { .. } | Dimension::Fixed { .. } => ColumnKind::Real,
        Dimension::Integer { .. } => ColumnKind::Integer,
        Dimension::Categorical { .. } => ColumnKind::Text,
    });
    PhysicalProblem {
        inputs: problem.inputs().iter().zip(kinds).map(|(input, kind)| column(input, kind, "input")).collect(),
        outputs: problem.outputs().iter().map(|output| column(output, ColumnKind::Real, "output")).collect(),
        values: Box::new(move |x| {
            let values = problem.space().to_physical(aview1(x)).ok()?;
            let value = |(i, value): (usize, Value)| {
                Some(match value {
                    Value::Number(value) => PhysicalValue::Real(value),
                    Value::Integer(value) => PhysicalValue::Integer(value),
                    Value::Level(level) => PhysicalValue::Level(problem.inputs()[i].levels.get(level)?.clone()),
                })
            };
            values.into_iter().enumerate().map(value).collect()
        }),
    }
}
