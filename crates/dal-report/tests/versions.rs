//! What must not be mixed: versions of a user's problem, runs whose sweep has no record, tables that no store wrote.

mod common;
#[path = "common/three.rs"]
mod three;

use std::fs;
use std::path::Path;

use common::planted;
use dal_eval::{CurveSpan, VerdictRules};
use dal_report::{
    ExportOptions, ReportData, ReportOptions, findings, load, read_export, terminal_summary, write_export, write_report,
};
use dal_store::{
    Begin, ColumnRecord, EntryErrors, EntryRecord, OwnProblem, PlannedRun, PoolSpec, Provenance, RunKey, RunSpec,
    Store, SweepRecord,
};
use three::plan;

const STEPS: usize = 3;

/// Runs of one version of a user's problem `mine`: its errors fall by `rate` at every step.
fn add_version(store: &Store, digest: &str, unit: &str, rate: f64) {
    let writer = store.writer().unwrap();
    let mut runs = Vec::new();
    for seed in 0..7 {
        for (strategy, better) in [("random", 1.0), ("gsx", 0.9)] {
            let mut spec = RunSpec::example();
            (spec.problem.id, spec.problem.variant) = ("mine".into(), "mine".into());
            spec.problem.digest = Some(digest.into());
            spec.strategy.id = strategy.into();
            spec.strategy.variant = strategy.into();
            spec.seed = seed;
            spec.protocol.steps = STEPS;
            spec.protocol.pool = PoolSpec::Uniform { ratio: 2 };
            let key = RunKey::current(spec, "cpu/test");
            runs.push(PlannedRun {
                id: key.id(),
                directory: key.directory_name(),
                problem: "mine".into(),
                strategy: strategy.into(),
                pool_ratio: Some(2),
                seed,
            });
            let Begin::Open(mut run) = writer.begin(&key).unwrap() else { panic!("a fresh run") };
            for t in 0..=STEPS {
                let mse = rate.powi(t as i32) * if t > 0 { better } else { 1.0 } * (1.0 + 0.01 * seed as f64);
                let errors = EntryErrors { mse, mae: 0.1, p95_abs: 0.2, max_abs: 0.3 };
                run.entry(EntryRecord::new(t, 80 + 40 * t, errors), None).unwrap();
            }
            drop(run.finish(&Provenance { sweep: "own".into(), ..Provenance::default() }).unwrap());
        }
    }
    let column = |name: &str| ColumnRecord { name: name.into(), unit: unit.into(), ..ColumnRecord::default() };
    let own =
        OwnProblem { title: "Mine".into(), inputs: vec![column("x")], outputs: vec![column("y")], n_points: None };
    writer
        .record_sweep(&SweepRecord {
            name: "own".into(),
            text: format!("# {digest}"),
            own_problems: [("mine".to_owned(), own)].into(),
            runs,
            ..SweepRecord::default()
        })
        .unwrap();
}

fn exported(store: &Path, to: &Path) -> ReportData {
    write_export(&Store::open(store).unwrap(), to, &ExportOptions::default()).unwrap();
    read_export(to).unwrap()
}

/// A table, a program or bounds were changed and the sweep was run again into the same store: two problems, each with
/// the figures and the units that it has by itself; from the tables as well.
#[test]
fn versions_of_a_problem_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let [both, one] = ["both", "one"].map(|name| Store::open_or_create(dir.path().join(name)).unwrap());
    add_version(&both, "aaaa", "Pa", 0.9);
    add_version(&both, "bbbb", "kPa", 0.4);
    add_version(&one, "bbbb", "kPa", 0.4);
    let figures = |data: &ReportData| {
        let found = findings(data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
        assert_eq!(found.parts.len(), 1);
        let part = &found.parts[0];
        let of = |p: usize| {
            let problem = &part.problems[p];
            let cell = part.methods[0].cells[p][0].as_ref().unwrap();
            assert_eq!(problem.seeds.len(), 7);
            let unit = problem.own.as_ref().unwrap().outputs[0].unit.clone();
            (problem.id.clone(), unit, cell.n_auc.value.unwrap())
        };
        (0..part.problems.len()).map(of).collect::<Vec<_>>()
    };
    let data = load(&both).unwrap();
    let summary = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let said = terminal_summary(&summary, 100_000);
    assert!(said.contains("Where you stand: Mine (version 2) (1 input)"), "{said}");
    let apart = figures(&data);
    let names: Vec<(&str, &str)> = apart.iter().map(|(id, unit, _)| (id.as_str(), unit.as_str())).collect();
    assert_eq!(names, [("mine (version 1)", "Pa"), ("mine (version 2)", "kPa")]);
    let alone = figures(&load(&one).unwrap());
    assert_eq!((alone.len(), alone[0].0.as_str()), (1, "mine"));
    assert_eq!(apart[1].2, alone[0].2);
    assert!((apart[0].2 - apart[1].2).abs() > 1e-3);
    assert_eq!(figures(&exported(&dir.path().join("both"), &dir.path().join("tables"))), apart);
    // Tables of each version by itself, put together.
    let first = Store::open_or_create(dir.path().join("first")).unwrap();
    add_version(&first, "aaaa", "Pa", 0.9);
    let mut united = exported(&dir.path().join("first"), &dir.path().join("tables-1"));
    united.unite(exported(&dir.path().join("one"), &dir.path().join("tables-2"))).unwrap();
    assert_eq!(figures(&united), apart);
    // Beside each other there is nothing to compare.
    let options = ReportOptions { compare: vec![load(&one).unwrap()], ..ReportOptions::default() };
    let written = write_report(&load(&first).unwrap(), &dir.path().join("page"), &options).unwrap();
    let said = written.comparisons[0].sentence();
    assert!(said.contains("nothing to compare, since mine is not the same problem in both"), "{said}");
}

