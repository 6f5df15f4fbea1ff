//! `dal bench status`: how the runs of a store stand, and what did not learn in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use dal_bench::Learning;
use dal_eval::MemberCounts;
use dal_store::{Listing, PlannedRun, Run, Status, Store, StoreError, SweepRecord};
use serde_json::json;

use crate::Done;
use crate::cluster::{Handed, follow, slurm, work_folder};
use crate::learning::learning_lines;
use crate::output::{Format, Rows, say};

/// A store in, a table out.
#[derive(clap::Args)]
#[command(
    after_help = "Runs are counted by their names; dal bench verify looks at what they hold. What dal bench submit
handed on is named, too. Runs on several platforms have rows of their own. With --learning: a run
has not learned if its last test error is not below the variance of the test labels. A member has
collapsed if its training loss ends above half the variance of its labels, and is unsettled if it
ends above ten times its own best. The store may be in use.

Examples:
  dal bench status runs/quick
  dal bench status runs/quick --learning
  dal bench status runs/quick --format csv > status.csv"
)]
pub struct Args {
    /// The store.
    store: PathBuf,
    /// Also read every record, and say what did not learn and which labels failed.
    #[arg(long)]
    learning: bool,
    /// How the table is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs of one problem, strategy and pool ratio.
#[derive(Default)]
struct Group {
    done: usize,
    failed: usize,
    begun: usize,
    absent: usize,
    failed_labels: usize,
    learning: Learning,
}

/// By problem, strategy, pool ratio and numeric platform; no platform where none of their runs was begun.
type Groups = BTreeMap<(String, String, Option<usize>, Option<String>), Group>;

impl Group {
    fn count(&mut self, status: Option<&Status>) {
        match status {
            Some(Status::Done) => self.done += 1,
            Some(Status::Failed(_)) => self.failed += 1,
            Some(Status::Partial { .. }) => self.begun += 1,
            None => self.absent += 1,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let store = Store::open(&args.store)?;
    let listing = store.listing()?;
    let mut groups = Groups::new();
    let (mut seen, mut over, mut unreadable) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut complain = |error: StoreError| {
        say!("{error}");
        unreadable += 1;
    };
    let mut whole = Learning::default();
    if args.learning {
        read_all(&store, &mut groups, &mut whole, &mut seen, &mut complain)?;
    }
    let mut sweeps: Vec<SweepRecord> = Vec::new();
    for sweep in store.sweeps()? {
        match sweep {
            Ok(sweep) => sweeps.push(sweep),
            Err(error) => complain(error),
        }
    }
    // What was planned with more seeds later knows the platform of what was planned before.
    sweeps.sort_by_key(|sweep| std::cmp::Reverse(sweep.runs.len()));
    for sweep in sweeps {
        let platforms = platforms(&store, &listing, &sweep.runs);
        for planned in sweep.runs {
            if seen.contains(&planned.directory) {
                continue;
            }
            let standing = if args.learning { Ok(None) } else { store.standing(&planned.directory, &listing) };
            match standing {
                Ok(status) => {
                    if matches!(status, Some(Status::Done)) {
                        over.insert(planned.directory.clone());
                    }
                    let platform = platforms.get(&planned.problem).cloned();
                    let key = (planned.problem, planned.strategy, planned.pool_ratio, platform);
                    groups.entry(key).or_default().count(status.as_ref());
                }
                Err(error) => complain(error),
            }
            seen.insert(planned.directory);
        }
    }
    if !args.learning {
        // Runs that no sweep of this store planned say themselves what they are.
        for name in store.run_names_in(&listing).into_iter().filter(|name| !seen.contains(name)) {
            match store.run_of(&name, &listing) {
                Ok(run) => groups.entry(group_of(&run)).or_default().count(Some(run.status())),
                Err(error) => complain(error),
            }
        }
    }
    let some_failed = unreadable > 0 || groups.values().any(|group| group.failed > 0);
    let mut columns = vec!["problem", "strategy", "pool_ratio", "finished", "failed", "begun", "not_started"];
    if args.learning {
        columns.extend(["failed_labels", "not_learned", "members", "collapsed", "unsettled"]);
    }
    let without =
        |groups: &Groups| groups.keys().map(|(p, s, r, _)| (p.clone(), s.clone(), *r)).collect::<BTreeSet<_>>();
    let has_several = without(&groups).len() < groups.len();
    if has_several {
        columns.push("platform");
    }
    let rows = groups.into_iter().map(|((problem, strategy, pool_ratio, platform), g)| {
        let mut row = vec![json!(problem), json!(strategy), json!(pool_ratio)];
        row.extend([g.done, g.failed, g.begun, g.absent].map(|n| json!(n)));
        if args.learning {
            let MemberCounts { trained, collapsed, unsettled } = g.learning.members;
            let more = [g.failed_labels, g.learning.not_learned.len(), trained, collapsed, unsettled];
            row.extend(more.map(|n| json!(n)));
        }
        if has_several {
            row.push(json!(platform));
        }
        row
    });
    Rows { columns, rows: rows.collect() }.print(args.format)?;
    for line in learning_lines(&whole) {
        say!("{line}");
    }
    match store.at_work(&listing).len() {
        0 => {}
        1 => say!("a process is at work on 1 run"),
        n => say!("processes are at work on {n} runs"),
    }
    // What was looked for above is not looked for again.
    let is_over = |run: &str, retried: Option<follow::Retried<'_>>| {
        retried.is_none() && over.contains(run) || follow::is_over(&store, &listing, run, retried)
    };
    let complaints = tell_handed(&store, &is_over)?;
    Ok(if some_failed || complaints > 0 { Done::Partly } else { Done::Fully })
}

fn group_of(run: &Run) -> (String, String, Option<usize>, Option<String>) {
    let spec = run.spec();
    let platform = Some(run.key().platform.clone());
    (spec.problem.variant.clone(), spec.strategy.variant.clone(), spec.pool_ratio(), platform)
}

/// The numeric platforms of what a sweep planned, by problem: one run of each that was begun is read.
fn platforms(store: &Store, listing: &Listing, runs: &[PlannedRun]) -> BTreeMap<String, String> {
    let mut platforms = BTreeMap::new();
    for planned in runs {
        let is_begun = || listing.has_whole(&planned.directory) || listing.has_attempt(&planned.directory);
        if !platforms.contains_key(&planned.problem)
            && is_begun()
            && let Ok(run) = store.run_of(&planned.directory, listing)
        {
            platforms.insert(planned.problem.clone(), run.key().platform.clone());
        }
    }
    platforms
}

/// Reads every run with its records.
fn read_all(
    store: &Store,
    groups: &mut Groups,
    whole: &mut Learning,
    seen: &mut BTreeSet<String>,
    complain: &mut dyn FnMut(StoreError),
) -> Result<()> {
    for run in store.runs()? {
        let (run, records) = match run.and_then(|run| run.records().map(|records| (run, records))) {
            Ok(read) => read,
            Err(error) => {
                complain(error);
                continue;
            }
        };
        let (name, group) = (run.name(), groups.entry(group_of(&run)).or_default());
        group.count(Some(run.status()));
        for record in &records {
            group.failed_labels += record.failed_labels.len();
            group.learning.add(&name, record);
            whole.add(&name, record);
        }
        seen.insert(name);
    }
    Ok(())
}

/// What was handed to batch systems, and where that stands; how many lists cannot be read.
fn tell_handed(store: &Store, is_over: &follow::IsOver<'_>) -> Result<usize> {
    let mut complaints = 0;
    let lists = Handed::readable(&work_folder(store), &mut complaints)?;
    let is_slurms = lists.iter().any(|handed| handed.options().is_ok_and(|options| options.is_some()));
    let queue = if is_slurms { slurm::queue() } else { Ok(BTreeMap::new()) };
    if let Err(error) = &queue {
        say!("what Slurm has queued is not known: {error}");
    }
    let queue = queue.unwrap_or_default();
    for handed in lists {
        let standing = handed.options().and_then(|_| follow::Standing::of(&handed, is_over, &queue));
        let standing = match standing {
            Ok(standing) => standing,
            Err(error) => {
                say!("{error:#}");
                complaints += 1;
                continue;
            }
        };
        let name = handed.name();
        let running = standing.queued.iter().filter(|(_, _, queued)| queued.state == "RUNNING").count();
        let held = standing.queued.iter().filter(|(_, _, queued)| queued.is_held()).count();
        let held = if held > 0 { format!(", {held} held (dal bench resubmit releases them)") } else { String::new() };
        say!(
            "tasks/{name}: {} of {} tasks open; Slurm runs {running} and has {} waiting{held}",
            standing.open.len(),
            handed.list.tasks.len(),
            standing.queued.len() - running
        );
    }
    Ok(complaints)
}
