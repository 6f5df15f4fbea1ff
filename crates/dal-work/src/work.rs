//! The list, its workers, and what became of each task.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use dal_core::{Stop, StopLevel};
use thiserror::Error;

/// Something to be done, and how long that may take compared with the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task<T> {
    /// In any unit; of equal ones the first in the list comes first, NaN before all others.
    pub cost: f64,
    /// What is to be done.
    pub work: T,
}

/// Where a task is being done.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// 0-based worker.
    pub worker: usize,
    /// The task's place in the list as it was given.
    pub task: usize,
    /// The wish to stop that the list was given. A fatal error of another task raises it to drain.
    pub stop: &'a Stop,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R> {
    /// It came to an end; whether to a good one is what it returned.
    Done(R),
    /// It panicked, with these words.
    Panicked(String),
    /// It came to an end with the error that ended the list.
    Fatal,
    /// It was not begun, because of a stop or a fatal error.
    NotBegun,
}

/// Why a list was not worked through.
#[derive(Debug, Error)]
pub enum WorkError<E> {
    /// A task, or what was to be done at its end, met an error that makes going on senseless.
    #[error(transparent)]
    Fatal(E),
    /// What was to be done at a task's end panicked.
    #[error("at the end of task {task}: {message}")]
    Watcher {
        /// The task's place in the list.
        task: usize,
        /// What the panic said.
        message: String,
    },
    /// The system starts no thread.
    #[error("cannot start worker {worker} of {workers}: {source}; give fewer")]
    Thread {
        /// 0-based worker.
        worker: usize,
        /// How many there were to be.
        workers: usize,
        /// The system's reason.
        source: io::Error,
    },
}

/// What became of every task, in the order of the list, and of the list.
#[derive(Debug)]
#[must_use = "a fatal error stands in it"]
pub struct Worked<R, E> {
    /// One outcome per task.
    pub outcomes: Vec<Outcome<R>>,
    /// The first error that ended the list, if one did.
    pub error: Option<WorkError<E>>,
}

impl<R, E> Worked<R, E> {
    /// The outcomes, unless an error ended the list.
    ///
    /// # Errors
    /// That error.
    pub fn into_result(self) -> Result<Vec<Outcome<R>>, WorkError<E>> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.outcomes),
        }
    }

    /// Whether a task was not begun.
    #[cfg(test)]
    fn is_incomplete(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::NotBegun))
    }
}

/// What a task does.
type Run<'a, T, R, E> = dyn Fn(&Place<'_>, &T) -> Result<R, E> + Sync + 'a;

/// What is done when a task has ended, on the thread that did it.
type Ended<'a, R, E> = dyn Fn(&Place<'_>, &Outcome<R>) -> Result<(), E> + Sync + 'a;

/// Does every task once, the most costly first, with this many threads (at least one, at most one per task).
///
/// `run` does a task and returns its result, a failure of its own included; its `Err` is fatal: nothing more is
/// begun, and `stop` is raised to [`Drain`](StopLevel::Drain), so that tasks under way which look at it come to an
/// end. `ended` is called once, on the same thread, for every task that was begun and did not end with a fatal error;
/// its `Err` is fatal too. A `stop` that is raised, at any moment, keeps what has not begun from beginning; this
/// function returns when what was begun has ended.
///
/// A worker that cannot be started ends the list like a fatal error.
pub fn work_through<T: Sync, R: Send, E: Send>(
    tasks: &[Task<T>],
    workers: usize,
    stop: &Stop,
    run: impl Fn(&Place<'_>, &T) -> Result<R, E> + Sync,
    ended: impl Fn(&Place<'_>, &Outcome<R>) -> Result<(), E> + Sync,
) -> Worked<R, E> {
    work_with(tasks, workers, stop, &run, &ended, &mut |_| thread::Builder::new())
}

fn work_with<T: Sync, R: Send, E: Send>(
    tasks: &[Task<T>],
    workers: usize,
    stop: &Stop,
    run: &Run<'_, T, R, E>,
    ended: &Ended<'_, R, E>,
    builder: &mut dyn FnMut(usize) -> thread::Builder,
) -> Worked<R, E> {
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    // Stable, so that equal costs keep their order.
    order.sort_by(|&a, &b| tasks[b].cost.total_cmp(&tasks[a].cost));
    let list = List {
        tasks,
        order,
        next: AtomicUsize::new(0),
        stop,
        run,
        ended,
        outcomes: Mutex::new(tasks.iter().map(|_| Outcome::NotBegun).collect()),
        error: Mutex::new(None),
    };
    let workers = workers.max(1).min(tasks.len());
    thread::scope(|scope| {
        for worker in 0..workers {
            let list = &list;
            if let Err(source) = builder(worker).spawn_scoped(scope, move || list.work(worker)) {
                list.end(WorkError::Thread { worker, workers, source });
                break;
            }
        }
    });
    Worked {
        outcomes: list.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner),
        error: list.error.into_inner().unwrap_or_else(PoisonError::into_inner),
    }
}

struct List<'a, T, R, E> {
    tasks: &'a [Task<T>],
    order: Vec<usize>,
    /// Place in `order` of the next task to be begun.
    next: AtomicUsize,
    stop: &'a Stop,
    run: &'a Run<'a, T, R, E>,
    ended: &'a Ended<'a, R, E>,
    outcomes: Mutex<Vec<Outcome<R>>>,
    error: Mutex<Option<WorkError<E>>>,
}

