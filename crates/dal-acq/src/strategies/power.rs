//! Batches that are drawn, with known probabilities: `power-qbc` and the like of it over other scores.
//!
//! The top of a ranking says nothing about the error elsewhere, and its points are alike. A draw in proportion to a
//! power of the score spreads, and since the probability of every pick is known, the error over the whole domain can be
//! estimated from the batch itself (LURE, `dal_eval::lure_weights`).

use std::fmt::Debug;

use dal_core::{Needs, Proposal, SeedPath, Step, Strategy, StrategyError, top_scored};
use dal_geom::NearestCentre;
use ndarray::Array1;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Bald, Emoc, LearningLoss, Qbc, bald, emoc, learning_loss};
use crate::build::build;
use crate::card::{Card, Labels, PickScore, SettingCard, SettingValues};
use crate::greedy::input_space;
use crate::rule::{check_scores, geometry, pool_strategy};

const BETA: SettingCard = SettingCard {
    key: "beta",
    help: "power of the score that the draw is in proportion to; 0 draws uniformly",
    values: SettingValues::Described("a number from 0"),
};
const UNIFORM_SHARE: SettingCard = SettingCard {
    key: "uniform_share",
    help: "share of the draw that is uniform, so that no point is out of reach",
    values: SettingValues::Described("above 0, at most 1"),
};
const SOURCE: &str = "Kirsch et al., TMLR 2023 (arXiv 2106.12059); uniform share: this project's";

/// `power-qbc`.
pub(super) static QBC: Card = Card {
    id: "power-qbc",
    title: "Drawn by committee variance",
    formula: "n draws without replacement, w = (1 - e) s^b / sum s^b + e/N, s the committee's variance as in qbc",
    cost: "O(N)",
    source: SOURCE,
    pick_score: PickScore::Variance,
    labels: Labels::None,
    // A draw follows the pool's order.
    invariances: &[],
    settings: &[BETA, UNIFORM_SHARE],
    build: |card, given| build(card, given, Power::<Qbc>::check),
};

/// `power-qbc-diversity`.
pub(super) static QBC_DIVERSITY: Card = Card {
    id: "power-qbc-diversity",
    title: "Drawn by committee variance times distance",
    formula: "n draws, each w = (1 - e) (s g)^b / sum (s g)^b + e/R over the R points left, g the distance to L and picks",
    cost: "O(N |L| d + n N d)",
    source: SOURCE,
    pick_score: PickScore::Combined,
    labels: Labels::Inputs,
    invariances: &[],
    settings: &[BETA, UNIFORM_SHARE],
    build: |card, given| build(card, given, PowerQbcDiversity::check),
};

/// `power-bald`.
pub(super) static BALD: Card = Card {
    id: "power-bald",
    title: "Drawn by the variance of a dropout network",
    formula: "as power-qbc, s the variance over stochastic passes as in bald",
    cost: "O(N) beyond the passes",
    source: SOURCE,
    pick_score: PickScore::Variance,
    labels: Labels::None,
    invariances: &[],
    settings: &concat::<6, 8>(bald::SETTINGS),
    build: |card, given| build(card, given, Power::<Bald>::check),
};

/// `power-emoc`.
pub(super) static EMOC: Card = Card {
    id: "power-emoc",
    title: "Drawn by expected model output change",
    formula: "as power-qbc, s the change as in emoc",
    cost: "N |L0| products of gradients a member and output",
    source: SOURCE,
    pick_score: PickScore::Combined,
    labels: Labels::Inputs,
    invariances: &[],
    settings: &concat::<1, 3>(emoc::SETTINGS),
    build: |card, given| build(card, given, Power::<Emoc>::check),
};

/// `power-learning-loss`.
pub(super) static LEARNING_LOSS: Card = Card {
    id: "power-learning-loss",
    title: "Drawn by learned loss",
    formula: "as power-qbc, s the predicted loss as in learning-loss less its least value over the pool",
    cost: "O(N) beyond the predictions",
    source: SOURCE,
    pick_score: PickScore::Combined,
    labels: Labels::None,
    invariances: &[],
    settings: &concat::<5, 7>(learning_loss::SETTINGS),
    build: |card, given| build(card, given, Power::<LearningLoss>::check),
};

/// The settings of a draw, then those of the score.
const fn concat<const N: usize, const M: usize>(of_score: [SettingCard; N]) -> [SettingCard; M] {
    assert!(M == N + 2, "two settings of the draw and all of the score");
    let mut all = [BETA; M];
    all[1] = UNIFORM_SHARE;
    let mut i = 0;
    while i < N {
        all[i + 2] = of_score[i];
        i += 1;
    }
    all
}

