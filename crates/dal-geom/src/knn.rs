//! k nearest neighbours: a kd-tree (kiddo) in few dimensions, a vectorised scan where that is faster.

use std::fmt;
use std::num::NonZero;
use std::ops::Range;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use ndarray::{Array2, ArrayView2};

use crate::simd::{self, Factor, LANES, Lane};
use crate::{GeomError, PointSet, squared_distance};

/// Largest dimension for which a kd-tree is compiled: in more the scan is faster up to a million points, and every
/// dimension costs a second of compilation.
pub const MAX_TREE_DIMENSION: usize = 10;

/// Blocks scanned between two looks at the distances.
const SCAN_BLOCKS: usize = 64;

/// Queries that share one pass over the blocks, so that these come from cache.
const SCAN_QUERIES: usize = 16;

/// A neighbour and its squared distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Index of the point in the searched set.
    pub index: usize,
    /// `d²` to the query.
    pub squared: f64,
}

/// How neighbours are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The faster one for this number of points and coordinates, see [`Search::resolve`].
    Auto,
    /// A kd-tree, for at most [`MAX_TREE_DIMENSION`] coordinates.
    Tree,
    /// Every point against every query.
    Scan,
}

impl Search {
    /// What `Auto` means for `n` points of `d` coordinates.
    ///
    /// A tree from this many points on, by dimension (ten neighbours of every point, one thread, AVX-512): always up to
    /// 8 dimensions, from 5 000 points in 9, from 8 000 in 10, never in more.
    ///
    /// Measured, µs per query, tree / scan: 2 560 points d = 4 1.5 / 6.5, d = 8 8 / 10, d = 10 10 / 8, d = 14 29 / 17;
    /// 10 000 points d = 4 1.9 / 18, d = 8 11 / 21, d = 10 28 / 36, d = 14 100 / 48. Both give the same neighbours.
    pub fn resolve(self, n: usize, d: usize) -> Self {
        match self {
            Self::Auto if TREE_FROM.get(d).is_some_and(|&from| n >= from) => Self::Tree,
            Self::Auto => Self::Scan,
            other => other,
        }
    }
}

/// Points from which the kd-tree wins, by dimension (index 0 is unused).
const TREE_FROM: [usize; MAX_TREE_DIMENSION + 1] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 5_000, 8_000];

/// A searchable set of points.
///
/// Neighbours come in ascending order of distance, equal distances by the lower index. Both searches give the same
/// answer, to the bit, identical points included.
///
/// ```
/// use dal_geom::{Neighbours, Search};
/// use ndarray::array;
///
/// let index = Neighbours::new("points", array![[0.0], [1.0], [3.0]].view(), Search::Auto)?;
/// let near = index.nearest(&[0.9], 2)?;
/// assert_eq!((near[0].index, near[1].index), (1, 0));
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
pub struct Neighbours {
    points: PointSet,
    tree: Option<Box<dyn Tree>>,
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbours")
            .field("n", &self.points.len())
            .field("d", &self.points.dim())
            .field("tree", &self.tree.is_some())
            .finish()
    }
}

/// A kd-tree whose dimension is known at run time only.
trait Tree: Send + Sync {
    /// Indices of the `k` nearest points, in no promised order among equals.
    fn nearest(&self, query: &[f64], k: NonZero<usize>, out: &mut Vec<usize>);
}

impl<const D: usize> Tree for ImmutableKdTree<f64, D> {
    fn nearest(&self, query: &[f64], k: NonZero<usize>, out: &mut Vec<usize>) {
        out.clear();
        let Some(query) = query.first_chunk::<D>() else { return };
        let found = self.query(query).nearest_n::<SquaredEuclidean<f64>>(k).execute();
        out.extend(found.iter().map(|item| item.item as usize));
    }
}

fn build<const D: usize>(points: &PointSet) -> Result<Box<dyn Tree>, GeomError> {
    let mut rows = Vec::with_capacity(points.len());
    let mut row = Vec::with_capacity(D);
    for i in 0..points.len() {
        row.clear();
        points.gather(i, &mut row);
        rows.extend(row.first_chunk::<D>().copied());
    }
    let tree = ImmutableKdTree::<f64, D>::new_from_slice(&rows);
    Ok(Box::new(tree.map_err(|error| GeomError::Tree { reason: error.to_string() })?))
}

