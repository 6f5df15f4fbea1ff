//! A real store on disk, read and reported: finished, failed, unfinished, unstarted and damaged runs.

#[path = "common/disk.rs"]
mod disk;
#[path = "common/mod.rs"]
mod planted;

use std::fs;

use dal_report::{Counts, ReportOptions, RunStatus, load, terminal_summary, write_report};
use dal_store::{
    Begin, Choice, EntryErrors, EntryRecord, EntryTiming, Failure, FailureKind, Machine, PlannedRun, PoolSpec,
    Provenance, RunKey, RunSpec, Store, StoreWriter, SweepRecord,
};

const STEPS: usize = 6;

fn key(strategy: &str, ratio: usize, seed: u64) -> RunKey {
    let mut spec = RunSpec::example();
    spec.strategy.id = strategy.into();
    spec.strategy.variant = strategy.into();
    spec.seed = seed;
    spec.protocol.steps = STEPS;
    spec.protocol.pool = PoolSpec::Uniform { ratio };
    RunKey::current(spec, "cpu/test")
}

fn record(t: usize, mse: f64) -> EntryRecord {
    let errors = EntryErrors { mse, mae: mse.sqrt(), p95_abs: 2.0 * mse.sqrt(), max_abs: 3.0 * mse.sqrt() };
    let mut record = EntryRecord::new(t, 80 + 40 * t, errors);
    record.choice = (t < STEPS).then(|| Choice {
        n_pool: 80,
        n_queries: 0,
        diversity: Some(0.1),
        score_error_correlation: None,
        n_ranked: 0,
        probabilities: Vec::new(),
        notes: vec!["a remark".into()],
    });
    record
}

/// Writes a run up to `entries`, and closes it unless it stays open.
fn write_run(writer: &StoreWriter, key: &RunKey, entries: usize, failure: Option<Failure>, rate: f64) {
    let Begin::Open(mut run) = writer.begin(key).unwrap() else { panic!("a fresh store") };
    for t in 0..entries {
        let timing = EntryTiming { entry: t, training: 0.5, sampling: 0.01, ..EntryTiming::default() };
        run.entry(record(t, rate.powi(t as i32)), Some(timing)).unwrap();
    }
    let provenance = Provenance {
        dal_version: "0.1.0".into(),
        command: vec!["dal".into(), "bench".into()],
        machine: Machine { cpu: "a processor".into(), n_cpus: 2, ..Machine::default() },
        ..Provenance::default()
    };
    match failure {
        Some(failure) => drop(run.fail(failure, &provenance).unwrap()),
        None if entries == STEPS + 1 => drop(run.finish(&provenance).unwrap()),
        None => drop(run),
    }
}

