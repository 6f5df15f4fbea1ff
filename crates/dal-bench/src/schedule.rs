//! Runs a plan: workers take up trials or groups of them, the longest first, and leave finished runs, recorded failures
//! or checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dal_core::{Campaign, CampaignError, LearnError, Observers, Oracle, OracleError, RunError, Stop, run_trials};
use dal_store::{
    Begin, CLAIM_AGE, ClaimNote, EntryRecord, Failure, FailureKind, Provenance, Remembering, Run, RunWriter, Status,
    Store, StoreError, StoreWriter,
};
use dal_work::{Group, Kind, Outcome, Task, WorkError, grouped, panic_message, work_through};

use crate::error::BenchError;
use crate::estimate::CostModel;
use crate::goes_on::{asked_again, from_shorter, whole};
use crate::ledger::Ledger;
use crate::machine::peak_memory_mib;
use crate::plan::{Plan, Trial};
use crate::progress::{ElsewhereRun, Event, FailedRun, Progress, Summary, WaitingRun};
use crate::remember::{Taken, damaged_bytes, remembering, take_old};
use crate::replay::Replay;
use crate::survey::Survey;
use crate::tally::Tally;
use crate::test_labels::label_test_set;
use crate::watch::{
    Breaker, Doing, Evaluation, Halt, Recording, Records, Stopwatch, Timings, Yardstick, granting_committee,
};

/// How a plan is run; none of it changes results.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Worker threads; a sweep that is there for its timings has one.
    pub jobs: usize,
    /// Takes up runs that failed instead of skipping them.
    pub retry_failed: bool,
    /// With `retry_failed`: only those of these names and makings ([`Run::making`]); what has failed anew since is
    /// left.
    pub retried: Option<BTreeMap<String, String>>,
    /// Trials driven together at most, on an engine that trains in lock step; `None`: as many as the engine likes.
    pub together: Option<usize>,
    /// Where the answers of users' oracles are kept; `None`: beside each problem file.
    pub answers: Option<PathBuf>,
    /// Directories of finished runs that were held against their seals a moment ago, by [`Plan::estimate`], and are not
    /// read a second time.
    pub whole: BTreeSet<String>,
    /// Without a sign of life for so long, another process that works on the same store counts as gone.
    pub claim_age: Duration,
    /// Where only runs are left that other processes are at work on: they are looked at again for so long, and in any
    /// case once.
    pub patience: Duration,
    /// The batch system's job that this process is part of: for people, and what an earlier process of the same job had
    /// claimed on another machine is taken over at once.
    pub job: Option<String>,
    /// What is known of this program and machine; name of the sweep, workers and number of resumptions are filled in.
    pub provenance: Provenance,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            jobs: 1,
            retry_failed: false,
            retried: None,
            together: None,
            answers: None,
            whole: BTreeSet::new(),
            claim_age: CLAIM_AGE,
            patience: Duration::ZERO,
            job: None,
            provenance: Provenance::default(),
        }
    }
}

