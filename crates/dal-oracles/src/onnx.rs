//! Networks in ONNX files, evaluated point by point by `tract`; only with the feature `onnx`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::{Array2, ArrayView2};
use thiserror::Error;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::framework::Framework;
use tract_onnx::tract_hir::infer::Factoid;

use crate::rows::finite;

/// No network takes or gives more numbers than this: a mistake, not a network.
const LARGEST: i64 = 1 << 20;

/// A network in an ONNX file: one input of shape (batch, n), one output of shape (batch, m), both of 32- or 64-bit
/// floats. Of several outputs one may be asked for by its name, as `mean` of a campaign's exported model.
///
/// Arithmetic is that of the file's types, in `tract`'s kernels for this machine, so that answers may differ between
/// machines in the last digits (the manifest networks of [`network`](crate::network) do not). The network is evaluated
/// at one point at a time: a point has the same answer, bit by bit, in any batch.
///
/// Needs the feature `onnx`. A model is checked when it is loaded: everything in it must be known, and shapes must fit
/// together.
#[derive(Clone)]
pub struct OnnxNetwork {
    n_inputs: usize,
    n_outputs: usize,
    /// Types of input and output.
    types: (DatumType, DatumType),
    plan: Arc<TypedRunnableModel>,
}

/// An ONNX file that cannot be used. No file, however damaged, leads to a panic that gets out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OnnxError {
    /// The bytes are not an ONNX model.
    #[error("it is no ONNX model, or a damaged one: {message}")]
    NotOnnx {
        /// What the reader says.
        message: String,
    },
    /// Something in it is not known, contradicts itself, or lies in another file.
    #[error(
        "the network cannot be evaluated: {message} (weights must lie in the file itself: export without external data)"
    )]
    Unsupported {
        /// What the evaluator says.
        message: String,
    },
    /// More or fewer inputs or outputs than one.
    #[error(
        "the network has {inputs} inputs and {outputs} outputs; exactly one of each is needed, or the name of the output \
         that is wanted"
    )]
    Signature {
        /// Inputs, weights not counted.
        inputs: usize,
        /// Outputs.
        outputs: usize,
    },
    /// The output that is wanted is not there.
    #[error("the network has no output `{wanted}`; it has: {}", known.join(", "))]
    NoOutput {
        /// Its name.
        wanted: String,
        /// Names of those that there are.
        known: Vec<String>,
    },
    /// The input's or output's shape is not that of rows of numbers.
    #[error(
        "its {what} has shape {found}; (batch, n) is needed, n a number, batch free or 1: export with a dynamic batch"
    )]
    Shape {
        /// `input` or `output`.
        what: &'static str,
        /// The shape.
        found: String,
    },
    /// The input or output does not hold floats.
    #[error("its {what} holds {found}; 32- or 64-bit floats are needed")]
    Type {
        /// `input` or `output`.
        what: &'static str,
        /// The type.
        found: String,
    },
}

