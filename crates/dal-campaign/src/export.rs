//! The points of a campaign as a table that people read, and that another campaign can be told.

use dal_files::write::{Out, record};

use crate::folder::Folder;
use crate::state::{Part, Point};
use crate::words::{AUDIT, Cell};

impl Folder {
    /// Every point as CSV: `id`, the inputs, the outputs, `state`, `round`, `probability`, `part`
    /// (`held-out` or `audit` for a point that models do not learn). A point of several answers
    /// has a line for each; one that failed says `error: …` in the place of its first output, so that `dal tell` takes
    /// the table as it is.
    pub fn export_csv(&self) -> String {
        let subject = self.subject();
        let texts = |names: &'_ [String]| names.to_vec();
        let header: Vec<String> = std::iter::once("id".to_owned())
            .chain(texts(subject.names()))
            .chain(texts(subject.outputs()))
            .chain(["state", "round", "probability", "part"].map(str::to_owned))
            .collect();
        let mut text = record(header.iter().map(|name| Out::Exact(name)));
        for point in self.state().points() {
            if point.answers.is_empty() {
                text += &self.line(point, None);
            }
            for values in &point.answers {
                text += &self.line(point, Some(values));
            }
        }
        text
    }

    fn line(&self, point: &Point, values: Option<&Vec<f64>>) -> String {
        let outputs = self.subject().outputs().len();
        let failure = point.failure.as_ref().filter(|_| values.is_none());
        let words = failure.map(|failure| {
            let words = if failure.words.is_empty() { &failure.kind } else { &failure.words };
            format!("error: {}", words.replace(['\n', '\r'], " "))
        });
        let round = point.drawn.and_then(|(round, place)| {
            let round = self.state().rounds().iter().find(|known| known.round == round)?;
            Some((round.round as i64, round.points.get(place).and_then(|point| point.probability)))
        });
        let mut cells = vec![Out::Whole(point.id as i64)];
        cells.extend(point.x.iter().map(out));
        match (values, &words) {
            (Some(values), _) => cells.extend(values.iter().map(|v| Out::Number(*v))),
            (None, Some(words)) => {
                cells.push(Out::Text(words));
                cells.extend((1..outputs).map(|_| Out::Empty));
            }
            (None, None) => cells.extend((0..outputs).map(|_| Out::Empty)),
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
}

/// A physical value as a cell of a table; whole numbers without a fraction.
pub fn out(cell: &Cell) -> Out<'_> {
    match cell {
        Cell::Number(v) if v.fract() == 0.0 && v.abs() < 9e15 => Out::Whole(*v as i64),
        Cell::Number(v) => Out::Number(*v),
        Cell::Level(level) => Out::Text(level),
    }
}
