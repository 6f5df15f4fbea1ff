//! Finds a problem by its id and settings, and hands out what a run needs of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dal_core::{Oracle, Space};
use ndarray::Array2;
use thiserror::Error;

use crate::card::{Card, ConvolutionHead, SettingValues};
use crate::problems::{CATALOGUE, Definition};

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
    let definition = CATALOGUE.iter().find(|definition| definition.card.id == id).ok_or_else(|| {
        let known = catalogue().map(|card| card.id).collect::<Vec<_>>().join(", ");
        ProblemError::UnknownProblem { id: id.to_owned(), known }
    })?;
    Problem::build(definition, settings)
}

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

/// A column of a problem's inputs or outputs, for headers and axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its unit; `1` for none.
    pub unit: String,
    /// The names of its levels, of a categorical input; otherwise none.
    pub levels: Vec<String>,
}

/// Name of the preset with the published network, or the one in a user's problem file.
pub const PUBLISHED: &str = "published";
/// Name of the preset that a search found.
pub const TUNED: &str = "tuned";

/// A network that a problem is learned with, and its training.
#[derive(Clone, Debug, PartialEq)]
pub struct Learning {
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// Whether a BatchNorm follows each hidden Linear.
    pub batch_norm: bool,
    /// Whether BatchNorm's statistics at inference are recomputed over the training set instead of running averages.
    pub recomputed_statistics: bool,
    /// What stands in the place of the last plain Linear, if anything does.
    pub head: Option<ConvolutionHead>,
    /// Initial learning rate of full-batch Adam.
    pub learning_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// What a user's problem gets: the network that `foil` is published with.
impl Default for Learning {
    fn default() -> Self {
        Self {
            hidden: vec![200; 4],
            batch_norm: true,
            recomputed_statistics: false,
            head: None,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
        }
    }
}

impl From<&Card> for Learning {
    fn from(card: &Card) -> Self {
        Self {
            hidden: card.network.hidden.to_vec(),
            batch_norm: card.network.batch_norm,
            recomputed_statistics: false,
            head: card.network.head,
            learning_rate: card.training.learning_rate,
            weight_decay: card.training.weight_decay,
        }
    }
}

/// A problem ready to be sampled and labelled: built in, or a user's.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(crate) id: String,
    pub(crate) settings: Settings,
    pub(crate) card: Option<&'static Card>,
    pub(crate) space: Space,
    pub(crate) oracle: Arc<dyn Oracle>,
    pub(crate) inputs: Vec<Column>,
    pub(crate) outputs: Vec<Column>,
    pub(crate) candidates: Option<Array2<f64>>,
    pub(crate) learning: Learning,
    pub(crate) digest: Option<String>,
}

impl Problem {
    fn build(definition: &'static Definition, given: &BTreeMap<String, String>) -> Result<Self, ProblemError> {
        let card = &definition.card;
        let settings = Settings::resolve(card, given)?;
        let built = (definition.build)(&settings)?;
        let column = |name: String, unit: &str| Column { name, unit: unit.to_owned(), levels: Vec::new() };
        let inputs = card.inputs.iter().map(|input| column(input.name.to_owned(), input.unit)).collect();
        let outputs = match built.oracle.n_outputs() {
            1 => vec![column(card.outputs.name.to_owned(), card.outputs.unit)],
            n => (0..n).map(|k| column(format!("{}_{k}", card.outputs.name), card.outputs.unit)).collect(),
        };
        Ok(Self {
            id: card.id.to_owned(),
            settings,
            card: Some(card),
            space: built.space,
            oracle: built.oracle,
            inputs,
            outputs,
            candidates: None,
            learning: Learning::from(card),
            digest: None,
        })
    }

    /// The id: of the catalogue, or the name in a user's problem file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Every setting with its value; a user's problem has none.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The id with every setting that is not the default, as in `bessel?order=staircase`: what names the problem's random
    /// streams and tells its runs from those of other variants.
    pub fn variant_id(&self) -> String {
        let default = |key: &str| {
            let setting = self.card?.settings.iter().find(|setting| setting.key == key)?;
            match setting.values {
                SettingValues::OneOf(choices) => Some(choices.first()?.value),
                SettingValues::Path => None,
            }
        };
        let changed: Vec<String> = self
            .settings
            .iter()
            .filter(|(key, value)| default(key) != Some(*value))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if changed.is_empty() { self.id.clone() } else { format!("{}?{}", self.id, changed.join("&")) }
    }

    /// The card; a user's problem has none.
    pub fn card(&self) -> Option<&'static Card> {
        self.card
    }

    /// The published network and its training, or those of a user's file: the preset `published`.
    pub fn learning(&self) -> &Learning {
        &self.learning
    }

    /// The presets: `published`, and `tuned` where a search was made. The tuned network of a variant whose oracle is another
    /// (settings that are not the default) is that of the default settings.
    pub fn presets(&self) -> Vec<&'static str> {
        let tuned = self.card.is_some_and(|card| card.tuned.is_some());
        if tuned { vec![PUBLISHED, TUNED] } else { vec![PUBLISHED] }
    }

    /// The preset that is used unless a run names one: `tuned` where that is better on the test set, with the default settings;
    /// otherwise `published`.
    pub fn default_preset(&self) -> &'static str {
        match self.card.and_then(|card| card.tuned) {
            Some(tuned) if tuned.is_default && self.settings.is_default() => TUNED,
            _ => PUBLISHED,
        }
    }

    /// Network and training of a preset; `None` for one that this problem does not have.
    pub fn preset(&self, name: &str) -> Option<Learning> {
        match name {
            PUBLISHED => Some(self.learning.clone()),
            TUNED => {
                let tuned = self.card?.tuned?;
                Some(Learning {
                    hidden: tuned.hidden.to_vec(),
                    batch_norm: tuned.batch_norm,
                    recomputed_statistics: tuned.recomputed_statistics,
                    head: self.learning.head,
                    learning_rate: tuned.learning_rate,
                    weight_decay: tuned.weight_decay,
                })
            }
            _ => None,
        }
    }

    /// For a user's problem the SHA-256, in hexadecimal, of the problem file and then of the table, forest or network it
    /// names: what must be equal for two runs to be of the same problem.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Where the problem's points come from; its columns are the oracle's inputs.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// What labels points of the unit box.
    pub fn oracle(&self) -> &Arc<dyn Oracle> {
        &self.oracle
    }

    /// The inputs as the user knows them: one per dimension of the space, not per column.
    pub fn inputs(&self) -> &[Column] {
        &self.inputs
    }

    /// The outputs, in the order of an answer.
    pub fn outputs(&self) -> &[Column] {
        &self.outputs
    }

    /// The only points that can be labelled, shape (n, n_columns) on the unit box, where there is such a list (a table);
    /// otherwise any point of the space can.
    pub fn candidates(&self) -> Option<&Array2<f64>> {
        self.candidates.as_ref()
    }
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
