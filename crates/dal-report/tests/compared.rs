//! Stores beside each other: what changed, what cannot be compared, what could not be read.

mod common;
#[path = "common/three.rs"]
mod three;

use std::fs;

use common::planted;
use dal_eval::{CurveSpan, VerdictRules};
use dal_report::{Change, ReportData, ReportOptions, RunStatus, compare, findings, write_report};
use three::plan;

#[test]
fn stores_are_compared_beyond_noise() {
    let base = planted(&plan(10));
    // The same runs again; one method 20 % worse on one problem, another with noise of its own.
    let mut other = base.clone();
    other.source = "later".into();
    for run in &mut other.runs {
        run.setting.platform = "test/other".into();
        if run.problem == "robo" {
            run.model.identity = "another".into();
        }
        let factor = match (run.strategy.as_str(), run.problem.as_str()) {
            ("gsx", "sine") => 1.2 + 0.01 * run.seed as f64,
            ("qbc", _) => 1.0 + if run.seed.is_multiple_of(2) { 0.02 } else { -0.02 },
            _ => 1.0,
        };
        run.entries.iter_mut().for_each(|e| e.mse *= factor);
    }
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { compare: vec![other], ..ReportOptions::default() };
    let written = write_report(&base, dir.path(), &options).unwrap();
    let [comparison] = &written.comparisons[..] else { panic!("one comparison") };
    assert_eq!((comparison.cells.len(), comparison.n_unmatched), (3 * (1 + 3 * 2), 0));
    for cell in &comparison.cells {
        let expected = match (cell.method.as_str(), cell.problem.as_str()) {
            ("gsx", "sine") => Change::Worse,
            ("qbc", _) => Change::WithinNoise,
            _ => Change::Identical,
        };
        assert_eq!(cell.change, expected, "{cell:?}");
    }
    let page = fs::read_to_string(&written.page).unwrap().replace('\u{a0}', " ");
    assert!(page.contains("2 changed beyond noise (gsx on sine at γ = 2"), "{}", comparison.sentence());
    assert!(page.contains("platform test/plain here, test/other there; another network or training on robo"));
    assert!(dir.path().join("tables/compare-1.csv").exists());
    let orders: Vec<_> = comparison.orders.iter().map(|o| (o.problem.as_str(), o.n_methods, o.n_seeds)).collect();
    let mut problems: Vec<_> = comparison.cells.iter().map(|cell| cell.problem.as_str()).collect();
    problems.sort_unstable();
    problems.dedup();
    assert_eq!(orders, problems.iter().map(|problem| (*problem, 3, 10)).collect::<Vec<_>>());
    for order in comparison.orders.iter().filter(|order| order.problem != "sine") {
        assert_eq!(order.agreement.tau, 1.0, "{order:?}");
    }
    // A worse `gsx` is another order on `sine`.
    let sine = comparison.orders.iter().find(|order| order.problem == "sine").unwrap().agreement;
    assert!(sine.tau < 1.0 && sine.halves.unwrap().between < sine.halves.unwrap().within_first, "{sine:?}");
    assert!(
        dir.path().join("tables/compare-1-order.csv").exists() && page.contains("Kendall's τ of the methods' order")
    );
}

#[test]
fn what_could_not_be_read_of_any_store_is_listed() {
    let mut base = planted(&plan(2));
    base.unreadable = vec![("run-1".into(), "cut short".into())];
    let mut other = planted(&plan(2));
    other.source = "older".into();
    other.unreadable = vec![("run-2".into(), "a flipped bit".into())];
    let evidence = ReportData { source: "evidence".into(), ..other.clone() };
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { compare: vec![other], evidence: vec![evidence], ..ReportOptions::default() };
    let written = write_report(&base, dir.path(), &options).unwrap();
    let page = fs::read_to_string(&written.page).unwrap();
    let names: Vec<&str> = written.unreadable.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["run-1", "older: run-2", "evidence: run-2"]);
    for (name, why) in &written.unreadable {
        assert!(page.contains(name.as_str()) && page.contains(why.as_str()), "{name}");
    }
}

#[test]
fn stores_without_a_common_protocol_say_so() {
    let base = planted(&plan(2));
    let mut other = base.clone();
    for run in &mut other.runs {
        run.protocol.queries = 20;
    }
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { compare: vec![other], ..ReportOptions::default() };
    let written = write_report(&base, dir.path(), &options).unwrap();
    assert!(written.comparisons[0].sentence().contains("nothing to compare"));
}

#[test]
fn few_seeds_and_gaps_are_no_change() {
    let base = planted(&plan(3));
    let mut other = base.clone();
    for run in &mut other.runs {
        run.entries.iter_mut().for_each(|e| e.mse *= 3.0);
        if (run.strategy.as_str(), run.problem.as_str(), run.seed) == ("gsx", "sine", 1) {
            run.status = RunStatus::Failed { reason: "broke".into() };
        }
    }
    let rules = VerdictRules::default();
    let of = |data: &ReportData| findings(data, rules, CurveSpan::FromInitial).unwrap();
    let found = compare(&of(&base), &of(&other), "other").unwrap();
    for cell in &found[0].cells {
        let gap = cell.method == "gsx" && cell.problem == "sine";
        assert_eq!(cell.change, if gap { Change::NoVerdict } else { Change::Undecidable }, "{cell:?}");
    }
    // Two methods without a gap are no order.
    assert_eq!(found[0].orders.iter().map(|order| order.problem.as_str()).collect::<Vec<_>>(), ["hydro", "robo"]);
    for order in &found[0].orders {
        assert_eq!((order.n_methods, order.n_seeds), (3, 3));
        assert_eq!((order.agreement.interval, order.agreement.halves), (None, None));
    }
}
