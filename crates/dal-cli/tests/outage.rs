//! A program that goes down in the middle of a sweep, and one that fails at some points only: what is told, kept and
//! asked again.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;

use common::{deterministic_files, run, succeed, write};

/// A problem of two inputs whose program logs each point that it is asked about and answers row by row. It fails once
/// it has answered as many points as the file `down` says, and wherever u is above the number in the file `limit`.
fn problem(folder: &Path, oracle: &str) {
    write(
        folder,
        "own.toml",
        &format!(
            "name = \"own\"\n[[inputs]]\nname = \"u\"\nlow = 0.0\nhigh = 2.0\n[[inputs]]\nname = \"v\"\nlow = -1.0\nhigh = 1.0\n\
             [[outputs]]\nname = \"drag\"\n[oracle.command]\nprogram = [\"sh\", \"sim.sh\"]\ntime_limit = 60.0\n{oracle}\n"
        ),
    );
    write(
        folder,
        "sim.sh",
        r#"n=$(wc -l < asked.log 2>/dev/null || echo 0)
if [ -e down ] && [ $n -ge "$(cat down)" ]; then echo licence server down >&2; exit 7; fi
exec awk -F, -v limit="$(cat limit 2>/dev/null || echo 9)" '
NR==1 {print "row,drag"; next}
$1 > limit {print "mesh breaks at " $1 > "/dev/stderr"; exit 3}
{print $0 >> "asked.log"; fflush("asked.log"); printf "%d,%.17g\n", NR-2, $1*$1+sin(3*$2); fflush()}'
"#,
    );
    write(
        folder,
        "sweep.toml",
        "name = \"out\"\nseeds = 1\n[protocol]\ninitial = 10\nqueries = 5\nsteps = 2\ntest_points = 20\npool_ratios = [2]\n\
         [training]\nepochs = 3\nmembers = 2\n[[problem]]\nid = \"sine\"\npreset = \"published\"\nnetwork = { hidden = [8] }\n\
         [[problem]]\nid = \"own.toml\"\nnetwork = { hidden = [8] }\n\
         [[strategy]]\nid = \"random\"\n[[strategy]]\nid = \"gsx\"\n[[strategy]]\nid = \"qbc\"\n",
    );
}

const BENCH: [&str; 7] = ["bench", "run", "sweep.toml", "--store", "store", "--jobs", "2"];

fn asked(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("asked.log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn page(folder: &Path) -> String {
    succeed(folder, &["report", "store", "--out", "report"]);
    fs::read_to_string(folder.join("report/report.html")).unwrap()
}

#[test]
fn a_program_that_goes_down_loses_nothing() {
    for oracle in ["rows_per_call = 7\nparallel = 2\nretries = 0", "", "retries = 0", "parallel = 3\nrows_per_call = 1"]
    {
        let reference = tempfile::tempdir().unwrap();
        problem(reference.path(), oracle);
        // The plan knows how many points that is.
        let plan = succeed(reference.path(), &["bench", "run", "sweep.toml", "--plan", "--call-time", "2s"]);
        let first = plan.lines().next().unwrap();
        assert!(first.starts_with("out: 6 runs, 0 finished; 18 trainings to do, "), "{first}");
        assert!(first.contains("; up to 60 simulator calls for own, 2.0 s each; about "), "{first}");
        assert!(asked(reference.path()).is_empty());
        succeed(reference.path(), &BENCH);
        // 20 test points, 10 initial ones, and two times five queries of three runs, some of which choose the same.
        let due = asked(reference.path()).len();
        assert!((40..=60).contains(&due), "{due}");

        let dir = tempfile::tempdir().unwrap();
        problem(dir.path(), oracle);
        write(dir.path(), "down", "30");
        for start in 0..2 {
            let (code, _, stderr) = run(dir.path(), &BENCH);
            assert_eq!(code, 1, "{oracle}: {stderr}");
            for words in ["the program is down", "licence server down", "3 of 6 runs are finished", "waiting: own-gsx"]
            {
                assert!(stderr.contains(words), "{oracle}, start {start}: {words} is not in {stderr}");
            }
        }
        // 20 points of the test set and 10 initial ones; then the licence server went down.
        assert_eq!(asked(dir.path()).len(), 30);
        let text = page(dir.path());
        for words in ["3 wait for a program: the program is down", "licence server down"] {
            assert!(text.contains(words), "{oracle}: {words}");
        }
        fs::remove_file(dir.path().join("down")).unwrap();
        let (code, _, stderr) = run(dir.path(), &BENCH);
        assert_eq!(code, 0, "{oracle}: {stderr}");
        let expected = deterministic_files(&reference.path().join("store"));
        assert_eq!(deterministic_files(&dir.path().join("store")), expected, "{oracle}");
        // The known point may have been asked again when the program was back, once per run that waited.
        let n = asked(dir.path()).len();
        assert!((due..=due + 3).contains(&n), "{oracle}: {n} for {due}");
        assert!(!page(dir.path()).contains("wait for a program"));
    }
}

#[test]
fn failed_labels_are_told_and_asked_again_where_that_helps() {
    let reference = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for folder in [reference.path(), dir.path()] {
        problem(folder, "parallel = 2");
    }
    succeed(reference.path(), &BENCH);
    // Test set and initial points are answered first, so that they are the same; then the program fails
    // for larger u.
    succeed(dir.path(), &["bench", "run", "sweep.toml", "--plan", "--call-time", "measure"]);
    assert_eq!(asked(dir.path()).len(), 1, "a measured call");
    let text = fs::read_to_string(dir.path().join("sweep.toml")).unwrap();
    write(dir.path(), "first.toml", &text.replace("steps = 2", "steps = 0"));
    succeed(dir.path(), &["bench", "run", "first.toml", "--store", "other"]);
    // The point that would be asked again, if too much failed, is the first of the test set; it goes on to work.
    let known = asked(dir.path())[0].split(',').next().unwrap().to_owned();
    write(dir.path(), "limit", &known);
    let (code, _, stderr) = run(dir.path(), &BENCH);
    assert_eq!(code, 1, "{stderr}");
    for words in
        ["labels before entry 1 failed", "mesh breaks at", "6 of 6 runs are finished", "labels failed in 3 runs"]
    {
        assert!(stderr.contains(words), "{words} is not in {stderr}");
    }
    let text = page(dir.path());
    assert!(text.contains("Failed labels") && text.contains("mesh breaks at"));
    // Told again by a start that has nothing to do.
    let (code, _, stderr) = run(dir.path(), &BENCH);
    assert!(code == 1 && stderr.contains("labels failed in 3 runs"), "{stderr}");
    let before = deterministic_files(&dir.path().join("store"));
    // Asked again in vain, the runs stand.
    let retry = [&BENCH[..], &["--retry-failed"]].concat();
    let (code, _, stderr) = run(dir.path(), &retry);
    assert!(code == 1 && stderr.contains("stands as it is: its failed labels failed again"), "{stderr}");
    assert_eq!(deterministic_files(&dir.path().join("store")), before);
    // The mesh is mended.
    fs::remove_file(dir.path().join("limit")).unwrap();
    let (code, _, stderr) = run(dir.path(), &retry);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(deterministic_files(&dir.path().join("store")), deterministic_files(&reference.path().join("store")));
    let superseded = fs::read_dir(dir.path().join("store/superseded")).unwrap().count();
    assert_eq!(superseded, 0, "what was made anew is finished");
}

#[test]
fn a_program_that_is_down_from_the_beginning_leaves_no_failures_behind() {
    let dir = tempfile::tempdir().unwrap();
    problem(dir.path(), "");
    write(dir.path(), "limit", "-1");
    let (code, _, stderr) = run(dir.path(), &BENCH);
    assert!(code == 1 && stderr.contains("none of its 20 points has a label"), "{stderr}");
    assert!(
        stderr.contains("3 of 6 runs are finished") && page(dir.path()).contains("3 wait for a program"),
        "{stderr}"
    );
    fs::remove_file(dir.path().join("limit")).unwrap();
    let (code, _, stderr) = run(dir.path(), &BENCH);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains("are left out"), "{stderr}");
}

