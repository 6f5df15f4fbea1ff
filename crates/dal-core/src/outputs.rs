//! Model units: how answers are transformed and standardised before a model learns them, and how that is undone.

use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    Committee, Dropout, FitJob, LabelFailure, LabelFailureKind, Labelled, LearnError, Learner, ModelUnits, Moments,
    OnChunk, SeedPath, Stop, Surrogate, SurrogateError, TrainingCost, TrainingReport, Uncertainty,
};

/// Rows of a committee's answer that are looked at together.
const CHUNK_ROWS: usize = 1024;

/// A monotone function that an output goes through before it is standardised.
///
/// In files: `"none"`, `"log"`, or `{ asinh = 1e-3 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputTransform {
    /// z = y.
    #[default]
    None,
    /// z = ln y, for outputs above zero.
    Log,
    /// z = asinh(y / c): linear well below |y| = c, logarithmic well above it, for values of either sign.
    Asinh(f64),
}

impl OutputTransform {
    /// The transformed value; not finite where there is none.
    pub fn forward(self, y: f64) -> f64 {
        match self {
            Self::None => y,
            Self::Log if y > 0.0 => libm::log(y),
            Self::Log => f64::NAN,
            Self::Asinh(c) => libm::asinh(y / c),
        }
    }

    /// The value that is transformed to `z`; infinite where it is too large for a double.
    pub fn backward(self, z: f64) -> f64 {
        match self {
            Self::None => z,
            Self::Log => libm::exp(z),
            Self::Asinh(c) => c * libm::sinh(z),
        }
    }

    /// How far a spread `sd` of the output about `mean` reaches after the transform. Of a logarithm ln(1 + sd / mean):
    /// sd / mean where that is small, and growing with the spread however large it is, which the half of ln(mean + sd)
    /// − ln(mean − sd) is not. 0 where there is no such number.
    pub fn half_width(self, mean: f64, sd: f64) -> f64 {
        let half = match self {
            Self::None => return sd,
            Self::Log => libm::log1p(sd / mean.abs()),
            Self::Asinh(_) => {
                let width = (self.forward(mean + sd) - self.forward(mean - sd)) / 2.0;
                if width.is_finite() { width } else { sd / mean.abs() }
            }
        };
        if half.is_finite() { half } else { 0.0 }
    }

    /// Whether transformed values differ by no more than the rounding of the outputs behind them, as 1 and 1 + 2e-16
    /// do. A logarithm near 0 is that of an output near 1, whose rounding it keeps.
    pub fn is_constant(self, z: impl Iterator<Item = f64> + Clone) -> bool {
        let Some(first) = z.clone().next() else { return true };
        let least = if self == Self::Log { 1.0_f64 } else { 0.0 };
        let (deviation, magnitude) = z.fold((0.0_f64, least), |(deviation, magnitude), z| {
            (deviation.max((z - first).abs()), magnitude.max(z.abs()))
        });
        deviation == 0.0 || (deviation.is_finite() && deviation <= 16.0 * f64::EPSILON * magnitude)
    }

    /// In words, as reports and cards use it; empty for none.
    pub fn in_words(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Log => "log".into(),
            Self::Asinh(c) => format!("asinh from {c}"),
        }
    }
}

/// What is done to one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputUnits {
    /// What it goes through first.
    #[serde(default)]
    pub transform: OutputTransform,
    /// Whether it is then brought to mean 0 and standard deviation 1 over the points that the model is trained on. An
    /// output that is constant there is only shifted.
    pub standardise: bool,
}

impl OutputUnits {
    /// In words: `log, standardised`; empty where the output is taken as it comes.
    pub fn in_words(&self) -> String {
        let transform = self.transform.in_words();
        match (transform.is_empty(), self.standardise) {
            (true, true) => "standardised".into(),
            (false, true) => transform + ", standardised",
            (_, false) => transform,
        }
    }
}

