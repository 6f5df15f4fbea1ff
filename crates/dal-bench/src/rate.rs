//! What training a network costs: measured by the estimate, kept by the plan.

/// Seconds of one member and epoch: `fixed + per_point · n`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) fixed: f64,
    pub(crate) per_point: f64,
}
