//! Sweeps from plan to store: equal bytes whatever happens on the way, and failures that stay where they belong.

mod common;

use dal_core::Stop;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Together, Toys, Watch, built_in, deterministic, options, plan, plan_with, small, store, table_problem};
use dal_bench::{Event, Plan, Progress, RunOptions, Silent, Sweep, run};
use dal_core::SeedPath;
use dal_store::{FailureKind, RunKey, Status, Store};
use rand::RngExt;

/// The files of the sweep run undisturbed on one worker.
fn undisturbed(text: &str) -> BTreeMap<String, Vec<u8>> {
    let (_dir, store) = store();
    run(&plan(text), &store, &options(1), &Silent, &Stop::new()).unwrap();
    deterministic(&store)
}

fn assert_same(store: &Store, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    let found = deterministic(store);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{context}");
    for (name, bytes) in &found {
        assert!(bytes == &expected[name], "{context}: {name} differs");
    }
}

#[test]
fn workers_and_groups_change_no_byte() {
    let text = small(&["random", "far", "vary"]);
    let expected = undisturbed(&text);
    assert_eq!(expected.keys().filter(|name| name.ends_with("footer.json")).count(), 2 * 2 * (1 + 2 + 2));
    for (jobs, together) in [(4, 1), (2, 3), (1, 64)] {
        let (_dir, store) = store();
        let toys = Toys { engine: Some(Arc::new(Together(together))), ..Toys::default() };
        let summary = run(&plan_with(&text, &toys), &store, &options(jobs), &Silent, &Stop::new()).unwrap();
        assert_eq!((summary.finished, summary.left(), summary.failed.len()), (20, 0, 0));
        assert_same(&store, &expected, &format!("{jobs} workers, groups of {together}"));
    }
}

#[test]
fn stopped_and_torn_anywhere_the_rest_is_done_and_nothing_else() {
    let text = small(&["random", "vary"]);
    let expected = undisturbed(&text);
    let n_entries = 2 * 2 * (1 + 2) * 3;
    let mut rng = SeedPath::root(1).rng();
    // Before the last entry only a worker by itself is sure to stop: others would be at it already.
    for (stop_after, jobs) in [(1, 2), (2, 3), (3, 1), (5, 3), (8, 3), (n_entries - 1, 1)] {
        let (_dir, store) = store();
        let plan = plan(&text);
        let watch = Watch::stopping_after(stop_after);
        let summary = run(&plan, &store, &options(jobs), &watch, &watch.stop).unwrap();
        assert!(summary.stopped && summary.left() > 0, "{stop_after}");
        let before = watch.entries.load(Ordering::SeqCst);
        assert!(before < stop_after + jobs, "a worker ends after the entry it is at");
        // What a kill in the middle of a write leaves: a journal cut anywhere, a directory that is not born yet.
        let mut torn = false;
        for run in store.runs().unwrap().map(Result::unwrap) {
            let journal = run.directory().join("checkpoint.journal");
            if let (Ok(bytes), Status::Partial { .. }) = (fs::read(&journal), run.status()) {
                fs::write(&journal, &bytes[..rng.random_range(0..=bytes.len())]).unwrap();
                torn = true;
            }
        }
        fs::create_dir(store.root().join("runs/.half")).unwrap();
        fs::write(store.root().join("runs/.half/spec.json.tmp"), "{").unwrap();
        let watch = Watch::default();
        let summary = run(&plan, &store, &options(2), &watch, &watch.stop).unwrap();
        assert_eq!((summary.left(), summary.skipped + summary.finished), (0, summary.planned));
        let after = watch.entries.load(Ordering::SeqCst);
        assert!(torn || before + after == n_entries, "{before} and {after} of {n_entries}");
        fs::remove_dir_all(store.root().join("runs/.half")).unwrap();
        assert_same(&store, &expected, &format!("stopped after {stop_after}"));
    }
}

