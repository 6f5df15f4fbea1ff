//! `dacs`: density-aware core-set, more picks where the pool is sparse.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use dal_geom::{Neighbours, Search, jenks};
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::build::build;
use crate::card::{Card, Choice, Invariance, Labels, PickScore, SettingCard, SettingValues};
use crate::greedy::{cover, space};
use crate::rule::{check_scores, geometry, pool_strategy};

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "dacs",
    title: "Density-aware core-set",
    formula: "density groups by natural breaks, sparse ones with more of the batch, each covered greedily",
    cost: "a search of nearest neighbours and O(N |L| d)",
    source: "after Kim, Shin, KDD 2022",
    pick_score: PickScore::Distance,
    labels: Labels::Inputs,
    invariances: &[Invariance::PoolOrder, Invariance::AxisFlips, Invariance::Rotations],
    settings: &[
        SettingCard {
            key: "density",
            help: "how dense the pool is around a point",
            values: SettingValues::OneOf(&[
                Choice { value: "mean-squared-distance", meaning: "the mean over the neighbours, negated" },
                Choice { value: "k-over-distance", meaning: "their number over the sum of distances" },
            ]),
        },
        SettingCard {
            key: "n_neighbours",
            help: "nearest other pool points that count",
            values: SettingValues::Described("a whole number from 1"),
        },
        SettingCard {
            key: "n_groups",
            help: "density groups",
            values: SettingValues::Described("a whole number from 1"),
        },
        SettingCard {
            key: "temperature",
            help: "of the softmax over groups",
            values: SettingValues::Described("a positive number"),
        },
    ],
    build: |card, given| build(card, given, Dacs::check),
};

/// How dense the pool is around a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeighbourDensity {
    /// Minus the mean squared distance to the nearest other pool points.
    #[default]
    MeanSquaredDistance,
    /// Their number over the sum of their distances.
    KOverDistance,
}

/// Splits the pool into density groups by natural breaks, gives sparse groups more of the batch, and covers each group
/// greedily.
///
/// 1. u = minus the mean squared distance to the `min(n_neighbours, N − 1)` nearest other pool points.
/// 2. Exact Fisher–Jenks classes of u, `min(n_groups, distinct u)` of them, ties to the lowest break.
/// 3. Group g of N_g points weighs `w_g = softmax((1 − N_g/N) / temperature)`; budgets are n w_g by largest remainder,
///    ties to the sparser group, capped at N_g; the surplus is apportioned in the same way among the groups that have
///    room.
/// 4. Sparsest group first, each pick is its point farthest from L and all picks so far.
///
/// Needs nothing of a model. Cost: one search of nearest neighbours and one covering. Pick scores are distances.
///
/// Source: after Y. Kim, B. Shin, In defense of core-set, KDD 2022; on raw inputs and without hashing as in S. Ren et
/// al., arXiv 2302.00098; the constants are this project's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dacs {
    /// How dense the pool is around a point.
    pub density: NeighbourDensity,
    /// Nearest other pool points that count.
    pub n_neighbours: usize,
    /// Density groups.
    pub n_groups: usize,
    /// Temperature of the softmax over groups.
    pub temperature: f64,
}

impl Default for Dacs {
    fn default() -> Self {
        Self { density: NeighbourDensity::default(), n_neighbours: 10, n_groups: 4, temperature: 0.25 }
    }
}

impl Dacs {
    fn requires(&self) -> Needs {
        Needs::default()
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, value) in [("n_neighbours", self.n_neighbours), ("n_groups", self.n_groups)] {
            if value == 0 {
                return Err((key, "at least 1 is wanted".into()));
            }
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(("temperature", "a positive number is wanted".into()));
        }
        Ok(())
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        let pool = step.pool();
        let density = self.densities(step)?;
        let group = jenks(&density, self.n_groups).map_err(geometry)?;
        let n_groups = group.iter().max().map_or(0, |g| g + 1);
        let mut rows = vec![Vec::new(); n_groups];
        for (i, &g) in group.iter().enumerate() {
            rows[g].push(i);
        }
        let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
        let mut picked = Vec::with_capacity(n);
        let mut picked_scores = Vec::with_capacity(n);
        for (rows, budget) in rows.iter().zip(budgets(n, &sizes, self.temperature)) {
            if budget == 0 {
                continue;
            }
            let centres = concatenate![Axis(0), step.labelled().x(), pool.select(Axis(0), &picked)];
            let chosen = cover(step, vec![space(pool.select(Axis(0), rows).view(), centres.view())?], budget)?;
            picked.extend(chosen.picked.iter().map(|&i| rows[i]));
            picked_scores.extend(chosen.picked_scores);
        }
        Ok(Proposal { picked_scores: Some(picked_scores.into()), ..Proposal::picked(picked) })
    }

    /// The density at every pool point, low where it is sparse.
    fn densities(&self, step: &Step<'_>) -> Result<Vec<f64>, StrategyError> {
        let near = Neighbours::new("pool", step.pool(), Search::Auto).map_err(geometry)?.to_others(self.n_neighbours);
        let k = near.ncols() as f64;
        let density: Vec<f64> = near
            .outer_iter()
            .map(|squared| match self.density {
                // A pool of one point has one group, whatever its density.
                _ if squared.is_empty() => 0.0,
                NeighbourDensity::MeanSquaredDistance => -(squared.sum() / k),
                NeighbourDensity::KOverDistance => k / squared.iter().map(|s| s.sqrt()).sum::<f64>(),
            })
            .collect();
        check_scores(&density)?;
        Ok(alike(density))
    }
}

