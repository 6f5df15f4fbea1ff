//! The catalogue of strategies: how one is found by id and settings.

use std::collections::BTreeMap;

use crate::card::{Card, FindError, Found};
use crate::strategies::CATALOGUE;

/// Every strategy, in the order in which tables list them.
pub fn catalogue() -> impl Iterator<Item = &'static Card> {
    CATALOGUE.iter().copied()
}

/// The card of a strategy.
///
/// # Errors
/// [`FindError::UnknownStrategy`].
pub fn card(id: &str) -> Result<&'static Card, FindError> {
    catalogue().find(|card| card.id == id).ok_or_else(|| FindError::UnknownStrategy {
        id: id.to_owned(),
        known: catalogue().map(|card| card.id).collect(),
    })
}

/// A strategy by id, with settings as text.
///
/// ```
/// use std::collections::BTreeMap;
/// let settings = BTreeMap::from([("scaling".to_owned(), "raw".to_owned())]);
/// let found = dal_acq::find("qbc-diversity", &settings)?;
/// assert!(found.strategy.needs().uncertainty);
/// assert_eq!((found.card.id, found.settings), ("qbc-diversity", settings.clone()));
/// let wrong = dal_acq::find("gsx", &settings).unwrap_err();
/// assert_eq!(wrong.to_string(), "`gsx` has no setting `scaling`; it has: none");
/// # Ok::<(), dal_acq::FindError>(())
/// ```
///
/// # Errors
/// An id, key or value that there is not; the message lists what there is.
pub fn find(id: &str, settings: &BTreeMap<String, String>) -> Result<Found, FindError> {
    let card = card(id)?;
    for key in settings.keys() {
        if !card.settings.iter().any(|setting| setting.key == key) {
            let known = card.settings.iter().map(|setting| setting.key).collect();
            return Err(FindError::UnknownSetting { strategy: card.id, key: key.clone(), known });
        }
    }
    (card.build)(card, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_card_tells_the_settings_there_are() {
        for card in catalogue() {
            let found = card.by_default();
            assert_eq!(found.card.id, card.id);
            assert!(found.settings.is_empty());
            let keys: Vec<String> = found.all_settings.keys().cloned().collect();
            let mut told: Vec<&str> = card.settings.iter().map(|setting| setting.key).collect();
            told.sort_unstable();
            assert_eq!(keys, told, "{}", card.id);
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
        ] {
            let given = settings(&pairs);
            assert_eq!(find(id, &given).unwrap().settings, given);
        }
        // A default that is spelt out is still the default.
        assert!(find("bald", &settings(&[("rate", "0.5")])).unwrap().settings.is_empty());
        assert!(find("bald", &settings(&[("width_factor", "sqrt-members")])).unwrap().settings.is_empty());
    }

    #[test]
    fn mistakes_say_what_there_is() {
        let message = |id: &str, pairs: &[(&str, &str)]| find(id, &settings(pairs)).unwrap_err().to_string();
        assert!(message("gsz", &[]).contains("there are: random, gsx, gsy"));
        assert!(message("dacs", &[("densty", "x")]).contains("it has: density, n_neighbours"));
        assert!(message("dacs", &[("density", "x")]).contains("mean-squared-distance or k-over-distance is wanted"));
        for (id, key, value) in [
            ("bald", "rate", "1"),
            ("bald", "rate", "NaN"),
            ("bald", "n_passes", "1"),
            ("bald", "width_factor", "-1"),
            ("dacs", "temperature", "0"),
            ("dacs", "n_groups", "0"),
            ("emoc", "n_parameters", "0"),
            ("cluster-variance", "n_clusters", "2.5"),
            ("cluster-variance", "prefilter", "0"),
            ("learning-loss", "margin", "-1"),
            ("qbc-diversity-density", "n_neighbours", "0"),
        ] {
            assert!(
                matches!(find(id, &settings(&[(key, value)])), Err(FindError::BadValue { .. })),
                "{id} {key}={value}"
            );
        }
    }
}