#[test]
fn every_kind_of_run_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path().join("store")).unwrap();
    let writer = store.writer().unwrap();
    let mut planned = Vec::new();
    for seed in 0..3 {
        for (strategy, ratio) in [("random", 1), ("gsx", 2), ("qbc", 2)] {
            let key = key(strategy, ratio, seed);
            planned.push(PlannedRun {
                id: key.id(),
                directory: key.directory_name(),
                problem: "sine".into(),
                strategy: strategy.into(),
                pool_ratio: Some(ratio),
                seed,
            });
            let broken = Failure { kind: FailureKind::Diverged, entry: 3, message: "loss is NaN".into() };
            match (strategy, seed) {
                ("qbc", 0) => write_run(&writer, &key, 3, Some(broken), 0.7),
                ("qbc", 1) => write_run(&writer, &key, 4, None, 0.7),
                ("qbc", 2) => {} // never started
                (_, _) => write_run(&writer, &key, STEPS + 1, None, if strategy == "gsx" { 0.7 } else { 0.8 }),
            }
        }
    }
    writer
        .record_sweep(&SweepRecord {
            name: "small".into(),
            title: String::new(),
            text: "name = \"small\"".into(),
            runs: planned,
            ..SweepRecord::default()
        })
        .unwrap();
    // One finished run is damaged afterwards.
    let hurt = dir.path().join("store/runs").join(key("gsx", 2, 1).directory_name()).join("records.jsonl");
    let text = fs::read_to_string(&hurt).unwrap();
    fs::write(&hurt, text.replacen("0.7", "0.6", 1)).unwrap();

    let data = load(&store).unwrap();
    assert_eq!(data.runs.len(), 9);
    let status = |strategy: &str, seed: u64| {
        &data.runs.iter().find(|r| r.strategy == strategy && r.seed == seed).unwrap().status
    };
    assert_eq!(status("gsx", 0), &RunStatus::Done);
    assert!(matches!(status("gsx", 1), RunStatus::Damaged { reason } if reason.contains("--quarantine")));
    assert!(matches!(status("qbc", 0), RunStatus::Failed { reason } if reason.contains("loss is NaN")));
    assert_eq!(status("qbc", 1), &RunStatus::Partial);
    assert_eq!(status("qbc", 2), &RunStatus::Absent);
    assert_eq!(data.unreadable.len(), 1);
    assert_eq!(data.sweeps.len(), 1);
    let made: usize = data.provenance.iter().map(|(_, made)| made.runs).sum();
    assert_eq!(made, 6, "five that finished and can be read, and the failed one");

    let written = write_report(&data, &dir.path().join("report"), &ReportOptions::default()).unwrap();
    let part = &written.findings.parts[0];
    let counts = Counts { done: 5, failed: 1, damaged: 1, partial: 1, absent: 1 };
    assert_eq!((part.counts, part.counts.total()), (counts, 9));
    let terminal = terminal_summary(&written.findings, 10_000);
    assert!(terminal.contains("5 finished, 1 failed, 1 is damaged, 1 unfinished and 1 never started"), "{terminal}");
    assert!(part.methods.iter().all(|m| m.cells[0][0].as_ref().unwrap().n_auc.value.is_none()));
    let page = fs::read_to_string(written.page).unwrap();
    for said in ["loss is NaN", "unfinished", "not started", "a remark", "Could not be read"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(row(&page, "incomplete", &["sine", "gsx", "γ = 2", "1"]).contains("|damaged|0 of "), "not failed");

    // One whose specification is spoilt is known by the sweep that planned it alone.
    let hurt = dir.path().join("store/runs").join(key("gsx", 2, 0).directory_name()).join("spec.json");
    fs::write(&hurt, "{").unwrap();
    let data = load(&store).unwrap();
    let run = data.runs.iter().find(|run| run.strategy == "gsx" && run.seed == 0).unwrap();
    assert!(matches!(&run.status, RunStatus::Damaged { reason } if reason.contains("spec.json, line 1")));
}

/// A plan with a method 10 % better everywhere, one that is so but for a single cell, and one equal to Random.
fn plan(seeds: u64) -> planted::Plan<'static> {
    planted::Plan {
        problems: &["hydro", "sine"],
        ratios: &[2, 8],
        seeds,
        methods: &[
            ("gsx", |_, _| 0.9_f64.ln()),
            ("qbc", |p, g| if (p, g) == (1, 1) { 0.2 } else { 0.9_f64.ln() }),
            ("gsy", |_, _| 0.0),
        ],
        noise: 0.01,
        steps: 5,
    }
}

/// What page and terminal say of a store, each as one line of plain text.
fn said(data: &dal_report::ReportData) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = disk::write_store(data, &dir.path().join("store")).unwrap();
    let read = load(&store).unwrap();
    assert_eq!(read.runs.len(), data.runs.len());
    let written = write_report(&read, &dir.path().join("report"), &ReportOptions::default()).unwrap();
    let page = fs::read_to_string(written.page).unwrap().replace('\u{a0}', " ");
    (page, terminal_summary(&written.findings, 10_000))
}

/// A row of a table of the page, its entries divided by bars.
fn row(page: &str, table: &str, first: &[&str]) -> String {
    let from = page.find(&format!("<table class=\"sortable\" id=\"{table}\"")).unwrap();
    let body = &page[from..from + page[from..].find("</table>").unwrap()];
    let rows = body.split("<tr").map(|row| {
        let cells = row.split('<').filter(|tag| tag.starts_with("td") || tag.starts_with("th"));
        cells.filter_map(|tag| tag.split_once('>')).map(|(_, text)| text).collect::<Vec<_>>()
    });
    let mut found = rows.filter(|row| row.len() > first.len() && row[..first.len()] == *first);
    found.next().unwrap_or_else(|| panic!("{table} has no row {first:?}")).join("|")
}

