//! Who trains: an engine makes learners of a model description, and a list of engines is handed down by the binary.

use std::fmt;
use std::sync::Arc;

use crate::model::{ModelSpec, Shape};
use crate::{Learner, SettingError};

/// A clock: seconds since some fixed moment. Libraries read none by themselves.
pub type Clock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// An engine with where and how it trains, as sweep files and command lines name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineChoice<'a> {
    /// `cpu`, `tch`, ...
    pub id: &'a str,
    /// `cpu` or `cuda:N`; `None`: the engine's default.
    pub device: Option<&'a str>,
    /// Of the matrix products in training: `f32`, `tf32` or `bf16`; `None`: f32.
    pub precision: Option<&'a str>,
}

/// Makes learners of the model kinds that it knows.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Id, as sweep files name it.
    fn id(&self) -> &str;
    /// Where it trains, as sweep files name it; kept with a run's provenance.
    fn device(&self) -> String {
        "cpu".into()
    }
    /// A learner of such models for problems of this shape, for the thread that asks.
    ///
    /// # Errors
    /// A description that the engine cannot train; `key` names the part of it.
    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError>;
    /// How many trials of a problem with such models are driven by one call of `run_trials`, at most; engines that train in
    /// lock step want many. Everything that a step trains is in memory at once.
    fn trials_together(&self, _model: &ModelSpec, _shape: Shape) -> usize {
        1
    }
    /// Worker threads where the user does not say, on a machine of so many processors.
    fn default_jobs(&self, n_cpus: usize) -> usize {
        n_cpus
    }
    /// Whether the engine can go on, asked after a trial failed: a device that was lost fails every later training, so the
    /// sweep ends there instead of recording failures to its end.
    ///
    /// # Errors
    /// Why it cannot; the reason for a person.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Opens an engine on a device and in a precision, with a clock to measure training with.
pub type OpenEngine = fn(&EngineChoice<'_>, &Clock) -> Result<Arc<dyn Engine>, SettingError>;

/// One line of the list of engines: which model kinds are trained under which engine id.
#[derive(Clone, Copy)]
pub struct EngineCard {
    /// The id that sweep files name.
    pub id: &'static str,
    /// The model kinds it trains, as [`ModelSpec::kind`] names them.
    pub kinds: &'static [&'static str],
    /// One line, for a person.
    pub title: &'static str,
    /// Opens it.
    pub open: OpenEngine,
}

impl fmt::Debug for EngineCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineCard").field("id", &self.id).field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Opens the engine that is chosen for models of a kind. Several cards may share an id: each trains its own kinds.
///
/// # Errors
/// An id or kind that no card has (key `engine`, `model.kind`), or a device or precision that the engine refuses (`device`,
/// `precision`).
pub fn open_engine(
    cards: &[EngineCard],
    choice: &EngineChoice<'_>,
    kind: &str,
    clock: &Clock,
) -> Result<Arc<dyn Engine>, SettingError> {
    let of_id: Vec<&EngineCard> = cards.iter().filter(|card| card.id == choice.id).collect();
    if of_id.is_empty() {
        let mut known: Vec<&str> = cards.iter().map(|card| card.id).collect();
        known.dedup();
        let reason = format!("there is no engine `{}`; there are: {}", choice.id, known.join(", "));
        let hint = crate::settings::closest(choice.id, known).map(|word| format!("did you mean `{word}`?"));
        return Err(SettingError { hint, ..SettingError::new("engine", reason) });
    }
    match of_id.iter().find(|card| card.kinds.contains(&kind)) {
        Some(card) => (card.open)(choice, clock),
        None => {
            let known: Vec<&str> = of_id.iter().flat_map(|card| card.kinds.iter().copied()).collect();
            let reason = format!(
                "the engine `{}` trains no models of kind `{kind}`; it trains: {}",
                choice.id,
                known.join(", ")
            );
            Err(SettingError::new("model.kind", reason))
        }
    }
}
