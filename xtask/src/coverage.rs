//! `cargo xtask coverage`: how often the intervals of estimated errors hold, part by part.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::process::{cargo, root, run, target_dir};

/// The built-in problems.
const PROBLEMS: [&str; 8] = ["sine", "robo", "stack", "adm", "foil", "hydro", "bessel", "damp"];
/// What is measured, each on every problem.
const PARTS: [&str; 2] = ["frozen", "campaigns"];

/// Parts, problems and sizes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask coverage                            everything; some hours of one core
  cargo xtask coverage --part frozen --problem sine --rounds 100 --pool 10000 --out /tmp/try
  cargo xtask coverage --part campaigns --jobs 2

frozen redraws rounds of models that stay as they are, and replays the stopping rule on them;
campaigns runs whole ones. What is done is kept: a second call goes on with what is missing. At the
end coverage.md is made of the tables that are there.")]
pub struct Args {
    /// What is measured [default: all].
    #[arg(long, value_name = "PART")]
    part: Vec<String>,
    /// On which problems [default: all eight].
    #[arg(long, value_name = "ID")]
    problem: Vec<String>,
    /// Rounds that are redrawn of a frozen model.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    rounds: usize,
    /// Points of the domain that their candidates are taken from.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pool: usize,
    /// Frozen models of each number of labels, 3 at most.
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: usize,
    /// Seed of frozen models, their points and rounds.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: usize,
    /// What draws: `power-qbc` with β = 1 (in half of the campaigns with distances), or what campaigns choose by where
    /// none is named (frozen models: with its power, without its distances).
    #[arg(long, value_name = "RULE", default_value = "power-qbc", value_parser = ["power-qbc", "default"])]
    rule: String,
    /// Whole campaigns of a problem.
    #[arg(long, value_name = "N", default_value_t = 25)]
    campaigns: usize,
    /// Processes at one time, of one thread each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Where results go.
    #[arg(long, value_name = "DIR", default_value = "target/coverage")]
    out: PathBuf,
}

/// Builds, measures, writes the page.
pub fn run_coverage(args: &Args) -> Result<()> {
    let chosen = |given: &[String], known: &[&str], what: &str| -> Result<Vec<String>> {
        if let Some(other) = given.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("there is no {what} `{other}`; there are: {}", known.join(", "));
        }
        let all = || known.iter().map(|name| (*name).to_owned()).collect();
        Ok(if given.is_empty() { all() } else { given.to_vec() })
    };
    let (parts, problems) =
        (chosen(&args.part, &PARTS, "part")?, chosen(&args.problem, &PROBLEMS, "built-in problem")?);
    if args.jobs == 0 || args.rounds < 5 || args.pool < 1000 || !(1..=3).contains(&args.seeds) {
        bail!("at least one job, five rounds, a thousand points and one to three models are wanted");
    }
    run(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--package",
        "dal-campaign",
        "--example",
        "coverage",
    ]))?;
    let program = target_dir().join("release/examples").join(format!("coverage{}", std::env::consts::EXE_SUFFIX));
    let out = root().join(&args.out);
    let mut work: Vec<(String, String)> = Vec::new();
    for part in &parts {
        work.extend(problems.iter().map(|problem| (part.clone(), problem.clone())));
    }
    work.reverse();
    let work = Mutex::new(work);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    // The lock is given back before the part runs.
                    let next = work.lock().ok().and_then(|mut work| work.pop());
                    let Some((part, problem)) = next else { break };
                    let mut command = Command::new(&program);
                    command.args([&part, &problem]).arg(&out).args(["--rule", &args.rule]);
                    let sizes = [
                        ("--rounds", args.rounds),
                        ("--pool", args.pool),
                        ("--seeds", args.seeds),
                        ("--seed", args.seed),
                        ("--campaigns", args.campaigns),
                    ];
                    for (flag, n) in sizes {
                        command.args([flag, &n.to_string()]);
                    }
                    if let (Err(error), Ok(mut failed)) = (run(&mut command), failed.lock()) {
                        failed.push(format!("{part} of {problem}: {error}"));
                    }
                }
            });
        }
    });
    run(Command::new(&program).arg("report").arg(&out))?;
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}
