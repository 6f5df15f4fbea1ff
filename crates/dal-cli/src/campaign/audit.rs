//! `dal audit`: uniform points that are never learned, and the error of the present model from them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use dal_campaign::{Asked, Part, RunEvent};

use super::ask::{self, AskFormat};
use super::judging::{held_out_as_json, show_held_out, worst_outputs};
use super::{is_stop, trainer, write};
use crate::Done;
use crate::answers::AnswerArgs;
use crate::bench::interrupts;
use crate::data::check_points;
use crate::display::{Display, left};
use crate::output::{outln, say, word};

/// A number in, an error out.
#[derive(clap::Args)]
#[command(
    after_help = "With -n the campaign gets so many points in all that are uniform on its domain and that no model
learns. Its program, table, forest or network answers them at once; with --ask, or where a
laboratory answers, they are printed, `dal tell` takes the answers, and `dal audit` without -n
shows what they say. They do not count for the budget of `dal run`.

They judge any model of the campaign: those to come, too, as long as nothing is chosen by them.

Examples:
  dal audit beam -n 40
  dal audit beam                                        the error from the answers so far
  dal audit beam -n 40 --ask --format csv > audit.csv   measure these, then `dal tell beam`"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Points of audits in all; those of earlier ones count.
    #[arg(short = 'n', value_name = "N")]
    n: Option<usize>,
    /// Print the points that have no answer, and ask no program.
    #[arg(long)]
    ask: bool,
    /// How points are printed; the error as a table, or in JSON.
    #[arg(long, value_enum, default_value_t)]
    format: AskFormat,
    /// Threads that train [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    answers: AnswerArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.n == Some(0) {
        bail!("-n 0: give a whole number from 1");
    }
    check_points("-n", args.n)?;
    let mut folder = write(&args.folder)?;
    let trainer = trainer(args.threads)?;
    let stop = interrupts("the calls or the trainings in progress")?;
    if let Some(n) = args.n {
        folder.begin_audit(n)?;
    }
    let by_hand = args.ask || folder.subject().problem().oracle().is_err();
    if by_hand {
        let points = folder.hand_out_audit()?;
        if !points.is_empty() {
            say!("note: {} points have no answer; `dal tell` them, and `dal audit` shows what they say", points.len());
            ask::print(&folder, &Asked { points, ..Asked::default() }, args.format)?;
            return Ok(Done::Fully);
        }
    } else {
        let evaluations = folder.root().join(dal_oracles::user::driver::EVALUATIONS);
        let (problem, _) = args.answers.open(folder.subject().problem().clone().working_in(&evaluations))?;
        if !args.answers.settle([&problem], &stop)? {
            return Ok(Done::Interrupted);
        }
        let oracle = Arc::clone(problem.oracle()?);
        let display = Display::start();
        let mut n_new = 0_u32;
        let mut on_event = |event: &RunEvent| {
            if let RunEvent::Answered { id, failure, over, budget } = event {
                n_new += 1;
                if let Some((failure, again)) = failure {
                    let then = if *again { "; it is asked for again" } else { "" };
                    display.say(&format!("point {id}: {failure}{then}"));
                }
                let rest = display.elapsed().div_f64(f64::from(n_new)) * budget.saturating_sub(*over) as u32;
                let share = *over as f64 / (*budget).max(1) as f64;
                display.at(share, &format!("{over} of {budget} points; {}", left(Some(rest))));
            }
        };
        let outcome = folder.run_audit(&oracle, &stop, &mut on_event);
        display.finish();
        if !outcome? {
            return Ok(stopped());
        }
    }
    // A training looks for the second wish alone, so that the first is looked for here.
    if stop.is_draining() {
        return Ok(stopped());
    }
    let found = match folder.audited(trainer, &stop) {
        Err(error) if is_stop(&error) => return Ok(stopped()),
        other => other?,
    };
    let Some(found) = found else {
        let of_audits = folder.state().points().filter(|point| point.part == Part::Audit).count();
        let why = match (of_audits, args.n) {
            (0, None) => {
                format!("`dal audit {} -n 40` brings some", word(&args.folder.display().to_string()))
            }
            (0, Some(_)) => "no point is left that could be asked for beside those that were learned".to_owned(),
            (n, _) => format!("none of the {n} points of its audits has an answer"),
        };
        bail!("no point that was not learned has an answer, so that nothing judges the model: {why}");
    };
    let outputs = folder.subject().outputs();
    match args.format {
        AskFormat::Json => outln!("{}", serde_json::to_string_pretty(&held_out_as_json(outputs, &found))?),
        _ => show_held_out(outputs, &found, &worst_outputs(outputs.len(), folder.standing().errors.last()))?,
    }
    Ok(Done::Fully)
}

fn stopped() -> Done {
    say!("stopped; the same command goes on");
    Done::Interrupted
}
