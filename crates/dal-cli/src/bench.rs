//! `dal bench`: a sweep file against a store, with progress and an estimate.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use dal_bench::{Estimate, Event, Overall, Plan, PlannedProblem, Progress, RunOptions, Sweep};
use dal_core::{Stop, StopLevel};
use dal_report::{RunStatus, read_export};
use dal_store::{Status, Store};
use serde_json::json;

use crate::Done;
use crate::answers::{AnswerArgs, tell_damage, tell_taken};
use crate::cluster::{EngineArgs, follow, probe, submit, work};
use crate::display::{Display, duration, left, seconds};
use crate::effects;
use crate::export;
use crate::learning::unlearned;
use crate::merge;
use crate::outcome::{SHOWN_RUNS, outcome_of, print_summary, provenance};
use crate::output::{Format, Rows, outln, say};
use crate::verify;

/// `dal bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run what a sweep file describes and the store does not hold yet.
    Run(RunArgs),
    /// How the runs of a store stand, and what did not learn in them.
    Status(crate::status::Args),
    /// Write what a run saw and chose at one step as NumPy files, so that other programs can recompute it.
    Show(crate::show::Args),
    /// Hold every file of a store against its seal.
    Verify(verify::Args),
    /// Cut a sweep into tasks and hand them to Slurm, or print them as lines of a shell.
    Submit(submit::Args),
    /// Work through a task of a list, as a batch system starts it.
    Work(work::Args),
    /// The vector instructions that this machine has.
    Kernels(probe::Args),
    /// Hand on again what Slurm did not bring to its end.
    Resubmit(follow::ResubmitArgs),
    /// End the tasks that Slurm was handed.
    Cancel(follow::CancelArgs),
    /// Merge stores that were filled apart, and the answers of programs.
    Merge(merge::Args),
    /// Write a store as tables: runs, entries, queries, labels, failures.
    Export(export::Args),
}

#[derive(clap::Args)]
#[command(
    after_help = "Finished runs are kept and never run again; interrupted ones go on at their last finished step.
Results are the same bytes whatever --jobs is. Ctrl-C stops after the trainings and the calls of a
program in progress; a second one ends them. Neither loses a step, nor an answer of a program of
your own: each is on disk as soon as it is there, and never asked for again.

The same command may run several times on one store, on one machine or on several: each leaves
alone what another is at work on.

Examples:
  dal bench run benches/sweeps/quick.toml --plan              how many runs, how long
  dal bench run my/sweep.toml --plan --call-time 90s    a program of yours that takes 90 s a point
  dal bench run benches/sweeps/quick.toml --store runs/quick --jobs 2
  dal bench run benches/sweeps/sine-full.toml --store runs/sine-full
  dal bench run evidence.toml --store today --problems sine --seeds 0-4 --done-in tables
  dal bench run evidence.toml --store today --strategies random,gsx    these first
  dal bench run paper.toml --store runs/paper --engine tch --device cuda:0    (see docs/gpu.md)"
)]
struct RunArgs {
    /// The sweep file.
    sweep: PathBuf,
    /// Where runs are kept; created if it does not exist. With --plan: what it holds need not be done.
    #[arg(long, value_name = "DIR", required_unless_present = "plan")]
    store: Option<PathBuf>,
    /// Trials, or groups of them, that run at the same time, one thread each
    /// [default: one per core; on a CUDA device 2].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Trials that the engine tch trains together, at most [default: as many as it likes].
    #[arg(long, value_name = "N")]
    together: Option<usize>,
    /// Print what it would cost (runs, trainings, calls of your own programs, the time of each), then the runs, and
    /// stop.
    #[arg(long)]
    plan: bool,
    /// With --plan: the store, or tables exported from one, whose results tell how far seeds differ, and so what
    /// effects can be decided [default: --store].
    #[arg(long, value_name = "STORE", requires = "plan")]
    spread_from: Option<PathBuf>,
    /// How long your own program takes for a point, as in 90s or 2h; `measure` asks for one point of its test set,
    /// which is kept.
    #[arg(long, value_name = "TIME", requires = "plan", value_parser = call_time)]
    call_time: Option<CallTime>,
    /// Run failed runs again, and ask again for failed labels of finished ones: a run goes back to the first that is
    /// answered.
    #[arg(long)]
    retry_failed: bool,
    #[command(flatten)]
    answers: AnswerArgs,
    /// Run one of several equal parts, as in 2/4: for machines that are started by hand, on one store or on several
    /// that are merged later. Parts that are to be merged as one result need one --platform.
    #[arg(long, value_name = "PART/PARTS", value_parser = shard)]
    shard: Option<Shard>,
    /// Only the runs of these problems, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    problems: Vec<String>,
    /// Only the runs of these strategies, separated by commas and named as in reports (`qbc-diversity?scaling=raw`).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    strategies: Vec<String>,
    /// Only the runs of these seeds, as in 0-4,7.
    #[arg(long, value_name = "SEEDS", value_parser = seeds)]
    seeds: Option<Seeds>,
    /// Not the runs that these tables hold as finished: those of `dal bench export`, as of a machine that is gone.
    #[arg(long, value_name = "TABLES")]
    done_in: Vec<PathBuf>,
    /// Without a sign of life for so long, another process that works on the same store counts as gone, and its runs
    /// are taken up from their checkpoints.
    #[arg(long, value_name = "TIME", default_value = "2m")]
    claim_age: humantime::Duration,
    /// How --plan is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    match &args.command {
        Command::Run(args) => run_sweep(args),
        Command::Status(args) => crate::status::run(args),
        Command::Show(args) => crate::show::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Submit(args) => submit::run(args),
        Command::Work(args) => work::run(args),
        Command::Kernels(args) => probe::run(args),
        Command::Resubmit(args) => follow::resubmit(args),
        Command::Cancel(args) => follow::cancel(args),
        Command::Merge(args) => merge::run(args),
        Command::Export(args) => export::run(args),
    }
}