fn build_any(points: &PointSet) -> Result<Box<dyn Tree>, GeomError> {
    match points.dim() {
        1 => build::<1>(points),
        2 => build::<2>(points),
        3 => build::<3>(points),
        4 => build::<4>(points),
        5 => build::<5>(points),
        6 => build::<6>(points),
        7 => build::<7>(points),
        8 => build::<8>(points),
        9 => build::<9>(points),
        10 => build::<10>(points),
        found => {
            Err(GeomError::OutOfRange { what: "the dimension of a kd-tree", found, least: 1, most: MAX_TREE_DIMENSION })
        }
    }
}

impl Neighbours {
    /// Prepares the search among points `(n, d)`; `what` names them in errors.
    ///
    /// # Errors
    /// [`GeomError::NonFinite`], [`GeomError::Dimension`] where `d` is 0, [`GeomError::OutOfRange`] where a tree is
    /// asked for in more than [`MAX_TREE_DIMENSION`] dimensions.
    pub fn new(what: &'static str, x: ArrayView2<'_, f64>, search: Search) -> Result<Self, GeomError> {
        let points = PointSet::new(what, x)?;
        let tree = match search.resolve(points.len(), points.dim()) {
            Search::Tree if !points.is_empty() => Some(build_any(&points)?),
            _ => None,
        };
        Ok(Self { points, tree })
    }

    /// The `k` points nearest to `query` `(d,)`, or all of them where there are fewer.
    ///
    /// # Errors
    /// [`GeomError::Dimension`] or [`GeomError::NonFinite`] for the query.
    pub fn nearest(&self, query: &[f64], k: usize) -> Result<Vec<Neighbour>, GeomError> {
        let what = "query";
        if query.len() != self.points.dim() {
            return Err(GeomError::Dimension { what, expected: self.points.dim(), found: query.len() });
        }
        if let Some((column, &value)) = query.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(GeomError::NonFinite { what, row: 0, column, value });
        }
        let mut searcher = Searcher::new(self, k);
        searcher.run(query, usize::MAX, true);
        Ok(searcher.best)
    }

    /// Squared distances from every point to its `k` nearest other points, ascending: shape `(n, min(k, n − 1))`.
    ///
    /// A point is not its own neighbour, but an identical one at distance 0 is.
    pub fn to_others(&self, k: usize) -> Array2<f64> {
        let n = self.points.len();
        let k = k.min(n.saturating_sub(1));
        // What is too far for a number has no place among the nearest.
        let mut out = Array2::from_elem((n, k), f64::INFINITY);
        if k == 0 {
            return out;
        }
        let mut group: Vec<(Vec<f64>, Searcher<'_>)> =
            (0..SCAN_QUERIES.min(n)).map(|_| (Vec::new(), Searcher::new(self, k))).collect();
        for first in (0..n).step_by(SCAN_QUERIES) {
            let group = &mut group[..SCAN_QUERIES.min(n - first)];
            for (i, (query, searcher)) in (first..).zip(group.iter_mut()) {
                query.clear();
                self.points.gather(i, query);
                searcher.best.clear();
                if self.tree.is_some() {
                    searcher.run(query, i, false);
                }
            }
            if self.tree.is_none() {
                for blocks in chunks_of_blocks(self.points.n_blocks()) {
                    for (i, (query, searcher)) in (first..).zip(group.iter_mut()) {
                        searcher.scan(query, i, blocks.clone());
                    }
                }
            }
            for (i, (_, searcher)) in (first..).zip(group.iter()) {
                for (slot, neighbour) in out.row_mut(i).iter_mut().zip(&searcher.best) {
                    *slot = neighbour.squared;
                }
            }
        }
        out
    }
}

/// The blocks in runs of [`SCAN_BLOCKS`].
fn chunks_of_blocks(n_blocks: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_blocks).step_by(SCAN_BLOCKS).map(move |from| from..(from + SCAN_BLOCKS).min(n_blocks))
}

/// One search after another with the same buffers.
struct Searcher<'a> {
    set: &'a Neighbours,
    k: usize,
    /// The nearest so far, ascending by distance, then index.
    best: Vec<Neighbour>,
    found: Vec<usize>,
    lanes: Vec<Lane>,
    row: Vec<f64>,
}

