//! Asks a user's oracle once per point: answers are kept in a folder that all commands share.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dal_core::{
    LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, OutputScaling, SpaceError, Stop, check_label,
    check_unit_box,
};
use ndarray::{ArrayView1, ArrayView2, Axis};

use crate::answers::{Answer, Answers};
use crate::error::StoreError;

/// The line that a point of the unit box is kept under.
type LineOf = dyn Fn(ArrayView1<'_, f64>) -> Result<String, SpaceError> + Send + Sync;

/// An oracle behind the answers that a folder keeps of it.
///
/// An answer is kept before the asker gets it, and as it came: whether the problem's transforms can take it is looked
/// at when it is handed out. Callers in one process that need the same point (the initial points of one seed, say)
/// share one question: the second waits for the answer to the first. Failures are kept with their kind once any point
/// has an answer, since a program that never worked says nothing of points. Where the program itself said that there is
/// no label it would say so again, so it is not asked for again unless that is [wanted](Self::asking_refused_again);
/// after any other failure each call asks again, save in a test set ([`test_label`](Self::test_label)), which has to be
/// the same points at every start: there the first thing ever said of a point counts.
pub struct Remembering {
    inner: Arc<dyn Oracle>,
    line: Box<LineOf>,
    answers: Arc<Answers>,
    scaling: OutputScaling,
    /// Points that a call is asking about.
    asked: Mutex<HashSet<String>>,
    answered: Condvar,
    asks_refused_again: bool,
    /// Whether the oracle was told of a point that has an answer.
    told: AtomicBool,
}

impl std::fmt::Debug for Remembering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembering")
            .field("inner", &self.inner)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}

/// Points that a call asks about; others may ask about them again when it is dropped.
struct Claim<'a> {
    oracle: &'a Remembering,
    points: Vec<String>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut asked = self.oracle.lock();
        for point in &self.points {
            asked.remove(point);
        }
        self.oracle.answered.notify_all();
    }
}

impl Remembering {
    /// An oracle, the line that each point is kept under, the answers, and the transforms that have to take them.
    pub fn new(
        inner: Arc<dyn Oracle>,
        line: impl Fn(ArrayView1<'_, f64>) -> Result<String, SpaceError> + Send + Sync + 'static,
        answers: Arc<Answers>,
        scaling: OutputScaling,
    ) -> Self {
        Self {
            inner,
            line: Box::new(line),
            answers,
            scaling,
            asked: Mutex::default(),
            answered: Condvar::new(),
            asks_refused_again: false,
            told: AtomicBool::new(false),
        }
    }

    /// The same; whether points that the program itself refused are asked for again.
    #[must_use]
    pub fn asking_refused_again(self, asks_refused_again: bool) -> Self {
        Self { asks_refused_again, ..self }
    }

    /// What is kept.
    pub fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// As [`label`](Oracle::label), but no point with a kept failure is asked for again, and one that failed first
    /// stays failed, whichever command has been answered it since.
    ///
    /// # Errors
    /// As [`label`](Oracle::label); answers that cannot be read or kept.
    pub fn test_label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        self.ask(x, true, stop, on_row)
    }

    /// What counts of a point: where failures do, too, what was said of it first.
    fn known(&self, line: &str, failures_count: bool) -> Option<Answer> {
        if failures_count { self.answers.first(line) } else { self.answers.get(line) }
    }

    /// Whether a kept answer is one that is not asked for again.
    fn counts(&self, answer: &Answer) -> bool {
        match answer {
            Ok(_) => true,
            Err(failure) => failure.kind.is_of_the_point() && !self.asks_refused_again,
        }
    }