#[test]
fn a_finished_sweep_is_only_looked_at() {
    let (_dir, store) = store();
    let plan = plan(&small(&["far"]));
    let watch = Watch::default();
    run(&plan, &store, &options(2), &watch, &watch.stop).unwrap();
    let estimate = plan.estimate(2, Some(&store)).unwrap();
    assert_eq!((estimate.to_do(), estimate.done, estimate.entries), (0, 8, 0));
    assert_eq!(estimate.cpu_seconds, 0.0);
    let again = Watch::default();
    let summary = run(&plan, &store, &options(2), &again, &again.stop).unwrap();
    assert_eq!((summary.skipped, summary.finished), (8, 0));
    assert_eq!(again.started.load(Ordering::SeqCst), 0);
}

#[test]
fn an_estimate_counts_what_is_left() {
    let (_dir, store) = store();
    let plan = plan(&small(&["far", "vary"]));
    let fresh = plan.estimate(1, None).unwrap();
    assert_eq!((fresh.planned, fresh.to_do(), fresh.entries), (16, 16, 48));
    assert!(fresh.cpu_seconds > 0.0);
    let watch = Watch::stopping_after(4);
    run(&plan, &store, &options(1), &watch, &watch.stop).unwrap();
    let left = plan.estimate(1, Some(&store)).unwrap();
    assert_eq!((left.done, left.partial, left.entries), (1, 1, 44));
}

#[test]
fn runs_of_one_seed_start_from_the_same_model() {
    let (_dir, store) = store();
    run(&plan(&small(&["random", "far", "vary"])), &store, &options(2), &Silent, &Stop::new()).unwrap();
    let mut first_errors: BTreeMap<(String, u64), Vec<f64>> = BTreeMap::new();
    for run in store.runs().unwrap().map(Result::unwrap) {
        let records = run.records().unwrap();
        let key = (run.spec().problem.id.clone(), run.spec().seed);
        first_errors.entry(key).or_default().push(records[0].errors.mse);
        assert_eq!(records.iter().map(|r| r.n_labelled).collect::<Vec<_>>(), [10, 14, 18]);
        assert_eq!(run.queries().unwrap().nrows(), 8);
        assert_eq!(run.timings().unwrap().len(), 3);
        let choice = records[0].choice.clone().unwrap();
        assert_eq!(choice.n_pool, 4 * run.spec().pool_ratio().unwrap());
        let has_score = run.spec().strategy.id != "random";
        assert_eq!(choice.score_error_correlation.is_some(), has_score);
        assert!(choice.diversity.is_some() && records[2].choice.is_none());
    }
    assert_eq!(first_errors.len(), 4);
    for errors in first_errors.values() {
        assert_eq!(errors.len(), 5, "random once, the others at two pool ratios");
        assert!(errors.iter().all(|e| e == &errors[0]));
    }
    assert_eq!(store.sweeps().unwrap()[0].as_ref().unwrap().runs.len(), 20);
}

#[test]
fn a_panic_fails_its_run_alone_also_within_a_group() {
    let text = small(&["panics", "far"]);
    for together in [1, 4] {
        let (_dir, store) = store();
        let watch = Watch::default();
        let toys = Toys { engine: Some(Arc::new(Together(together))), ..Toys::default() };
        let plan = plan_with(&text, &toys);
        let summary = run(&plan, &store, &options(2), &watch, &watch.stop).unwrap();
        assert_eq!((summary.finished, summary.failed.len(), summary.left()), (8, 8, 0));
        assert_eq!(watch.failed.load(Ordering::SeqCst), 8);
        for failed in &summary.failed {
            assert_eq!((failed.failure.kind, failed.failure.entry), (FailureKind::Panic, 1));
            assert_eq!(failed.failure.message, "a planted defect");
        }
        assert_same(&store, &undisturbed(&text), "with panics");
        // Skipped on the next start, taken up on request; the record of the first entry stands.
        let again = run(&plan, &store, &options(1), &Silent, &Stop::new()).unwrap();
        assert_eq!((again.skipped, again.skipped_failed, again.finished), (8, 8, 0));
        let retry = RunOptions { retry_failed: true, ..options(1) };
        let watch = Watch::default();
        let again = run(&plan, &store, &retry, &watch, &watch.stop).unwrap();
        assert_eq!((again.failed.len(), watch.entries.load(Ordering::SeqCst)), (8, 0));
        assert_same(&store, &undisturbed(&text), "tried again");
    }
}

