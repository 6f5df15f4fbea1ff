//! The points of an input table, in columns of the unit box or of physical values.

use anyhow::{Context, Result, bail};
use dal_core::{Dimension, LabelFailure, LabelFailureKind, Value};
use dal_oracles::Problem;
use ndarray::Array2;

use crate::data::TextTable;
use crate::output::say;

/// The points of an input table.
pub(super) struct Points {
    /// On the unit box, shape (rows, columns); the rows in `outside` hold 0.
    pub(super) x: Array2<f64>,
    /// Rows that are no points of the problem's domain, in order.
    pub(super) outside: Vec<(usize, LabelFailure)>,
    /// The columns that name a point, and where the table has them.
    pub(super) names: Vec<String>,
    pub(super) places: Vec<usize>,
}

/// Points from a table in unit or physical columns, found by their names, in any order and beside others.
pub(super) fn points(problem: &Problem, table: &TextTable, shown: &str) -> Result<Points> {
    let unit: Vec<String> = (0..problem.space().n_columns()).map(|i| format!("x{i}")).collect();
    let physical: Vec<String> = problem.inputs().iter().map(|column| column.name.clone()).collect();
    let (on_box, places) = match &table.header {
        None if table.rows[0].1.len() == unit.len() => (true, (0..unit.len()).collect()),
        None => {
            let found = table.rows[0].1.len();
            bail!("{shown}: it has no header and {found} columns; {}", wanted(problem, &unit, &physical))
        }
        Some(header) => find_columns(problem, header, &unit, &physical, shown)?,
    };
    if table.header.is_none() {
        say!("{shown}: has no header; its columns are taken as {} on the unit box [-1, 1]", unit.join(","));
    }
    if let Some(header) = &table.header {
        let ignored = (0..header.len()).filter(|column| !places.contains(column));
        let ignored: Vec<&str> = ignored.map(|column| header[column].as_str()).collect();
        if !ignored.is_empty() {
            say!("{shown}: ignored, no inputs of `{}`: {}", problem.id(), ignored.join(", "));
        }
    }
    let x = Array2::zeros((table.rows.len(), unit.len()));
    let mut points = Points { x, outside: Vec::new(), names: if on_box { unit } else { physical }, places };
    for (row, (line, cells)) in table.rows.iter().enumerate() {
        // Beyond what a problem accepts a row fails by itself; what is not even a number is a mistake in the file.
        let mut outside = None;
        let mut values = Vec::with_capacity(points.places.len());
        for (index, &place) in points.places.iter().enumerate() {
            let at = || format!("line {line}, column {}", table.name(place));
            let value = if on_box {
                let v = parse_number(&cells[place]).with_context(|| format!("{shown}, {}", at()))?;
                if (-1.0..=1.0).contains(&v) { Ok(Value::Number(v)) } else { Err(format!("{v} is outside [-1, 1]")) }
            } else {
                physical_value(problem, index, &cells[place]).with_context(|| format!("{shown}, {}", at()))?
            };
            match value {
                Ok(value) => values.push(value),
                Err(reason) => outside = outside.or_else(|| Some(format!("{}: {reason}", at()))),
            }
        }
        let mut to = points.x.row_mut(row);
        match outside {
            Some(reason) => points.outside.push((row, LabelFailure::new(LabelFailureKind::Refused, reason))),
            None if on_box => to.iter_mut().zip(&values).for_each(|(to, value)| {
                if let Value::Number(v) = value {
                    *to = *v;
                }
            }),
            None => {
                let point = problem.space().to_unit(&values).with_context(|| format!("{shown}, line {line}"))?;
                to.iter_mut().zip(point).for_each(|(to, v)| *to = v);
            }
        }
    }
    Ok(points)
}

/// Whether the columns are those of the unit box, and where each stands.
fn find_columns(
    problem: &Problem,
    header: &[String],
    unit: &[String],
    physical: &[String],
    shown: &str,
) -> Result<(bool, Vec<usize>)> {
    for name in unit.iter().chain(physical) {
        if header.iter().filter(|other| *other == name).count() > 1 {
            bail!("{shown}: two columns are called {name}");
        }
    }
    let place = |name: &String| header.iter().position(|other| other == name);
    let all = |names: &[String]| names.iter().map(place).collect::<Option<Vec<usize>>>();
    match (all(unit), all(physical)) {
        (Some(places), None) => Ok((true, places)),
        (None, Some(places)) => Ok((false, places)),
        (Some(_), Some(places)) if unit == physical => Ok((false, places)),
        (Some(_), Some(_)) => bail!(
            "{shown}: its columns name each point twice, as {} on the unit box and as {} in physical values; leave one out",
            unit.join(","),
            physical.join(",")
        ),
        (None, None) => {
            let there = |names: &[String]| names.iter().filter(|name| header.contains(name)).count();
            let closer = if there(physical) > 0 { physical } else { unit };
            let missing: Vec<&str> = closer.iter().filter(|name| !header.contains(name)).map(String::as_str).collect();
            bail!(
                "{shown}: its header is {}, without {}; {}",
                header.join(","),
                missing.join(", "),
                wanted(problem, unit, physical)
            )
        }
    }
}

fn wanted(problem: &Problem, unit: &[String], physical: &[String]) -> String {
    let mut wanted = vec![format!("{} (unit box)", unit.join(","))];
    if physical != unit {
        wanted.push(format!("{} (physical values)", physical.join(",")));
    }
    format!("problem `{}` takes {}", problem.id(), wanted.join(" or "))
}

fn parse_number(cell: &str) -> Result<f64> {
    match cell.parse() {
        Ok(value) => Ok(value),
        Err(_) => bail!("{cell:?} is not a number"),
    }
}

/// The physical value of an input, or why the problem does not accept it.
///
/// # Errors
/// Text where a number is due.
fn physical_value(problem: &Problem, index: usize, cell: &str) -> Result<Result<Value, String>> {
    Ok(match problem.space().dimensions()[index] {
        Dimension::Continuous { low, high, .. } => match parse_number(cell)? {
            v if v >= low && v <= high => Ok(Value::Number(v)),
            v => Err(format!("{v} is outside [{low}, {high}]")),
        },
        // `3.0` is how tools write a whole number in a column of floats.
        Dimension::Integer { low, high } => match parse_number(cell)? {
            v if v.fract() == 0.0 && v >= low as f64 && v <= high as f64 => Ok(Value::Integer(v as i64)),
            v => Err(format!("{v} is not a whole number from {low} to {high}")),
        },
        Dimension::Categorical { .. } => {
            let levels = &problem.inputs()[index].levels;
            match levels.iter().position(|level| level == cell) {
                Some(level) => Ok(Value::Level(level)),
                None => Err(format!("{cell:?} is none of {}", levels.join(", "))),
            }
        }
    })
}
