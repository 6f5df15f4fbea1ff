//! A trained ensemble and what it can be asked: predictions, committee, dropout passes, loss heads, input gradients.

use std::collections::BTreeMap;

use dal_core::{
    Committee, Dropout, DropoutSpec, Features, InputGradient, LossHead, LossHeadSpec, Moments, Needs, OnChunk,
    SeedPath, Surrogate, SurrogateError, Tangent, TrainingCost, TrainingReport, Uncertainty,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use crate::evaluate::{Evaluator, Member, PassMasks, Trace};
use crate::params::{Layout, LossHeadShape};
use crate::scaling::{Affine, scaled, slope};
use dal_core::model::{NetworkSpec, TrainingSpec};

/// Predictions held at once while moments are formed (8 bytes each).
const CHUNK_VALUES: usize = 1 << 21;
/// Rows evaluated at once, at most: activations of a chunk then stay in cache.
const CHUNK_ROWS: usize = 256;

/// Networks of one description, differing in their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ensemble {
    pub network: NetworkSpec,
    pub layout: Layout,
    pub members: Vec<Member>,
}

impl Ensemble {
    pub fn new(network: NetworkSpec, loss_head: Option<LossHeadShape>, members: Vec<Member>) -> Self {
        let layout = Layout::new(&network, loss_head);
        Self { network, layout, members }
    }

    pub fn evaluators(&self) -> Vec<Evaluator<'_, f32>> {
        self.members.iter().map(|member| Evaluator::single(&self.network, &self.layout, member)).collect()
    }
}

/// The network of dropout sampling.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DropoutNetwork {
    pub spec: DropoutSpec,
    /// One member.
    pub ensemble: Ensemble,
    /// The scaling of the surrogate's inputs.
    pub scaling: Option<Affine>,
}

impl DropoutNetwork {
    fn frame(&self) -> Frame<'_> {
        Frame { network: &self.ensemble.network, scaling: self.scaling.as_ref() }
    }
}

/// Where a surrogate comes from; written into its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Crate and version that trained it.
    pub trained_by: String,
    /// The numeric platform: engine, kernel path, order of sums.
    pub platform: String,
    /// How it was trained.
    pub training: TrainingSpec,
    /// On how many points.
    pub n_points: usize,
    /// Whatever else its maker wants kept (problem, seed, date).
    pub notes: BTreeMap<String, String>,
}

/// An ensemble of networks trained by [`CpuLearner`](crate::CpuLearner), or loaded from a file.
///
/// Predictions are computed in f32 and handed out as f64; means and variances over members are taken in f64. A
/// prediction that is not finite is an error, never a value.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuSurrogate {
    pub(crate) ensemble: Ensemble,
    pub(crate) dropout: Option<DropoutNetwork>,
    pub(crate) loss_head: Option<LossHeadSpec>,
    pub(crate) scaling: Option<Affine>,
    pub(crate) needs: Needs,
    pub(crate) provenance: Provenance,
    pub(crate) report: Option<TrainingReport>,
    pub(crate) cost: TrainingCost,
}

impl CpuSurrogate {
    /// The network of every member.
    pub fn network(&self) -> &NetworkSpec {
        &self.ensemble.network
    }

    /// The members' numbers.
    pub fn members(&self) -> &[Member] {
        &self.ensemble.members
    }

    /// Where each parameter lies in a member's vector.
    pub fn layout(&self) -> &Layout {
        &self.ensemble.layout
    }

    /// The scaling of the inputs; `None` leaves them as they are.
    pub fn scaling(&self) -> Option<&Affine> {
        self.scaling.as_ref()
    }

    /// Where it comes from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Adds a note that is saved with the surrogate.
    pub fn note(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.provenance.notes.insert(key.into(), value.into());
    }

    /// What it may be asked for.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    fn frame(&self) -> Frame<'_> {
        Frame { network: &self.ensemble.network, scaling: self.scaling.as_ref() }
    }
}

/// What stands between a caller's points and a network's numbers: checks, chunks, scaling.
struct Frame<'a> {
    network: &'a NetworkSpec,
    scaling: Option<&'a Affine>,
}

