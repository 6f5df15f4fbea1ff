//! Outputs in users' units: what is learned does not depend on them, and the specification says what was done.

mod common;

use std::fs;

use common::{built_in, store, table_problem};
use dal_bench::{RunOptions, Silent, Sweep, clock};
use dal_core::outputs::{OutputScaling, OutputTransform, OutputUnits};
use dal_core::{Engine, FitJob, Labelled, MlpEnsemble, Needs, SeedPath, Shape, Space, Stop};
use dal_nn::CpuEngine;
use ndarray::{Array2, ArrayView1, Axis};

/// A damped oscillation of two inputs, and one out of phase.
fn oscillator(x: ArrayView1<'_, f64>) -> [f64; 2] {
    let envelope = (-0.5 * (x[0] + 1.0)).exp();
    [envelope * (3.0 * x[0] + x[1]).sin(), envelope * (2.0 * x[0] - 1.5 * x[1]).cos()]
}

/// 1 − MSE / variance of each output at points apart, after training on so many outputs in these units.
fn r2(units: &[(f64, f64)]) -> Vec<f64> {
    let space = Space::continuous_unit(2);
    let label = |x: &Array2<f64>| {
        Array2::from_shape_fn((x.nrows(), units.len()), |(i, k)| {
            let (factor, offset) = units[k];
            offset + factor * oscillator(x.row(i))[k]
        })
    };
    let x = space.sample(120, &SeedPath::root(1));
    let labelled = Labelled::new(x.clone(), label(&x)).unwrap();
    let mut model = MlpEnsemble::of(&[24, 24], None, 1e-2, 0.0).with_members(2);
    model.training.epochs = 300;
    let engine = CpuEngine::new(Some(clock()));
    let inner = engine.learner(&model.into(), Shape { n_inputs: 2, n_outputs: units.len() }).unwrap();
    let standardised = OutputUnits { transform: OutputTransform::None, standardise: true };
    let learner = OutputScaling::new(vec![standardised; units.len()]).learner(inner);
    let jobs = [FitJob { labelled: &labelled, needs: &Needs::default(), seeds: SeedPath::root(2) }];
    let model = learner.fit_all(&jobs, &Stop::new()).pop().unwrap().unwrap();
    let test = space.sample(300, &SeedPath::root(3));
    let (predicted, truth) = (model.mean(test.view()).unwrap(), label(&test));
    let mse = (&predicted - &truth).mapv(|d| d * d).mean_axis(Axis(0)).unwrap();
    (1.0 - mse / truth.var_axis(Axis(0), 0.0)).to_vec()
}

#[test]
fn an_oscillator_is_learned_alike_whatever_its_unit() {
    let plain = r2(&[(1.0, 0.0)])[0];
    assert!(plain > 0.95, "{plain}");
    for units in [(1e-3, 0.0), (1e2, 0.0), (1e4, 0.0), (1.0, 1e6)] {
        let other = r2(&[units])[0];
        // Labels in model units agree but for rounding, which training amplifies.
        assert!((1.0 - other) < 1.5 * (1.0 - plain) + 1e-4, "{other} in units {units:?}, {plain} without");
        assert!((1.0 - plain) < 1.5 * (1.0 - other) + 1e-4, "{other} in units {units:?}, {plain} without");
    }
}

#[test]
fn two_outputs_of_units_far_apart_are_both_learned() {
    let both = r2(&[(1e4, 0.0), (1.0, 300.0)]);
    assert!(both.iter().all(|r2| *r2 > 0.9), "{both:?}");
}

/// Everything but the outputs' keys is that of a problem file; errors are in the outputs' own units.
#[test]
fn runs_of_users_problems_say_how_outputs_were_learned() {
    let text = |keys: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = table_problem(dir.path(), 90);
        let problem =
            fs::read_to_string(&path).unwrap().replace("{ name = \"y\" }", &format!("{{ name = \"y\"{keys} }}"));
        fs::write(&path, problem).unwrap();
        let sweep = "name = \"s\"\nseeds = 1\n[protocol]\ninitial = 20\nqueries = 5\nsteps = 1\ntest_points = 20\n\
                     [training]\nepochs = 40\nmembers = 2\n[[problem]]\nid = \"problem.toml\"\n\
                     network = { hidden = [16], batch_norm = false }\n[[strategy]]\nid = \"gsy\"\n";
        let plan = Sweep::parse(sweep, dir.path().join("a.toml")).unwrap().resolve_with(&built_in()).unwrap();
        (dir, plan)
    };
    let outputs = |keys: &str| text(keys).1.trials()[0].spec().outputs.as_deref().cloned();
    let units = |transform: serde_json::Value| serde_json::json!([{ "standardise": true, "transform": transform }]);
    assert_eq!(outputs(""), Some(units("none".into())));
    assert_eq!(outputs(", transform = { asinh = 0.1 }"), Some(units(serde_json::json!({ "asinh": 0.1 }))));
    assert_eq!(outputs(", standardise = false"), None);
    let (_dir, plan) = text("");
    let (_kept, store) = store();
    dal_bench::run(&plan, &store, &RunOptions::default(), &Silent, &Stop::new()).unwrap();
    let run = store.runs().unwrap().next().unwrap().unwrap();
    let records = run.records().unwrap();
    assert_eq!(records.len(), 2);
    // The outputs spread over [0, 2): errors in model units would be those of a variance of one.
    assert!(records.iter().all(|record| record.errors.max_abs < 2.0), "{records:?}");
}
