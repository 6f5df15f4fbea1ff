//! What the timing programs share: the kernel's account of this process, where there is one (Linux), and what is
//! trained.

use std::fs;

pub mod training;

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

/// Seconds that all threads of this process have been on a processor, to a hundredth.
pub fn process_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses: entries 12 and 13 are user and system time in ticks, a hundred to the second.
    let mut fields = text.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * 1e-2)
}
