//! How many paired seeds a verdict would need.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::gamma::ln_gamma;

use crate::error::EvalError;
use crate::interval::t_quantile;

/// More seeds than this are not suggested: an effect that small is not worth finding.
pub const MOST_SEEDS: usize = 10_000;

/// Efficiency of Wilcoxon's signed-rank test relative to the t test under normal noise, 3/π.
const EFFICIENCY: f64 = 3.0 / std::f64::consts::PI;

/// The smallest number of paired seeds at which a one-sided sign test family can reach `level` at all: the smallest n
/// with 1 − (1 − 2⁻ⁿ)^blocks ≤ level. Even seeds that all agree cannot say more.
///
/// Worked example: one block, level 0.025 (5 % two-sided): 2⁻⁶ = 0.0156 is the first below, so six; five never do.
/// Eight blocks (the problems, for the max-T verdict): nine.
///
/// ```
/// # use dal_eval::seeds_to_reach;
/// assert_eq!(seeds_to_reach(0.025, 1), Some(6));
/// assert_eq!(seeds_to_reach(0.025, 8), Some(9));
/// ```
///
/// `None` for a level outside (0, 1) or so small that no number up to 60 reaches it.
pub fn seeds_to_reach(level: f64, blocks: usize) -> Option<usize> {
    if !(level > 0.0 && level < 1.0) || blocks == 0 {
        return None;
    }
    // ln(1 + x) and exp(x) − 1 keep their digits for tiny x, where 1 − (1 − x)^b would not.
    (1..=60).find(|&n| -(blocks as f64 * (-(0.5_f64.powi(n))).ln_1p()).exp_m1() <= level).map(|n| n as usize)
}

/// The smallest number of paired seeds at which one of `n_methods` methods can be called robust after Holm: the
/// smallest n with `n_methods` · 2⁻ⁿ ≤ level.
///
/// Worked example: eleven methods, level 0.025: 11 / 512 = 0.0215 is the first below, so nine; one method alone needs
/// six.
///
/// ```
/// # use dal_eval::seeds_for_robust;
/// assert_eq!(seeds_for_robust(0.025, 11), Some(9));
/// assert_eq!(seeds_for_robust(0.025, 1), Some(6));
/// ```
///
/// `None` for no methods, a level outside (0, 1) or so small that no number up to 60 reaches it.
pub fn seeds_for_robust(level: f64, n_methods: usize) -> Option<usize> {
    if !(level > 0.0 && level < 1.0) || n_methods == 0 {
        return None;
    }
    (1..=60).find(|&n| n_methods as f64 * 0.5_f64.powi(n) <= level).map(|n| n as usize)
}

/// About how many paired seeds would find a difference of this mean and standard deviation, one-sided at `level`, four
/// times out of five.
///
/// The smallest n with n ≥ ((t_{1 − level, n − 1} + z_{0.8}) · sd / |mean|)², the usual approximation of the paired t
/// test's power, divided by 3/π = 0.955, the efficiency of Wilcoxon's test under normal noise, and at least
/// [`seeds_to_reach`]. A planning figure: mean and sd are themselves estimates.
///
/// Worked example: mean equal to sd, level 0.025: n = 11 satisfies (2.228 + 0.842)² = 9.4 ≤ 11 · 0.955 = 10.5, n = 10
/// just fails to leave the margin: (2.262 + 0.842)² = 9.63 > 9.55. So 11.
///
/// ```
/// # use dal_eval::seeds_to_find;
/// assert_eq!(seeds_to_find(-0.1, 0.1, 0.025)?, Some(11));
/// assert_eq!(seeds_to_find(0.0, 0.1, 0.025)?, None);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// `None` where the mean is zero or more than [`MOST_SEEDS`] would be needed.
///
/// # Errors
/// [`EvalError::OutOfRange`] for a level outside (0, 1), a negative sd, or values that are not finite.
pub fn seeds_to_find(mean: f64, sd: f64, level: f64) -> Result<Option<usize>, EvalError> {
    check_spread(sd, level)?;
    if !mean.is_finite() {
        let must = "finite and in its range";
        return Err(EvalError::OutOfRange { what: "mean difference", index: 0, value: mean, must });
    }
    let Some(least) = seeds_to_reach(level, 1) else { return Ok(None) };
    if mean == 0.0 {
        return Ok(None);
    }
    let ratio = sd / mean.abs();
    let z = Normal::standard().inverse_cdf(0.8);
    fewest(least, 1.0 - level, |quantile| ((quantile + z) * ratio).powi(2) / EFFICIENCY)
}

