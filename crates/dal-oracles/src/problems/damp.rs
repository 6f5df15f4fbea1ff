//! `damp`: a damped oscillation sampled in time; three inputs, one hundred outputs.

use std::sync::Arc;

use dal_core::MlpEnsemble;
use dal_core::model::BatchNormSpec;

use super::parts::space_of;
use crate::card::{Card, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, TunedCard};
use crate::problem::{Built, Definition};
use crate::rows::{Formula, Rows};

const N_TIMES: usize = 100;
const AMPLITUDE: (f64, f64) = (0.5, 1.5);
const DAMPING: (f64, f64) = (0.0, 1.0);
const FREQUENCY: (f64, f64) = (0.5, 5.0);

/// The problem `damp`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "damp",
        title: "Damped harmonic oscillation",
        formula: "y_k = a exp(-b t_k) cos(alpha t_k), t_k = 0.1 k, k = 0..99; a, b, alpha are linear in x_0, x_1, x_2",
        inputs: &[
            InputCard { name: "amplitude", unit: "1", low: AMPLITUDE.0, high: AMPLITUDE.1, integer: false },
            InputCard { name: "damping", unit: "1/s", low: DAMPING.0, high: DAMPING.1, integer: false },
            InputCard { name: "frequency", unit: "rad/s", low: FREQUENCY.0, high: FREQUENCY.1, integer: false },
        ],
        outputs: OutputCard { n: N_TIMES, name: "displacement", unit: "1", along: "time, 0 to 9.9 s by 0.1 s" },
        source: "Ren et al., arXiv 2302.00098, supplement (the form; the ranges of a, b, alpha are this project's choice)",
        licence: "formula; code MIT OR Apache-2.0",
        settings: &[],
        published: PublishedCard {
            model: MlpEnsemble::of(&[500; 6], Some(BatchNormSpec::RUNNING), 1e-3, 1e-4).with_averaged_loss(10),
            known: Knowledge::Recollected,
            note: "",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[500; 6], None, 1e-3, 0.0),
            is_default: true,
            gains: &[
                Gain { labels: 80, published: 5.20e-2, tuned: 3.40e-2 },
                Gain { labels: 480, published: 1.40e-2, tuned: 4.63e-3 },
                Gain { labels: 2080, published: 3.63e-3, tuned: 1.31e-3 },
            ],
            note: "BatchNorm, learning rate and weight decay searched at 80 and 480 labels; single members of 300 epochs, in the tests too",
        }),
        difficulty: &[Difficulty { settings: "", output_variance: 0.0760, mean_predictor_mse: 0.0771 }],
    },
    build: |_| Ok(Built { space: space_of(&DEFINITION.card)?, oracle: Arc::new(Rows(Damp)) }),
};

#[derive(Debug)]
struct Damp;

impl Formula for Damp {
    fn n_inputs(&self) -> usize {
        3
    }

    fn n_outputs(&self) -> usize {
        N_TIMES
    }

    fn evaluate(&self, x: &[f64], y: &mut [f64]) {
        let at = |x: f64, (low, high): (f64, f64)| low + (x + 1.0) / 2.0 * (high - low);
        let (a, b, alpha) = (at(x[0], AMPLITUDE), at(x[1], DAMPING), at(x[2], FREQUENCY));
        for (k, y) in y.iter_mut().enumerate() {
            let t = 0.1 * k as f64;
            *y = a * libm::exp(-b * t) * libm::cos(alpha * t);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{labels, worst_difference};
    use ndarray::array;

    #[test]
    fn formula_is_met() {
        assert!(worst_difference("damp", &[], dal_fixtures::golden::DAMP) < 1e-12);
    }

    #[test]
    fn it_starts_at_its_amplitude_and_is_linear_in_it() {
        let y = labels("damp", &[], array![[-1.0, 0.3, 0.4], [1.0, 0.3, 0.4]].view());
        assert_eq!((y[[0, 0]], y[[1, 0]]), (0.5, 1.5));
        for k in 0..100 {
            assert!((3.0 * y[[0, k]] - y[[1, k]]).abs() < 1e-15);
        }
    }
}
