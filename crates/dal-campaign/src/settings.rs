//! `campaign.toml`: what its keeper decides, every key explained in a comment, and nothing that can be derived.

use std::path::{Path, PathBuf};

use dal_core::Settings;
use serde::{Deserialize, Serialize};

use crate::error::CampaignError;

/// The largest count of a campaign's file: numbers that no memory holds are refused before anything is drawn.
pub const MOST: usize = 10_000_000;

/// Where the network comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSource {
    /// Chosen by cross-validation from a ladder that grows with the labels ([`crate::ladder`]).
    #[default]
    Ladder,
    /// The table `[network]` of the problem file, or its default.
    ProblemFile,
}

/// What `campaign.toml` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignFile {
    /// The problem file, relative to the campaign's folder.
    #[serde(default = "default_problem")]
    pub problem: PathBuf,
    /// What all random numbers come from.
    #[serde(default)]
    pub seed: u64,
    /// Points of the design at the beginning, before the first model.
    pub initial: usize,
    /// Points that a round draws where no other number is given.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Points that a round chooses from.
    #[serde(default = "default_candidates")]
    pub candidates: usize,
    /// A table of points that rounds choose from instead, relative to the campaign's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_list: Option<PathBuf>,
    /// Conditions that every point which is drawn has to meet ([`crate::constraints`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// The id of the strategy.
    #[serde(default = "default_strategy")]
    pub strategy: String,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub strategy_settings: Settings,
    /// Where the network comes from.
    #[serde(default)]
    pub model: ModelSource,
    /// Points that `run` asks for in all, failed ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// How often a point is tried whose failure may be the machine's.
    #[serde(default = "default_attempts")]
    pub attempts: usize,
    /// Hours after which a point that was handed out without an answer is asked for again; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_hours: Option<f64>,
}

fn default_problem() -> PathBuf {
    "problem.toml".into()
}
fn default_batch() -> usize {
    10
}
fn default_candidates() -> usize {
    4096
}
fn default_strategy() -> String {
    "qbc-diversity".into()
}
fn default_attempts() -> usize {
    3
}

