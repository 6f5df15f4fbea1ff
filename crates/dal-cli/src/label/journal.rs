//! The file that labels are kept in: what it holds is checked and not asked for again, what comes is appended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dal_core::{Stop, every};
use dal_files::names::{canonical, places};
use dal_files::number::{Decimal, excerpt, is_no_value, number, short};
use dal_files::write::{Out, record};
use dal_files::{Dialect, Expect, Points, Source, Table};
use dal_oracles::Problem;
use ndarray::Axis;

use super::lines::{Answer, cells, in_a_cell, line};
use crate::output::say;

/// Labels of an earlier call that are compared with the problem's.
const COMPARED: usize = 32;

/// Numbers that differ by no more, relative to their size, are the same: spreadsheets save the digits that they show.
const SHOWN: f64 = 1e-5;

/// The column that says why a row has no label: the first of these that is no name of the problem.
const FAILURE: [&str; 3] = ["failure", "failure_reason", "failure_reason_"];

/// Names of the outputs in a file of labels.
pub(super) struct Outputs {
    /// The problem's own, or `y0`, `y1`, … where it has one name for all.
    pub(super) names: Vec<String>,
    /// `y0`, `y1`, …, as older versions wrote them.
    pub(super) numbered: Vec<String>,
}

/// A file of points with their labels, written through at once in the order in which they come, and brought into that of
/// the input at the end. Rows that failed stand there with the reason, until a later call finds their label.
pub(super) struct Journal<'a> {
    file: File,
    path: PathBuf,
    shown: String,
    n_outputs: usize,
    /// Whether failures have a column, and its name.
    failures: bool,
    failure: &'static str,
    as_they_come: bool,
    points: &'a Points,
    pub(super) known: Vec<bool>,
    /// The first rows that the file holds, and their labels.
    earlier: Vec<(usize, Vec<f64>)>,
}

/// What an earlier call left.
#[derive(Default)]
struct Earlier {
    labels: Vec<(usize, Vec<f64>)>,
    /// Rows without a label, with the reason.
    failures: Vec<(usize, String)>,
}

