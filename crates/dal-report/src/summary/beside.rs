//! Where other readings of the curves say the opposite of nAUC, and how much a method could change.

use super::{Statement, state};
use crate::findings::Part;
use crate::text::{count, list, metric_name, number, ratio_name};

/// Cells whose readings lie on both sides of Random.
pub(super) fn disagreements(part: &Part) -> Option<Statement> {
    const SHOWN: usize = 6;
    let cells = || {
        part.methods.iter().flat_map(move |m| {
            m.cells.iter().enumerate().flat_map(move |(p, row)| {
                let there = row.iter().enumerate().filter_map(|(g, cell)| Some((g, cell.as_ref()?)));
                there.map(move |(g, cell)| (m, p, g, cell))
            })
        })
    };
    let n_read = cells().filter(|(.., cell)| !cell.beside.is_empty()).count();
    if n_read == 0 {
        return None;
    }
    let names = |of: &[dal_eval::CurveMetric]| list(&of.iter().map(|m| metric_name(*m).to_owned()).collect::<Vec<_>>());
    let mut clear = Vec::new();
    let mut noisy = 0;
    for (m, p, g, cell) in cells() {
        let Some(split) = &cell.split else { continue };
        if !split.clear {
            noisy += 1;
            continue;
        }
        clear.push(format!(
            "{} on {} at {}: better by {}, worse by {}",
            m.id,
            part.problems[p].id,
            ratio_name(part.pool_ratios[g]),
            names(&split.better),
            names(&split.worse)
        ));
    }
    let n_clear = clear.len();
    if n_clear > SHOWN {
        clear.truncate(SHOWN - 1);
        clear.push(format!("{} more cells", n_clear - clear.len()));
    }
    let noise = if noisy > 0 {
        format!(" In {} they differ in sign within noise.", count(noisy, "cell"))
    } else {
        String::new()
    };
    let text = if n_clear == 0 {
        format!(
            "Read in other ways, the curves of no cell clearly contradict nAUC, on which alone verdicts rest.{noise}"
        )
    } else {
        format!(
            "In {} of {} the same curves are clearly better than random sampling by one reading and worse by another; verdicts \
             rest on nAUC alone.{noise} They are:",
            n_clear,
            count(n_read, "cell")
        )
    };
    Some(Statement { items: clear, ..state("Other readings", text) })
}

/// How much of the area a method could change at all.
pub(super) fn changeable(part: &Part) -> Option<Statement> {
    let percent = |v: f64| number((100.0 * v).round());
    let shares: Vec<String> = part
        .problems
        .iter()
        .filter_map(|p| {
            let (first, three) = p.area_shares?;
            Some(format!("{} {} % ({} %)", p.id, percent(first), percent(three)))
        })
        .collect();
    (!shares.is_empty()).then(|| {
        state(
            "What a method could change",
            format!(
                "The model of the initial labels is the same for every method (but learning-loss, whose heads are trained with it). \
                 It makes this share of the area under random sampling's error curve (in brackets: with the next two entries): {}.",
                list(&shares)
            ),
        )
    })
}
