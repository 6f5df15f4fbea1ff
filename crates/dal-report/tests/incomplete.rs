//! What a report says while runs are missing, verdicts wait, or problems have no pool ratio in common.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{Effect, Plan, planted};
use dal_eval::{CurveSpan, VerdictRules};
use dal_store::{PlannedLook, UncertaintyRecord};

use dal_report::{ReportData, ReportOptions, RunStatus, RunSummary, findings, terminal_summary, write_report};

/// One method better everywhere, one worse in a single cell, one like Random.
const METHODS: [(&str, Effect); 3] =
    [("gsx", |_, _| -0.1), ("qbc", |p, g| if (p, g) == (1, 0) { 0.2 } else { -0.1 }), ("gsy", |_, _| 0.0)];

fn whole() -> ReportData {
    let problems = ["bessel", "hydro", "sine"];
    planted(&Plan { problems: &problems, ratios: &[2, 32], seeds: 10, methods: &METHODS, noise: 0.01, steps: 10 })
}

fn without(data: &mut ReportData, is_missing: impl Fn(&RunSummary) -> bool) {
    for run in data.runs.iter_mut().filter(|run| is_missing(run)) {
        run.status = RunStatus::Absent;
        run.entries.clear();
    }
}

/// `sine` whole, `hydro` in part, `bessel` without a run, and a look that is still to come.
fn under_way() -> ReportData {
    let mut data = whole();
    data.sweeps[0].looks = vec![PlannedLook { seeds: 10, level: 0.05 }];
    without(&mut data, |run| match (run.problem.as_str(), run.strategy.as_str()) {
        ("sine", _) | ("hydro", "random" | "gsx") => false,
        ("hydro", "qbc") => run.pool_ratio == Some(32),
        _ => true,
    });
    data
}

fn written(data: &ReportData, dir: &Path) -> String {
    fs::read_to_string(write_report(data, dir, &ReportOptions::default()).unwrap().page).unwrap()
}

fn said(data: &ReportData) -> String {
    terminal_summary(&findings(data, VerdictRules::default(), CurveSpan::FromInitial).unwrap(), 100_000)
}

#[test]
fn the_overview_points_while_verdicts_wait_and_tells_missing_runs_from_them() {
    let dir = tempfile::tempdir().unwrap();
    let overview = |data: &ReportData| {
        written(data, dir.path());
        fs::read_to_string(dir.path().join("tables/overview.md")).unwrap()
    };
    let mut data = under_way();
    let table = overview(&data);
    for row in ["| gsx | –– | ↓↓ | ↓↓ |", "| qbc | –– | ↑– | ↓↓ |", "| gsy | –– | –– | ~~ |"]
    {
        assert!(table.contains(row), "{table}");
    }
    let legend = "No verdict yet (the first is planned at 10 seeds), but pointing: ↓ lower error, ↑ higher error";
    assert!(table.contains(legend) && table.contains("– a run is missing, · not planned."), "{table}");

    data.sweeps[0].looks.clear();
    let table = overview(&data);
    assert!(table.contains("| gsx | –– | ✓✓ | ✓✓ |") && table.contains("| qbc | –– | ✗– | ✓✓ |"), "{table}");
    assert!(table.contains("Not decided, but pointing: ↓") && !table.contains("? not decided"), "{table}");

    // A look that was passed before a run of a later seed: its verdicts stand, and estimates are of the seeds that are
    // over; without one where the later run failed.
    let mut data = whole();
    data.sweeps[0].looks = [(8, 0.02), (20, 0.03)].map(|(seeds, level)| PlannedLook { seeds, level }).to_vec();
    for run in data.runs.iter_mut().filter(|run| run.strategy == "gsy" && run.seed % 2 == 0) {
        run.entries.iter_mut().for_each(|entry| entry.mse *= 1.3);
    }
    without(&mut data, |run| run.strategy == "gsy" && run.problem == "sine" && run.seed == 9);
    assert!(overview(&data).contains("| gsy | ↑↑ | ↑↑ | ↑↑ |"), "{}", overview(&data));
    for run in data.runs.iter_mut().filter(|run| run.status == RunStatus::Absent) {
        run.status = RunStatus::Failed { reason: "diverged".into() };
    }
    let table = overview(&data);
    assert!(table.contains("| gsy | ↑↑ | ↑↑ | ?? |"), "{table}");
    assert!(table.contains("? not decided, a later run failed or is missing. – a run is missing"), "{table}");
}

/// The words under the figure of all methods, and the table of its values.
fn glance(data: &ReportData) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let page = written(data, dir.path());
    let words = page.split("nAUC of every method").nth(1).unwrap().split("</p>").next().unwrap();
    let values = page.split("id=\"glance-values\"").nth(1).unwrap().split("</table>").next().unwrap();
    (words.to_owned(), values.to_owned())
}

