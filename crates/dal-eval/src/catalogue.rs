//! The catalogue of metrics: ids, formulas, units, directions. Feeds the command line, the report and the documentation.

/// Which way a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smaller values are better.
    LowerIsBetter,
    /// Larger values are better.
    HigherIsBetter,
    /// The metric describes; neither end is better by itself.
    Descriptive,
}

/// What a metric is, in words that a reader of a report can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricCard {
    /// The stable id, used in records, files and on the command line.
    pub id: &'static str,
    /// Short name for headings.
    pub title: &'static str,
    /// The definition.
    pub formula: &'static str,
    /// The unit, or "none".
    pub unit: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// A worked example; the documentation of the function that computes it has the same.
    pub example: &'static str,
}

/// Every metric of the benchmark.
pub static METRICS: &[MetricCard] = &[
    MetricCard {
        id: "mse",
        title: "Test MSE",
        formula: "(1 / nk) Σ (f_j(x_i) − y_ij)² over n test points and k outputs, f the ensemble mean",
        unit: "output²",
        direction: Direction::LowerIsBetter,
        example: "errors (0, 0, 0, 4): 16 / 4 = 4",
    },
    MetricCard {
        id: "log-rmse",
        title: "log RMSE",
        formula: "ln √MSE",
        unit: "natural logarithm of output",
        direction: Direction::LowerIsBetter,
        example: "MSE 4: ln 2 = 0.693",
    },
    MetricCard {
        id: "mae",
        title: "Mean absolute error",
        formula: "(1 / nk) Σ |f_j(x_i) − y_ij|",
        unit: "output",
        direction: Direction::LowerIsBetter,
        example: "errors (0, 0, 0, 4): 1",
    },
    MetricCard {
        id: "p95-abs",
        title: "95 % absolute error",
        formula: "0.95 quantile of |f_j(x_i) − y_ij|, linear between order statistics",
        unit: "output",
        direction: Direction::LowerIsBetter,
        example: "errors (0, 0, 0, 4): position 2.85, so 0.85 · 4 = 3.4",
    },
    MetricCard {
        id: "max-abs",
        title: "Maximum absolute error",
        formula: "max |f_j(x_i) − y_ij|",
        unit: "output",
        direction: Direction::LowerIsBetter,
        example: "errors (0, 0, 0, 4): 4",
    },
    MetricCard {
        id: "nauc-mse",
        title: "nAUC_MSE",
        formula: "trapezoid area under test MSE over entries 0..T, divided by Random's of the same seed; geometric mean over seeds",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "(1, 0.5, 0.25) against Random's (1, 0.75, 0.5): 1.125 / 1.5 = 0.75",
    },
    MetricCard {
        id: "ndiv",
        title: "nDiv",
        formula: "mean over steps of the mean nearest-neighbour distance inside the queried batch, divided by Random's of the same seed; geometric mean over seeds",
        unit: "none",
        direction: Direction::Descriptive,
        example: "batches {0, 1, 3} and {0, 2}: (4/3 + 2) / 2 = 5/3; Random's 5/6: nDiv 2",
    },
    MetricCard {
        id: "labels-to-random",
        title: "Labels to reach Random's final error",
        formula: "labels at the first entry whose five-entry mean MSE is at most the mean of Random's last five entries; censored beyond the budget",
        unit: "labels",
        direction: Direction::LowerIsBetter,
        example: "Random (10, 9, 8, 7, 6, 5, 4), method (10, 8, 6, 4, 2, 2, 2), 80 + 40 t labels: 240",
    },
    MetricCard {
        id: "rank-correlation",
        title: "Rank correlation of score and error",
        formula: "Spearman's ρ between the acquisition score and the true absolute error on the pool points chosen from, ties sharing their mean rank",
        unit: "none",
        direction: Direction::HigherIsBetter,
        example: "(1, 2, 3, 4) against (1, 3, 2, 4): 1 − 6 · 2 / 60 = 0.8",
    },
];

/// The metric of an id.
///
/// ```
/// assert_eq!(dal_eval::metric("mse").unwrap().unit, "output²");
/// assert!(dal_eval::metric("r2").is_none());
/// ```
pub fn metric(id: &str) -> Option<&'static MetricCard> {
    METRICS.iter().find(|card| card.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_kebab_case() {
        for (i, card) in METRICS.iter().enumerate() {
            assert!(METRICS[..i].iter().all(|other| other.id != card.id), "{}", card.id);
            assert!(card.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            assert!(!card.formula.is_empty() && !card.unit.is_empty() && !card.example.is_empty());
        }
    }
}
