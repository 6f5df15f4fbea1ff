//! The oracles of problem `adm`: the embedded ADM-like network, and networks of the published architecture from a
//! folder.

mod features;
mod spectrum;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use dal_core::{OnRow, Oracle, OracleError, Stop, check_unit_box};
use ndarray::{Array2, ArrayView1, ArrayView2};
use thiserror::Error;

use crate::network::{Network, NetworkError};
use crate::rows::finite;

pub use features::{canonical, images};
use spectrum::ClosedForm;

/// Inputs: h, p, rma1..4, rmi1..4, θ1..4.
pub const N_INPUTS: usize = 14;
/// Outputs: absorptivity at 100, 100.2, ... 499.8 THz.
pub const N_OUTPUTS: usize = 2000;

/// An oracle of `adm` that cannot be loaded.
#[derive(Debug, Error)]
pub enum AdmError {
    /// The network itself is wrong.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// It is a network of something else.
    #[error(
        "the network takes {inputs} inputs and gives {outputs} outputs; {needed_inputs} and {needed_outputs} are needed"
    )]
    Size {
        /// Inputs it takes.
        inputs: usize,
        /// Inputs needed.
        needed_inputs: usize,
        /// Outputs it gives.
        outputs: usize,
        /// Outputs needed.
        needed_outputs: usize,
    },
    /// The embedded constants of the closed form cannot be read.
    #[error("the closed form's constants: {message}")]
    ClosedForm {
        /// What is wrong.
        message: String,
    },
}

/// The ADM-like oracle: the cell seen from each pillar → a small trained network → coupled modes → a closed form.
///
/// It stands in for the published ADM networks, which cannot be shipped. The network (20 → 384 → 384 → 384 → 45, ReLU,
/// F16 weights, evaluated once per pillar) was trained on a coupled-mode generator that was fitted to a hundred
/// simulated spectra; see `docs/adm.md` of the project for what that is worth. Its answer lies in [0, 1].
///
/// Two symmetries hold bit by bit: permuting the four pillars by 1032, 2301 or 3210, and flipping the sign of all four
/// angles. A point is first replaced by the smallest of its eight images. What the network sees is invariant anyway, up
/// to rounding, so that the answer has no jump where another image becomes the smallest.
pub struct AdmLike {
    network: Network,
    form: ClosedForm,
}

impl AdmLike {
    /// The one that is embedded.
    ///
    /// # Errors
    /// None, unless the program was built from damaged files.
    pub fn embedded() -> Result<Self, AdmError> {
        Self::from_parts(dal_fixtures::ADM_LIKE_MANIFEST, dal_fixtures::ADM_LIKE_WEIGHTS, dal_fixtures::ADM_LIKE_FORM)
    }

    /// One from a manifest and weights as [`Network::from_bytes`] takes them, and the closed form's constants as TOML.
    ///
    /// # Errors
    /// Parts that cannot be read or do not fit each other.
    pub fn from_parts(manifest: &str, weights: &[u8], form: &str) -> Result<Self, AdmError> {
        let network = Network::from_bytes(manifest, &[weights])?;
        let form = ClosedForm::from_toml(form)?;
        check_size(&network, features::N_SEEN, form.n_numbers())?;
        Ok(Self { network, form })
    }
}

impl fmt::Debug for AdmLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmLike").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Oracle for AdmLike {
    fn n_inputs(&self) -> usize {
        N_INPUTS
    }

    fn n_outputs(&self) -> usize {
        N_OUTPUTS
    }

    fn label(&self, x: ArrayView2<'_, f64>, _: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        check_unit_box(x, N_INPUTS)?;
        let mut views = Array2::zeros((4 * x.nrows(), features::N_SEEN));
        let mut periods = Vec::with_capacity(x.nrows());
        for (i, row) in x.outer_iter().enumerate() {
            let point = canonical(std::array::from_fn(|j| row[j]));
            periods.push(features::physical(&point)[1]);
            for (pillar, view) in features::views(&point).into_iter().enumerate() {
                views.row_mut(4 * i + pillar).assign(&ArrayView1::from(&view));
            }
        }
        let (mut numbers, mut spectrum, mut work) = (Vec::new(), vec![0.0; N_OUTPUTS], self.form.work());
        self.network.in_blocks(views.view(), &mut |row, of_pillar| {
            numbers.extend_from_slice(of_pillar);
            if row % 4 < 3 {
                return ControlFlow::Continue(());
            }
            self.form.evaluate(&numbers, periods[row / 4], &mut work, &mut spectrum);
            numbers.clear();
            on_row(row / 4, finite(&spectrum))
        })
    }
}

/// The mean of exported networks of the published architecture: any [`Network`] with 14 inputs on the unit box and 2000
/// outputs in `folder`. `convert.py` of the fixtures makes such a folder from PyTorch state dicts.
///
/// # Errors
/// A folder that holds no network, or one of another size.
pub fn load(folder: &Path) -> Result<Network, AdmError> {
    let network = Network::load(folder)?;
    check_size(&network, N_INPUTS, N_OUTPUTS)?;
    Ok(network)
}

fn check_size(network: &Network, needed_inputs: usize, needed_outputs: usize) -> Result<(), AdmError> {
    let (inputs, outputs) = (network.n_inputs(), network.n_outputs());
    if (inputs, outputs) == (needed_inputs, needed_outputs) {
        Ok(())
    } else {
        Err(AdmError::Size { inputs, needed_inputs, outputs, needed_outputs })
    }
}
