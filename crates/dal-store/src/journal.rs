//! The checkpoint of an unfinished run: an append-only file of checksummed frames, and the state that they add up to.
//!
//! Layout, numbers little endian: magic `DALJRNL1`, SHA-256 of the run's `spec.json` (32 bytes), then frames of
//! length of the payload (u32), kind (u8), payload, first 8 bytes of SHA-256(kind ‖ payload). Repeating a frame
//! changes nothing, so that a step done again after a kill adds up to the same state. What follows the first frame
//! that is cut short or whose checksum is wrong is cut off when the file is opened for writing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dal_core::{Batch, LabelFailure, LabelFailureKind};
use ndarray::Array2;
use sha2::{Digest, Sha256};

use crate::error::StoreError;
use crate::record::{EntryRecord, EntryTiming};

const MAGIC: &[u8; 8] = b"DALJRNL1";
pub(crate) const HEADER: usize = 8 + 32;
/// What is appended later than this after the last time is forced to disk at once. A killed process loses nothing
/// either way; a power failure costs at most the quick steps of this long.
pub(crate) const SYNC_EVERY: Duration = Duration::from_millis(200);

/// Points that were asked for together, with the answers so far.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointBatch {
    /// The points, shape (n, n_columns).
    pub x: Array2<f64>,
    /// Their rows in a pool of listed candidates.
    pub candidate_rows: Option<Vec<usize>>,
    /// One place per point.
    pub answers: Vec<Option<Result<Vec<f64>, LabelFailure>>>,
}

impl CheckpointBatch {
    /// The batch, if every row is answered.
    pub fn complete(&self) -> Option<Batch> {
        let answers = self.answers.iter().cloned().collect::<Option<Vec<_>>>()?;
        Some(Batch { x: self.x.clone(), candidate_rows: self.candidate_rows.clone(), answers })
    }
}

/// What is known of an unfinished run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// The initial batch, then one per step that was decided.
    pub batches: Vec<CheckpointBatch>,
    /// One record per entry.
    pub records: Vec<EntryRecord>,
    /// One timing per entry that has one.
    pub timings: Vec<EntryTiming>,
    /// How often the run was taken up again.
    pub resumed: usize,
    /// Bytes at the end of the file that were cut short or damaged, and ignored.
    pub dropped_bytes: u64,
}

impl Checkpoint {
    /// The batches before the first unanswered row: what a campaign resumes from.
    pub fn complete_batches(&self) -> Vec<Batch> {
        self.batches.iter().map_while(CheckpointBatch::complete).collect()
    }

    /// Answers that are known for the first incomplete batch.
    pub fn loose_answers(&self) -> Option<&CheckpointBatch> {
        self.batches.iter().find(|batch| batch.answers.iter().any(Option::is_none))
    }

    /// The frames that add up to this state: how often it was taken up, then in the order of a journal each batch with
    /// its answers, then its entry.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let mut frames = vec![Frame::Resumed; self.resumed];
        for (index, batch) in self.batches.iter().enumerate() {
            let (x, candidate_rows) = (batch.x.clone(), batch.candidate_rows.clone());
            frames.push(Frame::Batch { index, x, candidate_rows });
            for (row, answer) in batch.answers.iter().enumerate() {
                frames.extend(answer.clone().map(|answer| Frame::Answer { batch: index, row, answer }));
            }
            frames.extend(self.timings.iter().find(|timing| timing.entry == index).map(|t| Frame::Timing(*t)));
            frames.extend(self.records.get(index).map(|record| Frame::Record(Box::new(record.clone()))));
        }
        frames
    }

    /// Takes a frame in; `Err` says why it does not fit.
    pub(crate) fn apply(&mut self, frame: &Frame) -> Result<(), String> {
        match frame {
            Frame::Resumed => self.resumed += 1,
            Frame::Batch { index, x, candidate_rows } => {
                if *index > self.batches.len() || *index > self.records.len() {
                    return Err(format!(
                        "batch {index} after {} batches and {} records",
                        self.batches.len(),
                        self.records.len()
                    ));
                }
                let known = self.batches.get(*index);
                if known.is_some_and(|known| known.x == *x && known.candidate_rows == *candidate_rows) {
                    return Ok(());
                }
                self.batches.truncate(*index);
                self.batches.push(CheckpointBatch {
                    x: x.clone(),
                    candidate_rows: candidate_rows.clone(),
                    answers: vec![None; x.nrows()],
                });
            }
            Frame::Answer { batch, row, answer } => {
                let place = self.batches.get_mut(*batch).and_then(|batch| batch.answers.get_mut(*row));
                *place.ok_or_else(|| format!("an answer for row {row} of batch {batch}, which was not asked for"))? =
                    Some(answer.clone());
            }
            Frame::Record(record) => {
                if record.entry > self.records.len() {
                    return Err(format!("entry {} after {} records", record.entry, self.records.len()));
                }
                self.records.truncate(record.entry);
                self.records.push(EntryRecord::clone(record));
            }
            Frame::Timing(timing) => {
                self.timings.retain(|known| known.entry < timing.entry);
                self.timings.push(*timing);
            }
        }
        Ok(())
    }
}

