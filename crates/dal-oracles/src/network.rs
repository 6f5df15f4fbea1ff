//! Exported neural networks: a small manifest of the architecture, safetensors of the weights, and their evaluation.

use std::fmt;
use std::path::Path;

use dal_core::{OnRow, Oracle, OracleError, check_unit_box};
use ndarray::{Array2, ArrayView2};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use thiserror::Error;

use crate::rows::finite;

/// The name of the manifest inside a network's folder.
pub const MANIFEST: &str = "network.toml";

const FORMAT: &str = "dal-network-1";
/// No layer may be wider than this in any direction, and no manifest longer: a mistake, not a network.
const LARGEST: usize = 1 << 20;
/// Units that the inner loop computes together; rows of a weight panel.
const LANES: usize = 16;
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
/// Layers are PyTorch's, in inference: BatchNorm normalises with its running statistics. Before the first convolution the
/// units are one channel along which it runs; after convolutions the channels are laid one after another. Two optional
/// tables, `[input]` and `[output]`, each with lists `offset` and `scale`, standardise: the first layer sees
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    inputs: usize,
    members: Vec<String>,
    #[serde(default)]
    input: Option<Standardise>,
    #[serde(default)]
    output: Option<Standardise>,
    layers: Vec<LayerSpec>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standardise {
    offset: Vec<f64>,
    scale: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum LayerSpec {
    Linear {
        name: String,
        outputs: usize,
    },
    BatchNorm {
        name: String,
        eps: f64,
    },
    Relu {},
    #[serde(rename = "conv-transpose-1d")]
    ConvTranspose1d {
        name: String,
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    #[serde(rename = "conv-1d")]
    Conv1d {
        name: String,
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
}

/// What flows between two layers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Signal {
    channels: usize,
    length: usize,
}

impl Signal {
    fn units(self) -> usize {
        self.channels * self.length
    }
}

/// A layer with its shapes settled.
#[derive(Clone, Debug)]
struct Planned {
    spec: LayerSpec,
    before: Signal,
    after: Signal,
}

#[derive(Clone, PartialEq)]
enum Layer {
    Linear(Linear),
    /// One scale and shift per channel of units.
    Affine {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    Relu,
    Convolution(Convolution),
}

/// Weights in panels of [`LANES`] outputs, each panel with its inputs one after another; the last is padded with zeros.
#[derive(Clone, PartialEq)]
struct Linear {
    n_inputs: usize,
    n_outputs: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Clone, PartialEq)]
struct Convolution {
    transposed: bool,
    before: Signal,
    after: Signal,
    kernel: usize,
    stride: usize,
    padding: usize,
    /// (channels in, channels out, kernel), whatever the file's order.
    weights: Vec<f64>,
    bias: Vec<f64>,
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
    /// A manifest that cannot be read or contradicts itself; a member that is not safetensors, lacks a tensor, has one too
    /// many, or one of another shape or type, or with a number that is not finite.
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
        self.in_blocks(x, &mut |row, y| answer.row_mut(row).iter_mut().zip(y).for_each(|(to, from)| *to = *from))?;
        Ok(answer)
    }

    /// The mean of the members, block by block; `on_row` gets each row's number and answer, in order.
    pub(crate) fn in_blocks(
        &self,
        x: ArrayView2<'_, f64>,
        on_row: &mut dyn FnMut(usize, &[f64]),
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
                on_row(start + i, y);
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

    fn label(&self, x: ArrayView2<'_, f64>, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs)?;
        self.in_blocks(x, &mut |row, y| on_row(row, finite(y)))
    }
}

fn check_scaling(table: &'static str, scaling: Option<&Standardise>, n: usize) -> Result<(), NetworkError> {
    let Some(Standardise { offset, scale }) = scaling else { return Ok(()) };
    let message = if offset.len() != n || scale.len() != n {
        format!("offset and scale have {} and {} entries, {n} are needed", offset.len(), scale.len())
    } else if !offset.iter().chain(scale).all(|v| v.is_finite()) || scale.contains(&0.0) {
        "entries must be finite numbers, and no scale may be 0".to_owned()
    } else {
        return Ok(());
    };
    Err(NetworkError::Scaling { table, message })
}

/// Reads the manifest and settles the shapes of all layers.
fn plan(manifest: &str) -> Result<(Vec<Planned>, Manifest), NetworkError> {
    let parsed: Manifest = toml::from_str(manifest).map_err(|e| NetworkError::Manifest { message: e.to_string() })?;
    if parsed.format != FORMAT {
        return Err(NetworkError::Format { found: parsed.format });
    }
    if parsed.members.is_empty() {
        return Err(NetworkError::Members { expected: 1, found: 0 });
    }
    if parsed.inputs == 0 || parsed.inputs > LARGEST || parsed.layers.is_empty() {
        let message = format!("{} inputs and {} layers are no network", parsed.inputs, parsed.layers.len());
        return Err(NetworkError::Manifest { message });
    }
    let mut signal = Signal { channels: 1, length: parsed.inputs };
    let mut plan = Vec::with_capacity(parsed.layers.len());
    let mut names: Vec<&str> = Vec::new();
    for (layer, spec) in parsed.layers.iter().enumerate() {
        let wrong = |message: String| NetworkError::Architecture { layer, message };
        if let Some(name) = spec.name() {
            if name.is_empty() || names.contains(&name) {
                return Err(wrong(format!("the name `{name}` is empty or taken")));
            }
            names.push(name);
        }
        let after = spec.after(signal).map_err(wrong)?;
        if after.units() == 0 || after.channels > LARGEST || after.length > LARGEST || after.units() > LARGEST {
            return Err(wrong(format!("{} channels of {} are out of bounds", after.channels, after.length)));
        }
        plan.push(Planned { spec: spec.clone(), before: signal, after });
        signal = after;
    }
    Ok((plan, parsed))
}

impl LayerSpec {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Linear { name, .. }
            | Self::BatchNorm { name, .. }
            | Self::ConvTranspose1d { name, .. }
            | Self::Conv1d { name, .. } => Some(name),
            Self::Relu {} => None,
        }
    }

    fn after(&self, before: Signal) -> Result<Signal, String> {
        let bounded = |values: &[usize]| {
            if values.iter().all(|v| *v <= LARGEST) { Ok(()) } else { Err(format!("a size exceeds {LARGEST}")) }
        };
        match *self {
            Self::Linear { outputs, .. } => {
                bounded(&[outputs])?;
                Ok(Signal { channels: 1, length: outputs })
            }
            Self::BatchNorm { eps, .. } if eps.is_finite() && eps > 0.0 => Ok(before),
            Self::BatchNorm { eps, .. } => Err(format!("eps is {eps}; it must be positive")),
            Self::Relu {} => Ok(before),
            Self::ConvTranspose1d { channels, kernel, stride, padding, .. } => {
                bounded(&[channels, kernel, stride, padding])?;
                if kernel == 0 || stride == 0 || padding >= kernel {
                    return Err(format!("kernel {kernel}, stride {stride}, padding {padding} are no convolution"));
                }
                let length = ((before.length - 1) * stride + kernel).checked_sub(2 * padding);
                Ok(Signal { channels, length: length.ok_or("the padding leaves nothing")? })
            }
            Self::Conv1d { channels, kernel, stride, padding, .. } => {
                bounded(&[channels, kernel, stride, padding])?;
                if kernel == 0 || stride == 0 || padding >= kernel {
                    return Err(format!("kernel {kernel}, stride {stride}, padding {padding} are no convolution"));
                }
                let room = (before.length + 2 * padding).checked_sub(kernel);
                let room = room.ok_or_else(|| format!("kernel {kernel} is longer than {}", before.length))?;
                Ok(Signal { channels, length: room / stride + 1 })
            }
        }
    }
}

