//! `cargo xtask tidy`: house rules that no lint knows, one file each under `rules/`.

mod project;
mod rules;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::project::Project;

/// Checks the house rules that no lint knows.
#[derive(Parser)]
#[command(name = "cargo xtask tidy", bin_name = "cargo xtask tidy", max_term_width = 120)]
struct Args {
    /// First write what is generated: the directions of dependencies in ARCHITECTURE.md.
    #[arg(long)]
    write: bool,
}

/// What a rule found.
#[derive(Debug, Default)]
struct Findings {
    /// What breaks the rule, as `FILE:LINE: what is wrong`.
    offences: Vec<String>,
    /// What is excepted for the present, and why.
    notes: Vec<String>,
}

type Rule = fn(&Project) -> Result<Findings>;

const RULES: &[Rule] = &[
    rules::headers::check,
    rules::file_length::check,
    rules::line_width::check,
    rules::circles::check,
    rules::directions::check,
    rules::purity::check,
    rules::dependencies::check,
    rules::licences::check,
    rules::links::check,
    rules::changelog::check,
    rules::machine_words::check,
    rules::plain_words::check,
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Checks everything and reports every offence; whether there was none.
fn run(args: &Args) -> Result<bool> {
    let project = Project::here()?;
    if args.write {
        rules::directions::write(&project)?;
    }
    let mut found = Findings::default();
    for rule in RULES {
        let of_rule = rule(&project)?;
        found.offences.extend(of_rule.offences);
        found.notes.extend(of_rule.notes);
    }
    for note in &found.notes {
        eprintln!("note: {note}");
    }
    for offence in &found.offences {
        eprintln!("{offence}");
    }
    match found.offences.len() {
        0 => eprintln!("{} files are tidy", project.files.len()),
        1 => eprintln!("error: one offence against the house rules"),
        n => eprintln!("error: {n} offences against the house rules"),
    }
    Ok(found.offences.is_empty())
}
