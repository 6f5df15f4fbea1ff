//! `campaign.toml`: what its keeper decides, every key explained in a comment, and nothing that can be derived.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use dal_core::Settings;
use serde::{Deserialize, Serialize};

use crate::error::CampaignError;

/// The largest count of a campaign's file: numbers that no memory holds are refused before anything is drawn.
pub const MOST: usize = 10_000_000;

/// The largest share that is held out: more would teach next to nothing.
const MOST_HELD_OUT: f64 = 0.9;

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

/// How small the error is to become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// The root of the mean over outputs of the squared error in the output's standard deviations.
    Relative(f64),
    /// Of each of these outputs its root mean squared error, in its unit.
    Outputs(BTreeMap<String, f64>),
}

impl Target {
    /// A number, or outputs with one each: `0.05`, `["drag=0.1", "lift=3"]`.
    ///
    /// # Errors
    /// What is neither, in words.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        if let [word] = words
            && let Ok(value) = word.trim().parse()
        {
            return Ok(Self::Relative(value));
        }
        let mut outputs = BTreeMap::new();
        for word in words {
            let parts = word.split_once('=').and_then(|(name, value)| Some((name.trim(), value.trim().parse().ok()?)));
            let Some((name, value)) = parts else {
                return Err(format!(
                    "`{word}`: give one number, the error in standard deviations (0.05), or NAME=VALUE of outputs in \
                     their units (drag=0.1)"
                ));
            };
            if outputs.insert(name.to_owned(), value).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        Ok(Self::Outputs(outputs))
    }

    /// What is wrong with it, where these are the outputs.
    ///
    /// # Errors
    /// A number that is not positive, an output that there is not, in words.
    pub fn check(&self, outputs: Option<&[String]>) -> Result<(), String> {
        let bad = |v: f64| (!(v > 0.0 && v.is_finite())).then(|| format!("target = {v}: give a positive number"));
        let faults = match self {
            Self::Relative(value) => bad(*value),
            Self::Outputs(named) if named.is_empty() => Some("target names no output".into()),
            Self::Outputs(named) => {
                let missing = named.keys().find(|name| outputs.is_some_and(|known| !known.contains(name)));
                let missing = missing.map(|name| {
                    format!(
                        "target: there is no output `{name}`; there are: {}",
                        outputs.unwrap_or_default().join(", ")
                    )
                });
                named.values().find_map(|v| bad(*v)).or(missing)
            }
        };
        faults.map_or(Ok(()), Err)
    }
}

impl fmt::Display for Target {
    /// As on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(value) => write!(f, "{value:?}"),
            Self::Outputs(named) => {
                let all: Vec<String> = named.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                f.write_str(&all.join(","))
            }
        }
    }
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
    /// A table of points that stand for where the model will be used: rounds draw their candidates from its rows, and
    /// errors speak of them; relative to the campaign's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<PathBuf>,
    /// Conditions that every point which is drawn has to meet ([`crate::constraints`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// The id of the strategy.
    #[serde(default = "default_strategy")]
    pub strategy: String,
    /// Its settings; of a file that names no strategy those of the default.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub strategy_settings: Settings,
    /// Where the network comes from.
    #[serde(default)]
    pub model: ModelSource,
    /// The share of the points after the design that is drawn uniformly and never learned, so that it judges any model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// `run` ends when the error is shown to be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// `run` ends when so many rounds brought no gain over as many before; a rule of thumb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_gain: Option<usize>,
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
    DEFAULT_STRATEGY.0.into()
}
fn default_strategy_settings() -> Settings {
    DEFAULT_STRATEGY.1.iter().fold(Settings::default(), |settings, &(key, value)| settings.with(key, value))
}
fn default_attempts() -> usize {
    3
}

/// The rule that chooses where no other is named, and its settings: chosen and confirmed by measurement
/// (docs/results/default-strategy.md).
const DEFAULT_STRATEGY: (&str, &[(&str, f64)]) = ("power-qbc-diversity", &[("beta", 2.0)]);

