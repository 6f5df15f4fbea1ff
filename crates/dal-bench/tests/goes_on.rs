//! Runs that start where a shorter one ended give the bytes of a run from the beginning, and cost only what is new.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use common::{Watch, built_in, deterministic, options, plan, plan_with, small, store, table_problem};
use dal_bench::{Plan, Silent, run};
use dal_core::Stop;
use dal_store::Store;

fn finish(plan: &Plan, store: &Store) {
    let summary = run(plan, store, &options(2), &Silent, &Stop::new()).unwrap();
    assert_eq!(summary.left(), 0, "{summary:?}");
}

/// The files of the runs of a plan.
fn files_of(plan: &Plan, store: &Store) -> BTreeMap<String, Vec<u8>> {
    let names: Vec<String> = plan.trials().iter().map(|trial| trial.key().directory_name()).collect();
    let is_own = |path: &str| names.iter().any(|name| path.starts_with(&format!("runs/{name}/")));
    deterministic(store).into_iter().filter(|(path, _)| is_own(path)).collect()
}

fn with_steps(text: &str, steps: usize) -> String {
    assert!(text.contains("steps = 2"));
    text.replace("steps = 2", &format!("steps = {steps}"))
}

#[test]
fn a_longer_run_is_the_same_bytes_whether_it_begins_anew_or_goes_on() {
    let text = small(&["random", "far", "vary", "dropout"]);
    let (_reference, expected) = store();
    let long = plan(&with_steps(&text, 5));
    finish(&long, &expected);
    let (_dir, store) = store();
    finish(&plan(&text), &store);
    // Of two shorter ones the longer is taken.
    finish(&plan(&with_steps(&text, 3)), &store);
    let n_runs = long.trials().len();
    let estimate = long.estimate(1, Some(&store)).unwrap();
    assert_eq!((estimate.extended, estimate.elsewhere.len(), estimate.entries), (n_runs, 0, n_runs * (5 - 3 + 1)));
    // Two new steps and the last model of the shorter run, which has to choose now.
    let watch = Watch::default();
    let summary = run(&long, &store, &options(2), &watch, &Stop::new()).unwrap();
    assert_eq!((summary.finished, summary.left()), (n_runs, 0));
    assert_eq!(watch.entries.load(Ordering::SeqCst), n_runs * (5 - 3 + 1));
    assert_eq!(files_of(&long, &store), files_of(&long, &expected));
    // The shorter ones stand.
    let again = run(&plan(&text), &store, &options(1), &Silent, &Stop::new()).unwrap();
    assert_eq!((again.finished, again.skipped), (0, again.planned));
}

/// With exact labels and with noisy ones, whose noise is drawn again for the points that are asked again.
#[test]
fn a_run_that_goes_on_can_be_stopped_and_taken_up() {
    let exact = small(&["random", "far"]);
    for text in [exact.replace("[protocol]", "[protocol]\nlabel_noise_percent = 5"), exact] {
        let (_reference, expected) = store();
        let long = plan(&with_steps(&text, 4));
        finish(&long, &expected);
        let (_dir, store) = store();
        finish(&plan(&text), &store);
        let mut starts = 0;
        loop {
            let watch = Watch::stopping_after(3);
            let summary = run(&long, &store, &options(1), &watch, &watch.stop).unwrap();
            starts += 1;
            if !summary.stopped {
                break;
            }
        }
        assert!(starts > 1);
        assert_eq!(files_of(&long, &store), files_of(&long, &expected));
    }
}

#[test]
fn only_a_finished_run_of_the_same_kind_is_gone_on_from() {
    let text = small(&["far"]);
    let long = plan(&with_steps(&text, 3));
    let extended = |store: &Store| long.estimate(1, Some(store)).unwrap().extended;
    let (_dir, unfinished) = store();
    let watch = Watch::stopping_after(1);
    run(&plan(&text), &unfinished, &options(1), &watch, &watch.stop).unwrap();
    assert!(extended(&unfinished) < long.trials().len());
    for other in ["epochs = 8", "queries = 4", "initial = 10", "test_points = 60"] {
        let (_dir, store) = store();
        let changed = other.replace(" = ", " = 1");
        finish(&plan(&text.replace(other, &changed)), &store);
        assert_eq!(extended(&store), 0, "{other}");
    }
    // A sweep that is there for its timings takes them all itself.
    let (_dir, store) = store();
    finish(&plan(&text), &store);
    assert_eq!(extended(&store), long.trials().len());
    let timing = plan(&with_steps(&text, 3).replace("seeds = 2", "seeds = 2\ntiming = true"));
    assert_eq!(timing.estimate(1, Some(&store)).unwrap().extended, 0);
    // Nor is one whose files are not what they were.
    let name = plan(&text).trials()[0].key().directory_name();
    let records = store.root().join("runs").join(name).join("records.jsonl");
    let mut bytes = fs::read(&records).unwrap();
    bytes[5] ^= 1;
    fs::write(&records, bytes).unwrap();
    finish(&long, &store);
    let (_reference, expected) = common::store();
    finish(&long, &expected);
    assert_eq!(files_of(&long, &store), files_of(&long, &expected));
}

#[test]
fn a_table_goes_on_unless_it_ran_empty() {
    let dir = tempfile::tempdir().unwrap();
    let problem = table_problem(dir.path(), 60);
    let sweep = |steps: usize| {
        let text = format!(
            "name = \"t\"\nseeds = 2\n[protocol]\ninitial = 10\nqueries = 6\nsteps = {steps}\ntest_points = 20\n\
             [training]\nepochs = 5\nmembers = 2\n[[problem]]\nid = {:?}\nnetwork = {{ hidden = [6] }}\n\
             [[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"gsx\"\n",
            problem.display().to_string()
        );
        plan_with(&text, &built_in())
    };
    let (_reference, expected) = store();
    finish(&sweep(4), &expected);
    let (_dir, store) = store();
    finish(&sweep(2), &store);
    assert_eq!(sweep(4).estimate(1, Some(&store)).unwrap().extended, 4);
    finish(&sweep(4), &store);
    assert_eq!(files_of(&sweep(4), &store), files_of(&sweep(4), &expected));
    // 40 rows beside the test set are 10 and five steps: at the tenth step there is nothing left to ask.
    finish(&sweep(10), &store);
    assert_eq!(sweep(12).estimate(1, Some(&store)).unwrap().extended, 4, "from the four steps");
    finish(&sweep(10), &expected);
    assert_eq!(files_of(&sweep(10), &store), files_of(&sweep(10), &expected));
}
