//! The catalogue of strategies: what each says of itself, and how one is found by id and settings.

use std::collections::BTreeMap;

use dal_core::Needs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::rule::PoolStrategy;
use crate::strategies::CATALOGUE;

/// What a strategy says of itself; feeds the command line, the documentation and the contract tests.
#[derive(Serialize)]
pub struct Card {
    /// The name that a run is asked for by.
    pub id: &'static str,
    /// One line, for a person.
    pub title: &'static str,
    /// The rule in short. L is the labelled set, L0 its initial part, N the pool size, n the batch.
    pub formula: &'static str,
    /// What a batch costs beyond the model's answers.
    pub cost: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    /// What the score of a single pick is.
    pub pick_score: PickScore,
    /// What provably leaves the picks alone, or holds of them; each is tested over random cases.
    pub invariances: &'static [Invariance],
    /// What can be set with `key=value`.
    pub settings: &'static [SettingCard],
    #[serde(skip)]
    pub(crate) build: Build,
}

/// Makes a strategy from settings as text.
pub(crate) type Build = fn(&BTreeMap<String, String>) -> Result<Box<dyn PoolStrategy>, FindError>;

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Card").field("id", &self.id).field("title", &self.title).finish_non_exhaustive()
    }
}

impl Card {
    /// The strategy with default settings.
    pub fn default_strategy(&self) -> Box<dyn PoolStrategy> {
        (self.build)(&BTreeMap::new()).expect("a test builds every default")
    }

    /// What it needs of a model, with default settings.
    pub fn needs(&self) -> Needs {
        self.default_strategy().needs()
    }

    /// The needs in words, none for a rule of coordinates only.
    pub fn needs_in_words(&self) -> Vec<&'static str> {
        let needs = self.needs();
        let words = [
            (needs.mean, "predictions"),
            (needs.committee, "a committee"),
            (needs.input_gradient, "input gradients"),
            (needs.tangent, "parameter gradients"),
            (needs.dropout.is_some(), "a dropout network"),
            (needs.loss_head.is_some(), "loss heads"),
        ];
        words.into_iter().filter_map(|(needed, word)| needed.then_some(word)).collect()
    }

    /// Every setting with its default as text, `none` where the default is to leave it out.
    pub fn defaults(&self) -> BTreeMap<&'static str, String> {
        let all = self.default_strategy().default_settings();
        let text = |key: &str| all.get(key).map_or_else(|| "none".into(), |value| text(value).unwrap_or("none".into()));
        self.settings.iter().map(|setting| (setting.key, text(setting.key))).collect()
    }
}

/// One setting of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SettingCard {
    /// The key.
    pub key: &'static str,
    /// What it chooses.
    pub help: &'static str,
    /// What it may be, in words.
    pub values: &'static str,
}

/// What the score of a single pick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickScore {
    /// There is none.
    None,
    /// The distance, or the product of distances, to the nearest labelled or picked point at the moment of the pick.
    Distance,
    /// The variance of the predictions.
    Variance,
    /// What the rule's formula adds up to.
    Combined,
}

/// A promise of a strategy about its picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariance {
    /// The same points are picked whatever the order of the pool, where no two scores tie.
    PoolOrder,
    /// Mirroring input coordinates changes nothing, exactly.
    AxisFlips,
    /// Rotating the inputs changes nothing, where the winner's lead exceeds rounding.
    Rotations,
    /// Adding a constant to every member changes nothing, where the winner's lead exceeds rounding.
    MemberShift,
    /// Multiplying every member by a power of two changes nothing, exactly.
    MemberScale,
    /// Multiplying answers and predictions by a power of two changes nothing, exactly.
    OutputScale,
    /// The labelled set and the picks cover the pool's inputs within twice the radius of the best choice of as many picks.
    InputCovering,
    /// The same in the outputs.
    OutputCovering,
    /// No copy of a labelled point is picked while a point that is no copy is left.
    SkipsCopies,
}

/// A strategy cannot be found as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FindError {
    /// There is no strategy of this id.
    #[error("there is no strategy `{id}`; there are: {}", known.join(", "))]
    UnknownStrategy {
        /// The id asked for.
        id: String,
        /// The ids there are.
        known: Vec<&'static str>,
    },
    /// The strategy has no setting of this name.
    #[error("`{strategy}` has no setting `{key}`; it has: {}", if known.is_empty() { "none".into() } else { known.join(", ") })]
    UnknownSetting {
        /// The strategy.
        strategy: &'static str,
        /// The key given.
        key: String,
        /// The keys there are.
        known: Vec<&'static str>,
    },
    /// A setting has a value that it cannot take.
    #[error("`{strategy}`, setting {key}={value}: {reason}")]
    BadValue {
        /// The strategy.
        strategy: &'static str,
        /// The setting.
        key: String,
        /// The value given.
        value: String,
        /// What is wanted.
        reason: String,
    },
}

