//! A rule that chooses what to label next, and the step that it looks at.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use thiserror::Error;

use crate::{
    Capability, Clock, FeatureSpec, Labelled, Moments, Needs, OnChunk, ParameterSubset, SeedPath, Space, SpaceError,
    Stop, Surrogate, SurrogateError, Uncertainty,
};

/// A rule for choosing what to label next: a value, without state between steps.
///
/// It is the only trait that a strategy implements. Its name and the settings as text are not here but with the
/// catalogue that lists it (`dal_acq::Card`, `dal_acq::Found`): the loop needs neither, a caller's own rule has none,
/// and one rule may be listed under several names.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// What it will ask the surrogate for; anything else is refused by the [`Step`].
    fn needs(&self) -> Needs;
    /// Whether what it chooses depends on how large the pool is. One run of a rule that does not stands for every pool
    /// ratio.
    fn uses_pool(&self) -> bool {
        true
    }
    /// Whether it lays out or draws points over the ranges of the inputs, which a table of numbers does not say.
    fn uses_ranges(&self) -> bool {
        false
    }
    /// Chooses `n_queries` points. Ties go to the lowest pool index.
    ///
    /// # Errors
    /// More queries than pool points, where it picks from the pool; scores that are not finite; a surrogate that cannot
    /// answer.
    fn propose(&self, step: &Step<'_>, n_queries: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError>;
}

/// What a strategy proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The points to label.
    pub queries: Queries,
    /// The strategy's score of every pool point before the first pick, shape (n_pool,), higher is more wanted, where it
    /// has one: what its correlation with the true error is taken from.
    pub scores: Option<Array1<f64>>,
    /// The score of each query at the moment it was chosen, shape (n_queries,), where the strategy has one; NaN of the
    /// last ones where another rule made them, which the notes say.
    pub picked_scores: Option<Array1<f64>>,
    /// The probability of each pick given the earlier ones, shape (n_queries,), each in (0, 1], where the picks are
    /// drawn and the strategy knows it: what an estimate that corrects for the choice divides by.
    pub probabilities: Option<Array1<f64>>,
}

impl Proposal {
    /// These rows of the pool, without scores.
    pub fn picked(rows: Vec<usize>) -> Self {
        Self { queries: Queries::Picked(rows), scores: None, picked_scores: None, probabilities: None }
    }

    /// These points, shape (n_queries, n_columns), without scores.
    pub fn synthesised(x: Array2<f64>) -> Self {
        Self { queries: Queries::Synthesised(x), scores: None, picked_scores: None, probabilities: None }
    }

    /// The pool points of the `n` highest scores, highest first, ties by the lowest row, with all scores.
    ///
    /// # Errors
    /// As [`top_scored`].
    pub fn top(scores: Array1<f64>, n: usize) -> Result<Self, StrategyError> {
        let rows = top_scored(scores.view(), n)?;
        let picked_scores = Some(rows.iter().map(|&row| scores[row]).collect());
        Ok(Self { scores: Some(scores), picked_scores, ..Self::picked(rows) })
    }

    /// The pool rows that were picked; `None` for points of the strategy's own making.
    pub fn rows(&self) -> Option<&[usize]> {
        match &self.queries {
            Queries::Picked(rows) => Some(rows),
            Queries::Synthesised(_) => None,
        }
    }
}

/// Points to label next.
#[derive(Clone, Debug, PartialEq)]
pub enum Queries {
    /// Rows of the pool in the order in which they were picked, distinct.
    Picked(Vec<usize>),
    /// Points of the strategy's own making, shape (n_queries, n_inputs), which the space admits.
    Synthesised(Array2<f64>),
}

