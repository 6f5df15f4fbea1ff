//! The error of a model over its domain, estimated from points that were drawn for learning rather than for judging.
//!
//! A batch chosen for its uncertainty is harder than the domain, so its mean loss is too high. If it was *drawn*, with
//! known probabilities, the weights below undo that (LURE, levelled unbiased risk estimator). The estimate is of one
//! fixed model, the one that drew the batch.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{EvalError, check_finite};
use crate::errors::quantile;
use crate::interval::Interval;

/// The probability of each pick given those before it, where picks are drawn without replacement in proportion to
/// weights (so by Gumbel top-n over ln w): q_m = w_{i_m} / Σ of the weights that remain.
///
/// Worked example: weights (1, 2, 1), picks 1 then 0: 2/4, then 1/2.
///
/// ```
/// # use dal_eval::draw_probabilities;
/// assert_eq!(draw_probabilities(&[1.0, 2.0, 1.0], &[1, 0])?, [0.5, 0.5]);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a weight that is not positive, a pick that is no point or
/// was picked before.
pub fn draw_probabilities(weights: &[f64], picks: &[usize]) -> Result<Vec<f64>, EvalError> {
    check_finite("weight of a point", weights.iter().copied())?;
    if let Some(index) = weights.iter().position(|w| *w <= 0.0) {
        return Err(EvalError::OutOfRange {
            what: "weight of a point",
            index,
            value: weights[index],
            must: "positive",
        });
    }
    let mut remains = vec![true; weights.len()];
    let mut q = Vec::with_capacity(picks.len());
    for (index, &pick) in picks.iter().enumerate() {
        if !remains.get(pick).is_some_and(|r| *r) {
            let value = pick as f64;
            return Err(EvalError::OutOfRange {
                what: "pick",
                index,
                value,
                must: "a point that was not picked before",
            });
        }
        // Summed afresh: subtracting pick by pick would leave rounding where little weight remains.
        let rest: f64 = weights.iter().zip(&remains).filter(|(_, r)| **r).map(|(w, _)| w).sum();
        q.push(weights[pick] / rest);
        remains[pick] = false;
    }
    Ok(q)
}

/// LURE's weights of M points drawn one after another from N without replacement, with q_m the probability of the m-th
/// given those before it: v_m = 1 + (N − M)/(N − m) · (1 / ((N − m + 1) q_m) − 1), m = 1..M.
///
/// (1/M) Σ v_m L_m is unbiased for the mean of L over the N points, as long as every point with a loss can be drawn.
/// `E[v_m] = 1`; uniform draws, q_m = 1/(N − m + 1), give v = 1; so does drawing all, M = N.
///
/// Worked example: N = 3, M = 1, q = 1/2: 1 + 2/2 · (1/(3 · ½) − 1) = 2/3.
///
/// ```
/// # use dal_eval::lure_weights;
/// assert!((lure_weights(&[0.5], 3)?[0] - 2.0 / 3.0).abs() < 1e-15);
/// assert_eq!(lure_weights(&[0.25, 1.0 / 3.0], 4)?, [1.0, 1.0]);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source: S. Farquhar, Y. Gal, T. Rainforth, "On statistical bias in active learning: how and when to fix it", ICLR
/// 2021 (arXiv 2101.11665).
///
/// # Errors
/// [`EvalError::TooFew`] for no draws, or more draws than points; [`EvalError::OutOfRange`] for a probability outside
/// (0, 1]; [`EvalError::NonFinite`].
pub fn lure_weights(q: &[f64], n_pool: usize) -> Result<Vec<f64>, EvalError> {
    if q.is_empty() {
        return Err(EvalError::TooFew { what: "draws of a round", needed: 1, got: 0 });
    }
    if q.len() > n_pool {
        return Err(EvalError::TooFew { what: "points to draw from", needed: q.len(), got: n_pool });
    }
    check_finite("probability of a draw", q.iter().copied())?;
    let (n, m_all) = (n_pool as f64, q.len() as f64);
    let mut weights = Vec::with_capacity(q.len());
    for (index, &q) in q.iter().enumerate() {
        if !(q > 0.0 && q <= 1.0) {
            return Err(EvalError::OutOfRange { what: "probability of a draw", index, value: q, must: "in (0, 1]" });
        }
        let m = (index + 1) as f64;
        // With everything drawn the factor is 0/0 at the last point, and the weight is 1 throughout.
        let factor = if n == m_all { 0.0 } else { (n - m_all) / (n - m) };
        weights.push(1.0 + factor * (1.0 / ((n - m + 1.0) * q) - 1.0));
    }
    Ok(weights)
}

/// The weighted mean loss of a round, (1/M) Σ v_m L_m. Unit: that of the losses.
///
/// # Errors
/// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] for no losses, [`EvalError::NonFinite`].
pub fn weighted_loss(weights: &[f64], losses: &[f64]) -> Result<f64, EvalError> {
    Ok(terms(weights, losses)?.iter().sum::<f64>() / losses.len() as f64)
}

fn terms(weights: &[f64], losses: &[f64]) -> Result<Vec<f64>, EvalError> {
    if weights.len() != losses.len() {
        let (left, right) = (vec![weights.len()], vec![losses.len()]);
        return Err(EvalError::ShapeMismatch { what: "weights against losses", left, right });
    }
    if losses.is_empty() {
        return Err(EvalError::TooFew { what: "losses of a round", needed: 1, got: 0 });
    }
    check_finite("weight of a draw", weights.iter().copied())?;
    check_finite("loss of a draw", losses.iter().copied())?;
    Ok(weights.iter().zip(losses).map(|(v, l)| v * l).collect())
}

