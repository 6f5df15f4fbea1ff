//! The memory of a search: an append-only file of trainings, one checksummed line each. Answers of an oracle are kept
//! elsewhere, by the oracle that the problem is asked through.
//!
//! The first line is what the search is, as canonical JSON; a journal of another search is refused. Every further line
//! is eight hexadecimal digits (the first four bytes of the SHA-256 of what follows), a blank, and an entry as JSON.
//! Lines stand in the order in which they came, so results never depend on it. A kill costs at most the line being
//! written, which is cut off when the file is opened; a damaged line is passed over, and those behind it count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chosen::{CampaignKey, CampaignResult};
use crate::error::TuneError;

/// One training, by its place in the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialKey {
    /// 0-based rung; the one after the finals is the proof on the test set.
    pub rung: usize,
    /// 0-based candidate, in the order drawn; 0 is the problem's reference network.
    pub candidate: usize,
    /// Labels that it was trained on.
    pub points: usize,
    /// 0-based fold; 0 where there is one division only.
    pub fold: usize,
    /// Repetition: which initial weights, in the proof also which points.
    pub seed: u64,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialResult {
    /// Mean squared error of the ensemble mean on the points that it was judged on.
    Mse(f64),
    /// It diverged, or predicted something that is no finite number.
    Failed(String),
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Entry {
    /// A training.
    Trial { key: TrialKey, result: TrialResult },
    /// A campaign with a candidate as its model.
    Campaign { key: CampaignKey, result: CampaignResult },
    /// A point that had no label when networks were first trained without it: the bits of its coordinates.
    Unlabelled { point: Vec<u64> },
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) trials: BTreeMap<TrialKey, TrialResult>,
    pub(crate) campaigns: BTreeMap<CampaignKey, CampaignResult>,
    pub(crate) unlabelled: BTreeSet<Vec<u64>>,
    /// Bytes that were torn or damaged.
    pub(crate) dropped_bytes: u64,
}

impl Known {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Trial { key, result } => {
                self.trials.insert(key, result);
            }
            Entry::Campaign { key, result } => {
                self.campaigns.insert(key, result);
            }
            Entry::Unlabelled { point } => {
                self.unlabelled.insert(point);
            }
        }
    }
}

/// A journal open for appending, locked against other processes.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    /// Opens or creates the journal of the search that `header` describes (one line of JSON).
    pub(crate) fn open(path: &Path, header: &str) -> Result<(Self, Known), TuneError> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(TuneError::io(path, "open for writing"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TuneError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(TuneError::io(path, "lock")(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(TuneError::io(path, "read"))?;
        let (known, valid) = replay(&bytes, path, header)?;
        file.set_len(valid as u64).map_err(TuneError::io(path, "cut to its valid part"))?;
        let journal = Self { path: path.to_owned(), file: Mutex::new(file) };
        if valid == 0 {
            journal.write(&format!("{header}\n"))?;
        }
        Ok((journal, known))
    }

    pub(crate) fn append(&self, entry: &Entry) -> Result<(), TuneError> {
        let json = serde_json::to_string(entry).expect("entries are plain data");
        self.write(&format!("{} {json}\n", checksum(json.as_bytes())))
    }

    fn write(&self, line: &str) -> Result<(), TuneError> {
        let mut file = lock(&self.file);
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(TuneError::io(&self.path, "append to (what stands in it is kept)"))
    }
}

/// What the bytes add up to, and how many of them count.
fn replay(bytes: &[u8], path: &Path, header: &str) -> Result<(Known, usize), TuneError> {
    let mut known = Known::default();
    let Some(end) = bytes.iter().position(|&b| b == b'\n') else {
        if header.as_bytes().starts_with(bytes) {
            known.dropped_bytes = bytes.len() as u64;
            return Ok((known, 0));
        }
        return Err(TuneError::OtherSearch { path: path.to_owned(), reason: "it is no journal of a search".into() });
    };
    if &bytes[..end] != header.as_bytes() {
        let reason = difference(&bytes[..end], header);
        return Err(TuneError::OtherSearch { path: path.to_owned(), reason });
    }
    let mut at = end + 1;
    while let Some(length) = bytes[at..].iter().position(|&b| b == b'\n') {
        // Each line stands for itself: a spoilt one costs what it said, not what was paid for after it.
        match parse(&bytes[at..at + length]) {
            Some(entry) => known.add(entry),
            None => known.dropped_bytes += length as u64 + 1,
        }
        at += length + 1;
    }
    known.dropped_bytes += (bytes.len() - at) as u64;
    Ok((known, at))
}

fn parse(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice(sound(line)?).ok()
}

/// What a line says, if its checksum holds.
fn sound(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.split_at_checked(9)?;
    (sum.strip_suffix(b" ")? == checksum(json).as_bytes()).then_some(json)
}

/// What the lines say whose checksums hold.
pub(crate) fn sound_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == b'\n').filter_map(sound)
}

