//! One run as a reader sees it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use ndarray_npy::ReadNpyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::canonical::canonical_json;
use crate::error::{StoreError, json_words};
use crate::journal::{self, Checkpoint};
use crate::names;
use crate::record::{EntryRecord, EntryTiming, Footer, Provenance, Status, TestLabels};
use crate::spec::{RunKey, RunSpec, hash, short_hash};

pub(crate) const SPEC: &str = "spec.json";
pub(crate) const RECORDS: &str = "records.jsonl";
pub(crate) const QUERIES: &str = "queries.npy";
pub(crate) const LABELS: &str = "labels.npy";
pub(crate) const FOOTER: &str = "footer.json";
pub(crate) const TIMING: &str = "timing.jsonl";
pub(crate) const PROVENANCE: &str = "provenance.json";
pub(crate) const JOURNAL: &str = "checkpoint.journal";
/// Why the run waits at its checkpoint.
pub(crate) const WAITING: &str = "waiting.txt";
/// Beside the folder of runs: those that are being made anew.
pub(crate) const SUPERSEDED: &str = "superseded";

/// Where the old form of a run is kept while it is made anew.
pub(crate) fn superseded(run_dir: &Path) -> Option<PathBuf> {
    Some(run_dir.parent()?.parent()?.join(SUPERSEDED).join(run_dir.file_name()?))
}

/// One run as a reader sees it: specification and status at once, everything else on demand.
///
/// Files of a run that is over are checked against the hashes in its footer when they are read. Of an unfinished run
/// everything up to the last whole frame of its checkpoint is shown, also while it is being written.
#[derive(Clone, Debug)]
pub struct Run {
    dir: PathBuf,
    key: RunKey,
    id: String,
    footer: Option<Footer>,
    status: Status,
}

