//! Query methods on a caller's own data: `dal select` without files.

use dal_acq::{Chosen, GivenPredictions, Known, select_known};
use dal_core::{SeedPath, Settings, Stop};
use numpy::{PyArray1, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{block, matrix, rows};
use crate::errors;
use crate::work::{at_once, left_behind};

/// Settings from a JSON object; keys whose value is null are left out.
pub(crate) fn settings(text: &str) -> PyResult<Settings> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| errors::json("settings", &error))?;
    let kept = object.into_iter().filter(|(_, value)| !value.is_null());
    Ok(kept.fold(Settings::default(), |settings, (key, value)| settings.with(key, value)))
}

/// Chooses `n` rows of a pool (N, d). Labelled points (m, d), answers (m, J) and members' predictions (M, N, J) where
/// there are any. Gives `picked`, `picked_scores`, `probabilities`, `scores`, `notes`.
#[pyfunction]
#[pyo3(signature = (method, settings_json, pool, x=None, y=None, members=None, n=40, seed=0))]
pub(crate) fn select<'py>(
    py: Python<'py>,
    method: &str,
    settings_json: &str,
    pool: PyReadonlyArray2<'py, f64>,
    x: Option<PyReadonlyArray2<'py, f64>>,
    y: Option<PyReadonlyArray2<'py, f64>>,
    members: Option<PyReadonlyArray3<'py, f64>>,
    n: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let found = dal_acq::find(method, &settings(settings_json)?).map_err(|error| errors::setting(&error))?;
    let pool = matrix(&pool);
    let (x, y) = (x.as_ref().map(matrix), y.as_ref().map(matrix));
    let members = members.as_ref().map(block);
    let is_short = is_short(
        method,
        [pool.nrows(), x.as_ref().map_or(0, |x| x.nrows()).saturating_add(n)],
        [pool.ncols(), y.as_ref().map_or(0, |y| y.ncols()), members.as_ref().map_or(0, |m| m.len() / m.dim().1.max(1))],
    );
    let work = move |stop: &Stop| {
        let given = members.map(|members| GivenPredictions::new(pool.clone(), members)).transpose();
        let given = given.map_err(|error| errors::refused(&error))?;
        let known = Known {
            space: None,
            x: x.as_ref().map(|x| x.view()),
            y: y.as_ref().map(|y| y.view()),
            predictions: given.as_ref(),
        };
        // The streams of `dal select`.
        let seeds = SeedPath::root(seed).purpose("select");
        select_known(&found, &known, pool.view(), n, &seeds, stop).map_err(|error| errors::selection(&error))
    };
    let outcome = if is_short { at_once(py, work) } else { left_behind(py, work) }?;
    answer(py, outcome?)
}

/// Rules that look at each pair of a pool point and a labelled or picked one once.
const BY_PAIRS: [&str; 6] = ["random", "gsx", "gsxy", "gsy", "qbc", "qbc-diversity"];
/// Numbers that such a rule looks at in a few hundredths of a second.
const SHORT: usize = 1 << 28;

/// Whether a selection is over before signals would be looked at: rows of the pool, and labelled or picked ones;
/// columns of a point, its outputs, predictions of a point.
fn is_short(method: &str, [n_pool, n_known]: [usize; 2], [inputs, outputs, predictions]: [usize; 3]) -> bool {
    let a_row = n_known.saturating_mul(inputs + outputs).saturating_add(predictions);
    BY_PAIRS.contains(&method) && n_pool.saturating_mul(a_row) <= SHORT
}

/// What was chosen, as a dictionary.
pub(crate) fn answer(py: Python<'_>, chosen: Chosen) -> PyResult<Bound<'_, PyDict>> {
    let answer = PyDict::new(py);
    let numbers = |values: Option<ndarray::Array1<f64>>| values.map(|values| PyArray1::from_owned_array(py, values));
    answer.set_item("picked", rows(py, &chosen.picked))?;
    answer.set_item("picked_scores", numbers(chosen.picked_scores))?;
    answer.set_item("probabilities", numbers(chosen.probabilities))?;
    answer.set_item("scores", numbers(chosen.scores))?;
    answer.set_item("notes", chosen.notes)?;
    Ok(answer)
}

/// The cards of all strategies with their needs and defaults, as JSON: what `dal strategies --format json` prints.
#[pyfunction]
pub(crate) fn strategies() -> PyResult<String> {
    let cards = dal_acq::catalogue().map(dal_acq::Card::in_full).collect::<serde_json::Result<Vec<_>>>();
    cards.and_then(|cards| serde_json::to_string(&cards)).map_err(|error| errors::json("cards", &error))
}
