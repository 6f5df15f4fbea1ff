//! What is tested when, of whom, and which methods can be held against each other.

mod common;

use std::fs;

use common::{Plan, planted};
use dal_eval::{CellVerdict, CurveSpan, Verdict, VerdictRules};
use dal_report::{Findings, Part, ReportData, ReportOptions, RunStatus, findings, terminal_summary, write_report};
use dal_store::{PlannedLook, TestLabels};

/// `gsx` is better everywhere.
fn plan(seeds: u64) -> Plan<'static> {
    Plan {
        problems: &["hydro", "robo", "sine"],
        ratios: &[2, 8],
        seeds,
        methods: &[("gsx", |_, _| -0.2), ("gsy", |_, _| 0.0)],
        noise: 0.05,
        steps: 10,
    }
}

fn of(data: &ReportData) -> Findings {
    findings(data, VerdictRules::default(), CurveSpan::FromInitial).unwrap()
}

/// Whether anything was tested: p of cells, or who cannot be told apart.
fn is_tested(part: &Part) -> bool {
    let cells = part.methods.iter().flat_map(|m| m.cells.iter().flatten().flatten());
    let p = |c: &dal_report::CellDetail| c.n_auc.p_wilcoxon.or(c.n_auc.p_sign_flip).or(c.n_auc.p_better).or(c.p_holm);
    let of_cells = cells.filter_map(p).count();
    let of_ranks = part.ranks.iter().flatten().filter(|t| t.decidable || !t.cliques.is_empty()).count();
    assert_eq!(of_cells > 0, of_ranks > 0);
    of_cells > 0
}

#[test]
fn nothing_is_tested_before_a_look_or_where_plans_contradict_each_other() {
    let mut data = planted(&plan(12));
    assert!(is_tested(&of(&data).parts[0]));
    data.sweeps[0].looks = vec![PlannedLook { seeds: 10, level: 0.05 }];
    assert!(is_tested(&of(&data).parts[0]));
    data.sweeps[0].looks = vec![PlannedLook { seeds: 14, level: 0.05 }];
    assert!(!is_tested(&of(&data).parts[0]));

    // Runs that a sweep without looks asks for, too.
    data.runs[0].sweep = "other".into();
    data.sweeps.push(dal_report::Sweep { name: "other".into(), ..Default::default() });
    assert!(!is_tested(&of(&data).parts[0]));
    let dir = tempfile::tempdir().unwrap();
    let options = ReportOptions { evidence: vec![data.clone()], ..ReportOptions::default() };
    let written = write_report(&data, dir.path(), &options).unwrap();
    let said = terminal_summary(&written.findings, 10_000);
    let found = said.split("What the evidence found").nth(1).unwrap();
    assert!(found.contains("no verdicts, as the sweeps behind its runs plan different looks"), "{said}");
    assert!(!found.contains("no method is shown"), "{said}");

    // Tables for machines say it, and keep every value.
    let table = |name: &str| fs::read_to_string(dir.path().join("tables").join(name)).unwrap();
    let rows: Vec<String> = table("cells.csv").lines().skip(1).map(str::to_owned).collect();
    assert!(rows.len() == 12 && rows.iter().all(|row| row.contains(",no verdict,")), "{rows:?}");
    let n_auc = table("nauc.csv");
    assert!(n_auc.lines().skip(1).all(|row| row.matches(" –").count() == 2), "{n_auc}");
}

/// Tables of two stores, the second of which extended a sweep without looks, know it together.
#[test]
fn an_extension_is_seen_in_tables_put_together() {
    let data = planted(&plan(16));
    let said = |data: &ReportData| terminal_summary(&of(data), 10_000);
    assert!(!said(&data).contains("exploratory"));
    let first = |n: u64| {
        let mut first = data.clone();
        first.runs.retain(|run| run.seed < n);
        first
    };
    let mut whole = data.clone();
    whole.unite(first(10)).unwrap();
    let of_both = said(&whole);
    assert!(of_both.contains("planned with 10 and 16 seeds") && of_both.contains("exploratory"), "{of_both}");
    // Five seeds decide nothing, and a share of the same plan is no other plan.
    let mut whole = data.clone();
    whole.unite(first(5)).unwrap();
    assert!(!said(&whole).contains("exploratory"));
    let mut whole = first(16);
    whole.unite(data.clone()).unwrap();
    assert!(!said(&whole).contains("exploratory"));
}

