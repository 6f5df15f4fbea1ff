//! Rows in sixteen bits: products with vectors for a quarter of the reading, and how far off they may be.

use ndarray::ArrayView2;

use crate::simd::multiversion;

/// Sums carried side by side.
const LANES: usize = 8;
/// Added to a number below 2⁵¹ in magnitude it rounds it to the nearest whole one; the sum's last sixteen bits are that
/// one's two's complement.
const SHIFT: f64 = 6_755_399_441_055_744.0;

/// Many rows, each as whole multiples of a 32 767th of its largest magnitude.
///
/// Products with vectors are sums in single precision over a quarter of the bytes that the rows themselves have. They
/// are off by no more than [`slack`](Self::slack) times the vector's length.
///
/// ```
/// use dal_geom::RoughRows;
/// use ndarray::array;
///
/// let rows = array![[0.1, 0.2], [3.0, 4.0]];
/// let rough = RoughRows::new(rows.view(), &[0.05, 25.0]).unwrap();
/// let mut products = [[0.0; 2]; 2];
/// let lengths = rough.products([&[1.0, 0.0], &[0.0, 1.0]], &mut products);
/// assert_eq!(lengths, Some([1.0, 1.0]));
/// assert!((products[0][1] - 0.2).abs() <= rough.slack(0));
/// ```
#[derive(Clone, Debug)]
pub struct RoughRows {
    rows: Vec<Row>,
    multiples: Vec<i16>,
    width: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// What a multiple is worth.
    unit: f64,
    slack: f64,
}

/// Whether a sum of squares is far from the ends of double precision, where its root says how long a vector is.
fn tells_length(squared: f64) -> bool {
    (1e-280..1e280).contains(&squared)
}

impl RoughRows {
    /// Of rows (n, p) and the sums of their squares (n). `None` where a row is not zero and its sum is near the ends of
    /// double precision (outside 1e-280 to 1e280), and where numbers of sums and rows differ.
    pub fn new(rows: ArrayView2<'_, f64>, squared_lengths: &[f64]) -> Option<Self> {
        let (n, width) = rows.dim();
        if squared_lengths.len() != n {
            return None;
        }
        let all = rows.as_standard_layout();
        let p = width as f64;
        // Of a sum in single precision: a rounding for the vector's number, one for the product, those of a lane's sum
        // and of the lanes'.
        let single = (p / LANES as f64 + 2.0 * LANES as f64) * 6.1e-8;
        let (mut rows, mut multiples) = (Vec::with_capacity(n), Vec::with_capacity(n * width));
        for (row, &squared) in all.outer_iter().zip(squared_lengths) {
            let values = row.to_slice()?;
            let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            if !tells_length(squared) && (squared != 0.0 || largest != 0.0) {
                return None;
            }
            let unit = largest / f64::from(i16::MAX);
            let per_unit = if largest > 0.0 { f64::from(i16::MAX) / largest } else { 0.0 };
            multiples.extend(values.iter().map(|value| (value * per_unit + SHIFT).to_bits() as i16));
            // Half a unit of every number, whose products with a vector add up to √p times its length at most.
            let rounded = 0.5001 * unit * p.sqrt();
            let length = squared.sqrt();
            rows.push(Row { unit, slack: rounded + single * (length + rounded) + 4.0 * f64::EPSILON * p * length });
        }
        Some(Self { rows, multiples, width })
    }

    /// How far products of a row with a vector of length 1 are off at most, the rounding of sums over the rows
    /// themselves in double precision, in whatever order, included.
    pub fn slack(&self, row: usize) -> f64 {
        self.rows[row].slack
    }

