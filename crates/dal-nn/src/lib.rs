//! Neural surrogates: ensembles of small networks, trained fast on the CPU.

mod conv;
mod evaluate;
mod fast;
mod learner;
pub mod masks;
mod params;
mod plain;
pub mod platform;
pub mod products;
mod real;
mod saved;
mod scaling;
mod spec;
mod surrogate;
mod tangent;
mod training;

pub use evaluate::Member;
pub use fast::FastTrainer;
pub use learner::{Clock, CpuLearner};
pub use params::{BatchNormRange, ConvRange, HiddenRange, Layout, LinearRange, LossHeadRange, LossHeadShape};
pub use plain::PlainTrainer;
pub use real::Real;
pub use saved::{LoadError, SaveError};
pub use scaling::{Affine, Scaling, ScalingRule, ScalingSpec};
pub use spec::{
    AdamSpec, BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, NetworkSpec,
    PlateauSpec, SpecError, TrainingSpec,
};
pub use surrogate::{CpuSurrogate, Provenance};
pub use training::{
    AdamScalars, DropoutTraining, LossHeadTraining, MemberState, MemberTrainer, Plateau, TrainError, TrainJob, TrainLog,
};
