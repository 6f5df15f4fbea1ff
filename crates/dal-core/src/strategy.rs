//! A rule that chooses what to label next, and the step that it looks at.

use std::cell::{OnceCell, RefCell};
use std::fmt;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use thiserror::Error;

use crate::{
    Committee, Dropout, InputGradient, Labelled, LossHead, Moments, Needs, SeedPath, Surrogate, SurrogateError, Tangent,
};

/// A rule for choosing what to label next: a value, without state between steps.
///
/// It is the only trait that a strategy implements. Its name and the settings as text are not here but with the catalogue
/// that lists it (`dal_acq::Card`, `dal_acq::Found`): the loop needs neither, a caller's own rule has none, and one rule may
/// be listed under several names.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// What it will ask the surrogate for; anything else is refused by the [`Step`].
    fn needs(&self) -> Needs;
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
    /// The score of each query at the moment it was chosen, shape (n_queries,), where the strategy has one.
    pub picked_scores: Option<Array1<f64>>,
    /// The probability of each pick given the earlier ones, shape (n_queries,), each in (0, 1], where the picks are drawn and
    /// the strategy knows it: what an estimate that corrects for the choice divides by.
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
    /// The surrogate could not answer.
    #[error(transparent)]
    Surrogate(#[from] SurrogateError),
    /// Geometry of the pool that the method cannot handle, such as a clustering too large for memory.
    #[error("{message}")]
    Geometry {
        /// What happened and what would work.
        message: String,
    },
}

