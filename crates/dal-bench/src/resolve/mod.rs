//! From what a sweep file says to the plan it means; every mistake is found here, before anything is trained.

mod model;
mod protocol;
mod records;
mod settings;
mod sizes;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use dal_core::{Engine, EngineChoice, Needs, rehearse};
use dal_eval::{EvalError, Look, Looks};
use dal_store::{PlannedLook, ProtocolSpec, RunKey, RunSpec, SweepRecord};
use toml::Spanned;

use self::protocol::pools;
use self::records::{departures, own_problems, planned_run, run_spec};
use crate::catalogue::{Catalogue, FoundStrategy};
use crate::error::SweepError;
use crate::plan::{Plan, Trial};
use crate::platform::{platform, with_instructions};
use crate::problem::{PlannedProblem, noisy};
use crate::sweep::{ProblemFile, StrategyFile, Sweep};

impl Sweep {
    /// Turns what was written into what it means, by this catalogue: every trial with every default filled in.
    ///
    /// # Errors
    /// The first mistake, with file, line, key and remedy.
    pub fn resolve_with(&self, catalogue: &dyn Catalogue) -> Result<Plan, SweepError> {
        Resolver { sweep: self, catalogue }.plan()
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
        let looks = self.looks()?;
        for (key, there) in [("problem", !file.problem.is_empty()), ("strategy", !file.strategy.is_empty())] {
            if !there {
                let hint = Some(format!("add at least one [[{key}]] with an id"));
                return Err(self.sweep.invalid(0, key, "there is none", hint));
            }
        }
        let strategies = self.strategies()?;
        let mut problems: Vec<PlannedProblem> = Vec::new();
        let mut common = Vec::new();
        for (i, entry) in file.problem.iter().enumerate() {
            let key = format!("problem[{i}]");
            let (problem, platform, ratios) = self.problem(entry, &key, &strategies)?;
            let variant = problem.problem.variant_id();
            if problems.iter().any(|other| other.problem.variant_id() == variant) {
                let hint = "a sweep holds each problem once; put the other network into a sweep of its own";
                let at = entry.span().start;
                return Err(self.sweep.invalid(at, key, format!("`{variant}` again"), Some(hint.into())));
            }
            let skipped: BTreeSet<&str> = entry.get_ref().skip.iter().map(|id| id.get_ref().as_str()).collect();
            let chosen = strategies.iter().filter(|chosen| !skipped.contains(chosen.id.as_str()));
            let each = chosen.map(|chosen| (chosen, run_spec(&problem, chosen), pools(&problem, chosen, &ratios)));
            common.push((platform, each.collect::<Vec<_>>()));
            problems.push(problem);
        }
        // Hundreds of thousands of trials are held once, in a list of the right length.
        let per_seed: usize = common.iter().flat_map(|(_, each)| each).map(|(.., pools)| pools.len()).sum();
        let mut trials = Vec::with_capacity(per_seed * seeds.len());
        for (i, (platform, each)) in common.iter().enumerate() {
            for &seed in &seeds {
                for (chosen, common, pools) in each {
                    for &pool in pools {
                        let protocol = ProtocolSpec { pool, ..common.protocol };
                        let spec = RunSpec { seed, protocol, ..common.clone() };
                        trials.push(Trial {
                            key: RunKey::current(spec, platform.clone()),
                            problem: i,
                            place: trials.len(),
                            strategy: Arc::clone(&chosen.found.strategy),
                        });
                    }
                }
            }
        }
        let runs = trials.iter().map(planned_run).collect();
        let record = SweepRecord {
            name: file.name.get_ref().clone(),
            title: file.title.clone(),
            text: self.sweep.text.clone(),
            timing: file.timing,
            departures: departures(&problems),
            looks,
            own_problems: own_problems(&problems),
            runs,
        };
        let rates = problems.iter().map(|_| OnceLock::new()).collect();
        let (clock, elsewhere) = (Arc::clone(self.catalogue.clock()), self.sweep.elsewhere.clone());
        Ok(Plan { record, clock, problems, trials, is_recorded: false, elsewhere, rates })
    }

