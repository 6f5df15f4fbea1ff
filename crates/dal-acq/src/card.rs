//! What a strategy says of itself, and a strategy that was found by it.

use std::collections::BTreeMap;

use dal_core::settings::text;
pub use dal_core::{Choice, SettingCard, SettingValues};
use dal_core::{Needs, SettingError, Settings, Strategy};
use serde::Serialize;

/// What a strategy says of itself; feeds the command line, the documentation and the contract tests.
#[derive(Serialize)]
pub struct Card {
    /// The name that a run is asked for by.
    pub id: &'static str,
    /// One line, for a person.
    pub title: &'static str,
    /// The rule in short. L is the labelled set, L0 its initial part, N the pool size, n the batch.
    pub formula: &'static str,
    /// What a batch costs beyond the model's answers.
    pub cost: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    /// What the score of a single pick is.
    pub pick_score: PickScore,
    /// What it looks at of the labelled set, beside the model that was trained on it.
    pub labels: Labels,
    /// What provably leaves the picks alone, or holds of them; each is tested over random cases.
    pub invariances: &'static [Invariance],
    /// What can be set.
    pub settings: &'static [SettingCard],
    #[serde(skip)]
    pub(crate) build: Build,
}

/// Makes a card's strategy from settings.
pub(crate) type Build = fn(&'static Card, &Settings) -> Result<Found, SettingError>;

/// A strategy of the catalogue with the name and the settings that it was found under.
#[derive(Debug)]
pub struct Found {
    /// What the strategy says of itself, its id included.
    pub card: &'static Card,
    /// The strategy.
    pub strategy: Box<dyn Strategy>,
    /// Settings that differ from their defaults, as [`find`](crate::find) takes them.
    pub settings: Settings,
    /// Every setting, by key; `null` where it is left out.
    pub(crate) all_settings: Settings,
}

impl Found {
    /// What it looks at of the labelled set, as it is set: [`Card::labels`], but nothing where a family's features are
    /// the members' predictions.
    pub fn labels(&self) -> Labels {
        let on_members = self.settings.get("features").and_then(|value| value.as_str()) == Some("members");
        if on_members { Labels::None } else { self.card.labels }
    }
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Card").field("id", &self.id).field("title", &self.title).finish_non_exhaustive()
    }
}

impl Card {
    /// The strategy with default settings.
    pub fn default_strategy(&'static self) -> Box<dyn Strategy> {
        self.by_default().strategy
    }

    pub(crate) fn by_default(&'static self) -> Found {
        (self.build)(self, &Settings::default()).expect("a test builds every default")
    }

    /// Whether its picks are drawn with known probabilities, so that an error over the domain can be estimated from
    /// them (those of `random` are even, and not told one by one).
    pub fn draws(&self) -> bool {
        self.id == "random" || self.id.starts_with("power-")
    }

    /// What it needs of a model, with default settings.
    pub fn needs(&'static self) -> Needs {
        self.default_strategy().needs()
    }

    /// The needs in words, none for a rule of coordinates only.
    pub fn needs_in_words(&'static self) -> Vec<&'static str> {
        self.needs().in_words()
    }

    /// Every setting with its default as text, `none` where the default is to leave it out.
    pub fn defaults(&'static self) -> BTreeMap<&'static str, String> {
        let all = self.by_default().all_settings;
        let text = |key: &str| all.get(key).map_or_else(|| "none".into(), |value| text(value).unwrap_or("none".into()));
        self.settings.iter().map(|setting| (setting.key, text(setting.key))).collect()
    }

    /// The card with what follows from it, `needs` and `defaults`, as it is printed.
    ///
    /// # Errors
    /// A value that JSON cannot hold; no card has one.
    pub fn in_full(&'static self) -> serde_json::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)?;
        value["needs"] = serde_json::to_value(self.needs())?;
        value["defaults"] = serde_json::to_value(self.defaults())?;
        Ok(value)
    }
}

/// What the score of a single pick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickScore {
    /// There is none.
    None,
    /// The distance, or the product of distances, to the nearest labelled or picked point at the moment of the pick.
    Distance,
    /// The variance of the predictions.
    Variance,
    /// What the rule's formula adds up to.
    Combined,
}

/// What a rule looks at of the labelled set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Nothing.
    None,
    /// The labelled points.
    Inputs,
    /// The labelled points' answers; of some rules the points, too.
    Outputs,
}

/// A promise of a strategy about its picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariance {
    /// The same points are picked whatever the order of the pool, where no two scores tie.
    PoolOrder,
    /// Mirroring input coordinates changes nothing, exactly.
    AxisFlips,
    /// Rotating the inputs changes nothing, where the winner's lead exceeds rounding.
    Rotations,
    /// Adding a constant to every member changes nothing, where the winner's lead exceeds rounding.
    MemberShift,
    /// Multiplying every member by a power of two changes nothing, exactly.
    MemberScale,
    /// Multiplying answers and predictions by a power of two changes nothing, exactly.
    OutputScale,
    /// The labelled set and the picks cover the pool's inputs within twice the radius of the best choice of as many
    /// picks.
    InputCovering,
    /// The same in the outputs.
    OutputCovering,
    /// No copy of a labelled point is picked while a point that is no copy is left.
    SkipsCopies,
}