/// Values that differ by no more than this share of the largest are equal but for rounding, as those of points that lie
/// evenly: no group begins between them.
const SPREAD_OF_ROUNDING: f64 = 1e-12;

/// The values, those that are equal but for rounding being made equal.
fn alike(mut values: Vec<f64>) -> Vec<f64> {
    let tolerance = SPREAD_OF_ROUNDING * values.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut first = f64::NEG_INFINITY;
    for i in order {
        if values[i] - first <= tolerance {
            values[i] = first;
        } else {
            first = values[i];
        }
    }
    values
}

pool_strategy!(Dacs);

/// How many points each group gives, sparsest group first; their sum is `n`, at most the sum of the sizes.
fn budgets(n: usize, sizes: &[usize], temperature: f64) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let sparsity = |g: usize| (1.0 - sizes[g] as f64 / total as f64) / temperature;
    let mut budget = vec![0; sizes.len()];
    let mut left = n.min(total);
    while left > 0 {
        let open: Vec<usize> = (0..sizes.len()).filter(|&g| budget[g] < sizes[g]).collect();
        // Only ratios of weights matter; relative to the greatest none overflows and their sum is at least 1.
        let greatest = open.iter().map(|&g| sparsity(g)).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = open.iter().map(|&g| (sparsity(g) - greatest).exp()).collect();
        for (&g, share) in open.iter().zip(apportion(left, &weights)) {
            let taken = share.min(sizes[g] - budget[g]);
            budget[g] += taken;
            left -= taken;
        }
    }
    budget
}

/// Whole shares of `amount` in proportion to the weights, by largest remainder; equal remainders go to the earlier one.
fn apportion(amount: usize, weights: &[f64]) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let quotas: Vec<f64> = weights.iter().map(|w| amount as f64 * w / total).collect();
    let mut shares: Vec<usize> = quotas.iter().map(|q| q.floor() as usize).collect();
    let mut order: Vec<usize> = (0..quotas.len()).collect();
    order.sort_by(|&a, &b| (quotas[b] - quotas[b].floor()).total_cmp(&(quotas[a] - quotas[a].floor())));
    let given: usize = shares.iter().sum();
    for &g in order.iter().take(amount.saturating_sub(given)) {
        shares[g] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_and_ties_go_to_the_sparser() {
        assert_eq!(apportion(3, &[1.0, 1.0]), [2, 1]);
        assert_eq!(apportion(10, &[1.0, 2.0, 3.0, 4.0]), [1, 2, 3, 4]);
        assert_eq!(apportion(1, &[0.3, 0.7]), [0, 1]);
    }

    #[test]
    fn surplus_over_a_cap_goes_to_the_others() {
        // Weights e^3.8, e^3.6, e^3.2, e^1.4 of group shares .05, .1, .2, .65: about 17.0, 13.9, 9.3, 1.5 of 40 + caps.
        let sizes = [5, 10, 20, 65];
        let budget = budgets(40, &sizes, 0.25);
        assert_eq!(budget.iter().sum::<usize>(), 40);
        assert_eq!((budget[0], budget[1]), (5, 10));
        assert_eq!(budgets(100, &sizes, 0.25), sizes);
        assert_eq!(budgets(1, &[3], 0.25), [1]);
        assert_eq!(budgets(2, &[2, 2], 1e-6), [1, 1]);
        assert_eq!(budgets(3, &[1, 3], 1e-6), [1, 2]);
    }
}
