//! Where ids become problems, strategies and engines: the built-in catalogues, or a caller's own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dal_core::{Clock, Engine, EngineCard, EngineChoice, SettingError, Strategy, open_engine};
use dal_oracles::Problem;

use crate::error::suggestion;

/// Why an id or one of its settings cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A strategy with what identifies it.
#[derive(Clone, Debug)]
pub struct FoundStrategy {
    /// The strategy.
    pub strategy: Arc<dyn Strategy>,
    /// Its id with the settings that are not default, as in `qbc-diversity?scaling=raw`.
    pub variant: String,
    /// The settings that are not default.
    pub settings: BTreeMap<String, String>,
}

/// Turns ids into what they name.
pub trait Catalogue {
    /// A problem by id; paths are relative to `base`.
    ///
    /// # Errors
    /// An id, setting or file that cannot be used.
    fn problem(&self, id: &str, settings: &BTreeMap<String, String>, base: &Path) -> Result<Problem, Lookup>;
    /// A strategy by id.
    ///
    /// # Errors
    /// An id or setting that cannot be used.
    fn strategy(&self, id: &str, settings: &BTreeMap<String, String>) -> Result<FoundStrategy, Lookup>;
    /// The engines that there are.
    fn engines(&self) -> &[EngineCard];
    /// The clock that engines measure training with.
    fn clock(&self) -> &Clock;
    /// The engine that is chosen for models of a kind.
    ///
    /// # Errors
    /// An id or kind that no engine has, a device or precision that the engine or the machine does not have.
    fn engine(&self, choice: &EngineChoice<'_>, kind: &str) -> Result<Arc<dyn Engine>, SettingError> {
        open_engine(self.engines(), choice, kind, self.clock())
    }
}

/// The built-in problems and strategies, and the engines that the caller hands down.
#[derive(Clone)]
pub struct BuiltIn {
    /// The engines, as `dal_nn::ENGINES` lists those for networks; a list of the caller's own may hold more.
    pub engines: &'static [EngineCard],
    /// The clock that they measure with, such as [`clock`](crate::clock).
    pub clock: Clock,
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltIn").field("engines", &self.engines).finish_non_exhaustive()
    }
}

impl Catalogue for BuiltIn {
    fn problem(&self, id: &str, settings: &BTreeMap<String, String>, base: &Path) -> Result<Problem, Lookup> {
        if id.ends_with(".toml") {
            if let Some(key) = settings.keys().next() {
                let reason = format!("a problem file has no settings, but `{key}` is set");
                return Err(Lookup { reason, hint: Some("remove it".into()) });
            }
            return dal_oracles::user::load(base.join(id)).map_err(|e| Lookup { reason: e.to_string(), hint: None });
        }
        dal_oracles::find(id, settings).map_err(|error| {
            let known: Vec<&str> = dal_oracles::catalogue().map(|card| card.id).collect();
            let hint = (!known.contains(&id)).then(|| suggestion(id, known)).flatten();
            Lookup { reason: error.to_string(), hint: hint.map(|word| format!("did you mean `{word}`?")) }
        })
    }

    fn strategy(&self, id: &str, settings: &BTreeMap<String, String>) -> Result<FoundStrategy, Lookup> {
        let found = dal_acq::find(id, settings).map_err(|error| {
            let known: Vec<&str> = dal_acq::catalogue().map(|card| card.id).collect();
            let hint = (!known.contains(&id)).then(|| suggestion(id, known)).flatten();
            Lookup { reason: error.to_string(), hint: hint.map(|word| format!("did you mean `{word}`?")) }
        })?;
        let settings = found.settings;
        Ok(FoundStrategy { strategy: Arc::from(found.strategy), variant: variant(id, &settings), settings })
    }

    fn engines(&self) -> &[EngineCard] {
        self.engines
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// The id with these settings, by key.
pub(crate) fn variant(id: &str, settings: &BTreeMap<String, String>) -> String {
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if settings.is_empty() { id.to_owned() } else { format!("{id}?{}", settings.join("&")) }
}
