//! What was run: problems and protocols, runs without a result, machines.

use super::strings;
use crate::data::{ReportData, RunStatus};
use crate::findings::Part;
use crate::table::{Entry, Row, SAID, Table};
use crate::text::{number, ratio, ratio_name};

/// Which problems, networks and protocols there were, and in what they are unlike the published ones.
pub(crate) fn problems(part: &Part, prefix: &str) -> Table {
    let any_built_in = part.problems.iter().any(|problem| problem.own.is_none());
    let row = |problem: &crate::findings::Problem| {
        let p = &problem.protocol;
        let mut cells = vec![
            Entry::text(&problem.id),
            Entry::text(&problem.model.network),
            Entry::text(&problem.model.training),
            Entry::text(problem.preset()),
            Entry::text(format!("{} + {} × {}", p.initial, p.steps, p.queries)),
            match problem.unlabelled_tests() {
                0 => Entry::number(p.test_points as f64, p.test_points.to_string()),
                left_out => {
                    let n = p.test_points - left_out;
                    Entry::number(n as f64, format!("{n} of {}", p.test_points))
                }
            },
            Entry::number(problem.seeds.len() as f64, problem.seeds.len().to_string()),
        ];
        if any_built_in {
            cells.push(if problem.own.is_some() {
                Entry::text("a problem of your own").with_class("none")
            } else if problem.departures.is_empty() {
                Entry::optional(None, ratio)
            } else {
                Entry::text(problem.departures.join("; "))
            });
        }
        Row { cells, problem: Some(problem.id.clone()), ..Row::default() }
    };
    let (caption, last) = if any_built_in {
        let caption =
            "Problems: what was learned, with which network, and in what that is unlike the published benchmark.";
        (caption, Some("not as published"))
    } else {
        ("Problems: what was learned, and with which network.", None)
    };
    let mut columns =
        vec!["problem", "hidden layers", "training", "preset", "labels asked for", "test points", "seeds"];
    columns.extend(last);
    Table {
        id: format!("{prefix}problems"),
        caption: caption.into(),
        columns: strings(&columns),
        n_labels: 1,
        rows: part.problems.iter().map(row).collect(),
    }
}

/// Inputs and outputs of users' problems, and how models see them; `None` where every problem is a built-in one.
pub(crate) fn columns(part: &Part, prefix: &str) -> Option<Table> {
    let mut rows = Vec::new();
    for problem in &part.problems {
        let Some(own) = &problem.own else { continue };
        let inputs = own.inputs.iter().map(|column| ("input", column));
        for (kind, column) in inputs.chain(own.outputs.iter().map(|column| ("output", column))) {
            let unit = if column.unit == "1" { "" } else { column.unit.as_str() };
            let seen = match (kind, column.transform.as_str()) {
                ("output", "") => "as it is",
                (_, transform) => transform,
            };
            let cells = [problem.id.as_str(), kind, &column.name, unit, seen].map(Entry::text).to_vec();
            rows.push(Row { cells, problem: Some(problem.id.clone()), ..Row::default() });
        }
    }
    (!rows.is_empty()).then(|| Table {
        id: format!("{prefix}columns"),
        caption: "Inputs and outputs of your problems. How an output is learned: transformed and standardised as said, the latter over the \
                  labels that a model is trained on. A prediction is the inverse of the members' mean, which under a logarithm estimates the \
                  median. Pooled errors hold each transformed output against its standard deviation over the test labels."
            .into(),
        columns: strings(&["problem", "", "name", "unit", "learned"]),
        n_labels: 3,
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
                RunStatus::Damaged { reason } => ("damaged", reason.clone(), "worse"),
                RunStatus::Partial if run.waiting.is_some() => {
                    ("waiting", run.waiting.clone().unwrap_or_default(), "worse")
                }
                RunStatus::Partial => ("unfinished", String::new(), "open"),
                RunStatus::Absent => ("not started", String::new(), SAID),
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
        caption: "Runs that failed, are damaged, wait for their program, are unfinished or never started".into(),
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
