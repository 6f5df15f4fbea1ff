//! Space-filling designs in the unit cube: scrambled Sobol points, Latin hypercubes that extend a design, maximin ones.
//!
//! A design is an array of quantiles, shape (n, inputs), each in
//! `[0, 1)`; [`dal_core::Space::at_quantiles`] makes points of it (integers, levels and log scales included). The
//! strategies `sobol` and `lhs` and the command `dal design` stand on it.

use dal_core::SeedPath;
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand::seq::SliceRandom;
use thiserror::Error;

/// Points of one scrambled sequence; the next ones come from a sequence of its own.
const SEQUENCE: usize = 1 << 16;

/// Swaps that are tried per point and input when a Latin hypercube is spread out.
const SWAPS: usize = 60;

/// A design that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DesignError {
    /// More inputs than the table of direction numbers has.
    #[error("Sobol points are known for up to {most} inputs, not for {found}; take a Latin hypercube")]
    TooManyInputs {
        /// Inputs asked for.
        found: usize,
        /// Inputs that are possible.
        most: usize,
    },
}

/// The points `first .. first + n` of a Sobol sequence, Owen-scrambled with a seed of this stream, shape (n, inputs).
///
/// Every prefix is evenly spread, best at powers of two; the numbers have 24 bits. After 65 536 points a sequence with
/// another scramble goes on.
///
/// Source: Sobol (1967), direction numbers of Joe and Kuo (2008), scrambling by hashing of Burley (2020),
/// `sobol_burley`.
///
/// # Errors
/// [`DesignError::TooManyInputs`].
pub fn sobol(n: usize, inputs: usize, first: usize, seeds: &SeedPath) -> Result<Array2<f64>, DesignError> {
    let most = sobol_burley::NUM_DIMENSIONS as usize;
    if inputs > most {
        return Err(DesignError::TooManyInputs { found: inputs, most });
    }
    let scramble = |sequence: usize| -> u32 { seeds.purpose("scramble").index(sequence as u64).rng().random() };
    let mut current = (first / SEQUENCE, scramble(first / SEQUENCE));
    let mut points = Array2::zeros((n, inputs));
    for (row, mut point) in points.outer_iter_mut().enumerate() {
        let (sequence, index) = ((first + row) / SEQUENCE, (first + row) % SEQUENCE);
        if sequence != current.0 {
            current = (sequence, scramble(sequence));
        }
        for (input, value) in point.iter_mut().enumerate() {
            *value = f64::from(sobol_burley::sample(index as u32, input as u32, current.1));
        }
    }
    Ok(points)
}

/// `n` points that go on with a Latin hypercube: each input's range is cut into as many strata as there will be points,
/// `existing.nrows() + n`; `n` of the strata that hold no existing point are drawn, get one point each at a uniform
/// place inside, and are matched at random over the inputs. With no existing points this is a plain Latin hypercube.
///
/// Shapes: existing (any number, inputs), quantiles in `[0, 1]`; result (n, inputs). Source: McKay, Beckman, Conover
/// (1979); extension as in Wang (2003).
pub fn latin_hypercube(n: usize, existing: ArrayView2<'_, f64>, seeds: &SeedPath) -> Array2<f64> {
    let mut rng = seeds.rng();
    let n_strata = existing.nrows() + n;
    let mut points = Array2::zeros((n, existing.ncols()));
    for (existing, mut column) in existing.columns().into_iter().zip(points.columns_mut()) {
        let mut taken = vec![false; n_strata];
        for &u in existing {
            taken[((u * n_strata as f64) as usize).min(n_strata - 1)] = true;
        }
        let mut free: Vec<usize> = (0..n_strata).filter(|&stratum| !taken[stratum]).collect();
        free.shuffle(&mut rng);
        for (value, &stratum) in column.iter_mut().zip(&free) {
            *value = below_one((stratum as f64 + rng.random::<f64>()) / n_strata as f64);
        }
    }
    points
}

/// A Latin hypercube whose points are spread out: swaps of two points' strata in one input are tried, and kept where
/// they do not lower the smallest distance between points, taken as φ₁₅ (Morris and Mitchell, 1995), which is to become
/// small.
///
/// Cost O(n² · inputs · 60): meant for designs of up to a few thousand points.
pub fn maximin_latin_hypercube(n: usize, inputs: usize, seeds: &SeedPath) -> Array2<f64> {
    let mut points = latin_hypercube(n, Array2::zeros((0, inputs)).view(), &seeds.purpose("hypercube"));
    if n < 2 {
        return points;
    }
    let mut rng = seeds.purpose("swaps").rng();
    for _ in 0..SWAPS * n * inputs / 2 {
        let (a, input) = (rng.random_range(0..n as u64) as usize, rng.random_range(0..inputs as u64) as usize);
        let b = (a + 1 + rng.random_range(0..n as u64 - 1) as usize) % n;
        let before = crowding(&points, a, b);
        points.swap([a, input], [b, input]);
        if crowding(&points, a, b) > before {
            points.swap([a, input], [b, input]);
        }
    }
    points
}

