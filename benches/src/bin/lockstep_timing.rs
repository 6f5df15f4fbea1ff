//! Trains the ensembles of several trials in lock step with the engine on libtorch, on command, and says how long it took
//! per trial: that engine's side of the comparison in `peers/train`.
//!
//! Reads lines from standard input: `run E` trains every member of every trial for E epochs from its initial parameters and
//! prints JSON: seconds per trial from first to last epoch, and the first trial's losses. End of input ends it. With
//! `--table` it needs no commands and no files: it times some of the benchmark's networks by itself.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use dal_nn::{BatchNormSpec, Head, Layout, MemberState, NetworkSpec, TchOptions, TchTrainer, TrainJob, TrainingSpec};
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
    /// Members of a trial.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Trials in lock step. All have the same data and initial parameters: what they cost does not depend on them.
    #[arg(long, default_value_t = 12)]
    trials: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    #[arg(long, default_value_t = 0.0)]
    weight_decay: f64,
    /// cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Bytes that members trained together may need; the engine's choice if not given.
    #[arg(long)]
    memory: Option<usize>,
    /// Times some of the benchmark's networks: milliseconds per epoch and trial.
    #[arg(long)]
    table: bool,
    /// With --table: only networks of this hidden width.
    #[arg(long)]
    width: Option<usize>,
}

/// Seconds that all threads of this process have been on a processor, to a hundredth.
fn process_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses: entries 12 and 13 are user and system time in ticks, a hundred to the second.
    let mut fields = text.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * 1e-2)
}

/// One trial's data and initial members.
struct Trial {
    network: NetworkSpec,
    layout: Layout,
    training: TrainingSpec,
    n: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    initial: Vec<Vec<f32>>,
}

/// Seconds of a run per trial, and the losses of the first trial's members.
struct Took {
    seconds: f64,
    processor_seconds: Option<f64>,
    losses: Vec<Vec<f64>>,
}

fn network(widths: &[usize]) -> Result<NetworkSpec> {
    let [inputs, hidden @ .., outputs] = widths else { bail!("--widths needs inputs and outputs at least") };
    Ok(NetworkSpec::new(*inputs, *outputs, hidden.to_vec(), Some(BatchNormSpec::default()), Head::Linear)?)
}

fn read_f32(path: &Path, expected: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let values: Vec<f32> = bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
    if values.len() != expected {
        bail!("{} holds {} numbers, expected {expected}", path.display(), values.len());
    }
    Ok(values)
}

fn training(args: &Args, weight_decay: f64) -> TrainingSpec {
    let (n_members, learning_rate) = (args.members, args.learning_rate);
    TrainingSpec { n_members, epochs: usize::MAX, learning_rate, weight_decay, ..TrainingSpec::default() }
}

impl Trial {
    fn read(args: &Args) -> Result<Self> {
        let network = network(&args.widths)?;
        let layout = Layout::new(&network, None);
        let folder = args.data.as_ref().context("--data is needed")?;
        let parameters = read_f32(&folder.join("params.f32"), args.members * layout.n_parameters())?;
        Ok(Self {
            n: args.points,
            x: read_f32(&folder.join("x.f32"), args.points * network.n_inputs())?,
            y: read_f32(&folder.join("y.f32"), args.points * network.n_outputs())?,
            initial: parameters.chunks_exact(layout.n_parameters()).map(<[f32]>::to_vec).collect(),
            training: training(args, args.weight_decay),
            network,
            layout,
        })
    }

    /// A smooth function on uniform points.
    fn made_up(args: &Args, widths: &[usize], n: usize, weight_decay: f64) -> Result<Self> {
        let network = network(widths)?;
        let layout = Layout::new(&network, None);
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        let (d, k) = (network.n_inputs(), network.n_outputs());
        let x: Vec<f32> = (0..n * d).map(|_| stream.random_range(-1.0f32..1.0)).collect();
        let y =
            (0..n * k).map(|i| (x[i / k * d..][..d].iter().sum::<f32>() * 3.0 + (i % k) as f32 * 0.1).sin()).collect();
        let initial = (0..args.members).map(|_| layout.initial::<f32>(&mut stream)).collect();
        Ok(Self { training: training(args, weight_decay), network, layout, n, x, y, initial })
    }

    fn run(&self, trainer: &TchTrainer, trials: usize, epochs: usize) -> Result<Took> {
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
        let start_of = |initial: &Vec<f32>| MemberState::new(&self.layout, initial.clone(), &self.training);
        let members = self.initial.len();
        let mut states: Vec<_> = self.initial.iter().cycle().take(members * trials).map(start_of).collect();
        let before = process_seconds();
        let start = Instant::now();
        let logs = trainer.train_together(&vec![job; states.len()], &mut states, 0..epochs);
        let seconds = start.elapsed().as_secs_f64() / trials as f64;
        let share = (trainer.options().threads * trials) as f64;
        let processor_seconds = before.zip(process_seconds()).map(|(before, after)| (after - before) / share);
        let logs: Result<Vec<_>, _> = logs.into_iter().collect();
        let losses = logs?.into_iter().take(members).map(|log| log.losses).collect();
        Ok(Took { seconds, processor_seconds, losses })
    }
}

fn table(args: &Args, trainer: &TchTrainer) -> Result<()> {
    for (inputs, depth, width, decay) in [(1, 9, 20, 0.0), (6, 6, 50, 1e-4), (5, 4, 200, 1e-4), (4, 4, 500, 1e-4)] {
        if args.width.is_some_and(|only| only != width) {
            continue;
        }
        for n in [80, 480, 2080].into_iter().filter(|&n| args.points == 0 || args.points == n) {
            let mut widths = vec![width; depth + 2];
            (widths[0], widths[depth + 1]) = (inputs, 1);
            let trial = Trial::made_up(args, &widths, n, decay)?;
            // About three seconds by a first short run.
            let short = trial.run(trainer, args.trials, 3)?.seconds * args.trials as f64 / 3.0;
            let epochs = ((3.0 / short) as usize).clamp(3, 300);
            let took = trial.run(trainer, args.trials, epochs)?;
            let per_epoch = |seconds: f64| seconds / epochs as f64 * 1e3;
            println!(
                "{depth} x {width}, N = {n}, {} trials: {:.3} ms per epoch and trial on the processor, {:.3} on the wall",
                args.trials,
                took.processor_seconds.map_or(f64::NAN, per_epoch),
                per_epoch(took.seconds),
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args = Args::parse();
    let options = TchOptions {
        device: args.device.parse()?,
        threads: args.threads,
        memory: args.memory,
        ..TchOptions::default()
    };
    let trainer = TchTrainer::new(options)?;
    if args.table {
        return table(&args, &trainer);
    }
    let trial = Trial::read(&args)?;
    let mut answer = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let ["run", epochs] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("unknown command {line:?}")
        };
        let took = trial.run(&trainer, args.trials.max(1), epochs.parse()?)?;
        let reply = json!({
            "seconds": took.seconds,
            "processor_seconds": took.processor_seconds,
            "losses": took.losses,
        });
        writeln!(answer, "{reply}")?;
        answer.flush()?;
    }
    Ok(())
}
