//! Where points fail for their own sake: a model by nearest neighbours that counts only once it beats chance.

use dal_core::OutputScaling;

use crate::state::{Part, State, Status};

/// Neighbours that are asked.
const NEIGHBOURS: usize = 7;
/// Points of either kind without which there is nothing to tell apart.
const FEWEST: usize = 5;
/// Standard errors by which the model must beat chance.
const ERRORS: f64 = 2.0;
/// Nowhere is given up: a candidate stays with this probability at least.
const LEAST: f64 = 0.05;

/// How likely a point is to have an answer, from those that have one and those that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Feasibility {
    /// The points, one behind the other.
    x: Vec<f64>,
    answered: Vec<bool>,
    n_answered: usize,
    /// How often, over pairs of an answered and a failed point that are each left out, the answered one is held the
    /// likelier.
    pub auc: f64,
}

impl Feasibility {
    /// Of the points of a campaign that models learn; none while it does not beat chance: the area under its curve,
    /// each point left out in turn, must lie two standard errors above one half, by the variance (n₁ + n₀ + 1) / (12 n₁
    /// n₀) that it has by chance.
    ///
    /// A point none of whose answers `scaling` can take has failed: no model learns it.
    pub fn of(state: &State, scaling: &OutputScaling) -> Option<Self> {
        // Points that judge models have no say in what models learn.
        let learned = state.points().filter(|point| point.part == Part::Learned);
        let points = learned.filter_map(|point| {
            let unit = point.unit.clone()?;
            match point.status() {
                Status::Done => Some((unit, point.is_learnable(scaling))),
                Status::Failed => Some((unit, false)),
                _ => None,
            }
        });
        let (x, answered): (Vec<_>, Vec<_>) = points.unzip();
        Self::from_points(x, answered)
    }

    fn from_points(x: Vec<Vec<f64>>, answered: Vec<bool>) -> Option<Self> {
        let n_answered = answered.iter().filter(|ok| **ok).count();
        let n_failed = answered.len() - n_answered;
        if n_answered < FEWEST || n_failed < FEWEST {
            return None;
        }
        let mut model = Self { x: x.concat(), answered, n_answered, auc: 0.5 };
        let (mut of_answered, mut of_failed) = (Vec::new(), Vec::new());
        for (i, point) in x.iter().enumerate() {
            let of = if model.answered[i] { &mut of_answered } else { &mut of_failed };
            of.push(model.share(point, Some(i)));
        }
        let (auc, chance) = larger_share(&of_answered, &of_failed);
        model.auc = auc;
        (model.auc > 0.5 + ERRORS * chance).then_some(model)
    }

    /// The share of answered points among the nearest ones, of equally near ones the earlier, the share of all points
    /// counting as one more.
    fn share(&self, point: &[f64], but: Option<usize>) -> f64 {
        // The nearest so far, nearest first: a round asks this at every candidate.
        let mut near = [(f64::INFINITY, false); NEIGHBOURS];
        for (i, (other, ok)) in self.x.chunks_exact(point.len()).zip(&self.answered).enumerate() {
            let squared: f64 = point.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
            if squared < near[NEIGHBOURS - 1].0 && Some(i) != but {
                let place = near.partition_point(|known| known.0 <= squared);
                near.copy_within(place..NEIGHBOURS - 1, place + 1);
                near[place] = (squared, *ok);
            }
        }
        let n = self.answered.len() - usize::from(but.is_some());
        if n == 0 {
            return 0.5;
        }
        let all = self.n_answered - usize::from(but.is_some_and(|i| self.answered[i]));
        let k = NEIGHBOURS.min(n);
        (near[..k].iter().filter(|(_, ok)| *ok).count() as f64 + all as f64 / n as f64) / (k as f64 + 1.0)
    }

    /// The probability that a point of the unit box has an answer.
    pub fn answers(&self, point: &[f64]) -> f64 {
        self.share(point, None)
    }

    /// The probability with which a candidate at a point of the unit box stays among the candidates.
    pub fn keeps(&self, point: &[f64]) -> f64 {
        self.answers(point).max(LEAST)
    }
}

/// The share of pairs in which one of the first has the larger value (ties count half), and the standard error that it
/// has by chance, √((n₁ + n₀ + 1) / (12 n₁ n₀)).
pub(crate) fn larger_share(these: &[f64], others: &[f64]) -> (f64, f64) {
    let win = |a: &f64, b: &f64| if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 };
    let wins: f64 = these.iter().flat_map(|a| others.iter().map(move |b| win(a, b))).sum();
    let (n, m) = (these.len() as f64, others.len() as f64);
    (wins / (n * m), ((n + m + 1.0) / (12.0 * n * m)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::SeedPath;
    use rand::RngExt;

    fn points(n: usize, fails: impl Fn(&[f64], f64) -> bool) -> Option<Feasibility> {
        let mut rng = SeedPath::root(5).rng();
        let x: Vec<Vec<f64>> = (0..n).map(|_| (0..2).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()).collect();
        let answered = x.iter().map(|point| !fails(point, rng.random())).collect();
        Feasibility::from_points(x, answered)
    }

    #[test]
    fn a_corner_that_fails_is_thinned_and_the_rest_is_not() {
        let model = points(80, |point, _| point[0] > 0.4 && point[1] > 0.0).expect("it beats chance");
        assert!(model.auc > 0.8, "{}", model.auc);
        assert!(model.keeps(&[0.8, 0.8]) < 0.45 && model.keeps(&[-0.8, -0.8]) > 0.9);
        assert!(model.keeps(&[0.9, 0.9]) >= LEAST);
        assert!(model.answers(&[0.8, 0.8]) < 0.5 && model.answers(&[-0.8, -0.8]) < 1.0);
    }

    #[test]
    fn shares_are_those_of_the_plain_sort() {
        let model = points(80, |point, dice| point[0] > 0.4 && dice < 0.9).expect("it beats chance");
        let plain = |point: &[f64], but: Option<usize>| {
            let others = (0..80).filter(|i| Some(*i) != but);
            let mut near: Vec<(f64, bool)> = others
                .map(|i| (crate::subject::distance(point, &model.x[2 * i..2 * i + 2]), model.answered[i]))
                .collect();
            let all = near.iter().filter(|(_, ok)| *ok).count() as f64 / near.len() as f64;
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            (near[..NEIGHBOURS].iter().filter(|(_, ok)| *ok).count() as f64 + all) / (NEIGHBOURS as f64 + 1.0)
        };
        for i in 0..80 {
            let point = [model.x[2 * i], model.x[2 * i + 1]];
            for but in [Some(i), None] {
                assert_eq!(model.share(&point, but), plain(&point, but));
            }
        }
    }

    #[test]
    fn failures_at_random_or_too_few_teach_nothing() {
        assert_eq!(points(60, |_, dice| dice < 0.15), None);
        assert_eq!(points(10, |point, _| point[0] > 0.7), None);
        assert_eq!(points(60, |_, _| false), None);
    }
}
