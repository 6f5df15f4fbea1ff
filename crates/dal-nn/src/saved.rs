//! Surrogates as safetensors files: written byte for byte the same, and validated to the last number on reading.
//!
//! Tensors (all `F32`, row-major) are named `members.M.…` and `dropout.…`, followed by `hidden.L.weight`, `.bias`,
//! `.gamma`, `.beta`, `.running_mean`, `.running_var`, by `last.weight`, `last.bias`, by `conv.C.weight`,
//! `conv.C.bias`, and by `loss_head.features.F.weight`, `.bias`, `loss_head.score.weight`, `.bias`, where the network
//! has them; shapes are PyTorch's. The metadata hold one entry, `dal`: the SHA-256 of what follows and of all tensors
//! in order of their names (name, then data), in hexadecimal, a space, and a JSON description of network, scaling,
//! needs and provenance.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use dal_core::{DropoutSpec, Needs, TrainingCost, TrainingReport};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::evaluate::Member;
use crate::params::{Layout, LinearRange};
use crate::recipe::{check_dropout, check_loss_head};
use crate::scaling::Affine;
use crate::surrogate::{CpuSurrogate, DropoutNetwork, Ensemble, Provenance};
use dal_core::model::{ConvKind, NetworkSpec};

/// Version of the description; another one is refused.
const FORMAT: u32 = 1;

/// Why a surrogate could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The description could not be written as JSON.
    #[error("the surrogate's description cannot be written: {0}")]
    Description(#[from] serde_json::Error),
    /// The container refused the tensors.
    #[error("the surrogate's tensors cannot be written: {0}")]
    Container(#[from] safetensors::SafeTensorError),
}

/// Why bytes are not a surrogate.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not a safetensors file, or a damaged one.
    #[error("not a readable safetensors file: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A safetensors file, but not one of these.
    #[error("the file has no description of a surrogate (metadata entry \"dal\")")]
    NoDescription,
    /// The description does not parse, or describes an impossible network.
    #[error("the file's description is invalid: {0}")]
    Description(#[from] serde_json::Error),
    /// Another version of the description.
    #[error("the file has format {found}, this version reads format {expected}")]
    Format {
        /// Version in the file.
        found: u32,
        /// Version this crate reads.
        expected: u32,
    },
    /// The description contradicts itself.
    #[error("the file's description contradicts itself: {what}")]
    Inconsistent {
        /// What does not fit.
        what: String,
    },
    /// Description or numbers were changed after writing.
    #[error("the file was changed after it was written: its digest is {found}, its content's {expected}")]
    Digest {
        /// Digest in the file.
        found: String,
        /// Digest of the content.
        expected: String,
    },
    /// A tensor is missing.
    #[error("tensor {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Tensors that the description does not account for.
    #[error("the file holds {found} tensors, its description accounts for {expected}")]
    Count {
        /// Tensors in the file.
        found: usize,
        /// Tensors described.
        expected: usize,
    },
    /// A tensor has another shape or type.
    #[error("tensor {name} is {found_dtype:?} {found:?}, expected F32 {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its type.
        found_dtype: Dtype,
        /// Its shape.
        found: Vec<usize>,
        /// The shape described.
        expected: Vec<usize>,
    },
    /// A number is not finite, or a variance negative.
    #[error("entry {index} of tensor {name} is {value}")]
    Value {
        /// The tensor.
        name: String,
        /// Index of the entry in row-major order.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// The description beside the tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    network: NetworkSpec,
    n_members: usize,
    scaling: SavedScaling,
    needs: Needs,
    dropout_network: Option<NetworkSpec>,
    provenance: Provenance,
    /// Absent where the engine did not tell, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training_report: Option<TrainingReport>,
}

/// The scaling around the network. No network of this version scales its outputs: they are in the model units of
/// `dal-core`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedScaling {
    inputs: Option<Affine>,
    /// Of a file of an earlier version, which is refused.
    outputs: Option<Affine>,
}

/// Which vector of a member a tensor is part of.
#[derive(Clone, Copy)]
enum Vector {
    Params,
    Mean,
    Var,
}

/// One tensor of a member: name below the member's prefix, vector, range, shape.
struct Part {
    name: String,
    vector: Vector,
    range: Range<usize>,
    shape: Vec<usize>,
}

/// Tensors being listed.
struct Parts(Vec<Part>);

impl Parts {
    fn put(&mut self, name: String, vector: Vector, range: &Range<usize>, shape: Vec<usize>) {
        self.0.push(Part { name, vector, range: range.clone(), shape });
    }

