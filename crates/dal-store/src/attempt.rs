//! Attempts at runs: each process that works on a run writes into a folder of its own, `runs/.try-RUN-HOST-PID-NONCE`,
//! which becomes `runs/RUN` by one rename at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::atomic;
use crate::claim::CLAIM;
use crate::error::StoreError;
use crate::journal::{Checkpoint, Journal};
use crate::names::{HIDDEN, NEW, SHORTENED, TRY, host, is_hashed, is_older, list_all, name_of, parts, short};
use crate::process::{ProcessName, Standing};
use crate::run::{JOURNAL, Run, SPEC};
use crate::spec::RunKey;

/// What the folder of runs holds, read once: asking it costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Folders that are called as runs are, sorted.
    pub(crate) whole: Vec<String>,
    /// Attempts by the (shortened) names of their runs.
    pub(crate) attempts: BTreeMap<String, Vec<String>>,
    /// What is left of attempts that did not become whole.
    pub(crate) unborn: Vec<String>,
    /// Runs that are claimed.
    pub(crate) claimed: Vec<String>,
    /// Claims that are put in their place or taken away, or that a kill left on the way.
    pub(crate) unclaimed: Vec<String>,
}

impl Listing {
    pub(crate) fn of(runs: &Path) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        for found in list_all(runs)? {
            if !found.name.starts_with(HIDDEN) {
                if found.is_dir && is_hashed(&found.name) {
                    listing.whole.push(found.name);
                }
            } else if let Some(run) = found.name.strip_prefix(CLAIM) {
                if is_hashed(run) {
                    listing.claimed.push(run.to_owned());
                } else {
                    listing.unclaimed.push(found.name);
                }
            } else if found.is_dir && found.name.starts_with(TRY) {
                if let Some(parts) = parts(&found.name) {
                    listing.attempts.entry(parts.run.to_owned()).or_default().push(found.name);
                }
            } else if found.is_dir && (found.name.starts_with(NEW) || is_older(&found.name)) {
                listing.unborn.push(found.name);
            }
        }
        Ok(listing)
    }

    /// Whether a folder of this name is there: a run that is over, or one that an older version left unfinished.
    pub fn has_whole(&self, run: &str) -> bool {
        self.whole.binary_search_by(|name| name.as_str().cmp(run)).is_ok()
    }

    /// Whether somewhere an attempt at this run was begun.
    pub fn has_attempt(&self, run: &str) -> bool {
        self.attempts.contains_key(&short(run))
    }

    /// Folders with this many runs are listed anew at every question.
    pub(crate) fn is_small(&self) -> bool {
        self.whole.len() + self.attempts.len() < 2000
    }

    /// Folders of attempts at a run.
    pub(crate) fn of_run(&self, runs: &Path, run: &str) -> Vec<PathBuf> {
        self.attempts.get(&short(run)).into_iter().flatten().map(|name| runs.join(name)).collect()
    }

    /// Names of all runs, whole or attempted, sorted.
    pub(crate) fn names(&self, runs: &Path) -> Vec<String> {
        let mut names = self.whole.clone();
        for (run, attempts) in &self.attempts {
            let name = match run.starts_with(SHORTENED) {
                true => attempts.iter().find_map(|name| Run::open(runs.join(name)).ok()).map(|run| run.name()),
                false => attempts.iter().any(|name| runs.join(name).join(SPEC).exists()).then(|| run.clone()),
            };
            names.extend(name);
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The attempt that came furthest; one that cannot be read counts where no other can.
pub(crate) fn furthest(attempts: &[PathBuf]) -> Result<Option<Run>, StoreError> {
    let (mut best, mut refused): (Option<(Progress, Run)>, _) = (None, None);
    for attempt in attempts {
        match Run::open(attempt.clone()).and_then(|run| Ok((progress(&run.checkpoint()?), run))) {
            Ok((progress, run)) if best.as_ref().is_none_or(|(known, _)| progress > *known) => {
                best = Some((progress, run));
            }
            Ok(_) => {}
            // Given up by its process since it was listed, or not made yet.
            Err(_) if !attempt.join(SPEC).exists() => {}
            Err(error) => refused = Some(error),
        }
    }
    match (best, refused) {
        (Some((_, run)), _) => Ok(Some(run)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

/// Records, batches and answers of a checkpoint.
type Progress = (usize, usize, usize);

fn progress(checkpoint: &Checkpoint) -> Progress {
    let answers = checkpoint.batches.iter().flat_map(|batch| &batch.answers).flatten().count();
    (checkpoint.records.len(), checkpoint.batches.len(), answers)
}

/// A new attempt with the specification and a checkpoint in it; it appears whole.
pub(crate) fn create(runs: &Path, key: &RunKey, checkpoint: &Checkpoint) -> Result<PathBuf, StoreError> {
    let attempt = runs.join(name_of(&key.directory_name()));
    let unborn = unborn(&attempt);
    let made = || -> Result<(), StoreError> {
        fs::create_dir(&unborn).map_err(StoreError::io(&unborn, "create"))?;
        atomic::write(&unborn.join(SPEC), key.to_json().as_bytes())?;
        let frames = checkpoint.frames();
        if !frames.is_empty() {
            let (mut journal, _) = Journal::open(unborn.join(JOURNAL), &key.to_json())?;
            frames.iter().try_for_each(|frame| journal.append(frame))?;
            journal.sync()?;
        }
        fs::rename(&unborn, &attempt).map_err(StoreError::io(&attempt, "create"))
    };
    if let Err(error) = made() {
        let _ = fs::remove_dir_all(&unborn);
        return Err(error);
    }
    atomic::sync_parent(&attempt);
    Ok(attempt)
}

fn unborn(attempt: &Path) -> PathBuf {
    let name = attempt.file_name().unwrap_or_default().to_string_lossy();
    attempt.with_file_name(name.replacen(TRY, NEW, 1))
}

/// Attempts that this process writes to.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// An attempt that this process writes to, as long as this value lives.
#[derive(Debug)]
pub(crate) struct Live(PathBuf);

impl Live {
    pub(crate) fn new(attempt: &Path) -> Self {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).insert(attempt.to_owned());
        Self(attempt.to_owned())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Whether the process of an attempt is known to be at work no more: it was on this machine and is gone, or is this
/// one, which had given it up.
pub(crate) fn is_dead(attempt: &Path) -> bool {
    let name = attempt.file_name().unwrap_or_default().to_string_lossy();
    let Some(parts) = parts(&name) else { return false };
    parts.host == host()
        && match parts.pid == std::process::id() {
            true => !LIVE.lock().unwrap_or_else(PoisonError::into_inner).contains(attempt),
            false => ProcessName::of(parts.pid).standing() == Standing::Gone,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_this_process_that_it_gave_up_are_dead() {
        let name = name_of("sine-gsx-g2-s0-0235b744c06c5a20");
        assert!(is_dead(Path::new(&name)) && !is_dead(Path::new(&name.replace(&host(), "elsewhere"))));
    }
}
