//! Times what batch methods on features need before they select: the sketched gradients of `robo`'s ten members beside
//! the peak of matrix products measured in the same run, and the factorisations of this build.
//!
//! Prints JSON. Seconds are the least of the repetitions, on a processor where the system keeps such an account.
//! Operations are counted by their formula: multiply-adds of the forward pass, of one backward pass a direction, and of
//! the products with the sketch's matrices. Memory is the peak of the resident set beyond what was there before, the
//! features included.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_benches::{Resident, forget_peak, resident, thread_seconds};
use dal_core::{FeatureKind, FeatureSpec, Labelled, Needs, Parametrisation, SeedPath, Settings, Surrogate};
use dal_geom::Cholesky;
use dal_nn::{BatchNormSpec, CpuLearner, FastTrainer, Head, NetworkSpec, TrainingSpec};
use ndarray::Array2;
use rand::RngExt;
use serde_json::json;

#[derive(Parser)]
struct Args {
    /// Points whose features are taken.
    #[arg(long, default_value_t = 2400)]
    points: usize,
    /// Columns of the sketch.
    #[arg(long, default_value_t = 512)]
    columns: usize,
    /// Combinations of outputs.
    #[arg(long, default_value_t = 2)]
    directions: usize,
    #[arg(long, default_value_t = 10)]
    members: usize,
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Rows that are whitened by the factor of a matrix of that many columns.
    #[arg(long, default_value_t = 11_000)]
    rows: usize,
}

/// The least seconds that `work` takes.
fn least(repetitions: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..repetitions {
        let (start, cpu_start) = (Instant::now(), thread_seconds());
        work()?;
        let cpu = thread_seconds().zip(cpu_start).map(|(end, start)| end - start);
        best = best.min(cpu.unwrap_or(start.elapsed().as_secs_f64()));
    }
    Ok(best)
}

/// Operations a second of a matrix product that stays in the cache.
fn peak() -> f64 {
    let trainer = FastTrainer::default();
    let start = Instant::now();
    let mut best = 0.0_f64;
    while start.elapsed().as_secs_f64() < 0.3 {
        let begin = Instant::now();
        let operations = trainer.peak_work(20_000);
        best = best.max(operations / begin.elapsed().as_secs_f64());
    }
    best
}

/// Operations a point and member.
fn operations(network: &NetworkSpec, p: usize, directions: usize) -> f64 {
    let mut widths = vec![network.n_inputs()];
    widths.extend_from_slice(network.hidden());
    widths.push(network.n_outputs());
    let layers: Vec<(f64, f64)> = widths.windows(2).map(|w| (w[0] as f64, w[1] as f64)).collect();
    let (p, directions) = (p as f64, directions.min(network.n_outputs()) as f64);
    let forward: f64 = layers.iter().map(|(a, b)| a * b).sum();
    // No gradient by the inputs is needed.
    let backward: f64 = layers.iter().skip(1).map(|(a, b)| a * b).sum();
    let inputs: f64 = layers.iter().map(|(a, _)| a * p).sum();
    let signals: f64 = layers.iter().map(|(_, b)| b * p + p).sum();
    let normals: f64 =
        if network.batch_norm().is_some() { network.hidden().iter().map(|&w| 2.0 * w as f64 * p).sum() } else { 0.0 };
    2.0 * (forward + inputs + directions * (backward + signals + normals))
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.repetitions == 0 || args.points == 0 || args.columns == 0 {
        bail!("--points, --columns and --repetitions are at least 1");
    }
    let problem = dal_oracles::find("robo", &Settings::default())?;
    let seeds = SeedPath::root(1);
    let space = problem.space();
    // One epoch: gradients cost the same whatever was learned.
    let x = space.sample(80, &seeds.purpose("labelled"));
    let y = Array2::from_shape_fn((80, problem.shape().n_outputs), |(i, j)| x.row(i).sum() * (j + 1) as f64);
    let hidden = problem.model().hidden.to_vec();
    let network = NetworkSpec::new(x.ncols(), y.ncols(), hidden, Some(BatchNormSpec::default()), Head::Linear)?;
    let training = TrainingSpec { n_members: args.members, epochs: 1, ..TrainingSpec::default() };
    let needs = Needs { features: true, ..Needs::default() };
    let model = CpuLearner::new(network.clone(), training)?.fit(&Labelled::new(x, y)?, &needs, &seeds)?;
    let features = model.features().context("gradient features were asked for")?;
    let spec = FeatureSpec {
        kind: FeatureKind::Gradient,
        columns: Some(args.columns),
        directions: args.directions,
        parametrisation: Parametrisation::default(),
        seeds: seeds.purpose("features"),
    };
    let points = space.sample(args.points, &seeds.purpose("pool"));
    forget_peak();
    let before = resident(Resident::Now);
    let sketch = least(args.repetitions, || {
        let made = features.features_at(points.view(), &spec)?;
        anyhow::ensure!(made.dim() == (args.points, args.columns), "{:?}", made.dim());
        Ok(())
    })?;
    let bytes = resident(Resident::Peak).zip(before).map(|(peak, before)| peak.saturating_sub(before));
    let counted = operations(&network, args.columns, args.directions) * (args.points * args.members) as f64;
    let peak = peak();

    let mut rng = seeds.purpose("matrix").rng();
    let rows =
        Array2::from_shape_simple_fn((args.rows.max(args.columns), args.columns), || rng.random_range(-1.0..1.0));
    let gram = rows.t().dot(&rows);
    let mut factor = None;
    let factorise = least(args.repetitions, || {
        factor = Some(Cholesky::new("the timed matrix", gram.view())?);
        Ok(())
    })?;
    let factor = factor.context("a factor")?;
    let mut white = rows.clone();
    let whiten = least(args.repetitions, || {
        white.assign(&rows);
        factor.whiten(&mut white)?;
        Ok(())
    })?;
    let copy = least(args.repetitions, || {
        white.assign(&rows);
        Ok(())
    })?;
    let answer = json!({
        "points": args.points,
        "columns": args.columns,
        "members": args.members,
        "sketch_seconds": sketch,
        "sketch_operations": counted,
        "sketch_flops_per_second": counted / sketch,
        "peak_flops_per_second": peak,
        "share_of_peak": counted / sketch / peak,
        "sketch_peak_bytes": bytes,
        "linear_algebra": dal_geom::LINEAR_ALGEBRA,
        "factorise_seconds": factorise,
        "whiten_rows": rows.nrows(),
        "whiten_seconds": whiten - copy,
    });
    println!("{answer}");
    Ok(())
}
