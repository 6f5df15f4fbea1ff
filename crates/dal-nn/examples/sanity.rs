//! Trains one problem's ensemble by the published protocol and prints its relative test error, to be held against known
//! figures of the same protocol in PyTorch.
//!
//! `cargo run --release -p dal-nn --example sanity -- sine 80 480 [--members 3] [--seed 0] [--recomputed]`
//!
//! With 3 members, test MSE over the variance of the outputs, at N = 80, 480, 2 080 (PyTorch): sine .62, .02, .03;
//! hydro .75, .16, .05; foil .32, .15, .09; damp .69, .20; robo .017 at 80.

use std::time::Instant;

use anyhow::{Context, bail};
use dal_core::{Labelled, MlpOverlay, Needs, Oracle, SeedPath, Stop, Surrogate, TrialSeeds, every};
use dal_nn::{BatchNormStatistics, CpuLearner};
use ndarray::{Array2, Axis};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().context("usage: sanity PROBLEM N… [--members M] [--seed S] [--recomputed]")?;
    let (mut sizes, mut n_members, mut seed) = (Vec::new(), 3, 0);
    let mut statistics = BatchNormStatistics::Running;
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| -> anyhow::Result<u64> {
            arguments.next().with_context(|| format!("{name} needs a number"))?.parse().context("not a number")
        };
        match argument.as_str() {
            "--members" => n_members = number("--members")? as usize,
            "--seed" => seed = number("--seed")?,
            "--recomputed" => statistics = BatchNormStatistics::Recomputed,
            size => sizes.push(size.parse::<usize>().with_context(|| format!("{size} is not a number of points"))?),
        }
    }
    if sizes.is_empty() {
        sizes.push(80);
    }

    let problem = dal_oracles::find(&id, &dal_core::Settings::default())?;
    let Some(card) = problem.card() else { bail!("{id} has no default network") };
    let shape = problem.shape();
    let overlay =
        MlpOverlay { batch_norm_statistics: Some(statistics), members: Some(n_members), ..MlpOverlay::default() };
    let model = overlay.over(&card.published.model);
    let (network, training) = (model.network(shape)?, model.training);

    let seeds = TrialSeeds::new(&id, seed);
    let sample = |n: usize, stream: SeedPath| -> anyhow::Result<(Array2<f64>, Array2<f64>)> {
        let x = problem.space().sample(n, &stream);
        let y = label(problem.oracle()?.as_ref(), &x)?;
        Ok((x, y))
    };
    let (test_x, test_y) = sample(4000, seeds.test())?;
    let variance = test_y.var_axis(Axis(0), 0.0).mean().unwrap_or(f64::NAN);
    println!("{id}, seed {seed}, {n_members} members, output variance {variance:.4}");
    for n in sizes {
        let (x, y) = sample(n, seeds.initial())?;
        let labelled = Labelled::new(x, y)?;
        let start = Instant::now();
        let learner = CpuLearner::new(network.clone(), training.clone())?;
        let needs = Needs { committee: true, ..Needs::default() };
        let model = learner.fit(&labelled, &needs, &seeds.fit(0))?;
        let seconds = start.elapsed().as_secs_f64();
        let error =
            |prediction: &Array2<f64>| (prediction - &test_y).mapv(|e| e * e).mean().unwrap_or(f64::NAN) / variance;
        let mean = model.mean(test_x.view())?;
        let mut member_error = 0.0;
        if let Some(committee) = model.committee() {
            committee.members(test_x.view(), 500, &mut |first, predictions| {
                let rows = ndarray::s![first..first + predictions.len_of(Axis(1)), ..];
                for member in predictions.outer_iter() {
                    member_error += (&member - &test_y.slice(rows)).mapv(|e| e * e).sum();
                }
            })?;
        }
        member_error /= (n_members * test_y.len()) as f64 * variance;
        println!("N = {n:5}: ensemble {:.4}, members {member_error:.4}, {seconds:.2} s", error(&mean));
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
