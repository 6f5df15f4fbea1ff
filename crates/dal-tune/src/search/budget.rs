//! What a search costs in units of work, and how many candidates its budget takes from rung to rung.

use dal_core::{Clock, calibrate};

use super::Search;
use crate::chosen::{ChosenSets, Method};
use crate::data::Division;
use crate::error::TuneError;
use crate::settings::Rung;

/// Share of a rung's candidates that go on to the next, as a divisor.
const HALVING: usize = 3;
/// The most networks in the finals, the default one not counted.
const FINALISTS: usize = 6;

/// What a search is about to do, in units of work; for estimates.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// Networks in the first rung.
    pub networks: usize,
    /// Networks of the space.
    pub space: usize,
    /// Expected work of the search.
    pub search: f64,
    /// Work of one network's campaigns; every network that is refused costs as much again.
    pub admission: f64,
    /// Expected work of the proof.
    pub proof: f64,
    /// One training of the reference network by the finals' measure.
    pub unit: f64,
    /// How the labels come about.
    pub division: Division,
    /// Trainings of the search: exact in the first rung, expected in the later ones.
    pub trainings: usize,
    /// Trainings of one network's campaigns.
    pub admission_trainings: usize,
    /// Trainings of the proof.
    pub proof_trainings: usize,
    /// Answers of a user's program or model that it needs in all, those kept from before included; none where labels
    /// cost nothing.
    pub labels: usize,
}

impl Search {
    /// What it is about to do.
    pub fn outlook(&self) -> Outlook {
        let n = self.candidates.len();
        let first: f64 = (0..n).map(|c| self.work(0, c)).sum();
        Outlook {
            networks: n,
            space: n + self.n_left_out,
            search: first + self.later_work(1, n),
            admission: self.admission_work(0),
            proof: self.proof_work(0),
            unit: self.unit(),
            division: self.layout.division.clone(),
            trainings: self.expected_trainings(),
            admission_trainings: self.admission_trainings(),
            proof_trainings: 2 * self.proof_sizes().len() * self.settings.proof_seeds,
            labels: self.labels_needed(),
        }
    }

    fn expected_trainings(&self) -> usize {
        let mut n = self.candidates.len();
        let each = self.points().len() * self.layout.division.n_folds();
        let of_rung = |(r, rung): (usize, &Rung)| {
            if r > 0 {
                n = self.expected_networks(r, n);
            }
            n * each * (rung.seeds.end - rung.seeds.start) as usize
        };
        self.rungs.iter().enumerate().map(of_rung).sum()
    }

    /// Networks of a rung after one of `n`, if they are of average cost: as many as go on, and as its share of the
    /// budget holds.
    fn expected_networks(&self, rung: usize, n: usize) -> usize {
        let average = self.costs[..self.candidates.len()].iter().sum::<f64>() / self.candidates.len() as f64;
        let each = self.work(rung, 0) * average / self.costs[0];
        let held = (self.rungs[rung].share * self.settings.budget * self.unit() / each) as usize;
        self.limit(rung, n).min(held.max(2)).min(n)
    }

    fn labels_needed(&self) -> usize {
        if self.problem.card().is_some() || self.problem.candidates().is_some() {
            return 0;
        }
        let Division::Drawn { train, validation } = self.layout.division else { return 0 };
        let seeds = self.settings.proof_seeds;
        let proof = match seeds {
            0 => 0,
            _ => self.settings.test_points + seeds * self.proof_sizes().last().copied().unwrap_or(0),
        };
        train + validation + proof
    }

    /// Times the reference network on random data of the largest size and returns the seconds that a unit of
    /// [work](Outlook::search) takes here on one thread.
    ///
    /// # Errors
    /// A network that cannot be trained.
    pub fn seconds_per_work(&self, clock: &Clock) -> Result<f64, TuneError> {
        let n = self.points().last().copied().unwrap_or(1);
        let model = self.candidates[0].trained(self.settings.epochs, self.settings.members);
        let trainings = self.settings.seeds * self.points().len() * self.layout.division.n_folds();
        let together = self.engine.trials_together(&model, self.shape).min(trainings);
        let rate = calibrate(&*self.engine, &model, self.shape, [n, n], together, clock)?;
        Ok(rate.seconds(n as f64) / (self.costs[0] * n as f64))
    }

    /// Points trained on in one pass over the sizes and folds.
    fn n_points(&self) -> f64 {
        (self.points().iter().sum::<usize>() * self.layout.division.n_folds()) as f64
    }

    /// Work of one training of the reference network by the finals' measure.
    pub(super) fn unit(&self) -> f64 {
        self.costs[0] * self.n_points() * (self.settings.epochs * self.settings.members) as f64
    }

    /// Work of a candidate in a rung.
    pub(super) fn work(&self, rung: usize, candidate: usize) -> f64 {
        let rung = &self.rungs[rung];
        let seeds = (rung.seeds.end - rung.seeds.start) as f64;
        self.costs[candidate] * self.n_points() * (rung.epochs * rung.members) as f64 * seeds
    }

    /// Expected work from a rung on, if the one before it has `n` candidates of average cost.
    pub(super) fn later_work(&self, from: usize, n: usize) -> f64 {
        let mut n = n;
        let average = self.costs[..self.candidates.len()].iter().sum::<f64>() / self.candidates.len() as f64;
        (from..self.rungs.len())
            .map(|r| {
                n = self.limit(r, n);
                let each = self.work(r, 0) * average / self.costs[0];
                (n as f64 * each)
                    .min(self.rungs[r].share * self.settings.budget * self.unit())
                    .max(2.0 * self.work(r, 0))
            })
            .sum()
    }

    /// What a network's campaigns are, as far as that is known before any label is.
    fn planned_sets(&self) -> ChosenSets {
        match self.is_built_in() {
            true => self.settings.chosen.clone(),
            false => self.settings.chosen.among(self.layout.division.n_train()),
        }
    }

    fn admission_trainings(&self) -> usize {
        let sets = self.planned_sets();
        (sets.steps + 1) * sets.seeds * Method::ALL.len()
    }

    /// Work of a candidate's campaigns.
    pub(super) fn admission_work(&self, candidate: usize) -> f64 {
        let sets = self.planned_sets();
        let campaigns = (sets.seeds * Method::ALL.len()) as f64;
        campaigns * self.campaign_work(candidate, sets.labels_trained_on())
    }

    pub(super) fn proof_work(&self, chosen: usize) -> f64 {
        let points = self.proof_sizes().iter().sum::<usize>() * self.settings.proof_seeds;
        let both = self.costs[0] + self.costs[chosen];
        both * (points * self.settings.epochs * self.settings.members) as f64
    }

    /// The most candidates of a rung after one of `n`.
    fn limit(&self, rung: usize, n: usize) -> usize {
        let third = n.div_ceil(HALVING).max(2);
        if rung + 1 == self.rungs.len() { third.min(FINALISTS) } else { third }
    }

    /// Who goes on to a rung: the best of the one before, as many as its share of the budget holds and at least two;
    /// and the reference network, if it can be trained at all, so that the choice is always compared with it.
    pub(super) fn carried(&self, rung: usize, ranked: &[usize], n: usize) -> Vec<usize> {
        let share = self.rungs[rung].share * self.settings.budget * self.unit();
        let mut work = 0.0;
        let mut carried = Vec::new();
        for &c in ranked {
            work += self.work(rung, c);
            if carried.len() >= 2 && (carried.len() >= self.limit(rung, n) || work > share) {
                break;
            }
            carried.push(c);
        }
        if ranked.contains(&0) && !carried.contains(&0) {
            carried.push(0);
        }
        carried
    }
}
