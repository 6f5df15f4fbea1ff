//! Finds a built-in problem by its id and settings.

use dal_core::{SettingError, Settings};

use crate::card::Card;
use crate::problem::Definition;
use crate::problems::CATALOGUE;

pub use crate::problem::{Column, PUBLISHED, Problem, TUNED};

/// The cards of all built-in problems, in the order of the paper's table.
pub fn catalogue() -> impl Iterator<Item = &'static Card> {
    CATALOGUE.iter().map(|definition| &definition.card)
}

/// The built-in problem `id` with these settings; what is not set takes its default.
///
/// ```
/// let robo = dal_oracles::find("robo", &dal_core::Settings::default())?;
/// assert_eq!((robo.space().n_columns(), robo.oracle().unwrap().n_outputs()), (4, 2));
/// # Ok::<(), dal_core::SettingError>(())
/// ```
///
/// # Errors
/// An id, key or value that does not exist; a file named in a setting that cannot be used. The error's key is `id` or
/// that of the setting.
pub fn find(id: &str, settings: &Settings) -> Result<Problem, SettingError> {
    find_in(CATALOGUE, id, settings)
}

/// As [`find`], in another list of problems: a program's own, or the built-in ones and more.
///
/// # Errors
/// As [`find`].
pub fn find_in(definitions: &[&'static Definition], id: &str, settings: &Settings) -> Result<Problem, SettingError> {
    let definition = definitions.iter().find(|definition| definition.card.id == id).ok_or_else(|| {
        let known: Vec<&str> = definitions.iter().map(|definition| definition.card.id).collect();
        let there = known.join(", ");
        let reason = format!("there is no problem `{id}`; the problems are {there}, or a path to a problem.toml");
        SettingError::new("id", reason).with_suggestion(id, known)
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
        let error = find("sinus", &Settings::default()).unwrap_err();
        assert!(error.reason.contains("sinus") && error.reason.contains("sine, robo"), "{error}");
        assert_eq!((error.key.as_str(), error.hint.as_deref()), ("id", Some("did you mean `sine`?")));
        let error = find("sine", &Settings::default().with("order", "x")).unwrap_err();
        assert_eq!(error.to_string(), "problem `sine` has no setting `order`; it has none");
        assert_eq!(error.key, "order");
        let error = find("bessel", &Settings::default().with("order", "staircsae")).unwrap_err();
        assert_eq!(error.reason, "problem `bessel`, setting order=staircsae: integer or staircase is wanted");
        assert_eq!((error.key.as_str(), error.hint.as_deref()), ("order", Some("did you mean `staircase`?")));
    }

    #[test]
    fn a_variant_is_named_by_what_is_not_the_default() {
        let variant = |id, settings: Settings| {
            let problem = find(id, &settings).unwrap();
            (problem.variant_id(), problem.default_preset(), problem.settings().as_texts())
        };
        let of = |word: &str| std::collections::BTreeMap::from([("order".to_owned(), word.to_owned())]);
        assert_eq!(variant("bessel", Settings::default()), ("bessel".into(), TUNED, of("integer")));
        let spelt_out = Settings::default().with("order", "integer");
        assert_eq!(variant("bessel", spelt_out), ("bessel".into(), TUNED, of("integer")));
        let staircase = Settings::default().with("order", "staircase");
        assert_eq!(variant("bessel", staircase), ("bessel?order=staircase".into(), PUBLISHED, of("staircase")));
    }
}
