//! Reads the bytes of a forest and checks every number in them.

use super::error::ForestError;
use super::{Forest, Node, Tree};

pub(super) const MAGIC: &[u8; 8] = b"DALFRST1";
/// With the names of the inputs.
pub(super) const MAGIC_NAMED: &[u8; 8] = b"DALFRST2";
pub(super) const HEADER: usize = MAGIC.len() + 5 * 4;
pub(super) const CHECKSUM: usize = 4;
pub(super) const LEAF: u16 = u16::MAX;

impl Forest {
    /// Reads a forest and checks every number that evaluation relies on. What it allocates is bounded by a small
    /// multiple of `bytes.len()`.
    ///
    /// # Errors
    /// Any [`ForestError`]: bytes that `forest.py` did not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ForestError> {
        let named = bytes.starts_with(MAGIC_NAMED);
        if !named && !bytes.starts_with(MAGIC) {
            return Err(ForestError::NotAForest);
        }
        let found = bytes.len() as u64;
        if bytes.len() < HEADER + CHECKSUM {
            return Err(ForestError::Length { expected: (HEADER + CHECKSUM) as u64, found });
        }
        let mut header = u32s(&bytes[MAGIC.len()..HEADER]);
        let [n_inputs, n_outputs, n_trees, n_nodes, n_leaves] =
            std::array::from_fn(|_| u64::from(header.next().unwrap_or(0)));
        let behind = &bytes[HEADER..];
        let n_name_bytes = if named { u32s(&behind[..4]).next().unwrap_or(0) } else { 0 };
        let names_end = HEADER as u64 + if named { 4 + u64::from(n_name_bytes) } else { 0 };
        // Every factor is below 2^32, so u128 cannot overflow.
        let expected = u128::from(names_end)
            + CHECKSUM as u128
            + 4 * u128::from(n_trees)
            + 2 * u128::from(n_nodes)
            + 4 * u128::from(n_nodes.saturating_sub(n_leaves))
            + 8 * u128::from(n_leaves) * u128::from(n_outputs);
        if expected != u128::from(found) {
            return Err(ForestError::Length { expected: u64::try_from(expected).unwrap_or(u64::MAX), found });
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        let (expected, computed) = (u32s(checksum).next().unwrap_or(0), crc32(body));
        if expected != computed {
            return Err(ForestError::Checksum { expected, found: computed });
        }
        for (what, n) in [("inputs", n_inputs), ("outputs", n_outputs), ("trees", n_trees)] {
            if n == 0 {
                return Err(ForestError::Empty { what });
            }
        }
        // Evaluation allocates rows of inputs, and nothing else in the file bounds their number.
        if n_inputs > u64::from(LEAF) {
            return Err(ForestError::TooManyInputs { n_inputs });
        }
        // The length was checked, so these fit a usize on any machine that holds the bytes.
        let (n_trees, n_nodes, n_leaves) = (n_trees as usize, n_nodes as usize, n_leaves as usize);
        let (n_inputs, n_outputs) = (n_inputs as usize, n_outputs as usize);
        let names_end = names_end as usize;
        let names = if named { Some(names(&body[HEADER + 4..names_end], n_inputs)?) } else { None };
        let (sizes, rest) = body[names_end..].split_at(4 * n_trees);
        let (tags, rest) = rest.split_at(2 * n_nodes);
        let (thresholds, values) = rest.split_at(4 * n_nodes.saturating_sub(n_leaves));

        let found: u64 = u32s(sizes).map(u64::from).sum();
        if found != n_nodes as u64 {
            return Err(ForestError::NodeCount { expected: n_nodes as u64, found });
        }
        let tags: Vec<u16> = tags.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        let found = tags.iter().filter(|&&tag| tag == LEAF).count();
        if found != n_leaves {
            return Err(ForestError::LeafCount { expected: n_leaves as u64, found: found as u64 });
        }
        let thresholds: Vec<f32> =
            thresholds.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let values: Vec<f64> = values
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .collect();
        if let Some(index) = thresholds.iter().position(|v| !v.is_finite()) {
            return Err(ForestError::NonFinite { what: "threshold", index, value: thresholds[index].into() });
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(ForestError::NonFinite { what: "leaf value", index, value: values[index] });
        }
        let mut forest = Self {
            n_inputs,
            n_outputs,
            names,
            trees: Vec::with_capacity(n_trees),
            nodes: Vec::with_capacity(n_nodes),
            leaf_of: Vec::with_capacity(n_nodes),
            values,
        };
        let mut thresholds = thresholds.into_iter();
        let mut n_leaves_seen = 0;
        for (tree, size) in u32s(sizes).enumerate() {
            forest.add_tree(tree, size as usize, &tags, &mut thresholds, &mut n_leaves_seen)?;
        }
        Ok(forest)
    }

    /// Appends the next `size` nodes of the file as one tree, finding each right child from the preorder.
    fn add_tree(
        &mut self,
        tree: usize,
        size: usize,
        tags: &[u16],
        thresholds: &mut impl Iterator<Item = f32>,
        n_leaves_seen: &mut u32,
    ) -> Result<(), ForestError> {
        let root = self.nodes.len();
        // Splits whose right child has not come yet, with the depth of that child.
        let mut open: Vec<(usize, u32)> = Vec::new();
        let (mut depth, mut deepest, mut complete) = (0, 0, false);
        for node in root..root + size {
            if complete {
                return Err(ForestError::Shape { tree, problem: "ends before its last node" });
            }
            let index = node as u32;
            deepest = deepest.max(depth);
            if tags[node] == LEAF {
                self.nodes.push(Node { threshold: 0.0, right: index, feature: 0, left_step: 0 });
                self.leaf_of.push(*n_leaves_seen);
                *n_leaves_seen += 1;
                match open.pop() {
                    Some((parent, child_depth)) => {
                        self.nodes[parent].right = index + 1;
                        depth = child_depth;
                    }
                    None => complete = true,
                }
            } else {
                let feature = tags[node];
                if usize::from(feature) >= self.n_inputs {
                    return Err(ForestError::Feature { node, feature, n_inputs: self.n_inputs });
                }
                // The numbers of leaves and splits were compared with the header's, so a threshold is there.
                let threshold = thresholds.next().unwrap_or(0.0);
                self.nodes.push(Node { threshold, right: index, feature, left_step: 1 });
                self.leaf_of.push(u32::MAX);
                depth += 1;
                open.push((node, depth));
            }
        }
        if !complete {
            return Err(ForestError::Shape { tree, problem: "lacks nodes" });
        }
        self.trees.push(Tree { root: root as u32, depth: deepest });
        Ok(())
    }
}

/// The names of the inputs, each ended by a NUL.
fn names(bytes: &[u8], n_inputs: usize) -> Result<Vec<String>, ForestError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ForestError::Names { problem: "are not UTF-8" })?;
    let mut names: Vec<String> = text.split('\0').map(str::to_owned).collect();
    // Behind the last NUL stands nothing.
    match names.pop() {
        Some(rest) if rest.is_empty() && names.len() == n_inputs => Ok(names),
        _ => Err(ForestError::Names { problem: "are not one for each input" }),
    }
}

fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// CRC-32 with the IEEE polynomial, reflected, as zlib computes it.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}