#[test]
fn diverging_training_and_scores_that_are_no_numbers_are_recorded() {
    let text = small(&["far", "greedy-for-nan"]).replace("members = 2", "members = 2\nlearning_rate = 1e30");
    let (_dir, store) = store();
    let summary = run(&plan(&text), &store, &options(2), &Silent, &Stop::new()).unwrap();
    assert_eq!((summary.finished, summary.failed.len()), (0, 16));
    assert!(summary.failed.iter().all(|f| f.failure.kind == FailureKind::Diverged), "{:?}", summary.failed[0]);

    let (_dir, store) = self::store();
    run(&plan(&small(&["greedy-for-nan"])), &store, &options(2), &Silent, &Stop::new()).unwrap();
    for run in store.runs().unwrap().map(Result::unwrap) {
        let Status::Failed(failure) = run.status() else { panic!("it cannot be done") };
        assert_eq!((failure.kind, failure.entry), (FailureKind::Strategy, 0));
        assert!(failure.message.contains("not a finite number"), "{}", failure.message);
        assert!(run.records().unwrap().is_empty());
    }
}

#[test]
fn the_error_of_an_auxiliary_network_is_kept() {
    let (_dir, store) = store();
    run(&plan(&small(&["dropout"])), &store, &options(2), &Silent, &Stop::new()).unwrap();
    for run in store.runs().unwrap().map(Result::unwrap) {
        let record = &run.records().unwrap()[0];
        assert!(record.auxiliary_mse.is_some_and(|mse| mse != record.errors.mse));
        assert_eq!(record.choice.as_ref().unwrap().notes, ["through a dropout network"]);
    }
}

#[test]
fn processes_that_share_a_store_share_the_work() {
    let (_dir, store) = store();
    let text = small(&["far"]);
    let summaries: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| run(&plan(&text), &store, &options(1), &Silent, &Stop::new()).unwrap()))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    // What one was at work on at the end, the others name.
    assert!(summaries.iter().all(|s| s.failed.is_empty() && s.left() == s.elsewhere.len()), "{summaries:?}");
    assert_same(&store, &undisturbed(&text), "shared");
}

#[test]
fn shards_are_the_whole_and_share_nothing() {
    let (_dir, store) = store();
    let text = small(&["far"]);
    let n = plan(&text).trials().len();
    let parts: Vec<usize> = (0..3)
        .map(|part| {
            let shard = plan(&text).shard(part, 3);
            run(&shard, &store, &options(1), &Silent, &Stop::new()).unwrap().finished
        })
        .collect();
    assert_eq!(parts.iter().sum::<usize>(), n);
    assert!(parts.iter().all(|part| part.abs_diff(n / 3) <= plan(&text).problems().len()), "{parts:?}");
    assert_same(&store, &undisturbed(&text), "in shards");
}

/// Sixteen trials of a built-in problem.
const BUILT_IN: &str = r#"
name = "parts"
seeds = 8
[protocol]
initial = 8
queries = 4
steps = 1
test_points = 20
pool_ratios = [2]
[[problem]]
id = "sine"
preset = "published"
network = { hidden = [4] }
[[strategy]]
id = "random"
[[strategy]]
id = "gsx"
"#;

#[test]
fn machines_of_every_kind_cut_alike_and_one_plans_for_others() {
    let sweep = || Sweep::parse(BUILT_IN, "parts.toml").unwrap();
    let of = |sweep: Sweep| sweep.resolve_with(&built_in()).unwrap();
    let part =
        |path: &str| of(sweep().planned_for(path)).shard(0, 2).trials().iter().map(|t| t.spec().clone()).collect();
    let (one, other): (Vec<_>, Vec<_>) = (part("avx512"), part("neon"));
    assert_eq!((one.len(), &one), (8, &other));
    let names = |plan: &Plan| plan.record().runs.iter().map(|run| run.directory.clone()).collect::<Vec<_>>();
    let portable = of(sweep().planned_for("portable"));
    assert_eq!(names(&portable), names(&of(sweep().with_platform("portable"))));
    assert_ne!(names(&portable), names(&of(sweep().planned_for("neon"))));
    let (_dir, store) = store();
    let error = run(&portable, &store, &options(1), &Silent, &Stop::new()).unwrap_err().to_string();
    assert!(error.contains("other machines"), "{error}");
}

