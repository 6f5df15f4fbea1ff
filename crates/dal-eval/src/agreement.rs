//! Whether two settings put methods in the same order, as two networks may: Kendall's τ, and how much of what is
//! missing to 1 is noise of the seeds.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{EvalError, check_finite};
use crate::errors::quantile;

/// Resamples of the seeds, and random halves of them.
pub const N_RESAMPLES: usize = 2000;
/// Seeds below which neither an interval nor halves are made.
pub const FEWEST_FOR_HALVES: usize = 6;

/// Kendall's τ-b of two lists: (pairs in the same order − pairs in opposite orders) / √((n₀ − t_a)(n₀ − t_b)) of all
/// n₀ = n (n − 1) / 2 pairs, t of which are ties in one list.
///
/// No unit, in [−1, 1]: 1 where both lists are in the same order, −1 where one is the reverse of the other. Source: M.
/// Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945).
///
/// Worked example: (1, 2, 3, 4) and (1, 3, 2, 4) have five pairs in the same order and one in the opposite: 4 / 6.
///
/// ```
/// # use dal_eval::kendall_tau;
/// let tau = kendall_tau(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0])?;
/// assert!((tau - 4.0 / 6.0).abs() < 1e-15);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::ShapeMismatch`], [`EvalError::TooFew`] below two values, [`EvalError::NonFinite`],
/// [`EvalError::Undefined`] where either list is constant.
pub fn kendall_tau(a: &[f64], b: &[f64]) -> Result<f64, EvalError> {
    if a.len() != b.len() {
        return Err(EvalError::ShapeMismatch { what: "Kendall's τ", left: vec![a.len()], right: vec![b.len()] });
    }
    if a.len() < 2 {
        return Err(EvalError::TooFew { what: "values of Kendall's τ", needed: 2, got: a.len() });
    }
    check_finite("value of Kendall's τ", a.iter().chain(b).copied())?;
    let order = |x: f64, y: f64| f64::from(i8::from(x > y) - i8::from(x < y));
    let (mut same, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            let (x, y) = (order(a[i], a[j]), order(b[i], b[j]));
            same += x * y;
            of_a += x * x;
            of_b += y * y;
        }
    }
    if of_a == 0.0 || of_b == 0.0 {
        return Err(EvalError::Undefined { what: "Kendall's τ", why: "one list is constant" });
    }
    Ok((same / f64::sqrt(of_a * of_b)).clamp(-1.0, 1.0))
}

/// How far two settings agree on the order of methods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrderAgreement {
    /// Kendall's τ of the methods' means over all seeds.
    pub tau: f64,
    /// Percentile interval from seeds drawn again with replacement, the same for both settings; `None` below
    /// [`FEWEST_FOR_HALVES`] seeds. It lies too low: drawing again adds the seeds' noise once more, and τ cannot exceed
    /// 1, so two settings of one true order may have an interval without 1. What tells noise from another order is
    /// [`halves`](Self::halves).
    pub interval: Option<[f64; 2]>,
    /// Of random halves of the seeds; `None` below [`FEWEST_FOR_HALVES`], and where no half has an order.
    pub halves: Option<Halves>,
}

/// Mean τ between means over one half of the seeds and over the other half: what noise alone leaves of an agreement,
/// beside what is left of it between the settings. Equal figures show no change of order
/// beyond noise; where all are small the seeds show nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halves {
    /// One half in one setting, the other half in the other.
    pub between: f64,
    /// Both in the first setting.
    pub within_first: f64,
    /// Both in the second.
    pub within_second: f64,
}

