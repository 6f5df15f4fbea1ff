//! From a store on disk to [`ReportData`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dal_eval::{VerdictRules, seeds_to_reach};
use dal_store::{EntryTiming, OwnProblem, Provenance, Run, Status, Store, StoreError, SweepRecord};

use serde_json::Value;

use crate::data::{
    BASELINE, Circumstances, Entry, Made, Model, Protocol, ReportData, RunStatus, RunSummary, Seconds, Setting, Sweep,
};
use crate::text::count;

/// Reads every run of a store, and what its sweeps planned.
///
/// Every run is held against its seals. One that is damaged is listed in [`ReportData::unreadable`] with the store's
/// own words and counts as damaged, a sweep's record that is damaged is left out likewise; neither stops the report.
///
/// # Errors
/// [`StoreError`] where the store as a whole cannot be read.
pub fn load(store: &Store) -> Result<ReportData, StoreError> {
    let mut data = ReportData { source: store.root().display().to_string(), ..ReportData::default() };
    let mut circumstances: BTreeMap<Arc<Circumstances>, Made> = BTreeMap::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let listing = store.listing()?;
    for name in store.run_names_in(&listing) {
        let run = match store.run_of(&name, &listing) {
            Ok(run) => run,
            Err(error) => {
                data.unreadable.push((name, error.to_string()));
                continue;
            }
        };
        known.insert(run.id().to_owned(), data.runs.len());
        let timings = run.timings().unwrap_or_else(|error| {
            data.unreadable.push((format!("the timings of {name}"), error.to_string()));
            Vec::new()
        });
        let provenance = run.provenance().unwrap_or_else(|error| {
            data.unreadable.push((format!("the provenance of {name}"), error.to_string()));
            None
        });
        match summary(&run, timings) {
            Ok(mut summary) => {
                if let Some(provenance) = provenance {
                    let peak = provenance.peak_memory_mib;
                    let how = Arc::new(of_provenance(provenance));
                    let made = circumstances.entry(Arc::clone(&how)).or_default();
                    made.runs += 1;
                    made.peak_memory_mib = made.peak_memory_mib.max(peak);
                    summary.circumstances = Some(how);
                }
                data.runs.push(summary);
            }
            Err(error) => {
                let status = RunStatus::Damaged { reason: error.to_string() };
                data.runs.push(RunSummary { status, ..bare(&run) });
                data.unreadable.push((name, error.to_string()));
            }
        }
    }
    let mut sweeps = Vec::new();
    for sweep in store.sweeps()? {
        match sweep {
            Ok(sweep) => sweeps.push(sweep),
            Err(error) => data.unreadable.push(("a sweep".to_owned(), error.to_string())),
        }
    }
    name_apart(&mut sweeps);
    place(&mut data.runs, &known, &sweeps);
    data.planned_twice = planned_twice(&sweeps);
    for (sweep, runs) in without_record(&data.runs) {
        let why = format!(
            "its record is not there, or damaged, so that it is not known which runs it planned, nor at which looks: {} of it \
             have no verdicts. Starting the sweep again, from its file as it was then, writes the record anew",
            count(runs.len(), "run")
        );
        data.unreadable.push((format!("sweep {sweep}"), why));
        data.planned_twice.extend(runs);
    }
    let replanned = replanned(&sweeps);
    for (sweep, replanned) in sweeps.into_iter().zip(replanned) {
        add_absent(&mut data.runs, &mut known, &sweep, &data.unreadable);
        data.sweeps.push(Sweep {
            name: sweep.name,
            title: sweep.title,
            text: sweep.text,
            departures: sweep.departures,
            looks: sweep.looks,
            replanned,
            own_problems: sweep.own_problems,
        });
    }
    data.provenance = circumstances.into_iter().map(|(how, made)| (Circumstances::clone(&how), made)).collect();
    Ok(data)
}

