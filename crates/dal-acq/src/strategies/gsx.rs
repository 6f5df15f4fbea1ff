//! `gsx`: greedy sampling in the inputs, a covering of the pool.

use dal_core::{Needs, SeedPath, Step, StrategyError};
use serde::{Deserialize, Serialize};

use crate::Selection;
use crate::greedy::{cover, input_space};
use crate::rule::pool_strategy;

/// Each pick is the pool point `x*` of the greatest `min_{x ∈ L ∪ Q} |x* − x|`: L the labelled inputs, Q the picks so far.
///
/// Shapes: pool (N, d), labelled (|L|, d). Needs nothing of a model. Cost O(N |L| d) and, beyond the data, about 8 d + 36
/// bytes a pool point. Scores are distances, in units of the unit box.
///
/// Source: D. Wu, C.-T. Lin, J. Huang, Active learning for regression using greedy sampling, Information Sciences 474
/// (2019); the first pick needs a labelled point here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gsx {}

impl Gsx {
    pub(crate) const ID: &'static str = "gsx";

    fn requires(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Selection, StrategyError> {
        cover(vec![input_space(step)?], n)
    }
}

pool_strategy!(Gsx);
