//! Small strategies, engines and watchers for the tests of sweeps.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dal_bench::{BuiltIn, Catalogue, Event, FoundStrategy, Plan, Progress, RunOptions, Sweep, clock};
use dal_core::{
    Clock, Engine, EngineCard, EngineChoice, FitJob, LearnError, Learner, ModelSpec, Needs, Proposal, SeedPath,
    SettingError, Settings, Shape, Step, Stop, StopLevel, Strategy, StrategyError, Surrogate, open_engine,
};
use dal_nn::{CpuEngine, ENGINES};
use dal_oracles::Problem;
use dal_store::{Status, Store};
use ndarray::Array1;
use rand::seq::SliceRandom;

/// The built-in problems, strategies of the tests' own, and an engine of the tests' own in the place of `cpu`.
pub struct Toys {
    pub built_in: BuiltIn,
    pub engine: Option<Arc<dyn Engine>>,
}

impl Default for Toys {
    fn default() -> Self {
        Self { built_in: built_in(), engine: None }
    }
}

/// The built-in catalogue with the engines of networks.
pub fn built_in() -> BuiltIn {
    BuiltIn { engines: ENGINES, clock: clock() }
}

impl Catalogue for Toys {
    fn problem(&self, id: &str, settings: &Settings, base: &Path) -> Result<Problem, SettingError> {
        self.built_in.problem(id, settings, base)
    }

    fn strategy(&self, id: &str, _: &Settings) -> Result<FoundStrategy, SettingError> {
        let toy = match id {
            "random" => Toy::Random,
            "far" => Toy::Far,
            "vary" => Toy::Vary,
            "panics" => Toy::Panics,
            "greedy-for-nan" => Toy::Nan,
            "dropout" => Toy::Dropout,
            _ => return Err(SettingError::new("id", format!("there is no strategy `{id}`"))),
        };
        Ok(FoundStrategy { strategy: Arc::new(toy), variant: id.to_owned(), settings: Settings::default() })
    }

    fn engines(&self) -> &[EngineCard] {
        self.built_in.engines
    }

    fn clock(&self) -> &Clock {
        &self.built_in.clock
    }

    fn engine(&self, choice: &EngineChoice<'_>, kind: &str) -> Result<Arc<dyn Engine>, SettingError> {
        match &self.engine {
            Some(engine) if choice.id == "cpu" && choice.device.is_none() => Ok(Arc::clone(engine)),
            _ => open_engine(self.engines(), choice, kind, self.clock()),
        }
    }
}

#[derive(Debug)]
enum Toy {
    /// A random choice.
    Random,
    /// Farthest from the labelled set, point by point.
    Far,
    /// The largest disagreement.
    Vary,
    /// Panics from 14 labels on.
    Panics,
    /// Scores that are not numbers.
    Nan,
    /// Disagreement of a dropout network.
    Dropout,
}

impl Strategy for Toy {
    fn needs(&self) -> Needs {
        match self {
            Self::Vary => Needs { uncertainty: true, ..Needs::default() },
            Self::Dropout => Needs { dropout: Some(Default::default()), ..Needs::default() },
            _ => Needs::default(),
        }
    }

    fn propose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        step.check_request(n)?;
        let pool = step.pool();
        let scores: Array1<f64> = match self {
            Self::Random => {
                let mut rows: Vec<usize> = (0..pool.nrows()).collect();
                rows.shuffle(&mut seeds.rng());
                rows.truncate(n);
                return Ok(Proposal::picked(rows));
            }
            // Unwinds as a panic does, without the noise on stderr.
            Self::Panics if step.labelled().len() >= 14 => std::panic::resume_unwind(Box::new("a planted defect")),
            Self::Far | Self::Panics => {
                let distance = |a: ndarray::ArrayView1<'_, f64>, b: ndarray::ArrayView1<'_, f64>| {
                    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
                };
                let known = step.labelled().x();
                let nearest = |x| known.outer_iter().map(|k| distance(x, k)).fold(f64::INFINITY, f64::min);
                pool.outer_iter().map(nearest).collect()
            }
            Self::Vary => step.disagreement()?,
            Self::Nan => Array1::from_elem(pool.nrows(), f64::NAN),
            Self::Dropout => {
                step.note("through a dropout network");
                step.dropout_moments(pool, seeds)?.variance.sum_axis(ndarray::Axis(1))
            }
        };
        Proposal::top(scores, n)
    }
}

