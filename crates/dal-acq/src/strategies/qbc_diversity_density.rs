//! `qbc-diversity-density`: disagreement, distance and density, equally weighted.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use dal_geom::mean_cosine_similarity;
use serde::{Deserialize, Serialize};

use super::qbc_diversity::SCALING;
use super::qbc_diversity::{Scaling, scaled_disagreement};
use crate::build::build;
use crate::card::{Card, Choice, Invariance, Labels, PickScore, SettingCard, SettingValues};
use crate::greedy::{Moving, TermSum};
use crate::rule::{geometry, pool_strategy};

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "qbc-diversity-density",
    title: "Committee variance, distance and density",
    formula: "greedy, (u + g + q)/3: q the mean cosine similarity to the 10 most similar other pool points",
    cost: "O(N |L| d + n N d) and a search of nearest neighbours",
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
    settings: &[
        SettingCard {
            key: "density",
            help: "what the density term measures",
            values: SettingValues::OneOf(&[
                Choice { value: "similarity", meaning: "" },
                Choice { value: "distance", meaning: "one less the similarity" },
            ]),
        },
        SettingCard {
            key: "n_neighbours",
            help: "most similar other pool points that count",
            values: SettingValues::Described("a whole number from 1"),
        },
        SCALING,
    ],
    build: |card, given| build(card, given, QbcDiversityDensity::check),
};

/// A spread of mean cosine similarities up to this is rounding: collinear points differ by a few units in the last
/// place.
const SPREAD_OF_ROUNDING: f64 = 1e-14;

/// What the density term measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CosineDensity {
    /// The mean cosine similarity: dense points score high.
    #[default]
    Similarity,
    /// The mean cosine distance, one less the similarity: sparse points score high.
    Distance,
}

/// Each pick is the remaining pool point of the greatest `(u + g + q) / 3`: u and g as in `qbc-diversity`, q the mean
/// cosine similarity to the `n_neighbours` most similar other pool points, computed once, rescaled to [0, 1] over the
/// remaining pool at every pick.
///
/// The cosine is of the raw unit-box inputs, from the box's centre. The centre itself has no direction; its similarity
/// to every point is 0. On one-dimensional inputs every similarity is ±1 and the term mostly constant: it counts 0, and
/// the step's notes say so. Needs predictive uncertainty. Cost as `qbc-diversity` and one search of nearest neighbours.
///
/// Source: S. Ren et al., arXiv 2302.00098, supplement (similarity); the authors' code for arXiv 2201.12632 (distance).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QbcDiversityDensity {
    /// Similarity or distance.
    pub density: CosineDensity,
    /// How many of the most similar other pool points count (all, where there are fewer).
    pub n_neighbours: usize,
    /// How the three terms are brought to one scale.
    pub scaling: Scaling,
}

impl Default for QbcDiversityDensity {
    fn default() -> Self {
        Self { density: CosineDensity::default(), n_neighbours: 10, scaling: Scaling::default() }
    }
}

impl QbcDiversityDensity {
    fn requires(&self) -> Needs {
        Needs { uncertainty: true, ..Needs::default() }
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.n_neighbours == 0 {
            return Err(("n_neighbours", "at least 1 is wanted".into()));
        }
        Ok(())
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        let fixed = scaled_disagreement(step, self.scaling)?;
        let mut density = mean_cosine_similarity(step.pool(), self.n_neighbours).map_err(geometry)?.to_vec();
        if self.density == CosineDensity::Distance {
            for value in &mut density {
                *value = 1.0 - *value;
            }
        }
        let term = Moving { name: "density", values: &density, tolerance: SPREAD_OF_ROUNDING };
        Ok(TermSum { fixed: &fixed, moving: &[term], divisor: 3.0, rescale: self.scaling.rescale() }
            .pick(step, n)?
            .into())
    }
}

pool_strategy!(QbcDiversityDensity);
