//! The manifest of a network: its form, and the shapes that it settles.

use serde::Deserialize;

use super::error::NetworkError;

const FORMAT: &str = "dal-network-1";
/// No layer may be wider than this in any direction, and no manifest longer: a mistake, not a network.
const LARGEST: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    pub(super) inputs: usize,
    pub(super) members: Vec<String>,
    #[serde(default)]
    pub(super) input: Option<Standardise>,
    #[serde(default)]
    pub(super) output: Option<Standardise>,
    pub(super) layers: Vec<LayerSpec>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standardise {
    pub(super) offset: Vec<f64>,
    pub(super) scale: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum LayerSpec {
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
pub(super) struct Signal {
    pub(super) channels: usize,
    pub(super) length: usize,
}

impl Signal {
    pub(super) fn units(self) -> usize {
        self.channels * self.length
    }
}

/// A layer with its shapes settled.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) spec: LayerSpec,
    pub(super) before: Signal,
    pub(super) after: Signal,
}

pub(super) fn check_scaling(table: &'static str, scaling: Option<&Standardise>, n: usize) -> Result<(), NetworkError> {
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
pub(super) fn plan(manifest: &str) -> Result<(Vec<Planned>, Manifest), NetworkError> {
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
    pub(super) fn name(&self) -> Option<&str> {
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
