//! Where labels go: standard output in input order, or a file.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::export::Export;
use super::lines::{cells, header};

/// Labels that come slower than this are printed one by one.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

pub(super) enum Sink<'a> {
    Stdout(InOrder),
    File(Export<'a>),
}

impl Sink<'_> {
    pub(super) fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        match self {
            Self::Stdout(sink) => sink.write(row, label),
            Self::File(sink) => sink.write(row, label),
        }
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Stdout(sink) => Ok(sink.out.flush()?),
            Self::File(export) => export.renew(),
        }
    }
}

/// Standard output in input order: a line is printed as soon as all before it are.
pub(super) struct InOrder {
    out: BufWriter<io::StdoutLock<'static>>,
    /// When a line was last forced out: lines that come slowly must not wait for others to fill the buffer.
    flushed: Instant,
    n_outputs: usize,
    next: usize,
    waiting: BTreeMap<usize, String>,
}

impl InOrder {
    pub(super) fn start(n_outputs: usize) -> Result<Self> {
        let mut out = BufWriter::new(io::stdout().lock());
        writeln!(out, "{}", header(n_outputs))?;
        Ok(Self { out, flushed: Instant::now(), n_outputs, next: 0, waiting: BTreeMap::new() })
    }

    fn write(&mut self, row: usize, label: Option<&[f64]>) -> Result<()> {
        self.waiting.insert(row, cells(label, self.n_outputs));
        while let Some(line) = self.waiting.remove(&self.next) {
            writeln!(self.out, "{line}")?;
            self.next += 1;
        }
        if self.flushed.elapsed() > FLUSH_EVERY {
            self.out.flush()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }
}