#[test]
fn what_failed_again_is_not_retried_twice_by_one_list() {
    let (_dir, store) = store();
    let plan = plan(&small(&["panics", "far"]));
    let start = |options: &RunOptions| run(&plan, &store, options, &Silent, &Stop::new()).unwrap();
    let failed = start(&options(1)).failed.len();
    let cut = plan.cut(Some(&store), Duration::from_secs(30), true).unwrap();
    assert_eq!(cut.retried.len(), failed);
    let estimate = |retry_failed| plan.estimate_with(1, Some(&store), None, retry_failed).unwrap();
    assert_eq!((estimate(false).open.len(), estimate(true).open.len()), (0, failed), "a plan counts what a retry does");
    let again = RunOptions { retry_failed: true, retried: Some(cut.retried), ..options(1) };
    assert_eq!(start(&again).failed.len(), failed);
    let third = start(&again);
    assert_eq!((third.failed.len(), third.skipped_failed, third.left()), (0, failed, 0));
}

#[test]
fn patience_outlasts_the_claim_of_one_that_is_gone() {
    let (_dir, store) = store();
    let text = small(&["far"]);
    let plan = plan(&text);
    let claim = format!("runs/.claim-{}", plan.record().runs[0].directory);
    let note = r#"{"process":{"host":"elsewhere","pid":7},"nonce":"x","age":{"secs":3600,"nanos":0}}"#;
    fs::write(store.root().join(&claim), note).unwrap();
    let summary = run(&plan, &store, &options(2), &Silent, &Stop::new()).unwrap();
    assert_eq!((summary.left(), summary.elsewhere.len()), (1, 1));
    assert!(summary.elsewhere[0].by.contains("process 7 on elsewhere"));
    fs::write(store.root().join(&claim), note.replace("3600", "1")).unwrap();
    let patient = RunOptions { patience: Duration::from_secs(12), ..options(1) };
    assert_eq!(run(&plan, &store, &patient, &Silent, &Stop::new()).unwrap().left(), 0);
    assert_same(&store, &undisturbed(&text), "after a wait");
}

#[test]
fn a_list_of_work_holds_every_open_run_once() {
    let (_dir, store) = store();
    let text = small(&["far"]);
    let whole = plan(&text);
    let cut = whole.cut(None, Duration::from_secs(30), false).unwrap();
    let mut runs: Vec<String> = cut.tasks.iter().flat_map(|task| task.runs.clone()).collect();
    runs.sort();
    let mut planned: Vec<String> = whole.record().runs.iter().map(|run| run.directory.clone()).collect();
    planned.sort();
    assert_eq!(runs, planned);
    let (some, unknown) = whole.only(&[runs[0].clone(), runs[2].clone(), "other".into()]);
    assert_eq!((some.trials().len(), unknown), (2, vec!["other".to_owned()]));
    run(&some, &store, &options(1), &Silent, &Stop::new()).unwrap();
    let whole = plan(&text);
    let rest = whole.cut(Some(&store), Duration::from_secs(30), false).unwrap();
    assert_eq!(rest.tasks.iter().map(|task| task.runs.len()).sum::<usize>(), planned.len() - 2);
    run(&whole, &store, &options(1), &Silent, &Stop::new()).unwrap();
    assert!(plan(&text).cut(Some(&store), Duration::from_secs(30), false).unwrap().tasks.is_empty());
    let damaged = store.root().join("runs").join(&planned[0]).join("records.jsonl");
    let whole = fs::read(&damaged).unwrap();
    fs::write(&damaged, "half").unwrap();
    let left_out = plan(&text).cut(Some(&store), Duration::from_secs(30), false).unwrap();
    assert_eq!((left_out.tasks.len(), left_out.damaged.len()), (0, 1));
    fs::write(&damaged, whole).unwrap();
    assert_same(&store, &undisturbed(&text), "through a list");
}

