//! Stores as a user meets them: damaged, with strangers among their files, set aside, and written as tables.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{refuse, run, succeed, write};

const SWEEP: &str = r#"
name = "small"
seeds = 2

[protocol]
initial = 10
queries = 4
steps = 2
test_points = 40
pool_ratios = [2]

[training]
epochs = 4
members = 2

[[problem]]
id = "sine"
preset = "published"
network = { hidden = [8] }

[[problem]]
id = "hydro"
preset = "published"
network = { hidden = [8] }

[[strategy]]
id = "random"

[[strategy]]
id = "gsx"

[[strategy]]
id = "qbc"
"#;

const BENCH: [&str; 7] = ["bench", "run", "sweep.toml", "--store", "store", "--jobs", "2"];

fn made() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", SWEEP);
    succeed(dir.path(), &BENCH);
    let mut runs: Vec<PathBuf> =
        fs::read_dir(dir.path().join("store/runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    (dir, runs)
}

fn name(run: &Path) -> &str {
    run.file_name().unwrap().to_str().unwrap()
}

/// A page without the time at which it was made.
fn page(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let (before, after) = text.split_once(" Made ").expect("a page says when it was made");
    let (_, after) = after.split_once(". ").expect("a sentence ends");
    format!("{before} {after}")
}

#[test]
fn what_is_damaged_is_named_and_set_aside_and_everything_else_goes_on() {
    let (dir, runs) = made();
    let out = dir.path();
    assert_eq!(succeed(out, &["bench", "verify", "store"]), "");
    // A flipped bit, a missing file, a person's edit, and strangers.
    let records = runs[0].join("records.jsonl");
    let mut bytes = fs::read(&records).unwrap();
    bytes[10] ^= 1;
    fs::write(&records, &bytes).unwrap();
    fs::remove_file(runs[3].join("queries.npy")).unwrap();
    let spec = runs[5].join("spec.json");
    fs::write(&spec, fs::read_to_string(&spec).unwrap().replace("\"epochs\":4", "\"epochs\":5")).unwrap();
    write(&out.join("store/runs"), "Thumbs.db", "");
    write(&runs[1], ".DS_Store", "");

    let (code, stdout, stderr) = run(out, &["bench", "verify", "store", "--format", "csv"]);
    assert_eq!(code, 1, "{stderr}");
    for (run, word) in [(&runs[0], "records.jsonl"), (&runs[3], "queries.npy"), (&runs[5], "spec.json")] {
        let of = |line: &&str| line.starts_with(&format!("damaged,runs/{},", name(run))) && line.contains(word);
        assert_eq!(stdout.lines().filter(of).count(), 1, "{stdout}");
    }
    assert!(stdout.contains("foreign,runs/Thumbs.db,") && stdout.contains("/.DS_Store,"), "{stdout}");
    assert_eq!(stdout.matches("foreign,").count(), 2, "{stdout}");

    let (code, _, stderr) = run(out, &["report", "store", "--out", "report"]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stderr.matches("left out: ").count(), 3, "{stderr}");
    let text = fs::read_to_string(out.join("report/report.html")).unwrap();
    assert!(text.contains("Could not be read") && text.contains(name(&runs[3])));

    // A start runs nothing that is there, takes nothing damaged for done, and says so.
    fs::remove_dir_all(&runs[2]).unwrap();
    let (code, _, stderr) = run(out, &BENCH);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stderr.matches("left out: ").count(), 3, "{stderr}");
    assert!(stderr.contains("9 of 12 runs are finished (8 before, 1 now, 0 failed, 0 left)"), "{stderr}");
    let (code, _, stderr) = run(out, &["bench", "verify", "store", "--quarantine"]);
    assert_eq!(code, 1, "{stderr}");
    for run in [0, 3, 5].map(|i| name(&runs[i])) {
        assert!(out.join("store/quarantine/runs").join(run).is_dir() && !out.join("store/runs").join(run).exists());
    }
    succeed(out, &BENCH);
    assert!(!succeed(out, &["bench", "verify", "store"]).contains("damaged"));
    refuse(out, &["bench", "verify", "store", "--jobs", "0"], &["--jobs"]);
    refuse(out, &["bench", "verify", "absent"], &["absent"]);
}

