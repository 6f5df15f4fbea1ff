//! What commands are given: settings on the command line, and what was assumed of the files that were read.

use std::fmt::Display;

use anyhow::{Result, bail};
use dal_campaign::settings::MOST;
use dal_core::{SettingCard, SettingError, Settings};

use crate::output::say;

/// Refuses a number of points that no memory holds, before anything is drawn.
pub fn check_points(flag: &str, n: Option<usize>) -> Result<()> {
    match n {
        Some(n) if n > MOST => bail!("{flag} {n}: at most {MOST} points"),
        _ => Ok(()),
    }
}

/// Says what was assumed.
pub fn say_notes(notes: impl IntoIterator<Item = impl Display>) {
    for note in notes {
        say!("note: {note}");
    }
}

/// Parses repeated `--set key=value`, each value as its card takes it; an unknown key stays, for the owner of the
/// settings to refuse.
pub fn settings(pairs: &[String], cards: &[SettingCard]) -> Result<Settings> {
    let mut settings = Settings::default();
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=') else {
            bail!("--set {pair}: write key=value");
        };
        let (key, text) = (key.trim(), text.trim());
        if settings.get(key).is_some() {
            bail!("--set {key}: given twice");
        }
        let card = cards.iter().find(|card| card.key == key);
        settings.insert(key, card.map_or_else(|| text.into(), |card| card.value_of(text)));
    }
    Ok(settings)
}

/// An error about what a flag or argument says: that of the setting it names is `--set`, of the id the id itself.
pub fn refused(error: SettingError) -> anyhow::Error {
    if error.key == "id" { error.into() } else { anyhow::anyhow!("--set {}: {error}", error.key) }
}
