//! `dal run`: closes the loop over a campaign's program, table, forest or network.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use dal_campaign::{Folder, Part, RunEnd, RunEvent, RunOptions, Status};
use dal_core::{Stop, StopLevel};

use super::{is_stop, target, tell_notes, time, trainer, write};
use crate::Done;
use crate::answers::AnswerArgs;
use crate::bench::heard_interrupts;
use crate::display::{Display, duration, left};
use crate::output::{outln, say, word};

/// A budget in, labels out.
#[derive(clap::Args)]
#[command(
    after_help = "A round is drawn from one model and one set of candidates. Free slots take its next point; when
its last point has started, the next round is drawn, with those that have no answer yet kept in
mind. With --in-batches a round waits for all answers of the one before and goes to the oracle as
one call; the points then do not depend on how fast answers come.

With --target the run ends when the error is shown to lie below it: after whole rounds, from the
third on, an upper limit is looked at that errs with 5 % over all looks. That needs a rule that
draws its points (power-qbc-diversity, …) or points that are held out; `dal status` says how far it
is. --no-gain is a rule of thumb: the last rounds' models were no better than those before.

Every answer is on disk before it is used. Ctrl-C stops after the calls in progress, twice ends
them; the same command goes on, after a `kill -9`, too, and asks no point again that was answered.

Examples:
  dal run beam --budget 300
  dal run beam --budget 300 --parallel 4 --time 8h
  dal run beam --budget 300 --in-batches --batch 20
  dal run beam.drawn --budget 60 --target 0.05         or until the error is below 5 % of the spread
  dal run beam.drawn --budget 60 --target drag=0.1,lift=3 --no-gain 5"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Points to ask for in all, failed ones and those of earlier runs included [default: `budget` in campaign.toml].
    #[arg(long, value_name = "N")]
    budget: Option<usize>,
    /// Calls of one point each at one time.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "in_batches")]
    parallel: usize,
    /// One call for a whole round (the problem file's `parallel` and `rows_per_call` then say how it is divided).
    #[arg(long)]
    in_batches: bool,
    /// Points of a round [default: `batch` in campaign.toml].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// End when the error is shown to lie below this: in standard deviations, or of outputs in their units [default:
    /// `target` in campaign.toml].
    #[arg(long, value_name = "ERROR|NAME=ERROR,…", value_delimiter = ',')]
    target: Vec<String>,
    /// End when so many rounds brought no gain over as many before, a rule of thumb [default: `no_gain` in
    /// campaign.toml].
    #[arg(long, value_name = "ROUNDS")]
    no_gain: Option<usize>,
    /// Start nothing after this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Threads that train [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    answers: AnswerArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    for (flag, value) in [
        ("--parallel", Some(args.parallel)),
        ("--batch", args.batch),
        ("--budget", args.budget),
        ("--no-gain", args.no_gain),
    ] {
        if value == Some(0) {
            bail!("{flag} 0: give a whole number from 1");
        }
    }
    let mut folder = write(&args.folder)?;
    tell_notes(folder.notes());
    let trainer = trainer(args.threads)?;
    let (stop, interrupted) = heard_interrupts("the calls in progress")?;
    if let Some(time) = args.time {
        let stop = stop.clone();
        // It ends with the program.
        std::thread::spawn(move || {
            std::thread::sleep(time);
            say!("\nthe time is up (--time): stopping after the calls in progress (Ctrl-C twice ends them now)");
            stop.raise(StopLevel::Drain);
        });
    }
    let options = RunOptions {
        budget: args.budget,
        parallel: args.parallel,
        in_batches: args.in_batches,
        batch: args.batch,
        target: target(&args.target)?,
        no_gain: args.no_gain,
    };
    let display = Display::start();
    let mut tally = Tally::of(&folder);
    let mut on_event = |event: &RunEvent| match event {
        RunEvent::Drawing { labels } => display.note(&format!("drawing a round from {labels} labels")),
        RunEvent::Drawn { round, points, notes, errors } => {
            let errors = errors.as_ref().map_or(String::new(), |errors| {
                let shown: Vec<String> = errors.rmse.iter().take(4).map(|v| format!("{v:.3e}")).collect();
                format!("; cross-validated error {} at {} labels", shown.join(", "), errors.n)
            });
            display.say(&format!("round {round}: {points} points{errors}"));
            notes.iter().for_each(|note| display.say(&format!("note: {note}")));
        }
        RunEvent::Ended { why } => display.say(&format!("a rule ends the run: {why}")),
        RunEvent::Answered { id, failure, over, budget } => {
            if let Some((failure, again)) = failure {
                let then = if *again { "; it is asked for again" } else { "" };
                display.say(&format!("point {id}: {failure}{then}"));
            }
            let of_budget = tally.hear(*id, failure.as_ref().map(|(failure, again)| (&*failure.kind, *again)));
            if of_budget {
                let per_call = display.elapsed().div_f64(tally.calls as f64);
                let rest = per_call * budget.saturating_sub(*over) as u32;
                let share = (*over as f64 / (*budget).max(1) as f64).min(1.0);
                display.at(share, &format!("{}; {}", tally.in_words(*over, *budget), left(Some(rest))));
            }
        }
    };
    // Answers that other commands paid for are not asked again.
    let evaluations = folder.root().join(dal_oracles::user::driver::EVALUATIONS);
    let problem = folder.subject().problem().clone().working_in(&evaluations);
    // `attempts` says how often a point is tried. In a call of many rows the program's own retries find out which of
    // them it is that takes the call down.
    let problem = if args.in_batches { problem } else { problem.tried_once() };
    let (problem, _) = args.answers.open(problem)?;
    if !args.answers.settle([&problem], &stop)? {
        return Ok(stopped(&interrupted));
    }
    let oracle = Arc::clone(problem.oracle()?);
    let outcome = folder.run(&options, &oracle, trainer, &stop, &mut on_event);
    let elapsed = display.elapsed();
    display.finish();
    let end = match outcome {
        Err(error) if is_stop(&error) => RunEnd::Stopped,
        other => other?,
    };
    let standing = folder.standing();
    let failed: usize = standing.failures.iter().map(|(_, n)| n).sum();
    let apart = match standing.held_out.0 {
        0 => String::new(),
        n => format!("{n} held out, "),
    };
    outln!(
        "{} labels, {apart}{failed} points failed; {} answers in {}",
        standing.labels,
        tally.answers,
        duration(elapsed)
    );
    for (kind, n) in &standing.failures {
        say!("{n} {kind}");
    }
    if end != RunEnd::Rule && !args.target.is_empty() {
        let target = args.target.join(",");
        let folder = word(&args.folder.display().to_string());
        say!("how far the target is: dal status {folder} --target {}", word(&target));
    }
    match end {
        RunEnd::Budget => {
            say!("the budget is used up; a larger one goes on: --budget N");
            Ok(Done::Fully)
        }
        RunEnd::Rule => Ok(Done::Fully),
        RunEnd::Exhausted => {
            say!("nothing is left to ask for");
            Ok(Done::Fully)
        }
        RunEnd::Stopped => Ok(stopped(&interrupted)),
    }
}

