//! What a caller adds without a change to any crate: a model kind that is no network, and a problem whose ensemble has
//! seven members.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{built_in, deterministic, options, store};
use dal_bench::{BuiltIn, Catalogue, FoundStrategy, Silent, Sweep, clock, run};
use dal_core::model::BatchNormSpec;
use dal_core::{
    Clock, Engine, EngineCard, FitJob, Labelled, LearnError, Learner, MlpEnsemble, ModelSpec, Moments, OnRow, Oracle,
    OracleError, SettingError, Settings, Shape, Space, Stop, Surrogate, SurrogateError, Uncertainty, check_unit_box,
};
use dal_oracles::card::{Card, InputCard, Knowledge, OutputCard, PublishedCard};
use dal_oracles::problems::{Built, Definition};
use dal_oracles::{Problem, find_in};
use dal_store::{Status, Store};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis};
use serde_json::{Value, json};

/// The mean of the `k` nearest labels is the prediction, their spread the variance; there are no members.
struct Nearest {
    labelled: Labelled,
    k: usize,
}

impl Nearest {
    /// The labels of the nearest points, nearest first; ties go to the point that was labelled first.
    fn neighbours(&self, x: ArrayView1<'_, f64>) -> Vec<usize> {
        let distance = |i: usize| self.labelled.x().row(i).iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let mut order: Vec<usize> = (0..self.labelled.len()).collect();
        order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
        (0..self.k).map(|j| order[j.min(order.len() - 1)]).collect()
    }

    /// Shape (k, n, n_outputs).
    fn answers(&self, x: ArrayView2<'_, f64>) -> Array3<f64> {
        let mut answers = Array3::zeros((self.k, x.nrows(), self.n_outputs()));
        for (row, point) in x.outer_iter().enumerate() {
            for (j, i) in self.neighbours(point).into_iter().enumerate() {
                answers.slice_mut(ndarray::s![j, row, ..]).assign(&self.labelled.y().row(i));
            }
        }
        answers
    }
}

impl Surrogate for Nearest {
    fn n_inputs(&self) -> usize {
        self.labelled.n_inputs()
    }
    fn n_outputs(&self) -> usize {
        self.labelled.n_outputs()
    }
    fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Ok(self.moments(x)?.mean)
    }
    fn uncertainty(&self) -> Option<&dyn Uncertainty> {
        Some(self)
    }
}

impl Uncertainty for Nearest {
    fn moments(&self, x: ArrayView2<'_, f64>) -> Result<Moments, SurrogateError> {
        let answers = self.answers(x);
        let mean = answers.sum_axis(Axis(0)) / self.k as f64;
        let variance = (&answers - &mean).mapv(|d| d * d).sum_axis(Axis(0)) / self.k as f64;
        Ok(Moments { mean, variance })
    }
}

struct NearestLearner {
    k: usize,
}

impl Learner for NearestLearner {
    fn platform(&self) -> String {
        "nearest/1".into()
    }
    fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
        let fit = |job: &FitJob<'_>| {
            let needs = job.needs;
            if needs.committee
                || needs.tangent
                || needs.input_gradient
                || needs.dropout.is_some()
                || needs.loss_head.is_some()
            {
                return Err(LearnError::Unsupported {
                    message: "neighbours have neither members nor gradients".into(),
                });
            }
            Ok(Box::new(Nearest { labelled: job.labelled.clone(), k: self.k }) as Box<dyn Surrogate>)
        };
        jobs.iter().map(fit).collect()
    }
}

#[derive(Debug)]
struct NearestEngine;

impl Engine for NearestEngine {
    fn id(&self) -> &str {
        NEAREST.id
    }
    fn learner(&self, model: &ModelSpec, _: Shape) -> Result<Box<dyn Learner>, SettingError> {
        let ModelSpec::Other { settings, .. } = model else {
            return Err(SettingError::new("kind", "only neighbours are trained here"));
        };
        match settings.get("k").and_then(Value::as_u64) {
            Some(k @ 1..=1000) => Ok(Box::new(NearestLearner { k: k as usize })),
            _ => Err(SettingError::new("k", "`k` takes a whole number from 1 to 1000")),
        }
    }
}

/// The new kind's line in the list of engines; sweeps of networks and of neighbours name the same engine.
const NEAREST: EngineCard = EngineCard {
    id: "cpu",
    kinds: &["nearest"],
    title: "nearest neighbours",
    open: |_, _| Ok(Arc::new(NearestEngine)),
};
static WITH_NEAREST: &[EngineCard] = &[dal_nn::CPU, NEAREST];

const SWEEP: &str = r#"
    name = "neighbours"
    seeds = 2
    [protocol]
    initial = 12
    queries = 4
    steps = 2
    test_points = 60
    pool_ratios = [4]
    [training]
    epochs = 4
    members = 2
    [[problem]]
    id = "robo"
    model = { kind = "nearest", k = 3 }
    skip = ["emoc"]
    [[problem]]
    id = "sine"
    network = { hidden = [6] }
    [[strategy]]
    id = "random"
    [[strategy]]
    id = "qbc-diversity"
    [[strategy]]
    id = "emoc"
"#;

