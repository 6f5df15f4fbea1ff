//! What errors of a problem's models are held against, and those errors in the shape of the records.

use dal_core::{OutputScaling, TrainingEnd};
use dal_eval::{EvalError, OutputError, OutputErrors, OutputScales, PooledError, has_learned, quantile};
use dal_store::{
    MOST_SINGLE_OUTPUTS, MemberRecord, OUTPUT_QUANTILES, OutputErrorRecord, OutputErrorsRecord, PooledErrors,
    TestLabels,
};
use ndarray::{Array2, ArrayView2, Axis};

use crate::error::BenchError;
use crate::problem::{PlannedProblem, TestSet};

/// The spread of a problem's test labels: one constant per output for all methods, seeds and steps.
#[derive(Debug)]
pub(crate) struct Yardstick<'a> {
    pub(super) test: &'a TestSet,
    scaling: &'a OutputScaling,
    /// Whether the problem is a user's, of which pooled errors are judged.
    is_own: bool,
    /// Of the outputs as they are.
    plain: OutputScales,
    /// The labels after the outputs' transforms, with their spread, where outputs are transformed.
    transformed: Option<(Array2<f64>, OutputScales)>,
}

/// The errors of one model.
pub(super) struct Judged {
    pub(super) errors: OutputErrors,
    pub(super) learned: Option<bool>,
    /// Its error over that of the best constant, 1 at best for a constant.
    pub(super) over_variance: Option<f64>,
}

impl<'a> Yardstick<'a> {
    /// Labels the test set on first use.
    ///
    /// # Errors
    /// A test set that cannot be labelled, or whose spread is no number.
    pub(crate) fn of(problem: &'a PlannedProblem) -> Result<Self, BenchError> {
        let test = problem.test_set()?;
        let scaling = problem.problem().scaling();
        let failed = |error: EvalError| BenchError::TestSet {
            problem: problem.problem().variant_id(),
            reason: error.to_string(),
        };
        let transformed = if scaling.has_transform() {
            let labels = scaling.transformed(test.y.view());
            let scales = OutputScales::of(labels.view()).map_err(failed)?;
            Some((labels, scales))
        } else {
            None
        };
        let plain = OutputScales::of(test.y.view()).map_err(failed)?;
        Ok(Self { test, scaling, is_own: problem.problem().card().is_none(), plain, transformed })
    }

    /// As it stands in the footer of every run.
    pub(crate) fn test_labels(&self) -> TestLabels {
        let sd = &self.pooling().1.sd;
        TestLabels {
            n: self.test.y.nrows(),
            variance: self.plain.mean_variance(),
            sd: if sd.len() <= MOST_SINGLE_OUTPUTS { sd.clone() } else { Vec::new() },
        }
    }

    /// Labels and spread in the units that outputs are pooled in: after their transforms.
    pub(super) fn pooling(&self) -> (ArrayView2<'_, f64>, &OutputScales) {
        match &self.transformed {
            Some((labels, scales)) => (labels.view(), scales),
            None => (self.test.y.view(), &self.plain),
        }
    }

    /// Whether outputs are transformed before they are pooled.
    pub(super) fn is_transformed(&self) -> bool {
        self.transformed.is_some()
    }

    /// Predictions in those units, shape (n, n_outputs).
    pub(super) fn to_pooling(&self, predicted: ArrayView2<'_, f64>) -> Array2<f64> {
        self.scaling.transformed(predicted)
    }

    /// Holds predictions at the test points against their labels.
    pub(super) fn judge(&self, predicted: ArrayView2<'_, f64>) -> Result<Judged, EvalError> {
        let mut errors = OutputErrors::of(predicted, self.test.y.view(), &self.plain)?;
        if let Some((labels, scales)) = &self.transformed {
            errors.pooled = OutputErrors::of(self.to_pooling(predicted).view(), labels.view(), scales)?.pooled;
        }
        let n = self.plain.sd.len() as f64;
        let mse = errors.outputs.iter().map(|e| e.rmse * e.rmse).sum::<f64>() / n;
        let (error, of_constant) = if self.is_own {
            (errors.pooled.map(|pooled| pooled.mse), 1.0)
        } else {
            (Some(mse), self.plain.mean_variance())
        };
        let share = |error: f64| Some(error / of_constant).filter(|share| share.is_finite());
        Ok(Judged {
            learned: error.and_then(|error| has_learned(error, of_constant).ok()),
            over_variance: error.filter(|_| of_constant > 0.0).and_then(share),
            errors,
        })
    }

    /// The outputs that are not constant over the test labels, of an array (n, n_outputs).
    pub(super) fn varying(&self, values: ArrayView2<'_, f64>) -> Array2<f64> {
        let sd = &self.pooling().1.sd;
        let varying: Vec<usize> = (0..sd.len()).filter(|&k| sd[k] > 0.0).collect();
        values.select(Axis(1), &varying)
    }
}

pub(super) fn errors_record(errors: &OutputErrors) -> OutputErrorsRecord {
    let all: Vec<OutputErrorRecord> = errors.outputs.iter().map(output_record).collect();
    let pooled = errors.pooled.map(|PooledError { mse, mae, p95_abs, max_abs, n_left_out }| PooledErrors {
        mse,
        mae,
        p95_abs,
        max_abs,
        n_left_out,
    });
    if all.len() <= MOST_SINGLE_OUTPUTS {
        return OutputErrorsRecord { outputs: all, quantiles: Vec::new(), pooled };
    }
    let over = |of: fn(&OutputErrorRecord) -> Option<f64>, q: f64| {
        quantile(&all.iter().filter_map(of).collect::<Vec<f64>>(), q).ok()
    };
    let at = |q: f64| {
        Some(OutputErrorRecord {
            rmse: over(|e| Some(e.rmse), q)?,
            r2: over(|e| e.r2, q),
            mae: over(|e| Some(e.mae), q)?,
            p95_abs: over(|e| Some(e.p95_abs), q)?,
            max_abs: over(|e| Some(e.max_abs), q)?,
        })
    };
    OutputErrorsRecord { outputs: Vec::new(), quantiles: OUTPUT_QUANTILES.into_iter().filter_map(at).collect(), pooled }
}

