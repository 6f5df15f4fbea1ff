//! Problems: built-in ones and users' files, on arrays of the unit box and in physical values.

use dal_core::{Dimension, LabelFailure, Scale, SeedPath, StopLevel, Value, every};
use ndarray::Array2;
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use serde_json::json;

use crate::arrays::{matrix, out};
use crate::errors;
use crate::select::settings;
use crate::work::{at_once, guarded, interruptible};

/// A problem ready to be sampled and labelled.
#[pyclass(frozen, module = "dal_regression._core")]
pub(crate) struct Problem(dal_oracles::Problem);

/// The cards of the built-in problems, as JSON.
#[pyfunction]
pub(crate) fn problems() -> PyResult<String> {
    let cards: Vec<_> = dal_oracles::catalogue().collect();
    serde_json::to_string(&cards).map_err(|error| errors::json("cards", &error))
}

#[pymethods]
impl Problem {
    /// A built-in problem with settings, or that of a problem file.
    #[new]
    fn new(py: Python<'_>, name: &str, settings_json: &str) -> PyResult<Self> {
        let given = settings(settings_json)?;
        if name.ends_with(".toml") || name.contains(std::path::MAIN_SEPARATOR) {
            if let Some(key) = given.keys().next() {
                return Err(errors::input(format!("{key}: a problem file has no settings; edit {name} instead")));
            }
            let problem = at_once(py, |_| dal_oracles::user::load(name))?;
            return problem.map(Self).map_err(|error| errors::FolderError::new_err(error.to_string()));
        }
        at_once(py, |_| dal_oracles::find(name, &given))?.map(Self).map_err(|error| errors::setting(&error))
    }

    /// Name, title, inputs, outputs, and the card of a built-in one, as JSON.
    fn describe(&self) -> PyResult<String> {
        let problem = &self.0;
        let dimensions = problem.space().dimensions().iter();
        let inputs = problem.inputs().iter().zip(dimensions).map(|(column, dimension)| {
            let mut input = json!({"name": column.name, "unit": column.unit});
            let scaled = |scale: Scale| if scale == Scale::Linear { "linear" } else { "log" };
            let more = match *dimension {
                Dimension::Continuous { low, high, scale } => {
                    json!({"kind": "number", "low": low, "high": high, "scale": scaled(scale)})
                }
                Dimension::Integer { low, high, scale } => {
                    json!({"kind": "integer", "low": low, "high": high, "scale": scaled(scale)})
                }
                Dimension::Categorical { .. } => json!({"kind": "levels", "levels": column.levels}),
                Dimension::Fixed { value } => json!({"kind": "fixed", "value": value}),
            };
            if let (Some(input), serde_json::Value::Object(more)) = (input.as_object_mut(), more) {
                input.extend(more);
            }
            input
        });
        let outputs = problem.outputs().iter().map(|column| json!({"name": column.name, "unit": column.unit}));
        let card = problem.card().map(serde_json::to_value).transpose();
        let text = json!({
            "id": problem.id(),
            "variant": problem.variant_id(),
            "title": problem.title(),
            "inputs": inputs.collect::<Vec<_>>(),
            "outputs": outputs.collect::<Vec<_>>(),
            "n_columns": problem.space().n_columns(),
            "answered_by": problem.answered_by().in_words(),
            "card": card.map_err(|error| errors::json("card", &error))?,
        });
        Ok(text.to_string())
    }

