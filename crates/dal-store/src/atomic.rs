//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::StoreError;
use crate::names::nonce;

/// Writes `bytes` to a temporary file beside `path`, forces it to disk and renames it.
///
/// The temporary name is this process's own: others may write the same file at the same time.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    place(path, bytes, true)?;
    sync_parent(path);
    Ok(())
}

/// As [`write`], but whether the rename outlives a power failure is left to a later [`sync_parent`], and without
/// `durable` the content to the system.
pub(crate) fn place(path: &Path, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
    let temporary = path.with_added_extension(format!("{}.tmp", nonce()));
    let attempt = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if durable { file.sync_data() } else { Ok(()) }
    };
    if let Err(error) = attempt() {
        let _ = fs::remove_file(&temporary);
        return Err(StoreError::io(path, "write")(error));
    }
    fs::rename(&temporary, path).map_err(StoreError::io(path, "rename into place"))
}

/// Makes a rename in the directory of `path` last through a power failure, where the platform lets directories be
/// synced.
pub(crate) fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent()
        && let Ok(directory) = File::open(parent)
    {
        let _ = directory.sync_all();
    }
}
