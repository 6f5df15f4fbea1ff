//! What the rules of this crate share: how a rule that picks from the pool becomes a strategy, checks and remarks.

use dal_core::{Step, StrategyError};
use dal_geom::GeomError;
use ndarray::Array1;

/// Implements [`Strategy`](dal_core::Strategy) for a settings struct that has `fn requires(&self) -> Needs` and
/// `fn choose(&self, &Step, n_queries, &SeedPath) -> Result<Proposal, StrategyError>`; `choose` is called with
/// `1 <= n_queries <= n_pool` only. `any_pool` after its name: the size of the pool does not matter to it.
macro_rules! pool_strategy {
    ($rule:ty) => {
        pool_strategy!($rule, true, |_| false);
    };
    ($rule:ty, any_pool) => {
        pool_strategy!($rule, false, |_| false);
    };
    ($rule:ty, any_pool, ranges) => {
        pool_strategy!($rule, false, |_| true);
    };
    ($rule:ty, ranges if $uses_ranges:expr) => {
        pool_strategy!($rule, true, $uses_ranges);
    };
    ($rule:ty, $uses_pool:literal, $uses_ranges:expr) => {
        impl dal_core::Strategy for $rule {
            fn uses_pool(&self) -> bool {
                $uses_pool
            }

            fn uses_ranges(&self) -> bool {
                let uses_ranges: fn(&$rule) -> bool = $uses_ranges;
                uses_ranges(self)
            }

            fn needs(&self) -> dal_core::Needs {
                self.requires()
            }

            fn propose(
                &self,
                step: &dal_core::Step<'_>,
                n_queries: usize,
                seeds: &dal_core::SeedPath,
            ) -> Result<dal_core::Proposal, dal_core::StrategyError> {
                step.check_request(n_queries)?;
                if n_queries == 0 {
                    return Ok(dal_core::Proposal::picked(Vec::new()));
                }
                self.choose(step, n_queries, seeds)
            }
        }
    };
}
pub(crate) use pool_strategy;

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
