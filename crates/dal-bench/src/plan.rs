//! What a sweep means: every trial with every default filled in, checked before anything is trained.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use dal_core::{
    FitJob, LabelFailure, LabelFailureKind, Labelled, LearnError, Needs, OnRow, OracleError, Pool, Protocol, Strategy,
    TrialSeeds, check_label,
};
use dal_nn::{
    BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, NetworkSpec, TrainingSpec,
};
use dal_oracles::{Learning, Problem};
use dal_store::{PlannedRun, PoolSpec, ProblemSpec, ProtocolSpec, RunKey, RunSpec, StrategySpec, SweepRecord};
use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;
use toml::Spanned;

use crate::catalogue::{Catalogue, FoundStrategy, Lookup};
use crate::engine::{Engine, EngineChoice};
use crate::error::{BenchError, SweepError};
use crate::estimate::Rate;
use crate::sweep::{NetworkFile, ProblemFile, ProtocolFile, Sweep, TrainingFile};

/// The id of the baseline: one run per (problem, seed), which stands for every pool ratio.
const RANDOM: &str = "random";

/// A sweep, resolved.
#[derive(Debug)]
pub struct Plan {
    record: SweepRecord,
    engine: Arc<dyn Engine>,
    problems: Vec<PlannedProblem>,
    trials: Vec<Trial>,
    /// What each problem's networks were measured to cost, once they were.
    pub(crate) rates: Vec<OnceLock<Rate>>,
}

/// A problem as a sweep uses it.
#[derive(Debug)]
pub struct PlannedProblem {
    problem: Problem,
    network: NetworkSpec,
    training: TrainingSpec,
    preset: String,
    protocol: ProtocolSpec,
    split: Option<Split>,
    test: OnceLock<TestSet>,
}

/// The listed points of a problem that has such a list, each of shape (n, n_columns).
#[derive(Debug)]
struct Split {
    /// Those that may be queried.
    candidates: Array2<f64>,
    /// Those that models are judged on.
    test_x: Array2<f64>,
}

/// Points and labels that models are judged on.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSet {
    /// Shape (n_test, n_columns).
    pub x: Array2<f64>,
    /// Shape (n_test, n_outputs).
    pub y: Array2<f64>,
    /// Points that were drawn for it but have no label, and are left out: their places among those drawn, and why.
    pub failures: Vec<(usize, LabelFailure)>,
}

/// What labels points, as [`Oracle::label`](dal_core::Oracle::label) does.
type LabelWith<'a> = dyn FnMut(ArrayView2<'_, f64>, &mut OnRow<'_>) -> Result<(), OracleError> + 'a;

/// One run of a plan.
#[derive(Clone, Debug)]
pub struct Trial {
    key: RunKey,
    problem: usize,
    strategy: Arc<dyn Strategy>,
}

impl Trial {
    /// Its key in the store.
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// Its specification.
    pub fn spec(&self) -> &RunSpec {
        &self.key.spec
    }

    /// Index of its problem in [`Plan::problems`].
    pub fn problem(&self) -> usize {
        self.problem
    }

    /// Its strategy.
    pub fn strategy(&self) -> &Arc<dyn Strategy> {
        &self.strategy
    }

    /// Its random streams.
    pub fn seeds(&self) -> TrialSeeds {
        TrialSeeds::new(&self.spec().problem.variant, self.spec().seed)
    }
}

impl PlannedProblem {
    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The network it is learned with.
    pub fn network(&self) -> &NetworkSpec {
        &self.network
    }

    /// How that is trained.
    pub fn training(&self) -> &TrainingSpec {
        &self.training
    }

    /// Whether labels cost next to nothing, as those of the built-in problems do whose answers are not as long as a spectrum
    /// of `adm` (a millisecond each).
    pub fn cheap_labels(&self) -> bool {
        self.problem.card().is_some() && self.problem.oracle().n_outputs() <= 256
    }