impl Run {
    /// Reads specification and footer.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, StoreError> {
        let path = dir.join(SPEC);
        let text = read_text(&path)?;
        let key: RunKey =
            serde_json::from_str(&text).map_err(|e| StoreError::damaged_run(&path, Some(e.line()), json_words(&e)))?;
        if key.to_json() != text {
            return Err(StoreError::damaged_run(&path, None, "it is not in canonical form, so it was edited"));
        }
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_attempt = names::is_attempt(&dir);
        if name != key.directory_name() && !names::is_of(&name, &key.directory_name()) {
            let reason = format!("it belongs into a directory called {}", key.directory_name());
            return Err(StoreError::damaged_run(&path, None, reason));
        }
        let footer_path = dir.join(FOOTER);
        // What its process wrote last before it was to take its place says nothing: it did not get there.
        let footer = match is_attempt {
            true => None,
            false => read_optional(&footer_path)?.map(|text| footer(&footer_path, &text)).transpose()?,
        };
        let mut run = Self::assembled(dir, key, footer);
        if run.footer.is_none() {
            let entries = run.checkpoint()?.records.len();
            if entries == 0 && !is_attempt && run.dir.join(RECORDS).exists() && !run.dir.join(JOURNAL).exists() {
                // A checkpoint goes only after its footer is there.
                let reason = "it stands there without a footer and without a checkpoint";
                return Err(StoreError::damaged_run(run.dir.join(RECORDS), None, reason));
            }
            run.status = Status::Partial { entries };
        }
        Ok(run)
    }

    pub(crate) fn assembled(dir: PathBuf, key: RunKey, footer: Option<Footer>) -> Self {
        let status = match &footer {
            Some(Footer { failure: Some(failure), .. }) => Status::Failed(failure.clone()),
            Some(Footer { failure: None, .. }) => Status::Done,
            None => Status::Partial { entries: 0 },
        };
        Self { dir, id: key.id(), key, footer, status }
    }

    /// The id: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Specification, platform and revision.
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// The specification.
    pub fn spec(&self) -> &RunSpec {
        &self.key.spec
    }

    /// What it is called: the name of its directory once it is over.
    pub fn name(&self) -> String {
        self.key.directory_name()
    }

    /// The directory; of a run that is not over that of the attempt that came furthest.
    pub fn directory(&self) -> &Path {
        &self.dir
    }

    /// How the run stands.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Entries that are recorded, once it is over.
    pub fn n_entries(&self) -> Option<usize> {
        self.footer.as_ref().map(|footer| footer.entries)
    }

    /// Why it waits at its checkpoint, where it was left because the program that answers its queries was down.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn waiting(&self) -> Result<Option<String>, StoreError> {
        match self.status {
            Status::Partial { .. } => Ok(read_optional(&self.dir.join(WAITING))?.map(|text| text.trim().to_owned())),
            _ => Ok(None),
        }
    }

    /// The finished form that it had before it was made anew, which is kept until it is finished again.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn superseded(&self) -> Result<Option<Self>, StoreError> {
        match superseded(&self.dir.with_file_name(self.name())).filter(|dir| dir.exists()) {
            Some(dir) => Self::open(dir).map(Some),
            None => Ok(None),
        }
    }

    /// Tells one making of a run that is over from another, which may have come to the same: the hash of its footer and
    /// provenance.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn making(&self) -> Result<String, StoreError> {
        let read = |name| read_optional(&self.dir.join(name)).map(Option::unwrap_or_default);
        Ok(short_hash((read(FOOTER)? + &read(PROVENANCE)?).as_bytes()))
    }

    /// What its errors are held against; `None` until the run is over, and of older stores.
    pub fn test_labels(&self) -> Option<&TestLabels> {
        self.footer.as_ref()?.test_labels.as_ref()
    }

    /// One record per entry.
    ///
    /// # Errors
    /// A file that is missing, or is not the one that the footer sealed.
    pub fn records(&self) -> Result<Vec<EntryRecord>, StoreError> {
        let Some(footer) = &self.footer else { return Ok(self.checkpoint()?.records) };
        let path = self.dir.join(RECORDS);
        let records: Vec<EntryRecord> = parse_lines(&path, &self.sealed(footer, RECORDS)?)?;
        if records.len() != footer.entries || records.iter().enumerate().any(|(i, r)| r.entry != i) {
            let reason = format!("{} entries where the footer says {}", records.len(), footer.entries);
            return Err(StoreError::damaged_run(path, None, reason));
        }
        Ok(records)
    }

    /// Every queried point in order, shape (n, n_columns).
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn queries(&self) -> Result<Array2<f64>, StoreError> {
        let Some(footer) = &self.footer else { return Ok(self.checkpoint()?.queries()) };
        self.array(footer, QUERIES)
    }

    /// Every point asked for, the initial ones first, with its answer: shape (n, n_columns + n_outputs), NaN where a
    /// label failed. `None` for a run that is over and did not keep them.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn labels(&self) -> Result<Option<Array2<f64>>, StoreError> {
        match &self.footer {
            None => Ok(Some(self.checkpoint()?.labels())),
            Some(footer) if footer.files.contains_key(LABELS) => self.array(footer, LABELS).map(Some),
            Some(_) => Ok(None),
        }
    }

    fn array(&self, footer: &Footer, name: &str) -> Result<Array2<f64>, StoreError> {
        let bytes = self.sealed(footer, name)?;
        Array2::read_npy(bytes.as_slice())
            .map_err(|error| StoreError::damaged_run(self.dir.join(name), None, error.to_string()))
    }

    /// Seconds per entry, where they were taken.
    ///
    /// # Errors
    /// A file that cannot be read; an absent one is empty.
    pub fn timings(&self) -> Result<Vec<EntryTiming>, StoreError> {
        if self.footer.is_none() {
            return Ok(self.checkpoint()?.timings);
        }
        let path = self.dir.join(TIMING);
        match read_optional(&path)? {
            Some(text) => parse_lines(&path, text.as_bytes()).map_err(StoreError::beside_results),
            None => Ok(Vec::new()),
        }
    }

    /// Where and how the run was made, once it is over.
    ///
    /// # Errors
    /// A file that cannot be read; an absent one is `None`.
    pub fn provenance(&self) -> Result<Option<Provenance>, StoreError> {
        let path = self.dir.join(PROVENANCE);
        match read_optional(&path)? {
            Some(text) => {
                let empty = || StoreError::damaged_run(&path, None, "it is empty");
                let first = parse_lines(&path, text.as_bytes()).and_then(|of| of.into_iter().next().ok_or_else(empty));
                first.map(Some).map_err(StoreError::beside_results)
            }
            None => Ok(None),
        }
    }

    /// The state of an unfinished or failed run.
    ///
    /// # Errors
    /// A journal that cannot be read or belongs to another run.
    pub fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        journal::read(&self.dir.join(JOURNAL), &self.key.to_json())
    }

    /// Checks that the deterministic files of a run that is over have the lengths that its footer states. Cheap.
    ///
    /// # Errors
    /// The first file that does not.
    pub fn check_lengths(&self) -> Result<(), StoreError> {
        for (name, seal) in self.footer.iter().flat_map(|footer| &footer.files) {
            let path = self.dir.join(name);
            let length = fs::metadata(&path).map_err(|error| missing(&path, error))?.len();
            if length != seal.bytes {
                let reason = format!("{length} bytes where the footer says {}", seal.bytes);
                return Err(StoreError::damaged_run(path, None, reason));
            }
        }
        Ok(())
    }

    /// Checks the deterministic files of a run that is over against the hashes in its footer.
    ///
    /// # Errors
    /// The first file that differs.
    pub fn verify(&self) -> Result<(), StoreError> {
        self.sealed_names().try_for_each(|name| self.check(name))
    }

    /// The files that the footer has to vouch for, and the others that it does.
    pub(crate) fn sealed_names(&self) -> impl Iterator<Item = &str> {
        let footer = self.footer.iter();
        footer.flat_map(|footer| {
            let due = [SPEC, RECORDS, QUERIES].into_iter().filter(|name| !footer.files.contains_key(*name));
            due.chain(footer.files.keys().map(String::as_str))
        })
    }

    /// Checks one of these.
    pub(crate) fn check(&self, name: &str) -> Result<(), StoreError> {
        self.footer.as_ref().map_or(Ok(()), |footer| self.sealed(footer, name).map(drop))
    }

    fn sealed(&self, footer: &Footer, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.dir.join(name);
        let Some(seal) = footer.files.get(name) else {
            return Err(StoreError::damaged_run(self.dir.join(FOOTER), None, format!("it does not list {name}")));
        };
        let length = fs::metadata(&path).map_err(|error| missing(&path, error))?.len();
        if length != seal.bytes {
            let reason = format!("{length} bytes where the footer says {}", seal.bytes);
            return Err(StoreError::damaged_run(path, None, reason));
        }
        let bytes = fs::read(&path).map_err(|error| missing(&path, error))?;
        if seal.sha256 != hash(&bytes) {
            return Err(StoreError::damaged_run(path, None, "its content is not what the footer's hash says"));
        }
        Ok(bytes)
    }
}

