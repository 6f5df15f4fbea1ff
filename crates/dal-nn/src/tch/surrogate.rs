//! A trained ensemble on its device, and what it can be asked.

use std::fmt;

use dal_core::{
    Committee, Dropout, Features, InputGradient, LossHead, Moments, OnChunk, ParameterSubset, SeedPath, Surrogate,
    SurrogateError, Tangent, TrainingCost, TrainingReport, Uncertainty,
};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis, s};
use tch::{Kind, TchError, Tensor};

use super::device::{Memory, TchDevice, TchOptions, TchSetupError, download};
use super::evaluate::{DeviceEnsemble, PassMasks};
use super::masks::Masks;
use super::tangent::DeviceTangent;
use super::trainer::TchTrainError;
use crate::scaling::{Affine, slope};
use crate::surrogate::{CpuSurrogate, check_inputs, single_rows};

/// Bytes that a chunk of a pool may need on the CPU by default: about a core's second-level cache.
const CPU_CHUNK: usize = 2 << 20;
/// The same on CUDA.
const CUDA_CHUNK: usize = 1 << 30;
/// Candidates whose gradients are multiplied at once.
const TANGENT_ROWS: usize = 256;

/// An ensemble trained by [`TchLearner`](super::TchLearner), or brought to a device from a saved one.
///
/// Predictions are computed in f32 on the device and handed out as f64; means and variances over members are taken in
/// f64 on the device. Pools are streamed through it in chunks. Products of parameter gradients are computed in f64: on
/// the CPU, and for subsets of the parameters, by the CPU engine's own code. A prediction that is not finite is an
/// error, never a value.
pub struct TchSurrogate {
    host: CpuSurrogate,
    members: DeviceEnsemble,
    dropout: Option<TchDropout>,
    frame: Frame,
}

impl fmt::Debug for TchSurrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TchSurrogate")
            .field("host", &self.host)
            .field("memory", &self.frame.memory)
            .finish_non_exhaustive()
    }
}

/// The network of dropout sampling.
struct TchDropout {
    network: DeviceEnsemble,
    n_passes: usize,
    rate: f64,
    frame: Frame,
}

/// What stands between a caller's points and a device's tensors: checks, chunks, scaling.
#[derive(Clone)]
struct Frame {
    memory: Memory,
    /// Bytes a chunk may need.
    chunk: usize,
    n_inputs: usize,
    n_outputs: usize,
    scaling: Option<Affine>,
}

impl TchSurrogate {
    /// Brings an ensemble to the device of `options`.
    ///
    /// # Errors
    /// [`TchSetupError`] where the device is not there or lacks an option.
    pub fn new(host: CpuSurrogate, options: &TchOptions) -> Result<Self, TchSetupError> {
        options.open()?;
        let memory = Memory(options.device.device());
        let default = match options.device {
            TchDevice::Cpu => CPU_CHUNK,
            TchDevice::Cuda(_) => CUDA_CHUNK,
        };
        let frame = Frame {
            memory,
            chunk: options.memory.unwrap_or(default),
            n_inputs: host.network().n_inputs(),
            n_outputs: host.network().n_outputs(),
            scaling: host.scaling().cloned(),
        };
        let failed = |error: TchError| TchSetupError::Device { message: TchTrainError::from(error).to_string() };
        let dropout = match &host.dropout {
            None => None,
            Some(dropout) => Some(TchDropout {
                network: DeviceEnsemble::new(memory, &dropout.ensemble).map_err(failed)?,
                n_passes: dropout.spec.n_passes,
                rate: dropout.spec.rate,
                frame: frame.clone(),
            }),
        };
        Ok(Self { members: DeviceEnsemble::new(memory, &host.ensemble).map_err(failed)?, dropout, frame, host })
    }

    /// The same ensemble for the CPU engine, which can also save it.
    pub fn to_cpu(&self) -> &CpuSurrogate {
        &self.host
    }
}

fn failed(error: TchError) -> SurrogateError {
    SurrogateError::Other { message: TchTrainError::from(error).to_string() }
}