    fn linear(&mut self, name: &str, map: &LinearRange) {
        self.put(format!("{name}.weight"), Vector::Params, &map.weight, vec![map.n_out, map.n_in]);
        self.put(format!("{name}.bias"), Vector::Params, &map.bias, vec![map.n_out]);
    }
}

/// Every tensor of a member.
fn parts(network: &NetworkSpec, layout: &Layout) -> Vec<Part> {
    let mut parts = Parts(Vec::new());
    for (l, block) in layout.hidden().iter().enumerate() {
        let name = format!("hidden.{l}");
        parts.linear(&name, &block.linear);
        if let Some(bn) = &block.batch_norm {
            let width = block.linear.n_out;
            parts.put(format!("{name}.gamma"), Vector::Params, &bn.gamma, vec![width]);
            parts.put(format!("{name}.beta"), Vector::Params, &bn.beta, vec![width]);
            parts.put(format!("{name}.running_mean"), Vector::Mean, &block.statistics, vec![width]);
            parts.put(format!("{name}.running_var"), Vector::Var, &block.statistics, vec![width]);
        }
    }
    parts.linear("last", layout.last());
    let convolutions = network.conv_head().map_or(&[][..], |head| &head.layers);
    for (c, (spec, range)) in convolutions.iter().zip(layout.conv()).enumerate() {
        let shape = match spec.kind {
            ConvKind::Plain => vec![spec.n_out, spec.n_in, spec.kernel],
            ConvKind::Transposed => vec![spec.n_in, spec.n_out, spec.kernel],
        };
        parts.put(format!("conv.{c}.weight"), Vector::Params, &range.weight, shape);
        parts.put(format!("conv.{c}.bias"), Vector::Params, &range.bias, vec![spec.n_out]);
    }
    if let Some(head) = layout.loss_head() {
        for (f, (_, map)) in head.features.iter().enumerate() {
            parts.linear(&format!("loss_head.features.{f}"), map);
        }
        parts.linear("loss_head.score", &head.score);
    }
    parts.0
}

/// Every ensemble of a surrogate with the prefix of each of its members.
fn prefixed(n_members: usize, with_dropout: bool) -> (Vec<String>, Vec<String>) {
    let members = (0..n_members).map(|m| format!("members.{m}.")).collect();
    (members, if with_dropout { vec!["dropout.".into()] } else { Vec::new() })
}

