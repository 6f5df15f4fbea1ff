//! The problem as a campaign sees it: points as the values that people read, and back.

use std::path::{Path, PathBuf};

use dal_core::{Dimension, OutputScaling, Shape, Space, Value};
use dal_files::names::canonical;
use dal_oracles::Problem;
use ndarray::{Array2, ArrayView1};
use serde_json::json;

use crate::error::CampaignError;
use crate::words::{Begun, Cell};

/// How far two points may lie apart on the unit box, in every column, and still be the same: programs and spreadsheets
/// round what they copy.
pub(crate) const SAME: f64 = 1e-9;

/// A problem with the file it came from.
#[derive(Clone, Debug)]
pub struct Subject {
    path: PathBuf,
    problem: Problem,
    names: Vec<String>,
    levels: Vec<Vec<String>>,
    outputs: Vec<String>,
}

impl Subject {
    /// Of a problem file.
    ///
    /// # Errors
    /// A problem file that cannot be used.
    pub fn open(path: &Path) -> Result<Self, CampaignError> {
        Ok(Self::of(path, dal_oracles::user::load(path)?))
    }

    /// Of a problem that is there already.
    pub fn of(path: &Path, problem: Problem) -> Self {
        let names: Vec<String> = problem.inputs().iter().map(|column| column.name.clone()).collect();
        let outputs: Vec<String> = problem.outputs().iter().map(|column| column.name.clone()).collect();
        let levels = problem.inputs().iter().map(|column| column.levels.clone()).collect();
        Self { path: path.to_owned(), problem, names, levels, outputs }
    }

    /// Whether a campaign may begin with the columns' names: it cannot change them later, and one that was begun before
    /// a name was refused stays open.
    ///
    /// # Errors
    /// Columns with names that a campaign's files use for themselves.
    pub fn check_names(&self) -> Result<(), CampaignError> {
        let Some((name, why)) = taken(&self.names, &self.outputs) else { return Ok(()) };
        let problem = format!("`{name}` {why}; choose another name for it");
        Err(CampaignError::File { path: self.path.clone(), problem })
    }

    /// The problem file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The inputs' space.
    pub fn space(&self) -> &Space {
        self.problem.space()
    }

    /// How outputs are learned.
    pub fn scaling(&self) -> &OutputScaling {
        self.problem.scaling()
    }

    /// Columns of the unit box and outputs.
    pub fn shape(&self) -> Shape {
        Shape { n_inputs: self.space().n_columns(), n_outputs: self.outputs.len() }
    }

    /// Names of the inputs.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Levels of each input; none of a number.
    pub fn levels(&self) -> &[Vec<String>] {
        &self.levels
    }