/// The CPU engine, which likes several trials in one call.
#[derive(Debug)]
pub struct Together(pub usize);

impl Engine for Together {
    fn id(&self) -> &str {
        "cpu"
    }
    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
        CpuEngine::new(Some(clock())).learner(model, shape)
    }
    fn trials_together(&self, _: &ModelSpec, _: Shape) -> usize {
        self.0
    }
}

/// What goes wrong with a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    Fails,
    Panics,
}

/// An engine that trains in lock step, as far as the scheduler can see: the CPU engine on many jobs of one call. It
/// notes its calls and has faults.
#[derive(Clone, Debug)]
pub struct LockStep {
    pub together: usize,
    pub fault: fn(&FitJob<'_>) -> Fault,
    /// Calls until the device is lost.
    pub calls_left: Arc<AtomicUsize>,
    /// Sizes of the calls that trained for the sweep, not for an estimate.
    pub calls: Arc<Mutex<Vec<usize>>>,
}

impl LockStep {
    pub fn new(together: usize) -> Self {
        Self {
            together,
            fault: |_| Fault::None,
            calls_left: Arc::new(AtomicUsize::new(usize::MAX)),
            calls: Arc::default(),
        }
    }

    pub fn toys(self) -> Toys {
        Toys { engine: Some(Arc::new(self)), ..Toys::default() }
    }
}

impl Engine for LockStep {
    fn id(&self) -> &str {
        "cpu"
    }
    fn device(&self) -> String {
        "fake:0".into()
    }
    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
        let inner = CpuEngine::new(Some(clock())).learner(model, shape)?;
        // Estimates and rehearsals train for other numbers of epochs.
        let is_counted = model.as_mlp().is_some_and(|mlp| mlp.training.epochs == EPOCHS);
        Ok(Box::new(LockStepLearner { inner, engine: self.clone(), is_counted }))
    }
    fn trials_together(&self, _: &ModelSpec, _: Shape) -> usize {
        self.together
    }
    fn check(&self) -> Result<(), String> {
        if self.calls_left.load(Ordering::SeqCst) == 0 { Err("the device is lost".into()) } else { Ok(()) }
    }
}

struct LockStepLearner {
    inner: Box<dyn Learner>,
    engine: LockStep,
    is_counted: bool,
}

impl Learner for LockStepLearner {
    fn platform(&self) -> String {
        self.inner.platform()
    }

    fn fit_all(&self, jobs: &[FitJob<'_>], stop: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        if !self.is_counted {
            return self.inner.fit_all(jobs, stop);
        }
        assert!(jobs.iter().all(|job| job.labelled.len() == jobs[0].labelled.len()));
        self.engine.calls.lock().unwrap().push(jobs.len());
        let lost = |left: usize| left.checked_sub(1);
        let failed = |message: &str| Err(LearnError::Other { message: message.into() });
        if self.engine.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost).is_err() {
            return jobs.iter().map(|_| failed("the device is lost")).collect();
        }
        let faults: Vec<Fault> = jobs.iter().map(self.engine.fault).collect();
        if faults.contains(&Fault::Panics) {
            std::panic::resume_unwind(Box::new("a planted defect"));
        }
        let fits = self.inner.fit_all(jobs, stop).into_iter().zip(faults);
        fits.map(|(fit, fault)| if fault == Fault::Fails { failed("a planted failure") } else { fit }).collect()
    }
}

/// Epochs of the small sweep; no power of four, so that estimates are told apart.
pub const EPOCHS: usize = 8;