/// What is done to the outputs of a problem, in their order; empty where they are all taken as they come.
///
/// A model that learns in model units has two faces. Strategies see model units: the labels as the model was trained on
/// them, and the model's own answers. Evaluation, predictions and reports see the outputs' own units: the prediction is
/// the inverse of the members' mean in model units, which under a logarithm is a geometric mean, and estimates the
/// median of a noisy output rather than its mean.
///
/// ```
/// use dal_core::outputs::{OutputScaling, OutputTransform, OutputUnits};
/// let scaling = OutputScaling::new(vec![OutputUnits { transform: OutputTransform::Log, standardise: true }]);
/// assert!(scaling.check(&[2.0]).is_ok());
/// assert_eq!(scaling.check(&[-1.0]).unwrap_err().kind.id(), "out-of-domain");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputScaling {
    outputs: Vec<OutputUnits>,
}

impl OutputScaling {
    /// This for each output, in order.
    pub fn new(outputs: Vec<OutputUnits>) -> Self {
        let outputs = if outputs.iter().all(|output| *output == OutputUnits::default()) { Vec::new() } else { outputs };
        Self { outputs }
    }

    /// Whether every output is taken as it comes.
    pub fn is_none(&self) -> bool {
        self.outputs.is_empty()
    }

    /// What is done to each output; empty where they are all taken as they come.
    pub fn outputs(&self) -> &[OutputUnits] {
        &self.outputs
    }

