//! `dal bench status`: how the runs of a store stand, and what did not learn in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use dal_bench::Learning;
use dal_eval::MemberCounts;
use dal_report::{Model, Protocol, Setting};
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
handed on is named, too. Runs of one name on several platforms, or with several networks, trainings,
protocols or versions of results, have rows of their own, and columns that say how they differ.
With --learning: a run has not learned if its last test error is not below the variance of the test
labels. A member has collapsed if its training loss ends above half the variance of its labels, and
is unsettled if it ends above ten times its own best; restarts counts how often one was trained
anew because it had collapsed. The store may be in use.

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

/// What must agree between runs that are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Setup {
    setting: Setting,
    protocol: Protocol,
    model: Model,
}

/// By problem, strategy, pool ratio and setup; no setup where none of their runs was begun.
type Groups = BTreeMap<(String, String, Option<usize>, Option<Setup>), Group>;

/// One thing in which setups may differ: a column's name, and what stands there.
type Aspect = (&'static str, fn(&Setup) -> serde_json::Value);

/// All of them; what is said in words comes before what these leave out.
const ASPECTS: [Aspect; 13] = [
    ("platform", |of| json!(of.setting.platform)),
    ("engine", |of| json!(of.setting.engine)),
    ("results_revision", |of| json!(of.setting.results_revision)),
    ("preset", |of| json!(of.protocol.preset)),
    ("initial", |of| json!(of.protocol.initial)),
    ("queries", |of| json!(of.protocol.queries)),
    ("steps", |of| json!(of.protocol.steps)),
    ("test_points", |of| json!(of.protocol.test_points)),
    ("label_noise_percent", |of| json!(of.protocol.label_noise_percent)),
    ("problem_digest", |of| json!(of.model.problem_digest)),
    ("network", |of| json!(of.model.network)),
    ("training", |of| json!(of.model.training)),
    ("model", |of| json!(of.model.identity)),
];

impl Setup {
    fn of(run: &Run) -> Self {
        Self { setting: Setting::of(run), protocol: Protocol::of(run), model: Model::of(run) }
    }
}

/// The columns that tell rows of one problem, strategy and pool ratio apart: each in which two of them differ; the
/// model in full only where its words do not tell it.
fn telling(groups: &Groups) -> Vec<Aspect> {
    let keys: Vec<_> = groups.keys().collect();
    let alike = keys.chunk_by(|a, b| (&a.0, &a.1, a.2) == (&b.0, &b.1, b.2));
    let setups: Vec<Vec<&Setup>> = alike.map(|keys| keys.iter().filter_map(|key| key.3.as_ref()).collect()).collect();
    let differ = |(name, value): &Aspect| {
        setups.iter().any(|of_one| {
            of_one.iter().enumerate().any(|(i, a)| {
                of_one[..i].iter().any(|b| {
                    let is_said = (&a.model.network, &a.model.training) != (&b.model.network, &b.model.training);
                    value(a) != value(b) && !(*name == "model" && is_said)
                })
            })
        })
    };
    let mut telling: Vec<Aspect> = ASPECTS.into_iter().filter(differ).collect();
    // A row of runs none of which was begun stands beside one that has a setup.
    if telling.is_empty() && setups.iter().map(|of_one| of_one.len().max(1)).sum::<usize>() < groups.len() {
        telling.push(ASPECTS[0]);
    }
    telling
}

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
    // What was planned with more seeds later knows the setup of what was planned before.
    sweeps.sort_by_key(|sweep| std::cmp::Reverse(sweep.runs.len()));
    for sweep in sweeps {
        let setups = setups(&store, &listing, &sweep.runs);
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
                    let setup = setups.get(&planned.problem).cloned();
                    let key = (planned.problem, planned.strategy, planned.pool_ratio, setup);
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
        columns.extend(["failed_labels", "not_learned", "members", "collapsed", "unsettled", "restarts"]);
    }
    let telling = telling(&groups);
    columns.extend(telling.iter().map(|(name, _)| *name));
    let rows = groups.into_iter().map(|((problem, strategy, pool_ratio, setup), g)| {
        let mut row = vec![json!(problem), json!(strategy), json!(pool_ratio)];
        row.extend([g.done, g.failed, g.begun, g.absent].map(|n| json!(n)));
        if args.learning {
            let MemberCounts { trained, collapsed, unsettled, restarts } = g.learning.members;
            let more = [g.failed_labels, g.learning.not_learned.len(), trained, collapsed, unsettled, restarts];
            row.extend(more.map(|n| json!(n)));
        }
        row.extend(telling.iter().map(|(_, value)| setup.as_ref().map_or(json!(null), value)));
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

fn group_of(run: &Run) -> (String, String, Option<usize>, Option<Setup>) {
    let spec = run.spec();
    (spec.problem.variant.clone(), spec.strategy.variant.clone(), spec.pool_ratio(), Some(Setup::of(run)))
}

/// The setups of what a sweep planned, by problem, which it holds once: one run of each that was begun is read.
fn setups(store: &Store, listing: &Listing, runs: &[PlannedRun]) -> BTreeMap<String, Setup> {
    let mut setups = BTreeMap::new();
    for planned in runs {
        let is_begun = || listing.has_whole(&planned.directory) || listing.has_attempt(&planned.directory);
        if !setups.contains_key(&planned.problem)
            && is_begun()
            && let Ok(run) = store.run_of(&planned.directory, listing)
        {
            setups.insert(planned.problem.clone(), Setup::of(&run));
        }
    }
    setups
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
