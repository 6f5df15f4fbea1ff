//! Summaries of a learning curve: area, area relative to Random, and labels needed to reach Random's final error.
//!
//! A learning curve is the test MSE of the surrogate at entries 0, 1, …, n_steps: entry 0 is the model of the initial
//! labels alone, entry t the one after t labelling steps.

use serde::{Deserialize, Serialize};

use crate::error::{EvalError, check_finite};

/// Which entries of a curve the area is taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurveSpan {
    /// Entries 0..=n_steps (our decision, the default): the initial model counts.
    #[default]
    FromInitial,
    /// Entries 1..=n_steps: the paper's supplement shows as many entries as steps, so this is the other defensible
    /// reading.
    FromFirstStep,
}

impl CurveSpan {
    /// The first entry that counts.
    pub fn first_entry(self) -> usize {
        match self {
            Self::FromInitial => 0,
            Self::FromFirstStep => 1,
        }
    }
}

/// Checks that a curve holds exactly entries 0..=n_steps, each finite and not negative.
pub(crate) fn check_curve(curve: &[f64], n_steps: usize) -> Result<(), EvalError> {
    if curve.len() != n_steps + 1 {
        return Err(EvalError::TooFew { what: "entries of a learning curve", needed: n_steps + 1, got: curve.len() });
    }
    check_finite("entry of a learning curve", curve.iter().copied())?;
    match curve.iter().position(|&v| v < 0.0) {
        None => Ok(()),
        Some(index) => Err(EvalError::OutOfRange {
            what: "entry of a learning curve",
            index,
            value: curve[index],
            must: "non-negative",
        }),
    }
}

/// The trapezoid area under a learning curve, Σ_{t=a}^{T−1} (c_t + c_{t+1}) / 2, with unit spacing between entries, a =
/// 0 or 1 by `span` and T = `n_steps`. Units: output² × steps. Lower is better.
///
/// Worked example: curve (1, 0.5, 0.25), T = 2: 0.75 + 0.375 = 1.125; from the first step on: 0.375.
///
/// ```
/// # use dal_eval::{CurveSpan, area_under_curve};
/// assert_eq!(area_under_curve(&[1.0, 0.5, 0.25], CurveSpan::FromInitial, 2)?, 1.125);
/// assert_eq!(area_under_curve(&[1.0, 0.5, 0.25], CurveSpan::FromFirstStep, 2)?, 0.375);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] when the curve does not hold exactly n_steps + 1 entries (a partial run has no area), or the
/// span holds fewer than two; [`EvalError::NonFinite`] and [`EvalError::OutOfRange`] for entries that are not finite or
/// negative.
pub fn area_under_curve(curve: &[f64], span: CurveSpan, n_steps: usize) -> Result<f64, EvalError> {
    area_from(curve, span.first_entry(), n_steps)
}

/// [`area_under_curve`] from any entry on: Σ_{t=a}^{T−1} (c_t + c_{t+1}) / 2 with a = `first_entry`.
///
/// Worked example: curve (1, 0.5, 0.25), a = 1, T = 2: 0.375.
///
/// ```
/// # use dal_eval::area_from;
/// assert_eq!(area_from(&[1.0, 0.5, 0.25], 1, 2)?, 0.375);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`area_under_curve`].
pub fn area_from(curve: &[f64], first_entry: usize, n_steps: usize) -> Result<f64, EvalError> {
    check_curve(curve, n_steps)?;
    let entries = &curve[first_entry.min(curve.len())..];
    if entries.len() < 2 {
        return Err(EvalError::TooFew { what: "entries under the area", needed: 2, got: entries.len() });
    }
    Ok(entries.windows(2).map(|w| 0.5 * (w[0] + w[1])).sum())
}

/// What the first entries of a curve contribute to its area: Σ_{t < n} w_t c_t / Σ_t w_t c_t with the trapezoid's
/// weights, w = ½ at both ends and 1 between. No unit, from 0 to 1.
///
/// Entry 0 is the model of the initial labels, equal for all methods of a seed: with n = 1 this is the part of Random's
/// area that no method can change, whatever it chooses, so nAUC can fall no lower.
///
/// Worked example: curve (1, 0.75, 0.5), area 1.5: entry 0 contributes 0.5 / 1.5 = 1/3, the first two 1.25 / 1.5 = 5/6.
///
/// ```
/// # use dal_eval::area_share;
/// assert_eq!(area_share(&[1.0, 0.75, 0.5], 1, 2)?, 0.5 / 1.5);
/// assert_eq!(area_share(&[1.0, 0.75, 0.5], 3, 2)?, 1.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`area_under_curve`], and [`EvalError::Undefined`] where the area is zero.
pub fn area_share(curve: &[f64], n_entries: usize, n_steps: usize) -> Result<f64, EvalError> {
    let area = area_from(curve, 0, n_steps)?;
    if area == 0.0 {
        return Err(EvalError::Undefined { what: "share of the area", why: "the area is zero" });
    }
    let weight = |t: usize| if t == 0 || t == n_steps { 0.5 } else { 1.0 };
    Ok(curve.iter().take(n_entries).enumerate().map(|(t, c)| weight(t) * c).sum::<f64>() / area)
}

