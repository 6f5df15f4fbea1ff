//! Whether two stores put the methods of a problem in the same order.

use std::collections::BTreeMap;

use dal_eval::{CurveSpan, EvalError, OrderAgreement, order_agreement};

use super::{Comparison, Side, Sides, area};
use crate::data::BASELINE;
use crate::findings::{Findings, Part};
use crate::table::{Entry, Row, Table};
use crate::text::{count, list};

/// Methods below which their order is not compared.
pub const FEWEST_METHODS: usize = 3;

/// Whether two stores put the methods of a problem in the same order.
#[derive(Debug, Clone)]
pub struct ComparedOrder {
    /// The problem.
    pub problem: String,
    /// Methods that both have whole in all pool ratios they share.
    pub n_methods: usize,
    /// Seeds with which Random is finished in both; all of these methods are, too.
    pub n_seeds: usize,
    /// Of the methods' mean ln nAUC over these seeds and pool ratios.
    pub agreement: OrderAgreement,
}

/// Areas under a cell's curves by seed, of finished runs.
fn areas(side: &Side<'_>, span: CurveSpan) -> BTreeMap<u64, f64> {
    let is_whole = |seed: u64| side.curves.missing.iter().all(|(missing, _)| *missing != seed);
    let whole = side.curves.per_seed.iter().filter(|(seed, _)| is_whole(*seed));
    whole.filter_map(|(seed, curve)| Some((*seed, area(curve, side.steps, span)?))).collect()
}

/// The orders of methods by problem, on the seeds with which Random is finished in both.
pub(super) fn compare_orders(
    part: &Part,
    ours: &Sides<'_>,
    theirs: &Sides<'_>,
    base: &Findings,
) -> Result<Vec<ComparedOrder>, EvalError> {
    let mut orders = Vec::new();
    for problem in &part.problems {
        let random = (problem.id.clone(), 0, BASELINE.to_owned());
        let (Some((_, own)), Some((_, other))) = (ours.get(&random), theirs.get(&random)) else { continue };
        let baselines = [areas(own, base.span), areas(other, base.span)];
        // By method: the areas of its cells here and there.
        let mut methods: BTreeMap<&str, Vec<[BTreeMap<u64, f64>; 2]>> = BTreeMap::new();
        for (key, (_, own)) in ours.iter().filter(|(key, _)| key.0 == problem.id && key.2 != BASELINE) {
            if let Some((_, other)) = theirs.get(key) {
                methods.entry(&key.2).or_default().push([areas(own, base.span), areas(other, base.span)]);
            }
        }
        let seeds: Vec<u64> = baselines[0].keys().filter(|seed| baselines[1].contains_key(seed)).copied().collect();
        // A method with a gap, or without a pool ratio of the others, would be judged by other runs than these.
        let n_ratios = methods.values().map(Vec::len).max().unwrap_or(0);
        let is_whole = |cell: &BTreeMap<u64, f64>| seeds.iter().all(|seed| cell.contains_key(seed));
        methods.retain(|_, cells| cells.len() == n_ratios && cells.iter().flatten().all(is_whole));
        if methods.len() < FEWEST_METHODS || seeds.is_empty() {
            continue;
        }
        let values = |side: usize| -> Vec<Vec<f64>> {
            let of_seed = |cells: &[[BTreeMap<u64, f64>; 2]], seed: &u64| {
                let logs = cells.iter().map(|cell| (cell[side][seed] / baselines[side][seed]).ln());
                logs.sum::<f64>() / cells.len() as f64
            };
            methods.values().map(|cells| seeds.iter().map(|seed| of_seed(cells, seed)).collect()).collect()
        };
        match order_agreement(&values(0), &values(1), 1.0 - base.rules.level, base.rules.flip_seed) {
            Ok(agreement) => orders.push(ComparedOrder {
                problem: problem.id.clone(),
                n_methods: methods.len(),
                n_seeds: seeds.len(),
                agreement,
            }),
            // Methods without any difference have no order.
            Err(EvalError::Undefined { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(orders)
}

impl Comparison {
    pub(super) fn orders_sentence(&self) -> String {
        let of = |order: &ComparedOrder| {
            let OrderAgreement { tau, halves, .. } = order.agreement;
            let beside = halves.map(|h| {
                let within = 0.5 * (h.within_first + h.within_second);
                format!("; of halves of the seeds {:.2} across and {within:.2} within", h.between)
            });
            let methods = count(order.n_methods, "method");
            format!("{tau:.2} on {} ({methods}{})", order.problem, beside.unwrap_or_default())
        };
        let all: Vec<String> = self.orders.iter().map(of).collect();
        if all.is_empty() { String::new() } else { format!(" Kendall's τ of the methods' order: {}.", list(&all)) }
    }

    /// Whether both put the methods in the same order, by problem; `None` where none has methods enough.
    pub(crate) fn orders_table(&self, id: String) -> Option<Table> {
        if self.orders.is_empty() {
            return None;
        }
        let number = |v: f64| Entry::number(v, format!("{v:.2}"));
        let optional = |v: Option<f64>| Entry::optional(v, |v| format!("{v:.2}"));
        let rows = self.orders.iter().map(|order| {
            let OrderAgreement { tau, interval, halves } = order.agreement;
            Row {
                cells: vec![
                    Entry::text(&order.problem),
                    Entry::number(order.n_methods as f64, order.n_methods.to_string()),
                    Entry::number(order.n_seeds as f64, order.n_seeds.to_string()),
                    number(tau),
                    optional(interval.map(|[lower, _]| lower)),
                    optional(interval.map(|[_, upper]| upper)),
                    optional(halves.map(|h| h.between)),
                    optional(halves.map(|h| h.within_first)),
                    optional(halves.map(|h| h.within_second)),
                ],
                problem: Some(order.problem.clone()),
                ..Row::default()
            }
        });
        let columns = [
            "problem",
            "methods",
            "common seeds",
            "Kendall's τ",
            "bootstrap from",
            "to",
            "τ of halves, here and there",
            "both here",
            "both there",
        ];
        Some(Table {
            id,
            caption: format!(
                "Whether the order of methods is the same beside {}: Kendall's τ of their mean ln nAUC over the pool \
                 ratios, with a bootstrap interval over the seeds, which lies too low. Beside it the mean τ between random halves of the \
                 seeds, one half from each store and both from one: where these are alike, no change of order is \
                 seen beyond the noise of the seeds.",
                self.other
            ),
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            n_labels: 1,
            rows: rows.collect(),
        })
    }
}
