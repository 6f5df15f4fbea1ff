//! Selections by distances to centres: largest cluster maximum distance, maximum distance, k-means++.

use dal_core::Stop;
use dal_geom::row_products;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

/// Products of a block of points and all centres held at once (8 bytes each).
const BLOCK_VALUES: usize = 1 << 19;
/// Coordinates after which a sum of squares is looked at, whether it is too large already.
const STRETCH: usize = 64;
/// Sums carried side by side.
const LANES: usize = 8;

/// `|a − b|²`, or something not below `enough` where it is not below that.
fn squared_gap(a: &[f64], b: &[f64], enough: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut sum = 0.0;
    for (a, b) in a.chunks(STRETCH).zip(b.chunks(STRETCH)) {
        let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for l in 0..LANES {
                let t = a[l] - b[l];
                lanes[l] += t * t;
            }
        }
        let rest: f64 = rest_a.iter().zip(rest_b).map(|(x, y)| (x - y) * (x - y)).sum();
        sum = lanes.iter().sum::<f64>() + rest;
        if sum >= enough {
            break;
        }
    }
    sum
}

fn row<'a>(rows: &'a ArrayView2<'_, f64>, i: usize) -> &'a [f64] {
    rows.row(i).to_slice().unwrap_or(&[])
}

/// How selections by distance choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByDistance {
    /// The farthest point of the cluster of the largest sum of squared distances.
    LargestCluster,
    /// The farthest point.
    Farthest,
    /// Drawn in proportion to the squared distance.
    Drawn,
}

/// Every point's nearest centre.
pub(super) struct Nearest<'a> {
    points: ArrayView2<'a, f64>,
    /// Squared distances; squared norms before there is a centre.
    pub squared: Vec<f64>,
    /// The nearest centre, the earliest where several are as near.
    centre: Vec<usize>,
    n_centres: usize,
    taken: Vec<bool>,
}

impl<'a> Nearest<'a> {
    /// Without a centre; points are row-major.
    pub fn none(points: ArrayView2<'a, f64>) -> Self {
        let squared = points.outer_iter().map(|row| row.dot(&row)).collect();
        let n = points.nrows();
        Self { points, squared, centre: vec![0; n], n_centres: 0, taken: vec![false; n] }
    }

    /// To the rows of `centres`.
    ///
    /// Products `|c|² − 2 x · c` find the centres that may be nearest, rounding allowed for; the distance is then a sum
    /// of squared differences, so that a copy of a centre has the distance 0.
    pub fn to(points: ArrayView2<'a, f64>, centres: ArrayView2<'_, f64>) -> Self {
        let mut nearest = Self::none(points);
        if centres.nrows() == 0 {
            return nearest;
        }
        nearest.n_centres = centres.nrows();
        let norms: Vec<f64> = centres.outer_iter().map(|c| c.dot(&c)).collect();
        let largest = norms.iter().copied().fold(0.0, f64::max);
        let rows_at_once = (BLOCK_VALUES / centres.nrows()).clamp(16, 4096);
        for (b, block) in points.axis_chunks_iter(Axis(0), rows_at_once).enumerate() {
            let products = row_products(block, centres);
            for (i, products) in products.outer_iter().enumerate() {
                let at = b * rows_at_once + i;
                let score = |c: usize| norms[c] - 2.0 * products[c];
                let least = (0..norms.len()).map(score).fold(f64::INFINITY, f64::min);
                let slack = 1e-12 * (nearest.squared[at] + largest);
                let point = row(&nearest.points, at);
                let mut found = (f64::INFINITY, 0);
                for c in (0..norms.len()).filter(|&c| score(c) <= least + slack) {
                    let gap = squared_gap(point, row(&centres, c), found.0);
                    if gap < found.0 {
                        found = (gap, c);
                    }
                    if gap == 0.0 {
                        break;
                    }
                }
                (nearest.squared[at], nearest.centre[at]) = found;
            }
        }
        nearest
    }