fn run_sweep(args: &RunArgs) -> Result<Done> {
    for (flag, value) in [("--jobs", args.jobs), ("--together", args.together)] {
        if value == Some(0) {
            bail!("{flag} 0: at least one trial has to run at a time");
        }
    }
    let sweep = args.engine.chosen(Sweep::load(&args.sweep)?);
    let mut plan = sweep.resolve_with(&crate::engines::catalogue())?;
    refuse_unknown(&plan, args)?;
    if let Some(Shard { part, of }) = args.shard {
        plan = plan.shard(part - 1, of);
    }
    plan = restricted(plan, args)?;
    crate::data::say_notes(plan.notes());
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or_else(|| plan.default_jobs(n_cpus));
    // A sweep that is there for its timings runs alone.
    let jobs = if plan.is_timing() { 1 } else { jobs };
    let answers = args.answers.folder.clone();
    if args.plan {
        args.answers.name_leftovers(plan.problems().iter().map(PlannedProblem::problem))?;
        // Looking must not create anything.
        let store = match &args.store {
            Some(path) if path.exists() => Some(Store::open(path)?),
            _ => None,
        };
        let call_times = match args.call_time {
            Some(CallTime::Measure) => plan.time_a_call(answers.as_deref(), &interrupts("the call in progress")?)?,
            _ => Vec::new(),
        };
        let estimate = plan.estimate_with(jobs, store.as_ref(), answers.as_deref(), args.retry_failed)?;
        let line = headline(&plan, &estimate, jobs, &|problem| match args.call_time {
            Some(CallTime::Given(seconds)) => Some(seconds),
            _ => call_times.iter().find(|(of, _)| of == problem).map(|(_, seconds)| *seconds),
        });
        // A machine that reads the rows wants nothing else.
        match args.format {
            Format::Table => outln!("{line}"),
            _ => say!("{line}"),
        }
        notes(&estimate);
        let done = print_plan(&plan, &estimate, args.format)?;
        let stored = || {
            Ok(match (&args.spread_from, &store) {
                (Some(path), _) => Some(effects::stored(path).context("--spread-from")?),
                (None, Some(store)) => Some(dal_report::load(store)?),
                (None, None) => None,
            })
        };
        for line in effects::lines(&plan, stored)? {
            say!("{line}");
        }
        return Ok(done);
    }
    let Some(store_path) = &args.store else { bail!("--store DIR says where the runs are kept") };
    let store = Store::open_or_create(store_path)?;
    let estimate = plan.estimate_with(jobs, Some(&store), answers.as_deref(), args.retry_failed)?;
    // Before anything is said, so that a stop may come at once.
    let stop = interrupts("the steps in progress")?;
    say!("{}", headline(&plan, &estimate, jobs, &|_| None));
    notes(&estimate);
    let options = RunOptions {
        jobs,
        retry_failed: args.retry_failed,
        together: args.together,
        answers,
        whole: estimate.whole,
        claim_age: args.claim_age.into(),
        provenance: provenance(),
        ..RunOptions::default()
    };

    if !args.answers.settle(plan.problems().iter().map(PlannedProblem::problem), &stop)? {
        return Ok(Done::Interrupted);
    }
    let display = Display::start();
    let outcome = dal_bench::run(&plan, &store, &options, &display, &stop);
    display.finish();
    let summary = outcome.with_context(|| format!("store {}", store_path.display()))?;
    print_summary(&summary);
    Ok(outcome_of(&summary))
}

