//! `dal select`: which pool points to label next, on a user's own data and model.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dal_acq::{GivenPredictions, PickScore, SelectError, select};
use dal_core::{Labelled, SeedPath};
use serde_json::{Map, Value, json};

use crate::Done;
use crate::data::{NumberTable, read_members, read_numbers, refused, settings};
use crate::output::{number, outln, say};

/// Data in, pool rows out.
#[derive(clap::Args)]
#[command(after_help = "Prints the chosen pool rows, 0-based, one per line, in the order in which they were picked.

Tables are CSV with one line per point, with or without a header. Distances are taken on the columns as they are: scale
inputs (and, for gsy and gsxy, outputs) alike before. members.npy is a NumPy array of floats of shape (members, pool points,
outputs): each member's prediction at each pool point. One member is enough where only predictions are needed.

Examples:
  dal select gsx --labelled-x lx.csv --labelled-y ly.csv --pool px.csv -n 10
  dal select qbc --labelled-x lx.csv --labelled-y ly.csv --pool px.csv --members members.npy
  dal select qbc-diversity --set scaling=raw --labelled-x lx.csv --labelled-y ly.csv --pool px.csv --members members.npy --format csv")]
pub struct Args {
    /// A strategy's id (see `dal strategies`).
    strategy: String,
    /// Inputs of the labelled points.
    #[arg(long, value_name = "FILE")]
    labelled_x: PathBuf,
    /// Outputs of the labelled points, in the same order.
    #[arg(long, value_name = "FILE")]
    labelled_y: PathBuf,
    /// Inputs of the pool points.
    #[arg(long, value_name = "FILE")]
    pool: PathBuf,
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
    /// How the choice is printed.
    #[arg(long, value_enum, default_value_t)]
    format: SelectFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SelectFormat {
    /// Pool rows, one per line.
    #[default]
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
    let labelled_x = read_numbers(&args.labelled_x)?;
    let labelled_y = read_numbers(&args.labelled_y)?;
    let pool = read_numbers(&args.pool)?;
    check_columns(args, &labelled_x, &pool)?;
    if labelled_x.values.nrows() != labelled_y.values.nrows() {
        bail!(
            "{} has {} rows, {} has {}; each labelled point needs its outputs",
            args.labelled_x.display(),
            labelled_x.values.nrows(),
            args.labelled_y.display(),
            labelled_y.values.nrows()
        );
    }
    let labelled = Labelled::new(labelled_x.values, labelled_y.values)?;
    let predictions = match &args.members {
        Some(path) => {
            let members = read_members(path)?;
            Some(GivenPredictions::new(pool.values.clone(), members).with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    let seeds = SeedPath::root(args.seed).purpose("select");
    let chosen = select(&*found.strategy, &labelled, pool.values.view(), predictions.as_ref(), args.n_queries, &seeds)
        .map_err(|error| match error {
            SelectError::NeedsMembers { .. } => {
                anyhow::Error::new(error).context(format!("{}: --members is not given", found.card.id))
            }
            SelectError::NeedsModel { .. } => anyhow::Error::new(error).context(found.card.id),
            _ => anyhow::Error::new(error).context(args.pool.display().to_string()),
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
    let scores = chosen.picked_scores.as_ref();
    let names = match &pool.header {
        Some(names) => names.clone(),
        None => (0..pool.values.ncols()).map(|i| format!("x{i}")).collect(),
    };
    match args.format {
        SelectFormat::Rows => {
            for row in picked {
                outln!("{row}");
            }
        }
        SelectFormat::Csv => {
            let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
            let scored = score.filter(|_| scores.is_some());
            writer.write_record(["row"].into_iter().chain(names.iter().map(String::as_str)).chain(scored))?;
            for (k, &row) in picked.iter().enumerate() {
                let coordinates = pool.values.row(row).iter().map(|&v| number(v)).collect::<Vec<_>>();
                let value = scores.map(|s| number(s[k]));
                writer.write_record(std::iter::once(row.to_string()).chain(coordinates).chain(value))?;
            }
            writer.flush()?;
        }
        SelectFormat::Json => {
            let picks = picked.iter().enumerate().map(|(k, &row)| {
                let mut pick = Map::new();
                pick.insert("row".into(), json!(row));
                let x: Map<String, Value> =
                    names.iter().cloned().zip(pool.values.row(row).iter().map(|v| json!(v))).collect();
                pick.insert("x".into(), Value::Object(x));
                if let (Some(name), Some(scores)) = (score, scores) {
                    pick.insert(name.into(), json!(scores[k]));
                }
                Value::Object(pick)
            });
            let all = json!({
                "strategy": found.card.id,
                "settings": found.settings.as_texts(),
                "seed": args.seed,
                "n_pool": pool.values.nrows(),
                "picks": picks.collect::<Vec<_>>(),
                "notes": chosen.notes,
            });
            outln!("{}", serde_json::to_string_pretty(&all)?);
        }
    }
    Ok(Done::Fully)
}

/// Labelled inputs and pool must be in the same columns.
fn check_columns(args: &Args, labelled: &NumberTable, pool: &NumberTable) -> Result<()> {
    let shown = |table: &NumberTable| match &table.header {
        Some(names) => names.join(","),
        None => format!("{} columns without a header", table.values.ncols()),
    };
    let names_differ = matches!((&labelled.header, &pool.header), (Some(a), Some(b)) if a != b);
    if names_differ || labelled.values.ncols() != pool.values.ncols() {
        bail!(
            "{} has {}, {} has {}; both must hold the same inputs in the same order",
            args.labelled_x.display(),
            shown(labelled),
            args.pool.display(),
            shown(pool)
        );
    }
    Ok(())
}
