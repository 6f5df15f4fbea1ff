//! Neural surrogates: ensembles of small networks, trained fast on the CPU.

mod conv;
pub mod masks;
mod params;
mod plain;
pub mod products;
mod real;
mod spec;
mod training;

pub use params::{BatchNormRange, ConvRange, HiddenRange, Layout, LinearRange, LossHeadRange, LossHeadShape};
pub use plain::PlainTrainer;
pub use real::Real;
pub use spec::{
    AdamSpec, BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, NetworkSpec,
    PlateauSpec, SpecError, TrainingSpec,
};
pub use training::{
    AdamScalars, DropoutTraining, LossHeadTraining, MemberState, MemberTrainer, Plateau, TrainError, TrainJob, TrainLog,
};