impl CampaignFile {
    /// The same with a strategy and its own settings.
    #[must_use]
    pub fn choosing_by(self, strategy: impl Into<String>) -> Self {
        Self { strategy: strategy.into(), strategy_settings: Settings::default(), ..self }
    }

    /// What a new campaign on a problem with so many inputs gets: ten points and five for each input at the beginning.
    pub fn new(problem: impl Into<PathBuf>, n_inputs: usize) -> Self {
        Self {
            problem: problem.into(),
            seed: 0,
            initial: 10 + 5 * n_inputs,
            batch: default_batch(),
            candidates: default_candidates(),
            candidate_list: None,
            sample: None,
            constraints: Vec::new(),
            strategy: default_strategy(),
            strategy_settings: default_strategy_settings(),
            model: ModelSource::Ladder,
            held_out: None,
            target: None,
            no_gain: None,
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
        let unreadable = |error: toml::de::Error| fault(error.to_string().trim_end().to_owned());
        let mut file: Self = toml::from_str(&text).map_err(unreadable)?;
        let keys: toml::Table = toml::from_str(&text).map_err(unreadable)?;
        if !["strategy", "strategy_settings"].iter().any(|key| keys.contains_key(*key)) {
            file.strategy_settings = default_strategy_settings();
        }
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
            ("no_gain", self.no_gain.unwrap_or(1)),
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
        if self.sample.is_some() && self.candidate_list.is_some() {
            return Err("sample and candidate_list: a list is its own sample; take one of the keys out".into());
        }
        if let Some(share) = self.held_out.filter(|share| !(*share > 0.0 && *share <= MOST_HELD_OUT)) {
            return Err(format!("held_out = {share}: give a share above 0 and at most {MOST_HELD_OUT}"));
        }
        if let Some(target) = &self.target {
            target.check(None)?;
        }
        // What is no finite number comes out as no value, which would be the strategy's own default.
        if let Some((key, _)) = self.strategy_settings.iter().find(|(_, value)| value.is_null()) {
            return Err(format!("strategy_settings.{key}: give a finite number, or leave the key out"));
        }
        match self.lease_hours {
            Some(hours) if !(hours > 0.0 && hours.is_finite()) => {
                Err(format!("lease_hours = {hours}: give a positive number of hours, or leave the key out"))
            }
            _ => dal_acq::find(&self.strategy, &self.strategy_settings).map(|_| ()).map_err(|error| {
                match self.strategy_settings.is_empty() {
                    true => format!("strategy: {error}"),
                    false => format!("strategy: {error} (see [strategy_settings])"),
                }
            }),
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

# A table of points that stand for where the model will be used: rounds choose from its rows, and errors speak of them.
{sample}

# Conditions on the inputs that every point which is drawn has to meet: names, numbers, + - * / ^, comparisons, and, or,
# not, abs, sqrt, exp, log, log10, sin, cos, min, max; levels as text; names that are no plain words in backticks.
{constraints}

# The rule that chooses: `dal strategies` lists them, `dal strategies NAME` explains one and its settings.
strategy = {strategy}

# ladder: the network is chosen by cross-validation, anew whenever the labels have grown by half.
# problem-file: the table [network] of the problem file.
model = \"{model}\"

# The share of the points after the design that is drawn uniformly and never learned: it judges every model.
{held_out}

# `dal run` ends when the error is shown to be below this: one number in standard deviations, or outputs in their units.
{target}

# `dal run` ends when so many rounds brought no gain over as many before (a rule of thumb).
{no_gain}

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
            sample = optional(
                "sample",
                self.sample.as_ref().map(|path| quoted(&path.to_string_lossy())),
                "\"sample.csv\""
            ),
            held_out = optional("held_out", self.held_out.map(|share| format!("{share:?}")), "0.25"),
            target = optional(
                "target",
                self.target.as_ref().map(|target| match target {
                    Target::Relative(value) => format!("{value:?}"),
                    Target::Outputs(named) => {
                        let all = named.iter().map(|(name, value)| format!("{} = {value:?}", quoted(name)));
                        format!("{{ {} }}", all.collect::<Vec<_>>().join(", "))
                    }
                }),
                "0.05"
            ),
            no_gain = optional("no_gain", self.no_gain.map(|n| n.to_string()), "5"),
            budget = optional("budget", self.budget.map(|n| n.to_string()), "300"),
            attempts = self.attempts,
            lease = optional("lease_hours", self.lease_hours.map(|hours| format!("{hours:?}")), "24.0"),
        );
        if !self.strategy_settings.is_empty() {
            text += "\n# Settings of the strategy.\n[strategy_settings]\n";
            for (key, value) in self.strategy_settings.iter() {
                let value = match value.is_number() || value.is_boolean() {
                    true => value.to_string(),
                    false => quoted(&dal_core::settings::text(value).unwrap_or_default()),
                };
                text += &format!("{key} = {value}\n");
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
            held_out: Some(0.25),
            target: Some(Target::Outputs([("y 1".to_owned(), 0.5)].into())),
            no_gain: Some(5),
            constraints: vec!["a < 3".into(), "material == \"steel\"".into()],
            strategy_settings: Settings::default().with("scaling", "raw"),
            problem: "../a \"b\".toml".into(),
            ..plain.choosing_by("qbc-diversity")
        };
        assert_eq!(toml::from_str::<CampaignFile>(&full.text()).unwrap(), full);
        assert_eq!(full.check(), Ok(()));
        let sampled = CampaignFile {
            candidate_list: None,
            sample: Some("s.csv".into()),
            target: Some(Target::Relative(0.05)),
            ..full
        };
        assert_eq!(toml::from_str::<CampaignFile>(&sampled.text()).unwrap(), sampled);
    }

    #[test]
    fn targets_are_a_number_or_outputs() {
        let parse = |words: &[&str]| Target::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["0.05"]), Ok(Target::Relative(0.05)));
        let both = parse(&["drag=0.1", "lift = 3"]).unwrap();
        assert_eq!(both.to_string(), "drag=0.1,lift=3.0");
        let outputs = ["drag".to_owned(), "lift".to_owned()];
        assert_eq!(both.check(Some(&outputs)), Ok(()));
        assert!(both.check(Some(&outputs[..1])).unwrap_err().contains("no output `lift`"));
        assert!(parse(&["drag"]).is_err() && parse(&["0.1", "0.2"]).is_err() && parse(&["a=1", "a=2"]).is_err());
        assert!(Target::Relative(-1.0).check(None).is_err() && Target::Relative(f64::NAN).check(None).is_err());
    }