/// What stands in a model's identity before its network and before its training.
const NETWORK: &str = "network ";
const TRAINING: &str = " training ";

/// What stands in a model's identity before the outputs' transformation.
pub(crate) const OUTPUTS: &str = " outputs ";

/// Gives sweeps of one name whose users' problems differ names of their own, as columns and titles are looked up by the
/// sweep's name: `mine` and `mine (2)`, by the order of their records.
fn name_apart(sweeps: &mut [SweepRecord]) {
    for at in 1..sweeps.len() {
        let (before, rest) = sweeps.split_at_mut(at);
        let own = &mut rest[0];
        own.name = free_name(&own.name, |name| {
            before.iter().any(|other| other.name == name && are_others(&other.own_problems, &own.own_problems))
        });
    }
}

/// Whether users call problems, or their columns, otherwise.
pub(crate) fn are_others(a: &BTreeMap<String, OwnProblem>, b: &BTreeMap<String, OwnProblem>) -> bool {
    a.len() != b.len() || a.iter().zip(b).any(|(a, b)| a.0 != b.0 || !a.1.has_words_of(b.1))
}

/// The name, numbered from 2 on until it is not taken.
pub(crate) fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut free = name.to_owned();
    let mut n = 1;
    while is_taken(&free) {
        n += 1;
        free = format!("{name} ({n})");
    }
    free
}

/// Runs, by sweep, that were made by a sweep of which the store has no record.
fn without_record(runs: &[RunSummary]) -> BTreeMap<String, Vec<String>> {
    let mut by_sweep: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.sweep.is_empty()) {
        let made_by = run.circumstances.as_ref().map(|how| how.sweep.as_str()).unwrap_or_default();
        if !made_by.is_empty() {
            by_sweep.entry(made_by.to_owned()).or_default().push(run.name.clone());
        }
    }
    by_sweep
}

fn directory_name(run: &Run) -> String {
    run.name()
}

/// Notes which sweep planned each run, and whether it is there for its timings alone: a run that any other sweep asks
/// for as well is not.
fn place(runs: &mut [RunSummary], known: &HashMap<String, usize>, sweeps: &[SweepRecord]) {
    for sweep in sweeps {
        for at in sweep.runs.iter().filter_map(|planned| known.get(&planned.id)) {
            let run = &mut runs[*at];
            let first = run.sweep.is_empty();
            run.setting.timing = sweep.timing && (first || run.setting.timing);
            if first || !sweep.timing {
                run.sweep.clone_from(&sweep.name);
            }
        }
    }
}

/// Directories of runs that sweeps with different looks ask for; what is there for its timings alone has none.
fn planned_twice(sweeps: &[SweepRecord]) -> BTreeSet<String> {
    let mut looks: HashMap<&str, &[dal_store::PlannedLook]> = HashMap::new();
    let mut twice = BTreeSet::new();
    for sweep in sweeps.iter().filter(|sweep| !sweep.timing) {
        for planned in &sweep.runs {
            if *looks.entry(&planned.id).or_insert(&sweep.looks) != sweep.looks.as_slice() {
                twice.insert(planned.directory.clone());
            }
        }
    }
    twice
}

/// Seeds from which on a page may have had a verdict of single cells.
fn deciding_seeds() -> usize {
    seeds_to_reach(VerdictRules::default().level / 2.0, 1).unwrap_or(usize::MAX)
}

/// Of each sweep without looks how many seeds its runs were planned with, where plans of the same runs differ: those
/// of a method, as Random's are shared with other experiments.
fn replanned(sweeps: &[SweepRecord]) -> Vec<Vec<usize>> {
    let plain: Vec<Option<(BTreeSet<u64>, HashSet<&str>)>> = sweeps
        .iter()
        .map(|sweep| {
            let runs = || sweep.runs.iter().filter(|run| run.strategy != BASELINE);
            let plan = || (runs().map(|run| run.seed).collect(), runs().map(|run| run.id.as_str()).collect());
            (!sweep.timing && sweep.looks.is_empty()).then(plan)
        })
        .collect();
    let of = |own: &Option<(BTreeSet<u64>, HashSet<&str>)>| {
        let Some((_, runs)) = own else { return Vec::new() };
        let alike = plain.iter().flatten().filter(|(_, of)| !of.is_disjoint(runs));
        several(alike.map(|(seeds, _)| seeds))
    };
    plain.iter().map(of).collect()
}

