//! The engine on libtorch: the trials of a problem in lock step, on the processor or a CUDA device.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use dal_core::model::{DecayReading, Head, NetworkSpec, TrainingSpec};
use dal_core::{
    Clock, Engine, EngineChoice, FitJob, Labelled, Learner, ModelSpec, Needs, SeedPath, SettingError, Shape, Stop,
};
use ndarray::Array2;

use super::device::{TchDevice, TchOptions, TchSetupError, load_cuda_backend};
use super::learner::TchLearner;
use super::trainer::TchTrainer;
use crate::engine::{TCH_ID, ensemble};
use crate::params::Layout;

/// Bytes of this machine's memory that the models of a step may take, roughly.
const HOST_MEMORY: usize = 4 << 30;
/// Trials together on the processor: a few fill its caches, and more would only take memory.
const ON_THE_PROCESSOR: usize = 16;
/// Trials together on a device, where memory allows.
const ON_A_DEVICE: usize = 512;

/// The engine on libtorch.
#[derive(Clone)]
pub struct TchEngine {
    options: TchOptions,
    clock: Clock,
}

impl fmt::Debug for TchEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TchEngine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl TchEngine {
    /// The engine on `cpu`, `cuda` or `cuda:N`, one thread per learner, with matrix products of the training in `f32`,
    /// `tf32` or `bf16`.
    ///
    /// # Errors
    /// A name that is no device or precision, or a device that is not there or has not the precision.
    pub fn on(choice: &EngineChoice<'_>, clock: &Clock) -> Result<Self, SettingError> {
        if choice.platform.is_some() {
            return Err(SettingError::new("platform", "libtorch chooses the kernels of the engine `tch` by itself"));
        }
        let wrong = |key: &str, error: TchSetupError| SettingError::new(key, error.to_string());
        let device: TchDevice = choice.device.unwrap_or("cpu").parse().map_err(|error| wrong("device", error))?;
        let (tf32, bf16) = match choice.precision.unwrap_or("f32") {
            "f32" => (false, false),
            "tf32" => (true, false),
            "bf16" => (false, true),
            other => {
                let reason = format!("`{other}` is no precision; known are f32, tf32 and bf16");
                return Err(SettingError::new("precision", reason));
            }
        };
        let options = TchOptions { device, tf32, bf16, ..TchOptions::default() };
        // Before libtorch is first asked about devices. A libtorch that has no such library knows no devices either.
        let loaded = match device {
            TchDevice::Cpu => Ok(()),
            TchDevice::Cuda(_) => load_cuda_backend(Path::new("libtorch_cuda.so")),
        };
        match TchTrainer::new(options.clone()) {
            Ok(_) => Ok(Self { options, clock: Arc::clone(clock) }),
            Err(error) => {
                let key = if matches!(error, TchSetupError::Unsupported { .. }) { "precision" } else { "device" };
                Err(match loaded {
                    Ok(()) => wrong(key, error),
                    Err(library) => {
                        let hint = format!("{library}; docs/gpu.md says how to use a libtorch with CUDA");
                        wrong(key, error).with_hint(hint)
                    }
                })
            }
        }
    }
}

impl Engine for TchEngine {
    fn id(&self) -> &str {
        TCH_ID
    }

    fn device(&self) -> String {
        self.options.device.to_string()
    }

    fn learner(&self, model: &ModelSpec, shape: Shape) -> Result<Box<dyn Learner>, SettingError> {
        let (network, mlp) = ensemble(model, shape)?;
        if mlp.training.decay_reading == DecayReading::CoupledLoss {
            let reason = "the engine `tch` has no schedule that members share; `cpu` has";
            return Err(SettingError::new("decay_reading", reason));
        }
        let learner = TchLearner::new(network, mlp.training.clone(), self.options.clone());
        let refused = |error: TchSetupError| match &error {
            TchSetupError::Spec(error) => crate::engine::refused(error),
            other => SettingError::new("device", other.to_string()),
        };
        Ok(Box::new(learner.map_err(refused)?.with_clock(Arc::clone(&self.clock))))
    }

