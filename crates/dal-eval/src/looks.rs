//! Planned looks at a growing sweep: at which numbers of seeds verdicts are made, at which level, and what may be said
//! between.

use crate::error::EvalError;

/// One planned look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Seeds, the first ones of each problem, that its verdicts rest on.
    pub seeds: usize,
    /// Level of its verdicts, both directions together: what [`VerdictRules::level`](crate::VerdictRules) is set to.
    pub level: f64,
}

/// The looks of a sweep, fixed before its first run.
///
/// At each look "better", "worse" and "robust" are families of half its level each, so that the chance of any false
/// "better" at any look is at most half the sum of the levels (Bonferroni over looks), that of any false "worse" and
/// of any false "robust" as much each; a claim made at one look stands. Verdicts of a look rest on its seeds alone,
/// though more may have finished. Between looks a page shows estimates and intervals, no verdicts; seeds beyond the
/// last look were added by choice, and what rests on them is exploratory.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    looks: Vec<Look>,
    total: f64,
}

/// Where a sweep stands, and so what may be said of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Before the first look: estimates and intervals, no verdicts.
    Before {
        /// The look to come.
        next: Look,
    },
    /// Exactly at a look: its verdicts.
    At {
        /// The look.
        look: Look,
    },
    /// Past a look and before the next: the verdicts of the one passed, on its own seeds; estimates and intervals of
    /// all.
    Between {
        /// The last look passed.
        passed: Look,
        /// The look to come.
        next: Look,
    },
    /// Past the last look: its verdicts, on its own seeds; what the further seeds add is exploratory.
    Beyond {
        /// The last look.
        last: Look,
        /// Seeds beyond it.
        extra: usize,
    },
}

impl Standing {
    /// The look whose verdicts may be shown, computed on its seeds alone; `None` before the first.
    pub fn verdicts(&self) -> Option<Look> {
        match *self {
            Self::Before { .. } => None,
            Self::At { look } => Some(look),
            Self::Between { passed, .. } => Some(passed),
            Self::Beyond { last, .. } => Some(last),
        }
    }

    /// The look that stands, or before the first the one to come.
    pub fn look(&self) -> Look {
        match *self {
            Self::Before { next: look }
            | Self::At { look }
            | Self::Between { passed: look, .. }
            | Self::Beyond { last: look, .. } => look,
        }
    }

    /// Whether what rests on all finished seeds is exploratory rather than planned.
    pub fn is_exploratory(&self) -> bool {
        matches!(self, Self::Beyond { .. })
    }
}

impl Looks {
    /// Plans looks.
    ///
    /// Worked example: 10 seeds at 0.02 and 20 at 0.03 spend 0.05.
    ///
    /// ```
    /// # use dal_eval::{Look, Looks, Standing};
    /// let (first, second) = (Look { seeds: 10, level: 0.02 }, Look { seeds: 20, level: 0.03 });
    /// let looks = Looks::new(vec![first, second])?;
    /// assert!((looks.total_level() - 0.05).abs() < 1e-15);
    /// assert_eq!(looks.standing(7), Standing::Before { next: first });
    /// assert_eq!(looks.standing(13).verdicts(), Some(first));
    /// assert_eq!(looks.standing(25), Standing::Beyond { last: second, extra: 5 });
    /// # Ok::<(), dal_eval::EvalError>(())
    /// ```
    ///
    /// # Errors
    /// [`EvalError::TooFew`] for no looks; [`EvalError::OutOfRange`] for seeds that do not rise from look to look or
    /// are none, a level outside (0, 1), and levels that add up to 1 or more.
    pub fn new(looks: Vec<Look>) -> Result<Self, EvalError> {
        if looks.is_empty() {
            return Err(EvalError::TooFew { what: "looks of a sweep", needed: 1, got: 0 });
        }
        let mut before = 0;
        let mut total = 0.0;
        for (index, look) in looks.iter().enumerate() {
            if look.seeds <= before {
                let value = look.seeds as f64;
                return Err(EvalError::OutOfRange {
                    what: "seeds of a look",
                    index,
                    value,
                    must: "more than before it",
                });
            }
            if !(look.level > 0.0 && look.level < 1.0) {
                let (value, must) = (look.level, "strictly between 0 and 1");
                return Err(EvalError::OutOfRange { what: "level of a look", index, value, must });
            }
            before = look.seeds;
            total += look.level;
            if total >= 1.0 {
                return Err(EvalError::OutOfRange {
                    what: "levels up to a look",
                    index,
                    value: total,
                    must: "below 1",
                });
            }
        }
        Ok(Self { looks, total })
    }

    /// A single look at the end, which is what a sweep without planned looks has.
    ///
    /// # Errors
    /// Those of [`Looks::new`].
    pub fn once(seeds: usize, level: f64) -> Result<Self, EvalError> {
        Self::new(vec![Look { seeds, level }])
    }

    /// The looks, by rising number of seeds.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// The sum of the levels: of a false verdict in either direction over all looks.
    pub fn total_level(&self) -> f64 {
        self.total
    }

    /// Where a sweep stands of which the first `n_seeds` seeds are finished in every cell that counts.
    pub fn standing(&self, n_seeds: usize) -> Standing {
        let passed = self.looks.partition_point(|look| look.seeds <= n_seeds);
        match (passed.checked_sub(1).map(|i| self.looks[i]), self.looks.get(passed)) {
            (Some(look), _) if look.seeds == n_seeds => Standing::At { look },
            (Some(passed), Some(next)) => Standing::Between { passed, next: *next },
            (Some(last), None) => Standing::Beyond { last, extra: n_seeds - last.seeds },
            // Without a look passed the first is still to come, and there is at least one.
            (None, _) => Standing::Before { next: self.looks[0] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_seeds_has_one_standing() {
        let (first, second) = (Look { seeds: 5, level: 0.01 }, Look { seeds: 8, level: 0.04 });
        let looks = Looks::new(vec![first, second]).unwrap();
        for n in 0..12 {
            let standing = looks.standing(n);
            let due = match n {
                0..5 => Standing::Before { next: first },
                5 => Standing::At { look: first },
                6 | 7 => Standing::Between { passed: first, next: second },
                8 => Standing::At { look: second },
                _ => Standing::Beyond { last: second, extra: n - 8 },
            };
            assert_eq!(standing, due);
            // Verdicts never rest on more seeds than are there.
            assert!(standing.verdicts().is_none_or(|look| look.seeds <= n));
            assert_eq!(standing.is_exploratory(), n > 8);
        }
        assert_eq!((looks.looks(), looks.total_level()), (&[first, second][..], 0.05));
        assert_eq!(Looks::once(10, 0.05).unwrap().standing(10).verdicts(), Some(Look { seeds: 10, level: 0.05 }));
    }

    #[test]
    fn bad_plans_are_typed() {
        let look = |seeds, level| Look { seeds, level };
        assert!(matches!(Looks::new(vec![]), Err(EvalError::TooFew { .. })));
        assert!(matches!(Looks::once(0, 0.05), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(Looks::once(10, 0.0), Err(EvalError::OutOfRange { .. })));
        assert!(matches!(
            Looks::new(vec![look(10, 0.01), look(10, 0.01)]),
            Err(EvalError::OutOfRange { index: 1, what: "seeds of a look", .. })
        ));
        assert!(matches!(
            Looks::new(vec![look(5, 0.6), look(10, 0.6)]),
            Err(EvalError::OutOfRange { index: 1, what: "levels up to a look", .. })
        ));
    }
}
