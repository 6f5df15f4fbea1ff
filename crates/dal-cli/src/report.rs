//! `dal report`: from a store to the page, figures, tables, and a summary in the terminal.

use std::path::PathBuf;

use anyhow::Result;
use dal_report::{ReportOptions, load, terminal_summary, write_report};
use dal_store::Store;

use crate::Done;

/// A store in, a page out.
#[derive(clap::Args)]
#[command(after_help = "Example:
  dal report runs/quick --out runs/quick/report      then open runs/quick/report/report.html")]
pub struct Args {
    /// The store.
    store: PathBuf,
    /// Where page, figures and tables go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let data = load(&Store::open(&args.store)?)?;
    let options = ReportOptions {
        version: env!("CARGO_PKG_VERSION").into(),
        made: crate::bench::now(),
        ..ReportOptions::default()
    };
    let written = write_report(&data, &args.out, &options)?;
    let (_, width) = console::Term::stdout().size();
    println!("{}", terminal_summary(&written.findings, usize::from(width).clamp(60, 120)));
    println!("{} figures and {} tables beside the page", written.n_figures, written.n_tables);
    println!("{}", written.page.display());
    Ok(Done::Fully)
}
