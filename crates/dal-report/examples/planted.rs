//! Writes the report of a made-up store into a directory, to look at the page without running a benchmark:
//! `cargo run -p dal-report --example planted -- DIR [SEEDS]`; with a third argument the runs are also written as a
//! store there.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/disk.rs"]
mod disk;

use common::{Plan, planted};
use dal_report::{ReportOptions, RunStatus, terminal_summary, write_report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("give a directory")?;
    let seeds = arguments.next().map(|n| n.parse()).transpose()?.unwrap_or(10);
    let mut data = planted(&Plan {
        problems: &["sine", "robo", "stack", "adm", "foil", "hydro", "bessel", "damp"],
        ratios: &[2, 4, 8, 16, 32, 64],
        seeds,
        methods: &[
            ("gsx", |_, _| 0.9_f64.ln()),
            ("gsxy", |_, _| 0.85_f64.ln()),
            ("qbc", |p, g| if p == 3 && g == 5 { 0.3 } else { -0.12 }),
            ("qbc-diversity", |_, _| 0.87_f64.ln()),
            ("gsy", |_, _| 0.002),
            ("qbc-diversity-density", |p, _| 0.02 * p as f64 - 0.1),
            ("bald", |_, g| 0.05 * g as f64 - 0.1),
            ("emoc", |_, _| 0.05),
            ("learning-loss", |_, _| -0.01),
            ("dacs", |p, g| 0.03 * (p as f64 - g as f64)),
            ("cluster-variance", |_, _| -0.06),
        ],
        noise: 0.05,
        steps: 50,
    });
    let n = data.runs.len();
    let broken = data.runs.iter().position(|r| r.strategy == "bald" && r.seed == 1).ok_or("no such run")?;
    data.runs[broken].status =
        RunStatus::Failed { reason: "diverged at entry 7: the loss became NaN in epoch 31".into() };
    data.runs[broken].entries.truncate(7);
    data.runs[n - 1].status = RunStatus::Partial;
    data.runs[n - 1].entries.truncate(20);
    if let Some(store) = arguments.next() {
        disk::write_store(&data, store.as_ref())?;
    }
    let options = ReportOptions { version: env!("CARGO_PKG_VERSION").into(), ..ReportOptions::default() };
    let written = write_report(&data, dir.as_ref(), &options)?;
    print!("{}", terminal_summary(&written.findings, 100));
    println!("{} runs, {} figures, {} tables: {}", n, written.n_figures, written.n_tables, written.page.display());
    Ok(())
}
