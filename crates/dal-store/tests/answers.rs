//! Processes that share a folder of answers, one of them killed at seeded moments: no answer that arrived is lost or
//! asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dal_core::{LabelFailure, LabelFailureKind, SeedPath};
use dal_store::{AnswerKey, Answers, KeyInput};
use rand::RngExt;

/// Points that a worker goes through, each in an order of its own.
const POINTS: u64 = 60;
const KILLS: u64 = 50;

fn key() -> AnswerKey {
    AnswerKey {
        program: vec!["counting".into()],
        exchange: "stdin".into(),
        inputs: vec![KeyInput { name: "a".into(), levels: vec![] }],
        outputs: vec!["y".into()],
        version: None,
    }
}

/// The line of a worker's `point`; every seventh point fails.
fn answer(point: u64) -> Result<[f64; 1], LabelFailure> {
    match point % 7 {
        0 => Err(LabelFailure::new(LabelFailureKind::Crashed, format!("exit {point}"))),
        _ => Ok([1.0 / (point as f64)]),
    }
}

/// No test by itself: another process runs it in a folder that holds `worker`, asks for every point that is not
/// known, and says `asks N` before and `has N` after each answer is kept.
#[test]
#[ignore = "a worker of the test below"]
fn worker() {
    let Ok(settings) = fs::read_to_string("worker") else { return };
    let mut settings = settings.lines();
    let (root, first) = (settings.next().unwrap(), settings.next().unwrap().parse::<u64>().unwrap());
    let answers = Answers::open(root, key()).unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "\nstarts").unwrap();
    for i in 0..POINTS {
        let point = if first == 0 { i } else { POINTS - 1 - i };
        answers.refresh().unwrap();
        if answers.get(&point.to_string()).is_some() {
            continue;
        }
        writeln!(out, "asks {point}").unwrap();
        let answer = answer(point);
        answers.put(&point.to_string(), answer.as_ref().map(|values| &values[..])).unwrap();
        writeln!(out, "has {point}").unwrap();
    }
    writeln!(out, "ends").unwrap();
}

fn start(dir: &Path, root: &Path, first: u64) -> Child {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("worker"), format!("{}\n{first}\n", root.display())).unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--ignored", "--nocapture"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The points that a worker's words name behind `verb`.
fn points(words: &str, verb: &str) -> BTreeSet<u64> {
    words.lines().filter_map(|line| line.strip_prefix(verb)?.trim().parse().ok()).collect()
}

#[test]
fn what_arrived_before_a_kill_is_known_to_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = SeedPath::root(16).purpose("kills").rng();
    for round in 0..KILLS {
        let root = dir.path().join(format!("{round}.answers"));
        let mut killed = start(&dir.path().join("a"), &root, 0);
        let mut other = start(&dir.path().join("b"), &root, 1);
        // Killed after so many words, which is before, within or behind the writing of an answer.
        let moment = rng.random_range(1..POINTS as usize);
        let mut lines = BufReader::new(killed.stdout.take().unwrap());
        let mut words = String::new();
        for _ in 0..moment {
            if lines.read_line(&mut words).unwrap() == 0 {
                break;
            }
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        lines.read_to_string(&mut words).unwrap();
        let mut others = String::new();
        other.stdout.take().unwrap().read_to_string(&mut others).unwrap();
        assert!(other.wait().unwrap().success() && others.contains("ends"), "{others}");

        let arrived: BTreeSet<u64> = points(&words, "has ").union(&points(&others, "has ")).copied().collect();
        let files = files(&root);
        let answers = Answers::open(&root, key()).unwrap();
        assert_eq!(answers.len() as u64, POINTS, "the other has gone through all of them");
        for point in &arrived {
            let due = answer(*point).map(|values| values.to_vec());
            assert_eq!(answers.get(&point.to_string()), Some(due), "round {round}");
        }
        assert!(answers.contradictions().is_empty());
        // Started again, the killed one asks nothing; nor does it touch what was left.
        let again = start(&dir.path().join("a"), &root, 0).wait_with_output().unwrap();
        let again = String::from_utf8(again.stdout).unwrap();
        assert!(again.contains("ends") && points(&again, "asks ").is_empty(), "{again}");
        assert_eq!(self::files(&root), files);
    }
}

/// Names and contents of the files of answers.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = root.join(key().id());
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

#[test]
fn killed_alone_it_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("x.answers");
    let mut rng = SeedPath::root(17).purpose("kills").rng();
    let mut asked: Vec<u64> = Vec::new();
    let mut arrived: BTreeSet<u64> = BTreeSet::new();
    for start_number in 0.. {
        let mut child = start(&dir.path().join("a"), &root, 0);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut words = String::new();
        for _ in 0..rng.random_range(8..24) {
            lines.read_line(&mut words).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.read_to_string(&mut words).unwrap();
        let asks = points(&words, "asks ");
        assert!(asks.is_disjoint(&arrived), "start {start_number} asked again for {asks:?}");
        asked.extend(asks);
        arrived.extend(points(&words, "has "));
        if words.contains("ends") || start_number > 2 * POINTS {
            break;
        }
    }
    let answers = Answers::open(&root, key()).unwrap();
    assert_eq!((answers.len() as u64, arrived.len() as u64), (POINTS, POINTS - missed(&asked, &arrived)));
    assert!(answers.damage().iter().all(|damage| damage.path.starts_with(&root)));
}

/// Points that were kept, but killed before that was said.
fn missed(asked: &[u64], arrived: &BTreeSet<u64>) -> u64 {
    asked.iter().collect::<BTreeSet<_>>().iter().filter(|point| !arrived.contains(point)).count() as u64
}
