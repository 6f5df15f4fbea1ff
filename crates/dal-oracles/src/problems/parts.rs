//! What the problems' files share: the space of a card's inputs, the oracle of an embedded forest.

use std::sync::Arc;

use dal_core::{Dimension, Oracle, Scale, SettingError, Space};

use crate::card::{Card, InputCard};
use crate::forest::Forest;

/// An oracle that cannot be loaded; `key` is the setting that names it, or `id`.
pub(super) fn not_loaded(problem: &str, key: &str, message: &str) -> SettingError {
    SettingError::new(key, format!("the oracle of problem `{problem}` cannot be loaded: {message}"))
}

/// The space of a card's inputs, with their physical ranges.
pub(super) fn space_of(card: &Card) -> Result<Space, SettingError> {
    let dimension = |input: &InputCard| match *input {
        InputCard { low, high, integer: true, .. } => {
            Dimension::Integer { low: low as i64, high: high as i64, scale: Scale::Linear }
        }
        InputCard { low, high, .. } => Dimension::Continuous { low, high, scale: Scale::Linear },
    };
    Space::new(card.inputs.iter().map(dimension).collect()).map_err(|e| not_loaded(card.id, "id", &e.to_string()))
}

/// The oracle of an embedded forest.
pub(super) fn forest_problem(id: &'static str, bytes: &[u8]) -> Result<Arc<dyn Oracle>, SettingError> {
    let forest = Forest::from_bytes(bytes).map_err(|e| not_loaded(id, "id", &e.to_string()))?;
    Ok(Arc::new(forest))
}
