//! Times one selection rule in this process and prints JSON: our side of the comparison in `peers/select`.
//!
//! A time is one whole proposal: the step's checks, mean and variance over members, every pick. Reading the data is not
//! in it. Memory is the peak of the resident set during the proposals less what was resident before them.
//! With `--features` the model is a file of features, so that what is timed is transform and selection alone: each
//! proposal's own copy of the features is made before its time is taken, and counts for its memory.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_acq::{GivenPredictions, select};
use dal_benches::{Resident, forget_peak, resident, thread_seconds};
use dal_core::{FeatureSpec, Features, Labelled, SeedPath, Settings, Space, Step, Surrogate, SurrogateError};
use ndarray::{Array2, Array3, ArrayView2, Axis, concatenate, s};
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
    /// A setting of the strategy, KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Read pf.npy and lf.npy (pool and labelled points, features) in the folder and ask them in the place of a model.
    #[arg(long)]
    features: bool,
    #[arg(long, default_value_t = 40)]
    picks: usize,
    #[arg(long, default_value_t = 1)]
    repetitions: usize,
    /// Proposals before the ones that count.
    #[arg(long, default_value_t = 1)]
    warm_up: usize,
}

/// A model that knows the features of the pool followed by the labelled points.
struct GivenFeatures {
    n_inputs: usize,
    n_outputs: usize,
    /// One answer each, made before the clock starts: a copy is no part of a selection.
    features: RefCell<Vec<Array2<f64>>>,
}

impl Surrogate for GivenFeatures {
    fn n_inputs(&self) -> usize {
        self.n_inputs
    }
    fn n_outputs(&self) -> usize {
        self.n_outputs
    }
    fn mean(&self, _: ArrayView2<'_, f64>) -> Result<Array2<f64>, SurrogateError> {
        Err(SurrogateError::Other { message: "only features are known".into() })
    }
    fn features(&self) -> Option<&dyn Features> {
        Some(self)
    }
}

impl Features for GivenFeatures {
    fn features_at(&self, x: ArrayView2<'_, f64>, _: &FeatureSpec) -> Result<Array2<f64>, SurrogateError> {
        match self.features.borrow_mut().pop() {
            Some(features) if features.nrows() == x.nrows() => Ok(features),
            Some(features) => Err(SurrogateError::UnknownPoint { known: features.nrows(), row: x.nrows() }),
            None => Err(SurrogateError::Other { message: "features are asked for once a proposal".into() }),
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let settings: Settings = args.settings.iter().filter_map(|pair| pair.split_once('=')).collect();
    let read = |name: &str| {
        let path = args.data.join(name);
        ndarray_npy::read_npy::<_, Array2<f64>>(&path).with_context(|| path.display().to_string())
    };
    let (lx, ly, px) = (read("lx.npy")?, read("ly.npy")?, read("px.npy")?);
    let strategy = dal_acq::find(&args.strategy, &settings)?.strategy;
    let seeds = SeedPath::root(0);
    if args.features {
        let (n_inputs, n_outputs) = (px.ncols(), ly.ncols());
        let features = concatenate![Axis(0), read("pf.npy")?, read("lf.npy")?];
        let given = GivenFeatures { n_inputs, n_outputs, features: RefCell::default() };
        let (space, labelled) = (Space::continuous_unit(n_inputs), Labelled::new(lx, ly)?);
        let prepare = || given.features.borrow_mut().push(features.clone());
        return time(&args, prepare, || {
            let step = Step::new(&space, &labelled, px.view(), Some(&given), strategy.needs())?;
            let proposal = strategy.propose(&step, args.picks, &seeds)?;
            Ok(proposal.rows().context("rows of the pool")?.to_vec())
        });
    }
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
    time(&args, || (), || Ok(select(&*strategy, &labelled, px.view(), Some(&given), args.picks, &seeds)?.picked))
}

/// Calls `prepare` and then `propose`, and prints the times of `propose`, its picks, and the memory of both.
fn time(args: &Args, prepare: impl Fn(), propose: impl Fn() -> Result<Vec<usize>>) -> Result<()> {
    for _ in 0..args.warm_up {
        prepare();
        propose()?;
    }
    forget_peak();
    let before = resident(Resident::Now);
    let (mut seconds, mut cpu_seconds, mut picks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.repetitions {
        prepare();
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
