//! Asks a user's oracle once per point: answers are kept in the store, and shared by all runs of the sweep.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard};

use dal_core::{LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Stop};
use dal_store::{LabelJournal, StoreError};
use ndarray::{ArrayView1, ArrayView2, Axis};

/// An oracle behind the answers that a store keeps of it.
///
/// An answer is on disk before whoever asked for it gets it. Runs that need the same point (the initial points of one seed, say)
/// share one question: the second waits for the answer to the first. Failures are not shared, so each run asks again, save in the
/// test set ([`test_label`](Self::test_label)), which has to be the same points at every start.
#[derive(Debug)]
pub(crate) struct Remembering<'a> {
    inner: &'a dyn Oracle,
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Debug)]
struct State {
    journal: LabelJournal,
    /// Points that somebody is asking about.
    asked: HashSet<Vec<u64>>,
}

/// Points that a call asks about; others may ask about them again when it is dropped.
struct Claim<'a, 'b> {
    oracle: &'a Remembering<'b>,
    points: Vec<Vec<u64>>,
}

impl Drop for Claim<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.oracle.lock();
        for point in &self.points {
            state.asked.remove(point);
        }
        self.oracle.answered.notify_all();
    }
}

impl<'a> Remembering<'a> {
    pub(crate) fn new(inner: &'a dyn Oracle, journal: LabelJournal) -> Self {
        let state = State { journal, asked: HashSet::new() };
        Self { inner, state: Mutex::new(state), answered: Condvar::new() }
    }

    /// As [`label`](Oracle::label), but failures are kept too.
    pub(crate) fn test_label(
        &self,
        x: ArrayView2<'_, f64>,
        stop: &Stop,
        on_row: &mut OnRow<'_>,
    ) -> Result<(), OracleError> {
        self.ask(x, true, stop, on_row)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ask(
        &self,
        x: ArrayView2<'_, f64>,
        keeps_failures: bool,
        stop: &Stop,
        on_row: &mut OnRow<'_>,
    ) -> Result<(), OracleError> {
        let mut open: Vec<usize> = (0..x.nrows()).collect();
        while !open.is_empty() {
            let mut claim = Claim { oracle: self, points: Vec::new() };
            let (mut known, mut mine, mut others) = (Vec::new(), Vec::new(), Vec::new());
            let mut state = self.lock();
            for &row in &open {
                match state.journal.get(x.row(row)) {
                    Some(Ok(label)) => known.push((row, Ok(label.to_vec()))),
                    Some(Err(failure)) if keeps_failures => known.push((row, Err(failure.clone()))),
                    _ => {
                        let point = bits(x.row(row));
                        if state.asked.insert(point.clone()) {
                            claim.points.push(point);
                            mine.push(row);
                        } else {
                            others.push(row);
                        }
                    }
                }
            }
            if known.is_empty() && mine.is_empty() {
                // Somebody else is asking; whatever comes of it, look again.
                drop(self.answered.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()));
            } else {
                drop(state);
            }
            for (row, answer) in known {
                if on_row(row, answer.as_deref().map_err(Clone::clone)).is_break() {
                    return Ok(());
                }
            }
            if !mine.is_empty() && self.ask_inner(x, &mine, keeps_failures, stop, on_row)?.is_break() {
                return Ok(());
            }
            open = others;
        }
        Ok(())
    }

    fn ask_inner(
        &self,
        x: ArrayView2<'_, f64>,
        rows: &[usize],
        keeps_failures: bool,
        stop: &Stop,
        on_row: &mut OnRow<'_>,
    ) -> Result<ControlFlow<()>, OracleError> {
        let mut flow = ControlFlow::Continue(());
        let mut refused: Option<StoreError> = None;
        let n_outputs = self.inner.n_outputs();
        let batch = x.select(Axis(0), rows);
        let mut open = vec![true; rows.len()];
        let mut settle = |k: usize, answer: Result<&[f64], LabelFailure>| {
            if k >= open.len() || !std::mem::replace(&mut open[k], false) {
                return flow;
            }
            let row = rows[k];
            let keep = match &answer {
                Ok(label) => label.len() == n_outputs && label.iter().all(|v| v.is_finite()),
                Err(_) => keeps_failures,
            };
            if keep {
                let kept = self.lock().journal.add(x.row(row), answer.as_ref().copied());
                if let Err(error) = kept {
                    refused.get_or_insert(error);
                }
                self.answered.notify_all();
            }
            // What arrives after an answer that could not be taken is kept here all the same: it was paid for.
            if flow.is_continue() {
                flow = on_row(row, answer);
            }
            flow
        };
        let outcome = self.inner.label(batch.view(), stop, &mut settle);
        if outcome.is_ok() {
            for k in 0..rows.len() {
                let message = "the oracle gave no answer for this row";
                if settle(k, Err(LabelFailure::new(LabelFailureKind::Missing, message))).is_break() {
                    break;
                }
            }
        }
        match refused {
            Some(error) => Err(OracleError::Unavailable { message: format!("keeping answers: {error}") }),
            None => outcome.map(|()| flow),
        }
    }
}

