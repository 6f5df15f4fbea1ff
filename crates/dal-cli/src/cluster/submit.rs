//! `dal bench submit`: a sweep cut into tasks and handed on, to Slurm or as lines of a shell.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dal_bench::{Cut, Overheads, SHORTEST_TASK, Sweep, WorkList, simulate};
use dal_nn::FastTrainer;
use dal_store::Store;
use serde_json::json;

use super::jobs::{Handed, LIST, Submitted, ranges};
use super::{EngineArgs, probe, slurm, work_folder};
use crate::Done;
use crate::display::duration;
use crate::output::{Format, Rows, outln, say, write_whole};

/// Seconds that Slurm takes for a task.
const SLURM_START: f64 = 2.0;
/// Seconds before the end of its time at which a task is told.
const WARNING: f64 = 60.0;
/// Seconds for which Slurm does not start a task again that was queued again.
const SLURM_DELAY: f64 = 121.0;

/// Who is handed the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Executor {
    /// Array jobs of Slurm.
    Slurm,
    /// A line of a shell per task, on standard output.
    Lines,
}

/// `dal bench submit`.
#[derive(Clone, clap::Args)]
#[command(
    after_help = "Trials are grouped into tasks of about --task-time by the cost model, the longest first, one core
each. The list of work lies in STORE/tasks; each task is `dal bench work LIST --task N` and may be
done twice. Tasks that reach the end of their time go on from their checkpoints. dal bench status
says how it goes, dal bench resubmit takes up what is left open. --plan simulates the tasks on so
many cores, with what Slurm adds; tasks that run out of time go on at their place, or behind all.

