//! What is measured beside nAUC: diversity, labels to match random sampling, errors at the end.

use dal_eval::{MedianLabels, median_labels};

use super::{by_ratio, gap, strings};
use crate::findings::{FinalErrors, Part};
use crate::table::{Entry, Row, Table};
use crate::text::{number, ratio};

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

/// Labels needed to reach Random's final error: the median over seeds, a lower bound where the middle was not reached.
pub(crate) fn labels(part: &Part, prefix: &str) -> Table {
    by_ratio(
        part,
        format!("{prefix}labels"),
        "Labels to match random sampling: labels needed to reach the error that random sampling ends with, by means of five \
         entries, median over seeds; a number after > is a lower bound, since the middle seed, or one of the two, did not reach \
         it within the budget; undefined below five entries."
            .into(),
        |cell| {
            let Some(labels) = cell.labels.as_ref().filter(|l| !l.is_empty()) else { return gap(cell) };
            match median_labels(labels) {
                Ok(MedianLabels::Known(n)) => Entry::number(n, number_of_labels(n)),
                // Just above the number, for sorting.
                Ok(MedianLabels::Above(n)) => Entry::number(n + 0.25, format!("> {}", number_of_labels(n))),
                Err(_) => gap(cell),
            }
        },
    )
}

/// A count, or the middle between two.
fn number_of_labels(n: f64) -> String {
    if n.fract() == 0.0 { format!("{n}") } else { format!("{n:.1}") }
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
        caption: "Errors at the end of the budget: geometric means over seeds, in units of the output (MSE: squared; of a user's \
                  problem in standard deviations of the test labels); no value where a seed is missing."
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
