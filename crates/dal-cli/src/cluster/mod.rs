//! Sweeps on batch systems: work cut into tasks, handed on, followed, taken up again.

pub mod follow;
mod jobs;
pub mod probe;
pub mod slurm;
pub mod submit;
pub mod work;

use std::path::PathBuf;

pub use jobs::Handed;

use dal_bench::Sweep;

/// Who trains, instead of the sweep file's choice.
#[derive(Clone, clap::Args)]
pub struct EngineArgs {
    /// Who trains, instead of the file's choice: cpu, or tch in a build with that feature.
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// Where the engine tch trains, instead of the file's choice: cpu, cuda:N.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Matrix products of the engine tch's training, instead of the file's choice: f32, tf32 (CUDA), bf16.
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,
    /// Vector instructions of the engine cpu, instead of the fastest here: avx512, avx2, neon, portable. Runs on
    /// different machines have equal ids and bytes where these are equal.
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
}

impl EngineArgs {
    /// The sweep with these choices.
    pub fn chosen(&self, sweep: Sweep) -> Sweep {
        let (engine, device) = (self.engine.as_deref(), self.device.as_deref());
        sweep.with_chosen(engine, device, self.precision.as_deref(), self.platform.as_deref())
    }
}

/// Where a store keeps what was handed to batch systems.
pub fn work_folder(store: &dal_store::Store) -> PathBuf {
    store.root().join("tasks")
}