Examples:
  dal bench submit paper.toml --store runs/paper --executor slurm --plan --cores 32,256,2048
  dal bench submit paper.toml --store runs/paper --executor slurm --task-time 2h
  dal bench submit paper.toml --store runs/paper --executor slurm --sbatch-arg=--account=physics
  dal bench submit paper.toml --store runs/paper --executor lines | parallel -j 16"
)]
pub struct Args {
    /// The sweep file.
    sweep: PathBuf,
    /// Where runs are kept, a folder that every machine sees; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Who is handed the tasks.
    #[arg(long, value_enum)]
    executor: Executor,
    /// How long a task should take.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    task_time: humantime::Duration,
    #[command(flatten)]
    engine: EngineArgs,
    /// An option that sbatch is given as it is; may be named several times.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch_arg: Vec<String>,
    /// Run failed runs again.
    #[arg(long)]
    retry_failed: bool,
    /// The folder in which answers of programs are kept [default: beside each problem file].
    #[arg(long, value_name = "DIR")]
    answers: Option<PathBuf>,
    /// Say what it would take, on so many cores (--cores), and hand nothing on.
    #[arg(long)]
    plan: bool,
    /// With --plan: numbers of cores.
    #[arg(long, value_name = "N,…", requires = "plan", value_delimiter = ',', default_value = "32,256")]
    cores: Vec<usize>,
    /// How --plan is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let task_time: Duration = args.task_time.into();
    if task_time < SHORTEST_TASK {
        bail!("--task-time {}: tasks take at least {}", args.task_time, duration(SHORTEST_TASK));
    }
    let args = &Args { sbatch_arg: slurm::long_options(&args.sbatch_arg), ..args.clone() };
    if let Some(arg) = args.sbatch_arg.iter().find(|arg| slurm::names_clusters(arg)) {
        bail!(
            "--sbatch-arg={arg}: dal bench status, resubmit and cancel ask the cluster of the machine that they run \
             on, and would not find tasks of another; submit on a machine of that cluster, without this option"
        );
    }
    let mut engine = args.engine.clone();
    let file = Sweep::load(&args.sweep)?;
    let is_cpu = engine.engine.as_deref().or(file.engine()).is_none_or(|engine| engine == "cpu");
    if engine.platform.is_none() && file.platform().is_none() && is_cpu {
        engine.platform = Some(platform(args, &file)?);
    }
    let mut sweep = engine.chosen(file.clone());
    // What this machine lacks, those that do the work may have.
    let wanted = sweep.platform().filter(|path| is_cpu && !FastTrainer::paths().contains(path)).map(str::to_owned);
    if let Some(path) = wanted {
        if !probe::KNOWN.contains(&path.as_str()) {
            bail!("--platform {path}: there are no such instructions; there are {}", probe::KNOWN.join(", "));
        }
        say!("this machine has no instructions {path}; costs are measured with {}", FastTrainer::default().path());
        sweep = sweep.planned_for(&path);
    }
    let plan = sweep.resolve_with(&crate::engines::catalogue())?;
    if plan.is_timing() {
        bail!("{}: a sweep that is there for its timings runs alone: dal bench run", args.sweep.display());
    }
    let store = match args.plan && !args.store.exists() {
        true => None,
        false => Some(Store::open_or_create(&args.store)?),
    };
    let cut = plan.cut(store.as_ref(), task_time, args.retry_failed)?;
    let limits = limits(args, &cut, task_time)?;
    say!(
        "{}: {} runs in {} tasks, {} of one core; the longest trial takes {}",
        plan.name(),
        cut.tasks.iter().map(|task| task.runs.len()).sum::<usize>(),
        cut.tasks.len(),
        time(cut.tasks.iter().map(|task| task.seconds).sum()),
        time(cut.longest_trial)
    );
    for damaged in &cut.damaged {
        say!("left out: {}: {}", damaged.directory, damaged.reason);
    }
    let left_out = !cut.damaged.is_empty();
    if let Some(platform) = &engine.platform {
        say!("every machine uses the instructions {platform} (--platform chooses others)");
    }
    let Some(store) = store.filter(|_| !args.plan) else { return print_plan(args, &cut, limits) };
    let all_done = if left_out { Done::Partly } else { Done::Fully };
    if cut.tasks.is_empty() {
        return Ok(all_done);
    }
    store.writer()?.record_sweep(plan.record())?;
    let handed = keep(args, &engine, &file, &store, cut)?;
    let list = handed.folder.join(LIST);
    let all: Vec<usize> = (0..handed.list.tasks.len()).collect();
    match args.executor {
        Executor::Lines => {
            let dal = std::env::current_exe().context("where this program lies")?;
            for task in all {
                outln!("{} bench work {} --task {task}", quoted(&dal)?, quoted(&list)?);
            }
            Ok(all_done)
        }
        Executor::Slurm => {
            handed.keep_options(&options(args, &handed, limits, plan.unseen_fit_mib())?)?;
            match submit(&handed, &all)? {
                Done::Fully => Ok(all_done),
                partly => Ok(partly),
            }
        }
    }
}

/// The instructions that every machine is to use where neither the command line nor the file says: those of what the
/// store was handed of this sweep before, so that no run is done with two of them; else what all nodes have.
fn platform(args: &Args, file: &Sweep) -> Result<String> {
    if let Ok(store) = Store::open(&args.store) {
        let place = |path: &Path| fs::canonicalize(path).or_else(|_| absolute(path));
        let sweep = place(&args.sweep)?;
        // One that cannot be read has no say; dal bench status names it.
        let mut latest_first = Handed::all(&work_folder(&store))?.into_iter().rev().filter_map(Result::ok);
        let is_same = |list: &WorkList| list.text == file.text() || place(&list.sweep).is_ok_and(|of| of == sweep);
        let known = latest_first.find(|handed| is_same(&handed.list));
        if let Some(platform) = known.and_then(|handed| handed.list.platform) {
            return Ok(platform);
        }
    }
    match args.executor {
        Executor::Slurm if !args.plan => probe::common_to_nodes(&args.sbatch_arg),
        _ => Ok(probe::guessed()),
    }
}