impl OnnxNetwork {
    /// The network in the bytes of an ONNX file.
    ///
    /// # Errors
    /// Bytes that are no model; more than one input or output; shapes other than rows of floats; an operator that is
    /// not known or does not fit what it gets; weights in another file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OnnxError> {
        Self::output_of(bytes, None)
    }

    /// The same, with this output in place of the only one.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes); an output that is not there.
    pub fn output_of(bytes: &[u8], output: Option<&str>) -> Result<Self, OnnxError> {
        // A damaged model may meet an assertion of the evaluator; what is left behind is dropped.
        catch_unwind(AssertUnwindSafe(|| Self::read(bytes, output)))
            .unwrap_or_else(|panic| Err(OnnxError::Unsupported { message: words(&*panic) }))
    }

    fn read(mut bytes: &[u8], output: Option<&str>) -> Result<Self, OnnxError> {
        let unsupported = |error: TractError| OnnxError::Unsupported { message: chain(&error) };
        let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        let proto =
            onnx.proto_model_for_read(&mut bytes).map_err(|error| OnnxError::NotOnnx { message: chain(&error) })?;
        // Every whole model has these; bytes cut between two fields are still a message.
        if proto.graph.is_none() || proto.opset_import.is_empty() {
            let message = "it holds no graph, or does not say of which operator set";
            return Err(OnnxError::NotOnnx { message: message.into() });
        }
        let mut model = onnx.model_for_proto_model(&proto).map_err(unsupported)?;
        if let Some(wanted) = output {
            let named = |outlet: &OutletId| model.outlet_label(*outlet).unwrap_or_default().to_owned();
            let known: Vec<String> = model.outputs.iter().map(named).collect();
            let Some(at) = known.iter().position(|name| name == wanted) else {
                return Err(OnnxError::NoOutput { wanted: wanted.to_owned(), known });
            };
            let outlet = model.outputs[at];
            model.select_output_outlets(&[outlet]).map_err(unsupported)?;
        }
        let (inputs, outputs) = (model.inputs.len(), model.outputs.len());
        if (inputs, outputs) != (1, 1) {
            return Err(OnnxError::Signature { inputs, outputs });
        }
        let fact = model.input_fact(0).map_err(unsupported)?.clone();
        let taken = fact.datum_type.concretize().ok_or_else(|| float("input", &"numbers of no type"))?;
        is_float("input", taken)?;
        let shape = || OnnxError::Shape { what: "input", found: format!("{:?}", fact.shape) };
        let dims: Vec<_> = fact.shape.dims().collect();
        let fixed = |index: usize| dims.get(index)?.concretize()?.to_i64().ok();
        let n_inputs = match (fact.shape.is_open(), dims.len(), fixed(0), fixed(1)) {
            (false, 2, None | Some(1), Some(n)) if (1..=LARGEST).contains(&n) => n as usize,
            _ => return Err(shape()),
        };
        model.set_input_fact(0, InferenceFact::dt_shape(taken, [1, n_inputs])).map_err(unsupported)?;
        let model = model.into_optimized().map_err(unsupported)?;
        let fact = model.output_fact(0).map_err(unsupported)?;
        is_float("output", fact.datum_type)?;
        let n_outputs = match fact.shape.as_concrete() {
            Some(&[1, n]) if (1..=LARGEST as usize).contains(&n) => n,
            _ => return Err(OnnxError::Shape { what: "output", found: format!("{:?}", fact.shape) }),
        };
        let types = (taken, fact.datum_type);
        let network = Self { n_inputs, n_outputs, types, plan: model.into_runnable().map_err(unsupported)? };
        // What fits by its shapes may still fail on numbers; better now than after the first simulation.
        let zeros = Array2::zeros((1, n_inputs));
        network.run(zeros.view()).map_err(unsupported)?;
        Ok(network)
    }

    /// Numbers that the network takes.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Numbers that it answers with.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// The network at each row of `x`, shape (n, `n_inputs`); shape (n, `n_outputs`).
    ///
    /// # Errors
    /// A wrong width; an evaluation that fails.
    pub fn evaluate(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, OracleError> {
        if x.ncols() != self.n_inputs {
            return Err(OracleError::WrongWidth { expected: self.n_inputs, found: x.ncols() });
        }
        let failed =
            |message: String| OracleError::Unavailable { message: format!("evaluating the network: {message}") };
        match catch_unwind(AssertUnwindSafe(|| self.run(x))) {
            Ok(answer) => answer.map_err(|error| failed(chain(&error))),
            Err(panic) => Err(failed(words(&*panic))),
        }
    }

    fn run(&self, x: ArrayView2<'_, f64>) -> TractResult<Array2<f64>> {
        let mut answer = Array2::zeros((x.nrows(), self.n_outputs));
        let mut state = self.plan.spawn()?;
        for (point, mut to) in x.outer_iter().zip(answer.outer_iter_mut()) {
            let point = point.to_vec();
            let input = Tensor::from_shape(&[1, self.n_inputs], &point)?.cast_to_dt(self.types.0)?.into_owned();
            let output = state.run(tvec!(input.into()))?;
            let output = output[0].cast_to::<f64>()?;
            let view = output.to_plain_array_view::<f64>()?;
            to.iter_mut().zip(view).for_each(|(to, from)| *to = *from);
        }
        Ok(answer)
    }
}

fn float(what: &'static str, found: &dyn fmt::Display) -> OnnxError {
    OnnxError::Type { what, found: found.to_string() }
}

