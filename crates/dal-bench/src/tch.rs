//! The engine on libtorch: the trials of a problem in lock step, on the processor or a CUDA device.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dal_core::{FitJob, Labelled, Learner, Needs, SeedPath, Stop};
use dal_nn::{
    Head, Layout, NetworkSpec, TchDevice, TchLearner, TchOptions, TchTrainer, TrainingSpec, load_cuda_backend,
};
use ndarray::Array2;

use crate::engine::Engine;

/// Bytes of this machine's memory that the models of a step may take, roughly.
const HOST_MEMORY: usize = 4 << 30;
/// Trials together on the processor: a few fill its caches, and more would only take memory.
const ON_THE_PROCESSOR: usize = 16;
/// Trials together on a device, where memory allows.
const ON_A_DEVICE: usize = 512;

/// The engine on libtorch.
#[derive(Clone, Debug)]
pub struct TchEngine {
    options: TchOptions,
}

impl TchEngine {
    /// The engine on `cpu`, `cuda` or `cuda:N`, one thread per learner, with matrix products of the training in `f32`,
    /// `tf32` or `bf16`.
    ///
    /// # Errors
    /// A name that is no device or precision, or a device that is not there or has not the precision; the reason for a
    /// person.
    pub fn on(device: &str, precision: &str) -> Result<Self, String> {
        let device: TchDevice = device.parse().map_err(|error: dal_nn::TchSetupError| error.to_string())?;
        let (tf32, bf16) = match precision {
            "f32" => (false, false),
            "tf32" => (true, false),
            "bf16" => (false, true),
            other => return Err(format!("`{other}` is no precision; known are f32, tf32 and bf16")),
        };
        let options = TchOptions { device, tf32, bf16, ..TchOptions::default() };
        // Before libtorch is first asked about devices. A libtorch that has no such library knows no devices either.
        let loaded = match device {
            TchDevice::Cpu => Ok(()),
            TchDevice::Cuda(_) => load_cuda_backend(Path::new("libtorch_cuda.so")),
        };
        match TchTrainer::new(options.clone()) {
            Ok(_) => Ok(Self { options }),
            Err(error) => Err(match loaded {
                Ok(()) => error.to_string(),
                Err(library) => format!("{error} ({library}; docs/gpu.md says how to use a libtorch with CUDA)"),
            }),
        }
    }
}

impl Engine for TchEngine {
    fn id(&self) -> &str {
        "tch"
    }

    fn device(&self) -> String {
        self.options.device.to_string()
    }

    fn learner(&self, network: &NetworkSpec, training: &TrainingSpec) -> Result<Box<dyn Learner>, String> {
        let start = Instant::now();
        let clock = Arc::new(move || start.elapsed().as_secs_f64());
        let learner = TchLearner::new(network.clone(), training.clone(), self.options.clone());
        Ok(Box::new(learner.map_err(|error| error.to_string())?.with_clock(clock)))
    }

    fn trials_together(&self, network: &NetworkSpec, training: &TrainingSpec) -> usize {
        let most = match self.options.device {
            TchDevice::Cpu => ON_THE_PROCESSOR,
            TchDevice::Cuda(_) => ON_A_DEVICE,
        };
        // Parameters, both moments, and the finished model, which may have an auxiliary network as large as the ensemble.
        let parameters = Layout::new(network, None).n_parameters().saturating_mul(training.n_members);
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
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let network = NetworkSpec::new(1, 1, vec![2], None, Head::Linear).map_err(|e| text(&e))?;
        let training = TrainingSpec { n_members: 1, epochs: 1, ..TrainingSpec::default() };
        let points = || Array2::from_shape_fn((2, 1), |(row, _)| row as f64);
        let labelled = Labelled::new(points(), points()).map_err(|e| text(&e))?;
        let job = FitJob { labelled: &labelled, needs: &Needs::default(), seeds: SeedPath::root(0) };
        let fits = self.learner(&network, &training)?.fit_all(&[job], &Stop::new());
        fits.into_iter().try_for_each(|fit| fit.map(|_| ())).map_err(|e| text(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_checked_by_name_and_presence() {
        let engine = TchEngine::on("cpu", "f32").unwrap();
        assert_eq!((engine.id(), engine.device().as_str(), engine.check()), ("tch", "cpu", Ok(())));
        assert!(TchEngine::on("gpu", "f32").unwrap_err().contains("cuda:N"));
        assert!(TchEngine::on("cpu", "f16").unwrap_err().contains("tf32"));
        // A format of CUDA devices.
        assert!(TchEngine::on("cpu", "tf32").unwrap_err().contains("tf32"));
        // No machine has so many.
        let error = TchEngine::on("cuda:1000", "f32").unwrap_err();
        assert!(error.contains("cuda:1000"), "{error}");
    }

    #[test]
    fn wide_networks_are_driven_in_smaller_groups() {
        let engine = TchEngine { options: TchOptions { device: TchDevice::Cuda(0), ..TchOptions::default() } };
        let together = |hidden: Vec<usize>| {
            let network = NetworkSpec::new(8, 1, hidden, None, Head::Linear).unwrap();
            engine.trials_together(&network, &TrainingSpec::default())
        };
        assert_eq!(together(vec![20; 9]), ON_A_DEVICE);
        let (wide, wider) = (together(vec![500; 4]), together(vec![2000; 8]));
        assert!(wider < wide && wide < ON_A_DEVICE && wider >= 1, "{wide}, {wider}");
        assert_eq!(
            TchEngine::on("cpu", "f32").unwrap().trials_together(
                &NetworkSpec::new(8, 1, vec![20], None, Head::Linear).unwrap(),
                &TrainingSpec::default()
            ),
            ON_THE_PROCESSOR
        );
    }
}
