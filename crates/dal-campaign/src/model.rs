//! The model of a campaign: trained on every label, kept in a file named by what it was trained on, opened again from
//! it.

use std::fs;
use std::path::{Path, PathBuf};

use dal_core::model::MlpEnsemble;
use dal_core::{FitJob, Labelled, Learner, Needs, SeedPath, Stop, Surrogate, TrainingEnd, TrialSeeds};
use dal_nn::{CpuLearner, CpuSurrogate, has_collapsed, is_unsettled};
use ndarray::{Array2, ArrayView2};
use serde_json::{Value, json};

use crate::constraints::Constraint;
use crate::domain::digest;
use crate::error::CampaignError;
use crate::folder::Folder;
use crate::ladder::{Choice, Data};
use crate::settings::{CampaignFile, ModelSource};
use crate::state::{Part, State};
use crate::subject::Subject;
use crate::words::{Errors, What};

/// Who trains.
#[derive(Clone, Copy)]
pub enum Trainer<'a> {
    /// Ensembles of networks on so many threads.
    Networks {
        /// Threads.
        threads: usize,
    },
    /// A learner of the caller's own; it is asked for a model in model units where the problem scales its outputs.
    Own(&'a dyn Learner),
}

/// A model of the labels at hand.
pub struct Model {
    /// What tells it apart: the name of its file.
    pub name: String,
    /// The model, in the outputs' own units.
    pub surrogate: Box<dyn Surrogate>,
    /// The network, where it is one.
    pub network: Option<MlpEnsemble>,
    /// Its errors in cross-validation, where they could be taken.
    pub errors: Option<Errors>,
    /// Labels that it learned.
    pub n_labelled: usize,
}

impl Model {
    /// What a user should know of its networks: how many of them learned nothing, how many ended in a spike, and how
    /// many had to be trained anew. None where all learned at once, or where nothing is known of their trainings.
    pub fn remark(&self) -> Option<String> {
        remark(&self.surrogate.training_report()?.members)
    }
}

fn remark(ends: &[TrainingEnd]) -> Option<String> {
    let n = ends.len();
    let among = |is_so: fn(&TrainingEnd) -> bool| ends.iter().filter(|end| is_so(end)).count();
    let (dead, spikes, again) = (among(has_collapsed), among(is_unsettled), among(|end| end.restarts > 0));
    let mut remarks = Vec::new();
    if dead > 0 {
        let again = if again > 0 { " although they were trained anew" } else { "" };
        remarks.push(format!(
            "{dead} of {n} networks predict little more than the mean of the labels{again} (final loss above half their \
             variance); either the outputs are mostly noise, or another network is wanted (`dal tune`)"
        ));
    } else if again > 0 {
        remarks.push(format!("{again} of {n} networks learned only when they were trained anew"));
    }
    if spikes > 0 {
        remarks.push(format!(
            "{spikes} of {n} networks ended in a spike (final loss above ten times their own best); a lower learning rate \
             is steadier"
        ));
    }
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

/// Everything that a training or a draw looks at, as it was at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) subject: std::sync::Arc<Subject>,
    pub(crate) file: CampaignFile,
    pub(crate) state: State,
    pub(crate) models: PathBuf,
    pub(crate) constraints: std::sync::Arc<Vec<Constraint>>,
    listed: Option<std::sync::Arc<Array2<f64>>>,
    sampled: Option<std::sync::Arc<Array2<f64>>>,
    pub(crate) domain: String,
    learns_all: bool,
}

