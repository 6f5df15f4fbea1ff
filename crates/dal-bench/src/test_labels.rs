//! Labelling a problem's test set before anything of it is trained.

use dal_core::{OnRow, Stop};
use dal_store::Remembering;
use ndarray::ArrayView2;

use crate::error::BenchError;
use crate::problem::{PlannedProblem, TestSet};
use crate::progress::{Event, Progress};

/// Labels a problem's test set; of a costly one only what is not kept, with progress. Points without a label are told,
/// a table's, too. What is returned says that its program is down, and why.
pub(crate) fn label_test_set(
    problem: &PlannedProblem,
    oracle: Option<&Remembering>,
    stop: &Stop,
    progress: &dyn Progress,
) -> Result<Option<String>, BenchError> {
    let Some(oracle) = oracle else {
        tell_failures(problem, problem.test_set()?, progress);
        return Ok(None);
    };
    let variant = problem.problem().variant_id();
    let mut label = |x: ArrayView2<'_, f64>, on_row: &mut OnRow<'_>| {
        let (mut answered, of) = (0, x.nrows());
        oracle.test_label(x, stop, &mut |row, answer| {
            let flow = on_row(row, answer);
            answered += 1;
            progress.event(&Event::TestPoint { problem: &variant, answered, of });
            flow
        })
    };
    let test = match problem.test_set_from(&mut label) {
        Ok(test) => test,
        // Nothing is trained then; what was answered is kept.
        Err(BenchError::Stopped) => return Ok(None),
        Err(BenchError::Down { message, .. }) => {
            progress.event(&Event::ProgramDown { problem: &variant, message: &message });
            return Ok(Some(message));
        }
        Err(error) => return Err(error),
    };
    tell_failures(problem, test, progress);
    Ok(None)
}

fn tell_failures(problem: &PlannedProblem, test: &TestSet, progress: &dyn Progress) {
    if !test.failures.is_empty() {
        let of = test.x.nrows() + test.failures.len();
        let variant = problem.problem().variant_id();
        progress.event(&Event::TestPointsFailed { problem: &variant, failures: &test.failures, of });
    }
}
