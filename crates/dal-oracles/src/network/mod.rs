//! Exported neural networks: a small manifest of the architecture, safetensors of the weights, and their evaluation.

mod error;
mod layer;
mod linear;
mod manifest;
#[cfg(test)]
mod tests;
mod weights;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::{Array2, ArrayView2};

use self::layer::Layer;
use self::linear::Kernel;
use self::manifest::{Manifest, Planned, Standardise, check_scaling, plan};
use self::weights::load_member;
use crate::rows::finite;

pub use self::error::NetworkError;

/// The name of the manifest inside a network's folder.
pub const MANIFEST: &str = "network.toml";

/// Rows that share one pass over the weights.
const BLOCK: usize = 64;

/// The mean of one or more networks of the same architecture.
///
/// A folder holds `network.toml` and the safetensors files that it names, one per member:
///
/// ```toml
/// format = "dal-network-1"
/// inputs = 2
/// members = ["member0.safetensors", "member1.safetensors"]
///
/// [[layers]]
/// kind = "linear"                 # tensors `fc.weight` (outputs, inputs) and `fc.bias` (outputs)
/// name = "fc"
/// outputs = 8
/// [[layers]]
/// kind = "batch-norm"             # `bn.weight`, `bn.bias`, `bn.running_mean`, `bn.running_var`
/// name = "bn"
/// eps = 1e-5
/// [[layers]]
/// kind = "relu"
/// [[layers]]
/// kind = "conv-transpose-1d"      # `up.weight` (channels in, channels out, kernel), `up.bias` (channels out)
/// name = "up"
/// channels = 4
/// kernel = 8
/// stride = 2
/// padding = 3
/// [[layers]]
/// kind = "conv-1d"                # `last.weight` (channels out, channels in, kernel), `last.bias` (channels out)
/// name = "last"
/// channels = 1
/// kernel = 1
/// stride = 1
/// padding = 0
/// ```
///
/// Layers are PyTorch's, in inference: BatchNorm normalises with its running statistics. Before the first convolution
/// the units are one channel along which it runs; after convolutions the channels are laid one after another. Two
/// optional tables, `[input]` and `[output]`, each with lists `offset` and `scale`, standardise: the first layer sees
/// (x − offset) / scale, the answer is offset + scale · z.
///
/// Weights are F32, F16 or BF16; arithmetic is f64, in an order that depends on the architecture alone: the same point
/// has the same answer, bit by bit, in any batch, with any vector width and on any platform.
///
/// Files are checked as a whole: every tensor that the architecture has must be there with its shape, finite, with no
/// negative variance, and no other.
#[derive(Clone, PartialEq)]
pub struct Network {
    n_inputs: usize,
    n_outputs: usize,
    widest: usize,
    input: Option<Standardise>,
    output: Option<Standardise>,
    members: Vec<Vec<Layer>>,
}

