//! The calls under way in this whole process, so that they can all be ended at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use super::group::kill_group;

/// The calls under way in this whole process.
static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { groups: BTreeSet::new(), folders: BTreeSet::new() });

pub(super) struct UnderWay {
    /// Process groups of the programs.
    pub(super) groups: BTreeSet<u32>,
    /// Folders of their files.
    pub(super) folders: BTreeSet<PathBuf>,
}

pub(super) fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends every program that this process is calling, with its helpers, and removes their files: for whoever ends the process at
/// once, on Ctrl-C say. A program has a process group of its own, so that the terminal's Ctrl-C does not reach it.
///
/// The calls fail, and no other can be started from then on.
pub fn end_all_calls() {
    let calls = under_way();
    #[cfg(unix)]
    calls.groups.iter().for_each(|&group| kill_group(group));
    for folder in &calls.folders {
        // What was killed may take a moment to be gone and write on; what stays then, stays, with nobody left to be told.
        for _ in 0..50 {
            if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    // Held for ever: a call that is about to start waits for the end of the process.
    std::mem::forget(calls);
}