/// How likely a point of a given score is to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drawing {
    /// β, the power of the score, at least 0.
    pub beta: f64,
    /// ε, the share of the draw that is uniform, in (0, 1].
    pub uniform_share: f64,
}

impl Default for Drawing {
    fn default() -> Self {
        Self { beta: 1.0, uniform_share: 0.25 }
    }
}

impl Drawing {
    fn check(self) -> Result<(), (&'static str, String)> {
        if !(self.beta >= 0.0 && self.beta <= 100.0) {
            return Err(("beta", "a number from 0 to 100 is wanted".into()));
        }
        if !(self.uniform_share > 0.0 && self.uniform_share <= 1.0) {
            return Err((
                "uniform_share",
                "a number above 0 and at most 1 is wanted: without a uniform share some points could never be drawn"
                    .into(),
            ));
        }
        Ok(())
    }

    /// `(1 − ε) s^β / Σ s^β + ε / N` of scores s ≥ 0; `1 / N` where they are all zero. The weights add up to 1.
    fn weights(self, scores: &[f64]) -> Vec<f64> {
        let n = scores.len() as f64;
        // Relative to the greatest, so that no power overflows.
        let greatest = scores.iter().copied().fold(0.0, f64::max);
        if greatest == 0.0 {
            return vec![1.0 / n; scores.len()];
        }
        let powers: Vec<f64> = scores.iter().map(|s| (s / greatest).powf(self.beta)).collect();
        let total: f64 = powers.iter().sum();
        let (by_score, uniform) = ((1.0 - self.uniform_share) / total, self.uniform_share / n);
        powers.into_iter().map(|power| by_score * power + uniform).collect()
    }

    /// Draws `n` rows one after another without replacement, in proportion to the weights of `scores`, as a race of
    /// Gumbel variables: the n greatest `ln w + G`, G independent standard Gumbel variables. Pick m then has the
    /// probability w / (sum of the weights that are left), given the earlier ones.
    fn draw(self, step: &Step<'_>, scores: Array1<f64>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let scores = by_odds(step, scores);
        check_drawn(&scores)?;
        note_if_uniform(step, &scores);
        let weights = self.weights(&scores.to_vec());
        let mut rng = seeds.purpose("draws").rng();
        let keys: Array1<f64> = weights.iter().map(|w| w.ln() - (-open_unit(&mut rng).ln()).ln()).collect();
        let rows = top_scored(keys.view(), n)?;
        let mut is_left = vec![true; weights.len()];
        rows.iter().for_each(|&row| is_left[row] = false);
        // Summed from the last pick to the first, so that what is left after many picks does not drown in rounding.
        let mut left: f64 = weights.iter().zip(&is_left).filter(|(_, is_left)| **is_left).map(|(w, _)| w).sum();
        let mut probabilities = Array1::zeros(n);
        for (m, &row) in rows.iter().enumerate().rev() {
            left += weights[row];
            probabilities[m] = (weights[row] / left).min(1.0);
        }
        let picked_scores = Some(rows.iter().map(|&row| scores[row]).collect());
        Ok(Proposal {
            scores: Some(scores),
            picked_scores,
            probabilities: Some(probabilities),
            ..Proposal::picked(rows)
        })
    }
}

