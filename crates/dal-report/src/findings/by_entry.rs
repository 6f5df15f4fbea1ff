//! What is measured at every entry beside the error: what uncertainty was worth, and a strategy's own network.

use super::learning::middle;
use crate::data::{Entry, RunSummary};

/// A measure that every entry has, where it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryMeasure {
    /// Share of the test labels inside the ensemble's 90 % interval.
    Coverage90,
    /// Continuous ranked probability score, in standard deviations of the outputs.
    Crps,
    /// Negative log likelihood, nats.
    NegativeLogLikelihood,
    /// Rank correlation of disagreement with error.
    RankCorrelation,
    /// Test error of the network trained for the strategy alone over the variance of the test labels.
    AuxiliaryError,
    /// Rank correlation of the strategy's score with the true error.
    ScoreCorrelation,
}

impl EntryMeasure {
    /// All of them, in the page's order.
    pub const ALL: [Self; 6] = [
        Self::Coverage90,
        Self::Crps,
        Self::NegativeLogLikelihood,
        Self::RankCorrelation,
        Self::AuxiliaryError,
        Self::ScoreCorrelation,
    ];

    /// Names its figures and files; that of [`dal_eval::METRICS`] where it has a card there.
    pub fn id(self) -> &'static str {
        match self {
            Self::Coverage90 => "coverage-90",
            Self::Crps => "crps",
            Self::NegativeLogLikelihood => "nll",
            Self::RankCorrelation => "rank-correlation",
            Self::AuxiliaryError => "auxiliary-error",
            Self::ScoreCorrelation => "score-correlation",
        }
    }

    /// Its name on an axis.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coverage90 => "coverage of the 90 % interval",
            Self::Crps => "CRPS",
            Self::NegativeLogLikelihood => "negative log likelihood",
            Self::RankCorrelation => "rank correlation of disagreement and error",
            Self::AuxiliaryError => "own network's test error / variance",
            Self::ScoreCorrelation => "rank correlation of score and error",
        }
    }

    /// Whether its axis is logarithmic.
    pub(crate) fn is_logarithmic(self) -> bool {
        matches!(self, Self::Crps | Self::AuxiliaryError)
    }

    /// Where there is one, the value that others are held against: the level of the interval, no correlation at all.
    pub(crate) fn line(self) -> Option<f64> {
        match self {
            Self::Coverage90 => Some(0.9),
            Self::RankCorrelation | Self::ScoreCorrelation => Some(0.0),
            Self::Crps | Self::NegativeLogLikelihood | Self::AuxiliaryError => None,
        }
    }

    /// Of an entry; `variance` is that of the test labels.
    fn of(self, entry: &Entry, variance: Option<f64>) -> Option<f64> {
        let uncertainty = entry.uncertainty.as_ref();
        match self {
            Self::Coverage90 => Some(uncertainty?.coverage_90),
            Self::Crps => Some(uncertainty?.crps),
            Self::NegativeLogLikelihood => uncertainty?.nll,
            Self::RankCorrelation => uncertainty?.rank_correlation,
            Self::AuxiliaryError => auxiliary_over_variance(entry, variance),
            Self::ScoreCorrelation => entry.correlation,
        }
    }
}

/// The test error of the network trained for the strategy alone over the variance of the test labels, as recorded or by
/// that variance.
pub(super) fn auxiliary_over_variance(entry: &Entry, variance: Option<f64>) -> Option<f64> {
    let own = entry.auxiliary_mse?;
    let recorded = entry.auxiliary.as_ref().and_then(|a| a.over_variance);
    recorded.or_else(|| Some(own / variance.filter(|v| *v > 0.0)?))
}

/// Medians over the runs that have an entry, entry by entry; measures that no entry has are left out.
pub(super) fn by_entry(runs: &[&RunSummary], variance: Option<f64>) -> Vec<(EntryMeasure, Vec<Option<f64>>)> {
    let n_entries = runs.iter().map(|run| run.entries.len()).max().unwrap_or(0);
    let of = |measure: EntryMeasure| {
        let at = |t: usize| runs.iter().filter_map(move |run| measure.of(run.entries.get(t)?, variance));
        (measure, (0..n_entries).map(|t| middle(at(t))).collect::<Vec<_>>())
    };
    EntryMeasure::ALL.map(of).into_iter().filter(|(_, values)| values.iter().any(Option::is_some)).collect()
}
