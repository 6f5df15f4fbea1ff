//! The catalogue of metrics: ids, formulas, units, directions. Feeds the command line, the report and the
//! documentation.

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
        id: "nauc-mse-from-1",
        title: "nAUC_MSE without the initial model",
        formula: "trapezoid area under test MSE over entries 1..T, divided by Random's of the same seed; geometric mean over seeds",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "(1, 0.5, 0.25) against Random's (1, 0.75, 0.5): 0.375 / 0.625 = 0.6",
    },
    MetricCard {
        id: "nauc-mse-from-3",
        title: "nAUC_MSE from the third step",
        formula: "trapezoid area under test MSE over entries 3..T, divided by Random's of the same seed; geometric mean over seeds",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "entries 3 and 4 (0.2, 0.1) against Random's (0.3, 0.2): 0.15 / 0.25 = 0.6",
    },
    MetricCard {
        id: "mean-ratio",
        title: "Mean ratio over the steps",
        formula: "exp of the mean over steps 1..T of ln(MSE / Random's MSE of the same seed); geometric mean over seeds",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "steps (0.5, 0.25) against Random's (1, 1): √0.125 = 0.354",
    },
    MetricCard {
        id: "final-ratio",
        title: "Mean ratio of the last five entries",
        formula: "geometric mean over the last five entries of MSE / Random's MSE of the same seed; geometric mean over seeds",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "ratios (1, 1, 1, 1, 0.5): 0.5^(1/5) = 0.871",
    },
    MetricCard {
        id: "labels-needed",
        title: "Labels needed",
        formula: "mean of the first five label counts with MSE at most 1.0001 times the target, the largest over all runs of the problem of a run's fifth-smallest MSE; divided by Random's of the same seed; geometric mean over seeds",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "method (120, 160, 240, 280, 320), Random (200, 240, 280, 320, 360): 224 / 280 = 0.8",
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
        id: "nll",
        title: "Negative log likelihood of the ensemble's normal",
        formula: "mean over test points and outputs of ½ ln(2π σ²) + (y − μ)² / 2σ², μ and σ² mean and variance over members, outputs divided by their standard deviation over the test labels; none where members agree exactly",
        unit: "nat",
        direction: Direction::LowerIsBetter,
        example: "μ = 0, σ = 1, y = 0: ½ ln 2π = 0.919",
    },
    MetricCard {
        id: "crps",
        title: "CRPS of the ensemble's normal",
        formula: "mean over test points and outputs of σ (z (2Φ(z) − 1) + 2φ(z) − 1/√π), z = (y − μ) / σ; |y − μ| where σ = 0",
        unit: "standard deviation of the output",
        direction: Direction::LowerIsBetter,
        example: "μ = 0, σ = 1, y = 0: 0.798 − 0.564 = 0.234",
    },
    MetricCard {
        id: "coverage-90",
        title: "Coverage of the 90 % interval",
        formula: "share of test points and outputs with |y − μ| ≤ 1.645 σ; 0.9 is calibrated",
        unit: "none",
        direction: Direction::Descriptive,
        example: "|z| of (0.2, 1, 1.6, 3): 3/4",
    },
    MetricCard {
        id: "r2",
        title: "R²",
        formula: "1 − MSE / variance of the test labels, per output",
        unit: "none",
        direction: Direction::HigherIsBetter,
        example: "labels (1, 3), predictions (1, 2): 1 − 0.5 / 1 = 0.5",
    },
    MetricCard {
        id: "pooled-mse",
        title: "Pooled relative MSE",
        formula: "mean over outputs of MSE / variance of the test labels; outputs that are constant there left out",
        unit: "none",
        direction: Direction::LowerIsBetter,
        example: "two outputs explained to 90 and 70 %: (0.1 + 0.3) / 2 = 0.2",
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
/// assert!(dal_eval::metric("accuracy").is_none());
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
