//! Random forests exported from scikit-learn: a validating loader and an evaluator that agrees with scikit-learn.

mod error;
mod read;

use std::fmt;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

pub use self::error::ForestError;

/// Rows that walk down a tree together: their loads overlap, so that none waits for another.
const LANES: usize = 16;
/// Rows per pass over the forest: their inputs stay in the first-level cache beside one tree.
const BLOCK: usize = 1024;

/// A mean of regression trees, evaluated as scikit-learn does: inputs cast to f32, left where x ≤ threshold, leaf
/// values (f64) summed in the order of the trees and divided by their number.
///
/// The file layout is that of `forest/README.md` in `dal-fixtures`, whose script writes it: little endian, no padding;
/// `DALFRST1`; five u32 (inputs, outputs, trees, nodes, leaves); with `DALFRST2` instead the length of the inputs'
/// names, u32, and the names in UTF-8, each ended by a NUL; per tree its nodes, u32; per node in preorder its feature,
/// u16, 0xFFFF for a leaf; per split its threshold, f32; per leaf its outputs, f64; CRC-32 of all that, u32. The
/// preorder alone gives the structure, so that no file can describe a cycle.
///
/// ```
/// use dal_oracles::forest::Forest;
/// let forest = Forest::from_bytes(dal_fixtures::HYDRO_FOREST)?;
/// assert_eq!((forest.n_inputs(), forest.n_outputs(), forest.n_trees(), forest.n_nodes()), (6, 1, 50, 14_990));
/// # Ok::<(), dal_oracles::forest::ForestError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Forest {
    n_inputs: usize,
    n_outputs: usize,
    names: Option<Vec<String>>,
    trees: Vec<Tree>,
    nodes: Vec<Node>,
    /// Row of `values` of each node; meaningless for splits.
    leaf_of: Vec<u32>,
    values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Tree {
    root: u32,
    /// Splits on the longest way from the root to a leaf.
    depth: u32,
}

/// A split sends a row to the next node or to `right`; a leaf sends it to itself.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    threshold: f32,
    right: u32,
    feature: u16,
    /// 1 for a split, whose left child follows it, 0 for a leaf.
    left_step: u16,
}

impl Forest {
    /// Columns of the inputs.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Names of the inputs, in order, where the forest was fitted on columns with names.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Numbers in a prediction.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// How many trees there are.
    pub fn n_trees(&self) -> usize {
        self.trees.len()
    }

    /// Splits and leaves of all trees.
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Predictions, shape (n, `n_outputs`), at the rows of `x`, shape (n, `n_inputs`), in the units the forest was
    /// fitted in.
    ///
    /// # Panics
    /// If `x` has another number of columns.
    pub fn predict(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut y = Array2::zeros((x.nrows(), self.n_outputs));
        for start in (0..x.nrows()).step_by(BLOCK) {
            let end = (start + BLOCK).min(x.nrows());
            self.predict_block(x.slice(s![start..end, ..]), y.slice_mut(s![start..end, ..]));
        }
        y
    }

    /// As [`predict`](Self::predict), for at most a block of rows, into zeros.
    fn predict_block(&self, x: ArrayView2<'_, f64>, mut y: ArrayViewMut2<'_, f64>) {
        assert_eq!(x.ncols(), self.n_inputs, "columns of x");
        // For each group of rows one array per input; the last group is padded with zeros, whose predictions are not
        // used.
        let mut cast = vec![[0.0_f32; LANES]; x.nrows().div_ceil(LANES) * self.n_inputs];
        for (row, values) in x.outer_iter().enumerate() {
            let group = &mut cast[row / LANES * self.n_inputs..];
            for (to, &from) in group.iter_mut().zip(values) {
                to[row % LANES] = from as f32;
            }
        }
        for tree in &self.trees {
            for (group, columns) in cast.chunks_exact(self.n_inputs).enumerate() {
                let leaves = self.descend(tree, columns);
                let first = group * LANES;
                for (lane, row) in (first..(first + LANES).min(x.nrows())).enumerate() {
                    let start = self.leaf_of[leaves[lane] as usize] as usize * self.n_outputs;
                    let leaf = &self.values[start..start + self.n_outputs];
                    y.row_mut(row).iter_mut().zip(leaf).for_each(|(sum, value)| *sum += value);
                }
            }
        }
        let n_trees = self.trees.len() as f64;
        y.mapv_inplace(|sum| sum / n_trees);
    }

    /// The leaf of each of `LANES` rows, given input by input.
    fn descend(&self, tree: &Tree, columns: &[[f32; LANES]]) -> [u32; LANES] {
        let mut at = [tree.root; LANES];
        for level in 0..tree.depth {
            let mut moved = 0;
            for lane in 0..LANES {
                let node = &self.nodes[at[lane] as usize];
                let left = at[lane] + u32::from(node.left_step);
                at[lane] = if columns[usize::from(node.feature)][lane] <= node.threshold { left } else { node.right };
                moved |= node.left_step;
            }
            // In a lopsided tree most rows arrive long before the deepest could; asking rarely costs nothing.
            if moved == 0 && level % 4 == 3 {
                break;
            }
        }
        at
    }

