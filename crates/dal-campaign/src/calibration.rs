//! From disagreement to an interval: how much larger the errors at drawn points were than the networks' disagreement.
//!
//! Of each output one factor, the 90 % quantile of |error| / spread over draws, both after the output's transform,
//! weighted as the estimate of the error is, so that it speaks of the whole domain; held-out points count with weight
//! one. One more draw of mean weight counts as infinite, as in split conformal prediction. It is of earlier models, and
//! whether it holds is measured: in each round the factor of the rounds before meets new draws.

use dal_core::OutputTransform;
use dal_eval::weighted_quantile;

use crate::estimate::{LEVEL, draw_weights, mean_answer};
use crate::folder::Folder;
use crate::words::Drawn;

/// Answered draws below which there is no interval.
pub const FEWEST: usize = 40;

/// Draws of the newest rounds that are looked at, at least.
const NEWEST: usize = 200;

/// How a spread becomes an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Of each output what the members' standard deviation is multiplied by for an interval at
    /// [`LEVEL`]; none where the members agreed and erred too often.
    pub factors: Vec<Option<f64>>,
    /// Answered draws that they come from.
    pub draws: usize,
    /// How earlier factors did on the rounds after; none before there was one.
    pub coverage: Option<Coverage>,
}

/// How often intervals held the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// Of each output the weighted share of draws whose answer lay inside; none where there was no factor.
    pub outputs: Vec<Option<f64>>,
    /// Answered draws that were looked at.
    pub draws: usize,
}

