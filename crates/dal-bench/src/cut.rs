//! Cutting a plan into parts for several processes: shards, and groups of trials of about a wanted duration.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use dal_store::{RunKey, Status, Store};

use crate::error::BenchError;
use crate::estimate::CostModel;
use crate::plan::{Plan, Trial};
use crate::progress::DamagedRun;
use crate::survey::Survey;

/// Shorter tasks cost a batch system more than they do.
pub const SHORTEST_TASK: Duration = Duration::from_secs(30);

/// One task: runs that one process works through.
#[derive(Clone, Debug, PartialEq)]
pub struct CutTask {
    /// Names of its runs, the longest first.
    pub runs: Vec<String>,
    /// Expected seconds of one thread.
    pub seconds: f64,
}

/// A plan's open runs as tasks, the longest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cut {
    /// The tasks.
    pub tasks: Vec<CutTask>,
    /// Expected seconds of the longest trial.
    pub longest_trial: f64,
    /// Expected seconds of the longest single training with its evaluation: what no requeue can cut.
    pub longest_entry: f64,
    /// Runs that lie in the store damaged and are in no task.
    pub damaged: Vec<DamagedRun>,
    /// Of runs that are over and are run again, by name, which making of them is meant ([`Run::making`]).
    ///
    /// [`Run::making`]: dal_store::Run::making
    pub retried: BTreeMap<String, String>,
}

impl Plan {
    /// The part `place` (from 0) of `of` equal ones: the trials of each problem in an order that rests on their
    /// specifications alone, dealt in turn, so that costs are spread and machines of any kind cut alike. On an engine
    /// that trains in lock step they are dealt in groups.
    #[must_use]
    pub fn shard(self, place: usize, of: usize) -> Self {
        let mut mine: BTreeSet<usize> = BTreeSet::new();
        for (p, problem) in self.problems.iter().enumerate() {
            let mut trials: Vec<usize> = (0..self.trials.len()).filter(|&i| self.trials[i].problem() == p).collect();
            let together = problem.trials_together().min(trials.len().div_ceil(of.max(1))).max(1);
            if together == 1 {
                // An id would tell the platform, too.
                trials.sort_by_cached_key(|&i| RunKey::current(self.trials[i].spec().clone(), "").id());
            }
            mine.extend(trials.chunks(together).skip(place).step_by(of.max(1)).flatten());
        }
        self.keep(&|i| mine.contains(&i))
    }

    /// Only the runs of these names, as part of a sweep that its store knows; names that it does not have come back.
    pub fn only(mut self, names: &[String]) -> (Self, Vec<String>) {
        let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let all = self.record.runs.iter().map(|run| run.directory.as_str());
        let known: BTreeSet<&str> = all.filter(|name| wanted.contains(name)).collect();
        let unknown = names.iter().filter(|name| !known.contains(name.as_str())).cloned().collect();
        self.is_recorded = true;
        (self.part(&|name, _| wanted.contains(name)), unknown)
    }

    /// Only the trials that are wanted, by name and trial: the sweep is recorded whole all the same.
    #[must_use]
    pub fn part(self, is_wanted: &dyn Fn(&str, &Trial) -> bool) -> Self {
        let wanted: Vec<bool> =
            self.trials.iter().map(|trial| is_wanted(&self.record.runs[trial.place].directory, trial)).collect();
        self.keep(&|i| wanted[i])
    }

    fn keep(mut self, is_kept: &dyn Fn(usize) -> bool) -> Self {
        let mut at = 0;
        self.trials.retain(|_| {
            at += 1;
            is_kept(at - 1)
        });
        self
    }

