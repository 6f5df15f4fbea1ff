//! The directory that holds runs: opening, locking, listing.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::atomic;
use crate::attempt::{self, Listing};
use crate::canonical::canonical_json;
use crate::claim::{self, CLAIM, CLAIM_AGE, ClaimNote, Claims, Taken};
use crate::error::{StoreError, json_words};
use crate::journal::Checkpoint;
use crate::manifest::{self, Fault};
use crate::names::{Found, HIDDEN, MANIFEST, RUNS, is_hashed, is_older, list_all, name_of, short};
use crate::record::Status;
use crate::run::{FOOTER, JOURNAL, Run, WAITING, remove_superseded, superseded};
use crate::spec::{RunKey, short_hash};
use crate::sweep::SweepRecord;
use crate::writer::RunWriter;

pub(crate) const LOCK: &str = "store.lock";
pub(crate) const SWEEPS: &str = "sweeps";
/// Where damaged things are moved to; nothing in it is read.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Lists of work that were handed to other machines, and their logs.
pub(crate) const TASKS: &str = "tasks";
/// Where older versions kept answers.
pub(crate) const LABELS: &str = "labels";

/// A directory of runs. Reading needs no lock: files appear whole.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens a store that exists.
    ///
    /// # Errors
    /// No such directory, something else in it, a layout of another version, an unreadable `store.json`.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_while(root.into(), &|| ())
    }

    /// As [`open`](Self::open); `meanwhile` happens behind the first look.
    fn open_while(root: PathBuf, meanwhile: &dyn Fn()) -> Result<Self, StoreError> {
        let read = manifest::read(&root);
        meanwhile();
        match read {
            Ok(()) => Ok(Self { root }),
            Err(Fault::Other(error)) => Err(error),
            Err(Fault::Missing) => {
                let found = is_empty(&root);
                // Another process may have made the store between the two looks.
                if matches!(found, Ok(false)) && root.join(MANIFEST).exists() {
                    return Self::open_while(root, &|| ());
                }
                Err(match found {
                    Ok(true) => StoreError::Absent { path: root },
                    Ok(false) => manifest::lost(&root).unwrap_or(StoreError::NotAStore { path: root }),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => StoreError::Absent { path: root },
                    Err(error) if error.kind() == io::ErrorKind::NotADirectory => StoreError::NotAFolder { path: root },
                    Err(error) => StoreError::io(root, "list")(error),
                })
            }
        }
    }

    /// The store in a directory that was looked at before.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
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
        manifest::write(&root)?;
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
        let (store, listing) = (self.clone(), self.listing()?);
        let names = store.run_names_in(&listing);
        Ok(names.into_iter().map(move |name| store.run_of(&name, &listing)))
    }

    /// Names of the runs, sorted: of those that are over and of those that were begun.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn run_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.run_names_in(&self.listing()?))
    }

    /// As [`run_names`](Self::run_names), by a listing made before.
    pub fn run_names_in(&self, listing: &Listing) -> Vec<String> {
        listing.names(&self.root.join(RUNS))
    }

    /// What the folder of runs holds now.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn listing(&self) -> Result<Listing, StoreError> {
        Listing::of(&self.root.join(RUNS))
    }

    /// The run of this name; of one that is not over the attempt that came furthest.
    ///
    /// # Errors
    /// A run that cannot be read, or is not there.
    pub fn run(&self, directory: &str) -> Result<Run, StoreError> {
        let dir = self.root.join(RUNS).join(directory);
        if !dir.exists()
            && let Some(run) = self.run_in(directory, &self.listing()?)?
        {
            return Ok(run);
        }
        Run::open(dir)
    }

    /// As [`run`](Self::run), by a listing made before.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_of(&self, name: &str, listing: &Listing) -> Result<Run, StoreError> {
        match self.run_in(name, listing)? {
            Some(run) => Ok(run),
            // Its attempt was replaced by another since.
            None => self.run(name),
        }
    }

    /// The run with this key, if there is one, whatever its status.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn find(&self, key: &RunKey) -> Result<Option<Run>, StoreError> {
        let dir = self.run_dir(key);
        if dir.exists() {
            return Run::open(dir).map(Some);
        }
        self.run_in(&key.directory_name(), &self.listing()?)
    }

    /// How a run of this name stands, by a listing made before; `None` if it was not begun. Of a finished run nothing
    /// is read, and one file is looked for: only [`check_run`](Self::check_run) finds damage.
    ///
    /// # Errors
    /// A run that is not over, or failed, and cannot be read.
    pub fn standing(&self, name: &str, listing: &Listing) -> Result<Option<Status>, StoreError> {
        if !listing.has_whole(name) {
            return Ok(listing.has_attempt(name).then_some(Status::Partial { entries: 0 }));
        }
        let dir = self.root.join(RUNS).join(name);
        // Failed runs keep their checkpoints, and older versions have those of unfinished ones in the same place.
        match dir.join(JOURNAL).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Status::Done)),
            _ => Run::open(dir).map(|run| Some(run.status().clone())),
        }
    }

    /// The run of this name, by a listing made before: what is not in it costs nothing.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn find_in(&self, name: &str, listing: &Listing) -> Result<Option<Run>, StoreError> {
        if !listing.has_whole(name) && !listing.has_attempt(name) {
            return Ok(None);
        }
        match self.run_in(name, listing)? {
            // Its attempt was replaced by another since.
            None => self.run_in(name, &self.listing()?),
            found => Ok(found),
        }
    }

    /// Every sweep that was planned on this store, by name. A record that cannot be read is an error of its own; the
    /// others follow.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn sweeps(&self) -> Result<Vec<Result<SweepRecord, StoreError>>, StoreError> {
        Ok(self.sweep_names()?.iter().map(|name| self.sweep(name)).collect())
    }

    /// Names of the files that hold sweeps, sorted; none where their folder was deleted.
    pub(crate) fn sweep_names(&self) -> Result<Vec<String>, StoreError> {
        let files = list_if_there(&self.root.join(SWEEPS))?.into_iter().map(|found| found.name);
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

    /// Writes to the store. Several processes may, on one machine or on several that share a file system.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while a program of an older version writes to it, which cannot share.
    pub fn writer(&self) -> Result<StoreWriter, StoreError> {
        self.writer_with(CLAIM_AGE, None)
    }

    /// As [`writer`](Self::writer), where claims of other processes count no more after `claim_age` without a sign of
    /// life, and this process is told by the name of its job.
    ///
    /// # Errors
    /// As [`writer`](Self::writer).
    pub fn writer_with(&self, claim_age: Duration, job: Option<String>) -> Result<StoreWriter, StoreError> {
        let older = self.keep_older_versions_away()?;
        let claims = Claims::new(claim_age, job);
        Ok(StoreWriter { store: self.clone(), claims, listing: Mutex::new(None), _older: older })
    }

    /// Older versions let one process write, which holds a lock on a file that they made. Where it is there, this one
    /// shares the lock as far as the file system has locks: nothing else depends on it.
    fn keep_older_versions_away(&self) -> Result<Option<File>, StoreError> {
        let path = self.root.join(LOCK);
        let Ok(file) = File::open(&path) else { return Ok(None) };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
            _ => Ok(Some(file)),
        }
    }

    /// The run of this name, by a listing made before; `None` if it was not begun.
    pub(crate) fn run_in(&self, name: &str, listing: &Listing) -> Result<Option<Run>, StoreError> {
        let dir = self.root.join(RUNS).join(name);
        if dir.exists() {
            return Run::open(dir).map(Some);
        }
        match attempt::furthest(&listing.of_run(&self.root.join(RUNS), name))? {
            None if dir.exists() => Run::open(dir).map(Some),
            found => Ok(found),
        }
    }

    /// Who is at work on runs, by a listing made before: claims of processes that are known to be gone, or that gave no
    /// sign of life for their time, do not count.
    pub fn at_work(&self, listing: &Listing) -> Vec<ClaimNote> {
        claim::at_work(&self.root.join(RUNS), &listing.claimed)
    }

    fn run_dir(&self, key: &RunKey) -> PathBuf {
        self.root.join(RUNS).join(key.directory_name())
    }
}

