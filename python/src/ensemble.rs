//! The training engine as an object: an ensemble of networks with the units of its outputs.

use std::sync::Arc;
use std::time::Instant;

use dal_campaign::ladder;
use dal_core::outputs::{OutputScaling, OutputTransform, OutputUnits};
use dal_core::{
    Committee, Labelled, MlpEnsemble, MlpOverlay, Needs, SeedPath, Shape, StopLevel, Surrogate, Uncertainty,
};
use dal_nn::{CpuLearner, CpuSurrogate, InputScaling, has_collapsed};
use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use numpy::{PyArray2, PyArray3, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};
use serde_json::{Value, json};

use crate::arrays::{matrix, out, out_block};
use crate::errors;
use crate::select::{answer, settings};
use crate::work::{guarded, interruptible, left_behind};

/// Labels from which on networks are compared; fewer get the small network that a campaign's ladder begins with.
const COMPARED_FROM: usize = 30;
/// The note that says what [`Ensemble`] adds to a file of networks.
const NOTE: &str = "dal_regression";
/// Rows that members answer for at one time.
const CHUNK: usize = 1024;

/// A trained ensemble.
#[pyclass(frozen, module = "dal_regression._core")]
pub(crate) struct Ensemble {
    networks: Arc<CpuSurrogate>,
    /// Of each output: y = offset + factor z, z what the networks learned.
    units: Vec<(f64, f64)>,
    /// What the engine took, of the clock; none where they were loaded.
    seconds: Option<f64>,
}

/// What is to be trained, apart from the data.
struct Recipe {
    overlay: MlpOverlay,
    fixed: bool,
    scale_inputs: bool,
    scale_outputs: bool,
    threads: usize,
    seed: u64,
    needs: Needs,
    /// What the estimator wants kept, for `load`.
    estimator: Value,
}

impl Recipe {
    fn network(
        &self,
        labelled: &Labelled,
        scaling: &OutputScaling,
        seeds: &SeedPath,
        stop: &dal_core::Stop,
    ) -> PyResult<MlpEnsemble> {
        let shape = Shape { n_inputs: labelled.n_inputs(), n_outputs: labelled.n_outputs() };
        if self.fixed || labelled.len() < COMPARED_FROM {
            // The second step of the ladder: two hidden layers of 32.
            let small = ladder::ladder(0, shape).swap_remove(1);
            return Ok(self.overlay.over(&small));
        }
        // Networks are compared on inputs as the one in use sees them.
        let x = if self.scale_inputs { standardised(labelled.x()) } else { labelled.x().to_owned() };
        let seen = Labelled::new(x, labelled.y().to_owned()).map_err(|error| errors::refused(&error))?;
        let choice = ladder::choose(&seen, scaling, self.threads, &seeds.purpose("ladder"), stop)
            .map_err(|error| errors::campaign(&error))?;
        Ok(self.overlay.over(choice.model()))
    }

    fn train(&self, x: Array2<f64>, y: Array2<f64>, stop: &dal_core::Stop) -> PyResult<Ensemble> {
        let labelled = Labelled::new(x, y).map_err(|error| errors::refused(&error))?;
        let seeds = SeedPath::root(self.seed).purpose("estimator");
        let n_outputs = labelled.n_outputs();
        let unit = OutputUnits { transform: OutputTransform::None, standardise: true };
        let scaling = match self.scale_outputs {
            true => OutputScaling::new(vec![unit; n_outputs]),
            false => OutputScaling::default(),
        };
        let network = self.network(&labelled, &scaling, &seeds, stop)?;
        let shape = Shape { n_inputs: labelled.n_inputs(), n_outputs };
        let spec = network.network(shape).map_err(|error| errors::refused(&error))?;
        let inputs = if self.scale_inputs { InputScaling::Standardise } else { InputScaling::None };
        let learner = CpuLearner::new(spec, network.training.clone())
            .map_err(|error| errors::refused(&error))?
            .with_threads(self.threads)
            .with_input_scaling(inputs);
        let (scaled, units) = match self.scale_outputs {
            true => {
                let (scaled, back) = scaling.model_units(&labelled).map_err(|error| errors::learning(&error))?;
                (scaled, back.columns().map(|(_, offset, factor)| (offset, factor)).collect())
            }
            false => (labelled, vec![(0.0, 1.0); n_outputs]),
        };
        let start = Instant::now();
        let mut networks = learner
            .fit_until(&scaled, &self.needs, &seeds.purpose("fit"), stop)
            .map_err(|error| errors::learning(&error))?;
        let seconds = Some(start.elapsed().as_secs_f64());
        networks.note(
            NOTE,
            json!({"version": 1, "outputs": units, "model": network, "estimator": self.estimator}).to_string(),
        );
        Ok(Ensemble { networks: Arc::new(networks), units, seconds })
    }
}

