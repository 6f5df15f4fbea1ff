//! Claims: which process is at work on a run, so that others leave it alone.
//!
//! A claim is a file `runs/.claim-RUN` that one process creates and others find there; it says who has it. Its owner
//! touches it from time to time. How old it is is the difference of two times that the same file server wrote: its own
//! and that of a file touched for the comparison, so that clocks of machines need not agree. A claim saves double work
//! and nothing more: where two processes do work on a run, both write into folders of their own, and one rename
//! decides ([`RunWriter::finish`](crate::RunWriter::finish)).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::names::{nonce, short};
use crate::process::{ProcessName, Standing};

/// Names of claims begin with this.
pub(crate) const CLAIM: &str = ".claim-";
/// Names of files that were touched to learn the file server's time begin with this.
pub(crate) const NOW: &str = ".now-";
/// Claims are touched this many times within the age at which they count no more.
const TOUCHES: u32 = 6;

/// Who is at work on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimNote {
    /// The process.
    pub process: ProcessName,
    /// The batch system's job, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Tells the claims of one process apart.
    pub nonce: String,
}

impl ClaimNote {
    /// For people: `process 17 on node3 (job 4711_2)`.
    pub fn in_words(&self) -> String {
        let job = self.job.as_ref().map(|job| format!(" (job {job})")).unwrap_or_default();
        format!("process {} on {}{job}", self.process.pid, self.process.host)
    }
}

/// Every claim that a writer holds, and the thread that touches them.
#[derive(Debug)]
pub(crate) struct Claims {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// A claim that was not touched for so long counts no more.
    age: Duration,
    job: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    paths: BTreeSet<PathBuf>,
    is_over: bool,
}

/// What became of the wish for a claim.
#[derive(Debug)]
pub(crate) enum Taken {
    Mine(Claim),
    Elsewhere(ClaimNote),
}

/// A claim that this process holds; it ends with this value.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    note: ClaimNote,
    shared: Arc<Shared>,
}

impl Claims {
    pub(crate) fn new(age: Duration, job: Option<String>) -> Self {
        Self { shared: Arc::default(), keeper: Mutex::new(None), age, job }
    }

    /// Claims a run of this name below `runs`, unless a process that lives has it.
    pub(crate) fn take(&self, runs: &Path, name: &str) -> Result<Taken, StoreError> {
        let path = runs.join(format!("{CLAIM}{}", short(name)));
        let note = ClaimNote { process: ProcessName::this(), job: self.job.clone(), nonce: nonce() };
        // Each round ends unless another process takes or gives up the claim within it.
        for _ in 0..100 {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return self.write(file, path, note).map(Taken::Mine),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io(path, "create")(error)),
            }
            let Some(known) = read(&path)? else { continue };
            if let Some(note) = known.note.clone().filter(|note| note.process.standing() != Standing::Gone) {
                match age(&path, runs) {
                    Some(age) if age > self.age => {}
                    Some(_) => return Ok(Taken::Elsewhere(note)),
                    None => continue,
                }
            } else if known.note.is_none() && age(&path, runs).is_some_and(|age| age <= self.age) {
                // Created, and not written yet.
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            displace(&path, &known)?;
        }
        let process = ProcessName { host: "unknown".into(), pid: 0, ..note.process };
        Ok(Taken::Elsewhere(ClaimNote { process, job: None, nonce: String::new() }))
    }

    fn write(&self, mut file: File, path: PathBuf, note: ClaimNote) -> Result<Claim, StoreError> {
        let text = serde_json::to_string(&note).expect("plain data");
        if let Err(error) = file.write_all(text.as_bytes()) {
            let _ = fs::remove_file(&path);
            return Err(StoreError::io(path, "write")(error));
        }
        lock(&self.shared.held).paths.insert(path.clone());
        self.keep();
        Ok(Claim { path, note, shared: Arc::clone(&self.shared) })
    }

    /// Starts the thread that touches claims. Where none can be started, claims grow old, which costs double work.
    fn keep(&self) {
        let mut keeper = lock(&self.keeper);
        if keeper.is_some() {
            return;
        }
        let (shared, pause) = (Arc::clone(&self.shared), self.age / TOUCHES);
        *keeper = thread::Builder::new().name("claims".into()).spawn(move || touch_until_over(&shared, pause)).ok();
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        lock(&self.shared.held).is_over = true;
        self.shared.wake.notify_all();
        if let Some(keeper) = lock(&self.keeper).take() {
            let _ = keeper.join();
        }
    }
}

