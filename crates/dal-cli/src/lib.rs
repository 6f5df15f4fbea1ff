//! `dal`: deep active learning for regression on the command line.
//!
//! [`run`] is the whole program: `main.rs` calls it, and so does the entry point of the Python package.

#[cfg(all(feature = "lapack", feature = "tch"))]
compile_error!("the features `lapack` and `tch` exclude each other: libtorch brings a LAPACK of its own");

mod answers;
mod bench;
mod campaign;
mod catalogue;
mod cluster;
mod data;
mod display;
mod effects;
mod engines;
mod export;
mod label;
mod learning;
pub mod memory;
mod merge;
mod outcome;
mod output;
mod problem;
mod report;
mod select;
mod show;
mod status;
mod tune;
mod verify;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use dal_campaign::CampaignError;
use dal_core::OracleError;

/// Exit codes: 0 done, 1 some runs or rows failed or a program is down,
/// 2 bad input or a file that cannot be used, 130 interrupted.
#[derive(Parser)]
#[command(
    name = "dal",
    version,
    max_term_width = 120,
    about = "Deep active learning for regression",
    after_help = "Examples:
  dal problems                                     the built-in problems
  dal strategies --format json                     the query methods, for a machine
  dal label sine --input x.csv                     evaluate an oracle at your points
  dal select gsx --labelled-x lx.csv --labelled-y ly.csv --pool px.csv -n 10
  dal bench run benches/sweeps/quick.toml --store runs/quick
  dal bench status runs/quick                      how its runs stand, and what did not learn
  dal bench verify runs/quick                      every file against its seal
  dal bench export runs/quick --out tables         the same as tables, for pandas, polars, DuckDB
  dal report runs/quick --out runs/quick/report
  dal tune sine                                    which network suits a problem
  dal new beam --problem beam.toml                 a campaign on a simulator of your own
  dal run beam --budget 100

Exit codes: 0 done (a campaign's failed points are answers, too), 1 some runs or rows failed or your program is down,
2 bad input, 130 interrupted."
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the problems, or show one problem's card.
    Problems(catalogue::ProblemArgs),
    /// List the query strategies, or show one with its settings.
    Strategies(catalogue::StrategyArgs),
    /// Label points with a problem's oracle: CSV in, CSV out.
    Label(label::Args),
    /// Choose which pool points to label next, on your own data and model.
    Select(select::Args),
    /// Run benchmark sweeps.
    Bench(bench::Args),
    /// Turn a campaign, or a store of runs, into a page.
    Report(report::Args),
    /// Search for the network and training that suit a problem.
    Tune(Box<tune::Args>),
    /// Begin a campaign: from a simulator or a laboratory to a surrogate.
    New(campaign::new::Args),
    /// Spread points over a problem's space: a Latin hypercube, Sobol or uniform points.
    Design(campaign::design::Args),
    /// Ask a campaign for points to be labelled elsewhere.
    Ask(campaign::ask::Args),
    /// Tell a campaign answers.
    Tell(campaign::tell::Args),
    /// Take points of a campaign back that are not wanted any more.
    Withdraw(campaign::withdraw::Args),
    /// Take back what was said last in a campaign.
    Undo(campaign::undo::Args),
    /// Close a campaign's loop over its program, table, forest or network.
    Run(campaign::run::Args),
    /// Show where a campaign stands.
    Status(campaign::status::Args),
    /// Judge a campaign's model by uniform points that are never learned.
    Audit(campaign::audit::Args),
    /// Predict at points of a table with a campaign's model.
    Predict(campaign::predict::Args),
    /// Bring out a campaign's points or its model.
    Export(campaign::export::Args),
    /// Serve a campaign's page on this machine, renewed while a run goes on.
    Watch(campaign::watch::Args),
}

/// What a command that went through has to say: whether everything in it succeeded.
pub enum Done {
    /// All of it.
    Fully,
    /// Some rows or runs failed; they were named.
    Partly,
    /// The user stopped it; everything finished so far is kept.
    Interrupted,
}

/// Runs a command line, whose first word is the program's name; gives the exit code that the program ends with.
///
/// The commands that work long take over the process' Ctrl-C.
pub fn run<T: Into<OsString> + Clone>(words: impl IntoIterator<Item = T>) -> u8 {
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => {
            // A reader of `--help` that has gone away is no error.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let outcome = match args.command {
        Command::Problems(args) => catalogue::problems(&args),
        Command::Strategies(args) => catalogue::strategies(&args),
        Command::Label(args) => label::run(&args),
        Command::Select(args) => select::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Tune(args) if args.is_of_a_campaign() => campaign::tune::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::New(args) => campaign::new::run(&args),
        Command::Design(args) => campaign::design::run(&args),
        Command::Ask(args) => campaign::ask::run(&args),
        Command::Tell(args) => campaign::tell::run(&args),
        Command::Withdraw(args) => campaign::withdraw::run(&args),
        Command::Undo(args) => campaign::undo::run(&args),
        Command::Run(args) => campaign::run::run(&args),
        Command::Status(args) => campaign::status::run(&args),
        Command::Audit(args) => campaign::audit::run(&args),
        Command::Predict(args) => campaign::predict::run(&args),
        Command::Export(args) => campaign::export::run(&args),
        Command::Watch(args) => campaign::watch::run(&args),
    };
    match outcome {
        Ok(Done::Fully) => 0,
        Ok(Done::Partly) => 1,
        Ok(Done::Interrupted) => 130,
        Err(error) => complain(&error),
    }
}

/// Says what went wrong, and the exit code: a reader that has seen enough is no error.
fn complain(error: &anyhow::Error) -> u8 {
    if output::is_broken_pipe(error) {
        return 0;
    }
    output::say!("error: {}", output::in_words(error));
    // A program that is down is no bad input: the same command goes on once it is back.
    let is_down = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(OracleError::Down { .. }))
            || matches!(cause.downcast_ref(), Some(CampaignError::Down { .. } | CampaignError::InDoubt { .. }))
    };
    if error.chain().any(is_down) { 1 } else { 2 }
}
