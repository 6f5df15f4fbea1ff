//! Makes a strategy from settings as text.

use std::collections::BTreeMap;

use dal_core::Strategy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::card::{Card, FindError, Found};
use crate::settings::{all_settings, changed_settings};

/// A check that always passes, of a rule whose settings are right as soon as they can be read.
pub(crate) fn no_check<T>(_: &T) -> Result<(), (&'static str, String)> {
    Ok(())
}

/// A settings struct from text: each value is tried as JSON (numbers) and as a bare word.
pub(crate) fn build<T>(
    card: &'static Card,
    given: &BTreeMap<String, String>,
    check: fn(&T) -> Result<(), (&'static str, String)>,
) -> Result<Found, FindError>
where
    T: Strategy + Default + Serialize + DeserializeOwned + 'static,
{
    let strategy = card.id;
    let wanted = |key: &str| {
        let setting = card.settings.iter().find(|setting| setting.key == key);
        setting.map_or_else(|| "it cannot be read".to_owned(), |setting| format!("{} is wanted", setting.values))
    };
    let bad = |key: &str, reason: String| {
        let value = given.get(key).cloned().unwrap_or_default();
        FindError::BadValue { strategy, key: key.to_owned(), value, reason }
    };
    let mut object = Map::new();
    for (key, raw) in given {
        let number = serde_json::from_str(raw).ok().filter(Value::is_number);
        let readings = [number, Some(Value::String(raw.clone()))];
        let fits = |reading: &Value| {
            let alone = Map::from_iter([(key.clone(), reading.clone())]);
            serde_json::from_value::<T>(Value::Object(alone)).is_ok()
        };
        let Some(reading) = readings.into_iter().flatten().find(fits) else { return Err(bad(key, wanted(key))) };
        object.insert(key.clone(), reading);
    }
    let built: T = serde_json::from_value(Value::Object(object)).map_err(|error| FindError::BadValue {
        strategy,
        key: String::new(),
        value: String::new(),
        reason: error.to_string(),
    })?;
    check(&built).map_err(|(key, reason)| bad(key, reason))?;
    let (settings, all_settings) = (changed_settings(&built), all_settings(&built));
    Ok(Found { card, settings, all_settings, strategy: Box::new(built) })
}
