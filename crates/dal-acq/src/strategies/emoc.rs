//! `emoc`: expected model output change.

use dal_core::{Needs, ParameterSubset, Proposal, SeedPath, Step, StrategyError};
use ndarray::{Array1, Axis};
use serde::{Deserialize, Serialize};

use super::power::Pointwise;
use crate::build::build;
use crate::card::{Card, Invariance, Labels, PickScore, SettingCard, SettingValues};
use crate::rule::pool_strategy;

/// What can be set.
pub(super) const SETTINGS: [SettingCard; 1] = [SettingCard {
    key: "n_parameters",
    help: "parameters in a random subset, all where absent",
    values: SettingValues::Described("a whole number from 1"),
}];

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "emoc",
    title: "Expected model output change",
    formula: "the n largest (1/|L0|) sum over x in L0 and j of |mean over m of grad f_mj(x) . grad l_m(x')|",
    cost: "N |L0| products of gradients a member and output",
    source: "Käding et al., BMVC 2018; Ren et al., arXiv 2302.00098",
    pick_score: PickScore::Combined,
    labels: Labels::Inputs,
    invariances: &[Invariance::PoolOrder],
    settings: &SETTINGS,
    build: |card, given| build(card, given, Emoc::check),
};

/// The n pool points x′ of the greatest `(1/|L0|) Σ_{x ∈ L0} Σ_j |(1/M) Σ_m ∇f_mj(x) · ∇ℓ_m(x′)|`: how far a gradient
/// step on x′ would move the predictions at the initial labelled points.
///
/// `ℓ_m(x′) = mean_j (f_mj(x′) − ȳ_j)²`, ȳ the pool mean of f; gradients by every trainable parameter, BatchNorm's
/// included and its statistics held constant. Needs predictions and parameter gradients. Cost: N · |L0| products of
/// gradients for each member and output; the model decides how.
///
/// Source: C. Käding et al., Active learning for regression tasks with expected model output changes, BMVC 2018; S. Ren
/// et al., arXiv 2302.00098, supplement (which keeps 50 000 parameters: `n_parameters = 50000`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Emoc {
    /// A uniform random subset of so many parameters, one per step and member; all of them where absent.
    pub n_parameters: Option<usize>,
}

impl Emoc {
    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        Proposal::top(self.scores(step, seeds)?, n)
    }
}

impl Pointwise for Emoc {
    fn requires(&self) -> Needs {
        Needs { mean: true, tangent: true, ..Needs::default() }
    }

    /// The change at every pool point, shape (n_pool,).
    fn scores(&self, step: &Step<'_>, seeds: &SeedPath) -> Result<Array1<f64>, StrategyError> {
        let mean = step.mean()?;
        let target = mean.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(mean.ncols()));
        let anchors = step.labelled().initial_x();
        let seeds = seeds.purpose("parameters");
        let subset = self.n_parameters.map(|n_parameters| ParameterSubset { n_parameters, seeds });
        let mut scores = Array1::zeros(step.pool().nrows());
        let n_anchors = anchors.nrows() as f64;
        step.loss_gradient_products(anchors, step.pool(), target.view(), subset.as_ref(), &mut |first, products| {
            for (i, products) in products.outer_iter().enumerate() {
                scores[first + i] = products.iter().map(|p| p.abs()).sum::<f64>() / n_anchors;
            }
        })?;
        Ok(scores)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.n_parameters == Some(0) {
            return Err(("n_parameters", "at least 1 parameter is wanted".into()));
        }
        Ok(())
    }
}

pool_strategy!(Emoc);
