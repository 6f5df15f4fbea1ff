//! The CPU engine, and what every engine of this crate reads a description of networks with.

use std::fmt;
use std::sync::Arc;

use dal_core::model::{MLP_ENSEMBLE, MlpEnsemble, NetworkSpec};
use dal_core::{Clock, Engine, EngineCard, EngineChoice, Learner, ModelSpec, SettingError, Shape};

use crate::fast::FastTrainer;
use crate::learner::CpuLearner;

/// The CPU engine: each trial on one thread by itself.
pub const CPU: EngineCard = EngineCard {
    id: "cpu",
    kinds: &[MLP_ENSEMBLE],
    title: "own kernels on the processor, one thread for each trial",
    open: |choice, clock| Ok(Arc::new(CpuEngine::on(choice, clock)?)),
};

/// Id of the engine on libtorch.
pub(crate) const TCH_ID: &str = "tch";

/// The CPU engine.
#[derive(Clone)]
pub struct CpuEngine {
    clock: Option<Clock>,
    kernels: FastTrainer,
}

impl CpuEngine {
    /// The engine, which measures training if it is given a clock.
    pub fn new(clock: Option<Clock>) -> Self {
        Self { clock, kernels: FastTrainer::default() }
    }

    /// The engine as a sweep file or command line chose it.
    ///
    /// # Errors
    /// A device other than `cpu`, a precision other than `f32`, an instruction set that the processor lacks.
    pub fn on(choice: &EngineChoice<'_>, clock: &Clock) -> Result<Self, SettingError> {
        for (key, value, own) in [("device", choice.device, "cpu"), ("precision", choice.precision, "f32")] {
            if let Some(value) = value.filter(|value| *value != own) {
                let error = SettingError::new(key, format!("the engine `cpu` has no {key} `{value}`"));
                return Err(error.with_hint("`tch` is the engine for other devices and precisions (docs/gpu.md)"));
            }
        }
        let kernels = match choice.platform {
            None => FastTrainer::default(),
            Some(path) => FastTrainer::with_path(path).ok_or_else(|| {
                let reason =
                    format!("this processor has no kernels `{path}`; it has: {}", FastTrainer::paths().join(", "));
                SettingError::new("platform", reason)
            })?,
        };
        Ok(Self { clock: Some(Arc::clone(clock)), kernels })
    }
}

impl fmt::Debug for CpuEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuEngine").field("clock", &self.clock.is_some()).field("kernels", &self.kernels).finish()
    }
}

impl Engine for CpuEngine {
    fn id(&self) -> &str {
        CPU.id
    }

    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
        let (network, mlp) = ensemble(model, shape)?;
        let learner = CpuLearner::new(network, mlp.training.clone()).map_err(|error| refused(&error))?;
        let learner = learner.with_kernels(self.kernels);
        Ok(Box::new(match &self.clock {
            Some(clock) => learner.with_clock(Arc::clone(clock)),
            None => learner,
        }))
    }
}

/// The ensemble that a description is of, and the network of its members.
///
/// # Errors
/// Another kind (key `kind`), or a network that cannot exist (key: the field to blame).
pub(crate) fn ensemble(model: &ModelSpec, shape: Shape) -> Result<(NetworkSpec, &MlpEnsemble), SettingError> {
    let Some(mlp) = model.as_mlp() else {
        let reason = format!("models of kind `{}` are not trained here, only `{MLP_ENSEMBLE}`", model.kind());
        return Err(SettingError::new("kind", reason));
    };
    Ok((mlp.network(shape).map_err(|error| refused(&error))?, mlp))
}

pub(crate) fn refused(error: &dal_core::model::SpecError) -> SettingError {
    SettingError::new(error.field().unwrap_or_default(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ENGINES;
    use dal_core::open_engine;

    fn clock() -> Clock {
        Arc::new(|| 0.0)
    }

    fn choice<'a>(id: &'a str, device: Option<&'a str>, precision: Option<&'a str>) -> EngineChoice<'a> {
        EngineChoice { id, device, precision, platform: None }
    }

    #[test]
    fn what_cannot_be_opened_is_blamed_on_its_key() {
        let key = |choice, kind| open_engine(ENGINES, &choice, kind, &clock()).unwrap_err().key;
        assert_eq!(key(choice("gpu", Some("cpu"), None), MLP_ENSEMBLE), "engine");
        assert_eq!(key(choice("cpu", Some("cuda:0"), None), MLP_ENSEMBLE), "device");
        assert_eq!(key(choice("cpu", Some("cpu"), Some("bf16")), MLP_ENSEMBLE), "precision");
        assert_eq!(key(choice("cpu", None, None), "nearest"), "model.kind");
        let engine = open_engine(ENGINES, &choice("cpu", Some("cpu"), Some("f32")), MLP_ENSEMBLE, &clock()).unwrap();
        assert_eq!((engine.id(), engine.device().as_str()), ("cpu", "cpu"));
    }

    #[test]
    fn kernels_can_be_chosen_among_those_of_the_processor() {
        let on = |path| CpuEngine::on(&EngineChoice { platform: Some(path), ..choice("cpu", None, None) }, &clock());
        let error = on("mmx").unwrap_err();
        assert!(error.key == "platform" && error.reason.contains("portable"), "{error:?}");
        let shape = Shape { n_inputs: 1, n_outputs: 1 };
        for path in FastTrainer::paths() {
            let learner = on(path).unwrap().learner(&ModelSpec::default(), shape).unwrap();
            assert!(learner.platform().starts_with(&format!("cpu/{path}/")), "{}", learner.platform());
        }
    }

    #[test]
    fn a_model_that_cannot_be_trained_names_its_field() {
        let shape = Shape { n_inputs: 2, n_outputs: 1 };
        let key = |model: ModelSpec| CpuEngine::new(None).learner(&model, shape).map(|_| ()).unwrap_err().key;
        assert_eq!(key(ModelSpec::Other { kind: "nearest".into(), settings: Default::default() }), "kind");
        assert_eq!(key(MlpEnsemble { hidden: vec![3, 0].into(), ..MlpEnsemble::DEFAULT }.into()), "hidden");
        assert_eq!(key(MlpEnsemble::DEFAULT.with_members(0).into()), "n_members");
        assert!(CpuEngine::new(None).learner(&ModelSpec::default(), shape).is_ok());
    }
}
