//! `sobol` and `lhs`: designs that fill the space and look at no answer, going on from step to step.

use dal_core::{Needs, Proposal, SeedPath, Step, StrategyError};
use dal_geom::squared_distance;
use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::build::{build, no_check};
use crate::card::{Card, Labels, PickScore};
use crate::designs;
use crate::rule::pool_strategy;

/// What `sobol` says of itself.
pub(super) static SOBOL: Card = Card {
    id: "sobol",
    title: "Scrambled Sobol points, going on",
    formula: "the next n points of one scrambled Sobol sequence a run; of a list, the nearest candidates left",
    cost: "O(n d); of a list O(n N d)",
    source: "Sobol 1967, Joe and Kuo 2008, Burley 2020; a passive design",
    pick_score: PickScore::None,
    labels: Labels::None,
    invariances: &[],
    settings: &[],
    build: |card, given| build(card, given, no_check::<Sobol>),
};

/// What `lhs` says of itself.
pub(super) static LHS: Card = Card {
    id: "lhs",
    title: "Latin hypercube, extended",
    formula: "n points in strata that L leaves free, |L| + n strata an input; of a list, the nearest candidates left",
    cost: "O((|L| + n) d); of a list O(n N d)",
    source: "McKay, Beckman, Conover 1979; extended as Wang 2003; a passive design",
    pick_score: PickScore::None,
    labels: Labels::Inputs,
    invariances: &[],
    settings: &[],
    build: |card, given| build(card, given, no_check::<Lhs>),
};

/// The next points of one Owen-scrambled Sobol sequence a run, whatever was answered ([`designs::sobol`]).
///
/// It makes points of its own where the campaign allows them and then does not depend on the pool, nor on its ratio; of
/// a listed pool it takes, point by point, the nearest candidate that is left. Needs nothing. Cost O(n d).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sobol {}

impl Sobol {
    fn requires(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let (stream, first) = step.course().map_or((seeds.purpose("course"), 0), |course| (course.seeds, course.asked));
        let inputs = step.space().dimensions().len();
        let quantiles = designs::sobol(n, inputs, first, &stream)
            .map_err(|error| StrategyError::Geometry { message: error.to_string() })?;
        Ok(propose(step, quantiles.view()))
    }
}

pool_strategy!(Sobol, any_pool, ranges);

/// A Latin hypercube of labelled and new points together, as far as the labelled ones allow
/// ([`designs::latin_hypercube`]).
///
/// As [`Sobol`] it makes points of its own where it may, and takes the nearest candidates of a list. Needs nothing.
/// Cost O((|L| + n) d).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lhs {}

impl Lhs {
    fn requires(&self) -> Needs {
        Needs::default()
    }

    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let existing = step
            .space()
            .quantiles(step.labelled().x())
            .map_err(|error| StrategyError::Geometry { message: error.to_string() })?;
        Ok(propose(step, designs::latin_hypercube(n, existing.view(), &seeds.purpose("design")).view()))
    }
}

pool_strategy!(Lhs, any_pool, ranges);

/// The points at these quantiles, or the nearest rows of a pool that has to be kept to.
fn propose(step: &Step<'_>, quantiles: ArrayView2<'_, f64>) -> Proposal {
    let points = step.space().at_quantiles(quantiles);
    if step.course().is_some_and(|course| course.own_points) {
        return Proposal::synthesised(points);
    }
    Proposal::picked(nearest_left(&points, step.pool()))
}

/// For each point in turn the nearest row of the pool that no earlier point took; the lowest of equally near ones.
fn nearest_left(points: &Array2<f64>, pool: ArrayView2<'_, f64>) -> Vec<usize> {
    let (points, pool) = (points.as_standard_layout(), pool.as_standard_layout());
    let mut left = vec![true; pool.nrows()];
    let mut picked = Vec::with_capacity(points.nrows());
    for point in points.outer_iter() {
        let rows = (0..pool.nrows()).filter(|&row| left[row]);
        let squared = |row: usize| squared_distance(coordinates(&point), coordinates(&pool.row(row)));
        let nearest = rows.min_by(|&a, &b| squared(a).total_cmp(&squared(b)));
        if let Some(row) = nearest {
            left[row] = false;
            picked.push(row);
        }
    }
    picked
}

