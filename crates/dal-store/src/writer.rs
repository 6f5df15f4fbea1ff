//! One run being written: answers and records go to its journal as they come, the final files appear at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dal_core::LabelFailure;
use ndarray::{Array2, ArrayView2};
use ndarray_npy::WriteNpyExt;

use crate::atomic;
use crate::attempt::Live;
use crate::canonical::canonical_json;
use crate::claim::Claim;
use crate::error::StoreError;
use crate::journal::{Checkpoint, Frame, Journal};
use crate::record::{EntryRecord, EntryTiming, Failure, FileSeal, Footer, Provenance, TestLabels};
use crate::run::{
    FOOTER, JOURNAL, LABELS, PROVENANCE, QUERIES, RECORDS, Run, SPEC, TIMING, WAITING, remove_superseded,
};
use crate::spec::{RunKey, hash};

/// One run being written.
///
/// Hand it the initial batch's points ([`batch`](Self::batch) 0), each answer as it comes, then per entry the record
/// and the next batch's points, in that order; end with [`finish`](Self::finish) or [`fail`](Self::fail). Dropping it
/// leaves a checkpoint.
#[derive(Debug)]
pub struct RunWriter {
    /// Its attempt.
    dir: PathBuf,
    /// Where it will be.
    target: PathBuf,
    key: RunKey,
    journal: Journal,
    state: Checkpoint,
    keeps_labels: bool,
    test_labels: Option<TestLabels>,
    /// Attempts that it makes needless.
    others: Vec<PathBuf>,
    _live: Live,
    /// Given up last.
    _claim: Claim,
}

impl RunWriter {
    /// Opens the checkpoint in an attempt that holds the run's `spec.json` already.
    pub(crate) fn open(
        dir: PathBuf,
        target: PathBuf,
        key: RunKey,
        claim: Claim,
        others: Vec<PathBuf>,
    ) -> Result<Self, StoreError> {
        let (mut journal, mut state) = Journal::open(dir.join(JOURNAL), &key.to_json())?;
        if !state.batches.is_empty() {
            journal.append(&Frame::Resumed)?;
            state.resumed += 1;
        }
        let waiting = dir.join(WAITING);
        if waiting.exists() {
            fs::remove_file(&waiting).map_err(StoreError::io(&waiting, "remove"))?;
        }
        let (keeps_labels, test_labels, live) = (false, None, Live::new(&dir));
        Ok(Self { dir, target, key, journal, state, keeps_labels, test_labels, others, _live: live, _claim: claim })
    }

    /// So many bytes of the checkpoint that this one goes on from were left out.
    pub(crate) fn dropped(&mut self, bytes: u64) {
        self.state.dropped_bytes += bytes;
    }

    /// What is known so far: what was found when the run was taken up, and what came since.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.state
    }

    /// The run's key.
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// The directory of its attempt.
    pub fn directory(&self) -> &Path {
        &self.dir
    }

    fn add(&mut self, frame: Frame) -> Result<(), StoreError> {
        self.state.apply(&frame).map_err(|reason| StoreError::OutOfOrder { path: self.dir.clone(), reason })?;
        self.journal.append(&frame).map_err(|error| self.refused(error))
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
    /// An entry out of order, a value that is not finite, a disk that refuses; [`StoreError::TakenOver`] where another
    /// process has finished the run.
    pub fn entry(&mut self, record: EntryRecord, timing: Option<EntryTiming>) -> Result<(), StoreError> {
        for (what, value) in record.numbers() {
            if !value.is_finite() {
                return Err(StoreError::NonFinite { path: self.dir.clone(), what, value });
            }
        }
        if self.target.exists() {
            // Another process took the run over and came to its end.
            return Err(StoreError::TakenOver { path: self.target.clone() });
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

    /// Leaves the run at its checkpoint and notes why it waits there, for a reader ([`Run::waiting`]); taking it up
    /// again strikes the note.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn wait(mut self, why: &str) -> Result<(), StoreError> {
        self.journal.sync()?;
        atomic::write(&self.dir.join(WAITING), format!("{why}\n").as_bytes())
    }

    /// The run is complete: writes its files, puts it in its place and removes the checkpoint. Where another process
    /// was faster, its run stands and is returned, and this attempt is removed.
    ///
    /// # Errors
    /// A disk that refuses; the checkpoint then stands and the run can be finished later. [`StoreError::TakenOver`]
    /// where the attempt was removed and the run is not there either.
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

    /// What another process has made of the run, which it took over; this attempt is removed. `None` where it is not
    /// over.
    ///
    /// # Errors
    /// A run that cannot be read.
    pub fn give_up(self) -> Result<Option<Run>, StoreError> {
        if !self.target.exists() {
            return Ok(None);
        }
        drop(self.journal);
        // What stays of it costs room alone.
        let _ = fs::remove_dir_all(&self.dir);
        Run::open(self.target).map(Some)
    }

    /// What a refusal of the system means where another process has removed the attempt.
    fn refused(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Io { .. } if !self.dir.join(SPEC).exists() => {
                StoreError::TakenOver { path: self.target.clone() }
            }
            error => error,
        }
    }

    fn close(mut self, failure: Option<Failure>, provenance: &Provenance) -> Result<Run, StoreError> {
        let footer = match self.write_files(failure, provenance) {
            Ok(footer) => footer,
            Err(error) => {
                return match self.refused(error) {
                    error @ StoreError::TakenOver { .. } => self.give_up()?.ok_or(error),
                    error => Err(error),
                };
            }
        };
        self.journal.sync()?;
        drop(self.journal);
        match fs::rename(&self.dir, &self.target) {
            Ok(()) => atomic::sync_parent(&self.target),
            // Another process was faster. Its run is whole, and ours is not needed.
            Err(_) if self.target.join(FOOTER).exists() => {
                let _ = fs::remove_dir_all(&self.dir);
                return Run::open(self.target);
            }
            Err(_) if !self.dir.exists() => return Err(StoreError::TakenOver { path: self.target }),
            Err(error) => return Err(StoreError::io(&self.target, "put in its place")(error)),
        }
        if footer.failure.is_none() {
            let path = self.target.join(JOURNAL);
            match fs::remove_file(&path) {
                // Another process has cleaned up already.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.map_err(StoreError::io(&path, "remove"))?,
            }
            remove_superseded(&self.target)?;
        }
        for other in &self.others {
            let _ = fs::remove_dir_all(other);
        }
        Ok(Run::assembled(self.target, self.key, Some(footer)))
    }

    /// Everything but the place.
    fn write_files(&mut self, failure: Option<Failure>, provenance: &Provenance) -> Result<Footer, StoreError> {
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
        let (entries, test_labels) = (self.state.records.len(), self.test_labels.clone());
        let mut footer = Footer { failure, entries, files, test_labels, seal: None };
        footer.seal = Some(hash(&lines(std::slice::from_ref(&footer))));
        atomic::write(&self.dir.join(FOOTER), &lines(std::slice::from_ref(&footer)))?;
        Ok(footer)
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
