//! From trainings to a choice: scores, the rule of one standard error, and what the test set says afterwards.

use serde::Serialize;

/// How a candidate did in one rung, over all the trainings it had there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Mean of ln(validation MSE) over numbers of labels, folds and seeds.
    pub log_mse: f64,
    /// Standard error of that mean over folds and seeds; 0 where there is only one.
    pub standard_error: f64,
    /// Folds times seeds.
    pub n: usize,
}

impl Score {
    /// From one mean of ln(MSE) per fold and seed.
    pub(crate) fn of(replicates: &[f64]) -> Self {
        let (log_mse, standard_error) = mean_and_error(replicates);
        Self { log_mse, standard_error, n: replicates.len() }
    }

    /// The geometric mean of the MSE.
    pub fn mse(&self) -> f64 {
        self.log_mse.exp()
    }
}

/// Mean and its standard error, s / √n with s² = Σ (v − mean)² / (n − 1); the error of a single value is given as 0.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// A finalist as the rule sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Finalist<'a> {
    pub(crate) candidate: usize,
    pub(crate) parameters: usize,
    pub(crate) score: &'a Score,
}

/// What the rule of one standard error chose.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    /// The finalist with the lowest score.
    pub(crate) best: usize,
    /// Finalists within one standard error of the best, itself included.
    pub(crate) within: Vec<usize>,
    /// The smallest network of those; of equal ones the one with the lowest score.
    pub(crate) chosen: usize,
}

/// Applies the rule: among the finalists whose score is at most the best one's plus the best one's standard error, the
/// one with the fewest parameters. `None` without finalists. Indices are candidates'.
pub(crate) fn choose(finalists: &[Finalist<'_>]) -> Option<Choice> {
    let lowest = |a: &&Finalist<'_>, b: &&Finalist<'_>| {
        a.score.log_mse.total_cmp(&b.score.log_mse).then(a.candidate.cmp(&b.candidate))
    };
    let best = finalists.iter().min_by(lowest)?;
    let limit = best.score.log_mse + best.score.standard_error;
    let within: Vec<&Finalist<'_>> = finalists.iter().filter(|f| f.score.log_mse <= limit).collect();
    let chosen = within.iter().min_by(|a, b| a.parameters.cmp(&b.parameters).then_with(|| lowest(a, b)))?;
    Some(Choice {
        best: best.candidate,
        within: within.iter().map(|f| f.candidate).collect(),
        chosen: chosen.candidate,
    })
}

/// Test errors of one network at one number of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestError {
    /// Test MSE per seed; `None` where the training failed.
    pub per_seed: Vec<Option<f64>>,
    /// Geometric mean over the seeds; `None` if one failed.
    pub mse: Option<f64>,
}

impl TestError {
    pub(crate) fn of(per_seed: Vec<Option<f64>>) -> Self {
        let logs: Option<Vec<f64>> = per_seed.iter().map(|v| v.map(floored_ln)).collect();
        let mse = logs.filter(|logs| !logs.is_empty()).map(|logs| mean_and_error(&logs).0.exp());
        Self { per_seed, mse }
    }

    /// The smallest and the largest error over the seeds that went through.
    pub fn range(&self) -> Option<(f64, f64)> {
        let values = self.per_seed.iter().flatten().copied();
        values.fold(None, |range, v| match range {
            None => Some((v, v)),
            Some((low, high)) => Some((v.min(low), v.max(high))),
        })
    }
}

/// ln of an error, which an exact answer would make −∞.
pub(crate) fn floored_ln(mse: f64) -> f64 {
    mse.max(1e-300).ln()
}

/// How the chosen network stands beside the default one at one number of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Its error is lower by more than one standard error of the paired difference of logarithms.
    Lower,
    /// Neither.
    Equal,
    /// Its error is higher by more than that.
    Higher,
}

/// The chosen network and the reference network at one number of labels, on the labels that they are judged on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProofRow {
    /// Labels trained on.
    pub labels: usize,
    /// The reference network.
    pub published: TestError,
    /// The chosen one.
    pub tuned: TestError,
    /// Geometric mean of the ratio tuned / published over the seeds; `None` if a training failed.
    pub ratio: Option<f64>,
    /// Standard error of the mean ln(tuned / published).
    pub log_error: Option<f64>,
    /// What that amounts to; a tuned network that fails is higher, one that learns where the other fails lower.
    pub standing: Standing,
}

