//! What is known of the machine, for provenance, and its clock.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use dal_core::Clock;
use dal_store::Machine;

/// A clock that starts now: what engines measure training with. Its readings go to timings alone, never into results.
pub fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || start.elapsed().as_secs_f64())
}

/// The most memory that this process has held, in MiB; 0 where the system does not tell.
pub(crate) fn peak_memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0).div_ceil(1024)
}

/// Processor, memory, system, as far as they can be read; what cannot is empty.
pub fn machine() -> Machine {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu_info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    Machine {
        cpu: cpu.map(|(_, model)| model.trim().to_owned()).unwrap_or_default(),
        n_cpus: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0) / 1024,
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        gpus: gpus(),
    }
}

/// What the driver of NVIDIA's devices says on Linux, in the order of their addresses.
fn gpus() -> Vec<String> {
    let Ok(folders) = fs::read_dir("/proc/driver/nvidia/gpus") else { return Vec::new() };
    let mut folders: Vec<_> = folders.flatten().map(|folder| folder.path()).collect();
    folders.sort();
    let model = |text: String| Some(text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned());
    folders.iter().filter_map(|folder| model(fs::read_to_string(folder.join("information")).ok()?)).collect()
}