/// Takes tensors out of one member's file and knows which were taken.
struct Tensors<'a> {
    file: &'a str,
    all: SafeTensors<'a>,
    taken: Vec<String>,
}

impl Tensors<'_> {
    fn take(&mut self, layer: &str, part: &str, shape: &[usize]) -> Result<Vec<f32>, NetworkError> {
        let (file, tensor) = (self.file.to_owned(), format!("{layer}.{part}"));
        let Ok(view) = self.all.tensor(&tensor) else { return Err(NetworkError::MissingTensor { file, tensor }) };
        if view.shape() != shape {
            let (expected, found) = (shape.to_vec(), view.shape().to_vec());
            return Err(NetworkError::Shape { file, tensor, expected, found });
        }
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::F16 => bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::BF16 => bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            other => return Err(NetworkError::Type { file, tensor, found: format!("{other:?}") }),
        };
        if let Some(index) = values.iter().position(|v| !v.is_finite() || (part == "running_var" && *v < 0.0)) {
            return Err(NetworkError::Value { file, tensor, index, value: values[index] });
        }
        self.taken.push(tensor);
        Ok(values)
    }
}

fn load_member(plan: &[Planned], file: &str, bytes: &[u8]) -> Result<Vec<Layer>, NetworkError> {
    let all = SafeTensors::deserialize(bytes)
        .map_err(|e| NetworkError::NotSafetensors { file: file.to_owned(), message: e.to_string() })?;
    let mut tensors = Tensors { file, all, taken: Vec::new() };
    let layers: Result<Vec<Layer>, _> = plan.iter().map(|layer| Layer::load(layer, &mut tensors)).collect();
    let layers = layers?;
    for tensor in tensors.all.names() {
        if !tensors.taken.iter().any(|taken| taken == tensor) {
            return Err(NetworkError::UnknownTensor { file: file.to_owned(), tensor: tensor.to_owned() });
        }
    }
    Ok(layers)
}

