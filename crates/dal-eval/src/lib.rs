//! Errors, learning-curve summaries, batch diversity and paired statistics.
//!
//! Everything here is a pure function of numbers: no files, clocks, threads or hidden randomness, and nothing that
//! knows about networks or stores. A value that cannot be computed is a typed error or a [`Missing`], never a zero, a
//! NaN or a mean over what happened to be there.
//!
//! From two learning curves of the same seed to the number that the benchmark reports:
//!
//! ```
//! use dal_eval::{CurveSpan, ErrorSummary, area_under_curve, geometric_mean};
//! use ndarray::array;
//!
//! // One entry of a learning curve: the error of a surrogate on the test set, (n_points, n_outputs).
//! let predicted = array![[0.0], [2.0]];
//! let truth = array![[1.0], [2.0]];
//! assert_eq!(ErrorSummary::of(predicted.view(), truth.view())?.mse, 0.5);
//!
//! // Two seeds, each with the curve of a method and that of Random; three entries instead of 51 for brevity.
//! let method = [[1.0, 0.4, 0.2], [1.0, 0.5, 0.2]];
//! let random = [[1.0, 0.8, 0.4], [1.0, 0.7, 0.5]];
//! let mut ratios = Vec::new();
//! for (m, r) in method.iter().zip(&random) {
//!     let area = |curve: &[f64]| area_under_curve(curve, CurveSpan::FromInitial, 2);
//!     ratios.push(area(m)? / area(r)?);
//! }
//! let n_auc = geometric_mean(&ratios)?; // below 1: better than Random
//! assert!((n_auc - (1.0 / 1.5 * 1.1 / 1.45_f64).sqrt()).abs() < 1e-12);
//! # Ok::<(), dal_eval::EvalError>(())
//! ```
//!
//! What this crate is not for: training, choosing points, or reading results from disk.

mod agreement;
mod beside;
mod catalogue;
mod curve;
mod detect;
mod diversity;
mod error;
mod errors;
mod holm;
mod interval;
mod learned;
mod looks;
mod lure;
mod outcome;
mod output_errors;
mod power;
mod rank;
mod ranks;
mod share;
mod sign_flip;
mod sobol;
mod transfer;
mod uncertainty;
mod verdict;
mod wilcoxon;

pub use agreement::{FEWEST_FOR_HALVES, Halves, N_RESAMPLES, OrderAgreement, kendall_tau, order_agreement};
pub use beside::{
    CurveMetric, CurvePair, LAST_ENTRIES, MetricFinding, SignSplit, all_pairs_quartiles, labels_needed,
    predecessor_target, sign_split,
};
pub use catalogue::{Direction, METRICS, MetricCard, metric};
pub use curve::{
    CurveSpan, LabelsToReach, MedianLabels, SMOOTHING_ENTRIES, area_from, area_share, area_under_curve,
    labels_to_reach, median_labels, n_auc, window_mean,
};
pub use detect::{DetectableEffects, MOST_PLANNED_SEEDS, SweepPlan, detectable_effects, pooled_spread};
pub use diversity::{batch_diversity, mean_batch_diversity};
pub use error::EvalError;
pub use errors::{ErrorSummary, median, quantile};
pub use holm::holm;
pub use interval::{Interval, OverallEffect, overall_effect, t_interval, t_quantile, worst_mean_interval};
pub use learned::{
    COLLAPSED_SHARE, LEARNABLE_SHARE, Learnability, MemberCounts, MemberTraining, UNSETTLED_FACTOR, has_learned,
};
pub use looks::{Look, Looks, Standing};
pub use lure::{
    AnsweredLoss, FEWEST_CONTROLLED, FEWEST_DRAWS, LossTerms, UNSEEN, answered_loss, control_coefficient,
    draw_probabilities, log_bootstrap_interval, lure_weights, weighted_loss, weighted_quantile,
};
pub use outcome::{Cell, Missing, Outcome, SeedOutcome, geometric_mean, paired_ratios};
pub use output_errors::{OutputError, OutputErrors, OutputScales, PooledError};
pub use power::{MOST_SEEDS, seeds_for_half_width, seeds_for_robust, seeds_to_find, seeds_to_reach, smallest_effect};
pub use rank::{average_ranks, rank_correlation};
pub use ranks::{RankTable, Tally, rank_methods, win_tie_loss};
pub use share::share_interval;
pub use sign_flip::{LARGEST_ENUMERATED, MaxTCell, N_RANDOM_FLIPS, max_t, max_t_by_seed, sign_flip_test};
pub use sobol::{SobolIndices, sobol_indices};
pub use transfer::{PoolRatioTransfer, pool_ratio_transfer};
pub use uncertainty::{NORMAL_Q95, NormalScores};
pub use verdict::{
    CellFinding, CellOutcomes, CellVerdict, Hesitation, Judgement, MethodCells, Recommendation, Robustness, Verdict,
    VerdictRules, holm_over_methods, judge,
};
pub use wilcoxon::{Alternative, Wilcoxon, wilcoxon_signed_rank};