#[test]
fn a_lost_record_of_a_sweep_and_a_damaged_manifest_are_reported_and_mended() {
    let (dir, runs) = made();
    let out = dir.path();
    let verify = ["bench", "verify", "store", "--format", "csv"];
    let record = fs::read_dir(out.join("store/sweeps")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    let (code, stdout, stderr) = run(out, &verify);
    assert_eq!((code, stdout.matches("missing,sweeps/").count()), (1, 1), "{stdout}{stderr}");
    assert!(stdout.contains("which 12 runs here name as theirs, is not there; the next start"), "{stdout}");
    assert!(stderr.contains("0 damaged; 0 other files damaged, 1 record of a sweep missing"), "{stderr}");
    // One that is damaged is not missing, too; nor is one missed by a run that another record plans.
    fs::write(&record, &text[1..]).unwrap();
    let (code, stdout, _) = run(out, &verify);
    assert!(code == 1 && stdout.contains("damaged,sweeps/") && !stdout.contains("missing,"), "{stdout}");
    assert_eq!(run(out, &["bench", "verify", "store", "--quarantine"]).0, 1);
    let (code, stdout, _) = run(out, &verify);
    assert!(code == 1 && stdout.contains("missing,sweeps/") && !stdout.contains("damaged,"), "{stdout}");
    fs::remove_dir_all(out.join("store/sweeps")).unwrap();
    assert!(run(out, &verify).1.contains("missing,sweeps/"), "the folder may be gone, too");
    succeed(out, &BENCH);
    assert_eq!(fs::read(&record).unwrap(), text);
    assert!(!succeed(out, &verify).contains("missing"));
    write(out, "other.toml", &SWEEP.replacen("name = \"", "name = \"other-", 1));
    succeed(out, &["bench", "run", "other.toml", "--store", "store"]);
    fs::remove_file(&record).unwrap();
    assert!(!succeed(out, &verify).contains("missing"));

    // What makes the folder a store says nothing that the rest does not.
    let manifest = out.join("store/store.json");
    let whole = fs::read(&manifest).unwrap();
    write(out, "store/store.json", "{\"about\":\"runs\",");
    let remedy = "`dal bench verify store --quarantine` sets it aside and writes it again";
    for args in
        [&["report", "store"][..], &["bench", "status", "store"], &["bench", "export", "store", "--out", "t"], &BENCH]
    {
        refuse(out, args, &["store.json, line 1: EOF while parsing", remedy]);
    }
    let (code, stdout, stderr) = run(out, &verify);
    assert!(code == 1 && stdout.contains("damaged,store.json,") && stdout.contains("EOF while parsing"), "{stdout}");
    assert!(stderr.contains("12 whole and done, 0 whole and failed, 0 unfinished, 0 damaged; 1 other"), "{stderr}");
    let (code, _, stderr) = run(out, &["bench", "verify", "store", "--quarantine"]);
    assert!(
        code == 1 && stderr.contains("store.json is written again; what it was is now store/quarantine/"),
        "{stderr}"
    );
    assert_eq!(fs::read(&manifest).unwrap(), whole);
    assert!(out.join("store/quarantine/store.json").is_file() && runs.iter().all(|run| run.is_dir()));
    succeed(out, &verify);
}

/// Timings and circumstances: results stand, the page is made, and the way out that is told leads out.
#[test]
fn damage_beside_results_is_told_and_set_aside() {
    let (dir, _) = made();
    let out = dir.path();
    let run_of = |n: usize| {
        let mut runs: Vec<_> = fs::read_dir(out.join("store/runs")).unwrap().map(|run| run.unwrap().path()).collect();
        runs.sort();
        runs.swap_remove(n)
    };
    for (n, file) in ["provenance.json", "timing.jsonl"].into_iter().enumerate() {
        let path = run_of(n).join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    }
    fs::write(run_of(2).join("provenance.json"), "").unwrap();
    let told =
        "the run's results stand, and reports go without this file; `dal bench verify store --quarantine` sets it";
    let (code, _, stderr) = run(out, &["report", "store", "--out", "page"]);
    assert!(code == 1 && stderr.contains(told), "{code} {stderr}");
    assert!(out.join("page/report.html").exists());
    let (code, stdout, stderr) = run(out, &["bench", "verify", "store"]);
    assert!(code == 1 && stdout.matches(told).count() == 3 && stderr.contains("3 other files damaged"), "{stderr}");
    let (code, _, stderr) = run(out, &["bench", "verify", "store", "--quarantine"]);
    assert!(code == 1 && stderr.contains("provenance.json is now store/quarantine/runs/"), "{stderr}");
    succeed(out, &["bench", "verify", "store"]);
    succeed(out, &["report", "store", "--out", "page"]);
    let (code, _, stderr) = run(out, &["bench", "run", "sweep.toml", "--store", "store"]);
    assert!(code == 0 && stderr.contains("12 of 12 runs are finished"), "{stderr}");
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_old_one() {
    let (dir, _) = made();
    succeed(dir.path(), &["report", "store", "--out", "report"]);
    let before = fs::read(dir.path().join("report/report.html")).unwrap();
    // A directory in the way of a file stands in for a full disk.
    let table = dir.path().join("report/tables/nauc.csv");
    assert!(table.exists());
    fs::create_dir(dir.path().join("report/.unfinished")).unwrap();
    succeed(dir.path(), &["report", "store", "--out", "report"]);
    assert!(!dir.path().join("report/.unfinished").exists(), "left by a kill");
    write(dir.path(), "file", "");
    refuse(dir.path(), &["report", "store", "--out", "file"], &["file"]);
    assert_eq!(fs::read(dir.path().join("report/report.html")).unwrap().len(), before.len());
}

#[test]
fn a_sweep_goes_on_on_another_machine_from_tables() {
    let (dir, _) = made();
    let out = dir.path();
    succeed(out, &["bench", "export", "store", "--out", "whole"]);
    let part =
        |store: &str, more: &[&str]| run(out, &[&["bench", "run", "sweep.toml", "--store", store], more].concat());
    let (code, _, stderr) = part("monday", &["--problems", "sine", "--seeds", "1"]);
    assert!(code == 0 && stderr.contains("3 of 3 runs are finished"), "{stderr}");
    succeed(out, &["bench", "export", "monday", "--out", "tables", "--format", "csv.gz", "--digits", "6"]);
    let (code, stdout, _) = part("sunday", &["--strategies", "random,gsx", "--seeds", "0", "--plan"]);
    assert!(code == 0 && stdout.starts_with("small: 4 runs"), "{stdout}");
    let (code, _, stderr) = part("tuesday", &["--done-in", "tables", "--seeds", "0-1"]);
    assert!(code == 0 && stderr.contains("3 of 12 runs are finished in the tables"), "{stderr}");
    assert_eq!(fs::read_dir(out.join("tuesday/runs")).unwrap().count(), 9);
    // Into the folder that it reads.
    let said = succeed(out, &["bench", "export", "tuesday", "--with", "tables", "--out", "tables"]);
    assert!(said.contains("runs.csv (12 rows)") && !said.contains("queries"), "{said}");
    for folder in ["whole", "tables"] {
        succeed(out, &["report", folder, "--out", &format!("of-{folder}")]);
    }
    let nauc = |folder: &str| fs::read_to_string(out.join(format!("of-{folder}/tables/nauc.csv"))).unwrap();
    let digits =
        |text: &str| text.split([',', '\n']).map(|cell| cell.chars().take(6).collect()).collect::<Vec<String>>();
    assert_eq!(digits(&nauc("tables")), digits(&nauc("whole")));

    // Tables of another platform or specification say that they are that, instead of nothing.
    let runs = fs::read_to_string(out.join("whole/runs.csv")).unwrap();
    let platform = runs.lines().nth(1).unwrap().split(',').find(|cell| cell.starts_with("cpu/")).unwrap();
    let mut renamed = runs.replace(platform, "cpu/elsewhere/x");
    for (n, line) in runs.lines().skip(1).enumerate() {
        // Another platform is another run: its hash differs.
        let name = line.split(',').nth(1).unwrap();
        let (label, _) = name.rsplit_once('-').unwrap();
        renamed = renamed.replace(name, &format!("{label}-{n:016x}"));
    }
    fs::write(out.join("whole/runs.csv"), renamed).unwrap();
    let (code, _, stderr) = part("wednesday", &["--done-in", "whole", "--plan"]);
    assert!(code == 0 && stderr.contains("0 of 12 runs are finished in the tables"), "{stderr}");
    assert!(stderr.contains("12 of those to do are in the tables as runs on cpu/elsewhere/x"), "{stderr}");
    assert!(stderr.contains("`--platform elsewhere` plans them so"), "{stderr}");

    refuse(out, &["bench", "export", "tuesday", "--with", "tables", "--out", "x", "--tables", "queries"], &["queries"]);
    for (bad, word) in [
        (["--problems", "sinus"], "hydro"),
        (["--strategies", "gxs"], "it has gsx, qbc, random"),
        (["--seeds", "3-1"], "0-4,7"),
        (["--seeds", "0,7"], "--seeds 7: the sweep has no such seed; it has 0 to 1"),
        (["--seeds", "0-99"], "--seeds 0-99: the sweep has not all of these seeds; it has 0 to 1"),
        (["--seeds", "8-9"], "--seeds 8-9"),
    ] {
        let (code, _, stderr) = part("never", &bad);
        assert!(code == 2 && stderr.contains(word), "{stderr}");
    }
    assert!(!out.join("never").exists());
}

#[test]
fn the_page_is_remade_from_the_tables_alone() {
    let (dir, runs) = made();
    let out = dir.path();
    succeed(out, &["report", "store", "--out", "of-store"]);
    for format in ["csv", "csv.gz"] {
        let tables = format!("tables-{format}");
        let said = succeed(out, &["bench", "export", "store", "--out", &tables, "--format", format]);
        assert!(said.contains(&format!("runs.{format} (12 rows)")), "{said}");
        let report = format!("of-{format}");
        succeed(out, &["report", &tables, "--out", &report]);
        let same = page(&out.join(&report).join("report.html")) == page(&out.join("of-store/report.html"));
        assert!(same, "{report}/report.html differs from of-store/report.html");
    }
    let entries = fs::read_to_string(out.join("tables-csv/entries.csv")).unwrap();
    assert_eq!(entries.lines().count(), 1 + 12 * 3);
    // Queries are in physical values: hydro's temperatures are no numbers of [-1, 1].
    let queries = fs::read_to_string(out.join("tables-csv/queries-hydro.csv")).unwrap();
    assert_eq!(queries.lines().count(), 1 + 6 * 2 * 4);
    assert!(!queries.lines().next().unwrap().contains("x0"), "{queries}");

    // Only what was asked for, with few digits; damaged runs are left out and named.
    fs::write(runs[0].join("records.jsonl"), "half").unwrap();
    let few = ["--digits", "5", "--tables", "sweeps,circumstances,runs,entries", "--format", "csv.gz"];
    let (code, _, stderr) = run(out, &[&["bench", "export", "store", "--out", "few"][..], &few].concat());
    assert_eq!((code, stderr.matches("left out: ").count()), (1, 1), "{stderr}");
    assert_eq!(fs::read_dir(out.join("few")).unwrap().count(), 5);
    succeed(out, &["report", "few", "--out", "of-few"]);

    refuse(out, &["bench", "export", "store", "--out", "store"], &["--out store: is a store"]);
    refuse(out, &["bench", "export", "store", "--out", "x", "--tables", "rnus"], &["rnus", "runs"]);
    refuse(out, &["bench", "export", "absent", "--out", "x"], &["absent"]);
    #[cfg(not(feature = "parquet"))]
    refuse(out, &["bench", "export", "store", "--out", "x", "--format", "parquet"], &["feature `parquet`"]);
    assert!(!out.join("x").exists());
    // Tables that were cut short, or say what they should not.
    let whole = out.join("tables-csv/entries.csv");
    fs::write(&whole, entries.lines().take(9).collect::<Vec<_>>().join("\n")).unwrap();
    refuse(out, &["report", "tables-csv", "--out", "x"], &["entries.csv", "8 rows"]);
    fs::write(&whole, entries.replacen(",10,", ",ten,", 1)).unwrap();
    refuse(out, &["report", "tables-csv", "--out", "x"], &["entries.csv, line 2", "n_labelled", "ten"]);
    fs::remove_file(&whole).unwrap();
    refuse(out, &["report", "tables-csv", "--out", "x"], &["entries.csv"]);
}

#[test]
fn a_users_answers_are_exported_in_units_and_no_cell_begins_a_formula() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", i as f64 / 4.0, ["=A1", "b"][i % 2], i * i)).collect();
    write(out, "table.csv", &format!("speed,material,lift\n{rows}"));
    write(
        out,
        "mine.toml",
        r#"
name = "mine"
[[inputs]]
name = "speed"
unit = "m/s"
low = 0
high = 20
[[inputs]]
name = "material"
levels = ["=A1", "b"]
[[outputs]]
name = "lift"
unit = "N"
[oracle.table]
file = "table.csv"
"#,
    );
    let sweep = SWEEP.replace("id = \"sine\"\npreset = \"published\"", "id = \"mine.toml\"");
    let (before, after) = sweep.split_once("[[problem]]\nid = \"hydro\"").unwrap();
    let (_, after) = after.split_once("[[strategy]]").unwrap();
    write(out, "sweep.toml", &format!("{before}[[strategy]]{after}"));
    succeed(out, &BENCH);
    succeed(out, &["bench", "export", "store", "--out", "tables", "--problem", "mine.toml"]);
    let labels = fs::read_to_string(out.join("tables/labels-mine.csv")).unwrap();
    let mut lines = labels.lines();
    assert_eq!(lines.next(), Some("run,batch,row,failure,speed,material,lift"));
    let mut n = 0;
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let i = 4.0 * cells[4].parse::<f64>().unwrap();
        assert_eq!(cells[6].parse::<f64>().unwrap(), (i * i).round(), "{line}");
        assert_eq!(cells[5], ["'=A1", "b"][i.round() as usize % 2], "{line}");
        n += 1;
    }
    assert_eq!(n, 6 * (10 + 2 * 4));
    // Without the file: the unit box, and a word about it.
    let (code, _, stderr) = run(out, &["bench", "export", "store", "--out", "tables"]);
    assert!(code == 0 && stderr.contains("--problem"), "{stderr}");
    let labels = fs::read_to_string(out.join("tables/labels-mine.csv")).unwrap();
    assert!(labels.starts_with("run,batch,row,failure,x0,x1,x2,lift\n"), "{labels}");
}

