//! A small problem with an oracle in Rust, and a clock that stands still.
#![allow(dead_code)] // Each test file uses its own share of this.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dal_campaign::{CampaignFile, Folder, Trainer};
use dal_core::{Clock, LabelFailure, LabelFailureKind, OnRow, Oracle, OracleError, Stop};
use ndarray::ArrayView2;

/// Three inputs of three kinds and two outputs; the program is never called here.
pub const PROBLEM: &str = r#"
name = "rig"
[[inputs]]
name = "speed"
low = 1
high = 100
scale = "log"
[[inputs]]
name = "blades"
integer = true
low = 2
high = 6
[[inputs]]
name = "material"
levels = ["steel", "wood"]
[[outputs]]
name = "thrust"
[[outputs]]
name = "noise"
[oracle.command]
program = ["true"]
time_limit = 1
"#;

pub const NETWORKS: Trainer<'static> = Trainer::Networks { threads: 1 };

/// A clock that is set by hand.
#[derive(Clone, Default)]
pub struct Hands(Arc<AtomicU64>);

impl Hands {
    pub fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || hands.load(Ordering::SeqCst) as f64)
    }
    pub fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A campaign with small numbers.
pub fn begin(root: &Path, change: impl FnOnce(&mut CampaignFile), hands: &Hands) -> Folder {
    fs::create_dir_all(root).unwrap();
    fs::write(root.join("problem.toml"), PROBLEM).unwrap();
    let plain = CampaignFile::new("problem.toml", 3).choosing_by("qbc-diversity");
    let mut file = CampaignFile { initial: 12, batch: 4, candidates: 200, ..plain };
    change(&mut file);
    Folder::begin(root, &file, hands.clock()).unwrap()
}

/// Answers with a smooth function of the point; fails at some points, each time alike; remembers what it was asked.
#[derive(Debug, Default)]
pub struct Rig {
    pub asked: Mutex<Vec<Vec<u64>>>,
    /// The first so many calls of a point fail for the machine's sake.
    pub flaky: usize,
    /// How many points fail for their own sake, of ten.
    pub failing: u64,
    /// Points whose first input lies above this fail for their own sake.
    pub beyond: Option<f64>,
    pub at_once: AtomicUsize,
    pub most_at_once: AtomicUsize,
}

impl Oracle for Rig {
    fn n_inputs(&self) -> usize {
        4
    }
    fn n_outputs(&self) -> usize {
        2
    }
    fn label(&self, x: ArrayView2<'_, f64>, stop: &Stop, on_row: &mut OnRow<'_>) -> Result<(), OracleError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        for (row, point) in x.outer_iter().enumerate() {
            if stop.is_draining() {
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                return Err(OracleError::Stopped);
            }
            let bits: Vec<u64> = point.iter().map(|v| v.to_bits()).collect();
            let times = {
                let mut asked = self.asked.lock().unwrap();
                asked.push(bits.clone());
                asked.iter().filter(|known| **known == bits).count()
            };
            let dice = (bits[0] >> 20) % 10;
            let answer = [2.0 * point[0] + point[1] * point[2], 100.0 * point[1] - point[0]];
            let flow = if times <= self.flaky {
                on_row(row, Err(LabelFailure::new(LabelFailureKind::Crashed, "out of memory")))
            } else if dice < self.failing || self.beyond.is_some_and(|beyond| point[0] > beyond) {
                on_row(row, Err(LabelFailure::new(LabelFailureKind::Refused, "no convergence")))
            } else {
                on_row(row, Ok(&answer))
            };
            if flow.is_break() {
                break;
            }
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Rig {
    pub fn n_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
    pub fn n_points(&self) -> usize {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked.len()
    }
}
