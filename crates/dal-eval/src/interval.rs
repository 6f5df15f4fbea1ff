//! Confidence intervals of mean log ratios, and the overall effect of a method over problems.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::error::{EvalError, check_finite};

/// A mean with a confidence interval, on whatever scale the values had.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub mean: f64,
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
}

impl Interval {
    /// The interval of ratios that belongs to one of their natural logarithms.
    pub fn exp(self) -> Self {
        Self { mean: self.mean.exp(), lower: self.lower.exp(), upper: self.upper.exp() }
    }

    /// Whether a value lies inside, bounds included.
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }
}

/// The quantile of Student's t distribution with `df` degrees of freedom.
///
/// # Errors
/// [`EvalError::OutOfRange`] for df not positive or p outside (0, 1).
pub fn t_quantile(p: f64, df: f64) -> Result<f64, EvalError> {
    if !(p > 0.0 && p < 1.0) {
        return Err(EvalError::OutOfRange {
            what: "probability",
            index: 0,
            value: p,
            must: "strictly between 0 and 1",
        });
    }
    match StudentsT::new(0.0, 1.0, df) {
        Ok(t) if df.is_finite() => Ok(t.inverse_cdf(p)),
        _ => {
            Err(EvalError::OutOfRange { what: "degrees of freedom", index: 0, value: df, must: "positive and finite" })
        }
    }
}

/// Mean and sample variance (dividing by n − 1).
pub(crate) fn mean_and_variance(values: &[f64]) -> Result<(f64, f64), EvalError> {
    if values.len() < 2 {
        return Err(EvalError::TooFew { what: "values of an interval", needed: 2, got: values.len() });
    }
    check_finite("value of an interval", values.iter().copied())?;
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    Ok((mean, variance))
}

/// Student's t interval of a mean: mean ± t_{1 − (1 − level)/2, n − 1} · sd / √n.
///
/// Worked example: (1, 2, 3) at 95 %: 2 ± 4.3027 · 1 / √3 = (−0.4841, 4.4841).
///
/// ```
/// # use dal_eval::t_interval;
/// let i = t_interval(&[1.0, 2.0, 3.0], 0.95)?;
/// assert!((i.lower + 0.484138).abs() < 1e-6 && (i.upper - 4.484138).abs() < 1e-6);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] below two values, [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a level outside (0,
/// 1).
pub fn t_interval(values: &[f64], level: f64) -> Result<Interval, EvalError> {
    mean_and_variance(values)?;
    t_interval_with_quantile(values, t_quantile(0.5 + 0.5 * level, (values.len() - 1) as f64)?)
}

/// [`t_interval`] with a quantile that is known already.
pub(crate) fn t_interval_with_quantile(values: &[f64], quantile: f64) -> Result<Interval, EvalError> {
    let (mean, variance) = mean_and_variance(values)?;
    Ok(interval_with(mean, variance, values.len(), quantile))
}

fn interval_with(mean: f64, variance: f64, n: usize, quantile: f64) -> Interval {
    let half = quantile * (variance / n as f64).sqrt();
    Interval { mean, lower: mean - half, upper: mean + half }
}

