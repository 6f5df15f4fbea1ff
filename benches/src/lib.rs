//! What the timing programs share: the kernel's account of this process, where there is one (Linux).

use std::fs;

/// Which size of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resident {
    /// What it holds in memory now.
    Now,
    /// The most that it has held since it started or since [`forget_peak`].
    Peak,
}

/// Bytes of this process in memory.
pub fn resident(which: Resident) -> Option<u64> {
    let field = match which {
        Resident::Now => "VmRSS:",
        Resident::Peak => "VmHWM:",
    };
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Asks the kernel to forget the peak so far; without such an account the peak is simply not known.
pub fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Seconds that the calling thread has been on a processor: on a busy machine the fairer clock. The kernel brings its
/// account up to date when a thread yields; otherwise it would be late by up to a tick.
pub fn thread_seconds() -> Option<f64> {
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}
