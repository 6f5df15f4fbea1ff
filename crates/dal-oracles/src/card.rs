//! What a problem says about itself: inputs, outputs, source, the model it is learned with, how hard it is.

use dal_core::MlpEnsemble;
pub use dal_core::{Choice, SettingCard, SettingValues};
use serde::Serialize;

/// Everything about a problem that a person or a command line wants to know; fed to `dal problems`, the documentation
/// and the defaults of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    /// The name that a run is asked for by.
    pub id: &'static str,
    /// One line, for a person.
    pub title: &'static str,
    /// The oracle as a formula, inputs x_0.. on the unit box.
    pub formula: &'static str,
    /// The inputs, in the order of the columns.
    pub inputs: &'static [InputCard],
    /// The outputs with the default settings.
    pub outputs: OutputCard,
    /// Where the problem comes from.
    pub source: &'static str,
    /// Licence of the data in the oracle, or of the formula's code.
    pub licence: &'static str,
    /// What can be chosen, each with its default first.
    pub settings: &'static [SettingCard],
    /// The published model: the preset `published`.
    pub published: PublishedCard,
    /// What a search found on labels of its own, where one was made: the preset `tuned`.
    pub tuned: Option<TunedCard>,
    /// How hard it is, with the default settings and each other choice that changes it.
    pub difficulty: &'static [Difficulty],
}

/// One input: a column of the unit box and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InputCard {
    /// Its name.
    pub name: &'static str,
    /// Its unit; `1` for none.
    pub unit: &'static str,
    /// Physical value at −1.
    pub low: f64,
    /// Physical value at +1.
    pub high: f64,
    /// Whether only whole numbers occur.
    pub integer: bool,
}

/// The outputs, which are of one kind in every problem.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OutputCard {
    /// How many.
    pub n: usize,
    /// What they are.
    pub name: &'static str,
    /// Their unit; `1` for none.
    pub unit: &'static str,
    /// What tells them apart, if there are several.
    pub along: &'static str,
}

/// The published model, and how it is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PublishedCard {
    /// Networks, their members and their training.
    pub model: MlpEnsemble,
    /// How the networks' shape is known.
    pub known: Knowledge,
    /// What to know about these figures, if anything.
    pub note: &'static str,
}

/// How a published figure came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Knowledge {
    /// It can be read in the paper or its authors' code.
    Published,
    /// It is recollected from a table that is lost: treat it as likely, not as certain.
    Recollected,
}

/// A model that `dal tune` chose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TunedCard {
    /// Networks, their members and their training.
    pub model: MlpEnsemble,
    /// Whether it is better than the published one on the test set and therefore the default.
    pub is_default: bool,
    /// Test errors of both.
    pub gains: &'static [Gain],
    /// What was searched, and what was not.
    pub note: &'static str,
}

impl TunedCard {
    /// The model, and how much lower or higher its test error is than the published one's, in words.
    pub fn sentence(&self) -> String {
        let mut text = self.model.to_string();
        let gains: Vec<String> = self
            .gains
            .iter()
            .map(|gain| format!("{:.2e} at {} labels (published {:.2e})", gain.tuned, gain.labels, gain.published))
            .collect();
        if !gains.is_empty() {
            text += &format!("; test MSE {}", gains.join(", "));
        }
        if !self.note.is_empty() {
            text += &format!("; {}", self.note);
        }
        text
    }
}

/// Test MSE of both presets, geometric means over seeds of ensembles trained on random points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// Labels trained on.
    pub labels: usize,
    /// Of the published network.
    pub published: f64,
    /// Of the tuned one.
    pub tuned: f64,
}

/// How hard a problem is for a predictor that learns nothing about the inputs; measured, and held by a test.
///
/// Both figures are over the problem's 4 000-point test set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difficulty {
    /// The settings they hold for, as `key=value`, empty for the defaults.
    pub settings: &'static str,
    /// Variance over the points, averaged over the outputs: the error of predicting each output's true mean.
    pub output_variance: f64,
    /// Mean squared error of predicting the mean of the 80 initial labels, averaged over seeds 0..9.
    pub mean_predictor_mse: f64,
}
