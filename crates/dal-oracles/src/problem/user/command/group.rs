//! Process groups: a program and its helpers end together.

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process_group};

/// Asks the members of a group to end.
#[cfg(unix)]
pub(super) fn terminate_group(group: u32) {
    signal(group, Signal::TERM);
}

/// Ends the members of a group.
#[cfg(unix)]
pub(super) fn kill_group(group: u32) {
    signal(group, Signal::KILL);
}

#[cfg(unix)]
fn signal(group: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group is gone already where every member ended and was reaped.
        let _ = kill_process_group(pid, signal);
    }
}