#[test]
fn what_a_page_will_lack_is_said_before() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let rows: String = (0..40).map(|i| format!("{},{}\n", i as f64 / 40.0, (i * i % 7) as f64)).collect();
    write(at, "t.csv", &format!("a,y\n{rows}"));
    write(
        at,
        "t.toml",
        "name = \"t\"\ninputs = [{ name = \"a\" }]\noutputs = [{ name = \"y\" }]\n[oracle.table]\nfile = \"t.csv\"\n",
    );
    let sweep = |steps: usize, strategies: &[&str]| {
        let strategies: String = strategies.iter().map(|id| format!("[[strategy]]\nid = \"{id}\"\n")).collect();
        format!(
            "name = \"s\"\nseeds = 1\n[protocol]\ninitial = 6\nqueries = 10\nsteps = {steps}\ntest_points = 10\n\
             [training]\nepochs = 3\nmembers = 1\n[[problem]]\nid = \"t.toml\"\nnetwork = {{ hidden = [8] }}\n{strategies}"
        )
    };
    let of = |steps: usize, strategies: &[&str], store: &str| {
        write(at, "s.toml", &sweep(steps, strategies));
        let (code, _, stderr) = run(at, &["bench", "run", "s.toml", "--store", store]);
        assert_eq!(code, 0, "{stderr}");
        let (code, said, page) = run(at, &["report", store, "--out", &format!("{store}-page")]);
        assert_eq!(code, 0, "{page}");
        (stderr, said)
    };
    // 30 rows beside the test set: 6, 16, 26 and 30 labels.
    let (stderr, said) = of(5, &["random", "gsx"], "long");
    assert!(stderr.contains("has 30 rows beside the test set") && stderr.contains("take `steps = 3`"), "{stderr}");
    assert!(said.replace("\n  ", " ").contains("runs ended before their last step"), "{said}");
    let (stderr, said) = of(3, &["random", "gsx"], "whole");
    assert!(!stderr.contains("beside the test set") && !said.contains("No method has a value"), "{stderr}{said}");
    let (stderr, said) = of(3, &["gsx"], "alone");
    assert!(stderr.contains("`random` is not among the strategies"), "{stderr}");
    assert!(said.replace("\n  ", " ").contains("there is no run of random sampling"), "{said}");
}
