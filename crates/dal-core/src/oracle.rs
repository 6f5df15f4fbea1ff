//! What answers a query: labels arrive row by row, so that a costly answer is kept the moment it exists.

use std::fmt;
use std::ops::ControlFlow;

use ndarray::ArrayView2;
use thiserror::Error;

use crate::Stop;

/// Receives one row's answer: its number in the batch, and its outputs or why there are none.
///
/// `Break` says that this answer cannot be kept (a full disk, say): the oracle then hands out no other row, since it
/// would be lost too. It is no way to ask for a stop; [`Stop`] is.
pub type OnRow<'a> = dyn FnMut(usize, Result<&[f64], LabelFailure>) -> ControlFlow<()> + 'a;

/// Takes every answer and never says `Break`: for callers that keep answers in memory.
///
/// ```
/// # use dal_core::{LabelFailure, OnRow, every};
/// let mut sum = 0.0;
/// {
///     let on_row: &mut OnRow<'_> = &mut every(|_, answer| sum += answer.map_or(0.0, |y| y[0]));
///     assert!(on_row(0, Ok(&[2.0])).is_continue());
/// }
/// assert_eq!(sum, 2.0);
/// ```
pub fn every(
    mut take: impl FnMut(usize, Result<&[f64], LabelFailure>),
) -> impl FnMut(usize, Result<&[f64], LabelFailure>) -> ControlFlow<()> {
    move |row, answer| {
        take(row, answer);
        ControlFlow::Continue(())
    }
}

/// Answers queries.
///
/// Inputs are points of the unit box, shape (n, `n_inputs`); an oracle maps them to physical units itself. Each row
/// is answered once, in any order, with `n_outputs` finite numbers or a [`LabelFailure`] (and may then be handed out
/// once more as [in doubt](LabelFailureKind::InDoubt), which takes the answer back); an `Err` from
/// [`label`](Self::label) means that the batch as a whole was refused, and rows already answered stand.
pub trait Oracle: fmt::Debug + Send + Sync {
    /// Columns of the inputs.
    fn n_inputs(&self) -> usize;
    /// Numbers in an answer.
    fn n_outputs(&self) -> usize;
    /// Labels each row of `x`, shape (n, `n_inputs`), and hands each answer to `on_row` as soon as it is known.
    ///
    /// An oracle whose answers take long looks at `stop` while it works: on [`Drain`](crate::StopLevel::Drain) it
    /// starts nothing new and hands out what arrives, on [`Now`](crate::StopLevel::Now) it ends what runs. It can be
    /// asked again afterwards. Returns `Ok` once `on_row` has said `Break`.
    ///
    /// # Errors
    /// A batch that cannot be labelled at all: a wrong width, a value outside the unit box, a program that is missing.
    /// [`OracleError::Stopped`] where rows were left unanswered because of `stop`: they have not failed.
    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError>;
    /// Tells of a point whose label is known, such as one answered at an earlier start, by the line of CSV in physical
    /// units that a program gets for it: an oracle that can be out of order may ask about it again to find out whether
    /// it is ([`OracleError::Down`]). Does nothing by default.
    fn knows(&self, _line: &str) {}
    /// Whether it finds out by itself that it is out of order ([`OracleError::Down`]), as it does once it knows a point
    /// that it has answered: failures that it hands out are then the points' own. `false` by default.
    fn watches_itself(&self) -> bool {
        false
    }
    /// Asks once more about a point that it has answered, where it knows one and can be out of order: before a caller
    /// gives up points that nothing speaks against but calls that failed one after the other. Does nothing by default.
    ///
    /// # Errors
    /// [`OracleError::Down`] where it does not answer; [`OracleError::Stopped`].
    fn check_works(&self, _stop: &Stop) -> Result<(), OracleError> {
        Ok(())
    }
}

/// One row has no label, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind}: {message}")]
pub struct LabelFailure {
    /// What kind of failure it was.
    pub kind: LabelFailureKind,
    /// The oracle's own words, for a person.
    pub message: String,
}

impl LabelFailure {
    /// A failure of this kind with these words.
    pub fn new(kind: LabelFailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The ways in which labelling one row fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelFailureKind {
    /// The answer holds NaN or an infinity.
    NonFinite,
    /// The answer has the wrong number of outputs, or is not a number.
    Malformed,
    /// No answer came for this row.
    Missing,
    /// The time limit passed.
    TimedOut,
    /// The program ended with an error status or by a signal.
    Crashed,
    /// The program ended, or its time was up, at an earlier point of its call: whether it has a label here is not
    /// known.
    NotTried,
    /// An output is a value that the transform of the problem cannot take, such as zero under a logarithm.
    OutOfDomain,
    /// The oracle has no answer for this input, such as a point that a table does not hold.
    Refused,
    /// The answers of a call cannot be matched with its points: those that were handed out before may belong to their
    /// neighbours.
    InDoubt,
}

impl LabelFailureKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::NonFinite,
        Self::Malformed,
        Self::Missing,
        Self::TimedOut,
        Self::Crashed,
        Self::NotTried,
        Self::OutOfDomain,
        Self::Refused,
        Self::InDoubt,
    ];

