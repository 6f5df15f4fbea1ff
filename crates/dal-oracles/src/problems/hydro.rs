//! `hydro`: residuary resistance of a sailing yacht, a random forest fitted to towing-tank data; six inputs, one
//! output.

use dal_core::MlpEnsemble;
use dal_core::model::BatchNormSpec;

use super::parts::{forest_problem, space_of};
use crate::card::{Card, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, TunedCard};
use crate::problem::{Built, Definition};

const fn ratio(name: &'static str, low: f64, high: f64) -> InputCard {
    InputCard { name, unit: "1", low, high, integer: false }
}

/// The problem `hydro`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "hydro",
        title: "Residuary resistance of a sailing yacht (random forest)",
        formula: "mean of 50 regression trees of depth at most 15; inputs and output scaled to [-1, 1] over the data's ranges",
        inputs: &[
            InputCard { name: "longitudinal_position", unit: "% of length", low: -5.0, high: 0.0, integer: false },
            ratio("prismatic_coefficient", 0.53, 0.6),
            ratio("length_displacement_ratio", 4.34, 5.14),
            ratio("beam_draught_ratio", 2.81, 5.35),
            ratio("length_beam_ratio", 2.73, 3.64),
            ratio("froude_number", 0.125, 0.45),
        ],
        outputs: OutputCard {
            n: 1,
            name: "residuary_resistance",
            unit: "scaled: -1 is 0.01, +1 is 62.42 (resistance per weight of displacement, times 1000)",
            along: "",
        },
        source: "UCI Yacht Hydrodynamics, doi 10.24432/C5XG7R; forest after the recipe of Ren et al., arXiv 2302.00098",
        licence: "CC BY 4.0 (J. Gerritsma, R. Onnink, A. Versluis; Delft Ship Hydromechanics Laboratory)",
        settings: &[],
        published: PublishedCard {
            model: MlpEnsemble::of(&[50; 6], Some(BatchNormSpec::RUNNING), 1e-3, 1e-4).with_averaged_loss(10),
            known: Knowledge::Published,
            note: "",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[12; 6], None, 1e-2, 1e-4),
            is_default: true,
            gains: &[
                Gain { labels: 80, published: 9.37e-2, tuned: 1.23e-2 },
                Gain { labels: 480, published: 2.15e-2, tuned: 4.59e-3 },
                Gain { labels: 2080, published: 8.32e-3, tuned: 3.23e-3 },
            ],
            note: "shape, BatchNorm, learning rate and weight decay searched on 2 000 labels, judged at 80, 480 and 2 000; admitted on training sets that methods choose",
        }),
        difficulty: &[Difficulty { settings: "", output_variance: 0.178, mean_predictor_mse: 0.181 }],
    },
    build: |_| {
        let oracle = forest_problem("hydro", dal_fixtures::HYDRO_FOREST)?;
        Ok(Built { space: space_of(&DEFINITION.card)?, oracle })
    },
};

#[cfg(test)]
mod tests {
    use crate::testing::worst_difference;

    #[test]
    fn scikit_learns_predictions_are_met() {
        assert!(worst_difference("hydro", &[], dal_fixtures::golden::HYDRO) <= 1e-12);
    }
}