impl<'a> Journal<'a> {
    pub(super) fn open(path: &Path, points: &'a Points, outputs: &Outputs, as_they_come: bool) -> Result<Self> {
        let shown = path.display().to_string();
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
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("{shown}: cannot be read"))?;
        let mut journal = Self {
            file,
            path: path.to_owned(),
            shown,
            n_outputs: outputs.names.len(),
            failures: true,
            failure: FAILURE
                .into_iter()
                .find(|name| !points.names.iter().chain(&outputs.names).any(|other| other == name))
                .unwrap_or(FAILURE[0]),
            as_they_come,
            points,
            known: vec![false; points.table.n_rows()],
            earlier: Vec::new(),
        };
        journal
            .take_back(&bytes, outputs)
            .with_context(|| "this file of labels is not taken; name another with --out")?;
        Ok(journal)
    }

    /// The header of a file of labels.
    fn header(&self, outputs: &[String], failures: bool) -> Vec<String> {
        let failure = failures.then(|| self.failure.to_owned());
        ["row".to_owned()].into_iter().chain(self.points.names.iter().chain(outputs).cloned()).chain(failure).collect()
    }

    /// Reads what an earlier call, or a spreadsheet after it, left in the file.
    fn take_back(&mut self, bytes: &[u8], outputs: &Outputs) -> Result<()> {
        let head = self.header(&outputs.names, true);
        let head_line = line_of(&head);
        // A line without its end was being written when the program was stopped: it is written anew.
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        if whole == 0 {
            if !head_line.as_bytes().starts_with(bytes) {
                let begins = excerpt(&String::from_utf8_lossy(bytes));
                bail!("{}: begins with `{begins}`, not with `{}`", self.shown, head_line.trim_end());
            }
            return self.replace(0, &head_line);
        }
        // Every header that a version of this program wrote, with whether failures have a column.
        let own: Vec<(Vec<String>, bool)> = [&outputs.names, &outputs.numbered]
            .into_iter()
            .flat_map(|names| [true, false].map(|failures| (self.header(names, failures), failures)))
            .collect();
        let text = Source::from_bytes(self.shown.clone(), &bytes[..whole]).text()?;
        let first = text.lines().next().unwrap_or_default();
        let is_alone = text.lines().skip(1).all(|line| line.trim().is_empty());
        let same = |names: &[String], head: &[String]| {
            names.len() == head.len() && names.iter().zip(head).all(|(a, b)| places(std::slice::from_ref(a), b) == [0])
        };
        if is_alone {
            let found = |dialect: Dialect| {
                let cells = dal_files::cells(first, dialect.separator);
                own.iter().find(|(head, _)| same(&cells, head)).map(|(_, failures)| *failures)
            };
            if let Some(failures) = found(Dialect::default()) {
                self.failures = failures;
                return self.replace(whole as u64, "");
            }
            if !Dialect::ALL.into_iter().any(|dialect| found(dialect).is_some()) {
                bail!("{}: begins with `{}`, not with `{}`", self.shown, excerpt(first), head_line.trim_end());
            }
            return self.replace(0, &head_line);
        }
        let sets = [self.header(&outputs.names, false), self.header(&outputs.numbered, false)];
        let words: Vec<String> = self.points.names.clone();
        let expect = Expect::Named { sets: &sets, words: &words, bare: None };
        let (table, _) = dal_files::read(Source::from_bytes(self.shown.clone(), text.as_bytes()), &expect)?;
        let columns = table.find(&sets[0]).or_else(|error| table.find(&sets[1]).map_err(|_| error))?;
        let earlier = self.earlier(&table, &columns)?;
        let layout = own.iter().find(|(head, _)| table.header().is_some_and(|names| same(names, head)));
        match layout.filter(|_| table.dialect() == Dialect::default()) {
            Some((_, failures)) => {
                self.failures = *failures;
                self.replace(whole as u64, "")?;
            }
            None => self.write_anew(bytes, &earlier, &head_line)?,
        }
        self.earlier = earlier.labels.into_iter().take(COMPARED).collect();
        Ok(())
    }

    /// Keeps the first bytes of the file and puts this behind them.
    fn replace(&mut self, keep: u64, text: &str) -> Result<()> {
        let mut change = || -> io::Result<()> {
            self.file.set_len(keep)?;
            self.file.write_all(text.as_bytes())
        };
        change().with_context(|| format!("{}: cannot be written", self.shown))
    }

    /// Puts a file that another program saved into the form of this one; the other is kept beside it.
    fn write_anew(&mut self, bytes: &[u8], earlier: &Earlier, head: &str) -> Result<()> {
        let backup = (0..100).find_map(|n| {
            let end = if n == 0 { ".bak".to_owned() } else { format!(".bak{n}") };
            let mut name = self.path.clone().into_os_string();
            name.push(end);
            let path = PathBuf::from(name);
            OpenOptions::new().write(true).create_new(true).open(&path).ok().map(|file| (file, path))
        });
        let Some((mut file, path)) = backup else {
            bail!("{}: was saved by another program, and no copy of it can be written beside it", self.shown)
        };
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        let mut text = head.to_owned();
        for (row, label) in &earlier.labels {
            text += &self.line(*row, cells(Ok(label), self.n_outputs), "")?;
        }
        for (row, reason) in earlier.failures.iter().filter(|(row, _)| !self.known[*row]) {
            text += &self.line(*row, vec![Out::Empty; self.n_outputs], reason)?;
        }
        self.replace(0, &text)?;
        say!(
            "note: {}: was saved by another program and is written anew; {} is what it was",
            self.shown,
            path.display()
        );
        Ok(())
    }

    /// What the lines of the file say; each must belong to its row of the input.
    fn earlier(&mut self, table: &Table, columns: &[usize]) -> Result<Earlier> {
        let decimal = table.dialect().decimal;
        let (point, answer) = columns[1..].split_at(self.points.places.len());
        let failure = table.header().and_then(|header| places(header, self.failure).first().copied());
        let mut earlier = Earlier::default();
        for at in 0..table.n_rows() {
            let place = || format!("{}, {}", self.shown, table.at(at));
            let cell = table.cell(at, columns[0]);
            let row = number(&cell, decimal).ok().filter(|v| v.fract() == 0.0 && *v >= 0.0).map(|v| v as usize);
            let Some(row) = row.filter(|&row| row < self.known.len()) else {
                let n = self.known.len();
                bail!("{}: `{}` is none of the {n} rows of the input, 0 to {}", place(), excerpt(&cell), n - 1)
            };
            for ((&column, &place_of), name) in point.iter().zip(&self.points.places).zip(&self.points.names) {
                let (found, due) = (table.cell(at, column), self.points.table.cell(row, place_of));
                if !is_same(&found, decimal, &due, self.points.table.dialect().decimal) {
                    bail!(
                        "{}, column {name}: `{}` is not the point of row {row} of the input, which has `{}` there",
                        place(),
                        excerpt(&found),
                        excerpt(&due)
                    );
                }
            }
            let texts: Vec<_> = answer.iter().map(|&column| table.cell(at, column)).collect();
            if texts.iter().all(|text| is_no_value(text)) {
                let reason = failure.map_or_else(String::new, |column| table.cell(at, column).into_owned());
                earlier.failures.push((row, reason));
                continue;
            }
            let values: Result<Vec<f64>, _> = answer.iter().map(|&column| table.number(at, column)).collect();
            let values = values
                .context(format!("it is no label of row {row}; take the line out, and the row is asked for again"))?;
            if std::mem::replace(&mut self.known[row], true) {
                bail!("{}: a second label of row {row}; take out the wrong one", place());
            }
            earlier.labels.push((row, values));
        }
        Ok(earlier)
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
        let shown = |label: &[f64]| line(Ok(label), self.n_outputs).trim_end().to_owned();
        for ((row, earlier), today) in self.earlier.iter().zip(today) {
            if !today.as_ref().is_some_and(|today| today.iter().zip(earlier).all(|(&a, &b)| close(a, b))) {
                bail!(
                    "{}: its label of row {row} is {}, but `{}` says {}: the file is another problem's, or was made with \
                     other settings; name another with --out",
                    self.shown,
                    shown(earlier),
                    problem.variant_id(),
                    today.map_or("that it has none".into(), |today| shown(&today))
                );
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, row: usize, answer: Answer<'_>) -> Result<()> {
        let reason = answer.err().map_or_else(String::new, in_a_cell);
        if !reason.is_empty() && !self.failures {
            return Ok(());
        }
        let line = self.line(row, cells(answer, self.n_outputs), &reason)?;
        self.file.write_all(line.as_bytes()).with_context(|| format!("{}: cannot be written", self.shown))
    }

    /// A row's line: its number, its point as the input has it, its label, why there is none.
    fn line(&self, row: usize, answer: Vec<Out<'_>>, reason: &str) -> Result<String> {
        let from = &self.points.table;
        let decimal = from.dialect().decimal;
        let texts: Vec<String> = self
            .points
            .places
            .iter()
            .map(|&place| {
                let text = from.cell(row, place);
                // Decimal commas of the input would not be understood beside commas between cells.
                match number(&text, decimal) {
                    Ok(value) if decimal == Decimal::Comma => short(value),
                    _ => text.into_owned(),
                }
            })
            .collect();
        let point = texts.iter().map(|text| Out::Text(text));
        let failure = self.failures.then(|| if reason.is_empty() { Out::Empty } else { Out::Text(reason) });
        Ok(record([Out::Whole(i64::try_from(row)?)].into_iter().chain(point).chain(answer).chain(failure)))
    }

    /// Brings the lines into the order of the input; of rows that failed before they had a label the failure goes.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.as_they_come {
            return Ok(());
        }
        let text = std::fs::read_to_string(&self.path).with_context(|| format!("{}: cannot be read", self.shown))?;
        let Some(sorted) = sorted(&text, 1 + self.points.names.len(), self.n_outputs) else { return Ok(()) };
        if sorted == text {
            return Ok(());
        }
        let mut name = self.path.clone().into_os_string();
        name.push(".part");
        let part = PathBuf::from(name);
        let write = || -> io::Result<()> {
            let mut file = File::create(&part)?;
            file.write_all(sorted.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &self.path)
        };
        write().with_context(|| format!("{}: cannot be brought into order", self.shown))
    }
}

