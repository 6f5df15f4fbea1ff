//! Trains the ensembles of several trials in lock step with the engine on libtorch, on command, and says how long it
//! took per trial: that engine's side of the comparison in `peers/train`.
//!
//! Reads lines from standard input and answers each with one line of JSON. `run E` trains every member of every trial
//! for E epochs from its initial parameters: seconds per trial, the making of buffers included, and the first trial's
//! losses. `warm` trains one trial for two epochs, so that libraries are loaded. `size` says what an epoch of a member
//! takes. `halve T E` trains T trials for E epochs as one batch, whatever the device holds, and again in a half, a
//! quarter, … of it at a time, until the parameters are equal bit for bit: what the engine does where memory runs out
//! (docs/gpu.md). End of input ends it. With `--table` it needs no commands and no files: it times some of the
//! benchmark's networks by itself.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use dal_benches::process_seconds;
use dal_benches::training::{NETWORKS, Workload};
use dal_nn::{MemberState, TchDevice, TchOptions, TchTrainer, TrainingSpec, load_cuda_backend};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    /// Widths: inputs, hidden layers, outputs, as in `1,20,20,1`.
    #[arg(long, value_delimiter = ',')]
    widths: Vec<usize>,
    /// Training points. With --table: only this many.
    #[arg(long, default_value_t = 0)]
    points: usize,
    /// Folder with `x.f32`, `y.f32` (rows) and `params.f32` (one flat vector per member), little-endian; without it
    /// data are made up.
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
    /// Of the matrix products: f32, tf32 or bf16.
    #[arg(long, default_value = "f32")]
    precision: String,
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

/// Seconds of a run per trial, and the losses of the first trial's members.
struct Took {
    seconds: f64,
    processor_seconds: Option<f64>,
    losses: Vec<Vec<f64>>,
}

impl Took {
    fn to_json(&self) -> Value {
        json!({"seconds": self.seconds, "processor_seconds": self.processor_seconds, "losses": self.losses})
    }
}

/// `halve` goes down to this many parts.
const MOST_PARTS: usize = 32;

/// One trial's data and initial members, and how they are trained.
struct Trial {
    workload: Workload,
    training: TrainingSpec,
}

impl Trial {
    fn new(args: &Args, workload: Workload, weight_decay: f64) -> Self {
        Self { training: workload.training(args.learning_rate, weight_decay), workload }
    }

    /// The members of so many trials before the first epoch.
    fn start(&self, trials: usize) -> Vec<MemberState<f32>> {
        let Workload { layout, initial, .. } = &self.workload;
        let start_of = |initial: &Vec<f32>| MemberState::new(layout, initial.clone(), &self.training);
        initial.iter().cycle().take(initial.len() * trials).map(start_of).collect()
    }

