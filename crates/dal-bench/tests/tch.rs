//! Sweeps on the engine on libtorch: the same files as any engine leaves, in groups, stopped and taken up.
#![cfg(feature = "tch")]

mod common;

use dal_core::Stop;

use common::{Toys, Watch, deterministic, options, plan, small, store};
use dal_bench::{RunOptions, Silent, Sweep, run};
use dal_store::Status;

fn text() -> String {
    small(&["random", "far", "vary", "dropout"]).replace("seeds = 2", "seeds = 2\nengine = \"tch\"")
}

#[test]
fn a_sweep_runs_in_groups_and_agrees_with_the_other_engine() {
    let (_dir, store) = store();
    let plan_of_tch = plan(&text());
    assert_eq!(plan_of_tch.problems()[0].engine().id(), "tch");
    let summary = run(&plan_of_tch, &store, &options(1), &Silent, &Stop::new()).unwrap();
    assert_eq!((summary.finished, summary.left()), (28, 0));
    let (_dir, other) = common::store();
    run(&plan(&text().replace("tch", "cpu")), &other, &options(1), &Silent, &Stop::new()).unwrap();
    let of_cpu: Vec<_> = other.runs().unwrap().map(Result::unwrap).collect();
    for run in store.runs().unwrap().map(Result::unwrap) {
        assert_eq!(*run.status(), Status::Done);
        assert_eq!(run.spec().engine, "tch");
        assert!(run.key().platform.starts_with("tch/") && run.key().platform.contains("cpu"), "{}", run.key().platform);
        let provenance = run.provenance().unwrap().unwrap();
        assert_eq!((provenance.device.as_str(), provenance.group), ("cpu", 14));
        assert!(run.timings().unwrap().iter().all(|timing| timing.trained_together == 14));
        // Eight epochs are too few for rounding to grow far: the first models are nearly those of the other engine.
        let same = of_cpu.iter().find(|other| other.spec().label() == run.spec().label()).unwrap();
        let (found, due) = (&run.records().unwrap()[0], &same.records().unwrap()[0]);
        assert!((found.errors.mse / due.errors.mse - 1.0).abs() < 1e-2, "{} {}", found.errors.mse, due.errors.mse);
    }
}

#[test]
fn the_same_groups_give_the_same_bytes_and_a_stopped_sweep_goes_on() {
    // Alone, a trial's results depend on nothing else.
    let alone = RunOptions { together: Some(1), ..options(1) };
    let sweep = plan(&text());
    let (_dir, expected) = store();
    run(&sweep, &expected, &alone, &Silent, &Stop::new()).unwrap();
    let (_dir, stopped) = store();
    let watch = Watch::stopping_after(5);
    let summary = run(&sweep, &stopped, &alone, &watch, &watch.stop).unwrap();
    assert!(summary.stopped);
    let summary = run(&sweep, &stopped, &RunOptions { jobs: 2, ..alone }, &Silent, &Stop::new()).unwrap();
    assert_eq!(summary.left(), 0);
    assert!(deterministic(&stopped) == deterministic(&expected));
}

#[test]
fn devices_and_precisions_that_are_not_there_are_mistakes_of_the_sweep_file() {
    let cases = [
        ("device", "cuda:1000", "cuda:1000"),
        ("device", "gpu", "cuda:N"),
        ("precision", "f16", "bf16"),
        ("precision", "tf32", "CUDA"),
    ];
    for (key, value, words) in cases {
        let text = text().replace("engine = \"tch\"", &format!("engine = \"tch\"\n{key} = \"{value}\""));
        let error = Sweep::parse(&text, "a.toml").unwrap().resolve_with(&Toys::default()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a.toml:5: {key}: ")) && error.contains(words), "{error}");
    }
}

/// Another precision is another platform: its runs are others, and the store keeps both.
#[test]
fn a_precision_is_part_of_the_platform() {
    let Ok(rounded) = Sweep::parse(&text(), "a.toml").unwrap().with_precision("bf16").resolve_with(&Toys::default())
    else {
        eprintln!("not run: this processor has no bf16");
        return;
    };
    let (_dir, store) = store();
    for plan in [plan(&text()), rounded] {
        run(&plan, &store, &options(1), &Silent, &Stop::new()).unwrap();
    }
    let runs: Vec<_> = store.runs().unwrap().map(Result::unwrap).collect();
    let of_bf16 = runs.iter().filter(|run| run.key().platform.contains("/bf16/")).count();
    assert_eq!((runs.len(), of_bf16), (56, 28));
    assert!(runs.iter().all(|run| *run.status() == Status::Done));
}
