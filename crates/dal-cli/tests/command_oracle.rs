//! `dal bench run` and `dal label` with a user's program: it fails in every way it can, is slow, and is killed on the
//! way.

#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{dal, deterministic_files, run, succeed, write};

/// A problem of one input in [0, 100] whose program is `sh simulate.sh`.
fn problem(folder: &Path, oracle: &str, script: &str) {
    let text = format!(
        "name = \"rig\"\n[[inputs]]\nname = \"load\"\nlow = 0\nhigh = 100\n[[outputs]]\nname = \"y\"\n\
         [oracle.command]\nprogram = [\"sh\", \"simulate.sh\"]\n{oracle}\n"
    );
    write(folder, "rig.toml", &text);
    write(folder, "simulate.sh", script);
}

/// A sweep over the problem: two strategies, so that initial points are shared.
fn sweep(folder: &Path, protocol: &str) {
    let text = format!(
        "name = \"rig\"\nseeds = 1\n[protocol]\n{protocol}\npool_ratios = [4]\n[training]\nepochs = 5\nmembers = 2\n\
         [[problem]]\nid = \"rig.toml\"\nnetwork = {{ hidden = [6] }}\n\
         [[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"gsx\"\n"
    );
    write(folder, "sweep.toml", &text);
}

const BENCH: [&str; 7] = ["bench", "run", "sweep.toml", "--store", "store", "--jobs", "2"];

/// Every failed label in a store's records, by its kind.
fn failed_labels(store: &Path) -> BTreeMap<String, Vec<String>> {
    let mut failures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, bytes) in deterministic_files(store) {
        if !name.ends_with("records.jsonl") {
            continue;
        }
        for line in String::from_utf8(bytes).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            for failed in record["failed_labels"].as_array().into_iter().flatten() {
                let text = |key: &str| failed[key].as_str().unwrap().to_owned();
                failures.entry(text("kind")).or_default().push(text("message"));
            }
        }
    }
    failures
}

/// What the program does at some loads: every fault, one per call where it ends the call. Elsewhere it answers with the
/// load.
const FAULTS: &str = r#"
read header; echo y
while read -r load; do
  case "${load%.*}" in
    [5-9]) echo "mesh is degenerate" >&2; exit 3 ;;
    1[0-9]) echo "out of memory at $load" >&2; kill -KILL $$ ;;
    2[0-4]) echo "waiting for a licence" >&2; sleep 1000 ;;
    2[5-9]) echo "Traceback, most recent call last" ;;
    3[0-4]) exit 0 ;;
    3[5-9]) echo "$load"; echo "$load" ;;
    4[0-4]) echo nan ;;
    4[5-9]) echo inf ;;
    5[0-4]) echo "error: no convergence" ;;
    *) echo "$load" ;;
  esac
done
"#;

#[test]
fn a_bench_goes_on_over_failed_labels_and_records_the_programs_last_words() {
    let dir = tempfile::tempdir().unwrap();
    // One point per call, so that every fault meets its own row only; the next test has them meet others.
    problem(dir.path(), "time_limit = 2\nrows_per_call = 1\nparallel = 16", FAULTS);
    sweep(dir.path(), "initial = 60\nqueries = 12\nsteps = 2\ntest_points = 40");
    let (code, _, stderr) = run(dir.path(), &BENCH);
    assert_eq!(code, 1, "labels failed: {stderr}");
    assert!(stderr.contains("test points have no label and are left out"), "{stderr}");
    succeed(dir.path(), &["report", "store", "--out", "report"]);
    let page = fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    let left_out: usize =
        stderr.split(" of 40 test points have no label").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(
        page.contains("no error is measured there") && page.contains(&format!("{} of 40", 40 - left_out)),
        "{page}"
    );
    let failures = failed_labels(&dir.path().join("store"));
    for (kind, words) in [
        ("crashed", &["exit status 3", "mesh is degenerate", "signal 9", "out of memory"][..]),
        ("timed-out", &["time limit of 2s", "waiting for a licence"]),
        ("malformed", &["Traceback, most recent call last", "beyond its answers"]),
        ("missing", &["ended"]),
        ("non-finite", &["NaN", "inf"]),
        ("refused", &["no convergence"]),
    ] {
        let messages = failures.get(kind).unwrap_or_else(|| panic!("no {kind}: {failures:?}")).join("\n");
        for word in words {
            assert!(messages.contains(word), "{kind}: {word:?} is not in\n{messages}");
        }
    }
    // The runs are done: two entries more than the first, fewer labels than points asked for, all of them right.
    for (name, bytes) in deterministic_files(&dir.path().join("store")) {
        if name.ends_with("records.jsonl") {
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.lines().count(), 3, "{name}");
            let labelled = |line: &str| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                let failed = record["failed_labels"].as_array().map_or(0, Vec::len) as u64;
                (record["n_labelled"].as_u64().unwrap(), failed)
            };
            let entries: Vec<(u64, u64)> = text.lines().map(labelled).collect();
            assert_eq!(entries[0].0 + entries[0].1, 60);
            for pair in entries.windows(2) {
                assert_eq!(pair[1].0 + pair[1].1, pair[0].0 + 12);
            }
        }
    }
}

