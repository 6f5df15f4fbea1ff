//! A store from the outside: resuming, damage of every kind, locks, foreign directories.

use std::fs;
use std::path::Path;

use dal_core::{LabelFailure, LabelFailureKind};
use dal_store::{
    AuxiliaryRecord, Begin, Choice, EntryErrors, EntryRecord, EntryTiming, FailedLabel, Failure, FailureKind,
    MemberRecord, OutputErrorRecord, OutputErrorsRecord, PlannedRun, PooledErrors, Provenance, RunKey, RunSpec,
    RunWriter, Status, Store, StoreError, StoreWriter, SweepRecord, TestLabels, UncertaintyRecord, canonical_json,
};
use ndarray::{Array2, array};

fn key(seed: u64) -> RunKey {
    RunKey::current(RunSpec { seed, ..RunSpec::example() }, "cpu/test")
}

fn record(entry: usize) -> EntryRecord {
    let errors =
        EntryErrors { mse: 1.0 / (entry + 3) as f64, mae: 0.1 + entry as f64, p95_abs: 1e-9, max_abs: f64::MAX };
    let choice = Choice {
        n_pool: 80,
        n_queries: 2,
        diversity: Some(0.1 * entry as f64),
        score_error_correlation: None,
        n_ranked: 0,
        probabilities: Vec::new(),
        notes: vec!["a term is constant".into()],
    };
    let failed = FailedLabel { row: 1, kind: "crashed".into(), message: "last words".into(), at: Vec::new() };
    EntryRecord {
        failed_labels: if entry == 1 { vec![failed] } else { Vec::new() },
        choice: (entry < 3).then_some(choice),
        ..EntryRecord::new(entry, 2 + 2 * entry, errors)
    }
}

fn points(batch: usize) -> Array2<f64> {
    array![[0.1 * batch as f64], [-0.3]]
}

type Act = Box<dyn Fn(&mut RunWriter) -> Result<(), StoreError>>;

/// The steps of a small run, one after another; the test stops anywhere.
fn steps() -> Vec<Act> {
    let mut steps: Vec<Act> = Vec::new();
    for entry in 0..4 {
        steps.push(Box::new(move |run| run.batch(entry, points(entry).view(), None)));
        steps.push(Box::new(move |run| run.answer(entry, 0, Ok(&[entry as f64, 0.5]))));
        let failure = LabelFailure::new(LabelFailureKind::Crashed, "last words");
        steps.push(Box::new(move |run| match entry {
            1 => run.answer(entry, 1, Err(&failure)),
            _ => run.answer(entry, 1, Ok(&[1.0, 2.0])),
        }));
        steps.push(Box::new(move |run| {
            let timing = EntryTiming { entry, training: 0.5, ..EntryTiming::default() };
            run.entry(record(entry), Some(timing))
        }));
    }
    steps
}

fn open(writer: &StoreWriter, key: &RunKey) -> RunWriter {
    match writer.begin(key).unwrap() {
        Begin::Open(run) => run,
        Begin::Over(run) => panic!("{} is over", run.id()),
        Begin::Elsewhere(note) => panic!("{} has it", note.in_words()),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path().join("a/store")).unwrap();
    (dir, store)
}

fn deterministic_files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    ["spec.json", "records.jsonl", "queries.npy", "footer.json"]
        .map(|name| (name.to_owned(), fs::read(dir.join(name)).unwrap()))
        .to_vec()
}

#[test]
fn a_run_interrupted_anywhere_ends_in_the_same_bytes() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    for step in steps() {
        step(&mut run).unwrap();
    }
    let whole = run.finish(&Provenance::default()).unwrap();
    let expected = deterministic_files(whole.directory());
    assert_eq!(whole.records().unwrap(), (0..4).map(record).collect::<Vec<_>>());
    assert_eq!(whole.queries().unwrap(), array![[0.1], [-0.3], [0.2], [-0.3], [0.30000000000000004], [-0.3]]);
    assert_eq!(whole.timings().unwrap().len(), 4);

    for stop in 0..=steps().len() {
        let (_dir, store) = self::store();
        {
            let writer = store.writer().unwrap();
            let mut run = open(&writer, &key(0));
            steps()[..stop].iter().for_each(|step| step(&mut run).unwrap());
            // Dropped without an end, as by a kill.
        }
        let partial = store.find(&key(0)).unwrap().unwrap();
        assert_eq!(*partial.status(), Status::Partial { entries: stop / 4 });
        assert_eq!(partial.records().unwrap().len(), stop / 4);
        let writer = store.writer().unwrap();
        let mut run = open(&writer, &key(0));
        let resume_at = 4 * run.checkpoint().complete_batches().len().saturating_sub(1);
        steps()[resume_at..].iter().for_each(|step| step(&mut run).unwrap());
        let done = run.finish(&Provenance::default()).unwrap();
        assert_eq!(deterministic_files(done.directory()), expected, "stopped after {stop}");
        done.verify().unwrap();
        assert_eq!(done.provenance().unwrap().unwrap().resumed, usize::from(stop > 0));
        assert!(!done.directory().join("checkpoint.journal").exists());
        assert!(matches!(writer.begin(&key(0)).unwrap(), Begin::Over(run) if *run.status() == Status::Done));
    }
}

