//! The exceptions of the package: a small hierarchy, each with the message of the error that it stands for.

use std::error::Error;

use dal_acq::SelectError;
use dal_campaign::CampaignError;
use dal_core::{LearnError, OracleError, SettingError, StrategyError};
use pyo3::exceptions::{PyException, PyKeyboardInterrupt};
use pyo3::prelude::*;
use pyo3::{create_exception, import_exception};

create_exception!(dal_regression, DalError, PyException, "An error of dal_regression; the others are of this kind.");
create_exception!(dal_regression, InternalError, DalError, "A defect of dal_regression itself: please report it.");
create_exception!(dal_regression, OracleFailure, DalError, "What labels points cannot do so, or gave no answer.");
create_exception!(dal_regression, TrainingError, DalError, "A network could not be trained, or cannot answer.");
create_exception!(dal_regression, FolderError, DalError, "A file or folder cannot be used as it is.");
// Wrong arguments are a ValueError as well: Python makes the class, since two parents need it.
import_exception!(dal_regression._errors, InputError);
import_exception!(dal_regression._errors, NeedsModelError);

/// Adds the exceptions to the module.
pub(crate) fn register(py: Python<'_>, m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("DalError", py.get_type::<DalError>())?;
    m.add("InternalError", py.get_type::<InternalError>())?;
    m.add("OracleFailure", py.get_type::<OracleFailure>())?;
    m.add("TrainingError", py.get_type::<TrainingError>())?;
    m.add("FolderError", py.get_type::<FolderError>())
}

/// An error with what lies under it, on one line, where its message does not say that already.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(under) = source {
        let more = under.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = under.source();
    }
    text
}

/// An argument that makes no sense.
pub(crate) fn input(message: impl Into<String>) -> PyErr {
    InputError::new_err(message.into())
}

/// An argument that a part of the program refused.
pub(crate) fn refused(error: &dyn Error) -> PyErr {
    input(told(error))
}

/// A setting that was refused, with the hint that belongs to it.
pub(crate) fn setting(error: &SettingError) -> PyErr {
    let hint = error.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
    input(format!("{error}{hint}"))
}

/// A selection that cannot be made.
pub(crate) fn selection(error: &SelectError) -> PyErr {
    match error {
        SelectError::Strategy(StrategyError::Stopped) => PyKeyboardInterrupt::new_err("the selection was stopped"),
        SelectError::NeedsModel { .. } | SelectError::PicksNothing => NeedsModelError::new_err(told(error)),
        _ => refused(error),
    }
}

/// A training that failed.
pub(crate) fn learning(error: &LearnError) -> PyErr {
    match error {
        LearnError::Stopped => PyKeyboardInterrupt::new_err("the training was stopped"),
        _ => TrainingError::new_err(told(error)),
    }
}

/// What labels points cannot do so.
pub(crate) fn oracle(error: &OracleError) -> PyErr {
    match error {
        OracleError::Stopped => PyKeyboardInterrupt::new_err("labelling was stopped"),
        OracleError::Down { .. } | OracleError::Unavailable { .. } => OracleFailure::new_err(told(error)),
        _ => refused(error),
    }
}

/// A campaign that cannot do what it was asked to.
pub(crate) fn campaign(error: &CampaignError) -> PyErr {
    match error {
        CampaignError::Stopped => {
            PyKeyboardInterrupt::new_err("stopped; what was said stands, and the same call goes on")
        }
        CampaignError::Learn(error) => learning(error),
        CampaignError::Oracle(error) => oracle(error),
        CampaignError::Down { .. } | CampaignError::InDoubt { .. } | CampaignError::NothingLabelled { .. } => {
            OracleFailure::new_err(told(error))
        }
        CampaignError::Surrogate(_) => TrainingError::new_err(told(error)),
        CampaignError::Setting(error) => setting(error),
        CampaignError::NoNetwork
        | CampaignError::Request { .. }
        | CampaignError::Rows { .. }
        | CampaignError::Table(_) => refused(error),
        CampaignError::Space(_) | CampaignError::Strategy(_) | CampaignError::Choice(_) => refused(error),
        CampaignError::Absent { .. }
        | CampaignError::Present { .. }
        | CampaignError::Busy { .. }
        | CampaignError::Log { .. }
        | CampaignError::File { .. }
        | CampaignError::Columns { .. }
        | CampaignError::Problem(_)
        | CampaignError::Store(_) => FolderError::new_err(told(error)),
    }
}

/// A text that should have been JSON of a certain kind.
pub(crate) fn json(what: &str, error: &serde_json::Error) -> PyErr {
    input(format!("{what}: {error}"))
}
