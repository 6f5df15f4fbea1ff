//! The least variance over targets: `bait`.

use std::borrow::Cow;

use dal_geom::{RoughRows, gram, quadratic_forms, row_products};
use ndarray::{Array1, Array2, Axis};

use super::points::{NOISE, Points};
use super::variance::{Chosen, Conditioned, finish};

/// What is left of the largest sum when picks are put into the features: sums fall with the square of the variances, by
/// twelve digits down to the noise, and each is a difference of earlier ones.
const LEFT: f64 = 1e-3;

/// What `bait` sums over: the pool, where it counts, and other points.
struct Targets<'a> {
    with_pool: bool,
    others: Cow<'a, Array2<f64>>,
    /// `B = Φ_Tᵀ Φ_T`; none where targets are fewer than features, and B is larger than they are.
    gram: Option<Array2<f64>>,
}

impl<'a> Targets<'a> {
    fn new(points: &'a Points, on_domain: bool) -> Self {
        let others = Cow::Borrowed(if on_domain { &points.domain } else { &points.labelled });
        let mut targets = Self { with_pool: !on_domain, others, gram: None };
        targets.gather(&points.pool);
        targets
    }

    fn parts<'b>(&'b self, pool: &'b Array2<f64>) -> impl Iterator<Item = &'b Array2<f64>> {
        self.with_pool.then_some(pool).into_iter().chain([&*self.others])
    }

    /// Works out B from the features as they are.
    fn gather(&mut self, pool: &Array2<f64>) {
        let n_targets: usize = self.parts(pool).map(Array2::nrows).sum();
        self.gram = if n_targets < pool.ncols() {
            None
        } else {
            self.parts(pool).map(|rows| gram(rows.view())).reduce(|a, b| a + b)
        };
    }

    /// `Σ_t k(x, t)²` of every pool point x.
    fn reach(&self, pool: &Array2<f64>) -> Vec<f64> {
        if let Some(gram) = &self.gram {
            return quadratic_forms(pool.view(), gram.view());
        }
        let mut out = vec![0.0; pool.nrows()];
        for part in self.parts(pool) {
            for (out, block) in out.chunks_mut(256).zip(pool.axis_chunks_iter(Axis(0), 256)) {
                let products = row_products(block, part.view());
                out.iter_mut().zip(products.outer_iter()).for_each(|(sum, row)| *sum += row.dot(&row));
            }
        }
        out
    }

    /// `B w`.
    fn image(&self, pool: &Array2<f64>, w: &Array1<f64>) -> Array1<f64> {
        match &self.gram {
            Some(gram) => gram.dot(w),
            None => self.parts(pool).fold(Array1::zeros(w.len()), |sum, rows| sum + rows.t().dot(&rows.dot(w))),
        }
    }
}

/// What passes over rough rows tell of a point, and how far off it is at most.
#[derive(Clone, Copy, Debug)]
struct About {
    variance: f64,
    reach: f64,
    variance_off: f64,
    reach_off: f64,
}

fn score(variance: f64, reach: f64) -> f64 {
    reach.max(0.0) / (variance.max(0.0) + NOISE)
}

impl About {
    fn exact(variance: f64, reach: f64) -> Self {
        Self { variance, reach, variance_off: 0.0, reach_off: 0.0 }
    }

    /// A score that the point's own is not below.
    fn at_least(&self) -> f64 {
        score(self.variance + self.variance_off, self.reach - self.reach_off)
    }

    /// A score that the point's own is not above.
    fn at_most(&self) -> f64 {
        score(self.variance - self.variance_off, self.reach + self.reach_off)
    }
}

/// The pool's sums and variances, brought down pick by pick.
///
/// A pass over the rows in sixteen bits bounds every point's score; where the bounds do not tell who is best, the
/// few points that may be are brought up to date from their features in double precision. Picks and their scores are
/// those of passes over the features themselves.
struct Screened<'a> {
    /// Its variances are those of `known` picks each.
    state: Conditioned<'a>,
    targets: Targets<'a>,
    /// `Σ_t k(x, t)²` after `known` picks each.
    reach: Vec<f64>,
    /// How many of the picks that are not in the features are in a point's numbers.
    known: Vec<usize>,
    /// `B w` of each such pick.
    images: Vec<Array1<f64>>,
    /// `u` and `w · B w` of each such pick.
    moves: Vec<(Array1<f64>, f64)>,
    /// None where rows or a pick's vectors cannot be had so: every point is brought up to date then.
    rough: Option<RoughRows>,
    about: Vec<About>,
    products: Vec<[f64; 2]>,
    /// The largest sum when features were last worked on.
    top: f64,
}

