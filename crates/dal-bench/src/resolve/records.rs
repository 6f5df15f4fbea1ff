//! What the store keeps of a plan: each run's specification, the list of runs, and departures from published forms.

use std::collections::BTreeMap;

use dal_store::{PlannedRun, PoolSpec, ProblemSpec, ProtocolSpec, RunSpec, StrategySpec};

use super::Chosen;
use crate::plan::Trial;
use crate::problem::PlannedProblem;

pub(super) fn run_spec(problem: &PlannedProblem, chosen: &Chosen, seed: u64, pool: PoolSpec, engine: &str) -> RunSpec {
    let json = |value: Result<serde_json::Value, serde_json::Error>| value.expect("descriptions are plain data");
    let settings = problem.problem.settings().iter();
    RunSpec {
        problem: ProblemSpec {
            id: problem.problem.id().to_owned(),
            variant: problem.problem.variant_id(),
            settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            digest: problem.problem.digest().map(str::to_owned),
        },
        strategy: StrategySpec {
            id: chosen.id.clone(),
            variant: chosen.found.variant.clone(),
            settings: chosen.found.settings.clone(),
        },
        seed,
        protocol: ProtocolSpec { pool, ..problem.protocol },
        preset: problem.preset.clone(),
        network: json(serde_json::to_value(&problem.network)),
        training: json(serde_json::to_value(&problem.training)),
        engine: engine.to_owned(),
    }
}

/// In what the runs of each problem depart from their published form, by variant.
pub(super) fn departures(problems: &[PlannedProblem]) -> BTreeMap<String, Vec<String>> {
    let all = problems.iter().map(|p| {
        let words = crate::departures::from_published(&p.problem, &p.network, &p.training, &p.protocol);
        (p.problem.variant_id(), words)
    });
    all.filter(|(_, words)| !words.is_empty()).collect()
}

pub(super) fn planned_run(trial: &Trial) -> PlannedRun {
    let spec = trial.spec();
    PlannedRun {
        id: trial.key.id(),
        directory: trial.key.directory_name(),
        problem: spec.problem.variant.clone(),
        strategy: spec.strategy.variant.clone(),
        pool_ratio: spec.pool_ratio(),
        seed: spec.seed,
    }
}