/// The coordinates of a point in standard layout.
fn coordinates<'a>(point: &'a ArrayView1<'_, f64>) -> &'a [f64] {
    point.as_slice().expect("a row in standard layout")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dal_core::{
        Campaign, Course, Dimension, Labelled, Pending, Pool, Protocol, Queries, Scale, Space, Start, Strategy,
    };
    use dal_core::{Surrogate, SurrogateError, TrialSeeds};
    use ndarray::{Axis, array, concatenate, s};

    use super::*;

    /// A model that nothing is asked of.
    #[derive(Debug)]
    struct Silent;

    impl Surrogate for Silent {
        fn n_inputs(&self) -> usize {
            4
        }
        fn n_outputs(&self) -> usize {
            1
        }
        fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
            Ok(Array2::zeros((x.nrows(), 1)))
        }
    }

    fn space() -> Space {
        Space::new(vec![
            Dimension::Continuous { low: 1.0, high: 100.0, scale: Scale::Log },
            Dimension::Integer { low: 0, high: 3, scale: Scale::Linear },
            Dimension::Categorical { n_levels: 2 },
        ])
        .unwrap()
    }

    fn queries(strategy: Arc<dyn Strategy>, n_candidates: usize) -> Vec<Array2<f64>> {
        let protocol = Protocol {
            start: Start::Sample { n: 5 },
            n_queries: 8,
            n_steps: Some(4),
            pool: Pool::Uniform { n_candidates },
        };
        let mut campaign = Campaign::new(space(), strategy, protocol, TrialSeeds::new("a", 1)).unwrap();
        let mut batches = Vec::new();
        loop {
            match campaign.pending() {
                Pending::Label(x) => {
                    batches.push(x.to_owned());
                    // The second answer of every batch fails: the design goes on all the same.
                    for row in 0..x.nrows() {
                        let failed = dal_core::LabelFailure::new(dal_core::LabelFailureKind::Crashed, "test");
                        campaign.tell(row, if row == 1 { Err(failed) } else { Ok(&[1.0]) }).unwrap();
                    }
                }
                Pending::Fit(_) => {
                    campaign.absorb(&Silent).unwrap();
                }
                Pending::Done => return batches,
            }
        }
    }

    #[test]
    fn designs_go_on_over_the_steps_of_a_campaign_and_do_not_know_the_pool() {
        let sobol = queries(Arc::new(Sobol {}), 8);
        assert_eq!(sobol.len(), 5);
        assert_eq!(sobol, queries(Arc::new(Sobol {}), 300), "a pool ratio changed a design");
        let all: Vec<_> = sobol[1..].iter().map(|batch| batch.view()).collect();
        let all = concatenate(Axis(0), &all).unwrap();
        let quantiles = designs::sobol(32, 3, 0, &TrialSeeds::new("a", 1).course()).unwrap();
        assert_eq!(all, space().at_quantiles(quantiles.view()));

        let lhs = queries(Arc::new(Lhs {}), 8);
        assert_eq!(lhs, queries(Arc::new(Lhs {}), 300));
        // Of the first step's 12 strata (4 labelled, 8 new) each new point has its own.
        let known = concatenate(Axis(0), &[lhs[0].slice(s![..1, ..]), lhs[0].slice(s![2.., ..])]).unwrap();
        let both = concatenate(Axis(0), &[known.view(), lhs[1].view()]).unwrap();
        let u = space().quantiles(both.view()).unwrap();
        let stratum = |u: f64| (u * 12.0) as usize;
        for row in 4..12 {
            assert_eq!(u.column(0).iter().filter(|&&other| stratum(other) == stratum(u[[row, 0]])).count(), 1);
        }
    }

    #[test]
    fn a_listed_pool_gives_its_nearest_rows() {
        let labelled = Labelled::new(array![[0.0, 0.0]], array![[0.0]]).unwrap();
        let space = Space::continuous_unit(2);
        let pool = space.sample(50, &SeedPath::root(5));
        let seeds = SeedPath::root(9);
        let step = |own_points| {
            Step::new(&space, &labelled, pool.view(), None, Needs::default()).unwrap().with_course(Course {
                seeds,
                asked: 3,
                own_points,
            })
        };
        let wanted = Sobol {}.propose(&step(true), 6, &SeedPath::root(1)).unwrap();
        let Queries::Synthesised(wanted) = wanted.queries else { panic!("no points of its own") };
        let picked = Sobol {}.propose(&step(false), 6, &SeedPath::root(1)).unwrap().rows().unwrap().to_vec();
        let mut left: Vec<usize> = (0..50).collect();
        for (point, row) in wanted.outer_iter().zip(picked) {
            let distance = |&row: &usize| (&point - &pool.row(row)).mapv(|d| d * d).sum();
            assert!(left.iter().all(|other| distance(other) >= distance(&row)));
            left.retain(|&other| other != row);
        }
    }
}
