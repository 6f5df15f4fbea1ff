//! One part of the findings: its problems, methods and cells, and how the methods stand against each other.

use std::collections::{BTreeMap, BTreeSet};

use dal_eval::{
    Cell, CurveSpan, EvalError, MethodPanel, PoolRatioTransfer, ProblemPanel, RankTable, Tally, VerdictRules,
    area_under_curve, holm_over_methods, paired_ratios, pool_ratio_transfer, rank_methods, robustness, win_tie_loss,
};

use super::cell::{Baseline, Unjudged, cell_without_tests};
use super::curves::{curves, final_errors};
use super::runs::{BySeed, area, time, training_time, values_of};
use super::{CellDetail, Counts, FIXED_LIST, Method, Part, Problem};
use crate::data::{BASELINE, Model, ReportData, RunStatus, RunSummary, Setting, method_styles};

/// What every part is computed with.
pub(super) struct Context<'a> {
    pub(super) data: &'a ReportData,
    pub(super) rules: &'a VerdictRules,
    pub(super) span: CurveSpan,
}

/// Pool ratio under which a run is shown.
fn ratio_of(run: &RunSummary) -> usize {
    run.pool_ratio.unwrap_or(FIXED_LIST)
}

/// Names of the problems of runs: the id, numbered where one id was trained with several models.
fn problem_names<'a>(runs: &[&'a RunSummary]) -> BTreeMap<(&'a str, &'a Model), String> {
    let mut models: BTreeMap<&str, BTreeSet<&Model>> = BTreeMap::new();
    for run in runs {
        models.entry(&run.problem).or_default().insert(&run.model);
    }
    let mut names = BTreeMap::new();
    for (problem, models) in models {
        for (i, model) in models.iter().enumerate() {
            let name = if models.len() == 1 { problem.to_owned() } else { format!("{problem} (model {})", i + 1) };
            names.insert((problem, *model), name);
        }
    }
    names
}

pub(super) fn part(setting: &Setting, runs: &[&RunSummary], context: &Context<'_>) -> Result<Part, EvalError> {
    let Context { data, rules, span } = *context;
    let names = problem_names(runs);
    let styles = method_styles(runs.iter().map(|run| run.strategy.as_str()));
    let mut cells: BTreeMap<(String, String, usize), BySeed<'_>> = BTreeMap::new();
    let mut by_problem: BTreeMap<&str, Vec<&RunSummary>> = BTreeMap::new();
    let mut random: BTreeMap<&str, BySeed<'_>> = BTreeMap::new();
    for run in runs {
        let problem = names[&(run.problem.as_str(), &run.model)].as_str();
        by_problem.entry(problem).or_default().push(run);
        // Random chooses from the first candidates whatever γ is, so one run stands for every pool ratio.
        let by_seed = if run.strategy == BASELINE {
            random.entry(problem).or_default()
        } else {
            cells.entry((problem.to_owned(), run.strategy.clone(), ratio_of(run))).or_default()
        };
        by_seed.insert(run.seed, run);
    }
    let departures = |run: &RunSummary| {
        let by_name = data.sweeps.iter().find(|sweep| sweep.name == run.sweep);
        by_name.and_then(|sweep| sweep.departures.get(&run.problem)).cloned().unwrap_or_default()
    };
    let problems: Vec<Problem> = by_problem
        .iter()
        .map(|(id, runs)| {
            let seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>().into_iter().collect();
            let of_random = random.remove(id).unwrap_or_default();
            let protocol = runs[0].protocol.clone();
            let n_entries = protocol.steps + 1;
            let curves = curves(&seeds, &of_random, n_entries);
            Problem {
                id: (*id).to_owned(),
                variant: runs[0].problem.clone(),
                model: runs[0].model.clone(),
                departures: departures(runs[0]),
                random_final: final_errors(&curves, &of_random),
                random: curves,
                random_time: time(&of_random),
                training: training_time(runs),
                n_labelled: (0..n_entries).map(|t| protocol.initial + t * protocol.queries).collect(),
                protocol,
                seeds,
            }
        })
        .collect();
    let baselines: Vec<Baseline> = problems.iter().map(|p| Baseline::of(p, &by_problem[p.id.as_str()], span)).collect();
    let pool_ratios: Vec<usize> =
        cells.keys().map(|(_, _, ratio)| *ratio).collect::<BTreeSet<_>>().into_iter().collect();
    let mut ids: Vec<&String> = cells.keys().map(|(_, id, _)| id).collect::<BTreeSet<_>>().into_iter().collect();
    ids.sort_by_key(|id| styles[*id]);

    let mut methods = Vec::new();
    for id in ids {
        let mut panels = Vec::new();
        let mut details = Vec::new();
        for (problem, baseline) in problems.iter().zip(&baselines) {
            let mut panel = ProblemPanel { problem: problem.id.clone(), cells: Vec::new() };
            let mut row = Vec::new();
            for &ratio in &pool_ratios {
                let Some(by_seed) = cells.get(&(problem.id.clone(), id.clone(), ratio)) else {
                    row.push(None);
                    continue;
                };
                let n_entries = problem.protocol.steps + 1;
                let values = values_of(&problem.seeds, by_seed, n_entries, |run| area(run, span));
                let cell = Cell::of(&paired_ratios(&problem.seeds, &values, &baseline.area))?;
                panel.cells.push((ratio, cell));
                row.push(Some(cell_without_tests(problem, baseline, by_seed, n_entries)?));
            }
            if !panel.cells.is_empty() {
                panels.push(panel);
            }
            details.push(row);
        }
        let panel = MethodPanel { problems: panels };
        let judged = if panel.problems.is_empty() { None } else { Some(robustness(&panel, rules)?) };
        let mut found = judged.iter().flat_map(|r| r.cells.iter());
        let cells: Vec<Vec<Option<CellDetail>>> = details
            .into_iter()
            .map(|row: Vec<Option<Unjudged>>| {
                row.into_iter().map(|cell| cell.and_then(|cell| found.next().map(|f| cell.judged(f.clone())))).collect()
            })
            .collect();
        methods.push(Method {
            style: styles[id],
            transfer: transfer(&cells),
            id: id.clone(),
            cells,
            robustness: judged,
        });
    }
    adjust_over_methods(&mut methods, problems.len(), pool_ratios.len())?;

    let mut counts = Counts::default();
    for run in runs {
        match run.status {
            RunStatus::Done => counts.done += 1,
            RunStatus::Failed { .. } => counts.failed += 1,
            RunStatus::Partial => counts.partial += 1,
            RunStatus::Absent => counts.absent += 1,
        }
    }
    Ok(Part {
        setting: setting.clone(),
        sweeps: runs
            .iter()
            .map(|run| run.sweep.clone())
            .filter(|name| !name.is_empty())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        ranks: (0..pool_ratios.len()).map(|g| ranks(&problems, &baselines, &methods, g, span, rules.level)).collect(),
        tallies: tallies(&methods, problems.len(), pool_ratios.len(), rules.margin)?,
        random_style: styles[BASELINE],
        incomplete: runs.iter().filter(|run| run.status != RunStatus::Done).map(|run| (*run).clone()).collect(),
        problems,
        methods,
        pool_ratios,
        counts,
    })
}