impl<T: Sync, R: Send, E: Send> List<'_, T, R, E> {
    fn work(&self, worker: usize) {
        while !self.stop.is_draining() {
            let Some(&task) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            let place = Place { worker, task, stop: self.stop };
            let outcome = match catch_unwind(AssertUnwindSafe(|| (self.run)(&place, &self.tasks[task].work))) {
                Ok(Ok(result)) => Outcome::Done(result),
                Ok(Err(error)) => {
                    self.end(WorkError::Fatal(error));
                    Outcome::Fatal
                }
                Err(payload) => Outcome::Panicked(panic_message(&*payload)),
            };
            if !matches!(outcome, Outcome::Fatal) {
                match catch_unwind(AssertUnwindSafe(|| (self.ended)(&place, &outcome))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => self.end(WorkError::Fatal(error)),
                    Err(payload) => self.end(WorkError::Watcher { task, message: panic_message(&*payload) }),
                }
            }
            self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)[task] = outcome;
        }
    }

    /// Keeps the first error and lets nothing begin after it.
    fn end(&self, error: WorkError<E>) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.raise(StopLevel::Drain);
    }
}

/// What a panic said.
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    /// What a task of the tests does.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Act {
        Succeed,
        Fail,
        Panic,
        Fatal,
        Stop(StopLevel),
        /// What is done at its end fails or panics.
        EndFatal,
        EndPanic,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => Just(Act::Succeed),
            2 => Just(Act::Fail),
            2 => Just(Act::Panic),
            1 => Just(Act::Fatal),
            1 => Just(Act::Stop(StopLevel::Drain)),
            1 => Just(Act::Stop(StopLevel::Now)),
            1 => Just(Act::EndFatal),
            1 => Just(Act::EndPanic),
        ]
    }

    fn quiet<R>(f: impl FnOnce() -> R) -> R {
        static QUIET: Mutex<()> = Mutex::new(());
        let _guard = QUIET.lock().unwrap_or_else(PoisonError::into_inner);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let result = f();
        std::panic::set_hook(hook);
        result
    }

    proptest! {
        #[test]
        fn every_task_has_one_outcome_and_its_end_is_told_once(
            acts in prop::collection::vec(act(), 0..30),
            workers in 0usize..5,
            costs in prop::collection::vec(0.0..3.0f64, 30),
        ) {
            let tasks: Vec<Task<Act>> =
                acts.iter().zip(&costs).map(|(act, cost)| Task { cost: cost.floor(), work: *act }).collect();
            let stop = Stop::new();
            let begun: Vec<AtomicUsize> = acts.iter().map(|_| AtomicUsize::new(0)).collect();
            let told: Vec<AtomicUsize> = acts.iter().map(|_| AtomicUsize::new(0)).collect();
            let run = |place: &Place<'_>, act: &Act| {
                begun[place.task].fetch_add(1, Ordering::SeqCst);
                assert!(place.worker < workers.max(1));
                match act {
                    Act::Panic => panic!("task {}", place.task),
                    Act::Fatal => return Err("fatal"),
                    Act::Stop(level) => place.stop.raise(*level),
                    _ => {}
                }
                Ok(if *act == Act::Fail { Err(place.task) } else { Ok(place.task) })
            };
            let ended = |place: &Place<'_>, _: &Outcome<Result<usize, usize>>| {
                told[place.task].fetch_add(1, Ordering::SeqCst);
                match acts[place.task] {
                    Act::EndFatal => Err("end"),
                    Act::EndPanic => panic!("end of {}", place.task),
                    _ => Ok(()),
                }
            };
            let worked = quiet(|| work_through(&tasks, workers, &stop, run, ended));
            prop_assert_eq!(worked.outcomes.len(), acts.len());
            for (task, outcome) in worked.outcomes.iter().enumerate() {
                let expected = match acts[task] {
                    _ if begun[task].load(Ordering::SeqCst) == 0 => Outcome::NotBegun,
                    Act::Panic => Outcome::Panicked(format!("task {task}")),
                    Act::Fatal => Outcome::Fatal,
                    Act::Fail => Outcome::Done(Err(task)),
                    _ => Outcome::Done(Ok(task)),
                };
                prop_assert_eq!(outcome, &expected);
                let is_told = !matches!(outcome, Outcome::NotBegun | Outcome::Fatal);
                prop_assert_eq!(told[task].load(Ordering::SeqCst), usize::from(is_told));
                prop_assert!(begun[task].load(Ordering::SeqCst) <= 1);
            }
            let was = |wanted: &[Act]| {
                (0..acts.len()).any(|task| wanted.contains(&acts[task]) && begun[task].load(Ordering::SeqCst) > 0)
            };
            let fatal = [Act::Fatal, Act::EndFatal, Act::EndPanic];
            prop_assert_eq!(worked.error.is_some(), was(&fatal));
            let stops = [&fatal[..], &[Act::Stop(StopLevel::Drain), Act::Stop(StopLevel::Now)]].concat();
            prop_assert_eq!(stop.is_draining(), was(&stops));
            prop_assert_eq!(stop.is_now(), was(&[Act::Stop(StopLevel::Now)]));
            prop_assert!(was(&stops) || !worked.is_incomplete());
        }

        #[test]
        fn one_worker_takes_the_longest_first_and_equals_in_order(costs in prop::collection::vec(0u8..4, 0..20)) {
            let tasks: Vec<Task<()>> = costs.iter().map(|&cost| Task { cost: cost.into(), work: () }).collect();
            let seen = Mutex::new(Vec::new());
            let run = |place: &Place<'_>, (): &()| {
                seen.lock().unwrap().push(place.task);
                Ok::<(), ()>(())
            };
            let worked = work_through(&tasks, 1, &Stop::new(), run, |_, _| Ok(()));
            prop_assert!(worked.error.is_none() && !worked.is_incomplete());
            let mut naive: Vec<usize> = (0..costs.len()).collect();
            naive.sort_by_key(|&task| (std::cmp::Reverse(costs[task]), task));
            prop_assert_eq!(seen.into_inner().unwrap(), naive);
        }
    }

    #[test]
    fn a_stop_from_outside_lets_what_runs_come_to_its_end() {
        let stop = Stop::new();
        let (begun, release) = (AtomicUsize::new(0), AtomicBool::new(false));
        let tasks = [(); 10].map(|()| Task { cost: 1.0, work: () });
        let run = |_: &Place<'_>, (): &()| {
            begun.fetch_add(1, Ordering::SeqCst);
            while !release.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            Ok::<(), ()>(())
        };
        let worked = thread::scope(|scope| {
            let worked = scope.spawn(|| work_through(&tasks, 3, &stop, run, |_, _| Ok(())));
            while begun.load(Ordering::SeqCst) < 3 {
                thread::yield_now();
            }
            stop.raise(StopLevel::Drain);
            release.store(true, Ordering::SeqCst);
            worked.join().unwrap()
        });
        let count = |wanted: Outcome<()>| worked.outcomes.iter().filter(|outcome| **outcome == wanted).count();
        assert_eq!((count(Outcome::Done(())), count(Outcome::NotBegun)), (3, 7));
        assert!(worked.error.is_none() && worked.is_incomplete());
    }

    #[test]
    fn nothing_begins_where_a_stop_was_asked_for_before() {
        for level in [StopLevel::Drain, StopLevel::Now] {
            let stop = Stop::new();
            stop.raise(level);
            let worked =
                work_through(&[Task { cost: 1.0, work: () }], 4, &stop, |_, ()| Err(()), |_, _: &Outcome<()>| Ok(()));
            assert_eq!((worked.outcomes, worked.error.is_some()), (vec![Outcome::NotBegun], false));
        }
    }

    #[test]
    fn threads_that_cannot_be_started_are_an_error() {
        let tasks = [(); 8].map(|()| Task { cost: 1.0, work: () });
        for startable in [0, 1] {
            // No system gives a thread a stack of 2^60 bytes.
            let mut builder = |worker| match worker < startable {
                true => thread::Builder::new(),
                false => thread::Builder::new().stack_size(1 << 60),
            };
            let worked = work_with(&tasks, 3, &Stop::new(), &|_, ()| Ok::<(), ()>(()), &|_, _| Ok(()), &mut builder);
            let done = worked.outcomes.iter().filter(|outcome| **outcome == Outcome::Done(())).count();
            assert!(startable == 1 || done == 0);
            assert_eq!(worked.outcomes.len(), 8);
            let error = worked.into_result().unwrap_err();
            let WorkError::Thread { worker, workers: 3, .. } = error else { panic!("{error:?}") };
            assert_eq!(worker, startable);
        }
    }
}
