//! `gsy`: greedy sampling in the outputs.

use dal_core::{Needs, SeedPath, Step, StrategyError};
use serde::{Deserialize, Serialize};

use crate::Selection;
use crate::greedy::{cover, output_space};
use crate::rule::pool_strategy;

/// Each pick is the pool point `x*` of the greatest `min |f(x*) − y|` over the labelled answers y and, for the picks so
/// far, their predictions f.
///
/// Shapes: predictions (N, n_outputs), answers (|L|, n_outputs); distances over all outputs, in raw units, so an output of
/// large scale outweighs the others. Needs predictions. Cost O(N |L| n_outputs).
///
/// Source: D. Wu, C.-T. Lin, J. Huang, Information Sciences 474 (2019).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gsy {}

impl Gsy {
    pub(crate) const ID: &'static str = "gsy";

    fn requires(&self) -> Needs {
        Needs { mean: true, ..Needs::default() }
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Selection, StrategyError> {
        cover(vec![output_space(step)?], n)
    }
}

pool_strategy!(Gsy);
