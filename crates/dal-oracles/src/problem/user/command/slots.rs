//! How many calls of one program run at the same time, over all runs of a sweep: they share an oracle.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one who waits looks whether a call is still wanted.
const TICK: Duration = Duration::from_millis(20);

/// Counts the calls that run.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// Leave for one call; dropping it lets another begin.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    /// Waits until fewer than `most` calls run; `None` once no call is wanted any more.
    pub(super) fn take(&self, most: usize, is_wanted: &dyn Fn() -> bool) -> Option<Slot<'_>> {
        let mut taken = self.lock();
        loop {
            if !is_wanted() {
                return None;
            }
            if *taken < most.max(1) {
                *taken += 1;
                return Some(Slot(self));
            }
            // What is wanted may change without a word from here.
            taken = self.freed.wait_timeout(taken, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_waits_gets_the_slot_that_is_freed_or_gives_up() {
        let slots = Slots::default();
        let first = slots.take(1, &|| true).unwrap();
        assert!(slots.take(2, &|| true).is_some(), "another had room");
        let looks = std::cell::Cell::new(0);
        let is_wanted = || {
            looks.set(looks.get() + 1);
            looks.get() < 3
        };
        assert!(slots.take(1, &is_wanted).is_none(), "no call was wanted any more");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| slots.take(1, &|| true).is_some());
            drop(first);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(*slots.lock(), 0);
    }
}
