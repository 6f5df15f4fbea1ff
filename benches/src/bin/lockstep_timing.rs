//! Trains the ensembles of several trials in lock step with the engine on libtorch, on command, and says how long it took
//! per trial: that engine's side of the comparison in `peers/train`.
//!
//! Reads lines from standard input: `run E` trains every member of every trial for E epochs from its initial parameters and
//! prints JSON: seconds per trial from first to last epoch, and the first trial's losses. End of input ends it. With
//! `--table` it needs no commands and no files: it times some of the benchmark's networks by itself.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use dal_benches::process_seconds;
use dal_benches::training::{NETWORKS, Workload};
use dal_nn::{MemberState, TchOptions, TchTrainer, TrainingSpec};
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

/// Seconds of a run per trial, and the losses of the first trial's members.
struct Took {
    seconds: f64,
    processor_seconds: Option<f64>,
    losses: Vec<Vec<f64>>,
}

/// One trial's data and initial members, and how they are trained.
struct Trial {
    workload: Workload,
    training: TrainingSpec,
}

impl Trial {
    fn new(args: &Args, workload: Workload, weight_decay: f64) -> Self {
        Self { training: workload.training(args.learning_rate, weight_decay), workload }
    }

    fn run(&self, trainer: &TchTrainer, trials: usize, epochs: usize) -> Result<Took> {
        let Workload { layout, initial, .. } = &self.workload;
        let job = self.workload.job(&self.training);
        let start_of = |initial: &Vec<f32>| MemberState::new(layout, initial.clone(), &self.training);
        let members = initial.len();
        let mut states: Vec<_> = initial.iter().cycle().take(members * trials).map(start_of).collect();
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
    let workload = Workload::read(&args.widths, false, args.points, args.members, args.data.as_deref())?;
    let trial = Trial::new(&args, workload, args.weight_decay);
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