    /// The answer, if every output can be transformed.
    ///
    /// # Errors
    /// [`OutOfDomain`](LabelFailureKind::OutOfDomain) for the first that cannot.
    pub fn check<'a>(&self, label: &'a [f64]) -> Result<&'a [f64], LabelFailure> {
        let bad = label.iter().zip(&self.outputs).position(|(&y, units)| !units.transform.forward(y).is_finite());
        match bad {
            None => Ok(label),
            Some(k) => {
                let words = self.outputs[k].transform.in_words();
                let message = format!("output {k} is {}, which its transform ({words}) cannot take", label[k]);
                Err(LabelFailure::new(LabelFailureKind::OutOfDomain, message))
            }
        }
    }

    /// Whether an output goes through a function before it is standardised.
    pub fn has_transform(&self) -> bool {
        self.outputs.iter().any(|output| output.transform != OutputTransform::None)
    }

    /// Outputs after their transforms, not standardised; shape (n, n_outputs), not finite where a value cannot be
    /// transformed.
    pub fn transformed(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut z = y.to_owned();
        for (mut column, units) in z.columns_mut().into_iter().zip(&self.outputs) {
            column.mapv_inplace(|v| units.transform.forward(v));
        }
        z
    }

    /// The learner that trains in model units, and whose models speak the outputs' own; `inner` itself where nothing is
    /// done.
    #[must_use]
    pub fn learner(&self, inner: Box<dyn Learner>) -> Box<dyn Learner> {
        if self.is_none() { inner } else { Box::new(ScaledLearner { inner, scaling: self.clone() }) }
    }

    /// Mean squared error over points and outputs. Where outputs are scaled, each is transformed and divided by its
    /// standard deviation over the truth (transformed alike), so that none drowns another. Both of shape (n,
    /// n_outputs); not finite where a value cannot be transformed.
    pub fn mse(&self, predicted: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> f64 {
        if self.is_none() {
            let squares: f64 = predicted.iter().zip(&truth).map(|(f, y)| (f - y) * (f - y)).sum();
            return squares / predicted.len() as f64;
        }
        let columns = predicted.columns().into_iter().zip(truth.columns()).zip(&self.outputs);
        let squares: f64 = columns
            .map(|((f, y), units)| {
                let forward = |v: &f64| units.transform.forward(*v);
                let (_, sd) = standard(units.transform, y.iter().map(forward));
                f.iter().zip(&y).map(|(f, y)| (forward(f) - forward(y)) / sd).map(|d| d * d).sum::<f64>()
            })
            .sum();
        squares / predicted.len() as f64
    }

    /// The labels in model units, and what leads a model of them back to the outputs' own.
    ///
    /// # Errors
    /// Labels of another number of outputs, or with a value that the transform cannot take.
    pub fn model_units(&self, labelled: &Labelled) -> Result<(Labelled, FromModelUnits), LearnError> {
        if self.is_none() {
            let plain = Column { transform: OutputTransform::None, offset: 0.0, factor: 1.0 };
            let fit = Fit { columns: vec![plain; labelled.n_outputs()] };
            return Ok((labelled.clone(), FromModelUnits { fit, labelled: labelled.clone() }));
        }
        let (fit, y) = self.fit(labelled.y())?;
        let (x, n_initial) = (labelled.x().to_owned(), labelled.n_initial());
        let labelled = Labelled::with_initial(x, y, n_initial)
            .map_err(|error| LearnError::Other { message: error.to_string() })?;
        Ok((labelled.clone(), FromModelUnits { fit, labelled }))
    }

    /// Labels (n, J) and members' predictions (M, N, J), both in the outputs' own units, in the model units of a model
    /// that was trained on the labels; where there are none, in those of the predictions.
    ///
    /// # Errors
    /// An output that its transform cannot take, outputs of another number.
    pub fn given_in_model_units(
        &self,
        labels: Option<Array2<f64>>,
        members: Option<Array3<f64>>,
    ) -> Result<Given, LearnError> {
        let all = members.as_ref().map(|members| {
            let (n_members, n, n_outputs) = members.dim();
            members.to_shape((n_members * n, n_outputs)).expect("as many values").to_owned()
        });
        let Some(fitted_to) = labels.as_ref().or(all.as_ref()).filter(|_| !self.is_none()) else {
            return Ok((labels, members));
        };
        let (fit, z) = self.fit(fitted_to.view())?;
        let labels = labels.as_ref().map(|_| z);
        let Some(mut members) = members else { return Ok((labels, None)) };
        if members.len_of(Axis(2)) != fit.columns.len() {
            let message =
                format!("{} outputs are scaled, but predictions have {}", fit.columns.len(), members.len_of(Axis(2)));
            return Err(LearnError::Other { message });
        }
        for ((member, row, output), value) in members.indexed_iter_mut() {
            let Column { transform, offset, factor } = fit.columns[output];
            let z = (transform.forward(*value) - offset) / factor;
            if !z.is_finite() {
                let message = format!(
                    "output {output} of member {member} at pool point {row} is {value}, which is no finite number in \
                     model units"
                );
                return Err(LearnError::Other { message });
            }
            *value = z;
        }
        Ok((labels, Some(members)))
    }

    /// Fits offsets and factors to these labels, and gives the labels in model units.
    fn fit(&self, y: ArrayView2<'_, f64>) -> Result<(Fit, Array2<f64>), LearnError> {
        if y.ncols() != self.outputs.len() {
            let message = format!("{} outputs are scaled, but labels have {}", self.outputs.len(), y.ncols());
            return Err(LearnError::Other { message });
        }
        let mut z = y.to_owned();
        let mut columns = Vec::with_capacity(self.outputs.len());
        for (k, units) in self.outputs.iter().enumerate() {
            let mut column = z.column_mut(k);
            column.mapv_inplace(|v| units.transform.forward(v));
            // Before offset and factor, which one value without an image would take along for all.
            if let Some(row) = column.iter().position(|v| !v.is_finite()) {
                let message = format!(
                    "output {k} of labelled point {row}, {}, has no value under its transform ({})",
                    y[[row, k]],
                    units.in_words()
                );
                return Err(LearnError::Other { message });
            }
            let (offset, factor) = match units.standardise {
                true => standard(units.transform, column.iter().copied()),
                false => (0.0, 1.0),
            };
            column.mapv_inplace(|v| (v - offset) / factor);
            if let Some((row, value)) = column.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                let message = format!("output {k} of labelled point {row} is {value} in model units");
                return Err(LearnError::Other { message });
            }
            columns.push(Column { transform: units.transform, offset, factor });
        }
        Ok((Fit { columns }, z))
    }
}

/// Labels (n, J) and members' predictions (M, N, J), where there are any.
pub type Given = (Option<Array2<f64>>, Option<Array3<f64>>);

/// Mean and standard deviation (divided by n) of transformed values; 1 for the latter where they are constant.
/// Deviations are taken from the first value and by the largest of them, so that neither a large offset nor a large
/// unit costs digits.
fn standard(transform: OutputTransform, values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let Some(first) = values.clone().next() else { return (0.0, 1.0) };
    if transform.is_constant(values.clone()) {
        return (first, 1.0);
    }
    let largest = values.clone().map(|v| (v - first).abs()).fold(0.0, f64::max);
    let shift = values.clone().map(|v| (v - first) / largest).sum::<f64>() / n;
    let variance = values.map(|v| (v - first) / largest - shift).map(|d| d * d).sum::<f64>() / n;
    (first + largest * shift, largest * variance.sqrt())
}