/// One addition to a journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Resumed,
    Batch { index: usize, x: Array2<f64>, candidate_rows: Option<Vec<usize>> },
    Answer { batch: usize, row: usize, answer: Result<Vec<f64>, LabelFailure> },
    Record(Box<EntryRecord>),
    Timing(EntryTiming),
}

impl Frame {
    fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::new();
        let kind = match self {
            Self::Resumed => 0,
            Self::Batch { index, x, candidate_rows } => {
                put(&mut out, [*index, x.nrows(), x.ncols(), usize::from(candidate_rows.is_some())]);
                x.iter().for_each(|v| out.extend(v.to_le_bytes()));
                put(&mut out, candidate_rows.iter().flatten().copied());
                1
            }
            Self::Answer { batch, row, answer } => {
                put(&mut out, [*batch, *row]);
                match answer {
                    Ok(label) => {
                        label.iter().for_each(|v| out.extend(v.to_le_bytes()));
                        2
                    }
                    Err(failure) => {
                        out.extend(encode_failure(failure));
                        3
                    }
                }
            }
            Self::Record(record) => {
                out = json(record);
                4
            }
            Self::Timing(timing) => {
                out = json(timing);
                5
            }
        };
        (kind, out)
    }

    fn decode(kind: u8, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        Some(match kind {
            0 => Self::Resumed,
            1 => {
                let [index, rows, columns, has_rows] =
                    [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?, take(&mut rest)?];
                let n = rows.checked_mul(columns)?;
                let (values, tail) = rest.split_at_checked(n.checked_mul(8)?)?;
                let x = Array2::from_shape_vec((rows, columns), floats(values)?).ok()?;
                let mut tail = tail;
                let candidate_rows = match has_rows {
                    0 => None,
                    _ => Some((0..rows).map(|_| take(&mut tail)).collect::<Option<Vec<_>>>()?),
                };
                Self::Batch { index, x, candidate_rows }
            }
            2 => Self::Answer { batch: take(&mut rest)?, row: take(&mut rest)?, answer: Ok(floats(rest)?) },
            3 => {
                let (batch, row) = (take(&mut rest)?, take(&mut rest)?);
                Self::Answer { batch, row, answer: Err(decode_failure(rest)?) }
            }
            4 => Self::Record(serde_json::from_slice(bytes).ok()?),
            5 => Self::Timing(serde_json::from_slice(bytes).ok()?),
            _ => return None,
        })
    }
}

pub(crate) fn encode_failure(failure: &LabelFailure) -> Vec<u8> {
    format!("{} {}", failure.kind.id(), failure.message).into_bytes()
}

pub(crate) fn decode_failure(bytes: &[u8]) -> Option<LabelFailure> {
    let (id, message) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    let kind = LabelFailureKind::of_id(id)?;
    Some(LabelFailure::new(kind, message))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records are plain data")
}

pub(crate) fn put(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = usize>) {
    numbers.into_iter().for_each(|n| out.extend((n as u64).to_le_bytes()));
}

