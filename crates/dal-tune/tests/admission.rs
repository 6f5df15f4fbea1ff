//! Which finalist is chosen where members do not learn on the training sets that methods choose, kept over a stop.

use std::path::Path;
use std::sync::{Arc, Mutex};

use dal_core::{
    Committee, Engine, FitJob, LearnError, Learner, ModelSpec, SettingError, Shape, Stop, Surrogate, SurrogateError,
    TrainingEnd, TrainingReport, Uncertainty,
};
use dal_nn::CpuEngine;
use dal_tune::{
    BatchNorm, CampaignResult, ChosenSets, Event, Extent, Method, Outcome, Progress, Ranges, RunOptions, Search,
    SearchSpace, Settings, TuneError, Tuning,
};
use ndarray::{Array2, ArrayView2};

struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// Numbers of labels that ensembles were trained on, by hidden layers.
type Fits = Arc<Mutex<Vec<(Vec<usize>, usize)>>>;

/// The CPU engine, whose networks of some shapes say that a member of theirs did not learn.
#[derive(Clone, Debug, Default)]
struct Telling {
    collapsing: Vec<Vec<usize>>,
    unsettled: Vec<Vec<usize>>,
    fits: Fits,
}

struct TellingLearner {
    inner: Box<dyn Learner>,
    hidden: Vec<usize>,
    engine: Telling,
}

struct Told {
    inner: Box<dyn Surrogate>,
    report: TrainingReport,
}

impl Engine for Telling {
    fn id(&self) -> &str {
        "cpu"
    }
    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
        let inner = CpuEngine::new(None).learner(model, shape)?;
        let hidden = model.as_mlp().map(|mlp| mlp.hidden.to_vec()).unwrap_or_default();
        Ok(Box::new(TellingLearner { inner, hidden, engine: self.clone() }))
    }
}

impl Learner for TellingLearner {
    fn platform(&self) -> String {
        self.inner.platform()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let mut fits = self.engine.fits.lock().unwrap();
        fits.extend(jobs.iter().map(|job| (self.hidden.clone(), job.labelled.len())));
        drop(fits);
        let fine = TrainingEnd { final_loss: 0.1, best_loss: 0.1, label_variance: 1.0, restarts: 0 };
        let mut members = vec![fine; 2];
        if self.engine.collapsing.contains(&self.hidden) {
            members[1].final_loss = 0.6;
        }
        if self.engine.unsettled.contains(&self.hidden) {
            members[0].best_loss = 0.001;
        }
        let report = TrainingReport { members, dropout: None };
        let told = |inner| Box::new(Told { inner, report: report.clone() }) as Box<dyn Surrogate>;
        self.inner.fit_all(jobs, stop).into_iter().map(|fit| fit.map(told)).collect()
    }
}

impl Surrogate for Told {
    fn n_inputs(&self) -> usize {
        self.inner.n_inputs()
    }
    fn n_outputs(&self) -> usize {
        self.inner.n_outputs()
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        self.inner.mean(x)
    }
    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        self.inner.uncertainty()
    }
    fn committee(&self) -> Option<&dyn Committee> {
        self.inner.committee()
    }
    fn training_report(&self) -> Option<&TrainingReport> {
        Some(&self.report)
    }
}

fn search(engine: Telling, seeds: usize) -> Search {
    let problem = dal_oracles::find("sine", &dal_core::Settings::default()).unwrap();
    let ranges = Ranges {
        widths: Some(vec![4, 6]),
        depths: Some(vec![1]),
        batch_norm: Some(vec![BatchNorm::None]),
        learning_rates: Some(vec![1e-3]),
        weight_decays: Some(vec![0.0]),
        ..Ranges::default()
    };
    let space = SearchSpace::around(&problem, Extent::Small, &ranges).unwrap();
    let settings = Settings {
        points: vec![20],
        validation: 40,
        epochs: 4,
        members: 2,
        seeds: 2,
        budget: 60.0,
        chosen: ChosenSets { seeds, initial: 10, queries: 5, steps: 2, pool_ratio: 4 },
        proof_seeds: 0,
        ..Settings::for_problem(&problem)
    };
    Search::new(problem, settings, space, Arc::new(engine)).unwrap()
}

