//! From a sweep file to a finished store: resolve, schedule, run, resume.
//!
//! A [`Sweep`] is what the user wrote; [`Sweep::resolve_with`] turns it into a [`Plan`], the list of trials with every
//! default filled in, and reports every mistake before anything is trained. [`run`] executes a plan on worker threads,
//! one thread per trial or, for engines that train many trials in lock step, per group of them, into a
//! [`Store`](dal_store::Store): finished runs are skipped, checkpoints taken up, failures recorded. Results do not
//! depend on the number of workers, on their order or on interruptions. Who trains is handed in: the catalogue has the
//! list of engines and the clock that they measure with. [`sweep_files`] has the keys of a sweep file.
//!
//! # Example
//!
//! ```
//! let sweep = dal_bench::Sweep::parse(
//!     r#"
//!     name = "tiny"
//!     seeds = 2
//!     [protocol]
//!     initial = 10
//!     queries = 4
//!     steps = 1
//!     test_points = 50
//!     pool_ratios = [2]
//!     [training]
//!     epochs = 5
//!     members = 2
//!     [[problem]]
//!     id = "sine"
//!     network = { hidden = [8] }
//!     [[strategy]]
//!     id = "random"
//!     [[strategy]]
//!     id = "gsx"
//!     "#,
//!     "tiny.toml",
//! )?;
//! let catalogue = dal_bench::BuiltIn { engines: dal_nn::ENGINES, clock: dal_bench::clock() };
//! let plan = sweep.resolve_with(&catalogue)?;
//! assert_eq!(plan.trials().len(), 4); // two strategies, two seeds
//! let dir = tempfile::tempdir()?;
//! let store = dal_store::Store::open_or_create(dir.path().join("store"))?;
//! let options = dal_bench::RunOptions { jobs: 2, ..Default::default() };
//! let summary = dal_bench::run(&plan, &store, &options, &dal_bench::Silent, &dal_core::Stop::new())?;
//! assert_eq!((summary.finished, summary.skipped), (4, 0));
//! let again = dal_bench::run(&plan, &store, &options, &dal_bench::Silent, &dal_core::Stop::new())?;
//! assert_eq!((again.finished, again.skipped), (0, 4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(unreachable_pub)]

/// How a sweep file is written.
#[doc = include_str!("../sweep-files.md")]
pub mod sweep_files {}

mod catalogue;
mod cut;
mod departures;
mod error;
mod estimate;
mod goes_on;
mod labels_due;
mod learning;
mod ledger;
mod machine;
mod plan;
mod platform;
mod problem;
mod progress;
mod remember;
mod replay;
mod resolve;
mod schedule;
mod show;
mod survey;
mod sweep;
mod tally;
mod test_labels;
mod watch;
mod work_list;

pub use catalogue::{BuiltIn, Catalogue, FoundStrategy};
pub use cut::{Cut, CutTask, Overheads, SHORTEST_TASK, simulate};
pub use error::{BenchError, SweepError};
pub use estimate::{CostModel, Estimate};
pub use labels_due::PlannedLabels;
pub use learning::{Learning, MemberPlace, member_counts};
pub use machine::{clock, machine, peak_memory_mib, processor_clock};
pub use plan::{Plan, Trial};
pub use problem::{PlannedProblem, TestSet};
pub use progress::{
    DamagedRun, ElsewhereRun, Event, FailedLabels, FailedRun, Overall, Progress, Silent, Summary, WaitingRun,
};
pub use remember::{Taken, answer_key, answers_folder, damaged_bytes, kept_answers, remembering, take_old};
pub use schedule::{RunOptions, run};
pub use show::Shown;
pub use sweep::Sweep;
pub use work_list::WorkList;
