//! What a problem file says of its columns: their names, and the dimension that each input is.

use std::collections::HashSet;
use std::path::PathBuf;

use dal_core::Dimension;
use dal_files::edge::bounds;
use dal_files::number::short;

use super::answers;
use super::error::ProblemFileError;
use super::file::{InputSpec, ProblemFile};
use super::inputs::Inputs;
use super::reader::Reader;
use super::table::Rows;

impl Reader<'_> {
    pub(super) fn check_names(&self, file: &ProblemFile) -> Result<(), ProblemFileError> {
        for (key, names) in [
            ("inputs", file.inputs.iter().map(|input| &input.name).collect::<Vec<_>>()),
            ("outputs", file.outputs.iter().map(|output| &output.name).collect()),
        ] {
            if names.is_empty() {
                return Err(self.key(key, format!("at least one is needed: add [[{key}]] with a name")));
            }
            for (index, name) in names.iter().enumerate() {
                let key = format!("{key}[{index}].name");
                if name.trim().is_empty() || name.trim() != name.as_str() || name.chars().any(char::is_control) {
                    return Err(self.key(key, format!("`{name}` is no name for a column: no blanks at the ends")));
                }
                if name.as_str() == answers::ROW {
                    return Err(
                        self.key(key, "`row` means the number of a point in a program's answer; choose another name")
                    );
                }
            }
        }
        let of_box = |name: &str| name.strip_prefix('x').filter(|digits| !digits.is_empty()).map(str::parse::<usize>);
        // x1, x2, … in order, as Dakota has them, are never all the columns of the unit box, which begins with x0.
        let from_one = file.inputs.iter().enumerate().all(|(index, input)| match of_box(&input.name) {
            Some(Ok(column)) => column == index + 1,
            _ => true,
        });
        for (index, input) in file.inputs.iter().enumerate() {
            // A file of points says by its header which columns it has, so no input may look like data or like the unit
            // box.
            let of_box = of_box(&input.name);
            let reason = match of_box {
                _ if input.name.parse::<f64>().is_ok() => {
                    "looks like a number, so a header of such names looks like data"
                }
                Some(Ok(column)) if column != index && !from_one => "means a column of the unit box, and another one",
                _ => continue,
            };
            let key = format!("inputs[{index}].name");
            return Err(self.key(key, format!("`{}` {reason}; choose another name", input.name)));
        }
        let mut seen = HashSet::new();
        let all = file.inputs.iter().map(|input| &input.name).chain(file.outputs.iter().map(|output| &output.name));
        match all.into_iter().find(|name| !seen.insert(name.as_str())) {
            Some(name) => Err(self.key("inputs, outputs", format!("two columns are called `{name}`"))),
            None => Ok(()),
        }
    }

    pub(super) fn inputs(&self, specs: &[InputSpec], table: Option<&Rows>) -> Result<Inputs, ProblemFileError> {
        let mut inputs = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let dimension = self.dimension(index, spec, table)?;
            inputs.push((spec.name.clone(), spec.levels.clone().unwrap_or_default(), dimension));
        }
        Inputs::new(inputs).map_err(|e| self.key("inputs", e.to_string()))
    }

    fn dimension(&self, index: usize, spec: &InputSpec, table: Option<&Rows>) -> Result<Dimension, ProblemFileError> {
        let at = |key: &str| format!("inputs[{index}].{key} (`{}`)", spec.name);
        if let Some(levels) = &spec.levels {
            if spec.low.is_some() || spec.high.is_some() || spec.scale.is_some() || spec.integer {
                return Err(self.key(at("levels"), "an input with levels has no low, high, scale or integer"));
            }
            let distinct: HashSet<&str> = levels.iter().map(|level| level.trim()).collect();
            if distinct.len() != levels.len()
                || levels.len() < 2
                || levels.iter().any(|l| l.trim() != l || l.is_empty())
            {
                return Err(
                    self.key(at("levels"), "at least two different levels are needed, without blanks at the ends")
                );
            }
            return Ok(Dimension::Categorical { n_levels: levels.len() });
        }
        let (low, high) = match (spec.low, spec.high, table) {
            (Some(low), Some(high), _) => (low, high),
            (low, high, Some(table)) => {
                let data = table.range(index)?;
                (low.unwrap_or(data.0), high.unwrap_or(data.1))
            }
            (low, _, None) => {
                let missing = if low.is_none() { "low" } else { "high" };
                let problem = "missing: only a table has bounds of its own; for a choice between names give levels";
                return Err(self.key(at(missing), problem));
            }
        };
        let scale = spec.scale.unwrap_or_default();
        bounds(low, high, scale, spec.integer).map_err(|fault| match table {
            // What a table says of itself is told of the table.
            Some(table) if spec.low.is_none() || spec.high.is_none() => ProblemFileError::Table {
                path: PathBuf::from(table.file()),
                message: format!(
                    "{}: column {} runs from {} to {}: {fault}; or give low and high in {}",
                    table.file(),
                    spec.name,
                    short(low),
                    short(high),
                    self.path.display()
                ),
            },
            _ => self.key(at(fault.key()), fault.to_string()),
        })
    }
}
