//! The closed loop: draws rounds, calls the oracle, keeps answers, until a budget is spent.

mod shared;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dal_core::{LabelFailure, LabelFailureKind, Oracle, OracleError, Stop};

use self::shared::Shared;
use crate::ask::open_points;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::model::{Model, Trainer};
use crate::settings::Target;
use crate::state::{Part, Point, Status};
use crate::stopping::Gain;
use crate::words::{Drawn, Ended, Failure, What};

/// How a run goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunOptions {
    /// Points to ask for in all, failed ones included; none: what `campaign.toml` says.
    pub budget: Option<usize>,
    /// Calls at one time.
    pub parallel: usize,
    /// Whether a round waits until every point of the one before has its answer, and goes to the oracle as one batch.
    pub in_batches: bool,
    /// Points of a round; none: what `campaign.toml` says.
    pub batch: Option<usize>,
    /// The error below which it ends; none: what `campaign.toml` says.
    pub target: Option<Target>,
    /// Rounds without gain after which it ends; none: what `campaign.toml` says.
    pub no_gain: Option<usize>,
}

/// What happens in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// A round is about to be drawn: a model is trained.
    Drawing {
        /// Labels that it learns from.
        labels: usize,
    },
    /// A round was drawn.
    Drawn {
        /// Its number.
        round: usize,
        /// Its points.
        points: usize,
        /// The rule's remarks.
        notes: Vec<String>,
        /// The model's errors in cross-validation.
        errors: Option<crate::words::Errors>,
    },
    /// A rule ended the run: no further round is drawn.
    Ended {
        /// What it saw.
        why: String,
    },
    /// An answer came and is kept.
    Answered {
        /// The point.
        id: u64,
        /// Why it has no answer, and whether it is asked again.
        failure: Option<(Failure, bool)>,
        /// Points that have an answer or failed, of those asked for.
        over: usize,
        /// Points to ask for in all.
        budget: usize,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The budget is spent.
    Budget,
    /// A rule fired: a target is met, or rounds brought no gain.
    Rule,
    /// There is nothing left to ask for.
    Exhausted,
    /// It was stopped; the same call goes on.
    Stopped,
}

impl Folder {
    /// Runs the loop until so many points were asked for and are over, a rule fires, or until `stop`. Every answer is
    /// on disk before anything is made of it, so that the same call goes on after any end.
    ///
    /// Points that are open go first: of a round that a killed run left, or lost to the machine. Points that were
    /// handed out by `ask` are left to those who have them.
    ///
    /// # Errors
    /// No budget, a rule that nothing judges, an oracle that is out of order, a model that cannot be trained, points
    /// that all failed.
    pub fn run(
        &mut self,
        options: &RunOptions,
        oracle: &Arc<dyn Oracle>,
        trainer: Trainer<'_>,
        stop: &Stop,
        on_event: &mut (dyn FnMut(&RunEvent) + Send),
    ) -> Result<RunEnd, CampaignError> {
        let Some(budget) = options.budget.or(self.settings().budget) else {
            return Err(CampaignError::request(
                "say how many points to ask for in all, with --budget or `budget` in campaign.toml",
            ));
        };
        let target = options.target.clone().or_else(|| self.settings().target.clone());
        if let Some(target) = &target {
            target.check(Some(self.subject().outputs())).map_err(CampaignError::request)?;
            self.check_judged("a target")?;
        }
        let no_gain = options.no_gain.or(self.settings().no_gain);
        if no_gain.is_some() {
            self.check_judged("no_gain")?;
        }
        let run = Running {
            shared: Mutex::new(Shared::new(self, on_event, budget, options.parallel, oracle)),
            options,
            budget,
            target,
            no_gain,
            looked: AtomicUsize::new(0),
            oracle,
            stop,
        };
        let end = if options.in_batches { run.in_batches(trainer) } else { run.freely(trainer) }?;
        // What is held out judges the last model, too: it is trained so that it can be asked.
        if self.settings().held_out.is_some() && end != RunEnd::Stopped && self.snapshot().labelled()?.is_some() {
            match self.audited(trainer, stop) {
                Err(CampaignError::Stopped) => return Ok(RunEnd::Stopped),
                other => other.map(|_| ())?,
            }
        }
        Ok(end)
    }

