//! `bessel`: Bessel functions of the first kind of ten integer orders; two inputs, one output.

use std::sync::Arc;

use dal_core::model::BatchNormSpec;
use dal_core::{Dimension, MlpEnsemble, Scale, SettingError, Settings, Space};

use super::parts::{not_loaded, space_of};
use crate::card::{
    Card, Choice, Difficulty, Gain, InputCard, Knowledge, OutputCard, PublishedCard, SettingCard, SettingValues,
    TunedCard,
};
use crate::problem::{Built, Definition};
use crate::rows::{Formula, Rows};

/// How x_0 is drawn. The oracle is the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the ten values −1 + 2 α/9, α = 0..9.
    Integer,
    /// From the whole of [−1, 1]: the answer is then a staircase in x_0.
    Staircase,
}

/// The problem `bessel`.
pub static DEFINITION: Definition = Definition {
    card: Card {
        id: "bessel",
        title: "Bessel function of the first kind over order and argument",
        formula: "y = J_alpha(z), alpha = min(floor(5 (x_0 + 1)), 9), z = 5 (x_1 + 1)",
        inputs: &[
            InputCard { name: "alpha", unit: "1", low: 0.0, high: 9.0, integer: true },
            InputCard { name: "z", unit: "1", low: 0.0, high: 10.0, integer: false },
        ],
        outputs: OutputCard { n: 1, name: "J", unit: "1", along: "" },
        source: "Ren et al., arXiv 2302.00098, supplement",
        licence: "formula; code MIT OR Apache-2.0",
        settings: &[SettingCard {
            key: "order",
            help: "how the order alpha is drawn",
            values: SettingValues::OneOf(&[
                Choice { value: "integer", meaning: "x_0 takes ten values, one for each order: alpha = 0, 1, .. 9" },
                Choice {
                    value: "staircase",
                    meaning: "x_0 is continuous, alpha from 0 to 10, and the answer a staircase in it",
                },
            ]),
        }],
        published: PublishedCard {
            model: MlpEnsemble::of(&[50; 6], Some(BatchNormSpec::RUNNING), 1e-3, 1e-4).with_averaged_loss(10),
            known: Knowledge::Recollected,
            note: "",
        },
        tuned: Some(TunedCard {
            model: MlpEnsemble::of(&[50; 4], None, 1e-2, 0.0),
            is_default: true,
            gains: &[
                Gain { labels: 80, published: 6.48e-3, tuned: 1.77e-3 },
                Gain { labels: 480, published: 3.66e-4, tuned: 8.73e-6 },
                Gain { labels: 2080, published: 3.49e-4, tuned: 3.63e-6 },
            ],
            note: "shape, BatchNorm, learning rate and weight decay searched on 2 000 labels, judged at 80, 480 and 2 000",
        }),
        difficulty: &[
            Difficulty { settings: "", output_variance: 0.0462, mean_predictor_mse: 0.0470 },
            Difficulty { settings: "order=staircase", output_variance: 0.0468, mean_predictor_mse: 0.0476 },
        ],
    },
    build,
};

fn build(settings: &Settings) -> Result<Built, SettingError> {
    let order = match settings.word("order") {
        Some("staircase") => Order::Staircase,
        _ => Order::Integer,
    };
    let mut dimensions = space_of(&DEFINITION.card)?.dimensions().to_vec();
    if order == Order::Staircase {
        // From 0 to 10, as the floor rule has it: every order gets a step of the same width.
        dimensions[0] = Dimension::Continuous { low: 0.0, high: 10.0, scale: Scale::Linear };
    }
    let space = Space::new(dimensions).map_err(|e| not_loaded("bessel", "id", &e.to_string()))?;
    Ok(Built { space, oracle: Arc::new(Rows(Bessel)) })
}

/// What the way from an order to the unit box and back may lose: -0.8, which stands for order 1, comes back as 1 -
/// 2e-16.
const ROUNDING: f64 = 1e-12;

#[derive(Debug)]
struct Bessel;

