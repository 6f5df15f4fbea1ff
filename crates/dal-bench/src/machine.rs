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

/// A clock of the processor time that the asking thread has used: what calibrations are measured with, so that what
/// else the machine does changes them little. Where the system has none, it is [`clock`].
#[cfg(unix)]
pub fn processor_clock() -> Clock {
    use rustix::time::{ClockId, clock_gettime};
    Arc::new(|| {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
    })
}

/// A clock of the processor time that the asking thread has used, where the system has one; here it is [`clock`].
#[cfg(not(unix))]
pub fn processor_clock() -> Clock {
    clock()
}

/// The most memory that this process has held, in MiB; 0 where the system does not tell.
pub fn peak_memory_mib() -> u64 {
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_processor_clock_stands_still_while_its_thread_sleeps() {
        let (processor, wall) = (processor_clock(), clock());
        let start = (processor(), wall());
        std::thread::sleep(std::time::Duration::from_millis(200));
        let (used, passed) = (processor() - start.0, wall() - start.1);
        assert!(used >= 0.0 && used < passed);
        let before = processor();
        let mut sum = 0_u64;
        while processor() - before < 1e-3 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