fn with_nearest() -> BuiltIn {
    BuiltIn { engines: WITH_NEAREST, clock: clock() }
}

fn finished(jobs: usize) -> (tempfile::TempDir, Store) {
    let plan = Sweep::parse(SWEEP, "a.toml").unwrap().resolve_with(&with_nearest()).unwrap();
    let (dir, store) = store();
    assert!(plan.estimate(1, None).unwrap().cpu_seconds > 0.0);
    let summary = run(&plan, &store, &options(jobs), &Silent, &Stop::new()).unwrap();
    assert_eq!((summary.finished, summary.failed.len()), (2 * (2 + 3), 0), "{:?}", summary.failed);
    (dir, store)
}

#[test]
fn a_surrogate_that_is_no_network_runs_through_a_sweep() {
    let (_dir, store) = finished(1);
    let mut n_nearest = 0;
    for run in store.runs().unwrap().map(Result::unwrap) {
        assert_eq!((run.status(), run.records().unwrap().len()), (&Status::Done, 3));
        let spec = run.spec();
        if spec.problem.id == "robo" {
            n_nearest += 1;
            assert_eq!(spec.network, json!({"kind": "nearest", "k": 3}));
            assert_eq!((&*spec.training, spec.preset.as_str(), spec.engine.as_str()), (&Value::Null, "sweep", "cpu"));
            assert_eq!(run.key().platform, "nearest/1");
        } else {
            assert_eq!(spec.training["n_members"], 2);
        }
    }
    assert_eq!(n_nearest, 2 * 2);
    let (_dir, again) = finished(3);
    assert!(deterministic(&store) == deterministic(&again));
}

#[test]
fn what_is_wrong_with_another_kind_has_its_place() {
    let error = |from: &str, to: &str| {
        let text = SWEEP.replacen(from, to, 1);
        assert_ne!(text, SWEEP);
        Sweep::parse(&text, "a.toml").unwrap().resolve_with(&with_nearest()).unwrap_err().to_string()
    };
    let message = error("k = 3", "k = 0");
    assert!(message.starts_with("a.toml:15: problem[0].model.k: `k` takes"), "{message}");
    let message = error("\"nearest\"", "\"neighbors\"");
    assert!(message.starts_with("a.toml:15: problem[0].model.kind: ") && message.contains("nearest"), "{message}");
    // What the kind cannot offer surfaces while resolving.
    let message = error("skip = [\"emoc\"]", "");
    assert!(message.contains("emoc") && message.contains("nor gradients"), "{message}");
    let message = error("skip = [\"emoc\"]", "training = { epochs = 3 }");
    assert!(message.starts_with("a.toml:16: problem[0].training: "), "{message}");
    // Networks alone know nothing of the kind.
    let networks = Sweep::parse(SWEEP, "a.toml").unwrap().resolve_with(&built_in()).unwrap_err().to_string();
    assert!(networks.contains("trains no models of kind `nearest`"), "{networks}");
}

/// y = x₀², learned by seven members.
static SQUARE: Definition = Definition {
    card: Card {
        id: "square",
        title: "A parabola",
        formula: "y = x_0^2",
        inputs: &[InputCard { name: "x", unit: "1", low: -1.0, high: 1.0, integer: false }],
        outputs: OutputCard { n: 1, name: "y", unit: "1", along: "" },
        source: "a test",
        licence: "MIT OR Apache-2.0",
        settings: &[],
        published: PublishedCard {
            model: MlpEnsemble::of(&[8], Some(BatchNormSpec::RUNNING), 1e-3, 0.0).with_members(7),
            known: Knowledge::Published,
            note: "",
        },
        tuned: None,
        difficulty: &[],
    },
    build: |_| Ok(Built { space: Space::continuous_unit(1), oracle: Arc::new(Square) }),
};

#[derive(Debug)]
struct Square;

impl Oracle for Square {
    fn n_inputs(&self) -> usize {
        1
    }
    fn n_outputs(&self) -> usize {
        1
    }
    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, 1)?;
        for (i, row) in x.outer_iter().enumerate() {
            if on_row(i, Ok(&[row[0] * row[0]])).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The test's problem, and the rest of the built-in catalogue.
struct Squares(BuiltIn);

impl Catalogue for Squares {
    fn problem(&self, id: &str, settings: &Settings, _: &Path) -> Result<Problem, SettingError> {
        find_in(&[&SQUARE], id, settings)
    }
    fn strategy(&self, id: &str, settings: &Settings) -> Result<FoundStrategy, SettingError> {
        self.0.strategy(id, settings)
    }
    fn engines(&self) -> &[EngineCard] {
        self.0.engines
    }
    fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

#[test]
fn a_problem_says_in_its_definition_how_many_members_it_is_learned_with() {
    let text = "name = \"p\"\nseeds = 1\n[[problem]]\nid = \"square\"\n[[strategy]]\nid = \"random\"\n";
    let plan = Sweep::parse(text, "a.toml").unwrap().resolve_with(&Squares(built_in())).unwrap();
    assert_eq!(plan.trials()[0].spec().training["n_members"], 7);
    assert!(plan.record().departures.is_empty(), "{:?}", plan.record().departures);
}
