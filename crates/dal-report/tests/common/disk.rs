//! A made-up report as a real store on disk, to go the whole way from a store to its conclusions.

use std::path::Path;

use dal_report::{ReportData, RunStatus, RunSummary};
use dal_store::{
    Begin, Choice, EntryErrors, EntryRecord, EntryTiming, Failure, FailureKind, Machine, PlannedRun, PoolSpec,
    Provenance, RunKey, RunSpec, Store, SweepRecord,
};

fn key(run: &RunSummary) -> RunKey {
    let mut spec = RunSpec::example();
    spec.problem.id.clone_from(&run.problem);
    spec.problem.variant.clone_from(&run.problem);
    spec.strategy.id.clone_from(&run.strategy);
    spec.strategy.variant.clone_from(&run.strategy);
    spec.seed = run.seed;
    spec.preset.clone_from(&run.protocol.preset);
    spec.engine.clone_from(&run.setting.engine);
    spec.protocol.initial = run.protocol.initial;
    spec.protocol.queries = run.protocol.queries;
    spec.protocol.steps = run.protocol.steps;
    spec.protocol.test_points = run.protocol.test_points;
    spec.protocol.label_noise_percent = run.protocol.label_noise_percent;
    spec.protocol.pool = PoolSpec::Uniform { ratio: run.pool_ratio.unwrap_or(1) };
    RunKey { platform: run.setting.platform.clone(), results_revision: run.setting.results_revision, spec }
}

/// Writes every run as its status says, absent ones only into the plan.
pub fn write_store(data: &ReportData, dir: &Path) -> Result<Store, Box<dyn std::error::Error>> {
    let store = Store::open_or_create(dir)?;
    let writer = store.writer()?;
    let provenance = Provenance {
        dal_version: "0.1.0".into(),
        command: ["dal", "bench", "run", "planted.toml", "--store", "runs/planted"].map(String::from).to_vec(),
        sweep: "planted".into(),
        machine: Machine { cpu: "a processor".into(), n_cpus: 2, ..Machine::default() },
        ..Provenance::default()
    };
    let mut runs = Vec::new();
    for run in &data.runs {
        let key = key(run);
        runs.push(PlannedRun {
            id: key.id(),
            directory: key.directory_name(),
            problem: run.problem.clone(),
            strategy: run.strategy.clone(),
            pool_ratio: run.pool_ratio,
            seed: run.seed,
        });
        if run.status == RunStatus::Absent {
            continue;
        }
        let Begin::Open(mut open) = writer.begin(&key)? else { return Err("the store is not fresh".into()) };
        for (t, entry) in run.entries.iter().enumerate() {
            let errors = EntryErrors { mse: entry.mse, mae: entry.mae, p95_abs: entry.p95_abs, max_abs: entry.max_abs };
            let mut record = EntryRecord::new(t, entry.n_labelled, errors);
            record.choice = (t < run.protocol.steps).then(|| Choice {
                n_pool: 80,
                n_queries: 0,
                diversity: entry.diversity,
                score_error_correlation: entry.correlation,
                n_ranked: 0,
                probabilities: Vec::new(),
                notes: entry.notes.clone(),
            });
            let timing = entry.seconds.map(|s| EntryTiming {
                entry: t,
                training: s.training,
                sampling: s.sampling,
                auxiliary_training: s.auxiliary_training,
                ..EntryTiming::default()
            });
            open.entry(record, timing)?;
        }
        match &run.status {
            RunStatus::Done => drop(open.finish(&provenance)?),
            RunStatus::Failed { reason } => {
                let kind = FailureKind::Diverged;
                drop(open.fail(Failure { kind, entry: run.entries.len(), message: reason.clone() }, &provenance)?);
            }
            RunStatus::Partial | RunStatus::Absent | RunStatus::Damaged { .. } => drop(open),
        }
    }
    writer.record_sweep(&SweepRecord {
        name: "planted".into(),
        title: "Made up".into(),
        text: "name = \"planted\"\n".into(),
        departures: data.sweeps.iter().flat_map(|sweep| sweep.departures.clone()).collect(),
        runs,
        ..SweepRecord::default()
    })?;
    Ok(store)
}
