//! Settings of a rule as JSON values and as text.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// All settings of a rule as JSON values, by key.
pub(crate) fn all_settings<T: Serialize>(rule: &T) -> Map<String, Value> {
    match serde_json::to_value(rule) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Settings that differ from their defaults, as text.
pub(crate) fn changed_settings<T: Serialize + Default>(rule: &T) -> BTreeMap<String, String> {
    let defaults = all_settings(&T::default());
    let changed = all_settings(rule).into_iter().filter(|(key, value)| defaults.get(key) != Some(value));
    changed.filter_map(|(key, value)| Some((key, text(&value)?))).collect()
}

/// A setting's value as text; `None` where it is left out.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(word) => Some(word.clone()),
        other => Some(other.to_string()),
    }
}
