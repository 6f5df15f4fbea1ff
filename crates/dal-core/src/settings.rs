//! Settings by name: values as files and programs give them, the card that says what there is, and errors that carry
//! the key.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// Values by key, as they came: from TOML, JSON or Python as they are, from a command line through
/// [`SettingCard::value_of`].
///
/// ```
/// use dal_core::Settings;
/// let settings = Settings::default().with("scaling", "raw").with("n_neighbours", 5);
/// assert_eq!(settings.as_texts()["n_neighbours"], "5");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// These settings and one more; an earlier value of the key is replaced.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Sets a key.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    /// The value of a key, if it is set.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key, if it is text.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every value as text, as specifications and variants of names hold it; `null` is left out.
    pub fn as_texts(&self) -> BTreeMap<String, String> {
        self.iter().filter_map(|(key, value)| Some((key.to_owned(), text(value)?))).collect()
    }

    /// The settings as one JSON object.
    pub fn to_object(&self) -> serde_json::Map<String, Value> {
        self.0.clone().into_iter().collect()
    }

    /// An id with these settings by key, as in `bessel?order=staircase`; the id alone without settings.
    pub fn variant(&self, id: &str) -> String {
        let pairs: Vec<String> = self.as_texts().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        if pairs.is_empty() { id.to_owned() } else { format!("{id}?{}", pairs.join("&")) }
    }

    /// Every setting of the cards: what is set here, read as the card wants it, and the default of what is not. What is
    /// neither set nor has a default is absent, and so is `null`.
    ///
    /// # Errors
    /// A key that no card has, a value that the card does not take; `owner` stands in the message.
    pub fn resolve(&self, owner: &str, cards: &[SettingCard]) -> Result<Self, SettingError> {
        self.check_keys(owner, cards)?;
        let mut resolved = Self::default();
        for card in cards {
            match self.get(card.key).filter(|value| !value.is_null()) {
                Some(value) => resolved.insert(card.key, card.read(owner, value)?),
                None => card.default_word().into_iter().for_each(|word| resolved.insert(card.key, word)),
            }
        }
        Ok(resolved)
    }

    /// Those that are not at the default of their card.
    pub fn changed(&self, cards: &[SettingCard]) -> Self {
        let default = |key: &str| cards.iter().find(|card| card.key == key)?.default_word();
        let changed = self.iter().filter(|(key, value)| default(key).is_none_or(|word| value.as_str() != Some(word)));
        changed.map(|(key, value)| (key, value.clone())).collect()
    }

    /// An error for the first key that no card has.
    ///
    /// # Errors
    /// [`SettingError`] with the key and what there is.
    pub fn check_keys(&self, owner: &str, cards: &[SettingCard]) -> Result<(), SettingError> {
        match self.keys().find(|key| cards.iter().all(|card| card.key != *key)) {
            None => Ok(()),
            Some(key) => {
                let known: Vec<&str> = cards.iter().map(|card| card.key).collect();
                let reason = match known.as_slice() {
                    [] => format!("{owner} has no setting `{key}`; it has none"),
                    known => format!("{owner} has no setting `{key}`; it has: {}", known.join(", ")),
                };
                Err(SettingError::new(key, reason).with_suggestion(key, known))
            }
        }
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// A value as text: words without quotes, numbers as JSON writes them; `None` for `null`.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(word) => Some(word.clone()),
        other => Some(other.to_string()),
    }
}

/// What a value may stand for, in the order in which an owner tries it: itself; the number or flag that a text spells
/// and the whole number that a fraction equals; its text. So `5`, `"5"` and `5.0` set the same, whatever the owner
/// wants.
pub fn readings(value: &Value) -> Vec<Value> {
    let mut readings = Vec::new();
    match value {
        Value::String(word) => {
            readings.extend(spelt(word));
            readings.push(value.clone());
        }
        other => {
            let whole = whole(other.clone());
            let shortest = whole.as_ref().unwrap_or(other).to_string();
            readings.push(other.clone());
            readings.extend(whole);
            readings.push(Value::String(shortest));
        }
    }
    readings
}

/// The number or flag that a text spells.
fn spelt(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean())
}

/// The whole number that a fraction equals, where every whole number near it is a float too.
fn whole(value: Value) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fraction = value.as_f64().filter(|_| value.is_f64())?;
    (fraction.fract() == 0.0 && fraction.abs() <= EXACT).then(|| Value::from(fraction as i64))
}

/// One setting of a problem, a strategy or an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SettingCard {
    /// The key.
    pub key: &'static str,
    /// What it chooses.
    pub help: &'static str,
    /// What it may be.
    pub values: SettingValues,
}

