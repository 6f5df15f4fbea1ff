//! Times one selection rule in this process and prints JSON: our side of the comparison in `peers/select`.
//!
//! A time is one whole proposal: the step's checks, mean and variance over members, every pick. Reading the data is not
//! in it. Memory is the peak of the resident set during the proposals less what was resident before them.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_acq::{GivenPredictions, select};
use dal_benches::{Resident, forget_peak, resident, thread_seconds};
use dal_core::{Labelled, SeedPath};
use ndarray::{Array2, Array3, Axis, s};
use serde_json::json;

#[derive(Parser)]
struct Args {
    /// Folder with lx.npy, ly.npy, px.npy and members.npy (members, pool points, outputs).
    #[arg(long)]
    data: PathBuf,
    /// Id of the strategy.
    #[arg(long)]
    strategy: String,
    /// How many of the outputs to use.
    #[arg(long)]
    outputs: usize,
    #[arg(long, default_value_t = 40)]
    picks: usize,
    #[arg(long, default_value_t = 1)]
    repetitions: usize,
    /// Proposals before the ones that count.
    #[arg(long, default_value_t = 1)]
    warm_up: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let read = |name: &str| {
        let path = args.data.join(name);
        ndarray_npy::read_npy::<_, Array2<f64>>(&path).with_context(|| path.display().to_string())
    };
    let (lx, ly, px) = (read("lx.npy")?, read("ly.npy")?, read("px.npy")?);
    let path = args.data.join("members.npy");
    let members: Array3<f64> = ndarray_npy::read_npy(&path).with_context(|| path.display().to_string())?;
    let n_outputs = members.len_of(Axis(2));
    if args.outputs == 0 || args.outputs > n_outputs || args.repetitions == 0 {
        bail!("--outputs is 1 to {n_outputs}, --repetitions at least 1");
    }
    // Where all outputs are used nothing is copied: a copy would be freed again and hide the proposal's own peak.
    let members = if args.outputs == n_outputs {
        members
    } else {
        members.slice(s![.., .., ..args.outputs]).as_standard_layout().into_owned()
    };
    let labelled = Labelled::new(lx, ly.slice(s![.., ..args.outputs]).to_owned())?;
    let given = GivenPredictions::new(px.clone(), members)?;
    let strategy = dal_acq::find(&args.strategy, &dal_core::Settings::default())?.strategy;
    let propose = || -> Result<Vec<usize>> {
        let seeds = SeedPath::root(0);
        Ok(select(&*strategy, &labelled, px.view(), Some(&given), args.picks, &seeds)?.picked)
    };

    for _ in 0..args.warm_up {
        propose()?;
    }
    forget_peak();
    let before = resident(Resident::Now);
    let (mut seconds, mut cpu_seconds, mut picks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.repetitions {
        let cpu_start = thread_seconds();
        let start = Instant::now();
        picks = propose()?;
        seconds.push(start.elapsed().as_secs_f64());
        cpu_seconds.push(thread_seconds().zip(cpu_start).map(|(end, start)| end - start));
    }
    let peak = resident(Resident::Peak).zip(before).map(|(peak, before)| peak.saturating_sub(before));
    let answer = json!({
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "picks": picks,
        "peak_bytes": peak,
        "versions": { "dal-acq": env!("CARGO_PKG_VERSION") },
    });
    println!("{answer}");
    Ok(())
}
