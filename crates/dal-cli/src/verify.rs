//! `dal bench verify`: every file of a store against its seal.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use dal_core::Stop;
use dal_store::{CheckedRun, DamagedFile, Status, Store, StoreError, StoreWriter};
use dal_work::{Outcome, Task, work_through};
use serde_json::json;

use crate::Done;
use crate::display::{Display, duration, left};
use crate::output::{Format, Rows, say};

/// `dal bench verify`.
#[derive(clap::Args)]
#[command(
    after_help = "Each run that is over is held against the hashes in its footer, each footer and each sweep against
its own, checkpoints against their checksums, and so the answers that stores of older versions
keep (those beside a problem file are checked when they are read). Runs name the sweep that they
were made by, so that a deleted record of a sweep is noticed. Timings and circumstances have no
seal: of them only what cannot be read is noticed. What belongs to no store (Thumbs.db,
copies under other names) is named and does no harm. Standard output has one line per finding; the
exit code is 1 if something is damaged or missing.

Examples:
  dal bench verify runs/quick
  dal bench verify runs/quick --quarantine    moves damage to runs/quick/quarantine, deletes nothing
  dal bench run benches/sweeps/quick.toml --store runs/quick     then repeats those runs alone"
)]
pub struct Args {
    /// The store.
    store: PathBuf,
    /// Move damaged runs, damaged files beside their results and damaged records of sweeps to the store's folder
    /// `quarantine`, and write store.json again where that is damaged or missing.
    #[arg(long)]
    quarantine: bool,
    /// Runs that are checked at the same time [default: one per core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The file that makes a folder a store.
pub(crate) const MANIFEST: &str = "store.json";

/// Something that was found.
struct Finding {
    /// `damaged`, `missing`, `beside`, `torn`, `leftover`, `foreign` or `absent`.
    what: &'static str,
    /// A path below the store's directory.
    name: String,
    words: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.jobs == Some(0) {
        bail!("--jobs 0: at least one run has to be checked at a time");
    }
    let (store, manifest) = Store::open_to_check(&args.store)?;
    let writer = if args.quarantine { Some(store.writer()?) } else { None };
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let runs = check_runs(&store, jobs)?;
    let rest = store.check_rest()?;

    let lost = rest.lost_sweeps(&runs);

    let mut findings = Vec::new();
    let damaged_files: Vec<&DamagedFile> = manifest.iter().chain(&rest.damage).collect();
    for run in &runs {
        of_run(run, &mut findings);
    }
    for damaged in &damaged_files {
        findings.push(Finding { what: "damaged", name: damaged.name.clone(), words: damaged.error.to_string() });
    }
    for sweep in &lost {
        let (n, s) = (sweep.runs, if sweep.runs == 1 { "" } else { "s" });
        let words = format!(
            "the record of sweep `{}`, which {n} run{s} here name{} as theirs, is not there; the next start of the sweep \
             writes it again",
            sweep.name,
            if n == 1 { "s" } else { "" }
        );
        findings.push(Finding { what: "missing", name: sweep.file.clone(), words });
    }
    for name in &rest.foreign {
        findings.push(Finding { what: "foreign", name: name.clone(), words: "belongs to no store".into() });
    }
    for run in &rest.absent {
        let words = "planned by a sweep, not there".into();
        findings.push(Finding { what: "absent", name: format!("runs/{}", run.directory), words });
    }
    let rows = findings.iter().map(|f| vec![json!(f.what), json!(f.name), json!(f.words)]).collect();
    if !findings.is_empty() || args.format != Format::Table {
        Rows { columns: vec!["finding", "file", "words"], rows }.print(args.format)?;
    }
    let damaged: Vec<&CheckedRun> = runs.iter().filter(|run| !run.damage.is_empty()).collect();
    let beside: Vec<String> = runs.iter().filter(|run| run.damage.is_empty()).flat_map(files_beside).collect();
    summary(&runs, damaged.len(), damaged_files.len() + beside.len(), lost.len());
    if let Some(writer) = writer {
        if manifest.is_some() {
            match writer.mend_manifest()? {
                Some(aside) => say!("{MANIFEST} is written again; what it was is now {}", aside.display()),
                None => say!("{MANIFEST} is written again"),
            }
        }
        let runs = damaged.iter().map(|run| format!("runs/{}", run.directory));
        // Answers mend themselves at the next start, and cost something.
        let files = rest.damage.iter().map(|file| file.name.clone()).filter(|name| name.starts_with("sweeps/"));
        set_aside(&writer, runs.chain(files).chain(beside.iter().cloned()))?;
    }
    let is_whole = damaged.is_empty() && beside.is_empty() && damaged_files.is_empty() && lost.is_empty();
    Ok(if is_whole { Done::Fully } else { Done::Partly })
}

/// Every run, in the order of their names.
fn check_runs(store: &Store, jobs: usize) -> Result<Vec<CheckedRun>> {
    let names = store.run_names()?;
    let tasks: Vec<Task<&String>> = names.iter().map(|work| Task { cost: 1.0, work }).collect();
    let display = Display::start();
    let done = AtomicUsize::new(0);
    let outcomes = work_through(
        &tasks,
        jobs,
        &Stop::new(),
        |_, name| Ok::<_, StoreError>(store.check_run(name)),
        |_, _| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            // Most stores are through before anything has to be said.
            if display.elapsed() < Duration::from_secs(2) {
                return Ok(());
            }
            let fraction = done as f64 / tasks.len() as f64;
            let remaining = display.elapsed().div_f64(fraction).saturating_sub(display.elapsed());
            display.at(fraction, &format!("{}, {done}/{} runs", left(Some(remaining)), tasks.len()));
            Ok(())
        },
    );
    display.finish();
    let mut runs = Vec::with_capacity(names.len());
    for (outcome, name) in outcomes.into_result()?.into_iter().zip(&names) {
        match outcome {
            Outcome::Done(run) => runs.push(run),
            Outcome::Panicked(message) => {
                bail!("runs/{name}: checking it panicked, a defect of this program: {message}")
            }
            Outcome::Fatal | Outcome::NotBegun => bail!("runs/{name}: was not checked"),
        }
    }
    say!("{} runs checked in {}", runs.len(), duration(display.elapsed()));
    Ok(runs)
}

