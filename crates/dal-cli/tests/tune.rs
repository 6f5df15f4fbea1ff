//! `dal tune` as a user meets it: killed, resumed, run side by side, on a table of 500 rows, and fed with bad input.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{kill_until_through, refuse, run, succeed, write};

/// A search of seconds: small networks, few labels, few epochs.
const SMALL: &[&str] = &[
    "tune",
    "sine",
    "--points",
    "60",
    "--validation",
    "100",
    "--epochs",
    "80",
    "--members",
    "3",
    "--seeds",
    "2",
    "--budget",
    "30",
    "--space",
    "small",
    "--test-points",
    "200",
    "--proof-points",
    "20,60",
    "--proof-seeds",
    "2",
    // Networks of these sizes do not learn in 80 epochs.
    "--campaign-seeds",
    "0",
];

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [SMALL, more].concat()
}

/// As [`small`], with another value of one flag.
fn with<'a>(flag: &'a str, value: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = small(more);
    match args.iter().position(|a| *a == flag) {
        Some(at) => args[at + 1] = value,
        None => args.extend([flag, value]),
    }
    args
}

/// Everything that a finished search leaves but its journal, whose lines stand in the order in which they came.
fn results(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("journal.jsonl"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn jobs_and_kills_leave_no_trace_in_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let told = succeed(dir.path(), &small(&["--jobs", "1", "--out", "alone"]));
    // As many trainings as the plan says: exactly in the proof, about so many in the search.
    let plan = succeed(dir.path(), &small(&["--plan"]));
    let trials = fs::read_to_string(dir.path().join("alone/trials.csv")).unwrap();
    let (proof, search): (Vec<&str>, Vec<&str>) = trials.lines().skip(1).partition(|line| line.starts_with("proof,"));
    let planned: usize = plan.split("about ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(planned.abs_diff(search.len()) * 10 <= search.len(), "{planned} planned, {} done", search.len());
    assert_eq!(proof.len(), 8);
    assert!(told.contains("reached the finals") && told.contains("batch_norm_statistics"), "{told}");
    let expected = results(&dir.path().join("alone"));
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["choice.json", "tested.csv", "tested.md", "trials.csv", "tried.csv", "tried.md", "tried.svg"]);
    let beside = succeed(dir.path(), &small(&["--jobs", "3", "--out", "beside"]));
    assert_eq!(results(&dir.path().join("beside")), expected);
    assert_eq!(beside.replace("beside", "alone"), told);

    kill_until_through(dir.path(), &small(&["--jobs", "2", "--out", "killed"]), Duration::from_millis(80));
    assert_eq!(results(&dir.path().join("killed")), expected);

    // A finished search is answered from its journal, in every format.
    let again = succeed(dir.path(), &small(&["--out", "alone", "--format", "json"]));
    let choice: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert!(choice["chosen"]["hidden"].is_array() && choice["proof"]["verdict"].is_string(), "{again}");
    assert_eq!(choice["proof"]["rows"].as_array().unwrap().len(), 2);
    let csv = succeed(dir.path(), &small(&["--out", "alone", "--format", "csv"]));
    assert_eq!(csv.lines().count(), 1 + choice["tried"].as_array().unwrap().len());

    // The reference is among the finalists.
    let tried = choice["tried"].as_array().unwrap();
    assert!(tried.iter().any(|t| t["candidate"] == 0 && t["rung"] == 3), "{again}");

    // The proof may be left out, and asked for later.
    succeed(dir.path(), &with("--proof-seeds", "0", &["--out", "alone"]));
    let without = fs::read_to_string(dir.path().join("alone/trials.csv")).unwrap();
    assert!(!without.contains("proof"), "{without}");
    succeed(dir.path(), &small(&["--out", "alone"]));
    assert_eq!(results(&dir.path().join("alone")), expected);

    // Another search does not go on in this directory.
    let other = with("--seeds", "1", &["--out", "alone"]);
    refuse(dir.path(), &other, &["alone", "another directory", "settings"]);
}

#[test]
fn a_table_of_500_rows_is_cross_validated_and_its_test_rows_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = "speed,blades,thrust\n".to_owned();
    for i in 0..500 {
        let (speed, blades) = ((i * 37 % 500) as f64 / 500.0, 2 + i % 4);
        table += &format!("{speed},{blades},{}\n", (6.0 * speed).sin() * blades as f64);
    }
    write(dir.path(), "table.csv", &table);
    let problem = "name = \"propeller\"\n[[inputs]]\nname = \"speed\"\n[[inputs]]\nname = \"blades\"\ninteger = true\n\
                   [[outputs]]\nname = \"thrust\"\n[oracle.table]\nfile = \"table.csv\"\n[network]\nhidden = [16, 16]\n";
    write(dir.path(), "propeller.toml", problem);
    let args = [
        "--space",
        "small",
        "--campaign-seeds",
        "1",
        "--epochs",
        "60",
        "--members",
        "2",
        "--seeds",
        "2",
        "--budget",
        "12",
        "--proof-seeds",
        "2",
    ];
    let told = succeed(dir.path(), &[&["tune", "propeller.toml"][..], &args].concat());
    assert!(told.contains("5-fold cross-validation on 400 rows"), "{told}");
    assert!(told.contains("100 rows are kept"), "{told}");
    assert!(told.contains("[network]") && told.contains("batch_norm_statistics"), "{told}");
    assert!(told.contains("80 labels") && told.contains("400 labels"), "{told}");

    // What it prints can stand in the problem file.
    let block: Vec<&str> = told.lines().skip_while(|line| !line.contains("[network]")).take(6).map(str::trim).collect();
    let tuned = problem.split("[network]").next().unwrap().to_owned() + &block.join("\n") + "\n";
    write(dir.path(), "tuned.toml", &tuned);
    succeed(dir.path(), &["problems", "tuned.toml"]);

    // Too few rows.
    write(dir.path(), "table.csv", &table.lines().take(31).map(|line| format!("{line}\n")).collect::<String>());
    refuse(dir.path(), &["tune", "propeller.toml"], &["30 rows", "at least 40"]);
}

