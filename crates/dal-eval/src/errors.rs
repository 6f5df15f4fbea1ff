//! Test errors of one surrogate: MSE, log RMSE, MAE, 95 % and maximum absolute error.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;

/// The errors of predictions f against true outputs y, over all test points and outputs together.
///
/// With e_ij = f_j(x_i) − y_ij, i = 1..n points, j = 1..k outputs; units are those of the outputs as the problem poses
/// them (squared for `mse`). Lower is better for every field.
///
/// Worked example: f = (1, 2, 3, 4), y = (1, 2, 3, 0) gives e = (0, 0, 0, 4), so MSE 16/4 = 4, log RMSE ln 2 = 0.6931,
/// MAE 1, maximum 4, and the 95 % absolute error, by linear interpolation at position 0.95 · 3 = 2.85 of the sorted
/// (0, 0, 0, 4), is 0 + 0.85 · 4 = 3.4.
///
/// ```
/// # use dal_eval::ErrorSummary;
/// # use ndarray::array;
/// let e = ErrorSummary::of(
///     array![[1.0], [2.0], [3.0], [4.0]].view(),
///     array![[1.0], [2.0], [3.0], [0.0]].view(),
/// )?;
/// assert_eq!((e.mse, e.mae, e.max_abs), (4.0, 1.0, 4.0));
/// assert!((e.p95_abs - 3.4).abs() < 1e-12);
/// assert!((e.log_rmse().unwrap() - 2.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorSummary {
    /// Mean squared error, (1 / nk) Σ e². Units: output².
    pub mse: f64,
    /// Mean absolute error, (1 / nk) Σ |e|. Units: output.
    pub mae: f64,
    /// The 0.95 quantile of |e|, with linear interpolation between order statistics (see [`quantile`]). Units: output.
    pub p95_abs: f64,
    /// The largest |e|. Units: output.
    pub max_abs: f64,
}

impl ErrorSummary {
    /// Computes the errors.
    ///
    /// Shapes: both (n_points, n_outputs), equal and not empty.
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] for empty arrays, [`EvalError::NonFinite`] for a prediction
    /// or label that is NaN or infinite, and for a squared error that overflows.
    pub fn of(predicted: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> Result<Self, EvalError> {
        if predicted.dim() != truth.dim() {
            return Err(EvalError::ShapeMismatch {
                what: "predictions against true outputs",
                left: predicted.shape().to_vec(),
                right: truth.shape().to_vec(),
            });
        }
        if predicted.is_empty() {
            return Err(EvalError::TooFew { what: "predicted values", needed: 1, got: 0 });
        }
        let mut abs = Vec::with_capacity(predicted.len());
        let (mut sum_sq, mut sum_abs, mut max_abs) = (0.0, 0.0, 0.0_f64);
        for (index, (&f, &y)) in predicted.iter().zip(truth.iter()).enumerate() {
            for (what, value) in [("prediction", f), ("true output", y)] {
                if !value.is_finite() {
                    return Err(EvalError::NonFinite { what, index, value });
                }
            }
            let e = (f - y).abs();
            if !(e * e).is_finite() {
                return Err(EvalError::NonFinite { what: "squared error", index, value: e * e });
            }
            sum_sq += e * e;
            sum_abs += e;
            max_abs = max_abs.max(e);
            abs.push(e);
        }
        let n = abs.len() as f64;
        let mse = sum_sq / n;
        if !mse.is_finite() {
            return Err(EvalError::NonFinite { what: "sum of squared errors", index: 0, value: mse });
        }
        Ok(Self { mse, mae: sum_abs / n, p95_abs: quantile_in_place(&mut abs, 0.95), max_abs })
    }

    /// ln √MSE, in nepers relative to one output unit; `None` for an exact fit, whose logarithm does not exist.
    pub fn log_rmse(&self) -> Option<f64> {
        (self.mse > 0.0).then(|| 0.5 * self.mse.ln())
    }
}

/// The q-quantile of `values` with linear interpolation: with the sorted values v_0 ≤ … ≤ v_{n−1} and position
/// p = q (n − 1), it is v_⌊p⌋ + (p − ⌊p⌋)(v_⌊p⌋₊₁ − v_⌊p⌋). This is NumPy's default (`method="linear"`), Hyndman and
/// Fan's type 7.
///
/// ```
/// # use dal_eval::quantile;
/// assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5)?, 2.5);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no values, [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for q outside [0, 1].
pub fn quantile(values: &[f64], q: f64) -> Result<f64, EvalError> {
    if values.is_empty() {
        return Err(EvalError::TooFew { what: "values of a quantile", needed: 1, got: 0 });
    }
    crate::error::check_finite("value of a quantile", values.iter().copied())?;
    if !(0.0..=1.0).contains(&q) {
        return Err(EvalError::OutOfRange { what: "quantile level", index: 0, value: q, must: "in [0, 1]" });
    }
    Ok(quantile_in_place(&mut values.to_vec(), q))
}

