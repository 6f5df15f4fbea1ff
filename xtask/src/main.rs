//! Development tasks: `cargo xtask bench-all`, `ci`, `tidy`, `libtorch` and others; runs cargo and `dal`, links
//! neither.

mod bench_all;
mod bench_peers;
mod ci;
mod coverage;
mod environment;
mod export;
mod faults;
mod fixtures;
mod fuzz;
mod gpu_bundle;
mod libtorch;
mod mutants;
mod onnx;
mod package;
mod page;
mod process;
mod python;
mod slurm;
mod sources;
mod survivors;
mod tidy;
mod valgrind;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of the workspace", max_term_width = 120)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the benchmark from build to report.
    BenchAll(bench_all::Args),
    /// Time the same work against what a user would pick instead.
    BenchPeers(bench_peers::Args),
    /// What continuous integration checks: format, lints, docs, tests, tidy, packaging.
    Ci(ci::Args),
    /// Measure how often the intervals of estimated errors hold.
    Coverage(coverage::Args),
    /// House rules that no lint knows.
    #[command(disable_help_flag = true)]
    Tidy(tidy::Args),
    /// Bring libtorch for the feature `tch`, or find an installed one.
    #[command(disable_help_flag = true)]
    Libtorch(libtorch::Args),
    /// Build the folder that checks and times the engine `tch` on a machine with a GPU.
    GpuBundle(gpu_bundle::Args),
    /// Remake the fixtures, or check that they can be remade.
    Fixtures(fixtures::Args),
    /// Export a small store and read the tables back with pandas, polars and DuckDB.
    Export,
    /// Export models of campaigns as ONNX and hold them against `dal predict` by ONNX Runtime.
    Onnx,
    /// Throw command lines, files and environments at `dal`.
    Fuzz(fuzz::Args),
    /// Disturb sweeps (kills, stops, spoilt files, several starts) and hold what is left against an undisturbed one.
    Faults(faults::Args),
    /// Run a sweep on two real Slurm nodes on loopback, with faults (root; installs Debian's packages where they are
    /// missing).
    Slurm(slurm::Args),
    /// Spoil the protocol in a copy and look whether the tests notice.
    Mutants(mutants::Args),
    /// Change every operator and result of a crate in a copy, and list what its tests do not notice (hours).
    Survivors(survivors::Args),
    /// Test the pages of a report and of a campaign in a real browser.
    Page(page::Args),
    /// Run the unsafe kernels' tests under a memory checker (x86; installs valgrind where it is missing).
    Valgrind,
    /// Write the Python package's query classes from the catalogue of strategies.
    Python(python::Args),
    /// Build the Python package, or build and test it.
    Wheel(wheel::Args),
    /// Pack every crate and build `dal` from the packs.
    Package,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::BenchAll(args) => bench_all::run_tier(&args),
        Task::BenchPeers(args) => bench_peers::run_peers(&args),
        Task::Ci(args) => ci::run_stages(&args),
        Task::Coverage(args) => coverage::run_coverage(&args),
        Task::Tidy(args) => tidy::run_task(&args.rest),
        Task::Libtorch(args) => libtorch::run_task(&args.rest),
        Task::GpuBundle(args) => gpu_bundle::run_bundling(&args),
        Task::Fixtures(args) => fixtures::run_scripts(&args),
        Task::Export => export::run_export(),
        Task::Onnx => onnx::run_onnx(),
        Task::Fuzz(args) => fuzz::run_fuzz(&args),
        Task::Faults(args) => faults::run_faults(&args),
        Task::Slurm(args) => slurm::run_slurm(&args),
        Task::Mutants(args) => mutants::run_mutants(&args),
        Task::Survivors(args) => survivors::run_survivors(&args),
        Task::Page(args) => page::run_browser(&args),
        Task::Valgrind => valgrind::run_memcheck(),
        Task::Python(args) => python::run_writing(&args),
        Task::Wheel(args) => wheel::run_building(&args),
        Task::Package => package::run_packing(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            // `dal` has its own exit codes (2: bad input); hand them on.
            let code = error.downcast_ref::<process::Failed>().and_then(|failed| failed.code);
            ExitCode::from(code.and_then(|c| u8::try_from(c).ok()).unwrap_or(1))
        }
    }
}
