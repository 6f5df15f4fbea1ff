//! The kernels under one name.

pub(crate) use super::adam::Adam;
pub(super) use super::adam::adam;
pub(crate) use super::backward::Backward;
pub(super) use super::backward::{backward, scratch};
pub(crate) use super::forward::Forward;
pub(super) use super::forward::forward;
pub(crate) use super::loss::Loss;
pub(super) use super::loss::loss;
pub(crate) use super::norm::{Denormalise, Normalise};
pub(super) use super::norm::{denormalise, normalise};
pub(crate) use super::panels::{LINE, Source};
pub(super) use super::peak::peak;
pub(super) use super::sums::{reduce, row_sums};
pub(crate) use super::taps::{RowTap, Taps};
pub(super) use super::taps::{correlate, spread};
