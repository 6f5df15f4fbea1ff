//! `dal tell`: answers for a campaign.

use std::path::PathBuf;

use anyhow::Result;
use dal_campaign::Otherwise;
use dal_files::Source;

use super::{tell_notes, write};
use crate::Done;
use crate::output::{outln, say};

/// A table of answers in.
#[derive(clap::Args)]
#[command(after_help = "The table has a column for each output, and either `id`, as `dal ask` printed it, or the
inputs' columns, or both (fixed inputs may be left out; values beside an id are compared with the
point's); rows stand in any order, other columns are ignored. A row without outputs is not measured
yet. Points that were never asked for are taken, too; values that are shown with six digits or
more, and agree in them with one point alone that waits for an answer, are that point's. Dakota's
annotated tables, those of `dal label --out` and exports of other campaigns are read as they are, by
values. With --points the table is what a program printed of those points, read as `dal label` reads
it: in their order, or with a column `row` that counts them from 0. An output may say
  error: …, failed    the point has no answer and is never asked for again
  nan                 the same
  lost: …             the machine failed, not the point: it is asked for again, `attempts` times in all
All rows of a table are taken or none, and every bad row is named. Rows that are known already do no
harm, nor does a loss in the same words that a growing table says again; with --replicate a value
that a table has more often than it is known is another measurement. With --correct the rows of a
point of which the table says anything new take the place of all its answers.

Examples:
  dal tell beam results.csv
  measure.sh | dal tell beam -                    from standard input
  dal tell beam answers.csv --points points.csv   what a program printed of the points of that file
  dal tell beam repeated.csv --replicate          a second measurement of the same points
  dal tell beam mended.csv --correct              the earlier answers were wrong")]
pub struct Args {
    /// The campaign's folder (default: this one), and the table; `-` reads standard input.
    #[arg(required = true, num_args = 1..=2, value_names = ["FOLDER", "TABLE"])]
    paths: Vec<PathBuf>,
    /// The points that a program was given, as `dal ask` printed them with --format csv or inputs; the table is what it
    /// printed.
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// Answers that differ from earlier ones take their place, those of one point together.
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
    let answers = Source::open(table)?;
    let points = args.points.as_ref().map(|points| Source::open(points)).transpose()?;
    let mut folder = write(&folder)?;
    let heard = match points {
        Some(points) => folder.tell_beside(points, answers, otherwise)?,
        None => folder.tell(answers, otherwise)?,
    };
    tell_notes(&heard.notes);
    heard.remarks.iter().for_each(|remark| say!("note: {remark}"));
    let mut parts = vec![format!("{} new answer{}", heard.answers, if heard.answers == 1 { "" } else { "s" })];
    for (n, words) in [
        (heard.failed, "failed"),
        (heard.lost, "lost, to be asked for again"),
        (heard.unwanted, "lost, of points that are withdrawn"),
        (heard.replaced, "earlier ones replaced"),
        (heard.adopted, "of these never asked for"),
        (heard.rounded, "matched by rounded values"),
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