impl Frame {
    /// Consecutive chunks of `x` that need no more than the memory allowed, at most `most` rows: first row and the
    /// points `(1, n_inputs, n)` on the device.
    fn each_chunk(
        &self,
        x: &ArrayView2<'_, f64>,
        bytes_per_point: usize,
        most: usize,
        mut on: impl FnMut(usize, usize, &Tensor) -> Result<(), SurrogateError>,
    ) -> Result<(), SurrogateError> {
        check_inputs(x, self.n_inputs)?;
        let rows_at_once = (self.chunk / bytes_per_point.max(1)).clamp(16, most.max(16)).min(most.max(1));
        let mut rows = Vec::new();
        for (c, chunk) in x.axis_chunks_iter(Axis(0), rows_at_once).enumerate() {
            single_rows(&chunk, self.scaling.as_ref(), &mut rows);
            let n = chunk.nrows();
            let points = self.memory.upload(&rows, &[1, n as i64, self.n_inputs as i64]);
            let points = points.and_then(|points| points.f_transpose(1, 2)?.f_contiguous()).map_err(failed)?;
            on(c * rows_at_once, n, &points)?;
        }
        Ok(())
    }

    /// Predictions `(models, n_outputs, n)` in the labels' units, f64, all finite.
    fn predictions(&self, first_row: usize, network: &Tensor) -> Result<Tensor, SurrogateError> {
        let values = network.f_to_kind(Kind::Double).map_err(failed)?;
        let finite = values.f_isfinite().and_then(|finite| finite.f_all()?.f_int64_value(&[])).map_err(failed)?;
        if finite == 0 {
            let rows = values.f_transpose(1, 2).and_then(|rows| download::<f64>(&rows)).map_err(failed)?;
            let n = network.size()[2] as usize;
            if let Some((at, &value)) = rows.iter().enumerate().find(|(_, value)| !value.is_finite()) {
                let row = first_row + at / self.n_outputs % n;
                return Err(SurrogateError::NonFinitePrediction { row, output: at % self.n_outputs, value });
            }
        }
        Ok(values)
    }

    /// Mean and, where asked for, variance over models.
    fn moments(
        &self,
        x: &ArrayView2<'_, f64>,
        (ensemble, n_models): (&DeviceEnsemble, usize),
        with_variance: bool,
        mut forward: impl FnMut(usize, &Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Moments, SurrogateError> {
        let shape = (x.nrows(), self.n_outputs);
        let mut moments =
            Moments { mean: Array2::zeros(shape), variance: Array2::zeros(if with_variance { shape } else { (0, 0) }) };
        let bytes = ensemble.bytes_per_point(n_models, false) + 24 * n_models * self.n_outputs;
        self.each_chunk(x, bytes, usize::MAX, |first, n, points| {
            let values = self.predictions(first, &forward(first, points).map_err(failed)?)?;
            let mut reduce = || -> Result<(), TchError> {
                let mean = values.f_mean_dim([0i64].as_slice(), true, Kind::Double)?;
                rows_of(&mean, &mut moments.mean, first, n)?;
                if with_variance {
                    let squares = values.f_sub(&mean)?.f_square_()?;
                    let variance = squares.f_mean_dim([0i64].as_slice(), true, Kind::Double)?;
                    rows_of(&variance, &mut moments.variance, first, n)?;
                }
                Ok(())
            };
            reduce().map_err(failed)
        })?;
        Ok(moments)
    }
}

/// Writes `(1, columns, n)` to rows `first..first + n`.
fn rows_of(tensor: &Tensor, to: &mut Array2<f64>, first: usize, n: usize) -> Result<(), TchError> {
    let values = download::<f64>(&tensor.f_transpose(1, 2)?)?;
    to.slice_mut(s![first..first + n, ..]).iter_mut().zip(values).for_each(|(to, value)| *to = value);
    Ok(())
}

impl Surrogate for TchSurrogate {
    fn n_inputs(&self) -> usize {
        self.frame.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.frame.n_outputs
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        let members = &self.members;
        let forward = |_: usize, points: &Tensor| Ok(members.forward(points, None, false)?.prediction);
        Ok(self.frame.moments(&x, (members, members.n_members), false, forward)?.mean)
    }

    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        (self.host.needs().uncertainty || self.host.needs().committee).then_some(self)
    }

    fn committee(&self) -> Option<&dyn Committee> {
        self.host.needs().committee.then_some(self)
    }

    fn input_gradient(&self) -> Option<&dyn InputGradient> {
        self.host.needs().input_gradient.then_some(self)
    }

    fn dropout(&self) -> Option<&dyn Dropout> {
        self.dropout.as_ref().map(|network| network as &dyn Dropout)
    }

    fn loss_head(&self) -> Option<&dyn LossHead> {
        self.host.needs().loss_head.as_ref().map(|_| self as &dyn LossHead)
    }

    fn tangent(&self) -> Option<&dyn Tangent> {
        self.host.needs().tangent.then_some(self)
    }

    /// By the CPU engine's own code, from the same numbers.
    fn features(&self) -> Option<&dyn Features> {
        self.host.features()
    }

    fn training_report(&self) -> Option<&TrainingReport> {
        self.host.training_report()
    }

    fn training_cost(&self) -> TrainingCost {
        self.host.training_cost()
    }
}

impl Uncertainty for TchSurrogate {
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        let members = &self.members;
        let forward = |_: usize, points: &Tensor| Ok(members.forward(points, None, false)?.prediction);
        self.frame.moments(&x, (members, members.n_members), true, forward)
    }
}

