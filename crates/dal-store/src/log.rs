//! An append-only file of checksummed lines with one writer at a time: what is said stays said, in order.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::atomic::sync_parent;
use crate::error::StoreError;
use crate::lines;

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogText {
    /// The text of every whole line, in order.
    pub lines: Vec<String>,
    /// Bytes that belong to no whole line: what a killed process left of a line, or damage. Only the reader can tell
    /// whether a line is missing, by a number that each line carries, say.
    pub spoilt: u64,
    /// Where damage begins behind the last whole line, if there is a line feed there: a line that was written to its
    /// end, and so said, and that nothing else shows to be missing. What a killed process leaves has none, as long as
    /// texts hold no line feeds.
    pub lost_from: Option<u64>,
}

/// A log that this process may add to; no other one can while this handle lives.
///
/// ```
/// use dal_store::Log;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("log");
/// let mut log = Log::create(&path, "mine 1", "first")?;
/// log.append("second")?;
/// assert!(Log::open(&path, "mine 1").is_err(), "one writer at a time");
/// assert_eq!(Log::read(&path, "mine 1")?.lines, ["first", "second"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    salt: String,
    /// Whether what a refused line left could not be taken away, so that another line would not follow what was said.
    hurt: bool,
}

impl Log {
    /// A new log whose first line is this; the file appears with the line or not at all.
    ///
    /// # Errors
    /// A file that is there already, a disk that refuses.
    pub fn create(path: &Path, salt: &str, first: &str) -> Result<Self, StoreError> {
        let refused = |action| StoreError::io(path, action);
        let temporary = path.with_added_extension(format!("{}.tmp", std::process::id()));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&temporary)
            .map_err(StoreError::io(&temporary, "write"))?;
        let written = file
            .write_all(lines::line(salt, first).as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(refused("write"));
        drop(file);
        // A link refuses to replace a log that another process made meanwhile, which a rename would not.
        let placed = written.and_then(|()| fs::hard_link(&temporary, path).map_err(refused("create")));
        let _ = fs::remove_file(&temporary);
        placed?;
        sync_parent(path);
        Self::open(path, salt)
    }

    /// Opens a log to add to it.
    ///
    /// # Errors
    /// Another process that has it open to add to it, a file that is not there or that the system refuses.
    pub fn open(path: &Path, salt: &str) -> Result<Self, StoreError> {
        let file = OpenOptions::new().append(true).open(path).map_err(StoreError::io(path, "open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned(), salt: salt.to_owned(), hurt: false }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(StoreError::io(path, "lock")(error)),
        }
    }

    /// Reads a log; another process may add to it meanwhile.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(path: &Path, salt: &str) -> Result<LogText, StoreError> {
        let mut bytes = Vec::new();
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(StoreError::io(path, "read"))?;
        let mut found = LogText::default();
        let walked = lines::walk(salt, &bytes, &mut |_, text| found.lines.push(text.to_owned()));
        found.spoilt = (walked.spoilt + bytes.len() - walked.end) as u64;
        found.lost_from = bytes[walked.end..].contains(&b'\n').then_some(walked.end as u64);
        Ok(found)
    }

    /// Adds a line and forces it to disk: when this returns, neither a kill nor a power failure loses it.
    ///
    /// # Errors
    /// A disk that refuses: the line is taken back then, and was never said. Where that is refused, too, this handle
    /// adds nothing more; the log can be opened anew.
    pub fn append(&mut self, text: &str) -> Result<(), StoreError> {
        self.append_with(text, File::sync_data)
    }

    fn append_with(&mut self, text: &str, sync: impl FnOnce(&File) -> io::Result<()>) -> Result<(), StoreError> {
        let refused = |error| StoreError::io(&self.path, "append to")(error);
        if self.hurt {
            return Err(refused(io::Error::other(
                "an earlier line was refused and could not be taken back; see to the disk and start again",
            )));
        }
        let before = self.file.metadata().map_err(refused)?.len();
        let line = lines::line(&self.salt, text);
        let Err(error) = self.file.write_all(line.as_bytes()).and_then(|()| sync(&self.file)) else { return Ok(()) };
        // The caller counts a refused line as not said and says another in its place: both would be there.
        self.hurt = self.file.set_len(before).is_err();
        Err(StoreError::io(&self.path, "append to")(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_writer_left_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        drop(Log::create(&path, "s", "one").unwrap());
        assert!(matches!(Log::create(&path, "s", "again"), Err(StoreError::Io { .. })));
        let whole = fs::read(&path).unwrap();
        let next = lines::line("s", "two");
        for cut in 0..next.len() {
            fs::write(&path, [&whole[..], &next.as_bytes()[..cut]].concat()).unwrap();
            // Without its line feed the line is whole already.
            let due: &[&str] = if cut + 1 == next.len() { &["one", "two", "three"] } else { &["one", "three"] };
            Log::open(&path, "s").unwrap().append("three").unwrap();
            let found = Log::read(&path, "s").unwrap();
            assert_eq!(found.lines, due, "{cut}");
        }
    }

    #[test]
    fn a_spoilt_last_line_is_lost_not_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        Log::create(&path, "s", "one").unwrap().append("two").unwrap();
        let (first, whole) = (lines::line("s", "one").len(), fs::read(&path).unwrap());
        assert_eq!(Log::read(&path, "s").unwrap().lost_from, None);
        // Any byte of the last line but its line feed, which is not needed.
        for at in first..whole.len() - 1 {
            let mut hurt = whole.clone();
            hurt[at] ^= 1;
            fs::write(&path, &hurt).unwrap();
            let found = Log::read(&path, "s").unwrap();
            assert_eq!((found.lines.len(), found.lost_from), (1, Some(first as u64)), "{at}");
        }
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(Log::read(&path, "s").unwrap().lost_from, None, "{cut}");
        }
    }

    #[test]
    fn a_refused_line_is_taken_back_or_is_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::create(&path, "s", "one").unwrap();
        let refused = log.append_with("two", |_| Err(io::Error::other("the disk is gone")));
        assert!(refused.unwrap_err().to_string().contains("cannot append to: the disk is gone"));
        assert_eq!(Log::read(&path, "s").unwrap(), LogText { lines: vec!["one".into()], ..LogText::default() });
        log.append("another two").unwrap();
        assert_eq!(Log::read(&path, "s").unwrap().lines, ["one", "another two"]);
        drop(log);
        // A file that can neither be written nor cut.
        let file = File::open(&path).unwrap();
        let mut log = Log { file, path: path.clone(), salt: "s".into(), hurt: false };
        assert!(log.append("three").is_err());
        let again = log.append_with("three", |_| panic!("nothing is written")).unwrap_err().to_string();
        assert!(again.contains("could not be taken back"), "{again}");
        assert_eq!(Log::read(&path, "s").unwrap().lines, ["one", "another two"]);
    }

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::create(&path, "s", "one").unwrap();
        assert!(matches!(Log::open(&path, "s"), Err(StoreError::Locked { .. })));
        drop(log);
        assert!(Log::open(&path, "s").is_ok());
        assert!(matches!(Log::open(&dir.path().join("none"), "s"), Err(StoreError::Io { .. })));
    }
}