/// Each column less its mean, divided by its standard deviation; a constant one is only shifted.
fn standardised(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut x = x.to_owned();
    for mut column in x.columns_mut() {
        let mean = column.mean().unwrap_or(0.0);
        let spread = column.std(0.0);
        let factor = if spread > 0.0 && spread.is_finite() { spread } else { 1.0 };
        column.mapv_inplace(|v| (v - mean) / factor);
    }
    x
}

impl Ensemble {
    fn rescale(&self, mut values: Array2<f64>, with_offset: bool) -> Array2<f64> {
        for (mut column, (offset, factor)) in values.columns_mut().into_iter().zip(&self.units) {
            let offset = if with_offset { *offset } else { 0.0 };
            column.mapv_inplace(|z| offset + factor * z);
        }
        values
    }

    fn all_members(&self, x: ArrayView2<'_, f64>) -> PyResult<Array3<f64>> {
        let n_members = self.networks.members().len();
        let mut all = Array3::zeros((n_members, x.nrows(), self.units.len()));
        let mut keep = |first: usize, chunk: ndarray::ArrayView3<'_, f64>| {
            all.slice_mut(s![.., first..first + chunk.len_of(Axis(1)), ..]).assign(&chunk);
        };
        Committee::members(&*self.networks, x, CHUNK, &mut keep).map_err(|error| errors::refused(&error))?;
        for (mut output, (offset, factor)) in all.axis_iter_mut(Axis(2)).zip(&self.units) {
            output.mapv_inplace(|z| offset + factor * z);
        }
        Ok(all)
    }
}

