//! What a sweep planned, so that a reader knows which runs are missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A sweep as it was planned: kept in the store beside the runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// Its name.
    pub name: String,
    /// One line for a reader; may be empty.
    pub title: String,
    /// The sweep file's text.
    pub text: String,
    /// Whether the sweep is there for its timings, taken alone on the machine.
    pub timing: bool,
    /// By problem variant, in what its runs depart from the published protocol, network or training, in words; problems
    /// without a published form, and those run as published, are not in it.
    #[serde(default)]
    pub departures: BTreeMap<String, Vec<String>>,
    /// When verdicts are made, fixed before the first run; a sweep without makes them once, on all its seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<PlannedLook>,
    /// Users' problems by variant, in their own words; built-in ones are not in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own_problems: BTreeMap<String, OwnProblem>,
    /// The runs it asks for, in the sweep's order.
    pub runs: Vec<PlannedRun>,
}

/// One planned look at a growing sweep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedLook {
    /// Seeds, the first ones of the sweep, that its verdicts rest on.
    pub seeds: usize,
    /// Chance of a false verdict at this look, both directions together.
    pub level: f64,
}

/// What a user calls things: for the report's words and axes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnProblem {
    /// What the problem is, in a line; its id where the user gave none.
    pub title: String,
    /// Its inputs.
    pub inputs: Vec<ColumnRecord>,
    /// Its outputs.
    pub outputs: Vec<ColumnRecord>,
    /// How many points its space has, where these are a countable few and not kept apart from the test points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_points: Option<u64>,
}

/// The share of labelled points from which on it is said that models are judged on them, too.
const LEARNED_SHARE: f64 = 0.01;

impl OwnProblem {
    /// Whether columns and titles are the same, whatever else is known of the space.
    pub fn has_words_of(&self, other: &Self) -> bool {
        (&self.title, &self.inputs, &self.outputs) == (&other.title, &other.inputs, &other.outputs)
    }

    /// Where a run that labels so many of its points may be judged on them, too: how many points there are, and the
    /// largest share of test points that are labelled ones.
    pub fn judged_on_learned(&self, n_labels: usize) -> Option<(u64, f64)> {
        let n = self.n_points?;
        let share = (n_labels as f64 / n as f64).min(1.0);
        (share >= LEARNED_SHARE).then_some((n, share))
    }
}

/// An input or output of a user's problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRecord {
    /// Its name.
    pub name: String,
    /// Its unit; `1` for none.
    pub unit: String,
    /// How the model sees it, where that is not as it is: `standardised`, `log, standardised`, `asinh from 0.001`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub transform: String,
}

/// One run that a sweep asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// Id of the run in the store.
    pub id: String,
    /// Name of its directory under `runs/`.
    pub directory: String,
    /// The problem's variant.
    pub problem: String,
    /// The strategy's variant.
    pub strategy: String,
    /// The pool ratio γ; absent for listed candidates.
    pub pool_ratio: Option<usize>,
    /// The repetition.
    pub seed: u64,
}
