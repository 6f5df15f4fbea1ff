//! The network and training that a sweep gives a problem, and whether its engine can train them.

use dal_core::{FitJob, Labelled, LearnError, Needs, Stop, TrialSeeds};
use dal_nn::{
    BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, NetworkSpec, TrainingSpec,
};
use dal_oracles::{Learning, Problem};
use ndarray::Array2;
use toml::Spanned;

use super::{Resolver, number};
use crate::engine::Engine;
use crate::error::SweepError;
use crate::sweep::{NetworkFile, TrainingFile};

impl Resolver<'_> {
    pub(super) fn network(
        &self,
        problem: &Problem,
        learning: &Learning,
        file: &NetworkFile,
        key: &str,
        at: usize,
    ) -> Result<NetworkSpec, SweepError> {
        let (mut at, mut key) = (at, format!("{key}.network"));
        let hidden = match &file.hidden {
            Some(hidden) => {
                (at, key) = (hidden.span().start, format!("{key}.hidden"));
                hidden.get_ref().clone()
            }
            None => learning.hidden.clone(),
        };
        let statistics = match &file.batch_norm_statistics {
            None if learning.recomputed_statistics => BatchNormStatistics::Recomputed,
            None => BatchNormStatistics::Running,
            Some(text) => match text.get_ref().as_str() {
                "running" => BatchNormStatistics::Running,
                "recomputed" => BatchNormStatistics::Recomputed,
                other => {
                    let reason = format!("`{other}` is neither `running` nor `recomputed`");
                    let key = format!("{key}.batch_norm_statistics");
                    return Err(self.sweep.invalid(text.span().start, key, reason, None));
                }
            },
        };
        let batch_norm = file
            .batch_norm
            .unwrap_or(learning.batch_norm)
            .then(|| BatchNormSpec { statistics, ..BatchNormSpec::default() });
        let head = match &learning.head {
            None => Head::Linear,
            Some(head) => {
                let layer = |card: &dal_oracles::card::ConvolutionCard| ConvLayerSpec {
                    kind: if card.transposed { ConvKind::Transposed } else { ConvKind::Plain },
                    n_in: card.channels_in,
                    n_out: card.channels_out,
                    kernel: card.kernel,
                    stride: card.stride,
                    padding: card.padding,
                };
                Head::Convolution(ConvHeadSpec { length: head.length, layers: head.layers.iter().map(layer).collect() })
            }
        };
        let (n_inputs, n_outputs) = (problem.space().n_columns(), problem.oracle().n_outputs());
        NetworkSpec::new(n_inputs, n_outputs, hidden, batch_norm, head)
            .map_err(|error| self.sweep.invalid(at, key, error.to_string(), None))
    }

    pub(super) fn training(
        &self,
        problem: &Problem,
        learning: &Learning,
        own: &TrainingFile,
        key: &str,
        at: usize,
    ) -> Result<TrainingSpec, SweepError> {
        let shared = &self.sweep.file.training;
        // The published ensembles have ten members, ADM's five.
        let members = if problem.id() == "adm" { 5 } else { 10 };
        let pick = |own: &Option<Spanned<f64>>, shared: &Option<Spanned<f64>>, default: f64| {
            own.as_ref().or(shared.as_ref()).map_or(default, |value| *value.get_ref())
        };
        let training = TrainingSpec {
            n_members: number(&own.members, &shared.members, members),
            epochs: number(&own.epochs, &shared.epochs, 500),
            learning_rate: pick(&own.learning_rate, &shared.learning_rate, learning.learning_rate),
            weight_decay: pick(&own.weight_decay, &shared.weight_decay, learning.weight_decay),
            ..TrainingSpec::default()
        };
        training
            .validate()
            .map_err(|error| self.sweep.invalid(at, format!("{key}.training"), error.to_string(), None))?;
        Ok(training)
    }
}

/// Trains a network of the same layers, but a few units wide, for no epochs, so that needs which engine or network cannot meet
/// show up now.
pub(super) fn rehearse(
    engine: &dyn Engine,
    network: &NetworkSpec,
    training: &TrainingSpec,
    needs: &Needs,
) -> Result<(), LearnError> {
    let other = |message: String| LearnError::Other { message };
    let hidden = network.hidden().iter().map(|&width| width.min(4)).collect();
    let (n_inputs, n_outputs) = (network.n_inputs(), network.n_outputs());
    let narrow = NetworkSpec::new(n_inputs, n_outputs, hidden, network.batch_norm().copied(), network.head().clone())
        .map_err(|error| other(error.to_string()))?;
    let training = TrainingSpec { epochs: 0, n_members: 1, ..training.clone() };
    let learner = engine.learner(&narrow, &training).map_err(other)?;
    let points = |n_columns| Array2::from_shape_fn((2, n_columns), |(row, _)| row as f64 - 0.5);
    let labelled = Labelled::new(points(n_inputs), points(n_outputs)).map_err(|error| other(error.to_string()))?;
    let seeds = TrialSeeds::new("rehearsal", 0).fit(0);
    let mut fits = learner.fit_all(&[FitJob { labelled: &labelled, needs, seeds }], &Stop::new());
    fits.pop().unwrap_or_else(|| Err(other("the engine gave no answer".into()))).map(|_| ())
}