    /// Asks the oracle for the points of audits that have no answer yet, as one batch; false where it was stopped.
    ///
    /// # Errors
    /// An oracle that is out of order.
    pub fn run_audit(
        &mut self,
        oracle: &Arc<dyn Oracle>,
        stop: &Stop,
        on_event: &mut (dyn FnMut(&RunEvent) + Send),
    ) -> Result<bool, CampaignError> {
        let budget = self.state().points().filter(|point| point.part == Part::Audit).count();
        let run = Running {
            shared: Mutex::new(Shared::new(self, on_event, budget, 1, oracle)),
            options: &RunOptions::default(),
            budget,
            target: None,
            no_gain: None,
            looked: AtomicUsize::new(0),
            oracle,
            stop,
        };
        loop {
            let mut open: Vec<Drawn> = run.open().into();
            open.retain(|drawn| run.lock().part(drawn.id) == Some(Part::Audit));
            if open.is_empty() {
                return Ok(true);
            }
            if stop.is_draining() || !run.label(&open)? {
                return Ok(false);
            }
        }
    }
}

/// What comes next.
enum Next {
    /// These points; none where there is nothing left to ask for.
    Points(VecDeque<Drawn>),
    /// The budget allows no other point.
    Spent,
    /// A rule fired.
    Ended,
}

struct Running<'a> {
    shared: Mutex<Shared<'a>>,
    options: &'a RunOptions,
    budget: usize,
    target: Option<Target>,
    no_gain: Option<usize>,
    /// The last look at a model by what is held out.
    looked: AtomicUsize,
    oracle: &'a Arc<dyn Oracle>,
    stop: &'a Stop,
}

