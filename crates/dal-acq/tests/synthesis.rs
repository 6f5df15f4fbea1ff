//! A strategy that makes points of its own, through the contract battery on a space with an integer, a level and a log
//! scale.

use dal_acq::contract::{Case, check_strategy_on};
use dal_core::{Dimension, Needs, Proposal, Scale, SeedPath, Space, Step, Strategy, StrategyError, Surrogate};
use ndarray::{Array1, Array2, Axis};

/// Climbs the disagreement from the points of the pool, in turn, and brings where it ends to the nearest admissible
/// point.
#[derive(Debug)]
struct Climb {
    project: bool,
}

impl Strategy for Climb {
    fn needs(&self) -> Needs {
        Needs { input_gradient: true, ..Needs::default() }
    }

    fn propose(&self, step: &Step<'_>, n_queries: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
        let starts: Vec<usize> = (0..n_queries).map(|i| i % step.pool().nrows()).collect();
        let mut x: Array2<f64> = step.pool().select(Axis(0), &starts);
        for _ in 0..5 {
            let (_, gradient) = step.disagreement_gradient(x.view())?;
            x.scaled_add(0.05, &gradient);
        }
        let x = if self.project { step.space().project(x.view())? } else { x };
        let (scores, _): (Array1<f64>, _) = step.disagreement_gradient(x.view())?;
        if let Some((row, &value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
            return Err(StrategyError::NonFiniteScore { row, value });
        }
        Ok(Proposal { picked_scores: Some(scores), ..Proposal::synthesised(x) })
    }
}

fn mixed() -> Space {
    Space::new(vec![
        Dimension::Continuous { low: 1e-3, high: 1e3, scale: Scale::Log },
        Dimension::Integer { low: 1, high: 6, scale: Scale::Linear },
        Dimension::Categorical { n_levels: 3 },
        Dimension::Continuous { low: -5.0, high: 5.0, scale: Scale::Linear },
    ])
    .unwrap()
}

#[test]
fn points_of_a_strategys_own_keep_the_contract_on_a_mixed_space() {
    for seed in 0..8 {
        let outcome = check_strategy_on(&mixed(), &Climb { project: true }, &SeedPath::root(seed));
        assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
    let violation = check_strategy_on(&mixed(), &Climb { project: false }, &SeedPath::root(0)).unwrap_err();
    assert_eq!(violation.rule, "exactly n points that the space admits are made");
}

/// The contract model's gradient, against differences of its own disagreement.
#[test]
fn the_contracts_input_gradient_is_the_slope_of_its_disagreement() {
    let case = Case::random(4, 9, 3, 2, 4, &SeedPath::root(2));
    let model = case.model(&Needs { input_gradient: true, ..Needs::default() });
    let slope = model.input_gradient().unwrap();
    let (_, gradient) = slope.disagreement(case.pool.view()).unwrap();
    for i in 0..3 {
        let at = |shift: f64| {
            let mut x = case.pool.clone();
            x.column_mut(i).mapv_inplace(|v| v + shift);
            slope.disagreement(x.view()).unwrap().0
        };
        let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
        for (found, due) in gradient.column(i).iter().zip(&difference) {
            assert!((found - due).abs() < 1e-8 * (1.0 + due.abs()), "{found} {due}");
        }
    }
}
