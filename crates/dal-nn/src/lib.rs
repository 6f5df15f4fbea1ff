//! Neural surrogates: ensembles of small networks, trained fast on the CPU.

mod params;
mod real;
mod spec;
mod training;

pub use params::{BatchNormRange, ConvRange, HiddenRange, Layout, LinearRange, LossHeadRange, LossHeadShape};
pub use real::Real;
pub use spec::{
    AdamSpec, BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, Head, NetworkSpec,
    PlateauSpec, SpecError, TrainingSpec,
};
pub use training::{
    AdamScalars, DropoutTraining, LossHeadTraining, MemberState, MemberTrainer, Plateau, TrainError, TrainJob, TrainLog,
};
