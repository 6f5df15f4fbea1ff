//! What the user wrote: the sweep file as it stands, checked for form but not for meaning.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dal_core::settings::closest;
use serde::Deserialize;
use toml::Spanned;

use crate::error::SweepError;

/// A sweep file, read but not yet resolved.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) file: SweepFile,
    /// The instructions of other machines, which run it.
    pub(crate) elsewhere: Option<String>,
}

/// The keys of a sweep file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepFile {
    pub name: Spanned<String>,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub timing: bool,
    pub engine: Option<Spanned<String>>,
    pub device: Option<Spanned<String>>,
    pub precision: Option<Spanned<String>>,
    pub platform: Option<Spanned<String>>,
    pub seeds: Spanned<toml::Value>,
    #[serde(default)]
    pub protocol: ProtocolFile,
    #[serde(default)]
    pub training: Table,
    #[serde(default)]
    pub problem: Vec<Spanned<ProblemFile>>,
    #[serde(default)]
    pub strategy: Vec<Spanned<StrategyFile>>,
    /// When verdicts are made; without, once, on all seeds.
    #[serde(default)]
    pub looks: Vec<Spanned<LookFile>>,
}

/// A planned look: verdicts on so many seeds, false with this chance.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookFile {
    pub seeds: usize,
    pub level: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProtocolFile {
    pub initial: Option<Spanned<usize>>,
    pub queries: Option<Spanned<usize>>,
    pub steps: Option<Spanned<usize>>,
    pub test_points: Option<Spanned<usize>>,
    pub label_noise_percent: Option<Spanned<usize>>,
    pub pool_ratios: Option<Spanned<Vec<usize>>>,
}

