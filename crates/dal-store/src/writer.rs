//! One run being written: answers and records go to its journal as they come, the final files appear at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dal_core::LabelFailure;
use ndarray::{Array2, ArrayView2};
use ndarray_npy::WriteNpyExt;

use crate::atomic;
use crate::canonical::canonical_json;
use crate::error::StoreError;
use crate::journal::{Checkpoint, Frame, Journal};
use crate::record::{EntryRecord, EntryTiming, Failure, FileSeal, Footer, Provenance, TestLabels};
use crate::run::{FOOTER, JOURNAL, LABELS, PROVENANCE, QUERIES, RECORDS, Run, SPEC, TIMING};
use crate::spec::{RunKey, hash};

/// One run being written.
///
/// Hand it the initial batch's points ([`batch`](Self::batch) 0), each answer as it comes, then per entry the record
/// and the next batch's points, in that order; end with [`finish`](Self::finish) or [`fail`](Self::fail). Dropping it
/// leaves a checkpoint.
#[derive(Debug)]
pub struct RunWriter {
    dir: PathBuf,
    key: RunKey,
    journal: Journal,
    state: Checkpoint,
    keeps_labels: bool,
    test_labels: Option<TestLabels>,
}

impl RunWriter {
    /// Opens the checkpoint in a directory that holds the run's `spec.json` already.
    pub(crate) fn open(dir: PathBuf, key: RunKey) -> Result<Self, StoreError> {
        let (mut journal, mut state) = Journal::open(dir.join(JOURNAL), &key.to_json())?;
        if !state.batches.is_empty() {
            journal.append(&Frame::Resumed)?;
            state.resumed += 1;
        }
        Ok(Self { dir, key, journal, state, keeps_labels: false, test_labels: None })
    }

    /// What is known so far: what was found when the run was taken up, and what came since.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.state
    }

    /// The run's key.
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// The run's directory.
    pub fn directory(&self) -> &Path {
        &self.dir
    }

    fn add(&mut self, frame: Frame) -> Result<(), StoreError> {
        self.state.apply(&frame).map_err(|reason| StoreError::OutOfOrder { path: self.dir.clone(), reason })?;
        self.journal.append(&frame)
    }

    /// These points are asked for: batch 0 is the initial set, batch t + 1 what was chosen at entry t.
    ///
    /// A batch that is known with the same points keeps its answers.
    ///
    /// # Errors
    /// A batch out of order; a disk that refuses.
    pub fn batch(
        &mut self,
        index: usize,
        x: ArrayView2<'_, f64>,
        candidate_rows: Option<&[usize]>,
    ) -> Result<(), StoreError> {
        let candidate_rows = candidate_rows.map(<[usize]>::to_vec);
        self.add(Frame::Batch { index, x: x.to_owned(), candidate_rows })
    }

    /// One row of a batch was answered.
    ///
    /// # Errors
    /// A row that was not asked for; a disk that refuses.
    pub fn answer(
        &mut self,
        batch: usize,
        row: usize,
        answer: Result<&[f64], &LabelFailure>,
    ) -> Result<(), StoreError> {
        let answer = answer.map(<[f64]>::to_vec).map_err(Clone::clone);
        let known = self.state.batches.get(batch).and_then(|b| b.answers.get(row)).and_then(Option::as_ref);
        if known == Some(&answer) {
            return Ok(());
        }
        self.add(Frame::Answer { batch, row, answer })
    }

    /// An entry is evaluated, and its queries are chosen unless it is the last.
    ///
    /// # Errors
    /// An entry out of order, a value that is not finite, a disk that refuses.
    pub fn entry(&mut self, record: EntryRecord, timing: Option<EntryTiming>) -> Result<(), StoreError> {
        for (what, value) in record.numbers() {
            if !value.is_finite() {
                return Err(StoreError::NonFinite { path: self.dir.clone(), what, value });
            }
        }
        if let Some(timing) = timing {
            self.add(Frame::Timing(timing))?;
        }
        self.add(Frame::Record(Box::new(record)))
    }

    /// Every answer is kept with its point when the run is over, in `labels.npy`: for oracles whose answers cost
    /// something.
    pub fn keep_labels(&mut self) {
        self.keeps_labels = true;
    }

    /// What the run's errors are held against: kept in its footer.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn set_test_labels(&mut self, labels: TestLabels) -> Result<(), StoreError> {
        if let Some(value) = labels.sd.iter().copied().chain([labels.variance]).find(|value| !value.is_finite()) {
            return Err(StoreError::NonFinite { path: self.dir.clone(), what: "spread of the test labels", value });
        }
        self.test_labels = Some(labels);
        Ok(())
    }

    /// The run is complete: writes its files and removes the checkpoint.
    ///
    /// # Errors
    /// A disk that refuses; the checkpoint then stands and the run can be finished later.
    pub fn finish(self, provenance: &Provenance) -> Result<Run, StoreError> {
        self.close(None, provenance)
    }

    /// The run cannot go on: writes what there is with the reason. The checkpoint stays, because it may hold costly
    /// answers.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn fail(self, failure: Failure, provenance: &Provenance) -> Result<Run, StoreError> {
        self.close(Some(failure), provenance)
    }

    fn close(mut self, failure: Option<Failure>, provenance: &Provenance) -> Result<Run, StoreError> {
        let keep_checkpoint = failure.is_some();
        let records = lines(&self.state.records);
        let queries = npy(&self.state.queries(), &self.dir)?;
        let labels = if self.keeps_labels { Some(npy(&self.state.labels(), &self.dir)?) } else { None };
        let mut files = BTreeMap::from([(SPEC.to_owned(), seal(self.key.to_json().as_bytes()))]);
        for (name, bytes) in [(RECORDS, Some(records)), (QUERIES, Some(queries)), (LABELS, labels)] {
            let Some(bytes) = bytes else { continue };
            atomic::place(&self.dir.join(name), &bytes, true)?;
            files.insert(name.to_owned(), seal(&bytes));
        }
        atomic::place(&self.dir.join(TIMING), &lines(&self.state.timings), false)?;
        let provenance = Provenance { resumed: self.state.resumed, ..provenance.clone() };
        atomic::place(&self.dir.join(PROVENANCE), &lines(&[provenance]), false)?;
        // The footer vouches for the files before it, so they must last before it does.
        atomic::sync_parent(&self.dir.join(RECORDS));
        let (entries, test_labels) = (self.state.records.len(), self.test_labels);
        let mut footer = Footer { failure, entries, files, test_labels, seal: None };
        footer.seal = Some(hash(&lines(std::slice::from_ref(&footer))));
        atomic::write(&self.dir.join(FOOTER), &lines(std::slice::from_ref(&footer)))?;
        if keep_checkpoint {
            self.journal.sync()?;
        } else {
            drop(self.journal);
            let path = self.dir.join(JOURNAL);
            fs::remove_file(&path).map_err(StoreError::io(&path, "remove"))?;
        }
        Ok(Run::assembled(self.dir, self.key, Some(footer)))
    }
}