#[test]
fn costly_answers_outlive_the_run() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    run.keep_labels();
    steps()[..8].iter().for_each(|step| step(&mut run).unwrap());
    let run = run.finish(&Provenance::default()).unwrap();
    let labels = run.labels().unwrap().unwrap();
    assert_eq!(labels.slice(ndarray::s![..3, ..]), array![[0.0, 0.0, 0.5], [-0.3, 1.0, 2.0], [0.1, 1.0, 0.5]]);
    assert_eq!(labels[[3, 0]], -0.3);
    assert!(labels[[3, 1]].is_nan() && labels[[3, 2]].is_nan(), "its label failed");
    run.verify().unwrap();
    let mut other = open(&writer, &key(1));
    steps()[..8].iter().for_each(|step| step(&mut other).unwrap());
    assert_eq!(other.finish(&Provenance::default()).unwrap().labels().unwrap(), None);
}

#[test]
fn a_failed_run_keeps_its_reason_and_its_answers() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    steps()[..7].iter().for_each(|step| step(&mut run).unwrap());
    let failure = Failure { kind: FailureKind::Diverged, entry: 1, message: "the loss is not finite".into() };
    run.fail(failure.clone(), &Provenance::default()).unwrap();
    let Begin::Over(run) = writer.begin(&key(0)).unwrap() else { panic!("it failed") };
    assert_eq!(*run.status(), Status::Failed(failure));
    assert_eq!(run.records().unwrap().len(), 1);
    assert_eq!(run.queries().unwrap().nrows(), 2);
    // Taken up again, nothing has to be asked twice.
    let making = run.making().unwrap();
    let Begin::Open(again) = writer.retry(&run, &making).unwrap() else { panic!("it failed") };
    assert_eq!(again.checkpoint().complete_batches().len(), 2);
    assert!(matches!(store.find(&key(0)).unwrap().unwrap().status(), Status::Partial { entries: 1 }));
    // A second process is told which one has it, and what came of it: of two failures only the one that was meant.
    let other = store.writer().unwrap();
    assert!(matches!(other.retry(&run, &making).unwrap(), Begin::Elsewhere(_)));
    let anew = Failure { kind: FailureKind::Panic, entry: 1, message: "another".into() };
    again.fail(anew.clone(), &Provenance::default()).unwrap();
    let Begin::Over(stands) = other.retry(&run, &making).unwrap() else { panic!("it failed anew") };
    assert_eq!(*stands.status(), Status::Failed(anew));
}

#[test]
fn a_run_taken_back_keeps_its_old_form_until_it_is_finished_again() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    steps().iter().for_each(|step| step(&mut run).unwrap());
    let whole = run.checkpoint().clone();
    let run = run.finish(&Provenance::default()).unwrap();
    let expected = deterministic_files(run.directory());
    let back = dal_store::Checkpoint {
        batches: whole.batches[..2].to_vec(),
        records: whole.records[..1].to_vec(),
        timings: Vec::new(),
        ..Default::default()
    };
    for taken_back in 1..=2 {
        // The first time it was finished; the second a kill has left it at its checkpoint.
        let begun = match taken_back {
            1 => writer.take_back(&run, &run.making().unwrap(), &back).unwrap(),
            _ => writer.take_back(&run, "another making", &back).unwrap(),
        };
        let Begin::Open(mut again) = begun else { panic!("open") };
        if taken_back == 1 {
            let other = store.writer().unwrap();
            let elsewhere = other.take_back(&run, "any making", &back).unwrap();
            assert!(matches!(elsewhere, Begin::Elsewhere(_)));
        }
        assert_eq!((&again.checkpoint().batches, &again.checkpoint().records), (&back.batches, &back.records));
        let partial = store.find(&key(0)).unwrap().unwrap();
        assert_eq!(*partial.status(), Status::Partial { entries: 1 });
        let old = partial.superseded().unwrap().unwrap();
        assert_eq!((old.status(), deterministic_files(old.directory())), (&Status::Done, expected.clone()));
        if taken_back == 2 {
            steps()[4..].iter().for_each(|step| step(&mut again).unwrap());
            let done = again.finish(&Provenance::default()).unwrap();
            assert!(done.superseded().unwrap().is_none());
            let begun = writer.take_back(&done, "another making", &back).unwrap();
            assert!(matches!(begun, Begin::Over(_)), "what another process has finished stands");
            assert_eq!(deterministic_files(done.directory()), expected);
        }
    }
    // A kill between setting the old form aside and placing the new one.
    let dir = run.directory();
    let aside = store.root().join("superseded").join(dir.file_name().unwrap());
    fs::create_dir_all(aside.parent().unwrap()).unwrap();
    fs::rename(dir, &aside).unwrap();
    assert!(store.find(&key(0)).unwrap().is_none());
    let Begin::Over(run) = writer.begin(&key(0)).unwrap() else { panic!("the old form stands") };
    assert_eq!(deterministic_files(run.directory()), expected);
}

