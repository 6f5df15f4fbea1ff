//! What a sweep planned, so that a reader knows which runs are missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A sweep as it was planned: kept in the store beside the runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// Its name.
    pub name: String,
    /// One line for a reader; may be empty.
    pub title: String,
    /// The sweep file's text.
    pub text: String,
    /// Options for the report, as the sweep file states them.
    pub report: BTreeMap<String, Value>,
    /// Whether the sweep is there for its timings, taken alone on the machine.
    pub timing: bool,
    /// By problem variant, in what its runs depart from the published protocol, network or training, in words; problems
    /// without a published form, and those run as published, are not in it.
    #[serde(default)]
    pub departures: BTreeMap<String, Vec<String>>,
    /// The runs it asks for, in the sweep's order.
    pub runs: Vec<PlannedRun>,
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
