//! The whole report on made-up stores: conclusions, gaps, and what the page must hold.

mod common;

use std::fs;
use std::path::Path;

use common::{Plan, planted};
use dal_eval::{CellVerdict, CurveSpan, Hesitation, Verdict, VerdictRules};
use dal_report::{
    Change, ReportData, ReportOptions, RunStatus, WrittenReport, compare, findings, terminal_summary, write_report,
};

const METHODS: [(&str, common::Effect); 3] = [
    ("gsx", |_, _| -0.105_360_515_657_826_3), // 10 % better everywhere
    ("qbc", |p, g| if (p, g) == (1, 1) { 0.2 } else { -0.105_360_515_657_826_3 }),
    ("gsy", |_, _| 0.0),
];

fn plan(seeds: u64) -> Plan<'static> {
    Plan { problems: &["hydro", "robo", "sine"], ratios: &[2, 8], seeds, methods: &METHODS, noise: 0.01, steps: 10 }
}

fn write(data: &ReportData, dir: &Path) -> WrittenReport {
    let options = ReportOptions { version: "0.0.0".into(), made: "on a test".into(), ..ReportOptions::default() };
    write_report(data, dir, &options).unwrap()
}

#[test]
fn planted_effects_are_concluded() {
    let found = findings(&planted(&plan(12)), VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let part = &found.parts[0];
    let of = |id: &str| part.methods.iter().find(|m| m.id == id).unwrap().robustness.as_ref().unwrap();
    assert_eq!(of("gsx").verdict, Verdict::Robust);
    assert!(of("gsx").cells.iter().all(|c| c.verdict == CellVerdict::Better));
    assert_eq!(of("qbc").verdict, Verdict::NotRobust);
    for cell in &of("qbc").cells {
        let planted = cell.problem == "robo" && cell.pool_ratio == 8;
        assert_eq!(cell.verdict, if planted { CellVerdict::Worse } else { CellVerdict::Better });
    }
    assert!(matches!(of("gsy").verdict, Verdict::Undecided(Hesitation::Evidence { .. })));
    assert!(of("gsy").cells.iter().all(|c| c.verdict == CellVerdict::Equal));
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("on every problem and pool ratio of this sweep: gsx."), "{said}");
    assert!(said.contains("Shown to be worse than random sampling somewhere: qbc."), "{said}");
    assert!(said.contains("- qbc: 1 of 6 cells, most on robo at γ = 8 (1.2"), "{said}");
    assert!(said.contains("; shown to be worse on robo at γ = 8"), "{said}");
    assert!(said.contains("gsy (the one-sided test does not reject in"), "{said}");
}

#[test]
fn five_seeds_decide_nothing() {
    let found = findings(&planted(&plan(5)), VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    for method in &found.parts[0].methods {
        let robustness = method.robustness.as_ref().unwrap();
        assert!(matches!(robustness.verdict, Verdict::Undecided(Hesitation::TooFewSeeds { got: 5, .. })));
        assert!(robustness.cells.iter().all(|c| c.verdict == CellVerdict::Undecidable));
    }
    assert!(terminal_summary(&found, 10_000).contains("With 5 seeds nothing can be decided"));
}

#[test]
fn gaps_are_shown_and_never_averaged_away() {
    let mut data = planted(&plan(12));
    for run in &mut data.runs {
        if (run.strategy.as_str(), run.problem.as_str(), run.pool_ratio) == ("gsx", "sine", Some(2)) {
            match run.seed {
                3 => {
                    run.status = RunStatus::Failed { reason: "diverged <i>badly</i>".into() };
                    run.entries.truncate(4);
                }
                4 => {
                    run.status = RunStatus::Partial;
                    run.entries.truncate(6);
                }
                5 => {
                    run.status = RunStatus::Absent;
                    run.entries.clear();
                }
                _ => {}
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let written = write(&data, dir.path());
    let part = &written.findings.parts[0];
    assert_eq!((part.counts.failed, part.counts.partial, part.counts.absent), (1, 1, 1));
    let gsx = part.methods.iter().find(|m| m.id == "gsx").unwrap();
    let sine = part.problems.iter().position(|p| p.id == "sine").unwrap();
    let cell = gsx.cells[sine][0].as_ref().unwrap();
    assert_eq!((cell.n_auc.value, cell.n_auc.verdict), (None, CellVerdict::NoVerdict));
    assert!(cell.curves.mean.is_none() && cell.curves.per_seed.len() == 12);
    assert_eq!(gsx.robustness.as_ref().unwrap().verdict, Verdict::Undecided(Hesitation::MissingCells { n: 1 }));
    let page = fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("3 of 12 missing"));
    assert!(page.contains("diverged &lt;i&gt;badly&lt;/i&gt;") && !page.contains("<i>badly"));
    assert!(page.contains("unfinished") && page.contains("not started"));
}

#[test]
fn the_page_stands_alone_and_every_figure_and_table_lies_beside_it() {
    let data = planted(&plan(7));
    let dir = tempfile::tempdir().unwrap();
    let written = write(&data, dir.path());
    let page = fs::read_to_string(&written.page).unwrap();
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        // The only address is the name space of SVG, which nothing is loaded from.
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains(outside), "{outside}");
    }
    assert!(!page.contains("<b>not bold</b>"), "the sweep file is text");
    let names = |sub: &str, extension: &str| -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir.path().join(sub))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.ends_with(extension))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("figures", ".svg").len(), written.n_figures);
    assert_eq!(names("figures", ".pdf").len(), written.n_figures);
    for extension in [".csv", ".tex", ".md"] {
        assert_eq!(names("tables", extension).len(), written.n_tables);
    }
    // Learning curves for every problem, γ and kind of error, nAUC and nDiv by problem, both together and ranks by γ, and all
    // methods at a glance.
    assert_eq!(written.n_figures, 3 * 2 * 4 + 2 * 3 + 2 + 2 + 1);
    let pdf = fs::read(dir.path().join("figures").join(&names("figures", ".pdf")[0])).unwrap();
    assert!(pdf.starts_with(b"%PDF-1.") && pdf.windows(5).any(|w| w == b"%%EOF"));
    let csv = fs::read_to_string(dir.path().join("tables/cells.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * 2 * 3);
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|l| l.split(',').count() == columns), "{csv}");
}