fn is_float(what: &'static str, found: DatumType) -> Result<(), OnnxError> {
    if [f32::datum_type(), f64::datum_type()].contains(&found) {
        Ok(())
    } else {
        Err(float(what, &format!("{found:?}")))
    }
}

/// An error with its causes, on one line.
fn chain(error: &TractError) -> String {
    error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect::<Vec<_>>().join(": ")
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it does not fit together".into())
}

impl fmt::Debug for OnnxNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxNetwork")
            .field("n_inputs", &self.n_inputs)
            .field("n_outputs", &self.n_outputs)
            .finish_non_exhaustive()
    }
}

/// A network as an oracle: its inputs are points of the unit box.
impl Oracle for OnnxNetwork {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, self.n_inputs)?;
        let y = self.evaluate(x)?;
        let _ = y.outer_iter().enumerate().try_for_each(|(row, y)| on_row(row, finite(&y.to_vec())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::check_oracle;
    use crate::testing::golden;
    use dal_core::{SeedPath, Space};
    use dal_fixtures::onnx as files;

    #[test]
    fn answers_are_those_of_onnxs_own_evaluator() {
        for (bytes, text, bound) in [
            (files::MLP, files::MLP_GOLDEN, 1e-5),
            (files::CONV, files::CONV_GOLDEN, 1e-5),
            (files::TANH, files::TANH_GOLDEN, 1e-12),
        ] {
            let network = OnnxNetwork::from_bytes(bytes).unwrap();
            let (x, y) = golden(text, 3);
            assert_eq!((network.n_inputs(), network.n_outputs()), (3, y.ncols()));
            let worst = (&network.evaluate(x.view()).unwrap() - &y).iter().fold(0.0_f64, |m, d| m.max(d.abs()));
            assert!(worst < bound, "{worst:e}");
            check_oracle(&network, &Space::continuous_unit(3), &SeedPath::root(3)).unwrap();
        }
    }

    #[test]
    fn what_is_no_function_of_rows_is_refused() {
        let error = |bytes: &[u8]| OnnxNetwork::from_bytes(bytes).unwrap_err();
        assert_eq!(error(files::TWO_INPUTS), OnnxError::Signature { inputs: 2, outputs: 1 });
        assert_eq!(error(files::TWO_OUTPUTS), OnnxError::Signature { inputs: 1, outputs: 2 });
        for bytes in [files::FIXED_BATCH, files::IMAGE, files::FREE_WIDTH] {
            let error = error(bytes);
            assert!(matches!(error, OnnxError::Shape { what: "input", .. }), "{error}");
            assert!(error.to_string().contains("dynamic batch"), "{error}");
        }
        let unknown = error(files::UNKNOWN_OPERATOR);
        assert!(
            matches!(unknown, OnnxError::Unsupported { .. }) && unknown.to_string().contains("Wobble"),
            "{unknown}"
        );
        assert!(matches!(error(files::WRONG_SHAPE), OnnxError::Unsupported { .. }));
        let network = OnnxNetwork::from_bytes(files::MLP).unwrap();
        let narrow = Array2::zeros((2, 2));
        assert!(matches!(network.evaluate(narrow.view()), Err(OracleError::WrongWidth { expected: 3, found: 2 })));
    }

    #[test]
    fn damaged_files_are_errors_or_other_networks_and_never_panics() {
        assert!(matches!(OnnxNetwork::from_bytes(b""), Err(OnnxError::NotOnnx { .. })));
        assert!(OnnxNetwork::from_bytes(b"no model at all, but a few words").is_err());
        for bytes in [files::MLP, files::CONV, files::TANH] {
            for length in (0..bytes.len()).step_by(23) {
                assert!(OnnxNetwork::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
            }
            for place in (0..bytes.len()).step_by(17) {
                let mut spoilt = bytes.to_vec();
                spoilt[place] ^= 1 << (place / 17 % 8);
                if let Ok(network) = OnnxNetwork::from_bytes(&spoilt) {
                    let x = Array2::from_elem((1, network.n_inputs().min(1 << 10)), 0.5);
                    let _ = network.evaluate(x.view());
                }
            }
        }
    }
}
