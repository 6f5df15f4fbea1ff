//! `dal report`: from a store to the page, figures, tables, and a summary in the terminal; from a campaign to its page.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dal_eval::CurveSpan;
use dal_report::{ReportData, ReportOptions, is_export, load, read_export, terminal_summary, write_report};
use dal_store::{Store, StoreError};

use crate::Done;
use crate::campaign::report::{ReportFormat, is_campaign};
use crate::output::{outln, say};
use crate::verify::MANIFEST;

/// A store, or a campaign, in, a page out.
#[derive(clap::Args)]
#[command(
    after_help = "Of a campaign: one page, report.html in its folder (or in --out): how good the model is, where it is
not, what failed, what to run next, and whether to stop. The model of all labels is trained if it
is not there yet. `dal watch` shows the same page while a run goes on. Of a store of benchmark
runs, or tables that one was exported as: a page with its figures and tables beside it, in --out.

Examples:
  dal report beam                                    a campaign: then open beam/report.html
  dal report beam --format json > beam.json          what that page shows, for a program
  dal report runs/quick --out runs/quick/report      then open runs/quick/report/report.html
  dal report tables --out report                     the same from tables of `dal bench export`
  dal report runs/quick --out report --evidence docs/results/evidence/a   what other runs found beside it"
)]
pub struct Args {
    /// A campaign's folder, a store, or a folder of tables that a store was exported as.
    folder: PathBuf,
    /// Where page, figures and tables go [default: the campaign's folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Another store to hold beside this one (another engine, version or machine); may be given several times.
    #[arg(long, value_name = "OTHER", num_args = 1..)]
    compare: Vec<PathBuf>,
    /// Tables, or a store, of a larger experiment, whose verdicts are said beside this store's in a few words; may be
    /// given several times.
    #[arg(long, value_name = "TABLES")]
    evidence: Vec<PathBuf>,
    /// Draw curves as an exponential moving average in which the newest entry has this weight, above 0 and at most 1;
    /// the paper used 0.5. The tables of curves are smoothed with them; other numbers and tests stay as measured.
    #[arg(long, value_name = "WEIGHT")]
    smooth: Option<f64>,
    /// Leave the initial model out of nAUC: the area over entries 1..T instead of 0..T.
    #[arg(long)]
    from_first_step: bool,
    /// How a campaign's report is printed.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Threads that train a campaign's model [default: one per processor].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// The data of a store, or of the tables that one was exported as.
fn read(path: &Path) -> Result<ReportData> {
    // Tables that lie in a store's own folder may be of an earlier day.
    if is_export(path) && !path.join(MANIFEST).exists() {
        return Ok(read_export(path)?);
    }
    if is_campaign(path) {
        bail!("{}: this is a campaign's folder; a store of benchmark runs or tables of one are wanted", path.display());
    }
    match Store::open(path) {
        Err(StoreError::NotAStore { .. }) => bail!(
            "{}: this is neither a campaign's folder (campaign.toml and log), nor a store of benchmark runs (store.json), nor \
             tables that one was exported as (schema.json)",
            path.display()
        ),
        opened => Ok(load(&opened?)?),
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if is_campaign(&args.folder) {
        let of_stores = [
            ("--compare", !args.compare.is_empty()),
            ("--evidence", !args.evidence.is_empty()),
            ("--smooth", args.smooth.is_some()),
            ("--from-first-step", args.from_first_step),
        ];
        if let Some((flag, _)) = of_stores.iter().find(|(_, given)| *given) {
            bail!("{flag} is for stores of benchmark runs; {} is a campaign's folder", args.folder.display());
        }
        return crate::campaign::report::run(&args.folder, args.out.as_deref(), args.threads, args.format);
    }
    let data = read(&args.folder)?;
    if args.format != ReportFormat::Html || args.threads.is_some() {
        bail!(
            "--format and --threads are for campaigns; {} is a store (`dal bench export` writes its numbers)",
            args.folder.display()
        );
    }
    let Some(out) = &args.out else {
        bail!("--out DIR: say where the page of a store goes, with its figures and tables beside it");
    };
    let options = ReportOptions {
        version: env!("CARGO_PKG_VERSION").into(),
        made: crate::outcome::now(),
        smoothing: args.smooth,
        span: if args.from_first_step { CurveSpan::FromFirstStep } else { CurveSpan::FromInitial },
        compare: args.compare.iter().map(|other| read(other)).collect::<Result<_>>()?,
        evidence: args.evidence.iter().map(|path| read(path).context("--evidence")).collect::<Result<_>>()?,
        ..ReportOptions::default()
    };
    let written = write_report(&data, out, &options)?;
    let (_, width) = console::Term::stdout().size();
    let width = usize::from(width).clamp(60, 120);
    outln!("{}", terminal_summary(&written.findings, width));
    for comparison in &written.comparisons {
        outln!("{}", comparison.terminal_summary(width));
    }
    outln!("{} figures and {} tables beside the page", written.n_figures, written.n_tables);
    outln!("{}", written.page.display());
    let mut done = Done::Fully;
    for (name, why) in &written.unreadable {
        say!("left out: {name}: {why}");
        done = Done::Partly;
    }
    Ok(done)
}
