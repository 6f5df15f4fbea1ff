//! Average linkage against linfa-hierarchical: other code around the merges, double precision, clusters as partitions.

use dal_geom::{DEFAULT_MATRIX_BUDGET, average_linkage, squared_distance};
use linfa::traits::Transformer;
use linfa_hierarchical::HierarchicalCluster;
use linfa_kernel::{Kernel, KernelInner, KernelMethod};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers clusters by their lowest point, which makes partitions comparable.
fn by_lowest_point(labels: &[usize]) -> Vec<usize> {
    let mut seen = Vec::new();
    labels
        .iter()
        .map(|label| {
            seen.iter().position(|s| s == label).unwrap_or_else(|| {
                seen.push(*label);
                seen.len() - 1
            })
        })
        .collect()
}

#[test]
fn partitions_equal_linfas() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for (n, d, k) in [(2, 1, 1), (40, 2, 5), (150, 4, 20), (150, 4, 149), (300, 6, 20), (300, 14, 20)] {
        let x = Array2::from_shape_fn((n, d), |_| rng.random_range(-1.0..1.0));
        // linfa clusters similarities s at the distance −ln s, cut off at 1e-6; box diagonals stay below that.
        let gap = |i: usize, j: usize| squared_distance(&x.row(i).to_vec(), &x.row(j).to_vec()).sqrt();
        let similarity = Array2::from_shape_fn((n, n), |(i, j)| (-gap(i, j)).exp());
        let kernel = Kernel { inner: KernelInner::Dense(similarity), method: KernelMethod::Linear };
        let theirs = HierarchicalCluster::default().num_clusters(k).transform(kernel).unwrap();
        let ours = average_linkage(x.view(), k, DEFAULT_MATRIX_BUDGET).unwrap();
        assert_eq!(ours, by_lowest_point(&theirs.targets), "n = {n}, d = {d}, k = {k}");
        assert_eq!(ours.iter().max(), Some(&(k - 1)));
    }
}
