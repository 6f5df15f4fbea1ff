//! Finds a built-in problem by its id and settings.

use std::collections::BTreeMap;

use crate::card::Card;
use crate::problem::Definition;
use crate::problems::CATALOGUE;

pub use crate::problem::{Column, PUBLISHED, Problem, ProblemError, Settings, TUNED};

/// The cards of all built-in problems, in the order of the paper's table.
pub fn catalogue() -> impl Iterator<Item = &'static Card> {
    CATALOGUE.iter().map(|definition| &definition.card)
}

/// The built-in problem `id` with these `key=value` settings; what is not set takes its default.
///
/// ```
/// use std::collections::BTreeMap;
/// let robo = dal_oracles::find("robo", &BTreeMap::new())?;
/// assert_eq!((robo.space().n_columns(), robo.oracle().n_outputs()), (4, 2));
/// # Ok::<(), dal_oracles::ProblemError>(())
/// ```
///
/// # Errors
/// An id, key or value that does not exist; a file named in a setting that cannot be used.
pub fn find(id: &str, settings: &BTreeMap<String, String>) -> Result<Problem, ProblemError> {
    find_in(CATALOGUE, id, settings)
}

/// As [`find`], in another list of problems: a program's own, or the built-in ones and more.
///
/// # Errors
/// As [`find`].
pub fn find_in(
    definitions: &[&'static Definition],
    id: &str,
    settings: &BTreeMap<String, String>,
) -> Result<Problem, ProblemError> {
    let definition = definitions.iter().find(|definition| definition.card.id == id).ok_or_else(|| {
        let known = definitions.iter().map(|definition| definition.card.id).collect::<Vec<_>>().join(", ");
        ProblemError::UnknownProblem { id: id.to_owned(), known }
    })?;
    Problem::build(definition, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_what_does_not_exist_is_named() {
        let ids: Vec<_> = catalogue().map(|card| card.id).collect();
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[i + 1..].contains(id), "{id} twice");
        }
        let error = find("sinus", &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("sinus") && error.to_string().contains("sine, robo"), "{error}");
        let error = find("sine", &BTreeMap::from([("order".into(), "x".into())])).unwrap_err();
        assert_eq!(error.to_string(), "problem `sine` has no setting `order`; it has none");
    }
}
