//! Which network and training suit a problem: successive halving on labels of their own.
//!
//! The paper behind the benchmark chose each problem's network and optimiser on 2 000 random points, before any active
//! learning, and kept them for every method. A [`Search`] does the same for a built-in problem or a user's: it compares
//! candidates of a [`SearchSpace`] (depth, width, BatchNorm, learning rate, weight decay) on labels from streams of
//! their own, judged on a validation set of its own. Three rungs with ever more epochs and ensemble members keep the
//! better third; the finals train what is left on several seeds by the benchmark's full measure. Of the finalists
//! within one standard error of the best, the smallest network wins, if it is admitted. The validation labels say
//! whether it takes the reference network's place. Only then is the test set touched: both are trained at several
//! numbers of labels and held side by side, which is reported and decides nothing.
//!
//! Random points do not show how a network learns on the points that methods choose. So `gsx`, `gsxy` and `qbc` choose
//! training sets with the network that would win ([`ChosenSets`]); where more than one member in 500 collapses there,
//! or more than one in 50 ends unsettled, it is not admitted and the next one is tried ([`Admission`]).
//!
//! The problem's reference network, the published one or that of a user's problem file, is always a candidate and
//! always in the finals, unless it cannot be trained. A candidate that diverges is recorded as a failure and drops out.
//!
//! # Work, not time
//!
//! A budget counts work, so that the same search gives the same bytes on a slow machine and a fast one, whatever the
//! number of threads, and after any number of kills: `epochs × members × labels × (parameters + 16 · hidden units)`, in
//! units of one training of the reference network by the finals' measure. This crate reads no clock;
//! [`Search::outlook`] and [`Search::seconds_per_work`], which is given a clock, let a caller estimate the time. An
//! engine that likes several trainings in one call (libtorch) gets those of one candidate together.
//!
//! # Example
//!
//! ```
//! use dal_tune::{ChosenSets, Event, Extent, Outcome, Progress, Ranges, RunOptions, Search, SearchSpace, Settings};
//!
//! struct Silent;
//! impl Progress for Silent {
//!     fn event(&self, _: &Event<'_>) {}
//! }
//!
//! let problem = dal_oracles::find("robo", &dal_core::Settings::default())?;
//! let ranges = Ranges { widths: Some(vec![4, 8]), depths: Some(vec![1, 2]), ..Ranges::default() };
//! let space = SearchSpace::around(&problem, Extent::Small, &ranges)?;
//! // Tiny: 30 labels, 4 epochs; the reference network of 4 × 500 counts as one unit of work.
//! let settings = Settings {
//!     points: vec![30], validation: 50, epochs: 4, members: 1, seeds: 2, budget: 10.0, proof_seeds: 0,
//!     // Nothing is learned in 4 epochs.
//!     chosen: ChosenSets { seeds: 0, ..ChosenSets::BENCHMARK },
//!     ..Settings::for_problem(&problem)
//! };
//! let engine = std::sync::Arc::new(dal_nn::CpuEngine::new(None));
//! let search = Search::new(problem, settings, space, engine)?;
//! let directory = tempfile::tempdir()?;
//! let (options, stop) = (RunOptions { jobs: 2 }, dal_core::Stop::new());
//! let Outcome::Chosen(tuning) = search.run(directory.path(), options, &Silent, &stop)? else {
//!     unreachable!("the stop was not asked for")
//! };
//! assert_eq!(tuning.tried.len(), search.candidates().len());
//! assert!(tuning.explanation.contains("reached the finals"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate is not for
//!
//! No general optimiser of hyperparameters: one family of networks, four properties, a grid. Numbers of epochs and
//! members belong to the protocol and are not searched.

#![warn(unreachable_pub)]

mod chosen;
mod data;
mod error;
mod journal;
mod judge;
mod old;
mod progress;
mod search;
mod settings;
mod space;
mod tuning;

pub use chosen::{Admission, CampaignKey, CampaignResult, ChosenSets, Method, ModelEnd, PER_COLLAPSED, PER_UNSETTLED};
pub use data::{Division, LeftOut};
pub use error::TuneError;
pub use journal::{TrialKey, TrialResult};
pub use judge::{ProofRow, Score, Standing, TestError, Verdict};
pub use old::{LabelledPoint, old_labels};
pub use progress::{Event, Progress, RunOptions};
pub use search::{Outlook, Search};
pub use settings::{Rung, Settings};
pub use space::{BatchNorm, Candidate, Extent, Ranges, SearchSpace};
pub use tuning::{Outcome, Proof, Trial, Tried, Tuning};