/// One output: y = backward(offset + factor · z).
#[derive(Clone, Copy, Debug)]
struct Column {
    transform: OutputTransform,
    offset: f64,
    factor: f64,
}

#[derive(Clone, Debug)]
struct Fit {
    columns: Vec<Column>,
}

impl Fit {
    fn undo(&self, k: usize, z: f64) -> f64 {
        let Column { transform, offset, factor } = self.columns[k];
        transform.backward(offset + factor * z)
    }

    fn is_transformed(&self) -> bool {
        self.columns.iter().any(|column| column.transform != OutputTransform::None)
    }

    /// Of outputs without a transform.
    fn undo_moments(&self, moments: Moments) -> Result<Moments, SurrogateError> {
        let squares: Array1<f64> = self.columns.iter().map(|column| column.factor * column.factor).collect();
        Ok(Moments { mean: self.undo_all(moments.mean)?, variance: moments.variance * squares })
    }

    fn undo_all(&self, mut z: Array2<f64>) -> Result<Array2<f64>, SurrogateError> {
        for ((row, output), value) in z.indexed_iter_mut() {
            *value = self.undo(output, *value);
            if !value.is_finite() {
                return Err(SurrogateError::NonFinitePrediction { row, output, value: *value });
            }
        }
        Ok(z)
    }
}

/// Leads a model that was trained in model units back to the outputs' own.
#[derive(Clone, Debug)]
pub struct FromModelUnits {
    fit: Fit,
    labelled: Labelled,
}

impl FromModelUnits {
    /// The model in the outputs' own units; strategies see `inner` itself ([`Surrogate::model_units`]).
    #[must_use]
    pub fn around(self, inner: Box<dyn Surrogate>) -> Box<dyn Surrogate> {
        Box::new(Rescaled { inner, fit: self.fit, labelled: self.labelled })
    }

    /// Of each output its transform, offset and factor: y = transform⁻¹(offset + factor · z).
    pub fn columns(&self) -> impl Iterator<Item = (OutputTransform, f64, f64)> {
        self.fit.columns.iter().map(|column| (column.transform, column.offset, column.factor))
    }

    /// Values in the outputs' own units brought to model units, shape (n, n_outputs); not finite where a transform
    /// cannot take them.
    pub fn forward(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut z = y.to_owned();
        for (mut column, of) in z.columns_mut().into_iter().zip(&self.fit.columns) {
            column.mapv_inplace(|v| (of.transform.forward(v) - of.offset) / of.factor);
        }
        z
    }
}

/// Trains in model units.
struct ScaledLearner {
    inner: Box<dyn Learner>,
    scaling: OutputScaling,
}

impl Learner for ScaledLearner {
    fn platform(&self) -> String {
        self.inner.platform()
    }

    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let scaled: Vec<Result<(Fit, Labelled), LearnError>> = jobs
            .iter()
            .map(|job| {
                let (labelled, back) = self.scaling.model_units(job.labelled)?;
                Ok((back.fit, labelled))
            })
            .collect();
        let fitting: Vec<FitJob<'_>> = jobs
            .iter()
            .zip(&scaled)
            .filter_map(|(job, scaled)| scaled.as_ref().ok().map(|(_, labelled)| FitJob { labelled, ..job.clone() }))
            .collect();
        let mut fits = self.inner.fit_all(&fitting, stop).into_iter();
        drop(fitting);
        scaled
            .into_iter()
            .map(|scaled| {
                let (fit, labelled) = scaled?;
                let unanswered = || Err(LearnError::Other { message: "the engine gave no answer to this job".into() });
                let inner = fits.next().unwrap_or_else(unanswered)?;
                Ok(Box::new(Rescaled { inner, fit, labelled }) as Box<dyn Surrogate>)
            })
            .collect()
    }
}

/// A model that was trained in model units and answers in the outputs' own.
///
/// What only strategies ask for (gradients, loss heads) it has in model units alone, by [`Surrogate::model_units`].
struct Rescaled {
    inner: Box<dyn Surrogate>,
    fit: Fit,
    labelled: Labelled,
}