/// The numbers of seeds of plans, if verdicts could be made at more than one of them.
pub(crate) fn several<'a>(plans: impl IntoIterator<Item = &'a BTreeSet<u64>>) -> Vec<usize> {
    let numbers: BTreeSet<usize> = plans.into_iter().map(BTreeSet::len).filter(|n| *n >= deciding_seeds()).collect();
    if numbers.len() > 1 { numbers.into_iter().collect() } else { Vec::new() }
}

/// Runs that a sweep planned and the store does not have. Their setting is that of the sweep's other runs, of the same
/// problem if there are any; a sweep of which nothing was run says nothing about settings, so its runs cannot be placed
/// and are left out.
fn add_absent(
    runs: &mut Vec<RunSummary>,
    known: &mut HashMap<String, usize>,
    sweep: &SweepRecord,
    unreadable: &[(String, String)],
) {
    let mut by_problem: HashMap<&str, usize> = HashMap::new();
    let mut any = None;
    for planned in &sweep.runs {
        if let Some(&at) = known.get(&planned.id) {
            by_problem.entry(&planned.problem).or_insert(at);
            any = any.or(Some(at));
        }
    }
    for planned in &sweep.runs {
        if known.contains_key(&planned.id) {
            continue;
        }
        let Some(like) = by_problem.get(planned.problem.as_str()).copied().or(any) else { return };
        let same_problem = by_problem.contains_key(planned.problem.as_str());
        known.insert(planned.id.clone(), runs.len());
        let status = match unreadable.iter().find(|(name, _)| *name == planned.directory) {
            Some((_, error)) => RunStatus::Damaged { reason: error.clone() },
            None => RunStatus::Absent,
        };
        runs.push(RunSummary {
            setting: Setting { timing: sweep.timing, ..runs[like].setting.clone() },
            protocol: runs[like].protocol.clone(),
            problem: planned.problem.clone(),
            strategy: planned.strategy.clone(),
            pool_ratio: planned.pool_ratio,
            seed: planned.seed,
            model: if same_problem { runs[like].model.clone() } else { Model::default() },
            own: sweep.own_problems.contains_key(&planned.problem) || same_problem && runs[like].own,
            test_labels: if same_problem { runs[like].test_labels.clone() } else { None },
            status,
            waiting: None,
            entries: Vec::new(),
            name: planned.directory.clone(),
            sweep: sweep.name.clone(),
            circumstances: None,
        });
    }
}

impl Setting {
    /// That of a run; whether it is there for its timings only a sweep says.
    pub fn of(run: &Run) -> Self {
        let key = run.key();
        Self {
            engine: run.spec().engine.clone(),
            platform: key.platform.clone(),
            results_revision: key.results_revision,
            timing: false,
        }
    }
}

impl Protocol {
    /// That of a run.
    pub fn of(run: &Run) -> Self {
        let spec = run.spec();
        Self {
            preset: spec.preset.clone(),
            initial: spec.protocol.initial,
            queries: spec.protocol.queries,
            steps: spec.protocol.steps,
            test_points: spec.protocol.test_points,
            label_noise_percent: spec.protocol.label_noise_percent,
        }
    }
}

