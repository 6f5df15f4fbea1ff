//! Methods against each other: mean ranks, wins and losses, transfer of γ.

use super::strings;
use crate::findings::Part;
use crate::table::{Entry, Row, Table};
use crate::text::{count, ratio, ratio_name};

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
            "Mean ranks: by area under the error curve over (problem, seed) blocks, of a planned look those of its seeds; 1 is best. {}.",
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