/// The agreement of two settings on the order of methods; `first[m][s]` and `second[m][s]` hold a method's value of a
/// seed, such as the mean ln nAUC over the pool ratios. The order is that of the means over the seeds.
///
/// [`N_RESAMPLES`] resamples and as many random halves (of an odd number of seeds one is left out) come from `seed`. A
/// draw in which a setting's means are all equal has no order and is left out.
///
/// Worked example: methods with 1, 2 and 3 at every seed in one setting and 1, 3 and 2 in the other have two pairs in
/// the same order and one in the opposite, whichever seeds are drawn.
///
/// ```
/// # use dal_eval::order_agreement;
/// let rows = |values: [f64; 3]| values.map(|v| vec![v; 6]).to_vec();
/// let found = order_agreement(&rows([1.0, 2.0, 3.0]), &rows([1.0, 3.0, 2.0]), 0.95, 1)?;
/// assert!((found.tau - 1.0 / 3.0).abs() < 1e-15);
/// assert_eq!(found.interval, Some([found.tau; 2]));
/// assert_eq!(found.halves.unwrap().within_first, 1.0);
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
///
/// # Errors
/// As [`kendall_tau`]; [`EvalError::ShapeMismatch`] where methods differ in their number of seeds or settings in their
/// number of methods; [`EvalError::TooFew`] without a seed; [`EvalError::OutOfRange`] for a level that is not between 0
/// and 1.
pub fn order_agreement(
    first: &[Vec<f64>],
    second: &[Vec<f64>],
    level: f64,
    seed: u64,
) -> Result<OrderAgreement, EvalError> {
    let n_seeds = first.first().map_or(0, Vec::len);
    if let Some(row) = first.iter().chain(second).find(|row| row.len() != n_seeds) {
        return Err(EvalError::ShapeMismatch {
            what: "seeds of a method",
            left: vec![n_seeds],
            right: vec![row.len()],
        });
    }
    if n_seeds == 0 {
        return Err(EvalError::TooFew { what: "seeds of an order", needed: 1, got: 0 });
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(EvalError::OutOfRange { what: "level", index: 0, value: level, must: "lie between 0 and 1" });
    }
    let means = |rows: &[Vec<f64>], seeds: &[usize]| -> Vec<f64> {
        rows.iter().map(|row| seeds.iter().map(|&s| row[s]).sum::<f64>() / seeds.len() as f64).collect()
    };
    let mut seeds: Vec<usize> = (0..n_seeds).collect();
    let tau = kendall_tau(&means(first, &seeds), &means(second, &seeds))?;
    if n_seeds < FEWEST_FOR_HALVES {
        return Ok(OrderAgreement { tau, interval: None, halves: None });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let resampled: Vec<f64> = (0..N_RESAMPLES)
        .filter_map(|_| {
            let drawn: Vec<usize> = (0..n_seeds).map(|_| rng.random_range(0..n_seeds)).collect();
            kendall_tau(&means(first, &drawn), &means(second, &drawn)).ok()
        })
        .collect();
    let tail = (1.0 - level) / 2.0;
    let interval = [quantile(&resampled, tail)?, quantile(&resampled, 1.0 - tail)?];
    let mut taus = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..N_RESAMPLES {
        seeds.shuffle(&mut rng);
        let (one, rest) = seeds.split_at(n_seeds / 2);
        let other = &rest[..n_seeds / 2];
        for (taus, (a, b)) in taus.iter_mut().zip([(first, second), (first, first), (second, second)]) {
            taus.extend(kendall_tau(&means(a, one), &means(b, other)).ok());
        }
    }
    let has_orders = taus.iter().all(|all| !all.is_empty());
    let [between, within_first, within_second] = taus.map(|all| all.iter().sum::<f64>() / all.len() as f64);
    let halves = has_orders.then_some(Halves { between, within_first, within_second });
    Ok(OrderAgreement { tau, interval: Some(interval), halves })
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn ties_are_those_of_tau_b() {
        // SciPy's documentation of kendalltau has this example.
        let tau = kendall_tau(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0]).unwrap();
        assert!((tau + 0.471_404_520_791_031_73).abs() < 1e-15, "{tau}");
    }

    #[test]
    fn bad_input_is_typed() {
        assert!(matches!(kendall_tau(&[1.0, 1.0], &[1.0, 2.0]), Err(EvalError::Undefined { .. })));
        assert!(matches!(kendall_tau(&[1.0], &[1.0]), Err(EvalError::TooFew { .. })));
        assert!(matches!(kendall_tau(&[1.0, f64::NAN], &[1.0, 2.0]), Err(EvalError::NonFinite { .. })));
        let rows = |n: usize| vec![vec![1.0; n], vec![2.0; n]];
        assert!(matches!(order_agreement(&rows(3), &rows(2), 0.95, 1), Err(EvalError::ShapeMismatch { .. })));
        assert!(matches!(order_agreement(&rows(0), &rows(0), 0.95, 1), Err(EvalError::TooFew { .. })));
        assert!(matches!(order_agreement(&rows(3), &rows(3), 1.0, 1), Err(EvalError::OutOfRange { .. })));
        assert_eq!(order_agreement(&rows(3), &rows(3), 0.95, 1).unwrap().halves, None);
    }

    /// Values of methods that differ by `step` from one to the next, in an order, with noise of sd about 1 per seed.
    fn drawn(order: &[usize], step: f64, n_seeds: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let noise = |rng: &mut ChaCha8Rng| (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        order.iter().map(|&m| (0..n_seeds).map(|_| step * m as f64 + noise(rng)).collect()).collect()
    }

    #[test]
    fn halves_tell_noise_from_another_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (order, reversed): (Vec<usize>, Vec<usize>) = ((0..9).collect(), (0..9).rev().collect());
        let first = drawn(&order, 0.3, 10, &mut rng);
        let same = order_agreement(&first, &drawn(&order, 0.3, 10, &mut rng), 0.95, 1).unwrap();
        let halves = same.halves.unwrap();
        let within = 0.5 * (halves.within_first + halves.within_second);
        // Noise alone leaves less than 1, and as much between as within.
        assert!(within < 0.9 && (halves.between - within).abs() < 0.15, "{same:?}");
        let [lower, upper] = same.interval.unwrap();
        assert!(lower < same.tau && same.tau <= upper, "{same:?}");
        let other = order_agreement(&first, &drawn(&reversed, 0.3, 10, &mut rng), 0.95, 1).unwrap();
        let halves = other.halves.unwrap();
        assert!(other.interval.unwrap()[1] < 0.0 && halves.between < -0.4 && halves.within_second > 0.4, "{other:?}");
    }

    #[test]
    fn the_interval_has_the_tails_of_its_level() {
        // The second method leads by 1 at five seeds and trails by 3 at the sixth: the order turns round where that one
        // is drawn at least twice in six, with a chance of 1 − (5/6)^6 − (5/6)^5 = 0.26.
        let first = vec![vec![0.0; 6], vec![1.0; 6]];
        let second = vec![vec![0.0; 6], vec![1.0, 1.0, 1.0, 1.0, 1.0, -3.0]];
        let of = |level: f64| order_agreement(&first, &second, level, 7).unwrap();
        assert_eq!(of(0.6).interval, Some([-1.0, 1.0]));
        assert_eq!(of(0.4).interval, Some([1.0, 1.0]));
        assert_eq!(of(0.6).tau, 1.0);
        assert!(matches!(order_agreement(&first, &second, 0.0, 7), Err(EvalError::OutOfRange { .. })));
        let fewest = |rows: &[Vec<f64>]| rows.iter().map(|row| row[..FEWEST_FOR_HALVES].to_vec()).collect::<Vec<_>>();
        assert!(order_agreement(&fewest(&first), &fewest(&second), 0.6, 7).unwrap().interval.is_some());
    }

    proptest! {
        /// By counting pairs as the definition says.
        #[test]
        fn equals_counting(pairs in prop::collection::vec((-4..4_i32, -4..4_i32), 2..20)) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).unzip();
            let (mut same, mut opposite, mut tied_a, mut tied_b) = (0, 0, 0, 0);
            for i in 0..pairs.len() {
                for j in i + 1..pairs.len() {
                    let (x, y) = (pairs[i].0 - pairs[j].0, pairs[i].1 - pairs[j].1);
                    same += i32::from(x * y > 0);
                    opposite += i32::from(x * y < 0);
                    tied_a += i32::from(x == 0);
                    tied_b += i32::from(y == 0);
                }
            }
            let all = (pairs.len() * (pairs.len() - 1) / 2) as i32;
            match kendall_tau(&a, &b) {
                Err(_) => prop_assert!(tied_a == all || tied_b == all),
                Ok(tau) => {
                    let due = f64::from(same - opposite) / f64::from((all - tied_a) * (all - tied_b)).sqrt();
                    prop_assert!((tau - due).abs() < 1e-12);
                    prop_assert!((kendall_tau(&b, &a).unwrap() - tau).abs() < 1e-15);
                }
            }
        }
    }
}
