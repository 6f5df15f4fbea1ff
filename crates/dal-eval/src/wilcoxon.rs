//! Wilcoxon's signed-rank test for paired seeds, with its exact null distribution.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::error::{EvalError, check_finite};
use crate::rank::average_ranks;

/// The hypothesis that a test looks for. Differences are method − Random of log nAUC, so `Less` means "better than
/// Random".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alternative {
    /// Differences tend to be below zero.
    Less,
    /// Differences tend to be above zero.
    Greater,
    /// Differences tend to one side or the other.
    TwoSided,
}

/// Above this many non-zero differences the normal approximation replaces the exact distribution: the exact one costs a
/// number of steps that grows with the cube of n, and at this size they agree to three digits.
const LARGEST_EXACT: usize = 200;

/// The outcome of [`wilcoxon_signed_rank`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    /// W⁺, the sum of the ranks of the positive differences.
    pub w_plus: f64,
    /// W⁻, the sum of the ranks of the negative differences.
    pub w_minus: f64,
    /// Differences that are not zero.
    pub n_used: usize,
    /// The p-value.
    pub p: f64,
    /// Whether `p` comes from the exact distribution rather than the normal approximation.
    pub exact: bool,
}

/// Wilcoxon's signed-rank test that differences are symmetric about zero.
///
/// Zeros are dropped (Wilcoxon's own treatment, SciPy's default), the absolute values ranked with mean ranks for ties,
/// and W⁺ compared with its distribution when every sign is a fair coin, given the observed ranks. That conditional
/// distribution is computed exactly for up to 200 non-zero differences, with ties or without; beyond, the normal
/// approximation with mean n(n+1)/4 and the tie-corrected variance Σ r_i² / 4, without continuity correction. One-sided
/// p is P(W⁺ ≤ w) or P(W⁺ ≥ w), two-sided twice the smaller, at most 1. Differences that are all zero say nothing: p =
/// 1.
///
/// Worked example: differences (−1, −2, −3, −4, −5) have W⁺ = 0, reached by one of 2⁵ sign patterns: p = 1/32 = 0.03125
/// one-sided and 0.0625 two-sided, the smallest that five seeds can give.
///
/// ```
/// # use dal_eval::{Alternative, wilcoxon_signed_rank};
/// let d = [-1.0, -2.0, -3.0, -4.0, -5.0];
/// assert_eq!(wilcoxon_signed_rank(&d, Alternative::Less)?.p, 1.0 / 32.0);
/// assert_eq!(wilcoxon_signed_rank(&d, Alternative::TwoSided)?.p, 1.0 / 16.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source: F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945).
///
/// # Errors
/// [`EvalError::TooFew`] for no differences, [`EvalError::NonFinite`].
pub fn wilcoxon_signed_rank(differences: &[f64], alternative: Alternative) -> Result<Wilcoxon, EvalError> {
    if differences.is_empty() {
        return Err(EvalError::TooFew { what: "differences of a signed-rank test", needed: 1, got: 0 });
    }
    check_finite("difference", differences.iter().copied())?;
    let used: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let ranks = average_ranks(&used.iter().map(|d| d.abs()).collect::<Vec<_>>())?;
    let w_plus: f64 = used.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, r)| r).sum();
    let w_minus: f64 = ranks.iter().sum::<f64>() - w_plus;
    let exact = used.len() <= LARGEST_EXACT;
    let (at_most, at_least) = if exact { exact_tails(&ranks, w_plus) } else { normal_tails(&ranks, w_plus)? };
    let p = match alternative {
        Alternative::Less => at_most,
        Alternative::Greater => at_least,
        Alternative::TwoSided => (2.0 * at_most.min(at_least)).min(1.0),
    };
    Ok(Wilcoxon { w_plus, w_minus, n_used: used.len(), p, exact })
}

/// P(W⁺ ≤ w) and P(W⁺ ≥ w) over all sign patterns, by adding one rank after another to the distribution of the sum.
/// Ranks are multiples of one half, so doubled ones are whole numbers and the sums an array index.
fn exact_tails(ranks: &[f64], w_plus: f64) -> (f64, f64) {
    let doubled: Vec<usize> = ranks.iter().map(|r| (2.0 * r).round() as usize).collect();
    let mut probability = vec![0.0; doubled.iter().sum::<usize>() + 1];
    probability[0] = 1.0;
    let mut reach = 0;
    for r in doubled {
        reach += r;
        for sum in (0..=reach).rev() {
            let with = if sum >= r { probability[sum - r] } else { 0.0 };
            probability[sum] = 0.5 * (probability[sum] + with);
        }
    }
    let w = (2.0 * w_plus).round() as usize;
    (probability[..=w].iter().sum::<f64>().min(1.0), probability[w..].iter().sum::<f64>().min(1.0))
}

