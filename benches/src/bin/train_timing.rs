//! Trains an ensemble in this process on command and says how long it took: our side of the comparison in
//! `peers/train`.
//!
//! Reads lines from standard input and answers each with one line. `run E` trains every member for E epochs from its
//! initial parameters, members dealt out to the threads in turn, and prints JSON: the seconds that E epochs take,
//! without the making of buffers, which peers do not count either; those of one epoch with it; and every member's
//! losses. `peak` times the machine's fused multiply-adds through a matrix product and prints flop/s.
//! End of input ends it. With `--table` it needs no commands and no files: it times the benchmark's networks by itself.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_benches::training::{NETWORKS, Workload};
use dal_benches::{Resident, forget_peak, resident, thread_seconds};
use dal_nn::{FastTrainer, MemberState, MemberTrainer, TrainLog, TrainingSpec};
use serde_json::json;

#[derive(Parser)]
struct Args {
    /// Widths: inputs, hidden layers, outputs, as in `1,20,20,1`.
    #[arg(long, value_delimiter = ',')]
    widths: Vec<usize>,
    /// Training points. With --table: only this many.
    #[arg(long, default_value_t = 0)]
    points: usize,
    /// Folder with `x.f32`, `y.f32` (rows) and `params.f32` (one flat vector per member), little-endian.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The last width is that of the Linear in front of the convolutions of `adm`.
    #[arg(long)]
    adm_head: bool,
    #[arg(long, default_value_t = 10)]
    members: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    #[arg(long, default_value_t = 0.0)]
    weight_decay: f64,
    /// Instruction set: avx512, avx2, neon or portable; the fastest if not given.
    #[arg(long)]
    path: Option<String>,
    /// Times the benchmark's networks: milliseconds per epoch of ten members.
    #[arg(long)]
    table: bool,
    /// With --table: only networks of this hidden width.
    #[arg(long)]
    width: Option<usize>,
}

/// How long a training took.
#[derive(Clone, Copy)]
struct Took {
    /// By the clock on the wall.
    seconds: f64,
    /// On a processor, of the thread that needed most.
    processor_seconds: Option<f64>,
}

/// Index of each member a thread trained, with its losses.
type Share = (Vec<(usize, Vec<f64>)>, Option<f64>);

/// An ensemble and who trains it.
struct Ensemble {
    workload: Workload,
    training: TrainingSpec,
    trainer: FastTrainer,
    threads: usize,
}

impl Ensemble {
    fn new(args: &Args, workload: Workload, weight_decay: f64) -> Result<Self> {
        let training = workload.training(args.learning_rate, weight_decay);
        Ok(Self { workload, training, trainer: trainer(args)?, threads: args.threads })
    }

    /// Time from the first epoch to the last, and the losses of every member.
    fn run(&self, epochs: usize) -> Result<(Took, Vec<Vec<f64>>)> {
        let Workload { layout, initial, .. } = &self.workload;
        let job = self.workload.job(&self.training);
        let start = Instant::now();
        let share = |thread: usize| -> Result<Share> {
            let before = thread_seconds();
            let mut losses = Vec::new();
            for (index, initial) in initial.iter().enumerate().skip(thread).step_by(self.threads) {
                let mut state = MemberState::new(layout, initial.clone(), &self.training);
                let mut log = TrainLog::default();
                self.trainer.train(&job, &mut state, 0..epochs, &mut log)?;
                losses.push((index, log.losses));
            }
            Ok((losses, before.and_then(|before| Some(thread_seconds()? - before))))
        };
        let shares: Vec<Result<_>> = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..self.threads).map(|thread| scope.spawn(move || share(thread))).collect();
            let mut shares = vec![share(0)];
            shares.extend(helpers.into_iter().map(|helper| helper.join().expect("a training thread panicked")));
            shares
        });
        let seconds = start.elapsed().as_secs_f64();
        let mut losses = vec![Vec::new(); initial.len()];
        let mut longest = Some(0.0f64);
        for share in shares {
            let (logs, took) = share?;
            longest = longest.zip(took).map(|(longest, took)| longest.max(took));
            for (index, log) in logs {
                losses[index] = log;
            }
        }
        Ok((Took { seconds, processor_seconds: longest }, losses))
    }

    /// What `epochs` epochs take where buffers are there and were touched before, as a peer's are: a run of one epoch
    /// more, less a run of one. The second figure is that run of one; the losses are those of `epochs` epochs.
    fn run_prepared(&self, epochs: usize) -> Result<(Took, Took, Vec<Vec<f64>>)> {
        let (one, _) = self.run(1)?;
        let (all, mut losses) = self.run(epochs + 1)?;
        losses.iter_mut().for_each(|member| member.truncate(epochs));
        let took = Took {
            seconds: all.seconds - one.seconds,
            processor_seconds: all.processor_seconds.zip(one.processor_seconds).map(|(all, one)| all - one),
        };
        Ok((took, one, losses))
    }

    /// Bytes of the weights of all members, and of the moments, data and activations of those that train at the same
    /// time.
    fn state_bytes(&self) -> usize {
        let Workload { network, layout, n, initial, .. } = &self.workload;
        let widths = network.n_inputs() + network.n_outputs();
        let hidden: usize = network.hidden().iter().sum();
        let head = network.conv_head().map_or(0, |head| {
            let lengths = head.lengths().unwrap_or_default();
            head.layers.iter().zip(lengths.iter().skip(1)).map(|(layer, length)| layer.n_out * length).sum()
        });
        let activations = n * (widths + hidden + head);
        let n_parameters = layout.n_parameters();
        4 * (initial.len() * n_parameters + self.threads * (2 * n_parameters + activations))
    }

    /// Flops of the matrix products of one epoch of all members: forward, weight gradients, and input gradients but for
    /// the first layer.
    fn flops(&self) -> f64 {
        let Workload { layout, n, initial, .. } = &self.workload;
        let linears = layout.hidden().iter().map(|hidden| &hidden.linear).chain([layout.last()]);
        let products: usize =
            linears.enumerate().map(|(l, linear)| linear.n_in * linear.n_out * if l == 0 { 2 } else { 3 }).sum();
        // Convolutions are not counted: what is reported is the share of the matrix products.
        2.0 * (products * n * initial.len()) as f64
    }
}

