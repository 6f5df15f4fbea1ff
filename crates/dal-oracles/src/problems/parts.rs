//! What the problems' files share: the space of a card's inputs, the oracle of an embedded forest.

use std::sync::Arc;

use dal_core::{Dimension, Oracle, Scale, Space};

use crate::card::{Card, InputCard};
use crate::forest::Forest;
use crate::problem::ProblemError;

/// The space of a card's inputs, with their physical ranges.
pub(super) fn space_of(card: &Card) -> Result<Space, ProblemError> {
    let dimension = |input: &InputCard| match *input {
        InputCard { low, high, integer: true, .. } => Dimension::Integer { low: low as i64, high: high as i64 },
        InputCard { low, high, .. } => Dimension::Continuous { low, high, scale: Scale::Linear },
    };
    Space::new(card.inputs.iter().map(dimension).collect())
        .map_err(|e| ProblemError::Oracle { problem: card.id, message: e.to_string() })
}

/// The oracle of an embedded forest.
pub(super) fn forest_problem(id: &'static str, bytes: &[u8]) -> Result<Arc<dyn Oracle>, ProblemError> {
    let forest = Forest::from_bytes(bytes).map_err(|e| ProblemError::Oracle { problem: id, message: e.to_string() })?;
    Ok(Arc::new(forest))
}
