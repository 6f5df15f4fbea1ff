//! Stores that were changed in every way that disks, people and programs find: nothing changed is taken as whole.

use std::fs;
use std::path::{Path, PathBuf};

use dal_core::{LabelFailure, LabelFailureKind, SeedPath};
use dal_store::{
    Begin, EntryErrors, EntryRecord, EntryTiming, Failure, FailureKind, PlannedRun, Provenance, RunKey, RunSpec,
    Status, Store, StoreWriter, SweepRecord, TestLabels,
};
use ndarray::array;
use rand::{Rng, RngExt};

/// How many stores are changed, one after another.
const MUTATIONS: usize = 250;

fn key(seed: u64) -> RunKey {
    RunKey::current(RunSpec { seed, ..RunSpec::example() }, "cpu/test")
}

/// A run that stops after so many entries; runs 0 to 3 are finished, 4 failed, 5 is left at its checkpoint.
fn write_run(writer: &StoreWriter, seed: u64) {
    let Begin::Open(mut run) = writer.begin(&key(seed)).unwrap() else { panic!("the store is new") };
    if seed.is_multiple_of(2) {
        run.keep_labels();
    }
    run.set_test_labels(TestLabels { n: 40, variance: 1.5, sd: vec![1.2] }).unwrap();
    for entry in 0..4 {
        let x = array![[0.1 * entry as f64, -0.25], [0.7, 0.1 * seed as f64]];
        run.batch(entry, x.view(), None).unwrap();
        run.answer(entry, 0, Ok(&[entry as f64, 0.5])).unwrap();
        let failure = LabelFailure::new(LabelFailureKind::Crashed, "last words");
        run.answer(entry, 1, if entry == 1 { Err(&failure) } else { Ok(&[1.0, 2.0]) }).unwrap();
        let errors = EntryErrors { mse: 0.9_f64.powi(entry as i32), mae: 0.3, p95_abs: 0.7, max_abs: 1.0 };
        let timing = EntryTiming { entry, training: 0.5, ..EntryTiming::default() };
        run.entry(EntryRecord::new(entry, 2 + 2 * entry, errors), Some(timing)).unwrap();
    }
    let failure = Failure { kind: FailureKind::Diverged, entry: 4, message: "the loss is not finite".into() };
    match seed {
        0..=3 => drop(run.finish(&Provenance::default()).unwrap()),
        4 => drop(run.fail(failure, &Provenance::default()).unwrap()),
        _ => drop(run),
    }
}

fn store(dir: &Path) -> Store {
    let store = Store::open_or_create(dir.join("store")).unwrap();
    let writer = store.writer().unwrap();
    let mut runs = Vec::new();
    for seed in 0..6 {
        write_run(&writer, seed);
        let key = key(seed);
        runs.push(PlannedRun {
            id: key.id(),
            directory: key.directory_name(),
            problem: "sine".into(),
            strategy: "gsx".into(),
            pool_ratio: Some(2),
            seed,
        });
    }
    writer
        .record_sweep(&SweepRecord { name: "a".into(), text: "name = \"a\"\n".into(), runs, ..SweepRecord::default() })
        .unwrap();
    store
}

/// Every file below a directory, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// Changes a file as a disk, a person or another program may; returns in what way.
fn mutate(path: &Path, others: &[PathBuf], rng: &mut impl Rng) -> &'static str {
    let mut bytes = fs::read(path).unwrap();
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..9) {
        0 => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            fs::write(path, bytes).unwrap();
            "a bit"
        }
        1 => {
            bytes.truncate(at);
            fs::write(path, bytes).unwrap();
            "cut short"
        }
        2 => {
            bytes.extend_from_slice(&[b' ', b'\n'][..rng.random_range(1..3)]);
            fs::write(path, bytes).unwrap();
            "blanks at the end"
        }
        3 => {
            fs::remove_file(path).unwrap();
            "gone"
        }
        4 => {
            // A block of zeros, as file systems leave after a power failure.
            let end = (at + 64).min(bytes.len());
            bytes[at..end].fill(0);
            fs::write(path, bytes).unwrap();
            "zeros"
        }
        5 => {
            fs::copy(&others[rng.random_range(0..others.len())], path).unwrap();
            "another file"
        }
        6 => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            "a directory"
        }
        7 => {
            // One digit, as a person does.
            let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if let Some(&i) = digits.get(rng.random_range(0..digits.len().max(1))) {
                bytes[i] = b'0' + (bytes[i] - b'0' + 1) % 10;
            }
            fs::write(path, bytes).unwrap();
            "a digit"
        }
        _ => {
            let text = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes();
            fs::write(path, text).unwrap();
            "line ends"
        }
    }
}

