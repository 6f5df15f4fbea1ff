//! Labels as lines of CSV.

use dal_core::LabelFailure;
use dal_files::Points;
use dal_files::write::{Out, record};
use dal_oracles::Problem;

/// A label, or why there is none.
pub(super) type Answer<'a> = Result<&'a [f64], &'a LabelFailure>;

/// The column of an export that holds the number of a point. No column of a problem is called so.
pub(super) const ROW: &str = "row";

/// The column of an export that says why a row has no label.
pub(super) const FAILURE: &str = "failure";

/// A column's name, with strokes behind it where a problem has a column of that name.
pub(super) fn own_column(name: &str, problem: &Problem) -> String {
    let mut name = name.to_owned();
    let outputs = output_names(problem);
    while problem.inputs().iter().any(|input| input.name == name) || outputs.contains(&name) {
        name.push('_');
    }
    name
}

/// The outputs' names: those of a user's problem, `y0`, `y1`, … of a built-in one.
pub(super) fn output_names(problem: &Problem) -> Vec<String> {
    let outputs = problem.outputs();
    match problem.card() {
        None => outputs.iter().map(|output| output.name.clone()).collect(),
        Some(_) => (0..outputs.len()).map(|k| format!("y{k}")).collect(),
    }
}

/// The header of an export of labels of these points, as a line.
pub(super) fn head(points: &Points, problem: &Problem) -> String {
    let (outputs, failure) = (output_names(problem), own_column(FAILURE, problem));
    let names = points.names.iter().chain(&outputs).chain([&failure]).map(|name| Out::Text(name));
    record([Out::Text(ROW)].into_iter().chain(names))
}

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
