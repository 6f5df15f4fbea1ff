//! Diversity of queried batches: the mean distance to the nearest neighbour inside the batch.

use ndarray::ArrayView2;

use crate::error::{EvalError, check_finite};

/// Diversity of one batch: (1 / n) Σ_i min_{k ≠ i} ‖x_i − x_k‖, Euclidean on unit-box inputs. Unit: unit-box length;
/// higher means more spread out, which by itself is neither good nor bad.
///
/// Shapes: (n_queries, n_inputs), at least two queries. Plain O(n²) loops: a batch has some forty points.
///
/// Worked example: points 0, 1 and 3 on a line have nearest-neighbour distances 1, 1 and 2, so the diversity is 4/3.
///
/// ```
/// # use dal_eval::batch_diversity;
/// # use ndarray::array;
/// let d = batch_diversity(array![[0.0], [1.0], [3.0]].view())?;
/// assert!((d - 4.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] below two queries (one point has no neighbour), [`EvalError::NonFinite`].
pub fn batch_diversity(queries: ArrayView2<'_, f64>) -> Result<f64, EvalError> {
    let n = queries.nrows();
    if n < 2 {
        return Err(EvalError::TooFew { what: "queries of a batch", needed: 2, got: n });
    }
    check_finite("coordinate of a query", queries.iter().copied())?;
    let mut nearest = vec![f64::INFINITY; n];
    for i in 0..n {
        for k in i + 1..n {
            let square: f64 = queries.row(i).iter().zip(queries.row(k)).map(|(a, b)| (a - b) * (a - b)).sum();
            nearest[i] = nearest[i].min(square);
            nearest[k] = nearest[k].min(square);
        }
    }
    Ok(nearest.iter().map(|square| square.sqrt()).sum::<f64>() / n as f64)
}

/// Diversity of a run: the mean of [`batch_diversity`] over its steps. nDiv of one seed is this divided by Random's of
/// the same seed (see [`paired_ratios`](crate::paired_ratios)); a cell's value is the geometric mean of those ratios.
///
/// Worked example: a first batch of 0, 1, 3 (4/3) and a second of 0, 2 (2) have the mean 5/3; if Random's is 5/6, nDiv
/// is 2.
///
/// ```
/// # use dal_eval::mean_batch_diversity;
/// # use ndarray::array;
/// let batches = [array![[0.0], [1.0], [3.0]], array![[0.0], [2.0]]];
/// let d = mean_batch_diversity(batches.iter().map(|b| b.view()))?;
/// assert!((d - 5.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`batch_diversity`], and [`EvalError::TooFew`] for a run without steps.
pub fn mean_batch_diversity<'a>(batches: impl IntoIterator<Item = ArrayView2<'a, f64>>) -> Result<f64, EvalError> {
    let (mut sum, mut n_steps) = (0.0, 0_usize);
    for batch in batches {
        sum += batch_diversity(batch)?;
        n_steps += 1;
    }
    if n_steps == 0 {
        return Err(EvalError::TooFew { what: "steps of a run", needed: 1, got: 0 });
    }
    Ok(sum / n_steps as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    #[test]
    fn worked_examples() {
        let first = array![[0.0], [1.0], [3.0]];
        let second = array![[0.0], [2.0]];
        assert!((batch_diversity(first.view()).unwrap() - 4.0 / 3.0).abs() < 1e-15);
        let run = mean_batch_diversity([first.view(), second.view()]).unwrap();
        assert!((run - 5.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn duplicates_have_no_distance() {
        assert_eq!(batch_diversity(array![[1.0, 2.0], [1.0, 2.0]].view()), Ok(0.0));
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(batch_diversity(array![[1.0]].view()), Err(EvalError::TooFew { got: 1, .. })));
        assert!(matches!(batch_diversity(array![[1.0], [f64::NAN]].view()), Err(EvalError::NonFinite { .. })));
        assert!(matches!(mean_batch_diversity([]), Err(EvalError::TooFew { got: 0, .. })));
    }

    proptest! {
        /// Scaling the points scales the diversity; their order does not matter; the naive double loop agrees.
        #[test]
        fn scales_and_ignores_order(
            values in prop::collection::vec(-1.0..1.0_f64, 6..60),
            c in 0.1..10.0_f64,
        ) {
            let n = values.len() / 3;
            let x = Array2::from_shape_fn((n, 3), |(i, j)| values[3 * i + j]);
            let plain = batch_diversity(x.view()).unwrap();
            let scaled = batch_diversity(x.mapv(|v| c * v).view()).unwrap();
            prop_assert!((scaled - c * plain).abs() < 1e-12 * c);
            let reversed = Array2::from_shape_fn((n, 3), |(i, j)| x[[n - 1 - i, j]]);
            prop_assert!((batch_diversity(reversed.view()).unwrap() - plain).abs() < 1e-13);
            let naive: f64 = (0..n).map(|i| {
                (0..n).filter(|&k| k != i)
                    .map(|k| (0..3).map(|j| (x[[i, j]] - x[[k, j]]).powi(2)).sum::<f64>().sqrt())
                    .fold(f64::INFINITY, f64::min)
            }).sum::<f64>() / n as f64;
            prop_assert!((naive - plain).abs() < 1e-13);
        }
    }
}