impl<'a> Running<'a> {
    fn lock(&self) -> MutexGuard<'_, Shared<'a>> {
        // What is said is on disk line by line, so that a panic of another thread spoils nothing here.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Points to be started, in order: open ones that this run has not begun.
    fn open(&self) -> VecDeque<Drawn> {
        let shared = self.lock();
        let now = shared.folder.now();
        open_points(shared.folder.state(), now).into()
    }

    /// Draws a round, if the budget and the rules allow another point. The lock is not held while a model is trained.
    fn draw(&self, trainer: Trainer<'_>) -> Result<Next, CampaignError> {
        let judged = self.judged(trainer)?;
        let (snapshot, n) = {
            let mut shared = self.lock();
            let state = shared.folder.state();
            let settings = shared.folder.settings();
            let asked = state.n_asked();
            let learned = || state.points().filter(|point| point.part == Part::Learned);
            let begun = learned().filter(|point| point.status() != Status::Withdrawn).count();
            let labels = learned().filter(|point| point.status() == Status::Done).count();
            // The design at the beginning is one round.
            let size = match settings.initial.saturating_sub(begun) {
                0 => self.options.batch.unwrap_or(settings.batch),
                rest => rest,
            };
            let n = size.min(self.budget.saturating_sub(asked));
            if labels == 0 && (n == 0 || begun >= settings.initial) {
                let first = learned().find_map(|point| point.failure.as_ref());
                if let Some(first) = first.filter(|_| state.pending().next().is_none()) {
                    let first = first.to_string();
                    if shared.losses > 0 && !self.oracle.watches_itself() {
                        // Nothing says that the points have no answers.
                        let n = shared.losses;
                        shared.forget()?;
                        return Err(CampaignError::Down { n, last: first });
                    }
                    return Err(CampaignError::NothingLabelled { asked, first });
                }
            }
            if n == 0 {
                return Ok(Next::Spent);
            }
            if begun >= settings.initial
                && let Some(ended) = self.ended(shared.folder, judged.as_ref())?
            {
                if shared.folder.state().ended() != Some(&ended) {
                    shared.folder.say(What::Ended(ended.clone()))?;
                }
                (shared.on_event)(&RunEvent::Ended { why: ended.why });
                return Ok(Next::Ended);
            }
            (shared.on_event)(&RunEvent::Drawing { labels });
            (shared.folder.snapshot(), n)
        };
        let drawn = snapshot.draw(n, &[], trainer, self.stop)?;
        let mut shared = self.lock();
        let Some((round, choice)) = drawn else { return Ok(Next::Points(VecDeque::new())) };
        shared.folder.keep_choice(choice)?;
        let event = RunEvent::Drawn {
            round: round.round,
            points: round.all().count(),
            notes: round.notes.clone(),
            errors: round.errors.clone(),
        };
        let points = round.all().cloned().collect();
        shared.folder.say(What::Round(Box::new(round)))?;
        (shared.on_event)(&event);
        Ok(Next::Points(points))
    }

    /// The rule that ends the run now, and why; one that ended it before any further round does so again.
    fn ended(&self, folder: &Folder, model: Option<&Model>) -> Result<Option<Ended>, CampaignError> {
        if let Some(ended) = self.ended_before(folder) {
            return Ok(Some(ended));
        }
        let ended = |rule, why| Ended { rule, why, domain: folder.domain().to_owned() };
        let [by_target, by_gain] = self.rules();
        if let (Some(target), Some(rule)) = (&self.target, by_target) {
            let look = folder.look(target, model)?;
            if look.fires() {
                return Ok(Some(ended(rule, look.in_words())));
            }
        }
        let gain = self.no_gain.and_then(|n| folder.gain(n)).filter(Gain::is_none);
        Ok(by_gain.zip(gain).map(|(rule, gain)| ended(rule, gain.in_words())))
    }

    /// The run's rules with their settings, as the log names them.
    fn rules(&self) -> [Option<String>; 2] {
        let target = self.target.as_ref().map(|target| format!("target {target}"));
        [target, self.no_gain.map(|n| format!("no gain over {n} rounds"))]
    }

    fn ended_before(&self, folder: &Folder) -> Option<Ended> {
        folder.ended().filter(|ended| self.rules().contains(&Some(ended.rule.clone()))).cloned()
    }

    /// The present model, where a target looks now at what held-out points say of it: it is trained without the lock. A
    /// look is of one model: where several rounds are under way, none may have come to its end since the last draw, and
    /// another model must not be looked at for the same level.
    fn judged(&self, trainer: Trainer<'_>) -> Result<Option<Model>, CampaignError> {
        let (snapshot, k) = {
            let shared = self.lock();
            let folder = &*shared.folder;
            let looks = folder.settings().held_out.is_some() && self.ended_before(folder).is_none();
            let Some(target) = self.target.as_ref().filter(|_| looks) else { return Ok(None) };
            let k = folder.look(target, None)?.k;
            if k <= self.looked.load(Ordering::Relaxed) {
                return Ok(None);
            }
            (folder.snapshot(), k)
        };
        let (model, choice) = snapshot.model(trainer, self.stop)?;
        self.looked.store(k, Ordering::Relaxed);
        let mut shared = self.lock();
        shared.folder.keep_choice(choice)?;
        Ok(Some(model))
    }

    /// How the run ends where nothing is left to start.
    fn end(&self) -> RunEnd {
        if self.stop.is_draining() { RunEnd::Stopped } else { RunEnd::Budget }
    }

    /// Rounds one after the other, each as one batch of the oracle's.
    fn in_batches(&self, trainer: Trainer<'_>) -> Result<RunEnd, CampaignError> {
        loop {
            if self.stop.is_draining() {
                return Ok(RunEnd::Stopped);
            }
            let mut open: Vec<Drawn> = self.open().into();
            if open.is_empty() {
                open = match self.draw(trainer) {
                    Ok(Next::Spent) => return Ok(self.end()),
                    Ok(Next::Ended) => return Ok(RunEnd::Rule),
                    Ok(Next::Points(points)) if points.is_empty() => return Ok(RunEnd::Exhausted),
                    Ok(Next::Points(points)) => points.into(),
                    Err(CampaignError::Stopped) => return Ok(RunEnd::Stopped),
                    Err(error) => return Err(error),
                };
            }
            if !self.label(&open)? {
                return Ok(RunEnd::Stopped);
            }
        }
    }

    /// Labels points in one call of the oracle; false where it was stopped. What it leaves without an answer is open
    /// again.
    fn label(&self, points: &[Drawn]) -> Result<bool, CampaignError> {
        let ids: Vec<u64> = points.iter().map(|point| point.id).collect();
        self.lock().start(ids.clone())?;
        let outcome = self.call(&ids);
        if !matches!(outcome, Ok(true)) {
            let mut shared = self.lock();
            let left = |id: &u64| shared.folder.state().point(*id).is_some_and(|point| point.started.is_some());
            let ids: Vec<u64> = ids.iter().copied().filter(left).collect();
            if !ids.is_empty() {
                shared.folder.say(What::Released { ids })?;
            }
            let is_down =
                matches!(outcome, Err(CampaignError::Down { .. } | CampaignError::Oracle(OracleError::Down { .. })));
            if is_down {
                shared.forget()?;
            }
        }
        outcome
    }

    fn call(&self, ids: &[u64]) -> Result<bool, CampaignError> {
        let x = {
            let shared = self.lock();
            let units: Vec<Vec<f64>> =
                ids.iter().filter_map(|&id| shared.folder.state().point(id)?.unit.clone()).collect();
            shared.folder.subject().array(units.iter().map(Vec::as_slice))
        };
        let mut open = vec![true; ids.len()];
        let mut untried = None;
        let mut tried = false;
        let mut trouble = None;
        let mut in_doubt: BTreeMap<usize, String> = BTreeMap::new();
        let mut said: Vec<(usize, u64)> = Vec::new();
        let mut on_row = |row: usize, answer: Result<&[f64], LabelFailure>| {
            if let Err(failure) = &answer
                && failure.kind == LabelFailureKind::InDoubt
            {
                // Nothing is recorded of it: neither that it has no answer nor, where it was told before, that one.
                if let Some(open) = open.get_mut(row) {
                    *open = false;
                    in_doubt.insert(row, failure.message.clone());
                }
                return ControlFlow::Continue(());
            }
            if row >= open.len() || !std::mem::replace(&mut open[row], false) {
                return ControlFlow::Continue(());
            }
            let answer = answer.and_then(|label| dal_core::check_label(label, self.oracle.n_outputs()));
            match &answer {
                Err(failure) if failure.kind == LabelFailureKind::NotTried => untried = Some(failure.to_string()),
                _ => tried = true,
            }
            // Without the lock: the question may take as long as any.
            if let Err(failure) = &answer
                && self.oracle.watches_itself()
                && self.lock().gives_up(ids[row], failure)
            {
                match self.oracle.check_works(self.stop) {
                    Ok(()) => self.lock().works(),
                    Err(error) => {
                        trouble.get_or_insert(error.into());
                        return ControlFlow::Break(());
                    }
                }
            }
            let kept = self.lock().keep(ids[row], answer);
            match kept {
                Ok(word) => {
                    said.push((row, word));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    trouble.get_or_insert(error);
                    ControlFlow::Break(())
                }
            }
        };
        let outcome = self.oracle.label(x.view(), self.stop, &mut on_row);
        if let Some(last) = in_doubt.values().next_back() {
            let words = said.iter().filter(|(row, _)| in_doubt.contains_key(row)).map(|(_, word)| *word);
            self.lock().take_back(words)?;
            return Err(CampaignError::InDoubt { n: in_doubt.len(), last: last.clone() });
        }
        match trouble {
            Some(CampaignError::Oracle(OracleError::Stopped)) => return Ok(false),
            Some(error) => return Err(error),
            None => {}
        }
        match outcome {
            Err(OracleError::Stopped) => return Ok(false),
            other => other?,
        }
        if let Some(last) = untried.filter(|_| !tried) {
            // Asking again would go on for ever: points that were not tried use up no attempt.
            return Err(CampaignError::Down { n: ids.len(), last });
        }
        for (row, &id) in ids.iter().enumerate() {
            if open[row] {
                let missing = LabelFailure::new(LabelFailureKind::Missing, "the oracle gave no answer for this point");
                self.lock().keep(id, Err(missing))?;
            }
        }
        Ok(true)
    }

    /// Calls of one point each, as many at a time as there are slots; a round is drawn when the last point of the one
    /// before has started.
    fn freely(&self, trainer: Trainer<'_>) -> Result<RunEnd, CampaignError> {
        let n_slots = self.options.parallel.max(1);
        let (jobs, taking) = mpsc::channel::<Drawn>();
        let taking = Mutex::new(taking);
        let (done, ended) = mpsc::channel::<(u64, Result<bool, CampaignError>)>();
        std::thread::scope(|scope| {
            for _ in 0..n_slots {
                let done: Sender<_> = done.clone();
                let taking = &taking;
                scope.spawn(move || {
                    loop {
                        let job = taking.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(point) = job else { break };
                        let label = AssertUnwindSafe(|| self.label(std::slice::from_ref(&point)));
                        let outcome = catch_unwind(label)
                            .unwrap_or_else(|_| Err(CampaignError::request("the oracle panicked; see above")));
                        if done.send((point.id, outcome)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(done);
            let end = self.drive(trainer, n_slots, &jobs, &ended);
            drop(jobs);
            end
        })
    }

    fn drive(
        &self,
        trainer: Trainer<'_>,
        n_slots: usize,
        jobs: &Sender<Drawn>,
        ended: &Receiver<(u64, Result<bool, CampaignError>)>,
    ) -> Result<RunEnd, CampaignError> {
        let mut running: HashSet<u64> = HashSet::new();
        let mut waiting = self.open();
        let (mut exhausted, mut by_rule) = (false, false);
        let mut trouble: Option<CampaignError> = None;
        loop {
            while running.len() < n_slots && trouble.is_none() && !self.stop.is_draining() {
                let Some(point) = waiting.pop_front() else { break };
                if self.lock().is_over(point.id) || running.contains(&point.id) {
                    continue;
                }
                running.insert(point.id);
                if jobs.send(point).is_err() {
                    break;
                }
            }
            let may_draw = running.len() < n_slots && waiting.is_empty() && !exhausted;
            if may_draw && trouble.is_none() && !self.stop.is_draining() {
                // Lost points go before new ones.
                waiting = self.open();
                waiting.retain(|point| !running.contains(&point.id));
                if waiting.is_empty() {
                    let needs_answers = {
                        let shared = self.lock();
                        let state = shared.folder.state();
                        // With nothing to learn from yet, more of the design would be drawn blindly.
                        let labelled = |point: &&Point| point.part == Part::Learned && point.status() == Status::Done;
                        let labels = state.points().filter(labelled).count();
                        labels < 3 && state.points().len() >= shared.folder.settings().initial
                    };
                    if !needs_answers || running.is_empty() {
                        match self.draw(trainer) {
                            Ok(Next::Points(points)) if points.is_empty() => exhausted = true,
                            Ok(Next::Points(points)) => waiting = points,
                            Ok(Next::Spent) if running.is_empty() => return Ok(self.end()),
                            Ok(Next::Spent) => exhausted = true,
                            // What is under way is waited for, and what is lost meanwhile is left to another run.
                            Ok(Next::Ended) => (exhausted, by_rule) = (true, true),
                            Err(CampaignError::Stopped) => {}
                            Err(error) => trouble = Some(error),
                        }
                    }
                }
                if !waiting.is_empty() {
                    continue;
                }
            }
            if running.is_empty() {
                return match trouble {
                    Some(error) => Err(error),
                    None if by_rule => Ok(RunEnd::Rule),
                    None if self.stop.is_draining() => Ok(RunEnd::Stopped),
                    None if self.spent() => Ok(RunEnd::Budget),
                    None => Ok(RunEnd::Exhausted),
                };
            }
            let Ok((id, outcome)) = ended.recv() else { return Ok(RunEnd::Stopped) };
            running.remove(&id);
            if let Err(error) = outcome {
                trouble.get_or_insert(error);
            }
            // A lost point may be tried again, and its slot may draw where the budget was spent.
            exhausted = by_rule || (exhausted && self.lock().is_over(id));
        }
    }

    fn spent(&self) -> bool {
        self.lock().folder.state().n_asked() >= self.budget
    }
}
