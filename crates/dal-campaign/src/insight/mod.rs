//! What a report of a campaign shows, as plain data: errors now and over the labels, predictions that were made before
//! learning, points by state, and what the trained model says of the problem. Nothing is trained for it.

mod axes;
mod history;
mod surrogate;

use dal_core::Stop;
use serde::Serialize;

pub use self::axes::{Axis, AxisKind, Shown};
pub use self::history::{AskedPoint, Failing, Foretold, Interval, PlacedPoint, TrendEntry, unexplained};
pub use self::surrogate::{Dependence, Importance, ModelInsight, Profile, Ranged, SpreadMap, Unsure};
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::model::Model;
use crate::words::What;

/// Outputs up to which all are shown.
pub const MOST_SHOWN: usize = 6;
/// Words of the log that are looked back over for the moment at which the last round's model was trained.
const LOOKED_BACK: usize = 256;

/// What the log of a campaign shows by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// The inputs, in order.
    pub inputs: Vec<Axis>,
    /// The outputs that are shown.
    pub shown: Vec<Shown>,
    /// Outputs in all.
    pub n_outputs: usize,
    /// Every point that was not withdrawn, by number.
    pub points: Vec<PlacedPoint>,
    /// Of each input how failed points differ from answered ones; none where nothing can be said.
    pub failing: Vec<Option<Failing>>,
    /// Answered points that a model predicted before it learned them, in the order in which they were drawn; without
    /// those of audits, which are drawn without a model ([`Folder::audited_points`]).
    pub foretold: Vec<Foretold>,
    /// Errors round by round.
    pub trend: Vec<TrendEntry>,
    /// Every point of a round, in order, with the reasons for it.
    pub asked: Vec<AskedPoint>,
}

impl Folder {
    /// What the log shows by itself.
    pub fn history(&self) -> History {
        let inputs = axes::axes(self.subject());
        let shown = axes::shown(self.subject(), MOST_SHOWN);
        History {
            points: history::points(self, &inputs),
            failing: history::failing(self, &inputs),
            foretold: history::foretold(self, &shown),
            trend: history::trend(self, &shown),
            asked: history::asked(self),
            n_outputs: self.subject().outputs().len(),
            inputs,
            shown,
        }
    }

    /// The answered points of audits, which no model learns, as this model predicts them: they stand beside
    /// [`History::foretold`].
    ///
    /// # Errors
    /// A model that cannot predict.
    pub fn audited_points(&self, model: &Model) -> Result<Vec<Foretold>, CampaignError> {
        history::audited(self, model, &axes::shown(self.subject(), MOST_SHOWN))
    }

    /// Of each output whether all answers so far are equal, of which there must be two.
    pub fn constant_outputs(&self) -> Vec<bool> {
        let points = self.state().points();
        let answers: Vec<&Vec<f64>> = points.flat_map(|point| &point.answers).collect();
        let is_constant = |j: usize| answers.len() > 1 && answers.iter().all(|answer| answer[j] == answers[0][j]);
        (0..self.subject().outputs().len()).map(is_constant).collect()
    }

    /// What a model of this campaign says of its problem: dependences, importance of inputs, where members disagree.
    /// It depends on the model, the settings and the seed alone, but for points that failed since.
    ///
    /// # Errors
    /// A stop, a model that cannot predict.
    pub fn model_insight(&self, model: &Model, stop: &Stop) -> Result<ModelInsight, CampaignError> {
        let inputs = axes::axes(self.subject());
        let shown = axes::shown(self.subject(), MOST_SHOWN);
        let constant = self.constant_outputs();
        // What a model makes of equal answers is noise of its training, in which no input matters.
        let varies: Vec<bool> = shown.iter().map(|shown| !shown.is_constant(&constant)).collect();
        self.snapshot().model_insight(model, &inputs, (&shown, &varies), stop)
    }

    /// The model that drew the last round, where its file is there; nothing is trained. While a run goes on it is the
    /// newest that there is.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn drawing_model(&self) -> Result<Option<Model>, CampaignError> {
        let drawn = self.words().iter().enumerate().rev().find_map(|(place, word)| match &word.what {
            What::Round(round) => Some((place, round.model.as_ref()?, round.n_labelled)),
            _ => None,
        });
        let Some((place, name, n_labelled)) = drawn else { return Ok(None) };
        // Answers may have come between the training and the round; a choice of network is said just before the round.
        let chosen = crate::state::State::of(&self.words()[..place], self.subject());
        let mut snapshot = self.snapshot();
        for end in (place.saturating_sub(LOOKED_BACK)..=place).rev() {
            snapshot.state = crate::state::State::of(&self.words()[..end], self.subject());
            let n = snapshot.labelled()?.map_or(0, |(labelled, _)| labelled.len());
            if n < n_labelled {
                break;
            }
            snapshot.state.take_choice(&chosen);
            if n == n_labelled
                && let Some(model) = snapshot.kept_model()?.filter(|model| model.name == *name)
            {
                return Ok(Some(model));
            }
        }
        Ok(None)
    }
}
