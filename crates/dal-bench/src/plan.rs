//! What a sweep means: every trial with every default filled in, checked before anything is trained.

use std::fmt;
use std::sync::{Arc, OnceLock};

use dal_core::{Clock, Rate, Strategy, TrialSeeds};
use dal_store::{ProtocolSpec, RunKey, RunSpec, SweepRecord};

use crate::problem::PlannedProblem;

/// The id of the baseline, which stands for every pool ratio whatever a catalogue means by it.
pub(crate) const RANDOM: &str = "random";

/// A sweep, resolved.
pub struct Plan {
    pub(crate) record: SweepRecord,
    pub(crate) clock: Clock,
    pub(crate) problems: Vec<PlannedProblem>,
    pub(crate) trials: Vec<Trial>,
    /// Whether a store has its record already.
    pub(crate) is_recorded: bool,
    /// The vector instructions of the machines that it is for, where this one cannot run it.
    pub(crate) elsewhere: Option<String>,
    /// What each problem's model was measured to cost, once it was.
    pub(crate) rates: Vec<OnceLock<Rate>>,
}

/// One run of a plan.
#[derive(Clone, Debug)]
pub struct Trial {
    pub(crate) key: RunKey,
    pub(crate) problem: usize,
    /// Its place in the sweep's record.
    pub(crate) place: usize,
    pub(crate) strategy: Arc<dyn Strategy>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("record", &self.record).field("problems", &self.problems).finish_non_exhaustive()
    }
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

impl Plan {
    /// What was assumed of users' tables, and what a page of the sweep will lack, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.problems.iter().flat_map(|planned| planned.problem.notes()).cloned().collect();
        notes.extend(self.problems.iter().filter_map(PlannedProblem::used_up));
        let judged = self.problems.iter().filter_map(|planned| {
            let ProtocolSpec { initial, queries, steps, .. } = planned.protocol;
            let id = planned.problem.variant_id();
            let labels = steps.saturating_mul(queries).saturating_add(initial);
            let (n, share) = self.record.own_problems.get(&id)?.judged_on_learned(labels)?;
            Some(format!(
                "{id}: its space has {n} points, so that up to {:.0} % of the test points are learned, too, and errors are \
                 partly those of learned points, and pools hold labelled points again; the rows of a table of all its points are \
                 kept apart, and asked for once",
                100.0 * share
            ))
        });
        notes.extend(judged);
        if !self.is_timing() && !self.record.runs.iter().any(|run| run.strategy == RANDOM) {
            notes.push(
                "`random` is not among the strategies: methods are held against it, so that without it pages have no \
                 nAUC, no ranks and no verdicts"
                    .into(),
            );
        }
        notes
    }

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

    /// Name of a trial's directory in a store.
    pub(crate) fn directory(&self, trial: usize) -> String {
        self.record.runs[self.trials[trial].place].directory.clone()
    }

    /// Worker threads where the user does not say, on a machine of so many processors: what the engine with the fewest
    /// wants.
    pub fn default_jobs(&self, n_cpus: usize) -> usize {
        self.problems.iter().map(|problem| problem.engine.default_jobs(n_cpus)).min().unwrap_or(n_cpus)
    }

    /// Where it trains; several devices where models of different kinds have engines on different ones.
    pub fn device(&self) -> String {
        let mut devices: Vec<String> = self.problems.iter().map(|problem| problem.engine.device()).collect();
        devices.dedup();
        devices.join(", ")
    }

    /// The problems.
    pub fn problems(&self) -> &[PlannedProblem] {
        &self.problems
    }

    /// The trials that are to be run, by problem, seed, strategy and pool ratio.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }
}