#[test]
fn the_same_runs_in_another_order_give_the_same_bytes() {
    let data = planted(&plan(4));
    let mut reversed = data.clone();
    reversed.runs.reverse();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = |data: &ReportData, dir: &Path| fs::read(write(data, dir).page).unwrap();
    assert!(page(&data, a.path()) == page(&reversed, b.path()));
}

#[test]
fn settings_are_never_mixed() {
    let mut data = planted(&plan(4));
    let mut other = data.runs.clone();
    for run in &mut other {
        run.setting.engine = "tch".into();
    }
    data.runs.extend(other);
    let dir = tempfile::tempdir().unwrap();
    let written = write(&data, dir.path());
    assert_eq!(written.findings.parts.len(), 2);
    let page = fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("engine cpu, up to 480 labels") && page.contains("engine tch, up to 480 labels"));
    assert!(page.contains("id=\"s1-robustness\"") && page.contains("id=\"s2-robustness\""));
}

#[test]
fn runs_of_different_models_of_one_problem_are_kept_apart() {
    let mut data = planted(&plan(3));
    let mut other: Vec<_> = data.runs.iter().filter(|r| r.problem == "sine").cloned().collect();
    for run in &mut other {
        run.model.identity = "another network".into();
    }
    data.runs.extend(other);
    let found = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let ids: Vec<&str> = found.parts[0].problems.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["hydro", "robo", "sine (model 1)", "sine (model 2)"]);
}

#[test]
fn odd_stores_make_pages_too() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing at all.
    write(&ReportData::default(), dir.path());
    // Only Random; one seed; no times; no Random; exact fits.
    let mut only_random = planted(&plan(2));
    only_random.runs.retain(|r| r.strategy == "random");
    write(&only_random, dir.path());
    let mut no_random = planted(&plan(1));
    no_random.runs.retain(|r| r.strategy != "random");
    for run in &mut no_random.runs {
        run.entries.iter_mut().for_each(|e| e.seconds = None);
    }
    let written = write(&no_random, dir.path());
    assert!(written.findings.parts[0].methods.iter().all(|m| m.robustness.as_ref().unwrap().worst.is_none()));
    let mut exact = planted(&plan(2));
    exact.runs.iter_mut().for_each(|r| r.entries.iter_mut().for_each(|e| e.mse = 0.0));
    write(&exact, dir.path());
}

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
}

#[test]
fn smoothing_is_for_the_eye_only() {
    let data = planted(&plan(3));
    let raw = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let curves = &raw.parts[0].problems[0].random;
    let smoothed = curves.smoothed(0.5);
    let (_, c) = &curves.per_seed[0];
    let (_, s) = &smoothed.per_seed[0];
    for (got, wanted) in s.iter().zip([c[0], 0.5 * c[1] + 0.5 * c[0], 0.5 * c[2] + 0.25 * c[1] + 0.25 * c[0]]) {
        assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
    }
    let (raw_mean, kept) = (&curves.mean.as_ref().unwrap().mean, curves.smoothed(1.0).mean.unwrap().mean);
    assert!(raw_mean.iter().zip(&kept).all(|(a, b)| a == b));
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { smoothing: Some(0.5), ..ReportOptions::default() };
    let written = write_report(&data, dir.path(), &options).unwrap();
    assert!(fs::read_to_string(&written.page).unwrap().contains("exponential moving average with weight 0.5"));
    let value = |f: &dal_report::Findings| f.parts[0].methods[0].cells[0][0].as_ref().unwrap().n_auc.value;
    assert_eq!(value(&written.findings), value(&raw));
    let wrong = ReportOptions { smoothing: Some(0.0), ..ReportOptions::default() };
    assert!(write_report(&data, dir.path(), &wrong).is_err());
}

