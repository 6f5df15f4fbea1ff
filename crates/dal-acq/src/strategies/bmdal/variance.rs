//! Selections by what remains of a Gaussian process's covariance: its determinant (`maxdet`) and the information about
//! a target; what `bait` shares with them.
//!
//! Features stay as they are, but where `bait` would lose its digits. After picks s₁ … s_k the covariance of points x
//! and y is `φ_x · φ_y − Σ_j c_j(x) c_j(y)` with `c_j(x) = φ_x · w_j` and `w_k = (φ_s − Σ_{j<k} c_j(s) w_j) / √(v(s) +
//! σ²)`, v the variance before the pick: a pivoted Cholesky factorisation that keeps a vector of p numbers a pick.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use dal_geom::row_products;
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2, Axis, s};

use super::centres::{along, go_on};
use super::points::{NOISE, Points};

/// Covariances with a target held at most (8 bytes each).
const TARGET_VALUES: usize = 24 << 20;

/// What a selection chose.
pub(super) struct Chosen {
    pub picked: Vec<usize>,
    /// Of each pick at its moment; NaN of those after the rank was used up, which another rule made.
    pub picked_scores: Vec<f64>,
    /// Of every pool point before the first pick.
    pub scores: Vec<f64>,
    /// Picks that the rule itself made, before it went on by distances.
    pub n_own: usize,
    /// Targets that count, where not all of them could be held.
    pub n_targets: Option<usize>,
}

/// The pool's variances, brought down pick by pick.
pub(super) struct Conditioned<'a> {
    pub pool: Cow<'a, Array2<f64>>,
    pub variance: Vec<f64>,
    /// Of the picks that are not in the features.
    pub directions: Vec<Array1<f64>>,
    /// Those picks.
    since: Vec<usize>,
    pub taken: Vec<bool>,
    /// A variance at or below this is used up: see [`Points::used_up`], or rounding has it.
    pub floor: f64,
}

impl<'a> Conditioned<'a> {
    pub fn new(points: &'a Points) -> Self {
        let pool = Cow::Borrowed(&points.pool);
        let variance = squared_norms(&pool);
        let largest = variance.iter().copied().fold(0.0, f64::max);
        let (taken, floor) = (vec![false; variance.len()], points.used_up.max(1e-12 * largest));
        Self { pool, variance, directions: Vec::new(), since: Vec::new(), taken, floor }
    }

    /// Takes a point and gives `w` of it.
    pub fn take(&mut self, picked: usize) -> Array1<f64> {
        self.taken[picked] = true;
        self.since.push(picked);
        let point = self.pool.row(picked);
        let mut direction = point.to_owned();
        for earlier in &self.directions {
            direction.scaled_add(-point.dot(earlier), earlier);
        }
        direction / (self.variance[picked].max(0.0) + NOISE).sqrt()
    }

    /// Brings the variances down by a `w` and its `c` at the pool.
    fn condition(&mut self, direction: Array1<f64>, c: &[f64]) {
        for (variance, c) in self.variance.iter_mut().zip(c) {
            *variance -= c * c;
        }
        self.directions.push(direction);
    }

    /// Puts the picks into the features, those of `others` too: what follows is no difference of what was before them.
    pub fn settle(&mut self, others: &mut Array2<f64>) {
        let pool = self.pool.to_mut();
        // Each of the picks as it is when those before it are in the features.
        let mut points = pool.select(Axis(0), &std::mem::take(&mut self.since));
        for k in 0..points.nrows() {
            let point = points.row(k).to_owned();
            observe(points.slice_mut(s![k + 1.., ..]), std::slice::from_ref(&point));
        }
        let points: Vec<Array1<f64>> = points.outer_iter().map(|point| point.to_owned()).collect();
        observe(pool.view_mut(), &points);
        observe(others.view_mut(), &points);
        self.variance = squared_norms(pool);
        self.directions.clear();
    }

    /// The first point of the greatest score that is left; `None` where the variances are used up.
    fn best(&self, score: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
        let mut found: Option<(usize, f64)> = None;
        let mut is_used_up = true;
        for i in (0..self.taken.len()).filter(|&i| !self.taken[i]) {
            is_used_up &= self.variance[i] <= self.floor;
            let score = score(i);
            if found.is_none_or(|(_, most)| score > most) {
                found = Some((i, score));
            }
        }
        found.filter(|_| !is_used_up)
    }
}

fn squared_norms(rows: &Array2<f64>) -> Vec<f64> {
    rows.outer_iter().map(|row| row.dot(&row)).collect()
}

/// Multiplies rows by the symmetric roots of `I − φ φᵀ / (φ · φ + σ²)`, one point φ after the other: their inner
/// products are covariances given noisy observations there then. A row is met once, by all points while it is at hand.
fn observe(mut rows: ArrayViewMut2<'_, f64>, points: &[Array1<f64>]) {
    let factor = |point: &Array1<f64>| {
        let root = (point.dot(point) + NOISE).sqrt();
        1.0 / (root * (root + NOISE.sqrt()))
    };
    let factors: Vec<f64> = points.iter().map(factor).collect();
    for mut row in rows.outer_iter_mut() {
        for (point, factor) in points.iter().zip(&factors) {
            let along = row.dot(point);
            row.scaled_add(-factor * along, point);
        }
    }
}

