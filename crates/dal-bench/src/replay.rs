//! Gives the answers that a checkpoint holds before it asks the oracle, so that nothing costly is asked twice.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Mutex;

use dal_core::{LabelFailure, OnRow, Oracle, OracleError, Stop};
use dal_store::CheckpointBatch;
use ndarray::{ArrayView1, ArrayView2, Axis};

type Answer = Result<Vec<f64>, LabelFailure>;

/// An oracle behind the answers of an interrupted batch. Each known answer is given once, to the point it belongs to.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    inner: &'a dyn Oracle,
    known: Mutex<HashMap<Vec<u64>, VecDeque<Answer>>>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new<'b>(inner: &'a dyn Oracle, batches: impl IntoIterator<Item = &'b CheckpointBatch>) -> Self {
        let mut known: HashMap<Vec<u64>, VecDeque<Answer>> = HashMap::new();
        for batch in batches {
            for (x, answer) in batch.x.outer_iter().zip(&batch.answers) {
                if let Some(answer) = answer {
                    known.entry(bits(x)).or_default().push_back(answer.clone());
                }
            }
        }
        Self { inner, known: Mutex::new(known) }
    }
}

fn bits(x: ArrayView1<'_, f64>) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}

impl Oracle for Replay<'_> {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        let mut open = Vec::new();
        for (row, point) in x.outer_iter().enumerate() {
            let answer = {
                let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                known.get_mut(&bits(point)).and_then(VecDeque::pop_front)
            };
            match answer {
                Some(answer) => {
                    if on_row(row, answer.as_deref().map_err(Clone::clone)).is_break() {
                        return Ok(());
                    }
                }
                None => open.push(row),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let rest = x.select(Axis(0), &open);
        self.inner.label(rest.view(), stop, &mut |k, answer| match open.get(k) {
            Some(&row) => on_row(row, answer),
            None => ControlFlow::Continue(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::LabelFailureKind;
    use dal_core::every;
    use ndarray::{Array2, array};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Oracle for Counting {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
            for (row, point) in x.outer_iter().enumerate() {
                self.0.fetch_add(1, Ordering::Relaxed);
                if on_row(row, Ok(&[point[0] + 10.0])).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn known_answers_are_given_once_and_only_the_rest_is_asked() {
        let failure = LabelFailure::new(LabelFailureKind::Crashed, "no");
        let known = CheckpointBatch {
            x: array![[0.1], [0.2], [0.2], [0.3]],
            candidate_rows: None,
            answers: vec![Some(Ok(vec![1.0])), Some(Ok(vec![2.0])), Some(Err(failure.clone())), None],
        };
        let inner = Counting::default();
        let oracle = Replay::new(&inner, [&known]);
        let ask = |x: &Array2<f64>| {
            let mut answers = vec![None; x.nrows()];
            let mut keep = every(|row, answer| answers[row] = Some(answer.map(<[f64]>::to_vec)));
            oracle.label(x.view(), &Stop::new(), &mut keep).unwrap();
            drop(keep);
            answers.into_iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        let answers = ask(&known.x);
        assert_eq!(answers, [Ok(vec![1.0]), Ok(vec![2.0]), Err(failure), Ok(vec![10.3])]);
        assert_eq!(inner.0.load(Ordering::Relaxed), 1);
        assert_eq!(ask(&array![[0.1]]), [Ok(vec![10.1])], "an answer serves once");
    }
}
