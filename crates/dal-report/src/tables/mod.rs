//! Which tables a report has, filled from the findings.

mod beside;
mod learned;
mod measures;
mod ranking;
mod runs;
mod times;
mod verdicts;

pub(crate) use self::beside::{area, beside};
pub(crate) use self::learned::{failed_labels, learned};
pub(crate) use self::measures::{final_errors, labels, n_div};
pub(crate) use self::ranking::{ranks, transfer, wins};
pub(crate) use self::runs::{columns, incomplete, problems, provenance};
pub(crate) use self::times::{times, training};
pub(crate) use self::verdicts::{cells, n_auc, overview, robustness};
use crate::findings::{CellDetail, Learning, Part};
use crate::table::{Entry, Row, Table};
use crate::text::ratio_name;

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|s| (*s).to_owned()).collect()
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

/// One row per problem and method, Random first, at each pool ratio: `problem`, `γ`, `method` and what `rest` says of
/// it, which may be several rows or none.
fn by_cell(part: &Part, rest: impl Fn(usize, &Learning, Option<&CellDetail>) -> Vec<Vec<Entry>>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (p, problem) in part.problems.iter().enumerate() {
        let mut add = |pool_ratio: Option<usize>, name: &str, style: usize, of_row: Vec<Entry>| {
            let ratio = match pool_ratio {
                Some(g) => Entry::number(g as f64, g.to_string()),
                None => Entry::text("any"),
            };
            let mut cells = vec![Entry::text(&problem.id), ratio, Entry::text(name)];
            cells.extend(of_row);
            rows.push(Row { cells, problem: Some(problem.id.clone()), method: Some(style), ratio: pool_ratio });
        };
        for of_row in rest(p, &problem.random_learning, None) {
            add(None, "random", part.random_style, of_row);
        }
        for (g, pool_ratio) in part.pool_ratios.iter().enumerate() {
            for m in &part.methods {
                let Some(cell) = &m.cells[p][g] else { continue };
                for of_row in rest(p, &cell.learning, Some(cell)) {
                    add(Some(*pool_ratio), &m.id, m.style, of_row);
                }
            }
        }
    }
    rows
}
