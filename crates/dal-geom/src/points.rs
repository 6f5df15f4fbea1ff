//! Point sets in blocks of sixteen, coordinate by coordinate, so that distances vectorise.

use ndarray::{ArrayView1, ArrayView2};

use crate::GeomError;
use crate::simd::{Factor, LANES, Lane};

/// Squared Euclidean distance `Σ_j (a_j − b_j)²`, summed in the order of the coordinates.
///
/// Every fast path of this crate that decides a choice gives the same bits as this function.
///
/// # Panics
/// Never: the shorter length counts where the lengths differ.
///
/// ```
/// assert_eq!(dal_geom::squared_distance(&[0.0, 1.0], &[3.0, 5.0]), 25.0);
/// ```
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (x, y) in a.iter().zip(b) {
        let t = x - y;
        sum += t * t;
    }
    sum
}

/// Fails on the first coordinate that is not finite; `what` names the set in the message.
///
/// # Errors
/// [`GeomError::NonFinite`] with the row, the column and the value.
pub fn check_finite(what: &'static str, x: ArrayView2<'_, f64>) -> Result<(), GeomError> {
    for ((row, column), &value) in x.indexed_iter() {
        if !value.is_finite() {
            return Err(GeomError::NonFinite { what, row, column, value });
        }
    }
    Ok(())
}

/// Finite points, stored block by block: sixteen points' first coordinates, their second ones, and so on.
///
/// Shape: `len()` points of `dim()` coordinates. Lanes past the last point hold infinity, at infinite distance from
/// every point. A set without coordinates is allowed to be empty only.
#[derive(Debug, Clone)]
pub struct PointSet {
    n: usize,
    d: usize,
    blocks: Vec<Lane>,
}

impl PointSet {
    /// Copies rows `(n, d)` into blocks.
    ///
    /// # Errors
    /// [`GeomError::NonFinite`], and [`GeomError::Dimension`] where `d` is 0. `what` names the set in both.
    pub fn new(what: &'static str, x: ArrayView2<'_, f64>) -> Result<Self, GeomError> {
        let (n, d) = x.dim();
        if d == 0 {
            return Err(GeomError::Dimension { what, expected: 1, found: 0 });
        }
        let mut set = Self { n, d, blocks: vec![[f64::INFINITY; LANES]; n.div_ceil(LANES) * d] };
        for (i, row) in x.outer_iter().enumerate() {
            let base = i / LANES * d;
            for (j, &value) in row.iter().enumerate() {
                if !value.is_finite() {
                    return Err(GeomError::NonFinite { what, row: i, column: j, value });
                }
                set.blocks[base + j][i % LANES] = value;
            }
        }
        Ok(set)
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Number of coordinates.
    pub fn dim(&self) -> usize {
        self.d
    }

    /// Number of blocks of sixteen.
    pub(crate) fn n_blocks(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// The lanes of blocks `from..to`.
    pub(crate) fn lanes(&self, from: usize, to: usize) -> &[Lane] {
        &self.blocks[from * self.d..to * self.d]
    }

    /// Widens the box from `low` to `high`, a value per coordinate, to hold every point.
    pub(crate) fn bounds(&self, low: &mut [f64], high: &mut [f64]) {
        for (i, block) in self.blocks.chunks_exact(self.d).enumerate() {
            let used = (self.n - i * LANES).min(LANES);
            for ((lane, low), high) in block.iter().zip(&mut *low).zip(&mut *high) {
                for &value in &lane[..used] {
                    *low = if value < *low { value } else { *low };
                    *high = if value > *high { value } else { *high };
                }
            }
        }
    }

    /// These blocks against the points whose coordinates are given one after another.
    pub(crate) fn against<'a>(&'a self, points: &'a [f64]) -> Factor<'a> {
        Factor { blocks: &self.blocks, points, d: self.d }
    }

    /// Appends the coordinates of point `i` to `out`.
    pub(crate) fn gather(&self, i: usize, out: &mut Vec<f64>) {
        let base = i / LANES * self.d;
        out.extend(self.blocks[base..base + self.d].iter().map(|lane| lane[i % LANES]));
    }

    /// Coordinates of point `i`, in order.
    ///
    /// # Panics
    /// When `i` is not below [`len`](Self::len).
    pub fn point(&self, i: usize) -> Vec<f64> {
        assert!(i < self.n, "point {i} of {}", self.n);
        let mut out = Vec::with_capacity(self.d);
        self.gather(i, &mut out);
        out
    }

    /// Adds a point at the end.
    ///
    /// # Errors
    /// [`GeomError::Dimension`] or [`GeomError::NonFinite`].
    pub fn push(&mut self, point: ArrayView1<'_, f64>) -> Result<(), GeomError> {
        let what = "added point";
        if point.len() != self.d {
            return Err(GeomError::Dimension { what, expected: self.d, found: point.len() });
        }
        for (column, &value) in point.iter().enumerate() {
            if !value.is_finite() {
                return Err(GeomError::NonFinite { what, row: self.n, column, value });
            }
        }
        self.append(point.iter().copied());
        Ok(())
    }

    /// Adds a point already known to be finite and of the right width.
    pub(crate) fn append(&mut self, point: impl IntoIterator<Item = f64>) {
        let lane = self.n % LANES;
        if lane == 0 {
            self.blocks.resize(self.blocks.len() + self.d, [f64::INFINITY; LANES]);
        }
        let base = self.n / LANES * self.d;
        for (slot, value) in self.blocks[base..].iter_mut().zip(point) {
            slot[lane] = value;
        }
        self.n += 1;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn points_come_back_in_order() {
        let x = Array2::from_shape_fn((37, 3), |(i, j)| (i * 3 + j) as f64);
        let mut set = PointSet::new("x", x.view()).unwrap();
        assert_eq!((set.len(), set.dim(), set.n_blocks()), (37, 3, 3));
        for i in 37..50 {
            set.push(array![i as f64, 0.5, -1.0].view()).unwrap();
        }
        assert_eq!(set.point(36), vec![108.0, 109.0, 110.0]);
        assert_eq!(set.point(49), vec![49.0, 0.5, -1.0]);
        assert_eq!(set.len(), 50);
    }

    #[test]
    fn bad_coordinates_are_named() {
        let x = array![[0.0, 1.0], [2.0, f64::NAN]];
        assert!(matches!(
            PointSet::new("pool", x.view()),
            Err(GeomError::NonFinite { what: "pool", row: 1, column: 1, .. })
        ));
        assert!(matches!(check_finite("pool", x.view()), Err(GeomError::NonFinite { row: 1, column: 1, .. })));
        let mut set = PointSet::new("x", array![[0.0]].view()).unwrap();
        assert!(matches!(set.push(array![1.0, 2.0].view()), Err(GeomError::Dimension { expected: 1, found: 2, .. })));
        assert!(matches!(set.push(array![f64::INFINITY].view()), Err(GeomError::NonFinite { .. })));
        assert!(PointSet::new("x", Array2::zeros((2, 0)).view()).is_err());
    }
}
