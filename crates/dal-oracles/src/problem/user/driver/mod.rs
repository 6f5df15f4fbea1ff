//! Dakota's driver protocol: each evaluation has a directory of its own, with the point in a parameters file and in
//! files that were filled in, and its answer in a results file.

mod parameters;
mod results;
mod template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dal_files::{Separator, cells};

use super::inputs::Inputs;

pub(super) use self::results::{Told, read};
pub(super) use self::template::Template;

/// The folder of the directories, in the folder of answers or of a campaign.
pub const EVALUATIONS: &str = "evaluations";

/// How the parameters file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A value and its name a line.
    #[default]
    Standard,
    /// `{ name = value }`, which APREPRO and DPrepro read.
    Aprepro,
}

/// Which directories stay when their evaluation is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Those without an answer.
    #[default]
    Failed,
    /// All.
    Always,
    /// None.
    Never,
}

/// A file or folder that an evaluation needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Where it lies, as an absolute path.
    pub from: PathBuf,
    /// What it is called in the directory; no path.
    pub name: String,
}

/// How evaluations get their directories.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverSettings {
    /// Of the parameters file.
    pub format: Format,
    /// The name of the parameters file; no path.
    pub parameters_file: String,
    /// The name of the results file; no path.
    pub results_file: String,
    /// Files that are filled in.
    pub templates: Arc<Vec<Template>>,
    /// Files and folders that are linked.
    pub link: Vec<Beside>,
    /// Files and folders that are copied.
    pub copy: Vec<Beside>,
    /// Which directories stay.
    pub keep: Keep,
    /// The folder of the directories.
    pub place: PathBuf,
    /// Whether the problem file names that folder, so that nothing else may.
    pub is_placed: bool,
}

/// The directory of an evaluation. It goes when this is dropped, unless it was told to stay.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    stays: bool,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.stays {
            // Links are taken away, not what they lead to. A directory that cannot be removed costs no answer.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Directory {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The evaluation is over, with an answer or without: keeps the directory or not.
    pub(super) fn is_over(&mut self, keep: Keep, answered: bool) {
        self.stays = match keep {
            Keep::Always => true,
            Keep::Never => false,
            Keep::Failed => !answered,
        };
    }
}

impl DriverSettings {
    /// Makes the next directory and fills it for a point, given as the line of CSV that other programs get.
    ///
    /// # Errors
    /// What the system refused, in words.
    pub(super) fn prepare(&self, inputs: &Inputs, outputs: &[String], line: &str) -> Result<Directory, String> {
        let at = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        let (directory, number) = self.next().map_err(|error| at(&self.place, error))?;
        let values = cells(line, Separator::Comma);
        let parameters = parameters::text(self.format, inputs, outputs, &values, number);
        let path = directory.path.join(&self.parameters_file);
        fs::write(&path, parameters).map_err(|error| at(&path, error))?;
        for template in self.templates.iter() {
            let path = directory.path.join(&template.name);
            fs::write(&path, template.filled(&values)).map_err(|error| at(&path, error))?;
        }
        for beside in &self.link {
            link(&beside.from, &directory.path.join(&beside.name)).map_err(|error| at(&beside.from, error))?;
        }
        for beside in &self.copy {
            copy(&beside.from, &directory.path.join(&beside.name)).map_err(|error| at(&beside.from, error))?;
        }
        Ok(directory)
    }

    /// `eval.1`, `eval.2`, …: the first that nothing is called. Processes may share the folder.
    fn next(&self) -> io::Result<(Directory, u64)> {
        fs::create_dir_all(&self.place)?;
        // A program may change its folder.
        let place = std::path::absolute(&self.place)?;
        let number = |name: &std::ffi::OsStr| name.to_str()?.strip_prefix("eval.")?.parse::<u64>().ok();
        let taken = fs::read_dir(&place)?.filter_map(|entry| number(&entry.ok()?.file_name()));
        let mut next = taken.max().unwrap_or(0) + 1;
        loop {
            let path = place.join(format!("eval.{next}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok((Directory { path, stays: false }, next)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => next += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    copy(from, to)
}

/// Copies a file, or a folder with all that is in it. What links lead to is copied, not the links.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{Dimension, Scale};

    fn settings(place: &Path) -> DriverSettings {
        DriverSettings {
            format: Format::Standard,
            parameters_file: "params.in".into(),
            results_file: "results.out".into(),
            templates: Arc::default(),
            link: Vec::new(),
            copy: Vec::new(),
            keep: Keep::Failed,
            place: place.to_owned(),
            is_placed: false,
        }
    }

    #[test]
    fn a_directory_holds_what_its_evaluation_needs_and_goes() {
        let root = tempfile::tempdir().unwrap();
        let beside = root.path().join("tables");
        fs::create_dir_all(beside.join("deep")).unwrap();
        fs::write(beside.join("deep/t"), "7").unwrap();
        let of = |name: &str| Beside { from: beside.clone(), name: name.into() };
        let column = Dimension::Continuous { low: 0.0, high: 9.0, scale: Scale::Linear };
        let inputs = Inputs::new(vec![("a".into(), vec![], column)]).unwrap();
        let template = Template::parse("deck", "a = {a}\n", inputs.names()).unwrap();
        let place = root.path().join("evaluations");
        let settings = DriverSettings {
            templates: Arc::new(vec![template]),
            link: vec![of("linked")],
            copy: vec![of("copied")],
            ..settings(&place)
        };
        let mut first = settings.prepare(&inputs, &["y".into()], "2.5\n").unwrap();
        let second = settings.prepare(&inputs, &["y".into()], "3\n").unwrap();
        assert!(first.path().ends_with("eval.1") && second.path().ends_with("eval.2"));
        let read = |path: &str| fs::read_to_string(first.path().join(path)).unwrap();
        assert!(read("params.in").contains("2.5 a\n"), "{}", read("params.in"));
        assert_eq!(
            (read("deck"), read("linked/deep/t"), read("copied/deep/t")),
            ("a = 2.5\n".into(), "7".into(), "7".into())
        );
        fs::write(first.path().join("copied/deep/t"), "8").unwrap();
        let paths = [first.path().to_owned(), second.path().to_owned()];
        first.is_over(Keep::Failed, false);
        drop((first, second));
        assert!(paths[0].exists() && !paths[1].exists());
        assert_eq!(fs::read_to_string(beside.join("deep/t")).unwrap(), "7", "what is beside it stays as it was");
        let third = settings.prepare(&inputs, &["y".into()], "3\n").unwrap();
        assert!(third.path().ends_with("eval.2"));
    }
}
