//! What a rule of this crate adds to [`Strategy`]: scores of single picks, an id, and settings as text.

use std::collections::BTreeMap;

use dal_core::{SeedPath, Step, Strategy, StrategyError};
use dal_geom::GeomError;
use ndarray::Array1;

/// Pool rows chosen by a rule, with what it thought of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Pool rows in the order in which they were picked, distinct.
    pub picked: Vec<usize>,
    /// The score of each pick at the moment it was picked, where the rule has one; [`PickScore`](crate::PickScore) says what
    /// it is.
    pub picked_scores: Option<Vec<f64>>,
    /// The score of every pool point before the first pick, shape (n_pool,), higher is more wanted, where the rule has one.
    pub scores: Option<Array1<f64>>,
}

/// A strategy that picks rows of the pool. Every strategy of this crate is one.
pub trait PoolStrategy: Strategy {
    /// The id in the catalogue.
    fn id(&self) -> &'static str;
    /// Settings that differ from their defaults, as text that [`find`](crate::find) takes.
    fn settings(&self) -> BTreeMap<String, String>;
    /// Every setting at its default, by key; `null` where the default is to leave it out.
    fn default_settings(&self) -> serde_json::Map<String, serde_json::Value>;
    /// [`Strategy::propose`] with the scores of the picks.
    ///
    /// # Errors
    /// As [`Strategy::propose`].
    fn select(&self, step: &Step<'_>, n_queries: usize, seeds: &SeedPath) -> Result<Selection, StrategyError>;
}

/// Implements [`Strategy`] and [`PoolStrategy`] for a settings struct that has `const ID`, `fn requires(&self) -> Needs` and
/// `fn choose(&self, &Step, n_queries, &SeedPath) -> Result<Selection, StrategyError>`; `choose` is called with
/// `1 <= n_queries <= n_pool` only.
macro_rules! pool_strategy {
    ($rule:ty) => {
        impl dal_core::Strategy for $rule {
            fn needs(&self) -> dal_core::Needs {
                self.requires()
            }

            fn propose(
                &self,
                step: &dal_core::Step<'_>,
                n_queries: usize,
                seeds: &dal_core::SeedPath,
            ) -> Result<dal_core::Proposal, dal_core::StrategyError> {
                let selection = $crate::PoolStrategy::select(self, step, n_queries, seeds)?;
                let queries = dal_core::Queries::Picked(selection.picked);
                Ok(dal_core::Proposal { queries, scores: selection.scores })
            }
        }

        impl $crate::PoolStrategy for $rule {
            fn id(&self) -> &'static str {
                Self::ID
            }

            fn settings(&self) -> std::collections::BTreeMap<String, String> {
                $crate::settings::changed_settings(self)
            }

            fn default_settings(&self) -> serde_json::Map<String, serde_json::Value> {
                $crate::settings::all_settings(&Self::default())
            }

            fn select(
                &self,
                step: &dal_core::Step<'_>,
                n_queries: usize,
                seeds: &dal_core::SeedPath,
            ) -> Result<$crate::Selection, dal_core::StrategyError> {
                step.check_request(n_queries)?;
                if n_queries == 0 {
                    return Ok($crate::Selection::default());
                }
                self.choose(step, n_queries, seeds)
            }
        }
    };
}
pub(crate) use pool_strategy;

/// The rows of the highest scores, with all scores.
pub(crate) fn top(scores: Array1<f64>, n: usize) -> Result<Selection, StrategyError> {
    let picked = dal_core::top_scored(scores.view(), n)?;
    let picked_scores = Some(picked.iter().map(|&i| scores[i]).collect());
    Ok(Selection { picked, picked_scores, scores: Some(scores) })
}

/// An error where a score is NaN or infinite.
pub(crate) fn check_scores<'a>(scores: impl IntoIterator<Item = &'a f64>) -> Result<(), StrategyError> {
    match scores.into_iter().enumerate().find(|(_, s)| !s.is_finite()) {
        Some((row, &value)) => Err(StrategyError::NonFiniteScore { row, value }),
        None => Ok(()),
    }
}

/// Says so where a disagreement does not tell the pool's points apart, as that of a single member.
pub(crate) fn note_if_constant(step: &Step<'_>, disagreement: &Array1<f64>) {
    if disagreement.len() > 1 && disagreement.iter().all(|&value| value == disagreement[0]) {
        step.note("the disagreement is constant over the pool, so the choice follows the pool's order alone");
    }
}

/// A geometric refusal in the words of a strategy.
pub(crate) fn geometry(error: GeomError) -> StrategyError {
    StrategyError::Geometry { message: error.to_string() }
}