#[test]
fn damaged_runs_are_named_and_left_alone_and_the_others_go_on() {
    let (_dir, store) = store();
    let plan = plan(&small(&["far"]));
    run(&plan, &store, &options(2), &Silent, &Stop::new()).unwrap();
    let key: &RunKey = plan.trials()[3].key();
    fs::write(store.find(key).unwrap().unwrap().directory().join("records.jsonl"), "half").unwrap();
    fs::remove_dir_all(store.find(plan.trials()[5].key()).unwrap().unwrap().directory()).unwrap();
    let leftover = store.find(plan.trials()[1].key()).unwrap().unwrap().directory().join("checkpoint.journal");
    fs::write(&leftover, "left by a kill").unwrap();
    let watch = Watch::default();
    let summary = run(&plan, &store, &options(2), &watch, &watch.stop).unwrap();
    let [damaged] = &summary.damaged[..] else { panic!("{:?}", summary.damaged) };
    assert!(damaged.reason.contains("records.jsonl") && damaged.reason.contains("--quarantine"), "{damaged:?}");
    assert_eq!(damaged.directory, key.directory_name());
    assert_eq!((watch.started.load(Ordering::SeqCst), summary.finished, summary.left()), (1, 1, 0));
    assert!(!leftover.exists(), "a checkpoint beside the footer of a whole run");
    let estimate = plan.estimate(1, Some(&store)).unwrap();
    assert_eq!((estimate.damaged.len(), estimate.to_do(), estimate.entries), (1, 0, 0));

    store.writer().unwrap().set_aside(&format!("runs/{}", damaged.directory)).unwrap();
    let summary = run(&plan, &store, &options(2), &Silent, &Stop::new()).unwrap();
    assert_eq!((summary.damaged.len(), summary.finished), (0, 1));
    assert_same(&store, &undisturbed(&small(&["far"])), "repeated");
}

#[test]
fn a_refusing_disk_stops_the_sweep_and_loses_nothing() {
    let text = small(&["far"]);
    let (_dir, store) = store();
    let plan = plan(&text);
    let watch = Watch::stopping_after(3);
    run(&plan, &store, &options(1), &watch, &watch.stop).unwrap();
    // A directory where a file has to go stands in for a full disk.
    let blocked = store.runs().unwrap().map(Result::unwrap).last().unwrap();
    let done = matches!(blocked.status(), Status::Done);
    let victim = plan.trials().iter().find(|t| store.find(t.key()).unwrap().is_none()).unwrap();
    let claim = store.root().join("runs").join(format!(".claim-{}", victim.key().directory_name()));
    fs::create_dir(&claim).unwrap();
    let error = run(&plan, &store, &options(2), &Silent, &Stop::new()).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains(".claim-"), "{error}");
    fs::remove_dir(&claim).unwrap();
    assert!(done || matches!(blocked.status(), Status::Partial { .. }));
    run(&plan, &store, &options(2), &Silent, &Stop::new()).unwrap();
    assert_same(&store, &undisturbed(&text), "after a refusal");
}

#[test]
fn a_users_table_is_its_own_pool_and_test_rows_are_never_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let problem = table_problem(folder.path(), 60);
    let text = format!(
        "name = \"own\"\nseeds = 2\n[protocol]\ninitial = 8\nqueries = 4\nsteps = 3\ntest_points = 20\n\
         [training]\nepochs = 5\nmembers = 2\n[[problem]]\nid = \"{}\"\nnetwork = {{ hidden = [6] }}\n\
         [[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"vary\"\n",
        problem.display()
    );
    let expected = undisturbed(&text);
    let (_dir, store) = store();
    let plan = plan(&text);
    let watch = Watch::stopping_after(3);
    run(&plan, &store, &options(1), &watch, &watch.stop).unwrap();
    run(&plan, &store, &options(2), &Silent, &Stop::new()).unwrap();
    assert_same(&store, &expected, "a table");
    let test = plan.problems()[0].test_set().unwrap();
    assert_eq!(test.x.nrows(), 20);
    for run in store.runs().unwrap().map(Result::unwrap) {
        let pools: Vec<usize> = run.records().unwrap().iter().filter_map(|r| Some(r.choice.as_ref()?.n_pool)).collect();
        assert_eq!(pools, [32, 28, 24]);
        let labels = run.labels().unwrap().expect("a user's answers are kept");
        assert_eq!(labels.dim(), (20, 3));
        for row in labels.outer_iter() {
            let (a, b) = ((row[0] + 1.0) / 2.0, (row[1] + 1.0) / 2.0);
            assert!((row[2] - (a * b + a)).abs() < 1e-12, "the table's own answer");
            assert!(test.x.outer_iter().all(|x| (x[0], x[1]) != (row[0], row[1])));
        }
    }
    let too_small = text.replace("test_points = 20", "test_points = 50");
    let error = dal_bench::Sweep::parse(&too_small, "a.toml").unwrap().resolve_with(&Toys::default()).unwrap_err();
    assert!(error.to_string().contains("60 rows") && error.to_string().contains("need 62"), "{error}");
}

