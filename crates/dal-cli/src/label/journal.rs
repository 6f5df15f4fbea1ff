//! The file that labels are kept in: what it holds is checked and not asked for again, what comes is appended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use dal_core::{Stop, every};
use dal_oracles::Problem;
use ndarray::Axis;

use super::lines::{cells, header, line_of};
use super::points::Points;
use crate::data::TextTable;

/// Labels of an earlier call that are compared with the problem's.
const COMPARED: usize = 32;

/// A file of points with their labels in the order in which they came, written through at once.
pub(super) struct Journal<'a> {
    file: File,
    shown: String,
    n_outputs: usize,
    table: &'a TextTable,
    points: &'a Points,
    pub(super) known: Vec<bool>,
    /// The first rows that the file holds, and their labels.
    earlier: Vec<(usize, Vec<f64>)>,
}

impl<'a> Journal<'a> {
    pub(super) fn open(path: &Path, table: &'a TextTable, points: &'a Points, n_outputs: usize) -> Result<Self> {
        let shown = path.display().to_string();
        let names = points.names.iter().map(String::as_str);
        let head = [line_of("row", names)?, header(n_outputs)].join(",");
        if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            bail!("{shown}: is no regular file, so labels cannot be found again in it; name another with --out");
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("{shown}: cannot be written"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{shown}: another process is writing it; wait until it ends"),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("{shown}: cannot be locked")),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("{shown}: cannot be read"))?;
        // A line without its end was being written when the program was stopped: it is written anew.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let first = text.lines().next().unwrap_or_default();
        if first != head && (whole > 0 || !head.starts_with(first)) {
            bail!("{shown}: begins with {first:?}, not with {head:?}; name another file with --out");
        }
        let mut known = vec![false; table.rows.len()];
        let mut earlier = Vec::new();
        for (at, line) in (1..).zip(text[..whole].lines()).skip(1) {
            let row = line.split(',').next().and_then(|cell| cell.parse::<usize>().ok());
            let row = row.filter(|row| *row < known.len());
            let begins = row.map(|row| point_line(table, points, row)).transpose()?;
            let labels = begins.as_ref().and_then(|begins| line.strip_prefix(begins)?.strip_prefix(','));
            let (Some(row), Some(labels)) = (row, labels) else {
                bail!(
                    "{shown}, line {at}: {line:?} belongs to no row of the input{}; name another file with --out",
                    begins.map_or(String::new(), |begins| format!(", whose row begins with {begins:?}"))
                )
            };
            let values: Option<Vec<f64>> =
                labels.split(',').map(|cell| cell.parse().ok().filter(|value: &f64| value.is_finite())).collect();
            let Some(values) = values.filter(|values| values.len() == n_outputs) else {
                bail!(
                    "{shown}, line {at}: {labels:?} is no label of row {row}, which has {n_outputs} finite numbers; take the line out, \
                     and the row is asked for again, or name another file with --out"
                )
            };
            if std::mem::replace(&mut known[row], true) {
                bail!("{shown}, line {at}: a second label of row {row}; take out the wrong one");
            }
            if earlier.len() < COMPARED {
                earlier.push((row, values));
            }
        }
        let mut begin = || -> io::Result<()> {
            file.set_len(whole as u64)?;
            if whole == 0 {
                writeln!(file, "{head}")?;
            }
            Ok(())
        };
        begin().with_context(|| format!("{shown}: cannot be written"))?;
        Ok(Self { file, shown, n_outputs, table, points, known, earlier })
    }

    /// Compares labels that the file holds with what a built-in problem says of their rows today; a user's program is not
    /// called for it.
    pub(super) fn check(&self, problem: &Problem) -> Result<()> {
        if self.earlier.is_empty() || problem.card().is_none() {
            return Ok(());
        }
        let rows: Vec<usize> = self.earlier.iter().map(|(row, _)| *row).collect();
        let mut today = vec![None; rows.len()];
        let batch = self.points.x.select(Axis(0), &rows);
        let mut keep = every(|k, answer| today[k] = answer.ok().map(<[f64]>::to_vec));
        problem.oracle().label(batch.view(), &Stop::new(), &mut keep)?;
        drop(keep);
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
        for ((row, earlier), today) in self.earlier.iter().zip(today) {
            if !today.as_ref().is_some_and(|today| today.iter().zip(earlier).all(|(&a, &b)| close(a, b))) {
                bail!(
                    "{}: its label of row {row} is {}, but `{}` says {}: the file is another problem's, or was made with \
                     other settings; name another with --out",
                    self.shown,
                    cells(Some(earlier), self.n_outputs),
                    problem.variant_id(),
                    today.map_or("that it has none".into(), |today| cells(Some(&today), self.n_outputs))
                );
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        // A failed row is left out, so that the next call asks for it again.
        if label.is_some() {
            let point = point_line(self.table, self.points, row)?;
            let line = format!("{point},{}\n", cells(label, self.n_outputs));
            self.file.write_all(line.as_bytes()).with_context(|| format!("{}: cannot be written", self.shown))?;
        }
        Ok(())
    }
}

/// What a row's line begins with: its number and its point, as the input has it.
fn point_line(table: &TextTable, points: &Points, row: usize) -> Result<String> {
    let cells = &table.rows[row].1;
    line_of(&row.to_string(), points.places.iter().map(|&place| cells[place].as_str()))
}