impl Committee for TchSurrogate {
    fn n_members(&self) -> usize {
        self.members.n_members
    }

    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        check_inputs(&x, self.frame.n_inputs)?;
        let (n_members, n_outputs) = (self.members.n_members, self.frame.n_outputs);
        let chunk_rows = chunk_rows.max(1);
        for (c, chunk) in x.axis_chunks_iter(Axis(0), chunk_rows).enumerate() {
            let mut predictions = Array3::zeros((n_members, chunk.nrows(), n_outputs));
            let bytes = self.members.bytes_per_point(n_members, false) + 16 * n_members * n_outputs;
            self.frame.each_chunk(&chunk, bytes, chunk_rows, |first, n, points| {
                let network = self.members.forward(points, None, false).map_err(failed)?.prediction;
                let values = self.frame.predictions(c * chunk_rows + first, &network)?;
                let rows = values.f_transpose(1, 2).and_then(|rows| download::<f64>(&rows)).map_err(failed)?;
                let to = predictions.slice_mut(s![.., first..first + n, ..]);
                to.into_iter().zip(rows).for_each(|(to, value)| *to = value);
                Ok(())
            })?;
            on_chunk(c * chunk_rows, predictions.view());
        }
        Ok(())
    }
}

impl InputGradient for TchSurrogate {
    fn disagreement(&self, x: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>), SurrogateError> {
        let (frame, members) = (&self.frame, &self.members);
        let mut score = Array1::zeros(x.nrows());
        let mut gradient = Array2::zeros((x.nrows(), frame.n_inputs));
        let share = 1.0 / (members.n_members * frame.n_outputs) as f64;
        let factors = vec![2.0 * share; frame.n_outputs];
        let bytes = members.bytes_per_point(members.n_members, true) + 32 * members.n_members * frame.n_outputs;
        frame.each_chunk(&x, bytes, usize::MAX, |first, n, points| {
            let trace = members.forward(points, None, true).map_err(failed)?;
            let values = frame.predictions(first, &trace.prediction)?;
            let mut slopes = || -> Result<(), TchError> {
                let gap = values.f_sub(&values.f_mean_dim([0i64].as_slice(), true, Kind::Double)?)?;
                let sums = gap.f_square()?.f_sum_dim_intlist([0i64, 1].as_slice(), false, Kind::Double)?;
                let found = download::<f64>(&sums.f_mul_scalar(share)?)?;
                score.slice_mut(s![first..first + n]).iter_mut().zip(found).for_each(|(to, value)| *to = value);
                let factors = frame.memory.upload(&factors, &[1, frame.n_outputs as i64, 1])?;
                let signal = gap.f_mul(&factors)?.f_to_kind(Kind::Float)?;
                let slopes = members.backward(&trace, &signal)?.f_to_kind(Kind::Double)?;
                rows_of(&slopes.f_sum_dim_intlist([0i64].as_slice(), true, Kind::Double)?, &mut gradient, first, n)
            };
            slopes().map_err(failed)
        })?;
        for (k, mut column) in gradient.axis_iter_mut(Axis(1)).enumerate() {
            column.mapv_inplace(|value| value * slope(frame.scaling.as_ref(), k));
        }
        match gradient.indexed_iter().find(|(_, v)| !f64::is_finite(**v)) {
            Some(((row, column), value)) => Err(SurrogateError::Other {
                message: format!("the gradient of the disagreement at row {row}, input {column} is {value}"),
            }),
            None => Ok((score, gradient)),
        }
    }
}

