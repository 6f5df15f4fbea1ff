//! An oracle whose answers are to be transformed: one that the transform cannot take is a failure of its row.

use std::sync::Arc;

use dal_core::outputs::{OutputScaling, OutputTransform};
use dal_core::{OnRow, Oracle, OracleError, Stop};
use ndarray::ArrayView2;

#[derive(Debug)]
struct InDomain {
    inner: Arc<dyn Oracle>,
    scaling: OutputScaling,
}

/// The oracle itself, where no output is transformed.
pub(super) fn in_domain(inner: Arc<dyn Oracle>, scaling: &OutputScaling) -> Arc<dyn Oracle> {
    let plain = scaling.outputs().iter().all(|output| output.transform == OutputTransform::None);
    if plain { inner } else { Arc::new(InDomain { inner, scaling: scaling.clone() }) }
}

impl Oracle for InDomain {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }

    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        self.inner.label(x, stop, &mut |row, answer| on_row(row, answer.and_then(|label| self.scaling.check(label))))
    }

    fn knows(&self, line: &str) {
        self.inner.knows(line);
    }

    fn watches_itself(&self) -> bool {
        self.inner.watches_itself()
    }

    fn check_works(&self, stop: &Stop) -> Result<(), OracleError> {
        self.inner.check_works(stop)
    }
}
