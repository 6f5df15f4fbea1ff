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
