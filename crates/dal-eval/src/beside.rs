//! Metrics beside nAUC_MSE: the same pair of learning curves read in other ways, each as a ratio to Random.
//!
//! The paper's metric stays first and verdicts rest on it alone. But entry 0, equal for all methods, and the few
//! entries after it weigh most of its area, so a page that shows it alone hides where other readings of the same curves
//! say the opposite.

use crate::curve::{area_from, check_curve};
use crate::error::EvalError;
use crate::errors::quantile;
use crate::interval::{Interval, t_interval};
use crate::outcome::{geometric_mean, log_ratios};

/// A reading of two learning curves as a ratio, method over Random; below 1 the method is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CurveMetric {
    /// Area under the test MSE over entries 0..=T: nAUC_MSE.
    Area,
    /// Area over entries 1..=T, without the initial model.
    AreaFromFirst,
    /// Area over entries 3..=T.
    AreaFromThird,
    /// exp of the mean over steps t = 1..=T of ln(c_t / r_t): every step counts alike, large errors no more than small
    /// ones.
    MeanLogRatio,
    /// Geometric mean of c_t / r_t over the last five entries: where the method ends.
    Final,
    /// Labels needed as the predecessor counted them, see [`labels_needed`].
    LabelsNeeded,
}

impl CurveMetric {
    /// All of them, the paper's first.
    pub const ALL: [Self; 6] =
        [Self::Area, Self::AreaFromFirst, Self::AreaFromThird, Self::MeanLogRatio, Self::Final, Self::LabelsNeeded];

    /// Its id in [`METRICS`](crate::METRICS).
    pub fn id(self) -> &'static str {
        match self {
            Self::Area => "nauc-mse",
            Self::AreaFromFirst => "nauc-mse-from-1",
            Self::AreaFromThird => "nauc-mse-from-3",
            Self::MeanLogRatio => "mean-ratio",
            Self::Final => "final-ratio",
            Self::LabelsNeeded => "labels-needed",
        }
    }

    /// The ratio of one seed.
    ///
    /// Worked example: method (1, 0.5, 0.25), Random (1, 1, 1): mean log ratio (ln 0.5 + ln 0.25) / 2, so the ratio is
    /// √0.125.
    ///
    /// ```
    /// # use dal_eval::{CurveMetric, CurvePair};
    /// let n_labelled = [80, 120, 160];
    /// let pair = CurvePair { method: &[1.0, 0.5, 0.25], random: &[1.0; 3], n_labelled: &n_labelled, target: None };
    /// assert!((CurveMetric::MeanLogRatio.ratio(&pair)? - 0.125_f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), dal_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`] where the three lengths differ, [`EvalError::TooFew`] for fewer entries than the
    /// reading needs (five for `Final` and `LabelsNeeded`, five for `AreaFromThird`, of which entries 3 and 4 make the
    /// shortest area), [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a negative entry,
    /// [`EvalError::Undefined`] where an error or area is zero and so has no ratio, and where `LabelsNeeded` has no
    /// target.
    pub fn ratio(self, pair: &CurvePair<'_>) -> Result<f64, EvalError> {
        pair.check()?;
        let n_steps = pair.random.len() - 1;
        let area = |first: usize| -> Result<f64, EvalError> {
            let (of_method, of_random) =
                (area_from(pair.method, first, n_steps)?, area_from(pair.random, first, n_steps)?);
            positive(of_method, of_random)
        };
        match self {
            Self::Area => area(0),
            Self::AreaFromFirst => area(1),
            Self::AreaFromThird => area(3),
            Self::MeanLogRatio => pair.mean_ratio(1),
            Self::Final => {
                let first = pair.random.len().checked_sub(LAST_ENTRIES).ok_or(EvalError::TooFew {
                    what: "entries of a learning curve",
                    needed: LAST_ENTRIES,
                    got: pair.random.len(),
                })?;
                pair.mean_ratio(first)
            }
            Self::LabelsNeeded => {
                let target = pair
                    .target
                    .ok_or(EvalError::Undefined { what: "labels needed", why: "no error to reach was given" })?;
                positive(
                    labels_needed(pair.method, pair.n_labelled, target)?,
                    labels_needed(pair.random, pair.n_labelled, target)?,
                )
            }
        }
    }
}

