//! The directory that holds runs: opening, locking, listing.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::canonical::canonical_json;
use crate::error::{StoreError, json_words};
use crate::journal::{Checkpoint, Journal};
use crate::record::Status;
use crate::run::{FOOTER, JOURNAL, Run, SPEC, remove_superseded, superseded};
use crate::spec::{RunKey, short_hash};
use crate::sweep::SweepRecord;
use crate::writer::RunWriter;

pub(crate) const MANIFEST: &str = "store.json";
/// The manifest before it is in place.
const BEGUN: &str = "store.json.tmp";
pub(crate) const LOCK: &str = "store.lock";
pub(crate) const RUNS: &str = "runs";
pub(crate) const SWEEPS: &str = "sweeps";
/// Where damaged things are moved to; nothing in it is read.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Where older versions kept answers.
pub(crate) const LABELS: &str = "labels";
const FORMAT: u64 = 1;
/// Directories and files that are not whole yet start with this.
pub(crate) const HIDDEN: char = '.';

/// A directory of runs. Reading needs no lock: files appear whole.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    /// What this directory is, for a person who finds it.
    about: String,
    format: u64,
}

impl Store {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// No such directory, something else in it, a layout of another version, an unreadable `store.json`.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let path = root.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(match is_empty(&root) {
                    Ok(true) => StoreError::Absent { path: root },
                    Ok(false) => StoreError::NotAStore { path: root },
                    Err(error) if error.kind() == io::ErrorKind::NotFound => StoreError::Absent { path: root },
                    Err(error) if error.kind() == io::ErrorKind::NotADirectory => StoreError::NotAFolder { path: root },
                    Err(error) => StoreError::io(root, "list")(error),
                });
            }
            Err(error) => return Err(StoreError::io(path, "read")(error)),
        };
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| StoreError::Damaged {
            line: Some(e.line()),
            reason: json_words(&e),
            remedy: format!(
                "if this is a store of layout version {FORMAT}, delete the file and start the sweep again on an empty \
                 directory, then move `runs` into it"
            ),
            path: path.clone(),
        })?;
        if manifest.format != FORMAT {
            return Err(StoreError::OtherFormat { path, found: manifest.format, expected: FORMAT });
        }
        Ok(Self { root })
    }

    /// Opens a store, or makes one of a directory that is empty or does not exist.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for absence; a directory that cannot be made.
    pub fn open_or_create(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        match Self::open(&root) {
            Err(StoreError::Absent { .. }) => {}
            other => return other,
        }
        for dir in [root.clone(), root.join(RUNS), root.join(SWEEPS)] {
            fs::create_dir_all(&dir).map_err(StoreError::io(dir, "create"))?;
        }
        let about = "runs of deep active learning for regression, written by dal".to_owned();
        let manifest = canonical_json(&Manifest { about, format: FORMAT }).expect("plain data");
        atomic::write(&root.join(MANIFEST), (manifest + "\n").as_bytes())?;
        Ok(Self { root })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every run, by the name of its directory. A run that cannot be read is an error of its own; the others follow.
    /// What is not called as runs are is passed over.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn runs(&self) -> Result<impl Iterator<Item = Result<Run, StoreError>> + use<>, StoreError> {
        let dir = self.root.join(RUNS);
        Ok(self.run_names()?.into_iter().map(move |name| Run::open(dir.join(name))))
    }

    /// Names of the runs' directories, sorted; nothing is read.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn run_names(&self) -> Result<Vec<String>, StoreError> {
        let runs = list(&self.root.join(RUNS))?.into_iter().filter(|found| found.is_dir && is_hashed(&found.name));
        Ok(runs.map(|found| found.name).collect())
    }

    /// The run in this directory of `runs`.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn run(&self, directory: &str) -> Result<Run, StoreError> {
        Run::open(self.root.join(RUNS).join(directory))
    }

    /// The run with this key, if there is one, whatever its status.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn find(&self, key: &RunKey) -> Result<Option<Run>, StoreError> {
        let dir = self.run_dir(key);
        if dir.exists() { Run::open(dir).map(Some) } else { Ok(None) }
    }

    /// Every sweep that was planned on this store, by name. A record that cannot be read is an error of its own; the
    /// others follow.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn sweeps(&self) -> Result<Vec<Result<SweepRecord, StoreError>>, StoreError> {
        Ok(self.sweep_names()?.iter().map(|name| self.sweep(name)).collect())
    }

    /// Names of the files that hold sweeps, sorted.
    pub(crate) fn sweep_names(&self) -> Result<Vec<String>, StoreError> {
        let files = list(&self.root.join(SWEEPS))?.into_iter().map(|found| found.name);
        Ok(files.filter(|name| name.strip_suffix(".json").is_some_and(is_hashed)).collect())
    }

    /// The sweep in this file, whose name ends with the hash of its content.
    pub(crate) fn sweep(&self, name: &str) -> Result<SweepRecord, StoreError> {
        let path = self.root.join(SWEEPS).join(name);
        let bytes = fs::read(&path).map_err(StoreError::io(&path, "read"))?;
        let damaged = |line, reason: String| StoreError::Damaged {
            line,
            reason,
            remedy: "the next start of the sweep writes it again".into(),
            path: path.clone(),
        };
        if !name.ends_with(&format!("-{}.json", short_hash(&bytes))) {
            return Err(damaged(None, "its content is not what the hash in its name says".into()));
        }
        serde_json::from_slice(&bytes).map_err(|e| damaged(Some(e.line()), json_words(&e)))
    }

    /// Takes the right to write, which one process at a time can have. It ends with the returned value, or with the
    /// process however that ends.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it.
    pub fn lock(&self) -> Result<StoreWriter, StoreError> {
        let path = self.root.join(LOCK);
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io(&path, "open"))?;
        match lock.try_lock() {
            Ok(()) => Ok(StoreWriter { store: self.clone(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
            Err(TryLockError::Error(error)) => Err(StoreError::io(path, "lock")(error)),
        }
    }

    fn run_dir(&self, key: &RunKey) -> PathBuf {
        self.root.join(RUNS).join(key.directory_name())
    }
}

/// The right to write to a store; threads may share it.
#[derive(Debug)]
pub struct StoreWriter {
    store: Store,
    _lock: File,
}

/// How a run stands that is about to be started.
#[derive(Debug)]
pub enum Begin {
    /// It is over, done or failed.
    Over(Run),
    /// It can go on from its checkpoint, which may be empty.
    Open(RunWriter),
}

impl StoreWriter {
    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Starts a run or takes it up again; one writer per run at a time.
    ///
    /// # Errors
    /// A run that cannot be read, or whose files are not as long as its footer says; a disk that refuses.
    pub fn begin(&self, key: &RunKey) -> Result<Begin, StoreError> {
        self.begin_with(key, || None)
    }

    /// As [`begin`](Self::begin), but a run that the store does not have starts from this checkpoint, if there is one.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(
        &self,
        key: &RunKey,
        checkpoint: impl FnOnce() -> Option<Checkpoint>,
    ) -> Result<Begin, StoreError> {
        let dir = self.store.run_dir(key);
        if !dir.exists()
            && let Some(old) = superseded(&dir).filter(|old| old.exists())
        {
            // A kill while it was being replaced: it stands.
            fs::rename(&old, &dir).map_err(StoreError::io(&dir, "put back"))?;
        }
        if let Some(run) = self.store.find(key)? {
            if matches!(run.status(), Status::Partial { .. }) {
                return RunWriter::open(dir, key.clone()).map(Begin::Open);
            }
            run.check_lengths()?;
            if *run.status() == Status::Done {
                self.clean(key)?;
                remove_superseded(&dir)?;
            }
            return Ok(Begin::Over(run));
        }
        let unborn = self.unborn(key, &checkpoint().unwrap_or_default())?;
        fs::rename(&unborn, &dir).map_err(StoreError::io(&dir, "create"))?;
        atomic::sync_parent(&dir);
        RunWriter::open(dir, key.clone()).map(Begin::Open)
    }

    /// Takes a run back to a checkpoint, to be made anew from there. What it was is kept beside the runs
    /// ([`Run::superseded`]) until it is finished again.
    ///
    /// # Errors
    /// A disk that refuses; the run then stands as it was.
    pub fn take_back(&self, run: &Run, checkpoint: &Checkpoint) -> Result<RunWriter, StoreError> {
        let dir = run.directory().to_owned();
        let unborn = self.unborn(run.key(), checkpoint)?;
        let Some(old) = superseded(&dir) else { return Err(StoreError::Absent { path: dir }) };
        if old.exists() {
            // Taken back before, and not finished since: the form that was finished stays.
            fs::remove_dir_all(&dir).map_err(StoreError::io(&dir, "remove"))?;
        } else {
            if let Some(folder) = old.parent() {
                fs::create_dir_all(folder).map_err(StoreError::io(folder, "create"))?;
            }
            fs::rename(&dir, &old).map_err(StoreError::io(&dir, "set aside"))?;
        }
        fs::rename(&unborn, &dir).map_err(StoreError::io(&dir, "create"))?;
        atomic::sync_parent(&dir);
        RunWriter::open(dir, run.key().clone())
    }

    /// A hidden directory with the specification and a checkpoint in it, so that a run appears whole or not at all.
    fn unborn(&self, key: &RunKey, checkpoint: &Checkpoint) -> Result<PathBuf, StoreError> {
        let unborn = self.store.root.join(RUNS).join(format!("{HIDDEN}{}", key.directory_name()));
        if unborn.exists() {
            fs::remove_dir_all(&unborn).map_err(StoreError::io(&unborn, "remove"))?;
        }
        fs::create_dir_all(&unborn).map_err(StoreError::io(&unborn, "create"))?;
        atomic::write(&unborn.join(SPEC), key.to_json().as_bytes())?;
        let frames = checkpoint.frames();
        if !frames.is_empty() {
            let (mut journal, _) = Journal::open(unborn.join(JOURNAL), &key.to_json())?;
            frames.iter().try_for_each(|frame| journal.append(frame))?;
            journal.sync()?;
        }
        Ok(unborn)
    }

    /// Removes the checkpoint of a run that is done, which a kill between footer and clean-up leaves behind. What the
    /// footer vouches for has to be whole: [`Run::verify`] it before.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn clean(&self, key: &RunKey) -> Result<(), StoreError> {
        remove_if_there(&self.store.run_dir(key).join(JOURNAL))
    }

    /// Takes up a run that failed, from where it failed; failed labels of an initial set without a single answer are
    /// forgotten, so that they are asked for again.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn retry(&self, run: &Run) -> Result<RunWriter, StoreError> {
        let dir = run.directory().to_owned();
        let checkpoint = run.checkpoint()?;
        if checkpoint.batches.first().is_some_and(|batch| !batch.answers.iter().any(|a| matches!(a, Some(Ok(_))))) {
            remove_if_there(&dir.join(JOURNAL))?;
        }
        remove_if_there(&dir.join(FOOTER))?;
        RunWriter::open(dir, run.key().clone())
    }

    /// Keeps what a sweep planned.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn record_sweep(&self, sweep: &SweepRecord) -> Result<(), StoreError> {
        let text = canonical_json(sweep).expect("sweeps are plain data with string keys") + "\n";
        let name: String = sweep.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = self.store.root.join(SWEEPS).join(format!("{name}-{}.json", short_hash(text.as_bytes())));
        // One that is damaged is written again.
        let is_there = fs::read(&path).is_ok_and(|known| known == text.as_bytes());
        if is_there { Ok(()) } else { atomic::write(&path, text.as_bytes()) }
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