    /// Names of the outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The inputs, as the reader of tables wants them.
    pub fn inputs(&self) -> dal_files::Inputs<'_> {
        dal_files::Inputs { names: &self.names, levels: &self.levels, space: self.space() }
    }

    /// The inputs with everything that places of the unit box depend on.
    pub(crate) fn described_inputs(&self) -> Vec<serde_json::Value> {
        let inputs = self.names.iter().zip(self.space().dimensions()).zip(&self.levels);
        inputs
            .map(|((name, dimension), levels)| match dimension {
                Dimension::Continuous { low, high, scale } => {
                    json!({"name": name, "low": low, "high": high, "scale": scale})
                }
                Dimension::Integer { low, high, scale } => {
                    json!({"name": name, "low": low, "high": high, "scale": scale, "integer": true})
                }
                Dimension::Fixed { value } => json!({"name": name, "fixed": value}),
                Dimension::Categorical { .. } => json!({"name": name, "levels": levels}),
            })
            .collect()
    }

    /// What the first word says.
    pub(crate) fn begun(&self) -> Begun {
        Begun {
            version: 1,
            problem: self.problem.id().to_owned(),
            inputs: self.names.clone(),
            outputs: self.outputs.clone(),
        }
    }

    /// An error where the columns are not those of the beginning.
    pub(crate) fn check(&self, begun: &Begun) -> Result<(), CampaignError> {
        for (what, began, found) in [("inputs", &begun.inputs, &self.names), ("outputs", &begun.outputs, &self.outputs)]
        {
            if began != found {
                return Err(CampaignError::Columns {
                    path: self.path.clone(),
                    what,
                    began: began.join(", "),
                    found: found.join(", "),
                });
            }
        }
        Ok(())
    }

    /// The values that a point of the unit box stands for.
    ///
    /// # Errors
    /// A wrong number of columns.
    pub fn cells(&self, point: ArrayView1<'_, f64>) -> Result<Vec<Cell>, CampaignError> {
        let values = self.space().to_physical(point)?;
        Ok(values.iter().zip(&self.levels).map(|(value, levels)| cell(value, levels)).collect())
    }

    /// The columns of the unit box that an input takes, with what they are at a value; none of a value outside its
    /// range or levels.
    ///
    /// # Errors
    /// A space that admits no point.
    pub(crate) fn columns_at(&self, input: usize, value: Cell) -> Result<Option<Vec<(usize, f64)>>, CampaignError> {
        // Any admitted point will do for the other inputs.
        let middle = self.space().project(Array2::zeros((1, self.space().n_columns())).view())?;
        let mut cells = self.cells(middle.row(0))?;
        cells[input] = value;
        let Some(unit) = self.unit(&cells) else { return Ok(None) };
        let dimensions = self.space().dimensions();
        let first: usize = dimensions[..input].iter().map(|d| d.n_columns()).sum();
        Ok(Some((first..first + dimensions[input].n_columns()).map(|column| (column, unit[column])).collect()))
    }

    /// The point of the unit box that values stand for; none where one lies outside its bounds or is no level.
    pub fn unit(&self, cells: &[Cell]) -> Option<Vec<f64>> {
        if cells.len() != self.names.len() {
            return None;
        }
        let values = cells.iter().zip(&self.levels).zip(self.space().dimensions());
        let values: Option<Vec<Value>> = values
            .map(|((cell, levels), dimension)| match (cell, dimension) {
                (Cell::Number(v), Dimension::Continuous { .. } | Dimension::Fixed { .. }) => Some(Value::Number(*v)),
                (Cell::Number(v), Dimension::Integer { .. }) => (v.fract() == 0.0).then_some(Value::Integer(*v as i64)),
                (Cell::Level(name), Dimension::Categorical { .. }) => {
                    levels.iter().position(|level| level == name).map(Value::Level)
                }
                _ => None,
            })
            .collect();
        self.space().to_unit(&values?).ok()
    }

    /// Points of the unit box as an array, shape (n, n_columns).
    pub(crate) fn array<'a>(&self, points: impl ExactSizeIterator<Item = &'a [f64]>) -> Array2<f64> {
        let mut x = Array2::zeros((points.len(), self.space().n_columns()));
        for (mut row, point) in x.outer_iter_mut().zip(points) {
            row.iter_mut().zip(point).for_each(|(to, v)| *to = *v);
        }
        x
    }
}

/// Columns that the campaign's own files have: those of `dal ask`, `dal export`, `dal predict` and `dal label`, and of
/// Dakota's tables. Two columns of one name in a table would be read for each other.
const RESERVED: &[&str] = &[
    "id",
    "state",
    "round",
    "score",
    "disagreement",
    "distance",
    "probability",
    "outside",
    "answers",
    "owner",
    "why",
    "part",
    "row",
    "eval_id",
    "interface",
];

/// What the columns of `dal predict` have behind an output's name: its deviation, and the ends of its interval.
pub const BESIDE: [&str; 3] = ["sd", "lower", "upper"];

/// The key under which `dal predict --format json` has a point's values, beside the outputs' names.
const POINT: &str = "x";