/// Seconds before the end of its time at which a task is told, and seconds that it may take: half as much again as
/// wanted, or as the longest task is expected to take, whose remainder would otherwise wait behind all other tasks; and
/// no more than the site allows. What --sbatch-arg says of either counts.
fn limits(args: &Args, cut: &Cut, task_time: Duration) -> Result<(f64, f64)> {
    let said = |option: &str| args.sbatch_arg.iter().rev().find_map(|arg| arg.strip_prefix(option));
    let warning = said("--signal=").and_then(|signal| signal.rsplit_once('@')?.1.parse().ok()).unwrap_or(WARNING);
    let longest_task = cut.tasks.iter().map(|task| task.seconds).fold(0.0, f64::max);
    let wanted = 1.5 * task_time.as_secs_f64().max(longest_task) + 2.0 * warning;
    let given = said("--time=").and_then(slurm::seconds);
    let site = match args.executor {
        Executor::Slurm if !args.plan && given.is_none() => slurm::longest_time(said("--partition=")),
        _ => None,
    };
    let limit = given.unwrap_or(wanted).min(site.unwrap_or(f64::INFINITY));
    if args.executor == Executor::Slurm && cut.longest_entry + warning > limit {
        let whose = match (given, site) {
            (Some(_), _) => "by --sbatch-arg=--time",
            (None, Some(site)) if site < wanted => "the site's limit",
            _ => "by --task-time",
        };
        bail!(
            "a single training takes about {}, and a task may take {} ({whose}), of which the last {} are for its end: \
             no checkpoint would ever be reached; give tasks more time, or another partition \
             (--sbatch-arg=--partition=NAME)",
            time(cut.longest_entry),
            time(limit),
            time(warning)
        );
    }
    Ok((warning, limit))
}

fn print_plan(args: &Args, cut: &Cut, (warning, limit): (f64, f64)) -> Result<Done> {
    let tasks: Vec<f64> = cut.tasks.iter().map(|task| task.seconds).collect();
    let sum: f64 = tasks.iter().sum();
    let first = Overheads {
        start: SLURM_START,
        limit: (limit - warning).max(1.0),
        lost: cut.longest_entry / 2.0,
        delay: SLURM_DELAY,
        is_last: false,
    };
    let last = Overheads { is_last: true, ..first };
    let mut rows = Vec::new();
    for &cores in &args.cores {
        let (makespan, longest) = (simulate(&tasks, cores, first), simulate(&tasks, cores, last));
        // A sum of nothing is −0.
        let bound = (sum / cores.max(1) as f64).max(cut.longest_trial) + 0.0;
        let ratio = |makespan: f64| if bound > 0.0 { (1e3 * makespan / bound).round() / 1e3 } else { 1.0 };
        let seconds = [makespan, longest, bound].map(|seconds| json!(seconds.round()));
        rows.push(
            [
                vec![json!(cores), json!(tasks.len())],
                seconds.to_vec(),
                vec![json!(ratio(makespan)), json!(ratio(longest))],
            ]
            .concat(),
        );
    }
    let columns = vec!["cores", "tasks", "makespan_s", "if_requeued_last_s", "bound_s", "ratio", "ratio_if_last"];
    Rows { columns, rows }.print(args.format)?;
    Ok(Done::Fully)
}

/// Writes the list into a folder of its own, whatever was handed on before.
fn keep(args: &Args, engine: &EngineArgs, file: &Sweep, store: &Store, cut: Cut) -> Result<Handed> {
    let mut list = WorkList::new(file, absolute(store.root())?, cut.tasks);
    list.sweep = absolute(&args.sweep)?;
    list.answers = args.answers.as_ref().map(absolute).transpose()?;
    list.engine.clone_from(&engine.engine);
    list.device.clone_from(&engine.device);
    list.precision.clone_from(&engine.precision);
    list.platform.clone_from(&engine.platform);
    list.retry_failed = args.retry_failed;
    list.retried = args.retry_failed.then_some(cut.retried);
    let text = list.to_json()?;
    let work = work_folder(store);
    // Numbered, so that a second submission of what the first left open is told apart.
    for n in 1.. {
        let folder = absolute(work.join(format!("{n:04}")))?;
        fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            made => made.with_context(|| folder.display().to_string())?,
        }
        // Without it Slurm ends tasks before they say a word.
        fs::create_dir(folder.join("logs")).with_context(|| folder.display().to_string())?;
        fs::write(folder.join("task.sh"), slurm::SCRIPT).with_context(|| folder.display().to_string())?;
        let path = folder.join(LIST);
        write_whole(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
        return Ok(Handed { folder, list });
    }
    bail!("{}: no number is free", work.display())
}

