//! Claims: which process is at work on a run, so that others leave it alone.
//!
//! A claim is a file `runs/.claim-RUN` that one process links in whole and others find there; it says who has it, and
//! after how long without a touch it counts no more, so that all judge it alike. Its owner touches it from time to
//! time. How old it is is the difference of two times that the same file server wrote: its own and that of a file
//! touched for the comparison, so that clocks of machines need not agree. A claim saves double work
//! and nothing more: where two processes do work on a run, both write into folders of their own, and one rename
//! decides ([`RunWriter::finish`](crate::RunWriter::finish)).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::names::{nonce, short};
use crate::process::{ProcessName, Standing};

/// Without a sign of life for so long, another process counts as gone.
pub const CLAIM_AGE: Duration = Duration::from_secs(120);
/// Names of claims begin with this.
pub(crate) const CLAIM: &str = ".claim-";
/// Names of files that were touched to learn the file server's time begin with this.
pub(crate) const NOW: &str = ".now-";
/// Claims are touched this many times within the age at which they count no more.
const TOUCHES: u32 = 6;
/// Pause before a claim is looked at again that cannot be read.
const PAUSE: Duration = Duration::from_millis(20);
/// A claim that cannot be read for so many looks was never written to its end.
const LOOKS: usize = 50;

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
    /// Without a touch for so long it counts no more; of older versions not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
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
        let note =
            ClaimNote { process: ProcessName::this(), job: self.job.clone(), nonce: nonce(), age: Some(self.age) };
        let mut unread = 0;
        // Each round ends unless another process takes or gives up the claim within it.
        for _ in 0..2 * LOOKS {
            let Some(known) = read(&path)? else {
                match place(&path, &note)? {
                    true => return Ok(Taken::Mine(self.hold(path, note))),
                    false => continue,
                }
            };
            match &known.note {
                Some(other) if self.is_stale(other) => {}
                Some(other) => match age(&path, runs)? {
                    Some(age) if age > other.age.unwrap_or(self.age) => {}
                    Some(_) => return Ok(Taken::Elsewhere(other.clone())),
                    None => continue,
                },
                // Created by a process that cannot link and writes it now, or was ended before.
                None if unread < LOOKS && age(&path, runs)?.is_none_or(|age| age <= self.age) => {
                    unread += 1;
                    thread::sleep(PAUSE);
                    continue;
                }
                None => {}
            }
            displace(&path, &known)?;
        }
        Err(StoreError::Damaged {
            path,
            line: None,
            reason: "a claim that cannot be read".into(),
            remedy: "remove it if no process is at work on its run, and start again".into(),
        })
    }

    /// Whether the owner of a claim is known to be at work no more: it is gone from this machine, or had the job that
    /// this process has now, which the batch system has queued again.
    fn is_stale(&self, other: &ClaimNote) -> bool {
        match other.process.standing() {
            Standing::Gone => true,
            Standing::Alive => false,
            Standing::Elsewhere => self.job.is_some() && other.job == self.job,
        }
    }

    fn hold(&self, path: PathBuf, note: ClaimNote) -> Claim {
        lock(&self.shared.held).paths.insert(path.clone());
        self.keep();
        Claim { path, note, shared: Arc::clone(&self.shared) }
    }

    /// Starts the thread that touches claims. Where none can be started, claims grow old, which costs double work.
    fn keep(&self) {
        let mut keeper = lock(&self.keeper);
        if keeper.is_some() {
            return;
        }
        let (shared, pause) = (Arc::clone(&self.shared), (self.age / TOUCHES).max(PAUSE));
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

/// Puts a claim there, whole, unless one is there: a link refuses to replace it. Where the file system has no links the
/// file is created, which refuses as well, and written then.
fn place(path: &Path, note: &ClaimNote) -> Result<bool, StoreError> {
    let text = serde_json::to_string(note).expect("plain data");
    let unlinked = path.with_added_extension(nonce());
    let written = fs::write(&unlinked, &text);
    let linked = written.as_ref().ok().map(|()| fs::hard_link(&unlinked, path));
    let _ = fs::remove_file(&unlinked);
    written.map_err(StoreError::io(path, "write"))?;
    match linked {
        Some(Ok(())) => Ok(true),
        // A server that answered too late has done it all the same.
        Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(read(path)?.is_some_and(|known| known.note.as_ref() == Some(note)))
        }
        _ => create(path, &text),
    }
}

fn create(path: &Path, text: &str) -> Result<bool, StoreError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        file => file.map_err(StoreError::io(path, "create"))?,
    };
    if let Err(error) = file.write_all(text.as_bytes()) {
        let _ = fs::remove_file(path);
        return Err(StoreError::io(path, "write")(error));
    }
    Ok(true)
}

/// How long ago a file was touched, by the clock of the file server; `None` if it is gone.
///
/// # Errors
/// A folder that refuses the file that is touched for the comparison.
fn age(path: &Path, folder: &Path) -> Result<Option<Duration>, StoreError> {
    let now = now(folder).map_err(StoreError::io(folder, "create a file in"))?;
    Ok(fs::metadata(path).and_then(|data| data.modified()).ok().map(|then| between(then, now)))
}