/// The smallest n ≥ `least` (and 2) with n ≥ needed(t_{p, n − 1}); `None` above [`MOST_SEEDS`].
fn fewest(least: usize, p: f64, needed: impl Fn(f64) -> f64) -> Result<Option<usize>, EvalError> {
    // The t quantile lies above the normal one and nears it quickly, so the search starts where the normal one would
    // end; beyond the most there is nothing to search.
    let start = needed(Normal::standard().inverse_cdf(p)) as usize;
    for n in least.max(2).max(start)..=MOST_SEEDS {
        if n as f64 >= needed(t_quantile(p, (n - 1) as f64)?) {
            return Ok(Some(n));
        }
    }
    Ok(None)
}

/// The smallest mean difference that a one-sided paired t test at `level` finds four times out of five: δ · sd / √n, in
/// the unit of `sd`, with the δ for which Student's t with n − 1 degrees of freedom and noncentrality δ exceeds
/// t_{1 − level, n − 1} with a probability of 0.8.
///
/// With the level of a family divided by its cells (Bonferroni) it is that of a cell under max-T, which asks for less
/// where it can be significant at all ([`seeds_to_reach`]). A figure about a test with this much noise, not about what
/// was found.
///
/// Worked example: sd 0.1, ten seeds, level 0.025: t is 2.262 and δ is 3.150, so 3.150 · 0.1 / 3.162 = 0.0996.
///
/// ```
/// # use dal_eval::smallest_effect;
/// assert!((smallest_effect(0.1, 10, 0.025)?.unwrap() - 0.0996).abs() < 1e-4);
/// assert_eq!(smallest_effect(0.1, 1, 0.025)?, None);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// `None` below two seeds.
///
/// # Errors
/// [`EvalError::OutOfRange`] for a level outside (0, 1) or an sd that is negative or not finite.
pub fn smallest_effect(sd: f64, n_seeds: usize, level: f64) -> Result<Option<f64>, EvalError> {
    check_spread(sd, level)?;
    if n_seeds < 2 {
        return Ok(None);
    }
    Ok(Some(noncentrality(n_seeds, level)? * sd / (n_seeds as f64).sqrt()))
}

