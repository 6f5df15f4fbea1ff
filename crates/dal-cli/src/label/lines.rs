//! Labels as lines of CSV.

use dal_core::LabelFailure;
use dal_files::write::{Out, record};

/// A label, or why there is none.
pub(super) type Answer<'a> = Result<&'a [f64], &'a LabelFailure>;

/// The cells of an answer: its numbers, or as many empty cells.
pub(super) fn cells<'a>(answer: Answer<'a>, n_outputs: usize) -> Vec<Out<'a>> {
    match answer {
        Ok(label) => label.iter().map(|&v| Out::Number(v)).collect(),
        Err(_) => vec![Out::Empty; n_outputs],
    }
}

/// An answer alone as a line.
pub(super) fn line(answer: Answer<'_>, n_outputs: usize) -> String {
    record(cells(answer, n_outputs))
}
