//! Which dropout network learns: candidates for the network of `bald`, judged by their validation error and by nothing
//! else.
//!
//! For every problem, preset, number of labels and seed it trains each candidate (rate, width factor, epochs, Adam's
//! rate) by itself, on random labels of a stream of its own, and prints one CSV line: its validation MSE over the
//! variance of the validation labels, and the rank correlation of its variance over passes with its true squared error
//! there. The last lines, which begin with `#`, hold the geometric means over seeds. Neither nAUC nor a test label is
//! looked at.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_core::{
    DropoutSpec, FitJob, Labelled, Learner, Needs, SeedPath, Settings, Stop, WidthFactor, check_label, every,
};
use dal_nn::CpuLearner;
use dal_oracles::{Problem, find};
use ndarray::{Array2, Axis, s};

#[derive(Parser)]
struct Args {
    /// Problems of the catalogue.
    #[arg(value_delimiter = ',', default_value = "sine,hydro,bessel")]
    problems: Vec<String>,
    /// Presets.
    #[arg(long, value_delimiter = ',', default_value = "tuned,published")]
    presets: Vec<String>,
    /// Numbers of labels.
    #[arg(long, value_delimiter = ',', default_value = "80,480")]
    points: Vec<usize>,
    /// Seeds.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Probabilities that a unit is dropped.
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.2,0.1,0.05,0.01")]
    rates: Vec<f64>,
    /// Widths beside a member's; √10 is the published one for ten members.
    #[arg(long, value_delimiter = ',', default_value = "1,3.1622776601683795")]
    factors: Vec<f64>,
    /// Epochs.
    #[arg(long, value_delimiter = ',', default_value = "500,2000")]
    epochs: Vec<usize>,
    /// Adam's rates; 0 is the preset's.
    #[arg(long, value_delimiter = ',', default_value = "0,1e-3,3e-4")]
    learning_rates: Vec<f64>,
    /// Whether it keeps the preset's BatchNorm: `true`, `false` or both.
    #[arg(long, value_delimiter = ',', default_value = "false,true")]
    batch_norm: Vec<bool>,
    /// Points to judge on.
    #[arg(long, default_value_t = 2000)]
    validation: usize,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn labelled(problem: &Problem, n: usize, seeds: &SeedPath) -> Result<(Array2<f64>, Array2<f64>)> {
    let x = problem.space().sample(n, seeds);
    let oracle = problem.oracle()?;
    let mut y = Array2::zeros((n, oracle.n_outputs()));
    let mut failure = None;
    let mut keep = every(|row, answer| match answer.and_then(|label| check_label(label, y.ncols())) {
        Ok(label) => y.row_mut(row).iter_mut().zip(label).for_each(|(to, from)| *to = *from),
        Err(error) => failure = Some(format!("point {row}: {error}")),
    });
    oracle.label(x.view(), &Stop::new(), &mut keep)?;
    drop(keep);
    failure.map_or(Ok((x, y)), |failure| bail!("{failure}"))
}

/// Number of labels, ln of the MSE over the variance, rank correlation; one a seed and number of labels.
type Outcomes = Vec<(usize, f64, f64)>;

/// Mean over outputs of the variance of each column.
fn variance(y: &Array2<f64>) -> f64 {
    y.var_axis(Axis(0), 0.0).mean().unwrap_or(f64::NAN)
}

fn candidates(args: &Args) -> Vec<DropoutSpec> {
    let mut all = Vec::new();
    for &rate in &args.rates {
        for &factor in &args.factors {
            for &epochs in &args.epochs {
                for &learning_rate in &args.learning_rates {
                    for &batch_norm in &args.batch_norm {
                        all.push(DropoutSpec {
                            rate,
                            width_factor: WidthFactor::Factor(factor),
                            epochs: Some(epochs),
                            learning_rate: (learning_rate > 0.0).then_some(learning_rate),
                            batch_norm,
                            ..DropoutSpec::default()
                        });
                    }
                }
            }
        }
    }
    all
}

fn in_words(spec: &DropoutSpec) -> String {
    let WidthFactor::Factor(factor) = spec.width_factor else { return "published".into() };
    let rate = spec.learning_rate.map_or("preset".to_owned(), |rate| rate.to_string());
    format!("{},{factor},{},{rate},{}", spec.rate, spec.epochs.unwrap_or(0), spec.batch_norm)
}

fn main() -> Result<()> {
    let args = Args::parse();
    let candidates = candidates(&args);
    println!(
        "problem,preset,rate,factor,epochs,learning_rate,batch_norm,labels,seed,mse_over_variance,rank_correlation"
    );
    let mut means: BTreeMap<(String, String), Outcomes> = BTreeMap::new();
    for id in &args.problems {
        let problem = find(id, &Settings::default())?;
        for preset in &args.presets {
            let model = problem.preset(preset).with_context(|| format!("{id} has no preset {preset}"))?;
            let network = model.network(problem.shape())?;
            // The members are not looked at: one, for one epoch.
            let mut training = model.training.clone().alone();
            training.n_members = 1;
            training.epochs = 1;
            let learner = CpuLearner::new(network, training)?.with_threads(args.threads);
            let streams = SeedPath::root(0).purpose("bald candidates").purpose(id);
            let (judged_x, judged_y) = labelled(&problem, args.validation, &streams.purpose("validation"))?;
            let spread = variance(&judged_y);
            for seed in 0..args.seeds {
                let most = args.points.iter().copied().max().unwrap_or(0);
                let (x, y) = labelled(&problem, most, &streams.purpose("train").index(seed))?;
                for &n in &args.points {
                    let data = Labelled::new(x.slice(s![..n, ..]).to_owned(), y.slice(s![..n, ..]).to_owned())?;
                    let needs: Vec<Needs> =
                        candidates.iter().map(|spec| Needs { dropout: Some(*spec), ..Needs::default() }).collect();
                    let jobs: Vec<FitJob<'_>> = needs
                        .iter()
                        .map(|needs| FitJob { labelled: &data, needs, seeds: streams.purpose("fit").index(seed) })
                        .collect();
                    for (spec, model) in candidates.iter().zip(learner.fit_all(&jobs, &Stop::new())) {
                        let model = model?;
                        let dropout = model.dropout().context("the model has no dropout network")?;
                        let mean = dropout.mean(judged_x.view())?;
                        let squared = (&mean - &judged_y).mapv(|e| e * e).mean_axis(Axis(1)).context("no outputs")?;
                        let moments = dropout.moments(judged_x.view(), &streams.purpose("passes").index(seed))?;
                        let disagreement = moments.variance.mean_axis(Axis(1)).context("no outputs")?;
                        let relative = squared.mean().unwrap_or(f64::NAN) / spread;
                        let rank =
                            dal_eval::rank_correlation(&disagreement.to_vec(), &squared.to_vec()).unwrap_or(f64::NAN);
                        println!("{id},{preset},{},{n},{seed},{relative:.6e},{rank:.4}", in_words(spec));
                        let key = (format!("{id},{preset}"), in_words(spec));
                        means.entry(key).or_default().push((n, relative.ln(), rank));
                    }
                }
            }
        }
    }
    println!(
        "# problem,preset,rate,factor,epochs,learning_rate,batch_norm: MSE over variance and rank correlation at each number of labels"
    );
    for ((place, spec), values) in &means {
        let mut line = format!("# {place},{spec}:");
        for &n in &args.points {
            let at: Vec<_> = values.iter().filter(|(points, ..)| *points == n).collect();
            let count = at.len() as f64;
            let mse = (at.iter().map(|(_, ln, _)| ln).sum::<f64>() / count).exp();
            let rank = at.iter().map(|(.., rank)| rank).sum::<f64>() / count;
            line += &format!(" {n}: {mse:.3e} {rank:+.2}");
        }
        println!("{line}");
    }
    Ok(())
}
