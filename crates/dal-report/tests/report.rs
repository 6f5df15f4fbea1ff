//! The whole report on made-up stores: conclusions, gaps, and what the page must hold.

mod common;
#[path = "common/three.rs"]
mod three;

use std::fs;
use std::path::Path;

use common::{Plan, planted};
use dal_eval::{CellVerdict, CurveSpan, Hesitation, Verdict, VerdictRules};
use dal_store::{
    AuxiliaryRecord, ColumnRecord, FailedLabel, MemberRecord, OutputErrorRecord, OutputErrorsRecord, OwnProblem,
    PlannedLook, PooledErrors, TestLabels, UncertaintyRecord,
};

use dal_report::{
    EntryMeasure, ReportData, ReportOptions, RunStatus, WrittenReport, findings, terminal_summary, write_report,
};
use three::plan;

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
    // Picked from three methods, whether its average is the lowest or not.
    assert!(said.contains("98.3 % interval") && said.contains("wide enough for the best of 3"), "{said}");
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

/// What a cell's seeds find and need follows from the spread that its interval has.
#[test]
fn every_cell_says_what_its_seeds_find() {
    let dir = tempfile::tempdir().unwrap();
    let data = planted(&plan(10));
    write_report(&data, dir.path(), &ReportOptions::default()).unwrap();
    let mut table = csv::Reader::from_path(dir.path().join("tables/cells.csv")).unwrap();
    let header = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let level = 0.05 / 2.0 / rows.len() as f64;
    assert_eq!(rows.len(), 18);
    for row in &rows {
        let of = |name: &str| row[header.iter().position(|n| n == name).unwrap()].parse::<f64>().unwrap();
        let half = (of("to") / of("95 % from")).ln() / 2.0;
        let sd = half * 10.0_f64.sqrt() / dal_eval::t_quantile(0.975, 9.0).unwrap();
        let found = dal_eval::smallest_effect(sd, 10, level).unwrap().unwrap().exp();
        assert!((of("found with 80 %") - found).abs() < 1e-6 * found, "{row:?}");
        let seeds = dal_eval::seeds_for_half_width(sd, 0.05, 0.95).unwrap().unwrap();
        assert_eq!(of("seeds for ± 0.05"), seeds as f64, "{row:?}");
    }
}

