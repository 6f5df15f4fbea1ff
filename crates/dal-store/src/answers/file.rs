//! One file of answers: appended by the handle that created it, read by all others from where they left off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::key::KEY;
use super::{AnswerDamageKind, AnswerKey, EXTENSION, Head};
use crate::atomic;
use crate::error::StoreError;
use crate::journal::SYNC_EVERY;
use crate::lines;
use crate::process::{ProcessName, Standing};

/// Binds the first line of a file, which says what the other lines are bound to.
const HEAD: &str = "dal answers";
/// Version of the layout.
const FORMAT: u64 = 1;
/// Distinguishes the files of one process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The file that this handle appends to.
#[derive(Debug)]
pub(super) struct Own {
    file: File,
    path: PathBuf,
    name: Arc<str>,
    length: u64,
    synced: Instant,
}

impl Own {
    /// Creates a file that no other process has.
    pub(super) fn create(folder: &Path, key: &AnswerKey) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(StoreError::io(folder, "create"))?;
        let writer = ProcessName::this();
        let stem = writer.file_stem();
        let (file, path, name) = loop {
            let name = format!("{stem}-{}.{EXTENSION}", COUNTER.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(&name);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (file, path, name),
                // Left by a namesake, in a container say.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io(path, "create")(error)),
            }
        };
        let mut own = Self { file, path, name: name.into(), length: 0, synced: Instant::now() };
        show_key(folder, key, &own.name)?;
        let head = Head { answers: FORMAT, key: key.digest(), writer };
        own.append(HEAD, &serde_json::to_string(&head).expect("plain data"))?;
        own.sync()?;
        // The file, its folder and the folder around it are new.
        [Some(own.path.as_path()), Some(folder), folder.parent()].into_iter().flatten().for_each(atomic::sync_parent);
        Ok(own)
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Appends a line and says where it begins.
    pub(super) fn append(&mut self, salt: &str, text: &str) -> Result<u64, StoreError> {
        let line = lines::line(salt, text);
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // Part of it may have arrived; it would cost the next line nothing, but would be told as damage.
            let _ = self.file.set_len(self.length);
            return Err(StoreError::io(&self.path, "append to")(error));
        }
        let place = self.length;
        self.length += line.len() as u64;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(place)
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io(&self.path, "force to disk"))?;
        self.synced = Instant::now();
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A disk that refuses now leaves what a power failure would.
        let _ = self.file.sync_data();
    }
}

/// Makes the folder show its key. Processes that do so at the same time write the same bytes.
fn show_key(folder: &Path, key: &AnswerKey, unique: &str) -> Result<(), StoreError> {
    let (path, text) = (folder.join(KEY), key.to_json() + "\n");
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let temporary = folder.join(format!(".{unique}.{KEY}"));
    fs::write(&temporary, &text).map_err(StoreError::io(&temporary, "write"))?;
    fs::rename(&temporary, &path).map_err(StoreError::io(&path, "rename into place"))
}

/// A file of another handle, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Where reading goes on.
    end: u64,
    head: Option<Head>,
    spoilt: u64,
    unknown: u64,
    /// Bytes behind the last whole line.
    rest: u64,
    other_key: bool,
}

impl Source {
    /// Hands out what was added since; `take` says whether it understands a line.
    pub(super) fn read_on(
        &mut self,
        path: &Path,
        digest: &str,
        take: &mut dyn FnMut(u64, &str) -> bool,
    ) -> Result<(), StoreError> {
        let read = StoreError::io;
        // Asked for before opening, because most files of a folder do not grow any more.
        let length = match fs::metadata(path) {
            // Taken away since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            data => data.map_err(read(path, "read"))?.len(),
        };
        if length < self.end {
            // Replaced by an older copy: equal answers count once, so reading it from the start does no harm.
            *self = Self::default();
        }
        // Also where the creator cut off what a full disk had left of a line.
        self.rest = 0;
        if self.other_key || length == self.end {
            return Ok(());
        }
        let mut file = File::open(path).map_err(read(path, "open"))?;
        file.seek(SeekFrom::Start(self.end)).map_err(read(path, "read"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(read(path, "read"))?;
        let mut rest = bytes.as_slice();
        if self.end == 0
            && let Some((text, length)) = lines::first(HEAD, rest)
        {
            self.head = serde_json::from_str(text).ok();
            self.other_key = self.head.as_ref().is_some_and(|head| head.key != digest);
            if self.other_key {
                return Ok(());
            }
            self.end = length as u64;
            rest = &rest[length..];
        }
        let (start, unknown) = (self.end, &mut self.unknown);
        let walked = lines::walk(digest, rest, &mut |at, text| {
            if !take(start + at as u64, text) {
                *unknown += 1;
            }
        });
        self.end += walked.end as u64;
        self.spoilt += walked.spoilt as u64;
        self.rest = (rest.len() - walked.end) as u64;
        Ok(())
    }

    /// What is wrong with the file.
    pub(super) fn damage(&self) -> Vec<AnswerDamageKind> {
        let mut found = Vec::new();
        if self.other_key {
            found.push(AnswerDamageKind::OtherKey);
        }
        if self.spoilt > 0 {
            found.push(AnswerDamageKind::Spoilt { bytes: self.spoilt });
        }
        if self.unknown > 0 {
            found.push(AnswerDamageKind::Unknown { lines: self.unknown });
        }
        if self.rest > 0 {
            let writer = self.head.as_ref().map_or(Standing::Elsewhere, |head| head.writer.standing());
            if writer != Standing::Alive {
                found.push(AnswerDamageKind::Torn { bytes: self.rest, writer });
            }
        }
        found
    }
}