/// Whether a directory holds nothing, or what a process that was ended while it made a store left: empty folders and a
/// manifest that is not in place.
fn is_empty(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let begun = match entry.file_name().to_str() {
            Some(RUNS | SWEEPS) => entry.file_type()?.is_dir() && fs::read_dir(entry.path())?.next().is_none(),
            Some(BEGUN) => entry.file_type()?.is_file(),
            _ => false,
        };
        if !begun {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Something in a directory.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

/// What is in a directory, sorted by name, without what is not whole yet.
fn list(dir: &Path) -> Result<Vec<Found>, StoreError> {
    let mut found = list_all(dir)?;
    found.retain(|found| !found.name.starts_with(HIDDEN) && !found.name.ends_with(".tmp"));
    Ok(found)
}

/// What is in a directory, sorted by name.
pub(crate) fn list_all(dir: &Path) -> Result<Vec<Found>, StoreError> {
    let failed = |source| StoreError::Io { path: dir.to_owned(), action: "list", source };
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let is_dir = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        all.push(Found { name: entry.file_name().to_string_lossy().into_owned(), is_dir });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Whether a name ends as those of runs and sweeps do: a dash and 16 hexadecimal digits.
pub(crate) fn is_hashed(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(label, hash)| {
        !label.is_empty() && hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}