/// nAUC_MSE of one seed: the area under a method's test MSE divided by Random's of the same seed. No unit; below 1
/// beats Random, lower is better. The value of a (problem, γ, method) cell is the geometric mean over seeds
/// ([`Cell`](crate::Cell)).
///
/// Worked example: method (1, 0.5, 0.25), Random (1, 0.75, 0.5), T = 2: 1.125 / 1.5 = 0.75.
///
/// ```
/// # use dal_eval::{CurveSpan, n_auc};
/// assert_eq!(n_auc(&[1.0, 0.5, 0.25], &[1.0, 0.75, 0.5], CurveSpan::FromInitial, 2)?, 0.75);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// Those of [`area_under_curve`], and [`EvalError::Undefined`] where either area is zero (a ratio that has no
/// logarithm).
pub fn n_auc(method: &[f64], random: &[f64], span: CurveSpan, n_steps: usize) -> Result<f64, EvalError> {
    let of_method = area_under_curve(method, span, n_steps)?;
    let of_random = area_under_curve(random, span, n_steps)?;
    if of_method == 0.0 || of_random == 0.0 {
        return Err(EvalError::Undefined { what: "nAUC_MSE", why: "an area is zero" });
    }
    Ok(of_method / of_random)
}

/// How many entries are averaged before a curve is compared with Random's final error: single entries are noisy.
pub const SMOOTHING_ENTRIES: usize = 5;

/// The mean of the five entries that end at `entry`, that is of entries `entry − 4 ..= entry`.
///
/// # Errors
/// [`EvalError::TooFew`] when `entry` is before the fifth entry or beyond the curve's end.
pub fn window_mean(curve: &[f64], entry: usize) -> Result<f64, EvalError> {
    if entry + 1 < SMOOTHING_ENTRIES || entry >= curve.len() {
        return Err(EvalError::TooFew {
            what: "entries of a five-entry mean",
            needed: SMOOTHING_ENTRIES,
            got: (entry + 1).min(curve.len()),
        });
    }
    let window = &curve[entry + 1 - SMOOTHING_ENTRIES..=entry];
    Ok(window.iter().sum::<f64>() / SMOOTHING_ENTRIES as f64)
}

/// How many labels a method needed to reach Random's final error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelsToReach {
    /// Reached when this many points were labelled.
    Reached(usize),
    /// Not reached within the budget: the true number is larger than this one and unknown.
    Beyond(usize),
}

