//! Errors that a user can judge: per output in its own unit, and pooled in standard deviations.

use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{EvalError, check_finite};
use crate::errors::quantile_in_place;

/// Standard deviations of a problem's outputs over its test labels: one constant per output for all methods, seeds and
/// steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputScales {
    /// Standard deviation of each output (dividing by the number of labels); 0 for an output that is constant there.
    pub sd: Vec<f64>,
}

impl OutputScales {
    /// Measures test labels of shape (n_points, n_outputs).
    ///
    /// An output whose labels are all equal has sd 0 exactly: nothing can be said about it in standard deviations, and
    /// it takes no part in pooled figures ([`OutputErrors::pooled`]).
    ///
    /// Worked example: labels (1, 3): mean 2, sd 1.
    ///
    /// ```
    /// # use dal_eval::OutputScales;
    /// # use ndarray::array;
    /// assert_eq!(OutputScales::of(array![[1.0, 7.0], [3.0, 7.0]].view())?.sd, [1.0, 0.0]);
    /// # Ok::<(), dal_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::TooFew`] for no labels, [`EvalError::NonFinite`], also where the spread overflows.
    pub fn of(labels: ArrayView2<'_, f64>) -> Result<Self, EvalError> {
        if labels.is_empty() {
            return Err(EvalError::TooFew { what: "test labels", needed: 1, got: 0 });
        }
        check_finite("test label", labels.iter().copied())?;
        let of_column = |column: ndarray::ArrayView1<'_, f64>| {
            let first = column[0];
            let n = column.len() as f64;
            // Differences to the first label keep the digits of labels that lie far from zero, and are 0 where all are
            // equal: a constant of 0.1 would have a spread of 1e-17 about its mean.
            let mean = column.iter().map(|v| v - first).sum::<f64>() / n;
            (column.iter().map(|v| (v - first - mean).powi(2)).sum::<f64>() / n).sqrt()
        };
        let sd: Vec<f64> = labels.axis_iter(Axis(1)).map(of_column).collect();
        check_finite(
            "standard deviation of an output, whose labels need a larger unit or a logarithm",
            sd.iter().copied(),
        )?;
        Ok(Self { sd })
    }

    /// Variance of the outputs, mean over outputs: what the MSE of the best constant is. Units: output².
    pub fn mean_variance(&self) -> f64 {
        self.sd.iter().map(|s| s * s).sum::<f64>() / self.sd.len() as f64
    }

    /// Outputs that are not constant over the test labels.
    pub fn n_varying(&self) -> usize {
        self.sd.iter().filter(|s| **s > 0.0).count()
    }
}

/// Errors of one output, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OutputError {
    /// Root mean squared error. Unit: output.
    pub rmse: f64,
    /// Share of the test labels' variance that is explained, 1 − MSE / sd²; 1 is perfect, 0 the best constant, below 0
    /// worse than it. `None` for an output that is constant over the test labels.
    pub r2: Option<f64>,
    /// Mean absolute error. Unit: output.
    pub mae: f64,
    /// The 0.95 quantile of the absolute error ([`quantile`](crate::quantile)). Unit: output.
    pub p95_abs: f64,
    /// The largest absolute error. Unit: output.
    pub max_abs: f64,
}

/// Errors over all outputs, each divided by its standard deviation over the test labels first. No unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PooledError {
    /// Mean over outputs of MSE / sd²: 1 is what the best constant scores, and R² averaged over outputs is 1 less it.
    pub mse: f64,
    /// Mean over outputs of MAE / sd.
    pub mae: f64,
    /// The 0.95 quantile of |e| / sd over points and outputs.
    pub p95_abs: f64,
    /// The largest |e| / sd.
    pub max_abs: f64,
    /// Outputs left out because their test labels are constant.
    pub n_left_out: usize,
}

impl PooledError {
    /// √mse, in standard deviations of the outputs.
    pub fn rmse(&self) -> f64 {
        self.mse.sqrt()
    }
}

/// The errors of predictions against test labels, output by output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputErrors {
    /// One per output.
    pub outputs: Vec<OutputError>,
    /// All outputs together; `None` where every output is constant over the test labels.
    pub pooled: Option<PooledError>,
}