/// The file server's time.
fn now(folder: &Path) -> io::Result<SystemTime> {
    let probe = folder.join(format!("{NOW}{}", nonce()));
    File::create(&probe)?;
    touch(&probe);
    let now = fs::metadata(&probe).and_then(|data| data.modified());
    let _ = fs::remove_file(&probe);
    now
}

/// A time that lies ahead by more than a server's clock is ever set is as old as can be.
fn between(then: SystemTime, now: SystemTime) -> Duration {
    match now.duration_since(then) {
        Ok(age) => age,
        Err(ahead) if ahead.duration() > Duration::from_secs(60) => Duration::MAX,
        Err(_) => Duration::ZERO,
    }
}

/// Who is at work on these runs, as far as can be known: claims of processes that are gone, or that were not touched
/// for their time, do not count. Where the folder takes no file for the comparison, times are not judged.
pub(crate) fn at_work(runs: &Path, names: &[String]) -> Vec<ClaimNote> {
    let notes = names.iter().filter_map(|name| {
        let path = runs.join(format!("{CLAIM}{name}"));
        Some((read(&path).ok()??.note?, path))
    });
    let mut notes: Vec<(ClaimNote, PathBuf)> =
        notes.filter(|(note, _)| note.process.standing() != Standing::Gone).collect();
    if let Some(now) = (!notes.is_empty()).then(|| now(runs).ok()).flatten() {
        notes.retain(|(note, path)| {
            let then = fs::metadata(path).and_then(|data| data.modified());
            then.is_ok_and(|then| between(then, now) <= note.age.unwrap_or(CLAIM_AGE))
        });
    }
    notes.into_iter().map(|(note, _)| note).collect()
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
        let one = Claims::new(Duration::from_secs(60), Some("7_1".into()));
        let claim = mine(&one, dir.path()).unwrap();
        let patient = Claims::new(Duration::from_secs(60), None);
        let Taken::Elsewhere(note) = patient.take(dir.path(), "a-run").unwrap() else { panic!("it is claimed") };
        assert_eq!((note.in_words().ends_with("(job 7_1)"), &note.process), (true, &ProcessName::this()));
        // How long it counts is its owner's affair.
        let hasty = Claims::new(Duration::ZERO, None);
        thread::sleep(Duration::from_millis(30));
        assert!(mine(&hasty, dir.path()).is_none());
        drop(claim);
        let claim = mine(&hasty, dir.path()).unwrap();
        // Its owner sleeps: another takes it over, and what the sleeper gives up is not the new claim.
        lock(&hasty.shared.held).paths.clear();
        thread::sleep(Duration::from_millis(30));
        let taken_over = mine(&patient, dir.path()).unwrap();
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
        let note = ClaimNote { process: gone, job: None, nonce: "x".into(), age: None };
        let path = dir.path().join(".claim-a-run");
        let claims = Claims::new(Duration::from_secs(60), None);
        fs::write(&path, serde_json::to_string(&note).unwrap()).unwrap();
        assert!(mine(&claims, dir.path()).is_some());
        // A touched claim stays young.
        let elsewhere = ProcessName { host: "elsewhere".into(), ..note.process };
        fs::write(&path, serde_json::to_string(&ClaimNote { process: elsewhere, ..note }).unwrap()).unwrap();
        assert!(mine(&claims, dir.path()).is_none());
    }

    fn of_elsewhere(job: &str) -> ClaimNote {
        let process = ProcessName { host: "elsewhere".into(), ..ProcessName::this() };
        ClaimNote { process, job: Some(job.into()), nonce: "x".into(), age: Some(Duration::from_secs(60)) }
    }

    #[test]
    fn a_job_that_was_queued_again_takes_what_it_had_on_another_machine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".claim-a-run");
        fs::write(&path, serde_json::to_string(&of_elsewhere("7_1")).unwrap()).unwrap();
        assert!(mine(&Claims::new(Duration::from_secs(60), Some("7_2".into())), dir.path()).is_none());
        assert!(mine(&Claims::new(Duration::from_secs(60), None), dir.path()).is_none());
        assert!(mine(&Claims::new(Duration::from_secs(60), Some("7_1".into())), dir.path()).is_some());
    }

    #[test]
    fn a_claim_that_was_never_written_ends_and_a_folder_that_refuses_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".claim-a-run"), "").unwrap();
        assert!(mine(&Claims::new(Duration::from_secs(60), None), dir.path()).is_some());
        // A folder that is not there stands for one that takes no file.
        let error = age(&dir.path().join("x"), &dir.path().join("absent")).unwrap_err().to_string();
        assert!(error.contains("absent: cannot create a file in"), "{error}");
    }

    #[test]
    fn only_those_that_live_are_at_work() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, note: &ClaimNote| {
            fs::write(dir.path().join(format!(".claim-{name}")), serde_json::to_string(note).unwrap()).unwrap();
            name.to_owned()
        };
        let (lives, this) = (of_elsewhere("7_1"), ProcessName::this());
        let gone = ClaimNote { process: ProcessName { boot: "before".into(), ..this }, ..lives.clone() };
        let names = [
            write("a", &lives),
            write("b", &gone),
            write("c", &ClaimNote { age: Some(Duration::ZERO), ..lives.clone() }),
            "absent".to_owned(),
        ];
        thread::sleep(Duration::from_millis(20));
        assert_eq!(at_work(dir.path(), &names), [lives]);
    }
}