/// How many entries "the end" of a curve has: single entries are noisy.
pub const LAST_ENTRIES: usize = 5;

fn positive(of_method: f64, of_random: f64) -> Result<f64, EvalError> {
    if of_method > 0.0 && of_random > 0.0 {
        Ok(of_method / of_random)
    } else {
        Err(EvalError::Undefined { what: "ratio to Random", why: "one of the two is zero" })
    }
}

/// The learning curves of one seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePair<'a> {
    /// Test MSE of the method at entries 0..=T.
    pub method: &'a [f64],
    /// Test MSE of Random at the same entries.
    pub random: &'a [f64],
    /// Labels behind each entry.
    pub n_labelled: &'a [usize],
    /// The error to reach ([`predecessor_target`]), if known: only `LabelsNeeded` asks for it.
    pub target: Option<f64>,
}

impl CurvePair<'_> {
    fn check(&self) -> Result<(), EvalError> {
        for (what, len) in [
            ("method's curve against Random's", self.method.len()),
            ("label counts against Random's curve", self.n_labelled.len()),
        ] {
            if len != self.random.len() {
                return Err(EvalError::ShapeMismatch { what, left: vec![len], right: vec![self.random.len()] });
            }
        }
        if self.random.len() < 2 {
            return Err(EvalError::TooFew { what: "entries of a learning curve", needed: 2, got: self.random.len() });
        }
        check_curve(self.method, self.method.len() - 1)?;
        check_curve(self.random, self.random.len() - 1)
    }

    /// exp of the mean of ln(c_t / r_t) from an entry on.
    fn mean_ratio(&self, first: usize) -> Result<f64, EvalError> {
        let ratios = self.method[first..].iter().zip(&self.random[first..]).map(|(c, r)| positive(*c, *r));
        geometric_mean(&ratios.collect::<Result<Vec<f64>, _>>()?)
    }
}

/// A metric over the seeds of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricFinding {
    /// Which metric.
    pub metric: CurveMetric,
    /// Geometric mean over seeds.
    pub value: f64,
    /// t interval of it at the level asked for; `None` with a single seed.
    pub interval: Option<Interval>,
    /// The ratio of each seed.
    pub ratios: Vec<f64>,
}

impl MetricFinding {
    /// A metric over seeds: geometric mean of the per-seed ratios and the t interval of their logarithms, brought back.
    ///
    /// # Errors
    /// Those of [`CurveMetric::ratio`] for any seed (a mean over the others would favour methods whose bad runs fail),
    /// [`EvalError::TooFew`] for no seeds, [`EvalError::OutOfRange`] for a level outside (0, 1).
    pub fn of(metric: CurveMetric, seeds: &[CurvePair<'_>], level: f64) -> Result<Self, EvalError> {
        let ratios = seeds.iter().map(|pair| metric.ratio(pair)).collect::<Result<Vec<f64>, _>>()?;
        let value = geometric_mean(&ratios)?;
        let interval = if ratios.len() >= 2 { Some(t_interval(&log_ratios(&ratios)?, level)?.exp()) } else { None };
        Ok(Self { metric, value, interval, ratios })
    }

    /// Whether its interval leaves 1 out.
    pub fn is_clear(&self) -> bool {
        self.interval.is_some_and(|i| !i.contains(1.0))
    }
}

/// Metrics of one cell that disagree about which side of Random the method is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignSplit {
    /// Metrics below 1: the method looks better.
    pub better: Vec<CurveMetric>,
    /// Metrics above 1: it looks worse.
    pub worse: Vec<CurveMetric>,
    /// Whether a metric on each side is clear of 1 by its interval, so that the disagreement is more than noise about
    /// 1.
    pub clear: bool,
}

/// Whether the metrics of one cell disagree in sign; `None` where all that differ from 1 lie on one side.
///
/// Worked example: nAUC 0.9, final ratio 1.2: better over the whole curve, worse at its end.
pub fn sign_split(findings: &[MetricFinding]) -> Option<SignSplit> {
    let side = |below: bool| -> Vec<&MetricFinding> {
        findings.iter().filter(|f| if below { f.value < 1.0 } else { f.value > 1.0 }).collect()
    };
    let (better, worse) = (side(true), side(false));
    if better.is_empty() || worse.is_empty() {
        return None;
    }
    let clear = better.iter().any(|f| f.is_clear()) && worse.iter().any(|f| f.is_clear());
    let ids = |side: Vec<&MetricFinding>| side.into_iter().map(|f| f.metric).collect();
    Some(SignSplit { better: ids(better), worse: ids(worse), clear })
}