impl Folder {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            subject: std::sync::Arc::clone(self.subject()),
            file: self.settings().clone(),
            state: self.state().clone(),
            models: self.models(),
            constraints: std::sync::Arc::clone(self.constraints()),
            listed: self.listed().cloned(),
            sampled: self.sampled().cloned(),
            domain: self.domain().to_owned(),
            learns_all: self.learns_all(),
        }
    }

    /// Keeps a choice of network, if it is a new one.
    pub(crate) fn keep_choice(&mut self, choice: Option<Choice>) -> Result<(), CampaignError> {
        match choice {
            Some(choice) if self.state().choice() != Some(&choice) => self.say(What::Chosen(Box::new(choice))),
            _ => Ok(()),
        }
    }

    /// The model of all labels that are known: from its file, or trained now. It depends on the labels, the settings
    /// and the seed alone. Nothing is said in the log.
    ///
    /// # Errors
    /// No labels, a training that fails.
    pub fn model(&self, trainer: Trainer<'_>, stop: &Stop) -> Result<Model, CampaignError> {
        self.snapshot().model(trainer, stop).map(|(model, _)| model)
    }

    /// As [`model`](Self::model); a new choice of network is said in the log, so that the same model is found again.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn trained(&mut self, trainer: Trainer<'_>, stop: &Stop) -> Result<Model, CampaignError> {
        let (model, choice) = self.snapshot().model(trainer, stop)?;
        self.keep_choice(choice)?;
        Ok(model)
    }
}

impl Snapshot {
    /// The random streams of the campaign.
    pub(crate) fn seeds(&self) -> SeedPath {
        SeedPath::root(self.file.seed).purpose("campaign")
    }

    /// The only points that may be asked for, on the unit box: the rows of a table, or a list; none where any may.
    pub(crate) fn listed(&self) -> Option<&Array2<f64>> {
        self.listed.as_deref().or_else(|| self.subject.problem().candidates())
    }

    /// Points that stand for where the model will be used, on the unit box; none where that is the whole space.
    pub(crate) fn sampled(&self) -> Option<&Array2<f64>> {
        self.sampled.as_deref()
    }

    /// What models learn, and of each row its point.
    pub(crate) fn labelled(&self) -> Result<Option<(Labelled, Vec<u64>)>, CampaignError> {
        let learned = |part| part == Part::Learned || (self.learns_all && part == Part::HeldOut);
        self.state.labelled_of(&self.subject, &learned).map_err(|error| CampaignError::request(error.to_string()))
    }

    /// The streams of a round.
    pub(crate) fn round_seeds(&self, round: usize) -> TrialSeeds {
        TrialSeeds::new(&format!("campaign/{round}"), self.file.seed)
    }

    /// Of each row of the labels one over the probability of its draw, beside a uniform one.
    pub(crate) fn weights(&self, ids: &[u64]) -> Vec<f64> {
        ids.iter().map(|&id| 1.0 / self.state.relative_probability(id)).collect()
    }

    /// What the strategy asks for, and what people want to know of a prediction.
    fn needs(&self) -> Result<Needs, CampaignError> {
        let strategy = dal_acq::find(&self.file.strategy, &self.file.strategy_settings)?.strategy;
        Ok(Needs { mean: true, uncertainty: true, committee: true, ..strategy.needs() })
    }