    /// Whether it is the point's own: an oracle that worked said that there is no label here, and would say it again.
    /// What is in doubt counts likewise: another answer to this point would hide what it says of the others.
    pub fn is_of_the_point(self) -> bool {
        matches!(self, Self::Refused | Self::NonFinite | Self::OutOfDomain | Self::InDoubt)
    }

    /// The kind with this id.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// The id used in records.
    pub fn id(self) -> &'static str {
        match self {
            Self::NonFinite => "non-finite",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::TimedOut => "timed-out",
            Self::Crashed => "crashed",
            Self::NotTried => "not-tried",
            Self::OutOfDomain => "out-of-domain",
            Self::Refused => "refused",
            Self::InDoubt => "in-doubt",
        }
    }
}

impl fmt::Display for LabelFailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A batch as a whole cannot be labelled.
#[derive(Debug, Error)]
pub enum OracleError {
    /// The inputs have the wrong number of columns.
    #[error("the oracle takes {expected} inputs, but the points have {found}")]
    WrongWidth {
        /// Columns the oracle takes.
        expected: usize,
        /// Columns of the points.
        found: usize,
    },
    /// An input is NaN or infinite.
    #[error("input x{column} of row {row} is {value}; every input must be a finite number in [-1, 1]")]
    NonFinite {
        /// 0-based row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// An input lies outside the unit box.
    #[error("input x{column} of row {row} is {value}, outside the unit box [-1, 1]")]
    OutsideBox {
        /// 0-based row.
        row: usize,
        /// 0-based column.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// A stop was asked for before every row was answered; the rows that were not are as if they had never been asked.
    #[error("stopped before every point was answered")]
    Stopped,
    /// A program that used to answer answers nothing any more, not even a point that it answered before. Its failures
    /// since then say nothing about the points: they were not handed out, and the rows without an answer are as if they
    /// had never been asked.
    #[error("{message}")]
    Down {
        /// What was seen, with the program's last words.
        message: String,
    },
    /// The oracle itself is out of order: a missing program, an unreadable table.
    #[error("{message}")]
    Unavailable {
        /// What is wrong and what to do.
        message: String,
    },
}

/// A key that is equal exactly where the coordinates of two points are; zeros of both signs are one coordinate.
///
/// ```
/// use dal_core::point_key;
/// assert_eq!(point_key(&[0.0, 0.5]), point_key(&[-0.0, 0.5]));
/// assert_ne!(point_key(&[0.0, 0.5]), point_key(&[0.0, 0.5 + f64::EPSILON]));
/// ```
pub fn point_key<'a>(coordinates: impl IntoIterator<Item = &'a f64>) -> Box<[u64]> {
    // Adding zero turns −0 into 0.
    coordinates.into_iter().map(|v| (v + 0.0).to_bits()).collect()
}

/// Checks that `x` has `n_inputs` columns and that every value lies in `[-1, 1]`.
///
/// # Errors
/// The first offence in row-major order.
pub fn check_unit_box(x: ArrayView2<'_, f64>, n_inputs: usize) -> Result<(), OracleError> {
    if x.ncols() != n_inputs {
        return Err(OracleError::WrongWidth { expected: n_inputs, found: x.ncols() });
    }
    for (row, values) in x.outer_iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            if !value.is_finite() {
                return Err(OracleError::NonFinite { row, column, value });
            }
            if !(-1.0..=1.0).contains(&value) {
                return Err(OracleError::OutsideBox { row, column, value });
            }
        }
    }
    Ok(())
}

/// The answer, if it is `n_outputs` finite numbers.
///
/// # Errors
/// [`Malformed`](LabelFailureKind::Malformed) for another number of them, [`NonFinite`](LabelFailureKind::NonFinite)
/// for NaN or an infinity among them.
pub fn check_label(label: &[f64], n_outputs: usize) -> Result<&[f64], LabelFailure> {
    if label.len() != n_outputs {
        let message = format!("{} outputs where {n_outputs} were due", label.len());
        return Err(LabelFailure::new(LabelFailureKind::Malformed, message));
    }
    match label.iter().position(|v| !v.is_finite()) {
        Some(k) => Err(LabelFailure::new(LabelFailureKind::NonFinite, format!("output {k} is {}", label[k]))),
        None => Ok(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_box_is_closed_and_offences_are_located() {
        assert!(check_unit_box(array![[-1.0, 1.0]].view(), 2).is_ok());
        let outside = check_unit_box(array![[0.0, 0.0], [0.0, 1.0 + 1e-9]].view(), 2).unwrap_err();
        assert!(matches!(outside, OracleError::OutsideBox { row: 1, column: 1, .. }));
        let nan = check_unit_box(array![[f64::NAN]].view(), 1).unwrap_err();
        assert!(matches!(nan, OracleError::NonFinite { row: 0, column: 0, .. }));
        assert!(matches!(
            check_unit_box(array![[0.0]].view(), 2).unwrap_err(),
            OracleError::WrongWidth { expected: 2, found: 1 }
        ));
    }
}