/// The noncentrality at which a one-sided t test of `n` values at `level` rejects with a probability of 0.8.
fn noncentrality(n: usize, level: f64) -> Result<f64, EvalError> {
    const POINTS: usize = 2000;
    let freedom = (n - 1) as f64;
    let critical = t_quantile(1.0 - level, freedom)?;
    // P(T > t) = E Φ(δ − t S) over the density of S = √(χ² / freedom), which hardly leaves 1 ± 10 / √(2 · freedom).
    let reach = 10.0 / (2.0 * freedom).sqrt();
    let (from, to) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let step = (to - from) / POINTS as f64;
    let constant = std::f64::consts::LN_2 + freedom / 2.0 * (freedom / 2.0).ln() - ln_gamma(freedom / 2.0);
    let points: Vec<(f64, f64)> = (0..POINTS)
        .map(|i| from + (i as f64 + 0.5) * step)
        .map(|s| (critical * s, step * (constant + (freedom - 1.0) * s.ln() - freedom * s * s / 2.0).exp()))
        .collect();
    let normal = Normal::standard();
    let power = |delta: f64| points.iter().map(|(t, weight)| weight * normal.cdf(delta - t)).sum::<f64>();
    let (mut low, mut high) = (0.0, 4.0 * critical.abs() + 10.0);
    while high - low > 1e-9 * high {
        let middle = 0.5 * (low + high);
        if power(middle) < 0.8 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

/// How many seeds make a t interval of the mean at `confidence` no wider than ± `half_width`: the smallest n with
/// t_{(1 + confidence)/2, n − 1} · sd / √n ≤ `half_width`.
///
/// Worked example: sd 0.1 and ± 0.05 at 95 %: 2.093 · 0.1 / √20 = 0.0468 with twenty seeds; eighteen are the first
/// with 2.110 · 0.1 / √18 = 0.0497.
///
/// ```
/// # use dal_eval::seeds_for_half_width;
/// assert_eq!(seeds_for_half_width(0.1, 0.05, 0.95)?, Some(18));
/// assert_eq!(seeds_for_half_width(1e9, 0.05, 0.95)?, None);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// `None` where more than [`MOST_SEEDS`] would be needed.
///
/// # Errors
/// [`EvalError::OutOfRange`] for a confidence outside (0, 1), an sd that is negative or not finite, or a half-width
/// that is not positive.
pub fn seeds_for_half_width(sd: f64, half_width: f64, confidence: f64) -> Result<Option<usize>, EvalError> {
    check_spread(sd, confidence)?;
    if !(half_width > 0.0 && half_width.is_finite()) {
        let must = "positive and finite";
        return Err(EvalError::OutOfRange { what: "half-width", index: 0, value: half_width, must });
    }
    fewest(2, (1.0 + confidence) / 2.0, |quantile| (quantile * sd / half_width).powi(2))
}

fn check_spread(sd: f64, level: f64) -> Result<(), EvalError> {
    let checked =
        [("standard deviation", sd, sd.is_finite() && sd >= 0.0), ("level", level, level > 0.0 && level < 1.0)];
    match checked.into_iter().find(|(.., fine)| !fine) {
        Some((what, value, _)) => Err(EvalError::OutOfRange { what, index: 0, value, must: "finite and in its range" }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_spreads_out_of_range_are_typed() {
        for level in [-1.0, 0.0, 1.0, 2.0] {
            for found in [
                smallest_effect(0.1, 10, level).map(|_| ()),
                seeds_to_find(0.1, 0.1, level).map(|_| ()),
                seeds_for_half_width(0.1, 0.1, level).map(|_| ()),
            ] {
                assert!(matches!(found, Err(EvalError::OutOfRange { what: "level", .. })), "{level}: {found:?}");
            }
        }
        for sd in [-0.1, f64::INFINITY, f64::NAN] {
            let found = smallest_effect(sd, 10, 0.05);
            assert!(matches!(found, Err(EvalError::OutOfRange { what: "standard deviation", .. })), "{found:?}");
        }
        assert_eq!(smallest_effect(0.0, 10, 0.05), Ok(Some(0.0)));
    }

    #[test]
    fn worked_examples() {
        assert_eq!(seeds_to_reach(0.025, 1), Some(6));
        assert_eq!(seeds_to_reach(0.025, 8), Some(9));
        for level in [-1.0, 0.0, 1.0, 2.0, f64::NAN] {
            assert_eq!((seeds_to_reach(level, 1), seeds_for_robust(level, 1)), (None, None), "{level}");
        }
        assert_eq!((seeds_to_reach(0.025, 0), seeds_for_robust(0.025, 0)), (None, None));
        assert_eq!(seeds_to_find(0.1, 0.1, 0.025), Ok(Some(11)));
        assert_eq!(seeds_to_find(1.0, 0.0, 0.025), Ok(Some(6)));
        assert_eq!(seeds_to_find(1e-6, 1.0, 0.025), Ok(None));
        assert!(seeds_to_find(f64::NAN, 1.0, 0.025).is_err());
    }

    /// The effect that n seeds find is that which needs n seeds, but for the efficiency of the rank test and for the
    /// normal distribution that stands for the noncentral t there.
    #[test]
    fn effects_and_seeds_agree() {
        for n in [8, 10, 20, 100] {
            let effect = smallest_effect(0.3, n, 0.025).unwrap().unwrap();
            let seeds = seeds_to_find(effect * (1.0 + 1e-9) / EFFICIENCY.sqrt(), 0.3, 0.025).unwrap();
            assert!(seeds == Some(n) || seeds == Some(n - 1), "{n}: {seeds:?}");
        }
        assert_eq!(smallest_effect(0.0, 10, 0.025), Ok(Some(0.0)));
        assert!(smallest_effect(-1.0, 10, 0.025).is_err() && smallest_effect(1.0, 10, 1.0).is_err());
    }

    /// SciPy 1.16: `brentq(lambda d: nct.sf(t.ppf(1 - level, n - 1), n - 1, d) - 0.8, 0, …) * sd / sqrt(n)`.
    #[test]
    fn effects_are_those_of_the_noncentral_t() {
        for (sd, n, level, due) in [
            (0.1, 10, 0.025, 0.099_600_225_430_7),
            (0.1, 10, 0.0125 / 102.0, 0.224_396_491_404),
            (0.2, 5, 0.025 / 66.0, 1.024_521_064_96),
            (1.0, 60, 0.001, 0.529_101_588_658),
            (0.3, 3, 0.01, 1.551_751_310_28),
            (0.1, 2, 0.025, 1.154_988_843_59),
        ] {
            let found = smallest_effect(sd, n, level).unwrap().unwrap();
            assert!((found / due - 1.0).abs() < 1e-4, "{sd}, {n}, {level}: {found}");
        }
    }

    #[test]
    fn half_widths_are_those_of_the_interval() {
        for sd in [0.0, 0.02, 0.1, 0.7] {
            let n = seeds_for_half_width(sd, 0.05, 0.95).unwrap().unwrap();
            let half = |n: usize| t_quantile(0.975, (n - 1) as f64).unwrap() * sd / (n as f64).sqrt();
            assert!(half(n) <= 0.05 && (n == 2 || half(n - 1) > 0.05), "{sd}: {n}");
        }
        assert!(seeds_for_half_width(0.1, 0.0, 0.95).is_err());
    }

    #[test]
    fn smaller_effects_need_more() {
        let mut last = 0;
        for mean in [1.0, 0.5, 0.2, 0.1, 0.05] {
            let n = seeds_to_find(mean, 0.3, 0.025).unwrap().unwrap();
            assert!(n >= last);
            last = n;
        }
    }
}