fn trainer(args: &Args) -> Result<FastTrainer> {
    match &args.path {
        None => Ok(FastTrainer::default()),
        Some(path) => {
            FastTrainer::with_path(path).with_context(|| format!("this machine has only {:?}", FastTrainer::paths()))
        }
    }
}

/// The largest rate of multiply-adds that `FastTrainer::peak_flops` reaches in a tenth of a second.
fn peak(trainer: FastTrainer) -> f64 {
    let start = Instant::now();
    let mut best = 0.0f64;
    while start.elapsed().as_secs_f64() < 0.1 {
        let begin = Instant::now();
        let flops = trainer.peak_work(20_000);
        best = best.max(flops / begin.elapsed().as_secs_f64());
    }
    best
}

fn table(args: &Args) -> Result<()> {
    println!("path {}, peak {:.0} Gflop/s per thread", trainer(args)?.path(), peak(trainer(args)?) * 1e-9);
    for (inputs, depth, width, decay) in NETWORKS {
        if args.width.is_some_and(|only| only != width) {
            continue;
        }
        for n in [80, 480, 2080].into_iter().filter(|&n| args.points == 0 || args.points == n) {
            let workload = Workload::made_up((inputs, depth, width), n, args.members)?;
            let ensemble = Ensemble::new(args, workload, decay)?;
            let epochs = ((1e11 / ensemble.flops()) as usize).clamp(20, 1000);
            let mut best = f64::MAX;
            for _ in 0..3 {
                let (took, _) = ensemble.run(epochs)?;
                best = best.min(took.processor_seconds.unwrap_or(took.seconds));
            }
            let epoch = best / epochs as f64;
            println!(
                "{depth} x {width}, N = {n}: {:.3} ms per epoch, {:.0} Gflop/s",
                epoch * 1e3,
                ensemble.flops() / epoch * 1e-9
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.table {
        return table(&args);
    }
    let workload = Workload::read(&args.widths, args.adm_head, args.points, args.members, args.data.as_deref())?;
    let ensemble = Ensemble::new(&args, workload, args.weight_decay)?;
    // What reading took is no part of the training.
    forget_peak();
    let mut answer = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let reply = match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["run", epochs] => {
                let (took, first, losses) = ensemble.run_prepared(epochs.parse()?)?;
                json!({"seconds": took.seconds, "processor_seconds": took.processor_seconds, "first_epoch_seconds": first.seconds, "losses": losses, "flops": ensemble.flops(), "path": ensemble.trainer.path(), "peak_bytes": resident(Resident::Peak), "state_bytes": ensemble.state_bytes()})
            }
            ["peak"] => json!({"flops_per_second": peak(ensemble.trainer)}),
            _ => bail!("unknown command {line:?}"),
        };
        writeln!(answer, "{reply}")?;
        answer.flush()?;
    }
    Ok(())
}
