//! What was chosen of a problem's settings, and errors of a problem that cannot be made.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::card::{Card, SettingValues};

/// An id, a setting or a problem's own data that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProblemError {
    /// No problem has this id.
    #[error("there is no problem `{id}`; the problems are {known}, or a path to a problem.toml")]
    UnknownProblem {
        /// The id asked for.
        id: String,
        /// The ids there are.
        known: String,
    },
    /// The problem has no such setting.
    #[error("problem `{problem}` has no setting `{key}`; {known}")]
    UnknownSetting {
        /// The problem.
        problem: &'static str,
        /// The key asked for.
        key: String,
        /// What can be set, as a phrase.
        known: String,
    },
    /// The setting does not take this value.
    #[error("setting `{key}` of problem `{problem}` cannot be `{value}`; it can be {allowed}")]
    BadSetting {
        /// The problem.
        problem: &'static str,
        /// The key.
        key: &'static str,
        /// The value asked for.
        value: String,
        /// The values there are.
        allowed: String,
    },
    /// The problem's oracle cannot be loaded.
    #[error("the oracle of problem `{problem}` cannot be loaded: {message}")]
    Oracle {
        /// The problem.
        problem: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
}

/// Every setting of a problem with its value, defaults filled in; a path that is not set is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    n_changed: usize,
}

impl Settings {
    /// Checks `given` against a card and fills in the defaults.
    ///
    /// # Errors
    /// A key or a value that the card does not have.
    pub fn resolve(card: &'static Card, given: &BTreeMap<String, String>) -> Result<Self, ProblemError> {
        if let Some(key) = given.keys().find(|key| card.settings.iter().all(|setting| setting.key != key.as_str())) {
            let known = match card.settings {
                [] => "it has none".to_owned(),
                settings => format!("it has {}", settings.iter().map(|s| s.key).collect::<Vec<_>>().join(", ")),
            };
            return Err(ProblemError::UnknownSetting { problem: card.id, key: key.clone(), known });
        }
        let mut resolved = Self::default();
        for setting in card.settings {
            let given = given.get(setting.key);
            match (setting.values, given) {
                (SettingValues::OneOf(choices), None) => {
                    if let Some(default) = choices.first() {
                        resolved.values.insert(setting.key, default.value.to_owned());
                    }
                }
                (SettingValues::OneOf(choices), Some(value)) => {
                    let Some(at) = choices.iter().position(|choice| choice.value == value) else {
                        return Err(ProblemError::BadSetting {
                            problem: card.id,
                            key: setting.key,
                            value: value.clone(),
                            allowed: choices.iter().map(|c| c.value).collect::<Vec<_>>().join(", "),
                        });
                    };
                    resolved.n_changed += usize::from(at > 0);
                    resolved.values.insert(setting.key, value.clone());
                }
                (SettingValues::Path, None) => {}
                (SettingValues::Path, Some(path)) => {
                    resolved.n_changed += 1;
                    resolved.values.insert(setting.key, path.clone());
                }
            }
        }
        Ok(resolved)
    }

    /// The value of a setting; `None` for a path that is not set.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Whether every setting has its default.
    pub fn is_default(&self) -> bool {
        self.n_changed == 0
    }
}
