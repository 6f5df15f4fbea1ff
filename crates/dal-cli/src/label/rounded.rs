//! Which point a row means whose numbers a spreadsheet has rounded.

use dal_core::{Dimension, Value};
use dal_files::number::Decimal;
use dal_files::{Labelled, Points, Separator, Units, cells, edge};
use dal_oracles::Problem;
use dal_store::Answers;
use ndarray::ArrayView1;

use crate::problem::Columns;

/// What rounding of 64-bit floats and of the way between units may cost, relative.
const ROUNDING: f64 = 1e-13;

/// Whether these are the values of a row as it shows them: levels and whole numbers alike, others within the last
/// digit.
fn agrees(earlier: &Labelled, row: usize, own: &[f64], other: &[f64], places: &[usize]) -> bool {
    let halves = &earlier.point_rounding[row];
    own.len() == other.len()
        && places.iter().zip(halves).all(|(&at, half)| {
            let slack = half * (1.0 + 1e-9) + ROUNDING * own[at].abs().max(other[at].abs());
            (own[at] - other[at]).abs() <= slack
        })
}

/// The values of a point in the units of a file: a level is its number.
fn values(problem: &Problem, units: Units, x: ArrayView1<'_, f64>) -> Option<Vec<f64>> {
    match units {
        Units::UnitBox => Some(x.to_vec()),
        Units::Physical => Some(problem.space().to_physical(x).ok()?.iter().map(plain).collect()),
    }
}

fn plain(value: &Value) -> f64 {
    match *value {
        Value::Number(v) => v,
        Value::Integer(v) => v as f64,
        Value::Level(level) => level as f64,
    }
}

/// The places among a point's values of the columns that a file has: inputs that are fixed may be missing.
fn places(problem: &Problem, points: &Points) -> Vec<usize> {
    let names = Columns::of(problem);
    let of_name = |name: &String| names.names().iter().position(|other| other == name);
    match points.units {
        Units::UnitBox => (0..points.places.len()).collect(),
        Units::Physical => points.names.iter().filter_map(of_name).collect(),
    }
}

/// The point of the input that a row is, rounded or not: it has the row's number, and its values are those that the row
/// shows.
pub(super) fn input_row<'a>(
    earlier: &Labelled,
    row: usize,
    points: &'a Points,
    problem: &Problem,
) -> Option<ArrayView1<'a, f64>> {
    let number = earlier.rows[row].filter(|&number| number < points.x.nrows())?;
    if points.outside.iter().any(|(outside, _)| *outside == number) {
        return None;
    }
    let units = earlier.points.units;
    let own = values(problem, units, earlier.points.x.row(row))?;
    let other = values(problem, units, points.x.row(number))?;
    let places = places(problem, &earlier.points);
    agrees(earlier, row, &own, &other, &places).then(|| points.x.row(number))
}

/// Kept answers, by the value of an input that varies most.
pub(super) struct Known<'a> {
    earlier: &'a Labelled,
    own: Vec<Option<Vec<f64>>>,
    places: Vec<usize>,
    /// The place that orders them.
    by: usize,
    /// Values, the line that they are kept under, the label.
    kept: Vec<(Vec<f64>, String, Vec<f64>)>,
}

impl<'a> Known<'a> {
    /// The answers that a file may hold.
    pub(super) fn of(answers: &Answers, problem: &Problem, earlier: &'a Labelled) -> Self {
        let (columns, units) = (Columns::of(problem), earlier.points.units);
        let inputs = columns.inputs(problem);
        let dimensions = inputs.space.dimensions();
        let point = |line: &str| -> Option<Vec<f64>> {
            let cells = cells(line, Separator::Comma);
            let cells = cells.iter().zip(dimensions).zip(inputs.levels);
            let place = |((cell, dimension), levels): ((&String, &Dimension), &Vec<String>)| {
                edge::value(dimension, levels, cell, Decimal::Point).ok().map(|placed| placed.value)
            };
            let physical: Vec<Value> = cells.map(place).collect::<Option<_>>()?;
            match units {
                Units::Physical => Some(physical.iter().map(plain).collect()),
                Units::UnitBox => inputs.space.to_unit(&physical).ok(),
            }
        };
        let mut kept: Vec<(Vec<f64>, String, Vec<f64>)> = Vec::new();
        for (line, answer) in answers.rows() {
            if let (Some(point), Ok(label)) = (point(&line), answer) {
                kept.push((point, line, label));
            }
        }
        let places = places(problem, &earlier.points);
        let continuous =
            |&&at: &&usize| units == Units::UnitBox || matches!(dimensions.get(at), Some(Dimension::Continuous { .. }));
        let by = places.iter().find(continuous).or(places.first()).copied().unwrap_or(0);
        kept.sort_by(|a, b| a.0[by].total_cmp(&b.0[by]));
        let own = earlier.points.x.outer_iter().map(|x| values(problem, units, x)).collect();
        Self { earlier, own, places, by, kept }
    }

    /// The kept answer that a row with this label is, rounded or not: its line and its label.
    pub(super) fn near(&self, row: usize, label: &[f64]) -> Option<(String, Vec<f64>)> {
        let own = self.own[row].as_ref()?;
        let at = self.places.iter().position(|&place| place == self.by)?;
        let value = own[self.by];
        let slack = self.earlier.point_rounding[row][at] * (1.0 + 1e-9) + ROUNDING * value.abs();
        let first = self.kept.partition_point(|(point, ..)| point[self.by] < value - slack);
        let halves = &self.earlier.label_rounding[row];
        let is_label = |kept: &[f64]| {
            let each = kept.iter().zip(label).zip(halves);
            each.into_iter().all(|((a, b), half)| (a - b).abs() <= half * (1.0 + 1e-9) + ROUNDING * b.abs())
        };
        self.kept[first..]
            .iter()
            .take_while(|(point, ..)| point[self.by] <= value + slack)
            .find(|(point, _, kept)| agrees(self.earlier, row, own, point, &self.places) && is_label(kept))
            .map(|(_, line, label)| (line.clone(), label.clone()))
    }
}
