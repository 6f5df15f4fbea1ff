//! Programs that miscount, are being written, or vanish: a campaign keeps none of their answers and loses no point.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;

use common::{refuse, run, succeed, write};

/// One input between 0 and 1, one output, and a program in sh.
fn problem(at: &Path) {
    let text = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0.0\nhigh = 1.0\n[[outputs]]\nname = \"y\"\n\
         [oracle.command]\nprogram = [\"sh\", \"sim.sh\"]\ntime_limit = 60.0\nretries = 0\n";
    write(at, "p.toml", text);
}

/// y = 2a, for each of its points.
const WORKS: &str = "awk -F, 'NR == 1 {print \"y\"; next} {printf \"%.17g\\n\", 2 * $1; fflush()}'\n";

/// The same without the second point of a call of several.
const SKIPS: &str = "awk -F, 'NR == 1 {print \"y\"; next} {all[++n] = 2 * $1}\n\
                     END {for (i = 1; i <= n; i++) if (n == 1 || i != 2) printf \"%.17g\\n\", all[i]}'\n";

/// Points of an export with their answers, all of which must be right.
fn right(at: &Path, folder: &str) -> usize {
    let table = succeed(at, &["export", folder, "--to", "csv"]);
    let rows = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let done: Vec<(f64, f64)> = rows
        .filter(|cells| cells[3] == "done")
        .map(|cells| (cells[1].parse().unwrap(), cells[2].parse().unwrap()))
        .collect();
    assert!(done.iter().all(|(a, y)| (y - 2.0 * a).abs() < 1e-12), "{table}");
    done.len()
}

#[test]
fn answers_that_may_be_a_neighbours_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    write(at, "sim.sh", SKIPS);
    succeed(at, &["new", "c", "--problem", "p.toml", "--initial", "8", "--batch", "4"]);
    let broken = ["run", "c", "--budget", "8", "--in-batches"];
    // Again and again, as answers that are kept of this program cannot be trusted either.
    for _ in 0..2 {
        let (code, _, stderr) = run(at, &broken);
        assert_eq!(code, 1, "{stderr}");
        for words in ["cannot be matched with them", "in doubt", "another `version`"] {
            assert!(stderr.contains(words), "{words}: {stderr}");
        }
        assert_eq!(right(at, "c"), 0);
    }
    // However it is asked: the answers of the miscounted call do not count.
    write(at, "sim.sh", WORKS);
    for args in [&broken[..], &broken[..4]] {
        let (code, _, stderr) = run(at, args);
        assert!(code == 1 && stderr.contains("another `version`"), "{stderr}");
        assert_eq!(right(at, "c"), 0);
    }
    let text = fs::read_to_string(at.join("p.toml")).unwrap();
    write(at, "p.toml", &(text + "version = \"2\"\n"));
    succeed(at, &broken);
    assert_eq!(right(at, "c"), 8);

    // Of several calls the others' answers are kept.
    let calls = fs::read_to_string(at.join("p.toml")).unwrap().replace("retries = 0", "retries = 0\nrows_per_call = 4");
    write(at, "p.toml", &calls);
    succeed(at, &["new", "calls", "--problem", "p.toml", "--initial", "9", "--seed", "5"]);
    // The last call is of one point.
    write(at, "sim.sh", SKIPS);
    let (code, _, stderr) = run(at, &["run", "calls", "--budget", "9", "--in-batches"]);
    assert!(code == 1 && stderr.contains("answers to 8 points cannot be matched"), "{stderr}");
    assert_eq!(right(at, "calls"), 1);

    // A table says so each time it is asked for.
    write(at, "x.csv", "a\n0.1\n0.2\n0.3\n");
    write(at, "sim.sh", SKIPS);
    for _ in 0..2 {
        let (code, _, stderr) = run(at, &["label", "p.toml", "--input", "x.csv", "--out", "y.csv"]);
        assert!(code == 1 && stderr.contains("in-doubt"), "{stderr}");
        let table = fs::read_to_string(at.join("y.csv")).unwrap();
        assert_eq!(table.matches("in-doubt").count(), 3, "{table}");
    }
    // An audit asks for all of its points in one call.
    let (code, _, stderr) = run(at, &["audit", "c", "-n", "20"]);
    assert!(code == 1 && stderr.contains("cannot be matched with them"), "{stderr}");
}

