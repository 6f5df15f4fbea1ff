//! `foil`: noise of an airfoil in a wind tunnel, a random forest fitted to NASA's measurements; five inputs, one
//! output.

use dal_core::MlpEnsemble;
use dal_core::model::BatchNormSpec;

use super::parts::{forest_problem, space_of};
use crate::card::{Card, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, TunedCard};
use crate::problem::{Built, Definition};

const fn input(name: &'static str, unit: &'static str, low: f64, high: f64) -> InputCard {
    InputCard { name, unit, low, high, integer: false }
}

/// The problem `foil`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "foil",
        title: "Self-noise of an airfoil section (random forest)",
        formula: "mean of 50 regression trees of depth at most 15; inputs and output scaled to [-1, 1] over the data's ranges",
        inputs: &[
            input("frequency", "Hz", 200.0, 20_000.0),
            input("angle_of_attack", "deg", 0.0, 22.2),
            input("chord_length", "m", 0.0254, 0.3048),
            input("free_stream_velocity", "m/s", 31.7, 71.3),
            input("suction_side_displacement_thickness", "m", 0.000_400_682, 0.058_411_3),
        ],
        outputs: OutputCard {
            n: 1,
            name: "sound_pressure_level",
            unit: "scaled: -1 is 103.38 dB, +1 is 140.987 dB",
            along: "",
        },
        source: "UCI Airfoil Self-Noise, doi 10.24432/C5VW2C; forest after the recipe of Ren et al., arXiv 2302.00098",
        licence: "CC BY 4.0 (T. Brooks, D. Pope, M. Marcolini; NASA)",
        settings: &[],
        published: PublishedCard {
            model: MlpEnsemble::of(&[200; 4], Some(BatchNormSpec::RUNNING), 1e-3, 1e-4).with_averaged_loss(10),
            known: Knowledge::Published,
            note: "",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[200; 6], None, 1e-2, 1e-4),
            is_default: true,
            gains: &[
                Gain { labels: 80, published: 3.39e-2, tuned: 1.93e-2 },
                Gain { labels: 480, published: 1.39e-2, tuned: 8.47e-3 },
                Gain { labels: 2080, published: 8.26e-3, tuned: 3.67e-3 },
            ],
            note: "shape, BatchNorm, learning rate and weight decay searched on 2 000 labels, judged at 80, 480 and 2 000",
        }),
        difficulty: &[Difficulty { settings: "", output_variance: 0.0907, mean_predictor_mse: 0.0919 }],
    },
    build: |_| {
        let oracle = forest_problem("foil", dal_fixtures::FOIL_FOREST)?;
        Ok(Built { space: space_of(&DEFINITION.card)?, oracle })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::worst_difference;

    #[test]
    fn scikit_learns_predictions_are_met() {
        assert!(worst_difference("foil", &[], dal_fixtures::golden::FOIL) <= 1e-12);
    }
}
