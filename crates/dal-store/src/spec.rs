//! What a run is: the resolved specification, and the key under which its results are kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::canonical::canonical_json;
use crate::shared::Shared;

/// Everything that the results of a run depend on, beside the numeric platform and the results revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// What is learned.
    pub problem: Shared<ProblemSpec>,
    /// Who chooses.
    pub strategy: Shared<StrategySpec>,
    /// Number of the repetition; runs of equal problem and seed share test set, initial set, candidates and weights.
    pub seed: u64,
    /// How much is labelled when, and from which pool.
    pub protocol: ProtocolSpec,
    /// Where the model comes from: `published`, `tuned`, or `sweep` where the sweep file describes it.
    pub preset: String,
    /// The network of an ensemble's members ([`dal_core::model::NetworkSpec`]); a model of another kind with its
    /// `kind`.
    pub network: Shared<Value>,
    /// The training of an ensemble ([`dal_core::model::TrainingSpec`]); null for another kind.
    pub training: Shared<Value>,
    /// How answers are transformed and scaled before a model learns them; absent where they are taken as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Shared<Value>>,
    /// The engine that trains, such as `cpu` or `tch`.
    pub engine: String,
}

/// A problem with its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemSpec {
    /// Id in the catalogue, or a user's name for it.
    pub id: String,
    /// The id with the settings that are not default (`bessel?order=staircase`): names the random streams.
    pub variant: String,
    /// Every setting.
    pub settings: BTreeMap<String, String>,
    /// Hash of a user's problem file and of the data that it names; built-in problems have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A strategy with its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrategySpec {
    /// Id in the catalogue.
    pub id: String,
    /// The id with the settings that are not default (`qbc-diversity?scaling=raw`).
    pub variant: String,
    /// The settings.
    pub settings: BTreeMap<String, String>,
}

/// How much is labelled when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolSpec {
    /// Points labelled before the first model.
    pub initial: usize,
    /// Queries per step.
    pub queries: usize,
    /// Steps; entries 0..=steps are recorded.
    pub steps: usize,
    /// Points of the test set.
    pub test_points: usize,
    /// Normal noise on the labels that are learned, its standard deviation in hundredths of that of each output's true
    /// values; test labels have none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_noise_percent: usize,
    /// Where queries are chosen from.
    pub pool: PoolSpec,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Where queries are chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PoolSpec {
    /// Drawn afresh at every step: `ratio` times the queries.
    Uniform {
        /// The pool ratio γ. Random has 1 and stands for every γ.
        ratio: usize,
    },
    /// A fixed list, such as a table without its test rows.
    Candidates {
        /// How many.
        n: usize,
    },
}

impl RunSpec {
    /// The pool ratio γ, where the pool is drawn afresh.
    pub fn pool_ratio(&self) -> Option<usize> {
        match self.protocol.pool {
            PoolSpec::Uniform { ratio } => Some(ratio),
            PoolSpec::Candidates { .. } => None,
        }
    }

    /// Entries of a finished run.
    pub fn n_entries(&self) -> usize {
        self.protocol.steps + 1
    }

    /// For people: problem, strategy, pool ratio and seed, as in `sine-gsx-g2-s0`. Not parsed anywhere.
    pub fn label(&self) -> String {
        let pool = self.pool_ratio().map(|ratio| format!("-g{ratio}")).unwrap_or_default();
        let safe = |text: &str| {
            text.chars()
                .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
                .collect::<String>()
        };
        format!("{}-{}{pool}-s{}", safe(&self.problem.variant), safe(&self.strategy.variant), self.seed)
    }

    /// Name of the directory of the run that has this specification and this [id](RunKey::id).
    pub fn directory_name(&self, id: &str) -> String {
        format!("{}-{id}", self.label())
    }