/// The first key in which two descriptions of a search differ.
fn difference(found: &[u8], due: &str) -> String {
    let parse = |text: &[u8]| serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(text).ok();
    let (Some(found), Some(due)) = (parse(found), parse(due.as_bytes())) else {
        return "it is no journal of a search".into();
    };
    let key = due.keys().chain(found.keys()).find(|key| found.get(*key) != due.get(*key));
    key.map_or("another description".into(), |key| format!("its {} differs", key.replace('_', " ")))
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Locks; a panic elsewhere while the lock was held left nothing half-done behind that matters here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes a file beside its place and renames it, so that it appears whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TuneError> {
    let temporary = path.with_added_extension("tmp");
    std::fs::write(&temporary, bytes).map_err(TuneError::io(path, "write"))?;
    std::fs::rename(&temporary, path).map_err(TuneError::io(path, "rename into place"))
}

/// Makes a directory with its parents.
pub(crate) fn make_directory(path: &Path) -> Result<(), TuneError> {
    match std::fs::create_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(TuneError::io(path, "make the directory")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"a":1,"b":2}"#;

    fn entries() -> Vec<Entry> {
        let key = |seed| TrialKey { rung: 1, candidate: 7, points: 2000, fold: 0, seed };
        vec![
            Entry::Trial { key: key(2), result: TrialResult::Mse(1.0 / 3.0) },
            Entry::Trial { key: key(0), result: TrialResult::Mse(1e-300) },
            Entry::Trial { key: key(1), result: TrialResult::Failed("member 0 diverged in epoch 3\n".into()) },
        ]
    }

    fn state(entries: &[Entry]) -> Known {
        let mut known = Known::default();
        entries.iter().for_each(|entry| known.add(entry.clone()));
        known
    }

    fn of(kept: &[bool]) -> Known {
        let entries: Vec<Entry> = entries().into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(e, _)| e).collect();
        state(&entries)
    }

    #[test]
    fn cut_or_spoilt_anywhere_the_other_lines_stand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, _) = Journal::open(&path, HEADER).unwrap();
        entries().iter().for_each(|entry| journal.append(entry).unwrap());
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in (0..whole.len()).step_by(3) {
            for spoil in [false, true] {
                if spoil && cut <= HEADER.len() {
                    continue;
                }
                let mut bytes = whole.clone();
                if spoil {
                    bytes[cut] ^= 4
                } else {
                    bytes.truncate(cut)
                }
                std::fs::write(&path, &bytes).unwrap();
                let (journal, known) = Journal::open(&path, HEADER).unwrap();
                let clean = Known { dropped_bytes: 0, ..known.clone() };
                let kept: Vec<bool> = if spoil {
                    // One line, or two where the end of the first was hit.
                    let hit = |lost: &[usize]| (0..3).map(|i| !lost.contains(&i)).collect::<Vec<_>>();
                    let ways = [vec![], vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2]];
                    ways.iter().map(|lost| hit(lost)).find(|kept| of(kept) == clean).expect("all but what was hit")
                } else {
                    let before = (0..=3).rev().map(|n| (0..3).map(|i| i < n).collect::<Vec<_>>());
                    before.into_iter().find(|kept| of(kept) == clean).expect("all before the cut")
                };
                assert_eq!(known.dropped_bytes > 0, spoil || !bytes.is_empty() && !bytes.ends_with(b"\n"), "{cut}");
                for (entry, _) in entries().iter().zip(&kept).filter(|(_, kept)| !**kept) {
                    journal.append(entry).unwrap();
                }
                drop(journal);
                let again = Journal::open(&path, HEADER).unwrap().1;
                assert_eq!(Known { dropped_bytes: 0, ..again }, state(&entries()), "cut {cut} spoil {spoil}");
            }
        }
    }

    #[test]
    fn another_search_and_another_process_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (held, _) = Journal::open(&path, HEADER).unwrap();
        assert!(matches!(Journal::open(&path, HEADER), Err(TuneError::Locked { .. })));
        drop(held);
        let error = Journal::open(&path, r#"{"a":1,"b":3}"#).unwrap_err().to_string();
        assert!(error.contains("its b differs"), "{error}");
        std::fs::write(&path, "years of work").unwrap();
        assert!(matches!(Journal::open(&path, HEADER), Err(TuneError::OtherSearch { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"years of work");
    }
}