#[test]
fn a_run_may_start_from_a_checkpoint_and_wait_there() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    steps()[..7].iter().for_each(|step| step(&mut run).unwrap());
    let checkpoint = run.checkpoint().clone();
    drop(run);
    let Begin::Open(other) = writer.begin_with(&key(1), || Some(checkpoint.clone())).unwrap() else { panic!("open") };
    assert_eq!((&other.checkpoint().batches, &other.checkpoint().records), (&checkpoint.batches, &checkpoint.records));
    other.wait("the licence server is down").unwrap();
    let found = store.find(&key(1)).unwrap().unwrap();
    assert_eq!(found.waiting().unwrap().as_deref(), Some("the licence server is down"));
    // What is there is taken up, whatever is offered; and it waits no longer.
    let Begin::Open(again) = writer.begin_with(&key(1), || panic!("not asked for")).unwrap() else { panic!("open") };
    assert_eq!(again.checkpoint().records, checkpoint.records);
    assert_eq!(store.find(&key(1)).unwrap().unwrap().waiting().unwrap(), None);
}

#[test]
fn an_initial_set_without_any_answer_is_asked_for_again() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    run.batch(0, points(0).view(), None).unwrap();
    for row in 0..2 {
        run.answer(0, row, Err(&LabelFailure::new(LabelFailureKind::Crashed, "no licence"))).unwrap();
    }
    let failure = Failure { kind: FailureKind::Labelling, entry: 0, message: "nothing".into() };
    let run = run.fail(failure, &Provenance::default()).unwrap();
    let Begin::Open(again) = writer.retry(&run, &run.making().unwrap()).unwrap() else { panic!("it failed") };
    assert!(again.checkpoint().batches.is_empty());
}

#[test]
fn other_platforms_and_revisions_lie_side_by_side() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let other = RunKey { platform: "cpu/other".into(), ..key(0) };
    let later = RunKey { results_revision: key(0).results_revision + 1, ..key(0) };
    for key in [key(0), other, later] {
        open(&writer, &key).finish(&Provenance::default()).unwrap();
    }
    let runs: Vec<_> = store.runs().unwrap().map(Result::unwrap).collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.spec() == &key(0).spec));
}

#[test]
fn an_older_version_that_writes_is_waited_for() {
    let (_dir, store) = store();
    let path = store.root().join("store.lock");
    let older = fs::File::create(&path).unwrap();
    older.lock().unwrap();
    let error = store.writer().unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }) && error.to_string().contains("store.lock"), "{error}");
    drop(older);
    let _two = (store.writer().unwrap(), store.writer().unwrap());
    assert!(fs::File::open(&path).unwrap().try_lock().is_err(), "and kept away");
}

/// Claims look as if their owners had slept for years.
fn sleeps(store: &Store) {
    // Each is touched once at its start.
    std::thread::sleep(std::time::Duration::from_millis(50));
    for file in fs::read_dir(store.root().join("runs")).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with(".claim-") {
            let claim = fs::File::options().write(true).open(file.path()).unwrap();
            claim.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
    }
}

