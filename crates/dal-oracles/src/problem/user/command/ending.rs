//! How a call ended, in the words of a failure.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use dal_core::LabelFailureKind;

use crate::user::answers::End;

/// Why listening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Exited,
    TimedOut,
    /// What it prints is no answer any more.
    Senseless,
    /// The answers are not wanted any more: a stop, or one that could not be kept.
    Abandoned,
}

pub(super) fn describe_end(heard: &Heard, status: &io::Result<ExitStatus>, words: String, time_limit: Duration) -> End {
    let end = |kind, orderly, how: String| End { kind, orderly, how, words: words.clone() };
    match (heard, status) {
        (Heard::TimedOut, _) => {
            end(LabelFailureKind::TimedOut, false, format!("was stopped at the time limit of {time_limit:?}"))
        }
        (Heard::Abandoned, _) => end(LabelFailureKind::Missing, false, "was stopped".into()),
        (Heard::Senseless, _) => end(LabelFailureKind::Malformed, false, "was stopped".into()),
        (Heard::Exited, Ok(status)) if status.success() => end(LabelFailureKind::Missing, true, "ended".into()),
        (Heard::Exited, Ok(status)) => end(LabelFailureKind::Crashed, false, describe_status(*status)),
        (Heard::Exited, Err(e)) => end(LabelFailureKind::Crashed, false, format!("ended, its status unknown ({e})")),
    }
}

fn describe_status(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was killed by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("ended with exit status {code}"),
        None => "ended abnormally".into(),
    }
}