/// Who writes to a store; threads may share it.
#[derive(Debug)]
pub struct StoreWriter {
    store: Store,
    claims: Claims,
    /// What the folder of runs held, how long listing it took, and when.
    listing: Mutex<Option<(Listing, Duration, Instant)>>,
    _older: Option<File>,
}

/// How a run stands that is about to be started.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a run, and taken apart where it arrives")]
pub enum Begin {
    /// It is over, done or failed.
    Over(Run),
    /// It can go on from its checkpoint, which may be empty.
    Open(RunWriter),
    /// Another process is at work on it.
    Elsewhere(ClaimNote),
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
        if let Some(run) = self.over(key)? {
            return Ok(Begin::Over(run));
        }
        let (runs, name) = (self.runs_dir(), key.directory_name());
        let claim = match self.claims.take(&runs, &name)? {
            Taken::Mine(claim) => claim,
            Taken::Elsewhere(note) => return Ok(Begin::Elsewhere(note)),
        };
        // Its former owner may have come to the end meanwhile.
        if let Some(run) = self.over(key)? {
            return Ok(Begin::Over(run));
        }
        let dir = self.store.run_dir(key);
        if dir.exists() {
            // An older version left it unfinished in its place. Of several processes one moves it.
            let run = Run::open(dir.clone())?;
            if !matches!(run.status(), Status::Partial { .. }) {
                // A sleeper has put it there since.
                return Ok(Begin::Over(run));
            }
            let attempt = runs.join(name_of(&name));
            match fs::rename(&dir, &attempt) {
                Ok(()) => return RunWriter::open(attempt, dir, key.clone(), claim, Vec::new()).map(Begin::Open),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io(dir, "take up")(error)),
            }
        }
        let others = self.attempts(&name)?;
        let furthest = attempt::furthest(&others)?;
        if furthest.is_none()
            && let Some(old) = superseded(&dir).filter(|old| old.exists())
        {
            // A kill while it was being replaced: it stands.
            fs::rename(&old, &dir).map_err(StoreError::io(&dir, "put back"))?;
            return match self.over(key)? {
                Some(run) => Ok(Begin::Over(run)),
                None => Err(StoreError::Absent { path: dir }),
            };
        }
        let known = match furthest {
            Some(run) => run.checkpoint()?,
            None => checkpoint().unwrap_or_default(),
        };
        let attempt = attempt::create(&runs, key, &known)?;
        let others = forget_dead(others);
        let mut writer = RunWriter::open(attempt, dir, key.clone(), claim, others)?;
        writer.dropped(known.dropped_bytes);
        Ok(Begin::Open(writer))
    }

    /// Claims a run for something else than running it.
    pub(crate) fn claim(&self, name: &str) -> Result<Taken, StoreError> {
        self.claims.take(&self.runs_dir(), name)
    }

    /// The run, if it is over; what a kill left beside it is removed.
    fn over(&self, key: &RunKey) -> Result<Option<Run>, StoreError> {
        let dir = self.store.run_dir(key);
        if !dir.exists() {
            return Ok(None);
        }
        let run = match Run::open(dir.clone()) {
            Err(_) if !dir.exists() => return Ok(None),
            run => run?,
        };
        if matches!(run.status(), Status::Partial { .. }) {
            return Ok(None);
        }
        run.check_lengths()?;
        if *run.status() == Status::Done {
            self.clean(key)?;
            remove_superseded(&dir)?;
        }
        Ok(Some(run))
    }

    /// Attempts at a run, as of now or, in a large store, of a little while ago.
    fn attempts(&self, name: &str) -> Result<Vec<PathBuf>, StoreError> {
        /// At most one part in so many of the time is spent on listing.
        const SHARE: u32 = 20;
        let mut known = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = known
            .as_ref()
            .is_some_and(|(listing, took, at)| !listing.is_small() && at.elapsed() < took.saturating_mul(SHARE));
        if !is_fresh {
            let start = Instant::now();
            let listing = self.store.listing()?;
            *known = Some((listing, start.elapsed(), Instant::now()));
        }
        Ok(known.as_ref().map(|(listing, ..)| listing.of_run(&self.runs_dir(), name)).unwrap_or_default())
    }

    fn runs_dir(&self) -> PathBuf {
        self.store.root.join(RUNS)
    }

    /// Removes what kills left: attempts at runs that are over, and files of this machine's processes that are gone.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn sweep_up(&self) -> Result<(), StoreError> {
        let (runs, listing) = (self.runs_dir(), self.store.listing()?);
        for name in &listing.unborn {
            let unborn = runs.join(name);
            if attempt::is_dead(&unborn) || is_older(name) {
                let _ = fs::remove_dir_all(unborn);
            }
        }
        let by_short: BTreeMap<String, &String> = listing.whole.iter().map(|name| (short(name), name)).collect();
        for (run, attempts) in &listing.attempts {
            let Some(whole) = by_short.get(run) else { continue };
            if Run::open(runs.join(whole)).is_ok_and(|run| !matches!(run.status(), Status::Partial { .. })) {
                for attempt in attempts {
                    let _ = fs::remove_dir_all(runs.join(attempt));
                }
            }
        }
        for name in listing.claimed.iter().filter(|name| by_short.contains_key(*name)) {
            remove_if_there(&runs.join(format!("{CLAIM}{name}")))?;
        }
        let run_of = |name: &str| Some(name.strip_prefix(CLAIM)?.rsplit_once('.')?.0.to_owned());
        let is_over = |name: &&String| run_of(name).is_some_and(|run| by_short.contains_key(&run));
        for name in listing.unclaimed.iter().filter(is_over) {
            remove_if_there(&runs.join(name))?;
        }
        Ok(())
    }

    /// Takes a run back to a checkpoint, to be made anew from there. What it was is kept beside the runs
    /// ([`Run::superseded`]) until it is finished again. If another process has made it anew meanwhile, or is about to,
    /// that stands, as [`begin`](Self::begin) finds it. `making` is that of the run when it was looked at
    /// ([`Run::making`]).
    ///
    /// # Errors
    /// A disk that refuses; the run then stands as it was.
    pub fn take_back(&self, run: &Run, making: &str, checkpoint: &Checkpoint) -> Result<Begin, StoreError> {
        let (key, name) = (run.key(), run.name());
        let claim = match self.claims.take(&self.runs_dir(), &name)? {
            Taken::Mine(claim) => claim,
            Taken::Elsewhere(note) => return Ok(Begin::Elsewhere(note)),
        };
        // Between the look and the claim another may have come to an end with it.
        let now = self.store.find(key)?.filter(|now| *now.status() == Status::Done);
        if !now.is_some_and(|now| now.making().is_ok_and(|now| now == making)) {
            drop(claim);
            return self.begin(key);
        }
        let dir = self.store.run_dir(key);
        let Some(old) = superseded(&dir) else { return Err(StoreError::Absent { path: dir }) };
        let others = self.attempts(&name)?;
        let attempt = attempt::create(&self.runs_dir(), key, checkpoint)?;
        // Taken back before, and not finished since: the form that was finished stays.
        if dir.exists() && !old.exists() {
            if let Some(folder) = old.parent() {
                fs::create_dir_all(folder).map_err(StoreError::io(folder, "create"))?;
            }
            fs::rename(&dir, &old).map_err(StoreError::io(&dir, "set aside"))?;
            atomic::sync_parent(&dir);
        } else if dir.exists() {
            fs::remove_dir_all(&dir).map_err(StoreError::io(&dir, "remove"))?;
        }
        for other in &others {
            // What was begun of it is not what it is to go on from.
            let _ = fs::remove_dir_all(other);
        }
        RunWriter::open(attempt, dir, key.clone(), claim, Vec::new()).map(Begin::Open)
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
    /// forgotten, so that they are asked for again. If another process has taken it up meanwhile, or brought it to
    /// another end, that stands, as [`begin`](Self::begin) finds it. `making` is that of the run when it was looked at
    /// ([`Run::making`]).
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn retry(&self, run: &Run, making: &str) -> Result<Begin, StoreError> {
        let dir = run.directory().to_owned();
        let (runs, name) = (self.runs_dir(), run.name());
        let claim = match self.claims.take(&runs, &name)? {
            Taken::Mine(claim) => claim,
            Taken::Elsewhere(note) => return Ok(Begin::Elsewhere(note)),
        };
        // Between the look and the claim another may have failed with it anew, or not.
        let now = self.store.find(run.key())?.filter(|now| matches!(now.status(), Status::Failed(_)));
        if !now.is_some_and(|now| now.making().is_ok_and(|now| now == making)) {
            drop(claim);
            return self.begin(run.key());
        }
        let checkpoint = run.checkpoint()?;
        let attempt = runs.join(name_of(&name));
        match fs::rename(&dir, &attempt) {
            // A process whose claim had grown old has taken it up all the same.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                drop(claim);
                return self.begin(run.key());
            }
            moved => moved.map_err(StoreError::io(&dir, "take up"))?,
        }
        if checkpoint.batches.first().is_some_and(|batch| !batch.answers.iter().any(|a| matches!(a, Some(Ok(_))))) {
            remove_if_there(&attempt.join(JOURNAL))?;
        }
        remove_if_there(&attempt.join(FOOTER))?;
        remove_if_there(&attempt.join(WAITING))?;
        RunWriter::open(attempt, dir, run.key().clone(), claim, Vec::new()).map(Begin::Open)
    }

    /// Keeps what a sweep planned.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn record_sweep(&self, sweep: &SweepRecord) -> Result<(), StoreError> {
        let text = canonical_json(sweep).expect("sweeps are plain data with string keys") + "\n";
        let folder = self.store.root.join(SWEEPS);
        let path = folder.join(format!("{}-{}.json", sweep_stem(&sweep.name), short_hash(text.as_bytes())));
        // One that is damaged is written again.
        if fs::read(&path).is_ok_and(|known| known == text.as_bytes()) {
            return Ok(());
        }
        fs::create_dir_all(&folder).map_err(StoreError::io(folder, "create"))?;
        atomic::write(&path, text.as_bytes())
    }
}