#[test]
fn of_several_processes_one_works_on_a_run_and_the_first_at_its_end_counts() {
    let (_dir, store) = store();
    let patient = store.writer().unwrap();
    let mut sleeper = open(&patient, &key(0));
    steps()[..9].iter().for_each(|step| step(&mut sleeper).unwrap());
    let Begin::Elsewhere(note) = store.writer().unwrap().begin(&key(0)).unwrap() else { panic!("it is claimed") };
    assert_eq!(note.process, dal_store::ProcessName::this());
    // The others believe it gone, and go on from a copy.
    sleeps(&store);
    let hasty = store.writer().unwrap();
    let mut other = open(&hasty, &key(0));
    assert_eq!(other.checkpoint().records.len(), 2);
    assert_ne!(other.directory(), sleeper.directory());
    steps()[8..].iter().for_each(|step| step(&mut other).unwrap());
    let run = other.finish(&Provenance::default()).unwrap();
    let expected = deterministic_files(run.directory());
    // The sleeper is told at its next entry, and gets what counts where it was at its end.
    steps()[9..11].iter().for_each(|step| step(&mut sleeper).unwrap());
    assert!(matches!(steps()[11](&mut sleeper), Err(StoreError::TakenOver { .. })));
    assert_eq!(*sleeper.give_up().unwrap().unwrap().status(), Status::Done);
    assert_eq!(deterministic_files(run.directory()), expected);
    drop(hasty);
    assert_eq!(fs::read_dir(store.root().join("runs")).unwrap().count(), 1, "no attempt is left");
}

#[test]
fn two_that_come_to_the_end_leave_one_run() {
    let (_dir, store) = store();
    let (one, two) = (store.writer().unwrap(), store.writer().unwrap());
    let mut first = open(&one, &key(0));
    sleeps(&store);
    let mut second = open(&two, &key(0));
    steps().iter().for_each(|step| step(&mut first).unwrap());
    steps().iter().for_each(|step| step(&mut second).unwrap());
    let run = first.finish(&Provenance { command: vec!["first".into()], ..Provenance::default() }).unwrap();
    let same = second.finish(&Provenance { command: vec!["second".into()], ..Provenance::default() }).unwrap();
    assert_eq!(run.directory(), same.directory());
    assert_eq!(same.provenance().unwrap().unwrap().command, ["first"]);
    assert_eq!(fs::read_dir(store.root().join("runs")).unwrap().count(), 1);
}

#[test]
fn a_run_that_an_older_version_left_in_its_place_goes_on() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    steps()[..9].iter().for_each(|step| step(&mut run).unwrap());
    let (attempt, place) = (run.directory().to_owned(), store.root().join("runs").join(key(0).directory_name()));
    drop(run);
    fs::rename(attempt, &place).unwrap();
    assert_eq!(*store.find(&key(0)).unwrap().unwrap().status(), Status::Partial { entries: 2 });
    let mut run = open(&writer, &key(0));
    assert!(run.checkpoint().records.len() == 2 && !place.exists());
    steps()[8..].iter().for_each(|step| step(&mut run).unwrap());
    assert_eq!(run.finish(&Provenance::default()).unwrap().directory(), place);
}

#[test]
fn merging_takes_equal_runs_once_and_differing_ones_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let stores = ["a", "b", "into"].map(|name| Store::open_or_create(dir.path().join(name)).unwrap());
    let [a, b, into] = &stores;
    let standing = |store: &Store, seed| {
        let (name, listing) = (key(seed).directory_name(), store.listing().unwrap());
        store.standing(&name, &listing).unwrap()
    };
    let write = |store: &Store, seed: u64, n_steps: usize, end: bool| {
        let writer = store.writer().unwrap();
        let mut run = open(&writer, &key(seed));
        steps()[..n_steps].iter().for_each(|step| step(&mut run).unwrap());
        if end {
            run.finish(&Provenance::default()).unwrap();
        }
    };
    // 0 is in a; 1 in both; 2 differs; 3 is begun in both; 4 is damaged.
    for (store, seed, n_steps, end) in
        [(a, 0, 16, true), (a, 1, 16, true), (b, 1, 16, true), (a, 2, 16, true), (b, 2, 12, true)]
    {
        write(store, seed, n_steps, end);
    }
    write(a, 3, 9, false);
    write(b, 3, 5, false);
    write(b, 4, 16, true);
    fs::write(b.find(&key(4)).unwrap().unwrap().directory().join("queries.npy"), "half").unwrap();
    let from = [a.clone(), b.clone()];
    let merge = |prefer| into.writer().unwrap().merge(&from, prefer).unwrap();
    let first = merge(None);
    assert_eq!((first.copied, first.known, first.begun, first.damaged.len()), (2, 0, 1, 1), "{first:?}");
    assert_eq!(first.differing.len(), 1);
    assert_eq!((&first.differing[0].name, first.differing[0].folders.len()), (&key(2).directory_name(), 2));
    assert!(into.find(&key(2)).unwrap().is_none() && into.find(&key(4)).unwrap().is_none());
    let of = |store: &Store, seed| deterministic_files(store.find(&key(seed)).unwrap().unwrap().directory());
    assert!((0..2).all(|seed| of(into, seed) == of(a, seed)));
    assert_eq!(*into.find(&key(3)).unwrap().unwrap().status(), Status::Partial { entries: 2 });
    assert_eq!((standing(a, 0), standing(into, 2)), (Some(Status::Done), None));
    assert!(matches!(standing(a, 3), Some(Status::Partial { .. })));
    let again = merge(None);
    assert_eq!((again.copied, again.known, again.begun, again.differing.len()), (0, 2, 0, 1));
    assert_eq!(merge(Some(1)).copied, 1);
    assert_eq!(of(into, 2), of(b, 2));
    // The form that is there is set aside, not lost.
    assert_eq!(merge(Some(0)).copied, 1);
    assert_eq!(of(into, 2), of(a, 2));
    assert!(into.root().join("quarantine/runs").join(key(2).directory_name()).is_dir());
}