impl Frame<'_> {
    fn check(&self, x: &ArrayView2<'_, f64>) -> Result<(), SurrogateError> {
        check_inputs(x, self.network.n_inputs())
    }

    /// Calls `on_chunk(first row, predictions)` with the predictions `(n_models, chunk, n_outputs)` of `n_models`
    /// models.
    fn each_chunk(
        &self,
        x: &ArrayView2<'_, f64>,
        n_models: usize,
        chunk_rows: usize,
        mut forward: impl FnMut(usize, usize, &[f32], usize, &mut Trace<f32>),
        mut on_chunk: impl FnMut(usize, ArrayView3<'_, f64>),
    ) -> Result<(), SurrogateError> {
        self.check(x)?;
        let n_outputs = self.network.n_outputs();
        let mut trace = Trace::default();
        let mut rows = Vec::new();
        for (c, chunk) in x.axis_chunks_iter(Axis(0), chunk_rows.max(1)).enumerate() {
            let (first, n) = (c * chunk_rows.max(1), chunk.nrows());
            single_rows(&chunk, self.scaling, &mut rows);
            let mut predictions = Array3::zeros((n_models, n, n_outputs));
            for (model, mut prediction) in predictions.outer_iter_mut().enumerate() {
                // Activations of a wide network need not be held for more than a few hundred points.
                let inner = CHUNK_ROWS.min(n.max(1));
                let n_inputs = self.network.n_inputs();
                for (b, block) in rows.chunks(inner * n_inputs).enumerate() {
                    let (start, n) = (b * inner, block.len() / n_inputs);
                    forward(model, first + start, block, n, &mut trace);
                    for (i, values) in trace.prediction().chunks_exact(n_outputs).enumerate() {
                        for (output, &value) in values.iter().enumerate() {
                            let value = f64::from(value);
                            if !value.is_finite() {
                                let row = first + start + i;
                                return Err(SurrogateError::NonFinitePrediction { row, output, value });
                            }
                            prediction[[start + i, output]] = value;
                        }
                    }
                }
            }
            on_chunk(first, predictions.view());
        }
        Ok(())
    }

    /// Mean and, where asked for, variance over models.
    fn moments_of(
        &self,
        x: &ArrayView2<'_, f64>,
        n_models: usize,
        with_variance: bool,
        forward: impl FnMut(usize, usize, &[f32], usize, &mut Trace<f32>),
    ) -> Result<Moments, SurrogateError> {
        let shape = (x.nrows(), self.network.n_outputs());
        let mut mean = Array2::zeros(shape);
        let mut variance = Array2::zeros(if with_variance { shape } else { (0, 0) });
        let chunk_rows = (CHUNK_VALUES / (n_models * self.network.n_outputs())).clamp(16, CHUNK_ROWS);
        self.each_chunk(x, n_models, chunk_rows, forward, |first, predictions| {
            let n = predictions.len_of(Axis(1));
            let centre = predictions.sum_axis(Axis(0)) / n_models as f64;
            if with_variance {
                let mut sum = Array2::<f64>::zeros(centre.raw_dim());
                for model in predictions.outer_iter() {
                    ndarray::Zip::from(&mut sum).and(&model).and(&centre).for_each(|s, &v, &c| *s += (v - c) * (v - c));
                }
                variance.slice_mut(ndarray::s![first..first + n, ..]).assign(&(sum / n_models as f64));
            }
            mean.slice_mut(ndarray::s![first..first + n, ..]).assign(&centre);
        })?;
        Ok(Moments { mean, variance })
    }
}

/// The right number of columns, all finite.
pub(crate) fn check_inputs(x: &ArrayView2<'_, f64>, expected: usize) -> Result<(), SurrogateError> {
    if x.ncols() != expected {
        return Err(SurrogateError::WrongWidth { expected, found: x.ncols() });
    }
    match x.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(SurrogateError::NonFiniteInput { row, column, value }),
        None => Ok(()),
    }
}

/// A chunk of points as the network sees them.
pub(crate) fn single_rows(chunk: &ArrayView2<'_, f64>, scaling: Option<&Affine>, rows: &mut Vec<f32>) {
    rows.clear();
    for row in chunk.outer_iter() {
        rows.extend(row.iter().enumerate().map(|(j, &v)| scaled(scaling, j, v) as f32));
    }
}

impl Surrogate for CpuSurrogate {
    fn n_inputs(&self) -> usize {
        self.ensemble.network.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.ensemble.network.n_outputs()
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        let evaluators = self.ensemble.evaluators();
        let forward = |m: usize, _: usize, rows: &[f32], n: usize, trace: &mut Trace<f32>| {
            evaluators[m].forward(rows, n, None, false, trace);
        };
        Ok(self.frame().moments_of(&x, evaluators.len(), false, forward)?.mean)
    }

    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        (self.needs.uncertainty || self.needs.committee).then_some(self)
    }

    fn committee(&self) -> Option<&dyn Committee> {
        self.needs.committee.then_some(self)
    }

    fn input_gradient(&self) -> Option<&dyn InputGradient> {
        self.needs.input_gradient.then_some(self)
    }

    fn dropout(&self) -> Option<&dyn Dropout> {
        self.dropout.as_ref().map(|network| network as &dyn Dropout)
    }

    fn loss_head(&self) -> Option<&dyn LossHead> {
        self.loss_head.as_ref().map(|_| self as &dyn LossHead)
    }

    fn tangent(&self) -> Option<&dyn Tangent> {
        self.needs.tangent.then_some(self)
    }

    fn features(&self) -> Option<&dyn Features> {
        self.needs.features.then_some(self)
    }

    fn training_report(&self) -> Option<&TrainingReport> {
        self.report.as_ref()
    }

    fn training_cost(&self) -> TrainingCost {
        self.cost
    }
}

impl Uncertainty for CpuSurrogate {
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        let evaluators = self.ensemble.evaluators();
        self.frame().moments_of(&x, evaluators.len(), true, |m, _, rows, n, trace| {
            evaluators[m].forward(rows, n, None, false, trace);
        })
    }
}

