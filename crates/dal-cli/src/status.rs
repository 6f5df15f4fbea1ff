//! `dal bench status`: how the runs of a store stand, and what did not learn in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use dal_bench::Learning;
use dal_store::{Status, Store};
use serde_json::json;

use crate::Done;
use crate::learning::learning_lines;
use crate::output::{Format, Rows, say};

/// A store in, a table out.
#[derive(clap::Args)]
#[command(after_help = "A run has not learned if its last test error is not below the variance of the test labels. A
member has collapsed if its training loss ends above half the variance of its labels, and is
unsettled if it ends above ten times its own best. The store may be in use.

Examples:
  dal bench status runs/quick
  dal bench status runs/quick --format csv > status.csv")]
pub struct Args {
    /// The store.
    store: PathBuf,
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

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let store = Store::open(&args.store)?;
    let mut groups: BTreeMap<(String, String, Option<usize>), Group> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut whole = Learning::default();
    let mut unreadable = 0;
    for run in store.runs()? {
        let read = run.and_then(|run| run.records().map(|records| (run, records)));
        let (run, records) = match read {
            Ok(read) => read,
            Err(error) => {
                say!("{error}");
                unreadable += 1;
                continue;
            }
        };
        seen.insert(run.id().to_owned());
        let spec = run.spec();
        let key = (spec.problem.variant.clone(), spec.strategy.variant.clone(), spec.pool_ratio());
        let group = groups.entry(key).or_default();
        match run.status() {
            Status::Done => group.done += 1,
            Status::Failed(_) => group.failed += 1,
            Status::Partial { .. } => group.begun += 1,
        }
        let directory = run.directory().file_name().unwrap_or_default().to_string_lossy().into_owned();
        for record in &records {
            group.failed_labels += record.failed_labels.len();
            group.learning.add(&directory, record);
            whole.add(&directory, record);
        }
    }
    let mut sweeps = Vec::new();
    for sweep in store.sweeps()? {
        match sweep {
            Ok(sweep) => sweeps.push(sweep),
            Err(error) => {
                say!("{error}");
                unreadable += 1;
            }
        }
    }
    for planned in sweeps.iter().flat_map(|sweep| &sweep.runs) {
        if seen.insert(planned.id.clone()) {
            let key = (planned.problem.clone(), planned.strategy.clone(), planned.pool_ratio);
            groups.entry(key).or_default().absent += 1;
        }
    }
    let some_failed = unreadable > 0 || groups.values().any(|group| group.failed > 0);
    let rows = groups.into_iter().map(|((problem, strategy, pool_ratio), g)| {
        vec![
            json!(problem),
            json!(strategy),
            json!(pool_ratio),
            json!(g.done),
            json!(g.failed),
            json!(g.begun),
            json!(g.absent),
            json!(g.failed_labels),
            json!(g.learning.not_learned.len()),
            json!(g.learning.members.trained),
            json!(g.learning.members.collapsed),
            json!(g.learning.members.unsettled),
        ]
    });
    let columns = vec![
        "problem",
        "strategy",
        "pool_ratio",
        "finished",
        "failed",
        "begun",
        "not_started",
        "failed_labels",
        "not_learned",
        "members",
        "collapsed",
        "unsettled",
    ];
    Rows { columns, rows: rows.collect() }.print(args.format)?;
    for line in learning_lines(&whole) {
        say!("{line}");
    }
    Ok(if some_failed { Done::Partly } else { Done::Fully })
}
