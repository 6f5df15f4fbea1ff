//! Work without Python's lock: signals are looked at meanwhile, and a panic becomes an exception.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use dal_core::{Stop, StopLevel};
use pyo3::prelude::*;

use crate::errors::InternalError;

/// How often signals are looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// How long work that was stopped is waited for before it is left behind.
const PATIENCE: Duration = Duration::from_millis(500);

/// The result, or the exception that a panic becomes.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| defect(&*panic))
}

fn defect(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    InternalError::new_err(format!("a defect of dal_regression, please report it: {text}"))
}

/// Does work that is over before signals would be looked at, on the calling thread, without Python's lock: another
/// thread's processor has to wake up and has nothing of the data, which takes longer than the work.
pub(crate) fn at_once<T: Send>(py: Python<'_>, work: impl FnOnce(&Stop) -> T + Send) -> PyResult<T> {
    py.detach(|| guarded(|| work(&Stop::new())))
}

/// Does work on a thread of its own, without Python's lock. A signal whose handler raises (Ctrl-C) stops it: `stop` is
/// raised to `level`, the work comes to its end, and the handler's exception is raised.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    level: StopLevel,
    work: impl FnOnce(&Stop) -> T + Send,
) -> PyResult<T> {
    match watched(py, level, work) {
        (Some(raised), _) => Err(raised),
        (None, outcome) => outcome,
    }
}

/// As [`interruptible`], for work that must not stand where its result is lost: what it brought although a signal came,
/// at the last moment too, goes to `take_back` before the handler's exception is raised.
pub(crate) fn interruptible_or_undone<T: Send>(
    py: Python<'_>,
    level: StopLevel,
    work: impl FnOnce(&Stop) -> T + Send,
    take_back: impl FnOnce(T) -> PyResult<()>,
) -> PyResult<T> {
    let (raised, outcome) = watched(py, level, work);
    // A signal since the last glance would be raised right after this call, whose result is lost then as well.
    let Some(raised) = raised.or_else(|| py.check_signals().err()) else { return outcome };
    if let Err(error) = outcome.map(take_back).unwrap_or(Ok(())) {
        error.set_cause(py, Some(raised));
        return Err(error);
    }
    Err(raised)
}

/// What a signal's handler raised meanwhile, and what the work brought.
fn watched<T: Send>(
    py: Python<'_>,
    level: StopLevel,
    work: impl FnOnce(&Stop) -> T + Send,
) -> (Option<PyErr>, PyResult<T>) {
    let stop = Stop::new();
    let mut raised: Option<PyErr> = None;
    let outcome = py.detach(|| {
        std::thread::scope(|scope| {
            let (done, ended) = mpsc::channel::<()>();
            let stop = &stop;
            let worker = std::thread::Builder::new().name("dal".into()).spawn_scoped(scope, move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| work(stop)));
                // The one who waits may have gone.
                let _ = done.send(());
                outcome
            });
            let worker = match worker {
                Ok(worker) => worker,
                Err(error) => return Err(InternalError::new_err(format!("no thread can be started: {error}"))),
            };
            while ended.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = Python::attach(|py| py.check_signals()) {
                    // A second Ctrl-C ends what the first one lets finish.
                    stop.raise(if raised.is_some() { StopLevel::Now } else { level });
                    raised.get_or_insert(error);
                }
            }
            match worker.join() {
                Ok(outcome) => outcome.map_err(|panic| defect(&*panic)),
                Err(panic) => Err(defect(&*panic)),
            }
        })
    });
    (raised, outcome)
}

/// As [`interruptible`], for work that owns all it touches: where it does not end soon after it was stopped, as in the
/// middle of a clustering, it is left behind. Its thread then ends by itself, and what it found is dropped.
pub(crate) fn left_behind<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> PyResult<T> {
    let stop = Stop::new();
    let theirs = stop.clone();
    let (done, ended) = mpsc::channel();
    let worker = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&theirs)));
        // The one who waits may have gone.
        let _ = done.send(outcome);
    };
    if let Err(error) = std::thread::Builder::new().name("dal".into()).spawn(worker) {
        return Err(InternalError::new_err(format!("no thread can be started: {error}")));
    }
    py.detach(move || {
        loop {
            match ended.recv_timeout(GLANCE) {
                Ok(outcome) => return outcome.map_err(|panic| defect(&*panic)),
                Err(RecvTimeoutError::Disconnected) => return Err(InternalError::new_err("the work ended unsaid")),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Err(raised) = Python::attach(|py| py.check_signals()) {
                stop.raise(StopLevel::Now);
                let _ = ended.recv_timeout(PATIENCE);
                return Err(raised);
            }
        }
    })
}

/// Panics inside one of the ways in which work is called, for the test that sees what becomes of it; a wheel for
/// release lacks it.
#[cfg(debug_assertions)]
#[pyfunction]
pub(crate) fn provoke_panic(py: Python<'_>, way: &str) -> PyResult<()> {
    match way {
        "guarded" => guarded(|| panic!("provoked")),
        "at once" => at_once(py, |_| panic!("provoked")),
        "interruptible" => interruptible(py, StopLevel::Now, |_| panic!("provoked {}", "at run time")),
        _ => left_behind(py, |_| std::panic::panic_any(3)),
    }
}