/// The first of these names that a table of a campaign has for a column of its own, and what that is.
pub(crate) fn taken(inputs: &[String], outputs: &[String]) -> Option<(String, String)> {
    let names = inputs.iter().chain(outputs);
    let reserved = |name: &&String| RESERVED.contains(&canonical(name).as_str());
    if let Some(name) = names.clone().find(reserved) {
        return Some((name.clone(), "is a column of the campaign's own files".into()));
    }
    for output in outputs {
        for ending in BESIDE {
            let column = canonical(&format!("{output}_{ending}"));
            if let Some(name) = names.clone().find(|name| canonical(name) == column) {
                let why = format!("is what `dal predict` calls a column beside the output `{output}`");
                return Some((name.clone(), why));
            }
        }
    }
    let point = outputs.iter().find(|name| canonical(name) == POINT)?;
    Some((point.clone(), "is where `dal predict --format json` has a point's values, and cannot be an output".into()))
}

pub(crate) fn cell(value: &Value, levels: &[String]) -> Cell {
    match *value {
        Value::Number(v) => Cell::Number(v),
        Value::Integer(v) => Cell::Number(v as f64),
        Value::Level(level) => Cell::Level(levels[level].clone()),
    }
}

/// Whether two points of the unit box are the same but for rounding.
pub(crate) fn is_same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME)
}

/// The Euclidean distance of two points.
pub(crate) fn distance<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_that_tables_add_are_refused() {
        let refused = |inputs: &[&str], outputs: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("p.toml");
            let input = |name: &&str| format!("[[inputs]]\nname = \"{name}\"\nlow = 0\nhigh = 4\n");
            let output = |name: &&str| format!("[[outputs]]\nname = \"{name}\"\n");
            let inputs: String = inputs.iter().map(input).collect();
            let outputs: String = outputs.iter().map(output).collect();
            std::fs::write(&path, format!("name = \"p\"\n{inputs}{outputs}")).unwrap();
            Subject::open(&path).unwrap().check_names().err().map(|error| error.to_string())
        };
        for (inputs, outputs, name) in [
            (&["a", "distance"][..], &["y"][..], "distance"),
            (&["a"], &["answers"], "answers"),
            (&["a"], &["outside"], "outside"),
            (&["a", "interface"], &["y"], "interface"),
            (&["a"], &["y", "y_sd"], "y_sd"),
            (&["a"], &["y_sd", "y"], "y_sd"),
            (&["a", "y_upper"], &["z", "y"], "y_upper"),
            (&["y_lower"], &["y"], "y_lower"),
            (&["\u{fc}_sd"], &["u\u{308}"], "\u{fc}_sd"),
            (&["a"], &["x"], "x"),
        ] {
            let error = refused(inputs, outputs).unwrap_or_else(|| panic!("{inputs:?} {outputs:?} pass"));
            assert!(error.contains(&format!("`{name}`")) && error.contains("another name"), "{error}");
        }
        for (inputs, outputs) in [(&["a_sd", "x"][..], &["y", "z_sd"][..]), (&["a", "sd"], &["y_mean", "a_sd"])] {
            assert_eq!(refused(inputs, outputs), None);
        }
    }

    #[test]
    fn values_and_points_lead_to_each_other_past_fixed_inputs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.toml");
        let text = "name = \"p\"\n[[inputs]]\nname = \"g\"\nlow = 9.81\nhigh = 9.81\n[[inputs]]\nname = \"load\"\n\
                    low = 0\nhigh = 4\n[[inputs]]\nname = \"kind\"\nlevels = [\"a\", \"b\"]\n[[outputs]]\nname = \"y\"\n";
        std::fs::write(&path, text).unwrap();
        let subject = Subject::open(&path).unwrap();
        let point = [0.5, -1.0, 1.0];
        let cells = subject.cells(ArrayView1::from(&point)).unwrap();
        assert_eq!(cells, [Cell::Number(9.81), Cell::Number(3.0), Cell::Level("b".into())]);
        assert_eq!(subject.unit(&cells).unwrap(), point);
        assert_eq!(subject.unit(&[Cell::Number(9.8), Cell::Number(3.0), Cell::Level("b".into())]), None);
    }
}
