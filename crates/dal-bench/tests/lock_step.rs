//! Trials driven in groups, as engines that train in lock step want them: the records are those of single runs,
//! whatever happens.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{EPOCHS, Fault, LockStep, Watch, deterministic, options, plan, plan_with, small, store};
use dal_bench::{BenchError, RunOptions, Silent, Summary, run};
use dal_core::{FitJob, Stop, TrialSeeds};
use dal_store::{FailureKind, Status, Store};

/// The sweep of these tests: seven trials of each problem and seed.
fn text() -> String {
    assert!(common::SMALL.contains(&format!("epochs = {EPOCHS}")));
    small(&["random", "far", "vary", "dropout"])
}
const PER_PROBLEM: usize = 2 * 7;

/// The files of single runs.
fn expected(text: &str) -> BTreeMap<String, Vec<u8>> {
    let (_dir, store) = store();
    run(&plan(text), &store, &options(1), &Silent, &Stop::new()).unwrap();
    deterministic(&store)
}

fn run_with(engine: LockStep, text: &str, store: &Store, options: &RunOptions) -> Result<Summary, BenchError> {
    run(&plan_with(text, &engine.toys()), store, options, &Silent, &Stop::new())
}

fn assert_same(store: &Store, expected: &BTreeMap<String, Vec<u8>>) {
    let found = deterministic(store);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &found {
        assert!(bytes == &expected[name], "{name} differs");
    }
}

#[test]
fn all_trials_of_a_problem_train_together_and_their_records_are_those_of_single_runs() {
    let text = text();
    let (_dir, store) = store();
    let engine = LockStep::new(1000);
    let calls = Arc::clone(&engine.calls);
    let summary = run_with(engine, &text, &store, &options(1)).unwrap();
    assert_eq!((summary.finished, summary.left()), (2 * PER_PROBLEM, 0));
    // Three entries of two problems, one call each.
    assert_eq!(*calls.lock().unwrap(), [PER_PROBLEM; 2 * 3]);
    assert_same(&store, &expected(&text));
    for run in store.runs().unwrap().map(Result::unwrap) {
        let provenance = run.provenance().unwrap().unwrap();
        assert_eq!((provenance.group, provenance.device.as_str()), (PER_PROBLEM, "fake:0"));
        assert!(run.timings().unwrap().iter().all(|timing| timing.trained_together == PER_PROBLEM));
    }
}

#[test]
fn no_group_is_larger_than_asked_and_every_worker_has_one() {
    let text = text();
    let expected = expected(&text);
    // What the engine likes, what the user allows, workers, the largest call that is due.
    for (together, allowed, jobs, largest) in [
        (5, None, 1, 5),
        (6, None, 3, 5),
        (1000, Some(4), 2, 4),
        (1000, Some(1), 2, 1),
        (1000, None, 2, PER_PROBLEM),
        (1000, None, 2 * PER_PROBLEM, 1),
    ] {
        let (_dir, store) = store();
        let engine = LockStep::new(together);
        let calls = Arc::clone(&engine.calls);
        let options = RunOptions { together: allowed, ..options(jobs) };
        run_with(engine, &text, &store, &options).unwrap();
        let calls = calls.lock().unwrap();
        assert_eq!(calls.iter().max(), Some(&largest), "{together}, {allowed:?}, {jobs}");
        assert_eq!(calls.iter().sum::<usize>(), 2 * PER_PROBLEM * 3, "nothing is trained twice");
        assert_same(&store, &expected);
    }
    let (_dir, store) = store();
    let engine = LockStep::new(1000);
    let calls = Arc::clone(&engine.calls);
    run_with(engine, &text.replace("seeds = 2", "seeds = 2\ntiming = true"), &store, &options(4)).unwrap();
    assert_eq!(calls.lock().unwrap().iter().max(), Some(&1), "timings are taken one trial at a time");
}

#[test]
fn stopped_anywhere_and_taken_up_in_other_groups() {
    let text = text();
    let expected = expected(&text);
    for stop_after in [1, PER_PROBLEM, 2 * PER_PROBLEM + 3, 5 * PER_PROBLEM] {
        let (_dir, store) = store();
        let engine = LockStep::new(1000);
        let calls = Arc::clone(&engine.calls);
        let watch = Watch::stopping_after(stop_after);
        let summary = run(&plan_with(&text, &engine.toys()), &store, &options(1), &watch, &watch.stop).unwrap();
        assert!(summary.stopped && summary.left() > 0);
        // What is trained already is recorded, and nothing more is trained.
        let trained = stop_after.div_ceil(PER_PROBLEM);
        assert_eq!(calls.lock().unwrap().len(), trained, "{stop_after}");
        let before = watch.entries.load(Ordering::SeqCst);
        assert!(before >= stop_after && before <= trained * PER_PROBLEM);
        let engine = LockStep::new(3);
        let watch = Watch::default();
        let summary = run(&plan_with(&text, &engine.toys()), &store, &options(2), &watch, &watch.stop).unwrap();
        assert_eq!(summary.left(), 0);
        assert_same(&store, &expected);
    }
}