#[pymethods]
impl Ensemble {
    /// Trains on points (n, d) and answers (n, J). `model_json` is what differs from the network that is chosen;
    /// with `fixed` none is chosen by comparison. `method` names a strategy whose needs the model is to meet.
    #[staticmethod]
    #[pyo3(signature = (
        x, y, model_json, estimator_json, fixed, scale_inputs, scale_outputs, threads, seed, method=None,
        settings_json=None
    ))]
    fn train(
        py: Python<'_>,
        x: PyReadonlyArray2<'_, f64>,
        y: PyReadonlyArray2<'_, f64>,
        model_json: &str,
        estimator_json: &str,
        fixed: bool,
        scale_inputs: bool,
        scale_outputs: bool,
        threads: Option<usize>,
        seed: u64,
        method: Option<&str>,
        settings_json: Option<&str>,
    ) -> PyResult<Self> {
        let overlay: MlpOverlay =
            serde_json::from_str(model_json).map_err(|error| errors::json("the network", &error))?;
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(all);
        if threads == 0 {
            return Err(errors::input("threads=0: at least one thread must train"));
        }
        let mut needs = Needs { mean: true, uncertainty: true, committee: true, ..Needs::default() };
        if let Some(method) = method {
            let given = settings(settings_json.unwrap_or("{}"))?;
            let found = dal_acq::find(method, &given).map_err(|error| errors::setting(&error))?;
            needs = Needs { mean: true, uncertainty: true, committee: true, ..found.strategy.needs() };
        }
        let estimator = serde_json::from_str(estimator_json).map_err(|error| errors::json("the estimator", &error))?;
        let recipe = Recipe { overlay, fixed, scale_inputs, scale_outputs, threads, seed, needs, estimator };
        let (x, y) = (matrix(&x), matrix(&y));
        interruptible(py, StopLevel::Now, move |stop| recipe.train(x, y, stop))?
    }

    /// Predictions, shape (n, J).
    fn mean<'py>(&self, py: Python<'py>, x: PyReadonlyArray2<'py, f64>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let x = matrix(&x);
        let mean = guarded(|| py.detach(|| self.networks.mean(x.view())))?.map_err(|error| errors::refused(&error))?;
        Ok(out(py, self.rescale(mean, true)))
    }

    /// Predictions and the members' standard deviations, each of shape (n, J).
    #[allow(clippy::type_complexity)]
    fn moments<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>)> {
        let x = matrix(&x);
        let moments = guarded(|| py.detach(|| Uncertainty::moments(&*self.networks, x.view())))?
            .map_err(|error| errors::refused(&error))?;
        let sd = self.rescale(moments.variance.mapv(f64::sqrt), false);
        Ok((out(py, self.rescale(moments.mean, true)), out(py, sd)))
    }

    /// The members' predictions, shape (M, n, J).
    fn members<'py>(&self, py: Python<'py>, x: PyReadonlyArray2<'py, f64>) -> PyResult<Bound<'py, PyArray3<f64>>> {
        let x = matrix(&x);
        let all = guarded(|| py.detach(|| self.all_members(x.view())))??;
        Ok(out_block(py, all))
    }

    /// Chooses `n` rows of a pool (N, d) by a strategy whose needs the model was trained for. Points (m, d) and answers
    /// (m, J) are those that it learned.
    fn select<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        settings_json: &str,
        pool: PyReadonlyArray2<'py, f64>,
        x: PyReadonlyArray2<'py, f64>,
        y: PyReadonlyArray2<'py, f64>,
        n: usize,
        seed: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = dal_acq::find(method, &settings(settings_json)?).map_err(|error| errors::setting(&error))?;
        let (pool, x, mut y) = (matrix(&pool), matrix(&x), matrix(&y));
        for (mut column, (offset, factor)) in y.columns_mut().into_iter().zip(&self.units) {
            column.mapv_inplace(|v| (v - offset) / factor);
        }
        let networks = Arc::clone(&self.networks);
        let chosen = left_behind(py, move |stop| {
            let labelled = Labelled::new(x, y).map_err(|error| errors::refused(&error))?;
            let seeds = SeedPath::root(seed).purpose("select");
            let networks: &dyn Surrogate = &*networks;
            let pool = pool.view();
            dal_acq::select_by_surrogate(&*found.strategy, None, &labelled, pool, Some(networks), n, &seeds, stop)
                .map_err(|error| errors::selection(&error))
        })??;
        answer(py, chosen)
    }

    /// Everything as checked bytes: a safetensors file with a digest.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = guarded(|| self.networks.to_bytes())?.map_err(|error| errors::refused(&error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Reads what `to_bytes` wrote; damaged bytes are refused.
    #[classmethod]
    fn from_bytes(_: &Bound<'_, PyType>, bytes: &[u8]) -> PyResult<Self> {
        let networks = guarded(|| CpuSurrogate::from_bytes(bytes))?.map_err(|error| errors::refused(&error))?;
        let foreign =
            || errors::input("these networks were not saved by EnsembleRegressor: their outputs' units are not said");
        let note = networks.provenance().notes.get(NOTE).ok_or_else(foreign)?;
        let note: Value = serde_json::from_str(note).map_err(|_| foreign())?;
        let units: Vec<(f64, f64)> = serde_json::from_value(note["outputs"].clone()).map_err(|_| foreign())?;
        if units.len() != networks.n_outputs() {
            return Err(foreign());
        }
        Ok(Self { networks: Arc::new(networks), units, seconds: None })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = py.get_type::<Self>().getattr("from_bytes")?;
        let words = PyTuple::new(py, [self.to_bytes(py)?])?;
        PyTuple::new(py, [make.into_any(), words.into_any()])
    }

    /// Of each member whether it collapsed, and how often it was trained anew for that; `None` after no epoch.
    fn endings(&self) -> Option<Vec<(bool, usize)>> {
        let report = self.networks.training_report()?;
        Some(report.members.iter().map(|end| (has_collapsed(end), end.restarts)).collect())
    }

    /// What was trained and where, as JSON.
    fn provenance(&self) -> PyResult<String> {
        serde_json::to_string(self.networks.provenance()).map_err(|error| errors::json("provenance", &error))
    }

    /// What the engine took to train, of the clock, in seconds; `None` where the networks were loaded.
    #[getter]
    fn training_seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// Inputs.
    #[getter]
    fn n_inputs(&self) -> usize {
        self.networks.n_inputs()
    }

    /// Outputs.
    #[getter]
    fn n_outputs(&self) -> usize {
        self.units.len()
    }

    /// Members.
    #[getter]
    fn n_members(&self) -> usize {
        self.networks.members().len()
    }
}
