//! Ranks with ties and the rank correlation of a method's score with the true error.

use crate::error::{EvalError, check_finite};

/// Ranks 1..n of finite values in ascending order; equal values share the mean of the ranks they occupy.
///
/// ```
/// # use dal_eval::average_ranks;
/// assert_eq!(average_ranks(&[10.0, 20.0, 10.0, 5.0])?, [2.5, 4.0, 2.5, 1.0]);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::NonFinite`].
pub fn average_ranks(values: &[f64]) -> Result<Vec<f64>, EvalError> {
    check_finite("ranked value", values.iter().copied())?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        // `==` and not `total_cmp`, so that 0.0 and −0.0 are a tie; they are adjacent in the total order.
        let tied = order[start..].iter().take_while(|&&i| values[i] == values[order[start]]).count();
        let shared = start as f64 + (tied as f64 + 1.0) / 2.0;
        for &i in &order[start..start + tied] {
            ranks[i] = shared;
        }
        start += tied;
    }
    Ok(ranks)
}

/// Spearman's rank correlation ρ: Pearson's correlation of the [`average_ranks`] of a and b, so that ties are handled.
///
/// No unit, in [−1, 1]; higher is better where a is a method's acquisition score and b the true absolute error on the
/// same pool points: 1 means that the method ranks the points exactly by their error.
///
/// Worked example: a = (1, 2, 3, 4), b = (1, 3, 2, 4): without ties ρ = 1 − 6 Σd² / (n(n² − 1)) = 1 − 6 · 2 / 60 = 0.8.
///
/// ```
/// # use dal_eval::rank_correlation;
/// let rho = rank_correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0])?;
/// assert!((rho - 0.8).abs() < 1e-15);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] below two values, [`EvalError::NonFinite`],
/// [`EvalError::Undefined`] where either input is constant.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Result<f64, EvalError> {
    if a.len() != b.len() {
        return Err(EvalError::ShapeMismatch { what: "rank correlation", left: vec![a.len()], right: vec![b.len()] });
    }
    if a.len() < 2 {
        return Err(EvalError::TooFew { what: "pairs of a rank correlation", needed: 2, got: a.len() });
    }
    let (ra, rb) = (average_ranks(a)?, average_ranks(b)?);
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let (mut saa, mut sbb, mut sab) = (0.0, 0.0, 0.0);
    for (x, y) in ra.iter().zip(&rb) {
        let (dx, dy) = (x - mean, y - mean);
        saa += dx * dx;
        sbb += dy * dy;
        sab += dx * dy;
    }
    if saa == 0.0 || sbb == 0.0 {
        return Err(EvalError::Undefined { what: "rank correlation", why: "one input is constant" });
    }
    Ok((sab / (saa * sbb).sqrt()).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_examples() {
        let rho = rank_correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((rho - 0.8).abs() < 1e-15);
        // With a tie: ranks (1, 2.5, 2.5, 4) against (1, 2, 3, 4), Σdxdy = 4.5, ρ = 4.5 / √(4.5 · 5).
        let rho = rank_correlation(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((rho - 4.5 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn zeros_of_either_sign_tie() {
        assert_eq!(average_ranks(&[0.0, -0.0, 1.0]), Ok(vec![1.5, 1.5, 3.0]));
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), Err(EvalError::Undefined { .. })));
        assert!(matches!(rank_correlation(&[1.0], &[1.0]), Err(EvalError::TooFew { .. })));
        assert!(matches!(rank_correlation(&[1.0], &[1.0, 2.0]), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(rank_correlation(&[1.0, f64::NAN], &[1.0, 2.0]), Err(EvalError::NonFinite { index: 1, .. })));
    }

    proptest! {
        /// Ranks add up to n (n + 1) / 2 and agree with counting smaller and equal values.
        #[test]
        fn ranks_equal_counting(values in prop::collection::vec((-5..5_i32).prop_map(f64::from), 1..40)) {
            let ranks = average_ranks(&values).unwrap();
            for (i, &v) in values.iter().enumerate() {
                let below = values.iter().filter(|&&w| w < v).count() as f64;
                let equal = values.iter().filter(|&&w| w == v).count() as f64;
                prop_assert_eq!(ranks[i], below + (equal + 1.0) / 2.0);
            }
        }

        /// Monotone transformations leave ρ alone; a reversal flips its sign.
        #[test]
        fn invariant_under_monotone_maps(pairs in prop::collection::vec((-1.0..1.0_f64, -1.0..1.0_f64), 3..40)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let rho = rank_correlation(&a, &b).unwrap();
            let cubed: Vec<f64> = a.iter().map(|v| (4.0 * v).exp()).collect();
            let flipped: Vec<f64> = a.iter().map(|v| -v).collect();
            prop_assert!((rank_correlation(&cubed, &b).unwrap() - rho).abs() < 1e-12);
            prop_assert!((rank_correlation(&flipped, &b).unwrap() + rho).abs() < 1e-12);
        }
    }
}
