//! Whether the program works at all: after many failed calls in a row it is asked once more about a point that it
//! answered.

use std::sync::atomic::AtomicBool;
use std::sync::{MutexGuard, PoisonError, mpsc};

use dal_core::{OracleError, Stop};

use super::CommandOracle;
use super::call::{Event, Wanted};

/// Failed calls in a row, at least, after which a known point is asked again.
const SUSPICIOUS: usize = 5;

/// What is known of the program, by all calls of the oracle together.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The line of a point that it answered, at this start or an earlier one.
    pub(super) known: Option<String>,
    /// Calls without any answer since the last that brought one.
    failed_calls: usize,
    /// Whether the last question about the known point was in vain.
    is_down: bool,
}

/// What is to be thought of failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The program works, or there is no telling: they stand.
    Stand,
    /// Not enough has failed to ask.
    Open,
    /// The program is down; its last words.
    Down(String),
    /// Not settled because of a stop.
    Stopped,
}

impl CommandOracle {
    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls without an answer after which a known point is asked again: 5, or twice the parallel ones.
    fn most_failed_calls(&self) -> usize {
        SUSPICIOUS.max(2 * self.settings.parallel)
    }

    /// Takes note of an answer to this line.
    pub(super) fn note_answer(&self, line: &str) {
        let mut health = self.health();
        if health.known.is_none() {
            health.known = Some(line.to_owned());
        }
    }

    /// Takes note of a call that has ended.
    pub(super) fn call_ended(&self, answered: bool, stop: &Stop) -> Result<Verdict, OracleError> {
        let failed_calls = {
            let mut health = self.health();
            health.failed_calls = if answered { 0 } else { health.failed_calls + 1 };
            health.is_down &= !answered;
            health.failed_calls
        };
        match failed_calls {
            0 => Ok(Verdict::Stand),
            n if n < self.most_failed_calls() => Ok(Verdict::Open),
            _ => self.ask_known(stop),
        }
    }

    /// Before anything is asked: whether a program that was down has come back.
    pub(super) fn is_back(&self, stop: &Stop) -> Result<Verdict, OracleError> {
        if self.health().is_down { self.ask_known(stop) } else { Ok(Verdict::Open) }
    }

    /// Asks about the known point in a call of its own, as often as any point is tried; [`Verdict::Stand`] where none
    /// is known, because then there is no telling.
    pub(super) fn ask_known(&self, stop: &Stop) -> Result<Verdict, OracleError> {
        let Some(line) = self.health().known.clone() else { return Ok(Verdict::Stand) };
        let abandoned = AtomicBool::new(false);
        let wanted = Wanted { stop, abandoned: &abandoned };
        if !wanted.may_start() {
            return Ok(Verdict::Stopped);
        }
        let mut verdict = Verdict::Stopped;
        for _ in 0..=self.known_retries {
            let (sender, receiver) = mpsc::channel();
            let Some(slot) = self.slots.take(self.most_calls(), &|| wanted.may_start()) else {
                return Ok(Verdict::Stopped);
            };
            self.call_whatever_is_known(std::slice::from_ref(&line), &[0], &sender, &wanted);
            drop((slot, sender));
            let mut words = String::new();
            for event in receiver {
                match event {
                    Event::Row(_, Ok(_), _) => verdict = Verdict::Stand,
                    Event::Row(_, Err(failure), _) => words = failure.to_string(),
                    Event::Ended { answered: false } => verdict = Verdict::Down(std::mem::take(&mut words)),
                    Event::Ended { answered: true } | Event::LookedAt { .. } => {}
                    Event::Unavailable(message) => return Err(OracleError::Unavailable { message }),
                }
            }
            if verdict == Verdict::Stand {
                break;
            }
            if !wanted.may_start() {
                return Ok(Verdict::Stopped);
            }
        }
        let mut health = self.health();
        match &verdict {
            Verdict::Stand => (health.failed_calls, health.is_down) = (0, false),
            Verdict::Down(_) => health.is_down = true,
            _ => {}
        }
        Ok(verdict)
    }

    /// The error that says so.
    pub(super) fn down(&self, words: &str) -> OracleError {
        let known = self.health().known.clone().unwrap_or_default();
        let message = format!(
            "the program is down: it does not even answer the point {}, which it has answered before ({words}); \
             nothing was recorded of what failed, and the same command goes on once it is back (if it was changed on \
             purpose, give it another `version` in the problem file)",
            known.trim_end()
        );
        OracleError::Down { message }
    }
}
