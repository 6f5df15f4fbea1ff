//! `dal bench run --engine tch` as a user meets it.
#![cfg(feature = "tch")]

mod common;

use common::{refuse, run, succeed, write};

const SWEEP: &str = r#"
name = "small"
seeds = 2

[protocol]
initial = 12
queries = 4
steps = 2
test_points = 50
pool_ratios = [2]

[training]
epochs = 20
members = 2

[[problem]]
id = "sine"
network = { hidden = [8, 8] }

[[strategy]]
id = "random"

[[strategy]]
id = "qbc"
"#;

#[test]
fn a_sweep_of_the_other_engine_is_run_on_this_one_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", SWEEP);
    let args = ["bench", "run", "sweep.toml", "--store", "store", "--engine", "tch"];
    let (code, _, stderr) = run(dir.path(), &[&args[..], &["--device", "cpu", "--together", "3"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("4 of 4 runs are finished"), "{stderr}");
    let again = succeed(dir.path(), &[&args[..], &["--plan"]].concat());
    assert!(again.contains("qbc"), "{again}");
    succeed(dir.path(), &["report", "store", "--out", "report"]);
}

#[test]
fn absent_devices_and_precisions_are_refused_before_anything_is_run() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", SWEEP);
    for (option, value, words) in [
        ("--device", "cuda:1000", &["--device: ", "cuda:1000"][..]),
        ("--device", "gpu", &["--device: ", "cuda:N"]),
        ("--precision", "f16", &["--precision: ", "f32, tf32 and bf16"]),
        ("--precision", "tf32", &["--precision: ", "CUDA"]),
    ] {
        refuse(
            dir.path(),
            &["bench", "run", "sweep.toml", "--store", "store", "--engine", "tch", option, value],
            words,
        );
        assert!(!dir.path().join("store").exists());
    }
}