/// Keys with their places, read later.
pub(crate) type Table = BTreeMap<String, Spanned<toml::Value>>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemFile {
    pub id: Spanned<String>,
    pub preset: Option<Spanned<String>>,
    #[serde(default)]
    pub settings: Table,
    /// A model of some kind, in place of a preset.
    pub model: Option<Spanned<toml::Value>>,
    #[serde(default)]
    pub network: Table,
    #[serde(default)]
    pub training: Table,
    #[serde(default)]
    pub protocol: ProtocolFile,
    /// Ids of strategies that are not run on this problem.
    #[serde(default)]
    pub skip: Vec<Spanned<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StrategyFile {
    pub id: Spanned<String>,
    #[serde(default)]
    pub settings: Table,
}

impl Sweep {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// A file that cannot be read, is not TOML, lacks a key or has an unknown one; the message names file and line.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SweepError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| SweepError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads a sweep from text; `path` stands in messages.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, path: impl Into<PathBuf>) -> Result<Self, SweepError> {
        let path = path.into();
        let file = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().trim().replace('\n', " ");
            let hint = unknown_word(&message);
            let line = line_of(text, span.start);
            let source = text.lines().nth(line - 1).unwrap_or_default().trim();
            // A message about a value does not name its key: the line does.
            let about_value = message.starts_with("invalid");
            let message = if about_value { format!("{message}, in `{source}`") } else { message };
            SweepError::Syntax { path: path.clone(), line, message, hint }
        })?;
        Ok(Self { path, text: text.to_owned(), file, elsewhere: None })
    }

    /// The sweep's name.
    pub fn name(&self) -> &str {
        self.file.name.get_ref()
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The engine that the file names.
    pub fn engine(&self) -> Option<&str> {
        self.file.engine.as_ref().map(|named| named.get_ref().as_str())
    }

    /// The vector instructions that the file names.
    pub fn platform(&self) -> Option<&str> {
        self.file.platform.as_ref().map(|named| named.get_ref().as_str())
    }

    /// Uses another engine than the file names, on the processor, in f32 and with its fastest instructions unless
    /// [`with_device`](Self::with_device), [`with_precision`](Self::with_precision) or
    /// [`with_platform`](Self::with_platform) follow.
    #[must_use]
    pub fn with_engine(mut self, engine: &str) -> Self {
        if self.file.engine.as_ref().is_none_or(|named| named.get_ref() != engine) {
            self.file.device = None;
            self.file.precision = None;
            self.file.platform = None;
        }
        self.file.engine = Some(instead(engine));
        self
    }

    /// Uses another device than the file names.
    #[must_use]
    pub fn with_device(mut self, device: &str) -> Self {
        self.file.device = Some(instead(device));
        self
    }

    /// Uses another precision of the matrix products than the file names.
    #[must_use]
    pub fn with_precision(mut self, precision: &str) -> Self {
        self.file.precision = Some(instead(precision));
        self
    }

    /// Uses other vector instructions than the file names: those of another machine whose results are wanted.
    #[must_use]
    pub fn with_platform(mut self, platform: &str) -> Self {
        self.file.platform = Some(instead(platform));
        self
    }

    /// Uses what is chosen of these instead of what the file names.
    #[must_use]
    pub fn with_chosen(
        mut self,
        engine: Option<&str>,
        device: Option<&str>,
        precision: Option<&str>,
        platform: Option<&str>,
    ) -> Self {
        // The engine first: it forgets what the file says of another.
        if let Some(engine) = engine {
            self = self.with_engine(engine);
        }
        if let Some(device) = device {
            self = self.with_device(device);
        }
        if let Some(precision) = precision {
            self = self.with_precision(precision);
        }
        if let Some(platform) = platform {
            self = self.with_platform(platform);
        }
        self
    }

    /// Plans for machines whose engine `cpu` has these vector instructions, which this one may lack: runs have the ids
    /// that they get there, costs are measured here, and [`run`](crate::run) refuses the plan. The name is taken as it
    /// is.
    #[must_use]
    pub fn planned_for(mut self, platform: &str) -> Self {
        self.file.platform = None;
        self.elsewhere = Some(platform.to_owned());
        self
    }

    /// An error at this place of the file.
    pub(crate) fn invalid(
        &self,
        at: usize,
        key: impl Into<String>,
        reason: impl Into<String>,
        hint: Option<String>,
    ) -> SweepError {
        SweepError::Invalid {
            path: self.path.clone(),
            line: line_of(&self.text, at),
            key: key.into(),
            reason: reason.into(),
            hint,
        }
    }
}

/// A value that is not the file's: it has no place there.
fn instead(value: &str) -> Spanned<String> {
    Spanned::new(0..0, value.to_owned())
}

/// `did you mean` for messages of the form "unknown field `x`, expected one of `a`, `b`".
fn unknown_word(message: &str) -> Option<String> {
    let mut words = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let found = words.next()?;
    closest(found, words).map(|word| format!("did you mean `{word}`?"))
}

/// The 1-based line of a byte offset.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_hints_are_given() {
        let error = |text: &str| Sweep::parse(text, "a.toml").unwrap_err().to_string();
        assert_eq!(
            error("name = \"x\"\nseeds = 1\n[protocol]\nstep = 3\n"),
            "a.toml:4: unknown field `step`, expected one of `initial`, `queries`, `steps`, `test_points`, \
             `label_noise_percent`, `pool_ratios`; did you mean `steps`?"
        );
        assert!(error("seeds = 1\n").contains("missing field `name`"));
        assert!(error("name = \"x\"\nseeds = \n").starts_with("a.toml:2: "));
        assert!(error("name = \"x\"\nseeds = 1\n[protocol]\nsteps = \"3\"\n").starts_with("a.toml:4: "));
        assert!(error("name = \"x\"\nseeds = 1\n[protocol]\nsteps = -3\n").starts_with("a.toml:4: "));
        assert!(error("name = \"x\"\nseeds = 1\n[protocol]\nsteps = -3\n").ends_with("in `steps = -3`"));
    }
}
