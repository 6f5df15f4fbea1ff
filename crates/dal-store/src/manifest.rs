//! The file that makes a directory a store. It says the same in every store of a layout, so it can be written anew.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::attempt::{self, Listing};
use crate::canonical::canonical_json;
use crate::error::{StoreError, json_words};
use crate::names::{MANIFEST, RUNS};
use crate::run::Run;

/// The version of the layout.
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Manifest {
    /// What this directory is, for a person who finds it.
    about: String,
    format: u64,
}

/// The text of the file.
fn text() -> String {
    let about = "runs of deep active learning for regression, written by dal".to_owned();
    canonical_json(&Manifest { about, format: FORMAT }).expect("plain data") + "\n"
}

/// Makes a directory a store.
pub(crate) fn write(root: &Path) -> Result<(), StoreError> {
    atomic::write(&root.join(MANIFEST), text().as_bytes())
}

/// Whether a directory is a store of this layout.
///
/// # Errors
/// The file is not there, cannot be read, is damaged, or is that of another layout.
pub(crate) fn read(root: &Path) -> Result<(), Fault> {
    let path = root.join(MANIFEST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(Fault::Missing);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(Fault::Other(damaged(root, None, "it is not UTF-8 text".into())));
        }
        Err(error) => return Err(Fault::Other(StoreError::io(path, "read")(error))),
    };
    match serde_json::from_str::<Manifest>(&text) {
        Ok(Manifest { format: FORMAT, .. }) => Ok(()),
        Ok(Manifest { format, .. }) => {
            Err(Fault::Other(StoreError::OtherFormat { path, found: format, expected: FORMAT }))
        }
        Err(error) => Err(Fault::Other(damaged(root, Some(error.line()), json_words(&error)))),
    }
}

/// Why a directory cannot be opened as a store.
pub(crate) enum Fault {
    /// It does not have the file.
    Missing,
    /// The file does not do.
    Other(StoreError),
}

/// That the file is damaged, with the remedy that there is.
fn damaged(root: &Path, line: Option<usize>, reason: String) -> StoreError {
    let remedy = if is_of_this_layout(root) {
        format!(
            "`dal bench verify {} --quarantine` sets it aside and writes it again: it says nothing that the rest of the \
             store does not",
            root.display()
        )
    } else {
        format!(
            "no run of this store can be read as one of layout version {FORMAT}, so it is not known what the file said: \
             bring it back from a backup, use the program that wrote the store, or give another directory"
        )
    };
    StoreError::Damaged { path: root.join(MANIFEST), line, reason, remedy }
}

/// That the file is not there, of a directory that holds runs as a store does; none of another directory.
pub(crate) fn lost(root: &Path) -> Option<StoreError> {
    let runs = root.join(RUNS);
    let holds_runs = Listing::of(&runs).is_ok_and(|listing| !listing.names(&runs).is_empty());
    let reason = format!("it is missing, but `{RUNS}` beside it holds runs");
    holds_runs.then(|| damaged(root, None, reason))
}

/// Whether the runs are laid out as this program does it: one that can be read shows it, and none at all does.
pub(crate) fn is_of_this_layout(root: &Path) -> bool {
    let runs = root.join(RUNS);
    let Ok(listing) = Listing::of(&runs) else { return !runs.exists() };
    let names = listing.names(&runs);
    let is_run = |name: &String| {
        Run::open(runs.join(name)).is_ok()
            || attempt::furthest(&listing.of_run(&runs, name)).is_ok_and(|attempt| attempt.is_some())
    };
    names.is_empty() || names.iter().any(is_run)
}