impl Network {
    /// The network in `folder`: its [`MANIFEST`] and the files that it names.
    ///
    /// # Errors
    /// A file that cannot be read, and everything [`from_bytes`](Self::from_bytes) refuses.
    pub fn load(folder: &Path) -> Result<Self, NetworkError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| NetworkError::Io { file: path.display().to_string(), source })
        };
        let manifest = String::from_utf8(read(MANIFEST)?)
            .map_err(|_| NetworkError::Manifest { message: "it is not UTF-8".into() })?;
        let (plan, parsed) = plan(&manifest)?;
        let mut members = Vec::with_capacity(parsed.members.len());
        for name in &parsed.members {
            if Path::new(name).components().count() != 1 || name.contains(['/', '\\']) || name == ".." {
                let message = format!("member `{name}` is not the name of a file beside network.toml");
                return Err(NetworkError::Manifest { message });
            }
            // One member's bytes at a time: the published ones have fifty megabytes each.
            members.push(load_member(&plan, name, &read(name)?)?);
        }
        Self::assemble(plan, parsed, members)
    }

    /// The network of a manifest and the bytes of its members' safetensors, in the manifest's order.
    ///
    /// # Errors
    /// A manifest that cannot be read or contradicts itself; a member that is not safetensors, lacks a tensor, has one
    /// too many, or one of another shape or type, or with a number that is not finite.
    pub fn from_bytes(manifest: &str, members: &[&[u8]]) -> Result<Self, NetworkError> {
        let (plan, parsed) = plan(manifest)?;
        if members.len() != parsed.members.len() {
            return Err(NetworkError::Members { expected: parsed.members.len(), found: members.len() });
        }
        let loaded: Result<_, _> =
            parsed.members.iter().zip(members).map(|(name, bytes)| load_member(&plan, name, bytes)).collect();
        Self::assemble(plan, parsed, loaded?)
    }

    fn assemble(plan: Vec<Planned>, parsed: Manifest, members: Vec<Vec<Layer>>) -> Result<Self, NetworkError> {
        if members.is_empty() {
            return Err(NetworkError::Members { expected: 1, found: 0 });
        }
        let n_outputs = plan.last().map_or(parsed.inputs, |layer| layer.after.units());
        check_scaling("input", parsed.input.as_ref(), parsed.inputs)?;
        check_scaling("output", parsed.output.as_ref(), n_outputs)?;
        let widest = plan.iter().map(|layer| layer.after.units()).max().unwrap_or(0).max(parsed.inputs);
        let Manifest { inputs: n_inputs, input, output, .. } = parsed;
        Ok(Self { n_inputs, n_outputs, widest, input, output, members })
    }

    /// Numbers that the network takes.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Numbers that it answers with.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Networks whose mean it is.
    pub fn n_members(&self) -> usize {
        self.members.len()
    }

    /// The mean over the members at each row of `x`, shape (n, `n_inputs`); shape (n, `n_outputs`).
    ///
    /// # Errors
    /// A wrong width. Values are not checked: the answer to NaN is NaN.
    pub fn evaluate(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, OracleError> {
        let mut answer = Array2::zeros((x.nrows(), self.n_outputs));
        self.in_blocks(x, &mut |row, y| {
            answer.row_mut(row).iter_mut().zip(y).for_each(|(to, from)| *to = *from);
            ControlFlow::Continue(())
        })?;
        Ok(answer)
    }

    /// The mean of the members, block by block; `on_row` gets each row's number and answer, in order, until it breaks.
    pub(crate) fn in_blocks(
        &self,
        x: ArrayView2<'_, f64>,
        on_row: &mut dyn FnMut(usize, &[f64]) -> ControlFlow<()>,
    ) -> Result<(), OracleError> {
        if x.ncols() != self.n_inputs {
            return Err(OracleError::WrongWidth { expected: self.n_inputs, found: x.ncols() });
        }
        let kernel = Kernel::detect();
        let (mut units, mut next) = (Vec::new(), Vec::new());
        for start in (0..x.nrows()).step_by(BLOCK) {
            let rows = BLOCK.min(x.nrows() - start);
            let mut sum = vec![0.0; rows * self.n_outputs];
            for member in &self.members {
                units.clear();
                for i in 0..rows {
                    units.extend(x.row(start + i).iter().enumerate().map(|(j, v)| match &self.input {
                        Some(s) => (v - s.offset[j]) / s.scale[j],
                        None => *v,
                    }));
                }
                for layer in member {
                    layer.forward(kernel, rows, &mut units, &mut next);
                }
                sum.iter_mut().zip(&units).for_each(|(sum, v)| *sum += v);
            }
            for (i, y) in sum.chunks_exact_mut(self.n_outputs).enumerate() {
                for (j, v) in y.iter_mut().enumerate() {
                    *v /= self.members.len() as f64;
                    if let Some(s) = &self.output {
                        *v = s.offset[j] + s.scale[j] * *v;
                    }
                }
                if on_row(start + i, y).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("n_inputs", &self.n_inputs)
            .field("n_outputs", &self.n_outputs)
            .field("n_members", &self.members.len())
            .field("n_layers", &self.members[0].len())
            .finish()
    }
}

/// A network as an oracle: its inputs are points of the unit box.
impl Oracle for Network {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs)?;
        self.in_blocks(x, &mut |row, y| on_row(row, finite(y)))
    }
}
