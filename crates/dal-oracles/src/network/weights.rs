//! Takes a member's weights out of its safetensors file, every tensor checked.

use safetensors::{Dtype, SafeTensors};

use super::error::NetworkError;
use super::layer::{Convolution, Layer};
use super::linear::Linear;
use super::manifest::{LayerSpec, Planned};

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

pub(super) fn load_member(plan: &[Planned], file: &str, bytes: &[u8]) -> Result<Vec<Layer>, NetworkError> {
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
}