#[test]
fn runs_that_are_not_begun_say_so_in_tables_for_machines() {
    let mut data = planted(&plan(3));
    data.runs[1].status = RunStatus::Absent;
    data.runs[1].entries.clear();
    let dir = tempfile::tempdir().unwrap();
    write_report(&data, dir.path(), &ReportOptions::default()).unwrap();
    let table = fs::read_to_string(dir.path().join("tables/incomplete.csv")).unwrap();
    assert!(table.contains(",not started,"), "{table}");
}

/// An average over other cells cannot be held against those of all.
#[test]
fn a_method_that_ran_on_some_problems_alone_is_not_recommended() {
    let mut data = planted(&plan(12));
    for run in data.runs.iter_mut().filter(|run| run.strategy == "gsy" && run.problem == "sine") {
        run.entries.iter_mut().for_each(|e| e.mse *= 0.3);
    }
    data.runs.retain(|run| run.strategy != "gsy" || run.problem == "sine");
    let said = terminal_summary(&of(&data), 10_000);
    let recommended = said.lines().find(|line| line.contains("area under the error curve is")).unwrap();
    assert!(recommended.contains("gsx: the only method shown to beat random sampling in every cell"), "{said}");
    assert!(said.contains("gsy (not run on hydro and robo)"), "{said}");

    data.runs.retain(|run| run.strategy != "gsx" || run.problem != "sine");
    let said = terminal_summary(&of(&data), 10_000);
    assert!(said.contains("No method was run on every problem: "), "{said}");
}

/// A claim of a look stands: seeds beyond it change neither its family nor which problems count.
#[test]
fn a_look_is_of_its_own_seeds_in_everything() {
    let mut data = planted(&plan(16));
    data.sweeps[0].looks = vec![PlannedLook { seeds: 10, level: 0.05 }, PlannedLook { seeds: 30, level: 0.05 }];
    for run in &mut data.runs {
        run.test_labels = Some(TestLabels { n: 4000, variance: 0.2, sd: vec![0.2_f64.sqrt()] });
        // Later, Random does not learn it any more.
        if run.problem == "robo" && run.seed >= 5 {
            let factor = if run.seed < 10 { 1.5 } else { 100.0 };
            run.entries.iter_mut().for_each(|e| e.mse *= factor);
        }
    }
    let found = of(&data);
    let part = &found.parts[0];
    assert!(part.problems.iter().all(|p| p.is_ranked()));
    let gsx = part.methods.iter().find(|m| m.id == "gsx").unwrap();
    assert_eq!(gsx.robustness.as_ref().unwrap().verdict, Verdict::Robust);
    // Sixteen seeds are simulated, ten are enumerated.
    let judged = part.judged.as_ref().unwrap();
    assert_eq!((judged.n_tested, judged.monte_carlo_error), (12, 0.0));

    // All that is tested is as if the later seeds were not there.
    let mut first = data.clone();
    first.runs.retain(|run| run.seed < 10);
    let of_first = of(&first);
    let tested = |found: &Findings| {
        let part = &found.parts[0];
        let cells = part.methods.iter().flat_map(|m| m.cells.iter().flatten().flatten());
        let p = |c: &dal_report::CellDetail| (c.n_auc.p_better, c.n_auc.p_wilcoxon, c.n_auc.p_sign_flip, c.p_holm);
        (cells.map(p).collect::<Vec<_>>(), format!("{:?}", part.ranks))
    };
    assert_eq!(tested(&found), tested(&of_first));

    // A look at five seeds can decide nothing, whatever is there by now.
    data.sweeps[0].looks[0].seeds = 5;
    let found = of(&data);
    let judged = found.parts[0].judged.as_ref().unwrap();
    assert_eq!((judged.n_tested, judged.n_too_few), (0, 12));
    let cells = found.parts[0].methods.iter().flat_map(|m| m.cells.iter().flatten().flatten());
    assert!(cells.into_iter().all(|c| c.n_auc.verdict == CellVerdict::Undecidable));
}

fn looks(of: &[(usize, f64)]) -> Vec<PlannedLook> {
    of.iter().map(|&(seeds, level)| PlannedLook { seeds, level }).collect()
}

fn method<'f>(found: &'f Findings, id: &str) -> &'f dal_report::Method {
    found.parts[0].methods.iter().find(|m| m.id == id).unwrap()
}

