//! The points that models are judged on, and their labels.

use dal_core::{LabelFailure, LabelFailureKind, OnRow, OracleError, Stop, TrialSeeds, check_label, every};
use ndarray::{Array2, ArrayView2, Axis};

use super::PlannedProblem;
use crate::error::BenchError;

/// Points and labels that models are judged on.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSet {
    /// Shape (n_test, n_columns).
    pub x: Array2<f64>,
    /// Shape (n_test, n_outputs).
    pub y: Array2<f64>,
    /// Points that were drawn for it but have no label, and are left out: their places among those drawn, and why.
    pub failures: Vec<(usize, LabelFailure)>,
}

/// What labels points, as [`Oracle::label`](dal_core::Oracle::label) does.
pub(crate) type LabelWith<'a> = dyn FnMut(ArrayView2<'_, f64>, &mut OnRow<'_>) -> Result<(), OracleError> + 'a;

impl PlannedProblem {
    /// The test set, labelled on first use. Of a user's problem, points whose label fails are left out.
    ///
    /// # Errors
    /// A label of a built-in problem that fails; a user's problem none of whose points gets a label, which its program
    /// may be down for.
    pub fn test_set(&self) -> Result<&TestSet, BenchError> {
        self.test_set_from(&mut |x, on_row| self.truth.label(x, &Stop::new(), on_row))
    }

    /// The points that are drawn for the test set, shape (n, n_columns).
    pub(crate) fn test_points(&self) -> Array2<f64> {
        let seeds = TrialSeeds::new(&self.problem.variant_id(), 0);
        match &self.split {
            Some(split) => split.test_x.clone(),
            None => self.problem.space().sample(self.protocol.test_points, &seeds.test()),
        }
    }

    /// As [`test_set`](Self::test_set), with labels from where the caller has them.
    pub(crate) fn test_set_from(&self, label: &mut LabelWith<'_>) -> Result<&TestSet, BenchError> {
        if let Some(test) = self.test.get() {
            return Ok(test);
        }
        let variant = self.problem.variant_id();
        let failed = |reason: String| BenchError::TestSet { problem: variant.clone(), reason };
        let x = self.test_points();
        let mut y = Array2::zeros((x.nrows(), self.oracle.n_outputs()));
        let missing = LabelFailure::new(LabelFailureKind::Missing, "the oracle gave no answer for this row");
        let mut failures = vec![Some(missing); x.nrows()];
        let mut keep = every(|row, answer| {
            failures[row] = answer.and_then(|label| check_label(label, y.ncols())).map_or_else(Some, |label| {
                y.row_mut(row).assign(&ndarray::aview1(label));
                None
            });
        });
        label(x.view(), &mut keep).map_err(|error| match error {
            OracleError::Stopped => BenchError::Stopped,
            OracleError::Down { message } => BenchError::Down { problem: variant.clone(), message },
            error => failed(error.to_string()),
        })?;
        drop(keep);
        let failures: Vec<(usize, LabelFailure)> =
            failures.into_iter().enumerate().filter_map(|(row, failure)| Some((row, failure?))).collect();
        let Some((row, first)) = failures.first() else {
            return Ok(self.test.get_or_init(|| TestSet { x, y, failures }));
        };
        if self.problem.card().is_some() {
            return Err(failed(format!("row {row}: {first}")));
        }
        if failures.len() == x.nrows() {
            let silent = [LabelFailureKind::Crashed, LabelFailureKind::TimedOut, LabelFailureKind::NotTried];
            let reason = format!("none of its {} points has a label; row {row}: {first}", x.nrows());
            // A program that never came to say anything: the other problems of the sweep need not wait for it.
            return Err(match failures.iter().all(|(_, failure)| silent.contains(&failure.kind)) {
                true => BenchError::Down {
                    problem: variant.clone(),
                    message: format!(
                        "the program does not label the test set: {reason}; nothing was recorded, and the same command \
                         goes on once it answers"
                    ),
                },
                false => failed(reason),
            });
        }
        let kept: Vec<usize> = (0..x.nrows()).filter(|row| failures.iter().all(|(failed, _)| failed != row)).collect();
        let (x, y) = (x.select(Axis(0), &kept), y.select(Axis(0), &kept));
        Ok(self.test.get_or_init(|| TestSet { x, y, failures }))
    }
}