impl OutputErrors {
    /// Computes the errors.
    ///
    /// Shapes: both (n_points, n_outputs), equal and not empty; `scales` of the same outputs.
    ///
    /// Worked example: one output, labels (1, 3) of sd 1, predictions (1, 2): errors 0 and 1, RMSE √½, R² 1 − ½ / 1 =
    /// 0.5, MAE 0.5, largest 1, pooled MSE 0.5.
    ///
    /// ```
    /// # use dal_eval::{OutputErrors, OutputScales};
    /// # use ndarray::array;
    /// let labels = array![[1.0], [3.0]];
    /// let errors = OutputErrors::of(array![[1.0], [2.0]].view(), labels.view(), &OutputScales::of(labels.view())?)?;
    /// assert_eq!((errors.outputs[0].r2, errors.outputs[0].mae), (Some(0.5), 0.5));
    /// assert_eq!(errors.pooled.unwrap().mse, 0.5);
    /// # Ok::<(), dal_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] for empty arrays, [`EvalError::NonFinite`], also for a
    /// squared error that overflows.
    pub fn of(
        predicted: ArrayView2<'_, f64>,
        truth: ArrayView2<'_, f64>,
        scales: &OutputScales,
    ) -> Result<Self, EvalError> {
        if predicted.dim() != truth.dim() {
            return Err(EvalError::ShapeMismatch {
                what: "predictions against true outputs",
                left: predicted.shape().to_vec(),
                right: truth.shape().to_vec(),
            });
        }
        if truth.ncols() != scales.sd.len() {
            let (left, right) = (vec![scales.sd.len()], vec![truth.ncols()]);
            return Err(EvalError::ShapeMismatch { what: "scales against outputs", left, right });
        }
        if predicted.is_empty() {
            return Err(EvalError::TooFew { what: "predicted values", needed: 1, got: 0 });
        }
        check_finite("prediction", predicted.iter().copied())?;
        check_finite("true output", truth.iter().copied())?;
        let n = predicted.nrows() as f64;
        let mut outputs = Vec::with_capacity(scales.sd.len());
        let mut relative = Vec::with_capacity(predicted.len());
        let (mut pooled_mse, mut pooled_mae) = (0.0, 0.0);
        for (j, &sd) in scales.sd.iter().enumerate() {
            let mut abs: Vec<f64> =
                predicted.column(j).iter().zip(truth.column(j)).map(|(f, y)| (f - y).abs()).collect();
            let mse = abs.iter().map(|e| e * e).sum::<f64>() / n;
            check_finite("mean squared error of an output", [mse])?;
            let mae = abs.iter().sum::<f64>() / n;
            if sd > 0.0 {
                relative.extend(abs.iter().map(|e| e / sd));
                pooled_mse += mse / (sd * sd);
                pooled_mae += mae / sd;
            }
            outputs.push(OutputError {
                rmse: mse.sqrt(),
                r2: (sd > 0.0).then(|| 1.0 - mse / (sd * sd)),
                mae,
                max_abs: abs.iter().fold(0.0, |m, e| m.max(*e)),
                p95_abs: quantile_in_place(&mut abs, 0.95),
            });
        }
        let n_varying = scales.n_varying();
        let pooled = (n_varying > 0).then(|| PooledError {
            mse: pooled_mse / n_varying as f64,
            mae: pooled_mae / n_varying as f64,
            max_abs: relative.iter().fold(0.0, |m, e| m.max(*e)),
            p95_abs: quantile_in_place(&mut relative, 0.95),
            n_left_out: scales.sd.len() - n_varying,
        });
        if let Some(pooled) = &pooled {
            check_finite("pooled error", [pooled.mse, pooled.mae, pooled.max_abs])?;
        }
        Ok(Self { outputs, pooled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorSummary;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn outputs_of_any_unit_count_alike() {
        let labels = array![[1.0, 1e6], [3.0, 3e6], [2.0, 5e6]];
        let predicted = array![[1.0, 1.5e6], [2.0, 3e6], [2.5, 5e6]];
        let errors = |c: f64| {
            let rescale = |a: &Array2<f64>| {
                let mut a = a.clone();
                a.column_mut(1).mapv_inplace(|v| c * v);
                a
            };
            let (y, f) = (rescale(&labels), rescale(&predicted));
            OutputErrors::of(f.view(), y.view(), &OutputScales::of(y.view()).unwrap()).unwrap()
        };
        let (pascal, megapascal) = (errors(1.0), errors(1e-6));
        let (a, b) = (pascal.pooled.unwrap(), megapascal.pooled.unwrap());
        assert!((a.mse - b.mse).abs() < 1e-12 && (a.p95_abs - b.p95_abs).abs() < 1e-12);
        assert!((pascal.outputs[1].rmse / megapascal.outputs[1].rmse - 1e6).abs() < 1e-3);
        assert!((pascal.outputs[1].r2.unwrap() - megapascal.outputs[1].r2.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn the_best_constant_scores_the_mean_variance() {
        // Variances 4 and 9 of two outputs; a constant has 1 pooled, and three times the deviation three.
        let labels = array![[1.0, 10.0], [5.0, 16.0]];
        let scales = OutputScales::of(labels.view()).unwrap();
        assert_eq!(scales.mean_variance(), 6.5);
        let constant = array![[3.0, 13.0], [3.0, 13.0]];
        let error = OutputErrors::of(constant.view(), labels.view(), &scales).unwrap().pooled.unwrap();
        assert_eq!((error.mse, error.mae, error.rmse()), (1.0, 1.0, 1.0));
        assert_eq!(PooledError { mse: 9.0, ..error }.rmse(), 3.0);
    }

    #[test]
    fn constant_outputs_have_no_share_and_are_counted() {
        let labels = array![[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]];
        let scales = OutputScales::of(labels.view()).unwrap();
        assert_eq!((scales.sd[1], scales.n_varying()), (0.0, 1));
        let errors =
            OutputErrors::of(array![[1.0, 0.2], [3.0, 0.2], [5.0, 0.2]].view(), labels.view(), &scales).unwrap();
        assert_eq!((errors.outputs[0].r2, errors.outputs[1].r2), (Some(1.0), None));
        assert!((errors.outputs[1].rmse - 0.1).abs() < 1e-15);
        let pooled = errors.pooled.unwrap();
        assert_eq!((pooled.mse, pooled.n_left_out), (0.0, 1));
        let constant = array![[2.0], [2.0]];
        let scales = OutputScales::of(constant.view()).unwrap();
        assert_eq!(OutputErrors::of(constant.view(), constant.view(), &scales).unwrap().pooled, None);
    }

    #[test]
    fn labels_far_from_zero_keep_their_spread() {
        let plain = OutputScales::of(array![[1.0], [2.0], [4.0]].view()).unwrap().sd[0];
        let shifted = OutputScales::of(array![[1e9 + 1.0], [1e9 + 2.0], [1e9 + 4.0]].view()).unwrap().sd[0];
        assert_eq!(plain, shifted);
    }

    #[test]
    fn bad_input_is_typed() {
        let y = array![[1.0], [2.0]];
        let scales = OutputScales::of(y.view()).unwrap();
        let of = |f: Array2<f64>| OutputErrors::of(f.view(), y.view(), &scales);
        assert!(matches!(of(array![[1.0]]), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(of(array![[1.0], [f64::NAN]]), Err(EvalError::NonFinite { index: 1, .. })));
        assert!(matches!(of(array![[1e200], [1.0]]), Err(EvalError::NonFinite { .. })));
        let two = OutputScales { sd: vec![1.0, 1.0] };
        assert!(matches!(OutputErrors::of(y.view(), y.view(), &two), Err(EvalError::ShapeMismatch { .. })));
        let empty = Array2::<f64>::zeros((0, 1));
        assert!(matches!(OutputScales::of(empty.view()), Err(EvalError::TooFew { .. })));
    }

    proptest! {
        /// With one output the figures are those of `ErrorSummary`, and the pooled ones those divided by the standard
        /// deviation; predicting the mean scores a pooled MSE of 1.
        #[test]
        fn one_output_agrees_with_the_plain_summary(
            values in prop::collection::vec((-10.0..10.0_f64, -10.0..10.0_f64), 2..40),
        ) {
            let f = Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i].0);
            let y = Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i].1);
            let scales = OutputScales::of(y.view()).unwrap();
            let sd = scales.sd[0];
            prop_assume!(sd > 1e-3);
            let plain = ErrorSummary::of(f.view(), y.view()).unwrap();
            let found = OutputErrors::of(f.view(), y.view(), &scales).unwrap();
            let pooled = found.pooled.unwrap();
            for (a, b) in [
                (found.outputs[0].rmse.powi(2), plain.mse),
                (found.outputs[0].mae, plain.mae),
                (found.outputs[0].p95_abs, plain.p95_abs),
                (found.outputs[0].max_abs, plain.max_abs),
                (pooled.mse * sd * sd, plain.mse),
                (pooled.mae * sd, plain.mae),
                (pooled.p95_abs * sd, plain.p95_abs),
                (pooled.max_abs * sd, plain.max_abs),
                (1.0 - found.outputs[0].r2.unwrap(), pooled.mse),
            ] {
                prop_assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{a} {b}");
            }
            let mean = y.mean().unwrap();
            let constant = OutputErrors::of(y.mapv(|_| mean).view(), y.view(), &scales).unwrap();
            prop_assert!((constant.pooled.unwrap().mse - 1.0).abs() < 1e-9);
        }
    }
}