/// How many entries the predecessor's count rests on.
const PREDECESSOR_ENTRIES: usize = 5;

/// Entries that count as having reached the target: within this factor of it.
const PREDECESSOR_SLACK: f64 = 1.0001;

/// The error that the predecessor's count asks every run of a problem to reach: the largest, over all runs and methods,
/// of a run's fifth-smallest MSE. Every run has five entries at or below it.
///
/// Worked example: runs (5, 4, 3, 2, 1, 6) and (9, 8, 7, 6, 5, 1): fifth-smallest 5 and 8, so 8.
///
/// ```
/// # use dal_eval::predecessor_target;
/// let runs = [&[5.0, 4.0, 3.0, 2.0, 1.0, 6.0][..], &[9.0, 8.0, 7.0, 6.0, 5.0, 1.0]];
/// assert_eq!(predecessor_target(runs)?, 8.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// Source: the public code of arXiv 2201.12632 (P in `docs/fidelity.md`).
///
/// # Errors
/// [`EvalError::TooFew`] for no runs or a run of fewer than five entries, [`EvalError::NonFinite`],
/// [`EvalError::OutOfRange`] for a negative entry.
pub fn predecessor_target<'a>(curves: impl IntoIterator<Item = &'a [f64]>) -> Result<f64, EvalError> {
    let mut target = None;
    for curve in curves {
        if curve.len() < PREDECESSOR_ENTRIES {
            return Err(EvalError::TooFew { what: "entries of a run", needed: PREDECESSOR_ENTRIES, got: curve.len() });
        }
        check_curve(curve, curve.len() - 1)?;
        let mut sorted = curve.to_vec();
        let (_, fifth, _) = sorted.select_nth_unstable_by(PREDECESSOR_ENTRIES - 1, f64::total_cmp);
        target = Some(target.map_or(*fifth, |t: f64| t.max(*fifth)));
    }
    target.ok_or(EvalError::TooFew { what: "runs of a problem", needed: 1, got: 0 })
}

/// Labels that a run needed, as the predecessor counted them: the mean of the first five label counts whose MSE is at
/// most 1.0001 times the target. Unit: labels.
///
/// Worked example: MSE (9, 4, 3, 5, 3, 2, 1), target 4, labels 80 + 40 t: entries 1, 2, 4, 5, 6 are the first five at
/// most 4, so (120 + 160 + 240 + 280 + 320) / 5 = 224.
///
/// ```
/// # use dal_eval::labels_needed;
/// let n_labelled: Vec<usize> = (0..7).map(|t| 80 + 40 * t).collect();
/// assert_eq!(labels_needed(&[9.0, 4.0, 3.0, 5.0, 3.0, 2.0, 1.0], &n_labelled, 4.0)?, 224.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ShapeMismatch`] where the lengths differ, [`EvalError::TooFew`] where fewer than five entries reach the
/// target (never for a run that the target was taken over), [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a
/// negative entry.
pub fn labels_needed(curve: &[f64], n_labelled: &[usize], target: f64) -> Result<f64, EvalError> {
    if curve.len() != n_labelled.len() {
        return Err(EvalError::ShapeMismatch {
            what: "label counts against a curve",
            left: vec![n_labelled.len()],
            right: vec![curve.len()],
        });
    }
    if curve.is_empty() {
        return Err(EvalError::TooFew { what: "entries that reach the target", needed: PREDECESSOR_ENTRIES, got: 0 });
    }
    check_curve(curve, curve.len() - 1)?;
    let reached: Vec<f64> = curve
        .iter()
        .zip(n_labelled)
        .filter(|(mse, _)| **mse <= PREDECESSOR_SLACK * target)
        .map(|(_, n)| *n as f64)
        .take(PREDECESSOR_ENTRIES)
        .collect();
    if reached.len() < PREDECESSOR_ENTRIES {
        return Err(EvalError::TooFew {
            what: "entries that reach the target",
            needed: PREDECESSOR_ENTRIES,
            got: reached.len(),
        });
    }
    Ok(reached.iter().sum::<f64>() / PREDECESSOR_ENTRIES as f64)
}