#[test]
fn a_search_says_how_many_answers_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    problem(dir.path(), "");
    let args =
        ["tune", "own.toml", "--plan", "--points", "40", "--validation", "20", "--epochs", "4", "--members", "1"];
    let plan = succeed(dir.path(), &args);
    let first = plan.lines().next().unwrap();
    assert!(first.starts_with("own: ") && first.contains("; up to 60 simulator calls"), "{first}");
    assert!(asked(dir.path()).is_empty());
}

#[test]
fn a_program_that_goes_down_in_the_test_set_leaves_the_other_problems_running() {
    let dir = tempfile::tempdir().unwrap();
    problem(dir.path(), "rows_per_call = 4");
    write(dir.path(), "down", "8");
    let (code, _, stderr) = run(dir.path(), &BENCH);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("the program is down") && stderr.contains("3 of 6 runs are finished"), "{stderr}");
    assert!(!stderr.contains("are left out"), "{stderr}");
    assert_eq!(asked(dir.path()).len(), 8);
    assert!(page(dir.path()).contains("3 wait for a program: the program is down"));
    fs::remove_file(dir.path().join("down")).unwrap();
    succeed(dir.path(), &BENCH);
    let reference = tempfile::tempdir().unwrap();
    problem(reference.path(), "rows_per_call = 4");
    succeed(reference.path(), &BENCH);
    let files = |folder: &Path| deterministic_files(&folder.join("store"));
    assert_eq!(files(dir.path()), files(reference.path()));
}

#[test]
fn a_campaign_whose_program_is_down_uses_up_no_attempt() {
    for (parallel, more) in [("1", "parallel = 1"), ("3", "parallel = 3"), ("8", "parallel = 8")] {
        let dir = tempfile::tempdir().unwrap();
        problem(dir.path(), more);
        write(dir.path(), "one.csv", "u,v\n0.5,0.5\n");
        succeed(dir.path(), &["label", "own.toml", "--input", "one.csv"]);
        succeed(dir.path(), &["new", "own", "--problem", "own.toml", "--initial", "20"]);
        write(dir.path(), "down", "0");
        let campaign = ["run", "own", "--budget", "20", "--parallel", parallel];
        // As often as `attempts` allows, and once more.
        for _ in 0..4 {
            let (code, _, stderr) = run(dir.path(), &campaign);
            assert!(code == 1 && stderr.contains("the program is down"), "{stderr}");
            let standing = succeed(dir.path(), &["status", "own"]);
            assert!(standing.contains("20 asked") && !standing.contains("lost"), "{standing}");
            assert!(!standing.contains("failed"), "{standing}");
        }
        fs::remove_file(dir.path().join("down")).unwrap();
        let said = succeed(dir.path(), &campaign);
        assert!(said.contains("20 labels, 0 points failed"), "{said}");
    }
}
