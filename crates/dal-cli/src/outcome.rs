//! How a start of a sweep is recorded and told, whichever command made it.

use dal_bench::Summary;
use dal_store::Provenance;

use crate::Done;
use crate::display::duration;
use crate::learning::learning_lines;
use crate::output::say;

/// Runs that are named; the others are counted.
pub const SHOWN_RUNS: usize = 5;

/// What a start of a sweep has to say.
pub fn outcome_of(summary: &Summary) -> Done {
    match summary {
        s if s.stopped => Done::Interrupted,
        s if !s.failed.is_empty() || s.skipped_failed > 0 || !s.damaged.is_empty() => Done::Partly,
        s if !s.waiting.is_empty() || !s.elsewhere.is_empty() || s.failed_labels.labels > 0 => Done::Partly,
        // Whatever the reason: a script must not take it for the whole.
        s if s.left() > 0 => Done::Partly,
        _ => Done::Fully,
    }
}

/// What is known of this program and machine.
pub fn provenance() -> Provenance {
    Provenance {
        dal_version: env!("CARGO_PKG_VERSION").into(),
        compiler: env!("DAL_COMPILER").into(),
        started: now(),
        command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        machine: dal_bench::machine(),
        ..Provenance::default()
    }
}

/// Says how a start of a sweep went.
pub fn print_summary(summary: &Summary) {
    for failed in &summary.failed {
        say!("failed: {}: {}", failed.directory, failed.failure);
    }
    if !summary.damaged.is_empty() {
        say!("{} damaged runs were left out", summary.damaged.len());
    }
    for line in learning_lines(&summary.learning) {
        say!("{line}");
    }
    if summary.skipped_failed > 0 {
        say!("{} runs failed earlier and were not tried again (--retry-failed does)", summary.skipped_failed);
    }
    if summary.failed_labels.labels > 0 {
        let failed = &summary.failed_labels;
        let kinds: Vec<String> = failed.kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        say!(
            "{} labels failed in {} runs ({}), the last one because {}; `dal report` says where, --retry-failed asks \
             programs again",
            failed.labels,
            failed.runs,
            kinds.join(", "),
            failed.message
        );
    }
    for (i, waiting) in summary.waiting.iter().enumerate() {
        if i == 0 || summary.waiting[i - 1].message != waiting.message {
            say!("{}", waiting.message);
        }
        say!("waiting: {}", waiting.directory);
    }
    for (i, elsewhere) in summary.elsewhere.iter().enumerate() {
        match i {
            0..SHOWN_RUNS => say!("left to {}: {}", elsewhere.by, elsewhere.directory),
            SHOWN_RUNS => say!("and {} more", summary.elsewhere.len() - i),
            _ => break,
        }
    }
    say!(
        "{} of {} runs are finished ({} before, {} now, {} failed, {} left) after {}",
        summary.skipped + summary.finished,
        summary.planned,
        summary.skipped,
        summary.finished,
        summary.failed.len() + summary.skipped_failed,
        summary.left(),
        duration(summary.elapsed),
    );
}

/// The date and time for provenance, UTC; a clock that was never set has none.
// The one place that reads the wall clock: provenance stands outside every result.
#[allow(clippy::disallowed_methods)]
pub fn now() -> String {
    date(std::time::SystemTime::now())
}

fn date(now: std::time::SystemTime) -> String {
    // Beyond these years there is no date of this form, and asking for it would panic.
    const YEAR_10000: u64 = 253_402_300_800;
    match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) if since.as_secs() < YEAR_10000 => humantime::format_rfc3339_seconds(now).to_string(),
        Ok(_) => "after the year 9999".into(),
        Err(_) => "before 1970".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn runs_that_are_left_for_whatever_reason_are_no_whole() {
        let of = |finished| outcome_of(&Summary { planned: 3, skipped: 1, finished, ..Summary::default() });
        assert!(matches!((of(1), of(2)), (Done::Partly, Done::Fully)));
    }

    #[test]
    fn clocks_that_are_wrong_have_words() {
        assert_eq!(date(UNIX_EPOCH + Duration::from_secs(86_400)), "1970-01-02T00:00:00Z");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(5)), "before 1970");
        assert_eq!(date(UNIX_EPOCH + Duration::from_secs(1 << 40)), "after the year 9999");
    }
}
