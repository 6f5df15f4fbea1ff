//! Working through a list of tasks with several threads.
//!
//! Longest first; a panic of a task is that task's outcome and the others go on; a [`Stop`] that drains leaves what
//! has not begun; an error that makes going on senseless (a full disk) ends the list. Knows no terminal, no clock and
//! no file: the caller times, records and shows them. [`grouped`] makes tasks of things that are better done
//! together.
//!
//! ```
//! use dal_core::Stop;
//! use dal_work::{Outcome, Place, Task, work_through};
//! let tasks = [3.0, 1.0, 2.0].map(|cost| Task { cost, work: cost });
//! let run = |_: &Place<'_>, work: &f64| match *work {
//!     2.0 => panic!("two is too much"),
//!     work => Ok::<f64, std::io::Error>(10.0 * work),
//! };
//! let outcomes = work_through(&tasks, 2, &Stop::new(), run, |_, _| Ok(())).into_result()?;
//! assert_eq!(outcomes, [Outcome::Done(30.0), Outcome::Done(10.0), Outcome::Panicked("two is too much".into())]);
//! # Ok::<(), dal_work::WorkError<std::io::Error>>(())
//! ```
//!
//! Not for work that waits for other work, nor for a stream of tasks without an end.

#![warn(unreachable_pub)]

mod group;
mod work;

pub use dal_core::{Stop, StopLevel};
pub use group::{Group, Kind, grouped};
pub use work::{Outcome, Place, Task, WorkError, Worked, panic_message, work_through};