impl CampaignFile {
    /// What a new campaign on a problem with so many inputs gets: ten points and five for each input at the beginning.
    pub fn new(problem: impl Into<PathBuf>, n_inputs: usize) -> Self {
        Self {
            problem: problem.into(),
            seed: 0,
            initial: 10 + 5 * n_inputs,
            batch: default_batch(),
            candidates: default_candidates(),
            candidate_list: None,
            constraints: Vec::new(),
            strategy: default_strategy(),
            strategy_settings: Settings::default(),
            model: ModelSource::Ladder,
            budget: None,
            attempts: default_attempts(),
            lease_hours: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value that makes no sense.
    pub fn read(path: &Path) -> Result<Self, CampaignError> {
        let fault = |problem: String| CampaignError::File { path: path.to_owned(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        let file: Self = toml::from_str(&text).map_err(|error| fault(error.to_string().trim_end().to_owned()))?;
        file.check().map_err(fault)?;
        Ok(file)
    }

    /// What is wrong with the values, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let counts = [
            ("initial", self.initial),
            ("batch", self.batch),
            ("candidates", self.candidates),
            ("attempts", self.attempts),
            ("budget", self.budget.unwrap_or(1)),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} = 0: give a whole number from 1"));
        }
        if let Some((key, value)) = counts.into_iter().find(|(_, value)| *value > MOST) {
            return Err(format!("{key} = {value}: at most {MOST}"));
        }
        if self.candidates < self.batch {
            return Err(format!("candidates = {} is less than batch = {}", self.candidates, self.batch));
        }
        match self.lease_hours {
            Some(hours) if !(hours > 0.0 && hours.is_finite()) => {
                Err(format!("lease_hours = {hours}: give a positive number of hours, or leave the key out"))
            }
            _ => dal_acq::find(&self.strategy, &self.strategy_settings)
                .map(|_| ())
                .map_err(|error| format!("strategy: {error}")),
        }
    }

    /// The file's text: every key with its value and an explanation, those without a value as comments.
    pub fn text(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let optional = |key: &str, value: Option<String>, example: &str| match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} = {example}"),
        };
        let model = match self.model {
            ModelSource::Ladder => "ladder",
            ModelSource::ProblemFile => "problem-file",
        };
        let mut text = format!(
            "# A campaign of active learning: `dal ask`, `dal tell`, `dal run`, `dal status`, `dal predict`, `dal export`.
# Keys may be changed at any time; rounds that are drawn already stay as they are.

# The problem file: inputs with their ranges, outputs, and who answers (see docs/problems.md). Relative to this folder.
problem = {problem}

# What all random numbers come from: the same seed and the same answers give the same points.
seed = {seed}

# Points of the design at the beginning, spread over the whole space, before the first model.
initial = {initial}

# Points that a round draws where no other number is given. Fewer use the answers sooner, more keep more machines busy.
batch = {batch}

# Points that a round chooses from, drawn afresh from the whole space each time.
candidates = {candidates}

# A table of the only points that may be asked for, with the inputs' columns in their own units; relative to this folder.
{list}

# Conditions on the inputs that every point which is drawn has to meet: names, numbers, + - * / ^, comparisons, and, or,
# not, abs, sqrt, exp, log, log10, sin, cos, min, max; levels as text; names that are no plain words in backticks.
{constraints}

# The rule that chooses: `dal strategies` lists them, `dal strategies NAME` explains one and its settings.
strategy = {strategy}

# ladder: the network is chosen by cross-validation, anew whenever the labels have grown by half.
# problem-file: the table [network] of the problem file.
model = \"{model}\"

# Points that `dal run` asks for in all, failed ones included; without it, say --budget.
{budget}

# How often a point is tried whose failure may be the machine's or the program's (a crash, a time limit, no answer).
attempts = {attempts}

# Hours after which a point that `dal ask` handed out without an answer is asked for again; without it, never.
{lease}
",
            problem = quoted(&self.problem.to_string_lossy()),
            seed = self.seed,
            initial = self.initial,
            batch = self.batch,
            candidates = self.candidates,
            list = optional(
                "candidate_list",
                self.candidate_list.as_ref().map(|path| quoted(&path.to_string_lossy())),
                "\"candidates.csv\""
            ),
            constraints = optional(
                "constraints",
                (!self.constraints.is_empty()).then(|| {
                    let all: Vec<String> = self.constraints.iter().map(|text| quoted(text)).collect();
                    format!("[{}]", all.join(", "))
                }),
                "[\"a * b <= 3\", \"speed < 20 or blades >= 4\"]"
            ),
            strategy = quoted(&self.strategy),
            budget = optional("budget", self.budget.map(|n| n.to_string()), "300"),
            attempts = self.attempts,
            lease = optional("lease_hours", self.lease_hours.map(|hours| format!("{hours:?}")), "24.0"),
        );
        if !self.strategy_settings.is_empty() {
            text += "\n# Settings of the strategy.\n[strategy_settings]\n";
            for (key, value) in self.strategy_settings.iter() {
                let value = dal_core::settings::text(value).unwrap_or_default();
                text += &format!("{key} = {}\n", quoted(&value));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explained_text_reads_back() {
        let plain = CampaignFile::new("problem.toml", 3);
        assert_eq!(toml::from_str::<CampaignFile>(&plain.text()).unwrap(), plain);
        let full = CampaignFile {
            seed: 7,
            budget: Some(300),
            lease_hours: Some(1.5),
            model: ModelSource::ProblemFile,
            candidate_list: Some("list \"1\".csv".into()),
            constraints: vec!["a < 3".into(), "material == \"steel\"".into()],
            strategy_settings: Settings::default().with("scaling", "raw"),
            problem: "../a \"b\".toml".into(),
            ..plain
        };
        assert_eq!(toml::from_str::<CampaignFile>(&full.text()).unwrap(), full);
        assert_eq!(full.check(), Ok(()));
    }

    #[test]
    fn mistakes_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("campaign.toml");
        for (text, words) in [
            ("initial = 0", "initial = 0"),
            ("initial = 3\nbach = 3", "unknown field `bach`"),
            ("initial = 3\nbatch = 10\ncandidates = 5", "candidates = 5 is less than batch = 10"),
            ("initial = 3\nstrategy = \"qbz\"", "there is no strategy `qbz`"),
            ("initial = 3\nlease_hours = -1.0", "lease_hours"),
            ("initial = 3\nbudget = 0", "budget = 0"),
            ("batch = 3", "missing field `initial`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = CampaignFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("campaign.toml") && error.contains(words), "{error}");
        }
        assert!(CampaignFile::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
    }
}