/// The lines below the first by their row, the last of a row alone where the ones before have no label. None where the
/// text is not of one line a row.
fn sorted(text: &str, first_output: usize, n_outputs: usize) -> Option<String> {
    let (head, rest) = text.split_once('\n')?;
    let mut rows: Vec<(usize, bool, &str)> = Vec::new();
    for line in rest.lines() {
        let cells = dal_files::cells(line, Dialect::default().separator);
        let row = cells.first()?.parse().ok()?;
        let has_label = !cells.get(first_output..first_output + n_outputs)?.iter().all(String::is_empty);
        rows.push((row, has_label, line));
    }
    rows.sort_by_key(|(row, has_label, _)| (*row, *has_label));
    let last = |at: usize| rows.get(at + 1).is_none_or(|next| next.0 != rows[at].0);
    let kept = (0..rows.len()).filter(|&at| rows[at].1 || last(at)).map(|at| rows[at].2);
    Some([head].into_iter().chain(kept).map(|line| format!("{line}\n")).collect())
}

fn line_of(names: &[String]) -> String {
    record(names.iter().map(|name| Out::Text(name)))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= SHOWN * a.abs().max(b.abs()).max(f64::MIN_POSITIVE)
}

/// Whether two cells say the same: the same number but for digits that a spreadsheet does not show, or the same text.
fn is_same(a: &str, a_decimal: Decimal, b: &str, b_decimal: Decimal) -> bool {
    match (number(a, a_decimal), number(b, b_decimal)) {
        (Ok(a), Ok(b)) => close(a, b),
        _ => places(&[canonical(a)], b) == [0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_into_the_order_of_the_input_and_failures_give_way_to_labels() {
        let text = "row,a,y,failure\n2,x,1.0,\n0,\"a, b\",,crashed: no\n1,z,,lost\n0,\"a, b\",3.0,\n1,z,,lost again\n";
        let due = "row,a,y,failure\n0,\"a, b\",3.0,\n1,z,,lost again\n2,x,1.0,\n";
        assert_eq!(sorted(text, 2, 1).unwrap(), due);
        assert_eq!(sorted(due, 2, 1).unwrap(), due);
        assert!(sorted("row,y\nnotes\n", 1, 1).is_none());
    }

    #[test]
    fn numbers_that_a_spreadsheet_shortened_are_the_same() {
        let same = |a: &str, b: &str| is_same(a, Decimal::Comma, b, Decimal::Point);
        assert!(same("0,123456789", "0.123456789012345") && same("1,23457E-05", "1.2345678e-5") && same("5", "5.0"));
        assert!(same("Stro\u{308}mung", "Str\u{f6}mung") && same("-0", "0"));
        assert!(!same("0,25", "0.2") && !same("steel", "wood") && !same("steel", "1"));
    }
}
