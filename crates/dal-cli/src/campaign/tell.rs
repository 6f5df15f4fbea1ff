//! `dal tell`: answers for a campaign.

use std::path::PathBuf;

use anyhow::Result;
use dal_campaign::Otherwise;
use dal_campaign::tell::beside;
use dal_files::Source;

use super::{tell_notes, write};
use crate::Done;
use crate::output::outln;

/// A table of answers in.
#[derive(clap::Args)]
#[command(after_help = "The table has a column for each output, and either `id`, as `dal ask` printed it, or the
inputs' columns, or both; rows stand in any order, other columns are ignored. A row without outputs
is not measured yet. Points that were never asked for are taken, too. Dakota's annotated tables are
read as they are, by values. An output may say
  error: …, failed    the point has no answer and is never asked for again
  nan                 the same
  lost: …             the machine failed, not the point: it is asked for again, `attempts` times in all
All rows of a table are taken or none, and every bad row is named. Rows that are known already do no
harm; with --replicate a value that a table has more often than it is known is another measurement.

Examples:
  dal tell beam results.csv
  measure.sh | dal tell beam -                    from standard input
  dal tell beam answers.csv --points points.csv   outputs alone, a line for each point of that file
  dal tell beam repeated.csv --replicate          a second measurement of the same points
  dal tell beam mended.csv --correct              the earlier answers were wrong")]
pub struct Args {
    /// The campaign's folder (default: this one), and the table; `-` reads standard input.
    #[arg(required = true, num_args = 1..=2, value_names = ["FOLDER", "TABLE"])]
    paths: Vec<PathBuf>,
    /// The points that the answers belong to, line by line, as `dal ask` printed them with --format csv or inputs.
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// Answers that differ from earlier ones take their place.
    #[arg(long, conflicts_with = "replicate")]
    correct: bool,
    /// Answers that differ from earlier ones stand beside them, and equal ones of one table.
    #[arg(long)]
    replicate: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let (folder, table) = match &args.paths[..] {
        [folder, table] => (folder.clone(), table),
        [table, ..] => (PathBuf::from("."), table),
        [] => anyhow::bail!("name the table of answers"),
    };
    let otherwise = match (args.correct, args.replicate) {
        (true, _) => Otherwise::Correct,
        (_, true) => Otherwise::Replicate,
        _ => Otherwise::Refuse,
    };
    let mut answers = Source::open(table)?;
    if let Some(points) = &args.points {
        answers = beside(Source::open(points)?, answers)?;
    }
    let mut folder = write(&folder)?;
    let heard = folder.tell(answers, otherwise)?;
    tell_notes(&heard.notes);
    let mut parts = vec![format!("{} new answer{}", heard.answers, if heard.answers == 1 { "" } else { "s" })];
    for (n, words) in [
        (heard.failed, "failed"),
        (heard.lost, "lost, to be asked for again"),
        (heard.adopted, "of these never asked for"),
        (heard.repeated, "known already"),
        (heard.empty, "not measured yet"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {words}"));
        }
    }
    outln!("{}; {} labels in all", parts.join(", "), folder.standing().labels);
    Ok(Done::Fully)
}
