//! `gsy`: greedy sampling in the outputs.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use serde::{Deserialize, Serialize};

use super::gsx::WU;
use crate::build::{build, no_check};
use crate::card::{Card, Invariance, Labels, PickScore};
use crate::greedy::{cover, output_space};
use crate::rule::pool_strategy;

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "gsy",
    title: "Greedy sampling in the outputs",
    formula: "greedy, max of min over L and picks of |f(x*) - y|",
    cost: "O(N |L| n_outputs)",
    source: WU,
    pick_score: PickScore::Distance,
    labels: Labels::Outputs,
    invariances: &[Invariance::PoolOrder, Invariance::OutputScale, Invariance::OutputCovering],
    settings: &[],
    build: |card, given| build(card, given, no_check::<Gsy>),
};

/// Each pick is the pool point `x*` of the greatest `min |f(x*) − y|` over the labelled answers y and, for the picks so
/// far, their predictions f.
///
/// Shapes: predictions (N, n_outputs), answers (|L|, n_outputs); distances over all outputs, in raw units, so an output
/// of large scale outweighs the others. Needs predictions. Cost O(N |L| n_outputs).
///
/// Source: D. Wu, C.-T. Lin, J. Huang, Information Sciences 474 (2019).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gsy {}

impl Gsy {
    fn requires(&self) -> Needs {
        Needs { mean: true, ..Needs::default() }
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        Ok(cover(step, vec![output_space(step)?], n)?.into())
    }
}

pool_strategy!(Gsy);
