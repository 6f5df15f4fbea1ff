//! Query strategies for pool-based active learning of regression: rules that choose what to label next.
//!
//! [`catalogue`] lists them, [`find`] builds one from an id and settings, [`strategies`] has their types. Each
//! declares what it needs of a model (predictions, their uncertainty, a dropout network, …) before anything is trained,
//! and looks at nothing else. Ties go to the lowest pool index, scores that are not finite are errors, and a term that
//! is constant on a pool counts 0 and leaves a note on the step.
//!
//! # On data of your own
//!
//! A labelled set, a pool, and the predictions of any committee at the pool are enough for most rules:
//!
//! ```
//! use dal_acq::{GivenPredictions, find, select};
//! use dal_core::{Labelled, SeedPath, Settings};
//! use ndarray::{Array3, array};
//!
//! let labelled = Labelled::new(array![[0.0], [0.5]], array![[0.1], [0.9]])?;
//! let pool = array![[-0.8], [0.2], [1.0]];
//! // Two members, three pool points, one output.
//! let members = Array3::from_shape_vec((2, 3, 1), vec![0.0, 0.4, 2.0, 0.1, 0.4, 3.0])?;
//! let predictions = GivenPredictions::new(pool.clone(), members)?;
//! let qbc = find("qbc", &Settings::default())?.strategy;
//! let chosen = select(&*qbc, &labelled, pool.view(), Some(&predictions), 2, &SeedPath::root(0))?;
//! assert_eq!(chosen.picked, [2, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Not here: training (`dal-nn`), files and tables (`dal`), geometry that knows nothing of learning (`dal-geom`).

mod build;
mod card;
mod catalogue;
pub mod contract;
pub mod designs;
mod given;
mod greedy;
mod rule;
mod settings;
pub mod strategies;

pub use card::{Card, Found, Invariance, Labels, PickScore};
pub use catalogue::{card, catalogue, find};
pub use dal_geom::LINEAR_ALGEBRA;
pub use given::{Chosen, GivenError, GivenPredictions, Known, SelectError, select, select_by_surrogate, select_known};