    /// A small specification for examples and tests.
    pub fn example() -> Self {
        Self {
            problem: ProblemSpec { id: "sine".into(), variant: "sine".into(), settings: BTreeMap::new(), digest: None }
                .into(),
            strategy: StrategySpec { id: "gsx".into(), variant: "gsx".into(), settings: BTreeMap::new() }.into(),
            seed: 0,
            protocol: ProtocolSpec {
                initial: 80,
                queries: 40,
                steps: 50,
                test_points: 4000,
                label_noise_percent: 0,
                pool: PoolSpec::Uniform { ratio: 2 },
            },
            preset: "published".into(),
            network: serde_json::json!({"hidden": [20, 20], "n_inputs": 1, "n_outputs": 1}).into(),
            training: serde_json::json!({"epochs": 500, "learning_rate": 1e-3, "n_members": 10}).into(),
            outputs: None,
            engine: "cpu".into(),
        }
    }
}

/// What identifies a run in a store: two runs with equal keys have byte-identical results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunKey {
    /// The numeric platform (engine, kernel path, order of sums).
    pub platform: String,
    /// [`dal_core::RESULTS_REVISION`] of the program that ran it.
    pub results_revision: u32,
    /// The specification.
    pub spec: RunSpec,
}

impl RunKey {
    /// The key of a run by this program on this platform.
    pub fn current(spec: RunSpec, platform: impl Into<String>) -> Self {
        Self { platform: platform.into(), results_revision: dal_core::RESULTS_REVISION, spec }
    }

    /// The content of `spec.json`.
    pub fn to_json(&self) -> String {
        text(self) + "\n"
    }

    /// The first 16 hexadecimal digits of the SHA-256 of `spec.json`.
    pub fn id(&self) -> String {
        short_hash(self.to_json().as_bytes())
    }

    /// Name of the run's directory: the label for people, the id for the program.
    pub fn directory_name(&self) -> String {
        self.spec.directory_name(&self.id())
    }
}

fn text(value: &impl Serialize) -> String {
    canonical_json(value).expect("specifications are plain data with string keys")
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hash(bytes)[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changing this value makes every store of every user start over: raise the layout version instead.
    #[test]
    fn the_id_is_pinned() {
        let key = RunKey { platform: "cpu/test".into(), results_revision: 1, spec: RunSpec::example() };
        assert_eq!(
            key.to_json(),
            concat!(
                r#"{"platform":"cpu/test","results_revision":1,"spec":{"engine":"cpu","#,
                r#""network":{"hidden":[20,20],"n_inputs":1,"n_outputs":1},"preset":"published","#,
                r#""problem":{"id":"sine","settings":{},"variant":"sine"},"#,
                r#""protocol":{"initial":80,"pool":{"kind":"uniform","ratio":2},"queries":40,"steps":50,"test_points":4000},"#,
                r#""seed":0,"strategy":{"id":"gsx","settings":{},"variant":"gsx"},"#,
                r#""training":{"epochs":500,"learning_rate":0.001,"n_members":10}}}"#,
                "\n"
            )
        );
        assert_eq!(key.id(), PINNED);
        assert_eq!(key.directory_name(), format!("sine-gsx-g2-s0-{PINNED}"));
        assert_eq!(serde_json::from_str::<RunKey>(&key.to_json()).unwrap(), key);
    }
    const PINNED: &str = "0235b744c06c5a20";

    #[test]
    fn platform_and_revision_tell_runs_apart_but_not_specifications() {
        let key = RunKey::current(RunSpec::example(), "a");
        let other = RunKey { platform: "b".into(), ..key.clone() };
        let later = RunKey { results_revision: key.results_revision + 1, ..key.clone() };
        assert_ne!(key.id(), other.id());
        assert_ne!(key.id(), later.id());
        assert_eq!(key.spec, other.spec);
    }

    #[test]
    fn labels_are_safe_as_names() {
        let mut spec = RunSpec::example();
        spec.problem.variant = "my/problem?x=../y".into();
        assert_eq!(spec.label(), "my_problem_x_.._y-gsx-g2-s0");
    }
}