impl<'a> Searcher<'a> {
    fn new(set: &'a Neighbours, k: usize) -> Self {
        let k = k.min(set.points.len());
        Self { set, k, best: Vec::with_capacity(k + 1), found: Vec::new(), lanes: Vec::new(), row: Vec::new() }
    }

    /// Fills `best` with the nearest points, `skip` left out. Where `exact_indices` is false, points at equal distance
    /// may stand for one another.
    fn run(&mut self, query: &[f64], skip: usize, exact_indices: bool) {
        self.best.clear();
        if self.k == 0 {
            return;
        }
        match &self.set.tree {
            Some(tree) => {
                // One more than wanted for the point itself, and one more to see a tie at the border.
                let wanted = (self.k + 2).min(self.set.points.len());
                let Some(wanted) = NonZero::new(wanted) else { return };
                tree.nearest(query, wanted, &mut self.found);
                let all = self.found.len() == self.set.points.len();
                let mut found = std::mem::take(&mut self.found);
                // Among many copies of the query the point itself may be missing; any copy stands for it.
                let missing = skip != usize::MAX && !found.contains(&skip);
                for &index in found.iter().skip(usize::from(missing)) {
                    if index != skip {
                        let squared = self.squared(query, index);
                        self.insert(Neighbour { index, squared }, usize::MAX);
                    }
                }
                found.clear();
                self.found = found;
                let border = self.best.get(self.k - 1).map(|b| b.squared);
                let tied = !all && self.best.last().map(|b| b.squared) == border;
                self.best.truncate(self.k);
                if exact_indices && tied {
                    self.scan_all(query, skip);
                }
            }
            None => self.scan_all(query, skip),
        }
    }

    fn squared(&mut self, query: &[f64], index: usize) -> f64 {
        self.row.clear();
        self.set.points.gather(index, &mut self.row);
        squared_distance(&self.row, query)
    }

    fn scan_all(&mut self, query: &[f64], skip: usize) {
        self.best.clear();
        for blocks in chunks_of_blocks(self.set.points.n_blocks()) {
            self.scan(query, skip, blocks);
        }
    }

    /// Goes on with the points of these blocks, which come after all blocks scanned before.
    fn scan(&mut self, query: &[f64], skip: usize, blocks: Range<usize>) {
        let points = &self.set.points;
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.resize(blocks.len(), [0.0; LANES]);
        let of_blocks = points.lanes(blocks.start, blocks.end);
        simd::row(Factor { blocks: of_blocks, points: query, d: points.dim() }, &mut lanes);
        for (b, lane) in blocks.zip(&lanes) {
            let limit = self.limit();
            if !lane.iter().any(|&s| s < limit) {
                continue;
            }
            for (l, &squared) in lane.iter().enumerate() {
                let index = b * LANES + l;
                if squared < self.limit() && index != skip && index < points.len() {
                    self.insert(Neighbour { index, squared }, self.k);
                }
            }
        }
        self.lanes = lanes;
    }

    /// Distances from which a point no longer matters: a later point loses ties, so the k-th distance itself.
    fn limit(&self) -> f64 {
        if self.best.len() < self.k { f64::INFINITY } else { self.best[self.k - 1].squared }
    }

    fn insert(&mut self, new: Neighbour, keep: usize) {
        let at = self.best.partition_point(|b| (b.squared, b.index) < (new.squared, new.index));
        self.best.insert(at, new);
        self.best.truncate(keep);
    }
}

