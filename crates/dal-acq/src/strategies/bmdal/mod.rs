//! Batch methods on features of the model: a kernel, what the labelled set makes of it, and a selection.
//!
//! [`Bmdal`] is the family with every choice as a setting; combinations that have names are strategies of their own
//! (`lcmd-tp`, `bait-f-p`, …). `docs/features.md` has the formulae of features, transforms and selections side by side.

mod bait;
mod cards;
mod centres;
mod points;
mod rule;
#[cfg(test)]
mod twins;
mod variance;

pub(super) use cards::{
    BAIT_F_P, BAIT_MEMBERS, BMDAL, KMEANSPP_TP, LCMD_MEMBERS, LCMD_TP, MAXDET_MEMBERS, MAXDET_P, MAXDIST_TP,
};
pub use rule::{
    BaitFP, BaitMembers, Bmdal, Criterion, KmeansppTp, LcmdMembers, LcmdTp, MaxdetMembers, MaxdetP, MaxdistTp,
    NetworkFeatures, Selection, Source, Target, Transform,
};
