//! The problems, one file each. A new one is a file, its `mod` line and its entry in [`CATALOGUE`].

use std::sync::Arc;

use dal_core::{Dimension, Oracle, Scale, Space};

use crate::card::{Card, InputCard};
use crate::catalogue::{ProblemError, Settings};
use crate::forest::Forest;

pub mod adm;
pub mod bessel;
pub mod damp;
pub mod foil;
pub mod hydro;
pub mod robo;
pub mod sine;
pub mod stack;

/// Every problem, in the order of the paper's table.
pub static CATALOGUE: &[&Definition] = &[
    &sine::DEFINITION,
    &robo::DEFINITION,
    &stack::DEFINITION,
    &adm::DEFINITION,
    &foil::DEFINITION,
    &hydro::DEFINITION,
    &bessel::DEFINITION,
    &damp::DEFINITION,
];

/// A problem as its file defines it.
#[derive(Debug)]
pub struct Definition {
    /// What it says about itself.
    pub card: Card,
    /// Makes its space and its oracle from settings that the card allows.
    pub build: fn(&Settings) -> Result<Built, ProblemError>,
}

/// What a problem is made of.
#[derive(Clone, Debug)]
pub struct Built {
    /// Where its points come from.
    pub space: Space,
    /// What labels them.
    pub oracle: Arc<dyn Oracle>,
}

/// The space of a card's inputs, with their physical ranges.
fn space_of(card: &Card) -> Result<Space, ProblemError> {
    let dimension = |input: &InputCard| match *input {
        InputCard { low, high, integer: true, .. } => Dimension::Integer { low: low as i64, high: high as i64 },
        InputCard { low, high, .. } => Dimension::Continuous { low, high, scale: Scale::Linear },
    };
    Space::new(card.inputs.iter().map(dimension).collect())
        .map_err(|e| ProblemError::Oracle { problem: card.id, message: e.to_string() })
}

/// The oracle of an embedded forest.
fn forest_problem(id: &'static str, bytes: &[u8]) -> Result<Arc<dyn Oracle>, ProblemError> {
    let forest = Forest::from_bytes(bytes).map_err(|e| ProblemError::Oracle { problem: id, message: e.to_string() })?;
    Ok(Arc::new(forest))
}
