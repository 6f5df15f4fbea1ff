//! nAUC with tests and verdicts: by method, at a glance, by cell.

use std::collections::BTreeMap;

use dal_eval::{
    Cell, CellFinding, CellVerdict, Hesitation, Interval, Standing, Verdict, seeds_for_half_width, seeds_to_reach,
    smallest_effect,
};

use super::{by_ratio, gap, strings};
use crate::findings::{Method, Part};
use crate::summary::{hesitation, overall};
use crate::table::{Entry, Row, SAID, Table};
use crate::text::{count, number, p_value, ratio, ratio_name};

/// Half-width of an interval of ln nAUC that is narrow enough to compare methods.
const HALF_WIDTH: f64 = 0.05;

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

/// The sign of a cell in the overview: where the verdict is open or not due, which way the value points.
fn overview_sign(cell: &CellFinding, margin: f64) -> &'static str {
    match (cell.verdict, cell.value) {
        // Without a verdict, too, a value says that every run is there: before a planned look the verdict merely waits.
        (CellVerdict::Undecided | CellVerdict::Undecidable | CellVerdict::NoVerdict, Some(value)) => {
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

/// The verdicts, one row per method; `level` counts where nothing was judged.
pub(crate) fn robustness(part: &Part, level: f64, prefix: &str) -> Table {
    let level = part.judged.as_ref().map_or(level, |judged| judged.level);
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
                Verdict::Undecided(Hesitation::TooFewSeeds { got, needed_for_not_robust, .. }) => {
                    let what = if got >= needed_for_not_robust { "for robust" } else { "to tell" };
                    (format!("undecided: {} too few {what}", count(*got, "seed")), "open")
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
                Entry::optional(r.p_robust_holm, p_value),
                Entry::optional(needed.map(|n| n as f64), number),
                interval(r.overall.and_then(|o| o.problems_fixed).map(Interval::exp)),
            ];
            Some((value, Row { cells, method: Some(m.style), ..Row::default() }))
        })
        .collect();
    rows.sort_by(|a, b| a.0.unwrap_or(f64::INFINITY).total_cmp(&b.0.unwrap_or(f64::INFINITY)));
    Table {
        id: format!("{prefix}robustness"),
        caption: format!(
            "Robustness: is the method better than random sampling on every problem and pool ratio? A cell is one problem at \
             one γ; nAUC below 1 is better. \"Robust\" takes a p after Holm, over the methods, of at most {} %; cells are \
             better or worse by max-T over all cells of all methods. The interval of the worst cell holds for all cells of its \
             method at once. Seeds needed: enough to decide the hardest open cell, if its effect is real. The first interval of \
             the average is for other problems of the kind, the last for these problems alone.",
            number(50.0 * level)
        ),
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
            "after Holm",
            "seeds needed",
            "95 % interval, these problems",
        ]),
        n_labels: 1,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

/// Why arrows stand in the overview in place of verdicts.
fn pointing(part: &Part) -> String {
    let judged = part.judged.as_ref();
    match judged.and_then(|judged| judged.standing) {
        _ if judged.is_some_and(|judged| judged.plans_differ) => {
            "No verdict, as plans of looks differ, but pointing".into()
        }
        Some(Standing::Before { next }) => {
            format!("No verdict yet (the first is planned at {}), but pointing", count(next.seeds, "seed"))
        }
        _ => "Not decided, but pointing".into(),
    }
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
    // After a look runs may be missing whose seeds it does not rest on.
    let has_open = part.methods.iter().flat_map(|m| m.cells.iter().flatten().flatten()).any(|cell| {
        cell.n_auc.value.is_none() && matches!(cell.n_auc.verdict, CellVerdict::Undecided | CellVerdict::Undecidable)
    });
    Table {
        id: format!("{prefix}overview"),
        caption: format!(
            "Where each method wins and loses: against random sampling, one sign for each pool ratio, in the order {}. ✓ better, \
             ✗ worse, = equal within {tolerance} %. {}: ↓ lower error, ↑ higher error, ~ within {tolerance} %. {}– a \
             run is missing, · not planned.",
            ratios.join(", "),
            pointing(part),
            if has_open { "? not decided, a later run failed or is missing. " } else { "" },
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
         is better. ✓ better, ✗ worse, = equal within 2 %, ? undecided, – no verdict (yet); better and worse hold \
         jointly over all cells of all methods."
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

/// Seeds that make a cell's interval narrow enough to compare methods.
fn narrow(sd: f64) -> Option<f64> {
    seeds_for_half_width(sd, HALF_WIDTH, 0.95).ok()?.map(|n| n as f64)
}

/// Every cell with everything known about it, in long form; `level` counts where nothing was judged.
pub(crate) fn cells(part: &Part, level: f64, prefix: &str) -> Table {
    let standing = part.judged.as_ref().and_then(|judged| judged.standing);
    let level = part.judged.as_ref().map_or(level, |judged| judged.level);
    let (n_tested, n_problems) = part.judged.as_ref().map_or((0, 0), |judged| (judged.n_tested, judged.n_problems));
    let each = level / 2.0 / n_tested.max(1) as f64;
    // Below these seeds no outcome is significant under max-T, whose blocks are the problems.
    let least = seeds_to_reach(level / 2.0, n_problems).unwrap_or(usize::MAX);
    // By the seeds, of a spread of 1.
    let mut units: BTreeMap<usize, Option<f64>> = BTreeMap::new();
    let mut found = |sd: f64, n_seeds: usize| {
        // A look's verdicts rest on its seeds alone.
        let n_seeds = standing.map_or(n_seeds, |standing| standing.look().seeds.min(n_seeds));
        let unit = *units.entry(n_seeds).or_insert_with(|| smallest_effect(1.0, n_seeds, each).ok().flatten());
        unit.filter(|_| n_seeds >= least).map(|unit| (unit * sd).exp())
    };
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
                    match f.verdict {
                        CellVerdict::NoVerdict => Entry::text(verdict_word(f.verdict)).with_class(SAID),
                        verdict => Entry::text(verdict_word(verdict)).with_class(sign(verdict).1),
                    },
                    Entry::optional(f.p_wilcoxon, p_value),
                    Entry::optional(f.p_sign_flip, p_value),
                    Entry::optional(cell.p_holm, p_value),
                    Entry::optional(f.p_better_adjusted, p_value),
                    Entry::optional(f.p_worse_adjusted, p_value),
                    Entry::optional(f.seeds_to_find.map(|n| n as f64), number),
                    // A problem that is left out of rankings has no part in max-T: nothing is found there.
                    Entry::optional(
                        cell.spread.filter(|_| problem.is_ranked()).and_then(|sd| found(sd, f.n_seeds)),
                        ratio,
                    ),
                    Entry::optional(cell.spread.and_then(narrow), number),
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
                  over the methods; max-T adjusts over all cells of all methods, one-sided. Where looks were planned every p is of the look's \
                  seeds, all else of all seeds. An nAUC this much above 1 is found at these seeds with a chance of 80 % \
                  (t test at the level of max-T by Bonferroni, with the cell's own spread, too hopeful below eight seeds; as far below 1 as a \
                  ratio, too). \
                  The last count of seeds would make the 95 % interval of ln nAUC ± 0.05."
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
            "found with 80 %",
            "seeds for ± 0.05",
            "nDiv",
            "score–error correlation",
        ]),
        n_labels: 3,
        rows,
    }
}
