//! `dal bench work`: the tasks of a list, as a batch system starts them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dal_bench::{Event, Progress, RunOptions, Summary, Trial, WorkList};
use dal_core::{Stop, StopLevel};
use dal_store::Store;

use crate::Done;
use crate::answers::AnswerArgs;
use crate::outcome::{outcome_of, print_summary, provenance};
use crate::output::say;

/// `dal bench work`.
#[derive(clap::Args)]
#[command(
    after_help = "Made for batch systems; dal bench submit writes the list and says what to start. Doing a task twice,
or several tasks at the same time, does no harm: finished runs are left alone, and those that
another process is at work on as well; with --job it waits for those as long as a claim counts, and
takes up at once what the same job had claimed on another machine. The first SIGTERM or SIGUSR1
ends the training in progress within an epoch; what was begun stands at its checkpoint.

Examples:
  dal bench work runs/paper/tasks/0001/list.json --task 17
  dal bench work runs/paper/tasks/0001/list.json --jobs 8      every task, one after another"
)]
pub struct Args {
    /// The list of work.
    list: PathBuf,
    /// One task of the list, from 0 on [default: all of them].
    #[arg(long, value_name = "N")]
    task: Option<usize>,
    /// Trials that run at the same time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// The batch system's job that this is part of: for people, and for a start after it was queued again.
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// On SIGUSR1 with work left, once something was gained, ask Slurm to queue --job again.
    #[arg(long, requires = "job")]
    requeue: bool,
    /// End the programs that an earlier dal, killed on the way, left running on this machine; without this they are
    /// waited for.
    #[arg(long)]
    end_leftovers: bool,
    /// Without a sign of life for so long, another process that works on the same store counts as gone.
    #[arg(long, value_name = "TIME", default_value = "2m")]
    claim_age: humantime::Duration,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.jobs == 0 {
        bail!("--jobs 0: at least one trial has to run at a time");
    }
    let list = WorkList::read(&args.list)?;
    let names: Vec<String> = match args.task {
        None => list.tasks.iter().flat_map(|(_, runs)| runs.clone()).collect(),
        Some(task) => match list.tasks.get(task) {
            Some((_, runs)) => runs.clone(),
            None => {
                bail!("--task {task}: {} has tasks 0 to {}", args.list.display(), list.tasks.len().saturating_sub(1))
            }
        },
    };
    let (stop, time_is_up) = signals()?;
    let plan = list.plan(&crate::engines::catalogue()).context("this machine cannot do what was submitted")?;
    let (plan, unknown) = plan.only(&names);
    if let Some(name) = unknown.first() {
        bail!(
            "{}: run {name} and {} more are not what the sweep means by this program; use the one that submitted it, \
             or submit it again",
            args.list.display(),
            unknown.len() - 1
        );
    }
    let store = Store::open_or_create(&list.store)?;
    let claim_age: Duration = args.claim_age.into();
    let options = RunOptions {
        jobs: args.jobs,
        retry_failed: list.retry_failed,
        retried: list.retried.clone(),
        answers: list.answers.clone(),
        claim_age,
        // A task that gives up at once is handed on in vain until the claims of one that died have grown old.
        patience: if args.job.is_some() { claim_age.saturating_add(claim_age / 8) } else { Duration::ZERO },
        job: args.job.clone(),
        provenance: provenance(),
        ..RunOptions::default()
    };
    let asked: BTreeSet<usize> = plan.trials().iter().map(Trial::problem).collect();
    let asked = asked.into_iter().map(|problem| plan.problems()[problem].problem());
    let leftovers = AnswerArgs { folder: list.answers.clone(), end_leftovers: args.end_leftovers };
    if !leftovers.settle(asked, &stop)? {
        return Ok(Done::Interrupted);
    }
    let entries = Entries::default();
    let summary = dal_bench::run(&plan, &store, &options, &entries, &stop)
        .with_context(|| format!("store {}", list.store.display()))?;
    print_summary(&summary);
    if let Some(job) = args.job.as_ref().filter(|_| args.requeue && summary.left() > 0) {
        requeue(job, time_is_up(), entries.any(), &summary);
    }
    Ok(outcome_of(&summary))
}

/// Asks Slurm to queue this job again. Only where its time was up and something was gained, so that it comes to an end.
fn requeue(job: &str, time_is_up: bool, some_gain: bool, summary: &Summary) {
    if !time_is_up {
        return;
    }
    if !some_gain {
        say!("not queued again: in all its time not one training came to its end; give tasks more time");
        return;
    }
    say!("{} runs are left: job {job} is queued again", summary.left());
    match Command::new("scontrol").args(["requeue", job]).status() {
        Ok(status) if status.success() => {}
        outcome => say!("scontrol requeue {job} failed ({outcome:?}); dal bench resubmit takes up what is left"),
    }
}

/// Whether a training came to its end.
#[derive(Default)]
struct Entries(std::sync::atomic::AtomicBool);

impl Entries {
    fn any(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Progress for Entries {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::EntryFinished { .. } => self.0.store(true, std::sync::atomic::Ordering::Relaxed),
            Event::RunEnded { trial, status, .. } => say!("{}: {status:?}", trial.spec().label()),
            Event::ProgramDown { problem, message } => say!("{problem}: {message}"),
            _ => {}
        }
    }
}

/// A stop that any signal to end raises to the full at once, and whether it was the one that says that time is up.
#[cfg(unix)]
fn signals() -> Result<(Stop, impl Fn() -> bool)> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let stop = Stop::new();
    let (raised, time_is_up) = (stop.clone(), Arc::new(AtomicBool::new(false)));
    let up = Arc::clone(&time_is_up);
    let mut signals =
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1]).context("cannot listen for signals")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    up.store(true, Ordering::Relaxed);
                }
                raised.raise(StopLevel::Now);
                say!("signal {signal}: ending what runs; it stands at its checkpoint");
            }
        })
        .context("cannot listen for signals")?;
    Ok((stop, move || time_is_up.load(Ordering::Relaxed)))
}

#[cfg(not(unix))]
fn signals() -> Result<(Stop, impl Fn() -> bool)> {
    let stop = Stop::new();
    let raised = stop.clone();
    ctrlc::set_handler(move || raised.raise(StopLevel::Now)).context("cannot listen for interrupts")?;
    Ok((stop, || false))
}
