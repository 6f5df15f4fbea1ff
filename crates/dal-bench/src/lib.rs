//! From a sweep file to a finished store: resolve, schedule, run, resume.
//!
//! A [`Sweep`] is what the user wrote; [`Sweep::resolve`] turns it into a [`Plan`], the list of trials with every default filled
//! in, and reports every mistake before anything is trained. [`run`] executes a plan on worker threads, one thread per
//! trial or, for engines that train many trials in lock step, per group of them, into a [`Store`](dal_store::Store): finished
//! runs are skipped, checkpoints taken up, failures recorded. Results do not depend on the number of workers, on their order or
//! on interruptions.
//!
//! # Sweep files
//!
//! TOML; unknown keys are errors. Defaults are the published protocol.
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `name`, `title` | what the sweep is called; one line for the report | required; empty |
//! | `seeds` | how many repetitions, or which (`[0, 3]`) | required |
//! | `engine` | who trains: `cpu`, or `tch` in a build with that feature | `cpu` |
//! | `device` | where the engine `tch` trains: `cpu`, `cuda:N` | `cpu` |
//! | `precision` | of the engine `tch`'s matrix products in training: `f32`, `tf32` (CUDA only), `bf16` | `f32` |
//! | `timing` | the sweep is there for its timings: one trial at a time | `false` |
//! | `[protocol]` `initial`, `queries`, `steps`, `test_points` | labels at first and per step, steps, points of the test set | 80, 40, 50, 4000 |
//! | `[protocol]` `pool_ratios` | pool sizes in units of `queries`; `random` has one run for all of them | 2, 4, 8, 16, 32, 64 |
//! | `[training]` `epochs`, `members`, `learning_rate`, `weight_decay` | for every problem | 500, 10 (`adm` 5), the preset's, the preset's |
//! | `[[problem]]` `id`, `settings` | a problem of the catalogue, or a path to a `problem.toml` relative to the sweep file | at least one |
//! | … `preset` | where network and training come from: `published` (a user's: the problem file), or `tuned` where a search was made | `tuned` where that is better, else `published` |
//! | … `network` | `hidden`, `batch_norm`, `batch_norm_statistics` (`running`, `recomputed`) | the preset's |
//! | … `training`, `protocol` | as above, for this problem | the sweep's |
//! | … `skip` | ids of strategies that are not run on it | none |
//! | `[[strategy]]` `id`, `settings` | a strategy of the catalogue | at least one |
//! | `[report]` | options handed to the report | none |
//!
//! A problem with listed candidates (a table) takes its test set from the list and the rest as its pool; pool ratios do not apply.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::AtomicBool;
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
//! let plan = sweep.resolve()?;
//! assert_eq!(plan.trials().len(), 4); // two strategies, two seeds
//! let dir = tempfile::tempdir()?;
//! let store = dal_store::Store::open_or_create(dir.path().join("store"))?;
//! let options = dal_bench::RunOptions { jobs: 2, ..Default::default() };
//! let summary = dal_bench::run(&plan, &store, &options, &dal_bench::Silent, &AtomicBool::new(false))?;
//! assert_eq!((summary.finished, summary.skipped), (4, 0));
//! let again = dal_bench::run(&plan, &store, &options, &dal_bench::Silent, &AtomicBool::new(false))?;
//! assert_eq!((again.finished, again.skipped), (0, 4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalogue;
mod departures;
mod engine;
mod error;
mod estimate;
mod machine;
mod plan;
mod progress;
mod recorder;
mod remember;
mod replay;
mod schedule;
mod sweep;
#[cfg(feature = "tch")]
mod tch;
mod timed;

pub use catalogue::{BuiltIn, Catalogue, FoundStrategy, Lookup};
pub use engine::{CpuEngine, Engine, EngineChoice};
pub use error::{BenchError, SweepError};
pub use estimate::{CostModel, Estimate};
pub use machine::machine;
pub use plan::{Plan, PlannedProblem, TestSet, Trial};
pub use progress::{Event, FailedRun, Overall, Progress, Silent, Summary};
pub use schedule::{RunOptions, run};
pub use sweep::Sweep;
#[cfg(feature = "tch")]
pub use tch::TchEngine;