/// A pool point with a variance that it does not exceed.
#[derive(Clone, Copy, PartialEq)]
struct Bound {
    variance: f64,
    row: usize,
}

impl Eq for Bound {}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.variance.total_cmp(&other.variance).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Greedily the point of the greatest remaining variance, which multiplies the determinant of the picks' covariance
/// most.
///
/// Variances only fall, so that the last one known of a point bounds it; it is brought up to date where it comes first.
pub(super) fn maxdet(points: &Points, n: usize) -> Chosen {
    let mut state = Conditioned::new(points);
    let scores = state.variance.clone();
    let (mut picked, mut picked_scores) = (Vec::new(), Vec::new());
    let mut known = vec![0; scores.len()];
    let bounds = scores.iter().enumerate().map(|(row, &variance)| Bound { variance, row });
    let mut heap: BinaryHeap<Bound> = bounds.collect();
    while picked.len() < n.min(points.rank) && !points.stop.is_now() {
        let Some(Bound { variance, row }) = heap.pop() else { break };
        if known[row] < state.directions.len() {
            for direction in &state.directions[known[row]..] {
                let c = points.pool.row(row).dot(direction);
                state.variance[row] -= c * c;
            }
            known[row] = state.directions.len();
            heap.push(Bound { variance: state.variance[row], row });
            continue;
        }
        if variance <= state.floor {
            break;
        }
        picked.push(row);
        picked_scores.push(variance);
        let direction = state.take(row);
        state.directions.push(direction);
    }
    finish(points, n, picked, picked_scores, scores, None)
}

pub(super) fn finish(
    points: &Points,
    n: usize,
    mut picked: Vec<usize>,
    mut picked_scores: Vec<f64>,
    scores: Vec<f64>,
    n_targets: Option<usize>,
) -> Chosen {
    let n_own = picked.len();
    if n_own < n {
        go_on(&points.pool, n, &points.stop, &mut picked);
        // Distances are no values of this rule.
        picked_scores.resize(picked.len(), f64::NAN);
    }
    Chosen { picked, picked_scores, scores, n_own, n_targets }
}

/// Greedily the point x of the greatest mean over targets of `−½ ln(1 − ρ²)`, ρ the correlation of observations at x
/// and at t: how much an observation at x tells about one at a target.
pub(super) fn epig(points: &Points, on_domain: bool, n: usize) -> Chosen {
    let pool = &points.pool;
    let all: Vec<ArrayView1<'_, f64>> = if on_domain {
        points.domain.outer_iter().collect()
    } else {
        pool.outer_iter().chain(points.labelled.outer_iter()).collect()
    };
    let held = all.len().min((TARGET_VALUES / pool.nrows().max(1)).max(1));
    // Evenly spaced rows: a spread over a pool that has an order, and as good as any of one that has none.
    let mut target = Array2::zeros((held, pool.ncols()));
    for (k, mut row) in target.outer_iter_mut().enumerate() {
        row.assign(&all[k * all.len() / held]);
    }
    let n_targets = (held < all.len()).then_some(held);
    let mut covariance = Array2::zeros((pool.nrows(), target.nrows()));
    for first in (0..pool.nrows()).step_by(1024) {
        let rows = first..(first + 1024).min(pool.nrows());
        let part = row_products(pool.slice(s![rows.clone(), ..]), target.view());
        covariance.slice_mut(s![rows, ..]).assign(&part);
    }
    let mut state = Conditioned::new(points);
    let mut of_target = squared_norms(&target);
    let information = |row: ArrayView1<'_, f64>, variance: f64, of_target: &[f64]| {
        let own = variance.max(0.0) + NOISE;
        let one = |(k, t): (&f64, &f64)| {
            let square = k * k / (own * (t.max(0.0) + NOISE));
            -0.5 * (-square.clamp(0.0, 1.0 - 1e-12)).ln_1p()
        };
        row.iter().zip(of_target).map(one).sum::<f64>() / of_target.len() as f64
    };
    let all_scores = |state: &Conditioned<'_>, covariance: &Array2<f64>, of_target: &[f64]| -> Vec<f64> {
        let rows = covariance.outer_iter().zip(&state.variance).zip(&state.taken);
        rows.map(|((row, &v), &taken)| if taken { 0.0 } else { information(row, v, of_target) }).collect()
    };
    let mut scores = all_scores(&state, &covariance, &of_target);
    let first_scores = scores.clone();
    let (mut picked, mut picked_scores) = (Vec::new(), Vec::new());
    // What is picked after the rank is picked by distance: nothing is to be conditioned for it.
    let most = n.min(points.rank);
    while picked.len() < most && !points.stop.is_now() {
        let Some((row, best)) = state.best(|i| scores[i]) else { break };
        picked.push(row);
        picked_scores.push(best);
        if picked.len() == most {
            break;
        }
        let direction = state.take(row);
        let c = along(pool, direction.view());
        let at_target = along(&target, direction.view());
        for (mut row, c) in covariance.outer_iter_mut().zip(&c) {
            row.iter_mut().zip(&at_target).for_each(|(k, t)| *k -= c * t);
        }
        of_target.iter_mut().zip(&at_target).for_each(|(v, t)| *v -= t * t);
        state.condition(direction, &c);
        scores = all_scores(&state, &covariance, &of_target);
    }
    finish(points, n, picked, picked_scores, first_scores, n_targets)
}