/// The error over the answered part of the domain, where some draws have no label: Σ v S L / Σ v S, and the answered
/// share (1/M) Σ v S beside it, S = 1 for an answered draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnsweredLoss {
    /// Weighted mean loss over the answered part; `None` where nothing was answered.
    pub loss: Option<f64>,
    /// Estimated share of the domain that answers; by chance it can lie above 1.
    pub answered: f64,
}

/// [`weighted_loss`] where a loss is `None` for a draw whose label failed.
///
/// Worked example: weights (1, 1, 2), losses (3, none, 6): Σ v S L = 15, Σ v S = 3: loss 5, answered 3/3 = 1.
///
/// ```
/// # use dal_eval::answered_loss;
/// let found = answered_loss(&[1.0, 1.0, 2.0], &[Some(3.0), None, Some(6.0)])?;
/// assert_eq!((found.loss, found.answered), (Some(5.0), 1.0));
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`weighted_loss`].
pub fn answered_loss(weights: &[f64], losses: &[Option<f64>]) -> Result<AnsweredLoss, EvalError> {
    let known: Vec<f64> = losses.iter().map(|l| l.unwrap_or(0.0)).collect();
    let total: f64 = terms(weights, &known)?.iter().sum();
    let answered: f64 = weights.iter().zip(losses).filter(|(_, l)| l.is_some()).map(|(v, _)| v).sum();
    Ok(AnsweredLoss { loss: (answered > 0.0).then(|| total / answered), answered: answered / losses.len() as f64 })
}

/// Fewer draws than this carry no interval.
pub const FEWEST_DRAWS: usize = 10;

/// Points below which no control coefficient is fitted.
pub const FEWEST_CONTROLLED: usize = 20;

/// What the draws have not seen: an upper limit counts one draw more, of so many times the largest term.
///
/// The next draw is larger than all M with a probability of 1 / (M + 1), which is the weight of the draw that is added;
/// how much larger the draws cannot say. Measured, as `docs/results/coverage.md` tells: with 1.5 and 2 limits of 95 %
/// hold in less than 90 % of rounds of ten on some problems.
pub const UNSEEN: f64 = 2.5;

/// Resamples of a bootstrap-t interval.
const RESAMPLES: usize = 2_000;

/// The squared coefficient of variation below which the terms of a resample are equal but for rounding.
const LEAST_SPREAD: f64 = 1e-13;

/// Terms of which there is no interval.
const NO_SPREAD: EvalError =
    EvalError::Undefined { what: "interval of an estimate", why: "the terms are equal or not positive" };

/// Resamples that a one-sided limit wants beyond its quantile, and the most that are made for it.
const BEYOND: (f64, usize) = (20.0, 400_000);

/// A bootstrap-t interval of a round's weighted mean loss, made on its logarithm: [`LossTerms::weighted`], then
/// [`LossTerms::interval`].
///
/// ```
/// # use dal_eval::log_bootstrap_interval;
/// let losses: Vec<f64> = (0..20).map(|i| 0.5 + (i as f64 * 0.7).sin().powi(2)).collect();
/// let interval = log_bootstrap_interval(&[1.0; 20], &losses, Some(2560), 0.9, 0)?;
/// assert!(interval.lower < interval.mean && interval.mean < interval.upper && interval.lower > 0.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of the two.
pub fn log_bootstrap_interval(
    weights: &[f64],
    losses: &[f64],
    n_pool: Option<usize>,
    level: f64,
    seed: u64,
) -> Result<Interval, EvalError> {
    LossTerms::weighted(weights, losses, n_pool)?.interval(level, seed)
}

/// Terms whose mean estimates a mean loss, and what else is uncertain about it.
///
/// With a_m the M terms, θ their mean and s² = Σ (a − θ)² / (M − 1), the standard error of ln θ is s / (√M θ).
/// Resamples a*, with replacement, give t* = (ln θ* − ln θ) / se*; limits are ln θ − t* se at the quantiles of t*,
/// brought back by exp. Losses are skewed, mostly small and seldom large, and the bootstrap-t learns that from the
/// data, where a plain t interval mostly misses above its upper end.
///
/// It learns nothing of losses that are so rare that none was drawn, and would still miss above its upper end twice as
/// often as it says. An upper limit is therefore that of M + 1 terms, the added one [`UNSEEN`] times the largest; the
/// estimate and the lower end are those of the M terms. (A pseudo-observation against too low a coverage: J. Chen, A.
/// Variyath, B. Abraham, "Adjusted empirical likelihood and its properties", J. Comput. Graph. Stat. 17, 2008; theirs
/// lies on the other side of the mean.)
#[derive(Debug, Clone, PartialEq)]
pub struct LossTerms {
    terms: Vec<f64>,
    /// Variance of the estimate that comes from elsewhere than the draws: the pool's, or the control's mean.
    beside: f64,
}

