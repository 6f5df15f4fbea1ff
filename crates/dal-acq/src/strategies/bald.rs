//! `bald`: the variance over the stochastic passes of a dropout network.

use dal_core::{DropoutSpec, Needs, Proposal, SeedPath, Step, StrategyError, WidthFactor};
use ndarray::{Array1, Axis};
use serde::{Deserialize, Serialize};

use super::power::Pointwise;
use crate::build::build;
use crate::card::{Card, Labels, PickScore, SettingCard, SettingValues};
use crate::rule::pool_strategy;

/// What can be set.
pub(super) const SETTINGS: [SettingCard; 6] = [
    SettingCard {
        key: "rate",
        help: "probability that a unit is dropped",
        values: SettingValues::Described("between 0 and 1"),
    },
    SettingCard {
        key: "n_passes",
        help: "stochastic passes",
        values: SettingValues::Described("a whole number from 2"),
    },
    SettingCard {
        key: "width_factor",
        help: "width of the dropout network beside a member's",
        values: SettingValues::Described("sqrt-members, members or a positive number"),
    },
    SettingCard {
        key: "epochs",
        help: "epochs of the dropout network, if not those of the evaluated model",
        values: SettingValues::Described("a whole number from 1"),
    },
    SettingCard {
        key: "learning_rate",
        help: "Adam's rate of the dropout network, if not that of the evaluated model",
        values: SettingValues::Described("a positive number"),
    },
    SettingCard {
        key: "batch_norm",
        help: "whether the dropout network keeps the evaluated model's BatchNorm",
        values: SettingValues::Described("true or false"),
    },
];

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "bald",
    title: "Variance of a dropout network",
    formula: "the n largest variances over stochastic passes of a separate dropout network, mean over outputs",
    cost: "O(N) beyond the passes",
    source: "Gal, Ghahramani, ICML 2016; Ren et al., arXiv 2302.00098",
    pick_score: PickScore::Variance,
    labels: Labels::None,
    // Masks belong to rows of the pool, so its order matters.
    invariances: &[],
    settings: &SETTINGS,
    build: |card, given| build(card, given, Bald::check),
};

/// How wide the dropout network is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Width {
    /// By the number of members of the ensemble.
    Named(NamedWidth),
    /// The evaluated model's widths times this number, rounded down.
    Factor(f64),
}

/// A width by the number M of members of the ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedWidth {
    /// Widths × √M: about as many weights as the ensemble.
    SqrtMembers,
    /// Widths × M: as many neurons as the ensemble.
    Members,
}

/// The n pool points of the greatest variance over dropout passes, averaged over outputs as in `qbc`.
///
/// The dropout network is trained beside the evaluated model and never changes it: no BatchNorm by default,
/// inverted dropout at `rate` after every hidden layer, masks independent per point and pass, `n_passes` passes. Needs
/// a dropout network. Cost O(N) beyond the passes.
///
/// Source: Y. Gal, Z. Ghahramani, Dropout as a Bayesian approximation, ICML 2016; S. Ren et al., arXiv 2302.00098,
/// supplement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bald {
    /// Probability that a unit is dropped, in (0, 1).
    pub rate: f64,
    /// Stochastic passes, at least 2.
    pub n_passes: usize,
    /// Width of the network beside a member's.
    pub width_factor: Width,
    /// Epochs of the network, if not those of the evaluated model.
    pub epochs: Option<usize>,
    /// Adam's rate of the network, if not that of the evaluated model.
    pub learning_rate: Option<f64>,
    /// Whether the network keeps the evaluated model's BatchNorm, if that has one.
    pub batch_norm: bool,
}

impl Default for Bald {
    fn default() -> Self {
        let spec = DropoutSpec::default();
        let width_factor = match spec.width_factor {
            WidthFactor::SqrtMembers => Width::Named(NamedWidth::SqrtMembers),
            WidthFactor::Members => Width::Named(NamedWidth::Members),
            WidthFactor::Factor(factor) => Width::Factor(factor),
        };
        Self {
            rate: spec.rate,
            n_passes: spec.n_passes,
            width_factor,
            epochs: spec.epochs,
            learning_rate: spec.learning_rate,
            batch_norm: spec.batch_norm,
        }
    }
}

impl Bald {
    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        Proposal::top(self.scores(step, seeds)?, n)
    }
}

impl Pointwise for Bald {
    fn requires(&self) -> Needs {
        let width_factor = match self.width_factor {
            Width::Named(NamedWidth::SqrtMembers) => WidthFactor::SqrtMembers,
            Width::Named(NamedWidth::Members) => WidthFactor::Members,
            Width::Factor(factor) => WidthFactor::Factor(factor),
        };
        let spec = DropoutSpec {
            rate: self.rate,
            n_passes: self.n_passes,
            width_factor,
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            batch_norm: self.batch_norm,
        };
        Needs { dropout: Some(spec), ..Needs::default() }
    }

    /// The variance over passes at every pool point, mean over outputs, shape (n_pool,).
    fn scores(&self, step: &Step<'_>, seeds: &SeedPath) -> Result<Array1<f64>, StrategyError> {
        let variance = step.dropout_moments(step.pool(), &seeds.purpose("dropout"))?.variance;
        let n_outputs = variance.ncols() as f64;
        Ok(variance.sum_axis(Axis(1)) / n_outputs)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if !(self.rate > 0.0 && self.rate < 1.0) {
            return Err(("rate", "a probability between 0 and 1, both excluded, is wanted".into()));
        }
        // Masks resolve it to 1/65536.
        if !(0.5 / 65_536.0..1.0 - 0.5 / 65_536.0).contains(&self.rate) {
            return Err(("rate", format!("{} drops nothing or everything: masks resolve it to 1/65536", self.rate)));
        }
        if self.n_passes < 2 {
            return Err(("n_passes", "a variance needs at least 2 passes".into()));
        }
        if self.n_passes > 1_000_000 {
            return Err(("n_passes", "at most 1000000 passes are taken".into()));
        }
        if self.epochs == Some(0) {
            return Err(("epochs", "a network that learns needs at least 1 epoch".into()));
        }
        if self.learning_rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(("learning_rate", "a positive number is wanted".into()));
        }
        match self.width_factor {
            Width::Factor(factor) if !(factor > 0.0 && factor <= 1000.0) => {
                Err(("width_factor", "a number above 0 and at most 1000, `sqrt-members` or `members` is wanted".into()))
            }
            _ => Ok(()),
        }
    }
}

pool_strategy!(Bald);
