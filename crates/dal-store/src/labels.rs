//! Answers of one problem's oracle, kept beside the runs, so that nothing costly is asked twice by any start of a
//! sweep.
//!
//! Layout: a journal as of a run, bound to the problem instead of to a run, with frames of kind 6 (an answer: number
//! of columns, the point, its outputs) and 7 (a failure: number of columns, the point, kind and message). Each frame
//! stands for itself: one that is cut short or spoilt is left out, and those behind it count.

use std::collections::HashMap;
use std::path::PathBuf;

use dal_core::LabelFailure;
use ndarray::ArrayView1;

use crate::error::StoreError;
use crate::journal::{Journal, decode_failure, encode_failure, floats, put, take};

const ANSWER: u8 = 6;
const FAILURE: u8 = 7;

/// An answer, or why there is none.
type Answer = Result<Vec<f64>, LabelFailure>;

/// What is known of one problem's oracle, by point; every addition is on disk before it is known.
#[derive(Debug)]
pub struct LabelJournal {
    journal: Journal,
    known: HashMap<Vec<u64>, Answer>,
    dropped_bytes: u64,
}

impl LabelJournal {
    /// Opens or creates the journal, without what is torn or spoilt.
    pub(crate) fn open(path: PathBuf, key_json: &str) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        let mut take = |kind, payload: &[u8]| match decode(kind, payload) {
            Some((x, answer)) => {
                known.insert(x, answer);
                true
            }
            None => false,
        };
        match Journal::open_frames(path.clone(), key_json, &mut take)? {
            Some((journal, dropped_bytes)) => Ok(Self { journal, known, dropped_bytes }),
            None => Err(StoreError::Damaged {
                path,
                line: None,
                reason: "these are not the labels of the problem that the file's name says".into(),
                remedy: "move it away: what it holds is asked for again".into(),
            }),
        }
    }

    /// Bytes of the file that were cut short or damaged: what they said is asked for again.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// What is known of a point of the unit box.
    pub fn get(&self, x: ArrayView1<'_, f64>) -> Option<Result<&[f64], &LabelFailure>> {
        self.known.get(&bits(x)).map(|answer| answer.as_deref())
    }

    /// Keeps what the oracle said of a point, in place of what it said before.
    ///
    /// # Errors
    /// A disk that refuses.
    pub fn add(&mut self, x: ArrayView1<'_, f64>, answer: Result<&[f64], &LabelFailure>) -> Result<(), StoreError> {
        let mut payload = Vec::new();
        put(&mut payload, [x.len()]);
        x.iter().for_each(|v| payload.extend(v.to_le_bytes()));
        let kind = match answer {
            Ok(label) => {
                label.iter().for_each(|v| payload.extend(v.to_le_bytes()));
                ANSWER
            }
            Err(failure) => {
                payload.extend(encode_failure(failure));
                FAILURE
            }
        };
        self.journal.append_frame(kind, &payload)?;
        self.known.insert(bits(x), answer.map(<[f64]>::to_vec).map_err(Clone::clone));
        Ok(())
    }
}

fn bits(x: ArrayView1<'_, f64>) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}

pub(crate) fn decode(kind: u8, payload: &[u8]) -> Option<(Vec<u64>, Answer)> {
    let mut rest = payload;
    let n_columns = take(&mut rest)?;
    let (x, rest) = rest.split_at_checked(n_columns.checked_mul(8)?)?;
    let x = floats(x)?.into_iter().map(f64::to_bits).collect();
    match kind {
        ANSWER => Some((x, Ok(floats(rest)?))),
        FAILURE => Some((x, Err(decode_failure(rest)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::LabelFailureKind;
    use ndarray::array;

    #[test]
    fn a_spoilt_answer_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        let mut journal = LabelJournal::open(path.clone(), "{}").unwrap();
        let points: Vec<_> = (0..5).map(|i| array![0.1 * f64::from(i), -0.5]).collect();
        for (i, point) in points.iter().enumerate() {
            journal.add(point.view(), Ok(&[i as f64])).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for at in crate::journal::HEADER..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let mut journal = LabelJournal::open(path.clone(), "{}").unwrap();
            let lost: Vec<_> = points.iter().filter(|point| journal.get(point.view()).is_none()).collect();
            assert_eq!(
                (lost.len(), journal.dropped_bytes()),
                (1, (whole.len() - crate::journal::HEADER) as u64 / 5),
                "{at}"
            );
            journal.add(lost[0].view(), Ok(&[7.0])).unwrap();
            drop(journal);
            let journal = LabelJournal::open(path.clone(), "{}").unwrap();
            assert!(
                journal.dropped_bytes() == 0 && points.iter().all(|point| journal.get(point.view()).is_some()),
                "{at}"
            );
        }
        assert!(path.with_added_extension("damaged").exists(), "what was spoilt is kept aside");
    }

    #[test]
    fn answers_are_read_back_and_a_torn_one_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        let failure = LabelFailure::new(LabelFailureKind::TimedOut, "too slow\nby far");
        let (a, b, c) = (array![0.1, -0.5], array![1.0, 0.0], array![1.0, -0.0]);
        let mut journal = LabelJournal::open(path.clone(), "{}").unwrap();
        journal.add(a.view(), Ok(&[1.5, 2.0])).unwrap();
        journal.add(b.view(), Err(&failure)).unwrap();
        journal.add(a.view(), Ok(&[2.5, 3.0])).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 1] {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut journal = LabelJournal::open(path.clone(), "{}").unwrap();
            let last = if cut == 0 { [2.5, 3.0] } else { [1.5, 2.0] };
            assert_eq!(journal.get(a.view()), Some(Ok(&last[..])));
            assert_eq!(journal.get(b.view()), Some(Err(&failure)));
            assert_eq!(journal.get(c.view()), None, "-0 is another point than 0");
            journal.add(b.view(), Ok(&[0.0, 0.0])).unwrap();
            drop(journal);
            let journal = LabelJournal::open(path.clone(), "{}").unwrap();
            assert_eq!(journal.get(b.view()), Some(Ok(&[0.0, 0.0][..])));
        }
    }

    #[test]
    fn another_problems_file_and_frames_of_other_kinds_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        LabelJournal::open(path.clone(), "{}").unwrap().journal.append_frame(9, b"what is this").unwrap();
        let error = LabelJournal::open(path.clone(), "{\"id\":1}").unwrap_err().to_string();
        assert!(error.contains("a.journal") && error.contains("move it away"), "{error}");
        assert!(LabelJournal::open(path.clone(), "{}").unwrap().known.is_empty());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 40, "cut back to its header");
    }
}
