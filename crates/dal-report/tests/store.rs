//! A real store on disk, read and reported: finished, failed, unfinished, unstarted and damaged runs.

use std::fs;

use dal_report::{ReportOptions, RunStatus, load, write_report};
use dal_store::{
    Begin, Choice, EntryErrors, EntryRecord, EntryTiming, Failure, FailureKind, Machine, PlannedRun, PoolSpec,
    Provenance, RunKey, RunSpec, Store, StoreWriter, SweepRecord,
};

const STEPS: usize = 6;

fn key(strategy: &str, ratio: usize, seed: u64) -> RunKey {
    let mut spec = RunSpec::example();
    spec.strategy.id = strategy.into();
    spec.strategy.variant = strategy.into();
    spec.seed = seed;
    spec.protocol.steps = STEPS;
    spec.protocol.pool = PoolSpec::Uniform { ratio };
    RunKey::current(spec, "cpu/test")
}

fn record(t: usize, mse: f64) -> EntryRecord {
    let errors = EntryErrors { mse, mae: mse.sqrt(), p95_abs: 2.0 * mse.sqrt(), max_abs: 3.0 * mse.sqrt() };
    let mut record = EntryRecord::new(t, 80 + 40 * t, errors);
    record.choice = (t < STEPS).then(|| Choice {
        n_pool: 80,
        n_queries: 0,
        diversity: Some(0.1),
        score_error_correlation: None,
        n_ranked: 0,
        notes: vec!["a remark".into()],
    });
    record
}

/// Writes a run up to `entries`, and closes it unless it stays open.
fn write_run(writer: &StoreWriter, key: &RunKey, entries: usize, failure: Option<Failure>, rate: f64) {
    let Begin::Open(mut run) = writer.begin(key).unwrap() else { panic!("a fresh store") };
    for t in 0..entries {
        let timing = EntryTiming { entry: t, training: 0.5, sampling: 0.01, ..EntryTiming::default() };
        run.entry(record(t, rate.powi(t as i32)), Some(timing)).unwrap();
    }
    let provenance = Provenance {
        dal_version: "0.1.0".into(),
        command: vec!["dal".into(), "bench".into()],
        machine: Machine { cpu: "a processor".into(), n_cpus: 2, ..Machine::default() },
        ..Provenance::default()
    };
    match failure {
        Some(failure) => drop(run.fail(failure, &provenance).unwrap()),
        None if entries == STEPS + 1 => drop(run.finish(&provenance).unwrap()),
        None => drop(run),
    }
}

#[test]
fn every_kind_of_run_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path().join("store")).unwrap();
    let writer = store.lock().unwrap();
    let mut planned = Vec::new();
    for seed in 0..3 {
        for (strategy, ratio) in [("random", 1), ("gsx", 2), ("qbc", 2)] {
            let key = key(strategy, ratio, seed);
            planned.push(PlannedRun {
                id: key.id(),
                directory: key.directory_name(),
                problem: "sine".into(),
                strategy: strategy.into(),
                pool_ratio: Some(ratio),
                seed,
            });
            let broken = Failure { kind: FailureKind::Diverged, entry: 3, message: "loss is NaN".into() };
            match (strategy, seed) {
                ("qbc", 0) => write_run(&writer, &key, 3, Some(broken), 0.7),
                ("qbc", 1) => write_run(&writer, &key, 4, None, 0.7),
                ("qbc", 2) => {} // never started
                (_, _) => write_run(&writer, &key, STEPS + 1, None, if strategy == "gsx" { 0.7 } else { 0.8 }),
            }
        }
    }
    writer
        .record_sweep(&SweepRecord {
            name: "small".into(),
            title: String::new(),
            text: "name = \"small\"".into(),
            report: Default::default(),
            timing: false,
            runs: planned,
        })
        .unwrap();
    // One finished run is damaged afterwards.
    let hurt = dir.path().join("store/runs").join(key("gsx", 2, 1).directory_name()).join("records.jsonl");
    let text = fs::read_to_string(&hurt).unwrap();
    fs::write(&hurt, text.replacen("0.7", "0.6", 1)).unwrap();

    let data = load(&store).unwrap();
    assert_eq!(data.runs.len(), 9);
    let status = |strategy: &str, seed: u64| {
        &data.runs.iter().find(|r| r.strategy == strategy && r.seed == seed).unwrap().status
    };
    assert_eq!(status("gsx", 0), &RunStatus::Done);
    assert!(matches!(status("gsx", 1), RunStatus::Failed { reason } if reason.starts_with("cannot be read")));
    assert!(matches!(status("qbc", 0), RunStatus::Failed { reason } if reason.contains("loss is NaN")));
    assert_eq!(status("qbc", 1), &RunStatus::Partial);
    assert_eq!(status("qbc", 2), &RunStatus::Absent);
    assert_eq!(data.unreadable.len(), 1);
    assert_eq!(data.sweeps.len(), 1);
    let made: usize = data.provenance.iter().map(|(_, made)| made.runs).sum();
    assert_eq!(made, 6, "five that finished and can be read, and the failed one");

    let written = write_report(&data, &dir.path().join("report"), &ReportOptions::default()).unwrap();
    let part = &written.findings.parts[0];
    assert_eq!((part.counts.done, part.counts.failed, part.counts.partial, part.counts.absent), (5, 2, 1, 1));
    assert!(part.methods.iter().all(|m| m.cells[0][0].as_ref().unwrap().n_auc.value.is_none()));
    let page = fs::read_to_string(written.page).unwrap();
    for said in ["loss is NaN", "unfinished", "not started", "a remark", "Could not be read"] {
        assert!(page.contains(said), "{said}");
    }
}