/// The normal approximation of the two tails.
fn normal_tails(ranks: &[f64], w_plus: f64) -> Result<(f64, f64), EvalError> {
    let mean = ranks.iter().sum::<f64>() / 2.0;
    let variance = ranks.iter().map(|r| r * r).sum::<f64>() / 4.0;
    let z = (w_plus - mean) / variance.sqrt();
    let normal = Normal::standard();
    Ok((normal.cdf(z), normal.sf(z)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_example() {
        let d = [-1.0, -2.0, -3.0, -4.0, -5.0];
        let one = wilcoxon_signed_rank(&d, Alternative::Less).unwrap();
        assert_eq!((one.w_plus, one.w_minus, one.n_used, one.p), (0.0, 15.0, 5, 1.0 / 32.0));
        assert_eq!(wilcoxon_signed_rank(&d, Alternative::Greater).unwrap().p, 1.0);
        let both = wilcoxon_signed_rank(&[0.1, -0.2, 0.3], Alternative::Less).unwrap();
        assert_eq!((both.w_plus, both.w_minus), (4.0, 2.0));
    }

    #[test]
    fn zeros_say_nothing() {
        let test = wilcoxon_signed_rank(&[0.0, 0.0], Alternative::TwoSided).unwrap();
        assert_eq!((test.p, test.n_used), (1.0, 0));
    }

    #[test]
    fn large_samples_use_the_approximation_which_is_close() {
        let d: Vec<f64> =
            (0..LARGEST_EXACT + 1).map(|i| (i as f64 + 0.5) * if i % 9 < 4 { -1.0 } else { 1.0 }).collect();
        let approximate = wilcoxon_signed_rank(&d, Alternative::TwoSided).unwrap();
        let exact = wilcoxon_signed_rank(&d[1..], Alternative::TwoSided).unwrap();
        assert!(!approximate.exact && exact.exact);
        assert!((approximate.p - exact.p).abs() < 0.02, "{} {}", approximate.p, exact.p);
        // Without ties: the ranks 1 to n have mean n (n + 1) / 4 and variance n (n + 1) (2n + 1) / 24.
        let n = d.len() as f64;
        let z = (approximate.w_plus - n * (n + 1.0) / 4.0) / (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        assert!((approximate.p - 2.0 * Normal::standard().sf(z.abs())).abs() < 1e-12, "{}", approximate.p);
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(wilcoxon_signed_rank(&[], Alternative::Less), Err(EvalError::TooFew { .. })));
        assert!(matches!(wilcoxon_signed_rank(&[f64::NAN], Alternative::Less), Err(EvalError::NonFinite { .. })));
    }

    /// The tails by listing all sign patterns.
    fn enumerated(d: &[f64]) -> (f64, f64) {
        let used: Vec<f64> = d.iter().copied().filter(|&v| v != 0.0).collect();
        let ranks = average_ranks(&used.iter().map(|v| v.abs()).collect::<Vec<_>>()).unwrap();
        let w: f64 = used.iter().zip(&ranks).filter(|(v, _)| **v > 0.0).map(|(_, r)| r).sum();
        let n = 1_u32 << used.len();
        let (mut less, mut greater) = (0, 0);
        for pattern in 0..n {
            let sum: f64 = ranks.iter().enumerate().filter(|(i, _)| pattern >> i & 1 == 1).map(|(_, r)| r).sum();
            less += u32::from(sum <= w);
            greater += u32::from(sum >= w);
        }
        (f64::from(less) / f64::from(n), f64::from(greater) / f64::from(n))
    }

    proptest! {
        /// Exact p-values equal the enumeration of all sign patterns, ties and zeros included.
        #[test]
        fn equals_enumeration(d in prop::collection::vec((-4..5_i32).prop_map(f64::from), 1..11)) {
            let (less, greater) = enumerated(&d);
            prop_assert!((wilcoxon_signed_rank(&d, Alternative::Less).unwrap().p - less).abs() < 1e-14);
            prop_assert!((wilcoxon_signed_rank(&d, Alternative::Greater).unwrap().p - greater).abs() < 1e-14);
        }
    }
}