#[test]
fn merging_claims_first_goes_past_damage_and_keeps_what_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let stores = ["a", "b", "into"].map(|name| Store::open_or_create(dir.path().join(name)).unwrap());
    let [a, b, into] = &stores;
    let failure = Failure { kind: FailureKind::Training, entry: 0, message: "it broke".into() };
    let write = |store: &Store, seed: u64, n_steps: usize, end: Option<bool>| {
        let writer = store.writer().unwrap();
        let mut run = open(&writer, &key(seed));
        steps()[..n_steps].iter().for_each(|step| step(&mut run).unwrap());
        match end {
            Some(true) => drop(run.finish(&Provenance::default()).unwrap()),
            Some(false) => drop(run.fail(failure.clone(), &Provenance::default()).unwrap()),
            None => {}
        }
    };
    let spoil = |store: &Store, seed: u64| {
        fs::write(store.root().join("runs").join(key(seed).directory_name()).join("queries.npy"), "half").unwrap();
    };
    let of = |store: &Store, seed| deterministic_files(store.find(&key(seed)).unwrap().unwrap().directory());
    let from = [a.clone(), b.clone()];
    let merge = |prefer| into.writer().unwrap().merge(&from, prefer).unwrap();
    // Another process is at work on 0, of which a form is here as well.
    write(a, 0, 16, Some(true));
    write(into, 0, 12, Some(true));
    let claim = into.root().join("runs").join(format!(".claim-{}", key(0).directory_name()));
    fs::write(&claim, r#"{"process":{"host":"elsewhere","pid":7},"nonce":"x"}"#).unwrap();
    let here = of(into, 0);
    let merged = merge(Some(0));
    assert_eq!((merged.copied, merged.elsewhere.len()), (0, 1), "{merged:?}");
    assert!(merged.elsewhere[0].1.contains("process 7 on elsewhere"));
    assert_eq!(of(into, 0), here, "nothing was set aside");
    fs::remove_file(&claim).unwrap();
    assert_eq!(merge(Some(0)).copied, 1);
    // One of two copies is damaged; then the one that is here.
    write(a, 1, 16, Some(true));
    write(b, 1, 16, Some(true));
    spoil(a, 1);
    let merged = merge(None);
    assert_eq!((merged.copied, merged.damaged.len()), (1, 1), "{merged:?}");
    spoil(into, 1);
    let merged = merge(None);
    assert_eq!((merged.copied, merged.damaged.len()), (1, 2), "{merged:?}");
    assert_eq!(of(into, 1), of(b, 1));
    // It failed there and is begun here.
    write(a, 2, 5, Some(false));
    write(into, 2, 9, None);
    let merged = merge(None);
    assert_eq!((merged.copied, merged.begun_here.len()), (0, 1), "{merged:?}");
    assert_eq!(*into.find(&key(2)).unwrap().unwrap().status(), Status::Partial { entries: 2 });
    assert_eq!(merge(Some(0)).copied, 1);
}

