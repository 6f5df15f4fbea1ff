//! `dal select`: which pool points to label next, on a user's own data and model.

mod given;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use dal_acq::{GivenPredictions, Known, PickScore, SelectError};
use dal_core::{SeedPath, Stop};
use dal_files::names::canonical;
use dal_files::write::{Out, record};
use serde_json::{Map, Value, json};

use self::given::Given;
use crate::Done;
use crate::data::{refused, settings};
use crate::output::{outln, say};

/// Points of a pool that is drawn, unless told otherwise.
const POOL_SIZE: usize = 1000;

/// Data in, pool points out.
#[derive(clap::Args)]
#[command(after_help = "Prints the chosen pool rows, 0-based, one per line, in the order in which they were picked.

Without --problem tables hold numbers, one line per point, with or without a header, and distances
are taken on the columns as they are: scale inputs (and, for gsy and gsxy, outputs) alike before.
With --problem (an id or a problem.toml) columns are found by name and hold physical values and
levels, which are mapped to the problem's box; outputs are compared in the problem's model units;
the pool is --pool, else the problem's table, else drawn from its space, each point once; and picks
are printed by row and by value. Points of --labelled without an answer are no candidates; those with
one neither, unless --pool names them. Labelled points are needed only where the method looks at
them: random, qbc and cluster-variance do not, and gsx and dacs begin without any near the middle of
the pool. sobol and lhs need --problem, because they lay points out over the ranges of its inputs;
sobol goes on behind as many points as --labelled has.

members.npy is a NumPy array of shape (members, pool points, outputs), or (members, pool points)
of one output: each member's prediction at each pool point. One member is enough where only
predictions are needed. Tables may be CSV of any dialect, gzip, NumPy (or Parquet, in a build with
that feature).

Examples:
  dal select gsx --labelled-x lx.csv --labelled-y ly.csv --pool px.csv -n 10
  dal select qbc --pool px.csv --members members.npy
  dal select qbc-diversity --set scaling=raw --labelled-x lx.csv --labelled-y ly.csv \\
    --pool px.csv --members members.npy --format csv
  dal select gsx --problem my.toml -n 20 > first.csv
  dal select gsx --problem my.toml --labelled labels.csv -n 20 --format json")]