    /// The engine for models of a kind.
    fn engine(&self, kind: &str, key: &str, entry: &ProblemFile) -> Result<Arc<dyn Engine>, SweepError> {
        let file = &self.sweep.file;
        let choice = EngineChoice {
            id: named(&file.engine).unwrap_or("cpu"),
            device: named(&file.device),
            precision: named(&file.precision),
            platform: named(&file.platform),
        };
        self.catalogue.engine(&choice, kind).map_err(|error| self.engine_refused(error, entry, key))
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

    /// The planned looks. More seeds than the last look has may be planned (their verdicts stay those of the look), and
    /// a look may lie beyond the seeds of today.
    fn looks(&self) -> Result<Vec<PlannedLook>, SweepError> {
        let looks = &self.sweep.file.looks;
        if looks.is_empty() {
            return Ok(Vec::new());
        }
        let planned = looks.iter().map(|look| Look { seeds: look.get_ref().seeds, level: look.get_ref().level });
        if let Err(error) = Looks::new(planned.collect()) {
            let index = if let EvalError::OutOfRange { index, .. } = error { index } else { 0 };
            let at = looks.get(index).map_or(0, |look| look.span().start);
            let hint =
                "give each look its seeds, more than the one before, and its share of the chance of a false verdict";
            return Err(self.sweep.invalid(at, format!("looks[{index}]"), error.to_string(), Some(hint.into())));
        }
        Ok(looks.iter().map(|l| PlannedLook { seeds: l.get_ref().seeds, level: l.get_ref().level }).collect())
    }

    fn strategies(&self) -> Result<Vec<Chosen>, SweepError> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for (i, entry) in self.sweep.file.strategy.iter().enumerate() {
            let key = format!("strategy[{i}]");
            let StrategyFile { id: named, settings: written } = entry.get_ref();
            let id = named.get_ref();
            let settings = self.settings(written, &key)?;
            let found =
                self.catalogue.strategy(id, &settings).map_err(|e| self.setting_refused(named, written, &key, e))?;
            if chosen.iter().any(|other| other.found.variant == found.variant) {
                let reason = format!("`{}` again", found.variant);
                return Err(self.sweep.invalid(entry.span().start, key, reason, Some("remove one of them".into())));
            }
            chosen.push(Chosen { at: entry.span().start, id: id.clone(), found });
        }
        Ok(chosen)
    }

    /// A problem with the platform of its learner and its pool ratios.
    fn problem(
        &self,
        entry: &Spanned<ProblemFile>,
        key: &str,
        strategies: &[Chosen],
    ) -> Result<(PlannedProblem, String, Vec<usize>), SweepError> {
        let (at, entry) = (entry.span().start, entry.get_ref());
        let settings = self.settings(&entry.settings, key)?;
        let base = self.sweep.path.parent().unwrap_or(Path::new(""));
        let problem = self
            .catalogue
            .problem(entry.id.get_ref(), &settings, base)
            .map_err(|e| self.setting_refused(&entry.id, &entry.settings, key, e))?;
        let oracle = problem.oracle().map_err(|error| self.sweep.invalid(at, key, error.to_string(), None))?;
        let truth = Arc::clone(oracle);
        let (model, preset) = self.model(&problem, entry, key, at)?;
        let engine = self.engine(model.kind(), key, entry)?;
        for id in &entry.skip {
            if !strategies.iter().any(|chosen| chosen.id == *id.get_ref()) {
                let known = strategies.iter().map(|chosen| chosen.id.as_str()).collect::<Vec<_>>().join(", ");
                let reason = format!("the sweep has no strategy `{}`", id.get_ref());
                let hint = Some(format!("it has {known}"));
                return Err(self.sweep.invalid(id.span().start, format!("{key}.skip"), reason, hint));
            }
        }
        let (mut protocol, ratios) = self.protocol(&entry.protocol, key)?;
        self.noise(&problem, &entry.protocol, key)?;
        let oracle = noisy(&problem, &truth, protocol.label_noise_percent);
        let split = self.split(&problem, &mut protocol, key, at)?;
        self.sizes(&problem, &model, &protocol, &ratios, entry, key)?;
        let learner = engine.learner(&model, problem.shape()).map_err(|error| self.refused(&error, entry, key, at))?;
        let platform = match &self.sweep.elsewhere {
            Some(path) => with_instructions(platform(&*learner), path),
            None => platform(&*learner),
        };
        drop(learner);
        let mut rehearsed: Vec<Needs> = Vec::new();
        for chosen in strategies.iter().filter(|c| !entry.skip.iter().any(|id| *id.get_ref() == c.id)) {
            let needs = chosen.found.strategy.needs();
            if rehearsed.contains(&needs) {
                continue;
            }
            rehearse(&*engine, &model, problem.shape(), &needs).map_err(|error| {
                let reason = format!("strategy `{}` cannot be run on it: {error}", chosen.found.variant);
                let hint = Some(format!("leave it out with skip = [\"{}\"]", chosen.id));
                self.sweep.invalid(chosen.at.max(at), key, reason, hint)
            })?;
            rehearsed.push(needs);
        }
        let test = OnceLock::new();
        let planned = PlannedProblem { problem, truth, oracle, model, engine, preset, protocol, split, test };
        Ok((planned, platform, ratios))
    }
}

fn number(own: &Option<Spanned<usize>>, shared: &Option<Spanned<usize>>, default: usize) -> usize {
    own.as_ref().or(shared.as_ref()).map_or(default, |value| *value.get_ref())
}
