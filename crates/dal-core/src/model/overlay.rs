//! What is said otherwise of a model: the keys that files and command lines may set over a preset.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{BatchNormSpec, BatchNormStatistics, DecayReading, MlpEnsemble, OnCollapse};

/// Values that take the place of an ensemble's; `None` leaves what is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpOverlay {
    /// Width of each hidden layer.
    pub hidden: Option<Vec<usize>>,
    /// Whether a BatchNorm follows each hidden Linear.
    pub batch_norm: Option<bool>,
    /// Which statistics it uses at inference; without `batch_norm` it does not bring one.
    pub batch_norm_statistics: Option<BatchNormStatistics>,
    /// Members of the ensemble.
    pub members: Option<usize>,
    /// Epochs of each training.
    pub epochs: Option<usize>,
    /// Initial learning rate of Adam.
    pub learning_rate: Option<f64>,
    /// Weight decay.
    pub weight_decay: Option<f64>,
    /// How the weight decay acts.
    pub decay_reading: Option<DecayReading>,
    /// What is done with members that do not learn.
    pub on_collapse: Option<OnCollapse>,
}

impl MlpOverlay {
    /// The ensemble with these values in place of its own.
    #[must_use]
    pub fn over(&self, base: &MlpEnsemble) -> MlpEnsemble {
        let mut model = base.clone();
        if let Some(hidden) = &self.hidden {
            model.hidden = Cow::Owned(hidden.clone());
        }
        model.batch_norm = match self.batch_norm {
            Some(false) => None,
            Some(true) => Some(model.batch_norm.unwrap_or_default()),
            None => model.batch_norm,
        };
        if let Some(statistics) = self.batch_norm_statistics {
            model.batch_norm = model.batch_norm.map(|norm| BatchNormSpec { statistics, ..norm });
        }
        let training = &mut model.training;
        training.n_members = self.members.unwrap_or(training.n_members);
        training.epochs = self.epochs.unwrap_or(training.epochs);
        training.learning_rate = self.learning_rate.unwrap_or(training.learning_rate);
        training.weight_decay = self.weight_decay.unwrap_or(training.weight_decay);
        training.decay_reading = self.decay_reading.unwrap_or(training.decay_reading);
        training.on_collapse = self.on_collapse.unwrap_or(training.on_collapse);
        model
    }

    /// These values, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            hidden: self.hidden.clone().or_else(|| other.hidden.clone()),
            batch_norm: self.batch_norm.or(other.batch_norm),
            batch_norm_statistics: self.batch_norm_statistics.or(other.batch_norm_statistics),
            members: self.members.or(other.members),
            epochs: self.epochs.or(other.epochs),
            learning_rate: self.learning_rate.or(other.learning_rate),
            weight_decay: self.weight_decay.or(other.weight_decay),
            decay_reading: self.decay_reading.or(other.decay_reading),
            on_collapse: self.on_collapse.or(other.on_collapse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_replaces_and_the_rest_stays() {
        let base = MlpEnsemble::DEFAULT;
        assert_eq!(MlpOverlay::default().over(&base), base);
        let overlay = MlpOverlay { members: Some(3), batch_norm: Some(false), ..MlpOverlay::default() };
        let model = overlay.over(&base);
        assert_eq!((model.training.n_members, model.batch_norm, model.training.epochs), (3, None, 500));
        // Statistics alone bring no BatchNorm back.
        let statistics =
            MlpOverlay { batch_norm_statistics: Some(BatchNormStatistics::Recomputed), ..MlpOverlay::default() };
        assert_eq!(statistics.over(&model).batch_norm, None);
        assert_eq!(statistics.over(&base).batch_norm, Some(BatchNormSpec::RECOMPUTED));
        let both = statistics.or(&overlay);
        assert_eq!((both.members, both.batch_norm_statistics), (Some(3), Some(BatchNormStatistics::Recomputed)));
    }
}
