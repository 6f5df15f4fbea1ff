//! What the store keeps of a plan: each run's specification, the list of runs, and departures from published forms.

use std::collections::BTreeMap;

use dal_core::{ModelSpec, OutputScaling, OutputUnits, Shape};
use dal_store::{ColumnRecord, OwnProblem, PlannedRun, ProblemSpec, RunSpec, StrategySpec};
use serde_json::Value;

use super::Chosen;
use crate::plan::Trial;
use crate::problem::PlannedProblem;

const PLAIN: &str = "descriptions are plain data";

/// What all runs of a problem with a strategy have in common; seed and pool are those of a first one.
pub(super) fn run_spec(problem: &PlannedProblem, chosen: &Chosen) -> RunSpec {
    let scaling = problem.problem.scaling();
    let (network, training) = described(&problem.model, problem.problem.shape());
    let problem_spec = ProblemSpec {
        id: problem.problem.id().to_owned(),
        variant: problem.problem.variant_id(),
        settings: problem.problem.settings().as_texts(),
        digest: problem.problem.digest().map(str::to_owned),
    };
    let strategy = StrategySpec {
        id: chosen.id.clone(),
        variant: chosen.found.variant.clone(),
        settings: chosen.found.settings.as_texts(),
    };
    RunSpec {
        problem: problem_spec.into(),
        strategy: strategy.into(),
        seed: 0,
        protocol: problem.protocol,
        preset: problem.preset.clone(),
        network: network.into(),
        training: training.into(),
        outputs: (!scaling.is_none()).then(|| serde_json::to_value(scaling).expect(PLAIN).into()),
        engine: problem.engine.id().to_owned(),
    }
}

/// A model as specifications of runs hold it: an ensemble as its network and its training, without a kind; another kind
/// as one object that names it, and no training.
fn described(model: &ModelSpec, shape: Shape) -> (Value, Value) {
    match model {
        ModelSpec::MlpEnsemble(mlp) => {
            let network = mlp.network(shape).expect("checked when the model was resolved");
            (serde_json::to_value(network).expect(PLAIN), serde_json::to_value(&mlp.training).expect(PLAIN))
        }
        other => (serde_json::to_value(other).expect(PLAIN), Value::Null),
    }
}

/// In what the runs of each problem depart from their published form, by variant.
pub(super) fn departures(problems: &[PlannedProblem]) -> BTreeMap<String, Vec<String>> {
    let all = problems.iter().map(|p| {
        let mut words = crate::departures::from_published(&p.problem, &p.model, &p.protocol);
        words.extend(crate::departures::from_preset(&p.problem, &p.model, &p.preset));
        (p.problem.variant_id(), words)
    });
    all.filter(|(_, words)| !words.is_empty()).collect()
}

/// What users call their problems and columns, by variant.
pub(super) fn own_problems(problems: &[PlannedProblem]) -> BTreeMap<String, OwnProblem> {
    let columns = |columns: &[dal_oracles::Column], scaling: &OutputScaling| {
        let record = |(k, c): (usize, &dal_oracles::Column)| ColumnRecord {
            name: c.name.clone(),
            unit: c.unit.clone(),
            transform: scaling.outputs().get(k).map_or_else(String::new, OutputUnits::in_words),
        };
        columns.iter().enumerate().map(record).collect()
    };
    let own = problems.iter().filter(|p| p.problem.card().is_none());
    own.map(|planned| {
        let problem = &planned.problem;
        let words = OwnProblem {
            title: problem.title().unwrap_or_else(|| problem.id()).to_owned(),
            inputs: columns(problem.inputs(), &OutputScaling::default()),
            outputs: columns(problem.outputs(), problem.scaling()),
            n_points: planned.split.is_none().then(|| problem.space().n_points()).flatten(),
        };
        (problem.variant_id(), words)
    })
    .collect()
}

pub(super) fn planned_run(trial: &Trial) -> PlannedRun {
    let (spec, id) = (trial.spec(), trial.key.id());
    PlannedRun {
        directory: spec.directory_name(&id),
        id,
        problem: spec.problem.variant.clone(),
        strategy: spec.strategy.variant.clone(),
        pool_ratio: spec.pool_ratio(),
        seed: spec.seed,
    }
}
