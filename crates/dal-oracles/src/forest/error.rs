//! What can be wrong with the bytes of a forest.

use thiserror::Error;

/// Bytes that are not a forest. No file, however damaged, leads to anything else.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ForestError {
    /// The file begins otherwise.
    #[error("not a forest file: it does not begin with DALFRST; export the forest with forest.py (dal-fixtures)")]
    NotAForest,
    /// The file has another length than its header says.
    #[error("the forest file has {found} bytes, its header asks for {expected}")]
    Length {
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The file was changed after it was written.
    #[error("the forest file is damaged: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum in the file.
        expected: u32,
        /// The checksum of its bytes.
        found: u32,
    },
    /// Nothing to evaluate.
    #[error("the forest has no {what}")]
    Empty {
        /// `inputs`, `outputs` or `trees`.
        what: &'static str,
    },
    /// The names of the inputs cannot be read.
    #[error("the names of the forest's inputs {problem}")]
    Names {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// More inputs than a node can name.
    #[error("the header says {n_inputs} inputs, but a forest file can name at most 65535")]
    TooManyInputs {
        /// Inputs by the header.
        n_inputs: u64,
    },
    /// The trees' sizes do not add up to the number of nodes.
    #[error("the trees hold {found} nodes together, the header says {expected}")]
    NodeCount {
        /// Nodes by the header.
        expected: u64,
        /// Sum of the trees' sizes.
        found: u64,
    },
    /// The number of leaves differs from the header's.
    #[error("the forest has {found} leaves, the header says {expected}")]
    LeafCount {
        /// Leaves by the header.
        expected: u64,
        /// Leaves among the nodes.
        found: u64,
    },
    /// The nodes of a tree are not one complete tree in preorder.
    #[error("tree {tree} is not one complete tree in preorder: it {problem}")]
    Shape {
        /// 0-based tree.
        tree: usize,
        /// `ends before its last node` or `lacks nodes`.
        problem: &'static str,
    },
    /// A split names a feature that does not exist.
    #[error("node {node} splits on input {feature}, but the forest has {n_inputs} inputs")]
    Feature {
        /// 0-based node over all trees.
        node: usize,
        /// The feature it names.
        feature: u16,
        /// Inputs of the forest.
        n_inputs: usize,
    },
    /// A threshold or a leaf is NaN or infinite.
    #[error("{what} {index} of the forest is {value}")]
    NonFinite {
        /// `threshold` or `leaf value`.
        what: &'static str,
        /// 0-based position in the file's list.
        index: usize,
        /// The offending value.
        value: f64,
    },
}