/// Labels needed to reach Random's final error, of one seed.
///
/// Target: the mean of the last five entries of Random's curve. The answer is the number of labels at the first entry t
/// ≥ 4 whose five-entry mean (entries t − 4 ..= t, nothing from later steps) is at most the target, or
/// [`LabelsToReach::Beyond`] the budget where there is none. Unit: labels; lower is better. Random itself reaches its
/// own target at the budget or before. `n_labelled[t]` is the number of labels behind entry t.
///
/// Worked example: Random (10, 9, 8, 7, 6, 5, 4), so the target is (8 + 7 + 6 + 5 + 4) / 5 = 6; a method with
/// (10, 8, 6, 4, 2, 2, 2) has the mean 6 at entry 4: with 80 initial labels and 40 per step it needed 240 instead of
/// 320.
///
/// ```
/// # use dal_eval::{LabelsToReach, labels_to_reach};
/// let n_labelled: Vec<usize> = (0..7).map(|t| 80 + 40 * t).collect();
/// let random = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0];
/// let method = [10.0, 8.0, 6.0, 4.0, 2.0, 2.0, 2.0];
/// assert_eq!(labels_to_reach(&method, &random, &n_labelled)?, LabelsToReach::Reached(240));
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ShapeMismatch`] when the three lengths differ, [`EvalError::TooFew`] below five entries,
/// [`EvalError::NonFinite`], [`EvalError::OutOfRange`] for a negative entry.
pub fn labels_to_reach(method: &[f64], random: &[f64], n_labelled: &[usize]) -> Result<LabelsToReach, EvalError> {
    for (what, len) in
        [("method's curve against Random's", method.len()), ("label counts against Random's curve", n_labelled.len())]
    {
        if len != random.len() {
            return Err(EvalError::ShapeMismatch { what, left: vec![len], right: vec![random.len()] });
        }
    }
    if random.len() < SMOOTHING_ENTRIES {
        return Err(EvalError::TooFew {
            what: "entries of a five-entry mean",
            needed: SMOOTHING_ENTRIES,
            got: random.len(),
        });
    }
    check_curve(method, random.len() - 1)?;
    check_curve(random, random.len() - 1)?;
    let target = window_mean(random, random.len() - 1)?;
    for entry in SMOOTHING_ENTRIES - 1..method.len() {
        if window_mean(method, entry)? <= target {
            return Ok(LabelsToReach::Reached(n_labelled[entry]));
        }
    }
    Ok(LabelsToReach::Beyond(n_labelled[n_labelled.len() - 1]))
}

/// A median of numbers of labels, some of which are only known to lie beyond the budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MedianLabels {
    /// The median.
    Known(f64),
    /// The median lies above this number: it falls on, or between a known number and, one that was not reached.
    Above(f64),
}

/// The median of labels needed over seeds; of an even count the mean of the two in the middle. A number beyond the
/// budget is larger than any that was reached; where one stands in the middle the median has a lower bound only, with
/// the budget in its place.
///
/// Worked example: reached at 200 and 240, two beyond 320: between 240 and more than 320, so above 280.
///
/// ```
/// # use dal_eval::{LabelsToReach::{Beyond, Reached}, MedianLabels, median_labels};
/// assert_eq!(median_labels(&[Beyond(320), Reached(240), Reached(200), Beyond(320)])?, MedianLabels::Above(280.0));
/// assert_eq!(median_labels(&[Reached(240), Reached(200)])?, MedianLabels::Known(220.0));
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for no values.
pub fn median_labels(labels: &[LabelsToReach]) -> Result<MedianLabels, EvalError> {
    if labels.is_empty() {
        return Err(EvalError::TooFew { what: "values of a median", needed: 1, got: 0 });
    }
    let mut sorted: Vec<(bool, usize)> = labels
        .iter()
        .map(|l| match l {
            LabelsToReach::Reached(n) => (false, *n),
            LabelsToReach::Beyond(n) => (true, *n),
        })
        .collect();
    sorted.sort_unstable();
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    let middle = 0.5 * (low.1 as f64 + high.1 as f64);
    Ok(if high.0 { MedianLabels::Above(middle) } else { MedianLabels::Known(middle) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_examples() {
        let method = [1.0, 0.5, 0.25];
        let random = [1.0, 0.75, 0.5];
        assert_eq!(n_auc(&method, &random, CurveSpan::FromInitial, 2), Ok(0.75));
        assert_eq!(n_auc(&method, &random, CurveSpan::FromFirstStep, 2), Ok(0.375 / 0.625));
    }

    #[test]
    fn partial_curves_have_no_area() {
        assert_eq!(
            area_under_curve(&[1.0, 0.5], CurveSpan::FromInitial, 2),
            Err(EvalError::TooFew { what: "entries of a learning curve", needed: 3, got: 2 })
        );
        assert!(matches!(
            area_under_curve(&[1.0, 0.5], CurveSpan::FromFirstStep, 1),
            Err(EvalError::TooFew { needed: 2, got: 1, .. })
        ));
        assert!(matches!(area_under_curve(&[1.0], CurveSpan::FromInitial, 0), Err(EvalError::TooFew { .. })));
    }

    #[test]
    fn bad_entries_are_typed() {
        assert!(matches!(
            area_under_curve(&[1.0, f64::NAN], CurveSpan::FromInitial, 1),
            Err(EvalError::NonFinite { index: 1, .. })
        ));
        assert!(matches!(
            area_under_curve(&[1.0, -1.0], CurveSpan::FromInitial, 1),
            Err(EvalError::OutOfRange { index: 1, .. })
        ));
        assert!(matches!(n_auc(&[1.0, 1.0], &[0.0, 0.0], CurveSpan::FromInitial, 1), Err(EvalError::Undefined { .. })));
    }

    #[test]
    fn windows_are_the_five_entries_that_end_at_one() {
        let curve = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0];
        assert_eq!((window_mean(&curve, 4), window_mean(&curve, 5)), (Ok(3.0), Ok(4.6)));
        for (entry, there) in [(3, 4), (6, 6), (7, 6)] {
            let due = EvalError::TooFew { what: "entries of a five-entry mean", needed: 5, got: there };
            assert_eq!(window_mean(&curve, entry), Err(due), "{entry}");
        }
        let n_labelled = [80, 120, 160, 200, 240];
        assert_eq!(labels_to_reach(&curve[..5], &curve[..5], &n_labelled), Ok(LabelsToReach::Reached(240)));
        let short = labels_to_reach(&curve[..4], &curve[..4], &n_labelled[..4]);
        assert!(matches!(short, Err(EvalError::TooFew { needed: 5, got: 4, .. })));
    }

    #[test]
    fn labels_to_reach_are_censored_beyond_the_budget() {
        let n_labelled: Vec<usize> = (0..7).map(|t| 80 + 40 * t).collect();
        let random = [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0];
        let good = [10.0, 8.0, 6.0, 4.0, 2.0, 2.0, 2.0];
        let bad = [10.0; 7];
        assert_eq!(labels_to_reach(&good, &random, &n_labelled), Ok(LabelsToReach::Reached(240)));
        assert_eq!(labels_to_reach(&random, &random, &n_labelled), Ok(LabelsToReach::Reached(320)));
        assert_eq!(labels_to_reach(&bad, &random, &n_labelled), Ok(LabelsToReach::Beyond(320)));
        assert!(matches!(labels_to_reach(&good[..6], &random, &n_labelled), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(labels_to_reach(&good[..4], &random[..4], &n_labelled[..4]), Err(EvalError::TooFew { .. })));
    }

    #[test]
    fn shares_add_up() {
        let curve = [0.8, 0.6, 0.1, 0.4, 0.2];
        let alone: f64 = (1..=5)
            .map(|n| {
                let before = if n == 1 { 0.0 } else { area_share(&curve, n - 1, 4).unwrap() };
                area_share(&curve, n, 4).unwrap() - before
            })
            .sum();
        assert!((alone - 1.0).abs() < 1e-15);
        assert!((area_share(&curve, 1, 4).unwrap() - 0.4 / 1.6).abs() < 1e-15);
        assert!(matches!(area_share(&[0.0, 0.0], 1, 1), Err(EvalError::Undefined { .. })));
    }

    #[test]
    fn medians_of_labels_are_medians() {
        use LabelsToReach::{Beyond, Reached};
        assert_eq!(median_labels(&[Reached(3), Reached(1), Reached(2)]), Ok(MedianLabels::Known(2.0)));
        assert_eq!(median_labels(&[Reached(1), Reached(4), Reached(2), Reached(9)]), Ok(MedianLabels::Known(3.0)));
        assert_eq!(median_labels(&[Reached(1), Beyond(9), Beyond(9)]), Ok(MedianLabels::Above(9.0)));
        assert_eq!(median_labels(&[Reached(1), Reached(2), Beyond(9)]), Ok(MedianLabels::Known(2.0)));
        // A number reached at the whole budget is still below one that was not reached.
        assert_eq!(median_labels(&[Beyond(9), Reached(9)]), Ok(MedianLabels::Above(9.0)));
        assert!(median_labels(&[]).is_err());
    }

    proptest! {
        /// The area scales with the curve, so a method that is c times Random everywhere has nAUC c.
        #[test]
        fn area_is_linear(
            curve in prop::collection::vec(1e-6..1e3_f64, 3..60),
            c in 1e-3..1e3_f64,
        ) {
            let scaled: Vec<f64> = curve.iter().map(|v| c * v).collect();
            for span in [CurveSpan::FromInitial, CurveSpan::FromFirstStep] {
                let ratio = n_auc(&scaled, &curve, span, curve.len() - 1).unwrap();
                prop_assert!((ratio / c - 1.0).abs() < 1e-12);
            }
        }

        /// A constant curve of height h over T steps has the area h T.
        #[test]
        fn area_of_a_constant(h in 1e-6..1e3_f64, n_steps in 1_usize..60) {
            let area = area_under_curve(&vec![h; n_steps + 1], CurveSpan::FromInitial, n_steps).unwrap();
            prop_assert!((area / (h * n_steps as f64) - 1.0).abs() < 1e-12);
        }
    }
}
