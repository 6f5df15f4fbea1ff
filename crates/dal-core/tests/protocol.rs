//! The protocol as a strategy and a learner see it, who write down what they are shown: which points, which pools,
//! which streams, at which step.

use std::sync::{Arc, Mutex};

use dal_core::model::PlateauSpec;
use dal_core::{
    Campaign, DropoutSpec, FitJob, Labelled, LearnError, Learner, LossHeadSpec, Needs, OnRow, Oracle, OracleError,
    OutputScaling, OutputUnits, Pool, Proposal, Protocol, SeedPath, Space, Start, Step, Stop, Strategy, StrategyError,
    Surrogate, SurrogateError, TrialSeeds, WidthFactor, run_trials,
};
use ndarray::{Array2, ArrayView2, Axis, s};

/// What was shown at one step.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    pool: Array2<f64>,
    labelled: Array2<f64>,
    n_initial: usize,
    seeds: SeedPath,
}

/// Picks the last points of the pool, and writes down what it is shown.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Shown>>);

impl Strategy for Recorder {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn propose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let labelled = step.labelled();
        self.0.lock().unwrap().push(Shown {
            pool: step.pool().to_owned(),
            labelled: labelled.x().to_owned(),
            n_initial: labelled.n_initial(),
            seeds: *seeds,
        });
        let last = step.pool().nrows();
        Ok(Proposal::picked((last - n..last).collect()))
    }
}

struct Blank;
impl Surrogate for Blank {
    fn n_inputs(&self) -> usize {
        2
    }
    fn n_outputs(&self) -> usize {
        1
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(Array2::zeros((x.nrows(), 1)))
    }
}

/// Points and labels that a model was to be trained on, and its stream.
type Trained = (Array2<f64>, Array2<f64>, SeedPath);

/// Trains nothing, and writes down what it is asked for.
#[derive(Default)]
struct Trainer(Mutex<Vec<Trained>>);

impl Learner for Trainer {
    fn platform(&self) -> String {
        "none".into()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let fit = |job: &FitJob<'_>| {
            let (x, y) = (job.labelled.x().to_owned(), job.labelled.y().to_owned());
            self.0.lock().unwrap().push((x, y, job.seeds));
            Ok(Box::new(Blank) as Box<dyn Surrogate>)
        };
        jobs.iter().map(fit).collect()
    }
}

/// y = x0 + 10 x1.
#[derive(Debug)]
struct Line;
impl Oracle for Line {
    fn n_inputs(&self) -> usize {
        2
    }
    fn n_outputs(&self) -> usize {
        1
    }
    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        for (row, point) in x.outer_iter().enumerate() {
            if on_row(row, Ok(&[point[0] + 10.0 * point[1]])).is_break() {
                break;
            }
        }
        Ok(())
    }
}

const INITIAL: usize = 5;
const QUERIES: usize = 3;
const STEPS: usize = 4;

fn space() -> Space {
    Space::continuous_unit(2)
}

fn seeds() -> TrialSeeds {
    TrialSeeds::new("protocol", 7)
}

/// One trial at a pool ratio: what the strategy was shown at each step, and what the learner at each entry.
fn trial(ratio: usize) -> (Vec<Shown>, Vec<Trained>) {
    let (strategy, learner) = (Arc::new(Recorder::default()), Trainer::default());
    let pool = Pool::Uniform { n_candidates: ratio * QUERIES };
    let protocol = Protocol { start: Start::Sample { n: INITIAL }, n_queries: QUERIES, n_steps: Some(STEPS), pool };
    let campaign = Campaign::new(space(), Arc::clone(&strategy) as Arc<dyn Strategy>, protocol, seeds()).unwrap();
    let outcomes = run_trials(&mut [campaign], &Line, &learner, &Stop::new(), &mut Silent);
    assert!(outcomes[0].is_ok());
    let shown = strategy.0.lock().unwrap().clone();
    (shown, learner.0.into_inner().unwrap())
}

struct Silent;
impl dal_core::Observer for Silent {}

