//! Where ids become problems, strategies and engines: the built-in catalogues, or a caller's own.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dal_core::{Clock, Engine, EngineCard, EngineChoice, SettingError, Settings, Strategy, open_engine};
use dal_oracles::Problem;

/// A strategy with what identifies it.
#[derive(Clone, Debug)]
pub struct FoundStrategy {
    /// The strategy.
    pub strategy: Arc<dyn Strategy>,
    /// Its id with the settings that are not default, as in `qbc-diversity?scaling=raw`.
    pub variant: String,
    /// The settings that are not default.
    pub settings: Settings,
}

/// Turns ids into what they name.
pub trait Catalogue {
    /// A problem by id; paths are relative to `base`.
    ///
    /// # Errors
    /// An id, setting or file that cannot be used; the error's key is `id` or that of the setting.
    fn problem(&self, id: &str, settings: &Settings, base: &Path) -> Result<Problem, SettingError>;
    /// A strategy by id.
    ///
    /// # Errors
    /// An id or setting that cannot be used; the error's key is `id` or that of the setting.
    fn strategy(&self, id: &str, settings: &Settings) -> Result<FoundStrategy, SettingError>;
    /// The engines that there are.
    fn engines(&self) -> &[EngineCard];
    /// The clock that engines measure training with.
    fn clock(&self) -> &Clock;
    /// The engine that is chosen for models of a kind.
    ///
    /// # Errors
    /// An id or kind that no engine has, a device, precision or platform that the engine or the machine does not have;
    /// the error's key is `engine`, `model.kind`, `device`, `precision` or `platform`.
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
    fn problem(&self, id: &str, settings: &Settings, base: &Path) -> Result<Problem, SettingError> {
        if id.ends_with(".toml") {
            if let Some(key) = settings.keys().next() {
                let reason = format!("a problem file has no settings, but `{key}` is set");
                return Err(SettingError::new(key, reason).with_hint("remove it"));
            }
            return dal_oracles::user::load(base.join(id)).map_err(|e| SettingError::new("id", e.to_string()));
        }
        dal_oracles::find(id, settings)
    }

    fn strategy(&self, id: &str, settings: &Settings) -> Result<FoundStrategy, SettingError> {
        let found = dal_acq::find(id, settings)?;
        let variant = found.settings.variant(id);
        Ok(FoundStrategy { strategy: Arc::from(found.strategy), variant, settings: found.settings })
    }

    fn engines(&self) -> &[EngineCard] {
        self.engines
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
