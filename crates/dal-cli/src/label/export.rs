//! The file of `--out`: a table of the rows that were answered, renewed while labels arrive and whole at every time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use dal_core::LabelFailure;
use dal_files::Points;
use dal_files::write::{Out, record};

use super::lines::{Answer, cells};
use crate::output::{temporary, write_whole};

/// How often the file is renewed while labels arrive.
const EVERY: Duration = Duration::from_secs(5);

/// A table of points with their labels, or with why they have none, in the order of the input.
pub(super) struct Export<'a> {
    path: PathBuf,
    head: String,
    n_outputs: usize,
    points: &'a Points,
    answers: Vec<Option<Result<Vec<f64>, LabelFailure>>>,
    /// When the file was last written.
    written: Instant,
    is_behind: bool,
}

impl<'a> Export<'a> {
    /// For labels of these points; the file is there afterwards, or the reason why it cannot be is an error.
    pub(super) fn start(path: &Path, head: String, points: &'a Points, n_outputs: usize) -> Result<Self> {
        let shown = path.display();
        check_regular(path)?;
        // Through a link, whose target is replaced and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let answers = vec![None; points.x.nrows()];
        let export = Self { path, head, n_outputs, points, answers, written: Instant::now(), is_behind: true };
        fs::write(temporary(&export.path), "").with_context(|| format!("{shown}: cannot be written"))?;
        Ok(export)
    }

    /// A row's label, or why it has none.
    pub(super) fn write(&mut self, row: usize, answer: Answer<'_>) -> Result<()> {
        self.answers[row] = Some(answer.map(<[f64]>::to_vec).map_err(LabelFailure::clone));
        self.is_behind = true;
        if self.written.elapsed() >= EVERY { self.renew() } else { Ok(()) }
    }

    /// Writes what has arrived.
    pub(super) fn renew(&mut self) -> Result<()> {
        if !self.is_behind {
            return Ok(());
        }
        let mut text = self.head.clone();
        for (row, answer) in self.answers.iter().enumerate() {
            let Some(answer) = answer else { continue };
            let point: Vec<_> = self.points.places.iter().map(|&at| self.points.table.cell(row, at)).collect();
            let row = Out::Whole(i64::try_from(row)?);
            let point = point.iter().map(|cell| Out::Text(cell));
            // One row is one line: a program's words may be several.
            let words = answer.as_ref().err().map(|failure| failure.to_string().replace(['\r', '\n'], " "));
            let failure = words.as_deref().map_or(Out::Empty, Out::Text);
            let outputs = cells(answer.as_deref(), self.n_outputs);
            text += &record([row].into_iter().chain(point).chain(outputs).chain([failure]));
        }
        write_whole(&self.path, text.as_bytes())
            .with_context(|| format!("{}: cannot be written", self.path.display()))?;
        (self.written, self.is_behind) = (Instant::now(), false);
        Ok(())
    }
}

/// Refuses what an export cannot take the place of.
pub(super) fn check_regular(path: &Path) -> Result<()> {
    if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        bail!("{}: is no regular file; leave --out away to get labels on standard output", path.display());
    }
    Ok(())
}

impl Drop for Export<'_> {
    fn drop(&mut self) {
        // Of an export that came to no end; it may not be there.
        let _ = fs::remove_file(temporary(&self.path));
    }
}