#[test]
fn planted_effects_go_all_the_way_from_the_store_to_the_page() {
    let (page, terminal) = said(&planted::planted(&plan(12)));
    for sentence in [
        "gsx: the only method shown to beat random sampling in every cell.",
        "Shown to beat random sampling on every problem and pool ratio of this sweep: gsx.",
        "Shown to be worse than random sampling somewhere: qbc.",
        "qbc: 1 of 4 cells, most on sine at γ = 8 (1.2",
        "shown to be worse on sine at γ = 8",
        "Neither shown to be safe nor shown to lose: gsy (the one-sided test does not reject in",
    ] {
        assert!(terminal.contains(sentence), "{sentence}\n{terminal}");
        assert!(page.contains(sentence), "{sentence}");
    }
    assert!(row(&page, "robustness", &["gsx"]).starts_with("gsx|robust|0.9"));
    assert!(row(&page, "robustness", &["qbc"]).starts_with("qbc|not robust|"));
    assert!(row(&page, "robustness", &["gsy"]).starts_with("gsy|undecided"));
    assert_eq!(row(&page, "overview", &["gsx"]), "gsx|✓✓|✓✓");
    assert_eq!(row(&page, "overview", &["qbc"]), "qbc|✓✓|✓✗");
    assert_eq!(row(&page, "overview", &["gsy"]), "gsy|==|==");
}

#[test]
fn with_five_seeds_the_same_store_says_undecided() {
    let (page, terminal) = said(&planted::planted(&plan(5)));
    for text in [&page, &terminal] {
        assert!(text.contains("No method can be called safe yet."));
        assert!(text.contains("None was shown to beat random sampling on every problem"));
        assert!(text.contains("With 5 seeds nothing can be decided"));
        assert!(!text.contains("Shown to be worse"));
    }
    for method in ["gsx", "qbc", "gsy"] {
        assert!(row(&page, "robustness", &[method]).starts_with(&format!("{method}|undecided: 5 seeds too few")));
    }
    assert_eq!(row(&page, "overview", &["qbc"]), "qbc|↓↓|↓↑");
}

#[test]
fn gaps_of_a_store_are_shown_and_never_averaged_away() {
    let mut data = planted::planted(&plan(12));
    for run in &mut data.runs {
        let status = match (run.strategy.as_str(), run.problem.as_str(), run.pool_ratio, run.seed) {
            ("gsx", "sine", Some(2), 3) => RunStatus::Failed { reason: "the loss became NaN".into() },
            ("gsx", "sine", Some(2), 4) => RunStatus::Partial,
            ("gsx", "hydro", Some(8), 0) => RunStatus::Absent,
            _ => continue,
        };
        run.entries.truncate(if status == RunStatus::Absent { 0 } else { 3 });
        run.status = status;
    }
    let (page, terminal) = said(&data);
    assert!(!terminal.contains("every problem and pool ratio of this sweep: gsx"), "{terminal}");
    for text in [&page, &terminal] {
        assert!(text.contains("gsx (2 cells without a value)"));
        assert!(text.contains("165 finished, 1 failed, 1 unfinished and 1 never started"), "{terminal}");
    }
    assert_eq!(row(&page, "nauc", &["sine", "gsx"]).split('|').nth(2), Some("2 of 12 missing"));
    assert_eq!(row(&page, "nauc", &["hydro", "gsx"]).split('|').nth(3), Some("1 of 12 missing"));
    // No average over the seeds that are left: not of nAUC, nDiv, labels, errors or ranks' blocks.
    assert!(row(&page, "robustness", &["gsx"]).starts_with("gsx|undecided: 2 cells without a value|–|–|–"));
    for table in ["ndiv", "labels"] {
        assert!(row(&page, table, &["sine", "gsx"]).contains("2 of 12 missing"));
    }
    assert!(row(&page, "errors", &["sine", "2", "gsx"]).ends_with("–|–|–|–|–"));
    assert!(page.contains("γ = 2: 22 blocks, 2 left out as incomplete"));
    for (status, run) in [("failed", "3"), ("unfinished", "4")] {
        assert!(row(&page, "incomplete", &["sine", "gsx", "γ = 2", run]).contains(status));
    }
    assert!(row(&page, "incomplete", &["hydro", "gsx", "γ = 8", "0"]).contains("not started"));
    assert!(page.contains("the loss became NaN"));
}