/// What two points add to φ₁₅ to the 15th power: the sum of distance⁻¹⁵ to all others.
fn crowding(points: &Array2<f64>, a: usize, b: usize) -> f64 {
    let mut sum = 0.0;
    for (i, other) in points.outer_iter().enumerate() {
        for point in [a, b] {
            if i != point && !(i == a && point == b) {
                let squared: f64 = other.iter().zip(points.row(point)).map(|(x, y)| (x - y) * (x - y)).sum();
                sum += squared.max(f64::MIN_POSITIVE.sqrt()).powf(-7.5);
            }
        }
    }
    sum
}

/// Rounding may lift the last stratum's number to 1.
fn below_one(u: f64) -> f64 {
    u.min(1.0 - f64::EPSILON / 2.0)
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, concatenate, s};

    use super::*;

    fn strata(points: &Array2<f64>, n_strata: usize) -> Vec<Vec<usize>> {
        let count = |column: ndarray::ArrayView1<'_, f64>| {
            let mut counts = vec![0; n_strata];
            column.iter().for_each(|u| counts[(u * n_strata as f64) as usize] += 1);
            counts
        };
        points.columns().into_iter().map(count).collect()
    }

    #[test]
    fn sobol_points_go_on_and_fill_every_stratum_of_a_power_of_two() {
        let seeds = SeedPath::root(3);
        let whole = sobol(64, 5, 0, &seeds).unwrap();
        let second = sobol(40, 5, 24, &seeds).unwrap();
        assert_eq!(second, whole.slice(s![24.., ..]));
        assert!(strata(&whole, 64).iter().flatten().all(|&count| count == 1));
        assert_ne!(whole, sobol(64, 5, 0, &SeedPath::root(4)).unwrap());
        // Two inputs: one point in each of the 8 × 8 squares.
        let mut squares = vec![0; 64];
        for point in whole.outer_iter() {
            squares[(point[0] * 8.0) as usize * 8 + (point[1] * 8.0) as usize] += 1;
        }
        assert!(squares.iter().all(|&count| count == 1), "{squares:?}");
        assert_eq!(sobol(1, 999, 0, &seeds), Err(DesignError::TooManyInputs { found: 999, most: 256 }));
    }

    #[test]
    fn a_sequence_that_ends_is_followed_by_another() {
        let seeds = SeedPath::root(3);
        let across = sobol(4, 2, SEQUENCE - 2, &seeds).unwrap();
        assert_eq!(across.slice(s![..2, ..]), sobol(2, 2, SEQUENCE - 2, &seeds).unwrap());
        assert!(across.slice(s![2.., ..]) != sobol(2, 2, 0, &seeds).unwrap());
        assert!(across.iter().all(|u| (0.0..1.0).contains(u)));
    }

    #[test]
    fn a_latin_hypercube_goes_on_with_one_point_in_every_free_stratum() {
        let seeds = SeedPath::root(7);
        let first = latin_hypercube(10, Array2::zeros((0, 3)).view(), &seeds.index(0));
        assert!(strata(&first, 10).iter().flatten().all(|&count| count == 1));
        let more = latin_hypercube(10, first.view(), &seeds.index(1));
        let both = concatenate(Axis(0), &[first.view(), more.view()]).unwrap();
        // Each new point stands alone in its stratum of the 20; old ones may share one.
        let counts = strata(&both, 20);
        for (column, counts) in more.columns().into_iter().zip(&counts) {
            assert!(column.iter().all(|u| counts[(u * 20.0) as usize] == 1), "{counts:?}");
        }
        assert_eq!(latin_hypercube(0, first.view(), &seeds).dim(), (0, 3));
    }

    #[test]
    fn maximin_keeps_the_strata_and_widens_the_smallest_distance() {
        let least = |points: &Array2<f64>| {
            let n = points.nrows();
            let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
            pairs
                .map(|(i, j)| (&points.row(i) - &points.row(j)).mapv(|d| d * d).sum())
                .fold(f64::INFINITY, f64::min)
                .sqrt()
        };
        for seed in 0..5 {
            let seeds = SeedPath::root(seed);
            let spread = maximin_latin_hypercube(30, 3, &seeds);
            assert!(strata(&spread, 30).iter().flatten().all(|&count| count == 1));
            let plain = latin_hypercube(30, Array2::zeros((0, 3)).view(), &seeds.purpose("hypercube"));
            assert!(least(&spread) > 1.5 * least(&plain), "{} {}", least(&spread), least(&plain));
        }
        assert_eq!(maximin_latin_hypercube(1, 2, &SeedPath::root(0)).dim(), (1, 2));
    }
}
