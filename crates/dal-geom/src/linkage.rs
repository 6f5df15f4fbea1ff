//! Average-linkage clustering through kodama in single precision, with a budget for its matrix.

use kodama::{Method, linkage};
use ndarray::ArrayView2;

use crate::{GeomError, PointSet, squared_distance};

/// Default budget of the condensed matrix: 1 GiB, enough for 23 170 points.
pub const DEFAULT_MATRIX_BUDGET: usize = 1 << 30;

/// Average-linkage clusters of points `(n, d)`, cut where `n_clusters` remain: `labels[i]` is the cluster of point `i`.
///
/// Clusters are numbered by their lowest point. Distances are Euclidean, computed as differences in double precision
/// and rounded to single for kodama, whose condensed matrix takes `2 n (n − 1)` bytes; a larger one than `budget_bytes`
/// is refused before anything is allocated.
///
/// Cost: O(n²) time and memory.
///
/// # Errors
/// [`GeomError::MatrixTooLarge`] with the largest number of points that fits; [`GeomError::OutOfRange`] where
/// `n_clusters` is not in `1..=n`; [`GeomError::NonFinite`], also where a squared distance overflows.
///
/// Source: D. Müllner, Modern hierarchical, agglomerative clustering algorithms, arXiv 1109.2378 (2011).
///
/// ```
/// use ndarray::array;
///
/// let x = array![[0.0], [5.0], [0.1], [5.2], [9.0]];
/// let labels = dal_geom::average_linkage(x.view(), 3, dal_geom::DEFAULT_MATRIX_BUDGET)?;
/// assert_eq!(labels, [0, 1, 0, 1, 2]);
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
pub fn average_linkage(
    x: ArrayView2<'_, f64>,
    n_clusters: usize,
    budget_bytes: usize,
) -> Result<Vec<usize>, GeomError> {
    let n = x.nrows();
    if n_clusters == 0 || n_clusters > n {
        return Err(GeomError::OutOfRange { what: "the number of clusters", found: n_clusters, least: 1, most: n });
    }
    let needed_bytes = condensed_bytes(n);
    if needed_bytes > budget_bytes as u128 {
        return Err(GeomError::MatrixTooLarge {
            n_points: n,
            needed_bytes,
            budget_bytes,
            largest: largest(budget_bytes),
        });
    }
    let mut condensed = condensed_distances(x)?;
    // kodama sorts the merges by dissimilarity; the first n − k of them leave k clusters.
    let merges = linkage(&mut condensed, n, Method::Average);
    let mut parent: Vec<usize> = (0..n + merges.len()).collect();
    for (step, merge) in merges.steps().iter().take(n - n_clusters).enumerate() {
        parent[merge.cluster1] = n + step;
        parent[merge.cluster2] = n + step;
    }
    // Parents have higher numbers than children, so one pass from the top finds every root.
    for i in (0..parent.len()).rev() {
        parent[i] = parent[parent[i]];
    }
    let mut names = vec![usize::MAX; parent.len()];
    let mut n_named = 0;
    Ok((0..n)
        .map(|i| {
            let name = &mut names[parent[i]];
            if *name == usize::MAX {
                *name = n_named;
                n_named += 1;
            }
            *name
        })
        .collect())
}

/// Bytes of the condensed single-precision matrix of `n` points.
fn condensed_bytes(n: usize) -> u128 {
    let n = n as u128;
    2 * n * n.saturating_sub(1)
}

/// The most points whose matrix fits.
fn largest(budget_bytes: usize) -> usize {
    let mut n = (budget_bytes as f64 / 2.0).sqrt() as usize + 2;
    while condensed_bytes(n) > budget_bytes as u128 {
        n -= 1;
    }
    n
}

fn condensed_distances(x: ArrayView2<'_, f64>) -> Result<Vec<f32>, GeomError> {
    let set = PointSet::new("points to cluster", x)?;
    let n = x.nrows();
    let rows: Vec<Vec<f64>> = (0..n).map(|i| set.point(i)).collect();
    let mut condensed = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for i in 0..n {
        for j in i + 1..n {
            let distance = squared_distance(&rows[i], &rows[j]).sqrt() as f32;
            if !distance.is_finite() {
                let value = f64::from(distance);
                return Err(GeomError::NonFinite { what: "distances in single precision", row: i, column: j, value });
            }
            condensed.push(distance);
        }
    }
    Ok(condensed)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    /// Merges the two clusters of least mean distance, again and again.
    fn naive(x: &Array2<f64>, k: usize) -> Vec<usize> {
        let mut clusters: Vec<Vec<usize>> = (0..x.nrows()).map(|i| vec![i]).collect();
        while clusters.len() > k {
            let mut best = (f64::INFINITY, 0, 0);
            for a in 0..clusters.len() {
                for b in a + 1..clusters.len() {
                    let mut sum = 0.0;
                    for &i in &clusters[a] {
                        for &j in &clusters[b] {
                            sum += squared_distance(&x.row(i).to_vec(), &x.row(j).to_vec()).sqrt();
                        }
                    }
                    let mean = sum / (clusters[a].len() * clusters[b].len()) as f64;
                    if mean < best.0 {
                        best = (mean, a, b);
                    }
                }
            }
            let moved = clusters.remove(best.2);
            clusters[best.1].extend(moved);
        }
        clusters.sort_by_key(|c| *c.iter().min().unwrap());
        (0..x.nrows()).map(|i| clusters.iter().position(|c| c.contains(&i)).unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn equals_naive_merging(
            (n, k) in (1..25usize).prop_flat_map(|n| (Just(n), 1..=n)),
            d in 1..4usize,
            raw in prop::collection::vec(-1.0..1.0f64, 25 * 3),
        ) {
            let x = Array2::from_shape_fn((n, d), |(i, j)| raw[i * d + j]);
            prop_assert_eq!(average_linkage(x.view(), k, DEFAULT_MATRIX_BUDGET).unwrap(), naive(&x, k));
        }
    }

    #[test]
    fn budget_is_kept_and_says_what_fits() {
        let x = Array2::zeros((101, 2));
        let refused = average_linkage(x.view(), 3, 20_000).unwrap_err();
        assert_eq!(
            refused,
            GeomError::MatrixTooLarge { n_points: 101, needed_bytes: 20_200, budget_bytes: 20_000, largest: 100 }
        );
        assert_eq!(largest(DEFAULT_MATRIX_BUDGET), 23_170);
        assert_eq!(average_linkage(x.slice(ndarray::s![..100, ..]), 1, 20_000).unwrap(), [0; 100]);
    }

    #[test]
    fn degenerate_input() {
        let one = Array2::zeros((1, 1));
        assert_eq!(average_linkage(one.view(), 1, 0).unwrap(), [0]);
        assert!(matches!(average_linkage(one.view(), 2, 0), Err(GeomError::OutOfRange { most: 1, .. })));
        assert!(matches!(average_linkage(one.view(), 0, 0), Err(GeomError::OutOfRange { .. })));
        let huge = ndarray::array![[1e300], [-1e300]];
        assert!(matches!(average_linkage(huge.view(), 1, 100), Err(GeomError::NonFinite { .. })));
    }
}