/// Verdicts need the plan: without the record of a sweep its looks are not known.
#[test]
fn a_sweep_without_a_record_has_no_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("store");
    let store = Store::open_or_create(&at).unwrap();
    add_version(&store, "aaaa", "Pa", 0.9);
    let said = |data: &ReportData| {
        terminal_summary(&findings(data, VerdictRules::default(), CurveSpan::FromInitial).unwrap(), 100_000)
    };
    let before = load(&store).unwrap();
    assert!(before.unreadable.is_empty() && !said(&before).contains("the record of one is not there"));
    for sweep in fs::read_dir(at.join("sweeps")).unwrap() {
        fs::remove_file(sweep.unwrap().path()).unwrap();
    }
    let data = load(&Store::open(&at).unwrap()).unwrap();
    assert!(data.unreadable.iter().any(|(name, why)| name == "sweep own" && why.contains("14 runs of it")));
    assert!(said(&data).contains("the record of one is not there"), "{}", said(&data));
    let tables = exported(&at, &dir.path().join("tables"));
    assert!(said(&tables).contains("the record of one is not there"));
}

/// Tables that were edited say where.
#[test]
fn tables_that_no_store_wrote_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path().join("store")).unwrap();
    add_version(&store, "aaaa", "Pa", 0.9);
    let tables = dir.path().join("tables");
    write_export(&store, &tables, &ExportOptions::default()).unwrap();
    let refused = |name: &str, edit: &dyn Fn(&mut Vec<Vec<String>>)| {
        let path = tables.join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(whole.as_bytes());
        let mut rows: Vec<Vec<String>> =
            reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
        edit(&mut rows);
        let mut writer = csv::Writer::from_path(&path).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        drop(writer);
        let error = read_export(&tables).unwrap_err().to_string();
        fs::write(&path, whole).unwrap();
        error
    };
    let column = |rows: &[Vec<String>], name: &str| rows[0].iter().position(|cell| cell == name).unwrap();
    let set = |name: &'static str, to: &'static str| {
        move |rows: &mut Vec<Vec<String>>| {
            let at = column(rows, name);
            rows.iter_mut().skip(1).for_each(|row| row[at] = to.into());
        }
    };
    for (name, to, says) in [
        ("steps", "0", "has an entry 1, more than its 0 steps"),
        ("steps", "1000000000", "has 1000000000 steps"),
        ("steps", "2", "has an entry 3, more than its 2 steps"),
        ("seed", "0", "are of one method, problem, pool ratio and seed"),
        ("strategy", "", "has no strategy"),
    ] {
        let error = refused("runs.csv", &set(name, to));
        assert!(error.contains(says), "{name} = {to}: {error}");
    }
    let error = refused("entries.csv", &set("mse", "-0.5"));
    assert!(error.contains("has a negative mse, -0.5"), "{error}");
    let error = refused("runs.csv", &|rows| {
        let at = column(rows, "strategy");
        rows.iter_mut().for_each(|row| drop(row.remove(at)));
    });
    assert!(error.contains("no column `strategy`"), "{error}");
    read_export(&tables).unwrap();
}

/// What was planned in both and begun in one is no cell that "has no verdict".
#[test]
fn cells_that_one_store_has_not_begun_are_of_one_only() {
    let base = planted(&plan(3));
    let mut other = base.clone();
    for run in other.runs.iter_mut().filter(|run| run.problem == "robo") {
        run.status = dal_report::RunStatus::Absent;
        run.entries.clear();
    }
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { compare: vec![other], ..ReportOptions::default() };
    let written = write_report(&base, dir.path(), &options).unwrap();
    let comparison = &written.comparisons[0];
    assert_eq!((comparison.cells.len(), comparison.n_unmatched), (2 * (1 + 3 * 2), 1 + 3 * 2));
    assert!(comparison.cells.iter().all(|cell| cell.n_seeds == 3));
}

/// Tables of an older version know no digests: beside tables that do they are of the version that there is.
#[test]
fn tables_without_digests_are_of_the_only_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(dir.path().join("store")).unwrap();
    add_version(&store, "aaaa", "Pa", 0.9);
    let whole = load(&store).unwrap();
    let (mut old, mut new) = (whole.clone(), whole.clone());
    old.runs.retain(|run| run.seed == 0);
    new.runs.retain(|run| run.seed > 0);
    for run in &mut old.runs {
        run.model.problem_digest.clear();
    }
    new.unite(old).unwrap();
    let problems = |data: &ReportData| {
        let found = findings(data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
        found.parts[0].problems.iter().map(|p| (p.id.clone(), p.seeds.len())).collect::<Vec<_>>()
    };
    assert_eq!(problems(&new), problems(&whole));
    assert_eq!(problems(&new), [("mine".to_owned(), 7)]);
}
