//! Fisher–Jenks natural breaks: the exact partition of numbers into classes of least squared deviation.

use crate::GeomError;

/// A sum kept in two doubles, the second holding what the first rounds away (about 106 bits).
#[derive(Debug, Clone, Copy, Default)]
struct Double {
    high: f64,
    low: f64,
}

impl Double {
    /// `a + b` without error.
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let b_part = high - a;
        Self { high, low: (a - (high - b_part)) + (b - b_part) }
    }

    /// `a · b` without error.
    fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    fn add(self, other: Self) -> Self {
        let s = Self::sum(self.high, other.high);
        Self::sum(s.high, s.low + self.low + other.low)
    }

    fn sub(self, other: Self) -> Self {
        self.add(Self { high: -other.high, low: -other.low })
    }

    fn scale(self, factor: f64) -> Self {
        let p = Self::product(self.high, factor);
        Self::sum(p.high, self.low.mul_add(factor, p.low))
    }

    fn square(self) -> Self {
        let p = Self::product(self.high, self.high);
        Self::sum(p.high, (2.0 * self.high).mul_add(self.low, p.low))
    }

    fn divide(self, divisor: f64) -> Self {
        let q = self.high / divisor;
        let rest = self.sub(Self::product(q, divisor));
        Self::sum(q, (rest.high + rest.low) / divisor)
    }
}

/// Prefix sums over the distinct values, from which the squared deviation of any run follows.
struct Prefix {
    count: Vec<f64>,
    sum: Vec<Double>,
    squares: Vec<Double>,
}

impl Prefix {
    fn new(distinct: &[(f64, usize)]) -> Self {
        let (mut count, mut sum, mut squares) = (vec![0.0], vec![Double::default()], vec![Double::default()]);
        // Values relative to the middle keep the sums small.
        let middle = distinct[distinct.len() / 2].0;
        for (i, &(value, n)) in distinct.iter().enumerate() {
            let v = Double::sum(value, -middle);
            count.push(count[i] + n as f64);
            sum.push(sum[i].add(v.scale(n as f64)));
            squares.push(squares[i].add(v.square().scale(n as f64)));
        }
        Self { count, sum, squares }
    }

    /// Σ (v − mean)² over the distinct values `from..to` with their multiplicities, in doubled precision.
    fn deviation(&self, from: usize, to: usize) -> Double {
        if to - from < 2 {
            return Double::default();
        }
        let n = self.count[to] - self.count[from];
        let s = self.sum[to].sub(self.sum[from]);
        self.squares[to].sub(self.squares[from]).sub(s.square().divide(n))
    }
}

/// Fisher–Jenks classes of `values` (n,): `labels[i]` is the class of value `i`, classes ascending by value from 0.
///
/// The partition into `min(n_classes, distinct values)` non-empty classes of consecutive values that minimises the sum
/// over classes of `Σ (v − class mean)²`; equal values are never parted. Among equally good partitions the last break
/// is as low as possible, then the one before it, and so on. Sums are carried in doubled precision and compared after
/// rounding to a double, so mathematically equal partitions are recognised as equal.
///
/// Cost: O(k m log m) for k classes of m distinct values (divide and conquer over the monotone breaks), after sorting.
///
/// # Errors
/// [`GeomError::NonFinite`]; [`GeomError::OutOfRange`] where `n_classes` is 0; [`GeomError::Empty`] without values.
///
/// Source: W. D. Fisher, On grouping for maximum homogeneity, J. Am. Stat. Assoc. 53 (1958).
///
/// ```
/// assert_eq!(dal_geom::jenks(&[1.0, 9.0, 1.2, 8.5, 5.0], 3)?, [0, 2, 0, 2, 1]);
/// # Ok::<(), dal_geom::GeomError>(())
/// ```
pub fn jenks(values: &[f64], n_classes: usize) -> Result<Vec<usize>, GeomError> {
    if n_classes == 0 {
        return Err(GeomError::OutOfRange { what: "the number of classes", found: 0, least: 1, most: usize::MAX });
    }
    if let Some((row, &value)) = values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        return Err(GeomError::NonFinite { what: "values to class", row, column: 0, value });
    }
    // A power of two, so that nothing is rounded: squares of any values have a place.
    let largest = values.iter().fold(0.0_f64, |largest, v| largest.max(v.abs()));
    let scale = 2.0_f64.powi(-(largest.log2().clamp(-1000.0, 1000.0) as i32));
    let values: Vec<f64> = values.iter().map(|v| v * scale).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    // Zeros of both signs are one value.
    let mut distinct: Vec<(f64, usize)> = Vec::new();
    let mut place = vec![0; values.len()];
    for &i in &order {
        match distinct.last_mut() {
            Some((value, n)) if *value == values[i] => *n += 1,
            _ => distinct.push((values[i], 1)),
        }
        place[i] = distinct.len() - 1;
    }
    if distinct.is_empty() {
        return Err(GeomError::Empty { what: "the list of values to class" });
    }
    let starts = class_starts(&distinct, n_classes.min(distinct.len()));
    Ok(place.into_iter().map(|p| starts.partition_point(|&start| start <= p) - 1).collect())
}

