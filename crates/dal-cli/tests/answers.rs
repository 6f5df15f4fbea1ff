//! The folder of answers that commands share: programs that a killed `dal` left, two processes at once, older stores,
//! exports, and a laboratory that answers instead of a program.

#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{dal, refuse, run, succeed, write};
use dal_core::SeedPath;
use rand::RngExt;

/// A problem of one input in [0, 1000] whose program is `sh simulate.sh`.
fn problem(folder: &Path, oracle: &str, script: &str) {
    let text = format!(
        "name = \"rig\"\n[[inputs]]\nname = \"load\"\nlow = 0\nhigh = 1000\n[[outputs]]\nname = \"y\"\n\
         [oracle.command]\nprogram = [\"sh\", \"simulate.sh\"]\ntime_limit = 600\n{oracle}\n"
    );
    write(folder, "rig.toml", &text);
    write(folder, "simulate.sh", script);
}

fn lines(folder: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(folder.join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Files that tell of calls under way.
fn noted(folder: &Path) -> usize {
    let is_note = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".call");
    let entries = fs::read_dir(folder.join("rig.answers/calls")).into_iter().flatten();
    entries.filter(|entry| is_note(entry.as_ref().unwrap().file_name())).count()
}

/// The processes of a group that have not ended.
#[cfg(target_os = "linux")]
fn members(group: &str) -> usize {
    let of_group = |stat: &str| {
        // Behind the name in parentheses: state, parent, group.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
        fields.len() > 2 && fields[0] != "Z" && fields[2] == group
    };
    let stats = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("stat"));
    stats.filter(|stat| fs::read_to_string(stat).is_ok_and(|stat| of_group(&stat))).count()
}