#[test]
fn a_fault_in_the_middle_of_a_call_leaves_the_rows_before_it() {
    let dir = tempfile::tempdir().unwrap();
    problem(dir.path(), "time_limit = 2\nretries = 0", FAULTS);
    for (fault, kind, words) in [
        ("7", "crashed", "mesh is degenerate"),
        ("12", "crashed", "out of memory at 12"),
        ("22", "timed-out", "waiting for a licence"),
        ("27", "malformed", "Traceback"),
        ("32", "missing", "ended"),
        ("42", "non-finite", "NaN"),
        ("47", "non-finite", "inf"),
        ("52", "refused", "no convergence"),
    ] {
        write(dir.path(), "x.csv", &format!("load\n60\n61\n{fault}\n62\n"));
        let (code, stdout, stderr) = run(dir.path(), &["label", "rig.toml", "--input", "x.csv"]);
        assert_eq!(code, 1, "{fault}: {stderr}");
        assert!(stdout.starts_with("y\n60.0\n61.0\n\"\"\n"), "{fault}: {stdout}");
        assert!(stderr.contains(&format!("row 2: {kind}")) && stderr.contains(words), "{fault}: {stderr}");
        // Only a fault that concerns its own row alone leaves the next one standing.
        let own = ["non-finite", "refused"].contains(&kind);
        assert_eq!(stdout.lines().last(), Some(if own { "62.0" } else { "\"\"" }), "{fault}");
        assert_eq!(stderr.contains("row 3"), !own, "{fault}: {stderr}");
        // It is not known of the row behind a crash whether the program would crash there, too.
        let was_ended = ["crashed", "timed-out"].contains(&kind);
        assert_eq!(stderr.contains("row 3: not-tried"), was_ended, "{fault}: {stderr}");
    }
    // A row too many: which one is wrong cannot be known, so all that follows is doubtful.
    write(dir.path(), "x.csv", "load\n60\n37\n61\n");
    let (code, _, stderr) = run(dir.path(), &["label", "rig.toml", "--input", "x.csv"]);
    assert!(code == 1 && stderr.contains("malformed"), "{stderr}");
    // Calls of their own, in parallel: every row but the faulty one stands.
    problem(dir.path(), "time_limit = 2\nrows_per_call = 1\nparallel = 4", FAULTS);
    write(dir.path(), "x.csv", "load\n60\n7\n12\n22\n27\n32\n61\n");
    let (code, stdout, _) = run(dir.path(), &["label", "rig.toml", "--input", "x.csv"]);
    assert_eq!((code, stdout.as_str()), (1, "y\n60.0\n\"\"\n\"\"\n\"\"\n\"\"\n\"\"\n61.0\n"));
}

/// Answers with the load, 30 ms a row, and writes down what it was asked, before and after.
const SLOW: &str = r#"
read header; echo y
while read -r load; do
  echo "$load" >> begun
  sleep 0.03
  echo "$load" >> printed
  echo "$load"
done
"#;