/// The footer in a text, if it is as it was written.
fn footer(path: &Path, text: &str) -> Result<Footer, StoreError> {
    let damaged = |e: serde_json::Error| StoreError::damaged_run(path, Some(e.line()), json_words(&e));
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
    let line = |value: &serde_json::Value| canonical_json(value).map(|json| json + "\n").map_err(damaged);
    if line(&value)? != text {
        return Err(StoreError::damaged_run(path, None, "it is not in canonical form, so it was edited"));
    }
    let footer: Footer = Footer::deserialize(&value).map_err(damaged)?;
    if let (Some(seal), Some(members)) = (&footer.seal, value.as_object_mut()) {
        members.remove("seal");
        if hash(line(&value)?.as_bytes()) != *seal {
            return Err(StoreError::damaged_run(path, None, "its content is not what its own hash says"));
        }
    }
    Ok(footer)
}

/// What a run was before it was made anew is no longer needed.
pub(crate) fn remove_superseded(run_dir: &Path) -> Result<(), StoreError> {
    match superseded(run_dir) {
        Some(old) if old.exists() => fs::remove_dir_all(&old).map_err(StoreError::io(&old, "remove")),
        _ => Ok(()),
    }
}

fn missing(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::damaged_run(path, None, "it is missing, but the footer lists it"),
        _ => StoreError::io(path, "read")(error),
    }
}

fn read_text(path: &Path) -> Result<String, StoreError> {
    fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::damaged_run(path, None, "it is missing"),
        io::ErrorKind::InvalidData => StoreError::damaged_run(path, None, "it is not UTF-8 text"),
        _ => StoreError::io(path, "read")(error),
    }
}

fn read_optional(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn parse_lines<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>, StoreError> {
    bytes
        .split(|&b| b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| {
            serde_json::from_slice(line).map_err(|e| StoreError::damaged_run(path, Some(i + 1), json_words(&e)))
        })
        .collect()
}
