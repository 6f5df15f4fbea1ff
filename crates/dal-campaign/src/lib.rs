//! Campaigns of active learning in a folder: from a simulator or a laboratory to a surrogate.
//!
//! A [`Folder`] holds a problem file, a file of settings, and a log of everything that was said; its [`State`] is
//! rebuilt from the log, and nothing is ever rewritten. [`Folder::ask`] hands out points with the reasons for them,
//! [`Folder::tell`] takes answers, [`Folder::run`] closes the loop over an oracle, [`Folder::predict`] and
//! [`Folder::export_csv`] bring out what was learned. The network is chosen by cross-validation from a [`ladder`].
//!
//! This crate knows nothing of terminals and reads no clock: callers hand it one that says seconds since 1970.
//!
//! # An oracle and a surrogate of one's own
//!
//! ```
//! use std::sync::Arc;
//! use dal_campaign::{CampaignFile, Folder, RunEvent, RunOptions, Trainer};
//! use dal_core::*;
//! use dal_files::Source;
//! # use ndarray::{Array2, ArrayView2, Axis};
//! # /// y = x².
//! # #[derive(Debug)]
//! # struct Square;
//! # impl Oracle for Square {
//! #     fn n_inputs(&self) -> usize { 1 }
//! #     fn n_outputs(&self) -> usize { 1 }
//! #     fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
//! #         for (i, row) in x.outer_iter().enumerate() {
//! #             if on_row(i, Ok(&[row[0] * row[0]])).is_break() { break; }
//! #         }
//! #         Ok(())
//! #     }
//! # }
//! # /// Predicts the label of the nearest labelled point.
//! # struct Nearest(Labelled);
//! # impl Surrogate for Nearest {
//! #     fn n_inputs(&self) -> usize { 1 }
//! #     fn n_outputs(&self) -> usize { 1 }
//! #     fn mean(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
//! #         let gap = |i: usize, q: f64| (self.0.x()[[i, 0]] - q).abs();
//! #         let near = |q: f64| (0..self.0.len()).min_by(|&a, &b| gap(a, q).total_cmp(&gap(b, q))).unwrap();
//! #         Ok(x.map_axis(Axis(1), |row| self.0.y()[[near(row[0]), 0]]).insert_axis(Axis(1)))
//! #     }
//! # }
//! # struct NearestLearner;
//! # impl Learner for NearestLearner {
//! #     fn platform(&self) -> String { "nearest".into() }
//! #     fn fit_all(&self, jobs: &[FitJob<'_>], _: &Stop) -> Vec<Result<Box<dyn Surrogate>, LearnError>> {
//! #         jobs.iter().map(|job| Ok(Box::new(Nearest(job.labelled.clone())) as Box<dyn Surrogate>)).collect()
//! #     }
//! # }
//! # let dir = tempfile::tempdir()?;
//! # let problem = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 10\n[[outputs]]\nname = \"y\"\n\
//! #     [oracle.command]\nprogram = [\"true\"]\ntime_limit = 1\n";
//! # std::fs::write(dir.path().join("problem.toml"), problem)?;
//! let settings = CampaignFile { initial: 6, ..CampaignFile::new("problem.toml", 1).choosing_by("gsx") };
//! let mut folder = Folder::begin(dir.path(), &settings, Arc::new(|| 0.0))?;
//! let oracle: Arc<dyn Oracle> = Arc::new(Square);
//! let options = RunOptions { budget: Some(12), ..RunOptions::default() };
//! folder.run(&options, &oracle, Trainer::Own(&NearestLearner), &Stop::new(), &mut |_: &RunEvent| {})?;
//! assert_eq!(folder.standing().labels, 12);
//! let x = Source::from_bytes("x.csv", "a\n0\n10\n");
//! let predicted = folder.predict(x, Trainer::Own(&NearestLearner), &Stop::new())?;
//! assert!(predicted.rows.iter().all(Result::is_ok));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(unreachable_pub)]

pub mod ask;
pub mod back;
pub mod calibration;
pub mod constraints;
pub mod dakota;
pub mod design;
mod domain;
pub mod draw;
pub mod error;
pub mod estimate;
pub mod export;
pub mod feasible;
pub mod folder;
pub mod held_out;
pub mod infer;
mod infer_names;
pub mod insight;
pub mod ladder;
pub mod model;
pub mod onnx;
mod origin;
pub mod predict;
pub mod run;
pub mod settings;
pub mod state;
pub mod status;
pub mod stopping;
pub mod subject;
pub mod tell;
pub mod tune;
pub mod words;

pub use ask::{AskFor, Asked};
pub use calibration::{Calibration, Coverage};
pub use error::CampaignError;
pub use estimate::{Estimated, Estimates, Noise, Pooled, RoundEstimate, Share};
pub use folder::{Folder, WHOLE_SPACE};
pub use held_out::HeldOut;
pub use infer::{Guess, Hints};
pub use insight::{History, ModelInsight};
pub use model::{Model, Trainer};
pub use predict::{Prediction, Predictions};
pub use run::{RunEnd, RunEvent, RunOptions};
pub use settings::{CampaignFile, ModelSource, Target};
pub use state::{Part, Point, State, Status};
pub use status::Standing;
pub use stopping::{Gain, Judge, Limit, Look};
pub use subject::Subject;
pub use tell::{Heard, Otherwise, Row};
pub use tune::{Compared, Tuned};