/// Options of sbatch for every task of a list; `unseen` is the memory in MiB that fits take which were not made here.
fn options(args: &Args, handed: &Handed, (warning, limit): (f64, f64), unseen: u64) -> Result<Vec<String>> {
    let log = slurm::log_pattern(&handed.folder.join("logs"))?;
    let mut options = vec![
        "--requeue".to_owned(),
        "--open-mode=append".to_owned(),
        format!("--signal=B:USR1@{warning}"),
        log.to_string_lossy().into_owned(),
        format!("--time={}", (limit / 60.0).floor().max(1.0)),
        "--ntasks=1".to_owned(),
        "--cpus-per-task=1".to_owned(),
        // What reading the sweep and timing its networks took here, with room for the pools of a trial; the largest
        // networks were timed narrower than they are.
        format!("--mem={}M", (2 * dal_bench::peak_memory_mib() + 256).max(512).saturating_add(unseen)),
        "--job-name=dal".to_owned(),
    ];
    options.extend(args.sbatch_arg.iter().cloned());
    Ok(options)
}

/// Hands tasks of a list to Slurm, in arrays as large as the site takes them.
pub fn submit(handed: &Handed, tasks: &[usize]) -> Result<Done> {
    let dal = std::env::current_exe().context("where this program lies")?;
    let options: Vec<OsString> = handed.options()?.unwrap_or_default().into_iter().map(OsString::from).collect();
    let (mut most, mut rest, mut jobs) = (slurm::max_array_size(), tasks, Vec::new());
    while let Some(&first) = rest.first() {
        let n = rest.iter().take(most).take_while(|&&task| task - first < most).count().max(1);
        let indices: Vec<usize> = rest[..n].iter().map(|task| task - first).collect();
        let script: Vec<OsString> = vec![
            handed.folder.join("task.sh").into(),
            dal.clone().into(),
            handed.folder.join(LIST).into(),
            first.to_string().into(),
            "2m".into(),
        ];
        match slurm::submit_array(&options, &ranges(&indices), &script) {
            Ok(job) => {
                handed.add(&Submitted { job: job.clone(), first, indices })?;
                jobs.push(job);
                rest = &rest[n..];
            }
            Err(error) if error.is_limit() && n > 1 => most = n / 2,
            Err(error) if error.is_limit() && !jobs.is_empty() => {
                say!("{error}");
                say!("{} tasks wait for room: dal bench resubmit hands them on later", rest.len());
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    say!("{} of {} tasks submitted: {}", tasks.len() - rest.len(), tasks.len(), jobs.join(" "));
    outln!("{}", jobs.join("\n"));
    Ok(if rest.is_empty() { Done::Fully } else { Done::Partly })
}

fn time(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// A path as one word of a POSIX shell; one line, as programs that read lines need it.
fn quoted(path: &Path) -> Result<String> {
    let Some(text) = path.to_str() else { bail!("{}: is no plain text, and cannot stand in a line", path.display()) };
    Ok(word(text))
}

fn word(text: &str) -> String {
    match text.contains('\n') {
        // A line feed would end the line: printf makes it. A substitution loses line feeds at its end alone.
        true => format!("\"$(printf '%b' '{}')\"", octal(text)),
        false => crate::output::word(text),
    }
}

/// Every byte as an octal number that printf knows.
fn octal(text: &str) -> String {
    text.bytes().map(|byte| format!("\\0{byte:03o}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn words_are_what_a_shell_makes_of_them() {
        for text in ["plain/path.toml", "with blank", "it's", "\"$(touch x)\" `y` $HOME \\", "a\nb 'c'", "", "*", "ü~"]
        {
            let line = format!("printf %s {}", word(text));
            assert!(!line.contains('\n'), "{line}");
            let out = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text, "{line}");
        }
    }
}