/// First distinct value of each of `k` classes.
fn class_starts(distinct: &[(f64, usize)], k: usize) -> Vec<usize> {
    let m = distinct.len();
    let prefix = Prefix::new(distinct);
    // cost[i]: least deviation of the first i values in the classes so far; breaks[c][i]: where class c starts then.
    let mut cost: Vec<Double> = (0..=m).map(|i| prefix.deviation(0, i)).collect();
    let mut breaks: Vec<Vec<usize>> = Vec::new();
    for c in 1..k {
        let mut next = vec![Double { high: f64::INFINITY, low: 0.0 }; m + 1];
        let mut starts = vec![0; m + 1];
        let layer = Layer { prefix: &prefix, cost: &cost, classes_before: c };
        // The last layer is read at m only.
        let from = if c + 1 == k { m } else { c + 1 };
        layer.solve(from, m, c, m - 1, &mut next, &mut starts);
        cost = next;
        breaks.push(starts);
    }
    let mut starts = vec![0; k];
    let mut end = m;
    for c in (1..k).rev() {
        end = breaks[c - 1][end];
        starts[c] = end;
    }
    starts
}

/// One class more than before.
struct Layer<'a> {
    prefix: &'a Prefix,
    cost: &'a [Double],
    classes_before: usize,
}

