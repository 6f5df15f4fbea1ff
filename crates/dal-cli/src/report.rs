//! `dal report`: from a store to the page, figures, tables, and a summary in the terminal.

use std::path::PathBuf;

use anyhow::{Result, bail};
use dal_eval::CurveSpan;
use dal_report::{ReportOptions, load, terminal_summary, write_report};
use dal_store::Store;

use crate::Done;
use crate::output::outln;

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
    /// Another store to hold beside this one (another engine, version or machine); may be given several times.
    #[arg(long, value_name = "OTHER", num_args = 1..)]
    compare: Vec<PathBuf>,
    /// Draw curves as an exponential moving average in which the newest entry has this weight, above 0 and at most 1; the paper
    /// used 0.5. Numbers and tests stay as measured.
    #[arg(long, value_name = "WEIGHT")]
    smooth: Option<f64>,
    /// Leave the initial model out of nAUC: the area over entries 1..T instead of 0..T.
    #[arg(long)]
    from_first_step: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let data = load(&Store::open(&args.store)?)?;
    let options = ReportOptions {
        version: env!("CARGO_PKG_VERSION").into(),
        made: crate::bench::now(),
        smoothing: args.smooth,
        span: if args.from_first_step { CurveSpan::FromFirstStep } else { CurveSpan::FromInitial },
        compare: args.compare.iter().map(|other| Ok(load(&Store::open(other)?)?)).collect::<Result<_>>()?,
        ..ReportOptions::default()
    };
    let written = write_report(&data, &args.out, &options)?;
    let (_, width) = console::Term::stdout().size();
    let width = usize::from(width).clamp(60, 120);
    outln!("{}", terminal_summary(&written.findings, width));
    for comparison in &written.comparisons {
        outln!("{}", comparison.terminal_summary(width));
    }
    outln!("{} figures and {} tables beside the page", written.n_figures, written.n_tables);
    outln!("{}", written.page.display());
    // The page shows what could be read; that some could not is still an error.
    if let Some((_, why)) = data.unreadable.first() {
        let n = data.unreadable.len();
        bail!("{why}\n({n} of the runs could not be read; the page lists them and was made without them)");
    }
    Ok(Done::Fully)
}
