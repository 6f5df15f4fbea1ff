//! A built-in problem as its file defines it.

use std::sync::Arc;

use dal_core::{Oracle, SettingError, Settings, Space};

use crate::card::Card;

/// A problem as its file defines it.
#[derive(Debug)]
pub struct Definition {
    /// What it says about itself.
    pub card: Card,
    /// Makes its space and its oracle from settings that the card allows, defaults filled in.
    pub build: fn(&Settings) -> Result<Built, SettingError>,
}

/// What a problem is made of.
#[derive(Clone, Debug)]
pub struct Built {
    /// Where its points come from.
    pub space: Space,
    /// What labels them.
    pub oracle: Arc<dyn Oracle>,
}