pub(crate) fn take(rest: &mut &[u8]) -> Option<usize> {
    let (head, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    usize::try_from(u64::from_le_bytes(*head)).ok()
}

pub(crate) fn floats(bytes: &[u8]) -> Option<Vec<f64>> {
    let (chunks, []) = bytes.as_chunks::<8>() else { return None };
    Some(chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
}

fn checksum(kind: u8, payload: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update([kind]).chain_update(payload).finalize();
    digest[..8].try_into().expect("a SHA-256 has 32 bytes")
}

/// What a checkpoint's bytes add up to, and how many of them count.
fn replay(bytes: &[u8], path: &Path, spec_json: &str) -> Result<(Checkpoint, usize), StoreError> {
    let mut checkpoint = Checkpoint::default();
    let Some(mut at) = first_frame(bytes, spec_json) else {
        return Err(StoreError::damaged_run(path, None, "this is not the journal of the run beside it"));
    };
    while let Some((kind, payload, next)) = next_frame(bytes, at)
        && Frame::decode(kind, payload).is_some_and(|frame| checkpoint.apply(&frame).is_ok())
    {
        at = next;
    }
    checkpoint.dropped_bytes = (bytes.len() - at) as u64;
    Ok((checkpoint, at))
}

/// Where the frames begin: behind the header, or at 0 where it was cut short and nothing was recorded yet. `None` if
/// the bytes are of another journal than `key_json`'s.
fn first_frame(bytes: &[u8], key_json: &str) -> Option<usize> {
    match bytes.split_at_checked(HEADER) {
        None => Some(0),
        Some((found, _)) => (found == header(key_json)).then_some(HEADER),
    }
}

fn next_frame(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let rest = bytes.get(at..)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (&kind, rest) = rest.split_first()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    let (sum, _) = rest.split_first_chunk::<8>()?;
    if *sum != checksum(kind, payload) {
        return None;
    }
    Some((kind, payload, at + 4 + 1 + length + 8))
}

fn header(spec_json: &str) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&Sha256::digest(spec_json.as_bytes()));
    header
}

/// Reads a journal without changing it; an absent one is empty.
pub(crate) fn read(path: &Path, spec_json: &str) -> Result<Checkpoint, StoreError> {
    Ok(replay(&read_bytes(path)?, path, spec_json)?.0)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes).map(|_| bytes).map_err(StoreError::io(path, "read")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bytes),
        Err(error) => Err(StoreError::io(path, "open")(error)),
    }
}

/// Hands the frames of a journal that is bound to another key than a run's, and whose frames each stand for
/// themselves, to `take`, and returns the bytes that were left out; `None` if the file belongs to another key.
pub(crate) fn read_frames(
    path: &Path,
    key_json: &str,
    take: &mut dyn FnMut(u8, &[u8]) -> bool,
) -> Result<Option<u64>, StoreError> {
    let bytes = read_bytes(path)?;
    let Some(mut at) = first_frame(&bytes, key_json) else { return Ok(None) };
    let mut dropped = 0;
    while at < bytes.len() {
        match next_frame(&bytes, at).filter(|&(kind, payload, _)| take(kind, payload)) {
            Some((_, _, next)) => at = next,
            None => {
                at += 1;
                dropped += 1;
            }
        }
    }
    Ok(Some(dropped))
}

/// A journal open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
    synced: Instant,
}

impl Journal {
    /// Opens or creates the journal and cuts off what was torn.
    pub(crate) fn open(path: PathBuf, spec_json: &str) -> Result<(Self, Checkpoint), StoreError> {
        let (checkpoint, valid) = replay(&read_bytes(&path)?, &path, spec_json)?;
        Ok((Self::at(path, spec_json, valid)?, checkpoint))
    }

