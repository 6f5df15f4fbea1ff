//! The file of `--out`: a table of the rows that were answered, renewed while labels arrive and whole at every time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use dal_core::LabelFailure;
use dal_files::Points;
use dal_files::write::{Out, record};

use super::lines::{Answer, cells};

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
        // Through a link, whose target is replaced and not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&path).is_ok_and(|data| !data.is_file()) {
            bail!("{shown}: is no regular file; leave --out away to get labels on standard output");
        }
        let answers = vec![None; points.x.nrows()];
        let export = Self { path, head, n_outputs, points, answers, written: Instant::now(), is_behind: true };
        fs::write(export.temporary(), "").with_context(|| format!("{shown}: cannot be written"))?;
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
        let temporary = self.temporary();
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .with_context(|| format!("{}: cannot be written", self.path.display()))?;
        (self.written, self.is_behind) = (Instant::now(), false);
        Ok(())
    }

    fn temporary(&self) -> PathBuf {
        temporary(&self.path)
    }
}

/// Writes a file at once, in place of one that may be there.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> Result<()> {
    let shown = path.display();
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|data| !data.is_file()) {
        bail!("{shown}: is no regular file; leave --out away to get the answers on standard output");
    }
    let temporary = temporary(&path);
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("{shown}: cannot be written"))
}

/// Beside a file, so that it can take its place at once.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

impl Drop for Export<'_> {
    fn drop(&mut self) {
        // Of an export that came to no end; it may not be there.
        let _ = fs::remove_file(self.temporary());
    }
}