    /// Products of every row with two vectors (p), in one pass over the rows; `out` (n) takes them. Gives the vectors'
    /// lengths; `None`, and `out` is as it was, where a vector is not zero and the sum of its squares is near the ends
    /// of double precision (outside 1e-280 to 1e280).
    ///
    /// # Panics
    /// Where the vectors are not as long as the rows are wide (a caller's own invariant, not a user's input).
    #[must_use]
    pub fn products(&self, vectors: [&[f64]; 2], out: &mut [[f64; 2]]) -> Option<[f64; 2]> {
        assert!(vectors.iter().all(|vector| vector.len() == self.width), "vectors as long as rows");
        let squares = vectors.map(|vector| vector.iter().map(|value| value * value).sum::<f64>());
        if (0..2).any(|k| !tells_length(squares[k]) && vectors[k].iter().any(|&value| value != 0.0)) {
            return None;
        }
        let lengths = squares.map(f64::sqrt);
        if self.width == 0 {
            out.fill([0.0; 2]);
            return Some(lengths);
        }
        // Of length 1, so that single precision has room for them.
        let [a, b] = [0, 1].map(|k| {
            let share = if lengths[k] > 0.0 { 1.0 / lengths[k] } else { 0.0 };
            vectors[k].iter().map(|value| (value * share) as f32).collect::<Vec<f32>>()
        });
        along(&self.multiples, &self.rows, [&a, &b], lengths, out);
        Some(lengths)
    }
}

#[inline(always)]
fn along_body(multiples: &[i16], rows: &[Row], vectors: [&[f32]; 2], lengths: [f64; 2], out: &mut [[f64; 2]]) {
    let [(a, rest_a), (b, rest_b)] = vectors.map(|vector| vector.as_chunks::<LANES>());
    for ((values, row), out) in multiples.chunks_exact(vectors[0].len()).zip(rows).zip(out) {
        let (values, rest) = values.as_chunks::<LANES>();
        let (mut of_a, mut of_b) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        for ((x, a), b) in values.iter().zip(a).zip(b) {
            for l in 0..LANES {
                let x = f32::from(x[l]);
                of_a[l] += x * a[l];
                of_b[l] += x * b[l];
            }
        }
        let last = |of: &[f32]| rest.iter().zip(of).map(|(&x, v)| f32::from(x) * v).sum::<f32>();
        let sums = [of_a.iter().sum::<f32>() + last(rest_a), of_b.iter().sum::<f32>() + last(rest_b)];
        *out = [0, 1].map(|k| row.unit * lengths[k] * f64::from(sums[k]));
    }
}

multiversion! {
    fn along<>(
        multiples: &[i16], rows: &[Row], vectors: [&[f32]; 2], lengths: [f64; 2], out: &mut [[f64; 2]]
    ) = along_body
}