impl<'a> Screened<'a> {
    fn new(points: &'a Points, on_domain: bool, is_screened: bool) -> Self {
        let (state, targets) = (Conditioned::new(points), Targets::new(points, on_domain));
        let n = state.variance.len();
        let mut all = Self {
            state,
            targets,
            reach: Vec::new(),
            known: vec![0; n],
            images: Vec::new(),
            moves: Vec::new(),
            rough: None,
            about: Vec::new(),
            products: vec![[0.0; 2]; n],
            top: 0.0,
        };
        all.look(is_screened);
        all
    }

    /// Works out sums from the features as they are.
    fn look(&mut self, is_screened: bool) {
        let pool = &self.state.pool;
        self.reach = self.targets.reach(pool);
        self.known.fill(0);
        self.images.clear();
        self.moves.clear();
        self.rough = is_screened.then(|| RoughRows::new(pool.view(), &self.state.variance)).flatten();
        let both = self.state.variance.iter().zip(&self.reach);
        self.about = both.map(|(&variance, &reach)| About::exact(variance, reach)).collect();
        let left = self.about.iter().zip(&self.state.taken).filter(|(_, taken)| !**taken);
        self.top = left.fold(0.0, |most, (about, _)| f64::max(most, about.reach));
    }

    /// Whether every sum that is left has come down to a thousandth of the largest; that is met exactly.
    fn has_fallen(&mut self) -> bool {
        let enough = LEFT * self.top;
        for i in 0..self.about.len() {
            let About { reach, reach_off, .. } = self.about[i];
            if self.state.taken[i] || reach + reach_off < enough {
                continue;
            }
            if reach - reach_off < enough {
                self.bring(i);
            }
            if self.about[i].reach >= enough {
                return false;
            }
        }
        enough > 0.0
    }

    /// Brings a point up to date from its features.
    fn bring(&mut self, i: usize) {
        let point = self.state.pool.row(i);
        let (mut variance, mut reach) = (self.state.variance[i], self.reach[i]);
        for (w, (u, total)) in self.state.directions.iter().zip(&self.moves).skip(self.known[i]) {
            let (c, g) = (point.dot(w), point.dot(u));
            reach += c * (c * total - 2.0 * g);
            variance -= c * c;
        }
        self.known[i] = self.moves.len();
        (self.state.variance[i], self.reach[i]) = (variance, reach);
        self.about[i] = About::exact(variance, reach);
    }

    /// Whether no variance is left; the floor is met exactly.
    fn is_used_up(&mut self) -> bool {
        for i in 0..self.about.len() {
            let About { variance, variance_off, .. } = self.about[i];
            if self.state.taken[i] || variance + variance_off <= self.state.floor {
                continue;
            }
            if variance - variance_off <= self.state.floor {
                self.bring(i);
            }
            if self.about[i].variance > self.state.floor {
                return false;
            }
        }
        true
    }

    /// The first point of the greatest score that is left; `None` where the variances are used up.
    fn best(&mut self) -> Option<(usize, f64)> {
        if self.is_used_up() {
            return None;
        }
        let left = self.about.iter().zip(&self.state.taken).filter(|(_, taken)| !**taken);
        let least = left.fold(f64::NEG_INFINITY, |least, (about, _)| least.max(about.at_least()));
        let mut found: Option<(usize, f64)> = None;
        for i in 0..self.about.len() {
            if self.state.taken[i] || self.about[i].at_most() < least {
                continue;
            }
            self.bring(i);
            let score = score(self.state.variance[i], self.reach[i]);
            if found.is_none_or(|(_, most)| score > most) {
                found = Some((i, score));
            }
        }
        found
    }

    /// Conditions on a point.
    fn take(&mut self, row: usize) {
        let w = self.state.take(row);
        let image = self.targets.image(&self.state.pool, &w);
        let mut u = image.clone();
        for (earlier, direction) in self.images.iter().zip(&self.state.directions) {
            u.scaled_add(-earlier.dot(&w), direction);
        }
        let total = image.dot(&w);
        self.pass(&w, &u, total);
        self.images.push(image);
        self.state.directions.push(w);
        self.moves.push((u, total));
        if self.rough.is_none() {
            (0..self.about.len()).for_each(|i| self.bring(i));
        }
    }