    #[test]
    fn a_file_without_a_strategy_has_the_default_with_its_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("campaign.toml");
        let read = |text: &str| {
            std::fs::write(&path, format!("initial = 3\n{text}")).unwrap();
            let file = CampaignFile::read(&path).unwrap();
            (file.strategy.clone(), file.strategy_settings)
        };
        assert_eq!(read(""), (default_strategy(), default_strategy_settings()));
        assert_eq!(read("strategy = \"power-qbc-diversity\""), ("power-qbc-diversity".into(), Settings::default()));
        assert_eq!(read("strategy = \"gsx\""), ("gsx".into(), Settings::default()));
        let flat = Settings::default().with("beta", "0");
        let given = "strategy = \"power-qbc\"\n[strategy_settings]\nbeta = \"0\"";
        assert_eq!(read(given), ("power-qbc".into(), flat));
        let new = CampaignFile::new("problem.toml", 3);
        std::fs::write(&path, new.text()).unwrap();
        assert_eq!(CampaignFile::read(&path).unwrap(), new);
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
            ("initial = 3\n[strategy_settings]\nbeta = inf", "strategy_settings.beta: give a finite number"),
            ("initial = 3\n[strategy_settings]\nbeta = nan", "strategy_settings.beta: give a finite number"),
            ("initial = 3\nbudget = 0", "budget = 0"),
            ("initial = 3\nheld_out = 0.95", "held_out = 0.95"),
            ("initial = 3\ntarget = 0.0", "target = 0"),
            ("initial = 3\nsample = \"a\"\ncandidate_list = \"b\"", "a list is its own sample"),
            ("batch = 3", "missing field `initial`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = CampaignFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("campaign.toml") && error.contains(words), "{error}");
        }
        assert!(CampaignFile::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
    }
}