impl Committee for CpuSurrogate {
    fn n_members(&self) -> usize {
        self.ensemble.members.len()
    }

    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        let evaluators = self.ensemble.evaluators();
        let forward = |m: usize, _: usize, rows: &[f32], n: usize, trace: &mut Trace<f32>| {
            evaluators[m].forward(rows, n, None, false, trace);
        };
        self.frame().each_chunk(&x, evaluators.len(), chunk_rows, forward, on_chunk)
    }
}

impl InputGradient for CpuSurrogate {
    /// With `D(x) = mean_j var_m f_mj(x)`: `∂D/∂x = 2/(M J) Σ_m Σ_j (f_mj − f̄_j) ∂f_mj/∂x`, since the deviations sum
    /// to zero.
    fn disagreement(&self, x: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>), SurrogateError> {
        let evaluators = self.ensemble.evaluators();
        let (n_inputs, n_outputs) = (self.n_inputs(), self.n_outputs());
        let n_members = evaluators.len();
        let mut score = Array1::zeros(x.nrows());
        let mut gradient = Array2::zeros((x.nrows(), n_inputs));
        let (mut trace, mut rows, mut signal, mut input_signal) =
            (Trace::default(), Vec::new(), Vec::new(), Vec::new());
        let chunk_rows = (CHUNK_VALUES / (n_members * n_outputs)).clamp(16, CHUNK_ROWS);
        let forward = |m: usize, _: usize, rows: &[f32], n: usize, trace: &mut Trace<f32>| {
            evaluators[m].forward(rows, n, None, false, trace);
        };
        self.frame().each_chunk(&x, n_members, chunk_rows, forward, |first, predictions| {
            let n = predictions.len_of(Axis(1));
            let centre = predictions.sum_axis(Axis(0)) / n_members as f64;
            single_rows(&x.slice(ndarray::s![first..first + n, ..]), self.scaling.as_ref(), &mut rows);
            let share = 1.0 / (n_members * n_outputs) as f64;
            for (evaluator, prediction) in evaluators.iter().zip(predictions.outer_iter()) {
                signal.clear();
                for i in 0..n {
                    for j in 0..n_outputs {
                        let gap = prediction[[i, j]] - centre[[i, j]];
                        score[first + i] += gap * gap * share;
                        signal.push((2.0 * share * gap) as f32);
                    }
                }
                evaluator.forward(&rows, n, None, false, &mut trace);
                let ignore = (|_: usize, _: &[f32]| (), |_: &[f32]| (), |_: usize, _: &[f32], _: &[f32]| ());
                evaluator.backward(&mut trace, &signal, ignore.0, ignore.1, ignore.2, Some(&mut input_signal));
                for (i, slopes) in input_signal.chunks_exact(n_inputs).enumerate() {
                    for (k, &value) in slopes.iter().enumerate() {
                        gradient[[first + i, k]] += f64::from(value) * slope(self.scaling.as_ref(), k);
                    }
                }
            }
        })?;
        match gradient.indexed_iter().find(|(_, v)| !f64::is_finite(**v)) {
            Some(((row, column), value)) => Err(SurrogateError::Other {
                message: format!("the gradient of the disagreement at row {row}, input {column} is {value}"),
            }),
            None => Ok((score, gradient)),
        }
    }
}

impl Dropout for DropoutNetwork {
    fn n_passes(&self) -> usize {
        self.spec.n_passes
    }

    fn moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, SurrogateError> {
        let evaluators = self.ensemble.evaluators();
        let (masks, rate) = (seeds.philox(), self.spec.rate);
        self.frame().moments_of(&x, self.spec.n_passes, true, |pass, first_row, rows, n, trace| {
            let masks = PassMasks { masks, rate, pass: pass as u32, first_row };
            evaluators[0].forward(rows, n, Some(&masks), false, trace);
        })
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        let evaluators = self.ensemble.evaluators();
        let forward = |_: usize, _: usize, rows: &[f32], n: usize, trace: &mut Trace<f32>| {
            evaluators[0].forward(rows, n, None, false, trace);
        };
        Ok(self.frame().moments_of(&x, 1, false, forward)?.mean)
    }
}

impl LossHead for CpuSurrogate {
    fn predicted_loss(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>, SurrogateError> {
        self.frame().check(&x)?;
        let evaluators = self.ensemble.evaluators();
        let mut scores = Array1::zeros(x.nrows());
        let (mut trace, mut rows) = (Trace::default(), Vec::new());
        for (c, chunk) in x.axis_chunks_iter(Axis(0), CHUNK_ROWS).enumerate() {
            single_rows(&chunk, self.scaling.as_ref(), &mut rows);
            for evaluator in &evaluators {
                evaluator.forward(&rows, chunk.nrows(), None, false, &mut trace);
                for (i, score) in evaluator.scores(&trace).into_iter().enumerate() {
                    scores[c * CHUNK_ROWS + i] += f64::from(score) / evaluators.len() as f64;
                }
            }
        }
        match scores.iter().enumerate().find(|(_, v)| !f64::is_finite(**v)) {
            Some((row, &value)) => Err(SurrogateError::NonFinitePrediction { row, output: 0, value }),
            None => Ok(scores),
        }
    }
}
