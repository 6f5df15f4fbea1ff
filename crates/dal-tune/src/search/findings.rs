//! What the trainings amount to: a candidate's score in a rung, the proof, and the choice in words.

use std::collections::BTreeMap;

use dal_core::model::widths;

use super::Search;
use crate::chosen::Admission;
use crate::journal::{TrialKey, TrialResult};
use crate::judge::{ProofRow, Score, Verdict, floored_ln};
use crate::tuning::{Proof, Tried};

impl Search {
    /// A candidate after a rung.
    pub(super) fn judged(&self, rung: usize, candidate: usize, trials: &BTreeMap<TrialKey, TrialResult>) -> Tried {
        let mut replicates = Vec::new();
        let mut failure = None;
        for seed in self.rungs[rung].seeds.clone() {
            for fold in 0..self.layout.division.n_folds() {
                let points = self.points();
                let mut log_mse = 0.0;
                for &points in &points {
                    match trials.get(&TrialKey { rung, candidate, points, fold, seed }) {
                        Some(TrialResult::Mse(mse)) => log_mse += floored_ln(*mse),
                        Some(TrialResult::Failed(why)) => failure = failure.or_else(|| Some(why.clone())),
                        None => failure = failure.or_else(|| Some("it was not trained".into())),
                    }
                }
                replicates.push(log_mse / points.len() as f64);
            }
        }
        Tried {
            candidate,
            network: self.candidates[candidate].clone(),
            parameters: self.parameters[candidate],
            rung,
            score: failure.is_none().then(|| Score::of(&replicates)),
            failure,
        }
    }

    pub(super) fn proved(&self, chosen: usize, sizes: &[usize], trials: &BTreeMap<TrialKey, TrialResult>) -> Proof {
        let errors = |candidate: usize, points: usize| -> Vec<Option<f64>> {
            let of = |seed| match trials.get(&TrialKey { rung: self.rungs.len(), candidate, points, fold: 0, seed }) {
                Some(TrialResult::Mse(mse)) => Some(*mse),
                _ => None,
            };
            (0..self.settings.proof_seeds as u64).map(of).collect()
        };
        let rows: Vec<ProofRow> =
            sizes.iter().map(|&points| ProofRow::of(points, errors(0, points), errors(chosen, points))).collect();
        let verdict = Verdict::of(&rows, chosen == 0);
        Proof { rows, verdict }
    }

    /// The choice beside the reference network on the validation labels of the finals: what decides between the two.
    pub(super) fn validated(&self, chosen: usize, trials: &BTreeMap<TrialKey, TrialResult>) -> Proof {
        let rung = self.rungs.len() - 1;
        let errors = |candidate: usize, points: usize| -> Vec<Option<f64>> {
            let seeds = self.rungs[rung].seeds.clone();
            let places = seeds.flat_map(|seed| (0..self.layout.division.n_folds()).map(move |fold| (fold, seed)));
            let of = |(fold, seed)| match trials.get(&TrialKey { rung, candidate, points, fold, seed }) {
                Some(TrialResult::Mse(mse)) => Some(*mse),
                _ => None,
            };
            places.map(of).collect()
        };
        let row = |&points: &usize| ProofRow::of(points, errors(0, points), errors(chosen, points));
        let rows: Vec<ProofRow> = self.points().iter().map(row).collect();
        let verdict = Verdict::of(&rows, chosen == 0);
        Proof { rows, verdict }
    }

    pub(super) fn explanation(
        &self,
        choice: &crate::judge::Choice,
        tried: &BTreeMap<usize, Tried>,
        finalists: usize,
        admissions: &[Admission],
    ) -> String {
        let mse = |c: usize| tried[&c].score.as_ref().map_or("failed".into(), |score| format!("{:.3e}", score.mse()));
        let name = |c: usize| {
            let network = &self.candidates[c];
            format!("{network} ({} parameters)", self.parameters[c])
        };
        let finals = &self.rungs[self.rungs.len() - 1];
        let seeds = finals.seeds.end - finals.seeds.start;
        let mut text = format!(
            "Of {} networks {finalists} reached the finals ({} epochs, {} members, {seeds} seeds).",
            self.candidates.len(),
            finals.epochs,
            finals.members,
        );
        for refused in admissions.iter().filter(|admission| !admission.admitted) {
            text += &format!(
                " Not admitted is {} with {}: on training sets that methods chose with it, {refused}.",
                name(refused.candidate),
                mse(refused.candidate)
            );
        }
        let others = if admissions.len() > 1 { "of the others" } else { "there" };
        text += &format!(" The lowest validation MSE {others} is {}, by {}", mse(choice.best), name(choice.best));
        let error = tried[&choice.best].score.as_ref().map_or(0.0, |score| score.standard_error);
        if choice.within.len() == 1 {
            text += &format!(
                "; no other finalist is within one standard error (a factor of {:.3}), so it is chosen.",
                error.exp()
            );
        } else if choice.chosen == choice.best {
            text += &format!(
                "; of the {} finalists within one standard error (a factor of {:.3}) none is smaller, so it is chosen.",
                choice.within.len(),
                error.exp()
            );
        } else {
            text += &format!(
                "; of the {} finalists within one standard error (a factor of {:.3}) the smallest is {} with {}: it is chosen.",
                choice.within.len(),
                error.exp(),
                name(choice.chosen),
                mse(choice.chosen)
            );
        }
        if let Some(admitted) = admissions.iter().find(|admission| admission.admitted) {
            text += &format!(" On training sets that methods chose with it, {admitted}.");
        }
        if choice.chosen == 0 {
            text += " It is the reference network.";
        } else if let Some(reference) = tried.get(&0) {
            let how = match (&reference.score, reference.rung + 1 == self.rungs.len()) {
                (None, _) => format!("could not be trained ({})", reference.failure.as_deref().unwrap_or("no reason")),
                (Some(_), true) => format!("has {}", mse(0)),
                (Some(_), false) => "did not reach the finals".into(),
            };
            text += &format!(" The reference network, {}, {how}.", widths(&self.candidates[0].0.hidden));
        }
        if self.n_left_out > 0 {
            let space = self.candidates.len() + self.n_left_out;
            text += &format!(" The budget left {} of the space's {space} networks untried.", self.n_left_out);
        }
        text
    }
}
