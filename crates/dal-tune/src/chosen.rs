//! Training sets that query methods choose with a network: what is run of them, how members end there, and which
//! networks that admits.

use std::fmt;

use dal_eval::MemberCounts;
use serde::{Deserialize, Serialize};

/// A network is admitted where at most one member in this many collapses.
pub const PER_COLLAPSED: usize = 500;
/// And where at most one member in this many ends unsettled.
pub const PER_UNSETTLED: usize = 50;

/// Training sets chosen by query methods: campaigns of the benchmark's kind, with the candidate as their model.
///
/// Points of a built-in problem are drawn afresh at every step, `pool_ratio` times `queries` of them. Where labels cost
/// something, or are rows of a table, methods choose among those that the search has anyway, and with fewer than
/// `initial + steps · queries` of them all numbers shrink alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChosenSets {
    /// Campaigns of each method; 0 leaves them out, and every network is admitted.
    pub seeds: usize,
    /// Labels at first.
    pub initial: usize,
    /// Labels per step.
    pub queries: usize,
    /// Steps.
    pub steps: usize,
    /// Pool, in units of `queries`.
    pub pool_ratio: usize,
}

impl ChosenSets {
    /// The benchmark's first ten steps, from 80 labels to 480, at its pool ratio of 32, with two seeds.
    pub const BENCHMARK: Self = Self { seeds: 2, initial: 80, queries: 40, steps: 10, pool_ratio: 32 };

    /// In words: `80 to 480 labels, chosen by gsx, gsxy, qbc, 2 seeds`.
    pub fn sentence(&self) -> String {
        let last = self.initial + self.steps * self.queries;
        let methods = Method::ALL.map(Method::id).join(", ");
        format!("{} to {last} labels, chosen by {methods}, {} seeds", self.initial, self.seeds)
    }

    /// The same for a pool of so many rows.
    pub(crate) fn among(&self, rows: usize) -> Self {
        let wanted = self.initial + self.steps * self.queries;
        if wanted <= rows {
            return self.clone();
        }
        let shrunk = |n: usize| (n * rows / wanted).max(1);
        let (initial, queries) = (shrunk(self.initial), shrunk(self.queries));
        let steps = self.steps.min(rows.saturating_sub(initial) / queries);
        Self { initial, queries, steps, ..self.clone() }
    }

    /// Labels of every model of a campaign, added up.
    pub(crate) fn labels_trained_on(&self) -> usize {
        (0..=self.steps).map(|step| self.initial + step * self.queries).sum()
    }
}

/// A method that chooses training sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Farthest in the inputs.
    Gsx,
    /// Farthest in inputs and predictions.
    Gsxy,
    /// Where members disagree most.
    Qbc,
}

impl Method {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Gsx, Self::Gsxy, Self::Qbc];

    /// Its id in the catalogue of strategies.
    pub fn id(self) -> &'static str {
        match self {
            Self::Gsx => "gsx",
            Self::Gsxy => "gsxy",
            Self::Qbc => "qbc",
        }
    }
}

/// One campaign, by its place in the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignKey {
    /// 0-based candidate.
    pub candidate: usize,
    /// Who chooses.
    pub method: Method,
    /// Repetition.
    pub seed: u64,
}

/// How the members of one of a campaign's models ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEnd {
    /// Labels trained on.
    pub labels: usize,
    /// Members.
    pub members: usize,
    /// Those that predict hardly better than a constant ([`dal_eval::MemberTraining::collapsed`]).
    pub collapsed: usize,
    /// Those that end in a spike of their loss ([`dal_eval::MemberTraining::unsettled`]).
    pub unsettled: usize,
    /// Mean squared error on the validation labels.
    pub mse: f64,
}

/// How a campaign ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignResult {
    /// Its models, in order.
    Models(Vec<ModelEnd>),
    /// A training diverged, or a prediction was no finite number.
    Failed(String),
}

/// A candidate on training sets that were chosen with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Admission {
    /// 0-based candidate.
    pub candidate: usize,
    /// Its members, over all campaigns.
    pub counts: MemberCounts,
    /// Why it failed, if a campaign did.
    pub failure: Option<String>,
    /// Whether it may be chosen.
    pub admitted: bool,
    /// The campaigns.
    pub campaigns: Vec<(CampaignKey, CampaignResult)>,
}

impl Admission {
    /// Judges a candidate by its campaigns: none failed, at most one member in [`PER_COLLAPSED`] collapsed, and at most
    /// one in [`PER_UNSETTLED`] unsettled.
    pub(crate) fn of(candidate: usize, campaigns: Vec<(CampaignKey, CampaignResult)>) -> Self {
        let mut counts = MemberCounts::default();
        let mut failure = None;
        for (_, result) in &campaigns {
            match result {
                CampaignResult::Models(models) => {
                    for &ModelEnd { members: trained, collapsed, unsettled, .. } in models {
                        counts = counts.plus(MemberCounts { trained, collapsed, unsettled, restarts: 0 });
                    }
                }
                CampaignResult::Failed(why) => failure = failure.or_else(|| Some(why.clone())),
            }
        }
        let admitted = failure.is_none() && counts.within(PER_COLLAPSED, PER_UNSETTLED);
        Self { candidate, counts, failure, admitted, campaigns }
    }
}

impl fmt::Display for Admission {
    /// `of 660 members 12 collapsed and 3 ended unsettled`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemberCounts { trained, collapsed, unsettled, .. } = self.counts;
        match &self.failure {
            Some(why) => write!(f, "a training failed ({why})"),
            None => write!(f, "of {trained} members {collapsed} collapsed and {unsettled} ended unsettled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(members: usize, collapsed: usize, unsettled: usize) -> (CampaignKey, CampaignResult) {
        let key = CampaignKey { candidate: 3, method: Method::Qbc, seed: 0 };
        (key, CampaignResult::Models(vec![ModelEnd { labels: 80, members, collapsed, unsettled, mse: 0.1 }]))
    }

    #[test]
    fn one_member_in_500_may_collapse_and_one_in_50_be_unsettled() {
        let admitted = |all: Vec<_>| Admission::of(3, all).admitted;
        assert!(admitted(vec![models(499, 0, 9), models(1, 1, 1)]));
        assert!(!admitted(vec![models(499, 1, 0)]));
        assert!(!admitted(vec![models(1000, 3, 0)]));
        assert!(!admitted(vec![models(500, 0, 11)]));
        let key = CampaignKey { candidate: 3, method: Method::Gsx, seed: 1 };
        let failed = Admission::of(3, vec![models(500, 0, 0), (key, CampaignResult::Failed("it diverged".into()))]);
        assert!(!failed.admitted && failed.to_string().contains("it diverged"));
        let counted = Admission::of(3, vec![models(400, 1, 2), models(100, 1, 0)]);
        assert_eq!(counted.to_string(), "of 500 members 2 collapsed and 2 ended unsettled");
    }

    #[test]
    fn a_short_table_shrinks_all_numbers_alike() {
        let all = ChosenSets::BENCHMARK;
        assert_eq!(all.among(480), all);
        assert_eq!(all.among(240), ChosenSets { initial: 40, queries: 20, ..all.clone() });
        for rows in 1..480 {
            let some = all.among(rows);
            assert!(some.initial + some.steps * some.queries <= rows, "{rows}: {some:?}");
        }
        assert_eq!(ChosenSets { steps: 2, ..all }.labels_trained_on(), 80 + 120 + 160);
    }
}
