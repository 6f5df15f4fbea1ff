//! How a search is carried out: its settings and the rungs that follow from them.

use std::ops::Range;

use dal_oracles::Problem;
use serde::Serialize;

use crate::chosen::ChosenSets;
use crate::error::TuneError;

/// How a search is carried out; all of it is part of what the search is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Numbers of labels that networks are judged at; a score is the mean over them.
    pub points: Vec<usize>,
    /// Points that they are judged on, where these are drawn or a table is long enough.
    pub validation: usize,
    /// Epochs of the finals.
    pub epochs: usize,
    /// Ensemble members of the finals.
    pub members: usize,
    /// Seeds of the finals.
    pub seeds: usize,
    /// Work that the search may do, in trainings of the reference network by the finals' measure; campaigns and the
    /// proof come on top.
    pub budget: f64,
    /// Training sets chosen by query methods with a candidate: what decides whether it is admitted.
    pub chosen: ChosenSets,
    /// Points of the test set, or rows of a table (at most a fifth) that are kept for it.
    pub test_points: usize,
    /// Numbers of labels at which the choice is proved on the test set.
    pub proof_points: Vec<usize>,
    /// Seeds of the proof; 0 leaves it out.
    pub proof_seeds: usize,
}

impl Settings {
    /// The paper's 2 000 labels and the benchmark's training for a problem. The choice is proved at 80, 480 and 2 080
    /// labels on five seeds, unless labels are answers of a user's program or model.
    pub fn for_problem(problem: &Problem) -> Self {
        let cheap = problem.card().is_some() || problem.candidates().is_some();
        Self {
            points: vec![2000],
            validation: 2000,
            epochs: problem.model().training.epochs,
            members: problem.model().n_members(),
            seeds: 3,
            budget: 40.0,
            chosen: ChosenSets::BENCHMARK,
            test_points: 4000,
            proof_points: vec![80, 480, 2080],
            proof_seeds: if cheap { 5 } else { 0 },
        }
    }

    pub(crate) fn check(&self) -> Result<(), TuneError> {
        let whole = |key, values: &[usize]| match values {
            [] => Err(TuneError::bad(key, "nothing", "at least one number")),
            values if values.iter().any(|v| !(1..=10_000_000).contains(v)) => {
                Err(TuneError::bad(key, format!("{values:?}"), "whole numbers from 1 to 10000000"))
            }
            _ => Ok(()),
        };
        whole("points", &self.points)?;
        whole("validation", &[self.validation])?;
        whole("epochs", &[self.epochs])?;
        whole("members", &[self.members])?;
        whole("seeds", &[self.seeds])?;
        whole("test_points", &[self.test_points])?;
        if self.chosen.seeds > 0 {
            let ChosenSets { seeds, initial, queries, steps, pool_ratio } = self.chosen;
            whole("campaigns", &[seeds, initial, queries, steps, pool_ratio])?;
        }
        if self.proof_seeds > 0 {
            whole("proof_points", &self.proof_points)?;
        }
        if !(self.budget > 0.0 && self.budget.is_finite()) {
            return Err(TuneError::bad("budget", self.budget.to_string(), "a positive number"));
        }
        Ok(())
    }
}

/// A stage of the search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// Epochs.
    pub epochs: usize,
    /// Ensemble members.
    pub members: usize,
    /// Seeds: the halving rungs share the first, the finals have others of their own.
    pub seeds: Range<u64>,
    /// Share of the budget.
    pub share: f64,
}

pub(crate) fn rungs(settings: &Settings) -> Vec<Rung> {
    let (epochs, members) = (settings.epochs, settings.members);
    let rung = |epochs, members, seeds, share| Rung { epochs, members, seeds, share };
    vec![
        rung(epochs.div_ceil(4), 1, 0..1, 0.2),
        rung(epochs.div_ceil(2), members.min(2), 0..1, 0.2),
        rung(epochs, members.min(3), 0..1, 0.2),
        rung(epochs, members, 1..1 + settings.seeds as u64, 0.4),
    ]
}