/// A simultaneous interval for the largest of several means ("the worst cell").
///
/// Each of the m cells gets a t interval at level 1 − (1 − level) / m (Bonferroni); all hold together with probability
/// `level`, whatever the dependence between cells, so the largest true mean lies between the largest lower and the
/// largest upper bound. `mean` is the largest observed mean, which alone would be too pessimistic as an estimate: it is
/// picked for being large.
///
/// Worked example: cells (−1, 0, 1) and (9, 10, 11), level 0.95, so 0.975 for each: half width 6.2053 · 1 / √3 =
/// 3.5826, interval max(−3.58, 6.42) = 6.4174 to max(3.58, 13.58) = 13.5826.
///
/// ```
/// # use dal_eval::worst_mean_interval;
/// let i = worst_mean_interval([&[-1.0, 0.0, 1.0][..], &[9.0, 10.0, 11.0]], 0.95)?;
/// assert!((i.lower - 6.4174).abs() < 1e-4 && (i.upper - 13.5826).abs() < 1e-4);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`t_interval`], and [`EvalError::TooFew`] for no cells.
pub fn worst_mean_interval<'a>(cells: impl IntoIterator<Item = &'a [f64]>, level: f64) -> Result<Interval, EvalError> {
    let cells: Vec<&[f64]> = cells.into_iter().collect();
    if cells.is_empty() {
        return Err(EvalError::TooFew { what: "cells of a simultaneous interval", needed: 1, got: 0 });
    }
    let each = 1.0 - (1.0 - level) / cells.len() as f64;
    let lowest = Interval { mean: f64::NEG_INFINITY, lower: f64::NEG_INFINITY, upper: f64::NEG_INFINITY };
    // Cells mostly have the same number of values, and a quantile costs far more than a mean.
    let mut quantile = (0, 0.0);
    cells.iter().try_fold(lowest, |worst, cell| {
        let (mean, variance) = mean_and_variance(cell)?;
        if quantile.0 != cell.len() {
            quantile = (cell.len(), t_quantile(0.5 + 0.5 * each, (cell.len() - 1) as f64)?);
        }
        let i = interval_with(mean, variance, cell.len(), quantile.1);
        Ok(Interval { mean: worst.mean.max(i.mean), lower: worst.lower.max(i.lower), upper: worst.upper.max(i.upper) })
    })
}

/// The overall effect of a method on the log scale, read in two ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverallEffect {
    /// t interval over the problem means, problems − 1 degrees of freedom: what to expect on *another* problem of the
    /// same kind. `None` with a single problem.
    pub over_problems: Option<Interval>,
    /// The same mean with the problems fixed: only the seeds vary, so it speaks of *these* problems alone. `None` where
    /// a problem has fewer than two seeds.
    pub problems_fixed: Option<Interval>,
}

