//! `dal report`: from a store to the page, figures, tables, and a summary in the terminal.

use std::path::{Path, PathBuf};

use anyhow::Result;
use dal_eval::CurveSpan;
use dal_report::{ReportData, ReportOptions, is_export, load, read_export, terminal_summary, write_report};
use dal_store::Store;

use crate::Done;
use crate::output::{outln, say};

/// A store in, a page out.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  dal report runs/quick --out runs/quick/report      then open runs/quick/report/report.html
  dal report tables --out report                     the same from tables of `dal bench export`")]
pub struct Args {
    /// The store, or a folder of tables that it was exported as.
    store: PathBuf,
    /// Where page, figures and tables go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Another store to hold beside this one (another engine, version or machine); may be given several times.
    #[arg(long, value_name = "OTHER", num_args = 1..)]
    compare: Vec<PathBuf>,
    /// Draw curves as an exponential moving average in which the newest entry has this weight, above 0 and at most 1;
    /// the paper used 0.5. Numbers and tests stay as measured.
    #[arg(long, value_name = "WEIGHT")]
    smooth: Option<f64>,
    /// Leave the initial model out of nAUC: the area over entries 1..T instead of 0..T.
    #[arg(long)]
    from_first_step: bool,
}

/// The data of a store, or of the tables that one was exported as.
fn read(path: &Path) -> Result<ReportData> {
    Ok(if is_export(path) { read_export(path)? } else { load(&Store::open(path)?)? })
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let data = read(&args.store)?;
    let options = ReportOptions {
        version: env!("CARGO_PKG_VERSION").into(),
        made: crate::outcome::now(),
        smoothing: args.smooth,
        span: if args.from_first_step { CurveSpan::FromFirstStep } else { CurveSpan::FromInitial },
        compare: args.compare.iter().map(|other| read(other)).collect::<Result<_>>()?,
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
    for (name, why) in &data.unreadable {
        say!("left out: {name}: {why}");
    }
    Ok(if data.unreadable.is_empty() { Done::Fully } else { Done::Partly })
}
