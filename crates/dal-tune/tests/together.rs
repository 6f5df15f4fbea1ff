//! What is trained together, on an engine that likes that: seeds and numbers of points of one candidate, with the same
//! answer as one by one.

use std::sync::{Arc, Mutex};

use dal_core::{Engine, FitJob, LearnError, Learner, ModelSpec, SettingError, Shape, Stop, Surrogate};
use dal_nn::CpuEngine;
use dal_tune::{
    ChosenSets, Event, Extent, Outcome, Progress, Ranges, RunOptions, Search, SearchSpace, Settings, Tuning,
};

/// What was trained together by each call: the model, and the numbers of points.
type Calls = Arc<Mutex<Vec<(ModelSpec, Vec<usize>)>>>;

struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// The CPU engine on many jobs of one call; it notes what it was given: the hidden layers, and the points of each job.
#[derive(Clone, Debug, Default)]
struct Together {
    most: usize,
    /// Hidden layers of a network whose training panics where it is not alone.
    panics: Option<Vec<usize>>,
    calls: Calls,
}

struct TogetherLearner {
    inner: Box<dyn Learner>,
    model: ModelSpec,
    engine: Together,
}

impl Engine for Together {
    fn id(&self) -> &str {
        "cpu"
    }
    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
        let inner = CpuEngine::new(None).learner(model, shape)?;
        Ok(Box::new(TogetherLearner { inner, model: model.clone(), engine: self.clone() }))
    }
    fn trials_together(&self, _: &ModelSpec, _: Shape) -> usize {
        self.most
    }
}

impl Learner for TogetherLearner {
    fn platform(&self) -> String {
        self.inner.platform()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let points = jobs.iter().map(|job| job.labelled.len()).collect();
        self.engine.calls.lock().unwrap().push((self.model.clone(), points));
        let hidden = self.model.as_mlp().map(|mlp| mlp.hidden.to_vec());
        if jobs.len() > 1 && hidden == self.engine.panics {
            std::panic::resume_unwind(Box::new("a planted defect"));
        }
        self.inner.fit_all(jobs, stop)
    }
}

fn search(engine: Together) -> Tuning {
    let problem = dal_oracles::find("sine", &dal_core::Settings::default()).unwrap();
    let ranges = Ranges {
        widths: Some(vec![4, 6]),
        depths: Some(vec![1]),
        learning_rates: Some(vec![1e-3]),
        weight_decays: Some(vec![0.0]),
        ..Ranges::default()
    };
    let space = SearchSpace::around(&problem, Extent::Small, &ranges).unwrap();
    let settings = Settings {
        points: vec![20, 30],
        validation: 40,
        epochs: 4,
        members: 2,
        seeds: 3,
        budget: 60.0,
        test_points: 40,
        chosen: ChosenSets { seeds: 0, ..ChosenSets::BENCHMARK },
        proof_points: vec![20, 30],
        proof_seeds: 2,
    };
    let search = Search::new(problem, settings, space, Arc::new(engine)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stop = Stop::new();
    match search.run(directory.path(), RunOptions { jobs: 2 }, &Silent, &stop).unwrap() {
        Outcome::Chosen(tuning) => *tuning,
        Outcome::Stopped => panic!("it was not asked to stop"),
    }
}

#[test]
fn seeds_and_sizes_of_one_candidate_train_in_one_call_and_nothing_changes() {
    let alone = search(Together { most: 1, ..Together::default() });
    for most in [4, 100] {
        let engine = Together { most, ..Together::default() };
        let calls = Arc::clone(&engine.calls);
        assert_eq!(search(engine), alone);
        let calls = calls.lock().unwrap();
        let largest = calls.iter().map(|(_, points)| points.len()).max();
        // Three seeds at two numbers of points are the most that a rung has of one candidate.
        assert_eq!(largest, Some(most.min(6)));
        let n_trainings: usize = calls.iter().map(|(_, points)| points.len()).sum();
        assert_eq!(n_trainings, alone.trials.len());
        assert!(calls.iter().any(|(_, points)| points.contains(&20) && points.contains(&30)));
    }
}

#[test]
fn a_panic_among_many_is_found_by_training_each_alone() {
    let alone = search(Together { most: 1, ..Together::default() });
    let engine = Together { most: 100, panics: Some(vec![4]), ..Together::default() };
    assert_eq!(search(engine), alone);
}
