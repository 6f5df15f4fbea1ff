//! Scientific regression problems with oracles, and oracles that users bring.
//!
//! A problem is a [`Space`](dal_core::Space) that points come from, an [`Oracle`](dal_core::Oracle) that labels them,
//! and a [`Card`] that describes both and names the model the benchmark learns it with. [`catalogue()`] lists the
//! built-in problems, [`find`] makes one:
//!
//! ```
//! use dal_core::{SeedPath, Settings, Stop, every};
//!
//! let problem = dal_oracles::find("hydro", &Settings::default())?;
//! let x = problem.space().sample(3, &SeedPath::root(1));
//! let mut labels = Vec::new();
//! let mut keep = every(|row, answer| labels.push((row, answer.map(<[f64]>::to_vec))));
//! problem.oracle().unwrap().label(x.view(), &Stop::new(), &mut keep).unwrap();
//! drop(keep);
//! assert_eq!(labels.len(), 3);
//! # Ok::<(), dal_core::SettingError>(())
//! ```
//!
//! Users bring their own as a file: [`user::load`] reads a `problem.toml` whose oracle is a table, a program, a forest
//! or a network, or that has none because a laboratory answers ([`Problem::oracle`]).
//!
//! What this crate is not for: it knows nothing of learning, runs or stores.

pub mod adm;
pub mod card;
pub mod catalogue;
pub mod contract;
pub mod forest;
pub mod network;
#[cfg(feature = "onnx")]
pub mod onnx;
mod page;
mod problem;
pub mod problems;
mod rows;
#[cfg(test)]
mod testing;

pub use card::Card;
pub use catalogue::{catalogue, find, find_in};
pub use page::catalogue_page;
pub use problem::user::{self, Asking, ProblemFileError};
pub use problem::{AnsweredBy, Column, NoOracle, Problem};
