//! The contract that every oracle keeps, as a battery that can be run over any of them.

use std::collections::BTreeMap;

use dal_core::{Oracle, OracleError, SeedPath, Space, Stop, every};
use ndarray::{Array2, ArrayView2};
use thiserror::Error;

/// What an oracle did that it must not do.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{rule}: {details}")]
pub struct ContractViolation {
    /// The rule, in words.
    pub rule: &'static str,
    /// What was seen.
    pub details: String,
}

fn violation(rule: &'static str, details: impl Into<String>) -> ContractViolation {
    ContractViolation { rule, details: details.into() }
}

type Answers = BTreeMap<usize, Result<Vec<u64>, String>>;

/// Runs the battery on points drawn from `space`: each row answered once with finite numbers of the right count,
/// batches equal to single rows bit by bit and in any order, the same answers every time, an empty batch accepted; a
/// wrong width, NaN, infinities and values outside the box refused with row and column, before anything is answered;
/// and the space's samples inside the box, fewer being a prefix of more.
///
/// For oracles that fail rows by chance or cost money this is the wrong tool: it labels some hundred points several
/// times.
///
/// # Errors
/// The first violation found.
pub fn check_oracle(oracle: &dyn Oracle, space: &Space, seeds: &SeedPath) -> Result<(), ContractViolation> {
    check_space(space, seeds)?;
    let (n_inputs, n_outputs) = (oracle.n_inputs(), oracle.n_outputs());
    if n_inputs != space.n_columns() || n_outputs == 0 {
        let details = format!("{n_inputs} inputs, {n_outputs} outputs, space of {} columns", space.n_columns());
        return Err(violation("an oracle fits its space and has outputs", details));
    }
    let x = space.sample(65, seeds);
    let answers = answers(oracle, x.view())?;
    for (row, answer) in &answers {
        if let Err(failure) = answer {
            return Err(violation("every point of the space has a label", format!("row {row}: {failure}")));
        }
    }
    if self::answers(oracle, x.view())? != answers {
        return Err(violation("the same points have the same labels", "a second call differs"));
    }
    for row in [0, 1, 7, 63, 64] {
        let alone = self::answers(oracle, x.slice(ndarray::s![row..row + 1, ..]))?;
        if alone[&0] != answers[&row] {
            return Err(violation("a row's label does not depend on its batch", format!("row {row} alone differs")));
        }
    }
    let backwards = self::answers(oracle, x.slice(ndarray::s![..;-1, ..]))?;
    if (0..65).any(|row| backwards[&(64 - row)] != answers[&row]) {
        return Err(violation("a row's label does not depend on the order", "the reversed batch differs"));
    }
    if !self::answers(oracle, Array2::zeros((0, n_inputs)).view())?.is_empty() {
        return Err(violation("an empty batch has no answers", "it has some"));
    }
    for corner in [-1.0, 1.0] {
        self::answers(oracle, Array2::from_elem((1, n_inputs), corner).view())?;
    }
    check_refusals(oracle, &x)
}

fn check_space(space: &Space, seeds: &SeedPath) -> Result<(), ContractViolation> {
    let points = space.sample(200, seeds);
    if let Some(v) = points.iter().find(|v| !(-1.0..=1.0).contains(*v)) {
        return Err(violation("samples lie in the unit box", format!("{v} does not")));
    }
    if space.sample(50, seeds) != points.slice(ndarray::s![..50, ..]) {
        return Err(violation("fewer samples are a prefix of more", "50 of 200 differ"));
    }
    Ok(())
}

fn check_refusals(oracle: &dyn Oracle, x: &Array2<f64>) -> Result<(), ContractViolation> {
    let refusal = |x: ArrayView2<'_, f64>| {
        let mut n_answers = 0;
        let result = oracle.label(x, &Stop::new(), &mut every(|_, _| n_answers += 1));
        (result, n_answers)
    };
    let (row, column) = (3, oracle.n_inputs() - 1);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0 + 1e-12, -1.0 - 1e-12, 7.0] {
        let mut x = x.clone();
        x[[row, column]] = bad;
        let located = match refusal(x.view()) {
            (Err(OracleError::NonFinite { row: r, column: c, .. }), 0) => !bad.is_finite() && (r, c) == (row, column),
            (Err(OracleError::OutsideBox { row: r, column: c, .. }), 0) => bad.is_finite() && (r, c) == (row, column),
            _ => false,
        };
        if !located {
            let details = format!("{bad} at row {row}, column {column}: {:?}", refusal(x.view()));
            return Err(violation("a value outside the box is refused by row and column", details));
        }
    }
    let wide = Array2::zeros((2, oracle.n_inputs() + 1));
    match refusal(wide.view()) {
        (Err(OracleError::WrongWidth { expected, found }), 0)
            if (expected, found) == (oracle.n_inputs(), oracle.n_inputs() + 1) =>
        {
            Ok(())
        }
        other => Err(violation("a wrong width is refused", format!("{other:?}"))),
    }
}

