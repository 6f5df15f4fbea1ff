//! The problems, one file each. A new one is a file, its `mod` line and its entry in [`CATALOGUE`].

pub mod adm;
pub mod bessel;
pub mod damp;
pub mod foil;
pub mod hydro;
mod parts;
pub mod robo;
pub mod sine;
pub mod stack;

pub use crate::problem::{Built, Definition};

/// Every problem, in the order of the paper's table.
pub static CATALOGUE: &[&Definition] = &[
    &sine::DEFINITION,
    &robo::DEFINITION,
    &stack::DEFINITION,
    &adm::DEFINITION,
    &foil::DEFINITION,
    &hydro::DEFINITION,
    &bessel::DEFINITION,
    &damp::DEFINITION,
];