impl LossTerms {
    /// a_m = v_m L_m. The pool of N points is itself a sample of the domain: with s_L² the weighted variance of the
    /// losses, Σ v L² / M − θ², its part s_L² / N counts in the standard error. `n_pool` = `None` where the pool is
    /// the whole domain.
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] for no losses, [`EvalError::NonFinite`],
    /// [`EvalError::OutOfRange`] for a negative loss or an empty pool.
    pub fn weighted(weights: &[f64], losses: &[f64], n_pool: Option<usize>) -> Result<Self, EvalError> {
        let terms = terms(weights, losses)?;
        if let Some(index) = losses.iter().position(|l| *l < 0.0) {
            let value = losses[index];
            return Err(EvalError::OutOfRange { what: "loss of a draw", index, value, must: "non-negative" });
        }
        if n_pool == Some(0) {
            return Err(EvalError::OutOfRange { what: "points of a pool", index: 0, value: 0.0, must: "at least one" });
        }
        let n = terms.len() as f64;
        let theta = terms.iter().sum::<f64>() / n;
        let squares = weights.iter().zip(losses).map(|(v, l)| v * l * l).sum::<f64>() / n;
        let beside = n_pool.map_or(0.0, |pool| (squares - theta * theta).max(0.0) / pool as f64);
        Ok(Self { terms, beside })
    }

    /// a_i = L_i − λ_i (s_i − mean of s over N points) of n uniform points with losses L and scores s, N further
    /// uniform points with scores of their own: a control variate, unbiased as long as λ_i was fitted on other points,
    /// and both samples are of the same domain. Where the n points lack the largest scores, a spread of theirs is too
    /// small: with λ the mean coefficient, and var_n and var_N the scores' variances over either sample,
    /// λ² (max(0, var_N − var_n) / n + var_N / N) counts in the standard error besides.
    ///
    /// Source: A. Angelopoulos et al., "PPI++", arXiv 2311.01453 (with λ fitted on earlier points).
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] for no points, [`EvalError::NonFinite`].
    pub fn controlled(losses: &[f64], scores: &[f64], lambda: &[f64], pool: &[f64]) -> Result<Self, EvalError> {
        for (what, other) in [("scores against losses", scores), ("coefficients against losses", lambda)] {
            if other.len() != losses.len() {
                let (left, right) = (vec![losses.len()], vec![other.len()]);
                return Err(EvalError::ShapeMismatch { what, left, right });
            }
        }
        for (what, values) in [("points with a loss", losses), ("points of a pool", pool)] {
            if values.is_empty() {
                return Err(EvalError::TooFew { what, needed: 1, got: 0 });
            }
        }
        check_finite("loss of a point", losses.iter().copied())?;
        check_finite("score of a point", scores.iter().chain(pool).chain(lambda).copied())?;
        let (n, n_pool) = (losses.len() as f64, pool.len() as f64);
        let middle = pool.iter().sum::<f64>() / n_pool;
        let terms = losses.iter().zip(scores).zip(lambda).map(|((l, s), k)| l - k * (s - middle)).collect();
        let mean_lambda = lambda.iter().sum::<f64>() / n;
        let variance = variance(pool);
        let unseen = (variance - self::variance(scores)).max(0.0);
        Ok(Self { terms, beside: mean_lambda * mean_lambda * (unseen / n + variance / n_pool) })
    }

    /// The estimate. Unit: that of the losses.
    pub fn mean(&self) -> f64 {
        self.terms.iter().sum::<f64>() / self.terms.len() as f64
    }

    /// The standard error of the estimate, √(s² / M + what is uncertain beside the draws); infinite below two terms.
    /// Unit: that of the losses.
    pub fn standard_error(&self) -> f64 {
        let (n, mean) = (self.terms.len() as f64, self.mean());
        if self.terms.len() < 2 {
            return f64::INFINITY;
        }
        let squares: f64 = self.terms.iter().map(|a| (a - mean) * (a - mean)).sum();
        (squares / ((n - 1.0) * n) + self.beside).sqrt()
    }

    /// The two-sided interval at a level, from 2 000 resamples of `seed` for each end, which is a one-sided limit at
    /// (1 + level) / 2.
    ///
    /// # Errors
    /// [`EvalError::TooFew`] below ten terms, [`EvalError::OutOfRange`] for a level outside (0, 1),
    /// [`EvalError::Undefined`] where the estimate is not positive or all terms are equal, so that there is no
    /// logarithm or spread to speak of.
    pub fn interval(&self, level: f64, seed: u64) -> Result<Interval, EvalError> {
        self.check("level", level)?;
        let alpha = 1.0 - level;
        let (log, error, studentised) = self.studentised(&self.terms, RESAMPLES, seed)?;
        let lower = (log - quantile(&studentised, 1.0 - alpha / 2.0)? * error).exp();
        Ok(Interval { mean: log.exp(), lower, upper: self.upper(alpha / 2.0, RESAMPLES, seed)? })
    }

    /// The one-sided upper limit, which the truth exceeds with probability `alpha`, from as many resamples as have
    /// twenty beyond it, 400 000 at most (so that fewer lie beyond one of α below 5·10⁻⁵).
    ///
    /// # Errors
    /// As [`interval`](Self::interval).
    pub fn upper_limit(&self, alpha: f64, seed: u64) -> Result<f64, EvalError> {
        self.check("level", alpha)?;
        let resamples = ((BEYOND.0 / alpha).min(BEYOND.1 as f64) as usize).max(RESAMPLES);
        log_and_error(self.terms.iter().copied(), self.terms.len()).ok_or(NO_SPREAD)?;
        self.upper(alpha, resamples, seed)
    }

    fn upper(&self, alpha: f64, resamples: usize, seed: u64) -> Result<f64, EvalError> {
        let largest = self.terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let terms = [self.terms.as_slice(), &[UNSEEN * largest]].concat();
        let (log, error, studentised) = self.studentised(&terms, resamples, seed)?;
        Ok((log - quantile(&studentised, alpha)? * error).exp())
    }

    fn check(&self, what: &'static str, level: f64) -> Result<(), EvalError> {
        let got = self.terms.len();
        if got < FEWEST_DRAWS {
            return Err(EvalError::TooFew { what: "resolved draws of an interval", needed: FEWEST_DRAWS, got });
        }
        if !(level > 0.0 && level < 1.0) {
            return Err(EvalError::OutOfRange { what, index: 0, value: level, must: "strictly between 0 and 1" });
        }
        Ok(())
    }

    /// ln of the mean of terms, its standard error with what is beside, and the studentised resamples.
    fn studentised(&self, a: &[f64], resamples: usize, seed: u64) -> Result<(f64, f64, Vec<f64>), EvalError> {
        let (log, own) = log_and_error(a.iter().copied(), a.len()).ok_or(NO_SPREAD)?;
        let theta = log.exp();
        // In units of the mean, where sums of squares lose no digits: the terms' spread is of their own size.
        let a: Vec<f64> = a.iter().map(|value| value / theta).collect();
        let n = a.len() as f64;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut studentised = Vec::with_capacity(resamples);
        for _ in 0..resamples {
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..a.len() {
                let value = a[index_below(&mut rng, a.len())];
                sum += value;
                squares += value * value;
            }
            let mean = sum / n;
            let variance = (squares - sum * mean) / (n - 1.0);
            // A resample of a single value, or of a sum that is not positive, has no standard error: it says nothing.
            if mean > 0.0 && variance > LEAST_SPREAD * mean * mean {
                studentised.push(mean.ln() * mean / (variance / n).sqrt());
            }
        }
        if studentised.len() < resamples / 2 {
            let why = "most resamples have no spread or are not positive";
            return Err(EvalError::Undefined { what: "interval of an estimate", why });
        }
        Ok((log, (own * own + self.beside / (theta * theta)).sqrt(), studentised))
    }
}

