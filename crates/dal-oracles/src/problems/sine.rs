//! `sine`: a wave whose frequency is itself a wave; one input, one output.

use std::sync::Arc;

use dal_core::MlpEnsemble;
use dal_core::model::BatchNormSpec;

use super::parts::space_of;
use crate::card::{Card, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, TunedCard};
use crate::problem::{Built, Definition};
use crate::rows::{Formula, Rows};

/// The problem `sine`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "sine",
        title: "One-dimensional wave with a wandering frequency",
        formula: "y = x_0 sin(3 sin(30 x_0))",
        inputs: &[InputCard { name: "x", unit: "1", low: -1.0, high: 1.0, integer: false }],
        outputs: OutputCard { n: 1, name: "y", unit: "1", along: "" },
        source: "Ren et al., arXiv 2302.00098, supplement",
        licence: "formula; code MIT OR Apache-2.0",
        settings: &[],
        published: PublishedCard {
            model: MlpEnsemble::of(&[20; 9], Some(BatchNormSpec::RUNNING), 1e-3, 0.0),
            known: Knowledge::Published,
            note: "the authors' code for arXiv 2201.12632 has 1e-4, which needs its warm start",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[40; 9], Some(BatchNormSpec::RECOMPUTED), 3e-4, 0.0),
            is_default: true,
            gains: &[
                Gain { labels: 80, published: 9.27e-2, tuned: 9.20e-2 },
                Gain { labels: 480, published: 1.67e-3, tuned: 1.30e-3 },
                Gain { labels: 2080, published: 2.50e-4, tuned: 8.63e-5 },
            ],
            note: "shape, BatchNorm, learning rate and weight decay searched on 2 000 labels, judged at 80, 480 and 2 000",
        }),
        difficulty: &[Difficulty { settings: "", output_variance: 0.141, mean_predictor_mse: 0.145 }],
    },
    build: |_| Ok(Built { space: space_of(&DEFINITION.card)?, oracle: Arc::new(Rows(Sine)) }),
};

#[derive(Debug)]
struct Sine;

impl Formula for Sine {
    fn n_inputs(&self) -> usize {
        1
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn evaluate(&self, x: &[f64], y: &mut [f64]) {
        y[0] = x[0] * libm::sin(3.0 * libm::sin(30.0 * x[0]));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{labels, worst_difference};
    use ndarray::array;

    #[test]
    fn formula_is_met() {
        assert!(worst_difference("sine", &[], dal_fixtures::golden::SINE) < 1e-12);
    }

    #[test]
    fn it_is_even() {
        let y = labels("sine", &[], array![[0.3], [-0.3], [0.0]].view());
        assert_eq!(y[[0, 0]], y[[1, 0]]);
        assert_eq!(y[[2, 0]], 0.0);
    }
}
