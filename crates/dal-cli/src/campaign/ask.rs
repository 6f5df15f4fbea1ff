//! `dal ask`: points to be labelled elsewhere, and why these.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use dal_campaign::words::Cell;
use dal_campaign::{AskFor, Asked, Folder};
use dal_core::Stop;
use dal_files::write::{Out, record};
use serde_json::{Map, Value, json};

use super::{fixed, pair, tell_notes, time, trainer, write};
use crate::Done;
use crate::data::check_points;
use crate::output::{Format, Rows, outln, say};

/// A number in, points out.
#[derive(clap::Args)]
#[command(
    after_help = "Prints each point's id, its physical values, and why it was chosen: the rule's score, the members'
disagreement (in units of the outputs' spread), the distance to the nearest point that was known,
pending or chosen before it (on the unit box), and the probability of the draw where the rule
draws. A point that is held out, so that it judges models, says so in a column `part`. Points whose
lease has run out, or that the machine failed, come first.

What is printed is said in the log: later asks and rounds keep away from these points until they
are told; where it cannot be printed (a full disk), the next ask prints it. With --dry-run nothing is said, and the next ask prints the same points.

Examples:
  dal ask beam -n 20 --format csv > points.csv      measure these, then `dal tell beam results.csv`
  dal ask beam -n 5 --owner lab-2 --lease 24h       asked again where no answer came within a day
  dal ask beam -n 5 --format inputs > in.csv        the inputs alone, for a program that reads them
  dal ask beam -n 5 --fix material=steel --dry-run"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// How many points [default: `batch` in campaign.toml].
    #[arg(short = 'n', value_name = "N")]
    n: Option<usize>,
    /// To whom they go; a word for `dal status`.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// After which time those without an answer are asked for again [default: `lease_hours` in campaign.toml].
    #[arg(long, value_name = "TIME", value_parser = time)]
    lease: Option<Duration>,
    /// An input that is held at a value.
    #[arg(long = "fix", value_name = "NAME=VALUE", value_parser = pair)]
    fixed: Vec<(String, String)>,
    /// Print the points that would be asked for, and say nothing in the log.
    #[arg(long)]
    dry_run: bool,
    /// How the points are printed.
    #[arg(long, value_enum, default_value_t)]
    format: AskFormat,
    /// Threads that train [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AskFormat {
    /// Columns for a person.
    #[default]
    Table,
    /// Comma-separated, with a header.
    Csv,
    /// The inputs alone, comma-separated with a header, as the problem's program gets them.
    Inputs,
    /// One JSON array of objects.
    Json,
    /// Dakota's annotated tabular form, without the reasons.
    Dakota,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    check_points("-n", args.n)?;
    let mut folder = write(&args.folder)?;
    tell_notes(folder.notes());
    let wanted = AskFor {
        n: args.n,
        owner: args.owner.clone(),
        lease: args.lease.map(|lease| lease.as_secs_f64()),
        fixed: fixed(&folder, &args.fixed)?,
    };
    let trainer = trainer(args.threads)?;
    let stop = Stop::new();
    let asked = match args.dry_run {
        true => folder.would_ask(&wanted, trainer, &stop)?,
        false => folder.ask(&wanted, trainer, &stop)?,
    };
    for note in &asked.notes {
        say!("note: {note}");
    }
    let wanted = args.n.unwrap_or(folder.settings().batch);
    if asked.points.len() < wanted {
        say!("note: only {} of {wanted} points: nothing else is left to ask for", asked.points.len());
    }
    if asked.n_again > 0 {
        say!("note: {} of them were asked for before and have no answer yet", asked.n_again);
    }
    if let Err(error) = print(&folder, &asked, args.format).and_then(|()| Ok(std::io::stdout().flush()?)) {
        // Points that were never seen must not count as handed out. They stay drawn, with the same numbers.
        if !args.dry_run && !asked.points.is_empty() {
            folder.undo()?;
            say!("note: the points could not be printed; the next `dal ask` hands them out");
        }
        return Err(error);
    }
    Ok(Done::Fully)
}

/// What the column `part` says of a point that no model will learn, as in `dal export`.
const HELD_OUT: &str = "held-out";

/// Why a point was chosen.
const WHY: [&str; 4] = ["score", "disagreement", "distance", "probability"];

/// Prints points and why they were chosen.
pub fn print(folder: &Folder, asked: &Asked, format: AskFormat) -> Result<()> {
    let names = folder.subject().names();
    let why = |point: &dal_campaign::words::Drawn| [point.score, point.disagreement, point.distance, point.probability];
    let is_apart = |point: &dal_campaign::words::Drawn| asked.held_out.contains(&point.id);
    // Where points are held out, a column says which.
    let part = (!asked.held_out.is_empty()).then_some("part");
    match format {
        AskFormat::Csv => {
            let header = std::iter::once("id").chain(names.iter().map(String::as_str)).chain(WHY).chain(part);
            print_text(&record(header.map(Out::Exact)))?;
            for point in &asked.points {
                let numbers = why(point).map(|number| number.map_or(Out::Empty, Out::Number));
                let cells = point.x.iter().map(dal_campaign::export::out);
                let apart = part.map(|_| Out::Exact(if is_apart(point) { HELD_OUT } else { "" }));
                print_text(&record(
                    std::iter::once(Out::Whole(point.id as i64)).chain(cells).chain(numbers).chain(apart),
                ))?;
            }
        }
        AskFormat::Inputs => {
            print_text(&record(names.iter().map(|name| Out::Exact(name))))?;
            for point in &asked.points {
                // To the letter what the oracle would get: no apostrophe that keeps a spreadsheet from a formula.
                let cells: Vec<String> = point.x.iter().map(ToString::to_string).collect();
                print_text(&record(cells.iter().map(|cell| Out::Exact(cell))))?;
            }
        }
        AskFormat::Json => {
            let objects = asked.points.iter().map(|point| {
                let x: Map<String, Value> = names.iter().cloned().zip(point.x.iter().map(value)).collect();
                let mut object = json!({"id": point.id, "x": x});
                for (name, number) in WHY.iter().zip(why(point)) {
                    if let Some(number) = number {
                        object[*name] = json!(number);
                    }
                }
                if is_apart(point) {
                    object["part"] = json!(HELD_OUT);
                }
                object
            });
            outln!("{}", serde_json::to_string_pretty(&objects.collect::<Vec<_>>())?);
        }
        AskFormat::Dakota => {
            let points = asked.points.iter().map(|point| (point.id, &point.x[..], None));
            print_text(&dal_campaign::dakota::table(folder, points, false)?)?;
        }
        AskFormat::Table => {
            // The names live as long as the program prints.
            let columns: Vec<&'static str> = std::iter::once("id")
                .chain(names.iter().map(|name| &*Box::leak(name.clone().into_boxed_str())))
                .chain(WHY)
                .chain(part)
                .collect();
            let short = |number: Option<f64>| number.map_or(Value::Null, |v| json!(format!("{v:.3e}")));
            let rows = asked.points.iter().map(|point| {
                let cells = point.x.iter().map(|cell| json!(cell.to_string()));
                let apart = part.map(|_| json!(if is_apart(point) { "held out" } else { "" }));
                std::iter::once(json!(point.id)).chain(cells).chain(why(point).map(short)).chain(apart).collect()
            });
            Rows { columns, rows: rows.collect() }.print(Format::Table)?;
        }
    }
    Ok(())
}

/// A physical value as JSON.
pub fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => json!(*v as i64),
        Cell::Number(v) => json!(v),
        Cell::Level(level) => json!(level),
    }
}

/// Text that has its line break already.
pub fn print_text(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
