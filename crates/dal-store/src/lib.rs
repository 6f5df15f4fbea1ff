//! Run specifications, records and checkpoints of active-learning runs on disk.
//!
//! A store is a directory:
//!
//! ```text
//! store.json                 what this directory is, and the version of its layout
//! sweeps/NAME-HASH.json      what was planned: the sweep file's text and the ids of its runs
//! runs/LABEL-ID/             one run
//!   spec.json                what was run: specification, numeric platform, results revision      deterministic
//!   records.jsonl            one line per entry: errors on the test set, what was chosen next     deterministic
//!   queries.npy              every queried point, (n_queries in total, n_columns), f64            deterministic
//!   labels.npy               every point with its answer, where answers cost something                deterministic
//!   footer.json              the run is over (done or failed, and why); hashes of the above       deterministic
//!                            and of itself
//!   timing.jsonl             seconds per entry
//!   provenance.json          versions, machine, command
//!   checkpoint.journal       only of a failed run: its answers and records
//! runs/.try-RUN-HOST-PID-NONCE/    an attempt at a run by one process: the same files, and its checkpoint.journal
//! runs/.claim-RUN            who is at work on it
//! quarantine/                what was damaged and set aside; nothing in it is read
//! ```
//!
//! The id of a run is the SHA-256 of its `spec.json`, cut to 16 hexadecimal digits. Since that file holds the numeric
//! platform and [`RESULTS_REVISION`](dal_core::RESULTS_REVISION), the same specification run on another platform or
//! by another revision is another run that lies beside the first: neither overwrites or hides the other, a run is
//! skipped only where all three match, and a reader of the store sees both ([`Run::key`]).
//! [`Store::check_run`] and [`Store::check_rest`] hold every file against its seal; what lies in the directory and is
//! called as nothing of a store is passed over.
//!
//! Deterministic files are the same bytes however often a run was interrupted and however many ran beside it. Files
//! appear whole (temporary file, fsync, rename), and so do runs, by the rename of an attempt, which fails where the run
//! is there. The journal is append-only and every frame of it is checksummed, so that a kill, a full disk or a power
//! failure costs at most what was being written.
//!
//! Answers that cost something stand in a folder of their own, which commands share and stores do not own: [`Answers`].
//! Stores of older versions have them in a folder `labels`, which is read and no more written: [`old_answers`].
//!
//! ```
//! use dal_store::{Begin, EntryErrors, EntryRecord, Provenance, RunKey, RunSpec, Status, Store};
//! let dir = tempfile::tempdir()?;
//! let store = Store::open_or_create(dir.path().join("runs"))?;
//! let key = RunKey::current(RunSpec::example(), "cpu");
//! {
//!     let writer = store.writer()?;
//!     let Begin::Open(mut run) = writer.begin(&key)? else { unreachable!("the store is empty") };
//!     let errors = EntryErrors { mse: 0.5, mae: 0.4, p95_abs: 1.0, max_abs: 1.5 };
//!     run.entry(EntryRecord::new(0, 80, errors), None)?;
//!     run.finish(&Provenance::default())?;
//! }
//! for run in store.runs()? {
//!     let run = run?;
//!     assert_eq!((run.status(), run.id()), (&Status::Done, key.id().as_str()));
//!     assert_eq!(run.records()?[0].errors.mse, 0.5);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(unreachable_pub)]

mod answers;
mod atomic;
mod attempt;
mod calls;
mod canonical;
mod claim;
mod error;
mod journal;
mod lines;
mod log;
mod manifest;
mod merge;
mod names;
mod old;
mod process;
mod record;
mod remembering;
mod run;
mod shared;
mod spec;
mod store;
mod sweep;
mod verify;
mod writer;

pub use answers::{
    Answer, AnswerDamage, AnswerDamageKind, AnswerKey, Answers, Contradiction, KeyInput, Merged, answer_keys,
    merge_answers,
};
pub use attempt::Listing;
pub use calls::{Call, CallNote, CallStanding, Calls};
pub use canonical::canonical_json;
pub use claim::{CLAIM_AGE, ClaimNote};
pub use error::StoreError;
pub use journal::{Checkpoint, CheckpointBatch};
pub use log::{Log, LogText};
pub use merge::{DifferingRun, MergedRuns};
pub use old::{OldAnswers, has_old_labels, old_answers, problems_of};
pub use process::{ProcessName, Standing};
pub use record::{
    AuxiliaryRecord, Choice, EntryErrors, EntryRecord, EntryTiming, FailedLabel, Failure, FailureKind,
    MOST_SINGLE_OUTPUTS, Machine, MemberRecord, OUTPUT_QUANTILES, OutputErrorRecord, OutputErrorsRecord, PooledErrors,
    Provenance, Status, TestLabels, UncertaintyRecord,
};
pub use remembering::Remembering;
pub use run::Run;
pub use shared::Shared;
pub use spec::{PoolSpec, ProblemSpec, ProtocolSpec, RunKey, RunSpec, StrategySpec};
pub use store::{Begin, Store, StoreWriter};
pub use sweep::{ColumnRecord, OwnProblem, PlannedLook, PlannedRun, SweepRecord};
pub use verify::{CheckedRun, CheckedStore, DamagedFile, LostSweep};
pub use writer::RunWriter;
