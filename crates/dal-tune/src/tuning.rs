//! What a search found, and its files.

use std::path::Path;

use serde::Serialize;

use crate::chosen::{Admission, CampaignKey, CampaignResult, ModelEnd};
use crate::data::{Division, LeftOut};
use crate::error::TuneError;
use crate::journal::{TrialKey, make_directory, write_whole};
use crate::judge::{ProofRow, Score, Verdict};
use crate::settings::{Rung, Settings};
use crate::space::{Candidate, SearchSpace};

/// How a start of a search ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To the end.
    Chosen(Box<Tuning>),
    /// A stop was asked for; the journal holds what was done.
    Stopped,
}

/// A candidate and how far it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// 0-based, in the order drawn; 0 is the problem's reference network.
    pub candidate: usize,
    /// The network.
    #[serde(flatten)]
    pub network: Candidate,
    /// Its parameters.
    pub parameters: usize,
    /// The last rung that it was trained in, 0-based.
    pub rung: usize,
    /// How it did there; `None` if it failed.
    pub score: Option<Score>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// One training, raw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Which.
    #[serde(flatten)]
    pub key: TrialKey,
    /// MSE on the points judged on; `None` if it failed.
    pub mse: Option<f64>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// The choice beside the reference network, at each number of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// One row per number of labels.
    pub rows: Vec<ProofRow>,
    /// What they amount to.
    pub verdict: Verdict,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tuning {
    /// The problem's variant.
    pub problem: String,
    /// The numeric platform.
    pub platform: String,
    /// [`dal_core::RESULTS_REVISION`].
    pub results_revision: u32,
    /// The settings.
    pub settings: Settings,
    /// Numbers of labels that networks were judged at: those of the settings, as far as a table has rows.
    pub points: Vec<usize>,
    /// The space.
    pub space: SearchSpace,
    /// How the labels came about.
    pub division: Division,
    /// Points without a label; absent where every one has its own.
    #[serde(skip_serializing_if = "LeftOut::is_none")]
    pub left_out: LeftOut,
    /// The rungs.
    pub rungs: Vec<Rung>,
    /// Networks of the space that the budget left untried.
    pub untried: usize,
    /// The reference network: the published one, or that of a user's problem file.
    pub published: Candidate,
    /// Its parameters.
    pub published_parameters: usize,
    /// The choice.
    pub chosen: Candidate,
    /// Its parameters.
    pub chosen_parameters: usize,
    /// 0-based candidate that was chosen.
    pub chosen_candidate: usize,
    /// Finalists within one standard error of the best.
    pub within_one_standard_error: Vec<usize>,
    /// Why, in a sentence or two.
    pub explanation: String,
    /// The finalists that were tried on training sets chosen with them, in the order in which they would have been
    /// chosen; the last one is the choice. Empty where that was left out.
    pub admissions: Vec<Admission>,
    /// The choice beside the reference network on the validation labels of the finals. It decides which of the two is a
    /// problem's default.
    pub validated: Proof,
    /// The test set's word, if it was asked: reported, never used.
    pub proof: Option<Proof>,
    /// Every network that was tried: those that came furthest first, then by score.
    pub tried: Vec<Tried>,
    /// Every training, by rung, candidate, points, fold and seed.
    pub trials: Vec<Trial>,
}

impl Tuning {
    /// Writes `choice.json` (all but the single trainings), `trials.csv` (those) and, where there were any,
    /// `campaigns.csv` into a directory. Equal searches give equal bytes.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), TuneError> {
        make_directory(directory)?;
        write_whole(&directory.join("choice.json"), (self.to_json() + "\n").as_bytes())?;
        let mut csv = "rung,epochs,members,candidate,points,fold,seed,mse,failure\n".to_owned();
        for trial in &self.trials {
            let TrialKey { rung, candidate, points, fold, seed } = trial.key;
            let last = self.rungs.last();
            let (epochs, members) = self.rungs.get(rung).or(last).map_or((0, 0), |rung| (rung.epochs, rung.members));
            let stage = if rung < self.rungs.len() { rung.to_string() } else { "proof".into() };
            let mse = trial.mse.map(|v| format!("{v:?}")).unwrap_or_default();
            let failure = trial.failure.as_deref().map(quoted).unwrap_or_default();
            csv += &format!("{stage},{epochs},{members},{candidate},{points},{fold},{seed},{mse},{failure}\n");
        }
        write_whole(&directory.join("trials.csv"), csv.as_bytes())?;
        if self.admissions.is_empty() {
            return Ok(());
        }
        let mut csv = "candidate,method,seed,labels,members,collapsed,unsettled,mse,failure\n".to_owned();
        for (key, result) in self.admissions.iter().flat_map(|admission| &admission.campaigns) {
            let CampaignKey { candidate, method, seed } = key;
            let place = format!("{candidate},{},{seed}", method.id());
            match result {
                CampaignResult::Models(models) => {
                    for ModelEnd { labels, members, collapsed, unsettled, mse } in models {
                        csv += &format!("{place},{labels},{members},{collapsed},{unsettled},{mse:?},\n");
                    }
                }
                CampaignResult::Failed(why) => csv += &format!("{place},,,,,,{}\n", quoted(why)),
            }
        }
        write_whole(&directory.join("campaigns.csv"), csv.as_bytes())
    }

    /// All but the single trainings, as JSON for people and machines.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("results are plain data");
        if let Some(object) = value.as_object_mut() {
            object.remove("trials");
            for admission in object["admissions"].as_array_mut().into_iter().flatten() {
                admission.as_object_mut().map(|admission| admission.remove("campaigns"));
            }
        }
        serde_json::to_string_pretty(&value).expect("results are plain data")
    }
}

/// Words as a field of a CSV file.
fn quoted(words: &str) -> String {
    format!("\"{}\"", words.replace('"', "'").replace(['\n', '\r'], " "))
}
