//! `random`: uniform without replacement, the baseline that every other rule is divided by.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::build::{build, no_check};
use crate::card::{Card, Labels, PickScore, SettingCard, SettingValues};
use crate::rule::pool_strategy;

/// What the rule says of itself.
pub(super) static CARD: Card = Card {
    id: "random",
    title: "Uniform without replacement",
    formula: "uniform over the pool, without replacement, from the strategy's stream",
    cost: "O(N)",
    source: "baseline",
    pick_score: PickScore::None,
    labels: Labels::None,
    invariances: &[],
    settings: &[SettingCard {
        key: "stream",
        help: "number of the stream; another one makes a control that has to come out equal",
        values: SettingValues::Described("a whole number"),
    }],
    build: |card, given| build(card, given, no_check::<Random>),
};

/// Picks uniformly without replacement, from the strategy's stream.
///
/// Needs nothing. Cost O(N). The order of the picks is random too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Random {
    /// Number of the stream. Another one than 0 draws points of its own where it may, which no other run has seen: a
    /// control that has to come out equal to the baseline.
    pub stream: u64,
}

impl Random {
    fn requires(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let mut picks = seeds.purpose("picks");
        if self.stream > 0 {
            picks = picks.index(self.stream);
            if step.course().is_some_and(|course| course.own_points) {
                return Ok(Proposal::synthesised(step.space().sample(n, &picks)));
            }
        }
        let mut rows: Vec<usize> = (0..step.pool().nrows()).collect();
        let mut rng = picks.rng();
        // The first n places of a Fisher–Yates shuffle. u64 draws, so that 32-bit platforms pick the same rows.
        for place in 0..n {
            let other = rng.random_range(place as u64..rows.len() as u64) as usize;
            rows.swap(place, other);
        }
        rows.truncate(n);
        Ok(Proposal::picked(rows))
    }
}

pool_strategy!(Random, any_pool);

#[cfg(test)]
mod tests {
    use dal_core::{Labelled, Space, Strategy};
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn values_are_pinned_and_every_row_is_as_likely() {
        let labelled = Labelled::new(array![[0.0]], array![[0.0]]).unwrap();
        let pool = Array2::zeros((10, 1));
        let space = Space::continuous_unit(1);
        let step = Step::new(&space, &labelled, pool.view(), None, Needs::default()).unwrap();
        let pick =
            |seed: u64| Random::default().propose(&step, 4, &SeedPath::root(seed)).unwrap().rows().unwrap().to_vec();
        assert_eq!(pick(0), PINNED);
        let other = Random { stream: 1 }.propose(&step, 4, &SeedPath::root(0)).unwrap();
        assert_ne!(other.rows().unwrap(), PINNED);
        let mut counts = [0_u32; 10];
        for seed in 0..5000 {
            for i in pick(seed) {
                counts[i] += 1;
            }
        }
        // 2 000 expected, standard deviation 35.
        assert!(counts.iter().all(|c| (1825..2175).contains(c)), "{counts:?}");
    }
    const PINNED: [usize; 4] = [8, 2, 6, 4];
}
