//! How long work shows that it goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::say;

/// Between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Steps of the bar.
const RESOLUTION: u64 = 10_000;

/// A bar on a terminal; a line now and then elsewhere.
pub struct Display {
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Mutex<Option<Instant>>,
}

impl Display {
    /// A display of work that starts now.
    pub fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(RESOLUTION);
            let template = "{bar:32} {percent:>3} %  {elapsed} gone, {msg}";
            bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self { bar, started: Instant::now(), last_line: Mutex::default() }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say!("{text}")),
            None => say!("{text}"),
        }
    }

    /// What is being done.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.now_and_then(text),
        }
    }

    /// How far it is, and what is being done.
    pub fn at(&self, fraction: f64, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_position((fraction * RESOLUTION as f64) as u64);
                bar.set_message(text.to_owned());
            }
            None => self.now_and_then(&format!("{:3.0} %  {text}", 100.0 * fraction)),
        }
    }

    /// A line, unless there was one a moment ago.
    fn now_and_then(&self, text: &str) {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            *last = Some(Instant::now());
            say!("{text}");
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `about 3 min 20 s left`.
pub fn left(remaining: Option<Duration>) -> String {
    remaining.map_or("estimating".into(), |remaining| format!("about {} left", duration(remaining)))
}

/// `48 s`, `3 min 20 s`, `5 h 10 min`, `2 d 4 h`.
pub fn duration(duration: Duration) -> String {
    let s = duration.as_secs_f64().ceil() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

/// A time of any length, with two digits below ten seconds: `0.012 s`, `3.4 s`, `48 s`, `3 min 20 s`.
pub fn seconds(s: f64) -> String {
    match s {
        s if !s.is_finite() => "unknown".into(),
        s if s >= 9.95 => duration(Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)),
        s if s <= 0.0 => "0 s".into(),
        s => {
            let digits = (1 - s.log10().floor() as i32).clamp(0, 9) as usize;
            format!("{s:.digits$} s")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let texts = [0.2, 59.0, 200.0, 18_600.0, 187_200.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(texts, ["1 s", "59 s", "3 min 20 s", "5 h 10 min", "2 d 4 h"]);
    }
    #[test]
    fn short_times_keep_two_digits() {
        let texts = [0.0, 0.000_123, 0.0123, 0.5, 3.44, 9.96, 200.0].map(seconds);
        assert_eq!(texts, ["0 s", "0.00012 s", "0.012 s", "0.50 s", "3.4 s", "10 s", "3 min 20 s"]);
    }
}