/// The overall effect from one value per (problem, seed): the mean over pool ratios of ln nAUC of that seed.
///
/// `per_problem[p]` holds the values of problem p, one per seed. With m_p and s_p² their mean and variance over n_p
/// seeds and P problems, both intervals centre at (1/P) Σ m_p. Over problems: the t interval of the m_p. Problems
/// fixed: standard error √(Σ s_p² / n_p) / P, degrees of freedom after Welch and Satterthwaite,
/// (Σ s_p²/n_p)² / Σ (s_p²/n_p)² / (n_p − 1). The first is the wider one and the honest answer to "will it help on my
/// problem"; a bootstrap over eight problems covers too little.
///
/// Worked example: problems (0, 2) and (4, 6): means 1 and 5, overall 3. Over problems: 3 ± 12.706 · 2 = (−22.41,
/// 28.41). Fixed: s²/n = 1 for both, standard error √2/2, degrees of freedom 4/2 = 2: 3 ± 4.3027 · 0.7071 = (−0.0424,
/// 6.0424).
///
/// ```
/// # use dal_eval::overall_effect;
/// let effect = overall_effect(&[vec![0.0, 2.0], vec![4.0, 6.0]], 0.95)?;
/// assert!((effect.over_problems.unwrap().lower + 22.412).abs() < 1e-3);
/// assert!((effect.problems_fixed.unwrap().lower + 0.0424).abs() < 1e-3);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no problems or a problem without seeds, [`EvalError::NonFinite`],
/// [`EvalError::OutOfRange`] for a level outside (0, 1).
pub fn overall_effect(per_problem: &[Vec<f64>], level: f64) -> Result<OverallEffect, EvalError> {
    if per_problem.is_empty() || per_problem.iter().any(Vec::is_empty) {
        return Err(EvalError::TooFew { what: "problems, and seeds of each", needed: 1, got: 0 });
    }
    let means: Vec<f64> = per_problem.iter().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect();
    let over_problems = if means.len() >= 2 { Some(t_interval(&means, level)?) } else { None };
    let mut problems_fixed = None;
    if per_problem.iter().all(|v| v.len() >= 2) {
        let (mut sum, mut square_over_df) = (0.0, 0.0);
        for values in per_problem {
            let (_, variance) = mean_and_variance(values)?;
            let of_mean = variance / values.len() as f64;
            sum += of_mean;
            square_over_df += of_mean * of_mean / (values.len() - 1) as f64;
        }
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        let half = if sum == 0.0 {
            0.0
        } else {
            t_quantile(0.5 + 0.5 * level, sum * sum / square_over_df)? * sum.sqrt() / means.len() as f64
        };
        problems_fixed = Some(Interval { mean, lower: mean - half, upper: mean + half });
    }
    Ok(OverallEffect { over_problems, problems_fixed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_examples() {
        let i = t_interval(&[1.0, 2.0, 3.0], 0.95).unwrap();
        assert!((i.lower + 0.484_137_71).abs() < 1e-7, "{i:?}");
        let effect = overall_effect(&[vec![0.0, 2.0], vec![4.0, 6.0]], 0.95).unwrap();
        let fixed = effect.problems_fixed.unwrap();
        assert!((fixed.upper - 6.042_43).abs() < 1e-4, "{fixed:?}");
        assert_eq!(fixed.mean, effect.over_problems.unwrap().mean);
    }

    #[test]
    fn the_worst_mean_lies_between_the_ends_of_intervals_that_hold_together() {
        let cells: [&[f64]; 3] = [&[1.0, 2.0, 4.0], &[2.0, 2.5, 3.0, 7.0], &[3.0, 3.1, 3.2, 3.0]];
        let found = worst_mean_interval(cells, 0.9).unwrap();
        let each = cells.map(|cell| t_interval(cell, 1.0 - 0.1 / 3.0).unwrap());
        let largest = |of: fn(&Interval) -> f64| each.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let due = [largest(|i| i.mean), largest(|i| i.lower), largest(|i| i.upper)];
        for (found, due) in [found.mean, found.lower, found.upper].into_iter().zip(due) {
            assert!((found - due).abs() < 1e-12, "{found} {due}");
        }
    }

    #[test]
    fn one_problem_speaks_only_of_itself() {
        let effect = overall_effect(&[vec![0.0, 2.0]], 0.95).unwrap();
        assert!(effect.over_problems.is_none() && effect.problems_fixed.is_some());
        let effect = overall_effect(&[vec![0.0], vec![1.0]], 0.95).unwrap();
        assert!(effect.over_problems.is_some() && effect.problems_fixed.is_none());
    }

    #[test]
    fn constant_values_give_a_point() {
        let i = t_interval(&[0.5; 4], 0.9).unwrap();
        assert_eq!((i.lower, i.mean, i.upper), (0.5, 0.5, 0.5));
        let fixed = overall_effect(&[vec![1.0; 3], vec![3.0; 3]], 0.95).unwrap().problems_fixed.unwrap();
        assert_eq!((fixed.lower, fixed.upper), (2.0, 2.0));
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(t_interval(&[1.0], 0.95), Err(EvalError::TooFew { .. })));
        assert!(matches!(t_interval(&[1.0, f64::NAN], 0.95), Err(EvalError::NonFinite { .. })));
        assert!(matches!(t_interval(&[1.0, 2.0], 1.0), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(t_quantile(0.5, 0.0), Err(EvalError::OutOfRange { .. })));
        for (p, df) in [(0.0, 5.0), (1.0, 5.0), (0.975, f64::INFINITY)] {
            assert!(matches!(t_quantile(p, df), Err(EvalError::OutOfRange { .. })), "{p} {df}");
        }
        assert!(matches!(worst_mean_interval([], 0.95), Err(EvalError::TooFew { .. })));
        assert!(matches!(overall_effect(&[vec![]], 0.95), Err(EvalError::TooFew { .. })));
    }
}