    /// Cuts what is open on a store into tasks of about `wanted`, by the cost model: the longest trials first, each
    /// alone where it takes longer, and groups that train in lock step whole. Runs that other processes are at work on
    /// count as open.
    ///
    /// # Errors
    /// A store that cannot be read; an engine that refuses a network.
    pub fn cut(&self, store: Option<&Store>, wanted: Duration, retry_failed: bool) -> Result<Cut, BenchError> {
        let survey = Survey::of(self, store, &BTreeSet::new())?;
        let open: Vec<(usize, usize)> =
            (0..self.trials.len()).filter_map(|i| Some((i, survey.first_open_entry(i, retry_failed)?))).collect();
        let is_needed = |problem| open.iter().any(|&(i, _)| self.trials[i].problem() == problem);
        let model = CostModel::measure(self, &is_needed)?;
        let mut cut = Cut { damaged: survey.damaged.values().cloned().collect(), ..Cut::default() };
        if let Some(store) = store {
            for &(i, _) in
                open.iter().filter(|(i, _)| matches!(survey.states[*i], Some(Status::Done | Status::Failed(_))))
            {
                let run = store.run(&self.directory(i))?;
                cut.retried.insert(run.name(), run.making()?);
            }
        }
        let mut pieces: Vec<(Vec<usize>, f64)> = Vec::new();
        for (p, problem) in self.problems.iter().enumerate() {
            let together = problem.trials_together().max(1);
            let of_problem: Vec<(usize, f64)> = open
                .iter()
                .filter(|(i, _)| self.trials[*i].problem() == p)
                .map(|&(i, from)| (i, model.trial_seconds(self, &self.trials[i], from)))
                .collect();
            for &(i, seconds) in &of_problem {
                let trial = &self.trials[i];
                cut.longest_trial = cut.longest_trial.max(seconds);
                let last = trial.spec().n_entries() - 1;
                cut.longest_entry = cut.longest_entry.max(model.entry_seconds(self, trial, last));
            }
            pieces.extend(of_problem.chunks(together).map(|chunk| {
                (chunk.iter().map(|(i, _)| *i).collect(), chunk.iter().map(|(_, seconds)| seconds).sum())
            }));
        }
        let costs: Vec<f64> = pieces.iter().map(|(_, seconds)| *seconds).collect();
        for group in groups(&costs, wanted.max(SHORTEST_TASK).as_secs_f64()) {
            let trials = group.iter().flat_map(|&piece| &pieces[piece].0);
            let runs = trials.map(|&i| self.directory(i)).collect();
            cut.tasks.push(CutTask { runs, seconds: group.iter().map(|&piece| costs[piece]).sum() });
        }
        Ok(cut)
    }
}

/// Indices of pieces in groups of about so many seconds, the longest pieces first. A group that is too short for a task
/// of its own takes one more piece, and such a rest joins the group before.
fn groups(costs: &[f64], wanted: f64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|a, b| costs[*b].total_cmp(&costs[*a]));
    let (mut groups, mut seconds): (Vec<Vec<usize>>, f64) = (Vec::new(), 0.0);
    for piece in order {
        match groups.last_mut() {
            Some(group) if seconds + costs[piece] <= wanted || seconds < SHORTEST_TASK.as_secs_f64() => {
                group.push(piece);
                seconds += costs[piece];
            }
            _ => {
                groups.push(vec![piece]);
                seconds = costs[piece];
            }
        }
    }
    if seconds < SHORTEST_TASK.as_secs_f64()
        && let Some(rest) = groups.pop()
    {
        match groups.last_mut() {
            Some(group) => group.extend(rest),
            None => groups.push(rest),
        }
    }
    groups
}

/// What a batch system adds to the work.
#[derive(Clone, Copy, Debug)]
pub struct Overheads {
    /// Seconds from the end of one task to the start of the next on the same core.
    pub start: f64,
    /// A task that takes longer is ended and queued again.
    pub limit: f64,
    /// Seconds of work that are lost each time.
    pub lost: f64,
    /// Seconds for which it is not started again each time.
    pub delay: f64,
    /// Whether it then waits behind all tasks that were not started yet, instead of before them.
    pub is_last: bool,
}