/// A uniform number strictly between 0 and 1: 53 bits and a half.
fn open_unit(rng: &mut impl RngExt) -> f64 {
    ((rng.random::<u64>() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Scores that a draw can be in proportion to: finite, none negative.
fn check_drawn(scores: &Array1<f64>) -> Result<(), StrategyError> {
    check_scores(scores)?;
    match scores.iter().position(|&s| s < 0.0) {
        Some(row) => Err(StrategyError::NegativeScore { row, value: scores[row] }),
        None => Ok(()),
    }
}

/// Scores times the probability of an answer, where it is known: the uniform share of a draw stays as it is, so that no
/// point is out of reach, and probabilities stay exact.
fn by_odds(step: &Step<'_>, mut scores: Array1<f64>) -> Array1<f64> {
    for (score, odds) in scores.iter_mut().zip(step.odds().unwrap_or_default()) {
        *score *= odds;
    }
    scores
}

fn note_if_uniform(step: &Step<'_>, scores: &Array1<f64>) {
    if scores.len() > 1 && scores.iter().all(|&s| s == scores[0]) {
        step.note("the score is constant over the pool, so the draw is uniform");
    }
}

/// A score of every pool point that does not depend on the other picks: what [`Power`] draws by. A rule of a caller's
/// own becomes a drawn one by it.
pub trait Pointwise: Debug + Send + Sync {
    /// What the score asks of the model.
    fn requires(&self) -> Needs;
    /// Scores of the pool, shape (n_pool,), finite and at least 0.
    ///
    /// # Errors
    /// A model that cannot answer.
    fn scores(&self, step: &Step<'_>, seeds: &SeedPath) -> Result<Array1<f64>, StrategyError>;
    /// What is wrong with the rule's settings: the key, and what is wanted there.
    ///
    /// # Errors
    /// The first setting out of range.
    fn check(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}

/// n points of the pool, drawn one after another without replacement in proportion to
/// `w = (1 − ε) s^β / Σ s^β + ε / N`, with s the score of a rule that scores points one by one (the variance over
/// members or passes, mean over outputs, in the units that the model is trained in; expected model output change;
/// predicted loss less its least value over the pool).
///
/// Where all scores are zero the draw is uniform; where the probability of an answer is known ([`Step::odds`]), a score
/// is multiplied by it. A Gumbel race: the n greatest `ln w + G`. The proposal has each
/// pick's probability given the earlier ones, w over the sum of the weights that are left, in the order of the picks.
/// Needs what the score needs. Cost O(N) beyond it.
///
/// Source: A. Kirsch et al., Stochastic batch acquisition: a simple baseline for deep active learning, TMLR 2023 (arXiv
/// 2106.12059); the uniform share, which keeps an estimate from the draws finite, is this project's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Power<R> {
    /// How likely a point is.
    #[serde(flatten)]
    pub drawing: Drawing,
    /// The rule whose score it is.
    #[serde(flatten)]
    pub rule: R,
}

impl<R: Pointwise> Power<R> {
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        self.drawing.check()?;
        self.rule.check()
    }
}

impl<R: Pointwise> Strategy for Power<R> {
    fn needs(&self) -> Needs {
        self.rule.requires()
    }

    fn propose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        step.check_request(n)?;
        self.drawing.draw(step, self.rule.scores(step, seeds)?, n, seeds)
    }
}

/// n points of the pool, each drawn in proportion to `(1 − ε) (s g)^β / Σ (s g)^β + ε / R` over the R points that are
/// left: s the variance over members as in `power-qbc`, g the distance to the nearest labelled or picked point at that
/// moment.
///
/// Probabilities are exact given the order. Needs predictive uncertainty. Cost O(N |L| d) at the start and O(N d) a
/// pick.
///
/// Source: as [`Power`], with a distance as in `qbc-diversity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PowerQbcDiversity {
    /// How likely a point is.
    #[serde(flatten)]
    pub drawing: Drawing,
}

impl PowerQbcDiversity {
    fn requires(&self) -> Needs {
        Needs { uncertainty: true, ..Needs::default() }
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        self.drawing.check()
    }

    fn choose(&self, step: &Step<'_>, n: usize, seeds: &SeedPath) -> Result<Proposal, StrategyError> {
        let variance = by_odds(step, step.disagreement()?);
        check_drawn(&variance)?;
        let mut nearest = NearestCentre::new(vec![input_space(step)?]).map_err(geometry)?;
        check_scores(nearest.separations())?;
        let combined = |separations: &[f64]| -> Array1<f64> {
            variance.iter().zip(separations).map(|(s, separation)| s * separation.sqrt()).collect()
        };
        let scores = combined(nearest.separations());
        check_drawn(&scores)?;
        note_if_uniform(step, &scores);
        let mut rng = seeds.purpose("draws").rng();
        let mut left: Vec<usize> = (0..variance.len()).collect();
        let mut rows = Vec::with_capacity(n);
        let (mut picked_scores, mut probabilities) = (Array1::zeros(n), Array1::zeros(n));
        for m in 0..n {
            step.check_stop()?;
            let now = combined(nearest.separations());
            let of_left: Vec<f64> = left.iter().map(|&row| now[row]).collect();
            let weights = self.drawing.weights(&of_left);
            let total: f64 = weights.iter().sum();
            let place = drawn_place(&weights, total * open_unit(&mut rng));
            probabilities[m] = (weights[place] / total).min(1.0);
            picked_scores[m] = of_left[place];
            // `remove` and not `swap_remove`: the order of those left is the pool's.
            let row = left.remove(place);
            rows.push(row);
            if m + 1 < n {
                nearest.adopt(row);
            }
        }
        Ok(Proposal {
            scores: Some(scores),
            picked_scores: Some(picked_scores),
            probabilities: Some(probabilities),
            ..Proposal::picked(rows)
        })
    }
}

pool_strategy!(PowerQbcDiversity);

/// The first place at which the running sum of `weights` exceeds `at`; the last one where rounding leaves none.
fn drawn_place(weights: &[f64], at: f64) -> usize {
    let mut sum = 0.0;
    let exceeds = |w: &f64| {
        sum += w;
        sum > at
    };
    weights.iter().position(exceeds).unwrap_or(weights.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Case;
    use crate::find;

    use dal_core::Settings;
    use proptest::prelude::*;

    fn proposed(id: &str, case: &Case, n: usize, seed: u64) -> Proposal {
        let found = find(id, &Settings::default()).unwrap();
        case.propose(&*found.strategy, n, &SeedPath::root(seed)).unwrap()
    }

    fn variance(case: &Case) -> Vec<f64> {
        let members = case.members.view();
        let (n_members, n_pool, n_outputs) = members.dim();
        let of = |i: usize, j: usize| {
            let mean = (0..n_members).map(|m| members[[m, i, j]]).sum::<f64>() / n_members as f64;
            (0..n_members).map(|m| (members[[m, i, j]] - mean).powi(2)).sum::<f64>() / n_members as f64
        };
        (0..n_pool).map(|i| (0..n_outputs).map(|j| of(i, j)).sum::<f64>() / n_outputs as f64).collect()
    }

    /// The probability of `row` given `earlier`, by the definition of `power-qbc`.
    fn by_variance(case: &Case, earlier: &[usize], row: usize) -> f64 {
        let s = variance(case);
        let (n, total) = (s.len() as f64, s.iter().sum::<f64>());
        let w = |i: usize| 0.75 * s[i] / total + 0.25 / n;
        w(row) / (0..s.len()).filter(|i| !earlier.contains(i)).map(w).sum::<f64>()
    }

    /// The same by that of `power-qbc-diversity`.
    fn by_distance_too(case: &Case, earlier: &[usize], row: usize) -> f64 {
        let s = variance(case);
        let labelled = case.labelled.x();
        let known = || labelled.outer_iter().chain(earlier.iter().map(|&q| case.pool.row(q)));
        let gap = |i: usize| {
            let squared = known().map(|k| (&k - &case.pool.row(i)).mapv(|d| d * d).sum());
            squared.fold(f64::INFINITY, f64::min).sqrt()
        };
        let left: Vec<usize> = (0..s.len()).filter(|i| !earlier.contains(i)).collect();
        let total: f64 = left.iter().map(|&i| s[i] * gap(i)).sum();
        0.75 * s[row] * gap(row) / total + 0.25 / left.len() as f64
    }

    type Definition = fn(&Case, &[usize], usize) -> f64;
    const DEFINITIONS: [(&str, Definition); 2] = [("power-qbc", by_variance), ("power-qbc-diversity", by_distance_too)];

    /// Orders of two out of five points come as often as their probabilities say, which are those of the definition.
    #[test]
    fn orders_come_as_often_as_they_should() {
        let case = Case::random(4, 5, 2, 2, 3, &SeedPath::root(5));
        for (id, definition) in DEFINITIONS {
            let mut counts = std::collections::BTreeMap::new();
            let n = 20_000;
            for seed in 0..n {
                let proposal = proposed(id, &case, 2, seed);
                let rows = proposal.rows().unwrap().to_vec();
                *counts.entry((rows[0], rows[1])).or_insert(0_u64) += 1;
            }
            assert_eq!(counts.len(), 20, "{id}");
            let mut total = 0.0;
            for ((a, b), count) in counts {
                let p = definition(&case, &[], a) * definition(&case, &[a], b);
                total += p;
                let error = (p * (1.0 - p) / n as f64).sqrt();
                assert!((count as f64 / n as f64 - p).abs() < 4.5 * error, "{id}: {a}, {b}: {count} of {n}, {p}");
            }
            assert!((total - 1.0).abs() < 1e-12, "{id}: {total}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Every pick's probability is that of the definition, to the last pick of the whole pool, which is certain.
        #[test]
        fn probabilities_are_those_of_the_definition(
            seed in 0_u64..1000, n_pool in 1_usize..30, share in 0.0..1.0_f64, n_outputs in 1_usize..3,
        ) {
            let case = Case::random(5, n_pool, 2, n_outputs, 4, &SeedPath::root(seed));
            let n = 1 + (share * n_pool as f64) as usize;
            let n = n.min(n_pool);
            for (id, definition) in DEFINITIONS {
                let proposal = proposed(id, &case, n, seed);
                let rows = proposal.rows().unwrap();
                let probabilities = proposal.probabilities.as_ref().unwrap();
                for (m, &row) in rows.iter().enumerate() {
                    let expected = definition(&case, &rows[..m], row);
                    prop_assert!((probabilities[m] / expected - 1.0).abs() < 1e-9, "{id} {m}: {}", probabilities[m]);
                }
                if n == n_pool {
                    prop_assert_eq!(probabilities[n - 1], 1.0);
                }
            }
        }

        /// Weights add up to 1, none is below the uniform share, and neither the scale of the scores nor their size
        /// matters.
        #[test]
        fn weights_are_a_distribution(
            scores in prop::collection::vec(0.0..1.0_f64, 1..50), beta in 0.0..5.0_f64, share in 0.01..1.0_f64,
        ) {
            let drawing = Drawing { beta, uniform_share: share };
            let weights = drawing.weights(&scores);
            let n = scores.len() as f64;
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(weights.iter().all(|w| *w >= share / n * (1.0 - 1e-12)));
            let huge: Vec<f64> = scores.iter().map(|s| s * 2.0_f64.powi(1000)).collect();
            prop_assert_eq!(drawing.weights(&huge), weights);
        }
    }

    #[test]
    fn scores_that_say_nothing_draw_uniformly() {
        for id in ["power-qbc", "power-qbc-diversity"] {
            let mut case = Case::random(4, 8, 2, 1, 3, &SeedPath::root(5));
            case.members.fill(1.0);
            let proposal = proposed(id, &case, 8, 3);
            let expected: Vec<f64> = (0..8).map(|m| 1.0 / (8.0 - f64::from(m))).collect();
            for (p, expected) in proposal.probabilities.unwrap().iter().zip(expected) {
                assert!((p - expected).abs() < 1e-12, "{id}: {p}");
            }
        }
    }

    #[test]
    fn odds_weigh_the_score_and_leave_the_uniform_share() {
        let case = Case::random(4, 12, 2, 1, 3, &SeedPath::root(7));
        let odds: Vec<f64> = (0..12).map(|i| if i < 6 { 0.0 } else { 0.5 + f64::from(i) / 24.0 }).collect();
        let s: Vec<f64> = variance(&case).iter().zip(&odds).map(|(s, odds)| s * odds).collect();
        let w = |i: usize| 0.75 * s[i] / s.iter().sum::<f64>() + 0.25 / 12.0;
        for id in ["power-qbc", "power-qbc-diversity"] {
            let found = find(id, &Settings::default()).unwrap();
            let model = case.model(&found.strategy.needs());
            let step = case.step(Some(&model), found.strategy.needs()).unwrap().with_odds(Some(odds.clone()));
            let proposal = found.strategy.propose(&step, 12, &SeedPath::root(1)).unwrap();
            let (rows, q) = (proposal.rows().unwrap(), proposal.probabilities.as_ref().unwrap());
            let scores = proposal.scores.as_ref().unwrap();
            assert!((0..12).all(|i| (scores[i] == 0.0) == (i < 6)), "{id}: {scores}");
            let likeliest = (0..12).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            assert!(likeliest >= 6 && q.iter().all(|q| *q > 0.0 && *q <= 1.0));
            if id == "power-qbc" {
                assert!((q[0] / w(rows[0]) - 1.0).abs() < 1e-12, "{}", q[0]);
            }
        }
    }

    #[test]
    fn cards_say_truly_which_rules_draw() {
        let case = Case::random(6, 20, 2, 1, 4, &SeedPath::root(2));
        for card in crate::catalogue().filter(|card| card.id != "random") {
            let Ok(proposal) = case.propose(&*card.default_strategy(), 3, &SeedPath::root(1)) else {
                panic!("{} cannot choose", card.id);
            };
            assert_eq!(proposal.probabilities.is_some(), card.draws(), "{}", card.id);
        }
    }

    #[test]
    fn settings_reach_the_draw_and_the_score() {
        let settings: Settings = [("beta", "2"), ("rate", "0.25"), ("width_factor", "members")].into_iter().collect();
        let found = find("power-bald", &settings).unwrap();
        assert_eq!(found.settings.iter().count(), 3);
        assert_eq!(found.strategy.needs().dropout.unwrap().rate, 0.25);
        for (key, value) in [("uniform_share", "0"), ("beta", "-1"), ("rate", "1"), ("scaling", "raw")] {
            let error = find("power-bald", &[(key, value)].into_iter().collect()).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
