//! Evaluates a fitted model at points of the unit box, in the units the model was fitted in.

use std::fmt;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::{Array2, ArrayView2, s};

use super::inputs::Inputs;
use crate::rows::finite;

/// The units that a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Units {
    /// One column per input, in the input's own units; a level is its 0-based number.
    #[default]
    Physical,
    /// The columns of the unit box.
    UnitBox,
}

/// Predictions, shape (n, outputs), at points of shape (n, inputs).
pub(super) type Predict = Box<dyn Fn(ArrayView2<'_, f64>) -> Result<Array2<f64>, OracleError> + Send + Sync>;

/// The oracle that evaluates a model.
pub(super) struct InPhysicalUnits {
    inputs: Inputs,
    units: Units,
    n_outputs: usize,
    predict: Predict,
}

impl InPhysicalUnits {
    /// # Errors
    /// A model with another number of inputs, in words.
    pub(super) fn new(
        inputs: Inputs,
        units: Units,
        n_inputs: usize,
        n_outputs: usize,
        predict: Predict,
    ) -> Result<Self, String> {
        let (offered, what) = match units {
            Units::Physical => (inputs.names().len(), "inputs"),
            Units::UnitBox => (inputs.space().n_columns(), "columns of the unit box"),
        };
        if offered != n_inputs {
            return Err(format!("the model takes {n_inputs} inputs, but the problem has {offered} {what}"));
        }
        Ok(Self { inputs, units, n_outputs, predict })
    }
}

impl fmt::Debug for InPhysicalUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPhysicalUnits")
            .field("inputs", &self.inputs)
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

impl Oracle for InPhysicalUnits {
    fn n_inputs(&self) -> usize {
        self.inputs.space().n_columns()
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        const BLOCK: usize = 1024;
        check_unit_box(x, self.n_inputs())?;
        for start in (0..x.nrows()).step_by(BLOCK) {
            let block = x.slice(s![start..(start + BLOCK).min(x.nrows()), ..]);
            let y = match self.units {
                Units::UnitBox => (self.predict)(block)?,
                Units::Physical => {
                    let physical = self.inputs.physical(block);
                    (self.predict)(physical.map_err(|e| OracleError::Unavailable { message: e.to_string() })?.view())?
                }
            };
            for (i, row) in y.outer_iter().enumerate() {
                if on_row(start + i, finite(&row.to_vec())).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
