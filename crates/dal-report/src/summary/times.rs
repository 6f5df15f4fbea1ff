//! How long training and choosing take, in words.

use super::{Statement, gaps, labels, pool_ratios, state};
use crate::findings::{Method, Part, TrainingTime};
use crate::text::{list, ratio_name, seconds};

/// Seconds to choose a batch by method, the most over its cells, with the problem; slowest first.
fn slowest_choices(part: &Part) -> Vec<(&Method, &str, f64)> {
    let mut all: Vec<(&Method, &str, f64)> = part
        .methods
        .iter()
        .filter_map(|m| {
            let cells = m.cells.iter().enumerate().flat_map(|(p, row)| {
                let times = row.iter().flatten().filter_map(|cell| cell.time);
                times.map(move |t| (m, part.problems[p].id.as_str(), t.sampling_per_step))
            });
            cells.max_by(|a, b| a.2.total_cmp(&b.2))
        })
        .collect();
    all.sort_by(|a, b| b.2.total_cmp(&a.2));
    all
}

pub(super) fn times(part: &Part) -> Option<Statement> {
    let trained: Vec<(&str, TrainingTime)> =
        part.problems.iter().filter_map(|p| Some((p.id.as_str(), p.training?))).collect();
    let longest = trained.iter().max_by(|a, b| a.1.last.total_cmp(&b.1.last))?;
    let shortest = trained.iter().min_by(|a, b| a.1.last.total_cmp(&b.1.last))?;
    let total: f64 = trained.iter().map(|(_, t)| t.total).sum();
    let training = if trained.len() == 1 {
        format!("training the last model {}", seconds(longest.1.last))
    } else {
        format!(
            "training the last model from {} ({}) to {} ({})",
            seconds(shortest.1.last),
            shortest.0,
            seconds(longest.1.last),
            longest.0
        )
    };
    let choices = slowest_choices(part);
    let choosing = match choices.as_slice() {
        [] => String::new(),
        [(m, problem, t)] => format!(", choosing a batch at most {} ({} on {problem})", seconds(*t), m.id),
        [(m, problem, t), (next, _, u), ..] => format!(
            ", choosing a batch at most {} ({} on {problem}; at most {} with every other method, the next being {})",
            seconds(*t),
            m.id,
            seconds(*u),
            next.id
        ),
    };
    let waiting = match part.problems.iter().any(|problem| problem.own.is_some()) {
        true => ", the answers of your own programs included",
        false => " of computing",
    };
    Some(state(
        "How long it takes",
        format!(
            "All runs together took {}{waiting}; {training}{choosing}. These times were taken beside other runs; the timing \
             tier, run into the same store, takes them alone.",
            seconds(total)
        ),
    ))
}

pub(super) fn timing_statements(part: &Part) -> Vec<Statement> {
    let ids: Vec<String> = part.methods.iter().map(|m| m.id.clone()).collect();
    let problems: Vec<String> = part.problems.iter().map(|p| p.id.clone()).collect();
    let what = if ids.is_empty() { "random sampling alone".to_owned() } else { list(&ids) };
    let mut said = vec![state(
        "What was timed",
        format!(
            "{} on {}{}, one run at a time with nothing else of this program under way. {} These runs are there for their times: no \
             verdicts are drawn from them.",
            what,
            list(&problems),
            pool_ratios(part),
            labels(part)
        ),
    )];
    // The smallest pool ratio, as in the published table.
    for (p, problem) in part.problems.iter().enumerate() {
        let Some(pool_ratio) = part.pool_ratios.first() else { continue };
        let mut times: Vec<(&str, f64)> = part
            .methods
            .iter()
            .filter_map(|m| Some((m.id.as_str(), m.cells[p][0].as_ref()?.time?.sampling_per_step)))
            .collect();
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
        if times.is_empty() {
            continue;
        }
        let times: Vec<String> = times.iter().map(|(id, t)| format!("{id} {}", seconds(*t))).collect();
        said.push(state(
            "How long choosing takes",
            format!(
                "On {} at {}, per step, training not counted: {}.",
                problem.id,
                ratio_name(*pool_ratio),
                list(&times)
            ),
        ));
    }
    said.extend(gaps(part));
    said
}