fn lines(folder: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(folder.join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn killed_in_the_middle_of_a_slow_batch_no_answer_is_asked_for_again() {
    let reference = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for folder in [reference.path(), dir.path()] {
        problem(folder, "time_limit = 60", SLOW);
        sweep(folder, "initial = 20\nqueries = 10\nsteps = 2\ntest_points = 20");
    }
    let (code, _, stderr) = run(reference.path(), &BENCH);
    assert_eq!(code, 0, "{stderr}");
    let distinct: BTreeSet<String> = lines(reference.path(), "begun").into_iter().collect();
    assert_eq!(lines(reference.path(), "begun").len(), distinct.len(), "a point was asked about twice");

    let mut kills = 0;
    loop {
        let before = lines(dir.path(), "printed").len();
        let mut child = dal(dir.path(), &BENCH).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            assert!(start.elapsed() < Duration::from_secs(120), "it hangs");
            // In the middle of a batch: some answers of this start are there, and the next is being worked on.
            if lines(dir.path(), "printed").len() >= before + 7 {
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // The orphaned program ends when its pipe is closed; until then it may still write to its files.
        let mut last = lines(dir.path(), "begun").len();
        loop {
            std::thread::sleep(Duration::from_millis(150));
            let now = lines(dir.path(), "begun").len();
            if now == last {
                break;
            }
            last = now;
        }
    }
    assert!(kills >= 5, "{kills} kills");
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for point in lines(dir.path(), "begun") {
        *asked.entry(point).or_default() += 1;
    }
    assert_eq!(asked.keys().cloned().collect::<BTreeSet<_>>(), distinct);
    // At each kill each of two calls under way loses what it is at, and a line that dal had not read yet: nothing else.
    let repeated: usize = asked.values().map(|n| n - 1).sum();
    assert!(repeated <= 4 * kills, "{repeated} points were asked about again after {kills} kills");
    assert_eq!(
        deterministic_files(&dir.path().join("store")),
        deterministic_files(&reference.path().join("store")),
        "interruptions left a trace"
    );
}

/// The processes whose numbers the program wrote into a file that still run.
fn alive(folder: &Path, name: &str) -> Vec<String> {
    let runs = |pid: &String| {
        // The state follows the name in parentheses; `Z` is an end that its parent has not asked after yet.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
    };
    lines(folder, name).into_iter().filter(runs).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_the_programs_too_and_keeps_what_they_said() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read header; echo y; read -r load; echo \"$load\"; echo $$ >> pids; sleep 1000";
    problem(dir.path(), "time_limit = 600", script);
    write(dir.path(), "x.csv", "load\n50\n75\n");
    sweep(dir.path(), "initial = 6\nqueries = 2\nsteps = 1\ntest_points = 4");
    let by_files = fs::read_to_string(dir.path().join("rig.toml")).unwrap();
    let by_files =
        by_files.replace("\"simulate.sh\"]", "\"files.sh\", \"{input}\", \"{output}\"]\nexchange = \"files\"");
    write(dir.path(), "files.toml", &by_files);
    write(dir.path(), "files.sh", "printf 'y\\n50\\n' > \"$2\"; echo $$ >> pids; sleep 1000");
    let label = ["label", "rig.toml", "--input", "x.csv", "--out", "y.csv"];
    let files = ["label", "files.toml", "--input", "x.csv", "--out", "files.csv"];
    // The first interrupt takes what runs to its end, which never comes here; the second one ends it.
    for (args, interrupts, calls) in [(&label[..], 2, 1), (&files, 2, 1), (&BENCH, 2, 1)] {
        let _ = fs::remove_file(dir.path().join("pids"));
        let mut child = dal(dir.path(), args).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while alive(dir.path(), "pids").len() < calls {
            assert!(start.elapsed() < Duration::from_secs(60), "the program is not called");
            std::thread::sleep(Duration::from_millis(5));
        }
        // The line that was printed before is read at once; give it a moment.
        std::thread::sleep(Duration::from_millis(200));
        for _ in 0..interrupts {
            let pid = child.id().to_string();
            assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let start = Instant::now();
        while !alive(dir.path(), "pids").is_empty() {
            assert!(start.elapsed() < Duration::from_secs(20), "the program lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    for answers in ["y.csv", "files.csv"] {
        assert_eq!(fs::read_to_string(dir.path().join(answers)).unwrap(), "row,load,y,failure\n0,50,50.0,\n");
    }
    let is_of_a_call = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".dal-call-");
    let left = fs::read_dir(dir.path()).unwrap().filter(|entry| is_of_a_call(&entry.as_ref().unwrap().file_name()));
    assert_eq!(left.count(), 0, "folders of calls stay");
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_interrupt_waits_for_the_running_call_and_keeps_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read header; echo y; read -r load; echo $load >> asked; \
        while ! [ -e go ]; do sleep 0.01; done; echo \"$load\"";
    problem(dir.path(), "time_limit = 600\nrows_per_call = 1", script);
    write(dir.path(), "x.csv", "load\n50\n75\n");
    let label = ["label", "rig.toml", "--input", "x.csv", "--out", "y.csv"];
    let mut child = dal(dir.path(), &label).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while lines(dir.path(), "asked").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "the program is not called");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "the running call is waited for");
    write(dir.path(), "go", "");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_to_string(dir.path().join("y.csv")).unwrap(), "row,load,y,failure\n0,50,50.0,\n");
    assert!(dal(dir.path(), &label).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(dir.path().join("y.csv")).unwrap(), "row,load,y,failure\n0,50,50.0,\n1,75,75.0,\n");
    assert_eq!(lines(dir.path(), "asked"), ["50", "75"], "nothing is asked twice");
}

/// The program of a user who pays for every point.
#[test]
fn tune_then_bench_then_label_ask_no_point_twice() {
    let dir = tempfile::tempdir().unwrap();
    let count = "read header; echo y\nwhile read -r load; do echo \"$load\" >> asked.csv; echo \"$load\"; done\n";
    problem(dir.path(), "time_limit = 60", count);
    sweep(dir.path(), "initial = 8\nqueries = 4\nsteps = 1\ntest_points = 20");
    write(dir.path(), "points.csv", "load\n1.25\n2.5\n99\n");
    let asked = || {
        let text = fs::read_to_string(dir.path().join("asked.csv")).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let different: BTreeSet<&String> = lines.iter().collect();
        assert_eq!(different.len(), lines.len(), "a point was asked twice");
        lines.len()
    };
    let tune = |out: &'static str| {
        let sizes = ["--points", "20", "--validation", "10", "--epochs", "3", "--members", "1", "--seeds", "1"];
        let rest =
            ["--budget", "6", "--space", "training", "--jobs", "1", "--proof-points", "20", "--campaign-seeds", "0"];
        run(dir.path(), &[&["tune", "rig.toml", "--out", out][..], &sizes, &rest].concat())
    };
    let label = || run(dir.path(), &["label", "rig.toml", "--input", "points.csv"]);
    let output = tune("tuned");
    assert_eq!(output.0, 0, "{}", output.2);
    let tuned = asked();
    assert!(tuned >= 30);
    assert_eq!(run(dir.path(), &BENCH).0, 0);
    let swept = asked();
    assert!(swept > tuned);
    let first = label();
    assert_eq!(first.1, "y\n1.25\n2.5\n99.0\n");
    assert_eq!(asked(), swept + 3);

    // A comment, a title and another network change no run; a wider range makes other runs, and no answer worthless.
    let file = dir.path().join("rig.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# A rig.\ntitle = \"A rig\"\n{text}retries = 1\n[network]\nhidden = [6]\n")).unwrap();
    let again = run(dir.path(), &BENCH);
    assert_eq!(again.0, 0, "{}", again.2);
    assert_eq!(tune("tuned-again").0, 0);
    assert_eq!(label().1, first.1);
    assert_eq!(asked(), swept + 3);
    assert_eq!(fs::read_dir(dir.path().join("store/runs")).unwrap().count(), 2);
    fs::write(&file, text.replace("high = 100", "high = 200")).unwrap();
    assert_eq!(label().1, first.1);
    assert_eq!(asked(), swept + 3);
    assert_eq!(run(dir.path(), &BENCH).0, 0);
    asked();
    assert_eq!(fs::read_dir(dir.path().join("store/runs")).unwrap().count(), 4);
}
