//! A user's inputs: names and levels beside the space, and the way between points, physical values and text.

use dal_core::{Dimension, Space, SpaceError, Value};
use dal_files::write::{Out, record};
use ndarray::{Array2, ArrayView1, ArrayView2};

/// The inputs of a user's problem, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inputs {
    names: Vec<String>,
    /// The level names of each categorical input; empty for the others.
    levels: Vec<Vec<String>>,
    space: Space,
}

impl Inputs {
    /// Names, levels and dimensions in step.
    pub(super) fn new(inputs: Vec<(String, Vec<String>, Dimension)>) -> Result<Self, SpaceError> {
        let space = Space::new(inputs.iter().map(|(_, _, dimension)| dimension.clone()).collect())?;
        let (names, levels) = inputs.into_iter().map(|(name, levels, _)| (name, levels)).unzip();
        Ok(Self { names, levels, space })
    }

    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The level names of each categorical input; empty for the others.
    pub(super) fn levels(&self) -> &[Vec<String>] {
        &self.levels
    }

    /// As the reader of tables takes them.
    pub(super) fn of_files(&self) -> dal_files::Inputs<'_> {
        dal_files::Inputs { names: &self.names, levels: &self.levels, space: &self.space }
    }

    /// The header of a CSV file of points, with its line break.
    pub(super) fn header(&self) -> String {
        record(self.names.iter().map(|name| Out::Exact(name)))
    }

    /// A point of the unit box as a line of CSV in physical units, numbers in the shortest form that reads back the
    /// same.
    pub(super) fn csv_line(&self, point: ArrayView1<'_, f64>) -> Result<String, SpaceError> {
        let values = self.space.to_physical(point)?;
        let text = values.iter().zip(&self.levels).map(|(value, levels)| match *value {
            Value::Level(level) => levels[level].clone(),
            other => other.to_string(),
        });
        Ok(record(text.collect::<Vec<_>>().iter().map(|cell| Out::Exact(cell))))
    }

    /// Points of the unit box as numbers in physical units, shape (n, inputs); a level is its 0-based number.
    pub(super) fn physical(&self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>, SpaceError> {
        let mut physical = Array2::zeros((x.nrows(), self.names.len()));
        for (point, mut row) in x.outer_iter().zip(physical.outer_iter_mut()) {
            for (to, value) in row.iter_mut().zip(self.space.to_physical(point)?) {
                *to = match value {
                    Value::Number(v) => v,
                    Value::Integer(v) => v as f64,
                    Value::Level(v) => v as f64,
                };
            }
        }
        Ok(physical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::{Scale, SeedPath};
    use dal_files::edge::value;
    use dal_files::number::Decimal;

    fn inputs() -> Inputs {
        let levels = ["steel", "a \"soft\", light one"].map(str::to_owned).to_vec();
        Inputs::new(vec![
            ("speed".into(), vec![], Dimension::Continuous { low: 0.5, high: 80.0, scale: Scale::Log }),
            ("blades".into(), vec![], Dimension::Integer { low: 2, high: 6, scale: Scale::Linear }),
            ("material".into(), levels, Dimension::Categorical { n_levels: 2 }),
        ])
        .unwrap()
    }

    #[test]
    fn points_survive_the_way_through_csv() {
        let inputs = inputs();
        assert_eq!(inputs.header(), "speed,blades,material\n");
        for point in inputs.space().sample(200, &SeedPath::root(2)).outer_iter() {
            let line = inputs.csv_line(point).unwrap();
            let record = dal_files::cells(&line, dal_files::Separator::Comma);
            let read = |i: usize| {
                let dimension = &inputs.space().dimensions()[i];
                value(dimension, &inputs.levels[i], &record[i], Decimal::Point).unwrap().value
            };
            let values: Vec<Value> = (0..3).map(read).collect();
            assert_eq!(values, inputs.space().to_physical(point).unwrap());
        }
    }

    #[test]
    fn levels_are_numbers_in_physical_points() {
        let inputs = inputs();
        let x = inputs.space().to_unit(&[Value::Number(0.5), Value::Integer(6), Value::Level(1)]).unwrap();
        let x = Array2::from_shape_vec((1, 4), x).unwrap();
        let physical = inputs.physical(x.view()).unwrap();
        assert_eq!(physical.row(0).to_vec(), [0.5, 6.0, 1.0]);
    }
}