    /// Whether each answer may cost a simulation, so that none is asked for twice: the problem is a user's, and no table.
    pub fn costly_labels(&self) -> bool {
        self.problem.card().is_none() && self.problem.candidates().is_none()
    }

    /// The test set, labelled on first use. Of a user's problem, points whose label fails are left out.
    ///
    /// # Errors
    /// A label of a built-in problem that fails; a user's problem none of whose points gets a label.
    pub fn test_set(&self) -> Result<&TestSet, BenchError> {
        let oracle = self.problem.oracle();
        self.test_set_from(&mut |x, on_row| oracle.label(x, on_row))
    }

    /// As [`test_set`](Self::test_set), with labels from where the caller has them.
    pub(crate) fn test_set_from(&self, label: &mut LabelWith<'_>) -> Result<&TestSet, BenchError> {
        if let Some(test) = self.test.get() {
            return Ok(test);
        }
        let variant = self.problem.variant_id();
        let failed = |reason: String| BenchError::TestSet { problem: variant.clone(), reason };
        let seeds = TrialSeeds::new(&variant, 0);
        let x = match &self.split {
            Some(split) => split.test_x.clone(),
            None => self.problem.space().sample(self.protocol.test_points, &seeds.test()),
        };
        let mut y = Array2::zeros((x.nrows(), self.problem.oracle().n_outputs()));
        let missing = LabelFailure::new(LabelFailureKind::Missing, "the oracle gave no answer for this row");
        let mut failures = vec![Some(missing); x.nrows()];
        label(x.view(), &mut |row, answer| {
            failures[row] = answer.and_then(|label| check_label(label, y.ncols())).map_or_else(Some, |label| {
                y.row_mut(row).assign(&ndarray::aview1(label));
                None
            });
        })
        .map_err(|error| failed(error.to_string()))?;
        let failures: Vec<(usize, LabelFailure)> =
            failures.into_iter().enumerate().filter_map(|(row, failure)| Some((row, failure?))).collect();
        let Some((row, first)) = failures.first() else {
            return Ok(self.test.get_or_init(|| TestSet { x, y, failures }));
        };
        if self.problem.card().is_some() {
            return Err(failed(format!("row {row}: {first}")));
        }
        if failures.len() == x.nrows() {
            return Err(failed(format!("none of its {} points has a label; row {row}: {first}", x.nrows())));
        }
        let kept: Vec<usize> = (0..x.nrows()).filter(|row| failures.iter().all(|(failed, _)| failed != row)).collect();
        let (x, y) = (x.select(Axis(0), &kept), y.select(Axis(0), &kept));
        Ok(self.test.get_or_init(|| TestSet { x, y, failures }))
    }

    /// The protocol of a campaign.
    pub fn protocol(&self, spec: &ProtocolSpec) -> Protocol {
        let pool = match (spec.pool, &self.split) {
            (_, Some(split)) => Pool::Candidates(split.candidates.clone()),
            (PoolSpec::Uniform { ratio }, None) => Pool::Uniform { n_candidates: ratio * spec.queries },
            (PoolSpec::Candidates { n }, None) => Pool::Uniform { n_candidates: n },
        };
        Protocol { n_initial: spec.initial, n_queries: spec.queries, n_steps: spec.steps, pool }
    }
}

impl Plan {
    /// The sweep's name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Whether the sweep is there for its timings and therefore runs alone, one trial at a time.
    pub fn is_timing(&self) -> bool {
        self.record.timing
    }

    /// What the store keeps of the sweep.
    pub fn record(&self) -> &SweepRecord {
        &self.record
    }

    /// Who trains.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The problems.
    pub fn problems(&self) -> &[PlannedProblem] {
        &self.problems
    }

    /// The trials, by problem, seed, strategy and pool ratio.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    pub(crate) fn of(sweep: &Sweep, catalogue: &dyn Catalogue) -> Result<Self, SweepError> {
        Resolver { sweep, catalogue }.plan()
    }
}

