//! `qbc`: query by committee, the points on which the members disagree most.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use super::power::Pointwise;
use crate::build::{build, no_check};
use crate::card::{Card, Invariance, Labels, PickScore};
use crate::rule::{note_if_constant, pool_strategy};

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "qbc",
    title: "Query by committee",
    formula: "the n largest variances over members (divided by M), mean over outputs",
    cost: "O(N)",
    source: "Seung, Opper, Sompolinsky, COLT 1992; Burbidge, Rowland, King, IDEAL 2007",
    pick_score: PickScore::Variance,
    labels: Labels::None,
    invariances: &[Invariance::PoolOrder, Invariance::MemberShift, Invariance::MemberScale],
    settings: &[],
    build: |card, given| build(card, given, no_check::<Qbc>),
};

/// The n pool points of the greatest variance over members, `(1/J) Σ_j (1/M) Σ_m (f_mj(x) − f_j(x))²`.
///
/// Shapes: members (M, N, J). Needs predictive uncertainty. Cost O(N) beyond the predictions. Scores are that variance,
/// in squared units of the outputs.
///
/// Source: H. Seung, M. Opper, H. Sompolinsky, Query by committee, COLT 1992; for regression R. Burbidge, J. Rowland,
/// R. King, IDEAL 2007.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Qbc {}

impl Qbc {
    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        let variance = step.disagreement()?;
        note_if_constant(step, &variance);
        Proposal::top(variance, n)
    }
}

impl Pointwise for Qbc {
    fn requires(&self) -> Needs {
        Needs { uncertainty: true, ..Needs::default() }
    }

    fn scores(&self, step: &Step<'_>, _: &SeedPath) -> Result<Array1<f64>, StrategyError> {
        step.disagreement()
    }
}

pool_strategy!(Qbc);