/// The coefficient of a control variate, λ = cov(s, L) / var(s), kept in [0, 1]; 0 below [`FEWEST_CONTROLLED`] points,
/// and where the scores do not vary. Covariance and variance are over points with losses L and scores s; `pool` has the
/// scores of the points that [`LossTerms::controlled`] takes their mean over, and where these vary more, var(s) is
/// theirs: a few huge scores that no point with a loss has would otherwise be the whole estimate.
///
/// ```
/// # use dal_eval::control_coefficient;
/// let scores: Vec<f64> = (0..20).map(f64::from).collect();
/// let losses: Vec<f64> = scores.iter().map(|s| 1.0 + 0.5 * s).collect();
/// assert!((control_coefficient(&losses, &scores, &scores) - 0.5).abs() < 1e-12);
/// assert_eq!(control_coefficient(&losses[..19], &scores[..19], &scores), 0.0);
/// assert!(control_coefficient(&losses, &scores, &[0.0, 1e6]) < 1e-9);
/// ```
pub fn control_coefficient(losses: &[f64], scores: &[f64], pool: &[f64]) -> f64 {
    let n = losses.len().min(scores.len());
    if n < FEWEST_CONTROLLED {
        return 0.0;
    }
    let mean = |values: &[f64]| values[..n].iter().sum::<f64>() / n as f64;
    let (l, s) = (mean(losses), mean(scores));
    let both = losses.iter().zip(scores).map(|(a, b)| (a - l) * (b - s)).sum::<f64>() / n as f64;
    let lambda = both / variance(&scores[..n]).max(if pool.is_empty() { 0.0 } else { variance(pool) });
    if lambda.is_finite() { lambda.clamp(0.0, 1.0) } else { 0.0 }
}

/// The variance (divided by n).
fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n
}