/// Runs a plan into a store.
///
/// Runs that are over are skipped, checkpoints taken up; a run in the store that is damaged is left alone and named; a
/// run that fails or panics is recorded as failed and the others go on. On [`Drain`](dal_core::StopLevel::Drain) every
/// worker ends after the training, the choice or the calls of a program that it is at, on
/// [`Now`](dal_core::StopLevel::Now) within an epoch or as soon as the program has been ended; what it was doing stands
/// at its checkpoint. An error drains the other workers through the same `stop`.
///
/// Several processes may run plans into one store, on several machines that share it: what one of them is at work on,
/// the others leave alone and come back to at their end.
///
/// # Errors
/// A plan for other machines ([`Sweep::planned_for`](crate::Sweep::planned_for)); a store that an older version writes
/// to, or that is full; a test set that cannot be labelled. Workers then end after the entry they are at.
pub fn run(
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Summary, BenchError> {
    let start = Instant::now();
    if let Some(path) = &plan.elsewhere {
        let reason = format!("the sweep was planned for other machines, with the instructions {path}");
        return Err(BenchError::Engine { engine: "cpu".into(), reason });
    }
    let writer = store.writer_with(options.claim_age, options.job.clone())?;
    writer.sweep_up()?;
    let survey = Survey::of(plan, Some(store), &options.whole)?;
    if !plan.is_recorded {
        writer.record_sweep(plan.record())?;
    }
    for (trial, state) in plan.trials().iter().zip(&survey.states) {
        if *state == Some(Status::Done) {
            writer.clean(trial.key())?;
        }
    }
    let (mut open, mut retried): (Vec<(usize, usize)>, _) = (Vec::new(), BTreeMap::new());
    for (i, state) in survey.states.iter().enumerate() {
        let Some(first) = survey.first_open_entry(i, options.retry_failed) else { continue };
        if matches!(state, Some(Status::Done | Status::Failed(_))) {
            let run = store.run(&plan.directory(i))?;
            let making = run.making()?;
            if options.retried.as_ref().is_some_and(|retried| retried.get(&run.name()) != Some(&making)) {
                continue;
            }
            retried.insert(i, making);
        }
        open.push((i, first));
    }
    let is_failed = |i: usize| matches!(survey.states[i], Some(Status::Failed(_)));
    let skipped_failed =
        (0..plan.trials().len()).filter(|i| is_failed(*i)).count() - open.iter().filter(|(i, _)| is_failed(*i)).count();
    let is_needed = |problem| !stop.is_draining() && open.iter().any(|&(i, _)| plan.trials()[i].problem() == problem);
    let mut oracles = Vec::new();
    let mut down: Vec<Option<String>> = vec![None; plan.problems().len()];
    for (i, problem) in plan.problems().iter().enumerate() {
        let memory = match is_needed(i) {
            true => remembering(problem.problem(), options.answers.as_deref())?
                .map(|memory| memory.asking_refused_again(options.retry_failed)),
            false => None,
        };
        if let Some(memory) = &memory {
            let problem = problem.problem();
            let taken = take_old(store, problem, memory.answers())?;
            if taken != Taken::default() {
                progress.event(&Event::OldAnswers { problem: problem.id(), taken: &taken });
            }
            let dropped_bytes = damaged_bytes(memory.answers());
            if dropped_bytes > 0 {
                progress.event(&Event::LabelsDamaged { problem: problem.id(), dropped_bytes });
            }
        }
        oracles.push(memory);
        if is_needed(i) {
            down[i] = label_test_set(problem, oracles[i].as_ref(), stop, progress)?;
        }
    }
    // Without its test set nothing of a problem can be recorded; the other problems are run.
    let is_down = |trial: usize| down[plan.trials()[trial].problem()].clone();
    let is_done = |i: usize| survey.states[i] == Some(Status::Done);
    let mut waiting = Vec::new();
    for &(i, _) in open.iter().filter(|(i, _)| !is_done(*i)) {
        let Some(message) = is_down(i) else { continue };
        let trial = &plan.trials()[i];
        let from_shorter = || from_shorter(survey.shorter.get(&i)?, trial, &plan.problems()[trial.problem()]);
        if let Begin::Open(run) = writer.begin_with(trial.key(), from_shorter)? {
            run.wait(&message)?;
        }
        waiting.push(WaitingRun { directory: plan.directory(i), message });
    }
    open.retain(|&(i, _)| is_down(i).is_none());
    let is_needed = |problem| !stop.is_draining() && open.iter().any(|&(i, _)| plan.trials()[i].problem() == problem);
    let model = CostModel::measure(plan, &is_needed)?;
    let jobs = if plan.is_timing() { 1 } else { options.jobs.max(1) };
    let cost = |&(i, from): &(usize, usize)| model.trial_seconds(plan, &plan.trials()[i], from);
    let mut queue: Vec<((usize, usize), f64)> = open.iter().map(|trial| (*trial, cost(trial))).collect();
    // Stable, so that equal costs keep the order of the plan.
    queue.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total = queue.iter().map(|(_, cost)| cost).sum();
    let groups: Vec<Task<Vec<usize>>> = grouped(&kinds(plan, &queue, options.together), jobs)
        .into_iter()
        .map(|Group { items, cost }| Task { cost, work: items })
        .collect();
    let over = |wanted: fn(&Status) -> bool| survey.states.iter().flatten().filter(|s| wanted(s)).count();
    let summary = Summary {
        planned: plan.trials().len(),
        skipped: over(|s| *s == Status::Done) - open.iter().filter(|(i, _)| is_done(*i)).count(),
        skipped_failed,
        damaged: survey.damaged.values().cloned().collect(),
        waiting,
        ..Default::default()
    };
    let ledger = Ledger {
        started: Instant::now(),
        total,
        done: 0.0,
        jobs,
        runs_over: summary.skipped + summary.skipped_failed + summary.damaged.len(),
        runs_planned: summary.planned,
    };
    progress.event(&Event::Planned {
        planned: summary.planned,
        skipped: summary.skipped + summary.skipped_failed,
        resumed: over(|s| matches!(s, Status::Partial { .. })),
        extended: survey.n_extended(),
        remaining: ledger.overall().remaining,
    });
    let provenance =
        Provenance { sweep: plan.name().to_owned(), jobs, device: plan.device(), ..options.provenance.clone() };
    let mut failed_labels = Tally::default();
    let stand = survey.failed_labels.iter().filter(|(i, _)| open.iter().all(|(open, _)| open != *i));
    for (&i, failed) in stand.chain(&survey.absent_labels) {
        failed_labels.add_all(i, failed);
    }
    let shared = Shared {
        plan,
        survey: &survey,
        retried,
        failed_labels: Mutex::new(failed_labels),
        oracles,
        writer: &writer,
        provenance,
        progress,
        stop,
        ledger: Mutex::new(ledger),
        summary: Mutex::new(summary),
        model,
        elsewhere: Mutex::default(),
    };
    let mut outcomes = shared.work(&groups, jobs);
    // What other processes were at work on is looked at again: some of it was finished, some left.
    let waited = Instant::now();
    while outcomes.is_ok() && !stop.is_draining() {
        let again: Vec<Task<Vec<usize>>> =
            lock(&shared.elsewhere).drain(..).map(|(i, _)| Task { cost: 1.0, work: vec![i] }).collect();
        outcomes = shared.work(&again, jobs);
        let left = options.patience.saturating_sub(waited.elapsed());
        if lock(&shared.elsewhere).is_empty() || left.is_zero() {
            break;
        }
        pause(left.min(options.patience / LOOKS), stop);
    }
    if let Err(error) = outcomes {
        return Err(match error {
            WorkError::Fatal(error) => error,
            WorkError::Watcher { message, .. } => BenchError::Panicked { message },
            WorkError::Thread { source, .. } => BenchError::Threads { source },
        });
    }
    let mut summary = into_inner(shared.summary);
    summary.stopped = stop.is_draining() && summary.left() > 0;
    summary.failed.sort_by(|a, b| a.directory.cmp(&b.directory));
    summary.learning.sort();
    summary.waiting.sort_by(|a, b| a.directory.cmp(&b.directory));
    let named = |(i, note): (usize, ClaimNote)| ElsewhereRun { directory: plan.directory(i), by: note.in_words() };
    summary.elsewhere = into_inner(shared.elsewhere).into_iter().map(named).collect();
    summary.elsewhere.sort_by(|a, b| a.directory.cmp(&b.directory));
    summary.failed_labels = into_inner(shared.failed_labels).labels;
    summary.elapsed = start.elapsed();
    Ok(summary)
}

/// Looks at what other processes are at work on, over the time that is given to them.
const LOOKS: u32 = 8;

/// Waits, unless a stop is asked for.
fn pause(time: Duration, stop: &Stop) {
    let start = Instant::now();
    while start.elapsed() < time && !stop.is_draining() {
        std::thread::sleep(Duration::from_millis(100).min(time - start.elapsed().min(time)));
    }
}

/// An open trial: its index and first open entry, and its expected cost.
type Open = ((usize, usize), f64);

/// The open trials by problem, with how many of each the engine likes together.
///
/// Within a problem come first those whose strategies need the same, then those that are equally far, so that the
/// groups of a problem that is split train auxiliary networks together as well.
fn kinds(plan: &Plan, queue: &[Open], together: Option<usize>) -> Vec<Kind<usize>> {
    let limit = together.unwrap_or(usize::MAX).min(if plan.is_timing() { 1 } else { usize::MAX });
    let mut kinds = Vec::new();
    for (p, problem) in plan.problems().iter().enumerate() {
        let most = problem.trials_together().min(limit).max(1);
        let mut trials: Vec<Open> =
            queue.iter().filter(|((i, _), _)| plan.trials()[*i].problem() == p).copied().collect();
        if most > 1 {
            let mut seen = Vec::new();
            let mut place = |i: usize| {
                let needs = plan.trials()[i].strategy().needs();
                seen.iter().position(|known| *known == needs).unwrap_or_else(|| {
                    seen.push(needs);
                    seen.len() - 1
                })
            };
            trials.sort_by_cached_key(|&((i, from), _)| (place(i), from));
        }
        kinds.push(Kind { items: trials.into_iter().map(|((i, _), cost)| (i, cost)).collect(), most });
    }
    kinds
}

struct Shared<'a> {
    plan: &'a Plan,
    survey: &'a Survey,
    /// Of runs that are over and are to be run again, by trial, the making that is meant: not one that another process
    /// comes to meanwhile.
    retried: BTreeMap<usize, String>,
    failed_labels: Mutex<Tally>,
    /// Per problem, the answers that are kept and who is asked for the others, where that costs something.
    oracles: Vec<Option<Remembering>>,
    writer: &'a StoreWriter,
    provenance: Provenance,
    progress: &'a dyn Progress,
    /// The caller's; raised when the store fails, so that the other workers end too.
    stop: &'a Stop,
    ledger: Mutex<Ledger>,
    summary: Mutex<Summary>,
    model: CostModel,
    /// Trials that other processes are at work on, and which.
    elsewhere: Mutex<Vec<(usize, ClaimNote)>>,
}

