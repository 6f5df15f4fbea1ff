//! What was handed to Slurm: a line per array, beside the list that it works through.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use dal_bench::WorkList;
use serde::{Deserialize, Serialize};

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
    /// Every list of a store, by name.
    pub fn all(work: &Path) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(work) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.with_context(|| work.display().to_string())?,
        };
        for entry in entries {
            let folder = entry.with_context(|| work.display().to_string())?.path();
            let path = folder.join(LIST);
            if path.is_file() {
                found.push(Self { list: WorkList::read(&path)?, folder });
            }
        }
        found.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(found)
    }

    /// Arrays that were submitted for it. A line that was cut short is passed over: its tasks are open.
    pub fn submitted(&self) -> Result<Vec<Submitted>> {
        let path = self.folder.join(JOBS);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            text => {
                let text = text.with_context(|| path.display().to_string())?;
                Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
            }
        }
    }

    /// Keeps what was submitted.
    pub fn add(&self, submitted: &Submitted) -> Result<()> {
        let path = self.folder.join(JOBS);
        let line = serde_json::to_string(submitted)? + "\n";
        let mut file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        written.and_then(|file| file.write_all(line.as_bytes())).with_context(|| path.display().to_string())
    }

    /// Keeps the options that arrays are submitted with.
    pub fn keep_options(&self, options: &[String]) -> Result<()> {
        let path = self.folder.join(OPTIONS);
        fs::write(&path, serde_json::to_string(options)? + "\n").with_context(|| path.display().to_string())
    }

    /// The options that arrays are submitted with; none where it was not handed to Slurm.
    pub fn options(&self) -> Result<Option<Vec<String>>> {
        let path = self.folder.join(OPTIONS);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => Ok(Some(serde_json::from_str(&text?).with_context(|| path.display().to_string())?)),
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
}