#[test]
fn what_is_no_store_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    assert!(matches!(Store::open(&absent), Err(StoreError::Absent { .. })));
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Absent { .. })), "empty");
    fs::write(dir.path().join("thesis.tex"), "x").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::NotAStore { .. })));
    assert!(matches!(Store::open_or_create(dir.path()), Err(StoreError::NotAStore { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
    assert!(matches!(Store::open(dir.path().join("thesis.tex")), Err(StoreError::NotAFolder { .. })), "a file");

    // A process that was killed while it made a store left some of it.
    for (name, manifest) in [("runs", "store.json.tmp"), ("sweeps", "store.json.0123456789ab.tmp")] {
        let begun = dir.path().join(format!("begun-{name}"));
        fs::create_dir_all(begun.join(name)).unwrap();
        fs::write(begun.join(manifest), "{\"ab").unwrap();
        assert!(matches!(Store::open(&begun), Err(StoreError::Absent { .. })));
        Store::open_or_create(&begun).unwrap();
        assert!(Store::open(&begun).unwrap().runs().unwrap().next().is_none());
        fs::remove_file(begun.join("store.json")).unwrap();
        fs::write(begun.join(name).join("thesis.tex"), "x").unwrap();
        assert!(matches!(Store::open_or_create(&begun), Err(StoreError::NotAStore { .. })));
    }

    let store = Store::open_or_create(&absent).unwrap();
    fs::write(absent.join("store.json"), r#"{"about":"","format":2}"#).unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(matches!(error, StoreError::OtherFormat { found: 2, expected: 1, .. }), "{error}");
    fs::write(absent.join("store.json"), "{").unwrap();
    let error = Store::open(store.root()).unwrap_err().to_string();
    assert!(error.contains("store.json, line 1"), "{error}");
}

#[test]
fn a_manifest_that_is_damaged_or_lost_is_written_again() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    for (seed, is_over) in [(0, true), (1, false)] {
        let mut run = open(&writer, &key(seed));
        run.entry(record(0), None).unwrap();
        if is_over {
            run.finish(&Provenance::default()).unwrap();
        }
    }
    let manifest = store.root().join("store.json");
    let whole = fs::read(&manifest).unwrap();
    let damage = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => fs::write(&manifest, bytes).unwrap(),
        None => fs::remove_file(&manifest).unwrap(),
    };
    let remedy = format!("`dal bench verify {} --quarantine`", store.root().display());
    for (bytes, reason) in [
        (Some(&b"{\"about\":"[..]), "store.json, line 1: EOF while parsing"),
        (Some(&b"{\"about\":\"\xff"[..]), "store.json: it is not UTF-8 text"),
        (Some(&b""[..]), "store.json, line 1"),
        (None, "store.json: it is missing, but `runs` beside it holds runs"),
    ] {
        damage(bytes);
        for opened in [Store::open(store.root()), Store::open_or_create(store.root())] {
            let error = opened.unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(&remedy), "{error}");
        }
        let (checked, found) = Store::open_to_check(store.root()).unwrap();
        assert_eq!(found.unwrap().name, "store.json");
        let aside = checked.writer().unwrap().mend_manifest().unwrap();
        assert_eq!(aside.map(|aside| fs::read(aside).unwrap()).as_deref(), bytes, "nothing is deleted");
        assert_eq!(fs::read(&manifest).unwrap(), whole);
        assert!(Store::open_to_check(store.root()).unwrap().1.is_none());
        assert_eq!(Store::open(store.root()).unwrap().runs().unwrap().map(Result::unwrap).count(), 2);
    }
    // One run that can be read is enough, an attempt too; where none can, the layout may be another.
    let path = key(0).directory_name();
    fs::write(store.root().join("runs").join(&path).join("spec.json"), "{}").unwrap();
    damage(Some(&b"{"[..]));
    assert!(Store::open_to_check(store.root()).unwrap().1.is_some());
    drop(writer);
    for attempt in fs::read_dir(store.root().join("runs")).unwrap().map(|found| found.unwrap().path()) {
        if attempt.file_name().unwrap().to_string_lossy().starts_with(".try-") {
            fs::remove_dir_all(attempt).unwrap();
        }
    }
    let error = Store::open_to_check(store.root()).unwrap_err().to_string();
    assert!(error.contains("not known what the file said") && error.contains("backup"), "{error}");
    // A store without a run has lost nothing else.
    fs::remove_dir_all(store.root().join("runs").join(path)).unwrap();
    assert!(Store::open_to_check(store.root()).unwrap().1.is_some());
}

#[test]
fn damage_is_located_and_the_other_runs_stand() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    for seed in 0..2 {
        let mut run = open(&writer, &key(seed));
        steps().iter().for_each(|step| step(&mut run).unwrap());
        run.finish(&Provenance::default()).unwrap();
    }
    let dir = store.find(&key(0)).unwrap().unwrap().directory().to_owned();
    let whole = |name: &str| fs::read(dir.join(name)).unwrap();

    let records = whole("records.jsonl");
    fs::write(dir.join("records.jsonl"), &records[..records.len() - 9]).unwrap();
    let error = store.find(&key(0)).unwrap().unwrap().records().unwrap_err().to_string();
    assert!(error.contains("records.jsonl") && error.contains("--quarantine"), "{error}");
    assert!(matches!(writer.begin(&key(0)), Err(StoreError::Damaged { .. })), "a start does not skip it");
    fs::remove_file(dir.join("records.jsonl")).unwrap();
    let error = writer.begin(&key(0)).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
    fs::write(dir.join("records.jsonl"), &records).unwrap();
    store.find(&key(0)).unwrap().unwrap().verify().unwrap();

    let footer = whole("footer.json");
    fs::write(dir.join("footer.json"), "{\"entries\":").unwrap();
    let found: Vec<bool> = store.runs().unwrap().map(|run| run.is_ok()).collect();
    assert_eq!(found, [false, true], "the damaged run is an error, the other is there");
    fs::write(dir.join("footer.json"), footer).unwrap();

    let spec = whole("spec.json");
    let text = String::from_utf8(spec.clone()).unwrap();
    for (edited, hint) in [
        (text.replace("\"seed\":0", "\"seed\":7"), "directory called"),
        (text.replace("\"seed\":0", "\"seed\": 0"), "canonical"),
        (text.replace("\"seed\":0", "\"seeds\":0"), "unknown field"),
        (text[..40].to_owned(), "EOF"),
        (String::new(), "EOF"),
    ] {
        fs::write(dir.join("spec.json"), edited).unwrap();
        let error = store.runs().unwrap().next().unwrap().unwrap_err().to_string();
        assert!(error.contains("spec.json") && error.contains(hint) && error.contains("--quarantine"), "{error}");
    }
    fs::write(dir.join("spec.json"), spec).unwrap();

    let mut queries = whole("queries.npy");
    *queries.last_mut().unwrap() ^= 1;
    fs::write(dir.join("queries.npy"), &queries).unwrap();
    assert!(store.find(&key(0)).unwrap().unwrap().queries().is_err());
    fs::write(dir.join("timing.jsonl"), "{}\nnonsense\n").unwrap();
    let error = store.find(&key(0)).unwrap().unwrap().timings().unwrap_err().to_string();
    assert!(error.contains("timing.jsonl, line 2"), "{error}");
    fs::remove_file(dir.join("timing.jsonl")).unwrap();
    assert!(store.find(&key(0)).unwrap().unwrap().timings().unwrap().is_empty());
}

