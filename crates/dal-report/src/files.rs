//! Files that appear together or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::ReportError;

/// Where files stand until all of them are written: one name, so that nothing piles up after kills.
const UNFINISHED: &str = "unfinished";

/// Files that are written beside their place and moved there in their order once all of them are whole.
///
/// A directory that does not exist, or is empty, appears in one step; into one that holds something, files are moved
/// one by one in place of those of the same name, and what else is there stays. Dropped before [`place`](Self::place),
/// nothing is left.
#[derive(Debug)]
pub(crate) struct Files {
    out: PathBuf,
    /// Where they stand until then.
    beside: PathBuf,
    is_new: bool,
    names: Vec<String>,
    /// Files of the directory itself that these stand in place of, whatever they are called.
    former: Vec<String>,
}

impl Files {
    /// For this directory.
    pub(crate) fn begin(out: &Path) -> Result<Self, ReportError> {
        let is_new = match fs::read_dir(out) {
            Ok(mut entries) => entries.next().is_none() && out.file_name().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(failed(out, "make the directory", source)),
        };
        let beside = match (is_new, out.file_name()) {
            (true, Some(name)) => {
                let mut hidden = std::ffi::OsString::from(".");
                hidden.push(name);
                hidden.push(format!(".{UNFINISHED}"));
                out.with_file_name(hidden)
            }
            _ => out.join(format!(".{UNFINISHED}")),
        };
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(|source| failed(&beside, "remove", source))?;
        }
        fs::create_dir_all(&beside).map_err(|source| failed(out, "make the directory", source))?;
        Ok(Self { out: out.to_owned(), beside, is_new, names: Vec::new(), former: Vec::new() })
    }

    /// A file to be written, by its path below the directory.
    pub(crate) fn create(&mut self, name: &str) -> Result<File, ReportError> {
        let path = self.beside.join(name);
        make_parent(&path)?;
        let file = File::create(&path).map_err(|source| failed(&self.out.join(name), "write", source))?;
        self.names.push(name.to_owned());
        Ok(file)
    }

    /// A whole file.
    pub(crate) fn add(&mut self, name: &str, content: impl AsRef<[u8]>) -> Result<(), ReportError> {
        let mut file = self.create(name)?;
        io::Write::write_all(&mut file, content.as_ref()).map_err(|source| self.failed(name, source))
    }

    /// A file that could not be written, by the name that it was to have.
    pub(crate) fn failed(&self, name: &str, source: io::Error) -> ReportError {
        failed(&self.out.join(name), "write", source)
    }

    /// Says which files of the directory these stand in place of: those of other names go once all are in place.
    pub(crate) fn replace(&mut self, former: Vec<String>) {
        self.former = former;
    }

    /// Moves them to their place.
    pub(crate) fn place(self) -> Result<(), ReportError> {
        if !self.is_new {
            for name in &self.names {
                let path = self.out.join(name);
                make_parent(&path)?;
                fs::rename(self.beside.join(name), &path).map_err(|source| failed(&path, "write", source))?;
            }
            for name in self.former.iter().filter(|name| !self.names.contains(name)) {
                let path = self.out.join(name);
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(&path, "remove", source));
                    }
                    _ => {}
                }
            }
            return Ok(());
        }
        if self.out.exists() {
            fs::remove_dir(&self.out).map_err(|source| failed(&self.out, "replace", source))?;
        }
        fs::rename(&self.beside, &self.out).map_err(|source| failed(&self.out, "make the directory", source))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Gone already where all went well.
        let _ = fs::remove_dir_all(&self.beside);
    }
}

fn make_parent(path: &Path) -> Result<(), ReportError> {
    let dir = path.parent().map(PathBuf::from).unwrap_or_default();
    fs::create_dir_all(&dir).map_err(|source| failed(&dir, "make the directory", source))
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> ReportError {
    ReportError::Io { path: path.to_owned(), action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(out: &Path, word: &str, more: &[&str]) -> Result<(), ReportError> {
        let mut files = Files::begin(out)?;
        for name in ["figures/a.svg", "tables/a.csv", "report.html"].iter().chain(more) {
            files.add(name, word)?;
        }
        files.place()
    }

    /// Every file below a directory with its content, sorted.
    fn all(dir: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                found.extend(all(&entry.path()).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
            } else {
                found.push((name, fs::read_to_string(entry.path()).unwrap()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn they_come_together_and_spare_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new/report");
        write(&out, "one", &[]).unwrap();
        assert_eq!(all(&dir.path().join("new")).len(), 3);
        fs::write(out.join("tables/mine.txt"), "mine").unwrap();
        fs::create_dir(out.join(".unfinished")).unwrap();
        fs::write(out.join(".unfinished/x"), "left by a kill").unwrap();
        write(&out, "two", &[]).unwrap();
        let found = all(dir.path());
        assert_eq!(found.iter().filter(|(_, text)| text == "two").count(), 3);
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn where_one_cannot_be_written_none_is() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("report");
        write(&out, "one", &[]).unwrap();
        // A file that is in the way of a directory stands in for a full disk.
        let error = write(&out, "two", &["report.html/under-a-file"]).unwrap_err().to_string();
        assert!(error.contains("report.html"), "{error}");
        assert!(all(dir.path()).iter().all(|(_, text)| text == "one") && all(dir.path()).len() == 3);
        assert!(write(&dir.path().join("other"), "two", &["report.html/under-a-file"]).is_err());
        assert_eq!(all(dir.path()).len(), 3);
        assert!(!dir.path().join("other").exists());
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(write(&dir.path().join("file"), "one", &[]).is_err());
    }
}
