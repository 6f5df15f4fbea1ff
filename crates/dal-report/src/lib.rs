//! From a store of runs to tables, figures and one page.
//!
//! [`load`] reads a store into [`ReportData`], plain values, [`write_export`] writes them as tables and [`read_export`]
//! reads those back; [`write_report`] turns
//! them into findings, one self-contained HTML page, and every figure and table as files. Nothing is averaged over runs
//! that happen to be there: where a planned run is missing, failed or unfinished, its cell has no value and says why.
//! Runs of different engines, platforms, revisions or protocols are never mixed ([`Setting`]).
//!
//! ```
//! use dal_report::{
//!     Entry, Model, Protocol, ReportData, ReportOptions, RunStatus, RunSummary, Setting, terminal_summary,
//!     write_report,
//! };
//! let setting = Setting { engine: "cpu".into(), platform: "example".into(), results_revision: 1, timing: false };
//! let protocol = Protocol {
//!     preset: "published".into(), initial: 80, queries: 40, steps: 5, test_points: 4000, label_noise_percent: 0,
//! };
//! let mut data = ReportData::default();
//! for (strategy, pool_ratio, rate) in [("random", 1, 0.8_f64), ("qbc", 2, 0.7)] {
//!     data.runs.push(RunSummary {
//!         setting: setting.clone(),
//!         protocol: protocol.clone(),
//!         problem: "sine".into(),
//!         strategy: strategy.into(),
//!         pool_ratio: Some(pool_ratio),
//!         seed: 0,
//!         model: Model::default(),
//!         own: false,
//!         test_labels: None,
//!         status: RunStatus::Done,
//!         waiting: None,
//!         entries: (0..=5)
//!             .map(|t| Entry { n_labelled: 80 + 40 * t, mse: rate.powi(t as i32), ..Entry::default() })
//!             .collect(),
//!         name: String::new(),
//!         sweep: String::new(),
//!         circumstances: None,
//!     });
//! }
//! let out = tempfile::tempdir()?;
//! let written = write_report(&data, out.path(), &ReportOptions::default())?;
//! assert!(written.page.ends_with("report.html"));
//! // One seed decides nothing, and the summary says so.
//! assert!(terminal_summary(&written.findings, 100).contains("nothing can be decided"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(unreachable_pub)]

/// The tables that a store is exported as.
///
#[doc = include_str!("../export.md")]
pub mod exported {}

pub mod campaign;
mod canvas;
mod compare;
mod data;
mod error;
mod export;
mod figure;
mod files;
mod findings;
mod font;
mod load;
mod page;
mod pdf;
mod plot;
mod scale;
mod style;
mod summary;
mod svg;
mod table;
mod tables;
mod text;
mod tuning;
mod union;
mod write;

pub use compare::{Change, ComparedCell, ComparedMethod, ComparedOrder, Comparison, FEWEST_METHODS, compare};
pub use data::{
    ANY_POOL, BASELINE, Circumstances, Entry, FIXED_LIST, Made, Model, Protocol, ReportData, RunStatus, RunSummary,
    Seconds, Setting, Sweep, stands_for_every_ratio,
};
pub use error::ReportError;
pub use export::{
    ColumnCard, ColumnKind, EXPORTED, Export, ExportFormat, ExportOptions, ExportedTable, PhysicalPoints,
    PhysicalProblem, PhysicalValue, PhysicalValues, TableCard, is_export, read_export, write_export,
};
pub use findings::{
    AuxiliaryFinding, Band, CellDetail, Counts, Curves, Deciding, EntryMeasure, ErrorKind, FailedLabels, FinalErrors,
    Findings, Judged, Learning, Method, NowErrors, Part, Place, Problem, SeedSpread, Time, TrainingTime,
    UncertaintyFinding, findings,
};
pub use load::load;
pub use summary::{Statement, statements, terminal_summary};
pub use tuning::{SavedTable, TestedNetworks, TriedNetwork, TuningPicture};
pub use write::{ReportOptions, WrittenReport, write_report};
