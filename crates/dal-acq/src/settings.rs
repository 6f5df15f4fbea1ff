//! Settings of a rule as values.

use dal_core::Settings;
use serde::Serialize;
use serde_json::Value;

/// All settings of a rule, by key; `null` where one is left out.
pub(crate) fn all_settings<T: Serialize>(rule: &T) -> Settings {
    match serde_json::to_value(rule) {
        Ok(Value::Object(map)) => map.into_iter().collect(),
        _ => Settings::default(),
    }
}

/// Settings that differ from their defaults and are not left out.
pub(crate) fn changed_settings<T: Serialize + Default>(rule: &T) -> Settings {
    let (all, defaults) = (all_settings(rule), all_settings(&T::default()));
    let changed = all.iter().filter(|(key, value)| defaults.get(key) != Some(value) && !value.is_null());
    changed.map(|(key, value)| (key, value.clone())).collect()
}
