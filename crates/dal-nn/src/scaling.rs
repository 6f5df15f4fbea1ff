//! Optional affine scaling of inputs and outputs around a network. The published protocol uses none.

use dal_core::Labelled;
use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// How a column is scaled before the network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScalingRule {
    /// As it is: the benchmark's protocol.
    #[default]
    None,
    /// Every column less its mean over the training set, divided by its standard deviation (divided by n; a constant
    /// column is only shifted).
    Standardise,
}

/// Scaling asked for, before any data are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingSpec {
    /// Inputs.
    pub inputs: ScalingRule,
    /// Outputs.
    pub outputs: ScalingRule,
}

/// The scaling of some columns: `value = offset + factor · scaled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    /// Per column, finite.
    pub offset: Vec<f64>,
    /// Per column, finite and positive.
    pub factor: Vec<f64>,
}

impl Affine {
    fn fit(rule: ScalingRule, columns: ArrayView2<'_, f64>) -> Option<Self> {
        match rule {
            ScalingRule::None => None,
            ScalingRule::Standardise => {
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

/// The scaling a surrogate applies; `None` leaves values as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Inputs.
    pub inputs: Option<Affine>,
    /// Outputs.
    pub outputs: Option<Affine>,
}

impl Scaling {
    /// The scaling of a training set.
    pub fn fit(spec: ScalingSpec, labelled: &Labelled) -> Self {
        Self { inputs: Affine::fit(spec.inputs, labelled.x()), outputs: Affine::fit(spec.outputs, labelled.y()) }
    }

    /// What an output of the network is multiplied by.
    pub(crate) fn output_factor(&self, j: usize) -> f64 {
        self.outputs.as_ref().map_or(1.0, |affine| affine.factor[j])
    }

    /// An output in the labels' units.
    pub(crate) fn output(&self, j: usize, scaled: f64) -> f64 {
        self.outputs.as_ref().map_or(scaled, |affine| affine.offset[j] + affine.factor[j] * scaled)
    }

    /// What the derivative with respect to a network's input is multiplied by.
    pub(crate) fn input_slope(&self, i: usize) -> f64 {
        self.inputs.as_ref().map_or(1.0, |affine| 1.0 / affine.factor[i])
    }
}

/// A column's value as the network sees it.
pub(crate) fn scaled(affine: Option<&Affine>, column: usize, value: f64) -> f64 {
    affine.map_or(value, |affine| (value - affine.offset[column]) / affine.factor[column])
}
