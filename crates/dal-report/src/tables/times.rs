//! How long choosing and training took.

use super::strings;
use crate::findings::{Part, Time};
use crate::table::{Entry, Row, Table};
use crate::text::{ratio_name, seconds};

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
                dal_eval::median(&values).ok()
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
