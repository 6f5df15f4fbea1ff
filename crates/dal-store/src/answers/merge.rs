//! Merging folders of answers by copying files.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::key::KEY;
use super::{EXTENSION, answer_keys, is_answer_file};
use crate::atomic;
use crate::error::StoreError;

/// What merging did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Files that were copied.
    pub copied: usize,
    /// Files whose content was there already.
    pub known: usize,
}

/// Copies into a folder of answers those files of another that it lacks, for every key.
///
/// Files that are there are left as they are, because their process may be at work: a longer version of one is copied
/// beside it. Equal answers count once, so copying does no harm. Interrupted and repeated it comes to the same.
///
/// # Errors
/// A folder or file that cannot be read or written.
pub fn merge_answers(from: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Merged, StoreError> {
    let mut merged = Merged::default();
    for (id, key) in answer_keys(&from)? {
        let (from, into) = (from.as_ref().join(&id), into.as_ref().join(&id));
        fs::create_dir_all(&into).map_err(StoreError::io(&into, "create"))?;
        if !into.join(KEY).exists() {
            atomic::write(&into.join(KEY), (key.to_json() + "\n").as_bytes())?;
        }
        let failed = |source| StoreError::Io { path: from.clone(), action: "list", source };
        for entry in fs::read_dir(&from).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if is_answer_file(&name) {
                match copy(&from.join(&name), &into, &name)? {
                    true => merged.copied += 1,
                    false => merged.known += 1,
                }
            }
        }
        atomic::sync_parent(&into.join(KEY));
    }
    Ok(merged)
}

/// Copies a file under its own name, or beside what has that name; false if its content is there already.
fn copy(file: &Path, into: &Path, name: &str) -> Result<bool, StoreError> {
    let bytes = fs::read(file).map_err(StoreError::io(file, "read"))?;
    let stem = name.strip_suffix(EXTENSION).and_then(|stem| stem.strip_suffix('.')).unwrap_or(name);
    for n in 0usize.. {
        let path = match n {
            0 => into.join(name),
            n => into.join(format!("{stem}~{n}.{EXTENSION}")),
        };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut copy) => {
                copy.write_all(&bytes).and_then(|()| copy.sync_data()).map_err(StoreError::io(&path, "write"))?;
                return Ok(true);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read(&path).map_err(StoreError::io(&path, "read"))?.starts_with(&bytes) {
                    return Ok(false);
                }
            }
            Err(error) => return Err(StoreError::io(path, "create")(error)),
        }
    }
    unreachable!("the loop ends at the first free name")
}
