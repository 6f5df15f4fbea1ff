//! Neural surrogates: ensembles of small networks, trained fast on the CPU.
//!
//! Full-batch Adam on a few hundred points trains a Linear–BatchNorm–ReLU network in a fraction of a second, so an
//! active-learning loop can afford a fresh ensemble at every step. [`CpuLearner`] does that, in `f32`, with PyTorch's
//! initialisation, optimiser and schedule; the same seeds give the same bits on any number of threads.
//!
//! | module or type | what it is for |
//! |---|---|
//! | [`NetworkSpec`], [`TrainingSpec`] | one description of network and training, validated, for every engine |
//! | [`CpuLearner`] | trains ensembles; implements [`dal_core::Learner`] |
//! | [`ENGINES`] | the engines `cpu` and `tch`, which make learners of a [`dal_core::ModelSpec`] |
//! | [`CpuSurrogate`] | a trained ensemble: predictions, committee, dropout, loss head, gradients; saved and loaded |
//! | [`Layout`], [`MemberState`] | where every parameter lies, and a member between two epochs |
//! | [`MemberTrainer`] | between engines: [`PlainTrainer`] in simple loops, and the fast one tested against it |
//! | `TchLearner`, `TchOptions` | with feature `tch`: on libtorch, many trials in lock step, on CUDA devices too |
//! | [`onnx`] | an ensemble as an ONNX model, for other programs |
//! | [`InputScaling`] | optional scaling of the inputs; the published protocol has none |
//!
//! # Learn a function, ask where the members disagree, keep the model
//!
//! ```
//! use dal_core::{Labelled, Needs, SeedPath, Surrogate};
//! use dal_nn::{BatchNormSpec, CpuLearner, CpuSurrogate, Head, NetworkSpec, TrainingSpec};
//! use ndarray::{Array1, Array2};
//!
//! // Sixty labels of y = sin(3 x₀) + x₁, all in the left half of the unit box.
//! let at = |i: usize, j: usize| if j == 0 { -(i as f64) / 60.0 } else { (i * 7 % 60) as f64 / 30.0 - 1.0 };
//! let x = Array2::from_shape_fn((60, 2), |(i, j)| at(i, j));
//! let y = Array2::from_shape_fn((60, 1), |(i, _)| (3.0 * x[[i, 0]]).sin() + x[[i, 1]]);
//! let labelled = Labelled::new(x, y).unwrap();
//!
//! // Five networks of two hidden layers, asked for as a committee whose gradients are wanted too.
//! let network = NetworkSpec::new(2, 1, vec![24, 24], Some(BatchNormSpec::default()), Head::Linear)?;
//! let training = TrainingSpec { n_members: 5, epochs: 300, learning_rate: 5e-3, ..TrainingSpec::default() };
//! let needs = Needs { committee: true, input_gradient: true, tangent: true, ..Needs::default() };
//! let mut model = CpuLearner::new(network, training)?.fit(&labelled, &needs, &SeedPath::root(7)).unwrap();
//!
//! // They agree where there are labels and disagree where there are none.
//! let probe = Array2::from_shape_vec((2, 2), vec![-0.5, 0.0, 0.9, 0.0]).unwrap();
//! let moments = model.committee().unwrap().moments(probe.view()).unwrap();
//! assert!((moments.mean[[0, 0]] - (-1.5f64).sin()).abs() < 0.2);
//! assert!(moments.variance[[1, 0]] > 5.0 * moments.variance[[0, 0]]);
//!
//! // The gradient of the disagreement points towards the unknown.
//! let (_, slope) = model.input_gradient().unwrap().disagreement(probe.view()).unwrap();
//! assert!(slope[[1, 0]] > 0.0);
//!
//! // How much a label at the probes would move the predictions at the first three labelled points.
//! let anchors = labelled.x().slice(ndarray::s![..3, ..]).to_owned();
//! let mut n_products = 0;
//! let target = Array1::zeros(1);
//! let mut count = |_first: usize, products: ndarray::ArrayView3<'_, f64>| n_products += products.len();
//! let tangent = model.tangent().unwrap();
//! tangent.loss_gradient_products(anchors.view(), probe.view(), target.view(), None, &mut count).unwrap();
//! assert_eq!(n_products, 2 * 3 * 1);
//!
//! // Bytes that hold everything; damaged ones are refused.
//! model.note("problem", "sin(3 x0) + x1");
//! let mut bytes = model.to_bytes().unwrap();
//! assert_eq!(CpuSurrogate::from_bytes(&bytes).unwrap(), model);
//! *bytes.last_mut().unwrap() ^= 1;
//! assert!(CpuSurrogate::from_bytes(&bytes).is_err());
//! # Ok::<(), dal_nn::SpecError>(())
//! ```
//!
//! # What this crate is not for
//!
//! It is no general deep-learning library: one family of networks, full batches, mean squared error. Minibatches, other
//! losses, other layers and classification are absent on purpose. It knows nothing of problems, strategies or files.

#[cfg(test)]
mod conformance;
mod conv;
mod engine;
mod engines;
mod evaluate;
mod fast;
mod features;
mod learner;
pub mod masks;
pub mod onnx;
mod params;
mod plain;
mod platform;
pub mod products;
mod real;
mod recipe;
mod saved;
mod scaling;
mod surrogate;
mod tangent;
#[cfg(feature = "tch")]
mod tch;
mod training;

#[cfg(feature = "tch")]
pub use crate::tch::{
    TchDevice, TchEngine, TchLearner, TchOptions, TchSetupError, TchSurrogate, TchTrainError, TchTrainer,
    load_cuda_backend, tch_platform,
};
pub use dal_core::model::{
    AdamSpec, BatchNormSpec, BatchNormStatistics, ConvHeadSpec, ConvKind, ConvLayerSpec, DecayReading, Head,
    NetworkSpec, OnCollapse, PlateauSpec, SpecError, TrainingSpec,
};
pub use engine::{CPU, CpuEngine};
pub use engines::{ENGINES, TCH};
pub use evaluate::Member;
pub use fast::FastTrainer;
pub use learner::CpuLearner;
pub use params::{BatchNormRange, ConvRange, HiddenRange, Layout, LinearRange, LossHeadRange, LossHeadShape};
pub use plain::PlainTrainer;
pub use real::Real;
pub use recipe::{has_collapsed, is_unsettled};
pub use saved::{LoadError, SaveError};
pub use scaling::{Affine, InputScaling};
pub use surrogate::{CpuSurrogate, Provenance};
pub use training::{
    AdamScalars, DropoutTraining, LossHeadTraining, MemberState, MemberTrainer, Plateau, TrainError, TrainJob, TrainLog,
};