fn output_record(error: &OutputError) -> OutputErrorRecord {
    // Over a spread of next to nothing the share overflows: it is then left out, as over none.
    let r2 = error.r2.filter(|r2| r2.is_finite());
    OutputErrorRecord { rmse: error.rmse, r2, mae: error.mae, p95_abs: error.p95_abs, max_abs: error.max_abs }
}

pub(super) fn member_record(end: &TrainingEnd) -> MemberRecord {
    MemberRecord {
        final_over_variance: end.final_over_variance().filter(|v| v.is_finite()),
        final_over_best: end.final_over_best().filter(|v| v.is_finite()),
        restarts: end.restarts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{OutputTransform, OutputUnits};
    use ndarray::array;

    fn judged(
        labels: Array2<f64>,
        scaling: &OutputScaling,
        predicted: Array2<f64>,
        is_own: bool,
    ) -> (TestLabels, Judged) {
        let test = TestSet { x: Array2::zeros((labels.nrows(), 1)), y: labels, failures: Vec::new() };
        let transformed = scaling.has_transform().then(|| {
            let z = scaling.transformed(test.y.view());
            let scales = OutputScales::of(z.view()).unwrap();
            (z, scales)
        });
        let plain = OutputScales::of(test.y.view()).unwrap();
        let yardstick = Yardstick { test: &test, scaling, is_own, plain, transformed };
        (yardstick.test_labels(), yardstick.judge(predicted.view()).unwrap())
    }

    #[test]
    fn a_users_outputs_are_judged_pooled_and_built_in_ones_by_their_error() {
        // The second output is a million times the first, and predicted badly; the first perfectly.
        let labels = array![[1.0, 1e6], [3.0, 3e6]];
        let predicted = array![[1.0, 4e6], [3.0, 1e6]];
        let none = OutputScaling::default();
        let (labels_record, own) = judged(labels.clone(), &none, predicted.clone(), true);
        assert_eq!((labels_record.n, labels_record.sd), (2, vec![1.0, 1e6]));
        assert_eq!(labels_record.variance, (1.0 + 1e12) / 2.0);
        // Errors in deviations: 0, 0 of the first, 3 and 2 of the second: (9 + 4) / 2 / 2.
        assert_eq!((own.learned, own.over_variance), (Some(false), Some(3.25)));
        let (_, built_in) = judged(labels, &none, predicted, false);
        assert_eq!(built_in.learned, Some(false));
        assert!((built_in.over_variance.unwrap() - 6.5e12 / (1.0 + 1e12)).abs() < 1e-9);
    }

    #[test]
    fn transformed_outputs_are_pooled_after_their_transforms_and_shown_in_their_units() {
        let log = OutputScaling::new(vec![OutputUnits { transform: OutputTransform::Log, standardise: true }]);
        let (record, found) = judged(array![[1.0], [100.0]], &log, array![[1.0], [10.0]], true);
        let sd = 10_f64.ln();
        assert!((record.sd[0] - sd).abs() < 1e-12 && (record.variance - 49.5 * 49.5).abs() < 1e-9);
        assert!((found.errors.outputs[0].max_abs - 90.0).abs() < 1e-12);
        // One of the two is off by ln 10, which is one deviation.
        assert!((found.errors.pooled.unwrap().mse - 0.5).abs() < 1e-12);
        assert_eq!(found.learned, Some(true));
    }

    #[test]
    fn of_constants_and_of_many_outputs() {
        let (_, found) = judged(array![[2.0], [2.0]], &OutputScaling::default(), array![[2.0], [2.5]], true);
        assert_eq!((found.learned, found.over_variance, found.errors.pooled), (None, None, None));
        assert_eq!(errors_record(&found.errors).outputs[0].r2, None);
        let n = MOST_SINGLE_OUTPUTS + 1;
        let labels = Array2::from_shape_fn((2, n), |(i, k)| if i == 0 { 0.0 } else { 1.0 + k as f64 });
        let predicted = Array2::from_shape_fn((2, n), |(i, k)| if i == 0 { 0.0 } else { 2.0 + 2.0 * k as f64 });
        let (record, found) = judged(labels, &OutputScaling::default(), predicted, false);
        assert!(record.sd.is_empty());
        let errors = errors_record(&found.errors);
        assert!(errors.outputs.is_empty() && errors.quantiles.len() == OUTPUT_QUANTILES.len());
        let largest: Vec<f64> = errors.quantiles.iter().map(|q| q.max_abs).collect();
        assert_eq!(largest, [1.0, 6.0, 11.0, 16.0, 21.0]);
    }

    #[test]
    fn ends_of_trainings_that_are_no_numbers_are_left_out() {
        let end = TrainingEnd { final_loss: f64::INFINITY, best_loss: 1.0, label_variance: 1.0, restarts: 2 };
        let record = member_record(&end);
        assert_eq!((record.final_over_variance, record.final_over_best, record.restarts), (None, None, 2));
        let end = TrainingEnd { final_loss: 0.5, best_loss: 0.25, label_variance: 2.0, restarts: 0 };
        assert_eq!(member_record(&end).final_over_variance, Some(0.25));
        assert_eq!(member_record(&end).final_over_best, Some(2.0));
    }
}
