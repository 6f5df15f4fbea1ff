//! The closed form of the ADM-like spectrum: coupled modes of four pillars, diagonalised, and a smooth background.

use serde::Deserialize;

use super::{AdmError, N_OUTPUTS};

/// Speed of light, µm THz.
const LIGHT: f64 = 299.792_458;
/// Pillars, each with one mode of every kind.
const PILLARS: usize = 4;
/// Numbers of a pillar for one kind: log frequency, drive, couplings to the row, column and diagonal neighbour.
const PER_KIND: usize = 5;
/// Numbers beside the modes: two direct terms, and the height, place and width of the background's step.
const SMOOTH: usize = 5;

/// Every kind of mode has a real symmetric 4 × 4 matrix: the pillars' frequencies f_i on its diagonal, and √(f_i f_j)
/// times the mean of the two pillars' couplings off it. Its eigenvalues are the f_k below, and w_k the squares of its
/// eigenvectors' products with the drives.
///
/// A(f) = 1 − (1 − A_modes)(1 − B). Each parity (even, odd) of kinds has K = k0 + Σ w / (f_k − f + i g(f)) and
/// |s|² = |1 − iK|² / |1 + iK|²; A_modes = 1 − (|s_even|² + |s_odd|²) / 2. The loss g of a kind is
/// exp(loss + slope ln(f/250)) and, where the supercell's first diffraction order opens (u = f p / c near 1), a leak on
/// top. B is a step in u.
/// Im K ≤ 0, so that A is in [0, 1] whatever the numbers.
pub(super) struct ClosedForm {
    frequency: Vec<f64>,
    leak: Vec<f64>,
    /// The first part of g, (kind, frequency).
    loss: Vec<Vec<f64>>,
}

/// Working memory, one number per frequency each.
pub(super) struct Work {
    u: Vec<f64>,
    opening: Vec<f64>,
    g: Vec<f64>,
    re: Vec<f64>,
    im: Vec<f64>,
    re_kind: Vec<f64>,
    im_kind: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Constants {
    loss: Vec<f64>,
    loss_slope: Vec<f64>,
    leak: Vec<f64>,
}

impl ClosedForm {
    /// From the constants of the kinds; even kinds come first, third, and so on.
    pub(super) fn from_toml(text: &str) -> Result<Self, AdmError> {
        let wrong = |message: String| AdmError::ClosedForm { message };
        let constants: Constants = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let Constants { loss, loss_slope, leak } = constants;
        if loss.is_empty() || loss.len() != loss_slope.len() || loss.len() != leak.len() {
            return Err(wrong(format!("{}, {} and {} entries", loss.len(), loss_slope.len(), leak.len())));
        }
        if !loss.iter().chain(&loss_slope).chain(&leak).all(|v| v.is_finite()) {
            return Err(wrong("an entry is not finite".into()));
        }
        let frequency: Vec<f64> = (0..N_OUTPUTS).map(|j| 100.0 + 0.2 * j as f64).collect();
        let relative: Vec<f64> = frequency.iter().map(|f| libm::log(f / 250.0)).collect();
        let of_kind = |(loss, slope): (&f64, &f64)| relative.iter().map(|r| libm::exp(loss + slope * r)).collect();
        let loss = loss.iter().zip(&loss_slope).map(of_kind).collect();
        Ok(Self { frequency, leak: leak.into_iter().map(libm::exp).collect(), loss })
    }

    /// How many numbers the view from one pillar has to give.
    pub(super) fn n_numbers(&self) -> usize {
        PER_KIND * self.leak.len() + SMOOTH
    }

    pub(super) fn work(&self) -> Work {
        let zeros = || vec![0.0; N_OUTPUTS];
        Work { u: zeros(), opening: zeros(), g: zeros(), re: zeros(), im: zeros(), re_kind: zeros(), im_kind: zeros() }
    }

