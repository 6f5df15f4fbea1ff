//! Tables for a terminal, and the same rows as JSON or CSV for a machine.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

/// `println!` whose failure is an error to return: the reader of our output may go away.
macro_rules! outln {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($arg)*)?
    }};
}
pub(crate) use outln;

/// Prints text as it is.
///
/// # Errors
/// Standard output cannot be written.
pub fn out(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// `eprintln!` for a program that outlives its terminal: what cannot be said is dropped, and the work goes on.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}
pub(crate) use say;

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for a person.
    #[default]
    Table,
    /// An array of objects; one object where one thing is shown (a card, a search).
    Json,
    /// Comma-separated, with a header.
    Csv,
}

/// Rows of values under named columns.
pub struct Rows {
    /// Column names, as JSON keys and CSV header.
    pub columns: Vec<&'static str>,
    /// One value per column and row.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Prints to standard output.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self, format: Format) -> Result<()> {
        let mut out = io::stdout().lock();
        match format {
            Format::Table => writeln!(out, "{}", self.table())?,
            Format::Json => {
                let objects: Vec<Value> = self
                    .rows
                    .iter()
                    .map(|row| self.columns.iter().map(|c| (*c).to_owned()).zip(row.iter().cloned()).collect())
                    .collect();
                writeln!(out, "{}", serde_json::to_string_pretty(&objects)?)?;
            }
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(&mut out);
                writer.write_record(&self.columns)?;
                for row in &self.rows {
                    writer.write_record(row.iter().map(plain))?;
                }
                writer.flush()?;
            }
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(self.columns.iter().map(|c| c.replace('_', " ")));
        for row in &self.rows {
            table.add_row(row.iter().map(plain));
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.rows.iter().all(|row| row.get(i).is_some_and(|v| v.is_number() || v.is_null())) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if io::stdout().is_terminal() {
            let (_, width) = console::Term::stdout().size();
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Writes a file whole or not at all; what is no plain file (a pipe, `/dev/stdout`) is written to as it is.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return fs::write(path, bytes);
    }
    // Where the name is a link, the file that it leads to is written, beside which there is room to rename.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = temporary(&path);
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| {
        // It may not be there.
        let _ = fs::remove_file(&temporary);
    })
}

/// Beside a file, so that it can take its place at once.
pub fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// An error with its causes, each said once: many messages of libraries hold their cause already.
pub fn in_words(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| match cause.to_string() {
        cause if said.is_empty() => cause,
        cause if said.contains(&cause) => said,
        cause => format!("{said}: {cause}"),
    })
}

/// Whether the reader of our output went away, as `head` does: no error to tell anyone about.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let csv = cause.downcast_ref::<csv::Error>().and_then(|e| match e.kind() {
            csv::ErrorKind::Io(e) => Some(e.kind()),
            _ => None,
        });
        io.or(csv) == Some(io::ErrorKind::BrokenPipe)
    })
}

/// A text, such as a path, as one word of a shell.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("no such file").context("a.toml: cannot be read: no such file").context("sweep");
        assert_eq!(in_words(&error), "sweep: a.toml: cannot be read: no such file");
        assert_eq!(in_words(&anyhow!("gone").context("cannot read")), "cannot read: gone");
    }
}
