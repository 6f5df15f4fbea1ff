//! Process groups: a program and its helpers end together.

#[cfg(unix)]
pub(super) fn kill_group(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group is gone already where every member ended and was reaped.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}