/// The values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingValues {
    /// One of these words; the first is the default.
    OneOf(&'static [Choice]),
    /// A number, a word or another value, which the owner reads; in words.
    Described(&'static str),
    /// A path, or nothing, which is the default.
    Path,
}

/// One word that a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The word.
    pub value: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl SettingCard {
    /// The value that text from a command line (`--set key=text`) stands for: a number, true or false where the text is
    /// one and the setting is no word or path; else the text itself.
    pub fn value_of(&self, text: &str) -> Value {
        match self.values {
            SettingValues::OneOf(_) | SettingValues::Path => Value::String(text.to_owned()),
            SettingValues::Described(_) => spelt(text).unwrap_or_else(|| Value::String(text.to_owned())),
        }
    }

    /// The word that stands where nothing is set, if there is one.
    pub fn default_word(&self) -> Option<&'static str> {
        match self.values {
            SettingValues::OneOf(choices) => choices.first().map(|choice| choice.value),
            SettingValues::Described(_) | SettingValues::Path => None,
        }
    }

    /// A value as the card wants it: one of its words, a path as text; another value as it is, which its owner reads.
    ///
    /// # Errors
    /// A value that is neither.
    pub fn read(&self, owner: &str, value: &Value) -> Result<Value, SettingError> {
        let found = match self.values {
            SettingValues::Described(_) => Some(value.clone()),
            SettingValues::OneOf(choices) => {
                let is_choice = |word: &Value| choices.iter().any(|choice| word.as_str() == Some(choice.value));
                readings(value).into_iter().find(is_choice)
            }
            SettingValues::Path if value.is_string() || value.is_number() => text(value).map(Value::String),
            SettingValues::Path => None,
        };
        found.ok_or_else(|| self.refusal(owner, value, None))
    }

    /// An error about a value that cannot be used, for this reason or because the card describes others.
    pub fn refusal(&self, owner: &str, value: &Value, reason: Option<String>) -> SettingError {
        let shown = text(value).unwrap_or_else(|| "null".into());
        let reason = reason.unwrap_or_else(|| format!("{} is wanted", self.values));
        let error = SettingError::new(self.key, format!("{owner}, setting {}={shown}: {reason}", self.key));
        match self.values {
            SettingValues::OneOf(choices) => error.with_suggestion(&shown, choices.iter().map(|choice| choice.value)),
            SettingValues::Described(_) | SettingValues::Path => error,
        }
    }
}

impl fmt::Display for SettingValues {
    /// In words, for messages: `minmax or raw`, `a whole number from 1`; with `{:#}` each word's meaning follows it in
    /// brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(choices) => {
                let with_meaning = f.alternate();
                let word = |choice: &Choice| match choice.meaning {
                    meaning if with_meaning && !meaning.is_empty() => format!("{} ({meaning})", choice.value),
                    _ => choice.value.to_owned(),
                };
                let words: Vec<String> = choices.iter().map(word).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => write!(f, "{} or {last}", rest.join(", ")),
                    Some((only, _)) => f.write_str(only),
                    None => f.write_str("nothing"),
                }
            }
            Self::Described(words) => f.write_str(words),
            Self::Path => f.write_str("a path"),
        }
    }
}

/// What was set cannot be used. Carries the key it is about, so that the place in a file can be found without reading
/// messages.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct SettingError {
    /// The key: `id`, or the name of a setting.
    pub key: String,
    /// What is wrong, value included.
    pub reason: String,
    /// What to do, where there is more to say.
    pub hint: Option<String>,
}

impl SettingError {
    /// An error about a key.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into(), hint: None }
    }

    /// With a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the known word that is closest to the one found as a remedy, where one is close.
    #[must_use]
    pub fn with_suggestion<'a>(mut self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.hint = closest(found, known).map(|word| format!("did you mean `{word}`?")).or(self.hint);
        self
    }
}

