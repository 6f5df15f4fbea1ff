//! `dal bench run` and `dal report` as a user meets them: killed, resumed, run side by side, and fed with bad input.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{deterministic_files, kill_until_through, refuse, run, succeed, write};

/// Small enough for seconds, large enough to be killed in the middle.
fn sweep(epochs: usize) -> String {
    format!(
        r#"
name = "small"
seeds = 2

[protocol]
initial = 12
queries = 4
steps = 3
test_points = 50
pool_ratios = [2, 4]

[training]
epochs = {epochs}
members = 2

[[problem]]
id = "sine"
preset = "published"
network = {{ hidden = [8, 8] }}

[[problem]]
id = "hydro"
preset = "published"
network = {{ hidden = [8] }}

[[strategy]]
id = "random"

[[strategy]]
id = "gsx"

[[strategy]]
id = "qbc"
"#
    )
}

fn bench(folder: &Path, store: &str, jobs: &str) -> String {
    let (code, _, stderr) = run(folder, &["bench", "run", "sweep.toml", "--store", store, "--jobs", jobs]);
    assert_eq!(code, 0, "{stderr}");
    stderr
}

#[test]
fn jobs_and_kills_leave_no_trace_in_the_deterministic_files() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &sweep(400));
    bench(dir.path(), "undisturbed", "1");
    let expected = deterministic_files(&dir.path().join("undisturbed"));
    // Two problems, two seeds, Random once and two strategies at two pool ratios; four files each.
    assert_eq!(expected.len(), 2 * 2 * (1 + 2 * 2) * 4);

    bench(dir.path(), "parallel", "3");
    assert_eq!(deterministic_files(&dir.path().join("parallel")), expected);

    kill_until_through(
        dir.path(),
        &["bench", "run", "sweep.toml", "--store", "killed", "--jobs", "2"],
        Duration::from_millis(60),
    );
    assert_eq!(deterministic_files(&dir.path().join("killed")), expected);

    let again = bench(dir.path(), "killed", "2");
    assert!(again.contains("20 finished; 0 trainings to do"), "{again}");
}

#[test]
fn a_report_stands_on_its_own() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &sweep(5));
    bench(dir.path(), "store", "2");
    let out = succeed(dir.path(), &["report", "store", "--out", "report"]);
    assert!(out.contains("report.html"), "{out}");
    let page = fs::read_to_string(dir.path().join("report/report.html")).unwrap();
    for word in ["sine", "hydro", "gsx", "qbc", "nAUC", "nDiv", "provisional"] {
        assert!(page.contains(word), "{word}");
    }
    for outside in ["<script src", "<link rel=\"stylesheet\"", "@import", "<img src=\"http"] {
        assert!(!page.contains(outside), "{outside}");
    }
    refuse(dir.path(), &["report", "absent", "--out", "report"], &["absent"]);
}

#[test]
fn a_plan_runs_nothing_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &sweep(5));
    let out = succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store", "--plan", "--format", "csv"]);
    assert_eq!(out.lines().count(), 1 + 2 * (1 + 2 * 2));
    assert!(out.starts_with("problem,strategy,pool_ratio,seeds,trainings,processor_s\n"), "{out}");
    assert!(out.lines().skip(1).all(|line| line.split(',').nth(4) == Some("8")), "4 entries of 2 seeds: {out}");
    assert!(!dir.path().join("store").exists());
    // The one line that matters comes first, and needs no store: 4 entries of 20 runs.
    let out = succeed(dir.path(), &["bench", "run", "sweep.toml", "--plan", "--jobs", "2"]);
    let first = out.lines().next().unwrap();
    assert!(first.starts_with("small: 20 runs, 0 finished; 80 trainings to do, "), "{first}");
    assert!(first.contains("of processor time each") && first.contains("with 2 at a time"), "{first}");
    assert!(!first.contains("simulator"), "{first}");
    refuse(dir.path(), &["bench", "run", "sweep.toml"], &["--store"]);
}

#[test]
fn more_steps_cost_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &sweep(5));
    bench(dir.path(), "store", "2");
    write(dir.path(), "sweep.toml", &sweep(5).replace("steps = 3", "steps = 5"));
    let first = bench(dir.path(), "store", "2");
    assert!(first.contains("20 runs, 0 finished; 60 trainings to do"), "two new steps and one: {first}");
    assert!(first.contains("20 runs go on where finished ones of fewer steps ended"), "{first}");
    bench(dir.path(), "anew", "2");
    let anew = deterministic_files(&dir.path().join("anew"));
    let extended = deterministic_files(&dir.path().join("store"));
    assert_eq!(anew.len(), 20 * 4);
    assert!(anew.iter().all(|(name, bytes)| extended.get(name) == Some(bytes)));
}