/// How one trial of a group ended.
enum Ended {
    Over(Status),
    Left {
        entries: usize,
    },
    /// Its program is down; it stands at its checkpoint.
    Waits {
        entries: usize,
        message: String,
    },
}

/// A trial of a group, ready to go.
struct Started<'a> {
    index: usize,
    trial: &'a Trial,
    campaign: Campaign,
    recording: Recording,
}

impl Shared<'_> {
    /// Works through groups.
    fn work(&self, groups: &[Task<Vec<usize>>], jobs: usize) -> Result<(), WorkError<BenchError>> {
        let outcomes = work_through(
            groups,
            jobs,
            self.stop,
            |place, group| self.run_group(place.worker, group.clone()),
            |_, outcome| match outcome {
                // A panic of a trial is that trial's failure and does not get here.
                Outcome::Panicked(message) => Err(BenchError::Panicked { message: message.clone() }),
                _ => Ok(()),
            },
        );
        outcomes.into_result().map(drop)
    }

    /// Runs a group, and again what a panic in it left over.
    fn run_group(&self, worker: usize, group: Vec<usize>) -> Result<(), BenchError> {
        let mut open = vec![group];
        while let Some(group) = open.pop() {
            open.extend(self.attempt(worker, &group)?);
            if self.stop.is_draining() {
                break;
            }
        }
        Ok(())
    }

    /// Runs a group once. What comes back is to be run anew, each trial from its checkpoint, because another one
    /// panicked.
    fn attempt(&self, worker: usize, group: &[usize]) -> Result<Vec<Vec<usize>>, BenchError> {
        let Some(&first) = group.first() else { return Ok(Vec::new()) };
        let problem = &self.plan.problems()[self.plan.trials()[first].problem()];
        let yardstick = Yardstick::of(problem)?;
        let mut started = Vec::new();
        for &index in group {
            if let Some(start) = self.start(worker, index, &yardstick)? {
                started.push(start);
            }
        }
        let Some(first) = started.first() else { return Ok(Vec::new()) };
        let n_together = started.len();
        let engine = problem.engine();
        let refused = |reason| BenchError::Engine { engine: engine.id().to_owned(), reason };
        let learner =
            engine.learner(problem.model(), problem.problem().shape()).map_err(|error| refused(error.to_string()))?;
        let learner = problem.problem().scaling().learner(granting_committee(learner, problem.model()));
        let oracle = self.oracle(first.trial.problem());
        let loose: Vec<_> =
            started.iter().filter_map(|s| s.recording.writer.checkpoint().loose_answers().cloned()).collect();
        let replay = Replay::new(oracle, &loose);
        let (mut campaigns, mut trials, mut recordings) = (Vec::new(), Vec::new(), Vec::new());
        for start in started {
            campaigns.push(start.campaign);
            trials.push((start.index, start.trial));
            recordings.push(start.recording);
        }
        let mut on_entry = |i: usize, record: &EntryRecord| self.entry_finished(worker, trials[i], record);
        let timings = Timings::of(n_together);
        let evaluation = Evaluation { yardstick, cheap_oracle: problem.cheap_labels().then(|| problem.truth()) };
        let mut records =
            Records { recordings, problem: problem.problem(), evaluation, timings: &timings, on_entry: &mut on_entry };
        let (mut doing, mut stopwatch, mut breaker) = (Doing::default(), Stopwatch::new(&timings), Breaker::default());
        let outcomes = catch_unwind(AssertUnwindSafe(|| {
            let mut all = Observers::new(vec![&mut doing, &mut stopwatch, &mut breaker, &mut records]);
            run_trials(&mut campaigns, &replay, &*learner, self.stop, &mut all)
        }));
        let (recordings, at) = (records.recordings, doing.at);
        let payload = match outcomes {
            Ok(outcomes) => {
                let some_failed = outcomes.iter().any(Result::is_err);
                for ((outcome, recording), (index, trial)) in outcomes.into_iter().zip(recordings).zip(trials) {
                    let ended = self.end(recording.writer, outcome, n_together)?;
                    self.run_ended(worker, index, trial, ended);
                }
                if some_failed {
                    engine.check().map_err(refused)?;
                }
                return Ok(Vec::new());
            }
            Err(payload) => payload,
        };
        // The trial that was being advanced panicked. Where none was, it was the oracle or the engine, and halving the
        // group finds out at which trial.
        let culprit = at.or((trials.len() == 1).then_some(0));
        let Some(culprit) = culprit else {
            let indices: Vec<usize> = trials.iter().map(|&(index, _)| index).collect();
            let (first, second) = indices.split_at(indices.len() / 2);
            return Ok(vec![second.to_vec(), first.to_vec()]);
        };
        let mut others = Vec::new();
        for (i, (recording, (index, trial))) in recordings.into_iter().zip(trials).enumerate() {
            if i != culprit {
                others.push(index);
                continue;
            }
            let entry = recording.writer.checkpoint().records.len();
            let failure = Failure { kind: FailureKind::Panic, entry, message: panic_message(&*payload) };
            let ended = self.fail(recording.writer, failure, n_together)?;
            self.run_ended(worker, index, trial, ended);
        }
        Ok(if others.is_empty() { Vec::new() } else { vec![others] })
    }

    /// Takes a trial up; `None` if nothing is left to do in it.
    fn start(&self, worker: usize, index: usize, yardstick: &Yardstick<'_>) -> Result<Option<Started<'_>>, BenchError> {
        let trial = &self.plan.trials()[index];
        let problem = &self.plan.problems()[trial.problem()];
        let from_shorter = || from_shorter(self.survey.shorter.get(&index)?, trial, problem);
        let begun = match self.writer.begin_with(trial.key(), from_shorter)? {
            Begin::Over(run) => self.again(index, trial, run)?,
            begun => Some(begun),
        };
        let Some(begun) = begun else { return Ok(None) };
        let mut writer = match begun {
            Begin::Open(writer) => writer,
            Begin::Elsewhere(note) => {
                lock(&self.elsewhere).push((index, note));
                return Ok(None);
            }
            Begin::Over(run) => {
                self.run_ended(worker, index, trial, Ended::Over(run.status().clone()));
                return Ok(None);
            }
        };
        if problem.problem().card().is_none() {
            // A user's answers cost something, so they outlive the run.
            writer.keep_labels();
        }
        writer.set_test_labels(yardstick.test_labels())?;
        let checkpoint = writer.checkpoint();
        self.progress.event(&Event::RunStarted {
            worker,
            trial,
            entries_done: checkpoint.records.len(),
            dropped_bytes: checkpoint.dropped_bytes,
        });
        for record in &checkpoint.records {
            lock(&self.failed_labels).add(index, record.entry, &record.failed_labels);
        }
        if checkpoint.records.last().is_some_and(|record| record.choice.is_none()) {
            // Killed between the last entry and the footer.
            let ended = self.end(writer, Ok(()), 1)?;
            self.run_ended(worker, index, trial, ended);
            return Ok(None);
        }
        let campaign = Campaign::resume(
            problem.problem().space().clone(),
            std::sync::Arc::clone(trial.strategy()),
            problem.protocol(&trial.spec().protocol),
            trial.seeds(),
            &checkpoint.complete_batches(),
        );
        match campaign {
            Ok(campaign) => {
                let recording = Recording::new(writer, &campaign)?;
                Ok(Some(Started { index, trial, campaign, recording }))
            }
            Err(error @ CampaignError::NothingLabelled { .. }) => {
                let ended = self.end(writer, Err(RunError::Campaign(error)), 1)?;
                self.run_ended(worker, index, trial, ended);
                Ok(None)
            }
            Err(error) => {
                Err(BenchError::Checkpoint { path: writer.directory().to_owned(), reason: error.to_string() })
            }
        }
    }

    /// A run that is over, run again where it is one that is meant; `None` where it stands as it is and was counted.
    fn again(&self, index: usize, trial: &Trial, run: Run) -> Result<Option<Begin>, BenchError> {
        let Some(making) = self.retried.get(&index) else { return Ok(Some(Begin::Over(run))) };
        match run.status() {
            _ if run.making()? != *making => Ok(Some(Begin::Over(run))),
            Status::Failed(_) => Ok(Some(self.writer.retry(&run, making)?)),
            _ => self.ask_again(index, trial, &run, making),
        }
    }

    /// Asks again for the failed labels of a finished run, and takes it back to the first batch where one is answered;
    /// `None` where it stands as it is.
    fn ask_again(&self, index: usize, trial: &Trial, run: &Run, making: &str) -> Result<Option<Begin>, BenchError> {
        let problem = &self.plan.problems()[trial.problem()];
        let outcome = match whole(run, trial, problem) {
            Some(checkpoint) => asked_again(&checkpoint, self.oracle(trial.problem()), self.stop).map_err(Some),
            None => Err(None),
        };
        let why = match outcome {
            Ok(Some(checkpoint)) => return Ok(Some(self.writer.take_back(run, making, &checkpoint)?)),
            Ok(None) => None,
            Err(None) => Some("it was made by a version that did not keep its answers".to_owned()),
            Err(Some(OracleError::Stopped)) => return Ok(None),
            Err(Some(error)) => Some(error.to_string()),
        };
        lock(&self.failed_labels).add_all(index, self.survey.failed_labels.get(&index).map_or(&[], Vec::as_slice));
        lock(&self.summary).skipped += 1;
        lock(&self.ledger).runs_over += 1;
        self.progress.event(&Event::RunStands { trial, why: why.as_deref() });
        Ok(None)
    }

    /// Who answers for a problem.
    fn oracle(&self, problem: usize) -> &dyn Oracle {
        match &self.oracles[problem] {
            Some(remembering) => remembering,
            None => self.plan.problems()[problem].oracle(),
        }
    }

    fn end(&self, writer: RunWriter, outcome: Result<(), RunError>, group: usize) -> Result<Ended, BenchError> {
        let entry = writer.checkpoint().records.len();
        let kind = match &outcome {
            Ok(()) => return ended(writer.finish(&self.provenance_now(group)), entry),
            Err(RunError::Stopped) => return Ok(Ended::Left { entries: entry }),
            Err(RunError::Oracle(OracleError::Down { message })) => {
                writer.wait(message)?;
                return Ok(Ended::Waits { entries: entry, message: message.clone() });
            }
            Err(RunError::Learn { source: LearnError::Diverged { .. }, .. }) => FailureKind::Diverged,
            Err(RunError::Learn { .. }) => FailureKind::Training,
            Err(RunError::Oracle(_) | RunError::Campaign(CampaignError::NothingLabelled { .. })) => {
                FailureKind::Labelling
            }
            Err(RunError::Campaign(_)) => FailureKind::Strategy,
            Err(RunError::Observer(_)) => FailureKind::Evaluation,
        };
        let message = match outcome {
            Err(RunError::Observer(error)) => match error.downcast::<Halt>().map(|halt| *halt) {
                Ok(Halt::Stopped) => return Ok(Ended::Left { entries: entry }),
                Ok(Halt::Store(StoreError::TakenOver { .. })) => {
                    let run = writer.give_up()?;
                    return Ok(run.map_or(Ended::Left { entries: entry }, |run| Ended::Over(run.status().clone())));
                }
                Ok(Halt::Store(error)) => return Err(error.into()),
                Ok(Halt::Evaluation(message)) => message,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
            Ok(()) => String::new(),
        };
        self.fail(writer, Failure { kind, entry, message }, group)
    }

    /// Of a run that ends now and was driven in a group of so many.
    fn provenance_now(&self, group: usize) -> Provenance {
        Provenance { peak_memory_mib: peak_memory_mib(), group, ..self.provenance.clone() }
    }

    fn fail(&self, writer: RunWriter, failure: Failure, group: usize) -> Result<Ended, BenchError> {
        let entry = writer.checkpoint().records.len();
        ended(writer.fail(failure, &self.provenance_now(group)), entry)
    }

    fn entry_finished(&self, worker: usize, (index, trial): (usize, &Trial), record: &EntryRecord) {
        lock(&self.summary).learning.add(&self.plan.directory(index), record);
        if !record.failed_labels.is_empty() {
            let is_first = lock(&self.failed_labels).add(index, record.entry, &record.failed_labels);
            let protocol = &trial.spec().protocol;
            let of = if record.entry == 0 { protocol.initial } else { protocol.queries };
            let (entry, failed) = (record.entry, &record.failed_labels[..]);
            self.progress.event(&Event::LabelsFailed { trial, entry, failed, of, is_first });
        }
        let overall = {
            let mut ledger = lock(&self.ledger);
            ledger.done += self.model.entry_seconds(self.plan, trial, record.entry);
            ledger.overall()
        };
        self.progress.event(&Event::EntryFinished { worker, trial, record, overall });
    }

    fn run_ended(&self, worker: usize, index: usize, trial: &Trial, ended: Ended) {
        let status = match ended {
            Ended::Over(status) => {
                let mut summary = lock(&self.summary);
                match &status {
                    Status::Failed(failure) => summary
                        .failed
                        .push(FailedRun { directory: self.plan.directory(index), failure: failure.clone() }),
                    _ => summary.finished += 1,
                }
                status
            }
            Ended::Left { entries } => Status::Partial { entries },
            Ended::Waits { entries, message } => {
                let mut summary = lock(&self.summary);
                let problem = &trial.spec().problem.variant;
                if summary.waiting.iter().all(|waiting| waiting.message != message) {
                    self.progress.event(&Event::ProgramDown { problem, message: &message });
                }
                summary.waiting.push(WaitingRun { directory: self.plan.directory(index), message });
                Status::Partial { entries }
            }
        };
        let overall = {
            let mut ledger = lock(&self.ledger);
            match &status {
                Status::Failed(failure) => {
                    ledger.done += self.model.trial_seconds(self.plan, trial, failure.entry);
                    ledger.runs_over += 1;
                }
                Status::Done => ledger.runs_over += 1,
                Status::Partial { .. } => {}
            }
            ledger.overall()
        };
        self.progress.event(&Event::RunEnded { worker, trial, status: &status, overall });
    }
}

/// How a run ended that was put in its place, or that another process took over.
fn ended(outcome: Result<Run, StoreError>, entries: usize) -> Result<Ended, BenchError> {
    match outcome {
        Ok(run) => Ok(Ended::Over(run.status().clone())),
        Err(StoreError::TakenOver { .. }) => Ok(Ended::Left { entries }),
        Err(error) => Err(error.into()),
    }
}

/// Locks; a panic elsewhere while the lock was held left nothing half-done behind that matters here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}
