//! The files of a call that exchanges points and answers by files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::user::answers::{Answer, Answers};

/// The two files of a call, in a folder that vanishes with it.
pub(super) struct Files {
    folder: PathBuf,
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
    read: u64,
    /// Of what was read.
    digest: Sha256,
    /// Whether the answer file was seen shorter than what was read of it.
    shrunk: bool,
}

/// What a look into the answer file brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    More,
    Nothing,
    /// It makes no sense to look again.
    Senseless,
}

impl Files {
    pub(super) fn write(directory: &Path, csv: &str) -> io::Result<Self> {
        // Absolute, because the program may change its folder.
        let directory = std::path::absolute(directory)?;
        let folder = tempfile::Builder::new().prefix(".dal-call-").tempdir_in(directory)?.keep();
        let (input, output) = (folder.join("input.csv"), folder.join("output.csv"));
        let files = Self { folder, input, output, read: 0, digest: Sha256::new(), shrunk: false };
        std::fs::write(&files.input, csv)?;
        Ok(files)
    }

    /// Uses what the answer file has grown by, at most a megabyte at a time.
    pub(super) fn read_on(&mut self, answers: &mut Answers<'_>, on_row: &mut dyn FnMut(usize, Answer)) -> Look {
        // No file yet, or a read that failed: what was read counts, the rest comes with the next look.
        let Ok(mut file) = File::open(&self.output) else { return Look::Nothing };
        if file.metadata().is_ok_and(|now| now.len() < self.read) {
            // A program that writes its whole table after every row empties it first: what it says then may well be the
            // same.
            self.shrunk = true;
            return Look::Nothing;
        }
        if std::mem::take(&mut self.shrunk) && self.is_as_read() == Some(false) {
            answers.replaced();
            return Look::Senseless;
        }
        let mut bytes = Vec::new();
        let _ = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.take(1 << 20).read_to_end(&mut bytes));
        self.read += bytes.len() as u64;
        self.digest.update(&bytes);
        match bytes.is_empty() {
            true => Look::Nothing,
            false if answers.feed(&bytes, on_row) => Look::More,
            false => Look::Senseless,
        }
    }

    /// Compares what was read, once no process writes any more, with what is there: a program that writes its answers a
    /// second time may have changed lines that were read as they were first.
    pub(super) fn check(&self, answers: &mut Answers<'_>) {
        if self.is_as_read() == Some(false) {
            answers.replaced();
        }
    }

    /// Whether the answer file still begins with what was read; none where it cannot be read.
    fn is_as_read(&self) -> Option<bool> {
        let mut file = File::open(&self.output).ok()?.take(self.read);
        let (mut again, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Some(again.finalize() == self.digest.clone().finalize()),
                Ok(n) => again.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // At this place a folder that cannot be removed can no longer be reported.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