/// Refuses what the whole sweep has not: a shard of it may well lack a strategy or a seed.
fn refuse_unknown(plan: &Plan, args: &RunArgs) -> Result<()> {
    let known: Vec<String> = plan.problems().iter().map(|planned| planned.problem().variant_id()).collect();
    if let Some(unknown) = args.problems.iter().find(|name| !known.contains(name)) {
        bail!("--problems {unknown}: the sweep has no such problem; it has {}", known.join(", "));
    }
    let known: BTreeSet<&str> = plan.trials().iter().map(|trial| trial.spec().strategy.variant.as_str()).collect();
    if let Some(unknown) = args.strategies.iter().find(|name| !known.contains(name.as_str())) {
        let known: Vec<&str> = known.into_iter().collect();
        bail!("--strategies {unknown}: the sweep has no such strategy; it has {}", known.join(", "));
    }
    let known: BTreeSet<u64> = plan.trials().iter().map(|trial| trial.spec().seed).collect();
    let unknown = args
        .seeds
        .iter()
        .flat_map(|Seeds(ranges)| ranges)
        .find(|r| !known.contains(r.start()) || !known.contains(r.end()));
    if let (Some(unknown), Some(first), Some(last)) = (unknown, known.first(), known.last()) {
        let asked = match (unknown.start(), unknown.end()) {
            (start, end) if start == end => start.to_string(),
            (start, end) => format!("{start}-{end}"),
        };
        let which = if unknown.start() == unknown.end() { "no such seed" } else { "not all of these seeds" };
        bail!("--seeds {asked}: the sweep has {which}; it has {first} to {last}");
    }
    Ok(())
}

/// The part of a plan that the options ask for.
fn restricted(plan: Plan, args: &RunArgs) -> Result<Plan> {
    let mut finished = BTreeMap::new();
    for tables in &args.done_in {
        let runs = read_export(tables)?.runs.into_iter();
        finished.extend(runs.filter(|run| run.status == RunStatus::Done).map(|run| (run.name, run.setting.platform)));
    }
    let among = |wanted: &[String], variant: &String| wanted.is_empty() || wanted.contains(variant);
    let of_seed =
        |seed| args.seeds.as_ref().is_none_or(|Seeds(ranges)| ranges.iter().any(|range| range.contains(&seed)));
    let before = plan.trials().len();
    let plan = plan.part(&|_, trial| {
        let spec = trial.spec();
        among(&args.problems, &spec.problem.variant)
            && among(&args.strategies, &spec.strategy.variant)
            && of_seed(spec.seed)
    });
    if plan.trials().is_empty() && before > 0 {
        bail!("--problems, --strategies and --seeds leave none of the sweep's {before} runs");
    }
    let asked = plan.trials().len();
    let plan = plan.part(&|name, _| !finished.contains_key(name));
    if !args.done_in.is_empty() {
        say!("{} of {asked} runs are finished in the tables", asked - plan.trials().len());
        finished_elsewhere(&plan, &finished);
    }
    Ok(plan)
}

/// Says which runs to do are in tables as ones of another platform, specification or version: a whole sweep would be
/// done again.
fn finished_elsewhere(plan: &Plan, finished: &BTreeMap<String, String>) {
    // A run's name is what it is of and the hash of all the rest.
    let label = |name: &str| name.rsplit_once('-').map(|(label, _)| label.to_owned());
    let known: BTreeMap<String, &str> =
        finished.iter().filter_map(|(name, platform)| Some((label(name)?, platform.as_str()))).collect();
    let mut by_platform: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut others, mut here) = (0, "");
    for trial in plan.trials() {
        let Some(platform) = label(&trial.key().directory_name()).and_then(|label| known.get(&label).copied()) else {
            continue;
        };
        if platform == trial.key().platform {
            others += 1;
        } else {
            here = &trial.key().platform;
            *by_platform.entry(platform).or_default() += 1;
        }
    }
    for (platform, n) in by_platform {
        let path = platform.split('/').nth(1).unwrap_or_default();
        say!(
            "{n} of those to do are in the tables as runs on {platform}, which here are planned on {here}: \
             `--platform {path}` plans them so, and what is finished counts as done"
        );
    }
    if others > 0 {
        say!("{others} of those to do are in the tables as runs of another specification or version of dal");
    }
}

