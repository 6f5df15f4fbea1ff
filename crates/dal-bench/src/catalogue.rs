//! Where ids become problems, strategies and engines: the built-in catalogues, or a caller's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dal_core::Strategy;
use dal_oracles::Problem;

use crate::engine::{CpuEngine, Engine, EngineChoice};
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
    /// An engine by id, on a device and in a precision.
    ///
    /// # Errors
    /// An id that this build does not have, a device or precision that the engine or the machine does not have.
    fn engine(&self, choice: &EngineChoice<'_>) -> Result<Arc<dyn Engine>, Lookup>;
}

/// The built-in problems, strategies and engines.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIn;

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

    fn engine(&self, choice: &EngineChoice<'_>) -> Result<Arc<dyn Engine>, Lookup> {
        let other = |what, value| {
            let reason = format!("the engine `cpu` has no {what} `{value}`");
            Err(Lookup {
                reason,
                hint: Some("`tch` is the engine for other devices and precisions (docs/gpu.md)".into()),
            })
        };
        match (choice.id, choice.device, choice.precision) {
            ("cpu", None | Some("cpu"), None | Some("f32")) => Ok(Arc::new(CpuEngine)),
            ("cpu", None | Some("cpu"), Some(precision)) => other("precision", precision),
            ("cpu", Some(device), _) => other("device", device),
            ("tch", device, precision) => tch_engine(device.unwrap_or("cpu"), precision.unwrap_or("f32")),
            (other, ..) => Err(Lookup {
                reason: format!("there is no engine `{other}`; there are: cpu, tch"),
                hint: suggestion(other, ["cpu", "tch"]).map(|word| format!("did you mean `{word}`?")),
            }),
        }
    }
}

#[cfg(feature = "tch")]
fn tch_engine(device: &str, precision: &str) -> Result<Arc<dyn Engine>, Lookup> {
    let engine = crate::tch::TchEngine::on(device, precision);
    engine.map(|engine| Arc::new(engine) as Arc<dyn Engine>).map_err(|reason| Lookup { reason, hint: None })
}

#[cfg(not(feature = "tch"))]
fn tch_engine(_: &str, _: &str) -> Result<Arc<dyn Engine>, Lookup> {
    Err(Lookup {
        reason: "the engine `tch` is not part of this build".into(),
        hint: Some(
            "build it in with `cargo xtask libtorch` and `cargo build --release -p dal-cli --features tch` (docs/gpu.md)".into(),
        ),
    })
}

/// The id with these settings, by key.
pub(crate) fn variant(id: &str, settings: &BTreeMap<String, String>) -> String {
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if settings.is_empty() { id.to_owned() } else { format!("{id}?{}", settings.join("&")) }
}
