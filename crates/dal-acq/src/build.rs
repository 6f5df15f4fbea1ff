//! Makes a strategy from settings.

use dal_core::settings::readings;
use dal_core::{SettingError, Settings, Strategy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::card::{Card, Found};
use crate::settings::{all_settings, changed_settings};

/// A check that always passes, of a rule whose settings are right as soon as they can be read.
pub(crate) fn no_check<T>(_: &T) -> Result<(), (&'static str, String)> {
    Ok(())
}

/// A strategy whose fields are the settings: each value in the first of its readings that fits its field, `null` as if
/// it were not set; then `check`, which names a key and what is wanted there.
pub(crate) fn build<T>(
    card: &'static Card,
    given: &Settings,
    check: fn(&T) -> Result<(), (&'static str, String)>,
) -> Result<Found, SettingError>
where
    T: Strategy + Default + Serialize + DeserializeOwned + 'static,
{
    let owner = format!("`{}`", card.id);
    given.check_keys(&owner, card.settings)?;
    let refusal = |key: &str, value: &Value, reason: Option<String>| {
        let setting = card.settings.iter().find(|setting| setting.key == key);
        setting.map_or_else(|| SettingError::new(key, owner.clone()), |setting| setting.refusal(&owner, value, reason))
    };
    let mut object = Map::new();
    for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let fits = |reading: &Value| {
            let alone = Map::from_iter([(key.to_owned(), reading.clone())]);
            serde_json::from_value::<T>(Value::Object(alone)).is_ok()
        };
        let Some(reading) = readings(value).into_iter().find(fits) else { return Err(refusal(key, value, None)) };
        object.insert(key.to_owned(), reading);
    }
    let built: T = serde_json::from_value(Value::Object(object))
        .map_err(|error| SettingError::new("id", format!("{owner}: {error}")))?;
    check(&built).map_err(|(key, reason)| refusal(key, given.get(key).unwrap_or(&Value::Null), Some(reason)))?;
    let (settings, all_settings) = (changed_settings(&built), all_settings(&built));
    Ok(Found { card, settings, all_settings, strategy: Box::new(built) })
}