/// Ranges of seeds.
#[derive(Clone, Debug)]
struct Seeds(Vec<RangeInclusive<u64>>);

fn seeds(text: &str) -> Result<Seeds, String> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.trim().parse::<u64>().ok()?..=last.trim().parse::<u64>().ok()?;
        (!range.is_empty()).then_some(range)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.map(Seeds).ok_or_else(|| "give seeds or ranges of them, as in 0-4,7".into())
}

/// One of several equal parts of a sweep.
#[derive(Clone, Copy, Debug)]
struct Shard {
    part: usize,
    of: usize,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match parsed {
        Some((part, of)) if (1..=of).contains(&part) => Ok(Shard { part, of }),
        _ => Err("give part and number of parts, as in 2/4".into()),
    }
}

/// A wish to stop that Ctrl-C (or SIGTERM) utters: the first drains what runs, named by `what`; the second ends it.
pub fn interrupts(what: &'static str) -> Result<Stop> {
    Ok(heard_interrupts(what)?.0)
}

/// The same, and beside it what was uttered by Ctrl-C alone. The wish itself may have other reasons, such as a time
/// that is up; the first Ctrl-C after one must not end what runs.
pub fn heard_interrupts(what: &'static str) -> Result<(Stop, Stop)> {
    let (stop, heard) = (Stop::new(), Stop::new());
    let (all, pressed) = (stop.clone(), heard.clone());
    ctrlc::set_handler(move || {
        let level = pressed.press();
        all.raise(level);
        match level {
            StopLevel::Now => say!("\nending what runs"),
            _ => say!("\nstopping after {what} (again to end them now; nothing finished is lost)"),
        }
    })
    .context("cannot listen for interrupts")?;
    Ok((stop, heard))
}

/// The runs by problem, strategy and pool ratio, with the trainings that are to be done and their processor time.
fn print_plan(plan: &Plan, estimate: &Estimate, format: Format) -> Result<Done> {
    let mut groups: Vec<(Vec<serde_json::Value>, [usize; 2], f64)> = Vec::new();
    let mut open = estimate.open.iter().peekable();
    for (i, trial) in plan.trials().iter().enumerate() {
        let spec = trial.spec();
        let key = vec![json!(spec.problem.variant), json!(spec.strategy.variant), json!(spec.pool_ratio())];
        let (trainings, seconds) = open.next_if(|(of, ..)| *of == i).map_or((0, 0.0), |&(_, n, cost)| (n, cost));
        match groups.iter_mut().find(|(k, ..)| *k == key) {
            Some((_, counts, all)) => (*counts, *all) = ([counts[0] + 1, counts[1] + trainings], *all + seconds),
            None => groups.push((key, [1, trainings], seconds)),
        }
    }
    let rows = groups.into_iter().map(|(mut key, [n, trainings], seconds)| {
        // Three digits are more than a model of cost has.
        let rounded: f64 = format!("{seconds:.2e}").parse().unwrap_or(seconds);
        key.extend([json!(n), json!(trainings), json!(rounded)]);
        key
    });
    let columns = vec!["problem", "strategy", "pool_ratio", "seeds", "trainings", "processor_s"];
    Rows { columns, rows: rows.collect() }.print(format)?;
    Ok(Done::Fully)
}

/// How long a user's program takes for a point.
#[derive(Clone, Copy, Debug)]
pub enum CallTime {
    /// So many seconds.
    Given(f64),
    /// To be found out.
    Measure,
}

/// Reads one.
pub fn call_time(text: &str) -> Result<CallTime, String> {
    if text == "measure" {
        return Ok(CallTime::Measure);
    }
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; give 0.5s, 90s, 2h, … or measure"))?;
    Ok(CallTime::Given(time.as_secs_f64()))
}

