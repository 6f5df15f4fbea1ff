//! What was learned: runs and members that did not, networks of strategies, uncertainty, errors by output, failed
//! labels.

use dal_store::OutputErrorRecord;

use super::{by_cell, strings};
use crate::findings::{Learning, Part};
use crate::table::{Entry, Row, Table};
use crate::text::number;

/// Two decimals, as correlations and shares are read.
fn two(v: f64) -> String {
    format!("{v:.2}")
}

fn whole(n: usize) -> Entry {
    Entry::number(n as f64, n.to_string())
}

/// The tables of what was learned that have something to say, in the page's order.
pub(crate) fn learned(part: &Part, prefix: &str) -> Vec<Table> {
    [members(part, prefix), auxiliary(part, prefix), uncertainty(part, prefix), outputs(part, prefix)]
        .into_iter()
        .flatten()
        .collect()
}

/// `seed 3 entries 4, 5; seed 7 entry 2`, shortened.
fn places(learning: &Learning) -> String {
    const MOST: usize = 4;
    let mut by_seed: Vec<(u64, Vec<String>)> = Vec::new();
    for place in &learning.places {
        match by_seed.last_mut().filter(|(seed, _)| *seed == place.seed) {
            Some((_, entries)) => entries.push(place.entry.to_string()),
            None => by_seed.push((place.seed, vec![place.entry.to_string()])),
        }
    }
    let shown = by_seed.iter().take(MOST).map(|(seed, entries)| {
        let more = entries.len().saturating_sub(2 * MOST);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let word = if entries.len() == 1 { "entry" } else { "entries" };
        format!("seed {seed}, {word} {}{rest}", entries[..entries.len().min(2 * MOST)].join(", "))
    });
    let mut shown: Vec<String> = shown.collect();
    if by_seed.len() > MOST {
        shown.push(format!("{} more seeds", by_seed.len() - MOST));
    }
    shown.join("; ")
}

fn members(part: &Part, prefix: &str) -> Option<Table> {
    let rows = by_cell(part, |_, l, _| {
        if l.known == 0 && l.members.trained == 0 {
            return Vec::new();
        }
        let warned = |entry: Entry, n: usize| if n > 0 { entry.with_class("worse") } else { entry };
        let not_learned = if l.known == 0 { Entry::optional(None, number) } else { whole(l.not_learned.len()) };
        let of_members = |n: usize| if l.members.trained == 0 { Entry::optional(None, number) } else { whole(n) };
        vec![vec![
            whole(l.runs),
            warned(not_learned, l.not_learned.len()),
            of_members(l.members.trained),
            warned(of_members(l.members.collapsed), l.members.collapsed),
            warned(of_members(l.members.unsettled), l.members.unsettled),
            of_members(l.members.restarts),
            Entry::text(places(l)),
        ]]
    });
    (!rows.is_empty()).then(|| Table {
        id: format!("{prefix}members"),
        caption: "Runs and members that did not learn: a run has not if its last test error is not below the variance of the test \
                  labels; a member has collapsed if its training loss ends above half the variance of its labels, and is unsettled if \
                  it ends above ten times its own best. Restarts: how often a collapsed member was trained anew, where the training says \
                  so; the last training counts. All of them are in every average."
            .into(),
        columns: strings(&[
            "problem",
            "γ",
            "method",
            "runs",
            "did not learn",
            "members trained",
            "collapsed",
            "unsettled",
            "restarts",
            "where",
        ]),
        n_labels: 3,
        rows,
    })
}

fn auxiliary(part: &Part, prefix: &str) -> Option<Table> {
    let rows = by_cell(part, |_, l, _| {
        let Some(found) = l.auxiliary else { return Vec::new() };
        let of_trained = |n: usize| match found.members.trained {
            0 => Entry::optional(None, number),
            trained => Entry::number(n as f64, format!("{n} of {trained}")),
        };
        vec![vec![
            Entry::optional(found.over_variance, number),
            Entry::number(found.over_model, number(found.over_model)),
            Entry::optional(found.score_correlation, two),
            of_trained(found.members.collapsed),
            of_trained(found.members.unsettled),
            match (found.is_doubtful(), found.points_backwards()) {
                (true, _) => Entry::text("does not know the problem").with_class("worse"),
                (_, true) => Entry::text("its scores point backwards").with_class("worse"),
                _ => Entry::text("within the rule"),
            },
        ]]
    });
    (!rows.is_empty()).then(|| Table {
        id: format!("{prefix}auxiliary"),
        caption: "Networks trained for a method alone: medians over seeds and entries. Choices that rest on a network whose test error \
                  is above half the variance of the test labels, or above four times that of the evaluated models, are to be read with \
                  caution, as are scores that correlate with those models' errors by less than −0.1: they are high where the errors are low."
            .into(),
        columns: strings(&[
            "problem",
            "γ",
            "method",
            "its test error / variance",
            "its test error / the models'",
            "rank correlation of score and error",
            "collapsed",
            "unsettled",
            "verdict",
        ]),
        n_labels: 3,
        rows,
    })
}

