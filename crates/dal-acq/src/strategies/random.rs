//! `random`: uniform without replacement, the baseline that every other rule is divided by.

use dal_core::{Needs, SeedPath, Step, StrategyError};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::Selection;
use crate::rule::pool_strategy;

/// Picks uniformly without replacement, from the strategy's stream.
///
/// Needs nothing. Cost O(N). The order of the picks is random too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Random {}

impl Random {
    pub(crate) const ID: &'static str = "random";

    fn requires(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Selection, StrategyError> {
        let mut rows: Vec<usize> = (0..step.pool().nrows()).collect();
        let mut rng = seeds.purpose("picks").rng();
        // The first n places of a Fisher–Yates shuffle. u64 draws, so that 32-bit platforms pick the same rows.
        for place in 0..n {
            let other = rng.random_range(place as u64..rows.len() as u64) as usize;
            rows.swap(place, other);
        }
        rows.truncate(n);
        Ok(Selection { picked: rows, ..Selection::default() })
    }
}

pool_strategy!(Random);

#[cfg(test)]
mod tests {
    use dal_core::Labelled;
    use ndarray::{Array2, array};

    use super::*;
    use crate::PoolStrategy;

    #[test]
    fn values_are_pinned_and_every_row_is_as_likely() {
        let labelled = Labelled::new(array![[0.0]], array![[0.0]]).unwrap();
        let pool = Array2::zeros((10, 1));
        let step = Step::new(&labelled, pool.view(), None, Needs::default()).unwrap();
        let pick = |seed: u64| Random {}.select(&step, 4, &SeedPath::root(seed)).unwrap().picked;
        assert_eq!(pick(0), PINNED);
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