/// What a key of the file says, if it is there.
fn named(value: &Option<Spanned<String>>) -> Option<&str> {
    value.as_ref().map(|value| value.get_ref().as_str())
}

struct Resolver<'a> {
    sweep: &'a Sweep,
    catalogue: &'a dyn Catalogue,
}

/// A strategy of the sweep.
struct Chosen {
    at: usize,
    id: String,
    found: FoundStrategy,
}

impl Resolver<'_> {
    fn plan(&self) -> Result<Plan, SweepError> {
        let file = &self.sweep.file;
        if file.name.get_ref().trim().is_empty() {
            return Err(self.sweep.invalid(file.name.span().start, "name", "it is empty", None));
        }
        let seeds = self.seeds()?;
        let engine = self.engine()?;
        for (key, there) in [("problem", !file.problem.is_empty()), ("strategy", !file.strategy.is_empty())] {
            if !there {
                let hint = Some(format!("add at least one [[{key}]] with an id"));
                return Err(self.sweep.invalid(0, key, "there is none", hint));
            }
        }
        let strategies = self.strategies()?;
        let mut problems: Vec<PlannedProblem> = Vec::new();
        let mut trials = Vec::new();
        for (i, entry) in file.problem.iter().enumerate() {
            let key = format!("problem[{i}]");
            let (problem, platform, ratios) = self.problem(entry, &key, &strategies, &*engine)?;
            let variant = problem.problem.variant_id();
            if problems.iter().any(|other| other.problem.variant_id() == variant) {
                let hint = "a sweep holds each problem once; put the other network into a sweep of its own";
                let at = entry.span().start;
                return Err(self.sweep.invalid(at, key, format!("`{variant}` again"), Some(hint.into())));
            }
            let skipped: BTreeSet<&str> = entry.get_ref().skip.iter().map(|id| id.get_ref().as_str()).collect();
            for &seed in &seeds {
                for chosen in strategies.iter().filter(|chosen| !skipped.contains(chosen.id.as_str())) {
                    for pool in pools(&problem, chosen, &ratios) {
                        let spec = run_spec(&problem, chosen, seed, pool, engine.id());
                        trials.push(Trial {
                            key: RunKey::current(spec, platform.clone()),
                            problem: i,
                            strategy: Arc::clone(&chosen.found.strategy),
                        });
                    }
                }
            }
            problems.push(problem);
        }
        let runs = trials.iter().map(planned_run).collect();
        let report = file.report.iter().map(|(key, value)| {
            let value = serde_json::to_value(value).unwrap_or(serde_json::Value::Null);
            (key.clone(), value)
        });
        let record = SweepRecord {
            name: file.name.get_ref().clone(),
            title: file.title.clone(),
            text: self.sweep.text.clone(),
            report: report.collect(),
            timing: file.timing,
            departures: departures(&problems),
            runs,
        };
        let rates = problems.iter().map(|_| OnceLock::new()).collect();
        Ok(Plan { record, engine, problems, trials, rates })
    }

    fn engine(&self) -> Result<Arc<dyn Engine>, SweepError> {
        let file = &self.sweep.file;
        let choice = EngineChoice {
            id: named(&file.engine).unwrap_or("cpu"),
            device: named(&file.device),
            precision: named(&file.precision),
        };
        self.catalogue.engine(&choice).map_err(|e| {
            // The value that the message names is to blame.
            let (option, place) = [("precision", &file.precision), ("device", &file.device)]
                .into_iter()
                .find(|(_, value)| named(value).is_some_and(|value| e.reason.contains(value)))
                .unwrap_or(("engine", &file.engine));
            match place {
                Some(value) if value.span().is_empty() => {
                    SweepError::Instead { option, reason: e.reason, hint: e.hint }
                }
                place => {
                    let at = place.as_ref().map_or(0, |value| value.span().start);
                    self.sweep.invalid(at, option, e.reason, e.hint)
                }
            }
        })
    }

    fn seeds(&self) -> Result<Vec<u64>, SweepError> {
        let seeds = &self.sweep.file.seeds;
        let invalid = |reason: String| {
            let hint = "give how many (seeds = 5) or which (seeds = [0, 3])".to_owned();
            self.sweep.invalid(seeds.span().start, "seeds", reason, Some(hint))
        };
        let seed = |value: &toml::Value| {
            value
                .as_integer()
                .and_then(|seed| u64::try_from(seed).ok())
                .ok_or_else(|| invalid(format!("`{value}` is not a whole number from 0 on")))
        };
        match seeds.get_ref() {
            toml::Value::Array(list) => {
                let list: Vec<u64> = list.iter().map(seed).collect::<Result<_, _>>()?;
                if list.is_empty() {
                    return Err(invalid("the list is empty".into()));
                }
                let distinct: BTreeSet<u64> = list.iter().copied().collect();
                if distinct.len() != list.len() {
                    return Err(invalid("a seed stands there twice".into()));
                }
                Ok(list)
            }
            count => match seed(count)? {
                0 => Err(invalid("none are asked for".into())),
                n if n > 1_000_000 => Err(invalid(format!("{n} are more than any sweep can run"))),
                n => Ok((0..n).collect()),
            },
        }
    }

    fn strategies(&self) -> Result<Vec<Chosen>, SweepError> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for (i, entry) in self.sweep.file.strategy.iter().enumerate() {
            let key = format!("strategy[{i}]");
            let id = entry.get_ref().id.get_ref();
            let settings = self.settings(&entry.get_ref().settings, &key)?;
            let found = self.catalogue.strategy(id, &settings).map_err(|e| {
                let at = place(&entry.get_ref().id, &entry.get_ref().settings, &e);
                self.sweep.invalid(at, &key, e.reason, e.hint)
            })?;
            if chosen.iter().any(|other| other.found.variant == found.variant) {
                let reason = format!("`{}` again", found.variant);
                return Err(self.sweep.invalid(entry.span().start, key, reason, Some("remove one of them".into())));
            }
            chosen.push(Chosen { at: entry.span().start, id: id.clone(), found });
        }
        Ok(chosen)
    }

    /// Settings as strings, whatever their TOML type.
    fn settings(
        &self,
        settings: &BTreeMap<String, Spanned<toml::Value>>,
        key: &str,
    ) -> Result<BTreeMap<String, String>, SweepError> {
        let text = |(name, value): (&String, &Spanned<toml::Value>)| {
            let text = match value.get_ref() {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                other => {
                    let reason = format!("a {} is no setting", other.type_str());
                    let hint = "give a text, a number, true or false".to_owned();
                    let key = format!("{key}.settings.{name}");
                    return Err(self.sweep.invalid(value.span().start, key, reason, Some(hint)));
                }
            };
            Ok((name.clone(), text))
        };
        settings.iter().map(text).collect()
    }

    /// A problem with the platform of its learner and its pool ratios.
    fn problem(
        &self,
        entry: &Spanned<ProblemFile>,
        key: &str,
        strategies: &[Chosen],
        engine: &dyn Engine,
    ) -> Result<(PlannedProblem, String, Vec<usize>), SweepError> {
        let (at, entry) = (entry.span().start, entry.get_ref());
        let settings = self.settings(&entry.settings, key)?;
        let base = self.sweep.path.parent().unwrap_or(Path::new(""));
        let problem = self
            .catalogue
            .problem(entry.id.get_ref(), &settings, base)
            .map_err(|e| self.sweep.invalid(place(&entry.id, &entry.settings, &e), key, e.reason, e.hint))?;
        let preset =
            entry.preset.as_ref().map_or(problem.default_preset(), |preset| preset.get_ref().as_str()).to_owned();
        let Some(learning) = problem.preset(&preset) else {
            let span = entry.preset.as_ref().map_or(at, |preset| preset.span().start);
            let reason = format!("there is no preset `{preset}` for `{}`", problem.id());
            let hint = Some(format!("there is: {}", problem.presets().join(", ")));
            return Err(self.sweep.invalid(span, format!("{key}.preset"), reason, hint));
        };
        for id in &entry.skip {
            if !strategies.iter().any(|chosen| chosen.id == *id.get_ref()) {
                let known = strategies.iter().map(|chosen| chosen.id.as_str()).collect::<Vec<_>>().join(", ");
                let reason = format!("the sweep has no strategy `{}`", id.get_ref());
                let hint = Some(format!("it has {known}"));
                return Err(self.sweep.invalid(id.span().start, format!("{key}.skip"), reason, hint));
            }
        }
        let network = self.network(&problem, &learning, &entry.network, key, at)?;
        let training = self.training(&problem, &learning, &entry.training, key, at)?;
        let (mut protocol, ratios) = self.protocol(&entry.protocol, key)?;
        let split = self.split(&problem, &mut protocol, key, at)?;
        let learner =
            engine.learner(&network, &training).map_err(|reason| self.sweep.invalid(at, key, reason, None))?;
        let platform = learner.platform();
        drop(learner);
        let mut rehearsed: Vec<Needs> = Vec::new();
        for chosen in strategies.iter().filter(|c| !entry.skip.iter().any(|id| *id.get_ref() == c.id)) {
            let needs = chosen.found.strategy.needs();
            if rehearsed.contains(&needs) {
                continue;
            }
            rehearse(engine, &network, &training, &needs).map_err(|error| {
                let reason = format!("strategy `{}` cannot be run on it: {error}", chosen.found.variant);
                let hint = Some(format!("leave it out with skip = [\"{}\"]", chosen.id));
                self.sweep.invalid(chosen.at.max(at), key, reason, hint)
            })?;
            rehearsed.push(needs);
        }
        let planned = PlannedProblem { problem, network, training, preset, protocol, split, test: OnceLock::new() };
        Ok((planned, platform, ratios))
    }

    fn network(
        &self,
        problem: &Problem,
        learning: &Learning,
        file: &NetworkFile,
        key: &str,
        at: usize,
    ) -> Result<NetworkSpec, SweepError> {
        let (mut at, mut key) = (at, format!("{key}.network"));
        let hidden = match &file.hidden {
            Some(hidden) => {
                (at, key) = (hidden.span().start, format!("{key}.hidden"));
                hidden.get_ref().clone()
            }
            None => learning.hidden.clone(),
        };
        let statistics = match &file.batch_norm_statistics {
            None if learning.recomputed_statistics => BatchNormStatistics::Recomputed,
            None => BatchNormStatistics::Running,
            Some(text) => match text.get_ref().as_str() {
                "running" => BatchNormStatistics::Running,
                "recomputed" => BatchNormStatistics::Recomputed,
                other => {
                    let reason = format!("`{other}` is neither `running` nor `recomputed`");
                    let key = format!("{key}.batch_norm_statistics");
                    return Err(self.sweep.invalid(text.span().start, key, reason, None));
                }
            },
        };
        let batch_norm = file
            .batch_norm
            .unwrap_or(learning.batch_norm)
            .then(|| BatchNormSpec { statistics, ..BatchNormSpec::default() });
        let head = match &learning.head {
            None => Head::Linear,
            Some(head) => {
                let layer = |card: &dal_oracles::card::ConvolutionCard| ConvLayerSpec {
                    kind: if card.transposed { ConvKind::Transposed } else { ConvKind::Plain },
                    n_in: card.channels_in,
                    n_out: card.channels_out,
                    kernel: card.kernel,
                    stride: card.stride,
                    padding: card.padding,
                };
                Head::Convolution(ConvHeadSpec { length: head.length, layers: head.layers.iter().map(layer).collect() })
            }
        };
        let (n_inputs, n_outputs) = (problem.space().n_columns(), problem.oracle().n_outputs());
        NetworkSpec::new(n_inputs, n_outputs, hidden, batch_norm, head)
            .map_err(|error| self.sweep.invalid(at, key, error.to_string(), None))
    }

    fn training(
        &self,
        problem: &Problem,
        learning: &Learning,
        own: &TrainingFile,
        key: &str,
        at: usize,
    ) -> Result<TrainingSpec, SweepError> {
        let shared = &self.sweep.file.training;
        // The published ensembles have ten members, ADM's five.
        let members = if problem.id() == "adm" { 5 } else { 10 };
        let pick = |own: &Option<Spanned<f64>>, shared: &Option<Spanned<f64>>, default: f64| {
            own.as_ref().or(shared.as_ref()).map_or(default, |value| *value.get_ref())
        };
        let training = TrainingSpec {
            n_members: number(&own.members, &shared.members, members),
            epochs: number(&own.epochs, &shared.epochs, 500),
            learning_rate: pick(&own.learning_rate, &shared.learning_rate, learning.learning_rate),
            weight_decay: pick(&own.weight_decay, &shared.weight_decay, learning.weight_decay),
            ..TrainingSpec::default()
        };
        training
            .validate()
            .map_err(|error| self.sweep.invalid(at, format!("{key}.training"), error.to_string(), None))?;
        Ok(training)
    }

    fn protocol(&self, own: &ProtocolFile, key: &str) -> Result<(ProtocolSpec, Vec<usize>), SweepError> {
        let shared = &self.sweep.file.protocol;
        // Generous limits, so that sizes can be multiplied without a thought.
        let within = |own: &Option<Spanned<usize>>, shared: &Option<Spanned<usize>>, name: &str, default, least| {
            let value = number(own, shared, default);
            if (least..=10_000_000).contains(&value) {
                return Ok(value);
            }
            let (at, key) = match (own, shared) {
                (Some(own), _) => (own.span().start, format!("{key}.protocol.{name}")),
                (None, Some(shared)) => (shared.span().start, format!("protocol.{name}")),
                (None, None) => (0, format!("protocol.{name}")),
            };
            Err(self.sweep.invalid(at, key, format!("{value} is outside {least} to 10000000"), None))
        };
        let protocol = ProtocolSpec {
            initial: within(&own.initial, &shared.initial, "initial", 80, 1)?,
            queries: within(&own.queries, &shared.queries, "queries", 40, 1)?,
            steps: within(&own.steps, &shared.steps, "steps", 50, 0)?,
            test_points: within(&own.test_points, &shared.test_points, "test_points", 4000, 1)?,
            pool: PoolSpec::Uniform { ratio: 1 },
        };
        let ratios = match own.pool_ratios.as_ref().or(shared.pool_ratios.as_ref()) {
            None => vec![2, 4, 8, 16, 32, 64],
            Some(given) => {
                let ratios = given.get_ref().clone();
                let distinct: BTreeSet<usize> = ratios.iter().copied().collect();
                if ratios.is_empty()
                    || distinct.len() != ratios.len()
                    || !ratios.iter().all(|r| (1..=100_000).contains(r))
                {
                    let hint = Some("give distinct whole numbers from 1 to 100000, as in [2, 8]".to_owned());
                    let reason = format!("{ratios:?} makes no sense");
                    return Err(self.sweep.invalid(given.span().start, "protocol.pool_ratios", reason, hint));
                }
                ratios
            }
        };
        Ok((protocol, ratios))
    }

    /// Of a problem with listed candidates: test rows drawn from its own stream, the others to be queried.
    fn split(
        &self,
        problem: &Problem,
        protocol: &mut ProtocolSpec,
        key: &str,
        at: usize,
    ) -> Result<Option<Split>, SweepError> {
        let Some(table) = problem.candidates() else { return Ok(None) };
        let needed = protocol.test_points.saturating_add(protocol.initial).saturating_add(protocol.queries);
        if table.nrows() < needed {
            let reason = format!(
                "its table has {} rows; {} test points, {} initial points and a first step of {} need {needed}",
                table.nrows(),
                protocol.test_points,
                protocol.initial,
                protocol.queries
            );
            let hint = Some("set smaller numbers in its protocol".to_owned());
            return Err(self.sweep.invalid(at, format!("{key}.protocol"), reason, hint));
        }
        let mut rows: Vec<usize> = (0..table.nrows()).collect();
        rows.shuffle(&mut TrialSeeds::new(&problem.variant_id(), 0).test().rng());
        let (test, rest) = rows.split_at_mut(protocol.test_points);
        test.sort_unstable();
        rest.sort_unstable();
        protocol.pool = PoolSpec::Candidates { n: rest.len() };
        Ok(Some(Split { candidates: table.select(Axis(0), rest), test_x: table.select(Axis(0), test) }))
    }
}

