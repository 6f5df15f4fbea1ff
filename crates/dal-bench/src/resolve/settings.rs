//! Settings that a sweep file gives a problem or a strategy: as values, and at which line an error about them stands.

use dal_core::{SettingError, Settings};
use serde_json::{Number, Value};
use toml::Spanned;

use super::Resolver;
use crate::error::SweepError;
use crate::sweep::{ProblemFile, Table};

impl Resolver<'_> {
    /// What is written as values; `key` is that of the entry, as in `problem[0]`.
    pub(super) fn settings(&self, written: &Table, key: &str) -> Result<Settings, SweepError> {
        let value = |(name, value): (&String, &Spanned<toml::Value>)| match json(value.get_ref()) {
            Some(json) => Ok((name.clone(), json)),
            None => {
                let reason = format!("`{}` is no setting", value.get_ref());
                let hint = "give a text, a finite number, true or false".to_owned();
                let key = format!("{key}.settings.{name}");
                Err(self.sweep.invalid(value.span().start, key, reason, Some(hint)))
            }
        };
        written.iter().map(value).collect()
    }

    /// An error about an entry's id or one of its settings, at the line of what its key names.
    pub(super) fn setting_refused(
        &self,
        id: &Spanned<String>,
        written: &Table,
        key: &str,
        error: SettingError,
    ) -> SweepError {
        let (at, key) = match written.get(&error.key) {
            Some(value) => (value.span().start, format!("{key}.settings.{}", error.key)),
            None => (id.span().start, format!("{key}.id")),
        };
        self.sweep.invalid(at, key, error.reason, error.hint)
    }

    /// An error about the choice of an engine for a problem: at the key it names, or the flag that stands in its place.
    /// What is not given is the engine's own choice, so the engine is to blame.
    pub(super) fn engine_refused(&self, error: SettingError, entry: &ProblemFile, key: &str) -> SweepError {
        let file = &self.sweep.file;
        if error.key == "model.kind" {
            let at = entry.model.as_ref().map_or(entry.id.span().start, |model| model.span().start);
            return self.sweep.invalid(at, format!("{key}.{}", error.key), error.reason, error.hint);
        }
        let places = [("device", &file.device), ("precision", &file.precision), ("platform", &file.platform)];
        let named = places.into_iter().find(|(key, value)| *key == error.key && value.is_some());
        let (key, value) = named.unwrap_or(("engine", &file.engine));
        match value {
            Some(value) if value.span().is_empty() => {
                SweepError::Instead { option: key, reason: error.reason, hint: error.hint }
            }
            value => {
                let at = value.as_ref().map_or(0, |value| value.span().start);
                self.sweep.invalid(at, key, error.reason, error.hint)
            }
        }
    }
}

/// A value as JSON holds it, which knows no times of day (kept as text) and no numbers that are not finite: `None`.
fn json(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::Number(Number::from_f64(*number)?),
        toml::Value::Boolean(flag) => Value::from(*flag),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.iter().map(json).collect::<Option<_>>()?),
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| Some((key.clone(), json(value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
    })
}
