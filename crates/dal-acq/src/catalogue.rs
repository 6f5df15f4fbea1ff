//! The catalogue of strategies: how one is found by id and settings.

use dal_core::{SettingError, Settings};

use crate::card::{Card, Found};
use crate::strategies::CATALOGUE;

/// Every strategy, in the order in which tables list them.
pub fn catalogue() -> impl Iterator<Item = &'static Card> {
    CATALOGUE.iter().copied()
}

/// The card of a strategy.
///
/// # Errors
/// An id that there is not; the message lists what there is.
pub fn card(id: &str) -> Result<&'static Card, SettingError> {
    catalogue().find(|card| card.id == id).ok_or_else(|| {
        let known: Vec<&str> = catalogue().map(|card| card.id).collect();
        let reason = format!("there is no strategy `{id}`; there are: {}", known.join(", "));
        SettingError::new("id", reason).with_suggestion(id, known)
    })
}

/// A strategy by id, with settings.
///
/// ```
/// let settings = dal_core::Settings::default().with("scaling", "raw");
/// let found = dal_acq::find("qbc-diversity", &settings)?;
/// assert!(found.strategy.needs().uncertainty);
/// assert_eq!((found.card.id, found.settings), ("qbc-diversity", settings.clone()));
/// let wrong = dal_acq::find("gsx", &settings).unwrap_err();
/// assert_eq!(wrong.to_string(), "`gsx` has no setting `scaling`; it has none");
/// # Ok::<(), dal_core::SettingError>(())
/// ```
///
/// # Errors
/// An id, key or value that there is not; the message lists what there is. The error's key is `id` or that of the
/// setting.
pub fn find(id: &str, settings: &Settings) -> Result<Found, SettingError> {
    let card = card(id)?;
    (card.build)(card, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    use dal_core::{SettingCard, SettingValues};
    use serde_json::Value;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().copied().collect()
    }

    #[test]
    fn every_card_tells_the_settings_there_are() {
        for card in catalogue() {
            let found = card.by_default();
            assert_eq!(found.card.id, card.id);
            assert!(found.settings.is_empty());
            let keys: Vec<&str> = found.all_settings.keys().collect();
            let mut told: Vec<&str> = card.settings.iter().map(|setting| setting.key).collect();
            told.sort_unstable();
            assert_eq!(keys, told, "{}", card.id);
            // Words of a card are those that the strategy takes, its default first.
            for &SettingCard { key, values, .. } in card.settings {
                let SettingValues::OneOf(choices) = values else { continue };
                assert_eq!(found.all_settings.word(key), Some(choices[0].value), "{} {key}", card.id);
                for choice in choices {
                    let set = find(card.id, &settings(&[(key, choice.value)])).unwrap().all_settings;
                    assert_eq!(set.word(key), Some(choice.value), "{} {key}", card.id);
                }
            }
        }
    }

    #[test]
    fn settings_go_there_and_back() {
        for (id, pairs) in [
            ("qbc-diversity", vec![("scaling", "raw")]),
            ("qbc-diversity-density", vec![("density", "distance"), ("n_neighbours", "5")]),
            ("bald", vec![("rate", "0.25"), ("width_factor", "2.5")]),
            ("bald", vec![("width_factor", "members")]),
            ("emoc", vec![("n_parameters", "50000")]),
            ("dacs", vec![("density", "k-over-distance"), ("temperature", "1.5")]),
            ("cluster-variance", vec![("n_clusters", "7"), ("prefilter", "2")]),
            ("learning-loss", vec![("weight", "0.01")]),
            ("lcmd-tp", vec![("columns", "64"), ("features", "last-layer")]),
            ("bait-f-p", vec![("criterion", "epig"), ("directions", "3"), ("target", "domain")]),
            ("bmdal", vec![("features", "members"), ("selection", "maxdet"), ("transform", "posterior")]),
        ] {
            let given = settings(&pairs);
            assert_eq!(find(id, &given).unwrap().settings.as_texts(), given.as_texts());
        }
        // A default that is spelt out is still the default.
        assert!(find("bald", &settings(&[("rate", "0.5")])).unwrap().settings.is_empty());
        assert!(find("bald", &settings(&[("width_factor", "sqrt-members")])).unwrap().settings.is_empty());
    }

    /// Ids of runs are hashes of these texts.
    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (id, key, ways, canonical) in [
            ("qbc-diversity-density", "n_neighbours", [Value::from(5), "5".into(), Value::from(5.0)], "5"),
            ("dacs", "temperature", [Value::from(2), "2".into(), Value::from(2.0)], "2.0"),
            ("bald", "width_factor", [Value::from(3), "3".into(), Value::from(3.0)], "3.0"),
        ] {
            for way in ways {
                let found = find(id, &Settings::default().with(key, way.clone())).unwrap();
                assert_eq!(found.settings.as_texts()[key], canonical, "{key} = {way}");
                assert_eq!(found.settings.variant(id), format!("{id}?{key}={canonical}"));
                // What a specification keeps is found again.
                let kept: Settings = found.settings.as_texts().into_iter().collect();
                assert_eq!(find(id, &kept).unwrap().settings, found.settings);
            }
        }
        let none = Settings::default().with("n_parameters", Value::Null);
        assert!(find("emoc", &none).unwrap().settings.is_empty());
    }

    #[test]
    fn mistakes_say_what_there_is() {
        let message = |id: &str, pairs: &[(&str, &str)]| find(id, &settings(pairs)).unwrap_err().to_string();
        assert!(message("gsz", &[]).contains("there are: random, gsx, gsy"));
        let error = |id: &str, pairs: &[(&str, &str)]| {
            let error = find(id, &settings(pairs)).unwrap_err();
            (error.key, error.hint)
        };
        let hint = |word: &str| Some(format!("did you mean `{word}`?"));
        assert_eq!(error("qbc-diversty", &[]), ("id".into(), hint("qbc-diversity")));
        assert_eq!(error("dacs", &[("densty", "x")]), ("densty".into(), hint("density")));
        assert_eq!(error("qbc-diversity", &[("scaling", "rwa")]), ("scaling".into(), hint("raw")));
        assert!(message("dacs", &[("densty", "x")]).contains("it has: density, n_neighbours"));
        assert!(message("dacs", &[("density", "x")]).contains("mean-squared-distance or k-over-distance is wanted"));
        for (id, key, value) in [
            ("bald", "rate", "1"),
            ("bald", "rate", "NaN"),
            ("bald", "rate", "7e-6"),
            ("bald", "rate", "0.999995"),
            ("learning-loss", "joint_share", "7"),
            ("bald", "n_passes", "1"),
            ("bald", "width_factor", "-1"),
            ("dacs", "temperature", "0"),
            ("dacs", "n_groups", "0"),
            ("emoc", "n_parameters", "0"),
            ("cluster-variance", "n_clusters", "2.5"),
            ("cluster-variance", "prefilter", "0"),
            ("learning-loss", "margin", "-1"),
            ("qbc-diversity-density", "n_neighbours", "0"),
            ("lcmd-tp", "columns", "0"),
            ("lcmd-tp", "directions", "0"),
            ("bmdal", "columns", "0"),
        ] {
            let error = find(id, &settings(&[(key, value)])).unwrap_err();
            assert_eq!(error.key, key);
            assert!(error.reason.starts_with(&format!("`{id}`, setting {key}={value}: ")), "{error}");
        }
    }
}
