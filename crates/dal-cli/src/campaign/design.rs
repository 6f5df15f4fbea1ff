//! `dal design`: points spread over a problem's space.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dal_campaign::design::{Method, design};
use dal_campaign::folder::constraints;
use dal_campaign::{Folder, Subject};
use dal_files::write::{Out, record};
use serde_json::{Map, Value, json};

use super::ask::{print_text, value};
use super::now;
use crate::Done;
use crate::data::check_points;
use crate::output::{outln, say};
use crate::problem::find_problem;

/// A problem in, points out.
#[derive(clap::Args)]
#[command(after_help = "Points are different, in physical values, and keep to integers, levels, log scales and
constraints. A campaign's folder in the place of the problem brings the campaign's constraints;
nothing is said in its log, and `dal tell` takes the answers.

lhs      a Latin hypercube whose smallest distance between points is made large, for a fixed number
sobol    scrambled Sobol points: more of them (a larger -n) begin with the same ones
uniform  independent points

Where whole numbers and levels make one point of several, others of the space take their place, as
long as it has any.

A constraint is an expression over the inputs' names: numbers, + - * / ^, comparisons, and, or,
not, abs, sqrt, exp, log, log10, sin, cos, min, max; levels as text ('steel'); a name that is no
plain word stands in backticks.

Examples:
  dal design beam.toml -n 40 > points.csv
  dal design beam.toml -n 40 --method sobol --constraint 'length * load <= 3000' --seed 7
  dal label beam.toml --input points.csv --out labels.csv")]
pub struct Args {
    /// A problem's id, the path of a problem.toml, or a campaign's folder.
    problem: String,
    /// How many points.
    #[arg(short = 'n', value_name = "N")]
    n: usize,
    /// How they are spread.
    #[arg(long, value_enum, default_value_t)]
    method: Spread,
    /// What the random numbers come from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A condition that every point meets.
    #[arg(long = "constraint", value_name = "EXPRESSION")]
    constraints: Vec<String>,
    /// A setting of a built-in problem.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How the points are printed.
    #[arg(long, value_enum, default_value_t)]
    format: DesignFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Spread {
    /// A maximin Latin hypercube.
    #[default]
    Lhs,
    /// Scrambled Sobol points.
    Sobol,
    /// Independent uniform points.
    Uniform,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DesignFormat {
    /// Comma-separated, with a header.
    #[default]
    Csv,
    /// One JSON array of objects.
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if args.n == 0 {
        bail!("-n 0: ask for at least one point");
    }
    check_points("-n", Some(args.n))?;
    let path = Path::new(&args.problem);
    let (subject, mut held) = if path.join("campaign.toml").is_file() {
        if !args.settings.is_empty() {
            bail!(
                "--set is for built-in problems, and {} is a campaign's folder, whose problem file says it all",
                path.display()
            );
        }
        let folder = Folder::read(path, now())?;
        (folder.subject().as_ref().clone(), folder.constraints().to_vec())
    } else {
        let problem = find_problem(&args.problem, &args.settings)?;
        (Subject::of(&PathBuf::from(&args.problem), problem), Vec::new())
    };
    held.extend(constraints(&args.constraints, &subject).context("--constraint")?);
    let method = match args.method {
        Spread::Lhs => Method::Lhs,
        Spread::Sobol => Method::Sobol,
        Spread::Uniform => Method::Uniform,
    };
    let points = design(&subject, &held, args.n, method, args.seed)?;
    if points.len() < args.n {
        say!("note: only {} of {} points: there are no other ones", points.len(), args.n);
    }
    match args.format {
        DesignFormat::Csv => {
            print_text(&record(subject.names().iter().map(|name| Out::Exact(name))))?;
            for point in &points {
                print_text(&record(point.iter().map(dal_campaign::export::out)))?;
            }
        }
        DesignFormat::Json => {
            let objects = points.iter().map(|point| {
                let x: Map<String, Value> = subject.names().iter().cloned().zip(point.iter().map(value)).collect();
                json!(x)
            });
            outln!("{}", serde_json::to_string_pretty(&objects.collect::<Vec<_>>())?);
        }
    }
    Ok(Done::Fully)
}