    /// The model of all labels, and the choice of network that it stands on, new or not.
    pub(crate) fn model(&self, trainer: Trainer<'_>, stop: &Stop) -> Result<(Model, Option<Choice>), CampaignError> {
        let Some((labelled, ids)) = self.labelled()? else {
            return Err(CampaignError::request(
                "there are no labels yet; `dal run` or `dal ask` and `dal tell` bring some",
            ));
        };
        let needs = self.needs()?;
        let threads = match trainer {
            Trainer::Own(learner) => return self.own(learner, &labelled, stop).map(|model| (model, None)),
            Trainer::Networks { threads } => threads,
        };
        let shape = self.subject.shape();
        let weights = self.weights(&ids);
        let data = Data { labelled: &labelled, ids: &ids, weights: &weights, scaling: self.subject.scaling() };
        let choosing = self.seeds().purpose("ladder");
        let (network, choice, compared) = match self.settled(labelled.len()) {
            Some(network) => (network.clone(), None, None),
            None => {
                let tuned = self.state.choice().and_then(|choice| choice.tuned.as_ref());
                let (choice, errors) = data.choose(shape, tuned, threads, &choosing, stop)?;
                (choice.model().clone(), Some(choice), Some(errors))
            }
        };
        let fitting = self.seeds().purpose("fit").index(labelled.len() as u64);
        let name = self.name(&network, &needs, &labelled, &fitting, &weights)?;
        let path = self.models.join(format!("{name}.safetensors"));
        let (scaled, back) = self.subject.scaling().model_units(&labelled)?;
        let trained = match opened(&path, &name) {
            Some(kept) => kept,
            None => {
                let refused = |error: &dyn std::fmt::Display| {
                    CampaignError::request(format!("the network cannot be trained: {error}"))
                };
                let spec = network.network(shape).map_err(|error| refused(&error))?;
                let learner = CpuLearner::new(spec, network.training.clone()).map_err(|error| refused(&error))?;
                // The comparison has held the chosen network against the same folds already.
                let errors = match compared {
                    Some(errors) => errors,
                    None => data.errors(&network, shape, threads, &choosing, stop)?,
                };
                let mut trained = learner.with_threads(threads).fit_until(&scaled, &needs, &fitting, stop)?;
                let units: Vec<Value> = self
                    .subject
                    .outputs()
                    .iter()
                    .zip(back.columns())
                    .map(|(name, (transform, offset, factor))| {
                        json!({"name": name, "transform": transform, "offset": offset, "factor": factor})
                    })
                    .collect();
                trained.note("labels", name.as_str());
                trained.note("problem", self.subject.problem().id());
                trained.note("inputs", Value::Array(self.subject.described_inputs()).to_string());
                trained.note("outputs", Value::Array(units).to_string());
                trained.note("errors", serde_json::to_string(&errors).unwrap_or_default());
                self.keep(&path, &trained)?;
                trained
            }
        };
        let (errors, surrogate) = (errors_of(&trained), back.around(Box::new(trained)));
        Ok((Model { name, surrogate, network: Some(network), errors, n_labelled: labelled.len() }, choice))
    }

    /// The network in use for so many labels; none where one is to be chosen first.
    fn settled(&self, n_labelled: usize) -> Option<&MlpEnsemble> {
        match (self.file.model, self.state.choice()) {
            (ModelSource::ProblemFile, _) => Some(self.subject.problem().model()),
            // Points that are held out have no say in which network it is, even where they are learned at last.
            (ModelSource::Ladder, Some(choice)) if self.learns_all || !choice.is_outgrown(n_labelled) => {
                Some(choice.model())
            }
            (ModelSource::Ladder, _) => None,
        }
    }

    /// The model of all labels as [`model`](Self::model) has it, where its file is there; nothing is trained.
    pub(crate) fn kept_model(&self) -> Result<Option<Model>, CampaignError> {
        let Some((labelled, ids)) = self.labelled()? else { return Ok(None) };
        let Some(network) = self.settled(labelled.len()) else { return Ok(None) };
        let fitting = self.seeds().purpose("fit").index(labelled.len() as u64);
        let name = self.name(network, &self.needs()?, &labelled, &fitting, &self.weights(&ids))?;
        let Some(trained) = opened(&self.models.join(format!("{name}.safetensors")), &name) else { return Ok(None) };
        let (_, back) = self.subject.scaling().model_units(&labelled)?;
        let (errors, surrogate) = (errors_of(&trained), back.around(Box::new(trained)));
        Ok(Some(Model { name, surrogate, network: Some(network.clone()), errors, n_labelled: labelled.len() }))
    }

    /// A model of the caller's own making.
    fn own(&self, learner: &dyn Learner, labelled: &Labelled, stop: &Stop) -> Result<Model, CampaignError> {
        let seeds = self.seeds().purpose("fit").index(labelled.len() as u64);
        let (scaled, back) = self.subject.scaling().model_units(labelled)?;
        let strategy = dal_acq::find(&self.file.strategy, &self.file.strategy_settings)?.strategy;
        let offered = Needs { mean: true, ..strategy.needs() };
        let job = FitJob { labelled: &scaled, needs: &offered, seeds };
        let inner = learner
            .fit_all(&[job], stop)
            .pop()
            .unwrap_or_else(|| Err(dal_core::LearnError::Other { message: "the learner gave no answer".into() }))?;
        let name = digest(&[learner.platform().as_bytes(), &bytes(labelled.x()), &bytes(labelled.y())]);
        Ok(Model { name, surrogate: back.around(inner), network: None, errors: None, n_labelled: labelled.len() })
    }