/// The answers as bits, so that they compare exactly; each row at most once, with the right count of finite numbers.
fn answers(oracle: &dyn Oracle, x: ArrayView2<'_, f64>) -> Result<Answers, ContractViolation> {
    let mut answers = Answers::new();
    let mut fault = None;
    let mut on_row = every(|row, answer| {
        if let Ok(y) = answer
            && (y.len() != oracle.n_outputs() || y.iter().any(|v| !v.is_finite()))
        {
            fault = Some(violation("a label is n_outputs finite numbers", format!("row {row}: {y:?}")));
        }
        let answer = answer.map(|y| y.iter().map(|v| v.to_bits()).collect()).map_err(|e| e.to_string());
        if row >= x.nrows() || answers.insert(row, answer).is_some() {
            fault = Some(violation("each row is answered once", format!("row {row} of {} again or beyond", x.nrows())));
        }
    });
    let result = oracle.label(x, &Stop::new(), &mut on_row);
    drop(on_row);
    if let Err(error) = result {
        return Err(violation("points of the unit box are labelled", error.to_string()));
    }
    if answers.len() != x.nrows() {
        fault = fault.or(Some(violation("each row is answered", format!("{} of {}", answers.len(), x.nrows()))));
    }
    fault.map_or(Ok(answers), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::SettingValues;
    use crate::testing::{all_labels, problem};
    use dal_core::{OnRow, TrialSeeds};
    use ndarray::{Array1, Axis};

    /// Every problem with its defaults, then with each single choice.
    fn variants() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
        let mut all = Vec::new();
        for card in crate::catalogue() {
            all.push((card.id, vec![]));
            for setting in card.settings {
                if let SettingValues::OneOf(choices) = setting.values {
                    all.extend(choices.iter().map(|choice| (card.id, vec![(setting.key, choice.value)])));
                }
            }
        }
        all
    }

    #[test]
    fn the_whole_catalogue_keeps_the_contract() {
        for (id, settings) in variants() {
            let problem = problem(id, &settings);
            if let Err(violation) =
                check_oracle(problem.oracle().unwrap().as_ref(), problem.space(), &SeedPath::root(9))
            {
                panic!("{id} {settings:?}: {violation}");
            }
        }
    }

    #[test]
    fn cards_fit_their_oracles() {
        for card in crate::catalogue() {
            let problem = problem(card.id, &[]);
            assert_eq!(problem.oracle().unwrap().n_outputs(), card.outputs.n, "{}", card.id);
            assert_eq!(problem.space().n_columns(), card.inputs.len(), "{}", card.id);
            assert!(card.inputs.iter().all(|input| input.low < input.high), "{}", card.id);
            for preset in problem.presets() {
                let model = problem.preset(preset).unwrap();
                let checked = model.network(problem.shape()).map(|_| ()).and_then(|()| model.training.validate());
                assert_eq!((checked, model.hidden.is_empty()), (Ok(()), false), "{} {preset}", card.id);
            }
            assert_eq!(card.difficulty[0].settings, "", "{}", card.id);
            assert_eq!(problem.variant_id(), card.id);
            let ends = [-1.0, 1.0].map(|end| Array1::from_elem(card.inputs.len(), end));
            for (j, input) in card.inputs.iter().enumerate() {
                for (end, stated) in ends.iter().zip([input.low, input.high]) {
                    let value = problem.space().to_physical(end.view()).unwrap()[j];
                    assert_eq!(value.to_string(), stated.to_string(), "{} of {}", input.name, card.id);
                }
            }
        }
    }

    /// The figures on the cards, to the three digits they are given with.
    #[test]
    fn difficulty_is_as_the_cards_say() {
        let mut wrong = Vec::new();
        for card in crate::catalogue() {
            for difficulty in card.difficulty {
                let settings: Vec<_> = difficulty.settings.split_once('=').into_iter().collect();
                let problem = problem(card.id, &settings);
                let name = problem.variant_id();
                let points = |n, path: SeedPath| {
                    all_labels(problem.oracle().unwrap().as_ref(), problem.space().sample(n, &path).view())
                };
                let test = points(4_000, TrialSeeds::new(&name, 0).test());
                let variance = test.var_axis(Axis(0), 0.0).mean().unwrap();
                let mse = (0..10).map(|seed| {
                    let mean = points(80, TrialSeeds::new(&name, seed).initial()).mean_axis(Axis(0)).unwrap();
                    (&test - &mean).mapv(|d| d * d).mean().unwrap()
                });
                let mse = mse.sum::<f64>() / 10.0;
                for (stated, measured) in [(difficulty.output_variance, variance), (difficulty.mean_predictor_mse, mse)]
                {
                    if (stated - measured).abs() > 0.51e-2 * measured {
                        wrong.push(format!("{name}: the card says {stated}, measured {measured:.3e}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_battery_finds_what_it_looks_for() {
        #[derive(Debug)]
        struct Sloppy(u8);
        impl Oracle for Sloppy {
            fn n_inputs(&self) -> usize {
                1
            }
            fn n_outputs(&self) -> usize {
                1
            }
            fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
                if self.0 != 0 {
                    dal_core::check_unit_box(x, 1)?;
                }
                for i in 0..x.nrows() {
                    let _ = match self.0 {
                        1 => on_row(i, Ok(&[f64::NAN])),
                        2 => on_row(i, Ok(&[1.0, 2.0])),
                        3 if i == 5 => continue,
                        4 => on_row(0, Ok(&[1.0])),
                        5 => on_row(i, Ok(&[x.nrows() as f64])),
                        6 => on_row(i, Ok(&[i as f64])),
                        _ => on_row(i, Ok(&[x[[i, 0]]])),
                    };
                }
                Ok(())
            }
        }
        let run = |kind| check_oracle(&Sloppy(kind), &Space::continuous_unit(1), &SeedPath::root(1));
        for kind in 0..=6 {
            assert!(run(kind).is_err(), "{kind}");
        }
        assert_eq!(run(7), Ok(()));
    }
}
