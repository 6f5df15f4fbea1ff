//! `cluster-variance`: disagreement spread over the clusters of the pool.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use dal_geom::{DEFAULT_MATRIX_BUDGET, average_linkage};
use serde::{Deserialize, Serialize};

use crate::build::build;
use crate::card::{Card, Invariance, Labels, PickScore, SettingCard, SettingValues};
use crate::rule::{check_scores, geometry, note_if_constant, pool_strategy};

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "cluster-variance",
    title: "Committee variance spread over clusters",
    formula: "average linkage cut at n/2 clusters, smallest first, in turn the largest variance left in each",
    cost: "O(N^2) time, 2 N (N - 1) bytes",
    source: "after Citovsky et al., NeurIPS 2021",
    pick_score: PickScore::Variance,
    labels: Labels::None,
    // Clusters of equal size go by their lowest index, so the pool's order matters there.
    invariances: &[Invariance::AxisFlips, Invariance::Rotations, Invariance::MemberShift, Invariance::MemberScale],
    settings: &[
        SettingCard {
            key: "n_clusters",
            help: "clusters, half the batch where absent",
            values: SettingValues::Described("a whole number from 1"),
        },
        SettingCard {
            key: "prefilter",
            help: "only this many times the batch, the largest variances, are eligible; all where absent",
            values: SettingValues::Described("a whole number from 1"),
        },
        SettingCard {
            key: "max_matrix_bytes",
            help: "largest distance matrix that is tried",
            values: SettingValues::Described("a whole number of bytes"),
        },
    ],
    build: |card, given| build(card, given, ClusterVariance::check),
};

/// Clusters the pool by average linkage of the inputs and takes from each cluster in turn, smallest first, its
/// remaining point of the greatest variance over members.
///
/// The dendrogram is cut at ⌈n/2⌉ clusters (or `n_clusters`; never more than points). Clusters are ordered by size,
/// ties by their lowest pool index, and visited in rounds; an empty one is passed over. With `prefilter = m` only the
/// m·n points of the greatest variance are eligible: the clusters stay those of the whole pool, their size counts
/// eligible points. Needs predictive uncertainty.
///
/// Cost O(N²) time and `2 N (N − 1)` bytes: a pool whose matrix exceeds `max_matrix_bytes` is refused with the number
/// of points that would fit. Scores are variances.
///
/// Source: after G. Citovsky et al., Batch active learning at scale (Cluster-Margin), NeurIPS 2021, with the variance
/// in the margin's place as in S. Ren et al., arXiv 2302.00098; the number of clusters is this project's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterVariance {
    /// Clusters; ⌈n/2⌉ where absent.
    pub n_clusters: Option<usize>,
    /// Only this many times n points, those of the greatest variance, are eligible; all where absent.
    pub prefilter: Option<usize>,
    /// Largest distance matrix, in bytes.
    pub max_matrix_bytes: usize,
}

impl Default for ClusterVariance {
    fn default() -> Self {
        Self { n_clusters: None, prefilter: None, max_matrix_bytes: DEFAULT_MATRIX_BUDGET }
    }
}

impl ClusterVariance {
    fn requires(&self) -> Needs {
        Needs { uncertainty: true, ..Needs::default() }
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, value) in [("n_clusters", self.n_clusters), ("prefilter", self.prefilter)] {
            if value == Some(0) {
                return Err((key, "at least 1 is wanted".into()));
            }
        }
        Ok(())
    }

    fn choose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        let variance = step.disagreement()?;
        check_scores(&variance)?;
        note_if_constant(step, &variance);
        let n_pool = variance.len();
        let n_clusters = self.n_clusters.unwrap_or(n.div_ceil(2)).min(n_pool);
        let cluster = average_linkage(step.pool(), n_clusters, self.max_matrix_bytes).map_err(geometry)?;
        let n_eligible = self.prefilter.map_or(n_pool, |m| m.saturating_mul(n).min(n_pool));
        // From the greatest variance down, so that each cluster's queue is in the order in which it yields.
        let mut queues = vec![Vec::new(); n_clusters];
        for i in dal_core::top_scored(variance.view(), n_eligible)? {
            queues[cluster[i]].push(i);
        }
        queues.retain(|queue| !queue.is_empty());
        queues.sort_by_key(|queue| (queue.len(), queue.iter().min().copied()));
        let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
        let rounds = (0..longest).flat_map(|round| queues.iter().filter_map(move |queue| queue.get(round)));
        let picked: Vec<usize> = rounds.copied().take(n).collect();
        let picked_scores = Some(picked.iter().map(|&i| variance[i]).collect());
        Ok(Proposal { scores: Some(variance), picked_scores, ..Proposal::picked(picked) })
    }
}

pool_strategy!(ClusterVariance);
