//! `dal bench resubmit` and `dal bench cancel`: what Slurm was handed, and what of it is still open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use dal_store::{Listing, Status, Store};

use super::jobs::Handed;
use super::slurm::{self, Queued};
use super::{submit, work_folder};
use crate::Done;
use crate::output::say;

/// A task is started so often, the first time included: what fails on every machine is no machine's fault.
const MOST_TIMES: usize = 5;

/// `dal bench resubmit`.
#[derive(clap::Args)]
#[command(
    after_help = "The store says what is open; Slurm is asked what is queued, and where it does not know a task any
more, the task is handed on again (node failures, time limits, a controller that lost its state).
Held requeues are released. Failed runs stay failed (dal bench submit --retry-failed). Doing it
twice does no harm.

Examples:
  dal bench resubmit runs/paper"
)]
pub struct ResubmitArgs {
    /// The store.
    store: PathBuf,
}

/// `dal bench cancel`.
#[derive(clap::Args)]
#[command(
    after_help = "Ends the tasks that dal bench submit handed to Slurm for this store. Finished runs and checkpoints
stay.

Examples:
  dal bench cancel runs/paper"
)]
pub struct CancelArgs {
    /// The store.
    store: PathBuf,
}

/// How a list stands.
pub struct Standing {
    /// Tasks with runs that are not over.
    pub open: Vec<usize>,
    /// Those of them that Slurm has queued or runs, by its ids.
    pub queued: Vec<(usize, String, Queued)>,
    /// How often Slurm has started each.
    pub times: BTreeMap<usize, usize>,
}

/// A run that a list runs again though it was over.
#[derive(Clone, Copy, Debug)]
pub struct Retried<'a> {
    /// The making of it that is meant.
    making: &'a str,
    /// Whether a start of its task is known.
    is_started: bool,
}

/// Whether a run is over, and where a list retries it not the making that the list names.
pub type IsOver<'a> = dyn Fn(&str, Option<Retried<'_>>) -> bool + 'a;

impl Standing {
    /// Of a list, by which runs are over and what Slurm says.
    pub fn of(handed: &Handed, is_over: &IsOver<'_>, queue: &BTreeMap<String, Queued>) -> Result<Self> {
        let (mut queued, mut times, was_started) = (Vec::new(), BTreeMap::new(), handed.started());
        for (task, id) in handed.submitted()?.iter().flat_map(super::jobs::Submitted::tasks) {
            if was_started(&id) {
                *times.entry(task).or_insert(0) += 1;
            }
            if let Some(known) = queue.get(&id).filter(|known| known.is_active()) {
                queued.push((task, id, known.clone()));
            }
        }
        let retried = |run: &String, task: usize| {
            let making = handed.list.retried.as_ref()?.get(run)?;
            Some(Retried { making, is_started: times.contains_key(&task) })
        };
        let is_open = |task: usize, runs: &[String]| runs.iter().any(|run| !is_over(run, retried(run, task)));
        let tasks = handed.list.tasks.iter().enumerate();
        let open = tasks.filter(|(task, (_, runs))| is_open(*task, runs)).map(|(task, _)| task).collect();
        Ok(Self { open, queued, times })
    }
}

/// Whether a run is over, and where it is run again not the making that is meant; one that cannot be read is none to be
/// started. A finished run whose failed labels fail again stays the making that it was, so that it is open only as long
/// as its task was not started.
pub fn is_over(store: &Store, listing: &Listing, run: &str, retried: Option<Retried<'_>>) -> bool {
    let is_meant = |retried: Retried<'_>| {
        let making = store.run(run).and_then(|run| run.making());
        making.is_ok_and(|making| making == retried.making)
    };
    match (store.standing(run, listing), retried) {
        (Ok(None | Some(Status::Partial { .. })), _) => false,
        (Ok(Some(Status::Failed(_))), Some(retried)) => !is_meant(retried),
        (Ok(Some(Status::Done)), Some(retried)) if !retried.is_started => !is_meant(retried),
        _ => true,
    }
}