fn of_run(run: &CheckedRun, findings: &mut Vec<Finding>) {
    let name = || format!("runs/{}", run.directory);
    let mut add = |what, name, words| findings.push(Finding { what, name, words });
    for error in &run.damage {
        add("damaged", name(), error.to_string());
    }
    for error in &run.beside {
        add("beside", name(), error.to_string());
    }
    for lost in &run.lost {
        let words = "is not there (the run's results stand; reports go without this file)".into();
        add("absent", format!("{}/{lost}", name()), words);
    }
    if run.dropped_bytes > 0 {
        let words = format!("{} bytes at the end of its checkpoint are done again when it goes on", run.dropped_bytes);
        add("torn", name(), words);
    }
    if run.has_leftover {
        add("leftover", name(), "a checkpoint beside its footer; the next start of its sweep removes it".into());
    }
    for foreign in &run.foreign {
        add("foreign", format!("{}/{foreign}", name()), "belongs to no run".into());
    }
}

/// Damaged files of a run that no result rests on, by path below the store's directory.
fn files_beside(run: &CheckedRun) -> impl Iterator<Item = String> {
    let of = |error: &StoreError| match error {
        StoreError::Damaged { path, .. } => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        _ => None,
    };
    run.beside.iter().filter_map(of).map(|name| format!("runs/{}/{name}", run.directory))
}

fn summary(runs: &[CheckedRun], damaged_runs: usize, damaged_files: usize, lost_sweeps: usize) {
    let whole = |of: fn(&Status) -> bool| {
        runs.iter().filter(|run| run.damage.is_empty() && run.status.as_ref().is_some_and(of)).count()
    };
    let lost = match lost_sweeps {
        0 => String::new(),
        1 => ", 1 record of a sweep missing".to_owned(),
        n => format!(", {n} records of sweeps missing"),
    };
    say!(
        "{} whole and done, {} whole and failed, {} unfinished, {damaged_runs} damaged; \
         {damaged_files} other files damaged{lost}",
        whole(|s| *s == Status::Done),
        whole(|s| matches!(s, Status::Failed(_))),
        whole(|s| matches!(s, Status::Partial { .. })),
    );
}

fn set_aside(writer: &StoreWriter, names: impl Iterator<Item = String>) -> Result<()> {
    for name in names {
        let to = writer.set_aside(&name)?;
        say!("{name} is now {}", to.display());
    }
    Ok(())
}
