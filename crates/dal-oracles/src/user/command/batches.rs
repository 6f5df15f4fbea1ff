//! Batches: rows are shared out over calls, several at a time, and those without a label are tried again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::ArrayView2;

use super::CommandOracle;
use super::call::Event;
use crate::user::answers::{Again, Answer};

impl CommandOracle {
    /// Calls the program for each group of rows, several at a time, and hands out rows as they are settled.
    fn run_round(
        &self,
        lines: &[String],
        groups: VecDeque<Vec<usize>>,
        on_event: &mut dyn FnMut(usize, Answer, Again),
    ) -> Result<(), OracleError> {
        let n_workers = self.settings.parallel.min(groups.len());
        let (queue, abandoned) = (Mutex::new(groups), AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let mut unavailable = None;
        thread::scope(|scope| {
            // Also when `on_event` panics: the calls under way end instead of being waited for.
            let _abandon = SetOnDrop(&abandoned);
            for _ in 0..n_workers {
                let (sender, queue, abandoned) = (sender.clone(), &queue, &abandoned);
                scope.spawn(move || {
                    while !abandoned.load(Ordering::Relaxed) {
                        let Some(rows) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                            break;
                        };
                        self.call(lines, &rows, &sender, abandoned);
                    }
                });
            }
            drop(sender);
            for event in &receiver {
                match event {
                    Event::Row(row, answer, again) => on_event(row, answer, again),
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

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        let lines = x
            .outer_iter()
            .map(|point| self.inputs.csv_line(point))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| OracleError::Unavailable { message: e.to_string() })?;
        let mut pending: Vec<usize> = (0..x.nrows()).collect();
        for attempt in 0..=self.settings.retries {
            let last = attempt == self.settings.retries;
            let share = pending.len().div_ceil(self.settings.parallel.max(1)).max(1);
            // A row that takes a whole call down with it must not do so twice.
            let size = if attempt == 0 { self.settings.rows_per_call.unwrap_or(share).min(share) } else { 1 };
            let groups = pending.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
            let mut failed = Vec::new();
            let mut broken = false;
            self.run_round(&lines, groups, &mut |row, answer, again| {
                let flow = match answer {
                    _ if broken => return,
                    Ok(values) => on_row(row, Ok(&values)),
                    Err(failure) if last || again == Again::WouldHide => on_row(row, Err(failure)),
                    Err(_) => {
                        failed.push(row);
                        return;
                    }
                };
                broken = flow.is_break();
            })?;
            if broken {
                break;
            }
            failed.sort_unstable();
            pending = failed;
            if pending.is_empty() {
                break;
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
