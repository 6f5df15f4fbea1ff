//! Mean cosine similarity to the most similar other points, through unit vectors.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::{GeomError, Neighbours, Search, check_finite};

/// Mean cosine similarity of every point `(n, d)` to its `k` most similar other points: shape `(n,)`.
///
/// On unit vectors `cos(u, v) = 1 − |u − v|²/2`, so the most similar points are the nearest ones. A zero vector has no
/// direction; its similarity to every point is defined as 0. Fewer than `k` other points: all of them count; a single
/// point has no other and gets 0.
///
/// In one dimension every similarity is ±1, and where `k` points share a sign the result is the constant 1.
///
/// # Errors
/// [`GeomError::NonFinite`]; [`GeomError::Dimension`] where `d` is 0.
///
/// ```
/// use ndarray::array;
///
/// let x = array![[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]];
/// assert_eq!(dal_geom::mean_cosine_similarity(x.view(), 1)?, array![1.0, 1.0, 0.0]);
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
pub fn mean_cosine_similarity(x: ArrayView2<'_, f64>, k: usize) -> Result<Array1<f64>, GeomError> {
    if x.ncols() == 0 {
        return Err(GeomError::Dimension { what: "points to compare", expected: 1, found: 0 });
    }
    check_finite("points to compare", x)?;
    let n = x.nrows();
    let k = k.min(n.saturating_sub(1));
    let mut similarity = Array1::zeros(n);
    if k == 0 {
        return Ok(similarity);
    }
    let directed: Vec<usize> = (0..n).filter(|&i| x.row(i).iter().any(|&v| v != 0.0)).collect();
    let n_zero = n - directed.len();
    let mut units = Array2::zeros((directed.len(), x.ncols()));
    for (&i, mut unit) in directed.iter().zip(units.axis_iter_mut(Axis(0))) {
        unit.assign(&direction(x.row(i)));
    }
    let squared = Neighbours::new("unit vectors", units.view(), Search::Auto)?.to_others(k);
    for (&i, near) in directed.iter().zip(squared.outer_iter()) {
        // Zero vectors, at similarity 0, stand before every point at an obtuse angle.
        let positive = near.iter().map(|s| 1.0 - s / 2.0).filter(|c| *c >= 0.0);
        let negative = near.iter().map(|s| 1.0 - s / 2.0).filter(|c| *c < 0.0);
        let best = positive.chain(std::iter::repeat_n(0.0, n_zero)).chain(negative).take(k);
        similarity[i] = best.sum::<f64>() / k as f64;
    }
    Ok(similarity)
}

/// `x / |x|`, scaled by the largest coordinate first, so that squares neither overflow nor vanish.
fn direction(x: ArrayView1<'_, f64>) -> Array1<f64> {
    let scale = x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let scaled = x.mapv(|v| v / scale);
    let norm = scaled.iter().map(|v| v * v).sum::<f64>().sqrt();
    scaled / norm
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    fn naive(x: &Array2<f64>, k: usize) -> Vec<f64> {
        let n = x.nrows();
        let k = k.min(n - 1);
        (0..n)
            .map(|i| {
                let mut all: Vec<f64> = (0..n)
                    .filter(|&j| j != i)
                    .map(|j| {
                        let (a, b) = (x.row(i), x.row(j));
                        let norms = (a.dot(&a) * b.dot(&b)).sqrt();
                        if norms == 0.0 { 0.0 } else { a.dot(&b) / norms }
                    })
                    .collect();
                all.sort_by(|a, b| b.total_cmp(a));
                if k == 0 { 0.0 } else { all[..k].iter().sum::<f64>() / k as f64 }
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn equals_all_pairs(
            (n, d, k) in (1..50usize, 1..6usize, 1..13usize),
            raw in prop::collection::vec(-4..=4i32, 50 * 5),
        ) {
            let x = Array2::from_shape_fn((n, d), |(i, j)| f64::from(raw[i * d + j]) / 4.0);
            let fast = mean_cosine_similarity(x.view(), k).unwrap();
            for (a, b) in fast.iter().zip(naive(&x, k)) {
                prop_assert!((a - b).abs() < 1e-14, "{a} {b}");
            }
        }
    }

    #[test]
    fn one_dimension_is_constant_and_scale_free() {
        let x = array![[0.3], [1e-200], [0.7], [1e200]];
        assert_eq!(mean_cosine_similarity(x.view(), 10).unwrap(), array![1.0, 1.0, 1.0, 1.0]);
        assert_eq!(mean_cosine_similarity(array![[2.0, 1.0]].view(), 10).unwrap(), array![0.0]);
        assert!(mean_cosine_similarity(array![[f64::NAN]].view(), 1).is_err());
    }
}
