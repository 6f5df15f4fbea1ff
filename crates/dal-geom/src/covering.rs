//! Greedy covering (farthest-first traversal, k-center) and distances to the nearest centre, in one space or a product.
//!
//! A *space* pairs the pool's points with the centres' points. With one space the separation of pool point `i` from
//! centre `c` is `d²(i, c)`; with several it is the product of the squared distances, one factor for each space.
//! Squares order points as distances do and save the roots.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::simd::{self, LANES, Lane};
use crate::{GeomError, PointSet, nearest};

/// Centres compared with every pool point before the lazy search starts.
///
/// The first pass runs at full vector width, so where a separation is cheap more of it pays. Measured with 1 000 to
/// 2 000 centres: 256 was best at 4 and 14 coordinates, 64 at 100 and more.
fn first_centres(spaces: &[Space]) -> usize {
    let n_coordinates: usize = spaces.iter().map(|space| space.pool.dim()).sum();
    if n_coordinates <= 32 { 256 } else { 64 }
}

/// Centre blocks of a first lazy refinement; each further one doubles, so that a point is refined few times.
const FIRST_REFINEMENT: usize = 4;

/// Pool points and centres in one space.
#[derive(Debug, Clone)]
pub struct Space {
    pool: PointSet,
    centres: PointSet,
}

impl Space {
    /// Pairs `pool` `(n, d)` with `centres` `(c, d)`.
    ///
    /// # Errors
    /// [`GeomError::Dimension`] where the widths differ, [`GeomError::Empty`] where there is no centre.
    pub fn new(pool: PointSet, centres: PointSet) -> Result<Self, GeomError> {
        if pool.dim() != centres.dim() {
            return Err(GeomError::Dimension { what: "centres", expected: pool.dim(), found: centres.dim() });
        }
        if centres.is_empty() {
            return Err(GeomError::Empty { what: "the set of centres" });
        }
        Ok(Self { pool, centres })
    }

    /// Coordinate differences in a comparison of every pool point with every centre: `n · c · d`.
    pub fn work(&self) -> usize {
        self.pool.len().saturating_mul(self.centres.len()).saturating_mul(self.pool.dim())
    }

    /// Makes pool point `i` a centre.
    fn adopt(&mut self, i: usize) {
        let point = self.pool.point(i);
        self.centres.append(point);
    }
}

/// Number of pool points and of centres, the same in every space.
fn common_counts(spaces: &[Space]) -> Result<(usize, usize), GeomError> {
    let Some(first) = spaces.first() else { return Err(GeomError::Empty { what: "the list of spaces" }) };
    let (n, c) = (first.pool.len(), first.centres.len());
    for space in spaces {
        if space.pool.len() != n {
            return Err(GeomError::Count { what: "pool", expected: n, found: space.pool.len() });
        }
        if space.centres.len() != c {
            return Err(GeomError::Count { what: "centres", expected: c, found: space.centres.len() });
        }
    }
    Ok((n, c))
}

/// Minimum over the first `c` centres, for every pool point, block by block.
fn least_over(spaces: &[Space], c: usize) -> Vec<Lane> {
    if let [space] = spaces
        && c == space.centres.len()
        && c >= nearest::LEAST_CENTRES
        && let Some(least) = nearest::least(&space.pool, &space.centres)
    {
        return least;
    }
    let centres: Vec<Vec<f64>> = spaces
        .iter()
        .map(|space| {
            let mut flat = Vec::with_capacity(c * space.centres.dim());
            for k in 0..c {
                space.centres.gather(k, &mut flat);
            }
            flat
        })
        .collect();
    let factors: Vec<_> = spaces.iter().zip(&centres).map(|(space, flat)| space.pool.against(flat)).collect();
    let mut least = vec![[f64::INFINITY; LANES]; spaces.first().map_or(0, |space| space.pool.n_blocks())];
    simd::min_products(&factors, &mut least);
    least
}

/// A pool point with an upper bound on its separation from the nearest centre.
#[derive(Debug, Clone, Copy)]
struct Bound {
    separation: f64,
    index: u32,
}