/// Lower quartile, median and upper quartile of N_method / N_random over all pairs of a run of the method and one of
/// Random, as the predecessor drew them. Not paired by seed: to be held beside the predecessor's figures, not to be
/// tested.
///
/// Worked example: methods (100, 200), Random (100): ratios 1 and 2, quartiles 1.25, 1.5, 1.75.
///
/// ```
/// # use dal_eval::all_pairs_quartiles;
/// assert_eq!(all_pairs_quartiles(&[100.0, 200.0], &[100.0])?, [1.25, 1.5, 1.75]);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no runs on either side, [`EvalError::OutOfRange`] for a number that is not positive,
/// [`EvalError::NonFinite`].
pub fn all_pairs_quartiles(method: &[f64], random: &[f64]) -> Result<[f64; 3], EvalError> {
    log_ratios(method)?;
    log_ratios(random)?;
    let ratios: Vec<f64> = method.iter().flat_map(|m| random.iter().map(move |r| m / r)).collect();
    Ok([quantile(&ratios, 0.25)?, quantile(&ratios, 0.5)?, quantile(&ratios, 0.75)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair<'a>(method: &'a [f64], random: &'a [f64], n_labelled: &'a [usize]) -> CurvePair<'a> {
        CurvePair { method, random, n_labelled, target: None }
    }

    #[test]
    fn every_metric_of_one_pair() {
        let n_labelled: Vec<usize> = (0..7).map(|t| 80 + 40 * t).collect();
        let random = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0];
        let method = [10.0, 12.0, 8.0, 3.5, 3.0, 2.5, 2.0];
        let target = predecessor_target([&random[..], &method[..]]).unwrap();
        assert_eq!(target, 8.0);
        let pair = CurvePair { target: Some(target), ..pair(&method, &random, &n_labelled) };
        let of = |metric: CurveMetric| metric.ratio(&pair).unwrap();
        assert!((of(CurveMetric::Area) - 35.0 / 42.0).abs() < 1e-15);
        assert!((of(CurveMetric::AreaFromFirst) - 24.0 / 32.5).abs() < 1e-15);
        assert!((of(CurveMetric::AreaFromThird) - 8.25 / 16.5).abs() < 1e-15);
        let logs = (12.0_f64 / 9.0).ln() + 4.0 * 0.5_f64.ln();
        assert!((of(CurveMetric::MeanLogRatio) - (logs / 6.0).exp()).abs() < 1e-15);
        assert!((of(CurveMetric::Final) - (4.0 * 0.5_f64.ln() / 5.0).exp()).abs() < 1e-15);
        // Both reach 8 from entry 2 on.
        assert_eq!(of(CurveMetric::LabelsNeeded), 1.0);
    }

    #[test]
    fn labels_are_counted_as_the_predecessor_did() {
        assert_eq!(predecessor_target([&[5.0, 4.0, 1.0, 2.0, 3.0][..]]), Ok(5.0));
        let n_labelled: Vec<usize> = (0..7).map(|t| 80 + 40 * t).collect();
        assert_eq!(labels_needed(&[9.0, 4.0, 3.0, 5.0, 3.0, 2.0, 1.0], &n_labelled, 4.0), Ok(224.0));
        // Ratios 1/4, 1/2, 1 and 2.
        assert_eq!(all_pairs_quartiles(&[100.0, 200.0], &[100.0, 400.0]), Ok([0.4375, 0.75, 1.25]));
    }

    #[test]
    fn metrics_that_disagree_are_named() {
        let n_labelled = [80, 120, 160, 200, 240, 280];
        let random = [[1.0, 0.8, 0.6, 0.4, 0.3, 0.2], [1.0, 0.7, 0.6, 0.4, 0.3, 0.2]];
        let method = [[1.0, 0.4, 0.3, 0.5, 0.4, 0.3], [1.0, 0.4, 0.3, 0.52, 0.41, 0.3]];
        let pairs: Vec<CurvePair<'_>> = method.iter().zip(&random).map(|(m, r)| pair(m, r, &n_labelled)).collect();
        let found: Vec<MetricFinding> = [CurveMetric::Area, CurveMetric::AreaFromThird]
            .into_iter()
            .map(|metric| MetricFinding::of(metric, &pairs, 0.95).unwrap())
            .collect();
        let split = sign_split(&found).unwrap();
        assert_eq!(split.better, [CurveMetric::Area]);
        assert_eq!(split.worse, [CurveMetric::AreaFromThird]);
        assert!(found[1].is_clear(), "{found:?}");
        assert_eq!(split.clear, found[0].is_clear());
        assert_eq!(sign_split(&found[..1]), None);
        // What is equal to Random's lies on neither side.
        let equal = MetricFinding { value: 1.0, ..found[0].clone() };
        assert_eq!(sign_split(&[equal.clone(), found[0].clone()]), None);
        assert_eq!(sign_split(&[equal, found[1].clone()]), None);
        let one = MetricFinding::of(CurveMetric::Area, &pairs[..1], 0.95).unwrap();
        assert!(one.interval.is_none() && !one.is_clear());
    }

    #[test]
    fn every_metric_has_its_card() {
        for metric in CurveMetric::ALL {
            assert_eq!(crate::metric(metric.id()).map(|card| card.id), Some(metric.id()));
        }
    }

    #[test]
    fn bad_input_is_typed() {
        let short = pair(&[1.0, 0.5], &[1.0, 0.5], &[80, 120]);
        assert!(matches!(CurveMetric::Final.ratio(&short), Err(EvalError::TooFew { needed: 5, got: 2, .. })));
        assert!(matches!(CurveMetric::AreaFromThird.ratio(&short), Err(EvalError::TooFew { .. })));
        assert!(matches!(CurveMetric::LabelsNeeded.ratio(&short), Err(EvalError::Undefined { .. })));
        let random_zero = pair(&[1.0, 0.5], &[0.0, 0.0], &[80, 120]);
        assert!(matches!(CurveMetric::Area.ratio(&random_zero), Err(EvalError::Undefined { .. })));
        let zero = pair(&[1.0, 0.0], &[1.0, 0.5], &[80, 120]);
        assert!(matches!(CurveMetric::MeanLogRatio.ratio(&zero), Err(EvalError::Undefined { .. })));
        let uneven = pair(&[1.0], &[1.0, 0.5], &[80, 120]);
        assert!(matches!(CurveMetric::Area.ratio(&uneven), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(predecessor_target([]), Err(EvalError::TooFew { .. })));
        assert!(matches!(predecessor_target([&[1.0; 4][..]]), Err(EvalError::TooFew { .. })));
        assert!(matches!(labels_needed(&[2.0; 6], &[1; 6], 1.0), Err(EvalError::TooFew { got: 0, .. })));
        assert!(matches!(all_pairs_quartiles(&[], &[1.0]), Err(EvalError::TooFew { .. })));
        assert!(matches!(all_pairs_quartiles(&[0.0], &[1.0]), Err(EvalError::OutOfRange { .. })));
    }

    proptest! {
        /// A method whose error is c times Random's everywhere has the ratio c under every metric of errors, and needs
        /// fewer labels than Random where c < 1.
        #[test]
        fn constant_ratios_are_found(
            random in prop::collection::vec(1e-3..1e3_f64, 6..40),
            c in 1e-2..1e2_f64,
        ) {
            let method: Vec<f64> = random.iter().map(|r| c * r).collect();
            let n_labelled: Vec<usize> = (0..random.len()).map(|t| 80 + 40 * t).collect();
            let target = predecessor_target([random.as_slice(), method.as_slice()]).ok();
            let pair = CurvePair { method: &method, random: &random, n_labelled: &n_labelled, target };
            for metric in &CurveMetric::ALL[..5] {
                prop_assert!((metric.ratio(&pair).unwrap() / c - 1.0).abs() < 1e-12);
            }
            let labels = CurveMetric::LabelsNeeded.ratio(&pair).unwrap();
            let fits = if c < 1.0 { labels <= 1.0 } else { labels >= 1.0 };
            prop_assert!(fits, "{labels} at {c}");
        }
    }
}
