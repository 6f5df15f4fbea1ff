//! The model that a sweep gives a problem: a preset or a description of its own, and what is said over it.

use dal_core::model::{DecayReading, OnCollapse};
use dal_core::settings::closest;
use dal_core::{MlpOverlay, ModelSpec, SettingError};
use dal_oracles::Problem;

use super::Resolver;
use crate::error::SweepError;
use crate::sweep::{ProblemFile, Table};

/// The preset's name in specifications of runs whose model the sweep file describes.
const OF_THE_SWEEP: &str = "sweep";

/// Keys of `network`.
const NETWORK: &[&str] = &["hidden", "batch_norm", "batch_norm_statistics"];
/// Keys of `training`.
const TRAINING: &[&str] = &["epochs", "members", "learning_rate", "weight_decay", "decay_reading", "on_collapse"];

impl Resolver<'_> {
    /// The model of a problem, and the name of the preset that it comes from.
    pub(super) fn model(
        &self,
        problem: &Problem,
        entry: &ProblemFile,
        key: &str,
        at: usize,
    ) -> Result<(ModelSpec, String), SweepError> {
        let (base, preset) = match (&entry.model, &entry.preset) {
            (Some(_), Some(preset)) => {
                let hint = Some("leave one of them out".to_owned());
                let reason = "`model` describes the whole model, so that there is nothing to take from a preset";
                return Err(self.sweep.invalid(preset.span().start, format!("{key}.preset"), reason, hint));
            }
            (Some(given), None) => {
                let mut model = given.get_ref().clone().try_into::<ModelSpec>().map_err(|error| {
                    self.sweep.invalid(given.span().start, format!("{key}.model"), one_line(&error), None)
                })?;
                // A user's problem trains collapsed members anew unless it is told otherwise, also where a sweep
                // describes its network.
                let says = given.get_ref().get("training").and_then(|training| training.get("on_collapse"));
                if let (ModelSpec::MlpEnsemble(mlp), None, None) = (&mut model, says, problem.card())
                    && mlp.training.decay_reading != DecayReading::CoupledLoss
                {
                    mlp.training.on_collapse = OnCollapse::Restart;
                }
                (model, OF_THE_SWEEP.to_owned())
            }
            (None, named) => {
                let name = named.as_ref().map_or(problem.default_preset(), |preset| preset.get_ref().as_str());
                let Some(model) = problem.preset(name) else {
                    let at = named.as_ref().map_or(at, |preset| preset.span().start);
                    let reason = format!("there is no preset `{name}` for `{}`", problem.id());
                    let hint = Some(format!("there is: {}", problem.presets().join(", ")));
                    return Err(self.sweep.invalid(at, format!("{key}.preset"), reason, hint));
                };
                (ModelSpec::from(model.clone()), name.to_owned())
            }
        };
        let network = self.overlay(&entry.network, &format!("{key}.network"), NETWORK)?;
        let training = self.overlay(&entry.training, &format!("{key}.training"), TRAINING)?;
        let shared = self.overlay(&self.sweep.file.training, "training", TRAINING)?;
        let ModelSpec::MlpEnsemble(mlp) = base else {
            let first = |table: &Table| table.values().map(|value| value.span().start).next();
            if let Some((table, at)) = [("network", first(&entry.network)), ("training", first(&entry.training))]
                .into_iter()
                .find_map(|(table, at)| Some((table, at?)))
            {
                let reason =
                    format!("a model of kind `{}` has no such table; its settings stand in `model`", base.kind());
                return Err(self.sweep.invalid(at, format!("{key}.{table}"), reason, None));
            }
            return Ok((base, preset));
        };
        let mlp = network.or(&training).or(&shared).over(&mlp);
        // Beside `batch_norm = false`, as `dal tune` prints both, they say nothing and mean nothing.
        let is_silent = mlp.batch_norm.is_none() && !entry.network.contains_key("batch_norm");
        if let Some(value) = entry.network.get("batch_norm_statistics").filter(|_| is_silent) {
            let reason = format!("the network of preset `{preset}` has no BatchNorm, whose statistics these would be");
            let hint = Some("`batch_norm = true` beside it gives it one".to_owned());
            let key = format!("{key}.network.batch_norm_statistics");
            return Err(self.sweep.invalid(value.span().start, key, reason, hint));
        }
        let checked = mlp.network(problem.shape()).map(|_| ()).and_then(|()| mlp.training.validate());
        checked.map_err(|error| self.blamed(error.field(), error.to_string(), entry, key, at))?;
        Ok((mlp.into(), preset))
    }

    /// What an engine has against a model.
    pub(super) fn refused(&self, error: &SettingError, entry: &ProblemFile, key: &str, at: usize) -> SweepError {
        self.blamed(Some(&error.key), error.reason.clone(), entry, key, at)
    }

    /// An error about a field of a model's description, at the place where the file says it, if it does.
    fn blamed(&self, field: Option<&str>, reason: String, entry: &ProblemFile, key: &str, at: usize) -> SweepError {
        let name = match field {
            Some("n_members") => "members",
            field => field.unwrap_or_default(),
        };
        let tables = [
            (&entry.network, format!("{key}.network")),
            (&entry.training, format!("{key}.training")),
            (&self.sweep.file.training, "training".to_owned()),
        ];
        for (table, of) in tables {
            if let Some(value) = table.get(name) {
                return self.sweep.invalid(value.span().start, format!("{of}.{name}"), reason, None);
            }
        }
        let at = entry.model.as_ref().map_or(at, |model| model.span().start);
        let key = if name.is_empty() { format!("{key}.model") } else { format!("{key}.model.{name}") };
        self.sweep.invalid(at, key, reason, None)
    }

    /// What a table says, key by key, so that an error knows its place.
    fn overlay(&self, table: &Table, of: &str, known: &[&'static str]) -> Result<MlpOverlay, SweepError> {
        let mut overlay = MlpOverlay::default();
        for (name, value) in table {
            let invalid = |reason: String, hint| {
                Err(self.sweep.invalid(value.span().start, format!("{of}.{name}"), reason, hint))
            };
            if !known.contains(&name.as_str()) {
                let listed = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                let hint = closest(name, known.iter().copied()).map(|word| format!("did you mean `{word}`?"));
                return invalid(format!("unknown field `{name}`, expected one of {listed}"), hint);
            }
            let one = toml::Table::from_iter([(name.clone(), value.get_ref().clone())]);
            match toml::Value::Table(one).try_into::<MlpOverlay>() {
                Ok(said) => overlay = overlay.or(&said),
                Err(error) => return invalid(one_line(&error), None),
            }
        }
        Ok(overlay)
    }
}

/// What is wrong with a value, without the lines that show its place.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim().replace('\n', " ")
}
