//! `stack`: spectrum of light through a stack of graphene and glass-like layers; five thicknesses in, a spectrum out.

use std::f64::consts::PI;
use std::sync::Arc;

use dal_core::model::BatchNormSpec;
use dal_core::{MlpEnsemble, Settings};
use num_complex::Complex64;

use super::parts::space_of;
use crate::card::{
    Card, Choice, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, SettingCard, SettingValues,
    TunedCard,
};
use crate::problem::{Built, Definition};
use crate::rows::{Formula, Rows};

const N_PAIRS: usize = 5;
const INCIDENT: f64 = 1.46;
const EXIT: f64 = 1.0;
const GRAPHENE: Complex64 = Complex64::new(3.306_459_758, 3.152_632_723);
const GRAPHENE_NM: f64 = 0.35;
const SPACER: f64 = 2.0;
/// Spacer thickness in nm at −1 and +1.
const SPACER_NM: (f64, f64) = (5.0, 50.0);

const fn spacer(name: &'static str) -> InputCard {
    InputCard { name, unit: "nm", low: SPACER_NM.0, high: SPACER_NM.1, integer: false }
}

/// What the outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spectrum {
    /// Reflectance at 201 evenly spaced wavelengths, 240 to 2000 nm.
    Reflectance201,
    /// Absorptance 1 − R − T at 1120 − 880 cos(π j / 255) nm, j = 0..255.
    Absorptance256,
}

impl Spectrum {
    /// The wavelengths of the outputs, in nm.
    pub fn wavelengths(self) -> Vec<f64> {
        match self {
            Self::Reflectance201 => (0..201).map(|j| 240.0 + 1760.0 * f64::from(j) / 200.0).collect(),
            Self::Absorptance256 => (0..256).map(|j| 1120.0 - 880.0 * libm::cos(PI * f64::from(j) / 255.0)).collect(),
        }
    }
}

/// The problem `stack`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "stack",
        title: "Light on five pairs of graphene and dielectric layers",
        formula: "transfer matrices at normal incidence: glass (n = 1.46) | 5 x (graphene 0.35 nm, n = 3.306459758 + \
                  3.152632723 i; spacer n = 2, thickness 22.5 x_i + 27.5 nm) | air",
        inputs: &[spacer("spacer_1"), spacer("spacer_2"), spacer("spacer_3"), spacer("spacer_4"), spacer("spacer_5")],
        outputs: OutputCard { n: 201, name: "reflectance", unit: "1", along: "wavelength, 240 to 2000 nm by 8.8 nm" },
        source: "Ren et al., arXiv 2302.00098, supplement; constants and the other spectrum: the authors' code for 2201.12632",
        licence: "formula; code MIT OR Apache-2.0",
        settings: &[SettingCard {
            key: "spectrum",
            help: "what the outputs are",
            values: SettingValues::OneOf(&[
                Choice { value: "reflectance-201", meaning: "reflectance at 201 even wavelengths, 240 to 2000 nm" },
                Choice { value: "absorptance-256", meaning: "1 - R - T at 1120 - 880 cos(pi j / 255) nm, j = 0..255" },
            ]),
        }],
        published: PublishedCard {
            model: MlpEnsemble::of(&[700; 9], Some(BatchNormSpec::RUNNING), 1e-3, 0.0),
            known: Knowledge::Published,
            note: "",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[700; 9], Some(BatchNormSpec::RECOMPUTED), 1e-3, 1e-5),
            is_default: false,
            gains: &[
                Gain { labels: 80, published: 2.12e-3, tuned: 2.07e-3 },
                Gain { labels: 480, published: 3.09e-4, tuned: 3.19e-4 },
                Gain { labels: 2080, published: 1.47e-4, tuned: 1.43e-4 },
            ],
            note: "BatchNorm, learning rate and weight decay searched at 80, 480 and 2 000 labels, single members of 100 epochs, tested likewise; \
                   too little better, in a fifth of the epochs, to be the default",
        }),
        difficulty: &[
            Difficulty { settings: "", output_variance: 1.67e-3, mean_predictor_mse: 1.70e-3 },
            Difficulty { settings: "spectrum=absorptance-256", output_variance: 5.66e-4, mean_predictor_mse: 5.73e-4 },
        ],
    },
    build: |settings| Ok(Built { space: space_of(&DEFINITION.card)?, oracle: Arc::new(Rows(Stack::new(settings))) }),
};

