//! A plan that several tests share.

use crate::common::{Effect, Plan};

/// Three methods: one better everywhere, one worse in a single cell, one like Random.
const METHODS: [(&str, Effect); 3] = [
    ("gsx", |_, _| -0.105_360_515_657_826_3), // 10 % better everywhere
    ("qbc", |p, g| if (p, g) == (1, 1) { 0.2 } else { -0.105_360_515_657_826_3 }),
    ("gsy", |_, _| 0.0),
];

/// These methods on three problems.
pub fn plan(seeds: u64) -> Plan<'static> {
    Plan { problems: &["hydro", "robo", "sine"], ratios: &[2, 8], seeds, methods: &METHODS, noise: 0.01, steps: 10 }
}