/// Simulates a cut on so many cores, one task a core in the order of the cut: the makespan in seconds.
pub fn simulate(tasks: &[f64], cores: usize, overheads: Overheads) -> f64 {
    let mut queue: VecDeque<f64> = tasks.iter().copied().collect();
    // Times when cores are free, in milliseconds: whole numbers have an order.
    // More cores than tasks shorten nothing, and may be more than memory holds.
    let cores = cores.min(tasks.len()).max(1);
    let mut free: BinaryHeap<Reverse<u64>> = (0..cores).map(|_| Reverse(0)).collect();
    // Tasks that were ended, by when they may go on.
    let mut back: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let milliseconds = |seconds: f64| (seconds * 1e3) as u64;
    let mut end = 0;
    while let Some(Reverse(mut now)) = free.pop() {
        let is_due = !overheads.is_last && back.peek().is_some_and(|Reverse((at, _))| *at <= now);
        let next = if is_due { None } else { queue.pop_front() };
        let left = match next {
            Some(seconds) => seconds,
            None => match back.pop() {
                Some(Reverse((at, left))) => {
                    now = now.max(at);
                    left as f64 / 1e3
                }
                None => break,
            },
        };
        let worked = left.min(overheads.limit);
        let over = now + milliseconds(overheads.start + worked);
        if left > worked {
            let again = over + milliseconds(overheads.delay);
            back.push(Reverse((again, milliseconds(left - worked + overheads.lost))));
        }
        end = end.max(over);
        free.push(Reverse(over));
    }
    Duration::from_millis(end).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_about_as_long_as_wanted_and_the_longest_come_first() {
        let found = groups(&[10.0, 500.0, 40.0, 40.0, 35.0, 25.0, 5.0], 100.0);
        assert_eq!(found, [vec![1], vec![2, 3], vec![4, 5, 0, 6]]);
        // Less than half a minute is no task of its own.
        assert_eq!(groups(&[90.0, 90.0, 5.0, 5.0], 90.0), [vec![0], vec![1, 2, 3]]);
        assert_eq!(groups(&[1.0], 90.0), [vec![0]]);
        assert_eq!(groups(&[29.0; 4], 30.0), [vec![0, 1], vec![2, 3]]);
        assert!(groups(&[], 90.0).is_empty());
    }

    #[test]
    fn simulated_tasks_take_turns_and_long_ones_come_back() {
        let none = Overheads { start: 0.0, limit: f64::INFINITY, lost: 0.0, delay: 0.0, is_last: false };
        assert_eq!(simulate(&[3.0, 2.0, 1.0], 2, none), 3.0);
        assert_eq!(simulate(&[3.0, 2.0, 1.0], 1, Overheads { start: 2.0, ..none }), 12.0);
        // 3 + 3 + 3 + 2 with one second lost at each of three returns, and then ten seconds' delay at each.
        let limited = Overheads { limit: 3.0, lost: 1.0, ..none };
        assert_eq!(simulate(&[8.0], 4, limited), 11.0);
        assert_eq!(simulate(&[8.0], 4, Overheads { delay: 10.0, ..limited }), 41.0);
        // The long task goes on at once, or after the three short ones.
        let limited = Overheads { limit: 3.0, ..none };
        assert_eq!(simulate(&[6.0, 3.0, 3.0], 2, limited), 6.0);
        assert_eq!(simulate(&[9.0, 3.0, 3.0, 3.0], 2, limited), 9.0);
        assert_eq!(simulate(&[9.0, 3.0, 3.0, 3.0], 2, Overheads { is_last: true, ..limited }), 12.0);
        assert_eq!(simulate(&[], 4, none), 0.0);
        assert_eq!(simulate(&[3.0, 2.0], usize::MAX, none), 3.0);
        assert_eq!(simulate(&[8.0], usize::MAX, Overheads { delay: 10.0, limit: 3.0, lost: 1.0, ..none }), 41.0);
    }
}