#[cfg(test)]
mod tests {
    use super::*;

    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_are_within_their_slack(n in 0_usize..20, p in 0_usize..600, size in -130_i32..130, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut draw = |rows: usize| {
                // Of very different sizes, some zero.
                Array2::from_shape_fn((rows, p), |_| {
                    let value: f64 = rng.random_range(-1.0..1.0);
                    if value.abs() < 0.1 { 0.0 } else { value * 10_f64.powi(size + rng.random_range(-6..3)) }
                })
            };
            let (mut rows, vectors) = (draw(n), draw(2));
            if n > 1 {
                rows.row_mut(n / 2).fill(0.0);
            }
            let squares: Vec<f64> = rows.outer_iter().map(|row| row.dot(&row)).collect();
            let rough = RoughRows::new(rows.view(), &squares).unwrap();
            let mut found = vec![[f64::NAN; 2]; n];
            let of = [0, 1].map(|k| vectors.row(k).to_slice().unwrap());
            prop_assert!(rough.products(of, &mut found).is_some());
            for (i, row) in rows.outer_iter().enumerate() {
                for (k, vector) in vectors.outer_iter().enumerate() {
                    let (due, most) = (row.dot(&vector), rough.slack(i) * vector.dot(&vector).sqrt());
                    prop_assert!((found[i][k] - due).abs() <= most, "{} {due} {most}", found[i][k]);
                    // And the slack is no more than half a unit of every number, and a little.
                    let half = 0.5 / 32767.0 * (p as f64).sqrt() + 1e-5;
                    prop_assert!(most <= 1.01 * half * squares[i].sqrt() * vector.dot(&vector).sqrt() + 1e-300);
                }
            }
            // Every width gives the same bits.
            let mut plain = vec![[f64::NAN; 2]; n];
            if p > 0 {
                let short: Vec<f32> = (0..p).map(|_| rng.random_range(-1.0..1.0)).collect();
                let mut wide = plain.clone();
                along(&rough.multiples, &rough.rows, [&short, &short], [1.0, 2.0], &mut wide);
                along_body(&rough.multiples, &rough.rows, [&short, &short], [1.0, 2.0], &mut plain);
                prop_assert!(wide.iter().flatten().all(|value| value.is_finite()));
                let bits = |all: &[[f64; 2]]| all.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&wide), bits(&plain));
            }
        }
    }

    /// How far a product is off, in units of what is allowed.
    fn share_of_slack(row: &[f64], vector: &[f64]) -> f64 {
        let (row, vector) = (ndarray::aview1(row), ndarray::aview1(vector));
        let rough = RoughRows::new(row.insert_axis(ndarray::Axis(0)), &[row.dot(&row)]).unwrap();
        let (mut found, of) = ([[0.0; 2]], vector.to_slice().unwrap());
        let [length, _] = rough.products([of, of], &mut found).unwrap();
        (found[0][0] - row.dot(&vector)).abs() / (rough.slack(0) * length)
    }

    #[test]
    fn the_slack_is_nearly_needed_where_every_number_is_rounded_one_way() {
        for p in [2_usize, 9, 600, 16_384] {
            // A little under half a unit beyond a whole multiple, all of them but the largest.
            let row: Vec<f64> = (0..p).map(|j| if j == 0 { 1.0 } else { (3.0 + 0.4999) / 32_767.0 }).collect();
            let share = share_of_slack(&row, &vec![1.0; p]);
            assert!(share <= 1.0 && (p < 600 || share > 0.6), "{p}: {share}");
        }
    }

    #[test]
    fn single_precision_has_its_part_of_the_slack() {
        // Every lane begins with a large product; what follows is a little under half of the sum's last place and lost.
        let p = 1 << 21;
        let lost = 0.49 / 1024.0;
        let first = ((1.0 - p as f64 * lost * lost) / LANES as f64).sqrt();
        let of = |first: f64, others: f64| (0..p).map(|j| if j < LANES { first } else { others }).collect::<Vec<_>>();
        let share = share_of_slack(&of(32_767.0, 1.0), &of(first, lost));
        assert!((0.4..1.0).contains(&share), "{share}");
    }

    #[test]
    fn vectors_at_the_ends_of_double_precision_are_left_to_others() {
        let rough = RoughRows::new(ndarray::array![[1.0, 2.0]].view(), &[5.0]).unwrap();
        for value in [1e-170, 1e-150, 1e150, 1e200, f64::NAN] {
            let mut out = [[7.0; 2]];
            assert_eq!(rough.products([&[1.0, 0.0], &[value, 0.0]], &mut out), None, "{value}");
            assert_eq!(out, [[7.0; 2]]);
        }
        let mut out = [[7.0; 2]];
        assert_eq!(rough.products([&[1.0, 0.0], &[0.0, 0.0]], &mut out), Some([1.0, 0.0]));
        assert!((out[0][0] - 1.0).abs() <= rough.slack(0) && out[0][1] == 0.0);
    }

    #[test]
    fn rows_at_the_ends_of_double_precision_are_left_to_others() {
        for value in [1e-170, 1e-150, 1e150, f64::NAN, f64::INFINITY] {
            let rows = Array2::from_elem((1, 2), value);
            assert!(RoughRows::new(rows.view(), &[2.0 * value * value]).is_none(), "{value}");
        }
        assert!(RoughRows::new(Array2::zeros((2, 2)).view(), &[0.0]).is_none());
    }
}