fn digest<'a>(description: &str, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(description.as_bytes());
    for (name, data) in tensors {
        hasher.update(name.as_bytes());
        hasher.update(data);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CpuSurrogate {
    /// The surrogate as a safetensors file. Equal surrogates give equal bytes; the measured cost is not kept.
    ///
    /// # Errors
    /// [`SaveError`] where description or container cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SaveError> {
        let description = Description {
            format: FORMAT,
            network: self.ensemble.network.clone(),
            n_members: self.ensemble.members.len(),
            scaling: SavedScaling { inputs: self.scaling.clone(), outputs: None },
            needs: self.needs.clone(),
            dropout_network: self.dropout.as_ref().map(|dropout| dropout.ensemble.network.clone()),
            provenance: self.provenance.clone(),
            training_report: self.report.clone(),
        };
        let description = serde_json::to_string(&description)?;
        let (members, dropout) = prefixed(self.ensemble.members.len(), self.dropout.is_some());
        let mut tensors = BTreeMap::new();
        let mut put = |prefixes: &[String], ensemble: &Ensemble| {
            let parts = parts(&ensemble.network, &ensemble.layout);
            for (prefix, member) in prefixes.iter().zip(&ensemble.members) {
                for part in &parts {
                    let values = match part.vector {
                        Vector::Params => &member.params,
                        Vector::Mean => &member.running_mean,
                        Vector::Var => &member.running_var,
                    };
                    let bytes: Vec<u8> = values[part.range.clone()].iter().flat_map(|v| v.to_le_bytes()).collect();
                    tensors.insert(format!("{prefix}{}", part.name), (part.shape.clone(), bytes));
                }
            }
        };
        put(&members, &self.ensemble);
        if let Some(network) = &self.dropout {
            put(&dropout, &network.ensemble);
        }
        let digest = digest(&description, tensors.iter().map(|(name, (_, bytes))| (name.as_str(), bytes.as_slice())));
        let views: Result<Vec<_>, _> = tensors
            .iter()
            .map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>();
        let metadata = HashMap::from([("dal".to_owned(), format!("{digest} {description}"))]);
        Ok(safetensors::serialize(views?, Some(metadata))?)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`LoadError`]: anything in the file that is damaged, missing, superfluous, inconsistent or not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let entry = header.metadata().as_ref().and_then(|metadata| metadata.get("dal"));
        let (found, text) = entry.and_then(|entry| entry.split_once(' ')).ok_or(LoadError::NoDescription)?;
        let mut named: Vec<_> = tensors.iter().collect();
        named.sort_by(|a, b| a.0.cmp(b.0));
        let expected = digest(text, named.iter().map(|(name, view)| (*name, view.data())));
        if found != expected {
            return Err(LoadError::Digest { found: found.into(), expected });
        }
        /// The part of a description that every version has.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = serde_json::from_str(text)?;
        if format != FORMAT {
            return Err(LoadError::Format { found: format, expected: FORMAT });
        }
        let description: Description = serde_json::from_str(text)?;
        let dropout = validate(&description)?;

        let network = description.network;
        let loss_head = match &description.needs.loss_head {
            Some(spec) => Some(check_loss_head(&network, spec).map_err(|what| LoadError::Inconsistent { what })?),
            None => None,
        };
        let layout = Layout::new(&network, loss_head);
        let member_parts = parts(&network, &layout);
        let dropout_layout = dropout.as_ref().map(|(_, network)| (Layout::new(network, None), network));
        let dropout_parts = dropout_layout.as_ref().map_or_else(Vec::new, |(layout, network)| parts(network, layout));
        // Counted before anything is allocated by it.
        let counted = description.n_members.checked_mul(member_parts.len());
        let expected = counted.and_then(|n| n.checked_add(dropout_parts.len())).unwrap_or(usize::MAX);
        if tensors.len() != expected {
            return Err(LoadError::Count { found: tensors.len(), expected });
        }
        let (member_names, dropout_names) = prefixed(description.n_members, dropout.is_some());
        let read = |names: &[String], parts: &[Part], layout: &Layout| -> Result<Vec<Member>, LoadError> {
            names.iter().map(|prefix| read_member(&tensors, prefix, parts, layout)).collect()
        };
        let members = read(&member_names, &member_parts, &layout)?;
        let dropout_members = match &dropout_layout {
            Some((layout, _)) => read(&dropout_names, &dropout_parts, layout)?,
            None => Vec::new(),
        };
        drop(dropout_layout);
        let dropout = dropout.map(|(spec, network)| DropoutNetwork {
            spec,
            ensemble: Ensemble::new(network, None, dropout_members),
            scaling: description.scaling.inputs.clone(),
        });
        let loss_head_spec = description.needs.loss_head;
        Ok(Self {
            ensemble: Ensemble::new(network, loss_head, members),
            dropout,
            loss_head: loss_head_spec,
            scaling: description.scaling.inputs,
            needs: description.needs,
            provenance: description.provenance,
            report: description.training_report,
            cost: TrainingCost::default(),
        })
    }
}

/// Checks what serde cannot; the dropout network with its settings, if there is one.
fn validate(description: &Description) -> Result<Option<(DropoutSpec, NetworkSpec)>, LoadError> {
    let inconsistent = |what: String| LoadError::Inconsistent { what };
    let (n_inputs, n_outputs) = (description.network.n_inputs(), description.network.n_outputs());
    if description.n_members == 0 {
        return Err(inconsistent("an ensemble without members".into()));
    }
    description.provenance.training.validate().map_err(|error| inconsistent(error.to_string()))?;
    if let Some(report) = &description.training_report {
        let ends = || report.members.iter().chain(&report.dropout);
        let sound = ends().all(|end| [end.final_loss, end.best_loss, end.label_variance].iter().all(|v| *v >= 0.0));
        if report.members.len() != description.n_members
            || report.dropout.is_some() != description.needs.dropout.is_some()
            || !sound
        {
            return Err(inconsistent("the report of its training is not one of its networks".into()));
        }
    }
    if description.scaling.inputs.as_ref().is_some_and(|affine| !affine.is_valid(n_inputs)) {
        return Err(inconsistent(format!(
            "the scaling of the inputs is not {n_inputs} finite offsets and positive factors"
        )));
    }
    if description.scaling.outputs.is_some() {
        let why = "it scales its outputs, as no command of `dal` ever did and this version cannot; train it anew";
        return Err(inconsistent(why.into()));
    }
    match (description.needs.dropout, &description.dropout_network) {
        (None, None) => Ok(None),
        (Some(spec), Some(network)) => {
            check_dropout(network, &spec).map_err(inconsistent)?;
            let batch_norm = description.network.batch_norm().filter(|_| spec.batch_norm);
            if (network.n_inputs(), network.n_outputs()) != (n_inputs, n_outputs) || network.batch_norm() != batch_norm
            {
                let why =
                    "the dropout network has other inputs, outputs or BatchNorm than the ensemble and its settings say";
                return Err(inconsistent(why.into()));
            }
            Ok(Some((spec, network.clone())))
        }
        _ => Err(inconsistent("a dropout network without its settings, or settings without the network".into())),
    }
}