impl Layer<'_> {
    /// Fills `next[i]` and `starts[i]` for `i` in `from..=to`, where the last class starts within `low..=high`.
    ///
    /// The lowest best start never falls as `i` grows, so the middle's start bounds both halves.
    fn solve(&self, from: usize, to: usize, low: usize, high: usize, next: &mut [Double], starts: &mut [usize]) {
        if from > to {
            return;
        }
        let middle = from + (to - from) / 2;
        let mut best = (f64::INFINITY, Double::default(), low);
        for start in low.max(self.classes_before)..=high.min(middle - 1) {
            let total = self.cost[start].add(self.prefix.deviation(start, middle));
            let rounded = total.high + total.low;
            if rounded < best.0 {
                best = (rounded, total, start);
            }
        }
        next[middle] = best.1;
        starts[middle] = best.2;
        self.solve(from, middle - 1, low, best.2, next, starts);
        self.solve(middle + 1, to, best.2, high, next, starts);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every partition into classes of consecutive distinct values, in integers so that ties are exact: deviations
    /// times the product of all class sizes.
    fn naive(values: &[i64], n_classes: usize) -> Vec<usize> {
        let mut distinct: Vec<i64> = values.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let k = n_classes.min(distinct.len());
        let mut best: Option<(f64, Vec<usize>)> = None;
        let mut starts: Vec<usize> = (0..k).collect();
        loop {
            let label = |v: i64| starts.iter().rposition(|&s| distinct[s] <= v).unwrap();
            let mut numerators = Vec::new();
            let mut sizes = Vec::new();
            for class in 0..k {
                let members: Vec<i128> =
                    values.iter().filter(|&&v| label(v) == class).map(|&v| i128::from(v)).collect();
                let (n, s) = (members.len() as i128, members.iter().sum::<i128>());
                numerators.push(n * members.iter().map(|v| v * v).sum::<i128>() - s * s);
                sizes.push(n);
            }
            // Σ numerator / size over a common denominator that does not depend on the partition: lcm(1..=n) does.
            let common: i128 = (1..=values.len() as i128).fold(1, lcm);
            let total: i128 = numerators.iter().zip(&sizes).map(|(num, n)| num * (common / n)).sum();
            let total = total as f64;
            let reversed = |s: &[usize]| s.iter().rev().copied().collect::<Vec<_>>();
            let better = match &best {
                None => true,
                Some((b, s)) => total < *b || (total == *b && reversed(&starts) < reversed(s)),
            };
            if better {
                best = Some((total, starts.clone()));
            }
            // Next increasing choice of starts[1..].
            let Some(c) = (1..k).rev().find(|&c| starts[c] < distinct.len() - (k - c)) else { break };
            starts[c] += 1;
            for next in c + 1..k {
                starts[next] = starts[next - 1] + 1;
            }
        }
        let starts = best.unwrap().1;
        values.iter().map(|&v| starts.iter().rposition(|&s| distinct[s] <= v).unwrap()).collect()
    }

    fn lcm(a: i128, b: i128) -> i128 {
        let (mut x, mut y) = (a, b);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        a / x * b
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn equals_every_partition_tried(
            values in prop_oneof![prop::collection::vec(-3..12i64, 1..14), prop::collection::vec(-900..900i64, 1..14)],
            k in 1..6usize,
        ) {
            let numbers: Vec<f64> = values.iter().map(|&v| v as f64 * 0.25).collect();
            prop_assert_eq!(jenks(&numbers, k).unwrap(), naive(&values, k));
            // Whatever their size: squares need not have a place among numbers.
            for scale in [2f64.powi(1000), 2f64.powi(-1000)] {
                let large: Vec<f64> = values.iter().map(|&v| v as f64 * scale).collect();
                prop_assert_eq!(jenks(&large, k).unwrap(), naive(&values, k));
            }
        }

        #[test]
        fn larger_sets_equal_the_quadratic_rule(values in prop::collection::vec(-1.0..1.0f64, 1..80), k in 1..6usize) {
            let labels = jenks(&values, k).unwrap();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            sorted.dedup();
            let m = sorted.len();
            let dev = |a: usize, b: usize| {
                let mean = values_in(&values, sorted[a], sorted[b - 1]).sum::<f64>()
                    / values_in(&values, sorted[a], sorted[b - 1]).count() as f64;
                values_in(&values, sorted[a], sorted[b - 1]).map(|v| (v - mean) * (v - mean)).sum::<f64>()
            };
            let mut cost: Vec<f64> = (0..=m).map(|i| if i == 0 { f64::INFINITY } else { dev(0, i) }).collect();
            for _ in 1..k.min(m) {
                cost = (0..=m)
                    .map(|i| (1..i).map(|s| cost[s] + dev(s, i)).fold(f64::INFINITY, f64::min))
                    .collect();
            }
            let mut total = 0.0;
            for class in 0..k.min(m) {
                let members: Vec<f64> =
                    values.iter().zip(&labels).filter(|(_, l)| **l == class).map(|(v, _)| *v).collect();
                prop_assert!(!members.is_empty());
                let mean = members.iter().sum::<f64>() / members.len() as f64;
                total += members.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
            }
            prop_assert!((total - cost[m]).abs() <= 1e-12 * (1.0 + cost[m]));
        }
    }

    fn values_in(values: &[f64], low: f64, high: f64) -> impl Iterator<Item = f64> + '_ {
        values.iter().copied().filter(move |v| (low..=high).contains(v))
    }

    #[test]
    fn ties_go_to_the_lowest_break() {
        // {0} {1 2} and {0 1} {2} are equally good.
        assert_eq!(jenks(&[0.0, 1.0, 2.0], 2).unwrap(), [0, 1, 1]);
        assert_eq!(jenks(&[0.1, 0.2, 0.3, 0.4], 3).unwrap().len(), 4);
    }

    #[test]
    fn degenerate_input() {
        assert_eq!(jenks(&[2.0; 5], 4).unwrap(), [0; 5]);
        assert_eq!(jenks(&[0.0, -0.0, 1.0], 4).unwrap(), [0, 0, 1]);
        assert!(matches!(jenks(&[], 2), Err(GeomError::Empty { .. })));
        assert!(matches!(jenks(&[1.0], 0), Err(GeomError::OutOfRange { .. })));
        assert!(matches!(jenks(&[0.0, f64::NAN], 2), Err(GeomError::NonFinite { row: 1, .. })));
    }
}