impl Tangent for TchSurrogate {
    fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        if subset.is_some() || self.frame.memory.is_host() {
            return self.host.loss_gradient_products(anchors, candidates, target, subset, on_chunk);
        }
        self.products_on_device(anchors, candidates, target, on_chunk)
    }
}

impl TchSurrogate {
    /// [`Tangent::loss_gradient_products`] over all parameters by tensor operations, wherever the tensors live.
    pub(super) fn products_on_device(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        let frame = &self.frame;
        check_inputs(&anchors, frame.n_inputs)?;
        check_inputs(&candidates, frame.n_inputs)?;
        if target.len() != frame.n_outputs {
            return Err(SurrogateError::Other {
                message: format!("the target has {} values, the model {} outputs", target.len(), frame.n_outputs),
            });
        }
        let points = |x: &ArrayView2<'_, f64>| -> Result<Tensor, TchError> {
            let rows = self.host.double_rows(x);
            let points = frame.memory.upload(&rows, &[1, x.nrows() as i64, frame.n_inputs as i64])?;
            points.f_transpose(1, 2)?.f_contiguous()
        };
        let tangent = DeviceTangent::new(frame.memory, &self.host.ensemble).map_err(failed)?;
        let at_anchors = points(&anchors).map_err(failed)?;
        for (c, chunk) in candidates.axis_chunks_iter(Axis(0), TANGENT_ROWS).enumerate() {
            let products = if anchors.is_empty() {
                Array3::zeros((chunk.nrows(), 0, frame.n_outputs))
            } else {
                let chunk = points(&chunk).map_err(failed)?;
                tangent.products((&at_anchors, &chunk), target, frame.chunk / 8).map_err(failed)?
            };
            if let Some(((row, _, output), &value)) = products.indexed_iter().find(|(_, v)| !f64::is_finite(**v)) {
                return Err(SurrogateError::NonFinitePrediction { row: c * TANGENT_ROWS + row, output, value });
            }
            on_chunk(c * TANGENT_ROWS, products.view());
        }
        Ok(())
    }
}

impl Dropout for TchDropout {
    fn n_passes(&self) -> usize {
        self.n_passes
    }

    fn moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, SurrogateError> {
        let keys = vec![seeds.philox().key(); self.n_passes];
        let masks = Masks::new(self.frame.memory, self.rate, keys).map_err(failed)?;
        self.frame.moments(&x, (&self.network, self.n_passes), true, |first_row, points| {
            let masks = PassMasks { masks: &masks, n_passes: self.n_passes, first_row };
            Ok(self.network.forward(points, Some(&masks), false)?.prediction)
        })
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        let forward = |_: usize, points: &Tensor| Ok(self.network.forward(points, None, false)?.prediction);
        Ok(self.frame.moments(&x, (&self.network, 1), false, forward)?.mean)
    }
}

impl LossHead for TchSurrogate {
    fn predicted_loss(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>, SurrogateError> {
        let mut scores = Array1::zeros(x.nrows());
        let bytes = self.members.bytes_per_point(self.members.n_members, true);
        self.frame.each_chunk(&x, bytes, usize::MAX, |first, n, points| {
            let mut evaluate = || -> Result<(), TchError> {
                let trace = self.members.forward(points, None, true)?;
                let Some(found) = self.members.scores(&trace)? else { return Ok(()) };
                let found = found.f_to_kind(Kind::Double)?.f_mean_dim([0i64].as_slice(), false, Kind::Double)?;
                let found = download::<f64>(&found)?;
                scores.slice_mut(s![first..first + n]).iter_mut().zip(found).for_each(|(to, value)| *to = value);
                Ok(())
            };
            evaluate().map_err(failed)
        })?;
        match scores.iter().enumerate().find(|(_, v)| !f64::is_finite(**v)) {
            Some((row, &value)) => Err(SurrogateError::NonFinitePrediction { row, output: 0, value }),
            None => Ok(scores),
        }
    }
}
