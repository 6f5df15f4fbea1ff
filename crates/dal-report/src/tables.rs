//! Which tables a report has, filled from the findings.

use dal_eval::{Cell, CellFinding, CellVerdict, Hesitation, Interval, LabelsToReach, Verdict};

use crate::data::{ReportData, RunStatus};
use crate::findings::{CellDetail, FinalErrors, Method, Part, Time};
use crate::summary::{hesitation, overall};
use crate::table::{Entry, Row, Table};
use crate::text::{count, number, p_value, ratio, ratio_name, seconds};

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|s| (*s).to_owned()).collect()
}

fn interval(i: Option<Interval>) -> Entry {
    match i {
        Some(i) => Entry::text(format!("{} to {}", ratio(i.lower), ratio(i.upper))),
        None => Entry::optional(None, ratio),
    }
}

/// A sign for a verdict, so that colour is not needed to see it.
fn sign(verdict: CellVerdict) -> (&'static str, &'static str) {
    match verdict {
        CellVerdict::Better => ("✓", "better"),
        CellVerdict::Worse => ("✗", "worse"),
        CellVerdict::Equal => ("=", "equal"),
        CellVerdict::Undecided | CellVerdict::Undecidable => ("?", "open"),
        CellVerdict::NoVerdict => ("–", "none"),
    }
}

/// A word for a cell's verdict.
fn verdict_word(verdict: CellVerdict) -> &'static str {
    match verdict {
        CellVerdict::Better => "better",
        CellVerdict::Worse => "worse",
        CellVerdict::Equal => "equal",
        CellVerdict::Undecided => "undecided",
        CellVerdict::Undecidable => "too few seeds",
        CellVerdict::NoVerdict => "no verdict",
    }
}

/// The sign of a cell in the overview: where the verdict is open, which way the value points.
fn overview_sign(cell: &CellFinding, margin: f64) -> &'static str {
    match (cell.verdict, cell.value) {
        (CellVerdict::Undecided | CellVerdict::Undecidable, Some(value)) => {
            if value > 1.0 + margin {
                "↑"
            } else if value < 1.0 / (1.0 + margin) {
                "↓"
            } else {
                "~"
            }
        }
        (verdict, _) => sign(verdict).0,
    }
}

