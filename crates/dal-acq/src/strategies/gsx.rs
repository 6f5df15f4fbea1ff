//! `gsx`: greedy sampling in the inputs, a covering of the pool.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use serde::{Deserialize, Serialize};

use crate::build::{build, no_check};
use crate::card::{Card, Invariance, Labels, PickScore};
use crate::greedy::{cover, input_space};
use crate::rule::pool_strategy;

/// Where the coverings come from.
pub(super) const WU: &str = "Wu, Lin, Huang, Information Sciences 474 (2019)";

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "gsx",
    title: "Greedy sampling in the inputs",
    formula: "greedy, max of min over L and picks of |x* - x|",
    cost: "O(N |L| d)",
    source: WU,
    pick_score: PickScore::Distance,
    labels: Labels::Inputs,
    invariances: &[
        Invariance::PoolOrder,
        Invariance::AxisFlips,
        Invariance::Rotations,
        Invariance::InputCovering,
        Invariance::SkipsCopies,
    ],
    settings: &[],
    build: |card, given| build(card, given, no_check::<Gsx>),
};

/// Each pick is the pool point `x*` of the greatest `min_{x ∈ L ∪ Q} |x* − x|`: L the labelled inputs, Q the picks so
/// far.
///
/// Shapes: pool (N, d), labelled (|L|, d). Needs nothing of a model. Cost O(N |L| d) and, beyond the data, about 8 d +
/// 36 bytes a pool point. Scores are distances, in units of the unit box.
///
/// Source: D. Wu, C.-T. Lin, J. Huang, Active learning for regression using greedy sampling, Information Sciences 474
/// (2019); the first pick needs a labelled point here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gsx {}

impl Gsx {
    fn requires(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        Ok(cover(step, vec![input_space(step)?], n)?.into())
    }
}

pool_strategy!(Gsx);