#[test]
fn a_program_that_never_worked_uses_up_no_point() {
    // With few points they are over before the calls are many enough to see it.
    for (folder, initial) in [("few", "2"), ("many", "15")] {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        problem(at);
        write(at, "sim.sh", "echo hello\n");
        succeed(at, &["new", folder, "--problem", "p.toml", "--initial", initial]);
        for _ in 0..4 {
            let (code, _, stderr) = run(at, &["run", folder, "--budget", "20"]);
            assert!(code == 1 && stderr.contains("nothing was recorded of these calls"), "{stderr}");
        }
        write(at, "sim.sh", WORKS);
        let said = succeed(at, &["run", folder, "--budget", "20"]);
        assert!(said.contains("20 labels, 0 points failed"), "{said}");
        assert_eq!(right(at, folder), 20);
    }
    // What was under way when it was found out uses up nothing either.
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    write(at, "sim.sh", "sleep 0.1; exit 3\n");
    succeed(at, &["new", "wide", "--problem", "p.toml", "--initial", "20"]);
    for _ in 0..3 {
        let (code, _, stderr) = run(at, &["run", "wide", "--budget", "20", "--parallel", "8"]);
        assert_eq!(code, 1, "{stderr}");
        let table = succeed(at, &["export", "wide", "--to", "csv"]);
        assert!(!table.contains(",failed,") && !table.contains(",lost,"), "{table}");
    }
    write(at, "sim.sh", WORKS);
    succeed(at, &["run", "wide", "--budget", "20", "--parallel", "8"]);
    assert_eq!(right(at, "wide"), 20);

    // What the program itself says of its points stands.
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    write(at, "sim.sh", "read -r header; echo y; while read -r line; do echo 'error: dry'; done\n");
    succeed(at, &["new", "dry", "--problem", "p.toml", "--initial", "3"]);
    refuse(at, &["run", "dry", "--budget", "9"], &["none of the 3 points asked for has an answer", "dry"]);
}

#[test]
fn a_program_that_vanished_takes_no_point_along() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    write(at, "sim.sh", WORKS);
    succeed(at, &["new", "c", "--problem", "p.toml", "--initial", "6"]);
    succeed(at, &["run", "c", "--budget", "6"]);
    fs::remove_file(at.join("sim.sh")).unwrap();
    for budget in ["7", "8"] {
        let (code, _, stderr) = run(at, &["run", "c", "--budget", budget]);
        assert!(code == 1 && stderr.contains("the program is down"), "{stderr}");
    }
    write(at, "sim.sh", WORKS);
    let said = succeed(at, &["run", "c", "--budget", "8"]);
    assert!(said.contains("8 labels, 0 points failed"), "{said}");
    assert_eq!(right(at, "c"), 8);
}

/// It answers below 0.3 alone, and logs what it was asked.
const BREAKS: &str = "awk -F, 'NR == 1 {print \"y\"; next} {print $1 >> \"asked.log\"; fflush(\"asked.log\")}\n\
                      $1 > 0.3 {exit 3} {printf \"%.17g\\n\", 2 * $1; fflush()}'\n";

/// A program that is seen to work is not asked for that again and again, and what it fails stands.
#[test]
fn a_program_that_works_but_for_many_points_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    problem(at);
    write(at, "sim.sh", BREAKS);
    write(at, "x.csv", "a\n0.05\n");
    succeed(at, &["label", "p.toml", "--input", "x.csv"]);
    succeed(at, &["new", "c", "--problem", "p.toml", "--initial", "20", "--seed", "3"]);
    fs::remove_file(at.join("asked.log")).unwrap();
    run(at, &["run", "c", "--budget", "20"]);
    let asked = fs::read_to_string(at.join("asked.log")).unwrap();
    let known = asked.lines().filter(|line| line.trim() == "0.05").count();
    assert!(known <= asked.lines().count() / 6, "{known} of {}", asked.lines().count());
    let table = succeed(at, &["export", "c", "--to", "csv"]);
    let failed = table.lines().filter(|line| line.contains(",failed,")).count();
    assert!(failed >= 10 && right(at, "c") + failed == 20, "{table}");
}
