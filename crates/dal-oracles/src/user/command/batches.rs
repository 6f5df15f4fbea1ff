//! Batches: rows are shared out over calls, several at a time, and those without a label are tried again.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::ArrayView2;

use super::CommandOracle;
use super::call::{Event, Wanted};
use crate::user::answers::{Again, Answer};

impl CommandOracle {
    /// Calls the program for each group of rows, several at a time, and hands out rows as they are settled, until one breaks.
    fn run_round(
        &self,
        lines: &[String],
        groups: VecDeque<Vec<usize>>,
        stop: &Stop,
        on_event: &mut dyn FnMut(usize, Answer, Again) -> ControlFlow<()>,
    ) -> Result<(), OracleError> {
        let n_workers = self.settings.parallel.min(groups.len());
        let (queue, abandoned) = (Mutex::new(groups), AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let mut unavailable = None;
        thread::scope(|scope| {
            // Also when `on_event` panics: the calls under way end instead of being waited for.
            let _abandon = SetOnDrop(&abandoned);
            let wanted = Wanted { stop, abandoned: &abandoned };
            for worker in 0..n_workers {
                let (sender, queue) = (sender.clone(), &queue);
                let work = move || {
                    while wanted.may_start() {
                        let Some(rows) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                            break;
                        };
                        self.call(lines, &rows, &sender, &wanted);
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
            for event in &receiver {
                match event {
                    Event::Row(row, answer, again) if !broken => {
                        if on_event(row, answer, again).is_break() {
                            broken = true;
                            abandoned.store(true, Ordering::Relaxed);
                        }
                    }
                    Event::Row(..) => {}
                    Event::Unavailable(message) => {
                        abandoned.store(true, Ordering::Relaxed);
                        unavailable.get_or_insert(message);
                    }
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
        let mut open: Vec<usize> = (0..x.nrows()).collect();
        for attempt in 0..=self.settings.retries {
            let last = attempt == self.settings.retries;
            let share = open.len().div_ceil(self.settings.parallel.max(1)).max(1);
            // A row that takes a whole call down with it must not do so twice.
            let size = if attempt == 0 { self.settings.rows_per_call.unwrap_or(share).min(share) } else { 1 };
            let groups = open.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
            let mut settled = vec![false; x.nrows()];
            let mut broken = false;
            self.run_round(&lines, groups, stop, &mut |row, answer, again| {
                let flow = match answer {
                    Ok(values) => on_row(row, Ok(&values)),
                    Err(failure) if last || again == Again::WouldHide => on_row(row, Err(failure)),
                    // It stays open: it is tried again, after a stop too.
                    Err(_) => return ControlFlow::Continue(()),
                };
                settled[row] = true;
                broken = flow.is_break();
                flow
            })?;
            if broken {
                return Ok(());
            }
            open.retain(|&row| !settled[row]);
            if open.is_empty() {
                break;
            }
            if stop.is_draining() {
                return Err(OracleError::Stopped);
            }
        }
        Ok(())
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