#[test]
fn the_example_of_the_page_on_sweep_files_is_a_sweep() {
    let page = include_str!("../../dal-bench/sweep-files.md");
    let (text, _) = page.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example");
    assert!(text.contains("\"simulator.toml\""));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &text.replace("simulator.toml", "sine"));
    let out = succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store", "--plan", "--format", "csv"]);
    for strategy in ["random", "gsx", "qbc-diversity"] {
        assert!(out.contains(strategy), "{out}");
    }
}

#[test]
fn bad_sweeps_are_refused_with_file_line_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let good = sweep(5);
    let cases = [
        ("name = \"small\"", "name = \"small", &["bad.toml:2"][..]),
        ("seeds = 2", "seeds = 2\ncolour = 3", &["bad.toml:", "colour"]),
        ("seeds = 2", "seeds = 0", &["bad.toml:3", "seeds"]),
        ("id = \"hydro\"", "id = \"hidro\"", &["bad.toml:", "hidro", "hydro"]),
        ("id = \"gsx\"", "id = \"gxs\"", &["bad.toml:", "gxs", "gsx"]),
        ("id = \"gsx\"", "id = \"gsx\"\nsettings = { k = \"3\" }", &["bad.toml:", "k"]),
        ("initial = 12", "initial = 0", &["bad.toml:", "initial"]),
        ("queries = 4", "queries = -4", &["bad.toml:", "queries"]),
        ("pool_ratios = [2, 4]", "pool_ratios = [0]", &["bad.toml:", "pool_ratios"]),
        ("pool_ratios = [2, 4]", "pool_ratios = []", &["bad.toml:", "pool_ratios"]),
        ("members = 2", "members = 0", &["bad.toml:", "members"]),
        ("hidden = [8]", "hidden = [0]", &["bad.toml:", "hidden"]),
        // Each size is admitted alone, their product is not.
        (
            "queries = 4\nsteps = 3",
            "queries = 10000000\nsteps = 10000000",
            &["bad.toml:8", "100000000000012 labelled points", "2147483648"],
        ),
        (
            "queries = 4\nsteps = 3\ntest_points = 50\npool_ratios = [2, 4]",
            "queries = 100000\nsteps = 3\ntest_points = 50\npool_ratios = [2, 100000]",
            &["bad.toml:10", "10000000000 points of the pool", "2147483648"],
        ),
        ("hidden = [8]", "hidden = [1000000, 1000000]", &["bad.toml:", "weights", "1073741824"]),
        ("members = 2", "members = 1000000000000", &["bad.toml:", "1000000000000 members", "2147483648"]),
        ("seeds = 2", "seeds = 2\n[report]\nx = 1", &["bad.toml:", "report"]),
    ];
    for (from, to, words) in cases {
        assert!(good.contains(from), "{from}");
        write(dir.path(), "bad.toml", &good.replace(from, to));
        refuse(dir.path(), &["bench", "run", "bad.toml", "--store", "store"], words);
        assert!(!dir.path().join("store/runs").exists(), "{to}: something was run");
    }
    refuse(dir.path(), &["bench", "run", "absent.toml", "--store", "store"], &["absent.toml"]);
    write(dir.path(), "sweep.toml", &good);
    let run = ["bench", "run", "sweep.toml", "--store", "store"];
    refuse(dir.path(), &[&run[..], &["--jobs", "0"]].concat(), &["--jobs"]);
    refuse(dir.path(), &[&run[..], &["--together", "0"]].concat(), &["--together"]);
    refuse(dir.path(), &[&run[..], &["--engine", "gpu"]].concat(), &["--engine: ", "gpu", "cpu, tch"]);
    refuse(dir.path(), &[&run[..], &["--device", "cuda:0"]].concat(), &["--device: ", "cuda:0", "tch"]);
    refuse(dir.path(), &[&run[..], &["--precision", "bf16"]].concat(), &["--precision: ", "bf16", "tch"]);
    #[cfg(not(feature = "tch"))]
    refuse(dir.path(), &[&run[..], &["--engine", "tch"]].concat(), &["cargo xtask libtorch", "--features tch"]);
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &sweep(5));
    let args = ["bench", "run", "sweep.toml", "--store", "store"];

    // A folder that is something else.
    fs::create_dir(dir.path().join("store")).unwrap();
    write(&dir.path().join("store"), "thesis.tex", "years of work");
    refuse(dir.path(), &args, &["store"]);
    assert_eq!(fs::read_dir(dir.path().join("store")).unwrap().count(), 1);
    fs::remove_dir_all(dir.path().join("store")).unwrap();

    // A file where a folder should be.
    write(dir.path(), "file", "");
    refuse(dir.path(), &["bench", "run", "sweep.toml", "--store", "file"], &["file"]);
}