#[test]
fn rows_of_a_table_without_a_value_are_told_at_every_start() {
    struct Told(Mutex<Vec<usize>>);
    impl Progress for Told {
        fn event(&self, event: &Event<'_>) {
            if let Event::TestPointsFailed { failures, .. } = event {
                self.0.lock().unwrap().push(failures.len());
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let problem = table_problem(folder.path(), 60);
    let table = folder.path().join("t.csv");
    let rows = fs::read_to_string(&table).unwrap();
    // A logarithm takes none below zero.
    let without = |(i, line): (usize, &str)| match i % 4 {
        1 => line.rsplit_once(',').unwrap().0.to_owned() + ",-1\n",
        _ => line.to_owned() + "\n",
    };
    let log = fs::read_to_string(&problem).unwrap().replace("name = \"y\"", "name = \"y\", transform = \"log\"");
    fs::write(&problem, log).unwrap();
    fs::write(&table, rows.lines().enumerate().map(without).collect::<String>()).unwrap();
    let text = format!(
        "name = \"own\"\nseeds = 1\n[protocol]\ninitial = 12\nqueries = 4\nsteps = 2\ntest_points = 20\n\
         [training]\nepochs = 3\nmembers = 2\n[[problem]]\nid = \"{}\"\nnetwork = {{ hidden = [6] }}\n\
         [[strategy]]\nid = \"random\"\n",
        problem.display()
    );
    let (_dir, store) = store();
    let told = Told(Mutex::default());
    let start = |retry_failed| {
        let options = RunOptions { retry_failed, ..options(1) };
        run(&plan(&text), &store, &options, &told, &Stop::new()).unwrap()
    };
    let first = start(false);
    assert!(first.finished == 1 && first.failed_labels.labels > 0, "{first:?}");
    let told = told.0.lock().unwrap().clone();
    assert!(told.len() == 1 && told[0] > 0, "{told:?}");
    for retry_failed in [false, true] {
        let again = start(retry_failed);
        assert_eq!((again.skipped, again.finished, again.left()), (1, 0, 0), "no row is asked for again");
        assert_eq!(again.failed_labels, first.failed_labels);
    }
}

#[test]
fn calls_of_a_program_are_planned_as_it_allows_them_at_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("problem.toml");
    let problem = "name = \"mine\"\ninputs = [{ name = \"a\", low = 0.0, high = 1.0 }]\noutputs = [{ name = \"y\" }]\n\
                   [oracle.command]\nprogram = [\"true\"]\ntime_limit = 60\nparallel = 8\n";
    fs::write(&path, problem).unwrap();
    let text = format!(
        "name = \"own\"\nseeds = 2\n[protocol]\ninitial = 8\nqueries = 4\nsteps = 3\n\
         test_points = 20\npool_ratios = [2]\n[training]\nepochs = 5\nmembers = 2\n\
         [[problem]]\nid = \"{}\"\nnetwork = {{ hidden = [6] }}\n\
         [[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"vary\"\n",
        path.display()
    );
    let plan = plan(&text);
    let due = |jobs| {
        let labels = plan.estimate(jobs, None).unwrap().labels;
        (labels[0].points, labels[0].rounds)
    };
    // Eight at a time of 20 test points and of two seeds' 8 initial ones, then 48 queries as runs have batches of four.
    assert_eq!((due(1), due(3), due(100)), ((84, 3 + 2 + 12), (84, 3 + 2 + 6), (84, 3 + 2 + 6)));
}