/// What a start would do and how long it would take, in one line. `call_time` knows how long a problem's program takes.
fn headline(plan: &Plan, estimate: &Estimate, jobs: usize, call_time: &dyn Fn(&str) -> Option<f64>) -> String {
    let mut line = format!("{}: {} runs, {} finished", plan.name(), estimate.planned, estimate.done);
    let others = [(estimate.failed, "failed"), (estimate.partial, "begun"), (estimate.damaged.len(), "damaged")];
    for (count, what) in others {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    line += &format!("; {} trainings to do", estimate.entries);
    if estimate.entries > 0 {
        line += &format!(", {} of processor time each", seconds(estimate.cpu_seconds / estimate.entries as f64));
    }
    let (mut calls, mut unknown) = (0.0, false);
    for labels in estimate.labels.iter().filter(|labels| labels.points > 0) {
        let time = call_time(&labels.problem);
        let each = time.map_or("unknown time".into(), seconds);
        line += &format!("; up to {} simulator calls for {}, {each} each", labels.points, labels.problem);
        calls += labels.rounds as f64 * time.unwrap_or(0.0);
        unknown |= time.is_none();
    }
    let calls = Duration::try_from_secs_f64(calls).unwrap_or(Duration::MAX);
    line += &format!("; about {} with {jobs} at a time", duration(estimate.duration.saturating_add(calls)));
    if unknown {
        line += " and the calls (--plan --call-time TIME or measure)";
    }
    line
}

/// What else there is to say of an estimate.
fn notes(estimate: &Estimate) {
    if estimate.extended > 0 {
        say!("{} runs go on where finished ones of fewer steps ended", estimate.extended);
    }
    for damaged in &estimate.damaged {
        say!("left out: {}: {}", damaged.directory, damaged.reason);
    }
    if let Some(n) = Some(estimate.elsewhere.len()).filter(|n| *n > 0) {
        let shown: Vec<&str> = estimate.elsewhere.iter().take(SHOWN_RUNS).map(String::as_str).collect();
        let more = if n > shown.len() { format!(" and {} more", n - shown.len()) } else { String::new() };
        say!(
            "{n} runs in the store are of another specification, platform or version of dal; they stay there, and those \
             to do are run anew: {}{more}",
            shown.join(", ")
        );
    }
}

/// Failures of a test set that are shown.
const SHOWN_FAILURES: usize = 3;

fn show(display: &Display, overall: &Overall, latest: &str) {
    let left = left(overall.remaining);
    let runs = format!("{}/{} runs", overall.runs_over, overall.runs_planned);
    display.at(overall.fraction, &format!("{left}, {runs}, {latest}"));
}

impl Progress for Display {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::TestPoint { problem, answered, of } => {
                self.note(&format!("labelling the test set of {problem}: {answered} of {of}"));
            }
            Event::TestPointsFailed { problem, failures, of } => {
                self.say(&format!(
                    "{problem}: {} of {of} test points have no label and are left out of the test set",
                    failures.len()
                ));
                for (row, failure) in failures.iter().take(SHOWN_FAILURES) {
                    self.say(&format!("  test point {row}: {failure}"));
                }
            }
            Event::OldAnswers { problem, taken } => tell_taken(problem, taken, &mut |text| self.say(text)),
            Event::LabelsDamaged { problem, dropped_bytes } => {
                tell_damage(problem, *dropped_bytes, &mut |text| self.say(text));
            }
            Event::Planned { planned, skipped, resumed, extended, .. } if *skipped + *resumed + *extended > 0 => {
                let mut line =
                    format!("{skipped} of {planned} runs are finished already, {resumed} go on where they stopped");
                if *extended > 0 {
                    line += &format!(", {extended} where a finished run of fewer steps ended");
                }
                self.say(&line);
            }
            Event::LabelsFailed { trial, entry, failed, of, is_first } if *is_first || failed.len() >= *of => {
                let last = failed.last().map(|failed| format!(": {}: {}", failed.kind, failed.message));
                self.say(&format!(
                    "{}: {} of {of} labels before entry {entry} failed{}",
                    trial.spec().label(),
                    failed.len(),
                    last.unwrap_or_default()
                ));
            }
            Event::RunStands { trial, why } => {
                let why = why.unwrap_or("its failed labels failed again");
                self.say(&format!("{} stands as it is: {why}", trial.spec().label()));
            }
            Event::ProgramDown { problem, message } => self.say(&format!("{problem}: {message}")),
            Event::RunStarted { trial, dropped_bytes, .. } if *dropped_bytes > 0 => {
                self.say(&format!(
                    "{}: {dropped_bytes} damaged bytes at the end of its checkpoint are done again",
                    trial.spec().label()
                ));
            }
            Event::EntryFinished { trial, record, overall, .. } => {
                let (entry, mse) = (record.entry, record.errors.mse);
                let label = trial.spec().label();
                if record.choice.is_none() && record.learned == Some(false) {
                    self.say(&format!("{label}: has not learned: its last test error is not below the variance"));
                }
                show(self, overall, &format!("{label} at step {entry}, MSE {mse:.3e}{}", unlearned(record)));
            }
            Event::RunEnded { trial, status, overall, .. } => {
                if let Status::Failed(failure) = status {
                    self.say(&format!("failed: {}: {failure}", trial.spec().label()));
                }
                show(self, overall, &trial.spec().label());
            }
            _ => {}
        }
    }
}
