//! The learning curves read in other ways than by nAUC, and how much of the area a method could change.

use dal_eval::{CurveMetric, CurveSpan};

use super::{by_cell, strings};
use crate::findings::Part;
use crate::table::{Entry, Row, Table};
use crate::text::{metric_name, number, ratio};

/// Every reading of every cell with its interval, and where they disagree; `None` where no cell has one.
pub(crate) fn beside(part: &Part, span: CurveSpan, prefix: &str) -> Option<Table> {
    let rows = by_cell(part, |_, _, cell| {
        let Some(cell) = cell.filter(|cell| !cell.beside.is_empty()) else { return Vec::new() };
        let mut entries: Vec<Entry> = CurveMetric::ALL
            .iter()
            .map(|wanted| match cell.beside.iter().find(|found| found.metric == *wanted) {
                None => Entry::optional(None, ratio),
                Some(found) => {
                    let interval = found.interval.map(|i| format!(" ({} to {})", ratio(i.lower), ratio(i.upper)));
                    Entry::number(found.value, ratio(found.value) + &interval.unwrap_or_default())
                }
            })
            .collect();
        entries.push(match cell.all_pairs {
            Some([lower, middle, upper]) => {
                Entry::number(middle, format!("{} / {} / {}", ratio(lower), ratio(middle), ratio(upper)))
            }
            None => Entry::optional(None, ratio),
        });
        entries.push(match &cell.split {
            None => Entry::text("agree"),
            Some(split) if split.clear => Entry::text("disagree").with_class("worse"),
            Some(_) => Entry::text("disagree within noise").with_class("open"),
        });
        vec![entries]
    });
    if rows.is_empty() {
        return None;
    }
    let mut columns = strings(&["problem", "γ", "method"]);
    columns.extend(CurveMetric::ALL.iter().map(|m| metric_name(*m).to_owned()));
    columns.push("Labels needed, all pairs of runs".into());
    columns.push("signs".into());
    let first = if span == CurveSpan::FromFirstStep { "second" } else { "first" };
    Some(Table {
        id: format!("{prefix}beside"),
        caption: format!(
            "Other readings of the same curves: each a ratio to random sampling, below 1 is better, with the 95 % interval of the \
                  cell by itself. Verdicts rest on the {first} alone. Of labels needed the quartiles over all pairs of a run and one of Random's stand \
                  beside, as the predecessor drew them. Signs disagree where one reading lies below 1 and another above; \
                  within noise, if not on both sides one is clear of 1."
        ),
        columns,
        n_labels: 3,
        rows,
    })
}

/// How much of the area no method can change, and how far Random comes.
pub(crate) fn area(part: &Part, prefix: &str) -> Table {
    let row = |problem: &crate::findings::Problem| {
        let percent = |v: f64| format!("{} %", number((1000.0 * v).round() / 10.0));
        let learned = problem.learnability;
        let cells = vec![
            Entry::text(&problem.id),
            Entry::optional(problem.area_shares.map(|s| s.0), percent),
            Entry::optional(problem.area_shares.map(|s| s.1), percent),
            Entry::optional(problem.area_shares.map(|s| 1.0 - s.0), percent),
            Entry::optional(learned.map(|l| l.share), number),
            match learned {
                _ if problem.tests_differ => Entry::text("no: its runs have different test labels").with_class("worse"),
                None => Entry::text("not recorded").with_class("none"),
                Some(l) if l.in_rankings => Entry::text("yes"),
                Some(_) => Entry::text("no: random sampling does not learn it").with_class("worse"),
            },
        ];
        Row { cells, problem: Some(problem.id.clone()), ..Row::default() }
    };
    Table {
        id: format!("{prefix}area"),
        caption: "How much a method could change: shares of the area under random sampling's error curve, mean over seeds. Entry 0 is \
                  the model of the initial labels, the same for every method but learning-loss, whose heads are trained with it. A problem whose last error under random sampling is \
                  above half the variance of its test labels (median over seeds) is left out of rankings as a whole."
            .into(),
        columns: strings(&[
            "problem",
            "entry 0",
            "entries 0 to 2",
            "could be changed",
            "random sampling's last error / variance",
            "in rankings",
        ]),
        n_labels: 1,
        rows: part.problems.iter().map(row).collect(),
    }
}