/// The rows of the `n` highest scores, highest first, ties by the lowest row.
///
/// # Errors
/// A score that is not finite; `n` beyond the number of scores.
pub fn top_scored(scores: ArrayView1<'_, f64>, n: usize) -> Result<Vec<usize>, StrategyError> {
    if n > scores.len() {
        return Err(StrategyError::PoolTooSmall { requested: n, available: scores.len() });
    }
    if let Some((row, &value)) = scores.iter().enumerate().find(|(_, s)| !s.is_finite()) {
        return Err(StrategyError::NonFiniteScore { row, value });
    }
    let mut rows: Vec<usize> = (0..scores.len()).collect();
    // Scores are finite and zeros of both signs must tie, so partial_cmp and not total_cmp.
    let order = |&a: &usize, &b: &usize| scores[b].partial_cmp(&scores[a]).expect("scores are finite").then(a.cmp(&b));
    if n < rows.len() && n > 0 {
        rows.select_nth_unstable_by(n - 1, order);
    }
    rows.truncate(n);
    rows.sort_unstable_by(order);
    Ok(rows)
}

/// A strategy cannot choose.
#[derive(Debug, Error)]
pub enum StrategyError {
    /// More queries than pool points.
    #[error("{requested} queries asked of a pool of {available} points; ask for fewer or give a larger pool")]
    PoolTooSmall {
        /// Queries asked for.
        requested: usize,
        /// Pool points.
        available: usize,
    },
    /// A score is NaN or infinite.
    #[error("the score of pool point {row} is {value}, not a finite number")]
    NonFiniteScore {
        /// 0-based pool row.
        row: usize,
        /// The offending score.
        value: f64,
    },
    /// A feature of a point is NaN or infinite.
    #[error("a feature of {set} {row} is {value}, not a finite number")]
    NonFiniteFeature {
        /// What the point is one of.
        set: &'static str,
        /// 0-based row there.
        row: usize,
        /// The offending value.
        value: f64,
    },
    /// A score below zero, where points are drawn in proportion to scores.
    #[error(
        "the score of pool point {row} is {value}; points are drawn in proportion to scores, so none may be below zero"
    )]
    NegativeScore {
        /// 0-based pool row.
        row: usize,
        /// The offending score.
        value: f64,
    },
    /// A pool coordinate is NaN or infinite.
    #[error("x{column} of pool point {row} is {value}, not a finite number")]
    NonFinitePool {
        /// 0-based pool row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// Pool and labelled set differ in width.
    #[error("the labelled set has {labelled} inputs, the pool {pool}")]
    WidthDiffers {
        /// Inputs of the labelled set.
        labelled: usize,
        /// Inputs of the pool.
        pool: usize,
    },
    /// Space and labelled set differ in width.
    #[error("the space has {space} columns, the labelled set {labelled}")]
    SpaceDiffers {
        /// Columns of the space.
        space: usize,
        /// Inputs of the labelled set.
        labelled: usize,
    },
    /// The strategy used what it had not declared.
    #[error("the strategy asked for {need} without declaring the need")]
    Undeclared {
        /// The capability.
        need: &'static str,
    },
    /// The surrogate at hand lacks what the strategy needs.
    #[error("the strategy needs {need}, which the model at hand does not offer")]
    Missing {
        /// The capability.
        need: &'static str,
    },
    /// A setting that makes no sense.
    #[error("setting {key} = {value}: {reason}")]
    BadSetting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// It was asked to stop.
    #[error("the choice was stopped")]
    Stopped,
    /// The surrogate could not answer.
    #[error(transparent)]
    Surrogate(#[from] SurrogateError),
    /// Points of the strategy's own making cannot be brought to the space.
    #[error("points of the strategy's own making: {0}")]
    Space(#[from] SpaceError),
    /// Geometry of the pool that the method cannot handle, such as a clustering too large for memory.
    #[error("{message}")]
    Geometry {
        /// What happened and what would work.
        message: String,
    },
}

/// What stays the same over the steps of a campaign, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// The strategy's stream for all steps; [`Strategy::propose`] gets one per step.
    pub seeds: SeedPath,
    /// Points that came after the first ones: asked for, failed ones included, or adopted.
    pub asked: usize,
    /// Whether points of the strategy's own making may be asked for, not only rows of the pool.
    pub own_points: bool,
}

/// What a strategy sees of one step: space, labelled set, pool, and the surrogate's answers, granted only where
/// declared. Answers at the pool that many rules want are computed lazily and once. It asks the surrogate itself and
/// hands out no model, so that what was used and how long that took is known here.
pub struct Step<'a> {
    space: &'a Space,
    labelled: &'a Labelled,
    pool: ArrayView2<'a, f64>,
    surrogate: Option<&'a dyn Surrogate>,
    needs: Needs,
    clock: Option<&'a Clock>,
    course: Option<Course>,
    odds: Option<Vec<f64>>,
    stop: Stop,
    mean: OnceCell<Array2<f64>>,
    moments: OnceCell<Moments>,
    used: RefCell<Needs>,
    notes: RefCell<Vec<String>>,
    model_seconds: Cell<f64>,
}