impl Formula for Bessel {
    fn n_inputs(&self) -> usize {
        2
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn evaluate(&self, x: &[f64], y: &mut [f64]) {
        let order = (10.0 * ((x[0] + 1.0) / 2.0) + ROUNDING).floor().min(9.0);
        y[0] = libm::jn(order as i32, 10.0 * (x[1] + 1.0) / 2.0);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{labels, problem, worst_difference};
    use dal_core::{SeedPath, Value};
    use ndarray::Array2;
    use proptest::prelude::*;

    #[test]
    fn golden_values_are_met() {
        assert!(worst_difference("bessel", &[], dal_fixtures::golden::BESSEL) < 1e-14);
    }

    #[test]
    fn integer_orders_are_drawn_from_ten_values_and_staircase_from_all() {
        let distinct = |settings: &[(&str, &str)]| {
            let points = problem("bessel", settings).space().sample(2_000, &SeedPath::root(3));
            let mut values: Vec<f64> = points.column(0).to_vec();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let ten = distinct(&[]);
        assert_eq!(ten.len(), 10);
        for (alpha, value) in ten.iter().enumerate() {
            assert!((value - (-1.0 + 2.0 * alpha as f64 / 9.0)).abs() < 1e-15);
        }
        assert_eq!(distinct(&[("order", "staircase")]).len(), 2_000);
    }

    #[test]
    fn whole_orders_of_the_staircase_are_steps_of_their_own() {
        let staircase = problem("bessel", &[("order", "staircase")]);
        let argument = staircase.space().to_unit(&[Value::Number(0.0), Value::Number(2.5)]).unwrap()[1];
        let expected = ten_orders(argument).1;
        for order in 0..=10 {
            let at = |alpha: f64| {
                let x = staircase.space().to_unit(&[Value::Number(alpha), Value::Number(2.5)]).unwrap();
                let x = Array2::from_shape_vec((1, 2), x).unwrap();
                labels("bessel", &[("order", "staircase")], x.view())[[0, 0]]
            };
            assert_eq!(at(f64::from(order)), expected[order.min(9) as usize], "{order}");
            if order > 0 {
                assert_eq!(at(f64::from(order) - 1e-9), expected[order as usize - 1], "just below {order}");
            }
        }
    }

    /// J_0 .. J_9 at one z, as the oracle answers for the ten drawn values of x_0.
    fn ten_orders(x1: f64) -> (f64, Vec<f64>) {
        let x = Array2::from_shape_fn((10, 2), |(alpha, j)| if j == 0 { -1.0 + 2.0 * alpha as f64 / 9.0 } else { x1 });
        (5.0 * (x1 + 1.0), labels("bessel", &[], x.view()).into_raw_vec_and_offset().0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn recurrence_and_bound_hold(x1 in -1.0..=1.0_f64) {
            let (z, j) = ten_orders(x1);
            for n in 1..9 {
                prop_assert!((z * (j[n - 1] + j[n + 1]) - 2.0 * n as f64 * j[n]).abs() < 1e-13);
            }
            prop_assert!(j[0] * j[0] + 2.0 * j[1..].iter().map(|v| v * v).sum::<f64>() <= 1.0 + 1e-13);
        }

        /// Neumann's series 1 = J_0 + 2 ΣJ_2k, cut after J_8: for z ≤ 1 the rest is below 6e-10.
        #[test]
        fn even_orders_add_up_to_one(x1 in -1.0..=-0.8_f64) {
            let (_, j) = ten_orders(x1);
            prop_assert!((j[0] + 2.0 * (j[2] + j[4] + j[6] + j[8]) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn the_derivative_of_the_zeroth_order_is_minus_the_first(x1 in -0.99..=0.99_f64) {
            let h = 1e-5;
            let slope = (ten_orders(x1 + h / 5.0).1[0] - ten_orders(x1 - h / 5.0).1[0]) / (2.0 * h);
            prop_assert!((slope + ten_orders(x1).1[1]).abs() < 1e-9);
        }
    }
}