/// What a strategy sees of one step: labelled set, pool, and the surrogate's answers, granted only where declared and
/// computed lazily, once.
pub struct Step<'a> {
    labelled: &'a Labelled,
    pool: ArrayView2<'a, f64>,
    surrogate: Option<&'a dyn Surrogate>,
    needs: Needs,
    mean: OnceCell<Array2<f64>>,
    moments: OnceCell<Moments>,
    used: RefCell<Needs>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Step<'a> {
    /// A step for a strategy with these needs. Without a surrogate only geometry is to be had.
    ///
    /// # Errors
    /// A pool of another width than the labelled set, or with values that are not finite.
    pub fn new(
        labelled: &'a Labelled,
        pool: ArrayView2<'a, f64>,
        surrogate: Option<&'a dyn Surrogate>,
        needs: Needs,
    ) -> Result<Self, StrategyError> {
        if pool.ncols() != labelled.n_inputs() {
            return Err(StrategyError::WidthDiffers { labelled: labelled.n_inputs(), pool: pool.ncols() });
        }
        if let Some(((row, column), &value)) = pool.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(StrategyError::NonFinitePool { row, column, value });
        }
        Ok(Self {
            labelled,
            pool,
            surrogate,
            needs,
            mean: OnceCell::new(),
            moments: OnceCell::new(),
            used: RefCell::default(),
            notes: RefCell::default(),
        })
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

    /// The surrogate's prediction at the pool, shape (n_pool, n_outputs). A declared committee grants it too.
    ///
    /// # Errors
    /// The need is not declared, there is no surrogate, or it cannot answer.
    pub fn mean(&self) -> Result<&Array2<f64>, StrategyError> {
        if !self.needs.mean && self.needs.committee {
            return Ok(&self.moments()?.mean);
        }
        let surrogate = self.grant("predictions (mean)", self.needs.mean, |used| used.mean = true)?;
        if self.mean.get().is_none() {
            // A committee's moments hold the mean already.
            let mean = match self.moments.get() {
                Some(moments) => moments.mean.clone(),
                None => surrogate.mean(self.pool)?,
            };
            let _ = self.mean.set(mean);
        }
        Ok(self.mean.get().expect("just set"))
    }

    /// Mean and variance over the committee at the pool.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn moments(&self) -> Result<&Moments, StrategyError> {
        let committee = self.committee()?;
        if self.moments.get().is_none() {
            let _ = self.moments.set(committee.moments(self.pool)?);
        }
        Ok(self.moments.get().expect("just set"))
    }

    /// The committee's disagreement at the pool: the variance over members, averaged over outputs, shape (n_pool,).
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    pub fn disagreement(&self) -> Result<Array1<f64>, StrategyError> {
        let variance = &self.moments()?.variance;
        Ok(variance.outer_iter().map(|row| row.sum() / row.len() as f64).collect())
    }

    /// The committee.
    ///
    /// # Errors
    /// The need is not declared, or the surrogate has none.
    pub fn committee(&self) -> Result<&'a dyn Committee, StrategyError> {
        let surrogate = self.grant("a committee", self.needs.committee, |used| used.committee = true)?;
        surrogate.committee().ok_or(StrategyError::Missing { need: "a committee" })
    }

    /// The gradient of the disagreement with respect to the input.
    ///
    /// # Errors
    /// The need is not declared, or the surrogate has none.
    pub fn input_gradient(&self) -> Result<&'a dyn InputGradient, StrategyError> {
        let need = "input gradients";
        let surrogate = self.grant(need, self.needs.input_gradient, |used| used.input_gradient = true)?;
        surrogate.input_gradient().ok_or(StrategyError::Missing { need })
    }

    /// The dropout network.
    ///
    /// # Errors
    /// The need is not declared, or the surrogate has none.
    pub fn dropout(&self) -> Result<&'a dyn Dropout, StrategyError> {
        let need = "a dropout network";
        let declared = self.needs.dropout;
        let surrogate = self.grant(need, declared.is_some(), |used| used.dropout = declared)?;
        surrogate.dropout().ok_or(StrategyError::Missing { need })
    }

    /// The loss heads.
    ///
    /// # Errors
    /// The need is not declared, or the surrogate has none.
    pub fn loss_head(&self) -> Result<&'a dyn LossHead, StrategyError> {
        let need = "loss-prediction heads";
        let declared = self.needs.loss_head;
        let surrogate = self.grant(need, declared.is_some(), |used| used.loss_head = declared)?;
        surrogate.loss_head().ok_or(StrategyError::Missing { need })
    }

    /// Products of parameter gradients.
    ///
    /// # Errors
    /// The need is not declared, or the surrogate has none.
    pub fn tangent(&self) -> Result<&'a dyn Tangent, StrategyError> {
        let need = "parameter gradients";
        let surrogate = self.grant(need, self.needs.tangent, |used| used.tangent = true)?;
        surrogate.tangent().ok_or(StrategyError::Missing { need })
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

    fn grant(
        &self,
        need: &'static str,
        declared: bool,
        mark: impl FnOnce(&mut Needs),
    ) -> Result<&'a dyn Surrogate, StrategyError> {
        if !declared {
            return Err(StrategyError::Undeclared { need });
        }
        mark(&mut self.used.borrow_mut());
        self.surrogate.ok_or(StrategyError::Missing { need })
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
    use ndarray::array;

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

    #[test]
    fn only_declared_needs_are_granted() {
        let labelled = Labelled::new(array![[0.0]], array![[0.0]]).unwrap();
        let pool = array![[0.5]];
        let step = Step::new(&labelled, pool.view(), None, Needs::default()).unwrap();
        assert!(matches!(step.mean(), Err(StrategyError::Undeclared { .. })));
        let needs = Needs { mean: true, ..Needs::default() };
        let step = Step::new(&labelled, pool.view(), None, needs.clone()).unwrap();
        assert!(matches!(step.mean(), Err(StrategyError::Missing { .. })));
        assert_eq!(step.used(), needs);
        let bad = array![[f64::INFINITY]];
        assert!(matches!(
            Step::new(&labelled, bad.view(), None, Needs::default()),
            Err(StrategyError::NonFinitePool { row: 0, column: 0, .. })
        ));
    }
}