    fn run(&self, trainer: &TchTrainer, trials: usize, epochs: usize) -> Result<Took> {
        let job = self.workload.job(&self.training);
        let members = self.workload.initial.len();
        let mut states = self.start(trials);
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

    /// Members of so many trials after `epochs`, at most `at_once` of them given to the engine at a time.
    fn trained(
        &self,
        trainer: &TchTrainer,
        trials: usize,
        at_once: usize,
        epochs: usize,
    ) -> Result<Vec<MemberState<f32>>> {
        let job = self.workload.job(&self.training);
        let mut states = self.start(trials);
        for part in states.chunks_mut(at_once) {
            trainer
                .train_together(&vec![job; part.len()], part, 0..epochs)
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?;
        }
        Ok(states)
    }

    /// Trains all members as one batch and then in parts of a half, a quarter, … until both give the same bits.
    fn halve(&self, trainer: &TchTrainer, trials: usize, epochs: usize) -> Result<Value> {
        let members = self.workload.initial.len() * trials;
        if !members.is_multiple_of(MOST_PARTS) {
            bail!("{members} members are no multiple of {MOST_PARTS}");
        }
        let whole = self.trained(trainer, trials, members, epochs)?;
        let mut tried = Vec::new();
        let mut parts = 2;
        while parts <= MOST_PARTS {
            let halved = self.trained(trainer, trials, members / parts, epochs)?;
            let unequal = whole.iter().zip(&halved).filter(|(a, b)| a != b).count();
            tried.push(json!({"parts": parts, "members_unequal": unequal, "difference": difference(&whole, &halved)}));
            if unequal == 0 {
                break;
            }
            parts *= 2;
        }
        let asked = trainer.bytes_per_member(&self.workload.job(&self.training)) * members;
        Ok(json!({"members": members, "bytes_asked": asked, "equal": parts <= MOST_PARTS, "tried": tried}))
    }

    /// What an epoch of one member takes: bytes held (estimated by the engine), and flops of its matrix products
    /// (forward, weight gradients, and input gradients but for the first layer).
    fn size(&self, trainer: &TchTrainer) -> Value {
        let Workload { layout, n, .. } = &self.workload;
        let linears = layout.hidden().iter().map(|hidden| &hidden.linear).chain([layout.last()]);
        let products = linears.enumerate().map(|(l, linear)| linear.n_in * linear.n_out * if l == 0 { 2 } else { 3 });
        json!({
            "bytes_per_member": trainer.bytes_per_member(&self.workload.job(&self.training)),
            "parameters": layout.n_parameters(),
            "hidden_units": layout.hidden().iter().map(|hidden| hidden.linear.n_out).sum::<usize>(),
            "flops": 2 * products.sum::<usize>() * n,
        })
    }
}

/// The largest difference of two trainings' parameters, relative to the largest parameter.
fn difference(a: &[MemberState<f32>], b: &[MemberState<f32>]) -> f64 {
    let pairs = || a.iter().zip(b).flat_map(|(a, b)| a.params.iter().zip(&b.params));
    let gap = pairs().fold(0.0f64, |gap, (a, b)| gap.max(f64::from((a - b).abs())));
    gap / pairs().fold(f64::MIN_POSITIVE, |scale, (a, _)| scale.max(f64::from(a.abs())))
}

fn table(args: &Args, trainer: &TchTrainer) -> Result<()> {
    for (inputs, depth, width, decay) in NETWORKS {
        if args.width.is_some_and(|only| only != width) {
            continue;
        }
        for n in [80, 480, 2080].into_iter().filter(|&n| args.points == 0 || args.points == n) {
            let trial = Trial::new(args, Workload::made_up((inputs, depth, width), n, args.members)?, decay);
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
    let (tf32, bf16) = match args.precision.as_str() {
        "f32" => (false, false),
        "tf32" => (true, false),
        "bf16" => (false, true),
        other => bail!("`{other}` is no precision; known are f32, tf32 and bf16"),
    };
    let device: TchDevice = args.device.parse()?;
    let options = TchOptions { device, threads: args.threads, memory: args.memory, tf32, bf16 };
    let loaded = match device {
        TchDevice::Cpu => Ok(()),
        TchDevice::Cuda(_) => load_cuda_backend(Path::new("libtorch_cuda.so")),
    };
    let trainer = match (TchTrainer::new(options.clone()), loaded) {
        (Ok(trainer), _) => trainer,
        (Err(error), Ok(())) => return Err(error.into()),
        (Err(error), Err(library)) => bail!("{error} ({library})"),
    };
    if args.table {
        return table(&args, &trainer);
    }
    let workload = match &args.data {
        Some(folder) => Workload::read(&args.widths, false, args.points, args.members, Some(folder))?,
        None => Workload::invented(&args.widths, args.points, args.members)?,
    };
    let trial = Trial::new(&args, workload, args.weight_decay);
    let mut answer = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let reply = match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["run", epochs] => trial.run(&trainer, args.trials.max(1), epochs.parse()?)?.to_json(),
            ["warm"] => trial.run(&trainer, 1, 2)?.to_json(),
            ["size"] => trial.size(&trainer),
            ["halve", trials, epochs] => {
                let unbounded = TchTrainer::new(TchOptions { memory: Some(usize::MAX), ..options.clone() })?;
                trial.halve(&unbounded, trials.parse()?, epochs.parse()?)?
            }
            _ => bail!("unknown command {line:?}"),
        };
        writeln!(answer, "{reply}")?;
        answer.flush()?;
    }
    Ok(())
}
