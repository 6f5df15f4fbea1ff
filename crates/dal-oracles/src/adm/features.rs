//! Geometry of the supercell: its eight symmetric images, its canonical one, and what is seen of it from each pillar.

use std::f64::consts::FRAC_PI_4;

use super::N_INPUTS;

/// Numbers in the view from one pillar.
pub(super) const N_SEEN: usize = 20;

/// The pillars' permutations that leave the spectrum alone: translations of the 2 × 2 supercell.
const PERMUTATIONS: [[usize; 4]; 4] = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]];

/// The eight images of a unit-box point under the symmetries, the point itself first.
pub fn images(x: &[f64; N_INPUTS]) -> [[f64; N_INPUTS]; 8] {
    std::array::from_fn(|image| {
        let (order, sign) = (PERMUTATIONS[image / 2], if image % 2 == 0 { 1.0 } else { -1.0 });
        std::array::from_fn(|j| match j {
            0 | 1 => x[j],
            2..10 => x[2 + (j - 2) / 4 * 4 + order[(j - 2) % 4]],
            // + 0.0 so that a flipped 0 is not −0.
            _ => sign * x[10 + order[j - 10]] + 0.0,
        })
    })
}

/// The smallest of a unit-box point's eight images, compared number by number: the same for each of the eight.
pub fn canonical(x: [f64; N_INPUTS]) -> [f64; N_INPUTS] {
    let x = x.map(|v| v + 0.0);
    let compare = |a: &[f64; N_INPUTS], b: &[f64; N_INPUTS]| {
        let unequal = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
        unequal.unwrap_or(std::cmp::Ordering::Equal)
    };
    images(&x).into_iter().min_by(compare).unwrap_or(x)
}

/// Physical inputs: h and p in µm, semi-axes as fractions of p, angles in rad.
pub(super) fn physical(x: &[f64; N_INPUTS]) -> [f64; N_INPUTS] {
    std::array::from_fn(|j| {
        let (low, high) = match j {
            0 => (0.3, 0.6),
            1 => (1.0, 1.5),
            2..10 => (0.1, 0.2),
            _ => (-FRAC_PI_4, FRAC_PI_4),
        };
        low + (x[j] + 1.0) / 2.0 * (high - low)
    })
}

/// What the network sees of a unit-box point from each pillar.
///
/// Pillar i sees itself, its neighbour in the row (i ^ 1), in the column (i ^ 2) and on the diagonal (i ^ 3): log h,
/// log p, the four log extents along the field and across it, and the ten products of two skewnesses, which alone
/// change sign with the angles. The permutations only permute the four views, and the sign of the angles is in none of
/// them.
pub(super) fn views(x: &[f64; N_INPUTS]) -> [[f64; N_SEEN]; 4] {
    let g = physical(x);
    let (mut along, mut across, mut skew) = ([0.0; 4], [0.0; 4], [0.0; 4]);
    for i in 0..4 {
        let (a, b, theta) = (g[2 + i], g[6 + i], g[10 + i]);
        let (c, s) = (libm::cos(theta), libm::sin(theta));
        let extent = |u: f64, v: f64| libm::log((u * u + v * v).sqrt() / 0.148) / 0.2;
        along[i] = extent(a * c, b * s);
        across[i] = extent(a * s, b * c);
        skew[i] = (a * a - b * b) * libm::sin(2.0 * theta) / 0.015;
    }
    let (lh, lp) = (libm::log(g[0] / 0.45) / 0.25, libm::log(g[1] / 1.25) / 0.145);
    std::array::from_fn(|pillar| {
        let mut view = [lh; N_SEEN];
        view[1] = lp;
        let mut product = 10;
        for i in 0..4 {
            view[2 + i] = along[pillar ^ i];
            view[6 + i] = across[pillar ^ i];
            for j in i..4 {
                view[product] = skew[pillar ^ i] * skew[pillar ^ j];
                product += 1;
            }
        }
        view
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point() -> impl Strategy<Value = [f64; N_INPUTS]> {
        // Coarse values make ties, where the choice of the smallest image is delicate.
        let coordinate = prop_oneof![-1.0..=1.0_f64, (-2..=2_i32).prop_map(|v| f64::from(v) / 2.0)];
        proptest::array::uniform14(coordinate)
    }

    proptest! {
        #[test]
        fn all_images_have_one_canonical_image(x in point()) {
            let bits = |x: [f64; N_INPUTS]| x.map(f64::to_bits);
            for image in images(&x) {
                prop_assert_eq!(bits(canonical(image)), bits(canonical(x)));
            }
            prop_assert!(images(&x).contains(&canonical(x)));
            prop_assert_eq!(images(&x)[0], x);
        }

        /// Not only canonical images: the views themselves are only permuted, so there is no jump between images.
        #[test]
        fn views_are_permuted_by_the_symmetries(x in point()) {
            let expected = views(&x);
            for (n, image) in images(&x).iter().enumerate() {
                for (pillar, view) in views(image).iter().enumerate() {
                    for (a, b) in view.iter().zip(expected[PERMUTATIONS[n / 2][pillar]]) {
                        prop_assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()));
                    }
                }
            }
        }
    }
}