/// A run that was stopped: by Ctrl-C, be the time up or not, or because it was.
fn stopped(interrupted: &Stop) -> Done {
    if interrupted.is_draining() {
        say!("stopped; the same command goes on");
        return Done::Interrupted;
    }
    say!("stopped because the time is up (--time); the same command goes on");
    Done::Fully
}

/// What a run has brought so far.
#[derive(Debug, Default)]
struct Tally {
    /// Points of audits: a run takes open ones along, but its budget does not count them.
    audits: HashSet<u64>,
    /// How many points of the budget failed, by kind; those of earlier runs, too.
    failures: BTreeMap<String, usize>,
    /// Calls of this run that ended.
    calls: usize,
    /// Answers that they gave.
    answers: usize,
}

impl Tally {
    fn of(folder: &Folder) -> Self {
        let mut tally = Self::default();
        for point in folder.state().points() {
            if point.part == Part::Audit {
                tally.audits.insert(point.id);
            } else if let (Status::Failed, Some(_), Some(failure)) = (point.status(), point.drawn, &point.failure) {
                *tally.failures.entry(failure.kind.clone()).or_default() += 1;
            }
        }
        tally
    }

    /// Takes what became of a call: why it gave no answer, and whether its point is asked again. Whether the point
    /// counts for the budget.
    fn hear(&mut self, id: u64, failure: Option<(&str, bool)>) -> bool {
        let of_budget = !self.audits.contains(&id);
        self.calls += 1;
        match failure {
            None => self.answers += 1,
            Some((kind, false)) if of_budget => *self.failures.entry(kind.to_owned()).or_default() += 1,
            Some(_) => {}
        }
        of_budget
    }

    /// How many points of the budget have answers and failed, where so many are over.
    fn in_words(&self, over: usize, budget: usize) -> String {
        let answers = over.saturating_sub(self.failures.values().sum());
        let failed: String = self.failures.iter().map(|(kind, n)| format!(", {n} {kind}")).collect();
        format!("{over} of {budget} points: {answers} answers{failed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_failures_and_losses_are_counted_apart() {
        let failures = BTreeMap::from([("refused".to_owned(), 1)]);
        let mut tally = Tally { audits: HashSet::from([7]), failures, ..Tally::default() };
        assert!(
            tally.hear(1, None) && tally.hear(2, Some(("crashed", true))) && tally.hear(3, Some(("refused", false)))
        );
        assert!(!tally.hear(7, None) && !tally.hear(7, Some(("refused", false))));
        assert_eq!((tally.calls, tally.answers), (5, 2));
        // Of three points that are over one had failed before.
        assert_eq!(tally.in_words(3, 9), "3 of 9 points: 1 answers, 2 refused");
    }
}