#[test]
fn methods_without_an_average_have_no_place() {
    let (words, values) = glance(&under_way());
    assert!(words.contains("in no order, as no method has a value in every cell"), "{words}");
    assert!(!words.contains("lowest") && !values.contains("place 1"), "{words} {values}");
    assert_eq!(values.matches("no place").count(), 3, "{values}");
    for of_method in ["gsx: no average: a value in only 4 of 6 cells", "qbc: no average: a value in only 3 of 6 cells"]
    {
        assert!(words.contains(of_method), "{words}");
    }

    // One of three.
    let mut data = whole();
    without(&mut data, |run| run.strategy == "gsx" && run.problem == "sine" && run.seed == 3);
    let (words, values) = glance(&data);
    assert!(words.contains("lowest average first, then in no order those that lack a value"), "{words}");
    assert!(values.contains("place 1") && values.contains("place 2") && !values.contains("place 3"), "{values}");
    let gsx = values.split("<tr").find(|row| row.contains("gsx")).unwrap();
    assert!(gsx.contains("no place"), "{values}");

    let (words, values) = glance(&whole());
    assert!(words.contains(", lowest average first;") && values.contains("place 3"), "{words} {values}");
    assert!(!values.contains("no place"), "{values}");
}

#[test]
fn losses_are_counted_among_the_cells_that_have_a_value() {
    let told = said(&under_way());
    assert!(told.contains("- qbc: 1 of 3 cells with a value (6 planned), most on hydro at γ = 2 (1.2"), "{told}");
    let told = said(&whole());
    assert!(told.contains("- qbc: 1 of 6 cells, most on hydro at γ = 2 (1.2"), "{told}");

    let mut data = whole();
    data.runs.retain(|run| run.strategy != "qbc");
    assert!(said(&data).contains("above random sampling anywhere."), "{}", said(&data));
    without(&mut data, |run| run.strategy == "gsy" && run.problem == "bessel");
    let told = said(&data);
    assert!(told.contains("No method is more than 2 % above random sampling in any cell that has a value."), "{told}");
}

#[test]
fn evidence_counts_the_runs_that_are_finished() {
    let told = said(&under_way());
    let due = "On what evidence: 110 of 210 runs are finished, none of bessel. Planned are 3 query methods (gsx, qbc \
               and gsy) against random sampling on 3 problems (bessel, hydro and sine) at pool ratios γ = 2 and 32, \
               with 10 seeds each.";
    assert!(told.contains(due), "{told}");
    let told = said(&whole());
    assert!(told.contains("On what evidence: 210 runs: 3 query methods (gsx, qbc and gsy) against"), "{told}");
    let mut data = whole();
    without(&mut data, |_| true);
    assert!(said(&data).contains("On what evidence: 0 of 210 runs are finished. Planned are 3 query"));
}

/// A table has no pool ratios, a program has no list; a design, which is run once, stands at each ratio of its problem.
#[test]
fn panels_are_of_planned_pool_ratios_alone() {
    let mut data = whole();
    for run in &mut data.runs {
        for entry in &mut run.entries {
            entry.uncertainty = Some(UncertaintyRecord {
                nll: Some(1.5),
                crps: 0.25,
                coverage_90: 0.6,
                rank_correlation: Some(0.4),
                n_degenerate: 0,
            });
        }
    }
    data.runs.retain(|run| run.problem != "bessel");
    // `sine` becomes a table.
    data.runs.retain(|run| run.problem != "sine" || run.pool_ratio != Some(32));
    data.runs.iter_mut().filter(|run| run.problem == "sine").for_each(|run| run.pool_ratio = None);
    let of_design = |run: &&RunSummary| run.problem == "hydro" && run.strategy == "gsy" && run.pool_ratio == Some(2);
    let mut design: Vec<RunSummary> = data.runs.iter().filter(of_design).cloned().collect();
    design.iter_mut().for_each(|run| run.strategy = "sobol".into());
    data.runs.extend(design);

    let dir = tempfile::tempdir().unwrap();
    let page = written(&data, dir.path());
    let names = |folder: &str, extension: &str| -> BTreeSet<String> {
        let files = fs::read_dir(dir.path().join(folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| name.strip_suffix(extension).map(str::to_owned)).collect()
    };
    let (figures, tables) = (names("figures", ".svg"), names("tables", ".csv"));
    for what in ["curves", "mae", "p95-abs", "max-abs", "coverage-90", "crps", "nll", "rank-correlation"] {
        for (place, is_planned) in
            [("hydro-0", false), ("hydro-2", true), ("hydro-32", true), ("sine-0", true), ("sine-2", false)]
        {
            let name = format!("{what}-{place}");
            assert_eq!(figures.contains(&name), is_planned, "{name}: {figures:?}");
            assert!(is_planned || !tables.contains(&name), "{name}: {tables:?}");
        }
    }
    assert!(page.contains("hydro, γ = 2<") && page.contains("sine, fixed list<"));
    for unplanned in ["hydro, fixed list", "sine, γ = 2", "sine, γ = 32"] {
        assert!(!page.contains(unplanned), "{unplanned}");
    }
    // The design has no mark where its problem has no list.
    let values = page.split("id=\"nauc-hydro-values\"").nth(1).unwrap().split("</table>").next().unwrap();
    let sobol = values.split("<tr").find(|row| row.contains("sobol")).unwrap();
    assert!(sobol.contains(">not planned<") && !sobol.contains("no value"), "{sobol}");

    // Of a problem on which designs alone were run the figures stay.
    data.runs.retain(|run| run.problem != "hydro" || ["random", "sobol"].contains(&run.strategy.as_str()));
    let dir = tempfile::tempdir().unwrap();
    written(&data, dir.path());
    assert!(dir.path().join("figures/curves-hydro-0.svg").exists());
}
