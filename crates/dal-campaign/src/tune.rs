//! A wider search for a network, on the labels that a campaign has.

use std::borrow::Cow;

use dal_core::model::{BatchNormSpec, MlpEnsemble, OnCollapse, TrainingSpec};
use dal_core::{SeedPath, Shape, Stop};
use ndarray::Array1;
use rand::RngExt;

use crate::error::CampaignError;
use crate::folder::Folder;
use crate::ladder::{
    Choice, Data, FEWEST, FINAL_MEMBERS, FOLDS, RUNGS, Rung, ladder, n_parameters, simplest_of_the_best,
};
use crate::settings::ModelSource;
use crate::words::What;

/// Widths of hidden layers.
const WIDTHS: [usize; 8] = [16, 32, 64, 100, 150, 200, 300, 400];
/// The most hidden layers; the fewest are two.
const DEEPEST: usize = 5;
/// Divisions of the labels that the last networks are compared on.
const DIVISIONS: u64 = 3;

/// What happens in a search: a network was compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The network, in words.
    pub network: String,
    /// Its mean squared error in model units; none where a training failed.
    pub loss: Option<f64>,
    /// Comparisons so far.
    pub done: usize,
    /// Comparisons in all.
    pub of: usize,
}

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The choice that the campaign uses from now on: the last networks, the simplest first, compared on several
    /// divisions of the labels.
    pub choice: Choice,
    /// The network that was in use, where it is among them, by its place.
    pub before: Option<usize>,
    /// Networks that were compared in all.
    pub n_networks: usize,
}

impl Folder {
    /// Compares so many networks of many shapes and trainings beside those of the ladder and the one in use, as the
    /// ladder is compared; the six best again on two further divisions of the labels, so that chance in one of them
    /// decides less. Of those within one standard error of the best the simplest is used from now on, and stands beside
    /// the ladder when a network is chosen anew. The choice is said in the log.
    ///
    /// # Errors
    /// Too few labels, a problem file that names the network, a stop; nothing is said then.
    pub fn tune(
        &mut self,
        n_networks: usize,
        threads: usize,
        stop: &Stop,
        on_event: &mut dyn FnMut(&Compared),
    ) -> Result<Tuned, CampaignError> {
        if self.settings().model == ModelSource::ProblemFile {
            return Err(CampaignError::request(
                "campaign.toml says model = \"problem-file\", so that a choice would not be used; set model = \"ladder\"",
            ));
        }
        let snapshot = self.snapshot();
        let fault = |error: dal_core::LabelledError| CampaignError::request(error.to_string());
        let Some((labelled, ids)) = snapshot.state.labelled(&snapshot.subject).map_err(fault)? else {
            return Err(CampaignError::request("there are no labels yet to compare networks on"));
        };
        if labelled.len() < FEWEST {
            let n = labelled.len();
            return Err(CampaignError::request(format!(
                "{n} labels are too few to compare networks on; {FEWEST} will do"
            )));
        }
        let shape = snapshot.subject.shape();
        let weights = snapshot.weights(&ids);
        let data = Data { labelled: &labelled, ids: &ids, weights: &weights, scaling: snapshot.subject.scaling() };
        if data.n_points() < FOLDS {
            return Err(CampaignError::request(format!(
                "the {} labels are repeated measurements of {}; networks are compared on at least {FOLDS} points",
                labelled.len(),
                if data.n_points() == 1 { "one point".to_owned() } else { format!("{} points", data.n_points()) }
            )));
        }
        let seeds = snapshot.seeds().purpose("ladder");
        let mut models = ladder(labelled.len(), shape);
        let in_use = snapshot.state.choice().map(|choice| choice.model().clone());
        models.extend(in_use.iter().filter(|model| !models.contains(model)).cloned().collect::<Vec<_>>());
        models.extend(wide(n_networks, labelled.len(), shape, &snapshot.seeds().purpose("tune")));
        let finals = RUNGS.min(models.len());
        let of = models.len() + finals * (DIVISIONS as usize - 1);
        let mut done = 0;
        let mut compare = |model: &MlpEnsemble, division: u64| -> Result<Option<Array1<f64>>, CampaignError> {
            // The first division is the one that the ladder is compared on.
            let seeds = if division == 0 { seeds } else { seeds.purpose("division").index(division) };
            let predicted = data.held_out(model, shape, threads, &seeds, stop)?;
            let losses = predicted.map(|predicted| data.losses(&predicted)).transpose()?;
            let losses = losses.filter(|losses| losses.iter().all(|loss| loss.is_finite()));
            done += 1;
            let loss = losses.as_ref().and_then(Array1::mean);
            on_event(&Compared { network: model.to_string(), loss, done, of });
            Ok(losses)
        };
        let mut compared: Vec<(MlpEnsemble, Array1<f64>)> = Vec::new();
        for model in models {
            if let Some(losses) = compare(&model, 0)? {
                compared.push((model, losses));
            }
        }
        let n_networks = compared.len();
        if compared.is_empty() {
            return Err(CampaignError::request("no network could be trained on these labels"));
        }
        compared.sort_by(|a, b| a.1.sum().total_cmp(&b.1.sum()));
        compared.truncate(finals);
        for (model, losses) in &mut compared {
            let mut n = 1.0;
            for division in 1..DIVISIONS {
                if let Some(more) = compare(model, division)? {
                    *losses += &more;
                    n += 1.0;
                }
            }
            // Of each point the mean over divisions; the error of their mean is that over points.
            *losses /= n;
        }
        compared.sort_by_key(|(model, _)| n_parameters(model, shape));
        let rung = |(model, losses): &(MlpEnsemble, Array1<f64>)| {
            let n_parameters = n_parameters(model, shape);
            let mut rung = Rung { model: model.clone(), n_parameters, loss: None, standard_error: None };
            rung.take(losses);
            rung
        };
        let rungs: Vec<Rung> = compared.iter().map(rung).collect();
        let chosen = simplest_of_the_best(&rungs);
        let tuned = Some(rungs[chosen].model.clone());
        let before = rungs.iter().position(|rung| Some(&rung.model) == in_use.as_ref());
        let choice =
            Choice { n_labelled: labelled.len(), rungs, chosen, weighted: data.is_weighted(), searched: true, tuned };
        self.say(What::Chosen(Box::new(choice.clone())))?;
        Ok(Tuned { choice, before, n_networks })
    }
}