    /// Bytes behind the header of a journal of frames that stand each for itself which belong to no whole frame; `None`
    /// if the file is no journal. The key is not looked at.
    pub(crate) fn spoilt_bytes(path: &Path) -> Result<Option<usize>, StoreError> {
        let bytes = read_bytes(path)?;
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Ok(None);
        }
        let (mut at, mut spoilt) = (HEADER.min(bytes.len()), 0);
        while at < bytes.len() {
            match next_frame(&bytes, at) {
                Some((_, _, next)) => at = next,
                None => (at, spoilt) = (at + 1, spoilt + 1),
            }
        }
        Ok(Some(spoilt))
    }

    /// The journal from its first `valid` bytes on.
    fn at(path: PathBuf, key_json: &str, valid: usize) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(StoreError::io(&path, "open for writing"))?;
        file.set_len(valid as u64).map_err(StoreError::io(&path, "cut to its valid part"))?;
        let mut journal = Self { file, path, length: valid as u64, synced: Instant::now() };
        if valid == 0 {
            journal.write(&header(key_json))?;
        }
        Ok(journal)
    }

    pub(crate) fn append(&mut self, frame: &Frame) -> Result<(), StoreError> {
        let (kind, payload) = frame.encode();
        let length = u32::try_from(payload.len())
            .map_err(|_| StoreError::io(&self.path, "append to")(io::Error::other("a frame beyond 4 GiB")))?;
        let mut bytes = Vec::with_capacity(payload.len() + 13);
        bytes.extend(length.to_le_bytes());
        bytes.push(kind);
        bytes.extend(&payload);
        bytes.extend(checksum(kind, &payload));
        self.write(&bytes)?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if let Err(error) = self.file.write_all(bytes) {
            // Whatever part of it arrived is cut off again, here or by the next opening.
            let _ = self.file.set_len(self.length);
            return Err(StoreError::io(&self.path, "append to")(error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forces what was appended to disk.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io(&self.path, "force to disk"))?;
        self.synced = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EntryErrors;
    use ndarray::array;
    use proptest::prelude::*;

    const SPEC: &str = "{}\n";

    fn frames() -> Vec<Frame> {
        let errors = EntryErrors { mse: 0.1, mae: 1.0 / 3.0, p95_abs: 1e-300, max_abs: 2.0 };
        let failure = LabelFailure::new(LabelFailureKind::Crashed, "exit 3\nlast words");
        vec![
            Frame::Batch { index: 0, x: array![[0.1, -0.5], [1.0, 0.25]], candidate_rows: None },
            Frame::Answer { batch: 0, row: 1, answer: Ok(vec![1.5, -2.0]) },
            Frame::Answer { batch: 0, row: 0, answer: Err(failure) },
            Frame::Record(Box::new(EntryRecord::new(0, 1, errors))),
            Frame::Timing(EntryTiming { entry: 0, training: 0.125, ..EntryTiming::default() }),
            Frame::Batch { index: 1, x: array![[0.5, 0.5]], candidate_rows: Some(vec![7]) },
            Frame::Resumed,
            Frame::Answer { batch: 1, row: 0, answer: Ok(vec![0.0, 0.5]) },
        ]
    }

    fn written(frames: &[Frame]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.journal");
        let (mut journal, empty) = Journal::open(path.clone(), SPEC).unwrap();
        assert_eq!(empty, Checkpoint::default());
        frames.iter().for_each(|frame| journal.append(frame).unwrap());
        (dir, path)
    }

    fn state(frames: &[Frame]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        frames.iter().for_each(|frame| checkpoint.apply(frame).unwrap());
        checkpoint
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let (_dir, path) = written(&frames());
        let checkpoint = read(&path, SPEC).unwrap();
        assert_eq!(checkpoint, state(&frames()));
        assert_eq!(checkpoint.complete_batches().len(), 2);
        assert_eq!(checkpoint.loose_answers(), None);
        assert_eq!((checkpoint.records.len(), checkpoint.timings.len(), checkpoint.resumed), (1, 1, 1));
    }

    #[test]
    fn a_journal_of_another_run_is_refused() {
        let (_dir, path) = written(&frames());
        assert!(matches!(read(&path, "{\"other\":1}\n"), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn doing_a_step_again_adds_up_to_the_same() {
        let frames = frames();
        let mut again = frames.clone();
        again.extend(frames[3..6].iter().cloned());
        assert_eq!(state(&again), state(&frames));
    }

    #[test]
    fn a_changed_decision_forgets_the_answers_to_the_old_one() {
        let mut checkpoint = state(&frames());
        checkpoint.apply(&Frame::Batch { index: 1, x: array![[0.0, 0.0]], candidate_rows: Some(vec![3]) }).unwrap();
        assert_eq!(checkpoint.complete_batches().len(), 1);
        assert!(checkpoint.apply(&Frame::Answer { batch: 1, row: 1, answer: Ok(vec![0.0]) }).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn cut_or_spoilt_anywhere_the_frames_before_stand(cut in 0usize..600, spoil in any::<bool>(), bit in 0u8..8) {
            let frames = frames();
            let (_dir, path) = written(&frames);
            let mut bytes = std::fs::read(&path).unwrap();
            let cut = cut % bytes.len();
            prop_assume!(!spoil || cut >= HEADER);
            if spoil { bytes[cut] ^= 1 << bit } else { bytes.truncate(cut) }
            std::fs::write(&path, &bytes).unwrap();
            let (mut journal, checkpoint) = Journal::open(path.clone(), SPEC).unwrap();
            let kept = (0..=frames.len())
                .rev()
                .find(|&n| state(&frames[..n]) == Checkpoint { dropped_bytes: 0, ..checkpoint.clone() });
            prop_assert!(kept.is_some());
            // Appending what is missing gives the whole again.
            for frame in &frames[kept.unwrap()..] {
                journal.append(frame).unwrap();
            }
            prop_assert_eq!(read(&path, SPEC).unwrap(), state(&frames));
        }
    }
}