impl<'a> Step<'a> {
    /// A step for a strategy with these needs. Without a surrogate only geometry is to be had.
    ///
    /// # Errors
    /// A space or a pool of another width than the labelled set, a pool with values that are not finite.
    pub fn new(
        space: &'a Space,
        labelled: &'a Labelled,
        pool: ArrayView2<'a, f64>,
        surrogate: Option<&'a dyn Surrogate>,
        needs: Needs,
    ) -> Result<Self, StrategyError> {
        if space.n_columns() != labelled.n_inputs() {
            return Err(StrategyError::SpaceDiffers { space: space.n_columns(), labelled: labelled.n_inputs() });
        }
        if pool.ncols() != labelled.n_inputs() {
            return Err(StrategyError::WidthDiffers { labelled: labelled.n_inputs(), pool: pool.ncols() });
        }
        if let Some(((row, column), &value)) = pool.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(StrategyError::NonFinitePool { row, column, value });
        }
        Ok(Self {
            space,
            labelled,
            pool,
            surrogate,
            needs,
            clock: None,
            course: None,
            odds: None,
            stop: Stop::new(),
            mean: OnceCell::new(),
            moments: OnceCell::new(),
            used: RefCell::default(),
            notes: RefCell::default(),
            model_seconds: Cell::new(0.0),
        })
    }

    /// The same step with a clock for [`model_seconds`](Self::model_seconds).
    #[must_use]
    pub fn with_clock(self, clock: Option<&'a Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same step with the campaign's course.
    #[must_use]
    pub fn with_course(self, course: Course) -> Self {
        Self { course: Some(course), ..self }
    }

    /// The same step with the probability of an answer at each pool point, shape (n_pool,).
    #[must_use]
    pub fn with_odds(self, odds: Option<Vec<f64>>) -> Self {
        Self { odds, ..self }
    }

    /// The same step with a wish to stop that others may utter.
    #[must_use]
    pub fn with_stop(self, stop: Option<&Stop>) -> Self {
        Self { stop: stop.cloned().unwrap_or_default(), ..self }
    }

    /// The wish to stop: a rule that takes long looks at it once a pick.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// An error where the choice is to end now.
    ///
    /// # Errors
    /// [`StrategyError::Stopped`].
    pub fn check_stop(&self) -> Result<(), StrategyError> {
        if self.stop.is_now() { Err(StrategyError::Stopped) } else { Ok(()) }
    }

    /// How likely each pool point has an answer, where that is known: rules that draw weigh their scores by it.
    pub fn odds(&self) -> Option<&[f64]> {
        self.odds.as_deref()
    }

    /// Where the campaign stands, if there is one: what a design that goes on from step to step has to know.
    pub fn course(&self) -> Option<&Course> {
        self.course.as_ref()
    }

    /// The inputs of the problem: what a point of the strategy's own making has to keep to ([`Space::project`]).
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// The labelled set.
    pub fn labelled(&self) -> &'a Labelled {
        self.labelled
    }

    /// The pool, shape (n_pool, n_inputs).
    pub fn pool(&self) -> ArrayView2<'a, f64> {
        self.pool
    }

    /// An error where `n_queries` exceeds the pool.
    ///
    /// # Errors
    /// [`StrategyError::PoolTooSmall`].
    pub fn check_request(&self, n_queries: usize) -> Result<(), StrategyError> {
        if n_queries > self.pool.nrows() {
            return Err(StrategyError::PoolTooSmall { requested: n_queries, available: self.pool.nrows() });
        }
        Ok(())
    }

    /// The surrogate's prediction at the pool, shape (n_pool, n_outputs). Declared uncertainty grants it too.
    ///
    /// # Errors
    /// The need is not declared, there is no surrogate, or it cannot answer.
    pub fn mean(&self) -> Result<&Array2<f64>, StrategyError> {
        if !self.needs.mean && (self.needs.uncertainty || self.needs.committee) {
            return Ok(&self.moments()?.mean);
        }
        if self.mean.get().is_none() {
            // Moments hold the mean already.
            let mean = match self.moments.get() {
                Some(moments) => self.ask(&Capability::MEAN, Some, |_| Ok(moments.mean.clone()))?,
                None => self.mean_at(self.pool)?,
            };
            let _ = self.mean.set(mean);
        }
        Ok(self.mean.get().expect("just set"))
    }

    /// The surrogate's prediction at `x` (n, n_inputs), shape (n, n_outputs).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn mean_at(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, StrategyError> {
        self.ask(&Capability::MEAN, Some, |surrogate| surrogate.mean(x))
    }

    /// Mean and variance of the prediction at the pool. A declared committee grants them too.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn moments(&self) -> Result<&Moments, StrategyError> {
        if self.moments.get().is_none() {
            let _ = self.moments.set(self.moments_at(self.pool)?);
        }
        Ok(self.moments.get().expect("just set"))
    }

    /// Mean and variance of the prediction at `x` (n, n_inputs).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn moments_at(&self, x: ArrayView2<'_, f64>) -> Result<Moments, StrategyError> {
        if !self.needs.uncertainty && self.needs.committee {
            let members = |surrogate: &'a dyn Surrogate| surrogate.committee();
            return self.ask(&Capability::COMMITTEE, members, |committee| committee.moments(x));
        }
        let uncertainty = |surrogate: &'a dyn Surrogate| -> Option<&'a dyn Uncertainty> { surrogate.uncertainty() };
        self.ask(&Capability::UNCERTAINTY, uncertainty, |uncertainty| uncertainty.moments(x))
    }

    /// The disagreement at the pool: the variance of the prediction, averaged over outputs, shape (n_pool,).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn disagreement(&self) -> Result<Array1<f64>, StrategyError> {
        let variance = &self.moments()?.variance;
        Ok(variance.outer_iter().map(|row| row.sum() / row.len() as f64).collect())
    }

    /// How many members the committee has.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn n_members(&self) -> Result<usize, StrategyError> {
        self.ask(&Capability::COMMITTEE, |surrogate| surrogate.committee(), |committee| Ok(committee.n_members()))
    }

    /// Every member's prediction at `x` (n, n_inputs), in chunks of at most `chunk_rows` consecutive rows, in order:
    /// `on_chunk(first_row, predictions)`, shape (n_members, chunk, n_outputs).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn members(
        &self,
        x: ArrayView2<'_, f64>,
        chunk_rows: usize,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), StrategyError> {
        let committee = self.grant(&Capability::COMMITTEE, |surrogate| surrogate.committee())?;
        self.timed_chunks(on_chunk, |on_chunk| committee.members(x, chunk_rows, on_chunk))
    }

    /// The disagreement at `x` (n, n_inputs), shape (n,), and its gradient with respect to the input, shape (n,
    /// n_inputs).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn disagreement_gradient(&self, x: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>), StrategyError> {
        let gradient = |surrogate: &'a dyn Surrogate| surrogate.input_gradient();
        self.ask(&Capability::INPUT_GRADIENT, gradient, |gradient| gradient.disagreement(x))
    }

    /// Mean and variance over the passes of the dropout network at `x` (n, n_inputs); masks come from `seeds`.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn dropout_moments(&self, x: ArrayView2<'_, f64>, seeds: &SeedPath) -> Result<Moments, StrategyError> {
        self.ask(&Capability::DROPOUT, |surrogate| surrogate.dropout(), |dropout| dropout.moments(x, seeds))
    }

    /// The loss that the loss heads predict at `x` (n, n_inputs), shape (n,).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn predicted_loss(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>, StrategyError> {
        self.ask(&Capability::LOSS_HEAD, |surrogate| surrogate.loss_head(), |head| head.predicted_loss(x))
    }

    /// Products of parameter gradients, as [`Tangent::loss_gradient_products`](crate::Tangent::loss_gradient_products)
    /// has them.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn loss_gradient_products(
        &self,
        anchors: ArrayView2<'_, f64>,
        candidates: ArrayView2<'_, f64>,
        target: ArrayView1<'_, f64>,
        subset: Option<&ParameterSubset>,
        on_chunk: &mut OnChunk<'_>,
    ) -> Result<(), StrategyError> {
        let tangent = self.grant(&Capability::TANGENT, |surrogate| surrogate.tangent())?;
        self.timed_chunks(on_chunk, |on_chunk| {
            tangent.loss_gradient_products(anchors, candidates, target, subset, on_chunk)
        })
    }

    /// Features at `x` (n, n_inputs), shape (n, columns), as [`Features::features_at`](crate::Features::features_at)
    /// has them.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn features(&self, x: ArrayView2<'_, f64>, spec: &FeatureSpec) -> Result<Array2<f64>, StrategyError> {
        self.ask(&Capability::FEATURES, |surrogate| surrogate.features(), |features| features.features_at(x, spec))
    }

    /// Leaves a remark for the record, such as a term that is constant on this pool and therefore counts for nothing.
    pub fn note(&self, remark: impl Into<String>) {
        let remark = remark.into();
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&remark) {
            notes.push(remark);
        }
    }

    /// The remarks left so far, each once.
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// What was asked for so far.
    pub fn used(&self) -> Needs {
        self.used.borrow().clone()
    }

    /// Seconds that the surrogate took to answer so far, without what callbacks took; `None` without a clock.
    pub fn model_seconds(&self) -> Option<f64> {
        self.clock.map(|_| self.model_seconds.get())
    }

    /// What the surrogate has for a capability, if it was declared.
    fn grant<T>(
        &self,
        capability: &Capability,
        of: impl FnOnce(&'a dyn Surrogate) -> Option<T>,
    ) -> Result<T, StrategyError> {
        let need = capability.name;
        if !(capability.is_declared)(&self.needs) {
            return Err(StrategyError::Undeclared { need });
        }
        self.check_stop()?;
        (capability.declare_as)(&self.needs, &mut self.used.borrow_mut());
        self.surrogate.and_then(of).ok_or(StrategyError::Missing { need })
    }

    /// Asks for one answer and measures how long it takes.
    fn ask<T, R>(
        &self,
        capability: &Capability,
        of: impl FnOnce(&'a dyn Surrogate) -> Option<T>,
        call: impl FnOnce(T) -> Result<R, SurrogateError>,
    ) -> Result<R, StrategyError> {
        let granted = self.grant(capability, of)?;
        let Some(clock) = self.clock else { return Ok(call(granted)?) };
        let start = clock();
        let answer = call(granted);
        self.model_seconds.set(self.model_seconds.get() + clock() - start);
        Ok(answer?)
    }

    /// Measures how long an answer in chunks takes, without what is done with the chunks.
    fn timed_chunks(
        &self,
        on_chunk: &mut OnChunk<'_>,
        call: impl FnOnce(&mut OnChunk<'_>) -> Result<(), SurrogateError>,
    ) -> Result<(), StrategyError> {
        let Some(clock) = self.clock else { return Ok(call(on_chunk)?) };
        let mut outside = 0.0;
        let start = clock();
        let answer = call(&mut |first, chunk| {
            let start = clock();
            on_chunk(first, chunk);
            outside += clock() - start;
        });
        self.model_seconds.set(self.model_seconds.get() + clock() - start - outside);
        Ok(answer?)
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("n_labelled", &self.labelled.len())
            .field("n_pool", &self.pool.nrows())
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Committee;
    use ndarray::{Array3, ArrayView3, array};

    #[test]
    fn ties_go_to_the_lowest_row() {
        let scores = array![1.0, 3.0, -0.0, 3.0, 0.0];
        assert_eq!(top_scored(scores.view(), 5).unwrap(), [1, 3, 0, 2, 4]);
        assert_eq!(top_scored(scores.view(), 1).unwrap(), [1]);
        assert_eq!(top_scored(scores.view(), 0).unwrap(), [] as [usize; 0]);
        assert!(matches!(
            top_scored(scores.view(), 6),
            Err(StrategyError::PoolTooSmall { requested: 6, available: 5 })
        ));
        assert!(matches!(
            top_scored(array![0.0, f64::NAN].view(), 1),
            Err(StrategyError::NonFiniteScore { row: 1, .. })
        ));
    }

    /// Two members, 0 and 2 everywhere; answers members in chunks, and offers nothing else.
    struct Pair;
    impl Surrogate for Pair {
        fn n_inputs(&self) -> usize {
            1
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
            Ok(Array2::ones((x.nrows(), 1)))
        }
        fn committee(&self) -> Option<&dyn Committee> {
            Some(self)
        }
    }
    impl Uncertainty for Pair {
        fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
            Ok(Moments { mean: Array2::ones((x.nrows(), 1)), variance: Array2::ones((x.nrows(), 1)) })
        }
    }
    impl Committee for Pair {
        fn n_members(&self) -> usize {
            2
        }
        fn members(
            &self,
            x: ArrayView2<'_, f64>,
            chunk_rows: usize,
            on_chunk: &mut OnChunk<'_>,
        ) -> Result<(), SurrogateError> {
            for first in (0..x.nrows()).step_by(chunk_rows) {
                let n = chunk_rows.min(x.nrows() - first);
                on_chunk(first, Array3::from_shape_fn((2, n, 1), |(m, ..)| 2.0 * m as f64).view());
            }
            Ok(())
        }
    }

    fn one() -> (Space, Labelled) {
        (Space::continuous_unit(1), Labelled::new(array![[0.0]], array![[0.0]]).unwrap())
    }

    #[test]
    fn only_declared_needs_are_granted() {
        let (space, labelled) = one();
        let pool = array![[0.5]];
        let step = Step::new(&space, &labelled, pool.view(), None, Needs::default()).unwrap();
        assert!(matches!(step.mean(), Err(StrategyError::Undeclared { .. })));
        let needs = Needs { mean: true, ..Needs::default() };
        let step = Step::new(&space, &labelled, pool.view(), None, needs.clone()).unwrap();
        assert!(matches!(step.mean(), Err(StrategyError::Missing { .. })));
        assert_eq!(step.used(), needs);
        let bad = array![[f64::INFINITY]];
        assert!(matches!(
            Step::new(&space, &labelled, bad.view(), None, Needs::default()),
            Err(StrategyError::NonFinitePool { row: 0, column: 0, .. })
        ));
        let wide = Space::continuous_unit(2);
        assert!(matches!(
            Step::new(&wide, &labelled, pool.view(), None, Needs::default()),
            Err(StrategyError::SpaceDiffers { space: 2, labelled: 1 })
        ));
    }

    #[test]
    fn every_capability_is_refused_unless_declared_and_named_where_missing() {
        type Ask = fn(&Step<'_>) -> Result<(), StrategyError>;
        let asks: [Ask; 8] = [
            |step| step.mean_at(step.pool()).map(|_| ()),
            |step| step.moments().map(|_| ()),
            |step| step.members(step.pool(), 1, &mut |_, _| ()),
            |step| step.disagreement_gradient(step.pool()).map(|_| ()),
            |step| {
                let target = array![0.0];
                step.loss_gradient_products(step.pool(), step.pool(), target.view(), None, &mut |_, _| ())
            },
            |step| {
                let spec = FeatureSpec {
                    kind: crate::FeatureKind::LastLayer,
                    columns: None,
                    directions: 1,
                    parametrisation: Default::default(),
                    seeds: SeedPath::root(0),
                };
                step.features(step.pool(), &spec).map(|_| ())
            },
            |step| step.dropout_moments(step.pool(), &SeedPath::root(0)).map(|_| ()),
            |step| step.predicted_loss(step.pool()).map(|_| ()),
        ];
        let all = Needs {
            mean: true,
            uncertainty: true,
            committee: true,
            input_gradient: true,
            tangent: true,
            features: true,
            dropout: Some(Default::default()),
            loss_head: Some(Default::default()),
        };
        assert_eq!(all.capabilities().count(), Capability::ALL.len());
        let (space, labelled) = one();
        let pool = array![[0.5]];
        for (capability, ask) in Capability::ALL.iter().zip(asks) {
            let mut needs = Needs::default();
            let step = Step::new(&space, &labelled, pool.view(), Some(&Pair), needs.clone()).unwrap();
            assert!(matches!(ask(&step), Err(StrategyError::Undeclared { need }) if need == capability.name));
            (capability.declare_as)(&all, &mut needs);
            assert_eq!(needs.in_words(), [capability.name]);
            let step = Step::new(&space, &labelled, pool.view(), Some(&Pair), needs.clone()).unwrap();
            match ask(&step) {
                Ok(()) => assert!((capability.is_offered)(&Pair)),
                Err(StrategyError::Missing { need }) => {
                    assert!(need == capability.name && !(capability.is_offered)(&Pair));
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(step.used(), needs);
        }
    }

    #[test]
    fn a_committee_grants_uncertainty_and_uncertainty_the_mean() {
        let (space, labelled) = one();
        let pool = array![[0.5], [0.6]];
        for needs in [Needs { committee: true, ..Needs::default() }, Needs { uncertainty: true, ..Needs::default() }] {
            let step = Step::new(&space, &labelled, pool.view(), Some(&Pair), needs.clone()).unwrap();
            assert_eq!(step.mean().unwrap(), array![[1.0], [1.0]]);
            assert_eq!(step.disagreement().unwrap(), array![1.0, 1.0]);
            assert_eq!(step.members(pool.view(), 1, &mut |_, _| ()).is_ok(), needs.committee);
            assert_eq!(step.used(), needs);
        }
    }

    #[test]
    fn the_models_time_is_counted_and_that_of_callbacks_is_not() {
        // Every look at the clock is one second later than the one before.
        let looks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = std::sync::Arc::clone(&looks);
        let clock: Clock =
            std::sync::Arc::new(move || f64::from(counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        let (space, labelled) = one();
        let pool = array![[0.5], [0.6], [0.7]];
        let needs = Needs { mean: true, committee: true, ..Needs::default() };
        let step = Step::new(&space, &labelled, pool.view(), Some(&Pair), needs).unwrap();
        step.mean().unwrap();
        assert_eq!(step.model_seconds(), None);
        let step = step.with_clock(Some(&clock));
        step.mean().unwrap();
        assert_eq!(step.model_seconds(), Some(0.0), "the answer was there");
        step.mean_at(pool.view()).unwrap();
        assert_eq!(step.model_seconds(), Some(1.0));
        // Three chunks lie between the call's two looks, two looks each: seven seconds to the last one, of which the
        // callbacks take one each, and a hundred more each that they pause.
        let mut pause = |_: usize, _: ArrayView3<'_, f64>| {
            looks.fetch_add(100, std::sync::atomic::Ordering::Relaxed);
        };
        step.members(pool.view(), 1, &mut pause).unwrap();
        assert_eq!(step.model_seconds(), Some(1.0 + 4.0));
    }
}