#[test]
fn problems_of_one_sweep_may_differ_in_protocol_and_preset() {
    let mut data = planted(&plan(12));
    for run in data.runs.iter_mut().filter(|run| run.problem == "robo") {
        run.protocol.steps = 5;
        run.protocol.preset = "tuned".into();
        run.entries.truncate(6);
    }
    let found = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let [part] = &found.parts[..] else { panic!("one part") };
    let steps: Vec<usize> = part.problems.iter().map(|p| p.protocol.steps).collect();
    assert_eq!(steps, [10, 5, 10]);
    let gsx = part.methods.iter().find(|m| m.id == "gsx").unwrap();
    assert_eq!(gsx.robustness.as_ref().unwrap().verdict, Verdict::Robust);
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("adds 40 in each of 10 steps (on robo 5 steps)"), "{said}");
    assert!(said.contains("provisional on hydro and sine:"), "{said}");
}

#[test]
fn one_problem_under_two_protocols_makes_two_parts() {
    let mut data = planted(&plan(3));
    let mut shorter: Vec<_> = data.runs.iter().filter(|r| r.problem == "sine").cloned().collect();
    for run in &mut shorter {
        run.protocol.steps = 4;
        run.entries.truncate(5);
    }
    data.runs.extend(shorter);
    let found = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let problems: Vec<usize> = found.parts.iter().map(|p| p.problems.len()).collect();
    assert_eq!(problems, [3, 1], "the larger part comes first");
}

#[test]
fn timings_conclude_nothing_and_stand_apart() {
    let mut data = planted(&plan(12));
    let mut alone: Vec<_> = data.runs.iter().filter(|r| r.seed == 0).cloned().collect();
    for run in &mut alone {
        run.setting.timing = true;
        for entry in &mut run.entries {
            entry.seconds.as_mut().unwrap().sampling = 0.007;
        }
    }
    data.runs.extend(alone);
    let dir = tempfile::tempdir().unwrap();
    let written = write(&data, dir.path());
    let [quality, timing] = &written.findings.parts[..] else { panic!("two parts") };
    assert!(!quality.setting.timing && timing.setting.timing);
    assert_eq!(quality.counts.total() + timing.counts.total(), data.runs.len());
    let said = terminal_summary(&written.findings, 10_000);
    assert!(said.contains("beside other runs") && said.contains("one run at a time"), "{said}");
    assert!(said.contains("On hydro at γ = 2, per step, training not counted: gsx 7 ms"), "{said}");
    let page = fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("id=\"s2-times\"") && !page.contains("id=\"s2-robustness\""));
}

#[test]
fn departures_from_the_published_form_are_said() {
    let mut data = planted(&plan(3));
    let all = "epochs 150 instead of 500".to_owned();
    let narrow = "hidden layers 4 × 50 instead of 4 × 500".to_owned();
    data.sweeps[0].departures = [
        ("hydro".to_owned(), vec![all.clone()]),
        ("robo".to_owned(), vec![narrow, all.clone()]),
        ("sine".to_owned(), vec![all]),
    ]
    .into();
    let found = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("- everywhere: epochs 150 instead of 500\n"), "{said}");
    assert!(said.contains("- on robo: hidden layers 4 × 50 instead of 4 × 500\n"), "{said}");
}

#[test]
fn the_area_may_leave_out_the_initial_model() {
    let mut data = planted(&plan(2));
    // Entry 0 a hundred times larger for everybody drowns all differences; without it they are back.
    data.runs.iter_mut().for_each(|r| r.entries[0].mse = 1e4);
    let value = |span| {
        let found = findings(&data, VerdictRules::default(), span).unwrap();
        found.parts[0].methods[0].cells[0][0].as_ref().unwrap().n_auc.value.unwrap()
    };
    assert!((value(CurveSpan::FromInitial) - 1.0).abs() < 0.01);
    assert!((value(CurveSpan::FromFirstStep) - 0.9).abs() < 0.02);
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { span: CurveSpan::FromFirstStep, ..ReportOptions::default() };
    let written = write_report(&data, dir.path(), &options).unwrap();
    assert!(fs::read_to_string(&written.page).unwrap().contains("over entries 1..T"));
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