impl Surrogate for Rescaled {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.fit.undo_all(self.inner.mean(x)?)
    }

    /// Of a model without members only where no output is transformed: a variance in model units does not carry over.
    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        let is_carried = !self.fit.is_transformed() && self.inner.uncertainty().is_some();
        (is_carried || self.inner.committee().is_some()).then_some(self)
    }

    fn committee(&self) -> Option<&dyn Committee> {
        self.inner.committee().map(|_| self as &dyn Committee)
    }

    fn dropout(&self) -> Option<&dyn Dropout> {
        self.inner.dropout().map(|_| self as &dyn Dropout)
    }

    fn training_report(&self) -> Option<&TrainingReport> {
        self.inner.training_report()
    }

    fn training_cost(&self) -> TrainingCost {
        self.inner.training_cost()
    }

    fn model_units(&self) -> Option<ModelUnits<'_>> {
        Some(ModelUnits { labelled: &self.labelled, surrogate: &*self.inner })
    }
}

fn lacking(what: &str) -> SurrogateError {
    SurrogateError::Other { message: format!("the model has no {what}") }
}

impl Uncertainty for Rescaled {
    /// Over the members' predictions in the outputs' own units; of a model without members its own variance in them.
    /// Under a transform their mean is not the prediction, which is the inverse of the mean in model units.
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        if let (None, Some(uncertainty), false) =
            (self.inner.committee(), self.inner.uncertainty(), self.fit.is_transformed())
        {
            return self.fit.undo_moments(uncertainty.moments(x)?);
        }
        let shape = (x.nrows(), self.n_outputs());
        let (mut mean, mut variance) = (Array2::zeros(shape), Array2::zeros(shape));
        self.members(x, CHUNK_ROWS, &mut |first, members| {
            let rows = ndarray::s![first..first + members.len_of(Axis(1)), ..];
            if let Some(of_chunk) = members.mean_axis(Axis(0)) {
                let n = members.len_of(Axis(0)) as f64;
                let squares =
                    members.outer_iter().fold(Array2::zeros(of_chunk.raw_dim()), |sum: Array2<f64>, member| {
                        sum + (&member - &of_chunk).mapv(|d| d * d)
                    });
                variance.slice_mut(rows).assign(&(squares / n));
                mean.slice_mut(rows).assign(&of_chunk);
            }
        })?;
        Ok(Moments { mean, variance })
    }
}

impl Committee for Rescaled {
    fn n_members(&self) -> usize {
        self.inner.committee().map_or(0, Committee::n_members)
    }

    fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), SurrogateError> {
        let committee = self.inner.committee().ok_or_else(|| lacking("committee"))?;
        let mut offence = None;
        committee.members(x, chunk_rows, &mut |first, members: ArrayView3<'_, f64>| {
            let mut members = members.to_owned();
            for ((_, row, output), value) in members.indexed_iter_mut() {
                *value = self.fit.undo(output, *value);
                if !value.is_finite() {
                    offence.get_or_insert(SurrogateError::NonFinitePrediction {
                        row: first + row,
                        output,
                        value: *value,
                    });
                }
            }
            if offence.is_none() {
                on_chunk(first, members.view());
            }
        })?;
        offence.map_or(Ok(()), Err)
    }
}

impl Dropout for Rescaled {
    fn n_passes(&self) -> usize {
        self.inner.dropout().map_or(0, Dropout::n_passes)
    }

    /// Of outputs without a transform alone: passes are averaged in model units, which a transform does not carry over.
    fn moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, SurrogateError> {
        if self.fit.is_transformed() {
            return Err(lacking("moments over dropout passes in the units of a transformed output"));
        }
        self.fit.undo_moments(self.inner.dropout().ok_or_else(|| lacking("dropout network"))?.moments(x, seeds)?)
    }

    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.fit.undo_all(self.inner.dropout().ok_or_else(|| lacking("dropout network"))?.mean(x)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Needs, Uncertainty};
    use ndarray::array;

