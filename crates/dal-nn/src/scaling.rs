//! Optional affine scaling of the inputs around a network. The published protocol uses none, and outputs have none
//! here: a learner is given labels in model units (`dal_core::OutputScaling`).

use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// How the inputs are scaled before the network sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputScaling {
    /// As they are: the benchmark's protocol.
    #[default]
    None,
    /// Every column less its mean over the training set, divided by its standard deviation (divided by n; a constant
    /// column is only shifted).
    Standardise,
}

/// The scaling of the input columns: `value = offset + factor · scaled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    /// Per column, finite.
    pub offset: Vec<f64>,
    /// Per column, finite and positive.
    pub factor: Vec<f64>,
}

impl Affine {
    /// The scaling of a training set's inputs, shape (n, n_inputs); `None` leaves values as they are.
    pub(crate) fn fit(rule: InputScaling, columns: ArrayView2<'_, f64>) -> Option<Self> {
        match rule {
            InputScaling::None => None,
            InputScaling::Standardise => {
                let offset: Vec<f64> = columns.mean_axis(Axis(0))?.to_vec();
                let spread = columns.std_axis(Axis(0), 0.0);
                let factor = spread.iter().map(|&s| if s > 0.0 && s.is_finite() { s } else { 1.0 }).collect();
                Some(Self { offset, factor })
            }
        }
    }

    /// Whether it fits `n_columns` and holds finite offsets and finite positive factors.
    pub(crate) fn is_valid(&self, n_columns: usize) -> bool {
        self.offset.len() == n_columns
            && self.factor.len() == n_columns
            && self.offset.iter().all(|v| v.is_finite())
            && self.factor.iter().all(|v| v.is_finite() && *v > 0.0)
    }
}

/// A column's value as the network sees it.
pub(crate) fn scaled(affine: Option<&Affine>, column: usize, value: f64) -> f64 {
    affine.map_or(value, |affine| (value - affine.offset[column]) / affine.factor[column])
}

/// What the derivative with respect to a network's input is multiplied by.
pub(crate) fn slope(affine: Option<&Affine>, column: usize) -> f64 {
    affine.map_or(1.0, |affine| 1.0 / affine.factor[column])
}