/// Removes attempts whose processes are known to be gone; the others are returned.
fn forget_dead(attempts: Vec<PathBuf>) -> Vec<PathBuf> {
    let (dead, others): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|attempt| attempt::is_dead(attempt));
    for attempt in dead {
        // What stays of it costs room alone.
        let _ = fs::remove_dir_all(attempt);
    }
    others
}

/// Looks first: a folder that is read-only refuses to remove what is not there, too.
fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
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
            Some(name) => is_begun_manifest(name) && entry.file_type()?.is_file(),
            None => false,
        };
        if !begun {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a file of this name is the manifest before it is in place: `store.json.NONCE.tmp`, of older versions without
/// the nonce.
fn is_begun_manifest(name: &str) -> bool {
    name.strip_prefix(MANIFEST).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".tmp"))
}

/// What the name of a sweep's record begins with, before a dash and the hash.
pub(crate) fn sweep_stem(sweep: &str) -> String {
    sweep.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// What is in a directory, sorted by name, without what is not whole yet; nothing where there is none.
fn list_if_there(dir: &Path) -> Result<Vec<Found>, StoreError> {
    let mut found = match list_all(dir) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    found.retain(|found| !found.name.starts_with(HIDDEN) && !found.name.ends_with(".tmp"));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_another_process_makes_between_two_looks_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let made = || {
            let store = Store::open_or_create(&root).unwrap();
            fs::create_dir(store.root().join(RUNS).join("sine-gsx-g2-s0-0235b744c06c5a20")).unwrap();
        };
        assert!(Store::open_while(root.clone(), &made).is_ok());
    }
}