impl Layer {
    fn load(planned: &Planned, tensors: &mut Tensors<'_>) -> Result<Self, NetworkError> {
        let Planned { spec, before, after } = planned;
        Ok(match spec {
            LayerSpec::Linear { name, .. } => {
                let (n_inputs, n_outputs) = (before.units(), after.units());
                let weights = tensors.take(name, "weight", &[n_outputs, n_inputs])?;
                let bias = tensors.take(name, "bias", &[n_outputs])?;
                Self::Linear(Linear::new(n_inputs, n_outputs, &weights, bias))
            }
            LayerSpec::BatchNorm { name, eps } => {
                // Of plain units each has its own statistics, of convolved ones each channel.
                let n = if before.channels == 1 { before.length } else { before.channels };
                let mut part = |part| tensors.take(name, part, &[n]);
                let (weight, bias) = (part("weight")?, part("bias")?);
                let (mean, var) = (part("running_mean")?, part("running_var")?);
                let scale: Vec<f64> =
                    weight.iter().zip(&var).map(|(w, v)| f64::from(*w) / (f64::from(*v) + eps).sqrt()).collect();
                let shift = (0..n).map(|i| f64::from(bias[i]) - f64::from(mean[i]) * scale[i]).collect();
                Self::Affine { scale, shift }
            }
            LayerSpec::Relu {} => Self::Relu,
            LayerSpec::ConvTranspose1d { name, kernel, stride, padding, .. } => {
                let weights = tensors.take(name, "weight", &[before.channels, after.channels, *kernel])?;
                let bias = tensors.take(name, "bias", &[after.channels])?;
                Self::Convolution(Convolution {
                    transposed: true,
                    before: *before,
                    after: *after,
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    weights: weights.into_iter().map(f64::from).collect(),
                    bias: bias.into_iter().map(f64::from).collect(),
                })
            }
            LayerSpec::Conv1d { name, kernel, stride, padding, .. } => {
                let weights = tensors.take(name, "weight", &[after.channels, before.channels, *kernel])?;
                let bias = tensors.take(name, "bias", &[after.channels])?;
                let at = |c: usize, o: usize, j: usize| f64::from(weights[(o * before.channels + c) * kernel + j]);
                let mut swapped = Vec::with_capacity(weights.len());
                for c in 0..before.channels {
                    for o in 0..after.channels {
                        swapped.extend((0..*kernel).map(|j| at(c, o, j)));
                    }
                }
                Self::Convolution(Convolution {
                    transposed: false,
                    before: *before,
                    after: *after,
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    weights: swapped,
                    bias: bias.into_iter().map(f64::from).collect(),
                })
            }
        })
    }

    /// Replaces `units`, row by row one after another, by what the layer makes of them; `next` is working memory.
    fn forward(&self, kernel: Kernel, rows: usize, units: &mut Vec<f64>, next: &mut Vec<f64>) {
        match self {
            Self::Relu => units.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v }),
            Self::Affine { scale, shift } => {
                let per_row = units.len() / rows;
                let per_statistic = (per_row / scale.len()).max(1);
                for row in units.chunks_exact_mut(per_row) {
                    for (group, (scale, shift)) in row.chunks_mut(per_statistic).zip(scale.iter().zip(shift)) {
                        group.iter_mut().for_each(|v| *v = *v * scale + shift);
                    }
                }
            }
            Self::Linear(linear) => {
                next.clear();
                next.resize(rows * linear.n_outputs, 0.0);
                kernel.linear(linear, units, next);
                std::mem::swap(units, next);
            }
            Self::Convolution(convolution) => {
                let (from, to) = (convolution.before.units(), convolution.after.units());
                next.clear();
                next.resize(rows * to, 0.0);
                for (x, y) in units.chunks_exact(from).zip(next.chunks_exact_mut(to)) {
                    convolution.forward(x, y);
                }
                std::mem::swap(units, next);
            }
        }
    }
}

impl Linear {
    fn new(n_inputs: usize, n_outputs: usize, weights: &[f32], bias: Vec<f32>) -> Self {
        let mut panels = vec![0.0; n_outputs.div_ceil(LANES) * n_inputs * LANES];
        for (panel, to) in panels.chunks_exact_mut(n_inputs * LANES).enumerate() {
            for lane in 0..LANES.min(n_outputs - panel * LANES) {
                let row = &weights[(panel * LANES + lane) * n_inputs..][..n_inputs];
                row.iter().enumerate().for_each(|(k, w)| to[k * LANES + lane] = *w);
            }
        }
        Self { n_inputs, n_outputs, panels, bias }
    }
}