/// The median: the middle value, of an even count the mean of the two in the middle.
///
/// ```
/// # use dal_eval::median;
/// assert_eq!(median(&[4.0, 1.0, 2.0, 3.0])?, 2.5);
/// assert_eq!(median(&[4.0, 1.0, 2.0])?, 2.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no values, [`EvalError::NonFinite`].
pub fn median(values: &[f64]) -> Result<f64, EvalError> {
    quantile(values, 0.5)
}

/// [`quantile`] by selection, for finite, non-empty values and a valid q.
pub(crate) fn quantile_in_place(values: &mut [f64], q: f64) -> f64 {
    let position = q * (values.len() - 1) as f64;
    let below = position.floor();
    let (_, &mut low, rest) = values.select_nth_unstable_by(below as usize, f64::total_cmp);
    let high = rest.iter().copied().reduce(f64::min).unwrap_or(low);
    low + (position - below) * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn worked_example() {
        let e = ErrorSummary::of(array![[1.0, 2.0], [3.0, 4.0]].view(), array![[1.0, 2.0], [3.0, 0.0]].view()).unwrap();
        assert_eq!(e.mse, 4.0);
        assert_eq!(e.mae, 1.0);
        assert_eq!(e.max_abs, 4.0);
        assert!((e.p95_abs - 3.4).abs() < 1e-14);
        assert!((e.log_rmse().unwrap() - std::f64::consts::LN_2).abs() < 1e-15);
    }

    #[test]
    fn exact_fit_has_no_logarithm() {
        let y = array![[1.0], [2.0]];
        let e = ErrorSummary::of(y.view(), y.view()).unwrap();
        assert_eq!((e.mse, e.log_rmse()), (0.0, None));
    }

    #[test]
    fn bad_input_is_typed() {
        let y = array![[1.0], [2.0]];
        assert!(matches!(ErrorSummary::of(y.view(), array![[1.0, 2.0]].view()), Err(EvalError::ShapeMismatch { .. })));
        let empty = Array2::<f64>::zeros((0, 1));
        assert!(matches!(ErrorSummary::of(empty.view(), empty.view()), Err(EvalError::TooFew { .. })));
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(matches!(
                ErrorSummary::of(array![[1.0], [bad]].view(), y.view()),
                Err(EvalError::NonFinite { what: "prediction", index: 1, .. })
            ));
            assert!(matches!(
                ErrorSummary::of(y.view(), array![[1.0], [bad]].view()),
                Err(EvalError::NonFinite { what: "true output", index: 1, .. })
            ));
        }
        assert!(matches!(
            ErrorSummary::of(array![[1e200]].view(), array![[-1e200]].view()),
            Err(EvalError::NonFinite { what: "squared error", value: f64::INFINITY, .. })
        ));
        assert!(matches!(quantile(&[1.0], 1.5), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(quantile(&[], 0.5), Err(EvalError::TooFew { .. })));
    }

    proptest! {
        /// Selection agrees with sorting, and the quantile is monotone in q.
        #[test]
        fn quantile_equals_the_sorted_one(
            values in prop::collection::vec(-1e3..1e3_f64, 1..40),
            q in 0.0..=1.0_f64,
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let p = q * (sorted.len() - 1) as f64;
            let low = sorted[p.floor() as usize];
            let high = sorted[p.ceil() as usize];
            let expected = low + (p - p.floor()) * (high - low);
            prop_assert!((quantile(&values, q).unwrap() - expected).abs() <= 1e-12);
        }

        /// MAE ≤ RMSE ≤ max, and a common shift changes nothing.
        #[test]
        fn inequalities(values in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 1..40)) {
            let f = Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i].0);
            let y = Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i].1);
            let e = ErrorSummary::of(f.view(), y.view()).unwrap();
            let rmse = e.mse.sqrt();
            prop_assert!(e.mae <= rmse * (1.0 + 1e-12));
            prop_assert!(rmse <= e.max_abs * (1.0 + 1e-12));
            prop_assert!(e.p95_abs <= e.max_abs);
        }
    }
}