    /// Points of the unit box, drawn uniformly, shape (n, columns).
    fn sample<'py>(&self, py: Python<'py>, n: usize, seed: u64) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let space = self.0.space();
        // Memory that is not there would end the process.
        let values = n.checked_mul(space.n_columns());
        if values.is_none_or(|values| Vec::<f64>::new().try_reserve_exact(values).is_err()) {
            return Err(errors::input(format!("n={n}: so many points do not fit into memory")));
        }
        let seeds = SeedPath::root(seed).purpose("select").purpose("pool");
        Ok(out(py, at_once(py, |_| space.sample(n, &seeds))?))
    }

    /// The table's points, where the problem has one.
    fn candidates<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray2<f64>>> {
        self.0.candidates().map(|table| out(py, table.clone()))
    }

    /// Answers at points of the unit box (n, columns), shape (n, J), NaN where there is none; why: row, kind, words.
    #[allow(clippy::type_complexity)]
    fn label<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<(Bound<'py, PyArray2<f64>>, Vec<(usize, String, String)>)> {
        let x = matrix(&x);
        let oracle = guarded(|| self.0.oracle())?.map_err(|error| errors::OracleFailure::new_err(error.to_string()))?;
        let outcome = interruptible(py, StopLevel::Now, move |stop| {
            let mut y = Array2::from_elem((x.nrows(), oracle.n_outputs()), f64::NAN);
            let mut failures = Vec::new();
            let mut keep = every(|row: usize, answer: Result<&[f64], LabelFailure>| match answer {
                Ok(values) => y.row_mut(row).iter_mut().zip(values).for_each(|(to, v)| *to = *v),
                Err(failure) => failures.push((row, failure.kind.id().to_owned(), failure.message)),
            });
            let outcome = oracle.label(x.view(), stop, &mut keep);
            drop(keep);
            outcome.map(|()| (y, failures)).map_err(|error| errors::oracle(&error))
        })?;
        let (y, failures) = outcome?;
        Ok((out(py, y), failures))
    }

    /// Physical values of points of the unit box, one list a point: numbers, whole numbers, names of levels.
    fn to_physical(&self, py: Python<'_>, x: PyReadonlyArray2<'_, f64>) -> PyResult<Vec<Vec<Py<PyAny>>>> {
        let x = matrix(&x);
        let point = |row: ndarray::ArrayView1<'_, f64>| -> PyResult<Vec<Py<PyAny>>> {
            let values = self.0.space().to_physical(row).map_err(|error| errors::refused(&error))?;
            let value = |(input, value): (usize, Value)| -> PyResult<Py<PyAny>> {
                Ok(match value {
                    Value::Number(v) => v.into_pyobject(py)?.into_any().unbind(),
                    Value::Integer(v) => v.into_pyobject(py)?.into_any().unbind(),
                    Value::Level(level) => match self.0.inputs()[input].levels.get(level) {
                        Some(name) => name.into_pyobject(py)?.into_any().unbind(),
                        None => level.into_pyobject(py)?.into_any().unbind(),
                    },
                })
            };
            values.into_iter().enumerate().map(value).collect()
        };
        x.outer_iter().map(point).collect()
    }

    /// Points of the unit box of physical values, one list a point.
    fn to_unit<'py>(
        &self,
        py: Python<'py>,
        points: Vec<Vec<Bound<'py, PyAny>>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let space = self.0.space();
        let mut x = Array2::zeros((points.len(), space.n_columns()));
        for (row, values) in points.iter().enumerate() {
            let n = space.dimensions().len();
            if values.len() != n {
                return Err(errors::input(format!("point {row} has {} values, the problem {n} inputs", values.len())));
            }
            let mut point = Vec::with_capacity(n);
            for ((value, dimension), input) in values.iter().zip(space.dimensions()).zip(self.0.inputs()) {
                let wrong = |wanted: &str| {
                    errors::input(format!("point {row}, {}: {value}, where {wanted} is due", input.name))
                };
                point.push(match dimension {
                    Dimension::Continuous { .. } | Dimension::Fixed { .. } => {
                        Value::Number(value.extract().map_err(|_| wrong("a number"))?)
                    }
                    Dimension::Integer { .. } => {
                        let v: f64 = value.extract().map_err(|_| wrong("a whole number"))?;
                        if v.fract() != 0.0 || v.abs() > 9e15 {
                            return Err(wrong("a whole number"));
                        }
                        Value::Integer(v as i64)
                    }
                    Dimension::Categorical { .. } => {
                        let name: String = value.extract().map_err(|_| wrong("the name of a level"))?;
                        let level = input.levels.iter().position(|level| *level == name);
                        Value::Level(level.ok_or_else(|| wrong(&format!("one of {}", input.levels.join(", "))))?)
                    }
                });
            }
            let unit = space.to_unit(&point).map_err(|error| errors::input(format!("point {row}: {error}")))?;
            x.row_mut(row).iter_mut().zip(unit).for_each(|(to, v)| *to = v);
        }
        Ok(out(py, x))
    }
}