fn uncertainty(part: &Part, prefix: &str) -> Option<Table> {
    let rows = by_cell(part, |_, l, _| {
        let Some(u) = l.uncertainty else { return Vec::new() };
        let pair = |(all, last): (Option<f64>, Option<f64>), show: fn(f64) -> String| {
            [Entry::optional(all, show), Entry::optional(last, show)]
        };
        let measures =
            [pair(u.nll, two), pair(u.crps, number), pair(u.coverage_90, two), pair(u.rank_correlation, two)];
        let without = match u.without_likelihood {
            0 => whole(0),
            n => whole(n).with_class("worse"),
        };
        vec![measures.into_iter().flatten().chain([without]).collect()]
    });
    (!rows.is_empty()).then(|| Table {
        id: format!("{prefix}uncertainty"),
        caption: "What the uncertainty is worth: the normal distribution with the ensemble's mean and variance against the test labels, \
                  medians over runs and entries and, at the end, over runs. Coverage is of the 90 % interval: below 0.9 is \
                  overconfident. Where all members agree exactly there is no likelihood: such entries are counted, and are in no median \
                  of it."
            .into(),
        columns: strings(&[
            "problem",
            "γ",
            "method",
            "negative log likelihood",
            "negative log likelihood at the end",
            "CRPS",
            "CRPS at the end",
            "coverage",
            "coverage at the end",
            "rank correlation of disagreement and error",
            "rank correlation of disagreement and error at the end",
            "entries without a likelihood",
        ]),
        n_labels: 3,
        rows,
    })
}

fn outputs(part: &Part, prefix: &str) -> Option<Table> {
    let errors = |e: &OutputErrorRecord| {
        vec![
            Entry::number(e.rmse, number(e.rmse)),
            Entry::optional(e.r2, |v| format!("{v:.3}")),
            Entry::number(e.mae, number(e.mae)),
            Entry::number(e.p95_abs, number(e.p95_abs)),
            Entry::number(e.max_abs, number(e.max_abs)),
        ]
    };
    let rows = by_cell(part, |p, l, _| {
        let problem = &part.problems[p];
        let own = l.outputs.iter().enumerate().map(|(j, e)| {
            let (name, unit) = problem.output_name(j);
            let mut row = vec![Entry::text(name), Entry::text(unit)];
            row.extend(errors(e));
            row
        });
        let names = ["smallest", "lower quartile", "median", "upper quartile", "largest"];
        let quantiles = l.output_quantiles.iter().zip(names).map(|(e, name)| {
            let mut row = vec![Entry::text(format!("{name} over outputs")), Entry::text("")];
            row.extend(errors(e));
            row
        });
        own.chain(quantiles).collect()
    });
    (!rows.is_empty()).then(|| Table {
        id: format!("{prefix}outputs"),
        caption: "Errors by output at the end: each in the unit of its output, medians over finished runs. R² is 1 for perfect \
                  predictions and 0 for the best constant. Of many outputs quantiles over outputs are shown, of each error by itself."
            .into(),
        columns: strings(&[
            "problem",
            "γ",
            "method",
            "output",
            "unit",
            "RMSE",
            "R²",
            "mean absolute error",
            "95 % absolute error",
            "largest absolute error",
        ]),
        n_labels: 4,
        rows,
    })
}

/// Labels that failed, by problem, method and kind.
pub(crate) fn failed_labels(part: &Part, prefix: &str) -> Option<Table> {
    let style = |id: &str| part.methods.iter().find(|m| m.id == id).map_or(part.random_style, |m| m.style);
    let rows: Vec<Row> = part
        .failed_labels
        .iter()
        .map(|f| Row {
            cells: vec![
                Entry::text(&f.problem),
                Entry::text(&f.method),
                Entry::text(&f.kind),
                Entry::number(f.n as f64, format!("{} of {}", f.n, f.asked)),
                whole(f.runs),
                Entry::text(f.place.join("; ")),
                Entry::text(&f.message),
            ],
            problem: Some(f.problem.clone()),
            method: Some(style(&f.method)),
            ratio: None,
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: format!("{prefix}failed-labels"),
        caption: "Failed labels: by problem, method and kind, of all that the method asked for there, with the runs that met one, where in the \
                  input space they lie and what the program said last. \
                  Models are trained on the labels that exist, and curves stand at their numbers."
            .into(),
        columns: strings(&["problem", "method", "kind", "labels", "runs", "where", "last words"]),
        n_labels: 3,
        rows,
    })
}