#[test]
fn nothing_that_was_changed_is_taken_as_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let all = files(store.root());
    let names = store.run_names().unwrap();
    assert_eq!(names.len(), 6);
    for name in &names {
        let run = store.check_run(name);
        assert!(run.damage.is_empty() && run.beside.is_empty() && run.foreign.is_empty(), "{run:?}");
    }
    let rest = store.check_rest().unwrap();
    assert!(rest.damage.is_empty() && rest.foreign.is_empty() && rest.absent.is_empty(), "{rest:?}");

    let mut rng = SeedPath::root(21).purpose("mutated stores").rng();
    let (mut damaged, mut elsewhere) = (0, 0);
    for n in 0..MUTATIONS {
        let candidates: Vec<&PathBuf> = all.iter().filter(|path| !fs::read(path).unwrap().is_empty()).collect();
        let path = candidates[rng.random_range(0..candidates.len())];
        let before = fs::read(path).unwrap();
        let how = mutate(path, &all, &mut rng);
        let said = format!("{n}: {} ({how})", path.strip_prefix(store.root()).unwrap().display());
        let changed = fs::read(path).ok().as_ref() != Some(&before);
        let file = path.file_name().unwrap().to_str().unwrap();
        let folder = path.parent().unwrap().to_str().unwrap();
        let of_run = names.iter().position(|name| folder.contains(name.as_str()));

        match of_run {
            Some(hit) => {
                for (i, name) in names.iter().enumerate() {
                    let checked = store.check_run(name);
                    let is_over = matches!(checked.status, Some(Status::Done | Status::Failed(_)));
                    let whole = checked.damage.is_empty() && is_over;
                    let was_over = is_written_over(i);
                    if i != hit || !changed {
                        assert_eq!(whole, was_over, "{said}: {checked:?}");
                        continue;
                    }
                    let sealed = ["spec.json", "records.jsonl", "queries.npy", "labels.npy", "footer.json"];
                    if sealed.contains(&file) && was_over {
                        assert!(!whole, "{said} is taken as whole: {checked:?}");
                        // Nor by those that read without asking for a check.
                        let run = store.run(name);
                        let taken = run
                            .is_ok_and(|run| !matches!(run.status(), Status::Partial { .. }) && run.verify().is_ok());
                        assert!(!taken, "{said}");
                        damaged += 1;
                    } else {
                        // Timings and provenance are outside the results; checkpoints are of runs that are not done.
                        let beside = ["timing.jsonl", "provenance.json"].contains(&file);
                        assert!(if beside { whole == was_over } else { !whole || was_over }, "{said}: {checked:?}");
                        elsewhere += 1;
                    }
                }
            }
            None => {
                let whole: Vec<bool> = names.iter().map(|name| store.check_run(name).damage.is_empty()).collect();
                assert_eq!(whole, [true; 6], "{said}");
                if changed && file.starts_with("a-") {
                    let rest = store.check_rest().unwrap();
                    assert!(rest.damage.len() + rest.foreign.len() == 1 || !path.exists(), "{said}: {rest:?}");
                    damaged += 1;
                }
            }
        }
        if path.is_dir() {
            fs::remove_dir(path).unwrap();
        }
        fs::write(path, &before).unwrap();
    }
    assert!(damaged > 100 && elsewhere > 30, "{damaged} {elsewhere}");
}

/// Whether the run of this seed came to an end.
fn is_written_over(seed: usize) -> bool {
    seed < 5
}

#[test]
fn what_is_set_aside_is_kept_and_strangers_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let name = key(1).directory_name();
    let run = store.root().join("runs").join(&name);
    fs::write(run.join("Thumbs.db"), "pictures").unwrap();
    fs::write(store.root().join("runs/Thumbs.db"), "pictures").unwrap();
    fs::write(store.root().join("sweeps/desktop.ini"), "[x]").unwrap();
    fs::write(store.root().join("sweeps/notes.json"), "{").unwrap();
    fs::create_dir(store.root().join("runs").join(format!("{name} - Copy"))).unwrap();
    fs::create_dir(store.root().join("report")).unwrap();
    fs::write(store.root().join("report/report.html"), "").unwrap();
    fs::write(run.join("checkpoint.journal"), "left").unwrap();
    assert!(store.runs().unwrap().all(|run| run.is_ok()));
    assert!(store.sweeps().unwrap().iter().all(Result::is_ok));
    let checked = store.check_run(&name);
    assert!(checked.damage.is_empty() && checked.has_leftover);
    assert_eq!(checked.foreign, ["Thumbs.db"]);
    let mut foreign = store.check_rest().unwrap().foreign;
    foreign.sort();
    let copy = format!("runs/{name} - Copy");
    assert_eq!(foreign, ["runs/Thumbs.db", &copy, "sweeps/desktop.ini", "sweeps/notes.json"]);

    fs::remove_file(run.join("queries.npy")).unwrap();
    let checked = store.check_run(&name);
    assert_eq!(checked.damage.len(), 1);
    assert!(checked.damage[0].to_string().contains("queries.npy: it is missing"), "{:?}", checked.damage);
    let writer = store.writer().unwrap();
    let to = writer.set_aside(&format!("runs/{name}")).unwrap();
    assert!(to.join("records.jsonl").exists() && to.join("Thumbs.db").exists() && !run.exists());
    let absent = store.check_rest().unwrap().absent;
    assert_eq!(absent.iter().map(|run| run.seed).collect::<Vec<_>>(), [1]);
    // A second one by the same name lies beside the first.
    write_run(&writer, 1);
    assert!(store.check_run(&name).damage.is_empty());
    let second = writer.set_aside(&format!("runs/{name}")).unwrap();
    assert!(second != to && to.exists() && second.exists());
    // A damaged record of a sweep is written again by the next start.
    let path = files(&store.root().join("sweeps")).into_iter().find(|p| p.to_str().unwrap().contains("/a-")).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..9]).unwrap();
    assert_eq!(store.check_rest().unwrap().damage.len(), 1);
    let sweep: SweepRecord = serde_json::from_slice(&whole).unwrap();
    writer.record_sweep(&sweep).unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}
