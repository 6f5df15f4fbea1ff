//! `dal bench show`: what a run saw and chose at one step, as NumPy files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use dal_bench::{Plan, Shown, Sweep, Trial};
use dal_core::Stop;
use dal_store::{Run, Store};
use ndarray::{Array1, Array2};
use ndarray_npy::write_npy;
use serde_json::json;

use crate::Done;
use crate::output::{outln, say};

/// A step of a run in, NumPy files out.
#[derive(clap::Args)]
#[command(
    after_help = "The step's model is trained once more and chooses once more; that it chooses what the run did is
checked (exit code 1 if not, as on another processor path). No program of yours is asked: labels
are those of the store.

Files: initial, labelled_x, labelled_y, pool, test_x, test_y, queries and labels are points and
labels, one a row, points on the unit box; chosen has the rows of the pool in the order of the
picks; members has every member's prediction at the pool (members, points, outputs) in the units
the model was trained in, test_members at the test points; scores has the strategy's score of every
pool point; curve has labels and test MSE of every entry; about.json says the rest.
fixtures/recompute/recompute.py recomputes picks and test errors from them.

Example:
  dal bench show runs/quick/runs/sine-gsx-g2-s0-4c64d6b3c4d1982c --step 3 --out shown"
)]
pub struct Args {
    /// The run's folder in its store: STORE/runs/NAME.
    run: PathBuf,
    /// The step, from 0 on: what was chosen with the model of this entry.
    #[arg(long, value_name = "T")]
    step: usize,
    /// Where the files go; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The sweep file, where the run's problem is your own: its path is relative to it.
    #[arg(long, value_name = "FILE")]
    sweep: Option<PathBuf>,
    /// Where answers of your program are kept, for the labels of the test points
    /// [default: NAME.answers beside its problem file].
    #[arg(long, value_name = "DIR")]
    answers: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let store = store_of(&args.run)?;
    let run = run_of(&store, &args.run)?;
    let plan = plan_of(&store, &run, args.sweep.as_deref())?;
    let shown = plan.show(&run, args.step, args.answers.as_deref(), &Stop::new())?;
    write(&shown, &run, args)?;
    outln!("{}", args.out.display());
    if shown.agrees {
        return Ok(Done::Fully);
    }
    say!(
        "done again here, step {} chooses other points than the run did: it was made on {}, this is {}",
        args.step,
        run.key().platform,
        shown.platform
    );
    Ok(Done::Partly)
}

fn store_of(run: &Path) -> Result<Store> {
    let whole = std::path::absolute(run)?;
    let root = whole.parent().filter(|runs| runs.ends_with("runs")).and_then(Path::parent);
    let root = root.ok_or_else(|| anyhow!("{}: is no folder STORE/runs/NAME of a store", run.display()))?;
    Ok(Store::open(root)?)
}

fn run_of(store: &Store, folder: &Path) -> Result<Run> {
    let name = folder.file_name().unwrap_or_default();
    for run in store.runs()? {
        match run {
            Ok(run) if *run.name() == *name => return Ok(run),
            Err(error) if folder.exists() && error.to_string().contains(&*name.to_string_lossy()) => {
                return Err(error.into());
            }
            _ => {}
        }
    }
    bail!("{}: there is no such run", folder.display())
}

/// The sweep that planned the run, resolved once more.
fn plan_of(store: &Store, run: &Run, file: Option<&Path>) -> Result<Plan> {
    let resolve = |sweep: Sweep| -> Result<Plan> {
        // Options of the command line may have named another engine than the file does.
        let sweep = sweep.with_engine(&run.spec().engine);
        let instructions = run.key().platform.split('/').nth(1).unwrap_or_default();
        let like_then = sweep.clone().with_platform(instructions).resolve_with(&crate::engines::catalogue());
        // Where this machine has not the instructions of then, the comparison of the choices says what that changes.
        like_then.or_else(|_| Ok(sweep.resolve_with(&crate::engines::catalogue())?))
    };
    if let Some(file) = file {
        let plan = resolve(Sweep::load(file)?)?;
        if plan.trial_of(run.spec()).is_none() {
            let of_problem = |trial: &Trial| trial.spec().problem.variant == run.spec().problem.variant;
            let other = plan.trials().iter().find(|trial| of_problem(trial));
            let why = match other {
                Some(other) if other.spec().problem.digest != run.spec().problem.digest => {
                    ": its problem file, or the data that it names, is not what it was when the run was made"
                }
                _ => "",
            };
            bail!("{}: no trial of this sweep is the run {}{why}", file.display(), run.id());
        }
        return Ok(plan);
    }
    let mut refusal = None;
    // A record that is damaged says nothing; `dal bench verify` names it.
    let sweeps: Vec<_> = store.sweeps()?.into_iter().flatten().collect();
    for record in sweeps.iter().filter(|sweep| sweep.runs.iter().any(|planned| planned.id == run.id())) {
        let sweep = Sweep::parse(&record.text, format!("{}.toml", record.name))?;
        match resolve(sweep) {
            Ok(plan) if plan.trial_of(run.spec()).is_some() => return Ok(plan),
            Ok(_) => {}
            Err(error) => refusal = Some(error),
        }
    }
    let hint = "name its sweep file with --sweep";
    Err(refusal.unwrap_or_else(|| anyhow!("no sweep of the store planned this run as it is")).context(hint))
}

fn write(shown: &Shown, run: &Run, args: &Args) -> Result<()> {
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let place = |name: &str| args.out.join(name);
    let points: [(&str, Option<&Array2<f64>>); 8] = [
        ("initial.npy", Some(&shown.initial)),
        ("labelled_x.npy", Some(&shown.labelled_x)),
        ("labelled_y.npy", Some(&shown.labelled_y)),
        ("pool.npy", Some(&shown.pool)),
        ("queries.npy", Some(&shown.queries)),
        ("labels.npy", Some(&shown.labels)),
        ("test_x.npy", Some(&shown.test_x)),
        ("test_y.npy", shown.test_y.as_ref()),
    ];
    let mut files = Vec::new();
    for (name, array) in points {
        if let Some(array) = array {
            write_npy(place(name), array).with_context(|| place(name).display().to_string())?;
            files.push(name);
        }
    }
    if let Some(rows) = &shown.chosen {
        let rows: Array1<i64> = rows.iter().map(|row| *row as i64).collect();
        write_npy(place("chosen.npy"), &rows)?;
        files.push("chosen.npy");
    }
    if let Some(scores) = &shown.scores {
        write_npy(place("scores.npy"), scores)?;
        files.push("scores.npy");
    }
    for (name, members) in [("members.npy", &shown.members), ("test_members.npy", &shown.test_members)] {
        if let Some(members) = members {
            write_npy(place(name), members)?;
            files.push(name);
        }
    }
    let records = run.records()?;
    let curve = Array2::from_shape_fn((records.len(), 2), |(t, column)| match column {
        0 => records[t].n_labelled as f64,
        _ => records[t].errors.mse,
    });
    write_npy(place("curve.npy"), &curve)?;
    files.push("curve.npy");
    let spec = run.spec();
    let about = json!({
        "run": run.id(),
        "step": args.step,
        "problem": spec.problem.variant,
        "strategy": spec.strategy.id,
        "settings": spec.strategy.settings,
        "pool_ratio": spec.pool_ratio(),
        "seed": spec.seed,
        "made_on": run.key().platform,
        "shown_on": shown.platform,
        "agrees": shown.agrees,
        "files": files,
    });
    fs::write(place("about.json"), serde_json::to_string_pretty(&about)? + "\n")?;
    Ok(())
}
