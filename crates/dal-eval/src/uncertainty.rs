//! What an ensemble's spread is worth: likelihood, CRPS, coverage, and whether disagreement points at the errors.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

use crate::error::{EvalError, check_finite};
use crate::rank::rank_correlation;

/// The 0.95 quantile of the standard normal distribution: a 90 % interval reaches this many standard deviations to
/// either side.
pub const NORMAL_Q95: f64 = 1.644_853_626_951_472_7;

/// How well the normal distribution with an ensemble's mean μ and variance σ² foretells labels y.
///
/// With z_ij = (y_ij − μ_ij) / σ_ij over n points and k outputs, each output first divided by its scale:
///
/// * negative log likelihood, ½ ln(2π σ²) + ½ z², in nats; lower is better, and it depends on the unit of the output;
/// * CRPS, σ (z (2Φ(z) − 1) + 2φ(z) − 1/√π), in units of the scaled output; lower is better; 0 is perfect, and a
///   forecast without spread scores its absolute error;
/// * coverage, the share with |z| ≤ 1.6449, the normal's 90 % interval; 0.9 is calibrated, less is overconfident;
/// * the rank correlation over points of disagreement (mean over outputs of σ²) with the absolute error (mean over
///   outputs).
///
/// *Zero variance* (all members agree to the last digit, or a variance so small that the likelihood overflows) is a
/// forecast of a single value: its CRPS is |y − μ|, the limit as σ → 0; it covers y only if y = μ; its likelihood does
/// not exist, so `nll` is `None` for the whole set as soon as one value is so, and `n_degenerate` says how many are.
///
/// Worked example: μ = 0, σ = 1, y = 0: NLL ½ ln 2π = 0.9189, CRPS 2φ(0) − 1/√π = 0.7979 − 0.5642 = 0.2337, covered.
///
/// ```
/// # use dal_eval::NormalScores;
/// # use ndarray::array;
/// let scores = NormalScores::of(array![[0.0]].view(), array![[1.0]].view(), array![[0.0]].view(), &[1.0])?;
/// assert!((scores.nll.unwrap() - 0.918_938_5).abs() < 1e-7);
/// assert!((scores.crps - 0.233_695).abs() < 1e-6);
/// assert_eq!((scores.coverage_90, scores.n_degenerate, scores.rank_correlation), (1.0, 0, None));
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source: T. Gneiting and A. Raftery, "Strictly proper scoring rules, prediction, and estimation", Journal of the
/// American Statistical Association 102 (2007).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NormalScores {
    /// Mean negative log likelihood, nats; `None` where some variance is zero.
    pub nll: Option<f64>,
    /// Mean CRPS, scaled output.
    pub crps: f64,
    /// Share of values inside the 90 % interval.
    pub coverage_90: f64,
    /// Spearman's correlation over points of disagreement and absolute error, ties sharing their mean rank; `None`
    /// below two points or where one of the two is constant.
    pub rank_correlation: Option<f64>,
    /// Values (of n k) whose variance counts as zero.
    pub n_degenerate: usize,
}

impl NormalScores {
    /// Computes the scores.
    ///
    /// Shapes: `mean`, `variance` and `truth` (n_points, n_outputs), equal and not empty; `scales` one positive number
    /// per output by which it is divided (its standard deviation over the test labels, or 1 for raw units). Units of
    /// `variance`: output².
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] for empty arrays, [`EvalError::NonFinite`],
    /// [`EvalError::OutOfRange`] for a negative variance or a scale that is not positive.
    pub fn of(
        mean: ArrayView2<'_, f64>,
        variance: ArrayView2<'_, f64>,
        truth: ArrayView2<'_, f64>,
        scales: &[f64],
    ) -> Result<Self, EvalError> {
        check_inputs(mean, variance, truth, scales)?;
        let (n, k) = mean.dim();
        let normal = Normal::standard();
        let (mut nll, mut crps, mut covered, mut n_degenerate) = (0.0, 0.0, 0_usize, 0_usize);
        let (mut disagreement, mut error) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for i in 0..n {
            let (mut spread, mut off) = (0.0, 0.0);
            for (j, &scale) in scales.iter().enumerate() {
                let sigma = variance[[i, j]].sqrt() / scale;
                let e = (truth[[i, j]] - mean[[i, j]]) / scale;
                spread += sigma * sigma;
                off += e.abs();
                let z = e / sigma;
                let term = 0.5 * std::f64::consts::TAU.ln() + sigma.ln() + 0.5 * z * z;
                if term.is_finite() {
                    nll += term;
                    let value = sigma
                        * (z * (2.0 * normal.cdf(z) - 1.0) + 2.0 * normal.pdf(z)
                            - std::f64::consts::FRAC_2_SQRT_PI / 2.0);
                    // Rounding can push the score of a perfect forecast of tiny spread a hair below zero.
                    crps += value.max(0.0);
                    covered += usize::from(z.abs() <= NORMAL_Q95);
                } else {
                    n_degenerate += 1;
                    crps += e.abs();
                    covered += usize::from(e == 0.0);
                }
            }
            disagreement.push(spread / k as f64);
            error.push(off / k as f64);
        }
        let count = (n * k) as f64;
        if let Some(index) = error.iter().zip(&disagreement).position(|(e, d)| !(e.is_finite() && d.is_finite())) {
            return Err(EvalError::NonFinite { what: "scaled error or variance", index, value: error[index] });
        }
        Ok(Self {
            nll: (n_degenerate == 0).then_some(nll / count),
            crps: crps / count,
            coverage_90: covered as f64 / count,
            // A single point and constants have no ranks to compare.
            rank_correlation: rank_correlation(&disagreement, &error).ok(),
            n_degenerate,
        })
    }
}