    /// Moves what is known about every point, and the bounds with it.
    fn pass(&mut self, w: &Array1<f64>, u: &Array1<f64>, total: f64) {
        let Some(rough) = &self.rough else { return };
        let lengths = w.as_slice().zip(u.as_slice()).and_then(|(w, u)| rough.products([w, u], &mut self.products));
        let Some([length_w, length_u]) = lengths else {
            self.rough = None;
            return;
        };
        for (i, (about, &[c, g])) in self.about.iter_mut().zip(&self.products).enumerate() {
            let slack = rough.slack(i);
            let (off_c, off_g) = (slack * length_w, slack * length_u);
            // How far c² and 2 c g are off, and the rounding of sums that were taken in two ways.
            let off_square = off_c * (2.0 * c.abs() + off_c);
            let off_product = 2.0 * (c.abs() * off_g + g.abs() * off_c + off_c * off_g);
            let (square, product) = (c * c, 2.0 * c * g);
            about.variance -= square;
            about.variance_off += off_square + 4.0 * f64::EPSILON * (about.variance.abs() + square);
            about.reach += square * total - product;
            about.reach_off += off_square * total.abs()
                + off_product
                + 4.0 * f64::EPSILON * (about.reach.abs() + square * total.abs() + product.abs());
        }
    }
}

/// Greedily the point x of the greatest `Σ_t k(x, t)² / (k(x, x) + σ²)`: by how much an observation at x brings down
/// the sum of the variances over the target.
///
/// With `B = Φ_Tᵀ Φ_T` the sums follow without the targets: `Σ_t c(t)² = w · B w` and `Σ_t k(x, t) c(t) = φ_x · u` with
/// `u = B w − Σ_j w_j (w_j · B w)`. Where they have fallen far, picks are put into copies of the features and the sums
/// are worked out anew.
pub(super) fn bait(points: &Points, on_domain: bool, n: usize) -> Chosen {
    choose(points, on_domain, n, true)
}