#[test]
fn networks_that_diverge_are_failures_of_theirs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let told = succeed(
        dir.path(),
        &small(&["--learning-rates", "1e-3,1e30", "--batch-norm", "none", "--out", "out", "--format", "csv"]),
    );
    assert!(told.contains("failed: ") && told.contains("chosen"), "{told}");
    assert!(fs::read_to_string(dir.path().join("out/tried.md")).unwrap().contains("failed: "));
}

#[test]
fn a_plan_trains_nothing_and_bad_input_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = run(dir.path(), &small(&["--plan", "--format", "csv"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.lines().count() > 10 && stderr.contains("about"), "{stdout}{stderr}");
    let plan = succeed(dir.path(), &small(&["--plan"]));
    let first = plan.lines().next().unwrap();
    assert!(first.starts_with("sine: ") && first.contains(" trainings, "), "{first}");
    assert!(first.contains("the 8 trainings of the proof"), "two networks, two sizes, two seeds: {first}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    for (more, words) in [
        (["--budget", "1"], &["budget of 1", "need 10"][..]),
        (["--budget", "nan"], &["budget"]),
        (["--points", "0"], &["points"]),
        (["--epochs", "0"], &["epochs"]),
        (["--jobs", "0"], &["--jobs"]),
        (["--depths", "0"], &["depths"]),
        (["--learning-rates", "0"], &["learning_rates"]),
        (["--max-parameters", "1"], &["max_parameters"]),
        (["--batch-norm", "perhaps"], &["perhaps", "recomputed"]),
        (["--set", "order=x"], &["order"]),
    ] {
        refuse(dir.path(), &with(more[0], more[1], &[]), words);
    }
    refuse(dir.path(), &["tune", "sinus"], &["sinus", "sine"]);
    refuse(dir.path(), &["tune", "absent.toml"], &["absent.toml"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn points_without_a_label_are_told_and_no_set_is_counted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let text = "name = \"rig\"\n[[inputs]]\nname = \"load\"\nlow = 0\nhigh = 4\n[[outputs]]\nname = \"y\"\n\
                [oracle.command]\nprogram = [\"sh\", \"sim.sh\"]\ntime_limit = 60\n";
    write(dir.path(), "rig.toml", text);
    let script = "read h; echo y; while read -r a; do case $a in 3*) echo 'error: too big';; *) echo $a;; esac; done";
    write(dir.path(), "sim.sh", script);
    let sizes = ["--points", "15,20", "--validation", "10", "--epochs", "3", "--members", "1", "--seeds", "1"];
    let rest = ["--budget", "6", "--space", "training", "--proof-points", "20", "--campaign-seeds", "0"];
    let more = ["--test-points", "30", "--proof-seeds", "1", "--out", "tuned"];
    let said = succeed(dir.path(), &[&["tune", "rig.toml"][..], &sizes, &rest, &more].concat());
    let kept = succeed(dir.path(), &["label", "rig.toml", "--kept"]);
    let failed = 80 - (kept.lines().count() - 1);
    let choice: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("tuned/choice.json")).unwrap()).unwrap();
    let counts = |of: &str| {
        let pair = choice["left_out"][of].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize);
        pair.collect::<Vec<usize>>()
    };
    let all = [counts("compared"), counts("test"), counts("proof")];
    assert_eq!(all.iter().map(|pair| pair[1]).collect::<Vec<_>>(), [30, 30, 20]);
    assert_eq!(all.iter().map(|pair| pair[0]).sum::<usize>(), failed, "{kept}");
    assert!(
        failed > 5 && said.contains(&format!("{} of 30 points that networks were compared on", all[0][0])),
        "{said}"
    );
}
