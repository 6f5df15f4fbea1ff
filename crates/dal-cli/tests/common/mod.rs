//! Running the built `dal` and looking at what it leaves behind.
#![allow(dead_code)] // Each test file uses its own share of this.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `dal` with these arguments, in a folder.
pub fn dal(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dal"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs `dal` and returns exit code, standard output and standard error.
pub fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = dal(folder, args).output().expect("dal starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("dal prints UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Runs `dal`, which must succeed, and returns its standard output.
pub fn succeed(folder: &Path, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(folder, args);
    assert_eq!(code, 0, "dal {args:?}\n{stderr}");
    stdout
}

/// Runs `dal`, which must refuse its input with exit code 2 and say all these words.
pub fn refuse(folder: &Path, args: &[&str], words: &[&str]) {
    let (code, _, stderr) = run(folder, args);
    assert_eq!(code, 2, "dal {args:?}\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "dal {args:?}: {word:?} is not in\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
    // A cause stands there once.
    for error in ["No such file or directory", "Is a directory"] {
        assert!(stderr.matches(error).count() <= 1, "{stderr}");
    }
}

/// Starts `dal` and kills it after so long; whether it still ran. Where it was through, it must have succeeded.
pub fn is_killed_after(folder: &Path, args: &[&str], after: Duration) -> bool {
    let mut child = dal(folder, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dal starts");
    std::thread::sleep(after);
    if let Some(status) = child.try_wait().expect("a child can be waited for") {
        assert!(status.success());
        return false;
    }
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    true
}

/// Kills `dal` again and again, each time a little later, until it gets through; it must be killed at least once.
pub fn kill_until_through(folder: &Path, args: &[&str], step: Duration) {
    for kills in 0.. {
        let mut child = dal(folder, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dal starts");
        let start = Instant::now();
        let ended = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if start.elapsed() > step * (kills + 1) => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if let Some(status) = ended {
            assert!(status.success());
            assert!(kills > 0, "nothing was killed");
            return;
        }
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }
}

/// Writes a file and returns its path.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file can be written");
    path
}

/// Content of every deterministic file of a store, by path below `runs/`.
pub fn deterministic_files(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for run in fs::read_dir(store.join("runs")).expect("a store has runs") {
        let run = run.expect("an entry").path();
        for name in ["spec.json", "records.jsonl", "queries.npy", "footer.json"] {
            let path = run.join(name);
            if let Ok(bytes) = fs::read(&path) {
                let run = run.file_name().expect("a name").to_string_lossy().into_owned();
                files.insert(format!("{run}/{name}"), bytes);
            }
        }
    }
    files
}
