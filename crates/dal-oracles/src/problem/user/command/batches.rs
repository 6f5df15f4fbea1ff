//! Batches: rows are shared out over calls, several at a time, and those without a label are tried again.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError, mpsc};
use std::thread;

use dal_core::{LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::ArrayView2;

use super::CommandOracle;
use super::call::{Event, Wanted};
use super::health::Verdict;
use crate::user::answers::{Again, Answer};

impl CommandOracle {
    /// Calls the program for each group of rows, several at a time, and hands out what happens, until told to break.
    /// While that is being looked at after a call's end, no other call begins. Other batches may be asked about at the
    /// same time: all together call as often at once as the settings allow.
    fn run_round(
        &self,
        lines: &[String],
        groups: VecDeque<Vec<usize>>,
        stop: &Stop,
        on_event: &mut dyn FnMut(Happened) -> ControlFlow<()>,
    ) -> Result<(), OracleError> {
        let n_workers = self.settings.parallel.min(groups.len());
        let (queue, abandoned) = (Mutex::new(groups), AtomicBool::new(false));
        let gate = Mutex::new(());
        let (sender, receiver) = mpsc::channel();
        let mut unavailable = None;
        thread::scope(|scope| {
            // Also when `on_event` panics: the calls under way end instead of being waited for.
            let _abandon = SetOnDrop(&abandoned);
            let wanted = Wanted { stop, abandoned: &abandoned };
            for worker in 0..n_workers {
                let (sender, queue, gate) = (sender.clone(), &queue, &gate);
                let work = move || {
                    let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_wanted = || wanted.may_start() && !queue().is_empty();
                    loop {
                        drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
                        let Some(slot) = self.slots.take(self.most_calls(), &is_wanted) else { break };
                        // The wait may have been long. The look at the end of a call may need a slot, so none is
                        // held while that is waited for.
                        if matches!(gate.try_lock(), Err(TryLockError::WouldBlock)) {
                            continue;
                        }
                        let Some(rows) = queue().pop_front() else { break };
                        self.call(lines, &rows, &sender, &wanted);
                        drop(slot);
                        // What comes of this call may be that no other is wanted.
                        let (looked_at, wait) = mpsc::channel();
                        if sender.send(Event::LookedAt { _sender: looked_at }).is_ok() {
                            let _ = wait.recv();
                        }
                    }
                };
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, work) {
                    // Those that could be started do the work.
                    if worker == 0 {
                        unavailable = Some(format!("this machine starts no thread for a call: {error}"));
                    }
                    break;
                }
            }
            drop(sender);
            let mut broken = false;
            // Owned here, so that a panic of `on_event` ends what waits for an event to be looked at.
            let receiver = receiver;
            for event in &receiver {
                let happened = match event {
                    Event::Row(row, answer, again) => Happened::Row(row, answer, again),
                    Event::Ended { answered } => Happened::CallEnded { answered },
                    Event::LookedAt { .. } => continue,
                    Event::Unavailable(message) => {
                        abandoned.store(true, Ordering::Relaxed);
                        unavailable.get_or_insert(message);
                        continue;
                    }
                };
                if broken {
                    continue;
                }
                let _gate = matches!(happened, Happened::CallEnded { .. }).then(|| gate.lock());
                if on_event(happened).is_break() {
                    broken = true;
                    abandoned.store(true, Ordering::Relaxed);
                }
            }
        });
        unavailable.map_or(Ok(()), |message| Err(OracleError::Unavailable { message }))
    }
}

impl Oracle for CommandOracle {
    fn n_inputs(&self) -> usize {
        self.inputs.space().n_columns()
    }

