//! `robo`: where the tip of a robot arm is, from its base and three angles; four inputs, two outputs.

use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

use dal_core::MlpEnsemble;
use dal_core::model::BatchNormSpec;

use super::parts::space_of;
use crate::card::{Card, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, TunedCard};
use crate::problem::{Built, Definition};
use crate::rows::{Formula, Rows};

const LENGTHS: [f64; 3] = [0.5, 0.5, 1.0];

const fn angle(name: &'static str) -> InputCard {
    InputCard { name, unit: "rad", low: -FRAC_PI_2, high: FRAC_PI_2, integer: false }
}

/// The problem `robo`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "robo",
        title: "Tip of a three-link robot arm on a rail",
        formula: "y_0 = sum_i l_i cos(pi x_i / 2), y_1 = x_0 + sum_i l_i sin(pi x_i / 2), i = 1..3, l = (0.5, 0.5, 1)",
        inputs: &[
            InputCard { name: "base", unit: "1", low: -1.0, high: 1.0, integer: false },
            angle("angle_1"),
            angle("angle_2"),
            angle("angle_3"),
        ],
        outputs: OutputCard {
            n: 2,
            name: "tip",
            unit: "1",
            along: "coordinate (along the arm at rest, along the rail)",
        },
        source: "Ren et al., arXiv 2302.00098 and 2201.12632",
        licence: "formula; code MIT OR Apache-2.0",
        settings: &[],
        published: PublishedCard {
            model: MlpEnsemble::of(&[500; 4], Some(BatchNormSpec::RUNNING), 1e-3, 1e-4).with_averaged_loss(10),
            known: Knowledge::Published,
            note: "",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[500; 4], None, 3e-3, 1e-4),
            is_default: true,
            gains: &[
                Gain { labels: 80, published: 9.34e-3, tuned: 5.57e-3 },
                Gain { labels: 480, published: 1.15e-3, tuned: 3.61e-4 },
                Gain { labels: 2080, published: 1.33e-3, tuned: 1.44e-4 },
            ],
            note: "BatchNorm, learning rate and weight decay searched at the published width, at 80 and 480 labels, by ensembles of three",
        }),
        difficulty: &[Difficulty { settings: "", output_variance: 0.611, mean_predictor_mse: 0.614 }],
    },
    build: |_| Ok(Built { space: space_of(&DEFINITION.card)?, oracle: Arc::new(Rows(Robo)) }),
};

#[derive(Debug)]
struct Robo;

impl Formula for Robo {
    fn n_inputs(&self) -> usize {
        4
    }

    fn n_outputs(&self) -> usize {
        2
    }

    fn evaluate(&self, x: &[f64], y: &mut [f64]) {
        y[0] = 0.0;
        y[1] = x[0];
        for (length, v) in LENGTHS.iter().zip(&x[1..]) {
            let (sin, cos) = libm::sincos(FRAC_PI_2 * v);
            y[0] += length * cos;
            y[1] += length * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{labels, uniform, worst_difference};
    use ndarray::{Array2, array};

    #[test]
    fn formula_is_met() {
        assert!(worst_difference("robo", &[], dal_fixtures::golden::ROBO) < 1e-12);
        assert_eq!(labels("robo", &[], Array2::zeros((1, 4)).view()), array![[2.0, 0.0]]);
    }

    #[test]
    fn negated_inputs_mirror_the_arm_and_links_of_one_length_change_places() {
        let x = uniform(50, 4, 1);
        let y = labels("robo", &[], x.view());
        let mirrored = labels("robo", &[], x.mapv(|v| -v).view());
        let mut swapped = x.clone();
        swapped.column_mut(1).assign(&x.column(2));
        swapped.column_mut(2).assign(&x.column(1));
        let swapped = labels("robo", &[], swapped.view());
        for i in 0..50 {
            assert_eq!((mirrored[[i, 0]], mirrored[[i, 1]]), (y[[i, 0]], -y[[i, 1]]));
            assert!((swapped[[i, 0]] - y[[i, 0]]).abs() < 1e-15 && (swapped[[i, 1]] - y[[i, 1]]).abs() < 1e-15);
        }
    }
}