#[test]
fn what_cannot_be_written_is_named_and_loses_nothing() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    steps()[..4].iter().for_each(|step| step(&mut run).unwrap());
    // A directory where a file has to go stands in for a disk that refuses; permissions would not stop root.
    fs::create_dir(run.directory().join("queries.npy")).unwrap();
    let dir = run.directory().to_owned();
    let error = run.finish(&Provenance::default()).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && error.to_string().contains("queries.npy"), "{error}");
    fs::remove_dir(dir.join("queries.npy")).unwrap();
    let mut run = open(&writer, &key(0));
    assert_eq!(run.checkpoint().records.len(), 1);
    steps()[4..].iter().for_each(|step| step(&mut run).unwrap());
    run.finish(&Provenance::default()).unwrap().verify().unwrap();
}

#[test]
fn nonsense_is_refused_before_it_is_written() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    assert!(matches!(run.answer(0, 0, Ok(&[1.0])), Err(StoreError::OutOfOrder { .. })));
    assert!(matches!(run.entry(record(1), None), Err(StoreError::OutOfOrder { .. })));
    let mut bad = record(0);
    bad.errors.mse = f64::NAN;
    assert!(matches!(run.entry(bad, None), Err(StoreError::NonFinite { what: "mse", .. })));
    drop(run);
    assert_eq!(open(&writer, &key(0)).checkpoint().records.len(), 0);
}

#[test]
fn half_made_things_are_not_seen() {
    let (_dir, store) = store();
    let runs = store.root().join("runs");
    fs::create_dir(runs.join(format!(".{}", key(0).directory_name()))).unwrap();
    fs::write(store.root().join("sweeps/x.json.tmp"), "half").unwrap();
    assert_eq!(store.runs().unwrap().count(), 0);
    assert!(store.sweeps().unwrap().is_empty());
    let writer = store.writer().unwrap();
    open(&writer, &key(0)).finish(&Provenance::default()).unwrap();
    assert_eq!(store.runs().unwrap().count(), 1);
    writer.sweep_up().unwrap();
    assert_eq!(fs::read_dir(runs).unwrap().count(), 1);
}