/// Transfer over the problems that were planned at every pool ratio, if each of their cells has a value.
fn transfer(cells: &[Vec<Option<CellDetail>>]) -> Option<(Vec<usize>, PoolRatioTransfer)> {
    let planned: Vec<usize> = (0..cells.len()).filter(|p| cells[*p].iter().all(Option::is_some)).collect();
    let values: Option<Vec<Vec<f64>>> =
        planned.iter().map(|p| cells[*p].iter().map(|cell| cell.as_ref()?.n_auc.value).collect()).collect();
    let found = pool_ratio_transfer(&values?).ok()?;
    Some((planned, found))
}

/// Holm over the methods of each (problem, γ).
fn adjust_over_methods(methods: &mut [Method], n_problems: usize, n_ratios: usize) -> Result<(), EvalError> {
    for p in 0..n_problems {
        for g in 0..n_ratios {
            let planned: Vec<usize> = (0..methods.len()).filter(|&m| methods[m].cells[p][g].is_some()).collect();
            let raw: Vec<Option<f64>> = planned
                .iter()
                .map(|&m| methods[m].cells[p][g].as_ref().and_then(|cell| cell.n_auc.p_wilcoxon))
                .collect();
            for (&m, adjusted) in planned.iter().zip(holm_over_methods(&raw)?) {
                if let Some(cell) = &mut methods[m].cells[p][g] {
                    cell.p_holm = adjusted;
                }
            }
        }
    }
    Ok(())
}

/// Ranks Random and the methods over (problem, seed) blocks by ln area. Problems on which nothing is planned at this pool ratio
/// have no blocks; a method that is not planned where others are leaves blocks incomplete.
fn ranks(
    problems: &[Problem],
    baselines: &[Baseline],
    methods: &[Method],
    ratio: usize,
    span: CurveSpan,
    level: f64,
) -> Option<RankTable> {
    let mut blocks = Vec::new();
    for (p, (problem, baseline)) in problems.iter().zip(baselines).enumerate() {
        if methods.iter().all(|m| m.cells[p][ratio].is_none()) {
            continue;
        }
        for &seed in &problem.seeds {
            let of_random = baseline.area.get(&seed).and_then(|v| v.as_ref().ok()).map(|v| v.ln());
            let of_methods = methods.iter().map(|m| {
                let curves = &m.cells[p][ratio].as_ref()?.curves;
                let (_, curve) = curves.per_seed.iter().find(|(s, _)| *s == seed)?;
                if curves.missing.iter().any(|(s, _)| *s == seed) {
                    return None;
                }
                area_under_curve(curve, span, problem.protocol.steps).ok().filter(|a| *a > 0.0).map(f64::ln)
            });
            blocks.push(std::iter::once(of_random).chain(of_methods).collect());
        }
    }
    rank_methods(&blocks, level).ok()
}

fn tallies(methods: &[Method], n_problems: usize, n_ratios: usize, margin: f64) -> Result<Vec<Vec<Tally>>, EvalError> {
    let mut cells = Vec::new();
    for p in 0..n_problems {
        for g in 0..n_ratios {
            let of_methods = methods.iter().map(|m| m.cells[p][g].as_ref().and_then(|c| c.n_auc.value));
            // Random's nAUC is 1 by definition, wherever it can be computed for somebody.
            cells.push(std::iter::once(Some(1.0)).chain(of_methods).collect());
        }
    }
    win_tie_loss(&cells, margin)
}
