//! The strategies, one file each, and their catalogue.

mod bald;
mod bmdal;
mod cluster_variance;
mod dacs;
mod emoc;
mod gsx;
mod gsxy;
mod gsy;
mod learning_loss;
mod passive;
mod power;
mod qbc;
mod qbc_diversity;
mod qbc_diversity_density;
mod random;

pub use bald::{Bald, NamedWidth, Width};
pub use bmdal::{
    BaitFP, BaitMembers, Bmdal, Criterion, KmeansppTp, LcmdMembers, LcmdTp, MaxdetMembers, MaxdetP, MaxdistTp,
    NetworkFeatures, Selection, Source, Target, Transform,
};
pub use cluster_variance::ClusterVariance;
pub use dacs::{Dacs, NeighbourDensity};
pub use emoc::Emoc;
pub use gsx::Gsx;
pub use gsxy::Gsxy;
pub use gsy::Gsy;
pub use learning_loss::LearningLoss;
pub use passive::{Lhs, Sobol};
pub use power::{Drawing, Pointwise, Power, PowerQbcDiversity};
pub use qbc::Qbc;
pub use qbc_diversity::{QbcDiversity, Scaling};
pub use qbc_diversity_density::{CosineDensity, QbcDiversityDensity};
pub use random::Random;

use crate::card::Card;

/// Every strategy, in the order in which tables list them.
pub(crate) static CATALOGUE: &[&Card] = &[
    &random::CARD,
    &gsx::CARD,
    &gsy::CARD,
    &gsxy::CARD,
    &qbc::CARD,
    &qbc_diversity::CARD,
    &qbc_diversity_density::CARD,
    &bald::CARD,
    &emoc::CARD,
    &learning_loss::CARD,
    &dacs::CARD,
    &cluster_variance::CARD,
    &power::QBC,
    &power::QBC_DIVERSITY,
    &power::BALD,
    &power::EMOC,
    &power::LEARNING_LOSS,
    &passive::SOBOL,
    &passive::LHS,
    &bmdal::LCMD_TP,
    &bmdal::MAXDIST_TP,
    &bmdal::KMEANSPP_TP,
    &bmdal::MAXDET_P,
    &bmdal::BAIT_F_P,
    &bmdal::LCMD_MEMBERS,
    &bmdal::MAXDET_MEMBERS,
    &bmdal::BAIT_MEMBERS,
    &bmdal::BMDAL,
];