/// Starts a label of one point whose program leaves a helper behind, kills `dal`, and says which group is left.
#[cfg(target_os = "linux")]
fn leave_behind(folder: &Path) -> String {
    let _ = fs::remove_file(folder.join("pids"));
    let _ = fs::remove_file(folder.join("go"));
    let args = ["label", "rig.toml", "--input", "x.csv"];
    let mut child = dal(folder, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the call", || !lines(folder, "pids").is_empty() && noted(folder) == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let group = lines(folder, "pids").remove(0);
    wait_until("its helper", || members(&group) == 2);
    write(folder, "go", "");
    group
}

#[cfg(target_os = "linux")]
#[test]
fn programs_that_a_killed_dal_left_are_named_and_waited_for_or_ended() {
    let dir = tempfile::tempdir().unwrap();
    let script = "if ! [ -e go ]; then echo $$ >> pids; sleep 100 & wait; exit; fi\nread header; echo y; cat";
    problem(dir.path(), "", script);
    write(dir.path(), "x.csv", "load\n50\n");

    let group = leave_behind(dir.path());
    let args = ["label", "rig.toml", "--input", "x.csv", "--out", "y.csv"];
    let told = || fs::read_to_string(dir.path().join("told")).unwrap();
    let start_waiting = || {
        let child = dal(dir.path(), &args).stderr(fs::File::create(dir.path().join("told")).unwrap()).spawn().unwrap();
        wait_until("the waiting", || told().contains("--end-leftovers"));
        child
    };
    let mut child = start_waiting();
    let told = told();
    assert!(told.contains(&format!("process group {group} still runs: 1 point of `rig`")), "{told}");
    assert!(child.try_wait().unwrap().is_none() && members(&group) == 2, "it is waited for");
    let kill = |args: &[&str]| assert!(std::process::Command::new("kill").args(args).status().unwrap().success());
    kill(&["-KILL", "--", &format!("-{group}")]);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(dir.path().join("y.csv")).unwrap(), "row,load,y,failure\n0,50,50.0,\n");
    assert_eq!(noted(dir.path()), 0);

    // Another command may be the next one; a stop ends the waiting.
    fs::remove_dir_all(dir.path().join("rig.answers")).unwrap();
    fs::remove_file(dir.path().join("y.csv")).unwrap();
    let group = leave_behind(dir.path());
    let mut child = start_waiting();
    kill(&["-INT", &child.id().to_string()]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(members(&group), 2);
    write(
        dir.path(),
        "sweep.toml",
        "name = \"rig\"\nseeds = 1\n[protocol]\ninitial = 4\nqueries = 2\nsteps = 1\ntest_points = 4\npool_ratios = [2]\n\
         [training]\nepochs = 2\nmembers = 2\n[[problem]]\nid = \"rig.toml\"\nnetwork = { hidden = [4] }\n\
         [[strategy]]\nid = \"random\"\n",
    );
    let bench = ["bench", "run", "sweep.toml", "--store", "store", "--jobs", "1", "--end-leftovers"];
    let (code, _, stderr) = run(dir.path(), &bench);
    assert!(code == 0 && stderr.contains(&format!("process group {group} still runs")), "{stderr}");
    assert_eq!((members(&group), noted(dir.path())), (0, 0));

    // A task of a batch system likewise.
    let group = leave_behind(dir.path());
    let submitted = run(dir.path(), &["bench", "submit", "sweep.toml", "--store", "other", "--executor", "lines"]);
    assert_eq!(submitted.0, 0, "{}", submitted.2);
    let task = ["bench", "work", "other/tasks/0001/list.json", "--task", "0", "--end-leftovers"];
    let (code, _, stderr) = run(dir.path(), &task);
    assert!(code == 0 && stderr.contains(&format!("process group {group} still runs")), "{stderr}");
    assert_eq!((members(&group), noted(dir.path())), (0, 0));
}

/// Answers with the load, one point a call; writes down every point that it gets.
const ONE: &str = "read header; read -r load; echo \"$load\" >> asked; sleep 0.01; echo y; echo \"$load\"";

/// Starts a label of these points, whose program runs once per point.
fn start(folder: &Path, input: &str) -> Child {
    let args = ["label", "rig.toml", "--input", input];
    dal(folder, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn of_two_processes_one_is_killed_fifty_times_and_no_arrived_answer_is_asked_again() {
    const POINTS: usize = 300;
    const KILLS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    problem(dir.path(), "rows_per_call = 1", ONE);
    let table = |points: &mut dyn Iterator<Item = usize>| {
        points.fold("load\n".to_owned(), |text, point| format!("{text}{point}\n"))
    };
    // One begins at the first point, the other at the last one: where they meet, they know of each other.
    write(dir.path(), "up.csv", &table(&mut (0..POINTS)));
    write(dir.path(), "down.csv", &table(&mut (0..POINTS).rev()));
    let mut rng = SeedPath::root(16).purpose("kills").rng();
    let mut steady = start(dir.path(), "up.csv");
    let (mut kills, mut was_beside) = (0, 0);
    while kills < KILLS {
        let mut killed = start(dir.path(), "down.csv");
        std::thread::sleep(Duration::from_millis(rng.random_range(0..120)));
        was_beside += usize::from(steady.try_wait().unwrap().is_none());
        match killed.try_wait().unwrap() {
            // It is through: the moments that are left hit it while it looks.
            Some(status) => assert!(status.success()),
            None => killed.kill().unwrap(),
        }
        killed.wait().unwrap();
        kills += 1;
    }
    assert!(steady.wait().unwrap().success());
    assert!(was_beside > KILLS / 2, "{was_beside}");
    assert!(start(dir.path(), "down.csv").wait().unwrap().success());
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    // A program whose `dal` was killed before it gave it a point reads an empty line.
    for point in lines(dir.path(), "asked").into_iter().filter(|point| !point.is_empty()) {
        *asked.entry(point).or_default() += 1;
    }
    assert_eq!(asked.len(), POINTS);
    // A kill costs the point that was under way. Where the two meet, they may be at one point at the same time.
    let again: usize = asked.values().map(|n| n - 1).sum();
    assert!(again <= KILLS + 1, "{again} points were asked again after {KILLS} kills");
    let before = lines(dir.path(), "asked").len();
    let labels = succeed(dir.path(), &["label", "rig.toml", "--input", "up.csv"]);
    let expected: String = (0..POINTS).map(|point| format!("{point}.0\n")).collect();
    assert_eq!(labels, format!("y\n{expected}"));
    assert_eq!(lines(dir.path(), "asked").len(), before, "every answer is known");
}

/// As [`ONE`], but writes down the process that asks, too.
const TOLD: &str = "read header; read -r load; echo \"$PPID $load\" >> asked; sleep 0.02; echo y; echo \"$load\"";

#[test]
fn of_two_sweeps_that_share_answers_one_is_killed_fifty_times_and_no_arrived_answer_is_asked_again() {
    const KILLS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    problem(dir.path(), "rows_per_call = 1", TOLD);
    // Two stores, which share the test set and the runs of one seed.
    for (name, seeds) in [("steady", "[0, 1, 2]"), ("killed", "[2, 3]")] {
        let text = format!(
            "name = \"rig\"\nseeds = {seeds}\n[protocol]\ninitial = 40\nqueries = 5\nsteps = 2\ntest_points = 60\n\
             pool_ratios = [2]\n[training]\nepochs = 2\nmembers = 2\n[[problem]]\nid = \"rig.toml\"\n\
             network = {{ hidden = [4] }}\n[[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"gsx\"\n"
        );
        write(dir.path(), &format!("{name}.toml"), &text);
    }
    let sweep = |name: &str| {
        let (sweep, store) = (format!("{name}.toml"), format!("store-{name}"));
        let args = ["bench", "run", &sweep, "--store", &store, "--jobs", "1"];
        dal(dir.path(), &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // A program whose `dal` was killed before it gave it a point reads an empty line.
    let asked = || -> Vec<(String, String)> {
        let pairs = lines(dir.path(), "asked").into_iter().filter_map(|line| {
            let (process, point) = line.split_once(' ')?;
            (!point.is_empty()).then(|| (process.to_owned(), point.to_owned()))
        });
        pairs.collect()
    };
    let kept = || -> BTreeSet<String> {
        let table = succeed(dir.path(), &["label", "rig.toml", "--kept"]);
        table.lines().skip(1).filter_map(|line| line.split(',').next()).map(str::to_owned).collect()
    };
    let mut rng = SeedPath::root(16).purpose("sweeps").rng();
    let mut steady = sweep("steady");
    wait_until("the first point", || !asked().is_empty());
    let (mut was_beside, mut lost, mut moments) = (0, 0, Vec::new());
    for _ in 0..KILLS {
        let mut killed = sweep("killed");
        let of_it = |process: &Child| asked().iter().filter(|(id, _)| *id == process.id().to_string()).count();
        let before = rng.random_range(0..3);
        let made = dir.path().join("store-killed/store.json");
        wait_until("the moment", || {
            killed.try_wait().unwrap().is_some() || (made.exists() && of_it(&killed) >= before)
        });
        std::thread::sleep(Duration::from_millis(rng.random_range(0..30)));
        was_beside += usize::from(steady.try_wait().unwrap().is_none());
        // Where it is through, the moments that are left hit it while it looks.
        if killed.try_wait().unwrap().is_none() {
            killed.kill().unwrap();
        }
        killed.wait().unwrap();
        lost += of_it(&killed);
        let arrived = kept();
        // A point that the other process looked for just before it arrived is at its program by then.
        std::thread::sleep(Duration::from_millis(30));
        moments.push((arrived, asked().len()));
    }
    assert!(was_beside > KILLS / 10 && lost > KILLS / 5, "{was_beside} beside the other, {lost} points asked");
    assert!(steady.wait().unwrap().success());
    assert!(sweep("killed").wait().unwrap().success());
    let asked = asked();
    for (k, (arrived, n)) in moments.iter().enumerate() {
        let again: Vec<_> = asked[*n..].iter().filter(|(_, point)| arrived.contains(point)).collect();
        assert!(again.is_empty(), "after kill {k} asked again: {again:?}");
    }
    // Kills leave no trace in the runs that both have.
    let shared = |name: &str| {
        let mut files = common::deterministic_files(&dir.path().join(format!("store-{name}")));
        files.retain(|path, _| path.contains("-s2-"));
        files
    };
    assert!(shared("steady").len() == 8 && shared("steady") == shared("killed"));
}

/// The old store, written out, with an empty list of what was asked.
fn old_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in dal_fixtures::OLD_STORE {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::remove_file(dir.path().join("asked.csv")).unwrap();
    dir
}

#[test]
fn an_old_store_opens_and_its_answers_are_not_asked_again() {
    let dir = old_store();
    let asked = || lines(dir.path(), "asked.csv");
    let is_failed = |line: &String| line.split(',').next().unwrap().parse::<f64>().unwrap() > 0.7;
    let (code, _, stderr) =
        run(dir.path(), &["bench", "run", "sweep.toml", "--store", "store", "--jobs", "1", "--plan"]);
    assert!(code == 0 && stderr.contains("of another specification"), "{stderr}");
    assert!(stderr.contains("simulator-gsx-g2-s0-88026f79f2ec2918"), "{stderr}");
    let (code, _, stderr) = run(dir.path(), &["bench", "run", "sweep.toml", "--store", "store", "--jobs", "1"]);
    assert_eq!(code, 1, "its program fails at some points: {stderr}");
    assert!(stderr.contains("that an older version kept in the store are taken over"), "{stderr}");
    // Points that failed are asked again, as ever, but not those of the test set.
    let known: Vec<String> = dal_fixtures::OLD_STORE
        .iter()
        .filter(|(name, _)| *name == "asked.csv")
        .flat_map(|(_, bytes)| std::str::from_utf8(bytes).unwrap().lines().map(str::to_owned))
        .collect();
    let is_again = |point: &String| known.contains(point) && !is_failed(point);
    let again: std::collections::BTreeSet<String> = asked().into_iter().filter(is_again).collect();
    // Where nothing of a batch was answered, one known point tells a program that fails from one that is down.
    assert!(again.len() <= 1, "{again:?}");
    assert!(known[..20].iter().all(|p| !asked().contains(p) || again.contains(p)), "the test set is asked again");
    assert!(dir.path().join("store/labels").is_dir(), "the old store stays as it is");

    // The file that `dal label --out` wrote: it is not replaced before its labels are kept.
    let before = asked().len();
    let label = ["label", "simulator.toml", "--input", "points.csv", "--out", "labels.csv"];
    refuse(dir.path(), &label, &["labels.csv", "3 labels", "--adopt labels.csv"]);
    let whole = fs::read_to_string(dir.path().join("labels.csv")).unwrap();
    let (code, _, stderr) = run(dir.path(), &[&label[..], &["--adopt", "labels.csv"]].concat());
    assert!(stderr.contains("3 answers taken over"), "{stderr}");
    let rows = |text: &str, end: &str| -> std::collections::BTreeSet<String> {
        text.lines().skip(1).filter_map(|line| line.strip_suffix(end)).map(str::to_owned).collect()
    };
    let renewed = fs::read_to_string(dir.path().join("labels.csv")).unwrap();
    assert_eq!(rows(&renewed, ","), rows(&whole, ""));
    assert!(renewed.starts_with("row,speed,material,y,failure\n") && renewed.contains(",,non-finite: "), "{renewed}");
    // Of one of its points there is no label in that file; the program says NaN, which is asked for once.
    assert_eq!((code, asked().len()), (1, before + 1), "{:?}", &asked()[before..]);
    let (code, _, stderr) = run(dir.path(), &label);
    assert_eq!((code, asked().len()), (1, before + 1), "{stderr}");
}

#[test]
fn an_old_store_of_another_text_is_left() {
    let dir = old_store();
    let file = dir.path().join("simulator.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("high = 1.0", "high = 2.0")).unwrap();
    let (code, _, stderr) = run(dir.path(), &["label", "simulator.toml", "--adopt", "store"]);
    assert!(code == 0 && stderr.contains("another text of the problem file"), "{stderr}");
    assert!(stderr.contains("0 answers taken over"), "{stderr}");
    fs::write(&file, &text).unwrap();
    let (code, _, stderr) = run(dir.path(), &["label", "simulator.toml", "--adopt", "store"]);
    assert!(code == 0 && !stderr.contains("another text") && !stderr.contains(": 0 answers"), "{stderr}");
    // Kept, they are looked for under the line that the program gets, whatever the bounds are now.
    fs::write(&file, text.replace("high = 1.0", "high = 2.0")).unwrap();
    let kept = succeed(dir.path(), &["label", "simulator.toml", "--kept"]);
    assert!(kept.starts_with("speed,material,y\n") && kept.lines().count() > 10, "{kept}");
    let told = run(dir.path(), &["label", "simulator.toml", "--kept"]).2;
    assert!(told.contains("of them without an answer") && told.contains("non-finite"), "{told}");
    // Another folder's answers are copied.
    let (code, _, stderr) =
        run(dir.path(), &["label", "simulator.toml", "--answers", "elsewhere", "--adopt", "simulator.answers"]);
    assert_eq!(code, 0, "{stderr}");
    let copied = succeed(dir.path(), &["label", "simulator.toml", "--answers", "elsewhere", "--kept"]);
    assert_eq!(copied, kept);
    refuse(dir.path(), &["label", "simulator.toml", "--adopt", "store/runs"], &["store/runs", "no store"]);
    refuse(dir.path(), &["label", "sine", "--adopt", "store"], &["--adopt", "cost nothing"]);
    assert!(lines(dir.path(), "asked.csv").is_empty());
}

#[test]
fn an_export_replaces_no_label_that_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    problem(
        dir.path(),
        "",
        "read header; echo y\nwhile read -r load; do echo \"$load\" >> asked; echo \"$load\"; done",
    );
    write(dir.path(), "x.csv", "load\n1\n2\n");
    let label = ["label", "rig.toml", "--input", "x.csv", "--out", "y.csv"];
    succeed(dir.path(), &label);
    let first = fs::read_to_string(dir.path().join("y.csv")).unwrap();
    assert_eq!(first, "row,load,y,failure\n0,1,1.0,\n1,2,2.0,\n");
    write(dir.path(), "x.csv", "load\n2\n3\n");
    let (code, _, stderr) = run(dir.path(), &label);
    assert!(code == 0 && stderr.contains("1 of 2 rows are answered already"), "{stderr}");
    assert_eq!(fs::read_to_string(dir.path().join("y.csv")).unwrap(), "row,load,y,failure\n0,2,2.0,\n1,3,3.0,\n");
    assert_eq!(lines(dir.path(), "asked"), ["1", "2", "3"]);
    let all = "load,y\n1,1.0\n2,2.0\n3,3.0\n";
    assert_eq!(succeed(dir.path(), &["label", "rig.toml", "--kept"]), all);
    // The table of all answers is replaced by the next as well, and another file is not.
    let kept = ["label", "rig.toml", "--kept", "--out", "k.csv"];
    for stale in [None, Some("load,y\n"), Some("\u{feff}y;load\r\n1,0;1\r\n"), Some(all)] {
        if let Some(stale) = stale {
            write(dir.path(), "k.csv", stale);
        }
        succeed(dir.path(), &kept);
        assert_eq!(fs::read_to_string(dir.path().join("k.csv")).unwrap(), all);
    }
    for (other, words) in [("load,y\n1,1.0\n9,9.0\n", "--adopt k.csv"), ("my notes\n", "not replaced")] {
        write(dir.path(), "k.csv", other);
        refuse(dir.path(), &kept, &["k.csv", words]);
        assert_eq!(fs::read_to_string(dir.path().join("k.csv")).unwrap(), other);
    }
    // Another version of the program knows none of them.
    let text = fs::read_to_string(dir.path().join("rig.toml")).unwrap();
    write(dir.path(), "rig.toml", &format!("{text}version = \"2\"\n"));
    refuse(dir.path(), &label, &["y.csv", "2 labels", "--adopt y.csv"]);
    assert_eq!(fs::read_to_string(dir.path().join("y.csv")).unwrap(), "row,load,y,failure\n0,2,2.0,\n1,3,3.0,\n");
    assert_eq!(lines(dir.path(), "asked").len(), 3);
    let hidden = fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "no temporary file stays");
}

#[test]
fn what_a_spreadsheet_saved_of_an_export_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    problem(
        dir.path(),
        "",
        "read header; echo y\nwhile read -r load; do echo \"$load\" >> asked; case $load in 7*) echo nan;; *) echo \"$load\";; esac; done",
    );
    write(dir.path(), "x.csv", "load\n1.23456789\n7.5\n25.5\n");
    let label = ["label", "rig.toml", "--input", "x.csv", "--out", "y.csv"];
    let (code, _, stderr) = run(dir.path(), &label);
    let whole = fs::read_to_string(dir.path().join("y.csv")).unwrap();
    assert_eq!(code, 1, "{stderr}");
    assert!(whole.starts_with("row,load,y,failure\n0,1.23456789,1.23456789,\n1,7.5,,non-finite: "), "{whole}");
    // Semicolons, decimal commas, a byte-order mark, quotes, line ends, other columns and order, two decimals.
    let saved = "\u{feff}failure;\"y\";load;note;row\r\n;1,23;\"1,23\";;0\r\nnon-finite: y is nan;;7,50;;1\r\n;25,50;25,50;;2\r\n";
    write(dir.path(), "y.csv", saved);
    let asked = || lines(dir.path(), "asked").iter().filter(|point| !point.starts_with('7')).count();
    assert_eq!((run(dir.path(), &label).0, asked()), (1, 2), "what it holds is kept, so it is replaced");
    assert_eq!(fs::read_to_string(dir.path().join("y.csv")).unwrap(), whole);
    // A label that it does not show is another one.
    write(dir.path(), "y.csv", &saved.replace(";1,23;", ";1,27;"));
    refuse(dir.path(), &label, &["y.csv, line 2", "its label is 1.27", "name another with --out"]);
    // Where nothing is kept any more, it is the only place that has them.
    write(dir.path(), "y.csv", saved);
    fs::remove_dir_all(dir.path().join("rig.answers")).unwrap();
    let (code, _, stderr) = run(dir.path(), &[&label[..], &["--adopt", "y.csv"]].concat());
    assert!(code == 1 && stderr.contains("y.csv: 3 answers taken over"), "{code} {stderr}");
    assert!(stderr.contains("1 of its points are rounded") && asked() == 2, "{stderr}");
    let renewed = fs::read_to_string(dir.path().join("y.csv")).unwrap();
    assert!(renewed.contains("\n0,1.23456789,1.23,\n") && renewed.contains("\n2,25.5,25.5,\n"), "{renewed}");
    assert!(!stderr.contains("few digits"), "{stderr}");
    // Alone it cannot be told from one that was rounded, which is said.
    write(dir.path(), "y.csv", saved);
    fs::remove_dir_all(dir.path().join("rig.answers")).unwrap();
    let (code, _, stderr) = run(dir.path(), &["label", "rig.toml", "--adopt", "y.csv"]);
    assert!(code == 0 && stderr.contains("2 of its points show few digits"), "{code} {stderr}");
    assert!(stderr.contains("--input FILE"), "{stderr}");
}

#[test]
fn labels_that_contradict_each_other_are_not_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
name = "rig"
inputs = [{ name = "load", low = 0.0, high = 30.0 }]
outputs = [{ name = "y" }, { name = "z" }]
[oracle.command]
program = ["sh", "-c", "exit 1"]
time_limit = 60
"#;
    write(dir.path(), "rig.toml", text);
    let adopt = ["label", "rig.toml", "--adopt", "k.csv"];
    write(dir.path(), "k.csv", "load,y,z\n1.5,10,1\n2.5,20,2\n1.50,10,1.25\n");
    let words = [
        "k.csv, line 4, column z: 1.25 differs from 1 of line 2, whose inputs are the same",
        "take one of the rows out",
        "--input FILE",
    ];
    refuse(dir.path(), &adopt, &words);
    assert!(!dir.path().join("rig.answers").exists(), "nothing of such a file is taken");
    // Rows that say the same are one.
    write(dir.path(), "k.csv", "load,y,z\n1.5,10,1\n2.5,20,2\n1.50,10.0,1\n");
    let (code, _, stderr) = run(dir.path(), &adopt);
    assert!(code == 0 && stderr.contains("k.csv: 2 answers taken over"), "{stderr}");
    // Of a point that is known the kept label stays, and both are named.
    write(dir.path(), "k.csv", "load,y,z\n2.5,21,2\n");
    let (code, _, stderr) = run(dir.path(), &adopt);
    assert!(code == 0 && stderr.contains("2.5: its label is 21.0,2.0, but another is kept, 20.0,2.0"), "{stderr}");
    // A label that takes the place of a kept failure counts.
    for (rows, words) in [
        ("load,y,z,failure\n3.5,,,crashed: no mesh\n2.5,20,2,\n", "1 answers taken over; 3 are kept now"),
        ("load,y,z\n3.5,30,3\n", "1 answers taken over; 3 are kept now"),
        ("load,y,z\n3.5,30,3\n", "0 answers taken over; 3 are kept now"),
    ] {
        write(dir.path(), "k.csv", rows);
        let (code, _, stderr) = run(dir.path(), &adopt);
        assert!(code == 0 && stderr.contains(words), "{stderr}");
    }
    // Points that a spreadsheet has rounded to the same number are told apart by the points that were asked.
    write(dir.path(), "x.csv", "load\n7.123456\n7.1234561\n");
    write(dir.path(), "k.csv", "row,load,y,z\n0,7.12,30,3\n1,7.12,31,3\n");
    refuse(dir.path(), &adopt, &["k.csv, line 3, column y: 31 differs from 30 of line 2"]);
    let (code, _, stderr) = run(dir.path(), &[&adopt[..], &["--input", "x.csv"]].concat());
    assert!(code == 0 && stderr.contains("2 of its points are rounded and were taken for the rows"), "{stderr}");
}

#[test]
fn no_cell_of_the_kept_answers_begins_a_formula() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
name = "sums"
inputs = [{ name = "=a", low = -1.0, high = 1.0 }, { name = "+lev", levels = ["=1+1", "b"] }]
outputs = [{ name = "@y" }]
[oracle.command]
program = ["sh", "-c", "read header; echo @y; while read -r line; do echo -2; done"]
time_limit = 60
"#;
    write(dir.path(), "sums.toml", text);
    write(dir.path(), "x.csv", "=a,+lev\n-0.5,=1+1\n0.5,b\n");
    succeed(dir.path(), &["label", "sums.toml", "--input", "x.csv"]);
    let kept = succeed(dir.path(), &["label", "sums.toml", "--kept", "--out", "k.csv"]);
    assert_eq!(kept, "");
    let kept = succeed(dir.path(), &["label", "sums.toml", "--kept"]);
    assert_eq!(kept, "'=a,'+lev,'@y\n-0.5,'=1+1,-2.0\n0.5,b,-2.0\n");
    // They are read back as they were.
    let (code, _, stderr) = run(dir.path(), &["label", "sums.toml", "--answers", "elsewhere", "--adopt", "k.csv"]);
    assert!(code == 0 && stderr.contains("2 answers taken over"), "{code} {stderr}");
    assert_eq!(succeed(dir.path(), &["label", "sums.toml", "--answers", "elsewhere", "--kept"]), kept);
}

#[test]
fn a_problem_that_a_laboratory_answers_has_a_card_and_no_labels() {
    let dir = tempfile::tempdir().unwrap();
    let text = "name = \"weld\"\ntitle = \"Strength of a weld\"\n[[inputs]]\nname = \"speed\"\nlow = 1\nhigh = 9\n\
                [[inputs]]\nname = \"gas\"\nlevels = [\"argon\", \"mixed\"]\n[[outputs]]\nname = \"strength\"\nunit = \"MPa\"\n";
    write(dir.path(), "weld.toml", text);
    let card = succeed(dir.path(), &["problems", "weld.toml"]);
    for words in ["weld: Strength of a weld", "a laboratory", "speed", "strength", "MPa"] {
        assert!(card.contains(words), "{words:?} is not in\n{card}");
    }
    write(dir.path(), "x.csv", "speed,gas\n2,argon\n");
    refuse(dir.path(), &["label", "weld.toml", "--input", "x.csv"], &["`weld` has no oracle", "laboratory"]);
    refuse(dir.path(), &["tune", "weld.toml"], &["`weld` has no oracle", "laboratory"]);
    write(
        dir.path(),
        "s.toml",
        "name = \"s\"\nseeds = 1\n[[problem]]\nid = \"weld.toml\"\n[[strategy]]\nid = \"random\"\n",
    );
    refuse(dir.path(), &["bench", "run", "s.toml", "--store", "store"], &["s.toml:3", "problem[0]", "no oracle"]);
    // Nothing is kept yet, and that is no mistake.
    assert_eq!(succeed(dir.path(), &["label", "weld.toml", "--kept"]), "speed,gas,strength\n");
}
