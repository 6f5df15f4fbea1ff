//! A copy of the sources, which a task may change.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{capture, root};

/// Makes a folder the same as the sources; what is the same already keeps its time, and so its builds.
pub fn copy_sources(tree: &Path) -> Result<()> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let names = capture(Command::new("git").args(listed).current_dir(root()))?;
    let names: BTreeSet<&str> = names.split('\0').filter(|name| !name.is_empty()).collect();
    for name in &names {
        let (from, to) = (root().join(name), tree.join(name));
        // A file that was deleted and not yet committed.
        let Ok(bytes) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, bytes).with_context(|| to.display().to_string())?;
    }
    remove_others(tree, tree, &names)
}

/// Removes files that the sources do not have.
fn remove_others(tree: &Path, folder: &Path, names: &BTreeSet<&str>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(tree)?.to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            remove_others(tree, &path, names)?;
        } else if !names.contains(name.as_str()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