    /// Once: a program that is down can be told from one that fails at some points only by a point that it answered.
    fn tell_of_a_known_point(&self) {
        if self.told.load(Ordering::Relaxed) {
            return;
        }
        if let Some(point) = self.answers.some_answered() {
            self.inner.knows(&point);
            self.told.store(true, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(
        &self,
        x: ArrayView2<'_, f64>,
        failures_count: bool,
        stop: &Stop,
        on_row: &mut OnRow<'_>,
    ) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs())?;
        let unavailable = |message: String| OracleError::Unavailable { message };
        let lines: Vec<String> = x
            .outer_iter()
            .map(|point| (self.line)(point))
            .collect::<Result<_, _>>()
            .map_err(|error| unavailable(error.to_string()))?;
        // What another process has learned meanwhile.
        self.answers.refresh().map_err(|error| unavailable(format!("reading answers: {error}")))?;
        let mut open: Vec<usize> = (0..x.nrows()).collect();
        while !open.is_empty() {
            let mut claim = Claim { oracle: self, points: Vec::new() };
            let (mut known, mut mine, mut others) = (Vec::new(), Vec::new(), Vec::new());
            let mut asked = self.lock();
            for &row in &open {
                match self.known(&lines[row], failures_count) {
                    Some(answer) if failures_count || self.counts(&answer) => known.push((row, answer)),
                    _ if asked.insert(lines[row].clone()) => {
                        claim.points.push(lines[row].clone());
                        mine.push(row);
                    }
                    _ => others.push(row),
                }
            }
            if known.is_empty() && mine.is_empty() {
                // Another call is asking; whatever comes of it, look again.
                drop(self.answered.wait(asked).unwrap_or_else(PoisonError::into_inner));
            } else {
                drop(asked);
            }
            self.tell_of_a_known_point();
            for (row, answer) in known {
                let answer = answer.as_deref().map_err(Clone::clone).and_then(|label| self.scaling.check(label));
                if on_row(row, answer).is_break() {
                    return Ok(());
                }
            }
            if !mine.is_empty() && self.ask_inner(x, &lines, &mine, failures_count, stop, on_row)?.is_break() {
                return Ok(());
            }
            open = others;
        }
        Ok(())
    }

    fn ask_inner(
        &self,
        x: ArrayView2<'_, f64>,
        lines: &[String],
        rows: &[usize],
        failures_count: bool,
        stop: &Stop,
        on_row: &mut OnRow<'_>,
    ) -> Result<ControlFlow<()>, OracleError> {
        let mut flow = ControlFlow::Continue(());
        let mut refused: Option<StoreError> = None;
        let n_outputs = self.inner.n_outputs();
        let batch = x.select(Axis(0), rows);
        let mut open = vec![true; rows.len()];
        let mut failed: Vec<(usize, LabelFailure)> = Vec::new();
        let mut settle = |k: usize, answer: Result<&[f64], LabelFailure>| {
            // What was kept may be another point's.
            if let Err(failure) = &answer
                && failure.kind == LabelFailureKind::InDoubt
                && open.get(k) == Some(&false)
            {
                if let Err(error) = self.answers.put(&lines[rows[k]], Err(failure)) {
                    refused.get_or_insert(error);
                }
                if flow.is_continue() {
                    flow = on_row(rows[k], answer);
                }
                return flow;
            }
            if k >= open.len() || !std::mem::replace(&mut open[k], false) {
                return flow;
            }
            let row = rows[k];
            match &answer {
                Err(failure) => failed.push((row, failure.clone())),
                Ok(label) if check_label(label, n_outputs).is_ok() => {
                    if let Err(error) = self.answers.put(&lines[row], Ok(label)) {
                        refused.get_or_insert(error);
                    }
                    // Under the lock, so that a call that has just looked is already waiting.
                    let _asked = self.lock();
                    self.answered.notify_all();
                }
                // A label of another form, which the asker tells from its numbers.
                Ok(_) => {}
            }
            // What arrives after an answer that could not be taken is kept here all the same: it was paid for.
            if flow.is_continue() {
                // Another process may have been told of the point before.
                let first = if failures_count { self.answers.first(&lines[row]) } else { None };
                let counts = first.as_ref().map_or(answer, |first| first.as_deref().map_err(Clone::clone));
                flow = on_row(row, counts.and_then(|label| self.scaling.check(label)));
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
        // Where not one point has an answer the program may never have worked: then nothing is known of the points.
        let is_down = matches!(outcome, Err(OracleError::Down { .. }));
        if !failed.is_empty() && !is_down {
            let works = self.answers.some_answered().is_some();
            for (row, failure) in failed.iter().filter(|(_, f)| works || f.kind == LabelFailureKind::InDoubt) {
                if let Err(error) = self.answers.put(&lines[*row], Err(failure)) {
                    refused.get_or_insert(error);
                }
            }
        }
        match refused {
            Some(error) => Err(OracleError::Unavailable { message: format!("keeping answers: {error}") }),
            None => outcome.map(|()| flow),
        }
    }
}

impl Oracle for Remembering {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        self.ask(x, false, stop, on_row)
    }

    fn knows(&self, line: &str) {
        self.inner.knows(line);
    }

    fn watches_itself(&self) -> bool {
        self.inner.watches_itself()
    }

    fn check_works(&self, stop: &Stop) -> Result<(), OracleError> {
        self.inner.check_works(stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{AnswerKey, KeyInput};
    use dal_core::{OutputTransform, OutputUnits, every};
    use ndarray::{Array2, array};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Slow; crashes below 0 and refuses below −0.75; counts what it is asked.
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
                let kind = if point[0] < -0.75 { LabelFailureKind::Refused } else { LabelFailureKind::Crashed };
                let negative = || LabelFailure::new(kind, "negative");
                if on_row(row, if point[0] < 0.0 { Err(negative()) } else { Ok(&label) }).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    /// The oracle behind the answers of a folder; a point is its only number.
    fn remembering(slow: &Arc<Slow>, folder: &std::path::Path) -> Remembering {
        let key = AnswerKey {
            program: vec!["slow".into()],
            exchange: "stdin".into(),
            inputs: vec![KeyInput { name: "a".into(), levels: vec![] }],
            outputs: vec!["y".into()],
            version: None,
        };
        let inner: Arc<dyn Oracle> = slow.clone();
        let answers = Arc::new(Answers::open(folder, key).unwrap());
        Remembering::new(inner, |x| Ok(x[0].to_string()), answers, OutputScaling::default())
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
        let x: Array2<f64> = Array2::from_shape_fn((20, 1), |(i, _)| (i / 2) as f64 / 10.0);
        let expected: Vec<Option<f64>> = x.iter().map(|v| Some(2.0 * v)).collect();
        let slow = Arc::new(Slow::default());
        let oracle = remembering(&slow, dir.path());
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
        let again = Arc::new(Slow::default());
        let oracle = remembering(&again, dir.path());
        assert_eq!(answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 20), expected);
        assert_eq!(again.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn failures_are_asked_again_but_not_in_the_test_set() {
        let dir = tempfile::tempdir().unwrap();
        let slow = Arc::new(Slow::default());
        let x = array![[-0.5], [0.5]];
        let oracle = remembering(&slow, dir.path());
        // Whether it is the test set, and how many questions there were in all.
        for (test, asked) in [(false, 2), (false, 3), (true, 3), (true, 3), (false, 4)] {
            let found = match test {
                true => answers(|on_row| oracle.test_label(x.view(), &Stop::new(), on_row), 2),
                false => answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 2),
            };
            assert_eq!(found, [None, Some(1.0)]);
            assert_eq!(slow.0.load(Ordering::SeqCst), asked);
        }
    }

    #[test]
    fn a_test_point_that_failed_first_is_left_out_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let slow = Arc::new(Slow::default());
        let x = array![[-0.5], [0.5]];
        let oracle = remembering(&slow, dir.path());
        let test = |oracle: &Remembering| answers(|on_row| oracle.test_label(x.view(), &Stop::new(), on_row), 2);
        assert_eq!(test(&oracle), [None, Some(1.0)]);
        // Another command is answered it later.
        oracle.answers().put("-0.5", Ok(&[7.0])).unwrap();
        for oracle in [oracle, remembering(&slow, dir.path())] {
            assert_eq!(test(&oracle), [None, Some(1.0)]);
            let label = answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 2);
            assert_eq!(label, [Some(7.0), Some(1.0)], "everywhere else the answer counts");
        }
    }

    #[test]
    fn what_was_refused_is_asked_again_only_where_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let slow = Arc::new(Slow::default());
        let x = array![[-0.8], [0.5]];
        for (again, asked) in [(false, 2), (false, 2), (true, 3), (false, 3)] {
            let oracle = remembering(&slow, dir.path()).asking_refused_again(again);
            assert_eq!(answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 2), [None, Some(1.0)]);
            assert_eq!(slow.0.load(Ordering::SeqCst), asked);
            assert_eq!(oracle.answers().failures()[0].1.kind, LabelFailureKind::Refused);
        }
    }

    #[test]
    fn answers_are_kept_as_they_came_and_checked_when_they_are_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let slow = Arc::new(Slow::default());
        let x = array![[0.0], [0.5]];
        let log = OutputUnits { transform: OutputTransform::Log, standardise: true };
        let oracle = Remembering { scaling: OutputScaling::new(vec![log]), ..remembering(&slow, dir.path()) };
        for _ in 0..2 {
            let found = answers(|on_row| oracle.label(x.view(), &Stop::new(), on_row), 2);
            assert_eq!(found, [None, Some(1.0)], "a logarithm takes no zero");
        }
        let plain = remembering(&slow, dir.path());
        assert_eq!(answers(|on_row| plain.label(x.view(), &Stop::new(), on_row), 2), [Some(0.0), Some(1.0)]);
        assert_eq!(slow.0.load(Ordering::SeqCst), 2, "each point was asked once");
    }
}