    /// Makes a point a centre that is not to be picked again.
    pub fn adopt(&mut self, picked: usize) {
        self.taken[picked] = true;
        let new = row(&self.points, picked);
        let is_first = self.n_centres == 0;
        for i in 0..self.squared.len() {
            let enough = if is_first { f64::INFINITY } else { self.squared[i] };
            let gap = squared_gap(row(&self.points, i), new, enough);
            if gap < enough {
                (self.squared[i], self.centre[i]) = (gap, self.n_centres);
            }
        }
        self.n_centres += 1;
    }

    /// The next point and its squared distance; `uniform` draws from [0, 1). None where every point is taken.
    fn choose(&self, rule: ByDistance, uniform: &mut dyn FnMut() -> f64) -> Option<(usize, f64)> {
        let taken = &self.taken;
        let first = taken.iter().position(|taken| !taken)?;
        let left = || (first..taken.len()).filter(move |&i| !taken[i]);
        let farthest = |of: &dyn Fn(usize) -> bool| {
            let mut found: Option<(usize, f64)> = None;
            for i in left().filter(|&i| of(i)) {
                if found.is_none_or(|(_, most)| self.squared[i] > most) {
                    found = Some((i, self.squared[i]));
                }
            }
            found
        };
        match rule {
            ByDistance::Farthest => farthest(&|_| true),
            ByDistance::LargestCluster => {
                let mut weights = vec![0.0; self.n_centres.max(1)];
                left().for_each(|i| weights[self.centre[i]] += self.squared[i]);
                let mut largest = 0;
                for (c, &weight) in weights.iter().enumerate() {
                    if weight > weights[largest] {
                        largest = c;
                    }
                }
                // Where every distance is 0 the first cluster may be empty.
                farthest(&|i| weights[largest] == 0.0 || self.centre[i] == largest)
            }
            ByDistance::Drawn => {
                let total: f64 = left().map(|i| self.squared[i]).sum();
                if total <= 0.0 {
                    let all = left().count();
                    return left().nth((uniform() * all as f64) as usize).map(|i| (i, 0.0));
                }
                let (at, mut sum) = (uniform() * total, 0.0);
                let mut last = None;
                for i in left().filter(|&i| self.squared[i] > 0.0) {
                    sum += self.squared[i];
                    last = Some((i, self.squared[i]));
                    if sum > at {
                        break;
                    }
                }
                last
            }
        }
    }

    /// Picks `n` points, fewer where it is stopped: rows and distances at the moment of each pick.
    pub fn pick(
        mut self,
        rule: ByDistance,
        n: usize,
        stop: &Stop,
        uniform: &mut dyn FnMut() -> f64,
    ) -> (Vec<usize>, Vec<f64>) {
        let (mut picked, mut scores) = (Vec::with_capacity(n), Vec::with_capacity(n));
        while picked.len() < n && !stop.is_now() {
            let Some((row, squared)) = self.choose(rule, uniform) else { break };
            picked.push(row);
            scores.push(squared.sqrt());
            if picked.len() < n {
                self.adopt(row);
            }
        }
        (picked, scores)
    }
}

/// Goes on by largest cluster maximum distance after `picked`, until there are `n`.
pub(super) fn go_on(points: &Array2<f64>, n: usize, stop: &Stop, picked: &mut Vec<usize>) {
    let mut nearest = Nearest::none(points.view());
    picked.iter().take_while(|_| !stop.is_now()).for_each(|&row| nearest.adopt(row));
    picked.extend(nearest.pick(ByDistance::LargestCluster, n - picked.len(), stop, &mut || 0.0).0);
}

/// Dot products of every row with a vector.
pub(super) fn along(rows: &Array2<f64>, vector: ArrayView1<'_, f64>) -> Vec<f64> {
    rows.dot(&vector).to_vec()
}