    /// Remembers labels: member m predicts the label of the row given by the input's place, plus m − 1 in its units.
    struct Recall(Labelled);
    impl Surrogate for Recall {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            self.0.n_outputs()
        }
        fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
            let rows: Vec<usize> =
                x.iter().map(|v| self.0.x().iter().position(|known| known == v).unwrap_or(0)).collect();
            Ok(self.0.y().select(Axis(0), &rows))
        }
        fn committee(&self) -> Option<&dyn Committee> {
            Some(self)
        }
    }
    impl Uncertainty for Recall {
        fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
            let mean = self.mean(x)?;
            Ok(Moments { variance: Array2::from_elem(mean.raw_dim(), 2.0 / 3.0), mean })
        }
    }
    impl Committee for Recall {
        fn n_members(&self) -> usize {
            3
        }
        fn members(&self, x: ArrayView2<'_, f64>, _: usize, on_chunk: &mut OnChunk<'_>) -> Result<(), SurrogateError> {
            let mean = self.mean(x)?;
            let shape = (3, mean.nrows(), mean.ncols());
            on_chunk(0, Array3::from_shape_fn(shape, |(m, i, j)| mean[[i, j]] + m as f64 - 1.0).view());
            Ok(())
        }
    }

    struct Recalls;
    impl Learner for Recalls {
        fn platform(&self) -> String {
            "recall".into()
        }
        fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
            jobs.iter().map(|job| Ok(Box::new(Recall(job.labelled.clone())) as Box<dyn Surrogate>)).collect()
        }
    }

    fn standardised(transform: OutputTransform) -> OutputUnits {
        OutputUnits { transform, standardise: true }
    }

    fn trained(scaling: &OutputScaling, labelled: &Labelled) -> Result<Box<dyn Surrogate>, LearnError> {
        let needs = Needs::default();
        let jobs = [FitJob { labelled, needs: &needs, seeds: SeedPath::root(0) }];
        scaling.learner(Box::new(Recalls)).fit_all(&jobs, &Stop::new()).pop().unwrap()
    }

    fn labelled() -> Labelled {
        let x = array![[-1.0], [0.0], [0.5], [1.0]];
        let y = array![
            [1e6 + 1.0, 1e-8, -3e4, 7.0],
            [1e6 - 1.0, 1.0, 2e-5, 7.0],
            [1e6 + 3.0, 1e8, 4e2, 7.0],
            [1e6, 3.0, 0.0, 7.0]
        ];
        Labelled::with_initial(x, y, 2).unwrap()
    }

    #[test]
    fn given_labels_and_predictions_meet_in_model_units() {
        let log = OutputUnits { transform: OutputTransform::Log, standardise: true };
        let scaling = OutputScaling::new(vec![log, OutputUnits::default()]);
        let e = std::f64::consts::E;
        let y = array![[1.0, 5.0], [e * e, 6.0]];
        let members = Array3::from_shape_vec((1, 2, 2), vec![e, 7.0, 1.0, 8.0]).unwrap();
        let (z, m) = scaling.given_in_model_units(Some(y), Some(members.clone())).unwrap();
        let close = |found: &[f64], due: &[f64]| found.iter().zip(due).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(z.unwrap().as_slice().unwrap(), &[-1.0, 5.0, 1.0, 6.0]));
        assert!(close(m.unwrap().as_slice().unwrap(), &[0.0, 7.0, -1.0, 8.0]));
        let (z, m) = scaling.given_in_model_units(None, Some(members.clone())).unwrap();
        assert!(z.is_none() && close(m.unwrap().as_slice().unwrap(), &[1.0, 7.0, -1.0, 8.0]));
        assert!(scaling.given_in_model_units(Some(array![[-1.0, 5.0]]), None).is_err());
        assert!(scaling.given_in_model_units(Some(array![[1.0, 5.0]]), Some(-members.clone())).is_err());
        let none = OutputScaling::default().given_in_model_units(None, Some(members.clone())).unwrap();
        assert_eq!(none, (None, Some(members)));
    }

    #[test]
    fn the_two_faces_of_a_model_are_model_units_and_the_outputs_own() {
        use OutputTransform::{Asinh, Log, None};
        let labelled = labelled();
        let scaling = OutputScaling::new([None, Log, Asinh(1e-3), None].map(standardised).to_vec());
        let model = trained(&scaling, &labelled).unwrap();
        let own = model.mean(labelled.x()).unwrap();
        for (a, b) in own.iter().zip(labelled.y()) {
            assert!((a - b).abs() <= 1e-12 * b.abs().max(1e-3), "{a} is not {b}");
        }
        let units = model.model_units().unwrap();
        assert_eq!((units.labelled.x(), units.labelled.n_initial()), (labelled.x(), 2));
        assert_eq!(units.surrogate.mean(labelled.x()).unwrap(), units.labelled.y());
        for (k, column) in units.labelled.y().columns().into_iter().enumerate() {
            let mean = column.mean().unwrap();
            let sd = column.std(0.0);
            let due = if k == 3 { 0.0 } else { 1.0 };
            assert!(mean.abs() < 1e-12 && (sd - due).abs() < 1e-12, "output {k}: mean {mean}, deviation {sd}");
        }
    }

    #[test]
    fn a_committee_speaks_the_outputs_own_units_member_by_member() {
        use OutputTransform::{Log, None};
        let x = array![[-1.0], [1.0]];
        let labelled = Labelled::new(x.clone(), array![[10.0, 1.0], [30.0, 100.0]]).unwrap();
        let scaling = OutputScaling::new([None, Log].map(standardised).to_vec());
        let model = trained(&scaling, &labelled).unwrap();
        // Standard deviations: 10, and ln 10. Members lie one of them below, at and above.
        let moments = model.uncertainty().unwrap().moments(x.view()).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs(), "{a} is not {b}");
        close(moments.mean[[0, 0]], 10.0);
        close(moments.variance[[0, 0]], 100.0 * 2.0 / 3.0);
        close(moments.mean[[0, 1]], (0.1 + 1.0 + 10.0) / 3.0);
        close(model.mean(x.view()).unwrap()[[0, 1]], 1.0);
    }

    /// A model that is unsure without having members.
    struct Unsure(Recall);
    impl Surrogate for Unsure {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            self.0.n_outputs()
        }
        fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
            self.0.mean(x)
        }
        fn uncertainty(&self) -> Option<&dyn Uncertainty> {
            Some(&self.0)
        }
    }

    struct UnsureLearner;
    impl Learner for UnsureLearner {
        fn platform(&self) -> String {
            "unsure".into()
        }
        fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
            jobs.iter().map(|job| Ok(Box::new(Unsure(Recall(job.labelled.clone()))) as Box<dyn Surrogate>)).collect()
        }
    }

    #[test]
    fn a_model_without_members_is_unsure_in_the_outputs_own_units_unless_they_are_transformed() {
        let labelled = Labelled::new(array![[-1.0], [1.0]], array![[10.0], [30.0]]).unwrap();
        let needs = Needs::default();
        let of = |transform| {
            let learner = OutputScaling::new(vec![standardised(transform)]).learner(Box::new(UnsureLearner));
            let jobs = [FitJob { labelled: &labelled, needs: &needs, seeds: SeedPath::root(0) }];
            learner.fit_all(&jobs, &Stop::new()).pop().unwrap().unwrap()
        };
        let model = of(OutputTransform::None);
        let moments = model.uncertainty().unwrap().moments(labelled.x()).unwrap();
        assert!(model.committee().is_none());
        assert_eq!(moments.mean, labelled.y());
        assert!((moments.variance[[0, 0]] - 100.0 * 2.0 / 3.0).abs() < 1e-9);
        assert!(of(OutputTransform::Log).uncertainty().is_none());
    }

    #[test]
    fn without_scaling_the_learner_is_the_one_that_was_given() {
        let scaling = OutputScaling::new(vec![OutputUnits::default(); 4]);
        assert!(scaling.is_none() && scaling.check(&[-1.0; 4]).is_ok());
        let model = trained(&scaling, &labelled()).unwrap();
        assert!(model.model_units().is_none());
        assert_eq!(model.mean(labelled().x()).unwrap(), labelled().y());
    }

    #[test]
    fn what_a_transform_cannot_take_is_a_typed_failure() {
        let scaling = OutputScaling::new(vec![OutputUnits::default(), standardised(OutputTransform::Log)]);
        for bad in [0.0, -2.0] {
            let failure = scaling.check(&[-1.0, bad]).unwrap_err();
            assert_eq!(failure.kind, LabelFailureKind::OutOfDomain);
            assert!(failure.message.contains("output 1") && failure.message.contains("log"), "{failure}");
        }
        let labelled = Labelled::new(array![[0.0]], array![[1.0, -1.0]]).unwrap();
        assert!(matches!(trained(&scaling, &labelled), Err(LearnError::Other { .. })));
    }

    #[test]
    fn model_units_do_not_know_the_unit_of_an_output() {
        let y = [0.3, -1.7, 2.9, 0.05, -0.4];
        let (offset, factor) = standard(OutputTransform::None, y.into_iter());
        for (unit, shift) in [(1e-3, 0.0), (1e4, 0.0), (1e300, 0.0), (1.0, 1e6)] {
            let other = y.map(|v| v * unit + shift);
            let (o, f) = standard(OutputTransform::None, other.into_iter());
            for (v, w) in y.iter().zip(other) {
                let (a, b) = ((v - offset) / factor, (w - o) / f);
                assert!((a - b).abs() < 1e-9, "{a} and {b} at unit {unit}, shift {shift}");
            }
        }
    }

    #[test]
    fn an_output_that_is_constant_but_for_rounding_is_only_shifted() {
        use OutputTransform::{Asinh, Log, None};
        let up = 1.0 + f64::EPSILON;
        assert_eq!(standard(None, [1.0, up].into_iter()), (1.0, 1.0));
        assert_eq!(standard(None, [-1e300, -1e300 * up].into_iter()), (-1e300, 1.0));
        assert_eq!(standard(Asinh(1.0), [1.0, up].map(|y| Asinh(1.0).forward(y)).into_iter()).1, 1.0);
        // The logarithm of 1 is 0, beside which anything is large.
        assert_eq!(standard(Log, [1.0, up].map(|y| Log.forward(y)).into_iter()), (0.0, 1.0));
        assert_eq!(standard(None, [0.0, 2e-16].into_iter()).1, 1e-16);
        assert_eq!(standard(None, [1.0, 1.0 + 32.0 * f64::EPSILON].into_iter()).1, 16.0 * f64::EPSILON);
        assert!(None.is_constant(std::iter::empty()) && !None.is_constant([f64::INFINITY, 1.0].into_iter()));
    }

    #[test]
    fn the_reach_of_a_spread_grows_with_it_through_every_transform() {
        use OutputTransform::{Asinh, Log, None};
        assert_eq!(Log.half_width(1.0, 2.0), libm::log1p(2.0));
        assert!((Log.half_width(2.0, 2e-9) / 1e-9 - 1.0).abs() < 1e-8);
        assert_eq!((None.half_width(-1.0, 3.0), Log.half_width(0.0, 1.0)), (3.0, 0.0));
        let even = (libm::asinh(3.0) - libm::asinh(-1.0)) / 2.0;
        assert_eq!(Asinh(1.0).half_width(1.0, 2.0), even);
        for transform in [None, Log, Asinh(1e-3)] {
            let reach = |k: i32| transform.half_width(1.0, 0.01 * f64::from(k));
            assert!((0..300).all(|k| reach(k) < reach(k + 1)), "{transform:?}");
        }
    }

    #[test]
    fn an_error_over_scaled_outputs_is_relative_to_each_ones_spread() {
        let truth = array![[0.0, 1.0], [2.0, 100.0]];
        let predicted = array![[1.0, 10.0], [2.0, 100.0]];
        assert_eq!(OutputScaling::default().mse(predicted.view(), truth.view()), (1.0 + 81.0) / 4.0);
        let scaling = OutputScaling::new([OutputTransform::None, OutputTransform::Log].map(standardised).to_vec());
        // Standard deviations 1 and ln 10; each output is off by one of them at the first point.
        assert!((scaling.mse(predicted.view(), truth.view()) - 2.0 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn outputs_are_transformed_one_by_one() {
        let scaling = OutputScaling::new([OutputTransform::None, OutputTransform::Log].map(standardised).to_vec());
        assert!(scaling.has_transform() && !OutputScaling::default().has_transform());
        let y = array![[2.0, 1.0], [3.0, 10.0]];
        assert_eq!(scaling.transformed(y.view()), array![[2.0, 0.0], [3.0, libm::log(10.0)]]);
        assert_eq!(OutputScaling::default().transformed(y.view()), y);
    }

    #[test]
    fn in_files_a_transform_is_a_word_or_a_table() {
        let read = |text: &str| serde_json::from_str::<OutputTransform>(text);
        assert_eq!(read(r#""log""#).unwrap(), OutputTransform::Log);
        assert_eq!(read(r#"{"asinh": 0.001}"#).unwrap(), OutputTransform::Asinh(0.001));
        assert!(read(r#""sqrt""#).is_err());
    }
}