    fn n_outputs(&self) -> usize {
        self.outputs.len()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        let lines = x
            .outer_iter()
            .map(|point| self.inputs.csv_line(point))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| OracleError::Unavailable { message: e.to_string() })?;
        let mut batch = BatchSoFar { oracle: self, stop, on_row, held: Vec::new(), answered: false, end: None };
        let _ = batch.judge(self.is_back(stop));
        let mut open: Vec<usize> = (0..x.nrows()).collect();
        for attempt in 0..=self.settings.retries {
            if batch.end.is_some() || open.is_empty() {
                break;
            }
            if attempt > 0 && stop.is_draining() {
                return Err(OracleError::Stopped);
            }
            let last = attempt == self.settings.retries;
            let share = open.len().div_ceil(self.settings.parallel.max(1)).max(1);
            // A row that takes a whole call down with it must not do so twice.
            let size = if attempt == 0 { self.settings.rows_per_call.unwrap_or(share).min(share) } else { 1 };
            let groups = open.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
            let mut settled = vec![false; x.nrows()];
            self.run_round(&lines, groups, stop, &mut |happened| match happened {
                Happened::CallEnded { answered } => batch.judge(self.call_ended(answered, stop)),
                Happened::Row(row, Ok(values), _) => {
                    self.note_answer(&lines[row]);
                    settled[row] = true;
                    batch.answered = true;
                    batch.hand_out(row, Ok(&values))
                }
                // What the program says of a point itself it would say again.
                Happened::Row(row, Err(failure), again)
                    if last || again != Again::Useful || failure.kind.is_of_the_point() =>
                {
                    settled[row] = true;
                    batch.held.push((row, failure));
                    ControlFlow::Continue(())
                }
                // It stays open: it is tried again, after a stop too.
                Happened::Row(..) => ControlFlow::Continue(()),
            })?;
            open.retain(|&row| !settled[row]);
        }
        batch.finish(!open.is_empty() && stop.is_draining())
    }

    fn knows(&self, line: &str) {
        self.note_answer(&format!("{line}\n"));
    }

    fn watches_itself(&self) -> bool {
        self.health().known.is_some()
    }

    fn check_works(&self, stop: &Stop) -> Result<(), OracleError> {
        match self.ask_known(stop)? {
            Verdict::Down(words) => Err(self.down(&words)),
            Verdict::Stopped => Err(OracleError::Stopped),
            Verdict::Stand | Verdict::Open => Ok(()),
        }
    }
}

/// What happens in a round.
enum Happened {
    Row(usize, Answer, Again),
    CallEnded { answered: bool },
}

/// Why no more is to be asked for a batch.
enum BatchEnd {
    /// An answer could not be kept.
    Broken,
    Error(OracleError),
}

/// A batch being answered. Failures are held back until the program is seen to work after them, so that those of a
/// program that is down are never handed out.
struct BatchSoFar<'a, 'b> {
    oracle: &'a CommandOracle,
    stop: &'a Stop,
    on_row: &'a mut OnRow<'b>,
    held: Vec<(usize, LabelFailure)>,
    /// Whether any row was answered.
    answered: bool,
    end: Option<BatchEnd>,
}

impl BatchSoFar<'_, '_> {
    fn hand_out(&mut self, row: usize, answer: Result<&[f64], LabelFailure>) -> ControlFlow<()> {
        if (self.on_row)(row, answer).is_break() {
            self.end = Some(BatchEnd::Broken);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn hand_out_held(&mut self) -> ControlFlow<()> {
        for (row, failure) in std::mem::take(&mut self.held) {
            self.hand_out(row, Err(failure))?;
        }
        ControlFlow::Continue(())
    }

    fn judge(&mut self, verdict: Result<Verdict, OracleError>) -> ControlFlow<()> {
        let error = match verdict {
            Ok(Verdict::Open) => return ControlFlow::Continue(()),
            Ok(Verdict::Stand) => return self.hand_out_held(),
            Ok(Verdict::Down(words)) => self.oracle.down(&words),
            Ok(Verdict::Stopped) => OracleError::Stopped,
            Err(error) => error,
        };
        self.end = Some(BatchEnd::Error(error));
        ControlFlow::Break(())
    }

    /// Hands out what is still held. Of points without a single answer only once a known point has been answered,
    /// unless the program lived to say something of each of them; a single one of a caller who counts the attempts is
    /// counted with the calls before it, so that it costs no second simulation.
    fn finish(mut self, is_open: bool) -> Result<(), OracleError> {
        use LabelFailureKind::{Crashed, Missing, NotTried, TimedOut};
        let is_silent = |failure: &LabelFailure| matches!(failure.kind, Crashed | Missing | NotTried | TimedOut);
        let is_counted = self.held.len() == 1 && self.oracle.attempts_are_counted;
        let is_in_doubt = !self.answered && !is_counted && self.held.iter().any(|(_, failure)| is_silent(failure));
        if self.end.is_none() && is_in_doubt {
            let verdict = self.oracle.ask_known(self.stop);
            let _ = self.judge(verdict);
        }
        if self.end.is_none() {
            let _ = self.hand_out_held();
        }
        match self.end {
            Some(BatchEnd::Error(error)) => Err(error),
            Some(BatchEnd::Broken) => Ok(()),
            None if is_open => Err(OracleError::Stopped),
            None => Ok(()),
        }
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
