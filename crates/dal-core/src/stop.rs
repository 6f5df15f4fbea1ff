//! How far work may still go: on, to the end of what runs, or not at all. Asked for from outside, looked at by those
//! who work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far work may still go, from least to most urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum StopLevel {
    /// Go on.
    #[default]
    Go = 0,
    /// Start nothing new, but take what runs: a simulation of ten hours is not thrown away.
    Drain = 1,
    /// End what runs.
    Now = 2,
}

/// A wish to stop, shared between the one who asks and all who work; it only ever becomes more urgent.
///
/// An oracle that calls programs looks at it many times a second, a training engine once an epoch, a scheduler before
/// each task. Clones share the wish. It belongs to a call, not to the process: what begins anew gets a new one.
///
/// ```
/// use dal_core::{Stop, StopLevel};
/// let stop = Stop::default();
/// let theirs = stop.clone();
/// theirs.raise(StopLevel::Now);
/// theirs.raise(StopLevel::Drain); // less urgent: changes nothing
/// assert_eq!(stop.level(), StopLevel::Now);
/// assert!(stop.is_draining() && stop.is_now());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// A wish that was not uttered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for at least this level.
    pub fn raise(&self, level: StopLevel) {
        self.0.fetch_max(level as u8, Ordering::Relaxed);
    }

    /// Asks for one level more than is asked for: first to drain, then to end now. What a repeated Ctrl-C means.
    pub fn press(&self) -> StopLevel {
        let level = match self.level() {
            StopLevel::Go => StopLevel::Drain,
            StopLevel::Drain | StopLevel::Now => StopLevel::Now,
        };
        self.raise(level);
        self.level()
    }

    /// What is asked for.
    pub fn level(&self) -> StopLevel {
        match self.0.load(Ordering::Relaxed) {
            0 => StopLevel::Go,
            1 => StopLevel::Drain,
            _ => StopLevel::Now,
        }
    }

    /// Whether nothing new may be started.
    pub fn is_draining(&self) -> bool {
        self.level() >= StopLevel::Drain
    }

    /// Whether what runs should end.
    pub fn is_now(&self) -> bool {
        self.level() == StopLevel::Now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressing_twice_ends_and_nothing_takes_it_back() {
        let stop = Stop::new();
        assert!(!stop.is_draining() && !stop.is_now());
        assert_eq!(stop.press(), StopLevel::Drain);
        assert!(stop.is_draining() && !stop.is_now());
        assert_eq!(stop.press(), StopLevel::Now);
        stop.raise(StopLevel::Go);
        assert_eq!(stop.press(), StopLevel::Now);
    }
}
