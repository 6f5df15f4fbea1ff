//! A watch around a surrogate: how long it took to answer, so that choosing can be timed without the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dal_core::{
    Committee, Dropout, InputGradient, LossHead, Moments, ParameterSubset, SeedPath, Surrogate, SurrogateError,
    Tangent, TrainingCost,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3};

/// Nanoseconds, added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(crate) fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 * 1e-9
    }

    fn add(&self, nanoseconds: u128) {
        self.0.fetch_add(u64::try_from(nanoseconds).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(start.elapsed().as_nanos());
        result
    }

    /// Times work that calls back; what the callback does is its own time.
    fn time_chunks<T>(
        &self,
        on_chunk: &mut dyn FnMut(usize, ArrayView3<'_, f64>),
        work: impl FnOnce(&mut dyn FnMut(usize, ArrayView3<'_, f64>)) -> T,
    ) -> T {
        let mut outside = 0;
        let start = Instant::now();
        let result = work(&mut |first, chunk| {
            let start = Instant::now();
            on_chunk(first, chunk);
            outside += start.elapsed().as_nanos();
        });
        self.add(start.elapsed().as_nanos().saturating_sub(outside));
        result
    }
}

/// A surrogate whose answers are timed. Capabilities are those of the surrogate inside.
pub(crate) struct Timed {
    inner: Box<dyn Surrogate>,
    meter: Meter,
}

impl Timed {
    pub(crate) fn new(inner: Box<dyn Surrogate>, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

const PRESENT: &str = "handed out only where the surrogate inside has it";

impl Surrogate for Timed {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }
    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.meter.time(|| self.inner.mean(x))
    }
    fn committee(&self) -> Option<&dyn Committee> {
        self.inner.committee().map(|_| self as &dyn Committee)
    }
    fn input_gradient(&self) -> Option<&dyn InputGradient> {
        self.inner.input_gradient().map(|_| self as &dyn InputGradient)
    }
    fn dropout(&self) -> Option<&dyn Dropout> {
        self.inner.dropout().map(|_| self as &dyn Dropout)
    }
    fn loss_head(&self) -> Option<&dyn LossHead> {
        self.inner.loss_head().map(|_| self as &dyn LossHead)
    }
    fn tangent(&self) -> Option<&dyn Tangent> {
        self.inner.tangent().map(|_| self as &dyn Tangent)
    }
    fn training_cost(&self) -> TrainingCost {
        self.inner.training_cost()
    }
}

impl Committee for Timed {
    fn n_members(&self) -> usize {
        self.inner.committee().expect(PRESENT).n_members()
    }
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        self.meter.time(|| self.inner.committee().expect(PRESENT).moments(x))
    }
    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut dyn FnMut(usize, ArrayView3<'_, f64>),
    ) -> Result<(), SurrogateError> {
        let committee = self.inner.committee().expect(PRESENT);
        self.meter.time_chunks(on_chunk, |on_chunk| committee.members(x, chunk_rows, on_chunk))
    }
}

impl InputGradient for Timed {
    fn disagreement(&self, x: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>), SurrogateError> {
        self.meter.time(|| self.inner.input_gradient().expect(PRESENT).disagreement(x))
    }
}

impl Dropout for Timed {
    fn n_passes(&self) -> usize {
        self.inner.dropout().expect(PRESENT).n_passes()
    }
    fn moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, SurrogateError> {
        self.meter.time(|| self.inner.dropout().expect(PRESENT).moments(x, seeds))
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.meter.time(|| self.inner.dropout().expect(PRESENT).mean(x))
    }
}

impl LossHead for Timed {
    fn predicted_loss(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>, SurrogateError> {
        self.meter.time(|| self.inner.loss_head().expect(PRESENT).predicted_loss(x))
    }
}

impl Tangent for Timed {
    fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut dyn FnMut(usize, ArrayView3<'_, f64>),
    ) -> Result<(), SurrogateError> {
        let tangent = self.inner.tangent().expect(PRESENT);
        self.meter.time_chunks(on_chunk, |on_chunk| {
            tangent.loss_gradient_products(anchors, candidates, target, subset, on_chunk)
        })
    }
}