/// The known word closest to `found`, where one is close enough to be a slip of the fingers.
pub fn closest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (word, distance) =
        known.into_iter().map(|word| (word, edit_distance(found, word))).min_by_key(|&(_, distance)| distance)?;
    let limit = found.chars().count().max(word.chars().count()).div_ceil(3);
    (distance <= limit).then_some(word)
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other (optimal alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let substitution = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = substitution.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(table[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARDS: &[SettingCard] = &[
        SettingCard {
            key: "scaling",
            help: "",
            values: SettingValues::OneOf(&[
                Choice { value: "minmax", meaning: "" },
                Choice { value: "raw", meaning: "" },
            ]),
        },
        SettingCard { key: "n", help: "", values: SettingValues::Described("a whole number from 1") },
        SettingCard { key: "file", help: "", values: SettingValues::Path },
    ];

    #[test]
    fn text_becomes_what_the_card_takes() {
        assert_eq!(CARDS[0].value_of("5"), Value::from("5"));
        assert_eq!(CARDS[1].value_of("5"), Value::from(5));
        assert_eq!(CARDS[1].value_of("true"), Value::from(true));
        assert_eq!(CARDS[1].value_of("members"), Value::from("members"));
        assert_eq!(CARDS[2].value_of("5"), Value::from("5"));
        assert_eq!(CARDS[0].values.to_string(), "minmax or raw");
    }

    #[test]
    fn unknown_keys_carry_the_key_and_a_remedy() {
        let settings = Settings::default().with("scalign", "raw");
        let error = settings.check_keys("`x`", CARDS).unwrap_err();
        assert_eq!(error.key, "scalign");
        assert_eq!(error.reason, "`x` has no setting `scalign`; it has: scaling, n, file");
        assert_eq!(error.to_string(), format!("{}; did you mean `scaling`?", error.reason));
        assert_eq!(error.hint.as_deref(), Some("did you mean `scaling`?"));
        assert!(Settings::default().with("n", 3).check_keys("`x`", CARDS).is_ok());
        let none = settings.check_keys("`y`", &[]).unwrap_err();
        assert_eq!(none.to_string(), "`y` has no setting `scalign`; it has none");
    }

    #[test]
    fn cards_fill_in_defaults_and_refuse_other_values() {
        let given = Settings::default().with("n", 7).with("file", 5).with("scaling", Value::Null);
        let resolved = given.resolve("`x`", CARDS).unwrap();
        assert_eq!(resolved, Settings::default().with("scaling", "minmax").with("n", 7).with("file", "5"));
        assert_eq!(resolved.word("scaling"), Some("minmax"));
        assert_eq!((resolved.word("n"), resolved.word("m")), (None, None));
        assert_eq!(resolved.changed(CARDS).variant("x"), "x?file=5&n=7");
        let raw = Settings::default().with("scaling", "raw").resolve("`x`", CARDS).unwrap();
        assert_eq!(raw.changed(CARDS), Settings::default().with("scaling", "raw"));
        assert_eq!(Settings::default().resolve("`x`", CARDS).unwrap().changed(CARDS).variant("x"), "x");
        for (key, value, reason, hint) in [
            ("scaling", Value::from("rwa"), "`x`, setting scaling=rwa: minmax or raw is wanted", Some("`raw`")),
            ("scaling", Value::from(true), "`x`, setting scaling=true: minmax or raw is wanted", None),
            ("file", serde_json::json!([1]), "`x`, setting file=[1]: a path is wanted", None),
        ] {
            let error = Settings::default().with(key, value).resolve("`x`", CARDS).unwrap_err();
            assert_eq!((error.key.as_str(), error.reason.as_str()), (key, reason));
            assert_eq!(error.hint, hint.map(|word| format!("did you mean {word}?")));
        }
    }

    #[test]
    fn a_number_may_be_written_in_several_ways() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let read = |text: &str| serde_json::to_string(&readings(&json(text))).unwrap();
        assert_eq!(read("5"), r#"[5,"5"]"#);
        assert_eq!(read("5.0"), r#"[5.0,5,"5"]"#);
        assert_eq!(read(r#""5""#), r#"[5,"5"]"#);
        assert_eq!(read("2.5"), r#"[2.5,"2.5"]"#);
        assert_eq!(read("1e300"), r#"[1e+300,"1e+300"]"#);
        assert_eq!(read(r#""true""#), r#"[true,"true"]"#);
        assert_eq!(read(r#""raw""#), r#"["raw"]"#);
        assert_eq!(read("[1]"), r#"[[1],"[1]"]"#);
    }

    #[test]
    fn words_may_be_listed_with_their_meanings() {
        const WORDS: SettingValues = SettingValues::OneOf(&[
            Choice { value: "a", meaning: "the first" },
            Choice { value: "b", meaning: "" },
            Choice { value: "c", meaning: "the last" },
        ]);
        assert_eq!(format!("{WORDS} / {WORDS:#}"), "a, b or c / a (the first), b or c (the last)");
    }

    #[test]
    fn values_come_as_they_are_and_go_as_text() {
        let settings: Settings = serde_json::from_str(r#"{"a": 1, "b": 0.5, "c": "x", "d": true, "e": null}"#).unwrap();
        let texts = settings.as_texts();
        assert_eq!(texts.into_iter().map(|(k, v)| k + "=" + &v).collect::<Vec<_>>(), ["a=1", "b=0.5", "c=x", "d=true"]);
    }

    #[test]
    fn close_words_are_suggested_and_far_ones_are_not() {
        let known = ["sine", "robo", "hydro", "qbc-diversity"];
        assert_eq!(closest("sien", known), Some("sine"));
        assert_eq!(closest("hydra", known), Some("hydro"));
        assert_eq!(closest("qbc_diversity", known), Some("qbc-diversity"));
        assert_eq!(closest("bessel", known), None);
        assert_eq!(closest("x", []), None);
        assert_eq!(edit_distance("", "ab"), 2);
    }
}