impl Model {
    /// That of a run.
    pub fn of(run: &Run) -> Self {
        let spec = run.spec();
        Self {
            problem_digest: spec.problem.digest.clone().unwrap_or_default(),
            network: network_words(&spec.network),
            training: training_words(&spec.training),
            identity: match &spec.outputs {
                None => format!("{NETWORK}{}{TRAINING}{}", spec.network, spec.training),
                Some(outputs) => format!("{NETWORK}{}{TRAINING}{}{OUTPUTS}{outputs}", spec.network, spec.training),
            },
        }
    }
}

impl Model {
    /// With its words made anew from what it is in full: those of tables that an older version wrote say less, and two
    /// forms of words would be two models.
    pub(crate) fn in_todays_words(mut self) -> Self {
        let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
        let after = |word: &str, text: &str| text.find(word).map(|at| text[at + word.len()..].to_owned());
        let network = self.identity.strip_prefix(NETWORK).and_then(first);
        let training = after(TRAINING, &self.identity).as_deref().and_then(first);
        if let (Some(network), Some(training)) = (network, training) {
            (self.network, self.training) = (network_words(&network), training_words(&training));
        }
        self
    }
}

/// A run without its records.
fn bare(run: &Run) -> RunSummary {
    let spec = run.spec();
    RunSummary {
        setting: Setting::of(run),
        protocol: Protocol::of(run),
        problem: spec.problem.variant.clone(),
        strategy: spec.strategy.variant.clone(),
        pool_ratio: spec.pool_ratio(),
        seed: spec.seed,
        model: Model::of(run),
        own: spec.problem.digest.is_some(),
        test_labels: run.test_labels().cloned(),
        status: RunStatus::Partial,
        waiting: None,
        entries: Vec::new(),
        name: directory_name(run),
        sweep: String::new(),
        circumstances: None,
    }
}

fn summary(run: &Run, timings: Vec<EntryTiming>) -> Result<RunSummary, StoreError> {
    run.verify()?;
    let timings: HashMap<usize, EntryTiming> = timings.into_iter().map(|t| (t.entry, t)).collect();
    let entries = run
        .records()?
        .into_iter()
        .map(|record| {
            let choice = record.choice.as_ref();
            Entry {
                n_labelled: record.n_labelled,
                mse: record.errors.mse,
                mae: record.errors.mae,
                p95_abs: record.errors.p95_abs,
                max_abs: record.errors.max_abs,
                diversity: choice.and_then(|c| c.diversity),
                correlation: choice.and_then(|c| c.score_error_correlation),
                failed_labels: record.failed_labels,
                learned: record.learned,
                output_errors: record.output_errors,
                members: record.members,
                auxiliary_mse: record.auxiliary_mse,
                auxiliary: record.auxiliary,
                uncertainty: record.uncertainty,
                notes: choice.map(|c| c.notes.clone()).unwrap_or_default(),
                seconds: timings.get(&record.entry).map(|t| Seconds {
                    training: t.training,
                    auxiliary_training: t.auxiliary_training,
                    sampling: t.sampling,
                    total: t.total(),
                }),
            }
        })
        .collect();
    let status = match run.status() {
        Status::Done => RunStatus::Done,
        Status::Failed(failure) => RunStatus::Failed { reason: failure.to_string() },
        Status::Partial { .. } => RunStatus::Partial,
    };
    Ok(RunSummary { status, entries, waiting: run.waiting()?, ..bare(run) })
}

/// A network in a few words, as far as its description is of the known form: `4 × 50, batch normalisation`.
fn network_words(network: &Value) -> String {
    let Some(hidden) = network["hidden"].as_array() else { return network.to_string() };
    let widths: Vec<u64> = hidden.iter().filter_map(Value::as_u64).collect();
    let mut layers: Vec<String> = Vec::new();
    for run in widths.chunk_by(|a, b| a == b) {
        layers.push(if run.len() == 1 { run[0].to_string() } else { format!("{} × {}", run.len(), run[0]) });
    }
    let head = if network["head"].is_object() { ", convolution head" } else { "" };
    let norm = match &network["batch_norm"] {
        norm if norm.is_null() => ", no batch normalisation",
        norm if norm["statistics"] == "recomputed" => ", batch statistics recomputed",
        _ => "",
    };
    format!("{}{head}{norm}", layers.join(" + "))
}