#[test]
fn points_come_from_the_streams_of_their_purpose_and_step() {
    let (shown, trained) = trial(4);
    assert_eq!((shown.len(), trained.len()), (STEPS, STEPS + 1));
    let initial = space().sample(INITIAL, &seeds().initial());
    assert_eq!(trained[0].0, initial);
    let test = space().sample(INITIAL, &seeds().test());
    assert_ne!(initial, test, "the initial set is no part of the test set");
    for (step, shown) in shown.iter().enumerate() {
        assert_eq!(shown.pool, space().sample(4 * QUERIES, &seeds().candidates(step)));
        assert_eq!(shown.seeds, seeds().strategy(step));
        assert_eq!((shown.n_initial, shown.labelled.slice(s![..INITIAL, ..])), (INITIAL, initial.view()));
    }
    for (entry, (x, y, fit)) in trained.iter().enumerate() {
        assert_eq!(*fit, seeds().fit(entry));
        assert_eq!(x.nrows(), INITIAL + QUERIES * entry);
        // What was picked is what is learned next, with its own label.
        if entry > 0 {
            let pool = &shown[entry - 1].pool;
            assert_eq!(x.slice(s![-(QUERIES as isize).., ..]), pool.slice(s![-(QUERIES as isize).., ..]));
        }
        for (point, label) in x.axis_iter(Axis(0)).zip(y) {
            assert_eq!(*label, point[0] + 10.0 * point[1]);
        }
    }
}

#[test]
fn nothing_random_is_used_twice() {
    let (shown, trained) = trial(2);
    let mut streams: Vec<SeedPath> = shown.iter().map(|shown| shown.seeds).collect();
    streams.extend(trained.iter().map(|(_, _, fit)| *fit));
    for (i, one) in streams.iter().enumerate() {
        assert!(!streams[..i].contains(one), "stream {i} was used before");
    }
    for (i, one) in shown.iter().enumerate() {
        assert!(shown[..i].iter().all(|before| before.pool != one.pool), "the pool of step {i} was seen before");
    }
}

#[test]
fn pools_of_larger_ratios_hold_those_of_smaller_ones() {
    let (small, _) = trial(2);
    let (large, _) = trial(8);
    for (small, large) in small.iter().zip(&large) {
        assert_eq!(small.pool, large.pool.slice(s![..2 * QUERIES, ..]));
        assert_eq!(small.seeds, large.seeds, "methods draw the same, whatever the ratio");
    }
}

#[test]
fn published_numbers_stand() {
    assert_eq!(PlateauSpec::DEFAULT, PlateauSpec { factor: 0.8, patience: 10, threshold: 1e-4 });
    let DropoutSpec { rate, n_passes, width_factor, epochs, learning_rate, batch_norm } = DropoutSpec::default();
    assert_eq!((epochs, learning_rate), (None, None), "the published network is trained as the ensemble is");
    assert!(!batch_norm);
    assert_eq!((rate, n_passes, width_factor), (0.5, 25, WidthFactor::SqrtMembers));
    let LossHeadSpec { n_layers, width, weight, margin, joint_share } = LossHeadSpec::default();
    assert_eq!((n_layers, width, weight, margin, joint_share), (3, 10, 0.001, 1.0, 0.6));
}

#[test]
fn an_auxiliary_network_is_wider_by_the_root_of_the_members() {
    let factors = [WidthFactor::SqrtMembers, WidthFactor::Members, WidthFactor::Factor(2.5)];
    assert_eq!(factors.map(|factor| factor.over_one_of(16)), [4.0, 16.0, 2.5]);
}

/// Mean 0 and standard deviation 1, divided by n, over the labels that are trained on.
#[test]
fn outputs_are_standardised_by_the_points_that_are_trained_on() {
    let x = Array2::from_shape_fn((7, 1), |(i, _)| i as f64);
    let y = Array2::from_shape_fn((7, 2), |(i, k)| [10.0, -3.0][k] * (1.0 + i as f64 * 1.7).sin() + 5.0);
    let scaling = OutputScaling::new(vec![OutputUnits { standardise: true, ..OutputUnits::default() }; 2]);
    let (in_model_units, _) = scaling.model_units(&Labelled::new(x, y).unwrap()).unwrap();
    for column in in_model_units.y().columns() {
        let mean = column.mean().unwrap();
        let variance = column.mapv(|v| (v - mean) * (v - mean)).mean().unwrap();
        assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-12, "{mean} {variance}");
    }
}