/// How far a factor of an output reaches about a prediction with this spread: T⁻¹(T(mean) ± factor · the spread's half
/// width after T), so that the interval of an output that is learned as a logarithm has positive ends; none where an
/// end is no number.
pub(crate) fn interval(transform: OutputTransform, factor: f64, mean: f64, sd: f64) -> Option<(f64, f64)> {
    let (centre, reach) = (transform.forward(mean), factor * transform.half_width(mean, sd));
    let (low, high) = (transform.backward(centre - reach), transform.backward(centre + reach));
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// A draw: its weight, and of each output |error| / spread.
type Seen = (f64, Vec<f64>);

impl Folder {
    /// The factors of the draws so far; none below [`FEWEST`] answered ones.
    pub fn calibration(&self) -> Option<Calibration> {
        let n_outputs = self.subject().outputs().len();
        let rounds: Vec<Vec<Seen>> =
            self.state().rounds().iter().map(|round| self.seen(round)).filter(|seen| !seen.is_empty()).collect();
        let factors = factors(&rounds, n_outputs)?;
        let (mut inside, mut weights, mut draws) = (vec![0.0; n_outputs], vec![0.0; n_outputs], 0);
        for (r, round) in rounds.iter().enumerate() {
            let Some((before, _)) = self::factors(&rounds[..r], n_outputs) else { continue };
            draws += round.len();
            for (weight, ratios) in round {
                for (j, (ratio, factor)) in ratios.iter().zip(&before).enumerate() {
                    let Some(factor) = factor else { continue };
                    weights[j] += weight;
                    inside[j] += if ratio <= factor { *weight } else { 0.0 };
                }
            }
        }
        let shares = inside.iter().zip(&weights).map(|(a, b)| (*b > 0.0).then(|| a / b)).collect();
        let coverage = (draws > 0).then_some(Coverage { outputs: shares, draws });
        Some(Calibration { factors: factors.0, draws: factors.1, coverage })
    }

    /// The answered draws of a round from the whole domain, where a model with members predicted.
    fn seen(&self, round: &crate::words::Round) -> Vec<Seen> {
        if !round.fixed.is_empty() || !self.is_of_domain(round) {
            return Vec::new();
        }
        let transforms = self.transforms();
        let weights = draw_weights(round).unwrap_or_default();
        let drawn = round.points.iter().zip(weights);
        let apart = round.held_out.iter().map(|drawn| (drawn, 1.0));
        let seen = |(drawn, weight): (&Drawn, f64)| {
            let predicted = drawn.predicted.as_ref().filter(|predicted| !predicted.sd.is_empty())?;
            let answer = mean_answer(&self.usable(self.state().point(drawn.id)?))?;
            let ratios = transforms.iter().zip(predicted.mean.iter().zip(&predicted.sd).zip(&answer));
            let of = |(transform, ((f, sd), y)): (&OutputTransform, ((&f64, &f64), &f64))| {
                let error = (transform.forward(*f) - transform.forward(*y)).abs();
                ratio(error, transform.half_width(*f, *sd))
            };
            Some((weight, ratios.map(of).collect()))
        };
        drawn.chain(apart).filter_map(seen).collect()
    }
}

/// |error| / spread; infinite where the members agree and err, or the prediction is none that the transform can take.
fn ratio(error: f64, sd: f64) -> f64 {
    match error == 0.0 {
        true => 0.0,
        false if (error / sd).is_nan() => f64::INFINITY,
        false => error / sd,
    }
}

/// The factors of the newest rounds with [`NEWEST`] draws together, and how many draws these are; none below
/// [`FEWEST`].
fn factors(rounds: &[Vec<Seen>], n_outputs: usize) -> Option<(Vec<Option<f64>>, usize)> {
    let mut seen: Vec<&Seen> = Vec::new();
    for round in rounds.iter().rev() {
        if seen.len() >= NEWEST {
            break;
        }
        seen.extend(round);
    }
    if seen.len() < FEWEST {
        return None;
    }
    let weights: Vec<f64> = seen.iter().map(|(weight, _)| *weight).collect();
    let of = |j: usize| {
        let ratios: Vec<f64> = seen.iter().map(|(_, ratios)| ratios[j]).collect();
        Some(weighted_quantile(&ratios, &weights, LEVEL)).filter(|factor| factor.is_finite())
    };
    Some(((0..n_outputs).map(of).collect(), seen.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_weighted_quantiles_of_the_newest_rounds() {
        let round = |n: usize, weight: f64, shift: f64| -> Vec<Seen> {
            (0..n).map(|i| (weight, vec![shift + i as f64, 2.0 * i as f64])).collect()
        };
        assert_eq!(factors(&[round(39, 1.0, 0.0)], 2), None);
        // 0.9 · (40 + 1) = 36.9 draws lie at or below the 37th, which is 36.
        assert_eq!(factors(&[round(40, 2.0, 0.0)], 2), Some((vec![Some(36.0), Some(72.0)], 40)));
        // Old rounds do not count once there are two hundred newer draws.
        let newest = factors(&[round(40, 1.0, 1e9), round(200, 1.0, 0.0)], 2).unwrap();
        assert_eq!(newest, (vec![Some(180.0), Some(360.0)], 200));
        // Heavy draws with small errors pull the factor down.
        let mixed = factors(&[[round(40, 1.0, 0.0), vec![(60.0, vec![0.0, 0.0]); 40]].concat()], 2).unwrap();
        assert_eq!(mixed.0[0], Some(0.0));
        let (low, high) = interval(OutputTransform::Log, 20.0, 16.7, 6.6).unwrap();
        assert_eq!(interval(OutputTransform::Log, 20.0, -1.0, 6.6), None);
        assert!(low > 0.0 && low < 16.7 && high > 16.7 && (low * high / (16.7 * 16.7) - 1.0).abs() < 1e-9);
        // A spread as large as the prediction is nothing special.
        let reach = |sd| interval(OutputTransform::Log, 1.0, 1.0, sd).unwrap().1;
        assert!(reach(0.999) < reach(1.0) && reach(1.0) < reach(1.001) && (reach(1.0) - 2.0).abs() < 1e-12);
        assert_eq!(interval(OutputTransform::None, 2.0, 1.0, 0.5), Some((0.0, 2.0)));
        assert_eq!((ratio(0.0, 0.0), ratio(1.0, 0.0), ratio(1.0, 2.0)), (0.0, f64::INFINITY, 0.5));
    }
}
