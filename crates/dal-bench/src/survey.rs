//! How the trials of a plan stand in a store before a start.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dal_store::{EntryRecord, FailedLabel, Run, Status, Store};

use crate::error::BenchError;
use crate::goes_on::shorter;
use crate::plan::Plan;
use crate::progress::DamagedRun;

/// How each trial of a plan stands in a store.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) states: Vec<Option<Status>>,
    /// Of a trial without a run, the one that it can go on from.
    pub(crate) shorter: BTreeMap<usize, Run>,
    /// Of a run that is over and whose labels cost something, those that failed, by the entry behind them.
    pub(crate) failed_labels: BTreeMap<usize, Vec<(usize, FailedLabel)>>,
    /// The same of runs of a user's table: rows without a value, which are not asked for again.
    pub(crate) absent_labels: BTreeMap<usize, Vec<(usize, FailedLabel)>>,
    /// Directories of runs of the same names with other keys.
    pub(crate) elsewhere: Vec<String>,
    /// Runs that cannot be used, by trial.
    pub(crate) damaged: BTreeMap<usize, DamagedRun>,
    /// Directories of runs that are over and are what their seals say.
    pub(crate) whole: BTreeSet<String>,
}

impl Survey {
    /// Looks every trial up and holds what is over against its seals, but for the runs in `whole`, of which a moment
    /// ago that was done; reads records only where labels can fail.
    pub(crate) fn of(plan: &Plan, store: Option<&Store>, whole: &BTreeSet<String>) -> Result<Self, BenchError> {
        let n = plan.trials().len();
        let mut survey = Self {
            states: vec![None; n],
            shorter: BTreeMap::new(),
            failed_labels: BTreeMap::new(),
            absent_labels: BTreeMap::new(),
            elsewhere: Vec::new(),
            damaged: BTreeMap::new(),
            whole: BTreeSet::new(),
        };
        let Some(store) = store else { return Ok(survey) };
        let listing = store.listing()?;
        let names = store.run_names_in(&listing);
        for (i, trial) in plan.trials().iter().enumerate() {
            let directory = plan.directory(i);
            let verified = |run: Run| {
                if !(whole.contains(&directory) && *run.status() == Status::Done) {
                    run.verify()?;
                }
                Ok(run)
            };
            let found = store.find_in(&directory, &listing).and_then(|run| run.map(verified).transpose());
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    survey.damaged.insert(i, DamagedRun { directory, reason: error.to_string() });
                    continue;
                }
            };
            let Some(run) = found else {
                // A sweep that is there for its timings takes them all itself.
                let shorter = if plan.is_timing() { None } else { shorter(store, &names, trial) };
                if let Some(shorter) = shorter {
                    survey.shorter.insert(i, shorter);
                } else {
                    let prefix = format!("{}-", trial.spec().label());
                    let first = names.partition_point(|name| *name < prefix);
                    survey.elsewhere.extend(names[first..].iter().take_while(|n| n.starts_with(&prefix)).cloned());
                }
                continue;
            };
            let problem = &plan.problems()[trial.problem()];
            if *run.status() == Status::Done && problem.problem().card().is_none() {
                let failed =
                    |record: EntryRecord| record.failed_labels.into_iter().map(move |failed| (record.entry, failed));
                let failed: Vec<_> = run.records()?.into_iter().flat_map(failed).collect();
                if !failed.is_empty() {
                    let costly = problem.costly_labels();
                    let labels = if costly { &mut survey.failed_labels } else { &mut survey.absent_labels };
                    labels.insert(i, failed);
                }
            }
            if *run.status() == Status::Done {
                survey.whole.insert(directory);
            }
            survey.states[i] = Some(run.status().clone());
        }
        // Two trials of a plan may have one name, and a name may begin another's.
        survey.elsewhere.sort_unstable();
        survey.elsewhere.dedup();
        let own: HashSet<&str> = plan.record().runs.iter().map(|run| run.directory.as_str()).collect();
        survey.elsewhere.retain(|name| !own.contains(name.as_str()));
        Ok(survey)
    }

    /// The first entry that is to be trained, or `None` for a run that is over or damaged.
    pub(crate) fn first_open_entry(&self, trial: usize, retry_failed: bool) -> Option<usize> {
        match &self.states[trial] {
            None if self.damaged.contains_key(&trial) => None,
            // Its last model is trained once more, to choose.
            None => Some(self.shorter.get(&trial).map_or(0, |run| run.spec().protocol.steps)),
            Some(Status::Partial { entries }) => Some(*entries),
            Some(Status::Failed(failure)) if retry_failed => Some(failure.entry),
            Some(Status::Done) if retry_failed => self.failed_labels.get(&trial)?.first().map(|(entry, _)| *entry),
            Some(Status::Done | Status::Failed(_)) => None,
        }
    }

    /// Runs that start from a shorter one.
    pub(crate) fn n_extended(&self) -> usize {
        self.shorter.len()
    }
}
