//! The vocabulary of deep active learning for regression (problem, surrogate, strategy, seeds) and its loop.
//!
//! This crate touches no files, clocks, threads or processes. What it holds:
//!
//! | module | what it is for |
//! |---|---|
//! | [`seeds`] | random streams addressed by purpose, never drawn in sequence across purposes |
//! | [`philox`] | a counter-based generator whose numbers a device can compute from their address |
//! | [`space`] | physical, integer and categorical inputs on the unit box `[-1, 1]^d`, and sampling from it |
//! | [`oracle`] | what answers a query, row by row |
//! | [`labelled`] | the points whose answers are known |
//! | [`settings`] | settings by name: values, cards, errors that carry the key |
//! | [`model`] | the description of a model to be trained |
//! | [`engine`] | who trains: makes learners of a model description |
//! | [`surrogate`] | a trained model and its small capabilities, and the learner that trains it |
//! | [`outputs`] | model units: answers transformed and standardised before a model learns them, and back |
//! | [`stop`] | a wish to stop: go on, drain, or now |
//! | [`strategy`] | a rule that chooses what to label next, and the [`Step`] it looks at |
//! | [`campaign`] | one active-learning loop as a state machine: ask, tell, fit, propose |
//! | [`run`] | drives one or many campaigns against an oracle |
//!
//! # The whole loop
//!
//! A campaign on a toy oracle, with a surrogate that answers with its nearest labelled point and a strategy that
//! picks the pool point farthest from the labelled set:
//!
//! ```
//! use std::sync::Arc;
//! use dal_core::*;
//! use ndarray::{Array1, Array2, ArrayView2, Axis};
//!
//! /// y = x², one input, one output.
//! #[derive(Debug)]
//! struct Square;
//! impl Oracle for Square {
//!     fn n_inputs(&self) -> usize { 1 }
//!     fn n_outputs(&self) -> usize { 1 }
//!     fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
//!         check_unit_box(x, 1)?;
//!         for (i, row) in x.outer_iter().enumerate() {
//!             if on_row(i, Ok(&[row[0] * row[0]])).is_break() {
//!                 break;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! /// Predicts the label of the nearest labelled point.
//! struct Nearest(Labelled);
//! impl Surrogate for Nearest {
//!     fn n_inputs(&self) -> usize { 1 }
//!     fn n_outputs(&self) -> usize { 1 }
//!     fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
//!         let nearest = |q: f64| {
//!             let known = self.0.x();
//!             let far = |i: usize| (known[[i, 0]] - q).abs();
//!             let i = (0..self.0.len()).min_by(|&a, &b| far(a).total_cmp(&far(b)));
//!             self.0.y()[[i.unwrap(), 0]]
//!         };
//!         Ok(x.map_axis(Axis(1), |row| nearest(row[0])).insert_axis(Axis(1)))
//!     }
//! }
//! struct NearestLearner;
//! impl Learner for NearestLearner {
//!     fn platform(&self) -> String { "nearest".into() }
//!     fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
//!         jobs.iter().map(|job| Ok(Box::new(Nearest(job.labelled.clone())) as Box<dyn Surrogate>)).collect()
//!     }
//! }
//!
//! /// Picks the pool points farthest from every labelled one (not greedily: one distance each).
//! #[derive(Debug)]
//! struct Farthest;
//! impl Strategy for Farthest {
//!     fn needs(&self) -> Needs { Needs::default() }
//!     fn propose(&self, step: &Step<'_>, n: usize, _: &SeedPath) -> Result<Proposal, StrategyError> {
//!         step.check_request(n)?;
//!         let gap = |q: f64| step.labelled().x().iter().map(|l| (l - q).abs()).fold(f64::INFINITY, f64::min);
//!         let scores: Array1<f64> = step.pool().column(0).map(|&q| gap(q));
//!         Proposal::top(scores, n)
//!     }
//! }
//!
//! /// Prints nothing, counts entries.
//! #[derive(Default)]
//! struct Count(usize);
//! impl Observer for Count {
//!     fn fitted(&mut self, _: usize, _: &Fitted<'_>) -> Result<(), ObserverError> { self.0 += 1; Ok(()) }
//! }
//!
//! let space = Space::continuous_unit(1);
//! let protocol = Protocol {
//!     start: Start::Sample { n: 4 },
//!     n_queries: 2,
//!     n_steps: Some(3),
//!     pool: Pool::Uniform { n_candidates: 16 },
//! };
//! let seeds = TrialSeeds::new("square", 0);
//! let mut campaigns = vec![Campaign::new(space, Arc::new(Farthest), protocol, seeds)?];
//! let mut count = Count::default();
//! let outcomes = run_trials(&mut campaigns, &Square, &NearestLearner, &Stop::new(), &mut count);
//! assert!(outcomes.iter().all(Result::is_ok));
//! assert_eq!(campaigns[0].labelled().unwrap().len(), 4 + 3 * 2);
//! assert_eq!(count.0, 4); // the initial model and one after each step
//! # Ok::<(), dal_core::CampaignError>(())
//! ```

pub mod campaign;
pub mod engine;
pub mod labelled;
pub mod model;
pub mod oracle;
pub mod outputs;
pub mod philox;
mod protocol;
pub mod run;
pub mod seeds;
pub mod settings;
pub mod space;
pub mod stop;
pub mod strategy;
pub mod surrogate;

pub use campaign::{Ask, Batch, Campaign, CampaignError, Decision, Pending};
pub use engine::{Clock, Engine, EngineCard, EngineChoice, OpenEngine, Rate, calibrate, open_engine, rehearse};
pub use labelled::{Labelled, LabelledError};
pub use model::{MlpEnsemble, MlpOverlay, ModelSpec, Shape};
pub use oracle::{
    LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, check_label, check_unit_box, every, point_key,
};
pub use outputs::{FromModelUnits, OutputScaling, OutputTransform, OutputUnits};
pub use philox::Philox;
pub use protocol::{Pool, Protocol, Start};
pub use run::{Fitted, Observer, ObserverError, Observers, Proposed, RunError, run_trials};
pub use seeds::{SeedPath, TrialSeeds};
pub use settings::{Choice, SettingCard, SettingError, SettingValues, Settings};
pub use space::{Dimension, Scale, Space, SpaceError, Value};
pub use stop::{Stop, StopLevel};
pub use strategy::{Course, Proposal, Queries, Step, Strategy, StrategyError, top_scored};
pub use surrogate::{
    Capability, Committee, Dropout, DropoutSpec, FeatureKind, FeatureSpec, Features, FitJob, InputGradient, LearnError,
    Learner, LossHead, LossHeadSpec, ModelUnits, Moments, Needs, OnChunk, ParameterSubset, Parametrisation, Surrogate,
    SurrogateError, Tangent, TrainingCost, TrainingEnd, TrainingReport, Uncertainty, WidthFactor,
};

/// Raised whenever results change on purpose; recorded with every run, and runs of another revision are never mixed in.
pub const RESULTS_REVISION: u32 = 5;