impl Ord for Bound {
    /// Larger separations first; among equal ones the lower index.
    fn cmp(&self, other: &Self) -> Ordering {
        self.separation.total_cmp(&other.separation).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bound {}

/// One pick of a greedy covering.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pick {
    /// Index of the pool point.
    pub index: usize,
    /// Its separation from the nearest centre when it was picked: `d²`, or the product of `d²` over the spaces.
    pub separation: f64,
}

/// Greedy covering: each pick is the pool point farthest from its nearest centre, and becomes a centre itself.
///
/// Exact, with ties going to the lowest pool index. Separations only shrink as centres arrive, so a separation from the
/// centres seen so far is an upper bound: a heap orders the pool by it, and only points that reach the top are compared
/// with the remaining centres. The naive rule compares all `n` points with all centres at every pick.
///
/// Cost: `n · min(c, 256)` separations at the start, then about one refinement per contender; memory beyond the points
/// about 28 bytes per pool point.
///
/// ```
/// use dal_geom::{Covering, PointSet, Space};
/// use ndarray::array;
///
/// let pool = PointSet::new("pool", array![[0.1], [0.9], [0.5]].view())?;
/// let centres = PointSet::new("centres", array![[0.0]].view())?;
/// let mut covering = Covering::new(vec![Space::new(pool, centres)?])?;
/// assert_eq!(covering.pick().map(|p| p.index), Some(1));
/// assert_eq!(covering.pick().map(|p| p.index), Some(2));
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Covering {
    spaces: Vec<Space>,
    heap: BinaryHeap<Bound>,
    /// Centres each pool point was compared with.
    seen: Vec<u32>,
    n_centres: usize,
    point: Vec<f64>,
    term: Vec<Lane>,
    product: Vec<Lane>,
}

impl Covering {
    /// Prepares the covering of the spaces' common pool.
    ///
    /// # Errors
    /// [`GeomError::Empty`] without a space, [`GeomError::Count`] where the spaces' numbers of points differ,
    /// [`GeomError::OutOfRange`] for more than `u32::MAX` pool points.
    pub fn new(spaces: Vec<Space>) -> Result<Self, GeomError> {
        let (n, n_centres) = common_counts(&spaces)?;
        let first = n_centres.min(first_centres(&spaces));
        let least = least_over(&spaces, first);
        Self::from_bounds(spaces, &least, n, first, n_centres)
    }

    /// Continues from distances to all centres that are already known.
    ///
    /// # Errors
    /// [`GeomError::OutOfRange`] for more than `u32::MAX` pool points.
    pub fn resume(nearest: NearestCentre) -> Result<Self, GeomError> {
        let n_centres = nearest.spaces.first().map_or(0, |space| space.centres.len());
        Self::from_bounds(nearest.spaces, &nearest.least, nearest.n, n_centres, n_centres)
    }

    /// `least` holds the separations from the first `seen` of `n_centres` centres.
    fn from_bounds(
        spaces: Vec<Space>,
        least: &[Lane],
        n: usize,
        seen: usize,
        n_centres: usize,
    ) -> Result<Self, GeomError> {
        let most = u32::MAX as usize;
        if n > most || n_centres > most - n {
            return Err(GeomError::OutOfRange { what: "the number of points", found: n, least: 0, most });
        }
        let bounds: Vec<Bound> = least
            .as_flattened()
            .iter()
            .take(n)
            .enumerate()
            .map(|(i, &separation)| Bound { separation, index: i as u32 })
            .collect();
        Ok(Self {
            spaces,
            heap: BinaryHeap::from(bounds),
            seen: vec![seen as u32; n],
            n_centres,
            point: Vec::new(),
            term: Vec::new(),
            product: Vec::new(),
        })
    }

    /// The next pick, or `None` when the pool is exhausted.
    pub fn pick(&mut self) -> Option<Pick> {
        loop {
            let mut top = self.heap.pop()?;
            let index = top.index as usize;
            if self.seen[index] as usize == self.n_centres {
                for space in &mut self.spaces {
                    space.adopt(index);
                }
                self.n_centres += 1;
                return Some(Pick { index, separation: top.separation });
            }
            // A bound below the runner-up's cannot win this time, so the rest of the centres can wait.
            let runner_up = self.heap.peek().map_or(f64::NEG_INFINITY, |bound| bound.separation);
            let mut size = FIRST_REFINEMENT;
            while (self.seen[index] as usize) < self.n_centres {
                let from = self.seen[index] as usize / LANES;
                let to = (from + size).min(self.n_centres.div_ceil(LANES));
                top.separation = top.separation.min(self.separation(index, from, to));
                self.seen[index] = (to * LANES).min(self.n_centres) as u32;
                size *= 2;
                if top.separation < runner_up {
                    break;
                }
            }
            self.heap.push(top);
        }
    }

