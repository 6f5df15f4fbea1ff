//! `learning-loss`: a head on the network that learns to rank losses.

use dal_core::{LossHeadSpec, Needs, Proposal, SeedPath, Step, StrategyError};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use super::power::Pointwise;
use crate::build::build;
use crate::card::{Card, Invariance, Labels, PickScore, SettingCard, SettingValues};
use crate::rule::{check_scores, pool_strategy};

/// What can be set.
pub(super) const SETTINGS: [SettingCard; 5] = [
    SettingCard {
        key: "n_layers",
        help: "hidden layers that feed the head",
        values: SettingValues::Described("a whole number from 1"),
    },
    SettingCard {
        key: "width",
        help: "units per fed layer",
        values: SettingValues::Described("a whole number from 1"),
    },
    SettingCard {
        key: "weight",
        help: "weight of the ranking loss",
        values: SettingValues::Described("a positive number"),
    },
    SettingCard {
        key: "margin",
        help: "margin of the ranking loss",
        values: SettingValues::Described("a positive number"),
    },
    SettingCard {
        key: "joint_share",
        help: "share of the epochs during which the ranking loss reaches the network",
        values: SettingValues::Described("a number from 0 to 1"),
    },
];

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "learning-loss",
    title: "Learned loss",
    formula: "the n largest predicted losses, mean over the members' heads",
    cost: "O(N) beyond the predictions",
    source: "Yoo, Kweon, CVPR 2019; Ren et al., arXiv 2302.00098",
    pick_score: PickScore::Combined,
    labels: Labels::None,
    invariances: &[Invariance::PoolOrder],
    settings: &SETTINGS,
    build: |card, given| build(card, given, LearningLoss::check),
};

/// The n pool points of the greatest predicted loss, the mean over the members' heads.
///
/// Each of the last `n_layers` hidden layers feeds `width` units with ReLU; these, concatenated, one number. Neighbours
/// in a fresh permutation of the labelled points are compared in every epoch, with a hinge of margin `margin` on the
/// sign of their loss difference, weighted by `weight`; after the share `joint_share` of the epochs the features are
/// detached. The head trains with the evaluated model and so changes it, which the record of a run says. Needs a loss
/// head. Cost O(N) beyond the predictions. Scores have no unit: only their order means something.
///
/// Source: D. Yoo, I. S. Kweon, Learning loss for active learning, CVPR 2019; S. Ren et al., arXiv 2302.00098,
/// supplement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningLoss {
    /// Hidden layers that feed the head, counted from the last.
    pub n_layers: usize,
    /// Units per fed layer.
    pub width: usize,
    /// Weight of the ranking loss beside the regression loss.
    pub weight: f64,
    /// Margin of the ranking loss.
    pub margin: f64,
    /// Share of the epochs during which the ranking loss reaches the network.
    pub joint_share: f64,
}

impl Default for LearningLoss {
    fn default() -> Self {
        let LossHeadSpec { n_layers, width, weight, margin, joint_share } = LossHeadSpec::default();
        Self { n_layers, width, weight, margin, joint_share }
    }
}

impl LearningLoss {
    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        Proposal::top(step.predicted_loss(step.pool())?, n)
    }
}

impl Pointwise for LearningLoss {
    fn requires(&self) -> Needs {
        let Self { n_layers, width, weight, margin, joint_share } = *self;
        Needs { loss_head: Some(LossHeadSpec { n_layers, width, weight, margin, joint_share }), ..Needs::default() }
    }

    /// Predicted losses have no unit and no zero: the least of the pool is theirs.
    fn scores(&self, step: &Step<'_>, _: &SeedPath) -> Result<Array1<f64>, StrategyError> {
        let predicted = step.predicted_loss(step.pool())?;
        check_scores(&predicted)?;
        let least = predicted.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(predicted - least)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, value) in [("n_layers", self.n_layers), ("width", self.width)] {
            if value == 0 {
                return Err((key, "at least 1 is wanted".into()));
            }
            if value > 10_000 {
                return Err((key, format!("{value} is more than the 10000 that are taken")));
            }
        }
        for (key, value) in [("weight", self.weight), ("margin", self.margin)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err((key, "a positive number is wanted".into()));
            }
        }
        if !(0.0..=1.0).contains(&self.joint_share) {
            return Err(("joint_share", "a share of the epochs, from 0 to 1, is wanted".into()));
        }
        Ok(())
    }
}

pool_strategy!(LearningLoss);