/// The place of the setting that an error names, or of the id.
fn place(id: &Spanned<String>, settings: &BTreeMap<String, Spanned<toml::Value>>, error: &Lookup) -> usize {
    let names = |key: &str| [format!("`{key}`"), format!("setting {key}=")].iter().any(|n| error.reason.contains(n));
    let named = settings.iter().find(|(key, _)| names(key));
    named.map_or(id.span().start, |(_, value)| value.span().start)
}

fn number(own: &Option<Spanned<usize>>, shared: &Option<Spanned<usize>>, default: usize) -> usize {
    own.as_ref().or(shared.as_ref()).map_or(default, |value| *value.get_ref())
}

/// The pools that a strategy is run with.
fn pools(problem: &PlannedProblem, chosen: &Chosen, ratios: &[usize]) -> Vec<PoolSpec> {
    match problem.protocol.pool {
        PoolSpec::Candidates { n } => vec![PoolSpec::Candidates { n }],
        PoolSpec::Uniform { .. } if chosen.id == RANDOM => vec![PoolSpec::Uniform { ratio: 1 }],
        PoolSpec::Uniform { .. } => ratios.iter().map(|&ratio| PoolSpec::Uniform { ratio }).collect(),
    }
}

fn run_spec(problem: &PlannedProblem, chosen: &Chosen, seed: u64, pool: PoolSpec, engine: &str) -> RunSpec {
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
fn departures(problems: &[PlannedProblem]) -> BTreeMap<String, Vec<String>> {
    let all = problems.iter().map(|p| {
        let words = crate::departures::from_published(&p.problem, &p.network, &p.training, &p.protocol);
        (p.problem.variant_id(), words)
    });
    all.filter(|(_, words)| !words.is_empty()).collect()
}

fn planned_run(trial: &Trial) -> PlannedRun {
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

/// Trains a network of the same layers, but a few units wide, for no epochs, so that needs which engine or network cannot meet
/// show up now.
fn rehearse(
    engine: &dyn Engine,
    network: &NetworkSpec,
    training: &TrainingSpec,
    needs: &Needs,
) -> Result<(), LearnError> {
    let other = |message: String| LearnError::Other { message };
    let hidden = network.hidden().iter().map(|&width| width.min(4)).collect();
    let (n_inputs, n_outputs) = (network.n_inputs(), network.n_outputs());
    let narrow = NetworkSpec::new(n_inputs, n_outputs, hidden, network.batch_norm().copied(), network.head().clone())
        .map_err(|error| other(error.to_string()))?;
    let training = TrainingSpec { epochs: 0, n_members: 1, ..training.clone() };
    let learner = engine.learner(&narrow, &training).map_err(other)?;
    let points = |n_columns| Array2::from_shape_fn((2, n_columns), |(row, _)| row as f64 - 0.5);
    let labelled = Labelled::new(points(n_inputs), points(n_outputs)).map_err(|error| other(error.to_string()))?;
    let seeds = TrialSeeds::new("rehearsal", 0).fit(0);
    let mut fits = learner.fit_all(&[FitJob { labelled: &labelled, needs, seeds }]);
    fits.pop().unwrap_or_else(|| Err(other("the engine gave no answer".into()))).map(|_| ())
}
