//! Do the two engines agree? Trains one problem's ensembles by the published protocol on both, from the same seeds, on
//! the same growing training sets, and prints the mean log ratio of their test errors with its 90 % interval over
//! seeds.
//!
//! `cargo run --release -p dal-nn --features tch --example agree -- sine [--seeds 20] [--steps 10] [--threads 1]
//! [--device cpu]`
//!
//! Training set `t` holds 80 + 40 t uniform points. Trainings are chaotic (rounding decides which of many similar
//! networks comes out), so single errors differ; what is asked is whether one engine is better on average. A seed's
//! mean over steps is one observation. Exit code 1 where the interval leaves ±15 %.

use std::time::Instant;

use anyhow::{Context, bail};
use dal_core::{FitJob, Labelled, Learner, Needs, Oracle, Stop, TrialSeeds, every};
use dal_nn::{CpuLearner, Head, TchLearner, TchOptions};
use ndarray::{Array2, concatenate};

/// Half-width of the region of agreement, relatively.
const MARGIN: f64 = 0.15;

/// Student's t at 95 % for 1 to 30 degrees of freedom.
const T95: [f64; 30] = [
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753, 1.746,
    1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697,
];

/// Mean and half-width of the two-sided 90 % interval.
fn interval(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = T95.get(values.len() - 2).copied().unwrap_or(1.645);
    (mean, t * (variance / n).sqrt())
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().context("usage: agree PROBLEM [--seeds S] [--steps T] [--threads N] [--device D]")?;
    let (mut n_seeds, mut n_steps) = (20, 10);
    let mut options = TchOptions::default();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--seeds" => n_seeds = value.parse::<u64>()?,
            "--steps" => n_steps = value.parse::<usize>()?,
            "--threads" => options.threads = value.parse()?,
            "--device" => options.device = value.parse()?,
            other => bail!("unknown option {other}"),
        }
    }
    if n_seeds < 2 || n_steps == 0 {
        bail!("an interval needs two seeds and a step at least");
    }
    let problem = dal_oracles::find(&id, &dal_core::Settings::default())?;
    let Some(card) = problem.card() else { bail!("{id} has no default network") };
    let model = &card.published.model;
    if model.head != Head::Linear {
        bail!("{id} has a convolution head; this comparison is for networks without");
    }
    let shape = problem.shape();
    let (network, training) = (model.network(shape)?, model.training.clone());
    let ours = CpuLearner::new(network.clone(), training.clone())?.with_threads(options.threads);
    let theirs = TchLearner::new(network, training, options)?;
    println!("{} beside {}", theirs.platform(), ours.platform());

    let seeds: Vec<_> = (0..n_seeds).map(|seed| TrialSeeds::new(&id, seed)).collect();
    let sample = |n: usize, stream| -> anyhow::Result<(Array2<f64>, Array2<f64>)> {
        let x = problem.space().sample(n, &stream);
        let y = label(problem.oracle()?.as_ref(), &x)?;
        Ok((x, y))
    };
    let tests: Vec<_> = seeds.iter().map(|trial| sample(4000, trial.test())).collect::<anyhow::Result<_>>()?;
    let mut sets: Vec<_> = seeds.iter().map(|trial| sample(80, trial.initial())).collect::<anyhow::Result<_>>()?;
    let mut ratios = vec![Vec::new(); seeds.len()];
    let needs = Needs { mean: true, ..Needs::default() };
    for step in 0..n_steps {
        if step > 0 {
            for (set, trial) in sets.iter_mut().zip(&seeds) {
                let (x, y) = sample(40, trial.candidates(step))?;
                *set = (
                    concatenate(ndarray::Axis(0), &[set.0.view(), x.view()])?,
                    concatenate(ndarray::Axis(0), &[set.1.view(), y.view()])?,
                );
            }
        }
        let labelled: Vec<_> =
            sets.iter().map(|(x, y)| Labelled::new(x.clone(), y.clone())).collect::<Result<Vec<_>, _>>()?;
        let jobs: Vec<_> = labelled
            .iter()
            .zip(&seeds)
            .map(|(labelled, trial)| FitJob { labelled, needs: &needs, seeds: trial.fit(step) })
            .collect();
        let errors = |learner: &dyn Learner| -> anyhow::Result<(Vec<f64>, f64)> {
            let start = Instant::now();
            let models = learner.fit_all(&jobs, &Stop::new());
            let seconds = start.elapsed().as_secs_f64();
            let mut errors = Vec::new();
            for (model, (x, y)) in models.into_iter().zip(&tests) {
                let error = (&model?.mean(x.view())? - y).mapv(|e| e * e).mean();
                errors.push(error.context("no test points")?);
            }
            Ok((errors, seconds))
        };
        let ((found, theirs_took), (expected, ours_took)) = (errors(&theirs)?, errors(&ours)?);
        let logs: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| (a / b).ln()).collect();
        let (mean, half) = interval(&logs);
        let geometric = |errors: &[f64]| (errors.iter().map(|e| e.ln()).sum::<f64>() / errors.len() as f64).exp();
        println!(
            "N = {:4}: MSE {:.3e} beside {:.3e}, mean log ratio {mean:+.3} ± {half:.3}; {theirs_took:.1} s beside {ours_took:.1} s",
            labelled[0].len(),
            geometric(&found),
            geometric(&expected)
        );
        ratios.iter_mut().zip(logs).for_each(|(ratios, log)| ratios.push(log));
    }
    let by_seed: Vec<f64> = ratios.iter().map(|logs| logs.iter().sum::<f64>() / logs.len() as f64).collect();
    let (mean, half) = interval(&by_seed);
    let (low, high) = ((mean - half).exp() - 1.0, (mean + half).exp() - 1.0);
    let agree = low > -MARGIN && high < MARGIN;
    println!(
        "{n_seeds} seeds, {n_steps} steps: mean log ratio {mean:+.4} ± {half:.4} (90 %), that is {:+.1} % to {:+.1} %: {}",
        100.0 * low,
        100.0 * high,
        if agree { "the engines agree" } else { "not shown to agree" }
    );
    if !agree {
        bail!("the interval leaves ±{} %", 100.0 * MARGIN);
    }
    Ok(())
}

fn label(oracle: &dyn Oracle, x: &Array2<f64>) -> anyhow::Result<Array2<f64>> {
    let mut y = Array2::zeros((x.nrows(), oracle.n_outputs()));
    let mut failure = None;
    let mut keep = every(|row, answer| match answer {
        Ok(values) => y.row_mut(row).iter_mut().zip(values).for_each(|(y, &value)| *y = value),
        Err(error) => failure = Some(error),
    });
    oracle.label(x.view(), &Stop::new(), &mut keep)?;
    drop(keep);
    match failure {
        Some(error) => bail!("{error:?}"),
        None => Ok(y),
    }
}
