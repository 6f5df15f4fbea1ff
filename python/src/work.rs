//! Work without Python's lock: signals are looked at meanwhile, and a panic becomes an exception.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use dal_core::{Stop, StopLevel};
use pyo3::prelude::*;

use crate::errors::InternalError;

/// How often signals are looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// The result, or the exception that a panic becomes.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| defect(&*panic))
}

fn defect(panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    InternalError::new_err(format!("a defect of dal_regression, please report it: {text}"))
}

/// Does work on a thread of its own, without Python's lock. A signal whose handler raises (Ctrl-C) stops it: `stop` is
/// raised to `level`, the work comes to its end, and the handler's exception is raised.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    level: StopLevel,
    work: impl FnOnce(&Stop) -> T + Send,
) -> PyResult<T> {
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
    match raised {
        Some(error) => Err(error),
        None => outcome,
    }
}