#[test]
fn one_failing_trial_among_many_fails_alone_and_can_be_taken_up() {
    let text = text();
    let (_dir, store) = store();
    // The dropout trials of sine, seed 1, at the second entry, both pool ratios.
    let fault = |job: &FitJob<'_>| {
        let seeds = TrialSeeds::new("sine", 1).fit(1);
        let hit = job.needs.dropout.is_some() && job.seeds.philox().key() == seeds.philox().key();
        if hit { Fault::Fails } else { Fault::None }
    };
    let engine = LockStep { fault, ..LockStep::new(1000) };
    let calls = Arc::clone(&engine.calls);
    let summary = run_with(engine, &text, &store, &options(1)).unwrap();
    assert_eq!((summary.failed.len(), summary.finished), (2, 2 * PER_PROBLEM - 2));
    let mut sizes = calls.lock().unwrap().clone();
    sizes.sort_unstable();
    assert_eq!(sizes, [PER_PROBLEM - 2, PER_PROBLEM, PER_PROBLEM, PER_PROBLEM, PER_PROBLEM, PER_PROBLEM]);
    for failed in &summary.failed {
        assert_eq!((failed.failure.kind, failed.failure.entry), (FailureKind::Training, 1));
        assert!(failed.failure.message.contains("a planted failure"), "{}", failed.failure.message);
    }
    for run in store.runs().unwrap().map(Result::unwrap) {
        let n_due = if matches!(run.status(), Status::Failed(_)) { 1 } else { 3 };
        assert_eq!(run.records().unwrap().len(), n_due);
    }
    let retry = RunOptions { retry_failed: true, ..options(1) };
    let summary = run_with(LockStep::new(1000), &text, &store, &retry).unwrap();
    assert_eq!((summary.finished, summary.left()), (2, 0));
    assert_same(&store, &expected(&text));
}

#[test]
fn a_lost_device_fails_what_it_was_training_and_ends_the_sweep_there() {
    let text = text();
    let expected = expected(&text);
    for calls_left in [0, 2, 4] {
        let (_dir, store) = store();
        let engine = LockStep { calls_left: Arc::new(AtomicUsize::new(calls_left)), ..LockStep::new(1000) };
        let calls = Arc::clone(&engine.calls);
        let error = run_with(engine, &text, &store, &options(1)).unwrap_err();
        assert!(matches!(&error, BenchError::Engine { reason, .. } if reason.contains("lost")), "{error}");
        assert_eq!(calls.lock().unwrap().len(), calls_left + 1, "nothing is trained on a lost device");
        let runs: Vec<_> = store.runs().unwrap().map(Result::unwrap).collect();
        assert_eq!(runs.len(), PER_PROBLEM * (1 + calls_left / 3));
        for run in runs {
            match run.status() {
                Status::Failed(failure) => {
                    assert_eq!((failure.kind, failure.entry), (FailureKind::Training, calls_left % 3));
                    assert_eq!(run.records().unwrap().len(), calls_left % 3, "the checkpoint is intact");
                }
                status => assert_eq!(*status, Status::Done),
            }
        }
        let retry = RunOptions { retry_failed: true, ..options(2) };
        let summary = run_with(LockStep::new(1000), &text, &store, &retry).unwrap();
        assert_eq!((summary.left(), summary.failed.len()), (0, 0));
        assert_same(&store, &expected);
    }
}

#[test]
fn a_panic_in_the_engine_is_traced_to_its_trial_and_the_others_go_on_together() {
    let text = text();
    let (_dir, store) = store();
    let fault = |job: &FitJob<'_>| {
        let seeds = TrialSeeds::new("robo", 0).fit(2);
        let hit = job.needs.dropout.is_some() && job.seeds.philox().key() == seeds.philox().key();
        if hit { Fault::Panics } else { Fault::None }
    };
    let engine = LockStep { fault, ..LockStep::new(1000) };
    let calls = Arc::clone(&engine.calls);
    let summary = run_with(engine, &text, &store, &options(1)).unwrap();
    assert_eq!((summary.failed.len(), summary.finished), (2, 2 * PER_PROBLEM - 2));
    for failed in &summary.failed {
        assert_eq!((failed.failure.kind, failed.failure.entry), (FailureKind::Panic, 2));
        assert_eq!(failed.failure.message, "a planted defect");
    }
    // Halving finds two of fourteen in a few calls; running each alone would take as many as there are trials.
    assert!(calls.lock().unwrap().len() < 2 * 3 + PER_PROBLEM, "{:?}", calls.lock().unwrap());
    let retry = RunOptions { retry_failed: true, ..options(1) };
    run_with(LockStep::new(1000), &text, &store, &retry).unwrap();
    assert_same(&store, &expected(&text));
}