fn check_inputs(
    mean: ArrayView2<'_, f64>,
    variance: ArrayView2<'_, f64>,
    truth: ArrayView2<'_, f64>,
    scales: &[f64],
) -> Result<(), EvalError> {
    for (what, shape) in [("variances against means", variance.shape()), ("true outputs against means", truth.shape())]
    {
        if shape != mean.shape() {
            return Err(EvalError::ShapeMismatch { what, left: shape.to_vec(), right: mean.shape().to_vec() });
        }
    }
    if mean.ncols() != scales.len() {
        let (left, right) = (vec![scales.len()], vec![mean.ncols()]);
        return Err(EvalError::ShapeMismatch { what: "scales against outputs", left, right });
    }
    if mean.is_empty() {
        return Err(EvalError::TooFew { what: "predicted values", needed: 1, got: 0 });
    }
    check_finite("prediction", mean.iter().copied())?;
    check_finite("variance", variance.iter().copied())?;
    check_finite("true output", truth.iter().copied())?;
    check_finite("scale of an output", scales.iter().copied())?;
    if let Some(index) = scales.iter().position(|s| *s <= 0.0) {
        return Err(EvalError::OutOfRange {
            what: "scale of an output",
            index,
            value: scales[index],
            must: "positive",
        });
    }
    match variance.iter().position(|v| *v < 0.0) {
        None => Ok(()),
        Some(index) => {
            let value = variance.iter().nth(index).copied().unwrap_or(f64::NAN);
            Err(EvalError::OutOfRange { what: "variance", index, value, must: "non-negative" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn zero_variance_is_its_limit_and_is_counted() {
        let mean = array![[1.0], [2.0], [3.0], [4.0]];
        let truth = array![[1.5], [2.0], [3.0], [4.5]];
        let of =
            |v: f64| NormalScores::of(mean.view(), array![[v], [v], [1.0], [v]].view(), truth.view(), &[1.0]).unwrap();
        let zero = of(0.0);
        assert_eq!((zero.nll, zero.n_degenerate), (None, 3));
        // The first and the last are missed; the second, hit exactly, and the third, with a spread, are covered.
        assert_eq!(zero.coverage_90, 0.5);
        let tiny = of(1e-24);
        assert_eq!(tiny.n_degenerate, 0);
        assert!((zero.crps - tiny.crps).abs() < 1e-11, "{zero:?} {tiny:?}");
        // So small that its square overflows the likelihood: as zero.
        assert_eq!(of(5e-324).n_degenerate, 2);
    }

    #[test]
    fn two_outputs_of_two_scales_are_scored_as_by_hand() {
        let mean = array![[0.0, 1.0], [1.0, -2.0], [0.5, 0.0]];
        let variance = array![[0.01, 4.0], [0.36, 1.44], [0.25, 0.04]];
        let truth = array![[0.3, 2.0], [0.8, 1.0], [0.5, 0.1]];
        let found = NormalScores::of(mean.view(), variance.view(), truth.view(), &[1.0, 2.0]).unwrap();
        // By Python's math.erf; the CRPS agrees with its integral.
        assert!((found.nll.unwrap() - 1.187_369_690_117_262).abs() < 1e-12, "{found:?}");
        assert!((found.crps - 0.342_584_941_172_177).abs() < 1e-10, "{found:?}");
        // z = 3 and 2.5 are not covered.
        assert_eq!((found.coverage_90, found.n_degenerate), (4.0 / 6.0, 0));
        // Summed variances 1.01, 0.72, 0.26 against summed errors 0.8, 1.7, 0.05: ranks 3, 2, 1 and 2, 3, 1.
        assert!((found.rank_correlation.unwrap() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn what_overflows_is_no_score() {
        let of = |mean: f64, variance: f64, scale: f64| {
            NormalScores::of(array![[mean]].view(), array![[variance]].view(), array![[1e308]].view(), &[scale])
        };
        assert!(matches!(of(-1e308, 1.0, 1.0), Err(EvalError::NonFinite { index: 0, .. })));
        assert!(matches!(of(1e308, 1e308, 1e-155), Err(EvalError::NonFinite { index: 0, .. })));
    }

    #[test]
    fn disagreement_that_knows_the_errors_has_rank_correlation_one() {
        let mean = array![[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]];
        let truth = array![[0.1, 0.1], [0.5, -0.5], [2.0, 1.0]];
        let variance = array![[0.1, 0.1], [0.2, 0.3], [1.0, 1.0]];
        let of = |v: Array2<f64>| NormalScores::of(mean.view(), v.view(), truth.view(), &[1.0, 1.0]).unwrap();
        assert_eq!(of(variance.clone()).rank_correlation, Some(1.0));
        assert_eq!(of(variance.mapv(|v| 1.0 / v)).rank_correlation, Some(-1.0));
        assert_eq!(of(variance.mapv(|_| 1.0)).rank_correlation, None);
        // Ties share their mean rank: variances (1, 1, 2) against errors (1, 2, 3).
        let tied = of(array![[0.1, 0.1], [0.1, 0.1], [1.0, 1.0]]).rank_correlation.unwrap();
        assert!((tied - 1.5 / (1.5_f64 * 2.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn bad_input_is_typed() {
        let one = array![[1.0]];
        let scores = |v: f64, scales: &[f64]| NormalScores::of(one.view(), array![[v]].view(), one.view(), scales);
        assert!(matches!(scores(-1.0, &[1.0]), Err(EvalError::OutOfRange { what: "variance", .. })));
        assert!(matches!(scores(f64::NAN, &[1.0]), Err(EvalError::NonFinite { what: "variance", .. })));
        assert!(matches!(scores(1.0, &[0.0]), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(scores(1.0, &[1.0, 1.0]), Err(EvalError::ShapeMismatch { .. })));
        let empty = Array2::<f64>::zeros((0, 1));
        assert!(matches!(
            NormalScores::of(empty.view(), empty.view(), empty.view(), &[1.0]),
            Err(EvalError::TooFew { .. })
        ));
        assert!(matches!(
            NormalScores::of(one.view(), array![[1.0], [1.0]].view(), one.view(), &[1.0]),
            Err(EvalError::ShapeMismatch { .. })
        ));
    }

    proptest! {
        /// The closed form equals the integral of (F(x) − 1{x ≥ y})², by Simpson's rule; the unit of an output with its
        /// scale changes nothing.
        #[test]
        fn crps_equals_its_integral(
            mu in -2.0..2.0_f64,
            sigma in 0.1..3.0_f64,
            y in -4.0..4.0_f64,
            unit in 0.1..10.0_f64,
        ) {
            let scores = |c: f64| NormalScores::of(
                array![[c * mu]].view(), array![[c * c * sigma * sigma]].view(), array![[c * y]].view(), &[c],
            ).unwrap();
            let normal = Normal::standard();
            let half = |from: f64, to: f64, above: f64| {
                let n = 2_000;
                let h = (to - from) / f64::from(n);
                (0..=n).map(|i| {
                    let x = from + f64::from(i) * h;
                    let weight = if i == 0 || i == n { 1.0 } else if i % 2 == 1 { 4.0 } else { 2.0 };
                    weight * (normal.cdf((x - mu) / sigma) - above).powi(2)
                }).sum::<f64>() * h / 3.0
            };
            let integral = half(mu.min(y) - 9.0 * sigma, y, 0.0) + half(y, mu.max(y) + 9.0 * sigma, 1.0);
            let plain = scores(1.0);
            prop_assert!((plain.crps - integral).abs() < 1e-7, "{} {integral}", plain.crps);
            let scaled = scores(unit);
            prop_assert!((plain.crps - scaled.crps).abs() < 1e-12);
            prop_assert!((plain.nll.unwrap() - scaled.nll.unwrap()).abs() < 1e-9);
        }
    }
}