    /// Writes the spectrum for a period in µm to `out`; `numbers` are the four views', one after another.
    pub(super) fn evaluate(&self, numbers: &[f64], period: f64, work: &mut Work, out: &mut [f64]) {
        let n = self.n_numbers();
        let kinds: Vec<_> = (0..self.leak.len()).map(|kind| modes(kind, n, numbers)).collect();
        let smooth: [f64; SMOOTH] = std::array::from_fn(|k| {
            (0..PILLARS).map(|i| numbers[(i + 1) * n - SMOOTH + k]).sum::<f64>() / PILLARS as f64
        });
        let Work { u, opening, g, re, im, re_kind, im_kind } = work;
        for (f, (u, opening)) in self.frequency.iter().zip(u.iter_mut().zip(opening.iter_mut())) {
            *u = f * period / LIGHT;
            *opening = 0.2 * softplus((*u - 1.0) / 0.05);
        }
        out.fill(0.0);
        for parity in 0..2 {
            re.fill(smooth[parity]);
            im.fill(0.0);
            for kind in (parity..self.leak.len()).step_by(2) {
                re_kind.fill(0.0);
                im_kind.fill(0.0);
                let leak = self.leak[kind];
                let losses = self.loss[kind].iter().zip(opening.iter());
                g.iter_mut().zip(losses).for_each(|(g, (loss, opening))| *g = loss + leak * opening);
                for (centre, strength) in kinds[kind] {
                    let sums = re_kind.iter_mut().zip(im_kind.iter_mut());
                    for ((re, im), (f, g)) in sums.zip(self.frequency.iter().zip(g.iter())) {
                        let detuning = centre - f;
                        let x = strength / (detuning * detuning + g * g);
                        *re += x * detuning;
                        *im += x * g;
                    }
                }
                re.iter_mut().zip(re_kind.iter()).for_each(|(sum, v)| *sum += v);
                im.iter_mut().zip(im_kind.iter()).for_each(|(sum, v)| *sum += v);
            }
            for (out, (re, im)) in out.iter_mut().zip(re.iter().zip(im.iter())) {
                *out += 2.0 * im / ((1.0 + im) * (1.0 + im) + re * re);
            }
        }
        let (height, width) = (sigmoid(smooth[2]), libm::exp(smooth[4]));
        for (out, u) in out.iter_mut().zip(u.iter()) {
            let step = height * sigmoid((u - smooth[3]) / width) * sigmoid((u - 0.7) / 0.03);
            // Rounding alone could leave [0, 1].
            *out = (1.0 - (1.0 - *out) * (1.0 - step)).clamp(0.0, 1.0);
        }
    }
}

/// Frequency and strength of the four coupled modes of a kind; `n` is the length of a view's numbers.
fn modes(kind: usize, n: usize, numbers: &[f64]) -> [(f64, f64); PILLARS] {
    let of = |pillar: usize, part: usize| numbers[pillar * n + kind * PER_KIND + part];
    let own: [f64; PILLARS] = std::array::from_fn(|i| libm::exp(of(i, 0)));
    let matrix = std::array::from_fn(|i| {
        std::array::from_fn(|j| match i ^ j {
            0 => own[i],
            neighbour => (of(i, 1 + neighbour) + of(j, 1 + neighbour)) / 2.0 * own[i].sqrt() * own[j].sqrt(),
        })
    });
    let (frequencies, vectors) = eigen(matrix);
    std::array::from_fn(|k| {
        let product: f64 = (0..PILLARS).map(|i| vectors[i][k] * of(i, 1)).sum();
        (frequencies[k], product * product)
    })
}

/// Eigenvalues of a real symmetric matrix, in no order, and its eigenvectors as columns, by Jacobi's rotations.
fn eigen(mut a: [[f64; PILLARS]; PILLARS]) -> ([f64; PILLARS], [[f64; PILLARS]; PILLARS]) {
    let mut v: [[f64; PILLARS]; PILLARS] =
        std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    // Convergence is quadratic: a handful of sweeps reach rounding; the bound only guards against NaN.
    for _ in 0..30 {
        let off: f64 = (0..PILLARS).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        let diagonal: f64 = (0..PILLARS).map(|i| a[i][i] * a[i][i]).sum();
        if off <= 1e-34 * diagonal {
            break;
        }
        for p in 0..PILLARS {
            for q in p + 1..PILLARS {
                if a[p][q] == 0.0 {
                    continue;
                }
                let half = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = half.signum() / (half.abs() + (1.0 + half * half).sqrt());
                let c = 1.0 / (1.0 + t * t).sqrt();
                let s = t * c;
                for row in a.iter_mut().chain(v.iter_mut()) {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                for k in 0..PILLARS {
                    (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
                }
            }
        }
    }
    (std::array::from_fn(|i| a[i][i]), v)
}

fn softplus(x: f64) -> f64 {
    libm::log1p(libm::exp(-x.abs())) + x.max(0.0)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A v = λ v with orthonormal v, degenerate and diagonal matrices included.
        #[test]
        fn jacobi_diagonalises(entries in proptest::array::uniform10(prop_oneof![-2.0..2.0_f64, Just(0.0), Just(1.0)])) {
            let mut a = [[0.0; 4]; 4];
            let mut entry = entries.iter();
            for i in 0..4 {
                for j in 0..=i {
                    a[i][j] = *entry.next().unwrap();
                    a[j][i] = a[i][j];
                }
            }
            let (values, v) = eigen(a);
            for k in 0..4 {
                for i in 0..4 {
                    let product: f64 = (0..4).map(|j| a[i][j] * v[j][k]).sum();
                    prop_assert!((product - values[k] * v[i][k]).abs() < 1e-13);
                    let overlap: f64 = (0..4).map(|j| v[j][i] * v[j][k]).sum();
                    prop_assert!((overlap - f64::from(u8::from(i == k))).abs() < 1e-14);
                }
            }
        }
    }
}