/// Problems need not share their seeds: a look is of the first ones of each.
#[test]
fn a_look_is_of_the_first_seeds_of_each_problem() {
    let mut data = planted(&plan(10));
    data.sweeps[0].looks = looks(&[(10, 0.05)]);
    for run in data.runs.iter_mut().filter(|run| run.problem == "sine") {
        run.seed += 100;
        // Much worse there, which seeds of the other problems do not tell.
        if run.strategy == "gsx" {
            run.entries.iter_mut().skip(1).for_each(|e| e.mse *= 3.0);
        }
    }
    let found = of(&data);
    let judged = found.parts[0].judged.as_ref().unwrap();
    assert_eq!((judged.n_tested, judged.fewest_seeds), (12, 10));
    assert_eq!(method(&found, "gsx").robustness.as_ref().unwrap().verdict, Verdict::NotRobust);
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("This is the planned look at 10 seeds") && !said.contains("added by choice"), "{said}");

    // What Random does not learn at the look's seeds is left out, whatever they are called.
    for run in data.runs.iter_mut() {
        run.test_labels = Some(TestLabels { n: 4000, variance: 0.2, sd: vec![0.2_f64.sqrt()] });
        if run.problem == "sine" {
            run.entries.iter_mut().for_each(|e| e.mse *= 100.0);
        }
    }
    let found = of(&data);
    assert!(!found.parts[0].problems.iter().find(|p| p.id == "sine").unwrap().is_ranked());
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("gsx: the only method shown to beat random sampling in every cell that is judged"), "{said}");
    assert!(said.contains("on every problem and pool ratio that is judged, sine left out: gsx"), "{said}");
}

/// A later look of another sweep gives seeds to some methods: the others keep their verdicts, and nothing is missing.
#[test]
fn a_method_without_seeds_for_a_later_look_keeps_its_verdicts() {
    for later in [looks(&[(10, 0.02), (14, 0.03)]), Vec::new()] {
        let mut data = planted(&plan(14));
        data.sweeps[0].looks.clone_from(&later);
        data.sweeps.push(dal_report::Sweep { name: "second".into(), looks: later.clone(), ..Default::default() });
        for run in &mut data.runs {
            if run.strategy == "gsy" {
                run.entries.iter_mut().skip(1).for_each(|e| e.mse *= 1.5);
            } else if run.seed >= 10 {
                run.sweep = "second".into();
            }
        }
        let mut first = data.clone();
        first.runs.retain(|run| run.seed < 10);
        data.runs.retain(|run| run.seed < 10 || run.strategy != "gsy");
        let found = of(&data);
        let (gsy, then) = (method(&found, "gsy"), of(&first));
        let (now, before) = (gsy.robustness.as_ref().unwrap(), method(&then, "gsy").robustness.as_ref().unwrap());
        assert_eq!((now.verdict, before.verdict), (Verdict::NotRobust, Verdict::NotRobust));
        assert_eq!(method(&found, "gsx").robustness.as_ref().unwrap().verdict, Verdict::Robust);
        let cells: Vec<_> = gsy.cells.iter().flatten().flatten().collect();
        assert!(cells.iter().all(|c| c.n_auc.n_seeds == 10 && c.n_planned == 10 && c.n_auc.value.is_some()));
        assert!(
            cells.iter().all(|c| c.beside.len() > 3 && c.labels.is_some()),
            "Random's further seeds pair with none"
        );
        let judged = found.parts[0].judged.as_ref().unwrap();
        let said = terminal_summary(&found, 10_000);
        if later.is_empty() {
            assert_eq!((judged.n_of_look, judged.fewest_seeds), (2, 10));
        } else {
            // As its own look had it, in the family of that look.
            assert_eq!(now.cells, before.cells);
            assert_eq!((judged.n_of_look, judged.fewest_seeds, judged.n_tested), (1, 14, 6));
            assert!(said.contains("Those of gsy are of the look at 10 seeds (level 2 %)"), "{said}");
        }
        assert!(!said.contains("missing"), "{said}");
    }
}

/// Further seeds of Random alone are no later look of any method.
#[test]
fn a_look_that_random_alone_has_seeds_for_judges_no_method() {
    let mut data = planted(&plan(14));
    data.sweeps[0].looks = looks(&[(10, 0.02), (14, 0.03)]);
    data.sweeps.push(dal_report::Sweep {
        name: "second".into(),
        looks: data.sweeps[0].looks.clone(),
        ..Default::default()
    });
    data.runs.retain(|run| run.seed < 10 || run.strategy == "random");
    data.runs.iter_mut().filter(|run| run.seed >= 10).for_each(|run| run.sweep = "second".into());
    let found = of(&data);
    let judged = found.parts[0].judged.as_ref().unwrap();
    assert_eq!((judged.n_of_look, judged.fewest_seeds, judged.level), (2, 10, 0.02));
    assert_eq!(judged.deciding.as_ref().unwrap().seeds, 10);
    let said = terminal_summary(&found, 10_000);
    assert!(said.contains("gsx: the only method shown") && !said.contains("nothing can be decided"), "{said}");
}

