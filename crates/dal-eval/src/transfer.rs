//! Transfer of the pool ratio γ: choose it on one problem, use it on another.

use crate::error::EvalError;

/// What choosing γ elsewhere costs.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolRatioTransfer {
    /// Index of the best pool ratio of each problem (the first, where several are best).
    pub chosen: Vec<usize>,
    /// `regret[s][t]`: nAUC on problem t at the pool ratio chosen on s, divided by the best of t. At least 1; 1 when s
    /// = t.
    pub regret: Vec<Vec<f64>>,
    /// For each problem t, the geometric mean over all other problems s of nAUC on t at the pool ratio chosen on s:
    /// what a user can expect who tunes γ somewhere else. Below 1 still beats Random.
    pub transferred: Vec<f64>,
}

/// Transfers γ between all pairs of problems; `values[p][g]` is the nAUC of one method on problem p at the g-th pool
/// ratio.
///
/// The best of the target is the smallest of noisy values, so the regret is an upper estimate.
///
/// Worked example: problem A (0.8, 1.0), problem B (1.2, 0.6): A chooses the first, B the second. A's choice on B costs
/// 1.2 / 0.6 = 2, B's on A 1.0 / 0.8 = 1.25; transferred values are 1.0 on A and 1.2 on B.
///
/// ```
/// # use dal_eval::pool_ratio_transfer;
/// let transfer = pool_ratio_transfer(&[vec![0.8, 1.0], vec![1.2, 0.6]])?;
/// assert_eq!(transfer.chosen, [0, 1]);
/// assert_eq!(transfer.regret, [[1.0, 2.0], [1.25, 1.0]]);
/// assert!((transfer.transferred[1] - 1.2).abs() < 1e-15);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] below two problems or two pool ratios, [`EvalError::ShapeMismatch`] where problems differ in
/// their number of pool ratios, [`EvalError::OutOfRange`] for a value that is not positive and finite.
pub fn pool_ratio_transfer(values: &[Vec<f64>]) -> Result<PoolRatioTransfer, EvalError> {
    let n_ratios = values.first().map_or(0, Vec::len);
    if values.len() < 2 || n_ratios < 2 {
        return Err(EvalError::TooFew {
            what: "problems, and pool ratios of each",
            needed: 2,
            got: values.len().min(n_ratios),
        });
    }
    for row in values {
        if row.len() != n_ratios {
            return Err(EvalError::ShapeMismatch {
                what: "pool ratios of a problem",
                left: vec![n_ratios],
                right: vec![row.len()],
            });
        }
        if let Some(index) = row.iter().position(|v| !(*v > 0.0 && v.is_finite())) {
            return Err(EvalError::OutOfRange {
                what: "cell value",
                index,
                value: row[index],
                must: "positive and finite",
            });
        }
    }
    let chosen: Vec<usize> =
        values.iter().map(|row| (1..n_ratios).fold(0, |best, g| if row[g] < row[best] { g } else { best })).collect();
    let regret =
        chosen.iter().map(|&g| values.iter().zip(&chosen).map(|(row, &best)| row[g] / row[best]).collect()).collect();
    let transferred = values
        .iter()
        .enumerate()
        .map(|(t, row)| {
            let logs = chosen.iter().enumerate().filter(|(s, _)| *s != t).map(|(_, &g)| row[g].ln());
            (logs.sum::<f64>() / (values.len() - 1) as f64).exp()
        })
        .collect();
    Ok(PoolRatioTransfer { chosen, regret, transferred })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transferred_is_the_geometric_mean_over_the_others() {
        let transfer = pool_ratio_transfer(&[vec![0.5, 1.0, 1.0], vec![1.0, 0.5, 1.0], vec![0.4, 0.9, 0.3]]).unwrap();
        assert_eq!(transfer.chosen, [0, 1, 2]);
        assert!((transfer.transferred[2] - (0.4_f64 * 0.9).sqrt()).abs() < 1e-15);
        for (s, row) in transfer.regret.iter().enumerate() {
            assert_eq!(row[s], 1.0);
            assert!(row.iter().all(|&r| r >= 1.0));
        }
    }

    #[test]
    fn of_equals_the_first_is_chosen() {
        let transfer = pool_ratio_transfer(&[vec![0.5, 0.5], vec![1.0, 0.8]]).unwrap();
        assert_eq!(transfer.chosen, [0, 1]);
        assert_eq!(transfer.regret, [[1.0, 1.25], [1.0, 1.0]]);
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(pool_ratio_transfer(&[vec![1.0; 2], vec![1.0, 0.0]]), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(pool_ratio_transfer(&[vec![1.0, 1.0]]), Err(EvalError::TooFew { .. })));
        assert!(matches!(pool_ratio_transfer(&[vec![1.0], vec![1.0]]), Err(EvalError::TooFew { .. })));
        assert!(matches!(pool_ratio_transfer(&[vec![1.0; 2], vec![1.0; 3]]), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(pool_ratio_transfer(&[vec![1.0; 2], vec![1.0, -1.0]]), Err(EvalError::OutOfRange { .. })));
    }
}