/// `is_screened`: points are looked at in sixteen bits first. The picks and their scores are the same.
fn choose(points: &Points, on_domain: bool, n: usize, is_screened: bool) -> Chosen {
    let mut state = Screened::new(points, on_domain, is_screened);
    let scores = state.about.iter().map(|about| score(about.variance, about.reach)).collect();
    let (mut picked, mut picked_scores) = (Vec::new(), Vec::new());
    // What is picked after the rank is picked by distance: nothing is to be conditioned for it.
    let most = n.min(points.rank);
    while picked.len() < most && !points.stop.is_now() {
        let Some((row, best)) = state.best() else { break };
        picked.push(row);
        picked_scores.push(best);
        if picked.len() == most {
            break;
        }
        state.take(row);
        if state.has_fallen() {
            state.state.settle(state.targets.others.to_mut());
            state.targets.gather(&state.state.pool);
            state.look(is_screened);
        }
    }
    finish(points, n, picked, picked_scores, scores, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    use dal_core::{SeedPath, Stop};
    use ndarray::s;
    use proptest::prelude::*;
    use rand::RngExt;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn screening_changes_no_bit(
            n in 1_usize..80, l in 0_usize..6, p in 1_usize..40, fall in 0.0_f64..2.0, copies: bool, on_domain: bool,
            picks in 1_usize..40, used_up in 0_usize..4, ranks in 0_usize..3, beyond in 0_usize..6, seed: u64,
        ) {
            let mut rng = SeedPath::root(seed).rng();
            // A spectrum that falls slowly or fast; at its end little but the noise is left.
            let mut draw = |rows: usize| {
                Array2::from_shape_fn((rows, p), |(_, j)| rng.random_range(-1.0..1.0) * (-fall * j as f64).exp())
            };
            let (mut pool, labelled, mut domain) = (draw(n), draw(l), draw(5));
            if copies {
                for i in (1..n).step_by(2) {
                    let before = pool.row(i - 1).to_owned();
                    pool.row_mut(i).assign(&before);
                }
            }
            // Now and then numbers whose squares say no length, of a point or of the targets.
            match beyond {
                0 => pool.row_mut(n - 1).mapv_inplace(|value| value * 1e-160),
                1 => domain.mapv_inplace(|value| value * 1e80),
                2 => domain.mapv_inplace(|value| value * 1e-82),
                _ => {}
            }
            let (used_up, rank) = ([0.0, NOISE, 1e-3, 0.1][used_up], [usize::MAX, usize::MAX, 3][ranks]);
            let points =
                Points { pool, labelled, domain, centre_at_zero: false, rank, used_up, stop: Stop::new() };
            let (fast, plain) =
                (choose(&points, on_domain, picks.min(n), true), choose(&points, on_domain, picks.min(n), false));
            prop_assert_eq!(fast.picked, plain.picked);
            prop_assert_eq!(fast.n_own, plain.n_own);
            let bits = |scores: &[f64]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&fast.picked_scores), bits(&plain.picked_scores));
            prop_assert_eq!(bits(&fast.scores), bits(&plain.scores));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_known_of_a_point_is_as_near_as_it_says(
            n in 2_usize..80, p in 1_usize..40, fall in 0.0_f64..1.0, picks in 1_usize..12, seed: u64,
        ) {
            let mut rng = SeedPath::root(seed).rng();
            let mut draw = |rows: usize| {
                Array2::from_shape_fn((rows, p), |(_, j)| rng.random_range(-1.0..1.0) * (-fall * j as f64).exp())
            };
            let (pool, labelled, domain) = (draw(n), draw(3), draw(0));
            let points = Points {
                pool, labelled, domain, centre_at_zero: false, rank: usize::MAX, used_up: 0.0, stop: Stop::new(),
            };
            let mut state = Screened::new(&points, false, true);
            for _ in 0..picks.min(n - 1) {
                let Some((row, _)) = state.best() else { break };
                state.take(row);
            }
            for i in 0..n {
                let told = state.about[i];
                state.bring(i);
                let (variance, reach) = (state.state.variance[i], state.reach[i]);
                prop_assert!((told.variance - variance).abs() <= told.variance_off, "{told:?} {variance}");
                prop_assert!((told.reach - reach).abs() <= told.reach_off, "{told:?} {reach}");
                let score = score(variance, reach);
                prop_assert!(told.at_least() <= score && score <= told.at_most(), "{told:?} {score}");
            }
        }
    }

    /// Two neighbouring scales of points between which what is left crosses the threshold: on either side screened and
    /// plain rules put picks into the features at the same moment.
    #[test]
    fn picks_go_into_the_features_at_the_same_moment() {
        // A point, its copy and three smaller ones whose sums are what is left when the point is picked.
        let at = |scale: f64| {
            let mut rng = SeedPath::root(4).rng();
            let mut pool = Array2::from_shape_simple_fn((5, 12), || rng.random_range(-1.0..1.0));
            pool.slice_mut(s![2.., ..]).mapv_inplace(|value| value * scale);
            let first = pool.row(0).to_owned();
            pool.row_mut(1).assign(&first);
            let (labelled, domain) = (Array2::zeros((0, 12)), Array2::zeros((0, 12)));
            Points { pool, labelled, domain, centre_at_zero: false, rank: usize::MAX, used_up: 0.0, stop: Stop::new() }
        };
        let falls = |points: &Points, is_screened: bool| {
            let mut state = Screened::new(points, false, is_screened);
            let (row, _) = state.best().unwrap();
            state.take(row);
            state.has_fallen()
        };
        let (mut low, mut high) = (1e-3_f64, 1.0);
        assert!(falls(&at(low), false) && !falls(&at(high), false));
        while f64::from_bits(low.to_bits() + 1) < high {
            let middle = f64::from_bits(low.to_bits().midpoint(high.to_bits()));
            *(if falls(&at(middle), false) { &mut low } else { &mut high }) = middle;
        }
        for scale in [low, high] {
            assert_eq!(falls(&at(scale), true), falls(&at(scale), false), "{scale}");
        }
    }

    #[test]
    fn few_points_are_looked_at_in_double_precision() {
        let mut rng = SeedPath::root(1).rng();
        let mut draw = |rows: usize| Array2::from_shape_simple_fn((rows, 30), || rng.random_range(-1.0..1.0));
        let (pool, labelled, domain) = (draw(400), draw(10), draw(0));
        let points =
            Points { pool, labelled, domain, centre_at_zero: false, rank: usize::MAX, used_up: 0.0, stop: Stop::new() };
        let mut state = Screened::new(&points, false, true);
        for _ in 0..10 {
            let (row, _) = state.best().unwrap();
            state.take(row);
        }
        let brought: usize = state.known.iter().filter(|&&known| known > 0).count();
        assert!(brought < 40, "{brought}");
    }
}