/// While seeds of a later look are being run, the page has figures of those that are over.
#[test]
fn between_looks_there_are_figures_of_the_seeds_that_are_over() {
    for looks in [looks(&[(10, 0.02), (20, 0.03)]), looks(&[(16, 0.05)])] {
        let mut data = planted(&plan(20));
        data.sweeps[0].looks = looks;
        for run in data.runs.iter_mut().filter(|run| run.seed >= 12) {
            (run.status, run.entries) = (RunStatus::Absent, Vec::new());
        }
        let mut first = data.clone();
        first.runs.retain(|run| run.seed < 12);
        let (found, of_first) = (of(&data), of(&first));
        let value = |found: &Findings| method(found, "gsx").robustness.as_ref().unwrap().overall.unwrap();
        assert_eq!(value(&found), value(&of_first));
        let cells = method(&found, "gsx").cells.iter().flatten().flatten();
        assert!(cells.into_iter().all(|c| (c.n_auc.n_seeds, c.n_planned) == (12, 20) && c.final_errors.is_some()));
        let said = terminal_summary(&found, 10_000);
        if data.sweeps[0].looks.len() == 1 {
            assert!(said.contains("There are no verdicts yet. On average gsx looks best"), "{said}");
        } else {
            assert!(said.contains("gsx: the only method shown to beat random sampling in every cell."), "{said}");
            assert!(!said.contains("none is a safe choice"), "{said}");
        }
        // A run of Random that is still to come leaves no method without figures.
        let mut data = planted(&plan(20));
        data.sweeps[0].looks = vec![PlannedLook { seeds: 10, level: 0.05 }];
        for run in data.runs.iter_mut().filter(|run| run.seed == 15 && run.strategy == "random") {
            (run.status, run.entries) = (RunStatus::Absent, Vec::new());
        }
        let found = of(&data);
        let cells = method(&found, "gsx").cells.iter().flatten().flatten();
        assert!(cells.into_iter().all(|c| (c.n_auc.n_seeds, c.n_planned) == (15, 20)));
        assert!(terminal_summary(&found, 10_000).contains("of the first seeds of each problem that are over"));
        // A sweep without looks is read once, on all its seeds.
        data.sweeps[0].looks.clear();
        assert!(method(&of(&data), "gsx").robustness.as_ref().unwrap().overall.is_none());
    }
}

#[test]
fn a_safe_method_that_was_not_run_everywhere_is_safe_where_it_was_run() {
    let mut data = planted(&plan(12));
    data.runs.retain(|run| run.strategy != "gsx" || run.pool_ratio == Some(2));
    let said = terminal_summary(&of(&data), 10_000);
    assert!(said.contains("No method that was run everywhere was shown to beat random sampling everywhere"), "{said}");
    let safe = "Shown to do so in every cell that they were run in: gsx (not run at every pool ratio).";
    assert!(said.contains(safe) && !said.contains("of this sweep"), "{said}");
}

#[test]
fn a_ratio_is_chosen_where_there_is_one_to_choose() {
    let mut data = planted(&plan(3));
    // One problem brings its own candidates, and a design is planned everywhere.
    for run in data.runs.iter_mut().filter(|run| run.problem == "sine") {
        run.pool_ratio = None;
    }
    data.runs.dedup_by_key(|run| run.name.clone());
    data.runs.retain(|run| run.problem != "sine" || !run.name.contains("-8-"));
    let designs: Vec<_> = data.runs.iter().filter(|run| run.strategy == "random").cloned().collect();
    data.runs.extend(designs.into_iter().map(|mut run| {
        run.strategy = "sobol".into();
        run.name += "-sobol";
        run
    }));
    let found = of(&data);
    let of_method = |id: &str| found.parts[0].methods.iter().find(|m| m.id == id).unwrap().transfer.clone();
    let (problems, transfer) = of_method("gsx").expect("hydro and robo have both ratios");
    assert_eq!(problems.len(), 2);
    assert!(transfer.chosen.iter().all(|g| found.parts[0].pool_ratios[*g] != 0));
    assert!(of_method("sobol").is_none());
}