    /// One row's prediction, one tree after another: the plain twin that `predict` is tested against.
    #[cfg(test)]
    fn predict_plainly(&self, x: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_outputs];
        for tree in &self.trees {
            let mut at = tree.root as usize;
            while self.nodes[at].left_step == 1 {
                let node = self.nodes[at];
                let goes_left = f64::from(x[usize::from(node.feature)] as f32) <= f64::from(node.threshold);
                at = if goes_left { at + 1 } else { node.right as usize };
            }
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum += self.values[self.leaf_of[at] as usize * self.n_outputs + k];
            }
        }
        sums.iter().map(|sum| sum / self.trees.len() as f64).collect()
    }
}

impl fmt::Debug for Forest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forest")
            .field("n_inputs", &self.n_inputs)
            .field("n_outputs", &self.n_outputs)
            .field("n_trees", &self.trees.len())
            .field("n_nodes", &self.nodes.len())
            .finish()
    }
}

/// A forest fitted on the unit box answers queries as it is.
impl Oracle for Forest {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs)?;
        for start in (0..x.nrows()).step_by(BLOCK) {
            let end = (start + BLOCK).min(x.nrows());
            let y = self.predict(x.slice(s![start..end, ..]));
            for (i, row) in y.outer_iter().enumerate() {
                if on_row(start + i, Ok(row.as_slice().expect("predictions are row-major"))).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::read::{CHECKSUM, HEADER, LEAF, MAGIC, MAGIC_NAMED, crc32};
    use super::*;
    use crate::testing::{golden, uniform};
    use proptest::prelude::*;

    /// A tree as the tests think of it, written to bytes by a route of its own.
    #[derive(Clone, Debug)]
    enum Plain {
        Leaf(Vec<f64>),
        Split(u16, f32, Box<Plain>, Box<Plain>),
    }

    fn plain_tree(n_inputs: u16, n_outputs: usize) -> impl proptest::strategy::Strategy<Value = Plain> {
        let leaf = prop::collection::vec(-2.0..2.0_f64, n_outputs).prop_map(Plain::Leaf);
        leaf.prop_recursive(7, 60, 2, move |inner| {
            (0..n_inputs, -1.0..1.0_f32, inner.clone(), inner)
                .prop_map(|(feature, at, left, right)| Plain::Split(feature, at, Box::new(left), Box::new(right)))
        })
    }

    fn encode(n_inputs: u32, n_outputs: u32, trees: &[Plain]) -> Vec<u8> {
        fn walk(tree: &Plain, tags: &mut Vec<u16>, thresholds: &mut Vec<f32>, values: &mut Vec<f64>) {
            match tree {
                Plain::Leaf(leaf) => {
                    tags.push(LEAF);
                    values.extend(leaf);
                }
                Plain::Split(feature, threshold, left, right) => {
                    tags.push(*feature);
                    thresholds.push(*threshold);
                    walk(left, tags, thresholds, values);
                    walk(right, tags, thresholds, values);
                }
            }
        }
        let (mut tags, mut thresholds, mut values, mut sizes) = (vec![], vec![], vec![], vec![]);
        for tree in trees {
            let before = tags.len();
            walk(tree, &mut tags, &mut thresholds, &mut values);
            sizes.push((tags.len() - before) as u32);
        }
        let n_leaves = (tags.len() - thresholds.len()) as u32;
        let mut bytes = MAGIC.to_vec();
        for number in [n_inputs, n_outputs, trees.len() as u32, tags.len() as u32, n_leaves].into_iter().chain(sizes) {
            bytes.extend(number.to_le_bytes());
        }
        tags.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        thresholds.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        bytes.extend([0; CHECKSUM]);
        seal(bytes)
    }

    /// Puts the right checksum at the end, so that a test reaches what lies behind that check.
    fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
        let at = bytes.len() - CHECKSUM;
        let crc = crc32(&bytes[..at]).to_le_bytes();
        bytes[at..].copy_from_slice(&crc);
        bytes
    }

    fn walk_plain<'a>(tree: &'a Plain, x: &[f64]) -> &'a [f64] {
        match tree {
            Plain::Leaf(value) => value,
            Plain::Split(feature, at, left, right) => {
                walk_plain(if x[usize::from(*feature)] as f32 <= *at { left } else { right }, x)
            }
        }
    }

    #[test]
    fn checksum_is_the_one_zlib_computes() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn scikit_learns_predictions_are_reproduced() {
        for (bytes, csv, n_nodes) in [
            (dal_fixtures::FOIL_FOREST, dal_fixtures::golden::FOIL, 72_930),
            (dal_fixtures::HYDRO_FOREST, dal_fixtures::golden::HYDRO, 14_990),
        ] {
            let forest = Forest::from_bytes(bytes).unwrap();
            assert_eq!((forest.n_trees(), forest.n_nodes()), (50, n_nodes));
            let (x, expected) = golden(csv, forest.n_inputs());
            assert!(x.nrows() >= 200);
            let y = forest.predict(x.view());
            let worst = (&y - &expected).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
            assert!(worst <= 1e-15, "worst difference {worst:e}");
        }
    }

    #[test]
    fn lanes_and_blocks_equal_the_plain_walk() {
        let forest = Forest::from_bytes(dal_fixtures::FOIL_FOREST).unwrap();
        for n in [1, LANES - 1, LANES, BLOCK, BLOCK + 1, 2 * BLOCK + 5] {
            let x = uniform(n, forest.n_inputs(), n as u64);
            let y = forest.predict(x.view());
            for (row, y) in x.outer_iter().zip(y.outer_iter()).step_by(7) {
                assert_eq!(y.to_vec(), forest.predict_plainly(row.as_slice().unwrap()));
            }
        }
    }

    #[test]
    fn each_structural_fault_has_its_name() {
        let leaf = || Box::new(Plain::Leaf(vec![1.0]));
        let good = encode(2, 1, &[Plain::Split(1, 0.5, leaf(), leaf()), Plain::Leaf(vec![3.0])]);
        assert!(Forest::from_bytes(&good).is_ok());
        let change = |at: usize, to: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + to.len()].copy_from_slice(to);
            Forest::from_bytes(&seal(bytes)).unwrap_err()
        };
        let (sizes, tags) = (HEADER, HEADER + 8);
        let (threshold, values) = (tags + 8, tags + 12);
        assert_eq!(Forest::from_bytes(b"DALF"), Err(ForestError::NotAForest));
        assert_eq!(change(0, b"X"), ForestError::NotAForest);
        assert!(matches!(Forest::from_bytes(&good[..20]), Err(ForestError::Length { .. })));
        assert!(matches!(change(20, &u32::MAX.to_le_bytes()), ForestError::Length { .. }));
        assert_eq!(change(8, &0_u32.to_le_bytes()), ForestError::Empty { what: "inputs" });
        assert_eq!(change(10, &[1]), ForestError::TooManyInputs { n_inputs: 65_538 });
        assert_eq!(change(sizes, &[4]), ForestError::NodeCount { expected: 4, found: 5 });
        assert_eq!(change(tags + 2, &[0, 0]), ForestError::LeafCount { expected: 3, found: 2 });
        assert_eq!(change(tags, &[2, 0]), ForestError::Feature { node: 0, feature: 2, n_inputs: 2 });
        let shape = |bytes: &[u8; 8]| change(sizes, bytes);
        assert_eq!(shape(&[1, 0, 0, 0, 3, 0, 0, 0]), ForestError::Shape { tree: 0, problem: "lacks nodes" });
        // A leaf first: the first tree is complete after one node of its three.
        assert_eq!(
            change(tags, &[0xFF, 0xFF, 1, 0]),
            ForestError::Shape { tree: 0, problem: "ends before its last node" }
        );
        assert!(matches!(
            change(threshold, &f32::NAN.to_le_bytes()),
            ForestError::NonFinite { what: "threshold", index: 0, .. }
        ));
        assert!(matches!(
            change(values + 8, &f64::INFINITY.to_le_bytes()),
            ForestError::NonFinite { what: "leaf value", index: 1, .. }
        ));
        let mut unsealed = good.clone();
        unsealed[values] ^= 1;
        assert!(matches!(Forest::from_bytes(&unsealed), Err(ForestError::Checksum { .. })));
    }

    /// The same forest with names of its inputs.
    fn with_names(bytes: &[u8], names: &[u8]) -> Vec<u8> {
        let mut named = MAGIC_NAMED.to_vec();
        named.extend(&bytes[MAGIC.len()..HEADER]);
        named.extend((names.len() as u32).to_le_bytes());
        named.extend(names);
        named.extend(&bytes[HEADER..]);
        seal(named)
    }

    #[test]
    fn a_forest_on_a_data_frame_says_its_columns_and_predicts_as_scikit_learn() {
        let forest = Forest::from_bytes(dal_fixtures::NAMED_FOREST).unwrap();
        assert_eq!(forest.names().unwrap(), ["speed", "T [\u{b0}C]", "load"]);
        let (x, expected) = golden(dal_fixtures::golden::NAMED, 3);
        let worst = (&forest.predict(x.view()) - &expected).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        assert!(worst <= 1e-12, "worst difference {worst:e}");
    }

    #[test]
    fn names_of_inputs_are_kept() {
        let leaf = || Box::new(Plain::Leaf(vec![1.0]));
        let plain = encode(2, 1, &[Plain::Split(1, 0.5, leaf(), leaf())]);
        assert_eq!(Forest::from_bytes(&plain).unwrap().names(), None);
        let named = with_names(&plain, "speed\0Str\u{f6}mung\0".as_bytes());
        let forest = Forest::from_bytes(&named).unwrap();
        assert_eq!(forest.names().unwrap(), ["speed", "Str\u{f6}mung"]);
        let x = uniform(20, 2, 3);
        assert_eq!(forest.predict(x.view()), Forest::from_bytes(&plain).unwrap().predict(x.view()));
        for bad in [&b"speed\0"[..], b"a\0b", b"a\0b\0c\0", b"a\0\xff\0", b""] {
            let error = Forest::from_bytes(&with_names(&plain, bad)).unwrap_err();
            assert!(matches!(error, ForestError::Names { .. }), "{error}");
        }
        for end in 0..named.len() {
            assert!(Forest::from_bytes(&named[..end]).is_err(), "{end} bytes were taken");
        }
        let mut far = named;
        far[HEADER..HEADER + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Forest::from_bytes(&seal(far)), Err(ForestError::Length { .. })));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let leaf = || Box::new(Plain::Leaf(vec![1.0, 2.0]));
        let good = encode(2, 2, &[Plain::Split(1, 0.5, leaf(), leaf())]);
        for end in 0..good.len() {
            assert!(Forest::from_bytes(&good[..end]).is_err(), "{end} bytes were taken");
        }
        for end in (0..dal_fixtures::HYDRO_FOREST.len()).step_by(997) {
            assert!(Forest::from_bytes(&dal_fixtures::HYDRO_FOREST[..end]).is_err());
        }
    }

    #[test]
    fn a_chain_as_deep_as_its_nodes_is_walked() {
        let mut tree = Plain::Leaf(vec![0.0]);
        for depth in 0..2_000 {
            let at = depth as f32 / 2_000.0;
            tree = Plain::Split(0, at, Box::new(Plain::Leaf(vec![f64::from(depth)])), Box::new(tree));
        }
        let forest = Forest::from_bytes(&encode(1, 1, std::slice::from_ref(&tree))).unwrap();
        let x = uniform(100, 1, 5);
        for (row, y) in x.outer_iter().zip(forest.predict(x.view()).outer_iter()) {
            assert_eq!(y.to_vec(), walk_plain(&tree, row.as_slice().unwrap()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn any_forest_survives_the_file_and_predicts_alike(
            trees in prop::collection::vec(plain_tree(3, 2), 1..5),
            x in prop::collection::vec(-1.5..1.5_f64, 3 * 40),
        ) {
            let forest = Forest::from_bytes(&encode(3, 2, &trees)).unwrap();
            let x = Array2::from_shape_vec((40, 3), x).unwrap();
            let y = forest.predict(x.view());
            for (row, y) in x.outer_iter().zip(y.outer_iter()) {
                let row = row.as_slice().unwrap();
                prop_assert_eq!(y.to_vec(), forest.predict_plainly(row));
                for k in 0..2 {
                    let sum = trees.iter().fold(0.0, |sum, tree| sum + walk_plain(tree, row)[k]);
                    prop_assert_eq!(y[k], sum / trees.len() as f64);
                }
            }
        }

        #[test]
        fn a_flipped_bit_never_passes(
            tree in plain_tree(3, 1), at in any::<prop::sample::Index>(), bit in 0..8_u32,
        ) {
            let mut bytes = encode(3, 1, &[tree]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Forest::from_bytes(&bytes).is_err());
        }

        /// Sealed again after the damage, so that the checks of the structure meet it: an error, or a forest that
        /// evaluates.
        #[test]
        fn damage_behind_a_right_checksum_is_harmless(
            tree in plain_tree(3, 1),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let mut bytes = encode(3, 1, &[tree.clone(), tree]);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if !whole {
                bytes.truncate(CHECKSUM + cut.index(bytes.len() - CHECKSUM));
            }
            if let Ok(forest) = Forest::from_bytes(&seal(bytes)) {
                let y = forest.predict(Array2::zeros((3, forest.n_inputs())).view());
                prop_assert!(y.iter().all(|v| v.is_finite()));
            }
        }

        #[test]
        fn noise_is_an_error(noise in prop::collection::vec(any::<u8>(), 0..200), with_magic in any::<bool>()) {
            let mut bytes = if with_magic { MAGIC.to_vec() } else { vec![] };
            bytes.extend(noise);
            prop_assert!(Forest::from_bytes(&bytes).is_err());
        }
    }
}