/// A training in a few words: `3 members, 150 epochs, rate 0.001, decay 0.0001 on the averaged loss of 10 members,
/// collapsed members trained anew`.
fn training_words(training: &Value) -> String {
    let part = |key: &str, before: &str, after: &str| {
        let value = training.get(key)?;
        Some(match value.as_f64() {
            Some(number) => format!("{before}{}{after}", crate::text::number(number)),
            None => format!("{before}{value}{after}"),
        })
    };
    // Both are absent at their defaults.
    let reading = training.get("decay_reading").map(|reading| match reading["averaged-loss"]["members"].as_u64() {
        Some(members) => format!(" on the averaged loss of {members} members"),
        None if reading == "coupled-loss" => " on the members' averaged loss, under one schedule".to_owned(),
        None => format!(" read as {reading}"),
    });
    let on_collapse = training.get("on_collapse").map(|what| match what.as_str() {
        Some("restart") => "collapsed members trained anew".to_owned(),
        _ => format!("on collapse {what}"),
    });
    let parts = [
        part("n_members", "", " members"),
        part("epochs", "", " epochs"),
        part("learning_rate", "rate ", ""),
        part("weight_decay", "decay ", reading.as_deref().unwrap_or_default()),
        on_collapse,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn of_provenance(p: Provenance) -> Circumstances {
    Circumstances {
        dal_version: p.dal_version,
        compiler: p.compiler,
        cpu: p.machine.cpu,
        n_cpus: p.machine.n_cpus,
        memory_mib: p.machine.memory_mib,
        os: format!("{} {}", p.machine.os, p.machine.arch).trim().to_owned(),
        jobs: p.jobs,
        command: p.command,
        sweep: p.sweep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trainings_say_how_decay_acts_and_what_becomes_of_collapsed_members() {
        let words = |more: Value| {
            let mut training = json!({"n_members": 3, "epochs": 150, "weight_decay": 1e-4});
            training.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            training_words(&training)
        };
        assert_eq!(words(json!({})), "3 members, 150 epochs, decay 0.0001");
        assert_eq!(
            words(json!({"decay_reading": {"averaged-loss": {"members": 10}}, "on_collapse": "restart"})),
            "3 members, 150 epochs, decay 0.0001 on the averaged loss of 10 members, collapsed members trained anew"
        );
        assert!(words(json!({"decay_reading": "coupled-loss"})).ends_with("averaged loss, under one schedule"));
        assert!(words(json!({"decay_reading": "another"})).ends_with("read as \"another\""));
    }

    #[test]
    fn models_of_older_tables_have_the_words_of_today() {
        let network = json!({"hidden": [8, 8], "batch_norm": {"statistics": "recomputed"}});
        let identity =
            format!("network {network} training {} outputs []", json!({"epochs": 2, "on_collapse": "restart"}));
        let old = Model { network: "2 × 8".into(), training: "2 epochs".into(), identity, ..Model::default() };
        let new = old.clone().in_todays_words();
        assert_eq!(new.network, "2 × 8, batch statistics recomputed");
        assert_eq!(new.training, "2 epochs, collapsed members trained anew");
        assert_eq!(new.identity, old.identity);
        // Another kind has no training; what is not understood stays.
        let identity = r#"network {"kind":"nearest"} training null"#.to_owned();
        let other = Model { network: r#"{"kind":"nearest"}"#.into(), identity, ..Model::default() };
        assert_eq!(other.clone().in_todays_words(), other);
        let odd = Model { network: "mine".into(), identity: "{}".into(), ..Model::default() };
        assert_eq!(odd.clone().in_todays_words(), odd);
    }
}