fn touch_until_over(shared: &Shared, pause: Duration) {
    let mut held = lock(&shared.held);
    while !held.is_over {
        let paths: Vec<PathBuf> = held.paths.iter().cloned().collect();
        drop(held);
        paths.iter().for_each(|path| touch(path));
        held = lock(&shared.held);
        if held.is_over {
            return;
        }
        held = shared.wake.wait_timeout(held, pause).unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.shared.held).paths.remove(&self.path);
        // Another process may have taken it over meanwhile.
        if read(&self.path).is_ok_and(|known| known.is_some_and(|known| known.note.as_ref() == Some(&self.note))) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A claim as it was found.
#[derive(Debug, PartialEq)]
struct Known {
    bytes: Vec<u8>,
    note: Option<ClaimNote>,
}

/// `None` if it is gone.
fn read(path: &Path) -> Result<Option<Known>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => {
            let note = serde_json::from_slice(&bytes).ok();
            Ok(Some(Known { bytes, note }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path, "read")(error)),
    }
}

/// Takes a claim away that counts no more. Where another process was faster, its new one is put back.
fn displace(path: &Path, known: &Known) -> Result<(), StoreError> {
    let aside = path.with_added_extension(nonce());
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(path, "take over")(error)),
        Ok(()) => {}
    }
    if read(&aside)?.as_ref() != Some(known) {
        // A link refuses to replace what a third process has put there.
        let _ = fs::hard_link(&aside, path);
    }
    let _ = fs::remove_file(&aside);
    Ok(())
}

/// How long ago a file was touched, by the clock of the file server; `None` if it is gone. A time that lies ahead by
/// more than a server's clock is ever set is as old as can be.
fn age(path: &Path, folder: &Path) -> Option<Duration> {
    let probe = folder.join(format!("{NOW}{}", nonce()));
    // A folder that refuses a file refuses the run as well, and says so there.
    File::create(&probe).ok()?;
    touch(&probe);
    let now = fs::metadata(&probe).and_then(|data| data.modified());
    let _ = fs::remove_file(&probe);
    let then = fs::metadata(path).ok()?.modified().ok()?;
    let now = now.ok()?;
    Some(match now.duration_since(then) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() > Duration::from_secs(60) => Duration::MAX,
        Err(_) => Duration::ZERO,
    })
}

/// Sets a file's time to the file server's: naming a time would set this machine's.
#[cfg(unix)]
fn touch(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = utimensat(CWD, path, &Timestamps { last_access: now, last_modification: now }, AtFlags::empty());
}

/// Writes a file's content again, which sets its time.
#[cfg(not(unix))]
fn touch(path: &Path) {
    if let Ok(bytes) = fs::read(path) {
        let _ = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(&bytes));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(claims: &Claims, runs: &Path) -> Option<Claim> {
        match claims.take(runs, "a-run").unwrap() {
            Taken::Mine(claim) => Some(claim),
            Taken::Elsewhere(_) => None,
        }
    }

    #[test]
    fn a_claim_keeps_others_away_while_its_owner_lives() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Claims::new(Duration::from_secs(60), Some("7_1".into())), Claims::new(Duration::ZERO, None));
        let claim = mine(&one, dir.path()).unwrap();
        let patient = Claims::new(Duration::from_secs(60), None);
        let Taken::Elsewhere(note) = patient.take(dir.path(), "a-run").unwrap() else { panic!("it is claimed") };
        assert_eq!((note.in_words().ends_with("(job 7_1)"), &note.process), (true, &ProcessName::this()));
        drop(claim);
        let claim = mine(&patient, dir.path()).unwrap();
        // Its owner sleeps: another takes it over, and what the sleeper gives up is not the new claim.
        thread::sleep(Duration::from_millis(30));
        let taken_over = mine(&two, dir.path()).unwrap();
        drop(claim);
        assert!(mine(&patient, dir.path()).is_none());
        drop(taken_over);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_claim_of_a_process_that_is_gone_counts_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let this = ProcessName::this();
        let gone = ProcessName { boot: format!("{}-before", this.boot), ..this };
        let note = ClaimNote { process: gone, job: None, nonce: "x".into() };
        let path = dir.path().join(".claim-a-run");
        let claims = Claims::new(Duration::from_secs(60), None);
        fs::write(&path, serde_json::to_string(&note).unwrap()).unwrap();
        assert!(mine(&claims, dir.path()).is_some());
        // A touched claim stays young.
        let elsewhere = ProcessName { host: "elsewhere".into(), ..note.process };
        fs::write(&path, serde_json::to_string(&ClaimNote { process: elsewhere, ..note }).unwrap()).unwrap();
        assert!(mine(&claims, dir.path()).is_none());
    }
}
