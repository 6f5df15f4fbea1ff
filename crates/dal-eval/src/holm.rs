//! Holm's step-down adjustment of p-values.

use crate::error::{EvalError, check_finite};

/// Holm-adjusted p-values, in the order given: with p_(1) ≤ … ≤ p_(m), the adjusted value of p_(i) is
/// max_{k ≤ i} min(1, (m − k + 1) p_(k)). Rejecting where the adjusted value is at most α keeps the chance of any false
/// rejection at α, whatever the dependence.
///
/// Worked example: (0.01, 0.04, 0.03) gives (0.03, 0.06, 0.06).
///
/// ```
/// # use dal_eval::holm;
/// let adjusted = holm(&[0.01, 0.04, 0.03])?;
/// for (a, b) in adjusted.iter().zip([0.03, 0.06, 0.06]) {
///     assert!((a - b).abs() < 1e-15);
/// }
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
/// (1979).
///
/// # Errors
/// [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a p outside [0, 1].
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, EvalError> {
    check_finite("p-value", p_values.iter().copied())?;
    if let Some(index) = p_values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(EvalError::OutOfRange { what: "p-value", index, value: p_values[index], must: "in [0, 1]" });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut running = 0.0_f64;
    for (k, &i) in order.iter().enumerate() {
        running = running.max(((p_values.len() - k) as f64 * p_values[i]).min(1.0));
        adjusted[i] = running;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(holm(&[0.5, 1.5]), Err(EvalError::OutOfRange { index: 1, .. })));
        assert!(matches!(holm(&[f64::NAN]), Err(EvalError::NonFinite { .. })));
        assert_eq!(holm(&[]), Ok(vec![]));
    }

    proptest! {
        /// Holm is the closed test with Bonferroni: the adjusted p of i is the largest, over all sets S that contain i,
        /// of
        /// |S| · min p in S.
        #[test]
        fn equals_the_closed_test(p in prop::collection::vec(0.0..=1.0_f64, 1..8)) {
            let adjusted = holm(&p).unwrap();
            for i in 0..p.len() {
                let mut closed = 0.0_f64;
                for set in (1_u32..1 << p.len()).filter(|set| set >> i & 1 == 1) {
                    let members = (0..p.len()).filter(|k| set >> k & 1 == 1);
                    let smallest = members.map(|k| p[k]).fold(f64::INFINITY, f64::min);
                    closed = closed.max((f64::from(set.count_ones()) * smallest).min(1.0));
                }
                prop_assert!((adjusted[i] - closed).abs() < 1e-14);
            }
        }
    }
}