fn tuned(search: &Search, directory: &Path) -> Result<Tuning, TuneError> {
    match search.run(directory, RunOptions { jobs: 2 }, &Silent, &Stop::new())? {
        Outcome::Chosen(tuning) => Ok(*tuning),
        Outcome::Stopped => panic!("it was not asked to stop"),
    }
}

fn fresh(engine: Telling, seeds: usize) -> Result<Tuning, TuneError> {
    tuned(&search(engine, seeds), tempfile::tempdir().unwrap().path())
}

#[test]
fn a_network_whose_members_do_not_learn_is_passed_over() {
    let freely = fresh(Telling::default(), 0).unwrap();
    assert!(freely.admissions.is_empty());
    let first = freely.chosen.0.hidden.to_vec();

    let admitted = fresh(Telling::default(), 2).unwrap();
    assert_eq!(admitted.chosen, freely.chosen);
    let [admission] = admitted.admissions.as_slice() else { panic!("{:?}", admitted.admissions) };
    // Three methods, two seeds, models at 10, 15 and 20 labels, of two members each.
    assert_eq!((admission.counts.trained, admission.campaigns.len()), (36, 6));
    assert!(admission.admitted && admission.counts.collapsed == 0);
    for (key, result) in &admission.campaigns {
        let CampaignResult::Models(models) = result else { panic!("{key:?}: {result:?}") };
        assert_eq!(models.iter().map(|model| model.labels).collect::<Vec<_>>(), [10, 15, 20]);
        assert!(models.iter().all(|model| model.mse > 0.0));
    }
    // Methods choose other sets: from equal models at first, other ones later.
    let later = |method| {
        let of = |(key, result): &(dal_tune::CampaignKey, CampaignResult)| match result {
            CampaignResult::Models(models) if key.method == method && key.seed == 0 => Some(models.clone()),
            _ => None,
        };
        admission.campaigns.iter().find_map(of).unwrap()
    };
    assert_eq!(later(Method::Gsx)[0], later(Method::Qbc)[0]);
    assert_ne!(later(Method::Gsx)[2], later(Method::Qbc)[2]);

    for engine in [
        Telling { collapsing: vec![first.clone()], ..Telling::default() },
        Telling { unsettled: vec![first.clone()], ..Telling::default() },
    ] {
        let other = fresh(engine, 2).unwrap();
        assert_ne!(other.chosen, freely.chosen);
        assert_eq!(other.admissions.len(), 2);
        assert!(!other.admissions[0].admitted && other.admissions[1].admitted);
        assert!(other.explanation.contains("Not admitted is"), "{}", other.explanation);
        assert_eq!(other.admissions[1].candidate, other.chosen_candidate);
        // What trainings say of themselves changes no error.
        assert_eq!(other.trials, freely.trials);
    }
}

#[test]
fn where_no_finalist_learns_the_search_says_so() {
    let shapes = vec![vec![4], vec![6], vec![20; 9]];
    let error = fresh(Telling { collapsing: shapes, ..Telling::default() }, 1).unwrap_err();
    assert!(matches!(error, TuneError::NoneAdmitted { finalists: 2.., .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("of 18 members 9 collapsed") && words.contains("--campaign-seeds 0"), "{words}");
}

#[test]
fn campaigns_are_kept_and_not_run_again() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Telling::default();
    let before = tuned(&search(engine.clone(), 2), directory.path()).unwrap();
    let campaigns: Vec<usize> =
        engine.fits.lock().unwrap().drain(..).map(|(_, labels)| labels).filter(|labels| *labels < 20).collect();
    assert_eq!(campaigns.len(), 12);
    assert_eq!(tuned(&search(engine.clone(), 2), directory.path()).unwrap(), before);
    assert!(engine.fits.lock().unwrap().is_empty());
    before.save(directory.path()).unwrap();
    let csv = std::fs::read_to_string(directory.path().join("campaigns.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 18, "{csv}");
    let choice = std::fs::read_to_string(directory.path().join("choice.json")).unwrap();
    assert!(choice.contains("\"admitted\": true") && choice.contains("\"validated\""), "{choice}");
}