/// So many different networks of the wider space, none larger than the labels can teach (forty numbers for each number
/// in them, or the smallest three layers of 64).
fn wide(n: usize, n_labels: usize, shape: Shape, seeds: &SeedPath) -> Vec<MlpEnsemble> {
    let most = (40 * n_labels * shape.n_outputs).max(10_000);
    let mut rng = seeds.rng();
    let mut models: Vec<MlpEnsemble> = Vec::new();
    let mut draw = |low: f64, high: f64| (low.ln() + rng.random::<f64>() * (high / low).ln()).exp();
    // Small spaces are exhausted at some time.
    for _ in 0..100 * n {
        if models.len() == n {
            break;
        }
        let depth = draw(2.0, DEEPEST as f64 + 0.999) as usize;
        let width = WIDTHS[(draw(1.0, WIDTHS.len() as f64 + 0.999) as usize - 1).min(WIDTHS.len() - 1)];
        // Two digits are enough to be told again.
        let digits = |value: f64| format!("{value:.1e}").parse::<f64>().unwrap_or(value);
        let (learning_rate, weight_decay) = (digits(draw(5e-4, 2e-2)), digits(draw(1e-6, 1e-3)));
        let is_normed = draw(1.0, 3.0) > 3f64.sqrt();
        let model = MlpEnsemble {
            hidden: Cow::Owned(vec![width; depth]),
            batch_norm: is_normed.then_some(BatchNormSpec::RECOMPUTED),
            training: TrainingSpec {
                n_members: FINAL_MEMBERS,
                learning_rate,
                weight_decay,
                on_collapse: OnCollapse::Restart,
                ..TrainingSpec::DEFAULT
            },
            ..MlpEnsemble::DEFAULT
        };
        if n_parameters(&model, shape) <= most && !models.contains(&model) {
            models.push(model);
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wider_space_is_drawn_alike_and_keeps_to_its_size() {
        let shape = Shape { n_inputs: 3, n_outputs: 2 };
        let models = wide(20, 30, shape, &SeedPath::root(1));
        assert_eq!((models.len(), &models), (20, &wide(20, 30, shape, &SeedPath::root(1))));
        assert!(models.iter().all(|model| n_parameters(model, shape) <= 10_000 && model.training.validate().is_ok()));
        assert!(
            models.iter().any(|model| model.batch_norm.is_some()) && models.iter().any(|model| model.hidden.len() > 2)
        );
        assert!(wide(20, 5000, shape, &SeedPath::root(1)).iter().any(|model| n_parameters(model, shape) > 50_000));
    }
}
