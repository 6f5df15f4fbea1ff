//! The engines of this program, and the catalogue that sweeps find them in.

use std::sync::Arc;

use dal_bench::BuiltIn;
use dal_core::{Clock, Engine, EngineCard, EngineChoice, SettingError, open_engine};

/// Every engine; those for kinds of models that are no networks join here.
static ENGINES: &[EngineCard] = dal_nn::ENGINES;

/// The built-in problems and strategies, and these engines.
pub fn catalogue() -> BuiltIn {
    BuiltIn { engines: ENGINES, clock: dal_bench::clock() }
}

/// The engine for models of a kind.
pub fn open(choice: &EngineChoice<'_>, kind: &str, clock: &Clock) -> Result<Arc<dyn Engine>, SettingError> {
    open_engine(ENGINES, choice, kind, clock)
}
