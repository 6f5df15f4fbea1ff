//! Reads the files that make up a problem, with the problem file's path at hand for every error.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::ProblemFileError;

/// Turns one problem file into a problem, with its path at hand for every error.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
}

impl Reader<'_> {
    pub(super) fn key(&self, key: impl Into<String>, problem: impl Into<String>) -> ProblemFileError {
        ProblemFileError::Key { path: self.path.to_owned(), key: key.into(), problem: problem.into() }
    }

    pub(super) fn folder(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, ProblemFileError> {
        std::fs::read(path).map_err(|e| ProblemFileError::Read { path: path.to_owned(), message: e.to_string() })
    }

    /// Adds every file of a folder, in the order of their names, which are added too.
    pub(super) fn digest_folder(&self, folder: &Path, digest: &mut Sha256) -> Result<(), ProblemFileError> {
        let fault = |e: std::io::Error| ProblemFileError::Read { path: folder.to_owned(), message: e.to_string() };
        let entries = std::fs::read_dir(folder).map_err(fault)?.collect::<Result<Vec<_>, _>>().map_err(fault)?;
        let mut files: Vec<PathBuf> =
            entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_file()).collect();
        files.sort();
        for file in files {
            digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            digest.update(self.read(&file)?);
        }
        Ok(())
    }
}