/// Every run halves its error at each step, `gsx` a step ahead: where the others need the labels of their last five
/// entries it needs those of the five before the last.
#[test]
fn labels_needed_are_counted_over_all_pairs_as_the_predecessor_did() {
    let mut data = planted(&plan(3));
    for run in &mut data.runs {
        let ahead = i32::from(run.strategy == "gsx");
        for (t, entry) in run.entries.iter_mut().enumerate() {
            entry.mse = 0.5_f64.powi(t as i32 + ahead);
        }
    }
    let found = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    for method in &found.parts[0].methods {
        let due = if method.id == "gsx" { (80.0 + 40.0 * 7.0) / (80.0 + 40.0 * 8.0) } else { 1.0 };
        for cell in method.cells.iter().flatten().flatten() {
            assert_eq!(cell.all_pairs, Some([due; 3]), "{}", method.id);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    write(&data, dir.path());
    let table = fs::read_to_string(dir.path().join("tables/beside.csv")).unwrap();
    assert!(table.contains("0.900 / 0.900 / 0.900"), "{table}");
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
                6 => {
                    run.status = RunStatus::Damaged { reason: "records.jsonl: it is missing".into() };
                    run.entries.clear();
                }
                _ => {}
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let written = write(&data, dir.path());
    let part = &written.findings.parts[0];
    assert_eq!((part.counts.failed, part.counts.damaged, part.counts.partial, part.counts.absent), (1, 1, 1, 1));
    let gsx = part.methods.iter().find(|m| m.id == "gsx").unwrap();
    let sine = part.problems.iter().position(|p| p.id == "sine").unwrap();
    let cell = gsx.cells[sine][0].as_ref().unwrap();
    assert_eq!((cell.n_auc.value, cell.n_auc.verdict), (None, CellVerdict::NoVerdict));
    assert!(cell.curves.mean.is_none() && cell.curves.per_seed.len() == 12);
    assert_eq!(gsx.robustness.as_ref().unwrap().verdict, Verdict::Undecided(Hesitation::MissingCells { n: 1 }));
    let page = fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("4 of 12 missing"));
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
    // Learning curves for every problem, γ and kind of error, nAUC and nDiv by problem, both together and ranks by γ,
    // and all methods at a glance; of one method's scores how well they follow the error.
    assert_eq!(written.n_figures, 3 * 2 * 4 + 2 * 3 + 2 + 2 + 1 + 3 * 2);
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
    // Entry 0 a hundred times larger for every method drowns all differences; without it they are back.
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

/// Beside a small sweep stands what a larger one found: its verdicts, each cell's lowest and highest, and what is
/// missing; verdicts of the small one are its own.
#[test]
fn what_the_evidence_found_is_said_beside_the_findings() {
    let dir = tempfile::tempdir().unwrap();
    let with = |evidence: ReportData| {
        let mut tuned = planted(&plan(3));
        for run in &mut tuned.runs {
            run.protocol.preset = "tuned".into();
        }
        let options = ReportOptions { evidence: vec![evidence, tuned], ..ReportOptions::default() };
        let written = write_report(&planted(&plan(2)), dir.path(), &options).unwrap();
        (terminal_summary(&written.findings, 10_000), fs::read_to_string(&written.page).unwrap())
    };
    let mut evidence = planted(&plan(12));
    let (said, page) = with(evidence.clone());
    let begin = "What the evidence found: On hydro, robo and sine (published networks) at pool ratios γ = 2 and 8, 12 seeds, up to 480 labels \
                 (planted): shown to beat random sampling in every cell: gsx; shown to be worse somewhere: qbc; neither: \
                 gsy.";
    assert!(said.contains(begin), "{said}");
    assert!(
        said.contains("- robo at γ = 8: nAUC from gsx 0.89") && said.contains("With 2 seeds nothing can be decided"),
        "{said}"
    );
    assert!(page.contains("What the evidence found") && page.contains("shown to be worse somewhere: qbc"));
    let second =
        "What the evidence found: On hydro, robo and sine (tuned networks) at pool ratios γ = 2 and 8, 3 seeds,";
    assert!(said.contains(second) && page.contains("robo and sine (tuned networks)"), "{said}");

    evidence.sweeps[0].looks = vec![PlannedLook { seeds: 14, level: 0.05 }];
    let (said, _) = with(evidence.clone());
    assert!(said.contains("no verdicts before 14 seeds of every problem are whole."), "{said}");

    evidence.sweeps[0].looks.clear();
    for run in evidence.runs.iter_mut().filter(|run| run.problem == "sine" && run.strategy != "random") {
        run.status = RunStatus::Absent;
        run.entries.clear();
    }
    let (said, _) = with(evidence);
    assert!(said.contains("no method is shown to beat random sampling in every cell;"), "{said}");
    assert!(
        said.contains("are not there (yet).") && said.contains("- sine at γ = 2: runs of every method are"),
        "{said}"
    );
    // Of a planned look, too; and a method whose runs are whole is told where others' are not.
    let mut evidence = planted(&plan(12));
    evidence.sweeps[0].looks = vec![PlannedLook { seeds: 14, level: 0.05 }];
    for run in evidence.runs.iter_mut().filter(|run| run.problem == "sine" && run.strategy == "qbc") {
        run.status = RunStatus::Absent;
        run.entries.clear();
    }
    let (said, _) = with(evidence);
    let missing = "no verdicts before 14 seeds of every problem are whole. Of 252 runs 24 are not there (yet).";
    assert!(said.contains(missing) && said.contains("- sine at γ = 2, 2 of 3 methods: nAUC from gsx 0.9"), "{said}");
}

fn part_of(data: &ReportData) -> (dal_report::Findings, String) {
    let found = findings(data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let said = terminal_summary(&found, 100_000);
    (found, said)
}

#[test]
fn verdicts_wait_for_the_planned_looks_and_rest_on_their_seeds() {
    let mut data = planted(&plan(12));
    let looks = |a: usize, b: usize| vec![PlannedLook { seeds: a, level: 0.04 }, PlannedLook { seeds: b, level: 0.01 }];
    let verdicts = |data: &ReportData| {
        let (found, said) = part_of(data);
        let gsx = found.parts[0].methods.iter().find(|m| m.id == "gsx").unwrap().robustness.clone().unwrap();
        (gsx, said)
    };
    data.sweeps[0].looks = looks(14, 20);
    let (gsx, said) = verdicts(&data);
    assert_eq!(gsx.verdict, Verdict::Undecided(Hesitation::NoLook));
    assert!(gsx.cells.iter().all(|c| c.verdict == CellVerdict::NoVerdict && c.interval_95.is_some()));
    assert!(said.contains("There are no verdicts yet") && !said.contains("Which methods are safe"), "{said}");
    assert!(said.contains("paired by seed. Verdicts are planned at 14 seeds (level 4 %)"), "{said}");

    // Past the first look, with later seeds that speak against the method: the look's verdict stands, values are of
    // all.
    data.sweeps[0].looks = looks(10, 20);
    for run in data.runs.iter_mut().filter(|run| run.strategy == "gsx" && run.seed >= 10) {
        run.entries.iter_mut().for_each(|e| e.mse *= 3.0);
    }
    let (gsx, said) = verdicts(&data);
    assert_eq!(gsx.verdict, Verdict::Robust);
    assert!(gsx.cells.iter().all(|c| c.value.unwrap() > 1.0 && c.n_seeds == 12));
    assert!(said.contains("The next look is at 20 seeds"), "{said}");

    data.sweeps[0].looks = looks(8, 10);
    let (gsx, said) = verdicts(&data);
    assert_eq!(gsx.verdict, Verdict::Robust, "{said}");
    assert!(said.contains("2 seeds beyond it were added by choice") && said.contains("exploratory"), "{said}");

    // What a look cannot decide is counted at its own level.
    data.sweeps[0].looks = vec![PlannedLook { seeds: 9, level: 0.01 }, PlannedLook { seeds: 20, level: 0.04 }];
    let (gsx, said) = verdicts(&data);
    assert!(matches!(gsx.verdict, Verdict::Undecided(Hesitation::TooFewSeeds { needed_for_robust: 10, .. })));
    assert!(said.contains("With 9 seeds no method can be called robust, whatever the numbers: that takes 10 with 3"));
    assert!(said.contains("No effect, however large, makes a method robust yet") && said.contains("at most 0.5 %"));

    // Of sweeps with different plans none counts: a plan that was edited, or one without looks beside it.
    data.sweeps[0].looks = looks(10, 20);
    let mut mixed = data.clone();
    mixed.sweeps.push(dal_report::Sweep { name: "other".into(), ..Default::default() });
    mixed.runs[0].sweep = "other".into();
    let mut edited = data.clone();
    edited.sweeps.push(dal_report::Sweep { looks: looks(10, 30), ..edited.sweeps[0].clone() });
    let mut twice = data.clone();
    twice.planned_twice.insert(twice.runs[0].name.clone());
    for differ in [mixed, edited, twice] {
        let (gsx, said) = verdicts(&differ);
        assert_eq!(gsx.verdict, Verdict::Undecided(Hesitation::PlansDiffer));
        assert!(gsx.cells.iter().all(|c| c.verdict == CellVerdict::NoVerdict && c.interval_95.is_some()));
        assert!(said.contains("plan different looks") && !said.contains("Which methods are safe"), "{said}");
    }

    // A seed with an open run is not over, so the look that needs it has not come.
    data.sweeps[0].looks = looks(10, 20);
    data.runs.iter_mut().find(|run| run.seed == 7).unwrap().status = RunStatus::Partial;
    assert_eq!(verdicts(&data).0.verdict, Verdict::Undecided(Hesitation::NoLook));
}

#[test]
fn a_problem_that_random_does_not_learn_is_left_out_as_a_whole() {
    let mut data = planted(&plan(12));
    for run in &mut data.runs {
        // Curves end near exp(-3): on robo that is most of the variance.
        let variance = if run.problem == "robo" { 0.06 } else { 10.0 };
        run.test_labels = Some(TestLabels { n: 4000, variance, sd: vec![variance.sqrt()] });
    }
    let (found, said) = part_of(&data);
    let part = &found.parts[0];
    let ranked: Vec<bool> = part.problems.iter().map(|p| p.is_ranked()).collect();
    assert_eq!(ranked, [true, false, true]);
    let qbc = part.methods.iter().find(|m| m.id == "qbc").unwrap();
    // Its only bad cell is on robo.
    assert_eq!(qbc.robustness.as_ref().unwrap().verdict, Verdict::Robust);
    assert_eq!(qbc.robustness.as_ref().unwrap().cells.len(), 4);
    let there = qbc.cells[1][1].as_ref().unwrap();
    assert!(there.n_auc.value.unwrap() > 1.1 && there.n_auc.verdict == CellVerdict::NoVerdict);
    assert_eq!(part.judged.as_ref().unwrap().n_problems, 2);
    assert!(said.contains("Left out of rankings") && said.contains("- robo (network published)"), "{said}");
}

#[test]
fn what_did_not_learn_is_counted_and_never_left_out() {
    let mut data = planted(&plan(9));
    let before = part_of(&data).0;
    for run in &mut data.runs {
        run.test_labels = Some(TestLabels { n: 4000, variance: 10.0, sd: Vec::new() });
        let hit =
            (run.strategy.as_str(), run.problem.as_str(), run.pool_ratio, run.seed) == ("gsy", "sine", Some(2), 3);
        for (t, entry) in run.entries.iter_mut().enumerate() {
            let fine = MemberRecord { final_over_variance: Some(0.01), final_over_best: Some(1.0), restarts: 0 };
            entry.members = vec![fine; 10];
            if hit && t == 4 {
                entry.members[0].final_over_variance = Some(0.9);
                entry.members[1].final_over_best = None;
                entry.members[2].restarts = 2;
            }
            entry.learned = Some(!hit);
            entry.uncertainty = Some(UncertaintyRecord {
                nll: Some(1.5),
                crps: 0.25,
                coverage_90: 0.61,
                rank_correlation: Some(0.4),
                n_degenerate: 0,
            });
            if run.strategy == "qbc" {
                entry.auxiliary_mse = Some(if run.problem == "sine" { 9.0 } else { entry.mse });
                let over_variance = entry.auxiliary_mse.map(|mse| mse / 10.0);
                entry.auxiliary = Some(AuxiliaryRecord { over_variance, members: Vec::new() });
            }
        }
    }
    let (found, said) = part_of(&data);
    assert!(said.contains("- gsy: 1 of 54 runs did not learn, 1 of 5940 members collapsed, 1 unsettled"), "{said}");
    assert!(said.contains("and members were trained anew 2 times"), "{said}");
    assert!(said.contains("these did not learn, or not at once"), "{said}");
    assert!(said.contains("most on sine at γ = 2, entry 4 of seed 3 above all"), "{said}");
    assert!(said.contains("Caution: in 2 of 6 cells a method chooses by a network of its own"), "{said}");
    assert!(said.contains("- qbc on sine at γ = 2: its network's test error is 0.9 of the variance"), "{said}");
    let value = |found: &dal_report::Findings| {
        let gsy = found.parts[0].methods.iter().find(|m| m.id == "gsy").unwrap();
        gsy.cells[2][0].as_ref().unwrap().n_auc.value
    };
    assert_eq!(value(&found), value(&before), "a run that did not learn stays in the average");
    let dir = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(write(&data, dir.path()).page).unwrap();
    for table in ["members", "auxiliary", "uncertainty"] {
        assert!(page.contains(&format!("id=\"{table}\"")), "{table}");
    }
    assert!(page.contains("seed 3, entry 4") && page.contains("does not know the problem"));
    // From entry to entry: of every measure a figure for each problem and γ that has it.
    let drawn = |id: &str| page.matches(&format!("data-metric=\"{id}\"")).count();
    assert_eq!(["coverage-90", "crps", "nll", "rank-correlation", "auxiliary-error"].map(drawn), [6; 5]);
    let of_qbc = &found.parts[0].methods.iter().find(|m| m.id == "qbc").unwrap().cells[2][0].as_ref().unwrap().learning;
    let (_, error) = of_qbc.by_entry.iter().find(|(m, _)| *m == EntryMeasure::AuxiliaryError).unwrap();
    assert_eq!(error[10], Some(0.9));
    let csv = fs::read_to_string(dir.path().join("tables/uncertainty.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().starts_with("hydro,any,random,1.5,1.5,0.25,0.25,0.61,0.61,0.4,0.4"), "{csv}");
    assert!(!fs::read_to_string(write(&planted(&plan(2)), dir.path()).page).unwrap().contains("id=\"members\""));
}

#[test]
fn readings_that_contradict_each_other_are_named() {
    let mut data = planted(&plan(10));
    // Better for most of the way, much worse at the end, where the area hardly sees it.
    for run in data.runs.iter_mut().filter(|run| run.strategy == "gsx") {
        run.entries.iter_mut().rev().take(5).for_each(|e| e.mse *= 1.5);
    }
    let (found, said) = part_of(&data);
    let gsx = found.parts[0].methods.iter().find(|m| m.id == "gsx").unwrap();
    let cell = gsx.cells[2][0].as_ref().unwrap();
    let split = cell.split.as_ref().unwrap();
    assert!(split.clear && split.better.contains(&dal_eval::CurveMetric::Area), "{split:?}");
    assert!(split.worse.contains(&dal_eval::CurveMetric::Final), "{split:?}");
    assert!(
        (cell.beside[0].value / cell.n_auc.value.unwrap() - 1.0).abs() < 1e-12,
        "verdicts rest on the first reading"
    );
    assert!(said.contains("gsx on hydro at γ = 2: better by nAUC_MSE"), "{said}");
    let (first, three) = found.parts[0].problems[0].area_shares.unwrap();
    assert!(first > 0.05 && first < 0.5 && three > first && three < 1.0, "{first} {three}");
    assert!(said.contains("What a method could change"), "{said}");
    let deciding = found.parts[0].judged.as_ref().unwrap().deciding.as_ref().unwrap();
    assert_eq!(deciding.seeds, 10);
    assert!(deciding.effects.robust.unwrap() > 0.0 && said.contains("with a chance of 80 %"), "{said}");
    // Problem by problem: its own spread, and the effect that is found there.
    assert_eq!(deciding.spreads.len(), 3);
    let spread = found.seed_spread(|_| true).unwrap();
    for (problem, sd) in &deciding.spreads {
        let stored = spread.by_problem.iter().find(|(id, _)| id == problem).unwrap().1;
        assert!((stored / sd - 1.0).abs() < 1e-9, "{problem}: {sd} beside {stored}");
        let worse = 100.0 * ((deciding.effects.worse.unwrap() * sd).exp() - 1.0);
        assert!(said.contains(&format!("{:.1} % on {problem}", worse).replace(".0 %", " %")), "{said}");
    }
}

/// A problem of a user's own: a boiler with two outputs of very different units, some of whose labels failed.
fn boiler() -> ReportData {
    let methods: [(&str, common::Effect); 1] = [("gsx", |_, _| -0.2)];
    let mut data =
        planted(&Plan { problems: &["boiler"], ratios: &[2], seeds: 3, methods: &methods, noise: 0.01, steps: 6 });
    let column = |name: &str, unit: &str| ColumnRecord { name: name.into(), unit: unit.into(), ..Default::default() };
    let own = OwnProblem {
        title: "Boiler of unit 3".into(),
        inputs: vec![column("load", "MW"), column("fuel", "1")],
        outputs: vec![
            ColumnRecord { transform: "log, standardised".into(), ..column("pressure", "Pa") },
            ColumnRecord { transform: "standardised".into(), ..column("temperature", "K") },
        ],
        n_points: None,
    };
    data.sweeps[0].own_problems = [("boiler".to_owned(), own)].into();
    for run in &mut data.runs {
        run.own = true;
        run.protocol.preset = "published".into();
        let gsx = run.strategy == "gsx";
        for (t, entry) in run.entries.iter_mut().enumerate() {
            let output = |scale: f64| OutputErrorRecord {
                rmse: scale * entry.mse.sqrt(),
                r2: Some(1.0 - entry.mse / 2.0),
                mae: scale * 0.1,
                p95_abs: scale * 0.2,
                max_abs: scale * 0.3,
            };
            // The raw MSE, which the pressure dominates, says the opposite of the pooled error.
            let pooled = PooledErrors { mse: entry.mse / 2.0, mae: 0.1, p95_abs: 0.2, max_abs: 0.3, n_left_out: 0 };
            let outputs = vec![output(1e5), output(10.0)];
            entry.output_errors = Some(OutputErrorsRecord { outputs, quantiles: Vec::new(), pooled: Some(pooled) });
            entry.mse = if gsx { 2e10 } else { 1e10 } / (t + 1) as f64;
            if gsx && t > 0 {
                entry.n_labelled -= 2 * t;
                let failed = |row: usize, load: &str| FailedLabel {
                    row,
                    kind: "crashed".into(),
                    message: "floating point exception".into(),
                    at: vec![load.into(), "oil".into()],
                };
                entry.failed_labels = vec![failed(1, "80"), failed(4, "95.5")];
            }
        }
    }
    data
}

#[test]
fn a_users_problem_is_spoken_of_in_the_users_words() {
    let data = boiler();
    let dir = tempfile::tempdir().unwrap();
    let written = write(&data, dir.path());
    let part = &written.findings.parts[0];
    let problem = &part.problems[0];
    assert!(problem.pooled && problem.variance == Some(1.0));
    let cell = part.methods[0].cells[0][0].as_ref().unwrap();
    assert!(cell.n_auc.value.unwrap() < 0.9, "rankings rest on the pooled figure");
    let said = terminal_summary(&written.findings, 10_000);
    assert!(said.starts_with("Where you stand: Boiler of unit 3 (2 inputs): your errors are now"), "{said}");
    assert!(said.contains(" Pa (RMSE of pressure, R² ") && said.contains(" K (RMSE of temperature"), "{said}");
    assert!(said.contains("with 308 labels chosen by gsx at γ = 2"), "{said}");
    assert!(said.contains("36 queries on boiler gave no answer (crashed 36)"), "{said}");
    for remark in ["Not as published", "provisional", "paper"] {
        assert!(!said.contains(remark), "{said}");
    }
    let page = fs::read_to_string(&written.page).unwrap().replace('\u{a0}', " ");
    assert!(page.contains("<h1>Learning Boiler of unit 3</h1>"));
    for remark in ["not as published", "published benchmark", "<td>published</td>"] {
        assert!(!page.contains(remark), "{remark}");
    }
    assert!(page.contains("load from 80 to 95.5; fuel oil") && page.contains("floating point exception"));
    assert!(page.contains("id=\"section-failed-labels\"") && page.contains("36 of 960"), "{said}");
    assert!(page.contains("test MSE, outputs scaled"));
    let columns = fs::read_to_string(dir.path().join("tables/columns.csv")).unwrap();
    let due = "problem,,name,unit,learned\nboiler,input,load,MW,\nboiler,input,fuel,,\n\
               boiler,output,pressure,Pa,\"log, standardised\"\nboiler,output,temperature,K,standardised\n";
    assert_eq!(columns, due);
    assert!(page.contains("Inputs and outputs of your problems"));
    // The curve stands at the labels that exist.
    let csv = fs::read_to_string(dir.path().join("tables/curves-boiler-2.csv")).unwrap();
    assert_eq!(part.problems[0].random.mean_labels(6), Some(320.0));
    assert_eq!(cell.curves.mean_labels(6), Some(308.0));
    assert!(csv.lines().last().unwrap().starts_with("320,"), "{csv}");
}

#[test]
fn a_users_problem_that_is_not_learned_says_so() {
    let mut data = boiler();
    for entry in data.runs.iter_mut().flat_map(|run| &mut run.entries) {
        entry.output_errors.as_mut().unwrap().pooled.as_mut().unwrap().mse = 1.1;
    }
    let (found, said) = part_of(&data);
    assert!(said.contains("The models have not learned it: a constant predicts as well."), "{said}");
    assert!(!found.parts[0].problems[0].is_ranked() && found.parts[0].judged.is_none());
    assert!(said.contains("Left out of rankings") && said.contains("Nothing was judged"), "{said}");
    // Older records hold no pooled errors: rankings rest on the MSE, and nothing is known of learning.
    data.runs.iter_mut().flat_map(|run| &mut run.entries).for_each(|entry| entry.output_errors = None);
    let (found, said) = part_of(&data);
    assert!(!found.parts[0].problems[0].pooled && found.parts[0].judged.is_some());
    assert!(said.contains("Boiler of unit 3 (2 inputs): the error of your models is now RMSE"), "{said}");

    let differ = "were judged on the same test labels";
    assert!(!said.contains(differ) && !found.parts[0].problems[0].tests_differ);
    let labels = |n: usize, variance: f64| Some(TestLabels { n, variance, sd: vec![variance.sqrt()] });
    for (other, is_said) in [(labels(196, 2.0), true), (labels(197, 2.1), true), (labels(197, 2.000_01), false)] {
        data.runs.iter_mut().for_each(|run| run.test_labels = labels(197, 2.0));
        data.runs[0].test_labels = other;
        let (found, said) = part_of(&data);
        assert_eq!((found.parts[0].problems[0].tests_differ, said.contains(differ)), (is_said, is_said), "{said}");
        let of_other_labels = "its runs were judged on different test labels";
        assert_eq!(said.contains(of_other_labels), is_said, "{said}");
        assert!(!is_said || (!found.parts[0].problems[0].is_ranked() && found.parts[0].judged.is_none()));
    }
}

#[test]
fn of_few_points_test_points_are_learned_and_the_page_says_so() {
    let mut data = boiler();
    // 320 labels of a run, of all points.
    for (n_points, is_said) in
        [(None, None), (Some(32_001), None), (Some(4000), Some("boiler: 4000 points, of which a run labels up to 8 %"))]
    {
        data.sweeps[0].own_problems.get_mut("boiler").unwrap().n_points = n_points;
        let (_, said) = part_of(&data);
        assert_eq!(said.contains("Judged on learned points"), is_said.is_some(), "{said}");
        assert!(said.contains(is_said.unwrap_or_default()), "{said}");
    }
}

#[test]
fn one_run_of_a_design_stands_for_every_pool_ratio() {
    let mut data = planted(&plan(12));
    data.runs.retain(|run| run.strategy != "gsx" || run.pool_ratio == Some(2));
    for run in data.runs.iter_mut().filter(|run| run.strategy == "gsx") {
        (run.strategy, run.pool_ratio) = ("sobol".into(), Some(1));
        run.entries.last_mut().unwrap().learned = Some((run.problem.as_str(), run.seed) != ("sine", 3));
    }
    let found = findings(&data, VerdictRules::default(), CurveSpan::FromInitial).unwrap();
    let part = &found.parts[0];
    assert_eq!(part.pool_ratios, [2, 8], "the design's own ratio is no column");
    let sobol = part.methods.iter().find(|m| m.id == "sobol").unwrap();
    for of_problem in &sobol.cells {
        let values: Vec<f64> = of_problem.iter().map(|cell| cell.as_ref().unwrap().n_auc.value.unwrap()).collect();
        assert_eq!(values[0], values[1]);
    }
    assert_eq!(sobol.robustness.as_ref().unwrap().verdict, Verdict::Robust);
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("- sobol: 1 of 36 runs did not learn; most on sine\n"), "{said}");
}