/// The smallest value with at least the share `p` of the weights at or below it, one more draw of mean weight counting
/// as infinite (split conformal for weighted draws); infinite where the draws are too few for that.
///
/// ```
/// # use dal_eval::weighted_quantile;
/// assert_eq!(weighted_quantile(&[3.0, 1.0, 2.0], &[1.0, 1.0, 1.0], 0.5), 2.0);
/// assert_eq!(weighted_quantile(&[3.0, 1.0, 2.0], &[1.0, 1.0, 1.0], 0.9), f64::INFINITY);
/// ```
pub fn weighted_quantile(values: &[f64], weights: &[f64], p: f64) -> f64 {
    let mut pairs: Vec<(f64, f64)> = values.iter().copied().zip(weights.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = pairs.iter().map(|(_, v)| v).sum();
    let due = p * total * (1.0 + 1.0 / pairs.len().max(1) as f64);
    let mut sum = 0.0;
    for (value, weight) in pairs {
        sum += weight;
        if sum >= due * (1.0 - 1e-12) {
            return value;
        }
    }
    f64::INFINITY
}

/// ln of the mean and its standard error, s / (√n mean); `None` where the mean is not positive or there is no spread.
fn log_and_error(values: impl Iterator<Item = f64> + Clone, n: usize) -> Option<(f64, f64)> {
    let n = n as f64;
    let mean = values.clone().sum::<f64>() / n;
    let variance = values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt() / mean;
    (mean > 0.0 && error > 1e-12 && error.is_finite()).then(|| (mean.ln(), error))
}

/// A uniform index below n, n < 2³², without bias: the high half of a 32 × 32 bit product, rejecting the uneven rest.
fn index_below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    let n = n as u32;
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(n);
        // The rest is below n: only then is it worth the division that says how long it is.
        if product as u32 >= n || product as u32 >= n.wrapping_neg() % n {
            return (product >> 32) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every ordered choice of m out of n points.
    fn orders(n: usize, m: usize) -> Vec<Vec<usize>> {
        if m == 0 {
            return vec![vec![]];
        }
        orders(n, m - 1)
            .into_iter()
            .flat_map(|head| {
                (0..n).filter(|i| !head.contains(i)).map(|i| [head.as_slice(), &[i]].concat()).collect::<Vec<_>>()
            })
            .collect()
    }

    proptest! {
        /// Over all orders of five points: probabilities add up to 1, every weight has the mean 1, and the estimate
        /// that of the losses, exactly.
        #[test]
        fn unbiased_by_enumeration(
            w in prop::collection::vec(0.05..1.0_f64, 5),
            losses in prop::collection::vec(0.0..10.0_f64, 5),
            m in 1_usize..=5,
        ) {
            let (mut total, mut estimate, mut naive) = (0.0, 0.0, 0.0);
            let mut mean_v = vec![0.0; m];
            for order in orders(5, m) {
                let q = draw_probabilities(&w, &order).unwrap();
                let p: f64 = q.iter().product();
                let v = lure_weights(&q, 5).unwrap();
                let own: Vec<f64> = order.iter().map(|&i| losses[i]).collect();
                total += p;
                estimate += p * weighted_loss(&v, &own).unwrap();
                naive += p * own.iter().sum::<f64>() / m as f64;
                for (mean, v) in mean_v.iter_mut().zip(&v) {
                    *mean += p * v;
                }
            }
            let truth = losses.iter().sum::<f64>() / 5.0;
            prop_assert!((total - 1.0).abs() < 1e-12);
            prop_assert!((estimate - truth).abs() < 1e-11, "{estimate} {truth} (naive {naive})");
            for v in mean_v {
                prop_assert!((v - 1.0).abs() < 1e-12);
            }
        }

        /// The same where the weights of those left depend on what was picked, as where picks repel each other.
        #[test]
        fn unbiased_where_picks_repel(
            x in prop::collection::vec(0.0..1.0_f64, 5),
            losses in prop::collection::vec(0.0..10.0_f64, 5),
            m in 1_usize..=4,
        ) {
            let mut estimate = 0.0;
            let mut mean_v = vec![0.0; m];
            for order in orders(5, m) {
                let q: Vec<f64> = (0..m)
                    .map(|k| {
                        let gap = |i: usize| order[..k].iter().fold(1.0, |g: f64, &j| g.min((x[i] - x[j]).abs()));
                        let left: Vec<usize> = (0..5).filter(|i| !order[..k].contains(i)).collect();
                        (0.1 + gap(order[k])) / left.iter().map(|&i| 0.1 + gap(i)).sum::<f64>()
                    })
                    .collect();
                let p: f64 = q.iter().product();
                let v = lure_weights(&q, 5).unwrap();
                let own: Vec<f64> = order.iter().map(|&i| losses[i]).collect();
                estimate += p * weighted_loss(&v, &own).unwrap();
                mean_v.iter_mut().zip(&v).for_each(|(mean, v)| *mean += p * v);
            }
            prop_assert!((estimate - losses.iter().sum::<f64>() / 5.0).abs() < 1e-11, "{estimate}");
            prop_assert!(mean_v.iter().all(|v| (v - 1.0).abs() < 1e-12), "{mean_v:?}");
        }

        /// Uniform draws, and drawing everything, give weights of exactly one up to rounding.
        #[test]
        fn uniform_and_exhaustive_draws_weigh_one(n in 1_usize..60, share in 0.0..1.0_f64) {
            let m = 1 + (share * (n - 1) as f64) as usize;
            let uniform: Vec<f64> = (0..m).map(|k| 1.0 / (n - k) as f64).collect();
            for v in lure_weights(&uniform, n).unwrap() {
                prop_assert!((v - 1.0).abs() < 1e-12);
            }
            let all: Vec<f64> = (0..n).map(|k| if k + 1 == n { 1.0 } else { 0.3 }).collect();
            prop_assert_eq!(lure_weights(&all, n).unwrap(), vec![1.0; n]);
        }
    }

    /// Gumbel top-n draws orders with the probabilities that [`draw_probabilities`] gives them.
    #[test]
    fn gumbel_top_n_draws_with_these_probabilities() {
        let w = [0.1, 0.2, 0.3, 0.15, 0.25_f64];
        let all = orders(5, 2);
        let mut counts = vec![0_usize; all.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let n = 40_000;
        for _ in 0..n {
            let mut keys: Vec<(f64, usize)> = w
                .iter()
                .enumerate()
                .map(|(i, w)| {
                    let uniform = ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
                    (w.ln() - (-uniform.ln()).ln(), i)
                })
                .collect();
            keys.sort_by(|a, b| b.0.total_cmp(&a.0));
            let order = [keys[0].1, keys[1].1];
            counts[all.iter().position(|o| o[..] == order).unwrap()] += 1;
        }
        for (order, count) in all.iter().zip(counts) {
            let p: f64 = draw_probabilities(&w, order).unwrap().iter().product();
            let error = (p * (1.0 - p) / f64::from(n)).sqrt();
            assert!((count as f64 / f64::from(n) - p).abs() < 4.5 * error, "{order:?} {p}");
        }
    }

    #[test]
    fn bootstrap_intervals_scale_and_widen_with_the_pool() {
        let losses: Vec<f64> = (0..40).map(|i| (f64::from(i) * 1.3).sin().powi(4) + 0.01).collect();
        let weights: Vec<f64> = (0..40).map(|i| 0.5 + f64::from(i % 3) * 0.5).collect();
        let of = |c: f64, pool| {
            let scaled: Vec<f64> = losses.iter().map(|l| c * l).collect();
            log_bootstrap_interval(&weights, &scaled, pool, 0.9, 5).unwrap()
        };
        let plain = of(1.0, None);
        assert!((plain.mean - weighted_loss(&weights, &losses).unwrap()).abs() < 1e-15);
        let scaled = of(1e-6, None);
        for (a, b) in [(plain.lower, scaled.lower), (plain.mean, scaled.mean), (plain.upper, scaled.upper)] {
            assert!((b / a / 1e-6 - 1.0).abs() < 1e-9);
        }
        let small_pool = of(1.0, Some(100));
        assert!(small_pool.lower < plain.lower && small_pool.upper > plain.upper && small_pool.mean == plain.mean);
        assert_eq!(of(1.0, None), plain);
    }

    /// Rounds of 40 uniform draws of log-normal losses: the 90 % interval and its upper end hold about as often as they
    /// say, where a plain t interval's upper end does not.
    #[test]
    fn bootstrap_intervals_cover_skewed_losses() {
        use statrs::distribution::{ContinuousCDF, Normal};
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let normal = Normal::standard();
        let truth = 0.5_f64.exp();
        let (n, mut covered, mut above, mut plain_above) = (400, 0, 0, 0);
        for round in 0..n {
            let losses: Vec<f64> = (0..40)
                .map(|_| normal.inverse_cdf(((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64).exp())
                .collect();
            let i = log_bootstrap_interval(&[1.0; 40], &losses, None, 0.9, round).unwrap();
            covered += u32::from(i.contains(truth));
            above += u32::from(truth > i.upper);
            plain_above += u32::from(truth > crate::t_interval(&losses, 0.9).unwrap().upper);
        }
        let share = |hits: u32| f64::from(hits) / n as f64;
        println!(
            "covered {:.3}, truth above {:.3}, above the plain one {:.3}",
            share(covered),
            share(above),
            share(plain_above)
        );
        // Nominal 0.9 and 0.05; the bars of the estimate are 0.85 and 0.1.
        assert!(share(covered) >= 0.85 && share(above) <= 0.1);
        assert!(above < plain_above);
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(lure_weights(&[], 3), Err(EvalError::TooFew { .. })));
        assert!(matches!(lure_weights(&[0.5, 0.5], 1), Err(EvalError::TooFew { needed: 2, got: 1, .. })));
        assert!(matches!(lure_weights(&[0.0], 3), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(lure_weights(&[f64::NAN], 3), Err(EvalError::NonFinite { .. })));
        assert!(matches!(draw_probabilities(&[1.0, 1.0], &[0, 0]), Err(EvalError::OutOfRange { index: 1, .. })));
        assert!(matches!(draw_probabilities(&[1.0], &[3]), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(draw_probabilities(&[0.0], &[0]), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(weighted_loss(&[1.0], &[]), Err(EvalError::ShapeMismatch { .. })));
        assert_eq!(answered_loss(&[1.0, 2.0], &[None, None]).unwrap(), AnsweredLoss { loss: None, answered: 0.0 });
        let interval = |losses: &[f64], level| log_bootstrap_interval(&vec![1.0; losses.len()], losses, None, level, 0);
        assert!(matches!(interval(&[1.0; 9], 0.9), Err(EvalError::TooFew { needed: 10, got: 9, .. })));
        assert!(matches!(interval(&[1.0; 10], 0.9), Err(EvalError::Undefined { .. })));
        assert!(matches!(interval(&[0.0; 10], 0.9), Err(EvalError::Undefined { .. })));
        assert!(matches!(interval(&[1.0; 10], 1.0), Err(EvalError::OutOfRange { .. })));
    }

    /// A control that explains the losses narrows the interval and moves no mean: terms of many rounds average to the
    /// truth whatever λ is.
    #[test]
    fn a_control_narrows_and_stays_unbiased() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        // L = s + noise, s exponential with mean 1: the mean loss is 1.5.
        let point = |u: f64, w: f64| (-u.ln(), -u.ln() + w);
        let pool: Vec<f64> = (0..20_000).map(|_| -uniform().ln()).collect();
        let (mut sums, mut widths, n) = ([0.0; 2], [0.0; 2], 200);
        for round in 0..n {
            let (s, l): (Vec<f64>, Vec<f64>) = (0..40).map(|_| point(uniform(), uniform())).unzip();
            for (k, lambda) in [0.0, 0.9].into_iter().enumerate() {
                let terms = LossTerms::controlled(&l, &s, &[lambda; 40], &pool).unwrap();
                let interval = terms.interval(0.9, round).unwrap();
                sums[k] += terms.mean() / n as f64;
                widths[k] += (interval.upper - interval.lower) / n as f64;
            }
        }
        assert!(sums.iter().all(|mean| (mean - 1.5).abs() < 0.05), "{sums:?}");
        assert!(widths[1] < 0.5 * widths[0], "{widths:?}");
        let plain = LossTerms::controlled(&[1.0, 3.0], &[5.0, 9.0], &[0.0; 2], &[1.0]).unwrap();
        assert_eq!((plain.mean(), plain.beside, plain.standard_error()), (2.0, 0.0, 1.0));
        // Scores over the pool vary by 16 about 5, those at the points by 4: (12 / 2 + 16 / 2) / 4 beside.
        let seen = LossTerms::controlled(&[1.0, 3.0], &[5.0, 9.0], &[0.5; 2], &[1.0, 9.0]).unwrap();
        assert_eq!((seen.mean(), seen.beside), (1.0, 3.5));
        assert!((seen.standard_error() - 3.5_f64.sqrt()).abs() < 1e-15);
        assert_eq!(LossTerms::weighted(&[1.0], &[2.0], None).unwrap().standard_error(), f64::INFINITY);
        assert!(matches!(LossTerms::controlled(&[1.0], &[], &[0.0], &[1.0]), Err(EvalError::ShapeMismatch { .. })));
    }

    /// By hand: terms 0.5 and 4.5 about 2.5; Σ v L² / M − θ² = 7 − 6.25, over a pool of four.
    #[test]
    fn standard_errors_are_those_of_the_draws_and_of_the_pool() {
        let terms = LossTerms::weighted(&[0.5, 1.5], &[1.0, 3.0], Some(4)).unwrap();
        assert_eq!((terms.mean(), terms.beside, terms.standard_error()), (2.5, 0.1875, 4.1875_f64.sqrt()));
        let three = LossTerms::weighted(&[1.0; 3], &[1.0, 2.0, 6.0], None).unwrap();
        assert_eq!((three.beside, three.standard_error()), (0.0, (14.0_f64 / 6.0).sqrt()));
        // On the logarithm what is beside counts over the mean's square.
        let terms = LossTerms { terms: vec![2.0, 3.0, 4.0], beside: 9.0 };
        let (log, error, _) = terms.studentised(&terms.terms, 2_000, 1).unwrap();
        let own = log_and_error(terms.terms.iter().copied(), 3).unwrap().1;
        assert!((log.exp() - 3.0).abs() < 1e-14 && (error - (own * own + 1.0).sqrt()).abs() < 1e-14, "{error}");
    }

    #[test]
    fn quantiles_count_weights_and_one_unseen_draw() {
        // Sorted: 1 (4), 3 (3), 5 (1); what is due is 8 p · 4/3 of them.
        let of = |p: f64| weighted_quantile(&[5.0, 1.0, 3.0], &[1.0, 4.0, 3.0], p);
        assert_eq!([0.1, 0.375, 0.5, 0.7, 0.8].map(of), [1.0, 1.0, 3.0, 5.0, f64::INFINITY]);
    }

    #[test]
    fn what_did_not_answer_counts_by_its_weight() {
        let found = answered_loss(&[1.0, 2.0, 3.0], &[Some(3.0), None, Some(7.0)]).unwrap();
        assert_eq!((found.loss, found.answered), (Some(24.0 / 4.0), 4.0 / 3.0));
        let none = answered_loss(&[1.0, 2.0], &[None, None]).unwrap();
        assert_eq!((none.loss, none.answered), (None, 0.0));
    }

    #[test]
    fn logarithms_want_a_positive_mean_and_a_spread() {
        let of = |values: &[f64]| log_and_error(values.iter().copied(), values.len());
        assert_eq!((of(&[-1.0, -2.0]), of(&[2.0, 2.0]), of(&[1.0])), (None, None, None));
        let (log, error) = of(&[1.0, 3.0]).unwrap();
        assert!((log - 2.0_f64.ln()).abs() < 1e-15 && (error - 0.5).abs() < 1e-15, "{log} {error}");
    }

    #[test]
    fn a_control_has_its_coefficient_by_least_squares() {
        let scores: Vec<f64> = (0..20).map(f64::from).collect();
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let losses: Vec<f64> = (0..20).map(|i| 3.0 + 0.5 * scores[i] + sign(i)).collect();
        // The scores' variance is (20² − 1) / 12, their covariance with the signs −10 / 20.
        let (both, variance) = (0.5 * 33.25 - 0.5, 33.25);
        let close = |found: f64, due: f64| assert!((found - due).abs() < 1e-14, "{found} {due}");
        close(control_coefficient(&losses, &scores, &[]), both / variance);
        close(control_coefficient(&losses, &scores, &scores[..5]), both / variance);
        close(control_coefficient(&losses, &scores, &[0.0, 40.0]), both / 400.0);
        assert_eq!(control_coefficient(&losses[..19], &scores[..19], &[]), 0.0);
        for (factor, due) in [(3.0, 1.0), (-1.0, 0.0)] {
            let losses: Vec<f64> = scores.iter().map(|s| factor * s).collect();
            assert_eq!(control_coefficient(&losses, &scores, &[]), due);
        }
        assert_eq!(control_coefficient(&losses, &[2.0; 20], &[]), 0.0);
    }

    #[test]
    fn resamples_without_a_spread_or_a_positive_mean_say_nothing() {
        let of = |terms: &[f64], resamples: usize, seed: u64| {
            let terms = LossTerms { terms: terms.to_vec(), beside: 0.0 };
            terms.studentised(&terms.terms, resamples, seed).map(|(_, _, studentised)| studentised)
        };
        // Four values that can sum to 0.
        let found = of(&[-1.0, 1.0, 1.0, 3.0], 2_000, 1).unwrap();
        assert!(found.len() < 2_000 && found.iter().all(|t| t.is_finite()));
        // All but the three of 27 that hold one value only, however small they are beside the mean.
        let found = of(&[1e-8, 2e-8, 3.0], 2_000, 1).unwrap();
        assert!(found.len().abs_diff(2_000 * 24 / 27) < 60, "{}", found.len());
        // Of two resamples of two values both, one or none have a spread; one of two is enough.
        let counts: Vec<Option<usize>> = (0..20).map(|seed| of(&[1.0, 3.0], 2, seed).ok().map(|t| t.len())).collect();
        assert!([Some(2), Some(1), None].iter().all(|count| counts.contains(count)), "{counts:?}");
        assert!(!counts.contains(&Some(0)), "{counts:?}");
    }

    /// The naive twin of drawing an index: what would make some indices likelier is drawn again.
    #[test]
    fn indices_are_those_of_plain_rejection() {
        for n in [3_u64, 10, 41, 3_000_000_000] {
            let (mut fast, mut plain) = (ChaCha8Rng::seed_from_u64(n), ChaCha8Rng::seed_from_u64(n));
            for _ in 0..200 {
                let due = loop {
                    let product = u64::from(plain.next_u32()) * n;
                    if product % (1 << 32) >= (1 << 32) % n {
                        break product >> 32;
                    }
                };
                assert_eq!(index_below(&mut fast, n as usize) as u64, due, "{n}");
            }
        }
    }

    /// The two ends of an interval are one-sided limits at half of what it leaves out, each from its resamples.
    #[test]
    fn ends_are_limits_at_half_of_what_is_left_out() {
        let losses: Vec<f64> = (0..30).map(|i| (f64::from(i) * 1.3).sin().powi(4) + 0.01).collect();
        let terms = LossTerms::weighted(&[1.0; 30], &losses, Some(500)).unwrap();
        let interval = terms.interval(0.8, 3).unwrap();
        let (log, error, studentised) = terms.studentised(&terms.terms, RESAMPLES, 3).unwrap();
        assert_eq!(interval.lower, (log - quantile(&studentised, 0.9).unwrap() * error).exp());
        assert_eq!(interval.upper, terms.upper_limit(0.1, 3).unwrap_or(f64::NAN));
        // Twenty resamples lie beyond a limit.
        assert_eq!(terms.upper_limit(0.001, 3).unwrap(), terms.upper(0.001, 20_000, 3).unwrap());
        assert_ne!(terms.upper_limit(0.001, 3).unwrap(), terms.upper(0.001, 2_000, 3).unwrap());
    }

    /// The naive twin: all 5⁵ resamples of four terms and the unseen one, each as likely as any other, against those
    /// that are drawn; the lower end from all 4⁴ of the four.
    #[test]
    fn limits_are_those_of_all_resamples() {
        let terms = LossTerms { terms: vec![0.3, 0.9, 0.2, 1.4], beside: 0.01 };
        let exact = |a: &[f64], p: f64| {
            let n = a.len();
            let of = |values: &[f64]| {
                let mean = values.iter().sum::<f64>() / n as f64;
                let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
                (mean, (squares / ((n - 1) * n) as f64).sqrt() / mean)
            };
            let (mean, own) = of(a);
            let mut studentised = Vec::new();
            for mut code in 0..n.pow(n as u32) {
                let values: Vec<f64> = (0..n)
                    .map(|_| {
                        let value = a[code % n];
                        code /= n;
                        value
                    })
                    .collect();
                let (drawn, error) = of(&values);
                if error > 1e-12 {
                    studentised.push((drawn / mean).ln() / error);
                }
            }
            let error = (own * own + 0.01 / (mean * mean)).sqrt();
            mean * (-quantile(&studentised, p).unwrap() * error).exp()
        };
        let upper = exact(&[0.3, 0.9, 0.2, 1.4, UNSEEN * 1.4], 0.1);
        let drawn = terms.upper(0.1, 100_000, 7).unwrap();
        assert!((drawn / upper - 1.0).abs() < 0.02, "{drawn} {upper}");
        let (log, error, studentised) = terms.studentised(&terms.terms, 100_000, 7).unwrap();
        let (drawn, lower) =
            ((log - quantile(&studentised, 0.9).unwrap() * error).exp(), exact(&[0.3, 0.9, 0.2, 1.4], 0.9));
        assert!((drawn / lower - 1.0).abs() < 0.02, "{drawn} {lower}");
    }

    /// Losses of which few make most, in rounds of ten that mostly see none of these: the upper limit holds nearly as
    /// often as the 95 % that it says, and without the unseen draw more seldom.
    #[test]
    fn upper_limits_reckon_with_what_was_not_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let (n, mut holds, mut without) = (400, 0, 0);
        for round in 0..n {
            // Pareto losses of shape 2.5: mean 5/3.
            let losses: Vec<f64> = (0..10).map(|_| uniform().powf(-0.4)).collect();
            let terms = LossTerms::weighted(&[1.0; 10], &losses, None).unwrap();
            holds += u32::from(terms.upper_limit(0.05, round).unwrap() >= 5.0 / 3.0);
            let (log, error, studentised) = terms.studentised(&losses, RESAMPLES, round).unwrap();
            without += u32::from((log - quantile(&studentised, 0.05).unwrap() * error).exp() >= 5.0 / 3.0);
        }
        let share = |hits: u32| f64::from(hits) / n as f64;
        println!("holds {:.3}, without {:.3}", share(holds), share(without));
        assert!(share(holds) >= 0.9 && share(holds) > share(without) + 0.02);
    }

    /// Resamples in one pass against the mean and standard error of each, drawn by the same stream.
    #[test]
    fn resamples_are_studentised_as_one_by_one() {
        let a: Vec<f64> = (0..20).map(|i| 1e-9 + (f64::from(i) * 1.3).sin().powi(8)).collect();
        let terms = LossTerms { terms: a.clone(), beside: 0.0 };
        let (log, _, fast) = terms.studentised(&a, 500, 4).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for t in fast {
            let resample: Vec<f64> = (0..20).map(|_| a[index_below(&mut rng, 20)]).collect();
            let (drawn, error) = log_and_error(resample.iter().copied(), 20).unwrap();
            let plain = (drawn - log) / error;
            assert!((t - plain).abs() < 1e-6 * (1.0 + plain.abs()), "{t} {plain}");
        }
        let counts = (0..30_000).fold([0_u32; 3], |mut counts, _| {
            counts[index_below(&mut rng, 3)] += 1;
            counts
        });
        assert!(counts.iter().all(|n| n.abs_diff(10_000) < 400), "{counts:?}");
    }

    #[test]
    fn upper_limits_are_the_interval_ends_and_grow_with_confidence() {
        let losses: Vec<f64> = (0..40).map(|i| (f64::from(i) * 1.3).sin().powi(4) + 0.01).collect();
        let terms = LossTerms::weighted(&[1.0; 40], &losses, None).unwrap();
        let interval = terms.interval(0.9, 5).unwrap();
        let limit = terms.upper_limit(0.05, 5).unwrap();
        assert!((limit / interval.upper - 1.0).abs() < 1e-12, "{limit} {}", interval.upper);
        let limits: Vec<f64> = (1..6).map(|k| terms.upper_limit(0.05 / f64::from(k * (k + 1)), 5).unwrap()).collect();
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1]) && limits[0] > interval.upper, "{limits:?}");
        assert!(terms.upper_limit(0.0, 5).is_err());
    }
}