impl Checkpoint {
    /// Every query in order, shape (n, n_columns).
    pub(crate) fn queries(&self) -> Array2<f64> {
        let n_columns = self.batches.first().map_or(0, |batch| batch.x.ncols());
        let mut queries = Array2::zeros((0, n_columns));
        for batch in self.batches.iter().skip(1) {
            queries.append(ndarray::Axis(0), batch.x.view()).expect("batches of a campaign have one width");
        }
        queries
    }
}

impl Checkpoint {
    /// Every point asked for with its answer, shape (n, n_columns + n_outputs); NaN where there is no answer.
    pub(crate) fn labels(&self) -> Array2<f64> {
        let answers = || self.batches.iter().flat_map(|batch| &batch.answers);
        let n_outputs = answers().find_map(|answer| answer.as_ref()?.as_ref().ok()).map_or(0, Vec::len);
        let n_columns = self.batches.first().map_or(0, |batch| batch.x.ncols());
        let points = self.batches.iter().flat_map(|batch| batch.x.outer_iter());
        let mut rows = Array2::from_elem((answers().count(), n_columns + n_outputs), f64::NAN);
        for ((mut row, point), answer) in rows.outer_iter_mut().zip(points).zip(answers()) {
            let known = answer.iter().flatten().flatten();
            row.iter_mut().zip(point.iter().chain(known)).for_each(|(place, value)| *place = *value);
        }
        rows
    }
}

fn lines(values: &[impl serde::Serialize]) -> Vec<u8> {
    let mut text = String::new();
    for value in values {
        text += &canonical_json(value).expect("records are plain data with string keys");
        text.push('\n');
    }
    text.into_bytes()
}

fn npy(array: &Array2<f64>, dir: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    array
        .write_npy(&mut bytes)
        .map_err(|error| StoreError::io(dir.join(QUERIES), "encode")(std::io::Error::other(error)))?;
    Ok(bytes)
}

fn seal(bytes: &[u8]) -> FileSeal {
    FileSeal { bytes: bytes.len() as u64, sha256: hash(bytes) }
}
