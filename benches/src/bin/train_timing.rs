//! Trains an ensemble in this process on command and says how long it took: our side of the comparison in `peers/train`.
//!
//! Reads lines from standard input and answers each with one line. `run E` trains every member for E epochs from its
//! initial parameters, members dealt out to the threads in turn, and prints JSON: the seconds from first to last epoch,
//! and every member's losses. `peak` times the machine's fused multiply-adds through a matrix product and prints flop/s.
//! End of input ends it. With `--table` it needs no commands and no files: it times the benchmark's networks by itself.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_benches::{Resident, forget_peak, resident, thread_seconds};
use dal_nn::{
    BatchNormSpec, ConvHeadSpec, FastTrainer, Head, Layout, MemberState, MemberTrainer, NetworkSpec, TrainJob,
    TrainLog, TrainingSpec,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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

/// What is trained.
struct Ensemble {
    network: NetworkSpec,
    layout: Layout,
    training: TrainingSpec,
    n: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    initial: Vec<Vec<f32>>,
    trainer: FastTrainer,
    threads: usize,
}

fn network(widths: &[usize], adm_head: bool) -> Result<NetworkSpec> {
    let &[inputs, ref hidden @ .., last] = widths else { bail!("--widths needs inputs and outputs at least") };
    let (head, outputs) = match adm_head {
        true => (Head::Convolution(ConvHeadSpec { length: last, ..ConvHeadSpec::adm() }), 2 * last),
        false => (Head::Linear, last),
    };
    Ok(NetworkSpec::new(inputs, outputs, hidden.to_vec(), Some(BatchNormSpec::default()), head)?)
}

fn read_f32(path: &Path, expected: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let values: Vec<f32> = bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
    if values.len() != expected {
        bail!("{} holds {} numbers, expected {expected}", path.display(), values.len());
    }
    Ok(values)
}

impl Ensemble {
    fn read(args: &Args) -> Result<Self> {
        let network = network(&args.widths, args.adm_head)?;
        let layout = Layout::new(&network, None);
        let folder = args.data.as_ref().context("--data is needed")?;
        let parameters = read_f32(&folder.join("params.f32"), args.members * layout.n_parameters())?;
        Ok(Self {
            n: args.points,
            x: read_f32(&folder.join("x.f32"), args.points * network.n_inputs())?,
            y: read_f32(&folder.join("y.f32"), args.points * network.n_outputs())?,
            initial: parameters.chunks_exact(layout.n_parameters()).map(<[f32]>::to_vec).collect(),
            training: training(args.learning_rate, args.weight_decay, args.members),
            trainer: trainer(args)?,
            threads: args.threads,
            network,
            layout,
        })
    }

    /// A smooth function on uniform points.
    fn made_up(args: &Args, widths: &[usize], n: usize, weight_decay: f64, threads: usize) -> Result<Self> {
        let network = network(widths, false)?;
        let layout = Layout::new(&network, None);
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        let (d, k) = (network.n_inputs(), network.n_outputs());
        let x: Vec<f32> = (0..n * d).map(|_| stream.random_range(-1.0f32..1.0)).collect();
        let y =
            (0..n * k).map(|i| (x[i / k * d..][..d].iter().sum::<f32>() * 3.0 + (i % k) as f32 * 0.1).sin()).collect();
        let initial = (0..args.members).map(|_| layout.initial::<f32>(&mut stream)).collect();
        let training = training(1e-3, weight_decay, args.members);
        Ok(Self { network, layout, training, n, x, y, initial, trainer: trainer(args)?, threads })
    }

    /// Time from the first epoch to the last, and the losses of every member.
    fn run(&self, epochs: usize) -> Result<(Took, Vec<Vec<f64>>)> {
        let job = TrainJob {
            network: &self.network,
            layout: &self.layout,
            training: &self.training,
            x: &self.x,
            y: &self.y,
            n: self.n,
            dropout: None,
            loss_head: None,
        };
        let start = Instant::now();
        let share = |thread: usize| -> Result<Share> {
            let before = thread_seconds();
            let mut losses = Vec::new();
            for (index, initial) in self.initial.iter().enumerate().skip(thread).step_by(self.threads) {
                let mut state = MemberState::new(&self.layout, initial.clone(), &self.training);
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
        let mut losses = vec![Vec::new(); self.initial.len()];
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

    /// Bytes of the weights of all members, and of the moments, data and activations of those that train at the same time.
    fn state_bytes(&self) -> usize {
        let widths = self.network.n_inputs() + self.network.n_outputs();
        let hidden: usize = self.network.hidden().iter().sum();
        let head = self.network.conv_head().map_or(0, |head| {
            let lengths = head.lengths().unwrap_or_default();
            head.layers.iter().zip(lengths.iter().skip(1)).map(|(layer, length)| layer.n_out * length).sum()
        });
        let activations = self.n * (widths + hidden + head);
        let n_parameters = self.layout.n_parameters();
        4 * (self.initial.len() * n_parameters + self.threads * (2 * n_parameters + activations))
    }

    /// Flops of the matrix products of one epoch of all members: forward, weight gradients, and input gradients but for
    /// the first layer.
    fn flops(&self) -> f64 {
        let linears = self.layout.hidden().iter().map(|hidden| &hidden.linear).chain([self.layout.last()]);
        let products: usize =
            linears.enumerate().map(|(l, linear)| linear.n_in * linear.n_out * if l == 0 { 2 } else { 3 }).sum();
        // Convolutions are not counted: what is reported is the share of the matrix products.
        2.0 * (products * self.n * self.initial.len()) as f64
    }
}

fn training(learning_rate: f64, weight_decay: f64, n_members: usize) -> TrainingSpec {
    TrainingSpec { n_members, epochs: usize::MAX, learning_rate, weight_decay, ..TrainingSpec::default() }
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
    let networks = [(1, 9, 20, 0.0), (6, 6, 50, 1e-4), (5, 4, 200, 1e-4), (4, 4, 500, 1e-4)];
    for (inputs, depth, width, decay) in networks {
        if args.width.is_some_and(|only| only != width) {
            continue;
        }
        for n in [80, 480, 2080].into_iter().filter(|&n| args.points == 0 || args.points == n) {
            let mut widths = vec![width; depth + 2];
            (widths[0], widths[depth + 1]) = (inputs, 1);
            let ensemble = Ensemble::made_up(args, &widths, n, decay, args.threads)?;
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
    let ensemble = Ensemble::read(&args)?;
    // What reading took is no part of the training.
    forget_peak();
    let mut answer = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let reply = match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["run", epochs] => {
                let (took, losses) = ensemble.run(epochs.parse()?)?;
                json!({"seconds": took.seconds, "processor_seconds": took.processor_seconds, "losses": losses, "flops": ensemble.flops(), "path": ensemble.trainer.path(), "peak_bytes": resident(Resident::Peak), "state_bytes": ensemble.state_bytes()})
            }
            ["peak"] => json!({"flops_per_second": peak(ensemble.trainer)}),
            _ => bail!("unknown command {line:?}"),
        };
        writeln!(answer, "{reply}")?;
        answer.flush()?;
    }
    Ok(())
}
