//! `dal_regression._core`: what the Python package calls. Everything here works on plain arrays and JSON texts; the
//! hand-written Python beside it gives them their names.

mod arrays;
mod campaign;
mod ensemble;
mod errors;
mod problem;
mod select;
mod work;

use pyo3::prelude::*;

/// The system's allocator gives a few megabytes back after every call, and the next call has the kernel clear new
/// pages: that took as long as a whole selection.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled part of `dal_regression`.
#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("RESULTS_REVISION", dal_core::RESULTS_REVISION)?;
    errors::register(py, m)?;
    m.add_function(wrap_pyfunction!(select::select, m)?)?;
    m.add_function(wrap_pyfunction!(select::strategies, m)?)?;
    m.add_function(wrap_pyfunction!(program, m)?)?;
    #[cfg(debug_assertions)]
    m.add_function(wrap_pyfunction!(work::provoke_panic, m)?)?;
    m.add_class::<ensemble::Ensemble>()?;
    m.add_class::<problem::Problem>()?;
    m.add_class::<campaign::Campaign>()?;
    m.add_function(wrap_pyfunction!(problem::problems, m)?)
}

/// Runs the program `dal` with these words, the program's name first; gives its exit code.
#[pyfunction]
fn program(py: Python<'_>, words: Vec<String>) -> PyResult<u8> {
    work::guarded(|| py.detach(|| dal_cli::run(words)))
}