    fn trials_together(&self, model: &ModelSpec, shape: Shape) -> usize {
        let Ok((network, mlp)) = ensemble(model, shape) else { return 1 };
        let most = match self.options.device {
            TchDevice::Cpu => ON_THE_PROCESSOR,
            TchDevice::Cuda(_) => ON_A_DEVICE,
        };
        // Parameters, both moments, and the finished model, which may have an auxiliary network as large as the
        // ensemble.
        let parameters = Layout::new(&network, None).n_parameters().saturating_mul(mlp.n_members());
        (HOST_MEMORY / parameters.saturating_mul(5 * size_of::<f32>()).max(1)).clamp(1, most)
    }

    fn default_jobs(&self, n_cpus: usize) -> usize {
        match self.options.device {
            TchDevice::Cpu => n_cpus,
            // While one chooses queries, the other keeps the device busy.
            TchDevice::Cuda(_) => n_cpus.min(2),
        }
    }

    fn check(&self) -> Result<(), String> {
        let text = |error: &dyn fmt::Display| error.to_string();
        let network = NetworkSpec::new(1, 1, vec![2], None, Head::Linear).map_err(|e| text(&e))?;
        let training = TrainingSpec { n_members: 1, epochs: 1, ..TrainingSpec::default() };
        let learner = TchLearner::new(network, training, self.options.clone()).map_err(|e| text(&e))?;
        let points = || Array2::from_shape_fn((2, 1), |(row, _)| row as f64);
        let labelled = Labelled::new(points(), points()).map_err(|e| text(&e))?;
        let job = FitJob { labelled: &labelled, needs: &Needs::default(), seeds: SeedPath::root(0) };
        let fits = learner.fit_all(&[job], &Stop::new());
        fits.into_iter().try_for_each(|fit| fit.map(|_| ())).map_err(|e| text(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dal_core::MlpEnsemble;

    fn engine(device: &str, precision: &str) -> Result<TchEngine, SettingError> {
        let clock: Clock = Arc::new(|| 0.0);
        TchEngine::on(
            &EngineChoice { id: "tch", device: Some(device), precision: Some(precision), platform: None },
            &clock,
        )
    }

    #[test]
    fn devices_are_checked_by_name_and_presence() {
        let there = engine("cpu", "f32").unwrap();
        assert_eq!((there.id(), there.device().as_str(), there.check()), ("tch", "cpu", Ok(())));
        let refused = |device, precision, key: &str, words: &str| {
            let error = engine(device, precision).unwrap_err();
            assert!(error.key == key && error.reason.contains(words), "{error:?}");
        };
        refused("gpu", "f32", "device", "cuda:N");
        refused("cpu", "f16", "precision", "tf32");
        // A format of CUDA devices.
        refused("cpu", "tf32", "precision", "tf32");
        // No machine has so many.
        refused("cuda:1000", "f32", "device", "cuda:1000");
    }

    #[test]
    fn wide_networks_are_driven_in_smaller_groups() {
        let options = TchOptions { device: TchDevice::Cuda(0), ..TchOptions::default() };
        let on_a_device = TchEngine { options, clock: Arc::new(|| 0.0) };
        let together = |engine: &TchEngine, hidden: Vec<usize>| {
            let model = MlpEnsemble { hidden: hidden.into(), batch_norm: None, ..MlpEnsemble::DEFAULT };
            engine.trials_together(&model.into(), Shape { n_inputs: 8, n_outputs: 1 })
        };
        assert_eq!(together(&on_a_device, vec![20; 9]), ON_A_DEVICE);
        let (wide, wider) = (together(&on_a_device, vec![500; 4]), together(&on_a_device, vec![2000; 8]));
        assert!(wider < wide && wide < ON_A_DEVICE && wider >= 1, "{wide}, {wider}");
        assert_eq!(together(&engine("cpu", "f32").unwrap(), vec![20]), ON_THE_PROCESSOR);
    }
}
