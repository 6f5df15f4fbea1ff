//! What did not learn among trained models: whole runs, and members of ensembles, with where it happened.

use dal_eval::MemberCounts;
use dal_store::{EntryRecord, MemberRecord};

/// What did not learn. Nothing is left out of results for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learning {
    /// Runs whose last model is recorded together with whether it has learned.
    pub known: usize,
    /// Of these, the directories of those whose last model has not: its test error is not below the variance of the
    /// test labels.
    pub not_learned: Vec<String>,
    /// Members of the evaluated models.
    pub members: MemberCounts,
    /// Entries with members that collapsed, ended in a spike or were trained anew.
    pub places: Vec<MemberPlace>,
}

/// Members that did not learn, or not at once, at one entry of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPlace {
    /// Name of the run's directory.
    pub directory: String,
    /// The entry.
    pub entry: usize,
    /// Its members.
    pub members: MemberCounts,
}

/// How many members have collapsed, how many are unsettled, and how often one was trained anew.
pub fn member_counts(members: &[MemberRecord]) -> MemberCounts {
    MemberCounts::of_ratios(members.iter().map(|m| (m.final_over_variance, m.final_over_best, m.restarts)))
}

impl Learning {
    /// Takes an entry of a run in.
    pub fn add(&mut self, directory: &str, record: &EntryRecord) {
        // The last entry of a run chooses nothing.
        if let (None, Some(learned)) = (&record.choice, record.learned) {
            self.known += 1;
            self.not_learned.extend((!learned).then(|| directory.to_owned()));
        }
        let members = member_counts(&record.members);
        self.members = self.members.plus(members);
        if !members.are_fine() {
            self.places.push(MemberPlace { directory: directory.to_owned(), entry: record.entry, members });
        }
    }

    /// In an order that does not depend on that of completion.
    pub(crate) fn sort(&mut self) {
        self.not_learned.sort();
        self.places.sort_by(|a, b| (&a.directory, a.entry).cmp(&(&b.directory, b.entry)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_store::{Choice, EntryErrors};

    #[test]
    fn runs_count_by_their_last_model_and_members_by_every_one() {
        let errors = EntryErrors { mse: 1.0, mae: 1.0, p95_abs: 1.0, max_abs: 1.0 };
        let member = |share: f64, factor: f64| MemberRecord {
            final_over_variance: Some(share),
            final_over_best: Some(factor),
            restarts: 0,
        };
        let choice = Choice {
            n_pool: 4,
            n_queries: 1,
            diversity: None,
            score_error_correlation: None,
            n_ranked: 0,
            probabilities: Vec::new(),
            notes: Vec::new(),
        };
        let mut first = EntryRecord::new(0, 10, errors);
        (first.learned, first.choice) = (Some(false), Some(choice));
        first.members = vec![member(0.9, 1.0), member(0.1, 20.0), member(0.1, 1.0)];
        let mut last = EntryRecord::new(1, 14, errors);
        (last.learned, last.members) = (Some(true), vec![member(0.1, 1.0); 3]);
        let mut learning = Learning::default();
        for directory in ["b", "a"] {
            learning.add(directory, &first);
            learning.add(directory, &last);
        }
        last.learned = Some(false);
        last.members[1].restarts = 3;
        learning.add("c", &last);
        learning.sort();
        assert_eq!((learning.known, learning.not_learned.as_slice()), (3, &["c".to_owned()][..]));
        assert_eq!(learning.members, MemberCounts { trained: 15, collapsed: 2, unsettled: 2, restarts: 3 });
        let places: Vec<(&str, usize)> = learning.places.iter().map(|p| (p.directory.as_str(), p.entry)).collect();
        assert_eq!(places, [("a", 0), ("b", 0), ("c", 1)], "a member that was trained anew is told of, too");
    }
}
