//! The share of a domain that has some property, with an interval, from draws of known weights.

use statrs::distribution::{Beta, ContinuousCDF};

use crate::error::{EvalError, check_finite};
use crate::interval::Interval;
use crate::lure::FEWEST_DRAWS;

/// The share p = Σ v S / Σ v of draws with weights v, S = 1 where a draw has the property, and its interval of Clopper
/// and Pearson, whose ends are one-sided limits at (1 + level) / 2.
///
/// With k = n p of n draws the ends are the quantiles of Beta(k, n − k + 1) and Beta(k + 1, n − k): for uniform draws
/// exactly the shares under which so few, or so many, would be rarer than (1 − level) / 2, so that neither end misses
/// more often than that, however few draws lack the property. (A bootstrap's resamples of two failures in forty draws
/// have few as well, or none, and tell too little of how many there could have been.)
///
/// Of weighted draws n is what they are worth: the smaller of Kish's (Σ v)² / Σ v², and p (1 − p) over the share's
/// linearised variance Σ v² (S − p)² / (Σ v)², which is smaller where the rarer kind is the heavier (after E. Korn, B.
/// Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from survey
/// data", Survey Methodology 24, 1998). Both are n for equal weights. Where the draws come from a pool of N that is
/// itself a sample of the domain, 1 / N is added to 1 / n.
///
/// Worked example: 38 of 40 draws, at 90 %: 0.95, from 0.8508 to 0.9910.
///
/// ```
/// # use dal_eval::share_interval;
/// let has: Vec<bool> = (0..40).map(|i| i >= 2).collect();
/// let share = share_interval(&[1.0; 40], &has, None, 0.9)?;
/// assert!((share.mean - 0.95).abs() < 1e-15);
/// assert!((share.lower - 0.8508).abs() < 1e-4 && (share.upper - 0.9910).abs() < 1e-4);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] below ten draws or for an empty pool, [`EvalError::ShapeMismatch`], [`EvalError::NonFinite`],
/// [`EvalError::OutOfRange`] for a negative weight or a level outside (0, 1), [`EvalError::Undefined`] where no draw
/// has a weight.
pub fn share_interval(weights: &[f64], has: &[bool], n_pool: Option<usize>, level: f64) -> Result<Interval, EvalError> {
    let got = weights.len();
    if has.len() != got {
        let (left, right) = (vec![got], vec![has.len()]);
        return Err(EvalError::ShapeMismatch { what: "weights against draws", left, right });
    }
    if got < FEWEST_DRAWS {
        return Err(EvalError::TooFew { what: "resolved draws of an interval", needed: FEWEST_DRAWS, got });
    }
    if n_pool == Some(0) {
        return Err(EvalError::TooFew { what: "points of a pool", needed: 1, got: 0 });
    }
    check_finite("weight of a draw", weights.iter().copied())?;
    if let Some(index) = weights.iter().position(|v| *v < 0.0) {
        let value = weights[index];
        return Err(EvalError::OutOfRange { what: "weight of a draw", index, value, must: "not negative" });
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(EvalError::OutOfRange { what: "level", index: 0, value: level, must: "strictly between 0 and 1" });
    }
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Err(EvalError::Undefined { what: "interval of a share", why: "no draw has a weight" });
    }
    let of = |value: &dyn Fn(f64, f64) -> f64| -> f64 {
        weights.iter().zip(has).map(|(v, has)| value(*v, f64::from(u8::from(*has)))).sum()
    };
    let share = (of(&|v, s| v * s) / total).min(1.0);
    let kish = total * total / of(&|v, _| v * v);
    let variance = of(&|v, s| (v * (s - share)).powi(2)) / (total * total);
    let by_variance = if variance > 0.0 { share * (1.0 - share) / variance } else { f64::INFINITY };
    let n = 1.0 / (1.0 / kish.min(by_variance) + n_pool.map_or(0.0, |pool| 1.0 / pool as f64));
    let (alpha, k) = ((1.0 - level) / 2.0, n * share);
    // Where no draw has the property, or all have, a parameter is 0 and there is no such quantile: the end is 0, or 1.
    let end = |a: f64, b: f64, p: f64, extreme: f64| Beta::new(a, b).map_or(extreme, |beta| beta.inverse_cdf(p));
    Ok(Interval { mean: share, lower: end(k, n - k + 1.0, alpha, 0.0), upper: end(k + 1.0, n - k, 1.0 - alpha, 1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lure::{draw_probabilities, lure_weights};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn uniform(rng: &mut ChaCha8Rng) -> f64 {
        ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn binomial(n: u32, k: u32, p: f64) -> f64 {
        (1..=k).map(|i| f64::from(n - k + i) / f64::from(i)).product::<f64>()
            * p.powi(k as i32)
            * (1.0 - p).powi((n - k) as i32)
    }

    #[test]
    fn ends_are_the_shares_under_which_as_much_is_as_rare_as_said() {
        for k in [0_u32, 1, 3, 20, 39, 40] {
            let has: Vec<bool> = (0..40).map(|i| i < k).collect();
            let found = share_interval(&[2.0; 40], &has, None, 0.9).unwrap();
            let at_least: f64 = (k..=40).map(|i| binomial(40, i, found.lower)).sum();
            let at_most: f64 = (0..=k).map(|i| binomial(40, i, found.upper)).sum();
            assert!(if k == 0 { found.lower == 0.0 } else { (at_least - 0.05).abs() < 1e-9 }, "{k}: {at_least}");
            assert!(if k == 40 { found.upper == 1.0 } else { (at_most - 0.05).abs() < 1e-9 }, "{k}: {at_most}");
        }
    }

    #[test]
    fn the_lower_end_of_uniform_draws_lies_above_the_truth_as_seldom_as_said() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for truth in [0.90, 0.95, 0.97] {
            let (rounds, mut above) = (4_000, 0);
            for _ in 0..rounds {
                let has: Vec<bool> = (0..40).map(|_| uniform(&mut rng) < truth).collect();
                let found = share_interval(&[1.0; 40], &has, None, 0.9).unwrap();
                assert!(found.lower <= found.mean && found.mean <= found.upper);
                above += u32::from(found.lower > truth);
            }
            let misses = f64::from(above) / f64::from(rounds);
            assert!(misses <= 0.055, "{truth}: {misses}");
        }
    }

    /// Draws as rules make them, a quarter of the weight uniform: points that fail are drawn as often as others, and
    /// half or twice as often.
    #[test]
    fn weighted_draws_hold_nearly_as_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let (n, m) = (400, 40);
        for (truth, tilt) in [(0.9, 1.0), (0.9, 0.5), (0.9, 2.0), (0.7, 1.0), (0.7, 0.5), (0.7, 2.0)] {
            let (rounds, mut above, mut below) = (400, 0, 0);
            let answers: Vec<bool> = (0..n).map(|i| f64::from(i) < truth * f64::from(n)).collect();
            for _ in 0..rounds {
                let scores: Vec<f64> =
                    answers.iter().map(|ok| -uniform(&mut rng).ln() * if *ok { 1.0 } else { tilt }).collect();
                let total: f64 = scores.iter().sum();
                let weights: Vec<f64> = scores.iter().map(|s| 0.75 * s / total + 0.25 / f64::from(n)).collect();
                let mut order: Vec<usize> = (0..weights.len()).collect();
                let keys: Vec<f64> = weights.iter().map(|w| w.ln() - (-uniform(&mut rng).ln()).ln()).collect();
                order.sort_by(|a, b| keys[*b].total_cmp(&keys[*a]));
                let picks = &order[..m];
                let v = lure_weights(&draw_probabilities(&weights, picks).unwrap(), weights.len()).unwrap();
                let has: Vec<bool> = picks.iter().map(|pick| answers[*pick]).collect();
                let found = share_interval(&v, &has, None, 0.9).unwrap();
                above += u32::from(found.lower > truth);
                below += u32::from(found.upper < truth);
            }
            let share = |misses: i32| f64::from(misses) / f64::from(rounds);
            println!(
                "{truth} {tilt}: lower end above {:.3}, upper below {:.3}",
                share(above as i32),
                share(below as i32)
            );
            assert!(share(above as i32) <= 0.06 && share(below as i32) <= 0.06);
        }
    }

    #[test]
    fn weighted_draws_give_the_ends_of_their_beta_quantiles() {
        let has: Vec<bool> = (0..20).map(|i| ![3, 7, 12].contains(&i)).collect();
        let of = |weight: &dyn Fn(usize, bool) -> f64, n_pool: Option<usize>| {
            let weights: Vec<f64> = has.iter().enumerate().map(|(i, has)| weight(i, *has)).collect();
            share_interval(&weights, &has, n_pool, 0.9).unwrap()
        };
        // Kish's number is the smaller where failures are light, that of the variance where they are heavy.
        let light = |i: usize, has: bool| if has { 1.0 + (i % 3) as f64 } else { 0.5 };
        let heavy = |i: usize, has: bool| if has { 1.0 + 0.25 * (i % 2) as f64 } else { 3.0 };
        // By the formula with SciPy's beta.ppf.
        for (found, mean, lower, upper) in [
            (of(&light, None), 0.958_904_109_589, 0.764_993_232_529, 0.999_455_258_296),
            (of(&light, Some(50)), 0.958_904_109_589, 0.718_716_631_695, 0.999_848_438_724),
            (of(&heavy, None), 0.678_571_428_571, 0.397_893_046_404, 0.887_234_269_334),
            (of(&heavy, Some(50)), 0.678_571_428_571, 0.364_137_234_750, 0.904_868_258_341),
        ] {
            for (found, due) in [(found.mean, mean), (found.lower, lower), (found.upper, upper)] {
                assert!((found - due).abs() < 1e-9, "{found} {due}");
            }
        }
    }

    #[test]
    fn heavy_draws_count_for_fewer_and_bad_input_is_typed() {
        let has: Vec<bool> = (0..20).map(|i| i != 7).collect();
        let even = share_interval(&[1.0; 20], &has, None, 0.9).unwrap();
        // A failure that stands for four points: the share is lower, and the draws are worth less.
        let mut weights = [1.0; 20];
        weights[7] = 4.0;
        let heavy = share_interval(&weights, &has, None, 0.9).unwrap();
        assert!((heavy.mean - 19.0 / 23.0).abs() < 1e-12 && heavy.lower < even.lower);
        assert!(heavy.upper - heavy.lower > 1.5 * (even.upper - even.lower), "{heavy:?} {even:?}");
        let pool = share_interval(&[1.0; 20], &has, Some(20), 0.9).unwrap();
        assert!(pool.lower < even.lower && pool.upper > even.upper);
        assert!(matches!(share_interval(&[1.0; 9], &has[..9], None, 0.9), Err(EvalError::TooFew { .. })));
        assert!(matches!(share_interval(&[1.0; 9], &has, None, 0.9), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(share_interval(&[0.0; 20], &has, None, 0.9), Err(EvalError::Undefined { .. })));
        assert!(matches!(share_interval(&[-1.0; 20], &has, None, 0.9), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(share_interval(&[f64::NAN; 20], &has, None, 0.9), Err(EvalError::NonFinite { .. })));
        assert!(share_interval(&[1.0; 10], &has[..10], None, 0.9).is_ok());
        for level in [0.0, 1.0] {
            let found = share_interval(&[1.0; 20], &has, None, level);
            assert!(matches!(found, Err(EvalError::OutOfRange { what: "level", .. })));
        }
        assert!(share_interval(&[1.0; 20], &has, Some(0), 0.9).is_err());
    }
}
