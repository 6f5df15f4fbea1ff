//! The trainings that a rung and the proof consist of.

use dal_core::{SeedPath, TrialSeeds};

use super::Search;
use crate::data::{Fold, Points, tune_stream};
use crate::journal::TrialKey;

/// A training to be done.
pub(super) struct Task<'a> {
    pub(super) key: TrialKey,
    pub(super) epochs: usize,
    pub(super) members: usize,
    pub(super) train: &'a Points,
    pub(super) judged_on: &'a Points,
    pub(super) seeds: SeedPath,
    pub(super) work: f64,
}

impl Search {
    pub(super) fn rung_tasks<'a>(&'a self, rung: usize, candidates: &[usize], folds: &'a [Fold]) -> Vec<Task<'a>> {
        let spec = &self.rungs[rung];
        let stream = tune_stream(&self.problem).purpose("fit");
        let mut tasks = Vec::new();
        for &candidate in candidates {
            for seed in spec.seeds.clone() {
                for (fold, data) in folds.iter().enumerate() {
                    for points in self.points() {
                        let work = self.costs[candidate] * (points * spec.epochs * spec.members) as f64;
                        tasks.push(Task {
                            key: TrialKey { rung, candidate, points, fold, seed },
                            epochs: spec.epochs,
                            members: spec.members,
                            train: &data.train,
                            judged_on: &data.validation,
                            seeds: stream.index(seed).index(fold as u64),
                            work,
                        });
                    }
                }
            }
        }
        tasks
    }

    pub(super) fn proof_tasks<'a>(
        &'a self,
        candidates: &[usize],
        sizes: &[usize],
        sets: &'a [Points],
        test: &'a Points,
    ) -> Vec<Task<'a>> {
        let (epochs, members) = (self.settings.epochs, self.settings.members);
        let variant = self.problem.variant_id();
        let mut tasks = Vec::new();
        for &candidate in candidates {
            for (seed, train) in sets.iter().enumerate() {
                for &points in sizes {
                    tasks.push(Task {
                        key: TrialKey { rung: self.rungs.len(), candidate, points, fold: 0, seed: seed as u64 },
                        epochs,
                        members,
                        train,
                        judged_on: test,
                        seeds: TrialSeeds::new(&variant, seed as u64).fit(0),
                        work: self.costs[candidate] * (points * epochs * members) as f64,
                    });
                }
            }
        }
        tasks
    }
}