/// Runs `dal bench resubmit`.
pub fn resubmit(args: &ResubmitArgs) -> Result<Done> {
    let store = Store::open(&args.store)?;
    let listing = store.listing()?;
    let queue = slurm::queue()?;
    let mut complaints = 0;
    let mut handed_on = BTreeSet::new();
    for handed in Handed::readable(&work_folder(&store), &mut complaints)?.into_iter().rev() {
        let known = handed.options().and_then(|options| match options {
            Some(_) => Standing::of(&handed, &is_over_in(&store, &listing), &queue).map(Some),
            None => Ok(None),
        });
        let standing = match known {
            Ok(Some(standing)) => standing,
            Ok(None) => continue,
            Err(error) => {
                say!("{error:#}");
                complaints += 1;
                continue;
            }
        };
        let name = handed.name();
        for (task, id, queued) in &standing.queued {
            match slurm::release(id, queued) {
                Ok(true) => say!("{name}: task {task} ({id}) was released ({})", queued.reason),
                Ok(false) => {}
                Err(error) => say!("{name}: task {task}: {error}"),
            }
        }
        let is_queued: BTreeSet<usize> = standing.queued.iter().map(|(task, ..)| *task).collect();
        // What a later list has as well is that list's.
        let is_elsewhere = |task: &usize| handed.list.tasks[*task].1.iter().all(|run| handed_on.contains(run));
        let open = standing.open.iter().copied().filter(|task| !is_queued.contains(task) && !is_elsewhere(task));
        let (again, given_up): (Vec<usize>, Vec<usize>) =
            open.partition(|task| standing.times.get(task).is_none_or(|times| *times < MOST_TIMES));
        if !given_up.is_empty() {
            say!(
                "{name}: {} tasks were started {MOST_TIMES} times without an end, and are not handed on \
                 again; their logs are in {}",
                given_up.len(),
                handed.folder.join("logs").display()
            );
            complaints += 1;
        }
        if !again.is_empty() && matches!(submit::submit(&handed, &again)?, Done::Partly) {
            complaints += 1;
        }
        say!("{name}: {} tasks open, {} queued, {} handed on", standing.open.len(), is_queued.len(), again.len());
        handed_on.extend(handed.list.tasks.iter().flat_map(|(_, runs)| runs.clone()));
    }
    Ok(done(complaints))
}

fn is_over_in(store: &Store, listing: &Listing) -> impl Fn(&str, Option<Retried<'_>>) -> bool {
    move |run, retried| is_over(store, listing, run, retried)
}

fn done(complaints: usize) -> Done {
    if complaints > 0 { Done::Partly } else { Done::Fully }
}

/// Runs `dal bench cancel`.
pub fn cancel(args: &CancelArgs) -> Result<Done> {
    let store = Store::open(&args.store)?;
    let (listing, queue) = (store.listing()?, slurm::queue()?);
    let mut ids = Vec::new();
    let mut complaints = 0;
    for handed in Handed::readable(&work_folder(&store), &mut complaints)? {
        match Standing::of(&handed, &is_over_in(&store, &listing), &queue) {
            Ok(standing) => ids.extend(standing.queued.into_iter().map(|(_, id, _)| id)),
            Err(error) => {
                say!("{error:#}");
                complaints += 1;
            }
        }
    }
    slurm::cancel(&ids)?;
    say!("{} tasks ended", ids.len());
    Ok(done(complaints))
}

#[cfg(test)]
mod tests {
    use super::super::jobs::Submitted;
    use super::*;
    use dal_bench::{CutTask, Sweep, WorkList};
    use std::fs;

    #[test]
    fn a_task_that_asks_again_is_open_until_a_start_of_it_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let sweep = Sweep::parse("name = \"x\"\nseeds = 1\n", "x.toml").unwrap();
        let task = CutTask { runs: vec!["run".into()], seconds: 1.0 };
        let mut list = WorkList::new(&sweep, "store".into(), vec![task]);
        list.retried = Some([("run".to_owned(), "making".to_owned())].into());
        let handed = Handed { folder: dir.path().to_owned(), list };
        handed.keep_options(&[]).unwrap();
        // A finished run of the making that is meant.
        let is_over = |_: &str, retried: Option<Retried<'_>>| {
            retried.is_none_or(|retried| retried.making != "making" || retried.is_started)
        };
        let open = || Standing::of(&handed, &is_over, &BTreeMap::new()).unwrap().open;
        assert_eq!(open(), [0], "never submitted");
        handed.add(&Submitted { job: "7".into(), first: 0, indices: vec![0] }).unwrap();
        assert_eq!(open(), [0], "never started");
        fs::create_dir(dir.path().join("logs")).unwrap();
        fs::write(dir.path().join("logs/7_0.log"), "").unwrap();
        assert_eq!(open(), [0; 0], "what fails again is not asked for once more");
    }
}