impl Convolution {
    /// y[o][i] = b[o] + Σ_c Σ_j x[c][..] w[c][o][j]: ordinary at i·stride − padding + j, transposed from every i with
    /// i·stride − padding + j = the place written. The sum runs over c, then j.
    fn forward(&self, x: &[f64], y: &mut [f64]) {
        let (from, to) = (self.before.length, self.after.length);
        for (out, bias) in y.chunks_exact_mut(to).zip(&self.bias) {
            out.fill(*bias);
        }
        // Places that are strided over: inputs of an ordinary convolution, outputs of a transposed one.
        let (dense, strided) = if self.transposed { (from, to) } else { (to, from) };
        for c in 0..self.before.channels {
            let x = &x[c * from..][..from];
            for o in 0..self.after.channels {
                let y = &mut y[o * to..][..to];
                for j in 0..self.kernel {
                    let w = self.weights[(c * self.after.channels + o) * self.kernel + j];
                    // Those i with 0 ≤ i·stride + j − padding < strided.
                    let first = self.padding.saturating_sub(j).div_ceil(self.stride);
                    let end = (strided + self.padding).saturating_sub(j).div_ceil(self.stride).min(dense);
                    if first >= end {
                        continue;
                    }
                    let start = first * self.stride + j - self.padding;
                    if self.transposed {
                        let to = y[start..].iter_mut().step_by(self.stride);
                        to.zip(&x[first..end]).for_each(|(y, x)| *y += x * w);
                    } else {
                        let from = x[start..].iter().step_by(self.stride);
                        y[first..end].iter_mut().zip(from).for_each(|(y, x)| *y += x * w);
                    }
                }
            }
        }
    }
}

/// Which instructions the inner loop is compiled for. The arithmetic is the same: products and sums rounded one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// y = x Wᵀ + b for rows of `x` and `y`.
    fn linear(self, layer: &Linear, x: &[f64], y: &mut [f64]) {
        match self {
            Self::Portable => linear_rows(layer, x, y),
            // SAFETY: `detect` is where these values come from (the tests' own come from the same checks), so the
            // instructions exist on this machine.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { linear_avx2(layer, x, y) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { linear_avx512(layer, x, y) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn linear_avx2(layer: &Linear, x: &[f64], y: &mut [f64]) {
    linear_rows(layer, x, y);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn linear_avx512(layer: &Linear, x: &[f64], y: &mut [f64]) {
    linear_rows(layer, x, y);
}

#[inline(always)]
fn linear_rows(layer: &Linear, x: &[f64], y: &mut [f64]) {
    const ROWS: usize = 4;
    let (n, m) = (layer.n_inputs, layer.n_outputs);
    for (p, panel) in layer.panels.chunks_exact(n * LANES).enumerate() {
        let (first, lanes) = (p * LANES, LANES.min(m - p * LANES));
        let bias = &layer.bias[first..first + lanes];
        let mut xs = x.chunks_exact(n * ROWS);
        let mut ys = y.chunks_exact_mut(m * ROWS);
        for (x, y) in (&mut xs).zip(&mut ys) {
            panel_rows::<ROWS>(panel, bias, n, m, first, x, y);
        }
        for (x, y) in xs.remainder().chunks_exact(n).zip(ys.into_remainder().chunks_exact_mut(m)) {
            panel_rows::<1>(panel, bias, n, m, first, x, y);
        }
    }
}

/// One panel of outputs for `R` rows. Each output sums its products in the order of the inputs, then adds the bias.
#[inline(always)]
fn panel_rows<const R: usize>(panel: &[f32], bias: &[f32], n: usize, m: usize, first: usize, x: &[f64], y: &mut [f64]) {
    let rows: [&[f64]; R] = std::array::from_fn(|r| &x[r * n..(r + 1) * n]);
    let mut sum = [[0.0_f64; LANES]; R];
    for (k, w) in panel.as_chunks::<LANES>().0.iter().enumerate() {
        let w: [f64; LANES] = std::array::from_fn(|lane| f64::from(w[lane]));
        for (sum, row) in sum.iter_mut().zip(&rows) {
            let v = row[k];
            for lane in 0..LANES {
                sum[lane] += v * w[lane];
            }
        }
    }
    for (r, sum) in sum.iter().enumerate() {
        for (lane, bias) in bias.iter().enumerate() {
            y[r * m + first + lane] = sum[lane] + f64::from(*bias);
        }
    }
}

#[cfg(test)]
mod tests;