    /// Separation of a pool point from the nearest centre of the centre blocks `from..to`.
    fn separation(&mut self, index: usize, from: usize, to: usize) -> f64 {
        self.product.clear();
        self.product.resize(to - from, [1.0; LANES]);
        self.term.resize(to - from, [0.0; LANES]);
        for space in &self.spaces {
            self.point.clear();
            space.pool.gather(index, &mut self.point);
            let d = space.centres.dim();
            let factor = simd::Factor { blocks: space.centres.lanes(from, to), points: &self.point, d };
            simd::row(factor, &mut self.term);
            // 1 · t is t exactly, so one space alone keeps the bits of its squared distance.
            for (product, term) in self.product.iter_mut().zip(&self.term) {
                for l in 0..LANES {
                    product[l] *= term[l];
                }
            }
        }
        self.product.as_flattened().iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Separation of every pool point from its nearest centre, kept current as pool points become centres.
///
/// For rules that need all of them at every pick; [`Covering`] is faster where only the farthest matters.
/// Cost: `n · c` separations at the start and `n` for each new centre; memory beyond the points 8 bytes per pool point.
///
/// ```
/// use dal_geom::{NearestCentre, PointSet, Space};
/// use ndarray::array;
///
/// let pool = PointSet::new("pool", array![[3.0], [1.0]].view())?;
/// let centres = PointSet::new("centres", array![[0.0]].view())?;
/// let mut nearest = NearestCentre::new(vec![Space::new(pool, centres)?])?;
/// assert_eq!(nearest.separations(), [9.0, 1.0]);
/// nearest.adopt(0);
/// assert_eq!(nearest.separations(), [0.0, 1.0]);
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NearestCentre {
    spaces: Vec<Space>,
    n: usize,
    least: Vec<Lane>,
}

impl NearestCentre {
    /// Compares every pool point with every centre.
    ///
    /// # Errors
    /// [`GeomError::Empty`] without a space, [`GeomError::Count`] where the spaces' numbers of points differ.
    pub fn new(spaces: Vec<Space>) -> Result<Self, GeomError> {
        let (n, c) = common_counts(&spaces)?;
        let least = least_over(&spaces, c);
        Ok(Self { spaces, n, least })
    }

    /// `d²` to the nearest centre (a product of them over several spaces), for every pool point: shape `(n,)`.
    pub fn separations(&self) -> &[f64] {
        &self.least.as_flattened()[..self.n]
    }

    /// Makes pool point `i` a centre.
    ///
    /// # Panics
    /// When `i` is not a pool index.
    pub fn adopt(&mut self, i: usize) {
        let points: Vec<Vec<f64>> = self.spaces.iter().map(|space| space.pool.point(i)).collect();
        let factors: Vec<_> = self.spaces.iter().zip(&points).map(|(space, p)| space.pool.against(p)).collect();
        simd::min_products(&factors, &mut self.least);
        for space in &mut self.spaces {
            space.adopt(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2};
    use proptest::prelude::*;

    use super::*;
    use crate::points::squared_distance;

    /// The rule as it reads: at every pick, every remaining point against every centre.
    fn naive(spaces: &[(Array2<f64>, Array2<f64>)], n_picks: usize) -> Vec<Pick> {
        let mut centres: Vec<Vec<Vec<f64>>> =
            spaces.iter().map(|(_, c)| c.outer_iter().map(|r| r.to_vec()).collect()).collect();
        let mut picks: Vec<Pick> = Vec::new();
        for _ in 0..n_picks {
            let mut best: Option<Pick> = None;
            for i in 0..spaces[0].0.nrows() {
                if picks.iter().any(|p| p.index == i) {
                    continue;
                }
                let separation = (0..centres[0].len())
                    .map(|c| {
                        spaces
                            .iter()
                            .zip(&centres)
                            .map(|((pool, _), centres)| squared_distance(&pool.row(i).to_vec(), &centres[c]))
                            .product::<f64>()
                    })
                    .fold(f64::INFINITY, f64::min);
                if best.is_none_or(|b| separation > b.separation) {
                    best = Some(Pick { index: i, separation });
                }
            }
            let pick = best.unwrap();
            for ((pool, _), centres) in spaces.iter().zip(&mut centres) {
                centres.push(pool.row(pick.index).to_vec());
            }
            picks.push(pick);
        }
        picks
    }

    fn set(x: ArrayView2<'_, f64>) -> PointSet {
        PointSet::new("test", x).unwrap()
    }

    fn fast(spaces: &[(Array2<f64>, Array2<f64>)], n_picks: usize) -> Vec<Pick> {
        let spaces = spaces.iter().map(|(p, c)| Space::new(set(p.view()), set(c.view())).unwrap()).collect();
        let mut covering = Covering::new(spaces).unwrap();
        (0..n_picks).map(|_| covering.pick().unwrap()).collect()
    }

    /// Points on a coarse lattice (many ties and duplicates) or a fine one.
    fn points(n: usize, d: usize, levels: i32) -> impl proptest::strategy::Strategy<Value = Array2<f64>> {
        prop::collection::vec(-levels..=levels, n * d)
            .prop_map(move |v| Array2::from_shape_fn((n, d), |(i, j)| f64::from(v[i * d + j]) / f64::from(levels)))
    }

    /// Pool and centres in each space.
    type Spaces = Vec<(Array2<f64>, Array2<f64>)>;

    fn case() -> impl proptest::strategy::Strategy<Value = (Spaces, usize)> {
        let levels = prop_oneof![Just(1), Just(3), Just(100_000)];
        (1..60usize, 1..400usize, 1..11usize, 0..4usize, levels).prop_flat_map(|(n, c, dx, dy, levels)| {
            let y = if dy == 0 { 1 } else { dy };
            let x = (points(n, dx, levels), points(c, dx, levels));
            let y = (points(n, y, levels), points(c, y, levels));
            (x, y, 1..=n).prop_map(move |(x, y, k)| (if dy == 0 { vec![x] } else { vec![x, y] }, k))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn covering_equals_the_naive_rule((spaces, k) in case()) {
            prop_assert_eq!(fast(&spaces, k), naive(&spaces, k));
        }

        #[test]
        fn nearest_centre_equals_the_naive_rule((spaces, k) in case()) {
            let picks = naive(&spaces, k);
            let sets = spaces.iter().map(|(p, c)| Space::new(set(p.view()), set(c.view())).unwrap()).collect();
            let mut nearest = NearestCentre::new(sets).unwrap();
            for (i, pick) in picks.iter().enumerate() {
                if i == k / 2 {
                    let mut rest = Covering::resume(nearest.clone()).unwrap();
                    // Points already adopted are in that covering's pool too, at separation 0.
                    let first = rest.pick().unwrap();
                    prop_assert_eq!(first.separation, pick.separation);
                }
                prop_assert_eq!(nearest.separations()[pick.index], pick.separation);
                nearest.adopt(pick.index);
            }
        }
    }

    #[test]
    fn exhaustion_ends_with_none() {
        let x = Array2::from_shape_fn((5, 2), |(i, j)| (i + j) as f64);
        let space = Space::new(set(x.view()), set(x.view())).unwrap();
        let mut covering = Covering::new(vec![space]).unwrap();
        let picks: Vec<usize> = std::iter::from_fn(|| covering.pick()).map(|p| p.index).collect();
        assert_eq!(picks, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn mismatches_are_errors() {
        let (a, b) = (Array2::zeros((3, 2)), Array2::zeros((2, 3)));
        assert!(matches!(Space::new(set(a.view()), set(b.view())), Err(GeomError::Dimension { .. })));
        let none = Array2::zeros((0, 2));
        assert!(matches!(Space::new(set(a.view()), set(none.view())), Err(GeomError::Empty { .. })));
        assert!(matches!(Covering::new(vec![]), Err(GeomError::Empty { .. })));
        let short = Array2::zeros((2, 2));
        let one = Space::new(set(a.view()), set(a.view())).unwrap();
        let two = Space::new(set(short.view()), set(a.view())).unwrap();
        let three = Space::new(set(a.view()), set(short.view())).unwrap();
        assert!(matches!(Covering::new(vec![one.clone(), two]), Err(GeomError::Count { what: "pool", .. })));
        assert!(matches!(NearestCentre::new(vec![one, three]), Err(GeomError::Count { what: "centres", .. })));
    }
}
