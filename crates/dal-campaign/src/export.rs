//! The points of a campaign as a table that people read, and that another campaign can be told.

use std::path::Path;

use dal_files::write::{Out, record};

use crate::error::CampaignError;
use crate::folder::{Folder, begun};
use crate::state::{Part, Point, State};
use crate::words::{AUDIT, Cell};

impl Folder {
    /// Every point as CSV: `id`, the inputs, the outputs, `state`, `round`, `probability`, `part`
    /// (`held-out` or `audit` for a point that models do not learn). A point of several answers
    /// has a line for each; one that failed says `error: …` in the place of its first output, so that `dal tell` takes
    /// the table as it is.
    pub fn export_csv(&self) -> String {
        csv(self.state(), self.subject().names(), self.subject().outputs())
    }
}

/// The same of a campaign whose problem file has other columns by now, so that it cannot be opened: under the columns
/// that it began with.
///
/// # Errors
/// No campaign, a log that lacks a line, a problem file that cannot be read at all.
pub fn export_begun(root: &Path) -> Result<String, CampaignError> {
    let (words, begun, subject) = begun(root)?;
    // Of the subject only places on the unit box would come, which a table does not have.
    Ok(csv(&State::of(&words, &subject), &begun.inputs, &begun.outputs))
}

fn csv(state: &State, inputs: &[String], outputs: &[String]) -> String {
    let own = |name: &&'static str| (*name).to_owned();
    let header: Vec<String> = std::iter::once("id".to_owned())
        .chain(inputs.iter().chain(outputs).cloned())
        .chain(["state", "round", "probability", "part"].iter().map(own))
        .collect();
    let mut text = record(header.iter().map(|name| Out::Exact(name)));
    for point in state.points() {
        if point.answers.is_empty() {
            text += &line(state, point, None, outputs.len());
        }
        for values in &point.answers {
            text += &line(state, point, Some(values), outputs.len());
        }
    }
    text
}

fn line(state: &State, point: &Point, values: Option<&Vec<f64>>, n_outputs: usize) -> String {
    let failure = point.failure.as_ref().filter(|_| values.is_none());
    let words = failure.map(|failure| {
        let words = if failure.words.is_empty() { &failure.kind } else { &failure.words };
        format!("error: {}", words.replace(['\n', '\r'], " "))
    });
    let round = point.drawn.and_then(|(round, place)| {
        let round = state.rounds().iter().find(|known| known.round == round)?;
        Some((round.round as i64, round.points.get(place).and_then(|point| point.probability)))
    });
    let mut cells = vec![Out::Whole(point.id as i64)];
    cells.extend(point.x.iter().map(out));
    match (values, &words) {
        (Some(values), _) => cells.extend(values.iter().map(|v| Out::Number(*v))),
        (None, Some(words)) => {
            cells.push(Out::Text(words));
            cells.extend((1..n_outputs).map(|_| Out::Empty));
        }
        (None, None) => cells.extend((0..n_outputs).map(|_| Out::Empty)),
    }
    cells.push(Out::Exact(point.status().id()));
    cells.push(round.map_or(Out::Empty, |(round, _)| Out::Whole(round)));
    cells.push(round.and_then(|(_, probability)| probability).map_or(Out::Empty, Out::Number));
    cells.push(match point.part {
        Part::Learned => Out::Empty,
        Part::HeldOut => Out::Exact("held-out"),
        Part::Audit => Out::Exact(AUDIT),
    });
    record(cells)
}

/// A physical value as a cell of a table; whole numbers without a fraction.
pub fn out(cell: &Cell) -> Out<'_> {
    match cell {
        Cell::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => Out::Whole(*v as i64),
        Cell::Number(v) => Out::Number(*v),
        Cell::Level(level) => Out::Text(level),
    }
}
