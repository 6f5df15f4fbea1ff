//! What was handed to Slurm: a line per array, beside the list that it works through.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use dal_bench::WorkList;
use serde::{Deserialize, Serialize};

use crate::output::{say, write_whole};

/// Name of the list in its folder.
pub const LIST: &str = "list.json";
const JOBS: &str = "jobs.jsonl";
const OPTIONS: &str = "options.json";

/// One array that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Slurm's id of the array.
    pub job: String,
    /// The task of the list that the array's index 0 stands for.
    pub first: usize,
    /// The array's indices.
    pub indices: Vec<usize>,
}

impl Submitted {
    /// The tasks of the list with Slurm's ids.
    pub fn tasks(&self) -> impl Iterator<Item = (usize, String)> {
        self.indices.iter().map(|index| (self.first + index, format!("{}_{index}", self.job)))
    }
}

/// The folder of one list.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The folder.
    pub folder: PathBuf,
    /// The list.
    pub list: WorkList,
}

impl Handed {
    /// Every list of a store, by name; of one that cannot be read the error.
    pub fn all(work: &Path) -> Result<Vec<Result<Self>>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(work) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| work.display().to_string())?,
        };
        for entry in entries {
            let folder = entry.with_context(|| work.display().to_string())?.path();
            let path = folder.join(LIST);
            if path.is_file() {
                found.push((folder, path));
            }
        }
        found.sort();
        let read =
            |(folder, path): (PathBuf, PathBuf)| -> Result<Self> { Ok(Self { list: WorkList::read(&path)?, folder }) };
        Ok(found.into_iter().map(read).collect())
    }

    /// Every list that can be read; of the others it is said why not, and `complaints` counted.
    pub fn readable(work: &Path, complaints: &mut usize) -> Result<Vec<Self>> {
        let readable = |handed: Result<Self>| match handed {
            Ok(handed) => Some(handed),
            Err(error) => {
                say!("{error:#}");
                *complaints += 1;
                None
            }
        };
        Ok(Self::all(work)?.into_iter().filter_map(readable).collect())
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether Slurm has started a task, by its id and the logs; where the user's options put logs elsewhere all are
    /// taken to have been.
    pub fn started(&self) -> impl Fn(&str) -> bool + use<> {
        let says_where = |option: &&String| option.starts_with("--output=");
        let is_elsewhere = self.options().ok().flatten().is_some_and(|all| all.iter().filter(says_where).count() > 1);
        let logs = fs::read_dir(self.folder.join("logs")).into_iter().flatten().flatten();
        let logs: BTreeSet<String> = logs.map(|log| log.file_name().to_string_lossy().into_owned()).collect();
        move |id| is_elsewhere || logs.contains(&format!("{id}.log"))
    }

    /// Arrays that were submitted for it. A line that was cut short is passed over: its tasks are open.
    pub fn submitted(&self) -> Result<Vec<Submitted>> {
        let path = self.folder.join(JOBS);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            text => {
                let remedy = "where it cannot be mended, remove the file: open tasks are then handed on once more";
                let text = text.with_context(|| format!("{}: {remedy}", path.display()))?;
                Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
            }
        }
    }

    /// Keeps what was submitted.
    pub fn add(&self, submitted: &Submitted) -> Result<()> {
        let path = self.folder.join(JOBS);
        let line = serde_json::to_string(submitted)? + "\n";
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).with_context(|| path.display().to_string())
    }

    /// Keeps the options that arrays are submitted with.
    pub fn keep_options(&self, options: &[String]) -> Result<()> {
        let path = self.folder.join(OPTIONS);
        let text = serde_json::to_string(options)? + "\n";
        write_whole(&path, text.as_bytes()).with_context(|| path.display().to_string())
    }

    /// The options that arrays are submitted with; none where it was not handed to Slurm.
    pub fn options(&self) -> Result<Option<Vec<String>>> {
        let path = self.folder.join(OPTIONS);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => {
                let remedy = "the options that tasks are submitted with are lost; submit the sweep again";
                let read = text.map_err(anyhow::Error::from).and_then(|text| Ok(serde_json::from_str(&text)?));
                Ok(Some(read.with_context(|| format!("{}: {remedy}", path.display()))?))
            }
        }
    }
}

/// Whole numbers in ascending order as Slurm takes them: `0-3,7,9-10`.
pub fn ranges(indices: &[usize]) -> String {
    let runs = indices.chunk_by(|a, b| a + 1 == *b);
    let words = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    words.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(ranges(&[5]), "5");
        let submitted = Submitted { job: "12".into(), first: 1000, indices: vec![0, 4] };
        assert_eq!(submitted.tasks().collect::<Vec<_>>(), [(1000, "12_0".to_owned()), (1004, "12_4".to_owned())]);
    }

    #[test]
    fn only_tasks_with_logs_were_started_and_bad_lists_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let sweep = dal_bench::Sweep::parse("name = \"x\"\nseeds = 1\n", "x.toml").unwrap();
        let list = WorkList::new(&sweep, "store".into(), Vec::new());
        for (name, text) in [("0001", list.to_json().unwrap()), ("0002", "{".into())] {
            fs::create_dir_all(dir.path().join(name).join("logs")).unwrap();
            fs::write(dir.path().join(name).join(LIST), text).unwrap();
        }
        let mut complaints = 0;
        let [handed] = &Handed::readable(dir.path(), &mut complaints).unwrap()[..] else { panic!("one can be read") };
        assert_eq!((complaints, handed.name().as_str()), (1, "0001"));
        fs::write(handed.folder.join("logs/7_1.log"), "").unwrap();
        handed.keep_options(&["--output=a/%A_%a.log".into()]).unwrap();
        assert!(handed.started()("7_1") && !handed.started()("7_2"));
        handed.keep_options(&["--output=a/%A_%a.log".into(), "--output=mine".into()]).unwrap();
        assert!(handed.started()("7_2"));
        fs::write(handed.folder.join(OPTIONS), "").unwrap();
        let error = format!("{:#}", handed.options().unwrap_err());
        assert!(error.contains("options.json") && error.contains("submit the sweep again"), "{error}");
        fs::write(handed.folder.join(JOBS), b"\xff").unwrap();
        assert!(format!("{:#}", handed.submitted().unwrap_err()).contains("remove the file"));
    }
}