/// Counts events, and asks for a stop after so many entries.
#[derive(Debug, Default)]
pub struct Watch {
    pub entries: AtomicUsize,
    pub started: AtomicUsize,
    pub failed: AtomicUsize,
    pub stop_after: usize,
    pub stop: Stop,
}

impl Watch {
    pub fn stopping_after(entries: usize) -> Self {
        Self { stop_after: entries, ..Self::default() }
    }
}

impl Progress for Watch {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::RunStarted { .. } => {
                self.started.fetch_add(1, Ordering::SeqCst);
            }
            Event::EntryFinished { overall, .. } => {
                assert!((0.0..=1.0).contains(&overall.fraction));
                if self.entries.fetch_add(1, Ordering::SeqCst) + 1 == self.stop_after {
                    // Now and then at once: a training that is under way elsewhere then ends within an epoch.
                    self.stop.raise(if self.stop_after.is_multiple_of(2) { StopLevel::Now } else { StopLevel::Drain });
                }
            }
            Event::RunEnded { status: Status::Failed(_), .. } => {
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

pub const SMALL: &str = r#"
    name = "small"
    seeds = 2
    [protocol]
    initial = 10
    queries = 4
    steps = 2
    test_points = 60
    pool_ratios = [2, 3]
    [training]
    epochs = 8
    members = 2
    [[problem]]
    id = "sine"
    network = { hidden = [6, 6] }
    [[problem]]
    id = "robo"
    network = { hidden = [8] }
"#;

pub fn plan(text: &str) -> Plan {
    plan_with(text, &Toys::default())
}

/// Writes a user's problem, and its table of so many rows beside it.
pub fn table_problem(dir: &Path, n_rows: usize) -> std::path::PathBuf {
    let row = |i: usize| {
        let (a, b) = (i as f64 / n_rows as f64, (i * 7 % n_rows) as f64 / n_rows as f64);
        format!("{a},{},{}\n", 2.0 * b, a * b + a)
    };
    fs::write(dir.join("t.csv"), "a,b,y\n".to_owned() + &(0..n_rows).map(row).collect::<String>()).unwrap();
    let path = dir.join("problem.toml");
    let text = "name = \"mine\"\ninputs = [{ name = \"a\", low = 0.0, high = 1.0 }, { name = \"b\", low = 0.0, high = 2.0 }]\n\
                outputs = [{ name = \"y\" }]\n[oracle.table]\nfile = \"t.csv\"\n";
    fs::write(&path, text).unwrap();
    path
}

/// A sweep of the built-in catalogue.
pub fn plan_of(text: &str) -> Plan {
    plan_with(text, &built_in())
}

pub fn plan_with(text: &str, catalogue: &dyn Catalogue) -> Plan {
    match Sweep::parse(text, "test.toml").and_then(|sweep| sweep.resolve_with(catalogue)) {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    }
}

/// The small sweep with these strategies.
pub fn small(strategies: &[&str]) -> String {
    strategies.iter().fold(SMALL.to_owned(), |text, id| format!("{text}\n[[strategy]]\nid = \"{id}\"\n"))
}

pub fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path().join("store")).unwrap();
    (dir, store)
}

pub fn options(jobs: usize) -> RunOptions {
    RunOptions { jobs, ..RunOptions::default() }
}

/// Files that depend on the clock or the machine, or stand only for a run that can be taken up.
const APART: [&str; 4] = ["timing.jsonl", "provenance.json", "store.lock", "checkpoint.journal"];

/// Every file of a store but those.
pub fn deterministic(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for sub in ["", "runs", "sweeps"] {
        for entry in fs::read_dir(store.root().join(sub)).unwrap() {
            let path = entry.unwrap().path();
            let inside = if path.is_dir() && sub == "runs" {
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect()
            } else {
                vec![path]
            };
            for file in inside.into_iter().filter(|file| file.is_file()) {
                let name = file.strip_prefix(store.root()).unwrap().to_string_lossy().into_owned();
                if !APART.iter().any(|apart| name.ends_with(apart)) {
                    files.insert(name, fs::read(file).unwrap());
                }
            }
        }
    }
    files
}