/// Tangential electric and magnetic field at an interface, per unit of transmitted electric field; time goes as
/// e^(−iωt).
#[derive(Clone, Copy, Debug)]
struct Field {
    e: Complex64,
    h: Complex64,
}

/// cos δ, sin(δ)/n and n sin δ of a layer: its transfer matrix is ((cos δ, −i sin(δ)/n), (−i n sin δ, cos δ)).
#[derive(Clone, Copy, Debug)]
struct Layer<T> {
    cos: T,
    sin_over_n: T,
    n_sin: T,
}

impl Layer<Complex64> {
    fn absorbing(n: Complex64, thickness: f64, wavelength: f64) -> Self {
        let delta = n * (2.0 * PI * thickness / wavelength);
        let ((sin, cos), (sinh, cosh)) = (libm::sincos(delta.re), (libm::sinh(delta.im), libm::cosh(delta.im)));
        let sin_delta = Complex64::new(sin * cosh, cos * sinh);
        Self { cos: Complex64::new(cos * cosh, -sin * sinh), sin_over_n: sin_delta / n, n_sin: sin_delta * n }
    }
}

impl Layer<f64> {
    fn clear(n: f64, thickness: f64, wavelength: f64) -> Self {
        let (sin, cos) = libm::sincos(2.0 * PI * n * thickness / wavelength);
        Self { cos, sin_over_n: sin / n, n_sin: sin * n }
    }
}

impl<T: Copy> Layer<T>
where
    Complex64: std::ops::Mul<T, Output = Complex64>,
{
    /// The field before the layer from the field behind it.
    fn before(&self, behind: Field) -> Field {
        let times_minus_i = |z: Complex64| Complex64::new(z.im, -z.re);
        Field {
            e: behind.e * self.cos + times_minus_i(behind.h * self.sin_over_n),
            h: times_minus_i(behind.e * self.n_sin) + behind.h * self.cos,
        }
    }
}

#[derive(Debug)]
struct Stack {
    spectrum: Spectrum,
    wavelengths: Vec<f64>,
    /// The graphene layer at each wavelength.
    graphene: Vec<Layer<Complex64>>,
}

impl Stack {
    fn new(settings: &Settings) -> Self {
        let spectrum = match settings.word("spectrum") {
            Some("absorptance-256") => Spectrum::Absorptance256,
            _ => Spectrum::Reflectance201,
        };
        let wavelengths = spectrum.wavelengths();
        let graphene = wavelengths.iter().map(|&w| Layer::absorbing(GRAPHENE, GRAPHENE_NM, w)).collect();
        Self { spectrum, wavelengths, graphene }
    }

    /// Reflectance and transmittance of the field before the first layer: the incident wave is (e + h/n)/2 there, the
    /// reflected one (e − h/n)/2.
    fn reflectance_and_transmittance(front: Field) -> (f64, f64) {
        let incident = front.e * INCIDENT + front.h;
        let reflected = front.e * INCIDENT - front.h;
        let power = incident.norm_sqr();
        (reflected.norm_sqr() / power, 4.0 * INCIDENT * EXIT / power)
    }
}

fn thickness(x: f64) -> f64 {
    22.5 * x + 27.5
}

impl Formula for Stack {
    fn n_inputs(&self) -> usize {
        N_PAIRS
    }

    fn n_outputs(&self) -> usize {
        self.wavelengths.len()
    }