fn bits(x: ArrayView1<'_, f64>) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}

impl Oracle for Remembering<'_> {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        self.ask(x, false, stop, on_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::every;
    use dal_store::{ProblemSpec, Store};
    use ndarray::{Array2, array};
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Slow; fails below 0; counts what it is asked.
    #[derive(Debug, Default)]
    struct Slow(AtomicUsize);

    impl Oracle for Slow {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
            for (row, point) in x.outer_iter().enumerate() {
                std::thread::sleep(Duration::from_millis(2));
                self.0.fetch_add(1, Ordering::SeqCst);
                let label = [2.0 * point[0]];
                let negative = || LabelFailure::new(LabelFailureKind::Crashed, "negative");
                if on_row(row, if point[0] < 0.0 { Err(negative()) } else { Ok(&label) }).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn journal(store: &Store) -> LabelJournal {
        let problem = ProblemSpec { id: "p".into(), variant: "p".into(), settings: BTreeMap::new(), digest: None };
        store.lock().unwrap().labels(&problem).unwrap()
    }

    fn answers(ask: impl FnOnce(&mut OnRow<'_>) -> Result<(), OracleError>, n: usize) -> Vec<Option<f64>> {
        let mut answers = vec![None; n];
        let mut keep = every(|row, answer| {
            assert!(answers[row].is_none(), "row {row} twice");
            answers[row] = Some(answer.map_or(f64::NAN, |label| label[0]));
        });
        ask(&mut keep).unwrap();
        drop(keep);
        answers.into_iter().map(|answer| answer.filter(|v| !v.is_nan())).collect()
    }

    #[test]
    fn points_are_asked_once_over_threads_and_starts() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(dir.path().join("store")).unwrap();
        let x: Array2<f64> = Array2::from_shape_fn((20, 1), |(i, _)| (i / 2) as f64 / 10.0);
        let expected: Vec<Option<f64>> = x.iter().map(|v| Some(2.0 * v)).collect();
        let slow = Slow::default();
        let oracle = Remembering::new(&slow, journal(&store));
        std::thread::scope(|scope| {
            for shift in 0..4 {
                let (x, oracle, expected) = (&x, &oracle, &expected);
                scope.spawn(move || {
                    let part = x.select(Axis(0), &(shift..20).collect::<Vec<_>>());
                    assert_eq!(
                        answers(|on_row| oracle.label(part.view(), &Stop::new(), on_row), 20 - shift),
                        expected[shift..]
                    );
                });
            }
        });
        assert_eq!(slow.0.load(Ordering::SeqCst), 10, "ten different points");
        drop(oracle);
        let again = Slow::default();
        let oracle = Remembering::new(&again, journal(&store));
        assert_eq!(answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 20), expected);
        assert_eq!(again.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn failures_are_asked_again_but_not_in_the_test_set() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(dir.path().join("store")).unwrap();
        let slow = Slow::default();
        let x = array![[-0.5], [0.5]];
        let oracle = Remembering::new(&slow, journal(&store));
        // Whether it is the test set, and how many questions there were in all.
        for (test, asked) in [(false, 2), (false, 3), (true, 4), (true, 4), (false, 5)] {
            let found = match test {
                true => answers(|on_row| oracle.test_label(x.view(), &Stop::new(), on_row), 2),
                false => answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 2),
            };
            assert_eq!(found, [None, Some(1.0)]);
            assert_eq!(slow.0.load(Ordering::SeqCst), asked);
        }
    }
}
