//! What can be wrong with an exported network.

use thiserror::Error;

/// A network that cannot be loaded. No file, however damaged, leads to anything else.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The manifest is not TOML, or has other keys or kinds.
    #[error("network.toml: {message}")]
    Manifest {
        /// What the parser says, with the place.
        message: String,
    },
    /// The manifest is of another format.
    #[error("network.toml is of format `{found}`; this version reads `dal-network-1`")]
    Format {
        /// The format named there.
        found: String,
    },
    /// The architecture contradicts itself.
    #[error("network.toml, layer {layer}: {message}")]
    Architecture {
        /// 0-based layer.
        layer: usize,
        /// The contradiction.
        message: String,
    },
    /// `[input]` or `[output]` does not fit.
    #[error("network.toml, [{table}]: {message}")]
    Scaling {
        /// The table.
        table: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Other files were given than the manifest names, or it names none.
    #[error("network.toml names {expected} members, {found} were given")]
    Members {
        /// Members named.
        expected: usize,
        /// Files given.
        found: usize,
    },
    /// The file is not safetensors.
    #[error("{file}: {message}")]
    NotSafetensors {
        /// The file.
        file: String,
        /// What the reader says.
        message: String,
    },
    /// A tensor of the architecture is missing.
    #[error("{file} has no tensor `{tensor}`")]
    MissingTensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor that the architecture does not have.
    #[error("{file} has a tensor `{tensor}` that network.toml does not account for")]
    UnknownTensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape.
    #[error("{file}: tensor `{tensor}` has shape {found:?}, the architecture {expected:?}")]
    Shape {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Shape of the architecture.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor holds numbers of another type.
    #[error("{file}: tensor `{tensor}` is {found}; F32, F16 or BF16 can be read")]
    Type {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The type.
        found: String,
    },
    /// A weight is NaN or infinite, or a variance is negative.
    #[error("{file}: tensor `{tensor}` has {value} at {index}")]
    Value {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// 0-based place, in row-major order.
        index: usize,
        /// The number.
        value: f32,
    },
}