pub struct Args {
    /// A strategy's id (see `dal strategies`).
    strategy: String,
    /// The problem that the points are of: an id, or the path of a problem.toml.
    #[arg(long, value_name = "PROBLEM")]
    problem: Option<String>,
    /// Labelled points with their outputs in one table, such as `dal label --out` writes; with --problem.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["labelled_x", "labelled_y"])]
    labelled: Option<PathBuf>,
    /// Inputs of the labelled points.
    #[arg(long, value_name = "FILE")]
    labelled_x: Option<PathBuf>,
    /// Outputs of the labelled points, in the same order.
    #[arg(long, value_name = "FILE")]
    labelled_y: Option<PathBuf>,
    /// Inputs of the pool points.
    #[arg(long, value_name = "FILE")]
    pool: Option<PathBuf>,
    /// How many points to draw for the pool where none is given [default: 1000]; with --problem.
    #[arg(long, value_name = "N")]
    pool_size: Option<usize>,
    /// Members' predictions at the pool points.
    #[arg(long, value_name = "FILE")]
    members: Option<PathBuf>,
    /// How many to choose.
    #[arg(short = 'n', long = "n-queries", value_name = "N", default_value_t = 40)]
    n_queries: usize,
    /// Seed of methods that draw at random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A setting of the strategy.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// A setting of the problem.
    #[arg(long = "problem-set", value_name = "KEY=VALUE")]
    problem_settings: Vec<String>,
    /// How the choice is printed [default: rows; with --problem csv].
    #[arg(long, value_enum)]
    format: Option<SelectFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SelectFormat {
    /// Pool rows, one per line.
    Rows,
    /// Rows with coordinates and scores, comma-separated with a header.
    Csv,
    /// The same as JSON, with the strategy, its settings and remarks.
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let settings = settings(&args.settings, dal_acq::card(&args.strategy)?.settings)?;
    let found = dal_acq::find(&args.strategy, &settings).map_err(refused)?;
    let given = Given::read(args)?;
    let predictions = match &given.members {
        Some(members) => {
            let predictions = GivenPredictions::new(given.pool.clone(), members.clone());
            let file = args.members.as_ref().map_or_else(String::new, |path| path.display().to_string());
            Some(predictions.context(file)?)
        }
        None => None,
    };
    let known = Known {
        space: given.problem().map(dal_oracles::Problem::space),
        x: given.x.as_ref().map(|x| x.view()),
        y: given.y.as_ref().map(|y| y.view()),
        predictions: predictions.as_ref(),
    };
    let seeds = SeedPath::root(args.seed).purpose("select");
    let mut n_queries = args.n_queries;
    if given.is_drawn && given.pool.nrows() < n_queries {
        n_queries = given.pool.nrows();
        say!(
            "note: only {n_queries} of {} points: the pool has no other ones; a larger --pool-size may bring some, where \
             the space has them",
            args.n_queries
        );
    }
    // A design goes on behind points that failed, too.
    let n_asked = given.x.as_ref().map_or(0, ndarray::Array2::nrows) + given.n_failed;
    let chosen =
        known.select_after(n_asked, &found, given.pool.view(), n_queries, &seeds, &Stop::new()).map_err(|error| {
            match error {
                SelectError::NeedsMembers { .. } => {
                    anyhow::Error::new(error).context(format!("{}: --members is not given", found.card.id))
                }
                SelectError::NeedsLabels { .. } => {
                    let flags = "--labelled-x and --labelled-y (with --problem also --labelled)";
                    anyhow::Error::new(error).context(format!("{}: {flags}", found.card.id))
                }
                SelectError::NeedsModel { .. } | SelectError::NeedsSpace => {
                    anyhow::Error::new(error).context(found.card.id)
                }
                _ => anyhow::Error::new(error).context(given.pool_name.clone()),
            }
        })?;
    for note in &chosen.notes {
        say!("note: {note}");
    }
    let score = match found.card.pick_score {
        PickScore::None => None,
        PickScore::Distance => Some("distance"),
        PickScore::Variance => Some("variance"),
        PickScore::Combined => Some("score"),
    };
    let picked = &chosen.picked;
    // The first pick of a rule that begins without labelled points has no score.
    let score_of = |k: usize| chosen.picked_scores.as_ref().map(|scores| scores[k]).filter(|score| score.is_finite());
    let scored = score.filter(|_| chosen.picked_scores.is_some());
    let plain = if given.problem().is_some() { SelectFormat::Csv } else { SelectFormat::Rows };
    match args.format.unwrap_or(plain) {
        SelectFormat::Rows => {
            for &at in picked {
                outln!("{}", given.rows[at]);
            }
        }
        SelectFormat::Csv => {
            let names = given.names.iter().map(|name| Out::Text(name));
            // Inputs may be called as the columns beside them are.
            let row = own_column("row", &given.names);
            let scored = scored.map(|name| own_column(name, &given.names));
            let header = [Out::Text(&row)].into_iter().chain(names).chain(scored.as_deref().map(Out::Text));
            let mut text = record(header);
            for (k, &at) in picked.iter().enumerate() {
                let values = given.values(at)?;
                let row = i64::try_from(given.rows[at])?;
                let cells = [Out::Whole(row)].into_iter().chain(values.iter().map(cell));
                let score = scored.as_ref().map(|_| score_of(k).map_or(Out::Empty, Out::Number));
                text += &record(cells.chain(score));
            }
            crate::output::out(&text)?;
        }
        SelectFormat::Json => {
            let mut picks = Vec::with_capacity(picked.len());
            for (k, &at) in picked.iter().enumerate() {
                let mut pick = Map::new();
                pick.insert("row".into(), json!(given.rows[at]));
                let x: Map<String, Value> = given.names.iter().cloned().zip(given.values(at)?).collect();
                pick.insert("x".into(), Value::Object(x));
                if let Some(name) = scored {
                    pick.insert(name.into(), json!(score_of(k)));
                }
                picks.push(Value::Object(pick));
            }
            let mut all = json!({
                "strategy": found.card.id,
                "settings": found.settings.as_texts(),
                "seed": args.seed,
                "n_pool": given.pool.nrows(),
                "picks": picks,
                "notes": chosen.notes,
            });
            if let Some(problem) = given.problem() {
                all["problem"] = json!(problem.variant_id());
            }
            outln!("{}", serde_json::to_string_pretty(&all)?);
        }
    }
    Ok(Done::Fully)
}

/// A column's name, with strokes behind it where an input has that name.
fn own_column(name: &str, inputs: &[String]) -> String {
    let mut name = name.to_owned();
    while inputs.iter().any(|input| canonical(input) == name) {
        name.push('_');
    }
    name
}

/// A value of a point as a cell of CSV.
fn cell(value: &Value) -> Out<'_> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Out::Whole(whole),
            None => number.as_f64().map_or(Out::Empty, Out::Number),
        },
        Value::String(text) => Out::Text(text),
        _ => Out::Empty,
    }
}