/// An entry with everything that a recorder can say.
fn full_record() -> EntryRecord {
    let output = OutputErrorRecord { rmse: 0.1, r2: Some(0.9), mae: 0.05, p95_abs: 0.2, max_abs: 0.4 };
    let pooled = PooledErrors { mse: 0.1, mae: 0.2, p95_abs: 0.5, max_abs: 0.9, n_left_out: 1 };
    let member = MemberRecord { final_over_variance: Some(0.7), final_over_best: None, restarts: 2 };
    EntryRecord {
        learned: Some(true),
        output_errors: Some(OutputErrorsRecord { outputs: vec![output], quantiles: Vec::new(), pooled: Some(pooled) }),
        members: vec![member],
        auxiliary: Some(AuxiliaryRecord { over_variance: Some(0.6), members: vec![member] }),
        uncertainty: Some(UncertaintyRecord {
            nll: None,
            crps: 0.2,
            coverage_90: 0.8,
            rank_correlation: Some(-0.1),
            n_degenerate: 3,
        }),
        ..record(0)
    }
}

#[test]
fn records_of_older_stores_read_as_before_and_keep_their_bytes() {
    let old = concat!(
        r#"{"auxiliary_mse":null,"choice":null,"entry":0,"failed_labels":[{"kind":"crashed","message":"last words","#,
        r#""row":1}],"log_rmse":null,"mae":0.25,"max_abs":1.0,"mse":0.0,"n_labelled":80,"p95_abs":0.5}"#
    );
    let read: EntryRecord = serde_json::from_str(old).unwrap();
    assert_eq!((read.learned, &read.members, &read.output_errors), (None, &Vec::new(), &None));
    assert_eq!((&read.auxiliary, &read.uncertainty), (&None, &None));
    assert_eq!(canonical_json(&read).unwrap(), old);
}

#[test]
fn everything_a_record_says_comes_back_and_must_be_finite() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let mut run = open(&writer, &key(0));
    let bad = |change: &dyn Fn(&mut EntryRecord)| {
        let mut record = full_record();
        change(&mut record);
        record
    };
    let spoilt = [
        ("nll", bad(&|r| r.uncertainty.as_mut().unwrap().nll = Some(f64::INFINITY))),
        ("final_over_best", bad(&|r| r.members[0].final_over_best = Some(f64::INFINITY))),
        (
            "final_over_variance",
            bad(&|r| r.auxiliary.as_mut().unwrap().members[0].final_over_variance = Some(f64::NAN)),
        ),
        ("pooled mse", bad(&|r| r.output_errors.as_mut().unwrap().pooled.as_mut().unwrap().mse = f64::NAN)),
        ("r2", bad(&|r| r.output_errors.as_mut().unwrap().outputs[0].r2 = Some(f64::NEG_INFINITY))),
    ];
    for (due, record) in spoilt {
        match run.entry(record, None) {
            Err(StoreError::NonFinite { what, .. }) => assert_eq!(what, due),
            other => panic!("{due}: {other:?}"),
        }
    }
    let infinite = TestLabels { n: 4, variance: f64::INFINITY, sd: Vec::new() };
    assert!(matches!(run.set_test_labels(infinite), Err(StoreError::NonFinite { .. })));
    let labels = TestLabels { n: 4, variance: 2.5, sd: vec![1.0, 2.0] };
    run.set_test_labels(labels.clone()).unwrap();
    run.entry(full_record(), None).unwrap();
    let reason = Failure { kind: FailureKind::Training, entry: 1, message: "enough".into() };
    run.fail(reason, &Provenance::default()).unwrap();
    let run = store.find(&key(0)).unwrap().unwrap();
    assert_eq!(run.records().unwrap(), [full_record()]);
    assert_eq!(run.test_labels(), Some(&labels));
}

#[test]
fn sweeps_are_kept_once() {
    let (_dir, store) = store();
    let writer = store.writer().unwrap();
    let planned = PlannedRun {
        id: key(0).id(),
        directory: key(0).directory_name(),
        problem: "sine".into(),
        strategy: "gsx".into(),
        pool_ratio: Some(2),
        seed: 0,
    };
    let sweep = SweepRecord {
        name: "quick one".into(),
        title: String::new(),
        text: "name = \"quick one\"\n".into(),
        runs: vec![planned],
        ..SweepRecord::default()
    };
    writer.record_sweep(&sweep).unwrap();
    writer.record_sweep(&sweep).unwrap();
    let sweeps: Vec<_> = store.sweeps().unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(sweeps, [sweep]);
}
