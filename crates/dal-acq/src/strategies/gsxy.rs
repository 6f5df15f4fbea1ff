//! `gsxy`: greedy sampling in inputs and outputs (iGS).

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use serde::{Deserialize, Serialize};

use super::gsx::WU;
use crate::build::{build, no_check};
use crate::card::{Card, Invariance, Labels, PickScore};
use crate::greedy::{cover, input_space, output_space};
use crate::rule::pool_strategy;

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "gsxy",
    title: "Greedy sampling in inputs and outputs (iGS)",
    formula: "greedy, max of min over pairs of L and picks of |x* - x| |f(x*) - y|",
    cost: "O(N |L| (d + n_outputs))",
    source: WU,
    pick_score: PickScore::Distance,
    labels: Labels::Outputs,
    invariances: &[Invariance::PoolOrder, Invariance::AxisFlips, Invariance::Rotations, Invariance::OutputScale],
    settings: &[],
    build: |card, given| build(card, given, no_check::<Gsxy>),
};

/// Each pick is the pool point `x*` of the greatest `min |x* − x| · |f(x*) − y|` over the pairs (x, y) of L and, for
/// the picks so far, of (x, f(x)).
///
/// The minimum is over pairs, not the product of two minima. Shapes as in `gsx` and `gsy`. Needs predictions. Cost
/// O(N |L| (d + n_outputs)). Products of squared distances are compared, which orders as the products do.
///
/// Source: D. Wu, C.-T. Lin, J. Huang, Information Sciences 474 (2019), there iGS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gsxy {}

impl Gsxy {
    fn requires(&self) -> Needs {
        Needs { mean: true, ..Needs::default() }
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        Ok(cover(step, vec![input_space(step)?, output_space(step)?], n)?.into())
    }
}

pool_strategy!(Gsxy);
