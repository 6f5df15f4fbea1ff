//! Which inputs matter: Sobol's indices of a function of independent inputs.
//!
//! Two independent samples of n points are evaluated, A and B, and for each input i the points of A with that input
//! taken from B. With V the variance of the function, f its values,
//!
//! ```text
//! first order  S_i = Var(E[f | x_i]) / V          ≈ (1 / n) Σ (f_B − f̄) (f_ABi − f_A) / V      Saltelli et al. 2010
//! total        T_i = E[Var(f | all but x_i)] / V  ≈ (1 / 2n) Σ (f_A − f_ABi)² / V              Jansen 1999
//! ```
//!
//! S_i is the share of the variance that input i explains by itself, T_i the share that it has a part in; their
//! difference is what it does together with others. An estimate can lie a little below 0 or above 1 by chance.

use crate::error::{EvalError, check_finite};

/// First-order and total indices of every input.
#[derive(Debug, Clone, PartialEq)]
pub struct SobolIndices {
    /// S_i of each input.
    pub first: Vec<f64>,
    /// T_i of each input.
    pub total: Vec<f64>,
    /// V, over both samples together.
    pub variance: f64,
}

/// Values of the function at the points of A, shape (n,), at those of B, and for each input at A's points with that
/// input (all columns of it) taken from B.
///
/// # Errors
/// [`EvalError::TooFew`] below two points, [`EvalError::ShapeMismatch`], [`EvalError::NonFinite`], and
/// [`EvalError::Undefined`] where the function is constant.
///
/// ```
/// use dal_eval::sobol_indices;
/// // f = x₁ on {0, 1}², every pair of points once.
/// let grid = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
/// let pairs: Vec<_> = grid.iter().flat_map(|a| grid.iter().map(move |b| (a, b))).collect();
/// let a: Vec<f64> = pairs.iter().map(|(a, _)| a[0]).collect();
/// let b: Vec<f64> = pairs.iter().map(|(_, b)| b[0]).collect();
/// let found = sobol_indices(&a, &b, &[b.clone(), a.clone()])?;
/// assert_eq!((found.first, found.total), (vec![1.0, 0.0], vec![1.0, 0.0]));
/// # Ok::<(), dal_eval::EvalError>(())
/// ```
pub fn sobol_indices(a: &[f64], b: &[f64], mixed: &[Vec<f64>]) -> Result<SobolIndices, EvalError> {
    let n = a.len();
    if n < 2 {
        return Err(EvalError::TooFew { what: "points of a sample", needed: 2, got: n });
    }
    for other in std::iter::once(b).chain(mixed.iter().map(Vec::as_slice)) {
        if other.len() != n {
            let (left, right) = (vec![n], vec![other.len()]);
            return Err(EvalError::ShapeMismatch { what: "values at the samples", left, right });
        }
        check_finite("values at the samples", other.iter().copied())?;
    }
    check_finite("values at the samples", a.iter().copied())?;
    let both = || a.iter().chain(b);
    let mean = both().sum::<f64>() / (2 * n) as f64;
    let variance = both().map(|f| (f - mean) * (f - mean)).sum::<f64>() / (2 * n) as f64;
    // Values that differ by rounding alone have no variance to divide.
    let scale = both().fold(0.0_f64, |most, f| most.max(f.abs()));
    if variance.sqrt() <= 1e-12 * scale || variance == 0.0 {
        return Err(EvalError::Undefined { what: "a Sobol index", why: "the function is constant" });
    }
    let over = |terms: &mut dyn Iterator<Item = f64>| terms.sum::<f64>() / n as f64 / variance;
    let first =
        |of: &Vec<f64>| over(&mut a.iter().zip(b).zip(of).map(|((f_a, f_b), f_ab)| (f_b - mean) * (f_ab - f_a)));
    let total = |of: &Vec<f64>| over(&mut a.iter().zip(of).map(|(f_a, f_ab)| (f_a - f_ab) * (f_a - f_ab) / 2.0));
    Ok(SobolIndices { first: mixed.iter().map(first).collect(), total: mixed.iter().map(total).collect(), variance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn evaluated(f: &dyn Fn(&[f64]) -> f64, a: &[Vec<f64>], b: &[Vec<f64>]) -> SobolIndices {
        let of = |points: &[Vec<f64>]| points.iter().map(|x| f(x)).collect::<Vec<f64>>();
        let mixed: Vec<Vec<f64>> = (0..a[0].len())
            .map(|i| {
                let replaced = a.iter().zip(b).map(|(a, b)| {
                    let mut x = a.clone();
                    x[i] = b[i];
                    f(&x)
                });
                replaced.collect()
            })
            .collect();
        sobol_indices(&of(a), &of(b), &mixed).unwrap()
    }

    /// Over every pair of points of a grid both estimators are the definitions themselves.
    #[test]
    fn on_a_grid_they_are_the_conditional_variances() {
        let levels: [&[f64]; 3] = [&[0.0, 1.0, 5.0], &[-1.0, 2.0], &[0.5, 1.5, 2.5, 7.0]];
        let f = |x: &[f64]| x[0] * x[1] + x[2].sin() + 0.3 * x[0] * x[2] + 4.0;
        let mut grid: Vec<Vec<f64>> = vec![vec![]];
        for values in levels {
            grid = grid.iter().flat_map(|x| values.iter().map(move |v| [&x[..], &[*v]].concat())).collect();
        }
        let (a, b): (Vec<_>, Vec<_>) =
            grid.iter().flat_map(|a| grid.iter().map(move |b| (a.clone(), b.clone()))).unzip();
        let found = evaluated(&f, &a, &b);
        let mean = |points: &[&Vec<f64>]| points.iter().map(|x| f(x)).sum::<f64>() / points.len() as f64;
        let variance = |points: &[&Vec<f64>]| {
            let centre = mean(points);
            points.iter().map(|x| (f(x) - centre).powi(2)).sum::<f64>() / points.len() as f64
        };
        let all: Vec<&Vec<f64>> = grid.iter().collect();
        assert!((found.variance - variance(&all)).abs() < 1e-9);
        for i in 0..3 {
            // Var(E[f | x_i]) and E[Var(f | the others)], by sorting the grid into groups.
            let of_level: Vec<f64> = levels[i]
                .iter()
                .map(|v| mean(&all.iter().copied().filter(|x| x[i] == *v).collect::<Vec<_>>()))
                .collect();
            let centre = of_level.iter().sum::<f64>() / of_level.len() as f64;
            let first = of_level.iter().map(|m| (m - centre).powi(2)).sum::<f64>() / of_level.len() as f64;
            let rest = |x: &Vec<f64>| -> Vec<f64> { (0..3).filter(|j| *j != i).map(|j| x[j]).collect() };
            let inner: Vec<f64> = all
                .iter()
                .map(|x| variance(&all.iter().copied().filter(|y| rest(y) == rest(x)).collect::<Vec<_>>()))
                .collect();
            let total = inner.iter().sum::<f64>() / inner.len() as f64;
            assert!((found.first[i] - first / found.variance).abs() < 1e-9, "{i}: {found:?}");
            assert!((found.total[i] - total / found.variance).abs() < 1e-9, "{i}: {found:?}");
        }
    }

    /// Ishigami's function with a = 7 and b = 0.1 on [−π, π]³, whose indices are known.
    #[test]
    fn ishigamis_indices_are_found() {
        use std::f64::consts::PI;
        let f = |x: &[f64]| x[0].sin() + 7.0 * x[1].sin().powi(2) + 0.1 * x[2].powi(4) * x[0].sin();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut sample = || -> Vec<Vec<f64>> {
            let mut number = || ((rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0) * PI;
            (0..20_000).map(|_| (0..3).map(|_| number()).collect()).collect()
        };
        let (a, b) = (sample(), sample());
        let found = evaluated(&f, &a, &b);
        let first = [0.313_905, 0.442_411, 0.0];
        let total = [0.557_589, 0.442_411, 0.243_684];
        for i in 0..3 {
            assert!((found.first[i] - first[i]).abs() < 0.03, "{found:?}");
            assert!((found.total[i] - total[i]).abs() < 0.03, "{found:?}");
        }
    }

    /// Mean 3, variance (4 + 9 + 4 + 9) / 4 = 6.5; first (2 · 1 + 3 · 2) / 2 and total (1 + 4) / 4 over that.
    #[test]
    fn two_points_are_enough() {
        let found = sobol_indices(&[1.0, 0.0], &[5.0, 6.0], &[vec![2.0, 2.0]]).unwrap();
        assert_eq!(found.variance, 6.5);
        assert!((found.first[0] - (2.0 + 3.0 * 2.0) / 2.0 / 6.5).abs() < 1e-15, "{found:?}");
        assert!((found.total[0] - (1.0 + 4.0) / 4.0 / 6.5).abs() < 1e-15, "{found:?}");
    }

    #[test]
    fn what_has_no_indices_is_an_error() {
        let rounded = [1e6, 1e6 * (1.0 + 1e-14), 1e6];
        assert!(matches!(sobol_indices(&rounded, &rounded, &[]), Err(EvalError::Undefined { .. })));
        assert!(matches!(sobol_indices(&[0.0; 3], &[0.0; 3], &[]), Err(EvalError::Undefined { .. })));
        let ones = vec![1.0; 4];
        assert!(matches!(sobol_indices(&ones, &ones, &[]), Err(EvalError::Undefined { .. })));
        assert!(matches!(sobol_indices(&ones[..1], &ones[..1], &[]), Err(EvalError::TooFew { .. })));
        let varied = [1.0, 2.0, 3.0, 4.0];
        assert!(matches!(sobol_indices(&varied, &ones[..3], &[]), Err(EvalError::ShapeMismatch { .. })));
        let bad = vec![1.0, f64::NAN, 0.0, 0.0];
        assert!(matches!(sobol_indices(&varied, &ones, &[bad]), Err(EvalError::NonFinite { .. })));
    }
}