/// Mean distance from each point of a batch `(n, d)` to its nearest other point of the batch; `None` for fewer than
/// two.
///
/// `mean_i min_{j ≠ i} |x_i − x_j|`: the diversity of a queried batch.
///
/// # Errors
/// [`GeomError::NonFinite`], and [`GeomError::Dimension`] where `d` is 0.
///
/// ```
/// use dal_geom::mean_nearest_distance;
/// use ndarray::array;
///
/// assert_eq!(mean_nearest_distance(array![[0.0], [1.0], [3.0]].view())?, Some(4.0 / 3.0));
/// assert_eq!(mean_nearest_distance(array![[0.0]].view())?, None);
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
pub fn mean_nearest_distance(batch: ArrayView2<'_, f64>) -> Result<Option<f64>, GeomError> {
    let n = batch.nrows();
    if n < 2 {
        return Ok(None);
    }
    let nearest = Neighbours::new("batch", batch, Search::Auto)?.to_others(1);
    Ok(Some(nearest.iter().map(|s| s.sqrt()).sum::<f64>() / n as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(x: ArrayView2<'_, f64>, query: &[f64], k: usize, skip: usize) -> Vec<Neighbour> {
        let mut all: Vec<Neighbour> = x
            .outer_iter()
            .enumerate()
            .filter(|(index, _)| *index != skip)
            .map(|(index, row)| Neighbour { index, squared: squared_distance(&row.to_vec(), query) })
            .collect();
        all.sort_by(|a, b| a.squared.total_cmp(&b.squared).then(a.index.cmp(&b.index)));
        all.truncate(k);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

        #[test]
        fn tree_and_scan_equal_sorting(
            (n, d, levels) in (1..130usize, 1..=14usize, prop_oneof![Just(1), Just(4), Just(100_000)]),
            k in 0..15usize,
            raw in prop::collection::vec(-100_000..=100_000i32, 131 * 14),
        ) {
            let value = |v: i32| f64::from(v % (levels + 1)) / f64::from(levels);
            let x = Array2::from_shape_fn((n, d), |(i, j)| value(raw[i * d + j]));
            let query: Vec<f64> = (0..d).map(|j| value(raw[n * d + j])).collect();
            let tree = if d <= MAX_TREE_DIMENSION { Search::Tree } else { Search::Auto };
            for search in [tree, Search::Scan] {
                let set = Neighbours::new("x", x.view(), search).unwrap();
                prop_assert_eq!(set.nearest(&query, k).unwrap(), naive(x.view(), &query, k, usize::MAX));
                let others = set.to_others(k);
                for i in 0..n {
                    let expected: Vec<f64> =
                        naive(x.view(), &x.row(i).to_vec(), k, i).iter().map(|b| b.squared).collect();
                    prop_assert_eq!(others.row(i).to_vec(), expected);
                }
            }
        }
    }

    #[test]
    fn what_is_too_far_for_a_number_is_infinitely_far() {
        let x = ndarray::array![[0.0, 0.0], [1.0, 0.0], [1e200, 0.0], [1e200, 1.0]];
        let due =
            ndarray::array![[1.0, f64::INFINITY], [1.0, f64::INFINITY], [1.0, f64::INFINITY], [1.0, f64::INFINITY]];
        for search in [Search::Tree, Search::Scan] {
            assert_eq!(Neighbours::new("x", x.view(), search).unwrap().to_others(2), due);
        }
    }

    #[test]
    fn many_identical_points() {
        let x = Array2::from_elem((1000, 3), 0.25);
        for search in [Search::Tree, Search::Scan] {
            let set = Neighbours::new("x", x.view(), search).unwrap();
            assert!(set.to_others(10).iter().all(|&s| s == 0.0));
            let near = set.nearest(&[0.25; 3], 3).unwrap();
            assert_eq!(near.iter().map(|b| b.index).collect::<Vec<_>>(), [0, 1, 2]);
        }
        assert_eq!(mean_nearest_distance(x.view()).unwrap(), Some(0.0));
    }

    #[test]
    fn bad_input_is_refused() {
        let mut x = Array2::zeros((4, 2));
        let set = Neighbours::new("x", x.view(), Search::Tree).unwrap();
        assert!(matches!(set.nearest(&[0.0], 1), Err(GeomError::Dimension { expected: 2, found: 1, .. })));
        assert!(matches!(set.nearest(&[0.0, f64::NAN], 1), Err(GeomError::NonFinite { column: 1, .. })));
        x[[3, 0]] = f64::NAN;
        assert!(matches!(Neighbours::new("x", x.view(), Search::Auto), Err(GeomError::NonFinite { row: 3, .. })));
        let wide = Array2::zeros((4, MAX_TREE_DIMENSION + 1));
        assert!(matches!(Neighbours::new("x", wide.view(), Search::Tree), Err(GeomError::OutOfRange { .. })));
        assert!(Neighbours::new("x", wide.view(), Search::Auto).is_ok());
    }
}