fn read_member(tensors: &SafeTensors<'_>, prefix: &str, parts: &[Part], layout: &Layout) -> Result<Member, LoadError> {
    let mut views = Vec::with_capacity(parts.len());
    for part in parts {
        let name = format!("{prefix}{}", part.name);
        let view = tensors.tensor(&name).map_err(|_| LoadError::Missing { name: name.clone() })?;
        if view.dtype() != Dtype::F32 || view.shape() != part.shape {
            return Err(LoadError::Shape {
                name,
                found_dtype: view.dtype(),
                found: view.shape().to_vec(),
                expected: part.shape.clone(),
            });
        }
        views.push((name, view));
    }
    // Every tensor has its size by now, so what is allocated here is no more than the file's own length.
    let mut member = Member {
        params: vec![0.0; layout.n_parameters()],
        running_mean: vec![0.0; layout.n_statistics()],
        running_var: vec![0.0; layout.n_statistics()],
    };
    for (part, (name, view)) in parts.iter().zip(views) {
        let into = match part.vector {
            Vector::Params => &mut member.params,
            Vector::Mean => &mut member.running_mean,
            Vector::Var => &mut member.running_var,
        };
        for (index, (into, bytes)) in into[part.range.clone()].iter_mut().zip(view.data().chunks_exact(4)).enumerate() {
            let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if !value.is_finite() || (matches!(part.vector, Vector::Var) && value < 0.0) {
                return Err(LoadError::Value { name, index, value });
            }
            *into = value;
        }
    }
    Ok(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CpuLearner, InputScaling};
    use dal_core::model::{BatchNormSpec, Head, TrainingSpec};
    use dal_core::{Labelled, LossHeadSpec, SeedPath, Surrogate};
    use ndarray::Array2;
    use proptest::prelude::*;

    fn model() -> CpuSurrogate {
        let network = NetworkSpec::new(2, 1, vec![3, 2], Some(BatchNormSpec::default()), Head::Linear).unwrap();
        let training = TrainingSpec { n_members: 2, epochs: 3, ..TrainingSpec::default() };
        let x = Array2::from_shape_fn((7, 2), |(i, j)| (i * (j + 2)) as f64 / 10.0 - 0.5);
        let y = x.map_axis(ndarray::Axis(1), |row| row.sum()).insert_axis(ndarray::Axis(1));
        let needs = Needs {
            committee: true,
            dropout: Some(DropoutSpec::default()),
            loss_head: Some(LossHeadSpec::default()),
            ..Needs::default()
        };
        let rule = InputScaling::Standardise;
        let learner = CpuLearner::new(network, training).unwrap();
        let mut model =
            learner.with_input_scaling(rule).fit(&Labelled::new(x, y).unwrap(), &needs, &SeedPath::root(0)).unwrap();
        model.note("problem", "sum");
        model
    }

    /// The file with its description changed and its digest made right again.
    fn tampered(bytes: &[u8], change: impl Fn(String) -> String, extra: Option<(&str, Vec<f32>)>) -> Vec<u8> {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let text = header.metadata().as_ref().unwrap()["dal"].split_once(' ').unwrap().1.to_owned();
        let text = change(text);
        let mut all: BTreeMap<String, (Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), view.data().to_vec())))
            .collect();
        if let Some((name, values)) = extra {
            let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            all.insert(name.into(), (vec![values.len()], data));
        }
        let digest = digest(&text, all.iter().map(|(name, (_, data))| (name.as_str(), data.as_slice())));
        let views: Vec<_> = all
            .iter()
            .map(|(name, (shape, data))| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()))
            .collect();
        let metadata = HashMap::from([("dal".to_owned(), format!("{digest} {text}"))]);
        safetensors::serialize(views, Some(metadata)).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let model = model();
        let bytes = model.to_bytes().unwrap();
        let read = CpuSurrogate::from_bytes(&bytes).unwrap();
        assert_eq!(read, model);
        assert_eq!(read.to_bytes().unwrap(), bytes);
        assert_eq!(read.provenance().notes["problem"], "sum");
        let x = Array2::from_elem((3, 2), 0.2);
        assert_eq!(read.mean(x.view()).unwrap(), model.mean(x.view()).unwrap());
    }

    #[test]
    fn descriptions_that_do_not_fit_are_refused_even_with_a_right_digest() {
        let bytes = model().to_bytes().unwrap();
        let swap = |from: &'static str, to: &'static str| {
            let bytes = tampered(
                &bytes,
                |text| {
                    assert!(text.contains(from), "{text}");
                    text.replacen(from, to, 1)
                },
                None,
            );
            CpuSurrogate::from_bytes(&bytes).unwrap_err().to_string()
        };
        assert!(swap("\"hidden\":[3,2]", "\"hidden\":[3,0]").contains("hidden[1]"));
        assert!(swap("\"hidden\":[3,2]", "\"hidden\":[4,2]").contains("expected F32 [4, 2]"));
        assert!(swap("\"hidden\":[3,2]", "\"hidden\":[3,2,2]").contains("accounts for"));
        assert!(swap("\"n_members\":2", "\"n_members\":0").contains("without members"));
        assert!(swap("\"n_members\":2", "\"n_members\":3").contains("report of its training"));
        assert!(swap("\"label_variance\":", "\"label_variance\":-").contains("report of its training"));
        let mut untold = model();
        untold.report = None;
        let many = |text: String| text.replacen("\"n_members\":2", "\"n_members\":18446744073709551615", 1);
        let error = CpuSurrogate::from_bytes(&tampered(&untold.to_bytes().unwrap(), many, None)).unwrap_err();
        assert!(error.to_string().contains("accounts for"), "{error}");
        assert!(swap("\"format\":1", "\"format\":2").contains("format 2"));
        assert!(swap("\"factor\":[", "\"factor\":[-").contains("scaling"));
        let scaled = "\"outputs\":{\"offset\":[0.0],\"factor\":[2.0]}";
        assert!(swap("\"outputs\":null", scaled).contains("scales its outputs"));
        assert!(swap("\"rate\":0.5", "\"rate\":1.5").contains("rate"));
        assert!(swap("\"width\":10", "\"width\":18446744073709551615").contains("loss head"));
        assert!(swap("\"platform\"", "\"platfrom\"").contains("unknown field"));
    }

    #[test]
    fn superfluous_missing_and_non_finite_numbers_are_refused() {
        let bytes = model().to_bytes().unwrap();
        let with = |name, values| CpuSurrogate::from_bytes(&tampered(&bytes, |t| t, Some((name, values)))).unwrap_err();
        assert!(matches!(with("more", vec![0.0]), LoadError::Count { .. }));
        assert!(matches!(with("members.0.last.bias", vec![f32::NAN]), LoadError::Value { .. }));
        assert!(matches!(with("members.1.hidden.1.running_var", vec![0.5, -1.0]), LoadError::Value { index: 1, .. }));
        assert!(matches!(with("members.1.hidden.1.running_var", vec![0.5]), LoadError::Shape { .. }));
        let empty: Vec<(String, TensorView<'_>)> = Vec::new();
        let foreign = safetensors::serialize(empty, None).unwrap();
        assert!(matches!(CpuSurrogate::from_bytes(&foreign), Err(LoadError::NoDescription)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// Damage anywhere is an error, or, in padding, without effect.
        #[test]
        fn damaged_bytes_are_errors(
            at in any::<prop::sample::Index>(), flip in 1u8..=255, cut in any::<prop::sample::Index>(), kind in 0u8..3,
            noise in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            thread_local!(static BYTES: (CpuSurrogate, Vec<u8>) = {
                let model = model();
                let bytes = model.to_bytes().unwrap();
                (model, bytes)
            });
            BYTES.with(|(model, bytes)| {
                let mut damaged = bytes.clone();
                match kind {
                    0 => damaged[at.index(bytes.len())] ^= flip,
                    1 => damaged.truncate(cut.index(bytes.len())),
                    _ => damaged.extend(&noise),
                }
                match CpuSurrogate::from_bytes(&damaged) {
                    Ok(read) => prop_assert_eq!(&read, model),
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
                prop_assert!(CpuSurrogate::from_bytes(&noise).is_err());
                Ok(())
            })?;
        }
    }
}