    /// Everything that a trained network depends on.
    fn name(
        &self,
        network: &MlpEnsemble,
        needs: &Needs,
        labelled: &Labelled,
        seeds: &SeedPath,
        weights: &[f64],
    ) -> Result<String, CampaignError> {
        let fault = |error: serde_json::Error| CampaignError::request(error.to_string());
        let described = json!({
            "network": serde_json::to_value(network).map_err(fault)?,
            "needs": serde_json::to_value(needs).map_err(fault)?,
            "outputs": self.subject.scaling(),
            "columns": self.subject.described_inputs(),
            "seeds": format!("{seeds:?}"),
            "seed": self.file.seed,
            "results": dal_core::RESULTS_REVISION,
        });
        let weights: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        Ok(digest(&[described.to_string().as_bytes(), &bytes(labelled.x()), &bytes(labelled.y()), &weights]))
    }

    /// Writes a model's file whole or not at all: two processes that trained the same write the same bytes.
    fn keep(&self, path: &Path, trained: &CpuSurrogate) -> Result<(), CampaignError> {
        let fault = |problem: String| CampaignError::File { path: path.to_owned(), problem };
        let bytes = trained.to_bytes().map_err(|error| fault(error.to_string()))?;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::create_dir_all(&self.models)
            .and_then(|()| fs::write(&temporary, bytes))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(|error| fault(format!("cannot be written: {error}")))
    }
}

/// The bytes of the model's file: what `dal export --to safetensors` hands out.
///
/// # Errors
/// No labels, a training that fails, a model that is no network.
pub fn model_file(folder: &Folder, trainer: Trainer<'_>, stop: &Stop) -> Result<Vec<u8>, CampaignError> {
    trained_file(folder, &folder.model(trainer, stop)?).map(|(_, bytes)| bytes)
}

/// Where a model's file lies, and its bytes.
///
/// # Errors
/// A model that is no network, a file that has gone.
pub(crate) fn trained_file(folder: &Folder, model: &Model) -> Result<(PathBuf, Vec<u8>), CampaignError> {
    if model.network.is_none() {
        return Err(CampaignError::NoNetwork);
    }
    let path = folder.models().join(format!("{}.safetensors", model.name));
    match fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(CampaignError::File { path, problem: format!("cannot be read: {error}") }),
    }
}

/// A model's file, if it is there and whole.
fn opened(path: &Path, name: &String) -> Option<CpuSurrogate> {
    let kept = fs::read(path).ok().and_then(|bytes| CpuSurrogate::from_bytes(&bytes).ok());
    kept.filter(|kept| kept.provenance().notes.get("labels") == Some(name))
}

fn errors_of(trained: &CpuSurrogate) -> Option<Errors> {
    trained.provenance().notes.get("errors").and_then(|text| serde_json::from_str(text).ok()).flatten()
}

fn bytes(values: ArrayView2<'_, f64>) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_that_is_not_as_it_should_be_is_told() {
        let end = |final_loss, restarts| TrainingEnd { final_loss, best_loss: 0.01, label_variance: 1.0, restarts };
        assert_eq!(remark(&[end(0.01, 0); 3]), None);
        assert_eq!(
            remark(&[end(0.01, 2), end(0.01, 0)]).as_deref(),
            Some("1 of 2 networks learned only when they were trained anew")
        );
        let spike = remark(&[end(0.2, 0), end(0.01, 0)]).unwrap();
        assert!(spike.starts_with("1 of 2 networks ended in a spike"), "{spike}");
        let dead = remark(&[end(0.9, 5), end(0.01, 0)]).unwrap();
        assert!(dead.contains("1 of 2 networks predict little more") && dead.contains("although"), "{dead}");
        assert!(dead.contains("; 1 of 2 networks ended in a spike"), "{dead}");
        assert!(!remark(&[end(0.9, 0)]).unwrap().contains("although"));
    }
}