impl ProofRow {
    pub(crate) fn of(labels: usize, published: Vec<Option<f64>>, tuned: Vec<Option<f64>>) -> Self {
        let pairs = published.iter().zip(&tuned);
        let logs: Option<Vec<f64>> = pairs.map(|(p, t)| Some(floored_ln((*t)?) - floored_ln((*p)?))).collect();
        let difference = logs.filter(|logs| !logs.is_empty()).map(|logs| mean_and_error(&logs));
        let (published, tuned) = (TestError::of(published), TestError::of(tuned));
        let standing = match (difference, published.mse, tuned.mse) {
            (Some((mean, error)), ..) if mean < -error => Standing::Lower,
            (Some((mean, error)), ..) if mean > error => Standing::Higher,
            (Some(_), ..) => Standing::Equal,
            (None, _, None) => Standing::Higher,
            (None, _, Some(_)) => Standing::Lower,
        };
        let (ratio, log_error) = difference.map(|(mean, error)| (mean.exp(), error)).unzip();
        Self { labels, published, tuned, ratio, log_error, standing }
    }
}

/// What all numbers of labels say about the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The chosen network is the default one.
    Unchanged,
    /// Lower somewhere and higher nowhere.
    Better,
    /// Lower at some numbers of labels, higher at others.
    Mixed,
    /// Lower nowhere.
    NotBetter,
}

impl Verdict {
    pub(crate) fn of(rows: &[ProofRow], unchanged: bool) -> Self {
        let any = |standing| rows.iter().any(|row| row.standing == standing);
        match (unchanged, any(Standing::Lower), any(Standing::Higher)) {
            (true, ..) => Self::Unchanged,
            (false, true, false) => Self::Better,
            (false, true, true) => Self::Mixed,
            (false, false, _) => Self::NotBetter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_one_standard_error_the_smallest_wins() {
        let scores = [(0.0, 0.1), (0.05, 0.5), (0.1, 0.0), (0.11, 9.0)].map(|(log_mse, standard_error)| Score {
            log_mse,
            standard_error,
            n: 3,
        });
        let sizes = [400, 300, 200, 100];
        let finalists: Vec<Finalist<'_>> =
            (0..4).map(|i| Finalist { candidate: i + 10, parameters: sizes[i], score: &scores[i] }).collect();
        let choice = choose(&finalists).unwrap();
        assert_eq!((choice.best, choice.chosen), (10, 12));
        assert_eq!(choice.within, [10, 11, 12]);
        // Of equally large ones the lowest score.
        let equal: Vec<Finalist<'_>> = finalists.iter().map(|f| Finalist { parameters: 5, ..*f }).collect();
        assert_eq!(choose(&equal).unwrap().chosen, 10);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn scores_are_means_with_their_standard_errors() {
        let score = Score::of(&[1.0, 2.0, 3.0]);
        assert!((score.log_mse - 2.0).abs() < 1e-15 && (score.standard_error - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(Score::of(&[4.0]), Score { log_mse: 4.0, standard_error: 0.0, n: 1 });
    }

    #[test]
    fn the_test_set_tells_better_from_mixed() {
        let row = |labels, published: f64, tuned: f64| {
            ProofRow::of(labels, vec![Some(published), Some(published * 1.1)], vec![Some(tuned), Some(tuned * 1.2)])
        };
        let (lower, higher) = (row(80, 1.0, 0.5), row(480, 1.0, 2.0));
        assert_eq!((lower.standing, higher.standing), (Standing::Lower, Standing::Higher));
        assert!((lower.ratio.unwrap() - 0.5 * (1.2_f64 / 1.1).sqrt()).abs() < 1e-12);
        assert_eq!(lower.tuned.range(), Some((0.5, 0.6)));
        assert_eq!(Verdict::of(&[lower.clone(), higher.clone()], false), Verdict::Mixed);
        assert_eq!(Verdict::of(std::slice::from_ref(&lower), false), Verdict::Better);
        assert_eq!(Verdict::of(&[higher], false), Verdict::NotBetter);
        assert_eq!(Verdict::of(&[lower], true), Verdict::Unchanged);
        let failed = ProofRow::of(80, vec![Some(1.0)], vec![None]);
        assert_eq!((failed.standing, failed.ratio), (Standing::Higher, None));
    }
}