/// The verdicts, one row per method.
pub(crate) fn robustness(part: &Part, prefix: &str) -> Table {
    let mut rows: Vec<(Option<f64>, Row)> = part
        .methods
        .iter()
        .filter_map(|m| {
            let r = m.robustness.as_ref()?;
            let tally = |v: CellVerdict| r.cells.iter().filter(|c| c.verdict == v).count();
            let number_of = |n: usize| Entry::number(n as f64, n.to_string());
            let (word, class) = match &r.verdict {
                Verdict::Robust => ("robust".to_owned(), "better"),
                Verdict::NotRobust => ("not robust".to_owned(), "worse"),
                Verdict::Undecided(Hesitation::TooFewSeeds { got, .. }) => {
                    (format!("undecided: {} too few to tell", count(*got, "seed")), "open")
                }
                Verdict::Undecided(why) => (format!("undecided: {}", hesitation(why)), "open"),
            };
            let worst = r.worst.as_ref().map(|(i, _)| &r.cells[*i]);
            let needed = r.cells.iter().filter_map(|c| c.seeds_to_find).max();
            let value = overall(m);
            let cells = vec![
                Entry::text(&m.id),
                Entry::text(word).with_class(class),
                Entry::optional(value, ratio),
                interval(r.overall.and_then(|o| o.over_problems).map(Interval::exp)),
                match worst {
                    Some(cell) => Entry::number(
                        cell.value.unwrap_or(f64::NAN),
                        format!(
                            "{} ({}, {})",
                            cell.value.map(ratio).unwrap_or_default(),
                            cell.problem,
                            ratio_name(cell.pool_ratio)
                        ),
                    ),
                    None => Entry::optional(None, ratio),
                },
                interval(r.worst.as_ref().and_then(|(_, i)| *i)),
                number_of(tally(CellVerdict::Better)),
                number_of(tally(CellVerdict::Equal)),
                number_of(tally(CellVerdict::Worse)),
                number_of(tally(CellVerdict::Undecided) + tally(CellVerdict::Undecidable)),
                number_of(tally(CellVerdict::NoVerdict)),
                Entry::optional(r.p_robust, p_value),
                Entry::optional(needed.map(|n| n as f64), number),
                interval(r.overall.and_then(|o| o.problems_fixed).map(Interval::exp)),
            ];
            Some((value, Row { cells, method: Some(m.style), ..Row::default() }))
        })
        .collect();
    rows.sort_by(|a, b| a.0.unwrap_or(f64::INFINITY).total_cmp(&b.0.unwrap_or(f64::INFINITY)));
    Table {
        id: format!("{prefix}robustness"),
        caption: "Robustness: is the method better than random sampling on every problem and pool ratio? A cell is one problem at \
                  one γ; nAUC below 1 is better. The interval of the worst cell holds for all cells at once. Seeds needed: enough \
                  to decide the hardest open cell, if its effect is real. The first interval of the average is for other problems \
                  of the kind, the last for these problems alone."
            .into(),
        columns: strings(&[
            "method",
            "verdict",
            "average nAUC",
            "95 % interval",
            "worst cell",
            "its 95 % interval",
            "cells better",
            "equal",
            "worse",
            "open",
            "no verdict",
            "p of robust",
            "seeds needed",
            "95 % interval, these problems",
        ]),
        n_labels: 1,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

/// A table with one row per (problem, method) and one column per pool ratio.
fn by_ratio(part: &Part, id: String, caption: String, entry: impl Fn(&CellDetail) -> Entry) -> Table {
    let mut columns = strings(&["problem", "method"]);
    columns.extend(part.pool_ratios.iter().map(|r| ratio_name(*r)));
    let mut rows = Vec::new();
    for (p, problem) in part.problems.iter().enumerate() {
        for m in &part.methods {
            let mut cells = vec![Entry::text(&problem.id), Entry::text(&m.id)];
            cells.extend(m.cells[p].iter().map(|cell| match cell {
                Some(cell) => entry(cell),
                None => Entry::text("not planned").with_class("none"),
            }));
            rows.push(Row { cells, problem: Some(problem.id.clone()), method: Some(m.style), ratio: None });
        }
    }
    Table { id, caption, columns, n_labels: 2, rows }
}

/// What stands in a cell that has no value.
fn gap(cell: &CellDetail) -> Entry {
    let failed = cell.n_auc.missing.len();
    if failed == 0 {
        return Entry::text("undefined").with_class("none");
    }
    let planned = failed + cell.n_auc.n_seeds;
    Entry::text(format!("{failed} of {planned} missing")).with_class("none")
}

/// Where each method wins and loses, at a glance: one sign for each pool ratio in every problem's column.
pub(crate) fn overview(part: &Part, margin: f64, prefix: &str) -> Table {
    let mut columns = strings(&["method"]);
    columns.extend(part.problems.iter().map(|p| p.id.clone()));
    let mut ordered: Vec<_> = part.methods.iter().collect();
    let place = |m: &Method| overall(m).unwrap_or(f64::INFINITY);
    ordered.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let rows = ordered
        .into_iter()
        .map(|m| {
            let mut cells = vec![Entry::text(&m.id)];
            cells.extend(m.cells.iter().map(|row| {
                let verdicts: Vec<CellVerdict> = row.iter().flatten().map(|c| c.n_auc.verdict).collect();
                let signs: String =
                    row.iter().map(|c| c.as_ref().map_or("·", |c| overview_sign(&c.n_auc, margin))).collect();
                let class = if verdicts.contains(&CellVerdict::Worse) {
                    "worse"
                } else if !verdicts.is_empty() && verdicts.iter().all(|v| *v == CellVerdict::Better) {
                    "better"
                } else if !verdicts.is_empty() && verdicts.iter().all(|v| *v == CellVerdict::Equal) {
                    "equal"
                } else {
                    "open"
                };
                // Sorted by what speaks against the method.
                let against = verdicts.iter().filter(|v| **v == CellVerdict::Worse).count() as f64;
                let for_it = verdicts.iter().filter(|v| **v == CellVerdict::Better).count() as f64;
                Entry::number(against - for_it / 1000.0, signs.clone()).with_class(class)
            }));
            Row { cells, method: Some(m.style), ..Row::default() }
        })
        .collect();
    let ratios: Vec<String> = part.pool_ratios.iter().map(|r| ratio_name(*r)).collect();
    Table {
        id: format!("{prefix}overview"),
        caption: format!(
            "Where each method wins and loses: against random sampling, one sign for each pool ratio, in the order {}. ✓ better, \
             ✗ worse, = equal within {tolerance} %. Not decided, but pointing: ↓ lower error, ↑ higher error, ~ within \
             {tolerance} %. – a run is missing, · not planned.",
            ratios.join(", "),
            tolerance = number(100.0 * margin)
        ),
        columns,
        n_labels: 1,
        rows,
    }
}

/// nAUC with verdicts.
pub(crate) fn n_auc(part: &Part, prefix: &str) -> Table {
    by_ratio(
        part,
        format!("{prefix}nauc"),
        "nAUC: area under the test-error curve divided by random sampling's of the same seed, geometric mean over seeds; below 1 \
         is better. ✓ better, ✗ worse, = equal within 2 %, ? undecided; better and worse hold jointly over all cells of a method."
            .into(),
        |cell| match cell.n_auc.value {
            Some(value) => {
                let (sign, class) = sign(cell.n_auc.verdict);
                Entry::number(value, format!("{} {sign}", ratio(value))).with_class(class)
            }
            None => gap(cell),
        },
    )
}

/// nDiv.
pub(crate) fn n_div(part: &Part, prefix: &str) -> Table {
    by_ratio(
        part,
        format!("{prefix}ndiv"),
        "nDiv: mean distance of a query to its nearest fellow in the batch, divided by random sampling's of the same seed, \
         geometric mean over seeds; above 1 is more spread out than random sampling."
            .into(),
        |cell| match cell.n_div.as_ref() {
            Some(n_div) => match n_div.value() {
                Some(value) => Entry::number(value, ratio(value)),
                None => gap(cell),
            },
            None => Entry::text("undefined").with_class("none"),
        },
    )
}

/// Labels needed to reach Random's final error: the median over seeds, censored where the median seed is.
pub(crate) fn labels(part: &Part, prefix: &str) -> Table {
    by_ratio(
        part,
        format!("{prefix}labels"),
        "Labels to match random sampling: labels needed to reach the error that random sampling ends with, by means of five \
         entries, median over seeds; a number after > is the whole budget, within which it was not reached; undefined below \
         five entries."
            .into(),
        |cell| {
            let Some(labels) = cell.labels.as_ref().filter(|l| !l.is_empty()) else { return gap(cell) };
            let mut sorted: Vec<(usize, bool)> = labels
                .iter()
                .map(|l| match l {
                    LabelsToReach::Reached(n) => (*n, false),
                    LabelsToReach::Beyond(n) => (*n, true),
                })
                .collect();
            sorted.sort_by_key(|(n, beyond)| (*beyond, *n));
            // The upper median: a median between a known and a censored number is censored.
            let (n, beyond) = sorted[sorted.len() / 2];
            Entry::number(
                n as f64 + if beyond { 0.5 } else { 0.0 },
                if beyond { format!("> {n}") } else { n.to_string() },
            )
        },
    )
}

/// Times.
pub(crate) fn times(part: &Part, prefix: &str) -> Table {
    let mut columns = strings(&["problem", "method"]);
    columns.extend(part.pool_ratios.iter().map(|r| format!("choosing a batch, {}", ratio_name(*r))));
    columns.extend(strings(&["own networks", "training a model", "whole run"]));
    let mut rows = Vec::new();
    let entry = |value: Option<f64>| Entry::optional(value, seconds);
    for (p, problem) in part.problems.iter().enumerate() {
        let row = |name: &str, style: usize, times: Vec<Option<Time>>| {
            let mut cells = vec![Entry::text(&problem.id), Entry::text(name)];
            cells.extend(times.iter().map(|t| entry(t.map(|t| t.sampling_per_step))));
            let known: Vec<&Time> = times.iter().flatten().collect();
            let middle = |of: fn(&Time) -> f64| {
                let values: Vec<f64> = known.iter().map(|t| of(t)).collect();
                dal_eval::quantile(&values, 0.5).ok()
            };
            let own = middle(|t| t.auxiliary_per_entry).filter(|v| *v > 0.0);
            cells.extend([entry(own), entry(middle(|t| t.training_per_entry)), entry(middle(|t| t.run))]);
            Row { cells, problem: Some(problem.id.clone()), method: Some(style), ratio: None }
        };
        rows.push(row("random", part.random_style, vec![problem.random_time; part.pool_ratios.len()]));
        for m in &part.methods {
            let times = m.cells[p].iter().map(|cell| cell.as_ref().and_then(|c| c.time)).collect();
            rows.push(row(&m.id, m.style, times));
        }
    }
    Table {
        id: format!("{prefix}times"),
        caption: format!(
            "Time to choose a batch: medians over finished runs and steps. Choosing includes what the model has to answer for it, \
             not its training; networks that a method trains for itself alone are a column of their own. {}",
            taken(part)
        ),
        columns,
        n_labels: 2,
        rows,
    }
}

/// Under which circumstances times were taken.
fn taken(part: &Part) -> &'static str {
    if part.setting.timing {
        "Runs were made one at a time, with nothing else of this program under way."
    } else {
        "Times were taken beside other runs on the same machine; the timing tier, run into the same store, takes them alone and \
         gets a part of its own here."
    }
}

/// What training costs, by problem.
pub(crate) fn training(part: &Part, prefix: &str) -> Table {
    let entry = |value: Option<f64>| Entry::optional(value, seconds);
    let row = |problem: &crate::findings::Problem| {
        let t = problem.training;
        let (first, last) = (problem.n_labelled.first(), problem.n_labelled.last());
        let n_labels = |n: Option<&usize>| Entry::optional(n.map(|n| *n as f64), |v| format!("{v}"));
        let cells = vec![
            Entry::text(&problem.id),
            Entry::text(&problem.model.network),
            Entry::text(&problem.model.training),
            n_labels(first),
            entry(t.map(|t| t.first)),
            n_labels(last),
            entry(t.map(|t| t.last)),
            entry(t.map(|t| t.run)),
            Entry::optional(t.map(|t| t.n_runs as f64), |v| format!("{v}")),
            entry(t.map(|t| t.total)),
        ];
        Row { cells, problem: Some(problem.id.clone()), ..Row::default() }
    };
    Table {
        id: format!("{prefix}training"),
        caption: format!(
            "Time to train: medians over all finished runs of a problem, whatever the method. A run trains a model from scratch at \
             every step; the last column is everything that all runs took together. {}",
            taken(part)
        ),
        columns: strings(&[
            "problem",
            "hidden layers",
            "training",
            "first labels",
            "first model",
            "last labels",
            "last model",
            "all models of a run",
            "runs",
            "all runs, in all",
        ]),
        n_labels: 1,
        rows: part.problems.iter().map(row).collect(),
    }
}

/// Which problems, networks and protocols there were, and in what they are unlike the published ones.
pub(crate) fn problems(part: &Part, prefix: &str) -> Table {
    let row = |problem: &crate::findings::Problem| {
        let p = &problem.protocol;
        let cells = vec![
            Entry::text(&problem.id),
            Entry::text(&problem.model.network),
            Entry::text(&problem.model.training),
            Entry::text(&p.preset),
            Entry::text(format!("{} + {} × {}", p.initial, p.steps, p.queries)),
            Entry::number(p.test_points as f64, p.test_points.to_string()),
            Entry::number(problem.seeds.len() as f64, problem.seeds.len().to_string()),
            if problem.departures.is_empty() {
                Entry::optional(None, ratio)
            } else {
                Entry::text(problem.departures.join("; "))
            },
        ];
        Row { cells, problem: Some(problem.id.clone()), ..Row::default() }
    };
    Table {
        id: format!("{prefix}problems"),
        caption: "Problems: what was learned, with which network, and in what that is unlike the published benchmark."
            .into(),
        columns: strings(&[
            "problem",
            "hidden layers",
            "training",
            "preset",
            "labels",
            "test points",
            "seeds",
            "not as published",
        ]),
        n_labels: 1,
        rows: part.problems.iter().map(row).collect(),
    }
}

/// Every kind of error at the end of the budget.
pub(crate) fn final_errors(part: &Part, prefix: &str) -> Table {
    let mut rows = Vec::new();
    for (p, problem) in part.problems.iter().enumerate() {
        let mut add = |pool_ratio: Option<usize>, name: &str, style: usize, errors: Option<FinalErrors>| {
            let of = |value: fn(FinalErrors) -> f64| Entry::optional(errors.map(value), number);
            let cells = vec![
                Entry::text(&problem.id),
                match pool_ratio {
                    Some(g) => Entry::number(g as f64, g.to_string()),
                    None => Entry::text("any"),
                },
                Entry::text(name),
                of(|e| e.mse),
                of(|e| 0.5 * e.mse.ln()),
                of(|e| e.mae),
                of(|e| e.p95_abs),
                of(|e| e.max_abs),
            ];
            rows.push(Row { cells, problem: Some(problem.id.clone()), method: Some(style), ratio: pool_ratio });
        };
        add(None, "random", part.random_style, problem.random_final);
        for (g, pool_ratio) in part.pool_ratios.iter().enumerate() {
            for m in &part.methods {
                if let Some(cell) = &m.cells[p][g] {
                    add(Some(*pool_ratio), &m.id, m.style, cell.final_errors);
                }
            }
        }
    }
    Table {
        id: format!("{prefix}errors"),
        caption: "Errors at the end of the budget: geometric means over seeds, in units of the output (MSE: squared); no value where a \
                  seed is missing."
            .into(),
        columns: strings(&[
            "problem",
            "γ",
            "method",
            "test MSE",
            "log RMSE",
            "mean absolute error",
            "95 % absolute error",
            "largest absolute error",
        ]),
        n_labels: 3,
        rows,
    }
}

/// Every cell with everything known about it, in long form.
pub(crate) fn cells(part: &Part, prefix: &str) -> Table {
    let mut rows = Vec::new();
    for (p, problem) in part.problems.iter().enumerate() {
        for (g, pool_ratio) in part.pool_ratios.iter().enumerate() {
            for m in &part.methods {
                let Some(cell) = &m.cells[p][g] else { continue };
                let f = &cell.n_auc;
                let bound = |i: Option<Interval>, upper: bool| {
                    Entry::optional(i.map(|i| if upper { i.upper } else { i.lower }), ratio)
                };
                let cells = vec![
                    Entry::text(&problem.id),
                    Entry::number(*pool_ratio as f64, pool_ratio.to_string()),
                    Entry::text(&m.id),
                    Entry::number(f.n_seeds as f64, f.n_seeds.to_string()),
                    Entry::number(f.missing.len() as f64, f.missing.len().to_string()),
                    Entry::optional(f.value, ratio),
                    bound(f.interval_95, false),
                    bound(f.interval_95, true),
                    Entry::text(verdict_word(f.verdict)).with_class(sign(f.verdict).1),
                    Entry::optional(f.p_wilcoxon, p_value),
                    Entry::optional(f.p_sign_flip, p_value),
                    Entry::optional(cell.p_holm, p_value),
                    Entry::optional(f.p_better_adjusted, p_value),
                    Entry::optional(f.p_worse_adjusted, p_value),
                    Entry::optional(f.seeds_to_find.map(|n| n as f64), number),
                    Entry::optional(cell.n_div.as_ref().and_then(Cell::value), ratio),
                    Entry::optional(cell.correlation, |v| format!("{v:.2}")),
                ];
                rows.push(Row {
                    cells,
                    problem: Some(problem.id.clone()),
                    method: Some(m.style),
                    ratio: Some(*pool_ratio),
                });
            }
        }
    }
    Table {
        id: format!("{prefix}cells"),
        caption: "Every cell with its tests: Wilcoxon and sign-flip p are two-sided and of the cell by itself; Holm adjusts Wilcoxon's \
                  over the methods; max-T adjusts over all cells of a method, one-sided."
            .into(),
        columns: strings(&[
            "problem",
            "γ",
            "method",
            "seeds",
            "missing",
            "nAUC",
            "95 % from",
            "to",
            "verdict",
            "p Wilcoxon",
            "p sign flips",
            "p Holm",
            "p better (max-T)",
            "p worse (max-T)",
            "seeds needed",
            "nDiv",
            "score–error correlation",
        ]),
        n_labels: 3,
        rows,
    }
}

/// Mean ranks at every pool ratio.
pub(crate) fn ranks(part: &Part, prefix: &str) -> Option<Table> {
    if part.ranks.iter().all(Option::is_none) {
        return None;
    }
    let mut columns = strings(&["method"]);
    columns.extend(part.pool_ratios.iter().map(|r| ratio_name(*r)));
    let names =
        std::iter::once(("random", part.random_style)).chain(part.methods.iter().map(|m| (m.id.as_str(), m.style)));
    let rows = names
        .enumerate()
        .map(|(i, (name, style))| {
            let mut cells = vec![Entry::text(name)];
            cells.extend(
                part.ranks.iter().map(|t| Entry::optional(t.as_ref().map(|t| t.mean_ranks[i]), |v| format!("{v:.2}"))),
            );
            Row { cells, method: Some(style), ..Row::default() }
        })
        .collect();
    let blocks: Vec<String> = part
        .ranks
        .iter()
        .zip(&part.pool_ratios)
        .filter_map(|(t, r)| {
            let t = t.as_ref()?;
            let left_out =
                if t.n_excluded > 0 { format!(", {} left out as incomplete", t.n_excluded) } else { String::new() };
            Some(format!("{}: {}{left_out}", ratio_name(*r), count(t.n_blocks, "block")))
        })
        .collect();
    Some(Table {
        id: format!("{prefix}ranks"),
        caption: format!(
            "Mean ranks: by area under the error curve over (problem, seed) blocks; 1 is best. {}.",
            blocks.join("; ")
        ),
        columns,
        n_labels: 1,
        rows,
    })
}

/// Wins, ties and losses of each method against each other.
pub(crate) fn wins(part: &Part, prefix: &str) -> Table {
    let names: Vec<(&str, usize)> = std::iter::once(("random", part.random_style))
        .chain(part.methods.iter().map(|m| (m.id.as_str(), m.style)))
        .collect();
    let mut columns = vec!["method".to_owned()];
    columns.extend(names.iter().map(|(name, _)| format!("against {name}")));
    let rows = names
        .iter()
        .enumerate()
        .map(|(i, (name, style))| {
            let mut cells = vec![Entry::text(*name)];
            cells.extend(part.tallies.get(i).into_iter().flatten().enumerate().map(|(k, t)| {
                if i == k {
                    return Entry::optional(None, ratio);
                }
                Entry::number(t.wins as f64 - t.losses as f64, format!("{} / {} / {}", t.wins, t.ties, t.losses))
            }));
            Row { cells, method: Some(*style), ..Row::default() }
        })
        .collect();
    Table {
        id: format!("{prefix}wins"),
        caption: "Wins, ties and losses: cells won / tied within 2 % / lost by the row's method, by nAUC. A description of the values, without a test.".into(),
        columns,
        n_labels: 1,
        rows,
    }
}

/// What choosing γ on another problem gives.
pub(crate) fn transfer(part: &Part, prefix: &str) -> Option<Table> {
    let rows: Vec<Row> = part
        .methods
        .iter()
        .filter_map(|m| {
            let (problems, t) = m.transfer.as_ref()?;
            let mut cells = vec![Entry::text(&m.id)];
            cells.extend((0..part.problems.len()).map(|p| match problems.iter().position(|q| *q == p) {
                None => Entry::text("not planned").with_class("none"),
                Some(at) => {
                    let (value, best) = (t.transferred[at], part.pool_ratios[t.chosen[at]]);
                    Entry::number(value, format!("{} (own best {})", ratio(value), ratio_name(best)))
                }
            }));
            Some(Row { cells, method: Some(m.style), ..Row::default() })
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut columns = vec!["method".to_owned()];
    columns.extend(part.problems.iter().map(|p| p.id.clone()));
    Some(Table {
        id: format!("{prefix}transfer"),
        caption: "Transfer of γ: nAUC on each problem when γ is chosen as the best on each other problem in turn (geometric mean), and \
                  the pool ratio that would have been best there."
            .into(),
        columns,
        n_labels: 1,
        rows,
    })
}

/// Runs without a complete result.
pub(crate) fn incomplete(part: &Part, prefix: &str) -> Option<Table> {
    if part.incomplete.is_empty() {
        return None;
    }
    let styles: std::collections::BTreeMap<&str, usize> =
        part.methods.iter().map(|m| (m.id.as_str(), m.style)).collect();
    let rows = part
        .incomplete
        .iter()
        .map(|run| {
            let (word, why, class) = match &run.status {
                RunStatus::Done => ("done", String::new(), ""),
                RunStatus::Failed { reason } => ("failed", reason.clone(), "worse"),
                RunStatus::Partial => ("unfinished", String::new(), "open"),
                RunStatus::Absent => ("not started", String::new(), "none"),
            };
            Row {
                cells: vec![
                    Entry::text(&run.problem),
                    Entry::text(&run.strategy),
                    Entry::text(run.pool_ratio.map(ratio_name).unwrap_or_else(|| ratio_name(0))),
                    Entry::number(run.seed as f64, run.seed.to_string()),
                    Entry::text(word).with_class(class),
                    Entry::text(format!("{} of {}", run.entries.len(), run.protocol.steps + 1)),
                    Entry::text(why),
                ],
                problem: Some(run.problem.clone()),
                method: Some(styles.get(run.strategy.as_str()).copied().unwrap_or(part.random_style)),
                ratio: None,
            }
        })
        .collect();
    Some(Table {
        id: format!("{prefix}incomplete"),
        caption: "Runs that failed, are unfinished or never started".into(),
        columns: strings(&["problem", "method", "γ", "seed", "state", "entries", "reason"]),
        n_labels: 4,
        rows,
    })
}

/// Where the runs were made.
pub(crate) fn provenance(data: &ReportData) -> Table {
    let rows = data
        .provenance
        .iter()
        .map(|(c, made)| {
            let peak = match made.peak_memory_mib {
                0 => Entry::text("–"),
                mib => Entry::number(mib as f64, mib.to_string()),
            };
            let memory =
                if c.memory_mib == 0 { String::new() } else { format!("{} GiB", number(c.memory_mib as f64 / 1024.0)) };
            Row {
                cells: vec![
                    Entry::number(made.runs as f64, made.runs.to_string()),
                    Entry::text(&c.sweep),
                    Entry::text(&c.dal_version),
                    Entry::text(&c.compiler),
                    Entry::text(format!("{} ({} logical processors) {memory}", c.cpu, c.n_cpus)),
                    Entry::text(&c.os),
                    Entry::number(c.jobs as f64, c.jobs.to_string()),
                    peak,
                    Entry::text(c.command.join(" ")),
                ],
                ..Row::default()
            }
        })
        .collect();
    Table {
        id: "provenance".into(),
        caption: "Runs: where and how they were made.".into(),
        columns: strings(&[
            "runs",
            "sweep",
            "dal",
            "compiler",
            "machine",
            "system",
            "jobs",
            "peak memory, MiB",
            "command",
        ]),
        n_labels: 1,
        rows,
    }
}
