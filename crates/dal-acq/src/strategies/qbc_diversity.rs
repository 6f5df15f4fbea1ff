//! `qbc-diversity`: disagreement and distance, equally weighted.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::build::{build, no_check};
use crate::card::{Card, Choice, Invariance, Labels, PickScore, SettingCard, SettingValues};
use crate::greedy::{Rescale, TermSum, minmax};
use crate::rule::{check_scores, pool_strategy};

/// The setting of every rule that adds terms up.
pub(super) const SCALING: SettingCard = SettingCard {
    key: "scaling",
    help: "how the terms are brought to one scale",
    values: SettingValues::OneOf(&[
        Choice { value: "minmax", meaning: "to [0, 1]" },
        Choice { value: "raw", meaning: "added as they are" },
    ]),
};

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "qbc-diversity",
    title: "Committee variance and distance",
    formula: "greedy, u/2 + g/2: variance rescaled over the pool, distance to L and picks rescaled at every pick",
    cost: "O(N |L| d + n N d)",
    source: "Ren et al., arXiv 2302.00098 and 2201.12632",
    pick_score: PickScore::Combined,
    labels: Labels::Inputs,
    invariances: &[
        Invariance::PoolOrder,
        Invariance::AxisFlips,
        Invariance::Rotations,
        Invariance::MemberShift,
        Invariance::MemberScale,
    ],
    settings: &[SCALING],
    build: |card, given| build(card, given, no_check::<QbcDiversity>),
};

/// How the terms of a sum are brought to one scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// To [0, 1]; the disagreement once over the pool, the other terms over the remaining pool at every pick.
    #[default]
    Minmax,
    /// Added as they are.
    Raw,
}

impl Scaling {
    pub(crate) fn rescale(self) -> Rescale {
        match self {
            Self::Minmax => Rescale::Minmax,
            Self::Raw => Rescale::Raw,
        }
    }
}

/// Each pick is the remaining pool point of the greatest `½ u + ½ g`: u the variance over members as in `qbc`, rescaled
/// to [0, 1] once over the pool, g the distance `min_{L ∪ Q} |x* − x|`, rescaled to [0, 1] over the remaining pool at
/// every pick.
///
/// A term that is constant but for rounding counts 0, and the step's notes say so. With `scaling = "raw"` both terms
/// are added as they are. Needs predictive uncertainty. Cost O(N |L| d) at the start and O(N d) a pick.
///
/// Source: S. Ren et al., arXiv 2302.00098, supplement (raw terms), and the authors' code for arXiv 2201.12632
/// (rescaling).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QbcDiversity {
    /// How the two terms are brought to one scale.
    pub scaling: Scaling,
}

impl QbcDiversity {
    fn requires(&self) -> Needs {
        Needs { uncertainty: true, ..Needs::default() }
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        let fixed = scaled_disagreement(step, self.scaling)?;
        Ok(TermSum { fixed: &fixed, moving: &[], divisor: 2.0, rescale: self.scaling.rescale() }.pick(step, n)?.into())
    }
}

pool_strategy!(QbcDiversity);

/// A spread of variances up to this share of the largest is rounding: members that differ by the same everywhere.
const SPREAD_OF_ROUNDING: f64 = 1e-12;

/// The variance over members, rescaled over the pool where asked.
pub(crate) fn scaled_disagreement(step: &Step<'_>, scaling: Scaling) -> Result<Vec<f64>, StrategyError> {
    let variance: Array1<f64> = step.disagreement()?;
    check_scores(&variance)?;
    let variance = variance.to_vec();
    if scaling == Scaling::Raw {
        return Ok(variance);
    }
    let largest = variance.iter().fold(0.0_f64, |largest, v| largest.max(*v));
    let (scaled, constant) = minmax(&variance, SPREAD_OF_ROUNDING * largest);
    if constant && scaled.len() > 1 {
        step.note("the disagreement term is constant over the pool and counts 0");
    }
    Ok(scaled)
}