/// Every strategy, in the order in which tables list them.
pub fn catalogue() -> impl Iterator<Item = &'static Card> {
    CATALOGUE.iter()
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
/// let strategy = dal_acq::find("qbc-diversity", &settings)?;
/// assert!(strategy.needs().committee);
/// assert_eq!(strategy.settings(), settings);
/// let wrong = dal_acq::find("gsx", &settings).unwrap_err();
/// assert_eq!(wrong.to_string(), "`gsx` has no setting `scaling`; it has: none");
/// # Ok::<(), dal_acq::FindError>(())
/// ```
///
/// # Errors
/// An id, key or value that there is not; the message lists what there is.
pub fn find(id: &str, settings: &BTreeMap<String, String>) -> Result<Box<dyn PoolStrategy>, FindError> {
    let card = card(id)?;
    for key in settings.keys() {
        if !card.settings.iter().any(|setting| setting.key == key) {
            let known = card.settings.iter().map(|setting| setting.key).collect();
            return Err(FindError::UnknownSetting { strategy: card.id, key: key.clone(), known });
        }
    }
    (card.build)(settings)
}

/// A settings struct from text: each value is tried as JSON (numbers) and as a bare word.
pub(crate) fn build<T>(
    given: &BTreeMap<String, String>,
    strategy: &'static str,
    check: fn(&T) -> Result<(), (&'static str, String)>,
) -> Result<Box<dyn PoolStrategy>, FindError>
where
    T: PoolStrategy + DeserializeOwned + 'static,
{
    let wanted = |key: &str| {
        let card = CATALOGUE.iter().find(|card| card.id == strategy);
        let setting = card.and_then(|card| card.settings.iter().find(|setting| setting.key == key));
        setting.map_or_else(|| "it cannot be read".to_owned(), |setting| format!("{} is wanted", setting.values))
    };
    let bad = |key: &str, reason: String| {
        let value = given.get(key).cloned().unwrap_or_default();
        FindError::BadValue { strategy, key: key.to_owned(), value, reason }
    };
    let mut object = Map::new();
    for (key, raw) in given {
        let number = serde_json::from_str(raw).ok().filter(Value::is_number);
        let readings = [number, Some(Value::String(raw.clone()))];
        let fits = |reading: &Value| {
            let alone = Map::from_iter([(key.clone(), reading.clone())]);
            serde_json::from_value::<T>(Value::Object(alone)).is_ok()
        };
        let Some(reading) = readings.into_iter().flatten().find(fits) else { return Err(bad(key, wanted(key))) };
        object.insert(key.clone(), reading);
    }
    let built: T = serde_json::from_value(Value::Object(object)).map_err(|error| FindError::BadValue {
        strategy,
        key: String::new(),
        value: String::new(),
        reason: error.to_string(),
    })?;
    check(&built).map_err(|(key, reason)| bad(key, reason))?;
    Ok(Box::new(built))
}

/// All settings of a rule as JSON values, by key.
pub(crate) fn all_settings<T: Serialize>(rule: &T) -> Map<String, Value> {
    match serde_json::to_value(rule) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Settings that differ from their defaults, as text.
pub(crate) fn changed_settings<T: Serialize + Default>(rule: &T) -> BTreeMap<String, String> {
    let defaults = all_settings(&T::default());
    let changed = all_settings(rule).into_iter().filter(|(key, value)| defaults.get(key) != Some(value));
    changed.filter_map(|(key, value)| Some((key, text(&value)?))).collect()
}

/// A setting's value as text; `None` where it is left out.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(word) => Some(word.clone()),
        other => Some(other.to_string()),
    }
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
            let strategy = card.default_strategy();
            assert_eq!(strategy.id(), card.id);
            assert!(strategy.settings().is_empty());
            let keys: Vec<String> = strategy.default_settings().keys().cloned().collect();
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
            assert_eq!(find(id, &given).unwrap().settings(), given);
        }
        // A default that is spelt out is still the default.
        assert!(find("bald", &settings(&[("rate", "0.5")])).unwrap().settings().is_empty());
        assert!(find("bald", &settings(&[("width_factor", "sqrt-members")])).unwrap().settings().is_empty());
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
