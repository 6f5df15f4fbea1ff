//! Where labels go: standard output, in the order of the input or as they come, or a file that is renewed.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use dal_files::write::{Out, record};

use super::export::Export;
use super::lines::{Answer, cells, line};

/// Labels that come slower than this are printed one by one.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

pub(super) enum Sink<'a> {
    Stdout(Stdout),
    File(Export<'a>),
}

impl Sink<'_> {
    pub(super) fn write(&mut self, row: usize, answer: Answer<'_>) -> Result<()> {
        match self {
            Self::Stdout(sink) => sink.write(row, answer),
            Self::File(sink) => sink.write(row, answer),
        }
    }

    /// Writes what is still held back.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Stdout(sink) => Ok(sink.out.flush()?),
            Self::File(export) => export.renew(),
        }
    }
}

/// Standard output. In the order of the input a line is printed as soon as all before it are; as they come each is
/// printed behind the number of its row.
pub(super) struct Stdout {
    out: BufWriter<io::StdoutLock<'static>>,
    /// When a line was last forced out: lines that come slowly must not wait for others to fill the buffer.
    flushed: Instant,
    n_outputs: usize,
    as_they_come: bool,
    next: usize,
    waiting: BTreeMap<usize, String>,
}

impl Stdout {
    pub(super) fn start(outputs: &[String], as_they_come: bool) -> Result<Self> {
        let mut out = BufWriter::new(io::stdout().lock());
        let row = as_they_come.then_some(Out::Text("row"));
        out.write_all(record(row.into_iter().chain(outputs.iter().map(|name| Out::Text(name)))).as_bytes())?;
        let n_outputs = outputs.len();
        Ok(Self { out, flushed: Instant::now(), n_outputs, as_they_come, next: 0, waiting: BTreeMap::new() })
    }

    fn write(&mut self, row: usize, answer: Answer<'_>) -> Result<()> {
        if self.as_they_come {
            let number = i64::try_from(row)?;
            let line = record([Out::Whole(number)].into_iter().chain(cells(answer, self.n_outputs)));
            self.out.write_all(line.as_bytes())?;
        } else {
            self.waiting.insert(row, line(answer, self.n_outputs));
            while let Some(line) = self.waiting.remove(&self.next) {
                self.out.write_all(line.as_bytes())?;
                self.next += 1;
            }
        }
        if self.flushed.elapsed() > FLUSH_EVERY {
            self.out.flush()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }
}