    fn evaluate(&self, x: &[f64], y: &mut [f64]) {
        for ((y, &wavelength), graphene) in y.iter_mut().zip(&self.wavelengths).zip(&self.graphene) {
            let mut field = Field { e: Complex64::ONE, h: Complex64::new(EXIT, 0.0) };
            for &x in x.iter().rev() {
                field = graphene.before(Layer::clear(SPACER, thickness(x), wavelength).before(field));
            }
            let (reflectance, transmittance) = Self::reflectance_and_transmittance(field);
            *y = match self.spectrum {
                Spectrum::Reflectance201 => reflectance,
                Spectrum::Absorptance256 => 1.0 - reflectance - transmittance,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{labels, worst_difference};
    use ndarray::Array2;
    use proptest::prelude::*;

    const ABSORPTANCE: [(&str, &str); 1] = [("spectrum", "absorptance-256")];

    #[test]
    fn golden_spectra_are_met() {
        assert!(worst_difference("stack", &[], dal_fixtures::golden::STACK_REFLECTANCE) < 1e-12);
        assert!(worst_difference("stack", &ABSORPTANCE, dal_fixtures::golden::STACK_ABSORPTANCE) < 1e-12);
    }

    /// Figures made with the authors' own code.
    #[test]
    fn published_absorptances_are_met() {
        for (x, expected) in [
            (0.0, [0.3626443229, 0.3627291941, 0.2373873186, 0.0838016962, 0.0724997077]),
            (1.0, [0.363989373, 0.3643826355, 0.2368888941, 0.1046438936, 0.0477664732]),
            (-1.0, [0.3336733614, 0.3336465737, 0.2699419522, 0.1614209072, 0.0996854191]),
        ] {
            let y = labels("stack", &ABSORPTANCE, Array2::from_elem((1, 5), x).view());
            for (j, expected) in [0, 1, 64, 128, 255].into_iter().zip(expected) {
                assert!((y[[0, j]] - expected).abs() < 1e-10, "x = {x}, j = {j}: {}", y[[0, j]]);
            }
        }
    }

    /// Power lost in each graphene layer, from the field in it alone: (2π/λ) Im(n²)/n_in ∫ |E|² dz over the incident
    /// |E|².
    fn absorbed(x: &[f64], wavelength: f64) -> (f64, f64, f64) {
        let graphene = Layer::absorbing(GRAPHENE, GRAPHENE_NM, wavelength);
        let mut field = Field { e: Complex64::ONE, h: Complex64::new(EXIT, 0.0) };
        let k = GRAPHENE * (2.0 * PI / wavelength);
        let mut lost = 0.0;
        for &x in x.iter().rev() {
            field = graphene.before(Layer::clear(SPACER, thickness(x), wavelength).before(field));
            // Forward and backward waves, by their amplitudes at the front of the layer.
            let (forward, backward) = ((field.e + field.h / GRAPHENE) / 2.0, (field.e - field.h / GRAPHENE) / 2.0);
            let decay = 2.0 * k.im * GRAPHENE_NM;
            let (sin, cos) = (2.0 * k.re * GRAPHENE_NM).sin_cos();
            let beat = Complex64::new(cos - 1.0, sin) / (Complex64::I * 2.0 * k.re);
            let integral = (forward.norm_sqr() * -(-decay).exp_m1() + backward.norm_sqr() * decay.exp_m1())
                / (2.0 * k.im)
                + 2.0 * (forward * backward.conj() * beat).re;
            lost += 2.0 * PI / wavelength * (GRAPHENE * GRAPHENE).im / INCIDENT * integral;
        }
        let incident = (field.e + field.h / INCIDENT) / 2.0;
        let (r, t) = Stack::reflectance_and_transmittance(field);
        (r, t, lost / incident.norm_sqr())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn energy_is_conserved(x in prop::collection::vec(-1.0..=1.0_f64, 5), wavelength in 240.0..2000.0_f64) {
            let (r, t, a) = absorbed(&x, wavelength);
            for share in [r, t, a] {
                prop_assert!((0.0..=1.0).contains(&share), "R {r}, T {t}, A {a}");
            }
            prop_assert!((r + t + a - 1.0).abs() < 1e-12, "R {r} + T {t} + A {a}");
        }

        #[test]
        fn both_spectra_are_shares(x in prop::collection::vec(-1.0..=1.0_f64, 5)) {
            let x = Array2::from_shape_vec((1, 5), x).unwrap();
            for y in [labels("stack", &[], x.view()), labels("stack", &ABSORPTANCE, x.view())] {
                prop_assert!(y.iter().all(|v| (0.0..=1.0).contains(v)));
            }
            // The last wavelength and the first are the same in both, and there the fields' own absorptance is met.
            let a = labels("stack", &ABSORPTANCE, x.view());
            prop_assert!((a[[0, 0]] - absorbed(x.as_slice().unwrap(), 240.0).2).abs() < 1e-12);
            prop_assert!((a[[0, 255]] - absorbed(x.as_slice().unwrap(), 2000.0).2).abs() < 1e-12);
        }
    }
}
